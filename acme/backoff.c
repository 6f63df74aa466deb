#include "acme/backoff.h"

#include "base/json_read.h"
#include "base/json_write.h"

static const int64_t minute_ms = INT64_C(60) * 1000;
static const int64_t hour_ms = INT64_C(3600) * 1000;
static const int64_t validation_least_ms = 12 * INT64_C(60) * 1000; /* five an hour */
static const int64_t day_ms = INT64_C(24) * 3600 * 1000;

/* ACME-113; the last step repeats. */
static int64_t backoff_step_ms(uint32_t num_failures, enum problem_class class)
{
    static const int64_t steps_min[] = {1, 10, 100, 1440};
    size_t at = num_failures > 4 ? 3 : num_failures - 1;
    if (class == PROBLEM_PERMANENT)
        at = 3;
    return steps_min[at] * minute_ms;
}

/* Clients see an expired certificate: a CA that only was away is asked again within the hour, not within the day. */
static bool backoff_is_lapse(enum problem_class class, int64_t served_until_ms, int64_t left_ms)
{
    return class == PROBLEM_TRANSIENT && served_until_ms > 0 && left_ms <= 0;
}

static int64_t backoff_own_ms(const struct backoff *backoff, enum problem_class class, int64_t served_until_ms,
                              int64_t now_ms, uint32_t random)
{
    int64_t step_ms = backoff_step_ms(backoff->num_failures, class), left_ms = served_until_ms - now_ms;
    int64_t tenth_ms = step_ms / 10;
    step_ms += (int64_t)(random % (uint64_t)(2 * tenth_ms + 1)) - tenth_ms;
    if (left_ms > 0 && step_ms > left_ms / 10)
        step_ms = left_ms / 10;
    if (backoff_is_lapse(class, served_until_ms, left_ms) && step_ms > hour_ms)
        step_ms = hour_ms;
    int64_t least_ms = class == PROBLEM_VALIDATION ? validation_least_ms : minute_ms;
    return step_ms > least_ms ? step_ms : least_ms;
}

void backoff_failed(struct backoff *backoff, const struct problem *problem, int64_t now_ms, int64_t served_until_ms,
                    uint32_t random)
{
    int64_t cap_ms = problem_is(problem, "rateLimited") ? 7 * day_ms : day_ms;
    int64_t ca_ms = problem->retry_after_ms < cap_ms ? problem->retry_after_ms : cap_ms;
    if (backoff->num_failures < UINT32_MAX)
        backoff->num_failures++;
    backoff->failed_ms = now_ms;
    backoff->next_ms = now_ms + backoff_own_ms(backoff, problem->class, served_until_ms, now_ms, random);
    backoff->ca_next_ms = ca_ms > 0 ? now_ms + ca_ms : 0;
    backoff->retry_after_capped = problem->retry_after_ms > cap_ms;
}

void backoff_succeeded(struct backoff *backoff)
{
    *backoff = (struct backoff){0};
}

void backoff_mended(struct backoff *backoff)
{
    int64_t least_ms = backoff->failed_ms + validation_least_ms;
    if (backoff->next_ms > least_ms)
        backoff->next_ms = least_ms;
}

/* A failure in the future was dated by a clock that was ahead (HARDENING A8): the waits keep their length and count from now. */
static void backoff_redate(struct backoff *backoff, int64_t now_ms)
{
    int64_t ahead_ms = backoff->failed_ms - now_ms;
    if (ahead_ms <= 5 * minute_ms)
        return;
    backoff->failed_ms = now_ms;
    backoff->next_ms -= ahead_ms;
    if (backoff->ca_next_ms)
        backoff->ca_next_ms -= ahead_ms;
}

int64_t backoff_next_ms(struct backoff *backoff, int64_t now_ms, bool ignore_own)
{
    backoff_redate(backoff, now_ms);
    int64_t next_ms = ignore_own ? 0 : backoff->next_ms;
    return backoff->ca_next_ms > next_ms ? backoff->ca_next_ms : next_ms;
}

void backoff_write(const struct backoff *backoff, struct json_writer *w)
{
    json_put_int(w, "failures", backoff->num_failures);
    json_put_int(w, "failed_ms", backoff->failed_ms);
    json_put_int(w, "next_ms", backoff->next_ms);
    json_put_int(w, "ca_next_ms", backoff->ca_next_ms);
}

static int64_t backoff_get(const struct json *object, const char *key, int64_t max)
{
    int64_t value = 0;
    return json_get_int(object, key, 0, max, &value) ? value : 0;
}

struct backoff backoff_read(const struct json *object)
{
    const int64_t year_10000_ms = INT64_C(253402300800000);
    return (struct backoff){
        .num_failures = (uint32_t)backoff_get(object, "failures", UINT32_MAX),
        .failed_ms = backoff_get(object, "failed_ms", year_10000_ms),
        .next_ms = backoff_get(object, "next_ms", year_10000_ms),
        .ca_next_ms = backoff_get(object, "ca_next_ms", year_10000_ms),
    };
}
