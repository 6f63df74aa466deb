#include "cli/ask.h"

#include "base/clock.h"
#include "cli/print.h"
#include "core/control_socket.h"
#include "net/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <unistd.h>

enum { ASK_PROCESSES = 8, ASK_READ_BYTES = 64 * 1024 };

int64_t ask_now_ms(void)
{
    return clock_system.mono_ms(&clock_system);
}

/* Returns false. */
static bool ask_failed(const struct ask *ask, const char *where, const char *what, const char *detail)
{
    fprintf(ask->err, "portico %s: %s at %s: %s%s%s\n", ask->command, ask->path, where, what, detail ? ": " : "",
            detail ? detail : "");
    return false;
}

/* ---- one connection ---- */

/* False with errno: ETIMEDOUT behind the deadline. */
static bool ask_wait(const struct ask *ask, int fd, short events)
{
    for (;;) {
        int64_t left = ask->deadline_ms - ask_now_ms();
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

static bool ask_connect(const struct ask *ask, int fd, const struct address *address)
{
    int error = 0;
    socklen_t len = sizeof error;
    if (connect(fd, &address->at.any, address->len) == 0)
        return true;
    if (errno != EINPROGRESS || !ask_wait(ask, fd, POLLOUT))
        return false;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        return false;
    errno = error;
    return error == 0;
}

static bool ask_send(const struct ask *ask, int fd)
{
    struct buf request = {0};
    bool post = strcmp(ask->method, "POST") == 0;
    buf_printf(&request, "%s %s HTTP/1.1\r\nHost: localhost\r\n%sConnection: close\r\n\r\n", ask->method, ask->path,
               post ? "Content-Length: 0\r\n" : "");
    bool sent = ask_wait(ask, fd, POLLOUT) && send(fd, request.ptr, request.len, MSG_NOSIGNAL) == (ssize_t)request.len;
    buf_cleanup(&request);
    return sent;
}

/* What Content-Length promises is there: the other side need not close, and a probe need not wait for it. */
static bool answer_is_whole(const struct buf *bytes)
{
    uint64_t length;
    const char *end = bytes->len ? memmem(bytes->ptr, bytes->len, "\r\n\r\n", 4) : NULL;
    if (!end)
        return false;
    struct slice head = slice_make(bytes->ptr, (size_t)(end - bytes->ptr)), line;
    while (head.len) {
        line = slice_split(&head, '\n');
        if (line.len && line.ptr[line.len - 1] == '\r')
            line.len--;
        struct slice name = slice_split(&line, ':');
        if (slice_ieq(name, SLICE_LIT("Content-Length")) && slice_decimal(slice_trim(line), SIZE_MAX / 2, &length))
            return bytes->len - (size_t)(end + 4 - bytes->ptr) >= length;
    }
    return false;
}

/* Until it is whole, the other side closes, the deadline passes or the room is full; false with errno where nothing came
 * in time. */
static bool ask_read(const struct ask *ask, int fd, struct buf *bytes)
{
    while (bytes->len < ask->max_bytes && !answer_is_whole(bytes) && ask_wait(ask, fd, POLLIN)) {
        size_t room = ask->max_bytes - bytes->len < ASK_READ_BYTES ? ask->max_bytes - bytes->len : ASK_READ_BYTES;
        ssize_t n = recv(fd, buf_reserve(bytes, room), room, 0);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n == 0)
            errno = ECONNRESET;
        if (n <= 0)
            break;
        bytes->len += (size_t)n;
    }
    return bytes->len > 0;
}

static bool answer_parse(struct answer *answer)
{
    struct slice all = buf_slice(&answer->bytes), rest = all, code;
    uint64_t status;
    if (!slice_starts(all, SLICE_LIT("HTTP/1.")))
        return false;
    const char *end = memmem(all.ptr, all.len, "\r\n\r\n", 4);
    answer->head = slice_split(&rest, '\r');
    code = slice_skip(answer->head, answer->head.len < 9 ? answer->head.len : 9);
    answer->head = code;
    answer->body = end ? slice_skip(all, (size_t)(end - all.ptr) + 4) : SLICE_NONE;
    if (!slice_decimal(slice_split(&code, ' '), 9999, &status))
        return false;
    answer->status = (unsigned)status;
    return true;
}

/* Over a connection, which it closes. */
static bool ask_over(const struct ask *ask, int fd, const char *where, struct answer *out_answer)
{
    *out_answer = (struct answer){0};
    bool answered = ask_send(ask, fd) && ask_read(ask, fd, &out_answer->bytes);
    int error = errno;
    close(fd);
    if (!answered)
        return ask_failed(ask, where, "does not answer", strerror(error));
    return answer_parse(out_answer) || ask_failed(ask, where, "does not answer in HTTP", NULL);
}

void answer_cleanup(struct answer *answer)
{
    buf_cleanup(&answer->bytes);
    *answer = (struct answer){0};
}

void ask_complain(const struct ask *ask, const char *where, const struct answer *answer)
{
    struct slice text = answer->body, line = slice_trim(slice_split(&text, '\n'));
    fprintf(ask->err, "portico %s: %s at %s answers ", ask->command, ask->path, where);
    print_escaped(ask->err, answer->head);
    if (line.len) {
        fputs(": ", ask->err);
        print_escaped(ask->err, line);
    }
    putc('\n', ask->err);
}

/* ---- the admin listener ---- */

/* Where it can be reached from this machine: an unspecified address by way of loopback. */
static size_t ask_addresses(const struct config_listen *listen, struct address out[2])
{
    if (listen->kind == CONFIG_LISTEN_UNIX)
        return address_of_path(listen->path, &out[0]);
    if (listen->host.len == 0 || slice_eq(listen->host, SLICE_LIT("::")))
        return (size_t)(address_parse_ip(SLICE_LIT("127.0.0.1"), listen->port, &out[0]) +
                        address_parse_ip(SLICE_LIT("::1"), listen->port, &out[1]));
    bool any = slice_eq(listen->host, SLICE_LIT("0.0.0.0"));
    return address_parse_ip(any ? SLICE_LIT("127.0.0.1") : listen->host, listen->port, &out[0]);
}

bool ask_listener(const struct ask *ask, const struct config_listen *listen, struct answer *out_answer)
{
    struct address addresses[2];
    const char *where = listen->text.ptr;
    *out_answer = (struct answer){0};
    if (listen->kind == CONFIG_LISTEN_OFF)
        return ask_failed(ask, where, "PORTICO_ADMIN_LISTEN is off, so nothing can be asked", NULL);
    if (listen->kind == CONFIG_LISTEN_TCP && listen->port == 0)
        return ask_failed(ask, where, "PORTICO_ADMIN_LISTEN has port 0, so nobody knows where to ask", NULL);
    size_t num = ask_addresses(listen, addresses);
    for (size_t i = 0; i < num; i++) {
        int fd = socket(addresses[i].at.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd >= 0 && ask_connect(ask, fd, &addresses[i]))
            return ask_over(ask, fd, where, out_answer); /* whoever is there: no other address is worth a try */
        ask_failed(ask, where, "cannot be reached", strerror(errno));
        if (fd >= 0)
            close(fd);
    }
    return false;
}

/* ---- the control socket ---- */

static void places_close(const struct control_place *places, size_t from, size_t num)
{
    for (size_t i = from; i < num; i++)
        close(places[i].fd);
}

bool ask_control(const struct ask *ask, struct slice storage, bool foreign, struct answer *out_answer)
{
    struct control_place places[ASK_PROCESSES];
    *out_answer = (struct answer){0};
    size_t num = control_socket_find(CONTROL_SOCKET_RUN_DIR, storage, places, ASK_PROCESSES);
    if (num == 0)
        return ask_failed(ask, storage.ptr,
                          "no process with this PORTICO_STORAGE answers at its control socket (run as its user, in its "
                          "container)",
                          NULL);
    if (places[0].pid == 0 && !foreign) {
        places_close(places, 0, num);
        return ask_failed(ask, storage.ptr, "the process that answers runs in another container: run this there", NULL);
    }
    if (num > 1 && places[1].pid && !foreign) {
        places_close(places, 0, num);
        return ask_failed(ask, storage.ptr,
                          "more than one process answers here: send TERM to the one that is meant (kill PID)", NULL);
    }
    places_close(places, 1, num);
    return ask_over(ask, places[0].fd, storage.ptr, out_answer);
}
