#include "core/handover_wire.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control_space {
    struct cmsghdr aligned;
    char bytes[CMSG_SPACE(sizeof(int) * HANDOVER_BATCH_FDS)];
};

struct err handover_send(int fd, const char *text, const int *fds, size_t num_fds)
{
    union control_space space = {0};
    struct iovec part = {.iov_base = (void *)text, .iov_len = strlen(text)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (num_fds) {
        message.msg_control = space.bytes;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * num_fds);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int) * num_fds);
        memcpy(CMSG_DATA(header), fds, sizeof(int) * num_fds);
    }
    if (sendmsg(fd, &message, MSG_NOSIGNAL) < 0)
        return err_errno("send to the other process");
    return ERR_OK;
}

void handover_message_close(struct handover_message *message)
{
    while (message->num_fds)
        close(message->fds[--message->num_fds]);
}

static void message_take_fds(struct handover_message *out, struct msghdr *message)
{
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        size_t num = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int); /* the space has room for the batch alone */
        memcpy(out->fds + out->num_fds, CMSG_DATA(header), num * sizeof(int));
        out->num_fds += num;
    }
}

struct err handover_receive(int fd, struct handover_message *out_message)
{
    union control_space space = {0};
    struct iovec part = {.iov_base = out_message->text, .iov_len = sizeof out_message->text - 1};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = space.bytes, .msg_controllen = sizeof space.bytes};
    out_message->num_fds = 0;
    ssize_t len = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    if (len < 0)
        return err_errno("receive from the other process");
    message_take_fds(out_message, &message);
    out_message->text[len] = '\0';
    out_message->body = slice_make(out_message->text, (size_t)len);
    if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
        handover_message_close(out_message);
        return err_make(ERR_LIMIT, 0, "receive from the other process");
    }
    return ERR_OK;
}

struct err handover_check_peer(int fd, int *out_pid)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
        return err_errno("ask who the other process is");
    if (peer.uid != geteuid() && peer.uid != 0)
        return err_make(ERR_SYSTEM, EACCES, "trust the other process, which runs as another user");
    *out_pid = peer.pid;
    return ERR_OK;
}

bool handover_address(const char *directory, int dir_fd, const char *name, struct address *out_address)
{
    char path[64];
    struct address address;
    address.at.local = (struct sockaddr_un){.sun_family = AF_UNIX};
    char *at = address.at.local.sun_path;
    int len = snprintf(at, sizeof address.at.local.sun_path, "%s/%s", directory, name);
    if (len > 0 && (size_t)len < sizeof address.at.local.sun_path) {
        address.len = sizeof address.at.local;
        *out_address = address;
        return true;
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d/%s", dir_fd, name);
    return address_of_path(slice_str(path), out_address);
}
