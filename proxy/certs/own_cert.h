/* own_cert: certificates of the user's own, of TLS_CERT and of TLS_CERT_DIR, as struct certs.
 *
 * A struct own_certs is counted and never changed; it holds its configuration and its certificates. No files, no clock:
 * the configuration has their texts. One thread at a time. */
#ifndef CERTS_OWN_CERT_H
#define CERTS_OWN_CERT_H

#include "base/buf.h"
#include "config/config.h"
#include "tls/cert.h"

struct own_cert {
    struct cert *cert;                  /* held */
    const struct config_pem *pem, *key; /* what it was made of */
    struct slice source;                /* "PORTICO_TLS_CERT", or the path of its file */
};

struct own_certs {
    unsigned refs;
    const struct config *config; /* held */
    struct own_cert *items;      /* TLS_CERT first, then those of the directory by path */
    size_t num;
};

/* All that the configuration has; what `before` (may be NULL) has of the same texts is taken over, the rest is tried in a
 * handshake. The PEM of a key may hold certificates too and the other way round. On failure *out_mistake gets a sentence
 * that begins with the variable and has every fault, each with its file. That one is expired is no failure. */
MUST_CHECK struct err own_certs_new(const struct config *config, const struct own_certs *before,
                                    struct own_certs **out_own, struct buf *out_mistake);
struct own_certs *own_certs_ref(struct own_certs *own);
/* NULL is fine. */
void own_certs_unref(struct own_certs *own);
/* Whether both have the same texts. */
bool own_certs_same(const struct config *a, const struct config *b);

/* Whether one of them covers the name, expired or not. */
bool own_certs_cover(const struct own_certs *own, struct slice name);
/* The one to serve the name with, or NULL: one that is valid at now_s, by name rather than by wildcard, with an ECDSA key
 * rather than RSA, that ends last, in this order. */
const struct own_cert *own_certs_find(const struct own_certs *own, struct slice name, int64_t now_s);
/* The best that has the other kind of key, for clients that cannot use the first; NULL: none that is valid. */
const struct own_cert *own_certs_find_beside(const struct own_certs *own, const struct own_cert *first,
                                             struct slice name, int64_t now_s);
/* When it may be another: the next beginning or end, behind now_s, of one that covers the name; INT64_MAX: never. */
int64_t own_certs_change_s(const struct own_certs *own, struct slice name, int64_t now_s);

#endif
