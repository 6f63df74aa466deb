/* Passwords checked by a real pool: what is right, what is remembered, what is shed, what it costs. */
#include "exchange/passwords.h"

#include "base/limits.h"
#include "check.h"

#include <time.h>

/* "open sesame", of the least cost and of one that takes some 45 ms. */
#define QUICK "$2b$04$abcdefghijklmnopqrstuu/LVz6MZlItEy42I2juLihZ66HnQx/cy"
#define SLOW "$2b$10$abcdefghijklmnopqrstuu4SuEsu2LsUrAYUpWQHLMMc4GV5pZTxK"

enum { MAX_WAITS = 8 };

struct asker {
    struct password_wait wait;
    int num_right, num_wrong;
};

struct world {
    uv_loop_t uv;
    struct net_loop *loop;
    struct offload_pool *pool;
    struct offload_port *port;
    struct passwords *passwords;
    struct counters counters;
    struct asker askers[MAX_WAITS];
    struct config_user users[2];
    size_t num_users;
    struct ip client;
};

static void known(struct password_wait *wait, bool right)
{
    struct asker *asker = container_of(wait, struct asker, wait);
    asker->num_right += right;
    asker->num_wrong += !right;
}

static void world_init(struct world *world, const char *hash, size_t max_queued)
{
    *world = (struct world){.users = {{SLICE_LIT("ann"), slice_str(hash)}, {SLICE_LIT("bob"), slice_str(QUICK)}},
                            .num_users = 2};
    uv_loop_init(&world->uv);
    world->loop = net_loop_new(&world->uv);
    world->pool = offload_pool_new("password", 1, 0, max_queued);
    world->port = offload_port_new(&world->uv);
    world->passwords = passwords_new(world->loop, world->pool, world->port, &world->counters);
    for (size_t i = 0; i < MAX_WAITS; i++)
        password_wait_init(&world->askers[i].wait, known);
}

static void world_cleanup(struct world *world)
{
    offload_port_close(world->port);
    net_loop_close(world->loop);
    uv_run(&world->uv, UV_RUN_DEFAULT);
    passwords_free(world->passwords);
    offload_pool_free(world->pool);
    CHECK_INT(uv_loop_close(&world->uv), 0);
}

static enum password_verdict ask(struct world *world, size_t asker, const char *name, const char *password)
{
    struct basic_credentials credentials = {slice_str(name), slice_str(password)};
    return passwords_check(world->passwords, world->users, world->num_users, &credentials, &world->client,
                           &world->askers[asker].wait);
}

/* Until all that was asked for is known: an idle port does not keep its loop running. */
static void settle(struct world *world)
{
    uv_run(&world->uv, UV_RUN_DEFAULT);
}

static void check_asked(struct world *world, const char *name, const char *password, bool right)
{
    world->askers[0].num_right = world->askers[0].num_wrong = 0;
    CHECK_INT(ask(world, 0, name, password), PASSWORD_PENDING);
    CHECK_INT(world->askers[0].num_right + world->askers[0].num_wrong, 0); /* never from within */
    settle(world);
    CHECK_INT(world->askers[0].num_right, right);
    CHECK_INT(world->askers[0].num_wrong, !right);
}

static void a_name_needs_its_own_password(void)
{
    struct world world;
    world_init(&world, "$2y$04$abcdefghijklmnopqrstuuF7KK/SfP9IRGj0pPJMr8GdtCS8xpmpC", 8);
    check_asked(&world, "ann", "open sesame", false);
    check_asked(&world, "ann", "p\xc3\xa4ss", true);
    check_asked(&world, "ann", "", false);
    check_asked(&world, "bob", "open sesame", true);
    check_asked(&world, "bob", "open sesam", false);
    check_asked(&world, "carol", "p\xc3\xa4ss", false); /* the password of the first user, whose hash stands in */
    check_asked(&world, "carol", "open sesame", false);
    check_asked(&world, "", "open sesame", false);
    check_asked(&world, "ANN", "p\xc3\xa4ss", false);
    world_cleanup(&world);
}

static void a_salt_written_otherwise_is_the_same_salt(void)
{
    struct world world;
    world_init(&world, "$2y$04$abcdefghijklmnopqrstuvF7KK/SfP9IRGj0pPJMr8GdtCS8xpmpC",
               8); /* the last bits of it count not */
    check_asked(&world, "ann", "p\xc3\xa4ss", true);
    world_cleanup(&world);
}

static void success_is_remembered_and_failure_is_not(void)
{
    struct world world;
    world_init(&world, QUICK, 8);
    check_asked(&world, "ann", "open sesame", true);
    CHECK_INT(ask(&world, 1, "ann", "open sesame"), PASSWORD_RIGHT);
    CHECK_INT(world.askers[1].num_right, 0);
    check_asked(&world, "ann", "wrong", false);
    check_asked(&world, "ann", "wrong", false);
    check_asked(&world, "bob", "open sesame", true); /* ann's success is not his */
    world.uv.time += LIMIT_PASSWORD_REMEMBERED_MS - 1;
    CHECK_INT(ask(&world, 1, "bob", "open sesame"), PASSWORD_RIGHT);
    world.uv.time += 1000;
    check_asked(&world, "bob", "open sesame", true);
    world_cleanup(&world);
}

/* Whoever was taken out of BASIC_AUTH, or has another hash now, is not let in by memory. */
static void memory_is_of_the_present_users(void)
{
    struct world world;
    world_init(&world, QUICK, 8);
    check_asked(&world, "bob", "open sesame", true);
    world.num_users = 1; /* bob had the same hash as ann */
    check_asked(&world, "bob", "open sesame", false);
    world.num_users = 2;
    CHECK_INT(ask(&world, 1, "bob", "open sesame"), PASSWORD_RIGHT);
    world.users[1].hash = SLICE_LIT("$2b$04$abcdefghijklmnopqrstuubyCG3zY1GIXMyxfivm.ClDiInHzxjiq");
    check_asked(&world, "bob", "open sesame", false);
    world_cleanup(&world);
}

static void the_table_is_bounded_and_forgets_the_oldest(void)
{
    struct world world;
    char name[32];
    size_t num_remembered = 0;
    world_init(&world, QUICK, 8);
    for (int i = 0; i < LIMIT_PASSWORDS_REMEMBERED + 200; i++) {
        snprintf(name, sizeof name, "user-%d", i);
        world.users[1].name = slice_str(name);
        check_asked(&world, name, "open sesame", true);
    }
    CHECK_INT(ask(&world, 1, name, "open sesame"), PASSWORD_RIGHT);
    for (int i = 0; i < LIMIT_PASSWORDS_REMEMBERED + 200; i++) {
        snprintf(name, sizeof name, "user-%d", i);
        world.users[1].name = slice_str(name);
        num_remembered += ask(&world, 1, name, "open sesame") == PASSWORD_RIGHT;
        password_wait_cancel(&world.askers[1].wait);
        settle(&world);
    }
    CHECK(num_remembered > LIMIT_PASSWORDS_REMEMBERED / 2 && num_remembered <= LIMIT_PASSWORDS_REMEMBERED);
    world_cleanup(&world);
}

/* As when a page with its pictures is loaded: one check for all of them. */
static void those_who_ask_the_same_share_one_check(void)
{
    struct world world;
    world_init(&world, SLOW, 1);
    for (size_t i = 0; i < MAX_WAITS; i++)
        CHECK_INT(ask(&world, i, "ann", "open sesame"),
                  PASSWORD_PENDING); /* one runs or waits: there is room for one more */
    settle(&world);
    for (size_t i = 0; i < MAX_WAITS; i++)
        CHECK_INT(world.askers[i].num_right, 1);
    world_cleanup(&world);
}

static void a_full_queue_sheds(void)
{
    struct world world;
    char password[] = "wrong 0";
    enum password_verdict verdicts[MAX_WAITS];
    int num_pending = 0, num_busy = 0;
    world_init(&world, SLOW, 2);
    for (size_t i = 0; i < MAX_WAITS; i++) {
        password[6] = (char)('0' + i);
        verdicts[i] = ask(&world, i, "ann", password);
        num_pending += verdicts[i] == PASSWORD_PENDING;
        num_busy += verdicts[i] == PASSWORD_BUSY;
    }
    CHECK(num_pending >= 2 && num_pending <= 3 && num_pending + num_busy == MAX_WAITS); /* one may run already */
    settle(&world);
    for (size_t i = 0; i < MAX_WAITS; i++)
        CHECK_INT(world.askers[i].num_wrong, verdicts[i] == PASSWORD_PENDING);
    check_asked(&world, "ann", "open sesame", true);
    world_cleanup(&world);
}

/* How many of 64 different passwords are taken from that address, each given up at once. */
static unsigned num_taken(struct world *world, const char *address)
{
    char password[32];
    unsigned num = 0;
    CHECK(ip_parse(slice_str(address), &world->client));
    for (int i = 0; i < 64; i++) {
        snprintf(password, sizeof password, "%s %d", address, i);
        num += ask(world, 0, "ann", password) == PASSWORD_PENDING;
    }
    password_wait_cancel(&world->askers[0].wait);
    return num;
}

static void one_client_does_not_take_all_places(void)
{
    struct world world;
    world_init(&world, QUICK, 1000);
    CHECK_INT(num_taken(&world, "192.0.2.1"), LIMIT_PASSWORDS_PER_CLIENT);
    CHECK_INT(num_taken(&world, "192.0.2.1"), 0);
    CHECK_INT(num_taken(&world, "192.0.2.2"), LIMIT_PASSWORDS_PER_CLIENT);
    CHECK_INT(num_taken(&world, "2001:db8::1"), LIMIT_PASSWORDS_PER_CLIENT);
    CHECK_INT(num_taken(&world, "2001:db8::ffff:1"), 0); /* of the same network */
    CHECK_INT(num_taken(&world, "2001:db8:0:1::1"), LIMIT_PASSWORDS_PER_CLIENT);
    CHECK_INT(num_taken(&world, "::1"), LIMIT_PASSWORDS_PER_CLIENT);
    settle(&world);
    CHECK_INT(num_taken(&world, "192.0.2.1"), LIMIT_PASSWORDS_PER_CLIENT);
    world_cleanup(&world);
}

static double cpu_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double cost_s(struct world *world, const char *name, const char *password)
{
    double before = cpu_s();
    check_asked(world, name, password, false);
    return cpu_s() - before;
}

static void an_unknown_name_costs_what_a_known_one_does(void)
{
    struct world world;
    world_init(&world, SLOW, 8);
    double known_s = cost_s(&world, "ann", "wrong"), unknown_s = cost_s(&world, "nobody", "wrong");
    CHECK(unknown_s > known_s / 2 && unknown_s < known_s * 2);
    world_cleanup(&world);
}

/* Clients that leave take their work along, and its time: a drain does not wait for it. */
static void what_nobody_waits_for_is_not_done(void)
{
    struct world world;
    char password[] = "wrong 0";
    world_init(&world, SLOW, MAX_WAITS);
    double one_s = cost_s(&world, "ann", "first"), before = cpu_s();
    for (size_t i = 0; i < MAX_WAITS; i++) {
        password[6] = (char)('0' + i);
        CHECK_INT(ask(&world, i, "ann", password), PASSWORD_PENDING);
    }
    world.askers[0].num_wrong = 0;
    for (size_t i = 0; i < MAX_WAITS; i++)
        password_wait_cancel(&world.askers[i].wait);
    settle(&world);
    CHECK(cpu_s() - before < one_s * (MAX_WAITS - 3)); /* one may have begun */
    for (size_t i = 0; i < MAX_WAITS; i++)
        CHECK_INT(world.askers[i].num_wrong + world.askers[i].num_right, 0);
    CHECK_INT(ask(&world, 2, "ann", "keeps the thread busy"), PASSWORD_PENDING);
    CHECK_INT(ask(&world, 0, "ann", "open sesame"), PASSWORD_PENDING);
    password_wait_cancel(&world.askers[0].wait);
    CHECK_INT(ask(&world, 1, "ann", "open sesame"), PASSWORD_PENDING); /* not joined to what was given up */
    settle(&world);
    CHECK_INT(world.askers[0].num_right, 0);
    CHECK_INT(world.askers[1].num_right, 1);
    world_cleanup(&world);
}

int main(void)
{
    passwords_free(NULL);
    RUN(a_name_needs_its_own_password);
    RUN(a_salt_written_otherwise_is_the_same_salt);
    RUN(success_is_remembered_and_failure_is_not);
    RUN(memory_is_of_the_present_users);
    RUN(the_table_is_bounded_and_forgets_the_oldest);
    RUN(those_who_ask_the_same_share_one_check);
    RUN(a_full_queue_sheds);
    RUN(one_client_does_not_take_all_places);
    RUN(an_unknown_name_costs_what_a_known_one_does);
    RUN(what_nobody_waits_for_is_not_done);
    return checks_done();
}
