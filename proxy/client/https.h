/* https: the client for what Portico asks on its own account: the CA, hooks and on-demand questions. HTTPS, and plain HTTP
 * for who asks for it explicitly; HTTP/1.1 with keep-alive.
 *
 * It owns its connections (up to HTTPS_MAX_CONNS an origin; calls beyond that wait their turn) and the trusted roots. Host
 * names and certificates are verified (tls_client). It follows no redirect, knows no cookie, decodes no content coding,
 * judges no answer. One loop's thread. Failure is a value and a sentence for a person. */
#ifndef CLIENT_HTTPS_H
#define CLIENT_HTTPS_H

#include "client/https_proxy.h"
#include "http/head.h"
#include "net/net_loop.h"
#include "net/resolve.h"

struct https_client;
struct https_flight;

enum {
    HTTPS_MAX_CONNS = 4,      /* to one origin */
    HTTPS_CALL_MS = 30000,    /* deadline of a call, waiting for its turn included */
    HTTPS_CONNECT_MS = 10000, /* name and connection */
    HTTPS_IDLE_MS = 30000,    /* a connection that nobody uses */
    HTTPS_MAX_URL_BYTES = 8 * 1024
};

struct https_options {
    struct net_loop *loop;
    struct resolver *resolver;               /* of the same loop; outlives the client */
    struct slice extra_roots_pem;            /* added to the system's; may be empty */
    const struct https_proxy_options *proxy; /* NULL: none */
    uint64_t call_ms;                        /* deadline; 0: HTTPS_CALL_MS */
    bool plain_http;                         /* http:// URLs are asked, too; otherwise they are refused */
};

struct https_field {
    struct slice name, value;
};

/* Copied. Host, Content-Length and Connection are the client's. */
struct https_request {
    struct slice method; /* "GET", "HEAD", "POST" */
    struct slice url;    /* absolute; its path and query are sent byte for byte */
    const struct https_field *fields;
    size_t num_fields;
    struct slice body;
    bool repeatable; /* may be sent again where a kept-alive connection died before the first byte of an answer */
};

/* Valid during `done`. */
struct https_answer {
    struct err err;          /* set: no whole answer came; nothing else but the sentence counts */
    const char *sentence;    /* with err: "ca.example: the certificate is not for this name"; else NULL */
    const struct head *head; /* status, fields */
    struct slice body;       /* whole; at most LIMIT_ACME_BODY_BYTES */
};

/* Embedded by whoever asks; must stay until `done` has been called or https_cancel has returned. */
struct https_call {
    /* Once, never from within https_send, unless canceled. May send, cancel and close. */
    void (*done)(struct https_call *call, const struct https_answer *answer);
    struct https_flight *flight; /* the client's own; NULL while nothing runs */
};

/* ERR_INPUT: extra_roots_pem holds no certificate, or the proxy's URL is none. out_num_roots: trusted roots in all. */
MUST_CHECK struct err https_client_new(const struct https_options *options, struct https_client **out_client,
                                       size_t *out_num_roots);
/* Calls that run end without `done`; frees itself once its connections are closed. NULL is fine. */
void https_client_close(struct https_client *client);

void https_send(struct https_client *client, const struct https_request *request, struct https_call *call);
/* Harmless for a call that is done. */
void https_cancel(struct https_call *call);

#endif
