#include "core/handover.h"

#include "base/mem.h"
#include "core/handover_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    HANDOVER_HELLO_MS = 5000,
    HANDOVER_SERVE_MS = 60000 /* to start: reading a hundred thousand certificates takes seconds */
};

/* The new process, as the old one sees it.
 *
 *   CONNECTED --hello--> OFFERED --serving--> relieved
 *       |                   |
 *       +--- end, time, anything else ---> gone, and nothing has happened */
enum peer_state { PEER_CONNECTED, PEER_OFFERED };

struct handover_peer {
    struct handover *handover; /* NULL: it has closed us */
    int fd, pid;
    uv_poll_t poll;
    struct tick deadline;
    enum peer_state state;
};

/* ---- the new process ---- */

static void peer_closed(uv_handle_t *handle)
{
    struct handover_peer *peer = container_of((uv_poll_t *)(void *)handle, struct handover_peer, poll);
    mem_free(peer);
}

static void peer_close(struct handover_peer *peer)
{
    if (peer->handover)
        peer->handover->peer = NULL;
    peer->handover = NULL;
    tick_stop(&peer->deadline);
    uv_poll_stop(&peer->poll);
    close(peer->fd);
    uv_close((uv_handle_t *)&peer->poll, peer_closed);
}

static void peer_fail(struct handover_peer *peer, struct err err, const char *why)
{
    LOG_WARN_EVENT(peer->handover->log, "handover_failed", LOG_INT("pid", peer->pid), LOG_ERR("error", err),
                   LOG_STR("msg", why));
    peer_close(peer);
}

static struct err set_offer(int fd, const struct sockets *sockets, enum socket_name which)
{
    char text[HANDOVER_TEXT_BYTES];
    const struct socket_set *set = &sockets->sets[which];
    struct slice address = socket_config(sockets->config, which)->text;
    struct err err = ERR_OK;
    snprintf(text, sizeof text, "%s %.*s", socket_name_text(which), (int)address.len, address.ptr);
    for (size_t i = 0; i < set->num_lent && !err_is(err); i += HANDOVER_BATCH_FDS) {
        size_t left = set->num_lent - i;
        err = handover_send(fd, text, set->fds + i, left < HANDOVER_BATCH_FDS ? left : HANDOVER_BATCH_FDS);
    }
    return err;
}

static struct err peer_offer(struct handover_peer *peer)
{
    struct err err = ERR_OK;
    for (enum socket_name i = 0; i < NUM_SOCKETS && !err_is(err); i++)
        err = set_offer(peer->fd, peer->handover->sockets, i);
    return err_is(err) ? err : handover_send(peer->fd, HANDOVER_END, NULL, 0);
}

static void peer_hear(struct handover_peer *peer, struct slice body)
{
    struct handover *handover = peer->handover;
    int pid = peer->pid;
    if (peer->state == PEER_CONNECTED && slice_eq(body, SLICE_LIT(HANDOVER_HELLO))) {
        struct err err = peer_offer(peer);
        if (err_is(err)) {
            peer_fail(peer, err, "the sockets could not be passed: this process serves on");
            return;
        }
        peer->state = PEER_OFFERED;
        tick_start(&handover->loop->ticker, &peer->deadline, HANDOVER_SERVE_MS);
        LOG_INFO_EVENT(handover->log, "handover_offered", LOG_INT("pid", pid));
    } else if (peer->state == PEER_OFFERED && slice_eq(body, SLICE_LIT(HANDOVER_SERVING))) {
        handover_close(handover);
        handover->relieved(handover->ctx, pid);
    } else {
        peer_fail(peer, err_make(ERR_INPUT, 0, "understand the new process"), "this process serves on");
    }
}

static void peer_ready(uv_poll_t *poll, int status, int events)
{
    struct handover_peer *peer = container_of(poll, struct handover_peer, poll);
    struct handover_message message = {.num_fds = 0};
    (void)events;
    struct err err =
        status < 0 ? err_make(ERR_UV, status, "wait for the new process") : handover_receive(peer->fd, &message);
    if (err.kind == ERR_SYSTEM && (err.code == EAGAIN || err.code == EINTR))
        return;
    handover_message_close(&message); /* nobody asked for any */
    if (!err_is(err) && message.body.len) {
        peer_hear(peer, message.body);
        return;
    }
    if (peer->state == PEER_OFFERED)
        peer_fail(peer, err_is(err) ? err : err_make(ERR_EOF, 0, "wait for the new process"),
                  "the new process ended before it served: this one serves on");
    else
        peer_close(peer); /* somebody looked whether we live */
}

static void peer_expired(struct tick *tick)
{
    struct handover_peer *peer = container_of(tick, struct handover_peer, deadline);
    peer_fail(peer, err_make(ERR_TIMEOUT, 0, "wait for the new process"), "this process serves on");
}

static void peer_new(struct handover *handover, int fd)
{
    struct handover_peer *peer = MEM_NEW(struct handover_peer);
    peer->handover = handover;
    peer->fd = fd;
    tick_init(&peer->deadline, peer_expired);
    if (uv_poll_init(handover->loop->uv, &peer->poll, fd) < 0) {
        close(fd);
        mem_free(peer);
        return;
    }
    handover->peer = peer;
    struct err err = handover_check_peer(fd, &peer->pid);
    if (err_is(err)) {
        peer_fail(peer, err, "only our own user and root are given the sockets: it was refused");
        return;
    }
    tick_start(&handover->loop->ticker, &peer->deadline, HANDOVER_HELLO_MS);
    uv_poll_start(&peer->poll, UV_READABLE, peer_ready);
}

/* Who only looked whether we live has gone, whether or not that has been read yet, and is in nobody's way. */
static bool peer_has_gone(const struct handover_peer *peer)
{
    char byte;
    return peer->state == PEER_CONNECTED && recv(peer->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static void handover_ready(uv_poll_t *poll, int status, int events)
{
    struct handover *handover = container_of(poll, struct handover, poll);
    (void)status;
    (void)events;
    int fd = accept4(handover->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
            handover_close(handover); /* or it would be ready again at once, and again; its owner opens it later */
        return;
    }
    if (handover->peer && peer_has_gone(handover->peer))
        peer_close(handover->peer);
    if (handover->peer)
        close(fd); /* one at a time */
    else
        peer_new(handover, fd);
}

/* ---- where it can be asked ---- */

static bool handover_lives(const struct address *address)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    bool lives = fd >= 0 && connect(fd, &address->at.any, address->len) == 0;
    if (fd >= 0)
        close(fd);
    return lives;
}

/* Under a name of its own first: at no time is there none, or one that does not answer. */
static struct err handover_bind(const char *storage, int dir_fd, int *out_fd)
{
    char name[48];
    struct address address;
    struct err err = ERR_OK;
    snprintf(name, sizeof name, HANDOVER_SOCKET "-%ld", (long)getpid());
    unlinkat(dir_fd, name, 0);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_errno("open a socket");
    if (!handover_address(storage, dir_fd, name, &address))
        err = err_make(ERR_LIMIT, 0, "name the socket");
    else if (fchmod(fd, 0600) != 0 || bind(fd, &address.at.any, address.len) != 0 || listen(fd, 4) != 0)
        err = err_errno("bind the socket for a successor");
    if (!err_is(err) && renameat(dir_fd, name, dir_fd, HANDOVER_SOCKET) != 0)
        err = err_errno("name the socket for a successor");
    if (err_is(err)) {
        unlinkat(dir_fd, name, 0);
        close(fd);
        return err;
    }
    *out_fd = fd;
    return ERR_OK;
}

static struct err handover_claim(const char *storage, bool over, int *out_fd)
{
    struct address address;
    int dir_fd = open(storage, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return err_errno("open the storage");
    struct err err = ERR_OK;
    if (!over && handover_address(storage, dir_fd, HANDOVER_SOCKET, &address) && handover_lives(&address))
        err = err_make(ERR_STATE, 0, "be the one who is relieved, while another process serves this storage");
    if (!err_is(err))
        err = handover_bind(storage, dir_fd, out_fd);
    close(dir_fd);
    return err;
}

struct err handover_open(struct handover *handover, const char *storage, bool over)
{
    struct err err = handover_claim(storage, over, &handover->fd);
    if (err_is(err)) {
        handover->fd = -1;
        return err;
    }
    int status = uv_poll_init(handover->loop->uv, &handover->poll, handover->fd);
    if (status >= 0)
        status = uv_poll_start(&handover->poll, UV_READABLE, handover_ready);
    return status < 0 ? err_make(ERR_UV, status, "watch the socket for a successor") : ERR_OK;
}

void handover_close(struct handover *handover)
{
    if (handover->fd < 0)
        return;
    if (handover->peer)
        peer_close(handover->peer);
    close(handover->fd);
    handover->fd = -1;
    uv_close((uv_handle_t *)&handover->poll, NULL);
}
