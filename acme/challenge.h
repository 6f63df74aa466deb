/* challenge: one way to prove control of a name (RFC 8555 §7.1.5, §8), and which of them we can. Pure. Any thread.
 * The types that we know are a table; a new one is a row of it. */
#ifndef ACME_CHALLENGE_H
#define ACME_CHALLENGE_H

#include "acme/problem.h"

struct json;

/* What we can answer. */
enum acme_challenge {
    ACME_HTTP_01,        /* RFC 8555 §8.3 */
    ACME_TLS_ALPN_01,    /* RFC 8737 */
    ACME_DNS_01,         /* RFC 8555 §8.4 */
    ACME_DNS_PERSIST_01, /* draft-ietf-acme-dns-persist */
    NUM_ACME_CHALLENGES
};

/* "http-01", ...: the words of the protocol, of PORTICO_ACME_CHALLENGE and of logs. */
const char *acme_challenge_name(enum acme_challenge challenge);
/* false for a type that we do not know (ACME-46). */
bool acme_challenge_from_name(struct slice name, enum acme_challenge *out_challenge);

enum challenge_status {
    CHALLENGE_UNKNOWN,
    CHALLENGE_PENDING,
    CHALLENGE_PROCESSING,
    CHALLENGE_VALID,
    CHALLENGE_INVALID
};

enum { CHALLENGE_MAX_ISSUER_NAMES = 10 };

struct challenge {
    struct slice type, url, token;
    enum challenge_status status;
    const struct json *error; /* NULL where the CA gave none */
};

/* Views into the document. False for one that we have to pass over (ACME-46): without type, https URL or known status. */
bool challenge_read(const struct json *json, struct challenge *out_challenge);

/* Can we answer it: a type that we serve, with a token of 16 to 84 base64url characters (ACME-70). */
bool challenge_is_usable(const struct challenge *challenge);

#endif
