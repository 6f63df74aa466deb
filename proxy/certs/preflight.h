/* preflight: whether a CA that validates a name would get here: what the name resolves to, what answers at each of its
 * addresses on port 80 for a token of our own (ACME-68, 72, 73, 76), and what CAA says of the CA (RFC 8659). Control thread,
 * or the only one of `portico doctor`.
 *
 * It never vetoes: it finds, and whoever asked decides. It contacts public addresses alone, a few at a time; private, loopback
 * and link-local ones are reported. It sends nothing secret and believes nothing that it reads. An answer is ours where it is
 * the token with our account's thumbprint, which this installation answers to every token on its names (DESIGN.md). Owns its
 * questions; of a name that is asked for, nothing is kept. */
#ifndef CERTS_PREFLIGHT_H
#define CERTS_PREFLIGHT_H

#include "certs/finding.h"
#include "net/dns.h"

struct preflight;
struct preflight_job;

enum {
    PREFLIGHT_RUNNING = 16,   /* names at a time; others wait */
    PREFLIGHT_ADDRESSES = 8,  /* of a name that are contacted */
    PREFLIGHT_REDIRECTS = 10, /* followed, as CAs do (ACME-72) */
    PREFLIGHT_TOKEN_BYTES = 43
};

struct preflight_options {
    struct net_loop *loop;
    struct dns *dns; /* outlives it */
    const char *version;
    uint64_t probe_ms; /* deadline of each request; 0: PROBE_MS */
    /* Tests alone: */
    bool contact_local;
    uint16_t http_port, https_port; /* 0: 80 and 443 */
};

/* Copied. */
struct preflight_question {
    struct slice name;       /* as it is ordered: `*.` in front of a wildcard, an address as text */
    struct slice thumbprint; /* of our account; empty: not known, and every well-formed answer is taken for ours */
    struct slice account_url;
    const struct slice *identities; /* the CA's names in CAA; at most PREFLIGHT_IDENTITIES of them count */
    size_t num_identities;
    struct slice method; /* of the validation: "http-01" */
    bool http;           /* look at port 80: the CA may come that way */
    bool private_ca;     /* it may reach what we may not: local addresses are odd, and no failure */
    bool not_running;    /* nothing of ours answers on port 80 now, which is said with the cure */
};
enum { PREFLIGHT_IDENTITIES = 8 };

/* Embedded by whoever asks; must stay until `done` has been called or preflight_cancel has returned. */
struct preflight_run {
    /* Once, never from within preflight_start, unless canceled. findings are valid during the call. May start and cancel;
     * must not free. */
    void (*done)(struct preflight_run *run, const struct findings *findings);
    struct preflight_job *job; /* the preflight's own; NULL while nothing runs */
};

struct preflight *preflight_new(const struct preflight_options *options);
/* Runs end without `done`; frees itself once its connections are closed. NULL is fine. */
void preflight_free(struct preflight *preflight);

void preflight_start(struct preflight *preflight, const struct preflight_question *question, struct preflight_run *run);
/* Harmless for one that is done. */
void preflight_cancel(struct preflight_run *run);

#endif
