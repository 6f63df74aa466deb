/* dir_watch: what has changed in the directory since the last look, by polling: unlike inotify it also sees what another
 * machine wrote over NFS, and it needs no descriptor per directory. Every write is a rename, which gives the file another
 * inode and its directory another time, so that a look at a quiet store costs one stat per directory. Blocks; one scan at
 * a time. */
#ifndef STORE_DIR_WATCH_H
#define STORE_DIR_WATCH_H

#include "base/map.h"
#include "store/dir_disk.h"

struct dir_watch {
    struct map files; /* key to what was seen of its file */
    struct map dirs;  /* path to the same */
    uint64_t round;
    int64_t scanned_ns; /* wall clock of the last full look; 0: none yet */
    struct buf changed; /* out: keys written, removed or new since the last scan, each with a NUL behind it */
};

/* The first scan that succeeds only takes stock. After a failure `changed` holds what was found until then; the next
 * scan finds the rest. */
enum store_result dir_watch_scan(const struct dir_disk *disk, struct dir_watch *watch, struct dir_trouble *trouble);
void dir_watch_cleanup(struct dir_watch *watch);

#endif
