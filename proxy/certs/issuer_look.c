#include "certs/issuer_look.h"

#include "acme/jwk.h"
#include "acme/record.h"
#include "base/mem.h"

/* ---- the directory ---- */

static void look_answered(struct transport_call *call, const struct acme_reply *reply)
{
    struct issuer_look *look = container_of(call, struct issuer_look, call);
    if (!err_is(reply->err) && reply->status == 200)
        look->directory_err = directory_read(reply->body, &look->directory);
    look->done(look, reply);
}

static void look_ask(struct issuer_look *look)
{
    struct acme_request request = {.method = ACME_GET, .url = look->url};
    look->call.done = look_answered;
    look->transport->ops->send(look->transport, &request, &look->call);
}

/* ---- the account ---- */

static void look_take_account(struct issuer_look *look, struct slice text)
{
    struct arena arena = {0};
    struct account_record record = {0};
    if (err_is(record_read_account(&arena, text, &record))) {
        look->account = STORE_CORRUPT;
    } else if (!look->key_given || slice_eq(record.thumbprint, buf_slice(&look->thumbprint))) {
        look->thumbprint.len = 0;
        buf_append_slice(&look->thumbprint, record.thumbprint);
        buf_append_slice(&look->account_url, record.url);
    }
    key_free(record.key);
    arena_cleanup(&arena);
}

static void look_read(struct store_call *call, enum store_result result, const struct store_record *records,
                      size_t num_records)
{
    struct issuer_look *look = container_of(call, struct issuer_look, store_call);
    look->account = result;
    if (result == STORE_OK && num_records)
        look_take_account(look, records[0].value);
    look_ask(look);
}

static void look_take_key(struct issuer_look *look)
{
    struct evp_pkey_st *key;
    if (look->account_key_pem.len == 0 || err_is(key_read_pem(look->account_key_pem, &key)))
        return;
    look->key_given = jwk_thumbprint(key, &look->thumbprint);
    key_free(key);
}

void issuer_look_start(struct issuer_look *look, struct store *store, struct transport *transport)
{
    struct buf key = {0};
    look->transport = transport;
    look->account = STORE_NOT_FOUND;
    look_take_key(look);
    if (!store) {
        look_ask(look);
        return;
    }
    look->store_call.done = look_read;
    record_account_key(look->url, look->key_given, &key);
    store->ops->get(store, buf_slice(&key), &look->store_call);
    buf_cleanup(&key);
}

/* ---- life ---- */

void issuer_look_init(struct issuer_look looks[CONFIG_ISSUERS], const struct config *config)
{
    looks[0] = (struct issuer_look){.url = config->acme.directory,
                                    .account_key_pem = config->acme.account_key.text,
                                    .eab_kid = config->acme.eab_kid};
    looks[1] = (struct issuer_look){.url = config->acme.fallback,
                                    .account_key_pem = config->acme.fallback_account_key.text,
                                    .eab_kid = config->acme.fallback_eab_kid};
}

struct challenge_account issuer_look_account(const struct issuer_look *look)
{
    return (struct challenge_account){.url = buf_slice(&look->account_url),
                                      .thumbprint = buf_slice(&look->thumbprint),
                                      .hash_prefix = look->directory.account_hash_prefix};
}

void issuer_look_cleanup(struct issuer_look *look)
{
    buf_cleanup(&look->account_url);
    buf_cleanup(&look->thumbprint);
    directory_cleanup(&look->directory);
}
