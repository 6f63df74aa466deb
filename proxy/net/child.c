#include "net/child.h"

#include "base/buf.h"
#include "base/mem.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

enum { CHILD_LAST_READS = 64 }; /* behind its end: what it has started may write for ever */

struct child {
    uv_process_t process;
    uv_pipe_t output;
    uv_timer_t limit;
    int handles_open;
    bool spawned, ended;
    struct err err;
    int64_t exit_code;
    int signal;
    struct buf kept;
    char in[CHILD_OUTPUT_BYTES];
    void *ctx;
    void (*done)(void *ctx, const struct child_result *result);
};

static void child_closed(uv_handle_t *handle)
{
    struct child *child = handle->data;
    if (--child->handles_open > 0)
        return;
    struct child_result result = {.err = child->err,
                                  .exit_code = child->signal ? 128 + child->signal : (int)child->exit_code,
                                  .output = buf_slice(&child->kept)};
    child->done(child->ctx, &result);
    buf_cleanup(&child->kept);
    mem_free(child);
}

static void child_end(struct child *child)
{
    child->ended = true;
    if (child->spawned)
        uv_close((uv_handle_t *)&child->process, child_closed);
    uv_close((uv_handle_t *)&child->output, child_closed);
    uv_close((uv_handle_t *)&child->limit, child_closed);
}

/* ---- output ---- */

/* What matters is said last. */
static void child_keep(struct child *child, size_t len)
{
    buf_append(&child->kept, child->in, len);
    if (child->kept.len > CHILD_OUTPUT_BYTES)
        buf_consume(&child->kept, child->kept.len - CHILD_OUTPUT_BYTES);
}

static void child_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct child *child = handle->data;
    (void)suggested;
    *out = uv_buf_init(child->in, sizeof child->in);
}

static void child_read(uv_stream_t *stream, ssize_t num, const uv_buf_t *buf)
{
    struct child *child = stream->data;
    (void)buf;
    if (num > 0)
        child_keep(child, (size_t)num);
    else if (num < 0)
        uv_read_stop(stream);
}

/* The end of the program need not be the end of its output's pipe. */
static void child_read_rest(struct child *child)
{
    uv_os_fd_t fd;
    uv_read_stop((uv_stream_t *)&child->output);
    if (uv_fileno((uv_handle_t *)&child->output, &fd) != 0)
        return;
    for (int i = 0; i < CHILD_LAST_READS; i++) {
        ssize_t num = read(fd, child->in, sizeof child->in);
        if (num <= 0)
            return;
        child_keep(child, (size_t)num);
    }
}

/* ---- life ---- */

static void child_kill_group(struct child *child, struct err why)
{
    if (child->ended || err_is(child->err))
        return;
    child->err = why;
    kill(-child->process.pid, SIGKILL);
}

static void child_expired(uv_timer_t *timer)
{
    child_kill_group(timer->data, err_make(ERR_TIMEOUT, 0, "the program did not end in time and was killed"));
}

void child_kill(struct child *child)
{
    child_kill_group(child, err_make(ERR_CANCELED, 0, "the program was killed"));
}

static void child_exited(uv_process_t *process, int64_t exit_code, int signal)
{
    struct child *child = process->data;
    child->exit_code = exit_code;
    child->signal = signal;
    child_read_rest(child);
    child_end(child);
}

/* The program's end of the pipe, or -1. */
static int child_open_output(struct child *child)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0)
        return -1;
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    if (uv_pipe_open(&child->output, fds[0]) == 0)
        return fds[1];
    close(fds[0]);
    close(fds[1]);
    return -1;
}

static int child_spawn(struct child *child, uv_loop_t *uv, const struct child_options *options, int out)
{
    uv_stdio_container_t stdio[] = {
        {.flags = UV_IGNORE},
        {.flags = UV_INHERIT_FD, .data.fd = out},
        {.flags = UV_INHERIT_FD, .data.fd = out},
    };
    uv_process_options_t process = {.exit_cb = child_exited,
                                    .file = options->args[0],
                                    .args = (char **)options->args,
                                    .env = (char **)options->environment,
                                    .cwd = "/",
                                    .flags = UV_PROCESS_DETACHED, /* a session and a process group of its own */
                                    .stdio_count = 3,
                                    .stdio = stdio};
    return uv_spawn(uv, &child->process, &process);
}

/* Its handle has to be closed even where this fails. */
static struct err child_run(struct child *child, uv_loop_t *uv, const struct child_options *options)
{
    int out = child_open_output(child);
    if (out < 0)
        return err_errno("open a pipe for the program's output");
    int status = child_spawn(child, uv, options, out);
    close(out);
    child->spawned = true;
    child->handles_open++;
    return status == 0 ? ERR_OK : err_make(ERR_UV, status, "run the program");
}

struct child *child_start(uv_loop_t *uv, const struct child_options *options,
                          void (*done)(void *ctx, const struct child_result *result))
{
    struct child *child = MEM_NEW(struct child);
    child->ctx = options->ctx;
    child->done = done;
    child->handles_open = 2;
    child->process.data = child->output.data = child->limit.data = child;
    uv_pipe_init(uv, &child->output, 0);
    uv_timer_init(uv, &child->limit);
    child->err = child_run(child, uv, options);
    if (err_is(child->err)) {
        child_end(child);
        return child;
    }
    uv_read_start((uv_stream_t *)&child->output, child_alloc, child_read);
    uv_timer_start(&child->limit, child_expired, options->limit_ms, 0);
    return child;
}
