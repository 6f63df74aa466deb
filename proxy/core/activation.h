/* activation: the listening sockets that a service manager passed at start (systemd's LISTEN_FDS protocol), by name.
 *
 * Several descriptors may share a name. Owns the descriptors until they are taken. Control thread, at start. */
#ifndef CORE_ACTIVATION_H
#define CORE_ACTIVATION_H

#include "base/err.h"
#include "base/slice.h"

enum {
    ACTIVATION_FIRST_FD = 3, /* sd_listen_fds(3): SD_LISTEN_FDS_START */
    ACTIVATION_MAX_FDS = 256,
    ACTIVATION_NAME_BYTES = 256 /* with its NUL: systemd allows 255 */
};

/* Of the environment; each may be NULL. */
struct activation_environment {
    const char *listen_pid, *listen_fds, *listen_fdnames;
};

struct activation_fd {
    int fd;            /* -1: taken */
    struct slice name; /* of LISTEN_FDNAMES, which it borrows; "unknown" where that names nothing, as systemd has it */
};

struct activation {
    struct activation_fd fds[ACTIVATION_MAX_FDS];
    size_t num;
};

/* None where LISTEN_PID names another process: then they were meant for a parent. Touches no descriptor. */
void activation_read(struct activation *activation, const struct activation_environment *environment, long own_pid);

/* Takes the descriptors of that name, which are the caller's from then on: non-blocking and close-on-exec. Returns how
 * many there are, 0 to ACTIVATION_MAX_FDS. */
size_t activation_take(struct activation *activation, struct slice name, int out_fds[ACTIVATION_MAX_FDS]);

/* Every name that was passed, once: "http, https"; "none" without any. Cut where it does not fit. Returns out. */
const char *activation_names(const struct activation *activation, char *out, size_t size);

/* Closes what nobody took; returns how many that were. */
size_t activation_close(struct activation *activation);

/* Whether it is a stream socket of IP or a path that listens. */
MUST_CHECK struct err activation_check(int fd, bool *out_unix_socket);

#endif
