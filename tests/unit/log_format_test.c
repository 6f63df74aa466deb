#include "base/log_format.h"

#include "base/json_read.h"
#include "base/limits.h"
#include "check.h"

#include <errno.h>

static struct log_event event_of(const struct log_field *fields, size_t num_fields)
{
    return (struct log_event){1795472193123, LOG_LEVEL_INFO, "certificate_published", fields, num_fields};
}

static void json_line(void)
{
    struct log_field fields[] = {LOG_STR("name", "a.example"), LOG_INT("days", -3), LOG_BOOL("new", true),
                                 LOG_ERR("err", err_make(ERR_SYSTEM, ENOSPC, "write")), LOG_STR("empty", NULL)};
    struct log_event event = event_of(fields, 5);
    struct buf out = {0};
    log_format_json(&out, &event);
    CHECK_SLICE(buf_slice(&out),
                "{\"ts\":\"2026-11-23T22:16:33.123Z\",\"level\":\"info\",\"event\":\"certificate_published\","
                "\"name\":\"a.example\",\"days\":-3,\"new\":true,\"err\":\"write: No space left on device\","
                "\"empty\":\"\"}\n");
    buf_cleanup(&out);
}

static void text_line(void)
{
    struct log_field fields[] = {LOG_STR("name", "a.example"),
                                 LOG_INT("days", -3),
                                 LOG_BOOL("new", false),
                                 LOG_STR("msg", "a \"quoted\" name\nis here"),
                                 LOG_ERR("err", err_make(ERR_TIMEOUT, 0, "x")),
                                 LOG_STR("empty", ""),
                                 LOG_STR("q", "a\"b"),
                                 LOG_STR("eq", "a=b"),
                                 LOG_STR("utf", "ä"),
                                 LOG_STR("del", "a\x7f"),
                                 LOG_STR("path", "/a?b&c")};
    struct log_event event = event_of(fields, 11);
    struct buf out = {0};
    event.level = LOG_LEVEL_WARN;
    log_format_text(&out, &event);
    CHECK_SLICE(buf_slice(&out),
                "2026-11-23T22:16:33.123Z WARN  certificate_published a \"quoted\" name\\nis here "
                "name=a.example days=-3 new=false err=\"x: timed out\" empty=\"\" q=\"a\\\"b\" eq=\"a=b\" "
                "utf=\"ä\" del=\"a\\u007f\" path=/a?b&c\n");
    buf_cleanup(&out);
}

static void levels_have_names(void)
{
    static const char *const text[] = {" DEBUG e\n", " INFO  e\n", " WARN  e\n", " ERROR e\n"};
    static const char *const json[] = {"\"debug\"", "\"info\"", "\"warn\"", "\"error\""};
    for (int level = LOG_LEVEL_DEBUG; level <= LOG_LEVEL_ERROR; level++) {
        struct log_event event = {0, (enum log_level)level, "e", NULL, 0};
        struct buf out = {0};
        log_format_text(&out, &event);
        CHECK(slice_ends(buf_slice(&out), slice_str(text[level])));
        out.len = 0;
        log_format_json(&out, &event);
        CHECK(strstr(buf_cstr(&out), json[level]) != NULL);
        buf_cleanup(&out);
    }
}

/* HARDENING: whatever a peer sends, a line stays one line and means what it says. */
static void hostile_strings_stay_in_their_line(void)
{
    struct slice hostile = SLICE_LIT("x\n{\"event\":\"forged\"}\r\x1b[2J\xc2\x9b\x00\xff\"\\");
    struct log_field fields[] = {LOG_SLICE("msg", hostile), LOG_SLICE("sni", hostile)};
    struct log_event event = event_of(fields, 2);
    struct buf out = {0};
    for (int json = 0; json < 2; json++) {
        out.len = 0;
        if (json)
            log_format_json(&out, &event);
        else
            log_format_text(&out, &event);
        for (size_t i = 0; i + 1 < out.len; i++)
            CHECK((unsigned char)out.ptr[i] >= ' ' && out.ptr[i] != 0x7f);
        CHECK(!strstr(buf_cstr(&out), "\xc2\x9b"));
        CHECK_INT(out.ptr[out.len - 1], '\n');
    }
    buf_cleanup(&out);
}

static struct json *parse(struct arena *arena, const struct buf *line)
{
    struct json *json = NULL;
    CHECK(!err_is(json_parse(arena, buf_slice(line), 0, &json)));
    return json;
}

/* What stands in the buffer already is no part of the line. */
static void lines_are_measured_from_their_start(void)
{
    struct log_field field = LOG_STR("name", "a.example");
    struct log_event event = event_of(&field, 1);
    struct buf out = {0};
    for (int i = 0; i < LIMIT_LOG_LINE_BYTES; i++)
        buf_append_char(&out, 'x');
    log_format_text(&out, &event);
    CHECK(slice_ends(buf_slice(&out),
                     SLICE_LIT("x2026-11-23T22:16:33.123Z INFO  certificate_published name=a.example\n")));
    log_format_json(&out, &event);
    CHECK(slice_ends(buf_slice(&out), SLICE_LIT("\"name\":\"a.example\"}\n")));
    buf_cleanup(&out);
}

static void strings_are_cut(void)
{
    char text[1000];
    struct arena arena = {0};
    struct buf out = {0};
    memset(text, 'a', sizeof text);
    struct slice euro = SLICE_LIT("€"); /* across the place of the cut */
    memcpy(text + LIMIT_LOG_STRING_BYTES - 4, euro.ptr, euro.len);
    struct log_field fields[] = {LOG_SLICE("at_limit", slice_make(text, LIMIT_LOG_STRING_BYTES)),
                                 LOG_SLICE("over", slice_make(text, LIMIT_LOG_STRING_BYTES + 1)),
                                 LOG_SLICE("far_over", slice_make(text, sizeof text))};
    struct log_event event = event_of(fields, 3);
    log_format_json(&out, &event);
    struct json *json = parse(&arena, &out);
    CHECK_MEM(json_get_string(json, "at_limit").ptr, json_get_string(json, "at_limit").len, text,
              LIMIT_LOG_STRING_BYTES);
    struct slice over = json_get_string(json, "over");
    CHECK(slice_ends(over, SLICE_LIT("aa…")));
    CHECK_INT(over.len, LIMIT_LOG_STRING_BYTES - 4 + 3);
    CHECK(slice_eq(over, json_get_string(json, "far_over")));
    arena_cleanup(&arena);
    buf_cleanup(&out);
}

static void lines_are_cut_between_fields(void)
{
    enum { FIELDS = 100 };
    char text[LIMIT_LOG_STRING_BYTES];
    struct log_field fields[FIELDS];
    struct arena arena = {0};
    struct buf out = {0};
    memset(text, 1, sizeof text); /* six bytes each when escaped */
    for (int i = 0; i < FIELDS; i++)
        fields[i] = LOG_SLICE("field", slice_make(text, sizeof text - (size_t)i));
    fields[0].key = "first";
    struct log_event event = event_of(fields, FIELDS);
    for (size_t num = 0; num < FIELDS; num++) {
        out.len = 0;
        event.fields = fields + num;
        event.num_fields = FIELDS - num;
        log_format_text(&out, &event);
        CHECK(out.len <= LIMIT_LOG_LINE_BYTES);
        size_t want_len = strlen("2026-11-23T22:16:33.123Z INFO  certificate_published");
        for (size_t i = num; i < FIELDS; i++)
            want_len += strlen(" field=\"\"") + 6 * fields[i].string.len;
        bool want_cut = want_len > LIMIT_LOG_LINE_BYTES - 32;
        CHECK(slice_ends(buf_slice(&out), SLICE_LIT(" truncated=true\n")) == want_cut);
        CHECK(want_cut || out.len == want_len + 1);
    }
    out.len = 0;
    event.fields = fields;
    event.num_fields = 2;
    log_format_json(&out, &event); /* the keys of a real event differ */
    CHECK(json_get(parse(&arena, &out), "first") && !json_get_bool(parse(&arena, &out), "truncated"));
    out.len = 0;
    event.num_fields = FIELDS;
    log_format_json(&out, &event);
    CHECK(out.len <= LIMIT_LOG_LINE_BYTES);
    CHECK(slice_ends(buf_slice(&out), SLICE_LIT("\"truncated\":true}\n")));
    arena_cleanup(&arena);
    buf_cleanup(&out);
}

int main(void)
{
    RUN(json_line);
    RUN(text_line);
    RUN(levels_have_names);
    RUN(hostile_strings_stay_in_their_line);
    RUN(lines_are_measured_from_their_start);
    RUN(strings_are_cut);
    RUN(lines_are_cut_between_fields);
    return checks_done();
}
