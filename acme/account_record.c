/* The account's record in the store: read, written, and the key that is stored before the CA hears of it. Part of account.h. */
#include "acme/engine.h"
#include "acme/jwk.h"
#include "acme/record.h"

/* What is stored, where it fits the key that we were given, if any. */
static void account_take_record(struct acme *acme, struct account_record *record)
{
    struct account *account = &acme->account;
    if (account->key_given && !slice_eq(record->thumbprint, buf_slice(&account->thumbprint))) {
        key_free(record->key); /* another key was given before: its account is not ours */
        key_free(record->next_key);
        account->state = ACCOUNT_KEYED;
        return;
    }
    key_free(account->next_key);
    account->next_key = NULL;
    if (!account->key_given) {
        account_set_key(account, record->key);
        account->next_key = record->next_key;
    } else {
        key_free(record->key);
        key_free(record->next_key);
    }
    account->key_doubtful = account->next_key != NULL;
    account->url.len = 0;
    if (record->url.ptr)
        buf_append_slice(&account->url, record->url);
    account->contact.len = 0;
    if (record->contact.ptr)
        buf_append_slice(&account->contact, record->contact);
    account->state = record->url.ptr ? ACCOUNT_READY : ACCOUNT_KEYED;
}

static struct err account_read_record(struct acme *acme, struct slice text)
{
    struct arena arena = {0};
    struct account_record record = {0};
    struct err err = record_read_account(&arena, text, &record);
    if (!err_is(err) &&
        ((!acme->account.key_given && !record.key) || !slice_eq(record.directory_url, acme->options.directory_url))) {
        key_free(record.key);
        key_free(record.next_key);
        err = err_make(ERR_INPUT, 0, "account record belongs to another directory or has no key");
    }
    if (!err_is(err))
        account_take_record(acme, &record);
    arena_cleanup(&arena);
    return err;
}

static void account_was_read(struct store_call *call, enum store_result result, const struct store_record *records,
                             size_t num_records)
{
    struct acme *acme = account_of_store_call(call);
    struct account *account = &acme->account;
    if (result == STORE_OK && num_records == 1) {
        struct err err = account_read_record(acme, records[0].value);
        if (err_is(err)) {
            account_fail_store(acme, "the stored ACME account", STORE_CORRUPT);
            return;
        }
    } else if (result == STORE_NOT_FOUND) {
        account->state = account->key_given ? ACCOUNT_KEYED : ACCOUNT_EMPTY;
    } else {
        account_fail_store(acme, "reading the stored ACME account", result);
        return;
    }
    if (account->key)
        account_announce(acme);
    account_advance(acme);
}

void account_read(struct acme *acme)
{
    struct account *account = &acme->account;
    account->busy = account->read_once = true;
    account->record_key.len = 0;
    record_account_key(acme->options.directory_url, account->key_given, &account->record_key);
    account->store_call.done = account_was_read;
    acme->world.store->ops->get(acme->world.store, buf_slice(&account->record_key), &account->store_call);
}

void account_write(struct acme *acme, enum store_condition condition,
                   void (*done)(struct store_call *, enum store_result, const struct store_record *, size_t))
{
    struct account *account = &acme->account;
    struct account_record record = {
        .directory_url = acme->options.directory_url,
        .thumbprint = buf_slice(&account->thumbprint),
        .url = account->url.len ? buf_slice(&account->url) : SLICE_NONE,
        .contact = buf_slice(&account->contact),
        .key = account->key_given ? NULL : account->key,
        .next_key = account->next_key,
    };
    struct buf value = {0};
    record_write_account(&record, &value);
    struct store_write write = {buf_slice(&account->record_key), buf_slice(&value), condition, 0};
    account->busy = true;
    account->store_call.done = done;
    acme->world.store->ops->commit(acme->world.store, &write, 1, &account->store_call);
    buf_cleanup_secret(&value);
}

static void account_key_was_stored(struct store_call *call, enum store_result result,
                                   const struct store_record *records, size_t num_records)
{
    struct acme *acme = account_of_store_call(call);
    struct account *account = &acme->account;
    (void)records;
    (void)num_records;
    if (result == STORE_OK) {
        account->state = ACCOUNT_KEYED;
        account_announce(acme);
        account_advance(acme);
        return;
    }
    /* Perhaps it is written after all (UNKNOWN), perhaps another key is (CONFLICT): the next attempt reads first. */
    key_free(account->key);
    account->key = NULL;
    account->thumbprint.len = 0;
    account->state = ACCOUNT_UNREAD;
    account_fail_store(acme, "storing the ACME account key", result);
}

void account_make_key(struct acme *acme)
{
    struct evp_pkey_st *key = NULL;
    struct err err = key_generate(KEY_P256, &key); /* ACME-34: fresh, and never a certificate's */
    if (err_is(err)) {
        account_fail(acme, PROBLEM_LOCAL, err, SLICE_LIT("no account key could be made"));
        return;
    }
    account_set_key(&acme->account, key);
    account_write(acme, STORE_ABSENT, account_key_was_stored); /* ACME-38: before newAccount */
}

void account_forget(struct account *account)
{
    account->url.len = account->contact.len = 0;
    account->state = account->key_given ? ACCOUNT_KEYED : ACCOUNT_EMPTY;
    account->contact_told = account->replaced_once = false;
    if (account->key_given)
        return;
    key_free(account->key);
    account->key = NULL;
    account->thumbprint.len = 0;
}
