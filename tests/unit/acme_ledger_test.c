/* The ledger: Let's Encrypt's limits as one account sees them. */
#include "acme/ledger.h"
#include "base/json_read.h"
#include "base/json_write.h"
#include "base/limits.h"
#include "check.h"

static const int64_t second_ms = 1000, minute_ms = 60000, hour_ms = 3600000, day_ms = 86400000;
static const int64_t begin_ms = INT64_C(1800000000000);
static const struct slice production = SLICE_LIT("https://acme-v02.api.letsencrypt.org/directory");
static const struct slice staging = SLICE_LIT("https://acme-staging-v02.api.letsencrypt.org/directory");

static struct ledger_order order_of(enum ledger_kind kind, const char *domain, struct ledger_name *name)
{
    return (struct ledger_order){.kind = kind, .domain = slice_str(domain), .name = name};
}

/* An order that goes through at once. */
static void spend(struct ledger *ledger, const struct ledger_order *order, int64_t now_ms)
{
    ledger_open(ledger, order, now_ms);
    ledger_close(ledger, order, LEDGER_ISSUED, now_ms);
}

static int64_t ready(const struct ledger *ledger, const struct ledger_order *order, int64_t now_ms)
{
    enum ledger_limit limit;
    int64_t ready_ms = ledger_ready_ms(ledger, order, now_ms, &limit);
    return ready_ms > now_ms ? ready_ms : now_ms;
}

/* Places one as soon as it may be; returns when that was. */
static int64_t place(struct ledger *ledger, const struct ledger_order *order, int64_t now_ms)
{
    int64_t at_ms = ready(ledger, order, now_ms);
    spend(ledger, order, at_ms);
    return at_ms;
}

/* ACME-104: three hundred names of as many domains at once, and from then on one each 36 seconds. */
static void a_first_start_is_paced(void)
{
    struct ledger ledger;
    struct ledger_name names[400] = {{0}};
    char domain[32];
    int64_t now_ms = begin_ms;
    ledger_init(&ledger, production);
    for (int i = 0; i < 400; i++) {
        snprintf(domain, sizeof domain, "n%d.example", i);
        struct ledger_order order = order_of(LEDGER_NEW, domain, &names[i]);
        now_ms = place(&ledger, &order, now_ms);
        CHECK_INT(now_ms - begin_ms, i < 300 ? 0 : (i - 299) * 36 * second_ms);
    }
    ledger_cleanup(&ledger);
}

/* ACME-105: fifty names of one domain, then one each 201.6 minutes; other domains do not wait for it. */
static void a_domain_is_paced(void)
{
    struct ledger ledger;
    struct ledger_name names[53] = {{0}}, other = {0};
    enum ledger_limit limit = LEDGER_UNKNOWN;
    ledger_init(&ledger, production);
    for (int i = 0; i < 50; i++) {
        struct ledger_order order = order_of(LEDGER_NEW, "a.example", &names[i]);
        CHECK_INT(place(&ledger, &order, begin_ms), begin_ms);
    }
    struct ledger_order order = order_of(LEDGER_NEW, "a.example", &names[50]);
    CHECK_INT(ledger_ready_ms(&ledger, &order, begin_ms, &limit) - begin_ms, 12096 * second_ms);
    CHECK_INT(limit, LEDGER_DOMAIN);
    order = order_of(LEDGER_NEW, "b.example", &other);
    CHECK(ledger_ready_ms(&ledger, &order, begin_ms, &limit) <= begin_ms);
    order = order_of(LEDGER_NEW, "a.example", &names[51]);
    CHECK(ledger_ready_ms(&ledger, &order, begin_ms + 12096 * second_ms, &limit) <= begin_ms + 12096 * second_ms);
    ledger_cleanup(&ledger);
}

/* ACME-106: five of the same set, whatever else is exempt. */
static void a_set_is_paced(void)
{
    struct ledger ledger;
    struct ledger_name name = {0};
    enum ledger_limit limit = LEDGER_UNKNOWN;
    ledger_init(&ledger, production);
    struct ledger_order order = order_of(LEDGER_RENEWAL, "a.example", &name);
    for (int i = 0; i < 5; i++)
        CHECK_INT(place(&ledger, &order, begin_ms), begin_ms);
    CHECK_INT(ledger_ready_ms(&ledger, &order, begin_ms, &limit) - begin_ms, 120960 * second_ms);
    CHECK_INT(limit, LEDGER_SET);
    CHECK_INT(ledger.orders_full_ms, 0);
    CHECK_INT(ledger.num_domains, 0);
    ledger_cleanup(&ledger);
}

/* ACME-107: a sixth failure within the hour would be refused. */
static void failed_validations_are_paced(void)
{
    struct ledger ledger;
    struct ledger_name name = {0};
    enum ledger_limit limit = LEDGER_UNKNOWN;
    struct ledger_order order = order_of(LEDGER_NEW, "a.example", &name);
    ledger_init(&ledger, production);
    for (int i = 0; i < 5; i++) {
        CHECK_INT(ready(&ledger, &order, begin_ms), begin_ms);
        ledger_open(&ledger, &order, begin_ms);
        ledger_close(&ledger, &order, LEDGER_FAILED_VALIDATION, begin_ms);
    }
    CHECK_INT(ledger_ready_ms(&ledger, &order, begin_ms, &limit) - begin_ms, 12 * minute_ms);
    CHECK_INT(limit, LEDGER_FAILURES);
    CHECK(name.set_full_ms <= begin_ms); /* nothing was issued */
    CHECK(ledger.domains[0].full_ms <= begin_ms);
    CHECK_INT(ledger.orders_full_ms - begin_ms, 5 * 36 * second_ms); /* but ordered it was */
    ledger_cleanup(&ledger);
}

/* ACME-102, ACME-111 */
static void what_is_exempt_costs_nothing(void)
{
    struct ledger ledger;
    struct ledger_name name = {0};
    ledger_init(&ledger, production);
    for (int i = 0; i < 1000; i++) {
        struct ledger_order order = order_of(LEDGER_ARI, "a.example", &name);
        CHECK_INT(place(&ledger, &order, begin_ms), begin_ms);
    }
    CHECK_INT(ledger.orders_full_ms, 0);
    CHECK_INT(ledger.num_domains, 0);
    CHECK_INT(name.set_full_ms, 0);
    ledger_cleanup(&ledger);
}

/* Fifty at once are as many as may become certificates; each that does not makes room for another. */
static void orders_under_way_count(void)
{
    struct ledger ledger, again;
    struct ledger_name names[50] = {{0}};
    struct buf text = {0};
    struct ledger_order order = order_of(LEDGER_NEW, "a.example", &names[0]);
    ledger_init(&ledger, production);
    for (int i = 0; i < 50; i++) {
        CHECK_INT(ready(&ledger, &order, begin_ms), begin_ms);
        order = order_of(LEDGER_NEW, "a.example", &names[i]);
        ledger_open(&ledger, &order, begin_ms);
    }
    CHECK_INT(ready(&ledger, &order, begin_ms), begin_ms + 12096 * second_ms);
    ledger_write(&ledger, begin_ms, &text); /* a crash */
    ledger_init(&again, production);
    CHECK(ledger_read(&again, buf_slice(&text), begin_ms));
    CHECK_INT(ready(&again, &order, begin_ms), begin_ms);
    ledger_cleanup(&again);
    ledger_close(&ledger, &order, LEDGER_FAILED, begin_ms);
    CHECK_INT(ready(&ledger, &order, begin_ms), begin_ms);
    ledger_open(&ledger, &order, begin_ms);
    for (int i = 0; i < 50; i++) {
        order = order_of(LEDGER_NEW, "a.example", &names[i]);
        ledger_close(&ledger, &order, LEDGER_ISSUED, begin_ms);
        CHECK_INT(names[i].set_full_ms, begin_ms + 120960 * second_ms);
    }
    CHECK_INT(ready(&ledger, &order, begin_ms), begin_ms + 12096 * second_ms);
    ledger_cleanup(&ledger);
    buf_cleanup(&text);
}

static void an_order_that_was_not_placed_costs_nothing(void)
{
    struct ledger ledger;
    struct ledger_name name = {0};
    enum ledger_limit limit;
    struct ledger_order order = order_of(LEDGER_NEW, "a.example", &name);
    ledger_init(&ledger, production);
    for (int i = 0; i < 1000; i++) {
        CHECK_INT(ready(&ledger, &order, begin_ms), begin_ms);
        ledger_open(&ledger, &order, begin_ms);
        ledger_close(&ledger, &order, LEDGER_NOT_PLACED, begin_ms);
    }
    CHECK(ledger_ready_ms(&ledger, &order, begin_ms, &limit) <= begin_ms);
    ledger_cleanup(&ledger);
}

/* A renewal is never held beyond its floor: the CA is asked then. */
static void the_floor_wins(void)
{
    struct ledger ledger;
    struct ledger_name name = {.set_full_ms = begin_ms + 10 * day_ms};
    enum ledger_limit limit;
    struct ledger_order order = order_of(LEDGER_RENEWAL, "a.example", &name);
    ledger_init(&ledger, production);
    CHECK(ledger_ready_ms(&ledger, &order, begin_ms, &limit) > begin_ms + day_ms);
    order.floor_ms = begin_ms + hour_ms;
    CHECK_INT(ledger_ready_ms(&ledger, &order, begin_ms, &limit), begin_ms + hour_ms);
    order.floor_ms = begin_ms - hour_ms;
    CHECK(ledger_ready_ms(&ledger, &order, begin_ms, &limit) < begin_ms);
    ledger_cleanup(&ledger);
}

static void only_known_directories_have_numbers(void)
{
    static const char *const others[] = {"https://ca.test/dir", "https://acme.zerossl.com/v2/DV90",
                                         "https://acme-v02.api.letsencrypt.org/directory2", ""};
    struct ledger_name name = {0};
    struct ledger_order order = order_of(LEDGER_NEW, "a.example", &name);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct ledger ledger;
        ledger_init(&ledger, slice_str(others[i]));
        for (int at = 0; at < 400; at++)
            CHECK_INT(ready(&ledger, &order, begin_ms), begin_ms);
        ledger_open(&ledger, &order, begin_ms);
        ledger_close(&ledger, &order, LEDGER_FAILED_VALIDATION, begin_ms);
        CHECK_INT(name.set_full_ms + name.failures_full_ms + ledger.orders_full_ms, 0);
        ledger_cleanup(&ledger);
    }
    struct ledger off = {0}; /* ACME_LEDGER=off */
    for (int at = 0; at < 400; at++)
        CHECK_INT(place(&off, &order, begin_ms), begin_ms);
    ledger_cleanup(&off);
}

/* ACME-117 */
static void staging_has_numbers_of_its_own(void)
{
    struct ledger ledger;
    struct ledger_name name = {0};
    enum ledger_limit limit;
    struct ledger_order order = order_of(LEDGER_NEW, "a.example", &name);
    ledger_init(&ledger, staging);
    for (int i = 0; i < 200; i++) {
        CHECK_INT(ready(&ledger, &order, begin_ms), begin_ms);
        ledger_open(&ledger, &order, begin_ms);
        ledger_close(&ledger, &order, LEDGER_FAILED_VALIDATION, begin_ms);
    }
    CHECK_INT(ledger_ready_ms(&ledger, &order, begin_ms, &limit) - begin_ms, 18 * second_ms);
    ledger_cleanup(&ledger);
}

/* ---- the CA's word ---- */

static struct problem limited(const char *detail, int64_t retry_after_ms)
{
    return (struct problem){.class = PROBLEM_LATER,
                            .type = SLICE_LIT("rateLimited"),
                            .detail = slice_str(detail),
                            .retry_after_ms = retry_after_ms};
}

/* ACME-112: in the words of Let's Encrypt's software. */
static void the_limit_is_known_by_its_words(void)
{
    static const struct {
        const char *detail;
        enum ledger_limit limit;
    } rows[] = {
        {"too many new orders (300) from this account in the last 3h0m0s, retry after 2027-01-15 08:10:00 UTC: see "
         "https://letsencrypt.org/docs/rate-limits/#new-orders-per-account",
         LEDGER_ORDERS},
        {"too many certificates (50) already issued for \"a.example\" in the last 168h0m0s, retry after 2027-01-15 "
         "08:10:00 UTC",
         LEDGER_DOMAIN},
        {"too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s, retry after "
         "2027-01-15 08:10:00 UTC",
         LEDGER_SET},
        {"too many failed authorizations (5) for \"a.example\" in the last 1h0m0s, retry after 2027-01-15 08:10:00 UTC",
         LEDGER_FAILURES},
        {"Service busy; retry later.", LEDGER_UNKNOWN},
        {"", LEDGER_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ledger ledger;
        struct ledger_name name = {0};
        enum ledger_limit limit = LEDGER_UNKNOWN;
        struct ledger_order order = order_of(LEDGER_NEW, "a.example", &name);
        struct problem problem = limited(rows[i].detail, 10 * minute_ms);
        ledger_init(&ledger, production);
        struct ledger_lesson lesson = ledger_correct(&ledger, &order, &problem, begin_ms);
        CHECK_INT(lesson.limit, rows[i].limit);
        CHECK(!lesson.predicted);
        int64_t ready_ms = ledger_ready_ms(&ledger, &order, begin_ms, &limit);
        CHECK_INT(ready_ms, rows[i].limit == LEDGER_UNKNOWN ? 0 : begin_ms + 10 * minute_ms);
        CHECK_INT(limit, rows[i].limit);
        ledger_cleanup(&ledger);
    }
}

/* Whoever has the same limit waits too, others do not. */
static void a_refusal_teaches_others(void)
{
    struct ledger ledger;
    struct ledger_name one = {0}, two = {0};
    enum ledger_limit limit;
    struct ledger_order order = order_of(LEDGER_NEW, "a.example", &one);
    struct ledger_order same = order_of(LEDGER_NEW, "a.example", &two), other = order_of(LEDGER_NEW, "b.example", &two);
    struct problem problem = limited("too many certificates (50) already issued for \"a.example\"", 2 * hour_ms);
    ledger_init(&ledger, production);
    ledger_correct(&ledger, &order, &problem, begin_ms);
    CHECK_INT(ledger_ready_ms(&ledger, &same, begin_ms, &limit), begin_ms + 2 * hour_ms);
    CHECK_INT(ledger_ready_ms(&ledger, &other, begin_ms, &limit), 0);
    problem = limited("too many new orders (300) from this account", 36 * second_ms);
    ledger_correct(&ledger, &order, &problem, begin_ms);
    CHECK_INT(ledger_ready_ms(&ledger, &other, begin_ms, &limit), begin_ms + 36 * second_ms);
    CHECK(ledger_ready_ms(&ledger, &other, begin_ms + 36 * second_ms, &limit) <= begin_ms + 36 * second_ms);
    ledger_cleanup(&ledger);
}

/* Asked at the floor, and refused as was to be expected; and the same refused while by what is written here it was allowed. */
static void predicted_or_not(void)
{
    struct ledger ledger;
    struct ledger_name name = {0};
    struct ledger_order order = order_of(LEDGER_RENEWAL, "a.example", &name);
    struct problem problem = limited("too many certificates (5) already issued for this exact set of identifiers", 0);
    ledger_init(&ledger, production);
    for (int i = 0; i < 5; i++)
        spend(&ledger, &order, begin_ms);
    ledger_open(&ledger, &order, begin_ms);
    ledger_close(&ledger, &order, LEDGER_NOT_PLACED, begin_ms);
    CHECK(ledger_correct(&ledger, &order, &problem, begin_ms).predicted);
    name = (struct ledger_name){0};
    ledger_open(&ledger, &order, begin_ms);
    ledger_close(&ledger, &order, LEDGER_NOT_PLACED, begin_ms);
    CHECK(!ledger_correct(&ledger, &order, &problem, begin_ms).predicted);
    CHECK(ledger_correct(&ledger, &order, &problem, begin_ms).predicted); /* it is known now */
    ledger_cleanup(&ledger);
}

/* ---- bounds ---- */

static void domains_are_bounded(void)
{
    struct ledger ledger;
    struct ledger_name name = {0};
    char domain[32];
    ledger_init(&ledger, production);
    for (int i = 0; i < 5000; i++) {
        snprintf(domain, sizeof domain, "n%d.example", i);
        struct ledger_order order = order_of(LEDGER_NEW, domain, &name);
        spend(&ledger, &order, begin_ms + i);
        CHECK(ledger.num_domains <= LEDGER_MAX_DOMAINS);
    }
    enum ledger_limit limit;
    name = (struct ledger_name){0};
    for (int i = 0; i < 50; i++) { /* the latest is remembered */
        struct ledger_order order = order_of(LEDGER_NEW, "n4999.example", &name);
        spend(&ledger, &order, begin_ms + 5000);
    }
    struct ledger_order order = order_of(LEDGER_NEW, "n4999.example", &(struct ledger_name){0});
    CHECK(ledger_ready_ms(&ledger, &order, begin_ms + 5000, &limit) > begin_ms + 5000);
    order = order_of(LEDGER_NEW, "z.example", &name);
    spend(&ledger, &order, begin_ms + 30 * day_ms); /* the others are full again: no news */
    CHECK(ledger.num_domains < LEDGER_MAX_DOMAINS);
    ledger_cleanup(&ledger);
}

/* A clock that was ahead by a year does not stop anyone for a year. */
static void a_clock_that_was_ahead(void)
{
    struct ledger ledger;
    struct ledger_name name = {0};
    enum ledger_limit limit;
    struct ledger_order order = order_of(LEDGER_NEW, "a.example", &name);
    ledger_init(&ledger, production);
    spend(&ledger, &order, begin_ms + 365 * day_ms);
    CHECK(ledger_ready_ms(&ledger, &order, begin_ms, &limit) <= begin_ms + 7 * day_ms);
    ledger_cleanup(&ledger);
}

/* ---- as text ---- */

static void it_is_written_and_read(void)
{
    struct ledger ledger, again;
    struct ledger_name names[60] = {{0}};
    struct buf text = {0};
    enum ledger_limit limit;
    ledger_init(&ledger, production);
    for (int i = 0; i < 60; i++) {
        struct ledger_order order = order_of(LEDGER_NEW, i % 2 ? "a.example" : "\xc3\xbc.example", &names[i]);
        spend(&ledger, &order, begin_ms);
    }
    ledger_write(&ledger, begin_ms, &text);
    ledger_init(&again, production);
    CHECK(ledger_read(&again, buf_slice(&text), begin_ms));
    CHECK_INT(again.num_domains, 2);
    CHECK_INT(again.orders_full_ms, ledger.orders_full_ms);
    for (int i = 0; i < 2; i++) {
        struct ledger_order order =
            order_of(LEDGER_NEW, i ? "a.example" : "\xc3\xbc.example", &(struct ledger_name){0});
        CHECK_INT(ledger_ready_ms(&again, &order, begin_ms, &limit),
                  ledger_ready_ms(&ledger, &order, begin_ms, &limit));
    }
    ledger_cleanup(&again);
    ledger_init(&again, production);
    CHECK(ledger_read(&again, buf_slice(&text), begin_ms + 8 * day_ms));
    CHECK_INT(again.num_domains, 0);
    ledger_cleanup(&again);
    ledger_cleanup(&ledger);
    buf_cleanup(&text);
}

static void the_longest_text_can_be_read_again(void)
{
    struct ledger ledger, again;
    struct ledger_name name = {0};
    struct buf text = {0};
    char domain[256];
    ledger_init(&ledger, production);
    for (int i = 0; i < LEDGER_MAX_DOMAINS; i++) {
        snprintf(domain, sizeof domain, "%0250d", i);
        struct ledger_order order = order_of(LEDGER_NEW, domain, &name);
        spend(&ledger, &order, begin_ms);
    }
    ledger_write(&ledger, begin_ms, &text);
    CHECK(text.len <= LIMIT_JSON_BYTES);
    ledger_init(&again, production);
    CHECK(ledger_read(&again, buf_slice(&text), begin_ms));
    CHECK(again.num_domains > 100);
    ledger_cleanup(&again);
    ledger_cleanup(&ledger);
    buf_cleanup(&text);
}

static void nonsense_is_refused(void)
{
    static const char *const texts[] = {"", "{}", "[]", "{\"version\":2}", "{\"version\":1"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct ledger ledger;
        ledger_init(&ledger, production);
        ledger.orders_full_ms = 7;
        CHECK(!ledger_read(&ledger, slice_str(texts[i]), begin_ms));
        CHECK_INT(ledger.orders_full_ms, 7);
        ledger_cleanup(&ledger);
    }
    struct ledger ledger;
    ledger_init(&ledger, production);
    CHECK(ledger_read(&ledger,
                      SLICE_LIT("{\"version\":1,\"orders_full_ms\":-5,\"domains\":[7,{},{\"domain\":\"\"},"
                                "{\"domain\":\"a\",\"full_ms\":\"x\"},{\"domain\":\"b\",\"full_ms\":1e99}]}"),
                      begin_ms));
    CHECK_INT(ledger.orders_full_ms, 0);
    CHECK_INT(ledger.num_domains, 0);
    ledger_cleanup(&ledger);
}

static void a_name_is_written_and_read(void)
{
    struct ledger_name name = {.set_full_ms = begin_ms, .failures_full_ms = begin_ms + 1}, back;
    struct buf text = {0};
    struct arena arena = {0};
    struct json *json = NULL;
    struct json_writer w = json_writer_on(&text);
    json_object(&w);
    ledger_name_write(&name, &w);
    json_end_object(&w);
    CHECK(!err_is(json_parse(&arena, buf_slice(&text), 0, &json)));
    back = ledger_name_read(json);
    CHECK_INT(back.set_full_ms, name.set_full_ms);
    CHECK_INT(back.failures_full_ms, name.failures_full_ms);
    back = ledger_name_read(NULL);
    CHECK_INT(back.set_full_ms + back.failures_full_ms, 0);
    arena_cleanup(&arena);
    buf_cleanup(&text);
}

int main(void)
{
    RUN(a_first_start_is_paced);
    RUN(a_domain_is_paced);
    RUN(a_set_is_paced);
    RUN(failed_validations_are_paced);
    RUN(what_is_exempt_costs_nothing);
    RUN(orders_under_way_count);
    RUN(an_order_that_was_not_placed_costs_nothing);
    RUN(the_floor_wins);
    RUN(only_known_directories_have_numbers);
    RUN(staging_has_numbers_of_its_own);
    RUN(the_limit_is_known_by_its_words);
    RUN(a_refusal_teaches_others);
    RUN(predicted_or_not);
    RUN(domains_are_bounded);
    RUN(a_clock_that_was_ahead);
    RUN(it_is_written_and_read);
    RUN(the_longest_text_can_be_read_again);
    RUN(nonsense_is_refused);
    RUN(a_name_is_written_and_read);
    return checks_done();
}
