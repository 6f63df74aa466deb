/* order: drives one order through order_steps: asks, waits, publishes, writes the journal, tries again. The only part of
 * the engine that decides when. Internal; owns struct acme_order. One thread.
 *
 *   QUEUED -> OPENING -> KEYING -> INTENT -> ACCOUNT -> ASKING <-> { NOTING, PUBLISHING, WAITING } -> CLOSING -> FINISHED
 *             journal    a key     journal   account    a step       journal  challenge  pace       journal     `done` is
 *             is read    is made   written   is ready   of the table with URL  served    or retry   is removed  due
 *             (KEYING is left out where the journal has a key; INTENT proves the right to write before the CA hears of
 *             anything)
 *
 * order.c begins, asks and ends; order_pace.c waits and tries again; order_publish.c has challenges answered;
 * order_journal.c makes keys and writes things down. */
#ifndef ACME_ORDER_H
#define ACME_ORDER_H

#include "acme/account.h"
#include "acme/acme.h"
#include "acme/order_steps.h"
#include "base/list.h"

enum order_phase {
    ORDER_AT_QUEUED,
    ORDER_AT_OPENING,
    ORDER_AT_KEYING,
    ORDER_AT_INTENT,
    ORDER_AT_ACCOUNT,
    ORDER_AT_ASKING,
    ORDER_AT_NOTING,
    ORDER_AT_PUBLISHING,
    ORDER_AT_WAITING,
    ORDER_AT_CLOSING,
    ORDER_AT_FINISHED
};

struct acme_order {
    struct acme *acme;
    struct list node; /* of the engine's queued, running or finished */
    enum order_phase phase;
    enum order_step step;
    enum order_step poll_step; /* what was waited for last; NEW: nothing yet */

    struct arena arena; /* of the spec and of the result */
    struct acme_order_spec spec;
    struct buf journal_key;
    int64_t journal_expires_s;
    struct evp_pkey_st *key; /* of the certificate */
    struct buf account_url;  /* under which the order runs; empty until it does */
    struct order_progress progress;

    struct store_call store_call;
    struct request request;
    struct account_waiter waiter;
    struct acme_publication publication;
    struct acme_key_job key_job;

    enum store_condition intend_condition; /* of the journal's writing after KEYING */
    uint64_t intend_version;

    int64_t wake_ms; /* of WAITING, monotonic, as are the next two */
    int64_t started_ms, poll_started_ms, poll_wait_ms;
    unsigned num_retries, num_restarts;

    bool store_busy, key_busy;
    bool journal_doubtful; /* a write ended in UNKNOWN once: what is there has been read back */
    bool published;
    bool seen;     /* the CA has fetched the answer; it may do so before it answers the POST */
    bool ca_paced; /* WAITING is the CA's Retry-After: nothing shortens it */
    bool issued;
    bool telling; /* `done` runs */

    struct problem problem; /* where it is not issued */
    const char *failed_step;
    struct slice failed_challenge;
};

struct acme_order *order_new(struct acme *acme, const struct acme_order_spec *spec);
/* Cancels whatever runs. */
void order_free(struct acme_order *order);
/* QUEUED: begins. */
void order_start(struct acme_order *order);
/* WAITING: goes on if its time has come. */
void order_wake(struct acme_order *order, int64_t now_ms);
/* FINISHED: calls `done`. */
void order_tell(struct acme_order *order);

/* --- between the parts --- */

/* To the next step, after waiting for the account if need be. */
void order_go_on(struct acme_order *order);
/* The step in hand, at once. */
void order_ask(struct acme_order *order);
void order_finish(struct acme_order *order);
/* hopeless: the next attempt has to begin anew. The journal of every other failure is kept, to go on from. */
void order_fail(struct acme_order *order, const struct problem *problem, bool hopeless);
void order_fail_with(struct acme_order *order, enum problem_class class, struct err err, struct slice detail);
void order_fail_store(struct acme_order *order, const char *doing, enum store_result result);

/* order_pace: a pause between two looks at the same thing; 10 minutes of them are enough. */
void order_poll(struct acme_order *order, const struct order_verdict *verdict);
/* Tries again with `next` in a while, or fails. */
void order_meet_trouble(struct acme_order *order, const struct problem *problem, enum order_step next);
/* The CA has been here: look soon. */
void order_hurry(struct acme_order *order);

/* order_publish: has the challenge in hand answered, then asks `next`. */
void order_publish(struct acme_order *order, enum order_step next);
/* Harmless where nothing is published. */
void order_withdraw(struct acme_order *order);

#endif
