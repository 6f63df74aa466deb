#include "front/raw_front.h"

#include "exchange/announce.h"
#include "exchange/policy.h"
#include "exchange/upstream_log.h"
#include "front/raw_log.h"

static struct raw_front *raw_of_sink(struct sink *sink)
{
    return container_of(sink, struct raw_front, sink);
}

static struct raw_front *raw_of_user(struct http_user *user)
{
    return container_of(user, struct raw_front, user);
}

/* ---- the end ---- */

/* The one way out; twice is fine. failure NULL: both sides ended in order. The client's stream is the caller's to end. */
static void raw_finish(struct raw_front *front, const char *failure)
{
    struct upstream *upstream = front->upstream;
    if (front->state == RAW_ENDED)
        return;
    front->state = RAW_ENDED;
    front->upstream = NULL;
    front->failure = failure;
    counters_add(front->env->counters, COUNTER_EXCHANGES_ABORTED, failure != NULL);
    tick_stop(&front->idle);
    pool_wait_cancel(&front->wait);
    buf_cleanup(&front->early);
    if (upstream && failure)
        upstream->ops->detach(upstream);
    else if (upstream)
        upstream->ops->close(upstream);
    raw_log_write(front);
}

/* What either side has got must not look whole. */
static void raw_cut(struct raw_front *front, const char *failure)
{
    if (front->state == RAW_ENDED)
        return;
    raw_finish(front, failure);
    stream_reset(front->stream);
}

static void raw_client_closed(struct sink *sink, struct err err)
{
    struct raw_front *front = raw_of_sink(sink);
    raw_finish(front, "the client's connection broke");
    arena_cleanup(&front->arena);
    config_unref(front->config);
    front->closed(front, err);
}

static void raw_idle_expired(struct tick *tick)
{
    raw_cut(container_of(tick, struct raw_front, idle), "nothing moved for the idle time");
}

static void raw_moved(struct raw_front *front)
{
    int64_t ms = front->config->client.stream_idle_timeout_ms;
    if (ms > 0)
        tick_start(&front->env->loop->ticker, &front->idle, (uint64_t)ms);
}

/* One side has ended its writing. True: it was the last. */
static bool raw_side_ended(struct raw_front *front)
{
    raw_moved(front); /* the open half has the idle time from here on */
    if (!front->client_ended || !front->backend_ended)
        return false;
    raw_finish(front, NULL);
    stream_close(front->stream);
    return true;
}

/* ---- from the client ---- */

static void raw_client_data(struct sink *sink, struct slice bytes)
{
    struct raw_front *front = raw_of_sink(sink);
    raw_moved(front);
    front->bytes_in += bytes.len;
    counters_add(front->env->counters, COUNTER_BYTES_FROM_CLIENTS, bytes.len);
    if (front->state == RAW_WAITING) { /* one slice is held, so that a client's leaving is noticed before it speaks */
        buf_append_slice(&front->early, bytes);
        stream_read_stop(front->stream);
    } else if (!front->upstream->ops->body(front->upstream, bytes)) {
        stream_read_stop(front->stream);
    }
}

static void raw_client_eof(struct sink *sink)
{
    struct raw_front *front = raw_of_sink(sink);
    front->client_ended = true;
    if (!raw_side_ended(front) && front->upstream)
        front->upstream->ops->end(front->upstream, NULL);
}

static void raw_client_truncated(struct sink *sink)
{
    raw_cut(raw_of_sink(sink), "the client ended without close_notify");
}

static void raw_client_drained(struct sink *sink)
{
    struct raw_front *front = raw_of_sink(sink);
    raw_moved(front);
    if (front->upstream)
        front->upstream->ops->read_start(front->upstream);
}

static const struct sink_ops raw_sink_ops = {
    .data = raw_client_data,
    .eof = raw_client_eof,
    .truncated = raw_client_truncated,
    .drained = raw_client_drained,
    .closed = raw_client_closed,
};

/* ---- from the backend ---- */

static void raw_backend_head(struct http_user *user, struct head *head)
{
    (void)user, (void)head; /* raw bytes have none */
}

static void raw_backend_body(struct http_user *user, struct slice bytes)
{
    struct raw_front *front = raw_of_user(user);
    raw_moved(front);
    front->bytes_out += bytes.len;
    counters_add(front->env->counters, COUNTER_BYTES_TO_CLIENTS, bytes.len);
    if (!stream_write(front->stream, bytes) && front->upstream)
        front->upstream->ops->read_stop(front->upstream);
}

static void raw_backend_end(struct http_user *user, const struct fields *trailers)
{
    struct raw_front *front = raw_of_user(user);
    (void)trailers;
    front->backend_ended = true;
    if (!raw_side_ended(front))
        stream_shutdown(front->stream);
}

static void raw_backend_failed(struct http_user *user, struct err err, enum http_progress progress)
{
    struct raw_front *front = raw_of_user(user);
    (void)progress;
    front->upstream = NULL;
    if (front->backend_ended) { /* its bytes are whole: they go out; it hears no more of the client's */
        raw_finish(front, "the backend stopped listening");
        stream_close(front->stream);
        return;
    }
    upstream_log_failed(front->env, front->backend_text, front->client->server_name, err);
    raw_cut(front, "the backend's connection broke");
}

static void raw_backend_drained(struct http_user *user)
{
    struct raw_front *front = raw_of_user(user);
    raw_moved(front);
    stream_read_start(front->stream);
}

static void raw_backend_flush(struct http_user *user)
{
    (void)user; /* nothing is held back */
}

static const struct http_user_ops raw_user_ops = {
    .head = raw_backend_head,
    .body = raw_backend_body,
    .end = raw_backend_end,
    .failed = raw_backend_failed,
    .drained = raw_backend_drained,
    .flush = raw_backend_flush,
};

/* ---- the beginning ---- */

static void raw_unreachable(struct raw_front *front, struct err err)
{
    upstream_log_unreachable(front->env, front->group, front->client->server_name, err);
    raw_cut(front, "no connection to the backend");
}

static void raw_connected(struct raw_front *front, struct upstream *upstream)
{
    front->state = RAW_RELAYING;
    front->upstream = upstream;
    front->backend_text = upstream->backend_text;
    counters_add(front->env->counters, COUNTER_TUNNELS, 1);
    raw_moved(front);
    upstream->ops->begin(upstream, &front->user, &front->arena, NULL);
    bool room = upstream->ops->body(upstream, buf_slice(&front->early));
    buf_cleanup(&front->early);
    if (front->client_ended)
        upstream->ops->end(upstream, NULL);
    else if (room)
        stream_read_start(front->stream);
}

static void raw_acquired(struct pool_wait *wait, struct upstream *upstream, struct err err)
{
    struct raw_front *front = container_of(wait, struct raw_front, wait);
    if (upstream)
        raw_connected(front, upstream);
    else
        raw_unreachable(front, err);
}

void raw_front_open(struct raw_front *front, struct stream *stream, struct exchange_env *env,
                    const struct exchange_client *client, const struct config_group *group)
{
    front->sink.ops = &raw_sink_ops;
    front->user.ops = &raw_user_ops;
    front->stream = stream;
    front->env = env;
    front->client = client;
    front->config = config_ref(env->config);
    front->group = group;
    front->started_ms = net_loop_now_ms(env->loop);
    front->started_wall_ms = env->clock->wall_ms(env->clock);
    tick_init(&front->idle, raw_idle_expired);
    pool_wait_init(&front->wait, env->pool, raw_acquired);
    front->wait.preamble = announce_client(front->config, client, &front->arena);
    stream->sink = &front->sink;
    stream_read_start(stream);
    if (!policy_allows_address(front->config, client->peer)) { /* what is 403 in HTTP */
        raw_cut(front, "the client's address is not allowed");
        return;
    }
    struct upstream *upstream = pool_acquire(&front->wait, front->config, group, true);
    if (upstream)
        raw_connected(front, upstream);
}
