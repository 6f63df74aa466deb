#include "acme/order.h"

#include "acme/engine.h"
#include "acme/order_journal.h"
#include "acme/record.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/url.h"

enum {
    ORDER_POLL_FIRST_MS = 2000, /* grows by a half up to */
    ORDER_POLL_LONGEST_MS = 30000,
    ORDER_POLL_MAX_MS = 10 * 60 * 1000, /* then the keeper's back-off takes over, and the journal resumes */
    ORDER_MAX_MS = 60 * 60 * 1000,      /* of one run, whatever the CA does */
    ORDER_SEEN_MS = 1000,               /* from the validation request to the next look */
    ORDER_MAX_RETRIES = 5,
    ORDER_RETRY_LONGEST_MS = 60000, /* a longer Retry-After is for the keeper to wait out */
    ORDER_MAX_RESTARTS = 2
};

static void order_act(struct acme_order *order, const struct order_verdict *verdict);

static int64_t order_mono_ms(const struct acme_order *order)
{
    return acme_mono_ms(order->acme);
}

/* --- the end --- */

static void order_withdraw(struct acme_order *order)
{
    if (!order->published)
        return;
    order->published = false;
    order->acme->world.withdraw(order->acme->world.ctx, &order->publication);
}

void order_finish(struct acme_order *order)
{
    struct acme *acme = order->acme;
    order->phase = ORDER_AT_FINISHED;
    list_remove(&order->node);
    list_append(&acme->finished, &order->node);
    acme->num_running--;
    acme_need_wake(acme, acme_mono_ms(acme));
}

/* hopeless: the next attempt has to begin anew. The journal of every other failure is kept, to go on from. */
static void order_fail(struct acme_order *order, const struct problem *problem, bool hopeless)
{
    order_withdraw(order);
    order->failed_step = acme_order_step(order);
    order->problem = problem_copy(&order->arena, problem);
    if (hopeless)
        order_journal_close(order);
    else
        order_finish(order);
}

void order_fail_with(struct acme_order *order, enum problem_class class, struct err err, struct slice detail)
{
    struct arena arena = {0};
    struct problem problem = problem_local(&arena, class, err, detail);
    order_fail(order, &problem, false);
    arena_cleanup(&arena);
}

void order_fail_store(struct acme_order *order, const char *doing, enum store_result result)
{
    struct buf detail = {0};
    buf_printf(&detail, "%s: %s; nothing is ordered", doing, store_result_text(result));
    order_fail_with(order, PROBLEM_LOCAL, err_make(ERR_STATE, (int)result, doing), buf_slice(&detail));
    buf_cleanup(&detail);
}

static void order_restart(struct acme_order *order)
{
    order_withdraw(order);
    if (order->num_restarts++ >= ORDER_MAX_RESTARTS) {
        order_fail_with(order, PROBLEM_TRANSIENT, err_make(ERR_STATE, 0, "order"),
                        SLICE_LIT("the CA keeps forgetting our orders"));
        return;
    }
    struct err err = order_journal_begin_anew(order);
    if (err_is(err))
        order_fail_with(order, PROBLEM_LOCAL, err, SLICE_LIT("no key for the certificate could be made"));
    else
        order_journal_intend(order, STORE_ANY, 0);
}

/* --- waiting --- */

static void order_wait_ms(struct acme_order *order, enum order_step next, int64_t wait_ms, bool ca_paced)
{
    order->phase = ORDER_AT_WAITING;
    order->step = next;
    order->ca_paced = ca_paced;
    order->wake_ms = order_mono_ms(order) + wait_ms;
    acme_need_wake(order->acme, order->wake_ms);
}

static bool order_is_overdue(const struct acme_order *order)
{
    return order_mono_ms(order) - order->started_ms > ORDER_MAX_MS;
}

static bool order_has_expired(const struct acme_order *order)
{
    int64_t expires_s = order->progress.document.expires_s;
    return expires_s > 0 && acme_wall_s(order->acme) >= expires_s;
}

/* 2 s, growing by a half to 30 s, where the CA does not say (ACME-51); the first look sooner where it has been here. */
static int64_t order_poll_wait_ms(struct acme_order *order, enum order_step next)
{
    bool first = order->step != next;
    if (first) {
        order->poll_started_ms = order_mono_ms(order);
        order->poll_wait_ms = ORDER_POLL_FIRST_MS;
    }
    int64_t wait_ms = order->poll_wait_ms;
    order->poll_wait_ms += order->poll_wait_ms / 2;
    if (order->poll_wait_ms > ORDER_POLL_LONGEST_MS)
        order->poll_wait_ms = ORDER_POLL_LONGEST_MS;
    return first && next == ORDER_STEP_VALIDATE && order->seen ? ORDER_SEEN_MS : wait_ms;
}

static void order_end_polling(struct acme_order *order, int64_t ca_wait_ms, bool expired)
{
    struct problem problem = {
        .class = ca_wait_ms ? PROBLEM_LATER : PROBLEM_TRANSIENT,
        .err = err_make(ERR_TIMEOUT, 0, "poll"),
        .detail = expired ? SLICE_LIT("the order expired before the CA came to a decision")
                          : SLICE_LIT("the CA has come to no decision; the order will be taken up again"),
        .retry_after_ms = ca_wait_ms};
    order_fail(order, &problem, expired);
}

/* A pause between two looks at the same thing; 10 minutes of them are enough. */
static void order_poll(struct acme_order *order, const struct order_verdict *verdict)
{
    int64_t own_ms = order_poll_wait_ms(order, verdict->next);
    int64_t wait_ms = verdict->wait_ms ? verdict->wait_ms : own_ms;
    int64_t polled_ms = order_mono_ms(order) + wait_ms - order->poll_started_ms;
    bool expired = order_has_expired(order); /* ACME-42: this one is over, the next attempt orders anew */
    if (expired || polled_ms > ORDER_POLL_MAX_MS || order_is_overdue(order))
        order_end_polling(order, verdict->wait_ms, expired);
    else
        order_wait_ms(order, verdict->next, wait_ms, verdict->wait_ms > 0);
}

/* Only what says nothing about the request itself is worth asking again at once. */
static bool order_may_retry(const struct acme_order *order, const struct problem *problem)
{
    bool passing = problem->class == PROBLEM_TRANSIENT || problem->class == PROBLEM_LATER;
    bool mute = problem->status == 0 || problem->status >= 500 || problem_is(problem, "badNonce");
    return passing && mute && !problem_is(problem, "rateLimited") && order->num_retries < ORDER_MAX_RETRIES &&
           problem->retry_after_ms <= ORDER_RETRY_LONGEST_MS && !order_is_overdue(order);
}

static void order_log_problem(const struct acme_order *order, const struct problem *problem, int64_t wait_ms)
{
    struct buf sentence = {0};
    problem_write_sentence(&sentence, problem);
    LOG_WARN_EVENT(order->acme->world.log, "acme_retry", LOG_SLICE("msg", buf_slice(&sentence)),
                   LOG_SLICE("name", order->spec.record), LOG_STR("step", order_steps[order->step].name),
                   LOG_INT("wait_ms", wait_ms));
    buf_cleanup(&sentence);
}

static void order_meet_trouble(struct acme_order *order, const struct problem *problem, enum order_step next)
{
    if (!order_may_retry(order, problem)) {
        order_fail(order, problem, problem->class == PROBLEM_PERMANENT);
        return;
    }
    int64_t wait_ms = ORDER_POLL_FIRST_MS << order->num_retries++;
    if (problem->retry_after_ms > wait_ms)
        wait_ms = problem->retry_after_ms;
    order_log_problem(order, problem, wait_ms);
    if (next != ORDER_STEP_CHALLENGE && next != ORDER_STEP_VALIDATE)
        order_withdraw(order);
    order_wait_ms(order, next, wait_ms, true);
}

void order_wake(struct acme_order *order, int64_t now_ms)
{
    if (order->phase == ORDER_AT_WAITING && now_ms >= order->wake_ms)
        order_go_on(order);
}

/* --- the challenge --- */

static void order_ask(struct acme_order *order);

static void order_is_published(struct acme_publication *publication, struct err err)
{
    struct acme_order *order = container_of(publication, struct acme_order, publication);
    if (order->phase != ORDER_AT_PUBLISHING)
        return;
    if (err_is(err))
        order_fail_with(order, PROBLEM_LOCAL, err,
                        SLICE_LIT("the challenge's answer could not be served by every worker in time"));
    else
        order_ask(order);
}

static void order_is_seen(struct acme_publication *publication)
{
    struct acme_order *order = container_of(publication, struct acme_order, publication);
    int64_t soon_ms = order_mono_ms(order) + ORDER_SEEN_MS;
    order->seen = true;
    if (order->phase != ORDER_AT_WAITING || order->step != ORDER_STEP_VALIDATE || order->ca_paced ||
        order->wake_ms <= soon_ms)
        return;
    order->wake_ms = soon_ms;
    acme_need_wake(order->acme, soon_ms);
}

static void order_publish(struct acme_order *order, enum order_step next)
{
    const struct order_progress *progress = &order->progress;
    order_withdraw(order);
    order->step = next;
    order->phase = ORDER_AT_PUBLISHING;
    order->published = true;
    order->seen = false;
    order->publication = (struct acme_publication){
        .challenge = ACME_HTTP_01,
        .name = progress->challenge_name,
        .token = progress->token,
        .key_authorization = progress->key_authorization,
        .done = order_is_published,
        .seen = order_is_seen,
    };
    order->acme->world.publish(order->acme->world.ctx, &order->publication);
}

/* --- steps --- */

static void order_answered(struct request *request, const struct acme_reply *reply)
{
    struct acme_order *order = container_of(request, struct acme_order, request);
    struct arena arena = {0};
    struct order_answer answer = {.reply = reply, .arena = &arena, .now_s = acme_wall_s(order->acme)};
    struct order_verdict verdict = order_step_recv(order->step, &order->progress, &answer);
    LOG_DEBUG_EVENT(order->acme->world.log, "acme_step", LOG_SLICE("name", order->spec.record),
                    LOG_STR("step", order_steps[order->step].name), LOG_INT("status", reply->status),
                    LOG_STR("next", order_steps[verdict.next].name), LOG_INT("verdict", verdict.kind));
    order_act(order, &verdict);
    arena_cleanup(&arena);
}

static void order_ask(struct acme_order *order)
{
    struct order_ask ask;
    order->progress.new_order_url = order->acme->directory.new_order;
    order->progress.thumbprint = acme_thumbprint(order->acme);
    struct err err = order_step_send(order->step, &order->progress, &ask);
    if (err_is(err)) {
        buf_cleanup(&ask.payload);
        order_fail_with(order, PROBLEM_LOCAL, err, slice_str(err.what));
        return;
    }
    order->phase = ORDER_AT_ASKING;
    request_send(&order->request, order->acme, REQUEST_BY_ACCOUNT, ask.url, buf_slice(&ask.payload), ask.wants_chain,
                 order_answered);
    buf_cleanup(&ask.payload);
}

static void order_lost_account(struct acme_order *order, const struct problem *problem)
{
    if (account_lost(order->acme, buf_slice(&order->account_url)))
        order_restart(order); /* its order went with the account */
    else
        order_fail(order, problem, false);
}

static void order_act(struct acme_order *order, const struct order_verdict *verdict)
{
    order->failed_challenge = arena_copy(&order->arena, verdict->challenge_type);
    switch (verdict->kind) {
    case ORDER_GO:
        if (verdict->next != ORDER_STEP_CHALLENGE && verdict->next != ORDER_STEP_VALIDATE)
            order_withdraw(order); /* ACME-52: decided */
        order->step = verdict->next;
        order_go_on(order);
        break;
    case ORDER_JOURNAL:
        order->step = verdict->next;
        order_journal_note(order);
        break;
    case ORDER_PUBLISH: order_publish(order, verdict->next); break;
    case ORDER_WAIT:
        if (verdict->next != ORDER_STEP_VALIDATE)
            order_withdraw(order);
        order_poll(order, verdict);
        break;
    case ORDER_TROUBLE: order_meet_trouble(order, &verdict->problem, verdict->next); break;
    case ORDER_DEAD: order_fail(order, &verdict->problem, true); break;
    case ORDER_RESTART: order_restart(order); break;
    case ORDER_ACCOUNT_LOST: order_lost_account(order, &verdict->problem); break;
    case ORDER_ISSUED:
        order_withdraw(order);
        order->issued = true;
        account_proven(order->acme);
        order_finish(order);
        break;
    }
}

/* Account and directory are there. The order belongs to one account: under another it has to begin anew. */
static void order_proceed(struct acme_order *order)
{
    struct slice account_url = acme_account_url(order->acme);
    if (order->account_url.len == 0) {
        buf_append_slice(&order->account_url, account_url);
        order->step = ORDER_STEP_NEW;
    } else if (!slice_eq(buf_slice(&order->account_url), account_url)) {
        order_restart(order);
        return;
    } else if (order->progress.resumed && order->step == ORDER_STEP_NEW) {
        order->step = ORDER_STEP_READ; /* ACME-58 */
        LOG_INFO_EVENT(order->acme->world.log, "acme_order_resumed", LOG_SLICE("name", order->spec.record),
                       LOG_SLICE("order", buf_slice(&order->progress.url)));
    }
    order_ask(order);
}

static void order_account_told(struct account_waiter *waiter, const struct problem *problem)
{
    struct acme_order *order = container_of(waiter, struct acme_order, waiter);
    if (problem)
        order_meet_trouble(order, problem, order->step);
    else
        order_proceed(order);
}

void order_go_on(struct acme_order *order)
{
    if (account_is_ready(order->acme)) {
        order_proceed(order);
        return;
    }
    order->phase = ORDER_AT_ACCOUNT;
    account_wait(order->acme, &order->waiter);
}

/* --- the beginning --- */

static bool order_names_are_fit(const struct acme_order_spec *spec)
{
    for (size_t i = 0; i < spec->num_names; i++) {
        struct slice name = spec->names[i];
        for (size_t at = 0; at < name.len; at++)
            if (name.ptr[at] >= 'A' && name.ptr[at] <= 'Z') /* ACME-39 */
                return false;
        if (!name_is_dns(name, true) && !name_is_ip(name))
            return false;
    }
    return spec->num_names >= 1 && spec->num_names <= ACME_MAX_NAMES && spec->key_type < KEY_OTHER;
}

static bool order_record_is_free(const struct acme_order *order)
{
    LIST_EACH(&order->acme->running, node)
    {
        const struct acme_order *other = container_of(node, struct acme_order, node);
        if (other != order && slice_eq(other->spec.record, order->spec.record))
            return false;
    }
    return true;
}

void order_start(struct acme_order *order)
{
    order->started_ms = order_mono_ms(order);
    if (!order_names_are_fit(&order->spec))
        order_fail_with(order, PROBLEM_LOCAL, err_make(ERR_INPUT, 0, "order"),
                        SLICE_LIT("these names cannot be ordered as they are written"));
    else if (!order_record_is_free(order))
        order_fail_with(order, PROBLEM_LOCAL, err_make(ERR_STATE, 0, "order"),
                        SLICE_LIT("an order for this record is running already"));
    else
        order_journal_open(order);
}

struct acme_order *order_new(struct acme *acme, const struct acme_order_spec *spec)
{
    struct acme_order *order = MEM_NEW(struct acme_order);
    size_t num_names = spec->num_names <= ACME_MAX_NAMES ? spec->num_names : 0; /* none: refused when it starts */
    struct slice *names = arena_calloc(&order->arena, num_names + 1, sizeof *names);
    for (size_t i = 0; i < num_names; i++)
        names[i] = arena_copy(&order->arena, spec->names[i]);
    order->acme = acme;
    order->spec = *spec;
    order->spec.record = arena_copy(&order->arena, spec->record);
    order->spec.names = order->progress.names = names;
    order->spec.num_names = order->progress.num_names = num_names;
    order->step = ORDER_STEP_NEW;
    order->waiter.done = order_account_told;
    list_init(&order->node);
    list_init(&order->waiter.node);
    record_journal_key(order->spec.record, &order->journal_key);
    return order;
}

void order_free(struct acme_order *order)
{
    struct store *store = order->acme->world.store;
    order_withdraw(order);
    request_cancel(&order->request);
    if (order->store_busy)
        store->ops->cancel(store, &order->store_call);
    account_stop_waiting(&order->waiter);
    list_remove(&order->node);
    order_progress_cleanup(&order->progress);
    key_free(order->key);
    buf_cleanup(&order->account_url);
    buf_cleanup(&order->journal_key);
    arena_cleanup(&order->arena);
    mem_free(order);
}

static void order_fill_certificate(struct acme_order *order, struct acme_result *result, struct buf *chain_pem,
                                   struct buf *key_pem)
{
    buf_reserve(key_pem, 4096); /* no copy of the key stays behind in a reallocation */
    key_write_pem(order->key, key_pem);
    chain_write_pem(&order->progress.chain, chain_pem);
    result->issued = true;
    result->chain = &order->progress.chain;
    result->chain_pem = buf_slice(chain_pem);
    result->key = order->key;
    result->key_pem = buf_slice(key_pem);
    result->directory_url = order->acme->options.directory_url;
    result->account_url = buf_slice(&order->account_url);
    result->order_url = buf_slice(&order->progress.url);
}

void order_tell(struct acme_order *order)
{
    struct buf chain_pem = {0}, key_pem = {0}, sentence = {0};
    struct acme_result result = {.journal_key = buf_slice(&order->journal_key), .step = order->failed_step};
    if (order->issued) {
        order_fill_certificate(order, &result, &chain_pem, &key_pem);
    } else {
        problem_write_sentence(&sentence, &order->problem);
        result.problem = order->problem;
        result.challenge_type = order->failed_challenge;
        result.sentence = buf_slice(&sentence);
    }
    order->telling = true;
    order->spec.done(order, &result, order->spec.ctx);
    buf_cleanup(&chain_pem);
    buf_cleanup_secret(&key_pem);
    buf_cleanup(&sentence);
    order_free(order);
}

const char *acme_order_step(const struct acme_order *order)
{
    switch (order->phase) {
    case ORDER_AT_QUEUED: return "queued";
    case ORDER_AT_OPENING:
    case ORDER_AT_INTENT: return "journal";
    case ORDER_AT_ACCOUNT: return "account";
    case ORDER_AT_ASKING:
    case ORDER_AT_NOTING:
    case ORDER_AT_WAITING: return order_steps[order->step].name;
    case ORDER_AT_PUBLISHING: return "publish";
    case ORDER_AT_CLOSING:
    case ORDER_AT_FINISHED: break;
    }
    return "finished";
}
