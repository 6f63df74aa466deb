/* A year of a keeper's life: certificates of 24 hours, 160 hours, 45, 64 and 90 days, a CA that is away for hours and days,
 * with ARI and without, restarts now and then. No certificate ever lapses (ACME-92, 101, 114), and the count of orders is
 * printed. One clock, which jumps from event to event. */
#include "check.h"
#include "keeper_world.h"

static const int64_t minute_ms = INT64_C(60000), hour_ms = INT64_C(3600000), day_ms = INT64_C(86400000);

enum { NUM_LIFETIMES = 5, YEAR_DAYS = 365, MAX_OUTAGES = 128 };

static const struct {
    const char *name;
    int64_t hours;
} lifetimes[NUM_LIFETIMES] = {{"h24.example.com", 24},
                              {"h160.example.com", 160},
                              {"d45.example.com", 45 * 24},
                              {"d64.example.com", 64 * 24},
                              {"d90.example.com", 90 * 24}};

struct outage {
    int64_t start_ms, end_ms; /* since the beginning */
};

struct year {
    struct kw world;
    int64_t begin_ms; /* wall clock */
    struct outage outages[MAX_OUTAGES];
    size_t num_outages;
    uint64_t random;
    int64_t least_left_permille[NUM_LIFETIMES]; /* of the lifetime, at the worst moment */
    int64_t longest_outage_ms;
    unsigned num_restarts;
};

static struct year year;

static int64_t lifetime_s_of(const char *name)
{
    for (int i = 0; i < NUM_LIFETIMES; i++)
        if (strcmp(lifetimes[i].name, name) == 0)
            return lifetimes[i].hours * 3600;
    return 90 * 86400;
}

static bool ca_is_away(void *ctx)
{
    int64_t at_ms = year.world.wall_ms - year.begin_ms;
    (void)ctx;
    for (size_t i = 0; i < year.num_outages; i++)
        if (year.outages[i].start_ms <= at_ms && at_ms < year.outages[i].end_ms)
            return true;
    return false;
}

/* It is, or was within the last two hours. */
static bool ca_was_away(void)
{
    int64_t at_ms = year.world.wall_ms - year.begin_ms;
    for (size_t i = 0; i < year.num_outages; i++)
        if (year.outages[i].start_ms <= at_ms && at_ms < year.outages[i].end_ms + 2 * hour_ms)
            return true;
    return false;
}

/* One that is shorter than its CA's absence may lapse, and is back soon after. */
static bool must_be_valid(int lifetime)
{
    return lifetimes[lifetime].hours * hour_ms / 2 > year.longest_outage_ms || !ca_was_away();
}

static int64_t year_random(int64_t below)
{
    year.random = year.random * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)((year.random >> 33) % (uint64_t)below);
}

/* From `often_ms` to twice that between two, `shortest_ms` to `longest_ms` each; the first not before the first day, in which
 * the certificates are obtained. */
static void plan_outages(int64_t often_ms, int64_t shortest_ms, int64_t longest_ms)
{
    int64_t at_ms = day_ms;
    year.num_outages = 0;
    year.longest_outage_ms = longest_ms;
    while (often_ms && at_ms < YEAR_DAYS * day_ms && year.num_outages < MAX_OUTAGES) {
        at_ms += often_ms + year_random(often_ms);
        int64_t length_ms = shortest_ms + year_random(longest_ms - shortest_ms + 1);
        year.outages[year.num_outages++] = (struct outage){at_ms, at_ms + length_ms};
        at_ms += length_ms;
    }
}

static struct side *start(void)
{
    char domains[512] = "";
    for (int i = 0; i < NUM_LIFETIMES; i++)
        snprintf(domains + strlen(domains), sizeof domains - strlen(domains), "%s%s", i ? "," : "", lifetimes[i].name);
    return kw_start_domains(&year.world, domains);
}

/* What clients are shown now: a certificate of the CA, valid. */
static void check_served(const struct side *side)
{
    for (int i = 0; i < NUM_LIFETIMES; i++) {
        const struct cert *cert = side_serves(side, lifetimes[i].name);
        int64_t left_ms = cert ? cert->not_after_s * 1000 - year.world.wall_ms : 0;
        bool valid =
            cert && cert->source == CERT_ISSUED && left_ms > 0 && cert->not_before_s * 1000 <= year.world.wall_ms;
        if (!valid && must_be_valid(i)) {
            fprintf(stderr, "day %lld: %s has lapsed\n", (long long)((year.world.wall_ms - year.begin_ms) / day_ms),
                    lifetimes[i].name);
            CHECK(valid);
        }
        int64_t permille = left_ms * 1000 / (lifetimes[i].hours * hour_ms);
        if (permille < year.least_left_permille[i])
            year.least_left_permille[i] = permille;
    }
}

static unsigned orders_of(const char *name)
{
    unsigned num = 0;
    for (unsigned i = 0; i < year.world.ca.num_orders; i++)
        num += strcmp(year.world.ca.orders[i].names[0], name) == 0;
    return num;
}

/* Of an hour's step, so that no lapse goes unseen: the shortest certificate has 24 of them. */
static void live(bool restarts)
{
    struct side *side = start();
    kw_pass(&year.world, hour_ms);
    for (int hour = 1; hour < YEAR_DAYS * 24; hour++) {
        check_served(side);
        if (restarts && year_random(24 * 7) == 0) { /* the pod moves, once a week or so */
            kw_stop(side);
            kw_pass(&year.world, year_random(10) * minute_ms);
            side = start();
            kw_rest(&year.world);
            year.num_restarts++;
        }
        kw_pass(&year.world, hour_ms);
    }
    check_served(side);
}

static void begin(bool ari, uint64_t seed)
{
    year = (struct year){.random = seed};
    kw_init(&year.world);
    year.begin_ms = year.world.wall_ms;
    year.world.ca.has_renewal_info = ari;
    year.world.ca.lifetime_s_of = lifetime_s_of;
    year.world.ca.backdate_s = 0;
    year.world.ca.away = ca_is_away;
    for (int i = 0; i < NUM_LIFETIMES; i++)
        year.least_left_permille[i] = 1000;
}

static void report(const char *title)
{
    unsigned met = kw_logged(&year.world, "\"order_started\"", "\"window\":\"met\"");
    unsigned missed = kw_logged(&year.world, "\"order_started\"", "\"window\":\"missed\"");
    printf("%s: %zu outages, %u restarts, %u orders, %u certificates, %u attempts within their window, %u outside\n",
           title, year.num_outages, year.num_restarts, year.world.ca.num_orders, year.world.ca.num_certificates, met,
           missed);
    for (int i = 0; i < NUM_LIFETIMES; i++)
        printf("    %-18s %4u orders, at the worst %.1f %% of the lifetime left\n", lifetimes[i].name,
               orders_of(lifetimes[i].name), (double)year.least_left_permille[i] / 10);
}

static void end(const char *title)
{
    report(title);
    CHECK_STR(year.world.ca.fault, "");
    CHECK_INT(year.world.ca.num_accounts, 1);
    kw_cleanup(&year.world);
}

/* So many renewals of each lifetime as its schedule asks for, and no order more; all within the CA's windows. */
static void a_quiet_year(void)
{
    for (int ari = 0; ari < 2; ari++) {
        begin(ari, 1);
        live(false);
        for (int i = 0; i < NUM_LIFETIMES; i++) {
            int64_t hours = lifetimes[i].hours, used = hours < 240 ? hours / 2 : hours * 2 / 3;
            unsigned num = orders_of(lifetimes[i].name), want = (unsigned)(YEAR_DAYS * 24 / used + 1);
            CHECK(num + 1 + want / 40 >= want && num <= want + 1 + want / 40); /* jitter, and where the year ends */
        }
        CHECK_INT(year.world.ca.num_orders, year.world.ca.num_certificates);
        CHECK_INT(kw_logged(&year.world, "\"order_started\"", "\"window\":\"missed\""), 0);
        CHECK_INT(kw_logged(&year.world, "\"order_started\"", "\"window\":\"met\""),
                  ari ? year.world.ca.num_orders - NUM_LIFETIMES : 0);
        end(ari ? "a quiet year, with ARI" : "a quiet year, without ARI");
    }
}

/* Half a day is the longest that a certificate of 24 hours, renewed at its half, can be without its CA. */
static void outages_of_hours(void)
{
    for (int ari = 0; ari < 2; ari++) {
        begin(ari, 2);
        plan_outages(2 * day_ms, hour_ms, 10 * hour_ms);
        live(true);
        end(ari ? "outages of 1 to 10 hours, with ARI" : "outages of 1 to 10 hours, without ARI");
    }
}

/* Longer than a certificate of 24 hours can last: that one is back within two hours of its CA, no other ever lapses. */
static void outages_of_days(void)
{
    for (int ari = 0; ari < 2; ari++) {
        begin(ari, 3);
        plan_outages(12 * day_ms, day_ms, 2 * day_ms + 12 * hour_ms);
        live(true);
        end(ari ? "outages of 1 to 2.5 days, with ARI" : "outages of 1 to 2.5 days, without ARI");
    }
}

int main(void)
{
    RUN(a_quiet_year);
    RUN(outages_of_hours);
    RUN(outages_of_days);
    return checks_done();
}
