/* When the configuration is read again: one reload after another, mistakes once, files that change while they are read. */
#include "check.h"

#include "base/mem.h"
#include "config/diff.h"
#include "config/mistakes.h"
#include "core/reload.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { STEP_MS = 10, MOST_STEPS = 1000 };

struct world {
    uv_loop_t uv;
    uv_timer_t step;
    struct net_loop *loop;
    struct offload_pool *disk;
    struct offload_port *port;
    struct log *log;
    int log_fd;
    struct reload *reload;
    const struct config *current;
    char dir[64], dir_entry[96];
    const char *environment[4];
    bool refuses; /* put */
    unsigned num_puts, num_begun, num_ended, num_replaced, num_running, most_running, num_steps;
    bool (*is_over)(struct world *world);
};

static void world_put_file(const struct world *world, const char *name, const char *text)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", world->dir, name);
    FILE *file = fopen(path, "w");
    CHECK(file && fputs(text, file) >= 0);
    if (file)
        fclose(file);
}

static const struct config *world_current(void *ctx)
{
    return ((struct world *)ctx)->current;
}

static bool world_put(void *ctx, const struct config *next, struct config_mistakes *mistakes)
{
    struct world *world = ctx;
    world->num_puts++;
    if (world->refuses) {
        mistakes_add(mistakes, "PORTICO_HTTP_LISTEN", SLICE_NONE, NULL, "is taken");
        return false;
    }
    config_unref(world->current);
    world->current = config_ref(next);
    return true;
}

static void world_begun(void *ctx)
{
    struct world *world = ctx;
    world->num_begun++;
    if (++world->num_running > world->most_running)
        world->most_running = world->num_running;
}

static void world_ended(void *ctx, bool replaced)
{
    struct world *world = ctx;
    world->num_ended++;
    world->num_replaced += replaced;
    world->num_running--;
}

static void world_stepped(uv_timer_t *timer)
{
    struct world *world = container_of(timer, struct world, step);
    if (world->is_over(world) || ++world->num_steps > MOST_STEPS)
        uv_stop(&world->uv);
}

/* Until `is_over`, which is asked every 10 ms. */
static void world_wait(struct world *world, bool (*is_over)(struct world *world))
{
    world->is_over = is_over;
    world->num_steps = 0;
    uv_run(&world->uv, UV_RUN_DEFAULT);
    CHECK(world->num_steps <= MOST_STEPS);
}

static void world_init(struct world *world)
{
    struct config_mistakes mistakes = {0};
    struct config *config = NULL;
    *world = (struct world){.dir = "/tmp/reload_test.XXXXXX"};
    CHECK(mkdtemp(world->dir) != NULL);
    snprintf(world->dir_entry, sizeof world->dir_entry, "PORTICO_ENV_DIR=%s", world->dir);
    world->environment[0] = world->dir_entry;
    world->environment[1] = "PORTICO_ACME_DIRECTORY=internal";
    world_put_file(world, "PORTICO_DOMAINS", "a.com");
    CHECK(config_load(world->environment, &config, &mistakes));
    world->current = config;
    world->log_fd = memfd_create("log", 0);
    world->log = log_new(world->log_fd, LOG_FORMAT_JSON, LOG_LEVEL_DEBUG);
    uv_loop_init(&world->uv);
    uv_timer_init(&world->uv, &world->step);
    uv_timer_start(&world->step, world_stepped, STEP_MS, STEP_MS);
    world->loop = net_loop_new(&world->uv);
    world->disk = offload_pool_new("disk", 1, 0, 16);
    world->port = offload_port_new(&world->uv);
    struct reload_options options = {.loop = world->loop,
                                     .log = log_ring_new(world->log, "control"),
                                     .disk = world->disk,
                                     .port = world->port,
                                     .poll_ms = 100,
                                     .environment = world->environment,
                                     .ctx = world,
                                     .current = world_current,
                                     .put = world_put,
                                     .begun = world_begun,
                                     .ended = world_ended};
    world->reload = reload_new(&options);
}

static void world_cleanup(struct world *world)
{
    char command[128];
    reload_close(world->reload);
    uv_run(&world->uv, UV_RUN_NOWAIT); /* the graveyard */
    offload_port_close(world->port);
    uv_close((uv_handle_t *)&world->step, NULL);
    net_loop_close(world->loop);
    uv_run(&world->uv, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&world->uv) == 0);
    offload_pool_free(world->disk);
    log_free(world->log);
    close(world->log_fd);
    config_unref(world->current);
    snprintf(command, sizeof command, "rm -rf %s", world->dir);
    CHECK(system(command) == 0);
}

static unsigned world_logged(const struct world *world, const char *text)
{
    static char all[65536];
    ssize_t len = pread(world->log_fd, all, sizeof all - 1, 0);
    unsigned num = 0;
    all[len > 0 ? len : 0] = '\0';
    for (const char *at = all; (at = strstr(at, text)); at++)
        num++;
    return num;
}

static bool has_replaced(struct world *world)
{
    return world->num_replaced > 0;
}

static bool has_ended_once(struct world *world)
{
    return world->num_ended > 0;
}

static bool has_ended_twice(struct world *world)
{
    return world->num_ended > 1;
}

/* Longer than a word of the kernel takes to be acted on. */
static bool half_a_second_is_over(struct world *world)
{
    return world->num_steps >= 50;
}

static void a_change_is_found(void)
{
    struct world world;
    world_init(&world);
    reload_start(world.reload);
    world_wait(&world, half_a_second_is_over);
    CHECK_INT(world.num_begun, 0);
    CHECK_INT(world_logged(&world, "\"reloaded\""), 0); /* nobody asked, nothing differs */
    world_put_file(&world, "PORTICO_HSTS", "1y");
    world_wait(&world, has_replaced);
    CHECK_INT(world_logged(&world, "\"changed\":\"PORTICO_HSTS\""), 1);
    CHECK_INT(world.num_begun, 1);
    CHECK_INT(world.num_ended, 1);
    world_cleanup(&world);
}

static void a_change_before_the_start_is_found(void)
{
    struct world world;
    world_init(&world);
    world_put_file(&world, "PORTICO_HSTS", "1y");
    CHECK_INT(world.num_puts, 0);
    reload_start(world.reload);
    world_wait(&world, has_replaced);
    world_cleanup(&world);
}

/* Whoever writes in place empties the file first: that is no word that the variable is unset. */
static void a_file_that_has_just_been_emptied_is_awaited(void)
{
    struct world world;
    world_init(&world);
    reload_start(world.reload);
    world_put_file(&world, "PORTICO_DOMAINS", "");
    world_wait(&world, half_a_second_is_over);
    CHECK_INT(world.num_puts, 0);
    world_put_file(&world, "PORTICO_DOMAINS", "b.com");
    world_wait(&world, has_replaced);
    CHECK_INT(world.num_puts, 1);
    world_cleanup(&world);
}

static void run(const char *format, const char *dir)
{
    char command[512];
    snprintf(command, sizeof command, format, dir, dir);
    CHECK(system(command) == 0);
}

/* Behind a directory that is a link: whoever changes the link changes nothing that is watched. */
static void a_change_that_nobody_tells_of_is_found(void)
{
    struct world world;
    char entry[128];
    world_init(&world);
    run("mkdir %s.far && cd %s.far && mkdir one two && echo 1y > one/hsts && echo 2y > two/hsts && ln -s one now",
        world.dir);
    snprintf(entry, sizeof entry, "PORTICO_HSTS_FILE=%s.far/now/hsts", world.dir);
    world.environment[2] = entry;
    reload_start(world.reload);
    world_wait(&world, has_replaced);
    CHECK_SLICE(world.current->tls.hsts, "max-age=31536000");
    run("ln -sfn two %s.far/now", world.dir);
    world.num_replaced = 0;
    world_wait(&world, has_replaced);
    CHECK_SLICE(world.current->tls.hsts, "max-age=63072000");
    run("rm -r %s.far", world.dir);
    world_cleanup(&world);
}

static void who_asks_before_the_start_is_answered_then(void)
{
    struct world world;
    world_init(&world);
    reload_ask(world.reload);
    world_wait(&world, half_a_second_is_over);
    CHECK_INT(world.num_begun, 0);
    reload_start(world.reload);
    world_wait(&world, has_ended_once);
    CHECK_INT(world_logged(&world, "\"changed\":\"\""), 1);
    world_cleanup(&world);
}

/* X3: what is asked for while one runs is one more behind it, however often. */
static void storms_are_one_after_another(void)
{
    struct world world;
    world_init(&world);
    reload_start(world.reload);
    world_wait(&world, half_a_second_is_over);
    for (int i = 0; i < 100; i++)
        reload_ask(world.reload);
    world_wait(&world, has_ended_twice);
    world_wait(&world, half_a_second_is_over);
    CHECK_INT(world.num_ended, 2);
    CHECK_INT(world.most_running, 1);
    world_cleanup(&world);
}

static void mistakes_are_told_once_but_to_whoever_asks(void)
{
    struct world world;
    world_init(&world);
    reload_start(world.reload);
    world_put_file(&world, "PORTICO_WORKERS", "many");
    world_wait(&world, half_a_second_is_over);
    CHECK_INT(world_logged(&world, "\"reload_refused\""), 1);
    world_put_file(&world, "PORTICO_HSTS", "1y");
    world_wait(&world, half_a_second_is_over);
    CHECK_INT(world_logged(&world, "\"reload_refused\""), 1);
    CHECK_INT(world.num_begun, 0);
    reload_ask(world.reload);
    world_wait(&world, has_ended_once);
    CHECK_INT(world_logged(&world, "\"reload_refused\""), 2);
    CHECK_INT(world.num_puts, 0);
    world_cleanup(&world);
}

static void what_cannot_be_put_is_told_and_tried_when_asked(void)
{
    struct world world;
    world_init(&world);
    reload_start(world.reload);
    world.refuses = true;
    world_put_file(&world, "PORTICO_HSTS", "1y");
    world_wait(&world, has_ended_once);
    CHECK_INT(world_logged(&world, "\"variable\":\"PORTICO_HTTP_LISTEN\""), 1);
    CHECK_INT(world_logged(&world, "\"reloaded\""), 0);
    world.refuses = false;
    reload_ask(world.reload);
    world_wait(&world, has_replaced);
    CHECK(world_logged(&world, "\"reloaded\"") >=
          1); /* twice where word of the file came late: who asks is always told */
    world_cleanup(&world);
}

static void a_restart_only_variable_is_never_put(void)
{
    struct world world;
    world_init(&world);
    world_put_file(&world, "PORTICO_WORKERS", "3");
    world_put_file(&world, "PORTICO_HSTS", "1y");
    reload_start(world.reload);
    reload_ask(world.reload);
    world_wait(&world, has_ended_once);
    CHECK(world_logged(&world, "\"variable\":\"PORTICO_WORKERS\"") >= 1);
    CHECK_INT(world.num_puts, 0);
    world_cleanup(&world);
}

static void write_all_the_time(struct world *world)
{
    char text[64];
    snprintf(text, sizeof text, "a.com,n%u.com", world->num_steps);
    world_put_file(world, "PORTICO_DOMAINS", text);
}

static bool half_a_second_of_writing_is_over(struct world *world)
{
    write_all_the_time(world);
    return world->num_steps >= 50;
}

static void the_last_word_counts(void)
{
    struct world world;
    world_init(&world);
    reload_start(world.reload);
    world_wait(&world, half_a_second_of_writing_is_over);
    world_put_file(&world, "PORTICO_DOMAINS", "last.com");
    world_wait(&world, half_a_second_is_over);
    CHECK_INT(world.current->num_names, 1);
    CHECK_SLICE(world.current->names[0].text, "last.com");
    world_cleanup(&world);
}

static void it_is_closed_while_it_reads(void)
{
    struct world world;
    world_init(&world);
    reload_start(world.reload);
    reload_ask(world.reload);
    CHECK_INT(world.num_begun, 0); /* the one of the start runs */
    reload_close(world.reload);
    world.reload = NULL;
    world_wait(&world, half_a_second_is_over);
    CHECK_INT(world.num_puts, 0);
    world_cleanup(&world);
}

int main(void)
{
    RUN(a_change_is_found);
    RUN(a_change_before_the_start_is_found);
    RUN(a_file_that_has_just_been_emptied_is_awaited);
    RUN(a_change_that_nobody_tells_of_is_found);
    RUN(who_asks_before_the_start_is_answered_then);
    RUN(storms_are_one_after_another);
    RUN(mistakes_are_told_once_but_to_whoever_asks);
    RUN(what_cannot_be_put_is_told_and_tried_when_asked);
    RUN(a_restart_only_variable_is_never_put);
    RUN(the_last_word_counts);
    RUN(it_is_closed_while_it_reads);
    return checks_done();
}
