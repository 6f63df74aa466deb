/* One exchange at a time, step by step: slow peers, deadlines, early answers, tunnels, faulty backends, drains. The test
 * speaks for the client and for the backends; time passes by calling what would expire. */
#include "proxy_world.h"

#define GET "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
#define OK_TWO "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define UPGRADE                                                                                            \
    "GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"                    \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
#define SWITCH                                                                                             \
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"                    \
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"

enum { BIG = 1024 * 1024 };

static const struct run plain_run = {.read_bytes = READ_BUFFER_BYTES, .cut_client_at = FOREVER, .cut_backend_at = FOREVER};
static const struct scenario by_hand = {.name = "by hand", .sent = "", .manual = true};

static const struct config *config;
static struct certset *certs;

static void begin(struct world *world)
{
    world_start(world, &by_hand, &plain_run, config, certs);
    world_settle(world);
}

static void client_says(struct world *world, const char *text)
{
    sim_stream_send(&world->stream, slice_str(text));
    world_settle(world);
}

static void backend_says(struct world *world, unsigned i, const char *text)
{
    CHECK(i < world->num_backends);
    if (i < world->num_backends)
        sim_stream_send(&world->backends[i].stream, slice_str(text));
    world_settle(world);
}

static void expire(struct world *world, struct tick *tick)
{
    CHECK(tick_armed(tick));
    tick_stop(tick);
    tick->expired(tick);
    world_settle(world);
}

static bool contains(const struct buf *in, const char *text)
{
    return in->len && memmem(in->ptr, in->len, text, strlen(text));
}

static bool got(const struct world *world, const char *text)
{
    return contains(&world->stream.output, text);
}

static bool backend_got(const struct world *world, unsigned i, const char *text)
{
    return i < world->num_backends && contains(&world->backends[i].stream.output, text);
}

static unsigned num_of(const struct buf *in, const char *text)
{
    unsigned num = 0;
    for (struct slice rest = buf_slice(in);; num++) {
        const char *found = rest.len ? memmem(rest.ptr, rest.len, text, strlen(text)) : NULL;
        if (!found)
            return num;
        rest = slice_skip(rest, (size_t)(found - rest.ptr) + strlen(text));
    }
}

static void send_big(struct sim_stream *stream, size_t len)
{
    struct buf big = {0};
    memset(buf_reserve(&big, len), 'b', len);
    big.len = len;
    sim_stream_send(stream, buf_slice(&big));
    buf_cleanup(&big);
}

static uint64_t counted(const struct world *world, enum counter counter)
{
    return counters_get(&world->counters, counter);
}

/* ---- slow peers ---- */

/* R13, R14: a client that asks on and on and reads nothing costs bounded memory. */
static void a_pipelined_flood_waits_for_its_reader(void)
{
    enum { NUM = 6000 };
    struct world world;
    begin(&world);
    world.stream.stalled = true;
    for (int i = 0; i < NUM; i++) /* answered here, with 421 */
        sim_stream_send(&world.stream, SLICE_LIT("GET / HTTP/1.1\r\nHost: b.test\r\n\r\n"));
    world_settle(&world);
    CHECK(world.stream.most_queued_bytes <= FLOW_HIGH_BYTES + 4096);
    CHECK(world.stream.input.len > 0 && !world.stream.reading);
    for (int i = 0; i < MAX_TURNS && (world.stream.input.len || world.stream.queued_bytes); i++) {
        sim_stream_release(&world.stream);
        world_settle(&world);
    }
    CHECK(world.stream.most_queued_bytes <= FLOW_HIGH_BYTES + 4096);
    CHECK_INT(num_of(&world.stream.output, "HTTP/1.1 421 "), NUM);
    CHECK_INT(world.stream.end, SIM_OPEN);
    world_end(&world);
}

static void a_slow_client_stops_the_backend(void)
{
    struct world world;
    begin(&world);
    client_says(&world, GET);
    world.stream.stalled = true;
    backend_says(&world, 0, "HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n");
    send_big(&world.backends[0].stream, BIG);
    world_settle(&world);
    CHECK(!world.backends[0].stream.reading);
    for (int i = 0; i < MAX_TURNS && world.backends[0].stream.input.len; i++) {
        sim_stream_release(&world.stream);
        world_settle(&world);
    }
    world.stream.stalled = false;
    CHECK(world.stream.most_queued_bytes <= FLOW_HIGH_BYTES + READ_BUFFER_BYTES + 256);
    CHECK_INT(num_of(&world.stream.output, "b"), BIG);
    CHECK_INT(world.stream.end, SIM_OPEN);
    sim_stream_release(&world.stream);
    CHECK_INT(world.backends[0].stream.end, SIM_OPEN);
    client_says(&world, GET); /* both sides serve on */
    backend_says(&world, 0, OK_TWO);
    CHECK(got(&world, "\r\n\r\nok"));
    CHECK_INT(world.num_backends, 1);
    world_end(&world);
}

static void a_slow_backend_stops_the_client(void)
{
    struct world world;
    begin(&world);
    world.backends_stall = true;
    client_says(&world, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1048576\r\n\r\n");
    send_big(&world.stream, BIG);
    world_settle(&world);
    CHECK(!world.stream.reading && world.stream.input.len > BIG / 2);
    for (int i = 0; i < MAX_TURNS && world.stream.input.len; i++) {
        sim_stream_release(&world.backends[0].stream);
        world_settle(&world);
    }
    sim_stream_release(&world.backends[0].stream);
    world_settle(&world);
    CHECK(world.backends[0].stream.most_queued_bytes <= FLOW_HIGH_BYTES + READ_BUFFER_BYTES + 512);
    CHECK_INT(num_of(&world.backends[0].stream.output, "bbbbbbbb"), BIG / 8);
    backend_says(&world, 0, OK_TWO);
    CHECK(got(&world, "\r\n\r\nok") && !got(&world, "Connection: close"));
    world_end(&world);
}

static void what_comes_before_there_is_a_connection_is_held_within_bounds(void)
{
    struct world world;
    begin(&world);
    sim_stream_send(&world.stream, SLICE_LIT("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1048576\r\n\r\n"));
    send_big(&world.stream, BIG);
    world_settle(&world); /* which checks in each turn */
    CHECK_INT(num_of(&world.backends[0].stream.output, "bbbbbbbb"), BIG / 8);
    world_end(&world);
}

/* ---- deadlines (R14, B3) ---- */

static void idle_and_slow_clients_are_ended(void)
{
    struct world world;
    begin(&world);
    expire(&world, &world.front.deadline); /* said nothing */
    CHECK_INT(world.stream.end, SIM_CLOSED);
    CHECK_INT(world.stream.output.len, 0);
    world_end(&world);
    begin(&world);
    client_says(&world, "GET / HTTP/1.1\r\nHo");
    client_says(&world, "st: a"); /* a byte now and then moves nothing */
    expire(&world, &world.front.deadline);
    CHECK(got(&world, "HTTP/1.1 408 ") && got(&world, "Connection: close"));
    CHECK_INT(world.stream.end, SIM_CLOSED);
    world_end(&world);
    begin(&world);
    client_says(&world, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000000\r\n\r\n0123456789");
    expire(&world, &world.front.deadline);
    CHECK(got(&world, "HTTP/1.1 408 ") && got(&world, "Connection: close"));
    CHECK_INT(world.stream.end, SIM_CLOSED);
    CHECK_INT(world.backends[0].stream.end, SIM_RESET);
    world_end(&world);
}

static void a_body_at_its_rate_goes_on(void)
{
    struct world world;
    begin(&world);
    client_says(&world, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000000\r\n\r\n");
    send_big(&world.stream, LIMIT_BODY_RATE_BYTES_S * LIMIT_BODY_RATE_GRACE_MS / 1000);
    world_settle(&world);
    expire(&world, &world.front.deadline);
    CHECK_INT(world.stream.output.len, 0);
    expire(&world, &world.front.deadline); /* and then nothing */
    CHECK(got(&world, "HTTP/1.1 408 "));
    world_end(&world);
}

static void a_client_that_may_not_send_is_not_slow(void)
{
    struct world world;
    begin(&world);
    world.backends_stall = true;
    client_says(&world, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1048576\r\n\r\n");
    send_big(&world.stream, 200000);
    world_settle(&world);
    CHECK(!world.stream.reading);
    CHECK(!tick_armed(&world.front.deadline));
    world.backends[0].stream.stalled = false;
    sim_stream_release(&world.backends[0].stream);
    world_settle(&world);
    CHECK(world.stream.reading);
    CHECK(tick_armed(&world.front.deadline)); /* a whole window from here */
    expire(&world, &world.front.deadline);
    CHECK_INT(world.stream.output.len, 0);
    expire(&world, &world.front.deadline);
    CHECK(got(&world, "HTTP/1.1 408 "));
    world_end(&world);
}

static void a_client_that_waits_for_100_is_not_slow(void)
{
    struct world world;
    begin(&world);
    client_says(&world, "PUT / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\n\r\n");
    CHECK(backend_got(&world, 0, "Expect: 100-continue"));
    expire(&world, &world.front.deadline);
    CHECK_INT(world.stream.output.len, 0);
    backend_says(&world, 0, "HTTP/1.1 100 Continue\r\n\r\n");
    CHECK(got(&world, "HTTP/1.1 100 Continue\r\n\r\n"));
    expire(&world, &world.front.deadline);
    CHECK(got(&world, "HTTP/1.1 408 "));
    world_end(&world);
    begin(&world); /* the backend has the word, and says nothing */
    client_says(&world, "PUT / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\n\r\n");
    CHECK(world.front.exchange->timeout.due_ms <=
          net_loop_now_ms(world.loop) + (uint64_t)config->upstream.response_timeout_ms);
    expire(&world, &world.front.exchange->timeout);
    CHECK(got(&world, "HTTP/1.1 504 ") && got(&world, "Connection: close"));
    CHECK_INT(world.stream.end, SIM_CLOSED);
    world_end(&world);
}

static void a_backend_that_hangs_is_504_then_a_cut(void)
{
    struct world world;
    begin(&world);
    client_says(&world, GET);
    expire(&world, &world.front.exchange->timeout);
    CHECK(got(&world, "HTTP/1.1 504 ") && !got(&world, "Connection: close"));
    CHECK_INT(world.backends[0].stream.end, SIM_RESET);
    CHECK_INT(world.stream.end, SIM_OPEN);
    client_says(&world, GET);
    CHECK_INT(world.num_backends, 2);
    backend_says(&world, 1, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123");
    expire(&world, &world.front.exchange->timeout);
    CHECK_INT(world.stream.end, SIM_RESET);
    CHECK_INT(world.backends[1].stream.end, SIM_RESET);
    CHECK_INT(counted(&world, COUNTER_EXCHANGES_ABORTED), 1);
    world_end(&world);
}

/* ---- clients that leave ---- */

static void a_client_that_leaves_aborts_its_exchange_and_is_counted(void)
{
    struct world world;
    for (int answered = 0; answered < 2; answered++)
        for (int how = 0; how < 2; how++) {
            begin(&world);
            client_says(&world, GET);
            if (answered)
                backend_says(&world, 0, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123");
            if (how)
                sim_stream_break(&world.stream);
            else
                sim_stream_send_eof(&world.stream);
            world_settle(&world);
            CHECK_INT(counted(&world, COUNTER_EXCHANGES_ABORTED), 1);
            CHECK_INT(world.backends[0].stream.end, SIM_RESET);
            CHECK_INT(world.stream.end, answered || how ? SIM_RESET : SIM_CLOSED);
            world_end(&world);
        }
}

/* An answer until close is whole by its end alone: a cut one must not have a clean one. */
static void a_part_of_an_answer_until_close_never_ends_cleanly(void)
{
    struct world world;
    begin(&world);
    client_says(&world, "GET / HTTP/1.0\r\nHost: a.test\r\n\r\n");
    backend_says(&world, 0, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    CHECK(got(&world, "Connection: close\r\n\r\nabc"));
    sim_stream_send_eof(&world.stream);
    world_settle(&world);
    CHECK_INT(world.stream.end, SIM_RESET);
    world_end(&world);
}

static void http_1_0_is_kept_alive_only_if_asked_and_never_chunked(void)
{
    struct world world;
    begin(&world);
    client_says(&world, "GET / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n");
    backend_says(&world, 0, OK_TWO);
    CHECK(got(&world, "Connection: keep-alive\r\n\r\nok"));
    CHECK_INT(world.stream.end, SIM_OPEN);
    client_says(&world, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"); /* without Host: the connection's */
    CHECK(backend_got(&world, 0, "Host: a.test"));
    backend_says(&world, 0, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                            "3\r\nabc\r\n0\r\n\r\n");
    CHECK(!got(&world, "103") && !got(&world, "chunked") && got(&world, "Connection: close\r\n\r\nabc"));
    CHECK_INT(world.stream.end, SIM_CLOSED);
    world_end(&world);
    begin(&world);
    client_says(&world, "GET / HTTP/1.0\r\nHost: a.test\r\n\r\n");
    backend_says(&world, 0, OK_TWO);
    CHECK_INT(world.stream.end, SIM_CLOSED);
    world_end(&world);
}

/* ---- early answers (B6) ---- */

static void an_early_answer_ends_the_request(void)
{
    struct world world;
    begin(&world);
    client_says(&world, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000000\r\n\r\npart");
    backend_says(&world, 0, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    CHECK(got(&world, "HTTP/1.1 403 Forbidden") && got(&world, "Connection: close\r\n\r\nno"));
    CHECK_INT(world.stream.end, SIM_CLOSED); /* a linger, not a reset */
    CHECK(world.backends[0].stream.end != SIM_OPEN);
    world_end(&world);
}

static void an_answer_may_stream_while_the_request_does(void)
{
    struct world world;
    begin(&world);
    client_says(&world, "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    backend_says(&world, 0, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nONE\r\n");
    CHECK(got(&world, "3\r\nONE\r\n"));
    client_says(&world, "3\r\ntwo\r\n");
    CHECK(backend_got(&world, 0, "3\r\ntwo\r\n"));
    backend_says(&world, 0, "3\r\nTWO\r\n");
    client_says(&world, "0\r\n\r\n");
    backend_says(&world, 0, "0\r\n\r\n");
    CHECK(got(&world, "3\r\nTWO\r\n0\r\n\r\n"));
    CHECK_INT(world.stream.end, SIM_CLOSED); /* it was said in the head */
    world_end(&world);
}

/* ---- tunnels ---- */

static void tunnel_begin(struct world *world)
{
    begin(world);
    client_says(world, UPGRADE);
    backend_says(world, 0, SWITCH);
    CHECK(got(world, "HTTP/1.1 101 "));
    CHECK_INT(world->front.state, H1F_TUNNEL);
}

static void either_side_of_a_tunnel_may_end_first(void)
{
    struct world world;
    tunnel_begin(&world);
    client_says(&world, "last words");
    sim_stream_send_eof(&world.stream);
    world_settle(&world);
    CHECK(backend_got(&world, 0, "last words") && world.backends[0].stream.shut);
    CHECK_INT(world.stream.end, SIM_OPEN);
    backend_says(&world, 0, "an answer to them");
    CHECK(got(&world, "an answer to them"));
    sim_stream_send_eof(&world.backends[0].stream);
    world_settle(&world);
    CHECK_INT(world.stream.end, SIM_CLOSED);
    CHECK_INT(world.backends[0].stream.end, SIM_CLOSED);
    CHECK_INT(counted(&world, COUNTER_EXCHANGES_ABORTED), 0);
    world_end(&world);
    tunnel_begin(&world);
    backend_says(&world, 0, "bye");
    sim_stream_send_eof(&world.backends[0].stream);
    world_settle(&world);
    CHECK(got(&world, "bye") && world.stream.shut);
    client_says(&world, "and thanks");
    CHECK(backend_got(&world, 0, "and thanks"));
    sim_stream_send_eof(&world.stream);
    world_settle(&world);
    CHECK_INT(world.stream.end, SIM_CLOSED);
    CHECK_INT(world.backends[0].stream.end, SIM_CLOSED);
    world_end(&world);
}

static void a_tunnel_that_is_idle_or_breaks_is_cut(void)
{
    struct world world;
    tunnel_begin(&world);
    expire(&world, &world.front.exchange->timeout);
    CHECK_INT(world.stream.end, SIM_RESET);
    CHECK_INT(world.backends[0].stream.end, SIM_RESET);
    world_end(&world);
    tunnel_begin(&world);
    sim_stream_break(&world.backends[0].stream);
    world_settle(&world);
    CHECK_INT(world.stream.end, SIM_RESET);
    world_end(&world);
    tunnel_begin(&world);
    sim_stream_break(&world.stream);
    world_settle(&world);
    CHECK_INT(world.backends[0].stream.end, SIM_RESET);
    world_end(&world);
}

/* One direction that is full does not hold up the other. */
static void tunnels_flow_both_ways_apart(void)
{
    struct world world;
    begin(&world);
    sim_stream_send(&world.stream, SLICE_LIT(UPGRADE "behind the head"));
    world_settle(&world);
    world.stream.stalled = true;
    sim_stream_send(&world.backends[0].stream, SLICE_LIT(SWITCH));
    send_big(&world.backends[0].stream, BIG);
    world_settle(&world);
    CHECK(!world.backends[0].stream.reading);
    CHECK(backend_got(&world, 0, "behind the head"));
    client_says(&world, "and more");
    CHECK(backend_got(&world, 0, "behind the headand more"));
    CHECK(world.stream.most_queued_bytes <= FLOW_HIGH_BYTES + READ_BUFFER_BYTES + 256);
    for (int i = 0; i < MAX_TURNS && world.backends[0].stream.input.len; i++) {
        sim_stream_release(&world.stream);
        world_settle(&world);
    }
    CHECK_INT(num_of(&world.stream.output, "bbbbbbbb"), BIG / 8);
    world_end(&world);
}

static void an_upgrade_that_is_answered_here_is_a_request_like_others(void)
{
    struct world world;
    begin(&world);
    world.client.server_name = SLICE_LIT("b.test"); /* 421 */
    client_says(&world, UPGRADE GET);
    CHECK_INT(num_of(&world.stream.output, "HTTP/1.1 421 "), 2);
    CHECK_INT(world.num_backends, 0);
    world.client.server_name = SLICE_LIT("a.test");
    client_says(&world, UPGRADE);
    backend_says(&world, 0, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    client_says(&world, GET);
    backend_says(&world, 0, OK_TWO);
    CHECK(got(&world, "\r\n\r\nok"));
    CHECK_INT(world.num_backends, 1);
    world_end(&world);
}

/* ---- backends (B2, B4, B5, B7) ---- */

static void what_a_backend_does_wrong_is_502(void)
{
    static const char *const answers[] = {
        "SMTP ready\r\n", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "HTTP/1.1 999 Odd\r\n\r\n", "HTTP/1.1 200 OK\r\nA\r\n\r\n"};
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        struct world world;
        begin(&world);
        client_says(&world, GET);
        backend_says(&world, 0, answers[i]);
        CHECK(got(&world, "HTTP/1.1 502 "));
        CHECK_INT(world.num_backends, 1); /* what was answered is not asked again */
        CHECK(world.backends[0].stream.end != SIM_OPEN);
        CHECK_INT(world.stream.end, SIM_OPEN);
        world_end(&world);
    }
}

static void what_nobody_asked_for_poisons_nothing(void)
{
    struct world world;
    begin(&world);
    client_says(&world, GET);
    backend_says(&world, 0, OK_TWO OK_TWO); /* two answers */
    CHECK_INT(num_of(&world.stream.output, "HTTP/1.1 200 "), 1);
    CHECK(world.backends[0].stream.end != SIM_OPEN);
    client_says(&world, GET);
    CHECK_INT(world.num_backends, 2);
    backend_says(&world, 1, OK_TWO);
    backend_says(&world, 1, "HTTP/1.1 200 OK\r\n"); /* while idle */
    CHECK_INT(world.backends[1].stream.end, SIM_RESET);
    client_says(&world, GET);
    CHECK_INT(world.num_backends, 3);
    backend_says(&world, 2, "HTTP/1.1 204 No Content\r\n\r\nbody");
    CHECK(!got(&world, "body") && world.backends[2].stream.end != SIM_OPEN);
    world_end(&world);
}

static void a_body_that_is_cut_is_a_reset(void)
{
    static const char *const answers[] = {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123",
                                          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
                                          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
                                          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nxyz\r\n",
                                          "HTTP/1.1 200 OK\r\n\r\nuntil the end"};
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++)
        for (int rst = 0; rst < 2; rst++) {
            struct world world;
            bool whole = i == 4 && !rst;
            begin(&world);
            client_says(&world, GET);
            backend_says(&world, 0, answers[i]);
            if (rst)
                sim_stream_break(&world.backends[0].stream);
            else
                sim_stream_send_eof(&world.backends[0].stream);
            world_settle(&world);
            CHECK_INT(world.stream.end, whole ? SIM_OPEN : SIM_RESET);
            CHECK_INT(counted(&world, COUNTER_EXCHANGES_ABORTED), !whole);
            world_end(&world);
        }
}

static void a_request_is_sent_again_only_while_it_is_held_whole(void)
{
    struct world world;
    begin(&world);
    client_says(&world, "PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\n12345");
    sim_stream_break(&world.backends[0].stream);
    world_settle(&world);
    CHECK_INT(world.num_backends, 2);
    client_says(&world, "67890");
    CHECK(backend_got(&world, 1, "\r\n\r\n1234567890"));
    sim_stream_break(&world.backends[1].stream); /* once, not twice */
    world_settle(&world);
    CHECK_INT(world.num_backends, 2);
    CHECK(got(&world, "HTTP/1.1 502 "));
    CHECK_INT(counted(&world, COUNTER_UPSTREAM_RETRIES), 1);
    world_end(&world);
    begin(&world); /* too large to be held */
    client_says(&world, "PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 200000\r\n\r\n");
    send_big(&world.stream, 100000);
    world_settle(&world);
    CHECK_INT(world.front.exchange->held.len, 0);
    sim_stream_break(&world.backends[0].stream);
    world_settle(&world);
    CHECK_INT(world.num_backends, 1);
    CHECK(got(&world, "HTTP/1.1 502 "));
    world_end(&world);
    begin(&world); /* a byte of an answer has come */
    client_says(&world, GET);
    backend_says(&world, 0, "H");
    sim_stream_break(&world.backends[0].stream);
    world_settle(&world);
    CHECK_INT(world.num_backends, 1);
    CHECK(got(&world, "HTTP/1.1 502 "));
    world_end(&world);
}

static void a_backend_that_is_not_there_is_waited_for_then_502(void)
{
    struct world world;
    begin(&world);
    world.refuse = true;
    client_says(&world, GET);
    CHECK(got(&world, "HTTP/1.1 502 ") && !got(&world, "127.0.0.1"));
    CHECK_INT(world.stream.end, SIM_OPEN);
    world_end(&world);
    const struct config *usual = config;
    config = world_config_with("PORTICO_UPSTREAM_CONNECT_TIMEOUT=1s");
    ((struct config *)(uintptr_t)config)->upstream.wait_ms = 5000;
    for (int leaves = 0; leaves < 2; leaves++) {
        begin(&world);
        world.refuse = true;
        client_says(&world, GET);
        CHECK_INT(world.stream.output.len, 0);
        expire(&world, &world.front.exchange->wait.retry);
        CHECK_INT(world.num_connects, 2);
        if (leaves) {
            sim_stream_send_eof(&world.stream);
            world_settle(&world);
            CHECK_INT(world.stream.end, SIM_CLOSED);
        } else {
            world.refuse = false;
            expire(&world, &world.front.exchange->wait.retry);
            backend_says(&world, 0, OK_TWO);
            CHECK(got(&world, "\r\n\r\nok"));
        }
        world_end(&world);
    }
    config_unref(config);
    config = usual;
}

/* ---- drains ---- */

static void a_drain_answers_what_it_has_and_takes_no_more(void)
{
    struct world world;
    begin(&world);
    client_says(&world, GET);
    world.env.draining = true;
    h1_front_drain(&world.front);
    CHECK(h1_front_busy(&world.front));
    backend_says(&world, 0, OK_TWO);
    CHECK(got(&world, "Connection: close\r\n\r\nok"));
    CHECK_INT(world.stream.end, SIM_CLOSED);
    world_end(&world);
    begin(&world); /* idle */
    client_says(&world, GET);
    backend_says(&world, 0, OK_TWO);
    world.env.draining = true;
    h1_front_drain(&world.front);
    world_settle(&world);
    CHECK_INT(world.stream.end, SIM_CLOSED);
    world_end(&world);
    begin(&world); /* the next request is in hand already */
    client_says(&world, GET GET);
    sim_stream_send(&world.backends[0].stream, SLICE_LIT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"));
    world_settle(&world);
    world.env.draining = true;
    h1_front_drain(&world.front);
    backend_says(&world, 0, "ok");
    backend_says(&world, 0, OK_TWO);
    CHECK_INT(num_of(&world.stream.output, "HTTP/1.1 200 "), 2);
    CHECK_INT(num_of(&world.stream.output, "Connection: close"), 1);
    CHECK_INT(world.stream.end, SIM_CLOSED);
    world_end(&world);
    tunnel_begin(&world); /* left alone */
    world.env.draining = true;
    h1_front_drain(&world.front);
    client_says(&world, "still");
    CHECK(backend_got(&world, 0, "still"));
    world_end(&world);
}

/* ---- what is counted ---- */

static void bytes_are_counted_once(void)
{
    struct world world;
    begin(&world);
    client_says(&world, GET GET GET);
    for (int i = 0; i < 3; i++)
        backend_says(&world, 0, OK_TWO);
    CHECK_INT(counted(&world, COUNTER_BYTES_FROM_CLIENTS), 3 * strlen(GET));
    CHECK_INT(counted(&world, COUNTER_BYTES_TO_CLIENTS), world.stream.output.len);
    CHECK_INT(counted(&world, COUNTER_REQUESTS), 3);
    CHECK_INT(counted(&world, COUNTER_RESPONSES_2XX), 3);
    CHECK_INT(counted(&world, COUNTER_UPSTREAM_REUSES), 2);
    world_end(&world);
}

int main(void)
{
    config = world_config();
    certs = certset_new();
    RUN(a_pipelined_flood_waits_for_its_reader);
    RUN(a_slow_client_stops_the_backend);
    RUN(a_slow_backend_stops_the_client);
    RUN(what_comes_before_there_is_a_connection_is_held_within_bounds);
    RUN(idle_and_slow_clients_are_ended);
    RUN(a_body_at_its_rate_goes_on);
    RUN(a_client_that_may_not_send_is_not_slow);
    RUN(a_client_that_waits_for_100_is_not_slow);
    RUN(a_backend_that_hangs_is_504_then_a_cut);
    RUN(a_client_that_leaves_aborts_its_exchange_and_is_counted);
    RUN(a_part_of_an_answer_until_close_never_ends_cleanly);
    RUN(http_1_0_is_kept_alive_only_if_asked_and_never_chunked);
    RUN(an_early_answer_ends_the_request);
    RUN(an_answer_may_stream_while_the_request_does);
    RUN(either_side_of_a_tunnel_may_end_first);
    RUN(a_tunnel_that_is_idle_or_breaks_is_cut);
    RUN(tunnels_flow_both_ways_apart);
    RUN(an_upgrade_that_is_answered_here_is_a_request_like_others);
    RUN(what_a_backend_does_wrong_is_502);
    RUN(what_nobody_asked_for_poisons_nothing);
    RUN(a_body_that_is_cut_is_a_reset);
    RUN(a_request_is_sent_again_only_while_it_is_held_whole);
    RUN(a_backend_that_is_not_there_is_waited_for_then_502);
    RUN(a_drain_answers_what_it_has_and_takes_no_more);
    RUN(bytes_are_counted_once);
    certset_unref(certs);
    config_unref(config);
    return checks_done();
}
