/* The reader's interface, event by event; what it accepts and refuses is in tests/golden/data/h1. */
#include "base/limits.h"
#include "check.h"
#include "http/h1_reader.h"

struct fixture {
    struct h1_reader reader;
    struct arena arena;
    struct slice in;
};

static void fixture_begin(struct fixture *fixture, const char *text)
{
    memset(fixture, 0, sizeof *fixture);
    h1_reader_init(&fixture->reader, H1_REQUEST, &H1_REQUEST_LIMITS);
    h1_reader_begin(&fixture->reader, &fixture->arena);
    fixture->in = slice_str(text);
}

static void fixture_begin_response(struct fixture *fixture, const char *text, enum method asked, bool upgrade_asked)
{
    memset(fixture, 0, sizeof *fixture);
    h1_reader_init(&fixture->reader, H1_RESPONSE, &H1_RESPONSE_LIMITS);
    h1_reader_begin_response(&fixture->reader, &fixture->arena, asked, upgrade_asked);
    fixture->in = slice_str(text);
}

static enum h1_event fixture_feed(struct fixture *fixture)
{
    size_t used = SIZE_MAX;
    enum h1_event event = h1_reader_feed(&fixture->reader, fixture->in, &used);
    CHECK(used <= fixture->in.len);
    fixture->in = slice_skip(fixture->in, used);
    if (event == H1_NEED_MORE)
        CHECK_INT(fixture->in.len, 0);
    return event;
}

static void a_request_and_what_is_known_of_it(void)
{
    struct fixture f;
    fixture_begin(&f, "PUT /a?b HTTP/1.1\r\nHost: A.example:81\r\nContent-Length: 3\r\nX-Y:  z \r\n\r\nabcGET");
    CHECK_INT(fixture_feed(&f), H1_HEAD);
    const struct head *head = f.reader.head;
    CHECK_INT(head->method, METHOD_PUT);
    CHECK_SLICE(head->method_name, "PUT");
    CHECK_SLICE(head->target, "/a?b");
    CHECK_SLICE(head->authority, "A.example:81");
    CHECK_SLICE(head->host, "a.example");
    CHECK_INT(head->port, 81);
    CHECK_INT(head->version, 11);
    CHECK_INT(head->body, BODY_LENGTH);
    CHECK_INT(head->length, 3);
    CHECK(head->keep_alive && !head->expect_continue && !head->upgrade);
    CHECK_INT(head->fields.num, 3);
    CHECK_SLICE(head_get_named(head, SLICE_LIT("x-y")), "z");
    CHECK_INT(fixture_feed(&f), H1_BODY);
    CHECK_SLICE(f.reader.body, "abc");
    CHECK_INT(fixture_feed(&f), H1_END);
    CHECK_SLICE(f.in, "GET");
    CHECK_INT(fixture_feed(&f), H1_END); /* the next one is nobody's before begin */
    CHECK_SLICE(f.in, "GET");
    arena_cleanup(&f.arena);
}

/* The head lives in the arena: what was fed may go. */
static void the_head_is_a_copy(void)
{
    struct fixture f;
    char text[] = "GET /x HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
    fixture_begin(&f, text);
    CHECK_INT(fixture_feed(&f), H1_HEAD);
    memset(text, '#', sizeof text);
    CHECK_SLICE(f.reader.head->target, "/x");
    CHECK_SLICE(f.reader.head->host, "a");
    CHECK_SLICE(head_get_named(f.reader.head, SLICE_LIT("X")), "y");
    arena_cleanup(&f.arena);
}

static void no_body_ends_with_nothing_fed(void)
{
    struct fixture f;
    fixture_begin(&f, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK_INT(fixture_feed(&f), H1_HEAD);
    CHECK_INT(f.in.len, 0);
    CHECK_INT(fixture_feed(&f), H1_END);
    arena_cleanup(&f.arena);
}

/* Chunks are views into what was fed, and the arena does not grow with the body. */
static void chunks_are_not_kept(void)
{
    struct fixture f;
    fixture_begin(&f, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    CHECK_INT(fixture_feed(&f), H1_HEAD);
    CHECK_INT(f.reader.head->body, BODY_CHUNKED);
    char *at = f.arena.at;
    for (int i = 0; i < 10000; i++) {
        f.in = SLICE_LIT("5\r\nhello\r\n");
        const char *text = f.in.ptr;
        CHECK_INT(fixture_feed(&f), H1_BODY);
        CHECK(f.reader.body.ptr == text + 3 && f.reader.body.len == 5);
        CHECK_INT(fixture_feed(&f), H1_NEED_MORE);
    }
    CHECK(f.arena.at == at);
    f.in = SLICE_LIT("0\r\nA: b\r\n\r\nrest");
    CHECK_INT(fixture_feed(&f), H1_END);
    CHECK_SLICE(f.in, "rest");
    CHECK_INT(f.reader.head->trailers.num, 1);
    CHECK_SLICE(f.reader.head->trailers.at[0].value, "b");
    CHECK(head_get_named(f.reader.head, SLICE_LIT("A")).ptr == NULL); /* never merged */
    arena_cleanup(&f.arena);
}

static void in_head_is_for_the_deadline(void)
{
    struct fixture f;
    fixture_begin(&f, "\r\n");
    CHECK(!h1_reader_in_head(&f.reader));
    CHECK_INT(fixture_feed(&f), H1_NEED_MORE);
    CHECK(!h1_reader_in_head(&f.reader));
    f.in = SLICE_LIT("GET / HT");
    CHECK_INT(fixture_feed(&f), H1_NEED_MORE);
    CHECK(h1_reader_in_head(&f.reader));
    f.in = SLICE_LIT("TP/1.1\r\nHost: a\r\n\r\n");
    CHECK_INT(fixture_feed(&f), H1_HEAD);
    CHECK(!h1_reader_in_head(&f.reader));
    arena_cleanup(&f.arena);
}

static void errors_stay(void)
{
    struct fixture f;
    fixture_begin(&f, "GET /x HTTP/3.0\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK_INT(fixture_feed(&f), H1_ERROR);
    CHECK_INT(f.reader.err.code, 505);
    CHECK_INT(f.reader.err.kind, ERR_INPUT);
    CHECK(f.reader.err.what != NULL);
    CHECK_SLICE(f.reader.head->target, "/x"); /* for the access log */
    CHECK_INT(fixture_feed(&f), H1_ERROR);
    CHECK_INT(f.reader.err.code, 505);
    CHECK_INT(h1_reader_eof(&f.reader), H1_ERROR);
    arena_cleanup(&f.arena);
}

static void limits_are_told_from_bad_input(void)
{
    struct fixture f;
    fixture_begin(&f, "GET / HTTP/1.1\r\nHost: aaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n\r\n");
    f.reader.limits.head_bytes = 20;
    CHECK_INT(fixture_feed(&f), H1_ERROR);
    CHECK_INT(f.reader.err.kind, ERR_LIMIT);
    CHECK_INT(f.reader.err.code, 431);
    arena_cleanup(&f.arena);
}

static void ends_of_the_peer(void)
{
    struct fixture f;
    fixture_begin(&f, "");
    CHECK_INT(h1_reader_eof(&f.reader), H1_NEED_MORE); /* nothing was cut */
    f.in = SLICE_LIT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na");
    CHECK_INT(fixture_feed(&f), H1_HEAD);
    CHECK_INT(fixture_feed(&f), H1_BODY);
    CHECK_INT(h1_reader_eof(&f.reader), H1_ERROR);
    CHECK_INT(f.reader.err.kind, ERR_EOF);
    CHECK_INT(f.reader.err.code, 400);
    arena_cleanup(&f.arena);

    fixture_begin(&f, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK_INT(fixture_feed(&f), H1_HEAD);
    CHECK_INT(h1_reader_eof(&f.reader), H1_END); /* complete, not yet said */
    CHECK_INT(h1_reader_eof(&f.reader), H1_NEED_MORE);
    arena_cleanup(&f.arena);
}

static void until_close_ends_with_the_peer(void)
{
    struct fixture f;
    fixture_begin_response(&f, "HTTP/1.1 200 OK\r\n\r\nabc", METHOD_GET, false);
    CHECK_INT(fixture_feed(&f), H1_HEAD);
    CHECK_INT(f.reader.head->body, BODY_UNTIL_CLOSE);
    CHECK(!f.reader.head->keep_alive);
    CHECK_INT(fixture_feed(&f), H1_BODY);
    CHECK_SLICE(f.reader.body, "abc");
    CHECK_INT(fixture_feed(&f), H1_NEED_MORE);
    CHECK_INT(h1_reader_eof(&f.reader), H1_END);
    arena_cleanup(&f.arena);
}

static void interim_answers_come_first(void)
{
    struct fixture f;
    fixture_begin_response(&f, "HTTP/1.1 103 E\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                           METHOD_POST, false);
    CHECK_INT(h1_reader_eof(&f.reader), H1_NEED_MORE); /* no byte of an answer: the caller may retry */
    CHECK_INT(fixture_feed(&f), H1_HEAD);
    CHECK_INT(f.reader.head->status, 103);
    CHECK_SLICE(head_get(f.reader.head, FIELD_LINK), "x");
    CHECK_INT(fixture_feed(&f), H1_HEAD);
    CHECK_INT(f.reader.head->status, 200);
    CHECK(head_get(f.reader.head, FIELD_LINK).ptr == NULL);
    CHECK_INT(fixture_feed(&f), H1_END);
    arena_cleanup(&f.arena);
}

static const char websocket[] = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nGET /";

static void an_upgrade_holds_what_follows(void)
{
    struct fixture f;
    fixture_begin(&f, websocket);
    CHECK_INT(fixture_feed(&f), H1_HEAD);
    CHECK_INT(f.reader.head->upgrade, UPGRADE_WEBSOCKET);
    CHECK_INT(fixture_feed(&f), H1_UPGRADE);
    CHECK_INT(fixture_feed(&f), H1_UPGRADE);
    h1_reader_upgrade(&f.reader, true);
    CHECK_INT(fixture_feed(&f), H1_UPGRADE);
    CHECK_INT(h1_reader_eof(&f.reader), H1_UPGRADE);
    CHECK_SLICE(f.in, "GET /");
    arena_cleanup(&f.arena);
}

static void a_refused_upgrade_was_a_request(void)
{
    struct fixture f;
    fixture_begin(&f, websocket);
    CHECK_INT(fixture_feed(&f), H1_HEAD);
    h1_reader_upgrade(&f.reader, false); /* also before H1_UPGRADE was seen */
    CHECK_INT(fixture_feed(&f), H1_END);
    CHECK_SLICE(f.in, "GET /");
    h1_reader_begin(&f.reader, &f.arena);
    h1_reader_upgrade(&f.reader, false); /* means nothing here */
    CHECK_INT(fixture_feed(&f), H1_NEED_MORE);
    arena_cleanup(&f.arena);
}

/* Keep-alive: a reader takes any number of messages, with the limits it was given. */
static void one_reader_many_requests(void)
{
    struct fixture f;
    fixture_begin(&f, "");
    f.reader.limits.num_fields = 2;
    for (int i = 0; i < 100; i++) {
        f.in = SLICE_LIT("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n");
        CHECK_INT(fixture_feed(&f), H1_HEAD);
        CHECK_INT(fixture_feed(&f), H1_END);
        arena_reset(&f.arena);
        h1_reader_begin(&f.reader, &f.arena);
    }
    f.in = SLICE_LIT("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nX: y\r\n\r\n");
    CHECK_INT(fixture_feed(&f), H1_ERROR);
    CHECK_INT(f.reader.err.code, 431);
    arena_cleanup(&f.arena);
}

/* A head that drips in costs memory in proportion, whatever the pieces. */
static void a_dripping_head_is_bounded(void)
{
    struct fixture f;
    fixture_begin(&f, "GET / HTTP/1.1\r\n");
    CHECK_INT(fixture_feed(&f), H1_NEED_MORE);
    size_t num = 16;
    enum h1_event event = H1_NEED_MORE;
    while (event == H1_NEED_MORE && num < 1000000) {
        f.in = SLICE_LIT("x");
        event = fixture_feed(&f);
        num++;
    }
    CHECK_INT(event, H1_ERROR);
    CHECK_INT(num, LIMIT_HEAD_BYTES + 1);
    CHECK(f.reader.section.text_cap <= 2 * LIMIT_HEAD_BYTES);
    arena_cleanup(&f.arena);
}

int main(void)
{
    RUN(a_request_and_what_is_known_of_it);
    RUN(the_head_is_a_copy);
    RUN(no_body_ends_with_nothing_fed);
    RUN(chunks_are_not_kept);
    RUN(in_head_is_for_the_deadline);
    RUN(errors_stay);
    RUN(limits_are_told_from_bad_input);
    RUN(ends_of_the_peer);
    RUN(until_close_ends_with_the_peer);
    RUN(interim_answers_come_first);
    RUN(an_upgrade_holds_what_follows);
    RUN(a_refused_upgrade_was_a_request);
    RUN(one_reader_many_requests);
    RUN(a_dripping_head_is_bounded);
    return checks_done();
}
