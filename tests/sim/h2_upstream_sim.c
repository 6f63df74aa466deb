/* What requests on one HTTP/2 connection to a backend do to each other: shared dials, limits, windows, resets, GOAWAY. */
#include "h2_upstream_world.h"

static const struct config *config;

static void what_the_server_is_asked(void)
{
    struct world world;
    struct call call;
    world_start(&world, config);
    call_init(&call, &world, "POST", "/echo");
    call.body = "12345";
    call.head.body = BODY_LENGTH;
    call.head.length = 5;
    call_start(&call);
    world_settle(&world);
    CHECK_SLICE(buf_slice(&world.upstream_fields),
                ":method: POST\n:scheme: http\n:authority: a.test\n:path: /echo\nx-mixed-case: Value\nte: trailers\n"
                "content-length: 5\n");
    call_leave(&call);
    world_end(&world);
}

/* The dial is single-flight, and many requests share a connection. */
static void requests_that_come_at_once_make_one_connection(void)
{
    static struct call calls[MAX_CALLS];
    struct world world;
    world_start(&world, config);
    for (int i = 0; i < 100; i++) {
        call_init(&calls[i], &world, "GET", "/hello");
        call_start(&calls[i]);
    }
    world_settle(&world);
    CHECK_INT(world.num_connects, 1);
    for (int i = 0; i < 100; i++) {
        CHECK_SLICE(buf_slice(&calls[i].got), "hello");
        call_leave(&calls[i]);
    }
    world_end(&world);
}

static void a_second_connection_when_the_first_is_full(void)
{
    static struct call calls[MAX_CALLS];
    for (unsigned max = 0; max < 4; max += 3) { /* our own limit, and the server's */
        struct world world;
        int num = max ? 4 : 101;
        world_start(&world, config);
        world.max_streams = max;
        for (int i = 0; i < num; i++) {
            call_init(&calls[i], &world, "POST", "/echo");
            calls[i].keep_open = true;
            call_start(&calls[i]);
        }
        world_settle(&world);
        CHECK_INT(world.num_connects, 2);
        CHECK_INT(world.servers[0].num_requests, num - 1);
        CHECK_INT(world.servers[1].num_requests, 1);
        for (int i = 0; i < num; i++) {
            calls[i].upstream->ops->end(calls[i].upstream, NULL);
            world_turn(&world, 1);
        }
        world_settle(&world);
        for (int i = 0; i < num; i++) {
            CHECK_INT(calls[i].num_ended, 1);
            call_leave(&calls[i]);
        }
        world_end(&world);
    }
}

/* Credit is given back as bytes are taken: who takes nothing costs one window, and stops nobody else. */
static void a_stopped_answer_stays_within_its_window_and_starves_nobody(void)
{
    struct world world;
    struct call stopped[20], other;
    world_start(&world, config);
    for (int i = 0; i < 20; i++) {
        call_init(&stopped[i], &world, "GET", "/big");
        stopped[i].stop_at_first = true;
        call_start(&stopped[i]);
    }
    world_settle(&world);
    call_init(&other, &world, "GET", "/big");
    call_start(&other);
    world_settle(&world);
    CHECK_INT(world.num_connects, 1);
    CHECK_INT(other.got.len, 2 << 20);
    for (int i = 0; i < 20; i++) {
        CHECK(stopped[i].got.len > 0 && stopped[i].got.len <= LIMIT_UPSTREAM_WINDOW_BYTES);
        stopped[i].stop_at_first = false;
        stopped[i].upstream->ops->read_start(stopped[i].upstream);
    }
    world_settle(&world);
    for (int i = 0; i < 20; i++) {
        CHECK_INT(stopped[i].got.len, 2 << 20);
        CHECK_INT(stopped[i].num_ended, 1);
        call_leave(&stopped[i]);
    }
    call_leave(&other);
    world_end(&world);
}

/* What the server does not take is queued up to the mark; then the source is stopped until there is room. */
static void an_upload_stops_at_the_servers_window(void)
{
    static char piece[20000];
    for (int stalled = 0; stalled < 2; stalled++) { /* by the window, or by the socket */
        struct world world;
        struct call call;
        size_t sent = 0;
        world_start(&world, config);
        call_init(&call, &world, "POST", "/echo");
        call.head.body = BODY_CHUNKED;
        call.keep_open = true;
        call_start(&call);
        world_settle(&world);
        world.servers[0].stream.stalled = stalled;
        bool room = true;
        for (int i = 0; i < 100 && room; i++) {
            room = call.upstream->ops->body(call.upstream, slice_make(piece, sizeof piece));
            sent += sizeof piece;
            if (i == 0)
                call.upstream->ops->flush(call.upstream);
        }
        CHECK(!room);
        CHECK(sent <= (size_t)(FLOW_HIGH_BYTES + 65535 + 20000) + (stalled ? 2 * FLOW_HIGH_BYTES : 0));
        CHECK_INT(call.num_drained, 0);
        world_settle(&world);
        if (stalled) {
            world.servers[0].stream.stalled = false;
            sim_stream_release(&world.servers[0].stream);
            world_settle(&world);
        }
        while (!call.num_drained && sent) { /* the echo is taken, and with it the server opens its window */
            nghttp2_submit_window_update(world.servers[0].session, 0, 1, 65535);
            nghttp2_submit_window_update(world.servers[0].session, 0, 0, 65535);
            server_flush(&world.servers[0]);
            world_settle(&world);
        }
        CHECK_INT(call.num_drained, 1);
        call.upstream->ops->end(call.upstream, NULL);
        for (int i = 0; i < 8; i++) {
            nghttp2_submit_window_update(world.servers[0].session, 0, 1, 65535);
            nghttp2_submit_window_update(world.servers[0].session, 0, 0, 65535);
            server_flush(&world.servers[0]);
            world_settle(&world);
        }
        CHECK_INT(call.got.len, sent);
        CHECK_INT(call.num_ended, 1);
        call_leave(&call);
        world_end(&world);
    }
}

static void a_request_that_is_given_up_is_reset_and_its_connection_stays(void)
{
    struct world world;
    struct call first, second;
    world_start(&world, config);
    call_init(&first, &world, "POST", "/echo");
    first.keep_open = true;
    call_start(&first);
    world_settle(&world);
    call_leave(&first);
    world_settle(&world);
    CHECK_INT(world.servers[0].num_resets, 1);
    CHECK_INT(world.servers[0].last_reset_code, NGHTTP2_CANCEL);
    CHECK(!first.failed);
    call_init(&second, &world, "GET", "/hello");
    call_start(&second);
    world_settle(&world);
    CHECK_INT(second.num_ended, 1);
    CHECK_INT(world.num_connects, 1);
    call_leave(&second);
    world_end(&world);
}

/* Before its head went out nothing needs to be said to the server at all. */
static void a_request_that_is_given_up_at_once_is_not_seen(void)
{
    struct world world;
    struct call first, second;
    world_start(&world, config);
    call_init(&second, &world, "GET", "/hello");
    call_start(&second);
    world_settle(&world);
    call_init(&first, &world, "GET", "/hello");
    call_start(&first);
    CHECK(first.upstream != NULL);
    call_leave(&first);
    world_settle(&world);
    CHECK_INT(world.servers[0].num_requests, 1);
    call_leave(&second);
    world_end(&world);
}

/* B6: what is left of a request that was answered early is not sent; other requests go on. */
static void an_early_answer_ends_the_request(void)
{
    for (int reset = 0; reset < 2; reset++) {
        struct world world;
        struct call early, next;
        world_start(&world, config);
        call_init(&early, &world, "POST", reset ? "/early-reset" : "/early");
        early.keep_open = true;
        early.body = "xx";
        early.head.body = BODY_CHUNKED;
        call_start(&early);
        world_settle(&world);
        CHECK_INT(early.status, 200);
        CHECK_INT(early.num_ended, 1);
        CHECK(reset || world.servers[0].num_resets == 1);
        call_init(&next, &world, "GET", "/hello");
        call_start(&next);
        world_settle(&world);
        CHECK_INT(next.num_ended, 1);
        CHECK_INT(world.num_connects, 1);
        call_leave(&early);
        call_leave(&next);
        world_end(&world);
    }
}

static void goaway_lets_old_requests_finish_and_new_ones_go_elsewhere(void)
{
    struct world world;
    struct call old, late, next;
    world_start(&world, config);
    call_init(&old, &world, "POST", "/echo");
    old.keep_open = true;
    call_start(&old);
    world_settle(&world);
    call_init(&late, &world, "POST", "/echo");
    late.keep_open = true;
    call_start(&late);
    world_settle(&world);
    raw_goaway(&world.servers[0], 1);
    world_settle(&world);
    CHECK(!old.failed);
    CHECK(late.failed && late.progress == HTTP_UNSENT);
    call_init(&next, &world, "GET", "/hello");
    call_start(&next);
    world_settle(&world);
    CHECK_INT(next.num_ended, 1);
    CHECK_INT(world.num_connects, 2);
    CHECK_INT(world.servers[0].stream.end, SIM_OPEN);
    old.upstream->ops->end(old.upstream, NULL);
    world_settle(&world);
    CHECK_INT(old.num_ended, 1);
    CHECK_INT(world.servers[0].stream.end, SIM_CLOSED);
    call_leave(&old);
    call_leave(&late);
    call_leave(&next);
    world_end(&world);
}

/* A connection that has gone silent must not take one request after the other. */
static void a_silent_connection_is_asked_and_takes_no_requests_meanwhile(void)
{
    struct world world;
    struct call first, second;
    world_start(&world, config);
    call_init(&first, &world, "GET", "/hello");
    call_start(&first);
    world_settle(&world);
    call_leave(&first);
    world.servers[0].silent = true;
    world.mute = true;
    call_init(&first, &world, "GET", "/hello");
    call_start(&first);
    world_settle(&world);
    usleep(2000);
    world_settle(&world);
    call_leave(&first); /* timed out */
    world_settle(&world);
    CHECK_INT(world.servers[0].num_pings, 1);
    world.mute = false;
    call_init(&second, &world, "GET", "/hello");
    call_start(&second);
    world_settle(&world);
    CHECK_INT(second.num_ended, 1);
    CHECK_INT(world.num_connects, 2);
    call_leave(&second);
    world_end(&world);
}

static void an_idle_connection_is_closed_in_order(void)
{
    const struct config *quick = load_config("PORTICO_UPSTREAM_MAX_IDLE=0");
    struct world world;
    struct call call;
    world_start(&world, quick);
    call_init(&call, &world, "GET", "/hello");
    call_start(&call);
    world_settle(&world);
    CHECK_INT(call.num_ended, 1);
    CHECK_INT(world.servers[0].stream.end, SIM_CLOSED);
    CHECK(world.servers[0].goaway && world.servers[0].goaway_code == NGHTTP2_NO_ERROR);
    call_leave(&call);
    world_end(&world);
    config_unref(quick);
}

static void a_server_that_speaks_another_protocol_is_told_of(void)
{
    static const char *const others[] = {"HTTP/1.1 400 Bad Request\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n", ""};
    for (size_t i = 0; i < 3; i++)
        for (size_t read_bytes = 0; read_bytes < 2; read_bytes++) {
            struct world world;
            struct call call;
            world_start(&world, config);
            world.instead = others[i];
            world.run.read_bytes = read_bytes;
            if (i == 2)
                world.run.cut_at = 0;
            call_init(&call, &world, "GET", "/hello");
            call_start(&call);
            world_settle(&world);
            CHECK(call.refused);
            CHECK_INT(call.wait.status, 502);
            if (i == 0)
                CHECK(strstr(call.err.what, "use http://"));
            call_leave(&call);
            world_end(&world);
        }
}

/* Nobody waits for ever: who gives up while the connection is made leaves it to the others. */
static void a_wait_for_a_connection_may_be_given_up(void)
{
    struct world world;
    struct call first, second;
    for (int turns = 0; turns < 6; turns++) {
        world_start(&world, config);
        call_init(&first, &world, "GET", "/hello");
        call_init(&second, &world, "GET", "/hello");
        call_start(&first);
        call_start(&second);
        world_turn(&world, turns);
        call_leave(&first);
        world_settle(&world);
        CHECK_INT(second.num_ended, 1);
        CHECK_INT(world.num_connects, 1);
        call_leave(&second);
        world_end(&world);
    }
}

/* PROXY_PROTOCOL_OUT: who would announce the same shares a connection, and a dial; others have their own. */
static void announced_connections_are_shared_by_those_who_would_say_the_same(void)
{
    struct world world;
    struct call calls[4];
    world_start(&world, config);
    world.instead = ""; /* the preamble is no HTTP/2: this server only takes bytes */
    for (int i = 0; i < 4; i++) {
        call_init(&calls[i], &world, "GET", "/hello");
        calls[i].wait.preamble = slice_str(i % 2 ? "PROXY one\r\n" : "PROXY two\r\n");
        call_start(&calls[i]);
    }
    world_settle(&world);
    CHECK_INT(world.num_connects, 2);
    CHECK(slice_starts(buf_slice(&world.servers[0].stream.output), SLICE_LIT("PROXY two\r\nPRI * HTTP/2.0\r\n")));
    CHECK(slice_starts(buf_slice(&world.servers[1].stream.output), SLICE_LIT("PROXY one\r\nPRI * HTTP/2.0\r\n")));
    for (int i = 0; i < 4; i++)
        call_leave(&calls[i]);
    world_end(&world);
}

static void raw_tunnel(struct server *server, int32_t id)
{
    RAW_HEADERS(server, id, false, ":status", "200");
    raw_data(server, id, false, "from the server");
}

/* RFC 8441: the user sees what HTTP/1.1 would have told it, and raw bytes both ways. */
static void a_websocket_goes_by_extended_connect_where_the_server_allows_it(void)
{
    static const struct scenario scenario = {.raw = raw_tunnel};
    for (int server_first = 0; server_first < 2; server_first++) {
        struct world world;
        struct call call;
        world_start(&world, config);
        world.tunnels = true;
        world.scenario = &scenario;
        call_init(&call, &world, "GET", "/ws");
        call.head.upgrade = UPGRADE_WEBSOCKET;
        fields_add(&call.fields, &call.arena, SLICE_LIT("Sec-WebSocket-Key"), SLICE_LIT("dGhlIHNhbXBsZSBub25jZQ=="));
        call_start(&call);
        world_settle(&world);
        CHECK_INT(call.status, 101);
        CHECK_SLICE(buf_slice(&call.got), "from the server");
        CHECK(slice_starts(buf_slice(&world.upstream_fields),
                           SLICE_LIT(":method: CONNECT\n:protocol: websocket\n:scheme: http\n:authority: a.test\n"
                                     ":path: /ws\nx-mixed-case: Value\n")));
        CHECK(!memmem(world.upstream_fields.ptr, world.upstream_fields.len, "sec-websocket-key", 17));
        CHECK(call.upstream->ops->body(call.upstream, SLICE_LIT("from the client")));
        if (server_first)
            raw_data(&world.servers[0], 1, true, "");
        world_settle(&world);
        struct served *served = nghttp2_session_get_stream_user_data(world.servers[0].session, 1);
        CHECK_SLICE(buf_slice(&served->body), "from the client");
        CHECK_INT(call.num_ended, server_first);
        call.upstream->ops->end(call.upstream, NULL);
        world_settle(&world);
        if (!server_first)
            raw_data(&world.servers[0], 1, true, "");
        world_settle(&world);
        CHECK_INT(call.num_ended, 1);
        CHECK(!call.failed);
        call.upstream->ops->close(call.upstream);
        call.upstream = NULL;
        world_settle(&world);
        CHECK_INT(world.servers[0].num_resets, 0);
        CHECK_INT(world.servers[0].stream.end, SIM_OPEN);
        call_leave(&call);
        world_end(&world);
    }
}

static void raw_declined(struct server *server, int32_t id)
{
    RAW_HEADERS(server, id, true, ":status", "403");
}

static void a_websocket_that_the_server_declines(void)
{
    static const struct scenario scenario = {.raw = raw_declined};
    struct world world;
    struct call call;
    world_start(&world, config);
    world.tunnels = true;
    world.scenario = &scenario;
    call_init(&call, &world, "GET", "/ws");
    call.head.upgrade = UPGRADE_WEBSOCKET;
    call_start(&call);
    world_settle(&world);
    CHECK_INT(call.status, 403);
    CHECK_INT(call.num_ended, 1);
    CHECK_INT(world.servers[0].last_reset_code, NGHTTP2_CANCEL);
    call_leave(&call);
    world_end(&world);
}

int main(void)
{
    config = load_config(NULL);
    RUN(what_the_server_is_asked);
    RUN(requests_that_come_at_once_make_one_connection);
    RUN(a_second_connection_when_the_first_is_full);
    RUN(a_stopped_answer_stays_within_its_window_and_starves_nobody);
    RUN(an_upload_stops_at_the_servers_window);
    RUN(a_request_that_is_given_up_is_reset_and_its_connection_stays);
    RUN(a_request_that_is_given_up_at_once_is_not_seen);
    RUN(an_early_answer_ends_the_request);
    RUN(goaway_lets_old_requests_finish_and_new_ones_go_elsewhere);
    RUN(a_silent_connection_is_asked_and_takes_no_requests_meanwhile);
    RUN(an_idle_connection_is_closed_in_order);
    RUN(a_server_that_speaks_another_protocol_is_told_of);
    RUN(a_wait_for_a_connection_may_be_given_up);
    RUN(announced_connections_are_shared_by_those_who_would_say_the_same);
    RUN(a_websocket_goes_by_extended_connect_where_the_server_allows_it);
    RUN(a_websocket_that_the_server_declines);
    config_unref(config);
    return checks_done();
}
