#include "core/control_socket.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { CONTROL_BACKLOG = 16, CONTROL_LOCK_TRIES = 20, CONTROL_LOCK_WAIT_US = 10000 };

/* FNV-1a: tells the storages of one machine apart, and need not withstand anybody. */
static void run_name(struct slice storage, char out[CONTROL_SOCKET_NAME_BYTES])
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < storage.len; i++)
        hash = (hash ^ (unsigned char)storage.ptr[i]) * UINT64_C(0x100000001b3);
    snprintf(out, CONTROL_SOCKET_NAME_BYTES, "%016llx.sock", (unsigned long long)hash);
}

/* By way of the directory's descriptor: a storage's path may be longer than a socket address. */
static bool address_in(int dir_fd, const char *name, struct sockaddr_un *out)
{
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    return snprintf(out->sun_path, sizeof out->sun_path, "/proc/self/fd/%d/%s", dir_fd, name) <
           (int)sizeof out->sun_path;
}

/* A connected descriptor; or -1 with errno, EAGAIN of one who listens but does not accept. Never waits. */
static int connect_in(int dir_fd, const char *name)
{
    struct sockaddr_un address;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && address_in(dir_fd, name, &address) &&
        connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    int error = errno;
    if (fd >= 0)
        close(fd);
    errno = error;
    return -1;
}

/* ---- the listener ---- */

static void random_name(const char *base, char out[CONTROL_SOCKET_NAME_BYTES])
{
    uint32_t random = 0;
    ssize_t got = getrandom(&random, sizeof random, 0);
    (void)got; /* whatever there is: a name that exists is refused */
    snprintf(out, CONTROL_SOCKET_NAME_BYTES, "%.48s-%08x", base, (unsigned)random);
}

static bool name_is_live(int dir_fd, const char *name)
{
    int fd = connect_in(dir_fd, name);
    if (fd >= 0)
        close(fd);
    return fd >= 0 || errno == EAGAIN;
}

/* On Linux a socket's own mode becomes that of its file: at no instant is it wider, and no name is followed. */
static struct err listen_as(int dir_fd, const char *name, int *out_fd)
{
    struct sockaddr_un address;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_errno("open the control socket");
    bool bound = fchmod(fd, 0600) == 0 && address_in(dir_fd, name, &address) &&
                 bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    if (bound && listen(fd, CONTROL_BACKLOG) == 0) {
        *out_fd = fd;
        return ERR_OK;
    }
    struct err err = err_errno("bind the control socket");
    if (bound)
        unlinkat(dir_fd, name, 0);
    close(fd);
    return err;
}

/* So that two that start at once do not take each other's half-made socket for a stale one. */
static bool lock_dir(int dir_fd)
{
    for (int i = 0; i < CONTROL_LOCK_TRIES; i++) {
        if (flock(dir_fd, LOCK_EX | LOCK_NB) == 0)
            return true;
        usleep(CONTROL_LOCK_WAIT_US);
    }
    return false;
}

static bool is_socket_of(const char *entry, const char *name)
{
    size_t len = strlen(name);
    return strncmp(entry, name, len) == 0 && (entry[len] == '\0' || entry[len] == '-');
}

/* Of processes that were killed. */
static void remove_stale(int dir_fd, const char *name)
{
    struct dirent *entry;
    int copy = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    while (dir && (entry = readdir(dir)))
        if (is_socket_of(entry->d_name, name) && !name_is_live(dir_fd, entry->d_name) && errno == ECONNREFUSED)
            unlinkat(dir_fd, entry->d_name, 0);
    if (dir)
        closedir(dir);
    else if (copy >= 0)
        close(copy);
}

static void take_short_name(struct control_socket *control, const char *name)
{
    if (!name_is_live(control->dir_fd, name) && renameat(control->dir_fd, control->name, control->dir_fd, name) == 0)
        snprintf(control->name, sizeof control->name, "%s", name);
}

static void remember_file(struct control_socket *control)
{
    struct stat st;
    if (fstatat(control->dir_fd, control->name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        control->dev = st.st_dev;
        control->ino = st.st_ino;
        control->ctim = st.st_ctim;
    }
}

/* Without the lock: somebody holds it for ever, and harms nothing but the names. */
static struct err listen_in(struct control_socket *control, const char *name, int *out_fd)
{
    bool locked = lock_dir(control->dir_fd);
    if (locked)
        remove_stale(control->dir_fd, name);
    random_name(name, control->name);
    struct err err = listen_as(control->dir_fd, control->name, out_fd);
    if (!err_is(err) && locked)
        take_short_name(control, name);
    if (locked)
        flock(control->dir_fd, LOCK_UN);
    return err;
}

static struct err open_in(struct control_socket *control, const char *dir, const char *name, int *out_fd)
{
    control->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (control->dir_fd < 0)
        return err_errno("open the control socket's directory");
    struct err err = listen_in(control, name, out_fd);
    if (err_is(err)) {
        close(control->dir_fd);
        control->dir_fd = -1;
        return err;
    }
    remember_file(control);
    snprintf(control->path, sizeof control->path, "%s/%s", dir, control->name);
    return ERR_OK;
}

struct err control_socket_open(struct control_socket *control, const char *run_dir, struct slice storage, int *out_fd)
{
    char name[CONTROL_SOCKET_NAME_BYTES];
    *control = (struct control_socket){.dir_fd = -1};
    run_name(storage, name);
    if (!err_is(open_in(control, run_dir, name, out_fd)))
        return ERR_OK;
    return open_in(control, storage.ptr, ".control.sock", out_fd);
}

static bool file_is_ours(const struct control_socket *control)
{
    struct stat st;
    return fstatat(control->dir_fd, control->name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev == control->dev &&
           st.st_ino == control->ino && st.st_ctim.tv_sec == control->ctim.tv_sec &&
           st.st_ctim.tv_nsec == control->ctim.tv_nsec;
}

void control_socket_close(struct control_socket *control)
{
    if (control->dir_fd < 0)
        return;
    if (file_is_ours(control))
        unlinkat(control->dir_fd, control->name, 0);
    close(control->dir_fd);
    control->dir_fd = -1;
}

/* ---- those who ask ---- */

/* As far as the kernel tells us in our own pid namespace. */
static pid_t pid_of_peer(int fd)
{
    struct ucred credentials = {0};
    socklen_t len = sizeof credentials;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &len) == 0 ? credentials.pid : 0;
}

static void keep(struct control_place *out, size_t *num, size_t max, struct control_place found)
{
    size_t at = *num;
    if (*num == max) {
        close(found.fd);
        return;
    }
    if (found.pid) /* in front of those that live elsewhere */
        while (at > 0 && out[at - 1].pid == 0) {
            out[at] = out[at - 1];
            at--;
        }
    out[at] = found;
    ++*num;
}

static void find_in(const char *path, const char *name, struct control_place *out, size_t *num, size_t max)
{
    struct dirent *entry;
    DIR *dir = opendir(path);
    int dir_fd = dir ? dirfd(dir) : -1;
    while (dir && (entry = readdir(dir))) {
        int fd = is_socket_of(entry->d_name, name) ? connect_in(dir_fd, entry->d_name) : -1;
        if (fd >= 0)
            keep(out, num, max, (struct control_place){fd, pid_of_peer(fd)});
    }
    if (dir)
        closedir(dir);
}

size_t control_socket_find(const char *run_dir, struct slice storage, struct control_place *out, size_t max)
{
    char name[CONTROL_SOCKET_NAME_BYTES];
    size_t num = 0;
    run_name(storage, name);
    find_in(run_dir, name, out, &num, max);
    find_in(storage.ptr, ".control.sock", out, &num, max);
    return num;
}
