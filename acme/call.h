/* call: what the questions to the engine that are no orders have in common (ari, revoke, account_change): one way from being
 * asked, over account or directory and one request, to one `done`.
 *
 * Embedded by their structs, which whoever asks embeds and keeps until `done` has been called or the call has been
 * canceled. `done` comes from acme_wake alone, and may ask again with the same struct. Internal to the engine but for the
 * size of the struct. One thread. */
#ifndef ACME_CALL_H
#define ACME_CALL_H

#include "acme/account.h"
#include "acme/request.h"

struct acme_call {
    struct acme *acme; /* NULL: idle */
    struct list node;  /* in acme->calls, or in acme->answered when its `done` is due */
    struct account_waiter waiter;
    struct request request;
    struct arena arena; /* of the problem and of the answer */
    struct problem problem;
    bool failed;
    /* Account or directory are there. Sends the request, or ends the call. */
    void (*ready)(struct acme_call *call);
    /* Calls the asker's `done`; the call is idle by then, problem and answer still stand. */
    void (*tell)(struct acme_call *call);
    /* Of what is the call's own, behind cancel or `done`. May be NULL. */
    void (*cleanup)(struct acme_call *call);
};

/* Begins: `ready` is called when what is wanted is there. The three callbacks are set already; the rest is overwritten. */
void call_start(struct acme_call *call, struct acme *acme, enum account_want want);
/* `ready` once more, when what is wanted is there. */
void call_wait_again(struct acme_call *call, enum account_want want);
/* `done` is due. */
void call_end(struct acme_call *call);
/* The same, with a problem, of which it keeps a copy. */
void call_fail(struct acme_call *call, const struct problem *problem);
void call_fail_with(struct acme_call *call, enum problem_class class, struct err err, const char *detail);
void call_fail_reply(struct acme_call *call, const struct acme_reply *reply, enum problem_place place);
/* For acme_wake: calls what is due. */
void call_tell_all(struct acme *acme);
/* No `done` after this. Harmless for an idle call. */
void call_cancel(struct acme_call *call);
void call_cancel_all(struct acme *acme);

#endif
