#include "base/log_sink.h"

#include "base/buf.h"
#include "base/clock.h"
#include "check.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct pipe_ends {
    int in, out; /* what is written to `in` is read from `out` */
};

enum { PIPE_BYTES = 4 * 4096 };

/* A pipe of four pages; each write takes one of its own, as far as poll is concerned. */
static struct pipe_ends small_pipe(void)
{
    int fds[2];
    if (pipe(fds) != 0 || fcntl(fds[1], F_SETPIPE_SZ, PIPE_BYTES) < 0)
        abort();
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    return (struct pipe_ends){.in = fds[1], .out = fds[0]};
}

static void pipe_close(struct pipe_ends ends)
{
    close(ends.in);
    close(ends.out);
}

static void read_all(int fd, struct buf *out)
{
    ssize_t n;
    while ((n = read(fd, buf_reserve(out, 65536), 65536)) > 0)
        out->len += (size_t)n;
}

static void fill(struct log_sink *sink, size_t len)
{
    struct buf line = {0};
    memset(buf_reserve(&line, len), 'f', len);
    line.len = len;
    line.ptr[len - 1] = '\n';
    log_sink_write(sink, buf_slice(&line));
    buf_cleanup(&line);
}

static void writes_pieces_of_lines(void)
{
    struct pipe_ends ends = small_pipe();
    struct log_sink sink;
    struct buf got = {0};
    log_sink_init(&sink, ends.in);
    log_sink_write(&sink, SLICE_LIT("one\ntw"));
    log_sink_write(&sink, SLICE_LIT("o\n"));
    log_sink_write(&sink, SLICE_NONE);
    read_all(ends.out, &got);
    CHECK_SLICE(buf_slice(&got), "one\ntwo\n");
    CHECK_INT(log_sink_num_lost(&sink), 0);
    CHECK(!log_sink_time_up(&sink));
    buf_cleanup(&got);
    pipe_close(ends);
}

static void gives_up_when_time_is_up(void)
{
    struct pipe_ends ends = small_pipe();
    struct log_sink sink;
    log_sink_init(&sink, ends.in);
    fill(&sink, PIPE_BYTES);
    int64_t start = clock_system.mono_ms(&clock_system);
    log_sink_give_up_at(&sink, start + 200);
    log_sink_write(&sink, SLICE_LIT("a\nb\nc\n"));
    int64_t took = clock_system.mono_ms(&clock_system) - start;
    CHECK(took >= 200 && took < 2000);
    CHECK_INT(log_sink_num_lost(&sink), 3);
    CHECK(log_sink_time_up(&sink));
    /* a consumer that stalled is not waited for again */
    log_sink_give_up_at(&sink, INT64_MAX);
    log_sink_write(&sink, SLICE_LIT("d\n"));
    CHECK_INT(log_sink_num_lost(&sink), 4);
    /* until it takes bytes again */
    struct buf got = {0};
    read_all(ends.out, &got);
    fill(&sink, PIPE_BYTES);
    start = clock_system.mono_ms(&clock_system);
    log_sink_give_up_at(&sink, start + 100);
    log_sink_write(&sink, SLICE_LIT("e\n"));
    CHECK(clock_system.mono_ms(&clock_system) - start >= 100);
    CHECK_INT(log_sink_num_lost(&sink), 5);
    buf_cleanup(&got);
    pipe_close(ends);
}

/* A line of which a part is out cannot be taken back: it is ended, the rest of it skipped, and the next is whole. */
static void a_cut_line_does_not_spoil_the_next(void)
{
    struct pipe_ends ends = small_pipe();
    struct log_sink sink;
    struct buf got = {0};
    log_sink_init(&sink, ends.in);
    log_sink_write(&sink, SLICE_LIT("cut"));
    fill(&sink, 1); /* "cut\n": the line goes on in pieces */
    log_sink_write(&sink, SLICE_LIT("begin"));
    fcntl(ends.in, F_SETFL, O_NONBLOCK); /* somebody else may do that; then poll and write may disagree */
    char block[4096];
    memset(block, 'x', sizeof block);
    while (write(ends.in, block, sizeof block) > 0 || write(ends.in, block, 1) > 0)
        continue;
    log_sink_give_up_at(&sink, 0);
    log_sink_write(&sink, SLICE_LIT("end\nlost\nhalf"));
    CHECK_INT(log_sink_num_lost(&sink), 3);
    read_all(ends.out, &got);
    got.len = 0;
    log_sink_write(&sink, SLICE_LIT(" of a line that was lost"));
    log_sink_write(&sink, SLICE_LIT(", up to here\nwhole\n"));
    read_all(ends.out, &got);
    CHECK_SLICE(buf_slice(&got), "\nwhole\n");
    CHECK_INT(log_sink_num_lost(&sink), 3);
    got.len = 0;
    log_sink_write(&sink, SLICE_LIT("next\n"));
    read_all(ends.out, &got);
    CHECK_SLICE(buf_slice(&got), "next\n");
    buf_cleanup(&got);
    pipe_close(ends);
}

static void a_reader_that_left_is_an_error(void)
{
    struct pipe_ends ends = small_pipe();
    struct log_sink sink;
    log_sink_init(&sink, ends.in);
    close(ends.out);
    log_sink_write(&sink, SLICE_LIT("a\nb\n"));
    CHECK_INT(log_sink_num_lost(&sink), 2);
    close(ends.in);
    log_sink_write(&sink, SLICE_LIT("c\n")); /* a descriptor that is none */
    CHECK_INT(log_sink_num_lost(&sink), 3);
}

static void sockets_never_block(void)
{
    int fds[2];
    struct log_sink sink;
    struct buf got = {0};
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0)
        abort();
    log_sink_init(&sink, fds[0]);
    log_sink_give_up_at(&sink, 0);
    fill(&sink, 8000000); /* far more than a socket holds */
    CHECK_INT(log_sink_num_lost(&sink), 1);
    fcntl(fds[1], F_SETFL, O_NONBLOCK);
    read_all(fds[1], &got);
    CHECK(got.len > 0 && got.ptr[got.len - 1] == 'f');
    got.len = 0;
    log_sink_write(&sink, SLICE_LIT("after\n"));
    read_all(fds[1], &got);
    CHECK_SLICE(buf_slice(&got), "\nafter\n");
    buf_cleanup(&got);
    close(fds[0]);
    close(fds[1]);
}

static void files_take_all(void)
{
    char path[] = "/tmp/log_sink_test.XXXXXX";
    int fd = mkstemp(path);
    struct log_sink sink;
    unlink(path);
    log_sink_init(&sink, fd);
    fill(&sink, 1000000);
    CHECK_INT(lseek(fd, 0, SEEK_CUR), 1000000);
    CHECK_INT(log_sink_num_lost(&sink), 0);
    close(fd);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN); /* as main does */
    RUN(writes_pieces_of_lines);
    RUN(gives_up_when_time_is_up);
    RUN(a_cut_line_does_not_spoil_the_next);
    RUN(a_reader_that_left_is_an_error);
    RUN(sockets_never_block);
    RUN(files_take_all);
    return checks_done();
}
