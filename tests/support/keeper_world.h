/* keeper_world: one or more keepers in one process: a real loop, one clock that the test moves, a scripted CA, and a memory
 * store that they share by a lock, as processes share a directory. Everything that can happen at one instant has happened
 * when world_rest returns. */
#ifndef SUPPORT_KEEPER_WORLD_H
#define SUPPORT_KEEPER_WORLD_H

#include "certs/keeper_internal.h"
#include "memory_store.h"
#include "scripted_ca.h"

enum { WORLD_MAX_SIDES = 3 };

/* A fallback has to be a public CA. */
#define KW_FALLBACK "https://acme-v02.api.letsencrypt.org/dir"

/* What the sides share: records, and who may write. */
struct shelf_disk {
    struct memory_store memory;
    struct side *holder;
    enum store_result list_result; /* of list("certificate/"), with the records all the same; STORE_OK: no fault */
    bool list_hides;               /* and without them */
    const char *lost_prefix;       /* list() of it ends in lost_result, and without records; NULL: of none */
    enum store_result lost_result;
    enum store_result save_result;       /* of commits with a certificate; STORE_OK: no fault */
    enum store_result quarantine_result; /* of commits to a quarantine; STORE_OK: no fault */
    enum store_result root_result;       /* of reading and writing internal-ca; STORE_OK: no fault */
};

/* One process: a keeper and what it sees of the world. */
struct side {
    struct kw *world;
    struct store store;
    struct list calls;       /* of struct shelf_call: lists, and commits without the lock */
    struct store_lock *lock; /* asked for */
    struct store_watch *watch;
    struct keeper *keeper;
    struct config *config;
    struct certset *served; /* what was published last, or NULL */
    unsigned num_publications;
    bool acknowledges; /* at once */
};

struct kw {
    uv_loop_t uv;
    uv_async_t alive; /* keeps the loop alive: deadlines run in real time */
    struct net_loop *loop;
    struct clock clock;
    int64_t wall_ms, mono_ms;
    struct log *log;
    struct log_ring *ring;
    int log_fd;
    struct scripted_ca ca, behind; /* behind: of KW_FALLBACK */
    struct transport transport;    /* to both */
    struct asker *asker;           /* of ON_DEMAND_ASK; NULL, as at first: nobody is asked */
    struct shelf_disk disk;
    /* As keeper_world has them, ctx is the side; NULL: names are not looked at. For sides that begin from then on. */
    void (*look_at)(void *ctx, const struct preflight_question *question, struct preflight_run *run);
    void (*look_away)(void *ctx, struct preflight_run *run);
    struct side sides[WORLD_MAX_SIDES];
};

void kw_init(struct kw *world);
void kw_cleanup(struct kw *world);
/* A process begins: entries is an environment, NULL at the end; STORAGE, the directory and the terms are added. */
struct side *kw_start(struct kw *world, const char *const *entries);
/* The same, with the CA of DOMAINS="domains". */
struct side *kw_start_domains(struct kw *world, const char *domains);
/* A reload: the same process goes on with another environment. False, and nothing has changed: it cannot. */
bool kw_reload(struct side *side, const char *const *entries);
bool kw_reload_domains(struct side *side, const char *domains);
/* It ends in order, or (kill) without another word to store and CA. */
void kw_stop(struct side *side);
void kw_rest(struct kw *world);
/* One thing that happens at this instant; false: nothing is left to. */
bool kw_step(struct kw *world);
/* Moves both clocks, stopping wherever a keeper wants to be woken. */
void kw_pass(struct kw *world, int64_t ms);
/* The same, a step at a time, until *condition: states that do not last are seen. */
void kw_until(struct kw *world, const bool *condition);
/* Moves the clocks to what is due next, a minute at the most. */
void kw_tick_to_next(struct kw *world);
/* Real time, for what runs on the loop's own deadlines. */
void kw_wait_real(struct kw *world, int64_t ms);
/* How many log lines so far contain both texts (the second may be NULL). */
unsigned kw_logged(const struct kw *world, const char *text, const char *and);

/* The certificate that is served for the name, or NULL. Borrowed. */
const struct cert *side_serves(const struct side *side, const char *name);
/* A copy of its view; of its first line, where it has two. */
struct keeper_name_view side_view(const struct side *side, const char *name);

#endif
