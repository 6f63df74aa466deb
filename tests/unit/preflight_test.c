#include "certs/preflight.h"

#include "check.h"
#include "dns_server.h"

#include <errno.h>

#define OURS "AbcdefghijklmnopqrstuvwxyzAbcdefghijklmnopq"
#define THEIRS "ZbcdefghijklmnopqrstuvwxyzAbcdefghijklmnopq"

/* ---- a web server that answers by the name that it is asked for ---- */

struct web {
    uv_tcp_t tcp;
    uint16_t port;
    unsigned num_requests;
    char user_agent[64];
};

struct web_client {
    uv_tcp_t tcp;
    struct web *web;
    char in[4096];
    size_t len;
};

static void web_client_closed(uv_handle_t *handle)
{
    mem_free(container_of((uv_tcp_t *)(void *)handle, struct web_client, tcp));
}

static void web_say(struct web_client *client, const char *status, const char *location, const char *body)
{
    char out[8192];
    int len =
        snprintf(out, sizeof out, "HTTP/1.1 %s\r\n%s%s%sContent-Length: %zu\r\n\r\n%s", status,
                 location ? "Location: " : "", location ? location : "", location ? "\r\n" : "", strlen(body), body);
    uv_buf_t part = uv_buf_init(out, (unsigned)len);
    uv_try_write((uv_stream_t *)&client->tcp, &part, 1);
}

static void web_answer(struct web_client *client)
{
    char path[200] = "", host[64] = "", body[400], url[400];
    unsigned port = client->web->port;
    sscanf(client->in, "GET %199s HTTP/1.1\r\nHost: %63[^:\r]%*[^\n]\nUser-Agent: %63[^\r]", path, host,
           client->web->user_agent);
    const char *token = strrchr(path, '/') + 1;
    client->web->num_requests++;
    if (strcmp(host, "a.test") == 0 || strcmp(host, "127.0.0.1") == 0 || strcmp(host, "foreign.test") == 0) {
        snprintf(body, sizeof body, "%s.%s\n", token, host[0] == 'f' ? THEIRS : OURS);
        web_say(client, "200 OK", NULL, body);
    } else if (strcmp(host, "loop.test") == 0) {
        snprintf(url, sizeof url, "/.well-known/acme-challenge/x%s", token);
        web_say(client, "302 Found", url, "");
    } else if (strcmp(host, "same.test") == 0) {
        web_say(client, "302 Found", path, "");
    } else if (strcmp(host, "moved.test") == 0) {
        snprintf(url, sizeof url, "http://a.test:%u%s", port, path);
        web_say(client, "301 Moved", url, "");
    } else if (strcmp(host, "port.test") == 0) {
        web_say(client, "301 Moved", "http://a.test:8080/", "");
    } else if (strcmp(host, "scheme.test") == 0) {
        web_say(client, "301 Moved", "ftp://a.test/", "");
    } else if (strcmp(host, "lost.test") == 0) {
        snprintf(url, sizeof url, "//nowhere.test:%u/", port);
        web_say(client, "301 Moved", url, "");
    } else if (strcmp(host, "short.test") == 0) {
        web_say(client, "200 OK", NULL, token);
    } else if (strcmp(host, "silent.test") != 0) {
        web_say(client, "404 Not Found", NULL, "<html>\r\n\tno \xff such page</html>");
    }
}

static void web_allocate(uv_handle_t *handle, size_t size, uv_buf_t *out)
{
    struct web_client *client = container_of((uv_tcp_t *)(void *)handle, struct web_client, tcp);
    (void)size;
    *out = uv_buf_init(client->in + client->len, (unsigned)(sizeof client->in - 1 - client->len));
}

static void web_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *bytes)
{
    struct web_client *client = container_of((uv_tcp_t *)(void *)stream, struct web_client, tcp);
    (void)bytes;
    if (n < 0) {
        uv_close((uv_handle_t *)stream, web_client_closed);
        return;
    }
    client->len += (size_t)n;
    client->in[client->len] = '\0';
    if (strstr(client->in, "\r\n\r\n"))
        web_answer(client);
}

static void web_connected(uv_stream_t *stream, int status)
{
    struct web_client *client = MEM_NEW(struct web_client);
    CHECK_INT(status, 0);
    client->web = container_of((uv_tcp_t *)(void *)stream, struct web, tcp);
    uv_tcp_init(stream->loop, &client->tcp);
    CHECK_INT(uv_accept(stream, (uv_stream_t *)&client->tcp), 0);
    uv_read_start((uv_stream_t *)&client->tcp, web_allocate, web_read);
}

static void web_open(struct web *web, uv_loop_t *uv)
{
    struct address address;
    int len = sizeof address.at;
    address_parse_ip(SLICE_LIT("127.0.0.1"), 0, &address);
    uv_tcp_init(uv, &web->tcp);
    CHECK_INT(uv_tcp_bind(&web->tcp, &address.at.any, 0), 0);
    CHECK_INT(uv_listen((uv_stream_t *)&web->tcp, 64, web_connected), 0);
    CHECK_INT(uv_tcp_getsockname(&web->tcp, &address.at.any, &len), 0);
    web->port = address_port(&address);
}

/* ---- the world ---- */

static const struct dns_server_record zone[] = {
    {"a.test", DNS_SERVER_A, "127.0.0.1"},
    {"a.test", DNS_SERVER_CAA, "0 issue ca.example"},
    {"alias.test", DNS_SERVER_CNAME, "other.test"},
    {"other.test", DNS_SERVER_A, "127.0.0.1"},
    {"foreign.test", DNS_SERVER_A, "127.0.0.1"},
    {"loop.test", DNS_SERVER_A, "127.0.0.1"},
    {"same.test", DNS_SERVER_A, "127.0.0.1"},
    {"moved.test", DNS_SERVER_A, "127.0.0.1"},
    {"port.test", DNS_SERVER_A, "127.0.0.1"},
    {"scheme.test", DNS_SERVER_A, "127.0.0.1"},
    {"lost.test", DNS_SERVER_A, "127.0.0.1"},
    {"short.test", DNS_SERVER_A, "127.0.0.1"},
    {"silent.test", DNS_SERVER_A, "127.0.0.1"},
    {"two.test", DNS_SERVER_A, "127.0.0.1"},
    {"two.test", DNS_SERVER_AAAA, "::1"},
    {"closed.test", DNS_SERVER_A, "127.0.0.2"},
    {"local.test", DNS_SERVER_A, "10.0.0.1"},
    {"local.test", DNS_SERVER_AAAA, "fe80::1"},
    {"mail.test", DNS_SERVER_TXT, "no address"},
    {"failing.test", DNS_SERVER_RCODE, "2"},
    {"deep.forbidden.test", DNS_SERVER_A, "127.0.0.1"},
    {"forbidden.test", DNS_SERVER_CAA, "0 issue other.example"},
    {"forbidden.test", DNS_SERVER_CAA, "0 issuewild ca.example; validationmethods=dns-01"},
    {"mute.test", DNS_SERVER_SILENT, ""},
    {NULL, 0, NULL},
};

struct world {
    uv_loop_t uv;
    struct net_loop *loop;
    struct dns_server server;
    struct dns *dns;
    struct web web;
    struct preflight *preflight;
};

static void world_init(struct world *world, bool contact_local)
{
    *world = (struct world){0};
    uv_loop_init(&world->uv);
    world->loop = net_loop_new(&world->uv);
    dns_server_open(&world->server, &world->uv, zone);
    web_open(&world->web, &world->uv);
    struct dns_options dns = {
        .loop = world->loop, .servers = &world->server.address, .num_servers = 1, .query_ms = 300};
    world->dns = dns_new(&dns);
    struct preflight_options options = {.loop = world->loop,
                                        .dns = world->dns,
                                        .version = "test",
                                        .probe_ms = 300,
                                        .contact_local = contact_local,
                                        .http_port = world->web.port};
    world->preflight = preflight_new(&options);
}

static void world_cleanup(struct world *world)
{
    preflight_free(world->preflight);
    for (int i = 0; i < 5; i++)
        uv_run(&world->uv, UV_RUN_NOWAIT);
    dns_free(world->dns);
    dns_server_close(&world->server);
    uv_close((uv_handle_t *)&world->web.tcp, NULL);
    uv_run(&world->uv, UV_RUN_DEFAULT);
    net_loop_close(world->loop);
    uv_run(&world->uv, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&world->uv), 0);
}

struct looked {
    struct preflight_run run;
    unsigned num_done;
    struct findings findings;
    struct preflight_run *cancel;
};

static void looked_done(struct preflight_run *run, const struct findings *findings)
{
    struct looked *looked = container_of(run, struct looked, run);
    looked->num_done++;
    findings_append(&looked->findings, findings);
    if (looked->cancel)
        preflight_cancel(looked->cancel);
}

static const struct slice identities[] = {{"ca.example", 10}};

static struct preflight_question question_of(const char *name)
{
    return (struct preflight_question){.name = slice_str(name),
                                       .thumbprint = SLICE_LIT(OURS),
                                       .account_url = SLICE_LIT("https://ca.example/acct/1"),
                                       .identities = identities,
                                       .num_identities = 1,
                                       .method = SLICE_LIT("http-01"),
                                       .http = true};
}

static void look(struct world *world, const struct preflight_question *question, struct looked *looked)
{
    findings_cleanup(&looked->findings);
    *looked = (struct looked){.run = {.done = looked_done}};
    preflight_start(world->preflight, question, &looked->run);
    CHECK_INT(looked->num_done, 0);
    while (looked->num_done == 0 && uv_run(&world->uv, UV_RUN_ONCE))
        continue;
    CHECK_INT(looked->num_done, 1);
    CHECK(!looked->run.job);
}

static void look_at(struct world *world, const char *name, struct looked *looked)
{
    struct preflight_question question = question_of(name);
    look(world, &question, looked);
}

/* The finding of that check (and, where several, that address); a nameless one where there is none. */
static struct finding finding_of(const struct looked *looked, const char *check, const char *address)
{
    for (size_t i = 0; i < looked->findings.num; i++) {
        const struct finding *finding = &looked->findings.items[i];
        if (strcmp(finding->check, check) == 0 && (!address || slice_eq(finding->address, slice_str(address))))
            return *finding;
    }
    return (struct finding){.check = "", .kind = ""};
}

static void check_port80(struct world *world, const char *name, const char *kind, enum finding_level level)
{
    struct looked looked = {0};
    look_at(world, name, &looked);
    struct finding finding = finding_of(&looked, "port 80", NULL);
    if (strcmp(finding.kind, kind) != 0)
        fprintf(stderr, "%s: %.*s\n", name, (int)finding.sentence.len, finding.sentence.ptr);
    CHECK_STR(finding.kind, kind);
    CHECK_INT(finding.level, level);
    CHECK((level == FINDING_OK) == (finding.cure.len == 0));
    findings_cleanup(&looked.findings);
}

/* ACME-68: what a CA would find, at the name's own address. */
static void a_name_in_order(void)
{
    struct world world;
    struct looked looked = {0};
    world_init(&world, true);
    look_at(&world, "a.test", &looked);
    CHECK_INT(looked.findings.num, 3);
    CHECK_INT(findings_level(&looked.findings), FINDING_OK);
    CHECK_STR(looked.findings.items[0].kind, "resolves");
    CHECK_SLICE(looked.findings.items[0].sentence, "a.test resolves to 127.0.0.1");
    CHECK_STR(looked.findings.items[1].kind, "answers");
    CHECK_STR(looked.findings.items[2].kind, "caa-allows");
    CHECK_STR(world.web.user_agent, "portico/test (preflight)");
    look_at(&world, "127.0.0.1", &looked);
    CHECK_INT(looked.findings.num, 1);
    CHECK_STR(looked.findings.items[0].kind, "answers");
    struct preflight_question question = question_of("a.test");
    question.thumbprint = SLICE_NONE;
    look(&world, &question, &looked);
    CHECK_INT(findings_level(&looked.findings), FINDING_OK);
    findings_cleanup(&looked.findings);
    world_cleanup(&world);
}

/* ACME-71, ACME-72, ACME-73 */
static void what_answers_on_port_80(void)
{
    struct world world;
    world_init(&world, true);
    check_port80(&world, "a.test", "answers", FINDING_OK);
    check_port80(&world, "moved.test", "answers", FINDING_OK);
    check_port80(&world, "foreign.test", "foreign-account", FINDING_FAIL);
    check_port80(&world, "other.test", "other-server", FINDING_FAIL);
    check_port80(&world, "short.test", "other-server", FINDING_FAIL);
    check_port80(&world, "alias.test", "other-server", FINDING_FAIL);
    check_port80(&world, "loop.test", "redirect-loop", FINDING_FAIL);
    check_port80(&world, "same.test", "redirect-loop", FINDING_FAIL);
    check_port80(&world, "port.test", "redirect-astray", FINDING_FAIL);
    check_port80(&world, "scheme.test", "redirect-astray", FINDING_FAIL);
    check_port80(&world, "lost.test", "redirect-astray", FINDING_FAIL);
    check_port80(&world, "closed.test", "refused", FINDING_FAIL);
    check_port80(&world, "silent.test", "timeout", FINDING_FAIL);
    unsigned before = world.web.num_requests;
    check_port80(&world, "loop.test", "redirect-loop", FINDING_FAIL);
    CHECK_INT(world.web.num_requests, before + PREFLIGHT_REDIRECTS + 1);
    world_cleanup(&world);
}

static void what_is_said_of_it(void)
{
    struct world world;
    struct looked looked = {0};
    struct buf hint = {0};
    world_init(&world, true);
    look_at(&world, "other.test", &looked);
    struct finding finding = finding_of(&looked, "port 80", "127.0.0.1");
    CHECK_INT(finding.status, 404);
    CHECK_SLICE(finding.body, "<html> no ? such page</html>");
    CHECK_SLICE(finding.sentence, "127.0.0.1 port 80 answers 404 \"<html> no ? such page</html>\" instead of the "
                                  "challenge's answer");
    findings_write_hint(&looked.findings, &hint);
    CHECK(slice_starts(buf_slice(&hint), finding.sentence));
    CHECK(slice_ends(buf_slice(&hint), finding.cure));
    struct preflight_question question = question_of("closed.test");
    question.not_running = true;
    look(&world, &question, &looked);
    CHECK(slice_starts(finding_of(&looked, "port 80", NULL).cure, SLICE_LIT("Portico is not running here")));
    buf_cleanup(&hint);
    findings_cleanup(&looked.findings);
    world_cleanup(&world);
}

/* ACME-76: each address is looked at. */
static void a_wrong_aaaa_is_told_from_a_right_a(void)
{
    struct world world;
    struct looked looked = {0};
    world_init(&world, true);
    look_at(&world, "two.test", &looked);
    struct finding v4 = finding_of(&looked, "port 80", "127.0.0.1"), v6 = finding_of(&looked, "port 80", "::1");
    CHECK_STR(v4.kind, "other-server"); /* of this test's server: it is reached */
    CHECK(strcmp(v6.kind, "refused") == 0 || strcmp(v6.kind, "no-route") == 0);
    CHECK(memmem(v6.cure.ptr, v6.cure.len, "AAAA", 4) != NULL);
    findings_cleanup(&looked.findings);
    world_cleanup(&world);
}

static void local_addresses_are_reported_and_never_contacted(void)
{
    struct world world;
    struct looked looked = {0};
    world_init(&world, false);
    look_at(&world, "a.test", &looked);
    CHECK_STR(finding_of(&looked, "port 80", "127.0.0.1").kind, "");
    CHECK_STR(finding_of(&looked, "dns", "127.0.0.1").kind, "address-local");
    CHECK_INT(findings_level(&looked.findings), FINDING_FAIL);
    look_at(&world, "local.test", &looked);
    CHECK_STR(finding_of(&looked, "dns", "10.0.0.1").kind, "address-local");
    CHECK_STR(finding_of(&looked, "dns", "fe80::1").kind, "address-local");
    struct preflight_question question = question_of("local.test");
    question.private_ca = true;
    look(&world, &question, &looked);
    CHECK_INT(findings_level(&looked.findings), FINDING_WARN);
    CHECK_INT(world.web.num_requests, 0);
    findings_cleanup(&looked.findings);
    world_cleanup(&world);
}

static void check_dns(struct world *world, const char *name, const char *kind, enum finding_level level)
{
    struct looked looked = {0};
    look_at(world, name, &looked);
    CHECK_STR(finding_of(&looked, "dns", NULL).kind, kind);
    CHECK_INT(finding_of(&looked, "dns", NULL).level, level);
    findings_cleanup(&looked.findings);
}

static void names_that_do_not_resolve(void)
{
    struct world world;
    struct looked looked = {0};
    world_init(&world, true);
    check_dns(&world, "nowhere.test", "not-resolving", FINDING_FAIL);
    check_dns(&world, "mail.test", "not-resolving", FINDING_FAIL);
    check_dns(&world, "failing.test", "dns-failed", FINDING_FAIL);
    check_dns(&world, "mute.test", "dns-failed", FINDING_WARN);
    look_at(&world, "failing.test", &looked);
    CHECK_STR(finding_of(&looked, "caa", NULL).kind, "caa-failed");
    findings_cleanup(&looked.findings);
    world_cleanup(&world);
}

static void caa_is_looked_for_up_the_tree(void)
{
    struct world world;
    struct looked looked = {0};
    world_init(&world, true);
    look_at(&world, "deep.forbidden.test", &looked);
    struct finding caa = finding_of(&looked, "caa", NULL);
    CHECK_STR(caa.kind, "caa-forbids");
    CHECK_SLICE(caa.cure,
                "add to the zone: forbidden.test. CAA 0 issue \"ca.example\"; `portico dns` prints the whole record");
    look_at(&world, "other.test", &looked);
    CHECK_STR(finding_of(&looked, "caa", NULL).kind, "caa-none");
    struct preflight_question question = question_of("*.forbidden.test"); /* issuewild, and no address is looked for */
    question.method = SLICE_LIT("dns-01");
    question.http = false;
    look(&world, &question, &looked);
    CHECK_INT(looked.findings.num, 1);
    CHECK_STR(finding_of(&looked, "caa", NULL).kind, "caa-allows");
    findings_cleanup(&looked.findings);
    world_cleanup(&world);
}

static void canceled_and_freed_at_every_stage(void)
{
    static const char *const names[] = {"two.test", "moved.test", "silent.test", "mute.test", "deep.forbidden.test"};
    for (int turns = 0; turns < 12; turns++) {
        struct world world;
        struct looked looked[40] = {0};
        world_init(&world, true);
        for (int i = 0; i < 40; i++) {
            struct preflight_question question = question_of(names[i % 5]);
            looked[i].run.done = looked_done;
            preflight_start(world.preflight, &question, &looked[i].run);
        }
        looked[0].cancel = &looked[39].run;
        for (int i = 0; i < turns; i++)
            uv_run(&world.uv, UV_RUN_NOWAIT);
        for (int i = 1; i < 40; i += 2)
            preflight_cancel(&looked[i].run);
        world_cleanup(&world);
        for (int i = 0; i < 40; i++) {
            CHECK(!looked[i].run.job);
            findings_cleanup(&looked[i].findings);
        }
    }
}

static void many_names_take_their_turn(void)
{
    struct world world;
    struct looked looked[100] = {0};
    world_init(&world, true);
    for (int i = 0; i < 100; i++) {
        struct preflight_question question = question_of("a.test");
        looked[i].run.done = looked_done;
        preflight_start(world.preflight, &question, &looked[i].run);
    }
    for (int i = 0; i < 100; i++) {
        while (looked[i].num_done == 0 && uv_run(&world.uv, UV_RUN_ONCE))
            continue;
        CHECK_INT(findings_level(&looked[i].findings), FINDING_OK);
        findings_cleanup(&looked[i].findings);
    }
    world_cleanup(&world);
}

int main(void)
{
    RUN(a_name_in_order);
    RUN(what_answers_on_port_80);
    RUN(what_is_said_of_it);
    RUN(a_wrong_aaaa_is_told_from_a_right_a);
    RUN(local_addresses_are_reported_and_never_contacted);
    RUN(names_that_do_not_resolve);
    RUN(caa_is_looked_for_up_the_tree);
    RUN(canceled_and_freed_at_every_stage);
    RUN(many_names_take_their_turn);
    return checks_done();
}
