/* tls_identity: who a client is by its certificate, in the forms that backends and logs are told. Pure; verifies
 * nothing. Any thread. */
#ifndef TLS_TLS_IDENTITY_H
#define TLS_TLS_IDENTITY_H

#include "base/err.h"
#include "base/slice.h"

#include <openssl/base.h>

enum { TLS_FINGERPRINT_BYTES = 64 };

/* All texts are safe in a field's value: no control byte, the subject, fingerprint and client_cert printable ASCII. */
struct tls_identity {
    struct slice subject;     /* RFC 4514, "CN=device 7,O=Example"; other bytes escaped as \0D; empty: it has none */
    struct slice common_name; /* the most specific one, UTF-8; empty: none, or one that is no plain text */
    struct slice fingerprint; /* SHA-256 of the certificate's DER, lower-case hex */
    struct slice client_cert; /* the certificate as RFC 9440 §2.2 has it: ":" base64 of its DER ":" */
};

/* Of a leaf and its DER. ERR_LIMIT where the certificate or its subject is longer than LIMIT_CLIENT_LEAF_BYTES and
 * LIMIT_CLIENT_SUBJECT_BYTES, ERR_INPUT where the subject has no such text: a name is given whole or not at all. */
MUST_CHECK struct err tls_identity_new(X509 *leaf, struct slice der, struct tls_identity **out_identity);
void tls_identity_free(struct tls_identity *identity);

#endif
