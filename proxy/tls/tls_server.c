#include "tls/tls_server.h"

#include "base/mem.h"
#include "tls/tls_select.h"
#include "tls/tls_server_internal.h"
#include "tls/tls_stream.h"

#include <openssl/bio.h>
#include <openssl/ssl.h>

#include <stdlib.h>

/* ECDHE and AEAD alone (Mozilla intermediate, less DHE, which BoringSSL does not have). */
static const char tls_ciphers[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

#ifdef HAVE_X25519MLKEM768
static const char tls_groups[] = "X25519MLKEM768:X25519:P-256:P-384";
#else
static const char tls_groups[] = "X25519:P-256:P-384";
#endif

struct tls_server *tls_server_of(const SSL *ssl)
{
    return SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
}

/* ---- ALPN: our preference among what the client offers (RFC 7301) ---- */

static bool alpn_offers(const uint8_t *offer, size_t len, struct slice protocol)
{
    while (len > 0) {
        size_t one = offer[0];
        if (one + 1 > len)
            return false;
        if (slice_eq(slice_make(offer + 1, one), protocol))
            return true;
        offer += one + 1;
        len -= one + 1;
    }
    return false;
}

static bool alpn_is_without(const struct tls_server *server, const struct tls_stream *tls)
{
    char text[SNI_BYTES];
    return server->without_alpn && server->without_alpn(server->without_alpn_ctx, tls_select_name(tls, text));
}

/* A validation that nothing here awaits: it is refused even where any protocol would do, or the backend of raw bytes would
 * be taken for the answer (ACME-81). */
static bool alpn_is_stray_validation(const uint8_t *offer, size_t len)
{
    return len == 1 + sizeof ACME_TLS_PROTOCOL - 1 && alpn_offers(offer, len, SLICE_LIT(ACME_TLS_PROTOCOL));
}

static int alpn_select(const char *protocol, const uint8_t **out, uint8_t *out_len)
{
    *out = (const uint8_t *)protocol;
    *out_len = (uint8_t)strlen(protocol);
    return SSL_TLSEXT_ERR_OK;
}

static int tls_select_protocol(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *offer,
                               unsigned offer_len, void *arg)
{
    const struct tls_server *server = arg;
    const struct tls_stream *tls = tls_stream_of_ssl(ssl);
    if (tls->validating)
        return alpn_select(ACME_TLS_PROTOCOL, out, out_len);
    if (alpn_is_stray_validation(offer, offer_len))
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    if (alpn_is_without(server, tls))
        return SSL_TLSEXT_ERR_NOACK;
    for (const char *const *protocol = server->protocols; *protocol; protocol++)
        if (alpn_offers(offer, offer_len, slice_str(*protocol)))
            return alpn_select(*protocol, out, out_len);
    return SSL_TLSEXT_ERR_ALERT_FATAL; /* no_application_protocol */
}

static int tls_ticket_key(SSL *ssl, uint8_t *name, uint8_t *iv, EVP_CIPHER_CTX *cipher, HMAC_CTX *hmac, int encrypt)
{
    struct certset *set = *tls_server_of(ssl)->current;
    return set ? ticket_ring_use(&set->tickets, name, iv, cipher, hmac, encrypt) : 0;
}

struct tls_server *tls_server_new(const struct tls_server_options *options)
{
    struct tls_server *server = MEM_NEW(struct tls_server);
    SSL_CTX *ctx = SSL_CTX_new(TLS_with_buffers_method());
    if (!ctx)
        abort(); /* out of memory */
    server->ctx = ctx;
    server->bio_method = tls_bio_method_new();
    server->current = options->current;
    server->protocols = options->protocols;
    server->signer = options->signer;
    server->client_auth = options->client_auth;
    server->local_ip = options->local_ip;
    server->without_alpn = options->without_alpn;
    server->without_alpn_ctx = options->without_alpn_ctx;
    server->unknown = options->unknown;
    server->serve_unknown = options->serve_unknown;
    list_init(&server->keys.recent);
    SSL_CTX_set_app_data(ctx, server);
    SSL_CTX_set_min_proto_version(ctx, options->policy == TLS_POLICY_MODERN ? TLS1_3_VERSION : TLS1_2_VERSION);
    if (SSL_CTX_set_strict_cipher_list(ctx, tls_ciphers) != 1 || SSL_CTX_set1_groups_list(ctx, tls_groups) != 1)
        abort(); /* literals */
    SSL_CTX_set_select_certificate_cb(ctx, tls_select_certificate);
    SSL_CTX_set_tlsext_servername_callback(ctx, tls_select_refuse);
    SSL_CTX_set_alpn_select_cb(ctx, tls_select_protocol, server);
    SSL_CTX_set_tlsext_ticket_key_cb(ctx, tls_ticket_key);
    SSL_CTX_set_num_tickets(ctx, 1);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(ctx, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (server->client_auth)
        tls_client_auth_apply(server->client_auth, ctx);
    return server;
}

void tls_server_set_serve_unknown(struct tls_server *server, bool serve_unknown)
{
    server->serve_unknown = serve_unknown;
}

void tls_server_free(struct tls_server *server)
{
    if (!server)
        return;
    key_cache_cleanup(&server->keys);
    SSL_CTX_free(server->ctx);
    tls_client_auth_free(server->client_auth);
    BIO_meth_free(server->bio_method);
    mem_free(server);
}

SSL *tls_server_ssl(struct tls_server *server)
{
    SSL *ssl = tls_ssl_new(server->ctx, server->bio_method);
    SSL_set_accept_state(ssl);
    SSL_set_shed_handshake_config(ssl, 1);
    struct certset *set = *server->current;
    if (!set || set->tickets.num == 0)
        SSL_set_options(ssl, SSL_OP_NO_TICKET);
    return ssl;
}

const char *tls_server_version(const struct tls_stream *tls)
{
    return SSL_get_version(tls->ssl);
}

bool tls_server_resumed(const struct tls_stream *tls)
{
    return SSL_session_reused(tls->ssl);
}

struct tls_identity *tls_server_take_identity(struct tls_stream *tls)
{
    struct tls_identity *identity = tls->identity;
    tls->identity = NULL;
    return identity;
}

const char *tls_server_cipher(const struct tls_stream *tls)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(tls->ssl);
    return cipher ? SSL_CIPHER_standard_name(cipher) : NULL;
}

struct slice tls_server_alpn(const struct tls_stream *tls)
{
    const uint8_t *name;
    unsigned len;
    SSL_get0_alpn_selected(tls->ssl, &name, &len);
    for (const char *const *protocol = tls_server_of(tls->ssl)->protocols; *protocol; protocol++)
        if (slice_eq(slice_make(name, len), slice_str(*protocol)))
            return slice_str(*protocol); /* not the SSL's own copy, which is gone before the last line of the log */
    return SLICE_NONE;
}
