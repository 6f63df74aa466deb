/* RFC 8657, ACME-122: the records that `portico dns` prints. */
#include "certs/zone.h"

#include "check.h"

static const struct zone_issuer issuers[] = {
    {{"ca.example", 10}, {"ca.example", 10}, {.url = {"https://ca.example/acct/1", 25}}},
    {{"second.example", 14}, {"second.example", 14}, {.url = {"", 0}}},
};

static struct config *load(const char *domains, const char *challenge)
{
    char names[200], challenges[200];
    struct config *config = NULL;
    struct config_mistakes mistakes = {0};
    snprintf(names, sizeof names, "PORTICO_DOMAINS=%s", domains);
    snprintf(challenges, sizeof challenges, "PORTICO_ACME_CHALLENGE=%s", challenge);
    const char *hook = strstr(challenge, "dns-01") ? "PORTICO_ACME_DNS_HOOK=/bin/true" : NULL;
    const char *entries[] = {names, challenges, hook, NULL};
    bool fine = config_load(entries, &config, &mistakes);
    CHECK(fine);
    config_mistakes_cleanup(&mistakes);
    return config;
}

static void check(const char *domains, const char *challenge, size_t num_issuers, const char *caa, const char *persist)
{
    struct buf out = {0};
    struct config *config = load(domains, challenge);
    zone_write_caa(config, &config->names[0], issuers, num_issuers, &out);
    CHECK_SLICE(buf_slice(&out), caa);
    out.len = 0;
    zone_write_persist(config, &config->names[0], issuers, num_issuers, &out);
    CHECK_SLICE(buf_slice(&out), persist);
    buf_cleanup(&out);
    config_unref(config);
}

#define ACCOUNT "accounturi=https://ca.example/acct/1"

static void the_records_of_a_name(void)
{
    check("app.example.com", "http-01", 1,
          "app.example.com. IN CAA 0 issue \"ca.example; " ACCOUNT "; validationmethods=http-01\"\n", "");
    check("app.example.com", "http-01,dns-persist-01", 1,
          "app.example.com. IN CAA 0 issue \"ca.example; " ACCOUNT "; validationmethods=http-01,dns-persist-01\"\n",
          "_validation-persist.app.example.com. IN TXT \"ca.example; " ACCOUNT "\"\n");
    check("*.example.com", "http-01,dns-01,dns-persist-01", 1,
          "example.com. IN CAA 0 issuewild \"ca.example; " ACCOUNT "; validationmethods=dns-01,dns-persist-01\"\n",
          "_validation-persist.example.com. IN TXT \"ca.example; " ACCOUNT "; policy=wildcard\"\n");
}

/* The fallback must not be forbidden by the records for the first; without an account nothing is permitted for ever. */
static void two_cas_and_an_account_that_is_not_known(void)
{
    check("app.example.com", "dns-persist-01", 2,
          "app.example.com. IN CAA 0 issue \"ca.example; " ACCOUNT "; validationmethods=dns-persist-01\"\n"
          "app.example.com. IN CAA 0 issue \"second.example; validationmethods=dns-persist-01\"\n",
          "_validation-persist.app.example.com. IN TXT \"ca.example; " ACCOUNT "\"\n");
    check("app.example.com", "http-01", 0, "", "");
}

static void long_texts_are_several_strings(void)
{
    char url[300], want[600];
    struct buf out = {0};
    struct config *config = load("app.example.com", "dns-persist-01");
    memset(url, 'u', sizeof url);
    struct zone_issuer issuer = {.issuer_name = SLICE_LIT("ca.example"),
                                 .account = {.url = slice_make(url, sizeof url)}};
    zone_write_persist(config, &config->names[0], &issuer, 1, &out);
    int first = 255 - (int)strlen("ca.example; accounturi=");
    snprintf(want, sizeof want,
             "_validation-persist.app.example.com. IN TXT \"ca.example; accounturi=%.*s\" \"%.*s\"\n", first, url,
             (int)sizeof url - first, url);
    CHECK_SLICE(buf_slice(&out), want);
    buf_cleanup(&out);
    config_unref(config);
}

/* A CA of draft-ietf-acme-dns-persist-02: CAA names the account, the TXT record a hash of it (§7.7); one that looks at no CAA
 * has no name there. */
static void a_ca_that_hashes(void)
{
    struct zone_issuer issuer = {.identity = SLICE_LIT("ca.example"),
                                 .issuer_name = SLICE_LIT("authority.example"),
                                 .account = {.url = SLICE_LIT("https://ca.example/acct/123"),
                                             .thumbprint = SLICE_LIT("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),
                                             .hash_prefix = SLICE_LIT("https://ca.example/account-hash/")}};
    struct buf out = {0};
    struct config *config = load("example.com", "dns-persist-01");
    zone_write_caa(config, &config->names[0], &issuer, 1, &out);
    zone_write_persist(config, &config->names[0], &issuer, 1, &out);
    CHECK_SLICE(
        buf_slice(&out),
        "example.com. IN CAA 0 issue \"ca.example; accounturi=https://ca.example/acct/123; "
        "validationmethods=dns-persist-01\"\n"
        "_validation-persist.example.com. IN TXT \"authority.example; accounturi=https://ca.example/account-hash/"
        "sha-256/5SQm7n6tPh2-PlLbCKGnViTXX5z19SCN4cPGQHSk-kw\"\n");
    out.len = 0;
    issuer.identity = SLICE_NONE;
    zone_write_caa(config, &config->names[0], &issuer, 1, &out);
    CHECK_INT(out.len, 0);
    issuer.issuer_name = SLICE_NONE;
    zone_write_persist(config, &config->names[0], &issuer, 1, &out);
    CHECK_INT(out.len, 0);
    buf_cleanup(&out);
    config_unref(config);
}

int main(void)
{
    RUN(the_records_of_a_name);
    RUN(two_cas_and_an_account_that_is_not_known);
    RUN(long_texts_are_several_strings);
    RUN(a_ca_that_hashes);
    return checks_done();
}
