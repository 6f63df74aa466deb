#include "certs/keeper_internal.h"

void name_ask(struct keeper_name *name, bool force)
{
    if (name->asked != NAME_FORCED)
        name->asked = force ? NAME_FORCED : NAME_ASKED;
    if (name->state.held) {
        name->state.held = false;
        keeper_state_dirty(name);
    }
    name->next_attempt_ms = 0; /* that of before is not waited for */
    keeper_look_soon(name);
}

static void name_hold(struct keeper_name *name)
{
    keeper_order_cancel(name);
    name->asked = NAME_NOT_ASKED;
    name->state.held = true;
    keeper_state_dirty(name);
    keeper_look_soon(name);
}

bool keeper_hold(struct keeper *keeper, struct slice text)
{
    struct keeper_name *name = map_get(&keeper->by_name, text);
    if (!name || name->second || name->kind != NAME_ACME)
        return false;
    name_hold(name);
    if (name->other)
        name_hold(name->other);
    keeper_state_flush(keeper);
    return true;
}
