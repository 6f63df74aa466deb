/* alarm: one call at a point of monotonic time that may be anything, over a ticker that is made for few durations: it
 * approaches its time in steps of 20 ms times a power of two. Precise to about TICKER_GRAIN_MS. One loop's thread.
 *
 * Embedded by its owner. The time is the given clock's, so that tests can run it at their own speed; where that clock
 * jumps, alarm_check looks at it at once. */
#ifndef CERTS_ALARM_H
#define CERTS_ALARM_H

#include "base/clock.h"
#include "net/net_loop.h"

struct alarm {
    struct net_loop *loop;
    const struct clock *clock;
    struct tick tick;
    struct deferred now;
    int64_t due_ms; /* INT64_MAX: not set */
    void (*rings)(struct alarm *alarm);
};

void alarm_init(struct alarm *alarm, struct net_loop *loop, const struct clock *clock,
                void (*rings)(struct alarm *alarm));
/* Rings once, at mono_ms or as soon as possible, never from within the call. Replaces what was set; INT64_MAX: never. */
void alarm_set(struct alarm *alarm, int64_t mono_ms);
/* The clock may have moved. */
void alarm_check(struct alarm *alarm);
void alarm_stop(struct alarm *alarm);

#endif
