#include "acme/order_journal.h"

#include "acme/engine.h"
#include "acme/order.h"
#include "acme/record.h"
#include "base/log.h"
#include "base/mem.h"

static struct acme_order *order_of_store_call(struct store_call *call)
{
    struct acme_order *order = container_of(call, struct acme_order, store_call);
    order->store_busy = false;
    return order;
}

static void order_was_closed(struct store_call *call, enum store_result result, const struct store_record *records,
                             size_t num_records)
{
    (void)result; /* a journal of a dead order that stays is found dead again: no harm */
    (void)records;
    (void)num_records;
    order_finish(order_of_store_call(call));
}

void order_journal_close(struct acme_order *order)
{
    struct store *store = order->acme->world.store;
    struct store_write write = {buf_slice(&order->journal_key), SLICE_NONE, STORE_ANY, 0};
    order->phase = ORDER_AT_CLOSING;
    order->store_call.done = order_was_closed;
    order->store_busy = true;
    store->ops->commit(store, &write, 1, &order->store_call);
}

static void order_write_journal(struct acme_order *order, enum order_phase phase, enum store_condition condition,
                                uint64_t version,
                                void (*done)(struct store_call *, enum store_result, const struct store_record *,
                                             size_t))
{
    const struct order_progress *progress = &order->progress;
    bool has_url = progress->url.len > 0;
    struct journal journal = {
        .directory_url = order->acme->options.directory_url,
        .account_url = has_url ? buf_slice(&order->account_url) : SLICE_NONE,
        .order_url = has_url ? buf_slice(&progress->url) : SLICE_NONE,
        .profile = has_url ? progress->profile : SLICE_NONE,
        .names = order->spec.names,
        .num_names = order->spec.num_names,
        .key = order->key,
        .created_s = progress->created_s,
        .expires_s = progress->document.expires_s ? progress->document.expires_s : order->journal_expires_s,
    };
    struct buf value = {0};
    record_write_journal(&journal, &value);
    struct store_write write = {buf_slice(&order->journal_key), buf_slice(&value), condition, version};
    struct store *store = order->acme->world.store;
    order->phase = phase;
    order->store_call.done = done;
    order->store_busy = true;
    store->ops->commit(store, &write, 1, &order->store_call);
    buf_cleanup_secret(&value);
}

static void order_intent_was_written(struct store_call *call, enum store_result result,
                                     const struct store_record *records, size_t num_records)
{
    struct acme_order *order = order_of_store_call(call);
    (void)records;
    (void)num_records;
    if (result == STORE_OK) {
        order_go_on(order);
    } else if (result == STORE_UNKNOWN && !order->journal_doubtful) {
        order->journal_doubtful = true;
        order_journal_open(order); /* read back what is there */
    } else {
        order_fail_store(order, "writing the order's journal", result);
    }
}

static void order_journal_intend(struct acme_order *order, enum store_condition condition, uint64_t version)
{
    order_write_journal(order, ORDER_AT_INTENT, condition, version, order_intent_was_written);
}

/* --- the key --- */

static void order_take_key(struct acme_order *order, struct evp_pkey_st *key, struct err err)
{
    if (!err_is(err) && (!key || key_type_of(key) != order->spec.key_type))
        err = err_make(ERR_STATE, 0, "a key of another type was made");
    if (err_is(err)) {
        key_free(key);
        order_fail_with(order, PROBLEM_LOCAL, err, SLICE_LIT("no key for the certificate could be made"));
        return;
    }
    order->key = order->progress.key = key;
    order->progress.created_s = acme_wall_s(order->acme);
    order_journal_intend(order, order->intend_condition, order->intend_version);
}

static void order_key_was_made(struct acme_key_job *job, struct evp_pkey_st *key, struct err err)
{
    struct acme_order *order = container_of(job, struct acme_order, key_job);
    order->key_busy = false;
    order_take_key(order, key, err);
}

static void order_make_key(struct acme_order *order)
{
    const struct acme_world *world = &order->acme->world;
    struct evp_pkey_st *key = NULL;
    order->phase = ORDER_AT_KEYING;
    if (!world->make_key) {
        struct err err = key_generate(order->spec.key_type, &key);
        order_take_key(order, key, err);
        return;
    }
    order->key_busy = true;
    order->key_job = (struct acme_key_job){.done = order_key_was_made};
    world->make_key(world->ctx, order->spec.key_type, &order->key_job);
}

void order_journal_begin_anew(struct acme_order *order, enum store_condition condition, uint64_t version)
{
    key_free(order->key);
    order->key = order->progress.key = NULL;
    order_progress_reset(&order->progress);
    order->account_url.len = 0;
    order->journal_expires_s = 0;
    order->step = order->poll_step = ORDER_STEP_NEW;
    order->intend_condition = condition;
    order->intend_version = version;
    order_make_key(order);
}

/* --- what is there --- */

static bool order_has_names(const struct acme_order *order, const struct journal *journal)
{
    if (journal->num_names != order->spec.num_names)
        return false;
    for (size_t i = 0; i < journal->num_names; i++) {
        size_t at = 0;
        while (at < order->spec.num_names && !slice_eq(journal->names[i], order->spec.names[at]))
            at++;
        if (at == order->spec.num_names)
            return false;
    }
    return true;
}

/* Is it this order, at this CA, and still worth asking about (ACME-42)? */
static bool order_can_resume(const struct acme_order *order, const struct journal *journal)
{
    return slice_eq(journal->directory_url, order->acme->options.directory_url) && order_has_names(order, journal) &&
           key_type_of(journal->key) == order->spec.key_type &&
           (journal->expires_s == 0 || journal->expires_s > acme_wall_s(order->acme));
}

static void order_adopt(struct acme_order *order, const struct journal *journal)
{
    struct order_progress *progress = &order->progress;
    key_free(order->key);
    order->key = progress->key = journal->key;
    progress->created_s = journal->order_url.ptr ? journal->created_s : acme_wall_s(order->acme);
    progress->url.len = order->account_url.len = 0;
    if (!journal->order_url.ptr)
        return;
    buf_append_slice(&progress->url, journal->order_url);
    buf_append_slice(&order->account_url, journal->account_url);
    progress->profile = arena_copy(&order->arena, journal->profile);
    order->journal_expires_s = journal->expires_s;
    progress->resumed = true;
}

static void order_take_journal(struct acme_order *order, const struct store_record *record)
{
    struct arena arena = {0};
    struct journal journal = {0};
    struct err err = record_read_journal(&arena, record->value, &journal);
    if (err_is(err)) {
        order_fail_store(order, "the stored journal of this name's order", STORE_CORRUPT);
    } else if (order_can_resume(order, &journal)) {
        order_adopt(order, &journal);
        order_journal_intend(order, STORE_VERSION, record->version);
    } else {
        key_free(journal.key);
        order_journal_begin_anew(order, STORE_VERSION, record->version);
    }
    arena_cleanup(&arena);
}

static void order_was_opened(struct store_call *call, enum store_result result, const struct store_record *records,
                             size_t num_records)
{
    struct acme_order *order = order_of_store_call(call);
    if (result == STORE_OK && num_records == 1)
        order_take_journal(order, records);
    else if (result == STORE_NOT_FOUND)
        order_journal_begin_anew(order, STORE_ABSENT, 0);
    else
        order_fail_store(order, "reading the order's journal", result);
}

void order_journal_open(struct acme_order *order)
{
    struct store *store = order->acme->world.store;
    order->phase = ORDER_AT_OPENING;
    order->store_call.done = order_was_opened;
    order->store_busy = true;
    store->ops->get(store, buf_slice(&order->journal_key), &order->store_call);
}

static void order_was_noted(struct store_call *call, enum store_result result, const struct store_record *records,
                            size_t num_records)
{
    struct acme_order *order = order_of_store_call(call);
    (void)records;
    (void)num_records;
    if (result != STORE_OK) {
        order_fail_store(order, "writing down where the order is", result);
        return;
    }
    LOG_INFO_EVENT(order->acme->world.log, "acme_order_created", LOG_SLICE("name", order->spec.record),
                   LOG_SLICE("order", buf_slice(&order->progress.url)));
    order_go_on(order);
}

void order_journal_note(struct acme_order *order)
{
    order_write_journal(order, ORDER_AT_NOTING, STORE_ANY, 0, order_was_noted);
}
