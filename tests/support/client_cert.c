#include "client_cert.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/curve25519.h>
#include <openssl/digest.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <stdio.h>
#include <stdlib.h>

#define MUST(expression)                                              \
    do {                                                              \
        if (!(expression)) {                                          \
            fprintf(stderr, "client_cert: %s failed\n", #expression); \
            abort();                                                  \
        }                                                             \
    } while (0)

static EVP_PKEY *make_rsa(int bits)
{
    EVP_PKEY *key = EVP_PKEY_new();
    RSA *rsa = RSA_new();
    BIGNUM *e = BN_new();
    MUST(key && rsa && e && BN_set_word(e, RSA_F4) && RSA_generate_key_ex(rsa, bits, e, NULL));
    BN_free(e);
    MUST(EVP_PKEY_assign_RSA(key, rsa));
    return key;
}

static EVP_PKEY *make_key(enum client_key kind)
{
    uint8_t public_key[32], private_key[64];
    switch (kind) {
    case CLIENT_KEY_RSA_1024: return make_rsa(1024);
    case CLIENT_KEY_RSA_2048: return make_rsa(2048);
    case CLIENT_KEY_ED25519:
        ED25519_keypair(public_key, private_key);
        return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, private_key, 32);
    case CLIENT_KEY_P256: break;
    }
    EVP_PKEY *key = EVP_PKEY_new();
    EC_KEY *made = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    MUST(key && made && EC_KEY_generate_key(made) && EVP_PKEY_assign_EC_KEY(key, made));
    return key;
}

static void add_entry(X509_NAME *name, int nid, struct slice text)
{
    if (text.len)
        MUST(X509_NAME_add_entry_by_NID(name, nid, V_ASN1_UTF8STRING, (const uint8_t *)text.ptr, (ossl_ssize_t)text.len,
                                        -1, 0));
}

static void add_purpose(X509 *x509, int nid)
{
    EXTENDED_KEY_USAGE *usage = EXTENDED_KEY_USAGE_new();
    MUST(usage && sk_ASN1_OBJECT_push(usage, OBJ_nid2obj(nid)));
    MUST(X509_add1_ext_i2d(x509, NID_ext_key_usage, usage, 0, X509V3_ADD_DEFAULT));
    EXTENDED_KEY_USAGE_free(usage);
}

static void add_constraints(X509 *x509, bool is_ca)
{
    BASIC_CONSTRAINTS *constraints = BASIC_CONSTRAINTS_new();
    MUST(constraints);
    constraints->ca = is_ca ? ASN1_BOOLEAN_TRUE : ASN1_BOOLEAN_FALSE;
    MUST(X509_add1_ext_i2d(x509, NID_basic_constraints, constraints, 1, X509V3_ADD_DEFAULT));
    BASIC_CONSTRAINTS_free(constraints);
}

static void add_comment(X509 *x509, size_t len)
{
    char *bytes = malloc(len);
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();
    MUST(bytes && text);
    memset(bytes, 'x', len);
    MUST(ASN1_STRING_set(text, bytes, (ossl_ssize_t)len));
    MUST(X509_add1_ext_i2d(x509, NID_netscape_comment, text, 0, X509V3_ADD_DEFAULT));
    ASN1_IA5STRING_free(text);
    free(bytes);
}

static void set_serial(X509 *x509)
{
    uint8_t serial[8];
    RAND_bytes(serial, sizeof serial);
    serial[0] = (uint8_t)((serial[0] & 0x3f) | 0x40);
    BIGNUM *number = BN_bin2bn(serial, sizeof serial, NULL);
    MUST(number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x509)));
    BN_free(number);
}

struct client_cert client_cert_make(const struct client_spec *spec)
{
    struct client_cert cert = {.x509 = X509_new(), .key = make_key(spec->key)};
    bool usual = spec->from_s == 0 && spec->to_s == 0;
    MUST(cert.x509 && cert.key && X509_set_version(cert.x509, X509_VERSION_3));
    set_serial(cert.x509);
    MUST(X509_gmtime_adj(X509_getm_notBefore(cert.x509), usual ? -3600 : spec->from_s));
    MUST(X509_gmtime_adj(X509_getm_notAfter(cert.x509), usual ? 86400 : spec->to_s));
    X509_NAME *subject = X509_get_subject_name(cert.x509);
    add_entry(subject, NID_organizationName, spec->organisation);
    add_entry(subject, NID_commonName, spec->common_name);
    MUST(X509_set_issuer_name(cert.x509, X509_get_subject_name(spec->issuer ? spec->issuer->x509 : cert.x509)));
    MUST(X509_set_pubkey(cert.x509, cert.key));
    add_constraints(cert.x509, spec->is_ca);
    if (spec->purpose)
        add_purpose(cert.x509, spec->purpose);
    if (spec->padding)
        add_comment(cert.x509, spec->padding);
    EVP_PKEY *signer = spec->issuer ? spec->issuer->key : cert.key;
    bool ed25519 = EVP_PKEY_id(signer) == EVP_PKEY_ED25519; /* has a digest of its own */
    MUST(X509_sign(cert.x509, signer, ed25519 ? NULL : spec->digest ? spec->digest : EVP_sha256()));
    return cert;
}

struct client_cert client_cert_root(const char *common_name)
{
    return client_cert_make(&(struct client_spec){.common_name = slice_str(common_name), .is_ca = true});
}

struct client_cert client_cert_by(const struct client_cert *issuer, const char *common_name)
{
    return client_cert_make(
        &(struct client_spec){.common_name = slice_str(common_name), .issuer = issuer, .purpose = NID_client_auth});
}

void client_cert_cleanup(struct client_cert *cert)
{
    X509_free(cert->x509);
    EVP_PKEY_free(cert->key);
    *cert = (struct client_cert){0};
}

void client_cert_pem(const struct client_cert *cert, struct buf *out)
{
    const uint8_t *text;
    size_t len;
    BIO *bio = BIO_new(BIO_s_mem());
    MUST(bio && PEM_write_bio_X509(bio, cert->x509) && BIO_mem_contents(bio, &text, &len));
    buf_append(out, text, len);
    BIO_free(bio);
}
