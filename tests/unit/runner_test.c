#include "base/buf.h"
#include "check.h"
#include "net/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char directory[] = "/tmp/portico-runner-XXXXXX";

/* ---- programs ---- */

static const char *script(const char *name, const char *text)
{
    static char paths[8][128];
    static unsigned at;
    char *path = paths[at++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    fprintf(file, "#!/bin/sh\n%s\n", text);
    fclose(file);
    chmod(path, 0700);
    return path;
}

/* ---- child: on a plain loop ---- */

struct ran {
    unsigned num_done;
    struct err err;
    int exit_code;
    struct buf output;
};

static void ran_keep(struct ran *ran, const struct child_result *result)
{
    ran->num_done++;
    ran->err = result->err;
    ran->exit_code = result->exit_code;
    ran->output.len = 0;
    buf_append_slice(&ran->output, result->output);
}

static void child_ran(void *ctx, const struct child_result *result)
{
    ran_keep(ctx, result);
}

static struct ran child_runs(const char *program, uint64_t limit_ms, bool kill_it)
{
    uv_loop_t uv;
    struct ran ran = {0};
    char *args[] = {(char *)program, "one", NULL};
    char *environment[] = {"PATH=/usr/bin:/bin", "A=b", NULL};
    struct child_options options = {.args = args, .environment = environment, .limit_ms = limit_ms, .ctx = &ran};
    CHECK_INT(uv_loop_init(&uv), 0);
    struct child *child = child_start(&uv, &options, child_ran);
    CHECK_INT(ran.num_done, 0);
    if (kill_it)
        child_kill(child);
    uv_run(&uv, UV_RUN_DEFAULT);
    CHECK_INT(ran.num_done, 1);
    CHECK_INT(uv_loop_close(&uv), 0);
    return ran;
}

static void its_output_and_its_exit_code(void)
{
    struct ran ran = child_runs(script("plain", "echo out $1 $A; echo err >&2; exit 7"), 10000, false);
    CHECK(!err_is(ran.err));
    CHECK_INT(ran.exit_code, 7);
    CHECK_STR(buf_cstr(&ran.output), "out one b\nerr\n");
    buf_cleanup(&ran.output);
}

static void the_last_of_its_output_is_kept(void)
{
    struct ran ran =
        child_runs(script("long", "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done"), 60000, false);
    CHECK_INT(ran.exit_code, 0);
    CHECK_INT(ran.output.len, CHILD_OUTPUT_BYTES);
    CHECK(slice_ends(buf_slice(&ran.output), SLICE_LIT("line 1998\nline 1999\n")));
    buf_cleanup(&ran.output);
}

static void it_has_no_descriptors_of_ours_and_no_input(void)
{
    struct ran ran = child_runs(script("fds", "cat; for fd in /proc/$$/fd/*; do echo ${fd##*/}; done"), 10000, false);
    /* The shell reads the directory by 3, and its script by one above 9. */
    CHECK(slice_starts(buf_slice(&ran.output), SLICE_LIT("0\n1\n")));
    for (int fd = 4; fd < 10; fd++) {
        char line[16];
        snprintf(line, sizeof line, "\n%d\n", fd);
        CHECK(!strstr(buf_cstr(&ran.output), line));
    }
    buf_cleanup(&ran.output);
}

static bool process_is_alive(pid_t pid)
{
    char path[64], text[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return false;
    size_t len = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[len] = '\0';
    const char *end = strrchr(text, ')');
    return end && end[2] != 'Z' && end[2] != 'X';
}

static void its_time_is_limited_and_so_is_its_groups(void)
{
    struct ran ran = child_runs(script("slow", "sleep 600 & echo $!; wait"), 1500, false);
    CHECK_INT(ran.err.kind, ERR_TIMEOUT);
    pid_t pid = (pid_t)strtol(buf_cstr(&ran.output), NULL, 10);
    CHECK(pid > 1);
    for (int i = 0; i < 5000 && process_is_alive(pid); i++)
        usleep(1000);
    CHECK(!process_is_alive(pid));
    buf_cleanup(&ran.output);
}

static void it_can_be_killed(void)
{
    struct ran ran = child_runs(script("slow", "sleep 600"), 60000, true);
    CHECK_INT(ran.err.kind, ERR_CANCELED);
    buf_cleanup(&ran.output);
}

static void a_signal_ends_it(void)
{
    struct ran ran = child_runs(script("signal", "kill -9 $$"), 10000, false);
    CHECK(!err_is(ran.err));
    CHECK_INT(ran.exit_code, 137);
    buf_cleanup(&ran.output);
}

/* Who waits for the end of its output would wait for ever. */
static void what_it_leaves_behind_holds_nobody(void)
{
    struct ran ran = child_runs(script("leaves", "sleep 600 & echo $!; exit 3"), 60000, false);
    CHECK(!err_is(ran.err));
    CHECK_INT(ran.exit_code, 3);
    pid_t pid = (pid_t)strtol(buf_cstr(&ran.output), NULL, 10);
    CHECK(pid > 1 && kill(pid, SIGKILL) == 0);
    buf_cleanup(&ran.output);
}

static void a_program_that_is_not_there(void)
{
    struct ran ran = child_runs("/nowhere/program", 10000, false);
    CHECK_INT(ran.err.kind, ERR_UV);
    CHECK_INT(ran.err.code, UV_ENOENT);
    buf_cleanup(&ran.output);
}

/* ---- runner ---- */

struct world {
    uv_loop_t uv;
    struct net_loop *loop;
    struct runner *runner;
};

struct asked {
    struct runner_call call;
    struct ran ran;
};

static void world_begin(struct world *world, const char *program)
{
    static const char *const environment[] = {
        "PATH=/usr/bin:/bin", "PORTICO_STORAGE_KEY=secret", "HOOK_TOKEN=t", "LC_ALL=C", "AWS_SECRET=s", NULL};
    struct runner_options options = {
        .program = program, .names = {"N_ONE", "N_TWO", "N_THREE"}, .environment = environment};
    CHECK(!err_is(runner_new(&options, &world->runner)));
}

static void world_attach(struct world *world)
{
    CHECK_INT(uv_loop_init(&world->uv), 0);
    world->loop = net_loop_new(&world->uv);
    runner_attach(world->runner, world->loop);
}

static void world_init(struct world *world, const char *program)
{
    world_begin(world, program);
    world_attach(world);
}

static void world_cleanup(struct world *world)
{
    runner_unref(world->runner);
    net_loop_close(world->loop);
    uv_run(&world->uv, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&world->uv), 0);
    CHECK(waitpid(-1, NULL, 0) > 0 || errno == ECHILD); /* it ends by itself, where nothing runs */
}

static void asked_done(struct runner_call *call, const struct child_result *result)
{
    ran_keep(&container_of(call, struct asked, call)->ran, result);
}

static void ask(struct world *world, struct asked *asked, const char *one, const char *two, const char *three)
{
    struct slice words[RUNNER_WORDS] = {slice_str(one), slice_str(two), slice_str(three)};
    asked->call.done = asked_done;
    runner_run(world->runner, words, 20000, &asked->call);
    CHECK_INT(asked->ran.num_done, 0);
}

static void ask_wait(struct world *world, struct asked *asked)
{
    while (!asked->ran.num_done && uv_run(&world->uv, UV_RUN_ONCE))
        ;
    CHECK_INT(asked->ran.num_done, 1);
}

static void arguments_and_an_environment_without_secrets(void)
{
    struct world world;
    struct asked asked = {0};
    world_init(&world, script("shows", "echo $1 $2 $3; env | grep -vE '^(PWD|_|SHLVL|OLDPWD)=' | sort; exit 4"));
    ask(&world, &asked, "present", "_acme-challenge.a.example.", "va_L-ue");
    ask_wait(&world, &asked);
    CHECK(!err_is(asked.ran.err));
    CHECK_INT(asked.ran.exit_code, 4);
    CHECK_STR(buf_cstr(&asked.ran.output), "present _acme-challenge.a.example. va_L-ue\n"
                                           "HOOK_TOKEN=t\nLC_ALL=C\nN_ONE=present\nN_THREE=va_L-ue\n"
                                           "N_TWO=_acme-challenge.a.example.\nPATH=/usr/bin:/bin\n");
    buf_cleanup(&asked.ran.output);
    world_cleanup(&world);
}

static void arguments_are_plain_words(void)
{
    static const char *const bad[] = {"", "-rf", "a b", "$(id)", "a\nb", "a/b", "a;b", "a=b"};
    struct world world;
    world_init(&world, script("shows", "echo ran"));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct asked asked = {0};
        ask(&world, &asked, "present", bad[i], "x");
        ask_wait(&world, &asked);
        CHECK_INT(asked.ran.err.kind, ERR_INPUT);
        buf_cleanup(&asked.ran.output);
    }
    world_cleanup(&world);
}

static void several_at_a_time(void)
{
    enum { NUM = 4 };
    struct world world;
    struct asked asked[NUM] = {0};
    static const char *const names[NUM] = {"a", "b", "c", "d"};
    /* Two wait for the other two: one behind the other would never end. */
    world_init(&world,
               script("meets", "cd ${0%/*}; mkfifo $1 2>/dev/null; echo $1; [ $2 = last ] && exec cat $3 >/dev/null; "
                               "echo x > $1; exit 0"));
    ask(&world, &asked[0], names[0], "first", "x");
    ask(&world, &asked[1], names[1], "first", "x");
    ask(&world, &asked[2], names[2], "last", names[0]);
    ask(&world, &asked[3], names[3], "last", names[1]);
    for (int i = 0; i < NUM; i++) {
        ask_wait(&world, &asked[i]);
        CHECK_INT(asked[i].ran.exit_code, 0);
        CHECK(buf_slice(&asked[i].ran.output).len == 2 && asked[i].ran.output.ptr[0] == names[i][0]);
        buf_cleanup(&asked[i].ran.output);
    }
    world_cleanup(&world);
}

static void the_forgotten_are_killed_and_silent(void)
{
    struct world world;
    struct asked asked = {0}, next = {0};
    char path[160];
    world_init(&world, script("forgotten",
                              "cd ${0%/*}; [ $1 = slow ] && echo $$ > pid.new && mv pid.new pid && sleep 600; exit 0"));
    snprintf(path, sizeof path, "%s/pid", directory);
    ask(&world, &asked, "slow", "x", "x");
    FILE *file;
    while (!(file = fopen(path, "r")))
        usleep(1000);
    char text[32] = "";
    CHECK(fgets(text, sizeof text, file) != NULL);
    fclose(file);
    runner_forget(&asked.call);
    runner_forget(&asked.call);
    ask(&world, &next, "quick", "x", "x");
    ask_wait(&world, &next);
    for (int i = 0; i < 5000 && process_is_alive((pid_t)strtol(text, NULL, 10)); i++)
        usleep(1000);
    CHECK(!process_is_alive((pid_t)strtol(text, NULL, 10)));
    CHECK_INT(asked.ran.num_done, 0);
    buf_cleanup(&next.ran.output);
    world_cleanup(&world);
}

static pid_t only_child(void)
{
    char path[64];
    int pid = 0;
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    FILE *file = fopen(path, "r");
    if (file && fscanf(file, "%d", &pid) != 1)
        pid = 0;
    if (file)
        fclose(file);
    return pid;
}

static void a_runner_that_has_gone_fails_its_calls(void)
{
    struct world world;
    struct asked running = {0}, later = {0};
    world_init(&world, script("slow", "exec sleep 600"));
    ask(&world, &running, "a", "b", "c");
    pid_t pid = only_child();
    CHECK(pid > 1 && kill(pid, SIGKILL) == 0);
    ask_wait(&world, &running);
    CHECK_INT(running.ran.err.kind, ERR_STATE);
    ask(&world, &later, "a", "b", "c");
    ask_wait(&world, &later);
    CHECK_INT(later.ran.err.kind, ERR_STATE);
    CHECK_STR(later.ran.err.what, "the process that runs hooks has ended: restart Portico");
    buf_cleanup(&running.ran.output);
    buf_cleanup(&later.ran.output);
    world_cleanup(&world);
}

static void a_runner_that_is_behind_has_not_gone(void)
{
    enum { MOST = 4096 };
    struct world world;
    struct asked *asked = calloc(MOST, sizeof *asked);
    int num = 0, status;
    world_init(&world, script("quick", "exit 0"));
    pid_t pid = only_child();
    CHECK(pid > 1 && kill(pid, SIGSTOP) == 0);
    CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
    for (;; num++) {
        ask(&world, &asked[num], "a", "b", "c");
        uv_run(&world.uv, UV_RUN_NOWAIT);
        if (asked[num].ran.num_done || num == MOST - 1)
            break;
    }
    CHECK(num > 1);
    CHECK_INT(asked[num].ran.err.kind, ERR_LIMIT);
    CHECK_STR(asked[num].ran.err.what, "the process that runs hooks has too many calls before it");
    CHECK(kill(pid, SIGCONT) == 0);
    for (int i = 0; i < num; i++)
        ask_wait(&world, &asked[i]);
    CHECK(!err_is(asked[0].ran.err));
    for (int i = 0; i <= num; i++)
        buf_cleanup(&asked[i].ran.output);
    free(asked);
    world_cleanup(&world);
}

/* The socket between both is 0 and 1 then. */
static void its_standard_descriptors_may_be_closed(void)
{
    struct world world;
    struct asked asked = {0};
    const char *program = script("plain", "echo out; cat; exit 5");
    close(0);
    close(1);
    world_begin(&world, program);
    CHECK(open("/dev/null", O_RDWR) == 1); /* a loop has no descriptor as low */
    world_attach(&world);
    ask(&world, &asked, "a", "b", "c");
    ask_wait(&world, &asked);
    CHECK(!err_is(asked.ran.err));
    CHECK_INT(asked.ran.exit_code, 5);
    CHECK_STR(buf_cstr(&asked.ran.output), "out\n");
    buf_cleanup(&asked.ran.output);
    world_cleanup(&world);
}

static void it_heeds_no_signal_of_its_group(void)
{
    struct world world;
    struct asked asked = {0};
    world_init(&world, script("plain", "exit 0"));
    ask(&world, &asked, "a", "b", "c"); /* by its end the signals are ignored */
    ask_wait(&world, &asked);
    pid_t pid = only_child();
    CHECK(pid > 1 && kill(pid, SIGTERM) == 0 && kill(pid, SIGINT) == 0 && kill(pid, SIGHUP) == 0);
    asked.ran.num_done = 0;
    ask(&world, &asked, "a", "b", "c");
    ask_wait(&world, &asked);
    CHECK(!err_is(asked.ran.err));
    CHECK(getpgid(pid) == pid);
    buf_cleanup(&asked.ran.output);
    world_cleanup(&world);
}

/* In a process that has had no loop. */
static void run_apart(void (*test)(void))
{
    int status = -1;
    pid_t pid = fork();
    if (pid == 0) {
        test();
        _exit(checks_done());
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

#define RUN_APART(test) (checks_test = #test, run_apart(test))

int main(void)
{
    signal(SIGPIPE, SIG_IGN);                 /* as main does */
    close_range(3, ~0U, CLOSE_RANGE_CLOEXEC); /* what whoever runs the tests has left open */
    if (!mkdtemp(directory))
        return 1;
    RUN_APART(arguments_and_an_environment_without_secrets);
    RUN_APART(arguments_are_plain_words);
    RUN_APART(several_at_a_time);
    RUN_APART(the_forgotten_are_killed_and_silent);
    RUN_APART(a_runner_that_has_gone_fails_its_calls);
    RUN_APART(a_runner_that_is_behind_has_not_gone);
    RUN_APART(its_standard_descriptors_may_be_closed);
    RUN_APART(it_heeds_no_signal_of_its_group);
    RUN(its_output_and_its_exit_code);
    RUN(the_last_of_its_output_is_kept);
    RUN(it_has_no_descriptors_of_ours_and_no_input);
    RUN(its_time_is_limited_and_so_is_its_groups);
    RUN(it_can_be_killed);
    RUN(a_signal_ends_it);
    RUN(what_it_leaves_behind_holds_nobody);
    RUN(a_program_that_is_not_there);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command) != 0 || checks_done();
}
