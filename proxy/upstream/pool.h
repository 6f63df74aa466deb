/* pool: a worker's connections to the backends: idle ones kept for reuse, new ones dialled, a request held while its
 * backend starts. One worker's thread. Owns its connections; lends each to one exchange at a time. */
#ifndef UPSTREAM_POOL_H
#define UPSTREAM_POOL_H

#include "base/counters.h"
#include "base/log.h"
#include "config/config.h"
#include "net/listener.h"
#include "net/resolve.h"
#include "upstream/upstream.h"

struct pool;
struct pool_dial;

struct pool_options {
    struct net_loop *loop;
    struct resolver *resolver;
    struct counters *counters;
    struct log_ring *log;
    /* Tests alone: where connections come from instead of sockets; the stream is open, and the callee's until closed. */
    struct stream *(*connect)(void *ctx);
    void *connect_ctx;
};

struct pool *pool_new(const struct pool_options *options);
/* Closes idle connections; busy ones have been given back or detached before, and nobody waits. `closed` is called, never
 * from within, when the last connection has gone; the pool is freed behind it. */
void pool_close(struct pool *pool, void (*closed)(void *ctx), void *ctx);

/* Embedded by whoever wants a connection. */
struct pool_wait {
    struct pool *pool;
    struct pool_dial *dialing;
    const struct config *config;
    const struct config_group *group;
    struct slice preamble; /* set by the caller, before pool_acquire: what a connection says of this client before all
                              else (PROXY protocol). Such a connection is new, or one that said the same. Lives until begin */
    uint64_t give_up_ms;   /* holds until then while the backend does not answer (UPSTREAM_WAIT) */
    struct tick retry;
    /* upstream: the callee begins its request on it at once. NULL: err says why there is none. Never from within
     * pool_acquire. */
    void (*done)(struct pool_wait *wait, struct upstream *upstream, struct err err);
};

void pool_wait_init(struct pool_wait *wait, struct pool *pool,
                    void (*done)(struct pool_wait *wait, struct upstream *upstream, struct err err));
/* One on a connection that is there already, at once, or NULL and `done` later. fresh_only: no reused one. config
 * gives the limits and must live until `done` or cancel. */
struct upstream *pool_acquire(struct pool_wait *wait, const struct config *config, const struct config_group *group,
                              bool fresh_only);
/* No call after this. Harmless where nothing is waited for. */
void pool_wait_cancel(struct pool_wait *wait);

/* For drain: when the backends were last found to take no connection, and when one was last reached (a new connection,
 * or an answer on an old one). Monotonic; 0: never, or, of refused_ms, another attempt has succeeded since. */
struct pool_reach {
    uint64_t refused_ms, reached_ms;
};

struct pool_reach pool_reach(const struct pool *pool);

#endif
