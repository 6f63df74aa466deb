/* tls_server: the server side's configuration, one per worker: one SSL_CTX, set up once; the certificate is chosen per
 * handshake from the worker's current certset (tls_select). Worker's thread. */
#ifndef TLS_TLS_SERVER_H
#define TLS_TLS_SERVER_H

#include "base/counters.h"
#include "tls/certset.h"
#include "tls/tls_client_auth.h"
#include "tls/tls_identity.h"
#include "tls/tls_sign.h"

struct tls_server;
struct tls_stream;

enum tls_policy { TLS_POLICY_INTERMEDIATE, TLS_POLICY_MODERN };

struct tls_server_options {
    enum tls_policy policy;       /* Mozilla's: TLS 1.2 and 1.3, or 1.3 alone */
    bool serve_unknown;           /* unknown or absent SNI gets the default certificate instead of unrecognized_name */
    struct certset **current;     /* borrowed: where the worker keeps its certset */
    const char *const *protocols; /* ALPN, in our order of preference; literals, NULL at the end */
    struct tls_signer signer;
    struct tls_client_auth *client_auth; /* taken over; NULL: no client is asked for a certificate */
    /* The address that the client came to, asked for where it asks for no name; false: it is not known. May be NULL. */
    bool (*local_ip)(const struct tls_stream *tls, struct ip *out_ip);
    /* Whether connections of that name (as tls_select_name has it) carry no protocol that ALPN could
     * name: none is selected, whatever the client offers. NULL: all do. */
    bool (*without_alpn)(void *ctx, struct slice name);
    void *without_alpn_ctx;
    /* A ClientHello asks for a name that the certset does not have, which is then refused or gets the default. NULL: nobody
     * wants to know. */
    void (*unknown)(const struct tls_stream *tls, struct slice name);
};

struct tls_server *tls_server_new(const struct tls_server_options *options);
void tls_server_free(struct tls_server *server);
/* serve_unknown, for handshakes from now on. */
void tls_server_set_serve_unknown(struct tls_server *server, bool serve_unknown);

/* A server-side SSL for tls_stream_open. */
SSL *tls_server_ssl(struct tls_server *server);

/* Of an established connection: "TLSv1.3", a literal; whether a ticket resumed it. */
const char *tls_server_version(const struct tls_stream *tls);
bool tls_server_resumed(const struct tls_stream *tls);
/* Of an established connection: who its client is by its certificate, the caller's from then on; NULL: it sent none. */
struct tls_identity *tls_server_take_identity(struct tls_stream *tls);
/* Of an established connection: the suite by its name in the RFCs, a literal; what ALPN agreed on,
 * one of the options' protocols, empty for nothing. */
const char *tls_server_cipher(const struct tls_stream *tls);
struct slice tls_server_alpn(const struct tls_stream *tls);

#endif
