/* tls_select: which certificate a ClientHello gets. Called by BoringSSL on the worker's thread. */
#ifndef TLS_TLS_SELECT_H
#define TLS_TLS_SELECT_H

#include "tls/certset.h"

#include <openssl/base.h>

struct tls_stream;

struct tls_server;

/* SNI as it is looked up: LDH labels, at most 253 bytes, lower case, one trailing dot dropped. False where it is not a
 * DNS name (an IP address, control bytes, `_`, empty labels): HARDENING T1. */
enum { SNI_BYTES = 256 };
bool tls_select_normalise(struct slice sni, char out[SNI_BYTES], struct slice *out_name);

/* The name that a connection is for, once its ClientHello has come: SNI as it is looked up; without SNI the address whose
 * certificate it got; empty: none of both. Lies in out or in the stream. */
struct slice tls_select_name(const struct tls_stream *tls, char out[SNI_BYTES]);

/* BoringSSL's callbacks, for the SSL_CTX. */
enum ssl_select_cert_result_t tls_select_certificate(const SSL_CLIENT_HELLO *hello);
int tls_select_refuse(SSL *ssl, int *out_alert, void *arg);

#endif
