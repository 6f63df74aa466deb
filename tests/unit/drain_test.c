#include "core/drain.h"

#include "check.h"

/* PRODUCT.md's defaults: min 0, quiet 2 s, timeout 8 s. */
static struct drain_view view_at(int64_t now_ms)
{
    return (struct drain_view){
        .min_ms = 0, .quiet_ms = 2000, .timeout_ms = 8000, .now_ms = now_ms, .last_connection_ms = -5000};
}

static void listeners_stay_open_until_it_is_quiet(void)
{
    struct drain_view view = view_at(1999);
    CHECK_INT(drain_next(&view), DRAIN_WAIT);
    view = view_at(2000);
    CHECK_INT(drain_next(&view), DRAIN_CLOSE);
    view.last_connection_ms = 1000;
    CHECK_INT(drain_next(&view), DRAIN_WAIT);
    view.now_ms = 3000;
    CHECK_INT(drain_next(&view), DRAIN_CLOSE);
}

static void they_close_at_three_quarters_however_busy(void)
{
    struct drain_view view = view_at(5999);
    view.last_connection_ms = 5900;
    CHECK_INT(drain_next(&view), DRAIN_WAIT);
    view.now_ms = 6000;
    CHECK_INT(drain_next(&view), DRAIN_CLOSE);
}

static void the_minimum_is_kept(void)
{
    struct drain_view view = view_at(4000);
    view.min_ms = 5000;
    CHECK_INT(drain_next(&view), DRAIN_WAIT);
    view.now_ms = 5000;
    CHECK_INT(drain_next(&view), DRAIN_CLOSE);
}

static void in_flight_work_has_until_the_timeout(void)
{
    struct drain_view view = view_at(7999);
    view.listeners_closed = true;
    view.num_busy = 3;
    CHECK_INT(drain_next(&view), DRAIN_WAIT);
    view.now_ms = 8000;
    CHECK_INT(drain_next(&view), DRAIN_CUT);
}

static void without_a_backend_and_work_there_is_nothing_to_wait_for(void)
{
    struct drain_view view = view_at(10);
    view.backend_refused = true;
    CHECK_INT(drain_next(&view), DRAIN_CLOSE);
    view.num_tunnels = 1;
    CHECK_INT(drain_next(&view), DRAIN_WAIT);
    view.num_tunnels = 0;
    view.num_busy = 1;
    CHECK_INT(drain_next(&view), DRAIN_WAIT);
}

int main(void)
{
    RUN(listeners_stay_open_until_it_is_quiet);
    RUN(they_close_at_three_quarters_however_busy);
    RUN(the_minimum_is_kept);
    RUN(in_flight_work_has_until_the_timeout);
    RUN(without_a_backend_and_work_there_is_nothing_to_wait_for);
    return checks_done();
}
