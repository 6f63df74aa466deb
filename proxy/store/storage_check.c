#include "store/storage_check.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct storage_check check_of(enum storage_verdict verdict, int error)
{
    return (struct storage_check){.verdict = verdict, .error = error};
}

/* The nearest directory above that is there decides. */
static struct storage_check check_absent(const char *path)
{
    char *above = mem_strdup(path), *slash;
    while ((slash = strrchr(above, '/'))) {
        slash[slash == above] = '\0';
        if (access(above, F_OK) == 0 || slash == above)
            break;
    }
    bool fine = access(slash ? above : ".", W_OK | X_OK) == 0;
    int error = errno;
    mem_free(above);
    return fine ? check_of(STORAGE_ABSENT, 0) : check_of(STORAGE_CANNOT_BE_MADE, error);
}

/* A name with a dot in front: the store overlooks it. */
static struct storage_check check_write(int dir_fd)
{
    char name[32];
    snprintf(name, sizeof name, ".check-%ld", (long)getpid());
    int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return check_of(errno == EROFS ? STORAGE_READ_ONLY : STORAGE_NOT_WRITABLE, errno);
    bool written = write(fd, "portico\n", 8) == 8 && fsync(fd) == 0;
    int error = errno;
    close(fd);
    unlinkat(dir_fd, name, 0);
    return written ? check_of(STORAGE_FINE, 0) : check_of(STORAGE_NOT_WRITABLE, error);
}

struct storage_check storage_check(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return check_absent(path);
    if (fd < 0)
        return check_of(errno == ENOTDIR ? STORAGE_NO_DIRECTORY : STORAGE_UNREADABLE, errno);
    struct storage_check check = access(path, R_OK | X_OK) == 0 ? check_write(fd) : check_of(STORAGE_UNREADABLE, errno);
    check.durability = store_dir_durability_of(fd);
    close(fd);
    return check;
}
