#include "acme/csr.h"
#include "acme/order_rows.h"
#include "acme/request.h"
#include "acme/retry_after.h"
#include "base/b64url.h"
#include "base/json_write.h"

void order_progress_reset(struct order_progress *progress)
{
    order_forget_challenge(progress);
    order_forget_chains(progress);
    order_document_cleanup(&progress->document);
    progress->url.len = 0;
    progress->resumed = progress->doomed = progress->with_cn = false;
    progress->without_replaces = progress->replaced = false;
    progress->at_authz = 0;
}

void order_progress_cleanup(struct order_progress *progress)
{
    order_progress_reset(progress);
    buf_cleanup(&progress->url);
}

/* --- verdicts --- */

struct order_verdict order_go(enum order_step next)
{
    return (struct order_verdict){.kind = ORDER_GO, .next = next};
}

struct order_verdict order_wait(enum order_step next, const struct order_answer *answer)
{
    const struct acme_reply *reply = answer->reply;
    return (struct order_verdict){.kind = ORDER_WAIT,
                                  .next = next,
                                  .wait_ms =
                                      retry_after_ms(reply->retry_after, reply->date, answer->now_s)}; /* ACME-51 */
}

struct order_verdict order_dead(struct problem problem)
{
    return (struct order_verdict){.kind = ORDER_DEAD, .problem = problem};
}

struct order_verdict order_trouble(enum order_step next, struct problem problem)
{
    return (struct order_verdict){.kind = ORDER_TROUBLE, .next = next, .problem = problem};
}

struct order_verdict order_nonsense(const struct order_answer *answer, enum order_step next, struct err err)
{
    return order_trouble(next, problem_local(answer->arena, PROBLEM_TRANSIENT, err, slice_str(err.what)));
}

struct order_verdict order_dead_of(const struct order_answer *answer, enum problem_class class, const char *detail)
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
    if (document.replaces.len && slice_eq(document.replaces, progress->replaces))
        progress->replaced = true;
    return ERR_OK;
}

/* --- NEW --- */

/* ACME-98 */
static bool order_sends_replaces(const struct order_progress *progress)
{
    return progress->replaces.len && progress->directory->renewal_info.ptr && !progress->without_replaces;
}

static struct err send_new(const struct order_progress *progress, struct order_ask *ask)
{
    struct order_request request = {.names = progress->names,
                                    .num_names = progress->num_names,
                                    .profile = progress->profile,
                                    .replaces = order_sends_replaces(progress) ? progress->replaces : SLICE_NONE};
    ask->url = progress->directory->new_order;
    order_document_write_new(&request, &ask->payload);
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

/* Any refusal may be that of the predecessor, which a CA can dislike for reasons of its own (another account's, unknown,
 * no name in common), but for those that are told to be about something else. */
static bool order_blames_replaces(const struct problem *problem)
{
    static const char *const others[] = {"rateLimited",
                                         "userActionRequired",
                                         "accountDoesNotExist",
                                         "badNonce",
                                         "badSignatureAlgorithm",
                                         "externalAccountRequired",
                                         "rejectedIdentifier",
                                         "unsupportedIdentifier",
                                         "invalidProfile",
                                         "caa",
                                         "dns"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (problem_is(problem, others[i]))
            return false;
    return problem->status >= 400 && problem->status < 500 && problem->status != 429;
}

/* The CA's word, and what there is to choose from. */
static void order_name_profiles(const struct order_progress *progress, const struct order_answer *answer,
                                struct order_verdict *verdict)
{
    struct buf text = {0};
    struct slice detail = verdict->problem.detail;
    while (detail.len && detail.ptr[detail.len - 1] == '.')
        detail.len--;
    buf_append_slice(&text, detail);
    buf_printf(&text, "; asked for: %.*s; offered: ", (int)progress->profile.len, progress->profile.ptr);
    directory_write_profiles(progress->directory, &text);
    verdict->problem.detail = arena_copy(answer->arena, slice_first(buf_slice(&text), PROBLEM_MAX_DETAIL_BYTES));
    buf_cleanup(&text);
}

static bool refused_new(struct order_progress *progress, const struct order_answer *answer,
                        const struct problem *problem, struct order_verdict *out_verdict)
{
    if (problem_is(problem, "invalidProfile") && progress->profile.len)
        order_name_profiles(progress, answer, out_verdict);
    if (!order_sends_replaces(progress) || !order_blames_replaces(problem))
        return false;
    progress->without_replaces = true; /* ACME-99: once */
    out_verdict->kind = ORDER_GO;
    out_verdict->next = ORDER_STEP_NEW;
    return true;
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
static bool refused_read(struct order_progress *progress, const struct order_answer *answer,
                         const struct problem *problem, struct order_verdict *out_verdict)
{
    (void)answer;
    bool forgotten = problem->status == 404 || problem_is(problem, "malformed") || problem_is(problem, "unauthorized");
    if (!progress->resumed || !forgotten)
        return false;
    *out_verdict = (struct order_verdict){.kind = ORDER_RESTART};
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

static bool refused_finalize(struct order_progress *progress, const struct order_answer *answer,
                             const struct problem *problem, struct order_verdict *out_verdict)
{
    (void)answer;
    if (problem_is(problem, "orderNotReady")) { /* ACME-56 */
        *out_verdict =
            (struct order_verdict){.kind = ORDER_WAIT, .next = ORDER_STEP_READ, .wait_ms = problem->retry_after_ms};
        return true;
    }
    if (problem_is(problem, "badCSR") && !progress->with_cn) { /* ACME-59 */
        progress->with_cn = true;
        out_verdict->kind = ORDER_GO;
        out_verdict->next = ORDER_STEP_FINALIZE;
        return true;
    }
    return false;
}

/* --- the table --- */

static const struct order_step_row order_row_new = {"new-order", PROBLEM_AT_ORDER, ORDER_STEP_NEW,
                                                    send_new,    recv_new,         refused_new};
static const struct order_step_row order_row_read = {"read-order", PROBLEM_AT_ORDER, ORDER_STEP_READ,
                                                     send_read,    recv_read,        refused_read};
/* ACME-58: whether it was received is told by the order, so that is read before anything is sent again. */
static const struct order_step_row order_row_finalize = {"finalize",    PROBLEM_AT_ORDER, ORDER_STEP_READ,
                                                         send_finalize, recv_finalize,    refused_finalize};

const struct order_step_row *const order_steps[NUM_ORDER_STEPS] = {
    [ORDER_STEP_NEW] = &order_row_new,           [ORDER_STEP_READ] = &order_row_read,
    [ORDER_STEP_AUTHZ] = &order_row_authz,       [ORDER_STEP_CHALLENGE] = &order_row_challenge,
    [ORDER_STEP_VALIDATE] = &order_row_validate, [ORDER_STEP_FINALIZE] = &order_row_finalize,
    [ORDER_STEP_DOWNLOAD] = &order_row_download, [ORDER_STEP_ALTERNATE] = &order_row_alternate,
};

struct err order_step_send(enum order_step step, const struct order_progress *progress, struct order_ask *out_ask)
{
    *out_ask = (struct order_ask){0};
    return order_steps[step]->send(progress, out_ask);
}

struct order_verdict order_step_recv(enum order_step step, struct order_progress *progress,
                                     const struct order_answer *answer)
{
    const struct order_step_row *row = order_steps[step];
    if (!err_is(answer->reply->err) && answer->reply->status >= 200 && answer->reply->status < 300)
        return row->recv(progress, answer);
    struct problem problem = problem_of_reply(answer->arena, answer->reply, row->place, answer->now_s);
    struct order_verdict verdict = order_trouble(row->again, problem);
    if (problem_is(&problem, "accountDoesNotExist") && step != ORDER_STEP_ALTERNATE)
        verdict.kind = ORDER_ACCOUNT_LOST;
    else if (row->refused && row->refused(progress, answer, &problem, &verdict))
        return verdict;
    else if (problem.class == PROBLEM_VALIDATION || (problem.class == PROBLEM_PERMANENT && step != ORDER_STEP_NEW))
        verdict.kind = ORDER_DEAD;
    return verdict;
}
