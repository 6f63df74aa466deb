/* authz: an authorization document (RFC 8555 §7.1.4): whose name, in what state, by which challenges. Pure. Any thread. */
#ifndef ACME_AUTHZ_H
#define ACME_AUTHZ_H

#include "acme/challenge.h"

enum authz_status {
    AUTHZ_UNKNOWN,
    AUTHZ_PENDING,
    AUTHZ_VALID,
    AUTHZ_INVALID,
    AUTHZ_DEACTIVATED,
    AUTHZ_EXPIRED,
    AUTHZ_REVOKED
};

enum { AUTHZ_MAX_CHALLENGES = 16 };

struct authz {
    enum authz_status status;
    struct slice name; /* with `*.` in front where the document says wildcard (ACME-45) */
    struct challenge challenges[AUTHZ_MAX_CHALLENGES]; /* those that can be read */
    size_t num_challenges;
};

/* Views into the document, and text in the arena. ERR_INPUT where identifier or status are missing or unknown. */
MUST_CHECK struct err authz_read(struct arena *arena, const struct json *json, struct authz *out_authz);

/* The challenge to answer for `name` as it was ordered: one that the CA is looking at already where there is such a one,
 * else the first of `wanted`, in order of preference, that it offers. NULL: none that we can answer. */
const struct challenge *authz_choose(const struct authz *authz, struct slice name, const enum acme_challenge *wanted,
                                     size_t num_wanted);
/* Appends the types that the CA offers, joined by ", "; "none" where there are none. */
void authz_write_offered(const struct authz *authz, struct buf *out);

/* Why the authorization is invalid: the error of the challenge that failed; *out_type names its type or is empty. */
struct problem authz_problem(struct arena *arena, const struct authz *authz, struct slice *out_type);

#endif
