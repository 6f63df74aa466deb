/* account_document: what is said to the CA of an account, and how its answers are to be read (RFC 8555 §7.3). Pure. Any
 * thread. */
#ifndef ACME_ACCOUNT_DOCUMENT_H
#define ACME_ACCOUNT_DOCUMENT_H

#include "acme/acme.h"

struct evp_pkey_st;

/* Appends the payload of newAccount, with the external account binding where options have one (ACME-32), signed for the URL
 * new_account. */
MUST_CHECK struct err account_document_registration(const struct acme_options *options, bool with_contact,
                                                    struct evp_pkey_st *key, struct slice new_account, struct buf *out);
/* Appends the payload of an update of the contact; an empty address takes it away (§7.3.2). */
void account_document_contact(struct slice email, struct buf *out);
/* Appends the payload of the inner JWS of a key exchange (§7.3.5). */
void account_document_exchange(struct slice account_url, const struct evp_pkey_st *old_key, struct buf *out);

/* The document's own status is valid, or it has none (ACME-37). */
bool account_document_is_usable(struct slice body);
/* The CA does not like the address; there is no such account, which CAs say in several words. */
bool account_reply_refuses_contact(const struct acme_reply *reply);
bool account_reply_says_unknown(const struct acme_reply *reply);

#endif
