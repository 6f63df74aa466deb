#include "tls/tls_select.h"

#include "base/url.h"
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

/* The certset's entry for the name that was asked for, or the default's; NULL: nobody's. */
static const struct certset_name *tls_select_find(const struct tls_server *server, const struct certset *set,
                                                  const char *sni)
{
    char text[SNI_BYTES];
    struct slice name;
    const struct certset_name *found = NULL;
    if (sni && tls_select_normalise(slice_str(sni), text, &name))
        found = certset_find(set, name);
    if (!found && server->serve_unknown && set->default_name)
        found = certset_find(set, slice_str(set->default_name));
    return found;
}

/* Sessions belong to one name, and to those who were asked for the same certificates: a ticket of one never resumes
 * another (HARDENING T5, T8). */
static bool tls_select_partition(const struct tls_server *server, SSL *ssl, const char *sni)
{
    uint8_t hash[SHA256_DIGEST_LENGTH];
    SHA256_CTX state;
    struct slice asked = tls_client_auth_digest(server->client_auth);
    char text[SNI_BYTES];
    struct slice name = SLICE_NONE;
    if (!sni || !tls_select_normalise(slice_str(sni), text, &name))
        name = SLICE_NONE;
    SHA256_Init(&state);
    SHA256_Update(&state, name.ptr ? name.ptr : "", name.len + 1); /* with its NUL, which no name holds */
    SHA256_Update(&state, asked.ptr ? asked.ptr : "", asked.len);
    SHA256_Final(hash, &state);
    return SSL_set_session_id_context(ssl, hash, sizeof hash) == 1;
}

enum ssl_select_cert_result_t tls_select_certificate(const SSL_CLIENT_HELLO *hello)
{
    SSL *ssl = hello->ssl;
    struct tls_server *server = tls_server_of(ssl);
    const struct certset *set = *server->current;
    const char *sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    const struct certset_name *found = set ? tls_select_find(server, set, sni) : NULL;
    if (!found)
        return ssl_select_cert_success; /* without a certificate: tls_select_refuse says why by its alert */
    EVP_PKEY *key = key_cache_get(&server->keys, found->cert);
    bool offload = found->cert->key_is_rsa && server->signer.pool;
    if (key && offload)
        tls_sign_use(tls_stream_of_ssl(ssl), &server->signer, key);
    if (!key || !tls_select_partition(server, ssl, sni) ||
        SSL_set_chain_and_key(ssl, found->cert->chain, found->cert->num_chain, offload ? NULL : key,
                              offload ? &tls_sign_method : NULL) != 1)
        return ssl_select_cert_error;
    tls_stream_of_ssl(ssl)->certificate_selected = true;
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
