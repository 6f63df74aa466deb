/* HARDENING A6, A7: kill -9 and disk errors at every system call that the directory store makes. */
#include "store/dir_journal.h"
#include "store_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

static char dir[64];
static struct fixture f;

/* Counts the calls; at the n-th it ends the process or lets calls fail. */
struct fault {
    struct dir_hook hook;
    int at; /* from 1; 0: never */
    int count;
    int code;           /* 0: kill -9 */
    bool lasting;       /* all calls from `at` on fail */
    bool until_journal; /* counts only once the journal lies there */
};

static int fault_before(struct dir_hook *hook, enum dir_op op, const char *name)
{
    struct fault *fault = container_of(hook, struct fault, hook);
    char path[128];
    (void)op, (void)name;
    snprintf(path, sizeof path, "%s/.journal", dir);
    if (fault->until_journal && access(path, F_OK) != 0)
        return 0;
    fault->count++;
    if (fault->at == 0 || fault->count < fault->at || (fault->count > fault->at && !fault->lasting))
        return 0;
    if (!fault->code)
        kill(getpid(), SIGKILL);
    return fault->code;
}

/* Two generations of three records; each commit replaces all of one by all of the other. */
static enum store_result put_generation(int generation)
{
    char bundle[32], state[32];
    snprintf(bundle, sizeof bundle, "bundle %d", generation);
    snprintf(state, sizeof state, "state %d", generation);
    struct store_write writes[] = {write_any("certificate/a", bundle), write_any("state/a", state),
                                   write_any("order/a", generation % 2 ? "journal" : NULL)};
    return fixture_commit(&f, writes, 3);
}

/* Which generation is there, in whole? -1: a mixture. */
static int generation_there(void)
{
    struct answer bundle = fixture_get(&f, "certificate/a"), state = fixture_get(&f, "state/a"),
                  order = fixture_get(&f, "order/a"), before = fixture_get(&f, "previous/certificate/a");
    int generation = 0;
    char want[32];
    if (bundle.result == STORE_NOT_FOUND)
        return state.result == STORE_NOT_FOUND && order.result == STORE_NOT_FOUND ? 0 : -1;
    if (strncmp(bundle.value, "bundle ", 7) != 0)
        return -1;
    generation = (int)strtol(bundle.value + 7, NULL, 10);
    snprintf(want, sizeof want, "state %d", generation);
    if (strcmp(state.value, want) != 0 || (order.result == STORE_OK) != (generation % 2 == 1))
        return -1;
    snprintf(want, sizeof want, "bundle %d", generation - 1);
    if (generation > 1 && strcmp(before.value, want) != 0)
        return -1;
    return generation;
}

static bool temp_files_there(void)
{
    bool found = false;
    DIR *open_dir = opendir(dir);
    if (!open_dir)
        return false;
    for (struct dirent *entry; (entry = readdir(open_dir));)
        found = found || strncmp(entry->d_name, ".new-", 5) == 0 || strcmp(entry->d_name, ".journal") == 0;
    closedir(open_dir);
    return found;
}

/* Runs work in a child with the fault. Returns true if it was killed. */
static bool killed_in_child(struct fault fault, void (*work)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        fault.hook.before = fault_before;
        fixture_open(&f, dir, &fault.hook);
        fixture_take_lock(&f);
        work();
        _exit(checks_failed != 0);
    }
    int status = 0;
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
    return WIFSIGNALED(status);
}

static void work_nothing(void)
{
}

static void work_generation_1(void)
{
    CHECK_INT(put_generation(1), STORE_OK);
}

static void work_generations_2_to_4(void)
{
    for (int generation = 2; generation <= 4; generation++)
        CHECK_INT(put_generation(generation), STORE_OK);
}

static void work_single(void)
{
    CHECK_INT(fixture_put(&f, "internal-ca", "root"), STORE_OK);
}

/* What generation 1 looks like on the disk, without the help of the store. */
static void generation_1_put(void)
{
    static const char *const parts[] = {"certificate", "state", "order"};
    char path[128];
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, parts[i]);
        CHECK_INT(mkdir(path, 0700), 0);
    }
    file_put(dir, "portico-store", "portico-store 1\n");
    file_put(dir, "certificate/a", "bundle 1");
    file_put(dir, "state/a", "state 1");
    file_put(dir, "order/a", "journal");
}

/* Looks, with the lock, at what a crash has left. */
static int generation_after_crash(void)
{
    fixture_open(&f, dir, NULL);
    fixture_take_lock(&f);
    int generation = generation_there();
    CHECK(!temp_files_there());
    fixture_close(&f);
    return generation;
}

static void test_kill_at_every_call_of_a_first_start(void)
{
    int n = 1, generation = 0;
    for (bool killed = true; killed; n++) {
        scratch_make_fast(dir);
        killed = killed_in_child((struct fault){.at = n}, work_generation_1);
        int now = generation_after_crash();
        CHECK(now == 0 || now == 1);
        CHECK(now >= generation); /* later crashes never leave less */
        generation = now;
        scratch_remove(dir);
    }
    CHECK_INT(generation, 1);
    CHECK(n > 40);
    printf("first start and commit: killed at %d calls\n", n - 2);
}

static void test_kill_at_every_call_of_three_commits(void)
{
    int n = 1, seen[5] = {0};
    for (bool killed = true; killed; n++) {
        scratch_make_fast(dir);
        generation_1_put();
        killed = killed_in_child((struct fault){.at = n}, work_generations_2_to_4);
        int now = generation_after_crash();
        CHECK(now >= 1 && now <= 4);
        if (now >= 1 && now <= 4)
            seen[now]++;
        scratch_remove(dir);
    }
    CHECK(seen[1] > 5 && seen[2] > 5 && seen[3] > 5 && seen[4] > 1);
    printf("three commits: killed at %d calls, found generation 1 %d, 2 %d, 3 %d, 4 %d times\n", n - 2, seen[1],
           seen[2], seen[3], seen[4]);
}

static void test_kill_at_every_call_of_the_recovery(void)
{
    int num = 0;
    for (int first = 2; first <= 8; first += 2) { /* the commit dies at one of the calls behind its journal */
        int n = 1;
        for (bool killed = true; killed; n++, num++) {
            scratch_make_fast(dir);
            generation_1_put();
            struct fault late = {.at = first, .until_journal = true};
            CHECK(killed_in_child(late, work_generations_2_to_4));
            killed = killed_in_child((struct fault){.at = n}, work_nothing);
            CHECK_INT(generation_after_crash(), 2);
            scratch_remove(dir);
        }
        CHECK(n > 10);
    }
    printf("recovery: killed at %d calls\n", num - 4);
}

static void test_kill_at_every_call_of_a_single_write(void)
{
    bool was_there = false;
    int n = 1;
    for (bool killed = true; killed; n++) {
        scratch_make_fast(dir);
        generation_1_put();
        killed = killed_in_child((struct fault){.at = n}, work_single);
        CHECK_INT(generation_after_crash(), 1);
        fixture_open(&f, dir, NULL);
        struct answer a = fixture_get(&f, "internal-ca");
        CHECK(a.result == STORE_NOT_FOUND || strcmp(a.value, "root") == 0);
        CHECK(!(was_there && a.result == STORE_NOT_FOUND));
        was_there = a.result == STORE_OK;
        fixture_close(&f);
        scratch_remove(dir);
    }
    CHECK(was_there);
}

/* --- Errors instead of death --- */

static enum store_result expected_of(int code)
{
    return code == ENOSPC ? STORE_FULL : code == EROFS ? STORE_DENIED : STORE_UNAVAILABLE;
}

/* A commit of generation 2 over 1 whose n-th call fails. Returns false when n was behind its last call. */
static bool check_failing_commit(int n, int code, bool lasting, int *num_unknown)
{
    struct fault fault = {.hook = {.before = fault_before}};
    scratch_make_fast(dir);
    fixture_open(&f, dir, &fault.hook);
    fixture_take_lock(&f);
    CHECK_INT(put_generation(1), STORE_OK);
    fault.count = 0;
    fault.code = code;
    fault.lasting = lasting;
    fault.at = n;
    enum store_result result = put_generation(2);
    bool reached = fault.count >= n;
    fault.at = 0; /* the disk is well again */
    int now = generation_there();
    if (result == STORE_OK)
        CHECK_INT(now, 2);
    else if (result == STORE_UNKNOWN)
        CHECK(now == 1 || now == 2);
    else
        CHECK_INT(now, 1);
    CHECK(result == STORE_OK || result == STORE_UNKNOWN || result == expected_of(code));
    CHECK(reached || result == STORE_OK);
    *num_unknown += result == STORE_UNKNOWN;
    CHECK_INT(put_generation(now + 1), STORE_OK);
    CHECK_INT(generation_there(), now + 1);
    CHECK(lasting || !temp_files_there()); /* what could not be removed is swept up by the next owner */
    fixture_close(&f);
    CHECK_INT(generation_after_crash(), now + 1);
    scratch_remove(dir);
    return reached;
}

static void test_disk_errors_at_every_call(void)
{
    static const int codes[] = {EIO, ENOSPC, EROFS};
    int num = 0, num_unknown = 0;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        for (int lasting = 0; lasting < 2; lasting++)
            for (int n = 1; check_failing_commit(n, codes[i], lasting, &num_unknown); n++)
                num++;
    CHECK(num > 100);
    CHECK(num_unknown > 10 && num_unknown < num / 2);
    printf("disk errors: %d calls failed, %d commits unknown\n", num, num_unknown);
}

static void test_reads_wait_for_a_broken_commit(void)
{
    struct fault fault = {.hook = {.before = fault_before}, .code = EIO, .lasting = true, .until_journal = true};
    scratch_make_fast(dir);
    fixture_open(&f, dir, &fault.hook);
    fixture_take_lock(&f);
    CHECK_INT(put_generation(1), STORE_OK);
    fault.count = 0;
    fault.at = 3; /* the second rename behind the journal */
    CHECK_INT(put_generation(2), STORE_UNKNOWN);
    CHECK_INT(fixture_get(&f, "state/a").result, STORE_UNAVAILABLE); /* never a mixture */
    CHECK_INT(fixture_list(&f, "state/").result, STORE_UNAVAILABLE);
    CHECK_INT(put_generation(3), STORE_UNAVAILABLE);
    fault.at = 0;
    CHECK_STR(fixture_get(&f, "state/a").value, "state 2");
    CHECK_INT(generation_there(), 2);
    CHECK_INT(put_generation(3), STORE_OK);
    fixture_close(&f);
    scratch_remove(dir);
}

static void test_opening_waits_for_a_disk_that_fails(void)
{
    struct fault fault = {.hook = {.before = fault_before}, .code = EIO, .lasting = true, .at = 1};
    scratch_make_fast(dir);
    fixture_open(&f, dir, &fault.hook);
    CHECK_INT(fixture_get(&f, "state/a").result, STORE_UNAVAILABLE);
    CHECK_INT(f.report.reading, STORE_UNAVAILABLE);
    CHECK(strstr(f.sentence, "Input/output error") != NULL);
    fault.at = 0;
    fixture_take_lock(&f);
    CHECK_INT(put_generation(1), STORE_OK);
    fixture_close(&f);
    scratch_remove(dir);
}

/* --- The journal's text --- */

static void check_journal(const char *text, bool fine)
{
    struct dir_plan *plan = MEM_NEW(struct dir_plan);
    CHECK_INT(!err_is(dir_journal_parse(slice_str(text), plan)), fine);
    if (fine) {
        struct buf again = {0};
        dir_journal_print(plan, &again);
        CHECK_SLICE(buf_slice(&again), text);
        buf_cleanup(&again);
    }
    mem_free(plan);
}

static void test_journal_is_read_strictly(void)
{
    check_journal("portico-journal 1\nend\n", true);
    check_journal("portico-journal 1\nrename .new-1-2 certificate/@.a\nremove order/a\nend\n", true);
    check_journal("", false);
    check_journal("portico-journal 2\nend\n", false);
    check_journal("portico-journal 1\n", false);
    check_journal("portico-journal 1\nend", false);
    check_journal("portico-journal 1\nremove order/a\n", false); /* cut */
    check_journal("portico-journal 1\nremove order/a\nend\nremove order/b\n", false);
    check_journal("portico-journal 1\nremove ../../etc/passwd\nend\n", false);
    check_journal("portico-journal 1\nremove .lock\nend\n", false);
    check_journal("portico-journal 1\nremove portico-store\nend\n", false);
    check_journal("portico-journal 1\nrename certificate/a certificate/b\nend\n", false);
    check_journal("portico-journal 1\nrename .new-/../a certificate/b\nend\n", false);
    check_journal("portico-journal 1\nrename .new-1\nend\n", false);
    check_journal("portico-journal 1\nlink .new-1 a\nend\n", false);
}

static void test_a_damaged_journal_stops_writing_not_reading(void)
{
    scratch_make_fast(dir);
    fixture_open(&f, dir, NULL);
    fixture_take_lock(&f);
    CHECK_INT(put_generation(1), STORE_OK);
    fixture_close(&f);
    file_put(dir, ".journal", "portico-journal 1\nremove cert");
    fixture_open(&f, dir, NULL);
    f.store->ops->lock(f.store, &f.lock);
    CHECK_STR(fixture_get(&f, "certificate/a").value, "bundle 1");
    FIXTURE_UNTIL(&f, f.report.writing == STORE_CORRUPT);
    CHECK(strstr(f.sentence, ".journal: the journal of a commit is damaged") != NULL);
    CHECK_INT(f.num_granted, 0);
    CHECK_INT(put_generation(2), STORE_FENCED);
    fixture_close(&f);
    scratch_remove(dir);
}

int main(void)
{
    RUN(test_kill_at_every_call_of_a_first_start); /* these fork: before there are threads */
    RUN(test_kill_at_every_call_of_three_commits);
    RUN(test_kill_at_every_call_of_the_recovery);
    RUN(test_kill_at_every_call_of_a_single_write);
    RUN(test_disk_errors_at_every_call);
    RUN(test_reads_wait_for_a_broken_commit);
    RUN(test_opening_waits_for_a_disk_that_fails);
    RUN(test_journal_is_read_strictly);
    RUN(test_a_damaged_journal_stops_writing_not_reading);
    return checks_done();
}
