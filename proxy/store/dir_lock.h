/* dir_lock: the right to write, a lock of the kernel on the file `.lock` (flock): it cannot be left behind by a process that
 * died, and it holds between containers that share the directory. Under Linux it also holds over NFS. Blocks, but never
 * waits for the lock. */
#ifndef STORE_DIR_LOCK_H
#define STORE_DIR_LOCK_H

#include "store/dir_disk.h"

/* OK: we hold it, now or still. Whoever gets it finishes the commit that a dead process left, sweeps up temporary files,
 * and writes the format marker into an empty directory. FENCED: another process holds it, or ours is worth nothing any
 * more because somebody replaced the lock's file. Anything else: it cannot be had, and why. */
enum store_result dir_lock_take(struct dir_disk *disk, struct dir_trouble *trouble);

/* OK: we still hold it. FENCED otherwise. Never takes it. */
enum store_result dir_lock_check(struct dir_disk *disk, struct dir_trouble *trouble);

void dir_lock_release(struct dir_disk *disk);

#endif
