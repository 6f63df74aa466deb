#include "certs/account_look.h"

#include "acme/jwk.h"
#include "acme/record.h"
#include "base/mem.h"

static void look_read(struct account_look *look, struct slice text)
{
    struct arena arena = {0};
    struct account_record record = {0};
    if (err_is(record_read_account(&arena, text, &record))) {
        look->result = STORE_CORRUPT;
    } else if (!look->key_given || slice_eq(record.thumbprint, buf_slice(&look->thumbprint))) {
        look->thumbprint.len = 0;
        buf_append_slice(&look->thumbprint, record.thumbprint);
        buf_append_slice(&look->url, record.url);
    }
    key_free(record.key);
    arena_cleanup(&arena);
}

static void look_answered(struct store_call *call, enum store_result result, const struct store_record *records,
                          size_t num_records)
{
    struct account_look *look = container_of(call, struct account_look, call);
    look->result = result;
    if (result == STORE_OK && num_records)
        look_read(look, records[0].value);
    look->done(look);
}

static void look_read_key(struct account_look *look, struct slice pem)
{
    struct evp_pkey_st *key;
    if (pem.len == 0 || err_is(key_read_pem(pem, &key)))
        return;
    look->key_given = jwk_thumbprint(key, &look->thumbprint);
    key_free(key);
}

void account_look_start(struct account_look *look, struct store *store, struct slice directory_url,
                        struct slice account_key_pem)
{
    struct buf key = {0};
    look->call.done = look_answered;
    look_read_key(look, account_key_pem);
    record_account_key(directory_url, look->key_given, &key);
    store->ops->get(store, buf_slice(&key), &look->call);
    buf_cleanup(&key);
}

void account_look_cleanup(struct account_look *look)
{
    buf_cleanup(&look->url);
    buf_cleanup(&look->thumbprint);
}
