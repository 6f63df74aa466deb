#include "front/h2_stream.h"

#include "front/h2_answer.h"

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

void h2_stream_reset(struct h2_stream *stream, uint32_t code)
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

void h2_stream_arm_rate(struct h2_stream *stream)
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
        h2_stream_reset(stream, NGHTTP2_NO_ERROR);
    else if (body_rate_is_slow(&stream->rate, stream->exchange) && !h2s_is_starved(stream))
        h2s_refuse(stream, 408, "the request's body is too slow");
    else
        h2_stream_arm_rate(stream);
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
        h2_stream_reset(stream, NGHTTP2_NO_ERROR);
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
    tick_init(&stream->stall, h2_answer_stalled);
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
        h2_stream_arm_rate(stream);
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
    h2_stream_arm_rate(stream);
}

static void h2s_read_start(struct front *base)
{
    struct h2_stream *stream = h2s_of(base);
    stream->stopped = false;
    h2_stream_arm_rate(stream);
    if (stream->held.len || (stream->ended && stream->in == H2R_BODY))
        deferred_start(stream->front->env->loop, &stream->deliver);
}

void h2_stream_granted(struct h2_stream *stream)
{
    stream->tunnel = true;
    stream->in = H2R_BODY;
    if (stream->held.len || stream->ended)
        deferred_start(stream->front->env->loop, &stream->deliver);
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

static const struct front_ops h2_stream_ops = {
    .interim = h2_answer_interim,
    .respond = h2_answer_respond,
    .body = h2_answer_body,
    .end = h2_answer_end,
    .abort = h2_answer_abort,
    .flush = h2_answer_flush,
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
