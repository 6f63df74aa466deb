#include "core/sockets.h"

#include "base/mem.h"
#include "config/diff.h"
#include "config/mistakes.h"
#include "net/address.h"

#include <errno.h>
#include <unistd.h>

static const char *const socket_names[NUM_SOCKETS] = {"https", "http", "admin"};

static const struct config_listen *socket_config_in(const struct config *config, enum socket_name which)
{
    switch (which) {
    case SOCKET_HTTPS: return &config->listen.https;
    case SOCKET_HTTP: return &config->listen.http;
    case SOCKET_ADMIN:
    case NUM_SOCKETS: break;
    }
    return &config->listen.admin;
}

static const struct config_listen *socket_config(const struct sockets *sockets, enum socket_name which)
{
    return socket_config_in(sockets->config, which);
}

static bool socket_address(const struct config_listen *listen, struct address *out_address)
{
    if (listen->kind == CONFIG_LISTEN_UNIX)
        return address_of_path(listen->path, out_address);
    return address_parse_ip(listen->host.len ? listen->host : SLICE_LIT("::"), listen->port, out_address);
}

/* ALONE: of the admin endpoint; BESIDE: where this process has the port already. */
enum socket_sharing { SOCKET_ALONE, SOCKET_SHARED, SOCKET_BESIDE };

static struct err socket_bind_address(const struct address *address, enum socket_sharing sharing, int *out_fd)
{
    return sharing == SOCKET_BESIDE ? listen_bind_beside(address, out_fd)
                                    : listen_bind(address, sharing == SOCKET_SHARED, out_fd);
}

static struct err socket_bind(const struct config_listen *listen, enum socket_sharing sharing, int *out_fd)
{
    struct address address;
    if (!socket_address(listen, &address))
        return err_make(ERR_INPUT, 0, "read the address");
    struct err err = socket_bind_address(&address, sharing, out_fd);
    if (err.kind == ERR_SYSTEM && err.code == EAFNOSUPPORT && listen->host.len == 0 &&
        address_parse_ip(SLICE_LIT("0.0.0.0"), listen->port, &address)) /* a machine without IPv6 */
        err = socket_bind_address(&address, sharing, out_fd);
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
        struct err err = socket_bind(listen, i == SOCKET_ADMIN ? SOCKET_ALONE : SOCKET_SHARED, &sockets->fds[i]);
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

/* ---- another configuration ---- */

static const char *const socket_variables[NUM_SOCKETS] = {"PORTICO_HTTPS_LISTEN", "PORTICO_HTTP_LISTEN",
                                                          "PORTICO_ADMIN_LISTEN"};

/* The workers' sockets share their ports; the admin endpoint's does not. */
static enum socket_sharing socket_sharing(const struct config *now, const struct config_listen *next,
                                          enum socket_name which)
{
    bool held = false;
    if (which == SOCKET_ADMIN)
        return SOCKET_ALONE;
    for (enum socket_name i = 0; i < SOCKET_ADMIN; i++) {
        const struct config_listen *listen = socket_config_in(now, i);
        held = held || (listen->kind == CONFIG_LISTEN_TCP && next->kind == CONFIG_LISTEN_TCP && listen->port &&
                        listen->port == next->port);
    }
    return held ? SOCKET_BESIDE : SOCKET_SHARED;
}

static struct err socket_prepare(const struct config *now, const struct config_listen *next, enum socket_name which,
                                 size_t num_fds, struct sockets_change *change)
{
    int *fds = mem_calloc(num_fds, sizeof *fds);
    for (size_t i = 0; i < num_fds; i++)
        fds[i] = -1;
    change->places[which].fds = fds;
    change->places[which].num_fds = num_fds;
    change->places[which].unix_socket = next->kind == CONFIG_LISTEN_UNIX;
    struct err err = socket_bind(next, socket_sharing(now, next, which), &fds[0]);
    for (size_t i = 1; i < num_fds && !err_is(err); i++)
        err = listen_bind_again(fds[0], &fds[i]);
    return err;
}

bool sockets_prepare(const struct sockets *sockets, const struct config *next, size_t num_workers,
                     struct sockets_change *out_change, struct config_mistakes *mistakes)
{
    bool bound = true;
    *out_change = (struct sockets_change){0};
    for (enum socket_name i = 0; i < NUM_SOCKETS; i++) {
        const struct config_listen *listen = socket_config_in(next, i);
        struct err err = ERR_OK;
        char text[160];
        out_change->places[i].moved = !config_listen_same(socket_config(sockets, i), listen);
        if (out_change->places[i].moved && listen->kind != CONFIG_LISTEN_OFF)
            err = socket_prepare(sockets->config, listen, i, i == SOCKET_ADMIN ? 1 : num_workers, out_change);
        if (!err_is(err))
            continue;
        mistakes_add(mistakes, socket_variables[i], listen->text, NULL, "cannot be listened on (%s): %s",
                     err_text(err, text, sizeof text), socket_cure(err));
        bound = false;
    }
    if (!bound)
        sockets_change_cleanup(out_change);
    return bound;
}

void sockets_hand_over(struct sockets_change *change, size_t i, struct worker_update *update)
{
    static const enum socket_name names[NUM_WORKER_PLACES] = {
        [WORKER_HTTPS] = SOCKET_HTTPS, [WORKER_HTTP] = SOCKET_HTTP};
    for (enum worker_place place = 0; place < NUM_WORKER_PLACES; place++) {
        enum socket_name which = names[place];
        int *fds = change->places[which].fds;
        update->places[place].kind = !change->places[which].moved ? WORKER_STAY : fds ? WORKER_MOVE : WORKER_LEAVE;
        if (!fds)
            continue;
        update->places[place].fd = fds[i];
        update->places[place].unix_socket = change->places[which].unix_socket;
        fds[i] = -1;
    }
}

void sockets_moved(struct sockets *sockets, const struct config *next, const struct sockets_change *change)
{
    sockets->config = next;
    for (enum socket_name i = 0; i < NUM_SOCKETS; i++)
        if (change->places[i].moved && change->places[i].fds)
            socket_log(sockets, i, change->places[i].fds[0]);
}

void sockets_change_cleanup(struct sockets_change *change)
{
    for (enum socket_name i = 0; i < NUM_SOCKETS; i++) {
        for (size_t j = 0; j < change->places[i].num_fds; j++)
            if (change->places[i].fds[j] >= 0)
                close(change->places[i].fds[j]);
        mem_free(change->places[i].fds);
    }
    *change = (struct sockets_change){0};
}
