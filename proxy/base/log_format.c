#include "base/log_format.h"

#include "base/clock.h"
#include "base/json_write.h"
#include "base/limits.h"
#include "base/utf8.h"

/* Kept free for what says that a line was cut, and its end. */
enum { LINE_TAIL_BYTES = 32 };

static const char *level_name(enum log_level level)
{
    switch (level) {
    case LOG_LEVEL_DEBUG: return "debug";
    case LOG_LEVEL_INFO: return "info";
    case LOG_LEVEL_WARN: return "warn";
    case LOG_LEVEL_ERROR: return "error";
    }
    return "unknown";
}

/* The same, in capitals and of one width. */
static const char *level_column(enum log_level level)
{
    switch (level) {
    case LOG_LEVEL_DEBUG: return "DEBUG";
    case LOG_LEVEL_INFO: return "INFO ";
    case LOG_LEVEL_WARN: return "WARN ";
    case LOG_LEVEL_ERROR: return "ERROR";
    }
    return "?????";
}

/* A field of a string kind, which the text form puts before the others. */
static bool is_msg(const struct log_field *field)
{
    return field->kind == LOG_FIELD_STRING && strcmp(field->key, "msg") == 0;
}

/* What a field of a string kind says, cut to the limit; lies in `scratch` where it is not the field's own. */
static struct slice field_text(const struct log_field *field, char scratch[LIMIT_LOG_STRING_BYTES])
{
    struct slice ellipsis = SLICE_LIT("…");
    if (field->kind == LOG_FIELD_ERR)
        return slice_str(err_text(field->err, scratch, LIMIT_LOG_STRING_BYTES));
    if (field->string.len <= LIMIT_LOG_STRING_BYTES)
        return field->string;
    struct slice kept = utf8_first(field->string, LIMIT_LOG_STRING_BYTES - ellipsis.len);
    memcpy(scratch, kept.ptr, kept.len);
    memcpy(scratch + kept.len, ellipsis.ptr, ellipsis.len);
    return slice_make(scratch, kept.len + ellipsis.len);
}

static bool line_full(const struct buf *out, size_t start)
{
    return out->len - start > LIMIT_LOG_LINE_BYTES - LINE_TAIL_BYTES;
}

/* JSON */

static void put_json_field(struct json_writer *w, const struct log_field *field)
{
    char scratch[LIMIT_LOG_STRING_BYTES];
    switch (field->kind) {
    case LOG_FIELD_INT: json_put_int(w, field->key, field->number); break;
    case LOG_FIELD_BOOL: json_put_bool(w, field->key, field->number != 0); break;
    case LOG_FIELD_STRING:
    case LOG_FIELD_ERR: json_put_string(w, field->key, field_text(field, scratch)); break;
    }
}

void log_format_json(struct buf *out, const struct log_event *event)
{
    char time[CLOCK_TEXT_BYTES];
    size_t start = out->len;
    struct json_writer w = json_writer_on(out);
    json_object(&w);
    json_put_str(&w, "ts", clock_rfc3339(event->wall_ms, time));
    json_put_str(&w, "level", level_name(event->level));
    json_put_str(&w, "event", event->name);
    for (size_t i = 0; i < event->num_fields; i++) {
        size_t before = out->len;
        put_json_field(&w, &event->fields[i]);
        if (line_full(out, start)) {
            out->len = before;
            json_put_bool(&w, "truncated", true);
            break;
        }
    }
    json_end_object(&w);
    buf_append_char(out, '\n');
}

/* Text */

/* Everything but a quotation mark: in a sentence it needs no escape. */
static void put_sentence(struct buf *out, struct slice text)
{
    for (size_t at = 0, from = 0; at <= text.len; at++)
        if (at == text.len || text.ptr[at] == '"') {
            json_escape(out, slice_first(slice_skip(text, from), at - from));
            buf_append(out, "\"", at < text.len);
            from = at + 1;
        }
}

static bool is_bare(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= ' ' || text.ptr[i] >= 0x7f || strchr("\"\\=", text.ptr[i]))
            return false;
    return text.len > 0;
}

static void put_text_value(struct buf *out, const struct log_field *field)
{
    char scratch[LIMIT_LOG_STRING_BYTES];
    struct slice text;
    switch (field->kind) {
    case LOG_FIELD_INT: buf_append_i64(out, field->number); break;
    case LOG_FIELD_BOOL: buf_append_str(out, field->number ? "true" : "false"); break;
    case LOG_FIELD_STRING:
    case LOG_FIELD_ERR:
        text = field_text(field, scratch);
        if (is_bare(text)) {
            buf_append_slice(out, text);
            break;
        }
        buf_append_char(out, '"');
        json_escape(out, text);
        buf_append_char(out, '"');
        break;
    }
}

static void put_msg(struct buf *out, const struct log_event *event)
{
    char scratch[LIMIT_LOG_STRING_BYTES];
    for (size_t i = 0; i < event->num_fields; i++)
        if (is_msg(&event->fields[i])) {
            buf_append_char(out, ' ');
            put_sentence(out, field_text(&event->fields[i], scratch));
        }
}

void log_format_text(struct buf *out, const struct log_event *event)
{
    char time[CLOCK_TEXT_BYTES];
    size_t start = out->len;
    buf_append_str(out, clock_rfc3339(event->wall_ms, time));
    buf_append_char(out, ' ');
    buf_append_str(out, level_column(event->level));
    buf_append_char(out, ' ');
    buf_append_str(out, event->name);
    put_msg(out, event);
    for (size_t i = 0; i < event->num_fields; i++) {
        size_t before = out->len;
        if (is_msg(&event->fields[i]))
            continue;
        buf_append_char(out, ' ');
        buf_append_str(out, event->fields[i].key);
        buf_append_char(out, '=');
        put_text_value(out, &event->fields[i]);
        if (line_full(out, start)) {
            out->len = before;
            buf_append_str(out, " truncated=true");
            break;
        }
    }
    buf_append_char(out, '\n');
}
