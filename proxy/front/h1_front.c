#include "front/h1_front.h"

#include "http/hop.h"

static const struct front_ops h1_front_ops;
static const struct sink_ops h1_front_sink_ops;

static struct h1_front *front_of(struct front *front)
{
    return container_of(front, struct h1_front, base);
}

static struct h1_front *front_of_sink(struct sink *sink)
{
    return container_of(sink, struct h1_front, sink);
}

static const struct config *front_config(const struct h1_front *front)
{
    return front->env->config;
}

/* ---- the end ---- */

static void front_drop_exchange(struct h1_front *front)
{
    struct exchange *exchange = front->exchange;
    front->exchange = NULL;
    buf_cleanup(&front->head_out);
    exchange_free(exchange);
}

static void front_let_go(struct h1_front *front)
{
    front->state = H1F_ENDED;
    tick_stop(&front->deadline);
    deferred_stop(&front->next);
    buf_cleanup(&front->pending);
    front_drop_exchange(front);
}

/* The one way out: whoever detects the end comes here; twice is fine. */
static void front_finish(struct h1_front *front, bool cut)
{
    if (front->state == H1F_ENDED)
        return;
    front_let_go(front);
    if (cut)
        stream_reset(front->stream);
    else
        stream_close(front->stream);
}

static void front_closed(struct sink *sink, struct err err)
{
    struct h1_front *front = front_of_sink(sink);
    front_let_go(front);
    front->closed(front, err);
}

/* ---- deadlines ---- */

static void front_arm(struct h1_front *front, int64_t ms)
{
    if (ms > 0)
        tick_start(&front->env->loop->ticker, &front->deadline, (uint64_t)ms);
    else
        tick_stop(&front->deadline);
}

/* From here on the client has leave to send its body, and a whole window for the first measure of its rate. */
static void front_window_begin(struct h1_front *front)
{
    body_rate_begin(&front->rate);
    if (front->state == H1F_BODY)
        front_arm(front, LIMIT_BODY_RATE_GRACE_MS);
}

static void front_body_window(struct h1_front *front)
{
    if (body_rate_is_slow(&front->rate, front->exchange))
        exchange_refuse(front->exchange, NULL, 408, "the request's body is too slow");
    else
        front_window_begin(front);
}

static void front_expired(struct tick *tick)
{
    struct h1_front *front = container_of(tick, struct h1_front, deadline);
    switch (front->state) {
    case H1F_IDLE: front_finish(front, false); return;
    case H1F_HEAD: exchange_refuse(front->exchange, front->reader.head, 408, "the request's head is too slow"); return;
    case H1F_BODY: front_body_window(front); return;
    case H1F_ANSWER:
    case H1F_TUNNEL:
    case H1F_ENDED: return;
    }
}

/* ---- reading requests ---- */

/* A reload may have changed them. */
static void front_set_limits(struct h1_front *front)
{
    front->reader.limits.head_bytes = (uint32_t)front_config(front)->client.max_header_bytes;
    front->reader.limits.body_bytes = front_config(front)->client.max_request_body_bytes;
}

static void front_begin(struct h1_front *front)
{
    front->state = H1F_HEAD;
    front->begun = true;
    front->answer_over = front->upgrade_asked = front->stopped = front->keep_alive = false;
    front->exchange = exchange_new(front->env, front->client, &front->base);
    front_set_limits(front);
    h1_reader_begin(&front->reader, exchange_arena(front->exchange));
    front_arm(front, front_config(front)->client.header_timeout_ms);
}

/* With what was held before anything new. */
static void front_go_on(struct h1_front *front)
{
    if (front->pending.len)
        deferred_start(front->env->loop, &front->next);
    else
        stream_read_start(front->stream);
}

/* The answer is whole and the connection serves on. */
static void front_next_request(struct h1_front *front)
{
    front_drop_exchange(front);
    front->state = H1F_IDLE;
    if (front->env->draining && front->pending.len == 0) {
        front_finish(front, false);
        return;
    }
    front_arm(front, front_config(front)->client.idle_timeout_ms);
    if (front->full)
        stream_read_stop(front->stream); /* a client that asks on and on and reads nothing */
    else
        front_go_on(front);
}

static void front_request_whole(struct h1_front *front)
{
    front->state = H1F_ANSWER;
    tick_stop(&front->deadline);
    exchange_body_end(front->exchange, &front->reader.head->trailers);
    if (front->state == H1F_ANSWER && front->answer_over)
        front_next_request(front);
}

static void front_head(struct h1_front *front)
{
    struct head *head = front->reader.head;
    front->state = H1F_BODY;
    front->upgrade_asked = head->upgrade != UPGRADE_NONE;
    if (head->body != BODY_NONE)
        front_window_begin(front);
    else
        tick_stop(&front->deadline);
    exchange_head(front->exchange, head);
}

static void front_refuse(struct h1_front *front)
{
    struct err err = front->reader.err;
    tick_stop(&front->deadline);
    LOG_DEBUG_EVENT(front->env->log, "request_refused", LOG_SLICE("client", front->client->peer),
                    LOG_INT("status", err.code), LOG_STR("reason", err.what));
    exchange_refuse(front->exchange, front->reader.head, (unsigned)err.code, err.what);
    if (front->state != H1F_ENDED) /* an answer was under way: it cannot go on over a request that is none */
        front_finish(front, true);
}

static void front_hold(struct h1_front *front, struct slice in)
{
    if (in.len == 0)
        return;
    buf_append_slice(&front->pending, in);
    stream_read_stop(front->stream);
}

static void front_feed(struct h1_front *front, struct slice in)
{
    while (front->state == H1F_HEAD || front->state == H1F_BODY || (front->state == H1F_IDLE && in.len)) {
        size_t consumed;
        if (front->state == H1F_IDLE)
            front_begin(front);
        enum h1_event event = h1_reader_feed(&front->reader, in, &consumed);
        in = slice_skip(in, consumed);
        switch (event) {
        case H1_NEED_MORE: return;
        case H1_HEAD: front_head(front); break;
        case H1_BODY:
            body_rate_count(&front->rate, front->reader.body.len);
            exchange_body(front->exchange, front->reader.body);
            break;
        case H1_END: front_request_whole(front); break;
        case H1_UPGRADE: front->state = H1F_ANSWER; break;
        case H1_ERROR: front_refuse(front); break;
        }
        if (front->state == H1F_IDLE && (front->pending.len || front->full)) /* in order behind what was held before */
            break;
    }
    if (front->state != H1F_ENDED && front->state != H1F_TUNNEL)
        front_hold(front, in);
}

/* Feeds, then writes what the exchange held back for more of the same slice. */
static void front_take(struct h1_front *front, struct slice in)
{
    if (front->state == H1F_TUNNEL)
        exchange_body(front->exchange, in);
    else if (front->state == H1F_ANSWER)
        front_hold(front, in);
    else
        front_feed(front, in);
    if (front->exchange && front->state != H1F_ENDED)
        exchange_flush(front->exchange);
}

static void front_data(struct sink *sink, struct slice in)
{
    struct h1_front *front = front_of_sink(sink);
    counters_add(front->env->counters, COUNTER_BYTES_FROM_CLIENTS, in.len);
    front_take(front, in);
}

static void front_run_next(struct deferred *deferred)
{
    struct h1_front *front = container_of(deferred, struct h1_front, next);
    struct buf pending = front->pending;
    front->pending = (struct buf){0};
    front_take(front, buf_slice(&pending));
    buf_cleanup(&pending);
    bool wanted = !front->stopped && !(front->full && front->state == H1F_IDLE);
    if (front->state != H1F_ENDED && front->pending.len == 0 && wanted)
        stream_read_start(front->stream);
}

static void front_eof(struct sink *sink)
{
    struct h1_front *front = front_of_sink(sink);
    if (front->state == H1F_TUNNEL)
        exchange_body_end(front->exchange, NULL);
    else /* idle, or the client has left its exchange: what it got of an answer must not look whole */
        front_finish(front, front->exchange && exchange_answer_begun(front->exchange) && !front->answer_over);
}

static void front_truncated(struct sink *sink)
{
    front_finish(front_of_sink(sink), true);
}

static void front_drained(struct sink *sink)
{
    struct h1_front *front = front_of_sink(sink);
    front->full = false;
    if (front->exchange)
        exchange_drained(front->exchange);
    else if (front->state == H1F_IDLE)
        front_go_on(front);
}

static const struct sink_ops h1_front_sink_ops = {
    .data = front_data,
    .eof = front_eof,
    .truncated = front_truncated,
    .drained = front_drained,
    .closed = front_closed,
};

/* ---- writing answers ---- */

static bool front_write(struct h1_front *front, const struct slice *parts, size_t num_parts)
{
    struct slice all[4] = {buf_slice(&front->head_out)};
    size_t num = 1, bytes = front->head_out.len;
    for (size_t i = 0; i < num_parts; i++) {
        bytes += parts[i].len;
        all[num++] = parts[i];
    }
    counters_add(front->env->counters, COUNTER_BYTES_TO_CLIENTS, bytes);
    bool room = stream_writev(front->stream, all, num);
    buf_cleanup(&front->head_out);
    front->full = front->full || !room;
    return room;
}

static void front_flush(struct front *base)
{
    struct h1_front *front = front_of(base);
    if (front->head_out.len == 0 || front->state == H1F_ENDED)
        return;
    bool room = front_write(front, NULL, 0);
    (void)room; /* a head alone never fills a queue that takes bodies */
}

static void front_interim(struct front *base, const struct head *head, const struct fields *fields)
{
    struct h1_front *front = front_of(base);
    struct h1_framing framing = {.body = BODY_NONE, .connection = H1_CONNECTION_UNSAID};
    if (front->state == H1F_ENDED)
        return;
    h1_write_response_fields(&front->head_out, head, fields, &framing);
    front_flush(base);
    if (head->status == 100 && !front->stopped)
        front_window_begin(front);
}

/* Whether another request may follow: decided when the answer begins, because it is said in its head. */
static bool front_may_keep(const struct h1_front *front)
{
    const struct head *request = exchange_request_head(front->exchange);
    int64_t max_age_ms = front_config(front)->client.max_conn_age_ms;
    bool old = max_age_ms > 0 && net_loop_now_ms(front->env->loop) - front->born_ms > (uint64_t)max_age_ms;
    return request && request->keep_alive && exchange_request_whole(front->exchange) && !old && !front->env->draining;
}

static void front_start_tunnel(struct h1_front *front)
{
    h1_reader_upgrade(&front->reader, true);
    front->state = H1F_TUNNEL;
    front_flush(&front->base);
    front_go_on(front);
}

static void front_respond(struct front *base, const struct front_response *response)
{
    struct h1_front *front = front_of(base);
    const struct head *request = exchange_request_head(front->exchange);
    unsigned version = request ? request->version : 11;
    if (front->state == H1F_ENDED)
        return;
    front->keep_alive = front_may_keep(front) && front->state != H1F_HEAD;
    struct h1_framing framing = hop_response_framing(response->head, version, front->keep_alive);
    front->chunked = framing.body == BODY_CHUNKED;
    front->keep_alive = front->keep_alive && framing.body != BODY_UNTIL_CLOSE;
    h1_write_response_fields(&front->head_out, response->head, response->fields, &framing);
    if (response->tunnel)
        front_start_tunnel(front);
    else if (front->upgrade_asked)
        h1_reader_upgrade(&front->reader, false);
}

static bool front_body(struct front *base, struct slice bytes)
{
    struct h1_front *front = front_of(base);
    char begin[H1_CHUNK_BEGIN_BYTES];
    if (front->state == H1F_ENDED || bytes.len == 0)
        return true;
    if (!front->chunked || front->state == H1F_TUNNEL)
        return front_write(front, &bytes, 1);
    struct slice parts[] = {slice_make(begin, h1_chunk_begin(begin, bytes.len)), bytes, H1_CHUNK_END};
    return front_write(front, parts, 3);
}

static void front_end_tunnel(struct h1_front *front)
{
    if (exchange_over(front->exchange))
        front_finish(front, false);
    else
        stream_shutdown(front->stream);
}

static void front_end(struct front *base, const struct fields *trailers)
{
    struct h1_front *front = front_of(base);
    if (front->state == H1F_ENDED)
        return;
    if (front->state == H1F_TUNNEL) {
        front_end_tunnel(front);
        return;
    }
    if (front->chunked) {
        struct fields none = {0};
        unsigned dropped = hop_write_trailers(&front->head_out, trailers ? trailers : &none);
        counters_add(front->env->counters, COUNTER_FIELDS_DROPPED, dropped);
    }
    front_flush(base);
    front->answer_over = true;
    if (!front->keep_alive)
        front_finish(front, false);
    else if (front->state == H1F_ANSWER)
        front_next_request(front);
}

static void front_abort(struct front *base)
{
    front_finish(front_of(base), true);
}

static void front_read_stop(struct front *base)
{
    struct h1_front *front = front_of(base);
    front->stopped = true;
    if (front->state == H1F_BODY)
        tick_stop(&front->deadline);
    stream_read_stop(front->stream);
}

static void front_read_start(struct front *base)
{
    struct h1_front *front = front_of(base);
    front->stopped = false;
    front_window_begin(front);
    if (front->pending.len == 0 && front->state != H1F_ENDED)
        stream_read_start(front->stream);
}

static const struct front_ops h1_front_ops = {
    .interim = front_interim,
    .respond = front_respond,
    .body = front_body,
    .end = front_end,
    .abort = front_abort,
    .flush = front_flush,
    .read_stop = front_read_stop,
    .read_start = front_read_start,
};

/* ---- the connection ---- */

void h1_front_open(struct h1_front *front, struct stream *stream, struct exchange_env *env,
                   const struct exchange_client *client)
{
    front->base.ops = &h1_front_ops;
    front->sink.ops = &h1_front_sink_ops;
    front->stream = stream;
    front->env = env;
    front->client = client;
    front->exchange = NULL;
    front->pending = front->head_out = (struct buf){0};
    front->state = H1F_IDLE;
    front->stopped = front->begun = front->full = false;
    front->born_ms = net_loop_now_ms(env->loop);
    h1_reader_init(&front->reader, H1_REQUEST, &H1_REQUEST_LIMITS);
    deferred_init(&front->next, front_run_next);
    tick_init(&front->deadline, front_expired);
    stream->sink = &front->sink;
    front_arm(front,
              env->draining ? LIMIT_DRAIN_FIRST_MS : env->config->client.header_timeout_ms); /* for the first byte */
    stream_read_start(stream);
}

void h1_front_drain(struct h1_front *front)
{
    if (front->state != H1F_IDLE || front->pending.len)
        return;
    if (front->begun)
        front_finish(front, false);
    else /* its first request may be on its way, and a client would not try it again */
        front_arm(front, LIMIT_DRAIN_FIRST_MS);
}

bool h1_front_busy(const struct h1_front *front)
{
    return front->state != H1F_IDLE && front->state != H1F_ENDED;
}
