#include "acme/link.h"
#include "acme/order_rows.h"
#include "acme/request.h"

/* A chain that we refuse is downloaded again at each attempt, and a second certificate is ordered only when the CA has
 * refilled one of five per week (ACME-106): a wrong clock must not burn them. */
enum { ORDER_REFUSED_CHAIN_HOLD_S = 34 * 3600 };

void order_forget_chains(struct order_progress *progress)
{
    chain_cleanup(&progress->chain);
    arena_cleanup(&progress->alternate_arena);
    progress->num_alternates = progress->at_alternate = progress->num_alternates_failed = 0;
}

/* --- DOWNLOAD --- */

static struct err send_download(const struct order_progress *progress, struct order_ask *ask)
{
    ask->url = progress->document.certificate_url;
    ask->wants_chain = true;
    return ERR_OK;
}

/* The problem's code is the fault, so that whoever is told can tell a wrong clock from a wrong chain. */
static struct order_verdict order_chain_refused(struct order_progress *progress, const struct order_answer *answer,
                                                enum chain_fault fault, const char *why)
{
    struct problem problem = {.class = PROBLEM_LOCAL, .err = err_make(ERR_INPUT, (int)fault, "certificate refused")};
    problem.detail = arena_printf(answer->arena, "the certificate that the CA issued is refused: %s", why);
    if (answer->now_s - progress->created_s > ORDER_REFUSED_CHAIN_HOLD_S)
        return order_dead(problem);
    return order_trouble(ORDER_STEP_DOWNLOAD, problem);
}

/* NULL, or why it is refused. *out_chain is written where it is a chain at all, good or refused; *out_fault then too. */
static const char *order_read_chain(const struct order_progress *progress, const struct order_answer *answer,
                                    enum chain_fault *out_fault, struct chain *out_chain)
{
    struct chain chain;
    struct err err = chain_parse(answer->reply->body, &chain);
    *out_fault = CHAIN_FINE;
    if (err_is(err))
        return err.what;
    enum chain_fault fault =
        chain_check(&chain, progress->key, progress->names, progress->num_names, answer->now_s); /* ACME-61 */
    *out_fault = fault;
    *out_chain = chain;
    return fault == CHAIN_FINE ? NULL : chain_fault_text(fault);
}

/* ACME-62: what the CA has besides. */
static void order_note_alternates(struct order_progress *progress, const struct acme_reply *reply)
{
    for (size_t i = 0; i < reply->num_links; i++) {
        struct slice field = reply->links[i];
        for (struct slice url; (url = link_next(&field, "alternate")).ptr;)
            if (request_url_is_valid(url) && progress->num_alternates < ORDER_MAX_ALTERNATES)
                progress->alternates[progress->num_alternates++] = arena_copy(&progress->alternate_arena, url);
    }
}

static bool order_prefers(const struct order_progress *progress, const struct chain *chain)
{
    return progress->preferred_chain.len == 0 || slice_eq(chain->top_issuer, progress->preferred_chain);
}

static struct order_verdict order_next_alternate(const struct order_progress *progress)
{
    if (progress->at_alternate < progress->num_alternates)
        return order_go(ORDER_STEP_ALTERNATE);
    return (struct order_verdict){.kind = ORDER_ISSUED};
}

static struct order_verdict recv_download(struct order_progress *progress, const struct order_answer *answer)
{
    order_forget_chains(progress);
    enum chain_fault fault;
    const char *why = order_read_chain(progress, answer, &fault, &progress->chain);
    if (why)
        return order_chain_refused(progress, answer, fault, why);
    if (!order_prefers(progress, &progress->chain))
        order_note_alternates(progress, answer->reply);
    return order_next_alternate(progress);
}

/* --- ALTERNATE --- */

static struct err send_alternate(const struct order_progress *progress, struct order_ask *ask)
{
    ask->url = progress->alternates[progress->at_alternate];
    ask->wants_chain = true;
    return ERR_OK;
}

static struct order_verdict recv_alternate(struct order_progress *progress, const struct order_answer *answer)
{
    struct chain chain = {0};
    enum chain_fault fault;
    progress->at_alternate++;
    if (order_read_chain(progress, answer, &fault, &chain)) {
        chain_cleanup(&chain);
        progress->num_alternates_failed++;
        return order_next_alternate(progress);
    }
    if (!order_prefers(progress, &chain)) {
        chain_cleanup(&chain);
        return order_next_alternate(progress);
    }
    chain_cleanup(&progress->chain);
    progress->chain = chain;
    return (struct order_verdict){.kind = ORDER_ISSUED};
}

/* There is a good chain in hand: nothing that goes wrong with another is worth a failure, or a wait. */
static bool refused_alternate(struct order_progress *progress, const struct order_answer *answer,
                              const struct problem *problem, struct order_verdict *out_verdict)
{
    (void)answer, (void)problem;
    progress->at_alternate++;
    progress->num_alternates_failed++;
    *out_verdict = order_next_alternate(progress);
    return true;
}

const struct order_step_row order_row_download = {"download",    PROBLEM_AT_ORDER, ORDER_STEP_DOWNLOAD,
                                                  send_download, recv_download,    NULL};
const struct order_step_row order_row_alternate = {"alternate",    PROBLEM_AT_ORDER, ORDER_STEP_ALTERNATE,
                                                   send_alternate, recv_alternate,   refused_alternate};
