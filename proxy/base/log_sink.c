#include "base/log_sink.h"

#include "base/clock.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOOK_UP_MS = 50 }; /* how long give_up_ms may go unnoticed */

/* A write to a pipe or terminal blocks where it asks for more than there is room: after a poll that found it writable,
 * PIPE_BUF bytes fit into a pipe. Sockets have MSG_DONTWAIT, files do not stall. */
void log_sink_init(struct log_sink *sink, int fd)
{
    struct stat stat = {0};
    *sink = (struct log_sink){.fd = fd, .give_up_ms = INT64_MAX, .chunk_bytes = PIPE_BUF};
    if (fstat(fd, &stat) != 0)
        return;
    sink->is_socket = S_ISSOCK(stat.st_mode);
    if (sink->is_socket || S_ISREG(stat.st_mode))
        sink->chunk_bytes = SSIZE_MAX;
}

void log_sink_give_up_at(struct log_sink *sink, int64_t mono_ms)
{
    atomic_store(&sink->give_up_ms, mono_ms);
}

static int64_t left_ms(const struct log_sink *sink)
{
    return atomic_load(&sink->give_up_ms) - clock_system.mono_ms(&clock_system);
}

bool log_sink_time_up(const struct log_sink *sink)
{
    return left_ms(sink) <= 0;
}

uint64_t log_sink_num_lost(const struct log_sink *sink)
{
    return atomic_load_explicit(&sink->num_lost, memory_order_relaxed);
}

/* False where the time is up. A descriptor in error counts as writable: the write will say what is wrong. */
static bool wait_writable(struct log_sink *sink)
{
    struct pollfd poll_fd = {.fd = sink->fd, .events = POLLOUT};
    for (;;) {
        int64_t left = left_ms(sink);
        bool time_up = sink->stalled || left <= 0;
        int timeout_ms = time_up ? 0 : left < LOOK_UP_MS ? (int)left : LOOK_UP_MS;
        if (poll(&poll_fd, 1, timeout_ms) > 0)
            return true;
        if (time_up) {
            sink->stalled = true;
            return false;
        }
    }
}

/* Bytes written, or -1 where the descriptor is of no use now. */
static ssize_t write_some(struct log_sink *sink, struct slice bytes)
{
    struct slice chunk = slice_first(bytes, sink->chunk_bytes);
    while (wait_writable(sink)) {
        ssize_t n = sink->is_socket ? send(sink->fd, chunk.ptr, chunk.len, MSG_DONTWAIT | MSG_NOSIGNAL)
                                    : write(sink->fd, chunk.ptr, chunk.len);
        if (n > 0)
            sink->mid_line = chunk.ptr[n - 1] != '\n';
        if (n >= 0) {
            sink->stalled = false;
            return n;
        }
        if (errno != EAGAIN && errno != EINTR)
            return -1;
    }
    return -1;
}

static void give_up(struct log_sink *sink, struct slice lost)
{
    uint64_t num = 0;
    sink->cut = sink->mid_line;
    sink->skipping = lost.ptr[lost.len - 1] != '\n';
    while (lost.len) {
        slice_split(&lost, '\n');
        num++;
    }
    atomic_fetch_add_explicit(&sink->num_lost, num, memory_order_relaxed);
}

static bool write_all(struct log_sink *sink, struct slice *bytes)
{
    while (bytes->len) {
        ssize_t n = write_some(sink, *bytes);
        if (n < 0)
            return false;
        *bytes = slice_skip(*bytes, (size_t)n);
    }
    return true;
}

void log_sink_write(struct log_sink *sink, struct slice bytes)
{
    struct slice newline = SLICE_LIT("\n");
    if (sink->skipping) {
        const char *end = bytes.len ? memchr(bytes.ptr, '\n', bytes.len) : NULL;
        sink->skipping = !end;
        bytes = slice_skip(bytes, end ? (size_t)(end - bytes.ptr) + 1 : bytes.len);
    }
    if (bytes.len == 0)
        return;
    if ((sink->cut && !write_all(sink, &newline)) || !write_all(sink, &bytes))
        give_up(sink, bytes);
    else
        sink->cut = false;
}
