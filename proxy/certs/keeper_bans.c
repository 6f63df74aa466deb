#include "certs/keeper_internal.h"

#include <assert.h>

static const struct slice ban_prefix = {"banned-key/", 11};

/* A ban on its way to the store. */
struct ban_write {
    struct keeper *keeper;
    struct list node; /* in keeper->ban_writes */
    struct buf key;   /* banned-key/HASH */
    struct store_call call;
    bool busy;
};

static void hash_write(const uint8_t spki_sha256[KEY_SHA256_BYTES], struct buf *out)
{
    key_write_hex(out, slice_make(spki_sha256, KEY_SHA256_BYTES));
}

bool keeper_key_is_banned(const struct keeper *keeper, const uint8_t spki_sha256[KEY_SHA256_BYTES])
{
    struct buf hash = {0};
    hash_write(spki_sha256, &hash);
    bool banned = map_get(&keeper->bans, buf_slice(&hash)) != NULL;
    buf_cleanup(&hash);
    return banned;
}

bool keeper_cert_is_banned(const struct keeper *keeper, const struct cert *cert)
{
    static_assert((int)CERT_HASH_BYTES == (int)KEY_SHA256_BYTES, "both are SHA-256");
    return keeper->bans.num > 0 && keeper_key_is_banned(keeper, cert->spki_sha256);
}

/* ---- the store ---- */

static void ban_write_free(struct ban_write *write)
{
    list_remove(&write->node);
    buf_cleanup(&write->key);
    mem_free(write);
}

static void ban_written(struct store_call *call, enum store_result result, const struct store_record *records,
                        size_t num_records)
{
    struct ban_write *write = container_of(call, struct ban_write, call);
    (void)records, (void)num_records;
    write->busy = false;
    if (result == STORE_OK)
        ban_write_free(write);
    else /* tried again at the next look */
        LOG_ERROR_EVENT(write->keeper->world.log, "key_ban_not_stored", LOG_STR("result", store_result_text(result)),
                        LOG_STR("msg", "a disclosed key is refused by this process, but a restart would forget it; it "
                                       "is stored as soon as the storage can be written"));
}

void keeper_bans_flush(struct keeper *keeper)
{
    struct store *store = keeper->world.store;
    if (!keeper->writer || keeper->stopped)
        return;
    LIST_EACH(&keeper->ban_writes, node)
    {
        struct ban_write *write = container_of(node, struct ban_write, node);
        struct store_write record = {.key = buf_slice(&write->key), .value = SLICE_LIT("portico-banned-key: 1\n")};
        if (write->busy)
            continue;
        write->busy = true;
        write->call.done = ban_written;
        store->ops->commit(store, &record, 1, &write->call);
    }
}

void keeper_bans_loaded(struct keeper *keeper, const struct store_record *records, size_t num_records)
{
    for (size_t i = 0; i < num_records; i++)
        map_put(&keeper->bans, slice_skip(records[i].key, ban_prefix.len), keeper);
}

/* ---- bans ---- */

void keeper_ban_key(struct keeper *keeper, const uint8_t spki_sha256[KEY_SHA256_BYTES])
{
    struct ban_write *write;
    if (keeper_key_is_banned(keeper, spki_sha256))
        return;
    write = MEM_NEW(struct ban_write);
    write->keeper = keeper;
    list_append(&keeper->ban_writes, &write->node);
    buf_append_slice(&write->key, ban_prefix);
    hash_write(spki_sha256, &write->key);
    map_put(&keeper->bans, slice_skip(buf_slice(&write->key), ban_prefix.len), keeper);
    keeper_look_all(keeper); /* a TLS_CERT with that key is served no more */
    keeper_bans_flush(keeper);
}

void keeper_ban_key_of(struct keeper *keeper, const struct evp_pkey_st *key)
{
    struct buf spki = {0};
    uint8_t hash[KEY_SHA256_BYTES];
    key_write_public(key, &spki);
    key_sha256(buf_slice(&spki), hash);
    keeper_ban_key(keeper, hash);
    buf_cleanup(&spki);
}

void keeper_bans_init(struct keeper *keeper)
{
    list_init(&keeper->ban_writes);
}

void keeper_bans_cleanup(struct keeper *keeper)
{
    struct store *store = keeper->world.store;
    LIST_EACH(&keeper->ban_writes, node)
    {
        struct ban_write *write = container_of(node, struct ban_write, node);
        if (write->busy)
            store->ops->cancel(store, &write->call);
        ban_write_free(write);
    }
    map_cleanup(&keeper->bans);
}
