/* HTTP/2 to a backend over simulated streams: a pool, whoever asks, and scripted servers. For the programs of tests/sim
 * alone. */
#ifndef SUPPORT_H2_UPSTREAM_WORLD_H
#define SUPPORT_H2_UPSTREAM_WORLD_H

#include "h2_server_sim.h"

/* ---- the world ---- */

static const struct config *load_config(const char *more)
{
    const char *environment[] = {"PORTICO_DOMAINS=a.test",
                                 "PORTICO_UPSTREAM=h2c://127.0.0.1:1",
                                 "PORTICO_UPSTREAM_WAIT=0s",
                                 "PORTICO_UPSTREAM_CONNECT_TIMEOUT=10m",
                                 "PORTICO_UPSTREAM_IDLE_TIMEOUT=10m",
                                 more,
                                 NULL};
    struct config *config = NULL;
    struct config_mistakes mistakes = {0};
    CHECK(config_load(environment, &config, &mistakes));
    config_mistakes_cleanup(&mistakes);
    return config;
}

static inline void world_start(struct world *world, const struct config *config)
{
    *world = (struct world){.config = config, .run = {.cut_at = FOREVER}};
    uv_loop_init(&world->uv);
    world->loop = net_loop_new(&world->uv);
    struct pool_options options = {
        .loop = world->loop, .counters = &world->counters, .connect = world_connect, .connect_ctx = world};
    world->pool = pool_new(&options);
}

static inline void world_turn(struct world *world, int num)
{
    for (int i = 0; i < num; i++)
        uv_run(&world->uv, UV_RUN_NOWAIT);
}

static inline void world_settle(struct world *world)
{
    for (int i = 0, quiet = 0; i < MAX_TURNS && quiet < 4; i++) {
        uv_run(&world->uv, UV_RUN_NOWAIT);
        quiet = list_empty(&world->loop->deferred) ? quiet + 1 : 0;
    }
}

static inline void world_closed(void *ctx)
{
    ((struct world *)ctx)->closed = true;
}

static inline void world_end(struct world *world)
{
    pool_close(world->pool, world_closed, world);
    for (int i = 0; i < MAX_TURNS && !world->closed; i++)
        uv_run(&world->uv, UV_RUN_NOWAIT);
    CHECK(world->closed);
    net_loop_close(world->loop);
    uv_run(&world->uv, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&world->uv), 0);
    for (unsigned i = 0; i < world->num_servers; i++) {
        struct server *server = &world->servers[i];
        CHECK(server->stream.closed_told);
        for (int32_t id = 1; id < 2 * MAX_CALLS; id += 2)
            server_closed(server->session, id, 0, NULL);
        nghttp2_session_del(server->session);
        sim_stream_cleanup(&server->stream);
    }
    buf_cleanup(&world->upstream_fields);
}

/* ---- who asks ---- */

static inline struct call *call_of(struct http_user *user)
{
    return container_of(user, struct call, user);
}

static inline void call_head(struct http_user *user, struct head *head)
{
    struct call *call = call_of(user);
    CHECK_INT(head->version, 20);
    call->tunnel = head->status == 101;
    if (call->tunnel) {
        CHECK_SLICE(head_get(head, FIELD_SEC_WEBSOCKET_ACCEPT), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        CHECK_INT(head->upgrade, UPGRADE_WEBSOCKET);
    }
    if (head->status < 200 && !call->tunnel)
        call->num_interim++;
    else
        call->status = head->status;
}

static inline void call_body(struct http_user *user, struct slice bytes)
{
    struct call *call = call_of(user);
    CHECK(call->status && bytes.len);
    buf_append_slice(&call->got, bytes);
    if (call->stop_at_first)
        call->upstream->ops->read_stop(call->upstream);
}

static inline void call_end(struct http_user *user, const struct fields *trailers)
{
    struct call *call = call_of(user);
    call->num_ended++;
    if (call->tunnel)
        return;
    FIELDS_EACH(trailers, field)
    {
        buf_append_slice(&call->got_trailers, field->name);
        buf_append_str(&call->got_trailers, ": ");
        buf_append_slice(&call->got_trailers, field->value);
        buf_append_str(&call->got_trailers, "\n");
    }
    CHECK(!call->failed && call->status);
    call->upstream = NULL;
}

static inline void call_failed(struct http_user *user, struct err err, enum http_progress progress)
{
    struct call *call = call_of(user);
    CHECK(!call->failed && !call->num_ended);
    call->failed = true;
    call->err = err;
    call->progress = progress;
    call->upstream = NULL;
}

static inline void call_drained(struct http_user *user)
{
    call_of(user)->num_drained++;
}

static inline void call_flush(struct http_user *user)
{
    CHECK(call_of(user)->upstream);
}

static const struct http_user_ops call_ops = {.head = call_head,
                                              .body = call_body,
                                              .end = call_end,
                                              .failed = call_failed,
                                              .drained = call_drained,
                                              .flush = call_flush};

static inline void call_begin(struct call *call, struct upstream *upstream)
{
    struct fields *trailers = arena_calloc(&call->arena, 1, sizeof *trailers);
    struct upstream_request request = {&call->head, &call->fields};
    call->upstream = upstream;
    upstream->ops->begin(upstream, &call->user, &call->arena, &request);
    if (call->body) {
        struct slice body = slice_str(call->body);
        bool room =
            upstream->ops->body(upstream, slice_first(body, 1)) && upstream->ops->body(upstream, slice_skip(body, 1));
        CHECK(room);
    }
    if (call->trailers) {
        struct slice value = slice_str(call->trailers), name = slice_split(&value, ':');
        fields_add(trailers, &call->arena, name, slice_trim(value));
        fields_add(trailers, &call->arena, SLICE_LIT("Content-Length"), SLICE_LIT("9")); /* may not trail */
    }
    if (!call->keep_open)
        upstream->ops->end(upstream, trailers);
    if (call->upstream)
        upstream->ops->flush(upstream);
}

static inline void call_acquired(struct pool_wait *wait, struct upstream *upstream, struct err err)
{
    struct call *call = container_of(wait, struct call, wait);
    if (upstream) {
        call_begin(call, upstream);
        return;
    }
    call->failed = call->refused = true;
    call->err = err;
    call->progress = HTTP_UNSENT;
}

static inline void call_init(struct call *call, struct world *world, const char *method, const char *target)
{
    *call = (struct call){.world = world, .user = {&call_ops}};
    call->head = (struct head){.method_name = slice_str(method),
                               .method = method_lookup(slice_str(method)),
                               .target = slice_str(target),
                               .authority = SLICE_LIT("a.test"),
                               .version = 11,
                               .body = BODY_NONE};
    fields_add(&call->fields, &call->arena, SLICE_LIT("X-Mixed-Case"), SLICE_LIT("Value"));
    fields_add(&call->fields, &call->arena, SLICE_LIT("TE"), SLICE_LIT("trailers"));
    pool_wait_init(&call->wait, world->pool, call_acquired);
}

static inline void call_start(struct call *call)
{
    struct world *world = call->world;
    struct upstream *upstream = pool_acquire(&call->wait, world->config, world->config->default_site.group, false);
    if (upstream)
        call_begin(call, upstream);
}

static inline void call_leave(struct call *call)
{
    pool_wait_cancel(&call->wait);
    if (call->upstream)
        call->upstream->ops->detach(call->upstream);
    call->upstream = NULL;
    arena_cleanup(&call->arena);
    buf_cleanup(&call->got);
    buf_cleanup(&call->got_trailers);
}

#endif
