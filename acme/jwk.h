/* jwk: the public half of a key as JSON (RFC 7517), and its thumbprint (RFC 7638). Pure. Any thread. */
#ifndef ACME_JWK_H
#define ACME_JWK_H

#include "base/buf.h"

struct evp_pkey_st;

/* Only the required members, in lexical order, without white space: both the `jwk` of a protected header and the input of
 * the thumbprint. P-256, P-384 and RSA; false, and nothing appended, for any other key. */
bool jwk_write(const struct evp_pkey_st *key, struct buf *out);

/* SHA-256 of the above in base64url (ACME-69). false as above. */
bool jwk_thumbprint(const struct evp_pkey_st *key, struct buf *out);

/* token "." thumbprint (RFC 8555 §8.1). */
void jwk_key_authorization(struct slice token, struct slice thumbprint, struct buf *out);

#endif
