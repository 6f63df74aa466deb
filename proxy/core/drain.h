/* drain: when a process that was told to end closes its listeners and when it ends. Pure: handed what it sees, says what
 * is due. All times are milliseconds since the first signal. */
#ifndef CORE_DRAIN_H
#define CORE_DRAIN_H

#include <stdbool.h>
#include <stdint.h>

struct drain_view {
    int64_t min_ms, quiet_ms, timeout_ms; /* DRAIN_MIN, DRAIN_QUIET, DRAIN_TIMEOUT */
    int64_t now_ms;
    int64_t last_connection_ms; /* when the newest one came; negative: before the signal */
    uint64_t num_busy;          /* requests in the works */
    uint64_t num_tunnels;
    bool backend_refused;       /* it takes no connections any more: a native sidecar after its app has gone */
    bool listeners_closed;
};

enum drain_step {
    DRAIN_WAIT,
    DRAIN_CLOSE, /* the listeners; what is in flight goes on */
    DRAIN_CUT    /* everything ends now */
};

enum drain_step drain_next(const struct drain_view *view);

#endif
