/* certset: everything that a worker needs to know of certificates, as one immutable, counted value.
 *
 * Certificates by name, which names are managed, HTTP-01 answers, the account's thumbprint, ticket keys. Built by
 * control, which alone writes a certset and only before it is published; then read by the worker that got it through
 * its slot, without a lock. Only a worker holds a certset: connections never do.
 *
 * It is made of NUM_CERTSET_SHARDS counted shards, so that a change copies one of them and a publication few pointers. */
#ifndef TLS_CERTSET_H
#define TLS_CERTSET_H

#include "base/buf.h"
#include "base/map.h"
#include "tls/cert.h"
#include "tls/tickets.h"

enum { NUM_CERTSET_SHARDS = 256 };

struct certset_name {
    struct cert *cert; /* held; never NULL in a published certset */
    bool managed;      /* ours to obtain: HTTP-01 on it is answered here */
};

struct certset_shard;

struct certset {
    _Atomic unsigned refs;
    uint64_t generation; /* grows with each publication */
    struct certset_shard *shards[NUM_CERTSET_SHARDS];
    struct map pending;   /* HTTP-01: token to key authorization (char *, owned) */
    char *thumbprint;     /* of the primary account's key; NULL until it is known */
    char *default_name;   /* served where SNI is absent or unknown and policy allows; NULL for none */
    struct ticket_ring tickets;
};

struct certset *certset_new(void);
/* A copy to change and publish; shares all shards. */
struct certset *certset_copy(const struct certset *set);
struct certset *certset_ref(struct certset *set);
void certset_unref(struct certset *set);

/* Writing, before publication. `name` is lower case; wildcards are "*.rest". Holds the certificate. */
void certset_put(struct certset *set, struct slice name, struct cert *cert, bool managed);
void certset_remove(struct certset *set, struct slice name);
void certset_put_pending(struct certset *set, struct slice token, struct slice key_authorization);
void certset_remove_pending(struct certset *set, struct slice token);
void certset_set_thumbprint(struct certset *set, struct slice thumbprint);
void certset_set_default(struct certset *set, struct slice name);

/* Reading. The exact name, then a wildcard one label above; NULL where nobody serves it. Borrowed from the set. */
const struct certset_name *certset_find(const struct certset *set, struct slice name);
/* What HTTP-01 is to answer for the token on a managed name, appended to a buffer of the caller's: the pending key
 * authorization, else token.thumbprint. False: not ours (RFC 8555 §8.3; token of 16 to 84 base64url characters). */
bool certset_http01(const struct certset *set, struct slice token, struct buf *out);

#endif
