/* revoke: asks the CA to revoke a certificate (RFC 8555 §7.6). One thread. It never decides what replaces the certificate, and
 * never touches the store: both are the keeper's. */
#ifndef ACME_REVOKE_H
#define ACME_REVOKE_H

#include "acme/call.h"

/* The reasons that public CAs take (ACME-120), with their numbers of RFC 5280 §5.3.1. */
enum acme_revocation_reason {
    ACME_REVOKE_UNSPECIFIED = 0,
    ACME_REVOKE_KEY_COMPROMISE = 1,
    ACME_REVOKE_SUPERSEDED = 4,
    ACME_REVOKE_CESSATION = 5
};

/* "unspecified", "keyCompromise", "superseded", "cessationOfOperation", or their numbers; false for anything else. */
bool acme_revocation_reason_from_text(struct slice text, enum acme_revocation_reason *out_reason);
const char *acme_revocation_reason_text(enum acme_revocation_reason reason);

/* Embedded by who asks; see call.h. */
struct acme_revocation {
    struct acme_call call;
    struct buf leaf_der;
    enum acme_revocation_reason reason;
    struct evp_pkey_st *key;
    void (*done)(struct acme_revocation *revocation, const struct problem *problem);
};

/* leaf_der: copied. key: of the certificate, with which the request is signed (one reference is taken); NULL: the account
 * signs. CAs take the certificate's own signature as proof that the key is known to others, and never certify it again: for
 * keyCompromise only. `done`: problem NULL where the certificate is revoked, by this request or before it. */
void acme_revoke(struct acme *acme, struct acme_revocation *revocation, struct slice leaf_der,
                 enum acme_revocation_reason reason, struct evp_pkey_st *key,
                 void (*done)(struct acme_revocation *revocation, const struct problem *problem));
/* No `done` after this; the CA may revoke all the same. Harmless for an idle one (zeroed). */
void acme_revoke_cancel(struct acme_revocation *revocation);

#endif
