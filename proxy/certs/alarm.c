#include "certs/alarm.h"

enum { ALARM_LEAST_MS = TICKER_GRAIN_MS, ALARM_DOUBLINGS = 11 }; /* 20 ms to 41 s */

static void alarm_approach(struct alarm *alarm)
{
    int64_t left_ms = alarm->due_ms - alarm->clock->mono_ms(alarm->clock);
    uint64_t step_ms = ALARM_LEAST_MS;
    tick_stop(&alarm->tick);
    if (left_ms <= 0) {
        deferred_start(alarm->loop, &alarm->now);
        return;
    }
    for (int i = 0; i < ALARM_DOUBLINGS && (int64_t)(step_ms * 2) <= left_ms; i++)
        step_ms *= 2;
    tick_start(&alarm->loop->ticker, &alarm->tick, step_ms);
}

static void alarm_ticked(struct tick *tick)
{
    alarm_approach(container_of(tick, struct alarm, tick));
}

static void alarm_due(struct deferred *deferred)
{
    struct alarm *alarm = container_of(deferred, struct alarm, now);
    alarm->due_ms = INT64_MAX;
    alarm->rings(alarm);
}

void alarm_init(struct alarm *alarm, struct net_loop *loop, const struct clock *clock,
                void (*rings)(struct alarm *alarm))
{
    *alarm = (struct alarm){.loop = loop, .clock = clock, .due_ms = INT64_MAX, .rings = rings};
    tick_init(&alarm->tick, alarm_ticked);
    deferred_init(&alarm->now, alarm_due);
}

void alarm_set(struct alarm *alarm, int64_t mono_ms)
{
    alarm_stop(alarm);
    alarm->due_ms = mono_ms;
    if (mono_ms != INT64_MAX)
        alarm_approach(alarm);
}

void alarm_check(struct alarm *alarm)
{
    if (alarm->due_ms != INT64_MAX)
        alarm_approach(alarm);
}

void alarm_stop(struct alarm *alarm)
{
    alarm->due_ms = INT64_MAX;
    tick_stop(&alarm->tick);
    deferred_stop(&alarm->now);
}
