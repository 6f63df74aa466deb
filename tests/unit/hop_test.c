/* What the golden pairs of tests/golden/data/h1 (r9, b6) do not reach. */
#include "check.h"
#include "http/hop.h"

static struct head response(unsigned status, enum body body)
{
    return (struct head){.status = (uint16_t)status, .version = 11, .body = body, .keep_alive = true};
}

static void framing_of_requests(void)
{
    struct head head = {.body = BODY_LENGTH, .length = 5, .length_given = true};
    struct h1_framing framing = hop_request_framing(&head);
    CHECK_INT(framing.body, BODY_LENGTH);
    CHECK_INT(framing.length, 5);
    CHECK_INT(framing.connection, H1_CONNECTION_UNSAID);
    head.upgrade = UPGRADE_WEBSOCKET;
    CHECK_INT(hop_request_framing(&head).connection, H1_CONNECTION_UPGRADE);
}

static void framing_of_answers(void)
{
    static const struct {
        enum body body, want;
        unsigned version;
        bool keep_alive;
        enum h1_connection connection;
    } rows[] = {
        {BODY_LENGTH, BODY_LENGTH, 11, true, H1_CONNECTION_UNSAID},
        {BODY_LENGTH, BODY_LENGTH, 11, false, H1_CONNECTION_CLOSE},
        {BODY_LENGTH, BODY_LENGTH, 10, true, H1_CONNECTION_KEEP_ALIVE},
        {BODY_LENGTH, BODY_LENGTH, 10, false, H1_CONNECTION_CLOSE},
        {BODY_CHUNKED, BODY_CHUNKED, 11, true, H1_CONNECTION_UNSAID},
        {BODY_CHUNKED, BODY_UNTIL_CLOSE, 10, true, H1_CONNECTION_CLOSE},
        {BODY_UNTIL_CLOSE, BODY_CHUNKED, 11, true, H1_CONNECTION_UNSAID},
        {BODY_UNTIL_CLOSE, BODY_UNTIL_CLOSE, 10, true, H1_CONNECTION_CLOSE},
        {BODY_NONE, BODY_NONE, 10, true, H1_CONNECTION_KEEP_ALIVE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct head head = response(200, rows[i].body);
        struct h1_framing framing = hop_response_framing(&head, rows[i].version, rows[i].keep_alive);
        CHECK_INT(framing.body, rows[i].want);
        CHECK_INT(framing.connection, rows[i].connection);
    }
}

static void lengths_without_a_body(void)
{
    struct head head = response(304, BODY_NONE);
    head.length_given = true;
    CHECK(hop_response_framing(&head, 11, true).length_given);
    head.status = 204;
    CHECK(!hop_response_framing(&head, 11, true).length_given);
    head.status = 103;
    CHECK(!hop_response_framing(&head, 11, true).length_given);
    CHECK_INT(hop_response_framing(&head, 11, false).connection, H1_CONNECTION_UNSAID); /* interim: not the last word */
    head.status = 101;
    head.upgrade = UPGRADE_WEBSOCKET;
    CHECK_INT(hop_response_framing(&head, 11, true).connection, H1_CONNECTION_UPGRADE);
}

static unsigned passed(const char *name, const struct hop_client *client, bool *out_passes)
{
    struct arena arena = {0};
    struct head head = {0};
    struct fields out = {0};
    head_add(&head, &arena, slice_str(name), SLICE_LIT("x"));
    unsigned num_dropped = hop_request_fields(&head, client, &arena, &out);
    *out_passes = out.num == 1;
    arena_cleanup(&arena);
    return num_dropped;
}

/* R9: of untrusted peers all that says who the client is goes and is counted; of trusted ones what we write anew. */
static void fields_that_say_who_the_client_is(void)
{
    static const struct {
        const char *name;
        bool written, known; /* by us; as one of those fields */
    } rows[] = {
        {"X-Forwarded-For", true, true},     {"x-forwarded-proto", true, true}, {"X-Forwarded-Host", true, true},
        {"X-Forwarded-Port", true, true},    {"X-Real-IP", true, true},         {"Forwarded", true, true},
        {"X-Forwarded-Prefix", false, true}, {"X-Forwarded", false, false},     {"X-Request-ID", false, false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct hop_client untrusted = {0}, off = {.trusted = true}, client = {.trusted = true};
        bool passes;
        hop_drop_forwarding(&client);
        CHECK_INT(passed(rows[i].name, &untrusted, &passes), rows[i].known);
        CHECK_INT(passes, !rows[i].known);
        CHECK_INT(passed(rows[i].name, &off, &passes), 0);
        CHECK(passes);
        CHECK_INT(passed(rows[i].name, &client, &passes), 0);
        CHECK_INT(passes, !rows[i].written);
    }
}

static void response_fields_one_by_one(void)
{
    struct arena arena = {0};
    struct head head = response(200, BODY_NONE);
    head_add(&head, &arena, SLICE_LIT("Connection"), SLICE_LIT("x-hop"));
    head_add(&head, &arena, SLICE_LIT("X-Hop"), SLICE_LIT(""));
    head_add(&head, &arena, SLICE_LIT("Transfer-Encoding"), SLICE_LIT("chunked"));
    head_add(&head, &arena, SLICE_LIT("keep-alive"), SLICE_LIT("timeout=4"));
    head_add(&head, &arena, SLICE_LIT("Set-Cookie"), SLICE_LIT("a"));
    head_add(&head, &arena, SLICE_LIT("X-Forwarded-For"), SLICE_LIT("a")); /* odd in an answer, and harmless */
    struct fields fields = {0};
    CHECK_INT(hop_response_fields(&head, &arena, &fields), 0);
    CHECK_INT(fields.num, 2);
    CHECK_SLICE(fields.at[0].name, "Set-Cookie");
    CHECK_SLICE(fields.at[1].name, "X-Forwarded-For");
    arena_cleanup(&arena);
}

static void trailers(void)
{
    static const char *bad[] = {"Content-Length", "transfer-encoding",
                                "Host",           "Cookie",
                                "Set-Cookie",     "Connection",
                                "Authorization",  "Content-Type",
                                "Trailer",        "TE",
                                "Upgrade",        "Proxy",
                                "Cache-Control",  "Expect",
                                "X-Real-IP",      "Forwarded",
                                "Vary",           "Location",
                                "X-Forwarded-X",  "X_Y",
                                "Content-Range",  "Max-Forwards",
                                "X-Request-ID",   "traceparent",
                                "tracestate"};
    static const char *good[] = {"grpc-status", "Server-Timing", "Digest", "ETag", "X-Sum"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct field field = {slice_str(bad[i]), SLICE_NONE, field_lookup(slice_str(bad[i]))};
        CHECK(!hop_may_trail(&field));
    }
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct field field = {slice_str(good[i]), SLICE_NONE, field_lookup(slice_str(good[i]))};
        CHECK(hop_may_trail(&field));
    }
    struct fields none = {0};
    struct buf out = {0};
    CHECK_INT(hop_write_trailers(&out, &none), 0);
    CHECK_MEM(out.ptr, out.len, H1_LAST_CHUNK.ptr, H1_LAST_CHUNK.len);
    buf_cleanup(&out);
}

int main(void)
{
    RUN(framing_of_requests);
    RUN(framing_of_answers);
    RUN(lengths_without_a_body);
    RUN(fields_that_say_who_the_client_is);
    RUN(response_fields_one_by_one);
    RUN(trailers);
    return checks_done();
}
