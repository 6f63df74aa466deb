/* renewal: when a certificate is due to be replaced where the CA says nothing (no ARI). From the certificate's own
 * dates, never from a configured lifetime (ACME-114, ACME-115). Pure. Any thread. */
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

#endif
