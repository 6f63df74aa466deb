#include "tls/tls_client.h"

#include "base/mem.h"
#include "base/url.h"
#include "tls/tls_err.h"
#include "tls/tls_roots.h"
#include "tls/tls_stream.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <stdlib.h>

/* BoringSSL's default verify paths are not Debian's; these are where distributions keep the bundle. */
static const char *const system_roots[] = {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
                                           "/etc/ssl/cert.pem"};

struct tls_client {
    SSL_CTX *ctx;
    BIO_METHOD *bio_method;
};

struct tls_client *tls_client_new_unverified(void)
{
    struct tls_client *client = MEM_NEW(struct tls_client);
    client->ctx = SSL_CTX_new(TLS_method());
    if (!client->ctx)
        abort(); /* out of memory */
    client->bio_method = tls_bio_method_new();
    SSL_CTX_set_min_proto_version(client->ctx, TLS1_2_VERSION);
    SSL_CTX_set_verify(client->ctx, SSL_VERIFY_NONE, NULL);
    return client;
}

struct err tls_client_new(struct slice extra_roots_pem, struct tls_client **out_client, size_t *out_num_roots)
{
    struct tls_client *client = tls_client_new_unverified();
    SSL_CTX_set_verify(client->ctx, SSL_VERIFY_PEER, NULL);
    X509_STORE *store = SSL_CTX_get_cert_store(client->ctx);
    for (size_t i = 0; i < sizeof system_roots / sizeof system_roots[0]; i++)
        if (SSL_CTX_load_verify_locations(client->ctx, system_roots[i], NULL) == 1)
            break;
    ERR_clear_error();
    struct err err = extra_roots_pem.len ? tls_roots_add(store, extra_roots_pem) : ERR_OK;
    if (err_is(err)) {
        tls_client_free(client);
        return err;
    }
    *out_num_roots = sk_X509_OBJECT_num(X509_STORE_get0_objects(store));
    *out_client = client;
    return ERR_OK;
}

void tls_client_free(struct tls_client *client)
{
    if (!client)
        return;
    SSL_CTX_free(client->ctx);
    BIO_meth_free(client->bio_method);
    mem_free(client);
}

SSL *tls_client_ssl(struct tls_client *client, struct slice host)
{
    SSL *ssl = tls_ssl_new(client->ctx, client->bio_method);
    char *name = mem_dup(host.ptr, host.len);
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    SSL_set_connect_state(ssl);
    if (name_is_ip(host)) {
        X509_VERIFY_PARAM_set1_ip_asc(param, name);
    } else {
        X509_VERIFY_PARAM_set1_host(param, name, host.len);
        SSL_set_tlsext_host_name(ssl, name);
    }
    mem_free(name);
    return ssl;
}

const char *tls_client_refusal(const SSL *ssl)
{
    long result = SSL_get_verify_result(ssl);
    return result == X509_V_OK ? NULL : X509_verify_cert_error_string(result);
}
