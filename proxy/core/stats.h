/* stats: a view of the whole process for whoever tells of it: metrics, status. Control thread; reads only what others
 * offer to be read. */
#ifndef CORE_STATS_H
#define CORE_STATS_H

#include "base/buf.h"
#include "certs/keeper.h"
#include "core/worker.h"

struct stats_view {
    struct worker *const *workers;
    size_t num_workers;
    const struct keeper *keeper; /* NULL: it has not begun, or has ended */
    const struct log *log;
    const char *version;
    int64_t started_s; /* wall clock */
    int64_t now_ms;    /* wall clock */
    int64_t max_conns;
    uint64_t control_lag_us;
    bool draining;
};

/* Of all workers. */
uint64_t stats_sum(const struct stats_view *view, enum counter counter);
uint64_t stats_num_conns(const struct stats_view *view);

#endif
