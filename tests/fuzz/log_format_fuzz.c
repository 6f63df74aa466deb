/* log_format: whatever a field holds, the line is one line, has no control character, is JSON where it should be, and
 * keeps to its limit. The input is cut into fields at each byte of 0xfe. */
#include "base/json_read.h"
#include "base/limits.h"
#include "base/log_format.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { MOST_FIELDS = 12 };

static const char *const keys[MOST_FIELDS] = {"msg", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"};

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void check_line(const struct buf *line)
{
    require(line->len > 0 && line->len <= LIMIT_LOG_LINE_BYTES && line->ptr[line->len - 1] == '\n');
    for (size_t i = 0; i + 1 < line->len; i++)
        require((unsigned char)line->ptr[i] >= ' ' && line->ptr[i] != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct slice rest = slice_make(data, len);
    struct log_field fields[MOST_FIELDS];
    size_t num = 0;
    for (; rest.len && num < MOST_FIELDS; num++)
        fields[num] = LOG_SLICE(keys[num], slice_split(&rest, (char)0xfe));
    struct log_event event = {(int64_t)len, LOG_LEVEL_INFO, "fuzz", fields, num};
    struct buf line = {0};
    struct arena arena = {0};
    struct json *json;
    log_format_text(&line, &event);
    check_line(&line);
    line.len = 0;
    log_format_json(&line, &event);
    check_line(&line);
    struct err err = json_parse(&arena, buf_slice(&line), 0, &json);
    bool has_nul = len && memchr(data, 0, len); /* \u0000, which our own reader refuses */
    require(!err_is(err) || has_nul);
    arena_cleanup(&arena);
    buf_cleanup(&line);
    return 0;
}
