#include "net/runner.h"

#include "net/runner_process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct runner {
    unsigned refs;
    pid_t pid;
    int fd; /* -1: the other side has gone */
    char *program;
    struct net_loop *loop;
    uv_poll_t poll;
    struct list calls;  /* of struct runner_call, told to the other side */
    struct list failed; /* whose done is due */
    struct deferred tell;
    uint32_t last_id;
};

/* ---- life ---- */

struct err runner_new(const struct runner_options *options, struct runner **out_runner)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
        return err_errno("make a socket to the process that runs hooks");
    pid_t pid = fork();
    if (pid == 0)
        runner_process(options, fds[1]);
    close(fds[1]);
    if (pid < 0) {
        close(fds[0]);
        return err_errno("fork the process that runs hooks");
    }
    struct runner *runner = MEM_NEW(struct runner);
    *runner = (struct runner){.refs = 1, .pid = pid, .fd = fds[0], .program = mem_strdup(options->program)};
    list_init(&runner->calls);
    list_init(&runner->failed);
    *out_runner = runner;
    return ERR_OK;
}

static void runner_free(struct runner *runner)
{
    mem_free(runner->program);
    mem_free(runner);
}

static void runner_closed(uv_handle_t *handle)
{
    runner_free(container_of((uv_poll_t *)(void *)handle, struct runner, poll));
}

/* It ends by itself; whoever ends behind us is init's. */
static void runner_hang_up(struct runner *runner)
{
    if (runner->fd < 0)
        return;
    if (runner->loop)
        uv_poll_stop(&runner->poll);
    close(runner->fd);
    runner->fd = -1;
}

struct runner *runner_ref(struct runner *runner)
{
    runner->refs++;
    return runner;
}

void runner_unref(struct runner *runner)
{
    if (!runner || --runner->refs > 0)
        return;
    runner_hang_up(runner);
    waitpid(runner->pid, NULL, WNOHANG);
    if (!runner->loop) {
        runner_free(runner);
        return;
    }
    deferred_stop(&runner->tell);
    uv_close((uv_handle_t *)&runner->poll, runner_closed);
}

struct slice runner_program(const struct runner *runner)
{
    return slice_str(runner->program);
}

/* ---- answers ---- */

static void call_finish(struct runner_call *call, const struct child_result *result)
{
    list_remove(&call->node);
    call->runner = NULL;
    call->done(call, result);
}

static void runner_tell(struct deferred *deferred)
{
    struct runner *runner = container_of(deferred, struct runner, tell);
    struct list *node;
    while ((node = list_first(&runner->failed))) {
        struct runner_call *call = container_of(node, struct runner_call, node);
        struct child_result result = {.err = call->why};
        call_finish(call, &result);
    }
}

static void call_fail(struct runner_call *call, struct err why)
{
    struct runner *runner = call->runner;
    call->why = why;
    list_remove(&call->node);
    list_append(&runner->failed, &call->node);
    deferred_start(runner->loop, &runner->tell);
}

static struct err runner_gone(void)
{
    return err_make(ERR_STATE, 0, "the process that runs hooks has ended: restart Portico");
}

static void runner_lost(struct runner *runner)
{
    struct list *node;
    runner_hang_up(runner);
    waitpid(runner->pid, NULL, WNOHANG);
    while ((node = list_first(&runner->calls)))
        call_fail(container_of(node, struct runner_call, node), runner_gone());
}

static const char *answer_what(const struct runner_answer *answer)
{
    switch ((enum err_kind)answer->kind) {
    case ERR_TIMEOUT: return "the program did not end in time and was killed";
    case ERR_CANCELED: return "the program was killed";
    case ERR_NONE:
    case ERR_SYSTEM:
    case ERR_UV:
    case ERR_TLS:
    case ERR_INPUT:
    case ERR_LIMIT:
    case ERR_EOF:
    case ERR_STATE: break;
    }
    return "run the program";
}

static void runner_take(struct runner *runner, const struct runner_answer *answer)
{
    struct child_result result = {.exit_code = answer->exit_code,
                                  .output = slice_make(answer->output, answer->output_len)};
    if (answer->kind != ERR_NONE)
        result.err = err_make((enum err_kind)answer->kind, answer->code, answer_what(answer));
    LIST_EACH(&runner->calls, node)
    {
        struct runner_call *call = container_of(node, struct runner_call, node);
        if (call->id != answer->id)
            continue;
        call_finish(call, &result);
        return;
    }
}

static void runner_readable(uv_poll_t *poll, int status, int events)
{
    struct runner *runner = container_of(poll, struct runner, poll);
    struct runner_answer answer;
    (void)events;
    ssize_t len = recv(runner->fd, &answer, sizeof answer, MSG_DONTWAIT);
    if (len < 0 && (errno == EAGAIN || errno == EINTR) && status == 0)
        return;
    size_t head = offsetof(struct runner_answer, output);
    if (len < (ssize_t)head || (size_t)len != head + answer.output_len)
        runner_lost(runner);
    else
        runner_take(runner, &answer);
}

void runner_attach(struct runner *runner, struct net_loop *loop)
{
    runner->loop = loop;
    deferred_init(&runner->tell, runner_tell);
    uv_poll_init(loop->uv, &runner->poll, runner->fd);
    uv_poll_start(&runner->poll, UV_READABLE, runner_readable);
}

/* ---- calls ---- */

static struct err runner_send(const struct runner *runner, const struct runner_request *request)
{
    if (runner->fd < 0)
        return runner_gone();
    if (send(runner->fd, request, sizeof *request, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof *request)
        return ERR_OK;
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)
        return err_make(ERR_LIMIT, 0, "the process that runs hooks has too many calls before it");
    return runner_gone();
}

void runner_run(struct runner *runner, const struct slice words[RUNNER_WORDS], uint64_t limit_ms,
                struct runner_call *call)
{
    struct runner_request request = {.id = ++runner->last_id, .limit_ms = limit_ms};
    struct err err = err_make(ERR_INPUT, 0, "the program's arguments are no plain words");
    bool sound = true;
    for (size_t i = 0; i < RUNNER_WORDS; i++) {
        sound = sound && runner_is_word(words[i]);
        if (sound)
            memcpy(request.words[i], words[i].ptr, words[i].len);
    }
    call->runner = runner;
    call->id = request.id;
    list_init(&call->node);
    list_append(&runner->calls, &call->node);
    if (sound)
        err = runner_send(runner, &request);
    if (err_is(err))
        call_fail(call, err);
}

void runner_forget(struct runner_call *call)
{
    struct runner_request request = {.id = call->id, .stop = 1};
    if (!call->runner)
        return;
    struct err err = runner_send(call->runner, &request);
    (void)err; /* otherwise it ends at its limit */
    list_remove(&call->node);
    call->runner = NULL;
}
