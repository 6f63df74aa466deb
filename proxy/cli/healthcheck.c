/* portico healthcheck: one request to the admin endpoint, with plain blocking sockets and one deadline for all. */
#include "cli/cli.h"

#include "base/clock.h"
#include "cli/print.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { HEALTHCHECK_MS = 2000, ANSWER_BYTES = 1024 };

struct place {
    socklen_t len;
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un local;
    } at;
};

struct check {
    FILE *err;
    const char *path;    /* "/livez" */
    struct slice where;  /* as configured, for messages */
    int64_t deadline_ms; /* monotonic */
};

static int64_t now_ms(void)
{
    return clock_system.mono_ms(&clock_system);
}

/* Says why, and returns false. */
static bool failed(const struct check *check, const char *what, const char *detail)
{
    fprintf(check->err, "portico healthcheck: %s at %s: %s%s%s\n", check->path, check->where.ptr, what,
            detail ? ": " : "", detail ? detail : "");
    return false;
}

/* False with errno: ETIMEDOUT behind the deadline. */
static bool wait_for(const struct check *check, int fd, short events)
{
    for (;;) {
        int64_t left = check->deadline_ms - now_ms();
        struct pollfd entry = {.fd = fd, .events = events};
        int n = left > 0 ? poll(&entry, 1, (int)left) : 0;
        if (n > 0)
            return true;
        if (n == 0)
            errno = ETIMEDOUT;
        if (n == 0 || errno != EINTR)
            return false;
    }
}

static bool connect_to(const struct check *check, int fd, const struct place *place)
{
    int error = 0;
    socklen_t len = sizeof error;
    if (connect(fd, &place->at.any, place->len) == 0)
        return true;
    if (errno != EINPROGRESS || !wait_for(check, fd, POLLOUT))
        return false;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        return false;
    errno = error;
    return error == 0;
}

static bool send_request(const struct check *check, int fd)
{
    char request[128];
    int len = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
                       check->path);
    return wait_for(check, fd, POLLOUT) && send(fd, request, (size_t)len, MSG_NOSIGNAL) == len;
}

static bool is_ok(struct slice answer)
{
    return slice_starts(answer, SLICE_LIT("HTTP/1.1 200 "));
}

/* Until it is known to be well, the other side closes, the deadline passes or the room is full; false with errno where
 * nothing came in time. */
static bool read_answer(const struct check *check, int fd, char out[ANSWER_BYTES], size_t *out_len)
{
    size_t len = 0;
    while (len < ANSWER_BYTES && !is_ok(slice_make(out, len)) && wait_for(check, fd, POLLIN)) {
        ssize_t n = recv(fd, out + len, ANSWER_BYTES - len, 0);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n == 0)
            errno = ECONNRESET;
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    *out_len = len;
    return len > 0;
}

static bool judge(const struct check *check, struct slice answer)
{
    if (is_ok(answer))
        return true;
    if (!slice_starts(answer, SLICE_LIT("HTTP/1.")))
        return failed(check, "does not answer in HTTP", NULL);
    const char *body = memmem(answer.ptr, answer.len, "\r\n\r\n", 4);
    struct slice rest = answer, line = slice_split(&rest, '\r');
    fprintf(check->err, "portico healthcheck: %s at %s answers ", check->path, check->where.ptr);
    print_escaped(check->err, slice_skip(line, 9 < line.len ? 9 : line.len));
    if (body) {
        struct slice text = slice_skip(answer, (size_t)(body - answer.ptr) + 4);
        fputs(": ", check->err);
        print_escaped(check->err, slice_trim(slice_split(&text, '\n')));
    }
    putc('\n', check->err);
    return false;
}

/* *out_reached says whether something answered there, so that no other address is worth a try. */
static bool ask(const struct check *check, const struct place *place, bool *out_reached)
{
    char answer[ANSWER_BYTES];
    size_t len = 0;
    int fd = socket(place->at.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool connected = fd >= 0 && connect_to(check, fd, place);
    bool answered = connected && send_request(check, fd) && read_answer(check, fd, answer, &len);
    int error = errno;
    if (fd >= 0)
        close(fd);
    *out_reached = connected;
    if (answered)
        return judge(check, slice_make(answer, len));
    return failed(check, connected ? "does not answer" : "cannot be reached", strerror(error));
}

static void place_v4(struct place *out, const char *host, uint16_t port)
{
    *out = (struct place){.len = sizeof out->at.v4, .at.v4 = {.sin_family = AF_INET, .sin_port = htons(port)}};
    if (inet_pton(AF_INET, host, &out->at.v4.sin_addr) != 1)
        out->len = 0;
}

static void place_v6(struct place *out, const char *host, uint16_t port)
{
    *out = (struct place){.len = sizeof out->at.v6, .at.v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)}};
    if (inet_pton(AF_INET6, host, &out->at.v6.sin6_addr) != 1)
        out->len = 0;
}

static void place_unix(struct place *out, struct slice path)
{
    *out = (struct place){.len = sizeof out->at.local, .at.local = {.sun_family = AF_UNIX}};
    memcpy(out->at.local.sun_path, path.ptr, path.len); /* its length was checked when it was parsed */
}

/* Where a listener can be reached from this machine: an unspecified address by way of loopback. */
static size_t places_of(const struct config_listen *listen, struct place out[2])
{
    if (listen->kind == CONFIG_LISTEN_UNIX) {
        place_unix(&out[0], listen->path);
        return 1;
    }
    if (listen->host.len == 0 || slice_eq(listen->host, SLICE_LIT("::"))) {
        place_v4(&out[0], "127.0.0.1", listen->port);
        place_v6(&out[1], "::1", listen->port);
        return 2;
    }
    if (listen->host_is_ipv6)
        place_v6(&out[0], listen->host.ptr, listen->port);
    else
        place_v4(&out[0], slice_eq(listen->host, SLICE_LIT("0.0.0.0")) ? "127.0.0.1" : listen->host.ptr, listen->port);
    return 1;
}

static bool ask_listener(const struct check *check, const struct config_listen *listen)
{
    struct place places[2];
    bool reached = false;
    if (listen->kind == CONFIG_LISTEN_OFF)
        return failed(check, "PORTICO_ADMIN_LISTEN is off, so nothing can be asked", NULL);
    if (listen->kind == CONFIG_LISTEN_TCP && listen->port == 0)
        return failed(check, "PORTICO_ADMIN_LISTEN has port 0, so nobody knows where to ask", NULL);
    size_t num = places_of(listen, places);
    for (size_t i = 0; i < num && !reached; i++)
        if (ask(check, &places[i], &reached))
            return true;
    return false;
}

static bool read_args(const struct cli_call *call, struct check *check)
{
    bool ready = call->num_args == 1 && strcmp(call->args[0], "--ready") == 0;
    check->path = ready ? "/readyz" : "/livez";
    if (call->num_args == 0 || ready)
        return true;
    fprintf(call->err, "portico healthcheck: takes --ready or nothing, but got `%.64s`\n",
            call->args[call->num_args - 1]);
    return false;
}

int cli_healthcheck(const struct cli_call *call)
{
    struct check check = {.err = call->err, .deadline_ms = now_ms() + HEALTHCHECK_MS};
    struct config *config;
    struct config_mistakes mistakes = {0};
    if (!read_args(call, &check))
        return CLI_EXIT_USAGE;
    if (!config_load_admin(call->environment, &config, &mistakes)) {
        print_mistakes(call->err, &mistakes);
        config_mistakes_cleanup(&mistakes);
        return CLI_EXIT_FATAL;
    }
    check.where = config->listen.admin.text;
    bool healthy = ask_listener(&check, &config->listen.admin);
    config_unref(config);
    return healthy ? CLI_EXIT_CLEAN : CLI_EXIT_FATAL;
}
