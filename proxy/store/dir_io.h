/* dir_io: the system calls that the directory store makes, one thin function each, all relative to its root directory.
 *
 * Every one of them asks a hook first (NULL in production): a test lets the n-th call fail with an errno, or ends the
 * process there, and so reaches each point at which a disk can fail or a kill -9 can strike. Threads of the pool `disk`;
 * blocks; knows nothing of records. Errors are ERR_SYSTEM with the errno. */
#ifndef STORE_DIR_IO_H
#define STORE_DIR_IO_H

#include "base/buf.h"
#include "base/err.h"

#include <sys/stat.h>

enum dir_op {
    DIR_OP_OPEN,
    DIR_OP_READ,
    DIR_OP_WRITE,
    DIR_OP_SYNC,
    DIR_OP_RENAME,
    DIR_OP_REMOVE,
    DIR_OP_MKDIR,
    DIR_OP_LOCK
};

struct dir_hook {
    /* Before a call on `name`: 0 to go on, an errno to fail with. */
    int (*before)(struct dir_hook *hook, enum dir_op op, const char *name);
};

struct dir_io {
    int root_fd; /* -1: not open */
    struct dir_hook *hook;
};

/* A regular file's bytes, at most max_bytes (EFBIG). Links are not followed (ELOOP), anything else that is not a regular
 * file is EISDIR. ENOENT where there is none. Appends to out, which may hold a part after a failure. */
MUST_CHECK struct err dir_io_read(const struct dir_io *io, const char *name, size_t max_bytes, struct buf *out);
/* Creates or empties the file (0600 whatever the umask), writes, and waits until the bytes are on the disk. */
MUST_CHECK struct err dir_io_write(const struct dir_io *io, const char *name, struct slice bytes);
MUST_CHECK struct err dir_io_rename(const struct dir_io *io, const char *from, const char *to);
/* Removing what is not there is fine. */
MUST_CHECK struct err dir_io_remove(const struct dir_io *io, const char *name);
/* Waits until the names in a directory ("." for the root) are on the disk. */
MUST_CHECK struct err dir_io_sync_dir(const struct dir_io *io, const char *name);
/* Makes a directory and those above it (0700 whatever the umask), each durably. Existing ones are left alone. */
MUST_CHECK struct err dir_io_make_dirs(const struct dir_io *io, const char *name);
/* Opens the file for reading and writing, made if need be, and tries for its kernel lock: EWOULDBLOCK where another has it. */
MUST_CHECK struct err dir_io_lock(const struct dir_io *io, const char *name, int *out_fd);
/* Is this descriptor still the file of that name? An error where that cannot be said. */
MUST_CHECK struct err dir_io_is_file(const struct dir_io *io, const char *name, int fd, bool *out_same);

/* What one finds in a directory; links not followed. */
struct dir_entry {
    const char *path; /* relative to the root; valid during the visit */
    struct stat stat;
};

/* Calls visit for each entry of the directory (but not for `.` and `..`), in no particular order, until it returns an
 * error. Entries that vanish meanwhile are left out. */
MUST_CHECK struct err dir_io_scan(const struct dir_io *io, const char *name,
                                  struct err (*visit)(void *ctx, const struct dir_entry *entry), void *ctx);

#endif
