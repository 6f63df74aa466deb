/* tls_sign: RSA signatures on an offload pool, so that a flood of RSA handshakes holds nobody else up. ECDSA keys are
 * signed inline (17 us). Implements BoringSSL's private key method; the handshake parks meanwhile. */
#ifndef TLS_TLS_SIGN_H
#define TLS_TLS_SIGN_H

#include "net/offload.h"

#include <openssl/base.h>

struct tls_stream;

struct tls_signer {
    struct offload_pool *pool; /* `sign`; NULL: inline */
    struct offload_port *port;
};

/* Makes the connection of this SSL sign with `key` (referenced by the job) through the pool. The SSL's chain must be set
 * with the method given here instead of a key. Where the pool is full the handshake fails: shed. */
extern const SSL_PRIVATE_KEY_METHOD tls_sign_method;
void tls_sign_use(struct tls_stream *tls, const struct tls_signer *signer, EVP_PKEY *key);
/* The stream ends: a signature in flight is nobody's. */
void tls_sign_detach(struct tls_stream *tls);

#endif
