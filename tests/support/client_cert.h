/* Certificates of clients for tests, good and bad in every way: a spec in, an X509 with its key out. */
#ifndef SUPPORT_CLIENT_CERT_H
#define SUPPORT_CLIENT_CERT_H

#include "base/buf.h"
#include "base/slice.h"

#include <openssl/base.h>
#include <stdbool.h>

enum client_key { CLIENT_KEY_P256, CLIENT_KEY_ED25519, CLIENT_KEY_RSA_2048, CLIENT_KEY_RSA_1024 };

struct client_cert {
    X509 *x509;
    EVP_PKEY *key;
};

struct client_spec {
    struct slice common_name;         /* raw bytes of a UTF8String; empty: no subject at all */
    struct slice organisation;        /* before it; empty: none */
    const struct client_cert *issuer; /* NULL: self-signed */
    long from_s, to_s;                /* from now; both 0: an hour ago to a day ahead */
    bool is_ca;
    int purpose; /* NID of its extended key usage; 0: none */
    enum client_key key;
    const EVP_MD *digest; /* of its signature; NULL: SHA-256 */
    size_t padding;       /* bytes of a comment */
};

/* Aborts where it cannot be made. */
struct client_cert client_cert_make(const struct client_spec *spec);
/* A root, and a good certificate by an issuer. */
struct client_cert client_cert_root(const char *common_name);
struct client_cert client_cert_by(const struct client_cert *issuer, const char *common_name);
void client_cert_cleanup(struct client_cert *cert);
void client_cert_pem(const struct client_cert *cert, struct buf *out);

#endif
