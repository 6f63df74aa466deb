#include "store/seal_internal.h"

/* IDLE -> MARK -- ours, or nothing is sealed and no key is given ------------------------------------------> IDLE
 *          |  (another's: locked out)                                                                        ^
 *          v                                                                                                 |
 *         LIST -> { GET -> [GET_PREVIOUS] -> COMMIT }* -> LIST of previous/ -> { GET -> COMMIT }* -> WRITE_MARK
 */

static const struct slice mark_key = {"storage-key", 11};
static const struct slice mark_text = {"the records of this storage are sealed\n", 39};
static const struct slice certificate_prefix = {"certificate/", 12};
static const struct slice previous_prefix = {"previous/", 9};

static void sweep_next(struct seal *seal);

/* Whoever asks for it makes a call of that step. */
static struct store *sweep_store(struct seal *seal, enum sweep_step step)
{
    seal->step = step;
    seal->busy = true;
    return seal->config.inner;
}

static struct slice sweep_name(const struct seal *seal)
{
    struct slice rest = slice_skip(buf_slice(&seal->names), seal->at);
    return slice_split(&rest, '\0');
}

static void sweep_forget_values(struct seal *seal)
{
    seal->value.len = seal->previous.len = 0;
}

/* ---- the end ---- */

static void sweep_log(struct seal *seal)
{
    if (seal->num_sealed)
        LOG_INFO_EVENT(
            seal->config.log, "storage_sealed", LOG_INT("records", seal->num_sealed), LOG_STR("key", seal->key.id),
            LOG_STR("msg", "records that lay in PORTICO_STORAGE in plain text are sealed with PORTICO_STORAGE_KEY "
                           "now; the disk and its backups may still hold what they were before"));
    if (seal->failed != STORE_OK)
        LOG_ERROR_EVENT(
            seal->config.log, "storage_not_sealed", LOG_STR("result", store_result_text(seal->failed)),
            LOG_STR("msg", "some records of PORTICO_STORAGE are still in plain text: they are sealed when they are "
                           "written next, or at the next start"));
}

static void sweep_end(struct seal *seal, enum store_result result)
{
    if (result == STORE_OK) {
        sweep_log(seal);
        if (!seal->said_sealed)
            seal_set_sentence(seal, "");
    }
    seal_sweep_stop(seal);
    seal_swept(seal, result);
}

static void sweep_fail(struct seal *seal, enum store_result result)
{
    if (seal->failed == STORE_OK)
        seal->failed = result;
}

static void sweep_marked(struct seal *seal, enum store_result result)
{
    if (result == STORE_OK)
        seal->plain_seen = false;
    else
        sweep_fail(seal, result);
    sweep_end(seal, STORE_OK);
}

static void sweep_write_mark(struct seal *seal)
{
    struct store *inner = sweep_store(seal, SWEEP_WRITE_MARK);
    sweep_forget_values(seal);
    sealed_value_write(&seal->key, mark_key, mark_text, &seal->value);
    struct store_write write = {.key = mark_key, .value = buf_slice(&seal->value)};
    inner->ops->commit(inner, &write, 1, &seal->call);
}

/* ---- which ---- */

static void sweep_list(struct seal *seal, bool below_previous)
{
    struct store *inner = sweep_store(seal, SWEEP_LIST);
    seal->below_previous = below_previous;
    seal->names.len = seal->at = 0;
    inner->ops->list(inner, below_previous ? previous_prefix : SLICE_LIT(""), &seal->call);
}

static void sweep_note(struct seal *seal, const struct store_record *record)
{
    struct slice id = sealed_value_key_id(record->value);
    if (id.ptr && !slice_eq(id, slice_str(seal->key.id))) {
        seal->foreign = true;
        seal_say_unreadable(seal, STORE_WRONG_KEY, record->key, record->value);
    }
    if (sealed_value_is(record->value) || !seal_wants(record->key))
        return;
    buf_append_slice(&seal->names, record->key);
    buf_append_char(&seal->names, '\0');
}

static void sweep_listed(struct seal *seal, enum store_result result, const struct store_record *records, size_t num)
{
    if (result != STORE_OK && result != STORE_NOT_FOUND)
        sweep_fail(seal, result);
    for (size_t i = 0; i < num; i++)
        sweep_note(seal, &records[i]);
    if (seal->foreign)
        sweep_end(seal, STORE_WRONG_KEY); /* nothing has been sealed so far */
    else
        sweep_next(seal);
}

/* ---- one after another ---- */

static void sweep_commit(struct seal *seal)
{
    struct buf previous = {0};
    struct slice name = sweep_name(seal);
    struct store *inner = sweep_store(seal, SWEEP_COMMIT);
    buf_append_slice(&previous, previous_prefix);
    buf_append_slice(&previous, name);
    struct store_write writes[] = {
        {.key = name, .value = buf_slice(&seal->value), .condition = STORE_VERSION, .version = seal->version},
        {.key = buf_slice(&previous), .value = seal->previous.len ? buf_slice(&seal->previous) : SLICE_NONE}};
    inner->ops->commit(inner, writes, slice_starts(name, certificate_prefix) ? 2 : 1, &seal->call);
    buf_cleanup(&previous);
}

/* Into its place, as it is where it is sealed already. */
static void sweep_take(struct seal *seal, struct slice name, struct slice value, struct buf *out)
{
    out->len = 0;
    if (sealed_value_is(value))
        buf_append_slice(out, value);
    else
        sealed_value_write(&seal->key, name, value, out);
}

static void sweep_get_previous(struct seal *seal)
{
    struct buf key = {0};
    struct store *inner = sweep_store(seal, SWEEP_GET_PREVIOUS);
    buf_append_slice(&key, previous_prefix);
    buf_append_slice(&key, sweep_name(seal));
    inner->ops->get(inner, buf_slice(&key), &seal->call);
    buf_cleanup(&key);
}

static void sweep_advance(struct seal *seal)
{
    seal->at += sweep_name(seal).len + 1;
    sweep_next(seal);
}

static void sweep_got(struct seal *seal, enum store_result result, const struct store_record *record)
{
    if (result != STORE_OK || !record) {
        if (result != STORE_NOT_FOUND)
            sweep_fail(seal, result);
        sweep_advance(seal);
        return;
    }
    sweep_forget_values(seal);
    sweep_take(seal, record->key, record->value, &seal->value);
    seal->version = record->version;
    seal->num_written = 1;
    if (slice_starts(record->key, certificate_prefix)) /* or the commit would keep it there as it was */
        sweep_get_previous(seal);
    else
        sweep_commit(seal);
}

static void sweep_got_previous(struct seal *seal, enum store_result result, const struct store_record *record)
{
    if (result == STORE_OK && record) {
        sweep_take(seal, record->key, record->value, &seal->previous);
        seal->num_written += !sealed_value_is(record->value);
    }
    if (result == STORE_OK || result == STORE_NOT_FOUND) {
        sweep_commit(seal);
        return;
    }
    sweep_fail(seal, result);
    sweep_advance(seal);
}

static void sweep_committed(struct seal *seal, enum store_result result)
{
    if (result == STORE_OK)
        seal->num_sealed += seal->num_written;
    else
        sweep_fail(seal, result);
    if (result == STORE_OK || result == STORE_CONFLICT || result == STORE_TOO_BIG)
        sweep_advance(seal);
    else
        sweep_end(seal, STORE_OK); /* a full disk, say: it would be so for each of them */
}

static void sweep_next(struct seal *seal)
{
    struct slice name = sweep_name(seal);
    if (name.len) {
        struct store *inner = sweep_store(seal, SWEEP_GET);
        inner->ops->get(inner, name, &seal->call);
    } else if (!seal->below_previous) {
        sweep_list(seal, true);
    } else if (seal->failed == STORE_OK) {
        sweep_write_mark(seal);
    } else {
        sweep_end(seal, STORE_OK);
    }
}

/* ---- is it sealed? ---- */

static void sweep_judge(struct seal *seal, enum store_result result, const struct store_record *record)
{
    struct buf text = {0};
    bool sealed = record && sealed_value_is(record->value);
    enum store_result opened = sealed ? sealed_value_open(seal_key_of(seal), mark_key, record->value, &text) : STORE_OK;
    buf_cleanup(&text);
    if (opened == STORE_DENIED || opened == STORE_WRONG_KEY) {
        seal_say_unreadable(seal, opened, mark_key, record->value);
        sweep_end(seal, opened);
    } else if (result != STORE_OK && result != STORE_NOT_FOUND) {
        if (seal->has_key) /* whoever is granted finds out what cannot be read */
            sweep_fail(seal, result);
        sweep_end(seal, STORE_OK);
    } else if (!seal->has_key || (sealed && opened == STORE_OK && !seal->plain_seen)) {
        sweep_end(seal, STORE_OK);
    } else {
        seal_set_sentence(seal, "the records of PORTICO_STORAGE are being sealed with PORTICO_STORAGE_KEY");
        sweep_list(seal, false);
    }
}

static void sweep_done(struct store_call *call, enum store_result result, const struct store_record *records,
                       size_t num_records)
{
    struct seal *seal = container_of(call, struct seal, call);
    const struct store_record *record = num_records ? records : NULL;
    seal->busy = false;
    switch (seal->step) {
    case SWEEP_MARK: sweep_judge(seal, result, record); return;
    case SWEEP_LIST: sweep_listed(seal, result, records, num_records); return;
    case SWEEP_GET: sweep_got(seal, result, record); return;
    case SWEEP_GET_PREVIOUS: sweep_got_previous(seal, result, record); return;
    case SWEEP_COMMIT: sweep_committed(seal, result); return;
    case SWEEP_WRITE_MARK: sweep_marked(seal, result); return;
    case SWEEP_IDLE: return;
    }
}

void seal_sweep_start(struct seal *seal)
{
    struct store *inner = sweep_store(seal, SWEEP_MARK);
    seal->failed = STORE_OK;
    seal->num_sealed = 0;
    seal->foreign = false;
    inner->ops->get(inner, mark_key, &seal->call);
}

void seal_sweep_stop(struct seal *seal)
{
    struct store *inner = seal->config.inner;
    if (seal->busy)
        inner->ops->cancel(inner, &seal->call);
    seal->busy = false;
    seal->step = SWEEP_IDLE;
    buf_cleanup(&seal->names);
    buf_cleanup(&seal->value);
    buf_cleanup(&seal->previous);
    seal->names = seal->value = seal->previous = (struct buf){0};
    seal->at = 0;
}

void seal_sweep_init(struct seal *seal)
{
    seal->call.done = sweep_done;
}
