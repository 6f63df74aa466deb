#include "acme/chain.h"
#include "acme/renewal.h"
#include "certs/keeper_internal.h"

/* ---- where and when ---- */

static struct backoff *name_backoff(struct keeper_name *name, enum issuer_rank rank)
{
    return rank == ISSUER_FIRST ? &name->state.backoff : &name->state.fallback;
}

/* The CA counts what it could not validate, and what it limits, by the name: of two certificates one waits for the other. */
static int64_t name_other_allows_ms(struct keeper_name *name, enum issuer_rank rank, int64_t now_ms)
{
    struct keeper_name *other = name->other;
    if (!other || !name_backoff(other, rank)->num_failures)
        return 0;
    enum problem_class class = problem_class_from_name(buf_slice(&other->state.problem_class));
    return class == PROBLEM_VALIDATION || class == PROBLEM_LATER
               ? backoff_next_ms(name_backoff(other, rank), now_ms, false)
               : 0;
}

static int64_t name_allowed_ms(struct keeper_name *name, enum issuer_rank rank, int64_t now_ms)
{
    if (name->asked == NAME_FORCED)
        return 0;
    int64_t own_ms = backoff_next_ms(name_backoff(name, rank), now_ms, name->asked == NAME_ASKED);
    int64_t other_ms = name->asked == NAME_ASKED ? 0 : name_other_allows_ms(name, rank, now_ms);
    return greatest(own_ms, other_ms);
}

static bool name_may_fall_back(const struct keeper_name *name)
{
    return name->keeper->issuers[ISSUER_FALLBACK].acme && !name->local &&
           name->state.num_ca_failures >= KEEPER_CA_FAILURES;
}

/* Who is asked next, and from when on. The first is asked whenever its time has come, so that it is gone back to as soon
 * as it answers; the other only in between. */
static enum issuer_rank name_plan(struct keeper_name *name, int64_t now_ms, int64_t *out_allowed_ms)
{
    int64_t first_ms = name_allowed_ms(name, ISSUER_FIRST, now_ms);
    *out_allowed_ms = first_ms;
    if (first_ms <= now_ms || !name_may_fall_back(name))
        return ISSUER_FIRST;
    int64_t fallback_ms = name_allowed_ms(name, ISSUER_FALLBACK, now_ms);
    if (first_ms <= fallback_ms)
        return ISSUER_FIRST;
    *out_allowed_ms = fallback_ms;
    return ISSUER_FALLBACK;
}

/* ---- failure ---- */

/* Of a certificate that clients accept; 0: there is none, and no back-off need mind it. */
static int64_t name_served_until_ms(const struct keeper_name *name)
{
    return name_has_issued(name) ? name->cert->not_after_s * 1000 : 0;
}

/* What is wrong is this machine's clock, and not the certificate. */
static void name_log_clock(const struct keeper_name *name, const char *step, const struct problem *problem)
{
    const struct acme *acme = name->keeper->issuers[name->rank].acme;
    bool refused = problem->class == PROBLEM_LOCAL && step && strcmp(step, "download") == 0;
    if (!refused || (problem->err.code != CHAIN_NOT_YET_VALID && problem->err.code != CHAIN_EXPIRED))
        return;
    LOG_ERROR_EVENT(name->keeper->world.log, "clock_wrong", LOG_SLICE("name", name->text),
                    LOG_INT("ahead_s", acme_clock_skew_ms(acme) / 1000), LOG_SLICE("detail", problem->detail),
                    LOG_STR("msg", "by this machine's clock a certificate that has just been issued is not valid: set "
                                   "the clock; the certificate is kept at the CA and taken as soon as it is right"));
}

static void name_log_failure(struct keeper_name *name, const char *step, const struct problem *problem,
                             struct slice sentence, int64_t now_ms)
{
    const struct keeper *keeper = name->keeper;
    const struct backoff *backoff = name_backoff(name, name->rank);
    bool covered = name_has_issued(name) &&
                   !renewal_is_emergency(name->cert->not_before_s, name->cert->not_after_s, now_ms / 1000);
    int64_t next_ms;
    name_plan(name, now_ms, &next_ms);
    LOG(keeper->world.log, covered ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR, "order_failed", LOG_SLICE("name", name->text),
        LOG_SLICE("msg", sentence), LOG_STR("step", step ? step : ""),
        LOG_STR("class", problem_class_name(problem->class)), LOG_SLICE("type", problem->type),
        LOG_SLICE("detail", problem->detail), LOG_STR("key_type", key_type_name(name->key_type)),
        LOG_SLICE("directory", issuer_directory(&keeper->issuers[name->rank])),
        LOG_INT("failures", backoff->num_failures),
        LOG_INT("next_attempt_s", next_ms > now_ms ? (next_ms - now_ms + 999) / 1000 : 0),
        LOG_STR("served", name->cert ? cert_source_text(name->cert->source) : "nothing"));
    if (backoff->retry_after_capped)
        LOG_WARN_EVENT(
            keeper->world.log, "retry_after_capped", LOG_SLICE("name", name->text),
            LOG_INT("asked_s", problem->retry_after_ms / 1000),
            LOG_STR("msg", "the CA asked for a longer wait than a day, or a week at a limit: it is asked then"));
}

/* Whether the CA is at fault, as far as the first is concerned; what is ours to mend says nothing of it. */
static void name_count_ca_failure(struct keeper_name *name, enum problem_class class)
{
    if (name->rank != ISSUER_FIRST || class == PROBLEM_LOCAL)
        return;
    bool at_fault = class == PROBLEM_TRANSIENT || class == PROBLEM_LATER;
    name->state.num_ca_failures = at_fault ? name->state.num_ca_failures + 1 : 0;
    name->keeper->first_fails = name->keeper->first_fails || at_fault;
    if (name->state.num_ca_failures == KEEPER_CA_FAILURES && name_may_fall_back(name))
        LOG_WARN_EVENT(name->keeper->world.log, "issuer_fallback", LOG_SLICE("name", name->text),
                       LOG_SLICE("directory", issuer_directory(&name->keeper->issuers[ISSUER_FALLBACK])),
                       LOG_STR("msg", "the CA of PORTICO_ACME_DIRECTORY has failed three times in a row: the name is "
                                      "ordered from PORTICO_ACME_FALLBACK until it answers again"));
}

static void name_fail(struct keeper_name *name, const char *step, const struct problem *problem, struct slice sentence)
{
    struct keeper *keeper = name->keeper;
    struct name_state *state = &name->state;
    int64_t now_ms = keeper_wall_ms(keeper);
    if (!keeper->writer) /* it ended because another process writes now: no failure of the name's */
        return;
    name->attempts.num_failed[problem->class]++;
    backoff_failed(name_backoff(name, name->rank), problem, now_ms, name_served_until_ms(name), keeper_random());
    name_count_ca_failure(name, problem->class);
    name_state_set_problem(state, problem, sentence);
    name_state_keep(&state->directory_url, config_directory_of(keeper->config, ISSUER_FIRST));
    name_state_keep(&state->fallback_url, config_directory_of(keeper->config, ISSUER_FALLBACK));
    state->setup.len = 0;
    name_setup_write(name, &state->setup);
    name_log_clock(name, step, problem);
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

static bool name_has_failed(const struct keeper_name *name)
{
    return name->state.backoff.num_failures || name->state.fallback.num_failures;
}

/* Our own steps alone: the CA's Retry-After holds. */
static void name_forgive_own(struct keeper_name *name)
{
    name->state.backoff.next_ms = name->state.fallback.next_ms = 0;
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
        if (!name_has_failed(name) || problem_class_from_name(class) != PROBLEM_LOCAL)
            continue;
        backoff_succeeded(&name->state.backoff);
        backoff_succeeded(&name->state.fallback);
        keeper_look_soon(name);
    }
}

void keeper_order_forgive_engine(struct keeper *keeper)
{
    for (size_t i = 0; i < keeper->num_names; i++) {
        struct keeper_name *name = keeper->names[i];
        enum problem_class class = problem_class_from_name(buf_slice(&name->state.problem_class));
        if (class == PROBLEM_ACCOUNT || class == PROBLEM_TRANSIENT)
            name_forgive_own(name);
    }
}

/* What the CA will not do for the name as it stood, it may do for the name as it stands; also behind a restart. */
static void name_notice_setup(struct keeper_name *name)
{
    enum problem_class class = problem_class_from_name(buf_slice(&name->state.problem_class));
    struct buf setup = {0};
    if (!name_has_failed(name) || (class != PROBLEM_PERMANENT && class != PROBLEM_ACCOUNT))
        return;
    name_setup_write(name, &setup);
    if (!slice_eq(buf_slice(&setup), buf_slice(&name->state.setup))) {
        name_state_keep(&name->state.setup, buf_slice(&setup));
        name_forgive_own(name);
        keeper_state_dirty(name);
    }
    buf_cleanup(&setup);
}

/* ---- success ---- */

/* What it said to one name, such as a limit, stands; that it was not to be had does not. */
static void keeper_first_answers(struct keeper *keeper)
{
    keeper->first_fails = false;
    for (size_t i = 0; i < keeper->num_names; i++) {
        struct name_state *state = &keeper->names[i]->state;
        if (problem_class_from_name(buf_slice(&state->problem_class)) == PROBLEM_TRANSIENT)
            state->num_ca_failures = 0;
    }
}

void keeper_order_succeeded(struct keeper_name *name)
{
    struct keeper *keeper = name->keeper;
    bool first = name->rank == ISSUER_FIRST;
    name->attempts.num_issued++;
    name->asked = NAME_NOT_ASKED;
    name->wants_new = false;
    name_state_forgive(&name->state);
    if (!first) /* the next one begins with the first again, which has one failure left */
        name->state.num_ca_failures = KEEPER_CA_FAILURES - 1;
    if (first && keeper->first_fails)
        keeper_first_answers(keeper);
}

/* ---- orders ---- */

static void name_order_done(struct acme_order *order, const struct acme_result *result, void *ctx)
{
    struct keeper_name *name = ctx;
    const char *challenge = acme_order_challenge(order);
    name->order = NULL;
    if (challenge)
        name_state_keep(&name->state.challenge, slice_str(challenge));
    keeper_ledger_close(name, result);
    if (name->other) /* it may have waited for this one */
        keeper_look_soon(name->other);
    if (result->issued) {
        keeper_commit_issued(name, result);
        return;
    }
    if (result->problem.class == PROBLEM_VALIDATION && result->challenge_type.len)
        name_state_keep(&name->state.failed_challenge, result->challenge_type);
    name->asked = NAME_NOT_ASKED;
    keeper_quarantine_take(name, result);
    name_fail(name, result->step, &result->problem, result->sentence);
}

static const char *name_order_reason(const struct keeper_name *name)
{
    if (name->wants_new)
        return "asked for";
    if (!name_has_issued(name))
        return "first certificate";
    return name_suits_config(name) ? "renewal" : "another configuration";
}

/* The certificate that the new one takes the place of (ACME-98): of the same CA, for the same name, of the same kind. */
static bool name_write_predecessor(const struct keeper_name *name, enum issuer_rank rank, struct buf *out)
{
    struct slice directory_url = issuer_directory(&name->keeper->issuers[rank]);
    return name_has_issued(name) && slice_eq(buf_slice(&name->directory_url), directory_url) &&
           keeper_ari_id(name->cert, out);
}

static void name_order(struct keeper_name *name, enum issuer_rank rank, int64_t now_ms)
{
    const struct keeper *keeper = name->keeper;
    struct order_setup setup;
    struct buf record = {0}, replaces = {0};
    bool predecessor = name_write_predecessor(name, rank, &replaces);
    keeper_order_record(name, rank, &record);
    name_setup(name, &setup);
    struct acme_order_spec spec = {.record = buf_slice(&record),
                                   .names = &name->text,
                                   .num_names = 1,
                                   .key_type = name->key_type,
                                   .challenges = setup.challenges,
                                   .num_challenges = setup.num_challenges,
                                   .profiles = setup.profiles,
                                   .num_profiles = setup.num_profiles,
                                   .replaces = buf_slice(&replaces),
                                   .preferred_chain = keeper->config->acme.preferred_chain,
                                   .done = name_order_done,
                                   .ctx = name};
    LOG_INFO_EVENT(keeper->world.log, "order_started", LOG_SLICE("name", name->text),
                   LOG_STR("reason", name_order_reason(name)), LOG_STR("key_type", key_type_name(name->key_type)),
                   LOG_STR("window", keeper_renewal_note_order(name, predecessor, now_ms)),
                   LOG_SLICE("directory", issuer_directory(&keeper->issuers[rank])));
    name->next_attempt_ms = 0;
    name->rank = rank;
    keeper_ledger_open(name, rank, now_ms);
    name->order = acme_order_new(keeper->issuers[rank].acme, &spec);
    buf_cleanup(&record);
    buf_cleanup(&replaces);
}

/* Whatever is in the way looks again when it ends. */
static bool name_is_held_up(const struct keeper_name *name)
{
    const struct keeper *keeper = name->keeper;
    return !keeper->writer || keeper->stopped || !keeper_has_engines(keeper) || keeper->stage != STAGE_IDLE ||
           name->unreadable || name->order || name->save.busy;
}

static bool name_is_in_emergency(const struct keeper_name *name, int64_t now_ms)
{
    return name_has_issued(name) &&
           renewal_is_emergency(name->cert->not_before_s, name->cert->not_after_s, now_ms / 1000);
}

/* What waits in quarantine for it may be hidden: one order too many is better than a certificate that lapses. */
static bool name_waits_for_lists(const struct keeper_name *name, int64_t now_ms)
{
    return !name->keeper->lists_readable && !name_is_in_emergency(name, now_ms);
}

/* Issued, and not stored yet. */
static int64_t name_save_again(struct keeper_name *name, int64_t now_ms)
{
    if (now_ms < name->save.retry_ms && name->save.retry_ms <= now_ms + KEEPER_LOOK_MS)
        return name->save.retry_ms;
    keeper_commit_save(name);
    return INT64_MAX;
}

static int64_t name_wanted_ms(struct keeper_name *name, int64_t now_ms)
{
    if (name->wants_new)
        return 0;
    return name->state.held ? INT64_MAX : keeper_renewal_wanted_ms(name, now_ms);
}

static int64_t name_next_ms(struct keeper_name *name, int64_t now_ms, int64_t hold_ms, enum issuer_rank *out_rank)
{
    int64_t allowed_ms;
    *out_rank = name_plan(name, now_ms, &allowed_ms);
    int64_t next_ms = greatest(name_wanted_ms(name, now_ms), allowed_ms);
    if (name->asked != NAME_FORCED && !name_is_in_emergency(name, now_ms))
        next_ms = greatest(next_ms, hold_ms);
    return next_ms;
}

int64_t keeper_order_at_ms(struct keeper_name *name, int64_t now_ms)
{
    enum issuer_rank rank;
    int64_t next_ms = name_next_ms(name, now_ms, name->quarantine.until_ms, &rank);
    return greatest(next_ms, now_ms);
}

int64_t keeper_order_look(struct keeper_name *name, int64_t now_ms)
{
    int64_t hold_ms, look_ms;
    enum issuer_rank rank;
    name->next_attempt_ms = 0;
    if (name_is_held_up(name))
        return INT64_MAX;
    if (name->save.record.len)
        return name_save_again(name, now_ms);
    if (name_waits_for_lists(name, now_ms))
        return now_ms + KEEPER_QUARANTINE_LOOK_MS;
    look_ms = keeper_quarantine_look(name, now_ms, &hold_ms);
    if (name->save.busy) /* what was kept works now */
        return INT64_MAX;
    name_notice_setup(name);
    int64_t next_ms = name_next_ms(name, now_ms, hold_ms, &rank);
    if (next_ms <= now_ms)
        next_ms = greatest(next_ms, keeper_demand_allows_ms(name, now_ms));
    if (next_ms > now_ms) /* that is what it waits for */
        name->paced_by = LEDGER_UNKNOWN;
    int64_t paced_ms = next_ms <= now_ms ? keeper_ledger_allows_ms(name, rank, now_ms) : 0;
    next_ms = greatest(next_ms, paced_ms);
    if (paced_ms > now_ms) /* also by orders that are under way, and may leave it their place */
        look_ms = least(look_ms, now_ms + KEEPER_PACED_LOOK_MS);
    look_ms = least(look_ms, keeper_preflight_look(name, now_ms, &next_ms));
    if (next_ms <= now_ms && !(name->other && name->other->order)) {
        name_order(name, rank, now_ms);
        return INT64_MAX;
    }
    name->next_attempt_ms = next_ms == INT64_MAX ? 0 : next_ms;
    return least(look_ms, next_ms > now_ms ? next_ms : INT64_MAX);
}

void keeper_order_cancel(struct keeper_name *name)
{
    keeper_preflight_cancel(name);
    if (name->order)
        acme_order_cancel(name->order);
    name->order = NULL;
    name->next_attempt_ms = 0;
    keeper_ledger_close(name, NULL);
}

void keeper_order_cancel_all(struct keeper *keeper)
{
    for (size_t i = 0; i < keeper->num_names; i++)
        keeper_order_cancel(keeper->names[i]);
}

void keeper_name_cleanup(struct keeper_name *name)
{
    struct store *store = name->keeper->world.store;
    keeper_preflight_cancel(name);
    if (name->save.busy)
        store->ops->cancel(store, &name->save.call);
    keeper_ari_cancel(name);
    keeper_commit_forget(name);
    buf_cleanup(&name->save.directory_url);
    buf_cleanup(&name->save.profile);
    keeper_quarantine_cleanup(name);
    cert_unref(name->save.cert);
    cert_unref(name->cert);
    buf_cleanup(&name->directory_url);
    buf_cleanup(&name->profile);
    name_state_cleanup(&name->state);
}
