/* challenge: one way to prove control of a name (RFC 8555 §7.1.5, §8), and which of them we can. Pure. Any thread.
 * The types that we know are a table; tls-alpn-01 and dns-01 become rows of it. */
#ifndef ACME_CHALLENGE_H
#define ACME_CHALLENGE_H

#include "acme/problem.h"

struct json;

enum challenge_status {
    CHALLENGE_UNKNOWN,
    CHALLENGE_PENDING,
    CHALLENGE_PROCESSING,
    CHALLENGE_VALID,
    CHALLENGE_INVALID
};

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
