/* storage_check: whether a directory can serve as STORAGE, for a person: by a look and by a file that is made and removed.
 * Blocks; any thread. It takes no lock, makes no directory, and leaves nothing behind. */
#ifndef STORE_STORAGE_CHECK_H
#define STORE_STORAGE_CHECK_H

#include "store/dir_disk.h"

enum storage_verdict {
    STORAGE_FINE,
    STORAGE_ABSENT, /* not there; it can be made */
    STORAGE_CANNOT_BE_MADE,
    STORAGE_NO_DIRECTORY,
    STORAGE_UNREADABLE,
    STORAGE_READ_ONLY, /* the file system is mounted so */
    STORAGE_NOT_WRITABLE
};

struct storage_check {
    enum storage_verdict verdict;
    int error; /* errno of it; 0 where there is none */
    enum store_dir_durability durability;
};

struct storage_check storage_check(const char *path);

#endif
