/* order_steps: what an order asks the CA next, and what an answer means: a table of steps, pure. Each row is
 * {name, send, recv -> verdict}; order.c alone acts on verdicts (requests, waits, publication, persistence).
 *
 *   NEW --> AUTHZ --> CHALLENGE --> VALIDATE --+--> FINALIZE --> READ --> DOWNLOAD --> issued
 *    |        ^                                |       |          |
 *    |        +------- next authorization -----+       +----------+ ambiguous or processing: read again
 *    +--> READ (an order that is resumed, and every doubt) --> whichever step its status asks for
 *
 * DOWNLOAD goes on to ALTERNATE where another chain is preferred and the CA has others (ACME-62); what fails there leaves
 * the first chain as it is. The rows are in order_steps.c (the order), order_authz_steps.c and order_chain_steps.c.
 *
 * Any thread, one at a time per progress. */
#ifndef ACME_ORDER_STEPS_H
#define ACME_ORDER_STEPS_H

#include "acme/chain.h"
#include "acme/challenge.h"
#include "acme/directory.h"
#include "acme/order_document.h"
#include "acme/transport.h"

struct evp_pkey_st;

enum order_step {
    ORDER_STEP_NEW,
    ORDER_STEP_READ,
    ORDER_STEP_AUTHZ,
    ORDER_STEP_CHALLENGE,
    ORDER_STEP_VALIDATE,
    ORDER_STEP_FINALIZE,
    ORDER_STEP_DOWNLOAD,
    ORDER_STEP_ALTERNATE,
    NUM_ORDER_STEPS
};

enum { ORDER_MAX_ALTERNATES = 8 };

/* How far an order is. Owns its document, challenge and chain; borrows the rest. */
struct order_progress {
    /* What is wanted: borrowed. */
    const struct slice *names;
    size_t num_names;
    const enum acme_challenge *challenges; /* that may be answered, in order of preference */
    size_t num_challenges;
    struct slice profile, replaces, preferred_chain; /* empty: none */
    struct evp_pkey_st *key;                         /* of the certificate */
    const struct directory *directory;
    struct slice thumbprint;

    struct buf url;        /* of the order; empty until the CA has told it */
    bool resumed;          /* the URL comes from a journal, and the CA has not confirmed it yet */
    bool without_replaces; /* the CA refused the order with it (ACME-99) */
    bool replaced;         /* the CA has taken note of it */
    int64_t created_s;     /* of the journal */
    struct order_document document;
    size_t at_authz; /* the authorization in hand; those before it are decided */
    bool doomed;     /* the order is invalid; its authorizations are read only for the reason */
    bool with_cn;    /* the CA did not like the first CSR (ACME-59) */

    struct arena challenge_arena;
    enum acme_challenge challenge; /* taken up last, also where it has been forgotten since */
    bool challenge_taken;
    struct slice challenge_url, challenge_name, token, key_authorization, dns_value;
    struct slice *issuer_names;
    size_t num_issuer_names;
    struct challenge_account account; /* of dns-persist-01; without URL, which is the order's */
    bool challenge_unsure;            /* posted, no answer came */

    struct chain chain; /* downloaded: good where the order is issued, else refused */
    struct arena alternate_arena;
    struct slice alternates[ORDER_MAX_ALTERNATES]; /* URLs of other chains of the same certificate */
    size_t num_alternates, at_alternate, num_alternates_failed;
};

void order_progress_cleanup(struct order_progress *progress);
/* Back to where nothing is known to the CA; names, key and URLs of the CA stay. */
void order_progress_reset(struct order_progress *progress);

struct order_ask {
    struct slice url;   /* borrowed from the progress */
    struct buf payload; /* owned; empty is POST-as-GET */
    bool wants_chain;
};

enum order_verdict_kind {
    ORDER_GO,           /* on with `next` at once; with a problem where what was refused is asked in another way */
    ORDER_JOURNAL,      /* the order's URL is new: write it down, then `next` */
    ORDER_PUBLISH,      /* have progress->challenge answered everywhere, then `next` */
    ORDER_WAIT,         /* `next` after a while: wait_ms, or the poller's own pace */
    ORDER_TROUBLE,      /* problem; if it is tried again, then with `next` */
    ORDER_DEAD,         /* problem; this order can never succeed any more */
    ORDER_RESTART,      /* the journal led nowhere: order anew */
    ORDER_ACCOUNT_LOST, /* problem; the CA does not know the account (ACME-37) */
    ORDER_ISSUED        /* progress->chain is complete and good */
};

struct order_verdict {
    enum order_verdict_kind kind;
    enum order_step next;
    int64_t wait_ms;
    struct problem problem; /* in the arena that was given */
    struct slice challenge_type;
};

struct order_answer {
    const struct acme_reply *reply;
    struct arena *arena; /* for the verdict's problem */
    int64_t now_s;       /* wall clock */
};

struct order_step_row {
    const char *name;
    enum problem_place place;
    enum order_step again; /* where to go on after no answer or trouble: a step that is safe to repeat */
    struct err (*send)(const struct order_progress *progress, struct order_ask *ask);
    struct order_verdict (*recv)(struct order_progress *progress, const struct order_answer *answer);
    /* Answers of status 400 and above, where they mean more than trouble; may be NULL. Returns false to leave it at that. */
    bool (*refused)(struct order_progress *progress, const struct order_answer *answer, const struct problem *problem,
                    struct order_verdict *out_verdict);
};

extern const struct order_step_row *const order_steps[NUM_ORDER_STEPS];

/* What to ask. The payload is the caller's. Errors are LOCAL (no CSR could be made). */
MUST_CHECK struct err order_step_send(enum order_step step, const struct order_progress *progress,
                                      struct order_ask *out_ask);
/* What the answer, or its absence, means. */
struct order_verdict order_step_recv(enum order_step step, struct order_progress *progress,
                                     const struct order_answer *answer);

#endif
