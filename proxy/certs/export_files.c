#include "certs/export_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_CHAIN, FILE_KEY, NUM_FILES, GENERATION_BYTES = 17, LINK_BYTES = 512, MODE_BITS = 07777 };

#define DATA_DIR ".data"

static const char *const file_names[NUM_FILES] = {"fullchain.pem", "privkey.pem"};

/* Modes and owners; what is not there has those of a first time. */
struct export_look {
    mode_t dir_mode, file_modes[NUM_FILES];
    bool dir_known, files_known[NUM_FILES];
    uid_t dir_uid, file_uids[NUM_FILES];
    gid_t dir_gid, file_gids[NUM_FILES];
};

struct exporting {
    const char *name;
    struct slice texts[NUM_FILES];
    int dir_fd;                        /* DIR */
    int now_fd;                        /* what NAME leads to; -1: nothing is there */
    bool in_place;                     /* it is a directory, not a link */
    char now[LINK_BYTES];              /* the link's target; empty: there is none */
    char generation[GENERATION_BYTES]; /* of this time */
    struct export_look look;
    bool changed, owner_lost;
};

void export_files_name(struct slice name, bool second, struct buf *out)
{
    bool wildcard = slice_starts(name, SLICE_LIT("*."));
    buf_append_str(out, second ? "_rsa." : "");
    buf_append_str(out, wildcard ? "_wildcard." : "");
    buf_append_slice(out, wildcard ? slice_skip(name, 2) : name);
}

/* ---- what is there ---- */

static int open_dir(int at_fd, const char *name)
{
    return openat(at_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

/* Our own link alone is followed: ".data/NAME/GENERATION". */
static void now_find(struct exporting *self)
{
    char prefix[LINK_BYTES];
    ssize_t len = readlinkat(self->dir_fd, self->name, self->now, sizeof self->now - 1);
    self->now[len > 0 ? len : 0] = '\0';
    self->in_place = len < 0 && errno == EINVAL;
    snprintf(prefix, sizeof prefix, DATA_DIR "/%s/", self->name);
    size_t prefix_len = strlen(prefix);
    if (strncmp(self->now, prefix, prefix_len) == 0 && self->now[prefix_len] != '\0' &&
        !strchr(self->now + prefix_len, '/'))
        self->now_fd = open_dir(self->dir_fd, self->now);
    else if (self->in_place)
        self->now_fd = open_dir(self->dir_fd, self->name);
}

static void look_read(struct exporting *self)
{
    struct export_look *look = &self->look;
    struct stat at;
    *look = (struct export_look){.dir_mode = 0750, .file_modes = {0644, 0640}};
    if (self->now_fd < 0)
        return;
    if (fstat(self->now_fd, &at) == 0) {
        look->dir_known = true;
        look->dir_mode = at.st_mode & MODE_BITS;
        look->dir_uid = at.st_uid;
        look->dir_gid = at.st_gid;
    }
    for (int i = 0; i < NUM_FILES; i++)
        if (fstatat(self->now_fd, file_names[i], &at, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(at.st_mode)) {
            look->files_known[i] = true;
            look->file_modes[i] = at.st_mode & 0777;
            look->file_uids[i] = at.st_uid;
            look->file_gids[i] = at.st_gid;
        }
}

static bool file_is(int dir_fd, const char *name, struct slice text)
{
    struct buf found = {0};
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    ssize_t n = 1;
    while (fd >= 0 && n > 0 && found.len <= text.len) {
        n = read(fd, buf_reserve(&found, text.len + 1), text.len + 1);
        found.len += n > 0 ? (size_t)n : 0;
    }
    if (fd >= 0)
        close(fd);
    bool same = fd >= 0 && n >= 0 && slice_eq(buf_slice(&found), text);
    buf_cleanup_secret(&found);
    return same;
}

static bool is_there(const struct exporting *self)
{
    for (int i = 0; i < NUM_FILES; i++)
        if (self->now_fd < 0 || !file_is(self->now_fd, file_names[i], self->texts[i]))
            return false;
    return true;
}

/* ---- writing ---- */

/* Whom it belonged to may be beyond our rights. A group that we are in is not. */
static struct err take_on(struct exporting *self, int fd, mode_t mode, bool known, uid_t uid, gid_t gid)
{
    struct stat at;
    if (fstat(fd, &at) != 0)
        return err_errno("look at an exported file");
    bool other = known && (at.st_uid != uid || at.st_gid != gid);
    if (other && fchown(fd, uid, gid) != 0) {
        self->owner_lost = true;
        (void)!fchown(fd, (uid_t)-1, gid);
    }
    if (fchmod(fd, mode) != 0)
        return err_errno("set the mode of an exported file");
    return ERR_OK;
}

static struct err write_all(int fd, struct slice text)
{
    while (text.len) {
        ssize_t n = write(fd, text.ptr, text.len);
        if (n < 0 && errno != EINTR)
            return err_errno("write an exported file");
        text = slice_skip(text, n > 0 ? (size_t)n : 0);
    }
    return fsync(fd) == 0 ? ERR_OK : err_errno("write an exported file to the disk");
}

static struct err file_write(struct exporting *self, int dir_fd, const char *name, int i)
{
    const struct export_look *look = &self->look;
    int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_errno("make an exported file");
    struct err err = write_all(fd, self->texts[i]);
    if (!err_is(err))
        err = take_on(self, fd, look->file_modes[i], look->files_known[i], look->file_uids[i], look->file_gids[i]);
    close(fd);
    if (err_is(err))
        unlinkat(dir_fd, name, 0);
    return err;
}

static struct err sync_dir(int fd)
{
    return fsync(fd) == 0 ? ERR_OK : err_errno("write the directory of an exported file to the disk");
}

/* ---- a directory of somebody's own ---- */

static struct err put_in_place(struct exporting *self)
{
    char temps[NUM_FILES][64];
    struct err err = ERR_OK;
    int num = 0;
    for (; num < NUM_FILES && !err_is(err); num++) {
        snprintf(temps[num], sizeof temps[num], ".%s.%s", file_names[num], self->generation);
        err = file_write(self, self->now_fd, temps[num], num);
    }
    for (int i = NUM_FILES - 1; i >= 0 && !err_is(err); i--) /* the key first: a key without its chain yet is noticed */
        if (renameat(self->now_fd, temps[i], self->now_fd, file_names[i]) != 0)
            err = err_errno("put an exported file in its place");
    for (int i = 0; i < num && err_is(err); i++)
        unlinkat(self->now_fd, temps[i], 0);
    return err_is(err) ? err : sync_dir(self->now_fd);
}

/* ---- generations ---- */

static void generation_remove(int data_fd, const char *generation)
{
    int fd = open_dir(data_fd, generation);
    if (fd < 0)
        return;
    for (int i = 0; i < NUM_FILES; i++)
        unlinkat(fd, file_names[i], 0);
    close(fd);
    unlinkat(data_fd, generation, AT_REMOVEDIR); /* unless somebody has put something there */
}

/* All but this one and the one before, which somebody may be reading. */
static void generations_prune(const struct exporting *self, int data_fd)
{
    const char *slash = strrchr(self->now, '/'), *before = slash ? slash + 1 : "";
    struct dirent *entry;
    int fd = dup(data_fd);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir && fd >= 0)
        close(fd);
    while (dir && (entry = readdir(dir)))
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, self->generation) != 0 &&
            strcmp(entry->d_name, before) != 0)
            generation_remove(data_fd, entry->d_name);
    if (dir)
        closedir(dir);
}

static struct err dir_make(int at_fd, const char *name, mode_t mode, int *out_fd)
{
    bool made = mkdirat(at_fd, name, mode) == 0;
    if (!made && errno != EEXIST)
        return err_errno("make a directory for exported files");
    *out_fd = open_dir(at_fd, name);
    if (*out_fd < 0)
        return err_errno("open a directory of exported files");
    return !made || fchmod(*out_fd, mode) == 0 ? ERR_OK : err_errno("set the mode of a directory of exported files");
}

static struct err generation_fill(struct exporting *self, int fd)
{
    const struct export_look *look = &self->look;
    struct err err = ERR_OK;
    for (int i = 0; i < NUM_FILES && !err_is(err); i++)
        err = file_write(self, fd, file_names[i], i);
    if (!err_is(err))
        err = take_on(self, fd, look->dir_mode, look->dir_known, look->dir_uid, look->dir_gid);
    return err_is(err) ? err : sync_dir(fd);
}

static struct err link_swap(const struct exporting *self)
{
    char temp[LINK_BYTES], target[LINK_BYTES];
    snprintf(temp, sizeof temp, DATA_DIR "/%s/.link", self->name);
    snprintf(target, sizeof target, DATA_DIR "/%s/%s", self->name, self->generation);
    unlinkat(self->dir_fd, temp, 0);
    if (symlinkat(target, self->dir_fd, temp) != 0)
        return err_errno("make the link to exported files");
    if (renameat(self->dir_fd, temp, self->dir_fd, self->name) != 0)
        return err_errno("put the link to exported files in its place");
    return sync_dir(self->dir_fd);
}

static struct err put_generation(struct exporting *self, int data_fd)
{
    int fd = -1;
    struct err err = dir_make(data_fd, self->generation, 0700, &fd);
    if (!err_is(err))
        err = generation_fill(self, fd);
    if (fd >= 0)
        close(fd);
    if (!err_is(err))
        err = sync_dir(data_fd);
    if (!err_is(err))
        err = link_swap(self);
    if (err_is(err))
        generation_remove(data_fd, self->generation);
    else
        generations_prune(self, data_fd);
    return err;
}

/* Names are no secret here: who may see them is said by the mode of DIR. */
static struct err put_linked(struct exporting *self)
{
    int all_fd = -1, data_fd = -1;
    struct err err = dir_make(self->dir_fd, DATA_DIR, 0755, &all_fd);
    if (!err_is(err))
        err = dir_make(all_fd, self->name, 0755, &data_fd);
    if (!err_is(err))
        err = sync_dir(all_fd);
    if (!err_is(err))
        err = put_generation(self, data_fd);
    if (data_fd >= 0)
        close(data_fd);
    if (all_fd >= 0)
        close(all_fd);
    return err;
}

/* ---- one name ---- */

static struct err generation_name(char out[GENERATION_BYTES])
{
    uint64_t random;
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        return err_errno("ask for a random number");
    snprintf(out, GENERATION_BYTES, "%016llx", (unsigned long long)random);
    return ERR_OK;
}

static struct err put(struct exporting *self)
{
    now_find(self);
    look_read(self);
    self->changed = !is_there(self);
    if (!self->changed)
        return ERR_OK;
    struct err err = generation_name(self->generation);
    if (err_is(err))
        return err;
    if (!self->in_place)
        return put_linked(self);
    return self->now_fd >= 0 ? put_in_place(self) : err_make(ERR_SYSTEM, ENOTDIR, "open a directory of exported files");
}

struct err export_files_put(const char *dir, const char *name, struct slice chain, struct slice key,
                            struct export_done *out_done)
{
    struct exporting self = {.name = name, .texts = {chain, key}, .now_fd = -1};
    *out_done = (struct export_done){0};
    self.dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (self.dir_fd < 0)
        return err_errno("open PORTICO_EXPORT_DIR");
    struct err err = put(&self);
    *out_done = (struct export_done){.changed = self.changed && !err_is(err), .owner_lost = self.owner_lost};
    if (self.now_fd >= 0)
        close(self.now_fd);
    close(self.dir_fd);
    return err;
}
