/* When to renew: every lifetime that CAs have or will have, every place of the CA's window, floors and the questions. */
#include "acme/renewal.h"
#include "check.h"

static const int64_t second_ms = 1000, hour_ms = 3600000, day_ms = 86400000;
static const int64_t begin_ms = INT64_C(1800000000000);

static const int64_t lifetimes_h[] = {24, 160, 45 * 24, 64 * 24, 90 * 24};
enum { NUM_LIFETIMES = sizeof lifetimes_h / sizeof *lifetimes_h };

static struct renewal_cert cert_of(int64_t lifetime_h)
{
    return (struct renewal_cert){begin_ms, begin_ms + lifetime_h * hour_ms};
}

static bool is_short(int64_t lifetime_ms)
{
    return lifetime_ms < 10 * day_ms;
}

/* ACME-114: half of what is short, two thirds of what is long, give or take 2 %. */
static void without_ari(void)
{
    for (int i = 0; i < NUM_LIFETIMES; i++) {
        struct renewal_cert cert = cert_of(lifetimes_h[i]);
        struct renewal_window none = {0};
        int64_t lifetime_ms = cert.not_after_ms - cert.not_before_ms, lowest_ms = INT64_MAX, highest_ms = 0;
        for (uint32_t random = 0; random < 4000; random++) {
            int64_t due_ms =
                renewal_due_s(cert.not_before_ms / 1000, cert.not_after_ms / 1000, 0, random * 2654435761u) * 1000;
            struct renewal_plan plan = renewal_plan(&cert, &none, due_ms);
            CHECK_INT(plan.renew_at_ms, due_ms);
            CHECK_INT(plan.reason, RENEWAL_BY_SCHEDULE);
            lowest_ms = due_ms < lowest_ms ? due_ms : lowest_ms;
            highest_ms = due_ms > highest_ms ? due_ms : highest_ms;
        }
        int64_t ideal_ms = begin_ms + (is_short(lifetime_ms) ? lifetime_ms / 2 : lifetime_ms * 2 / 3);
        CHECK(lowest_ms >= ideal_ms - lifetime_ms / 50 - second_ms);
        CHECK(highest_ms <= ideal_ms + lifetime_ms / 50 + second_ms);
        CHECK(highest_ms - lowest_ms > lifetime_ms / 26);              /* spread over nearly all of that (ACME-115) */
        CHECK(cert.not_after_ms - highest_ms >= lifetime_ms * 3 / 10); /* attempts to spare */
    }
}

/* ACME-92, ACME-101, ACME-102: every window of every width, at every place of the lifetime. */
static void every_window(void)
{
    for (int i = 0; i < NUM_LIFETIMES; i++) {
        struct renewal_cert cert = cert_of(lifetimes_h[i]);
        int64_t lifetime_ms = cert.not_after_ms - cert.not_before_ms, step_ms = lifetime_ms / 200;
        int64_t hard_floor_ms = cert.not_after_ms - lifetime_ms / (is_short(lifetime_ms) ? 3 : 4);
        int64_t fifth_ms = cert.not_after_ms - lifetime_ms / 5;
        for (int64_t start_ms = begin_ms - 40 * step_ms; start_ms < cert.not_after_ms + 40 * step_ms;
             start_ms += step_ms)
            for (int64_t width_ms = step_ms / 2; width_ms < lifetime_ms; width_ms *= 3) {
                struct renewal_window window = {0};
                CHECK(renewal_take_window(&window, start_ms, start_ms + width_ms,
                                          (uint64_t)start_ms * 6364136223846793005u));
                CHECK(window.chosen_ms >= start_ms && window.chosen_ms < start_ms + width_ms);
                struct renewal_plan plan = renewal_plan(&cert, &window, begin_ms + lifetime_ms / 2);
                int64_t young_ms = begin_ms + (lifetime_ms / 50 < 6 * hour_ms ? lifetime_ms / 50 : 6 * hour_ms);
                if (window.end_ms <= fifth_ms) { /* early enough: the CA's wish, wherever it lies */
                    CHECK_INT(plan.reason, RENEWAL_BY_WINDOW);
                    CHECK_INT(plan.renew_at_ms, window.chosen_ms > young_ms ? window.chosen_ms : young_ms);
                } else {
                    CHECK(plan.renew_at_ms <= hard_floor_ms);
                    CHECK_INT(plan.reason, window.chosen_ms > hard_floor_ms ? RENEWAL_BY_FLOOR : RENEWAL_BY_WINDOW);
                }
                CHECK(plan.renew_at_ms >= young_ms);
                CHECK(plan.renew_at_ms <= fifth_ms);
                CHECK(plan.floor_ms >= hard_floor_ms && plan.floor_ms <= fifth_ms);
                CHECK(plan.renew_at_ms <= plan.floor_ms);
                CHECK(!renewal_is_emergency(cert.not_before_ms / 1000, cert.not_after_ms / 1000,
                                            plan.renew_at_ms / 1000));
            }
    }
}

/* The windows that Let's Encrypt gives: none is cut by a floor, and the chosen instant lies within. */
static void lets_encrypts_windows(void)
{
    static const int64_t widths_s[] = {1728, 11520, 77760, 110592, 155520}; /* 3.2 h of 160 h, 21.6 h, 30.7 h, 43.2 h */
    for (int i = 0; i < NUM_LIFETIMES; i++) {
        struct renewal_cert cert = cert_of(lifetimes_h[i]);
        int64_t lifetime_ms = cert.not_after_ms - cert.not_before_ms;
        int64_t ideal_ms = begin_ms + (is_short(lifetime_ms) ? lifetime_ms / 2 : lifetime_ms * 2 / 3);
        int64_t start_ms = ideal_ms - lifetime_ms / 100, end_ms = ideal_ms + lifetime_ms / 100;
        CHECK_INT((end_ms - start_ms) / 1000, widths_s[i]);
        for (uint64_t random = 0; random < 1000; random++) {
            struct renewal_window window = {0};
            renewal_take_window(&window, start_ms, end_ms, random * 11400714819323198485u);
            struct renewal_plan plan = renewal_plan(&cert, &window, begin_ms);
            CHECK_INT(plan.reason, RENEWAL_BY_WINDOW);
            CHECK(renewal_in_window(&window, plan.renew_at_ms));
        }
    }
}

/* ACME-100: the same window keeps its instant, however often it is told; another one is drawn anew. */
static void drawn_once(void)
{
    struct renewal_window window = {0};
    CHECK(renewal_take_window(&window, begin_ms, begin_ms + hour_ms, 1234567));
    int64_t chosen_ms = window.chosen_ms;
    for (uint64_t random = 0; random < 100; random++)
        CHECK(!renewal_take_window(&window, begin_ms, begin_ms + hour_ms, random * 99991));
    CHECK_INT(window.chosen_ms, chosen_ms);
    CHECK(renewal_take_window(&window, begin_ms, begin_ms + 2 * hour_ms, 7654321));
    CHECK(window.chosen_ms != chosen_ms);
    CHECK(renewal_take_window(&window, begin_ms - hour_ms, begin_ms + hour_ms, 5));
    CHECK_INT(window.chosen_ms, begin_ms - hour_ms + 5);
}

/* ACME-92: all of the window is drawn from, evenly. */
static void drawn_evenly(void)
{
    unsigned tenths[10] = {0};
    for (uint64_t i = 1; i <= 10000; i++) {
        struct renewal_window window = {0};
        uint64_t random = i * 11400714819323198485u;
        renewal_take_window(&window, begin_ms, begin_ms + 10 * hour_ms, random ^ random >> 29);
        tenths[(window.chosen_ms - begin_ms) / hour_ms]++;
    }
    for (int i = 0; i < 10; i++)
        CHECK(tenths[i] > 900 && tenths[i] < 1100);
}

/* ACME-93: what is past is now, but a certificate is never given back as soon as it is there. */
static void a_window_in_the_past(void)
{
    for (int i = 0; i < NUM_LIFETIMES; i++) {
        struct renewal_cert cert = cert_of(lifetimes_h[i]);
        struct renewal_window window = {0};
        renewal_take_window(&window, begin_ms - 2 * day_ms, begin_ms - day_ms, 42);
        int64_t at_ms = renewal_plan(&cert, &window, cert.not_after_ms).renew_at_ms;
        CHECK(at_ms >= begin_ms + 28 * 60 * second_ms);
        CHECK(at_ms <= begin_ms + 6 * hour_ms);
        CHECK(renewal_window_is_past(&cert, &window));
        renewal_take_window(&window, begin_ms - day_ms, at_ms + second_ms, 42);
        CHECK(!renewal_window_is_past(&cert, &window));
        CHECK(!renewal_window_is_past(&cert, &(struct renewal_window){0}));
    }
}

static void in_the_window(void)
{
    struct renewal_window window = {.start_ms = 1000, .end_ms = 2000, .chosen_ms = 1500}, none = {0};
    CHECK(!renewal_in_window(&window, 999));
    CHECK(renewal_in_window(&window, 1000));
    CHECK(renewal_in_window(&window, 1999));
    CHECK(!renewal_in_window(&window, 2000)); /* the end is not within */
    CHECK(!renewal_in_window(&none, 0));
}

/* ACME-95, ACME-97 */
static void questions_that_failed(void)
{
    int64_t before_ms = 0;
    for (uint32_t num = 1; num < 40; num++)
        for (uint32_t random = 0; random < 100; random++) {
            int64_t want_ms = INT64_C(60000) << (num < 10 ? num - 1 : 9), wait_ms;
            want_ms = want_ms < 6 * hour_ms ? want_ms : 6 * hour_ms;
            wait_ms = renewal_ask_failed_ms(num, random * 2654435761u);
            CHECK(wait_ms >= 60000);
            CHECK(wait_ms >= want_ms * 9 / 10 && wait_ms <= want_ms * 11 / 10);
            before_ms = wait_ms;
        }
    CHECK(before_ms > 5 * hour_ms);
    CHECK(renewal_ask_failed_ms(UINT32_MAX, 0) > 5 * hour_ms);
}

static void words(void)
{
    CHECK_STR(renewal_reason_text(RENEWAL_BY_SCHEDULE), "schedule");
    CHECK_STR(renewal_reason_text(RENEWAL_BY_WINDOW), "window");
    CHECK_STR(renewal_reason_text(RENEWAL_BY_FLOOR), "floor");
}

int main(void)
{
    RUN(without_ari);
    RUN(every_window);
    RUN(lets_encrypts_windows);
    RUN(drawn_once);
    RUN(drawn_evenly);
    RUN(a_window_in_the_past);
    RUN(in_the_window);
    RUN(questions_that_failed);
    RUN(words);
    return checks_done();
}
