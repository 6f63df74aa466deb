/* pages: what the admin endpoint answers: health for probes, metrics, status (PRODUCT.md, "Health and admin"). Pure:
 * handed a view of the process. Control thread. */
#ifndef CORE_PAGES_H
#define CORE_PAGES_H

#include "core/admin.h"
#include "core/stats.h"

struct pages_view {
    struct stats_view stats;
    bool started; /* configuration read, store loaded, listeners bound */
    bool alive;   /* every worker has turned lately */
};

/* False: there is no such page, or not for a peer that is not local. */
bool pages_get(const struct pages_view *view, struct slice path, bool local, struct admin_answer *out_answer);

#endif
