/* account_change: what a person does to the account (RFC 8555 §7.3.2, §7.3.5, §7.3.6): tell the contact anew, exchange the
 * key, deactivate it. One at a time; none makes an account. One thread.
 *
 * An exchange of the key waits until no order runs, and none is begun meanwhile (they wait): a challenge's answer holds the old key's
 * thumbprint. The new key is durably written beside the old one before the CA hears of it; whatever happens then, the
 * engine finds out which of them the account has by asking with both (ACME-36). */
#ifndef ACME_ACCOUNT_CHANGE_H
#define ACME_ACCOUNT_CHANGE_H

#include "acme/call.h"

enum acme_account_change_kind {
    ACME_CHANGE_CONTACT,   /* the e-mail address of the options is told again */
    ACME_CHANGE_KEY,       /* a new key of the same type is made; not where the key was given by options */
    ACME_CHANGE_DEACTIVATE /* for ever; the stored key is removed, and the next order makes a new account */
};

/* Embedded by who asks; see call.h. */
struct acme_account_change {
    struct acme_call call;
    struct acme *acme;
    enum acme_account_change_kind kind;
    struct evp_pkey_st *new_key;
    bool parked; /* orders are running: goes on behind the last one */
    bool sent, storing;
    void (*done)(struct acme_account_change *change, const struct problem *problem);
};

/* `done`: problem NULL where it has come about. A failure of an exchange leaves an account that works, with one of both
 * keys. */
void acme_account_change(struct acme *acme, struct acme_account_change *change, enum acme_account_change_kind kind,
                         void (*done)(struct acme_account_change *change, const struct problem *problem));
/* No `done` after this; it may come about all the same. Harmless for an idle one (zeroed). */
void acme_account_change_cancel(struct acme_account_change *change);

/* What is known here of the account. Views that the next call may change; empty slices: not known, or none. */
struct acme_account_view {
    struct slice directory_url, url, thumbprint, contact;
    const char *key_type; /* "p256", ...; NULL: no key yet */
    bool key_given;       /* by options */
    const char *state;    /* a literal: "not read yet", "none yet", "not registered yet", "registered" */
};

struct acme_account_view acme_account_show(const struct acme *acme);

/* For acme.c. A change waits for orders to end, and none may begin. */
bool account_change_holds_orders(const struct acme *acme);
/* Goes on where the last order has ended. */
void account_change_advance(struct acme *acme);

#endif
