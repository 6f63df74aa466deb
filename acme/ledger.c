#include "acme/ledger.h"

#include "base/json_read.h"
#include "base/json_write.h"
#include "base/limits.h"
#include "base/mem.h"

enum { LEDGER_VERSION = 1, LEDGER_ENTRY_BYTES = 320 };

static const int64_t week_ms = INT64_C(7) * 24 * 3600 * 1000;
static const int64_t last_ms = INT64_C(253402300800000); /* the year 10000 */

struct ledger_bucket {
    int64_t num;       /* that it holds */
    int64_t refill_ms; /* for one more */
};

struct ledger_numbers {
    const char *directory_url;
    struct ledger_bucket buckets[LEDGER_NUM_LIMITS];
};

/* ACME-104 to 107, and ACME-117 for staging. */
static const struct ledger_numbers ledger_known[] = {
    {"https://acme-v02.api.letsencrypt.org/directory",
     {[LEDGER_ORDERS] = {300, 36 * INT64_C(1000)},
      [LEDGER_DOMAIN] = {50, 12096 * INT64_C(1000)},
      [LEDGER_SET] = {5, 120960 * INT64_C(1000)},
      [LEDGER_FAILURES] = {5, 720 * INT64_C(1000)}}},
    {"https://acme-staging-v02.api.letsencrypt.org/directory",
     {[LEDGER_ORDERS] = {1500, 7200},
      [LEDGER_DOMAIN] = {30000, 20160},
      [LEDGER_SET] = {30000, 20160},
      [LEDGER_FAILURES] = {200, 18 * INT64_C(1000)}}},
};

/* What each kind of order counts against, before it is placed. */
static const bool ledger_counts[][LEDGER_NUM_LIMITS] = {
    [LEDGER_NEW] = {[LEDGER_ORDERS] = true, [LEDGER_DOMAIN] = true, [LEDGER_SET] = true, [LEDGER_FAILURES] = true},
    [LEDGER_RENEWAL] = {[LEDGER_SET] = true, [LEDGER_FAILURES] = true},
    [LEDGER_ARI] = {false},
};

const char *ledger_limit_text(enum ledger_limit limit)
{
    switch (limit) {
    case LEDGER_ORDERS: return "new orders of the account";
    case LEDGER_DOMAIN: return "certificates for the registered domain";
    case LEDGER_SET: return "certificates for exactly these names";
    case LEDGER_FAILURES: return "failed validations of the name";
    case LEDGER_UNKNOWN: break;
    }
    return "a limit that is not known here";
}

void ledger_init(struct ledger *ledger, struct slice directory_url)
{
    *ledger = (struct ledger){0};
    for (size_t i = 0; i < sizeof ledger_known / sizeof *ledger_known; i++)
        if (slice_eq(directory_url, slice_str(ledger_known[i].directory_url)))
            ledger->numbers = &ledger_known[i];
}

void ledger_cleanup(struct ledger *ledger)
{
    for (size_t i = 0; i < ledger->num_domains; i++)
        mem_free(ledger->domains[i].text);
    mem_free(ledger->domains);
    *ledger = (struct ledger){0};
}

/* ---- buckets ---- */

/* One is left from this instant on. */
static int64_t bucket_ready_ms(const struct ledger_bucket *bucket, int64_t full_ms)
{
    return full_ms - (bucket->num - 1) * bucket->refill_ms;
}

/* A clock that was ahead may have written what lies too far off. */
static int64_t bucket_sane_ms(const struct ledger_bucket *bucket, int64_t full_ms, int64_t now_ms)
{
    int64_t most_ms = now_ms + (bucket->num - 1) * bucket->refill_ms + week_ms;
    return full_ms < most_ms ? full_ms : most_ms;
}

static int64_t bucket_after_one_ms(const struct ledger_bucket *bucket, int64_t full_ms, int64_t now_ms)
{
    return (full_ms > now_ms ? full_ms : now_ms) + bucket->refill_ms;
}

/* ---- domains ---- */

static struct ledger_domain *ledger_find(const struct ledger *ledger, struct slice domain)
{
    for (size_t i = 0; i < ledger->num_domains; i++)
        if (slice_eq(slice_str(ledger->domains[i].text), domain))
            return &ledger->domains[i];
    return NULL;
}

static void ledger_drop(struct ledger *ledger, size_t at)
{
    mem_free(ledger->domains[at].text);
    ledger->domains[at] = ledger->domains[--ledger->num_domains];
}

/* Those that are full again are no news; where there are too many still, the one that is full first goes. */
static void ledger_make_room(struct ledger *ledger, int64_t now_ms)
{
    size_t first = 0;
    for (size_t i = ledger->num_domains; i-- > 0;)
        if (ledger->domains[i].full_ms <= now_ms && !ledger->domains[i].num_open)
            ledger_drop(ledger, i);
    if (ledger->num_domains < LEDGER_MAX_DOMAINS)
        return;
    for (size_t i = 1; i < ledger->num_domains; i++)
        if (ledger->domains[i].full_ms < ledger->domains[first].full_ms)
            first = i;
    ledger_drop(ledger, first);
}

static struct ledger_domain *ledger_add(struct ledger *ledger, struct slice domain, int64_t now_ms)
{
    if (ledger->num_domains == ledger->cap_domains && ledger->num_domains >= 16)
        ledger_make_room(ledger, now_ms);
    if (ledger->num_domains == ledger->cap_domains) {
        ledger->cap_domains = ledger->cap_domains ? ledger->cap_domains * 2 : 16;
        ledger->domains = mem_realloc(ledger->domains, ledger->cap_domains * sizeof *ledger->domains);
    }
    struct ledger_domain *added = &ledger->domains[ledger->num_domains++];
    *added = (struct ledger_domain){.text = mem_dup(domain.ptr, domain.len)};
    return added;
}

/* ---- what one order touches ---- */

/* Where the limit's instant is kept; NULL: nowhere yet, all of it is left. */
static int64_t *ledger_place(struct ledger *ledger, const struct ledger_order *order, enum ledger_limit limit)
{
    struct ledger_domain *domain;
    switch (limit) {
    case LEDGER_ORDERS: return &ledger->orders_full_ms;
    case LEDGER_DOMAIN: return (domain = ledger_find(ledger, order->domain)) ? &domain->full_ms : NULL;
    case LEDGER_SET: return &order->name->set_full_ms;
    case LEDGER_FAILURES: return &order->name->failures_full_ms;
    case LEDGER_UNKNOWN: break;
    }
    return NULL;
}

static struct ledger_domain *ledger_make_domain(struct ledger *ledger, struct slice domain, int64_t now_ms)
{
    struct ledger_domain *found = ledger_find(ledger, domain);
    return found ? found : ledger_add(ledger, domain, now_ms);
}

static int64_t *ledger_make_place(struct ledger *ledger, const struct ledger_order *order, enum ledger_limit limit,
                                  int64_t now_ms)
{
    return limit == LEDGER_DOMAIN ? &ledger_make_domain(ledger, order->domain, now_ms)->full_ms
                                  : ledger_place(ledger, order, limit);
}

static int64_t ledger_limit_ready_ms(const struct ledger *ledger, const struct ledger_order *order,
                                     enum ledger_limit limit, int64_t now_ms)
{
    const struct ledger_bucket *bucket = &ledger->numbers->buckets[limit];
    const int64_t *full_ms = ledger_place((struct ledger *)ledger, order, limit);
    const struct ledger_domain *domain = limit == LEDGER_DOMAIN ? ledger_find(ledger, order->domain) : NULL;
    unsigned num_open = domain ? domain->num_open : 0;
    if (!full_ms || (*full_ms == 0 && num_open == 0))
        return 0;
    int64_t sane_ms = bucket_sane_ms(bucket, *full_ms, now_ms);
    if (num_open && sane_ms < now_ms)
        sane_ms = now_ms;
    return bucket_ready_ms(bucket, sane_ms) + num_open * bucket->refill_ms;
}

int64_t ledger_ready_ms(const struct ledger *ledger, const struct ledger_order *order, int64_t now_ms,
                        enum ledger_limit *out_limit)
{
    int64_t latest_ms = 0;
    if (!ledger->numbers)
        return 0;
    for (enum ledger_limit limit = LEDGER_ORDERS; limit < LEDGER_NUM_LIMITS; limit++) {
        if (!ledger_counts[order->kind][limit])
            continue;
        int64_t ready_ms = ledger_limit_ready_ms(ledger, order, limit, now_ms);
        if (ready_ms <= latest_ms)
            continue;
        latest_ms = ready_ms;
        *out_limit = limit;
    }
    return order->floor_ms && latest_ms > order->floor_ms ? order->floor_ms : latest_ms;
}

static void ledger_take(struct ledger *ledger, const struct ledger_order *order, enum ledger_limit limit,
                        int64_t now_ms)
{
    const struct ledger_bucket *bucket = &ledger->numbers->buckets[limit];
    int64_t *full_ms = ledger_make_place(ledger, order, limit, now_ms);
    *full_ms = bucket_after_one_ms(bucket, bucket_sane_ms(bucket, *full_ms, now_ms), now_ms);
}

void ledger_open(struct ledger *ledger, const struct ledger_order *order, int64_t now_ms)
{
    if (!ledger->numbers || order->kind != LEDGER_NEW)
        return;
    ledger_take(ledger, order, LEDGER_ORDERS, now_ms);
    ledger_make_domain(ledger, order->domain, now_ms)->num_open++;
}

/* What became of an order for a new set of names. */
static void ledger_close_new(struct ledger *ledger, const struct ledger_order *order, enum ledger_outcome outcome,
                             int64_t now_ms)
{
    struct ledger_domain *domain = ledger_find(ledger, order->domain);
    if (domain && domain->num_open)
        domain->num_open--;
    if (outcome == LEDGER_NOT_PLACED)
        ledger->orders_full_ms -= ledger->numbers->buckets[LEDGER_ORDERS].refill_ms;
    if (outcome == LEDGER_ISSUED)
        ledger_take(ledger, order, LEDGER_DOMAIN, now_ms);
}

void ledger_close(struct ledger *ledger, const struct ledger_order *order, enum ledger_outcome outcome, int64_t now_ms)
{
    if (!ledger->numbers)
        return;
    if (order->kind == LEDGER_NEW)
        ledger_close_new(ledger, order, outcome, now_ms);
    if (outcome == LEDGER_ISSUED && ledger_counts[order->kind][LEDGER_SET])
        ledger_take(ledger, order, LEDGER_SET, now_ms);
    if (outcome == LEDGER_FAILED_VALIDATION)
        ledger_take(ledger, order, LEDGER_FAILURES, now_ms);
}

/* ---- the CA's word ---- */

static bool detail_says(struct slice detail, const char *words)
{
    return detail.len && memmem(detail.ptr, detail.len, words, strlen(words)) != NULL;
}

/* By the words of the CA's software: the type is the same for all of them. */
static enum ledger_limit ledger_limit_of(struct slice detail)
{
    if (detail_says(detail, "exact set"))
        return LEDGER_SET;
    if (detail_says(detail, "failed authorizations"))
        return LEDGER_FAILURES;
    if (detail_says(detail, "new orders"))
        return LEDGER_ORDERS;
    return detail_says(detail, "certificates") && detail_says(detail, "already issued") ? LEDGER_DOMAIN
                                                                                        : LEDGER_UNKNOWN;
}

struct ledger_lesson ledger_correct(struct ledger *ledger, const struct ledger_order *order,
                                    const struct problem *problem, int64_t now_ms)
{
    struct ledger_lesson lesson = {.limit = ledger->numbers ? ledger_limit_of(problem->detail) : LEDGER_UNKNOWN};
    if (lesson.limit == LEDGER_UNKNOWN)
        return lesson;
    const struct ledger_bucket *bucket = &ledger->numbers->buckets[lesson.limit];
    lesson.predicted = ledger_limit_ready_ms(ledger, order, lesson.limit, now_ms) > now_ms;
    int64_t wait_ms = problem->retry_after_ms ? problem->retry_after_ms : bucket->refill_ms;
    int64_t full_ms = now_ms + wait_ms + (bucket->num - 1) * bucket->refill_ms;
    *ledger_make_place(ledger, order, lesson.limit, now_ms) = bucket_sane_ms(bucket, full_ms, now_ms);
    return lesson;
}

/* ---- as text ---- */

void ledger_write(const struct ledger *ledger, int64_t now_ms, struct buf *out)
{
    struct json_writer w = json_writer_on(out);
    size_t start = out->len;
    json_object(&w);
    json_put_int(&w, "version", LEDGER_VERSION);
    json_put_int(&w, "orders_full_ms", ledger->orders_full_ms);
    json_key(&w, "domains");
    json_array(&w);
    for (size_t i = 0; i < ledger->num_domains; i++) {
        if (ledger->domains[i].full_ms <= now_ms || out->len - start > LIMIT_JSON_BYTES - LEDGER_ENTRY_BYTES)
            continue;
        json_object(&w);
        json_put_str(&w, "domain", ledger->domains[i].text);
        json_put_int(&w, "full_ms", ledger->domains[i].full_ms);
        json_end_object(&w);
    }
    json_end_array(&w);
    json_end_object(&w);
    buf_append_char(out, '\n');
}

static int64_t ledger_get(const struct json *object, const char *key)
{
    int64_t value = 0;
    return json_get_int(object, key, 0, last_ms, &value) ? value : 0;
}

bool ledger_read(struct ledger *ledger, struct slice text, int64_t now_ms)
{
    struct arena arena = {0};
    struct json *json = NULL;
    int64_t version = 0;
    bool fine = !err_is(json_parse(&arena, text, 0, &json)) &&
                json_get_int(json, "version", LEDGER_VERSION, LEDGER_VERSION, &version);
    if (fine)
        ledger->orders_full_ms = ledger_get(json, "orders_full_ms");
    for (const struct json *at = fine ? json_get_array(json, "domains") : NULL; at; at = at->next) {
        struct slice domain = json_get_string(at, "domain");
        int64_t full_ms = ledger_get(at, "full_ms");
        if (domain.len > 0 && domain.len < 256 && full_ms > now_ms && !ledger_find(ledger, domain))
            ledger_add(ledger, domain, now_ms)->full_ms = full_ms;
    }
    arena_cleanup(&arena);
    return fine;
}

void ledger_name_write(const struct ledger_name *name, struct json_writer *w)
{
    if (name->set_full_ms)
        json_put_int(w, "set_full_ms", name->set_full_ms);
    if (name->failures_full_ms)
        json_put_int(w, "failures_full_ms", name->failures_full_ms);
}

struct ledger_name ledger_name_read(const struct json *object)
{
    return (struct ledger_name){ledger_get(object, "set_full_ms"), ledger_get(object, "failures_full_ms")};
}
