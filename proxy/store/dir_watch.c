#include "store/dir_watch.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>

static const int64_t second_ns = 1000000000;

/* A directory changed this short a while before a scan may have changed again within the same tick of its clock. */
static const int64_t settle_ns = 2 * 1000000000LL;

/* What tells one state of a file or directory from another. */
struct seen {
    uint64_t round;
    ino_t inode;
    off_t size;
    int64_t modified_ns, changed_ns;
};

struct scan {
    struct dir_walk walk;
    struct dir_watch *watch;
};

static int64_t stamp_ns(struct timespec time)
{
    return (int64_t)time.tv_sec * second_ns + time.tv_nsec;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now); /* file times are the kernel's, not a clock that a test hands in */
    return stamp_ns(now);
}

static struct seen seen_of(const struct stat *stat, uint64_t round)
{
    return (struct seen){.round = round,
                         .inode = stat->st_ino,
                         .size = stat->st_size,
                         .modified_ns = stamp_ns(stat->st_mtim),
                         .changed_ns = stamp_ns(stat->st_ctim)};
}

static bool seen_same(const struct seen *a, const struct seen *b)
{
    return a->inode == b->inode && a->size == b->size && a->modified_ns == b->modified_ns &&
           a->changed_ns == b->changed_ns;
}

static void changed_add(struct dir_watch *watch, struct slice key)
{
    buf_append_slice(&watch->changed, key);
    buf_append_char(&watch->changed, '\0');
}

/* Notes what is seen now; true where it differs from before. */
static bool seen_update(struct map *map, struct slice name, struct seen now)
{
    struct seen *before = map_get(map, name);
    bool differs = !before || !seen_same(before, &now);
    if (!before) {
        before = MEM_NEW(struct seen);
        (void)map_put(map, name, before);
    }
    *before = now;
    return differs;
}

static struct err scan_on_file(struct dir_walk *walk, const char *key, const struct dir_entry *entry)
{
    struct dir_watch *watch = container_of(walk, struct scan, walk)->watch;
    if (seen_update(&watch->files, slice_str(key), seen_of(&entry->stat, watch->round)) && watch->scanned_ns)
        changed_add(watch, slice_str(key));
    return ERR_OK;
}

static struct err scan_on_dir(struct dir_walk *walk, const struct dir_entry *entry)
{
    struct dir_watch *watch = container_of(walk, struct scan, walk)->watch;
    (void)seen_update(&watch->dirs, slice_str(entry->path), seen_of(&entry->stat, watch->round));
    return ERR_OK;
}

/* Forgets what was not seen in this round; the keys of files are told as changed. */
static void seen_sweep(struct dir_watch *watch, struct map *map, bool tell)
{
    struct buf gone = {0};
    struct map_entry *entry;
    for (size_t at = 0; (entry = map_next(map, &at));)
        if (((struct seen *)entry->value)->round != watch->round)
            buf_append(&gone, entry->key.ptr, entry->key.len + 1); /* with its NUL */
    for (struct slice rest = buf_slice(&gone); rest.len;) {
        struct slice key = slice_split(&rest, '\0');
        mem_free(map_remove(map, key));
        if (tell)
            changed_add(watch, key);
    }
    buf_cleanup(&gone);
}

static bool dir_quiet(const struct dir_disk *disk, const struct dir_watch *watch, const char *path,
                      const struct seen *before)
{
    struct stat stat;
    if (fstatat(disk->io.root_fd, path, &stat, AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    struct seen now = seen_of(&stat, 0);
    return seen_same(before, &now) && now.modified_ns < watch->scanned_ns - settle_ns;
}

static bool all_quiet(const struct dir_disk *disk, const struct dir_watch *watch)
{
    const struct map_entry *entry;
    if (!watch->scanned_ns)
        return false;
    for (size_t at = 0; (entry = map_next(&watch->dirs, &at));)
        if (!dir_quiet(disk, watch, entry->key.ptr, entry->value))
            return false;
    return true;
}

static struct err root_note(const struct dir_disk *disk, struct dir_watch *watch)
{
    struct stat stat;
    if (fstat(disk->io.root_fd, &stat) != 0)
        return err_errno("stat");
    if (stat.st_nlink == 0) /* removed below us: that its records are gone is not known */
        return err_make(ERR_SYSTEM, ESTALE, "stat");
    (void)seen_update(&watch->dirs, SLICE_LIT("."), seen_of(&stat, watch->round));
    return ERR_OK;
}

enum store_result dir_watch_scan(const struct dir_disk *disk, struct dir_watch *watch, struct dir_trouble *trouble)
{
    watch->changed.len = 0;
    *trouble = (struct dir_trouble){0};
    if (all_quiet(disk, watch))
        return STORE_OK;
    int64_t started_ns = now_ns();
    watch->round++;
    struct scan scan = {.walk = {.on_file = scan_on_file, .on_dir = scan_on_dir, .io = &disk->io}, .watch = watch};
    struct err err = root_note(disk, watch);
    if (!err_is(err))
        err = dir_walk_run(&scan.walk);
    if (!err_is(err)) {
        seen_sweep(watch, &watch->files, true);
        seen_sweep(watch, &watch->dirs, false);
        watch->scanned_ns = started_ns;
    }
    return dir_trouble_note(trouble, err, "");
}

static void seen_free(struct map *map)
{
    struct map_entry *entry;
    for (size_t at = 0; (entry = map_next(map, &at));)
        mem_free(entry->value);
    map_cleanup(map);
}

void dir_watch_cleanup(struct dir_watch *watch)
{
    seen_free(&watch->files);
    seen_free(&watch->dirs);
    buf_cleanup(&watch->changed);
}
