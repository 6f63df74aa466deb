/* The pool over real sockets: reuse, the peek before it, limits, waits that are given up. */
#include "upstream/pool.h"

#include "base/mem.h"
#include "check.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

struct world {
    uv_loop_t uv;
    struct net_loop *loop;
    struct offload_pool *threads;
    struct offload_port *port;
    struct resolver *resolver;
    struct counters counters;
    const struct config *config;
    const struct config_group *group;
    struct pool *pool;
    int listener;
    bool closed;
};

/* Who wants a connection, and uses it for one request. */
struct asker {
    struct world *world;
    struct pool_wait wait;
    struct http_user user;
    struct arena arena;
    struct upstream *upstream;
    struct err err;
    unsigned num_done;
    bool ended, failed, reused;
};

static void user_head(struct http_user *user, struct head *head)
{
    (void)user, (void)head;
}

static void user_body(struct http_user *user, struct slice bytes)
{
    (void)user, (void)bytes;
}

static void user_end(struct http_user *user, const struct fields *trailers)
{
    struct asker *asker = container_of(user, struct asker, user);
    (void)trailers;
    asker->ended = true;
    asker->upstream = NULL;
}

static void user_failed(struct http_user *user, struct err err, enum http_progress progress)
{
    (void)progress;
    struct asker *asker = container_of(user, struct asker, user);
    (void)err;
    asker->failed = true;
    asker->upstream = NULL;
}

static void user_nothing(struct http_user *user)
{
    (void)user;
}

static const struct http_user_ops user_ops = {.head = user_head,
                                              .body = user_body,
                                              .end = user_end,
                                              .failed = user_failed,
                                              .drained = user_nothing,
                                              .flush = user_nothing};

static void asker_begin(struct asker *asker, struct upstream *upstream)
{
    static const struct head head = {
        .method = METHOD_GET, .method_name = {"GET", 3}, .target = {"/", 1}, .authority = {"a.test", 6}, .version = 11};
    static const struct fields none;
    struct upstream_request request = {&head, &none};
    asker->upstream = upstream;
    upstream->ops->begin(upstream, &asker->user, &asker->arena, &request);
    upstream->ops->end(upstream, NULL);
}

static void asker_acquired(struct pool_wait *wait, struct upstream *upstream, struct err err)
{
    struct asker *asker = container_of(wait, struct asker, wait);
    asker->num_done++;
    asker->err = err;
    if (!upstream)
        return;
    asker->reused = upstream->reused;
    asker_begin(asker, upstream);
}

/* Returns whether an idle connection was there. */
static bool ask(struct asker *asker, struct world *world, bool fresh_only)
{
    *asker = (struct asker){.world = world, .user = {&user_ops}};
    pool_wait_init(&asker->wait, world->pool, asker_acquired);
    struct upstream *upstream = pool_acquire(&asker->wait, world->config, world->group, fresh_only);
    if (upstream) {
        CHECK(upstream->reused);
        asker_begin(asker, upstream);
    }
    CHECK_INT(asker->num_done, 0); /* never from within */
    return upstream != NULL;
}

static void turn(struct world *world, const unsigned *num)
{
    for (int i = 0; i < 4000 && (num ? !*num : i < 40); i++) {
        uv_run(&world->uv, UV_RUN_NOWAIT);
        usleep(500);
    }
}

static int serve_accept(struct world *world)
{
    int fd = accept(world->listener, NULL, NULL);
    CHECK(fd >= 0);
    return fd;
}

static void serve(struct world *world, int fd, const char *answer)
{
    char in[1024];
    CHECK(recv(fd, in, sizeof in, 0) > 0);
    CHECK(send(fd, answer, strlen(answer), 0) == (ssize_t)strlen(answer));
    turn(world, NULL);
}

#define OK "HTTP/1.1 204 No Content\r\n\r\n"

static void world_init(struct world *world, const char *more)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    char upstream[64];
    struct config *config = NULL;
    struct config_mistakes mistakes = {0};
    *world = (struct world){.listener = socket(AF_INET, SOCK_STREAM, 0)};
    if (bind(world->listener, (struct sockaddr *)&at, sizeof at) != 0 || listen(world->listener, 16) != 0 ||
        getsockname(world->listener, (struct sockaddr *)&at, &len) != 0)
        abort();
    snprintf(upstream, sizeof upstream, "PORTICO_UPSTREAM=http://127.0.0.1:%u", ntohs(at.sin_port));
    const char *environment[] = {"PORTICO_DOMAINS=a.test", upstream, more, NULL};
    CHECK(config_load(environment, &config, &mistakes));
    config_mistakes_cleanup(&mistakes);
    world->config = config;
    world->group = config->default_site.group;
    uv_loop_init(&world->uv);
    world->loop = net_loop_new(&world->uv);
    uv_ref((uv_handle_t *)&world->loop->prepare);
    world->threads = offload_pool_new("resolve", 1, 0, 4);
    world->port = offload_port_new(&world->uv);
    world->resolver = resolver_new(world->loop, world->threads, world->port, 60000);
    struct pool_options options = {.loop = world->loop, .resolver = world->resolver, .counters = &world->counters};
    world->pool = pool_new(&options);
}

static void world_closed(void *ctx)
{
    ((struct world *)ctx)->closed = true;
}

static void asker_leave(struct asker *asker)
{
    pool_wait_cancel(&asker->wait);
    pool_wait_cancel(&asker->wait);
    if (asker->upstream)
        asker->upstream->ops->detach(asker->upstream);
    arena_cleanup(&asker->arena);
}

static void world_cleanup(struct world *world)
{
    pool_close(world->pool, world_closed, world);
    CHECK(!world->closed); /* never from within */
    for (int i = 0; i < 8000 && !world->closed; i++) {
        uv_run(&world->uv, UV_RUN_NOWAIT);
        usleep(500);
    }
    CHECK(world->closed);
    resolver_free(world->resolver);
    offload_port_close(world->port);
    uv_unref((uv_handle_t *)&world->loop->prepare);
    net_loop_close(world->loop);
    uv_run(&world->uv, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&world->uv), 0);
    offload_pool_free(world->threads);
    config_unref(world->config);
    close(world->listener);
}

static void a_connection_is_used_again(void)
{
    struct world world;
    struct asker first, second, third;
    world_init(&world, NULL);
    CHECK(!ask(&first, &world, false));
    turn(&world, &first.num_done);
    int fd = serve_accept(&world);
    serve(&world, fd, OK);
    CHECK(first.ended);
    CHECK(ask(&second, &world, false));
    CHECK(!ask(&third, &world, false)); /* lent to one at a time */
    serve(&world, fd, OK);
    CHECK(second.ended);
    turn(&world, &third.num_done);
    CHECK(third.upstream && third.upstream->backend_text.len > 0);
    asker_leave(&first);
    asker_leave(&second);
    asker_leave(&third);
    CHECK_INT(counters_get(&world.counters, COUNTER_UPSTREAM_CONNECTS), 2);
    CHECK_INT(counters_get(&world.counters, COUNTER_UPSTREAM_REUSES), 1);
    close(fd);
    world_cleanup(&world);
}

/* B2: what ended, or spoke, since the loop last looked is not used: the socket is asked. */
static void an_idle_connection_is_looked_at_before_it_is_used(void)
{
    for (int speaks = 0; speaks < 2; speaks++) {
        struct world world;
        struct asker first, second;
        world_init(&world, NULL);
        CHECK(!ask(&first, &world, false));
        turn(&world, &first.num_done);
        int fd = serve_accept(&world);
        serve(&world, fd, OK);
        if (speaks)
            CHECK(send(fd, "H", 1, 0) == 1);
        else
            shutdown(fd, SHUT_WR);
        usleep(2000); /* no turn of the loop in between */
        CHECK(!ask(&second, &world, false));
        turn(&world, &second.num_done);
        CHECK(second.upstream != NULL);
        asker_leave(&first);
        asker_leave(&second);
        close(fd);
        world_cleanup(&world);
    }
}

static void only_so_many_are_kept(void)
{
    struct world world;
    struct asker askers[3];
    int fds[3];
    world_init(&world, "PORTICO_UPSTREAM_MAX_IDLE=2");
    for (int i = 0; i < 3; i++)
        CHECK(!ask(&askers[i], &world, true));
    for (int i = 0; i < 3; i++) {
        turn(&world, &askers[i].num_done);
        fds[i] = serve_accept(&world);
    }
    for (int i = 0; i < 3; i++)
        serve(&world, fds[i], OK);
    char byte;
    int num_ended = 0;
    for (int tries = 0; tries < 150 && num_ended == 0;
         tries++) { /* a second, and not the four of those that are kept */
        turn(&world, NULL);
        for (int i = 0; i < 3; i++)
            num_ended += recv(fds[i], &byte, 1, MSG_DONTWAIT) == 0;
    }
    CHECK_INT(num_ended, 1);
    for (int i = 0; i < 3; i++) {
        asker_leave(&askers[i]);
        close(fds[i]);
    }
    world_cleanup(&world);
}

static void a_wait_may_be_given_up_at_any_time(void)
{
    for (int stage = 0; stage < 3; stage++) {
        struct world world;
        struct asker asker;
        world_init(&world, "PORTICO_UPSTREAM_WAIT=10s");
        if (stage == 2) { /* while it waits for the backend to start */
            close(world.listener);
            world.listener = -1;
        }
        CHECK(!ask(&asker, &world, false));
        if (stage)
            turn(&world, NULL);
        if (stage == 2)
            CHECK(tick_armed(&asker.wait.retry) || asker.wait.dialing);
        asker_leave(&asker);
        unsigned before = asker.num_done;
        turn(&world, NULL);
        CHECK_INT(asker.num_done, before);
        world_cleanup(&world);
    }
}

static void a_backend_that_starts_late_is_found(void)
{
    struct world world;
    struct asker asker;
    struct sockaddr_in at;
    socklen_t len = sizeof at;
    int one = 1;
    world_init(&world, "PORTICO_UPSTREAM_WAIT=10s");
    getsockname(world.listener, (struct sockaddr *)&at, &len);
    close(world.listener);
    CHECK(!ask(&asker, &world, false));
    turn(&world, NULL);
    CHECK_INT(asker.num_done, 0);
    CHECK(pool_reach(world.pool).refused_ms > 0);
    world.listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(world.listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    CHECK(bind(world.listener, (struct sockaddr *)&at, sizeof at) == 0 && listen(world.listener, 4) == 0);
    turn(&world, &asker.num_done);
    CHECK(asker.upstream && !err_is(asker.err));
    CHECK(pool_reach(world.pool).refused_ms == 0 && pool_reach(world.pool).reached_ms > 0);
    asker_leave(&asker);
    world_cleanup(&world);
}

/* Returns whether an idle connection was there. */
static bool ask_announced(struct asker *asker, struct world *world, const char *preamble)
{
    *asker = (struct asker){.world = world, .user = {&user_ops}};
    pool_wait_init(&asker->wait, world->pool, asker_acquired);
    asker->wait.preamble = slice_str(preamble);
    struct upstream *upstream = pool_acquire(&asker->wait, world->config, world->group, false);
    if (upstream)
        asker_begin(asker, upstream);
    else
        turn(world, &asker->num_done);
    return upstream != NULL;
}

static void serve_seeing(struct world *world, int fd, const char *want)
{
    char in[1024];
    ssize_t len = recv(fd, in, sizeof in, 0);
    CHECK(len > 0 && slice_starts(slice_make(in, len > 0 ? (size_t)len : 0), slice_str(want)));
    CHECK(send(fd, OK, strlen(OK), 0) > 0);
    turn(world, NULL);
}

/* PROXY_PROTOCOL_OUT: what a backend was told of a connection holds for all of its requests. */
static void an_announced_connection_serves_the_same_client_alone(void)
{
    struct world world;
    struct asker askers[6];
    int fds[3];
    world_init(&world, NULL);
    CHECK(!ask_announced(&askers[0], &world, ""));
    serve_seeing(&world, fds[0] = serve_accept(&world), "GET / HTTP/1.1\r\n");
    CHECK(!ask_announced(&askers[1], &world, "PROXY one\r\n"));
    serve_seeing(&world, fds[1] = serve_accept(&world), "PROXY one\r\nGET / HTTP/1.1\r\n");
    CHECK(!ask_announced(&askers[2], &world, "PROXY two\r\n"));
    serve_seeing(&world, fds[2] = serve_accept(&world), "PROXY two\r\nGET / HTTP/1.1\r\n");
    CHECK(ask_announced(&askers[3], &world, "PROXY one\r\n"));
    serve_seeing(&world, fds[1], "GET / HTTP/1.1\r\n");
    CHECK(ask_announced(&askers[4], &world, "PROXY two\r\n"));
    serve_seeing(&world, fds[2], "GET / HTTP/1.1\r\n");
    CHECK(ask_announced(&askers[5], &world, ""));
    serve_seeing(&world, fds[0], "GET / HTTP/1.1\r\n");
    for (int i = 0; i < 6; i++) {
        CHECK(askers[i].ended);
        asker_leave(&askers[i]);
    }
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    world_cleanup(&world);
}

/* Connections of clients that have left do not take the room of those that ask. */
static void one_too_many_is_there_for_the_next_request_all_the_same(void)
{
    struct world world;
    struct asker askers[3];
    int fds[2];
    world_init(&world, "PORTICO_UPSTREAM_MAX_IDLE=1");
    CHECK(!ask_announced(&askers[0], &world, "PROXY one\r\n"));
    serve_seeing(&world, fds[0] = serve_accept(&world), "PROXY one\r\n");
    CHECK(!ask_announced(&askers[1], &world, "PROXY two\r\n"));
    serve_seeing(&world, fds[1] = serve_accept(&world), "PROXY two\r\n");
    CHECK(ask_announced(&askers[2], &world, "PROXY two\r\n"));
    serve_seeing(&world, fds[1], "GET / HTTP/1.1\r\n");
    for (int i = 0; i < 3; i++)
        asker_leave(&askers[i]);
    close(fds[0]);
    close(fds[1]);
    world_cleanup(&world);
}

/* ---- MAX_CONNS ---- */

static void who_finds_no_room_waits_in_line(void)
{
    struct world world;
    struct asker askers[4];
    world_init(&world, "PORTICO_UPSTREAM_MAX_CONNS=1");
    for (int i = 0; i < 4; i++)
        CHECK(!ask(&askers[i], &world, false));
    turn(&world, &askers[0].num_done);
    int fd = serve_accept(&world);
    asker_leave(&askers[1]); /* its client went away */
    serve(&world, fd, OK);
    CHECK(askers[0].ended);
    CHECK(askers[2].num_done == 1 && askers[2].reused && askers[3].num_done == 0);
    serve(&world, fd, OK);
    CHECK(askers[2].ended);
    CHECK(askers[3].num_done == 1 && askers[3].reused);
    serve(&world, fd, OK);
    CHECK(askers[3].ended);
    CHECK_INT(askers[1].num_done, 0);
    CHECK_INT(counters_get(&world.counters, COUNTER_UPSTREAM_CONNECTS), 1);
    CHECK_INT(counters_get(&world.counters, COUNTER_UPSTREAM_QUEUED), 3);
    for (int i = 0; i < 4; i++)
        if (i != 1)
            asker_leave(&askers[i]);
    close(fd);
    world_cleanup(&world);
}

/* Room that comes by a connection's end is room too. */
static void a_connection_that_ends_makes_room(void)
{
    struct world world;
    struct asker first, second;
    world_init(&world, "PORTICO_UPSTREAM_MAX_CONNS=1");
    CHECK(!ask(&first, &world, false));
    CHECK(!ask(&second, &world, false));
    turn(&world, &first.num_done);
    int fd = serve_accept(&world);
    asker_leave(&first);
    turn(&world, &second.num_done);
    CHECK(second.num_done == 1 && !second.reused && second.upstream);
    asker_leave(&second);
    close(fd);
    world_cleanup(&world);
}

static void a_fresh_connection_takes_the_place_of_an_idle_one(void)
{
    struct world world;
    struct asker first, second;
    world_init(&world, "PORTICO_UPSTREAM_MAX_CONNS=1");
    CHECK(!ask(&first, &world, false));
    turn(&world, &first.num_done);
    int fd = serve_accept(&world);
    serve(&world, fd, OK);
    CHECK(!ask(&second, &world, true));
    turn(&world, &second.num_done);
    char byte;
    CHECK(second.upstream && recv(fd, &byte, 1, 0) == 0);
    asker_leave(&first);
    asker_leave(&second);
    close(fd);
    world_cleanup(&world);
}

static void who_waits_too_long_is_told_503(void)
{
    struct world world;
    struct asker first, second;
    world_init(&world, "PORTICO_UPSTREAM_MAX_CONNS=1");
    ((struct config *)world.config)->upstream.wait_ms = 30;
    CHECK(!ask(&first, &world, false));
    CHECK(!ask(&second, &world, false));
    turn(&world, &second.num_done);
    CHECK(err_is(second.err));
    CHECK_INT(second.wait.status, 503);
    CHECK_INT(second.wait.retry_after_s, 1);
    asker_leave(&first);
    asker_leave(&second);
    world_cleanup(&world);
}

static void the_line_is_bounded(void)
{
    static struct asker askers[LIMIT_UPSTREAM_QUEUE + 2];
    struct asker *last = &askers[LIMIT_UPSTREAM_QUEUE + 1];
    struct world world;
    world_init(&world, "PORTICO_UPSTREAM_MAX_CONNS=1");
    for (size_t i = 0; i < LIMIT_UPSTREAM_QUEUE + 2; i++)
        CHECK(!ask(&askers[i], &world, false));
    turn(&world, &last->num_done);
    CHECK_INT(last->wait.status, 503);
    CHECK_INT(askers[LIMIT_UPSTREAM_QUEUE].num_done, 0);
    for (size_t i = 0; i < LIMIT_UPSTREAM_QUEUE + 2; i++)
        asker_leave(&askers[i]);
    world_cleanup(&world);
}

/* Want of descriptors is no fault of the backend's: it is not ejected, and the request waits. */
static void our_own_want_is_not_the_backends(void)
{
    struct world world;
    struct asker asker;
    struct rlimit before, none;
    world_init(&world, NULL);
    int next = dup(0);
    close(next);
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    none = (struct rlimit){.rlim_cur = (rlim_t)next, .rlim_max = before.rlim_max};
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    CHECK(!ask(&asker, &world, false));
    turn(&world, NULL);
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK_INT(asker.num_done, 0);
    CHECK(counters_get(&world.counters, COUNTER_UPSTREAM_FAILURES) > 0);
    CHECK(pool_reach(world.pool).refused_ms == 0);
    turn(&world, &asker.num_done);
    CHECK(asker.num_done == 1 && !err_is(asker.err));
    asker_leave(&asker);
    world_cleanup(&world);
}

int main(void)
{
    RUN(our_own_want_is_not_the_backends);
    RUN(a_connection_is_used_again);
    RUN(an_idle_connection_is_looked_at_before_it_is_used);
    RUN(only_so_many_are_kept);
    RUN(a_wait_may_be_given_up_at_any_time);
    RUN(a_backend_that_starts_late_is_found);
    RUN(an_announced_connection_serves_the_same_client_alone);
    RUN(one_too_many_is_there_for_the_next_request_all_the_same);
    RUN(who_finds_no_room_waits_in_line);
    RUN(a_connection_that_ends_makes_room);
    RUN(a_fresh_connection_takes_the_place_of_an_idle_one);
    RUN(who_waits_too_long_is_told_503);
    RUN(the_line_is_bounded);
    return checks_done();
}
