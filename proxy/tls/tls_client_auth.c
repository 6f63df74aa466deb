#include "tls/tls_client_auth.h"

#include "base/limits.h"
#include "base/mem.h"
#include "tls/tls_identity.h"
#include "tls/tls_roots.h"
#include "tls/tls_server_internal.h"
#include "tls/tls_stream.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/pool.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <stdlib.h>

enum { MIN_RSA_BITS = 2048 };

struct tls_client_auth {
    X509_STORE *store;
    enum tls_client_auth_mode mode;
    uint8_t digest[SHA256_DIGEST_LENGTH];
};

/* What a client proves its key with: nothing with SHA-1, which BoringSSL would take by default. */
static const uint16_t client_signatures[] = {
    SSL_SIGN_ECDSA_SECP256R1_SHA256, SSL_SIGN_ED25519,
    SSL_SIGN_RSA_PSS_RSAE_SHA256,    SSL_SIGN_RSA_PKCS1_SHA256,
    SSL_SIGN_ECDSA_SECP384R1_SHA384, SSL_SIGN_RSA_PSS_RSAE_SHA384,
    SSL_SIGN_RSA_PKCS1_SHA384,       SSL_SIGN_ECDSA_SECP521R1_SHA512,
    SSL_SIGN_RSA_PSS_RSAE_SHA512,    SSL_SIGN_RSA_PKCS1_SHA512,
};

/* ---- what a certificate is judged by ---- */

struct verdict {
    const char *refusal; /* a literal; NULL: accepted */
    uint8_t alert;
};

static struct verdict refused(const char *why, int alert)
{
    return (struct verdict){why, (uint8_t)alert};
}

static bool digest_is_weak(const X509 *x509)
{
    int digest = NID_undef, key;
    OBJ_find_sigid_algs(X509_get_signature_nid(x509), &digest, &key);
    return digest == NID_sha1 || digest == NID_md5 || digest == NID_md4;
}

static bool key_is_weak(X509 *x509)
{
    EVP_PKEY *key = X509_get_pubkey(x509);
    bool weak = !key || (EVP_PKEY_id(key) == EVP_PKEY_RSA && EVP_PKEY_bits(key) < MIN_RSA_BITS);
    EVP_PKEY_free(key);
    return weak;
}

/* The last one is trusted for itself, not for its signature. */
static bool chain_is_weak(const STACK_OF(X509) * verified)
{
    for (size_t i = 0; i + 1 < sk_X509_num(verified); i++)
        if (digest_is_weak(sk_X509_value(verified, i)) || key_is_weak(sk_X509_value(verified, i)))
            return true;
    return false;
}

static struct verdict judge_chain(const struct tls_client_auth *auth, STACK_OF(X509) * sent)
{
    struct verdict verdict = {0};
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    if (!ctx || X509_STORE_CTX_init(ctx, auth->store, sk_X509_value(sent, 0), sent) != 1)
        abort(); /* out of memory */
    if (X509_verify_cert(ctx) != 1) {
        int error = X509_STORE_CTX_get_error(ctx);
        verdict = refused(X509_verify_cert_error_string(error), SSL_alert_from_verify_result(error));
    } else if (chain_is_weak(X509_STORE_CTX_get0_chain(ctx))) {
        verdict = refused("a weak key or digest in the chain", SSL_AD_BAD_CERTIFICATE);
    }
    X509_STORE_CTX_free(ctx);
    return verdict;
}

/* Parsed certificates; NULL where one is none. */
static STACK_OF(X509) * chain_parse(const STACK_OF(CRYPTO_BUFFER) * sent)
{
    STACK_OF(X509) *chain = sk_X509_new_null();
    for (size_t i = 0; chain && i < sk_CRYPTO_BUFFER_num(sent); i++) {
        X509 *x509 = X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(sent, i));
        if (!x509 || !sk_X509_push(chain, x509)) {
            X509_free(x509);
            sk_X509_pop_free(chain, X509_free);
            return NULL;
        }
    }
    return chain;
}

static struct slice leaf_der(const STACK_OF(CRYPTO_BUFFER) * sent)
{
    const CRYPTO_BUFFER *leaf = sk_CRYPTO_BUFFER_value(sent, 0);
    return slice_make(CRYPTO_BUFFER_data(leaf), CRYPTO_BUFFER_len(leaf));
}

static struct verdict judge(const struct tls_client_auth *auth, const STACK_OF(CRYPTO_BUFFER) * sent,
                            struct tls_identity **out_identity)
{
    if (sk_CRYPTO_BUFFER_num(sent) > LIMIT_CHAIN_CERTS)
        return refused("more certificates than a chain may have", SSL_AD_BAD_CERTIFICATE);
    STACK_OF(X509) *chain = chain_parse(sent);
    if (!chain)
        return refused("a certificate that cannot be parsed", SSL_AD_BAD_CERTIFICATE);
    struct verdict verdict = judge_chain(auth, chain);
    if (!verdict.refusal) {
        struct err err = tls_identity_new(sk_X509_value(chain, 0), leaf_der(sent), out_identity);
        if (err_is(err))
            verdict = refused(err.what, SSL_AD_BAD_CERTIFICATE);
    }
    sk_X509_pop_free(chain, X509_free);
    return verdict;
}

/* The key is proven after this, by CertificateVerify: nobody is identified before the handshake is done. */
static enum ssl_verify_result_t client_auth_verify(SSL *ssl, uint8_t *out_alert)
{
    struct tls_stream *tls = tls_stream_of_ssl(ssl);
    struct verdict verdict = judge(tls_server_of(ssl)->client_auth, SSL_get0_peer_certificates(ssl), &tls->identity);
    ERR_clear_error();
    if (!verdict.refusal)
        return ssl_verify_ok;
    tls->refusal = verdict.refusal;
    *out_alert = verdict.alert;
    return ssl_verify_invalid;
}

/* ---- setting up ---- */

static void client_auth_hash(struct tls_client_auth *auth, struct slice roots_pem)
{
    SHA256_CTX hash;
    uint8_t mode = (uint8_t)auth->mode;
    SHA256_Init(&hash);
    SHA256_Update(&hash, &mode, sizeof mode);
    SHA256_Update(&hash, roots_pem.ptr, roots_pem.len);
    SHA256_Final(auth->digest, &hash);
}

struct slice tls_client_auth_digest(const struct tls_client_auth *auth)
{
    return auth ? slice_make(auth->digest, sizeof auth->digest) : SLICE_NONE;
}

struct err tls_client_auth_new(struct slice roots_pem, enum tls_client_auth_mode mode,
                               struct tls_client_auth **out_auth)
{
    X509_STORE *store = X509_STORE_new();
    if (!store)
        abort(); /* out of memory */
    struct err err = tls_roots_add(store, roots_pem);
    if (err_is(err)) {
        X509_STORE_free(store);
        return err;
    }
    if (X509_STORE_set_purpose(store, X509_PURPOSE_SSL_CLIENT) != 1 ||
        X509_STORE_set_trust(store, X509_TRUST_SSL_CLIENT) != 1 ||
        X509_STORE_set_depth(store, LIMIT_CHAIN_CERTS) != 1 ||
        X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST) != 1)
        abort(); /* constants */
    struct tls_client_auth *auth = MEM_NEW(struct tls_client_auth);
    auth->store = store;
    auth->mode = mode;
    client_auth_hash(auth, roots_pem);
    *out_auth = auth;
    return ERR_OK;
}

void tls_client_auth_free(struct tls_client_auth *auth)
{
    if (!auth)
        return;
    X509_STORE_free(auth->store);
    mem_free(auth);
}

/* The names of what is trusted, by which a client with several certificates chooses (RFC 8446 §4.2.4). NULL: too many. */
static STACK_OF(CRYPTO_BUFFER) * client_auth_names(const struct tls_client_auth *auth)
{
    size_t total = 0;
    STACK_OF(CRYPTO_BUFFER) *names = sk_CRYPTO_BUFFER_new_null();
    const STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(auth->store);
    for (size_t i = 0; i < sk_X509_OBJECT_num(objects); i++) {
        const uint8_t *der;
        size_t len;
        X509 *root = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i));
        if (!root || X509_NAME_get0_der(X509_get_subject_name(root), &der, &len) != 1)
            continue;
        total += len + sizeof(uint16_t);
        CRYPTO_BUFFER *name = CRYPTO_BUFFER_new(der, len, NULL);
        if (!names || !name || !sk_CRYPTO_BUFFER_push(names, name))
            abort(); /* out of memory */
    }
    if (total <= LIMIT_CLIENT_CA_NAMES_BYTES)
        return names;
    sk_CRYPTO_BUFFER_pop_free(names, CRYPTO_BUFFER_free);
    return NULL;
}

void tls_client_auth_apply(const struct tls_client_auth *auth, SSL_CTX *ctx)
{
    int fail = auth->mode == TLS_CLIENT_AUTH_REQUIRE ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0;
    STACK_OF(CRYPTO_BUFFER) *names = client_auth_names(auth);
    SSL_CTX_set_custom_verify(ctx, SSL_VERIFY_PEER | fail, client_auth_verify);
    SSL_CTX_set_max_cert_list(ctx, LIMIT_CHAIN_BYTES);
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    SSL_CTX_set_retain_only_sha256_of_client_certs(ctx, 1); /* the identity holds what is needed of the chain */
    if (names)
        SSL_CTX_set0_client_CAs(ctx, names);
    if (SSL_CTX_set_verify_algorithm_prefs(ctx, client_signatures,
                                           sizeof client_signatures / sizeof client_signatures[0]) != 1)
        abort(); /* constants */
}
