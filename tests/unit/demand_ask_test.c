#include "certs/demand_ask.h"

#include "base/buf.h"
#include "check.h"
#include "http_recorder.h"

#include <signal.h>
#include <stdlib.h>

static struct http_recorder server;

struct world {
    uv_loop_t uv;
    struct net_loop *loop;
    struct offload_pool *pool;
    struct offload_port *port;
    struct resolver *resolver;
    struct demand_ask *ask;
};

struct question {
    struct asker_call call;
    unsigned num_done;
    enum demand_answer answer;
    char why[300];
};

static void world_init(struct world *world, const char *url, const char *roots)
{
    http_recorder_forget(&server);
    uv_loop_init(&world->uv);
    world->loop = net_loop_new(&world->uv);
    world->pool = offload_pool_new("resolve", 1, 0, 16);
    world->port = offload_port_new(&world->uv);
    world->resolver = resolver_new(world->loop, world->pool, world->port, 30000);
    struct demand_ask_options options = {.loop = world->loop,
                                         .resolver = world->resolver,
                                         .extra_roots_pem = slice_str(roots),
                                         .version = "9.9",
                                         .call_ms = 500};
    world->ask = demand_ask_new(&options);
    struct asker *asker = demand_ask_base(world->ask);
    asker->set_url(asker, slice_str(url));
}

static void world_cleanup(struct world *world)
{
    demand_ask_free(world->ask);
    for (int i = 0; i < 5; i++)
        uv_run(&world->uv, UV_RUN_NOWAIT);
    uv_run(&world->uv, UV_RUN_DEFAULT);
    resolver_free(world->resolver);
    offload_port_close(world->port);
    net_loop_close(world->loop);
    uv_run(&world->uv, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&world->uv), 0);
    offload_pool_free(world->pool);
}

static void question_done(struct asker_call *call, enum demand_answer answer, struct slice why)
{
    struct question *question = container_of(call, struct question, call);
    question->num_done++;
    question->answer = answer;
    snprintf(question->why, sizeof question->why, "%.*s", (int)why.len, why.len ? why.ptr : "");
}

static void question_ask(struct world *world, struct question *question, const char *name, const char *client)
{
    struct asker *asker = demand_ask_base(world->ask);
    *question =
        (struct question){.call = {.name = slice_str(name), .client = slice_str(client), .done = question_done}};
    asker->ask(asker, &question->call);
    CHECK_INT(question->num_done, 0);
}

static struct question answered(struct world *world, const char *name, const char *client)
{
    struct question question;
    question_ask(world, &question, name, client);
    while (!question.num_done && uv_run(&world->uv, UV_RUN_ONCE))
        ;
    CHECK_INT(question.num_done, 1);
    return question;
}

static const char *url_with(const char *rest)
{
    static char url[128];
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", (unsigned)server.port, rest);
    return url;
}

static void a_question_and_who_brought_it(void)
{
    struct world world;
    char expected[256];
    world_init(&world, url_with("/may"), "");
    CHECK_INT(answered(&world, "a.example.com", "2001:db8::7").answer, DEMAND_YES);
    snprintf(expected, sizeof expected,
             "GET /may?domain=a.example.com HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUser-Agent: portico/9.9\r\n"
             "X-Forwarded-For: 2001:db8::7\r\n\r\n\n",
             (unsigned)server.port);
    CHECK_STR(server.calls, expected);
    http_recorder_forget(&server);
    CHECK_INT(answered(&world, "b.example.com", "").answer, DEMAND_YES);
    CHECK(!strstr(server.calls, "X-Forwarded-For"));
    world_cleanup(&world);
}

static void a_query_is_added_to(void)
{
    struct world world;
    world_init(&world, url_with("/may?token=t"), "");
    CHECK_INT(answered(&world, "a.example.com", "").answer, DEMAND_YES);
    CHECK(strstr(server.calls, "GET /may?token=t&domain=a.example.com HTTP/1.1\r\n"));
    world_cleanup(&world);
}

static void what_answers_mean(void)
{
    static const struct {
        unsigned status;
        enum demand_answer answer;
    } cases[] = {{200, DEMAND_YES},     {201, DEMAND_YES},    {299, DEMAND_YES}, {302, DEMAND_NO},
                 {400, DEMAND_NO},      {404, DEMAND_NO},     {403, DEMAND_NO},  {429, DEMAND_UNKNOWN},
                 {500, DEMAND_UNKNOWN}, {503, DEMAND_UNKNOWN}};
    struct world world;
    world_init(&world, url_with("/"), "");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        server.status = cases[i].status;
        CHECK_INT(answered(&world, "a.example.com", "").answer, cases[i].answer);
    }
    CHECK_STR(answered(&world, "a.example.com", "").why, "PORTICO_ON_DEMAND_ASK: answered 503");
    world_cleanup(&world);
}

static void no_answer_is_none(void)
{
    struct world world;
    world_init(&world, url_with("/"), "");
    server.status = 0;
    struct question question = answered(&world, "a.example.com", "");
    CHECK_INT(question.answer, DEMAND_UNKNOWN);
    CHECK_STR(question.why, "PORTICO_ON_DEMAND_ASK: 127.0.0.1: no answer within 1 s (waiting for the answer)");
    world_cleanup(&world);
    world_init(&world, "http://127.0.0.1:1/", "");
    question = answered(&world, "a.example.com", "");
    CHECK_INT(question.answer, DEMAND_UNKNOWN);
    CHECK_STR(question.why, "PORTICO_ON_DEMAND_ASK: 127.0.0.1: connect: Connection refused");
    world_cleanup(&world);
}

static void nobody_to_ask(void)
{
    struct world world;
    world_init(&world, "", "");
    CHECK_INT(answered(&world, "a.example.com", "").answer, DEMAND_UNKNOWN);
    world_cleanup(&world);
    world_init(&world, url_with("/"), "no certificate");
    struct question question = answered(&world, "a.example.com", "");
    CHECK_INT(question.answer, DEMAND_UNKNOWN);
    CHECK(strstr(question.why, "PORTICO_ACME_CA"));
    world_cleanup(&world);
}

static void canceled_questions_are_silent(void)
{
    struct world world;
    struct question first, second;
    world_init(&world, url_with("/"), "");
    struct asker *asker = demand_ask_base(world.ask);
    question_ask(&world, &first, "a.example.com", "");
    asker->cancel(asker, &first.call);
    asker->set_url(asker, SLICE_NONE);
    question_ask(&world, &second, "b.example.com", "");
    asker->cancel(asker, &second.call);
    for (int i = 0; i < 20; i++)
        uv_run(&world.uv, UV_RUN_NOWAIT);
    CHECK_INT(first.num_done + second.num_done, 0);
    world_cleanup(&world);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN); /* as main does */
    http_recorder_start(&server);
    RUN(a_question_and_who_brought_it);
    RUN(a_query_is_added_to);
    RUN(what_answers_mean);
    RUN(no_answer_is_none);
    RUN(nobody_to_ask);
    RUN(canceled_questions_are_silent);
    return checks_done();
}
