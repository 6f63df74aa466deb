/* identity: who a request's client is, by which identifiers the request is known, and what the backend and the client are
 * told of both (TRUSTED_PROXIES, FORWARDED, REQUEST_ID, TRACEPARENT; PRODUCT.md "Forwarding rules", HARDENING R9).
 *
 *   FORWARDED    to the backend                          of a trusted peer's
 *   x            X-Forwarded-*, X-Real-IP                both forms are read; Forwarded is translated and dropped
 *   rfc7239      Forwarded                               both are read; X-Forwarded-For, -Proto, -Host, -Port and
 *                                                        X-Real-IP are translated and dropped
 *   both         all of them                             both are read
 *   off          nothing                                 passes as it came; both are read
 *
 * Where a trusted peer sent both forms, rfc7239 reads Forwarded and the others read X-Forwarded-For. Of an untrusted peer
 * all are dropped, and nothing is read.
 *
 *   REQUEST_ID   off: dropped. pass: one valid X-Request-ID passes. generate: a trusted peer's valid one stays, else one
 *                is made; the client gets it, too, where the backend answers none.
 *   TRACEPARENT  off: dropped with tracestate. pass: one valid traceparent passes with its tracestate. generate: the
 *                same trace with a parent id of ours, or a new trace.
 *
 * Embedded in its exchange; texts lie in the exchange's arena or are the client's. One worker's thread. */
#ifndef EXCHANGE_IDENTITY_H
#define EXCHANGE_IDENTITY_H

#include "http/forwarded.h"

struct address;
struct exchange;
struct exchange_client;

struct identity {
    struct ip ip;            /* the client's: behind trusted proxies it is not the peer's; of a unix socket 127.0.0.1 */
    struct slice client_ip;  /* the same in text; "unix" */
    bool secure;             /* the client's own connection is TLS, by what is believed */
    struct slice request_id; /* empty: none */
    struct slice trace_id;   /* empty: none */
    struct slice traceparent; /* for the backend; empty: none */
    bool trace_goes_on;       /* it is of the trace that the client named: tracestate belongs to it */
    struct slice user;        /* that BASIC_AUTH let in; empty: none */
    struct forwarded forwarded;
};

/* Fills what the client's address decides: peer_ip, peer_is_local, trusted. A peer on a unix socket is as trusted as
 * 127.0.0.1 would be. */
void identity_set_peer(struct exchange_client *client, const struct address *address, const struct cidr_list *trusted);

/* Before the request's head is there: the client is the peer. */
void identity_begin(struct exchange *exchange);
/* Once, with the head. */
void identity_read(struct exchange *exchange);
/* Instead, for a request whose head was none: nothing of it is believed; its answer and its line in the log have an
 * identifier in common all the same. */
void identity_refuse(struct exchange *exchange);
/* Of a request that BASIC_AUTH let in: by which name. Of others none is kept: it may be a password in the wrong place. */
void identity_read_user(struct exchange *exchange);
/* The fields of the request as they go to the backend (http/hop), ours behind them. Returns how many were dropped, for the
 * counter FIELDS_DROPPED. */
unsigned identity_request_fields(const struct exchange *exchange, struct arena *arena, struct fields *out);
/* Adds ours to the fields of a final answer. */
void identity_response_fields(const struct exchange *exchange, struct arena *arena, struct fields *fields);

#endif
