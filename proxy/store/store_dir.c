#include "store/store_dir.h"

#include "base/log.h"
#include "base/mem.h"
#include "store/dir_lanes.h"

struct store_dir {
    struct store store;
    struct store_dir_config config;
    struct dir_disk disk;
    struct dir_lanes lanes;
    uv_timer_t poll;
    unsigned num_handles;
    bool freed;

    bool opened, opening;
    bool recovery_due; /* the last commit broke off half-way: reads queue up behind its recovery */

    struct store_lock *lock; /* borrowed; NULL: nobody wants it */
    uint64_t lock_epoch;     /* counts lock and unlock: a task of an earlier one means nothing */
    bool lock_held, lock_out;

    struct store_watch *watch; /* borrowed */
    struct dir_watch watched;
    bool watch_out;

    struct store_dir_report report;
    struct buf sentence;
};

static void dir_follow_up(struct store_dir *dir);

static struct store_dir *dir_of(const struct store *store)
{
    return container_of(store, struct store_dir, store);
}

/* --- The report --- */

const char *store_dir_durability_text(enum store_dir_durability durability)
{
    switch (durability) {
    case STORE_DIR_DURABLE: return "durable";
    case STORE_DIR_IN_MEMORY: return "kept in memory";
    case STORE_DIR_IN_CONTAINER: return "kept in the container";
    }
    return "unknown";
}

struct store_dir_report store_dir_report(const struct store *store)
{
    return dir_of(store)->report;
}

enum store_dir_durability store_dir_durability(const struct store *store)
{
    return dir_of(store)->report.durability;
}

/* Tells only what has changed: polls repeat themselves. */
static void dir_report(struct store_dir *dir, struct store_dir_report now, const struct dir_trouble *trouble)
{
    struct buf sentence = {0};
    dir_trouble_write(&sentence, trouble, dir->disk.path);
    now.sentence = buf_cstr(&sentence);
    bool same = dir->report.sentence && now.reading == dir->report.reading && now.writing == dir->report.writing &&
                now.durability == dir->report.durability && strcmp(now.sentence, dir->report.sentence) == 0;
    if (same) {
        buf_cleanup(&sentence);
        return;
    }
    buf_cleanup(&dir->sentence);
    dir->sentence = sentence;
    dir->report = now;
    if (now.sentence[0])
        LOG_ERROR_EVENT(dir->config.log, "storage_unusable", LOG_STR("msg", now.sentence),
                        LOG_STR("reading", store_result_text(now.reading)),
                        LOG_STR("writing", store_result_text(now.writing)));
    if (dir->config.reported)
        dir->config.reported(dir->config.ctx, &dir->report);
}

/* --- Tasks: out to the pool and home --- */

static void timer_closed(uv_handle_t *handle)
{
    struct store_dir *dir = handle->data;
    if (--dir->num_handles)
        return;
    dir_watch_cleanup(&dir->watched);
    dir_disk_cleanup(&dir->disk);
    buf_cleanup(&dir->sentence);
    mem_free(dir);
}

static void dir_end_when_idle(struct store_dir *dir)
{
    if (!dir->freed || !dir_lanes_idle(&dir->lanes) || uv_is_closing((uv_handle_t *)&dir->poll))
        return;
    uv_close((uv_handle_t *)&dir->poll, timer_closed);
    uv_close((uv_handle_t *)&dir->lanes.retry, timer_closed);
}

static void task_came_home(struct offload_job *job)
{
    struct dir_task *task = container_of(job, struct dir_task, job);
    struct store_dir *dir = task->dir;
    dir_lanes_came_home(&dir->lanes, task);
    if (task->ordered)
        dir->recovery_due = task->recovery_due;
    if (!dir->freed)
        task->home(task);
    dir_task_free(task);
    if (!dir->freed)
        dir_lanes_pump(&dir->lanes);
    dir_end_when_idle(dir);
}

static struct dir_task *task_make(struct store_dir *dir, void (*work)(struct offload_job *),
                                  void (*home)(struct dir_task *))
{
    struct dir_task *task = dir_task_new(work, home);
    task->dir = dir;
    task->disk = &dir->disk;
    task->job.done = task_came_home;
    return task;
}

/* Ends the call of a task that is home or never went out. The asker may free itself, and the store, in `done`. */
static void task_end_call(struct dir_task *task)
{
    struct store_call *call = task->call;
    if (!call)
        return;
    task->call = NULL;
    call->pending = NULL;
    struct store_record *records = mem_calloc(task->list.num, sizeof *records);
    for (size_t i = 0; i < task->list.num; i++) {
        const struct dir_record *from = &task->list.records[i];
        records[i] = (struct store_record){slice_str(from->key), buf_slice(&from->value), from->version};
    }
    call->done(call, task->result, task->list.num ? records : NULL, task->list.num);
    mem_free(records);
}

/* --- Opening --- */

/* Calls end with the result of an opening that failed. */
static void dir_fail_waiting(struct store_dir *dir, enum store_result result)
{
    for (struct dir_task *task; (task = dir_lanes_take_any(&dir->lanes));) {
        task->result = result;
        task_end_call(task);
        dir_task_free(task);
    }
}

static void home_open(struct dir_task *task)
{
    struct store_dir *dir = task->dir;
    struct store_dir_report report = {.reading = task->result,
                                      .writing = task->result == STORE_OK ? STORE_FENCED : task->result,
                                      .durability = task->found.durability};
    dir->opening = false;
    dir->opened = dir->lanes.open = task->result == STORE_OK;
    if (dir->opened)
        LOG_INFO_EVENT(dir->config.log, "storage_opened", LOG_STR("path", dir->disk.path),
                       LOG_STR("durability", store_dir_durability_text(task->found.durability)));
    if (dir->opened && task->found.num_wide)
        LOG_WARN_EVENT(dir->config.log, "storage_modes_wide",
                       LOG_STR("msg", "others may read keys: files should have mode 0600, directories 0700"),
                       LOG_STR("path", dir->disk.path), LOG_STR("file", task->found.wide),
                       LOG_INT("files", task->found.num_wide));
    dir_report(dir, report, &task->trouble);
    if (dir->freed)
        return;
    if (dir->opened) {
        dir_follow_up(dir);
        return;
    }
    dir_fail_waiting(dir, task->result);
}

static void dir_open(struct store_dir *dir)
{
    struct dir_task *task = task_make(dir, dir_task_do_open, home_open);
    task->opens = task->ordered = true;
    dir->opening = true;
    dir_lanes_put(&dir->lanes, task);
}

/* --- get, list, commit, cancel --- */

static void log_failure(struct store_dir *dir, const char *event, const struct dir_task *task)
{
    struct buf text = {0};
    if (task->result == STORE_OK || task->result == STORE_NOT_FOUND || task->result == STORE_CONFLICT ||
        task->result == STORE_FENCED)
        return; /* nothing failed: these are answers */
    dir_trouble_write(&text, &task->trouble, dir->disk.path);
    LOG_ERROR_EVENT(dir->config.log, event, LOG_SLICE("msg", buf_slice(&text)),
                    LOG_STR("result", store_result_text(task->result)));
    buf_cleanup(&text);
}

static void home_read(struct dir_task *task)
{
    log_failure(task->dir, "storage_read_failed", task);
    task_end_call(task);
}

static void call_enqueue(struct store_dir *dir, struct dir_task *task, struct store_call *call)
{
    task->call = call;
    call->pending = task;
    dir_lanes_put(&dir->lanes, task);
}

static void dir_get(struct store *store, struct slice key, struct store_call *call)
{
    struct store_dir *dir = dir_of(store);
    bool valid = store_key_valid(key);
    struct dir_task *task = task_make(dir, valid ? dir_task_do_get : dir_task_do_nothing, home_read);
    if (valid)
        memcpy(task->key, key.ptr, key.len);
    else
        task->result = dir_trouble_say(&task->trouble, STORE_DENIED, "no record may have this key", "");
    task->ordered = valid && dir->recovery_due;
    call_enqueue(dir, task, call);
}

static void dir_list(struct store *store, struct slice prefix, struct store_call *call)
{
    struct store_dir *dir = dir_of(store);
    bool possible = prefix.len < STORE_PATH_BYTES && !(prefix.len && memchr(prefix.ptr, 0, prefix.len));
    struct dir_task *task = task_make(dir, possible ? dir_task_do_list : dir_task_do_nothing, home_read);
    if (possible && prefix.len)
        memcpy(task->key, prefix.ptr, prefix.len);
    task->ordered = possible && dir->recovery_due;
    call_enqueue(dir, task, call);
}

static void dir_lose_lock(struct store_dir *dir, const struct dir_trouble *trouble)
{
    struct store_lock *lock = dir->lock;
    struct store_dir_report report = dir->report;
    dir->lock_held = false;
    dir->lock = NULL;
    dir->lock_epoch++;
    report.writing = STORE_FENCED;
    LOG_ERROR_EVENT(dir->config.log, "storage_lock_lost", LOG_STR("path", dir->disk.path),
                    LOG_STR("msg",
                            "the directory was replaced or cannot be reached: nothing is written or ordered until "
                            "it is locked again"));
    dir_report(dir, report, trouble);
    if (lock && !dir->freed)
        lock->lost(lock);
}

/* A disk that refuses to be written, such as a full one, and that it does so no more: only a write shows either. */
static void dir_report_commit(struct store_dir *dir, const struct dir_task *task)
{
    struct store_dir_report report = dir->report;
    enum store_result result = task->result;
    bool tells = result == STORE_OK || result == STORE_FULL || result == STORE_DENIED || result == STORE_UNAVAILABLE;
    if (!tells || result == report.writing || !dir->lock_held || task->lock_epoch != dir->lock_epoch)
        return;
    report.writing = result;
    dir_report(dir, report, &task->trouble);
}

static void home_commit(struct dir_task *task)
{
    struct store_dir *dir = task->dir;
    log_failure(dir, "storage_write_failed", task);
    dir_report_commit(dir, task);
    if (task->result == STORE_FENCED && dir->lock_held && task->lock_epoch == dir->lock_epoch)
        dir_lose_lock(dir, &task->trouble);
    task_end_call(task);
}

static void dir_commit_later(struct store *store, const struct store_write *writes, size_t num_writes,
                             struct store_call *call)
{
    struct store_dir *dir = dir_of(store);
    struct dir_task *task = task_make(dir, dir_task_do_commit, home_commit);
    task->ordered = true;
    task->lock_epoch = dir->lock_epoch;
    if (!dir_task_copy_writes(task, writes, num_writes)) {
        task->job.work = dir_task_do_nothing;
        task->ordered = false;
    }
    call_enqueue(dir, task, call);
}

static void dir_cancel(struct store *store, struct store_call *call)
{
    struct dir_task *task = call->pending;
    (void)store;
    if (!task)
        return;
    call->pending = NULL;
    task->call = NULL;
    if (dir_lanes_take_back(task)) /* else it is out, and will end without a listener */
        dir_task_free(task);
}

/* --- The lock --- */

static void home_lock(struct dir_task *task)
{
    struct store_dir *dir = task->dir;
    if (task->lock_epoch != dir->lock_epoch)
        return;
    dir->lock_out = false;
    if (dir->lock_held) {
        if (task->result == STORE_FENCED)
            dir_lose_lock(dir, &task->trouble);
        return; /* what could not be looked at is found out by the next commit */
    }
    struct store_dir_report report = dir->report;
    report.writing = task->result;
    dir->lock_held = task->result == STORE_OK;
    if (dir->lock_held)
        LOG_INFO_EVENT(dir->config.log, "storage_lock_granted", LOG_STR("path", dir->disk.path));
    else if (task->result == STORE_FENCED && dir->report.writing != STORE_FENCED)
        LOG_INFO_EVENT(dir->config.log, "storage_standby", LOG_STR("path", dir->disk.path));
    dir_report(dir, report, &task->trouble);
    if (dir->lock_held && dir->lock)
        dir->lock->granted(dir->lock);
}

static void dir_ask_lock(struct store_dir *dir)
{
    struct dir_task *task = task_make(dir, dir_task_do_lock, home_lock);
    task->ordered = true;
    task->lock_epoch = dir->lock_epoch;
    dir->lock_out = true;
    dir_lanes_put(&dir->lanes, task);
}

static void dir_lock(struct store *store, struct store_lock *lock)
{
    struct store_dir *dir = dir_of(store);
    dir->lock = lock;
    dir->lock_epoch++;
    if (dir->opened)
        dir_ask_lock(dir);
}

static void home_unlock(struct dir_task *task)
{
    (void)task;
}

static void dir_unlock(struct store *store)
{
    struct store_dir *dir = dir_of(store);
    dir->lock = NULL;
    dir->lock_held = dir->lock_out = false;
    dir->lock_epoch++;
    if (!dir->opened)
        return;
    struct store_dir_report report = dir->report;
    report.writing = STORE_FENCED;
    dir_report(dir, report, &(struct dir_trouble){0});
    struct dir_task *task = task_make(dir, dir_task_do_unlock, home_unlock);
    task->ordered = true;
    dir_lanes_put(&dir->lanes, task);
}

/* --- Watching --- */

static void home_watch(struct dir_task *task)
{
    struct store_dir *dir = task->dir;
    dir->watch_out = false;
    log_failure(dir, "storage_watch_failed", task);
    struct buf changed = dir->watched.changed; /* the next look must not write below the listener */
    dir->watched.changed = (struct buf){0};
    for (struct slice rest = buf_slice(&changed); rest.len && dir->watch && !dir->freed;) {
        struct slice key = slice_split(&rest, '\0');
        dir->watch->changed(dir->watch, key);
    }
    buf_cleanup(&changed);
}

static void dir_look(struct store_dir *dir)
{
    struct dir_task *task = task_make(dir, dir_task_do_watch, home_watch);
    task->watch = &dir->watched;
    dir->watch_out = true;
    dir_lanes_put(&dir->lanes, task);
}

static void dir_watch(struct store *store, struct store_watch *watch)
{
    struct store_dir *dir = dir_of(store);
    dir->watch = watch;
    if (watch && dir->opened && !dir->watch_out)
        dir_look(dir);
}

/* --- Life --- */

/* What is to be done at once and then again and again. */
static void dir_follow_up(struct store_dir *dir)
{
    if (dir->lock && !dir->lock_out)
        dir_ask_lock(dir);
    if (dir->watch && !dir->lock_held && !dir->watch_out)
        dir_look(dir);
}

static void poll_on_time(uv_timer_t *timer)
{
    struct store_dir *dir = timer->data;
    if (dir->opened)
        dir_follow_up(dir);
    else if (!dir->opening)
        dir_open(dir);
}

static void dir_free(struct store *store)
{
    if (!store)
        return;
    struct store_dir *dir = dir_of(store);
    dir->freed = true;
    dir->lock = NULL;
    dir->watch = NULL;
    for (struct dir_task *task; (task = dir_lanes_take_any(&dir->lanes));) {
        if (task->call)
            task->call->pending = NULL;
        dir_task_free(task);
    }
    uv_timer_stop(&dir->poll);
    uv_timer_stop(&dir->lanes.retry);
    dir_end_when_idle(dir);
}

static const struct store_ops dir_ops = {
    .get = dir_get,
    .list = dir_list,
    .commit = dir_commit_later,
    .cancel = dir_cancel,
    .lock = dir_lock,
    .unlock = dir_unlock,
    .watch = dir_watch,
    .free = dir_free,
};

struct store *store_dir_new(const struct store_dir_config *config)
{
    struct store_dir *dir = MEM_NEW(struct store_dir);
    dir->store.ops = &dir_ops;
    dir->config = *config;
    dir->config.path = NULL; /* the disk has its own copy */
    dir_disk_init(&dir->disk, config->path, config->hook);
    dir_lanes_init(&dir->lanes, config->loop, config->disk, config->port);
    unsigned poll_ms = config->poll_ms ? config->poll_ms : STORE_DIR_POLL_MS;
    uv_timer_init(config->loop, &dir->poll);
    dir->poll.data = dir->lanes.retry.data = dir;
    dir->num_handles = 2;
    uv_timer_start(&dir->poll, poll_on_time, poll_ms, poll_ms);
    dir_open(dir);
    return &dir->store;
}
