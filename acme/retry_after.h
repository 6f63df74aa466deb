/* retry_after: how long a CA asks us to wait (RFC 8555 §6.6, RFC 9110 §10.2.3). Pure. Any thread. */
#ifndef ACME_RETRY_AFTER_H
#define ACME_RETRY_AFTER_H

#include "base/slice.h"

/* Milliseconds from the answer on, 0 where the field is absent, nonsense or past; at most 30 days. A date is measured
 * against the answer's own Date where it has one, so that a wrong local clock does not count; else against now_s. */
int64_t retry_after_ms(struct slice retry_after, struct slice date, int64_t now_s);

#endif
