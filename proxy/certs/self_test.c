#include "certs/self_test.h"

#include "base/mem.h"
#include "base/url.h"
#include "tls/tls_err.h"

#include <openssl/bio.h>
#include <openssl/bytestring.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pool.h>
#include <openssl/ssl.h>

#include <stdio.h>
#include <stdlib.h>

enum { SELF_TEST_TURNS = 16 };

struct self_test {
    SSL_CTX *ctx;
    SSL *server, *client;
};

/* Trust is not asked here; that it is this certificate is. */
static enum ssl_verify_result_t accept_any(SSL *ssl, uint8_t *out_alert) // NOLINT(readability-non-const-parameter)
{
    (void)ssl, (void)out_alert;
    return ssl_verify_ok;
}

static bool self_test_load(struct self_test *test, const struct cert *cert)
{
    CBS der;
    CBS_init(&der, cert->key_der, cert->key_len);
    EVP_PKEY *key = EVP_parse_private_key(&der);
    bool fine = key && SSL_set_chain_and_key(test->server, cert->chain, cert->num_chain, key, NULL) == 1;
    EVP_PKEY_free(key);
    return fine;
}

static void self_test_init(struct self_test *test, struct slice name)
{
    BIO *ours = NULL, *theirs = NULL;
    test->ctx = SSL_CTX_new(TLS_with_buffers_method());
    if (!test->ctx || !(test->server = SSL_new(test->ctx)) || !(test->client = SSL_new(test->ctx)) ||
        BIO_new_bio_pair(&ours, 0, &theirs, 0) != 1)
        abort(); /* out of memory */
    SSL_set_bio(test->server, ours, ours);
    SSL_set_bio(test->client, theirs, theirs);
    SSL_set_accept_state(test->server);
    SSL_set_connect_state(test->client);
    SSL_set_custom_verify(test->client, SSL_VERIFY_PEER, accept_any);
    if (!name_is_ip(name)) { /* an address is never sent as SNI */
        char *host = mem_dup(name.ptr, name.len);
        SSL_set_tlsext_host_name(test->client, host);
        mem_free(host);
    }
}

static void self_test_cleanup(struct self_test *test)
{
    SSL_free(test->client);
    SSL_free(test->server);
    SSL_CTX_free(test->ctx);
}

/* One side goes on as far as it can; false where it broke. */
static bool self_test_step(SSL *ssl, bool *out_done)
{
    int status = SSL_do_handshake(ssl);
    int error = status == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl, status);
    *out_done = status == 1;
    return status == 1 || error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

static bool self_test_shake_hands(struct self_test *test)
{
    bool server_done = false, client_done = false;
    for (int i = 0; i < SELF_TEST_TURNS && !(server_done && client_done); i++)
        if (!self_test_step(test->client, &client_done) || !self_test_step(test->server, &server_done))
            return false;
    return server_done && client_done;
}

static bool self_test_shown(const struct self_test *test, const struct cert *cert)
{
    const STACK_OF(CRYPTO_BUFFER) *shown = SSL_get0_peer_certificates(test->client);
    if (!shown || sk_CRYPTO_BUFFER_num(shown) != cert->num_chain)
        return false;
    const CRYPTO_BUFFER *leaf = sk_CRYPTO_BUFFER_value(shown, 0);
    return slice_eq(slice_make(CRYPTO_BUFFER_data(leaf), CRYPTO_BUFFER_len(leaf)),
                    slice_make(CRYPTO_BUFFER_data(cert->chain[0]), CRYPTO_BUFFER_len(cert->chain[0])));
}

struct err self_test(const struct cert *cert, struct slice name)
{
    struct self_test test = {0};
    struct err err = ERR_OK;
    char host[256];
    if (slice_starts(name, SLICE_LIT("*."))) { /* any label will do */
        snprintf(host, sizeof host, "self-test%.*s", (int)name.len - 1, name.ptr + 1);
        name = slice_str(host);
    }
    if (!cert_covers(cert, name))
        return err_make(ERR_INPUT, 0, "the certificate is not for this name");
    ERR_clear_error();
    self_test_init(&test, name);
    if (!self_test_load(&test, cert) || !self_test_shake_hands(&test))
        err = tls_err_take("TLS handshake in memory");
    else if (!self_test_shown(&test, cert))
        err = err_make(ERR_TLS, 0, "the handshake showed another certificate");
    ERR_clear_error();
    self_test_cleanup(&test);
    return err;
}
