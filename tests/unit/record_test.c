#include "acme/pem.h"
#include "check.h"
#include "store/cert_record.h"

#include <stdlib.h>

#define HEAD                                    \
    "portico-certificate: 1\n"                  \
    "name: a.example\n"                         \
    "name: *.a.example\n"                       \
    "directory: https://ca.example/directory\n" \
    "account: https://ca.example/account/1\n"   \
    "order: https://ca.example/order/1\n"       \
    "key-type: p256\n"                          \
    "profile: tlsserver\n"                      \
    "issued: 2026-11-23T22:16:33.000Z\n"        \
    "generation: 4\n"                           \
    "replaces: 04a1f3\n"                        \
    "\n"
#define KEY "-----BEGIN PRIVATE KEY-----\nQUJD\n-----END PRIVATE KEY-----\n"
#define CERT "-----BEGIN CERTIFICATE-----\nREVG\n-----END CERTIFICATE-----\n"

static struct err read_text(const char *text, struct cert_record *record)
{
    struct arena arena = {0};
    *record = (struct cert_record){0};
    struct err err = cert_record_read(&arena, slice_str(text), record);
    arena_cleanup(&arena);
    return err;
}

static void test_a_record_is_read(void)
{
    struct arena arena = {0};
    struct cert_record r;
    struct err err = cert_record_read(&arena, slice_str(HEAD KEY CERT CERT), &r);
    CHECK(!err_is(err));
    CHECK_INT(r.num_names, 2);
    CHECK_SLICE(r.names[0], "a.example");
    CHECK_SLICE(r.names[1], "*.a.example");
    CHECK_SLICE(r.directory_url, "https://ca.example/directory");
    CHECK_SLICE(r.account_url, "https://ca.example/account/1");
    CHECK_SLICE(r.order_url, "https://ca.example/order/1");
    CHECK_INT(r.key_type, KEY_P256);
    CHECK_SLICE(r.profile, "tlsserver");
    CHECK_INT(r.issued_s, 1795472193);
    CHECK_INT(r.generation, 4);
    CHECK_SLICE(r.replaces, "04a1f3");
    CHECK_SLICE(r.key_pem, KEY);
    CHECK_SLICE(r.chain_pem, CERT CERT);
    arena_cleanup(&arena);
}

static struct cert_record record_sample(void)
{
    static const struct slice names[] = {SLICE_LIT("a.example"), SLICE_LIT("*.a.example")};
    return (struct cert_record){
        .names = names,
        .num_names = 2,
        .directory_url = SLICE_LIT("https://ca.example/directory"),
        .account_url = SLICE_LIT("https://ca.example/account/1"),
        .order_url = SLICE_LIT("https://ca.example/order/1"),
        .key_type = KEY_P256,
        .profile = SLICE_LIT("tlsserver"),
        .issued_s = 1795472193,
        .generation = 4,
        .replaces = SLICE_LIT("04a1f3"),
        .key_pem = SLICE_LIT(KEY),
        .chain_pem = SLICE_LIT(CERT CERT),
    };
}

static void test_a_record_is_written_as_it_is_read(void)
{
    struct buf out = {0};
    struct cert_record r = record_sample();
    CHECK(!err_is(cert_record_write(&r, &out)));
    CHECK_SLICE(buf_slice(&out), HEAD KEY CERT CERT);
    buf_cleanup_secret(&out);
}

static void test_what_is_not_known_is_left_out(void)
{
    struct buf out = {0};
    struct cert_record r = record_sample(), again;
    r.directory_url = r.account_url = r.order_url = r.profile = r.replaces = SLICE_NONE;
    r.generation = 0;
    r.num_names = 1;
    r.chain_pem.len--; /* without its last newline */
    CHECK(!err_is(cert_record_write(&r, &out)));
    CHECK_SLICE(buf_slice(&out), "portico-certificate: 1\nname: a.example\nkey-type: p256\n"
                                 "issued: 2026-11-23T22:16:33.000Z\n\n" KEY CERT CERT);
    CHECK(!err_is(read_text(buf_cstr(&out), &again)));
    CHECK(again.directory_url.ptr == NULL);
    CHECK_INT(again.generation, 0);
    buf_cleanup_secret(&out);
}

static void check_unwritable(struct cert_record r)
{
    struct buf out = {0};
    CHECK(err_is(cert_record_write(&r, &out)));
    CHECK_INT(out.len, 0);
    buf_cleanup_secret(&out);
}

static void test_what_could_not_be_read_again_is_not_written(void)
{
    static const struct slice forged[] = {SLICE_LIT("a.example\norder: https://evil.example/")};
    static char lengthy[CERT_RECORD_VALUE_BYTES + 2];
    struct cert_record r = record_sample();
    r.names = forged;
    r.num_names = 1;
    check_unwritable(r);
    r = record_sample();
    r.num_names = 0;
    check_unwritable(r);
    r = record_sample();
    r.order_url = SLICE_LIT("https://ca.example/\r");
    check_unwritable(r);
    r = record_sample();
    memset(lengthy, 'x', CERT_RECORD_VALUE_BYTES + 1);
    r.order_url = slice_make(lengthy, CERT_RECORD_VALUE_BYTES + 1);
    check_unwritable(r);
    r = record_sample();
    r.profile = SLICE_LIT(" padded");
    check_unwritable(r);
    r = record_sample();
    r.key_type = KEY_OTHER;
    check_unwritable(r);
    r = record_sample();
    r.issued_s = INT64_MAX / 2000;
    check_unwritable(r);
}

static void test_armour_that_is_wrong_is_not_written(void)
{
    struct cert_record r = record_sample();
    r.key_pem = SLICE_NONE;
    check_unwritable(r);
    r.key_pem = SLICE_LIT(CERT);
    check_unwritable(r);
    r.key_pem = SLICE_LIT(KEY KEY);
    check_unwritable(r);
    r = record_sample();
    r.chain_pem = SLICE_NONE;
    check_unwritable(r);
    r.chain_pem = SLICE_LIT(CERT KEY);
    check_unwritable(r);
    r.chain_pem = SLICE_LIT("text\n" CERT);
    check_unwritable(r);
}

static void test_damage_is_refused(void)
{
    static const char *const bad[] = {
        "",
        "\n",
        KEY CERT,
        "portico-certificate: 1\n",
        "portico-certificate: 2\nname: a.example\nkey-type: p256\nissued: 2026-11-23T22:16:33Z\n\n" KEY CERT,
        "portico-certificate: 0\nname: a.example\nkey-type: p256\nissued: 2026-11-23T22:16:33Z\n\n" KEY CERT,
        "portico-certificate: 1\nkey-type: p256\nissued: 2026-11-23T22:16:33Z\n\n" KEY CERT,
        "portico-certificate: 1\nname: a.example\nissued: 2026-11-23T22:16:33Z\n\n" KEY CERT,
        "portico-certificate: 1\nname: a.example\nkey-type: p512\nissued: 2026-11-23T22:16:33Z\n\n" KEY CERT,
        "portico-certificate: 1\nname: a.example\nkey-type: p256\n\n" KEY CERT,
        "portico-certificate: 1\nname: a.example\nkey-type: p256\nissued: yesterday\n\n" KEY CERT,
        "portico-certificate: 1\nname: a.example\nkey-type: p256\nissued: 2026-11-23T22:16:33Z\ngeneration: -1\n\n" KEY
            CERT,
        "portico-certificate: 1\nname: a.example\nkey-type: p256\nkey-type: p256\nissued: 2026-11-23T22:16:33Z\n\n" KEY
            CERT,
        "portico-certificate: 1\nname:a.example\nkey-type: p256\nissued: 2026-11-23T22:16:33Z\n\n" KEY CERT,
        "portico-certificate: 1\nname: \nkey-type: p256\nissued: 2026-11-23T22:16:33Z\n\n" KEY CERT,
        "portico-certificate: 1\r\nname: a.example\r\nkey-type: p256\r\nissued: 2026-11-23T22:16:33Z\r\n\r\n" KEY CERT,
        "portico-certificate: 1\nName: a.example\nname: a.example\nkey-type: p256\nissued: 2026-11-23T22:16:33Z\n\n" KEY
            CERT,
        HEAD,
        HEAD KEY,
        HEAD CERT,
        HEAD CERT KEY,
        HEAD KEY KEY CERT,
        HEAD KEY CERT KEY,
        HEAD KEY CERT "trailing text",
        HEAD KEY "text\n" CERT,
        HEAD "-----BEGIN PRIVATE KEY-----\nQUJD\n",
        HEAD "-----BEGIN ENCRYPTED PRIVATE KEY-----\nQUJD\n-----END ENCRYPTED PRIVATE KEY-----\n" CERT,
        HEAD KEY "-----BEGIN CERTIFICATE-----\nRE!G\n-----END CERTIFICATE-----\n",
        HEAD KEY CERT CERT CERT CERT CERT CERT CERT CERT CERT CERT CERT, /* eleven */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct cert_record r;
        if (!err_is(read_text(bad[i], &r)))
            fprintf(stderr, "accepted: %s\n", bad[i]);
        CHECK(err_is(read_text(bad[i], &r)));
        CHECK(r.names == NULL); /* written on success alone */
    }
}

static void test_a_record_cut_anywhere_is_refused(void)
{
    static const char whole[] = HEAD KEY CERT;
    for (size_t len = 0; len < sizeof whole - 2; len++) { /* the last newline may be missing */
        struct arena arena = {0};
        struct cert_record r;
        char *exact = malloc(len ? len : 1);
        memcpy(exact, whole, len);
        CHECK(err_is(cert_record_read(&arena, slice_make(exact, len), &r)));
        free(exact);
        arena_cleanup(&arena);
    }
}

static void test_unknown_lines_are_passed_over(void)
{
    struct cert_record r;
    CHECK(!err_is(read_text("portico-certificate: 1\nfuture: thing\nname: a.example\nfuture: again\nkey-type: p256\n"
                            "issued: 2026-11-23T22:16:33Z\n\n" KEY CERT,
                            &r)));
    CHECK_INT(r.num_names, 1);
}

static void test_limits(void)
{
    struct buf text = {0};
    struct cert_record r;
    buf_append_str(&text, "portico-certificate: 1\nkey-type: p256\nissued: 2026-11-23T22:16:33Z\n");
    for (int i = 0; i < CERT_RECORD_NAMES; i++)
        buf_printf(&text, "name: n%d.example\n", i);
    size_t head = text.len;
    buf_append_str(&text, "\n" KEY CERT);
    CHECK(!err_is(read_text(buf_cstr(&text), &r)));
    CHECK_INT(r.num_names, CERT_RECORD_NAMES);
    text.len = head;
    buf_append_str(&text, "name: one.more\n\n" KEY CERT);
    CHECK(err_is(read_text(buf_cstr(&text), &r)));
    text.len = head;
    for (int i = 0; i < CERT_RECORD_LINES; i++)
        buf_append_str(&text, "other: x\n");
    buf_append_str(&text, "\n" KEY CERT);
    CHECK(err_is(read_text(buf_cstr(&text), &r)));
    buf_cleanup(&text);
}

int main(void)
{
    RUN(test_a_record_is_read);
    RUN(test_a_record_is_written_as_it_is_read);
    RUN(test_what_is_not_known_is_left_out);
    RUN(test_what_could_not_be_read_again_is_not_written);
    RUN(test_armour_that_is_wrong_is_not_written);
    RUN(test_damage_is_refused);
    RUN(test_a_record_cut_anywhere_is_refused);
    RUN(test_unknown_lines_are_passed_over);
    RUN(test_limits);
    return checks_done();
}
