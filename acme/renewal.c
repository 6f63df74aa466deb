#include "acme/renewal.h"

enum { RENEWAL_SHORT_LIFETIME_S = 10 * 24 * 3600, RENEWAL_JITTER_PERMILLE = 20, RENEWAL_YOUNG_MS = 6 * 3600 * 1000 };

static const int64_t minute_ms = INT64_C(60) * 1000;
static const int64_t ask_longest_ms = INT64_C(6) * 3600 * 1000;

int64_t renewal_due_s(int64_t not_before_s, int64_t not_after_s, unsigned at_permille, uint32_t random)
{
    int64_t lifetime_s = not_after_s - not_before_s;
    if (lifetime_s <= 0)
        return not_before_s;
    int64_t due_s = lifetime_s * 2 / 3;
    if (at_permille > 0)
        due_s = lifetime_s / 1000 * at_permille + lifetime_s % 1000 * at_permille / 1000;
    else if (lifetime_s < RENEWAL_SHORT_LIFETIME_S)
        due_s = lifetime_s / 2;
    int64_t jitter_s = lifetime_s * RENEWAL_JITTER_PERMILLE / 1000;
    due_s += (int64_t)(random % (uint64_t)(2 * jitter_s + 1)) - jitter_s;
    int64_t latest_s = lifetime_s - lifetime_s / 20;
    return not_before_s + (due_s < latest_s ? due_s : latest_s);
}

bool renewal_is_emergency(int64_t not_before_s, int64_t not_after_s, int64_t now_s)
{
    return not_after_s - now_s < (not_after_s - not_before_s) / 20 || now_s >= not_after_s;
}

bool renewal_take_window(struct renewal_window *window, int64_t start_ms, int64_t end_ms, uint64_t random)
{
    if (window->start_ms == start_ms && window->end_ms == end_ms)
        return false; /* ACME-100: drawn again at each question, the earliest draw would win */
    uint64_t width_ms = (uint64_t)(end_ms - start_ms);
    *window = (struct renewal_window){start_ms, end_ms, start_ms + (int64_t)(random % width_ms)};
    return true;
}

bool renewal_in_window(const struct renewal_window *window, int64_t now_ms)
{
    return window->end_ms && window->start_ms <= now_ms && now_ms < window->end_ms;
}

const char *renewal_reason_text(enum renewal_reason reason)
{
    switch (reason) {
    case RENEWAL_BY_SCHEDULE: return "schedule";
    case RENEWAL_BY_WINDOW: return "window";
    case RENEWAL_BY_FLOOR: return "floor";
    }
    return "schedule";
}

/* ACME-101. A window that ends while a fifth of the lifetime is left is waited out, even where it ends behind the floor. */
static int64_t renewal_floor_ms(const struct renewal_cert *cert, const struct renewal_window *window)
{
    int64_t lifetime_ms = cert->not_after_ms - cert->not_before_ms;
    bool is_short = lifetime_ms < RENEWAL_SHORT_LIFETIME_S * INT64_C(1000);
    int64_t floor_ms = cert->not_after_ms - lifetime_ms / (is_short ? 3 : 4);
    bool early = window->end_ms && window->end_ms <= cert->not_after_ms - lifetime_ms / 5;
    return early && window->end_ms > floor_ms ? window->end_ms : floor_ms;
}

/* Younger than this, a certificate is not given back. */
static int64_t renewal_young_until_ms(const struct renewal_cert *cert)
{
    int64_t young_ms = (cert->not_after_ms - cert->not_before_ms) / 50;
    return cert->not_before_ms + (young_ms < RENEWAL_YOUNG_MS ? young_ms : RENEWAL_YOUNG_MS);
}

bool renewal_window_is_past(const struct renewal_cert *cert, const struct renewal_window *window)
{
    return window->end_ms && window->end_ms <= renewal_young_until_ms(cert);
}

struct renewal_plan renewal_plan(const struct renewal_cert *cert, const struct renewal_window *window,
                                 int64_t schedule_ms)
{
    struct renewal_plan plan = {.renew_at_ms = schedule_ms, .floor_ms = renewal_floor_ms(cert, window)};
    if (!window->end_ms)
        return plan;
    int64_t young_until_ms = renewal_young_until_ms(cert);
    plan.reason = window->chosen_ms > plan.floor_ms ? RENEWAL_BY_FLOOR : RENEWAL_BY_WINDOW;
    plan.renew_at_ms = plan.reason == RENEWAL_BY_FLOOR ? plan.floor_ms : window->chosen_ms;
    if (plan.renew_at_ms < young_until_ms)
        plan.renew_at_ms = young_until_ms;
    return plan;
}

int64_t renewal_ask_failed_ms(uint32_t num_failures, uint32_t random)
{
    int64_t wait_ms = minute_ms;
    for (uint32_t i = 1; i < num_failures && wait_ms < ask_longest_ms; i++)
        wait_ms *= 2;
    if (wait_ms > ask_longest_ms)
        wait_ms = ask_longest_ms;
    int64_t tenth_ms = wait_ms / 10;
    wait_ms += (int64_t)(random % (uint64_t)(2 * tenth_ms + 1)) - tenth_ms;
    return wait_ms > minute_ms ? wait_ms : minute_ms;
}
