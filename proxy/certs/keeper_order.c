#include "acme/renewal.h"
#include "certs/keeper_internal.h"

/* ---- failure ---- */

/* Of a certificate that clients accept; 0: there is none, and no back-off need mind it. */
static int64_t name_served_until_ms(const struct keeper_name *name)
{
    return name_has_issued(name) ? name->cert->not_after_s * 1000 : 0;
}

static void name_log_failure(const struct keeper_name *name, const char *step, const struct problem *problem,
                             struct slice sentence, int64_t now_ms)
{
    const struct keeper *keeper = name->keeper;
    bool covered = name_has_issued(name) &&
                   !renewal_is_emergency(name->cert->not_before_s, name->cert->not_after_s, now_ms / 1000);
    struct backoff backoff = name->state.backoff;
    LOG(keeper->world.log, covered ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR, "order_failed", LOG_SLICE("name", name->text),
        LOG_SLICE("msg", sentence), LOG_STR("step", step ? step : ""),
        LOG_STR("class", problem_class_name(problem->class)), LOG_SLICE("type", problem->type),
        LOG_SLICE("detail", problem->detail), LOG_INT("failures", backoff.num_failures),
        LOG_INT("next_attempt_s", (backoff_next_ms(&backoff, now_ms, false) - now_ms + 999) / 1000),
        LOG_STR("served", name->cert ? cert_source_text(name->cert->source) : "nothing"));
    if (backoff.retry_after_capped)
        LOG_WARN_EVENT(
            keeper->world.log, "retry_after_capped", LOG_SLICE("name", name->text),
            LOG_INT("asked_s", problem->retry_after_ms / 1000),
            LOG_STR("msg", "the CA asked for a longer wait than a day, or a week at a limit: it is asked then"));
}

static void name_fail(struct keeper_name *name, const char *step, const struct problem *problem, struct slice sentence)
{
    struct keeper *keeper = name->keeper;
    int64_t now_ms = keeper_wall_ms(keeper);
    if (!keeper->writer) /* it ended because another process writes now: no failure of the name's */
        return;
    name->attempts.num_failed[problem->class]++;
    backoff_failed(&name->state.backoff, problem, now_ms, name_served_until_ms(name), keeper_random());
    name_state_set_problem(&name->state, problem, sentence);
    name_state_keep(&name->state.directory_url, keeper->config->acme.directory);
    name_log_failure(name, step, problem, sentence, now_ms);
    keeper_state_dirty(name);
    keeper_state_flush(keeper);
    keeper_look_soon(name);
}

void keeper_order_fail_local(struct keeper_name *name, const char *step, struct err err, const char *sentence)
{
    struct arena arena = {0};
    struct buf text = {0};
    char words[160];
    struct problem problem = problem_local(&arena, PROBLEM_LOCAL, err, slice_str(sentence));
    buf_printf(&text, "%s (%s)", sentence, err_text(err, words, sizeof words));
    name_fail(name, step, &problem, buf_slice(&text));
    buf_cleanup(&text);
    arena_cleanup(&arena);
}

void keeper_order_forgive_local(struct keeper *keeper)
{
    for (size_t i = 0; i < keeper->num_names; i++) {
        struct keeper_name *name = keeper->names[i];
        struct slice class = buf_slice(&name->state.problem_class);
        if (name->save.record.len) {
            name->save.retry_ms = 0;
            keeper_look_soon(name);
        }
        if (!name->state.backoff.num_failures || problem_class_from_name(class) != PROBLEM_LOCAL)
            continue;
        backoff_succeeded(&name->state.backoff);
        keeper_look_soon(name);
    }
}

void keeper_order_forgive_engine(struct keeper *keeper)
{
    for (size_t i = 0; i < keeper->num_names; i++) {
        struct name_state *state = &keeper->names[i]->state;
        enum problem_class class = problem_class_from_name(buf_slice(&state->problem_class));
        if (state->backoff.num_failures && (class == PROBLEM_ACCOUNT || class == PROBLEM_TRANSIENT))
            state->backoff.next_ms = 0; /* our own step alone: the CA's Retry-After holds */
    }
}

/* ---- orders ---- */

static void name_order_done(struct acme_order *order, const struct acme_result *result, void *ctx)
{
    struct keeper_name *name = ctx;
    (void)order;
    name->order = NULL;
    if (result->issued)
        keeper_commit_issued(name, result);
    else
        name_fail(name, result->step, &result->problem, result->sentence);
}

static void name_order(struct keeper_name *name)
{
    struct acme_order_spec spec = {.record = name->text,
                                   .names = &name->text,
                                   .num_names = 1,
                                   .key_type = KEY_P256,
                                   .done = name_order_done,
                                   .ctx = name};
    LOG_INFO_EVENT(name->keeper->world.log, "order_started", LOG_SLICE("name", name->text),
                   LOG_STR("reason", !name_has_issued(name) ? "first certificate" : "renewal"),
                   LOG_SLICE("directory", name->keeper->config->acme.directory));
    name->next_attempt_ms = 0;
    name->order = acme_order_new(name->keeper->acme, &spec);
}

int64_t keeper_order_look(struct keeper_name *name, int64_t now_ms)
{
    struct keeper *keeper = name->keeper;
    name->next_attempt_ms = 0;
    if (!keeper->writer || keeper->stopped || !keeper->acme || keeper->stage != STAGE_IDLE || name->unreadable ||
        name->order || name->save.busy)
        return INT64_MAX;        /* whatever ends that looks again */
    if (name->save.record.len) { /* issued, and not stored yet */
        if (now_ms < name->save.retry_ms && name->save.retry_ms <= now_ms + KEEPER_LOOK_MS)
            return name->save.retry_ms;
        keeper_commit_save(name);
        return INT64_MAX;
    }
    int64_t wanted_ms = keeper_renewal_wanted_ms(name, now_ms);
    int64_t allowed_ms = backoff_next_ms(&name->state.backoff, now_ms, false);
    int64_t next_ms = wanted_ms > allowed_ms ? wanted_ms : allowed_ms;
    if (next_ms <= now_ms) {
        name_order(name);
        return INT64_MAX;
    }
    name->next_attempt_ms = next_ms;
    return next_ms;
}

void keeper_order_cancel(struct keeper_name *name)
{
    if (name->order)
        acme_order_cancel(name->order);
    name->order = NULL;
    name->next_attempt_ms = 0;
}

void keeper_order_cancel_all(struct keeper *keeper)
{
    for (size_t i = 0; i < keeper->num_names; i++)
        keeper_order_cancel(keeper->names[i]);
}

void keeper_name_cleanup(struct keeper_name *name)
{
    struct store *store = name->keeper->world.store;
    if (name->save.busy)
        store->ops->cancel(store, &name->save.call);
    keeper_commit_forget(name);
    buf_cleanup(&name->save.directory_url);
    cert_unref(name->save.cert);
    cert_unref(name->cert);
    buf_cleanup(&name->directory_url);
    name_state_cleanup(&name->state);
}
