#include "certs/keeper_internal.h"

static void name_ask(struct keeper_name *name, bool force)
{
    name->wants_new = true;
    if (name->asked != NAME_FORCED)
        name->asked = force ? NAME_FORCED : NAME_ASKED;
    if (name->state.held) {
        name->state.held = false;
        keeper_state_dirty(name);
    }
    keeper_look_soon(name);
}

enum keeper_renewal keeper_renew(struct keeper *keeper, struct slice text, bool force, int64_t *out_at_ms)
{
    struct keeper_name *name = map_get(&keeper->by_name, text);
    int64_t now_ms = keeper_wall_ms(keeper);
    if (!name || name->second)
        return KEEPER_RENEWS_NO_NAME;
    if (name->kind != NAME_ACME)
        return KEEPER_RENEWS_NOT_OURS;
    if (!keeper->writer || keeper->stopped || !keeper_has_engines(keeper))
        return KEEPER_RENEWS_STANDBY;
    name_ask(name, force);
    if (name->other)
        name_ask(name->other, force);
    if (out_at_ms)
        *out_at_ms = keeper_order_at_ms(name, now_ms);
    return KEEPER_RENEWS;
}

static void name_hold(struct keeper_name *name)
{
    keeper_order_cancel(name);
    name->wants_new = false;
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
