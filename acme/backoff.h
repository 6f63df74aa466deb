/* backoff: when a name may be tried again after a failure. Kept per name and persisted, so that a restart neither
 * forgets a limit of the CA nor starts the steps again. Pure: it is handed the time and a random number. Any thread.
 *
 * wait = max(own step, Retry-After). The own step is 1, 10, 100 minutes, then a day (±10 %), never more than a tenth of
 * the time left on the certificate in service nor, once that has expired and the CA was only away, than an hour; never under a minute, never under 12 minutes after a VALIDATION failure
 * (five an hour, ACME-107); PERMANENT starts at a day. Retry-After is capped at 24 hours, 7 days for rateLimited. */
#ifndef ACME_BACKOFF_H
#define ACME_BACKOFF_H

#include "acme/problem.h"

struct json;
struct json_writer;

struct backoff {
    uint32_t num_failures;   /* in a row */
    int64_t failed_ms;       /* wall clock of the last one; 0: none */
    int64_t next_ms;         /* wall clock; our own step ends; 0: now */
    int64_t ca_next_ms;      /* wall clock; the CA's Retry-After ends; 0: it set none */
    bool retry_after_capped; /* the last one was longer than we are willing to obey: worth a log line */
};

/* served_until_ms: notAfter of the certificate in service, 0 where there is none. random: any 32 bits. */
void backoff_failed(struct backoff *backoff, const struct problem *problem, int64_t now_ms, int64_t served_until_ms,
                    uint32_t random);
void backoff_succeeded(struct backoff *backoff);
/* What had failed validations seems mended: our own step ends, no sooner than 12 minutes behind the failure (ACME-107). */
void backoff_mended(struct backoff *backoff);

/* Wall clock of the next attempt; at or before now_ms where it may run. Where the last failure lies in the future, the
 * clock has been set back: the waits then count from now on (and *backoff is corrected). ignore_own: somebody asked
 * for it now; the CA's Retry-After still holds. */
int64_t backoff_next_ms(struct backoff *backoff, int64_t now_ms, bool ignore_own);

/* Members of an object that is open; and back. Absent or impossible members read as zero. */
void backoff_write(const struct backoff *backoff, struct json_writer *w);
struct backoff backoff_read(const struct json *object);

#endif
