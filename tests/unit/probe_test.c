#include "client/probe.h"

#include "check.h"
#include "scripted_server.h"
#include "test_cert.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

static struct server plain, secure;

struct world {
    uv_loop_t uv;
    struct net_loop *loop;
    struct probe_client *client;
};

static void world_init(struct world *world)
{
    uv_loop_init(&world->uv);
    world->loop = net_loop_new(&world->uv);
    world->client = probe_client_new(world->loop);
}

static void world_cleanup(struct world *world)
{
    probe_client_close(world->client);
    for (int i = 0; i < 5; i++)
        uv_run(&world->uv, UV_RUN_NOWAIT);
    uv_run(&world->uv, UV_RUN_DEFAULT);
    net_loop_close(world->loop);
    uv_run(&world->uv, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&world->uv), 0);
}

struct asked {
    struct probe probe;
    struct world *world;
    unsigned num_done, status;
    struct err err;
    bool opened;
    char location[64], body[PROBE_BODY_BYTES + 1];
    size_t body_len;
    struct asked *cancel;
};

static void asked_done(struct probe *probe, const struct probe_answer *answer)
{
    struct asked *asked = container_of(probe, struct asked, probe);
    asked->num_done++;
    asked->status = answer->status;
    asked->err = answer->err;
    asked->opened = answer->opened;
    asked->body_len = answer->body.len;
    snprintf(asked->location, sizeof asked->location, "%.*s", (int)answer->location.len,
             answer->location.len ? answer->location.ptr : "");
    snprintf(asked->body, sizeof asked->body, "%.*s", (int)answer->body.len, answer->body.len ? answer->body.ptr : "");
    if (asked->cancel)
        probe_cancel(&asked->cancel->probe);
}

static void ask(struct world *world, struct asked *asked, uint16_t port, bool tls, const char *path,
                uint64_t timeout_ms)
{
    struct address address;
    *asked = (struct asked){.probe = {.done = asked_done}, .world = world};
    address_parse_ip(SLICE_LIT("127.0.0.1"), port, &address);
    struct probe_target target = {.address = &address,
                                  .secure = tls,
                                  .host = SLICE_LIT("name.example"),
                                  .authority = SLICE_LIT("name.example"),
                                  .target = slice_str(path),
                                  .user_agent = SLICE_LIT("portico/test")};
    probe_send(world->client, &target, timeout_ms, &asked->probe);
    CHECK_INT(asked->num_done, 0); /* never from within */
}

static struct asked answer_of(struct world *world, uint16_t port, bool tls, const char *path, uint64_t timeout_ms)
{
    struct asked asked;
    ask(world, &asked, port, tls, path, timeout_ms);
    while (asked.num_done == 0 && uv_run(&world->uv, UV_RUN_ONCE))
        continue;
    CHECK_INT(asked.num_done, 1);
    CHECK(!asked.probe.flight);
    return asked;
}

static void the_address_is_asked_for_another_name(void)
{
    struct world world;
    world_init(&world);
    struct asked asked = answer_of(&world, plain.port, false, "/hello?x", PROBE_MS);
    CHECK(!err_is(asked.err) && asked.opened);
    CHECK_INT(asked.status, 200);
    CHECK(strncmp(asked.body, "GET /hello?x HTTP/1.1\r\nHost: name.example\r\nUser-Agent: portico/test\r\n", 60) == 0);
    asked = answer_of(&world, plain.port, false, "/redirect", PROBE_MS);
    CHECK_INT(asked.status, 302);
    CHECK_STR(asked.location, "/hello");
    world_cleanup(&world);
}

/* ACME-72: nobody's certificate is verified behind a redirect. */
static void any_certificate_will_do(void)
{
    struct world world;
    world_init(&world);
    CHECK_INT(answer_of(&world, secure.port, true, "/hello", PROBE_MS).status, 200);
    CHECK(err_is(answer_of(&world, plain.port, true, "/hello", 500).err));
    world_cleanup(&world);
}

static void bodies_are_kept_to_a_bound(void)
{
    struct world world;
    world_init(&world);
    struct asked asked = answer_of(&world, plain.port, false, "/big", PROBE_MS);
    CHECK_INT(asked.status, 200);
    CHECK_INT(asked.body_len, PROBE_BODY_BYTES);
    CHECK_INT(answer_of(&world, plain.port, false, "/big-chunked", PROBE_MS).body_len, PROBE_BODY_BYTES);
    world_cleanup(&world);
}

static uint16_t closed_port(void)
{
    struct address address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    address_parse_ip(SLICE_LIT("127.0.0.1"), 0, &address);
    CHECK(bind(fd, &address.at.any, address.len) == 0 && address_of_socket(fd, &address));
    close(fd);
    return address_port(&address);
}

static void failures_tell_how_far_it_came(void)
{
    struct world world;
    world_init(&world);
    struct asked asked = answer_of(&world, plain.port, false, "/nonsense", PROBE_MS);
    CHECK(asked.err.kind == ERR_INPUT && asked.opened && asked.status == 0);
    asked = answer_of(&world, plain.port, false, "/silent", 100);
    CHECK(asked.err.kind == ERR_TIMEOUT && asked.opened);
    asked = answer_of(&world, plain.port, false, "/cut", PROBE_MS);
    CHECK(err_is(asked.err));
    CHECK_STR(asked.body, "only this");
    asked = answer_of(&world, closed_port(), false, "/", PROBE_MS);
    CHECK(asked.err.kind == ERR_SYSTEM && asked.err.code == ECONNREFUSED && !asked.opened);
    world_cleanup(&world);
}

static void canceled_probes_are_not_answered(void)
{
    struct world world;
    struct asked first, second, third;
    world_init(&world);
    ask(&world, &first, plain.port, false, "/silent", PROBE_MS); /* before it is connected */
    probe_cancel(&first.probe);
    probe_cancel(&first.probe);
    ask(&world, &first, plain.port, false, "/silent", PROBE_MS);
    ask(&world, &second, plain.port, false, "/hello", PROBE_MS);
    second.cancel = &first;
    ask(&world, &third, plain.port, false, "/silent", PROBE_MS); /* runs when its client is closed */
    while (second.num_done == 0 && uv_run(&world.uv, UV_RUN_ONCE))
        continue;
    CHECK_INT(second.status, 200);
    world_cleanup(&world);
    CHECK_INT(first.num_done + third.num_done, 0);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    struct cert *cert = test_cert_for("other.test");
    server_start(&plain, NULL);
    server_start(&secure, cert);
    RUN(the_address_is_asked_for_another_name);
    RUN(any_certificate_will_do);
    RUN(bodies_are_kept_to_a_bound);
    RUN(failures_tell_how_far_it_came);
    RUN(canceled_probes_are_not_answered);
    cert_unref(cert);
    return checks_done();
}
