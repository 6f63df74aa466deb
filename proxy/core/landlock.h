/* landlock: the kernel's file system sandbox, by system calls of our own: the C library has none, and the headers of the
 * oldest system that we build on know less than the kernels that we run on. For the calling thread and those that it
 * makes from then on; there is no way back. Never touches the network's rules. */
#ifndef CORE_LANDLOCK_H
#define CORE_LANDLOCK_H

#include "base/err.h"

enum {
    LANDLOCK_ABI_LEAST = 2 /* below, files cannot be renamed from one directory into another, as the store does */
};

/* The version of the kernel's interface; 0 or less: there is none, and -errno says why (ENOSYS: not built in, EOPNOTSUPP: not
 * switched on, EPERM: forbidden, as by a container's own filter). */
int landlock_abi(void);

struct landlock {
    int fd;
};

/* Everything in the file system is forbidden but what landlock_allow adds. */
MUST_CHECK struct err landlock_begin(struct landlock *landlock, int abi);
/* The open directory and what is below, or the open file: reading, and with `write` all that is done with ordinary files,
 * directories and sockets. Never executing, never making devices. */
MUST_CHECK struct err landlock_allow(const struct landlock *landlock, int abi, int fd, bool write);
/* From here on it holds. landlock_end frees in either case. */
MUST_CHECK struct err landlock_restrict(const struct landlock *landlock);
void landlock_end(struct landlock *landlock);

#endif
