/* counters: figures that one thread writes and another reads.
 *
 * Each worker owns one struct counters and is the only one to write it, with relaxed stores and no locked
 * instruction; control adds them up for the admin endpoint. */
#ifndef BASE_COUNTERS_H
#define BASE_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

#define COUNTERS(X)         \
    X(CONNS_ACCEPTED)       \
    X(CONNS_CLOSED)         \
    X(PROXY_LINES_REFUSED)  \
    X(HANDSHAKES_FULL)      \
    X(HANDSHAKES_RESUMED)   \
    X(HANDSHAKES_FAILED)    \
    X(REQUESTS)             \
    X(REQUESTS_HTTP2)       \
    X(RESPONSES_1XX)        \
    X(RESPONSES_2XX)        \
    X(RESPONSES_3XX)        \
    X(RESPONSES_4XX)        \
    X(RESPONSES_5XX)        \
    X(RESPONSES_HTTP2_1XX)  \
    X(RESPONSES_HTTP2_2XX)  \
    X(RESPONSES_HTTP2_3XX)  \
    X(RESPONSES_HTTP2_4XX)  \
    X(RESPONSES_HTTP2_5XX)  \
    X(DURATION_MS)          \
    X(EXCHANGES_ABORTED)    \
    X(FIELDS_DROPPED)       \
    X(TUNNELS)              \
    X(BYTES_FROM_CLIENTS)   \
    X(BYTES_TO_CLIENTS)     \
    X(COMPRESSED_BYTES_IN)  \
    X(COMPRESSED_BYTES_OUT) \
    X(UPSTREAM_CONNECTS)    \
    X(UPSTREAM_REUSES)      \
    X(UPSTREAM_RETRIES)     \
    X(UPSTREAM_FAILURES)    \
    X(UPSTREAM_EJECTIONS)   \
    X(UPSTREAM_RETURNS)     \
    X(UPSTREAM_QUEUED)      \
    X(PASSWORDS_CHECKED)    \
    X(CHALLENGES_ANSWERED)  \
    X(CERTSETS_APPLIED)

enum {
    NUM_DURATION_BUCKETS = 14, /* the last without a bound */
    NUM_TLS_SUITES = 10,       /* tls/tls_figures.h names them */
    NUM_TLS_FAILURES = 9
};

/* REQUESTS and RESPONSES_nXX: HTTP/1.x alone. What follows the list are ranges: a bucket, a suite, a reason each. */
enum counter {
#define X(name) COUNTER_##name,
    COUNTERS(X)
#undef X
        COUNTER_DURATIONS,
    COUNTER_SUITES = COUNTER_DURATIONS + NUM_DURATION_BUCKETS, /* full handshakes, then resumed ones */
    COUNTER_TLS_FAILURES = COUNTER_SUITES + 2 * NUM_TLS_SUITES,
    NUM_COUNTERS = COUNTER_TLS_FAILURES + NUM_TLS_FAILURES
};

struct counters {
    _Alignas(64) _Atomic uint64_t values[NUM_COUNTERS];
};

/* The owning thread only. */
static inline void counters_add(struct counters *counters, enum counter which, uint64_t more)
{
    uint64_t value = atomic_load_explicit(&counters->values[which], memory_order_relaxed);
    atomic_store_explicit(&counters->values[which], value + more, memory_order_relaxed);
}

/* The owning thread only: one request that took so long, into its bucket and the sum. */
void counters_add_duration(struct counters *counters, uint64_t ms);
/* The upper bound of a bucket, inclusive; that of the last is 0: none. */
uint64_t counters_duration_bound_ms(unsigned bucket);

/* Any thread. */
static inline uint64_t counters_get(const struct counters *counters, enum counter which)
{
    return atomic_load_explicit(&counters->values[which], memory_order_relaxed);
}

#endif
