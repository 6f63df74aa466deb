/* A directory store with its loop and pool, and calls that wait for their answer, for tests. */
#ifndef SUPPORT_STORE_FIXTURE_H
#define SUPPORT_STORE_FIXTURE_H

#include "base/mem.h"
#include "check.h"
#include "store/store_dir.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* libuv closes descriptors by a bare system call, which ThreadSanitizer does not see: a file that a thread opens under
 * the number of a loop that is gone looks to it like that loop's epoll. */
const char *__tsan_default_suppressions(void); /* NOLINT(readability-identifier-naming): the sanitizer's name */
const char *__tsan_default_suppressions(void)  /* NOLINT(readability-identifier-naming) */
{
    return "race:epoll_wait\n";
}

struct fixture {
    uv_loop_t loop;
    struct offload_pool *disk;
    struct offload_port *port;
    struct store *store;
    struct store_lock lock;
    struct store_watch watch;
    int num_granted, num_lost;
    char changed[1024]; /* keys, each with a blank behind it */
    int num_reports;
    struct store_dir_report report;
    char sentence[1024];
};

struct answer {
    struct store_call call;
    bool done;
    enum store_result result;
    size_t num;
    char keys[1024];  /* of a list, each with a blank behind it */
    char value[4096]; /* of the first record */
    uint64_t version;
};

static inline void fixture_granted(struct store_lock *lock)
{
    container_of(lock, struct fixture, lock)->num_granted++;
}

static inline void fixture_lost(struct store_lock *lock)
{
    container_of(lock, struct fixture, lock)->num_lost++;
}

static inline void fixture_changed(struct store_watch *watch, struct slice key)
{
    struct fixture *f = container_of(watch, struct fixture, watch);
    size_t len = strlen(f->changed);
    snprintf(f->changed + len, sizeof f->changed - len, "%.*s ", (int)key.len, key.ptr);
}

static inline void fixture_reported(void *ctx, const struct store_dir_report *report)
{
    struct fixture *f = ctx;
    f->num_reports++;
    f->report = *report;
    snprintf(f->sentence, sizeof f->sentence, "%s", report->sentence);
}

/* Polls every 5 ms. */
static inline void fixture_open(struct fixture *f, const char *path, struct dir_hook *hook)
{
    *f = (struct fixture){.lock = {.granted = fixture_granted, .lost = fixture_lost},
                          .watch = {.changed = fixture_changed}};
    uv_loop_init(&f->loop);
    f->disk = offload_pool_new("disk", 2, 0, 16);
    f->port = offload_port_new(&f->loop);
    f->store = store_dir_new(&(struct store_dir_config){.path = path,
                                                        .loop = &f->loop,
                                                        .disk = f->disk,
                                                        .port = f->port,
                                                        .poll_ms = 5,
                                                        .reported = fixture_reported,
                                                        .ctx = f,
                                                        .hook = hook});
}

/* After the store has been freed. */
static inline void fixture_end(struct fixture *f)
{
    while (uv_run(&f->loop, UV_RUN_DEFAULT)) {
    }
    offload_port_close(f->port);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&f->loop), 0);
    offload_pool_free(f->disk);
}

static inline void fixture_close(struct fixture *f)
{
    f->store->ops->free(f->store);
    fixture_end(f);
}

/* Turns the loop until cond is true; gives up after a few seconds, and the test fails. */
#define FIXTURE_UNTIL(f, cond)                                 \
    do {                                                       \
        uint64_t until_ = uv_hrtime() + UINT64_C(20000000000); \
        while (!(cond) && uv_hrtime() < until_)                \
            uv_run(&(f)->loop, UV_RUN_ONCE);                   \
        CHECK(cond);                                           \
    } while (0)

/* Turns the loop for some polls. */
static inline void fixture_polls(struct fixture *f, int num)
{
    for (uint64_t until = uv_hrtime() + (uint64_t)num * 5000000; uv_hrtime() < until;)
        uv_run(&f->loop, UV_RUN_ONCE);
}

static inline void fixture_take_lock(struct fixture *f)
{
    int before = f->num_granted;
    f->store->ops->lock(f->store, &f->lock);
    FIXTURE_UNTIL(f, f->num_granted == before + 1);
}

static inline void answer_done(struct store_call *call, enum store_result result, const struct store_record *records,
                               size_t num)
{
    struct answer *a = container_of(call, struct answer, call);
    a->done = true;
    a->result = result;
    a->num = num;
    for (size_t i = 0, len = 0; i < num; i++, len = strlen(a->keys))
        snprintf(a->keys + len, sizeof a->keys - len, "%.*s ", (int)records[i].key.len, records[i].key.ptr);
    if (num) {
        snprintf(a->value, sizeof a->value, "%.*s", (int)records[0].value.len, records[0].value.ptr);
        a->version = records[0].version;
    }
}

static inline struct answer answer_none(void)
{
    return (struct answer){.call = {.done = answer_done}};
}

static inline struct answer fixture_get(struct fixture *f, const char *key)
{
    struct answer a = answer_none();
    f->store->ops->get(f->store, slice_str(key), &a.call);
    CHECK(!a.done); /* never within the call */
    FIXTURE_UNTIL(f, a.done);
    return a;
}

static inline struct answer fixture_list(struct fixture *f, const char *prefix)
{
    struct answer a = answer_none();
    f->store->ops->list(f->store, slice_str(prefix), &a.call);
    FIXTURE_UNTIL(f, a.done);
    return a;
}

static inline enum store_result fixture_commit(struct fixture *f, const struct store_write *writes, size_t num)
{
    struct answer a = answer_none();
    f->store->ops->commit(f->store, writes, num, &a.call);
    CHECK(!a.done);
    FIXTURE_UNTIL(f, a.done);
    return a.result;
}

/* value NULL removes. */
static inline struct store_write write_any(const char *key, const char *value)
{
    return (struct store_write){.key = slice_str(key), .value = slice_str(value), .condition = STORE_ANY};
}

static inline enum store_result fixture_put(struct fixture *f, const char *key, const char *value)
{
    struct store_write write = write_any(key, value);
    return fixture_commit(f, &write, 1);
}

/* --- Directories --- */

static inline void scratch_make_in(const char *parent, char path[64])
{
    snprintf(path, 64, "%s/portico-store-XXXXXX", parent);
    if (!mkdtemp(path))
        abort();
}

static inline void scratch_make(char path[64])
{
    scratch_make_in("/tmp", path);
}

/* In memory where there is such a place: for what restarts hundreds of times and waits for no real disk. */
static inline void scratch_make_fast(char path[64])
{
    scratch_make_in(access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", path);
}

static inline int scratch_remove_one(const char *path, const struct stat *stat, int type, struct FTW *at)
{
    (void)stat, (void)type, (void)at;
    return remove(path);
}

static inline void scratch_remove(const char *path)
{
    nftw(path, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void file_put(const char *dir, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "w");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0)
        abort();
}

/* "" where there is none. */
static inline const char *file_get(const char *dir, const char *name, char out[4096])
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "r");
    size_t len = file ? fread(out, 1, 4095, file) : 0;
    out[len] = '\0';
    if (file)
        fclose(file);
    return out;
}

static inline unsigned file_mode(const char *dir, const char *name)
{
    char path[512];
    struct stat stat_of;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return stat(path, &stat_of) == 0 ? stat_of.st_mode & 07777 : 0;
}

#endif
