/* control_socket: where a running process takes commands: a unix socket of mode 0600, in /run/portico where that can be
 * written, else in STORAGE. Control thread; blocks on files for a moment.
 *
 *   STORAGE/.control.sock              /run/portico/HASH.sock (of STORAGE's path: several may run on one machine)
 *   STORAGE/.control.sock-XXXXXXXX     /run/portico/HASH.sock-XXXXXXXX
 *
 * The short name is taken by whoever finds nobody answering there; a process that does (a standby on the same storage)
 * takes the long one, with random digits. `portico COMMAND` asks whoever it finds (control_socket_find). */
#ifndef CORE_CONTROL_SOCKET_H
#define CORE_CONTROL_SOCKET_H

#include "base/err.h"
#include "base/slice.h"

#include <sys/types.h>
#include <time.h>

enum { CONTROL_SOCKET_NAME_BYTES = 64, CONTROL_SOCKET_PATH_BYTES = 512 };

struct control_socket {
    int dir_fd; /* -1: there is none */
    dev_t dev;
    ino_t ino;            /* of the file, so that we remove ours alone; */
    struct timespec ctim; /* numbers are given out again */
    char name[CONTROL_SOCKET_NAME_BYTES];
    char path[CONTROL_SOCKET_PATH_BYTES]; /* for the log; cut where it is longer */
};

/* *out_fd listens, non-blocking, and is the caller's. run_dir: "/run/portico", or another in tests. */
MUST_CHECK struct err control_socket_open(struct control_socket *control, const char *run_dir, struct slice storage,
                                          int *out_fd);
/* Removes the file where it is still ours. Harmless where nothing is open. */
void control_socket_close(struct control_socket *control);

struct control_place {
    int fd;    /* connected, non-blocking */
    pid_t pid; /* of whoever listens, as we see it; 0: it lives in another container */
};

/* Connects to the processes on this storage that answer, those of our own pid namespace first; returns how many, at most
 * `max`; errno-like reasons of those that do not answer are not told. */
size_t control_socket_find(const char *run_dir, struct slice storage, struct control_place *out, size_t max);

#define CONTROL_SOCKET_RUN_DIR "/run/portico"

#endif
