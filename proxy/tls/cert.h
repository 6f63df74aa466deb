/* cert: one certificate chain with its key. Counted, immutable, shared by all threads. Holds DER alone: each worker
 * parses the key when it needs it (tls_server) and keeps it in a bounded cache. */
#ifndef TLS_CERT_H
#define TLS_CERT_H

#include "base/err.h"
#include "base/slice.h"

#include <openssl/base.h>

enum cert_source {
    CERT_PLACEHOLDER, /* self-signed, until an order is done */
    CERT_INTERNAL,    /* by the local CA */
    CERT_ISSUED,      /* by an ACME CA */
    CERT_OWN,         /* TLS_CERT */
    CERT_CHALLENGE    /* self-signed, shown to a CA alone (certs/alpn_cert) */
};

enum { CERT_HASH_BYTES = 32 };

struct cert {
    _Atomic unsigned refs;
    uint64_t id; /* unique in the process: names its parsed key in a worker's cache */
    enum cert_source source;
    CRYPTO_BUFFER **chain; /* leaf first */
    size_t num_chain;
    uint8_t *key_der; /* PKCS #8 */
    size_t key_len;
    uint8_t spki_sha256[CERT_HASH_BYTES]; /* of the key's SubjectPublicKeyInfo */
    bool key_is_rsa;
    uint16_t key_curve;                /* of an ECDSA key: TLS's number (RFC 8446 §4.2.7); 0 for other keys */
    uint16_t key_scheme;               /* what TLS 1.3 signs with it (§4.2.3); 0 for RSA, which has several */
    int64_t not_before_s, not_after_s; /* seconds since 1970 */
    char *serial;                      /* hex, lower case */
    char *issuer;                      /* common name, or organisation */
    char **names;                      /* of the leaf's subjectAltName: DNS names in lower case, IP addresses in text */
    size_t num_names;
};

/* Parses the leaf and checks that the key is its key; copies everything. num_chain is 1 to LIMIT_CHAIN_CERTS. */
MUST_CHECK struct err cert_new(enum cert_source source, const struct slice *chain_der, size_t num_chain,
                               struct slice key_pkcs8_der, struct cert **out_cert);
struct cert *cert_ref(struct cert *cert);
void cert_unref(struct cert *cert);

/* Whether one of its names is `name` (lower case), or a wildcard one label above it. */
bool cert_covers(const struct cert *cert, struct slice name);
/* "placeholder", "internal", "issued", "own", "challenge". */
const char *cert_source_text(enum cert_source source);

#endif
