#include "core/landlock.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The same on every architecture (Linux 5.13). */
enum { CREATE_RULESET = 444, ADD_RULE = 445, RESTRICT_SELF = 446 };
enum { CREATE_VERSION = 1, RULE_PATH_BENEATH = 1 };

/* Linux: include/uapi/linux/landlock.h */
struct ruleset_attr {
    uint64_t handled_fs;
};

struct __attribute__((packed)) path_attr {
    uint64_t allowed;
    int32_t fd;
};

enum access {
    EXECUTE = 1 << 0,
    WRITE_FILE = 1 << 1,
    READ_FILE = 1 << 2,
    READ_DIR = 1 << 3,
    REMOVE_DIR = 1 << 4,
    REMOVE_FILE = 1 << 5,
    MAKE_DIR = 1 << 7,
    MAKE_REG = 1 << 8,
    MAKE_SOCK = 1 << 9,
    MAKE_SYM = 1 << 12,
    REFER = 1 << 13,
    TRUNCATE = 1 << 14, /* ABI 3 */
    ALL_ABI_2 = (1 << 14) - 1,
    FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE /* what can be asked of something that is no directory */
};

static uint64_t handled(int abi)
{
    return abi >= 3 ? ALL_ABI_2 | TRUNCATE : ALL_ABI_2;
}

int landlock_abi(void)
{
    long version = syscall(CREATE_RULESET, NULL, (size_t)0, CREATE_VERSION);
    return version < 0 ? -errno : (int)version;
}

struct err landlock_begin(struct landlock *landlock, int abi)
{
    struct ruleset_attr attr = {.handled_fs = handled(abi)};
    landlock->fd = (int)syscall(CREATE_RULESET, &attr, sizeof attr, 0); /* close-on-exec by itself */
    return landlock->fd < 0 ? err_errno("make a Landlock ruleset") : ERR_OK;
}

struct err landlock_allow(const struct landlock *landlock, int abi, int fd, bool write)
{
    struct stat st;
    uint64_t allowed = READ_FILE | READ_DIR;
    if (write)
        allowed |=
            WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | MAKE_SOCK | MAKE_SYM | REFER | TRUNCATE;
    if (fstat(fd, &st) != 0)
        return err_errno("look at what Landlock is to allow");
    if (!S_ISDIR(st.st_mode))
        allowed &= FILES;
    struct path_attr attr = {.allowed = allowed & handled(abi), .fd = fd};
    if (syscall(ADD_RULE, landlock->fd, RULE_PATH_BENEATH, &attr, 0) != 0)
        return err_errno("add to the Landlock ruleset");
    return ERR_OK;
}

struct err landlock_restrict(const struct landlock *landlock)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return err_errno("give up new privileges");
    if (syscall(RESTRICT_SELF, landlock->fd, 0) != 0)
        return err_errno("apply the Landlock ruleset");
    return ERR_OK;
}

void landlock_end(struct landlock *landlock)
{
    if (landlock->fd >= 0)
        close(landlock->fd);
    landlock->fd = -1;
}
