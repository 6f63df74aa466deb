#include "exchange/access_line.h"

#include "base/limits.h"

#include <time.h>

void access_line_put(struct json_writer *w, const char *key, struct slice value)
{
    if (value.len)
        json_put_string(w, key, slice_first(value, LIMIT_LOG_STRING_BYTES));
}

void access_line_append(struct buf *out, struct slice value)
{
    if (value.len == 0)
        buf_append_char(out, '-');
    else
        json_escape(out, slice_first(value, LIMIT_LOG_STRING_BYTES));
}

void access_line_begin_ncsa(struct buf *out, struct slice client, struct slice user, int64_t wall_ms)
{
    char stamp[64];
    struct tm tm;
    time_t seconds = (time_t)(wall_ms / 1000);
    gmtime_r(&seconds, &tm);
    strftime(stamp, sizeof stamp, " [%d/%b/%Y:%H:%M:%S +0000] \"", &tm);
    access_line_append(out, client);
    buf_append_str(out, " - ");
    access_line_append(out, user);
    buf_append_str(out, stamp);
}
