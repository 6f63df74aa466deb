#include "base/json_write.h"

#include "base/json_read.h"
#include "base/limits.h"
#include "check.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void document_of_all_kinds(void)
{
    struct buf out = {0};
    struct json_writer w = json_writer_on(&out);
    json_object(&w);
    json_put_str(&w, "s", "a\"b\\c/");
    json_put_int(&w, "min", INT64_MIN);
    json_put_int(&w, "max", INT64_MAX);
    json_put_bool(&w, "yes", true);
    json_put_bool(&w, "no", false);
    json_key(&w, "nil");
    json_null(&w);
    json_key(&w, "list");
    json_array(&w);
    json_int(&w, 0);
    json_array(&w);
    json_end_array(&w);
    json_object(&w);
    json_end_object(&w);
    json_string(&w, SLICE_NONE);
    json_end_array(&w);
    json_key(&w, "raw");
    json_raw(&w, SLICE_LIT("{\"k\":[1]}"));
    json_put_string(&w, "k\n", SLICE_LIT("v"));
    json_end_object(&w);
    CHECK_SLICE(buf_slice(&out), "{\"s\":\"a\\\"b\\\\c/\",\"min\":-9223372036854775808,\"max\":9223372036854775807,"
                                 "\"yes\":true,\"no\":false,\"nil\":null,\"list\":[0,[],{},\"\"],\"raw\":{\"k\":[1]},"
                                 "\"k\\n\":\"v\"}");
    buf_cleanup(&out);
}

static void appends_to_what_is_there(void)
{
    struct buf out = {0};
    buf_append_str(&out, "data=");
    struct json_writer w = json_writer_on(&out);
    json_array(&w);
    json_bool(&w, true);
    json_null(&w);
    json_end_array(&w);
    CHECK_SLICE(buf_slice(&out), "data=[true,null]");
    buf_cleanup(&out);
}

static void siblings_begin_anew(void)
{
    struct buf out = {0};
    struct json_writer w = json_writer_on(&out);
    json_array(&w);
    for (int i = 0; i < 2; i++) {
        json_array(&w);
        json_int(&w, 1);
        json_raw(&w, SLICE_LIT("2"));
        json_end_array(&w);
        json_object(&w);
        json_put_int(&w, "a", 1);
        json_put_int(&w, "b", 2);
        json_end_object(&w);
    }
    json_end_array(&w);
    CHECK_SLICE(buf_slice(&out), "[[1,2],{\"a\":1,\"b\":2},[1,2],{\"a\":1,\"b\":2}]");
    buf_cleanup(&out);
}

static void escapes(void)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"", ""},
        {"plain ~!/'<>", "plain ~!/'<>"},
        {"\"\\", "\\\"\\\\"},
        {"\b\f\n\r\t", "\\b\\f\\n\\r\\t"},
        {"\x01\x1f\x1b[31m\x7f", "\\u0001\\u001f\\u001b[31m\\u007f"},
        {"ä€😀", "ä€😀"},
        {"\xc2\x80\xc2\x9b\xc2\x9f\xc2\xa0", "\\u0080\\u009b\\u009f\xc2\xa0"}, /* controls of the upper half */
        {"a\xff"
         "b",
         "a\xef\xbf\xbd"
         "b"},
        {"\xc3", "\xef\xbf\xbd"},
        {"\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* half of a surrogate pair */
        {"\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf out = {0};
        json_escape(&out, slice_str(rows[i].text));
        CHECK_SLICE(buf_slice(&out), rows[i].want);
        buf_cleanup(&out);
    }
    struct buf out = {0};
    json_escape(&out, SLICE_LIT("a\0b"));
    CHECK_SLICE(buf_slice(&out), "a\\u0000b");
    buf_cleanup(&out);
}

/* Eight bytes are looked at together: each value at each place gives what it gives alone. */
static void escapes_at_every_place(void)
{
    for (int c = 0; c < 256; c++)
        for (size_t place = 0; place < 8; place++)
            for (int filler = 0; filler < 2; filler++) {
                char bytes[8], before = filler ? '~' : ' ';
                struct buf got = {0}, want = {0};
                memset(bytes, before, sizeof bytes);
                bytes[place] = (char)c;
                json_escape(&got, slice_make(bytes, sizeof bytes));
                for (size_t i = 0; i < sizeof bytes; i++)
                    json_escape(&want, slice_make(bytes + i, 1));
                CHECK_MEM(got.ptr, got.len, want.ptr, want.len);
                buf_cleanup(&got);
                buf_cleanup(&want);
            }
}

/* Every byte pair comes out as a string that our own reader takes, NUL aside. */
/* One byte that wants an escape, in any place of a string of several words. */
static void escapes_among_plain_words(void)
{
    for (size_t len = 1; len < 40; len++)
        for (size_t at = 0; at < len; at++) {
            struct buf got = {0};
            char bytes[40], want[41];
            memset(bytes, 'x', len);
            memset(want, 'x', len + 1);
            bytes[at] = '"';
            memcpy(want + at, "\\\"", 2);
            json_escape(&got, slice_make(bytes, len));
            CHECK_MEM(got.ptr, got.len, want, len + 1);
            buf_cleanup(&got);
        }
}

static void any_bytes_make_a_readable_string(void)
{
    for (int a = 1; a < 256; a++)
        for (int b = 1; b < 256; b++) {
            char bytes[2] = {(char)a, (char)b};
            struct buf out = {0};
            struct arena arena = {0};
            struct json *json = NULL;
            struct json_writer w = json_writer_on(&out);
            json_string(&w, slice_make(bytes, 2));
            if (err_is(json_parse(&arena, buf_slice(&out), 0, &json)) || json->kind != JSON_STRING)
                CHECK_INT(a * 256 + b, -1);
            else if (a < 0x80 && b < 0x80)
                CHECK_MEM(json->string.ptr, json->string.len, bytes, 2);
            arena_cleanup(&arena);
            buf_cleanup(&out);
        }
}

static void nests_to_the_limit(void)
{
    struct buf out = {0};
    struct arena arena = {0};
    struct json *json;
    struct json_writer w = json_writer_on(&out);
    for (int i = 0; i < LIMIT_JSON_DEPTH; i++) {
        json_array(&w);
        json_int(&w, i);
    }
    for (int i = 0; i < LIMIT_JSON_DEPTH; i++)
        json_end_array(&w);
    CHECK(!err_is(json_parse(&arena, buf_slice(&out), 0, &json)));
    arena_cleanup(&arena);
    buf_cleanup(&out);
}

/* Calls out of place: each in a process of its own, which must abort. */

static void too_deep(struct json_writer *w)
{
    for (int i = 0; i <= LIMIT_JSON_DEPTH; i++)
        json_array(w);
}

static void value_without_key(struct json_writer *w)
{
    json_object(w);
    json_int(w, 1);
}

static void key_in_array(struct json_writer *w)
{
    json_array(w);
    json_key(w, "k");
}

static void key_outside(struct json_writer *w)
{
    json_key(w, "k");
}

static void key_twice(struct json_writer *w)
{
    json_object(w);
    json_key(w, "k");
    json_key(w, "l");
}

static void key_without_value(struct json_writer *w)
{
    json_object(w);
    json_key(w, "k");
    json_end_object(w);
}

static void wrong_end(struct json_writer *w)
{
    json_object(w);
    json_end_array(w);
}

static void end_too_much(struct json_writer *w)
{
    json_array(w);
    json_end_array(w);
    json_end_array(w);
}

static void second_value(struct json_writer *w)
{
    json_int(w, 1);
    json_int(w, 2);
}

static void empty_raw(struct json_writer *w)
{
    json_raw(w, SLICE_NONE);
}

static bool aborts(void (*misuse)(struct json_writer *))
{
    pid_t child = fork();
    if (child == 0) {
        struct buf out = {0};
        struct json_writer w = json_writer_on(&out);
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        signal(SIGABRT, SIG_DFL);
        misuse(&w);
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void calls_out_of_place_abort(void)
{
    CHECK(aborts(too_deep));
    CHECK(aborts(value_without_key));
    CHECK(aborts(key_in_array));
    CHECK(aborts(key_outside));
    CHECK(aborts(key_twice));
    CHECK(aborts(key_without_value));
    CHECK(aborts(wrong_end));
    CHECK(aborts(end_too_much));
    CHECK(aborts(second_value));
    CHECK(aborts(empty_raw));
}

int main(void)
{
    RUN(document_of_all_kinds);
    RUN(appends_to_what_is_there);
    RUN(siblings_begin_anew);
    RUN(escapes);
    RUN(escapes_at_every_place);
    RUN(escapes_among_plain_words);
    RUN(any_bytes_make_a_readable_string);
    RUN(nests_to_the_limit);
    RUN(calls_out_of_place_abort);
    return checks_done();
}
