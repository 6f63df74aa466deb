#include "acme/order.h"

#include "acme/engine.h"
#include "acme/order_journal.h"
#include "acme/record.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/url.h"

enum { ORDER_MAX_RESTARTS = 2 };

static void order_act(struct acme_order *order, const struct order_verdict *verdict);

/* --- the end --- */

void order_finish(struct acme_order *order)
{
    struct acme *acme = order->acme;
    order->phase = ORDER_AT_FINISHED;
    list_remove(&order->node);
    list_append(&acme->finished, &order->node);
    acme->num_running--;
    acme_need_wake(acme, acme_mono_ms(acme));
}

static void order_issue(struct acme_order *order)
{
    order_withdraw(order);
    order->issued = true;
    account_proven(order->acme);
    order_finish(order);
}

/* What the CA still keeps open for an order that is dead (ACME-64). */
static void order_leave_authzs(struct acme_order *order)
{
    const struct order_progress *progress = &order->progress;
    const struct order_document *document = &progress->document;
    size_t first = progress->doomed ? 0 : progress->at_authz;
    if (first < document->num_authzs)
        leftovers_add(order->acme, document->authz_urls + first, document->num_authzs - first);
}

void order_fail(struct acme_order *order, const struct problem *problem, bool hopeless)
{
    order_withdraw(order);
    order->failed_step = acme_order_step(order);
    order->problem = problem_copy(&order->arena, problem);
    if (!hopeless) {
        order_finish(order);
        return;
    }
    order_journal_close(order);
    order_leave_authzs(order);
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
    buf_printf(&detail, "%s (record %.*s): %s; nothing is ordered%s", doing, (int)order->journal_key.len,
               order->journal_key.ptr, store_result_text(result), store_result_cure(result));
    order_fail_with(order, PROBLEM_LOCAL, err_make(ERR_STATE, (int)result, doing), buf_slice(&detail));
    buf_cleanup(&detail);
}

static void order_restart(struct acme_order *order)
{
    order_withdraw(order);
    if (order->num_restarts++ < ORDER_MAX_RESTARTS)
        order_journal_begin_anew(order, STORE_ANY, 0);
    else
        order_fail_with(order, PROBLEM_TRANSIENT, err_make(ERR_STATE, 0, "order"),
                        SLICE_LIT("the CA keeps forgetting our orders"));
}

/* --- steps --- */

/* Something was refused, and is asked in another way. */
static void order_log_amended(const struct acme_order *order, const struct problem *problem)
{
    struct buf sentence = {0};
    problem_write_sentence(&sentence, problem);
    LOG_WARN_EVENT(
        order->acme->world.log, "acme_amended", LOG_SLICE("msg", buf_slice(&sentence)),
        LOG_SLICE("name", order->spec.record), LOG_STR("step", order_steps[order->step]->name),
        LOG_STR("amended", order->step == ORDER_STEP_NEW ? "without its predecessor" : "with a common name"));
    buf_cleanup(&sentence);
}

static void order_answered(struct request *request, const struct acme_reply *reply)
{
    struct acme_order *order = container_of(request, struct acme_order, request);
    struct arena arena = {0};
    struct order_answer answer = {.reply = reply, .arena = &arena, .now_s = acme_wall_s(order->acme)};
    struct order_verdict verdict = order_step_recv(order->step, &order->progress, &answer);
    LOG_DEBUG_EVENT(order->acme->world.log, "acme_step", LOG_SLICE("name", order->spec.record),
                    LOG_STR("step", order_steps[order->step]->name), LOG_INT("status", reply->status),
                    LOG_STR("next", order_steps[verdict.next]->name), LOG_INT("verdict", verdict.kind));
    order_act(order, &verdict);
    arena_cleanup(&arena);
}

/* ACME-35: a journal that was tampered with, or a maker of keys that is broken. */
static void order_refuse_key(struct acme_order *order)
{
    struct arena arena = {0};
    struct problem problem = problem_local(&arena, PROBLEM_LOCAL, err_make(ERR_STATE, 0, "key"),
                                           SLICE_LIT("the certificate's key is the account's, which no CA may take"));
    order_fail(order, &problem, true);
    arena_cleanup(&arena);
}

void order_ask(struct acme_order *order)
{
    struct order_ask ask;
    if (order->step == ORDER_STEP_FINALIZE && key_same_public(order->key, order->acme->account.key)) {
        order_refuse_key(order);
        return;
    }
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

/* ACME-62: a chain that is not the preferred one is still a good one. */
static void order_log_chain(const struct acme_order *order)
{
    const struct order_progress *progress = &order->progress;
    if (progress->preferred_chain.len == 0 || slice_eq(progress->chain.top_issuer, progress->preferred_chain))
        return;
    LOG_WARN_EVENT(order->acme->world.log, "acme_chain_not_preferred", LOG_SLICE("name", order->spec.record),
                   LOG_SLICE("preferred", progress->preferred_chain), LOG_SLICE("chain", progress->chain.top_issuer),
                   LOG_INT("others", progress->num_alternates), LOG_INT("failed", progress->num_alternates_failed),
                   LOG_STR("msg", "the CA has no usable chain to the preferred issuer; its own choice is taken"));
}

static void order_act(struct acme_order *order, const struct order_verdict *verdict)
{
    order->failed_challenge = arena_copy(&order->arena, verdict->challenge_type);
    switch (verdict->kind) {
    case ORDER_GO:
        if (verdict->problem.status)
            order_log_amended(order, &verdict->problem);
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
        order_log_chain(order);
        order_issue(order);
        break;
    }
}

/* Of a new order. */
static void order_choose_profile(struct acme_order *order)
{
    struct buf wanted = {0}, offered = {0};
    const struct acme_order_spec *spec = &order->spec;
    order->progress.profile = directory_choose_profile(&order->acme->directory, spec->profiles, spec->num_profiles);
    if (spec->num_profiles == 0 || order->progress.profile.len)
        return;
    for (size_t i = 0; i < spec->num_profiles; i++)
        buf_printf(&wanted, "%s%.*s", i ? ", " : "", (int)spec->profiles[i].len, spec->profiles[i].ptr);
    directory_write_profiles(&order->acme->directory, &offered);
    LOG_WARN_EVENT(order->acme->world.log, "acme_profile_not_offered", LOG_SLICE("name", spec->record),
                   LOG_SLICE("wanted", buf_slice(&wanted)), LOG_SLICE("offered", buf_slice(&offered)),
                   LOG_STR("msg", "the CA offers none of the wanted profiles; it is left to choose"));
    buf_cleanup(&wanted);
    buf_cleanup(&offered);
}

/* A journal's order is of one profile: where another is wanted by now, that order is not. */
static bool order_has_profile(const struct acme_order *order)
{
    const struct acme_order_spec *spec = &order->spec;
    return slice_eq(order->progress.profile,
                    directory_choose_profile(&order->acme->directory, spec->profiles, spec->num_profiles));
}

/* Account and directory are there. The order belongs to one account: under another it has to begin anew. */
static void order_proceed(struct acme_order *order)
{
    struct slice account_url = acme_account_url(order->acme);
    bool resumes = order->progress.resumed && order->step == ORDER_STEP_NEW;
    if (order->account_url.len == 0) {
        buf_append_slice(&order->account_url, account_url);
        order->step = ORDER_STEP_NEW;
        order_choose_profile(order);
    } else if (!slice_eq(buf_slice(&order->account_url), account_url) || (resumes && !order_has_profile(order))) {
        order_restart(order);
        return;
    } else if (resumes) {
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
    if (order->step == ORDER_STEP_ALTERNATE) { /* with a good chain in hand nothing is waited for */
        order_ask(order);
        return;
    }
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
        if (!name_is_dns(name, true) && !(name_is_ip(name) && name_is_canonical(name))) /* ACME-83 */
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
    order->started_ms = acme_mono_ms(order->acme);
    if (!order_names_are_fit(&order->spec))
        order_fail_with(order, PROBLEM_LOCAL, err_make(ERR_INPUT, 0, "order"),
                        SLICE_LIT("these names cannot be ordered as they are written"));
    else if (!order_record_is_free(order))
        order_fail_with(order, PROBLEM_LOCAL, err_make(ERR_STATE, 0, "order"),
                        SLICE_LIT("an order for this record is running already"));
    else
        order_journal_open(order);
}

static const struct slice *order_copy_slices(struct acme_order *order, const struct slice *some, size_t num)
{
    struct slice *copies = arena_calloc(&order->arena, num + 1, sizeof *copies);
    for (size_t i = 0; i < num; i++)
        copies[i] = arena_copy(&order->arena, some[i]);
    return copies;
}

static void order_copy_spec(struct acme_order *order, const struct acme_order_spec *given)
{
    static const enum acme_challenge by_default[] = {ACME_HTTP_01};
    struct acme_order_spec *spec = &order->spec;
    bool chosen = given->num_challenges > 0;
    *spec = *given;
    spec->record = arena_copy(&order->arena, given->record);
    spec->num_names = given->num_names <= ACME_MAX_NAMES ? given->num_names : 0; /* none: refused when it starts */
    spec->names = order_copy_slices(order, given->names, spec->num_names);
    spec->profiles = order_copy_slices(order, given->profiles, given->num_profiles);
    spec->replaces = arena_copy(&order->arena, given->replaces);
    spec->preferred_chain = arena_copy(&order->arena, given->preferred_chain);
    spec->num_challenges = chosen ? given->num_challenges : sizeof by_default / sizeof *by_default;
    size_t size = spec->num_challenges * sizeof *by_default;
    spec->challenges = memcpy(arena_alloc(&order->arena, size), chosen ? given->challenges : by_default, size);
}

struct acme_order *order_new(struct acme *acme, const struct acme_order_spec *spec)
{
    struct acme_order *order = MEM_NEW(struct acme_order);
    order->acme = acme;
    order_copy_spec(order, spec);
    order->progress.names = order->spec.names;
    order->progress.num_names = order->spec.num_names;
    order->progress.challenges = order->spec.challenges;
    order->progress.num_challenges = order->spec.num_challenges;
    order->progress.replaces = order->spec.replaces;
    order->progress.preferred_chain = order->spec.preferred_chain;
    order->progress.directory = &acme->directory;
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
    if (order->key_busy)
        order->acme->world.cancel_key(order->acme->world.ctx, &order->key_job);
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
    struct acme_result result = {.journal_key = buf_slice(&order->journal_key),
                                 .step = order->failed_step,
                                 .profile = order->progress.profile,
                                 .replaced = order->progress.replaced};
    if (order->progress.chain.num_certs) /* good, or refused */
        order_fill_certificate(order, &result, &chain_pem, &key_pem);
    result.issued = order->issued;
    if (!order->issued) {
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

const char *acme_order_challenge(const struct acme_order *order)
{
    return order->progress.challenge_taken ? acme_challenge_name(order->progress.challenge) : NULL;
}

const char *acme_order_step(const struct acme_order *order)
{
    switch (order->phase) {
    case ORDER_AT_QUEUED: return "queued";
    case ORDER_AT_OPENING:
    case ORDER_AT_INTENT: return "journal";
    case ORDER_AT_KEYING: return "key";
    case ORDER_AT_ACCOUNT: return "account";
    case ORDER_AT_ASKING:
    case ORDER_AT_NOTING:
    case ORDER_AT_WAITING: return order_steps[order->step]->name;
    case ORDER_AT_PUBLISHING: return "publish";
    case ORDER_AT_CLOSING:
    case ORDER_AT_FINISHED: break;
    }
    return "finished";
}
