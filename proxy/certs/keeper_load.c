#include "acme/chain.h"
#include "certs/keeper_internal.h"
#include "store/cert_record.h"

static const struct slice certificate_prefix = {"certificate/", 12};
static const struct slice state_prefix = {"state/", 6};
static const struct slice quarantine_prefix = {"quarantine/", 11};
static const struct slice bans_prefix = {"banned-key/", 11};
static const struct slice ledger_prefix = {"ledger/", 7};
static const struct slice root_key = {"internal-ca", 11};

static struct keeper_name *keeper_find(const struct keeper *keeper, struct slice key, struct slice prefix)
{
    return slice_starts(key, prefix) ? map_get(&keeper->by_name, slice_skip(key, prefix.len)) : NULL;
}

/* ---- one certificate record ---- */

struct err keeper_make_cert(enum cert_source source, const struct chain *chain, const struct evp_pkey_st *key,
                            struct cert **out_cert)
{
    struct slice parts[LIMIT_CHAIN_CERTS];
    struct buf key_der = {0};
    for (size_t i = 0; i < chain->num_certs; i++)
        parts[i] = chain->certs[i].der;
    key_write_pkcs8(key, &key_der);
    struct err err = cert_new(source, parts, chain->num_certs, buf_slice(&key_der), out_cert);
    buf_cleanup_secret(&key_der);
    return err;
}

static struct err cert_of_record(const struct cert_record *record, struct slice name, struct cert **out_cert,
                                 enum key_type *out_key_type)
{
    struct chain chain;
    struct evp_pkey_st *key = NULL;
    struct err err = chain_parse(record->chain_pem, &chain);
    if (err_is(err))
        return err;
    err = key_read_pem(record->key_pem, &key);
    if (!err_is(err))
        err = keeper_make_cert(CERT_ISSUED, &chain, key, out_cert);
    if (!err_is(err))
        *out_key_type = key_type_of(key);
    key_free(key);
    chain_cleanup(&chain);
    if (!err_is(err) && !cert_covers(*out_cert, name)) {
        cert_unref(*out_cert);
        err = err_make(ERR_INPUT, 0, "the certificate is for other names");
    }
    return err;
}

static void keeper_log_loaded(const struct keeper_name *name)
{
    char not_after[CLOCK_TEXT_BYTES];
    const struct cert *cert = name->cert;
    LOG_INFO_EVENT(name->keeper->world.log, "certificate_loaded", LOG_SLICE("name", name->text),
                   LOG_STR("serial", cert->serial), LOG_STR("issuer", cert->issuer),
                   LOG_STR("key_type", key_type_name(name->cert_key_type)),
                   LOG_STR("not_after", clock_rfc3339(cert->not_after_s * 1000, not_after)),
                   LOG_SLICE("directory", buf_slice(&name->directory_url)));
}

/* A certificate that could not be stored is newer than what the store has. */
static bool keeper_has_newer(const struct keeper_name *name, const struct cert *stored)
{
    return name->cert && name->cert->source == CERT_ISSUED && name->cert->not_before_s > stored->not_before_s;
}

static void name_use_record(struct keeper_name *name, const struct cert_record *record, struct cert *cert,
                            enum key_type key_type)
{
    bool same = name->cert && name->cert->source == CERT_ISSUED && strcmp(name->cert->serial, cert->serial) == 0;
    name->record_generation = record->generation;
    if (same || keeper_has_newer(name, cert)) {
        cert_unref(cert);
        return;
    }
    name_state_keep(&name->profile, record->profile);
    name->cert_key_type = key_type;
    keeper_serve(name, cert, record->directory_url);
    keeper_log_loaded(name);
}

void keeper_take_record(struct keeper_name *name, struct slice value)
{
    struct arena arena = {0};
    struct cert_record record;
    struct cert *cert = NULL;
    enum key_type key_type = KEY_OTHER;
    struct err err = cert_record_read(&arena, value, &record);
    if (!err_is(err))
        err = cert_of_record(&record, name->text, &cert, &key_type);
    bool news = !name->unreadable;
    name->stored = true;
    name->unreadable = err_is(err);
    if (err_is(err) && news)
        keeper_log_failure(
            name->keeper, "certificate_unreadable", name->text, err,
            "the stored certificate is damaged and nothing is ordered in its place: restore the file, or "
            "remove it to order anew");
    if (!err_is(err))
        name_use_record(name, &record, cert, key_type);
    arena_cleanup(&arena);
    keeper_look_soon(name);
}

/* ---- all records ---- */

/* "Cannot read" is never "not there": without the whole list every name that is not in it may have a record. */
static void keeper_take_certificates(struct keeper *keeper, enum store_result result,
                                     const struct store_record *records, size_t num_records)
{
    bool whole = result == STORE_OK || result == STORE_NOT_FOUND;
    keeper->readable = whole;
    keeper->lists_readable = true; /* as far as is known */
    keeper->read_result = result;
    for (size_t i = 0; i < keeper->num_names; i++)
        keeper->names[i]->stored = false;
    for (size_t i = 0; i < num_records; i++) {
        struct keeper_name *name = keeper_find(keeper, records[i].key, certificate_prefix);
        if (!name && slice_starts(records[i].key, certificate_prefix))
            name =
                keeper_demand_find_record(keeper, slice_skip(records[i].key, certificate_prefix.len), records[i].value);
        if (name && name->kind == NAME_ACME)
            keeper_take_record(name, records[i].value);
    }
    for (size_t i = 0; i < keeper->num_names; i++)
        if (!keeper->names[i]->stored)
            keeper->names[i]->unreadable = !whole && keeper->names[i]->kind == NAME_ACME;
}

void keeper_take_state(struct keeper_name *name, struct slice value)
{
    struct keeper *keeper = name->keeper;
    if (name->kind != NAME_ACME || !list_empty(&name->dirty) || name->save.record.len) /* ours is newer */
        return;
    if (!name_state_read(&name->state, value))
        LOG_WARN_EVENT(keeper->world.log, "state_unreadable", LOG_SLICE("name", name->text),
                       LOG_STR("msg", "its back-off and schedule start afresh"));
    if (!slice_eq(buf_slice(&name->state.directory_url), config_directory_of(keeper->config, ISSUER_FIRST)))
        name_state_forgive(&name->state);
    else if (!slice_eq(buf_slice(&name->state.fallback_url), config_directory_of(keeper->config, ISSUER_FALLBACK)))
        backoff_succeeded(&name->state.fallback);
    keeper->first_fails = keeper->first_fails || name->state.num_ca_failures;
}

static void keeper_take_states(struct keeper *keeper, const struct store_record *records, size_t num_records)
{
    for (size_t i = 0; i < num_records; i++) {
        struct keeper_name *name = keeper_find(keeper, records[i].key, state_prefix);
        if (name)
            keeper_take_state(name, records[i].value);
    }
}

/* Where a ban or what waits in quarantine may be hidden, any order may be one too many, and any key a disclosed one. */
static void keeper_note_list(struct keeper *keeper, enum store_result result)
{
    if (result == STORE_OK || result == STORE_NOT_FOUND)
        return;
    if (keeper->readable)
        keeper->read_result = result;
    keeper->readable = keeper->lists_readable = false;
}

static void keeper_take_quarantines(struct keeper *keeper, const struct store_record *records, size_t num_records)
{
    for (size_t i = 0; i < num_records; i++) {
        struct keeper_name *name = keeper_find(keeper, records[i].key, quarantine_prefix);
        if (name && name->kind == NAME_ACME)
            keeper_quarantine_loaded(name, records[i].value);
    }
}

/* Once for each reason: it is read again and again. */
static void keeper_log_unreadable(struct keeper *keeper)
{
    const char *msg =
        "names whose certificates cannot be read are served with placeholders, and nothing is ordered for "
        "them until they can";
    if (!keeper->lists_readable)
        msg =
            "what is stored of disclosed keys (banned-key/) or of certificates that did not work (quarantine/) cannot "
            "be read, and nothing is ordered until it can, but what would lapse: restore the files, or their modes; "
            "one "
            "that is damaged for good may be removed";
    if (keeper->said_result == keeper->read_result && keeper->said_lists == !keeper->lists_readable)
        return;
    keeper->said_result = keeper->read_result;
    keeper->said_lists = !keeper->lists_readable;
    LOG_ERROR_EVENT(keeper->world.log, "storage_unreadable", LOG_STR("result", store_result_text(keeper->read_result)),
                    LOG_SLICE("reason", buf_slice(&keeper->storage_sentence)), LOG_STR("msg", msg));
}

static bool keeper_misses_records(const struct keeper *keeper)
{
    for (size_t i = 0; i < keeper->num_names; i++)
        if (keeper->names[i]->unreadable)
            return true;
    return !keeper->readable;
}

static void keeper_load_finish(struct keeper *keeper)
{
    keeper->stage = STAGE_IDLE;
    keeper->loaded = true;
    for (size_t i = 0; i < keeper->num_names; i++)
        keeper->names[i]->fresh = false;
    if (keeper->readable)
        keeper->said_result = STORE_OK;
    else
        keeper_log_unreadable(keeper);
    if (keeper_misses_records(keeper))
        tick_start(&keeper->world.loop->ticker, &keeper->reload, KEEPER_RELOAD_MS);
    keeper_revocations_load(keeper);
    keeper_look_all(keeper);
}

static bool keeper_root_is_coming(const struct keeper *keeper)
{
    return keeper->root_busy || (!keeper->root && keeper->root_absent && !keeper->standby_known);
}

void keeper_root_settled(struct keeper *keeper)
{
    if (keeper->stage == STAGE_ROOT_WAIT && !keeper_root_is_coming(keeper))
        keeper_load_finish(keeper);
}

static void keeper_load_next(struct keeper *keeper, enum keeper_stage stage)
{
    struct store *store = keeper->world.store;
    keeper->stage = stage;
    if (stage == STAGE_CERTIFICATES)
        store->ops->list(store, certificate_prefix, &keeper->load_call);
    else if (stage == STAGE_STATES)
        store->ops->list(store, state_prefix, &keeper->load_call);
    else if (stage == STAGE_QUARANTINES)
        store->ops->list(store, quarantine_prefix, &keeper->load_call);
    else if (stage == STAGE_BANS)
        store->ops->list(store, bans_prefix, &keeper->load_call);
    else if (stage == STAGE_LEDGERS)
        store->ops->list(store, ledger_prefix, &keeper->load_call);
    else if (keeper->has_internal)
        store->ops->get(store, root_key, &keeper->load_call);
    else
        keeper_load_finish(keeper);
}

static void keeper_load_done(struct store_call *call, enum store_result result, const struct store_record *records,
                             size_t num_records)
{
    struct keeper *keeper = container_of(call, struct keeper, load_call);
    switch (keeper->stage) {
    case STAGE_CERTIFICATES:
        keeper_take_certificates(keeper, result, records, num_records);
        keeper_load_next(keeper, STAGE_STATES);
        return;
    case STAGE_STATES:
        keeper_take_states(keeper, records, num_records);
        keeper_load_next(keeper, STAGE_QUARANTINES);
        return;
    case STAGE_QUARANTINES:
        keeper_note_list(keeper, result);
        keeper_take_quarantines(keeper, records, num_records);
        keeper_load_next(keeper, STAGE_BANS);
        return;
    case STAGE_BANS:
        keeper_note_list(keeper, result);
        keeper_bans_loaded(keeper, records, num_records);
        keeper_load_next(keeper, STAGE_LEDGERS);
        return;
    case STAGE_LEDGERS:
        keeper_ledger_take(keeper, records, num_records);
        keeper_load_next(keeper, STAGE_ROOT);
        return;
    case STAGE_ROOT:
        keeper->stage = STAGE_ROOT_WAIT;
        keeper_root_loaded(keeper, result, num_records ? records[0].value : SLICE_NONE);
        keeper_root_settled(keeper);
        return;
    case STAGE_ROOT_WAIT:
    case STAGE_IDLE: return;
    }
}

static void keeper_load_cancel(struct keeper *keeper)
{
    if (keeper->stage != STAGE_IDLE && keeper->stage != STAGE_ROOT_WAIT)
        keeper->world.store->ops->cancel(keeper->world.store, &keeper->load_call);
    keeper->stage = STAGE_IDLE;
}

void keeper_load_again(struct keeper *keeper)
{
    keeper_load_cancel(keeper);
    tick_stop(&keeper->reload);
    keeper_load_next(keeper, STAGE_CERTIFICATES);
}

static void keeper_reload_expired(struct tick *tick)
{
    struct keeper *keeper = container_of(tick, struct keeper, reload);
    if (keeper->stage == STAGE_IDLE)
        keeper_load_again(keeper);
    else
        tick_start(&keeper->world.loop->ticker, &keeper->reload, KEEPER_FOLLOW_MS);
}

/* ---- a standby follows ---- */

static void keeper_refresh_next(struct keeper *keeper);

static void keeper_refresh_done(struct store_call *call, enum store_result result, const struct store_record *records,
                                size_t num_records)
{
    struct keeper *keeper = container_of(call, struct keeper, refresh_call);
    struct keeper_name *name = keeper_find(keeper, buf_slice(&keeper->refresh_key), certificate_prefix);
    keeper->refresh_busy = false;
    if (result == STORE_OK && num_records == 1 && name)
        keeper_take_record(name, records[0].value);
    keeper_refresh_next(keeper); /* a record that is gone: what is served goes on being served */
}

static void keeper_refresh_next(struct keeper *keeper)
{
    struct list *node = keeper->refresh_busy ? NULL : list_first(&keeper->refreshing);
    if (!node)
        return;
    struct keeper_name *name = container_of(node, struct keeper_name, refresh);
    list_remove(node);
    keeper->refresh_key.len = 0;
    buf_append_slice(&keeper->refresh_key, certificate_prefix);
    buf_append_slice(&keeper->refresh_key, name->record);
    keeper->refresh_busy = true;
    keeper->world.store->ops->get(keeper->world.store, buf_slice(&keeper->refresh_key), &keeper->refresh_call);
}

static void keeper_changed(struct store_watch *watch, struct slice key)
{
    struct keeper *keeper = container_of(watch, struct keeper, watch);
    struct keeper_name *name = keeper_find(keeper, key, certificate_prefix);
    if (keeper->writer || !keeper->loaded)
        return;
    if (slice_eq(key, root_key) && keeper->has_internal && !keeper->root && keeper->stage == STAGE_IDLE)
        keeper_load_again(keeper);
    if (!name && slice_starts(key, certificate_prefix) && keeper->config->on_demand_ask.len)
        tick_start(&keeper->world.loop->ticker, &keeper->reload, KEEPER_FOLLOW_MS); /* whoever writes has a new name */
    if (!name || name->kind != NAME_ACME || !list_empty(&name->refresh))
        return;
    list_append(&keeper->refreshing, &name->refresh);
    keeper_refresh_next(keeper);
}

/* ---- the right to write ---- */

static void keeper_granted(struct store_lock *lock)
{
    struct keeper *keeper = container_of(lock, struct keeper, lock);
    keeper->writer = keeper->standby_known = true;
    tick_stop(&keeper->standby);
    if (keeper->standby_said)
        LOG_INFO_EVENT(keeper->world.log, "takeover",
                       LOG_STR("msg", "this process may write and order certificates from now on"));
    keeper->standby_said = false;
    keeper_load_again(keeper); /* another may have written until now */
}

static void keeper_log_standby(struct keeper *keeper)
{
    struct slice reason = buf_slice(&keeper->storage_sentence);
    keeper->standby_said = true;
    if (keeper->writing != STORE_FENCED) {
        LOG_ERROR_EVENT(keeper->world.log, "storage_not_writable", LOG_STR("storage", keeper->config->storage.ptr),
                        LOG_SLICE("reason", reason),
                        LOG_STR("msg", "this process serves what it can read and orders nothing until it may write"));
        return;
    }
    LOG_INFO_EVENT(keeper->world.log, "standby", LOG_STR("storage", keeper->config->storage.ptr),
                   LOG_SLICE("reason", reason.len ? reason : SLICE_LIT("another process holds the right to write")),
                   LOG_STR("msg", "this process serves what is stored and orders nothing until it may write"));
}

static void keeper_standby_expired(struct tick *tick)
{
    struct keeper *keeper = container_of(tick, struct keeper, standby);
    keeper->standby_known = true;
    if (!keeper->writer && !keeper->stopped)
        keeper_log_standby(keeper);
    keeper_root_settled(keeper);
}

static void keeper_lost(struct store_lock *lock)
{
    struct keeper *keeper = container_of(lock, struct keeper, lock);
    keeper->writer = false;
    keeper_ari_cancel_all(keeper);
    keeper_order_cancel_all(keeper);
    keeper_commands_stop(keeper);
    keeper_log_standby(keeper);
    keeper->world.store->ops->lock(keeper->world.store, &keeper->lock);
}

void keeper_load_init(struct keeper *keeper)
{
    keeper->load_call.done = keeper_load_done;
    keeper->refresh_call.done = keeper_refresh_done;
    keeper->watch.changed = keeper_changed;
    keeper->lock.granted = keeper_granted;
    keeper->lock.lost = keeper_lost;
    list_init(&keeper->refreshing);
    tick_init(&keeper->reload, keeper_reload_expired);
    tick_init(&keeper->standby, keeper_standby_expired);
}

void keeper_load_start(struct keeper *keeper)
{
    struct store *store = keeper->world.store;
    store->ops->watch(store, &keeper->watch); /* before reading, so that no change is missed */
    store->ops->lock(store, &keeper->lock);
    tick_start(&keeper->world.loop->ticker, &keeper->standby, KEEPER_STANDBY_MS);
    keeper_load_next(keeper, STAGE_CERTIFICATES);
}

void keeper_load_stop(struct keeper *keeper)
{
    struct store *store = keeper->world.store;
    keeper_load_cancel(keeper);
    if (keeper->refresh_busy)
        store->ops->cancel(store, &keeper->refresh_call);
    keeper->refresh_busy = false;
    tick_stop(&keeper->reload);
    tick_stop(&keeper->standby);
    store->ops->watch(store, NULL);
}
