#include "core/activation.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

void activation_read(struct activation *activation, const struct activation_environment *environment, long own_pid)
{
    uint64_t pid, num;
    struct slice names = slice_str(environment->listen_fdnames);
    activation->num = 0;
    if (!environment->listen_pid || !slice_decimal(slice_str(environment->listen_pid), INT32_MAX, &pid) ||
        pid != (uint64_t)own_pid)
        return;
    if (!environment->listen_fds || !slice_decimal(slice_str(environment->listen_fds), ACTIVATION_MAX_FDS, &num))
        return;
    for (uint64_t i = 0; i < num; i++) {
        struct slice name = slice_split(&names, ':');
        activation->fds[activation->num++] =
            (struct activation_fd){.fd = ACTIVATION_FIRST_FD + (int)i, .name = name.len ? name : SLICE_LIT("unknown")};
    }
}

static void activation_prepare(int fd)
{
    int flags = fcntl(fd, F_GETFL), fd_flags = fcntl(fd, F_GETFD);
    if (flags >= 0)
        fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    if (fd_flags >= 0)
        fcntl(fd, F_SETFD, fd_flags | FD_CLOEXEC);
}

size_t activation_take(struct activation *activation, struct slice name, int out_fds[ACTIVATION_MAX_FDS])
{
    size_t num = 0;
    for (size_t i = 0; i < activation->num; i++) {
        struct activation_fd *passed = &activation->fds[i];
        if (passed->fd < 0 || !slice_eq(passed->name, name))
            continue;
        activation_prepare(passed->fd);
        out_fds[num++] = passed->fd;
        passed->fd = -1;
    }
    return num;
}

static bool activation_named_before(const struct activation *activation, size_t end)
{
    for (size_t i = 0; i < end; i++)
        if (slice_eq(activation->fds[i].name, activation->fds[end].name))
            return true;
    return false;
}

const char *activation_names(const struct activation *activation, char *out, size_t size)
{
    size_t len = 0;
    snprintf(out, size, "none");
    for (size_t i = 0; i < activation->num && len < size; i++) {
        struct slice name = activation->fds[i].name;
        if (!activation_named_before(activation, i))
            len += (size_t)snprintf(out + len, size - len, "%s%.*s", len ? ", " : "", (int)name.len, name.ptr);
    }
    return out;
}

size_t activation_close(struct activation *activation)
{
    size_t num = 0;
    for (size_t i = 0; i < activation->num; i++) {
        if (activation->fds[i].fd < 0)
            continue;
        close(activation->fds[i].fd);
        num++;
    }
    activation->num = 0;
    return num;
}

static bool socket_option(int fd, int option, int want)
{
    int value = -1;
    socklen_t len = sizeof value;
    return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 && value == want;
}

struct err activation_check(int fd, bool *out_unix_socket)
{
    *out_unix_socket = socket_option(fd, SO_DOMAIN, AF_UNIX);
    if (!*out_unix_socket && !socket_option(fd, SO_DOMAIN, AF_INET) && !socket_option(fd, SO_DOMAIN, AF_INET6))
        return err_make(ERR_INPUT, 0, "use the passed descriptor, which is no socket of TCP or a path");
    if (!socket_option(fd, SO_TYPE, SOCK_STREAM))
        return err_make(ERR_INPUT, 0, "use the passed socket, which is no stream (ListenStream=)");
    if (!socket_option(fd, SO_ACCEPTCONN, 1))
        return err_make(ERR_INPUT, 0, "use the passed socket, which does not listen (Accept=no)");
    return ERR_OK;
}
