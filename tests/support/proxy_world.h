/* The whole way of an exchange over simulated streams: a client, a front, the exchange, the pool and scripted backends.
 * For the programs of tests/sim alone. */
#ifndef SUPPORT_PROXY_WORLD_H
#define SUPPORT_PROXY_WORLD_H

#include "base/mem.h"
#include "check.h"
#include "exchange/exchange_internal.h"
#include "front/h1_front.h"
#include "sim_stream.h"

#ifndef WORLD_MAX_BACKENDS /* a program may need more */
#define WORLD_MAX_BACKENDS 4
#endif
enum { MAX_ANSWERS = 4, MAX_BACKENDS = WORLD_MAX_BACKENDS, MAX_TURNS = 200000, FOREVER = -1 };

struct scenario {
    const char *name;
    const char *sent;                 /* by the client */
    const char *answers[MAX_ANSWERS]; /* of the backend, the n-th to the n-th request that is whole */
    const char *got;                  /* by the client, in the end */
    const char *upstream;             /* what all backends saw together, each request's lines in order */
    bool closes;                      /* the client's connection is closed behind the answers */
    bool backend_closes;              /* each backend ends behind its first answer */
    bool tunnel;                      /* what the client sends behind its head goes through raw, and is echoed */
    bool drop_first;                  /* the first connection dies when the request has come */
    bool manual;                      /* the test speaks for the backends */
    unsigned num_connects;
};

struct backend_sim {
    struct sim_stream stream;
    struct world *world;
    size_t answered_len; /* of the output */
    bool used;
};

struct run {
    size_t read_bytes;
    bool full;
    long cut_client_at, cut_backend_at; /* bytes after which the peer leaves; FOREVER: never */
};

struct world {
    uv_loop_t uv;
    struct net_loop *loop;
    const struct scenario *scenario;
    struct run run;
    struct exchange_env env;
    struct counters counters;
    struct exchange_client client;
    struct h1_front front;
    struct sim_stream stream;
    struct backend_sim backends[MAX_BACKENDS];
    unsigned num_backends, num_answers, num_connects;
    bool refuse;         /* connections */
    bool backends_stall; /* new ones take nothing */
    bool front_closed, pool_closed;
    struct buf upstream;
    void (*check)(const struct world *world); /* after each turn; may be NULL */
};

#define FORWARDED                                                                            \
    "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: a.test\r\n" \
    "X-Forwarded-Port: 443\r\nX-Real-IP: 192.0.2.1\r\n"

/* ---- backends ---- */

static inline bool request_whole(struct slice bytes, size_t *out_len)
{
    struct h1_reader reader;
    struct arena arena = {0};
    size_t at = 0, consumed;
    bool whole = false;
    h1_reader_init(&reader, H1_REQUEST, &H1_REQUEST_LIMITS);
    h1_reader_begin(&reader, &arena);
    for (;;) {
        enum h1_event event = h1_reader_feed(&reader, slice_skip(bytes, at), &consumed);
        at += consumed;
        whole = event == H1_END || event == H1_UPGRADE;
        if (whole || event == H1_NEED_MORE || event == H1_ERROR)
            break;
    }
    arena_cleanup(&arena);
    *out_len = at;
    return whole;
}

static inline void backend_say(struct backend_sim *backend, struct slice bytes)
{
    struct world *world = backend->world;
    long cut = world->run.cut_backend_at;
    if (cut != FOREVER && (size_t)cut <= bytes.len) {
        sim_stream_send(&backend->stream, slice_first(bytes, (size_t)cut));
        sim_stream_send_eof(&backend->stream);
        return;
    }
    sim_stream_send(&backend->stream, bytes);
    if (world->scenario->backend_closes)
        sim_stream_send_eof(&backend->stream);
}

static inline void backend_written(struct sim_stream *stream)
{
    struct backend_sim *backend = container_of(stream, struct backend_sim, stream);
    struct world *world = backend->world;
    struct slice fresh = slice_skip(buf_slice(&stream->output), backend->answered_len);
    size_t len;
    if (world->scenario->manual)
        return;
    if (world->scenario->tunnel && backend->answered_len) { /* an echo */
        backend->answered_len = stream->output.len;
        sim_stream_send(stream, fresh);
        if (stream->shut)
            sim_stream_send_eof(stream);
        return;
    }
    while (fresh.len && request_whole(fresh, &len)) {
        buf_append_slice(&world->upstream, slice_first(fresh, len));
        backend->answered_len += len;
        fresh = slice_skip(fresh, len);
        if (world->scenario->drop_first && world->num_backends == 1) {
            sim_stream_send_eof(stream);
            return;
        }
        if (world->num_answers < MAX_ANSWERS && world->scenario->answers[world->num_answers])
            backend_say(backend, slice_str(world->scenario->answers[world->num_answers++]));
    }
}

static inline struct stream *world_connect(void *ctx)
{
    struct world *world = ctx;
    world->num_connects++;
    if (world->refuse || world->num_backends == MAX_BACKENDS)
        return NULL;
    struct backend_sim *backend = &world->backends[world->num_backends++];
    sim_stream_init(&backend->stream, world->loop);
    backend->world = world;
    backend->used = true;
    backend->stream.read_bytes = world->run.read_bytes;
    backend->stream.always_full = world->run.full;
    backend->stream.stalled = world->backends_stall;
    backend->stream.written = backend_written;
    return &backend->stream.base;
}

/* ---- the world ---- */

/* more: one variable beyond the usual ones, or NULL. */
static inline const struct config *world_config_with(const char *more)
{
    const char *environment[] = {"PORTICO_DOMAINS=a.test",
                                 "PORTICO_UPSTREAM=http://127.0.0.1:1",
                                 "PORTICO_ACCESS_LOG=off",
                                 "PORTICO_UPSTREAM_WAIT=0s",
                                 "PORTICO_REQUEST_ID=off", /* the bytes are to be the same each time */
                                 "PORTICO_UPSTREAM_IDLE_TIMEOUT=10m", /* real time is not to decide anything */
                                 "PORTICO_CLIENT_HEADER_TIMEOUT=10m",
                                 more,
                                 NULL};
    struct config *config = NULL;
    struct config_mistakes mistakes = {0};
    bool loaded = config_load(environment, &config, &mistakes);
    CHECK(loaded);
    config_mistakes_cleanup(&mistakes);
    return config;
}

static inline const struct config *world_config(void)
{
    return world_config_with(NULL);
}

static inline void world_front_closed(struct h1_front *front, struct err err)
{
    (void)err;
    container_of(front, struct world, front)->front_closed = true;
}

static inline void world_pool_closed(void *ctx)
{
    ((struct world *)ctx)->pool_closed = true;
}

/* Nothing is held beyond what backpressure allows. */
static inline void world_check_held(const struct world *world)
{
    size_t bound = FLOW_HIGH_BYTES + READ_BUFFER_BYTES;
    CHECK(world->front.pending.len <= bound);
    if (world->front.state != H1F_ENDED && world->front.exchange)
        CHECK(world->front.exchange->held.len <= bound);
    if (world->check)
        world->check(world);
}

static inline void world_run_until(struct world *world, const bool *done)
{
    for (int i = 0; i < MAX_TURNS && !*done; i++) {
        uv_run(&world->uv, UV_RUN_NOWAIT);
        world_check_held(world);
    }
}

static inline void world_settle(struct world *world)
{
    size_t before = SIZE_MAX, idle = 0;
    for (int i = 0; i < MAX_TURNS && idle < 8; i++) {
        uv_run(&world->uv, UV_RUN_NOWAIT);
        world_check_held(world);
        bool waits = !list_empty(&world->loop->deferred);
        idle = before == world->stream.output.len && !waits ? idle + 1 : 0;
        before = world->stream.output.len;
    }
}

/* All but a front. */
static inline void world_open(struct world *world, const struct scenario *scenario, const struct run *run,
                              const struct config *config, struct certset *set)
{
    *world = (struct world){.scenario = scenario, .run = *run};
    uv_loop_init(&world->uv);
    world->loop = net_loop_new(&world->uv);
    struct pool_options pool = {
        .loop = world->loop, .counters = &world->counters, .connect = world_connect, .connect_ctx = world};
    world->env = (struct exchange_env){.loop = world->loop,
                                       .pool = pool_new(&pool),
                                       .counters = &world->counters,
                                       .clock = &clock_system,
                                       .config = config,
                                       .certset = set};
    world->client = (struct exchange_client){.peer = SLICE_LIT("192.0.2.1"),
                                             .secure = true,
                                             .port_text = SLICE_LIT("443"),
                                             .server_name = SLICE_LIT("a.test")};
    sim_stream_init(&world->stream, world->loop);
    world->stream.read_bytes = run->read_bytes;
    world->stream.always_full = run->full;
}

static inline void world_start(struct world *world, const struct scenario *scenario, const struct run *run,
                               const struct config *config, struct certset *set)
{
    world_open(world, scenario, run, config, set);
    world->front.closed = world_front_closed;
    h1_front_open(&world->front, &world->stream.base, &world->env, &world->client);
    struct slice sent = slice_str(scenario->sent);
    if (run->cut_client_at != FOREVER)
        sent = slice_first(sent, (size_t)run->cut_client_at);
    sim_stream_send(&world->stream, sent);
    if (run->cut_client_at != FOREVER)
        sim_stream_send_eof(&world->stream);
}

static inline void world_end(struct world *world)
{
    if (!world->front_closed && world->stream.end == SIM_OPEN) {
        sim_stream_send_eof(&world->stream);
        world_settle(world);
        stream_reset(&world->stream.base); /* a front that waits for its backend for ever is ended by its owner */
    }
    world_run_until(world, &world->front_closed);
    CHECK(world->front_closed);
    pool_close(world->env.pool, world_pool_closed, world);
    world_run_until(world, &world->pool_closed);
    CHECK(world->pool_closed);
    net_loop_close(world->loop);
    uv_run(&world->uv, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&world->uv), 0);
    sim_stream_cleanup(&world->stream);
    for (unsigned i = 0; i < world->num_backends; i++) {
        CHECK(world->backends[i].stream.closed_told);
        sim_stream_cleanup(&world->backends[i].stream);
    }
    buf_cleanup(&world->upstream);
}

#endif
