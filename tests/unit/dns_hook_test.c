#include "base/limits.h"
#include "certs/dns_hook.h"
#include "check.h"
#include "dns_server.h"
#include "http_recorder.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- a program as hook, which writes down each call ---- */

static char directory[] = "/tmp/portico-hook-XXXXXX";
static char program[64];
static struct runner *runner;

static const char script[] = "#!/bin/sh\n"
                             "cd ${0%/*}\n"
                             "echo begin $* >> calls\n"
                             "case $2 in\n"
                             "  *fails.*) echo no such zone; [ $1 = present ] && exit 3;;\n"
                             "  *holds.*) [ $1 = present ] && while [ ! -e go ]; do sleep 0.02; done;;\n"
                             "  *hangs.*) sleep 600;;\n"
                             "esac\n"
                             "echo end $* >> calls\n";

static void program_write(void)
{
    snprintf(program, sizeof program, "%s/hook", directory);
    FILE *file = fopen(program, "w");
    fputs(script, file);
    fclose(file);
    chmod(program, 0700);
}

static const char *path_in(const char *name)
{
    static char path[96];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

/* What it wrote since the last call of this. */
static char *calls_take(void)
{
    static char text[4096];
    FILE *file = fopen(path_in("calls"), "r");
    size_t len = file ? fread(text, 1, sizeof text - 1, file) : 0;
    text[len] = '\0';
    if (file)
        fclose(file);
    return text;
}

static struct http_recorder url_hook; /* a URL as hook, which does so too */

/* ---- a hook; the loop is one for all, as the runner's ---- */

static uv_loop_t uv;
static struct net_loop *loop;
static struct resolver *resolver;

struct world {
    struct dns_server server;
    struct dns *dns;
    struct log *log;
    int log_fd;
    struct dns_hook *hook;
    bool closed;
    char said[8192];
};

struct publication {
    struct dns_hook_publication base;
    unsigned num_done;
    struct err err;
    char sentence[400];
};

static void world_init(struct world *world, struct dns_hook_options options, const struct dns_server_record *records)
{
    *world = (struct world){0};
    unlink(path_in("calls"));
    unlink(path_in("go"));
    http_recorder_forget(&url_hook);
    world->log_fd = open(path_in("log"), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    world->log = log_new(world->log_fd, LOG_FORMAT_JSON, LOG_LEVEL_DEBUG);
    options.loop = loop;
    options.resolver = resolver;
    options.version = "9.9";
    options.log = log_ring_new(world->log, "test");
    if (records) {
        dns_server_open(&world->server, &uv, records);
        struct dns_options dns = {.loop = loop, .servers = &world->server.address, .num_servers = 1};
        options.dns = world->dns = dns_new(&dns);
    }
    CHECK(!err_is(dns_hook_new(&options, &world->hook)));
}

static void world_init_program(struct world *world)
{
    world_init(world, (struct dns_hook_options){.hook = slice_str(program), .runner = runner}, NULL);
}

static void world_init_url(struct world *world, const char *userinfo)
{
    static char url[128];
    snprintf(url, sizeof url, "http://%s127.0.0.1:%u/hook?zone=1", userinfo, (unsigned)url_hook.port);
    world_init(world, (struct dns_hook_options){.hook = slice_str(url)}, NULL);
}

static const char *world_said(struct world *world)
{
    FILE *file = fopen(path_in("log"), "r");
    size_t len = fread(world->said, 1, sizeof world->said - 1, file);
    world->said[len] = '\0';
    fclose(file);
    return world->said;
}

/* Its close takes as long as what it has to remove. */
static void world_closed(void *ctx)
{
    ((struct world *)ctx)->closed = true;
}

static void world_cleanup(struct world *world)
{
    dns_hook_close(world->hook, world_closed, world);
    CHECK(!world->closed);
    while (!world->closed && uv_run(&uv, UV_RUN_ONCE))
        ;
    dns_free(world->dns);
    if (world->dns)
        dns_server_close(&world->server);
    uv_run(&uv, UV_RUN_NOWAIT);
    log_free(world->log);
    close(world->log_fd);
}

static void publication_done(struct dns_hook_publication *base, struct err err, struct slice sentence)
{
    struct publication *publication = container_of(base, struct publication, base);
    publication->num_done++;
    publication->err = err;
    snprintf(publication->sentence, sizeof publication->sentence, "%.*s", (int)sentence.len,
             sentence.len ? sentence.ptr : "");
}

static void present(struct world *world, struct publication *publication, const char *name, const char *value)
{
    *publication = (struct publication){.base.done = publication_done};
    dns_hook_present(world->hook, slice_str(name), slice_str(value), &publication->base);
    CHECK_INT(publication->num_done, 0);
}

static void wait_done(struct publication *publication)
{
    while (!publication->num_done && uv_run(&uv, UV_RUN_ONCE))
        ;
    CHECK_INT(publication->num_done, 1);
}

/* Until the program has said so. */
static void wait_call(const char *text)
{
    while (!strstr(calls_take(), text)) {
        uv_run(&uv, UV_RUN_NOWAIT);
        usleep(1000);
    }
}

static void let_go(void)
{
    close(open(path_in("go"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}

/* ---- a program ---- */

static void a_program_is_called_as_by_lego(void)
{
    struct world world;
    struct publication publication;
    world_init_program(&world);
    present(&world, &publication, "a.example", "v1");
    wait_done(&publication);
    CHECK(!err_is(publication.err));
    CHECK_STR(calls_take(), "begin present _acme-challenge.a.example. v1\nend present _acme-challenge.a.example. v1\n");
    dns_hook_withdraw(&publication.base);
    wait_call("end cleanup _acme-challenge.a.example. v1\n");
    CHECK_INT(publication.num_done, 1);
    world_cleanup(&world);
    CHECK(strstr(world_said(&world),
                 "\"event\":\"dns_hook_called\",\"fqdn\":\"_acme-challenge.a.example.\",\"action\":\"present\""));
}

static void a_failure_is_told_with_its_output_and_cleaned_up(void)
{
    struct world world;
    struct publication publication;
    world_init_program(&world);
    present(&world, &publication, "fails.example", "v");
    wait_done(&publication);
    CHECK_INT(publication.err.kind, ERR_INPUT);
    CHECK(strstr(publication.sentence,
                 "PORTICO_ACME_DNS_HOOK did not make the TXT record _acme-challenge.fails.example.: /"));
    CHECK(strstr(publication.sentence, "/hook ended with exit code 3: no such zone"));
    CHECK(strstr(world_said(&world), "\"event\":\"dns_hook_failed\""));
    CHECK(strstr(world.said, "/hook ended with exit code 3: no such zone\""));
    dns_hook_withdraw(&publication.base);
    wait_call("end cleanup _acme-challenge.fails.example. v\n");
    world_cleanup(&world);
}

/* a.com and *.a.com: the first value must not go with the second. */
static void two_values_of_one_name(void)
{
    struct world world;
    struct publication first, second;
    world_init_program(&world);
    present(&world, &first, "holds.example", "v1");
    present(&world, &second, "holds.example", "v2");
    wait_call("begin present _acme-challenge.holds.example. v1\n");
    let_go();
    wait_done(&first);
    wait_done(&second);
    /* One behind the other: a hook may read, change and write the set. */
    CHECK_STR(calls_take(),
              "begin present _acme-challenge.holds.example. v1\nend present _acme-challenge.holds.example. v1\n"
              "begin present _acme-challenge.holds.example. v2\nend present _acme-challenge.holds.example. v2\n");
    dns_hook_withdraw(&first.base);
    wait_call("end cleanup _acme-challenge.holds.example. v1\n");
    CHECK(!strstr(calls_take(), "cleanup _acme-challenge.holds.example. v2"));
    dns_hook_withdraw(&second.base);
    wait_call("end cleanup _acme-challenge.holds.example. v2\n");
    world_cleanup(&world);
}

static void other_names_do_not_wait(void)
{
    struct world world;
    struct publication slow, quick;
    world_init_program(&world);
    present(&world, &slow, "holds.example", "v1");
    present(&world, &quick, "b.example", "v2");
    wait_done(&quick);
    CHECK_INT(slow.num_done, 0);
    let_go();
    wait_done(&slow);
    dns_hook_withdraw(&slow.base);
    dns_hook_withdraw(&quick.base);
    world_cleanup(&world);
    CHECK(strstr(calls_take(), "end cleanup _acme-challenge.holds.example. v1\n"));
    CHECK(strstr(calls_take(), "end cleanup _acme-challenge.b.example. v2\n"));
}

static void a_few_at_a_time(void)
{
    enum { NUM = LIMIT_HOOK_RUNNING + 2 };
    struct world world;
    struct publication publications[NUM];
    char name[32];
    world_init_program(&world);
    for (int i = 0; i < NUM; i++) {
        snprintf(name, sizeof name, "%d.holds.example", i);
        present(&world, &publications[i], name, "v");
    }
    wait_call("begin present _acme-challenge.3.holds.example. v\n");
    CHECK(!strstr(calls_take(), ".4.holds."));
    dns_hook_withdraw(&publications[5].base); /* never begun: nothing to remove */
    let_go();
    for (int i = 0; i < NUM - 1; i++) {
        wait_done(&publications[i]);
        dns_hook_withdraw(&publications[i].base);
    }
    world_cleanup(&world);
    CHECK(strstr(calls_take(), "end cleanup _acme-challenge.4.holds.example. v\n"));
    CHECK(!strstr(calls_take(), ".5.holds."));
}

static void withdrawn_while_it_runs(void)
{
    struct world world;
    struct publication publication;
    world_init_program(&world);
    present(&world, &publication, "holds.example", "v");
    wait_call("begin present");
    dns_hook_withdraw(&publication.base);
    let_go();
    wait_call("end cleanup _acme-challenge.holds.example. v\n");
    CHECK(strstr(calls_take(), "end present")); /* it came to its end first */
    CHECK_INT(publication.num_done, 0);
    world_cleanup(&world);
}

static void a_close_ends_what_runs_and_cleans_up(void)
{
    struct world world;
    struct publication running, standing;
    world_init_program(&world);
    present(&world, &standing, "a.example", "v");
    wait_done(&standing);
    present(&world, &running, "holds.example", "v");
    wait_call("begin present _acme-challenge.holds.example. v\n");
    dns_hook_withdraw(&running.base);
    dns_hook_withdraw(&standing.base);
    world_cleanup(&world);
    CHECK(!strstr(calls_take(), "end present _acme-challenge.holds.example. v\n"));
    CHECK(strstr(calls_take(), "end cleanup _acme-challenge.holds.example. v\n"));
    CHECK(strstr(calls_take(), "end cleanup _acme-challenge.a.example. v\n"));
}

static void what_cannot_be_removed_in_time_is_named(void)
{
    struct world world;
    struct publication publication;
    world_init(&world, (struct dns_hook_options){.hook = slice_str(program), .runner = runner, .leave_ms = 300}, NULL);
    present(&world, &publication, "hangs.example", "v");
    wait_call("begin present");
    dns_hook_withdraw(&publication.base);
    world_cleanup(&world);
    CHECK(strstr(world_said(&world),
                 "\"event\":\"dns_record_left\",\"fqdn\":\"_acme-challenge.hangs.example.\",\"value\":\"v\""));
}

static void its_time_is_limited(void)
{
    struct world world;
    struct publication publication;
    world_init(&world, (struct dns_hook_options){.hook = slice_str(program), .runner = runner, .call_ms = 300}, NULL);
    present(&world, &publication, "hangs.example", "v");
    wait_done(&publication);
    CHECK(err_is(publication.err));
    CHECK(strstr(world_said(&world), "the program did not end in time and was killed"));
    dns_hook_withdraw(&publication.base);
    world_cleanup(&world);
}

static void another_program_needs_a_restart(void)
{
    struct dns_hook *hook;
    struct dns_hook_options options = {.loop = loop, .hook = SLICE_LIT("/bin/other"), .runner = runner, .version = "9"};
    CHECK(err_is(dns_hook_new(&options, &hook)));
    options.runner = NULL;
    CHECK(err_is(dns_hook_new(&options, &hook)));
}

/* ---- a URL ---- */

static void a_url_is_called_as_by_lego(void)
{
    struct world world;
    struct publication publication;
    world_init_url(&world, "us%40er:p:a%2fs@");
    present(&world, &publication, "a.example", "v-1_");
    wait_done(&publication);
    CHECK(!err_is(publication.err));
    dns_hook_withdraw(&publication.base);
    world_cleanup(&world);
    char expected[1024];
    const char *form = "POST /hook/%s?zone=1 HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUser-Agent: portico/9.9\r\n"
                       "Content-Type: application/json\r\nAuthorization: Basic dXNAZXI6cDphL3M=\r\n"
                       "Content-Length: 52\r\n\r\n{\"fqdn\":\"_acme-challenge.a.example.\",\"value\":\"v-1_\"}\n";
    int len = snprintf(expected, sizeof expected, form, "present", (unsigned)url_hook.port);
    snprintf(expected + len, sizeof expected - (size_t)len, form, "cleanup", (unsigned)url_hook.port);
    CHECK_STR(url_hook.calls, expected);
    CHECK(!strstr(world_said(&world), "p:a") && !strstr(world.said, "dXNAZ"));
}

static void a_url_that_refuses(void)
{
    struct world world;
    struct publication publication;
    world_init_url(&world, "user:secret@");
    url_hook.status = 403;
    present(&world, &publication, "a.example", "v");
    wait_done(&publication);
    CHECK(err_is(publication.err));
    CHECK(strstr(world_said(&world), " answered 403: zone: no\""));
    CHECK(!strstr(world.said, "secret"));
    url_hook.status = 201;
    dns_hook_withdraw(&publication.base);
    world_cleanup(&world);
    CHECK(strstr(url_hook.calls, "POST /hook/cleanup?zone=1 "));
    CHECK(strstr(world_said(&world), "\"action\":\"cleanup\""));
}

static void a_url_where_nobody_is(void)
{
    struct world world;
    struct publication publication;
    world_init(&world, (struct dns_hook_options){.hook = SLICE_LIT("http://u:secret@127.0.0.1:1/")}, NULL);
    present(&world, &publication, "a.example", "v");
    wait_done(&publication);
    CHECK(err_is(publication.err));
    dns_hook_withdraw(&publication.base);
    world_cleanup(&world);
    CHECK(strstr(world_said(&world), "127.0.0.1: connect: Connection refused"));
    CHECK(!strstr(world.said, "secret"));
}

/* ---- until it can be seen ---- */

static const struct dns_server_record nothing[] = {{"other.com", DNS_SERVER_A, "192.0.2.1"}, {0}};
static const struct dns_server_record others[] = {{"_acme-challenge.a.com", DNS_SERVER_TXT, "old"}, {0}};
static const struct dns_server_record there[] = {{"_acme-challenge.a.com", DNS_SERVER_CNAME, "a.acme-dns.net"},
                                                 {"a.acme-dns.net", DNS_SERVER_TXT, "old"},
                                                 {"a.acme-dns.net", DNS_SERVER_TXT, "value"},
                                                 {0}};
static const struct dns_server_record refused[] = {{"_acme-challenge.a.com", DNS_SERVER_RCODE, "5"}, {0}};

static const char *looked(const struct dns_server_record *records, const char *name, uint64_t look_ms)
{
    static struct world world;
    struct publication publication;
    world_init(&world, (struct dns_hook_options){.hook = slice_str(program), .runner = runner, .look_ms = look_ms},
               records);
    present(&world, &publication, name, "value");
    wait_done(&publication);
    CHECK(!err_is(publication.err));
    dns_hook_withdraw(&publication.base);
    world_cleanup(&world);
    CHECK(strstr(calls_take(), "end cleanup"));
    return world_said(&world);
}

static void a_record_is_waited_for(void)
{
    CHECK(strstr(looked(there, "a.com", 3000), "\"event\":\"dns_record_seen\",\"fqdn\":\"_acme-challenge.a.com.\""));
    const char *said = looked(others, "a.com", 600);
    CHECK(strstr(said, "\"event\":\"dns_record_not_seen\"") && strstr(said, "\"reason\":\"has other values\""));
    CHECK(strstr(looked(nothing, "a.com", 600), "NXDOMAIN"));
    CHECK(
        strstr(looked(refused, "a.com", 3000), "\"event\":\"dns_record_not_seen\"")); /* at once: nobody will answer */
    said = looked(nothing, "a.internal", 0);                                          /* not looked for */
    CHECK(!strstr(said, "dns_record"));
}

static void withdrawn_while_it_is_looked_for(void)
{
    struct world world;
    struct publication publication;
    world_init(&world, (struct dns_hook_options){.hook = slice_str(program), .runner = runner, .look_ms = 3000},
               nothing);
    present(&world, &publication, "a.com", "value");
    while (world.server.num_questions == 0 && uv_run(&uv, UV_RUN_ONCE))
        ;
    dns_hook_withdraw(&publication.base);
    wait_call("end cleanup _acme-challenge.a.com. value\n");
    CHECK_INT(publication.num_done, 0);
    world_cleanup(&world);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN); /* as main does */
    if (!mkdtemp(directory))
        return 1;
    program_write();
    static const char *const environment[] = {"PATH=/usr/bin:/bin", NULL};
    struct runner_options options = {.program = program, .names = {"A", "B", "C"}, .environment = environment};
    if (err_is(runner_new(&options, &runner)))
        return 1;
    uv_loop_init(&uv);
    loop = net_loop_new(&uv);
    struct offload_pool *pool = offload_pool_new("resolve", 1, 0, 16);
    struct offload_port *port = offload_port_new(&uv);
    resolver = resolver_new(loop, pool, port, 30000);
    runner_attach(runner, loop);
    http_recorder_start(&url_hook);
    RUN(a_program_is_called_as_by_lego);
    RUN(a_failure_is_told_with_its_output_and_cleaned_up);
    RUN(two_values_of_one_name);
    RUN(other_names_do_not_wait);
    RUN(a_few_at_a_time);
    RUN(withdrawn_while_it_runs);
    RUN(a_close_ends_what_runs_and_cleans_up);
    RUN(what_cannot_be_removed_in_time_is_named);
    RUN(its_time_is_limited);
    RUN(another_program_needs_a_restart);
    RUN(a_url_is_called_as_by_lego);
    RUN(a_url_that_refuses);
    RUN(a_url_where_nobody_is);
    RUN(a_record_is_waited_for);
    RUN(withdrawn_while_it_is_looked_for);
    runner_unref(runner);
    resolver_free(resolver);
    offload_port_close(port);
    net_loop_close(loop);
    uv_run(&uv, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&uv), 0);
    offload_pool_free(pool);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command) != 0 || checks_done();
}
