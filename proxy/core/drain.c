#include "core/drain.h"

enum drain_step drain_next(const struct drain_view *view)
{
    if (view->now_ms >= view->timeout_ms)
        return DRAIN_CUT;
    if (view->listeners_closed)
        return DRAIN_WAIT; /* the workers end by themselves when their last connection has gone */
    if (view->backend_refused && view->num_busy == 0 && view->num_tunnels == 0)
        return DRAIN_CLOSE;
    if (view->now_ms >= view->timeout_ms / 4 * 3)
        return DRAIN_CLOSE;
    int64_t quiet_since_ms = view->last_connection_ms > 0 ? view->last_connection_ms : 0;
    if (view->now_ms >= view->min_ms && view->now_ms - quiet_since_ms >= view->quiet_ms)
        return DRAIN_CLOSE;
    return DRAIN_WAIT;
}
