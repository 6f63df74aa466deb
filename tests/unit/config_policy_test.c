/* Who the client is, who may come in, what is sent: the rows about them, their refusals in full, and the rules between
 * them and others. */
#include "check.h"

#include "base/limits.h"
#include "config/build.h"

#define ENTRIES(...) ((const char *const[]){__VA_ARGS__, NULL})
#define HASH "abcdefghijklmnopqrstuv0123456789ABCDEFGHIJKLMNOPQRSTU"
#define BCRYPT "$2b$10$" HASH
#define CLIENT_CA "PORTICO_TLS_CLIENT_CA=-----BEGIN CERTIFICATE-----"
#define DOMAINS "PORTICO_DOMAINS=a.test"

/* The mistakes as a person reads them; empty where there are none, and then *out_config is the caller's. */
static const char *load(const char *const *entries, struct buf *out, struct config **out_config)
{
    struct config_mistakes mistakes = {0};
    out->len = 0;
    *out_config = NULL;
    if (!config_load(entries, out_config, &mistakes))
        config_mistakes_print(&mistakes, out);
    config_mistakes_cleanup(&mistakes);
    return buf_cstr(out);
}

static void check_mistakes(const char *const *entries, const char *want)
{
    struct buf text = {0};
    struct config *config;
    CHECK_STR(load(entries, &text, &config), want);
    config_unref(config);
    buf_cleanup(&text);
}

static struct config *load_good(const char *const *entries)
{
    struct buf text = {0};
    struct config *config;
    CHECK_STR(load(entries, &text, &config), "");
    buf_cleanup(&text);
    return config;
}

static bool list_has(const struct cidr_list *list, const char *address)
{
    struct ip ip;
    CHECK(ip_parse(slice_str(address), &ip));
    return cidr_list_has(list, &ip);
}

/* ---- ranges ---- */

static void ranges_are_split_at_commas_newlines_and_blanks(void)
{
    struct config *config =
        load_good(ENTRIES("PORTICO_ALLOW_IPS=192.0.2.0/24, 2001:db8::/32\n203.0.113.7 198.51.100.1"));
    if (!config)
        return;
    CHECK_INT(config->policy.allow_ips.num, 4);
    CHECK(list_has(&config->policy.allow_ips, "192.0.2.9") && list_has(&config->policy.allow_ips, "2001:db8:1::"));
    CHECK(list_has(&config->policy.allow_ips, "203.0.113.7") && !list_has(&config->policy.allow_ips, "203.0.113.8"));
    CHECK(config->policy.allow_ips_given && config->identity.trusted_proxies.num == 0);
    config_unref(config);
}

static void private_is_what_no_packet_from_the_internet_has(void)
{
    static const char *const inside[] = {"10.255.0.1",  "172.16.0.1",      "172.31.255.255",  "192.168.9.9",
                                         "127.0.0.1",   "169.254.1.1",     "100.64.0.1",      "100.127.255.255",
                                         "::1",         "fe80::1",         "febf::1",         "fc00::1",
                                         "fdff:ffff::", "::ffff:10.0.0.1", "::ffff:127.0.0.1"};
    static const char *const outside[] = {"11.0.0.1",    "172.32.0.1", "172.15.255.255", "192.169.0.1", "128.0.0.1",
                                          "100.128.0.1", "100.63.0.1", "0.0.0.0",        "::",          "::2",
                                          "fec0::1",     "fe00::1",    "2001:db8::1",    "203.0.113.1"};
    struct config *config = load_good(ENTRIES("PORTICO_TRUSTED_PROXIES=Private"));
    for (size_t i = 0; config && i < sizeof inside / sizeof inside[0]; i++)
        CHECK(list_has(&config->identity.trusted_proxies, inside[i]));
    for (size_t i = 0; config && i < sizeof outside / sizeof outside[0]; i++)
        CHECK(!list_has(&config->identity.trusted_proxies, outside[i]));
    config_unref(config);
}

static void a_bad_range_is_refused_with_what_was_meant(void)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"10.1.2.3/8", "has bits behind its prefix: 10.0.0.0/8 is the range, 10.1.2.3 the address alone"},
        {"172.16.99.1/12", "has bits behind its prefix: 172.16.0.0/12 is the range, 172.16.99.1 the address alone"},
        {"2001:db8::1/32", "has bits behind its prefix: 2001:db8::/32 is the range, 2001:db8::1 the address alone"},
        {"10.0.0.1/0", "has bits behind its prefix: 0.0.0.0/0 is the range, 10.0.0.1 the address alone"},
        {"10.0.0.0/33", "has a prefix that is no number from 0 to 32"},
        {"10.0.0.0/", "has a prefix that is no number from 0 to 32"},
        {"::/129", "has a prefix that is no number from 0 to 128"},
        {"::/0008", "has a prefix that is no number from 0 to 128"},
        {"lb.internal", "is neither an address nor a range like 10.0.0.0/8"},
        {"10.0.0.0-10.0.0.9", "is neither an address nor a range like 10.0.0.0/8"},
        {"10.0.0/24", "is neither an address nor a range like 10.0.0.0/8"},
        {"privat", "is neither an address nor a range like 10.0.0.0/8"},
        {"/8", "is neither an address nor a range like 10.0.0.0/8"},
        {",", "names no address"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf entry = {0}, want = {0};
        buf_printf(&entry, "PORTICO_ALLOW_IPS=%s", rows[i].text);
        buf_printf(&want, "PORTICO_ALLOW_IPS: `%s` %s\n    for example: PORTICO_ALLOW_IPS=private, 203.0.113.0/24\n",
                   rows[i].text, rows[i].why);
        check_mistakes(ENTRIES(buf_cstr(&entry)), buf_cstr(&want));
        buf_cleanup(&entry);
        buf_cleanup(&want);
    }
}

/* ---- passwords ---- */

static void users_are_names_with_bcrypt_hashes(void)
{
    struct config *config = load_good(
        ENTRIES("PORTICO_BASIC_AUTH= ann:$2b$10$" HASH ",\r\nj\xc3\xbcrgen o:$2y$04$" HASH " \r\n\n,bob:$2a$16$" HASH));
    if (!config)
        return;
    CHECK_INT(config->policy.num_users, 3);
    CHECK_STR(config->policy.users[0].name.ptr, "ann"); /* each text ends in a NUL: crypt asks for one */
    CHECK_STR(config->policy.users[0].hash.ptr, "$2b$10$" HASH);
    CHECK_STR(config->policy.users[1].name.ptr, "j\xc3\xbcrgen o");
    CHECK_STR(config->policy.users[1].hash.ptr, "$2y$04$" HASH);
    CHECK_STR(config->policy.users[2].name.ptr, "bob");
    CHECK_STR(config->policy.users[2].hash.ptr, "$2a$16$" HASH);
    CHECK_INT(config->policy.users[2].hash.len, 60);
    CHECK_SLICE(config->values[ROW_BASIC_AUTH].text, "(secret, 206 bytes)");
    config_unref(config);
}

#define NO_BCRYPT                                                                                               \
    "has no bcrypt hash behind its name (60 characters that begin with $2b$ or $2y$; htpasswd -nB makes one). " \
    "Compose takes $ for its own: write $$ there, or use PORTICO_BASIC_AUTH_FILE"

static void a_bad_entry_is_named_by_its_number_and_never_shown(void)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"hunter2", "entry 1 is not of the form name:hash"},
        {"hunter2:secret", "entry 1 " NO_BCRYPT},
        {"hunter2:", "entry 1 " NO_BCRYPT},
        {"hunter2:b$10$" HASH, "entry 1 " NO_BCRYPT}, /* what compose leaves of it */
        {"hunter2:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "entry 1 " NO_BCRYPT},
        {"hunter2:$apr1$abcdefgh$abcdefghijklmnopqrstuv", "entry 1 " NO_BCRYPT},
        {"hunter2:$2x$10$" HASH, "entry 1 " NO_BCRYPT},
        {"hunter2:$2b$03$" HASH, "entry 1 " NO_BCRYPT},
        {"hunter2:$2b$32$" HASH, "entry 1 " NO_BCRYPT},
        {"hunter2:$2b$1a$" HASH, "entry 1 " NO_BCRYPT},
        {"hunter2:$2b$10$" HASH "x", "entry 1 " NO_BCRYPT},
        {"hunter2:$2b$10$=bcdefghijklmnopqrstuv0123456789ABCDEFGHIJKLMNOPQRSTU", "entry 1 " NO_BCRYPT},
        {"hunter2:$$2b$$10$$" HASH, "entry 1 has doubled $ signs in its hash: only compose files want them so"},
        {"hunter2:$2b$17$" HASH, "entry 1 has a hash of a cost above 16: each log-in would take many seconds"},
        {":" BCRYPT, "entry 1 has no name in front of its colon"},
        {"a\tb:" BCRYPT, "entry 1 has a name with a control character, or one that is not UTF-8"},
        {"a\xff:" BCRYPT, "entry 1 has a name with a control character, or one that is not UTF-8"},
        {"ann:" BCRYPT ",ann:" BCRYPT, "entry 2 has the name of an earlier one"},
        {",,", "holds separators alone and no entry"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf entry = {0}, want = {0};
        buf_printf(&entry, "PORTICO_BASIC_AUTH=%s", rows[i].text);
        buf_printf(&want, "PORTICO_BASIC_AUTH: `(secret, %zu bytes)` %s\n", strlen(rows[i].text), rows[i].why);
        check_mistakes(ENTRIES(buf_cstr(&entry)), buf_cstr(&want));
        CHECK(!strstr(buf_cstr(&want), "hunter2") && !strstr(buf_cstr(&want), HASH));
        buf_cleanup(&entry);
        buf_cleanup(&want);
    }
}

static void a_password_beside_a_tcp_backend_is_a_mistake(void)
{
    check_mistakes(ENTRIES("PORTICO_DOMAINS=a.test, b.test -> tcp://db:1", "PORTICO_UPSTREAM=http://a",
                           "PORTICO_BASIC_AUTH=ann:" BCRYPT),
                   "PORTICO_BASIC_AUTH asks for passwords in HTTP, but tcp://db:1 takes raw bytes: it would be open to "
                   "all\n");
}

/* ---- encodings, page, path ---- */

static void encodings_keep_their_order(void)
{
    struct config *config = load_good(ENTRIES("PORTICO_COMPRESS=zstd, GZIP\nbr"));
    if (!config)
        return;
    CHECK_INT(config->policy.num_compress, 3);
    CHECK_INT(config->policy.compress[0], CONFIG_ENCODING_ZSTD);
    CHECK_INT(config->policy.compress[1], CONFIG_ENCODING_GZIP);
    CHECK_INT(config->policy.compress[2], CONFIG_ENCODING_BR);
    config_unref(config);
    config = load_good(ENTRIES("PORTICO_COMPRESS=OFF"));
    CHECK(config && config->policy.num_compress == 0);
    config_unref(config);
}

static void bad_encodings_are_refused(void)
{
#define EXAMPLE "\n    for example: PORTICO_COMPRESS=zstd, br, gzip\n"
    check_mistakes(ENTRIES("PORTICO_COMPRESS=gzip,gzip"), "PORTICO_COMPRESS: `gzip` stands twice" EXAMPLE);
    check_mistakes(ENTRIES("PORTICO_COMPRESS=deflate"),
                   "PORTICO_COMPRESS: `deflate` is none of gzip, br, zstd, nor off alone" EXAMPLE);
    check_mistakes(ENTRIES("PORTICO_COMPRESS=off,br"),
                   "PORTICO_COMPRESS: `off` is none of gzip, br, zstd, nor off alone" EXAMPLE);
    check_mistakes(ENTRIES("PORTICO_COMPRESS=,"), "PORTICO_COMPRESS: `,` names no encoding" EXAMPLE);
    check_mistakes(ENTRIES("PORTICO_COMPRESS=gzip,gzip,br,zstd,br"),
                   "PORTICO_COMPRESS: `gzip` stands twice" EXAMPLE "PORTICO_COMPRESS: `br` stands twice" EXAMPLE);
}

static void the_error_page_is_html_of_64k_at_most(void)
{
    struct buf entry = {0};
    buf_append_str(&entry, "PORTICO_ERROR_PAGE=<p>");
    while (entry.len < LIMIT_ERROR_PAGE_BYTES + strlen("PORTICO_ERROR_PAGE="))
        buf_append_char(&entry, 'x');
    struct config *config = load_good(ENTRIES(buf_cstr(&entry)));
    CHECK(config && config->policy.error_page.len == LIMIT_ERROR_PAGE_BYTES);
    config_unref(config);
    buf_append_char(&entry, 'x');
    check_mistakes(ENTRIES(buf_cstr(&entry)), "PORTICO_ERROR_PAGE: `(HTML, 65537 bytes)` is longer than 64k\n");
    buf_cleanup(&entry);
    check_mistakes(ENTRIES("PORTICO_ERROR_PAGE=/etc/page.html"),
                   "PORTICO_ERROR_PAGE: `(HTML, 14 bytes)` is a path, not HTML: give it to the "
                   "variable that ends in _FILE\n");
    check_mistakes(ENTRIES("PORTICO_ERROR_PAGE=Sorry"), "PORTICO_ERROR_PAGE: `(HTML, 5 bytes)` holds no HTML\n");
    check_mistakes(ENTRIES("PORTICO_ERROR_PAGE=<p>\xe9"),
                   "PORTICO_ERROR_PAGE: `(HTML, 4 bytes)` is not UTF-8, as which it would be sent\n");
}

static void a_health_check_needs_a_path(void)
{
    struct config *config = load_good(ENTRIES("PORTICO_UPSTREAM_HEALTH=OFF"));
    CHECK(config && config->upstream.health_path.len == 0);
    config_unref(config);
#define PATH_EXAMPLE "\n    for example: PORTICO_UPSTREAM_HEALTH=/healthz\n"
    check_mistakes(
        ENTRIES("PORTICO_UPSTREAM_HEALTH=healthz"),
        "PORTICO_UPSTREAM_HEALTH: `healthz` is neither off nor a path that begins with a slash" PATH_EXAMPLE);
    check_mistakes(ENTRIES("PORTICO_UPSTREAM_HEALTH=/a b"),
                   "PORTICO_UPSTREAM_HEALTH: `/a b` has a blank, a # or another character that is written as %XX in a "
                   "path" PATH_EXAMPLE);
    check_mistakes(ENTRIES("PORTICO_UPSTREAM_HEALTH=/a\r\nX: y"),
                   "PORTICO_UPSTREAM_HEALTH: `/a\\x0d\\nX: y` has a blank, a # or another character that is written as "
                   "%XX in a path" PATH_EXAMPLE);
}

static void other_bad_values_name_the_good_ones(void)
{
    check_mistakes(ENTRIES("PORTICO_FORWARDED=on"), "PORTICO_FORWARDED: `on` is none of x, rfc7239, both, off\n"
                                                    "    for example: PORTICO_FORWARDED=both\n");
    check_mistakes(ENTRIES("PORTICO_PROXY_PROTOCOL_OUT=on"),
                   "PORTICO_PROXY_PROTOCOL_OUT: `on` is none of off, v1, v2, v2-tls\n"
                   "    for example: PORTICO_PROXY_PROTOCOL_OUT=v2\n");
    check_mistakes(ENTRIES("PORTICO_REQUEST_ID=true"), "PORTICO_REQUEST_ID: `true` is none of off, pass, generate\n"
                                                       "    for example: PORTICO_REQUEST_ID=pass\n");
    check_mistakes(ENTRIES("PORTICO_UPSTREAM_MAX_CONNS=1000001"),
                   "PORTICO_UPSTREAM_MAX_CONNS: `1000001` is not between 0 and 1000000\n"
                   "    for example: PORTICO_UPSTREAM_MAX_CONNS=100\n");
}

/* ---- rules ---- */

static void client_certificates_need_roots_and_roots_a_use(void)
{
    check_mistakes(ENTRIES(DOMAINS, CLIENT_CA),
                   "PORTICO_TLS_CLIENT_AUTH: `off` asks nobody for a certificate, but PORTICO_TLS_CLIENT_CA is given\n"
                   "    for example: PORTICO_TLS_CLIENT_AUTH=require\n");
    check_mistakes(ENTRIES(DOMAINS, "PORTICO_TLS_CLIENT_AUTH=optional"),
                   "PORTICO_TLS_CLIENT_CA is unset, but PORTICO_TLS_CLIENT_AUTH asks for certificates: nothing says "
                   "which to believe\n");
    check_mistakes(
        ENTRIES(DOMAINS, "PORTICO_TLS_CLIENT_AUTH=require", "PORTICO_TLS_CLIENT_CA=x"),
        "PORTICO_TLS_CLIENT_CA: `(PEM, 1 bytes)` holds no certificate in PEM (-----BEGIN CERTIFICATE-----)\n");
}

static void plain_http_does_not_go_round_client_certificates(void)
{
    check_mistakes(ENTRIES(DOMAINS, CLIENT_CA, "PORTICO_TLS_CLIENT_AUTH=require", "PORTICO_HTTP_MODE=serve"),
                   "PORTICO_TLS_CLIENT_AUTH: `require` is of no use beside plain HTTP, which is proxied too: set "
                   "PORTICO_HTTP_MODE to redirect, or PORTICO_HTTP_LISTEN to off\n");
    check_mistakes(ENTRIES(CLIENT_CA, "PORTICO_TLS_CLIENT_AUTH=require"),
                   "PORTICO_TLS_CLIENT_AUTH: `require` is of no use beside plain HTTP, which is proxied too: it needs "
                   "PORTICO_DOMAINS or PORTICO_TLS_CERT\n");
    config_unref(load_good(ENTRIES(DOMAINS, CLIENT_CA, "PORTICO_TLS_CLIENT_AUTH=require", "PORTICO_HTTP_MODE=serve",
                                   "PORTICO_HTTP_LISTEN=off")));
}

static void raw_bytes_are_served_inside_tls_alone(void)
{
    check_mistakes(ENTRIES(DOMAINS, "PORTICO_UPSTREAM=tcp://db:1", "PORTICO_HTTP_MODE=serve"),
                   "PORTICO_UPSTREAM: `tcp://db:1` takes what is inside TLS, but plain HTTP is proxied too: set "
                   "PORTICO_HTTP_MODE to redirect, or PORTICO_HTTP_LISTEN to off\n");
    check_mistakes(ENTRIES("PORTICO_UPSTREAM=tcp://db:1"),
                   "PORTICO_UPSTREAM: `tcp://db:1` takes what is inside TLS, but plain HTTP is proxied too: it needs "
                   "PORTICO_DOMAINS or PORTICO_TLS_CERT\n");
    check_mistakes(
        ENTRIES("PORTICO_DOMAINS=a.test -> http://a\nb.test c.test -> tcp://db:1", "PORTICO_HTTP_MODE=serve"),
        "PORTICO_DOMAINS: `tcp://db:1` takes what is inside TLS, but plain HTTP is proxied too: set "
        "PORTICO_HTTP_MODE to redirect, or PORTICO_HTTP_LISTEN to off\n");
    struct config *config = load_good(ENTRIES("PORTICO_DOMAINS=a.test -> http://a\nb.test -> tcp://db:1 tcp://db:2"));
    CHECK(config && !config->names[0].site->group->tcp && config->names[1].site->group->tcp);
    config_unref(config);
}

static void a_group_is_of_one_kind(void)
{
    check_mistakes(
        ENTRIES(DOMAINS, "PORTICO_UPSTREAM=tcp://db:1, http://a"),
        "PORTICO_UPSTREAM: `tcp://db:1, http://a` mixes tcp:// with backends that speak HTTP: one group takes "
        "one of the two\n    for example: PORTICO_UPSTREAM=http://app:8000\n");
    struct config *config = load_good(ENTRIES("PORTICO_UPSTREAM=h2c://a:1 http://a:1 unix:/x unix+h2c:/x"));
    CHECK(config && config->num_upstreams == 4 && !config->default_site.group->tcp);
    config_unref(config);
}

static void proxy_headers_are_believed_from_named_proxies_alone(void)
{
    check_mistakes(ENTRIES("PORTICO_PROXY_PROTOCOL_IN=on"),
                   "PORTICO_PROXY_PROTOCOL_IN: `on` needs PORTICO_TRUSTED_PROXIES: the header is believed from these "
                   "alone\n");
    config_unref(load_good(ENTRIES("PORTICO_PROXY_PROTOCOL_IN=on", "PORTICO_TRUSTED_PROXIES=192.0.2.1")));
}

static void a_header_to_shared_connections_is_a_mistake(void)
{
    config_unref(load_good(ENTRIES("PORTICO_PROXY_PROTOCOL_OUT=v2", "PORTICO_UPSTREAM=h2c://a:80")));
    config_unref(load_good(ENTRIES("PORTICO_PROXY_PROTOCOL_OUT=v2", "PORTICO_UPSTREAM=http://a:80")));
    config_unref(load_good(ENTRIES("PORTICO_UPSTREAM=h2c://a:80")));
}

int main(void)
{
    RUN(ranges_are_split_at_commas_newlines_and_blanks);
    RUN(private_is_what_no_packet_from_the_internet_has);
    RUN(a_bad_range_is_refused_with_what_was_meant);
    RUN(users_are_names_with_bcrypt_hashes);
    RUN(a_bad_entry_is_named_by_its_number_and_never_shown);
    RUN(a_password_beside_a_tcp_backend_is_a_mistake);
    RUN(encodings_keep_their_order);
    RUN(bad_encodings_are_refused);
    RUN(the_error_page_is_html_of_64k_at_most);
    RUN(a_health_check_needs_a_path);
    RUN(other_bad_values_name_the_good_ones);
    RUN(client_certificates_need_roots_and_roots_a_use);
    RUN(plain_http_does_not_go_round_client_certificates);
    RUN(raw_bytes_are_served_inside_tls_alone);
    RUN(a_group_is_of_one_kind);
    RUN(proxy_headers_are_believed_from_named_proxies_alone);
    RUN(a_header_to_shared_connections_is_a_mistake);
    return checks_done();
}
