/* The whole of a configuration: defaults, every row's good and bad values, rules between rows, lifetimes. */
#include "check.h"

#include "config/build.h"
#include "config/environment.h"

#include <pthread.h>

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

#define ENTRIES(...) ((const char *const[]){__VA_ARGS__, NULL})
#define CERT "PORTICO_TLS_CERT=-----BEGIN CERTIFICATE-----"
#define KEY "PORTICO_TLS_KEY=-----BEGIN PRIVATE KEY-----"

#define STORAGE_KEY_ENTRY "PORTICO_STORAGE_KEY=000102030405060708090A0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define BCRYPT "$2y$10$abcdefghijklmnopqrstuv0123456789ABCDEFGHIJKLMNOPQRSTU"

static struct config *load_good(const char *const *entries)
{
    struct buf text = {0};
    struct config *config = NULL;
    CHECK_STR(load(entries, &text, &config), "");
    buf_cleanup(&text);
    return config;
}

static void test_defaults(void)
{
    struct config *config = load_good(ENTRIES("PORTICO_DOMAINS=a.com"));
    if (!config)
        return;
    CHECK_INT(config->listen.http.port, 80);
    CHECK_INT(config->listen.https.port, 443);
    CHECK_INT(config->listen.https.kind, CONFIG_LISTEN_TCP);
    CHECK_SLICE(config->listen.admin.host, "127.0.0.1");
    CHECK_INT(config->listen.admin.port, 9180);
    CHECK_INT(config->listen.http_mode, CONFIG_HTTP_REDIRECT);
    CHECK_INT(config->listen.https_public_port, 443);
    CHECK_SLICE(config->storage, "/var/lib/portico");
    CHECK_INT(config->acme.kind, CONFIG_DIRECTORY_PUBLIC);
    CHECK_SLICE(config->acme.directory, "https://acme-v02.api.letsencrypt.org/directory");
    CHECK(!config->acme.accept_terms);
    CHECK_INT(config->acme.renew_at_permille, 0);
    CHECK_INT(config->acme.account_key.text.len, 0);
    CHECK_INT(config->acme.fallback.len, 0);
    CHECK_INT(config->acme.num_challenges, 2);
    CHECK_INT(config->acme.challenges[0], CONFIG_CHALLENGE_HTTP_01);
    CHECK_INT(config->acme.challenges[1], CONFIG_CHALLENGE_TLS_ALPN_01);
    CHECK_INT(config->acme.dns_hook.len, 0);
    CHECK_INT(config->acme.num_profiles, 0);
    CHECK_INT(config->acme.num_key_types, 1);
    CHECK_INT(config->acme.key_types[0], CONFIG_KEY_P256);
    CHECK_INT(config->acme.preferred_chain.len, 0);
    CHECK(config->acme.ledger);
    CHECK_INT(config->on_demand_ask.len, 0);
    CHECK_INT(config->storage_key.len, 0);
    CHECK_INT(config->internal_ca.cert.text.len, 0);
    CHECK_INT(config->tls.cert_dir.len, 0);
    CHECK_INT(config->export_dir.len, 0);
    CHECK_INT(config->tls.policy, CONFIG_TLS_INTERMEDIATE);
    CHECK_INT(config->tls.unknown_sni, CONFIG_SNI_REJECT);
    CHECK_INT(config->tls.ticket_rotate_s, 43200);
    CHECK_INT(config->tls.hsts.len, 0);
    CHECK_INT(config->upstream.connect_timeout_ms, 3000);
    CHECK_INT(config->upstream.wait_ms, 5000);
    CHECK_INT(config->upstream.response_timeout_ms, 60000);
    CHECK_INT(config->upstream.idle_timeout_ms, 4000);
    CHECK_INT(config->tls.client_auth, CONFIG_CLIENT_AUTH_OFF);
    CHECK_INT(config->tls.client_ca.text.len, 0);
    CHECK_INT(config->upstream.max_conns, 0);
    CHECK_INT(config->upstream.health_path.len, 0);
    CHECK_INT(config->identity.trusted_proxies.num, 0);
    CHECK_INT(config->identity.forwarded, CONFIG_FORWARDED_X);
    CHECK(!config->identity.proxy_protocol_in);
    CHECK_INT(config->identity.proxy_protocol_out, CONFIG_PROXY_OUT_OFF);
    CHECK_INT(config->identity.request_id, CONFIG_TRACE_GENERATE);
    CHECK_INT(config->identity.traceparent, CONFIG_TRACE_PASS);
    CHECK_INT(config->policy.num_users, 0);
    CHECK(!config->policy.allow_ips_given);
    CHECK_INT(config->policy.num_compress, 0);
    CHECK_INT(config->policy.error_page.len, 0);
    CHECK(config->client.http2);
    CHECK(!config->default_site.group->tcp);
    CHECK_INT(config->upstream.max_idle, 64);
    CHECK_INT(config->upstream.retries, 1);
    CHECK_INT(config->upstream.dns_ttl_ms, 30000);
    CHECK_INT(config->client.header_timeout_ms, 10000);
    CHECK_INT(config->client.idle_timeout_ms, 60000);
    CHECK_INT(config->client.stream_idle_timeout_ms, 3600000);
    CHECK_INT(config->client.max_request_body_bytes, 0);
    CHECK_INT(config->client.max_header_bytes, 32768);
    CHECK_INT(config->client.max_conns, 0);
    CHECK_INT(config->client.max_conn_age_ms, 0);
    CHECK_INT(config->log.level, LOG_LEVEL_INFO);
    CHECK_INT(config->log.format, CONFIG_LOG_AUTO);
    CHECK_INT(config->log.access, CONFIG_ACCESS_JSON);
    CHECK_INT(config->workers, 0);
    CHECK_INT(config->drain.min_ms, 0);
    CHECK_INT(config->drain.quiet_ms, 2000);
    CHECK_INT(config->drain.timeout_ms, 8000);
    config_unref(config);
}

static void test_everything_given(void)
{
    struct config *config = load_good(ENTRIES(
        "PORTICO_DOMAINS=a.com", "PORTICO_UPSTREAM=unix:/run/a", "PORTICO_HTTP_LISTEN=:8080",
        "PORTICO_HTTPS_LISTEN=[::1]:8443", "PORTICO_HTTP_MODE=off", "PORTICO_HTTPS_PUBLIC=8443",
        "PORTICO_ADMIN_LISTEN=off", "PORTICO_ADMIN_TOKEN=0123456789abcdef", "PORTICO_READY_REQUIRES=upstream",
        "PORTICO_STORAGE=/data//", "PORTICO_ACME_DIRECTORY=ZeroSSL", "PORTICO_ACME_ACCEPT_TERMS=yes",
        "PORTICO_ACME_EMAIL=ops@a.com", "PORTICO_ACME_EAB_KID=kid-1", "PORTICO_ACME_EAB_HMAC_KEY=AAEC_-8",
        "PORTICO_ACME_ACCOUNT_KEY=-----BEGIN PRIVATE KEY-----", "PORTICO_ACME_CA=-----BEGIN CERTIFICATE-----",
        "PORTICO_ACME_RENEW_AT=1/2", "PORTICO_ACME_FALLBACK=letsencrypt", "PORTICO_ACME_FALLBACK_EAB_KID=kid-2",
        "PORTICO_ACME_FALLBACK_EAB_HMAC_KEY=HS512:AAE",
        "PORTICO_ACME_FALLBACK_ACCOUNT_KEY=-----BEGIN EC PRIVATE KEY-----", "PORTICO_ACME_CHALLENGE=dns-01",
        "PORTICO_ACME_DNS_HOOK=https://hook.example/dns?x=1", "PORTICO_ACME_PROFILE=shortlived, tlsserver",
        "PORTICO_ACME_KEY_TYPE=RSA4096,p384", "PORTICO_ACME_PREFERRED_CHAIN=ISRG Root X1", "PORTICO_ACME_LEDGER=off",
        "PORTICO_ON_DEMAND_ASK=https://ask.example/may", STORAGE_KEY_ENTRY,
        "PORTICO_INTERNAL_CA=-----BEGIN CERTIFICATE-----", "PORTICO_INTERNAL_CA_KEY=-----BEGIN PRIVATE KEY-----",
        "PORTICO_TLS_CERT_DIR=/sys//", "PORTICO_EXPORT_DIR=/exported/", CERT, KEY, "PORTICO_TLS_POLICY=modern",
        "PORTICO_TLS_UNKNOWN_SNI=default", "PORTICO_TLS_TICKET_ROTATE=0", "PORTICO_HSTS=1y",
        "PORTICO_UPSTREAM_CONNECT_TIMEOUT=1s", "PORTICO_UPSTREAM_WAIT=0", "PORTICO_UPSTREAM_RESPONSE_TIMEOUT=5m",
        "PORTICO_UPSTREAM_IDLE_TIMEOUT=2s", "PORTICO_UPSTREAM_MAX_IDLE=0", "PORTICO_UPSTREAM_RETRIES=0",
        "PORTICO_UPSTREAM_DNS_TTL=1s", "PORTICO_CLIENT_HEADER_TIMEOUT=1s", "PORTICO_CLIENT_IDLE_TIMEOUT=2s",
        "PORTICO_STREAM_IDLE_TIMEOUT=3s", "PORTICO_MAX_REQUEST_BODY=10m", "PORTICO_MAX_HEADER=64k",
        "PORTICO_MAX_CONNS=1000", "PORTICO_MAX_CONN_AGE=1h", "PORTICO_LOG_LEVEL=WARN", "PORTICO_LOG_FORMAT=json",
        "PORTICO_ACCESS_LOG=combined", "PORTICO_WORKERS=3", "PORTICO_DRAIN_MIN=1s", "PORTICO_DRAIN_QUIET=500ms",
        "PORTICO_DRAIN_TIMEOUT=20s", "PORTICO_TLS_CLIENT_CA=-----BEGIN CERTIFICATE-----",
        "PORTICO_TLS_CLIENT_AUTH=require", "PORTICO_HTTP2=no", "PORTICO_TRUSTED_PROXIES=10.0.0.0/8, fd00::/8",
        "PORTICO_FORWARDED=BOTH", "PORTICO_PROXY_PROTOCOL_IN=on", "PORTICO_PROXY_PROTOCOL_OUT=v2-tls",
        "PORTICO_UPSTREAM_MAX_CONNS=10", "PORTICO_UPSTREAM_HEALTH=/up?x=1", "PORTICO_COMPRESS=zstd,gzip",
        "PORTICO_BASIC_AUTH=ann:" BCRYPT, "PORTICO_ALLOW_IPS=192.0.2.1", "PORTICO_ERROR_PAGE=<h1>Sorry</h1>",
        "PORTICO_REQUEST_ID=off", "PORTICO_TRACEPARENT=generate", "PORTICO_ENV_DIR=/", "PORTICO_SANDBOX=off"));
    if (!config)
        return;
    for (size_t i = 0; i < config_num_rows(); i++) /* none is missing above */
        CHECK_INT(config->values[i].source, CONFIG_FROM_ENVIRONMENT);
    CHECK_SLICE(config->default_site.group->upstreams[0]->path, "/run/a");
    CHECK_INT(config->listen.http.port, 8080);
    CHECK_SLICE(config->listen.https.host, "::1");
    CHECK_INT(config->listen.http_mode, CONFIG_HTTP_OFF);
    CHECK_INT(config->listen.https_public_port, 8443);
    CHECK_INT(config->listen.admin.kind, CONFIG_LISTEN_OFF);
    CHECK_SLICE(config->storage, "/data");
    CHECK_INT(config->acme.kind, CONFIG_DIRECTORY_PUBLIC);
    CHECK_SLICE(config->acme.directory, "https://acme.zerossl.com/v2/DV90");
    CHECK(config->acme.accept_terms);
    CHECK_SLICE(config->acme.email, "ops@a.com");
    CHECK_SLICE(config->acme.eab_kid, "kid-1");
    CHECK_MEM(config->acme.eab_hmac_key.ptr, config->acme.eab_hmac_key.len, "\0\1\2\xff\xef", 5);
    CHECK_SLICE(config->acme.account_key.text, "-----BEGIN PRIVATE KEY-----");
    CHECK_SLICE(config->acme.ca.text, "-----BEGIN CERTIFICATE-----");
    CHECK_INT(config->acme.renew_at_permille, 500);
    CHECK_SLICE(config->acme.fallback, "https://acme-v02.api.letsencrypt.org/directory");
    CHECK_SLICE(config->acme.fallback_eab_kid, "kid-2");
    CHECK_MEM(config->acme.fallback_eab_hmac_key.ptr, config->acme.fallback_eab_hmac_key.len, "\0\1", 2);
    CHECK_INT(config->acme.eab_mac, CONFIG_HS256);
    CHECK_INT(config->acme.fallback_eab_mac, CONFIG_HS512);
    CHECK_SLICE(config->acme.fallback_account_key.text, "-----BEGIN EC PRIVATE KEY-----");
    CHECK_INT(config->acme.num_challenges, 1);
    CHECK_INT(config->acme.challenges[0], CONFIG_CHALLENGE_DNS_01);
    CHECK_SLICE(config->acme.dns_hook, "https://hook.example/dns?x=1");
    CHECK_INT(config->acme.num_profiles, 2);
    CHECK_SLICE(config->acme.profiles[0], "shortlived");
    CHECK_SLICE(config->acme.profiles[1], "tlsserver");
    CHECK_INT(config->acme.num_key_types, 2);
    CHECK_INT(config->acme.key_types[0], CONFIG_KEY_RSA4096);
    CHECK_INT(config->acme.key_types[1], CONFIG_KEY_P384);
    CHECK_SLICE(config->acme.preferred_chain, "ISRG Root X1");
    CHECK(!config->acme.ledger);
    CHECK_SLICE(config->on_demand_ask, "https://ask.example/may");
    CHECK_INT(config->storage_key.len, 32);
    CHECK_MEM(config->storage_key.ptr, 4, "\0\1\2\3", 4);
    CHECK_INT(config->storage_key.ptr[31], 0x1f);
    CHECK_SLICE(config->values[ROW_STORAGE_KEY].text, "(secret, 64 bytes)");
    CHECK_SLICE(config->internal_ca.cert.text, "-----BEGIN CERTIFICATE-----");
    CHECK_SLICE(config->internal_ca.key.text, "-----BEGIN PRIVATE KEY-----");
    CHECK_SLICE(config->tls.cert_dir, "/sys");
    CHECK_SLICE(config->export_dir, "/exported");
    CHECK_SLICE(config->tls.cert.text, "-----BEGIN CERTIFICATE-----");
    CHECK_INT(config->tls.policy, CONFIG_TLS_MODERN);
    CHECK_INT(config->tls.unknown_sni, CONFIG_SNI_DEFAULT);
    CHECK_INT(config->tls.ticket_rotate_s, 0);
    CHECK_SLICE(config->tls.hsts, "max-age=31536000");
    CHECK_INT(config->upstream.connect_timeout_ms, 1000);
    CHECK_INT(config->upstream.wait_ms, 0);
    CHECK_INT(config->upstream.response_timeout_ms, 300000);
    CHECK_INT(config->upstream.idle_timeout_ms, 2000);
    CHECK_INT(config->upstream.max_idle, 0);
    CHECK_INT(config->upstream.retries, 0);
    CHECK_INT(config->upstream.dns_ttl_ms, 1000);
    CHECK_INT(config->client.header_timeout_ms, 1000);
    CHECK_INT(config->client.idle_timeout_ms, 2000);
    CHECK_INT(config->client.stream_idle_timeout_ms, 3000);
    CHECK_INT(config->client.max_request_body_bytes, 10485760);
    CHECK_INT(config->client.max_header_bytes, 65536);
    CHECK_INT(config->client.max_conns, 1000);
    CHECK_INT(config->client.max_conn_age_ms, 3600000);
    CHECK_INT(config->log.level, LOG_LEVEL_WARN);
    CHECK_INT(config->log.format, CONFIG_LOG_JSON);
    CHECK_INT(config->log.access, CONFIG_ACCESS_COMBINED);
    CHECK_INT(config->workers, 3);
    CHECK_INT(config->drain.min_ms, 1000);
    CHECK_INT(config->drain.quiet_ms, 500);
    CHECK_INT(config->drain.timeout_ms, 20000);
    CHECK_SLICE(config->values[ROW_ACME_EAB_HMAC_KEY].text, "(secret, 7 bytes)");
    CHECK_SLICE(config->tls.client_ca.text, "-----BEGIN CERTIFICATE-----");
    CHECK_INT(config->tls.client_auth, CONFIG_CLIENT_AUTH_REQUIRE);
    CHECK(!config->client.http2);
    CHECK_INT(config->identity.trusted_proxies.num, 2);
    CHECK_INT(config->identity.forwarded, CONFIG_FORWARDED_BOTH);
    CHECK(config->identity.proxy_protocol_in);
    CHECK_INT(config->identity.proxy_protocol_out, CONFIG_PROXY_OUT_V2_TLS);
    CHECK_INT(config->identity.request_id, CONFIG_TRACE_OFF);
    CHECK_INT(config->identity.traceparent, CONFIG_TRACE_GENERATE);
    CHECK_INT(config->upstream.max_conns, 10);
    CHECK_SLICE(config->upstream.health_path, "/up?x=1");
    CHECK_INT(config->policy.num_compress, 2);
    CHECK_INT(config->policy.num_users, 1);
    CHECK_INT(config->policy.allow_ips.num, 1);
    CHECK(config->policy.allow_ips_given);
    CHECK_SLICE(config->policy.error_page, "<h1>Sorry</h1>");
    CHECK_SLICE(config->values[ROW_BASIC_AUTH].text, "(secret, 64 bytes)");
    CHECK_SLICE(config->values[ROW_ERROR_PAGE].text, "(HTML, 14 bytes)");
    CHECK_SLICE(config->values[ROW_TLS_CLIENT_CA].text, "(PEM, 27 bytes)");
    config_unref(config);
}

static void test_directories(void)
{
    static const struct {
        const char *entry;
        enum config_directory_kind kind;
        const char *url;
    } rows[] = {
        {"PORTICO_ACME_DIRECTORY=letsencrypt-staging", CONFIG_DIRECTORY_PUBLIC,
         "https://acme-staging-v02.api.letsencrypt.org/directory"},
        {"PORTICO_ACME_DIRECTORY=google", CONFIG_DIRECTORY_PUBLIC, "https://dv.acme-v02.api.pki.goog/directory"},
        {"PORTICO_ACME_DIRECTORY=internal", CONFIG_DIRECTORY_INTERNAL, ""},
        {"PORTICO_ACME_DIRECTORY=https://Acme.SSL.com/sslcom-dv-rsa", CONFIG_DIRECTORY_PUBLIC,
         "https://Acme.SSL.com/sslcom-dv-rsa"},
        {"PORTICO_ACME_DIRECTORY=https://localhost:14000/dir", CONFIG_DIRECTORY_PRIVATE, "https://localhost:14000/dir"},
        {"PORTICO_ACME_DIRECTORY=https://myssl.com/dir", CONFIG_DIRECTORY_PRIVATE, "https://myssl.com/dir"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct config *config = load_good(ENTRIES(rows[i].entry));
        if (!config)
            continue;
        CHECK_INT(config->acme.kind, rows[i].kind);
        CHECK_SLICE(config->acme.directory, rows[i].url);
        config_unref(config);
    }
}

/* One bad value: the whole text that a person reads. */
static void test_mistakes_of_rows(void)
{
    static const struct {
        const char *entry, *want;
    } rows[] = {
        {"PORTICO_UPSTREAM=app:8000",
         "PORTICO_UPSTREAM: `app:8000` begins with none of http://, h2c://, tcp://, unix:, unix+h2c:\n"
         "    for example: PORTICO_UPSTREAM=http://app:8000\n"},
        {"PORTICO_UPSTREAM=,", "PORTICO_UPSTREAM: `,` names no backend\n"
                               "    for example: PORTICO_UPSTREAM=http://app:8000\n"},
        {"PORTICO_HTTP_LISTEN=80", "PORTICO_HTTP_LISTEN: `80` has no port\n"
                                   "    for example: PORTICO_HTTP_LISTEN=:80\n"},
        {"PORTICO_HTTPS_LISTEN=systemd:", "PORTICO_HTTPS_LISTEN: `systemd:` needs a name of 1 to 255 characters behind "
                                          "systemd:, the FileDescriptorName= "
                                          "of the socket unit\n"
                                          "    for example: PORTICO_HTTPS_LISTEN=:443\n"},
        {"PORTICO_ADMIN_LISTEN=systemd:x",
         "PORTICO_ADMIN_LISTEN: `systemd:x` would hide from `portico healthcheck` where to ask: give its address\n"
         "    for example: PORTICO_ADMIN_LISTEN=127.0.0.1:9180\n"},
        {"PORTICO_SANDBOX=on", "PORTICO_SANDBOX: `on` is none of auto, off\n"
                               "    for example: PORTICO_SANDBOX=off\n"},
        {"PORTICO_HTTP_MODE=both", "PORTICO_HTTP_MODE: `both` is none of redirect, serve, off\n"
                                   "    for example: PORTICO_HTTP_MODE=redirect\n"},
        {"PORTICO_HTTPS_PUBLIC=:0", "PORTICO_HTTPS_PUBLIC: `:0` is no port from 1 to 65535\n"
                                    "    for example: PORTICO_HTTPS_PUBLIC=:443\n"},
        {"PORTICO_ADMIN_LISTEN=localhost:1",
         "PORTICO_ADMIN_LISTEN: `localhost:1` has a host that is no numeric address\n"
         "    for example: PORTICO_ADMIN_LISTEN=127.0.0.1:9180\n"},
        {"PORTICO_STORAGE=/a\n/b", "PORTICO_STORAGE: `/a\\n/b` has a line break in it; one directory belongs here\n"
                                   "    for example: PORTICO_STORAGE=/var/lib/portico\n"},
        {"PORTICO_ACME_DIRECTORY=lets-encrypt",
         "PORTICO_ACME_DIRECTORY: `lets-encrypt` is neither a URL nor one of letsencrypt, letsencrypt-staging, "
         "zerossl, "
         "google, internal\n"
         "    for example: PORTICO_ACME_DIRECTORY=https://ca.internal/acme/acme/directory\n"},
        {"PORTICO_ACME_DIRECTORY=http://ca/dir",
         "PORTICO_ACME_DIRECTORY: `http://ca/dir` is not an https URL: ACME is spoken over TLS alone (RFC 8555 §6.1)\n"
         "    for example: PORTICO_ACME_DIRECTORY=https://ca.internal/acme/acme/directory\n"},
        {"PORTICO_ACME_ACCEPT_TERMS=maybe",
         "PORTICO_ACME_ACCEPT_TERMS: `maybe` is none of true, false, yes, no, on, off, 1, 0\n"
         "    for example: PORTICO_ACME_ACCEPT_TERMS=true\n"},
        {"PORTICO_ACME_EMAIL=mailto:a@b.c",
         "PORTICO_ACME_EMAIL: `mailto:a@b.c` begins with mailto:, which is added by itself\n"
         "    for example: PORTICO_ACME_EMAIL=ops@example.com\n"},
        {"PORTICO_ACME_EMAIL=a@b.c,d@e.f", "PORTICO_ACME_EMAIL: `a@b.c,d@e.f` is more than one address\n"
                                           "    for example: PORTICO_ACME_EMAIL=ops@example.com\n"},
        {"PORTICO_ACME_EMAIL=a@b@c", "PORTICO_ACME_EMAIL: `a@b@c` is more than one address\n"
                                     "    for example: PORTICO_ACME_EMAIL=ops@example.com\n"},
        {"PORTICO_ACME_EMAIL=a@b.c?subject=x", "PORTICO_ACME_EMAIL: `a@b.c?subject=x` is no mail address\n"
                                               "    for example: PORTICO_ACME_EMAIL=ops@example.com\n"},
        {"PORTICO_ACME_EMAIL=ops", "PORTICO_ACME_EMAIL: `ops` is no mail address\n"
                                   "    for example: PORTICO_ACME_EMAIL=ops@example.com\n"},
        {"PORTICO_ACME_EMAIL=a@-b", "PORTICO_ACME_EMAIL: `a@-b` has no host name behind its @\n"
                                    "    for example: PORTICO_ACME_EMAIL=ops@example.com\n"},
        {"PORTICO_ACME_ACCOUNT_KEY=hunter2",
         "PORTICO_ACME_ACCOUNT_KEY: `(secret, 7 bytes)` holds no private key in PEM (-----BEGIN PRIVATE KEY-----)\n"},
        {"PORTICO_ACME_CA=/etc/ssl/ca.pem",
         "PORTICO_ACME_CA: `(PEM, 15 bytes)` is a path, not PEM text: give it to the variable that ends in _FILE\n"},
        {"PORTICO_ACME_RENEW_AT=30d", "PORTICO_ACME_RENEW_AT: `30d` is neither auto nor a part of the lifetime\n"
                                      "    for example: PORTICO_ACME_RENEW_AT=2/3\n"},
        {"PORTICO_ACME_FALLBACK=internal",
         "PORTICO_ACME_FALLBACK: `internal` is neither a URL nor one of letsencrypt, letsencrypt-staging, zerossl, "
         "google\n    for example: PORTICO_ACME_FALLBACK=zerossl\n"},
        {"PORTICO_ACME_FALLBACK=https://ca.corp.example/dir",
         "PORTICO_ACME_FALLBACK: `https://ca.corp.example/dir` is no public CA that is known here, and the fallback is "
         "one that browsers trust\n    for example: PORTICO_ACME_FALLBACK=zerossl\n"},
        {"PORTICO_ACME_CHALLENGE=http-01,dns01",
         "PORTICO_ACME_CHALLENGE: `dns01` is none of http-01, tls-alpn-01, dns-01, dns-persist-01\n"
         "    for example: PORTICO_ACME_CHALLENGE=tls-alpn-01, http-01\n"},
        {"PORTICO_ACME_CHALLENGE=http-01,HTTP-01", "PORTICO_ACME_CHALLENGE: `HTTP-01` stands twice\n"
                                                   "    for example: PORTICO_ACME_CHALLENGE=tls-alpn-01, http-01\n"},
        {"PORTICO_ACME_CHALLENGE=,", "PORTICO_ACME_CHALLENGE: `,` holds separators alone\n"
                                     "    for example: PORTICO_ACME_CHALLENGE=tls-alpn-01, http-01\n"},
        {"PORTICO_ACME_DNS_HOOK=bin/hook",
         "PORTICO_ACME_DNS_HOOK: `bin/hook` is neither the absolute path of a program nor an http or https URL\n"
         "    for example: PORTICO_ACME_DNS_HOOK=/usr/local/bin/dns-hook\n"},
        {"PORTICO_ACME_PROFILE=short lived",
         "PORTICO_ACME_PROFILE: `short lived` holds a blank or another character that "
         "no profile's name has\n    for example: PORTICO_ACME_PROFILE=tlsserver\n"},
        {"PORTICO_ACME_PROFILE=a,b,c,d,e,f,g,h,i", "PORTICO_ACME_PROFILE: `i` is the ninth: eight profiles will do\n"
                                                   "    for example: PORTICO_ACME_PROFILE=tlsserver\n"},
        {"PORTICO_ACME_PROFILE=a,a", "PORTICO_ACME_PROFILE: `a` stands twice\n"
                                     "    for example: PORTICO_ACME_PROFILE=tlsserver\n"},
        {"PORTICO_ACME_KEY_TYPE=p521", "PORTICO_ACME_KEY_TYPE: `p521` is none of p256, p384, rsa2048, rsa4096\n"
                                       "    for example: PORTICO_ACME_KEY_TYPE=p256, rsa2048\n"},
        {"PORTICO_ACME_KEY_TYPE=p256,p384", "PORTICO_ACME_KEY_TYPE: `p384` is a second key of its kind: a client "
                                            "chooses between one ECDSA and one RSA key "
                                            "at the most\n    for example: PORTICO_ACME_KEY_TYPE=p256, rsa2048\n"},
        {"PORTICO_ACME_PREFERRED_CHAIN=a\tb", "PORTICO_ACME_PREFERRED_CHAIN: `a\\x09b` is not one line of UTF-8\n"
                                              "    for example: PORTICO_ACME_PREFERRED_CHAIN=ISRG Root X1\n"},
        {"PORTICO_ACME_LEDGER=maybe", "PORTICO_ACME_LEDGER: `maybe` is none of true, false, yes, no, on, off, 1, 0\n"
                                      "    for example: PORTICO_ACME_LEDGER=off\n"},
        {"PORTICO_ON_DEMAND_ASK=app:8000",
         "PORTICO_ON_DEMAND_ASK: `app:8000` is neither off nor an http or https URL\n"
         "    for example: PORTICO_ON_DEMAND_ASK=http://app:8000/may-have-certificate\n"},
        {"PORTICO_STORAGE_KEY=correct horse battery staple",
         "PORTICO_STORAGE_KEY: `(secret, 28 bytes)` is not 32 bytes in hex, base64 or base64url; `openssl rand -hex "
         "32` "
         "makes a good one\n"},
        {"PORTICO_STORAGE_KEY=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
         "PORTICO_STORAGE_KEY: `(secret, 43 bytes)` is not random; `openssl rand -hex 32` makes a good one\n"},
        {"PORTICO_TLS_POLICY=old", "PORTICO_TLS_POLICY: `old` is none of intermediate, modern\n"
                                   "    for example: PORTICO_TLS_POLICY=modern\n"},
        {"PORTICO_TLS_TICKET_ROTATE=8d", "PORTICO_TLS_TICKET_ROTATE: `8d` is not between 1s and 7d, nor 0\n"
                                         "    for example: PORTICO_TLS_TICKET_ROTATE=12h\n"},
        {"PORTICO_TLS_TICKET_ROTATE=1500ms", "PORTICO_TLS_TICKET_ROTATE: `1500ms` is not a number of whole seconds\n"
                                             "    for example: PORTICO_TLS_TICKET_ROTATE=12h\n"},
        {"PORTICO_HSTS=true", "PORTICO_HSTS: `true` does not begin with a whole number\n"
                              "    for example: PORTICO_HSTS=1y; includeSubDomains\n"},
        {"PORTICO_UPSTREAM_CONNECT_TIMEOUT=0", "PORTICO_UPSTREAM_CONNECT_TIMEOUT: `0` is not between 10ms and 10m\n"
                                               "    for example: PORTICO_UPSTREAM_CONNECT_TIMEOUT=3s\n"},
        {"PORTICO_UPSTREAM_CONNECT_TIMEOUT=3",
         "PORTICO_UPSTREAM_CONNECT_TIMEOUT: `3` does not end in one of the units ms, s, m, h, d\n"
         "    for example: PORTICO_UPSTREAM_CONNECT_TIMEOUT=3s\n"},
        {"PORTICO_UPSTREAM_RETRIES=11", "PORTICO_UPSTREAM_RETRIES: `11` is not between 0 and 10\n"
                                        "    for example: PORTICO_UPSTREAM_RETRIES=1\n"},
        {"PORTICO_UPSTREAM_MAX_IDLE=-1", "PORTICO_UPSTREAM_MAX_IDLE: `-1` is no whole number\n"
                                         "    for example: PORTICO_UPSTREAM_MAX_IDLE=64\n"},
        {"PORTICO_MAX_REQUEST_BODY=10MB", "PORTICO_MAX_REQUEST_BODY: `10MB` ends in something other than k, m or g\n"
                                          "    for example: PORTICO_MAX_REQUEST_BODY=10m\n"},
        {"PORTICO_MAX_HEADER=1m", "PORTICO_MAX_HEADER: `1m` is not between 1k and 256k\n"
                                  "    for example: PORTICO_MAX_HEADER=32k\n"},
        {"PORTICO_MAX_CONNS=0", "PORTICO_MAX_CONNS: `0` is not between 1 and 10000000\n"
                                "    for example: PORTICO_MAX_CONNS=10000\n"},
        {"PORTICO_WORKERS=4294967297", "PORTICO_WORKERS: `4294967297` is no whole number\n"
                                       "    for example: PORTICO_WORKERS=2\n"},
        {"PORTICO_LOG_LEVEL=\x1b[2J", "PORTICO_LOG_LEVEL: `\\x1b[2J` is none of debug, info, warn, error\n"
                                      "    for example: PORTICO_LOG_LEVEL=debug\n"},
        {"PORTICO_DRAIN_MIN=9s",
         "PORTICO_DRAIN_MIN: `9s` is longer than PORTICO_DRAIN_TIMEOUT, which ends the drain\n"},
    };
    struct buf text = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK_STR(load(ENTRIES(rows[i].entry), &text, NULL), rows[i].want);
    buf_cleanup(&text);
}

static void test_rules(void)
{
    struct buf text = {0};
    CHECK_STR(load(ENTRIES(CERT), &text, NULL),
              "PORTICO_TLS_KEY is unset, but PORTICO_TLS_CERT is given: the two belong together\n");
    CHECK_STR(load(ENTRIES(KEY), &text, NULL),
              "PORTICO_TLS_CERT is unset, but PORTICO_TLS_KEY is given: the two belong together\n");
    CHECK_STR(load(ENTRIES("PORTICO_ACME_EAB_KID=x"), &text, NULL),
              "PORTICO_ACME_EAB_HMAC_KEY is unset, but PORTICO_ACME_EAB_KID is given: the two belong together\n");
    CHECK_STR(load(ENTRIES("PORTICO_ACME_EAB_KID=x", "PORTICO_ACME_EAB_HMAC_KEY=pass word!"), &text, NULL),
              "PORTICO_ACME_EAB_HMAC_KEY: `(secret, 10 bytes)` is not base64url\n");
    CHECK_STR(load(ENTRIES("PORTICO_INTERNAL_CA=-----BEGIN CERTIFICATE-----"), &text, NULL),
              "PORTICO_INTERNAL_CA_KEY is unset, but PORTICO_INTERNAL_CA is given: the two belong together\n");
    CHECK_STR(load(ENTRIES("PORTICO_DOMAINS=a.com", "PORTICO_HTTP_LISTEN=127.0.0.1:443"), &text, NULL),
              "PORTICO_HTTPS_LISTEN: `:443` is where PORTICO_HTTP_LISTEN listens already\n");
    CHECK_STR(load(ENTRIES("PORTICO_ADMIN_LISTEN=:80"), &text, NULL),
              "PORTICO_ADMIN_LISTEN: `:80` is where PORTICO_HTTP_LISTEN listens already\n");
    CHECK_STR(load(ENTRIES("PORTICO_ADMIN_LISTEN=unix:/a", "PORTICO_HTTP_LISTEN=unix:/a"), &text, NULL),
              "PORTICO_ADMIN_LISTEN: `unix:/a` is where PORTICO_HTTP_LISTEN listens already\n");
    CHECK_STR(
        load(ENTRIES("PORTICO_DOMAINS=localhost", "PORTICO_HTTP_LISTEN=off", "PORTICO_HTTPS_LISTEN=off"), &text, NULL),
        "PORTICO_HTTPS_LISTEN: `off` leaves nothing to listen on: PORTICO_HTTP_LISTEN is off too\n"
        "    for example: PORTICO_HTTPS_LISTEN=:443\n");
    CHECK_STR(
        load(ENTRIES("PORTICO_HTTP_LISTEN=off"), &text, NULL),
        "PORTICO_HTTP_LISTEN: `off` leaves nothing to listen on: without PORTICO_DOMAINS and PORTICO_TLS_CERT there "
        "is no HTTPS\n    for example: PORTICO_HTTP_LISTEN=:80\n");
    CHECK_STR(
        load(ENTRIES("PORTICO_HTTP_MODE=redirect"), &text, NULL),
        "PORTICO_HTTP_MODE: `redirect` needs PORTICO_DOMAINS or PORTICO_TLS_CERT: without them plain HTTP is all there "
        "is\n    for example: PORTICO_HTTP_MODE=serve\n");
    buf_cleanup(&text);
}

static void test_a_hooks_password(void)
{
    struct buf text = {0};
    struct config *config = load_good(ENTRIES("PORTICO_DOMAINS=a.com", "PORTICO_ACME_CHALLENGE=dns-01",
                                              "PORTICO_ACME_DNS_HOOK=https://us:s3cret@hook.example:8/dns?x"));
    if (!config)
        return;
    CHECK_SLICE(config->acme.dns_hook, "https://us:s3cret@hook.example:8/dns?x");
    CHECK_SLICE(config->values[ROW_ACME_DNS_HOOK].text, "https://***@hook.example:8/dns?x");
    config_unref(config);
    CHECK(!strstr(load(ENTRIES("PORTICO_ACME_DNS_HOOK=ftp://us:s3cret@hook.example/"), &text, NULL), "s3cret"));
    CHECK(!strstr(load(ENTRIES("PORTICO_ACME_DNS_HOOK=https://us:s3cret@a b/"), &text, NULL), "s3cret"));
    buf_cleanup(&text);
}

static void test_rules_of_issuing(void)
{
    struct buf text = {0};
    CHECK_STR(
        load(ENTRIES("PORTICO_DOMAINS=a.com", "PORTICO_ACME_CHALLENGE=http-01,dns-01"), &text, NULL),
        "PORTICO_ACME_DNS_HOOK is unset, but PORTICO_ACME_CHALLENGE has dns-01: nothing would make its TXT record\n"
        "    for example: PORTICO_ACME_DNS_HOOK=/usr/local/bin/dns-hook\n");
    CHECK_STR(load(ENTRIES("PORTICO_DOMAINS=a.com", "PORTICO_ACME_DNS_HOOK=/bin/hook"), &text, NULL),
              "PORTICO_ACME_CHALLENGE: `http-01,tls-alpn-01` has no dns-01, but PORTICO_ACME_DNS_HOOK is given, which "
              "nothing else calls\n    for example: PORTICO_ACME_CHALLENGE=dns-01\n");
    CHECK_STR(load(ENTRIES("PORTICO_DOMAINS=localhost", "PORTICO_ACME_CHALLENGE=dns-01"), &text, NULL), "");
    CHECK_STR(load(ENTRIES("PORTICO_DOMAINS=a.com", "PORTICO_ACME_FALLBACK=letsencrypt"), &text, NULL),
              "PORTICO_ACME_FALLBACK: `letsencrypt` is PORTICO_ACME_DIRECTORY already: a fallback is another CA\n");
    CHECK_STR(load(ENTRIES("PORTICO_ACME_DIRECTORY=internal", "PORTICO_ACME_FALLBACK=google"), &text, NULL),
              "PORTICO_ACME_FALLBACK: `google` is asked for nothing while PORTICO_ACME_DIRECTORY is internal\n");
    CHECK_STR(
        load(ENTRIES("PORTICO_ACME_FALLBACK_ACCOUNT_KEY=-----BEGIN PRIVATE KEY-----"), &text, NULL),
        "PORTICO_ACME_FALLBACK_ACCOUNT_KEY is given, but PORTICO_ACME_FALLBACK, whose account it is about, is not\n");
    CHECK_STR(load(ENTRIES("PORTICO_ACME_FALLBACK=google", "PORTICO_ACME_FALLBACK_EAB_KID=x"), &text, NULL),
              "PORTICO_ACME_FALLBACK_EAB_HMAC_KEY is unset, but PORTICO_ACME_FALLBACK_EAB_KID is given: the two belong "
              "together\n");
    buf_cleanup(&text);
}

/* In each of its three alphabets. */
static void test_storage_keys(void)
{
    static const char *const rows[] = {STORAGE_KEY_ENTRY,
                                       "PORTICO_STORAGE_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
                                       "PORTICO_STORAGE_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct config *config = load_good(ENTRIES(rows[i]));
        CHECK(config && config->storage_key.len == 32 && config->storage_key.ptr[17] == 17);
        config_unref(config);
    }
}

/* HTTPS is open for whoever may be allowed. */
static void test_on_demand_without_names(void)
{
    struct config *config = load_good(ENTRIES("PORTICO_ON_DEMAND_ASK=http://ask/"));
    if (!config)
        return;
    CHECK_INT(config->listen.https.port, 443);
    CHECK_INT(config->listen.http_mode, CONFIG_HTTP_REDIRECT);
    CHECK(!config->names_from_certificate);
    CHECK(config_site_for(config, SLICE_LIT("anything")) == &config->default_site);
    config_unref(config);
}

static void test_places_that_differ(void)
{
    config_unref(load_good(ENTRIES("PORTICO_DOMAINS=a.com", "PORTICO_HTTP_LISTEN=127.0.0.1:9000",
                                   "PORTICO_HTTPS_LISTEN=127.0.0.2:9000", "PORTICO_ADMIN_LISTEN=[::1]:9000")));
    config_unref(load_good(ENTRIES("PORTICO_DOMAINS=a.com", "PORTICO_HTTP_LISTEN=:0", "PORTICO_HTTPS_LISTEN=:0",
                                   "PORTICO_ADMIN_LISTEN=:0")));
}

/* Without names and certificate: plain HTTP is served, :443 is not opened, even where the image sets a port for it. */
static void test_no_names(void)
{
    struct config *config = load_good(ENTRIES("PORTICO_HTTPS_LISTEN=:8443", "PORTICO_UPSTREAM=http://a"));
    if (!config)
        return;
    CHECK_INT(config->listen.http_mode, CONFIG_HTTP_SERVE);
    CHECK_INT(config->listen.https.kind, CONFIG_LISTEN_OFF);
    CHECK(!config->names_from_certificate);
    CHECK_SLICE(config->values[ROW_HTTP_MODE].text, "serve");
    CHECK_STR(config->values[ROW_HTTPS_LISTEN].note, "there are no names and no certificate");
    CHECK(config_site_for(config, SLICE_LIT("anything")) == &config->default_site);
    CHECK(!config_manages(config, SLICE_LIT("anything")));
    config_unref(config);
}

static void test_names_from_certificate(void)
{
    struct config *config = load_good(ENTRIES(CERT, KEY));
    if (!config)
        return;
    CHECK(config->names_from_certificate);
    CHECK_INT(config->listen.http_mode, CONFIG_HTTP_REDIRECT);
    CHECK_INT(config->listen.https.port, 443);
    CHECK(config_site_for(config, SLICE_LIT("anything")) == &config->default_site);
    CHECK(!config_manages(config, SLICE_LIT("anything")));
    config_unref(config);
}

/* All mistakes of one run, in the table's order, unknown names first. */
static void test_all_at_once(void)
{
    struct buf text = {0};
    CHECK_STR(load(ENTRIES("PORTICO_DOMAINS=a_b.com", "PORTICO_WORKER=1", "PORTICO_LOG_LEVEL=loud",
                           "PORTICO_WORKERS=many", "PORTICO_TLS_KEY=hunter2"),
                   &text, NULL),
              "PORTICO_WORKER is no variable of this version; did you mean PORTICO_WORKERS?\n"
              "PORTICO_DOMAINS: `a_b.com` has an underscore, which no certificate may hold\n"
              "    for example: PORTICO_DOMAINS=app.example.com\n"
              "PORTICO_TLS_KEY: `(secret, 7 bytes)` holds no private key in PEM (-----BEGIN PRIVATE KEY-----)\n"
              "PORTICO_LOG_LEVEL: `loud` is none of debug, info, warn, error\n"
              "    for example: PORTICO_LOG_LEVEL=debug\n"
              "PORTICO_WORKERS: `many` is no whole number\n"
              "    for example: PORTICO_WORKERS=2\n");
    CHECK(!strstr(buf_cstr(&text), "hunter2"));
    buf_cleanup(&text);
}

/* Each default in the table is accepted by its own parser, and so is each example. */
static void test_table(void)
{
    for (size_t i = 0; i < config_num_rows(); i++) {
        const struct config_row *row = &config_rows[i];
        CHECK(row->text.values && row->text.help && row->apply);
        if (row->shown != SHOWN || !row->example || i == ROW_ACME_EAB_KID || i == ROW_ACME_FALLBACK_EAB_KID ||
            i == ROW_ENV_DIR || i == ROW_TLS_CERT_DIR)
            continue;
        struct buf entry = {0};
        buf_printf(&entry, "%s=%s", row->text.name, row->example);
        const char *needed = i == ROW_DRAIN_MIN           ? "PORTICO_DRAIN_TIMEOUT=20s"
                             : i == ROW_TLS_CLIENT_AUTH   ? "PORTICO_TLS_CLIENT_CA=-----BEGIN CERTIFICATE-----"
                             : i == ROW_PROXY_PROTOCOL_IN ? "PORTICO_TRUSTED_PROXIES=private"
                             : i == ROW_ACME_DNS_HOOK     ? "PORTICO_ACME_CHALLENGE=dns-01"
                                                          : "PATH=/bin";
        config_unref(
            load_good(ENTRIES(buf_cstr(&entry), needed, i == ROW_DOMAINS ? "PATH=/bin" : "PORTICO_DOMAINS=a.com")));
        buf_cleanup(&entry);
    }
}

static void *take_and_drop(void *arg)
{
    const struct config *config = arg;
    for (int i = 0; i < 10000; i++) {
        const struct config *mine = config_ref(config);
        CHECK(config_manages(mine, SLICE_LIT("a.com")));
        config_unref(mine);
    }
    config_unref(config);
    return NULL;
}

/* Readers on threads of their own; the last of all frees. */
static void test_references(void)
{
    struct config *config = load_good(ENTRIES("PORTICO_DOMAINS=a.com"));
    pthread_t threads[3];
    for (size_t i = 0; config && i < 3; i++) {
        config_ref(config);
        CHECK(pthread_create(&threads[i], NULL, take_and_drop, config) == 0);
    }
    config_unref(config);
    for (size_t i = 0; config && i < 3; i++)
        pthread_join(threads[i], NULL);
    CHECK(config_ref(NULL) == NULL);
    config_unref(NULL);
}

int main(void)
{
    RUN(test_defaults);
    RUN(test_everything_given);
    RUN(test_directories);
    RUN(test_mistakes_of_rows);
    RUN(test_rules);
    RUN(test_a_hooks_password);
    RUN(test_rules_of_issuing);
    RUN(test_storage_keys);
    RUN(test_on_demand_without_names);
    RUN(test_places_that_differ);
    RUN(test_no_names);
    RUN(test_names_from_certificate);
    RUN(test_all_at_once);
    RUN(test_table);
    RUN(test_references);
    return checks_done();
}
