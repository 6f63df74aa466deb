/* pool: a worker's connections to the backends: idle ones kept for reuse, new ones dialled, requests held while their
 * backend starts or has no room, backends that fail left alone for a while. One worker's thread. Owns its connections;
 * lends each (HTTP/1.1), or a stream of it (HTTP/2), to one exchange at a time.
 *
 * Of several backends a request goes to the one with the fewest requests. Where there is a choice, one that takes no
 * connection, or fails EJECT_FAILURES requests in a row before an answer's head, is ejected: for a second, doubled by each
 * failed trial up to a minute; then a single request tries it, and its answer brings it back. While all are ejected, the
 * one that was left alone longest is asked all the same. All of this is the worker's own: N workers find out N times. */
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

/* Another configuration is in service: connections to backends that it does not name are not kept, health
 * checks are its own; what is known of a backend's health stays known. */
void pool_configure(struct pool *pool, const struct config *config);

/* Embedded by whoever wants a connection. */
struct pool_wait {
    struct pool *pool;
    struct pool_dial *dialing;
    struct list node; /* in the waits of `dialing`, or in one of the pool's queues */
    bool queued;
    bool once; /* set by the caller: gives up with the first failure */
    const struct config *config;
    const struct config_group *group;
    struct slice preamble; /* set by the caller, before pool_acquire: what a connection says of this client before all
                              else (PROXY protocol). Such a connection is new, or one that said the same. Lives until begin */
    const struct backend *avoid; /* set by the caller: failed this request; taken only where there is no other */
    bool fresh_only;
    size_t num_tried;    /* backends, since the last pause */
    uint64_t give_up_ms; /* holds until then while no backend answers, or none has room (UPSTREAM_WAIT) */
    struct tick retry;
    /* With `done` and no upstream: what the client is told (HARDENING B1). 503 where there is a backend that may be
     * used again after retry_after_s: all of several are ejected, or have no room; else 502. */
    unsigned status, retry_after_s;
    /* upstream: the callee begins its request on it at once. NULL: err says why there is none. Never from within
     * pool_acquire. */
    void (*done)(struct pool_wait *wait, struct upstream *upstream, struct err err);
};

void pool_wait_init(struct pool_wait *wait, struct pool *pool,
                    void (*done)(struct pool_wait *wait, struct upstream *upstream, struct err err));
/* One on a connection that is there already, at once, or NULL and `done` later. fresh_only: no idle connection that may
 * have died unseen. config gives the limits and must live until `done` or cancel. */
struct upstream *pool_acquire(struct pool_wait *wait, const struct config *config, const struct config_group *group,
                              bool fresh_only);
/* No call after this; frees its place in a queue. Harmless where nothing is waited for. */
void pool_wait_cancel(struct pool_wait *wait);

/* How a request of `wait` went at the backend: its answer's head came; or it failed before one. */
void pool_answered(struct backend *backend);
void pool_failed(const struct pool_wait *wait, struct backend *backend);

/* Active health (UPSTREAM_HEALTH): from now on asks each of config's backends of HTTP for config->upstream.health_path
 * every 5 s, every second behind a failure. Anything but 2xx or 3xx within 2 s is a failure; two in a row eject it, one
 * success brings it back. Each worker asks for itself, on connections that MAX_CONNS counts. Replaces what was watched before; holds the config until then, or pool_close. */
void pool_watch(struct pool *pool, const struct config *config);

/* For drain: when the backends were last found to take no connection, and when one was last reached (a new connection,
 * or an answer on an old one). Monotonic; 0: never, or, of refused_ms, another attempt has succeeded since. */
struct pool_reach {
    uint64_t refused_ms, reached_ms;
};

struct pool_reach pool_reach(const struct pool *pool);

#endif
