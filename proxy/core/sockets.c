#include "core/sockets.h"

#include "net/address.h"

#include <errno.h>
#include <unistd.h>

static const char *const socket_names[NUM_SOCKETS] = {"https", "http", "admin"};

static const struct config_listen *socket_config(const struct sockets *sockets, enum socket_name which)
{
    switch (which) {
    case SOCKET_HTTPS: return &sockets->config->listen.https;
    case SOCKET_HTTP: return &sockets->config->listen.http;
    case SOCKET_ADMIN:
    case NUM_SOCKETS: break;
    }
    return &sockets->config->listen.admin;
}

static bool socket_address(const struct config_listen *listen, struct address *out_address)
{
    if (listen->kind == CONFIG_LISTEN_UNIX)
        return address_of_path(listen->path, out_address);
    return address_parse_ip(listen->host.len ? listen->host : SLICE_LIT("::"), listen->port, out_address);
}

static struct err socket_bind(const struct config_listen *listen, bool shared, int *out_fd)
{
    struct address address;
    if (!socket_address(listen, &address))
        return err_make(ERR_INPUT, 0, "read the address");
    struct err err = listen_bind(&address, shared, out_fd);
    if (err.kind == ERR_SYSTEM && err.code == EAFNOSUPPORT && listen->host.len == 0 &&
        address_parse_ip(SLICE_LIT("0.0.0.0"), listen->port, &address)) /* a machine without IPv6 */
        err = listen_bind(&address, shared, out_fd);
    return err;
}

static const char *socket_cure(struct err err)
{
    if (err.kind == ERR_SYSTEM && err.code == EADDRINUSE)
        return "another process listens there: stop it, or choose another address";
    if (err.kind == ERR_SYSTEM && err.code == EACCES)
        return "ports below 1024 need root, CAP_NET_BIND_SERVICE, or net.ipv4.ip_unprivileged_port_start=0";
    if (err.kind == ERR_SYSTEM && err.code == EADDRNOTAVAIL)
        return "this machine does not have that address: give one of its own, or a port alone, such as :443";
    return "see the address that was asked for";
}

bool sockets_bind(struct sockets *sockets, const struct config *config, struct log_ring *log)
{
    bool bound = true;
    *sockets = (struct sockets){.config = config, .log = log, .fds = {-1, -1, -1}};
    for (enum socket_name i = 0; i < NUM_SOCKETS; i++) {
        const struct config_listen *listen = socket_config(sockets, i);
        if (listen->kind == CONFIG_LISTEN_OFF)
            continue;
        struct err err = socket_bind(listen, i != SOCKET_ADMIN, &sockets->fds[i]);
        if (!err_is(err))
            continue;
        LOG_ERROR_EVENT(log, "listen_failed", LOG_STR("listener", socket_names[i]), LOG_SLICE("address", listen->text),
                        LOG_ERR("error", err), LOG_STR("msg", socket_cure(err)));
        bound = false;
    }
    return bound;
}

static void socket_log(const struct sockets *sockets, enum socket_name which, int fd)
{
    struct address address;
    char text[ADDRESS_TEXT_BYTES] = "";
    if (address_of_socket(fd, &address))
        address_text(&address, text);
    LOG_INFO_EVENT(sockets->log, "listening", LOG_STR("listener", socket_names[which]), LOG_STR("address", text));
}

static struct err socket_give(struct sockets *sockets, enum socket_name which, struct worker *const *workers,
                              size_t num_workers)
{
    int first = sockets->fds[which];
    bool unix_socket = socket_config(sockets, which)->kind == CONFIG_LISTEN_UNIX;
    struct err err = ERR_OK;
    if (first < 0)
        return ERR_OK;
    socket_log(sockets, which, first);
    for (size_t i = num_workers; i-- > 0 && !err_is(err);) { /* the first socket last: the others are made from it */
        int fd = first;
        if (i > 0)
            err = listen_bind_again(first, &fd);
        else
            sockets->fds[which] = -1;
        if (!err_is(err))
            err = worker_listen(workers[i], fd, unix_socket, which == SOCKET_HTTPS);
    }
    return err;
}

struct err sockets_give_workers(struct sockets *sockets, struct worker *const *workers, size_t num_workers)
{
    struct err err = socket_give(sockets, SOCKET_HTTPS, workers, num_workers);
    return err_is(err) ? err : socket_give(sockets, SOCKET_HTTP, workers, num_workers);
}

int sockets_take_admin(struct sockets *sockets, bool *out_unix_socket)
{
    int fd = sockets->fds[SOCKET_ADMIN];
    sockets->fds[SOCKET_ADMIN] = -1;
    *out_unix_socket = sockets->config->listen.admin.kind == CONFIG_LISTEN_UNIX;
    if (fd >= 0)
        socket_log(sockets, SOCKET_ADMIN, fd);
    return fd;
}

void sockets_close(struct sockets *sockets)
{
    for (int i = 0; i < NUM_SOCKETS; i++) {
        if (sockets->fds[i] >= 0)
            close(sockets->fds[i]);
        sockets->fds[i] = -1;
    }
}
