/* backoff and renewal: when a name is tried again, and when a certificate is due (ACME-107, 113, 114; HARDENING A8). */
#include "acme/backoff.h"
#include "acme/renewal.h"
#include "base/json_read.h"
#include "base/json_write.h"
#include "check.h"

static const int64_t min_ms = 60000, day_ms = 86400000, now_ms = 1800000000000;

static const int64_t hour_s = 3600, day_s = 86400;

static const uint32_t randoms[] = {0, 1, 12345, 0x7fffffff, 0xffffffff};
enum { NUM_RANDOMS = sizeof randoms / sizeof *randoms };

static void check_about(int64_t got, int64_t want)
{
    CHECK(got >= want - want / 10 && got <= want + want / 10);
}

static void test_steps(void)
{
    static const int64_t steps_min[] = {1, 10, 100, 1440, 1440, 1440};
    for (size_t r = 0; r < NUM_RANDOMS; r++) {
        struct backoff backoff = {0};
        struct problem problem = {.class = PROBLEM_TRANSIENT};
        for (size_t i = 0; i < 6; i++) {
            backoff_failed(&backoff, &problem, now_ms, 0, randoms[r]);
            int64_t wait_ms = backoff_next_ms(&backoff, now_ms, false) - now_ms;
            check_about(wait_ms, steps_min[i] * min_ms);
            CHECK(wait_ms >= min_ms);
        }
        CHECK_INT(backoff_next_ms(&backoff, now_ms, true), 0); /* asked for now */
        backoff_succeeded(&backoff);
        CHECK(backoff_next_ms(&backoff, now_ms, false) <= now_ms);
    }
}

static void test_floors_and_ceilings(void)
{
    struct backoff backoff = {0};
    struct problem validation = {.class = PROBLEM_VALIDATION}, permanent = {.class = PROBLEM_PERMANENT};
    backoff_failed(&backoff, &validation, now_ms, 0, 0);
    CHECK_INT(backoff_next_ms(&backoff, now_ms, false) - now_ms, 12 * min_ms); /* five an hour (ACME-107) */
    backoff = (struct backoff){0};
    backoff_failed(&backoff, &permanent, now_ms, 0, 0);
    check_about(backoff_next_ms(&backoff, now_ms, false) - now_ms, day_ms);
    backoff = (struct backoff){0};
    backoff_failed(&backoff, &permanent, now_ms, now_ms + 100 * min_ms, 0); /* a tenth of what is left */
    CHECK_INT(backoff_next_ms(&backoff, now_ms, false) - now_ms, 10 * min_ms);
    backoff = (struct backoff){0};
    backoff_failed(&backoff, &permanent, now_ms, now_ms + 5 * min_ms, 0); /* but never under a minute */
    CHECK_INT(backoff_next_ms(&backoff, now_ms, false) - now_ms, min_ms);
    backoff = (struct backoff){0};
    backoff_failed(&backoff, &permanent, now_ms, now_ms - day_ms, 0); /* expired: nothing is left to divide */
    check_about(backoff_next_ms(&backoff, now_ms, false) - now_ms, day_ms);
    struct problem transient = {.class = PROBLEM_TRANSIENT};
    backoff = (struct backoff){.num_failures = 7};
    backoff_failed(&backoff, &transient, now_ms, now_ms - day_ms,
                   0); /* expired, and the CA was away: within the hour */
    CHECK_INT(backoff_next_ms(&backoff, now_ms, false) - now_ms, 60 * min_ms);
}

static void test_mended(void)
{
    struct backoff backoff = {0};
    struct problem validation = {.class = PROBLEM_VALIDATION, .retry_after_ms = 30 * min_ms};
    for (int i = 0; i < 3; i++)
        backoff_failed(&backoff, &validation, now_ms, 0, 0);
    backoff_mended(&backoff);
    CHECK_INT(backoff.next_ms - now_ms, 12 * min_ms); /* ACME-107 */
    CHECK_INT(backoff_next_ms(&backoff, now_ms, false) - now_ms, 30 * min_ms); /* the CA's word holds */
    backoff.next_ms = now_ms + min_ms;
    backoff_mended(&backoff); /* never later than it was */
    CHECK_INT(backoff.next_ms - now_ms, min_ms);
}

static void test_retry_after(void)
{
    struct backoff backoff = {0};
    struct problem later = {.class = PROBLEM_LATER, .retry_after_ms = 180 * min_ms};
    backoff_failed(&backoff, &later, now_ms, now_ms + min_ms, 0);
    CHECK_INT(backoff_next_ms(&backoff, now_ms, false) - now_ms, 180 * min_ms); /* the CA's word counts more */
    CHECK_INT(backoff_next_ms(&backoff, now_ms, true) - now_ms, 180 * min_ms);  /* also when asked for now */
    CHECK(!backoff.retry_after_capped);
    later.retry_after_ms = 5 * day_ms;
    backoff_failed(&backoff, &later, now_ms, 0, 0);
    CHECK_INT(backoff.ca_next_ms - now_ms, day_ms);
    CHECK(backoff.retry_after_capped);
    later.type = SLICE_LIT("rateLimited");
    backoff_failed(&backoff, &later, now_ms, 0, 0);
    CHECK_INT(backoff.ca_next_ms - now_ms, 5 * day_ms);
    later.retry_after_ms = 30 * day_ms;
    backoff_failed(&backoff, &later, now_ms, 0, 0);
    CHECK_INT(backoff.ca_next_ms - now_ms, 7 * day_ms);
    later.retry_after_ms = 0;
    backoff_failed(&backoff, &later, now_ms, 0, 0);
    CHECK_INT(backoff.ca_next_ms, 0);
}

/* HARDENING A8: whatever the clock does, a wait keeps its length, and none is endless. */
static void test_clock_set_back(void)
{
    static const int64_t jumps_ms[] = {3600000, 86400000, 365 * 86400000LL};
    for (size_t i = 0; i < 3; i++) {
        struct backoff backoff = {0};
        struct problem later = {.class = PROBLEM_LATER, .retry_after_ms = 60 * min_ms};
        backoff_failed(&backoff, &later, now_ms, 0, 0);
        int64_t past_ms = now_ms - jumps_ms[i];
        CHECK_INT(backoff_next_ms(&backoff, past_ms, false) - past_ms, 60 * min_ms);
        CHECK_INT(backoff_next_ms(&backoff, past_ms + 59 * min_ms, false), past_ms + 60 * min_ms); /* and it passes */
        CHECK(backoff_next_ms(&backoff, now_ms, false) <= now_ms);
    }
}

static struct backoff through_text(const char *text)
{
    struct arena arena = {0};
    struct json *json = NULL;
    struct backoff backoff = {0};
    CHECK(!err_is(json_parse(&arena, slice_str(text), 4096, &json)));
    backoff = backoff_read(json);
    arena_cleanup(&arena);
    return backoff;
}

static void test_persistence(void)
{
    struct backoff backoff = {0};
    struct problem later = {.class = PROBLEM_LATER, .retry_after_ms = 60 * min_ms};
    struct buf out = {0};
    backoff_failed(&backoff, &later, now_ms, 0, 7);
    struct json_writer w = json_writer_on(&out);
    json_object(&w);
    backoff_write(&backoff, &w);
    json_end_object(&w);
    struct backoff again = through_text(buf_cstr(&out));
    CHECK_INT(again.num_failures, 1);
    CHECK_INT(again.failed_ms, backoff.failed_ms);
    CHECK_INT(again.next_ms, backoff.next_ms);
    CHECK_INT(again.ca_next_ms, backoff.ca_next_ms);
    again = through_text("{\"failures\":-1,\"next_ms\":\"x\",\"ca_next_ms\":1e400}");
    CHECK_INT(again.num_failures + again.next_ms + again.ca_next_ms, 0);
    buf_cleanup(&out);
}

/* ACME-114: 24 hours, 160 hours, 45, 64 and 90 days, from the certificate's own dates. */
static void test_renewal(void)
{
    const struct {
        int64_t lifetime_s, due_s;
    } rows[] = {
        {day_s, 12 * hour_s},     {160 * hour_s, 80 * hour_s},
        {45 * day_s, 30 * day_s}, {64 * day_s, 64 * day_s * 2 / 3},
        {90 * day_s, 60 * day_s}, {10 * day_s, 10 * day_s * 2 / 3},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t r = 0; r < NUM_RANDOMS; r++) {
            int64_t start_s = 1800000000, jitter_s = rows[i].lifetime_s * 2 / 100;
            int64_t due_s = renewal_due_s(start_s, start_s + rows[i].lifetime_s, 0, randoms[r]) - start_s;
            CHECK(due_s >= rows[i].due_s - jitter_s - 1 && due_s <= rows[i].due_s + jitter_s + 1);
        }
    CHECK(renewal_due_s(0, 90 * day_s, 0, 0) != renewal_due_s(0, 90 * day_s, 0, 77777777)); /* ACME-115 */
    int64_t half_s = renewal_due_s(0, 90 * day_s, 500, 0);
    CHECK(half_s >= 43 * day_s && half_s <= 47 * day_s);
    CHECK(renewal_due_s(0, 100000, 999, 0xffffffff) <= 95000); /* several attempts are always left */
    CHECK_INT(renewal_due_s(100, 100, 0, 5), 100);
    CHECK_INT(renewal_due_s(100, 50, 0, 5), 100);
}

static void test_emergency(void)
{
    CHECK(!renewal_is_emergency(0, 1000, 900));
    CHECK(!renewal_is_emergency(0, 1000, 950));
    CHECK(renewal_is_emergency(0, 1000, 951));
    CHECK(renewal_is_emergency(0, 1000, 2000));
}

int main(void)
{
    RUN(test_steps);
    RUN(test_floors_and_ceilings);
    RUN(test_mended);
    RUN(test_retry_after);
    RUN(test_clock_set_back);
    RUN(test_persistence);
    RUN(test_renewal);
    RUN(test_emergency);
    return checks_done();
}
