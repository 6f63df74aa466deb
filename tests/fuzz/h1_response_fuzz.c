/* Answers of a broken backend. What is accepted goes to the client in a form that is accepted again and stays the same;
 * the verdict does not depend on how the bytes were cut. */
#include "h1_run.h"

static const struct h1_limits again_limits = {1 << 20, 1000, 0, 0};

static void check(bool good)
{
    if (!good)
        abort();
}

static void check_cut(const struct h1_run *options, struct slice input, const struct h1_run *whole, size_t first,
                      size_t step)
{
    struct h1_run run = *options;
    h1_run_all(&run, input, first, step);
    check(slice_eq(buf_slice(&run.transcript), buf_slice(&whole->transcript)) && run.num_dropped == whole->num_dropped);
    check(run.status == 0 || run.status == 502);
    h1_run_cleanup(&run);
}

static void check_again(const struct h1_run *options, const struct h1_run *whole)
{
    struct h1_run again = *options;
    again.limits = again_limits;
    h1_run_all(&again, buf_slice(&whole->sent), SIZE_MAX, SIZE_MAX);
    /* an error of the first run may have left interim answers alone: then the second is cut */
    check(again.status == 0 || whole->status != 0);
    check(slice_eq(buf_slice(&again.sent), buf_slice(&whole->sent)));
    h1_run_cleanup(&again);
}

/* The first byte chooses what was asked. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 1)
        return 0;
    const struct h1_run options = {
        .kind = H1_RESPONSE,
        .asked = data[0] & 1 ? METHOD_HEAD : METHOD_GET,
        .upgrade_asked = data[0] & 2,
    };
    struct slice input = slice_make(data + 1, len - 1);
    struct h1_run whole = options;
    h1_run_all(&whole, input, SIZE_MAX, SIZE_MAX);
    check_cut(&options, input, &whole, 1, 1);
    check_cut(&options, input, &whole, data[0] >> 2, SIZE_MAX);
    check_again(&options, &whole);
    h1_run_cleanup(&whole);
    return 0;
}
