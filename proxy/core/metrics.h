/* metrics: the families of /metrics: what they are called, what they mean, where their figures come from. Labels are
 * bounded: by the configuration (names, LIMIT_METRIC_NAMES of them), by enums, by the number of workers; never by what a
 * client sends. Control thread; reads only what others offer to be read. */
#ifndef CORE_METRICS_H
#define CORE_METRICS_H

#include "core/cursor.h"
#include "core/exposition.h"
#include "core/stats.h"

/* The next part of the page; true while there is more. */
bool metrics_write(const struct stats_view *view, bool open_metrics, struct cursor *cursor, struct buf *out);

#endif
