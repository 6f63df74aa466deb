/* order_rows: the rows of the table of steps, and the verdicts they give. Internal to order_steps and its parts. Pure. */
#ifndef ACME_ORDER_ROWS_H
#define ACME_ORDER_ROWS_H

#include "acme/order_steps.h"

extern const struct order_step_row order_row_authz, order_row_challenge, order_row_validate; /* order_authz_steps.c */
extern const struct order_step_row order_row_download, order_row_alternate;                  /* order_chain_steps.c */

struct order_verdict order_go(enum order_step next);
/* At the CA's pace, if it has one (ACME-51). */
struct order_verdict order_wait(enum order_step next, const struct order_answer *answer);
struct order_verdict order_dead(struct problem problem);
struct order_verdict order_dead_of(const struct order_answer *answer, enum problem_class class, const char *detail);
struct order_verdict order_trouble(enum order_step next, struct problem problem);
/* A document that we refuse: the CA's bug, or a proxy's in between. */
struct order_verdict order_nonsense(const struct order_answer *answer, enum order_step next, struct err err);

void order_forget_challenge(struct order_progress *progress);
void order_forget_chains(struct order_progress *progress);

#endif
