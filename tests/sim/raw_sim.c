/* Raw relays over simulated streams: every way the bytes can be cut, both queues full, each side leaving at every byte in
 * every manner; and what is held never exceeds what backpressure allows. */
#include "base/mem.h"
#include "check.h"
#include "front/raw_front.h"
#include "sim_stream.h"

#include <stdlib.h>

enum { MAX_TURNS = 200000 };

#define CLIENT_SAYS "what the client has to say"
#define BACKEND_SAYS "220 what the backend has to say, which it says first"

struct cut {
    size_t read_bytes;
    bool full; /* every write fills the queue for a turn */
};

static const struct cut cuts[] = {{0, false}, {1, false}, {1, true}, {7, true}, {0, true}};

struct world {
    uv_loop_t uv;
    struct net_loop *loop;
    struct exchange_env env;
    struct counters counters;
    struct exchange_client client_info;
    const struct config *config;
    struct raw_front front;
    struct sim_stream client, backend;
    struct cut cut;
    bool refuse, connected, front_closed, pool_closed;
};

static struct stream *world_connect(void *ctx)
{
    struct world *world = ctx;
    if (world->refuse)
        return NULL;
    CHECK(!world->connected);
    world->connected = true;
    sim_stream_init(&world->backend, world->loop);
    world->backend.read_bytes = world->cut.read_bytes;
    world->backend.always_full = world->cut.full;
    return &world->backend.base;
}

static void world_front_closed(struct raw_front *front, struct err err)
{
    (void)err;
    container_of(front, struct world, front)->front_closed = true;
}

static void world_pool_closed(void *ctx)
{
    ((struct world *)ctx)->pool_closed = true;
}

/* more: a variable, or NULL. */
static void world_start(struct world *world, const struct cut *cut, const char *more)
{
    const char *environment[] = {"PORTICO_DOMAINS=a.test",
                                 "PORTICO_UPSTREAM=tcp://127.0.0.1:1",
                                 "PORTICO_ACCESS_LOG=off",
                                 "PORTICO_UPSTREAM_WAIT=10m",
                                 "PORTICO_HTTPS_LISTEN=:0",
                                 "PORTICO_STREAM_IDLE_TIMEOUT=10m",
                                 "PORTICO_ACME_DIRECTORY=internal",
                                 more,
                                 NULL};
    struct config *config = NULL;
    struct config_mistakes mistakes = {0};
    *world = (struct world){.cut = *cut};
    CHECK(config_load(environment, &config, &mistakes));
    config_mistakes_cleanup(&mistakes);
    world->config = config;
    uv_loop_init(&world->uv);
    world->loop = net_loop_new(&world->uv);
    struct pool_options pool = {
        .loop = world->loop, .counters = &world->counters, .connect = world_connect, .connect_ctx = world};
    world->env = (struct exchange_env){.loop = world->loop,
                                       .pool = pool_new(&pool),
                                       .counters = &world->counters,
                                       .clock = &clock_system,
                                       .config = config};
    world->client_info = (struct exchange_client){
        .peer = SLICE_LIT("192.0.2.1"), .secure = true, .server_name = SLICE_LIT("a.test"), .tls_version = "TLSv1.3"};
    sim_stream_init(&world->client, world->loop);
    world->client.read_bytes = cut->read_bytes;
    world->client.always_full = cut->full;
    world->front.closed = world_front_closed;
    raw_front_open(&world->front, &world->client.base, &world->env, &world->client_info, config->default_site.group);
}

/* What is held: before there is a connection one read, in each queue the mark and one read. */
static void world_check_held(const struct world *world)
{
    size_t bound = FLOW_HIGH_BYTES + READ_BUFFER_BYTES;
    CHECK(world->front.early.len <= READ_BUFFER_BYTES);
    CHECK(world->client.most_queued_bytes <= bound && world->backend.most_queued_bytes <= bound);
}

static void world_settle(struct world *world)
{
    size_t quiet = 0;
    for (int i = 0; i < MAX_TURNS && quiet < 4; i++) {
        uv_run(&world->uv, UV_RUN_NOWAIT);
        world_check_held(world);
        quiet = list_empty(&world->loop->deferred) ? quiet + 1 : 0;
    }
}

static void world_end(struct world *world)
{
    world_settle(world);
    if (!world->front_closed)
        stream_reset(&world->client.base);
    world_settle(world);
    CHECK(world->front_closed);
    pool_close(world->env.pool, world_pool_closed, world);
    world_settle(world);
    CHECK(world->pool_closed);
    net_loop_close(world->loop);
    uv_run(&world->uv, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&world->uv), 0);
    sim_stream_cleanup(&world->client);
    if (world->connected) {
        CHECK(world->backend.closed_told);
        sim_stream_cleanup(&world->backend);
    }
    config_unref(world->config);
}

#define EACH_CUT(world, more)                                                                                      \
    for (size_t cut_i = 0; cut_i < sizeof cuts / sizeof cuts[0] && (world_start(world, &cuts[cut_i], more), true); \
         world_end(world), cut_i++)

/* ---- in order ---- */

static void the_backend_may_speak_first_and_either_end_first(void)
{
    struct world world;
    for (int client_first = 0; client_first < 2; client_first++)
        EACH_CUT(&world, NULL)
        {
            struct sim_stream *first = client_first ? &world.client : &world.backend;
            struct sim_stream *last = client_first ? &world.backend : &world.client;
            world_settle(&world);
            CHECK(world.connected);
            sim_stream_send(&world.backend, slice_str(BACKEND_SAYS));
            world_settle(&world);
            CHECK_SLICE(buf_slice(&world.client.output), BACKEND_SAYS);
            sim_stream_send(&world.client, slice_str(CLIENT_SAYS));
            sim_stream_send_eof(first);
            world_settle(&world);
            CHECK(last->shut && !first->shut && world.client.end == SIM_OPEN && world.backend.end == SIM_OPEN);
            sim_stream_send(last, SLICE_LIT("!"));
            sim_stream_send_eof(last);
            world_settle(&world);
            CHECK_SLICE(buf_slice(&world.backend.output), client_first ? CLIENT_SAYS : CLIENT_SAYS "!");
            CHECK_SLICE(buf_slice(&world.client.output), client_first ? BACKEND_SAYS "!" : BACKEND_SAYS);
            CHECK(world.client.end == SIM_CLOSED && world.backend.end == SIM_CLOSED);
            CHECK_INT(world.front.bytes_in, strlen(CLIENT_SAYS) + (client_first ? 0u : 1u));
            CHECK_INT(world.front.bytes_out, strlen(BACKEND_SAYS) + (client_first ? 1u : 0u));
            CHECK(world.front.failure == NULL);
        }
}

static void what_came_before_the_connection_goes_out_first(void)
{
    struct world world;
    EACH_CUT(&world, NULL)
    {
        sim_stream_send(&world.client, slice_str(CLIENT_SAYS));
        sim_stream_send_eof(&world.client);
        world_settle(&world);
        CHECK_SLICE(buf_slice(&world.backend.output), CLIENT_SAYS);
        CHECK(world.backend.shut && world.backend.end == SIM_OPEN);
    }
}

/* The backend starts late: nothing but an end may have come. */
static void an_end_before_the_connection_is_kept(void)
{
    struct world world;
    EACH_CUT(&world, NULL)
    {
        world.refuse = true;
        sim_stream_send_eof(&world.client);
        world_settle(&world);
        CHECK(tick_armed(&world.front.wait.retry) && world.client.end == SIM_OPEN);
        world.refuse = false;
        tick_stop(&world.front.wait.retry);
        world.front.wait.retry.expired(&world.front.wait.retry);
        world_settle(&world);
        CHECK(world.backend.shut && world.backend.end == SIM_OPEN);
    }
}

static void the_backend_is_told_of_the_client_before_all_else(void)
{
    struct world world;
    EACH_CUT(&world, "PORTICO_PROXY_PROTOCOL_OUT=v1")
    {
        sim_stream_send(&world.client, slice_str(CLIENT_SAYS));
        world_settle(&world);
        CHECK_SLICE(buf_slice(&world.backend.output), "PROXY UNKNOWN\r\n" CLIENT_SAYS);
    }
}

/* ---- not in order ---- */

enum manner { CLIENT_BREAKS, CLIENT_TRUNCATED, BACKEND_BREAKS, NUM_MANNERS };

static void leave(struct world *world, enum manner manner)
{
    if (manner == CLIENT_BREAKS)
        sim_stream_break(&world->client);
    else if (manner == CLIENT_TRUNCATED)
        world->client.base.sink->ops->truncated(world->client.base.sink);
    else
        sim_stream_break(&world->backend);
}

/* T6: whatever one side has sent, and wherever it breaks, the other sees that by a reset. */
static void a_cut_at_every_byte_resets_the_other_side(void)
{
    struct world world;
    for (int manner = 0; manner < NUM_MANNERS; manner++)
        for (size_t said = 0; said <= strlen(CLIENT_SAYS); said++)
            EACH_CUT(&world, NULL)
            {
                world_settle(&world);
                sim_stream_send(&world.client, slice_first(slice_str(CLIENT_SAYS), said));
                sim_stream_send(&world.backend, slice_first(slice_str(BACKEND_SAYS), said));
                world_settle(&world);
                leave(&world, (enum manner)manner);
                world_settle(&world);
                CHECK(world.client.end == SIM_RESET && world.backend.end == SIM_RESET && world.front_closed);
                CHECK(world.front.failure != NULL);
            }
}

/* At every turn between the handshake's end and the relay. */
static void a_client_may_leave_while_it_waits(void)
{
    struct world world;
    for (int manner = 0; manner < BACKEND_BREAKS; manner++)
        for (int turns = 0; turns < 6; turns++)
            EACH_CUT(&world, NULL)
            {
                world.refuse = turns % 2;
                sim_stream_send(&world.client, slice_str(CLIENT_SAYS));
                for (int i = 0; i < turns; i++)
                    uv_run(&world.uv, UV_RUN_NOWAIT);
                leave(&world, (enum manner)manner);
                world_settle(&world);
                CHECK(world.front_closed && (!world.connected || world.backend.end == SIM_RESET));
                CHECK(!tick_armed(&world.front.wait.retry));
            }
}

/* Its own bytes are whole; it is the client's that it will not have. */
static void a_backend_that_breaks_behind_its_end_costs_the_client_nothing(void)
{
    struct world world;
    EACH_CUT(&world, NULL)
    {
        world_settle(&world);
        sim_stream_send(&world.backend, slice_str(BACKEND_SAYS));
        sim_stream_send_eof(&world.backend);
        world_settle(&world);
        sim_stream_break(&world.backend);
        world_settle(&world);
        CHECK_SLICE(buf_slice(&world.client.output), BACKEND_SAYS);
        CHECK(world.client.end == SIM_CLOSED && world.front.failure != NULL);
    }
}

static void a_backend_that_is_not_there_resets_the_client(void)
{
    struct world world;
    EACH_CUT(&world, NULL)
    {
        world.refuse = true;
        world.front.wait.give_up_ms = 0;
        world_settle(&world);
        CHECK(world.client.end == SIM_RESET && !world.connected);
    }
}

static void silence_ends_both(void)
{
    struct world world;
    EACH_CUT(&world, NULL)
    {
        world_settle(&world);
        CHECK(tick_armed(&world.front.idle));
        tick_stop(&world.front.idle);
        world.front.idle.expired(&world.front.idle);
        world_settle(&world);
        CHECK(world.client.end == SIM_RESET && world.backend.end == SIM_RESET);
    }
}

/* ---- backpressure ---- */

/* One side says a megabyte, the other takes nothing, then takes what there is, again and again. */
static void a_stalled_side_stops_the_other(void)
{
    enum { TOTAL = 1 << 20 };
    static char bytes[TOTAL];
    static const struct cut large = {READ_BUFFER_BYTES, false};
    struct world world;
    for (int to_client = 0; to_client < 2; to_client++) {
        world_start(&world, &large, NULL);
        world_settle(&world);
        struct sim_stream *from = to_client ? &world.backend : &world.client;
        struct sim_stream *to = to_client ? &world.client : &world.backend;
        to->stalled = true;
        sim_stream_send(from, slice_make(bytes, TOTAL));
        world_settle(&world);
        CHECK(to->output.len > FLOW_HIGH_BYTES && to->output.len <= FLOW_HIGH_BYTES + READ_BUFFER_BYTES);
        CHECK(!from->reading);
        for (int i = 0; i < 40 && to->output.len < TOTAL; i++) {
            sim_stream_release(to);
            world_settle(&world);
        }
        CHECK_INT(to->output.len, TOTAL);
        world_end(&world);
    }
}

int main(void)
{
    RUN(the_backend_may_speak_first_and_either_end_first);
    RUN(what_came_before_the_connection_goes_out_first);
    RUN(an_end_before_the_connection_is_kept);
    RUN(the_backend_is_told_of_the_client_before_all_else);
    RUN(a_cut_at_every_byte_resets_the_other_side);
    RUN(a_client_may_leave_while_it_waits);
    RUN(a_backend_that_breaks_behind_its_end_costs_the_client_nothing);
    RUN(a_backend_that_is_not_there_resets_the_client);
    RUN(silence_ends_both);
    RUN(a_stalled_side_stops_the_other);
    return checks_done();
}
