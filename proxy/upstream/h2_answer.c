#include "tls/websocket_key.h"
#include "upstream/h2_internal.h"

/* What comes in, judged as strictly as HTTP/1.1's answers are (HARDENING B4-B7). nghttp2 itself refuses: no or two
 * :status, 101, pseudo-fields of requests, upper case, connection-specific fields, a content-length that differs from
 * DATA, bodies of 204, 304 and HEAD, trailers that do not end the stream. */

static struct h2_call *call_at(nghttp2_session *session, int32_t id)
{
    struct h2_call *call = nghttp2_session_get_stream_user_data(session, id);
    return call && !call->failed_due ? call : NULL;
}

static struct slice rcbuf_slice(nghttp2_rcbuf *rcbuf)
{
    nghttp2_vec bytes = nghttp2_rcbuf_get_buf(rcbuf);
    return slice_make(bytes.base, bytes.len);
}

/* The answer is no good: nghttp2 resets the stream behind the callback that returns this. */
static int answer_refuse(struct h2_call *call, enum err_kind kind, const char *what)
{
    call->closed = true;
    h2_call_fail(call, err_make(kind, 502, what), HTTP_ANSWERING);
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

/* ---- heads and trailers ---- */

static int answer_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct h2_call *call = call_at(session, frame->hd.stream_id);
    (void)user_data;
    if (!call || call->answered)
        return 0;
    call->head = arena_calloc(call->arena, 1, sizeof *call->head);
    call->head->version = 20;
    call->head->keep_alive = true;
    return 0;
}

static int answer_status(struct h2_call *call, struct slice value)
{
    uint64_t status;
    if (!slice_decimal(value, 599, &status) || status < 100)
        return answer_refuse(call, ERR_INPUT, "status out of range");
    call->head->status = (uint16_t)status;
    return 0;
}

static int answer_field(struct h2_call *call, struct slice name, struct slice value)
{
    struct fields *fields = call->answered ? &call->head->trailers : &call->head->fields;
    uint32_t *bytes = call->answered ? &call->trailer_bytes : &call->head_bytes;
    uint32_t max_bytes = call->answered ? LIMIT_TRAILER_BYTES : LIMIT_RESPONSE_HEAD_BYTES;
    size_t more = name.len + value.len + 4;
    if (more > max_bytes - *bytes)
        return answer_refuse(call, ERR_LIMIT, call->answered ? "trailers too large" : "head too large");
    *bytes += (uint32_t)more;
    if (slice_eq(name, SLICE_LIT(":status")))
        return answer_status(call, value);
    if (fields->num >= LIMIT_RESPONSE_FIELDS)
        return answer_refuse(call, ERR_LIMIT, "too many fields");
    if (!field_is_token(name) || !field_value_is_valid(value))
        return answer_refuse(call, ERR_INPUT, "forbidden byte in a field");
    fields_add(fields, call->arena, arena_copy(call->arena, name), arena_copy(call->arena, value));
    return 0;
}

static int answer_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name,
                         nghttp2_rcbuf *value, uint8_t flags, void *user_data)
{
    struct h2_call *call = call_at(session, frame->hd.stream_id);
    (void)flags, (void)user_data;
    if (!call || !call->head)
        return 0;
    return answer_field(call, rcbuf_slice(name), rcbuf_slice(value));
}

/* nghttp2 would drop the field and go on. */
static int answer_invalid_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name,
                                 nghttp2_rcbuf *value, uint8_t flags, void *user_data)
{
    struct h2_call *call = call_at(session, frame->hd.stream_id);
    (void)name, (void)value, (void)flags, (void)user_data;
    return call ? answer_refuse(call, ERR_INPUT, "forbidden byte in a field") : 0;
}

static void answer_frame_body(struct h2_call *call, bool ended)
{
    struct head *head = call->head;
    const struct field *length = fields_find(&head->fields, FIELD_CONTENT_LENGTH);
    bool none = head->status == 204 || head->status == 304 || call->what.head->method == METHOD_HEAD;
    head->length_given = length && slice_decimal(length->value, INT64_MAX, &head->length);
    if (none)
        head->body = BODY_NONE;
    else if (head->length_given || ended)
        head->body = BODY_LENGTH;
    else
        head->body = BODY_CHUNKED;
}

static void answer_interim(struct h2_call *call)
{
    struct head *head = call->head;
    call->head = NULL;
    if (++call->num_interim > LIMIT_INTERIM_ANSWERS) {
        h2_call_fail(call, err_make(ERR_LIMIT, 502, "too many interim answers"), HTTP_ANSWERING);
        return;
    }
    call->flush_due = true;
    h2_call_news(call);
    call->user->ops->head(call->user, head);
}

/* What HTTP/1.1 would have answered to the upgrade that the user asked for. */
static void answer_grant_tunnel(struct h2_call *call)
{
    const struct field *key = fields_find(call->what.fields, FIELD_SEC_WEBSOCKET_KEY);
    struct head *head = call->head;
    char accept[WEBSOCKET_ACCEPT_BYTES];
    websocket_key_accept(key ? key->value : SLICE_NONE, accept);
    head_add(head, call->arena, SLICE_LIT("Sec-WebSocket-Accept"), arena_copy(call->arena, slice_str(accept)));
    head->status = 101;
    head->upgrade = UPGRADE_WEBSOCKET;
    head->body = BODY_NONE;
    call->tunnel = true;
}

static void answer_head(struct h2_call *call, bool ended)
{
    call->answered = true;
    call->flush_due = true;
    h2_call_news(call);
    answer_frame_body(call, ended);
    if (call->connect && call->head->status < 300)
        answer_grant_tunnel(call);
    call->user->ops->head(call->user, call->head);
}

/* The answer is whole. What is left of the request is not wanted any more: the stream is reset. */
static void answer_end(struct h2_call *call)
{
    struct http_user *user = call->user;
    const struct fields *trailers = &call->head->trailers;
    if (call->tunnel) { /* the server's side of it; the user ends it */
        user->ops->end(user, NULL);
        return;
    }
    call->closed = call->ended;
    h2_call_let_go(call);
    user->ops->end(user, trailers);
}

static void answer_on_headers(struct h2_call *call, bool ended)
{
    if (!call->answered && call->head->status < 200)
        answer_interim(call);
    else if (!call->answered)
        answer_head(call, ended);
}

int h2_answer_on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct h2_call *call = call_at(session, frame->hd.stream_id);
    bool ended = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    (void)user_data;
    if (!call)
        return 0;
    if (frame->hd.type == NGHTTP2_RST_STREAM)
        call->reset = true;
    if (frame->hd.type == NGHTTP2_HEADERS)
        answer_on_headers(call, ended);
    if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) && ended && call->user && call->answered)
        answer_end(call);
    return 0;
}

/* ---- the body ---- */

static int answer_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t len,
                       void *user_data)
{
    struct h2_call *call = call_at(session, id);
    (void)flags, (void)user_data;
    nghttp2_session_consume_connection(session, len); /* one that stands still must not stop the others */
    if (!call)
        return 0;
    call->flush_due = true;
    h2_call_news(call);
    call->user->ops->body(call->user, slice_make(bytes, len));
    if (!call->user)
        return 0;
    if (call->stopped)
        call->owed_bytes += (uint32_t)len; /* at most the window */
    else
        nghttp2_session_consume_stream(session, id, len);
    return 0;
}

/* ---- the stream's end without the answer's ---- */

static void answer_closed_by_peer(struct h2_call *call, uint32_t code)
{
    enum http_progress progress = h2_call_progress(call);
    if (code == NGHTTP2_REFUSED_STREAM) /* also: its id is beyond GOAWAY's. RFC 9113 §8.7 */
        h2_call_fail(call, err_make(ERR_STATE, (int)code, "the backend refused the stream"), HTTP_UNSENT);
    else if (code == NGHTTP2_HTTP_1_1_REQUIRED) /* the same again would be refused again */
        h2_call_fail(call, err_make(ERR_STATE, (int)code, "the backend wants HTTP/1.1 for this request"),
                     HTTP_ANSWERING);
    else
        h2_call_fail(call, err_make(ERR_EOF, (int)code, "the backend reset the stream"), progress);
}

static int answer_closed(nghttp2_session *session, int32_t id, uint32_t code, void *user_data)
{
    struct h2_call *call = call_at(session, id);
    (void)user_data;
    if (!call)
        return 0;
    call->closed = true;
    if (call->tunnel && code == NGHTTP2_NO_ERROR) /* both sides have ended */
        return 0;
    if (call->reset || code == NGHTTP2_REFUSED_STREAM)
        answer_closed_by_peer(call, code);
    else
        h2_call_fail(call, err_make(ERR_INPUT, 502, "the answer broke the rules of HTTP/2"), HTTP_ANSWERING);
    return 0;
}

void h2_answer_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, answer_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback2(callbacks, answer_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback2(callbacks, answer_invalid_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, answer_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, answer_closed);
}
