#include "http/hop.h"
#include "upstream/h2_internal.h"

enum {
    H2_DIRECT_BYTES = 4096,  /* a piece of a body from this on is sent at once, without a copy */
    H2_REQUEST_PSEUDO = 5,   /* fields beside those of the request: :method :scheme :authority :path, content-length */
    H2_LENGTH_TEXT_BYTES = 24
};

static struct h2_request *request_of(struct upstream *upstream)
{
    return container_of(upstream, struct h2_request, base);
}

/* ---- the end, and what its user is told ---- */

void h2_request_news(struct h2_request *request)
{
    if (list_empty(&request->news))
        list_append(&request->conn->news, &request->news);
    h2_conn_turn_later(request->conn);
}

void h2_request_fail(struct h2_request *request, struct err err, enum http_progress progress)
{
    if (request->failed_due)
        return;
    request->failed_due = true;
    request->failure = err;
    request->progress = progress;
    h2_request_news(request);
}

enum http_progress h2_request_progress(const struct h2_request *request)
{
    if (request->head || request->num_interim)
        return HTTP_ANSWERING;
    return request->sent ? HTTP_UNANSWERED : HTTP_UNSENT;
}

static void request_free(struct grave *grave)
{
    struct h2_request *request = container_of(grave, struct h2_request, grave);
    buf_cleanup(&request->queue);
    mem_free(request);
}

void h2_request_let_go(struct h2_request *request)
{
    struct h2_conn *conn = request->conn;
    if (!request->user)
        return;
    request->user = NULL;
    list_remove(&request->node);
    list_remove(&request->news);
    if (request->id > 0 && conn->state != H2C_DONE) {
        nghttp2_session_set_stream_user_data(conn->session, request->id, NULL);
        if (!request->closed)
            nghttp2_submit_rst_stream(conn->session, NGHTTP2_FLAG_NONE, request->id, NGHTTP2_CANCEL);
        h2_conn_turn_later(conn);
    }
    h2_conn_released(conn);
    graveyard_bury(&conn->loop->graveyard, &request->grave, request_free);
}

void h2_request_tell(struct h2_request *request)
{
    struct http_user *user = request->user;
    bool drained = request->drained_due, flush = request->flush_due;
    request->drained_due = request->flush_due = false;
    list_remove(&request->news);
    if (request->failed_due) {
        struct err err = request->failure;
        enum http_progress progress = request->progress;
        h2_request_let_go(request);
        user->ops->failed(user, err, progress);
        return;
    }
    if (drained)
        user->ops->drained(user);
    if (flush && request->user)
        user->ops->flush(user);
}

/* ---- the head ---- */

static nghttp2_nv nv_make(struct slice name, struct slice value)
{
    return (nghttp2_nv){.name = (uint8_t *)name.ptr, /* only read, copied and put in lower case by nghttp2 */
                        .namelen = name.len,
                        .value = (uint8_t *)value.ptr,
                        .valuelen = value.len};
}

static size_t request_nvs(const struct h2_request *request, nghttp2_nv *nvs, char *length_text)
{
    const struct head *head = request->request.head;
    size_t num = 0;
    nvs[num++] = nv_make(SLICE_LIT(":method"), head->method_name);
    nvs[num++] = nv_make(SLICE_LIT(":scheme"), SLICE_LIT("http"));
    if (head->authority.len)
        nvs[num++] = nv_make(SLICE_LIT(":authority"), head->authority);
    nvs[num++] = nv_make(SLICE_LIT(":path"), head->target);
    FIELDS_EACH(request->request.fields, field)
    nvs[num++] = nv_make(field->name, field->value);
    if (head->body == BODY_LENGTH) {
        int len = snprintf(length_text, H2_LENGTH_TEXT_BYTES, "%llu", (unsigned long long)head->length);
        nvs[num++] = nv_make(SLICE_LIT("content-length"), slice_make(length_text, (size_t)len));
    }
    return num;
}

static ssize_t request_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t length, uint32_t *data_flags,
                            nghttp2_data_source *source, void *user_data);

/* The head goes to nghttp2, which copies it. */
static void request_submit(struct h2_request *request)
{
    struct h2_conn *conn = request->conn;
    nghttp2_data_provider provider = {.read_callback = request_read};
    char length_text[H2_LENGTH_TEXT_BYTES];
    nghttp2_nv *nvs = arena_alloc(request->arena, (request->request.fields->num + H2_REQUEST_PSEUDO) * sizeof *nvs);
    size_t num = request_nvs(request, nvs, length_text);
    bool bare = request->whole && request->queue.len == 0 && !request->trailers;
    int32_t id = nghttp2_submit_request(conn->session, NULL, nvs, num, bare ? NULL : &provider, request);
    if (id < 0) { /* no stream id is left: h2_conn_has_room had asked, so another came between */
        h2_request_fail(request, err_make(ERR_STATE, id, "HTTP/2: no more streams on this connection"), HTTP_UNSENT);
        return;
    }
    request->id = id;
    request->ended = bare;
    h2_conn_turn_later(conn);
}

/* It may be spoken to: not failed, its connection alive. */
static bool request_live(const struct h2_request *request)
{
    return request->user && !request->failed_due && request->conn->state != H2C_DONE;
}

/* More can be sent: the head first, if it still waits. */
static void request_resume(struct h2_request *request)
{
    if (request->id == 0)
        request_submit(request);
    else
        nghttp2_session_resume_data(request->conn->session, request->id);
    h2_conn_turn_later(request->conn);
}

/* ---- the body ---- */

static void request_submit_trailers(struct h2_request *request)
{
    nghttp2_nv *nvs = arena_alloc(request->arena, request->trailers->num * sizeof *nvs);
    size_t num = 0;
    FIELDS_EACH(request->trailers, field)
    nvs[num++] = nv_make(field->name, field->value);
    nghttp2_submit_trailer(request->conn->session, request->id, nvs, num);
}

/* nghttp2 asks how much of the body goes into the next DATA frame. */
static ssize_t request_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t length, uint32_t *data_flags,
                            nghttp2_data_source *source, void *user_data)
{
    struct h2_request *request = nghttp2_session_get_stream_user_data(session, id);
    (void)buf, (void)source, (void)user_data;
    if (!request)
        return NGHTTP2_ERR_DEFERRED; /* RST_STREAM is on its way */
    size_t have = request->queue.len ? request->queue.len : request->direct.len;
    bool last = request->whole && request->direct.len == 0 && have <= length;
    if (have == 0 && !last)
        return NGHTTP2_ERR_DEFERRED;
    *data_flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (last) {
        *data_flags |= NGHTTP2_DATA_FLAG_EOF;
        request->ended = true;
        if (request->trailers) {
            *data_flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            request_submit_trailers(request);
        }
    }
    return (ssize_t)(have < length ? have : length);
}

static void request_queue_sank(struct h2_request *request)
{
    if (!request->full || request->queue.len >= FLOW_LOW_BYTES)
        return;
    request->full = false;
    request->drained_due = true;
    h2_request_news(request);
}

static int request_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *frame_head, size_t length,
                             nghttp2_data_source *source, void *user_data)
{
    struct h2_request *request = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    struct h2_conn *conn = user_data;
    (void)source;
    if (!request)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (request->queue.len) {
        h2_conn_put_data(conn, frame_head, slice_first(buf_slice(&request->queue), length));
        h2_conn_write(conn); /* the queue's bytes move below */
        buf_consume(&request->queue, length);
        if (request->queue.len == 0)
            buf_cleanup(&request->queue);
        request_queue_sank(request);
    } else {
        h2_conn_put_data(conn, frame_head, slice_first(request->direct, length));
        request->direct = slice_skip(request->direct, length);
    }
    return 0;
}

static int request_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct h2_request *request;
    (void)user_data;
    if (frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    request = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (request)
        request->sent = true;
    return 0;
}

/* HEADERS that could not be sent: the connection is leaving, and there will be no stream to close. */
static int request_frame_not_sent(nghttp2_session *session, const nghttp2_frame *frame, int error, void *user_data)
{
    struct h2_request *request;
    (void)user_data;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    request = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (request)
        h2_request_fail(request, err_make(ERR_STATE, error, "HTTP/2: the connection takes no more requests"),
                        HTTP_UNSENT);
    return 0;
}

void h2_request_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_send_data_callback(callbacks, request_send_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, request_frame_sent);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, request_frame_not_sent);
}

/* ---- what its user calls ---- */

static void request_begin(struct upstream *upstream, struct http_user *user, struct arena *arena,
                          const struct upstream_request *what)
{
    struct h2_request *request = request_of(upstream);
    request->user = user;
    request->arena = arena;
    request->request = *what;
    request->begun_ms = net_loop_now_ms(request->conn->loop);
    if (request->conn->state == H2C_DONE)
        h2_request_fail(request, err_make(ERR_STATE, 0, "the connection ended"), HTTP_UNSENT);
}

/* Gives the socket what it takes of a large piece; what is left comes back. */
static struct slice request_send_direct(struct h2_request *request, struct slice bytes)
{
    request->direct = bytes;
    request_resume(request);
    h2_conn_send(request->conn);
    bytes = request->direct;
    request->direct = SLICE_NONE;
    return bytes;
}

static bool request_body(struct upstream *upstream, struct slice bytes)
{
    struct h2_request *request = request_of(upstream);
    struct h2_conn *conn = request->conn;
    if (!request_live(request) || request->whole || bytes.len == 0)
        return true;
    if (bytes.len >= H2_DIRECT_BYTES && request->queue.len == 0 && !conn->feeding && !conn->sending && !conn->full)
        bytes = request_send_direct(request, bytes);
    if (bytes.len && request_live(request)) {
        buf_append_slice(&request->queue, bytes);
        request_resume(request);
    }
    request->full = request->full || request->queue.len > FLOW_HIGH_BYTES;
    return request->queue.len <= FLOW_HIGH_BYTES;
}

/* A copy: the caller's may go before they are sent. NULL where none may pass. */
static const struct fields *request_keep_trailers(struct h2_request *request, const struct fields *trailers)
{
    struct fields *kept = arena_calloc(request->arena, 1, sizeof *kept);
    FIELDS_EACH(trailers, field)
    {
        if (hop_may_trail(field))
            fields_add(kept, request->arena, arena_copy(request->arena, field->name),
                       arena_copy(request->arena, field->value));
    }
    return kept->num ? kept : NULL;
}

static void request_end(struct upstream *upstream, const struct fields *trailers)
{
    struct h2_request *request = request_of(upstream);
    if (!request_live(request) || request->whole)
        return;
    request->whole = true;
    if (trailers && trailers->num)
        request->trailers = request_keep_trailers(request, trailers);
    request_resume(request);
}

static void request_flush(struct upstream *upstream)
{
    struct h2_request *request = request_of(upstream);
    if (request_live(request) && request->id == 0)
        request_submit(request);
}

static void request_read_stop(struct upstream *upstream)
{
    request_of(upstream)->stopped = true;
}

static void request_read_start(struct upstream *upstream)
{
    struct h2_request *request = request_of(upstream);
    uint32_t owed_bytes = request->owed_bytes;
    request->stopped = false;
    request->owed_bytes = 0;
    if (owed_bytes == 0 || !request_live(request))
        return;
    nghttp2_session_consume_stream(request->conn->session, request->id, owed_bytes);
    h2_conn_turn_later(request->conn);
}

static void request_detach(struct upstream *upstream)
{
    struct h2_request *request = request_of(upstream);
    struct h2_conn *conn = request->conn;
    if (request->sent && !request->head && conn->heard_ms <= request->begun_ms)
        h2_conn_suspect(conn);
    h2_request_let_go(request);
}

static const struct upstream_ops request_ops = {
    .begin = request_begin,
    .body = request_body,
    .end = request_end,
    .flush = request_flush,
    .read_stop = request_read_stop,
    .read_start = request_read_start,
    .detach = request_detach,
    .close = request_detach,
};

struct upstream *h2_conn_request(struct h2_conn *conn, struct backend *backend, struct slice backend_text)
{
    struct h2_request *request = MEM_NEW(struct h2_request);
    request->base = (struct upstream){.ops = &request_ops,
                                      .backend = backend,
                                      .backend_text = backend_text,
                                      .reused = conn->used,
                                      .may_refuse = true};
    request->conn = conn;
    list_init(&request->news);
    list_append(&conn->requests, &request->node);
    tick_stop(&conn->deadline); /* of idleness; there is no other while it takes requests */
    conn->used = true;
    conn->num_requests++;
    return &request->base;
}
