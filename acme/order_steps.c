#include "acme/order_steps.h"

#include "acme/authz.h"
#include "acme/csr.h"
#include "acme/jwk.h"
#include "acme/request.h"
#include "acme/retry_after.h"
#include "base/b64url.h"
#include "base/json_read.h"
#include "base/json_write.h"
#include "base/limits.h"

/* A chain that we refuse is downloaded again at each attempt, and a second certificate is ordered only when the CA has
 * refilled one of five per week (ACME-106): a wrong clock must not burn them. */
enum { ORDER_REFUSED_CHAIN_HOLD_S = 34 * 3600 };

static void order_forget_challenge(struct order_progress *progress)
{
    arena_cleanup(&progress->challenge_arena);
    progress->challenge_type = progress->challenge_url = progress->challenge_name = SLICE_NONE;
    progress->token = progress->key_authorization = SLICE_NONE;
    progress->challenge_unsure = false;
}

void order_progress_reset(struct order_progress *progress)
{
    order_forget_challenge(progress);
    order_document_cleanup(&progress->document);
    chain_cleanup(&progress->chain);
    progress->url.len = 0;
    progress->resumed = progress->doomed = progress->with_cn = false;
    progress->at_authz = 0;
}

void order_progress_cleanup(struct order_progress *progress)
{
    order_progress_reset(progress);
    buf_cleanup(&progress->url);
}

/* --- verdicts --- */

static struct order_verdict order_go(enum order_step next)
{
    return (struct order_verdict){.kind = ORDER_GO, .next = next};
}

static struct order_verdict order_wait(enum order_step next, const struct order_answer *answer)
{
    const struct acme_reply *reply = answer->reply;
    return (struct order_verdict){.kind = ORDER_WAIT,
                                  .next = next,
                                  .wait_ms =
                                      retry_after_ms(reply->retry_after, reply->date, answer->now_s)}; /* ACME-51 */
}

static struct order_verdict order_dead(struct problem problem)
{
    return (struct order_verdict){.kind = ORDER_DEAD, .problem = problem};
}

static struct order_verdict order_trouble(enum order_step next, struct problem problem)
{
    return (struct order_verdict){.kind = ORDER_TROUBLE, .next = next, .problem = problem};
}

/* A document that we refuse: the CA's bug, or a proxy's in between. */
static struct order_verdict order_nonsense(const struct order_answer *answer, enum order_step next, struct err err)
{
    return order_trouble(next, problem_local(answer->arena, PROBLEM_TRANSIENT, err, slice_str(err.what)));
}

static struct order_verdict order_dead_of(const struct order_answer *answer, enum problem_class class,
                                          const char *detail)
{
    return order_dead(problem_local(answer->arena, class, err_make(ERR_STATE, 0, "order"), slice_str(detail)));
}

/* --- the order's own document --- */

static struct order_verdict order_judge_invalid(struct order_progress *progress, const struct order_answer *answer)
{
    const struct order_document *document = &progress->document;
    if (!document->has_error && document->num_authzs > 0) {
        progress->doomed = true;
        progress->at_authz = 0;
        return order_go(ORDER_STEP_AUTHZ);
    }
    return order_dead(problem_copy(answer->arena, &document->error));
}

static struct order_verdict order_judge(struct order_progress *progress, const struct order_answer *answer)
{
    const struct order_document *document = &progress->document;
    switch (document->status) {
    case ORDER_PENDING:
        progress->at_authz = 0;
        return document->num_authzs ? order_go(ORDER_STEP_AUTHZ) : order_wait(ORDER_STEP_READ, answer); /* ACME-44 */
    case ORDER_READY:
        if (!document->finalize_url.ptr)
            return order_nonsense(answer, ORDER_STEP_READ,
                                  err_make(ERR_INPUT, 0, "ready order without a URL to finalize"));
        return order_go(ORDER_STEP_FINALIZE);                          /* ACME-43 */
    case ORDER_PROCESSING: return order_wait(ORDER_STEP_READ, answer); /* ACME-57 */
    case ORDER_VALID:
        if (!document->certificate_url.ptr)
            return order_nonsense(answer, ORDER_STEP_READ, err_make(ERR_INPUT, 0, "valid order without a certificate"));
        return order_go(ORDER_STEP_DOWNLOAD);
    case ORDER_INVALID: return order_judge_invalid(progress, answer);
    case ORDER_UNKNOWN: break;
    }
    return order_nonsense(answer, ORDER_STEP_READ, err_make(ERR_INPUT, 0, "order without a status that we know"));
}

static struct err order_take_document(struct order_progress *progress, const struct order_answer *answer)
{
    struct order_document document;
    struct err err = order_document_read(answer->reply->body, progress->names, progress->num_names, &document);
    if (err_is(err))
        return err;
    order_document_cleanup(&progress->document);
    progress->document = document;
    return ERR_OK;
}

/* --- NEW --- */

static struct err send_new(const struct order_progress *progress, struct order_ask *ask)
{
    ask->url = progress->new_order_url;
    order_document_write_new(progress->names, progress->num_names, &ask->payload);
    return ERR_OK;
}

static struct order_verdict recv_new(struct order_progress *progress, const struct order_answer *answer)
{
    if (!request_url_is_valid(answer->reply->location)) /* asking again at once would only make more of them */
        return order_dead_of(answer, PROBLEM_TRANSIENT, "the CA gave no URL of the new order");
    struct err err = order_take_document(progress, answer);
    if (err_is(err))
        return order_dead_of(answer, PROBLEM_LOCAL, err.what);
    progress->url.len = 0;
    buf_append_slice(&progress->url, answer->reply->location);
    struct order_verdict verdict = order_judge(progress, answer);
    if (verdict.kind == ORDER_GO)
        verdict.kind = ORDER_JOURNAL;
    else if (verdict.kind == ORDER_WAIT) /* nothing is lost by reading it at once, after writing down where it is */
        verdict = (struct order_verdict){.kind = ORDER_JOURNAL, .next = ORDER_STEP_READ};
    return verdict;
}

/* --- READ --- */

static struct err send_read(const struct order_progress *progress, struct order_ask *ask)
{
    ask->url = buf_slice(&progress->url);
    return ERR_OK;
}

static struct order_verdict recv_read(struct order_progress *progress, const struct order_answer *answer)
{
    struct err err = order_take_document(progress, answer);
    if (err_is(err) && progress->resumed)
        return (struct order_verdict){.kind = ORDER_RESTART};
    if (err_is(err))
        return order_nonsense(answer, ORDER_STEP_READ, err);
    progress->resumed = false;
    return order_judge(progress, answer);
}

/* An order of a journal that the CA has forgotten, or never let us see. */
static bool refused_read(struct order_progress *progress, const struct problem *problem,
                         struct order_verdict *out_verdict)
{
    bool forgotten = problem->status == 404 || problem_is(problem, "malformed") || problem_is(problem, "unauthorized");
    if (!progress->resumed || !forgotten)
        return false;
    *out_verdict = (struct order_verdict){.kind = ORDER_RESTART};
    return true;
}

/* --- AUTHZ and VALIDATE: the same document, before and after the challenge is posted --- */

static struct err send_authz(const struct order_progress *progress, struct order_ask *ask)
{
    ask->url = progress->document.authz_urls[progress->at_authz];
    return ERR_OK;
}

static void order_take_challenge(struct order_progress *progress, const struct authz *authz,
                                 const struct challenge *challenge)
{
    struct arena *arena = &progress->challenge_arena;
    struct buf key_authorization = {0};
    order_forget_challenge(progress);
    jwk_key_authorization(challenge->token, progress->thumbprint, &key_authorization);
    progress->key_authorization = arena_copy(arena, buf_slice(&key_authorization));
    progress->challenge_type = arena_copy(arena, challenge->type);
    progress->challenge_url = arena_copy(arena, challenge->url);
    progress->challenge_name = arena_copy(arena, authz->name);
    progress->token = arena_copy(arena, challenge->token);
    buf_cleanup(&key_authorization);
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

static struct order_verdict order_authz_failed(const struct authz *authz, const struct order_answer *answer)
{
    struct order_verdict verdict = {.kind = ORDER_DEAD};
    verdict.problem = authz_problem(answer->arena, authz, &verdict.challenge_type);
    if (verdict.problem.class ==
        PROBLEM_TRANSIENT) /* whatever the words: a validation failed, and it counts (ACME-107) */
        verdict.problem.class = PROBLEM_VALIDATION;
    return verdict;
}

static struct order_verdict order_choose_challenge(struct order_progress *progress, const struct authz *authz,
                                                   const struct order_answer *answer)
{
    const struct challenge *challenge = authz_choose(authz, SLICE_NONE);
    if (progress->doomed)
        return order_next_authz(progress, answer);
    if (!challenge)
        return order_dead_of(answer, PROBLEM_PERMANENT,
                             memchr(authz->name.ptr, '*', authz->name.len)
                                 ? "the CA offers no challenge that can be answered here; a wildcard needs dns-01"
                                 : "the CA offers no challenge that can be answered here");
    order_take_challenge(progress, authz, challenge);
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
                                   const struct order_answer *answer, struct authz *out_authz)
{
    struct json *json = NULL;
    struct err err = json_parse(arena, answer->reply->body, LIMIT_JSON_BYTES, &json);
    if (err_is(err))
        return err_make(ERR_INPUT, err.code, "authorization that is not JSON");
    err = authz_read(arena, json, out_authz);
    for (size_t i = 0; !err_is(err) && i < progress->num_names; i++)
        if (slice_ieq(progress->names[i], out_authz->name)) /* ACME-45 */
            return ERR_OK;
    return err_is(err) ? err : err_make(ERR_INPUT, 0, "authorization for a name that was not ordered");
}

static struct order_verdict order_judge_authz(struct order_progress *progress, const struct authz *authz,
                                              const struct order_answer *answer, bool posted)
{
    switch (authz->status) {
    case AUTHZ_PENDING:
        return posted ? order_poll_authz(progress, answer) : order_choose_challenge(progress, authz, answer);
    case AUTHZ_VALID: return order_next_authz(progress, answer);
    case AUTHZ_INVALID: return order_authz_failed(authz, answer);
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
    struct err err = order_read_authz(progress, &scratch, answer, &authz);
    struct order_verdict verdict = err_is(err)
                                       ? order_nonsense(answer, posted ? ORDER_STEP_VALIDATE : ORDER_STEP_AUTHZ, err)
                                       : order_judge_authz(progress, &authz, answer, posted);
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
static bool refused_challenge(struct order_progress *progress, const struct problem *problem,
                              struct order_verdict *out_verdict)
{
    progress->challenge_unsure = problem->class == PROBLEM_TRANSIENT || problem->class == PROBLEM_LATER;
    if (!problem_is(problem, "malformed"))
        return false;
    *out_verdict = order_go(ORDER_STEP_VALIDATE);
    return true;
}

/* --- FINALIZE --- */

static struct err send_finalize(const struct order_progress *progress, struct order_ask *ask)
{
    struct buf csr = {0}, text = {0};
    struct err err = csr_write(progress->key, progress->names, progress->num_names, progress->with_cn, &csr);
    b64url_encode(&text, buf_slice(&csr));
    ask->url = progress->document.finalize_url;
    struct json_writer w = json_writer_on(&ask->payload);
    json_object(&w);
    json_put_string(&w, "csr", buf_slice(&text));
    json_end_object(&w);
    buf_cleanup(&csr);
    buf_cleanup(&text);
    return err;
}

static struct order_verdict recv_finalize(struct order_progress *progress, const struct order_answer *answer)
{
    struct err err = order_take_document(progress, answer);
    if (err_is(err))
        return order_nonsense(answer, ORDER_STEP_READ, err);
    if (progress->document.status == ORDER_READY || progress->document.status == ORDER_PENDING)
        return order_wait(ORDER_STEP_READ, answer); /* it has been taken but does not show yet: no tight loop */
    return order_judge(progress, answer);
}

static bool refused_finalize(struct order_progress *progress, const struct problem *problem,
                             struct order_verdict *out_verdict)
{
    if (problem_is(problem, "orderNotReady")) { /* ACME-56 */
        *out_verdict =
            (struct order_verdict){.kind = ORDER_WAIT, .next = ORDER_STEP_READ, .wait_ms = problem->retry_after_ms};
        return true;
    }
    if (problem_is(problem, "badCSR") && !progress->with_cn) { /* ACME-59 */
        progress->with_cn = true;
        *out_verdict = order_go(ORDER_STEP_FINALIZE);
        return true;
    }
    return false;
}

/* --- DOWNLOAD --- */

static struct err send_download(const struct order_progress *progress, struct order_ask *ask)
{
    ask->url = progress->document.certificate_url;
    ask->wants_chain = true;
    return ERR_OK;
}

static struct order_verdict order_chain_refused(struct order_progress *progress, const struct order_answer *answer,
                                                const char *why)
{
    struct problem problem = {.class = PROBLEM_LOCAL, .err = err_make(ERR_INPUT, 0, "certificate refused")};
    problem.detail = arena_printf(answer->arena, "the certificate that the CA issued is refused: %s", why);
    chain_cleanup(&progress->chain);
    if (answer->now_s - progress->created_s > ORDER_REFUSED_CHAIN_HOLD_S)
        return order_dead(problem);
    return order_trouble(ORDER_STEP_DOWNLOAD, problem);
}

static struct order_verdict recv_download(struct order_progress *progress, const struct order_answer *answer)
{
    chain_cleanup(&progress->chain);
    struct err err = chain_parse(answer->reply->body, &progress->chain);
    if (err_is(err))
        return order_chain_refused(progress, answer, err.what);
    enum chain_fault fault =
        chain_check(&progress->chain, progress->key, progress->names, progress->num_names, answer->now_s); /* ACME-61 */
    if (fault != CHAIN_FINE)
        return order_chain_refused(progress, answer, chain_fault_text(fault));
    return (struct order_verdict){.kind = ORDER_ISSUED};
}

/* --- the table --- */

const struct order_step_row order_steps[NUM_ORDER_STEPS] = {
    [ORDER_STEP_NEW] = {"new-order", PROBLEM_AT_ORDER, ORDER_STEP_NEW, send_new, recv_new, NULL},
    [ORDER_STEP_READ] = {"read-order", PROBLEM_AT_ORDER, ORDER_STEP_READ, send_read, recv_read, refused_read},
    [ORDER_STEP_AUTHZ] = {"read-authz", PROBLEM_AT_ORDER, ORDER_STEP_AUTHZ, send_authz, recv_authz, NULL},
    [ORDER_STEP_CHALLENGE] = {"challenge", PROBLEM_AT_VALIDATION, ORDER_STEP_VALIDATE, send_challenge, recv_challenge,
                              refused_challenge},
    [ORDER_STEP_VALIDATE] = {"validate", PROBLEM_AT_ORDER, ORDER_STEP_VALIDATE, send_authz, recv_validate, NULL},
    /* ACME-58: whether it was received is told by the order, so that is read before anything is sent again. */
    [ORDER_STEP_FINALIZE] = {"finalize", PROBLEM_AT_ORDER, ORDER_STEP_READ, send_finalize, recv_finalize,
                             refused_finalize},
    [ORDER_STEP_DOWNLOAD] = {"download", PROBLEM_AT_ORDER, ORDER_STEP_DOWNLOAD, send_download, recv_download, NULL},
};

struct err order_step_send(enum order_step step, const struct order_progress *progress, struct order_ask *out_ask)
{
    *out_ask = (struct order_ask){0};
    return order_steps[step].send(progress, out_ask);
}

struct order_verdict order_step_recv(enum order_step step, struct order_progress *progress,
                                     const struct order_answer *answer)
{
    const struct order_step_row *row = &order_steps[step];
    if (!err_is(answer->reply->err) && answer->reply->status >= 200 && answer->reply->status < 300)
        return row->recv(progress, answer);
    struct problem problem = problem_of_reply(answer->arena, answer->reply, row->place, answer->now_s);
    struct order_verdict verdict = order_trouble(row->again, problem);
    if (problem_is(&problem, "accountDoesNotExist"))
        verdict.kind = ORDER_ACCOUNT_LOST;
    else if (row->refused && row->refused(progress, &problem, &verdict))
        return verdict;
    else if (problem.class == PROBLEM_VALIDATION || (problem.class == PROBLEM_PERMANENT && step != ORDER_STEP_NEW))
        verdict.kind = ORDER_DEAD;
    return verdict;
}
