/* renewal: when a certificate is due to be replaced, and when to ask the CA for its wish (RFC 9773). From the certificate's
 * own dates, never from a configured lifetime (ACME-114, ACME-115). Pure. Any thread. All times are wall clock.
 *
 *   notBefore ......... 1/2 or 2/3 ......... floor ......... emergency ... notAfter
 *                       without ARI        1/4 or 1/3 left     1/20 left
 */
#ifndef ACME_RENEWAL_H
#define ACME_RENEWAL_H

#include <stdbool.h>
#include <stdint.h>

/* Wall clock in seconds. at_permille: the part of the lifetime after which to renew, 1 to 999; 0 is `auto`: 2/3, and 1/2
 * for lifetimes under ten days. ±2 % of the lifetime by `random` (any 32 bits), chosen once by the caller, who
 * persists it with the certificate, so that a restart neither moves it nor bunches names together. Never later than
 * one twentieth of the lifetime before the end. */
int64_t renewal_due_s(int64_t not_before_s, int64_t not_after_s, unsigned at_permille, uint32_t random);

/* Less than one twentieth of the lifetime is left, or none. */
bool renewal_is_emergency(int64_t not_before_s, int64_t not_after_s, int64_t now_s);

/* Of the certificate that is to be replaced. */
struct renewal_cert {
    int64_t not_before_ms, not_after_ms;
};

/* The CA's wish, as it is remembered. Zeroed: none. */
struct renewal_window {
    int64_t start_ms, end_ms; /* end 0: none */
    int64_t chosen_ms;        /* a random instant within, drawn once for each window (ACME-92, ACME-100) */
};

/* A window came: keeps the instant where it is the same window as before, draws one where it is another. True: it is
 * another. random: any 64 bits. */
bool renewal_take_window(struct renewal_window *window, int64_t start_ms, int64_t end_ms, uint64_t random);
/* start <= now < end: an order placed now is exempt from the CA's limits (ACME-102). */
bool renewal_in_window(const struct renewal_window *window, int64_t now_ms);

/* All of it lies before the certificate is old enough to be replaced (see renewal_plan): obeyed once, that is a CA in need of
 * its certificate; again at the successor, it is a CA that never wants anything else. */
bool renewal_window_is_past(const struct renewal_cert *cert, const struct renewal_window *window);

enum renewal_reason {
    RENEWAL_BY_SCHEDULE, /* no window is known: the certificate's own dates */
    RENEWAL_BY_WINDOW,
    RENEWAL_BY_FLOOR, /* the window is later than we are willing to wait (ACME-101) */
};

const char *renewal_reason_text(enum renewal_reason reason);

struct renewal_plan {
    int64_t renew_at_ms;
    int64_t floor_ms; /* nothing of ours (ledger, pacing) may hold the renewal beyond it */
    enum renewal_reason reason;
};

/* schedule_ms: what renewal_due_s gave, chosen once. An instant that has passed means now (ACME-93), but a certificate
 * that the CA wants back is never younger than one fiftieth of its lifetime, six hours at most, when it is replaced. A caller
 * whose CA has windows that are always past (renewal_window_is_past) passes none. */
struct renewal_plan renewal_plan(const struct renewal_cert *cert, const struct renewal_window *window,
                                 int64_t schedule_ms);

/* How long to wait after so many failures in a row of asking for the window: 1 min, doubled up to six hours (ACME-95,
 * ACME-97), less or more by a tenth. */
int64_t renewal_ask_failed_ms(uint32_t num_failures, uint32_t random);

#endif
