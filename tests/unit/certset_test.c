#include "tls/certset.h"

#include "base/mem.h"
#include "check.h"
#include "test_cert.h"
#include "tls/tls_select.h"

#include <stdio.h>

static void names_are_found_exactly_then_one_label_above(void)
{
    struct certset *set = certset_new();
    struct cert *exact = test_cert_for("a.test"), *wild = test_cert_for("*.a.test");
    certset_put(set, SLICE_LIT("a.test"), exact, true);
    certset_put(set, SLICE_LIT("*.a.test"), wild, false);
    CHECK(certset_find(set, SLICE_LIT("a.test"))->cert == exact);
    CHECK(certset_find(set, SLICE_LIT("a.test"))->managed);
    CHECK(certset_find(set, SLICE_LIT("x.a.test"))->cert == wild);
    CHECK(certset_find(set, SLICE_LIT("x.y.a.test")) == NULL);
    CHECK(certset_find(set, SLICE_LIT("test")) == NULL);
    CHECK(certset_find(set, SLICE_LIT("")) == NULL);
    cert_unref(exact);
    cert_unref(wild);
    certset_unref(set);
}

static void a_copy_changes_alone(void)
{
    struct certset *set = certset_new();
    struct cert *first = test_cert_for("a.test"), *second = test_cert_for("a.test");
    certset_put(set, SLICE_LIT("a.test"), first, true);
    certset_put_pending(set, SLICE_LIT("token-one"), SLICE_LIT("token-one.x"));
    struct certset *copy = certset_copy(set);
    for (int i = 0; i < 300; i++) { /* shards that are shared and shards that are not */
        char name[32];
        snprintf(name, sizeof name, "n%d.test", i);
        certset_put(copy, slice_str(name), second, true);
    }
    certset_put(copy, SLICE_LIT("a.test"), second, true);
    certset_remove_pending(copy, SLICE_LIT("token-one"));
    CHECK(certset_find(set, SLICE_LIT("a.test"))->cert == first);
    CHECK(certset_find(copy, SLICE_LIT("a.test"))->cert == second);
    CHECK(certset_find(set, SLICE_LIT("n7.test")) == NULL);
    CHECK(certset_find(copy, SLICE_LIT("n299.test"))->cert == second);
    struct buf answer = {0};
    CHECK(certset_http01(set, SLICE_LIT("token-one"), &answer));
    CHECK(!certset_http01(copy, SLICE_LIT("token-one"), &answer));
    CHECK_SLICE(buf_slice(&answer), "token-one.x");
    buf_cleanup(&answer);
    certset_unref(set);
    certset_remove(copy, SLICE_LIT("a.test"));
    CHECK(certset_find(copy, SLICE_LIT("a.test")) == NULL);
    certset_unref(copy);
    CHECK_INT(first->refs, 1);
    CHECK_INT(second->refs, 1);
    cert_unref(first);
    cert_unref(second);
}

static void a_name_has_one_certificate_of_each_kind_of_key(void)
{
    static const struct slice name = SLICE_LIT("a.test");
    const char *names[] = {"a.test", NULL};
    struct certset *set = certset_new();
    struct cert *ecdsa = test_cert_for("a.test"), *ecdsa2 = test_cert_for("a.test");
    struct cert *rsa = test_cert_new(names, true, 3600), *rsa2 = test_cert_new(names, true, 3600);
    certset_put(set, name, rsa, true);
    CHECK(certset_find(set, name)->cert == rsa && !certset_find(set, name)->rsa);
    certset_put(set, name, ecdsa, true); /* goes in front */
    CHECK(certset_find(set, name)->cert == ecdsa && certset_find(set, name)->rsa == rsa);
    struct certset *copy = certset_copy(set);
    certset_put(copy, name, rsa2, true);
    certset_put(copy, name, ecdsa2, false);
    CHECK(certset_find(copy, name)->cert == ecdsa2 && certset_find(copy, name)->rsa == rsa2);
    CHECK(!certset_find(copy, name)->managed);
    CHECK(certset_find(set, name)->cert == ecdsa && certset_find(set, name)->rsa == rsa);
    certset_remove(copy, name);
    CHECK(certset_find(copy, name) == NULL);
    certset_put(copy, name, ecdsa, true);
    CHECK(certset_find(copy, name)->cert == ecdsa && !certset_find(copy, name)->rsa);
    certset_remove(set, name);
    certset_put(set, name, ecdsa, true);
    certset_put(set, name, ecdsa2, true); /* in the place of its kind */
    CHECK(certset_find(set, name)->cert == ecdsa2 && !certset_find(set, name)->rsa);
    certset_unref(copy);
    certset_unref(set);
    struct cert *all[] = {ecdsa, ecdsa2, rsa, rsa2};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        CHECK_INT(all[i]->refs, 1);
        cert_unref(all[i]);
    }
}

/* ACME-81: there is an answer for exactly the SNI that it is pending for. */
static void answers_to_tls_alpn_are_pending_by_sni(void)
{
    struct certset *set = certset_new();
    struct cert *first = test_cert_for("a.test"), *second = test_cert_for("a.test");
    CHECK(certset_find_alpn(set, SLICE_LIT("a.test")) == NULL);
    certset_put_alpn(set, SLICE_LIT("a.test"), first, SLICE_LIT("token-one"));
    struct certset *copy = certset_copy(set);
    certset_put_alpn(copy, SLICE_LIT("a.test"), second, SLICE_LIT("token-two"));
    CHECK(certset_find_alpn(set, SLICE_LIT("a.test"))->cert == first);
    CHECK_STR(certset_find_alpn(set, SLICE_LIT("a.test"))->token, "token-one");
    CHECK(certset_find_alpn(copy, SLICE_LIT("a.test"))->cert == second);
    CHECK(certset_find_alpn(set, SLICE_LIT("b.test")) == NULL);
    CHECK(certset_find_alpn(set, SLICE_LIT("x.a.test")) == NULL);
    CHECK(certset_find_alpn(set, SLICE_NONE) == NULL);
    certset_remove_alpn(copy, SLICE_LIT("a.test"));
    CHECK(certset_find_alpn(copy, SLICE_LIT("a.test")) == NULL);
    certset_unref(copy);
    certset_unref(set);
    CHECK_INT(first->refs, 1);
    CHECK_INT(second->refs, 1);
    cert_unref(first);
    cert_unref(second);
}

static void check_address(const struct certset *set, const char *local, const char *want)
{
    char text[IP_TEXT_BYTES];
    struct ip ip;
    CHECK(!local || ip_parse(slice_str(local), &ip));
    CHECK_SLICE(certset_address(set, local ? &ip : NULL, text), want);
}

/* ACME-89. */
static void who_asks_for_no_name_gets_an_address(void)
{
    struct certset *set = certset_new(), *copy;
    struct cert *cert = test_cert_for("a.test"); /* what it says is not looked at */
    certset_put(set, SLICE_LIT("a.test"), cert, true);
    check_address(set, "192.0.2.1", "");
    certset_put(set, SLICE_LIT("192.0.2.1"), cert, true);
    certset_put(set, SLICE_LIT("192.0.2.1"), cert, true); /* no second one */
    check_address(set, "192.0.2.1", "192.0.2.1");
    check_address(set, "10.0.0.1", "192.0.2.1"); /* translated before us */
    check_address(set, "2001:db8::1", "192.0.2.1");
    check_address(set, NULL, "192.0.2.1");
    certset_put(set, SLICE_LIT("2001:db8::1"), cert, true);
    check_address(set, "2001:db8::1", "2001:db8::1");
    check_address(set, "fd00::1", "2001:db8::1"); /* the only one of its family */
    check_address(set, "10.0.0.1", "192.0.2.1");
    check_address(set, NULL, "");
    certset_put(set, SLICE_LIT("192.0.2.2"), cert, true);
    check_address(set, "192.0.2.2", "192.0.2.2");
    check_address(set, "10.0.0.1", ""); /* which one cannot be told */
    copy = certset_copy(set);
    certset_remove(copy, SLICE_LIT("192.0.2.1"));
    check_address(copy, "10.0.0.1", "192.0.2.2");
    check_address(set, "10.0.0.1", "");
    certset_remove(copy, SLICE_LIT("2001:db8::1"));
    check_address(copy, NULL, "192.0.2.2");
    certset_remove(copy, SLICE_LIT("192.0.2.2"));
    certset_remove(copy, SLICE_LIT("192.0.2.2"));
    check_address(copy, "192.0.2.2", "");
    certset_unref(copy);
    certset_unref(set);
    cert_unref(cert);
}

/* ACME-70, HARDENING A9. */
static void http01_answers_tokens_and_nothing_else(void)
{
    struct certset *set = certset_new();
    struct buf answer = {0};
    CHECK(!certset_http01(set, SLICE_LIT("0123456789abcdef"), &answer)); /* no thumbprint yet */
    certset_set_thumbprint(set, SLICE_LIT("THUMB"));
    CHECK(certset_http01(set, SLICE_LIT("0123456789abcdef"), &answer));
    CHECK_SLICE(buf_slice(&answer), "0123456789abcdef.THUMB");
    CHECK(!certset_http01(set, SLICE_LIT("0123456789abcde"), &answer));  /* too short */
    CHECK(!certset_http01(set, SLICE_LIT("0123456789abcde="), &answer)); /* padding */
    CHECK(!certset_http01(set, SLICE_LIT("../../../../etc/passwd"), &answer));
    CHECK(!certset_http01(set, SLICE_LIT("0123456789abcdef<script>"), &answer));
    buf_cleanup(&answer);
    certset_unref(set);
}

/* HARDENING T1. */
static void sni_is_validated_before_it_is_looked_up(void)
{
    static const char *const good[][2] = {{"A.Test", "a.test"}, {"a.test.", "a.test"}, {"xn--bcher-kva.test", "xn--bcher-kva.test"}};
    static const char *const bad[] = {"", ".", "a..test", "192.0.2.1", "2001:db8::1", "a_b.test", "a b.test",
                                      "a/b.test", "-a.test", "a\r\n.test", "\"a\".test"};
    char out[SNI_BYTES], long_name[300];
    struct slice name;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        CHECK(tls_select_normalise(slice_str(good[i][0]), out, &name));
        CHECK_SLICE(name, good[i][1]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK(!tls_select_normalise(slice_str(bad[i]), out, &name));
    memset(long_name, 'a', sizeof long_name);
    CHECK(!tls_select_normalise(slice_make(long_name, 255), out, &name));
    CHECK(!tls_select_normalise(slice_make(long_name, 300), out, &name));
}

static void a_certificate_knows_its_names(void)
{
    const char *names[] = {"a.test", "*.b.test", NULL};
    struct cert *cert = test_cert_new(names, false, 3600), *rsa = test_cert_new(names, true, 3600);
    CHECK(cert_covers(cert, SLICE_LIT("a.test")) && cert_covers(cert, SLICE_LIT("x.b.test")));
    CHECK(!cert_covers(cert, SLICE_LIT("b.test")) && !cert_covers(cert, SLICE_LIT("x.y.b.test")));
    CHECK(!cert->key_is_rsa && rsa->key_is_rsa);
    CHECK_INT(cert->not_after_s - cert->not_before_s, 7200);
    CHECK(strlen(cert->serial) == 16 && cert->id != rsa->id);
    struct slice der = slice_make(cert->key_der, cert->key_len), rubbish = SLICE_LIT("rubbish");
    struct cert *none = NULL;
    CHECK(err_is(cert_new(CERT_OWN, &rubbish, 1, der, &none)));
    CHECK(err_is(cert_new(CERT_OWN, &rubbish, 0, der, &none)) && none == NULL);
    cert_unref(cert);
    cert_unref(rsa);
}

int main(void)
{
    RUN(names_are_found_exactly_then_one_label_above);
    RUN(a_copy_changes_alone);
    RUN(a_name_has_one_certificate_of_each_kind_of_key);
    RUN(answers_to_tls_alpn_are_pending_by_sni);
    RUN(who_asks_for_no_name_gets_an_address);
    RUN(http01_answers_tokens_and_nothing_else);
    RUN(sni_is_validated_before_it_is_looked_up);
    RUN(a_certificate_knows_its_names);
    return checks_done();
}
