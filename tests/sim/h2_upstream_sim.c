/* HTTP/2 to a backend over simulated streams: a pool, whoever asks, and a scripted server (nghttp2's, and raw frames where
 * the server is to break the rules). Every scenario runs with everything at once, a byte at a time, with a full queue behind
 * each write, and with the server leaving at every byte: an answer is whole, or the user hears that it failed. */
#include "base/mem.h"
#include "check.h"
#include "sim_stream.h"
#include "upstream/pool.h"

#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <unistd.h>

enum { MAX_SERVERS = 4, MAX_CALLS = 160, MAX_TURNS = 200000, FOREVER = -1 };

struct world;
struct server;

struct run {
    size_t read_bytes;
    bool full;
    long cut_at; /* bytes of the server's after which it leaves; FOREVER: never */
};

struct scenario {
    const char *name;
    const char *method, *target;
    const char *body;     /* of the request; NULL: none */
    const char *trailers; /* "name: value" of the request */
    /* What the server says once it has the request's head, in place of nghttp2's answer. */
    void (*raw)(struct server *server, int32_t id);
    /* What the user is to hear. */
    unsigned status;
    const char *got;          /* the body */
    const char *got_trailers; /* "name: value\n" of each */
    unsigned num_interim;
    enum err_kind failure;
    const char *what; /* part of the failure's text */
    enum http_progress progress;
    bool breaks; /* the connection cannot be used after it */
};

struct server {
    struct sim_stream stream;
    struct world *world;
    nghttp2_session *session;
    size_t taken_len, said_len;
    int32_t last_id;
    uint32_t num_requests, num_resets, num_pings, goaway_code;
    uint32_t last_reset_code;
    bool goaway, silent, used;
};

/* A request at the server. */
struct served {
    struct server *server;
    struct buf target, fields, body, trailers;
    bool head, answered, in_trailers, body_sent;
};

struct world {
    uv_loop_t uv;
    struct net_loop *loop;
    struct counters counters;
    const struct config *config;
    struct pool *pool;
    const struct scenario *scenario;
    struct run run;
    uint32_t max_streams; /* of the servers; 0: unsaid */
    uint32_t window;      /* of the servers' streams; 0: the default */
    bool tunnels;         /* servers take extended CONNECT */
    bool mute;            /* servers say nothing at all */
    const char *instead;  /* what servers say in place of HTTP/2 */
    struct server servers[MAX_SERVERS];
    unsigned num_servers, num_connects;
    struct buf upstream_fields; /* of the last request */
    bool closed;
};

/* Who asks, and hears the answer. */
struct call {
    struct world *world;
    struct pool_wait wait;
    struct http_user user;
    struct arena arena;
    struct head head;
    struct fields fields;
    struct upstream *upstream;
    const char *body, *trailers;
    bool keep_open; /* end is not said */
    bool tunnel;
    bool stop_at_first;
    unsigned status, num_interim, num_ended, num_drained;
    struct buf got, got_trailers;
    bool failed, refused;
    struct err err;
    enum http_progress progress;
};

/* ---- raw frames ---- */

static void server_say(struct server *server, struct slice bytes)
{
    long cut = server->world->run.cut_at;
    size_t left = cut == FOREVER ? SIZE_MAX : (size_t)cut > server->said_len ? (size_t)cut - server->said_len : 0;
    if (server->stream.eof)
        return;
    server->said_len += bytes.len;
    if (left > bytes.len) {
        sim_stream_send(&server->stream, bytes);
        return;
    }
    if (left)
        sim_stream_send(&server->stream, slice_first(bytes, left));
    sim_stream_send_eof(&server->stream);
}

static void raw_frame(struct server *server, unsigned type, unsigned flags, int32_t id, struct slice payload)
{
    struct buf frame = {0};
    const unsigned char head[9] = {(unsigned char)(payload.len >> 16),
                                   (unsigned char)(payload.len >> 8),
                                   (unsigned char)payload.len,
                                   (unsigned char)type,
                                   (unsigned char)flags,
                                   (unsigned char)(id >> 24),
                                   (unsigned char)(id >> 16),
                                   (unsigned char)(id >> 8),
                                   (unsigned char)id};
    buf_append(&frame, head, sizeof head);
    buf_append_slice(&frame, payload);
    server_say(server, buf_slice(&frame));
    buf_cleanup(&frame);
}

static void hpack_string(struct buf *block, struct slice text)
{
    size_t rest = text.len;
    if (rest < 127) {
        buf_append_char(block, (char)rest);
    } else {
        buf_append_char(block, 127);
        for (rest -= 127; rest >= 128; rest /= 128)
            buf_append_char(block, (char)(128 + rest % 128));
        buf_append_char(block, (char)rest);
    }
    buf_append_slice(block, text);
}

/* HPACK: a literal without indexing. */
static void hpack_put(struct buf *block, struct slice name, struct slice value)
{
    buf_append_char(block, 0);
    hpack_string(block, name);
    hpack_string(block, value);
}

/* Pairs of name and value, ended by NULL. */
static void raw_headers(struct server *server, int32_t id, bool end, const char *const *pairs)
{
    struct buf block = {0};
    for (; *pairs; pairs += 2)
        hpack_put(&block, slice_str(pairs[0]), slice_str(pairs[1]));
    raw_frame(server, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | (end ? NGHTTP2_FLAG_END_STREAM : 0), id,
              buf_slice(&block));
    buf_cleanup(&block);
}

#define RAW_HEADERS(server, id, end, ...) raw_headers(server, id, end, (const char *const[]){__VA_ARGS__, NULL})

static void raw_data(struct server *server, int32_t id, bool end, const char *text)
{
    raw_frame(server, NGHTTP2_DATA, end ? NGHTTP2_FLAG_END_STREAM : 0, id, slice_str(text));
}

static void raw_reset(struct server *server, int32_t id, unsigned code)
{
    const unsigned char payload[4] = {0, 0, 0, (unsigned char)code};
    raw_frame(server, NGHTTP2_RST_STREAM, 0, id, slice_make(payload, sizeof payload));
}

static void raw_goaway(struct server *server, int32_t last_id)
{
    const unsigned char payload[8] = {0, 0, 0, (unsigned char)last_id, 0, 0, 0, 0};
    raw_frame(server, NGHTTP2_GOAWAY, 0, 0, slice_make(payload, sizeof payload));
}

/* Many small fields, over CONTINUATION frames where they do not fit in one. */
static void raw_many_fields(struct server *server, int32_t id, unsigned num, size_t value_len)
{
    struct buf block = {0};
    char name[16], value[1000];
    memset(value, 'v', sizeof value);
    hpack_put(&block, SLICE_LIT(":status"), SLICE_LIT("200"));
    for (unsigned i = 0; i < num; i++) {
        snprintf(name, sizeof name, "x-%u", i);
        hpack_put(&block, slice_str(name), slice_make(value, value_len));
    }
    struct slice rest = buf_slice(&block);
    for (unsigned type = NGHTTP2_HEADERS; rest.len; type = NGHTTP2_CONTINUATION) {
        struct slice part = slice_first(rest, 16384);
        rest = slice_skip(rest, part.len);
        raw_frame(server, type, rest.len ? 0 : NGHTTP2_FLAG_END_HEADERS, id, part);
    }
    buf_cleanup(&block);
}

/* ---- the server ---- */

static ssize_t served_read(nghttp2_session *session, int32_t id, uint8_t *out, size_t len, uint32_t *flags,
                           nghttp2_data_source *source, void *ctx)
{
    struct served *served = source->ptr;
    (void)ctx;
    size_t some = served->body.len < len ? served->body.len : len;
    if (some)
        memcpy(out, served->body.ptr, some);
    buf_consume(&served->body, some);
    if (served->body.len == 0) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (served->trailers.len) {
            struct slice rest = buf_slice(&served->trailers), name = slice_split(&rest, ':');
            nghttp2_nv nv = {(uint8_t *)name.ptr, (uint8_t *)rest.ptr + 1, name.len, rest.len - 1, 0};
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            nghttp2_submit_trailer(session, id, &nv, 1);
        }
    }
    return (ssize_t)some;
}

#define NV(n, v)                                                        \
    {                                                                   \
        (uint8_t *)(n), (uint8_t *)(v), sizeof(n) - 1, sizeof(v) - 1, 0 \
    }

static void served_answer(struct served *served, int32_t id, bool whole)
{
    struct server *server = served->server;
    struct slice target = buf_slice(&served->target);
    nghttp2_data_provider provider = {{.ptr = served}, served_read};
    nghttp2_nv ok[] = {NV(":status", "200"), NV("x-s", "1")};
    if (served->answered || (!whole && !slice_starts(target, SLICE_LIT("/early"))))
        return;
    served->answered = true;
    if (slice_eq(target, SLICE_LIT("/hello"))) {
        nghttp2_nv nvs[] = {NV(":status", "200"), NV("content-length", "5")};
        buf_append_str(&served->body, "hello");
        nghttp2_submit_response(server->session, id, nvs, 2, &provider);
    } else if (slice_starts(target, SLICE_LIT("/big"))) {
        char *bytes = buf_reserve(&served->body, 2 << 20);
        memset(bytes, 'b', 2 << 20);
        served->body.len = 2 << 20;
        nghttp2_submit_response(server->session, id, ok, 2, &provider);
    } else if (slice_eq(target, SLICE_LIT("/interim"))) {
        nghttp2_nv early[] = {NV(":status", "103"), NV("link", "</x>")};
        nghttp2_submit_headers(server->session, 0, id, NULL, early, 2, NULL);
        nghttp2_submit_response(server->session, id, ok, 2, &provider);
    } else if (slice_eq(target, SLICE_LIT("/trailers-only"))) {
        nghttp2_nv nvs[] = {NV(":status", "200"), NV("grpc-status", "5")};
        nghttp2_submit_response(server->session, id, nvs, 2, NULL);
    } else if (slice_eq(target, SLICE_LIT("/early-reset"))) {
        RAW_HEADERS(server, id, true, ":status", "200"); /* nghttp2 would send the reset alone */
        raw_reset(server, id, NGHTTP2_NO_ERROR);
    } else {
        nghttp2_submit_response(server->session, id, ok, 2, &provider); /* an echo */
    }
}

static int server_begin(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
    struct served *served = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (served) {
        served->in_trailers = true;
        return 0;
    }
    served = MEM_NEW(struct served);
    served->server = ctx;
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, served);
    return 0;
}

static int server_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                         const uint8_t *value, size_t value_len, uint8_t flags, void *ctx)
{
    struct served *served = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    struct buf *to = served->in_trailers ? &served->trailers : &served->fields;
    (void)flags, (void)ctx;
    if (slice_eq(slice_make(name, name_len), SLICE_LIT(":path")))
        buf_append(&served->target, value, value_len);
    buf_append(to, name, name_len);
    buf_append_str(to, ":");
    buf_append_str(to, " ");
    buf_append(to, value, value_len);
    if (!served->in_trailers)
        buf_append_char(to, '\n');
    return 0;
}

static void server_request(struct server *server, struct served *served, int32_t id)
{
    struct world *world = server->world;
    served->head = true;
    server->num_requests++;
    server->last_id = id;
    world->upstream_fields.len = 0;
    buf_append_slice(&world->upstream_fields, buf_slice(&served->fields));
    if (world->scenario && world->scenario->raw) {
        served->answered = true;
        world->scenario->raw(server, id);
    }
}

static int server_frame(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
    struct server *server = ctx;
    struct served *served = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        server->goaway = true;
        server->goaway_code = frame->goaway.error_code;
    }
    if (frame->hd.type == NGHTTP2_PING && !(frame->hd.flags & NGHTTP2_FLAG_ACK))
        server->num_pings++;
    if (frame->hd.type == NGHTTP2_RST_STREAM) {
        server->num_resets++;
        server->last_reset_code = frame->rst_stream.error_code;
    }
    if (!served)
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS && !served->head)
        server_request(server, served, frame->hd.stream_id);
    if (!server->silent && (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA))
        served_answer(served, frame->hd.stream_id, frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
    return 0;
}

static int server_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t len, void *ctx)
{
    struct served *served = nghttp2_session_get_stream_user_data(session, id);
    (void)flags, (void)ctx;
    if (served)
        buf_append(&served->body, bytes, len);
    return 0;
}

static int server_closed(nghttp2_session *session, int32_t id, uint32_t code, void *ctx)
{
    struct served *served = nghttp2_session_get_stream_user_data(session, id);
    (void)code, (void)ctx;
    if (!served)
        return 0;
    buf_cleanup(&served->target);
    buf_cleanup(&served->fields);
    buf_cleanup(&served->body);
    buf_cleanup(&served->trailers);
    mem_free(served);
    nghttp2_session_set_stream_user_data(session, id, NULL);
    return 0;
}

static void server_flush(struct server *server)
{
    const uint8_t *bytes;
    ssize_t len;
    if (server->world->mute || server->world->instead)
        return;
    while ((len = nghttp2_session_mem_send(server->session, &bytes)) > 0)
        server_say(server, slice_make(bytes, (size_t)len));
}

static void server_written(struct sim_stream *stream)
{
    struct server *server = container_of(stream, struct server, stream);
    struct slice fresh = slice_skip(buf_slice(&stream->output), server->taken_len);
    server->taken_len = stream->output.len;
    if (server->world->instead) {
        if (fresh.len && server->said_len == 0)
            server_say(server, slice_str(server->world->instead));
        return;
    }
    if (fresh.len)
        CHECK_INT(nghttp2_session_mem_recv(server->session, (const uint8_t *)fresh.ptr, fresh.len), fresh.len);
    server_flush(server);
}

static void server_open(struct server *server)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_settings_entry settings[3];
    size_t num = 0;
    if (nghttp2_session_callbacks_new(&callbacks) != 0)
        abort();
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, server_begin);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, server_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, server_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, server_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, server_closed);
    nghttp2_session_server_new(&server->session, callbacks, server);
    nghttp2_session_callbacks_del(callbacks);
    if (server->world->max_streams)
        settings[num++] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, server->world->max_streams};
    if (server->world->window)
        settings[num++] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, server->world->window};
    if (server->world->tunnels)
        settings[num++] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1};
    nghttp2_submit_settings(server->session, 0, settings, num);
}

static struct stream *world_connect(void *ctx)
{
    struct world *world = ctx;
    world->num_connects++;
    if (world->num_servers == MAX_SERVERS)
        return NULL;
    struct server *server = &world->servers[world->num_servers++];
    sim_stream_init(&server->stream, world->loop);
    server->world = world;
    server->stream.read_bytes = world->run.read_bytes;
    server->stream.always_full = world->run.full;
    server->stream.written = server_written;
    server_open(server);
    return &server->stream.base;
}

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

static void world_start(struct world *world, const struct config *config)
{
    *world = (struct world){.config = config, .run = {.cut_at = FOREVER}};
    uv_loop_init(&world->uv);
    world->loop = net_loop_new(&world->uv);
    struct pool_options options = {
        .loop = world->loop, .counters = &world->counters, .connect = world_connect, .connect_ctx = world};
    world->pool = pool_new(&options);
}

static void world_turn(struct world *world, int num)
{
    for (int i = 0; i < num; i++)
        uv_run(&world->uv, UV_RUN_NOWAIT);
}

static void world_settle(struct world *world)
{
    for (int i = 0, quiet = 0; i < MAX_TURNS && quiet < 4; i++) {
        uv_run(&world->uv, UV_RUN_NOWAIT);
        quiet = list_empty(&world->loop->deferred) ? quiet + 1 : 0;
    }
}

static void world_closed(void *ctx)
{
    ((struct world *)ctx)->closed = true;
}

static void world_end(struct world *world)
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

static struct call *call_of(struct http_user *user)
{
    return container_of(user, struct call, user);
}

static void call_head(struct http_user *user, struct head *head)
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

static void call_body(struct http_user *user, struct slice bytes)
{
    struct call *call = call_of(user);
    CHECK(call->status && bytes.len);
    buf_append_slice(&call->got, bytes);
    if (call->stop_at_first)
        call->upstream->ops->read_stop(call->upstream);
}

static void call_end(struct http_user *user, const struct fields *trailers)
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

static void call_failed(struct http_user *user, struct err err, enum http_progress progress)
{
    struct call *call = call_of(user);
    CHECK(!call->failed && !call->num_ended);
    call->failed = true;
    call->err = err;
    call->progress = progress;
    call->upstream = NULL;
}

static void call_drained(struct http_user *user)
{
    call_of(user)->num_drained++;
}

static void call_flush(struct http_user *user)
{
    CHECK(call_of(user)->upstream);
}

static const struct http_user_ops call_ops = {.head = call_head,
                                              .body = call_body,
                                              .end = call_end,
                                              .failed = call_failed,
                                              .drained = call_drained,
                                              .flush = call_flush};

static void call_begin(struct call *call, struct upstream *upstream)
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

static void call_acquired(struct pool_wait *wait, struct upstream *upstream, struct err err)
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

static void call_init(struct call *call, struct world *world, const char *method, const char *target)
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

static void call_start(struct call *call)
{
    struct world *world = call->world;
    struct upstream *upstream = pool_acquire(&call->wait, world->config, world->config->default_site.group, false);
    if (upstream)
        call_begin(call, upstream);
}

static void call_leave(struct call *call)
{
    pool_wait_cancel(&call->wait);
    if (call->upstream)
        call->upstream->ops->detach(call->upstream);
    call->upstream = NULL;
    arena_cleanup(&call->arena);
    buf_cleanup(&call->got);
    buf_cleanup(&call->got_trailers);
}

/* ---- answers ---- */

static void raw_no_status(struct server *server, int32_t id)
{
    RAW_HEADERS(server, id, true, "x-a", "1");
}

static void raw_status_999(struct server *server, int32_t id)
{
    RAW_HEADERS(server, id, true, ":status", "999");
}

static void raw_status_twice(struct server *server, int32_t id)
{
    RAW_HEADERS(server, id, true, ":status", "200", ":status", "200");
}

static void raw_switching(struct server *server, int32_t id)
{
    RAW_HEADERS(server, id, false, ":status", "101");
}

static void raw_connection_field(struct server *server, int32_t id)
{
    RAW_HEADERS(server, id, true, ":status", "200", "connection", "close");
}

static void raw_upper_case(struct server *server, int32_t id)
{
    RAW_HEADERS(server, id, true, ":status", "200", "X-Upper", "1");
}

static void raw_control_byte(struct server *server, int32_t id)
{
    RAW_HEADERS(server, id, true, ":status", "200", "x-a",
                "a\x01"
                "b");
}

static void raw_newline(struct server *server, int32_t id)
{
    RAW_HEADERS(server, id, true, ":status", "200", "x-a", "a\r\nx-b: 1");
}

static void raw_length_less(struct server *server, int32_t id)
{
    RAW_HEADERS(server, id, false, ":status", "200", "content-length", "9");
    raw_data(server, id, true, "four");
}

static void raw_length_more(struct server *server, int32_t id)
{
    RAW_HEADERS(server, id, false, ":status", "200", "content-length", "2");
    raw_data(server, id, true, "four");
}

static void raw_length_on_headers(struct server *server, int32_t id)
{
    RAW_HEADERS(server, id, true, ":status", "200", "content-length", "9");
}

static void raw_length_twice(struct server *server, int32_t id)
{
    RAW_HEADERS(server, id, true, ":status", "200", "content-length", "0", "content-length", "0");
}

static void raw_length_bad(struct server *server, int32_t id)
{
    RAW_HEADERS(server, id, true, ":status", "200", "content-length", "+0");
}

static void raw_204_body(struct server *server, int32_t id)
{
    RAW_HEADERS(server, id, false, ":status", "204");
    raw_data(server, id, true, "four");
}

static void raw_head_body(struct server *server, int32_t id)
{
    RAW_HEADERS(server, id, false, ":status", "200", "content-length", "4");
    raw_data(server, id, true, "four");
}

static void raw_17_interims(struct server *server, int32_t id)
{
    for (int i = 0; i < 17; i++)
        RAW_HEADERS(server, id, false, ":status", "103");
    RAW_HEADERS(server, id, true, ":status", "200");
}

static void raw_interim_end(struct server *server, int32_t id)
{
    RAW_HEADERS(server, id, true, ":status", "103");
}

static void raw_huge_head(struct server *server, int32_t id)
{
    raw_many_fields(server, id, 100, 900);
}

static void raw_201_fields(struct server *server, int32_t id)
{
    raw_many_fields(server, id, 201, 2);
}

static void raw_data_first(struct server *server, int32_t id)
{
    raw_data(server, id, true, "four");
}

static void raw_trailers_open(struct server *server, int32_t id)
{
    RAW_HEADERS(server, id, false, ":status", "200");
    raw_data(server, id, false, "four");
    RAW_HEADERS(server, id, false, "x-t", "1");
}

static void raw_trailers_pseudo(struct server *server, int32_t id)
{
    RAW_HEADERS(server, id, false, ":status", "200");
    raw_data(server, id, false, "four");
    RAW_HEADERS(server, id, true, ":status", "200");
}

static void raw_trailers_huge(struct server *server, int32_t id)
{
    struct buf block = {0};
    char value[100];
    memset(value, 'v', sizeof value);
    RAW_HEADERS(server, id, false, ":status", "200");
    for (int i = 0; i < 90; i++)
        hpack_put(&block, SLICE_LIT("x-t"), slice_make(value, sizeof value));
    raw_frame(server, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, id, buf_slice(&block));
    buf_cleanup(&block);
}

static void raw_reset_in_body(struct server *server, int32_t id)
{
    RAW_HEADERS(server, id, false, ":status", "200");
    raw_data(server, id, false, "half");
    raw_reset(server, id, NGHTTP2_INTERNAL_ERROR);
}

static void raw_reset_early(struct server *server, int32_t id)
{
    raw_reset(server, id, NGHTTP2_INTERNAL_ERROR);
}

static void raw_refused(struct server *server, int32_t id)
{
    raw_reset(server, id, NGHTTP2_REFUSED_STREAM);
}

static void raw_http11(struct server *server, int32_t id)
{
    raw_reset(server, id, NGHTTP2_HTTP_1_1_REQUIRED);
}

static void raw_goaway_0(struct server *server, int32_t id)
{
    (void)id;
    raw_goaway(server, 0);
}

static void raw_bad_frame(struct server *server, int32_t id)
{
    raw_frame(server, NGHTTP2_PING, 0, id, SLICE_LIT("short"));
}

static void raw_push(struct server *server, int32_t id)
{
    raw_frame(server, NGHTTP2_PUSH_PROMISE, NGHTTP2_FLAG_END_HEADERS, id, SLICE_LIT("\0\0\0\2"));
}

static const struct scenario scenarios[] = {
    {.name = "hello", .method = "GET", .target = "/hello", .status = 200, .got = "hello"},
    {.name = "an echo", .method = "POST", .target = "/echo", .body = "some bytes", .status = 200, .got = "some bytes"},
    {.name = "an echo with trailers",
     .method = "POST",
     .target = "/echo",
     .body = "some bytes",
     .trailers = "x-t: 1",
     .status = 200,
     .got = "some bytes",
     .got_trailers = "x-t: 1\n"},
    {.name = "trailers without a body",
     .method = "POST",
     .target = "/echo",
     .trailers = "x-t: 1",
     .status = 200,
     .got_trailers = "x-t: 1\n"},
    {.name = "an interim answer", .method = "GET", .target = "/interim", .status = 200, .num_interim = 1},
    {.name = "trailers only", .method = "POST", .target = "/trailers-only", .body = "x", .status = 200},
    {.name = "B4: less than content-length", .raw = raw_length_less, .failure = ERR_INPUT, .status = 200},
    {.name = "B4: more than content-length", .raw = raw_length_more, .failure = ERR_INPUT, .status = 200},
    {.name = "B4: nothing of content-length", .raw = raw_length_on_headers, .failure = ERR_INPUT},
    {.name = "B4: reset in the body", .raw = raw_reset_in_body, .failure = ERR_EOF, .status = 200, .what = "reset"},
    {.name = "B5: no status", .raw = raw_no_status, .failure = ERR_INPUT},
    {.name = "B5: status 999", .raw = raw_status_999, .failure = ERR_INPUT},
    {.name = "B5: status twice", .raw = raw_status_twice, .failure = ERR_INPUT},
    {.name = "B5: 101", .raw = raw_switching, .failure = ERR_INPUT},
    {.name = "B5: a connection-specific field", .raw = raw_connection_field, .failure = ERR_INPUT},
    {.name = "B5: upper case", .raw = raw_upper_case, .failure = ERR_INPUT},
    {.name = "B5: a control byte", .raw = raw_control_byte, .failure = ERR_INPUT},
    {.name = "B5: a newline", .raw = raw_newline, .failure = ERR_INPUT},
    {.name = "B5: content-length twice", .raw = raw_length_twice, .failure = ERR_INPUT},
    {.name = "B5: content-length that is none", .raw = raw_length_bad, .failure = ERR_INPUT},
    {.name = "B5: 17 interim answers",
     .raw = raw_17_interims,
     .failure = ERR_LIMIT,
     .num_interim = 16,
     .what = "interim"},
    {.name = "B5: an interim answer that ends", .raw = raw_interim_end, .failure = ERR_INPUT},
    {.name = "B5: a huge head", .raw = raw_huge_head, .failure = ERR_LIMIT, .what = "head too large"},
    {.name = "B5: 201 fields", .raw = raw_201_fields, .failure = ERR_LIMIT, .what = "too many fields"},
    {.name = "B5: DATA before HEADERS",
     .raw = raw_data_first,
     .failure = ERR_INPUT,
     .progress = HTTP_UNANSWERED,
     .breaks = true},
    {.name = "B5: trailers that do not end", .raw = raw_trailers_open, .failure = ERR_INPUT, .status = 200},
    {.name = "B5: a pseudo-field in trailers", .raw = raw_trailers_pseudo, .failure = ERR_INPUT, .status = 200},
    {.name = "B5: huge trailers", .raw = raw_trailers_huge, .failure = ERR_LIMIT, .status = 200, .what = "trailers"},
    {.name = "B6: 204 with a body", .raw = raw_204_body, .failure = ERR_INPUT, .status = 204},
    {.name = "B6: HEAD with a body", .method = "HEAD", .raw = raw_head_body, .failure = ERR_INPUT, .status = 200},
    {.name = "B2: reset before the head", .raw = raw_reset_early, .failure = ERR_EOF, .progress = HTTP_UNANSWERED},
    {.name = "B2: refused", .raw = raw_refused, .failure = ERR_STATE, .progress = HTTP_UNSENT, .what = "refused"},
    {.name = "B2: beyond GOAWAY",
     .raw = raw_goaway_0,
     .failure = ERR_STATE,
     .progress = HTTP_UNSENT,
     .what = "refused",
     .breaks = true},
    {.name = "wants HTTP/1.1", .raw = raw_http11, .failure = ERR_STATE, .progress = HTTP_ANSWERING, .what = "HTTP/1.1"},
    {.name = "B5: a frame of a wrong size",
     .raw = raw_bad_frame,
     .failure = ERR_INPUT,
     .progress = HTTP_UNANSWERED,
     .breaks = true},
    {.name = "B5: a push", .raw = raw_push, .failure = ERR_INPUT, .progress = HTTP_UNANSWERED, .breaks = true},
};

static void scenario_call(struct call *call, struct world *world, const struct scenario *scenario)
{
    call_init(call, world, scenario->method ? scenario->method : "GET", scenario->target ? scenario->target : "/raw");
    call->body = scenario->body;
    call->trailers = scenario->trailers;
    if (scenario->body || scenario->trailers)
        call->head.body = BODY_CHUNKED;
}

static void check_whole(const struct scenario *scenario, const struct call *call)
{
    CHECK_INT(call->failed, scenario->failure != ERR_NONE);
    CHECK_INT(call->num_ended, scenario->failure == ERR_NONE);
    CHECK_INT(call->status, scenario->status);
    CHECK_INT(call->num_interim, scenario->num_interim);
    if (scenario->failure) {
        CHECK_INT(call->err.kind, scenario->failure);
        CHECK(!scenario->what || strstr(call->err.what, scenario->what));
        CHECK_INT(call->progress, scenario->progress                                    ? scenario->progress
                                  : scenario->what && strstr(scenario->what, "refused") ? HTTP_UNSENT
                                                                                        : HTTP_ANSWERING);
        return;
    }
    CHECK_SLICE(buf_slice(&call->got), scenario->got ? scenario->got : "");
    CHECK_SLICE(buf_slice(&call->got_trailers), scenario->got_trailers ? scenario->got_trailers : "");
}

/* Only the stream dies: the next request uses the same connection. */
static void check_connection_lives(struct world *world, const struct scenario *scenario)
{
    struct call next;
    world->scenario = NULL;
    call_init(&next, world, "GET", "/hello");
    call_start(&next);
    world_settle(world);
    CHECK_INT(next.status, 200);
    CHECK_INT(world->num_connects, scenario->breaks ? 2 : 1);
    call_leave(&next);
}

static size_t run_scenario_once(const struct scenario *scenario, struct run run, const struct config *config)
{
    struct world world;
    struct call call;
    world_start(&world, config);
    world.scenario = scenario;
    world.run = run;
    scenario_call(&call, &world, scenario);
    call_start(&call);
    world_settle(&world);
    size_t said_len = world.servers[0].said_len;
    if (run.cut_at == FOREVER) {
        check_whole(scenario, &call);
        check_connection_lives(&world, scenario);
    } else {
        CHECK(call.failed || call.num_ended);
        if (call.num_ended) /* whole before the cut */
            check_whole(scenario, &call);
    }
    call_leave(&call);
    world_end(&world);
    return said_len;
}

static void run_scenario(const struct scenario *scenario, const struct config *config)
{
    const struct run runs[] = {{.cut_at = FOREVER},
                               {.read_bytes = 1, .cut_at = FOREVER},
                               {.read_bytes = 7, .cut_at = FOREVER},
                               {.full = true, .cut_at = FOREVER},
                               {.full = true, .read_bytes = 1, .cut_at = FOREVER}};
    size_t said_len = 0;
    checks_test = scenario->name;
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++)
        said_len = run_scenario_once(scenario, runs[i], config);
    for (size_t at = 0; at < said_len && at < 400; at++)
        for (size_t read_bytes = 0; read_bytes < 2; read_bytes++)
            run_scenario_once(scenario, (struct run){.cut_at = (long)at, .read_bytes = read_bytes}, config);
}

/* ---- what several requests do to each other ---- */

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

int main(int argc, char **argv)
{
    config = load_config(NULL);
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++)
        if (argc < 2 || strstr(scenarios[i].name, argv[1]))
            run_scenario(&scenarios[i], config);
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
    RUN(a_websocket_goes_by_extended_connect_where_the_server_allows_it);
    RUN(a_websocket_that_the_server_declines);
    config_unref(config);
    return checks_done();
}
