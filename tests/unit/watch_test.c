/* What the kernel tells of files is gathered; where it tells nothing, the minute does. */
#include "check.h"

#include "base/mem.h"
#include "core/watch.h"

#include <stdlib.h>
#include <unistd.h>

struct world {
    uv_loop_t uv;
    uv_timer_t step;
    struct net_loop *loop;
    struct watch *watch;
    unsigned num_told, num_polls, num_steps;
    void (*on_step)(struct world *world);
    char dir[64], path[96];
};

static void world_stirred(void *ctx, bool told)
{
    struct world *world = ctx;
    world->num_told += told;
    world->num_polls += !told;
}

static void world_stepped(uv_timer_t *timer)
{
    struct world *world = container_of(timer, struct world, step);
    world->num_steps++;
    world->on_step(world);
}

static void world_put(const struct world *world, const char *text)
{
    FILE *file = fopen(world->path, "w");
    CHECK(file && fputs(text, file) >= 0);
    if (file)
        fclose(file);
}

/* `on_step` is called every 10 ms until it stops the loop. */
static void world_run(struct world *world, uint64_t poll_ms, bool there, void (*on_step)(struct world *world))
{
    *world = (struct world){.dir = "/tmp/watch_test.XXXXXX", .on_step = on_step};
    CHECK(mkdtemp(world->dir) != NULL);
    snprintf(world->path, sizeof world->path, "%s/%s", world->dir, "file");
    world_put(world, "first");
    uv_loop_init(&world->uv);
    world->loop = net_loop_new(&world->uv);
    struct watch_options options = {.loop = world->loop, .poll_ms = poll_ms, .ctx = world, .stirred = world_stirred};
    char *places[] = {there ? world->dir : "/nonexistent/place", world->path};
    world->watch = watch_new(&options);
    CHECK(watch_set_places(world->watch, places, there ? 2 : 1));
    CHECK(!watch_set_places(world->watch, places, there ? 2 : 1));
    uv_timer_init(&world->uv, &world->step);
    uv_timer_start(&world->step, world_stepped, 10, 10);
    uv_run(&world->uv, UV_RUN_DEFAULT);
    watch_close(world->watch);
    uv_close((uv_handle_t *)&world->step, NULL);
    net_loop_close(world->loop);
    uv_run(&world->uv, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&world->uv) == 0);
    unlink(world->path);
    rmdir(world->dir);
}

static void write_often(struct world *world)
{
    if (world->num_steps <= 20)
        world_put(world, "again");
    if (world->num_steps == 20)
        CHECK_INT(world->num_told, 0); /* it is being written */
    if (world->num_steps > 60)
        uv_stop(&world->uv);
}

static void writes_are_gathered(void)
{
    struct world world;
    world_run(&world, 0, true, write_often);
    CHECK_INT(world.num_told, 1);
    CHECK_INT(world.num_polls, 0);
}

static void write_for_ever(struct world *world)
{
    world_put(world, "again");
    if (world->num_told || world->num_steps > 500)
        uv_stop(&world->uv);
}

static void but_not_for_ever(void)
{
    struct world world;
    world_run(&world, 0, true, write_for_ever);
    CHECK_INT(world.num_told, 1);
}

static void replace_once(struct world *world)
{
    char fresh[128];
    snprintf(fresh, sizeof fresh, "%s.new", world->path);
    if (world->num_steps == 1) {
        FILE *file = fopen(fresh, "w");
        CHECK(file && fclose(file) == 0);
        CHECK(rename(fresh, world->path) == 0);
    }
    if (world->num_told || world->num_steps > 500)
        uv_stop(&world->uv);
}

static void a_rename_is_told(void)
{
    struct world world;
    world_run(&world, 0, true, replace_once);
    CHECK_INT(world.num_told, 1);
}

static void wait_for_polls(struct world *world)
{
    if (world->num_polls == 3 || world->num_steps > 500)
        uv_stop(&world->uv);
}

/* A file system that tells nothing, here a place that is not there. */
static void the_minute_comes_without_a_word(void)
{
    struct world world;
    world_run(&world, 50, false, wait_for_polls);
    CHECK_INT(world.num_polls, 3);
    CHECK_INT(world.num_told, 0);
}

static void watch_nothing(struct world *world)
{
    if (world->num_steps == 1)
        CHECK(!watch_set_places(world->watch, NULL, 0));
    world_put(world, "again");
    if (world->num_steps > 30)
        uv_stop(&world->uv);
}

static void without_places_nothing_is_told(void)
{
    struct world world;
    world_run(&world, 50, true, watch_nothing);
    CHECK_INT(world.num_told, 0);
    CHECK_INT(world.num_polls, 0);
}

int main(void)
{
    RUN(writes_are_gathered);
    RUN(but_not_for_ever);
    RUN(a_rename_is_told);
    RUN(the_minute_comes_without_a_word);
    RUN(without_places_nothing_is_told);
    return checks_done();
}
