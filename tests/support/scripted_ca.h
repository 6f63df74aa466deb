/* scripted_ca: a CA in memory that implements acme/transport.h: real ACME documents, real certificates, every JWS
 * verified (signature, nonce, url, jwk or kid, POST-as-GET). It can be told to fail at any step. What the engine does
 * against the rules is kept in `fault`. */
#ifndef SUPPORT_SCRIPTED_CA_H
#define SUPPORT_SCRIPTED_CA_H

#include "acme/challenge.h"
#include "acme/key.h"
#include "acme/transport.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"

enum { CA_MAX_ACCOUNTS = 8, CA_MAX_ORDERS = 4096, CA_MAX_NAMES = 8, CA_MAX_SCRIPTS = 8, CA_MAX_PROFILES = 4 };

enum ca_place {
    CA_DIRECTORY,
    CA_NEW_NONCE,
    CA_NEW_ACCOUNT,
    CA_NEW_ORDER,
    CA_ORDER,
    CA_AUTHZ,
    CA_CHALLENGE,
    CA_FINALIZE,
    CA_CERTIFICATE,
    CA_ACCOUNT,
    CA_ALTERNATE,
    CA_KEY_CHANGE,
    CA_REVOKE,
    CA_RENEWAL_INFO,
    CA_NOWHERE
};

/* What happens to requests at one place instead of the usual. */
struct ca_script {
    enum ca_place place;
    unsigned skip;     /* so many go through first */
    unsigned times;    /* then so many are caught; 0: all */
    bool lose_request; /* no answer, nothing done */
    bool lose_reply;   /* no answer, but done */
    int status;        /* else: an answer with this */
    const char *type;  /* problem type without its prefix; NULL: body is sent as it is */
    const char *body;  /* of the answer; with type: the detail */
    const char *retry_after;
    const char *location;
};

struct ca_order {
    unsigned account;
    size_t num_names;
    char *names[CA_MAX_NAMES];
    const char *status;
    int64_t expires_ms; /* wall clock; seven days after newOrder */
    const char *authz_status[CA_MAX_NAMES];
    unsigned polls_left; /* of a processing order */
    unsigned authz_polls_left[CA_MAX_NAMES];
    bool challenged[CA_MAX_NAMES];
    enum acme_challenge challenge[CA_MAX_NAMES]; /* that was posted last */
    char *profile, *replaces;                    /* NULL: none */
    char *leaf;                                  /* PEM; NULL: nothing is issued */
};

/* What must be in place before a challenge is posted; empty where its type has no such thing. */
struct ca_answer {
    enum acme_challenge challenge;
    struct slice name, token, key_authorization, dns_value, account_url, thumbprint;
};

/* What is remembered of a certificate. */
struct ca_issued {
    uint64_t serial;
    int64_t not_before_s, not_after_s;
    int reason; /* for which it was revoked; -1: it was not */
    bool revoked_by_key;
};

struct scripted_ca {
    struct transport transport;
    const struct clock *clock;
    struct list pending;
    bool eager;       /* a request takes effect when it is sent, not when it is answered */
    const char *base; /* of its URLs; "https://ca.test/" at first */

    /* How it behaves. */
    unsigned bad_nonce_percent;
    unsigned processing_polls; /* answers `processing` so often; 0: finalize answers `valid` at once */
    unsigned validation_polls; /* answers `pending` so often after the challenge */
    bool authz_reused;         /* orders are ready at once */
    bool has_terms, needs_binding, needs_cn, refuses_contact, hides_error;
    bool forgets_accounts;           /* the next request with kid finds none */
    const char *validation_problem;  /* validations fail with this type */
    const char *chain_suffix;        /* appended to chains */
    struct evp_pkey_st *stolen_key;  /* certificates are issued for this key */
    unsigned offers;                 /* bit per enum acme_challenge; http-01 alone at first */
    unsigned fails;                  /* bit per enum acme_challenge: these end in validation_problem, or all where 0 */
    const char *issuer_names;        /* of dns-persist-01: JSON */
    const char *account_hash_prefix; /* it has dns-persist-01 as in draft -02; NULL: as before */
    const char *profiles[CA_MAX_PROFILES];
    size_t max_names;      /* of one order; 0: any */
    bool has_renewal_info; /* takes `replaces` */
    int replaces_status;   /* refuses orders that have it; 0: does not */
    const char *replaces_problem;
    unsigned num_alternates;          /* chains besides the first, to "Alternate Root 1" and so on */
    int64_t ari_start_ms, ari_end_ms; /* of every window; end 0: as Let's Encrypt has it */
    const char *ari_retry_after, *ari_explanation;
    bool has_no_changes;     /* neither keyChange nor revokeCert */
    const char *date;        /* of every answer; NULL: none */
    bool (*away)(void *ctx); /* no request gets through; NULL: all do */
    void *away_ctx;
    int64_t lifetime_s, backdate_s;
    const char
        *no_key_id; /* certificates of names that begin so have no authority key identifier; NULL: all have one */
    int64_t (*lifetime_s_of)(const char *name); /* NULL: lifetime_s */
    struct ca_script scripts[CA_MAX_SCRIPTS];
    size_t num_scripts;
    /* Is the answer served? NULL: not looked at. */
    bool (*served)(void *ctx, const struct ca_answer *answer);
    void *served_ctx;

    /* What it has seen. */
    char fault[256]; /* the first rule broken by the engine, or empty */
    unsigned num_requests, num_at[CA_NOWHERE + 1];
    unsigned num_accounts, num_orders, num_certificates, num_bad_nonces;
    unsigned num_deactivated;
    unsigned max_pending;
    struct buf last_new_account; /* the payload, or that of a later update */

    /* Its own. */
    struct evp_pkey_st *account_keys[CA_MAX_ACCOUNTS];
    bool account_gone[CA_MAX_ACCOUNTS], account_deactivated[CA_MAX_ACCOUNTS];
    struct ca_issued *issued;
    size_t num_issued;
    struct ca_order *orders; /* CA_MAX_ORDERS */
    struct map nonces;       /* to 1: fresh */
    uint64_t next_nonce, random;
    struct evp_pkey_st *root_key, *issuer_key;
    struct x509_st *root, *issuer;
    struct evp_pkey_st *other_key; /* of the alternates' roots */
};

extern const char scripted_ca_directory_url[];

void scripted_ca_init(struct scripted_ca *ca, const struct clock *clock);
void scripted_ca_cleanup(struct scripted_ca *ca);
struct ca_script *scripted_ca_script(struct scripted_ca *ca, enum ca_place place);
/* Answers the oldest request; false where there is none. */
bool scripted_ca_answer(struct scripted_ca *ca);

#endif
