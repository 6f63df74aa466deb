#include "core/notify.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { NOTIFY_MESSAGE_BYTES = 512 };

static struct err notify_address(struct notify *notify, const char *text)
{
    size_t len = strlen(text);
    notify->address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (len < 2 || len >= sizeof notify->address.sun_path || (text[0] != '/' && text[0] != '@'))
        return err_make(ERR_INPUT, 0, "read NOTIFY_SOCKET, which is neither a path nor @name");
    memcpy(notify->address.sun_path, text, len);
    if (text[0] == '@')
        notify->address.sun_path[0] = '\0'; /* the length says where an abstract name ends */
    notify->address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    return ERR_OK;
}

static uint64_t notify_watchdog_ms(const struct notify_environment *environment, long own_pid)
{
    uint64_t usec, pid;
    if (!environment->watchdog_usec || !slice_decimal(slice_str(environment->watchdog_usec), UINT64_MAX / 2, &usec))
        return 0;
    if (environment->watchdog_pid && (!slice_decimal(slice_str(environment->watchdog_pid), INT32_MAX, &pid) ||
                                      pid != (uint64_t)own_pid)) /* a parent's, and inherited */
        return 0;
    return usec / 1000;
}

struct err notify_open(struct notify *notify, const struct notify_environment *environment, long own_pid)
{
    *notify = (struct notify){.fd = -1};
    if (!environment->notify_socket || !environment->notify_socket[0])
        return ERR_OK;
    struct err err = notify_address(notify, environment->notify_socket);
    if (err_is(err))
        return err;
    notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (notify->fd < 0)
        return err_errno("open a socket for NOTIFY_SOCKET");
    notify->watchdog_ms = notify_watchdog_ms(environment, own_pid);
    return ERR_OK;
}

void notify_close(struct notify *notify)
{
    if (notify->fd >= 0)
        close(notify->fd);
    notify->fd = -1;
}

static void notify_send(const struct notify *notify, const char *text)
{
    if (notify->fd < 0)
        return;
    ssize_t sent = sendto(notify->fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&notify->address,
                          notify->address_len);
    (void)sent; /* nothing depends on it but the manager's own patience */
}

void notify_ready(const struct notify *notify, const char *status)
{
    char text[NOTIFY_MESSAGE_BYTES];
    snprintf(text, sizeof text, "READY=1\nSTATUS=%.256s\n", status);
    notify_send(notify, text);
}

void notify_reloading(const struct notify *notify)
{
    char text[NOTIFY_MESSAGE_BYTES];
    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=Reads its configuration again\n",
             (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000);
    notify_send(notify, text);
}

void notify_stopping(const struct notify *notify, int64_t timeout_ms, const char *status)
{
    char text[NOTIFY_MESSAGE_BYTES];
    snprintf(text, sizeof text, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%lld\nSTATUS=%.256s\n", (long long)timeout_ms * 1000,
             status);
    notify_send(notify, text);
}

void notify_alive(const struct notify *notify)
{
    notify_send(notify, "WATCHDOG=1\n");
}

uint64_t notify_alive_every_ms(const struct notify *notify)
{
    uint64_t every_ms = notify->watchdog_ms / 2;
    return notify->watchdog_ms && every_ms == 0 ? 1 : every_ms;
}
