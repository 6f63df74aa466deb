/* tls_client_auth: asks clients for a certificate and judges it (TLS_CLIENT_CA, TLS_CLIENT_AUTH; HARDENING T8).
 *
 * Owns the certificates that are trusted. Whatever stands among them is trusted as it is, so that an intermediate or a
 * single self-signed client can be given too. A client's chain must lead there, be within its dates, be made for
 * clients (or for no purpose in particular) and use no weak key or digest; revocation is not looked up.
 *
 * There are no tickets where clients are asked: every connection proves that it has the key, and its chain is judged
 * by today's date and today's TLS_CLIENT_CA. A ticket would carry an identity past both, and a chain with it. The price is
 * a full handshake each time, 0.2 ms of CPU with a client's certificate where a resumed one takes 0.06 (P-256).
 *
 * Verification runs inline: 0.05 ms for each P-256 signature, 0.5 for the longest chain that a CA of ours has signed. Who
 * has no such chain costs one signature at most, because they are verified from the top.
 *
 * One per worker and on its thread, because a store of certificates takes a lock for each look-up. */
#ifndef TLS_TLS_CLIENT_AUTH_H
#define TLS_TLS_CLIENT_AUTH_H

#include "base/err.h"
#include "base/slice.h"

#include <openssl/base.h>

struct tls_client_auth;

enum tls_client_auth_mode {
    TLS_CLIENT_AUTH_OPTIONAL, /* no certificate is fine; one that is sent must be good */
    TLS_CLIENT_AUTH_REQUIRE   /* none: certificate_required, in TLS 1.2 handshake_failure */
};

/* roots_pem: as tls_roots_add takes it. */
MUST_CHECK struct err tls_client_auth_new(struct slice roots_pem, enum tls_client_auth_mode mode,
                                          struct tls_client_auth **out_auth);
void tls_client_auth_free(struct tls_client_auth *auth);

/* Differs with the mode and the roots, for the partition of sessions: the second lock behind the first, that there are no
 * tickets. NULL gives the empty slice. */
struct slice tls_client_auth_digest(const struct tls_client_auth *auth);

/* Sets up the SSL_CTX of a tls_server, which owns `auth` and is its app data. After a handshake the stream's `identity`
 * is there if there was a certificate; after one that failed for it, `refusal` says why. */
void tls_client_auth_apply(const struct tls_client_auth *auth, SSL_CTX *ctx);

#endif
