/* probe: one GET to one address, as a CA sends it: which server answers there, and what. For preflights and `doctor`.
 *
 * Plain HTTP, or TLS with whatever certificate is shown (ACME-72). It follows no redirect, resolves no name, sends nothing
 * that is secret, believes nothing, and keeps the first PROBE_BODY_BYTES of a body alone. One loop's thread. */
#ifndef CLIENT_PROBE_H
#define CLIENT_PROBE_H

#include "net/address.h"
#include "net/net_loop.h"

struct probe_client;
struct probe_flight;

enum { PROBE_MS = 10000, PROBE_BODY_BYTES = 256 };

/* Copied. */
struct probe_target {
    const struct address *address; /* with its port */
    bool secure;
    struct slice host;      /* for SNI: without port and brackets */
    struct slice authority; /* for Host */
    struct slice target;    /* path and query */
    struct slice user_agent;
};

/* Valid during `done`. */
struct probe_answer {
    struct err err;                /* set: no answer came; or not all of it, where status is set */
    bool opened;                   /* there was a connection, with TLS where it was asked for */
    unsigned status;               /* 0: none */
    struct slice location, server; /* fields; ptr NULL where they are missing */
    struct slice body;             /* its beginning */
};

/* Embedded by whoever asks; must stay until `done` has been called or probe_cancel has returned. */
struct probe {
    /* Once, never from within probe_send, unless canceled. May send again. */
    void (*done)(struct probe *probe, const struct probe_answer *answer);
    struct probe_flight *flight; /* the probe's own; NULL while nothing runs */
};

struct probe_client *probe_client_new(struct net_loop *loop);
/* Probes that run end without `done`; frees itself once its connections are closed. NULL is fine. */
void probe_client_close(struct probe_client *client);

void probe_send(struct probe_client *client, const struct probe_target *target, uint64_t timeout_ms,
                struct probe *probe);
/* Harmless for one that is done. */
void probe_cancel(struct probe *probe);

#endif
