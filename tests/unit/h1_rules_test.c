/* The rules where llhttp would refuse too: they must hold without it. */
#include "check.h"
#include "http/h1_rules.h"
#include "http/h1_section.h"

static struct err framing_of(const char *name1, const char *value1, const char *name2, const char *value2)
{
    struct arena arena = {0};
    struct head head = {.version = 11};
    head_add(&head, &arena, slice_str(name1), slice_str(value1));
    head_add(&head, &arena, slice_str(name2), slice_str(value2));
    struct err err = h1_rules_framing(&head);
    arena_cleanup(&arena);
    return err;
}

static void one_framing_alone(void)
{
    CHECK_INT(framing_of("Content-Length", "1", "Transfer-Encoding", "chunked").code, 400);
    CHECK_INT(framing_of("Transfer-Encoding", "chunked", "Content-Length", "1").code, 400);
    CHECK_INT(framing_of("Content-Length", "1", "Content-Length", "1").code, 400);
    CHECK_INT(framing_of("Transfer-Encoding", "chunked", "Transfer-Encoding", "chunked").code, 400);
    CHECK_INT(framing_of("Content-Length", "9223372036854775808", "X", "").code, 400);
    CHECK_INT(framing_of("Transfer-Encoding", "\vchunked", "X", "").code, 400);
    CHECK(!err_is(framing_of("Transfer-Encoding", "chunked", "X", "")));
    CHECK(!err_is(framing_of("Content-Length", "9223372036854775807", "X", "")));
}

static int request_line(const char *line)
{
    struct head head = {0};
    return h1_rules_request_line(&head, slice_str(line), 100).code;
}

static void request_lines(void)
{
    CHECK_INT(request_line("GET / HTTP/1.1"), 0);
    CHECK_INT(request_line("GET / HTTP/1.0"), 0);
    CHECK_INT(request_line("GET / HTTP/1.2"), 400);
    CHECK_INT(request_line("GET / HTTP/2.0"), 505);
    CHECK_INT(request_line("GET / HTTP/1.1 "), 400);
    CHECK_INT(request_line("G\tT / HTTP/1.1"), 400);
    CHECK_INT(request_line(" / HTTP/1.1"), 400);
    CHECK_INT(request_line(""), 400);
}

static enum h1_section_result section_of(const char *text)
{
    struct arena arena = {0};
    struct h1_section section = {0};
    struct slice rest = slice_str(text), out;
    enum h1_section_result result =
        h1_section_feed(&section, &(struct h1_section_limits){50, 3, 20}, &arena, &rest, &out);
    if (result == H1_SECTION_WHOLE)
        CHECK_SLICE(rest, "rest");
    arena_cleanup(&arena);
    return result;
}

static void sections(void)
{
    CHECK_INT(section_of("a\r\n\r\nrest"), H1_SECTION_WHOLE);
    CHECK_INT(section_of("\r\nrest"), H1_SECTION_WHOLE);
    CHECK_INT(section_of("a\r\nb\r\nc\r\n\r\nrest"), H1_SECTION_WHOLE);
    CHECK_INT(section_of("a\r\nb\r\nc\r\nd\r\n\r\n"), H1_SECTION_TOO_LARGE);
    CHECK_INT(section_of("a\r\n\r"), H1_SECTION_MORE);
    CHECK_INT(section_of("a\n\r\n"), H1_SECTION_BAD_LINE);
    CHECK_INT(section_of("a\r\n\n"), H1_SECTION_BAD_LINE);
    CHECK_INT(section_of("\n"), H1_SECTION_BAD_LINE);
    CHECK_INT(section_of("a\r\r\n\r\n"), H1_SECTION_BAD_LINE);
    CHECK_INT(section_of("a\r\n\r\r\n"), H1_SECTION_BAD_LINE);
    CHECK_INT(section_of("12345678901234567890\r\n\r\nrest"), H1_SECTION_WHOLE);
    CHECK_INT(section_of("123456789012345678901"), H1_SECTION_LONG_LINE);
    CHECK_INT(section_of("a\r\n123456789012345678901234567890\r\n\r\nrest"), H1_SECTION_WHOLE);
    CHECK_INT(section_of("a\r\n12345678901234567890123456789012345678901234567890"), H1_SECTION_TOO_LARGE);
}

int main(void)
{
    RUN(one_framing_alone);
    RUN(request_lines);
    RUN(sections);
    return checks_done();
}
