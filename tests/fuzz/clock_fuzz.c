/* clock: no text is read past its end, and a date that is read comes out again. */
#include "base/clock.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(int64_t at_s)
{
    char text[CLOCK_TEXT_BYTES];
    int64_t again_s;
    int64_t first_s = clock_from_civil(0, 1, 1, 0, 0, 0), end_s = clock_from_civil(10000, 1, 1, 0, 0, 0);
    clock_rfc3339(at_s * 1000, text);
    if (!clock_parse_rfc3339(slice_str(text), &again_s))
        abort();
    if (at_s >= first_s && at_s < end_s && again_s != at_s) /* an offset may lead out of the four-digit years */
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    int64_t at_s;
    if (clock_parse_http_date(slice_make(data, len), &at_s))
        check(at_s);
    if (clock_parse_rfc3339(slice_make(data, len), &at_s))
        check(at_s);
    return 0;
}
