/* HTTP/2 from a client's first byte to the backend and back, over simulated streams: whole exchanges in every cut, then
 * what slow, hostile and leaving clients do, step by step. Time passes by calling what would expire. */
#define WORLD_MAX_BACKENDS 128
#include "h2_peer.h"

#define ASK(method, path) ":method: " method "\n:scheme: https\n:authority: a.test\n:path: " path "\n"
#define GET ASK("GET", "/")
#define POST ASK("POST", "/")
#define WEBSOCKET                                                                                                     \
    ":method: CONNECT\n:protocol: websocket\n:scheme: https\n:authority: a.test\n:path: /ws\nsec-websocket-version: " \
    "13\n"
#define OK_TWO "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

enum { BIG = 1024 * 1024, WIDE = PEER_WIDE, DEFAULT_WINDOW = 65535 };

static const struct run plain_run = {
    .read_bytes = READ_BUFFER_BYTES, .cut_client_at = FOREVER, .cut_backend_at = FOREVER};
static const struct scenario by_hand = {.name = "by hand", .manual = true};
static const struct scenario two_bytes = {.name = "ok", .answers = {OK_TWO, OK_TWO, OK_TWO, OK_TWO}};

static const struct config *config;
static struct certset *certs;

static void begin_with(struct h2_world *w, const struct scenario *scenario, uint32_t window)
{
    h2_world_open(w, scenario, &plain_run, config, certs, window);
    peer_settle(w);
}

static void begin(struct h2_world *w)
{
    begin_with(w, &by_hand, WIDE);
}

static void begin_raw(struct h2_world *w)
{
    struct buf bytes = {0};
    begin_with(w, &by_hand, 0);
    raw_begin(&bytes);
    raw_send(w, &bytes);
}

static int32_t ask(struct h2_world *w, const char *fields)
{
    int32_t id = peer_ask(w, fields, SLICE_NONE, NULL, false);
    peer_settle(w);
    return id;
}

static void backend_says(struct h2_world *w, unsigned i, const char *text)
{
    CHECK(i < w->world.num_backends);
    if (i < w->world.num_backends)
        sim_stream_send(&w->world.backends[i].stream, slice_str(text));
    peer_settle(w);
}

static void expire(struct h2_world *w, struct tick *tick)
{
    CHECK(tick_armed(tick));
    tick_stop(tick);
    tick->expired(tick);
    peer_settle(w);
}

static struct h2_stream *stream_at(struct h2_world *w, int32_t id)
{
    if (w->h2)
        LIST_EACH(&w->h2->streams, node)
    if (container_of(node, struct h2_stream, node)->id == id)
        return container_of(node, struct h2_stream, node);
    return NULL;
}

static bool contains(const struct buf *in, const char *text)
{
    return in->len && memmem(in->ptr, in->len, text, strlen(text));
}

static bool got(struct h2_world *w, int32_t id, const char *text)
{
    return contains(&peer_at(w, id)->head, text);
}

static bool backend_got(struct h2_world *w, unsigned i, const char *text)
{
    return i < w->world.num_backends && contains(&w->world.backends[i].stream.output, text);
}

static struct slice big_body(struct buf *big, size_t len)
{
    memset(buf_reserve(big, len), 'b', len);
    big->len = len;
    return buf_slice(big);
}

static void backend_says_big(struct h2_world *w, unsigned i, size_t len)
{
    struct buf big = {0};
    sim_stream_send(&w->world.backends[i].stream, big_body(&big, len));
    buf_cleanup(&big);
    peer_settle(w);
}

static uint64_t counted(const struct h2_world *w, enum counter counter)
{
    return counters_get(&w->world.counters, counter);
}

/* ---- whole exchanges, in every cut ---- */

struct exchange_case {
    struct scenario scenario;
    const char *asks[2]; /* fields */
    const char *body, *trailer;
    const char *heads[2], *bodies[2], *trailers[2];
};

static const struct exchange_case cases[] = {
    {.scenario = {.name = "two requests",
                  .answers = {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Case: A\r\n\r\none",
                              "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo"}},
     .asks = {ASK("GET", "/1"), ASK("GET", "/2")},
     .heads = {":status: 200\ncontent-length: 3\nx-case: A\n", ":status: 200\ncontent-length: 3\n"},
     .bodies = {"one", "two"}},
    {.scenario =
         {.name = "bodies and trailers both ways",
          .answers =
              {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-R: 2\r\nHost: no\r\n\r\n"}},
     .asks = {POST},
     .body = "abc",
     .trailer = "1",
     .heads = {":status: 200\n"},
     .bodies = {"hello"},
     .trailers = {"x-r: 2\n"}},
    {.scenario = {.name = "trailers without a body",
                  .answers = {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-R: 2\r\n\r\n"}},
     .asks = {GET},
     .heads = {":status: 200\n"},
     .trailers = {"x-r: 2\n"}},
    {.scenario = {.name = "interim answers",
                  .answers = {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
                              "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}},
     .asks = {POST "expect: 100-continue\ncontent-length: 2\n"},
     .body = "ok",
     .heads = {":status: 100\n:status: 103\nlink: </x>\n:status: 200\ncontent-length: 0\n"}},
    {.scenario = {.name = "HEAD", .answers = {"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"}},
     .asks = {ASK("HEAD", "/")},
     .heads = {":status: 200\ncontent-length: 99\n"}},
    {.scenario = {.name = "204", .answers = {"HTTP/1.1 204 No Content\r\n\r\n"}},
     .asks = {GET},
     .heads = {":status: 204\n"}},
    {.scenario = {.name = "304", .answers = {"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n"}},
     .asks = {GET},
     .heads = {":status: 304\netag: \"x\"\n"}},
    {.scenario = {.name = "an answer until close",
                  .answers = {"HTTP/1.1 200 OK\r\n\r\nuntil the end"},
                  .backend_closes = true},
     .asks = {GET},
     .heads = {":status: 200\n"},
     .bodies = {"until the end"}},
    {.scenario = {.name = "a connection that died before its answer is tried again",
                  .answers = {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none"},
                  .drop_first = true},
     .asks = {GET},
     .heads = {":status: 200\ncontent-length: 3\n"},
     .bodies = {"one"}},
};

static void case_open(struct h2_world *w, const struct exchange_case *c, const struct run *run)
{
    h2_world_open(w, &c->scenario, run, config, certs, WIDE);
    for (int i = 0; i < 2 && c->asks[i]; i++) {
        peer_ask(w, c->asks[i], slice_str(c->body), c->trailer, false);
        peer_settle(w);
    }
}

static const char *text_of(const char *text)
{
    return text ? text : "";
}

static void case_run(const struct exchange_case *c, const struct run *run)
{
    struct h2_world w;
    case_open(&w, c, run);
    for (int i = 0; i < 2 && c->asks[i]; i++) {
        struct peer_stream *stream = &w.streams[i];
        CHECK_SLICE(buf_slice(&stream->head), text_of(c->heads[i]));
        CHECK_SLICE(buf_slice(&stream->body), text_of(c->bodies[i]));
        CHECK_SLICE(buf_slice(&stream->trailers), text_of(c->trailers[i]));
        CHECK(stream->ended && stream->closed);
        CHECK_INT(stream->code, NGHTTP2_NO_ERROR);
    }
    CHECK_INT(w.world.stream.end, SIM_OPEN);
    CHECK_INT(w.h2->num_streams, 0);
    h2_world_close(&w);
}

/* What a client sends, replayed up to every byte, then it leaves: nothing breaks, and what it got is a part of the whole. */
static void case_cut_client(const struct exchange_case *c)
{
    struct h2_world w;
    struct buf sent = {0};
    case_open(&w, c, &plain_run);
    buf_append_slice(&sent, buf_slice(&w.sent));
    h2_world_close(&w);
    for (size_t cut = 0; cut < sent.len; cut++) {
        h2_world_open(&w, &c->scenario, &plain_run, config, certs, 0);
        sim_stream_send(&w.world.stream, slice_first(buf_slice(&sent), cut));
        sim_stream_send_eof(&w.world.stream);
        world_settle(&w.world);
        CHECK(w.world.front_closed);
        h2_world_close(&w);
    }
    buf_cleanup(&sent);
}

/* A backend that leaves in its answer: 502, or a reset; never a clean end behind a part. */
static void case_cut_backend(const struct exchange_case *c)
{
    size_t len = strlen(c->scenario.answers[0]);
    struct scenario scenario = c->scenario;
    scenario.answers[1] = NULL;
    for (long cut = 0; cut < (long)len; cut++) {
        struct h2_world w;
        struct exchange_case one = *c;
        struct run run = plain_run;
        run.cut_backend_at = cut;
        one.asks[1] = NULL;
        one.scenario = scenario;
        case_open(&w, &one, &run);
        struct peer_stream *stream = &w.streams[0];
        bool whole = stream->ended && stream->code == NGHTTP2_NO_ERROR && !contains(&stream->head, ":status: 502");
        if (whole && !c->scenario.backend_closes)
            CHECK_SLICE(buf_slice(&stream->body), text_of(c->bodies[0]));
        h2_world_close(&w);
    }
}

static void exchanges_are_the_same_in_every_cut(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        static const size_t reads[] = {READ_BUFFER_BYTES, 1, 7};
        for (size_t r = 0; r < 3; r++)
            for (int full = 0; full < 2; full++) {
                struct run run = plain_run;
                run.read_bytes = reads[r];
                run.full = full;
                case_run(&cases[i], &run);
            }
        case_cut_client(&cases[i]);
        case_cut_backend(&cases[i]);
    }
}

static void what_goes_upstream_is_what_http_1_1_would_send(void)
{
    struct h2_world w;
    begin(&w);
    ask(&w, POST "cookie: a=1\nx-one: 1\ncookie: b=2\nte: trailers\nx_bad: 1\ncookie: c=3\n");
    CHECK_SLICE(buf_slice(&w.world.backends[0].stream.output),
                "POST / HTTP/1.1\r\nHost: a.test\r\ncookie: a=1; b=2; c=3\r\nx-one: 1\r\nTE: trailers\r\n" FORWARDED
                "Content-Length: 0\r\n\r\n");
    h2_world_close(&w);
}

/* ---- many streams ---- */

static void of_1000_requests_100_are_upstream_at_a_time(void)
{
    enum { NUM = 1000 };
    struct h2_world w;
    begin(&w);
    for (int i = 0; i < NUM; i++)
        peer_ask(&w, GET, SLICE_NONE, NULL, false);
    peer_settle(&w);
    CHECK_INT(w.h2->num_streams, LIMIT_H2_STREAMS);
    CHECK_INT(w.world.num_backends, LIMIT_H2_STREAMS);
    for (int i = 0; i < NUM; i++)
        backend_says(&w, (unsigned)i % LIMIT_H2_STREAMS, OK_TWO);
    for (int i = 0; i < NUM; i++)
        CHECK(w.streams[i].ended && contains(&w.streams[i].body, "ok"));
    CHECK_INT(w.world.num_connects, LIMIT_H2_STREAMS);
    CHECK_INT(counted(&w, COUNTER_REQUESTS_HTTP2), NUM);
    h2_world_close(&w);
}

/* Memory of a hundred answers that nobody reads: bounded by the connection's limit and a read buffer each. */
static void a_hundred_answers_that_nobody_reads_are_bounded(void)
{
    struct h2_world w;
    begin_with(&w, &by_hand, 1); /* windows of a byte */
    for (int i = 0; i < LIMIT_H2_STREAMS; i++)
        ask(&w, GET);
    for (unsigned i = 0; i < LIMIT_H2_STREAMS; i++) {
        backend_says(&w, i, "HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n");
        backend_says_big(&w, i, BIG);
        CHECK(!w.world.backends[i].stream.reading);
    }
    CHECK(w.h2->queued_bytes <= LIMIT_H2_QUEUE_BYTES + LIMIT_H2_STREAMS * READ_BUFFER_BYTES); /* and in each turn */
    h2_world_close(&w);
}

static void a_slow_socket_stops_every_backend_and_goes_on(void)
{
    struct h2_world w;
    begin(&w);
    for (int i = 0; i < 10; i++)
        ask(&w, GET);
    w.world.stream.stalled = true;
    for (unsigned i = 0; i < 10; i++) {
        backend_says(&w, i, "HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n");
        backend_says_big(&w, i, BIG);
    }
    for (unsigned i = 0; i < 10; i++)
        CHECK(!w.world.backends[i].stream.reading);
    CHECK(w.world.stream.most_queued_bytes <= FLOW_HIGH_BYTES + 2 * READ_BUFFER_BYTES);
    for (int i = 0; i < MAX_TURNS && (w.h2->num_streams || w.world.stream.queued_bytes); i++) {
        sim_stream_release(&w.world.stream);
        peer_settle(&w);
    }
    CHECK(w.world.stream.most_queued_bytes <= FLOW_HIGH_BYTES + 2 * READ_BUFFER_BYTES);
    for (int i = 0; i < 10; i++)
        CHECK(w.streams[i].ended && w.streams[i].body.len == BIG);
    w.world.stream.stalled = false;
    h2_world_close(&w);
}

/* One that is not read does not stop the others. */
static void a_stream_with_no_window_stops_itself_alone(void)
{
    struct h2_world w;
    begin_with(&w, &by_hand, DEFAULT_WINDOW);
    int32_t one = ask(&w, GET), two = ask(&w, GET);
    nghttp2_session_set_local_window_size(w.peer, NGHTTP2_FLAG_NONE, two, 2 * BIG);
    for (unsigned i = 0; i < 2; i++) {
        backend_says(&w, i, "HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n");
    }
    backend_says_big(&w, 1, BIG);
    CHECK(peer_at(&w, two)->ended);
    CHECK_INT(peer_at(&w, two)->body.len, BIG);
    CHECK(!peer_at(&w, one)->ended);
    h2_world_close(&w);
}

/* A backend of HTTP/2 says more behind a stop: that there is room for it must not hide that the stop was never undone. */
static void what_comes_behind_a_stop_does_not_undo_it(void)
{
    struct h2_world w;
    begin(&w);
    int32_t id = ask(&w, GET);
    backend_says(&w, 0, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    struct front *front = &stream_at(&w, id)->base;
    struct stream *backend = &w.world.backends[0].stream.base;
    w.h2->full = true;
    CHECK(!front->ops->body(front, SLICE_LIT("one")));
    stream_read_stop(backend);
    w.h2->full = false;
    h2_front_wake(w.h2);
    CHECK(!front->ops->body(front, SLICE_LIT("two")));
    peer_settle(&w);
    CHECK(w.world.backends[0].stream.reading);
    CHECK(contains(&peer_at(&w, id)->body, "onetwo"));
    h2_world_close(&w);
}

/* ---- uploads ---- */

static void a_backend_that_keeps_up_earns_larger_windows(void)
{
    struct h2_world w;
    struct buf big = {0};
    begin(&w);
    int32_t id = peer_ask(&w, POST, big_body(&big, 8 * BIG), NULL, true);
    peer_settle(&w);
    CHECK_INT(stream_at(&w, id)->window, LIMIT_H2_MAX_WINDOW_BYTES);
    CHECK_INT(w.h2->window, LIMIT_H2_MAX_WINDOW_BYTES);
    CHECK_INT(nghttp2_session_get_stream_effective_local_window_size(w.h2->session, id), LIMIT_H2_MAX_WINDOW_BYTES);
    CHECK_INT(nghttp2_session_get_effective_local_window_size(w.h2->session), 4 * LIMIT_H2_MAX_WINDOW_BYTES);
    peer_upload(&w, id, SLICE_NONE, true);
    backend_says(&w, 0, OK_TWO);
    CHECK(got(&w, id, ":status: 200"));
    buf_cleanup(&big);
    h2_world_close(&w);
}

/* R14 and flow control: what a backend does not take is held within the window, and no other stream waits for it. */
static void a_stopped_upload_is_held_within_its_window_and_starves_nobody(void)
{
    struct h2_world w;
    struct buf big = {0};
    begin(&w);
    w.world.backends_stall = true;
    int32_t one = peer_ask(&w, POST, big_body(&big, BIG), NULL, false);
    peer_settle(&w);
    struct h2_stream *stream = stream_at(&w, one);
    CHECK(stream->stopped);
    CHECK(stream->held.len > 0 && stream->held.len <= stream->window);
    CHECK(!tick_armed(&stream->deadline)); /* not the client's fault */
    w.world.backends_stall = false;
    int32_t two = peer_ask(&w, POST "content-length: 1048576\n", buf_slice(&big), NULL, false);
    peer_settle(&w);
    CHECK(contains(&w.world.backends[1].stream.output, "Content-Length: 1048576"));
    CHECK(w.world.backends[1].stream.output.len > BIG);
    backend_says(&w, 1, OK_TWO);
    CHECK(peer_at(&w, two)->ended);
    for (int i = 0; i < MAX_TURNS && stream_at(&w, one)->in != H2R_ENDED; i++) {
        sim_stream_release(&w.world.backends[0].stream);
        peer_settle(&w);
    }
    sim_stream_release(&w.world.backends[0].stream);
    w.world.backends[0].stream.stalled = false;
    backend_says(&w, 0, OK_TWO);
    CHECK(peer_at(&w, one)->ended);
    unsigned num = 0;
    for (size_t i = 0; i < w.world.backends[0].stream.output.len; i++)
        num += w.world.backends[0].stream.output.ptr[i] == 'b';
    CHECK(num >= BIG);
    buf_cleanup(&big);
    h2_world_close(&w);
}

static void an_upload_that_is_cut_aborts_the_backends_request(void)
{
    struct h2_world w;
    begin(&w);
    int32_t id = peer_ask(&w, POST "content-length: 10\n", SLICE_LIT("12345"), NULL, true);
    peer_settle(&w);
    nghttp2_submit_rst_stream(w.peer, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    peer_settle(&w);
    CHECK_INT(w.world.backends[0].stream.end, SIM_RESET);
    CHECK_INT(counted(&w, COUNTER_EXCHANGES_ABORTED), 1);
    CHECK_INT(w.h2->num_streams, 0);
    ask(&w, GET); /* the connection serves on */
    backend_says(&w, 1, OK_TWO);
    CHECK(w.streams[1].ended);
    h2_world_close(&w);
}

/* What streams held when they ended is given back: one after the other may fill its window. */
static void the_credit_of_what_was_held_comes_back(void)
{
    enum { ROUNDS = 2 * LIMIT_H2_WINDOW_FACTOR };
    struct h2_world w;
    struct buf big = {0};
    begin(&w);
    w.world.backends_stall = true;
    big_body(&big, BIG);
    for (int i = 0; i < ROUNDS; i++) {
        int32_t id = peer_ask(&w, POST, buf_slice(&big), NULL, true);
        peer_settle(&w);
        CHECK(stream_at(&w, id)->held.len > LIMIT_H2_WINDOW_BYTES / 2);
        nghttp2_submit_rst_stream(w.peer, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
        peer_settle(&w);
    }
    buf_cleanup(&big);
    h2_world_close(&w);
}

/* Stopped streams hold the connection's credit: another cannot send, and is not slow for that. */
static void a_client_without_credit_is_not_slow(void)
{
    enum { NUM_STOPPED = 3 };
    struct h2_world w;
    struct buf big = {0};
    begin(&w);
    int32_t id = peer_ask(&w, POST, SLICE_LIT("12345"), NULL, true);
    peer_settle(&w);
    w.world.backends_stall = true;
    big_body(&big, BIG);
    for (int i = 0; i < NUM_STOPPED; i++)
        peer_ask(&w, POST, buf_slice(&big), NULL, true);
    peer_settle(&w);
    expire(&w, &stream_at(&w, id)->deadline);
    CHECK(!got(&w, id, ":status: 408"));
    CHECK(tick_armed(&stream_at(&w, id)->deadline));
    buf_cleanup(&big);
    h2_world_close(&w);
}

static void a_head_goes_on_before_its_body_comes(void)
{
    struct h2_world w;
    begin(&w);
    peer_ask(&w, POST "content-length: 5\n", SLICE_NONE, NULL, true);
    peer_settle(&w);
    CHECK(backend_got(&w, 0, "Content-Length: 5\r\n\r\n"));
    h2_world_close(&w);
}

/* B6: after an early answer the client may read it; then the rest of its body is refused. */
static void an_early_answer_ends_the_request_without_an_error(void)
{
    for (int large = 0; large < 2; large++) {
        struct h2_world w;
        struct buf big = {0};
        begin(&w);
        int32_t id = peer_ask(&w, POST, big_body(&big, BIG), NULL, true); /* the window has grown */
        peer_settle(&w);
        backend_says(&w, 0, OK_TWO);
        CHECK(peer_at(&w, id)->ended && !peer_at(&w, id)->closed);
        CHECK_INT(stream_at(&w, id)->in, H2R_DISCARD);
        if (large)
            peer_upload(&w, id, buf_slice(&big), false);
        else
            expire(&w, &stream_at(&w, id)->deadline);
        CHECK(peer_at(&w, id)->closed);
        CHECK_INT(peer_at(&w, id)->code, NGHTTP2_NO_ERROR);
        CHECK_INT(w.h2->budget.spent[H2_EXPENSE_RESET], 0);
        buf_cleanup(&big);
        h2_world_close(&w);
    }
}

static void slow_bodies_are_408_and_fast_ones_are_not(void)
{
    struct h2_world w;
    struct buf big = {0};
    begin(&w);
    int32_t id = peer_ask(&w, POST, SLICE_LIT("12345"), NULL, true);
    peer_settle(&w);
    peer_upload(&w, id, big_body(&big, LIMIT_BODY_RATE_BYTES_S * LIMIT_BODY_RATE_GRACE_MS / 1000), false);
    expire(&w, &stream_at(&w, id)->deadline);
    CHECK_INT(peer_at(&w, id)->head.len, 0);
    expire(&w, &stream_at(&w, id)->deadline);
    CHECK(got(&w, id, ":status: 408"));
    CHECK_INT(w.world.backends[0].stream.end, SIM_RESET);
    buf_cleanup(&big);
    h2_world_close(&w);
}

/* ---- requests that are answered here ---- */

static void requests_are_refused_as_in_http_1_1(void)
{
    static const struct {
        const char *fields, *status;
    } refused[] = {
        {ASK("TRACE", "/"), ":status: 405"},                                                            /* R12 */
        {":method: CONNECT\n:authority: a.test:443\n", ":status: 501"},                                 /* R12 */
        {GET "expect: 200-maybe\n", ":status: 417"},                                                    /* R11 */
        {":method: GET\n:scheme: https\n:authority: b.test\n:path: /\n", ":status: 421"},               /* R8 */
        {":method: GET\n:scheme: https\n:authority: a.test\n:path: /\nhost: b.test\n", ":status: 400"}, /* H3 */
        {":method: GET\n:scheme: http\n:authority: a.test\n:path: /\n", ":status: 400"},                /* H3 */
        {":method: GET\n:scheme: https\n:authority: a.test:x\n:path: /\n", ":status: 400"},             /* H3, R7 */
        {":method: GET\n:scheme: https\n:authority: a.test\n:path: /a#b\n", ":status: 400"},            /* R6 */
        {":method: GET\n:scheme: https\n:authority: a.test\n:path: /\xc3\xa9\n", ":status: 400"},
    };
    struct h2_world w;
    begin(&w);
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        int32_t id = ask(&w, refused[i].fields);
        CHECK(got(&w, id, refused[i].status));
        CHECK(peer_at(&w, id)->ended);
    }
    CHECK_INT(w.world.num_connects, 0);
    CHECK_INT(w.h2->num_streams, 0);
    h2_world_close(&w);
}

/* H3, R7: by us, or by nghttp2, which since 1.64 resets such a stream by itself. */
static void userinfo_in_the_authority_is_refused(void)
{
    struct h2_world w;
    begin(&w);
    int32_t id = ask(&w, ":method: GET\n:scheme: https\n:authority: a@a.test\n:path: /\n");
    struct peer_stream *peer = peer_at(&w, id);
    CHECK(got(&w, id, ":status: 400") || (peer->closed && peer->code == NGHTTP2_PROTOCOL_ERROR));
    CHECK_INT(w.world.num_connects, 0);
    CHECK_INT(w.h2->num_streams, 0);
    h2_world_close(&w);
}

static const char *long_path(struct buf *fields, size_t len)
{
    buf_append_str(fields, ":method: GET\n:scheme: https\n:authority: a.test\n:path: /");
    memset(buf_reserve(fields, len), 'p', len);
    fields->len += len;
    buf_append_str(fields, "\n");
    return buf_cstr(fields);
}

/* R10, H5: too large is 431, and the connection's HPACK state goes on. */
static void heads_that_are_too_large_are_refused_and_hpack_goes_on(void)
{
    struct h2_world w;
    struct buf target = {0}, list = {0};
    begin(&w);
    CHECK(got(&w, ask(&w, long_path(&target, LIMIT_TARGET_BYTES)), ":status: 414"));
    buf_append_str(&list, GET);
    for (int i = 0; i < 10; i++) {
        buf_printf(&list, "x-name-%d: ", i);
        memset(buf_reserve(&list, 4000), 'v', 4000);
        list.len += 4000;
        buf_append_str(&list, "\n");
    }
    CHECK(got(&w, ask(&w, buf_cstr(&list)), ":status: 431"));
    CHECK_INT(w.world.num_connects, 0);
    int32_t id = ask(&w, GET "x-name-9: again\n");
    CHECK(backend_got(&w, 0, "x-name-9: again\r\n"));
    backend_says(&w, 0, OK_TWO);
    CHECK(peer_at(&w, id)->ended);
    buf_cleanup(&target);
    buf_cleanup(&list);
    h2_world_close(&w);
}

static void bodies_above_the_limit_are_413(void)
{
    const struct config *small = world_config_with("PORTICO_MAX_REQUEST_BODY=4");
    struct h2_world w;
    h2_world_open(&w, &by_hand, &plain_run, small, certs, WIDE);
    int32_t said = peer_ask(&w, POST "content-length: 5\n", SLICE_LIT("12345"), NULL, false);
    peer_settle(&w);
    CHECK(got(&w, said, ":status: 413"));
    int32_t unsaid = peer_ask(&w, POST, SLICE_LIT("12345"), NULL, false);
    peer_settle(&w);
    CHECK(got(&w, unsaid, ":status: 413"));
    h2_world_close(&w);
    config_unref(small);
}

/* ---- malformed requests (H1, H2) ---- */

static void raw_request(struct buf *out, const char *fields, uint8_t flags, int32_t id)
{
    struct buf block = {0};
    struct slice rest = slice_str(fields);
    while (rest.len) {
        struct slice line = slice_split(&rest, '\n');
        const char *at = memmem(line.ptr, line.len, "=", 1);
        raw_field(&block, slice_first(line, (size_t)(at - line.ptr)), slice_skip(line, (size_t)(at - line.ptr) + 1));
    }
    raw_frame(out, NGHTTP2_HEADERS, flags, id, buf_slice(&block));
    buf_cleanup(&block);
}

#define RAW ":method=GET\n:scheme=https\n:authority=a.test\n:path=/\n"
enum { WHOLE = NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, OPEN = NGHTTP2_FLAG_END_HEADERS };

static void malformed_heads_are_reset_and_not_forwarded(void)
{
    static const char *const malformed[] = {
        RAW "X-Upper=1\n",
        RAW "x name=1\n",
        RAW "x:name=1\n",
        RAW "x-a=1\r2\n",
        RAW "x-a=\x01\n",
        RAW "x-a= 1\n",
        RAW "x-a=1 \n",
        RAW "x-a=1\t\n",
        RAW "=1\n",
        RAW "connection=close\n",
        RAW "keep-alive=1\n",
        RAW "proxy-connection=close\n",
        RAW "transfer-encoding=chunked\n",
        RAW "upgrade=websocket\n",
        RAW "te=gzip\n",
        RAW ":path=/2\n",
        RAW ":unknown=1\n",
        RAW "x-a=1\n:path=/\n",
        RAW ":status=200\n",
        RAW ":protocol=websocket\n",
        ":method=GET\n:scheme=https\n:authority=a.test\n",
        ":method=GET\n:scheme=https\n:authority=a.test\n:path=\n",
        ":method=GET\n:scheme=https\n:authority=a.test\n:path=*\n",
        ":method=GET\n:scheme=https\n:path=/\n",
        ":method=GET\n:authority=a.test\n:path=/\n",
        ":scheme=https\n:authority=a.test\n:path=/\n",
        ":method=G T\n:scheme=https\n:authority=a.test\n:path=/\n",
        RAW "content-length=1\ncontent-length=1\n",
        RAW "content-length=+1\n",
        RAW "content-length=1\n", /* H2: and END_STREAM */
    };
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        struct h2_world w;
        struct buf bytes = {0};
        uint32_t code = 0;
        begin_raw(&w);
        raw_request(&bytes, malformed[i], WHOLE, 1);
        raw_send(&w, &bytes);
        if (raw_count(&w, NGHTTP2_RST_STREAM, 1, &code) != 1 || code != NGHTTP2_PROTOCOL_ERROR)
            fprintf(stderr, "not reset: %s", malformed[i]);
        CHECK_INT(raw_count(&w, NGHTTP2_RST_STREAM, 1, &code), 1);
        CHECK_INT(code, NGHTTP2_PROTOCOL_ERROR);
        CHECK_INT(w.world.num_connects, 0);
        CHECK_INT(w.h2->budget.spent[H2_EXPENSE_RESET], 1); /* H4: provoked */
        raw_request(&bytes, RAW, WHOLE, 3);                 /* HPACK and the connection go on */
        raw_send(&w, &bytes);
        CHECK_INT(w.world.num_connects, 1);
        h2_world_close(&w);
    }
}

/* H2: the backend's request is aborted, not completed. */
static void a_body_of_another_length_is_reset(void)
{
    for (int longer = 0; longer < 2; longer++) {
        struct h2_world w;
        struct buf bytes = {0};
        uint32_t code = 0;
        begin_raw(&w);
        raw_request(&bytes, ":method=POST\n:scheme=https\n:authority=a.test\n:path=/\ncontent-length=5\n", OPEN, 1);
        raw_frame(&bytes, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, longer ? SLICE_LIT("123456") : SLICE_LIT("1234"));
        raw_send(&w, &bytes);
        CHECK_INT(raw_count(&w, NGHTTP2_RST_STREAM, 1, &code), 1);
        CHECK_INT(code, NGHTTP2_PROTOCOL_ERROR);
        CHECK_INT(w.world.backends[0].stream.end, SIM_RESET);
        CHECK_INT(w.h2->num_streams, 0);
        h2_world_close(&w);
    }
}

/* ---- floods (H4, H5, H6) ---- */

static void check_calmed(struct h2_world *w)
{
    uint32_t code = 0;
    CHECK(raw_count(w, NGHTTP2_GOAWAY, 0, &code) > 0);
    CHECK_INT(code, NGHTTP2_ENHANCE_YOUR_CALM);
    CHECK_INT(w->world.stream.end, SIM_CLOSED);
}

/* H4, rapid reset: as many requests upstream as the budget, then the end. */
static void rapid_resets_end_the_connection(void)
{
    struct h2_world w;
    struct buf bytes = {0};
    begin_raw(&w);
    for (int i = 0; i < 3000; i++) {
        raw_request(&bytes, RAW, WHOLE, 2 * i + 1);
        raw_frame(&bytes, NGHTTP2_RST_STREAM, 0, 2 * i + 1, slice_make("\0\0\0\x08", 4));
    }
    raw_send(&w, &bytes);
    check_calmed(&w);
    CHECK(counted(&w, COUNTER_REQUESTS_HTTP2) <= LIMIT_H2_RESETS + 1);
    h2_world_close(&w);
}

/* H4, MadeYouReset: what makes us reset counts as much. */
static void provoked_resets_end_the_connection(void)
{
    for (int kind = 0; kind < 3; kind++) {
        struct h2_world w;
        struct buf bytes = {0};
        begin_raw(&w);
        for (int i = 0; i < 300; i++) {
            int32_t id = 2 * i + 1;
            raw_request(&bytes,
                        kind == 0   ? RAW "upgrade=h2c\n"
                        : kind == 1 ? RAW
                                    : RAW "content-length=1\n",
                        kind == 1 ? WHOLE : OPEN, id);
            if (kind == 1)
                raw_frame(&bytes, NGHTTP2_WINDOW_UPDATE, 0, id, slice_make("\x7f\xff\xff\xff", 4));
            else if (kind == 2)
                raw_frame(&bytes, NGHTTP2_DATA, 0, id, SLICE_LIT("123"));
            raw_send(&w, &bytes);
            if (w.world.stream.end != SIM_OPEN)
                break;
        }
        check_calmed(&w);
        CHECK(counted(&w, COUNTER_REQUESTS_HTTP2) <= LIMIT_H2_RESETS + 1);
        h2_world_close(&w);
    }
}

/* What we would have to say to a client that reads nothing is bounded: it is not read either. */
static void a_client_that_reads_nothing_is_not_read(void)
{
    enum { FRAME_BYTES = 50 };
    struct h2_world w;
    struct buf bytes = {0};
    begin_raw(&w); /* does not acknowledge our SETTINGS: more streams are refused one by one */
    raw_request(&bytes, RAW, WHOLE, 1);
    raw_send(&w, &bytes);
    w.world.stream.stalled = true;
    backend_says(&w, 0, "HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n");
    backend_says_big(&w, 0, BIG);
    CHECK(w.h2->full);
    for (int i = 1; i < 20000; i++)
        raw_request(&bytes, RAW, WHOLE, 2 * i + 1);
    CHECK(bytes.len > 20000 * FRAME_BYTES);
    raw_send(&w, &bytes);
    CHECK(counted(&w, COUNTER_REQUESTS_HTTP2) <= LIMIT_H2_STREAMS);
    CHECK(!w.world.stream.reading && w.world.stream.input.len > 0);
    CHECK(nghttp2_session_get_outbound_queue_size(w.h2->session) <=
          LIMIT_H2_QUEUED_FRAMES + READ_BUFFER_BYTES / FRAME_BYTES);
    w.world.stream.stalled = false;
    sim_stream_release(&w.world.stream);
    world_settle(&w.world);
    CHECK_INT(w.world.stream.end, SIM_CLOSED); /* for its resets (H4) */
    h2_world_close(&w);
}

static void floods_of_cheap_frames_end_the_connection(void)
{
    static const struct {
        uint8_t type;
        int32_t id;
        const char *payload;
        size_t len;
        int num;
    } floods[] = {
        {NGHTTP2_PING, 0, "12345678", 8, LIMIT_H2_CONTROL_FRAMES + 1},
        {NGHTTP2_SETTINGS, 0, "", 0, LIMIT_H2_CONTROL_FRAMES + 1},
        {NGHTTP2_PRIORITY, 1, "\0\0\0\0\0", 5, LIMIT_H2_IDLE_FRAMES + 1},
        {NGHTTP2_DATA, 1, "", 0, LIMIT_H2_IDLE_FRAMES + 1},
        {0x0a, 0, "x", 1, LIMIT_H2_IDLE_FRAMES + 1},
        {0xfa, 0, "", 0, LIMIT_H2_IDLE_FRAMES + 1},
    };
    for (size_t i = 0; i < sizeof floods / sizeof floods[0]; i++)
        for (int over = 0; over < 2; over++) {
            struct h2_world w;
            struct buf bytes = {0};
            begin_raw(&w);
            raw_request(&bytes, ":method=POST\n:scheme=https\n:authority=a.test\n:path=/\n", OPEN, 1);
            for (int n = floods[i].num == LIMIT_H2_CONTROL_FRAMES + 1; n < floods[i].num - !over; n++)
                raw_frame(&bytes, floods[i].type, 0, floods[i].id, slice_make(floods[i].payload, floods[i].len));
            raw_send(&w, &bytes);
            if (over)
                check_calmed(&w);
            else
                CHECK_INT(w.world.stream.end, SIM_OPEN);
            h2_world_close(&w);
        }
}

/* A client that measures its path by PING while it gets an answer is no flood. */
static void pings_beside_answers_are_no_flood(void)
{
    struct h2_world w;
    begin_with(&w, &two_bytes, WIDE);
    for (int i = 0; i < 300; i++) {
        nghttp2_submit_ping(w.peer, NGHTTP2_FLAG_NONE, NULL);
        if (i % 2)
            peer_ask(&w, ASK("GET", "/.well-known/none"), SLICE_NONE, NULL, false);
        if (i % 2)
            w.world.num_answers = 0;
        peer_settle(&w);
    }
    CHECK_INT(w.goaway_code, NOT_YET);
    CHECK(w.streams[149].ended);
    h2_world_close(&w);
}

/* H5: CONTINUATION without an end. */
static void continuations_without_end_are_cut(void)
{
    for (int empty = 0; empty < 2; empty++) {
        struct h2_world w;
        struct buf bytes = {0}, field = {0};
        begin_raw(&w);
        raw_field(&field, SLICE_LIT("x-a"), SLICE_LIT("value"));
        raw_request(&bytes, RAW, 0, 1);
        for (int i = 0; i < 1000; i++)
            raw_frame(&bytes, NGHTTP2_CONTINUATION, 0, 1, empty ? SLICE_NONE : buf_slice(&field));
        raw_send(&w, &bytes);
        check_calmed(&w);
        buf_cleanup(&field);
        h2_world_close(&w);
    }
}

/* H5: one byte that stands for four kilobytes, over and over. */
static void an_hpack_bomb_is_cut(void)
{
    struct h2_world w;
    struct buf bytes = {0}, block = {0};
    begin_raw(&w);
    raw_request(&bytes, RAW, 0, 1);
    buf_append(&block, "\x40\x01x\x7f\xf1\x1d", 6); /* a literal with indexing: 127 + 113 + 29 * 128 = 3952 bytes */
    memset(buf_reserve(&block, 3952), 'v', 3952);
    block.len += 3952;
    memset(buf_reserve(&block, 1000), 0xbe, 1000); /* the newest entry of the table */
    block.len += 1000;
    raw_frame(&bytes, NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 1, buf_slice(&block));
    raw_send(&w, &bytes);
    check_calmed(&w);
    CHECK_INT(w.world.num_connects, 0);
    buf_cleanup(&block);
    h2_world_close(&w);
}

/* H7: what is no HTTP/2 is answered by GOAWAY and closed. */
static void connections_that_break_the_protocol_end(void)
{
    static const struct {
        uint8_t type;
        int32_t id;
        const char *payload;
        size_t len;
        uint32_t code;
    } broken[] = {
        {NGHTTP2_DATA, 5, "x", 1, NGHTTP2_PROTOCOL_ERROR},              /* idle stream */
        {NGHTTP2_RST_STREAM, 5, "\0\0\0\0", 4, NGHTTP2_PROTOCOL_ERROR}, /* idle stream */
        {NGHTTP2_PING, 0, "1234567", 7, NGHTTP2_FRAME_SIZE_ERROR},
        {NGHTTP2_SETTINGS, 0, "12345", 5, NGHTTP2_FRAME_SIZE_ERROR},
        {NGHTTP2_WINDOW_UPDATE, 0, "\0\0\0\0", 4, NGHTTP2_PROTOCOL_ERROR},             /* H6 */
        {NGHTTP2_WINDOW_UPDATE, 0, "\x7f\xff\xff\xff", 4, NGHTTP2_FLOW_CONTROL_ERROR}, /* H6 */
        {NGHTTP2_CONTINUATION, 1, "x", 1, NGHTTP2_PROTOCOL_ERROR},
        {NGHTTP2_PUSH_PROMISE, 1, "\0\0\0\2", 4, NGHTTP2_PROTOCOL_ERROR},
        {NGHTTP2_HEADERS, 2, "x", 1, NGHTTP2_PROTOCOL_ERROR},
    };
    struct h2_world w;
    struct buf bytes = {0};
    uint32_t code = 0;
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        begin_raw(&w);
        raw_frame(&bytes, broken[i].type, NGHTTP2_FLAG_END_HEADERS, broken[i].id,
                  slice_make(broken[i].payload, broken[i].len));
        raw_send(&w, &bytes);
        CHECK(raw_count(&w, NGHTTP2_GOAWAY, 0, &code) > 0);
        CHECK_INT(code, broken[i].code);
        CHECK_INT(w.world.stream.end, SIM_CLOSED);
        h2_world_close(&w);
    }
    begin_with(&w, &by_hand, 0);
    buf_append_str(&bytes, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    raw_send(&w, &bytes);
    CHECK_INT(w.world.stream.end, SIM_CLOSED);
    h2_world_close(&w);
}

/* ---- deadlines ---- */

static void first_requests_and_open_heads_have_a_deadline(void)
{
    struct h2_world w;
    struct buf bytes = {0};
    begin_with(&w, &by_hand, 0); /* no preface */
    expire(&w, &w.h2->idle);
    CHECK_INT(w.world.stream.end, SIM_CLOSED);
    h2_world_close(&w);
    begin_raw(&w); /* a block without an end, with other streams at work */
    raw_request(&bytes, RAW, WHOLE, 1);
    raw_request(&bytes, RAW, 0, 3);
    raw_send(&w, &bytes);
    expire(&w, &w.h2->block);
    check_calmed(&w);
    h2_world_close(&w);
}

static void ping_is_not_activity(void)
{
    struct h2_world w;
    begin(&w);
    ask(&w, GET);
    CHECK(!tick_armed(&w.h2->idle) && !tick_armed(&w.h2->block));
    backend_says(&w, 0, OK_TWO);
    uint64_t due_ms = w.h2->idle.due_ms;
    CHECK(tick_armed(&w.h2->idle));
    uv_sleep(2 * TICKER_GRAIN_MS);
    nghttp2_submit_ping(w.peer, NGHTTP2_FLAG_NONE, NULL);
    peer_settle(&w);
    CHECK_INT(w.h2->idle.due_ms, due_ms);
    expire(&w, &w.h2->idle);
    CHECK_INT(w.goaway_code, NGHTTP2_NO_ERROR);
    CHECK_INT(w.world.stream.end, SIM_CLOSED);
    h2_world_close(&w);
}

/* H6: a window that never opens. */
static void an_answer_that_does_not_move_is_reset(void)
{
    struct h2_world w;
    begin_with(&w, &by_hand, 1);
    int32_t id = ask(&w, GET);
    backend_says(&w, 0, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789");
    CHECK_INT(stream_at(&w, id)->out, H2A_ENDED);
    expire(&w, &stream_at(&w, id)->stall);
    CHECK(peer_at(&w, id)->closed);
    CHECK_INT(peer_at(&w, id)->code, NGHTTP2_CANCEL);
    CHECK_INT(w.world.stream.end, SIM_OPEN);
    h2_world_close(&w);
}

/* ---- backends ---- */

static void an_answer_that_is_cut_is_reset_and_nobody_is_blamed(void)
{
    struct h2_world w;
    begin(&w);
    int32_t id = ask(&w, GET);
    backend_says(&w, 0, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234");
    sim_stream_send_eof(&w.world.backends[0].stream);
    peer_settle(&w);
    CHECK(peer_at(&w, id)->closed && !peer_at(&w, id)->ended);
    CHECK_INT(peer_at(&w, id)->code, NGHTTP2_INTERNAL_ERROR);
    CHECK_INT(w.h2->budget.spent[H2_EXPENSE_RESET], 0);
    CHECK_INT(counted(&w, COUNTER_EXCHANGES_ABORTED), 1);
    h2_world_close(&w);
}

static void what_a_backend_does_wrong_is_502(void)
{
    struct h2_world w;
    begin(&w);
    int32_t id = ask(&w, GET);
    backend_says(&w, 0, "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n");
    CHECK(got(&w, id, ":status: 502"));
    CHECK(peer_at(&w, id)->ended);
    h2_world_close(&w);
}

static void the_largest_head_of_an_answer_passes(void)
{
    enum { NUM = 60, BYTES = 1000 };
    struct h2_world w;
    struct buf answer = {0};
    begin(&w);
    int32_t id = ask(&w, GET);
    buf_append_str(&answer, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
    for (int i = 0; i < NUM; i++) {
        buf_printf(&answer, "X-%d: ", i);
        memset(buf_reserve(&answer, BYTES), 'v', BYTES);
        answer.len += BYTES;
        buf_append_str(&answer, "\r\n");
    }
    buf_append_str(&answer, "\r\n");
    backend_says(&w, 0, buf_cstr(&answer));
    CHECK(peer_at(&w, id)->ended && peer_at(&w, id)->head.len > NUM * BYTES);
    buf_cleanup(&answer);
    h2_world_close(&w);
}

static void a_client_that_leaves_aborts_all_it_asked_for(void)
{
    struct h2_world w;
    begin(&w);
    ask(&w, GET);
    ask(&w, GET);
    sim_stream_send_eof(&w.world.stream);
    world_settle(&w.world);
    CHECK(w.world.front_closed);
    CHECK_INT(w.world.backends[0].stream.end, SIM_RESET);
    CHECK_INT(w.world.backends[1].stream.end, SIM_RESET);
    CHECK_INT(counted(&w, COUNTER_EXCHANGES_ABORTED), 2);
    h2_world_close(&w);
}

/* ---- extended CONNECT (RFC 8441, R12) ---- */

static void backend_grants(struct h2_world *w, bool rightly)
{
    char accept[WEBSOCKET_ACCEPT_BYTES];
    struct buf answer = {0};
    websocket_key_accept(slice_str(container_of(w->h2->streams.next, struct h2_stream, node)->websocket_key), accept);
    buf_printf(&answer,
               "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
               "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Accept: %s\r\n\r\n",
               rightly ? accept : "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    backend_says(w, 0, buf_cstr(&answer));
    buf_cleanup(&answer);
}

static int32_t ask_websocket(struct h2_world *w)
{
    int32_t id = peer_ask(w, WEBSOCKET, SLICE_NONE, NULL, true);
    peer_settle(w);
    return id;
}

static void a_websocket_is_a_tunnel_with_two_ends(void)
{
    for (int client_first = 0; client_first < 2; client_first++) {
        struct h2_world w;
        size_t num_tunnels;
        begin(&w);
        int32_t id = ask_websocket(&w);
        CHECK(backend_got(&w, 0, "GET /ws HTTP/1.1\r\nHost: a.test\r\n"));
        CHECK(backend_got(&w, 0, "Upgrade: websocket\r\n") && backend_got(&w, 0, "Sec-WebSocket-Key: "));
        peer_upload(&w, id, SLICE_LIT("too early"), false); /* held until it is granted */
        CHECK(!backend_got(&w, 0, "too early"));
        backend_grants(&w, true);
        CHECK_SLICE(buf_slice(&peer_at(&w, id)->head), ":status: 200\nsec-websocket-protocol: chat\n");
        CHECK(backend_got(&w, 0, "too early"));
        CHECK_INT(h2_front_num_busy(w.h2, &num_tunnels), 1);
        CHECK_INT(num_tunnels, 1);
        backend_says(&w, 0, "raw");
        CHECK_SLICE(buf_slice(&peer_at(&w, id)->body), "raw");
        if (client_first)
            peer_upload(&w, id, SLICE_LIT("last"), true);
        else
            sim_stream_send_eof(&w.world.backends[0].stream);
        peer_settle(&w);
        CHECK(client_first ? w.world.backends[0].stream.shut : peer_at(&w, id)->ended);
        CHECK(!peer_at(&w, id)->closed);
        if (client_first)
            sim_stream_send_eof(&w.world.backends[0].stream);
        else
            peer_upload(&w, id, SLICE_LIT("last"), true);
        peer_settle(&w);
        CHECK(backend_got(&w, 0, "last"));
        CHECK(peer_at(&w, id)->ended && peer_at(&w, id)->closed);
        CHECK_INT(peer_at(&w, id)->code, NGHTTP2_NO_ERROR);
        h2_world_close(&w);
    }
}

static void a_wrong_accept_is_502_and_no_tunnel(void)
{
    struct h2_world w;
    begin(&w);
    int32_t id = ask_websocket(&w);
    backend_grants(&w, false);
    CHECK(got(&w, id, ":status: 502") && !got(&w, id, ":status: 200"));
    CHECK(peer_at(&w, id)->ended);
    CHECK_INT(w.world.backends[0].stream.end, SIM_RESET);
    h2_world_close(&w);
}

static void a_websocket_that_is_declined_is_an_answer(void)
{
    struct h2_world w;
    begin(&w);
    int32_t id = ask_websocket(&w);
    backend_says(&w, 0, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    CHECK(got(&w, id, ":status: 403"));
    CHECK_SLICE(buf_slice(&peer_at(&w, id)->body), "no");
    h2_world_close(&w);
    begin(&w);
    CHECK(got(&w, ask(&w, ":method: CONNECT\n:protocol: connect-udp\n:scheme: https\n:authority: a.test\n:path: /\n"),
              ":status: 501"));
    CHECK_INT(w.world.num_connects, 0);
    h2_world_close(&w);
}

/* ---- drains ---- */

static void a_drain_goes_in_two_steps(void)
{
    for (int silent = 0; silent < 2; silent++) {
        struct h2_world w;
        begin(&w);
        int32_t one = ask(&w, GET);
        if (silent)
            w.world.stream.read_bytes = 1; /* its PING comes back late */
        h2_front_drain(w.h2);
        h2_front_drain(w.h2);
        int32_t two = peer_ask(&w, GET, SLICE_NONE, NULL, false); /* crosses the notice */
        peer_say(&w);
        if (silent) {
            uv_run(&w.world.uv, UV_RUN_NOWAIT);
            expire(&w, &w.h2->notice);
        }
        peer_settle(&w);
        CHECK_INT(w.goaway_code, NGHTTP2_NO_ERROR);
        CHECK_INT(w.num_goaways, 2);
        CHECK_INT(w.h2->state, H2F_LEAVING);
        CHECK_INT(w.goaway_last, silent ? one : two);
        backend_says(&w, 0, OK_TWO);
        if (!silent)
            backend_says(&w, 1, OK_TWO);
        CHECK(peer_at(&w, one)->ended);
        CHECK_INT(peer_at(&w, two)->ended, !silent);
        CHECK_INT(w.world.stream.end, SIM_CLOSED);
        h2_world_close(&w);
    }
}

static void a_drain_closes_what_is_idle(void)
{
    struct h2_world w;
    begin(&w);
    h2_front_drain(w.h2);
    peer_settle(&w);
    CHECK_INT(raw_count(&w, NGHTTP2_GOAWAY, 0, NULL), 2);
    CHECK_INT(w.world.stream.end, SIM_CLOSED);
    h2_world_close(&w);
}

/* As HTTP/1.1 says Connection: close with its next answer. */
static void a_connection_that_is_old_or_drains_leaves_with_its_next_request(void)
{
    const struct config *aging = world_config_with("PORTICO_MAX_CONN_AGE=1h");
    for (int old = 0; old < 2; old++) {
        struct h2_world w;
        h2_world_open(&w, &by_hand, &plain_run, aging, certs, WIDE);
        peer_settle(&w);
        int32_t young = ask(&w, GET);
        CHECK_INT(w.num_goaways, 0);
        w.world.env.draining = !old;
        w.h2->born_ms -= old ? 3600001 : 0;
        int32_t last = ask(&w, GET);
        CHECK_INT(w.num_goaways, 2);
        CHECK_INT(w.goaway_last, last);
        backend_says(&w, 0, OK_TWO);
        backend_says(&w, 1, OK_TWO);
        CHECK(peer_at(&w, young)->ended && peer_at(&w, last)->ended);
        CHECK_INT(w.world.stream.end, SIM_CLOSED);
        h2_world_close(&w);
    }
    config_unref(aging);
}

int main(void)
{
    config = world_config();
    certs = certset_new();
    RUN(exchanges_are_the_same_in_every_cut);
    RUN(what_goes_upstream_is_what_http_1_1_would_send);
    RUN(of_1000_requests_100_are_upstream_at_a_time);
    RUN(a_hundred_answers_that_nobody_reads_are_bounded);
    RUN(a_slow_socket_stops_every_backend_and_goes_on);
    RUN(what_comes_behind_a_stop_does_not_undo_it);
    RUN(a_stream_with_no_window_stops_itself_alone);
    RUN(a_backend_that_keeps_up_earns_larger_windows);
    RUN(a_stopped_upload_is_held_within_its_window_and_starves_nobody);
    RUN(an_upload_that_is_cut_aborts_the_backends_request);
    RUN(the_credit_of_what_was_held_comes_back);
    RUN(a_client_without_credit_is_not_slow);
    RUN(a_head_goes_on_before_its_body_comes);
    RUN(an_early_answer_ends_the_request_without_an_error);
    RUN(slow_bodies_are_408_and_fast_ones_are_not);
    RUN(requests_are_refused_as_in_http_1_1);
    RUN(userinfo_in_the_authority_is_refused);
    RUN(heads_that_are_too_large_are_refused_and_hpack_goes_on);
    RUN(bodies_above_the_limit_are_413);
    RUN(malformed_heads_are_reset_and_not_forwarded);
    RUN(a_body_of_another_length_is_reset);
    RUN(rapid_resets_end_the_connection);
    RUN(provoked_resets_end_the_connection);
    RUN(a_client_that_reads_nothing_is_not_read);
    RUN(floods_of_cheap_frames_end_the_connection);
    RUN(pings_beside_answers_are_no_flood);
    RUN(continuations_without_end_are_cut);
    RUN(an_hpack_bomb_is_cut);
    RUN(connections_that_break_the_protocol_end);
    RUN(first_requests_and_open_heads_have_a_deadline);
    RUN(ping_is_not_activity);
    RUN(an_answer_that_does_not_move_is_reset);
    RUN(an_answer_that_is_cut_is_reset_and_nobody_is_blamed);
    RUN(what_a_backend_does_wrong_is_502);
    RUN(the_largest_head_of_an_answer_passes);
    RUN(a_client_that_leaves_aborts_all_it_asked_for);
    RUN(a_websocket_is_a_tunnel_with_two_ends);
    RUN(a_wrong_accept_is_502_and_no_tunnel);
    RUN(a_websocket_that_is_declined_is_an_answer);
    RUN(a_drain_goes_in_two_steps);
    RUN(a_drain_closes_what_is_idle);
    RUN(a_connection_that_is_old_or_drains_leaves_with_its_next_request);
    certset_unref(certs);
    config_unref(config);
    return checks_done();
}
