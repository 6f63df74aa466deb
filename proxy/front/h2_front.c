#include "front/h2_answer.h"
#include "front/h2_session.h"

static const struct sink_ops h2_front_sink_ops;

static struct h2_front *front_of_sink(struct sink *sink)
{
    return container_of(sink, struct h2_front, sink);
}

static struct ticker *front_ticker(struct h2_front *front)
{
    return &front->env->loop->ticker;
}

/* ---- the end ---- */

static void front_stop(struct h2_front *front)
{
    front->state = H2F_ENDED;
    tick_stop(&front->idle);
    tick_stop(&front->block);
    tick_stop(&front->notice);
    deferred_stop(&front->turn);
    LIST_EACH(&front->streams, node)
    h2_stream_free(container_of(node, struct h2_stream, node));
    front->num_streams = 0;
}

/* The one way out: whoever detects the end comes here, outside of nghttp2; twice is fine. */
static void front_finish(struct h2_front *front, bool cut)
{
    if (front->state == H2F_ENDED)
        return;
    front_stop(front);
    if (cut)
        stream_reset(front->stream);
    else
        stream_close(front->stream);
}

/* Says why, then ends all at once. */
static void front_fail(struct h2_front *front, uint32_t code)
{
    LOG_DEBUG_EVENT(front->env->log, "connection_refused", LOG_SLICE("client", front->client->peer),
                    LOG_STR("reason", nghttp2_http2_strerror(code)));
    nghttp2_session_terminate_session(front->session, code);
    h2_front_pull(front);
    front_finish(front, false);
}

static void front_closed(struct sink *sink, struct err err)
{
    struct h2_front *front = front_of_sink(sink);
    if (front->state != H2F_ENDED)
        front_stop(front);
    front->closed(front->closed_ctx, err);
}

/* ---- writing ---- */

void h2_front_wake(struct h2_front *front)
{
    if (front->state != H2F_ENDED && !front->full)
        deferred_start(front->env->loop, &front->turn);
}

void h2_front_pull(struct h2_front *front)
{
    struct h2_out out;
    const uint8_t *bytes;
    ssize_t len = 0;
    if (front->full || front->in_session || front->state == H2F_ENDED)
        return;
    h2_out_init(&out, front->stream);
    front->out = &out;
    front->in_session = true;
    while (!out.full && (len = nghttp2_session_mem_send(front->session, &bytes)) > 0)
        h2_out_copy(&out, slice_make(bytes, (size_t)len));
    front->in_session = false;
    front->out = NULL;
    h2_out_flush(&out);
    front->full = out.full;
    counters_add(front->env->counters, COUNTER_BYTES_TO_CLIENTS, out.total_bytes);
    if (len < 0 && front->failure == NGHTTP2_NO_ERROR)
        front->failure = NGHTTP2_INTERNAL_ERROR;
}

static bool front_is_done(const struct h2_front *front)
{
    return !nghttp2_session_want_read(front->session) && !nghttp2_session_want_write(front->session);
}

/* The end of a turn: all that it brought, in as few writes as may be. */
static void front_turn(struct deferred *deferred)
{
    struct h2_front *front = container_of(deferred, struct h2_front, turn);
    h2_front_pull(front);
    if (!front->full)
        LIST_EACH(&front->unsettled, node)
    h2_answer_settle(container_of(node, struct h2_stream, settle_node));
    if (front->failure != NGHTTP2_NO_ERROR)
        front_fail(front, front->failure);
    else if (front_is_done(front))
        front_finish(front, false);
}

static void front_drained(struct sink *sink)
{
    struct h2_front *front = front_of_sink(sink);
    front->full = false;
    if (front->unread) {
        front->unread = false;
        stream_read_start(front->stream);
    }
    h2_front_wake(front);
}

/* ---- reading ---- */

static void front_flush_touched(struct h2_front *front)
{
    LIST_EACH(&front->touched, node)
    {
        list_remove(node);
        h2_stream_flush(container_of(node, struct h2_stream, touched_node));
    }
}

/* A client that makes us answer and reads nothing of it. */
static void front_bound_queue(struct h2_front *front)
{
    if (front->full && nghttp2_session_get_outbound_queue_size(front->session) > LIMIT_H2_QUEUED_FRAMES) {
        front->unread = true;
        stream_read_stop(front->stream);
    }
}

static void front_data(struct sink *sink, struct slice in)
{
    struct h2_front *front = front_of_sink(sink);
    counters_add(front->env->counters, COUNTER_BYTES_FROM_CLIENTS, in.len);
    front->in_session = true;
    ssize_t taken = nghttp2_session_mem_recv(front->session, (const uint8_t *)in.ptr, in.len);
    front->in_session = false;
    if (taken < 0 && front->failure == NGHTTP2_NO_ERROR)
        front->failure = h2_session_error_code((int)taken);
    if (front->failure != NGHTTP2_NO_ERROR) {
        front_fail(front, front->failure);
        return;
    }
    front_flush_touched(front);
    front_bound_queue(front);
    if (nghttp2_session_want_write(front->session) || front_is_done(front))
        h2_front_wake(front);
}

static void front_eof(struct sink *sink)
{
    struct h2_front *front = front_of_sink(sink);
    front_finish(front, front->num_streams > 0);
}

static void front_truncated(struct sink *sink)
{
    front_finish(front_of_sink(sink), true);
}

static const struct sink_ops h2_front_sink_ops = {
    .data = front_data,
    .eof = front_eof,
    .truncated = front_truncated,
    .drained = front_drained,
    .closed = front_closed,
};

/* ---- deadlines ---- */

static void front_idle_expired(struct tick *tick)
{
    front_fail(container_of(tick, struct h2_front, idle), NGHTTP2_NO_ERROR);
}

/* HPACK's state ends with an unfinished block, so the connection does too. */
static void front_block_expired(struct tick *tick)
{
    front_fail(container_of(tick, struct h2_front, block), NGHTTP2_ENHANCE_YOUR_CALM);
}

static void front_arm_idle(struct h2_front *front, int64_t ms)
{
    if (ms > 0)
        tick_start(front_ticker(front), &front->idle, (uint64_t)ms);
}

void h2_front_stream_opened(struct h2_front *front)
{
    int64_t max_age_ms = front->env->config->client.max_conn_age_ms;
    front->begun = true;
    front->num_streams++;
    tick_stop(&front->idle);
    if (front->env->draining ||
        (max_age_ms > 0 && net_loop_now_ms(front->env->loop) - front->born_ms > (uint64_t)max_age_ms))
        h2_front_drain(front);
}

void h2_front_stream_closed(struct h2_front *front)
{
    if (--front->num_streams == 0)
        front_arm_idle(front, front->env->config->client.idle_timeout_ms);
}

/* ---- leaving ---- */

void h2_front_leave(struct h2_front *front)
{
    if (front->state != H2F_NOTICED)
        return;
    front->state = H2F_LEAVING;
    tick_stop(&front->notice);
    nghttp2_submit_goaway(front->session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(front->session),
                          NGHTTP2_NO_ERROR, NULL, 0);
    h2_front_wake(front);
}

static void front_notice_expired(struct tick *tick)
{
    h2_front_leave(container_of(tick, struct h2_front, notice));
}

void h2_front_drain(struct h2_front *front)
{
    if (front->state != H2F_OPEN)
        return;
    front->state = H2F_NOTICED;
    nghttp2_submit_shutdown_notice(front->session);
    nghttp2_submit_ping(front->session, NGHTTP2_FLAG_NONE,
                        NULL); /* its answer comes behind all requests on their way */
    tick_start(front_ticker(front), &front->notice, LIMIT_DRAIN_FIRST_MS);
    h2_front_wake(front);
}

size_t h2_front_num_busy(const struct h2_front *front, size_t *out_num_tunnels)
{
    size_t num = 0;
    *out_num_tunnels = 0;
    for (const struct list *node = front->streams.next; node != &front->streams; node = node->next) {
        const struct h2_stream *stream = container_of(node, const struct h2_stream, node);
        num += h2_stream_is_busy(stream);
        *out_num_tunnels += stream->tunnel;
    }
    return num;
}

/* ---- the connection ---- */

void h2_front_grow_window(struct h2_front *front, uint32_t stream_window)
{
    if (stream_window <= front->window)
        return;
    front->window = stream_window;
    nghttp2_session_set_local_window_size(front->session, NGHTTP2_FLAG_NONE, 0,
                                          (int32_t)(stream_window * LIMIT_H2_WINDOW_FACTOR));
}

struct h2_front *h2_front_new(struct stream *stream, struct exchange_env *env, const struct exchange_client *client,
                              void (*closed)(void *ctx, struct err err), void *ctx)
{
    struct h2_front *front = MEM_NEW(struct h2_front);
    front->sink.ops = &h2_front_sink_ops;
    front->stream = stream;
    front->env = env;
    front->client = client;
    front->closed = closed;
    front->closed_ctx = ctx;
    front->born_ms = net_loop_now_ms(env->loop);
    list_init(&front->streams);
    list_init(&front->touched);
    list_init(&front->unsettled);
    deferred_init(&front->turn, front_turn);
    tick_init(&front->idle, front_idle_expired);
    tick_init(&front->block, front_block_expired);
    tick_init(&front->notice, front_notice_expired);
    front->session = h2_session_new(front);
    h2_front_grow_window(front, LIMIT_H2_WINDOW_BYTES);
    stream->sink = &front->sink;
    front_arm_idle(front, env->draining ? LIMIT_DRAIN_FIRST_MS : env->config->client.header_timeout_ms);
    stream_read_start(stream);
    h2_front_wake(front);
    return front;
}

void h2_front_free(struct h2_front *front)
{
    if (!front)
        return;
    nghttp2_session_del(front->session);
    mem_free(front);
}
