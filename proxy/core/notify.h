/* notify: what the service manager is told (systemd's sd_notify protocol): ready, reloading, stopping, and that we live.
 *
 * Each word is one datagram to the unix socket of NOTIFY_SOCKET. libsystemd would bring a library into the image for
 * these few lines. Owns its socket. Control thread; never blocks: a manager that does not read misses a message.
 * Without NOTIFY_SOCKET everything here does nothing. */
#ifndef CORE_NOTIFY_H
#define CORE_NOTIFY_H

#include "base/err.h"
#include "base/slice.h"

#include <sys/socket.h>
#include <sys/un.h>

struct notify {
    int fd; /* -1: nobody listens */
    socklen_t address_len;
    struct sockaddr_un address;
    uint64_t watchdog_ms; /* within which the manager wants a sign of life; 0: it does not */
};

/* Of the environment; each may be NULL. */
struct notify_environment {
    const char *notify_socket; /* NOTIFY_SOCKET: "/path", or "@name" in the abstract namespace */
    const char *watchdog_usec; /* WATCHDOG_USEC */
    const char *watchdog_pid;  /* WATCHDOG_PID: whose life is meant; unset: everybody's */
};

/* A failure says what NOTIFY_SOCKET is; notify is silent then, and usable. */
MUST_CHECK struct err notify_open(struct notify *notify, const struct notify_environment *environment, long own_pid);
void notify_close(struct notify *notify);

/* READY=1, also the end of a reload; status is for people: "4 workers serve 2 names". */
void notify_ready(const struct notify *notify, const char *status);
/* RELOADING=1 with the time, which systemd wants from 253 on. notify_ready ends it. */
void notify_reloading(const struct notify *notify);
/* STOPPING=1; the end takes at most timeout_ms from now, whatever TimeoutStopSec says. */
void notify_stopping(const struct notify *notify, int64_t timeout_ms, const char *status);
/* WATCHDOG=1. */
void notify_alive(const struct notify *notify);
/* How often to say so: half of watchdog_ms; 0: never. */
uint64_t notify_alive_every_ms(const struct notify *notify);

#endif
