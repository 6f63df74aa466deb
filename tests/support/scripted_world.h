/* scripted_world: all that an engine asks of the world, in memory, under one clock that jumps from event to event: a
 * scripted CA, a memory store, publication, and a small keeper that stores certificates. */
#ifndef SUPPORT_SCRIPTED_WORLD_H
#define SUPPORT_SCRIPTED_WORLD_H

#include "acme/acme.h"
#include "memory_store.h"
#include "scripted_ca.h"

enum { WORLD_MAX_ORDERS = 64, WORLD_MAX_NAMES = 4 };

/* What a test wants ordered, and what came of it. */
struct world_order {
    struct scripted_world *world;
    struct slice names[WORLD_MAX_NAMES];
    size_t num_names;
    struct acme_order *order; /* runs */
    unsigned num_done;
    bool replaced;
    char profile[64], chain[64]; /* chain: its topmost issuer */
    enum key_type key_type;      /* of the certificate that was issued */
    bool issued, keeper_fails;   /* keeper_fails: the certificate is not stored, nor the journal removed */
    enum problem_class class;
    char step[32], type[64], challenge[32], sentence[1024];
    int64_t retry_after_ms, done_ms; /* wall clock */
    int status;
};

struct scripted_world {
    struct clock clock;
    int64_t mono_ms, wall_ms;
    struct scripted_ca ca;
    struct memory_store store;
    struct acme *acme;
    struct acme_options options;
    struct acme_order_spec spec; /* of every order; names, done, ctx and, where it is empty, record are filled in */
    int64_t wake_ms;
    struct list publications; /* of world_publication */
    unsigned num_published, num_withdrawn, max_running;
    bool publish_fails, publish_hangs, shows_seen;
    enum acme_challenge last_challenge; /* that was published */
    char last_name[64];                 /* the same */
    bool makes_keys;                    /* for the engine, which makes them itself otherwise */
    struct evp_pkey_st *given_key;      /* made so; NULL: fresh ones */
    bool keys_fail;
    struct list key_jobs;
    unsigned num_keys, num_keys_canceled;
    int64_t step_skew_ms; /* added to the wall clock at each event */
    char thumbprint[64];
    unsigned num_announced;
    struct world_order orders[WORLD_MAX_ORDERS];
    size_t num_orders;
    uint64_t num_events, kill_at; /* the engine dies before the event of that number; 0: never */
    unsigned num_kills;
    bool order_noted_at_kill; /* the store held an order's URL then */
    unsigned ca_orders_at_kill;
};

void world_init(struct scripted_world *world);
void world_cleanup(struct scripted_world *world);
/* A new engine on the same store and CA. */
void world_start_engine(struct scripted_world *world);
/* Drops the engine as a crash would: nothing of it is left but the store. */
void world_kill_engine(struct scripted_world *world);
/* names: up to WORLD_MAX_NAMES, ended by NULL; the strings must be literals. */
struct world_order *world_order(struct scripted_world *world, const char *name, ...);
/* Orders once more what has been ordered before. */
void world_order_again(struct world_order *wanted);
/* Until nothing is left to happen, or max_events. */
void world_run(struct scripted_world *world, uint64_t max_events);
/* One thing that happens: an answer, an acknowledgement, or time. False: nothing is left to happen. */
bool world_turn(struct scripted_world *world);
/* A crash, and a new process that wants the same. */
void world_crash(struct scripted_world *world);
/* acme_world's wake_at. */
void world_wake_at(void *ctx, int64_t mono_ms);

#endif
