#include "base/json_read.h"

#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "check.h"

#include <time.h>

static struct err parse(struct arena *arena, struct slice text, struct json **out)
{
    return json_parse(arena, text, 0, out);
}

static void a_real_document(void)
{
    struct arena arena = {0};
    struct json *order = NULL;
    CHECK(
        !err_is(parse(&arena,
                      SLICE_LIT(" {\"status\":\"pending\",\"expires\":\"2026-01-05T14:09:07.99Z\",\"identifiers\":["
                                "{\"type\":\"dns\",\"value\":\"www.example.org\"},{\"type\":\"dns\",\"value\":\"b\"}],"
                                "\"authorizations\":[],\"n\":-12,\"wild\":true,\"off\":false,\"nil\":null,\"f\":1.5e3,"
                                "\"esc\":\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u20ac\\ud83d\\ude00z\"} \r\n\t"),
                      &order)));
    CHECK_INT(order->kind, JSON_OBJECT);
    CHECK_INT(order->num, 10);
    CHECK_SLICE(json_get_string(order, "status"), "pending");
    CHECK_SLICE(json_get_string(order, "esc"), "a\"\\/\b\f\n\r\t€😀z");
    CHECK_INT(json_get_string(order, "esc").ptr[json_get_string(order, "esc").len], '\0');
    const struct json *first = json_get_array(order, "identifiers");
    CHECK_SLICE(json_get_string(first, "value"), "www.example.org");
    CHECK_SLICE(json_get_string(first->next, "value"), "b");
    CHECK(first->next->next == NULL);
    CHECK_INT(json_get(order, "identifiers")->num, 2);
    CHECK(json_get_array(order, "authorizations") == NULL && json_get(order, "authorizations")->kind == JSON_ARRAY);
    CHECK(json_get_bool(order, "wild") && !json_get_bool(order, "off"));
    CHECK_INT(json_get(order, "nil")->kind, JSON_NULL);
    CHECK_SLICE(json_get(order, "f")->string, "1.5e3");
    CHECK_SLICE(json_get(order, "n")->key, "n");
    arena_cleanup(&arena);
}

static void scalars_are_documents(void)
{
    static const struct {
        const char *text;
        enum json_kind kind;
    } rows[] = {{"null", JSON_NULL},   {"true", JSON_BOOL}, {" 0", JSON_NUMBER}, {"-1.5E+10", JSON_NUMBER},
                {"\"\"", JSON_STRING}, {"[]", JSON_ARRAY},  {"{}", JSON_OBJECT}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena arena = {0};
        struct json *json = NULL;
        CHECK(!err_is(parse(&arena, slice_str(rows[i].text), &json)));
        CHECK_INT(json->kind, rows[i].kind);
        CHECK(json->first == NULL && json->next == NULL && json->num == 0);
        arena_cleanup(&arena);
    }
}

static void absent_and_of_another_kind(void)
{
    struct arena arena = {0};
    struct json *json = NULL;
    int64_t value = 5;
    CHECK(!err_is(parse(&arena, SLICE_LIT("{\"s\":\"1\",\"n\":1,\"a\":[1],\"o\":{\"x\":1}}"), &json)));
    CHECK(!json_get(json, "S") && !json_get(json, "") && !json_get(NULL, "s"));
    CHECK(!json_get(json_get(json, "a"), "s") && !json_get(json_get(json, "s"), "s"));
    CHECK(json_get_string(json, "n").ptr == NULL && json_get_string(NULL, "n").ptr == NULL);
    CHECK(!json_get_int(json, "s", 0, 9, &value) && !json_get_int(NULL, "n", 0, 9, &value));
    CHECK(!json_get_bool(json, "n") && !json_get_bool(NULL, "n"));
    CHECK(!json_get_array(json, "o") && !json_get_array(NULL, "a"));
    CHECK_INT(value, 5);
    arena_cleanup(&arena);
}

static void integers_in_range(void)
{
    static const struct {
        const char *number;
        int64_t min, max, want;
        bool good;
    } rows[] = {
        {"0", 0, 0, 0, true},
        {"-0", 0, 0, 0, true},
        {"9223372036854775807", INT64_MIN, INT64_MAX, INT64_MAX, true},
        {"-9223372036854775808", INT64_MIN, INT64_MAX, INT64_MIN, true},
        {"9223372036854775808", INT64_MIN, INT64_MAX, 0, false},
        {"-9223372036854775809", INT64_MIN, INT64_MAX, 0, false},
        {"99999999999999999999999", INT64_MIN, INT64_MAX, 0, false},
        {"11", 0, 10, 0, false},
        {"-1", 0, 10, 0, false},
        {"1.0", 0, 10, 0, false},
        {"1e1", 0, 10, 0, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena arena = {0};
        struct json *json = NULL;
        int64_t value = 77;
        struct slice text = arena_printf(&arena, "{\"n\":%s}", rows[i].number);
        CHECK(!err_is(parse(&arena, text, &json)));
        CHECK_INT(json_get_int(json, "n", rows[i].min, rows[i].max, &value), rows[i].good);
        CHECK_INT(value, rows[i].good ? rows[i].want : 77);
        arena_cleanup(&arena);
    }
}

static void refused(struct slice text, enum err_kind kind, int place, const char *what)
{
    struct arena arena = {0};
    struct json untouched, *json = &untouched;
    char *exact = mem_alloc(text.len); /* so that reading on behind the text is noticed */
    memcpy(exact, text.ptr, text.len);
    struct err err = parse(&arena, slice_make(exact, text.len), &json);
    mem_free(exact);
    if (err.kind != (uint32_t)kind || err.code != place || strcmp(err.what ? err.what : "", what) != 0) {
        fprintf(stderr, "%.*s: ", (int)(text.len < 60 ? text.len : 60), text.ptr);
        CHECK_STR(err.what ? err.what : "", what);
        CHECK_INT(err.code, place);
        CHECK_INT(err.kind, kind);
    }
    CHECK(json == &untouched);
    arena_cleanup(&arena);
}

static void malformed_with_the_place(void)
{
    static const struct {
        const char *text;
        int place;
    } rows[] = {
        {"", 0},
        {"   ", 3},
        {"{", 1},
        {"[1,", 3},
        {"[1", 2},
        {"\"abc", 4},
        {"{\"a\"", 4},
        {"{\"a\":", 5},
        {"{\"a\":1,", 7},
        {"nul", 3},
        {"-", 1},
        {"[1}", 3},
        {"{]", 2},
        {"{1:2}", 2},
        {"{a:1}", 2},
        {"[1,]", 4},
        {"[,]", 2},
        {"{\"a\" 1}", 6},
        {"{\"a\":1,}", 8},
        {"[1 2]", 4},
        {"[1.]", 3},
        {"[.5]", 2},
        {"[1e]", 3},
        {"[+1]", 2},
        {"[0x1]", 3},
        {"NaN", 1},
        {"True", 1},
        {"nulL", 3},
        {"'a'", 1},
        {"[\"a\tb\"]", 3},
        {"[\"a\nb\"]", 3},
        {"[\"\\x\"]", 3},
        {"[\"\\u12\"]", 6},
        {"// c\n1", 0},
        {"/* c */ 1", 0},
        {"\\u0041", 1},
        {"{\"a\":\"b\"\"c\":1}", 10},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena arena = {0};
        struct json *json = NULL;
        struct err err = parse(&arena, slice_str(rows[i].text), &json);
        CHECK_INT(err.kind, ERR_INPUT);
        CHECK_STR(err.what ? err.what : "", "JSON: malformed");
        if (err.code != rows[i].place)
            CHECK_STR(rows[i].text, "refused at another place");
        CHECK(json == NULL);
        arena_cleanup(&arena);
    }
}

static void strange_characters_with_the_place(void)
{
    refused(SLICE_LIT("[\"a\xff\"]"), ERR_INPUT, 3, "JSON: not UTF-8");
    refused(SLICE_LIT("[\"\xc0\x80\"]"), ERR_INPUT, 2, "JSON: not UTF-8");
    refused(SLICE_LIT("[\"\xed\xa0\x80\"]"), ERR_INPUT, 2, "JSON: not UTF-8");
    refused(SLICE_LIT("[\"\xe2\x82"), ERR_INPUT, 2, "JSON: not UTF-8");
    refused(SLICE_LIT("[\"\\u0000\"]"), ERR_INPUT, 2, "JSON: bad escape");
    refused(SLICE_LIT("{\"a\\u0000b\":1}"), ERR_INPUT, 3, "JSON: bad escape");
    refused(SLICE_LIT("[\"\\ud83d\"]"), ERR_INPUT, 2, "JSON: bad escape");
    refused(SLICE_LIT("[\"\\ud83dx\"]"), ERR_INPUT, 2, "JSON: bad escape");
    refused(SLICE_LIT("[\"\\uD83D\\u0041\"]"), ERR_INPUT, 2, "JSON: bad escape");
    refused(SLICE_LIT("[\"\\ud83d\\ud83d\"]"), ERR_INPUT, 2, "JSON: bad escape");
    refused(SLICE_LIT("[\"\\uDE00\"]"), ERR_INPUT, 2, "JSON: bad escape");
    refused(SLICE_LIT("[\"\\uDC00\"]"), ERR_INPUT, 2, "JSON: bad escape");
    refused(SLICE_LIT("[\"\\uDFFF\"]"), ERR_INPUT, 2, "JSON: bad escape");
    refused(SLICE_LIT("[\"\\uDAAA\"]"), ERR_INPUT, 2, "JSON: bad escape");
    refused(SLICE_LIT("[\"\\udfff\"]"), ERR_INPUT, 2, "JSON: bad escape");
    refused(SLICE_LIT("[\"\\ud800\\ue000\"]"), ERR_INPUT, 2, "JSON: bad escape");
    refused(SLICE_LIT("[\"\\udbff\\udbff\"]"), ERR_INPUT, 2, "JSON: bad escape");
    refused(SLICE_LIT("[\"\\ud800\\u"), ERR_INPUT, 2, "JSON: bad escape");
    refused(SLICE_LIT("\"\\u0000"), ERR_INPUT, 1, "JSON: bad escape");
    refused(SLICE_LIT("\"\\u000"), ERR_INPUT, 6, "JSON: malformed");
    refused(SLICE_LIT("\"\\"), ERR_INPUT, 2, "JSON: malformed");
    refused(SLICE_LIT("\"\\n\xff\""), ERR_INPUT, 3, "JSON: not UTF-8"); /* what is behind an escape is looked at */
    refused(SLICE_LIT("\"\\u00e4\xff\""), ERR_INPUT, 7, "JSON: not UTF-8");
    refused(SLICE_LIT("\"\\ud83d\\ude00\xff\""), ERR_INPUT, 13, "JSON: not UTF-8");
    refused(SLICE_LIT("[\"\0\"]"), ERR_INPUT, 2, "JSON: control character");
    refused(SLICE_LIT("[1,\v2]"), ERR_INPUT, 3, "JSON: control character");
    refused(SLICE_LIT("[1,2]\f"), ERR_INPUT, 5, "JSON: control character");
    refused(SLICE_LIT("\xef\xbb\xbf[]"), ERR_INPUT, 1, "JSON: malformed"); /* no byte order mark (RFC 8259 §8.1) */
}

static void escapes_at_the_borders(void)
{
    struct arena arena = {0};
    struct json *json = NULL;
    CHECK(!err_is(
        parse(&arena, SLICE_LIT("\"\\u0001\\ud7ff\\ue000\\uffff\\uABCD\\uefEF\\ud800\\udc00\\uDBFF\\uDFFF\""), &json)));
    CHECK_SLICE(json->string,
                "\x01\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\xea\xaf\x8d\xee\xbf\xaf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf");
    arena_cleanup(&arena);
}

/* The beginning of a token there is what yajl alone would overlook. */
static void nothing_is_behind_the_value(void)
{
    const char *what = "JSON: text behind the value";
    refused(SLICE_LIT("[1]]"), ERR_INPUT, 3, what);
    refused(SLICE_LIT("1 2"), ERR_INPUT, 2, what);
    refused(SLICE_LIT("01"), ERR_INPUT, 1, what);
    refused(SLICE_LIT("{} x"), ERR_INPUT, 3, what);
    refused(SLICE_LIT("\"a\" \"b\""), ERR_INPUT, 4, what);
    refused(SLICE_LIT("[]\""), ERR_INPUT, 2, what);
    refused(SLICE_LIT("[]\"abc"), ERR_INPUT, 2, what);
    refused(SLICE_LIT("[]tru"), ERR_INPUT, 2, what);
    refused(SLICE_LIT("1.5\""), ERR_INPUT, 3, what);
    refused(SLICE_LIT("{}/"), ERR_INPUT, 2, what);
    refused(SLICE_LIT("null\n\n-"), ERR_INPUT, 6, what);
}

static void double_backslashes_are_no_escapes(void)
{
    struct arena arena = {0};
    struct json *json = NULL;
    CHECK(!err_is(parse(&arena, SLICE_LIT("\"\\\\u0000\\\\\\\\ud83d\""), &json)));
    CHECK_SLICE(json->string, "\\u0000\\\\ud83d");
    arena_cleanup(&arena);
}

static void duplicates_in_objects_of_any_size(void)
{
    refused(SLICE_LIT("{\"a\":1,\"a\":2}"), ERR_INPUT, 10, "JSON: duplicate key");
    refused(SLICE_LIT("{\"\":1,\"\":2}"), ERR_INPUT, 8, "JSON: duplicate key");
    refused(SLICE_LIT("{\"a\":1,\"\\u0061\":2}"), ERR_INPUT, 15, "JSON: duplicate key"); /* the same after unescaping */
    refused(SLICE_LIT("[{\"x\":{\"a\":1,\"b\":2,\"a\":2}}]"), ERR_INPUT, 22, "JSON: duplicate key");
    for (int num = 1; num < 40; num++)
        for (int twice = 0; twice < num; twice++) {
            struct buf text = {0};
            buf_append_char(&text, '{');
            for (int i = 0; i < num; i++)
                buf_printf(&text, "\"k%d\":{\"k%d\":%d},", i, i, i); /* the same key deeper is another */
            buf_printf(&text, "\"k%d\":0}", twice);
            refused(buf_slice(&text), ERR_INPUT, (int)text.len - 3, "JSON: duplicate key");
            text.len -= 4;
            buf_append_str(&text, "x\":0}");
            struct arena arena = {0};
            struct json *json = NULL;
            CHECK(!err_is(parse(&arena, buf_slice(&text), &json)) && json->num == (size_t)num + 1);
            arena_cleanup(&arena);
            buf_cleanup(&text);
        }
}

static struct buf nested(int depth, char open, char close)
{
    struct buf text = {0};
    for (int i = 0; i < depth; i++)
        buf_append_str(&text, open == '{' ? "{\"a\":" : "[");
    buf_append_str(&text, "1");
    for (int i = 0; i < depth; i++)
        buf_append_char(&text, close);
    return text;
}

static void depth_is_bounded(void)
{
    for (int kind = 0; kind < 2; kind++) {
        struct arena arena = {0};
        struct json *json = NULL;
        char open = kind ? '{' : '[', close = kind ? '}' : ']';
        struct buf good = nested(LIMIT_JSON_DEPTH, open, close), bad = nested(LIMIT_JSON_DEPTH + 1, open, close);
        struct buf far = nested(10000, open, close);
        int place = kind ? LIMIT_JSON_DEPTH * 5 + 1 : LIMIT_JSON_DEPTH + 1;
        CHECK(!err_is(parse(&arena, buf_slice(&good), &json)));
        refused(buf_slice(&bad), ERR_LIMIT, place, "JSON: nested too deep");
        refused(buf_slice(&far), ERR_LIMIT, place, "JSON: nested too deep");
        arena_cleanup(&arena);
        buf_cleanup(&good);
        buf_cleanup(&bad);
        buf_cleanup(&far);
    }
}

static void values_are_counted(void)
{
    struct arena arena = {0};
    struct json *json = NULL;
    struct buf text = {0};
    buf_append_char(&text, '[');
    for (int i = 1; i < LIMIT_JSON_NODES - 1; i++)
        buf_append_str(&text, "1,");
    buf_append_str(&text, "1]");
    CHECK(!err_is(parse(&arena, buf_slice(&text), &json)) && json->num == LIMIT_JSON_NODES - 1);
    arena_cleanup(&arena);
    static const char *const one_more[] = {"1", "null", "true", "\"\"", "[]", "{}"};
    for (size_t i = 0; i < sizeof one_more / sizeof *one_more; i++) {
        text.len--;
        buf_printf(&text, ",%s]", one_more[i]);
        struct err err = json_parse(&arena, buf_slice(&text), 0, &json);
        CHECK_INT(err.kind, ERR_LIMIT);
        CHECK_STR(err.what ? err.what : "", "JSON: too many values");
        arena_cleanup(&arena);
        text.len -= strlen(one_more[i]) + 2;
        buf_append_char(&text, ']');
    }
    buf_cleanup(&text);
}

static void size_is_bounded(void)
{
    struct arena arena = {0};
    struct json *json = NULL;
    struct buf text = {0};
    buf_append_char(&text, '"');
    memset(buf_reserve(&text, LIMIT_JSON_BYTES - 2), 'x', LIMIT_JSON_BYTES - 2);
    text.len += LIMIT_JSON_BYTES - 2;
    buf_append_char(&text, '"');
    CHECK(!err_is(parse(&arena, buf_slice(&text), &json)));
    buf_append_char(&text, ' ');
    refused(buf_slice(&text), ERR_LIMIT, LIMIT_JSON_BYTES, "JSON: too long");
    CHECK(!err_is(json_parse(&arena, buf_slice(&text), LIMIT_JSON_BYTES + 1, &json)));
    CHECK_INT(json_parse(&arena, SLICE_LIT("[1]"), 2, &json).kind, ERR_LIMIT);
    arena_cleanup(&arena);
    buf_cleanup(&text);
}

/* An object of all the keys that fit must not cost the square of their number: HARDENING A3. */
static void many_keys_are_quick(void)
{
    struct arena arena = {0};
    struct json *json = NULL;
    struct buf text = {0};
    buf_append_char(&text, '{');
    for (int i = 0; i < LIMIT_JSON_NODES - 2; i++)
        buf_printf(&text, "\"%x\":0,", (unsigned)i);
    buf_append_str(&text, "\"last\":0}");
    clock_t start = clock();
    CHECK(!err_is(json_parse(&arena, buf_slice(&text), text.len, &json)));
    CHECK((double)(clock() - start) / CLOCKS_PER_SEC < 1.0);
    arena_cleanup(&arena);
    buf_cleanup(&text);
}

int main(void)
{
    RUN(a_real_document);
    RUN(scalars_are_documents);
    RUN(absent_and_of_another_kind);
    RUN(integers_in_range);
    RUN(malformed_with_the_place);
    RUN(strange_characters_with_the_place);
    RUN(escapes_at_the_borders);
    RUN(nothing_is_behind_the_value);
    RUN(double_backslashes_are_no_escapes);
    RUN(duplicates_in_objects_of_any_size);
    RUN(depth_is_bounded);
    RUN(values_are_counted);
    RUN(size_is_bounded);
    RUN(many_keys_are_quick);
    return checks_done();
}
