#include "core/sockets.h"

#include "base/mem.h"
#include "config/diff.h"
#include "config/mistakes.h"
#include "net/address.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

const char *socket_name_text(enum socket_name which)
{
    static const char *const names[NUM_SOCKETS] = {"https", "http", "admin"};
    return names[which];
}

const struct config_listen *socket_config(const struct config *config, enum socket_name which)
{
    switch (which) {
    case SOCKET_HTTPS: return &config->listen.https;
    case SOCKET_HTTP: return &config->listen.http;
    case SOCKET_ADMIN:
    case NUM_SOCKETS: break;
    }
    return &config->listen.admin;
}

void sockets_init(struct sockets *sockets, const struct config *config, struct log_ring *log)
{
    *sockets = (struct sockets){.config = config, .log = log};
}

static bool set_add(struct socket_set *set, int fd)
{
    if (set->num == SOCKETS_MAX_EACH)
        return false;
    set->fds[set->num++] = fd;
    return true;
}

/* ---- bound here ---- */

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

static const char *socket_path_cure(int code)
{
    switch (code) {
    case EADDRINUSE: return "another process listens there: stop it, or choose another path";
    case EACCES: return "this user may not make a socket there: give its directory to it, or choose another path";
    case ENOENT: return "its directory does not exist: make it, or choose another path";
    default: return "choose another path";
    }
}

static const char *socket_cure(const struct config_listen *listen, struct err err)
{
    if (err.kind == ERR_STATE)
        return "the service manager passes sockets at the start alone: restart Portico";
    if (err.kind != ERR_SYSTEM)
        return "choose another address";
    if (listen->kind == CONFIG_LISTEN_UNIX)
        return socket_path_cure(err.code);
    switch (err.code) {
    case EADDRINUSE:
        return "another process listens there: stop it, or choose another address; a Portico on the same storage is "
               "relieved by `portico run --take-over`";
    case EACCES: return "ports below 1024 need root, CAP_NET_BIND_SERVICE, or net.ipv4.ip_unprivileged_port_start=0";
    case EADDRNOTAVAIL:
        return "this machine does not have that address: give one of its own, or a port alone, such as :443";
    default: return "choose another address";
    }
}

static void socket_failed(const struct sockets *sockets, enum socket_name which, struct err err, const char *cure)
{
    LOG_ERROR_EVENT(sockets->log, "listen_failed", LOG_STR("listener", socket_name_text(which)),
                    LOG_SLICE("address", socket_config(sockets->config, which)->text), LOG_ERR("error", err),
                    LOG_STR("msg", cure));
}

static bool set_bind(struct sockets *sockets, enum socket_name which)
{
    const struct config_listen *listen = socket_config(sockets->config, which);
    struct socket_set *set = &sockets->sets[which];
    struct err err = socket_bind(listen, which == SOCKET_ADMIN ? SOCKET_ALONE : SOCKET_SHARED, &set->fds[0]);
    if (err_is(err)) {
        socket_failed(sockets, which, err, socket_cure(listen, err));
        return false;
    }
    set->num = 1;
    set->unix_socket = listen->kind == CONFIG_LISTEN_UNIX;
    return true;
}

/* ---- passed ---- */

bool sockets_adopt(struct sockets *sockets, enum socket_name which, int fd)
{
    struct socket_set *set = &sockets->sets[which];
    if (err_is(activation_check(fd, &set->unix_socket)) || !set_add(set, fd))
        return false;
    set->passed = true;
    return true;
}

static bool set_take_passed(struct sockets *sockets, enum socket_name which, struct activation *activation)
{
    char names[512], cure[640];
    struct socket_set *set = &sockets->sets[which];
    struct slice name = socket_config(sockets->config, which)->name;
    struct err err = ERR_OK;
    set->num = activation_take(activation, name, set->fds);
    set->passed = true;
    for (size_t i = 0; i < set->num && !err_is(err); i++)
        err = activation_check(set->fds[i], &set->unix_socket);
    if (set->num && !err_is(err))
        return true;
    if (!set->num)
        err = err_make(ERR_STATE, 0, "find the socket that was passed under this name");
    snprintf(cure, sizeof cure, "passed were: %s; FileDescriptorName= in the socket unit gives the name",
             activation_names(activation, names, sizeof names));
    socket_failed(sockets, which, err, cure);
    return false;
}

bool sockets_bind(struct sockets *sockets, struct activation *activation)
{
    bool bound = true;
    for (enum socket_name i = 0; i < NUM_SOCKETS; i++) {
        enum config_listen_kind kind = socket_config(sockets->config, i)->kind;
        if (kind == CONFIG_LISTEN_OFF || sockets->sets[i].num)
            continue;
        bound &= kind == CONFIG_LISTEN_SYSTEMD ? set_take_passed(sockets, i, activation) : set_bind(sockets, i);
    }
    size_t num_left = activation_close(activation);
    if (num_left)
        LOG_WARN_EVENT(sockets->log, "passed_sockets_unused", LOG_INT("sockets", num_left),
                       LOG_STR("msg", "the service manager passed sockets that no PORTICO_..._LISTEN=systemd:NAME "
                                      "names; they were closed"));
    return bound;
}

/* ---- handed on ---- */

static void socket_log(const struct sockets *sockets, enum socket_name which)
{
    const struct socket_set *set = &sockets->sets[which];
    struct address address;
    char text[ADDRESS_TEXT_BYTES] = "";
    if (address_of_socket(set->fds[0], &address))
        address_text(&address, text);
    LOG_INFO_EVENT(sockets->log, "listening", LOG_STR("listener", socket_name_text(which)), LOG_STR("address", text),
                   LOG_BOOL("passed", set->passed));
}

/* A queue for every worker where they can be made. */
static struct err set_multiply(struct socket_set *set, size_t num_workers)
{
    struct err err = ERR_OK;
    while (!set->passed && !set->unix_socket && set->num < num_workers && !err_is(err)) {
        int fd = -1;
        err = listen_bind_again(set->fds[0], &fd);
        if (!err_is(err) && !set_add(set, fd))
            return err_make(ERR_LIMIT, 0, "open a listening socket for each worker");
    }
    return err;
}

/* Copies for the workers beyond the number of queues: before the originals go. */
static struct err set_give_copies(const struct socket_set *set, enum socket_name which, struct worker *const *workers,
                                  size_t num_workers)
{
    struct err err = ERR_OK;
    for (size_t i = set->num; i < num_workers && !err_is(err); i++) {
        int copy = fcntl(set->fds[i % set->num], F_DUPFD_CLOEXEC, 0);
        if (copy < 0)
            return err_errno("copy a listening socket");
        err = worker_listen(workers[i], copy, set->unix_socket, which == SOCKET_HTTPS);
    }
    return err;
}

static struct err set_give(struct sockets *sockets, enum socket_name which, struct worker *const *workers,
                           size_t num_workers)
{
    struct socket_set *set = &sockets->sets[which];
    if (!set->num)
        return ERR_OK;
    socket_log(sockets, which);
    struct err err = set_multiply(set, num_workers);
    if (!err_is(err))
        err = set_give_copies(set, which, workers, num_workers);
    while (set->num && !err_is(err)) { /* more queues than workers: some have several, none has nobody */
        set->num--;
        set->num_lent++;
        err =
            worker_listen(workers[set->num % num_workers], set->fds[set->num], set->unix_socket, which == SOCKET_HTTPS);
    }
    return err;
}

struct err sockets_give_workers(struct sockets *sockets, struct worker *const *workers, size_t num_workers)
{
    struct err err = set_give(sockets, SOCKET_HTTPS, workers, num_workers);
    return err_is(err) ? err : set_give(sockets, SOCKET_HTTP, workers, num_workers);
}

int sockets_take_admin(struct sockets *sockets, bool *out_unix_socket)
{
    struct socket_set *set = &sockets->sets[SOCKET_ADMIN];
    *out_unix_socket = set->unix_socket;
    if (!set->num)
        return -1;
    socket_log(sockets, SOCKET_ADMIN);
    set->num--; /* there is one alone */
    set->num_lent++;
    return set->fds[0];
}

void sockets_close(struct sockets *sockets)
{
    for (enum socket_name i = 0; i < NUM_SOCKETS; i++) {
        struct socket_set *set = &sockets->sets[i];
        while (set->num)
            close(set->fds[--set->num]);
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
        const struct config_listen *listen = socket_config(now, i);
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
    if (next->kind == CONFIG_LISTEN_SYSTEMD)
        return err_make(ERR_STATE, 0, "use a socket of the service manager");
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
        const struct config_listen *listen = socket_config(next, i);
        struct err err = ERR_OK;
        char text[160];
        out_change->places[i].moved = !config_listen_same(socket_config(sockets->config, i), listen);
        if (out_change->places[i].moved && listen->kind != CONFIG_LISTEN_OFF)
            err = socket_prepare(sockets->config, listen, i, i == SOCKET_ADMIN ? 1 : num_workers, out_change);
        if (!err_is(err))
            continue;
        mistakes_add(mistakes, socket_variables[i], listen->text, NULL, "cannot be listened on (%s): %s",
                     err_text(err, text, sizeof text), socket_cure(listen, err));
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
        update->places[place].kind = !change->places[which].moved ? PLACE_STAY : fds ? PLACE_MOVE : PLACE_LEAVE;
        if (!fds)
            continue;
        update->places[place].fd = fds[i];
        update->places[place].unix_socket = change->places[which].unix_socket;
        fds[i] = -1;
    }
}

/* Their numbers, for whoever takes over from us. */
static void set_lend(struct socket_set *set, const int *fds, size_t num_fds, bool unix_socket)
{
    *set = (struct socket_set){.num_lent = unix_socket && num_fds ? 1 : num_fds, .unix_socket = unix_socket};
    if (num_fds)
        memcpy(set->fds, fds, num_fds * sizeof *fds); /* at most one for each worker */
}

void sockets_moved(struct sockets *sockets, const struct config *next, const struct sockets_change *change)
{
    sockets->config = next;
    for (enum socket_name i = 0; i < NUM_SOCKETS; i++) {
        if (!change->places[i].moved)
            continue;
        set_lend(&sockets->sets[i], change->places[i].fds, change->places[i].num_fds, change->places[i].unix_socket);
        if (change->places[i].fds)
            socket_log(sockets, i);
    }
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
