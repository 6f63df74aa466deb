#include "core/handover.h"

#include "check.h"
#include "core/handover_wire.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static char storage[PATH_MAX];

/* ---- one packet ---- */

static void pair_make(int pair[2])
{
    CHECK_INT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
}

static bool same_file(int a, int b)
{
    struct stat at_a, at_b;
    return fstat(a, &at_a) == 0 && fstat(b, &at_b) == 0 && at_a.st_ino == at_b.st_ino && at_a.st_dev == at_b.st_dev;
}

static void descriptors_go_with_their_text(void)
{
    int pair[2], fds[HANDOVER_BATCH_FDS];
    struct handover_message message;
    pair_make(pair);
    for (int i = 0; i < HANDOVER_BATCH_FDS; i++)
        fds[i] = pair[i % 2];
    CHECK(!err_is(handover_send(pair[0], "https :443", fds, HANDOVER_BATCH_FDS)));
    CHECK(!err_is(handover_receive(pair[1], &message)));
    CHECK_SLICE(message.body, "https :443");
    CHECK_INT(message.num_fds, HANDOVER_BATCH_FDS);
    CHECK(same_file(message.fds[0], pair[0]) && same_file(message.fds[HANDOVER_BATCH_FDS - 1], pair[1]));
    CHECK(fcntl(message.fds[5], F_GETFD) & FD_CLOEXEC);
    handover_message_close(&message);
    close(pair[0]);
    CHECK(!err_is(handover_receive(pair[1], &message))); /* the end */
    CHECK_INT(message.body.len, 0);
    close(pair[1]);
}

static int lowest_free(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(fd);
    return fd;
}

static void what_is_too_much_is_refused_and_closed(void)
{
    int pair[2], fds[HANDOVER_BATCH_FDS + 1];
    char long_text[HANDOVER_TEXT_BYTES + 1];
    struct handover_message message;
    pair_make(pair);
    memset(long_text, 'x', sizeof long_text);
    long_text[sizeof long_text - 1] = '\0';
    int before = lowest_free();
    CHECK(!err_is(handover_send(pair[0], long_text, pair, 2)));
    CHECK_INT(handover_receive(pair[1], &message).kind, ERR_LIMIT);
    CHECK_INT(lowest_free(), before);

    union {
        struct cmsghdr aligned;
        char bytes[CMSG_SPACE(sizeof fds)];
    } space = {0};
    struct iovec part = {"x", 1};
    struct msghdr out = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = space.bytes, .msg_controllen = sizeof space.bytes};
    struct cmsghdr *header = CMSG_FIRSTHDR(&out);
    *header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof fds), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    for (int i = 0; i <= HANDOVER_BATCH_FDS; i++)
        fds[i] = pair[0];
    memcpy(CMSG_DATA(header), fds, sizeof fds);
    CHECK_INT(sendmsg(pair[0], &out, 0), 1);
    CHECK_INT(handover_receive(pair[1], &message).kind, ERR_LIMIT);
    CHECK_INT(lowest_free(), before);
    close(pair[0]);
    close(pair[1]);
}

static void a_long_path_goes_by_way_of_the_directory(void)
{
    struct address address;
    char directory[200];
    memset(directory, 'd', sizeof directory);
    directory[0] = '/';
    directory[sizeof directory - 1] = '\0';
    CHECK(handover_address("/var/lib/portico", 7, HANDOVER_SOCKET, &address));
    CHECK_STR(address.at.local.sun_path, "/var/lib/portico/.handover");
    CHECK(handover_address(directory, 7, HANDOVER_SOCKET, &address));
    CHECK_STR(address.at.local.sun_path, "/proc/self/fd/7/.handover");
}

/* ---- both sides: the old one on this thread's loop, the new one, which blocks, on another ---- */

static const char *const entries[] = {"PORTICO_DOMAINS=a.test", "PORTICO_HTTP_LISTEN=127.0.0.1:0",
                                      "PORTICO_HTTPS_LISTEN=127.0.0.1:0", NULL};
static const char *const other_entries[] = {"PORTICO_DOMAINS=a.test", "PORTICO_HTTP_LISTEN=127.0.0.1:0",
                                            "PORTICO_HTTPS_LISTEN=127.0.0.1:1", NULL};

static struct config *config_of(const char *const *environment)
{
    struct config *config = NULL;
    struct config_mistakes mistakes = {0};
    CHECK(config_load(environment, &config, &mistakes));
    config_mistakes_cleanup(&mistakes);
    return config;
}

struct world {
    uv_loop_t uv;
    struct net_loop *loop;
    struct sockets old, new;
    struct handover handover;
    struct config *config, *new_config;
    struct takeover takeover;
    struct err begun;
    bool serve;
    uv_async_t done;
    int relieved_by;
    size_t num_ended;
};

static void world_end(struct world *world)
{
    handover_close(&world->handover);
    if (!uv_is_closing((uv_handle_t *)&world->done))
        uv_close((uv_handle_t *)&world->done, NULL);
    net_loop_close(world->loop);
}

static void world_relieved(void *ctx, int pid)
{
    struct world *world = ctx;
    world->relieved_by = pid;
}

/* The new side is through; where it serves, its word is in the socket already. */
static void world_done(uv_async_t *async)
{
    struct world *world = container_of(async, struct world, done);
    if (!world->serve)
        takeover_abandon(&world->takeover);
    bool word_comes = world->serve && !err_is(world->begun);
    do {
        uv_run(&world->uv, word_comes ? UV_RUN_ONCE : UV_RUN_NOWAIT);
    } while (word_comes && !world->relieved_by);
    world_end(world);
}

static void *new_side(void *arg)
{
    struct world *world = arg;
    world->begun = takeover_begin(&world->takeover, storage, &world->new);
    if (world->serve && !err_is(world->begun))
        CHECK(!err_is(takeover_end(&world->takeover)));
    uv_async_send(&world->done);
    return NULL;
}

static int listening(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(listen(fd, 1), 0); /* on a port of the kernel's choice */
    return fd;
}

static void set_fill(struct socket_set *set, size_t num)
{
    for (size_t i = 0; i < num; i++)
        set->fds[i] = i ? dup(set->fds[0]) : listening();
    set->num_lent = num;
}

static struct world *world_new(const char *const *new_environment, size_t num_https)
{
    struct world *world = MEM_NEW(struct world);
    uv_loop_init(&world->uv);
    world->loop = net_loop_new(&world->uv);
    world->config = config_of(entries);
    world->new_config = config_of(new_environment);
    sockets_init(&world->old, world->config, NULL);
    sockets_init(&world->new, world->new_config, NULL);
    set_fill(&world->old.sets[SOCKET_HTTPS], num_https);
    set_fill(&world->old.sets[SOCKET_HTTP], 1);
    world->handover = (struct handover){
        .loop = world->loop, .sockets = &world->old, .ctx = world, .relieved = world_relieved, .fd = -1};
    CHECK(!err_is(handover_open(&world->handover, storage, true)));
    uv_async_init(&world->uv, &world->done, world_done);
    return world;
}

static void world_run(struct world *world, bool serve)
{
    pthread_t thread;
    world->serve = serve;
    CHECK_INT(pthread_create(&thread, NULL, new_side, world), 0);
    uv_run(&world->uv, UV_RUN_DEFAULT);
    pthread_join(thread, NULL);
}

static void world_free(struct world *world)
{
    for (enum socket_name i = 0; i < NUM_SOCKETS; i++)
        for (size_t k = 0; k < world->old.sets[i].num_lent; k++)
            close(world->old.sets[i].fds[k]);
    sockets_close(&world->new);
    config_unref(world->config);
    config_unref(world->new_config);
    CHECK_INT(uv_loop_close(&world->uv), 0);
    mem_free(world);
}

/* More than a packet holds. */
static void every_socket_goes_over(void)
{
    struct world *world = world_new(entries, 200);
    world_run(world, true);
    CHECK(!err_is(world->begun));
    CHECK_INT(world->new.sets[SOCKET_HTTPS].num, 200);
    CHECK_INT(world->new.sets[SOCKET_HTTP].num, 1);
    CHECK_INT(world->new.sets[SOCKET_ADMIN].num, 0);
    CHECK(world->new.sets[SOCKET_HTTPS].passed);
    CHECK(same_file(world->new.sets[SOCKET_HTTPS].fds[0], world->old.sets[SOCKET_HTTPS].fds[0]));
    CHECK_INT(world->relieved_by, getpid());
    world_free(world);
}

static void what_is_wanted_elsewhere_is_not_adopted(void)
{
    struct world *world = world_new(other_entries, 2);
    world_run(world, true);
    CHECK(!err_is(world->begun));
    CHECK_INT(world->new.sets[SOCKET_HTTPS].num, 0);
    CHECK_INT(world->new.sets[SOCKET_HTTP].num, 1);
    world_free(world);
}

static void who_does_not_serve_relieves_nobody(void)
{
    struct world *world = world_new(entries, 2);
    world_run(world, false);
    CHECK(!err_is(world->begun));
    CHECK_INT(world->relieved_by, 0);
    world_free(world);
}

static void a_descriptor_that_does_not_listen_is_refused(void)
{
    struct world *world = world_new(entries, 1);
    close(world->old.sets[SOCKET_HTTPS].fds[0]);
    world->old.sets[SOCKET_HTTPS].fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    world_run(world, true);
    CHECK(err_is(world->begun));
    CHECK_INT(world->relieved_by, 0);
    CHECK_INT(world->new.sets[SOCKET_HTTPS].num, 0);
    world_free(world);
}

static void the_socket_of_a_living_process_is_left_to_it(void)
{
    struct world *world = world_new(entries, 1);
    struct handover second = {.loop = world->loop, .fd = -1};
    CHECK_INT(handover_open(&second, storage, false).kind, ERR_STATE);
    CHECK_INT(second.fd, -1);
    handover_close(&second); /* harmless */
    world_run(world, true);
    CHECK_INT(world->relieved_by, getpid());
    world_free(world);
}

static void a_remainder_is_replaced(void)
{
    struct world *world = world_new(entries, 1); /* over one that earlier tests have left */
    world_run(world, false);
    world_free(world);
    struct sockets sockets;
    struct takeover takeover;
    sockets_init(&sockets, NULL, NULL);
    CHECK(!err_is(takeover_begin(&takeover, storage, &sockets)));
    CHECK_INT(takeover.fd, -1);
    CHECK(!err_is(takeover_end(&takeover)));
    CHECK(!err_is(takeover_begin(&takeover, "/no/such/directory", &sockets)));
    CHECK_INT(takeover.fd, -1);
}

int main(void)
{
    char made[] = "/tmp/portico-handover-XXXXXX", command[PATH_MAX + 16];
    CHECK(mkdtemp(made) != NULL);
    snprintf(storage, sizeof storage, "%s", made);
    RUN(descriptors_go_with_their_text);
    RUN(what_is_too_much_is_refused_and_closed);
    RUN(a_long_path_goes_by_way_of_the_directory);
    RUN(every_socket_goes_over);
    RUN(what_is_wanted_elsewhere_is_not_adopted);
    RUN(who_does_not_serve_relieves_nobody);
    RUN(a_descriptor_that_does_not_listen_is_refused);
    RUN(the_socket_of_a_living_process_is_left_to_it);
    RUN(a_remainder_is_replaced);
    snprintf(command, sizeof command, "rm -rf '%s'", made);
    CHECK_INT(system(command), 0);
    return checks_done();
}
