/* The plaintext backend of the benchmark: one thread, epoll, canned answers. It does as little as possible, and the same
 * for every proxy in front of it.
 *
 *   backend SOCKET_PATH      listens there and on a free port of 127.0.0.1, and prints the port
 *
 * GET /1m gives 1 MiB, anything else 13 bytes. Requests have no body; connections are kept until the peer closes. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { LARGE_BYTES = 1 << 20, HEAD_ROOM = 256, REQUEST_BYTES = 4096, NUM_EVENTS = 256, BACKLOG = 4096 };

struct answer {
    char *bytes;
    size_t len;
};

struct conn {
    int fd;
    bool is_listener;
    char request[REQUEST_BYTES];
    size_t request_len;
    const struct answer *answer; /* being written; NULL between requests */
    size_t sent;
};

struct backend {
    int epoll;
    struct answer small, large;
};

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static struct answer answer_make(size_t body_len, const char *body)
{
    struct answer answer = {.bytes = malloc(body_len + HEAD_ROOM)};
    if (!answer.bytes)
        die("malloc");
    int head = snprintf(answer.bytes, HEAD_ROOM,
                        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n", body_len);
    if (body)
        memcpy(answer.bytes + head, body, body_len);
    else
        memset(answer.bytes + head, 'x', body_len);
    answer.len = (size_t)head + body_len;
    return answer;
}

static void conn_watch(const struct backend *backend, struct conn *conn, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = conn};
    if (epoll_ctl(backend->epoll, operation, conn->fd, &event) != 0)
        die("epoll_ctl");
}

static void conn_add(const struct backend *backend, int fd, bool is_listener)
{
    struct conn *conn = calloc(1, sizeof *conn);
    if (!conn)
        die("calloc");
    conn->fd = fd;
    conn->is_listener = is_listener;
    conn_watch(backend, conn, EPOLL_CTL_ADD, EPOLLIN);
}

static void accept_all(const struct backend *backend, int listener)
{
    for (;;) {
        int on = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && errno == EAGAIN)
            return;
        if (fd < 0)
            die("accept");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* refused by the unix socket, which needs none */
        conn_add(backend, fd, false);
    }
}

/* False when the connection is at its end. */
static bool conn_write(const struct backend *backend, struct conn *conn)
{
    while (conn->answer) {
        ssize_t n = send(conn->fd, conn->answer->bytes + conn->sent, conn->answer->len - conn->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            conn_watch(backend, conn, EPOLL_CTL_MOD, EPOLLOUT);
            return true;
        }
        if (n < 0)
            return false;
        conn->sent += (size_t)n;
        if (conn->sent == conn->answer->len)
            conn->answer = NULL;
    }
    return true;
}

static bool conn_answer(const struct backend *backend, struct conn *conn)
{
    const char *end = memmem(conn->request, conn->request_len, "\r\n\r\n", 4);
    if (!end)
        return conn->request_len < REQUEST_BYTES;
    conn->answer = memcmp(conn->request, "GET /1m ", 8) == 0 ? &backend->large : &backend->small;
    conn->sent = 0;
    size_t used = (size_t)(end - conn->request) + 4;
    memmove(conn->request, conn->request + used, conn->request_len - used);
    conn->request_len -= used;
    return conn_write(backend, conn);
}

static bool conn_read(const struct backend *backend, struct conn *conn)
{
    ssize_t n = recv(conn->fd, conn->request + conn->request_len, REQUEST_BYTES - conn->request_len, 0);
    if (n < 0 && errno == EAGAIN)
        return true;
    if (n <= 0)
        return false;
    conn->request_len += (size_t)n;
    return conn_answer(backend, conn);
}

static bool conn_drained(const struct backend *backend, struct conn *conn)
{
    if (!conn_write(backend, conn))
        return false;
    if (conn->answer)
        return true;
    conn_watch(backend, conn, EPOLL_CTL_MOD, EPOLLIN);
    return conn->request_len == 0 || conn_answer(backend, conn);
}

static void on_event(const struct backend *backend, const struct epoll_event *event)
{
    struct conn *conn = event->data.ptr;
    if (conn->is_listener) {
        accept_all(backend, conn->fd);
        return;
    }
    bool alive = conn->answer ? conn_drained(backend, conn) : conn_read(backend, conn);
    if (alive)
        return;
    close(conn->fd);
    free(conn);
}

static int listen_tcp(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &len) != 0)
        die("listening on 127.0.0.1");
    printf("%d\n", ntohs(at.sin_port));
    return fd;
}

static int listen_unix(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof at.sun_path) {
        fprintf(stderr, "backend: the socket's path is too long\n");
        exit(2);
    }
    strcpy(at.sun_path, path);
    unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || chmod(path, 0666) != 0 ||
        listen(fd, BACKLOG) != 0)
        die("listening on the socket");
    return fd;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: backend SOCKET_PATH\n");
        return 2;
    }
    struct backend backend = {
        .epoll = epoll_create1(EPOLL_CLOEXEC),
        .small = answer_make(13, "Hello, world\n"),
        .large = answer_make(LARGE_BYTES, NULL),
    };
    if (backend.epoll < 0)
        die("epoll_create1");
    conn_add(&backend, listen_unix(argv[1]), true);
    conn_add(&backend, listen_tcp(), true);
    fflush(stdout);
    for (;;) {
        struct epoll_event events[NUM_EVENTS];
        int num = epoll_wait(backend.epoll, events, NUM_EVENTS, -1);
        for (int i = 0; i < num; i++)
            on_event(&backend, &events[i]);
    }
}
