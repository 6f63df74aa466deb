#include "base/counters.h"

/* From what a small answer on one machine takes to what no person waits for. The clock of a loop counts milliseconds:
 * nothing finer can be told apart. */
static const uint64_t bounds_ms[NUM_DURATION_BUCKETS] = {1,   5,    10,   25,   50,    100,   250,
                                                         500, 1000, 2500, 5000, 10000, 30000, 0};

void counters_add_duration(struct counters *counters, uint64_t ms)
{
    int bucket = 0;
    while (bucket < NUM_DURATION_BUCKETS - 1 && ms > bounds_ms[bucket])
        bucket++;
    counters_add(counters, (enum counter)(COUNTER_DURATIONS + bucket), 1);
    counters_add(counters, COUNTER_DURATION_MS, ms);
}

uint64_t counters_duration_bound_ms(unsigned bucket)
{
    return bounds_ms[bucket];
}
