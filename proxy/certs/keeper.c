#include "certs/keeper.h"

#include "certs/keeper_internal.h"

#include <openssl/rand.h>

int64_t keeper_wall_ms(const struct keeper *keeper)
{
    return keeper->world.clock->wall_ms(keeper->world.clock);
}

int64_t keeper_mono_ms(const struct keeper *keeper)
{
    return keeper->world.clock->mono_ms(keeper->world.clock);
}

uint32_t keeper_random(void)
{
    uint32_t random;
    RAND_bytes((uint8_t *)&random, sizeof random);
    return random;
}

uint64_t keeper_random64(void)
{
    return (uint64_t)keeper_random() << 32 | keeper_random();
}

void keeper_log_failure(struct keeper *keeper, const char *event, struct slice name, struct err err,
                        const char *sentence)
{
    LOG_ERROR_EVENT(keeper->world.log, event, LOG_SLICE("name", name), LOG_ERR("error", err), LOG_STR("msg", sentence));
}

/* ---- time ---- */

static void keeper_arm(struct keeper *keeper)
{
    const struct due *first = keeper->loaded ? due_queue_first(&keeper->due) : NULL;
    int64_t now_ms = keeper_mono_ms(keeper);
    int64_t wait_ms = KEEPER_LOOK_MS;
    if (first)
        wait_ms = least(wait_ms, first->at_ms - keeper_wall_ms(keeper));
    if (keeper->tickets_due_ms)
        wait_ms = least(wait_ms, keeper->tickets_due_ms - now_ms);
    int64_t at_ms = now_ms + (wait_ms > 0 ? wait_ms : 0);
    if (at_ms != keeper->look.due_ms)
        alarm_set(&keeper->look, at_ms);
}

void keeper_look_at(struct keeper_name *name, int64_t wall_ms)
{
    due_queue_set(&name->keeper->due, &name->due, wall_ms);
}

void keeper_look_soon(struct keeper_name *name)
{
    keeper_look_at(name, 0);
    if (name->keeper->loaded && !name->keeper->closing)
        alarm_set(&name->keeper->look, 0);
}

void keeper_look_all(struct keeper *keeper)
{
    for (size_t i = 0; i < keeper->num_names; i++)
        keeper_look_soon(keeper->names[i]);
    alarm_set(&keeper->look, 0);
}

static void keeper_look_name(struct keeper_name *name, int64_t now_ms)
{
    if (name->fresh) { /* the store may have a certificate for it: no placeholder before that is known */
        keeper_look_at(name, INT64_MAX);
        return;
    }
    int64_t next_ms = keeper_local_look(name, now_ms);
    if (name->kind == NAME_ACME)
        next_ms = least(next_ms, least(keeper_order_look(name, now_ms), keeper_ari_look(name, now_ms)));
    keeper_look_at(name, next_ms);
}

/* The clock has been set: what was due by it may be due no more, or long since. */
static void keeper_watch_clock(struct keeper *keeper, int64_t wall_ms, int64_t mono_ms)
{
    int64_t skew_ms = (wall_ms - keeper->looked_wall_ms) - (mono_ms - keeper->looked_mono_ms);
    bool first = keeper->looked_wall_ms == 0;
    keeper->looked_wall_ms = wall_ms;
    keeper->looked_mono_ms = mono_ms;
    if (first || (skew_ms < KEEPER_SKEW_MS && skew_ms > -KEEPER_SKEW_MS))
        return;
    LOG_WARN_EVENT(keeper->world.log, "clock_set", LOG_INT("by_ms", skew_ms),
                   LOG_STR("msg", "the wall clock has jumped: every date is looked at again"));
    keeper_quarantine_try_all(keeper);
    for (size_t i = 0; i < keeper->num_names; i++)
        keeper_look_at(keeper->names[i], 0);
}

static void keeper_rotate_tickets(struct keeper *keeper, int64_t mono_ms)
{
    if (!keeper->tickets_due_ms || mono_ms < keeper->tickets_due_ms)
        return;
    ticket_ring_rotate(&keeper_draft(keeper)->tickets);
    keeper->tickets_due_ms = mono_ms + keeper->config->tls.ticket_rotate_s * 1000;
}

/* True where more is due than one turn should do. */
static bool keeper_look_due(struct keeper *keeper, int64_t now_ms)
{
    struct due *first;
    for (int i = 0; i < KEEPER_LOOKS_A_TURN; i++) {
        if (!(first = due_queue_first(&keeper->due)) || first->at_ms > now_ms)
            return false;
        keeper_look_name(container_of(first, struct keeper_name, due), now_ms);
    }
    first = due_queue_first(&keeper->due);
    return first && first->at_ms <= now_ms;
}

static void keeper_look_rings(struct alarm *alarm)
{
    struct keeper *keeper = container_of(alarm, struct keeper, look);
    int64_t wall_ms = keeper_wall_ms(keeper), mono_ms = keeper_mono_ms(keeper);
    keeper_watch_clock(keeper, wall_ms, mono_ms);
    keeper_rotate_tickets(keeper, mono_ms);
    if (keeper->loaded && !keeper_look_due(keeper, wall_ms) && !keeper->settled) {
        keeper->settled = true;
        keeper_draft(keeper); /* also where no name is to be served: whoever waits for it can begin */
    }
    keeper_commands_look(keeper);
    keeper_state_flush(keeper);
    keeper_bans_flush(keeper);
    keeper_ledger_flush(keeper);
    keeper_arm(keeper);
}

void keeper_look_now(struct keeper *keeper)
{
    for (size_t i = 0; i < NUM_ISSUERS; i++)
        alarm_check(&keeper->issuers[i].alarm);
    if (keeper->rehearsal)
        alarm_check(&keeper->rehearsal->alarm);
    alarm_set(&keeper->look, 0);
}

/* ---- life ---- */

static void keeper_free(struct grave *grave)
{
    struct keeper *keeper = container_of(grave, struct keeper, grave);
    own_certs_unref(keeper->own);
    config_unref(keeper->config);
    mem_free(keeper);
}

/* All that could still call. */
static void keeper_silence(struct keeper *keeper)
{
    keeper_commands_free(keeper);
    keeper_engines_free(keeper); /* withdraws what is published */
    alarm_stop(&keeper->look);
    keeper_state_stop(keeper);
    for (size_t i = 0; i < NUM_ISSUERS; i++)
        keeper_ledger_end(&keeper->issuers[i]);
    keeper_demand_stop(keeper);
    keeper_free_names(keeper);
    due_queue_cleanup(&keeper->due);
    keeper_root_free(keeper);
    keeper_publish_stop(keeper);
    keeper_bans_cleanup(keeper);
    buf_cleanup(&keeper->storage_sentence);
    buf_cleanup(&keeper->refresh_key);
    buf_cleanup(&keeper->thumbprint);
}

struct err keeper_new(const struct keeper_world *world, const struct config *config, struct keeper **out_keeper,
                      struct buf *out_mistake)
{
    struct keeper *keeper = MEM_NEW(struct keeper);
    keeper->world = *world;
    keeper->config = config_ref(config);
    keeper->readable = keeper->lists_readable = true;
    keeper->writing = STORE_FENCED;
    list_init(&keeper->dirty);
    list_init(&keeper->leaving);
    list_init(&keeper->ari_waiting);
    keeper_engines_init(keeper);
    alarm_init(&keeper->look, world->loop, world->clock, keeper_look_rings);
    keeper_publish_init(keeper);
    keeper_load_init(keeper);
    keeper_bans_init(keeper);
    keeper_state_init(keeper);
    keeper_commands_init(keeper);
    keeper_demand_init(keeper);
    struct internal_ca *root = NULL;
    struct err err = own_certs_new(config, NULL, &keeper->own, out_mistake);
    if (!err_is(err))
        err = keeper_root_of(config, keeper_wall_ms(keeper) / 1000, &root, out_mistake);
    if (root)
        keeper_root_replace(keeper, root);
    if (!err_is(err)) {
        keeper_set_names(keeper);
        err = keeper_orders(keeper) ? keeper_engines_new(keeper, out_mistake) : ERR_OK;
    }
    if (err_is(err)) {
        keeper->closing = true;
        keeper_silence(keeper);
        keeper_free(&keeper->grave);
        return err;
    }
    *out_keeper = keeper;
    return ERR_OK;
}

void keeper_start(struct keeper *keeper)
{
    struct certset *draft = keeper_draft(keeper);
    if (keeper->num_names)
        certset_set_default(draft, keeper->names[0]->text);
    if (keeper->config->tls.ticket_rotate_s > 0) {
        keeper->tickets_due_ms = keeper_mono_ms(keeper);
        keeper_rotate_tickets(keeper, keeper->tickets_due_ms);
    }
    keeper_preflight_begin(keeper);
    keeper_load_start(keeper);
}

void keeper_stop_ordering(struct keeper *keeper)
{
    if (keeper->stopped)
        return;
    keeper_state_flush_last(keeper);
    keeper_ledger_flush(keeper);
    keeper->stopped = true;
    keeper_ari_cancel_all(keeper);
    keeper_order_cancel_all(keeper);
    keeper_commands_stop(keeper);
    keeper->writer = false;
    keeper->world.store->ops->unlock(keeper->world.store); /* behind what is being written */
}

void keeper_close(struct keeper *keeper)
{
    if (!keeper || keeper->closing)
        return;
    keeper->closing = true;
    keeper_stop_ordering(keeper);
    keeper_load_stop(keeper);
    keeper_silence(keeper);
    graveyard_bury(&keeper->world.loop->graveyard, &keeper->grave, keeper_free);
}

/* ---- the storage's word ---- */

static void keeper_warn_durability(struct keeper *keeper, enum store_dir_durability durability)
{
    if (keeper->durability_said || durability == STORE_DIR_DURABLE)
        return;
    keeper->durability_said = true;
    bool public = keeper->config->acme.kind == CONFIG_DIRECTORY_PUBLIC || keeper->config->acme.fallback.len;
    if (!public || !keeper_orders(keeper))
        return;
    LOG_WARN_EVENT(keeper->world.log, "storage_not_durable", LOG_STR("storage", keeper->config->storage.ptr),
                   LOG_STR("durability", store_dir_durability_text(durability)),
                   LOG_STR("msg",
                           "certificates will be lost with it, and the CA issues no more than five identical ones in "
                           "seven days: put PORTICO_STORAGE on a volume"));
}

/* Where there is space for small records and none for large ones, this comes again and again: once a minute will do. */
static bool keeper_forgives(struct keeper *keeper)
{
    int64_t now_ms = keeper_mono_ms(keeper);
    if (keeper->writing == STORE_FENCED)
        return true;
    if (keeper->forgiven_ms && now_ms - keeper->forgiven_ms < KEEPER_LOOK_MS)
        return false;
    keeper->forgiven_ms = now_ms;
    return true;
}

void keeper_storage_reported(struct keeper *keeper, const struct store_dir_report *report)
{
    bool writes_again = report->writing == STORE_OK && keeper->writing != STORE_OK;
    if (keeper->closing)
        return;
    writes_again = writes_again && keeper->loaded && keeper_forgives(keeper);
    keeper->writing = report->writing;
    name_state_keep(&keeper->storage_sentence, slice_str(report->sentence));
    if (report->reading == STORE_OK)
        keeper_warn_durability(keeper, report->durability);
    if (writes_again)
        keeper_order_forgive_local(keeper);
}

/* ---- views ---- */

struct keeper_state keeper_state(const struct keeper *keeper)
{
    struct keeper_state state = {.loaded = keeper->loaded,
                                 .writer = keeper->writer,
                                 .store_readable = keeper->readable,
                                 .generation = keeper->generation,
                                 .acknowledged = keeper->acknowledged,
                                 .num_lines = keeper->num_names,
                                 .sentence = buf_slice(&keeper->storage_sentence)};
    for (size_t i = 0; i < keeper->num_names; i++) {
        const struct keeper_name *name = keeper->names[i];
        state.num_names += !name->second;
        state.num_placeholders += name->cert && name->cert->source == CERT_PLACEHOLDER && !name_is_covered_beside(name);
        state.num_running += name->order != NULL;
    }
    return state;
}

static int64_t keeper_renew_at_ms(const struct keeper_name *name)
{
    bool known = name->kind == NAME_ACME && name_has_issued(name) && keeper_renewal_is_chosen(name);
    return known ? keeper_renewal_plan(name).renew_at_ms : 0;
}

static struct keeper_window keeper_window_view(const struct keeper_name *name)
{
    const struct name_state *state = &name->state;
    struct keeper_window view = {.last_order = name_window_text(state->window_met)};
    if (!keeper_renew_at_ms(name) || !state->window.end_ms)
        return view;
    view.start_ms = state->window.start_ms;
    view.end_ms = state->window.end_ms;
    view.chosen_ms = state->window.chosen_ms;
    view.reason = renewal_reason_text(keeper_renewal_plan(name).reason);
    view.explanation = buf_slice(&state->explanation);
    return view;
}

static struct slice keeper_order_directory(const struct keeper_name *name)
{
    bool ordered = name->order || name->attempts.num_issued;
    for (size_t i = 0; i < KEEPER_NUM_CLASSES; i++)
        ordered = ordered || name->attempts.num_failed[i];
    return ordered ? issuer_directory(&name->keeper->issuers[name->rank]) : SLICE_NONE;
}

static struct slice keeper_challenge_of(const struct keeper_name *name)
{
    const char *running = name->order ? acme_order_challenge(name->order) : NULL;
    return running ? slice_str(running) : buf_slice(&name->state.challenge);
}

static struct keeper_name_view keeper_view_of(const struct keeper_name *name)
{
    const struct name_state *state = &name->state;
    return (struct keeper_name_view){.name = name->text,
                                     .key_type = name->other ? key_type_name(name->key_type) : NULL,
                                     .cert = name->cert,
                                     .directory_url = buf_slice(&name->directory_url),
                                     .order_directory_url = keeper_order_directory(name),
                                     .challenge = keeper_challenge_of(name),
                                     .managed = name->kind == NAME_ACME,
                                     .held = state->held,
                                     .quarantined = name->quarantine.record.len > 0,
                                     .step = name->order ? acme_order_step(name->order) : NULL,
                                     .next_attempt_ms = name->next_attempt_ms,
                                     .why = keeper_why_next(name),
                                     .renew_at_ms = keeper_renew_at_ms(name),
                                     .paced_by =
                                         name->paced_by == LEDGER_UNKNOWN ? NULL : ledger_limit_text(name->paced_by),
                                     .window = keeper_window_view(name),
                                     .attempts = name->attempts,
                                     .num_failures = state->backoff.num_failures + state->fallback.num_failures,
                                     .failed_ms = greatest(state->backoff.failed_ms, state->fallback.failed_ms),
                                     .problem_class = buf_slice(&state->problem_class),
                                     .problem_type = buf_slice(&state->problem_type),
                                     .problem_detail = buf_slice(&state->problem_detail),
                                     .problem_sentence = buf_slice(&state->problem_sentence),
                                     .hint = buf_slice(&state->hint)};
}

size_t keeper_some(const struct keeper *keeper, size_t from, size_t max,
                   void (*each)(void *ctx, const struct keeper_name_view *view), void *ctx)
{
    size_t num = 0;
    for (size_t i = from; i < keeper->num_names && num < max; i++, num++) {
        struct keeper_name_view view = keeper_view_of(keeper->names[i]);
        each(ctx, &view);
    }
    return num;
}

void keeper_each(const struct keeper *keeper, void (*each)(void *ctx, const struct keeper_name_view *view), void *ctx)
{
    keeper_some(keeper, 0, SIZE_MAX, each, ctx);
}
