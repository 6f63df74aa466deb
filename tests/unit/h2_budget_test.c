#include "front/h2_budget.h"

#include "base/limits.h"
#include "check.h"

/* H4, H6: the budget is spent, and comes anew with the next window. */
static void a_window_has_its_budget(void)
{
    struct h2_budget budget = {.begun_ms = 1000};
    for (int i = 0; i < LIMIT_H2_RESETS; i++)
        CHECK(h2_budget_spend(&budget, H2_EXPENSE_RESET, 1000));
    CHECK(!h2_budget_spend(&budget, H2_EXPENSE_RESET, 1000 + LIMIT_H2_BUDGET_MS - 1));
    CHECK(h2_budget_spend(&budget, H2_EXPENSE_CONTROL, 1000 + LIMIT_H2_BUDGET_MS - 1)); /* each kind has its own */
    CHECK(h2_budget_spend(&budget, H2_EXPENSE_RESET, 1000 + LIMIT_H2_BUDGET_MS));
}

static void work_earns_back_what_it_cost(void)
{
    struct h2_budget budget = {0};
    for (int i = 0; i < 10 * LIMIT_H2_CONTROL_FRAMES; i++) {
        CHECK(h2_budget_spend(&budget, H2_EXPENSE_CONTROL, 0));
        h2_budget_earn(&budget, H2_EXPENSE_CONTROL);
    }
    h2_budget_earn(&budget, H2_EXPENSE_CONTROL); /* never more than was spent */
    for (int i = 0; i < LIMIT_H2_CONTROL_FRAMES; i++)
        CHECK(h2_budget_spend(&budget, H2_EXPENSE_CONTROL, 0));
    CHECK(!h2_budget_spend(&budget, H2_EXPENSE_CONTROL, 0));
}

int main(void)
{
    RUN(a_window_has_its_budget);
    RUN(work_earns_back_what_it_cost);
    return checks_done();
}
