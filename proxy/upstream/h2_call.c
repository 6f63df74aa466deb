#include "http/hop.h"
#include "upstream/h2_internal.h"

enum {
    H2_DIRECT_BYTES = 4096, /* a piece of a body from this on is sent at once, without a copy */
    H2_CALL_PSEUDO = 6, /* beside the request's fields: :method :scheme :authority :path :protocol, content-length */
    H2_LENGTH_TEXT_BYTES = 24
};

static struct h2_call *call_of(struct upstream *upstream)
{
    return container_of(upstream, struct h2_call, base);
}

/* ---- the end, and what its user is told ---- */

void h2_call_news(struct h2_call *call)
{
    if (list_empty(&call->news))
        list_append(&call->conn->news, &call->news);
    h2_conn_turn_later(call->conn);
}

void h2_call_fail(struct h2_call *call, struct err err, enum http_progress progress)
{
    if (call->failed_due)
        return;
    call->failed_due = true;
    call->failure = err;
    call->progress = progress;
    h2_call_news(call);
}

enum http_progress h2_call_progress(const struct h2_call *call)
{
    if (call->head || call->num_interim)
        return HTTP_ANSWERING;
    return call->sent ? HTTP_UNANSWERED : HTTP_UNSENT;
}

static void call_free(struct grave *grave)
{
    struct h2_call *call = container_of(grave, struct h2_call, grave);
    buf_cleanup(&call->queue);
    mem_free(call);
}

void h2_call_let_go(struct h2_call *call)
{
    struct h2_conn *conn = call->conn;
    if (!call->user)
        return;
    call->user = NULL;
    list_remove(&call->node);
    list_remove(&call->news);
    if (call->id > 0 && conn->state != H2C_DONE) {
        nghttp2_session_set_stream_user_data(conn->session, call->id, NULL);
        if (!call->closed)
            nghttp2_submit_rst_stream(conn->session, NGHTTP2_FLAG_NONE, call->id, NGHTTP2_CANCEL);
        h2_conn_turn_later(conn);
    }
    h2_conn_released(conn);
    graveyard_bury(&conn->loop->graveyard, &call->grave, call_free);
}

void h2_call_tell(struct h2_call *call)
{
    struct http_user *user = call->user;
    bool drained = call->drained_due, flush = call->flush_due;
    call->drained_due = call->flush_due = false;
    list_remove(&call->news);
    if (call->failed_due) {
        struct err err = call->failure;
        enum http_progress progress = call->progress;
        h2_call_let_go(call);
        user->ops->failed(user, err, progress);
        return;
    }
    if (drained)
        user->ops->drained(user);
    if (flush && call->user)
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

static size_t call_nvs(const struct h2_call *call, nghttp2_nv *nvs, char *length_text)
{
    const struct head *head = call->what.head;
    size_t num = 0;
    nvs[num++] = nv_make(SLICE_LIT(":method"), call->connect ? SLICE_LIT("CONNECT") : head->method_name);
    if (call->connect)
        nvs[num++] = nv_make(SLICE_LIT(":protocol"), SLICE_LIT("websocket"));
    nvs[num++] = nv_make(SLICE_LIT(":scheme"), SLICE_LIT("http"));
    if (head->authority.len)
        nvs[num++] = nv_make(SLICE_LIT(":authority"), head->authority);
    nvs[num++] = nv_make(SLICE_LIT(":path"), head->target);
    FIELDS_EACH(call->what.fields, field)
    {
        if (!call->connect || field->id != FIELD_SEC_WEBSOCKET_KEY) /* RFC 8441 §5 */
            nvs[num++] = nv_make(field->name, field->value);
    }
    if (head->body == BODY_LENGTH) {
        int len = snprintf(length_text, H2_LENGTH_TEXT_BYTES, "%llu", (unsigned long long)head->length);
        nvs[num++] = nv_make(SLICE_LIT("content-length"), slice_make(length_text, (size_t)len));
    }
    return num;
}

static ssize_t call_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t length, uint32_t *data_flags,
                         nghttp2_data_source *source, void *user_data);

/* The head goes to nghttp2, which copies it. */
static void call_submit(struct h2_call *call)
{
    struct h2_conn *conn = call->conn;
    nghttp2_data_provider provider = {.read_callback = call_read};
    char length_text[H2_LENGTH_TEXT_BYTES];
    nghttp2_nv *nvs = arena_alloc(call->arena, (call->what.fields->num + H2_CALL_PSEUDO) * sizeof *nvs);
    size_t num = call_nvs(call, nvs, length_text);
    bool bare = call->whole && call->queue.len == 0 && !call->trailers;
    int32_t id = nghttp2_submit_request(conn->session, NULL, nvs, num, bare ? NULL : &provider, call);
    if (id < 0) { /* no stream id is left: h2_conn_has_room had asked, so another came between */
        h2_call_fail(call, err_make(ERR_STATE, id, "HTTP/2: no more streams on this connection"), HTTP_UNSENT);
        return;
    }
    call->id = id;
    call->ended = bare;
    h2_conn_turn_later(conn);
}

/* It may be spoken to: not failed, its connection alive. */
static bool call_live(const struct h2_call *call)
{
    return call->user && !call->failed_due && call->conn->state != H2C_DONE;
}

/* More can be sent: the head first, if it still waits. */
static void call_resume(struct h2_call *call)
{
    if (call->id == 0)
        call_submit(call);
    else
        nghttp2_session_resume_data(call->conn->session, call->id);
    h2_conn_turn_later(call->conn);
}

/* ---- the body ---- */

static void call_submit_trailers(struct h2_call *call)
{
    nghttp2_nv *nvs = arena_alloc(call->arena, call->trailers->num * sizeof *nvs);
    size_t num = 0;
    FIELDS_EACH(call->trailers, field)
    nvs[num++] = nv_make(field->name, field->value);
    nghttp2_submit_trailer(call->conn->session, call->id, nvs, num);
}

/* nghttp2 asks how much of the body goes into the next DATA frame. NOLINTBEGIN(readability-non-const-parameter) */
static ssize_t call_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t length, uint32_t *data_flags,
                         nghttp2_data_source *source, void *user_data)
{
    /* NOLINTEND(readability-non-const-parameter) */
    struct h2_call *call = nghttp2_session_get_stream_user_data(session, id);
    (void)buf, (void)source, (void)user_data;
    if (!call)
        return NGHTTP2_ERR_DEFERRED; /* RST_STREAM is on its way */
    size_t have = call->queue.len ? call->queue.len : call->direct.len;
    bool last = call->whole && call->direct.len == 0 && have <= length;
    if (have == 0 && !last)
        return NGHTTP2_ERR_DEFERRED;
    *data_flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (last) {
        *data_flags |= NGHTTP2_DATA_FLAG_EOF;
        call->ended = true;
        if (call->trailers) {
            *data_flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            call_submit_trailers(call);
        }
    }
    return (ssize_t)(have < length ? have : length);
}

static void call_queue_sank(struct h2_call *call)
{
    if (!call->full || call->queue.len >= FLOW_LOW_BYTES)
        return;
    call->full = false;
    call->drained_due = true;
    h2_call_news(call);
}

static int call_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *frame_head, size_t length,
                          nghttp2_data_source *source, void *user_data)
{
    struct h2_call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    struct h2_conn *conn = user_data;
    (void)source;
    if (!call)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (call->queue.len) {
        h2_conn_put_data(conn, frame_head, slice_first(buf_slice(&call->queue), length));
        h2_conn_write(conn); /* the queue's bytes move below */
        buf_consume(&call->queue, length);
        if (call->queue.len == 0)
            buf_cleanup(&call->queue);
        call_queue_sank(call);
    } else {
        h2_conn_put_data(conn, frame_head, slice_first(call->direct, length));
        call->direct = slice_skip(call->direct, length);
    }
    return 0;
}

static int call_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct h2_call *call;
    (void)user_data;
    if (frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (call)
        call->sent = true;
    return 0;
}

/* HEADERS that could not be sent: the connection is leaving, and there will be no stream to close. */
static int call_frame_not_sent(nghttp2_session *session, const nghttp2_frame *frame, int error, void *user_data)
{
    struct h2_call *call;
    (void)user_data;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (call)
        h2_call_fail(call, err_make(ERR_STATE, error, "HTTP/2: the connection takes no more requests"), HTTP_UNSENT);
    return 0;
}

void h2_call_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_send_data_callback(callbacks, call_send_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, call_frame_sent);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, call_frame_not_sent);
}

/* ---- what its user calls ---- */

static void call_begin(struct upstream *upstream, struct http_user *user, struct arena *arena,
                       const struct upstream_request *what)
{
    struct h2_call *call = call_of(upstream);
    call->user = user;
    call->arena = arena;
    call->what = *what;
    call->connect = what->head->upgrade == UPGRADE_WEBSOCKET &&
                    nghttp2_session_get_remote_settings(call->conn->session, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL);
    call->begun_ms = net_loop_now_ms(call->conn->loop);
    if (call->conn->state == H2C_DONE)
        h2_call_fail(call, err_make(ERR_STATE, 0, "the connection ended"), HTTP_UNSENT);
}

/* Gives the socket what it takes of a large piece; what is left comes back. */
static struct slice call_send_direct(struct h2_call *call, struct slice bytes)
{
    call->direct = bytes;
    call_resume(call);
    h2_conn_send(call->conn);
    bytes = call->direct;
    call->direct = SLICE_NONE;
    return bytes;
}

static bool call_body(struct upstream *upstream, struct slice bytes)
{
    struct h2_call *call = call_of(upstream);
    struct h2_conn *conn = call->conn;
    if (!call_live(call) || call->whole || bytes.len == 0)
        return true;
    if (bytes.len >= H2_DIRECT_BYTES && call->queue.len == 0 && !conn->feeding && !conn->sending && !conn->full)
        bytes = call_send_direct(call, bytes);
    if (bytes.len && call_live(call)) {
        buf_append_slice(&call->queue, bytes);
        call_resume(call);
    }
    call->full = call->full || call->queue.len > FLOW_HIGH_BYTES;
    return call->queue.len <= FLOW_HIGH_BYTES;
}

/* A copy: the caller's may go before they are sent. NULL where none may pass. */
static const struct fields *call_keep_trailers(struct h2_call *call, const struct fields *trailers)
{
    struct fields *kept = arena_calloc(call->arena, 1, sizeof *kept);
    FIELDS_EACH(trailers, field)
    {
        if (hop_may_trail(field))
            fields_add(kept, call->arena, arena_copy(call->arena, field->name), arena_copy(call->arena, field->value));
    }
    return kept->num ? kept : NULL;
}

static void call_end(struct upstream *upstream, const struct fields *trailers)
{
    struct h2_call *call = call_of(upstream);
    if (!call_live(call) || call->whole)
        return;
    call->whole = !call->connect || call->tunnel; /* else: only the head is, and the tunnel may follow */
    if (trailers && trailers->num)
        call->trailers = call_keep_trailers(call, trailers);
    call_resume(call);
}

static void call_flush(struct upstream *upstream)
{
    struct h2_call *call = call_of(upstream);
    if (call_live(call) && call->id == 0)
        call_submit(call);
}

static void call_read_stop(struct upstream *upstream)
{
    call_of(upstream)->stopped = true;
}

static void call_read_start(struct upstream *upstream)
{
    struct h2_call *call = call_of(upstream);
    uint32_t owed_bytes = call->owed_bytes;
    call->stopped = false;
    call->owed_bytes = 0;
    if (owed_bytes == 0 || !call_live(call))
        return;
    nghttp2_session_consume_stream(call->conn->session, call->id, owed_bytes);
    h2_conn_turn_later(call->conn);
}

static void call_detach(struct upstream *upstream)
{
    struct h2_call *call = call_of(upstream);
    struct h2_conn *conn = call->conn;
    if (call->sent && !call->head && conn->heard_ms <= call->begun_ms)
        h2_conn_suspect(conn);
    h2_call_let_go(call);
}

static const struct upstream_ops call_ops = {
    .begin = call_begin,
    .body = call_body,
    .end = call_end,
    .flush = call_flush,
    .read_stop = call_read_stop,
    .read_start = call_read_start,
    .detach = call_detach,
    .close = call_detach,
};

struct upstream *h2_conn_call(struct h2_conn *conn, struct backend *backend, struct slice backend_text)
{
    struct h2_call *call = MEM_NEW(struct h2_call);
    call->base = (struct upstream){
        .ops = &call_ops, .backend = backend, .backend_text = backend_text, .reused = conn->used, .may_refuse = true};
    call->conn = conn;
    list_init(&call->news);
    list_append(&conn->requests, &call->node);
    tick_stop(&conn->deadline); /* of idleness; there is no other while it takes requests */
    conn->used = true;
    conn->num_requests++;
    return &call->base;
}
