/* revocation_record: a revocation that somebody has asked for and the CA has not yet confirmed: the record revocation/SERIAL,
 * so that a restart forgets none. Pure. One thread. */
#ifndef CERTS_REVOCATION_RECORD_H
#define CERTS_REVOCATION_RECORD_H

#include "acme/key.h"
#include "acme/revoke.h"
#include "base/arena.h"

struct revocation_record {
    struct slice name;   /* the record of the line of certificates that it belonged to */
    struct slice serial; /* hexadecimal digits */
    struct slice directory_url, leaf_der;
    enum acme_revocation_reason reason;
    int64_t not_after_s;     /* then nobody needs it any more */
    struct evp_pkey_st *key; /* that signs the request; NULL: the account does */
};

/* out becomes a secret: buf_cleanup_secret. */
void revocation_record_write(const struct revocation_record *record, struct buf *out);
/* Slices live in the arena; the key is the caller's. ERR_INPUT, and a newer version is such an error too. */
MUST_CHECK struct err revocation_record_read(struct arena *arena, struct slice text,
                                             struct revocation_record *out_record);

#endif
