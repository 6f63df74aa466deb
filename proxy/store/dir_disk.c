#include "store/dir_disk.h"

#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { OVERLAY_MAGIC = 0x794c7630, TMPFS_MAGIC_NUMBER = 0x01021994, AUFS_MAGIC = 0x61756673 };
static const unsigned ramfs_magic_number = 0x858458f6;

const char dir_disk_gone_text[] = "the directory has been removed";

enum { MARKER_MAX_BYTES = 4096 };

void dir_disk_init(struct dir_disk *disk, const char *path, struct dir_hook *hook)
{
    *disk = (struct dir_disk){.path = mem_strdup(path), .io = {.root_fd = -1, .hook = hook}, .lock_fd = -1};
    if (getrandom(&disk->temp_id, sizeof disk->temp_id, 0) < 0)
        disk->temp_id = (uint64_t)getpid();
}

void dir_disk_cleanup(struct dir_disk *disk)
{
    if (disk->lock_fd >= 0)
        close(disk->lock_fd);
    if (disk->io.root_fd >= 0)
        close(disk->io.root_fd);
    mem_free(disk->path);
}

/* --- Is it ours? --- */

static enum store_result marker_check(struct slice text, struct dir_trouble *trouble)
{
    uint64_t version = 0;
    struct slice line = slice_split(&text, '\n');
    struct slice word = slice_split(&line, ' ');
    if (!slice_eq(word, SLICE_LIT(STORE_DIR_MARKER)) || !slice_decimal(line, UINT32_MAX, &version) || version == 0)
        return dir_trouble_say(trouble, STORE_CORRUPT,
                               "the format marker is damaged; its first line should be `portico-store 1`",
                               STORE_DIR_MARKER);
    if (version > STORE_DIR_FORMAT)
        return dir_trouble_say(trouble, STORE_DENIED,
                               "the directory was written by a newer Portico, in a format that this one does not know",
                               STORE_DIR_MARKER);
    return STORE_OK;
}

static struct err foreign_entry(void *ctx, const struct dir_entry *entry)
{
    struct dir_trouble *trouble = ctx;
    if (entry->path[0] == '.' || strcmp(entry->path, "lost+found") == 0)
        return ERR_OK;
    (void)dir_trouble_say(
        trouble, STORE_DENIED,
        "the directory is not empty and holds no `portico-store` file, so it is not Portico's: give it an empty one",
        entry->path);
    return err_make(ERR_STATE, 0, "scan");
}

enum store_result dir_disk_identify(const struct dir_disk *disk, bool *out_marked, struct dir_trouble *trouble)
{
    struct buf text = {0};
    enum store_result result =
        dir_trouble_note(trouble, dir_io_read(&disk->io, STORE_DIR_MARKER, MARKER_MAX_BYTES, &text), STORE_DIR_MARKER);
    *out_marked = result == STORE_OK;
    if (result == STORE_OK)
        result = marker_check(buf_slice(&text), trouble);
    buf_cleanup(&text);
    if (result != STORE_NOT_FOUND)
        return result;
    struct err err = dir_io_scan(&disk->io, ".", foreign_entry, trouble);
    if (err.kind == ERR_STATE)
        return STORE_DENIED;
    return dir_trouble_note(trouble, err, "");
}

/* --- Opening --- */

struct err dir_disk_make_path(const char *path)
{
    struct err err = ERR_OK;
    char *copy = mem_strdup(path);
    for (char *slash = strchr(copy + 1, '/'); slash && !err_is(err); slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(copy, 0755) != 0 && errno != EEXIST)
            err = err_errno("mkdir");
        *slash = '/';
    }
    if (!err_is(err) && mkdir(copy, 0700) != 0 && errno != EEXIST)
        err = err_errno("mkdir");
    mem_free(copy);
    return err;
}

static struct err root_open(struct dir_disk *disk, int *out_fd)
{
    if (disk->io.hook) {
        int code = disk->io.hook->before(disk->io.hook, DIR_OP_OPEN, disk->path);
        if (code)
            return err_make(ERR_SYSTEM, code, "open");
    }
    int fd = open(disk->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        struct err err = dir_disk_make_path(disk->path);
        if (err_is(err))
            return err;
        fd = open(disk->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (fd < 0)
        return err_errno("open");
    *out_fd = fd;
    return ERR_OK;
}

enum store_dir_durability store_dir_durability_of(int fd)
{
    struct statfs fs;
    if (fstatfs(fd, &fs) != 0)
        return STORE_DIR_DURABLE;
    unsigned type = (unsigned)fs.f_type;
    if (type == TMPFS_MAGIC_NUMBER || type == ramfs_magic_number)
        return STORE_DIR_IN_MEMORY;
    if (type == OVERLAY_MAGIC || type == AUFS_MAGIC)
        return STORE_DIR_IN_CONTAINER;
    return STORE_DIR_DURABLE;
}

struct mode_check {
    struct dir_walk walk;
    struct dir_found *found;
    mode_t wide; /* bits that are too many */
};

static void mode_note(struct mode_check *check, const char *name, mode_t mode, mode_t wide)
{
    if (!(mode & wide))
        return;
    if (check->found->num_wide++ == 0)
        snprintf(check->found->wide, sizeof check->found->wide, "%s", name);
}

static struct err mode_on_file(struct dir_walk *walk, const char *key, const struct dir_entry *entry)
{
    (void)key;
    struct mode_check *check = container_of(walk, struct mode_check, walk);
    if (!S_ISLNK(entry->stat.st_mode)) /* a link's own mode says nothing */
        mode_note(check, entry->path, entry->stat.st_mode, check->wide);
    return ERR_OK;
}

static struct err mode_on_dir(struct dir_walk *walk, const struct dir_entry *entry)
{
    return mode_on_file(walk, "", entry);
}

/* The group's bits are the platform's way of giving a volume to a random user id where the directory is set-group-id
 * (fsGroup), and on the directory itself (an image's group 0); the world's are never right. */
static void modes_check(const struct dir_disk *disk, struct dir_found *found)
{
    struct stat root;
    if (fstat(disk->io.root_fd, &root) != 0)
        return;
    struct mode_check check = {
        .walk = {.on_file = mode_on_file, .on_dir = mode_on_dir, .io = &disk->io, .with_previous = true},
        .found = found,
        .wide = root.st_mode & S_ISGID ? 0007 : 0077,
    };
    mode_note(&check, ".", root.st_mode, 0007);
    /* A directory that cannot be read says so in the call that needs it. */
    struct err err = dir_walk_run(&check.walk);
    (void)err;
}

enum store_result dir_disk_open(struct dir_disk *disk, struct dir_found *out_found, struct dir_trouble *trouble)
{
    *out_found = (struct dir_found){0};
    if (disk->io.root_fd < 0) {
        bool marked;
        enum store_result result = dir_trouble_note(trouble, root_open(disk, &disk->io.root_fd), "");
        if (result == STORE_OK)
            result = dir_disk_identify(disk, &marked, trouble);
        if (result != STORE_OK) {
            if (disk->io.root_fd >= 0)
                close(disk->io.root_fd);
            disk->io.root_fd = -1;
            return result == STORE_NOT_FOUND ? STORE_UNAVAILABLE : result;
        }
    }
    out_found->durability = store_dir_durability_of(disk->io.root_fd);
    modes_check(disk, out_found);
    return STORE_OK;
}

/* --- Reading --- */

uint64_t dir_version_of(struct slice value)
{
    uint64_t hash = map_hash(value, 0); /* of content that is our own: the seed need not be secret */
    return hash ? hash : 1;
}

bool dir_disk_is_gone(const struct dir_disk *disk)
{
    struct stat stat;
    return fstat(disk->io.root_fd, &stat) != 0 || stat.st_nlink == 0;
}

enum store_result dir_disk_get(const struct dir_disk *disk, const char *path, struct dir_record *out_record,
                               struct dir_trouble *trouble)
{
    struct buf value = {0};
    enum store_result result =
        dir_trouble_note(trouble, dir_io_read(&disk->io, path, LIMIT_STORE_VALUE_BYTES, &value), path);
    if (result == STORE_OK && value.len == 0)
        result = dir_trouble_say(trouble, STORE_CORRUPT, "the record is empty", path);
    else if (result == STORE_OK && memchr(value.ptr, 0, value.len))
        result =
            dir_trouble_say(trouble, STORE_CORRUPT, "the record holds NUL bytes, as after a crash of the disk", path);
    else if (result == STORE_NOT_FOUND && dir_disk_is_gone(disk))
        result = dir_trouble_say(trouble, STORE_UNAVAILABLE, dir_disk_gone_text, "");
    if (result != STORE_OK) {
        buf_cleanup_secret(&value);
        return result;
    }
    *out_record = (struct dir_record){.value = value, .version = dir_version_of(buf_slice(&value))};
    (void)store_key_of_path(path, out_record->key);
    return STORE_OK;
}

void dir_record_cleanup(struct dir_record *record)
{
    buf_cleanup_secret(&record->value);
}
