#include "acme/chain.h"
#include "acme/key.h"
#include "certs/placeholder.h"
#include "check.h"

#include <openssl/x509.h>
#include <openssl/x509v3.h>

static const int64_t now_s = 1795472193;

static void test_a_placeholder_says_what_it_is(void)
{
    static const struct slice names[] = {SLICE_LIT("a.example"), SLICE_LIT("*.b.example"), SLICE_LIT("203.0.113.7")};
    struct x509_made made;
    struct buf pem = {0};
    struct chain chain;
    CHECK(!err_is(placeholder_make(names, 3, now_s, &made)));
    x509_made_write_chain(&made, &pem);
    CHECK(!err_is(chain_parse(buf_slice(&pem), &chain)));
    CHECK_SLICE(chain.issuer, "Portico placeholder");
    X509 *x509 = chain.certs[0].x509;
    char subject[64];
    CHECK(X509_NAME_get_text_by_NID(X509_get_subject_name(x509), NID_commonName, subject, sizeof subject) > 0);
    CHECK_STR(subject, "Portico placeholder");
    CHECK_INT(chain_check(&chain, made.key, names, 3, now_s), CHAIN_FINE);
    CHECK_INT(chain.not_after_s - chain.not_before_s, 86400);
    CHECK(chain.not_before_s < now_s - 600 && chain.not_after_s > now_s + 80000);
    CHECK_INT(X509_verify(x509, made.key), 1); /* self-signed */
    CHECK_INT(X509_check_ca(x509), 0);         /* and no root that somebody could trust by mistake */
    CHECK_INT(X509_check_host(x509, "x.b.example", 11, 0, NULL), 1);
    CHECK_INT(key_type_of(made.key), KEY_P256);
    chain_cleanup(&chain);
    buf_cleanup(&pem);
    x509_made_cleanup(&made);
}

static void test_each_has_a_key_of_its_own(void)
{
    static const struct slice name = SLICE_LIT("a.example");
    struct x509_made first, second;
    CHECK(!err_is(placeholder_make(&name, 1, now_s, &first)));
    CHECK(!err_is(placeholder_make(&name, 1, now_s, &second)));
    CHECK(!key_same_public(first.key, second.key));
    x509_made_cleanup(&first);
    x509_made_cleanup(&second);
}

static void test_names_are_checked(void)
{
    static const struct slice bad = SLICE_LIT("a_b c.example");
    struct slice many[X509_MAKE_NAMES + 1];
    struct x509_made made;
    CHECK_INT(placeholder_make(&bad, 1, now_s, &made).kind, ERR_INPUT);
    CHECK_INT(placeholder_make(NULL, 0, now_s, &made).kind, ERR_INPUT);
    for (size_t i = 0; i <= X509_MAKE_NAMES; i++)
        many[i] = SLICE_LIT("a.example");
    CHECK_INT(placeholder_make(many, X509_MAKE_NAMES + 1, now_s, &made).kind, ERR_INPUT);
    CHECK(!err_is(placeholder_make(many, X509_MAKE_NAMES, now_s, &made)));
    x509_made_cleanup(&made);
}

int main(void)
{
    RUN(test_a_placeholder_says_what_it_is);
    RUN(test_each_has_a_key_of_its_own);
    RUN(test_names_are_checked);
    return checks_done();
}
