/* Durations, sizes, booleans, parts, lists, listens, backends, HSTS, PEM: each accepted form and each refusal. */
#include "check.h"

#include "config/apply.h"
#include "config/nearest.h"
#include "config/parse.h"

/* NULL in `why` stands for acceptance; otherwise a piece of the reason. */
static void check_why(const char *text, const char *why, const char *want)
{
    bool as_wanted = want ? why && strstr(why, want) : !why;
    if (!as_wanted)
        fprintf(stderr, "  `%s`: %s\n", text, why ? why : "accepted");
    CHECK(as_wanted);
}

static void test_durations(void)
{
    static const struct {
        const char *text;
        int64_t ms;
        const char *refused;
    } rows[] = {
        {"250ms", 250, NULL},
        {"10s", 10000, NULL},
        {"5m", 300000, NULL},
        {"2h", 7200000, NULL},
        {"7d", 604800000, NULL},
        {"0", 0, NULL},
        {"0s", 0, NULL},
        {"007s", 7000, NULL},
        {"36500d", INT64_C(36500) * 86400000, NULL},
        {"36501d", 0, "too large"},
        {"99999999999999999999s", 0, "too large"},
        {"18446744073709551616ms", 0, "too large"},
        {"", 0, "whole number"},
        {"s", 0, "whole number"},
        {"-1s", 0, "whole number"},
        {"+1s", 0, "whole number"},
        {" 1s", 0, "whole number"},
        {"1.5s", 0, "units"},
        {"1", 0, "units"},
        {"1 s", 0, "units"},
        {"10S", 0, "units"},
        {"5M", 0, "units"},
        {"1m30s", 0, "units"},
        {"1y", 0, "units"},
        {"1sec", 0, "units"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t ms = -1;
        check_why(rows[i].text, parse_duration_ms(slice_str(rows[i].text), &ms), rows[i].refused);
        CHECK_INT(ms, rows[i].refused ? -1 : rows[i].ms);
    }
}

static void test_ages(void)
{
    int64_t s = -1;
    CHECK(!parse_age_s(SLICE_LIT("1y"), &s));
    CHECK_INT(s, 31536000);
    CHECK(!parse_age_s(SLICE_LIT("2d"), &s));
    CHECK_INT(s, 172800);
    CHECK(!parse_age_s(SLICE_LIT("0"), &s));
    CHECK_INT(s, 0);
    CHECK(parse_age_s(SLICE_LIT("250ms"), &s));
    CHECK(parse_age_s(SLICE_LIT("31536000"), &s));
    CHECK(parse_age_s(SLICE_LIT("101y"), &s));
}

static void test_sizes(void)
{
    static const struct {
        const char *text;
        uint64_t bytes;
        const char *refused;
    } rows[] = {
        {"0", 0, NULL},
        {"4096", 4096, NULL},
        {"64k", 65536, NULL},
        {"64K", 65536, NULL},
        {"1m", 1048576, NULL},
        {"1G", 1073741824, NULL},
        {"9223372036854775807", INT64_MAX, NULL},
        {"8589934591g", UINT64_C(8589934591) << 30, NULL},
        {"8589934592g", 0, "too large"},
        {"9223372036854775808", 0, "too large"},
        {"", 0, "whole number"},
        {"k", 0, "whole number"},
        {"-1", 0, "whole number"},
        {"64kb", 0, "k, m or g"},
        {"1t", 0, "k, m or g"},
        {"1.5m", 0, "k, m or g"},
        {"64 k", 0, "k, m or g"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t bytes = 77;
        check_why(rows[i].text, parse_size_bytes(slice_str(rows[i].text), &bytes), rows[i].refused);
        CHECK_INT(bytes, rows[i].refused ? 77 : rows[i].bytes);
    }
}

static void test_booleans(void)
{
    static const char *const yes[] = {"true", "1", "yes", "on", "TRUE", "Yes", "oN"};
    static const char *const no[] = {"false", "0", "no", "off", "False", "OFF"};
    static const char *const neither[] = {"", "y", "n", "2", "00", "truee", "tru", "enabled", "null"};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        bool value = false;
        CHECK(!parse_bool(slice_str(yes[i]), &value) && value);
    }
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) {
        bool value = true;
        CHECK(!parse_bool(slice_str(no[i]), &value) && !value);
    }
    for (size_t i = 0; i < sizeof neither / sizeof neither[0]; i++) {
        bool value = true;
        check_why(neither[i], parse_bool(slice_str(neither[i]), &value), "none of true");
        CHECK(value);
    }
}

static void test_parts(void)
{
    static const struct {
        const char *text;
        uint32_t permille;
        const char *refused;
    } rows[] = {
        {"auto", 0, NULL},           {"2/3", 666, NULL},     {"1/2", 500, NULL},      {"70%", 700, NULL},
        {"10%", 100, NULL},          {"95%", 950, NULL},     {"9%", 0, "between"},    {"96%", 0, "between"},
        {"100%", 0, "between"},      {"1/1", 0, "between"},  {"0/3", 0, "between"},   {"1/0", 0, "neither"},
        {"3/2", 0, "between"},       {"70", 0, "neither"},   {"0.66", 0, "neither"},  {"%", 0, "neither"},
        {"/", 0, "neither"},         {"2/", 0, "neither"},   {"2/3/4", 0, "neither"}, {"101%", 0, "neither"},
        {"1001/2000", 0, "neither"}, {"-1/2", 0, "neither"}, {"30d", 0, "neither"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint32_t permille = 7;
        check_why(rows[i].text, parse_part_permille(slice_str(rows[i].text), &permille), rows[i].refused);
        CHECK_INT(permille, rows[i].refused ? 7 : rows[i].permille);
    }
}

static void test_lists(void)
{
    struct slice rest = SLICE_LIT(",, a , b c\r\n\n\td\n,"), item, word;
    CHECK(parse_list_next(&rest, &item));
    CHECK_SLICE(item, "a");
    CHECK(parse_list_next(&rest, &item));
    CHECK_SLICE(item, "b c");
    CHECK(parse_word_next(&item, &word));
    CHECK_SLICE(word, "b");
    CHECK(parse_word_next(&item, &word));
    CHECK_SLICE(word, "c");
    CHECK(!parse_word_next(&item, &word));
    CHECK(parse_list_next(&rest, &item));
    CHECK_SLICE(item, "d");
    CHECK(!parse_list_next(&rest, &item));
    CHECK_INT(rest.len, 0);
}

static void test_listens(void)
{
    static const struct {
        const char *text;
        enum config_listen_kind kind;
        const char *host; /* or path */
        bool ipv6;
        int port;
        const char *refused;
    } rows[] = {
        {":443", CONFIG_LISTEN_TCP, "", false, 443, NULL},
        {":0", CONFIG_LISTEN_TCP, "", false, 0, NULL},
        {"127.0.0.1:0", CONFIG_LISTEN_TCP, "127.0.0.1", false, 0, NULL},
        {"0.0.0.0:80", CONFIG_LISTEN_TCP, "0.0.0.0", false, 80, NULL},
        {"[::]:443", CONFIG_LISTEN_TCP, "::", true, 443, NULL},
        {"[2001:db8::1]:65535", CONFIG_LISTEN_TCP, "2001:db8::1", true, 65535, NULL},
        {"unix:/run/portico.sock", CONFIG_LISTEN_UNIX, "/run/portico.sock", false, 0, NULL},
        {"systemd:web", CONFIG_LISTEN_SYSTEMD, "web", false, 0, NULL},
        {"off", CONFIG_LISTEN_OFF, "", false, 0, NULL},
        {"OFF", CONFIG_LISTEN_OFF, "", false, 0, NULL},
        {"443", 0, NULL, false, 0, "no port"},
        {"127.0.0.1", 0, NULL, false, 0, "no port"},
        {"[::]", 0, NULL, false, 0, "no port"},
        {"[::]443", 0, NULL, false, 0, "no port"},
        {":", 0, NULL, false, 0, "no number from 0 to 65535"},
        {":65536", 0, NULL, false, 0, "no number from 0 to 65535"},
        {":-1", 0, NULL, false, 0, "no number from 0 to 65535"},
        {":80x", 0, NULL, false, 0, "no number from 0 to 65535"},
        {":http", 0, NULL, false, 0, "no number from 0 to 65535"},
        {"::1:443", 0, NULL, false, 0, "brackets"},
        {"::", 0, NULL, false, 0, "brackets"},
        {"[::1:443", 0, NULL, false, 0, "without its ]"},
        {"[]:443", 0, NULL, false, 0, "empty brackets"},
        {"[127.0.0.1]:443", 0, NULL, false, 0, "other than an IPv6"},
        {"[::1%lo]:443", 0, NULL, false, 0, "numeric"},
        {"localhost:443", 0, NULL, false, 0, "numeric"},
        {"*:443", 0, NULL, false, 0, "numeric"},
        {"256.0.0.1:443", 0, NULL, false, 0, "numeric"},
        {"http://:80", 0, NULL, false, 0, "more than one colon"},
        {"systemd:", 0, NULL, false, 0, "needs a name"},
        {"systemd:a:b", 0, NULL, false, 0, "a colon"},
        {"systemd:a b", 0, NULL, false, 0, "a blank"},
        {"unix:", 0, NULL, false, 0, "absolute path"},
        {"unix:run.sock", 0, NULL, false, 0, "absolute path"},
        {"unix:/a b", 0, NULL, false, 0, "blank"},
    };
    struct arena arena = {0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct config_listen listen = {.port = 9};
        check_why(rows[i].text, parse_listen(&arena, slice_str(rows[i].text), &listen), rows[i].refused);
        CHECK_INT(listen.port, rows[i].refused ? 9 : rows[i].port);
        if (rows[i].refused)
            continue;
        CHECK_INT(listen.kind, rows[i].kind);
        CHECK_INT(listen.host_is_ipv6, rows[i].ipv6);
        CHECK_SLICE(listen.kind == CONFIG_LISTEN_UNIX      ? listen.path
                    : listen.kind == CONFIG_LISTEN_SYSTEMD ? listen.name
                                                           : listen.host,
                    rows[i].host);
    }
    arena_cleanup(&arena);
}

static void test_socket_path_length(void)
{
    char path[120];
    memset(path, 'a', sizeof path);
    path[0] = '/';
    CHECK(!parse_socket_path(slice_make(path, 107)));
    check_why("108 bytes", parse_socket_path(slice_make(path, 108)), "too long");
}

static void test_upstreams(void)
{
    static const struct {
        const char *text, *canonical, *host;
        int port;
        const char *refused;
    } rows[] = {
        {"http://app:8000", "http://app:8000", "app", 8000, NULL},
        {"HTTP://App:8000/", "http://app:8000", "app", 8000, NULL},
        {"http://app", "http://app:80", "app", 80, NULL},
        {"http://my_app.my-ns.svc:1", "http://my_app.my-ns.svc:1", "my_app.my-ns.svc", 1, NULL},
        {"http://10.0.0.1:8080", "http://10.0.0.1:8080", "10.0.0.1", 8080, NULL},
        {"http://[::1]:8080", "http://[::1]:8080", "::1", 8080, NULL},
        {"http://[2001:DB8::1]", "http://[2001:db8::1]:80", "2001:db8::1", 80, NULL},
        {"unix:/run/app.sock", "unix:/run/app.sock", "", 0, NULL},
        {"http://app:0", NULL, NULL, 0, "no URL of the form http://host:port"},
        {"http://app:65536", NULL, NULL, 0, "http://host:port"},
        {"http://", NULL, NULL, 0, "http://host:port"},
        {"http://app:8000/base", NULL, NULL, 0, "path"},
        {"http://app:8000?x", NULL, NULL, 0, "no URL of the form http://host:port"},
        {"http://u:p@app", NULL, NULL, 0, "http://host:port"},
        {"http://999.1.1.1", NULL, NULL, 0, "no URL of the form http://host:port"},
        {"http://1.2", NULL, NULL, 0, "no URL of the form http://host:port"},
        {"http://a..b", NULL, NULL, 0, "no URL of the form http://host:port"},
        {"http://a;b", NULL, NULL, 0, "no URL of the form http://host:port"},
        {"https://app", NULL, NULL, 0, "TLS to the backend"},
        {"httpx://app", NULL, NULL, 0, "none of http://, h2c://, tcp://, unix:, unix+h2c:"},
        {"http:app", NULL, NULL, 0, "none of http://"},
        {"app:8000", NULL, NULL, 0, "none of http://"},
        {"unix:app.sock", NULL, NULL, 0, "absolute path"},
        {"", NULL, NULL, 0, "none of http://"},
    };
    struct arena arena = {0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct config_upstream upstream = {.index = 5};
        check_why(rows[i].text, parse_upstream(&arena, slice_str(rows[i].text), &upstream), rows[i].refused);
        CHECK_INT(upstream.index, 5);
        if (rows[i].refused)
            continue;
        CHECK_SLICE(upstream.text, rows[i].canonical);
        CHECK_SLICE(upstream.host, rows[i].host);
        CHECK_INT(upstream.port, rows[i].port);
        CHECK_INT(upstream.protocol, CONFIG_PROTOCOL_HTTP1);
        if (upstream.path.len)
            CHECK_SLICE(upstream.path, rows[i].text + 5);
    }
    arena_cleanup(&arena);
}

/* The other forms: what each speaks, and where its rules differ. */
static void test_upstream_protocols(void)
{
    static const struct {
        const char *text, *canonical, *host;
        int port, protocol;
        const char *refused;
    } rows[] = {
        {"h2c://app:50051", "h2c://app:50051", "app", 50051, CONFIG_PROTOCOL_HTTP2, NULL},
        {"H2C://App/", "h2c://app:80", "app", 80, CONFIG_PROTOCOL_HTTP2, NULL},
        {"h2c://[FE80::1]:9", "h2c://[fe80::1]:9", "fe80::1", 9, CONFIG_PROTOCOL_HTTP2, NULL},
        {"unix+h2c:/run/Grpc.sock", "unix+h2c:/run/Grpc.sock", "", 0, CONFIG_PROTOCOL_HTTP2, NULL},
        {"UNIX+H2C:/x", "unix+h2c:/x", "", 0, CONFIG_PROTOCOL_HTTP2, NULL},
        {"tcp://db:5432", "tcp://db:5432", "db", 5432, CONFIG_PROTOCOL_TCP, NULL},
        {"TCP://[::1]:5432", "tcp://[::1]:5432", "::1", 5432, CONFIG_PROTOCOL_TCP, NULL},
        {"tcp://db", NULL, NULL, 0, 0, "has no port"},
        {"tcp://db:0", NULL, NULL, 0, 0, "tcp://host:port"},
        {"tcp://db:1/x", NULL, NULL, 0, 0, "takes bytes as they are"},
        {"h2c://app:1/x", NULL, NULL, 0, 0, "only h2c://host:port"},
        {"h2c://", NULL, NULL, 0, 0, "h2c://host:port"},
        {"h2c://u:p@app", NULL, NULL, 0, 0, "h2c://host:port"},
        {"unix+h2c:x", NULL, NULL, 0, 0, "absolute path"},
        {"unix+tcp:/x", NULL, NULL, 0, 0, "none of http://"},
    };
    struct arena arena = {0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct config_upstream upstream = {.index = 5};
        check_why(rows[i].text, parse_upstream(&arena, slice_str(rows[i].text), &upstream), rows[i].refused);
        CHECK_INT(upstream.index, 5);
        if (rows[i].refused)
            continue;
        CHECK_SLICE(upstream.text, rows[i].canonical);
        CHECK_SLICE(upstream.host, rows[i].host);
        CHECK_INT(upstream.port, rows[i].port);
        CHECK_INT(upstream.protocol, rows[i].protocol);
        if (!rows[i].host[0])
            CHECK_SLICE(upstream.path, rows[i].text + 9);
    }
    struct config_upstream cut = {0};
    CHECK(parse_upstream(&arena, slice_make("h2c://app\0.evil", 15), &cut) != NULL);
    arena_cleanup(&arena);
}

static void test_hsts(void)
{
    static const struct {
        const char *text, *value, *refused;
    } rows[] = {
        {"off", "", NULL},
        {"1y", "max-age=31536000", NULL},
        {"0", "max-age=0", NULL},
        {"300s", "max-age=300", NULL},
        {"1y; includeSubDomains", "max-age=31536000; includeSubDomains", NULL},
        {"2y;includesubdomains;PRELOAD", "max-age=63072000; includeSubDomains; preload", NULL},
        {"1y; preload", NULL, "needs an age of 1y or more and includeSubDomains"},
        {"30d; includeSubDomains; preload", NULL, "needs an age of 1y or more"},
        {"1y; foo", NULL, "something other than"},
        {"1y;;preload", NULL, "something other than"},
        {"max-age=31536000", NULL, "whole number"},
        {"31536000", NULL, "units"},
        {"on", NULL, "whole number"},
    };
    struct arena arena = {0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct slice value = SLICE_LIT("untouched");
        check_why(rows[i].text, parse_hsts(&arena, slice_str(rows[i].text), &value), rows[i].refused);
        CHECK_SLICE(value, rows[i].refused ? "untouched" : rows[i].value);
    }
    arena_cleanup(&arena);
}

static void test_pem(void)
{
    CHECK(!parse_pem(SLICE_LIT("-----BEGIN CERTIFICATE-----\n"), "CERTIFICATE"));
    CHECK(!parse_pem(SLICE_LIT("x\n-----BEGIN EC PRIVATE KEY-----\n"), "PRIVATE KEY"));
    CHECK(!parse_pem(SLICE_LIT("-----BEGIN EC PARAMETERS-----\n-----BEGIN PRIVATE KEY-----"), "PRIVATE KEY"));
    check_why("path", parse_pem(SLICE_LIT("/run/secrets/tls.crt"), "CERTIFICATE"), "_FILE");
    check_why("other kind", parse_pem(SLICE_LIT("-----BEGIN CERTIFICATE-----\n"), "PRIVATE KEY"),
              "no private key in PEM");
    check_why("cut", parse_pem(SLICE_LIT("-----BEGIN CERTIFICATE"), "CERTIFICATE"), "no certificate in PEM");
    check_why("text", parse_pem(SLICE_LIT("hello"), "CERTIFICATE"), "no certificate in PEM");
    check_why("empty", parse_pem(SLICE_LIT(""), "CERTIFICATE"), "no certificate in PEM");
}

static void test_bounds_as_text(void)
{
    char out[BOUND_TEXT_BYTES];
    CHECK_STR(bound_duration_text(600000, out), "10m");
    CHECK_STR(bound_duration_text(90000, out), "90s");
    CHECK_STR(bound_duration_text(10, out), "10ms");
    CHECK_STR(bound_duration_text(7 * 86400000, out), "7d");
    CHECK_STR(bound_duration_text(0, out), "0");
    CHECK_STR(bound_size_text(1024, out), "1k");
    CHECK_STR(bound_size_text(1025, out), "1025");
    CHECK_STR(bound_size_text(0, out), "0");
}

static void test_nearest(void)
{
    CHECK_INT(nearest_distance(SLICE_LIT("DOMAINS"), SLICE_LIT("domains")), 0);
    CHECK_INT(nearest_distance(SLICE_LIT("DOMAIN"), SLICE_LIT("DOMAINS")), 1);
    CHECK_INT(nearest_distance(SLICE_LIT("DOMIANS"), SLICE_LIT("DOMAINS")), 1);
    CHECK_INT(nearest_distance(SLICE_LIT("kitten"), SLICE_LIT("sitting")), 3);
    CHECK_INT(nearest_distance(SLICE_LIT(""), SLICE_LIT("abc")), 3);
    CHECK_INT(nearest_distance(SLICE_LIT("abc"), SLICE_LIT("")), 3);
    char longer[NEAREST_MAX_BYTES + 1];
    memset(longer, 'a', sizeof longer);
    CHECK_INT(nearest_distance(slice_make(longer, NEAREST_MAX_BYTES), slice_make(longer, NEAREST_MAX_BYTES)), 0);
    CHECK(nearest_distance(slice_make(longer, sizeof longer), SLICE_LIT("a")) == SIZE_MAX);

    struct nearest nearest = {0};
    nearest_offer(&nearest, SLICE_LIT("chek"), SLICE_LIT("health"));
    CHECK(!nearest.best.ptr);
    nearest_offer(&nearest, SLICE_LIT("chek"), SLICE_LIT("ceck"));
    nearest_offer(&nearest, SLICE_LIT("chek"), SLICE_LIT("check"));
    CHECK_SLICE(nearest.best, "check");
    nearest_offer(&nearest, SLICE_LIT("chek"), SLICE_LIT("che")); /* as near: the first one stays */
    CHECK_SLICE(nearest.best, "check");
}

int main(void)
{
    RUN(test_durations);
    RUN(test_ages);
    RUN(test_sizes);
    RUN(test_booleans);
    RUN(test_parts);
    RUN(test_lists);
    RUN(test_listens);
    RUN(test_socket_path_length);
    RUN(test_upstreams);
    RUN(test_upstream_protocols);
    RUN(test_hsts);
    RUN(test_pem);
    RUN(test_bounds_as_text);
    RUN(test_nearest);
    return checks_done();
}
