/* A scripted HTTP/2 server over a simulated stream: nghttp2's, and raw frames where it is to break the rules. For the
 * programs of tests/sim that ask it through a pool (h2_upstream_world.h). */
#ifndef SUPPORT_H2_SERVER_SIM_H
#define SUPPORT_H2_SERVER_SIM_H

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

static inline void server_say(struct server *server, struct slice bytes)
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

static inline void raw_frame(struct server *server, unsigned type, unsigned flags, int32_t id, struct slice payload)
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

static inline void hpack_string(struct buf *block, struct slice text)
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
static inline void hpack_put(struct buf *block, struct slice name, struct slice value)
{
    buf_append_char(block, 0);
    hpack_string(block, name);
    hpack_string(block, value);
}

/* Pairs of name and value, ended by NULL. */
static inline void raw_headers(struct server *server, int32_t id, bool end, const char *const *pairs)
{
    struct buf block = {0};
    for (; *pairs; pairs += 2)
        hpack_put(&block, slice_str(pairs[0]), slice_str(pairs[1]));
    raw_frame(server, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | (end ? NGHTTP2_FLAG_END_STREAM : 0), id,
              buf_slice(&block));
    buf_cleanup(&block);
}

#define RAW_HEADERS(server, id, end, ...) raw_headers(server, id, end, (const char *const[]){__VA_ARGS__, NULL})

static inline void raw_data(struct server *server, int32_t id, bool end, const char *text)
{
    raw_frame(server, NGHTTP2_DATA, end ? NGHTTP2_FLAG_END_STREAM : 0, id, slice_str(text));
}

static inline void raw_reset(struct server *server, int32_t id, unsigned code)
{
    const unsigned char payload[4] = {0, 0, 0, (unsigned char)code};
    raw_frame(server, NGHTTP2_RST_STREAM, 0, id, slice_make(payload, sizeof payload));
}

static inline void raw_goaway(struct server *server, int32_t last_id)
{
    const unsigned char payload[8] = {0, 0, 0, (unsigned char)last_id, 0, 0, 0, 0};
    raw_frame(server, NGHTTP2_GOAWAY, 0, 0, slice_make(payload, sizeof payload));
}

/* Many small fields, over CONTINUATION frames where they do not fit in one. */
static inline void raw_many_fields(struct server *server, int32_t id, unsigned num, size_t value_len)
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

static inline ssize_t served_read(nghttp2_session *session, int32_t id, uint8_t *out, size_t len, uint32_t *flags,
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

static inline void served_answer(struct served *served, int32_t id, bool whole)
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

static inline int server_begin(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
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

static inline int server_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                                size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *ctx)
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

static inline void server_request(struct server *server, struct served *served, int32_t id)
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

static inline int server_frame(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
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

static inline int server_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t len,
                              void *ctx)
{
    struct served *served = nghttp2_session_get_stream_user_data(session, id);
    (void)flags, (void)ctx;
    if (served)
        buf_append(&served->body, bytes, len);
    return 0;
}

static inline int server_closed(nghttp2_session *session, int32_t id, uint32_t code, void *ctx)
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

static inline void server_flush(struct server *server)
{
    const uint8_t *bytes;
    ssize_t len;
    if (server->world->mute || server->world->instead)
        return;
    while ((len = nghttp2_session_mem_send(server->session, &bytes)) > 0)
        server_say(server, slice_make(bytes, (size_t)len));
}

static inline void server_written(struct sim_stream *stream)
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

static inline void server_open(struct server *server)
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

static inline struct stream *world_connect(void *ctx)
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

#endif
