/* acme: the engine that gets certificates from one ACME directory (RFC 8555) with one account, one pool of nonces and
 * any number of orders at a time, of which a bounded number runs.
 *
 * It owns its account, its orders and all that they hold. It does no I/O: it asks struct acme_world for everything, and
 * can therefore be run against a scripted CA at a million times the speed of time. One thread (control). Nothing here
 * ever calls back from within a call: `done` of an order and `account_known` are called from acme_wake alone; they may
 * call anything here except acme_free. It never decides when to order or to renew, never takes the store's lock, and never
 * writes a certificate: that is the keeper's.
 *
 * Without the store's lock (STORE_FENCED), or with a store that cannot be read or written, nothing is asked of the CA and
 * the order fails as PROBLEM_LOCAL: the CSR key is durably written before newOrder, the order's URL before any challenge. */
#ifndef ACME_ACME_H
#define ACME_ACME_H

#include "acme/challenge.h"
#include "acme/jws.h"
#include "acme/key.h"
#include "acme/problem.h"
#include "acme/store.h"
#include "acme/transport.h"
#include "base/clock.h"

struct acme;
struct acme_order;
struct chain;
struct log_ring;

/* An answer to a challenge that has to be in place wherever the CA may look. Embedded in the order; its slices are valid
 * until `withdraw` has returned. */
struct acme_publication {
    enum acme_challenge challenge;
    struct slice name; /* the identifier's value, as it was ordered: `*.` in front of a wildcard, an address as text */
    /* Empty for dns-persist-01, which has no token (ACME-123). */
    struct slice token;             /* 16 to 84 base64url characters (checked, ACME-70) */
    struct slice key_authorization; /* token.thumbprint: what http-01 serves as the whole body (ACME-68) */
    /* dns-01: base64url(SHA-256(key authorization)), the text of the TXT record at `_acme-challenge.` + the name without
     * `*.` (RFC 8555 §8.4); else empty. */
    struct slice dns_value;
    /* dns-persist-01: the TXT record at `_validation-persist.` + the name without `*.` names one of these issuers and this
     * account, byte for byte (ACME-122). The publisher looks whether it is there before it calls `done`. */
    const struct slice *issuer_names; /* 1 to CHALLENGE_MAX_ISSUER_NAMES (ACME-121); 0 for the other types */
    size_t num_issuer_names;
    struct challenge_account account;
    /* Whoever publishes calls this once, never from within publish: without error when EVERY worker serves the answer, or
     * every name server has the record (ACME-48); with one when that has not come about. How long that may take is the
     * publisher's to say. Not after withdraw. */
    void (*done)(struct acme_publication *publication, struct err err);
    /* With an error, the cause for a person, where the publisher has more to say than that; valid during `done`. */
    struct slice why;
    /* May be called between done and withdraw, when the CA has fetched the answer of http-01 or tls-alpn-01 (ACME-50);
     * polling then starts sooner. */
    void (*seen)(struct acme_publication *publication);
    void *pending; /* the publisher's own */
};

/* A certificate's key that is being made. Embedded in the order; must stay until `done` has been called or `cancel_key`
 * has returned. */
struct acme_key_job {
    /* Called once, never from within make_key, unless canceled: with a key, which the order takes over, or with NULL and
     * why. */
    void (*done)(struct acme_key_job *job, struct evp_pkey_st *key, struct err err);
    void *pending; /* the maker's own */
};

/* What the engine asks of its surroundings. Copied by acme_new; what it points at must outlive the engine. */
struct acme_world {
    struct transport *transport;
    struct store *store;
    const struct clock *clock;
    struct log_ring *log; /* NULL: no log */
    void *ctx;
    /* Call acme_wake when the monotonic clock reaches mono_ms: as soon as possible, but never from within this call,
     * where that has passed. One wake is outstanding: a new call replaces it. INT64_MAX: none. */
    void (*wake_at)(void *ctx, int64_t mono_ms);
    void (*publish)(void *ctx, struct acme_publication *publication);
    /* Once for each publish, also where that failed or is not done. */
    void (*withdraw)(void *ctx, struct acme_publication *publication);
    /* A certificate's key, made elsewhere: RSA takes up to seconds, which no loop has. NULL, with cancel_key: it is made
     * at once, in the engine's thread. */
    void (*make_key)(void *ctx, enum key_type type, struct acme_key_job *job);
    void (*cancel_key)(void *ctx, struct acme_key_job *job); /* nobody waits for it any more */
    /* The account key has been loaded or made: acme_thumbprint answers from now on. May be NULL. */
    void (*account_known)(void *ctx, struct slice thumbprint);
};

/* Copied by acme_new. Empty slices: not given. */
struct acme_options {
    struct slice directory_url;   /* https (ACME-1), byte for byte */
    struct slice email;           /* one address, without mailto: (ACME-27) */
    struct slice eab_kid;         /* external account binding, both or neither */
    struct slice eab_hmac_key;    /* base64url, as the CA gives it (ACME-33) */
    enum jws_mac eab_mac;         /* zeroed: HS256 */
    struct slice account_key_pem; /* a key of one's own (P-256, P-384 or RSA); otherwise P-256 is made and stored */
    bool accept_terms;            /* without it no account is made where the CA has terms (ACME-26) */
    unsigned max_running;         /* orders at once; 0: ACME_DEFAULT_RUNNING */
};

enum { ACME_DEFAULT_RUNNING = 8, ACME_MAX_NAMES = 100 };

/* Asks for a wake at once, in which the stored account key is read. ERR_INPUT for options that cannot work (URL, key). */
MUST_CHECK struct err acme_new(const struct acme_world *world, const struct acme_options *options,
                               struct acme **out_acme);
/* Cancels whatever runs, without calling any `done`. NULL is fine. */
void acme_free(struct acme *acme);
/* The time that was asked for has come. Harmless at any other time. */
void acme_wake(struct acme *acme);

/* RFC 7638 thumbprint of the account key in base64url, for stateless answers to HTTP-01; ptr NULL until it is known. */
struct slice acme_thumbprint(const struct acme *acme);
/* The account's URL; ptr NULL until the CA has told it. */
struct slice acme_account_url(const struct acme *acme);
/* The CA's names in CAA records, as its directory has them; returns how many: 0 until that is read, or where it does not say. */
size_t acme_caa_identities(const struct acme *acme, const struct slice **out_identities);

/* How far this machine's clock is ahead of the CA's, by the Date of its last answer; negative: behind; 0: nothing has been
 * heard yet. */
int64_t acme_clock_skew_ms(const struct acme *acme);

/* Both views, valid while `done` runs. */
struct acme_result {
    bool issued;

    struct slice profile; /* that was ordered; empty: none */
    bool replaced;        /* the CA has taken the order as the replacement of spec.replaces */

    /* issued: checked against ACME-61 (key, names, dates, links). Not issued, and `chain` is not NULL: what the CA has issued
     * and was refused for one of these; it may be no more than a clock that is wrong. */
    struct slice chain_pem;    /* certificates only, the leaf first */
    struct slice key_pem;      /* SECRET: PKCS#8; copies go into secret bufs */
    const struct chain *chain; /* dates, serial, issuer, names */
    struct evp_pkey_st *key;   /* the same as key_pem; key_ref to keep it */
    struct slice directory_url, account_url, order_url;
    /* The journal's key in the store. Whoever keeps the certificate removes it in the same commit; until then the same
     * order, asked for again, downloads the same certificate again instead of ordering another. */
    struct slice journal_key;

    /* not issued */
    struct problem problem;
    const char *step;            /* what was being done: "new-order", "challenge", "finalize", ... */
    struct slice challenge_type; /* of a VALIDATION failure: what to try otherwise on the next order (ACME-47) */
    struct slice sentence;       /* problem in words for a person */
};

/* Copied by acme_order_new. */
struct acme_order_spec {
    /* Names the journal: `order/RECORD`; the keeper's certificate is `certificate/RECORD`. Usually the name. One order
     * per record at a time. */
    struct slice record;
    const struct slice
        *names; /* 1 to ACME_MAX_NAMES: lower-case A-labels, no trailing dot (ACME-39), or addresses (ACME-83) */
    size_t num_names;
    enum key_type key_type; /* of the certificate; a journalled order with another is not resumed */
    /* What may be answered, in order of preference; the first that the CA offers and that suits the name is taken (ACME-47:
     * leave out what failed). 0: http-01. */
    const enum acme_challenge *challenges;
    size_t num_challenges;
    /* The first that the CA's directory offers is ordered. 0, or none offered: the CA's own choice. */
    const struct slice *profiles;
    size_t num_profiles;
    /* The predecessor's id (RFC 9773 §4.1), or empty. Told to the CA where that has renewalInfo (ACME-98), and left out
     * where it refuses the order for it (ACME-99). */
    struct slice replaces;
    /* Common name of the topmost issuer of the chain that is wanted, or empty (ACME-62). Where the CA has no such chain,
     * its first one is taken. */
    struct slice preferred_chain;
    /* Called once, unless canceled; the order is gone when it has returned. */
    void (*done)(struct acme_order *order, const struct acme_result *result, void *ctx);
    void *ctx;
};

/* Owned by the engine; the pointer is good until `done` has returned. A spec that cannot work ends in `done` too. An order
 * that an earlier process journalled under the same record, for the same names, is resumed. */
struct acme_order *acme_order_new(struct acme *acme, const struct acme_order_spec *spec);
/* Without `done`. The journal stays, and so does what the CA knows: the next order of this record goes on from there. */
void acme_order_cancel(struct acme_order *order);
/* The step it is at, for status: "queued", "key", "new-order", "poll-authz", ... A literal. */
const char *acme_order_step(const struct acme_order *order);
/* The type of the challenge that was taken up last, for status: "http-01", ... A literal. NULL: none so far. */
const char *acme_order_challenge(const struct acme_order *order);

#endif
