#include "exchange/attempt.h"

#include "exchange/announce.h"
#include "exchange/exchange_internal.h"
#include "exchange/upstream_log.h"

/* ---- the request's body, kept ---- */

void attempt_hold(struct exchange *x, struct slice bytes)
{
    bool may_return = method_is_idempotent(x->head->method) || (x->upstream && x->upstream->may_refuse);
    bool replayable = may_return && x->num_retries < x->config->upstream.retries;
    if (!x->held_whole || (!x->waiting && (!replayable || x->held.len + bytes.len > LIMIT_LOCAL_BODY_BYTES))) {
        x->held_whole = false;
        buf_cleanup(&x->held);
        return;
    }
    buf_append_slice(&x->held, bytes);
}

/* ---- a connection, and the request on it ---- */

static void attempt_send(struct exchange *x)
{
    struct upstream *upstream = x->upstream;
    struct fields *fields = arena_calloc(&x->arena, 1, sizeof *fields);
    exchange_count_dropped(x, identity_request_fields(x, &x->arena, fields));
    struct upstream_request request = {x->head, fields};
    upstream->ops->begin(upstream, &x->user, &x->arena, &request);
    bool room = upstream->ops->body(upstream, buf_slice(&x->held));
    if (x->request == REQUEST_WHOLE)
        upstream->ops->end(upstream, &x->head->trailers);
    exchange_arm(x);
    if (room)
        exchange_start_front(x);
}

static void attempt_connected(struct exchange *x, struct upstream *upstream)
{
    x->waiting = false;
    x->upstream = upstream;
    x->backend = upstream->backend;
    x->maybe_stale = upstream->reused && !upstream->may_refuse;
    x->backend_text = upstream->backend_text;
    x->upstream_reused = upstream->reused;
    x->connected_ms = net_loop_now_ms(x->env->loop);
    attempt_send(x);
}

/* 502, or 503 where it is worth asking again (B1). */
static void attempt_unreachable(struct exchange *x, struct err err)
{
    x->waiting = false;
    upstream_log_unreachable(x->env, x->group, x->head->host, err);
    exchange_fail_until(x, x->wait.status, x->wait.retry_after_s, "no connection to the backend");
}

static void attempt_acquired(struct pool_wait *wait, struct upstream *upstream, struct err err)
{
    struct exchange *x = container_of(wait, struct exchange, wait);
    if (!upstream) {
        attempt_unreachable(x, err);
        return;
    }
    attempt_connected(x, upstream);
    if (x->upstream == upstream)
        upstream->ops->flush(upstream);
}

static void attempt_make(struct exchange *x, bool fresh_only)
{
    x->asked_ms = net_loop_now_ms(x->env->loop);
    x->connected_ms = x->head_ms = 0;
    x->wait.preamble = announce_client(x->config, x->client, &x->arena);
    struct upstream *upstream = pool_acquire(&x->wait, x->config, x->group, fresh_only);
    if (upstream)
        attempt_connected(x, upstream);
    else
        exchange_hold_up(x);
}

void attempt_init(struct exchange *x)
{
    x->held_whole = true;
    pool_wait_init(&x->wait, x->env->pool, attempt_acquired);
}

void attempt_begin(struct exchange *x)
{
    x->group = x->route.group;
    exchange_arm(x);
    attempt_make(x, false);
}

/* ---- the end of one ---- */

/* Once more, where nothing can happen twice by it (B2). */
static bool attempt_may_follow(const struct exchange *x, struct err err, enum http_progress progress)
{
    bool refused_input = err.kind == ERR_INPUT || err.kind == ERR_LIMIT;
    bool harmless = progress == HTTP_UNSENT || (progress == HTTP_UNANSWERED && method_is_idempotent(x->head->method));
    return x->answer == ANSWER_AWAITED && !refused_input && !x->status &&
           x->num_retries < x->config->upstream.retries && harmless && x->held_whole;
}

void attempt_failed(struct exchange *x, struct err err, enum http_progress progress)
{
    x->upstream = NULL;
    x->wait.avoid = x->backend;
    if (x->answer == ANSWER_AWAITED && progress != HTTP_UNSENT && (progress == HTTP_ANSWERING || !x->maybe_stale))
        pool_failed(&x->wait, x->backend);
    if (attempt_may_follow(x, err, progress)) {
        x->num_retries++;
        exchange_count(x, COUNTER_UPSTREAM_RETRIES);
        attempt_make(x, true);
        return;
    }
    upstream_log_failed(x->env, x->backend_text, x->head->host, err);
    exchange_fail(x, 502, err.what);
}

void attempt_end(struct exchange *x)
{
    struct upstream *upstream = x->upstream;
    x->upstream = NULL;
    x->waiting = false;
    pool_wait_cancel(&x->wait);
    if (upstream)
        upstream->ops->detach(upstream);
}
