/* order_steps: what an order asks the CA next, and what an answer means: a table of steps, pure. Each row is
 * {name, send, recv -> verdict}; order.c alone acts on verdicts (requests, waits, publication, persistence).
 *
 *   NEW --> AUTHZ --> CHALLENGE --> VALIDATE --+--> FINALIZE --> READ --> DOWNLOAD --> issued
 *    |        ^                                |       |          |
 *    |        +------- next authorization -----+       +----------+ ambiguous or processing: read again
 *    +--> READ (an order that is resumed, and every doubt) --> whichever step its status asks for
 *
 * Any thread, one at a time per progress. */
#ifndef ACME_ORDER_STEPS_H
#define ACME_ORDER_STEPS_H

#include "acme/chain.h"
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
    NUM_ORDER_STEPS
};

/* How far an order is. Owns its document, challenge and chain; borrows the rest. */
struct order_progress {
    const struct slice *names; /* borrowed, as are the next four */
    size_t num_names;
    struct evp_pkey_st *key; /* of the certificate */
    struct slice new_order_url, thumbprint;

    struct buf url;    /* of the order; empty until the CA has told it */
    bool resumed;      /* the URL comes from a journal, and the CA has not confirmed it yet */
    int64_t created_s; /* of the journal */
    struct order_document document;
    size_t at_authz; /* the authorization in hand */
    bool doomed;     /* the order is invalid; its authorizations are read only for the reason */
    bool with_cn;    /* the CA did not like the first CSR (ACME-59) */

    struct arena challenge_arena;
    struct slice challenge_type, challenge_url, challenge_name, token, key_authorization;
    bool challenge_unsure; /* posted, no answer came */

    struct chain chain;
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
    ORDER_GO,           /* on with `next` at once */
    ORDER_JOURNAL,      /* the order's URL is new: write it down, then `next` */
    ORDER_PUBLISH,      /* serve progress->key_authorization everywhere, then `next` */
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
    bool (*refused)(struct order_progress *progress, const struct problem *problem, struct order_verdict *out_verdict);
};

extern const struct order_step_row order_steps[NUM_ORDER_STEPS];

/* What to ask. The payload is the caller's. Errors are LOCAL (no CSR could be made). */
MUST_CHECK struct err order_step_send(enum order_step step, const struct order_progress *progress,
                                      struct order_ask *out_ask);
/* What the answer, or its absence, means. */
struct order_verdict order_step_recv(enum order_step step, struct order_progress *progress,
                                     const struct order_answer *answer);

#endif
