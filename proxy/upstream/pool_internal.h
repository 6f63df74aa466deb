/* pool_internal: what the parts of the pool share. pool.c acquires and queues, pool_dial.c connects, backend.c knows how
 * each backend does and chooses, pool_h1.c keeps connections of HTTP/1.1, pool_h2.c those of HTTP/2, pool_raw.c those of
 * raw bytes, health.c asks backends how they are. Private to upstream/. */
#ifndef UPSTREAM_POOL_INTERNAL_H
#define UPSTREAM_POOL_INTERNAL_H

#include "net/dial.h"
#include "net/tcp_stream.h"
#include "upstream/pool.h"

struct health;
struct probe;
struct pool_h2_conn;
struct pool_h2_spread;

/* Where a connection goes. Names move: what is used again is looked at, once a second at most. */
struct pool_place {
    struct ip ip;
    bool named; /* the backend has a name, and this is one of its addresses */
    uint64_t checked_ms;
};

/* One per upstream text; outlives reloads.
 *
 *             failures (of several)          the time is over
 *   HEALTHY ------------------------> EJECTED ---------------> TRIAL (one request, or nobody else for as long again)
 *      ^                                 ^------ failure, doubled --|
 *      +------------ an answer, or a good probe --------------------+                 failed probes: `down` besides */
enum backend_state { BACKEND_HEALTHY, BACKEND_EJECTED, BACKEND_TRIAL };

struct backend {
    struct pool *pool;
    struct slice text; /* owned */
    struct slice host; /* owned; empty: a unix socket */
    enum config_protocol protocol;
    struct list idle;              /* pool_h1: the most recently used first */
    struct list sessions;          /* pool_h2: struct pool_h2_conn */
    struct list shared_dials;      /* pool_h2: one at a time for all who would announce the same */
    struct pool_h2_spread *spread; /* pool_h2: under way to one more address */
    uint64_t spread_checked_ms;
    size_t num_idle;   /* connections of HTTP/1.1 */
    size_t num_busy;   /* requests */
    size_t num_open;   /* connections that are idle, lent or dialled: what MAX_CONNS counts */
    size_t num_conns;  /* until their last event */
    size_t num_queued; /* waits whose group begins with it */
    bool refused;      /* the last attempt failed */
    bool not_http2;    /* and was told so in the log */
    bool retired;      /* the configuration in service does not name it: exchanges of an older one may still */
    struct pool_reach reach;
    enum backend_state state;
    struct probe *probe;   /* its health check; NULL: none */
    bool down;             /* failed probes say so */
    unsigned num_failures; /* in a row, of requests */
    uint64_t ejected_until_ms;
    uint64_t back_off_ms;
    bool asked;          /* chosen since it was ejected */
    uint64_t asked_turn; /* pool->turn when it was last chosen, or ejected */
};

struct pool {
    struct net_loop *loop;
    struct resolver *resolver;
    struct counters *counters;
    struct log_ring *log;
    struct stream *(*connect)(void *ctx);
    void *connect_ctx;
    struct map backends; /* text to struct backend */
    struct list queue;   /* waits for room, first come first served */
    struct list refused; /* waits that are told so in the next turn */
    struct deferred serve;
    uint64_t turn; /* of choices: equals take turns */
    uint64_t random;
    struct health *health; /* NULL while nothing is watched */
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
struct pool_place backend_place(const struct backend *backend, const struct address *address);
/* What its name is known to have, without a port; false: nothing, or it has no name. */
bool backend_addresses(struct backend *backend, struct resolve_answer *out_answer);
/* False once the backend's name has other addresses and no longer this one. */
bool backend_still_at(struct backend *backend, struct pool_place *place);
/* The best of the group that has room, or NULL; *out_index is its place there. Changes nothing. */
struct backend *backend_choose(const struct pool_wait *wait, size_t *out_index);
/* It was chosen: equals are next; a trial has begun. */
void backend_chosen(struct backend *backend);
bool backend_has_room(const struct backend *backend, const struct pool_wait *wait);
/* Nobody of several is healthy, or the only one is down. */
bool backend_none_healthy(struct pool *pool, const struct config_group *group);
/* Seconds until the first of the group may be tried again; at least 1. */
unsigned backend_retry_after_s(struct pool *pool, const struct config_group *group);
/* A connection, or an answer's end. */
void backend_reached(struct backend *backend);
/* No connection. several: some request that waited for it has another choice. */
void backend_refused(struct backend *backend, bool several);
/* Of its probes. */
void backend_set_down(struct backend *backend, bool down);

/* ---- pool.c ---- */

/* The dial that it waited for failed: on to another backend, or later, or the end of its wait. */
void pool_wait_failed(struct pool_wait *wait, struct err err);
/* Looks for a connection again. */
void pool_wait_go_on(struct pool_wait *wait);
/* There may be room: whoever is first in a queue gets it, in this turn of the loop but not now. */
void pool_room(struct pool *pool);
/* A connection has gone: the last one of a closing pool ends it. */
void pool_conn_gone(struct backend *backend);

/* ---- pool_dial.c ---- */

/* Begins a connection for the wait, or joins one of HTTP/2 that is under way. */
void pool_dial_for(struct pool_wait *wait, struct backend *backend, const struct config_upstream *upstream);
/* The wait is given up. Harmless where it is in no dial. */
void pool_dial_leave(struct pool_wait *wait);
/* One of HTTP/2 that is under way and will have announced itself in just these bytes: it can be joined. */
struct pool_dial *pool_dial_shared(const struct backend *backend, struct slice preamble);
/* A dial of HTTP/2 ends when the server's SETTINGS have come, or do not. */
void pool_dial_opened(struct pool_dial *dial, struct pool_h2_conn *session);
void pool_dial_failed(struct pool_dial *dial, struct err err);

/* ---- pool_h1.c ---- */

/* An idle connection that is alive and has announced itself in just these bytes, or not at all; NULL where there is none. */
struct upstream *pool_h1_take(struct backend *backend, struct slice preamble);
/* A new connection over a connected socket, which it takes over; NULL where there is none to be had (and it is closed). */
struct upstream *pool_h1_adopt(struct backend *backend, int fd, const struct address *address,
                               const struct config *config);
/* Over a stream of the tests'. */
struct upstream *pool_h1_adopt_stream(struct backend *backend, struct stream *stream, const struct config *config);
/* The one that was used longest ago makes room. */
void pool_h1_drop_idle(struct backend *backend);
void pool_h1_close_idle(struct backend *backend);

/* ---- pool_h2.c ---- */

/* A stream on an open connection that has room and has announced itself in just these bytes, or NULL. */
struct upstream *pool_h2_take(struct backend *backend, struct slice preamble);
struct upstream *pool_h2_take_from(struct pool_h2_conn *session);
/* Such a connection has room, or one without requests can make way. */
bool pool_h2_has_room(const struct backend *backend, struct slice preamble);
/* One without requests makes room. */
void pool_h2_drop_idle(struct backend *backend);
/* A new connection over a connected socket, which it takes over; `dial` is told how it went. False: none to be had.
 * `preamble`: as in pool_wait. */
bool pool_h2_adopt(struct backend *backend, struct pool_dial *dial, int fd, const struct address *address,
                   const struct config *config, struct slice preamble);
void pool_h2_adopt_stream(struct backend *backend, struct pool_dial *dial, struct stream *stream,
                          const struct config *config, struct slice preamble);
/* Requests share connections, and connections have one address: where the backend's name has several and there is more
 * than one request, a connection is made to each, one a second. */
void pool_h2_spread(struct backend *backend, const struct config *config, uint16_t port);
void pool_h2_close(struct backend *backend);
/* They end with the requests that they carry. */
void pool_h2_leave(struct backend *backend);

/* ---- health.c ---- */

void health_free(struct health *health);

#endif
