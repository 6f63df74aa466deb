#include "front/h2_budget.h"

#include "base/limits.h"

static const uint32_t budgets[NUM_H2_EXPENSES] = {
    [H2_EXPENSE_RESET] = LIMIT_H2_RESETS,
    [H2_EXPENSE_CONTROL] = LIMIT_H2_CONTROL_FRAMES,
    [H2_EXPENSE_IDLE] = LIMIT_H2_IDLE_FRAMES,
};

bool h2_budget_spend(struct h2_budget *budget, enum h2_expense expense, uint64_t now_ms)
{
    if (now_ms - budget->begun_ms >= LIMIT_H2_BUDGET_MS)
        *budget = (struct h2_budget){.begun_ms = now_ms};
    return ++budget->spent[expense] <= budgets[expense];
}

void h2_budget_earn(struct h2_budget *budget, enum h2_expense expense)
{
    if (budget->spent[expense])
        budget->spent[expense]--;
}
