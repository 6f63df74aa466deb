/* dns_hook_call: one call of the hook, whichever kind it is. Private to certs/dns_hook*.c. Control thread. */
#ifndef CERTS_DNS_HOOK_CALL_H
#define CERTS_DNS_HOOK_CALL_H

#include "base/buf.h"
#include "client/https.h"
#include "net/runner.h"

/* What is called; owned by the hook. */
struct hook_callee {
    struct runner *runner;       /* a program; NULL: a URL */
    struct https_client *client; /* a URL */
    struct buf url, query;       /* without its password; up to the path, which a slash ends, and from the `?` on */
    struct buf shown;            /* for logs */
    struct buf authorization;    /* SECRET: the field's value; empty: none */
    struct buf user_agent;
    uint64_t call_ms;
};

struct hook_call {
    /* Once, never from within hook_call_start, unless stopped. sentence: who did what, where err is set; else empty. */
    void (*done)(struct hook_call *call, struct err err, struct slice sentence);
    const struct hook_callee *callee;
    struct runner_call run;
    struct https_call https;
};

struct dns_hook_options;

MUST_CHECK struct err hook_callee_init(struct hook_callee *callee, const struct dns_hook_options *options);
void hook_callee_cleanup(struct hook_callee *callee);

/* action: "present", "cleanup". */
void hook_call_start(struct hook_call *call, const struct hook_callee *callee, struct slice action, struct slice fqdn,
                     struct slice value);
/* Ends it without `done`. Harmless where nothing runs. */
void hook_call_stop(struct hook_call *call);

#endif
