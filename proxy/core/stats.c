#include "core/stats.h"

uint64_t stats_sum(const struct stats_view *view, enum counter counter)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < view->num_workers; i++)
        sum += counters_get(worker_counters(view->workers[i]), counter);
    return sum;
}

uint64_t stats_num_conns(const struct stats_view *view)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < view->num_workers; i++)
        sum += worker_load(view->workers[i]).num_conns;
    return sum;
}
