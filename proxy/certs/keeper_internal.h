/* What the parts of the keeper share: keeper.c (life, time, views), keeper_load.c (what the store holds, the right to
 * write), keeper_renewal.c (when), keeper_order.c (orders and their failure), keeper_commit.c (what became of one),
 * keeper_state.c (what is remembered of a name), keeper_engine.c (the engine), keeper_publish.c (certsets and
 * acknowledgement), keeper_local.c (placeholders and the local CA), keeper_config.c (which names there are). Control thread. */
#ifndef CERTS_KEEPER_INTERNAL_H
#define CERTS_KEEPER_INTERNAL_H

#include "acme/acme.h"
#include "base/list.h"
#include "base/map.h"
#include "certs/alarm.h"
#include "certs/due_queue.h"
#include "certs/keeper.h"
#include "certs/name_state.h"

enum {
    KEEPER_ACKNOWLEDGE_MS = 5000, /* every worker serves a challenge's answer by then, or the order fails */
    KEEPER_LOOK_MS = 60000,       /* the wall clock is read again at least so often */
    KEEPER_SKEW_MS = 5000,        /* it has been set where it moved by this against the monotonic one */
    KEEPER_RELOAD_MS = 10000,     /* an unreadable store is read again */
    KEEPER_STANDBY_MS = 2000,     /* the right to write is not granted by then: we are a standby, and say so */
    KEEPER_LOOKS_A_TURN = 32,     /* names: each may cost a key and a signature, and the loop must not wait for all */
    KEEPER_STATE_BATCH = 16       /* LIMIT_STORE_WRITES */
};

enum name_kind {
    NAME_ACME,     /* ordered from the CA */
    NAME_INTERNAL, /* signed by the local CA */
    NAME_OWN       /* TLS_CERT covers it, or nothing does */
};

/* A new certificate on its way to the store. */
struct name_save {
    struct store_call call;
    struct buf record;      /* SECRET: certificate/NAME; len 0: nothing is to be stored */
    struct buf journal_key; /* goes in the same commit */
    struct cert *cert;      /* held until it is served */
    struct buf directory_url;
    int64_t retry_ms; /* wall clock: not before */
    bool busy;
};

struct keeper_name {
    struct keeper *keeper;
    struct slice text; /* owned */
    enum name_kind kind;
    struct cert *cert;          /* served; NULL before the store has answered */
    struct buf directory_url;   /* of a CERT_ISSUED */
    uint64_t record_generation; /* of its record: counts its certificates */
    bool stored;                /* the last complete load found its record */
    bool unreadable;            /* its record may be there, but cannot be read: nothing is ordered */
    struct due due;             /* in keeper->due, by wall clock: when to look at it again */
    struct acme_order *order;   /* runs */
    int64_t next_attempt_ms;    /* wall clock; 0: none is planned */
    struct keeper_attempts attempts;
    struct name_state state;
    struct list dirty; /* in keeper->dirty: the state is to be stored */
    struct name_save save;
    struct list announced; /* in keeper->announcing */
    uint64_t announced_in; /* generation; 0: in the draft */
    int64_t announced_ms;  /* monotonic */
    struct list refresh;   /* in keeper->refreshing: its record has changed */
    bool fresh;            /* a reload brought it, and what the store has of it is not known yet */
    struct list leaving;   /* in keeper->leaving: a reload took it away, and something of it is still being stored */
};

/* What is being read. ROOT_WAIT: there is no local root yet, and who may make one is not known yet, or it is being stored. */
enum keeper_stage { STAGE_IDLE, STAGE_CERTIFICATES, STAGE_STATES, STAGE_ROOT, STAGE_ROOT_WAIT };

struct internal_ca;

struct keeper {
    struct keeper_world world;
    const struct config *config;
    struct acme *acme;          /* NULL: no name is ordered */
    struct cert *own;           /* TLS_CERT, or NULL */
    struct keeper_name **names; /* in the order of the configuration */
    size_t num_names;
    struct map by_name;
    struct list leaving; /* of struct keeper_name: neither in names nor in by_name */
    bool has_internal;
    bool closing;

    /* time */
    struct due_queue due;
    struct alarm engine; /* acme_wake */
    struct alarm look;   /* names, tickets, and the clock itself */
    int64_t looked_wall_ms, looked_mono_ms;
    int64_t tickets_due_ms; /* monotonic; 0: no tickets */

    /* the store */
    struct store_watch watch;
    struct store_lock lock;
    struct store_call load_call;
    enum keeper_stage stage; /* what load_call asks for */
    struct tick reload, standby;
    bool loaded, readable, writer, stopped;
    bool settled;       /* every name has a certificate of some kind: the first publication may go */
    bool standby_known; /* the right to write has been granted, or was not within KEEPER_STANDBY_MS */
    enum store_result read_result, said_result;
    struct buf storage_sentence;
    enum store_result writing; /* what the store says of it */
    bool durability_said, standby_said;
    struct list refreshing;
    struct store_call refresh_call;
    bool refresh_busy;
    struct buf refresh_key;
    struct list dirty;
    struct store_call state_call;
    struct keeper_name *state_batch[KEEPER_STATE_BATCH];
    size_t num_state_batch; /* 0: no call runs */

    /* the local CA */
    struct internal_ca *root;     /* NULL: not known */
    struct internal_ca *new_root; /* on its way to the store */
    struct store_call root_call;
    bool root_busy, root_absent;

    /* publication */
    struct certset *set;   /* what was published last */
    struct certset *draft; /* what will be, at the end of this turn; NULL: nothing has changed */
    struct deferred publish;
    uint64_t generation, acknowledged;
    struct list publications; /* of struct keeper_publication: challenges */
    struct list announcing;   /* of struct keeper_name */

    struct grave grave;
};

/* keeper.c */
int64_t keeper_wall_ms(const struct keeper *keeper);
int64_t keeper_mono_ms(const struct keeper *keeper);
uint32_t keeper_random(void);
/* Looks at the name in this turn, or at that wall-clock time. */
void keeper_look_soon(struct keeper_name *name);
void keeper_look_at(struct keeper_name *name, int64_t wall_ms);
/* At all of them. */
void keeper_look_all(struct keeper *keeper);
/* A failure of the keeper's own that a person should read. */
void keeper_log_failure(struct keeper *keeper, const char *event, struct slice name, struct err err,
                        const char *sentence);

/* keeper_config.c */
/* The names of keeper->config, those that are there already kept. */
void keeper_set_names(struct keeper *keeper);
bool keeper_orders(const struct keeper *keeper);
/* Frees what has left where nothing of it is under way any more. */
void keeper_sweep_leaving(struct keeper *keeper);
/* Frees all names, whatever is under way. */
void keeper_free_names(struct keeper *keeper);
static inline bool name_is_leaving(const struct keeper_name *name)
{
    return name->leaving.next != &name->leaving;
}
/* TLS_CERT of the configuration, tried in a handshake; NULL where there is none. */
MUST_CHECK struct err keeper_own_of(const struct config *config, struct cert **out_cert, struct buf *out_mistake);

/* keeper_load.c */
void keeper_load_init(struct keeper *keeper);
void keeper_load_start(struct keeper *keeper);
void keeper_load_stop(struct keeper *keeper);
/* Reads all records once more. */
void keeper_load_again(struct keeper *keeper);
/* The local root is there, or will not come now. */
void keeper_root_settled(struct keeper *keeper);
/* Builds a certificate from a chain's and a key's PEM. */
struct chain;
MUST_CHECK struct err keeper_make_cert(enum cert_source source, const struct chain *chain,
                                       const struct evp_pkey_st *key, struct cert **out_cert);

/* keeper_engine.c */
MUST_CHECK struct err keeper_engine_new(struct keeper *keeper, struct buf *out_mistake);
/* Whether one could be made of the configuration. */
MUST_CHECK struct err keeper_engine_check(const struct keeper *keeper, const struct config *config,
                                          struct buf *out_mistake);
/* Abandons every order; their journals stay, so that the next engine goes on from there. */
void keeper_engine_free(struct keeper *keeper);

/* keeper_renewal.c */
bool name_has_issued(const struct keeper_name *name);
/* Chooses when `cert`, the one served or about to be, is replaced: once for each certificate. */
void keeper_renewal_choose(struct keeper_name *name, const struct cert *cert, int64_t now_ms);
/* Wall clock from which on a new certificate is wanted; 0: now. */
int64_t keeper_renewal_wanted_ms(struct keeper_name *name, int64_t now_ms);

/* keeper_order.c */
/* Orders where it is time; returns the wall clock of the next look, INT64_MAX for none. */
int64_t keeper_order_look(struct keeper_name *name, int64_t now_ms);
/* A failure of our own, whose cause `sentence` tells. */
void keeper_order_fail_local(struct keeper_name *name, const char *step, struct err err, const char *sentence);
/* Ends the name's order without a trace but its journal. */
void keeper_order_cancel(struct keeper_name *name);
/* Ends all orders so. */
void keeper_order_cancel_all(struct keeper *keeper);
/* What can be written may work again. */
void keeper_order_forgive_local(struct keeper *keeper);
/* Names that failed because of the account, or of the way to the CA, may be tried at once. */
void keeper_order_forgive_engine(struct keeper *keeper);
void keeper_name_cleanup(struct keeper_name *name);

/* keeper_commit.c */
/* What the CA has issued: tried, stored, served. */
void keeper_commit_issued(struct keeper_name *name, const struct acme_result *result);
/* Stores name->save.record once more. */
void keeper_commit_save(struct keeper_name *name);
void keeper_commit_forget(struct keeper_name *name);

/* keeper_state.c */
void keeper_state_init(struct keeper *keeper);
/* state/NAME */
void keeper_state_key(const struct keeper_name *name, struct buf *out);
void keeper_state_dirty(struct keeper_name *name);
/* Stores what is dirty, where we may. */
void keeper_state_flush(struct keeper *keeper);

/* keeper_publish.c */
void keeper_publish_init(struct keeper *keeper);
void keeper_publish_stop(struct keeper *keeper);
/* The next certset, to be changed; it is published at the end of the turn. */
struct certset *keeper_draft(struct keeper *keeper);
/* Serves `cert` (one reference is taken over) from the next publication on. */
void keeper_serve(struct keeper_name *name, struct cert *cert, struct slice directory_url);
/* Says so in the log when every worker does. */
void keeper_announce(struct keeper_name *name);
/* The engine's callbacks; ctx is the keeper. */
void keeper_publish_challenge(void *ctx, struct acme_publication *asked);
void keeper_withdraw_challenge(void *ctx, struct acme_publication *asked);
void keeper_account_known(void *ctx, struct slice thumbprint);

/* keeper_local.c */
/* Gives the name a certificate of our own making where it has none or one that ends; returns the wall clock of the next
 * look, INT64_MAX for none. */
int64_t keeper_local_look(struct keeper_name *name, int64_t now_ms);
/* The record of the local root has come, or why not. */
void keeper_root_loaded(struct keeper *keeper, enum store_result result, struct slice value);
void keeper_root_free(struct keeper *keeper);

#endif
