#include "test_cert.h"

#include "base/mem.h"

#include <openssl/bn.h>
#include <openssl/bytestring.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MUST(expression)                                                                                   \
    do {                                                                                                   \
        if (!(expression)) {                                                                               \
            fprintf(stderr, "test_cert: %s failed\n", #expression);                                        \
            abort();                                                                                       \
        }                                                                                                  \
    } while (0)

/* curve: NID_undef for RSA. */
static EVP_PKEY *make_key(int curve)
{
    EVP_PKEY *key = EVP_PKEY_new();
    MUST(key);
    if (curve == NID_undef) {
        RSA *made = RSA_new();
        BIGNUM *e = BN_new();
        MUST(made && e && BN_set_word(e, RSA_F4) && RSA_generate_key_ex(made, 2048, e, NULL));
        BN_free(e);
        MUST(EVP_PKEY_assign_RSA(key, made));
    } else {
        EC_KEY *made = EC_KEY_new_by_curve_name(curve);
        MUST(made && EC_KEY_generate_key(made) && EVP_PKEY_assign_EC_KEY(key, made));
    }
    return key;
}

static void add_names(X509 *x509, const char *const *names)
{
    GENERAL_NAMES *list = GENERAL_NAMES_new();
    for (; *names; names++) {
        GENERAL_NAME *name = GENERAL_NAME_new();
        ASN1_IA5STRING *text = ASN1_IA5STRING_new();
        MUST(name && text && ASN1_STRING_set(text, *names, (int)strlen(*names)));
        GENERAL_NAME_set0_value(name, GEN_DNS, text);
        MUST(sk_GENERAL_NAME_push(list, name));
    }
    MUST(X509_add1_ext_i2d(x509, NID_subject_alt_name, list, 0, X509V3_ADD_DEFAULT));
    GENERAL_NAMES_free(list);
}

static X509 *make_leaf(EVP_PKEY *key, const char *const *names, long valid_s)
{
    X509 *x509 = X509_new();
    uint8_t serial[8];
    RAND_bytes(serial, sizeof serial);
    serial[0] = (uint8_t)((serial[0] & 0x3f) | 0x40);
    BIGNUM *number = BN_bin2bn(serial, sizeof serial, NULL);
    MUST(x509 && number && X509_set_version(x509, X509_VERSION_3));
    MUST(BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x509)));
    BN_free(number);
    MUST(X509_gmtime_adj(X509_getm_notBefore(x509), -3600) && X509_gmtime_adj(X509_getm_notAfter(x509), valid_s));
    X509_NAME *subject = X509_get_subject_name(x509);
    MUST(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const uint8_t *)"test", -1, -1, 0));
    MUST(X509_set_issuer_name(x509, subject) && X509_set_pubkey(x509, key));
    add_names(x509, names);
    MUST(X509_sign(x509, key, EVP_sha256()));
    return x509;
}

static struct cert *make_cert(const char *const *names, EVP_PKEY *key, long valid_s)
{
    X509 *leaf = make_leaf(key, names, valid_s);
    uint8_t *der = NULL, *key_der = NULL;
    size_t key_len;
    CBB cbb;
    int len = i2d_X509(leaf, &der);
    MUST(len > 0 && CBB_init(&cbb, 256) && EVP_marshal_private_key(&cbb, key) && CBB_finish(&cbb, &key_der, &key_len));
    struct slice chain = slice_make(der, (size_t)len);
    struct cert *cert;
    struct err err = cert_new(CERT_OWN, &chain, 1, slice_make(key_der, key_len), &cert);
    MUST(!err_is(err));
    OPENSSL_free(der);
    OPENSSL_free(key_der);
    X509_free(leaf);
    EVP_PKEY_free(key);
    return cert;
}

struct cert *test_cert_new(const char *const *names, bool rsa, long valid_s)
{
    return make_cert(names, make_key(rsa ? NID_undef : NID_X9_62_prime256v1), valid_s);
}

struct cert *test_cert_p384(const char *name)
{
    const char *names[] = {name, NULL};
    return make_cert(names, make_key(NID_secp384r1), 86400);
}

struct cert *test_cert_for(const char *name)
{
    const char *names[] = {name, NULL};
    return test_cert_new(names, false, 86400);
}
