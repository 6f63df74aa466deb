/* The right to write, standbys, cancelling and the end of a directory store. */
#include "store_fixture.h"

#include <signal.h>
#include <sys/wait.h>

static char dir[64];
static struct fixture f, standby;

static void set_up(void)
{
    scratch_make(dir);
    fixture_open(&f, dir, NULL);
    fixture_take_lock(&f);
}

static void tear_down(void)
{
    fixture_close(&f);
    scratch_remove(dir);
}

static void test_one_owner_and_a_standby_that_takes_over(void)
{
    set_up();
    CHECK_INT(f.report.writing, STORE_OK);
    CHECK_INT(fixture_put(&f, "certificate/a", "one"), STORE_OK);
    fixture_open(&standby, dir, NULL);
    standby.store->ops->lock(standby.store, &standby.lock);
    CHECK_STR(fixture_get(&standby, "certificate/a").value, "one");
    CHECK_INT(fixture_put(&standby, "certificate/a", "mine"), STORE_FENCED);
    CHECK_INT(standby.report.writing, STORE_FENCED);
    CHECK_STR(standby.sentence, "");
    CHECK_INT(standby.num_granted, 0);
    f.store->ops->unlock(f.store);
    CHECK_INT(fixture_put(&f, "certificate/a", "late"), STORE_FENCED);
    FIXTURE_UNTIL(&standby, standby.num_granted == 1);
    CHECK_INT(fixture_put(&standby, "certificate/a", "two"), STORE_OK);
    CHECK_STR(fixture_get(&f, "certificate/a").value, "two");
    CHECK_INT(standby.num_lost + f.num_lost, 0);
    f.store->ops->lock(f.store, &f.lock); /* and back, by the end of the other */
    fixture_polls(&f, 4);
    CHECK_INT(f.num_granted, 1);
    fixture_close(&standby);
    FIXTURE_UNTIL(&f, f.num_granted == 2);
    tear_down();
}

static void test_without_asking_nothing_is_written(void)
{
    scratch_make(dir);
    fixture_open(&f, dir, NULL);
    CHECK_INT(fixture_put(&f, "state/a", "x"), STORE_FENCED);
    CHECK_INT(fixture_get(&f, "state/a").result, STORE_NOT_FOUND);
    CHECK_INT(file_mode(dir, ".lock"), 0);
    tear_down();
}

static void test_unlock_while_the_lock_is_on_its_way(void)
{
    scratch_make(dir);
    fixture_open(&f, dir, NULL);
    FIXTURE_UNTIL(&f, f.num_reports == 1);
    f.store->ops->lock(f.store, &f.lock);
    f.store->ops->unlock(f.store);
    fixture_open(&standby, dir, NULL);
    CHECK_INT(fixture_put(&f, "state/a", "x"), STORE_FENCED); /* it goes behind the unlock: that is done, too */
    CHECK_INT(f.report.writing, STORE_FENCED);
    CHECK_INT(f.num_granted, 0);
    fixture_take_lock(&standby);
    f.store->ops->lock(f.store, &f.lock);
    f.store->ops->unlock(f.store);
    f.store->ops->lock(f.store, &f.lock);
    fixture_close(&standby);
    FIXTURE_UNTIL(&f, f.num_granted == 1);
    fixture_polls(&f, 4);
    CHECK_INT(f.num_granted, 1);
    tear_down();
}

/* Another process that holds the lock until it is killed. */
static pid_t holder_start(void)
{
    int ready[2];
    char byte;
    if (pipe(ready) != 0)
        abort();
    pid_t pid = fork();
    if (pid == 0) {
        fixture_open(&f, dir, NULL);
        fixture_take_lock(&f);
        CHECK_INT(fixture_put(&f, "state/a", "theirs"), STORE_OK);
        CHECK_INT(write(ready[1], "x", 1), 1);
        for (;;)
            pause();
    }
    CHECK_INT(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static void test_a_killed_process_leaves_no_lock_behind(void)
{
    scratch_make(dir);
    pid_t pid = holder_start();
    fixture_open(&f, dir, NULL);
    f.store->ops->lock(f.store, &f.lock);
    CHECK_INT(fixture_put(&f, "state/a", "mine"), STORE_FENCED);
    fixture_polls(&f, 4);
    CHECK_INT(f.num_granted, 0);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    FIXTURE_UNTIL(&f, f.num_granted == 1);
    CHECK_STR(fixture_get(&f, "state/a").value, "theirs");
    tear_down();
}

static void lock_file_remove(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/.lock", dir);
    CHECK_INT(unlink(path), 0);
}

static void test_a_replaced_lock_file_fences_the_old_owner(void)
{
    set_up();
    lock_file_remove();
    CHECK_INT(fixture_put(&f, "state/a", "x"), STORE_FENCED);
    CHECK_INT(f.num_lost, 1);
    CHECK_INT(f.report.writing, STORE_FENCED);
    CHECK(strstr(f.sentence, "removed or replaced") != NULL);
    fixture_polls(&f, 4);
    CHECK_INT(f.num_granted, 1); /* lost is final until asked again */
    fixture_take_lock(&f);
    CHECK_INT(fixture_put(&f, "state/a", "x"), STORE_OK);
    lock_file_remove();
    FIXTURE_UNTIL(&f, f.num_lost == 2); /* found out without a commit, too */
    tear_down();
}

static void test_two_new_owners_never_meet(void)
{
    set_up();
    lock_file_remove();
    fixture_open(&standby, dir, NULL);
    fixture_take_lock(&standby);
    CHECK_INT(fixture_put(&standby, "state/a", "new owner"), STORE_OK);
    CHECK_INT(fixture_put(&f, "state/a", "old owner"), STORE_FENCED);
    CHECK_STR(fixture_get(&f, "state/a").value, "new owner");
    fixture_close(&standby);
    tear_down();
}

static void test_a_standby_follows_what_is_written(void)
{
    set_up();
    CHECK_INT(fixture_put(&f, "certificate/a", "one"), STORE_OK);
    fixture_open(&standby, dir, NULL);
    standby.store->ops->watch(standby.store, &standby.watch);
    fixture_polls(&standby, 6);
    CHECK_STR(standby.changed, ""); /* the first look takes stock */
    CHECK_INT(fixture_put(&f, "certificate/a", "two"), STORE_OK);
    FIXTURE_UNTIL(&standby, strcmp(standby.changed, "certificate/a ") == 0);
    CHECK_INT(fixture_put(&f, "certificate/*.b", "new"), STORE_OK);
    FIXTURE_UNTIL(&standby, strcmp(standby.changed, "certificate/a certificate/*.b ") == 0);
    CHECK_INT(fixture_put(&f, "certificate/a", NULL), STORE_OK);
    FIXTURE_UNTIL(&standby, strcmp(standby.changed, "certificate/a certificate/*.b certificate/a ") == 0);
    CHECK_INT(fixture_put(&f, "state/x", "in a directory that is new"), STORE_OK);
    FIXTURE_UNTIL(&standby, strcmp(standby.changed, "certificate/a certificate/*.b certificate/a state/x ") == 0);
    standby.store->ops->watch(standby.store, NULL);
    CHECK_INT(fixture_put(&f, "state/y", "unseen"), STORE_OK);
    fixture_polls(&standby, 6);
    CHECK(strstr(standby.changed, "state/y") == NULL);
    fixture_close(&standby);
    tear_down();
}

static void test_a_quick_series_is_seen_to_its_end(void)
{
    char value[16];
    set_up();
    CHECK_INT(fixture_put(&f, "state/a", "start"), STORE_OK);
    fixture_open(&standby, dir, NULL);
    standby.store->ops->watch(standby.store, &standby.watch);
    fixture_polls(&standby, 3);
    for (int i = 0; i < 200; i++) {
        snprintf(value, sizeof value, "%d", i);
        standby.changed[0] = '\0';
        CHECK_INT(fixture_put(&f, "state/a", value), STORE_OK);
        FIXTURE_UNTIL(&standby, strcmp(standby.changed, "state/a ") == 0);
    }
    fixture_close(&standby);
    tear_down();
}

static void test_cancel(void)
{
    set_up();
    CHECK_INT(fixture_put(&f, "state/a", "x"), STORE_OK);
    struct answer answers[20];
    for (int i = 0; i < 20; i++) {
        answers[i] = answer_none();
        f.store->ops->get(f.store, SLICE_LIT("state/a"), &answers[i].call);
    }
    for (int i = 0; i < 20; i += 2)
        f.store->ops->cancel(f.store, &answers[i].call);
    f.store->ops->cancel(f.store, &answers[0].call); /* harmless */
    for (int i = 1; i < 20; i += 2)                  /* reads run beside each other, and end in any order */
        FIXTURE_UNTIL(&f, answers[i].done);
    for (int i = 0; i < 20; i++)
        CHECK_INT(answers[i].done, i % 2);
    f.store->ops->cancel(f.store, &answers[19].call);
    tear_down();
}

/* Stops a commit where it writes its first temporary file. */
struct barrier {
    struct dir_hook hook;
    uv_sem_t arrived, go_on;
};

static int barrier_before(struct dir_hook *hook, enum dir_op op, const char *name)
{
    struct barrier *barrier = container_of(hook, struct barrier, hook);
    if (op != DIR_OP_WRITE || strncmp(name, ".new-", 5) != 0)
        return 0;
    uv_sem_post(&barrier->arrived);
    uv_sem_wait(&barrier->go_on);
    return 0;
}

static void test_free_forgets_calls_and_ends_a_commit(void)
{
    char text[4096];
    struct barrier barrier = {.hook = {.before = barrier_before}};
    set_up(); /* writes the marker */
    fixture_close(&f);
    uv_sem_init(&barrier.arrived, 0);
    uv_sem_init(&barrier.go_on, 0);
    fixture_open(&f, dir, &barrier.hook);
    fixture_take_lock(&f);
    struct answer answers[12];
    struct store_write first = write_any("state/a", "written"), other = write_any("state/b", "x");
    for (int i = 0; i < 12; i++)
        answers[i] = answer_none();
    f.store->ops->commit(f.store, &first, 1, &answers[0].call);
    while (uv_sem_trywait(&barrier.arrived) != 0)
        uv_run(&f.loop, UV_RUN_NOWAIT);
    for (int i = 1; i < 6; i++)
        f.store->ops->commit(f.store, &other, 1, &answers[i].call);
    for (int i = 6; i < 12; i++)
        f.store->ops->get(f.store, SLICE_LIT("state/a"), &answers[i].call);
    f.store->ops->free(f.store);
    uv_sem_post(&barrier.go_on);
    fixture_end(&f);
    for (int i = 0; i < 12; i++)
        CHECK(!answers[i].done);
    CHECK_STR(file_get(dir, "state/a", text), "written"); /* it was on its way */
    CHECK_STR(file_get(dir, "state/b", text), "");
    uv_sem_destroy(&barrier.arrived);
    uv_sem_destroy(&barrier.go_on);
    scratch_remove(dir);
}

struct freeing_call {
    struct store_call call;
    bool done;
};

static void free_in_done(struct store_call *call, enum store_result result, const struct store_record *records,
                         size_t num)
{
    CHECK_INT(result, STORE_OK);
    CHECK_INT(num, 1);
    container_of(call, struct freeing_call, call)->done = true;
    f.store->ops->free(f.store);
    CHECK_SLICE(records[0].value, "x"); /* still valid during the call */
}

static void test_free_from_within_done(void)
{
    set_up();
    CHECK_INT(fixture_put(&f, "state/a", "x"), STORE_OK);
    struct freeing_call call = {.call = {.done = free_in_done}};
    f.store->ops->get(f.store, SLICE_LIT("state/a"), &call.call);
    fixture_end(&f);
    CHECK(call.done);
    scratch_remove(dir);
}

static void busy_work(struct offload_job *job)
{
    (void)job;
    uv_sleep(2);
}

static void busy_done(struct offload_job *job)
{
    (void)job;
}

static void test_a_full_pool_only_delays(void)
{
    struct offload_job others[40];
    set_up();
    size_t num_taken = 0;
    for (size_t i = 0; i < 40; i++) {
        others[i] = (struct offload_job){.work = busy_work, .done = busy_done};
        num_taken += offload_submit(f.disk, f.port, &others[i]);
    }
    CHECK(num_taken < 40);
    CHECK_INT(fixture_put(&f, "state/a", "x"), STORE_OK);
    CHECK_STR(fixture_get(&f, "state/a").value, "x");
    tear_down();
}

int main(void)
{
    RUN(test_a_killed_process_leaves_no_lock_behind); /* forks: before there are threads */
    RUN(test_one_owner_and_a_standby_that_takes_over);
    RUN(test_without_asking_nothing_is_written);
    RUN(test_unlock_while_the_lock_is_on_its_way);
    RUN(test_a_replaced_lock_file_fences_the_old_owner);
    RUN(test_two_new_owners_never_meet);
    RUN(test_a_standby_follows_what_is_written);
    RUN(test_a_quick_series_is_seen_to_its_end);
    RUN(test_cancel);
    RUN(test_free_forgets_calls_and_ends_a_commit);
    RUN(test_free_from_within_done);
    RUN(test_a_full_pool_only_delays);
    return checks_done();
}
