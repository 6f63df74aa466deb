#include "core/handover.h"
#include "core/handover_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { TAKEOVER_WAIT_S = 5 };

static struct err takeover_connect(const char *storage, int *out_fd)
{
    struct address address;
    struct timeval limit = {.tv_sec = TAKEOVER_WAIT_S};
    *out_fd = -1;
    int dir_fd = open(storage, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return errno == ENOENT ? ERR_OK : err_errno("open the storage");
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    struct err err = fd < 0 ? err_errno("open a socket") : ERR_OK;
    if (!err_is(err) && handover_address(storage, dir_fd, HANDOVER_SOCKET, &address) &&
        connect(fd, &address.at.any, address.len) == 0) {
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
        *out_fd = fd;
    } else if (!err_is(err)) {
        if (errno != ENOENT && errno != ECONNREFUSED) /* nobody, or a remainder */
            err = err_errno("connect to the process that is to be relieved");
        close(fd);
    }
    close(dir_fd);
    return err;
}

/* "https :443": which of ours it is, where we want the same. */
static bool takeover_wanted(const struct sockets *sockets, struct slice body, enum socket_name *out_which)
{
    struct slice text = body, name = slice_split(&text, ' ');
    for (enum socket_name i = 0; i < NUM_SOCKETS; i++) {
        if (!slice_eq(name, slice_str(socket_name_text(i))))
            continue;
        *out_which = i;
        return slice_eq(text, socket_config(sockets->config, i)->text);
    }
    return false;
}

static struct err takeover_adopt(struct sockets *sockets, struct handover_message *message)
{
    enum socket_name which;
    if (!takeover_wanted(sockets, message->body, &which)) {
        handover_message_close(message); /* the old process empties its queue */
        return ERR_OK;
    }
    while (message->num_fds) {
        if (!sockets_adopt(sockets, which, message->fds[message->num_fds - 1])) {
            handover_message_close(message);
            return err_make(ERR_INPUT, 0, "take over a socket that does not listen");
        }
        message->num_fds--;
    }
    return ERR_OK;
}

static struct err takeover_next(int fd, struct sockets *sockets, bool *out_end)
{
    struct handover_message message;
    struct err err = handover_receive(fd, &message);
    if (err_is(err))
        return err;
    if (message.body.len == 0)
        return err_make(ERR_SYSTEM, ECONNRESET, "receive from the other process");
    *out_end = slice_eq(message.body, SLICE_LIT(HANDOVER_END));
    return *out_end ? ERR_OK : takeover_adopt(sockets, &message);
}

static struct err takeover_receive(int fd, struct sockets *sockets)
{
    bool end = false;
    struct err err = handover_send(fd, HANDOVER_HELLO, NULL, 0);
    while (!end && !err_is(err))
        err = takeover_next(fd, sockets, &end);
    if (err.kind == ERR_SYSTEM && (err.code == ECONNRESET || err.code == EPIPE)) /* it hung up */
        return err_make(ERR_STATE, 0,
                        "take over from a process that is ending, being relieved already, or another user's");
    return err;
}

struct err takeover_begin(struct takeover *takeover, const char *storage, struct sockets *sockets)
{
    *takeover = (struct takeover){.fd = -1};
    struct err err = takeover_connect(storage, &takeover->fd);
    if (!err_is(err) && takeover->fd >= 0)
        err = handover_check_peer(takeover->fd, &takeover->pid);
    if (!err_is(err) && takeover->fd >= 0)
        err = takeover_receive(takeover->fd, sockets);
    if (err_is(err))
        takeover_abandon(takeover);
    return err;
}

struct err takeover_end(struct takeover *takeover)
{
    if (takeover->fd < 0)
        return ERR_OK;
    struct err err = handover_send(takeover->fd, HANDOVER_SERVING, NULL, 0);
    takeover_abandon(takeover);
    return err;
}

void takeover_abandon(struct takeover *takeover)
{
    if (takeover->fd >= 0)
        close(takeover->fd);
    takeover->fd = -1;
}
