/* X-Request-ID and traceparent. */
#include "http/trace.h"

#include "base/limits.h"
#include "check.h"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00f067aa0ba902b7"

static void request_ids_that_are_kept(void)
{
    static const char *const good[] = {"a", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "!~\"%3A,;="};
    static const char *const bad[] = {"", "a b", " a", "a\t", "a\x7f", "\xc3\xa9", "a\x01"};
    char longest[LIMIT_REQUEST_ID_BYTES + 1];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        CHECK(request_id_is_valid(slice_str(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK(!request_id_is_valid(slice_str(bad[i])));
    CHECK(!request_id_is_valid(slice_make("a\0b", 3)));
    memset(longest, 'x', sizeof longest);
    CHECK(request_id_is_valid(slice_make(longest, LIMIT_REQUEST_ID_BYTES)));
    CHECK(!request_id_is_valid(slice_make(longest, LIMIT_REQUEST_ID_BYTES + 1)));
}

static void request_ids_that_are_made(void)
{
    struct random_batch random = {0};
    char one[REQUEST_ID_BYTES], two[REQUEST_ID_BYTES];
    request_id_make(&random, one);
    request_id_make(&random, two);
    CHECK(request_id_is_valid(slice_make(one, sizeof one)));
    CHECK(memcmp(one, two, sizeof one) != 0);
}

static void parents_are_taken_apart(void)
{
    struct traceparent parent;
    CHECK(traceparent_parse(SLICE_LIT("00-" TRACE "-" PARENT "-01"), &parent));
    CHECK_SLICE(parent.trace_id, TRACE);
    CHECK_SLICE(parent.parent_id, PARENT);
    CHECK_SLICE(parent.flags, "01");
    CHECK(traceparent_parse(SLICE_LIT("01-" TRACE "-" PARENT "-00"), &parent));
    CHECK(traceparent_parse(SLICE_LIT("cc-" TRACE "-" PARENT "-02-what the future brings"), &parent));
    CHECK_SLICE(parent.flags, "02");
}

static void anything_else_is_no_parent(void)
{
    static const char *const bad[] = {
        "",
        "00",
        "-",
        "ff-" TRACE "-" PARENT "-01",
        "FE-" TRACE "-" PARENT "-01",
        "00-" TRACE "-" PARENT "-01-",
        "00-" TRACE "-" PARENT "-01-x",
        "00-" TRACE "-" PARENT "-1",
        "00-" TRACE "-" PARENT "-",
        "00-" TRACE "-" PARENT,
        "00-" TRACE "-" PARENT "-0g",
        "01-" TRACE "-" PARENT "-01x",
        "00-00000000000000000000000000000000-" PARENT "-01",
        "00-" TRACE "-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-" PARENT "-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473-" PARENT "-01",
        "00-" TRACE "0-" PARENT "-01",
        "00_" TRACE "-" PARENT "-01",
        " 00-" TRACE "-" PARENT "-01",
        "0-" TRACE "-" PARENT "-01",
    };
    struct traceparent parent;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK(!traceparent_parse(slice_str(bad[i]), &parent));
}

static void parents_that_are_made(void)
{
    struct random_batch random = {0};
    struct traceparent from, one, two;
    char text[TRACEPARENT_BYTES], again[TRACEPARENT_BYTES];
    traceparent_make(&random, NULL, text);
    CHECK(traceparent_parse(slice_make(text, sizeof text), &one));
    CHECK_SLICE(one.flags, "01");
    traceparent_make(&random, NULL, again);
    CHECK(traceparent_parse(slice_make(again, sizeof again), &two));
    CHECK(!slice_eq(one.trace_id, two.trace_id));

    CHECK(traceparent_parse(SLICE_LIT("42-" TRACE "-" PARENT "-02-more"), &from));
    traceparent_make(&random, &from, text);
    CHECK(traceparent_parse(slice_make(text, sizeof text), &one));
    CHECK(memcmp(text, "00-", 3) == 0);
    CHECK_SLICE(one.trace_id, TRACE);
    CHECK_SLICE(one.flags, "02");
    CHECK(!slice_eq(one.parent_id, from.parent_id));
}

int main(void)
{
    RUN(request_ids_that_are_kept);
    RUN(request_ids_that_are_made);
    RUN(parents_are_taken_apart);
    RUN(anything_else_is_no_parent);
    RUN(parents_that_are_made);
    return checks_done();
}
