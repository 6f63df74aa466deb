#include "tls/cert.h"

#include "base/limits.h"
#include "base/mem.h"

#include <openssl/bn.h>
#include <openssl/bytestring.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/pool.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>
#include <stdatomic.h>

static uint64_t cert_next_id(void)
{
    static _Atomic uint64_t last; /* a name for caches, not state: nothing depends on its value */
    return atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
}

static int64_t asn1_time_s(const ASN1_TIME *time)
{
    int64_t posix_s = 0;
    return ASN1_TIME_to_posix(time, &posix_s) == 1 ? posix_s : 0;
}

static char *cert_serial_text(X509 *x509)
{
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x509), NULL);
    char *hex = number ? BN_bn2hex(number) : NULL;
    char *text = mem_strdup(hex ? hex : "");
    for (char *at = text; *at; at++)
        if (*at >= 'A' && *at <= 'F')
            *at = (char)(*at - 'A' + 'a');
    OPENSSL_free(hex);
    BN_free(number);
    return text;
}

static char *cert_issuer_text(X509 *x509)
{
    char text[256] = "";
    X509_NAME *issuer = X509_get_issuer_name(x509);
    if (X509_NAME_get_text_by_NID(issuer, NID_commonName, text, sizeof text) <= 0)
        X509_NAME_get_text_by_NID(issuer, NID_organizationName, text, sizeof text);
    return mem_strdup(text);
}

static char *general_name_text(const GENERAL_NAME *name)
{
    char text[INET6_ADDRSTRLEN];
    if (name->type == GEN_DNS) {
        const uint8_t *dns = ASN1_STRING_get0_data(name->d.dNSName);
        size_t dns_len = (size_t)ASN1_STRING_length(name->d.dNSName);
        if (memchr(dns, '\0', dns_len)) /* "a.example\0.evil.example" is neither */
            return NULL;
        char *copy = mem_dup(dns, dns_len);
        for (char *at = copy; *at; at++)
            if (*at >= 'A' && *at <= 'Z')
                *at = (char)(*at - 'A' + 'a');
        return copy;
    }
    if (name->type != GEN_IPADD)
        return NULL;
    int len = ASN1_STRING_length(name->d.iPAddress);
    int family = len == 4 ? AF_INET : len == 16 ? AF_INET6 : AF_UNSPEC;
    if (family == AF_UNSPEC || !inet_ntop(family, ASN1_STRING_get0_data(name->d.iPAddress), text, sizeof text))
        return NULL;
    return mem_strdup(text);
}

static void cert_read_names(struct cert *cert, X509 *x509)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x509, NID_subject_alt_name, NULL, NULL);
    size_t num = names ? sk_GENERAL_NAME_num(names) : 0;
    cert->names = mem_calloc(num, sizeof *cert->names);
    for (size_t i = 0; i < num; i++) {
        char *text = general_name_text(sk_GENERAL_NAME_value(names, i));
        if (text)
            cert->names[cert->num_names++] = text;
    }
    GENERAL_NAMES_free(names);
}

static EVP_PKEY *key_parse(struct slice der)
{
    CBS cbs;
    CBS_init(&cbs, (const uint8_t *)der.ptr, der.len);
    EVP_PKEY *key = EVP_parse_private_key(&cbs);
    if (key && CBS_len(&cbs) != 0) {
        EVP_PKEY_free(key);
        return NULL;
    }
    return key;
}

static void cert_read_key(struct cert *cert, const EVP_PKEY *key)
{
    static const struct {
        int nid;
        uint16_t curve, scheme;
    } curves[] = {
        {NID_X9_62_prime256v1, SSL_CURVE_SECP256R1, SSL_SIGN_ECDSA_SECP256R1_SHA256},
        {NID_secp384r1, SSL_CURVE_SECP384R1, SSL_SIGN_ECDSA_SECP384R1_SHA384},
        {NID_secp521r1, SSL_CURVE_SECP521R1, SSL_SIGN_ECDSA_SECP521R1_SHA512},
    };
    const EC_KEY *ec = EVP_PKEY_id(key) == EVP_PKEY_EC ? EVP_PKEY_get0_EC_KEY(key) : NULL;
    cert->key_is_rsa = EVP_PKEY_id(key) == EVP_PKEY_RSA;
    if (EVP_PKEY_id(key) == EVP_PKEY_ED25519)
        cert->key_scheme = SSL_SIGN_ED25519;
    for (size_t i = 0; ec && i < sizeof curves / sizeof curves[0]; i++)
        if (EC_GROUP_get_curve_name(EC_KEY_get0_group(ec)) == curves[i].nid) {
            cert->key_curve = curves[i].curve;
            cert->key_scheme = curves[i].scheme;
        }
}

/* Once for all: whoever asks whether the key is a banned one asks often. */
static struct err cert_hash_key(struct cert *cert, const EVP_PKEY *key)
{
    CBB cbb;
    uint8_t *der = NULL;
    size_t len = 0;
    if (!CBB_init(&cbb, 256) || !EVP_marshal_public_key(&cbb, key) || !CBB_finish(&cbb, &der, &len)) {
        CBB_cleanup(&cbb);
        return err_make(ERR_TLS, 0, "write the certificate's public key");
    }
    SHA256(der, len, cert->spki_sha256);
    OPENSSL_free(der);
    return ERR_OK;
}

static struct err cert_read_leaf(struct cert *cert, struct slice leaf_der, struct slice key_der)
{
    const uint8_t *at = (const uint8_t *)leaf_der.ptr;
    X509 *x509 = d2i_X509(NULL, &at, (long)leaf_der.len);
    EVP_PKEY *key = key_parse(key_der);
    struct err err = ERR_OK;
    if (!x509 || at != (const uint8_t *)leaf_der.ptr + leaf_der.len)
        err = err_make(ERR_INPUT, 0, "parse the certificate");
    else if (!key)
        err = err_make(ERR_INPUT, 0, "parse the private key");
    else if (X509_check_private_key(x509, key) != 1)
        err = err_make(ERR_INPUT, 0, "match the private key with the certificate");
    if (!err_is(err))
        err = cert_hash_key(cert, key);
    if (!err_is(err)) {
        cert_read_key(cert, key);
        cert->not_before_s = asn1_time_s(X509_get0_notBefore(x509));
        cert->not_after_s = asn1_time_s(X509_get0_notAfter(x509));
        cert->serial = cert_serial_text(x509);
        cert->issuer = cert_issuer_text(x509);
        cert_read_names(cert, x509);
    }
    X509_free(x509);
    EVP_PKEY_free(key);
    return err;
}

struct err cert_new(enum cert_source source, const struct slice *chain_der, size_t num_chain,
                    struct slice key_pkcs8_der, struct cert **out_cert)
{
    if (num_chain == 0 || num_chain > LIMIT_CHAIN_CERTS)
        return err_make(ERR_LIMIT, 0, "a chain of 1 to 10 certificates");
    struct cert *cert = MEM_NEW(struct cert);
    atomic_init(&cert->refs, 1);
    cert->id = cert_next_id();
    cert->source = source;
    struct err err = cert_read_leaf(cert, chain_der[0], key_pkcs8_der);
    cert->key_der = (uint8_t *)mem_dup(key_pkcs8_der.ptr, key_pkcs8_der.len);
    cert->key_len = key_pkcs8_der.len;
    cert->chain = mem_calloc(num_chain, sizeof(CRYPTO_BUFFER *));
    for (size_t i = 0; i < num_chain; i++) {
        /* No CRYPTO_BUFFER_POOL: the free of a pooled buffer takes the pool's lock. */
        cert->chain[i] = CRYPTO_BUFFER_new((const uint8_t *)chain_der[i].ptr, chain_der[i].len, NULL);
        cert->num_chain++;
    }
    if (err_is(err)) {
        cert_unref(cert);
        return err;
    }
    *out_cert = cert;
    return ERR_OK;
}

struct cert *cert_ref(struct cert *cert)
{
    atomic_fetch_add_explicit(&cert->refs, 1, memory_order_relaxed);
    return cert;
}

void cert_unref(struct cert *cert)
{
    if (!cert || atomic_fetch_sub_explicit(&cert->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < cert->num_chain; i++)
        CRYPTO_BUFFER_free(cert->chain[i]);
    mem_free(cert->chain);
    mem_free_secret(cert->key_der, cert->key_len);
    for (size_t i = 0; i < cert->num_names; i++)
        mem_free(cert->names[i]);
    mem_free(cert->names);
    mem_free(cert->serial);
    mem_free(cert->issuer);
    mem_free(cert);
}

bool cert_covers(const struct cert *cert, struct slice name)
{
    struct slice parent = name;
    slice_split(&parent, '.');
    for (size_t i = 0; i < cert->num_names; i++) {
        struct slice own = slice_str(cert->names[i]);
        if (slice_eq(own, name))
            return true;
        if (slice_starts(own, SLICE_LIT("*.")) && parent.len && slice_eq(slice_skip(own, 2), parent))
            return true;
    }
    return false;
}

const char *cert_source_text(enum cert_source source)
{
    switch (source) {
    case CERT_PLACEHOLDER: return "placeholder";
    case CERT_INTERNAL: return "internal";
    case CERT_ISSUED: return "issued";
    case CERT_OWN: return "own";
    case CERT_CHALLENGE: return "challenge";
    }
    return "unknown";
}
