/* pool_internal: what the parts of the pool share. pool.c acquires and dials, backend.c knows how each backend does,
 * pool_h1.c keeps connections of HTTP/1.1. Private to upstream/. */
#ifndef UPSTREAM_POOL_INTERNAL_H
#define UPSTREAM_POOL_INTERNAL_H

#include "net/dial.h"
#include "net/tcp_stream.h"
#include "upstream/pool.h"

/* One per upstream text; outlives reloads. */
struct backend {
    struct pool *pool;
    struct slice text; /* owned */
    enum config_protocol protocol;
    struct list idle; /* pool_h1: the most recently used first */
    size_t num_idle, num_busy, num_conns;
    bool refused; /* the last attempt failed */
    struct pool_reach reach;
};

struct pool {
    struct net_loop *loop;
    struct resolver *resolver;
    struct counters *counters;
    struct log_ring *log;
    struct stream *(*connect)(void *ctx);
    void *connect_ctx;
    struct map backends; /* text to struct backend */
    size_t num_conns;
    bool closing;
    struct deferred emptied;
    void (*closed)(void *ctx);
    void *closed_ctx;
    struct grave grave;
};

/* ---- backend.c ---- */

struct backend *backend_of(struct pool *pool, const struct config_upstream *upstream);
void backend_free(struct backend *backend);
/* The one with the fewest requests; of equals the first that did not fail last. */
const struct config_upstream *backend_choose(struct pool *pool, const struct config_group *group);
void backend_reached(struct backend *backend);
void backend_refused(struct backend *backend);

/* ---- pool.c ---- */

/* A connection has gone: the last one of a closing pool ends it. */
void pool_conn_gone(struct backend *backend);

/* ---- pool_h1.c ---- */

/* An idle connection that is alive and has announced itself in just these bytes, or not at all; NULL where there is none. */
struct upstream *pool_h1_take(struct backend *backend, struct slice preamble);
/* A new connection over a connected socket, which it takes over; NULL where there is none to be had (and it is closed). */
struct upstream *pool_h1_adopt(struct backend *backend, int fd, bool unix_socket, const struct config *config);
/* Over a stream of the tests'. */
struct upstream *pool_h1_adopt_stream(struct backend *backend, struct stream *stream, const struct config *config);
void pool_h1_close_idle(struct backend *backend);

#endif
