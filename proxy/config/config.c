/* The one table. README's table, `portico help` and `portico check` are made from it. */
#include "config/apply.h"

#include "base/limits.h"
#include "config/cert_dir.h"

#define P "PORTICO_"
#define FIELD(member) offsetof(struct config, member)

/* Bounds of durations, in ms, and of sizes. */
#define S UINT64_C(1000)
#define M (60 * S)
#define H (60 * M)
#define D (24 * H)
#define KIB UINT64_C(1024)

static const struct parse_choice http_modes[] = {
    {"redirect", CONFIG_HTTP_REDIRECT}, {"serve", CONFIG_HTTP_SERVE}, {"off", CONFIG_HTTP_OFF}, {NULL, 0}};
static const struct parse_choice tls_policies[] = {
    {"intermediate", CONFIG_TLS_INTERMEDIATE}, {"modern", CONFIG_TLS_MODERN}, {NULL, 0}};
static const struct parse_choice client_auths[] = {{"off", CONFIG_CLIENT_AUTH_OFF},
                                                   {"optional", CONFIG_CLIENT_AUTH_OPTIONAL},
                                                   {"require", CONFIG_CLIENT_AUTH_REQUIRE},
                                                   {NULL, 0}};
static const struct parse_choice forwardeds[] = {{"x", CONFIG_FORWARDED_X},
                                                 {"rfc7239", CONFIG_FORWARDED_RFC7239},
                                                 {"both", CONFIG_FORWARDED_BOTH},
                                                 {"off", CONFIG_FORWARDED_OFF},
                                                 {NULL, 0}};
static const struct parse_choice proxy_outs[] = {{"off", CONFIG_PROXY_OUT_OFF},
                                                 {"v1", CONFIG_PROXY_OUT_V1},
                                                 {"v2", CONFIG_PROXY_OUT_V2},
                                                 {"v2-tls", CONFIG_PROXY_OUT_V2_TLS},
                                                 {NULL, 0}};
static const struct parse_choice traces[] = {
    {"off", CONFIG_TRACE_OFF}, {"pass", CONFIG_TRACE_PASS}, {"generate", CONFIG_TRACE_GENERATE}, {NULL, 0}};
static const struct parse_choice unknown_snis[] = {
    {"reject", CONFIG_SNI_REJECT}, {"default", CONFIG_SNI_DEFAULT}, {NULL, 0}};
static const struct parse_choice sandboxes[] = {{"auto", CONFIG_SANDBOX_AUTO}, {"off", CONFIG_SANDBOX_OFF}, {NULL, 0}};
static const struct parse_choice log_levels[] = {{"debug", LOG_LEVEL_DEBUG},
                                                 {"info", LOG_LEVEL_INFO},
                                                 {"warn", LOG_LEVEL_WARN},
                                                 {"error", LOG_LEVEL_ERROR},
                                                 {NULL, 0}};
static const struct parse_choice log_formats[] = {
    {"auto", CONFIG_LOG_AUTO}, {"text", CONFIG_LOG_TEXT}, {"json", CONFIG_LOG_JSON}, {NULL, 0}};
static const struct parse_choice access_logs[] = {{"json", CONFIG_ACCESS_JSON},
                                                  {"common", CONFIG_ACCESS_COMMON},
                                                  {"combined", CONFIG_ACCESS_COMBINED},
                                                  {"off", CONFIG_ACCESS_OFF},
                                                  {NULL, 0}};

/* A row is read as a block. */
/* clang-format off */
const struct config_row config_rows[NUM_ROWS] = {
    [ROW_DOMAINS] = {
        .text = {P "DOMAINS", NULL, "names, `a.com -> http://x:80`, `old.com => https://new.com`",
                 "the names to serve, each with a certificate; an item may name its own backends, or redirect",
                 CONFIG_RELOAD_LIVE},
        .example = "app.example.com", .apply = domains_apply},
    [ROW_UPSTREAM] = {
        .text = {P "UPSTREAM", "http://127.0.0.1:8000", "`http://h:p`, `h2c://h:p`, `tcp://h:p`, `unix:/path`, `unix+h2c:/path`; several",
                 "the backends of names without their own; h2c: HTTP/2; tcp: the bytes inside TLS as they are",
                 CONFIG_RELOAD_LIVE},
        .example = "http://app:8000", .apply = upstream_apply},
    [ROW_HTTP_LISTEN] = {
        .text = {P "HTTP_LISTEN", ":80", "`:80`, `[::]:80`, `127.0.0.1:8080`, `unix:/path`, `systemd:NAME`, `off`",
                 "where plain HTTP is answered: ACME challenges, then HTTP_MODE", CONFIG_RELOAD_REBIND},
        .example = ":80", .apply = apply_listen, .field = FIELD(listen.http)},
    [ROW_HTTPS_LISTEN] = {
        .text = {P "HTTPS_LISTEN", ":443", "as HTTP_LISTEN",
                 "where HTTPS is answered", CONFIG_RELOAD_REBIND},
        .example = ":443", .apply = apply_listen, .field = FIELD(listen.https)},
    [ROW_HTTP_MODE] = {
        .text = {P "HTTP_MODE", "redirect", "`redirect`, `serve`, `off`",
                 "plain HTTP is redirected to HTTPS, proxied too, or refused but for ACME challenges",
                 CONFIG_RELOAD_LIVE},
        .example = "redirect", .apply = apply_choice, .field = FIELD(listen.http_mode), .choices = http_modes},
    [ROW_HTTPS_PUBLIC] = {
        .text = {P "HTTPS_PUBLIC", ":443", "a port",
                 "the port that clients reach HTTPS at, for redirects", CONFIG_RELOAD_LIVE},
        .example = ":443", .apply = apply_port, .field = FIELD(listen.https_public_port)},
    [ROW_ADMIN_LISTEN] = {
        .text = {P "ADMIN_LISTEN", "127.0.0.1:9180", "`:9180`, `127.0.0.1:9180`, `unix:/path`, `off`",
                 "where health checks, metrics, status and the status page are answered", CONFIG_RELOAD_REBIND},
        .example = "127.0.0.1:9180", .apply = apply_listen, .field = FIELD(listen.admin)},
    [ROW_ADMIN_TOKEN] = {
        .text = {P "ADMIN_TOKEN", NULL, "16 to 256 letters, digits and `-._~+/=`",
                 "the bearer token of /drain, and beyond loopback of all but health checks and metrics",
                 CONFIG_RELOAD_LIVE},
        .apply = apply_token, .field = FIELD(admin.token), .shown = SECRET},
    [ROW_READY_REQUIRES] = {
        .text = {P "READY_REQUIRES", "listener", "`listener`, `upstream`, `cert`",
                 "what /readyz waits for: a backend of each group that accepts connections; a certificate for every "
                 "name, where each is validated through the DNS or has one of one's own",
                 CONFIG_RELOAD_LIVE},
        .example = "listener, upstream", .apply = apply_ready_requires},
    [ROW_STORAGE] = {
        .text = {P "STORAGE", "/var/lib/portico", "a directory",
                 "account key, certificates and back-off state; durable, of one process", CONFIG_RELOAD_RESTART},
        .example = "/var/lib/portico", .apply = apply_path, .field = FIELD(storage)},
    [ROW_STORAGE_KEY] = {
        .text = {P "STORAGE_KEY", NULL, "32 bytes in hex or base64 (`openssl rand -hex 32`)",
                 "private keys in STORAGE are sealed with it; without it nobody can read them, nor can Portico",
                 CONFIG_RELOAD_RESTART},
        .apply = apply_storage_key, .shown = SECRET},
    [ROW_ENV_DIR] = {
        .text = {P "ENV_DIR", NULL, "a directory",
                 "a file per variable, named as the variable; it is watched and read again on SIGHUP",
                 CONFIG_RELOAD_RESTART},
        .example = "/etc/portico", .apply = apply_env_dir},
    [ROW_ACME_DIRECTORY] = {
        .text = {P "ACME_DIRECTORY", "letsencrypt",
                 "URL, `letsencrypt`, `letsencrypt-staging`, `zerossl`, `google`, `internal`",
                 "the CA; a URL of no known public CA signs local names too; internal: the built-in CA alone",
                 CONFIG_RELOAD_RESTART},
        .example = "https://ca.internal/acme/acme/directory", .apply = apply_directory},
    [ROW_ACME_ACCEPT_TERMS] = {
        .text = {P "ACME_ACCEPT_TERMS", "false", "true, false",
                 "agrees to the CA's terms of service, without which most issue nothing", CONFIG_RELOAD_LIVE},
        .example = "true", .apply = apply_bool, .field = FIELD(acme.accept_terms)},
    [ROW_ACME_EMAIL] = {
        .text = {P "ACME_EMAIL", NULL, "an address",
                 "contact of the ACME account", CONFIG_RELOAD_LIVE},
        .example = "ops@example.com", .apply = apply_email},
    [ROW_ACME_EAB_KID] = {
        .text = {P "ACME_EAB_KID", NULL, "text",
                 "external account binding: the CA's key identifier", CONFIG_RELOAD_RESTART},
        .example = "kid-1", .apply = apply_eab_kid, .field = FIELD(acme.eab_kid)},
    [ROW_ACME_EAB_HMAC_KEY] = {
        .text = {P "ACME_EAB_HMAC_KEY", NULL, "base64url",
                 "external account binding: the CA's key; with `HS384:` or `HS512:` in front where the CA wants that",
                 CONFIG_RELOAD_RESTART},
        .apply = apply_eab_hmac_key, .field = FIELD(acme.eab_hmac_key), .shown = SECRET},
    [ROW_ACME_ACCOUNT_KEY] = {
        .text = {P "ACME_ACCOUNT_KEY", "generated", "PEM; `_FILE`: its path",
                 "the account's private key, to share it", CONFIG_RELOAD_RESTART},
        .apply = apply_pem_key, .field = FIELD(acme.account_key), .shown = SECRET},
    [ROW_ACME_FALLBACK] = {
        .text = {P "ACME_FALLBACK", NULL, "URL, `letsencrypt`, `zerossl`, `google`",
                 "another public CA, which is asked after three failures in a row that are the first one's doing",
                 CONFIG_RELOAD_RESTART},
        .example = "zerossl", .apply = apply_fallback},
    [ROW_ACME_FALLBACK_EAB_KID] = {
        .text = {P "ACME_FALLBACK_EAB_KID", NULL, "text",
                 "ACME_EAB_KID of the fallback", CONFIG_RELOAD_RESTART},
        .example = "kid-1", .apply = apply_eab_kid, .field = FIELD(acme.fallback_eab_kid)},
    [ROW_ACME_FALLBACK_EAB_HMAC_KEY] = {
        .text = {P "ACME_FALLBACK_EAB_HMAC_KEY", NULL, "base64url",
                 "ACME_EAB_HMAC_KEY of the fallback", CONFIG_RELOAD_RESTART},
        .apply = apply_eab_hmac_key, .field = FIELD(acme.fallback_eab_hmac_key), .shown = SECRET},
    [ROW_ACME_FALLBACK_ACCOUNT_KEY] = {
        .text = {P "ACME_FALLBACK_ACCOUNT_KEY", "generated", "PEM; `_FILE`: its path",
                 "ACME_ACCOUNT_KEY of the fallback", CONFIG_RELOAD_RESTART},
        .apply = apply_pem_key, .field = FIELD(acme.fallback_account_key), .shown = SECRET},
    [ROW_ACME_CA] = {
        .text = {P "ACME_CA", NULL, "PEM; `_FILE`: its path",
                 "roots of a private CA, added to the system's for talking to ACME_DIRECTORY", CONFIG_RELOAD_LIVE},
        .apply = apply_pem_certificates, .field = FIELD(acme.ca), .shown = SHOWN_AS_PEM},
    [ROW_ACME_CHALLENGE] = {
        .text = {P "ACME_CHALLENGE", "http-01,tls-alpn-01", "a list of `http-01`, `tls-alpn-01`, `dns-01`, `dns-persist-01`",
                 "how a name is validated, in order of preference; wildcards need one of the last two",
                 CONFIG_RELOAD_LIVE},
        .example = "tls-alpn-01, http-01", .apply = apply_challenges},
    [ROW_ACME_DNS_HOOK] = {
        .text = {P "ACME_DNS_HOOK", NULL, "the path of a program, a URL",
                 "called for dns-01, to present a TXT record and to remove it", CONFIG_RELOAD_LIVE},
        .example = "/usr/local/bin/dns-hook", .apply = apply_dns_hook, .field = FIELD(acme.dns_hook)},
    [ROW_ACME_PROFILE] = {
        .text = {P "ACME_PROFILE", NULL, "a list of the CA's profiles",
                 "the first that the CA offers is ordered; addresses take `shortlived` by themselves",
                 CONFIG_RELOAD_LIVE},
        .example = "tlsserver", .apply = apply_profiles},
    [ROW_ACME_KEY_TYPE] = {
        .text = {P "ACME_KEY_TYPE", "p256", "`p256`, `p384`, `rsa2048`, `rsa4096`; one ECDSA and one RSA",
                 "keys of certificates; with two, each client gets what it can verify", CONFIG_RELOAD_LIVE},
        .example = "p256, rsa2048", .apply = apply_key_types},
    [ROW_ACME_PREFERRED_CHAIN] = {
        .text = {P "ACME_PREFERRED_CHAIN", NULL, "a common name",
                 "of the topmost issuer of the chain that is served, where the CA offers several",
                 CONFIG_RELOAD_LIVE},
        .example = "ISRG Root X1", .apply = apply_line, .field = FIELD(acme.preferred_chain)},
    [ROW_ACME_RENEW_AT] = {
        .text = {P "ACME_RENEW_AT", "auto", "`auto`, `2/3`, `70%`",
                 "the part of a certificate's lifetime after which it is renewed; auto: 2/3, or 1/2 under ten days",
                 CONFIG_RELOAD_LIVE},
        .example = "2/3", .apply = apply_renew_at, .field = FIELD(acme.renew_at_permille)},
    [ROW_ACME_LEDGER] = {
        .text = {P "ACME_LEDGER", "on", "on, off",
                 "orders are paced by Let's Encrypt's limits; off: for accounts with raised limits",
                 CONFIG_RELOAD_LIVE},
        .example = "off", .apply = apply_bool, .field = FIELD(acme.ledger)},
    [ROW_ON_DEMAND_ASK] = {
        .text = {P "ON_DEMAND_ASK", "off", "`off`, a URL",
                 "asked (`?domain=`, 2xx allows) before a name outside DOMAINS gets a certificate",
                 CONFIG_RELOAD_LIVE},
        .example = "http://app:8000/may-have-certificate", .apply = apply_ask_url, .field = FIELD(on_demand_ask)},
    [ROW_INTERNAL_CA] = {
        .text = {P "INTERNAL_CA", "generated", "PEM; `_FILE`: its path",
                 "the local CA's root, to share it; `portico ca` prints it", CONFIG_RELOAD_LIVE},
        .apply = apply_pem_certificates, .field = FIELD(internal_ca.cert), .shown = SHOWN_AS_PEM},
    [ROW_INTERNAL_CA_KEY] = {
        .text = {P "INTERNAL_CA_KEY", "generated", "PEM; `_FILE`: its path",
                 "the private key of INTERNAL_CA", CONFIG_RELOAD_LIVE},
        .apply = apply_pem_key, .field = FIELD(internal_ca.key), .shown = SECRET},
    [ROW_TLS_CERT] = {
        .text = {P "TLS_CERT", NULL, "PEM; `_FILE`: its path",
                 "a certificate of one's own with its chain; names that it covers are never ordered",
                 CONFIG_RELOAD_LIVE},
        .apply = apply_pem_certificates, .field = FIELD(tls.cert), .shown = SHOWN_AS_PEM},
    [ROW_TLS_KEY] = {
        .text = {P "TLS_KEY", NULL, "PEM; `_FILE`: its path",
                 "the private key of TLS_CERT", CONFIG_RELOAD_LIVE},
        .apply = apply_pem_key, .field = FIELD(tls.key), .shown = SECRET},
    [ROW_TLS_CERT_DIR] = {
        .text = {P "TLS_CERT_DIR", NULL, "a directory",
                 "more certificates of one's own: NAME.crt and NAME.key, NAME.pem, or tls.crt and tls.key or fullchain.pem and "
                 "privkey.pem in a directory each; it is watched",
                 CONFIG_RELOAD_LIVE},
        .example = "/etc/portico/certs", .apply = cert_dir_apply, .field = FIELD(tls.cert_dir)},
    [ROW_EXPORT_DIR] = {
        .text = {P "EXPORT_DIR", NULL, "a directory",
                 "chain and key of each name as NAME/fullchain.pem and NAME/privkey.pem for other programs, replaced at every "
                 "renewal",
                 CONFIG_RELOAD_RESTART},
        .example = "/var/lib/portico-export", .apply = apply_path, .field = FIELD(export_dir)},
    [ROW_TLS_POLICY] = {
        .text = {P "TLS_POLICY", "intermediate", "`intermediate`, `modern`",
                 "Mozilla's policies: TLS 1.2 and 1.3, or 1.3 alone", CONFIG_RELOAD_RESTART},
        .example = "modern", .apply = apply_choice, .field = FIELD(tls.policy), .choices = tls_policies},
    [ROW_TLS_CLIENT_CA] = {
        .text = {P "TLS_CLIENT_CA", NULL, "PEM; `_FILE`: its path",
                 "roots of the certificates that clients show", CONFIG_RELOAD_RESTART},
        .apply = apply_pem_certificates, .field = FIELD(tls.client_ca), .shown = SHOWN_AS_PEM},
    [ROW_TLS_CLIENT_AUTH] = {
        .text = {P "TLS_CLIENT_AUTH", "off", "`off`, `optional`, `require`",
                 "whether clients show a certificate; its subject is passed on to the backend", CONFIG_RELOAD_RESTART},
        .example = "require", .apply = apply_choice, .field = FIELD(tls.client_auth), .choices = client_auths},
    [ROW_TLS_UNKNOWN_SNI] = {
        .text = {P "TLS_UNKNOWN_SNI", "reject", "`reject`, `default`",
                 "what a client gets that asks for another name, or for none", CONFIG_RELOAD_LIVE},
        .example = "default", .apply = apply_choice, .field = FIELD(tls.unknown_sni), .choices = unknown_snis},
    [ROW_TLS_TICKET_ROTATE] = {
        .text = {P "TLS_TICKET_ROTATE", "12h", "duration; 0: no tickets",
                 "age at which the key of session tickets is replaced", CONFIG_RELOAD_LIVE},
        .example = "12h", .apply = apply_duration_s, .field = FIELD(tls.ticket_rotate_s),
        .min = S, .max = 7 * D, .zero_allowed = true},
    [ROW_HSTS] = {
        .text = {P "HSTS", "off", "`off`, `1y`, `1y; includeSubDomains; preload`",
                 "Strict-Transport-Security on answers over HTTPS", CONFIG_RELOAD_LIVE},
        .example = "1y; includeSubDomains", .apply = apply_hsts, .field = FIELD(tls.hsts)},
    [ROW_HTTP2] = {
        .text = {P "HTTP2", "true", "true, false",
                 "HTTP/2 to clients; HTTP/1.1 is always offered", CONFIG_RELOAD_RESTART},
        .example = "false", .apply = apply_bool, .field = FIELD(client.http2)},
    [ROW_TRUSTED_PROXIES] = {
        .text = {P "TRUSTED_PROXIES", NULL, "addresses, ranges (`10.0.0.0/8`), `private`",
                 "proxies in front of this one, whose word about the client is believed; read right to left",
                 CONFIG_RELOAD_LIVE},
        .example = "private, 203.0.113.0/24", .apply = ranges_apply, .field = FIELD(identity.trusted_proxies)},
    [ROW_FORWARDED] = {
        .text = {P "FORWARDED", "x", "`x`, `rfc7239`, `both`, `off`",
                 "how the backend is told of the client: X-Forwarded-* and X-Real-IP, Forwarded, both, or not",
                 CONFIG_RELOAD_LIVE},
        .example = "both", .apply = apply_choice, .field = FIELD(identity.forwarded), .choices = forwardeds},
    [ROW_PROXY_PROTOCOL_IN] = {
        .text = {P "PROXY_PROTOCOL_IN", "off", "on, off",
                 "connections from TRUSTED_PROXIES begin with a PROXY header, v1 or v2", CONFIG_RELOAD_RESTART},
        .example = "on", .apply = apply_bool, .field = FIELD(identity.proxy_protocol_in)},
    [ROW_PROXY_PROTOCOL_OUT] = {
        .text = {P "PROXY_PROTOCOL_OUT", "off", "`off`, `v1`, `v2`, `v2-tls`",
                 "connections to backends begin with a PROXY header; v2-tls: with what is known of the client's TLS",
                 CONFIG_RELOAD_LIVE},
        .example = "v2", .apply = apply_choice, .field = FIELD(identity.proxy_protocol_out), .choices = proxy_outs},
    [ROW_UPSTREAM_CONNECT_TIMEOUT] = {
        .text = {P "UPSTREAM_CONNECT_TIMEOUT", "3s", "duration",
                 "limit of one connection attempt to a backend", CONFIG_RELOAD_LIVE},
        .example = "3s", .apply = apply_duration_ms, .field = FIELD(upstream.connect_timeout_ms),
        .min = 10, .max = 10 * M},
    [ROW_UPSTREAM_WAIT] = {
        .text = {P "UPSTREAM_WAIT", "5s", "duration; 0: do not wait",
                 "how long a request is held while the backend starts or its name does not resolve",
                 CONFIG_RELOAD_LIVE},
        .example = "5s", .apply = apply_duration_ms, .field = FIELD(upstream.wait_ms), .min = 0, .max = 10 * M},
    [ROW_UPSTREAM_RESPONSE_TIMEOUT] = {
        .text = {P "UPSTREAM_RESPONSE_TIMEOUT", "60s", "duration",
                 "how long the head of the backend's answer may take", CONFIG_RELOAD_LIVE},
        .example = "60s", .apply = apply_duration_ms, .field = FIELD(upstream.response_timeout_ms),
        .min = 10, .max = D},
    [ROW_UPSTREAM_IDLE_TIMEOUT] = {
        .text = {P "UPSTREAM_IDLE_TIMEOUT", "4s", "duration",
                 "how long an idle connection to a backend is kept; less than the backend does (Node: 5s)",
                 CONFIG_RELOAD_LIVE},
        .example = "4s", .apply = apply_duration_ms, .field = FIELD(upstream.idle_timeout_ms),
        .min = 10, .max = H},
    [ROW_UPSTREAM_MAX_CONNS] = {
        .text = {P "UPSTREAM_MAX_CONNS", "0", "number; 0: no limit",
                 "connections per backend and worker; further requests wait for one", CONFIG_RELOAD_LIVE},
        .example = "100", .apply = apply_count, .field = FIELD(upstream.max_conns), .min = 0, .max = 1000000},
    [ROW_UPSTREAM_MAX_IDLE] = {
        .text = {P "UPSTREAM_MAX_IDLE", "64", "number",
                 "idle connections kept per backend and worker; more only for a second", CONFIG_RELOAD_LIVE},
        .example = "64", .apply = apply_count, .field = FIELD(upstream.max_idle), .min = 0, .max = 65535},
    [ROW_UPSTREAM_RETRIES] = {
        .text = {P "UPSTREAM_RETRIES", "1", "number",
                 "further attempts of a request that can safely be sent again", CONFIG_RELOAD_LIVE},
        .example = "1", .apply = apply_count, .field = FIELD(upstream.retries), .min = 0, .max = 10},
    [ROW_UPSTREAM_DNS_TTL] = {
        .text = {P "UPSTREAM_DNS_TTL", "30s", "duration",
                 "how long a backend's addresses are used before its name is resolved again", CONFIG_RELOAD_LIVE},
        .example = "30s", .apply = apply_duration_ms, .field = FIELD(upstream.dns_ttl_ms),
        .min = 100, .max = D},
    [ROW_UPSTREAM_HEALTH] = {
        .text = {P "UPSTREAM_HEALTH", "off", "`off`, a path",
                 "asked of each backend every 5 s; one that twice gives no 2xx or 3xx gets no requests until it does",
                 CONFIG_RELOAD_LIVE},
        .example = "/healthz", .apply = apply_health_path, .field = FIELD(upstream.health_path)},
    [ROW_CLIENT_HEADER_TIMEOUT] = {
        .text = {P "CLIENT_HEADER_TIMEOUT", "10s", "duration",
                 "limit for a whole request head", CONFIG_RELOAD_LIVE},
        .example = "10s", .apply = apply_duration_ms, .field = FIELD(client.header_timeout_ms),
        .min = 100, .max = 10 * M},
    [ROW_CLIENT_IDLE_TIMEOUT] = {
        .text = {P "CLIENT_IDLE_TIMEOUT", "60s", "duration",
                 "how long a connection is kept between requests", CONFIG_RELOAD_LIVE},
        .example = "60s", .apply = apply_duration_ms, .field = FIELD(client.idle_timeout_ms),
        .min = 100, .max = D},
    [ROW_STREAM_IDLE_TIMEOUT] = {
        .text = {P "STREAM_IDLE_TIMEOUT", "1h", "duration",
                 "how long a WebSocket, an event stream or a tcp:// connection may be silent", CONFIG_RELOAD_LIVE},
        .example = "1h", .apply = apply_duration_ms, .field = FIELD(client.stream_idle_timeout_ms),
        .min = 100, .max = 7 * D},
    [ROW_MAX_REQUEST_BODY] = {
        .text = {P "MAX_REQUEST_BODY", "0", "size; 0: no limit",
                 "the longest request body; bodies stream, they are not buffered", CONFIG_RELOAD_LIVE},
        .example = "10m", .apply = apply_size_u64, .field = FIELD(client.max_request_body_bytes),
        .min = 0, .max = INT64_MAX},
    [ROW_MAX_HEADER] = {
        .text = {P "MAX_HEADER", "32k", "size",
                 "the longest request head", CONFIG_RELOAD_LIVE},
        .example = "32k", .apply = apply_size, .field = FIELD(client.max_header_bytes),
        .min = KIB, .max = 256 * KIB},
    [ROW_MAX_CONNS] = {
        .text = {P "MAX_CONNS", "auto", "`auto`, number",
                 "client connections at a time; auto: what the limit of open files allows", CONFIG_RELOAD_LIVE},
        .example = "10000", .apply = apply_count_or_auto, .field = FIELD(client.max_conns),
        .min = 1, .max = 10000000},
    [ROW_MAX_CONN_AGE] = {
        .text = {P "MAX_CONN_AGE", "0", "duration; 0: no limit",
                 "age at which a client's connection is ended between requests", CONFIG_RELOAD_LIVE},
        .example = "1h", .apply = apply_duration_ms, .field = FIELD(client.max_conn_age_ms),
        .min = S, .max = 365 * D, .zero_allowed = true},
    [ROW_COMPRESS] = {
        .text = {P "COMPRESS", "off", "`off`, a list of `gzip`, `br`, `zstd`",
                 "text that the backend left plain is compressed, in what a client likes best, ties by this order; an answer that "
                 "mixes secrets with what was asked (BREACH) must say `Cache-Control: no-transform`",
                 CONFIG_RELOAD_LIVE},
        .example = "zstd, br, gzip", .apply = apply_encodings},
    [ROW_BASIC_AUTH] = {
        .text = {P "BASIC_AUTH", NULL, "`name:bcrypt-hash`, several (`htpasswd -nB name`)",
                 "who may come in, by password; Authorization is passed on to the backend, as NGINX and Caddy do",
                 CONFIG_RELOAD_LIVE},
        .apply = users_apply, .shown = SECRET},
    [ROW_ALLOW_IPS] = {
        .text = {P "ALLOW_IPS", NULL, "addresses, ranges (`10.0.0.0/8`), `private`",
                 "clients elsewhere get 403; TRUSTED_PROXIES decides who the client is", CONFIG_RELOAD_LIVE},
        .example = "private, 203.0.113.0/24", .apply = ranges_apply, .field = FIELD(policy.allow_ips)},
    [ROW_ERROR_PAGE] = {
        .text = {P "ERROR_PAGE", NULL, "HTML; `_FILE`: its path",
                 "the page of our own 502, 503 and 504; a client that asks for JSON gets JSON", CONFIG_RELOAD_LIVE},
        .apply = apply_html, .field = FIELD(policy.error_page), .shown = SHOWN_AS_HTML},
    [ROW_LOG_LEVEL] = {
        .text = {P "LOG_LEVEL", "info", "`debug`, `info`, `warn`, `error`",
                 "the least level that is logged", CONFIG_RELOAD_LIVE},
        .example = "debug", .apply = apply_choice, .field = FIELD(log.level), .choices = log_levels},
    [ROW_LOG_FORMAT] = {
        .text = {P "LOG_FORMAT", "auto", "`auto`, `text`, `json`",
                 "form of the log; auto: text on a terminal, JSON elsewhere", CONFIG_RELOAD_RESTART},
        .example = "json", .apply = apply_choice, .field = FIELD(log.format), .choices = log_formats},
    [ROW_ACCESS_LOG] = {
        .text = {P "ACCESS_LOG", "json", "`json`, `common`, `combined`, `off`",
                 "form of the access log, one line per request", CONFIG_RELOAD_LIVE},
        .example = "combined", .apply = apply_choice, .field = FIELD(log.access), .choices = access_logs},
    [ROW_REQUEST_ID] = {
        .text = {P "REQUEST_ID", "generate", "`off`, `pass`, `generate`",
                 "X-Request-ID: none, the client's, or one of ours unless a trusted proxy sent one", CONFIG_RELOAD_LIVE},
        .example = "pass", .apply = apply_choice, .field = FIELD(identity.request_id), .choices = traces},
    [ROW_TRACEPARENT] = {
        .text = {P "TRACEPARENT", "pass", "`off`, `pass`, `generate`",
                 "the W3C's trace context: none, the client's, or one of ours where it sent none", CONFIG_RELOAD_LIVE},
        .example = "generate", .apply = apply_choice, .field = FIELD(identity.traceparent), .choices = traces},
    [ROW_WORKERS] = {
        .text = {P "WORKERS", "auto", "`auto`, number",
                 "worker threads; auto: the processors that the cgroup allows, 16 at most", CONFIG_RELOAD_RESTART},
        .example = "2", .apply = apply_count_or_auto, .field = FIELD(workers), .min = 1, .max = 256},
    [ROW_DRAIN_MIN] = {
        .text = {P "DRAIN_MIN", "0s", "duration",
                 "new connections are accepted for at least so long after TERM", CONFIG_RELOAD_LIVE},
        .example = "10s", .apply = apply_duration_ms, .field = FIELD(drain.min_ms), .min = 0, .max = D},
    [ROW_DRAIN_QUIET] = {
        .text = {P "DRAIN_QUIET", "2s", "duration",
                 "and until none came for so long, but for three quarters of DRAIN_TIMEOUT at the most", CONFIG_RELOAD_LIVE},
        .example = "2s", .apply = apply_duration_ms, .field = FIELD(drain.quiet_ms), .min = 0, .max = D},
    [ROW_DRAIN_TIMEOUT] = {
        .text = {P "DRAIN_TIMEOUT", "8s", "duration",
                 "what is in flight so long after TERM is cut", CONFIG_RELOAD_LIVE},
        .example = "25s", .apply = apply_duration_ms, .field = FIELD(drain.timeout_ms), .min = 0, .max = D},
    [ROW_SANDBOX] = {
        .text = {P "SANDBOX", "auto", "`auto`, `off`",
                 "gives up what a proxy never needs (files elsewhere, other programs), by Landlock and seccomp where the kernel has them",
                 CONFIG_RELOAD_RESTART},
        .example = "off", .apply = apply_choice, .field = FIELD(sandbox), .choices = sandboxes},
};
/* clang-format on */

_Static_assert(LIMIT_HEAD_BYTES == 32 * KIB, "the default of MAX_HEADER says 32k");

void rows_name(const char *out_names[NUM_ROWS])
{
    for (enum row i = 0; i < NUM_ROWS; i++)
        out_names[i] = config_rows[i].text.name;
}

size_t config_num_rows(void)
{
    return NUM_ROWS;
}

struct config_row_text config_row_at(size_t i)
{
    return config_rows[i].text;
}

const char *config_reload_text(enum config_reload reload)
{
    switch (reload) {
    case CONFIG_RELOAD_LIVE: return "live";
    case CONFIG_RELOAD_REBIND: return "rebind";
    case CONFIG_RELOAD_RESTART: return "restart";
    }
    return "unknown";
}
