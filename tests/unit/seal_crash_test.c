/* HARDENING A6: kill -9 at every system call while a directory of plain records is being sealed, and while sealed records
 * are written: nothing is lost, nothing is torn, and whoever comes next finishes the sealing. */
#include "store/seal.h"
#include "store/sealed_value.h"
#include "store_fixture.h"

#include <signal.h>
#include <sys/wait.h>

static const struct slice secret = SLICE_LIT("0123456789abcdefghijklmnopqrstuv");

static char dir[64];
static struct fixture f;

static const struct plain {
    const char *file, *key, *value;
} plains[] = {
    {"account/a", "account/a", "account"},
    {"certificate/a", "certificate/a", "second"},
    {"certificate/b", "certificate/b", "only"},
    {"internal-ca", "internal-ca", "root"},
    {"previous/certificate/a", "previous/certificate/a", "first"},
};

enum { NUM_PLAINS = sizeof plains / sizeof plains[0] };

/* Ends the process at the n-th call. */
struct fault {
    struct dir_hook hook;
    int at; /* from 1; 0: never */
    int count;
};

static int fault_before(struct dir_hook *hook, enum dir_op op, const char *name)
{
    struct fault *fault = container_of(hook, struct fault, hook);
    (void)op, (void)name;
    if (++fault->count == fault->at)
        kill(getpid(), SIGKILL);
    return 0;
}

static void plains_put(void)
{
    static const char *const parts[] = {"account", "certificate", "previous", "previous/certificate"};
    char path[128];
    scratch_make_fast(dir);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, parts[i]);
        CHECK_INT(mkdir(path, 0700), 0);
    }
    file_put(dir, "portico-store", "portico-store 1\n");
    for (size_t i = 0; i < NUM_PLAINS; i++)
        file_put(dir, plains[i].file, plains[i].value);
}

static void sealed_open(struct dir_hook *hook)
{
    fixture_open(&f, dir, hook);
    f.store = seal_new(&(struct seal_config){.inner = f.store, .secret = secret});
}

static bool killed_in_child(int at, void (*work)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        struct fault fault = {.hook = {.before = fault_before}, .at = at};
        sealed_open(&fault.hook);
        fixture_take_lock(&f);
        work();
        _exit(checks_failed != 0);
    }
    int status = 0;
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
    return WIFSIGNALED(status);
}

/* As it lies on the disk. */
static int num_lying_plain(void)
{
    char text[4096];
    int num = 0;
    for (size_t i = 0; i < NUM_PLAINS; i++)
        num += !sealed_value_is(slice_str(file_get(dir, plains[i].file, text)));
    return num;
}

static void check_all_there(void)
{
    for (size_t i = 0; i < NUM_PLAINS; i++)
        CHECK_STR(fixture_get(&f, plains[i].key).value, plains[i].value);
}

static void work_nothing(void)
{
}

static void a_kill_at_every_call_of_the_sealing_loses_nothing(void)
{
    int n = 1, seen[NUM_PLAINS + 1] = {0};
    for (bool killed = true; killed; n++) {
        plains_put();
        killed = killed_in_child(n, work_nothing);
        seen[num_lying_plain()]++;
        sealed_open(NULL);
        check_all_there(); /* whoever does not write reads it as it lies there */
        fixture_take_lock(&f);
        check_all_there();
        CHECK_INT(num_lying_plain(), 0);
        fixture_close(&f);
        scratch_remove(dir);
    }
    CHECK(n > 60);
    CHECK(seen[NUM_PLAINS] > 5 && seen[0] > 5 && seen[1] + seen[2] + seen[3] + seen[4] > 20);
    printf("sealing: killed at %d calls\n", n - 2);
}

static void work_renew(void)
{
    struct store_write writes[] = {write_any("certificate/a", "third"), write_any("state/a", "{}")};
    CHECK_INT(fixture_commit(&f, writes, 2), STORE_OK);
}

static void a_kill_at_every_call_of_a_renewal_leaves_the_old_or_the_new(void)
{
    int n = 1, num_old = 0, num_new = 0;
    for (bool killed = true; killed; n++) {
        plains_put();
        CHECK(!killed_in_child(0, work_nothing)); /* sealed */
        killed = killed_in_child(n, work_renew);
        sealed_open(NULL);
        fixture_take_lock(&f);
        struct answer now = fixture_get(&f, "certificate/a"), before = fixture_get(&f, "previous/certificate/a"),
                      state = fixture_get(&f, "state/a");
        bool is_new = strcmp(now.value, "third") == 0;
        CHECK_STR(now.value, is_new ? "third" : "second");
        CHECK_STR(before.value, is_new ? "second" : "first");
        CHECK_INT(state.result, is_new ? STORE_OK : STORE_NOT_FOUND);
        CHECK_INT(num_lying_plain(), 0);
        num_new += is_new;
        num_old += !is_new;
        fixture_close(&f);
        scratch_remove(dir);
    }
    CHECK(num_old > 10 && num_new > 3);
    printf("renewal: killed at %d calls\n", n - 2);
}

int main(void)
{
    RUN(a_kill_at_every_call_of_the_sealing_loses_nothing);
    RUN(a_kill_at_every_call_of_a_renewal_leaves_the_old_or_the_new);
    return checks_done();
}
