/* certs/key_maker: keys come from the pool, of the type that was asked for; what is canceled ends by itself. */
#include "certs/key_maker.h"

#include "check.h"

struct asker {
    struct acme_key_job job;
    struct evp_pkey_st *key;
    struct err err;
    unsigned num_done;
};

static void asker_done(struct acme_key_job *job, struct evp_pkey_st *key, struct err err)
{
    struct asker *asker = container_of(job, struct asker, job);
    asker->key = key;
    asker->err = err;
    asker->num_done++;
}

struct key_world {
    uv_loop_t uv;
    struct key_maker maker;
};

static void key_world_init(struct key_world *world, size_t max_queued)
{
    uv_loop_init(&world->uv);
    world->maker.loop = net_loop_new(&world->uv);
    world->maker.port = offload_port_new(&world->uv);
    world->maker.pool = offload_pool_new("keys", 1, 0, max_queued);
}

static void key_world_cleanup(struct key_world *world)
{
    offload_port_close(world->maker.port);
    net_loop_close(world->maker.loop);
    uv_run(&world->uv, UV_RUN_DEFAULT);
    offload_pool_free(world->maker.pool);
    CHECK_INT(uv_loop_close(&world->uv), 0);
}

static void ask(const struct key_world *world, struct asker *asker, enum key_type type)
{
    *asker = (struct asker){.job.done = asker_done};
    key_maker_make(&world->maker, type, &asker->job);
    CHECK_INT(asker->num_done, 0); /* never from within */
}

static void each_type_is_made(void)
{
    static const enum key_type types[] = {KEY_P256, KEY_P384, KEY_RSA2048};
    struct asker askers[3];
    struct key_world world;
    key_world_init(&world, 8);
    for (size_t i = 0; i < 3; i++)
        ask(&world, &askers[i], types[i]);
    uv_run(&world.uv, UV_RUN_DEFAULT);
    for (size_t i = 0; i < 3; i++) {
        CHECK_INT(askers[i].num_done, 1);
        CHECK(!err_is(askers[i].err) && key_type_of(askers[i].key) == types[i]);
        key_free(askers[i].key);
    }
    key_world_cleanup(&world);
}

static void what_is_canceled_is_not_told(void)
{
    struct asker askers[2];
    struct key_world world;
    key_world_init(&world, 8);
    ask(&world, &askers[0], KEY_RSA2048);
    ask(&world, &askers[1], KEY_P256);
    key_maker_cancel(&askers[0].job);
    uv_run(&world.uv, UV_RUN_DEFAULT);
    CHECK_INT(askers[0].num_done, 0);
    CHECK_INT(askers[1].num_done, 1);
    key_free(askers[1].key);
    key_world_cleanup(&world); /* the sanitizer sees a key that nobody freed */
}

static void a_full_pool_says_so(void)
{
    enum { NUM = 6 };
    struct asker askers[NUM];
    struct key_world world;
    unsigned num_refused = 0;
    key_world_init(&world, 1);
    for (size_t i = 0; i < NUM; i++)
        ask(&world, &askers[i], KEY_RSA2048);
    uv_run(&world.uv, UV_RUN_DEFAULT);
    for (size_t i = 0; i < NUM; i++) {
        CHECK_INT(askers[i].num_done, 1);
        CHECK(err_is(askers[i].err) == (askers[i].key == NULL));
        num_refused += askers[i].err.kind == ERR_LIMIT;
        key_free(askers[i].key);
    }
    CHECK(num_refused >= 1 && num_refused < NUM);
    key_world_cleanup(&world);
}

int main(void)
{
    RUN(each_type_is_made);
    RUN(what_is_canceled_is_not_told);
    RUN(a_full_pool_says_so);
    return checks_done();
}
