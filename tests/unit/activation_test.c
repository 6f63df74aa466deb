#include "core/activation.h"

#include "check.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { OWN_PID = 4711 };

static struct activation read_from(const char *pid, const char *fds, const char *names)
{
    struct activation activation;
    struct activation_environment environment = {pid, fds, names};
    activation_read(&activation, &environment, OWN_PID);
    return activation;
}

static void names_go_with_their_descriptors(void)
{
    struct activation activation = read_from("4711", "3", "https:http:https");
    CHECK_INT(activation.num, 3);
    CHECK_INT(activation.fds[2].fd, 5);
    CHECK_SLICE(activation.fds[1].name, "http");
    char names[64];
    CHECK_STR(activation_names(&activation, names, sizeof names), "https, http");
}

static void a_name_that_is_missing_is_unknown(void)
{
    struct activation activation = read_from("4711", "3", "web");
    CHECK_SLICE(activation.fds[0].name, "web");
    CHECK_SLICE(activation.fds[1].name, "unknown");
    CHECK_SLICE(activation.fds[2].name, "unknown");
    activation = read_from("4711", "1", NULL);
    CHECK_SLICE(activation.fds[0].name, "unknown");
}

static void what_is_not_meant_for_us_is_left_alone(void)
{
    CHECK_INT(read_from("4712", "1", "a").num, 0);
    CHECK_INT(read_from(NULL, "1", "a").num, 0);
    CHECK_INT(read_from("4711", NULL, "a").num, 0);
    CHECK_INT(read_from("x", "1", "a").num, 0);
    CHECK_INT(read_from("4711", "-1", "a").num, 0);
    CHECK_INT(read_from("4711", "257", "a").num, 0);
    CHECK_INT(read_from("4711", "99999999999999999999", "a").num, 0);
    char names[8];
    struct activation none = read_from(NULL, NULL, NULL);
    CHECK_STR(activation_names(&none, names, sizeof names), "none");
}

static void a_list_of_names_that_does_not_fit_is_cut(void)
{
    struct activation activation = read_from("4711", "3", "aaaa:bbbb:cccc");
    char names[10];
    CHECK_STR(activation_names(&activation, names, sizeof names), "aaaa, bbb");
}

/* Real descriptors in the place of 3 and 4. */
static void descriptors_are_taken_once_and_made_non_blocking(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0), other = socket(AF_UNIX, SOCK_STREAM, 0);
    int out[ACTIVATION_MAX_FDS];
    struct activation activation = {.fds = {{fd, SLICE_LIT("a")}, {other, SLICE_LIT("b")}}, .num = 2};
    CHECK_INT(activation_take(&activation, SLICE_LIT("c"), out), 0);
    CHECK_INT(activation_take(&activation, SLICE_LIT("a"), out), 1);
    CHECK_INT(out[0], fd);
    CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    CHECK_INT(activation_take(&activation, SLICE_LIT("a"), out), 0);
    CHECK_INT(activation_close(&activation), 1);
    CHECK(fcntl(other, F_GETFD) < 0);
    CHECK(fcntl(fd, F_GETFD) >= 0);
    close(fd);
}

static int made(int domain, int type, bool listening)
{
    int fd = socket(domain, type, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    if (domain == AF_INET)
        CHECK_INT(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    if (domain == AF_UNIX) { /* an address of the kernel's choice */
        struct sockaddr_un local = {.sun_family = AF_UNIX};
        CHECK_INT(bind(fd, (struct sockaddr *)&local, sizeof local.sun_family), 0);
    }
    if (listening)
        CHECK_INT(listen(fd, 1), 0);
    return fd;
}

static void only_listening_streams_will_do(void)
{
    bool unix_socket = true;
    struct {
        int fd;
        bool good, unix_socket;
    } rows[] = {{made(AF_INET, SOCK_STREAM, true), true, false},    {made(AF_UNIX, SOCK_STREAM, true), true, true},
                {made(AF_INET, SOCK_STREAM, false), false, false},  {made(AF_INET, SOCK_DGRAM, false), false, false},
                {made(AF_UNIX, SOCK_SEQPACKET, true), false, true}, {open("/dev/null", O_RDONLY), false, false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CHECK_INT(!err_is(activation_check(rows[i].fd, &unix_socket)), rows[i].good);
        CHECK_INT(unix_socket, rows[i].unix_socket);
        close(rows[i].fd);
    }
    CHECK(err_is(activation_check(-1, &unix_socket)));
}

int main(void)
{
    RUN(names_go_with_their_descriptors);
    RUN(a_name_that_is_missing_is_unknown);
    RUN(what_is_not_meant_for_us_is_left_alone);
    RUN(a_list_of_names_that_does_not_fit_is_cut);
    RUN(descriptors_are_taken_once_and_made_non_blocking);
    RUN(only_listening_streams_will_do);
    return checks_done();
}
