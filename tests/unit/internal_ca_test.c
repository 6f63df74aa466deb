#include "acme/chain.h"
#include "acme/key.h"
#include "acme/pem.h"
#include "base/clock.h"
#include "certs/internal_ca.h"
#include "check.h"
#include "tls/cert.h"

#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

static const int64_t now_s = 1795472193; /* 2026-11-23 */
static const int64_t day_s = 86400;

static const struct slice local_names[] = {SLICE_LIT("app.localhost"), SLICE_LIT("*.dev.test"),
                                           SLICE_LIT("192.168.1.7"), SLICE_LIT("fd00::7")};

static struct internal_ca *ca_make(void)
{
    struct internal_ca *ca = NULL;
    CHECK(!err_is(internal_ca_new(now_s, &ca)));
    if (!ca)
        abort();
    return ca;
}

static X509 *x509_of(struct slice der)
{
    const uint8_t *at = (const uint8_t *)der.ptr;
    X509 *x509 = d2i_X509(NULL, &at, (long)der.len);
    CHECK(x509 != NULL && at == (const uint8_t *)der.ptr + der.len);
    return x509;
}

/* As a client would: 0, or the X509_V_ERR. Names are given as for a URL; NULL asks for none. */
static int verify(struct slice root_der, struct slice leaf_der, const char *host, const char *ip, int64_t at_s)
{
    X509 *root = x509_of(root_der), *leaf = x509_of(leaf_der);
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    CHECK(X509_STORE_add_cert(store, root) == 1);
    CHECK(X509_STORE_CTX_init(ctx, store, leaf, NULL) == 1);
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_time_posix(param, at_s);
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT);
    CHECK(X509_STORE_CTX_set_purpose(ctx, X509_PURPOSE_SSL_SERVER) == 1);
    if (host)
        CHECK(X509_VERIFY_PARAM_set1_host(param, host, strlen(host)) == 1);
    if (ip)
        CHECK(X509_VERIFY_PARAM_set1_ip_asc(param, ip) == 1);
    int result = X509_verify_cert(ctx) == 1 ? 0 : X509_STORE_CTX_get_error(ctx);
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    X509_free(root);
    X509_free(leaf);
    return result;
}

static void test_a_leaf_verifies_for_its_names_and_dates(void)
{
    struct internal_ca *ca = ca_make();
    struct x509_made made;
    CHECK(!err_is(internal_ca_issue(ca, local_names, 4, now_s, &made)));
    struct slice root = internal_ca_root_der(ca), leaf = buf_slice(&made.der);
    CHECK_INT(verify(root, leaf, "app.localhost", NULL, now_s), 0);
    CHECK_INT(verify(root, leaf, "x.dev.test", NULL, now_s), 0);
    CHECK_INT(verify(root, leaf, NULL, "192.168.1.7", now_s), 0);
    CHECK_INT(verify(root, leaf, NULL, "fd00::7", now_s), 0);
    CHECK_INT(verify(root, leaf, "other.test", NULL, now_s), X509_V_ERR_HOSTNAME_MISMATCH);
    CHECK_INT(verify(root, leaf, NULL, "192.168.1.8", now_s), X509_V_ERR_IP_ADDRESS_MISMATCH);
    CHECK_INT(verify(root, leaf, NULL, NULL, now_s - 3600), 0);
    CHECK_INT(verify(root, leaf, NULL, NULL, now_s - 3602), X509_V_ERR_CERT_NOT_YET_VALID);
    CHECK_INT(verify(root, leaf, NULL, NULL, now_s + 7 * day_s - 3601), 0);
    CHECK_INT(verify(root, leaf, NULL, NULL, now_s + 7 * day_s), X509_V_ERR_CERT_HAS_EXPIRED);
    x509_made_cleanup(&made);
    internal_ca_free(ca);
}

static void test_another_stores_root_does_not_vouch(void)
{
    struct internal_ca *ca = ca_make(), *other = ca_make();
    struct x509_made made;
    CHECK(!err_is(internal_ca_issue(ca, local_names, 1, now_s, &made)));
    CHECK(verify(internal_ca_root_der(other), buf_slice(&made.der), NULL, NULL, now_s) != 0);
    CHECK(!slice_eq(internal_ca_name(ca), internal_ca_name(other)));
    CHECK(!slice_eq(internal_ca_fingerprint(ca), internal_ca_fingerprint(other)));
    x509_made_cleanup(&made);
    internal_ca_free(other);
    internal_ca_free(ca);
}

static bool extension_is_critical(X509 *x509, int nid)
{
    int at = X509_get_ext_by_NID(x509, nid, -1);
    CHECK(at >= 0);
    return at >= 0 && X509_EXTENSION_get_critical(X509_get_ext(x509, at));
}

static void test_the_root_is_a_root_for_ten_years(void)
{
    struct internal_ca *ca = ca_make();
    X509 *root = x509_of(internal_ca_root_der(ca));
    CHECK(slice_starts(internal_ca_name(ca), SLICE_LIT("Portico local CA ")));
    CHECK_INT(internal_ca_name(ca).len, 17 + 8);
    CHECK_INT(internal_ca_fingerprint(ca).len, 64);
    CHECK_INT(internal_ca_not_after_s(ca), now_s + 3652 * day_s);
    CHECK_INT(X509_check_ca(root), 1);
    CHECK_INT(X509_get_pathlen(root), 0);
    CHECK_INT(X509_get_key_usage(root), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
    CHECK(extension_is_critical(root, NID_basic_constraints));
    CHECK(extension_is_critical(root, NID_key_usage));
    CHECK(X509_get0_subject_key_id(root) != NULL);
    CHECK_INT(verify(internal_ca_root_der(ca), internal_ca_root_der(ca), NULL, NULL, now_s + 3651 * day_s), 0);
    X509_free(root);
    internal_ca_free(ca);
}

static void test_a_leaf_is_a_server_certificate_alone(void)
{
    struct internal_ca *ca = ca_make();
    struct x509_made made;
    CHECK(!err_is(internal_ca_issue(ca, local_names, 2, now_s, &made)));
    X509 *leaf = x509_of(buf_slice(&made.der)), *root = x509_of(internal_ca_root_der(ca));
    CHECK_INT(X509_get_version(leaf), X509_VERSION_3);
    CHECK_INT(X509_check_ca(leaf), 0);
    CHECK_INT(X509_get_key_usage(leaf), KU_DIGITAL_SIGNATURE);
    CHECK_INT(X509_get_extended_key_usage(leaf), XKU_SSL_SERVER);
    CHECK(extension_is_critical(leaf, NID_basic_constraints));
    const ASN1_OCTET_STRING *root_id = X509_get0_subject_key_id(root);
    const ASN1_OCTET_STRING *authority = X509_get0_authority_key_id(leaf);
    CHECK(authority && ASN1_OCTET_STRING_cmp(authority, root_id) == 0);
    CHECK(X509_get0_subject_key_id(leaf) && ASN1_OCTET_STRING_cmp(X509_get0_subject_key_id(leaf), root_id) != 0);
    CHECK(!extension_is_critical(leaf, NID_subject_alt_name)); /* the subject has a name */
    X509_free(root);
    X509_free(leaf);
    x509_made_cleanup(&made);
    internal_ca_free(ca);
}

static void test_a_long_first_name_leaves_the_subject_empty(void)
{
    static const struct slice names[] = {
        SLICE_LIT("a-name-that-is-longer-than-sixty-four-characters.and-has-labels.for-that.test")};
    struct internal_ca *ca = ca_make();
    struct x509_made made;
    CHECK(!err_is(internal_ca_issue(ca, names, 1, now_s, &made)));
    X509 *leaf = x509_of(buf_slice(&made.der));
    CHECK_INT(X509_NAME_entry_count(X509_get_subject_name(leaf)), 0);
    CHECK(extension_is_critical(leaf, NID_subject_alt_name)); /* RFC 5280 §4.2.1.6 */
    CHECK_INT(verify(internal_ca_root_der(ca), buf_slice(&made.der), names[0].ptr, NULL, now_s), 0);
    X509_free(leaf);
    x509_made_cleanup(&made);
    internal_ca_free(ca);
}

static void test_serials_are_random_and_positive(void)
{
    struct internal_ca *ca = ca_make();
    uint8_t serials[20][16];
    for (int i = 0; i < 20; i++) {
        struct x509_made made;
        CHECK(!err_is(internal_ca_issue(ca, local_names, 1, now_s, &made)));
        X509 *leaf = x509_of(buf_slice(&made.der));
        const ASN1_INTEGER *serial = X509_get0_serialNumber(leaf);
        CHECK_INT(ASN1_STRING_type(serial), V_ASN1_INTEGER); /* not V_ASN1_NEG_INTEGER */
        CHECK_INT(ASN1_STRING_length(serial), 16);
        memcpy(serials[i], ASN1_STRING_get0_data(serial), 16);
        for (int j = 0; j < i; j++)
            CHECK(memcmp(serials[i], serials[j], 16) != 0);
        X509_free(leaf);
        x509_made_cleanup(&made);
    }
    internal_ca_free(ca);
}

static void test_names_are_checked(void)
{
    static const struct slice bad[] = {SLICE_LIT(""),         SLICE_LIT("a b"),   SLICE_LIT("a..b"),
                                       SLICE_LIT("*.*.test"), SLICE_LIT("a.*.b"), SLICE_LIT("a\0b.test"),
                                       SLICE_LIT("1.2.3")};
    struct internal_ca *ca = ca_make();
    struct x509_made made;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_INT(internal_ca_issue(ca, &bad[i], 1, now_s, &made).kind, ERR_INPUT);
    CHECK_INT(internal_ca_issue(ca, NULL, 0, now_s, &made).kind, ERR_INPUT);
    internal_ca_free(ca);
}

static void test_a_leaf_never_outlives_its_root(void)
{
    struct internal_ca *ca = ca_make();
    struct x509_made made;
    int64_t end_s = internal_ca_not_after_s(ca);
    CHECK(!err_is(internal_ca_issue(ca, local_names, 1, end_s - day_s, &made)));
    CHECK_INT(verify(internal_ca_root_der(ca), buf_slice(&made.der), NULL, NULL, end_s - 1), 0);
    X509 *leaf = x509_of(buf_slice(&made.der));
    int64_t leaf_end_s = 0;
    CHECK(ASN1_TIME_to_posix(X509_get0_notAfter(leaf), &leaf_end_s) && leaf_end_s == end_s);
    X509_free(leaf);
    x509_made_cleanup(&made);
    CHECK_INT(internal_ca_issue(ca, local_names, 1, end_s, &made).kind, ERR_STATE);
    CHECK_INT(internal_ca_issue(ca, local_names, 1, now_s - day_s, &made).kind, ERR_STATE);
    internal_ca_free(ca);
}

static void test_what_is_made_fits_our_own_checks(void)
{
    struct internal_ca *ca = ca_make();
    struct x509_made made;
    struct chain chain;
    struct buf pem = {0}, key_pem = {0}, pkcs8 = {0};
    struct evp_pkey_st *key = NULL;
    CHECK(!err_is(internal_ca_issue(ca, local_names, 4, now_s, &made)));
    x509_made_write_chain(&made, &pem);
    x509_made_write_key(&made, &key_pem);
    CHECK(!err_is(chain_parse(buf_slice(&pem), &chain)));
    CHECK(!err_is(key_read_pem(buf_slice(&key_pem), &key)));
    CHECK_INT(chain_check(&chain, key, local_names, 4, now_s), CHAIN_FINE);
    CHECK_SLICE(chain.issuer, strndupa(internal_ca_name(ca).ptr, internal_ca_name(ca).len));
    key_write_pkcs8(made.key, &pkcs8);
    struct slice der = buf_slice(&made.der);
    struct cert *cert = NULL;
    CHECK(!err_is(cert_new(CERT_INTERNAL, &der, 1, buf_slice(&pkcs8), &cert)));
    CHECK(cert && cert_covers(cert, SLICE_LIT("any.dev.test")));
    cert_unref(cert);
    chain_cleanup(&chain);
    key_free(key);
    buf_cleanup(&pem);
    buf_cleanup_secret(&key_pem);
    buf_cleanup_secret(&pkcs8);
    x509_made_cleanup(&made);
    internal_ca_free(ca);
}

/* --- The record --- */

static void test_the_record_brings_the_same_root_back(void)
{
    struct internal_ca *ca = ca_make(), *again = NULL;
    struct buf record = {0}, second = {0};
    struct x509_made made;
    internal_ca_write(ca, &record);
    CHECK(slice_starts(buf_slice(&record), SLICE_LIT("portico-internal-ca: 1\nname: Portico local CA ")));
    CHECK(!err_is(internal_ca_read(buf_slice(&record), &again)));
    CHECK(slice_eq(internal_ca_fingerprint(ca), internal_ca_fingerprint(again)));
    internal_ca_write(again, &second);
    CHECK(slice_eq(buf_slice(&record), buf_slice(&second)));
    CHECK(!err_is(internal_ca_issue(again, local_names, 1, now_s + 365 * day_s, &made)));
    CHECK_INT(verify(internal_ca_root_der(ca), buf_slice(&made.der), "app.localhost", NULL, now_s + 365 * day_s), 0);
    x509_made_cleanup(&made);
    buf_cleanup_secret(&record);
    buf_cleanup_secret(&second);
    internal_ca_free(again);
    internal_ca_free(ca);
}

static void test_a_damaged_record_is_an_error_at_every_cut(void)
{
    struct internal_ca *ca = ca_make(), *again = NULL;
    struct buf record = {0};
    internal_ca_write(ca, &record);
    for (size_t len = 0; len + 1 < record.len; len++) {
        char *exact = malloc(len ? len : 1);
        memcpy(exact, record.ptr, len);
        CHECK(err_is(internal_ca_read(slice_make(exact, len), &again)));
        free(exact);
    }
    char *version = record.ptr + strlen("portico-internal-ca: ");
    *version = '2';
    CHECK(err_is(internal_ca_read(buf_slice(&record), &again)));
    *version = '1';
    char *base64 = strstr(buf_cstr(&record), "BEGIN CERTIFICATE-----\n") + 200; /* within what is signed */
    *base64 = *base64 == 'A' ? 'B' : 'A';
    CHECK(err_is(internal_ca_read(buf_slice(&record), &again)));
    CHECK(again == NULL);
    buf_cleanup_secret(&record);
    internal_ca_free(ca);
}

static void check_of_pem(struct slice certificate, struct slice key, const char *fault)
{
    struct internal_ca *ca = NULL;
    struct err err = internal_ca_of_pem(certificate, key, &ca);
    CHECK_INT(err_is(err), fault != NULL);
    if (fault && err_is(err))
        CHECK_STR(err.what, fault);
    internal_ca_free(ca);
}

static void test_a_root_of_ones_own(void)
{
    struct x509_made root, leaf;
    struct evp_pkey_st *key = NULL;
    struct buf root_pem = {0}, key_pem = {0}, leaf_pem = {0}, leaf_key_pem = {0}, p384_key_pem = {0}, p384_pem = {0};
    struct x509_spec spec = {
        .common_name = SLICE_LIT("Our CA"), .not_before_s = now_s, .not_after_s = now_s + day_s, .is_ca = true};
    CHECK(!err_is(x509_make_with_key(&spec, &root)));
    x509_made_write_chain(&root, &root_pem);
    x509_made_write_key(&root, &key_pem);
    check_of_pem(buf_slice(&root_pem), buf_slice(&key_pem), NULL);
    spec.is_ca = false;
    spec.names = local_names;
    spec.num_names = 1;
    CHECK(!err_is(x509_make_with_key(&spec, &leaf)));
    x509_made_write_chain(&leaf, &leaf_pem);
    x509_made_write_key(&leaf, &leaf_key_pem);
    check_of_pem(buf_slice(&leaf_pem), buf_slice(&leaf_key_pem), "local CA: the certificate is not a CA's");
    check_of_pem(buf_slice(&root_pem), buf_slice(&leaf_key_pem), "local CA: the key is for another certificate");
    buf_append_slice(&leaf_pem, buf_slice(&root_pem));
    check_of_pem(buf_slice(&leaf_pem), buf_slice(&leaf_key_pem), "local CA: more than one certificate");

    struct buf der = {0};
    CHECK(!err_is(key_generate(KEY_P384, &key)));
    spec = (struct x509_spec){.common_name = SLICE_LIT("Below"),
                              .not_before_s = now_s,
                              .not_after_s = now_s + day_s,
                              .is_ca = true,
                              .key = key,
                              .issuer_key = key};
    CHECK(!err_is(x509_make(&spec, &der)));
    pem_write(&p384_pem, "CERTIFICATE", buf_slice(&der));
    key_write_pem(key, &p384_key_pem);
    check_of_pem(buf_slice(&p384_pem), buf_slice(&p384_key_pem), NULL);
    X509 *issuer = x509_of(buf_slice(&root.der));
    spec.issuer = issuer;
    spec.issuer_key = root.key;
    der.len = p384_pem.len = 0;
    CHECK(!err_is(x509_make(&spec, &der)));
    pem_write(&p384_pem, "CERTIFICATE", buf_slice(&der));
    check_of_pem(buf_slice(&p384_pem), buf_slice(&p384_key_pem), "local CA: the certificate is not self-signed");

    X509_free(issuer);
    key_free(key);
    buf_cleanup(&der);
    x509_made_cleanup(&root);
    x509_made_cleanup(&leaf);
    struct buf *all[] = {&root_pem, &key_pem, &leaf_pem, &leaf_key_pem, &p384_key_pem, &p384_pem};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        buf_cleanup_secret(all[i]);
}

int main(void)
{
    internal_ca_free(NULL);
    RUN(test_a_leaf_verifies_for_its_names_and_dates);
    RUN(test_another_stores_root_does_not_vouch);
    RUN(test_the_root_is_a_root_for_ten_years);
    RUN(test_a_leaf_is_a_server_certificate_alone);
    RUN(test_a_long_first_name_leaves_the_subject_empty);
    RUN(test_serials_are_random_and_positive);
    RUN(test_names_are_checked);
    RUN(test_a_leaf_never_outlives_its_root);
    RUN(test_what_is_made_fits_our_own_checks);
    RUN(test_the_record_brings_the_same_root_back);
    RUN(test_a_damaged_record_is_an_error_at_every_cut);
    RUN(test_a_root_of_ones_own);
    return checks_done();
}
