#include "acme/chain.h"
#include "certs/keeper_internal.h"
#include "certs/self_test.h"

static void name_log_obtained(const struct keeper_name *name, const struct cert *cert)
{
    char not_after[CLOCK_TEXT_BYTES];
    LOG_INFO_EVENT(name->keeper->world.log, "certificate_obtained", LOG_SLICE("name", name->text),
                   LOG_STR("serial", cert->serial), LOG_STR("issuer", cert->issuer),
                   LOG_STR("key_type", key_type_name(name->save.key_type)),
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
    name_state_keep(&name->profile, buf_slice(&name->save.profile));
    name->cert_key_type = name->save.key_type;
    keeper_serve(name, cert, buf_slice(&name->save.directory_url));
    keeper_announce(name);
}

void keeper_commit_forget(struct keeper_name *name)
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
        name->quarantine.stored = false;
        keeper_commit_forget(name);
    } else {
        name->save.retry_ms = keeper_wall_ms(name->keeper) + KEEPER_LOOK_MS;
        LOG_ERROR_EVENT(name->keeper->world.log, "certificate_not_stored", LOG_SLICE("name", name->text),
                        LOG_STR("result", store_result_text(result)),
                        LOG_STR("msg",
                                "the new certificate is served, but a restart would lose it; it is stored as soon as "
                                "the storage can be written"));
        if (result == STORE_FENCED) /* another process writes: what it has is the truth */
            keeper_commit_forget(name);
    }
    name_serve_saved(name);
    if (name_is_leaving(name))
        keeper_sweep_leaving(name->keeper);
    else
        keeper_look_soon(name);
}

static void name_write_key(const char *prefix, struct slice record, struct buf *out)
{
    buf_append_str(out, prefix);
    buf_append_slice(out, record);
}

/* One commit: the certificate in, the journals of its order out, that with the other CA too, the schedule with them
 * (DESIGN.md). */
void keeper_commit_save(struct keeper_name *name)
{
    struct keeper *keeper = name->keeper;
    struct buf key = {0}, state_key = {0}, state = {0}, record = {0}, other_journal = {0}, quarantine_key = {0};
    name_write_key("certificate/", name->record, &key);
    keeper_state_key(name, &state_key);
    name_state_write(&name->state, &state);
    keeper_order_record(name, name->rank == ISSUER_FIRST ? ISSUER_FALLBACK : ISSUER_FIRST, &record);
    name_write_key("order/", buf_slice(&record), &other_journal);
    keeper_quarantine_key(name, &quarantine_key);
    struct store_write writes[5] = {
        {.key = buf_slice(&key), .value = buf_slice(&name->save.record)},
        {.key = buf_slice(&state_key), .value = buf_slice(&state)},
    };
    size_t num = 2;
    if (name->save.journal_key.len)
        writes[num++] = (struct store_write){.key = buf_slice(&name->save.journal_key)};
    if (keeper->issuers[ISSUER_FALLBACK].acme)
        writes[num++] = (struct store_write){.key = buf_slice(&other_journal)};
    if (name->quarantine.stored)
        writes[num++] = (struct store_write){.key = buf_slice(&quarantine_key)};
    list_remove(&name->dirty);
    name->save.busy = true;
    name->save.call.done = name_save_done;
    keeper->world.store->ops->commit(keeper->world.store, writes, num, &name->save.call);
    buf_cleanup(&key);
    buf_cleanup(&state_key);
    buf_cleanup(&state);
    buf_cleanup(&record);
    buf_cleanup(&other_journal);
    buf_cleanup(&quarantine_key);
}

struct err keeper_write_record(const struct keeper_name *name, const struct acme_result *result, struct buf *out)
{
    struct cert_record record = {.names = &name->text,
                                 .num_names = 1,
                                 .directory_url = result->directory_url,
                                 .account_url = result->account_url,
                                 .order_url = result->order_url,
                                 .key_type = key_type_of(result->key),
                                 .profile = result->profile,
                                 .issued_s = keeper_wall_ms(name->keeper) / 1000,
                                 .generation = name->record_generation + 1,
                                 .on_demand = name->on_demand,
                                 .replaces = name_has_issued(name) ? slice_str(name->cert->serial) : SLICE_NONE,
                                 .key_pem = result->key_pem,
                                 .chain_pem = result->chain_pem};
    return cert_record_write(&record, out);
}

/* ---- what must be true of it ---- */

static bool key_is_banned(const struct keeper *keeper, const struct evp_pkey_st *key)
{
    struct buf spki = {0};
    uint8_t hash[KEY_SHA256_BYTES];
    key_write_public(key, &spki);
    key_sha256(buf_slice(&spki), hash);
    buf_cleanup(&spki);
    return keeper_key_is_banned(keeper, hash);
}

static struct err name_try_chain(const struct keeper_name *name, const struct chain *chain,
                                 const struct evp_pkey_st *key, struct cert **out_cert)
{
    enum chain_fault fault = chain_check(chain, key, &name->text, 1, keeper_wall_ms(name->keeper) / 1000);
    if (fault != CHAIN_FINE)
        return err_make(ERR_INPUT, 0, chain_fault_text(fault));
    if (key_is_banned(name->keeper, key))
        return err_make(ERR_INPUT, 0, "it has a key that was disclosed and revoked");
    struct err err = keeper_make_cert(CERT_ISSUED, chain, key, out_cert);
    if (err_is(err))
        return err;
    err = self_test(*out_cert, name->text);
    if (err_is(err)) {
        cert_unref(*out_cert);
        *out_cert = NULL;
    }
    return err;
}

struct err keeper_try_record(const struct keeper_name *name, struct slice value, struct arena *arena,
                             struct cert_record *out_record, struct cert **out_cert)
{
    struct chain chain = {0};
    struct evp_pkey_st *key = NULL;
    *out_cert = NULL;
    struct err err = cert_record_read(arena, value, out_record);
    if (!err_is(err))
        err = chain_parse(out_record->chain_pem, &chain);
    if (!err_is(err))
        err = key_read_pem(out_record->key_pem, &key);
    if (!err_is(err))
        err = name_try_chain(name, &chain, key, out_cert);
    key_free(key);
    chain_cleanup(&chain);
    return err;
}

/* ---- the commit ---- */

void keeper_commit(struct keeper_name *name, struct cert *cert, const struct cert_record *origin, struct buf *record,
                   struct slice journal_key)
{
    name_state_keep(&name->save.directory_url, origin->directory_url);
    name_state_keep(&name->save.profile, origin->profile);
    name->save.key_type = origin->key_type;
    keeper_commit_forget(name);
    keeper_quarantine_drop(name);
    name->save.record = *record;
    *record = (struct buf){0};
    buf_append_slice(&name->save.journal_key, journal_key);
    name->save.cert = cert;
    keeper_order_succeeded(name);
    name->state.ordered_by.len = 0;
    if (journal_key.len) /* just now, by what is configured now */
        name_wishes_write(name, &name->state.ordered_by);
    keeper_renewal_choose(name, cert, keeper_wall_ms(name->keeper));
    name_log_obtained(name, cert);
    keeper_commit_save(name);
}

void keeper_commit_issued(struct keeper_name *name, const struct acme_result *result)
{
    struct arena arena = {0};
    struct cert_record origin;
    struct cert *cert = NULL;
    struct buf record = {0};
    struct err err = keeper_write_record(name, result, &record);
    if (!err_is(err))
        err = keeper_try_record(name, buf_slice(&record), &arena, &origin, &cert);
    if (err_is(err)) {
        keeper_quarantine_take(name, result);
        keeper_order_fail_local(name, "self-test", err, "the new certificate does not work and is not served");
    } else {
        keeper_commit(name, cert, &origin, &record, result->journal_key);
    }
    buf_cleanup_secret(&record);
    arena_cleanup(&arena);
}
