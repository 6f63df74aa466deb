#include "acme/authz.h"
#include "acme/jwk.h"
#include "acme/order_rows.h"
#include "base/json_read.h"
#include "base/limits.h"
#include "base/url.h"

/* --- AUTHZ and VALIDATE: the same document, before and after the challenge is posted --- */

static struct err send_authz(const struct order_progress *progress, struct order_ask *ask)
{
    ask->url = progress->document.authz_urls[progress->at_authz];
    return ERR_OK;
}

void order_forget_challenge(struct order_progress *progress)
{
    arena_cleanup(&progress->challenge_arena);
    progress->challenge_url = progress->challenge_name = SLICE_NONE;
    progress->token = progress->key_authorization = progress->dns_value = SLICE_NONE;
    progress->issuer_names = NULL;
    progress->num_issuer_names = 0;
    progress->account = (struct challenge_account){0};
    progress->challenge_unsure = false;
}

static void order_take_token(struct order_progress *progress, struct slice token)
{
    struct arena *arena = &progress->challenge_arena;
    struct buf text = {0};
    progress->token = arena_copy(arena, token);
    jwk_key_authorization(token, progress->thumbprint, &text);
    progress->key_authorization = arena_copy(arena, buf_slice(&text));
    if (progress->challenge == ACME_DNS_01) {
        text.len = 0;
        challenge_write_dns_value(progress->key_authorization, &text);
        progress->dns_value = arena_copy(arena, buf_slice(&text));
    }
    buf_cleanup(&text);
}

/* Copies: the directory may be read anew, and the key change, while the record is looked for. */
static void order_take_issuers(struct order_progress *progress, const struct challenge *challenge)
{
    struct arena *arena = &progress->challenge_arena;
    progress->num_issuer_names = challenge_read_issuers(challenge, arena, &progress->issuer_names);
    progress->account = (struct challenge_account){
        .thumbprint = arena_copy(arena, progress->thumbprint),
        .hash_prefix = arena_copy(arena, progress->directory->account_hash_prefix),
    };
}

/* name: as it was ordered. */
static void order_take_challenge(struct order_progress *progress, struct slice name, const struct challenge *challenge)
{
    struct arena *arena = &progress->challenge_arena;
    order_forget_challenge(progress);
    progress->challenge = challenge->kind;
    progress->challenge_taken = true;
    progress->challenge_url = arena_copy(arena, challenge->url);
    progress->challenge_name = name;
    progress->token = progress->key_authorization = progress->dns_value = SLICE_LIT("");
    if (challenge->kind == ACME_DNS_PERSIST_01)
        order_take_issuers(progress, challenge);
    else
        order_take_token(progress, challenge->token);
}

static struct order_verdict order_next_authz(struct order_progress *progress, const struct order_answer *answer)
{
    if (++progress->at_authz < progress->document.num_authzs)
        return order_go(ORDER_STEP_AUTHZ);
    if (progress->doomed)
        return order_dead(problem_copy(answer->arena, &progress->document.error));
    /* It should be ready now; where the CA is slow to see that, orderNotReady sends us to READ. */
    return order_go(progress->document.finalize_url.ptr ? ORDER_STEP_FINALIZE : ORDER_STEP_READ);
}

static struct order_verdict order_authz_failed(struct order_progress *progress, const struct authz *authz,
                                               const struct order_answer *answer)
{
    struct order_verdict verdict = {.kind = ORDER_DEAD};
    if (!progress->doomed)
        progress->at_authz++; /* decided, unlike those behind it (ACME-64) */
    verdict.problem = authz_problem(answer->arena, authz, &verdict.challenge_type);
    if (verdict.problem.class ==
        PROBLEM_TRANSIENT) /* whatever the words: a validation failed, and it counts (ACME-107) */
        verdict.problem.class = PROBLEM_VALIDATION;
    return verdict;
}

static struct order_verdict order_no_challenge(const struct order_progress *progress, const struct authz *authz,
                                               struct slice name, const struct order_answer *answer)
{
    struct buf text = {0};
    buf_printf(&text, "the CA offers no challenge for %.*s that can be answered here; it offers ", (int)name.len,
               name.ptr);
    authz_write_offered(authz, &text);
    buf_append_str(&text, "; allowed here: ");
    for (size_t i = 0; i < progress->num_challenges; i++)
        buf_printf(&text, "%s%s", i ? ", " : "", acme_challenge_name(progress->challenges[i]));
    if (slice_starts(name, SLICE_LIT("*.")))
        buf_append_str(&text, "; a wildcard needs dns-01 or dns-persist-01");
    else if (name_is_ip(name)) /* ACME-84 */
        buf_append_str(&text, "; an address needs http-01 or tls-alpn-01");
    struct problem problem =
        problem_local(answer->arena, PROBLEM_PERMANENT, err_make(ERR_STATE, 0, "order"), buf_slice(&text));
    buf_cleanup(&text);
    return order_dead(problem);
}

static struct order_verdict order_choose_challenge(struct order_progress *progress, const struct authz *authz,
                                                   struct slice name, const struct order_answer *answer)
{
    if (progress->doomed)
        return order_next_authz(progress, answer);
    const struct challenge *challenge = authz_choose(authz, name, progress->challenges, progress->num_challenges);
    if (!challenge)
        return order_no_challenge(progress, authz, name, answer);
    order_take_challenge(progress, name, challenge);
    return (struct order_verdict){.kind = ORDER_PUBLISH, .next = ORDER_STEP_CHALLENGE}; /* ACME-48 */
}

static struct order_verdict order_poll_authz(struct order_progress *progress, const struct order_answer *answer)
{
    if (progress->challenge_unsure) { /* the answer to our POST was lost, and perhaps the POST */
        progress->challenge_unsure = false;
        return order_go(ORDER_STEP_CHALLENGE);
    }
    return order_wait(ORDER_STEP_VALIDATE, answer);
}

static struct err order_read_authz(const struct order_progress *progress, struct arena *arena,
                                   const struct order_answer *answer, struct authz *out_authz, struct slice *out_name)
{
    struct json *json = NULL;
    struct err err = json_parse(arena, answer->reply->body, LIMIT_JSON_BYTES, &json);
    if (err_is(err))
        return err_make(ERR_INPUT, err.code, "authorization that is not JSON");
    err = authz_read(arena, json, out_authz);
    for (size_t i = 0; !err_is(err) && i < progress->num_names; i++)
        if (name_same(progress->names[i], out_authz->name)) { /* ACME-45 */
            *out_name = progress->names[i];
            return ERR_OK;
        }
    return err_is(err) ? err : err_make(ERR_INPUT, 0, "authorization for a name that was not ordered");
}

static struct order_verdict order_judge_authz(struct order_progress *progress, const struct authz *authz,
                                              struct slice name, const struct order_answer *answer, bool posted)
{
    switch (authz->status) {
    case AUTHZ_PENDING:
        return posted ? order_poll_authz(progress, answer) : order_choose_challenge(progress, authz, name, answer);
    case AUTHZ_VALID: return order_next_authz(progress, answer);
    case AUTHZ_INVALID: return order_authz_failed(progress, authz, answer);
    case AUTHZ_UNKNOWN:
    case AUTHZ_DEACTIVATED:
    case AUTHZ_EXPIRED:
    case AUTHZ_REVOKED: break;
    }
    return order_dead_of(answer, PROBLEM_TRANSIENT, "an authorization of the order is expired, revoked or deactivated");
}

static struct order_verdict order_recv_authz(struct order_progress *progress, const struct order_answer *answer,
                                             bool posted)
{
    struct arena scratch = {0};
    struct authz authz;
    struct slice name;
    struct err err = order_read_authz(progress, &scratch, answer, &authz, &name);
    struct order_verdict verdict = err_is(err)
                                       ? order_nonsense(answer, posted ? ORDER_STEP_VALIDATE : ORDER_STEP_AUTHZ, err)
                                       : order_judge_authz(progress, &authz, name, answer, posted);
    arena_cleanup(&scratch);
    return verdict;
}

static struct order_verdict recv_authz(struct order_progress *progress, const struct order_answer *answer)
{
    return order_recv_authz(progress, answer, false);
}

static struct order_verdict recv_validate(struct order_progress *progress, const struct order_answer *answer)
{
    return order_recv_authz(progress, answer, true);
}

/* --- CHALLENGE --- */

static struct err send_challenge(const struct order_progress *progress, struct order_ask *ask)
{
    ask->url = progress->challenge_url;
    buf_append_str(&ask->payload, "{}"); /* ACME-49: an object, unlike POST-as-GET */
    return ERR_OK;
}

static struct order_verdict recv_challenge(struct order_progress *progress, const struct order_answer *answer)
{
    progress->challenge_unsure = false;
    return order_wait(ORDER_STEP_VALIDATE, answer);
}

/* No answer: perhaps it was posted. `malformed`: it is no longer pending. Both are told by the authorization. */
static bool refused_challenge(struct order_progress *progress, const struct order_answer *answer,
                              const struct problem *problem, struct order_verdict *out_verdict)
{
    (void)answer;
    progress->challenge_unsure = problem->class == PROBLEM_TRANSIENT || problem->class == PROBLEM_LATER;
    if (!problem_is(problem, "malformed"))
        return false;
    *out_verdict = order_go(ORDER_STEP_VALIDATE);
    return true;
}

const struct order_step_row order_row_authz = {"read-authz", PROBLEM_AT_ORDER, ORDER_STEP_AUTHZ,
                                               send_authz,   recv_authz,       NULL};
const struct order_step_row order_row_challenge = {"challenge",    PROBLEM_AT_VALIDATION, ORDER_STEP_VALIDATE,
                                                   send_challenge, recv_challenge,        refused_challenge};
const struct order_step_row order_row_validate = {"validate", PROBLEM_AT_ORDER, ORDER_STEP_VALIDATE,
                                                  send_authz, recv_validate,    NULL};
