#include "net/runner_process.h"

#include "base/list.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CLOSE_RANGE = 436, RUNNER_FD = 3, MOST_FDS = 65536 };

struct process {
    uv_loop_t uv;
    uv_poll_t poll;
    const struct runner_options *options;
    char **environment; /* what every program gets; RUNNER_WORDS free places and a NULL at its end */
    size_t num_environment;
    struct list runs;
    size_t num_runs;
};

struct run {
    struct list node;
    struct process *process;
    struct child *child;
    uint32_t id;
};

bool runner_is_word(struct slice word)
{
    if (word.len == 0 || word.len >= RUNNER_WORD_BYTES || word.ptr[0] == '-') /* no option of the program's */
        return false;
    for (size_t i = 0; i < word.len; i++) {
        char c = slice_lower_char(word.ptr[i]);
        if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-')
            return false;
    }
    return true;
}

/* ---- answers ---- */

static void process_answer(uint32_t id, const struct child_result *result)
{
    struct runner_answer answer = {.id = id,
                                   .kind = result->err.kind,
                                   .code = result->err.code,
                                   .exit_code = result->exit_code,
                                   .output_len = (uint32_t)result->output.len};
    if (result->output.len)
        memcpy(answer.output, result->output.ptr, result->output.len);
    size_t len = offsetof(struct runner_answer, output) + answer.output_len;
    /* It waits where the other side is slow: a turn of its loop. */
    while (send(RUNNER_FD, &answer, len, MSG_NOSIGNAL) < 0 && errno == EINTR)
        ;
}

static void process_refuse(uint32_t id, struct err err)
{
    struct child_result result = {.err = err};
    process_answer(id, &result);
}

static void run_done(void *ctx, const struct child_result *result)
{
    struct run *run = ctx;
    process_answer(run->id, result);
    list_remove(&run->node);
    run->process->num_runs--;
    mem_free(run);
}

/* ---- requests ---- */

static bool request_is_sound(struct runner_request *request)
{
    for (size_t i = 0; i < RUNNER_WORDS; i++) {
        char *word = request->words[i];
        word[RUNNER_WORD_BYTES - 1] = '\0';
        if (!runner_is_word(slice_str(word)))
            return false;
    }
    return true;
}

static struct child *process_spawn(struct process *process, struct runner_request *request, struct run *run)
{
    char named[RUNNER_WORDS][RUNNER_WORD_BYTES + 64];
    char *args[RUNNER_WORDS + 2] = {(char *)process->options->program};
    for (size_t i = 0; i < RUNNER_WORDS; i++) {
        args[i + 1] = request->words[i];
        snprintf(named[i], sizeof named[i], "%s=%s", process->options->names[i], request->words[i]);
        process->environment[process->num_environment + i] = named[i];
    }
    struct child_options options = {
        .args = args, .environment = process->environment, .limit_ms = request->limit_ms, .ctx = run};
    return child_start(&process->uv, &options, run_done); /* the copies have been made when it returns */
}

static void process_run(struct process *process, struct runner_request *request)
{
    if (process->num_runs >= RUNNER_MOST || !request_is_sound(request)) {
        process_refuse(request->id, err_make(ERR_LIMIT, 0, "run the program"));
        return;
    }
    struct run *run = MEM_NEW(struct run);
    *run = (struct run){.process = process, .id = request->id};
    list_init(&run->node);
    list_append(&process->runs, &run->node);
    process->num_runs++;
    run->child = process_spawn(process, request, run);
}

static void process_stop(struct process *process, uint32_t id)
{
    LIST_EACH(&process->runs, node)
    {
        struct run *run = container_of(node, struct run, node);
        if (run->id == id)
            child_kill(run->child);
    }
}

static void process_readable(uv_poll_t *poll, int status, int events)
{
    struct process *process = container_of(poll, struct process, poll);
    struct runner_request request;
    ssize_t len = recv(RUNNER_FD, &request, sizeof request, MSG_DONTWAIT);
    (void)events;
    if (len < 0 && (errno == EAGAIN || errno == EINTR) && status == 0)
        return;
    if (len <= 0) { /* whoever asked has gone: what runs comes to its end, then this process does */
        uv_close((uv_handle_t *)poll, NULL);
        return;
    }
    if (len != (ssize_t)sizeof request)
        return;
    if (request.stop)
        process_stop(process, request.id);
    else
        process_run(process, &request);
}

/* ---- what it is made of ---- */

/* The socket becomes descriptor 3; nothing else stays open. Whoever started us may have left 0 to 2 closed: then the socket
 * may be one of them, and moves out of the way first. */
static void process_close_others(int fd)
{
    fd = fcntl(fd, F_DUPFD_CLOEXEC, RUNNER_FD + 1);
    if (fd < 0)
        _exit(1);
    int null = open("/dev/null", O_RDWR);
    for (int i = 0; i <= 2; i++)
        dup2(null, i);
    dup2(fd, RUNNER_FD);
    if (syscall(CLOSE_RANGE, (unsigned)RUNNER_FD + 1, ~0U, 0) != 0)
        for (int i = RUNNER_FD + 1; i < MOST_FDS; i++)
            close(i);
    fcntl(RUNNER_FD, F_SETFD, FD_CLOEXEC);
}

/* A service manager tells all processes of a group, a terminal all of its own: hooks are to finish what they have begun. */
static void process_leave_group(void)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGUSR1, SIGPIPE};
    sigset_t none;
    setsid();
    prctl(PR_SET_NAME, "portico-hooks", 0, 0, 0);
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
        signal(ignored[i], SIG_IGN);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); /* low ports are ours alone */
}

static bool variable_passes(struct slice variable)
{
    static const char *const names[] = {
        "PATH=",       "HOME=",     "USER=",          "LOGNAME=",      "SHELL=",       "LANG=",        "LANGUAGE=",
        "TZ=",         "TMPDIR=",   "SSL_CERT_FILE=", "SSL_CERT_DIR=", "HTTPS_PROXY=", "https_proxy=", "HTTP_PROXY=",
        "http_proxy=", "NO_PROXY=", "no_proxy=",      "LC_",           "HOOK_"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (slice_starts(variable, slice_str(names[i])))
            return true;
    return false;
}

static void process_choose_environment(struct process *process)
{
    const char *const *all = process->options->environment;
    size_t num = 0, most = 0;
    while (all[most])
        most++;
    char **environment = mem_calloc(most + 1 + RUNNER_WORDS + 1, sizeof *environment);
    bool has_path = false;
    for (size_t i = 0; i < most; i++) {
        struct slice variable = slice_str(all[i]);
        if (!variable_passes(variable))
            continue;
        has_path = has_path || slice_starts(variable, SLICE_LIT("PATH="));
        environment[num++] = mem_strdup(all[i]);
    }
    if (!has_path)
        environment[num++] = mem_strdup("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    process->environment = environment;
    process->num_environment = num;
}

void runner_process(const struct runner_options *options, int fd)
{
    struct process process = {.options = options};
    process_close_others(fd);
    process_leave_group();
    process_choose_environment(&process);
    list_init(&process.runs);
    if (uv_loop_init(&process.uv) != 0 || uv_poll_init(&process.uv, &process.poll, RUNNER_FD) != 0)
        _exit(1);
    /* uv_poll has made it non-blocking; answers are to wait, and requests are read with MSG_DONTWAIT. */
    fcntl(RUNNER_FD, F_SETFL, fcntl(RUNNER_FD, F_GETFL) & ~O_NONBLOCK);
    uv_poll_start(&process.poll, UV_READABLE, process_readable);
    uv_run(&process.uv, UV_RUN_DEFAULT);
    _exit(0); /* no memory of the parent's is tidied up here */
}
