/* An HTTP/2 client over a simulated stream, for the programs of tests/sim: an nghttp2 session, or frames made by hand for
 * what nghttp2 would not send. Include after proxy_world.h. */
#ifndef SUPPORT_H2_PEER_H
#define SUPPORT_H2_PEER_H

#include "front/h2_internal.h"
#include "front/h2_stream.h"
#include "proxy_world.h"

enum {
    PEER_MAX_STREAMS = 1100,
    PEER_MAX_FIELDS = 24,
    PEER_WIDE = 1 << 20, /* a window that is kept open; smaller ones stay as they are */
    NOT_YET = -1
};

struct peer_stream {
    struct buf head, body, trailers; /* "name: value\n" each; interim heads lie before the head */
    struct slice upload;             /* what is left to be sent of the body */
    const char *upload_trailer;      /* a value of x-trailer, or NULL */
    bool open_end;                   /* the upload stays without an end */
    bool answered, headed;           /* the answer's status has come; its head */
    bool ended, closed;
    uint32_t code; /* of its close */
};

struct h2_world {
    struct world world;
    struct h2_front *h2;
    nghttp2_session *peer;
    struct peer_stream *streams; /* by (id - 1) / 2 */
    size_t fed;                  /* of the output, to the peer */
    int64_t goaway_code;         /* NOT_YET */
    int32_t goaway_last;
    unsigned num_goaways;
    struct buf sent; /* all that the peer sent */
};

static inline struct peer_stream *peer_at(struct h2_world *w, int32_t id)
{
    return &w->streams[(id - 1) / 2];
}

static inline int peer_on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                                 size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *user)
{
    struct peer_stream *stream = peer_at(user, frame->hd.stream_id);
    struct buf *out = stream->headed ? &stream->trailers : &stream->head;
    stream->answered = stream->answered || (name[0] == ':' && value[0] != '1');
    (void)session, (void)flags;
    buf_append(out, name, name_len);
    buf_append_str(out, ": ");
    buf_append(out, value, value_len);
    buf_append_char(out, '\n');
    return 0;
}

static inline int peer_on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len,
                               void *user)
{
    (void)session, (void)flags;
    buf_append(&peer_at(user, id)->body, data, len);
    return 0;
}

static inline int peer_on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2_world *w = user;
    (void)session;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        w->goaway_code = frame->goaway.error_code;
        w->goaway_last = frame->goaway.last_stream_id;
        w->num_goaways++;
    }
    if (frame->hd.type == NGHTTP2_HEADERS)
        peer_at(w, frame->hd.stream_id)->headed = peer_at(w, frame->hd.stream_id)->answered;
    if ((frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) &&
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        peer_at(w, frame->hd.stream_id)->ended = true;
    return 0;
}

static inline int peer_on_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    struct peer_stream *stream = peer_at(user, id);
    (void)session;
    stream->closed = true;
    stream->code = code;
    return 0;
}

static inline ssize_t peer_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t max, uint32_t *flags,
                                nghttp2_data_source *source, void *user)
{
    struct peer_stream *stream = source->ptr;
    size_t take = stream->upload.len < max ? stream->upload.len : max;
    (void)user;
    if (take == 0 && stream->open_end)
        return NGHTTP2_ERR_DEFERRED;
    if (take)
        memcpy(buf, stream->upload.ptr, take);
    stream->upload = slice_skip(stream->upload, take);
    if (stream->upload.len || stream->open_end)
        return (ssize_t)take;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (stream->upload_trailer) {
        nghttp2_nv trailer = {(uint8_t *)(uintptr_t) "x-trailer", (uint8_t *)(uintptr_t)stream->upload_trailer, 9,
                              strlen(stream->upload_trailer), 0};
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        nghttp2_submit_trailer(session, id, &trailer, 1);
    }
    return (ssize_t)take;
}

/* What the peer has to say goes out. */
static inline void peer_say(struct h2_world *w)
{
    const uint8_t *bytes;
    ssize_t len;
    while ((len = nghttp2_session_mem_send(w->peer, &bytes)) > 0) {
        buf_append(&w->sent, bytes, (size_t)len);
        sim_stream_send(&w->world.stream, slice_make((const char *)bytes, (size_t)len));
    }
}

static inline void peer_hear(struct h2_world *w)
{
    struct slice fresh = slice_skip(buf_slice(&w->world.stream.output), w->fed);
    w->fed = w->world.stream.output.len;
    if (fresh.len && w->peer)
        nghttp2_session_mem_recv(w->peer, (const uint8_t *)fresh.ptr, fresh.len);
}

/* Until neither side has more to say. */
static inline void peer_settle(struct h2_world *w)
{
    for (int i = 0; i < MAX_TURNS; i++) {
        size_t before = w->sent.len + w->world.stream.output.len;
        if (w->peer)
            peer_say(w);
        world_settle(&w->world);
        peer_hear(w);
        if (before == w->sent.len + w->world.stream.output.len)
            return;
    }
}

static inline void peer_open_session(struct h2_world *w, uint32_t window)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window}};
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, peer_on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, peer_on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, peer_on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, peer_on_close);
    nghttp2_option_new(&option);
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_option_set_no_auto_window_update(option, window < PEER_WIDE);
    nghttp2_session_client_new2(&w->peer, callbacks, w, option);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    nghttp2_submit_settings(w->peer, NGHTTP2_FLAG_NONE, settings, 1);
    nghttp2_session_set_local_window_size(w->peer, NGHTTP2_FLAG_NONE, 0, 1 << 30);
}

static inline void h2_world_closed(void *ctx, struct err err)
{
    struct h2_world *w = ctx;
    (void)err;
    w->world.front_closed = true;
    h2_front_free(w->h2);
    w->h2 = NULL;
}

/* HARDENING "held bytes": nothing is held beyond what windows and marks allow. */
static inline void h2_world_check(const struct world *world)
{
    const struct h2_world *w = container_of(world, const struct h2_world, world);
    size_t queued = 0, held = 0, num = 0;
    if (!w->h2)
        return;
    for (const struct list *node = w->h2->streams.next; node != &w->h2->streams; node = node->next) {
        const struct h2_stream *stream = container_of(node, const struct h2_stream, node);
        size_t bytes = stream->queue.len - stream->queue_at;
        num++;
        queued += bytes;
        held += stream->held.len;
        CHECK(bytes <= FLOW_HIGH_BYTES + READ_BUFFER_BYTES);
        CHECK(stream->held.len <= stream->window);
    }
    CHECK_INT(w->h2->queued_bytes, queued);
    CHECK(queued <= LIMIT_H2_QUEUE_BYTES + num * READ_BUFFER_BYTES);
    CHECK(held <= (size_t)w->h2->window * LIMIT_H2_WINDOW_FACTOR);
    CHECK_INT(num, w->h2->num_streams);
    CHECK(num <= LIMIT_H2_STREAMS);
}

static inline void h2_world_open(struct h2_world *w, const struct scenario *scenario, const struct run *run,
                                 const struct config *config, struct certset *set, uint32_t window)
{
    *w = (struct h2_world){.goaway_code = NOT_YET};
    w->streams = mem_calloc(PEER_MAX_STREAMS, sizeof *w->streams);
    world_open(&w->world, scenario, run, config, set);
    w->world.check = h2_world_check;
    w->h2 = h2_front_new(&w->world.stream.base, &w->world.env, &w->world.client, h2_world_closed, w);
    if (window)
        peer_open_session(w, window);
}

static inline void h2_world_close(struct h2_world *w)
{
    world_end(&w->world);
    nghttp2_session_del(w->peer);
    for (size_t i = 0; i < PEER_MAX_STREAMS; i++) {
        buf_cleanup(&w->streams[i].head);
        buf_cleanup(&w->streams[i].body);
        buf_cleanup(&w->streams[i].trailers);
    }
    mem_free(w->streams);
    buf_cleanup(&w->sent);
}

/* fields: "name: value\n" each, pseudo-fields too. The body may be NULL: none. */
static inline int32_t peer_ask(struct h2_world *w, const char *fields, struct slice body, const char *trailer,
                               bool open_end)
{
    nghttp2_nv nv[PEER_MAX_FIELDS];
    size_t num = 0;
    struct slice rest = slice_str(fields);
    while (rest.len) {
        struct slice line = slice_split(&rest, '\n');
        const char *colon = memchr(line.ptr + 1, ':', line.len - 1);
        nv[num++] = (nghttp2_nv){(uint8_t *)(uintptr_t)line.ptr, (uint8_t *)(uintptr_t)(colon + 2),
                                 (size_t)(colon - line.ptr), (size_t)(line.ptr + line.len - colon - 2), 0};
    }
    int32_t id = (int32_t)nghttp2_session_get_next_stream_id(w->peer);
    struct peer_stream *stream = peer_at(w, id);
    nghttp2_data_provider provider = {.source = {.ptr = stream}, .read_callback = peer_read};
    stream->upload = body;
    stream->upload_trailer = trailer;
    stream->open_end = open_end;
    int32_t asked = nghttp2_submit_request(w->peer, NULL, nv, num, body.ptr || open_end ? &provider : NULL, NULL);
    CHECK_INT(asked, id);
    return id;
}

/* More of a body that was left open; end: with END_STREAM. */
static inline void peer_upload(struct h2_world *w, int32_t id, struct slice more, bool end)
{
    struct peer_stream *stream = peer_at(w, id);
    stream->upload = more;
    stream->open_end = !end;
    nghttp2_session_resume_data(w->peer, id);
    peer_settle(w);
}

/* ---- frames by hand ---- */

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

static inline void raw_frame(struct buf *out, uint8_t type, uint8_t flags, int32_t id, struct slice payload)
{
    const uint8_t head[9] = {
        (uint8_t)(payload.len >> 16), (uint8_t)(payload.len >> 8), (uint8_t)payload.len, type,       flags,
        (uint8_t)(id >> 24),          (uint8_t)(id >> 16),         (uint8_t)(id >> 8),   (uint8_t)id};
    buf_append(out, head, sizeof head);
    buf_append_slice(out, payload);
}

/* A literal without indexing; lengths below 127. */
static inline void raw_field(struct buf *out, struct slice name, struct slice value)
{
    buf_append_char(out, 0);
    buf_append_char(out, (char)name.len);
    buf_append_slice(out, name);
    buf_append_char(out, (char)value.len);
    buf_append_slice(out, value);
}

/* The preface and an empty SETTINGS. */
static inline void raw_begin(struct buf *out)
{
    buf_append_str(out, PREFACE);
    raw_frame(out, NGHTTP2_SETTINGS, 0, 0, SLICE_NONE);
}

/* Sends and empties. The answer is heard by a client session that has sent nothing of its own. */
static inline void raw_send(struct h2_world *w, struct buf *bytes)
{
    sim_stream_send(&w->world.stream, buf_slice(bytes));
    buf_cleanup(bytes);
    world_settle(&w->world);
}

/* The frames that were written: how many of the type on the stream (0: any); *out_code: the 32-bit number at the end of
 * the last one's payload. */
static inline unsigned raw_count(const struct h2_world *w, uint8_t type, int32_t id, uint32_t *out_code)
{
    const uint8_t *at = (const uint8_t *)w->world.stream.output.ptr, *end = at + w->world.stream.output.len;
    unsigned num = 0;
    while (at && end - at >= 9) {
        size_t len = (size_t)at[0] << 16 | (size_t)at[1] << 8 | at[2];
        int32_t of = (int32_t)((uint32_t)at[5] << 24 | (uint32_t)at[6] << 16 | (uint32_t)at[7] << 8 | at[8]);
        const uint8_t *code = type == NGHTTP2_GOAWAY ? at + 13 : at + 9;
        if (at[3] == type && (id == 0 || id == of)) {
            num++;
            if (out_code && len >= 4)
                *out_code = (uint32_t)code[0] << 24 | (uint32_t)code[1] << 16 | (uint32_t)code[2] << 8 | code[3];
        }
        at += 9 + len;
    }
    return num;
}

#endif
