/* tls_client: the client side, for the CA and the like: system roots and the user's, host name verified, TLS 1.2 or
 * later. Control thread. The proxied backends are plaintext and never come here. */
#ifndef TLS_TLS_CLIENT_H
#define TLS_TLS_CLIENT_H

#include "base/err.h"
#include "base/slice.h"

#include <openssl/base.h>

struct tls_client;

/* Loads the system's roots (without any it goes on: a private CA may be all there is) and, in addition, those in
 * extra_roots_pem, as tls_roots_add does, unless it is empty. out_num_roots counts them all. */
MUST_CHECK struct err tls_client_new(struct slice extra_roots_pem, struct tls_client **out_client,
                                     size_t *out_num_roots);
/* Without roots, for peers that may be anybody: what they say is read as a CA reads it behind a redirect (ACME-72), and they
 * are neither believed nor told a secret. */
struct tls_client *tls_client_new_unverified(void);
void tls_client_free(struct tls_client *client);

/* A client-side SSL for tls_stream_open that verifies the peer as `host` (a name or an IP address). */
SSL *tls_client_ssl(struct tls_client *client, struct slice host);

/* After a failed handshake: a sentence about the certificate that was refused, or NULL where that was not the cause.
 * A literal. */
const char *tls_client_refusal(const SSL *ssl);

#endif
