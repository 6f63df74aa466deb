#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LISTENER_RETRY_MS = 50, LISTENER_TELL_MS = 1000 };

/* ---- binding ---- */

static struct err listen_socket(const struct address *address, bool shared, int *out_fd)
{
    int family = address->at.any.sa_family, one = 1, zero = 0;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_errno("open a listening socket");
    if (family != AF_UNIX)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
    if (shared && family != AF_UNIX)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    if (bind(fd, &address->at.any, address->len) != 0) {
        struct err err = err_errno("bind");
        close(fd);
        return err;
    }
    if (listen(fd, LIMIT_LISTEN_BACKLOG) != 0) {
        struct err err = err_errno("listen");
        close(fd);
        return err;
    }
    *out_fd = fd;
    return ERR_OK;
}

/* A socket file that nobody answers on is a remainder of an earlier run. */
static void listen_remove_stale(const struct address *address)
{
    struct stat st;
    const char *path = address->at.local.sun_path;
    if (lstat(path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (connect(fd, &address->at.any, address->len) != 0 && errno == ECONNREFUSED)
        unlink(path);
    close(fd);
}

struct err listen_bind(const struct address *address, bool shared, int *out_fd)
{
    if (address->at.any.sa_family == AF_UNIX)
        listen_remove_stale(address);
    if (!shared || address->at.any.sa_family == AF_UNIX)
        return listen_socket(address, false, out_fd);
    int probe = -1;
    struct err err = listen_socket(address, false, &probe);
    if (err_is(err))
        return err;
    struct address bound = *address;
    if (address_port(address) == 0) { /* the port that is free now, so that every worker gets the same */
        struct address got = {.len = sizeof got.at};
        if (getsockname(probe, &got.at.any, &got.len) == 0)
            address_set_port(&bound, address_port(&got));
    }
    close(probe);
    return listen_socket(&bound, true, out_fd);
}

struct err listen_bind_beside(const struct address *address, int *out_fd)
{
    return listen_socket(address, true, out_fd);
}

struct err listen_bind_again(int fd, int *out_fd)
{
    struct address address = {.len = sizeof address.at};
    if (getsockname(fd, &address.at.any, &address.len) != 0)
        return err_errno("read a listening address");
    if (address.at.any.sa_family == AF_UNIX) {
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0); /* one queue, many loops */
        if (copy < 0)
            return err_errno("copy a listening socket");
        *out_fd = copy;
        return ERR_OK;
    }
    return listen_socket(&address, true, out_fd);
}

/* ---- credit ---- */

static bool conn_credit_take(struct conn_credit *credit)
{
    int64_t before = atomic_fetch_add_explicit(&credit->num_open, 1, memory_order_relaxed);
    if (before < atomic_load_explicit(&credit->max, memory_order_relaxed))
        return true;
    atomic_fetch_sub_explicit(&credit->num_open, 1, memory_order_relaxed);
    return false;
}

void conn_credit_release(struct conn_credit *credit)
{
    atomic_fetch_sub_explicit(&credit->num_open, 1, memory_order_relaxed);
}

/* ---- accepting ---- */

static bool listener_may_tell(struct listener *listener)
{
    int64_t now_ms = (int64_t)net_loop_now_ms(listener->loop);
    int64_t told_ms = atomic_load_explicit(&listener->credit->told_ms, memory_order_relaxed);
    if (told_ms && now_ms - told_ms < LISTENER_TELL_MS)
        return false;
    return atomic_compare_exchange_strong(&listener->credit->told_ms, &told_ms, now_ms); /* one of the workers */
}

static void listener_set_paused(struct listener *listener, bool paused)
{
    if (listener->paused == paused)
        return;
    listener->paused = paused;
    if (listener->credit_changed && listener_may_tell(listener))
        listener->credit_changed(listener);
}

/* Takes up to `most` connections; false where the kernel has no more for now. */
static bool listener_accept(struct listener *listener, unsigned most)
{
    while (most-- > 0) {
        if (!conn_credit_take(listener->credit)) {
            listener_set_paused(listener, true);
            return false;
        }
        int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            conn_credit_release(listener->credit);
            if (errno == ECONNABORTED || errno == EINTR || errno == EPROTO)
                continue; /* gone before we took it */
            if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
                listener_set_paused(listener, true); /* other descriptors of the machine: wait as for credit */
            return false;
        }
        listener->last_connection_ms = net_loop_now_ms(listener->loop);
        listener_set_paused(listener, false);
        listener->connection(listener, fd);
    }
    return true;
}

static void listener_ready(uv_poll_t *poll, int status, int events)
{
    struct listener *listener = container_of(poll, struct listener, poll);
    (void)events;
    if (status < 0 || listener->closing)
        return;
    listener_accept(listener, LIMIT_ACCEPT_BATCH); /* the rest in the next turn: the socket stays readable */
    if (listener->paused && !listener->closing) {
        uv_poll_stop(&listener->poll);
        tick_start(&listener->loop->ticker, &listener->retry, LISTENER_RETRY_MS);
    }
}

static void listener_retry(struct tick *tick)
{
    struct listener *listener = container_of(tick, struct listener, retry);
    uv_poll_start(&listener->poll, UV_READABLE, listener_ready);
}

struct err listener_open(struct listener *listener, struct net_loop *loop, int fd, bool unix_socket,
                         struct conn_credit *credit)
{
    listener->loop = loop;
    listener->credit = credit;
    listener->fd = fd;
    listener->unix_socket = unix_socket;
    listener->paused = listener->closing = false;
    listener->last_connection_ms = net_loop_now_ms(loop);
    tick_init(&listener->retry, listener_retry);
    int status = uv_poll_init(loop->uv, &listener->poll, fd);
    if (status < 0)
        return err_make(ERR_UV, status, "watch a listening socket");
    status = uv_poll_start(&listener->poll, UV_READABLE, listener_ready);
    return status < 0 ? err_make(ERR_UV, status, "watch a listening socket") : ERR_OK;
}

static void listener_closed(uv_handle_t *handle)
{
    struct listener *listener = container_of((uv_poll_t *)(void *)handle, struct listener, poll);
    if (listener->closed)
        listener->closed(listener);
}

/* What the kernel has queued was promised to its clients. */
void listener_close(struct listener *listener)
{
    if (listener->closing)
        return;
    listener->closing = true;
    tick_stop(&listener->retry);
    uv_poll_stop(&listener->poll);
    listener_accept(listener, LIMIT_LISTEN_BACKLOG);
    close(listener->fd);
    uv_close((uv_handle_t *)&listener->poll, listener_closed);
}
