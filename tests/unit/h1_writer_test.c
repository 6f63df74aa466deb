#include "check.h"
#include "http/h1_writer.h"

static void start_lines(void)
{
    struct buf out = {0};
    h1_write_request_line(&out, SLICE_LIT("GET"), SLICE_LIT("/a?b"));
    h1_write_status_line(&out, 200, SLICE_NONE);
    h1_write_status_line(&out, 404, SLICE_LIT("Gone fishing"));
    h1_write_status_line(&out, 599, SLICE_NONE);
    CHECK_SLICE(buf_slice(&out),
                "GET /a?b HTTP/1.1\r\nHTTP/1.1 200 OK\r\nHTTP/1.1 404 Gone fishing\r\nHTTP/1.1 599 \r\n");
    buf_cleanup(&out);
}

static const char *framing_text(struct buf *out, struct h1_framing framing)
{
    out->len = 0;
    h1_write_framing(out, &framing);
    return buf_cstr(out);
}

static void framings(void)
{
    struct buf out = {0};
    CHECK_STR(framing_text(&out, (struct h1_framing){.body = BODY_NONE}), "");
    CHECK_STR(framing_text(&out, (struct h1_framing){.body = BODY_NONE, .length_given = true, .length = 7}),
              "Content-Length: 7\r\n");
    CHECK_STR(framing_text(&out, (struct h1_framing){.body = BODY_LENGTH}), "Content-Length: 0\r\n");
    CHECK_STR(framing_text(&out, (struct h1_framing){.body = BODY_LENGTH, .length = INT64_MAX}),
              "Content-Length: 9223372036854775807\r\n");
    CHECK_STR(framing_text(&out, (struct h1_framing){.body = BODY_CHUNKED, .length_given = true, .length = 3}),
              "Transfer-Encoding: chunked\r\n");
    CHECK_STR(framing_text(&out, (struct h1_framing){.body = BODY_UNTIL_CLOSE, .connection = H1_CONNECTION_CLOSE}),
              "Connection: close\r\n");
    CHECK_STR(framing_text(&out, (struct h1_framing){.connection = H1_CONNECTION_KEEP_ALIVE}),
              "Connection: keep-alive\r\n");
    CHECK_STR(framing_text(&out, (struct h1_framing){.connection = H1_CONNECTION_UPGRADE}),
              "Connection: Upgrade\r\nUpgrade: websocket\r\n");
    buf_cleanup(&out);
}

/* What the head says of framing and connection is never written beside what the caller says. */
static void heads_of_our_own(void)
{
    struct arena arena = {0};
    struct buf out = {0};
    struct head head = {.method_name = SLICE_LIT("POST"), .target = SLICE_LIT("/acme"), .authority = SLICE_LIT("ca:1")};
    head_add(&head, &arena, SLICE_LIT("host"), SLICE_LIT("x"));
    head_add(&head, &arena, SLICE_LIT("content-length"), SLICE_LIT("9"));
    head_add(&head, &arena, SLICE_LIT("transfer-encoding"), SLICE_LIT("chunked"));
    head_add(&head, &arena, SLICE_LIT("connection"), SLICE_LIT("close"));
    head_add(&head, &arena, SLICE_LIT("upgrade"), SLICE_LIT("h2c"));
    head_add(&head, &arena, SLICE_LIT("Accept"), SLICE_LIT("a, b"));
    h1_write_request(&out, &head, &(struct h1_framing){.body = BODY_LENGTH, .length = 2});
    CHECK_SLICE(buf_slice(&out), "POST /acme HTTP/1.1\r\nHost: ca:1\r\nAccept: a, b\r\nContent-Length: 2\r\n\r\n");
    out.len = 0;
    head.status = 503;
    h1_write_response(&out, &head, &(struct h1_framing){.body = BODY_LENGTH, .connection = H1_CONNECTION_CLOSE});
    CHECK_SLICE(buf_slice(&out), "HTTP/1.1 503 Service Unavailable\r\nAccept: a, b\r\nContent-Length: 0\r\n"
                                 "Connection: close\r\n\r\n");
    buf_cleanup(&out);
    arena_cleanup(&arena);
}

static void chunks(void)
{
    char out[H1_CHUNK_BEGIN_BYTES];
    CHECK_MEM(out, h1_chunk_begin(out, 1), "1\r\n", 3);
    CHECK_MEM(out, h1_chunk_begin(out, 0x10), "10\r\n", 4);
    CHECK_MEM(out, h1_chunk_begin(out, 0xabcdef), "abcdef\r\n", 8);
    CHECK_MEM(out, h1_chunk_begin(out, UINT64_MAX), "ffffffffffffffff\r\n", 18);
}

static void reasons(void)
{
    CHECK_SLICE(h1_reason(421), "Misdirected Request");
    CHECK_SLICE(h1_reason(299), "");
}

int main(void)
{
    RUN(start_lines);
    RUN(framings);
    RUN(heads_of_our_own);
    RUN(chunks);
    RUN(reasons);
    return checks_done();
}
