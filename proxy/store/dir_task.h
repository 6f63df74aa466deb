/* dir_task: one piece of work of the directory store: what goes to a thread of the pool `disk` and comes home with it.
 * Belongs to store_dir alone. The functions dir_task_do_* run on the pool's threads and touch the task and the dir_disk,
 * nothing else. */
#ifndef STORE_DIR_TASK_H
#define STORE_DIR_TASK_H

#include "base/list.h"
#include "net/offload.h"
#include "store/dir_commit.h"
#include "store/dir_watch.h"

struct store_dir;

struct dir_task {
    struct offload_job job;
    struct list node; /* in a lane while it waits */
    struct store_dir *dir;
    struct dir_disk *disk;
    struct store_call *call; /* NULL: nobody waits for it (any more) */
    void (*home)(struct dir_task *task);
    bool opens;          /* may go while the directory is not open */
    bool ordered;        /* of the lane of writes */
    uint64_t lock_epoch; /* of a lock task: whose request it serves */

    /* In. */
    char key[STORE_PATH_BYTES]; /* or prefix */
    struct dir_write *writes;   /* owned */
    size_t num_writes;
    struct dir_watch *watch; /* lent by the store */

    /* Out. */
    enum store_result result;
    struct dir_list list; /* of a get: one record or none */
    struct dir_found found;
    bool recovery_due;
    struct dir_trouble trouble;
};

struct dir_task *dir_task_new(void (*work)(struct offload_job *job), void (*home)(struct dir_task *task));
void dir_task_free(struct dir_task *task);

/* false: too many writes, or a key that is too long; result and trouble say so. */
bool dir_task_copy_writes(struct dir_task *task, const struct store_write *writes, size_t num_writes);

void dir_task_do_open(struct offload_job *job);
void dir_task_do_get(struct offload_job *job);
void dir_task_do_list(struct offload_job *job);
void dir_task_do_commit(struct offload_job *job);
void dir_task_do_lock(struct offload_job *job);
void dir_task_do_unlock(struct offload_job *job);
void dir_task_do_watch(struct offload_job *job);
/* The result is there already; it only has to come home outside of the call. */
void dir_task_do_nothing(struct offload_job *job);

#endif
