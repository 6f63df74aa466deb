/* h2_budget: how many cheap frames of each kind a client may send in LIMIT_H2_BUDGET_MS (HARDENING H4, H6).
 *
 * Frames that make us work and move nothing are what floods are made of. Some are the by-product of honest traffic
 * (a PING per flight of data to measure the path), so work done earns back what it cost. Pure; embedded by h2_front. */
#ifndef FRONT_H2_BUDGET_H
#define FRONT_H2_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

enum h2_expense {
    H2_EXPENSE_RESET,   /* a stream that ended by RST_STREAM: the client's, or ours that the client provoked */
    H2_EXPENSE_CONTROL, /* SETTINGS, PING */
    H2_EXPENSE_IDLE,    /* empty DATA, PRIORITY, frames of unknown types */
    NUM_H2_EXPENSES
};

struct h2_budget {
    uint64_t begun_ms; /* of this window */
    uint32_t spent[NUM_H2_EXPENSES];
};

/* False: overspent in this window. */
bool h2_budget_spend(struct h2_budget *budget, enum h2_expense expense, uint64_t now_ms);
/* Takes one back, where any was spent. */
void h2_budget_earn(struct h2_budget *budget, enum h2_expense expense);

#endif
