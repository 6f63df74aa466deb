/* BASIC_AUTH and ALLOW_IPS over simulated streams, with a real pool of passwords: nothing reaches a backend before the
 * password is right, whatever way the bytes come, and clients may leave at any time. */
#include "exchange/passwords.h"
#include "proxy_world.h"

#define USER "PORTICO_BASIC_AUTH=ann:$2b$04$abcdefghijklmnopqrstuu/LVz6MZlItEy42I2juLihZ66HnQx/cy"
#define USERS USER ",bob:$2b$04$abcdefghijklmnopqrstuu/LVz6MZlItEy42I2juLihZ66HnQx/cy"
#define BOB "Authorization: Basic Ym9iOm9wZW4gc2VzYW1l\r\n" /* bob:open sesame */
#define SLOW "PORTICO_BASIC_AUTH=ann:$2b$10$abcdefghijklmnopqrstuu4SuEsu2LsUrAYUpWQHLMMc4GV5pZTxK"
#define RIGHT "Authorization: Basic YW5uOm9wZW4gc2VzYW1l\r\n" /* ann:open sesame */
#define WRONG "Authorization: Basic YW5uOnNoZXJyeQ==\r\n"     /* ann:sherry */
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

struct door {
    struct world world;
    struct offload_pool *pool;
    struct offload_port *port;
    const struct config *config;
    struct certset *set;
};

static void door_open(struct door *door, const struct scenario *scenario, const struct run *run, const char *more)
{
    door->config = world_config_with(more);
    door->set = certset_new();
    world_start(&door->world, scenario, run, door->config, door->set);
    door->pool = offload_pool_new("password", 1, 0, LIMIT_PASSWORDS_QUEUED);
    door->port = offload_port_new(&door->world.uv);
    door->world.env.passwords = passwords_new(door->world.loop, door->pool, door->port, &door->world.counters);
}

static void door_close(struct door *door)
{
    struct passwords *passwords = door->world.env.passwords;
    offload_port_close(door->port);
    world_end(&door->world);
    passwords_free(passwords);
    offload_pool_free(door->pool);
    certset_unref(door->set);
    config_unref(door->config);
}

/* Until the client has that many whole answers, or is closed. */
static void door_run(struct door *door, unsigned num_answers)
{
    for (;;) {
        unsigned num = 0;
        struct slice rest = buf_slice(&door->world.stream.output);
        for (const char *at; rest.len && (at = memmem(rest.ptr, rest.len, "\r\n\r\n", 4)); num++)
            rest = slice_skip(rest, (size_t)(at - rest.ptr) + 4);
        if (num >= num_answers || door->world.stream.end != SIM_OPEN)
            break;
        uv_run(&door->world.uv, UV_RUN_NOWAIT);
        world_check_held(&door->world);
    }
    world_settle(&door->world);
}

static bool output_has(const struct door *door, const char *text)
{
    const struct buf *output = &door->world.stream.output;
    return output->len && memmem(output->ptr, output->len, text, strlen(text));
}

static const struct run runs[] = {
    {.cut_client_at = FOREVER, .cut_backend_at = FOREVER},
    {.read_bytes = 1, .cut_client_at = FOREVER, .cut_backend_at = FOREVER},
    {.read_bytes = 7, .cut_client_at = FOREVER, .cut_backend_at = FOREVER},
    {.full = true, .cut_client_at = FOREVER, .cut_backend_at = FOREVER},
};
enum { NUM_RUNS = sizeof runs / sizeof runs[0] };

static void the_right_password_lets_the_whole_request_through(void)
{
    static const struct scenario scenario = {
        .sent = "POST /1 HTTP/1.1\r\nHost: a.test\r\n" RIGHT "Content-Length: 5\r\n\r\nhello"
                "GET /2 HTTP/1.1\r\nHost: a.test\r\n" RIGHT "\r\n" /* remembered */
                "GET /3 HTTP/1.1\r\nHost: a.test\r\n" BOB "\r\n",  /* checked while a connection is at hand */
        .answers = {OK, OK, OK},
    };
    for (size_t i = 0; i < NUM_RUNS; i++) {
        struct door door;
        door_open(&door, &scenario, &runs[i], USERS);
        door_run(&door, 3);
        CHECK_SLICE(buf_slice(&door.world.stream.output), OK OK OK);
        CHECK_SLICE(buf_slice(&door.world.upstream),
                    "POST /1 HTTP/1.1\r\nHost: a.test\r\n" RIGHT FORWARDED "Content-Length: 5\r\n\r\nhello"
                    "GET /2 HTTP/1.1\r\nHost: a.test\r\n" RIGHT FORWARDED "\r\n"
                    "GET /3 HTTP/1.1\r\nHost: a.test\r\n" BOB FORWARDED "\r\n");
        CHECK_INT(door.world.num_connects, 1);
        door_close(&door);
    }
}

static void no_connection_is_made_for_a_wrong_password(void)
{
    static const struct scenario scenarios[] = {
        {.sent = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello"},
        {.sent = "POST / HTTP/1.1\r\nHost: a.test\r\n" WRONG "Content-Length: 5\r\n\r\nhello"},
        {.sent =
             "POST / HTTP/1.1\r\nHost: a.test\r\n" WRONG "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"},
        {.sent = "GET / HTTP/1.1\r\nHost: a.test\r\n" RIGHT RIGHT "\r\n"},
        {.sent = "GET /ws HTTP/1.1\r\nHost: a.test\r\n" WRONG "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"},
        {.sent = "POST / HTTP/1.1\r\nHost: a.test\r\n" WRONG "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"},
    };
    for (size_t s = 0; s < sizeof scenarios / sizeof scenarios[0]; s++)
        for (size_t i = 0; i < NUM_RUNS; i++) {
            struct door door;
            door_open(&door, &scenarios[s], &runs[i], USER);
            door_run(&door, 1);
            CHECK(slice_starts(buf_slice(&door.world.stream.output), SLICE_LIT("HTTP/1.1 401 Unauthorized\r\n")));
            CHECK(output_has(&door, "\r\nWWW-Authenticate: Basic realm=\"restricted\", charset=\"UTF-8\"\r\n"));
            CHECK_INT(door.world.num_connects, 0);
            door_close(&door);
        }
}

/* A browser's way: asked, then told, on the same connection. */
static void after_a_401_the_connection_goes_on(void)
{
    static const struct scenario scenario = {
        .sent = "GET /1 HTTP/1.1\r\nHost: a.test\r\n\r\n"
                "GET /1 HTTP/1.1\r\nHost: a.test\r\n" WRONG "\r\n"
                "GET /1 HTTP/1.1\r\nHost: a.test\r\n" RIGHT "\r\n",
        .answers = {OK},
    };
    for (size_t i = 0; i < NUM_RUNS; i++) {
        struct door door;
        door_open(&door, &scenario, &runs[i], USER);
        door_run(&door, 3);
        CHECK(output_has(&door, "HTTP/1.1 401 Unauthorized\r\n"));
        CHECK(slice_ends(buf_slice(&door.world.stream.output), SLICE_LIT(OK)));
        CHECK_SLICE(buf_slice(&door.world.upstream), "GET /1 HTTP/1.1\r\nHost: a.test\r\n" RIGHT FORWARDED "\r\n");
        CHECK_INT(door.world.stream.end, SIM_OPEN);
        door_close(&door);
    }
}

/* Before the password is known the front reads no more: what is held is what had been read. */
static void the_body_waits_at_the_door(void)
{
    static const struct scenario scenario = {
        .sent = "POST / HTTP/1.1\r\nHost: a.test\r\n" RIGHT "Content-Length: 1000000\r\n\r\nx", .answers = {OK}};
    struct door door;
    door_open(&door, &scenario, &runs[0], USER);
    for (int i = 0; i < MAX_TURNS && !(door.world.front.exchange && door.world.front.exchange->waiting); i++)
        uv_run(&door.world.uv, UV_RUN_NOWAIT);
    CHECK(door.world.front.exchange && door.world.front.exchange->waiting);
    CHECK(!door.world.stream.reading);
    CHECK_INT(door.world.num_connects, 0);
    for (int i = 0; i < MAX_TURNS && door.world.front.exchange->waiting; i++)
        uv_run(&door.world.uv, UV_RUN_NOWAIT);
    world_settle(&door.world);
    CHECK(door.world.stream.reading);
    CHECK_INT(door.world.num_connects, 1);
    CHECK(slice_ends(buf_slice(&door.world.backends[0].stream.output), SLICE_LIT("\r\n\r\nx")));
    door_close(&door);
}

/* A client that waits for 100 sends nothing that would push its head out of the queue of a connection at hand. */
static void a_head_is_written_at_once_when_the_password_is_known(void)
{
    static const struct scenario scenario = {.sent = "GET / HTTP/1.1\r\nHost: a.test\r\n" RIGHT "\r\n", .manual = true};
    struct door door;
    door_open(&door, &scenario, &runs[0], USERS);
    for (int i = 0; i < MAX_TURNS && !door.world.backends[0].stream.output.len; i++)
        uv_run(&door.world.uv, UV_RUN_NOWAIT);
    sim_stream_send(&door.world.backends[0].stream, SLICE_LIT(OK));
    door_run(&door, 1);
    sim_stream_send(&door.world.stream, SLICE_LIT("POST / HTTP/1.1\r\nHost: a.test\r\n" BOB
                                                  "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"));
    world_settle(&door.world);
    for (int i = 0; i < MAX_TURNS && door.world.front.exchange->waiting; i++)
        uv_run(&door.world.uv, UV_RUN_NOWAIT);
    world_settle(&door.world);
    CHECK_INT(door.world.num_connects, 1);
    CHECK(slice_ends(buf_slice(&door.world.backends[0].stream.output), SLICE_LIT("Content-Length: 2\r\n\r\n")));
    door_close(&door);
}

static void a_client_may_leave_at_each_byte(void)
{
    static const struct scenario scenario = {
        .sent = "POST / HTTP/1.1\r\nHost: a.test\r\n" RIGHT "Content-Length: 5\r\n\r\nhello", .answers = {OK}};
    for (long at = 0; at <= (long)strlen(scenario.sent); at++) {
        struct run run = {.cut_client_at = at, .cut_backend_at = FOREVER};
        struct door door;
        door_open(&door, &scenario, &run, SLOW);
        world_settle(&door.world);
        CHECK_INT(door.world.num_connects, 0); /* nobody waited for the answer */
        door_close(&door);
    }
}

/* The job comes home when its exchange, the front and what the loop had for them are gone. */
static void a_check_under_way_outlives_them_all(void)
{
    static const struct scenario scenario = {.sent = "GET / HTTP/1.1\r\nHost: a.test\r\n" RIGHT "\r\n"};
    struct door door;
    door_open(&door, &scenario, &runs[0], SLOW);
    for (int i = 0; i < MAX_TURNS && !(door.world.front.exchange && door.world.front.exchange->waiting); i++)
        uv_run(&door.world.uv, UV_RUN_NOWAIT);
    uint64_t began_ns = uv_hrtime(); /* the thread takes it now, and needs 45 ms and more */
    while (uv_hrtime() - began_ns < 10000000)
        uv_run(&door.world.uv, UV_RUN_NOWAIT);
    CHECK(door.world.front.exchange && door.world.front.exchange->waiting);
    sim_stream_send_eof(&door.world.stream);
    world_settle(&door.world);
    CHECK(door.world.front_closed);
    door_close(&door);
    CHECK_INT(door.world.num_connects, 0);
}

static void other_addresses_are_turned_away_before_a_password_is_looked_at(void)
{
    static const struct scenario scenario = {.sent = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", .answers = {OK}};
    static const struct {
        const char *peer, *ranges, *starts;
    } rows[] = {
        {"192.0.2.1", "PORTICO_ALLOW_IPS=192.0.2.0/24", "HTTP/1.1 200 OK\r\n"},
        {"192.0.3.1", "PORTICO_ALLOW_IPS=192.0.2.0/24", "HTTP/1.1 403 Forbidden\r\n"},
        {"2001:db8::1", "PORTICO_ALLOW_IPS=192.0.2.0/24 2001:db8::/32", "HTTP/1.1 200 OK\r\n"},
        {"fe80::1", "PORTICO_ALLOW_IPS=private", "HTTP/1.1 200 OK\r\n"},
        {"", "PORTICO_ALLOW_IPS=0.0.0.0/0 ::/0", "HTTP/1.1 403 Forbidden\r\n"}, /* of a unix socket */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct door door;
        door_open(&door, &scenario, &runs[0], rows[i].ranges);
        door.world.client.peer = slice_str(rows[i].peer);
        door_run(&door, 1);
        CHECK(slice_starts(buf_slice(&door.world.stream.output), slice_str(rows[i].starts)));
        CHECK_INT(door.world.num_connects, strstr(rows[i].starts, "200") != NULL);
        door_close(&door);
    }
}

int main(void)
{
    RUN(the_right_password_lets_the_whole_request_through);
    RUN(no_connection_is_made_for_a_wrong_password);
    RUN(after_a_401_the_connection_goes_on);
    RUN(the_body_waits_at_the_door);
    RUN(a_head_is_written_at_once_when_the_password_is_known);
    RUN(a_client_may_leave_at_each_byte);
    RUN(a_check_under_way_outlives_them_all);
    RUN(other_addresses_are_turned_away_before_a_password_is_looked_at);
    return checks_done();
}
