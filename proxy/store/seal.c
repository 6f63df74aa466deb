#include "store/seal_internal.h"

#include "base/mem.h"

/* One call of ours below one of the asker's. */
struct seal_call {
    struct store_call inner;
    struct store_call *asked;
    struct seal *seal;
    struct list node;
};

static struct seal *seal_of(const struct store *store)
{
    return container_of(store, struct seal, store);
}

bool seal_wants(struct slice key)
{
    return !slice_starts(key, SLICE_LIT("state/")) && !slice_starts(key, SLICE_LIT("ledger/"));
}

const struct seal_key *seal_key_of(const struct seal *seal)
{
    return seal->has_key ? &seal->key : NULL;
}

/* ---- what is said ---- */

static void seal_changed(const struct seal *seal)
{
    if (seal->config.changed)
        seal->config.changed(seal->config.ctx);
}

void seal_set_sentence(struct seal *seal, const char *sentence)
{
    if (slice_eq(buf_slice(&seal->sentence), slice_str(sentence)))
        return;
    seal->sentence.len = 0;
    buf_append_str(&seal->sentence, sentence);
    seal_changed(seal);
}

static void seal_say_sealed(struct seal *seal, enum store_result result, struct slice id)
{
    struct buf text = {0};
    if (seal->said_sealed)
        return;
    seal->said_sealed = true;
    if (result == STORE_DENIED)
        buf_printf(&text,
                   "the records of PORTICO_STORAGE are sealed with the key %.*s and no key is given: set "
                   "PORTICO_STORAGE_KEY, or PORTICO_STORAGE_KEY_FILE, to the one that they were sealed with",
                   (int)id.len, id.ptr);
    else
        buf_printf(&text,
                   "the records of PORTICO_STORAGE are sealed with the key %.*s and PORTICO_STORAGE_KEY is the key %s: "
                   "set it to the one that they were sealed with",
                   (int)id.len, id.ptr, seal->key.id);
    LOG_ERROR_EVENT(seal->config.log, "storage_key_wrong", LOG_STR("msg", buf_cstr(&text)),
                    LOG_SLICE("sealed_with", id), LOG_STR("given", seal->key.id));
    seal_set_sentence(seal, buf_cstr(&text));
    buf_cleanup(&text);
}

static void seal_say_damaged(struct seal *seal, struct slice key)
{
    if (slice_eq(buf_slice(&seal->said_damaged), key)) /* it is read again and again */
        return;
    seal->said_damaged.len = 0;
    buf_append_slice(&seal->said_damaged, key);
    LOG_ERROR_EVENT(seal->config.log, "storage_record_damaged", LOG_SLICE("record", key),
                    LOG_STR("msg",
                            "this sealed record does not open: it is damaged, of a newer version, or another record's "
                            "under this name; restore it from a backup, or remove it"));
}

void seal_say_unreadable(struct seal *seal, enum store_result result, struct slice key, struct slice value)
{
    if (result == STORE_CORRUPT)
        seal_say_damaged(seal, key);
    else
        seal_say_sealed(seal, result, sealed_value_key_id(value));
}

void seal_amend(const struct store *store, struct store_dir_report *report)
{
    struct seal *seal = seal_of(store);
    if (report->writing == STORE_OK || report->writing == STORE_FENCED)
        report->writing = seal->locked_out != STORE_OK ? seal->locked_out
                          : seal->step != SWEEP_IDLE   ? STORE_FENCED
                                                       : report->writing;
    if (seal->sentence.len && (!report->sentence || !report->sentence[0]))
        report->sentence = buf_cstr(&seal->sentence);
}

/* ---- get, list, commit, cancel ---- */

/* What was opened of the records of one answer. */
struct opened {
    struct store_record *records;
    struct buf *values; /* SECRET */
    size_t num;
    enum store_result result; /* of the first that does not open */
};

static void opened_add(struct opened *opened, struct seal *seal, const struct store_record *record)
{
    struct store_record *out = &opened->records[opened->num];
    struct buf *value = &opened->values[opened->num];
    *out = *record;
    if (sealed_value_is(record->value)) {
        enum store_result result = sealed_value_open(seal_key_of(seal), record->key, record->value, value);
        out->value = buf_slice(value);
        if (result != STORE_OK) {
            opened->result = opened->result == STORE_OK ? result : opened->result;
            seal_say_unreadable(seal, result, record->key, record->value);
            buf_cleanup_secret(value);
            return;
        }
    } else if (seal->has_key && seal_wants(record->key)) {
        seal->plain_seen = true;
    }
    opened->num++;
}

static void opened_cleanup(struct opened *opened)
{
    for (size_t i = 0; i < opened->num; i++)
        buf_cleanup_secret(&opened->values[i]);
    mem_free(opened->values);
    mem_free(opened->records);
}

/* Whoever asked may free the seal in `done`. */
static void seal_call_done(struct store_call *inner, enum store_result result, const struct store_record *records,
                           size_t num_records)
{
    struct seal_call *call = container_of(inner, struct seal_call, inner);
    struct store_call *asked = call->asked;
    struct opened opened = {.records = mem_calloc(num_records, sizeof(struct store_record)),
                            .values = mem_calloc(num_records, sizeof(struct buf))};
    for (size_t i = 0; i < num_records; i++)
        opened_add(&opened, call->seal, &records[i]);
    list_remove(&call->node);
    mem_free(call);
    asked->pending = NULL;
    asked->done(asked, result == STORE_OK ? opened.result : result, opened.num ? opened.records : NULL, opened.num);
    opened_cleanup(&opened);
}

static struct store_call *seal_call_new(struct seal *seal, struct store_call *asked)
{
    struct seal_call *call = MEM_NEW(struct seal_call);
    call->inner.done = seal_call_done;
    call->asked = asked;
    call->seal = seal;
    asked->pending = call;
    list_append(&seal->calls, &call->node);
    return &call->inner;
}

static void seal_get(struct store *store, struct slice key, struct store_call *call)
{
    struct seal *seal = seal_of(store);
    struct store *inner = seal->config.inner;
    inner->ops->get(inner, key, seal_call_new(seal, call));
}

static void seal_list(struct store *store, struct slice prefix, struct store_call *call)
{
    struct seal *seal = seal_of(store);
    struct store *inner = seal->config.inner;
    inner->ops->list(inner, prefix, seal_call_new(seal, call));
}

static void seal_commit(struct store *store, const struct store_write *writes, size_t num_writes,
                        struct store_call *call)
{
    struct seal *seal = seal_of(store);
    struct store *inner = seal->config.inner;
    struct store_write *sealed = mem_calloc(num_writes, sizeof *sealed);
    struct buf *values = mem_calloc(num_writes, sizeof *values);
    for (size_t i = 0; i < num_writes; i++) {
        sealed[i] = writes[i];
        if (!seal->has_key || !writes[i].value.len || !seal_wants(writes[i].key))
            continue;
        sealed_value_write(&seal->key, writes[i].key, writes[i].value, &values[i]);
        sealed[i].value = buf_slice(&values[i]);
    }
    inner->ops->commit(inner, sealed, num_writes, seal_call_new(seal, call));
    for (size_t i = 0; i < num_writes; i++)
        buf_cleanup(&values[i]);
    mem_free(values);
    mem_free(sealed);
}

static void seal_call_drop(struct seal_call *call)
{
    struct store *inner = call->seal->config.inner;
    inner->ops->cancel(inner, &call->inner);
    list_remove(&call->node);
    mem_free(call);
}

static void seal_cancel(struct store *store, struct store_call *asked)
{
    struct seal_call *call = asked->pending;
    (void)store;
    asked->pending = NULL;
    if (call)
        seal_call_drop(call);
}

/* ---- the lock ---- */

static void seal_lock_below(struct seal *seal)
{
    struct store *inner = seal->config.inner;
    inner->ops->lock(inner, &seal->lock);
}

static void seal_granted_below(struct store_lock *lock)
{
    seal_sweep_start(container_of(lock, struct seal, lock));
}

static void seal_lost_below(struct store_lock *lock)
{
    struct seal *seal = container_of(lock, struct seal, lock);
    bool granted = seal->granted;
    struct store_lock *asked = seal->asked;
    seal->granted = false;
    seal_sweep_stop(seal);
    if (granted) {
        seal->asked = NULL;
        asked->lost(asked);
    } else if (asked) { /* who asked was never told that it had it */
        seal_lock_below(seal);
    }
}

void seal_swept(struct seal *seal, enum store_result result)
{
    struct store *inner = seal->config.inner;
    seal->granted = result == STORE_OK;
    seal->locked_out = result;
    if (seal->granted) {
        seal_changed(seal);
        seal->asked->granted(seal->asked);
        return;
    }
    inner->ops->unlock(inner); /* for a process that has the key */
    seal_changed(seal);
}

static void seal_lock(struct store *store, struct store_lock *lock)
{
    struct seal *seal = seal_of(store);
    seal->asked = lock;
    seal->locked_out = STORE_OK;
    seal_lock_below(seal);
}

static void seal_unlock(struct store *store)
{
    struct seal *seal = seal_of(store);
    struct store *inner = seal->config.inner;
    seal->asked = NULL;
    seal->granted = false;
    seal_sweep_stop(seal);
    inner->ops->unlock(inner);
}

static void seal_watch(struct store *store, struct store_watch *watch)
{
    struct store *inner = seal_of(store)->config.inner;
    inner->ops->watch(inner, watch);
}

/* ---- life ---- */

static void seal_free(struct store *store)
{
    if (!store)
        return;
    struct seal *seal = seal_of(store);
    struct store *inner = seal->config.inner;
    seal_sweep_stop(seal);
    LIST_EACH(&seal->calls, node)
    {
        struct seal_call *call = container_of(node, struct seal_call, node);
        call->asked->pending = NULL;
        seal_call_drop(call);
    }
    inner->ops->free(inner);
    buf_cleanup(&seal->sentence);
    buf_cleanup(&seal->said_damaged);
    seal_key_wipe(&seal->key);
    mem_free(seal);
}

static const struct store_ops seal_ops = {
    .get = seal_get,
    .list = seal_list,
    .commit = seal_commit,
    .cancel = seal_cancel,
    .lock = seal_lock,
    .unlock = seal_unlock,
    .watch = seal_watch,
    .free = seal_free,
};

struct store *seal_new(const struct seal_config *config)
{
    struct seal *seal = MEM_NEW(struct seal);
    seal->store.ops = &seal_ops;
    seal->config = *config;
    seal->config.secret = SLICE_NONE; /* the key is all that is needed of it */
    seal->has_key = config->secret.len > 0;
    if (seal->has_key)
        seal_key_make(config->secret, &seal->key);
    seal->lock.granted = seal_granted_below;
    seal->lock.lost = seal_lost_below;
    list_init(&seal->calls);
    seal_sweep_init(seal);
    return &seal->store;
}
