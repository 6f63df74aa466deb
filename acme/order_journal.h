/* order_journal: what is durably written of an order while it runs, so that whoever comes next resumes it instead of
 * ordering again (HARDENING A7). Internal; each call goes on by itself (order_go_on) or ends the order (order_fail_...).
 *
 * Written twice: as an intent with the CSR key before the CA hears of anything, which also proves the right to write, and
 * with the order's URL before any challenge. Removed by the keeper in the commit that stores the certificate, or here
 * when the order can never succeed. */
#ifndef ACME_ORDER_JOURNAL_H
#define ACME_ORDER_JOURNAL_H

#include "acme/store.h"
#include "base/err.h"

struct acme_order;

/* Reads what an earlier process wrote, takes it up where it is this order, and writes the intent. */
void order_journal_open(struct acme_order *order);
/* A fresh key, made elsewhere where the world does that, and nothing known to the CA; then the intent is written under that
 * condition. */
void order_journal_begin_anew(struct acme_order *order, enum store_condition condition, uint64_t version);
/* The order's URL is known. */
void order_journal_note(struct acme_order *order);
/* Removes it, then finishes the order, whatever the outcome. */
void order_journal_close(struct acme_order *order);

#endif
