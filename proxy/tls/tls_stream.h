/* tls_stream: a stream of plaintext over a stream of TLS records, server or client side. One loop's thread.
 *
 * BoringSSL works on a BIO of ours: it reads from the slice that the socket has just read and writes into the loop's
 * outbuf. A slice is always decrypted to its end; an idle connection holds no buffer.
 *
 *   HANDSHAKING <--> PARKED (a signature or a certificate is being made elsewhere; ciphertext is kept meanwhile)
 *        | established
 *        v
 *      OPEN ---- close, failure ----> ENDING ---- the transport's `closed` ----> (event `closed`)
 *
 * Embedded by its owner; owns the SSL; the transport is the owner's, who frees neither before `closed`. */
#ifndef TLS_TLS_STREAM_H
#define TLS_TLS_STREAM_H

#include "base/buf.h"
#include "net/net_loop.h"
#include "net/stream.h"

#include <openssl/base.h>

enum tls_state { TLS_HANDSHAKING, TLS_PARKED, TLS_OPEN, TLS_ENDING };
enum tls_input_end { TLS_INPUT_OPEN, TLS_INPUT_EOF, TLS_INPUT_TRUNCATED };

struct tls_stream {
    struct stream base;
    struct sink lower;        /* gets the transport's events */
    struct stream *transport; /* ciphertext */
    struct net_loop *loop;
    SSL *ssl;
    struct slice input;     /* what the socket has read, during its data event */
    struct buf kept_cipher; /* while PARKED */
    struct buf kept_plain;  /* decrypted while the consumer had stopped; at most one read buffer */
    struct deferred deliver;
    enum tls_state state;
    enum tls_input_end input_end;
    bool input_end_told;
    bool reading;
    bool write_ended;
    bool certificate_selected; /* server: the early callback found one (tls_select) */
    bool validating;    /* server: the handshake is TLS-ALPN-01's (RFC 8737); whoever is told that it is established
                                  closes, for it carries no data */
    char *address_name; /* server, owned: the address whose certificate a client without SNI got; NULL: none */
    struct err failure;
    const char *refusal; /* handshake failed: why the peer's certificate was refused, a literal; NULL otherwise */
    struct tls_identity *identity; /* server: of the client's certificate, proven once established; NULL: none sent */
    void *job;                     /* of the signature that is being made elsewhere (tls_sign) */
    void (*established)(struct tls_stream *tls); /* before the first data event */
};

/* An SSL whose records go through the tls_stream that it is opened with. The method is the SSL_CTX's owner's: made once,
 * freed with BIO_meth_free after all its SSLs. */
BIO_METHOD *tls_bio_method_new(void);
SSL *tls_ssl_new(SSL_CTX *ctx, const BIO_METHOD *method);

/* Starts the handshake over an open transport. Takes over ssl. `established` may start reading, write or close. */
void tls_stream_open(struct tls_stream *tls, struct net_loop *loop, struct stream *transport, SSL *ssl,
                     void (*established)(struct tls_stream *tls));
/* What a parked handshake waited for is there: goes on in a deferred call. */
void tls_stream_resume(struct tls_stream *tls);
struct tls_stream *tls_stream_of_ssl(const SSL *ssl);

#endif
