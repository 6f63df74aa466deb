/* x509_make: certificates of our own making: the local root, its leaves, the placeholder, the answer to TLS-ALPN-01. X.509 version 3 as RFC 5280 asks:
 * a random serial of 127 bits, a subject key identifier (RFC 7093 method 1), an authority key identifier where there is an
 * issuer, critical basic constraints and key usage, serverAuth for leaves.
 *
 * Pure: inputs to DER. Any thread. Signing with P-256 takes some 30 microseconds. */
#ifndef CERTS_X509_MAKE_H
#define CERTS_X509_MAKE_H

#include "base/buf.h"
#include "base/err.h"
#include "tls/cert.h"

struct evp_pkey_st;
struct x509_st;

enum { X509_MAKE_NAMES = 100, X509_MAKE_CN_BYTES = 64 };

struct x509_spec {
    struct slice common_name;  /* of the subject, at most X509_MAKE_CN_BYTES; empty: no common name */
    const struct slice *names; /* subjectAltName: DNS names (wildcards too) and addresses; none for a root */
    size_t num_names;
    int64_t not_before_s, not_after_s; /* seconds since 1970 */
    bool is_ca;                        /* a root that signs leaves alone (path length 0) */
    const struct evp_pkey_st *key;     /* the subject's */
    struct slice acme_identifier;      /* RFC 8737 §3: SHA-256 of a key authorization, critical; empty: none */
    const struct x509_st *issuer;      /* NULL: self-signed */
    const struct evp_pkey_st *issuer_key;
};

/* Appends the certificate's DER. ERR_INPUT for names that are none; ERR_TLS. */
MUST_CHECK struct err x509_make(const struct x509_spec *spec, struct buf *out_der);

/* A certificate and its key, fresh. */
struct x509_made {
    struct buf der;          /* of the certificate */
    struct evp_pkey_st *key; /* owned */
};

/* A new P-256 key and a certificate for it: spec->key is not looked at; where it has no issuer, the new key signs.
 * *out_made is written on success alone and freed by x509_made_cleanup. */
MUST_CHECK struct err x509_make_with_key(const struct x509_spec *spec, struct x509_made *out_made);
void x509_made_cleanup(struct x509_made *made);
/* The same as what is served. */
MUST_CHECK struct err x509_made_cert(const struct x509_made *made, enum cert_source source, struct cert **out_cert);
/* PEM of either; the key's is a secret. */
void x509_made_write_chain(const struct x509_made *made, struct buf *out);
void x509_made_write_key(const struct x509_made *made, struct buf *out);

#endif
