#include "base/json_write.h"

#include "base/limits.h"
#include "base/utf8.h"

#include <stdlib.h>

_Static_assert(LIMIT_JSON_DEPTH < 32, "a bit per level");

static void require(bool in_place)
{
    if (!in_place)
        abort();
}

struct json_writer json_writer_on(struct buf *out)
{
    return (struct json_writer){.out = out};
}

static uint32_t level_bit(const struct json_writer *w)
{
    return UINT32_C(1) << w->depth;
}

static bool in_object(const struct json_writer *w)
{
    return w->objects & level_bit(w);
}

static void comma(struct json_writer *w)
{
    if (w->not_first & level_bit(w))
        buf_append_char(w->out, ',');
    w->not_first |= level_bit(w);
}

/* What stands before any value: in an object a key must have come, outside of everything there is one value only. */
static void begin_value(struct json_writer *w)
{
    if (in_object(w)) {
        require(w->key_written);
        w->key_written = false;
        return;
    }
    require(w->depth > 0 || !(w->not_first & 1));
    comma(w);
}

static void open_level(struct json_writer *w, bool object)
{
    begin_value(w);
    require(w->depth < LIMIT_JSON_DEPTH);
    w->depth++;
    w->not_first &= ~level_bit(w);
    w->objects = object ? w->objects | level_bit(w) : w->objects & ~level_bit(w);
    buf_append_char(w->out, object ? '{' : '[');
}

static void close_level(struct json_writer *w, bool object)
{
    require(w->depth > 0 && in_object(w) == object && !w->key_written);
    w->depth--;
    buf_append_char(w->out, object ? '}' : ']');
}

void json_object(struct json_writer *w)
{
    open_level(w, true);
}

void json_end_object(struct json_writer *w)
{
    close_level(w, true);
}

void json_array(struct json_writer *w)
{
    open_level(w, false);
}

void json_end_array(struct json_writer *w)
{
    close_level(w, false);
}

static void quoted(struct buf *out, struct slice text)
{
    buf_append_char(out, '"');
    json_escape(out, text);
    buf_append_char(out, '"');
}

void json_key(struct json_writer *w, const char *key)
{
    require(in_object(w) && !w->key_written);
    comma(w);
    quoted(w->out, slice_str(key));
    buf_append_char(w->out, ':');
    w->key_written = true;
}

void json_string(struct json_writer *w, struct slice value)
{
    begin_value(w);
    quoted(w->out, value);
}

void json_int(struct json_writer *w, int64_t value)
{
    begin_value(w);
    buf_append_i64(w->out, value);
}

void json_bool(struct json_writer *w, bool value)
{
    begin_value(w);
    buf_append_str(w->out, value ? "true" : "false");
}

void json_null(struct json_writer *w)
{
    begin_value(w);
    buf_append_str(w->out, "null");
}

void json_raw(struct json_writer *w, struct slice value)
{
    require(value.len > 0);
    begin_value(w);
    buf_append_slice(w->out, value);
}

void json_put_string(struct json_writer *w, const char *key, struct slice value)
{
    json_key(w, key);
    json_string(w, value);
}

void json_put_str(struct json_writer *w, const char *key, const char *value)
{
    json_put_string(w, key, slice_str(value));
}

void json_put_int(struct json_writer *w, const char *key, int64_t value)
{
    json_key(w, key);
    json_int(w, value);
}

void json_put_bool(struct json_writer *w, const char *key, bool value)
{
    json_key(w, key);
    json_bool(w, value);
}

/* Printable ASCII that stands for itself; nearly all of what comes here. */
static bool is_plain(char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* The upper bit of each byte of `word` that is zero, and perhaps of bytes behind the first such. */
static inline uint64_t zero_bytes(uint64_t word)
{
    return (word - 0x0101010101010101) & ~word & 0x8080808080808080;
}

/* Whether is_plain holds for eight bytes: most of the time of a line of the access log is spent here. */
static inline bool are_plain(const char *bytes)
{
    uint64_t word, ones = 0x0101010101010101;
    memcpy(&word, bytes, sizeof word);
    uint64_t special =
        word | (word - 0x20 * ones) | (word + ones) | zero_bytes(word ^ '"' * ones) | zero_bytes(word ^ '\\' * ones);
    return !(special & 0x80 * ones);
}

static size_t num_plain(struct slice text)
{
    size_t num = 0;
    while (text.len - num >= sizeof(uint64_t) && are_plain(text.ptr + num))
        num += sizeof(uint64_t);
    bool last = num && text.len - num < sizeof(uint64_t); /* less than a word is left: with some of it once more */
    if (last && are_plain(text.ptr + text.len - sizeof(uint64_t)))
        return text.len;
    while (num < text.len && is_plain(text.ptr[num]))
        num++;
    return num;
}

static void escape_ascii(struct buf *out, unsigned char c)
{
    static const char hex[16] = "0123456789abcdef", from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    const char *found = memchr(from, c, sizeof from - 1);
    if (found) {
        buf_append(out, (char[]){'\\', to[found - from]}, 2);
        return;
    }
    buf_append(out, (char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
}

/* Escapes the character at the text's start, which is_plain does not let pass; returns its length. */
static size_t escape_char(struct buf *out, struct slice text)
{
    size_t len = utf8_char_len(text);
    unsigned char first = (unsigned char)text.ptr[0];
    if (len == 0) {
        buf_append_str(out, "\xef\xbf\xbd"); /* U+FFFD, the replacement character */
        return 1;
    }
    if (len == 1)
        escape_ascii(out, first);
    else if (first == 0xc2 && (unsigned char)text.ptr[1] < 0xa0) /* U+0080 to U+009F: controls to a terminal */
        escape_ascii(out, (unsigned char)text.ptr[1]);
    else
        buf_append(out, text.ptr, len);
    return len;
}

void json_escape(struct buf *out, struct slice value)
{
    while (value.len) {
        size_t plain = num_plain(value);
        buf_append(out, value.ptr, plain);
        value = slice_skip(value, plain);
        if (value.len)
            value = slice_skip(value, escape_char(out, value));
    }
}
