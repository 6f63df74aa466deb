#include "acme/chain.h"
#include "certs/keeper_internal.h"

#include <openssl/pool.h>

static struct ari_slot *slot_of(struct acme_ari_query *query)
{
    return container_of(query, struct ari_slot, query);
}

static bool slot_is_busy(const struct ari_slot *slot)
{
    return slot->query.call.acme != NULL;
}

bool keeper_ari_id(const struct cert *cert, struct buf *out)
{
    const CRYPTO_BUFFER *leaf = cert->chain[0];
    return !err_is(chain_ari_id(slice_make(CRYPTO_BUFFER_data(leaf), CRYPTO_BUFFER_len(leaf)), out));
}

/* ---- the answer ---- */

static void name_log_window(const struct keeper_name *name)
{
    char start[CLOCK_TEXT_BYTES], end[CLOCK_TEXT_BYTES], renew_at[CLOCK_TEXT_BYTES];
    const struct renewal_window *window = &name->state.window;
    struct renewal_plan plan = keeper_renewal_plan(name);
    LOG_INFO_EVENT(
        name->keeper->world.log, "renewal_window", LOG_SLICE("name", name->text), LOG_STR("serial", name->cert->serial),
        LOG_STR("start", clock_rfc3339(window->start_ms, start)), LOG_STR("end", clock_rfc3339(window->end_ms, end)),
        LOG_STR("renew_at", clock_rfc3339(plan.renew_at_ms, renew_at)), LOG_STR("by", renewal_reason_text(plan.reason)),
        LOG_SLICE("explanation", buf_slice(&name->state.explanation)));
}

/* Once for a certificate: the window may move with each answer, and be past all the same. */
static void name_say_ignored(const struct keeper_name *name, bool before)
{
    if (before || !keeper_renewal_ignores_window(name))
        return;
    LOG_WARN_EVENT(name->keeper->world.log, "renewal_window_ignored", LOG_SLICE("name", name->text),
                   LOG_STR("serial", name->cert->serial),
                   LOG_STR("msg",
                           "the CA wants this certificate replaced as soon as it is issued, as the one before it "
                           "was: it is renewed by its age instead"));
}

static void name_take_window(struct keeper_name *name, const struct ari_window *window)
{
    struct name_state *state = &name->state;
    bool ignored = keeper_renewal_ignores_window(name);
    bool news = renewal_take_window(&state->window, window->start_ms, window->end_ms, keeper_random64());
    news = news || !slice_eq(buf_slice(&state->explanation), window->explanation_url);
    name_state_keep(&state->explanation, window->explanation_url);
    if (news)
        name_log_window(name);
    name_say_ignored(name, ignored);
}

/* What was known stays: a CA that is away for a while has not changed its mind. */
static int64_t name_ask_failed_ms(struct keeper_name *name, const struct problem *problem)
{
    struct name_state *state = &name->state;
    int64_t wait_ms = renewal_ask_failed_ms((uint32_t)++state->num_ask_failures, keeper_random());
    int64_t ca_ms = problem->retry_after_ms < ARI_ASK_MAX_MS ? problem->retry_after_ms : ARI_ASK_MAX_MS;
    bool worth_a_word = state->num_ask_failures == KEEPER_ARI_FAILURES;
    wait_ms = ca_ms > wait_ms ? ca_ms : wait_ms;
    LOG(name->keeper->world.log, worth_a_word ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG, "renewal_window_unknown",
        LOG_SLICE("name", name->text), LOG_SLICE("detail", problem->detail), LOG_INT("status", problem->status),
        LOG_INT("failures", state->num_ask_failures), LOG_INT("next_s", wait_ms / 1000),
        LOG_STR("msg", "the CA does not say when it wants the certificate renewed; it is renewed by what is known"));
    return wait_ms;
}

static void keeper_ari_go_on(struct keeper *keeper)
{
    struct list *node = list_first(&keeper->ari_waiting);
    if (!node)
        return;
    list_remove(node);
    keeper_look_soon(container_of(node, struct keeper_name, ari_waiting));
}

static void name_ari_answered(struct acme_ari_query *query, const struct acme_ari_answer *answer)
{
    struct keeper_name *name = slot_of(query)->name;
    struct name_state *state = &name->state;
    int64_t wait_ms = answer->retry_after_ms;
    switch (answer->kind) {
    case ARI_NONE:
        state->window = (struct renewal_window){0};
        state->explanation.len = 0;
        state->num_ask_failures = 0;
        break;
    case ARI_WINDOW:
        name_take_window(name, &answer->window);
        state->num_ask_failures = 0;
        break;
    case ARI_FAILED: wait_ms = name_ask_failed_ms(name, answer->problem); break;
    }
    state->ask_at_ms = keeper_wall_ms(name->keeper) + wait_ms;
    keeper_state_dirty(name);
    keeper_look_soon(name);
    keeper_ari_go_on(name->keeper);
}

/* ---- the question ---- */

static struct ari_slot *keeper_free_slot(struct keeper *keeper)
{
    for (size_t i = 0; i < KEEPER_ARI_RUNNING; i++)
        if (!slot_is_busy(&keeper->ari[i]))
            return &keeper->ari[i];
    return NULL;
}

static bool name_is_being_asked(const struct keeper_name *name)
{
    for (size_t i = 0; i < KEEPER_ARI_RUNNING; i++)
        if (slot_is_busy(&name->keeper->ari[i]) && name->keeper->ari[i].name == name)
            return true;
    return false;
}

static void name_ask(struct keeper_name *name, struct acme *acme, int64_t now_ms)
{
    struct ari_slot *slot = keeper_free_slot(name->keeper);
    struct buf id = {0};
    if (!slot) {
        if (list_empty(&name->ari_waiting))
            list_append(&name->keeper->ari_waiting, &name->ari_waiting);
        return;
    }
    list_remove(&name->ari_waiting);
    if (keeper_ari_id(name->cert, &id)) {
        slot->name = name;
        acme_ari_ask(acme, &slot->query, buf_slice(&id), name_ari_answered);
    } else { /* nothing that a CA could answer for */
        name->state.ask_at_ms = now_ms + ARI_ASK_MAX_MS;
    }
    buf_cleanup(&id);
}

static int64_t name_ari_look(struct keeper_name *name, int64_t now_ms)
{
    struct keeper *keeper = name->keeper;
    const struct name_state *state = &name->state;
    if (!keeper->writer || keeper->stopped || keeper->stage != STAGE_IDLE || !name_has_issued(name) ||
        now_ms >= name->cert->not_after_s * 1000 || name->order || name->save.record.len)
        return INT64_MAX; /* ACME-96; what is in the way looks again when it ends */
    struct keeper_issuer *issuer = keeper_issuer_of(keeper, buf_slice(&name->directory_url));
    if (!issuer || !keeper_renewal_is_chosen(name) || name_is_being_asked(name))
        return INT64_MAX;
    bool sane = state->ask_at_ms <= now_ms + 2 * (int64_t)ARI_ASK_MAX_MS; /* or the clock has been set back */
    if (state->ask_at_ms > now_ms && sane)
        return state->ask_at_ms;
    name_ask(name, issuer->acme, now_ms);
    return state->ask_at_ms > now_ms && sane ? state->ask_at_ms : INT64_MAX;
}

/* Whoever was woken for a slot and had no use for it lets the next one have it. */
int64_t keeper_ari_look(struct keeper_name *name, int64_t now_ms)
{
    int64_t next_ms = name_ari_look(name, now_ms);
    if (!list_empty(&name->keeper->ari_waiting) && keeper_free_slot(name->keeper))
        keeper_ari_go_on(name->keeper);
    return next_ms;
}

void keeper_ari_cancel(struct keeper_name *name)
{
    list_remove(&name->ari_waiting);
    for (size_t i = 0; i < KEEPER_ARI_RUNNING; i++) {
        struct ari_slot *slot = &name->keeper->ari[i];
        if (!slot_is_busy(slot) || slot->name != name)
            continue;
        acme_ari_cancel(&slot->query);
        keeper_ari_go_on(name->keeper);
    }
}

void keeper_ari_cancel_all(struct keeper *keeper)
{
    for (size_t i = 0; i < KEEPER_ARI_RUNNING; i++)
        acme_ari_cancel(&keeper->ari[i].query);
    for (struct list *node; (node = list_first(&keeper->ari_waiting));)
        list_remove(node);
}
