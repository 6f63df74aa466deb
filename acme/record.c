#include "acme/record.h"

#include "acme/jwk.h"
#include "base/json_read.h"
#include "base/json_write.h"
#include "base/limits.h"

enum { RECORD_VERSION = 1, RECORD_HASH_BYTES = 16, RECORD_MAX_NAMES = 100 };

static const int64_t record_last_s = INT64_C(253402300799); /* the year 9999 */

static void record_write_hashed(const char *prefix, struct slice directory_url, struct buf *out)
{
    uint8_t digest[KEY_SHA256_BYTES];
    key_sha256(directory_url, digest);
    buf_append_str(out, prefix);
    key_write_hex(out, slice_make(digest, RECORD_HASH_BYTES));
}

void record_ledger_key(struct slice directory_url, struct buf *out)
{
    record_write_hashed("ledger/", directory_url, out);
}

void record_account_key(struct slice directory_url, bool given, struct buf *out)
{
    record_write_hashed("account/", directory_url, out);
    if (given)
        buf_append_str(out, ".given");
}

void record_journal_key(struct slice record, struct buf *out)
{
    buf_append_str(out, "order/");
    buf_append_slice(out, record);
}

static void record_put_key(struct json_writer *w, const char *member, const struct evp_pkey_st *key)
{
    struct buf pem = {0};
    buf_reserve(&pem, 4096); /* no copy of the key stays behind in a reallocation */
    key_write_pem(key, &pem);
    json_put_string(w, member, buf_slice(&pem));
    buf_cleanup_secret(&pem);
}

static void record_put_url(struct json_writer *w, const char *key, struct slice url)
{
    if (url.ptr)
        json_put_string(w, key, url);
}

void record_write_account(const struct account_record *record, struct buf *out)
{
    buf_reserve(out, 12288);
    struct json_writer w = json_writer_on(out);
    json_object(&w);
    json_put_int(&w, "version", RECORD_VERSION);
    json_put_string(&w, "directory", record->directory_url);
    json_put_string(&w, "thumbprint", record->thumbprint);
    record_put_url(&w, "url", record->url);
    if (record->contact.len)
        json_put_string(&w, "contact", record->contact);
    if (record->key)
        record_put_key(&w, "key", record->key);
    if (record->next_key)
        record_put_key(&w, "next_key", record->next_key);
    json_end_object(&w);
    buf_append_char(out, '\n');
}

/* The tree of a record of a version that we know. */
static struct err record_parse(struct arena *arena, struct slice text, struct json **out_json)
{
    int64_t version = 0;
    struct err err = json_parse(arena, text, LIMIT_JSON_BYTES, out_json);
    if (err_is(err))
        return err;
    if (!json_get_int(*out_json, "version", 1, RECORD_VERSION, &version))
        return err_make(ERR_INPUT, 0, "record of an unknown version");
    return ERR_OK;
}

/* NULL where the record has none. */
static struct err record_get_key(const struct json *json, const char *member, struct evp_pkey_st **out_key)
{
    struct slice pem = json_get_string(json, member);
    *out_key = NULL;
    return pem.ptr ? key_read_pem(pem, out_key) : ERR_OK;
}

static struct slice record_get(struct arena *arena, const struct json *json, const char *key)
{
    struct slice value = json_get_string(json, key);
    return value.len ? arena_copy(arena, value) : SLICE_NONE;
}

static struct err record_read_account_json(struct arena *arena, const struct json *json, struct account_record *record)
{
    struct err err = record_get_key(json, "key", &record->key);
    if (!err_is(err))
        err = record_get_key(json, "next_key", &record->next_key);
    if (err_is(err)) {
        key_free(record->key);
        return err;
    }
    record->directory_url = record_get(arena, json, "directory");
    record->thumbprint = record_get(arena, json, "thumbprint");
    record->url = record_get(arena, json, "url");
    record->contact = record_get(arena, json, "contact");
    struct buf thumbprint = {0};
    bool fits = !record->key ||
                (jwk_thumbprint(record->key, &thumbprint) && slice_eq(buf_slice(&thumbprint), record->thumbprint));
    buf_cleanup(&thumbprint);
    if (record->directory_url.ptr && record->thumbprint.ptr && fits)
        return ERR_OK;
    key_free(record->key);
    key_free(record->next_key);
    return err_make(ERR_INPUT, 0, "account record is incomplete or contradicts itself");
}

struct err record_read_account(struct arena *arena, struct slice text, struct account_record *out_record)
{
    struct arena scratch = {0};
    struct json *json = NULL;
    struct account_record record = {0};
    struct err err = record_parse(&scratch, text, &json);
    if (!err_is(err))
        err = record_read_account_json(arena, json, &record);
    arena_wipe(&scratch); /* the tree has the keys' PEM */
    arena_cleanup(&scratch);
    if (!err_is(err))
        *out_record = record;
    return err;
}

void record_write_journal(const struct journal *journal, struct buf *out)
{
    buf_reserve(out, 8192 + journal->num_names * 256);
    struct json_writer w = json_writer_on(out);
    json_object(&w);
    json_put_int(&w, "version", RECORD_VERSION);
    json_put_string(&w, "directory", journal->directory_url);
    record_put_url(&w, "account", journal->account_url);
    record_put_url(&w, "order", journal->order_url);
    if (journal->profile.len)
        json_put_string(&w, "profile", journal->profile);
    json_key(&w, "names");
    json_array(&w);
    for (size_t i = 0; i < journal->num_names; i++)
        json_string(&w, journal->names[i]);
    json_end_array(&w);
    json_put_int(&w, "created_s", journal->created_s);
    if (journal->expires_s)
        json_put_int(&w, "expires_s", journal->expires_s);
    record_put_key(&w, "key", journal->key);
    json_end_object(&w);
    buf_append_char(out, '\n');
}

static bool record_get_names(struct arena *arena, const struct json *json, struct journal *journal)
{
    const struct json *list = json_get(json, "names");
    if (!list || list->kind != JSON_ARRAY || list->num == 0 || list->num > RECORD_MAX_NAMES)
        return false;
    struct slice *names = arena_calloc(arena, list->num, sizeof *names);
    for (const struct json *at = list->first; at; at = at->next) {
        if (at->kind != JSON_STRING)
            return false;
        names[journal->num_names++] = arena_copy(arena, at->string);
    }
    journal->names = names;
    return true;
}

static struct err record_read_journal_json(struct arena *arena, const struct json *json, struct journal *journal)
{
    struct err err = record_get_key(json, "key", &journal->key);
    if (err_is(err))
        return err;
    journal->directory_url = record_get(arena, json, "directory");
    journal->account_url = record_get(arena, json, "account");
    journal->order_url = record_get(arena, json, "order");
    journal->profile = record_get(arena, json, "profile");
    if (!json_get_int(json, "expires_s", 0, record_last_s, &journal->expires_s))
        journal->expires_s = 0;
    if (journal->key && journal->directory_url.ptr && record_get_names(arena, json, journal) &&
        json_get_int(json, "created_s", 0, record_last_s, &journal->created_s) &&
        !journal->order_url.ptr == !journal->account_url.ptr)
        return ERR_OK;
    key_free(journal->key);
    return err_make(ERR_INPUT, 0, "journal of an order is incomplete");
}

struct err record_read_journal(struct arena *arena, struct slice text, struct journal *out_journal)
{
    struct arena scratch = {0};
    struct json *json = NULL;
    struct journal journal = {0};
    struct err err = record_parse(&scratch, text, &json);
    if (!err_is(err))
        err = record_read_journal_json(arena, json, &journal);
    arena_wipe(&scratch); /* the tree has the keys' PEM */
    arena_cleanup(&scratch);
    if (!err_is(err))
        *out_journal = journal;
    return err;
}
