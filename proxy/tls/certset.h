/* certset: everything that a worker needs to know of certificates, as one immutable, counted value.
 *
 * Certificates by name, which names are managed, answers to HTTP-01 and TLS-ALPN-01, the account's thumbprint, ticket
 * keys. A name may have two certificates, one with an RSA key beside one without; tls_select gives a client the first one
 * that it can use. Built by control, which alone writes a certset and only before it is published; then read by the worker that got it through
 * its slot, without a lock. Only a worker holds a certset: connections never do.
 *
 * It is made of NUM_CERTSET_SHARDS counted shards, so that a change copies one of them and a publication few pointers. */
#ifndef TLS_CERTSET_H
#define TLS_CERTSET_H

#include "base/buf.h"
#include "base/cidr.h"
#include "base/map.h"
#include "tls/cert.h"
#include "tls/tickets.h"

enum { NUM_CERTSET_SHARDS = 256 };

struct certset_name {
    struct cert *cert; /* held; never NULL. The one to be preferred: ECDSA where there are two */
    struct cert *rsa;  /* held; beside it, for clients that do not know its kind of key. NULL for most names */
    bool managed;      /* ours to obtain: HTTP-01 on it is answered here */
};

/* An answer to TLS-ALPN-01. */
struct certset_challenge {
    struct cert *cert; /* held */
    char *token;       /* owned: by which the challenge is known to whoever published it */
};

/* The names of one family that are addresses. */
struct certset_addresses {
    size_t num;
    char *only; /* owned; where num is 1 */
};

struct certset_shard;

struct certset {
    _Atomic unsigned refs;
    uint64_t generation; /* grows with each publication */
    struct certset_shard *shards[NUM_CERTSET_SHARDS];
    struct map pending; /* HTTP-01: token to key authorization (char *, owned) */
    struct map alpn;    /* TLS-ALPN-01: SNI to struct certset_challenge */
    struct certset_addresses v4, v6;
    char *thumbprint;   /* of the primary account's key; NULL until it is known */
    char *default_name; /* served where SNI is absent or unknown and policy allows; NULL for none */
    struct ticket_ring tickets;
};

struct certset *certset_new(void);
/* A copy to change and publish; shares all shards. */
struct certset *certset_copy(const struct certset *set);
struct certset *certset_ref(struct certset *set);
void certset_unref(struct certset *set);

/* Writing, before publication. `name` is lower case; wildcards are "*.rest"; an address is as ip_text has it. */

/* Serves the name with that certificate, which is held: in the place of the one whose key is of the same kind, RSA or not;
 * one of the other kind stays beside it. */
void certset_put(struct certset *set, struct slice name, struct cert *cert, bool managed);
/* With all that it has. */
void certset_remove(struct certset *set, struct slice name);
void certset_put_pending(struct certset *set, struct slice token, struct slice key_authorization);
void certset_remove_pending(struct certset *set, struct slice token);
/* RFC 8737: `sni` as a CA will ask for it, lower case. Holds the certificate; replaces what was pending for that SNI. */
void certset_put_alpn(struct certset *set, struct slice sni, struct cert *cert, struct slice token);
void certset_remove_alpn(struct certset *set, struct slice sni);
void certset_set_thumbprint(struct certset *set, struct slice thumbprint);
void certset_set_default(struct certset *set, struct slice name);

/* Reading. The exact name, then a wildcard one label above; NULL where nobody serves it. Borrowed from the set. */
const struct certset_name *certset_find(const struct certset *set, struct slice name);
/* The address among the names whose certificate a client gets that asks for no name, as one does that was given an address
 * (RFC 6066 §3): `local`, the address that it came to, or the only one of that family, or the only one of all, for where
 * addresses are translated before us. local may be NULL: not known. Empty: none. The slice lies in out or in the set. */
struct slice certset_address(const struct certset *set, const struct ip *local, char out[IP_TEXT_BYTES]);
/* What TLS-ALPN-01 shows to a client that asks for it by that SNI (lower case); NULL: nothing is pending. */
static inline const struct certset_challenge *certset_find_alpn(const struct certset *set, struct slice sni)
{
    return set->alpn.num ? map_get(&set->alpn, sni) : NULL;
}
/* What HTTP-01 is to answer for the token on a managed name, appended to a buffer of the caller's: the pending key
 * authorization, else token.thumbprint. False: not ours (RFC 8555 §8.3; token of 16 to 84 base64url characters). */
bool certset_http01(const struct certset *set, struct slice token, struct buf *out);

#endif
