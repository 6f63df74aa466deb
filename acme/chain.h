/* chain: a certificate and the certificates above it, as a CA sends them (RFC 8555 §7.4.2) or a person gives them.
 *
 * A struct chain owns all it shows: DER, names, text. Parsed once, then immutable. Any thread. It never reads a
 * trust store: whether clients trust the chain is theirs to say; here only what must be true of any usable chain. */
#ifndef ACME_CHAIN_H
#define ACME_CHAIN_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"

struct evp_pkey_st;
struct x509_st; /* X509 */

struct chain_cert {
    struct slice der;
    struct x509_st *x509; /* owned by the chain */
};

struct chain {
    struct arena arena;
    struct chain_cert certs[LIMIT_CHAIN_CERTS]; /* the leaf is first */
    size_t num_certs;

    /* Of the leaf. */
    int64_t not_before_s, not_after_s; /* seconds since 1970, UTC */
    struct slice serial;               /* lower-case hexadecimal octets of the INTEGER, a leading 00 kept */
    struct slice issuer;               /* common name of the issuer, else its whole name on one line */
    struct slice top_issuer;           /* the same of the last certificate: who the chain leads to (ACME-62) */
    struct slice *names;               /* dNSName and iPAddress of the SAN: lower case, addresses in text */
    size_t num_names;
    bool other_names; /* the SAN holds names of other kinds too */
};

/* All certificates of a PEM text that holds nothing else (ACME-60); at most LIMIT_CHAIN_BYTES and LIMIT_CHAIN_CERTS.
 * *out_chain is written only on success and then freed by chain_cleanup. ERR_INPUT, ERR_LIMIT. */
MUST_CHECK struct err chain_parse(struct slice pem, struct chain *out_chain);
/* A zeroed chain is fine. */
void chain_cleanup(struct chain *chain);

/* The certificates again as PEM, without any text that stood between them. */
void chain_write_pem(const struct chain *chain, struct buf *out);

enum chain_fault {
    CHAIN_FINE,
    CHAIN_WRONG_KEY,     /* the leaf is for another key */
    CHAIN_WRONG_NAMES,   /* the SAN is not exactly the names that were ordered */
    CHAIN_NOT_YET_VALID, /* by our clock: more likely the clock than the CA */
    CHAIN_EXPIRED,
    CHAIN_BAD_DATES,  /* ends before it begins */
    CHAIN_BROKEN_LINK /* a certificate is not signed by the next */
};

/* A clause for a person: "it is for another key". */
const char *chain_fault_text(enum chain_fault fault);

/* The checks of ACME-61, in the order of the enum. names: what was ordered, in any order and case; NULL leaves the
 * names out (a certificate of the user's own). now_s: wall clock. A notBefore up to five minutes ahead is let pass: clocks differ. */
enum chain_fault chain_check(const struct chain *chain, const struct evp_pkey_st *key, const struct slice *names,
                             size_t num_names, int64_t now_s);

/* The certificate's id for renewalInfo (RFC 9773 §4.1, ACME-90), appended: base64url of the authority key identifier, a dot,
 * base64url of the serial number's octets. ERR_INPUT where the certificate has no such identifier. */
MUST_CHECK struct err chain_ari_id(struct slice leaf_der, struct buf *out);

/* Does the leaf belong to this key? */
bool chain_has_key(const struct chain *chain, const struct evp_pkey_st *key);

#endif
