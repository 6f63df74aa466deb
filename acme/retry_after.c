#include "acme/retry_after.h"

#include "base/clock.h"

enum { RETRY_AFTER_MAX_S = 30 * 24 * 3600 }; /* only so that arithmetic stays small; policy is in backoff */

int64_t retry_after_ms(struct slice retry_after, struct slice date, int64_t now_s)
{
    struct slice value = slice_trim(retry_after);
    uint64_t seconds = 0;
    int64_t until_s = 0, base_s = now_s;
    if (value.len == 0)
        return 0;
    if (slice_decimal(value, UINT64_MAX / 2, &seconds))
        return (int64_t)(seconds < RETRY_AFTER_MAX_S ? seconds : RETRY_AFTER_MAX_S) * 1000;
    if (!clock_parse_http_date(value, &until_s))
        return 0;
    if (!date.ptr || !clock_parse_http_date(slice_trim(date), &base_s))
        base_s = now_s;
    if (until_s <= base_s)
        return 0;
    int64_t wait_s = until_s - base_s;
    return (wait_s < RETRY_AFTER_MAX_S ? wait_s : RETRY_AFTER_MAX_S) * 1000;
}
