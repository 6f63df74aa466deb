#include "store/dir_io.h"

#include "store/store_key.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

static const char *op_what(enum dir_op op)
{
    switch (op) {
    case DIR_OP_OPEN: return "open";
    case DIR_OP_READ: return "read";
    case DIR_OP_WRITE: return "write";
    case DIR_OP_SYNC: return "fsync";
    case DIR_OP_RENAME: return "rename";
    case DIR_OP_REMOVE: return "remove";
    case DIR_OP_MKDIR: return "mkdir";
    case DIR_OP_LOCK: return "lock";
    }
    return "file";
}

static struct err op_failed(enum dir_op op)
{
    return err_errno(op_what(op));
}

static struct err op_begin(const struct dir_io *io, enum dir_op op, const char *name)
{
    int code = io->hook ? io->hook->before(io->hook, op, name) : 0;
    return code ? err_make(ERR_SYSTEM, code, op_what(op)) : ERR_OK;
}

/* Closes and keeps the first failure. */
static struct err fd_close(int fd, struct err err)
{
    if (close(fd) != 0 && !err_is(err) && errno != EINTR)
        return err_errno("close");
    return err;
}

static struct err file_open(const struct dir_io *io, const char *name, int flags, int *out_fd)
{
    struct err err = op_begin(io, DIR_OP_OPEN, name);
    if (err_is(err))
        return err;
    /* O_NONBLOCK: a FIFO that somebody put there must not hold the thread */
    int fd = openat(io->root_fd, name, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
    if (fd < 0)
        return op_failed(DIR_OP_OPEN);
    struct stat stat;
    if (fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode)) {
        *out_fd = fd;
        return ERR_OK;
    }
    return fd_close(fd, err_make(ERR_SYSTEM, EISDIR, "open"));
}

static struct err fd_read_all(const struct dir_io *io, const char *name, int fd, size_t max_bytes, struct buf *out)
{
    enum { PIECE_BYTES = 16 * 1024 };
    for (size_t start = out->len;;) {
        struct err err = op_begin(io, DIR_OP_READ, name);
        if (err_is(err))
            return err;
        ssize_t n = read(fd, buf_reserve(out, PIECE_BYTES), PIECE_BYTES);
        if (n < 0 && errno != EINTR)
            return op_failed(DIR_OP_READ);
        if (n == 0)
            return ERR_OK;
        if (n > 0)
            out->len += (size_t)n;
        if (out->len - start > max_bytes)
            return err_make(ERR_SYSTEM, EFBIG, "read");
    }
}

struct err dir_io_read(const struct dir_io *io, const char *name, size_t max_bytes, struct buf *out)
{
    int fd = -1;
    struct err err = file_open(io, name, O_RDONLY, &fd);
    if (err_is(err))
        return err;
    return fd_close(fd, fd_read_all(io, name, fd, max_bytes, out));
}

static struct err fd_write_all(const struct dir_io *io, const char *name, int fd, struct slice bytes)
{
    while (bytes.len) {
        struct err err = op_begin(io, DIR_OP_WRITE, name);
        if (err_is(err))
            return err;
        ssize_t n = write(fd, bytes.ptr, bytes.len);
        if (n < 0 && errno != EINTR)
            return op_failed(DIR_OP_WRITE);
        if (n > 0)
            bytes = slice_skip(bytes, (size_t)n);
    }
    return ERR_OK;
}

static struct err fd_sync(const struct dir_io *io, const char *name, int fd)
{
    struct err err = op_begin(io, DIR_OP_SYNC, name);
    if (err_is(err))
        return err;
    return fsync(fd) == 0 ? ERR_OK : op_failed(DIR_OP_SYNC);
}

struct err dir_io_write(const struct dir_io *io, const char *name, struct slice bytes)
{
    int fd = -1;
    struct err err = file_open(io, name, O_WRONLY | O_CREAT | O_TRUNC, &fd);
    if (err_is(err))
        return err;
    (void)fchmod(fd, 0600); /* the umask may have taken more; a file system without modes has no say in it */
    err = fd_write_all(io, name, fd, bytes);
    if (!err_is(err))
        err = fd_sync(io, name, fd);
    return fd_close(fd, err);
}

struct err dir_io_rename(const struct dir_io *io, const char *from, const char *to)
{
    struct err err = op_begin(io, DIR_OP_RENAME, from);
    if (err_is(err))
        return err;
    return renameat(io->root_fd, from, io->root_fd, to) == 0 ? ERR_OK : op_failed(DIR_OP_RENAME);
}

struct err dir_io_remove(const struct dir_io *io, const char *name)
{
    struct err err = op_begin(io, DIR_OP_REMOVE, name);
    if (err_is(err))
        return err;
    return unlinkat(io->root_fd, name, 0) == 0 || errno == ENOENT ? ERR_OK : op_failed(DIR_OP_REMOVE);
}

static struct err dir_open(const struct dir_io *io, const char *name, int *out_fd)
{
    struct err err = op_begin(io, DIR_OP_OPEN, name);
    if (err_is(err))
        return err;
    int fd = openat(io->root_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return op_failed(DIR_OP_OPEN);
    *out_fd = fd;
    return ERR_OK;
}

struct err dir_io_sync_dir(const struct dir_io *io, const char *name)
{
    int fd = -1;
    struct err err = dir_open(io, name, &fd);
    if (err_is(err))
        return err;
    err = fd_sync(io, name, fd);
    if (err.code == EINVAL) /* a file system that cannot sync a directory keeps its names otherwise */
        err = ERR_OK;
    return fd_close(fd, err);
}

static struct err dir_make(const struct dir_io *io, const char *name)
{
    struct err err = op_begin(io, DIR_OP_MKDIR, name);
    if (err_is(err))
        return err;
    if (mkdirat(io->root_fd, name, 0700) != 0)
        return errno == EEXIST ? ERR_OK : op_failed(DIR_OP_MKDIR);
    struct stat stat;
    if (fstatat(io->root_fd, name, &stat, AT_SYMLINK_NOFOLLOW) == 0 && (stat.st_mode & 0700) != 0700)
        return fchmodat(io->root_fd, name, (stat.st_mode & 07777) | 0700, 0) == 0 /* undoes a hostile umask alone */
                   ? ERR_OK
                   : op_failed(DIR_OP_MKDIR);
    return dir_io_sync_dir(io, store_path_dir(name).text);
}

struct err dir_io_make_dirs(const struct dir_io *io, const char *name)
{
    char path[STORE_PATH_BYTES];
    struct stat stat;
    if (strcmp(name, ".") == 0 || fstatat(io->root_fd, name, &stat, AT_SYMLINK_NOFOLLOW) == 0)
        return ERR_OK;
    snprintf(path, sizeof path, "%s", name);
    struct err err = ERR_OK;
    for (char *slash = strchr(path, '/'); slash && !err_is(err); slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        err = dir_make(io, path);
        *slash = '/';
    }
    return err_is(err) ? err : dir_make(io, path);
}

struct err dir_io_lock(const struct dir_io *io, const char *name, int *out_fd)
{
    int fd = -1;
    struct err err = file_open(io, name, O_RDWR | O_CREAT, &fd);
    if (err_is(err))
        return err;
    err = op_begin(io, DIR_OP_LOCK, name);
    if (!err_is(err) && flock(fd, LOCK_EX | LOCK_NB) != 0)
        err = op_failed(DIR_OP_LOCK);
    if (err_is(err))
        return fd_close(fd, err);
    (void)fchmod(fd, 0600);
    *out_fd = fd;
    return ERR_OK;
}

struct err dir_io_is_file(const struct dir_io *io, const char *name, int fd, bool *out_same)
{
    struct stat held, named;
    if (fstat(fd, &held) != 0)
        return op_failed(DIR_OP_LOCK);
    bool there = fstatat(io->root_fd, name, &named, AT_SYMLINK_NOFOLLOW) == 0;
    if (!there && errno != ENOENT)
        return op_failed(DIR_OP_LOCK);
    *out_same = there && held.st_dev == named.st_dev && held.st_ino == named.st_ino;
    return ERR_OK;
}

static struct err entry_visit(const struct dir_io *io, const char *dir, const char *name,
                              struct err (*visit)(void *, const struct dir_entry *), void *ctx)
{
    char path[STORE_PATH_BYTES + NAME_MAX + 2];
    struct dir_entry entry = {.path = path};
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return ERR_OK;
    if (strcmp(dir, ".") == 0)
        snprintf(path, sizeof path, "%s", name);
    else
        snprintf(path, sizeof path, "%s/%s", dir, name);
    if (fstatat(io->root_fd, path, &entry.stat, AT_SYMLINK_NOFOLLOW) == 0)
        return visit(ctx, &entry);
    return errno == ENOENT ? ERR_OK : op_failed(DIR_OP_READ);
}

struct err dir_io_scan(const struct dir_io *io, const char *name,
                       struct err (*visit)(void *ctx, const struct dir_entry *entry), void *ctx)
{
    int fd = -1;
    struct err err = dir_open(io, name, &fd);
    if (err_is(err))
        return err;
    DIR *dir = fdopendir(fd);
    if (!dir)
        return fd_close(fd, op_failed(DIR_OP_OPEN));
    while (!err_is(err)) {
        errno = 0;
        struct dirent *found = readdir(dir);
        if (!found) {
            err = errno ? op_failed(DIR_OP_READ) : ERR_OK;
            break;
        }
        err = entry_visit(io, name, found->d_name, visit, ctx);
    }
    closedir(dir);
    return err;
}
