/* Which variables there are: service links, nearest names, _FILE variants, empty ones. */
#include "check.h"

#include "config/build.h"

#include <stdlib.h>
#include <unistd.h>

/* A scratch directory with one file in it. */
struct scratch {
    char dir[64];
    char path[96];
};

static void scratch_write(struct scratch *scratch, const void *bytes, size_t len)
{
    FILE *file = fopen(scratch->path, "wb");
    CHECK(file && fwrite(bytes, 1, len, file) == len);
    if (file)
        fclose(file);
}

static void scratch_init(struct scratch *scratch)
{
    snprintf(scratch->dir, sizeof scratch->dir, "/tmp/config_test.XXXXXX");
    CHECK(mkdtemp(scratch->dir) != NULL);
    snprintf(scratch->path, sizeof scratch->path, "%s/value", scratch->dir);
}

static void scratch_cleanup(struct scratch *scratch)
{
    unlink(scratch->path);
    rmdir(scratch->dir);
}

/* All mistakes as they are printed, or "" for a config that loads; the config goes to *out_config where asked for. */
static const char *load(const char *const *entries, struct buf *out, struct config **out_config)
{
    struct config *config = NULL;
    struct config_mistakes mistakes = {0};
    out->len = 0;
    if (!config_load(entries, &config, &mistakes))
        config_mistakes_print(&mistakes, out);
    config_mistakes_cleanup(&mistakes);
    if (out_config)
        *out_config = config;
    else
        config_unref(config);
    return buf_cstr(out);
}

static void test_service_links(void)
{
    static const char *const links[] = {
        "PORTICO_SERVICE_HOST",         "PORTICO_SERVICE_PORT",
        "PORTICO_SERVICE_PORT_HTTPS",   "PORTICO_PORT",
        "PORTICO_PORT_443_TCP",         "PORTICO_PORT_443_TCP_PROTO",
        "PORTICO_PORT_443_TCP_PORT",    "PORTICO_PORT_443_TCP_ADDR",
        "PORTICO_PORT_53_UDP_ADDR",     "PORTICO_PORT_9_SCTP",
        "PORTICO_WEB_SERVICE_HOST",     "PORTICO_WEB_2_SERVICE_PORT_HTTP_ALT",
        "PORTICO_WEB_PORT_80_TCP_ADDR",
    };
    static const char *const others[] = {
        "PORTICO_SERVICE",       "PORTICO_PORTS",       "PORTICO_PORT_443",          "PORTICO_PORT_443_TCP_NAME",
        "PORTICO_PORT_443_ICMP", "PORTICO_PORT_TCP",    "PORTICO_service_HOST",      "PORTICO_SERVICE_HOST_",
        "XPORTICO_SERVICE_HOST", "PORTICOSERVICE_HOST", "PORTICO_WEB_SERVICE_HOSTS",
    };
    for (size_t i = 0; i < sizeof links / sizeof *links; i++)
        CHECK(environment_is_service_link(links[i]));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        CHECK(!environment_is_service_link(others[i]));
}

static void test_no_variable_is_a_service_link(void)
{
    CHECK(config_num_rows() > 40);
    for (size_t i = 0; i < config_num_rows(); i++) {
        struct buf name = {0};
        CHECK(config_row_at(i).name != NULL);
        buf_append_str(&name, config_row_at(i).name);
        CHECK(!environment_is_service_link(buf_cstr(&name)));
        buf_append_str(&name, "_FILE");
        CHECK(!environment_is_service_link(buf_cstr(&name)));
        buf_cleanup(&name);
    }
}

static void test_ignored_entries(void)
{
    struct buf text = {0};
    const char *const entries[] = {
        "PATH=/bin",
        "PORTICO=x",
        "portico_domains=x",
        "PORTICO_SERVICE_HOST=10.0.0.1",
        "PORTICO_PORT=tcp://10.0.0.1:443",
        "PORTICO_NO_SUCH_VARIABLE=", /* empty means unset */
        "PORTICO_DOMAINS=",
        "PORTICO_TLS_CERT_FILE=",
        "PORTICO_LOG_LEVEL=debug",
        "PORTICO_LOG_LEVEL=nonsense", /* the first entry counts, as with getenv */
        "PORTICO_NOT_AN_ENTRY",
        NULL,
    };
    struct config *config;
    CHECK_STR(load(entries, &text, &config), "");
    CHECK(config && config->log.level == LOG_LEVEL_DEBUG);
    config_unref(config);
    buf_cleanup(&text);
}

static void test_nearest_names(void)
{
    static const struct {
        const char *entry, *want;
    } rows[] = {
        {"PORTICO_DOMAIN=a.com", "PORTICO_DOMAIN is no variable of this version; did you mean PORTICO_DOMAINS?\n"},
        {"PORTICO_domains=a.com", "PORTICO_domains is no variable of this version; did you mean PORTICO_DOMAINS?\n"},
        {"PORTICO_UPSTRAEM=x", "PORTICO_UPSTRAEM is no variable of this version; did you mean PORTICO_UPSTREAM?\n"},
        {"PORTICO_TLS_CRT_FILE=x",
         "PORTICO_TLS_CRT_FILE is no variable of this version; did you mean PORTICO_TLS_CERT_FILE?\n"},
        {"PORTICO_ACME_EAB_HMAC=topsecret",
         "PORTICO_ACME_EAB_HMAC is no variable of this version; did you mean PORTICO_ACME_EAB_HMAC_KEY?\n"},
        {"PORTICO_QQQQQQ=1", "PORTICO_QQQQQQ is no variable of this version; `portico help` lists them\n"},
        {"PORTICO_=1", "PORTICO_ is no variable of this version; `portico help` lists them\n"},
        {"PORTICO_LOG=debug", "PORTICO_LOG is no variable of this version; did you mean PORTICO_LOG_LEVEL?\n"},
        {"PORTICO_\x1b[31m=1", "PORTICO_\\x1b[31m is no variable of this version; `portico help` lists them\n"},
    };
    struct buf text = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK_STR(load((const char *const[]){rows[i].entry, NULL}, &text, NULL), rows[i].want);
    buf_cleanup(&text);
}

/* PORTICO_LOG_LEVEL_FILE with such contents: the level, or the mistake's first words. */
static void test_file_contents(void)
{
    static const struct {
        const char *contents;
        size_t len;
        const char *want;
    } rows[] = {
        {"debug", 5, ""},
        {"debug\n", 6, ""},
        {"debug\r\n", 7, ""},
        {"", 0, "PORTICO_LOG_LEVEL comes from a file that is empty"},
        {"\n", 1, "PORTICO_LOG_LEVEL comes from a file that is empty"},
        {"de\0bug", 6, "PORTICO_LOG_LEVEL_FILE: `"},
        {"loud\n", 5, "PORTICO_LOG_LEVEL: `loud` is none of debug, info, warn, error"},
    };
    struct scratch scratch;
    struct buf entry = {0}, text = {0};
    scratch_init(&scratch);
    buf_printf(&entry, "PORTICO_LOG_LEVEL_FILE=%s", scratch.path);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct config *config = NULL;
        scratch_write(&scratch, rows[i].contents, rows[i].len);
        const char *got = load((const char *const[]){buf_cstr(&entry), NULL}, &text, &config);
        CHECK(strncmp(got, rows[i].want, strlen(rows[i].want)) == 0);
        CHECK_INT(*rows[i].want == '\0', config != NULL);
        if (config) {
            CHECK_INT(config->log.level, LOG_LEVEL_DEBUG);
            CHECK_INT(config->values[ROW_LOG_LEVEL].source, CONFIG_FROM_FILE);
            CHECK_SLICE(config->values[ROW_LOG_LEVEL].path, scratch.path);
            CHECK_SLICE(config->values[ROW_LOG_LEVEL].text, "debug");
        }
        config_unref(config);
    }
    scratch_cleanup(&scratch);
    buf_cleanup(&entry);
    buf_cleanup(&text);
}

static void test_files_that_cannot_be_read(void)
{
    struct buf text = {0};
    CHECK_STR(load((const char *const[]){"PORTICO_DOMAINS_FILE=/no/such/file", NULL}, &text, NULL),
              "PORTICO_DOMAINS_FILE: `/no/such/file` cannot be read: No such file or directory\n");
    CHECK_STR(load((const char *const[]){"PORTICO_DOMAINS_FILE=/", NULL}, &text, NULL),
              "PORTICO_DOMAINS_FILE: `/` cannot be read: Is a directory\n");
    CHECK_STR(load((const char *const[]){"PORTICO_DOMAINS_FILE=/dev/zero", NULL}, &text, NULL),
              "PORTICO_DOMAINS_FILE: `/dev/zero` cannot be read: it is not a regular file\n");
    /* Nothing that follows from the unreadable file is reported as another mistake. */
    CHECK_STR(
        load((const char *const[]){"PORTICO_TLS_CERT_FILE=/no/such", "PORTICO_TLS_KEY=-----BEGIN PRIVATE KEY-----",
                                   "PORTICO_HTTP_MODE=redirect", "PORTICO_DOMAINS=*.a.com", NULL},
             &text, NULL),
        "PORTICO_TLS_CERT_FILE: `/no/such` cannot be read: No such file or directory\n");
    buf_cleanup(&text);
}

static void test_huge_file(void)
{
    struct scratch scratch;
    struct buf entry = {0}, text = {0};
    scratch_init(&scratch);
    scratch_write(&scratch, "x", 1);
    CHECK(truncate(scratch.path, CONFIG_FILE_MAX_BYTES + 1) == 0);
    buf_printf(&entry, "PORTICO_DOMAINS_FILE=%s", scratch.path);
    CHECK(strstr(load((const char *const[]){buf_cstr(&entry), NULL}, &text, NULL), "it is over 16 MiB") != NULL);
    scratch_cleanup(&scratch);
    buf_cleanup(&entry);
    buf_cleanup(&text);
}

static void test_value_and_file(void)
{
    struct buf text = {0};
    CHECK_STR(load((const char *const[]){"PORTICO_TLS_KEY=secret", "PORTICO_TLS_KEY_FILE=/x", NULL}, &text, NULL),
              "PORTICO_TLS_KEY is set and PORTICO_TLS_KEY_FILE is set too: one of them must go\n");
    buf_cleanup(&text);
}

/* A PEM variable holds text, its _FILE is a path that is kept, so that it can be watched. */
static void test_pem_files(void)
{
    static const char pem[] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    struct scratch scratch;
    struct buf entry = {0}, text = {0};
    struct config *config = NULL;
    scratch_init(&scratch);
    scratch_write(&scratch, pem, sizeof pem - 1);
    buf_printf(&entry, "PORTICO_TLS_CERT_FILE=%s", scratch.path);
    const char *const entries[] = {buf_cstr(&entry), "PORTICO_TLS_KEY=-----BEGIN EC PRIVATE KEY-----", NULL};
    CHECK_STR(load(entries, &text, &config), "");
    if (config) {
        CHECK_MEM(config->tls.cert.text.ptr, config->tls.cert.text.len, pem, sizeof pem - 2);
        CHECK_SLICE(config->tls.cert.path, scratch.path);
        CHECK_SLICE(config->tls.key.text, "-----BEGIN EC PRIVATE KEY-----");
        CHECK_INT(config->tls.key.path.len, 0);
        CHECK(config->names_from_certificate);
        CHECK_SLICE(config->values[ROW_TLS_CERT].text, "(PEM, 58 bytes)");
        CHECK_SLICE(config->values[ROW_TLS_KEY].text, "(secret, 30 bytes)");
    }
    config_unref(config);
    scratch_cleanup(&scratch);
    buf_cleanup(&entry);
    buf_cleanup(&text);
}

int main(void)
{
    RUN(test_service_links);
    RUN(test_no_variable_is_a_service_link);
    RUN(test_ignored_entries);
    RUN(test_nearest_names);
    RUN(test_file_contents);
    RUN(test_files_that_cannot_be_read);
    RUN(test_huge_file);
    RUN(test_value_and_file);
    RUN(test_pem_files);
    return checks_done();
}
