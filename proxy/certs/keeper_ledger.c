#include "acme/record.h"
#include "certs/keeper_internal.h"
#include "certs/registered_domain.h"

/* ---- the record ---- */

static void ledger_was_stored(struct store_call *call, enum store_result result, const struct store_record *records,
                              size_t num_records)
{
    struct keeper_issuer *issuer = container_of(call, struct keeper_issuer, ledger_call);
    (void)records, (void)num_records;
    issuer->ledger_busy = false;
    if (result != STORE_OK) /* with the next change, or the next minute */
        issuer->ledger_dirty = true;
}

static void issuer_ledger_key(const struct keeper_issuer *issuer, struct buf *out)
{
    record_ledger_key(buf_slice(&issuer->ledger_url), out);
}

static void issuer_flush_ledger(struct keeper_issuer *issuer)
{
    struct keeper *keeper = issuer->keeper;
    struct buf key = {0}, value = {0};
    if (!issuer->ledger_dirty || issuer->ledger_busy)
        return;
    issuer_ledger_key(issuer, &key);
    ledger_write(&issuer->ledger, keeper_wall_ms(keeper), &value);
    struct store_write write = {.key = buf_slice(&key), .value = buf_slice(&value)};
    issuer->ledger_dirty = false;
    issuer->ledger_busy = true;
    issuer->ledger_call.done = ledger_was_stored;
    keeper->world.store->ops->commit(keeper->world.store, &write, 1, &issuer->ledger_call);
    buf_cleanup(&key);
    buf_cleanup(&value);
}

void keeper_ledger_flush(struct keeper *keeper)
{
    for (size_t i = 0; keeper->writer && !keeper->stopped && i < NUM_ISSUERS; i++)
        issuer_flush_ledger(&keeper->issuers[i]);
}

/* What another process wrote while it might counts; what is not stored yet is newer than what is stored. */
static void issuer_take_ledger(struct keeper_issuer *issuer, const struct store_record *record)
{
    struct buf key = {0};
    issuer_ledger_key(issuer, &key);
    bool fits = slice_eq(buf_slice(&key), record->key);
    buf_cleanup(&key);
    if (!fits || !issuer->ledger.numbers || issuer->ledger_dirty || issuer->ledger_busy)
        return;
    ledger_cleanup(&issuer->ledger);
    ledger_init(&issuer->ledger, buf_slice(&issuer->ledger_url));
    if (!ledger_read(&issuer->ledger, record->value, keeper_wall_ms(issuer->keeper)))
        LOG_WARN_EVENT(issuer->keeper->world.log, "ledger_unreadable", LOG_SLICE("key", record->key),
                       LOG_STR("msg", "what is known of the CA's limits starts afresh"));
}

void keeper_ledger_take(struct keeper *keeper, const struct store_record *records, size_t num_records)
{
    for (size_t i = 0; i < NUM_ISSUERS * num_records; i++)
        issuer_take_ledger(&keeper->issuers[i % NUM_ISSUERS], &records[i / NUM_ISSUERS]);
}

/* ---- life ---- */

void keeper_ledger_begin(struct keeper_issuer *issuer)
{
    struct slice url = issuer->keeper->config->acme.ledger ? issuer_directory(issuer) : SLICE_NONE;
    if (slice_eq(buf_slice(&issuer->ledger_url), url))
        return;
    ledger_cleanup(&issuer->ledger);
    ledger_init(&issuer->ledger, url);
    name_state_keep(&issuer->ledger_url, url);
    issuer->ledger_dirty = false;
}

void keeper_ledger_end(struct keeper_issuer *issuer)
{
    struct store *store = issuer->keeper->world.store;
    if (issuer->ledger_busy)
        store->ops->cancel(store, &issuer->ledger_call);
    issuer->ledger_busy = false;
    ledger_cleanup(&issuer->ledger);
    buf_cleanup(&issuer->ledger_url);
}

/* ---- the orders of a name ---- */

static struct ledger_name *name_ledger(struct keeper_name *name, enum issuer_rank rank)
{
    return rank == ISSUER_FIRST ? &name->state.ledger : &name->state.fallback_ledger;
}

static bool name_has_certificate_of(const struct keeper_name *name, enum issuer_rank rank)
{
    return name && name_has_issued(name) &&
           slice_eq(buf_slice(&name->directory_url), issuer_directory(&name->keeper->issuers[rank]));
}

/* Both certificates of a name are for the same set of names. */
static enum ledger_kind name_ledger_kind(const struct keeper_name *name, enum issuer_rank rank, int64_t now_ms)
{
    if (name_has_certificate_of(name, rank) && renewal_in_window(&name->state.window, now_ms))
        return LEDGER_ARI;
    bool again = name_has_certificate_of(name, rank) || name_has_certificate_of(name->other, rank);
    return again ? LEDGER_RENEWAL : LEDGER_NEW;
}

static struct ledger_order name_ledger_order(struct keeper_name *name, enum issuer_rank rank, enum ledger_kind kind,
                                             struct buf *domain)
{
    registered_domain_write(name->text, domain);
    return (struct ledger_order){.kind = kind, .domain = buf_slice(domain), .name = name_ledger(name, rank)};
}

int64_t keeper_ledger_allows_ms(struct keeper_name *name, enum issuer_rank rank, int64_t now_ms)
{
    const struct ledger *ledger = &name->keeper->issuers[rank].ledger;
    struct buf domain = {0};
    enum ledger_limit limit = LEDGER_UNKNOWN;
    if (!ledger->numbers || name->asked == NAME_FORCED) {
        name->paced_by = LEDGER_UNKNOWN;
        return 0;
    }
    struct ledger_order order = name_ledger_order(name, rank, name_ledger_kind(name, rank, now_ms), &domain);
    if (name_has_issued(name) && keeper_renewal_is_chosen(name)) /* what is served must not lapse for our own pacing */
        order.floor_ms = keeper_renewal_plan(name).floor_ms;
    int64_t ready_ms = ledger_ready_ms(ledger, &order, now_ms, &limit);
    if (ready_ms > now_ms && limit != name->paced_by)
        LOG_INFO_EVENT(name->keeper->world.log, "order_paced", LOG_SLICE("name", name->text),
                       LOG_STR("limit", ledger_limit_text(limit)), LOG_SLICE("domain", buf_slice(&domain)),
                       LOG_INT("wait_s", (ready_ms - now_ms + 999) / 1000));
    name->paced_by = ready_ms > now_ms ? limit : LEDGER_UNKNOWN;
    buf_cleanup(&domain);
    return ready_ms;
}

void keeper_ledger_open(struct keeper_name *name, enum issuer_rank rank, int64_t now_ms)
{
    struct keeper_issuer *issuer = &name->keeper->issuers[rank];
    struct buf domain = {0};
    name->ledger_kind = name_ledger_kind(name, rank, now_ms);
    if (!issuer->ledger.numbers)
        return;
    struct ledger_order order = name_ledger_order(name, rank, name->ledger_kind, &domain);
    ledger_open(&issuer->ledger, &order, now_ms);
    name->ledger_open = issuer->ledger_dirty = true;
    buf_cleanup(&domain);
}

/* The CA had not taken the order when it failed there. */
static bool step_is_before_order(const char *step)
{
    return !step || strcmp(step, "new-order") == 0 || strcmp(step, "account") == 0 || strcmp(step, "queued") == 0 ||
           strcmp(step, "journal") == 0 || strcmp(step, "key") == 0;
}

static enum ledger_outcome ledger_outcome_of(const struct acme_result *result)
{
    if (result && (result->issued || result->chain)) /* also where it is refused here */
        return LEDGER_ISSUED;
    if (!result || step_is_before_order(result->step))
        return LEDGER_NOT_PLACED;
    return result->problem.class == PROBLEM_VALIDATION ? LEDGER_FAILED_VALIDATION : LEDGER_FAILED;
}

static void name_log_lesson(const struct keeper_name *name, const struct ledger_lesson *lesson,
                            const struct ledger_order *order, const struct problem *problem)
{
    if (lesson->limit == LEDGER_UNKNOWN || lesson->predicted)
        return;
    LOG_WARN_EVENT(name->keeper->world.log, "limit_unpredicted", LOG_SLICE("name", name->text),
                   LOG_STR("limit", ledger_limit_text(lesson->limit)), LOG_SLICE("domain", order->domain),
                   LOG_INT("retry_after_s", problem->retry_after_ms / 1000),
                   LOG_STR("msg", "by our own orders the CA's limit was not reached: another client uses this name, "
                                  "its registered domain or the account"));
}

void keeper_ledger_close(struct keeper_name *name, const struct acme_result *result)
{
    struct keeper_issuer *issuer = &name->keeper->issuers[name->rank];
    struct buf domain = {0};
    int64_t now_ms = keeper_wall_ms(name->keeper);
    if (!name->ledger_open)
        return;
    name->ledger_open = false;
    struct ledger_order order = name_ledger_order(name, name->rank, name->ledger_kind, &domain);
    const struct problem *problem = result && !result->issued ? &result->problem : NULL;
    ledger_close(&issuer->ledger, &order, ledger_outcome_of(result), now_ms);
    if (problem && problem_is(problem, "rateLimited")) { /* ACME-112 */
        struct ledger_lesson lesson = ledger_correct(&issuer->ledger, &order, problem, now_ms);
        name_log_lesson(name, &lesson, &order, problem);
    }
    issuer->ledger_dirty = true;
    keeper_state_dirty(name);
    buf_cleanup(&domain);
}
