#include "front/h2_stream.h"

enum {
    DIRECT_BYTES = 4096 /* less is copied and waits for the end of the turn, where it shares a write with its head */
};

static const struct front_ops h2_stream_ops;

static struct h2_stream *h2s_of(struct front *front)
{
    return container_of(front, struct h2_stream, base);
}

static struct ticker *h2s_ticker(struct h2_stream *stream)
{
    return &stream->front->env->loop->ticker;
}

/* ---- the end ---- */

static void h2s_reset(struct h2_stream *stream, uint32_t code)
{
    if (stream->out == H2A_RESET)
        return;
    stream->out = H2A_RESET;
    nghttp2_submit_rst_stream(stream->front->session, NGHTTP2_FLAG_NONE, stream->id, code);
    h2_front_wake(stream->front);
}

static void h2s_free_now(struct grave *grave)
{
    struct h2_stream *stream = container_of(grave, struct h2_stream, grave);
    buf_cleanup(&stream->queue); /* not before: a pull that ended it may still refer to the bytes */
    buf_cleanup(&stream->held);
    mem_free(stream);
}

void h2_stream_free(struct h2_stream *stream)
{
    struct h2_front *front = stream->front;
    struct exchange *exchange = stream->exchange;
    stream->exchange = NULL;
    stream->out = H2A_RESET;
    tick_stop(&stream->deadline);
    tick_stop(&stream->stall);
    deferred_stop(&stream->deliver);
    list_remove(&stream->node);
    list_remove(&stream->touched_node);
    list_remove(&stream->settle_node);
    front->queued_bytes -= stream->queue.len - stream->queue_at;
    if (stream->held.len)
        nghttp2_session_consume_connection(front->session, stream->held.len);
    exchange_free(exchange);
    graveyard_bury(&front->env->loop->graveyard, &stream->grave, h2s_free_now);
}

/* ---- the request's body: credit, rate, order ---- */

static void h2s_arm_rate(struct h2_stream *stream)
{
    body_rate_begin(&stream->rate);
    if (stream->in == H2R_BODY && !stream->tunnel && !stream->ended && !stream->stopped)
        tick_start(h2s_ticker(stream), &stream->deadline, LIMIT_BODY_RATE_GRACE_MS);
    else if (stream->in != H2R_DISCARD)
        tick_stop(&stream->deadline);
}

static void h2s_refuse(struct h2_stream *stream, unsigned status, const char *why)
{
    LOG_DEBUG_EVENT(stream->front->env->log, "request_refused", LOG_SLICE("client", stream->front->client->peer),
                    LOG_INT("status", status), LOG_STR("reason", why));
    stream->refused = true;
    exchange_refuse(stream->exchange, stream->request.head, status, why);
}

/* The connection's credit is used up by others: then it is not this client's fault that nothing comes. */
static bool h2s_is_starved(const struct h2_stream *stream)
{
    nghttp2_session *session = stream->front->session;
    return nghttp2_session_get_effective_recv_data_length(session) >=
           nghttp2_session_get_effective_local_window_size(session) / 2;
}

static void h2s_expired(struct tick *tick)
{
    struct h2_stream *stream = container_of(tick, struct h2_stream, deadline);
    if (stream->in == H2R_DISCARD)
        h2s_reset(stream, NGHTTP2_NO_ERROR);
    else if (body_rate_is_slow(&stream->rate, stream->exchange) && !h2s_is_starved(stream))
        h2s_refuse(stream, 408, "the request's body is too slow");
    else
        h2s_arm_rate(stream);
}

/* A window that the exchange took without a stop was too small for the path: twice as much may be under way. */
static void h2s_grow_window(struct h2_stream *stream)
{
    stream->steady_bytes = 0;
    if (stream->window >= LIMIT_H2_MAX_WINDOW_BYTES)
        return;
    stream->window *= 2;
    h2_front_grow_window(stream->front, stream->window);
    nghttp2_session_set_local_window_size(stream->front->session, NGHTTP2_FLAG_NONE, stream->id,
                                          (int32_t)stream->window);
}

static void h2s_credit(struct h2_stream *stream, size_t len, bool last)
{
    nghttp2_session *session = stream->front->session;
    nghttp2_session_consume_connection(session, len);
    if (last)
        return;
    nghttp2_session_consume_stream(session, stream->id, len);
    stream->steady_bytes += (uint32_t)len;
    if (stream->steady_bytes >= stream->window)
        h2s_grow_window(stream);
}

static void h2s_touch(struct h2_stream *stream)
{
    list_remove(&stream->touched_node);
    list_append(&stream->front->touched, &stream->touched_node);
}

/* END_STREAM, once everything before it was given on. */
static void h2s_give_end(struct h2_stream *stream)
{
    stream->in = H2R_ENDED;
    tick_stop(&stream->deadline);
    exchange_body_end(stream->exchange, &stream->request.head->trailers);
}

static void h2s_end(struct h2_stream *stream)
{
    stream->ended = true;
    if (stream->in == H2R_DISCARD)
        stream->in = H2R_ENDED;
    if (stream->in == H2R_ENDED)
        tick_stop(&stream->deadline);
    if (stream->in != H2R_BODY)
        return;
    h2s_touch(stream);
    if (stream->held.len == 0)
        h2s_give_end(stream);
    else
        tick_stop(&stream->deadline);
}

static void h2s_deliver(struct deferred *deferred)
{
    struct h2_stream *stream = container_of(deferred, struct h2_stream, deliver);
    if (stream->in != H2R_BODY || stream->stopped)
        return;
    struct buf held = stream->held;
    stream->held = (struct buf){0};
    if (held.len) {
        exchange_body(stream->exchange, buf_slice(&held));
        h2s_credit(stream, held.len, stream->ended);
        buf_cleanup(&held);
    }
    if (stream->ended && stream->in == H2R_BODY)
        h2s_give_end(stream);
    h2_stream_flush(stream);
    h2_front_wake(stream->front);
}

/* Behind an answer that came early (HARDENING B6): no credit goes back to the stream. */
static void h2s_discard(struct h2_stream *stream, size_t len)
{
    nghttp2_session_consume_connection(stream->front->session, len);
    stream->discarded_bytes += (uint32_t)len;
    if (stream->discarded_bytes >= LIMIT_LOCAL_BODY_BYTES && stream->answer_sent)
        h2s_reset(stream, NGHTTP2_NO_ERROR);
}

void h2_stream_data(struct h2_stream *stream, struct slice bytes, bool last)
{
    uint64_t max = stream->front->env->config->client.max_request_body_bytes;
    stream->body_bytes += bytes.len;
    body_rate_count(&stream->rate, bytes.len);
    bool over = stream->out == H2A_RESET || exchange_over(stream->exchange);
    if (!over && !stream->tunnel && max && stream->body_bytes > max) {
        h2s_refuse(stream, 413, "the request's body is too large");
        over = true;
    }
    if (over) {
        h2s_discard(stream, bytes.len);
    } else if (stream->in == H2R_WAITING || stream->stopped || stream->held.len) {
        buf_append_slice(&stream->held, bytes);
    } else {
        h2s_touch(stream);
        exchange_body(stream->exchange, bytes);
        h2s_credit(stream, bytes.len, last);
    }
}

void h2_stream_data_end(struct h2_stream *stream)
{
    h2s_end(stream);
}

/* ---- the request's head ---- */

static void h2s_stalled(struct tick *tick)
{
    h2s_reset(container_of(tick, struct h2_stream, stall), NGHTTP2_CANCEL);
}

struct h2_stream *h2_stream_new(struct h2_front *front, int32_t id)
{
    struct h2_stream *stream = MEM_NEW(struct h2_stream);
    stream->base.ops = &h2_stream_ops;
    stream->front = front;
    stream->id = id;
    stream->window = LIMIT_H2_WINDOW_BYTES;
    stream->exchange = exchange_new(front->env, front->client, &stream->base);
    h2_request_begin(&stream->request, exchange_arena(stream->exchange), front->env->config->client.max_header_bytes);
    list_append(&front->streams, &stream->node);
    list_init(&stream->touched_node);
    list_init(&stream->settle_node);
    deferred_init(&stream->deliver, h2s_deliver);
    tick_init(&stream->deadline, h2s_expired);
    tick_init(&stream->stall, h2s_stalled);
    return stream;
}

enum h2_verdict h2_stream_field(struct h2_stream *stream, struct slice name, struct slice value)
{
    return stream->in == H2R_HEAD ? h2_request_field(&stream->request, name, value)
                                  : h2_request_trailer(&stream->request, name, value);
}

static void h2s_wish_upgrade(struct h2_stream *stream)
{
    struct head *head = stream->request.head;
    websocket_key_make(stream->websocket_key);
    head_add(head, exchange_arena(stream->exchange), SLICE_LIT("Sec-WebSocket-Key"), slice_str(stream->websocket_key));
    stream->in = H2R_WAITING;
}

void h2_stream_head(struct h2_stream *stream, bool ended)
{
    struct head *head = stream->request.head;
    uint64_t max = stream->front->env->config->client.max_request_body_bytes;
    struct err err = h2_request_finish(&stream->request, ended, stream->front->client->secure);
    if (!err_is(err) && max && head->body == BODY_LENGTH && head->length > max)
        err = err_make(ERR_LIMIT, 413, "the request's body is too large");
    stream->in = H2R_BODY;
    h2s_touch(stream);
    if (err_is(err)) {
        stream->ended = ended;
        stream->in = ended ? H2R_ENDED : H2R_DISCARD;
        h2s_refuse(stream, (unsigned)err.code, err.what);
        return;
    }
    if (head->upgrade != UPGRADE_NONE)
        h2s_wish_upgrade(stream);
    exchange_head(stream->exchange, head);
    if (ended)
        h2s_end(stream);
    else
        h2s_arm_rate(stream);
}

void h2_stream_trailers(struct h2_stream *stream)
{
    if (h2_request_trailers_refused(&stream->request) && stream->in == H2R_BODY && !exchange_over(stream->exchange)) {
        stream->in = H2R_ENDED;
        h2s_refuse(stream, 431, "the trailers are too large");
    }
    h2s_end(stream);
}

static void h2s_read_stop(struct front *base)
{
    struct h2_stream *stream = h2s_of(base);
    stream->stopped = true;
    stream->steady_bytes = 0;
    h2s_arm_rate(stream);
}

static void h2s_read_start(struct front *base)
{
    struct h2_stream *stream = h2s_of(base);
    stream->stopped = false;
    h2s_arm_rate(stream);
    if (stream->held.len || (stream->ended && stream->in == H2R_BODY))
        deferred_start(stream->front->env->loop, &stream->deliver);
}

/* ---- the answer's head ---- */

static ssize_t h2s_provide(nghttp2_session *session, int32_t id, uint8_t *buf, size_t max, uint32_t *flags,
                           nghttp2_data_source *source, void *user)
{
    struct h2_stream *stream = source->ptr;
    size_t have = stream->direct.len ? stream->direct.len : stream->queue.len - stream->queue_at;
    (void)session, (void)buf, (void)user;
    if (stream->front->out->full)
        return NGHTTP2_ERR_PAUSE;
    if (have == 0 && stream->out != H2A_ENDED) {
        stream->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    size_t take = have < max ? have : max;
    if (take)
        *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (take == have && stream->out == H2A_ENDED) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (stream->trailers.num) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            nghttp2_submit_trailer(session, id, stream->trailers.at, stream->trailers.num);
        }
    }
    return (ssize_t)take;
}

static void h2s_submit_head(struct h2_stream *stream, bool body_follows)
{
    if (stream->out != H2A_HELD)
        return;
    struct h2_fields fields =
        h2_response_head(exchange_arena(stream->exchange), stream->answer, &stream->answer_fields, stream->tunnel);
    nghttp2_data_provider provider = {.source = {.ptr = stream}, .read_callback = h2s_provide};
    stream->out = H2A_OPEN;
    nghttp2_submit_response(stream->front->session, stream->id, fields.at, fields.num, body_follows ? &provider : NULL);
    h2_front_wake(stream->front);
}

static void h2s_interim(struct front *base, const struct head *head, const struct fields *fields)
{
    struct h2_stream *stream = h2s_of(base);
    if (stream->out != H2A_NONE)
        return;
    struct h2_fields out = h2_response_head(exchange_arena(stream->exchange), head, fields, false);
    nghttp2_submit_headers(stream->front->session, NGHTTP2_FLAG_NONE, stream->id, NULL, out.at, out.num, NULL);
    h2_front_wake(stream->front);
    if (head->status == 100)
        h2s_arm_rate(stream);
}

/* The backend must have understood the handshake (RFC 6455 §4.1): here the proxy is its client. */
static bool h2s_is_granted(const struct h2_stream *stream, const struct fields *fields)
{
    char want[WEBSOCKET_ACCEPT_BYTES];
    const struct field *accept = fields_find(fields, FIELD_SEC_WEBSOCKET_ACCEPT);
    websocket_key_accept(slice_str(stream->websocket_key), want);
    return accept && slice_eq(accept->value, slice_str(want));
}

static void h2s_start_tunnel(struct h2_stream *stream)
{
    stream->tunnel = true;
    stream->in = H2R_BODY;
    h2s_submit_head(stream, true);
    if (stream->held.len || stream->ended)
        deferred_start(stream->front->env->loop, &stream->deliver);
}

/* 502 in place of a 101 that is none. */
static void h2s_decline(struct h2_stream *stream)
{
    struct head head = {.status = 502};
    stream->answer = &head;
    stream->answer_fields = (struct fields){0};
    h2s_submit_head(stream, false);
    stream->out = H2A_ENDED;
    exchange_refuse(stream->exchange, NULL, 502, "the answer to the websocket handshake is wrong");
}

static void h2s_respond(struct front *base, const struct front_response *response)
{
    struct h2_stream *stream = h2s_of(base);
    if (stream->out != H2A_NONE)
        return;
    stream->out = H2A_HELD;
    stream->answer = response->head;
    stream->answer_fields = *response->fields;
    if (!response->tunnel)
        return;
    if (h2s_is_granted(stream, response->fields))
        h2s_start_tunnel(stream);
    else
        h2s_decline(stream);
}

/* ---- the answer's body ---- */

static size_t h2s_queued(const struct h2_stream *stream)
{
    return stream->queue.len - stream->queue_at;
}

static void h2s_resume(struct h2_stream *stream)
{
    if (!stream->deferred)
        return;
    stream->deferred = false;
    nghttp2_session_resume_data(stream->front->session, stream->id);
}

static void h2s_enqueue(struct h2_stream *stream, struct slice bytes)
{
    if (bytes.len == 0)
        return;
    if (stream->queue_at > stream->queue.len / 2) {
        buf_consume(&stream->queue, stream->queue_at);
        stream->queue_at = 0;
    }
    buf_append_slice(&stream->queue, bytes);
    stream->front->queued_bytes += bytes.len;
    if (!tick_armed(&stream->stall))
        tick_start(h2s_ticker(stream), &stream->stall, LIMIT_WRITE_STALL_MS);
    h2_front_wake(stream->front);
}

/* To be looked at when the frames at hand have been written. */
static void h2s_unsettle(struct h2_stream *stream)
{
    list_remove(&stream->settle_node);
    list_append(&stream->front->unsettled, &stream->settle_node);
}

/* Above the connection's limit a stream gets no more than what it can send at once; one whose queue is empty goes on
 * whatever the others do, or a client could stop all by not reading one. */
static bool h2s_has_room(const struct h2_stream *stream, size_t mark)
{
    bool crowded = stream->front->queued_bytes > LIMIT_H2_QUEUE_BYTES;
    return !stream->front->full && h2s_queued(stream) <= (crowded ? 0 : mark);
}

static bool h2s_body(struct front *base, struct slice bytes)
{
    struct h2_stream *stream = h2s_of(base);
    struct h2_front *front = stream->front;
    if (bytes.len == 0 || stream->out == H2A_RESET || stream->out == H2A_ENDED)
        return true;
    h2s_submit_head(stream, true);
    h2s_resume(stream);
    if (bytes.len >= DIRECT_BYTES && h2s_queued(stream) == 0 && !front->in_session && !front->full) {
        stream->direct = bytes;
        h2_front_pull(front);
        h2_front_wake(front); /* other streams may have moved too */
        bytes = stream->direct;
        stream->direct = SLICE_NONE;
        if (stream->out == H2A_RESET)
            return true;
    }
    h2s_enqueue(stream, bytes);
    stream->full = !h2s_has_room(stream, FLOW_HIGH_BYTES);
    if (stream->full)
        h2s_unsettle(stream);
    return !stream->full;
}

void h2_stream_send(struct h2_stream *stream, size_t len)
{
    struct h2_front *front = stream->front;
    if (stream->direct.len) {
        h2_out_refer(front->out, slice_first(stream->direct, len));
        stream->direct = slice_skip(stream->direct, len);
        return;
    }
    h2_out_refer(front->out, slice_make(stream->queue.ptr + stream->queue_at, len));
    stream->queue_at += len;
    front->queued_bytes -= len;
    if (h2s_queued(stream))
        tick_start(h2s_ticker(stream), &stream->stall, LIMIT_WRITE_STALL_MS);
    else
        tick_stop(&stream->stall);
    if (h2s_queued(stream) == 0)
        h2s_unsettle(stream);
}

void h2_stream_settle(struct h2_stream *stream)
{
    bool drained = stream->full && h2s_has_room(stream, FLOW_LOW_BYTES);
    if (h2s_queued(stream) == 0) { /* a stream that waits holds no buffer */
        buf_cleanup(&stream->queue);
        stream->queue_at = 0;
    }
    if (stream->full && !drained)
        return;
    stream->full = false;
    list_remove(&stream->settle_node);
    if (drained)
        exchange_drained(stream->exchange);
}

static void h2s_flush(struct front *base)
{
    h2s_submit_head(h2s_of(base), true);
}

static void h2s_end_answer(struct front *base, const struct fields *trailers)
{
    struct h2_stream *stream = h2s_of(base);
    unsigned dropped;
    if (stream->out == H2A_RESET || stream->out == H2A_ENDED)
        return;
    stream->trailers = h2_response_trailers(exchange_arena(stream->exchange), trailers, &dropped);
    counters_add(stream->front->env->counters, COUNTER_FIELDS_DROPPED, dropped);
    h2s_submit_head(stream, stream->trailers.num > 0);
    stream->out = H2A_ENDED;
    h2s_resume(stream);
    h2_front_wake(stream->front);
}

/* What the client still sends of its request is let go for a while, so that it can read the answer first. */
void h2_stream_answer_sent(struct h2_stream *stream)
{
    if (stream->ended || stream->out == H2A_RESET || !exchange_over(stream->exchange))
        return;
    stream->in = H2R_DISCARD;
    stream->answer_sent = true;
    tick_start(h2s_ticker(stream), &stream->deadline, LIMIT_LINGER_MS);
    h2s_discard(stream, 0);
}

static void h2s_abort(struct front *base)
{
    struct h2_stream *stream = h2s_of(base);
    if (stream->out == H2A_ENDED)
        return;
    stream->blameless = !stream->refused;
    h2s_reset(stream, NGHTTP2_INTERNAL_ERROR);
}

static const struct front_ops h2_stream_ops = {
    .interim = h2s_interim,
    .respond = h2s_respond,
    .body = h2s_body,
    .end = h2s_end_answer,
    .abort = h2s_abort,
    .flush = h2s_flush,
    .read_stop = h2s_read_stop,
    .read_start = h2s_read_start,
};

/* ---- for the connection ---- */

void h2_stream_flush(struct h2_stream *stream)
{
    if (stream->exchange)
        exchange_flush(stream->exchange);
}

bool h2_stream_is_busy(const struct h2_stream *stream)
{
    return !stream->answer_sent;
}
