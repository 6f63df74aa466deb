#include "front/h2_answer.h"

enum {
    DIRECT_BYTES = 4096 /* less is copied and waits for the end of the turn, where it shares a write with its head */
};

static struct h2_stream *answer_of(struct front *front)
{
    return container_of(front, struct h2_stream, base);
}

/* ---- the head ---- */

/* nghttp2_data_source_read_callback decides on the type of buf. */
static ssize_t answer_provide(nghttp2_session *session, int32_t id,
                              uint8_t *buf, /* NOLINT(readability-non-const-parameter) */
                              size_t max, uint32_t *flags, nghttp2_data_source *source, void *user)
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

static void answer_submit_head(struct h2_stream *stream, bool body_follows)
{
    if (stream->out != H2A_HELD)
        return;
    struct h2_fields fields =
        h2_response_head(exchange_arena(stream->exchange), stream->answer, &stream->answer_fields, stream->tunnel);
    nghttp2_data_provider provider = {.source = {.ptr = stream}, .read_callback = answer_provide};
    stream->out = H2A_OPEN;
    nghttp2_submit_response(stream->front->session, stream->id, fields.at, fields.num, body_follows ? &provider : NULL);
    h2_front_wake(stream->front);
}

void h2_answer_interim(struct front *base, const struct head *head, const struct fields *fields)
{
    struct h2_stream *stream = answer_of(base);
    if (stream->out != H2A_NONE)
        return;
    struct h2_fields out = h2_response_head(exchange_arena(stream->exchange), head, fields, false);
    nghttp2_submit_headers(stream->front->session, NGHTTP2_FLAG_NONE, stream->id, NULL, out.at, out.num, NULL);
    h2_front_wake(stream->front);
    if (head->status == 100)
        h2_stream_arm_rate(stream);
}

/* The backend must have understood the handshake (RFC 6455 §4.1): here the proxy is its client. */
static bool answer_is_granted(const struct h2_stream *stream, const struct fields *fields)
{
    char want[WEBSOCKET_ACCEPT_BYTES];
    const struct field *accept = fields_find(fields, FIELD_SEC_WEBSOCKET_ACCEPT);
    websocket_key_accept(slice_str(stream->websocket_key), want);
    return accept && slice_eq(accept->value, slice_str(want));
}

static void answer_start_tunnel(struct h2_stream *stream)
{
    stream->tunnel = true; /* before its head is written */
    answer_submit_head(stream, true);
    h2_stream_granted(stream);
}

/* RFC 8441 §5: a client takes any 2xx for an open socket. */
static bool answer_would_open(const struct h2_stream *stream, const struct head *head)
{
    return stream->websocket_key[0] && head->status >= 200 && head->status < 300;
}

/* 502 in place of a 101 that is none, or of a 2xx that would look like one. */
static void answer_decline(struct h2_stream *stream)
{
    struct head head = {.status = 502};
    stream->answer = &head;
    stream->answer_fields = (struct fields){0};
    answer_submit_head(stream, false);
    stream->answer = NULL;
    stream->out = H2A_ENDED;
    exchange_decline(stream->exchange, 502, "the answer to the websocket handshake is wrong");
}

void h2_answer_respond(struct front *base, const struct front_response *response)
{
    struct h2_stream *stream = answer_of(base);
    if (stream->out != H2A_NONE)
        return;
    stream->out = H2A_HELD;
    stream->answer = response->head;
    stream->answer_fields = *response->fields;
    if (response->tunnel && answer_is_granted(stream, response->fields))
        answer_start_tunnel(stream);
    else if (response->tunnel || answer_would_open(stream, response->head))
        answer_decline(stream);
}

/* ---- the body ---- */

static size_t answer_queued(const struct h2_stream *stream)
{
    return stream->queue.len - stream->queue_at;
}

static void answer_resume(struct h2_stream *stream)
{
    if (!stream->deferred)
        return;
    stream->deferred = false;
    nghttp2_session_resume_data(stream->front->session, stream->id);
}

static void answer_enqueue(struct h2_stream *stream, struct slice bytes)
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
        tick_start(&stream->front->env->loop->ticker, &stream->stall, LIMIT_WRITE_STALL_MS);
    h2_front_wake(stream->front);
}

/* To be looked at when the frames at hand have been written. */
static void answer_unsettle(struct h2_stream *stream)
{
    list_remove(&stream->settle_node);
    list_append(&stream->front->unsettled, &stream->settle_node);
}

/* Above the connection's limit a stream gets no more than what it can send at once; one whose queue is empty goes on
 * whatever the others do, or a client could stop all by not reading one. */
static bool answer_has_room(const struct h2_stream *stream, size_t mark)
{
    bool crowded = stream->front->queued_bytes > LIMIT_H2_QUEUE_BYTES;
    return !stream->front->full && answer_queued(stream) <= (crowded ? 0 : mark);
}

bool h2_answer_body(struct front *base, struct slice bytes)
{
    struct h2_stream *stream = answer_of(base);
    struct h2_front *front = stream->front;
    if (bytes.len == 0 || stream->out == H2A_RESET || stream->out == H2A_ENDED)
        return true;
    answer_submit_head(stream, true);
    answer_resume(stream);
    if (bytes.len >= DIRECT_BYTES && answer_queued(stream) == 0 && !front->in_session && !front->full) {
        stream->direct = bytes;
        h2_front_pull(front);
        h2_front_wake(front); /* other streams may have moved too */
        bytes = stream->direct;
        stream->direct = SLICE_NONE;
        if (stream->out == H2A_RESET)
            return true;
    }
    answer_enqueue(stream, bytes);
    stream->full = stream->full || !answer_has_room(stream, FLOW_HIGH_BYTES); /* until `drained` was told */
    if (stream->full)
        answer_unsettle(stream);
    return !stream->full;
}

void h2_answer_send(struct h2_stream *stream, size_t len)
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
    if (answer_queued(stream)) {
        tick_start(&front->env->loop->ticker, &stream->stall, LIMIT_WRITE_STALL_MS);
    } else {
        tick_stop(&stream->stall);
        answer_unsettle(stream);
    }
}

void h2_answer_settle(struct h2_stream *stream)
{
    bool drained = stream->full && answer_has_room(stream, FLOW_LOW_BYTES);
    if (answer_queued(stream) == 0) { /* a stream that waits holds no buffer */
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

void h2_answer_flush(struct front *base)
{
    answer_submit_head(answer_of(base), true);
}

void h2_answer_end(struct front *base, const struct fields *trailers)
{
    struct h2_stream *stream = answer_of(base);
    unsigned dropped;
    if (stream->out == H2A_RESET || stream->out == H2A_ENDED)
        return;
    stream->trailers = h2_response_trailers(exchange_arena(stream->exchange), trailers, &dropped);
    counters_add(stream->front->env->counters, COUNTER_FIELDS_DROPPED, dropped);
    answer_submit_head(stream, stream->trailers.num > 0);
    stream->out = H2A_ENDED;
    answer_resume(stream);
    h2_front_wake(stream->front);
}

void h2_answer_abort(struct front *base)
{
    struct h2_stream *stream = answer_of(base);
    if (stream->out == H2A_ENDED)
        return;
    stream->blameless = !stream->refused;
    h2_stream_reset(stream, NGHTTP2_INTERNAL_ERROR);
}

void h2_answer_stalled(struct tick *tick)
{
    h2_stream_reset(container_of(tick, struct h2_stream, stall), NGHTTP2_CANCEL);
}
