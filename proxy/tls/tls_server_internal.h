/* What tls_server and tls_select share. */
#ifndef TLS_TLS_SERVER_INTERNAL_H
#define TLS_TLS_SERVER_INTERNAL_H

#include "base/list.h"
#include "tls/tls_server.h"

/* Parsed private keys by certificate, the least recently used dropped beyond LIMIT_PARSED_KEYS. Worker's thread. */
struct key_cache {
    struct map by_id;   /* the certificate's id, as bytes, to struct key_entry */
    struct list recent; /* the most recently used first */
    size_t num;
};

#define ACME_TLS_PROTOCOL "acme-tls/1" /* RFC 8737 §6.2 */

struct tls_server {
    SSL_CTX *ctx;
    BIO_METHOD *bio_method;
    struct certset **current;
    const char *const *protocols;
    struct tls_signer signer;
    bool (*without_alpn)(void *ctx, struct slice name);
    void *without_alpn_ctx;
    void (*unknown)(const struct tls_stream *tls, struct slice name);
    bool (*local_ip)(const struct tls_stream *tls, struct ip *out_ip);
    struct key_cache keys;
    struct tls_client_auth *client_auth; /* owned; NULL: clients are not asked */
    bool serve_unknown;
};

/* The key of the certificate, borrowed until the next call. NULL where it cannot be parsed (cert_new checked that). */
EVP_PKEY *key_cache_get(struct key_cache *cache, const struct cert *cert);
void key_cache_cleanup(struct key_cache *cache);

struct tls_server *tls_server_of(const SSL *ssl);

#endif
