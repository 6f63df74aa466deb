/* dns_hook: dns-01 by ACME_DNS_HOOK: has a TXT record made, waits until it can be seen, and has it removed.
 *
 * The hook is a program or a URL, and each is called in a form that users know: the program as lego's `exec` does in its
 * default mode, `PROGRAM present|cleanup _acme-challenge.example.com. VALUE` (the same in PORTICO_DNS_ACTION, _FQDN and
 * _VALUE); the URL as lego's `httpreq`, POST URL/present and URL/cleanup with {"fqdn":"...","value":"..."}. Exit code 0 or a
 * 2xx means that it is done; a call has LIMIT_HOOK_MS. Calls about one record name come one behind another, so that a hook
 * may read, change and write its set of records; a.com and *.a.com have the same, with a value each.
 *
 * Every `present` that was begun has its `cleanup`, whatever came of it, also behind a withdrawal, a drain and a close.
 * Control thread. Owns its HTTPS client and its records; holds the runner. What it is told of a failure is cut, and the
 * password of a URL is never shown. */
#ifndef CERTS_DNS_HOOK_H
#define CERTS_DNS_HOOK_H

#include "base/log.h"
#include "client/https.h"
#include "net/dns.h"
#include "net/runner.h"

struct dns_hook;
struct hook_record;

struct dns_hook_options {
    struct net_loop *loop;
    struct log_ring *log;      /* NULL: no log */
    struct slice hook;         /* SECRET: an http(s) URL may bring its password: https://user:password@host/path */
    struct runner *runner;     /* where the hook is a program: the one that runs it */
    struct resolver *resolver; /* of the URL's host; outlives the hook */
    struct slice extra_roots_pem;
    const struct https_proxy_options *proxy;
    const char *version; /* of Portico, for User-Agent */
    struct dns *dns;     /* where records are looked for; NULL: nowhere, the hook returns when they can be seen */
    uint64_t call_ms;    /* 0: LIMIT_HOOK_MS */
    uint64_t look_ms;    /* 0: LIMIT_HOOK_LOOK_MS */
    uint64_t leave_ms;   /* 0: LIMIT_HOOK_LEAVE_MS */
};

/* Embedded by whoever publishes; must stay until dns_hook_withdraw. */
struct dns_hook_publication {
    /* Once, never from within dns_hook_present: the record is there, or, with err and a sentence, is not. Not after
     * dns_hook_withdraw. */
    void (*done)(struct dns_hook_publication *publication, struct err err, struct slice sentence);
    struct hook_record *record; /* the hook's own */
};

/* Copies its options. ERR_INPUT for a program without a runner that runs it, roots or a proxy that make no sense. */
MUST_CHECK struct err dns_hook_new(const struct dns_hook_options *options, struct dns_hook **out_hook);
/* Ends what runs of `present`, and runs what is due of `cleanup` for leave_ms at the most; frees itself then, and calls
 * `closed` (may be NULL), never from within. No `done` is called any more; every publication must have been withdrawn. */
void dns_hook_close(struct dns_hook *hook, void (*closed)(void *ctx), void *ctx);

/* Has the record made for a name without its `*.`. value: base64url(SHA-256(key authorization)). */
void dns_hook_present(struct dns_hook *hook, struct slice name, struct slice value,
                      struct dns_hook_publication *publication);
/* Has it removed. Once for each dns_hook_present. */
void dns_hook_withdraw(struct dns_hook_publication *publication);

#endif
