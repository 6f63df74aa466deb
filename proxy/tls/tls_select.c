#include "tls/tls_select.h"

#include "base/mem.h"
#include "base/url.h"
#include "tls/tls_hello.h"
#include "tls/tls_server_internal.h"
#include "tls/tls_stream.h"

#include <openssl/sha.h>
#include <openssl/ssl.h>

bool tls_select_normalise(struct slice sni, char out[SNI_BYTES], struct slice *out_name)
{
    if (sni.len && sni.ptr[sni.len - 1] == '.')
        sni.len--;
    if (sni.len == 0 || sni.len >= SNI_BYTES)
        return false;
    for (size_t i = 0; i < sni.len; i++) {
        char c = sni.ptr[i];
        out[i] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    out[sni.len] = '\0';
    *out_name = slice_make(out, sni.len);
    return name_is_dns(*out_name, false);
}

struct slice tls_select_name(const struct tls_stream *tls, char out[SNI_BYTES])
{
    struct slice name;
    const char *sni = SSL_get_servername(tls->ssl, TLSEXT_NAMETYPE_host_name);
    if (!sni)
        return slice_str(tls->address_name);
    return tls_select_normalise(slice_str(sni), out, &name) ? name : SLICE_NONE;
}

/* A client that asks for no name may have been given an address, which is never sent as SNI (RFC 6066 §3, ACME-89). */
static void tls_select_address(const struct tls_server *server, const struct certset *set, struct tls_stream *tls)
{
    char text[IP_TEXT_BYTES];
    struct ip local;
    if (set->v4.num + set->v6.num == 0)
        return;
    bool known = server->local_ip && server->local_ip(tls, &local);
    struct slice address = certset_address(set, known ? &local : NULL, text);
    mem_free(tls->address_name);
    tls->address_name = address.len ? mem_dup(address.ptr, address.len) : NULL;
}

/* Sessions belong to one name, and to those who were asked for the same certificates: a ticket of one never resumes
 * another (HARDENING T5, T8). */
static bool tls_select_partition(const struct tls_server *server, SSL *ssl, struct slice name)
{
    uint8_t hash[SHA256_DIGEST_LENGTH];
    SHA256_CTX state;
    struct slice asked = tls_client_auth_digest(server->client_auth);
    SHA256_Init(&state);
    SHA256_Update(&state, name.ptr ? name.ptr : "", name.len + 1); /* with its NUL, which no name holds */
    SHA256_Update(&state, asked.ptr ? asked.ptr : "", asked.len);
    SHA256_Final(hash, &state);
    return SSL_set_session_id_context(ssl, hash, sizeof hash) == 1;
}

static bool tls_select_use(struct tls_server *server, struct tls_stream *tls, const struct cert *cert)
{
    EVP_PKEY *key = key_cache_get(&server->keys, cert);
    bool offload = cert->key_is_rsa && server->signer.pool;
    if (key && offload)
        tls_sign_use(tls, &server->signer, key);
    tls->certificate_selected =
        key && SSL_set_chain_and_key(tls->ssl, cert->chain, cert->num_chain, offload ? NULL : key,
                                     offload ? &tls_sign_method : NULL) == 1;
    return tls->certificate_selected;
}

/* TLS-ALPN-01 (RFC 8737 §3): the certificate is the whole answer. Nobody is asked for one of his own (ACME-82), and no
 * session leads in or out. */
static bool tls_select_challenge(struct tls_server *server, struct tls_stream *tls, const struct cert *cert)
{
    tls->validating = true;
    SSL_set_options(tls->ssl, SSL_OP_NO_TICKET);
    SSL_set_custom_verify(tls->ssl, SSL_VERIFY_NONE, NULL);
    return SSL_set_min_proto_version(tls->ssl, TLS1_2_VERSION) == 1 && tls_select_use(server, tls, cert);
}

/* The certset's entry for the name, or the default's; NULL: nobody's. */
static const struct certset_name *tls_select_find(const struct tls_server *server, const struct certset *set,
                                                  const struct tls_stream *tls, struct slice name)
{
    const struct certset_name *found = name.len ? certset_find(set, name) : NULL;
    if (!found && name.len && server->unknown)
        server->unknown(tls, name);
    if (!found && server->serve_unknown && set->default_name)
        found = certset_find(set, slice_str(set->default_name));
    return found;
}

enum ssl_select_cert_result_t tls_select_certificate(const SSL_CLIENT_HELLO *hello)
{
    char text[SNI_BYTES];
    struct tls_stream *tls = tls_stream_of_ssl(hello->ssl);
    struct tls_server *server = tls_server_of(hello->ssl);
    const struct certset *set = *server->current;
    if (!set)
        return ssl_select_cert_success; /* without a certificate: tls_select_refuse says why by its alert */
    if (!SSL_get_servername(hello->ssl, TLSEXT_NAMETYPE_host_name))
        tls_select_address(server, set, tls);
    struct slice name = tls_select_name(tls, text);
    const struct certset_challenge *challenge = certset_find_alpn(set, name);
    if (challenge && tls_hello_offers(hello, SLICE_LIT(ACME_TLS_PROTOCOL)))
        return tls_select_challenge(server, tls, challenge->cert) ? ssl_select_cert_success : ssl_select_cert_error;
    const struct certset_name *found = tls_select_find(server, set, tls, name);
    if (!found)
        return ssl_select_cert_success;
    const struct cert *cert = found->rsa && !tls_hello_knows(hello, found->cert) ? found->rsa : found->cert;
    if (!tls_select_partition(server, hello->ssl, name) || !tls_select_use(server, tls, cert))
        return ssl_select_cert_error;
    return ssl_select_cert_success;
}

int tls_select_refuse(SSL *ssl, int *out_alert, void *arg)
{
    (void)arg;
    if (tls_stream_of_ssl(ssl)->certificate_selected)
        return SSL_TLSEXT_ERR_OK;
    *out_alert = SSL_AD_UNRECOGNIZED_NAME;
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}
