/* Which backend a request goes to, and who is left alone for a while (HARDENING B1). No connection is made. */
#include "base/mem.h"
#include "check.h"
#include "upstream/pool_internal.h"

enum { MAX_BACKENDS = 3 };

struct world {
    uv_loop_t uv;
    struct net_loop *loop;
    struct counters counters;
    const struct config *config;
    struct pool *pool;
    struct pool_wait wait;
    struct backend *backends[MAX_BACKENDS];
    bool closed;
};

static void world_init(struct world *world, const char *upstreams, const char *more)
{
    char upstream[128];
    struct config *config = NULL;
    struct config_mistakes mistakes = {0};
    snprintf(upstream, sizeof upstream, "PORTICO_UPSTREAM=%s", upstreams);
    const char *environment[] = {"PORTICO_DOMAINS=a.test", upstream, more, NULL};
    *world = (struct world){0};
    CHECK(config_load(environment, &config, &mistakes));
    config_mistakes_cleanup(&mistakes);
    world->config = config;
    uv_loop_init(&world->uv);
    world->loop = net_loop_new(&world->uv);
    struct pool_options options = {.loop = world->loop, .counters = &world->counters};
    world->pool = pool_new(&options);
    pool_wait_init(&world->wait, world->pool, NULL);
    world->wait.config = config;
    world->wait.group = config->default_site.group;
    for (size_t i = 0; i < world->wait.group->num_upstreams; i++)
        world->backends[i] = backend_of(world->pool, world->wait.group->upstreams[i]);
}

static void world_closed(void *ctx)
{
    ((struct world *)ctx)->closed = true;
}

static void world_cleanup(struct world *world)
{
    pool_close(world->pool, world_closed, world);
    uv_run(&world->uv, UV_RUN_NOWAIT);
    CHECK(world->closed);
    net_loop_close(world->loop);
    uv_run(&world->uv, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&world->uv), 0);
    config_unref(world->config);
}

/* The index of the backend that the next request goes to; -1: none has room. */
static int choose(struct world *world)
{
    size_t index = 0;
    struct backend *backend = backend_choose(&world->wait, &index);
    if (!backend)
        return -1;
    CHECK(backend == world->backends[index]);
    backend_chosen(backend);
    return (int)index;
}

static void pass(struct backend *backend)
{
    backend->ejected_until_ms = 0;
}

#define THREE "http://a.test:1,http://b.test:1,http://c.test:1"

static void equals_take_turns(void)
{
    struct world world;
    int num[MAX_BACKENDS] = {0};
    world_init(&world, THREE, NULL);
    for (int i = 0; i < 30; i++)
        num[choose(&world)]++;
    for (int i = 0; i < MAX_BACKENDS; i++)
        CHECK_INT(num[i], 10);
    world_cleanup(&world);
}

static void the_one_with_the_fewest_requests_is_taken(void)
{
    struct world world;
    world_init(&world, THREE, NULL);
    world.backends[0]->num_busy = 3;
    world.backends[1]->num_busy = 1;
    world.backends[2]->num_busy = 2;
    for (int i = 0; i < 4; i++)
        CHECK_INT(choose(&world), 1);
    world_cleanup(&world);
}

static void what_takes_no_connection_is_left_alone_and_tried_by_one(void)
{
    struct world world;
    world_init(&world, THREE, NULL);
    backend_refused(world.backends[0], true);
    backend_refused(world.backends[0], true); /* another dial of the same time: told of once */
    CHECK_INT(counters_get(&world.counters, COUNTER_UPSTREAM_EJECTIONS), 1);
    CHECK_INT(world.backends[0]->back_off_ms, 1000);
    for (int i = 0; i < 9; i++)
        CHECK(choose(&world) != 0);
    pass(world.backends[0]);
    world.backends[0]->num_busy = 100; /* whatever its load */
    CHECK_INT(choose(&world), 0);
    for (int i = 0; i < 9; i++)
        CHECK(choose(&world) != 0);
    pool_answered(world.backends[0]);
    CHECK_INT(world.backends[0]->state, BACKEND_HEALTHY);
    CHECK_INT(counters_get(&world.counters, COUNTER_UPSTREAM_RETURNS), 1);
    world_cleanup(&world);
}

static void each_failed_trial_doubles_the_time_up_to_a_minute(void)
{
    struct world world;
    uint64_t want_ms = 1000;
    world_init(&world, THREE, NULL);
    struct backend *backend = world.backends[1];
    backend_refused(backend, true);
    for (int i = 0; i < 9; i++) {
        uint64_t left_ms = backend->ejected_until_ms - net_loop_now_ms(world.loop);
        CHECK_INT(backend->back_off_ms, want_ms);
        CHECK(left_ms >= want_ms * 9 / 10 - 1 && left_ms <= want_ms * 11 / 10 + 1);
        pass(backend);
        CHECK_INT(choose(&world), 1);
        backend_refused(backend, true);
        want_ms = want_ms * 2 < 60000 ? want_ms * 2 : 60000;
    }
    CHECK_INT(counters_get(&world.counters, COUNTER_UPSTREAM_EJECTIONS), 1);
    world_cleanup(&world);
}

/* A trial of which nothing becomes known, because its client left, does not keep the backend away for ever. */
static void a_trial_that_ends_without_a_word_is_repeated(void)
{
    struct world world;
    world_init(&world, THREE, NULL);
    backend_refused(world.backends[2], true);
    pass(world.backends[2]);
    CHECK_INT(choose(&world), 2);
    CHECK(choose(&world) != 2);
    pass(world.backends[2]);
    CHECK_INT(choose(&world), 2);
    world_cleanup(&world);
}

static void five_failures_in_a_row_eject(void)
{
    struct world world;
    world_init(&world, THREE, NULL);
    for (int i = 0; i < 4; i++)
        pool_failed(&world.wait, world.backends[0]);
    pool_answered(world.backends[0]);
    for (int i = 0; i < 4; i++)
        pool_failed(&world.wait, world.backends[0]);
    CHECK_INT(world.backends[0]->state, BACKEND_HEALTHY);
    pool_failed(&world.wait, world.backends[0]);
    CHECK_INT(world.backends[0]->state, BACKEND_EJECTED);
    world_cleanup(&world);
}

/* It was asked before its backend was ejected: it tells nothing of now. */
static void the_answer_to_an_old_request_brings_nobody_back(void)
{
    struct world world;
    world_init(&world, THREE, NULL);
    backend_refused(world.backends[0], true);
    pool_answered(world.backends[0]);
    CHECK_INT(world.backends[0]->state, BACKEND_EJECTED);
    world_cleanup(&world);
}

static void while_all_are_ejected_the_longest_alone_is_asked(void)
{
    struct world world;
    world_init(&world, THREE, NULL);
    CHECK(!backend_none_healthy(world.pool, world.wait.group));
    for (int i = 0; i < MAX_BACKENDS; i++) {
        backend_refused(world.backends[(i + 1) % 3], true);
        world.pool->turn++;
    }
    CHECK(backend_none_healthy(world.pool, world.wait.group));
    unsigned after_s = backend_retry_after_s(world.pool, world.wait.group);
    CHECK(after_s == 1 || after_s == 2); /* a second, jittered */
    CHECK_INT(choose(&world), 1);
    CHECK_INT(choose(&world), 2);
    CHECK_INT(choose(&world), 0);
    CHECK_INT(choose(&world), 1);
    pool_answered(world.backends[1]); /* of a request from after it was ejected */
    CHECK_INT(choose(&world), 1);
    world_cleanup(&world);
}

static void the_only_one_is_never_ejected(void)
{
    struct world world;
    world_init(&world, "http://a.test:1", NULL);
    backend_refused(world.backends[0], false);
    for (int i = 0; i < 20; i++)
        pool_failed(&world.wait, world.backends[0]);
    CHECK_INT(world.backends[0]->state, BACKEND_HEALTHY);
    CHECK(!backend_none_healthy(world.pool, world.wait.group));
    CHECK_INT(choose(&world), 0);
    world_cleanup(&world);
}

static void what_failed_this_request_is_its_last_choice(void)
{
    struct world world;
    world_init(&world, "http://a.test:1,http://b.test:1", NULL);
    world.wait.avoid = world.backends[0];
    world.backends[1]->num_busy = 10;
    CHECK_INT(choose(&world), 1);
    backend_refused(world.backends[1], true);
    CHECK_INT(choose(&world), 0);
    world_cleanup(&world);
}

static void failed_probes_eject_and_a_good_one_returns(void)
{
    struct world world;
    world_init(&world, "http://a.test:1,http://b.test:1", NULL);
    backend_set_down(world.backends[0], true);
    for (int i = 0; i < 4; i++)
        CHECK_INT(choose(&world), 1);
    pool_answered(world.backends[0]); /* it answers requests, but not well: the probe's word counts */
    CHECK_INT(choose(&world), 1);
    backend_set_down(world.backends[1], true);
    CHECK(backend_none_healthy(world.pool, world.wait.group));
    CHECK(choose(&world) >= 0);
    backend_set_down(world.backends[0], false);
    for (int i = 0; i < 4; i++)
        CHECK_INT(choose(&world), 0);
    CHECK_INT(counters_get(&world.counters, COUNTER_UPSTREAM_EJECTIONS), 2);
    CHECK_INT(counters_get(&world.counters, COUNTER_UPSTREAM_RETURNS), 1);
    world_cleanup(&world);
}

static void a_full_one_is_not_chosen(void)
{
    struct world world;
    world_init(&world, "http://a.test:1,http://b.test:1", "PORTICO_UPSTREAM_MAX_CONNS=2");
    world.backends[0]->num_open = 2;
    world.backends[1]->num_open = 1;
    world.backends[1]->num_busy = 9;
    CHECK_INT(choose(&world), 1);
    world.backends[1]->num_open = 2;
    CHECK_INT(choose(&world), -1);
    world.backends[0]->num_idle = 1;
    CHECK_INT(choose(&world), 0);
    world_cleanup(&world);
}

int main(void)
{
    RUN(equals_take_turns);
    RUN(the_one_with_the_fewest_requests_is_taken);
    RUN(what_takes_no_connection_is_left_alone_and_tried_by_one);
    RUN(each_failed_trial_doubles_the_time_up_to_a_minute);
    RUN(a_trial_that_ends_without_a_word_is_repeated);
    RUN(five_failures_in_a_row_eject);
    RUN(the_answer_to_an_old_request_brings_nobody_back);
    RUN(while_all_are_ejected_the_longest_alone_is_asked);
    RUN(the_only_one_is_never_ejected);
    RUN(what_failed_this_request_is_its_last_choice);
    RUN(failed_probes_eject_and_a_good_one_returns);
    RUN(a_full_one_is_not_chosen);
    return checks_done();
}
