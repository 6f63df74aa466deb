/* stats: figures for people and machines: metrics in the Prometheus text form, status as JSON. Control thread; reads only
 * what others offer to be read. */
#ifndef CORE_STATS_H
#define CORE_STATS_H

#include "base/buf.h"
#include "certs/keeper.h"
#include "core/worker.h"

struct stats_view {
    struct worker *const *workers;
    size_t num_workers;
    const struct keeper *keeper;
    const struct log *log;
    const char *version;
    int64_t started_s; /* wall clock */
    bool draining;
};

void stats_write_metrics(const struct stats_view *view, struct buf *out);
void stats_write_status(const struct stats_view *view, struct buf *out);

#endif
