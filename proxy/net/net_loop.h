/* net_loop: what every object on one uv loop shares: the read buffer, the output buffer of TLS, deadlines, deferred
 * calls, the graveyard, and the wall clock of this turn. One per thread; handed down by core. */
#ifndef NET_NET_LOOP_H
#define NET_NET_LOOP_H

#include "base/arena.h"
#include "base/limits.h"
#include "net/graveyard.h"
#include "net/outbuf.h"
#include "net/ticker.h"

#include <uv.h>

/* Embedded by whoever wants to be called later in this loop, before it polls again with an empty stack. */
struct deferred {
    struct list node;
    void (*run)(struct deferred *deferred);
};

struct net_loop {
    uv_loop_t *uv;
    struct ticker ticker;
    struct graveyard graveyard;
    struct outbuf outbuf;
    struct arena_spare arena_spare; /* of the requests of this loop */
    struct list deferred;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle;   /* active while a deferred call waits, so that the loop does not sleep */
    char *read_bytes;  /* READ_BUFFER_BYTES that every socket of this loop reads into */
    char *plain_bytes; /* READ_BUFFER_BYTES that every TLS stream decrypts into */
    bool plain_busy;   /* asserted: decryption never nests */
    int handles_open;  /* while closing */
};

/* Heap, because handles live in it. */
struct net_loop *net_loop_new(uv_loop_t *uv);
/* Closes the handles; frees itself once the loop has run their close callbacks. Not from within a tick. */
void net_loop_close(struct net_loop *loop);

void deferred_init(struct deferred *deferred, void (*run)(struct deferred *deferred));
/* A call that waits already is not doubled. */
void deferred_start(struct net_loop *loop, struct deferred *deferred);
void deferred_stop(struct deferred *deferred);

/* Monotonic milliseconds of this turn. */
static inline uint64_t net_loop_now_ms(const struct net_loop *loop)
{
    return uv_now(loop->uv);
}

#endif
