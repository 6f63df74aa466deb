/* ticker: many deadlines, few durations. Deadlines of one duration form a queue that is in order by itself, so that
 * arming one is a list append and no system call. One uv timer for all. Precise to TICKER_GRAIN_MS. One loop's thread.
 * Owns its timer and queues; never the ticks, which their owners embed. */
#ifndef NET_TICKER_H
#define NET_TICKER_H

#include "base/list.h"

#include <stdint.h>
#include <uv.h>

enum { TICKER_GRAIN_MS = 20 };

struct tick {
    struct list node;
    uint64_t due_ms;
    void (*expired)(struct tick *tick);
};

struct ticker {
    uv_timer_t timer;
    struct list queues;
    uint64_t armed_ms; /* when the timer fires; 0 while it is not armed */
};

void ticker_init(struct ticker *ticker, uv_loop_t *loop);
/* Forgets all ticks. The timer's handle is the caller's to close. */
void ticker_cleanup(struct ticker *ticker);

/* Once, before any other use of a tick. */
void tick_init(struct tick *tick, void (*expired)(struct tick *tick));
/* `expired` is called after timeout_ms, from the loop. A tick that is armed already is moved. */
void tick_start(struct ticker *ticker, struct tick *tick, uint64_t timeout_ms);
/* Harmless where it is not armed. */
void tick_stop(struct tick *tick);

static inline bool tick_armed(const struct tick *tick)
{
    return !list_empty(&tick->node);
}

#endif
