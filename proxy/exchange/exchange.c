#include "exchange/exchange.h"

#include "exchange/access_log.h"
#include "exchange/announce.h"
#include "exchange/answer.h"
#include "exchange/exchange_state.h"
#include "exchange/policy.h"
#include "exchange/reply.h"
#include "exchange/route.h"
#include "http/hop.h"

static const struct http_user_ops exchange_user_ops;

static struct exchange *exchange_of_user(struct http_user *user)
{
    return container_of(user, struct exchange, user);
}

static void exchange_count(struct exchange *x, enum counter counter)
{
    counters_add(x->env->counters, counter, 1);
}

static void exchange_dropped(struct exchange *x, unsigned num_fields)
{
    counters_add(x->env->counters, COUNTER_FIELDS_DROPPED, num_fields);
}

/* ---- deadlines ---- */

/* The backend has the word: the request is whole, or its client waits for 100. */
static bool exchange_answer_due(const struct exchange *x)
{
    return x->answer == ANSWER_AWAITED && (x->request == REQUEST_WHOLE || x->continue_due);
}

/* Calls of gRPC have deadlines of their own, and a stream may say nothing for long, not even its head. */
static bool exchange_is_grpc(const struct exchange *x)
{
    return slice_starts(head_get(x->head, FIELD_CONTENT_TYPE), SLICE_LIT("application/grpc"));
}

/* What is waited for: an answer, where it is due and there is a connection, else some progress. */
static void exchange_arm(struct exchange *x)
{
    bool answer_due = exchange_answer_due(x) && x->upstream && !exchange_is_grpc(x);
    int64_t ms = answer_due ? x->config->upstream.response_timeout_ms : x->config->client.stream_idle_timeout_ms;
    if (ms > 0 && x->answer != ANSWER_OVER)
        tick_start(&x->env->loop->ticker, &x->timeout, (uint64_t)ms);
    else
        tick_stop(&x->timeout);
}

/* ---- the end ---- */

static void exchange_release_upstream(struct exchange *x)
{
    struct upstream *upstream = x->upstream;
    x->upstream = NULL;
    pool_wait_cancel(&x->wait);
    password_wait_cancel(&x->password);
    x->waiting = false;
    if (upstream)
        upstream->ops->detach(upstream);
}

static void exchange_finish(struct exchange *x)
{
    x->answer = ANSWER_OVER;
    tick_stop(&x->timeout);
    answer_drop(x);
    exchange_release_upstream(x);
}

/* The client must see that the answer is not whole. */
static void exchange_cut(struct exchange *x, const char *why)
{
    if (x->answer == ANSWER_OVER)
        return;
    x->aborted = true;
    x->failure = why;
    exchange_count(x, COUNTER_EXCHANGES_ABORTED);
    exchange_finish(x);
    x->front->ops->abort(x->front);
}

static void exchange_free_now(struct grave *grave)
{
    struct exchange *x = container_of(grave, struct exchange, grave);
    arena_cleanup(&x->arena);
    buf_cleanup(&x->held);
    config_unref(x->config);
    mem_free(x);
}

/* The client went away, before the answer or in the midst of it. */
static void exchange_left(struct exchange *x)
{
    if (!x->status)
        x->status = 499; /* NGINX's number for it, before an answer: for the log alone */
    x->aborted = true;
    x->failure = x->failure ? x->failure : "the client went away";
    exchange_count(x, COUNTER_EXCHANGES_ABORTED);
}

void exchange_free(struct exchange *x)
{
    if (!x)
        return;
    bool seen = x->head || x->status;
    bool tunnel = x->status == 101 || x->answer == ANSWER_TUNNEL || x->tunnel_client_ended || x->tunnel_backend_ended;
    if (seen && !tunnel) /* how long a WebSocket was of use to somebody says nothing of us */
        counters_add_duration(x->env->counters, net_loop_now_ms(x->env->loop) - x->started_ms);
    if (seen && x->answer != ANSWER_OVER)
        exchange_left(x);
    exchange_finish(x);
    if (seen)
        access_log_write(x);
    graveyard_bury(&x->env->loop->graveyard, &x->grave, exchange_free_now);
}

/* ---- answers of our own ---- */

static void exchange_count_status(struct exchange *x, unsigned status)
{
    static const enum counter classes[] = {COUNTER_RESPONSES_1XX, COUNTER_RESPONSES_2XX, COUNTER_RESPONSES_3XX,
                                           COUNTER_RESPONSES_4XX, COUNTER_RESPONSES_5XX};
    static const enum counter classes_http2[] = {COUNTER_RESPONSES_HTTP2_1XX, COUNTER_RESPONSES_HTTP2_2XX,
                                                 COUNTER_RESPONSES_HTTP2_3XX, COUNTER_RESPONSES_HTTP2_4XX,
                                                 COUNTER_RESPONSES_HTTP2_5XX};
    bool http2 = x->head && x->head->version == 20;
    x->status = (uint16_t)status;
    if (status >= 100 && status < 600)
        exchange_count(x, (http2 ? classes_http2 : classes)[status / 100 - 1]);
}

/* The fields that go to the client, of an answer of the backend's or of ours. */
static struct fields exchange_response_fields(struct exchange *x, const struct head *head)
{
    struct fields fields = {0};
    struct slice hsts = x->identity.secure && head->status >= 200 ? x->config->tls.hsts : SLICE_NONE;
    exchange_dropped(x, hop_response_fields(head, &x->arena, &fields));
    if (hsts.len) {
        fields_remove(&fields, FIELD_STRICT_TRANSPORT_SECURITY);
        fields_put(&fields, &x->arena,
                   (struct field){SLICE_LIT("Strict-Transport-Security"), hsts, FIELD_STRICT_TRANSPORT_SECURITY});
    }
    if (head->status >= 200)
        identity_response_fields(x, &x->arena, &fields);
    return fields;
}

static void exchange_respond(struct exchange *x, const struct head *head, const struct fields *fields)
{
    struct front_response response = {.head = head, .fields = fields, .tunnel = x->answer == ANSWER_TUNNEL};
    x->front->ops->respond(x->front, &response);
}

static void exchange_reply(struct exchange *x, struct reply reply)
{
    struct front *front = x->front;
    struct fields fields = exchange_response_fields(x, reply.head);
    exchange_release_upstream(x);
    exchange_count_status(x, reply.head->status);
    if (x->head && x->head->method == METHOD_HEAD)
        reply.head->body = BODY_NONE;
    exchange_respond(x, reply.head, &fields);
    if (reply.body.len && reply.head->body != BODY_NONE) {
        x->answer_bytes += reply.body.len;
        bool room = front->ops->body(front, reply.body);
        (void)room; /* small, and the last of this answer */
    }
    exchange_finish(x);
    front->ops->end(front, NULL);
}

static void exchange_fail(struct exchange *x, unsigned status, const char *why)
{
    x->failure = why;
    if (x->answer == ANSWER_AWAITED)
        exchange_reply(x, reply_error(&x->arena, status, x->head, x->config->policy.error_page));
    else
        exchange_cut(x, why);
}

void exchange_refuse(struct exchange *x, struct head *head, unsigned status, const char *why)
{
    if (!x->head)
        identity_refuse(x);
    if (!x->head && head && head->method_name.len)
        x->head = head;
    if (x->answer != ANSWER_OVER)
        exchange_fail(x, status, why);
}

static void exchange_unanswered(struct exchange *x)
{
    if (x->upstream)
        pool_failed(&x->wait, x->backend);
    exchange_fail(x, 504, "the backend did not answer in time");
}

static void exchange_timed_out(struct tick *tick)
{
    struct exchange *x = container_of(tick, struct exchange, timeout);
    if (x->answer == ANSWER_AWAITED && !exchange_answer_due(x) && !x->front_stopped)
        exchange_fail(x, 408, "the request's body stopped");
    else if (x->answer == ANSWER_AWAITED)
        exchange_unanswered(x);
    else
        exchange_cut(x, "nothing moved for the idle time");
}

/* ---- the backend's connection ---- */

static void exchange_stop_front(struct exchange *x)
{
    if (x->front_stopped)
        return;
    x->front_stopped = true;
    x->front->ops->read_stop(x->front);
}

static void exchange_start_front(struct exchange *x)
{
    if (!x->front_stopped || x->waiting)
        return;
    x->front_stopped = false;
    x->front->ops->read_start(x->front);
}

static void exchange_begin_upstream(struct exchange *x)
{
    struct fields *fields = arena_calloc(&x->arena, 1, sizeof *fields);
    exchange_dropped(x, identity_request_fields(x, &x->arena, fields));
    struct upstream_request request = {x->head, fields};
    x->upstream->ops->begin(x->upstream, &x->user, &x->arena, &request);
}

/* Keeps the bytes while they may have to be sent, or sent again; lets go of all of them beyond the limit. */
static void exchange_hold(struct exchange *x, struct slice bytes)
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

static void exchange_connected(struct exchange *x, struct upstream *upstream)
{
    x->waiting = false;
    x->upstream = upstream;
    x->backend = upstream->backend;
    x->maybe_stale = upstream->reused && !upstream->may_refuse;
    x->backend_text = upstream->backend_text;
    x->upstream_reused = upstream->reused;
    x->connected_ms = net_loop_now_ms(x->env->loop);
    exchange_begin_upstream(x);
    bool room = upstream->ops->body(upstream, buf_slice(&x->held));
    if (x->request == REQUEST_WHOLE)
        upstream->ops->end(upstream, &x->head->trailers);
    exchange_arm(x);
    if (room)
        exchange_start_front(x);
}

/* 502, or 503 where it is worth asking again (B1). */
static void exchange_unreachable(struct exchange *x, const struct pool_wait *wait)
{
    x->failure = "no connection to the backend";
    if (x->answer != ANSWER_AWAITED) {
        exchange_cut(x, x->failure);
        return;
    }
    struct reply reply = reply_error(&x->arena, wait->status, x->head, x->config->policy.error_page);
    if (wait->retry_after_s)
        head_add(reply.head, &x->arena, SLICE_LIT("Retry-After"), arena_printf(&x->arena, "%u", wait->retry_after_s));
    exchange_reply(x, reply);
}

static void exchange_acquired(struct pool_wait *wait, struct upstream *upstream, struct err err)
{
    struct exchange *x = container_of(wait, struct exchange, wait);
    if (!upstream) {
        x->waiting = false;
        LOG_WARN_EVENT(
            x->env->log, "upstream_unreachable", LOG_ERR("error", err),
            LOG_SLICE("upstream", x->group->upstreams[0]->text), LOG_SLICE("host", x->head->host),
            LOG_STR("msg", "the backend takes no connection; is it running, and is PORTICO_UPSTREAM right?"));
        exchange_unreachable(x, wait);
        return;
    }
    exchange_connected(x, upstream);
    if (x->upstream == upstream)
        upstream->ops->flush(upstream);
}

/* The request's body waits too. */
static void exchange_wait(struct exchange *x)
{
    x->waiting = true;
    if (x->request != REQUEST_WHOLE)
        exchange_stop_front(x);
}

static void exchange_connect(struct exchange *x, bool fresh_only)
{
    x->asked_ms = net_loop_now_ms(x->env->loop);
    x->connected_ms = x->head_ms = 0;
    x->wait.preamble = announce_client(x->config, x->client, &x->arena);
    struct upstream *upstream = pool_acquire(&x->wait, x->config, x->group, fresh_only);
    if (upstream)
        exchange_connected(x, upstream);
    else
        exchange_wait(x);
}

/* Once more, where nothing can happen twice by it (B2). */
static bool exchange_may_retry(const struct exchange *x, struct err err, enum http_progress progress)
{
    bool refused_input = err.kind == ERR_INPUT || err.kind == ERR_LIMIT;
    bool harmless = progress == HTTP_UNSENT || (progress == HTTP_UNANSWERED && method_is_idempotent(x->head->method));
    return x->answer == ANSWER_AWAITED && !refused_input && !x->status &&
           x->num_retries < x->config->upstream.retries && harmless && x->held_whole;
}

static void exchange_upstream_failed(struct http_user *user, struct err err, enum http_progress progress)
{
    struct exchange *x = exchange_of_user(user);
    x->upstream = NULL;
    x->wait.avoid = x->backend;
    if (x->answer == ANSWER_AWAITED && progress != HTTP_UNSENT && (progress == HTTP_ANSWERING || !x->maybe_stale))
        pool_failed(&x->wait, x->backend);
    if (exchange_may_retry(x, err, progress)) {
        x->num_retries++;
        exchange_count(x, COUNTER_UPSTREAM_RETRIES);
        exchange_connect(x, true);
        return;
    }
    exchange_count(x, COUNTER_UPSTREAM_FAILURES);
    LOG_WARN_EVENT(x->env->log, "upstream_failed", LOG_SLICE("upstream", x->backend_text),
                   LOG_SLICE("host", x->head->host), LOG_ERR("error", err));
    exchange_fail(x, 502, err.what);
}

/* ---- the answer ---- */

static void exchange_interim(struct exchange *x, const struct head *head)
{
    struct fields fields = exchange_response_fields(x, head);
    if (x->head->version > 10) /* none to HTTP/1.0 */
        x->front->ops->interim(x->front, head, &fields);
}

static void exchange_answer_head(struct http_user *user, struct head *head)
{
    struct exchange *x = exchange_of_user(user);
    if (head->status < 200 && head->status != 101) {
        exchange_interim(x, head);
        if (head->status == 100 && x->continue_due) {
            x->continue_due = false;
            exchange_arm(x);
        }
        return;
    }
    bool tunnel = head->status == 101;
    pool_answered(x->backend);
    x->answer = tunnel ? ANSWER_TUNNEL : ANSWER_BODY;
    x->head_ms = net_loop_now_ms(x->env->loop);
    exchange_count_status(x, head->status);
    buf_cleanup(&x->held);
    if (tunnel)
        exchange_count(x, COUNTER_TUNNELS);
    exchange_arm(x);
    struct fields fields = exchange_response_fields(x, head);
    const struct head *framing = answer_begin(x, head, &fields);
    exchange_respond(x, framing, &fields);
}

static void exchange_answer_body(struct http_user *user, struct slice bytes)
{
    struct exchange *x = exchange_of_user(user);
    exchange_arm(x);
    struct err err = answer_send(x, bytes);
    if (err_is(err))
        exchange_cut(x, err.what);
}

/* Both sides of a tunnel have ended: in order, whoever was last. */
static void exchange_tunnel_over(struct exchange *x)
{
    struct upstream *upstream = x->upstream;
    x->upstream = NULL;
    if (upstream)
        upstream->ops->close(upstream);
    exchange_finish(x);
    x->front->ops->end(x->front, NULL);
}

static void exchange_answer_end(struct http_user *user, const struct fields *trailers)
{
    struct exchange *x = exchange_of_user(user);
    if (x->answer == ANSWER_TUNNEL) {
        x->tunnel_backend_ended = true;
        if (x->tunnel_client_ended)
            exchange_tunnel_over(x);
        else
            x->front->ops->end(x->front, NULL);
        return;
    }
    x->upstream = NULL; /* it went back to the pool, or is done with, by itself */
    struct err err = answer_finish(x);
    if (err_is(err)) {
        exchange_cut(x, err.what);
        return;
    }
    exchange_finish(x);
    x->front->ops->end(x->front, trailers);
}

static void exchange_upstream_drained(struct http_user *user)
{
    exchange_start_front(exchange_of_user(user));
}

static void exchange_answer_flush(struct http_user *user)
{
    struct exchange *x = exchange_of_user(user);
    answer_flush(x);
    if (x->answer != ANSWER_OVER)
        x->front->ops->flush(x->front);
}

static const struct http_user_ops exchange_user_ops = {
    .head = exchange_answer_head,
    .body = exchange_answer_body,
    .end = exchange_answer_end,
    .failed = exchange_upstream_failed,
    .drained = exchange_upstream_drained,
    .flush = exchange_answer_flush,
};

void exchange_drained(struct exchange *x)
{
    if (x->upstream)
        x->upstream->ops->read_start(x->upstream);
}

/* ---- the request ---- */

static void exchange_answer_challenge(struct exchange *x, struct slice key_authorization)
{
    struct slice token = slice_split(&key_authorization, '.');
    exchange_count(x, COUNTER_CHALLENGES_ANSWERED);
    LOG_INFO_EVENT(x->env->log, "challenge_answered", LOG_SLICE("name", x->head->host),
                   LOG_SLICE("client", x->identity.client_ip));
    if (x->env->challenge_answered)
        x->env->challenge_answered(x->env, token);
}

static void exchange_follow_route(struct exchange *x)
{
    switch (x->route.kind) {
    case ROUTE_PROXY:
        x->group = x->route.group;
        exchange_arm(x);
        exchange_connect(x, false);
        return;
    case ROUTE_REDIRECT: exchange_reply(x, reply_redirect(&x->arena, x->route.text)); return;
    case ROUTE_CHALLENGE:
        exchange_answer_challenge(x, x->route.text);
        exchange_reply(x, reply_text(&x->arena, x->route.text));
        return;
    case ROUTE_REFUSE: exchange_fail(x, x->route.status, x->route.why); return;
    }
}

/* In, out, or kept waiting at the door. */
static void exchange_admit(struct exchange *x, struct policy policy)
{
    switch (policy.verdict) {
    case POLICY_ALLOW:
        identity_read_user(x);
        exchange_follow_route(x);
        return;
    case POLICY_WAIT: exchange_wait(x); return;
    case POLICY_REFUSE: exchange_fail(x, policy.status, policy.why); return;
    }
}

static void exchange_password_known(struct password_wait *wait, bool right)
{
    struct exchange *x = container_of(wait, struct exchange, password);
    x->waiting = false;
    exchange_admit(x, policy_decide_password(right));
    exchange_flush(x);
}

struct exchange *exchange_new(struct exchange_env *env, const struct exchange_client *client, struct front *front)
{
    struct exchange *x = MEM_NEW(struct exchange);
    x->env = env;
    x->arena.spare = &env->loop->arena_spare;
    x->client = client;
    x->front = front;
    x->config = config_ref(env->config);
    x->user.ops = &exchange_user_ops;
    x->held_whole = true;
    x->started_ms = net_loop_now_ms(env->loop);
    x->started_wall_ms = env->clock->wall_ms(env->clock);
    identity_begin(x);
    pool_wait_init(&x->wait, env->pool, exchange_acquired);
    password_wait_init(&x->password, exchange_password_known);
    tick_init(&x->timeout, exchange_timed_out);
    return x;
}

/* HTTP/1.0 without Host: the name of the TLS connection, or the default's (R7). Plain HTTP has none: 400. */
static void exchange_name_host(struct exchange *x)
{
    struct slice name = x->client->server_name;
    if (x->head->authority.len || !x->client->secure)
        return;
    if (name.len == 0)
        name = slice_str(x->env->certset->default_name);
    if (name.len == 0 || err_is(head_set_authority(x->head, &x->arena, arena_copy(&x->arena, name))))
        LOG_DEBUG_EVENT(x->env->log, "host_unknown", LOG_SLICE("client", x->client->peer)); /* refused by the route */
}

void exchange_head(struct exchange *x, struct head *head)
{
    x->head = head;
    exchange_name_host(x);
    identity_read(x);
    x->request =
        head->body == BODY_NONE || (head->body == BODY_LENGTH && head->length == 0) ? REQUEST_WHOLE : REQUEST_BODY;
    x->continue_due = head->expect_continue && x->request != REQUEST_WHOLE;
    exchange_count(x, head->version == 20 ? COUNTER_REQUESTS_HTTP2 : COUNTER_REQUESTS);
    x->route = route_request(x->config, x->env->certset, x->client, head, x->identity.secure, &x->arena);
    if (x->route.guarded)
        exchange_admit(x, policy_decide(x->config, x->identity.client_ip, head, x->env->passwords, &x->password));
    else
        exchange_follow_route(x);
}

void exchange_body(struct exchange *x, struct slice bytes)
{
    x->request_bytes += bytes.len;
    x->continue_due = false;
    if (x->answer == ANSWER_OVER)
        return;
    exchange_arm(x);
    if (x->answer == ANSWER_AWAITED)
        exchange_hold(x, bytes);
    if (x->upstream && !x->upstream->ops->body(x->upstream, bytes))
        exchange_stop_front(x);
}

void exchange_body_end(struct exchange *x, const struct fields *trailers)
{
    if (x->answer == ANSWER_TUNNEL) {
        x->tunnel_client_ended = true;
        if (x->tunnel_backend_ended)
            exchange_tunnel_over(x);
        else
            x->upstream->ops->end(x->upstream, NULL);
        return;
    }
    x->request = REQUEST_WHOLE;
    if (x->answer == ANSWER_OVER)
        return;
    if (x->upstream)
        x->upstream->ops->end(x->upstream, trailers);
    exchange_arm(x);
}

void exchange_flush(struct exchange *x)
{
    if (x->upstream)
        x->upstream->ops->flush(x->upstream);
}

/* ---- how it stands ---- */

struct arena *exchange_arena(struct exchange *x)
{
    return &x->arena;
}

const struct head *exchange_request_head(const struct exchange *x)
{
    return x->head;
}

bool exchange_request_whole(const struct exchange *x)
{
    return x->request == REQUEST_WHOLE;
}

bool exchange_answer_begun(const struct exchange *x)
{
    return x->answer != ANSWER_AWAITED;
}

bool exchange_continue_due(const struct exchange *x)
{
    return x->continue_due;
}

bool exchange_over(const struct exchange *x)
{
    return x->answer == ANSWER_OVER;
}
