/* pem and key: armour split strictly (ACME-60), every form of a private key, what OpenSSL writes byte for byte. */
#include "acme/key.h"
#include "acme/pem.h"
#include "check.h"

/* Made by openssl ecparam -genkey and openssl pkcs8 -topk8: a throw-away key. */
#define EC_PARAMETERS "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
#define EC_KEY_PEM                                                       \
    "-----BEGIN EC PRIVATE KEY-----\n"                                   \
    "MHcCAQEEIAj3BG4Al6GvzDeTnxhFdlnZ+JuKO+7DuzGDQxFuVyTboAoGCCqGSM49\n" \
    "AwEHoUQDQgAEhoOo4AHgwfRFQkWZSeH2kFijqX+0gsvsUI8V/t2BHg+0n+PJQS4T\n" \
    "pAbYJhyDSoKJ1BFlCpICwdF3WtjRVweuQQ==\n"                             \
    "-----END EC PRIVATE KEY-----\n"
#define PKCS8_PEM                                                        \
    "-----BEGIN PRIVATE KEY-----\n"                                      \
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgCPcEbgCXoa/MN5Of\n" \
    "GEV2Wdn4m4o77sO7MYNDEW5XJNuhRANCAASGg6jgAeDB9EVCRZlJ4faQWKOpf7SC\n" \
    "y+xQjxX+3YEeD7Sf48lBLhOkBtgmHINKgonUEWUKkgLB0Xda2NFXB65B\n"         \
    "-----END PRIVATE KEY-----\n"

static void test_reads_each_form(void)
{
    static const char *const texts[] = {EC_KEY_PEM, EC_PARAMETERS EC_KEY_PEM, PKCS8_PEM, "a remark\n\n" PKCS8_PEM};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct evp_pkey_st *key = NULL;
        struct buf pem = {0};
        CHECK(!err_is(key_read_pem(slice_str(texts[i]), &key)));
        if (key) {
            CHECK_INT(key_type_of(key), KEY_P256);
            key_write_pem(key, &pem);
            CHECK_SLICE(buf_slice(&pem), PKCS8_PEM);
        }
        key_free(key);
        buf_cleanup_secret(&pem);
    }
}

static void test_refuses_what_is_no_key(void)
{
    static const struct {
        const char *text, *what;
    } rows[] = {
        {"", "no private key in the PEM text"},
        {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no private key in the PEM text"},
        {"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "not a PKCS#8 private key"},
        {"-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n",
         "not an EC private key of a known curve"},
        {"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n", "not an RSA private key"},
        {"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
         "private key is encrypted; give it without a passphrase"},
        {"-----BEGIN PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END PRIVATE KEY-----\n",
         "PEM block is not base64"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct evp_pkey_st *key = NULL;
        struct err err = key_read_pem(slice_str(rows[i].text), &key);
        CHECK_INT(err.kind, ERR_INPUT);
        CHECK_STR(err.what, rows[i].what);
        CHECK(key == NULL);
    }
}

static void test_generates_each_type(void)
{
    /* RSA 3072 and 4096 are the same code as 2048 and take seconds under sanitizers. */
    static const enum key_type types[] = {KEY_P256, KEY_P384, KEY_RSA2048};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct evp_pkey_st *key = NULL, *again = NULL, *other = NULL;
        struct buf der = {0};
        CHECK(!err_is(key_generate(types[i], &key)));
        CHECK(!err_is(key_generate(KEY_P256, &other)));
        CHECK_INT(key_type_of(key), types[i]);
        key_write_pkcs8(key, &der);
        CHECK(!err_is(key_read_pkcs8(buf_slice(&der), &again)));
        CHECK(key_same_public(key, again));
        CHECK(!key_same_public(key, other));
        key_free(again);
        buf_append_char(&der, '\0');
        CHECK_INT(key_read_pkcs8(buf_slice(&der), &again).kind, ERR_INPUT); /* nothing may follow */
        key_free(key);
        key_free(other);
        buf_cleanup_secret(&der);
    }
    struct evp_pkey_st *key = NULL;
    CHECK_INT(key_generate(KEY_OTHER, &key).kind, ERR_TLS);
}

static void test_names_of_types(void)
{
    enum key_type type = KEY_OTHER;
    CHECK(key_type_from_name(SLICE_LIT("p384"), &type));
    CHECK_INT(type, KEY_P384);
    CHECK(!key_type_from_name(SLICE_LIT("other"), &type));
    CHECK(!key_type_from_name(SLICE_LIT("P256"), &type));
    CHECK_STR(key_type_name(KEY_RSA4096), "rsa4096");
}

static void test_splits_pem(void)
{
    struct slice rest = SLICE_LIT("junk\r\n-----BEGIN A B-----\r\nAQID\r\n-----END A B-----\r\nmore\n"
                                  "-----BEGIN C-----  \nBAUG\n\nBwgJ\n-----END C-----");
    struct pem_block block = {0};
    CHECK(!err_is(pem_next(&rest, &block)));
    CHECK_SLICE(block.label, "A B");
    CHECK_MEM(block.der.ptr, block.der.len, "\1\2\3", 3);
    pem_block_cleanup(&block);
    CHECK(!err_is(pem_next(&rest, &block)));
    CHECK_SLICE(block.label, "C");
    CHECK_MEM(block.der.ptr, block.der.len, "\4\5\6\7\10\11", 6);
    pem_block_cleanup(&block);
    CHECK(!err_is(pem_next(&rest, &block)));
    CHECK(block.label.ptr == NULL);
}

static void test_refuses_broken_pem(void)
{
    static const char *const texts[] = {
        "-----BEGIN A-----\nAQID\n",
        "-----BEGIN A-----\nAQID\n-----END B-----\n",
        "-----BEGIN A-----\nAQ*D\n-----END A-----\n",
        "-----BEGIN A-----\n-----END A-----\n",
        "-----BEGIN A----\nAQID\n-----END A-----\n",
        "-----BEGIN -----\nAQID\n-----END -----\n",
        "-----BEGIN A-----\nAQID\n-----BEGIN A-----\nAQID\n-----END A-----\n",
        "-----END A-----\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct slice rest = slice_str(texts[i]);
        struct pem_block block = {0};
        CHECK_INT(pem_next(&rest, &block).kind, ERR_INPUT);
        CHECK(rest.ptr == texts[i]);
        CHECK(block.der.ptr == NULL);
    }
}

/* ACME-60 */
static void test_only_certificates(void)
{
    CHECK(!err_is(pem_only_certificates(SLICE_LIT("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))));
    static const char *const texts[] = {
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" PKCS8_PEM,
        "-----BEGIN TRUSTED CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE REQUEST-----\n",
        "-----BEGIN CERTIFICATE-----\nAAAA\n -----BEGIN X",
        "-----BEGINCERTIFICATE-----\n",
        "-----BEGIN",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        CHECK_INT(pem_only_certificates(slice_str(texts[i])).kind, ERR_INPUT);
}

int main(void)
{
    RUN(test_reads_each_form);
    RUN(test_refuses_what_is_no_key);
    RUN(test_generates_each_type);
    RUN(test_names_of_types);
    RUN(test_splits_pem);
    RUN(test_refuses_broken_pem);
    RUN(test_only_certificates);
    return checks_done();
}
