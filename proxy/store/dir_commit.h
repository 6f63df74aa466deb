/* dir_commit: writes of one or several records, all or none, under the lock. Blocks. */
#ifndef STORE_DIR_COMMIT_H
#define STORE_DIR_COMMIT_H

#include "store/dir_disk.h"

/* A struct store_write with bytes of its own. */
struct dir_write {
    char key[STORE_PATH_BYTES];
    struct buf value; /* empty where `remove` */
    bool remove;
    enum store_condition condition;
    uint64_t version;
};

/* OK: durable. UNKNOWN: the disk failed behind the point of no return; disk->recovery_due says that reading has to wait
 * for dir_journal_recover. Any other result: nothing has changed. STORE_ANY also replaces a damaged record, but not one
 * that cannot be read for now. A value that is there already is not written again.
 * What a certificate/ record held before is kept below previous/, unless one of the writes is for that key. */
enum store_result dir_commit(struct dir_disk *disk, const struct dir_write *writes, size_t num_writes,
                             struct dir_trouble *trouble);

/* Overwrites: the value may have been a key. */
void dir_write_cleanup(struct dir_write *write);

#endif
