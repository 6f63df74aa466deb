/* jws: signed requests (RFC 7515, Flattened JSON Serialization, RFC 8555 §6.2): one signature, no unprotected header, no
 * detached or unencoded payload (ACME-5, ACME-6). Pure but for the randomness of ECDSA. Any thread. */
#ifndef ACME_JWS_H
#define ACME_JWS_H

#include "base/buf.h"
#include "base/err.h"

struct evp_pkey_st;

/* "ES256", "ES384" or "RS256" by the key's type (never a MAC, ACME-8); NULL for a key that no CA takes. */
const char *jws_algorithm(const struct evp_pkey_st *key);

struct jws_request {
    const struct evp_pkey_st *key;
    struct slice nonce;   /* ptr NULL leaves it out: only the inner JWS of a key rollover has none */
    struct slice url;     /* byte for byte (ACME-14) */
    struct slice kid;     /* the account's URL; ptr NULL puts the key itself there as `jwk` (ACME-7, ACME-9) */
    struct slice payload; /* JSON, or empty for POST-as-GET (ACME-12) */
};

/* The whole body of the POST. ERR_TLS where the key cannot sign. */
MUST_CHECK struct err jws_sign(const struct jws_request *request, struct buf *out);

/* Of an external account binding. The CA says which; nearly all take HS256 alone, also those that hand out keys of 48 or 64
 * bytes, so that a key's length tells nothing. */
enum jws_mac { JWS_HS256, JWS_HS384, JWS_HS512 };

/* RFC 8555 §7.3.4: the externalAccountBinding member: the account's JWK, authenticated by the CA's MAC key (ACME-32,
 * ACME-33). `hmac_key` is base64url, with or without padding. ERR_INPUT where the key is not base64. */
MUST_CHECK struct err jws_bind_account(const struct evp_pkey_st *account_key, struct slice kid, enum jws_mac mac,
                                       struct slice hmac_key, struct slice new_account_url, struct buf *out);

#endif
