/* dir_disk: the directory of the store as its threads see it: what makes it ours, reading records, the lock.
 * Blocks; runs on the pool `disk`. It calls nobody back and logs nothing: what went wrong is told in a dir_trouble.
 *
 *   portico-store          the format marker: first line `portico-store VERSION`
 *   account/HASH           records, a file each: the value's bytes as they are (store_key.h on names)
 *   certificate/NAME
 *   previous/certificate/NAME  what the last commit replaced or removed; read by that key
 *   .lock                  the kernel's lock on this file is the right to write
 *   .journal               a commit of several files that is being applied (dir_commit.h)
 *   .new-ID-N              files that are not renamed yet; remains are removed by whoever gets the lock
 *
 * Threads: dir_disk_open before all else; dir_disk_get, _list may run at once on several threads; whatever touches the
 * lock (dir_lock_*, dir_commit) on one at a time, in order. */
#ifndef STORE_DIR_DISK_H
#define STORE_DIR_DISK_H

#include "store/dir_io.h"
#include "store/dir_trouble.h"

enum { STORE_DIR_FORMAT = 1 };

#define STORE_DIR_MARKER "portico-store"
#define STORE_DIR_LOCK ".lock"

enum store_dir_durability {
    STORE_DIR_DURABLE,
    STORE_DIR_IN_MEMORY,   /* tmpfs, ramfs: gone with the mount or the machine */
    STORE_DIR_IN_CONTAINER /* overlay: gone with the container */
};

/* What opening found. */
struct dir_found {
    enum store_dir_durability durability;
    size_t num_wide;                 /* files and directories with wider modes than they should have */
    char wide[STORE_PATH_BYTES + 1]; /* one of them */
};

struct dir_disk {
    char *path;
    struct dir_io io;
    int lock_fd;       /* -1 without the lock */
    bool recovery_due; /* a journal lies there that has to be applied before anything else */
    uint64_t temp_id;  /* random, so that no two processes choose the same names */
    uint64_t num_temps;
};

/* One record with bytes of its own. */
struct dir_record {
    char key[STORE_PATH_BYTES];
    struct buf value;
    uint64_t version;
};

void dir_disk_init(struct dir_disk *disk, const char *path, struct dir_hook *hook);
/* Closes all, gives the lock back. */
void dir_disk_cleanup(struct dir_disk *disk);

/* Makes the directory where there is none and finds out whether it is ours: it is if it holds the marker with a version
 * that we know, or nothing (lost+found and names with a dot in front aside). Owner and mode do not count. DENIED
 * otherwise. Once it has succeeded it does nothing but look for wide modes again. */
enum store_result dir_disk_open(struct dir_disk *disk, struct dir_found *out_found, struct dir_trouble *trouble);

/* Of the file system of an open directory. */
enum store_dir_durability store_dir_durability_of(int fd);
/* The directory and those above it, as far as they are not there yet: 0700, the others 0755. */
MUST_CHECK struct err dir_disk_make_path(const char *path);

/* The second half of the above: also asked again when the lock comes, since meanwhile somebody may have moved in.
 * out_marked: it holds the marker. */
enum store_result dir_disk_identify(const struct dir_disk *disk, bool *out_marked, struct dir_trouble *trouble);

/* out_record is written on STORE_OK alone and is then freed by dir_record_cleanup. CORRUPT: empty, with NUL bytes (blocks
 * that a crash left unwritten), or no regular file. */
enum store_result dir_disk_get(const struct dir_disk *disk, const char *path, struct dir_record *out_record,
                               struct dir_trouble *trouble);
/* Overwrites: it may have been a key. */
void dir_record_cleanup(struct dir_record *record);

/* It was removed below us: it answers ENOENT to everything, and then nothing is known to be absent. */
bool dir_disk_is_gone(const struct dir_disk *disk);
extern const char dir_disk_gone_text[];

struct dir_list {
    struct dir_record *records; /* sorted by key */
    size_t num, cap;
};

/* Records whose key begins with prefix, those below previous/ only where the prefix says so. Not a snapshot: each record
 * is whole, but a commit meanwhile may show in one and not yet in another. On failure the list holds what could be read;
 * the result is that of the first record that could not. */
enum store_result dir_disk_list(const struct dir_disk *disk, struct slice prefix, struct dir_list *out_list,
                                struct dir_trouble *trouble);
void dir_list_cleanup(struct dir_list *list);

/* All files that a key names, in no order; directories that hold them through on_dir (may be NULL). */
struct dir_walk {
    struct err (*on_file)(struct dir_walk *walk, const char *key, const struct dir_entry *entry);
    struct err (*on_dir)(struct dir_walk *walk, const struct dir_entry *entry);
    const struct dir_io *io;
    struct slice prefix;
    bool with_previous; /* with an empty prefix: also what lies below previous/ */
    unsigned depth;     /* walk's own */
};

MUST_CHECK struct err dir_walk_run(struct dir_walk *walk);

/* Of a value; never 0. */
uint64_t dir_version_of(struct slice value);

#endif
