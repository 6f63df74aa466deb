/* Who the client is, and how the backend is told (HARDENING R9). */
#include "http/forwarded.h"

#include "base/buf.h"
#include "check.h"

#include <stdlib.h>

/* 10.0.0.0/8, 192.168.0.0/16, fd00::/8 and ::1 are trusted in all tests. */
static struct cidr trusted_at[4];
static struct cidr_list trusted = {trusted_at, 4};

struct scene {
    struct arena arena;
    struct head head;
    struct forwarded_peer peer;
    struct forwarded said;
};

static struct ip ip_of(const char *text)
{
    struct ip ip = {{0}};
    CHECK(ip_parse(slice_str(text), &ip));
    return ip;
}

/* Fields as lines "Name: value\n...". */
static void scene_init(struct scene *scene, const char *peer, const char *lines)
{
    struct slice rest = slice_str(lines);
    *scene = (struct scene){
        .peer = {.proto = SLICE_LIT("http"), .authority = SLICE_LIT("a.test"), .port_text = SLICE_LIT("80")}};
    bool local = strcmp(peer, "unix") == 0;
    scene->peer.text = slice_str(local ? "" : peer);
    scene->peer.ip = ip_of(local ? "127.0.0.1" : peer);
    scene->peer.trusted = local || cidr_list_has(&trusted, &scene->peer.ip);
    while (rest.len) {
        struct slice value = slice_split(&rest, '\n'), name = slice_split(&value, ':');
        head_add(&scene->head, &scene->arena, name, slice_trim(value));
    }
}

static void scene_read(struct scene *scene, bool prefer_rfc7239)
{
    forwarded_read(&scene->said, &scene->head.fields, &scene->peer, &trusted, prefer_rfc7239, &scene->arena);
}

static const char *client_of(const char *peer, const char *lines, bool prefer_rfc7239)
{
    static char text[IP_TEXT_BYTES];
    struct scene scene;
    scene_init(&scene, peer, lines);
    scene_read(&scene, prefer_rfc7239);
    ip_text(&scene.said.client, text);
    arena_cleanup(&scene.arena);
    return text;
}

static struct slice out_of(const struct fields *out, enum field_id id)
{
    const struct field *field = fields_find(out, id);
    return field ? field->value : SLICE_LIT("(none)");
}

static struct slice x_of(struct scene *scene, enum field_id id)
{
    struct fields out = {0};
    forwarded_put_x(&scene->said, &scene->head.fields, &scene->peer, &scene->arena, &out);
    return out_of(&out, id);
}

static struct slice rfc7239_of(struct scene *scene)
{
    struct fields out = {0};
    forwarded_put_rfc7239(&scene->said, &scene->head.fields, &scene->peer, &scene->arena, &out);
    CHECK_INT(out.num, 1);
    return out_of(&out, FIELD_FORWARDED);
}

static void addresses_in_all_their_forms(void)
{
    static const char *const good[][2] = {{"192.0.2.1", "192.0.2.1"},           {"192.0.2.1:80", "192.0.2.1"},
                                          {"192.0.2.1:_p", "192.0.2.1"},        {"2001:db8::1", "2001:db8::1"},
                                          {"[2001:db8::1]", "2001:db8::1"},     {"[2001:db8::1]:65535", "2001:db8::1"},
                                          {"::ffff:192.0.2.1", "192.0.2.1"},    {"[::ffff:192.0.2.1]", "192.0.2.1"},
                                          {"2001:db8::1:80", "2001:db8::1:80"}, {"[2001:DB8::1]:_x-1", "2001:db8::1"}};
    static const char *const bad[] = {"",
                                      "unknown",
                                      "_hidden",
                                      "a.test",
                                      "192.0.2.1:",
                                      "192.0.2.1:65536",
                                      "192.0.2.1:000080",
                                      "192.0.2.1:_",
                                      "192.0.2.1:-1",
                                      "192.0.2",
                                      "192.0.2.1.",
                                      "010.0.0.1",
                                      "[192.0.2.1]",
                                      "[",
                                      "[]",
                                      "[2001:db8::1",
                                      "[2001:db8::1]80",
                                      "[2001:db8::1]:",
                                      "2001:db8::1]",
                                      "fe80::1%eth0",
                                      "\"192.0.2.1\"",
                                      "192.0.2.1 ",
                                      "192.0.2.1:80:80",
                                      "unix",
                                      ":80",
                                      "[::1]:_\""};
    char text[IP_TEXT_BYTES];
    struct ip ip;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        CHECK(forwarded_parse_node(slice_str(good[i][0]), &ip));
        CHECK_STR(ip_text(&ip, text), good[i][1]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK(!forwarded_parse_node(slice_str(bad[i]), &ip));
    CHECK(!forwarded_parse_node(slice_make("1.2.3.4\0", 8), &ip));
}

static void x_forwarded_for_from_the_right(void)
{
    static const struct {
        const char *peer, *lines, *client;
    } rows[] = {
        {"10.0.0.1", "", "10.0.0.1"},
        {"203.0.113.9", "X-Forwarded-For: 192.0.2.1", "203.0.113.9"}, /* not trusted: nothing is believed */
        {"10.0.0.1", "X-Forwarded-For: 192.0.2.1", "192.0.2.1"},
        {"10.0.0.1", "X-Forwarded-For: 6.6.6.6, 192.0.2.1", "192.0.2.1"}, /* what the client made up stays behind it */
        {"10.0.0.1", "X-Forwarded-For: 6.6.6.6, 192.0.2.1, 10.9.9.9", "192.0.2.1"},
        {"10.0.0.1", "X-Forwarded-For: 6.6.6.6\nX: y\nX-Forwarded-For: 192.0.2.1\nX-Forwarded-For: fd00::7,192.168.0.1",
         "192.0.2.1"},
        {"10.0.0.1", "X-Forwarded-For: 10.0.0.3, 10.0.0.2", "10.0.0.3"},           /* all trusted: the first */
        {"10.0.0.1", "X-Forwarded-For: 192.0.2.1, unknown, 10.0.0.2", "10.0.0.2"}, /* unreadable: the last good one */
        {"10.0.0.1", "X-Forwarded-For: 192.0.2.1, <script>", "10.0.0.1"},
        {"10.0.0.1", "X-Forwarded-For: \"192.0.2.1\"", "10.0.0.1"},
        {"10.0.0.1", "X-Forwarded-For: \", 192.0.2.1", "192.0.2.1"}, /* quotes mean nothing here */
        {"10.0.0.1", "X-Forwarded-For: ,, 192.0.2.1 ,,\nX-Forwarded-For:", "192.0.2.1"},
        {"10.0.0.1", "X-Forwarded-For: [2001:db8::1]:4711", "2001:db8::1"},
        {"10.0.0.1", "X-Forwarded-For: 192.0.2.1:4711,[fd00::1]:80,fd00::2", "192.0.2.1"},
        {"::1", "X-Forwarded-For: ::ffff:192.0.2.1", "192.0.2.1"},
        {"unix", "X-Forwarded-For: 192.0.2.1", "192.0.2.1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        CHECK_STR(client_of(rows[i].peer, rows[i].lines, false), rows[i].client);
}

static void forwarded_from_the_right(void)
{
    static const struct {
        const char *peer, *lines, *client;
    } rows[] = {
        {"203.0.113.9", "Forwarded: for=192.0.2.1", "203.0.113.9"},
        {"10.0.0.1", "Forwarded: for=192.0.2.1", "192.0.2.1"},
        {"10.0.0.1", "Forwarded: FOR=\"192.0.2.1:80\";Proto=http", "192.0.2.1"},
        {"10.0.0.1", "Forwarded: proto=https;by=203.0.113.43;for=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"},
        {"10.0.0.1", "Forwarded: for=6.6.6.6, for=192.0.2.1;host=\"a,b;c\", for=10.0.0.2", "192.0.2.1"},
        {"10.0.0.1", "Forwarded: for=192.0.2.1\nForwarded: for=\"[fd00::1]\"", "192.0.2.1"},
        {"10.0.0.1", "Forwarded: for=192.0.2.1, for=unknown, for=10.0.0.2", "10.0.0.2"},
        {"10.0.0.1", "Forwarded: for=192.0.2.1, for=_gazonk, for=10.0.0.2", "10.0.0.2"},
        {"10.0.0.1", "Forwarded: for=192.0.2.1, by=10.0.0.7", "10.0.0.1"}, /* an element that hides its client */
        {"10.0.0.1", "Forwarded: for=\", for=192.0.2.1", "192.0.2.1"},     /* a quote that a client left open */
        {"10.0.0.1", "Forwarded: for=6.6.6.6;x=\", for=10.0.0.3", "10.0.0.3"},
        {"10.0.0.1", "Forwarded: x=\"\\\", for=6.6.6.6;y=\\\"\", for=10.0.0.3", "10.0.0.3"},
        {"10.0.0.1", "Forwarded: for=192.0.2.1;x=\"a\\\", for=6.6.6.6;y=\\\"\", for=10.0.0.3", "192.0.2.1"},
        {"10.0.0.1", "Forwarded: for=6.6.6.6, for=192.0.2.1;x=\"a\\\\\", for=10.0.0.3", "192.0.2.1"},
        {"10.0.0.1", "Forwarded: for=\"192.0.2.\\1\"", "10.0.0.1"},
        {"10.0.0.1", "Forwarded: for=192.0.2.1;for=192.0.2.2", "10.0.0.1"},
        {"10.0.0.1", "Forwarded: for=192.0.2.1:80", "192.0.2.1"}, /* wants quotes by the RFC, often has none */
        {"10.0.0.1", "Forwarded: for=[2001:db8::1]", "2001:db8::1"},
        {"10.0.0.1", "Forwarded: for=192.0.2.1 ; proto=http; ;", "192.0.2.1"},
        {"10.0.0.1", "Forwarded: for = 192.0.2.1", "10.0.0.1"},
        {"10.0.0.1", "Forwarded: 192.0.2.1", "10.0.0.1"},
        {"10.0.0.1", "Forwarded: for=192.0.2.1 proto=http", "10.0.0.1"},
        {"10.0.0.1", "Forwarded: for=", "10.0.0.1"},
        {"10.0.0.1", "Forwarded: for=\"192.0.2.1", "10.0.0.1"},
        {"10.0.0.1", "Forwarded: for=192.0.2.1\"", "10.0.0.1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        CHECK_STR(client_of(rows[i].peer, rows[i].lines, true), rows[i].client);
}

static void one_of_two_forms_counts(void)
{
    const char *both = "Forwarded: for=192.0.2.2\nX-Forwarded-For: 192.0.2.1";
    CHECK_STR(client_of("10.0.0.1", both, false), "192.0.2.1");
    CHECK_STR(client_of("10.0.0.1", both, true), "192.0.2.2");
    CHECK_STR(client_of("10.0.0.1", "Forwarded: for=192.0.2.2", false), "192.0.2.2");
    CHECK_STR(client_of("10.0.0.1", "X-Forwarded-For: 192.0.2.1\nForwarded: ,", true), "192.0.2.1");
}

static void chains_are_bounded(void)
{
    struct buf lines = {0};
    struct scene scene;
    buf_append_str(&lines, "X-Forwarded-For: 192.0.2.1");
    for (unsigned i = 0; i < LIMIT_FORWARDED_HOPS; i++)
        buf_printf(&lines, ", 10.0.1.%u", i);
    scene_init(&scene, "10.0.0.1", buf_cstr(&lines));
    scene_read(&scene, false);
    CHECK_INT(scene.said.num_hops, LIMIT_FORWARDED_HOPS);
    struct ip last = ip_of("10.0.1.0");
    CHECK(memcmp(&scene.said.client, &last, sizeof last) == 0);
    arena_cleanup(&scene.arena);
    buf_cleanup(&lines);
}

static void scheme_host_and_port(void)
{
    static const struct {
        const char *lines, *proto, *host;
        unsigned port;
    } rows[] = {
        {"", "", "", 0},
        {"X-Forwarded-Proto: https", "https", "", 443},
        {"X-Forwarded-Proto: HTTP", "http", "", 80},
        {"X-Forwarded-Proto: wss", "https", "", 443},
        {"X-Forwarded-Proto: ftp", "", "", 0},
        {"X-Forwarded-Proto: http\nX-Forwarded-Proto: http, https", "https", "", 443}, /* the peer's own word */
        {"X-Forwarded-Host: B.test:8443\nX-Forwarded-Proto: https", "https", "B.test:8443", 8443},
        {"X-Forwarded-Host: b.test:8443\nX-Forwarded-Port: 444", "", "b.test:8443", 444},
        {"X-Forwarded-Host: [::1]", "", "[::1]", 0},
        {"X-Forwarded-Host: evil/path", "", "", 0},
        {"X-Forwarded-Host: u:p@b.test", "", "", 0},
        {"X-Forwarded-Host: a, b.test", "", "b.test", 0},
        {"X-Forwarded-Port: 0", "", "", 0},
        {"X-Forwarded-Port: 65536", "", "", 0},
        {"X-Forwarded-Port: 80x", "", "", 0},
        {"Forwarded: for=192.0.2.1;proto=https;host=\"b.test:8443\"", "https", "b.test:8443", 8443},
        {"Forwarded: for=6.6.6.6;proto=http;host=evil, for=192.0.2.1;proto=https, for=10.0.0.2;host=b.test;proto=http",
         "https", "b.test", 443},
        {"Forwarded: for=_hidden;proto=https", "https", "", 443},
        {"Forwarded: for=192.0.2.1;host=\"a\\.test\"", "", "", 0},
        {"Forwarded: for=192.0.2.1\nX-Forwarded-Proto: https", "", "", 0}, /* of two forms one counts */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct scene scene;
        scene_init(&scene, "10.0.0.1", rows[i].lines);
        scene_read(&scene, false);
        CHECK_SLICE(scene.said.proto, rows[i].proto);
        CHECK_SLICE(scene.said.host, rows[i].host);
        CHECK_INT(scene.said.port, rows[i].port);
        arena_cleanup(&scene.arena);
    }
}

static void values_for_the_backend(void)
{
    static const struct {
        const char *peer, *lines, *x_for, *rfc7239;
    } rows[] = {
        {"203.0.113.9", "X-Forwarded-For: 1.1.1.1\nForwarded: for=1.1.1.1\nX-Forwarded-Proto: https", "203.0.113.9",
         "for=203.0.113.9;host=a.test;proto=http"},
        {"2001:db8::9", "", "2001:db8::9", "for=\"[2001:db8::9]\";host=a.test;proto=http"},
        {"10.0.0.1",
         "X-Forwarded-For: 6.6.6.6\nX-Forwarded-For:\nX-Forwarded-For: 192.0.2.1,10.0.0.2\nX-Forwarded-Proto: "
         "https\nX-Forwarded-Host: b.test:8443",
         "6.6.6.6, 192.0.2.1,10.0.0.2, 10.0.0.1",
         "for=192.0.2.1;host=\"b.test:8443\";proto=https, for=10.0.0.2, for=10.0.0.1;host=a.test;proto=http"},
        {"10.0.0.1", "Forwarded: for=6.6.6.6, For=192.0.2.1;secret=\"a, b\"\nForwarded: for=\"[fd00::1]:80\"",
         "192.0.2.1, fd00::1, 10.0.0.1",
         "for=6.6.6.6, For=192.0.2.1;secret=\"a, b\", for=\"[fd00::1]:80\", for=10.0.0.1;host=a.test;proto=http"},
        {"10.0.0.1", "Forwarded: for=\"6.6.6.6, for=192.0.2.1", "192.0.2.1, 10.0.0.1",
         "for=192.0.2.1, for=10.0.0.1;host=a.test;proto=http"},
        {"10.0.0.1", "Forwarded: for=\"", "10.0.0.1", "for=10.0.0.1;host=a.test;proto=http"},
        {"10.0.0.1", "X-Forwarded-Proto: https\nX-Forwarded-Host: b.test", "10.0.0.1",
         "for=10.0.0.1;host=b.test;proto=https"},
        {"unix", "", "unknown", "for=unknown;host=a.test;proto=http"},
        {"unix", "X-Forwarded-For: 192.0.2.1", "192.0.2.1, unknown",
         "for=192.0.2.1, for=unknown;host=a.test;proto=http"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct scene scene;
        scene_init(&scene, rows[i].peer, rows[i].lines);
        scene_read(&scene, false);
        CHECK_SLICE(x_of(&scene, FIELD_X_FORWARDED_FOR), rows[i].x_for);
        CHECK_SLICE(rfc7239_of(&scene), rows[i].rfc7239);
        arena_cleanup(&scene.arena);
    }
}

static void the_other_fields_for_the_backend(void)
{
    static const struct {
        const char *peer, *lines, *proto, *host, *port, *real_ip;
    } rows[] = {
        {"203.0.113.9", "X-Forwarded-Proto: https\nX-Forwarded-Host: evil\nX-Forwarded-Port: 1\nX-Real-IP: 6.6.6.6",
         "http", "a.test", "80", "203.0.113.9"},
        {"10.0.0.1",
         "X-Forwarded-For: 192.0.2.1\nX-Forwarded-Proto: https\nX-Forwarded-Host: b.test\nX-Real-IP: 6.6.6.6", "https",
         "b.test", "443", "192.0.2.1"},
        {"10.0.0.1", "Forwarded: for=\"[2001:DB8::1]\";proto=https;host=\"b.test:8443\"", "https", "b.test:8443",
         "8443", "2001:db8::1"},
        {"10.0.0.1", "", "http", "a.test", "80", "10.0.0.1"},
        {"unix", "", "http", "a.test", "80", "(none)"},
        {"unix", "X-Forwarded-For: 192.0.2.1", "http", "a.test", "80", "192.0.2.1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct scene scene;
        scene_init(&scene, rows[i].peer, rows[i].lines);
        scene_read(&scene, false);
        CHECK_SLICE(x_of(&scene, FIELD_X_FORWARDED_PROTO), rows[i].proto);
        CHECK_SLICE(x_of(&scene, FIELD_X_FORWARDED_HOST), rows[i].host);
        CHECK_SLICE(x_of(&scene, FIELD_X_FORWARDED_PORT), rows[i].port);
        CHECK_SLICE(x_of(&scene, FIELD_X_REAL_IP), rows[i].real_ip);
        arena_cleanup(&scene.arena);
    }
}

static void hosts_are_quoted_where_they_must_be(void)
{
    struct scene scene;
    scene_init(&scene, "203.0.113.9", "");
    scene.peer.authority = SLICE_LIT("[2001:db8::2]:8443");
    scene.peer.proto = SLICE_LIT("https");
    scene_read(&scene, false);
    CHECK_SLICE(rfc7239_of(&scene), "for=203.0.113.9;host=\"[2001:db8::2]:8443\";proto=https");
    scene.peer.authority = SLICE_NONE; /* HTTP/1.0 without Host */
    CHECK_SLICE(rfc7239_of(&scene), "for=203.0.113.9;proto=https");
    arena_cleanup(&scene.arena);
}

int main(void)
{
    CHECK(cidr_parse(SLICE_LIT("10.0.0.0/8"), &trusted_at[0]) &&
          cidr_parse(SLICE_LIT("192.168.0.0/16"), &trusted_at[1]));
    CHECK(cidr_parse(SLICE_LIT("fd00::/8"), &trusted_at[2]) && cidr_parse(SLICE_LIT("::1"), &trusted_at[3]));
    RUN(addresses_in_all_their_forms);
    RUN(x_forwarded_for_from_the_right);
    RUN(forwarded_from_the_right);
    RUN(one_of_two_forms_counts);
    RUN(chains_are_bounded);
    RUN(scheme_host_and_port);
    RUN(values_for_the_backend);
    RUN(the_other_fields_for_the_backend);
    RUN(hosts_are_quoted_where_they_must_be);
    return checks_done();
}
