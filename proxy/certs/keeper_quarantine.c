#include "acme/chain.h"
#include "certs/keeper_internal.h"

enum { STORE_AGAIN_MS = 60000 };

static int64_t hold_ms(void)
{
    return INT64_C(1000) * KEEPER_QUARANTINE_HOLD_S;
}

void keeper_quarantine_key(const struct keeper_name *name, struct buf *out)
{
    buf_append_str(out, "quarantine/");
    buf_append_slice(out, name->record);
}

/* ---- the store ---- */

static void quarantine_stored(struct store_call *call, enum store_result result, const struct store_record *records,
                              size_t num_records)
{
    struct keeper_name *name = container_of(call, struct keeper_name, quarantine.call);
    (void)records, (void)num_records;
    name->quarantine.busy = false;
    name->quarantine.stored = name->quarantine.stored || result == STORE_OK;
    name->quarantine.retry_ms = keeper_wall_ms(name->keeper) + STORE_AGAIN_MS;
    if (name_is_leaving(name))
        keeper_sweep_leaving(name->keeper);
    else
        keeper_look_soon(name);
}

/* In with it, out with the journal of its order, which would be gone on with behind the hold. */
static void quarantine_store(struct keeper_name *name)
{
    struct store *store = name->keeper->world.store;
    struct buf key = {0}, journal_key = {0};
    keeper_quarantine_key(name, &key);
    buf_append_str(&journal_key, "order/");
    keeper_order_record(name, name->rank, &journal_key);
    struct store_write writes[] = {
        {.key = buf_slice(&key), .value = buf_slice(&name->quarantine.record)},
        {.key = buf_slice(&journal_key)},
    };
    name->quarantine.busy = true;
    name->quarantine.call.done = quarantine_stored;
    store->ops->commit(store, writes, 2, &name->quarantine.call);
    buf_cleanup(&key);
    buf_cleanup(&journal_key);
}

/* ---- in ---- */

void keeper_quarantine_drop(struct keeper_name *name)
{
    struct name_quarantine *quarantine = &name->quarantine;
    struct store *store = name->keeper->world.store;
    if (quarantine->busy) {
        store->ops->cancel(store, &quarantine->call);
        quarantine->busy = false;
        quarantine->stored = true; /* perhaps */
    }
    buf_cleanup_secret(&quarantine->record);
    quarantine->record = (struct buf){0};
    quarantine->until_ms = quarantine->look_ms = quarantine->retry_ms = 0;
}

void keeper_quarantine_cleanup(struct keeper_name *name)
{
    keeper_quarantine_drop(name);
}

static void quarantine_hold(struct keeper_name *name, int64_t from_ms)
{
    char until[CLOCK_TEXT_BYTES];
    name->quarantine.until_ms = from_ms + hold_ms();
    LOG_WARN_EVENT(name->keeper->world.log, "certificate_quarantined", LOG_SLICE("name", name->text),
                   LOG_STR("key_type", key_type_name(name->key_type)),
                   LOG_STR("until", clock_rfc3339(name->quarantine.until_ms, until)),
                   LOG_STR("msg",
                           "what the CA has issued does not work here: it is kept and tried again every hour, and "
                           "no other is ordered before that time, because the CA issues five identical "
                           "certificates a week and no more"));
}

void keeper_quarantine_take(struct keeper_name *name, const struct acme_result *result)
{
    struct buf record = {0};
    int64_t now_ms = keeper_wall_ms(name->keeper);
    if (!result->chain || !name->keeper->writer || name_is_leaving(name))
        return;
    if (err_is(keeper_write_record(name, result, &record))) { /* it cannot be read again: nothing can come of it */
        buf_cleanup_secret(&record);
        return;
    }
    keeper_quarantine_drop(name);
    name->quarantine.record = record;
    name->quarantine.look_ms = now_ms + KEEPER_QUARANTINE_LOOK_MS;
    quarantine_hold(name, now_ms);
    quarantine_store(name);
}

void keeper_quarantine_loaded(struct keeper_name *name, struct slice value)
{
    struct arena arena = {0};
    struct cert_record record;
    struct err err = cert_record_read(&arena, value, &record);
    if (name->quarantine.record.len == 0 && !name->quarantine.busy) {
        name->quarantine.stored = true;
        if (err_is(err)) {
            keeper_log_failure(name->keeper, "quarantine_unreadable", name->text, err,
                               "a certificate that was kept because it did not work is damaged, and is given up");
        } else {
            buf_append_slice(&name->quarantine.record, value);
            quarantine_hold(name, record.issued_s * 1000);
        }
    }
    arena_cleanup(&arena);
}

void keeper_quarantine_try_all(struct keeper *keeper)
{
    for (size_t i = 0; i < keeper->num_names; i++) {
        struct keeper_name *name = keeper->names[i];
        if (name->quarantine.record.len == 0)
            continue;
        name->quarantine.look_ms = 0;
        keeper_look_soon(name);
    }
}

/* ---- out ---- */

static void quarantine_try(struct keeper_name *name, int64_t now_ms)
{
    struct arena arena = {0};
    struct cert_record origin;
    struct cert *cert = NULL;
    struct buf record = {0};
    struct slice kept = buf_slice(&name->quarantine.record);
    name->quarantine.look_ms = now_ms + KEEPER_QUARANTINE_LOOK_MS;
    if (!err_is(keeper_try_record(name, kept, &arena, &origin, &cert))) {
        LOG_INFO_EVENT(name->keeper->world.log, "quarantine_left", LOG_SLICE("name", name->text),
                       LOG_STR("serial", cert->serial),
                       LOG_STR("msg", "the certificate that did not work does now, and is served"));
        bool first = slice_eq(origin.directory_url, config_directory_of(name->keeper->config, ISSUER_FIRST));
        name->rank = first ? ISSUER_FIRST : ISSUER_FALLBACK;
        record = name->quarantine.record; /* origin has views into it */
        name->quarantine.record = (struct buf){0};
        keeper_commit(name, cert, &origin, &record, SLICE_NONE);
    }
    arena_cleanup(&arena);
}

int64_t keeper_quarantine_look(struct keeper_name *name, int64_t now_ms, int64_t *out_hold_ms)
{
    struct name_quarantine *quarantine = &name->quarantine;
    *out_hold_ms = 0;
    if (quarantine->record.len == 0)
        return INT64_MAX;
    if (quarantine->look_ms <= now_ms || quarantine->look_ms > now_ms + KEEPER_QUARANTINE_LOOK_MS)
        quarantine_try(name, now_ms);
    if (quarantine->record.len == 0)
        return INT64_MAX;
    if (quarantine->until_ms > now_ms + hold_ms()) /* the clock was ahead when it was taken */
        quarantine->until_ms = now_ms + hold_ms();
    *out_hold_ms = quarantine->until_ms;
    if (!quarantine->stored && !quarantine->busy && now_ms >= quarantine->retry_ms)
        quarantine_store(name);
    return quarantine->stored ? quarantine->look_ms : now_ms + STORE_AGAIN_MS;
}
