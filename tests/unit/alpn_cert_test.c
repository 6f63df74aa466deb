/* What TLS-ALPN-01 shows: RFC 8737 §3, RFC 8738 §6, and what Boulder compares byte by byte. */
#include "certs/alpn_cert.h"

#include "check.h"

#include <openssl/obj.h>
#include <openssl/pool.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

static const int64_t now_s = 1795472193;
#define AUTHORIZATION "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"

static X509 *leaf_of(const struct cert *cert)
{
    const uint8_t *at = CRYPTO_BUFFER_data(cert->chain[0]);
    return d2i_X509(NULL, &at, (long)CRYPTO_BUFFER_len(cert->chain[0]));
}

static X509 *make(const char *name, struct cert **out_cert)
{
    CHECK(!err_is(alpn_cert_make(slice_str(name), SLICE_LIT(AUTHORIZATION), now_s, out_cert)));
    return leaf_of(*out_cert);
}

static struct slice extension_value(X509 *x509, const char *oid, int *out_critical)
{
    ASN1_OBJECT *id = OBJ_txt2obj(oid, 1);
    int at = X509_get_ext_by_OBJ(x509, id, -1);
    CHECK(at >= 0 && X509_get_ext_by_OBJ(x509, id, at) < 0); /* once */
    ASN1_OBJECT_free(id);
    X509_EXTENSION *extension = X509_get_ext(x509, at);
    const ASN1_OCTET_STRING *value = X509_EXTENSION_get_data(extension);
    *out_critical = X509_EXTENSION_get_critical(extension);
    return slice_make(ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value));
}

/* ACME-77, ACME-80: one name, whose bytes are exactly those of the DER that a CA makes of it. */
static void the_only_name_is_the_identifier(void)
{
    static const struct {
        const char *name, *der;
        size_t len;
    } cases[] = {
        {"a.example", "\x30\x0b\x82\x09" "a.example", 13},
        {"203.0.113.7", "\x30\x06\x87\x04\xcb\x00\x71\x07", 8},
        {"2001:db8::7", "\x30\x12\x87\x10\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07", 20},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cert *cert;
        int critical;
        X509 *x509 = make(cases[i].name, &cert);
        struct slice san = extension_value(x509, "2.5.29.17", &critical);
        CHECK_MEM(san.ptr, san.len, cases[i].der, cases[i].len);
        CHECK_INT(cert->num_names, 1);
        CHECK_STR(cert->names[0], cases[i].name);
        X509_free(x509);
        cert_unref(cert);
    }
}

/* ACME-78: OCTET STRING in an OCTET STRING, critical. */
static void the_identifier_is_the_authorizations_hash(void)
{
    struct cert *cert;
    uint8_t want[2 + SHA256_DIGEST_LENGTH] = {0x04, SHA256_DIGEST_LENGTH};
    int critical;
    X509 *x509 = make("a.example", &cert);
    struct slice got = extension_value(x509, "1.3.6.1.5.5.7.1.31", &critical);
    SHA256((const uint8_t *)AUTHORIZATION, sizeof AUTHORIZATION - 1, want + 2);
    CHECK_MEM(got.ptr, got.len, want, sizeof want);
    CHECK_INT(critical, 1);
    X509_free(x509);
    cert_unref(cert);
}

/* ACME-80. */
static void it_is_signed_by_itself_and_says_nothing_twice(void)
{
    struct cert *cert;
    const uint8_t *subject, *issuer;
    size_t subject_len, issuer_len;
    X509 *x509 = make("a.example", &cert);
    CHECK_INT(X509_NAME_get0_der(X509_get_subject_name(x509), &subject, &subject_len), 1);
    CHECK_INT(X509_NAME_get0_der(X509_get_issuer_name(x509), &issuer, &issuer_len), 1);
    CHECK_MEM(subject, subject_len, issuer, issuer_len);
    EVP_PKEY *key = X509_get_pubkey(x509);
    CHECK_INT(X509_verify(x509, key), 1);
    EVP_PKEY_free(key);
    for (int i = 0; i < X509_get_ext_count(x509); i++)
        CHECK(X509_get_ext_by_OBJ(x509, X509_EXTENSION_get_object(X509_get_ext(x509, i)), i) < 0);
    CHECK_INT(X509_check_ca(x509), 0);
    CHECK(cert->not_before_s < now_s && cert->not_after_s > now_s + 24 * 3600);
    CHECK_STR(cert_source_text(cert->source), "challenge");
    X509_free(x509);
    cert_unref(cert);
}

/* ACME-87: the examples of RFC 8738 §6 and RFC 3596 §2.5. */
static void addresses_are_asked_for_in_reverse(void)
{
    static const char *const cases[][2] = {
        {"a.example", "a.example"},
        {"192.0.2.1", "1.2.0.192.in-addr.arpa"},
        {"2001:db8::1", "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"},
        {"4321:0:1:2:3:4:567:89ab", "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf sni = {0};
        alpn_cert_write_sni(slice_str(cases[i][0]), &sni);
        CHECK_SLICE(buf_slice(&sni), cases[i][1]);
        buf_cleanup(&sni);
    }
}

static void a_wildcard_has_none(void)
{
    struct cert *cert = NULL;
    CHECK_INT(alpn_cert_make(SLICE_LIT("*.example.test"), SLICE_LIT("x.y"), now_s, &cert).kind, ERR_INPUT);
    CHECK_INT(alpn_cert_make(SLICE_LIT("a b"), SLICE_LIT("x.y"), now_s, &cert).kind, ERR_INPUT);
    CHECK(cert == NULL);
}

int main(void)
{
    RUN(the_only_name_is_the_identifier);
    RUN(the_identifier_is_the_authorizations_hash);
    RUN(it_is_signed_by_itself_and_says_nothing_twice);
    RUN(addresses_are_asked_for_in_reverse);
    RUN(a_wildcard_has_none);
    return checks_done();
}
