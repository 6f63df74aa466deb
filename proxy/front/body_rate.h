/* body_rate: whether a request's body comes at LIMIT_BODY_RATE_BYTES_S at least, counted in windows of
 * LIMIT_BODY_RATE_GRACE_MS (HARDENING R14). A slower one holds a backend hostage. Its front owns the deadline and lets the
 * window run only while it reads. Pure. */
#ifndef FRONT_BODY_RATE_H
#define FRONT_BODY_RATE_H

#include "base/limits.h"
#include "exchange/exchange.h"

struct body_rate {
    uint64_t bytes; /* in this window */
};

static inline void body_rate_begin(struct body_rate *rate)
{
    rate->bytes = 0;
}

static inline void body_rate_count(struct body_rate *rate, size_t len)
{
    rate->bytes += len;
}

/* At the end of a window. Not counted: a client that waits for 100, and, once the answer has begun, a body of unknown
 * length, which may be a conversation. */
static inline bool body_rate_is_slow(const struct body_rate *rate, const struct exchange *exchange)
{
    bool slow = rate->bytes < (uint64_t)LIMIT_BODY_RATE_BYTES_S * LIMIT_BODY_RATE_GRACE_MS / 1000;
    return slow && !exchange_continue_due(exchange) &&
           (!exchange_answer_begun(exchange) || exchange_request_head(exchange)->length_given);
}

#endif
