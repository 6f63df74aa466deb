#include "certs/dns_hook.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/url.h"
#include "certs/dns_hook_call.h"

enum { LOOK_FIRST = 60, LOOK_LAST = 4 }; /* from one look at a record to the next: that part of look_ms */

/*   QUEUED --> PRESENTING --> LOOKING --> STANDING --> (withdrawn) --> CLEANING --> gone
 *      |           |  failed     |           ^
 *      |           +-------------|-----------+
 *      +--> gone (withdrawn)     +--> CLEANING (withdrawn)                                   */
enum record_state { RECORD_QUEUED, RECORD_PRESENTING, RECORD_LOOKING, RECORD_STANDING, RECORD_CLEANING };

struct hook_record {
    struct dns_hook *hook;
    struct list node; /* in hook->records */
    enum record_state state;
    struct dns_hook_publication *publication; /* NULL: withdrawn */
    struct buf fqdn, value;
    bool local; /* nobody sees it by the system's resolver */
    struct hook_call call;
    uint64_t began_ms; /* of the call, or of looking */
    struct dns_query query;
    struct tick look;
    uint64_t look_wait_ms;
    const char *seen; /* what the last look came to */
};

struct dns_hook {
    struct net_loop *loop;
    struct log_ring *log;
    struct hook_callee callee;
    struct dns *dns;
    uint64_t look_ms, leave_ms;
    struct list records; /* in the order in which they came */
    size_t num_running;
    struct deferred advance;
    struct tick leave;
    bool closing;
    void (*closed)(void *ctx);
    void *closed_ctx;
    struct grave grave;
};

/* ---- the end ---- */

static void record_free(struct hook_record *record)
{
    struct dns_hook *hook = record->hook;
    list_remove(&record->node);
    tick_stop(&record->look);
    dns_cancel(&record->query);
    buf_cleanup(&record->fqdn);
    buf_cleanup(&record->value);
    mem_free(record);
    deferred_start(hook->loop, &hook->advance);
}

static void hook_free(struct grave *grave)
{
    struct dns_hook *hook = container_of(grave, struct dns_hook, grave);
    mem_free(hook);
}

static void hook_end(struct dns_hook *hook)
{
    deferred_stop(&hook->advance);
    tick_stop(&hook->leave);
    hook_callee_cleanup(&hook->callee);
    if (hook->closed)
        hook->closed(hook->closed_ctx);
    graveyard_bury(&hook->loop->graveyard, &hook->grave, hook_free);
}

/* The time is over: what is left stays in the zone. */
static void hook_leaves(struct tick *tick)
{
    struct dns_hook *hook = container_of(tick, struct dns_hook, leave);
    LIST_EACH(&hook->records, node)
    {
        struct hook_record *record = container_of(node, struct hook_record, node);
        LOG_WARN_EVENT(hook->log, "dns_record_left", LOG_SLICE("fqdn", buf_slice(&record->fqdn)),
                       LOG_SLICE("value", buf_slice(&record->value)),
                       LOG_STR("msg",
                               "the process ended before PORTICO_ACME_DNS_HOOK had removed this TXT record; it does "
                               "no harm and can be removed"));
        hook_call_stop(&record->call);
        record_free(record);
    }
    hook_end(hook);
}

/* ---- telling ---- */

static void record_tell(struct hook_record *record, struct err err, struct slice sentence)
{
    struct dns_hook_publication *publication = record->publication;
    record->state = RECORD_STANDING;
    if (publication)
        publication->done(publication, err, sentence);
}

static void record_tell_failure(struct hook_record *record, struct err err, struct slice cause)
{
    struct buf sentence = {0};
    buf_printf(&sentence, "PORTICO_ACME_DNS_HOOK did not make the TXT record %s: %.*s", buf_cstr(&record->fqdn),
               (int)cause.len, cause.ptr);
    record_tell(record, err_make(ERR_INPUT, err.code, "PORTICO_ACME_DNS_HOOK failed"), buf_slice(&sentence));
    buf_cleanup(&sentence);
}

static int64_t record_ms(const struct hook_record *record)
{
    return (int64_t)(net_loop_now_ms(record->hook->loop) - record->began_ms);
}

static void record_log_called(const struct hook_record *record, const char *action, struct err err,
                              struct slice sentence)
{
    struct log_ring *log = record->hook->log;
    struct slice fqdn = buf_slice(&record->fqdn);
    if (err_is(err))
        LOG_WARN_EVENT(log, "dns_hook_failed", LOG_SLICE("fqdn", fqdn), LOG_STR("action", action),
                       LOG_SLICE("msg", sentence), LOG_INT("milliseconds", record_ms(record)));
    else
        LOG_INFO_EVENT(log, "dns_hook_called", LOG_SLICE("fqdn", fqdn), LOG_STR("action", action),
                       LOG_INT("milliseconds", record_ms(record)));
}

/* ---- looking whether it is there ---- */

static void record_found(struct hook_record *record)
{
    LOG_INFO_EVENT(record->hook->log, "dns_record_seen", LOG_SLICE("fqdn", buf_slice(&record->fqdn)),
                   LOG_INT("milliseconds", record_ms(record)));
    record_tell(record, ERR_OK, SLICE_NONE);
}

/* The CA may see what we do not; and if it does not, it says so. */
static void record_give_up(struct hook_record *record)
{
    LOG_WARN_EVENT(record->hook->log, "dns_record_not_seen", LOG_SLICE("fqdn", buf_slice(&record->fqdn)),
                   LOG_STR("reason", record->seen), LOG_INT("milliseconds", record_ms(record)),
                   LOG_STR("msg",
                           "PORTICO_ACME_DNS_HOOK has made the TXT record, but this machine's resolver does not show "
                           "it; the CA is asked to look all the same"));
    record_tell(record, ERR_OK, SLICE_NONE);
}

/* A server that does not want to answer, or is not there, will not do so later either. */
static bool looking_is_of_use(enum dns_status status)
{
    switch (status) {
    case DNS_FOUND:
    case DNS_NODATA:
    case DNS_NXDOMAIN:
    case DNS_SERVFAIL: return true;
    case DNS_REFUSED:
    case DNS_TIMEOUT:
    case DNS_UNREACHABLE:
    case DNS_MALFORMED: break;
    }
    return false;
}

static void record_looked(struct dns_query *query, const struct dns_answer *answer)
{
    struct hook_record *record = container_of(query, struct hook_record, query);
    struct dns_hook *hook = record->hook;
    for (size_t i = 0; i < answer->num; i++)
        if (slice_eq(answer->texts[i], buf_slice(&record->value))) {
            record_found(record);
            return;
        }
    record->seen = answer->status == DNS_FOUND ? "has other values" : dns_status_text(answer->status);
    if (!looking_is_of_use(answer->status) || (uint64_t)record_ms(record) + record->look_wait_ms > hook->look_ms) {
        record_give_up(record);
        return;
    }
    tick_start(&hook->loop->ticker, &record->look, record->look_wait_ms);
    if (record->look_wait_ms < hook->look_ms / LOOK_LAST)
        record->look_wait_ms *= 2;
}

static void record_looks(struct tick *tick)
{
    struct hook_record *record = container_of(tick, struct hook_record, look);
    dns_ask(record->hook->dns, buf_slice(&record->fqdn), DNS_TXT, &record->query);
}

/* Not at once: a resolver that is asked too early remembers that there is nothing. */
static void record_look(struct hook_record *record)
{
    struct dns_hook *hook = record->hook;
    if (!hook->dns || record->local) {
        record_tell(record, ERR_OK, SLICE_NONE);
        return;
    }
    record->state = RECORD_LOOKING;
    record->began_ms = net_loop_now_ms(hook->loop);
    record->look_wait_ms = hook->look_ms / LOOK_FIRST;
    tick_start(&hook->loop->ticker, &record->look, record->look_wait_ms);
}

/* ---- calls ---- */

static void record_called(struct hook_call *call, struct err err, struct slice sentence)
{
    struct hook_record *record = container_of(call, struct hook_record, call);
    struct dns_hook *hook = record->hook;
    bool cleaning = record->state == RECORD_CLEANING;
    hook->num_running--;
    record_log_called(record, cleaning ? "cleanup" : "present", err, sentence);
    deferred_start(hook->loop, &hook->advance);
    if (cleaning)
        record_free(record);
    else if (err_is(err))
        record_tell_failure(record, err, sentence);
    else if (record->publication)
        record_look(record);
    else
        record->state = RECORD_STANDING;
}

static void record_call(struct hook_record *record, enum record_state state)
{
    struct dns_hook *hook = record->hook;
    record->state = state;
    record->began_ms = net_loop_now_ms(hook->loop);
    hook->num_running++;
    hook_call_start(&record->call, &hook->callee,
                    state == RECORD_CLEANING ? SLICE_LIT("cleanup") : SLICE_LIT("present"), buf_slice(&record->fqdn),
                    buf_slice(&record->value));
}

static bool record_is_called(const struct hook_record *record)
{
    return record->state == RECORD_PRESENTING || record->state == RECORD_CLEANING;
}

static bool name_is_called(const struct dns_hook *hook, const struct buf *fqdn)
{
    LIST_EACH(&((struct dns_hook *)hook)->records, node)
    {
        const struct hook_record *record = container_of(node, struct hook_record, node);
        if (record_is_called(record) && slice_eq(buf_slice(&record->fqdn), buf_slice(fqdn)))
            return true;
    }
    return false;
}

/* Starts what may be: few at a time, and never two about one name. */
static void hook_advance(struct deferred *deferred)
{
    struct dns_hook *hook = container_of(deferred, struct dns_hook, advance);
    LIST_EACH(&hook->records, node)
    {
        struct hook_record *record = container_of(node, struct hook_record, node);
        bool withdrawn = record->publication == NULL;
        if (record->state == RECORD_QUEUED && withdrawn) {
            record_free(record);
            continue;
        }
        bool wants = record->state == RECORD_QUEUED || (record->state == RECORD_STANDING && withdrawn);
        if (wants && hook->num_running < LIMIT_HOOK_RUNNING && !name_is_called(hook, &record->fqdn))
            record_call(record, record->state == RECORD_QUEUED ? RECORD_PRESENTING : RECORD_CLEANING);
    }
    if (hook->closing && list_empty(&hook->records))
        hook_end(hook);
}

/* ---- publications ---- */

void dns_hook_present(struct dns_hook *hook, struct slice name, struct slice value,
                      struct dns_hook_publication *publication)
{
    struct hook_record *record = MEM_NEW(struct hook_record);
    *record = (struct hook_record){.hook = hook, .publication = publication, .local = name_is_local(name)};
    record->call.done = record_called;
    record->query.done = record_looked;
    tick_init(&record->look, record_looks);
    buf_printf(&record->fqdn, "_acme-challenge.%.*s.", (int)name.len, name.ptr);
    buf_append_slice(&record->value, value);
    publication->record = record;
    list_append(&hook->records, &record->node);
    deferred_start(hook->loop, &hook->advance);
}

void dns_hook_withdraw(struct dns_hook_publication *publication)
{
    struct hook_record *record = publication->record;
    struct dns_hook *hook = record->hook;
    publication->record = NULL;
    record->publication = NULL;
    if (record->state == RECORD_LOOKING) {
        tick_stop(&record->look);
        dns_cancel(&record->query);
        record->state = RECORD_STANDING;
    }
    deferred_start(hook->loop, &hook->advance);
}

/* ---- life ---- */

struct err dns_hook_new(const struct dns_hook_options *options, struct dns_hook **out_hook)
{
    struct hook_callee callee;
    struct err err = hook_callee_init(&callee, options);
    if (err_is(err))
        return err;
    struct dns_hook *hook = MEM_NEW(struct dns_hook);
    *hook = (struct dns_hook){.loop = options->loop,
                              .log = options->log,
                              .callee = callee,
                              .dns = options->dns,
                              .look_ms = options->look_ms ? options->look_ms : LIMIT_HOOK_LOOK_MS,
                              .leave_ms = options->leave_ms ? options->leave_ms : LIMIT_HOOK_LEAVE_MS};
    list_init(&hook->records);
    deferred_init(&hook->advance, hook_advance);
    tick_init(&hook->leave, hook_leaves);
    *out_hook = hook;
    return ERR_OK;
}

/* What it may have made already is removed all the same. */
static void record_stop_presenting(struct hook_record *record)
{
    if (record->state != RECORD_PRESENTING)
        return;
    hook_call_stop(&record->call);
    record->hook->num_running--;
    record->state = RECORD_STANDING;
}

void dns_hook_close(struct dns_hook *hook, void (*closed)(void *ctx), void *ctx)
{
    hook->closing = true;
    hook->closed = closed;
    hook->closed_ctx = ctx;
    hook->dns = NULL;
    LIST_EACH(&hook->records, node)
    record_stop_presenting(container_of(node, struct hook_record, node));
    tick_start(&hook->loop->ticker, &hook->leave, hook->leave_ms);
    deferred_start(hook->loop, &hook->advance);
}
