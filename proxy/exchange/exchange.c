#include "exchange/exchange.h"

#include "exchange/access_log.h"
#include "exchange/answer.h"
#include "exchange/attempt.h"
#include "exchange/exchange_internal.h"
#include "exchange/policy.h"
#include "exchange/reply.h"
#include "exchange/route.h"

static const struct http_user_ops exchange_user_ops;

static struct exchange *exchange_of_user(struct http_user *user)
{
    return container_of(user, struct exchange, user);
}

void exchange_count(struct exchange *x, enum counter counter)
{
    counters_add(x->env->counters, counter, 1);
}

void exchange_count_dropped(struct exchange *x, unsigned num_fields)
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

/* An answer, where it is due and there is a connection, else some progress. */
void exchange_arm(struct exchange *x)
{
    bool answer_due = exchange_answer_due(x) && x->upstream && !exchange_is_grpc(x);
    int64_t ms = answer_due ? x->config->upstream.response_timeout_ms : x->config->client.stream_idle_timeout_ms;
    if (ms > 0 && x->answer != ANSWER_OVER)
        tick_start(&x->env->loop->ticker, &x->timeout, (uint64_t)ms);
    else
        tick_stop(&x->timeout);
}

/* ---- the end ---- */

/* Whatever it waits for. */
static void exchange_let_go(struct exchange *x)
{
    password_wait_cancel(&x->password);
    attempt_end(x);
}

static void exchange_finish(struct exchange *x)
{
    x->answer = ANSWER_OVER;
    tick_stop(&x->timeout);
    answer_drop(x);
    exchange_let_go(x);
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

static void exchange_respond(struct exchange *x, const struct head *head, const struct fields *fields)
{
    struct front_response response = {.head = head, .fields = fields, .tunnel = x->answer == ANSWER_TUNNEL};
    x->front->ops->respond(x->front, &response);
}

static void exchange_reply(struct exchange *x, struct reply reply)
{
    struct front *front = x->front;
    struct fields fields = answer_fields(x, reply.head);
    exchange_let_go(x);
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

void exchange_fail_until(struct exchange *x, unsigned status, unsigned retry_after_s, const char *why)
{
    x->failure = why;
    if (x->answer == ANSWER_AWAITED)
        exchange_reply(x, reply_error(&x->arena, status, retry_after_s, x->head, x->config->policy.error_page));
    else
        exchange_cut(x, why);
}

void exchange_fail(struct exchange *x, unsigned status, const char *why)
{
    exchange_fail_until(x, status, 0, why);
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

void exchange_decline(struct exchange *x, unsigned status, const char *why)
{
    exchange_count_status(x, status);
    exchange_cut(x, why);
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

/* ---- the request's source ---- */

void exchange_stop_front(struct exchange *x)
{
    if (x->front_stopped)
        return;
    x->front_stopped = true;
    x->front->ops->read_stop(x->front);
}

void exchange_start_front(struct exchange *x)
{
    if (!x->front_stopped || x->waiting)
        return;
    x->front_stopped = false;
    x->front->ops->read_start(x->front);
}

void exchange_hold_up(struct exchange *x)
{
    x->waiting = true;
    if (x->request != REQUEST_WHOLE)
        exchange_stop_front(x);
}

/* ---- the answer ---- */

static void exchange_upstream_failed(struct http_user *user, struct err err, enum http_progress progress)
{
    attempt_failed(exchange_of_user(user), err, progress);
}

static void exchange_interim(struct exchange *x, const struct head *head)
{
    struct fields fields = answer_fields(x, head);
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
    struct fields fields = answer_fields(x, head);
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
                   LOG_SLICE("client", x->identity.client_ip), LOG_STR("challenge", "http-01"));
    if (x->env->challenge_answered)
        x->env->challenge_answered(x->env, token);
}

static void exchange_follow_route(struct exchange *x)
{
    switch (x->route.kind) {
    case ROUTE_PROXY: attempt_begin(x); return;
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
    case POLICY_WAIT: exchange_hold_up(x); return;
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
    x->started_ms = net_loop_now_ms(env->loop);
    x->started_wall_ms = env->clock->wall_ms(env->clock);
    identity_begin(x);
    attempt_init(x);
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
    bool v6 = name.len && memchr(name.ptr, ':', name.len);
    struct slice authority =
        arena_printf(&x->arena, "%s%.*s%s", v6 ? "[" : "", (int)name.len, name.ptr ? name.ptr : "", v6 ? "]" : "");
    if (name.len == 0 || err_is(head_set_authority(x->head, &x->arena, authority)))
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
        attempt_hold(x, bytes);
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
