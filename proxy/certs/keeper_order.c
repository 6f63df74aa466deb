#include "acme/chain.h"
#include "acme/renewal.h"
#include "base/b64url.h"
#include "certs/keeper_internal.h"
#include "certs/self_test.h"
#include "store/cert_record.h"

/* ---- schedule ---- */

static bool name_has_issued(const struct keeper_name *name)
{
    return name->cert && name->cert->source == CERT_ISSUED;
}

/* Of a certificate that clients accept; 0: there is none, and no back-off need mind it. */
static int64_t name_served_until_ms(const struct keeper_name *name)
{
    return name_has_issued(name) ? name->cert->not_after_s * 1000 : 0;
}

/* Chosen once for each certificate. Where that instant has passed when it is chosen (a clock that is ahead, a CA that dates
 * back), half of what is left is waited for: never a storm of orders. */
static void name_choose_renewal(struct keeper_name *name, const struct cert *cert, int64_t now_ms)
{
    struct name_state *state = &name->state;
    unsigned permille = name->keeper->config->acme.renew_at_permille;
    int64_t until_ms = cert->not_after_s * 1000;
    int64_t due_ms = renewal_due_s(cert->not_before_s, cert->not_after_s, permille, keeper_random()) * 1000;
    if (due_ms <= now_ms && now_ms < until_ms)
        due_ms = now_ms + (until_ms - now_ms) / 2;
    state->renew_at_ms = due_ms > 0 ? due_ms : 1;
    state->renew_permille = permille;
    name_state_keep(&state->serial, slice_str(cert->serial));
}

static bool name_renewal_is_chosen(const struct keeper_name *name)
{
    const struct name_state *state = &name->state;
    return state->renew_at_ms && state->renew_permille == name->keeper->config->acme.renew_at_permille &&
           slice_eq(buf_slice(&state->serial), slice_str(name->cert->serial));
}

/* Wall clock from which on a new certificate is wanted; 0: now. */
static int64_t name_wanted_ms(struct keeper_name *name, int64_t now_ms)
{
    const struct keeper *keeper = name->keeper;
    if (!name_has_issued(name) || !slice_eq(buf_slice(&name->directory_url), keeper->config->acme.directory))
        return 0;
    if (now_ms >= name->cert->not_after_s * 1000)
        return 0;
    if (!name_renewal_is_chosen(name)) {
        name_choose_renewal(name, name->cert, now_ms);
        keeper_state_dirty(name);
    }
    return name->state.renew_at_ms;
}

/* ---- the state's record ---- */

static void keeper_state_done(struct store_call *call, enum store_result result, const struct store_record *records,
                              size_t num_records)
{
    struct keeper *keeper = container_of(call, struct keeper, state_call);
    size_t num = keeper->num_state_batch;
    (void)records, (void)num_records;
    keeper->num_state_batch = 0;
    if (result == STORE_OK)
        keeper_state_flush(keeper);
    for (size_t i = 0; result != STORE_OK && i < num; i++) { /* with the next change, or the next minute */
        struct list *node = &keeper->state_batch[i]->dirty;
        list_remove(node);
        list_append(&keeper->dirty, node);
    }
    keeper_sweep_leaving(keeper);
}

static void name_state_key(const struct keeper_name *name, struct buf *out)
{
    buf_append_slice(out, SLICE_LIT("state/"));
    buf_append_slice(out, name->text);
}

void keeper_state_flush(struct keeper *keeper)
{
    struct buf keys[KEEPER_STATE_BATCH] = {{0}}, values[KEEPER_STATE_BATCH] = {{0}};
    struct store_write writes[KEEPER_STATE_BATCH];
    struct list *node;
    size_t num = 0;
    if (!keeper->writer || keeper->stopped || keeper->num_state_batch)
        return;
    for (; num < KEEPER_STATE_BATCH && (node = list_first(&keeper->dirty)); num++) {
        struct keeper_name *name = container_of(node, struct keeper_name, dirty);
        list_remove(node);
        keeper->state_batch[num] = name;
        name_state_key(name, &keys[num]);
        name_state_write(&name->state, &values[num]);
        writes[num] = (struct store_write){.key = buf_slice(&keys[num]), .value = buf_slice(&values[num])};
    }
    keeper->num_state_batch = num;
    if (num)
        keeper->world.store->ops->commit(keeper->world.store, writes, num, &keeper->state_call);
    for (size_t i = 0; i < num; i++) {
        buf_cleanup(&keys[i]);
        buf_cleanup(&values[i]);
    }
}

void keeper_state_init(struct keeper *keeper)
{
    keeper->state_call.done = keeper_state_done;
}

void keeper_state_dirty(struct keeper_name *name)
{
    if (list_empty(&name->dirty))
        list_append(&name->keeper->dirty, &name->dirty);
}

/* ---- failure ---- */

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

static void name_fail_local(struct keeper_name *name, const char *step, struct err err, const char *sentence)
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

/* ---- success ---- */

static void name_log_obtained(const struct keeper_name *name, const struct cert *cert)
{
    char not_after[CLOCK_TEXT_BYTES];
    LOG_INFO_EVENT(name->keeper->world.log, "certificate_obtained", LOG_SLICE("name", name->text),
                   LOG_STR("serial", cert->serial), LOG_STR("issuer", cert->issuer),
                   LOG_STR("not_after", clock_rfc3339(cert->not_after_s * 1000, not_after)),
                   LOG_SLICE("directory", buf_slice(&name->save.directory_url)));
}

/* Whatever became of the writing: a certificate that works is served. */
static void name_serve_saved(struct keeper_name *name)
{
    struct cert *cert = name->save.cert;
    name->save.cert = NULL;
    if (!cert || name->kind != NAME_ACME || name_is_leaving(name)) { /* a reload came in between */
        cert_unref(cert);
        return;
    }
    keeper_serve(name, cert, buf_slice(&name->save.directory_url));
    keeper_announce(name);
}

static void name_forget_record(struct keeper_name *name)
{
    buf_cleanup_secret(&name->save.record);
    buf_cleanup(&name->save.journal_key);
    name->save.record = name->save.journal_key = (struct buf){0};
}

static void name_save_done(struct store_call *call, enum store_result result, const struct store_record *records,
                           size_t num_records)
{
    struct keeper_name *name = container_of(call, struct keeper_name, save.call);
    (void)records, (void)num_records;
    name->save.busy = false;
    if (result == STORE_OK) {
        name->unreadable = false;
        name->record_generation++;
        name_forget_record(name);
    } else {
        name->save.retry_ms = keeper_wall_ms(name->keeper) + KEEPER_LOOK_MS;
        LOG_ERROR_EVENT(name->keeper->world.log, "certificate_not_stored", LOG_SLICE("name", name->text),
                        LOG_STR("result", store_result_text(result)),
                        LOG_STR("msg",
                                "the new certificate is served, but a restart would lose it; it is stored as soon as "
                                "the storage can be written"));
        if (result == STORE_FENCED) /* another process writes: what it has is the truth */
            name_forget_record(name);
    }
    name_serve_saved(name);
    if (name_is_leaving(name))
        keeper_sweep_leaving(name->keeper);
    else
        keeper_look_soon(name);
}

/* One commit: the certificate in, the order's journal out, the schedule with them (DESIGN.md). */
static void keeper_save(struct keeper_name *name)
{
    struct store *store = name->keeper->world.store;
    struct buf key = {0}, state_key = {0}, state = {0};
    buf_append_slice(&key, SLICE_LIT("certificate/"));
    buf_append_slice(&key, name->text);
    name_state_key(name, &state_key);
    name_state_write(&name->state, &state);
    struct store_write writes[] = {
        {.key = buf_slice(&key), .value = buf_slice(&name->save.record)},
        {.key = buf_slice(&state_key), .value = buf_slice(&state)},
        {.key = buf_slice(&name->save.journal_key), .value = SLICE_NONE},
    };
    list_remove(&name->dirty);
    name->save.busy = true;
    name->save.call.done = name_save_done;
    store->ops->commit(store, writes, name->save.journal_key.len ? 3 : 2, &name->save.call);
    buf_cleanup(&key);
    buf_cleanup(&state_key);
    buf_cleanup(&state);
}

static struct err name_write_record(struct keeper_name *name, const struct acme_result *result, struct buf *out)
{
    struct cert_record record = {.names = &name->text,
                                 .num_names = 1,
                                 .directory_url = result->directory_url,
                                 .account_url = result->account_url,
                                 .order_url = result->order_url,
                                 .key_type = key_type_of(result->key),
                                 .issued_s = keeper_wall_ms(name->keeper) / 1000,
                                 .generation = name->record_generation + 1,
                                 .replaces = name_has_issued(name) ? slice_str(name->cert->serial) : SLICE_NONE,
                                 .key_pem = result->key_pem,
                                 .chain_pem = result->chain_pem};
    return cert_record_write(&record, out);
}

static void name_issued(struct keeper_name *name, const struct acme_result *result)
{
    struct cert *cert = NULL;
    struct buf record = {0};
    struct err err = keeper_make_cert(CERT_ISSUED, result->chain, result->key, &cert);
    if (!err_is(err))
        err = self_test(cert, name->text);
    if (!err_is(err))
        err = name_write_record(name, result, &record);
    if (err_is(err)) { /* the journal stays: the next attempt fetches the same certificate, and orders no other */
        buf_cleanup_secret(&record);
        cert_unref(cert);
        name_fail_local(name, "self-test", err, "the new certificate does not work and is not served");
        return;
    }
    name_forget_record(name);
    name->save.record = record;
    buf_append_slice(&name->save.journal_key, result->journal_key);
    name_state_keep(&name->save.directory_url, result->directory_url);
    name->save.cert = cert;
    name->attempts.num_issued++;
    backoff_succeeded(&name->state.backoff);
    name_state_clear_problem(&name->state);
    name_choose_renewal(name, cert, keeper_wall_ms(name->keeper));
    name_log_obtained(name, cert);
    keeper_save(name);
}

/* ---- orders ---- */

static void name_order_done(struct acme_order *order, const struct acme_result *result, void *ctx)
{
    struct keeper_name *name = ctx;
    (void)order;
    name->order = NULL;
    if (result->issued)
        name_issued(name, result);
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
        keeper_save(name);
        return INT64_MAX;
    }
    int64_t wanted_ms = name_wanted_ms(name, now_ms);
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
    name_forget_record(name);
    buf_cleanup(&name->save.directory_url);
    cert_unref(name->save.cert);
    cert_unref(name->cert);
    buf_cleanup(&name->directory_url);
    name_state_cleanup(&name->state);
}

/* ---- the engine ---- */

static void keeper_wake_at(void *ctx, int64_t mono_ms)
{
    alarm_set(&((struct keeper *)ctx)->engine, mono_ms);
}

static const char *engine_mistake_variable(const struct config *config)
{
    return config->acme.account_key.text.len ? "PORTICO_ACME_ACCOUNT_KEY" : "PORTICO_ACME_DIRECTORY, _EMAIL or _EAB_*";
}

/* What both can be made of; the HMAC key's text is the caller's to overwrite. */
static struct acme_options engine_options(const struct config *config, struct buf *hmac_key)
{
    b64url_encode(hmac_key, config->acme.eab_hmac_key);
    return (struct acme_options){.directory_url = config->acme.directory,
                                 .accept_terms = config->acme.accept_terms,
                                 .email = config->acme.email,
                                 .eab_kid = config->acme.eab_kid,
                                 .eab_hmac_key = buf_slice(hmac_key),
                                 .account_key_pem = config->acme.account_key.text};
}

static struct err engine_make(const struct acme_world *world, const struct config *config, struct acme **out_acme,
                              struct buf *out_mistake)
{
    struct buf hmac_key = {0};
    char text[160];
    struct acme_options options = engine_options(config, &hmac_key);
    struct err err = acme_new(world, &options, out_acme);
    buf_cleanup_secret(&hmac_key);
    if (err_is(err))
        buf_printf(out_mistake, "%s: %s", engine_mistake_variable(config), err_text(err, text, sizeof text));
    return err;
}

struct err keeper_engine_new(struct keeper *keeper, struct buf *out_mistake)
{
    struct acme_world world = {.transport = keeper->world.transport,
                               .store = keeper->world.store,
                               .clock = keeper->world.clock,
                               .log = keeper->world.log,
                               .ctx = keeper,
                               .wake_at = keeper_wake_at,
                               .publish = keeper_publish_challenge,
                               .withdraw = keeper_withdraw_challenge,
                               .account_known = keeper_account_known};
    return engine_make(&world, keeper->config, &keeper->acme, out_mistake);
}

static void check_wake_at(void *ctx, int64_t mono_ms)
{
    (void)ctx, (void)mono_ms;
}

struct err keeper_engine_check(const struct keeper *keeper, const struct config *config, struct buf *out_mistake)
{
    struct acme_world world = {.clock = keeper->world.clock, .wake_at = check_wake_at}; /* never woken */
    struct acme *acme = NULL;
    struct err err = engine_make(&world, config, &acme, out_mistake);
    if (!err_is(err))
        acme_free(acme);
    return err;
}

void keeper_engine_free(struct keeper *keeper)
{
    for (size_t i = 0; i < keeper->num_names; i++)
        keeper->names[i]->order = NULL; /* they go with it */
    acme_free(keeper->acme);
    keeper->acme = NULL;
    alarm_stop(&keeper->engine);
}
