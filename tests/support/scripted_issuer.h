/* scripted_issuer: certificates for tests, made with BoringSSL's X509 functions. */
#ifndef SUPPORT_SCRIPTED_ISSUER_H
#define SUPPORT_SCRIPTED_ISSUER_H

#include "acme/key.h"

struct x509_st;

struct issue {
    const char *subject;            /* common name; NULL: none */
    struct evp_pkey_st *key;        /* the public half is certified */
    struct x509_st *issuer;         /* NULL: self-signed */
    struct evp_pkey_st *issuer_key; /* NULL: key */
    const struct slice *names;      /* of the SAN: DNS names and addresses */
    size_t num_names;
    int64_t not_before_s, not_after_s;
    uint64_t serial;
    bool is_ca;
    bool no_key_id; /* no authority key identifier: RFC 9773 has no name for it */
};

enum { ISSUE_KEY_ID_BYTES = 20 };
/* The authority key identifier of what this key signs: the beginning of the SHA-256 of its public half, in octets. */
struct slice issue_key_id(const struct evp_pkey_st *key, uint8_t octets[ISSUE_KEY_ID_BYTES]);

/* Freed by X509_free. */
struct x509_st *issue_certificate(const struct issue *issue);
void issue_write_pem(struct x509_st *certificate, struct buf *out);
/* The public key of a CSR in DER and the names of its SAN; NULL where the signature is bad. names live in *text. */
struct evp_pkey_st *issue_read_csr(struct slice der, struct slice *names, size_t max_names, size_t *out_num,
                                   struct buf *text, bool *out_has_cn);

#endif
