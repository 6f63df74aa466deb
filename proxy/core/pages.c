#include "core/pages.h"

static void pages_health(struct admin_answer *answer, bool well, const char *otherwise)
{
    answer->status = well ? 200 : 503;
    buf_append_str(&answer->body, well ? "ok\n" : otherwise);
}

bool pages_get(const struct pages_view *view, struct slice path, bool local, struct admin_answer *out_answer)
{
    if (slice_eq(path, SLICE_LIT("/livez"))) {
        pages_health(out_answer, view->alive, "a worker has not turned for 10 s\n");
    } else if (slice_eq(path, SLICE_LIT("/readyz"))) {
        pages_health(out_answer, view->started && !view->stats.draining, view->started ? "draining\n" : "starting\n");
    } else if (slice_eq(path, SLICE_LIT("/startupz"))) {
        pages_health(out_answer, view->started, "the store is being loaded\n");
    } else if (slice_eq(path, SLICE_LIT("/metrics"))) {
        out_answer->content_type = "text/plain; version=0.0.4; charset=utf-8";
        stats_write_metrics(&view->stats, &out_answer->body);
    } else if (slice_eq(path, SLICE_LIT("/status")) && local) {
        out_answer->content_type = "application/json";
        stats_write_status(&view->stats, &out_answer->body);
    } else {
        return false;
    }
    return true;
}
