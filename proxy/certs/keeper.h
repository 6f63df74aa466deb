/* keeper: decides which certificate every name is served with, and when another is ordered.
 *
 * It reads what the store holds, orders through acme/acme.h, keeps schedule and back-off of each name in the store, and
 * builds the certsets that the workers serve; whoever made it hands those on. It owns the engine, every certificate and
 * the certset that was published last. Control thread. It never talks to a worker, opens no socket and no file, and never
 * ends the process: whatever a CA or a store does, a name that has a usable certificate goes on being served with it.
 *
 *   keeper_new -> keeper_start -> publish (once the store has answered; placeholders where it holds nothing)
 *              -> lock granted: orders, renewals, publications ... lock lost: standby, follows what others write
 *              -> keeper_stop_ordering (drain) -> keeper_close */
#ifndef CERTS_KEEPER_H
#define CERTS_KEEPER_H

#include "acme/problem.h"
#include "acme/store.h"
#include "acme/transport.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "certs/key_maker.h"
#include "config/config.h"
#include "net/net_loop.h"
#include "store/store_dir.h"
#include "tls/certset.h"

struct keeper;
struct preflight_question;
struct preflight_run;
struct dns_hook;
struct asker;

/* Copied by keeper_new; what it points at must outlive keeper_close. */
struct keeper_world {
    struct net_loop *loop;
    struct log_ring *log; /* NULL: no log */
    const struct clock *clock;
    struct store *store;
    struct transport *transport; /* to the CA (certs/ca_transport); NULL where config has no ACME directory */
    struct dns_hook *dns_hook;   /* of dns-01; NULL: none */
    struct asker *asker;         /* of ON_DEMAND_ASK; NULL: nobody is asked */
    struct dns *dns;             /* where the record of dns-persist-01 is looked for; NULL: nowhere */
    struct key_maker keys;       /* pool NULL: keys are made on the loop */
    struct export *export;       /* EXPORT_DIR; NULL: none */
    void *ctx;
    /* Hand this to every worker; one reference comes along. Generations grow. Called from the loop, never from within a
     * call of the keeper's. */
    void (*publish)(void *ctx, struct certset *set);
    /* preflight_start and preflight_cancel: names are looked at before the CA looks. NULL: they are not. */
    void (*look_at)(void *ctx, const struct preflight_question *question, struct preflight_run *run);
    void (*look_away)(void *ctx, struct preflight_run *run);
};

/* Reads certificates of one's own, INTERNAL_CA and ACME_ACCOUNT_KEY out of config, of which it holds a reference. On failure (they cannot
 * work: bad configuration) *out_mistake gets a sentence for a person that names the variable. Nothing runs yet. */
MUST_CHECK struct err keeper_new(const struct keeper_world *world, const struct config *config,
                                 struct keeper **out_keeper, struct buf *out_mistake);
/* Another configuration, on trial. */
struct keeper_change {
    const struct config *config; /* held */
    struct own_certs *own;       /* held */
    struct internal_ca *root;    /* owned: INTERNAL_CA where that is another than before; may be NULL */
    struct transport *transport; /* to the CA from then on; NULL: none */
    struct dns_hook *dns_hook;   /* the one that it has; whoever applies may put another */
};

/* Whether the keeper could go on with that configuration; it changes nothing. transport: the one that it has, or another.
 * On failure as keeper_new. STORAGE, ACME_DIRECTORY and the account's key are those that it has. */
MUST_CHECK struct err keeper_prepare(const struct keeper *keeper, const struct config *config,
                                     struct transport *transport, struct keeper_change *out_change,
                                     struct buf *out_mistake);
/* Goes on with it; takes the change over. Names that are new are looked up in the store and ordered; names that are gone are
 * not served from the next publication on and not renewed: their orders are abandoned, what is stored of them stays. Of the
 * transport that it had nothing is used any more. After the first publication. */
void keeper_apply(struct keeper *keeper, struct keeper_change *change);
void keeper_discard(struct keeper_change *change);
/* Asks the store for what it holds and for the right to write. The first publication follows as soon as the store has
 * answered, whatever it answers; it never waits for a CA. */
void keeper_start(struct keeper *keeper);
/* A draining process: runs no order any more, withdraws challenges and gives the right to write up, so that whoever
 * comes next can take over. Goes on serving. Idempotent. */
void keeper_stop_ordering(struct keeper *keeper);
/* After it nothing is called, and the keeper frees itself when the stack is empty. The store and the transport may be
 * freed right behind it. NULL is fine. */
void keeper_close(struct keeper *keeper);

/* Every live worker serves at least this generation: only then is a challenge posted to the CA (DESIGN.md,
 * "Acknowledged publication"), and a certificate said to be published. May be called from within publish. NULL is fine. */
void keeper_acknowledged(struct keeper *keeper, uint64_t generation);
/* A worker has answered HTTP-01 for this token (ACME-50). */
void keeper_challenge_seen(struct keeper *keeper, struct slice token);
/* What became of a wish for another certificate. */
enum keeper_renewal {
    KEEPER_RENEWS,          /* at *out_at_ms, or as soon as what is under way has ended */
    KEEPER_RENEWS_NO_NAME,  /* there is no such name here */
    KEEPER_RENEWS_NOT_OURS, /* nobody orders it by ACME */
    KEEPER_RENEWS_STANDBY   /* another process orders, or none may */
};

/* Orders the name anew, each of its certificates and each with a new key, however long they are still good: our own back-off
 * is passed over, but not what the CA has asked us to wait (force: that too, and the hold of a quarantine). Renews again a name
 * that is held. A certificate that is wanted so is wanted until it is issued, or the process ends. *out_at_ms (may be NULL):
 * wall clock of the attempt. */
enum keeper_renewal keeper_renew(struct keeper *keeper, struct slice name, bool force, int64_t *out_at_ms);
/* The name is not renewed any more, also behind a restart, until keeper_renew (ACME-120, reason 5). False: no such
 * name. */
bool keeper_hold(struct keeper *keeper, struct slice name);

/* No certificate with this key is ever served again, nor a TLS_CERT: it has been disclosed (ACME-120, reason 1). spki_sha256:
 * of the SubjectPublicKeyInfo. Stored as soon as we may write. */
void keeper_ban_key(struct keeper *keeper, const uint8_t spki_sha256[KEY_SHA256_BYTES]);
bool keeper_key_is_banned(const struct keeper *keeper, const uint8_t spki_sha256[KEY_SHA256_BYTES]);

/* A client asked for a name that no certset has: lower case, LDH; and its address in text. Where ON_DEMAND_ASK is set, and
 * what guards it allows it (certs/demand), the name becomes one of ours. */
void keeper_name_wanted(struct keeper *keeper, struct slice name, struct slice client);
/* What store_dir says of itself, whenever it says it: why nothing can be written, how durable the storage is. */
void keeper_storage_reported(struct keeper *keeper, const struct store_dir_report *report);

/* Looks at every clock at once instead of within a minute: behind a suspended machine, and in tests. */
void keeper_look_now(struct keeper *keeper);

/* How it stands. */
struct keeper_state {
    bool loaded;         /* the store has answered: startupz */
    bool writer;         /* we hold the right to write; else a standby */
    bool store_readable; /* false: what is stored is unknown, and nothing is ordered from a public CA */
    uint64_t generation; /* of the last publication */
    uint64_t acknowledged;
    size_t num_names, num_placeholders, num_running;
    size_t num_lines;      /* of keeper_some */
    struct slice sentence; /* what is wrong with the storage, for a person; empty where nothing is */
};

struct keeper_state keeper_state(const struct keeper *keeper);

enum { KEEPER_NUM_CLASSES = PROBLEM_LOCAL + 1 };

/* Since the start of the process. */
struct keeper_attempts {
    uint32_t num_issued;
    uint32_t num_failed[KEEPER_NUM_CLASSES]; /* by enum problem_class */
};

/* When the CA would like the certificate to be replaced (RFC 9773). Wall clock; end_ms 0: it does not say. */
struct keeper_window {
    int64_t start_ms, end_ms;
    int64_t chosen_ms;        /* within */
    const char *reason;       /* "window": it is renewed then; "floor": that is too late, and it is renewed before */
    struct slice explanation; /* URL of why, or empty */
    const char *last_order;   /* "met", "missed": whether the last renewal came within its window; "none" */
};

/* Why the next attempt is when it is, or why there is none. */
enum keeper_why {
    KEEPER_WHY_NONE,  /* nothing is planned, or an order runs */
    KEEPER_WHY_FIRST, /* there is no certificate yet */
    KEEPER_WHY_WINDOW,
    KEEPER_WHY_FLOOR, /* the CA's window is later than it may wait */
    KEEPER_WHY_AGE,   /* the CA names no window */
    KEEPER_WHY_CONFIGURATION,
    KEEPER_WHY_ASKED,
    KEEPER_WHY_RETRY,       /* our own back-off */
    KEEPER_WHY_RETRY_AFTER, /* the CA's */
    KEEPER_WHY_LIMIT,       /* paced_by */
    KEEPER_WHY_QUARANTINE,
    KEEPER_WHY_PREFLIGHT,
    KEEPER_WHY_PERMISSION, /* ON_DEMAND_ASK is asked before */
    KEEPER_WHY_HELD, /* there is none until somebody asks for it */
    NUM_KEEPER_WHYS
};

/* For programs: "window", "retry-after", ...; empty for KEEPER_WHY_NONE. */
const char *keeper_why_token(enum keeper_why why);
/* For a person, a clause: "the CA's window". */
const char *keeper_why_words(enum keeper_why why);

/* One name, for status and metrics. Views, valid during the call. */
struct keeper_name_view {
    struct slice name;
    const char *key_type;             /* where the name has two certificates: that of this one; else NULL */
    const struct cert *cert;          /* the one served: dates, serial, issuer, source; NULL: none so far */
    struct slice directory_url;       /* where the served certificate was ordered; empty for the other sources */
    struct slice order_directory_url; /* where this process ordered last; empty: it has not */
    struct slice challenge;           /* by which the last order was validated, or failed; empty: not known */
    bool managed;                     /* ours to order by ACME */
    bool held;                        /* not renewed until somebody asks for it */
    bool quarantined;                 /* a certificate was issued that does not work here, and is tried again */
    const char *step;                 /* of the order that runs, e.g. "poll-authz"; NULL: none runs */
    int64_t next_attempt_ms;          /* wall clock; 0: none is planned */
    enum keeper_why why;              /* it is then */
    int64_t renew_at_ms;  /* wall clock: when the served certificate is to be replaced; 0: not by an order */
    const char *paced_by; /* the CA's limit that the next attempt waits for, in words; NULL: none */
    struct keeper_window window;
    struct keeper_attempts attempts;
    uint32_t num_failures; /* in a row */
    int64_t failed_ms;     /* wall clock of the last one; 0: none */
    struct slice problem_class, problem_type, problem_detail, problem_sentence; /* of the last one; empty: none */
    struct slice hint; /* what a preflight found wrong; empty: nothing */
};

/* The lines of those places, one for each certificate of each name, in the order of the configuration; returns how many there
 * were: fewer than max at the end. */
size_t keeper_some(const struct keeper *keeper, size_t from, size_t max,
                   void (*each)(void *ctx, const struct keeper_name_view *view), void *ctx);
/* All of them. */
void keeper_each(const struct keeper *keeper, void (*each)(void *ctx, const struct keeper_name_view *view), void *ctx);

#endif
