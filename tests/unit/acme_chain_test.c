/* csr and chain: what we ask for and what we take back (ACME-53 to 55, 60, 61). */
#include "acme/chain.h"
#include "acme/csr.h"
#include "acme/key.h"
#include "check.h"
#include "scripted_issuer.h"

#include <openssl/x509.h>

static const int64_t now_s = 1800000000;
static const int64_t day_s = 86400;

struct family {
    struct evp_pkey_st *root_key, *middle_key, *key;
    struct x509_st *root, *middle;
};

static struct family family_new(void)
{
    struct family family = {0};
    CHECK(!err_is(key_generate(KEY_P256, &family.root_key)));
    CHECK(!err_is(key_generate(KEY_P256, &family.middle_key)));
    CHECK(!err_is(key_generate(KEY_P256, &family.key)));
    struct issue root = {"Root",        family.root_key,     NULL, NULL, NULL, 0,
                         now_s - day_s, now_s + 900 * day_s, 1,    true, false};
    family.root = issue_certificate(&root);
    struct issue middle = {
        "Middle", family.middle_key, family.root, family.root_key, NULL, 0, now_s - day_s, now_s + 90 * day_s, 2, true,
        false};
    family.middle = issue_certificate(&middle);
    return family;
}

static void family_free(struct family *family)
{
    X509_free(family->root);
    X509_free(family->middle);
    key_free(family->root_key);
    key_free(family->middle_key);
    key_free(family->key);
}

static const struct slice names[] = {SLICE_LIT("a.example"), SLICE_LIT("*.b.example"), SLICE_LIT("2001:db8::1")};

static struct issue leaf_of(const struct family *family)
{
    return (struct issue){NULL,     family->key, family->middle, family->middle_key,
                          names,    3,           now_s - 3600,   now_s + 90 * day_s,
                          0xabcdef, false,       false};
}

static enum chain_fault check_leaf(const struct issue *issue, struct x509_st *above, struct evp_pkey_st *key)
{
    struct buf pem = {0};
    struct chain chain;
    enum chain_fault fault = CHAIN_BROKEN_LINK;
    struct x509_st *leaf = issue_certificate(issue);
    issue_write_pem(leaf, &pem);
    if (above)
        issue_write_pem(above, &pem);
    X509_free(leaf);
    struct err err = chain_parse(buf_slice(&pem), &chain);
    CHECK(!err_is(err));
    if (!err_is(err)) {
        fault = chain_check(&chain, key, names, 3, now_s);
        chain_cleanup(&chain);
    }
    buf_cleanup(&pem);
    return fault;
}

/* ACME-61, each check by itself */
static void test_checks(void)
{
    struct family family = family_new();
    struct issue fine = leaf_of(&family), issue = fine;
    CHECK_INT(check_leaf(&fine, family.middle, family.key), CHAIN_FINE);
    CHECK_INT(check_leaf(&fine, NULL, family.key), CHAIN_FINE); /* a CA may send the leaf alone */
    CHECK_INT(check_leaf(&fine, family.middle, family.root_key), CHAIN_WRONG_KEY);
    CHECK_INT(check_leaf(&fine, family.root, family.key), CHAIN_BROKEN_LINK);
    issue.num_names = 2; /* one is missing */
    CHECK_INT(check_leaf(&issue, family.middle, family.key), CHAIN_WRONG_NAMES);
    issue.num_names = 0;
    CHECK_INT(check_leaf(&issue, family.middle, family.key), CHAIN_WRONG_NAMES);
    struct slice more[] = {names[0], names[1], names[2], SLICE_LIT("evil.example")};
    issue.names = more;
    issue.num_names = 4; /* one too many */
    CHECK_INT(check_leaf(&issue, family.middle, family.key), CHAIN_WRONG_NAMES);
    struct slice reversed[] = {SLICE_LIT("2001:0DB8:0::1"), SLICE_LIT("*.B.example"), SLICE_LIT("A.EXAMPLE")};
    issue.names = reversed;
    issue.num_names = 3; /* another order and case */
    CHECK_INT(check_leaf(&issue, family.middle, family.key), CHAIN_FINE);
    issue = fine;
    issue.not_before_s = now_s + 299;
    CHECK_INT(check_leaf(&issue, family.middle, family.key), CHAIN_FINE);
    issue.not_before_s = now_s + 301;
    CHECK_INT(check_leaf(&issue, family.middle, family.key), CHAIN_NOT_YET_VALID);
    issue = fine;
    issue.not_after_s = now_s;
    CHECK_INT(check_leaf(&issue, family.middle, family.key), CHAIN_EXPIRED);
    issue.not_before_s = now_s + 100;
    CHECK_INT(check_leaf(&issue, family.middle, family.key), CHAIN_BAD_DATES);
    issue = fine;
    issue.issuer_key = family.root_key; /* names the right issuer, signed by another */
    CHECK_INT(check_leaf(&issue, family.middle, family.key), CHAIN_BROKEN_LINK);
    family_free(&family);
}

static void test_reads_the_leaf(void)
{
    struct family family = family_new();
    struct issue issue = leaf_of(&family);
    struct buf pem = {0}, again = {0};
    struct chain chain;
    issue.serial = 0x8badf00d; /* the high bit is set: the leading 00 stays (ACME-90 will need it) */
    struct x509_st *leaf = issue_certificate(&issue);
    issue_write_pem(leaf, &pem);
    issue_write_pem(family.middle, &pem);
    CHECK(!err_is(chain_parse(buf_slice(&pem), &chain)));
    CHECK_INT(chain.num_certs, 2);
    CHECK_INT(chain.not_before_s, now_s - 3600);
    CHECK_INT(chain.not_after_s, now_s + 90 * day_s);
    CHECK_SLICE(chain.serial, "008badf00d");
    CHECK_SLICE(chain.issuer, "Middle");
    CHECK_INT(chain.num_names, 3);
    CHECK_SLICE(chain.names[0], "a.example");
    CHECK_SLICE(chain.names[2], "2001:db8::1");
    chain_write_pem(&chain, &again);
    CHECK_MEM(again.ptr, again.len, pem.ptr, pem.len);
    chain_cleanup(&chain);
    X509_free(leaf);
    buf_cleanup(&pem);
    buf_cleanup(&again);
    family_free(&family);
}

static void test_refuses_text(void)
{
    struct family family = family_new();
    struct buf one = {0}, text = {0};
    struct chain chain;
    issue_write_pem(family.root, &one);
    CHECK_INT(chain_parse(SLICE_LIT(""), &chain).kind, ERR_INPUT);
    CHECK_INT(chain_parse(SLICE_LIT("<html>"), &chain).kind, ERR_INPUT);
    CHECK_INT(chain_parse(SLICE_LIT("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), &chain).kind,
              ERR_INPUT);
    for (int i = 0; i < LIMIT_CHAIN_CERTS + 1; i++)
        buf_append_slice(&text, buf_slice(&one));
    CHECK_INT(chain_parse(buf_slice(&text), &chain).kind, ERR_LIMIT);
    text.len = one.len * LIMIT_CHAIN_CERTS;
    CHECK(!err_is(chain_parse(buf_slice(&text), &chain)));
    chain_cleanup(&chain);
    text.len = 0;
    buf_append_slice(&text, buf_slice(&one));
    key_write_pem(family.key, &text); /* HARDENING A5: a private key inside */
    CHECK_INT(chain_parse(buf_slice(&text), &chain).kind, ERR_INPUT);
    while (text.len <= LIMIT_CHAIN_BYTES)
        buf_append_str(&text, "# padding\n");
    CHECK_INT(chain_parse(buf_slice(&text), &chain).kind, ERR_LIMIT);
    buf_cleanup(&one);
    buf_cleanup_secret(&text);
    family_free(&family);
}

/* ACME-53, 54, 55, 85 */
static void test_csr(void)
{
    static const enum key_type types[] = {KEY_P256, KEY_P384, KEY_RSA2048};
    for (size_t i = 0; i < 6; i++) {
        struct evp_pkey_st *key = NULL;
        struct buf der = {0}, text = {0};
        struct slice found[8] = {{NULL, 0}};
        size_t num = 0;
        bool has_cn = false, with_cn = i >= 3;
        CHECK(!err_is(key_generate(types[i % 3], &key)));
        CHECK(!err_is(csr_write(key, names, 3, with_cn, &der)));
        struct evp_pkey_st *public_key = issue_read_csr(buf_slice(&der), found, 8, &num, &text, &has_cn);
        CHECK(public_key != NULL);
        CHECK(public_key && key_same_public(public_key, key));
        CHECK_INT(num, 3);
        CHECK_SLICE(found[0], "a.example");
        CHECK_SLICE(found[1], "*.b.example");
        CHECK_SLICE(found[2], "2001:db8::1");
        CHECK_INT(has_cn, with_cn);
        key_free(public_key);
        key_free(key);
        buf_cleanup(&der);
        buf_cleanup(&text);
    }
}

static void test_csr_without_fit_common_name(void)
{
    struct evp_pkey_st *key = NULL;
    CHECK(!err_is(key_generate(KEY_P256, &key)));
    const struct slice unfit[] = {
        SLICE_LIT("192.0.2.1"), SLICE_LIT("a123456789.a123456789.a123456789.a123456789.a123456789.a123456789.example")};
    for (size_t i = 0; i < 2; i++) {
        struct buf der = {0}, text = {0};
        struct slice found[8] = {{NULL, 0}};
        size_t num = 0;
        bool has_cn = true;
        CHECK(!err_is(csr_write(key, &unfit[i], 1, true, &der)));
        struct evp_pkey_st *public_key = issue_read_csr(buf_slice(&der), found, 8, &num, &text, &has_cn);
        CHECK(public_key != NULL && !has_cn && num == 1);
        key_free(public_key);
        buf_cleanup(&der);
        buf_cleanup(&text);
    }
    key_free(key);
}

int main(void)
{
    RUN(test_checks);
    RUN(test_reads_the_leaf);
    RUN(test_refuses_text);
    RUN(test_csr);
    RUN(test_csr_without_fit_common_name);
    return checks_done();
}
