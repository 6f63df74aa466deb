#include "store/dir_task.h"

#include "base/limits.h"
#include "base/mem.h"
#include "store/dir_journal.h"
#include "store/dir_lock.h"

struct dir_task *dir_task_new(void (*work)(struct offload_job *job), void (*home)(struct dir_task *task))
{
    struct dir_task *task = MEM_NEW(struct dir_task);
    task->job.work = work;
    task->home = home;
    list_init(&task->node);
    return task;
}

void dir_task_free(struct dir_task *task)
{
    if (!task)
        return;
    for (size_t i = 0; i < task->num_writes; i++)
        dir_write_cleanup(&task->writes[i]);
    mem_free(task->writes);
    dir_list_cleanup(&task->list);
    mem_free(task);
}

static bool write_copy(struct dir_write *copy, const struct store_write *write)
{
    *copy = (struct dir_write){.remove = !write->value.ptr, .condition = write->condition, .version = write->version};
    if (!store_key_valid(write->key))
        return false;
    memcpy(copy->key, write->key.ptr, write->key.len);
    /* One byte more than fits is too big as well, and no more is copied. */
    buf_append_slice(&copy->value, slice_first(write->value, LIMIT_STORE_VALUE_BYTES + 1));
    return true;
}

bool dir_task_copy_writes(struct dir_task *task, const struct store_write *writes, size_t num_writes)
{
    if (num_writes > LIMIT_STORE_WRITES) {
        task->result = dir_trouble_say(&task->trouble, STORE_TOO_BIG, "too many writes in one commit", "");
        return false;
    }
    task->writes = mem_calloc(num_writes, sizeof *task->writes);
    for (; task->num_writes < num_writes; task->num_writes++)
        if (!write_copy(&task->writes[task->num_writes], &writes[task->num_writes])) {
            task->result = dir_trouble_say(&task->trouble, STORE_DENIED, "no record may have this key", "");
            return false;
        }
    return true;
}

void dir_task_do_open(struct offload_job *job)
{
    struct dir_task *task = container_of(job, struct dir_task, job);
    task->result = dir_disk_open(task->disk, &task->found, &task->trouble);
}

/* Work on the lane of writes tells whether a half-applied commit lies there. */
static void task_note_recovery(struct dir_task *task)
{
    task->recovery_due = task->disk->recovery_due;
}

/* Reading while a commit is half applied would show a mixture: such reads come on the lane of writes, and finish it. */
static bool task_recovered(struct dir_task *task)
{
    if (!task->ordered || !task->disk->recovery_due)
        return true;
    if (dir_lock_check(task->disk, &task->trouble) != STORE_OK) /* then it is the next holder's */
        return true;
    task->result = dir_journal_recover(task->disk, &task->trouble);
    return task->result == STORE_OK;
}

void dir_task_do_get(struct offload_job *job)
{
    struct dir_task *task = container_of(job, struct dir_task, job);
    if (task_recovered(task)) {
        task->list = (struct dir_list){.records = MEM_NEW(struct dir_record), .cap = 1};
        task->result =
            dir_disk_get(task->disk, store_key_path(slice_str(task->key)).text, task->list.records, &task->trouble);
        task->list.num = task->result == STORE_OK;
    }
    if (task->ordered)
        task_note_recovery(task);
}

void dir_task_do_list(struct offload_job *job)
{
    struct dir_task *task = container_of(job, struct dir_task, job);
    if (task_recovered(task))
        task->result = dir_disk_list(task->disk, slice_str(task->key), &task->list, &task->trouble);
    if (task->ordered)
        task_note_recovery(task);
}

void dir_task_do_commit(struct offload_job *job)
{
    struct dir_task *task = container_of(job, struct dir_task, job);
    task->result = dir_commit(task->disk, task->writes, task->num_writes, &task->trouble);
    task_note_recovery(task);
}

void dir_task_do_lock(struct offload_job *job)
{
    struct dir_task *task = container_of(job, struct dir_task, job);
    task->result = dir_lock_take(task->disk, &task->trouble);
    task_note_recovery(task);
}

void dir_task_do_unlock(struct offload_job *job)
{
    struct dir_task *task = container_of(job, struct dir_task, job);
    dir_lock_release(task->disk);
    task->result = STORE_OK;
}

void dir_task_do_watch(struct offload_job *job)
{
    struct dir_task *task = container_of(job, struct dir_task, job);
    task->result = dir_watch_scan(task->disk, task->watch, &task->trouble);
}

void dir_task_do_nothing(struct offload_job *job)
{
    (void)job;
}
