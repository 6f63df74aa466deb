/* Headers of the PROXY protocol from a hostile sender. The verdict does not depend on how the bytes came; what is read
 * and written again reads the same. */
#include "net/proxy_line.h"

#include "base/limits.h"

#include <stdlib.h>

static void check(bool good)
{
    if (!good)
        abort();
}

static bool same(const struct proxy_line *a, const struct proxy_line *b)
{
    return a->known == b->known && a->local == b->local &&
           (!a->known || (memcmp(&a->from.ip, &b->from.ip, 16) == 0 && memcmp(&a->to.ip, &b->to.ip, 16) == 0 &&
                          a->from.port == b->from.port && a->to.port == b->to.port));
}

static void check_again(const struct proxy_line *line, unsigned version)
{
    struct buf out = {0};
    struct proxy_line again;
    size_t len = 0;
    const char *why;
    struct proxy_line_tls tls = {.version = SLICE_LIT("TLSv1.3")};
    if (version == 1)
        proxy_line_write_v1(&out, line);
    else
        proxy_line_write_v2(&out, line, line->from.port & 1 ? &tls : NULL);
    check(proxy_line_read(buf_slice(&out), &again, &len, &why) == PROXY_LINE_DONE && len == out.len);
    check(version == 1 || same(line, &again));
    check(line->local || same(line, &again));
    buf_cleanup(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct proxy_line line, cut_line;
    size_t used = 0, cut_used = 0;
    const char *why = NULL;
    if (len < 1)
        return 0;
    struct slice bytes = slice_make(data + 1, len - 1);
    enum proxy_line_verdict cut = PROXY_LINE_MORE, whole = proxy_line_read(bytes, &line, &used, &why);
    size_t step = data[0] % 16u + 1;
    for (size_t n = 0; n < bytes.len && cut == PROXY_LINE_MORE;) {
        n = n + step < bytes.len ? n + step : bytes.len;
        cut = proxy_line_read(slice_first(bytes, n), &cut_line, &cut_used, &why);
    }
    check(cut == whole);
    check(whole != PROXY_LINE_ERROR || why);
    check(whole != PROXY_LINE_MORE || bytes.len < LIMIT_PROXY_LINE_BYTES);
    if (whole != PROXY_LINE_DONE)
        return 0;
    check(used == cut_used && used <= bytes.len && used <= LIMIT_PROXY_LINE_BYTES && same(&line, &cut_line));
    check_again(&line, 1);
    check_again(&line, 2);
    return 0;
}
