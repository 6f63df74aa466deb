/* https_conn: one connection of the HTTPS client, from dialling to its last event. One loop's thread. Internal to client/.
 *
 *   DIALING --> PROXYING (CONNECT through a forward proxy) --> HANDSHAKING --> OPEN --> ENDING --> gone
 *      |            |                                              |            ^
 *      +------------+--- plain http: none of these ----------------+------------+
 *
 * Owned by its origin until `gone`. It frees itself; it never decides what is asked on it. */
#ifndef CLIENT_HTTPS_CONN_H
#define CLIENT_HTTPS_CONN_H

#include "client/https_proxy.h"
#include "http/h1_client.h"
#include "net/dial.h"
#include "net/tcp_stream.h"
#include "tls/tls_client.h"
#include "tls/tls_stream.h"

enum https_conn_state {
    HTTPS_CONN_DIALING,
    HTTPS_CONN_PROXYING,
    HTTPS_CONN_HANDSHAKING,
    HTTPS_CONN_OPEN,
    HTTPS_CONN_ENDING
};

struct https_conn;

/* Called by the connection. */
struct https_conn_ops {
    /* It can be lent for the first time, or (reused) again: from within an event of its h1_client's then, so lend it later. */
    void (*open)(struct https_conn *conn);
    void (*idle)(struct https_conn *conn);
    /* It could not be opened. refusal: why the peer's certificate was refused, or NULL. */
    void (*failed)(struct https_conn *conn, struct err err, const char *refusal);
    /* It will not be lent any more. Once, after `open` alone. */
    void (*done)(struct https_conn *conn);
    /* The last event: the memory is freed behind it. With an empty stack. */
    void (*gone)(struct https_conn *conn);
};

/* Borrowed: all of it outlives the connection. */
struct https_conn_way {
    struct net_loop *loop;
    struct resolver *resolver;
    struct tls_client *tls;
    const struct https_proxy *proxy; /* NULL: directly */
    struct slice host;
    uint16_t port;
    bool secure;
    uint64_t max_body_bytes;       /* of an answer; 0: LIMIT_ACME_BODY_BYTES */
    const struct address *address; /* dialled instead of host and port; NULL: these */
};

struct https_conn {
    struct h1_client client; /* from OPEN on */
    const struct https_conn_ops *ops;
    const struct https_conn_way *way;
    void *owner;      /* the origin's */
    void *flight;     /* the origin's: what it was opened for, or what runs on it */
    struct list node; /* the origin's: idle connections */
    bool counted;     /* the origin's: among those it may have */
    enum https_conn_state state;
    struct dial dial;
    struct tcp_stream tcp;
    struct tls_stream tls;
    struct sink sink; /* of the stream until it is OPEN */
    struct h1_reader proxy_reader;
    struct arena proxy_arena;
    struct tick idle;
    struct grave grave;
};

/* Dials. No event comes from within. */
struct https_conn *https_conn_new(const struct https_conn_way *way, const struct https_conn_ops *ops, void *owner);
/* Ends it in whatever state: `done` may come from within, `failed` does not. */
void https_conn_end(struct https_conn *conn);
/* Nobody uses it: closed after HTTPS_IDLE_MS. */
void https_conn_rest(struct https_conn *conn);
/* About to be lent again: false where it has ended meanwhile; it is closed then. */
bool https_conn_wake(struct https_conn *conn);
/* "connecting", ...: what it is at, for a sentence about a deadline. A literal. */
const char *https_conn_stage(const struct https_conn *conn);

#endif
