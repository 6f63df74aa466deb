/* pages: what the admin endpoint answers, and to whom: health for probes, metrics, status, the status page, the drain
 * (PRODUCT.md, "Health and admin"). Pure: handed a view of the process. Control thread. */
#ifndef CORE_PAGES_H
#define CORE_PAGES_H

#include "core/admin.h"
#include "core/stats.h"

struct pages_view {
    struct stats_view stats;
    struct slice token;    /* ADMIN_TOKEN; empty: none */
    bool started;          /* configuration read, store loaded, listeners bound */
    bool alive;            /* every worker has turned lately */
    const char *not_ready; /* why READY_REQUIRES does not hold, a literal; NULL: it holds */
    struct keeper *keeper; /* for commands; NULL: none so far */
    uint64_t nonce[2];     /* fresh random bits, for the page's Content-Security-Policy */
    void *ctx;
    void (*drain)(void *ctx); /* begins one soon, never from within */
};

/* Fills *answer, which is a 200 in plain text with nothing in it. */
void pages_answer(const struct pages_view *view, const struct admin_request *request, struct admin_answer *answer);

#endif
