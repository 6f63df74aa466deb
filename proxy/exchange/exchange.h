/* exchange: one request and its answer, between a front and a backend. One worker's thread.
 *
 * Two half-machines. The request's bytes flow from the front to the backend's connection, the answer's back; each
 * direction stops its source while more than FLOW_HIGH_BYTES are queued at its sink and owns no bytes itself, but for
 * a small request body that is kept while there is no connection or a retry is possible. An answer may go through an
 * encoder, which gives all that it was fed whenever the backend pauses.
 *
 * Owned by its front, made before the request's first byte is parsed (it embeds the arena that the head goes into),
 * freed by exchange_free through the graveyard. Borrows a connection of the pool. Its state is in exchange_internal.h:
 * attempt takes the request to a backend, answer brings what comes back. */
#ifndef EXCHANGE_EXCHANGE_H
#define EXCHANGE_EXCHANGE_H

#include "base/cidr.h"
#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/random.h"
#include "config/config.h"
#include "exchange/encoder.h"
#include "exchange/front.h"
#include "net/net_loop.h"
#include "net/proxy_line.h"
#include "tls/certset.h"
#include "tls/tls_identity.h"

struct exchange;
struct passwords;
struct pool;

/* A worker's surroundings, borrowed by all its exchanges. */
struct exchange_env {
    struct net_loop *loop;
    struct pool *pool;
    struct passwords *passwords; /* asked where there are users in BASIC_AUTH */
    struct counters *counters;
    struct log_ring *log;
    const struct clock *clock;
    struct random_batch random;  /* of identifiers; zeroed is ready */
    const struct config *config; /* current; an exchange holds the one it started with */
    struct certset *certset;     /* current; never held */
    struct encoders encoders;
    bool draining;
    /* HTTP-01 or TLS-ALPN-01 of the token was answered (ACME-50); may be NULL. */
    void (*challenge_answered)(struct exchange_env *env, struct slice token);
};

/* The connection that a request came by. Borrowed; lives as long as the front. */
struct exchange_client {
    struct slice peer; /* address in text */
    uint16_t peer_port;
    struct ip peer_ip;        /* the same, to be compared; of a unix socket 127.0.0.1 */
    bool peer_is_local;       /* a unix socket's: "unix" */
    bool trusted;             /* the peer is in TRUSTED_PROXIES */
    bool secure;              /* over TLS */
    struct slice port_text;   /* public: of X-Forwarded-Port */
    struct slice server_name; /* SNI, normalised, or without it the address whose certificate it got; empty: none */
    struct proxy_line ends;   /* the client's address and the one it came to; known where PROXY_PROTOCOL_OUT is on */
    const char *tls_version;  /* "TLSv1.3"; NULL without TLS */
    const char *tls_cipher;   /* RFC's name; NULL without TLS */
    struct slice alpn;        /* the protocol that was agreed on; empty: none */
    bool tls_resumed;
    const struct tls_identity *identity; /* by its certificate; NULL: it sent none, or TLS_CLIENT_AUTH is off */
};

/* How it stands, for the front. */
struct arena *exchange_arena(struct exchange *exchange);                   /* for the request's head */
const struct head *exchange_request_head(const struct exchange *exchange); /* NULL before exchange_head */
bool exchange_request_whole(const struct exchange *exchange);
bool exchange_answer_begun(const struct exchange *exchange);
bool exchange_continue_due(const struct exchange *exchange); /* the client waits for 100 before it sends its body */
bool exchange_over(const struct exchange *exchange);

struct exchange *exchange_new(struct exchange_env *env, const struct exchange_client *client, struct front *front);
/* Whatever state it is in: lets go of its connection, writes the access log line of a request that was seen. */
void exchange_free(struct exchange *exchange);

/* From the front. None of these may be followed by use of the exchange where the front's end or abort was called from
 * within: the front knows. */
void exchange_head(struct exchange *exchange, struct head *head);
void exchange_body(struct exchange *exchange, struct slice bytes);
void exchange_body_end(struct exchange *exchange, const struct fields *trailers);
/* The bytes in hand are used up: what is held back for more of them is written. */
void exchange_flush(struct exchange *exchange);
/* The front's queue has room again. */
void exchange_drained(struct exchange *exchange);
/* The request broke the rules, in its head or its body: answers with that status where no answer has begun, else aborts.
 * head: what was understood, may be NULL. */
void exchange_refuse(struct exchange *exchange, struct head *head, unsigned status, const char *why);
/* From within the front's respond: it cannot hand that answer on and has given one of that status in its place. The last
 * call. */
void exchange_decline(struct exchange *exchange, unsigned status, const char *why);

#endif
