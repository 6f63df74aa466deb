#include "exchange/access_log.h"

#include "base/mem.h"
#include "check.h"
#include "exchange/exchange_internal.h"

#include <stdlib.h>
#include <unistd.h>

struct world {
    uv_loop_t uv;
    struct exchange_env env;
    struct exchange_client client;
    struct exchange x;
    struct log *log;
    struct config *config;
    int pipe[2];
    char line[16384];
};

static void world_init(struct world *world, const char *format)
{
    const char *environment[] = {"PORTICO_DOMAINS=a.test", format, NULL};
    struct config_mistakes mistakes = {0};
    *world = (struct world){0};
    CHECK(pipe(world->pipe) == 0);
    CHECK(config_load(environment, &world->config, &mistakes));
    config_mistakes_cleanup(&mistakes);
    uv_loop_init(&world->uv);
    world->log = log_new(world->pipe[1], LOG_FORMAT_JSON, LOG_LEVEL_INFO);
    world->env = (struct exchange_env){.loop = net_loop_new(&world->uv), .log = log_ring_new(world->log, "test")};
    world->client =
        (struct exchange_client){.peer = SLICE_LIT("2001:db8::1"), .secure = true, .tls_version = "TLSv1.3"};
    struct exchange *x = &world->x;
    x->env = &world->env;
    x->client = &world->client;
    x->identity = (struct identity){.client_ip = world->client.peer, .secure = true};
    x->config = world->config;
    x->started_wall_ms = 1795472193123; /* 2026-11-23T22:16:33.123Z */
    x->started_ms = net_loop_now_ms(world->env.loop) - 250;
    x->status = 200;
    x->request_bytes = 5;
    x->answer_bytes = 13;
    x->head = arena_calloc(&x->arena, 1, sizeof *x->head);
    x->head->version = 11;
    x->head->method_name = SLICE_LIT("GET");
    x->head->target = SLICE_LIT("/p\"ath?secret=1");
    x->head->host = SLICE_LIT("a.test");
}

static void add(struct world *world, enum field_id id, const char *name, const char *value)
{
    struct head *head = world->x.head;
    head_add(head, &world->x.arena, slice_str(name), slice_str(value));
    head->fields.at[head->fields.num - 1].id = id;
}

static const char *written(struct world *world)
{
    CHECK(write(world->pipe[1], "", 1) == 1); /* so that reading never blocks */
    access_log_write(&world->x);
    ssize_t got = read(world->pipe[0], world->line, sizeof world->line - 1);
    CHECK(got >= 1);
    world->line[got > 0 ? got : 0] = '\0';
    return world->line + 1;
}

static void world_cleanup(struct world *world)
{
    arena_cleanup(&world->x.arena);
    net_loop_close(world->env.loop);
    uv_run(&world->uv, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&world->uv), 0);
    log_free(world->log);
    config_unref(world->config);
    close(world->pipe[0]);
    close(world->pipe[1]);
}

static void json_has_what_happened_and_no_query(void)
{
    struct world world;
    world_init(&world, "PORTICO_ACCESS_LOG=json");
    CHECK_STR(written(&world),
              "{\"ts\":\"2026-11-23T22:16:33.123Z\",\"event\":\"access\",\"client\":\"2001:db8::1\",\"method\":\"GET\","
              "\"host\":\"a.test\",\"path\":\"/p\\\"ath\",\"protocol\":\"HTTP/"
              "1.1\",\"scheme\":\"https\",\"status\":200,\"duration_ms\":250,"
              "\"bytes_in\":5,\"bytes_out\":13,\"tls\":\"TLSv1.3\",\"tls_resumed\":false}\n");
    world.x.aborted = true;
    world.x.failure = "the client went away";
    world.x.num_retries = 1;
    world.x.backend_text = SLICE_LIT("http://app:80");
    const char *line = written(&world);
    CHECK(strstr(
        line, "\"upstream\":\"http://app:80\",\"retries\":1,\"aborted\":true,\"failure\":\"the client went away\"}"));
    world.x.head = NULL; /* a request that was none */
    world.x.status = 400;
    CHECK(strstr(written(&world), "\"status\":400"));
    world_cleanup(&world);
}

static void json_has_who_and_how(void)
{
    struct world world;
    world_init(&world, "PORTICO_ACCESS_LOG=json");
    world.client.tls_cipher = "TLS_AES_128_GCM_SHA256";
    world.client.alpn = SLICE_LIT("http/1.1");
    world.x.identity = (struct identity){.client_ip = SLICE_LIT("192.0.2.1"),
                                         .user = SLICE_LIT("alice"),
                                         .request_id = SLICE_LIT("id-1"),
                                         .trace_id = SLICE_LIT("4bf92f3577b34da6a3ce929d0e0e4736"),
                                         .forwarded = {.num_hops = 1}};
    world.x.asked_ms = 100;
    world.x.connected_ms = 107;
    world.x.head_ms = 130;
    world.x.backend_text = SLICE_LIT("http://app:80");
    const char *line = written(&world);
    CHECK(strstr(line, "\"client\":\"192.0.2.1\",\"peer\":\"2001:db8::1\",\"user\":\"alice\",\"method\""));
    CHECK(strstr(line, "\"scheme\":\"http\""));
    CHECK(strstr(line, "\"tls_cipher\":\"TLS_AES_128_GCM_SHA256\",\"tls_resumed\":false,\"alpn\":\"http/1.1\""));
    CHECK(strstr(line, "\"upstream\":\"http://app:80\",\"connect_ms\":7,\"upstream_ms\":23,\"request_id\":\"id-1\","
                       "\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\"}"));
    world.x.upstream_reused = true;
    world.x.head_ms = 0; /* it never answered */
    CHECK(strstr(written(&world), "\"upstream\":\"http://app:80\",\"upstream_reused\":true,\"request_id\""));
    struct tls_identity certificate = {.subject = SLICE_LIT("CN=device 7")};
    world.client.identity = &certificate;
    CHECK(strstr(written(&world), "\"user\":\"alice\",\"client_subject\":\"CN=device 7\",\"method\""));
    world_cleanup(&world);
}

static void urls_are_bared(void)
{
    static const char *const referers[][2] = {
        {"https://r.test/p?token=1", "https://r.test/p"},
        {"https://r.test/p#token", "https://r.test/p"},
        {"https://r.test/@alice/p", "https://r.test/@alice/p"},
        {"https://u:p@r.test/", "-"},
        {"https:/\\/u:p@r.test/", "-"},
        {"u:p@r.test/a//b", "-"},
        {"//u@r.test", "-"},
    };
    static const char *const targets[][2] = {
        {"/p?q", "/p"}, {"/p#f?q", "/p"}, {"*", "*"}, {"https://u:p@a.test/", "-"}, {"", "-"}, {"/u:p@x", "/u:p@x"}};
    for (size_t i = 0; i < sizeof referers / sizeof referers[0]; i++) {
        struct world world;
        char want[64];
        world_init(&world, "PORTICO_ACCESS_LOG=combined");
        add(&world, FIELD_REFERER, "Referer", referers[i][0]);
        snprintf(want, sizeof want, " 13 \"%s\" \"-\"\n", referers[i][1]);
        CHECK(strstr(written(&world), want));
        world_cleanup(&world);
    }
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        struct world world;
        char want[64];
        world_init(&world, "PORTICO_ACCESS_LOG=common");
        world.x.head->target = slice_str(targets[i][0]);
        snprintf(want, sizeof want, "\"GET %s HTTP/1.1\"", targets[i][1]);
        CHECK(strstr(written(&world), want));
        world_cleanup(&world);
    }
}

static void strings_are_cut_and_escaped(void)
{
    struct world world;
    char longer[4000];
    world_init(&world, "PORTICO_ACCESS_LOG=json");
    memset(longer, 'x', sizeof longer);
    longer[0] = '/';
    longer[1] = '\x7f';
    longer[2] = '\xff';
    world.x.head->target = slice_make(longer, sizeof longer);
    const char *line = written(&world);
    CHECK(strlen(line) < 1000);
    CHECK(!strchr(line, '\xff'));
    CHECK(strchr(line, '\n') == line + strlen(line) - 1);
    world_cleanup(&world);
}

/* A line that is too long would be dropped: a client could hide what it does. */
static void the_longest_line_is_written(void)
{
    struct world world;
    char controls[2000], quotes[2000];
    world_init(&world, "PORTICO_ACCESS_LOG=json");
    for (size_t i = 0; i < sizeof controls; i++) /* U+0080, two bytes that become six; the most that a field may hold */
        controls[i] = i % 2 ? '\x80' : '\xc2';
    memset(quotes, '"', sizeof quotes);
    quotes[0] = '/';
    struct slice wide = slice_make(controls, sizeof controls), quoted = slice_make(quotes, sizeof quotes);
    struct tls_identity certificate = {.subject = quoted};
    world.client.identity = &certificate;
    world.client.peer = wide;
    world.client.alpn = world.x.head->target = world.x.head->host = world.x.backend_text = quoted;
    world.x.identity = (struct identity){
        .client_ip = wide, .user = wide, .request_id = quoted, .trace_id = quoted, .forwarded = {.num_hops = 1}};
    head_add(world.x.head, &world.x.arena, SLICE_LIT("User-Agent"), wide);
    head_add(world.x.head, &world.x.arena, SLICE_LIT("Referer"), wide);
    const char *line = written(&world);
    CHECK(strstr(line, "\"user_agent\":") && strchr(line, '\n'));
    CHECK(strlen(line) <= LIMIT_LOG_LINE_BYTES);
    world_cleanup(&world);
}

static void ncsa_forms_are_one_line_each(void)
{
    struct world world;
    world_init(&world, "PORTICO_ACCESS_LOG=common");
    CHECK_STR(written(&world), "2001:db8::1 - - [23/Nov/2026:22:16:33 +0000] \"GET /p\\\"ath HTTP/1.1\" 200 13\n");
    world.x.identity.client_ip = SLICE_LIT("192.0.2.1");
    world.x.identity.user = SLICE_LIT("alice");
    CHECK(strstr(written(&world), "192.0.2.1 - alice [23/Nov"));
    world_cleanup(&world);
    world_init(&world, "PORTICO_ACCESS_LOG=combined");
    add(&world, FIELD_REFERER, "Referer", "https://r.test/x?token=1");
    add(&world, FIELD_USER_AGENT, "User-Agent", "evil\" 200 1\n");
    const char *line = written(&world);
    CHECK(strstr(line, "\" 200 13 \"https://r.test/x\" \"evil\\\" 200 1\\n\"\n"));
    CHECK(strchr(line, '\n') == line + strlen(line) - 1);
    world.x.head = NULL;
    world.x.answer_bytes = 0;
    CHECK_STR(written(&world), "2001:db8::1 - - [23/Nov/2026:22:16:33 +0000] \"-\" 200 0 \"-\" \"-\"\n");
    world_cleanup(&world);
    world_init(&world, "PORTICO_ACCESS_LOG=off");
    CHECK_STR(written(&world), "");
    world_cleanup(&world);
}

int main(void)
{
    RUN(json_has_what_happened_and_no_query);
    RUN(json_has_who_and_how);
    RUN(urls_are_bared);
    RUN(strings_are_cut_and_escaped);
    RUN(the_longest_line_is_written);
    RUN(ncsa_forms_are_one_line_each);
    return checks_done();
}
