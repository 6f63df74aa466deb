/* directory: the one document from which every other URL of a CA comes (RFC 8555 §7.1.1, ACME-23). Pure. Any thread. */
#ifndef ACME_DIRECTORY_H
#define ACME_DIRECTORY_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum { DIRECTORY_MAX_PROFILES = 32, DIRECTORY_MAX_PROFILE_BYTES = 64, DIRECTORY_MAX_IDENTITIES = 10 };

struct directory {
    struct arena arena;
    struct slice new_nonce, new_account, new_order;     /* always there */
    struct slice revoke_cert, key_change, renewal_info; /* ptr NULL where the CA has none (ACME-24) */
    struct slice terms_url;                             /* ptr NULL: the CA has no terms */
    bool external_account_required;
    struct slice *profiles; /* names of meta.profiles, at most DIRECTORY_MAX_PROFILES */
    size_t num_profiles;
    struct slice caa_identities[DIRECTORY_MAX_IDENTITIES]; /* the CA's names in CAA records (RFC 8555 §7.1.1) */
    size_t num_caa_identities;                             /* 0: it does not say */
    /* Of dns-persist-01 (draft-ietf-acme-dns-persist-02 §3.2, §4.1): the CA's names in its records, 0 where it does not say;
     * how its accounturi begins, ptr NULL where that is the account's URL. */
    struct slice issuer_names[DIRECTORY_MAX_IDENTITIES];
    size_t num_issuer_names;
    struct slice account_hash_prefix;
};

/* Missing `meta` and null members are tolerated (ACME-24); every URL must be https (ACME-1). *out_directory is written on
 * success alone and then freed by directory_cleanup. ERR_INPUT. */
MUST_CHECK struct err directory_read(struct slice body, struct directory *out_directory);
void directory_cleanup(struct directory *directory);

/* The first of `wanted` that the CA offers, or an empty slice. */
struct slice directory_choose_profile(const struct directory *directory, const struct slice *wanted, size_t num_wanted);
/* By which names a record of dns-persist-01 may call the CA: what it says, else its names in CAA. */
const struct slice *directory_issuer_names(const struct directory *directory, size_t *out_num);
/* Appends their names, joined by ", "; "none" where there are none. */
void directory_write_profiles(const struct directory *directory, struct buf *out);

#endif
