#include "certs/keeper_internal.h"

static const struct {
    const char *token, *words;
} keeper_whys[] = {
    [KEEPER_WHY_NONE] = {"", ""},
    [KEEPER_WHY_FIRST] = {"first", "first certificate"},
    [KEEPER_WHY_WINDOW] = {"window", "the CA's window"},
    [KEEPER_WHY_FLOOR] = {"floor", "by age, the CA's window being too late"},
    [KEEPER_WHY_AGE] = {"age", "by age"},
    [KEEPER_WHY_CONFIGURATION] = {"configuration", "another configuration"},
    [KEEPER_WHY_ASKED] = {"asked", "asked for"},
    [KEEPER_WHY_RETRY] = {"retry", "retry after a failure"},
    [KEEPER_WHY_RETRY_AFTER] = {"retry-after", "the CA asked to wait"},
    [KEEPER_WHY_LIMIT] = {"limit", "limit of the CA"},
    [KEEPER_WHY_QUARANTINE] = {"quarantine", "what was issued does not work here"},
    [KEEPER_WHY_PREFLIGHT] = {"preflight", "a check from here comes first"},
    [KEEPER_WHY_PERMISSION] = {"permission", "ON_DEMAND_ASK is asked first"},
    [KEEPER_WHY_HELD] = {"held", "held until it is renewed by command"},
};

const char *keeper_why_token(enum keeper_why why)
{
    return keeper_whys[why].token;
}

const char *keeper_why_words(enum keeper_why why)
{
    return keeper_whys[why].words;
}

static bool has_failed(const struct keeper_name *name)
{
    return name && (name->state.backoff.num_failures || name->state.fallback.num_failures);
}

static bool ca_waits_until(const struct keeper_name *name, int64_t at_ms)
{
    return name && (name->state.backoff.ca_next_ms == at_ms || name->state.fallback.ca_next_ms == at_ms);
}

static bool is_renewal(const struct keeper_name *name)
{
    return !name->wants_new && name_has_issued(name) && name_suits_config(name) && keeper_renewal_is_chosen(name);
}

/* What an order would be for. */
static enum keeper_why why_wanted(const struct keeper_name *name)
{
    if (name->wants_new)
        return KEEPER_WHY_ASKED;
    if (!name_has_issued(name))
        return KEEPER_WHY_FIRST;
    if (!is_renewal(name))
        return KEEPER_WHY_CONFIGURATION;
    switch (keeper_renewal_plan(name).reason) {
    case RENEWAL_BY_WINDOW: return KEEPER_WHY_WINDOW;
    case RENEWAL_BY_FLOOR: return KEEPER_WHY_FLOOR;
    case RENEWAL_BY_SCHEDULE: break;
    }
    return KEEPER_WHY_AGE;
}

/* Of all that an order waits for, what ends last is what it waits for. */
enum keeper_why keeper_why_next(const struct keeper_name *name)
{
    int64_t at_ms = name->next_attempt_ms;
    if (name->kind != NAME_ACME || name->order)
        return KEEPER_WHY_NONE;
    if (name->state.held && !name->wants_new)
        return KEEPER_WHY_HELD;
    if (name->on_demand && (at_ms ? name->ask_at_ms == at_ms : name->reviewing))
        return KEEPER_WHY_PERMISSION;
    if (!at_ms)
        return name->preflight.run.job ? KEEPER_WHY_PREFLIGHT : KEEPER_WHY_NONE;
    if (is_renewal(name) && keeper_renewal_plan(name).renew_at_ms == at_ms)
        return why_wanted(name);
    if (name->quarantine.record.len && name->quarantine.until_ms == at_ms)
        return KEEPER_WHY_QUARANTINE;
    if (name->preflight.bad && name->preflight.hold_ms == at_ms)
        return KEEPER_WHY_PREFLIGHT;
    if (name->paced_by != LEDGER_UNKNOWN)
        return KEEPER_WHY_LIMIT;
    if (ca_waits_until(name, at_ms) || ca_waits_until(name->other, at_ms))
        return KEEPER_WHY_RETRY_AFTER;
    return has_failed(name) || has_failed(name->other) ? KEEPER_WHY_RETRY : why_wanted(name);
}
