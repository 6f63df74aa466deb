/* What the parts of the keeper share: keeper.c (life, time, views), keeper_load.c (what the store holds, the right to
 * write), keeper_renewal.c (when), keeper_ari.c (when the CA would like it), keeper_ledger.c (its limits), keeper_order.c (orders and their failure), keeper_commit.c (what became of one),
 * keeper_state.c (what is remembered of a name), keeper_engine.c (the engine), keeper_publish.c (certsets and
 * acknowledgement), keeper_challenge.c (answers to challenges), keeper_local.c (placeholders and leaves of the
 * local CA), keeper_root.c (its root), keeper_own.c (certificates of one's own), keeper_config.c (which names there are),
 * keeper_demand.c (those that clients bring), keeper_why.c (what the next order waits for). Control thread. */
#ifndef CERTS_KEEPER_INTERNAL_H
#define CERTS_KEEPER_INTERNAL_H

#include "acme/acme.h"
#include "acme/ari.h"
#include "base/list.h"
#include "base/map.h"
#include "certs/alarm.h"
#include "certs/demand.h"
#include "certs/due_queue.h"
#include "certs/export.h"
#include "certs/keeper.h"
#include "certs/name_state.h"
#include "certs/own_cert.h"
#include "certs/preflight.h"
#include "store/cert_record.h"

enum {
    KEEPER_ACKNOWLEDGE_MS = 5000, /* every worker serves a challenge's answer by then, or the order fails */
    KEEPER_LOOK_MS = 60000,       /* the wall clock is read again at least so often */
    KEEPER_SKEW_MS = 5000,        /* it has been set where it moved by this against the monotonic one */
    KEEPER_RELOAD_MS = 10000,     /* an unreadable store is read again */
    KEEPER_FOLLOW_MS = 1000,      /* a standby reads all again behind a name that it does not know */
    KEEPER_STANDBY_MS = 2000,     /* the right to write is not granted by then: we are a standby, and say so */
    KEEPER_LOOKS_A_TURN = 32,     /* names: each may cost a key and a signature, and the loop must not wait for all */
    KEEPER_STATE_BATCH = 16,      /* LIMIT_STORE_WRITES */
    KEEPER_CA_FAILURES = 3,       /* in a row: then the fallback is asked */
    KEEPER_QUARANTINE_LOOK_MS = 3600 * 1000,
    KEEPER_QUARANTINE_HOLD_S = 34 * 3600, /* ACME-106: the CA refills one of five identical certificates */
    KEEPER_PACED_LOOK_MS = 600 * 1000,    /* what the ledger holds back */
    KEEPER_ARI_RUNNING = 4,               /* questions for a renewal's window, at a time */
    KEEPER_ARI_FAILURES = 3               /* of them in a row: worth a word */
};

enum name_kind {
    NAME_ACME,     /* ordered from the CA */
    NAME_INTERNAL, /* signed by the local CA */
    NAME_OWN       /* a certificate of one's own covers it, or nothing does */
};

/* Where certificates are ordered: the configuration's own directory, and the one behind it (ACME_FALLBACK). */
enum issuer_rank { ISSUER_FIRST, ISSUER_FALLBACK, NUM_ISSUERS };

struct keeper_issuer {
    struct keeper *keeper;
    enum issuer_rank rank;
    struct acme *acme;  /* NULL: nothing is ordered there */
    struct alarm alarm; /* acme_wake */

    struct ledger ledger;
    struct buf ledger_url; /* of the directory that it is for; empty: ACME_LEDGER=off */
    struct store_call ledger_call;
    bool ledger_busy, ledger_dirty;
};

/* A new certificate on its way to the store. */
struct name_save {
    struct store_call call;
    struct buf record;      /* SECRET: certificate/NAME; len 0: nothing is to be stored */
    struct buf journal_key; /* goes in the same commit */
    struct cert *cert;      /* held until it is served */
    struct buf directory_url, profile;
    enum key_type key_type;
    int64_t retry_ms; /* wall clock: not before */
    bool busy;
};

/* What a CA has issued and does not work here: a clock that is wrong, a chain that leads nowhere. Kept until it does, or
 * until another may be ordered. */
struct name_quarantine {
    struct buf record; /* SECRET: of certificate/NAME, in quarantine/NAME; len 0: there is none */
    bool stored;       /* so that it has to be removed */
    int64_t until_ms;  /* wall clock: nothing is ordered before */
    int64_t look_ms;   /* wall clock: it is tried again */
    struct store_call call;
    bool busy;
    int64_t retry_ms; /* wall clock: it is stored again, where that failed */
};

/* What we see of the name ourselves, before the CA does: keeper_preflight.c. */
struct name_preflight {
    struct preflight_run run;
    bool bad;           /* as it was seen last */
    int64_t begun_ms;   /* wall clock: the first look was wanted then; 0: none was */
    int64_t next_ms;    /* wall clock: not looked at again before; 0: it was not looked at yet */
    int64_t hold_ms;    /* wall clock: the first order waits until then at the longest; 0: it was not held */
    unsigned num_known; /* keeper->num_accounts_known when it began */
};

/* A question that runs, where query.call.acme is set. */
struct ari_slot {
    struct acme_ari_query query;
    struct keeper_name *name;
};

/* Somebody wants a new certificate now: our own back-off is passed over, or the CA's Retry-After too. */
enum name_asked { NAME_NOT_ASKED, NAME_ASKED, NAME_FORCED };

/* One line of certificates: a name, and the key type that they have. A name has a second line where ACME_KEY_TYPE has two:
 * each is ordered, stored and renewed by itself, and both are served. */
struct keeper_name {
    struct keeper *keeper;
    struct slice record;       /* owned: what its records are called, in keeper->by_name: the name, or NAME:rsa */
    struct slice text;         /* the name: a view of record */
    enum key_type key_type;    /* of the next certificate */
    struct keeper_name *other; /* the other line of the name, or NULL */
    bool second;               /* a line beside the name's own: no certificate of our own making is for it */
    enum name_kind kind;
    bool local;               /* no public CA signs it, and none behind our own is asked to */
    struct cert *cert;        /* served; NULL before the store has answered */
    bool shown;               /* to clients; not where it has ended and the other line has one */
    struct buf directory_url; /* of a CERT_ISSUED, as are the next two */
    struct buf profile;
    enum key_type cert_key_type;
    uint64_t record_generation; /* of its record: counts its certificates */
    bool stored;                /* the last complete load found its record */
    bool unreadable;            /* its record may be there, but cannot be read: nothing is ordered */
    struct due due;             /* in keeper->due, by wall clock: when to look at it again */
    struct acme_order *order;   /* runs */
    enum issuer_rank rank;      /* where the last one was */
    bool wants_new;             /* asked for, and not issued since */
    enum name_asked asked;      /* of the next attempt alone */
    struct name_quarantine quarantine;
    enum ledger_kind ledger_kind; /* of the last one */
    bool ledger_open;             /* it runs, and is counted */
    enum ledger_limit paced_by;   /* what the next one waits for, as it was said */
    struct list ari_waiting;      /* in keeper->ari_waiting: for a slot */
    int64_t next_attempt_ms;      /* wall clock; 0: none is planned */
    struct keeper_attempts attempts;
    struct name_state state;
    struct name_preflight preflight;
    struct list dirty; /* in keeper->dirty: the state is to be stored */
    struct name_save save;
    struct list announced; /* in keeper->announcing */
    uint64_t announced_in; /* generation; 0: in the draft */
    int64_t announced_ms;  /* monotonic */
    struct list refresh;   /* in keeper->refreshing: its record has changed */
    unsigned root_edition; /* whose leaf the certificate is, of a CERT_INTERNAL */
    uint64_t beside_id;    /* of a CERT_OWN: cert.id of what is served beside it; 0: nothing is */
    bool on_demand;        /* of ON_DEMAND_ASK, not of the configuration */
    bool dropped;          /* and about to go */
    int64_t allowed_ms;    /* monotonic: when it was last; 0: not in this process */
    int64_t ask_at_ms;     /* wall clock: not before */
    bool reviewing;
    struct demand_review review;
    struct list demand_loading; /* in keeper->demand.loading */
    bool fresh;                 /* a reload brought it, and what the store has of it is not known yet */
    struct list leaving; /* in keeper->leaving: a reload took it away, and something of it is still being stored */
};

/* What is being read. ROOT_WAIT: there is no local root yet, and who may make one is not known yet, or it is being stored. */
enum keeper_stage {
    STAGE_IDLE,
    STAGE_CERTIFICATES,
    STAGE_STATES,
    STAGE_QUARANTINES,
    STAGE_BANS,
    STAGE_LEDGERS,
    STAGE_ROOT,
    STAGE_ROOT_WAIT
};

struct internal_ca;

/* Names that clients brought. */
struct keeper_demand {
    struct demand *demand; /* NULL: nobody can be asked */
    size_t num_names;
    struct list loading; /* of struct keeper_name: what the store has of them is not known yet */
    struct keeper_name *loading_name;
    struct store_call load_call;
    bool load_busy, loads_state;
    struct buf key;
    struct store_call forget_call;
    bool forget_busy;
    struct deferred sweep;
};

struct keeper {
    struct keeper_world world;
    const struct config *config;
    struct keeper_issuer issuers[NUM_ISSUERS];
    struct own_certs *own;      /* held; TLS_CERT and TLS_CERT_DIR */
    struct keeper_name **names; /* in the order of the configuration */
    size_t num_names;
    struct map by_name;  /* by their records */
    struct list leaving; /* of struct keeper_name: neither in names nor in by_name */
    struct ari_slot ari[KEEPER_ARI_RUNNING];
    struct list ari_waiting; /* of struct keeper_name */
    bool first_fails;        /* some name has counted a failure of the first CA's since that issued last */
    bool has_internal;
    bool closing;

    /* time */
    struct due_queue due;
    struct alarm look; /* names, tickets, and the clock itself */
    int64_t looked_wall_ms, looked_mono_ms;
    int64_t tickets_due_ms; /* monotonic; 0: no tickets */

    /* the store */
    struct store_watch watch;
    struct store_lock lock;
    struct store_call load_call;
    enum keeper_stage stage; /* what load_call asks for */
    struct tick reload, standby;
    bool loaded, readable, writer, stopped;
    bool lists_readable; /* quarantine/ and banned-key/ are known wholly: only what would lapse is ordered otherwise */
    bool said_lists;     /* that they are not */
    bool settled;        /* every name has a certificate of some kind: the first publication may go */
    bool standby_known;  /* the right to write has been granted, or was not within KEEPER_STANDBY_MS */
    enum store_result read_result, said_result;
    struct buf storage_sentence;
    enum store_result writing; /* what the store says of it */
    int64_t forgiven_ms;       /* monotonic: when a disk that was written again was last taken for a new beginning */
    bool durability_said, standby_said;
    struct list refreshing;
    struct store_call refresh_call;
    bool refresh_busy;
    struct buf refresh_key;
    struct list dirty;
    struct store_call state_call;
    struct keeper_name *state_batch[KEEPER_STATE_BATCH];
    struct list last_states; /* of struct state_last: when we stopped */
    size_t num_state_batch;  /* 0: no call runs */

    /* the local CA */
    struct internal_ca *root;     /* NULL: not known */
    unsigned root_edition;        /* counts the roots that there were */
    bool root_given;              /* INTERNAL_CA: the store's is not used */
    struct internal_ca *new_root; /* on its way to the store */
    struct store_call root_call;
    bool root_busy, root_absent;

    /* keys that are never to be used again */
    struct map bans; /* SHA-256 of the SubjectPublicKeyInfo, in hexadecimal, to the keeper */
    struct list ban_writes;

    /* publication */
    struct certset *set;   /* what was published last */
    struct certset *draft; /* what will be, at the end of this turn; NULL: nothing has changed */
    struct deferred publish;
    uint64_t generation, acknowledged;
    struct buf
        thumbprint; /* by which preflights know our answers: the account's, or of no account until there is one */
    uint64_t thumbprint_in;      /* generation that has it */
    unsigned num_accounts_known; /* how often it has changed */
    struct list publications;    /* of struct keeper_publication: challenges */
    struct list announcing;      /* of struct keeper_name */

    struct list commands; /* of struct keeper_command, also of those that have ended */
    size_t num_commands;
    uint64_t last_command;
    struct keeper_issuer *rehearsal; /* of the dry run that is under way; NULL: none is */
    struct list revocations;         /* of struct keeper_revocation: those that the CA has not confirmed */
    struct store_call revocations_call;
    bool revocations_busy;

    struct keeper_demand demand;

    struct grave grave;
};

static inline int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t greatest(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* keeper.c */
int64_t keeper_wall_ms(const struct keeper *keeper);
int64_t keeper_mono_ms(const struct keeper *keeper);
uint32_t keeper_random(void);
uint64_t keeper_random64(void);
/* Looks at the name in this turn, or at that wall-clock time. */
void keeper_look_soon(struct keeper_name *name);
void keeper_look_at(struct keeper_name *name, int64_t wall_ms);
/* At all of them. */
void keeper_look_all(struct keeper *keeper);
/* A failure of the keeper's own that a person should read. */
void keeper_log_failure(struct keeper *keeper, const char *event, struct slice name, struct err err,
                        const char *sentence);

/* keeper_commands.c */
void keeper_commands_init(struct keeper *keeper);
/* How they stand, behind whatever may have changed it. */
void keeper_commands_look(struct keeper *keeper);
void keeper_commands_free(struct keeper *keeper);
/* What was asked of the engines has ended without an answer. */
void keeper_commands_engines_gone(struct keeper *keeper);
/* This process orders no more. */
void keeper_commands_stop(struct keeper *keeper);

/* keeper_revoke.c */
/* Those that an earlier process has not brought to an end. */
void keeper_revocations_load(struct keeper *keeper);
void keeper_revocations_look(struct keeper *keeper);
/* Another process goes on with them. */
void keeper_revocations_free(struct keeper *keeper);
void keeper_revocations_engines_gone(struct keeper *keeper);

/* keeper_config.c */
/* The names of keeper->config, those that are there already kept. */
void keeper_set_names(struct keeper *keeper);
bool keeper_orders(const struct keeper *keeper);
/* The lines of a name that is not in the configuration; returns the first. */
struct keeper_name *keeper_add_on_demand(struct keeper *keeper, struct slice text);
/* Those that are marked as dropped. */
void keeper_remove_dropped(struct keeper *keeper);
/* Frees what has left where nothing of it is under way any more. */
void keeper_sweep_leaving(struct keeper *keeper);
/* Frees all names, whatever is under way. */
void keeper_free_names(struct keeper *keeper);
static inline bool name_is_leaving(const struct keeper_name *name)
{
    return name->leaving.next != &name->leaving;
}

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

/* Of one name. */
void keeper_take_record(struct keeper_name *name, struct slice value);
void keeper_take_state(struct keeper_name *name, struct slice value);

/* keeper_demand.c */
void keeper_demand_init(struct keeper *keeper);
/* Before the names are freed. */
void keeper_demand_stop(struct keeper *keeper);
void keeper_demand_apply(struct keeper *keeper, struct slice url_before);
bool config_orders_on_demand(const struct config *config);
/* The line of a stored certificate that no name of the configuration has: made where it is an on-demand name's; or NULL. */
struct keeper_name *keeper_demand_find_record(struct keeper *keeper, struct slice record, struct slice value);
/* Wall clock from which on an on-demand name may be ordered; INT64_MAX: that is being asked. 0 for other names. */
int64_t keeper_demand_allows_ms(struct keeper_name *name, int64_t now_ms);
/* The name leaves. */
void keeper_demand_let_go(struct keeper_name *name);

/* keeper_engine.c */
void keeper_engines_init(struct keeper *keeper);
/* One without an engine yet, and what an engine of it asks of us (for keeper_dry_run.c, which has one of its own). */
void keeper_issuer_init(struct keeper_issuer *issuer, struct keeper *keeper, enum issuer_rank rank);
struct acme_world keeper_engine_world(struct keeper_issuer *issuer);
/* One for each directory of the configuration; all or none. */
MUST_CHECK struct err keeper_engines_new(struct keeper *keeper, struct buf *out_mistake);
/* Whether they could be made of the configuration. */
MUST_CHECK struct err keeper_engines_check(const struct keeper *keeper, const struct config *config,
                                           struct buf *out_mistake);
/* Abandons every order; their journals stay, so that the next engines go on from there. */
void keeper_engines_free(struct keeper *keeper);
static inline bool keeper_has_engines(const struct keeper *keeper)
{
    return keeper->issuers[ISSUER_FIRST].acme != NULL;
}
/* Empty where there is none of that rank. */
struct slice config_directory_of(const struct config *config, enum issuer_rank rank);
static inline struct slice issuer_directory(const struct keeper_issuer *issuer)
{
    return config_directory_of(issuer->keeper->config, issuer->rank);
}
/* The one that orders from this directory, or NULL: a certificate's own issuer, for all that is asked of it later. */
struct keeper_issuer *keeper_issuer_of(struct keeper *keeper, struct slice directory_url);

/* keeper_setup.c */
/* What of the configuration concerns an order. */
struct order_setup {
    enum acme_challenge challenges[NUM_ACME_CHALLENGES];
    size_t num_challenges;
    struct slice profiles[LIMIT_PROFILES + 1];
    size_t num_profiles;
};
/* Views into the configuration. */
void name_setup(const struct keeper_name *name, struct order_setup *out_setup);
/* All that may make a CA change its mind, as text to compare. */
void name_setup_write(const struct keeper_name *name, struct buf *out);
/* What kind of certificate is wanted, and of whom, as text to compare. */
void name_wishes_write(const struct keeper_name *name, struct buf *out);
/* Whether the certificate that it has, a CERT_ISSUED, is of the kind that would be ordered now, or from the fallback. */
bool name_suits_config(const struct keeper_name *name);
enum key_type key_type_of_config(enum config_key_type type);

/* keeper_lines.c */
/* The lines of a name that a CA signs, as records' names; returns how many. The first is the name's own. */
size_t keeper_lines_of(const struct config *config, struct slice text, struct buf records[CONFIG_KEY_TYPES],
                       enum key_type key_types[CONFIG_KEY_TYPES]);
/* What the engine calls the journal: one for each directory, so that no order is lost by asking the other CA. */
void keeper_order_record(const struct keeper_name *name, enum issuer_rank rank, struct buf *out);
/* Tells the next certset what clients of this name are shown, of all its lines. */
void keeper_offer(struct keeper_name *name);
/* Tells it anew where one of two certificates has ended meanwhile; returns as keeper_local_look. */
int64_t keeper_offer_look(struct keeper_name *name, int64_t now_ms);
/* Whether the other line has a certificate that clients accept, so that nothing needs to be made up for this one. */
bool name_is_covered_beside(const struct keeper_name *name);

/* keeper_renewal.c */
bool name_has_issued(const struct keeper_name *name);
/* Chooses when `cert`, the one served or about to be, is replaced: once for each certificate. */
void keeper_renewal_choose(struct keeper_name *name, const struct cert *cert, int64_t now_ms);
/* Of the certificate served, by the setting that is in force. */
bool keeper_renewal_is_chosen(const struct keeper_name *name);
/* The CA's window was past from the first, as was that of the certificate before: the schedule counts, by the certificate's age. */
bool keeper_renewal_ignores_window(const struct keeper_name *name);
/* Where it has been chosen. */
struct renewal_plan keeper_renewal_plan(const struct keeper_name *name);
/* Wall clock from which on a new certificate is wanted; 0: now. */
int64_t keeper_renewal_wanted_ms(struct keeper_name *name, int64_t now_ms);
/* An order is placed: notes whether the CA's window is met, which it says. predecessor: it replaces the certificate served. */
const char *keeper_renewal_note_order(struct keeper_name *name, bool predecessor, int64_t now_ms);

/* keeper_ari.c */
/* Asks where it is time; returns the wall clock of the next look, INT64_MAX for none. */
int64_t keeper_ari_look(struct keeper_name *name, int64_t now_ms);
void keeper_ari_cancel(struct keeper_name *name);
void keeper_ari_cancel_all(struct keeper *keeper);
/* The certificate's id (RFC 9773); false where it has none. */
bool keeper_ari_id(const struct cert *cert, struct buf *out);

/* keeper_ledger.c */
/* For the directory that the configuration has now. */
void keeper_ledger_begin(struct keeper_issuer *issuer);
void keeper_ledger_end(struct keeper_issuer *issuer);
/* The records below ledger/ have come. */
void keeper_ledger_take(struct keeper *keeper, const struct store_record *records, size_t num_records);
/* Stores what has changed, where we may. */
void keeper_ledger_flush(struct keeper *keeper);
/* Wall clock from which on the CA's limits allow an order. */
int64_t keeper_ledger_allows_ms(struct keeper_name *name, enum issuer_rank rank, int64_t now_ms);
/* An order is placed. */
void keeper_ledger_open(struct keeper_name *name, enum issuer_rank rank, int64_t now_ms);
/* It has ended so; NULL: it was canceled, and goes on elsewhere. Harmless where none is open. */
void keeper_ledger_close(struct keeper_name *name, const struct acme_result *result);

/* keeper_order.c */
/* Orders where it is time; returns the wall clock of the next look, INT64_MAX for none. */
int64_t keeper_order_look(struct keeper_name *name, int64_t now_ms);
/* Wall clock of the next attempt, where nothing is in the way. */
int64_t keeper_order_at_ms(struct keeper_name *name, int64_t now_ms);
/* A failure of our own, whose cause `sentence` tells. */
void keeper_order_fail_local(struct keeper_name *name, const char *step, struct err err, const char *sentence);
/* The order is done: nothing is held against the name any more. */
void keeper_order_succeeded(struct keeper_name *name);
/* Ends the name's order without a trace but its journal. */
void keeper_order_cancel(struct keeper_name *name);
/* Ends all orders so. */
void keeper_order_cancel_all(struct keeper *keeper);
/* What can be written may work again. */
void keeper_order_forgive_local(struct keeper *keeper);
/* Names that failed because of the account, or of the way to the CA, may be tried at once. */
void keeper_order_forgive_engine(struct keeper *keeper);
void keeper_name_cleanup(struct keeper_name *name);

/* keeper_why.c */
enum keeper_why keeper_why_next(const struct keeper_name *name);

/* keeper_preflight.c */
/* Tokens are answered from now on, be it with the thumbprint of no account: a preflight knows it. */
void keeper_preflight_begin(struct keeper *keeper);
void keeper_preflight_account_known(struct keeper *keeper, struct slice thumbprint);
/* Looks at the name where it is time. *next_ms: when it would be ordered; put off where that should wait. Returns the wall
 * clock of the next look, INT64_MAX for none. */
int64_t keeper_preflight_look(struct keeper_name *name, int64_t now_ms, int64_t *next_ms);
void keeper_preflight_cancel(struct keeper_name *name);

/* keeper_commit.c */
/* What the CA has issued: tried, stored, served. */
void keeper_commit_issued(struct keeper_name *name, const struct acme_result *result);
/* A certificate that has been tried, with its record, as text (taken over, as is `cert`) and read: stored and served.
 * journal_key: what goes in the same commit; empty: nothing. */
void keeper_commit(struct keeper_name *name, struct cert *cert, const struct cert_record *origin, struct buf *record,
                   struct slice journal_key);
/* What is stored of a certificate, as text: a secret. */
MUST_CHECK struct err keeper_write_record(const struct keeper_name *name, const struct acme_result *result,
                                          struct buf *out);
/* Builds the certificate of a record and tries all that must be true before it is served (ACME-61, a handshake, no key that
 * must not be used again). *out_record has views into `value` and the arena. */
MUST_CHECK struct err keeper_try_record(const struct keeper_name *name, struct slice value, struct arena *arena,
                                        struct cert_record *out_record, struct cert **out_cert);
/* Stores name->save.record once more. */
void keeper_commit_save(struct keeper_name *name);
void keeper_commit_forget(struct keeper_name *name);

/* keeper_quarantine.c */
/* Keeps what was refused, where there is anything to keep; the journal of its order goes. Before keeper_order_fail. */
void keeper_quarantine_take(struct keeper_name *name, const struct acme_result *result);
/* The record quarantine/NAME. */
void keeper_quarantine_loaded(struct keeper_name *name, struct slice value);
/* Tries what is kept where it is time, and serves it where it works now. Returns the wall clock of the next look; *out_hold_ms:
 * nothing is to be ordered before (0: it may be). */
int64_t keeper_quarantine_look(struct keeper_name *name, int64_t now_ms, int64_t *out_hold_ms);
/* Something has changed, such as the clock: tries at the next look. */
void keeper_quarantine_try_all(struct keeper *keeper);
/* quarantine/NAME */
void keeper_quarantine_key(const struct keeper_name *name, struct buf *out);
/* Another certificate is served: nothing is kept any more. The record is for the caller's commit to remove. */
void keeper_quarantine_drop(struct keeper_name *name);
void keeper_quarantine_cleanup(struct keeper_name *name);

/* keeper_bans.c */
void keeper_bans_loaded(struct keeper *keeper, const struct store_record *records, size_t num_records);
/* Whether the certificate's key is one that must not be used. */
bool keeper_cert_is_banned(const struct keeper *keeper, const struct cert *cert);
/* As keeper_ban_key, by the key itself. */
void keeper_ban_key_of(struct keeper *keeper, const struct evp_pkey_st *key);
/* Stores what is not stored yet, where we may. */
void keeper_bans_flush(struct keeper *keeper);
void keeper_bans_init(struct keeper *keeper);
void keeper_bans_cleanup(struct keeper *keeper);

/* keeper_state.c */
void keeper_state_init(struct keeper *keeper);
/* state/NAME */
void keeper_state_key(const struct keeper_name *name, struct buf *out);
void keeper_state_dirty(struct keeper_name *name);
/* Stores what is dirty, where we may. */
void keeper_state_flush(struct keeper *keeper);
/* All of it, before the right to write is given up: whoever comes next must not begin anew at the CA. */
void keeper_state_flush_last(struct keeper *keeper);
void keeper_state_stop(struct keeper *keeper);

/* keeper_publish.c */
void keeper_publish_init(struct keeper *keeper);
void keeper_publish_stop(struct keeper *keeper);
/* The next certset, to be changed; it is published at the end of the turn. */
struct certset *keeper_draft(struct keeper *keeper);
/* Serves `cert` (one reference is taken over) from the next publication on. */
void keeper_serve(struct keeper_name *name, struct cert *cert, struct slice directory_url);
/* Says so in the log when every worker does. */
void keeper_announce(struct keeper_name *name);
/* The engine's callback; ctx is the keeper. */
void keeper_account_known(void *ctx, struct slice thumbprint);

/* keeper_challenge.c: the engine's callbacks; ctx is the keeper. */
void keeper_publish_challenge(void *ctx, struct acme_publication *asked);
void keeper_withdraw_challenge(void *ctx, struct acme_publication *asked);

/* keeper_local.c */
/* Gives the name a certificate of our own making where it has none or one that ends; returns the wall clock of the next
 * look, INT64_MAX for none. */
int64_t keeper_local_look(struct keeper_name *name, int64_t now_ms);

/* keeper_own.c */
/* Serves the name, which a certificate of one's own covers, with the best of them; returns as keeper_local_look. */
int64_t keeper_own_look(struct keeper_name *name, int64_t now_ms);
/* Whether one of those that cover it has a key that may be used; says so where none has. */
bool keeper_own_is_usable(const struct keeper_name *name);
/* The one to be served beside it for clients that cannot use its kind of key, or NULL. Borrowed. */
struct cert *keeper_own_beside(const struct keeper_name *name);

/* keeper_root.c */
/* INTERNAL_CA of the configuration; NULL where there is none. */
MUST_CHECK struct err keeper_root_of(const struct config *config, int64_t now_s, struct internal_ca **out_root,
                                     struct buf *out_mistake);
bool keeper_root_same(const struct config *a, const struct config *b);
/* Takes it over; NULL: the store's is to be loaded. Names are looked at by the caller. */
void keeper_root_replace(struct keeper *keeper, struct internal_ca *root);
/* The record of the local root has come, or why not. */
void keeper_root_loaded(struct keeper *keeper, enum store_result result, struct slice value);
void keeper_root_free(struct keeper *keeper);

#endif
