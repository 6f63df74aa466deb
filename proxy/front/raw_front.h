/* raw_front: a client of a tcp:// name: bytes both ways between its TLS connection and one of its own to the backend.
 * One worker's thread. Embedded in its conn.
 *
 *                connected               both sides have ended, in order
 *   RAW_WAITING ----------> RAW_RELAYING ------------------------------> RAW_ENDED
 *        |                       |  either side broke, the client's end was cut, nothing moved: both are reset
 *        +-----------------------+-----------------------------------------^
 *
 * It connects at once: the backend may speak first. Each side may end its writing while the other goes on; an end without
 * close_notify is no end (HARDENING T6). Above FLOW_HIGH_BYTES queued at one side the other is not read. One line of the
 * access log, when it is over. */
#ifndef FRONT_RAW_FRONT_H
#define FRONT_RAW_FRONT_H

#include "exchange/exchange.h"
#include "net/stream.h"
#include "upstream/pool.h"

enum raw_state { RAW_WAITING, RAW_RELAYING, RAW_ENDED };

struct raw_front {
    struct sink sink;      /* the client's events */
    struct http_user user; /* the backend's */
    struct stream *stream;
    struct exchange_env *env;
    const struct exchange_client *client;
    const struct config *config; /* held */
    const struct config_group *group;
    struct upstream *upstream; /* while RELAYING */
    struct pool_wait wait;
    struct arena arena;
    struct buf early; /* the client's bytes before there is a connection: one read at most */
    struct tick idle;
    enum raw_state state;
    bool client_ended, backend_ended;
    /* for the access log */
    int64_t started_wall_ms;
    uint64_t started_ms;
    uint64_t bytes_in, bytes_out;
    struct slice backend_text;
    const char *failure;                                     /* literal; NULL: it ended in order */
    void (*closed)(struct raw_front *front, struct err err); /* the stream's last event: the memory may be freed */
};

/* Takes the events of an established stream. `closed` is set by the caller before. */
void raw_front_open(struct raw_front *front, struct stream *stream, struct exchange_env *env,
                    const struct exchange_client *client, const struct config_group *group);

#endif
