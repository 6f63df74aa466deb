/* The rows of the admin endpoint: its token, what readiness waits for, and what a health check loads. */
#include "check.h"

#include "config/build.h"

#define ENTRIES(...) ((const char *const[]){__VA_ARGS__, NULL})
#define PEM "PORTICO_TLS_CERT=-----BEGIN CERTIFICATE-----", "PORTICO_TLS_KEY=-----BEGIN PRIVATE KEY-----"

static void check_mistakes(const char *const *entries, const char *want)
{
    struct config_mistakes mistakes = {0};
    struct config *config = NULL;
    struct buf text = {0};
    if (!config_load(entries, &config, &mistakes))
        config_mistakes_print(&mistakes, &text);
    CHECK_STR(buf_cstr(&text), want);
    config_mistakes_cleanup(&mistakes);
    config_unref(config);
    buf_cleanup(&text);
}

static void tokens(void)
{
    struct config_mistakes mistakes = {0};
    struct config *config = NULL;
    CHECK(config_load(ENTRIES("PORTICO_ADMIN_TOKEN=aZ09-._~+/=aaaaa"), &config, &mistakes));
    CHECK_SLICE(config->admin.token, "aZ09-._~+/=aaaaa");
    CHECK_SLICE(config->values[ROW_ADMIN_TOKEN].text, "(secret, 16 bytes)");
    config_unref(config);
    check_mistakes(ENTRIES("PORTICO_ADMIN_TOKEN=short"),
                   "PORTICO_ADMIN_TOKEN: `(secret, 5 bytes)` is shorter than 16 characters, which can be guessed; "
                   "`openssl rand -hex 24` makes a good one\n");
    check_mistakes(ENTRIES("PORTICO_ADMIN_TOKEN=0123456789 abcdef"),
                   "PORTICO_ADMIN_TOKEN: `(secret, 17 bytes)` holds a character that no bearer token has (letters, "
                   "digits and -._~+/= are allowed)\n");
}

static void what_readiness_waits_for(void)
{
    static const struct {
        const char *given;
        bool upstream, cert;
    } rows[] = {{"listener", false, false},
                {"upstream", true, false},
                {"Listener, CERT", false, true},
                {"listener\nupstream,cert", true, true}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct config_mistakes mistakes = {0};
        struct config *config = NULL;
        char entry[128];
        snprintf(entry, sizeof entry, "PORTICO_READY_REQUIRES=%s", rows[i].given);
        CHECK(config_load(ENTRIES(entry), &config, &mistakes));
        CHECK_INT(config->admin.ready_upstream, rows[i].upstream);
        CHECK_INT(config->admin.ready_cert, rows[i].cert);
        config_unref(config);
    }
    check_mistakes(ENTRIES("PORTICO_READY_REQUIRES=backend"),
                   "PORTICO_READY_REQUIRES: `backend` is no list of listener, upstream, cert\n"
                   "    for example: PORTICO_READY_REQUIRES=listener, upstream\n");
}

/* Who is not ready gets no traffic, and who gets no traffic is never validated by http-01 or tls-alpn-01. */
static void cert_is_for_names_that_need_no_traffic(void)
{
    check_mistakes(ENTRIES("PORTICO_DOMAINS=localhost,a.example.com,b.example.com", "PORTICO_READY_REQUIRES=cert"),
                   "PORTICO_READY_REQUIRES: `cert` has cert, but a.example.com is validated by http-01 or tls-alpn-01 "
                   "alone, which would never reach a process that is not ready\n"
                   "    for example: PORTICO_READY_REQUIRES=listener\n");
    check_mistakes(ENTRIES("PORTICO_DOMAINS=a.example.com", "PORTICO_READY_REQUIRES=cert",
                           "PORTICO_ACME_CHALLENGE=http-01,dns-persist-01"),
                   "");
    check_mistakes(ENTRIES("PORTICO_DOMAINS=a.example.com,203.0.113.7", "PORTICO_READY_REQUIRES=cert",
                           "PORTICO_ACME_CHALLENGE=http-01,dns-persist-01"),
                   "PORTICO_READY_REQUIRES: `cert` has cert, but 203.0.113.7 is validated by http-01 or tls-alpn-01 "
                   "alone, which would never reach a process that is not ready\n"
                   "    for example: PORTICO_READY_REQUIRES=listener\n");
    check_mistakes(ENTRIES("PORTICO_DOMAINS=localhost,a.internal", "PORTICO_READY_REQUIRES=cert"), "");
    check_mistakes(
        ENTRIES("PORTICO_DOMAINS=a.example.com", "PORTICO_READY_REQUIRES=cert", "PORTICO_ACME_DIRECTORY=internal"), "");
    check_mistakes(ENTRIES("PORTICO_DOMAINS=a.example.com", "PORTICO_READY_REQUIRES=cert", PEM), "");
}

static void a_health_check_reads_two_rows(void)
{
    struct config_mistakes mistakes = {0};
    struct config *config = NULL;
    CHECK(config_load_admin(ENTRIES("PORTICO_STORAGE_KEY_FILE=/no/such", "PORTICO_STORAGE=/data/portico/",
                                    "PORTICO_ADMIN_TOKEN=x", "PORTICO_ADMIN_LISTEN=:9999", "PORTICO_WORKERS=many"),
                            &config, &mistakes));
    CHECK_SLICE(config->storage, "/data/portico");
    CHECK_INT(config->listen.admin.port, 9999);
    config_unref(config);
}

int main(void)
{
    RUN(tokens);
    RUN(what_readiness_waits_for);
    RUN(cert_is_for_names_that_need_no_traffic);
    RUN(a_health_check_reads_two_rows);
    return checks_done();
}
