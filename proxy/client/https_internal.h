/* What the parts of the HTTPS client share: https.c (the client), https_origin.c (whose connections wait for whom),
 * https_flight.c (one call). One loop's thread. */
#ifndef CLIENT_HTTPS_INTERNAL_H
#define CLIENT_HTTPS_INTERNAL_H

#include "base/map.h"
#include "client/https.h"
#include "client/https_conn.h"

struct https_client {
    struct net_loop *loop;
    struct resolver *resolver;
    struct tls_client *tls;
    struct https_proxy proxy;
    uint64_t call_ms;
    bool plain_http;
    struct map origins;   /* "https://host:port" to struct https_origin; those with connections or calls */
    struct list finished; /* flights whose `done` is due */
    struct deferred tell;
    size_t num_conns;
    bool closing;
    struct grave grave;
};

struct https_origin {
    struct https_client *client;
    struct https_conn_way way;
    struct buf key, host;
    struct list waiting; /* flights without a connection, in order */
    struct list running; /* flights with one */
    struct list idle;    /* connections, the most recently used first */
    size_t num_open;     /* connections that are not ending */
    size_t num_conns;    /* all that are not gone */
    struct deferred advance;
};

/* A call on its way. Owned by its origin's list, at last by client->finished. */
struct https_flight {
    struct http_user user;
    struct https_call *call;
    struct https_client *client;
    struct https_origin *origin;
    struct https_conn *conn; /* NULL while it waits */
    struct list node;
    struct tick deadline;
    struct arena arena; /* of the answer's head */
    struct buf wire, body_out;
    enum method method;
    bool repeatable, repeated, on_reused;
    const struct head *head;
    struct buf body;
    struct err err;
    struct buf sentence;
};

/* https.c */
/* Frees a client that was closed and whose last connection has gone. */
void https_client_maybe_free(struct https_client *client);

/* https_origin.c */
/* The origin of a URL, made where there is none. */
struct https_origin *https_origin_find(struct https_client *client, const struct url *url);
/* Unless it is of use to anybody. */
void https_origin_maybe_free(struct https_origin *origin);
void https_origin_free(struct https_origin *origin);
/* Ends the connections that nobody uses. */
void https_origin_drop_idle(struct https_origin *origin);

/* https_flight.c */
struct https_flight *https_flight_new(struct https_client *client, const struct https_request *request,
                                      struct https_call *call);
void https_flight_free(struct https_flight *flight);
/* Puts it in the queue of its URL's origin. */
void https_flight_start(struct https_flight *flight, const struct https_request *request, const struct url *url);
/* Asks, on the connection that it was given. */
void https_flight_send(struct https_flight *flight);
/* Ends it: who was asked, and `why` (NULL: the words of err). Its `done` is called by a deferred call. */
void https_flight_fail(struct https_flight *flight, struct err err, const char *why);

#endif
