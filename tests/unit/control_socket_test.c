/* The control socket: its mode, who gets which name, what a dead process leaves, a storage with a long path. */
#include "core/control_socket.h"

#include "check.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
    char root[64], run[96], storage[400];
};

static void place_make(struct place *place)
{
    snprintf(place->root, sizeof place->root, "/tmp/control-socket-XXXXXX");
    CHECK(mkdtemp(place->root) != NULL);
    snprintf(place->run, sizeof place->run, "%s/run", place->root);
    snprintf(place->storage, sizeof place->storage, "%s/storage", place->root);
    CHECK(mkdir(place->storage, 0700) == 0);
}

static void place_remove(struct place *place)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", place->root);
    CHECK(system(command) == 0); // NOLINT(cert-env33-c)
}

static int open_at(const struct place *place, struct control_socket *control)
{
    int fd = -1;
    struct err err = control_socket_open(control, place->run, slice_str(place->storage), &fd);
    CHECK(!err_is(err));
    return fd;
}

static size_t num_found(const struct place *place)
{
    struct control_place found[4];
    size_t num = control_socket_find(place->run, slice_str(place->storage), found, 4);
    for (size_t i = 0; i < num; i++) {
        CHECK_INT(found[i].pid, getpid());
        close(found[i].fd);
    }
    return num;
}

static bool in_storage(const struct place *place, const char *name, mode_t *out_mode)
{
    char path[512];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", place->storage, name);
    if (lstat(path, &st) != 0)
        return false;
    if (out_mode)
        *out_mode = st.st_mode;
    return true;
}

static void test_in_the_storage(void)
{
    struct place place;
    struct control_socket control;
    mode_t mode = 0;
    place_make(&place);
    umask(0);
    CHECK_INT(num_found(&place), 0);
    int fd = open_at(&place, &control);
    CHECK(in_storage(&place, ".control.sock", &mode));
    CHECK_INT(mode, S_IFSOCK | 0600);
    CHECK_INT(num_found(&place), 1);
    close(fd);
    control_socket_close(&control);
    control_socket_close(&control);
    CHECK(!in_storage(&place, ".control.sock", NULL));
    place_remove(&place);
}

static void test_run_comes_first(void)
{
    struct place place;
    struct control_socket control;
    place_make(&place);
    CHECK(mkdir(place.run, 0755) == 0);
    int fd = open_at(&place, &control);
    CHECK(strncmp(control.path, place.run, strlen(place.run)) == 0);
    CHECK(!in_storage(&place, ".control.sock", NULL));
    CHECK_INT(num_found(&place), 1);
    struct place other = place;
    snprintf(other.storage, sizeof other.storage, "%s/other", place.root);
    CHECK_INT(num_found(&other), 0); /* of another storage, in the same directory */
    close(fd);
    control_socket_close(&control);
    place_remove(&place);
}

static void test_a_live_one_is_not_replaced(void)
{
    struct place place;
    struct control_socket first, second, third;
    place_make(&place);
    int first_fd = open_at(&place, &first), second_fd = open_at(&place, &second);
    CHECK_STR(first.name, ".control.sock");
    CHECK(strncmp(second.name, ".control.sock-", 14) == 0);
    CHECK_INT(num_found(&place), 2);
    close(first_fd);
    control_socket_close(&first);
    CHECK_INT(num_found(&place), 1); /* the second is found by its own name */
    int third_fd = open_at(&place, &third);
    CHECK_STR(third.name, ".control.sock");
    close(second_fd);
    control_socket_close(&second);
    CHECK(in_storage(&place, ".control.sock", NULL));
    close(third_fd);
    control_socket_close(&third);
    place_remove(&place);
}

/* kill -9 leaves the files. */
static void test_what_the_dead_leave_is_removed(void)
{
    struct place place;
    struct control_socket first, second, third;
    place_make(&place);
    int first_fd = open_at(&place, &first), second_fd = open_at(&place, &second);
    close(first_fd);
    close(second_fd);
    CHECK_INT(num_found(&place), 0);
    int third_fd = open_at(&place, &third);
    CHECK_STR(third.name, ".control.sock");
    CHECK(!in_storage(&place, second.name, NULL));
    control_socket_close(&first); /* not its file any more */
    CHECK(in_storage(&place, ".control.sock", NULL));
    close(third_fd);
    control_socket_close(&third);
    control_socket_close(&second);
    place_remove(&place);
}

/* Longer than any socket address. */
static void test_a_long_path(void)
{
    struct place place;
    struct control_socket control;
    place_make(&place);
    size_t len = strlen(place.storage);
    snprintf(place.storage + len, sizeof place.storage - len, "/%0200d", 7);
    CHECK(mkdir(place.storage, 0700) == 0);
    int fd = open_at(&place, &control);
    CHECK_INT(num_found(&place), 1);
    close(fd);
    control_socket_close(&control);
    place_remove(&place);
}

static void test_nowhere(void)
{
    struct place place = {.run = "/no/such", .storage = "/no/such/either"};
    struct control_socket control;
    int fd = -1;
    struct err err = control_socket_open(&control, place.run, slice_str(place.storage), &fd);
    CHECK_INT(err.kind, ERR_SYSTEM);
    CHECK_INT(err.code, ENOENT);
    CHECK_INT(num_found(&place), 0);
    control_socket_close(&control);
}

int main(void)
{
    RUN(test_in_the_storage);
    RUN(test_run_comes_first);
    RUN(test_a_live_one_is_not_replaced);
    RUN(test_what_the_dead_leave_is_removed);
    RUN(test_a_long_path);
    RUN(test_nowhere);
    return checks_done();
}
