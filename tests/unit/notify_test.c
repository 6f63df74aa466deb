#include "core/notify.h"

#include "check.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { OWN_PID = 4711 };

static char received[1024];

/* A manager at a path or an abstract name; both as NOTIFY_SOCKET has them. */
static int manager(const char *text)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    size_t len = strlen(text);
    memcpy(at.sun_path, text, len);
    if (text[0] == '@')
        at.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    CHECK_INT(bind(fd, (struct sockaddr *)&at, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)), 0);
    return fd;
}

static const char *receive(int fd)
{
    ssize_t len = recv(fd, received, sizeof received - 1, 0);
    received[len > 0 ? len : 0] = '\0';
    return len >= 0 ? received : "nothing";
}

static struct err open_with(struct notify *notify, const char *socket, const char *usec, const char *pid)
{
    struct notify_environment environment = {socket, usec, pid};
    return notify_open(notify, &environment, OWN_PID);
}

static void each_word_is_a_datagram(void)
{
    struct notify notify;
    char name[64];
    snprintf(name, sizeof name, "@portico-notify-test-%ld", (long)getpid());
    int fd = manager(name);
    CHECK(!err_is(open_with(&notify, name, NULL, NULL)));
    notify_ready(&notify, "all is well");
    CHECK_STR(receive(fd), "READY=1\nSTATUS=all is well\n");
    notify_stopping(&notify, 13000, "ends");
    CHECK_STR(receive(fd), "STOPPING=1\nEXTEND_TIMEOUT_USEC=13000000\nSTATUS=ends\n");
    notify_alive(&notify);
    CHECK_STR(receive(fd), "WATCHDOG=1\n");
    notify_reloading(&notify);
    CHECK(strncmp(receive(fd), "RELOADING=1\nMONOTONIC_USEC=", 27) == 0);
    CHECK(strtoull(received + 27, NULL, 10) > 0);
    CHECK_STR(receive(fd), "nothing");
    notify_close(&notify);
    notify_ready(&notify, "nobody hears it");
    CHECK_STR(receive(fd), "nothing");
    close(fd);
}

static void a_path_will_do(void)
{
    struct notify notify;
    char path[64];
    snprintf(path, sizeof path, "/tmp/portico-notify-test-%ld", (long)getpid());
    int fd = manager(path);
    CHECK(!err_is(open_with(&notify, path, NULL, NULL)));
    notify_alive(&notify);
    CHECK_STR(receive(fd), "WATCHDOG=1\n");
    unlink(path);
    notify_alive(&notify); /* a manager that has gone does no harm */
    notify_close(&notify);
    close(fd);
}

static void what_is_no_socket_is_said_and_harmless(void)
{
    static const char *const wrong[] = {"relative", "@", "/", "vsock:2:1",
                                        ("/0123456789012345678901234567890123456789012345678901234567890123456789"
                                         "0123456789012345678901234567890123456789012345678901234567890")};
    struct notify notify;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        CHECK(err_is(open_with(&notify, wrong[i], "1000000", NULL)));
        CHECK_INT(notify.fd, -1);
        notify_ready(&notify, "nobody");
        CHECK_INT(notify_alive_every_ms(&notify), 0);
    }
    CHECK(!err_is(open_with(&notify, NULL, "1000000", NULL)));
    CHECK_INT(notify_alive_every_ms(&notify), 0);
    CHECK(!err_is(open_with(&notify, "", NULL, NULL)));
    CHECK_INT(notify.fd, -1);
}

static void the_watchdog_is_told_at_half_of_its_time(void)
{
    static const struct {
        const char *usec, *pid;
        uint64_t every_ms;
    } rows[] = {{"30000000", NULL, 15000},
                {"30000000", "4711", 15000},
                {"30000000", "1", 0},
                {"30000000", "x", 0},
                {"1000", NULL, 1},
                {"0", NULL, 0},
                {"x", NULL, 0},
                {NULL, NULL, 0}};
    struct notify notify;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CHECK(!err_is(open_with(&notify, "@x", rows[i].usec, rows[i].pid)));
        CHECK_INT(notify_alive_every_ms(&notify), rows[i].every_ms);
        notify_close(&notify);
    }
}

int main(void)
{
    RUN(each_word_is_a_datagram);
    RUN(a_path_will_do);
    RUN(what_is_no_socket_is_said_and_harmless);
    RUN(the_watchdog_is_told_at_half_of_its_time);
    return checks_done();
}
