/* tls_hello: what a ClientHello says of its client, beyond what BoringSSL tells by itself. Reads the message that the early
 * callback borrows, each list bounded by its own length; what is malformed says nothing here and is refused by BoringSSL
 * behind us. Pure. Any thread. */
#ifndef TLS_TLS_HELLO_H
#define TLS_TLS_HELLO_H

#include "tls/cert.h"

#include <openssl/base.h>

/* Whether the protocol is among those that ALPN offers (RFC 7301 §3.1). */
bool tls_hello_offers(const SSL_CLIENT_HELLO *hello, struct slice protocol);
/* Whether the client knows the kind of key of a certificate that is not RSA's: in TLS 1.3 its signature scheme (RFC 8446
 * §4.2.3); in TLS 1.2 a suite of ours for it, its curve, and a digest of the SHA-2 family (RFC 8422 §5.1). What it thinks of
 * the chain behind the leaf is not asked. */
bool tls_hello_knows(const SSL_CLIENT_HELLO *hello, const struct cert *cert);

#endif
