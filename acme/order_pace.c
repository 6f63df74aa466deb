#include "acme/engine.h"
#include "acme/order.h"
#include "base/log.h"

enum {
    ORDER_POLL_FIRST_MS = 2000, /* grows by a half up to */
    ORDER_POLL_LONGEST_MS = 30000,
    ORDER_POLL_MAX_MS = 10 * 60 * 1000, /* then the keeper's back-off takes over, and the journal resumes */
    ORDER_MAX_MS = 60 * 60 * 1000,      /* of one run, whatever the CA does */
    ORDER_SEEN_MS = 1000,               /* from the validation request to the next look */
    ORDER_MAX_RETRIES = 5,
    ORDER_RETRY_LONGEST_MS = 60000 /* a longer Retry-After is for the keeper to wait out */
};

static void order_wait_ms(struct acme_order *order, enum order_step next, int64_t wait_ms, bool ca_paced)
{
    order->phase = ORDER_AT_WAITING;
    order->step = next;
    order->ca_paced = ca_paced;
    order->wake_ms = acme_mono_ms(order->acme) + wait_ms;
    acme_need_wake(order->acme, order->wake_ms);
}

static bool order_is_overdue(const struct acme_order *order)
{
    return acme_mono_ms(order->acme) - order->started_ms > ORDER_MAX_MS;
}

static bool order_has_expired(const struct acme_order *order)
{
    int64_t expires_s = order->progress.document.expires_s;
    return expires_s > 0 && acme_wall_s(order->acme) >= expires_s;
}

/* 2 s, growing by a half to 30 s, where the CA does not say (ACME-51); the first look sooner where it has been here. An order
 * that is ready, or not, by turns is read as one that says nothing: finalizing between two looks begins nothing anew. */
static int64_t order_poll_wait_ms(struct acme_order *order, enum order_step next)
{
    bool first = (next == ORDER_STEP_READ ? order->poll_step : order->step) != next;
    order->poll_step = next;
    if (first) {
        order->poll_started_ms = acme_mono_ms(order->acme);
        order->poll_wait_ms = ORDER_POLL_FIRST_MS;
    }
    int64_t wait_ms = order->poll_wait_ms;
    order->poll_wait_ms += order->poll_wait_ms / 2;
    if (order->poll_wait_ms > ORDER_POLL_LONGEST_MS)
        order->poll_wait_ms = ORDER_POLL_LONGEST_MS;
    return first && next == ORDER_STEP_VALIDATE && order->seen ? ORDER_SEEN_MS : wait_ms;
}

static void order_end_polling(struct acme_order *order, int64_t ca_wait_ms, bool expired)
{
    struct problem problem = {
        .class = ca_wait_ms ? PROBLEM_LATER : PROBLEM_TRANSIENT,
        .err = err_make(ERR_TIMEOUT, 0, "poll"),
        .detail = expired ? SLICE_LIT("the order expired before the CA came to a decision")
                          : SLICE_LIT("the CA has come to no decision; the order will be taken up again"),
        .retry_after_ms = ca_wait_ms};
    order_fail(order, &problem, expired);
}

void order_poll(struct acme_order *order, const struct order_verdict *verdict)
{
    int64_t own_ms = order_poll_wait_ms(order, verdict->next);
    int64_t wait_ms = verdict->wait_ms ? verdict->wait_ms : own_ms;
    int64_t polled_ms = acme_mono_ms(order->acme) + wait_ms - order->poll_started_ms;
    bool expired = order_has_expired(order); /* ACME-42: this one is over, the next attempt orders anew */
    if (expired || polled_ms > ORDER_POLL_MAX_MS || order_is_overdue(order))
        order_end_polling(order, verdict->wait_ms, expired);
    else
        order_wait_ms(order, verdict->next, wait_ms, verdict->wait_ms > 0);
}

/* Only what says nothing about the request itself is worth asking again at once. */
static bool order_may_retry(const struct acme_order *order, const struct problem *problem)
{
    bool passing = problem->class == PROBLEM_TRANSIENT || problem->class == PROBLEM_LATER;
    bool mute = problem->status == 0 || problem->status >= 500 || problem_is(problem, "badNonce");
    return passing && mute && !problem_is(problem, "rateLimited") && order->num_retries < ORDER_MAX_RETRIES &&
           problem->retry_after_ms <= ORDER_RETRY_LONGEST_MS && !order_is_overdue(order);
}

static void order_log_problem(const struct acme_order *order, const struct problem *problem, int64_t wait_ms)
{
    struct buf sentence = {0};
    problem_write_sentence(&sentence, problem);
    LOG_WARN_EVENT(order->acme->world.log, "acme_retry", LOG_SLICE("msg", buf_slice(&sentence)),
                   LOG_SLICE("name", order->spec.record), LOG_STR("step", order_steps[order->step]->name),
                   LOG_INT("wait_ms", wait_ms));
    buf_cleanup(&sentence);
}

void order_meet_trouble(struct acme_order *order, const struct problem *problem, enum order_step next)
{
    if (!order_may_retry(order, problem)) {
        order_fail(order, problem, problem->class == PROBLEM_PERMANENT);
        return;
    }
    int64_t wait_ms = ORDER_POLL_FIRST_MS << order->num_retries++;
    if (problem->retry_after_ms > wait_ms)
        wait_ms = problem->retry_after_ms;
    order_log_problem(order, problem, wait_ms);
    if (next != ORDER_STEP_CHALLENGE && next != ORDER_STEP_VALIDATE)
        order_withdraw(order);
    order_wait_ms(order, next, wait_ms, true);
}

void order_wake(struct acme_order *order, int64_t now_ms)
{
    if (order->phase == ORDER_AT_WAITING && now_ms >= order->wake_ms)
        order_go_on(order);
}

void order_hurry(struct acme_order *order)
{
    int64_t soon_ms = acme_mono_ms(order->acme) + ORDER_SEEN_MS;
    if (order->phase != ORDER_AT_WAITING || order->step != ORDER_STEP_VALIDATE || order->ca_paced ||
        order->wake_ms <= soon_ms)
        return;
    order->wake_ms = soon_ms;
    acme_need_wake(order->acme, soon_ms);
}
