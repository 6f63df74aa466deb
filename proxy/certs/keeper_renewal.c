#include "acme/renewal.h"

#include "certs/keeper_internal.h"

bool name_has_issued(const struct keeper_name *name)
{
    return name->cert && name->cert->source == CERT_ISSUED;
}

static bool name_state_is_of(const struct keeper_name *name, const struct cert *cert)
{
    return slice_eq(buf_slice(&name->state.serial), slice_str(cert->serial));
}

/* Where that instant has passed when it is chosen (a clock that is ahead, a CA that dates
 * back), half of what is left is waited for: never a storm of orders. */
void keeper_renewal_choose(struct keeper_name *name, const struct cert *cert, int64_t now_ms)
{
    struct name_state *state = &name->state;
    unsigned permille = name->keeper->config->acme.renew_at_permille;
    int64_t until_ms = cert->not_after_s * 1000;
    int64_t due_ms = renewal_due_s(cert->not_before_s, cert->not_after_s, permille, keeper_random()) * 1000;
    if (due_ms <= now_ms && now_ms < until_ms)
        due_ms = now_ms + (until_ms - now_ms) / 2;
    if (!name_state_is_of(name, cert)) { /* what the CA said of another certificate */
        keeper_ari_cancel(name);
        name_state_forget_window(state);
    }
    state->renew_at_ms = due_ms > 0 ? due_ms : 1;
    state->renew_permille = permille;
    name_state_keep(&state->serial, slice_str(cert->serial));
}

bool keeper_renewal_is_chosen(const struct keeper_name *name)
{
    const struct name_state *state = &name->state;
    return state->renew_at_ms && state->renew_permille == name->keeper->config->acme.renew_at_permille &&
           name_state_is_of(name, name->cert);
}

static struct renewal_cert name_renewal_cert(const struct keeper_name *name)
{
    return (struct renewal_cert){name->cert->not_before_s * 1000, name->cert->not_after_s * 1000};
}

static bool name_window_is_past(const struct keeper_name *name)
{
    struct renewal_cert cert = name_renewal_cert(name);
    return renewal_window_is_past(&cert, &name->state.window);
}

/* A CA whose limits are known is not asked without end: the ledger sees to it. */
bool keeper_renewal_ignores_window(const struct keeper_name *name)
{
    const struct keeper_issuer *issuer = keeper_issuer_of(name->keeper, buf_slice(&name->directory_url));
    bool paced = issuer && issuer->ledger.numbers;
    return name->state.after_past && !paced && name_window_is_past(name);
}

struct renewal_plan keeper_renewal_plan(const struct keeper_name *name)
{
    static const struct renewal_window none;
    struct renewal_cert cert = name_renewal_cert(name);
    const struct renewal_window *window = keeper_renewal_ignores_window(name) ? &none : &name->state.window;
    return renewal_plan(&cert, window, name->state.renew_at_ms);
}

int64_t keeper_renewal_wanted_ms(struct keeper_name *name, int64_t now_ms)
{
    if (!name_has_issued(name) || !name_suits_config(name) || keeper_cert_is_banned(name->keeper, name->cert))
        return 0;
    if (now_ms >= name->cert->not_after_s * 1000)
        return 0;
    if (!keeper_renewal_is_chosen(name)) {
        keeper_renewal_choose(name, name->cert, now_ms);
        keeper_state_dirty(name);
    }
    return keeper_renewal_plan(name).renew_at_ms;
}

const char *keeper_renewal_note_order(struct keeper_name *name, bool predecessor, int64_t now_ms)
{
    struct name_state *state = &name->state;
    bool known = predecessor && state->window.end_ms && name_state_is_of(name, name->cert);
    state->window_met = !known                                      ? NAME_WINDOW_NONE
                        : renewal_in_window(&state->window, now_ms) ? NAME_WINDOW_MET
                                                                    : NAME_WINDOW_MISSED;
    state->after_past = known && name_window_is_past(name);
    return name_window_text(state->window_met);
}
