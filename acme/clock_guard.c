#include "acme/clock_guard.h"

#include "base/clock.h"

bool clock_guard_take(struct clock_guard *guard, struct slice date, int64_t wall_ms)
{
    int64_t date_s = 0;
    bool was_off = guard->off;
    if (!date.ptr || !clock_parse_http_date(slice_trim(date), &date_s))
        return false;
    guard->skew_ms = wall_ms - date_s * 1000;
    guard->off = guard->skew_ms > CLOCK_GUARD_MAX_SKEW_MS || guard->skew_ms < -CLOCK_GUARD_MAX_SKEW_MS;
    return guard->off != was_off;
}
