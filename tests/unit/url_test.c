#include "base/url.h"

#include "base/mem.h"
#include "check.h"

static void good_urls(void)
{
    static const struct {
        const char *text, *host, *authority, *target;
        uint16_t port;
        bool https, ipv6, port_given;
    } good[] = {
        {"http://a.example", "a.example", "a.example", "/", 80, false, false, false},
        {"https://a.example/", "a.example", "a.example", "/", 443, true, false, false},
        {"HTTPS://A.Example/Dir?x=1&y=%2f", "A.Example", "A.Example", "/Dir?x=1&y=%2f", 443, true, false, false},
        {"http://app:8000", "app", "app:8000", "/", 8000, false, false, true},
        {"http://my_app-1:8000/a//b/../c;d=e,f", "my_app-1", "my_app-1:8000", "/a//b/../c;d=e,f", 8000, false, false,
         true},
        {"http://10.0.0.1:1/?", "10.0.0.1", "10.0.0.1:1", "/?", 1, false, false, true},
        {"https://[2001:db8::1]:65535/x", "2001:db8::1", "[2001:db8::1]:65535", "/x", 65535, true, true, true},
        {"https://[::1]", "::1", "[::1]", "/", 443, true, true, false},
        {"http://[::ffff:1.2.3.4]/", "::ffff:1.2.3.4", "[::ffff:1.2.3.4]", "/", 80, false, true, false},
        {"https://web.ns.svc.cluster.local.:8443/", "web.ns.svc.cluster.local.", "web.ns.svc.cluster.local.:8443", "/",
         8443, true, false, true},
        {"http://a/~!$&'()*+,;=:@/-._?/?:@", "a", "a", "/~!$&'()*+,;=:@/-._?/?:@", 80, false, false, false},
        {"http://1a.2b/", "1a.2b", "1a.2b", "/", 80, false, false, false},
        {"http://a:00080/", "a", "a:00080", "/", 80, false, false, true},
        {"http://azAZ09.zZ/azAZ09%09%90%af%fa%AF%FA", "azAZ09.zZ", "azAZ09.zZ", "/azAZ09%09%90%af%fa%AF%FA", 80, false,
         false, false},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct url url = {0};
        CHECK(!err_is(url_parse(slice_str(good[i].text), &url)));
        CHECK_SLICE(url.host, good[i].host);
        CHECK_SLICE(url.authority, good[i].authority);
        CHECK_SLICE(url.target, good[i].target);
        CHECK_INT(url.port, good[i].port);
        CHECK_INT(url.https, good[i].https);
        CHECK_INT(url.host_is_ipv6, good[i].ipv6);
        CHECK_INT(url.port_given, good[i].port_given);
    }
}

static void bad_urls_with_their_place(void)
{
    static const struct {
        const char *text;
        int place;
    } bad[] = {
        {"", 0},
        {"a.example", 0},
        {"//a.example/", 0},
        {"ftp://a/", 0},
        {"http:/a/", 0},
        {"http:a", 0},
        {" http://a/", 0},
        {"https//a", 0},
        {"unix:/run/x", 0},
        {"http://", 7},
        {"http:///x", 7},
        {"https://:80/", 8},
        {"http://a b/", 7},
        {"http://u@a/", 7},
        {"http://u:p@a/", 8},
        {"http://a:b@c/", 8},
        {"http://.a/", 7},
        {"http://a../", 7},
        {"http://a..b/", 7},
        {"http://./", 7},
        {"http://a%41/", 7},
        {"http://b\xc3\xbc/", 7},
        {"http://a\\b/", 7},
        {"http://a,b/", 7},
        {"http://*.a/", 7},
        {"http://1.2.3/", 7},
        {"http://1.2.3.4.5/", 7},
        {"http://256.1.1.1/", 7},
        {"http://127.1/", 7},
        {"http://2130706433/", 7},
        {"http://0x7f000001/", 7},
        {"http://0x/", 7},
        {"http://a.0X1f/", 7},
        {"http://1.2.3.4./", 7},
        {"http://a.1./", 7},
        {"http://017.0.0.1/", 7},
        {"http://[::1/", 7},
        {"http://::1/", 7},
        {"http://[::g]/", 7},
        {"http://[1.2.3.4]/", 7},
        {"http://[]/", 7},
        {"http://[fe80::1%25eth0]/", 7},
        {"http://[::1]80/", 12},
        {"http://[::1]x/", 12},
        {"http://a:/", 8},
        {"http://a:0/", 8},
        {"http://a:65536/", 8},
        {"http://a:-1/", 8},
        {"http://a:8a/", 8},
        {"http://a:000080/", 8},
        {"http://a:80:80/", 8},
        {"http://a: 80/", 8},
        {"http://a#f", 8},
        {"http://a/x#f", 10},
        {"http://a?x", 8},
        {"http://a/ ", 9},
        {"http://a/\t", 9},
        {"http://a/\r\nb", 9},
        {"http://a/\x7f", 9},
        {"http://a/\xe2\x82\xac", 9},
        {"http://a/%", 9},
        {"http://a/%4", 9},
        {"http://a/%4g", 9},
        {"http://a/x%zz", 10},
        {"http://a/\"", 9},
        {"http://a/<", 9},
        {"http://a/\\", 9},
        {"http://a/{}", 9},
        {"http://a/|", 9},
        {"http://a/^", 9},
        {"http://a/`", 9},
        {"http://a/[", 9},
        {"http://a/?[", 10},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct url url = {.port = 7};
        size_t len = strlen(bad[i].text);
        char *exact = mem_alloc(len); /* so that reading on behind the text is noticed */
        memcpy(exact, bad[i].text, len);
        struct err err = url_parse(slice_make(exact, len), &url);
        mem_free(exact);
        if (err.kind != ERR_INPUT || err.code != bad[i].place || url.port != 7) {
            CHECK_STR(bad[i].text, "refused");
            CHECK_INT(err.code, bad[i].place);
        }
    }
}

static void faults_are_named(void)
{
    struct url url;
    CHECK_STR(url_parse(SLICE_LIT("ftp://a/"), &url).what, "URL: not http:// or https://");
    CHECK_STR(url_parse(SLICE_LIT("http://u@a/"), &url).what, "URL: bad host");
    CHECK_STR(url_parse(SLICE_LIT("http://[::1"), &url).what, "URL: bad host");
    CHECK_STR(url_parse(SLICE_LIT("http://a:x/"), &url).what, "URL: bad port");
    CHECK_STR(url_parse(SLICE_LIT("http://a?x"), &url).what, "URL: no path");
    CHECK_STR(url_parse(SLICE_LIT("http://a/#f"), &url).what, "URL: has a fragment");
    CHECK_STR(url_parse(SLICE_LIT("http://a/ "), &url).what, "URL: bad character");
}

static void userinfo_is_taken_out(void)
{
    static const struct {
        const char *text, *userinfo, *rest;
    } cases[] = {
        {"https://u:p@a.example/x?y", "u:p", "https://a.example/x?y"},
        {"http://u@[::1]:8/", "u", "http://[::1]:8/"},
        {"http://u:p@w@a/", "u:p@w", "http://a/"},
        {"http://a/b@c", "", "http://a/b@c"},
        {"http://a?b@c", "", "http://a?b@c"},
        {"http://@a/", "", "http://@a/"}, /* which is none */
        {"/usr/bin/x@y", "", "/usr/bin/x@y"},
        {"", "", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf rest = {0};
        CHECK_SLICE(url_take_userinfo(slice_str(cases[i].text), &rest), cases[i].userinfo);
        CHECK_STR(buf_cstr(&rest), cases[i].rest);
        buf_cleanup(&rest);
    }
}

static void a_nul_is_no_end(void)
{
    struct url url;
    CHECK(err_is(url_parse(SLICE_LIT("http://a\0/"), &url)));
    CHECK(err_is(url_parse(SLICE_LIT("http://a\0.example/"), &url)));
    CHECK(err_is(url_parse(SLICE_LIT("http://1.2.3.4\0/"), &url)));
    CHECK(err_is(url_parse(SLICE_LIT("http://a/\0"), &url)));
    CHECK(err_is(url_parse(SLICE_LIT("http://a/x\0y"), &url)));
    CHECK(err_is(url_parse(SLICE_LIT("http://[::1\0]/"), &url)));
    CHECK(err_is(url_parse(SLICE_NONE, &url)));
}

static void long_hosts(void)
{
    char text[7 + 300 + 1] = "http://";
    struct url url;
    for (size_t len = 0; len < 300; len++)
        text[7 + len] = len % 64 == 63 ? '.' : 'a';
    CHECK(!err_is(url_parse(slice_make(text, 7 + 253), &url)));
    CHECK(err_is(url_parse(slice_make(text, 7 + 254), &url)));
    CHECK(!err_is(url_parse(slice_make(text, 7 + 63), &url)));
    text[7 + 63] = 'a'; /* a label of 64 */
    CHECK(err_is(url_parse(slice_make(text, 7 + 64), &url)));
}

static void dns_names(void)
{
    static const char *const good[] = {"a",   "localhost", "a.example", "A.EXAMPLE", "xn--bcher-kva.example",
                                       "1.a", "a-b.c-d",   "3com.com",  "azAZ09.zZ", "a.1b"};
    static const char *const bad[] = {"",      ".",     "a.",  ".a",         "a..b",    "-a.b", "a-.b",
                                      "a_b.c", "*.a.b", "*",   "a.*",        "1.2.3.4", "1",    "a.1",
                                      "a b",   "a/b",   "a:b", "\xc3\xa4.b", "a.b\n",   "::1",  "a.b-"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!name_is_dns(slice_str(good[i]), false) || !name_is_dns(slice_str(good[i]), true))
            CHECK_STR(good[i], "accepted");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (name_is_dns(slice_str(bad[i]), false))
            CHECK_STR(bad[i], "refused");
    CHECK(!name_is_dns(SLICE_LIT("a\0b"), false));
    CHECK(!name_is_dns(SLICE_NONE, true));
}

static void wildcards(void)
{
    static const char *const bad[] = {"*",      "*.",     "*.a",  "**.a.b", "*.*.a.b", "a.*.b",
                                      "*a.b.c", "a*.b.c", "*.a.", "*.a.1",  "*..a.b"};
    CHECK(name_is_dns(SLICE_LIT("*.a.b"), true));
    CHECK(name_is_dns(SLICE_LIT("*.a.b.c"), true));
    CHECK(!name_is_dns(SLICE_LIT("*.a.b"), false));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (name_is_dns(slice_str(bad[i]), true))
            CHECK_STR(bad[i], "refused");
}

static void dns_lengths(void)
{
    char name[300];
    for (size_t i = 0; i < sizeof name; i++)
        name[i] = i % 64 == 63 ? '.' : 'a';
    CHECK(name_is_dns(slice_make(name, 63), false));
    CHECK(name_is_dns(slice_make(name, 253), false));
    CHECK(!name_is_dns(slice_make(name, 254), false));
    CHECK(!name_is_dns(slice_make(name, 64), false)); /* ends in a dot */
    name[63] = 'a';
    CHECK(!name_is_dns(slice_make(name, 64), false)); /* a label of 64 */
}

static void addresses(void)
{
    static const char *const good[] = {"1.2.3.4",        "255.255.255.255", "::", "::1", "2001:db8::1",
                                       "::ffff:1.2.3.4", "1:2:3:4:5:6:7:8"};
    static const char *const bad[] = {"",
                                      "1.2.3",
                                      "1.2.3.4.5",
                                      "256.1.1.1",
                                      "01.2.3.4",
                                      "1.2.3.4 ",
                                      " ::1",
                                      "[::1]",
                                      "::1%lo",
                                      "1:2:3:4:5:6:7",
                                      "1:2:3:4:5:6:7:8:9",
                                      "::g",
                                      "a.example",
                                      "0x7f.1.1.1",
                                      "127.1",
                                      "1111:2222:3333:4444:5555:6666:7777:8888:9999:0000"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        CHECK(name_is_ip(slice_str(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(!name_is_ip(slice_str(bad[i])));
    CHECK(!name_is_ip(SLICE_LIT("1.2.3.4\0")));
}

static void local_names(void)
{
    static const char *const local[] = {"",
                                        "app",
                                        "localhost",
                                        "LOCALHOST",
                                        "localhost.",
                                        "a.localhost",
                                        "*.localhost",
                                        "printer.local",
                                        "x.internal",
                                        "a.test",
                                        "a.b.example",
                                        "a.invalid",
                                        "nas.home.arpa",
                                        "home.arpa",
                                        "router.lan",
                                        "web.ns.svc",
                                        "web.ns.svc.cluster.local",
                                        "a.Local.",
                                        "10.1.2.3",
                                        "172.16.0.1",
                                        "172.31.255.255",
                                        "192.168.1.1",
                                        "127.0.0.1",
                                        "127.9.9.9",
                                        "169.254.1.1",
                                        "100.64.0.1",
                                        "100.127.255.255",
                                        "0.0.0.0",
                                        "::",
                                        "::1",
                                        "fe80::1",
                                        "febf::1",
                                        "fc00::1",
                                        "fd12:3456::1",
                                        "::ffff:10.0.0.1"};
    static const char *const public[] = {
        "a.com",       "localhost.com",   "notlocal.net",  "mylocal.de",     "xlocalhost.org",  "a.xlocal",
        "example.com", "www.example.org", "home.arpa.com", "arpa.com",       "x.arpa",          "test.de",
        "lan.io",      "8.8.8.8",         "203.0.113.7",   "172.15.0.1",     "172.32.0.1",      "192.169.0.1",
        "100.63.0.1",  "100.128.0.1",     "11.0.0.1",      "169.253.0.1",    "9.254.0.1",       "9.16.0.1",
        "192.1.168.1", "9.168.1.1",       "100.1.64.1",    "9.64.0.1",       "::ffff:8.10.0.1", "2001:db8::1",
        "::2",         "fec0::1",         "fbff::1",       "::ffff:8.8.8.8", "*.a.com"};
    for (size_t i = 0; i < sizeof local / sizeof *local; i++)
        if (!name_is_local(slice_str(local[i])))
            CHECK_STR(local[i], "local");
    for (size_t i = 0; i < sizeof public / sizeof *public; i++)
        if (name_is_local(slice_str(public[i])))
            CHECK_STR(public[i], "public");
}

static void test_same_names(void)
{
    CHECK(name_same(SLICE_LIT("a.example"), SLICE_LIT("A.Example")));
    CHECK(!name_same(SLICE_LIT("a.example"), SLICE_LIT("b.example")));
    CHECK(!name_same(SLICE_LIT("a.example"), SLICE_LIT("*.a.example")));
    CHECK(name_same(SLICE_LIT("2001:db8::1"), SLICE_LIT("2001:0DB8:0::0001")));
    CHECK(!name_same(SLICE_LIT("2001:db8::1"), SLICE_LIT("2001:db8::2")));
    CHECK(!name_same(SLICE_LIT("::ffff:1.2.3.4"), SLICE_LIT("1.2.3.4")));
    CHECK(!name_same(SLICE_LIT(""), SLICE_LIT("a.example")));
}

/* ACME-83 */
static void test_canonical_names(void)
{
    static const char *const good[] = {"2001:db8::1", "::1", "::", "1.2.3.4", "a.example", "2001:db8:0:1:1:1:1:1"};
    static const char *const bad[] = {"2001:DB8::1", "2001:0db8::1", "2001:db8:0:0::1", "0:0:0:0:0:0:0:1"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        CHECK(name_is_canonical(slice_str(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(!name_is_canonical(slice_str(bad[i])));
}

int main(void)
{
    RUN(good_urls);
    RUN(bad_urls_with_their_place);
    RUN(faults_are_named);
    RUN(userinfo_is_taken_out);
    RUN(a_nul_is_no_end);
    RUN(long_hosts);
    RUN(dns_names);
    RUN(wildcards);
    RUN(dns_lengths);
    RUN(addresses);
    RUN(local_names);
    RUN(test_same_names);
    RUN(test_canonical_names);
    return checks_done();
}
