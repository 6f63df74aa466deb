#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/json_read.h"
#include "base/limits.h"
#include "base/mem.h"
#include "check.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* A consumer at the other end of a pipe: reads in a thread of its own until the pipe is closed, unless it stalls. */
struct consumer {
    int read_fd, write_fd;
    pthread_t thread;
    struct buf got;
};

static void *consume(void *arg)
{
    struct consumer *consumer = arg;
    ssize_t n;
    while ((n = read(consumer->read_fd, buf_reserve(&consumer->got, 65536), 65536)) > 0)
        consumer->got.len += (size_t)n;
    return NULL;
}

static struct consumer *consumer_stalled(void)
{
    struct consumer *consumer = MEM_NEW(struct consumer);
    int fds[2];
    if (pipe(fds) != 0)
        abort();
    consumer->read_fd = fds[0];
    consumer->write_fd = fds[1];
    return consumer;
}

static void consumer_start(struct consumer *consumer)
{
    pthread_create(&consumer->thread, NULL, consume, consumer);
}

static struct consumer *consumer_new(void)
{
    struct consumer *consumer = consumer_stalled();
    consumer_start(consumer);
    return consumer;
}

/* All that was written, when the writing end has been closed. */
static struct slice consumer_end(struct consumer *consumer)
{
    close(consumer->write_fd);
    pthread_join(consumer->thread, NULL);
    return buf_slice(&consumer->got);
}

static void consumer_free(struct consumer *consumer)
{
    close(consumer->read_fd);
    buf_cleanup(&consumer->got);
    mem_free(consumer);
}

static size_t count(struct slice text, const char *what)
{
    size_t num = 0;
    for (const char *at = text.ptr;
         text.len && (at = memmem(at, (size_t)(text.ptr + text.len - at), what, strlen(what))); at++)
        num++;
    return num;
}

static int64_t now_ms(void)
{
    return clock_system.mono_ms(&clock_system);
}

static void direct_before_start_and_after_stop(void)
{
    struct consumer *consumer = consumer_new();
    struct log *log = log_new(consumer->write_fd, LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
    struct log_ring *ring = log_ring_new(log, "main");
    LOG_INFO_EVENT(ring, "before", LOG_INT("n", 1));
    log_start(log);
    LOG_INFO_EVENT(ring, "within", LOG_INT("n", 2));
    log_stop(log);
    LOG_INFO_EVENT(ring, "between", LOG_INT("n", 3));
    log_stop(log); /* harmless */
    log_start(log);
    LOG_INFO_EVENT(ring, "again", LOG_INT("n", 4));
    log_stop(log);
    LOG_INFO_EVENT(ring, "after", LOG_INT("n", 5));
    log_free(log);
    struct slice got = consumer_end(consumer);
    static const char *const in_order[] = {"before n=1\n", "within n=2\n", "between n=3\n", "again n=4\n",
                                           "after n=5\n"};
    const char *at = buf_cstr(&consumer->got);
    for (size_t i = 0; i < 5 && at; i++)
        CHECK((at = strstr(at, in_order[i])) != NULL);
    CHECK_INT(count(got, "\n"), 5);
    consumer_free(consumer);
}

static void levels_and_no_ring(void)
{
    struct consumer *consumer = consumer_new();
    struct log *log = log_new(consumer->write_fd, LOG_FORMAT_JSON, LOG_LEVEL_WARN);
    struct log_ring *ring = log_ring_new(log, "main");
    CHECK(!log_enabled(ring, LOG_LEVEL_INFO) && log_enabled(ring, LOG_LEVEL_WARN) &&
          log_enabled(ring, LOG_LEVEL_ERROR));
    LOG_INFO_EVENT(ring, "silent", LOG_INT("n", 1));
    LOG_ERROR_EVENT(ring, "loud", LOG_INT("n", 1));
    log_set_level(log, LOG_LEVEL_DEBUG);
    CHECK_INT(log_get_level(log), LOG_LEVEL_DEBUG);
    LOG_DEBUG_EVENT(ring, "loud", LOG_INT("n", 2));
    CHECK(!log_enabled(NULL, LOG_LEVEL_ERROR));
    LOG_ERROR_EVENT(NULL, "nowhere", LOG_INT("n", 1));
    log_line(NULL, SLICE_LIT("nowhere"));
    log_event(ring, LOG_LEVEL_INFO, "bare", NULL, 0);
    log_free(log);
    log_free(NULL);
    struct slice got = consumer_end(consumer);
    CHECK_INT(count(got, "\n"), 3);
    CHECK_INT(count(got, "\"loud\""), 2);
    CHECK_INT(count(got, "\"event\":\"bare\"}"), 1);
    consumer_free(consumer);
}

static void finished_lines(void)
{
    struct consumer *consumer = consumer_new();
    struct log *log = log_new(consumer->write_fd, LOG_FORMAT_JSON, LOG_LEVEL_ERROR);
    struct log_ring *ring = log_ring_new(log, "main");
    char *line = mem_calloc(1, LIMIT_LOG_LINE_BYTES);
    memset(line, 'x', LIMIT_LOG_LINE_BYTES);
    log_line(ring, SLICE_LIT("whole {}"));
    CHECK_INT(log_num_dropped(log), 0);
    log_line(ring, SLICE_LIT("two\nlines"));
    log_line(ring, slice_make(line, LIMIT_LOG_LINE_BYTES)); /* with its newline too long */
    CHECK_INT(log_num_dropped(log), 2);
    log_line(ring, slice_make(line, LIMIT_LOG_LINE_BYTES - 1));
    log_free(log);
    struct slice got = consumer_end(consumer);
    CHECK_INT(count(got, "whole {}\n"), 1);
    CHECK_INT(count(got, "two"), 0);
    CHECK_INT(count(got, "log_lines_dropped"), 1); /* told before the next line, whatever the level */
    CHECK_INT(count(got, "\"num\":2}"), 1);
    CHECK_INT(count(got, "\n"), 3);
    mem_free(line);
    consumer_free(consumer);
}

static void priorities_for_the_journal(void)
{
    struct consumer *consumer = consumer_new();
    struct log *log = log_new(consumer->write_fd, LOG_FORMAT_TEXT, LOG_LEVEL_DEBUG);
    struct log_ring *ring = log_ring_new(log, "main");
    log_tell_priorities(log);
    log_event(ring, LOG_LEVEL_DEBUG, "a", NULL, 0);
    log_event(ring, LOG_LEVEL_INFO, "b", NULL, 0);
    log_event(ring, LOG_LEVEL_WARN, "c", NULL, 0);
    log_event(ring, LOG_LEVEL_ERROR, "d", NULL, 0);
    log_line(ring, SLICE_LIT("an answer"));
    log_free(log);
    struct slice got = consumer_end(consumer);
    CHECK(slice_starts(got, SLICE_LIT("<7>2")));
    CHECK_INT(count(got, "\n<6>2"), 1);
    CHECK_INT(count(got, "\n<4>2"), 1);
    CHECK_INT(count(got, "\n<3>2"), 1);
    CHECK_INT(count(got, "\n<6>an answer\n"), 1);
    consumer_free(consumer);
}

enum { THREADS = 4, LINES = 5000 };

struct producer {
    struct log_ring *ring;
    int id;
    pthread_t thread;
};

static void *produce(void *arg)
{
    struct producer *producer = arg;
    for (int i = 0; i < LINES; i++) {
        LOG_INFO_EVENT(producer->ring, "step", LOG_INT("thread", producer->id), LOG_INT("i", i), LOG_STR("s", "a b c"));
        if (i % 500 == 0) /* lets the writer fall asleep now and then */
            nanosleep(&(struct timespec){.tv_nsec = 3000000}, NULL);
    }
    return NULL;
}

/* Every line is whole; those of a thread come in their order; what is missing was counted. */
static void check_steps(struct slice got, uint64_t num_dropped)
{
    int next[THREADS] = {0};
    uint64_t num_steps = 0;
    struct arena arena = {0};
    while (got.len) {
        struct json *json = NULL;
        struct slice line = slice_split(&got, '\n');
        int64_t thread = 0, i = 0;
        arena_reset(&arena);
        CHECK(!err_is(json_parse(&arena, line, 0, &json)));
        if (!slice_eq(json_get_string(json, "event"), SLICE_LIT("step")))
            continue;
        CHECK(json_get_int(json, "thread", 0, THREADS - 1, &thread) &&
              json_get_int(json, "i", next[thread], LINES - 1, &i));
        next[thread] = (int)i + 1;
        num_steps++;
    }
    CHECK_INT(num_steps + num_dropped, THREADS * LINES);
    arena_cleanup(&arena);
}

static void threads_log_at_once(void)
{
    struct consumer *consumer = consumer_new();
    struct log *log = log_new(consumer->write_fd, LOG_FORMAT_JSON, LOG_LEVEL_INFO);
    struct producer producers[THREADS];
    log_start(log);
    for (int i = 0; i < THREADS; i++) {
        producers[i] = (struct producer){.ring = log_ring_new(log, "worker"), .id = i};
        pthread_create(&producers[i].thread, NULL, produce, &producers[i]);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(producers[i].thread, NULL);
    log_stop(log);
    uint64_t num_dropped = log_num_dropped(log);
    log_free(log);
    check_steps(consumer_end(consumer), num_dropped);
    consumer_free(consumer);
}

/* One line at a time, each seen before the next: the writer is asleep at every one, and none may be missed. */
static void each_line_wakes_the_writer(void)
{
    struct consumer *consumer = consumer_stalled();
    struct log *log = log_new(consumer->write_fd, LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
    struct log_ring *ring = log_ring_new(log, "main");
    char line[256];
    log_start(log);
    for (int i = 0; i < 300; i++) {
        LOG_INFO_EVENT(ring, "one", LOG_INT("i", i));
        CHECK(read(consumer->read_fd, line, sizeof line) > 0); /* a missed wake-up hangs here, until the time limit */
        if (i % 3 == 0)
            nanosleep(&(struct timespec){.tv_nsec = 2100000}, NULL);
    }
    log_free(log);
    close(consumer->write_fd);
    consumer_free(consumer);
}

/* HARDENING X4: traffic never blocks on a log line; dropped lines are counted. */
static void a_stalled_consumer_blocks_nobody(void)
{
    enum { MANY = 20000 };
    struct consumer *consumer = consumer_stalled();
    struct log *log = log_new(consumer->write_fd, LOG_FORMAT_JSON, LOG_LEVEL_INFO);
    struct log_ring *ring = log_ring_new(log, "worker0");
    log_start(log);
    int64_t start = now_ms();
    for (int i = 0; i < MANY; i++)
        LOG_INFO_EVENT(ring, "request", LOG_INT("i", i), LOG_STR("path", "/some/path/that/is/of/ordinary/length"));
    CHECK(now_ms() - start < 5000);
    uint64_t num_dropped = log_num_dropped(log);
    CHECK(num_dropped > MANY / 2);
    consumer_start(consumer);
    /* As soon as there is room, a line tells how many are missing. */
    bool told = false;
    uint64_t num_later = 0;
    for (int i = 0; i < 1000 && !told; i++, num_later++) {
        uint64_t before = log_num_dropped(log);
        LOG_INFO_EVENT(ring, "later", LOG_INT("i", i));
        told = log_num_dropped(log) == before;
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    log_stop(log);
    num_dropped = log_num_dropped(log);
    log_free(log);
    struct slice got = consumer_end(consumer);
    char want[64];
    snprintf(want, sizeof want, "\"thread\":\"worker0\",\"num\":%llu}", (unsigned long long)num_dropped);
    CHECK_INT(count(got, "\"event\":\"log_lines_dropped\""), 1);
    CHECK_INT(count(got, want), 1);
    size_t num_requests = count(got, "\"event\":\"request\""), num_told_later = count(got, "\"event\":\"later\"");
    CHECK(num_requests < MANY / 2 && num_told_later >= 1);
    CHECK_INT(num_requests + num_told_later + num_dropped, MANY + num_later);
    consumer_free(consumer);
}

static void stop_waits_a_second_for_a_stalled_consumer(void)
{
    struct consumer *consumer = consumer_stalled();
    struct log *log = log_new(consumer->write_fd, LOG_FORMAT_JSON, LOG_LEVEL_INFO);
    struct log_ring *ring = log_ring_new(log, "main");
    log_start(log);
    for (int i = 0; i < 1500; i++) /* more than a pipe holds, less than a ring */
        LOG_INFO_EVENT(ring, "request", LOG_INT("i", i), LOG_STR("path", "/abcdefghijklmnopqrst"));
    CHECK_INT(log_num_dropped(log), 0);
    int64_t start = now_ms();
    log_stop(log);
    int64_t took = now_ms() - start;
    CHECK(took >= 900 && took < 2500);
    uint64_t num_dropped = log_num_dropped(log);
    CHECK(num_dropped > 0);
    start = now_ms();
    for (int i = 0; i < 10; i++)
        LOG_INFO_EVENT(ring, "direct", LOG_INT("i", i));
    CHECK(now_ms() - start < 500); /* once it is known to stall, nobody waits */
    CHECK_INT(log_num_dropped(log), num_dropped + 10);
    log_free(log);
    consumer_start(consumer);
    CHECK_INT(count(consumer_end(consumer), "\n") + num_dropped, 1500); /* whole lines */
    consumer_free(consumer);
}

static void stop_drains_what_a_slow_consumer_takes(void)
{
    struct consumer *consumer = consumer_stalled();
    struct log *log = log_new(consumer->write_fd, LOG_FORMAT_JSON, LOG_LEVEL_INFO);
    struct log_ring *ring = log_ring_new(log, "main");
    log_start(log);
    for (int i = 0; i < 1500; i++)
        LOG_INFO_EVENT(ring, "request", LOG_INT("i", i), LOG_STR("path", "/abcdefghijklmnopqrst"));
    consumer_start(consumer);
    log_stop(log);
    CHECK_INT(log_num_dropped(log), 0);
    log_free(log);
    CHECK_INT(count(consumer_end(consumer), "\"event\":\"request\""), 1500);
    consumer_free(consumer);
}

static void *consume_later(void *arg)
{
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    return consume(arg);
}

/* Without the writer a line waits a while for its consumer. */
static void a_direct_line_is_patient(void)
{
    struct consumer *consumer = consumer_stalled();
    struct log *log = log_new(consumer->write_fd, LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
    struct log_ring *ring = log_ring_new(log, "main");
    char filler[4096];
    memset(filler, '.', sizeof filler);
    fcntl(consumer->write_fd, F_SETFL, O_NONBLOCK);
    while (write(consumer->write_fd, filler, sizeof filler) > 0)
        continue;
    pthread_create(&consumer->thread, NULL, consume_later, consumer);
    LOG_INFO_EVENT(ring, "patient", LOG_INT("n", 1));
    CHECK_INT(log_num_dropped(log), 0);
    log_free(log);
    CHECK_INT(count(consumer_end(consumer), "patient n=1\n"), 1);
    consumer_free(consumer);
}

static void an_idle_writer_uses_no_time(void)
{
    struct consumer *consumer = consumer_new();
    struct log *log = log_new(consumer->write_fd, LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
    struct log_ring *ring = log_ring_new(log, "main");
    log_start(log);
    LOG_INFO_EVENT(ring, "one", LOG_INT("n", 1));
    clock_t before = clock(); /* of all threads */
    nanosleep(&(struct timespec){.tv_nsec = 400000000}, NULL);
    CHECK((double)(clock() - before) / CLOCKS_PER_SEC < 0.1);
    log_free(log);
    consumer_end(consumer);
    consumer_free(consumer);
}

static void a_reader_that_left_costs_lines_only(void)
{
    struct consumer *consumer = consumer_stalled();
    struct log *log = log_new(consumer->write_fd, LOG_FORMAT_JSON, LOG_LEVEL_INFO);
    struct log_ring *ring = log_ring_new(log, "main");
    close(consumer->read_fd);
    log_start(log);
    for (int i = 0; i < 100; i++)
        LOG_INFO_EVENT(ring, "request", LOG_INT("i", i));
    log_stop(log);
    CHECK_INT(log_num_dropped(log), 100);
    log_free(log);
    close(consumer->write_fd);
    mem_free(consumer);
}

static struct log *volatile left_behind; /* reachable, so that it is no leak */

/* A terminal that was stopped holds the writer inside of write(): it is left behind. */
static void a_stopped_terminal_does_not_hold_the_end_up(void)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) {
        fprintf(stderr, "log_test: no pseudo terminal here\n");
        return;
    }
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    struct log *log = left_behind = log_new(slave, LOG_FORMAT_JSON, LOG_LEVEL_INFO);
    struct log_ring *ring = log_ring_new(log, "main");
    log_start(log);
    for (int i = 0; i < 1000; i++)
        LOG_INFO_EVENT(ring, "request", LOG_INT("i", i));
    int64_t start = now_ms();
    log_stop(log);
    LOG_INFO_EVENT(ring, "late", LOG_INT("n", 1));
    log_free(log);
    CHECK(now_ms() - start < 4000);
    close(master); /* the slave stays with the writer */
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN); /* as main does */
    RUN(direct_before_start_and_after_stop);
    RUN(levels_and_no_ring);
    RUN(finished_lines);
    RUN(priorities_for_the_journal);
    RUN(threads_log_at_once);
    RUN(each_line_wakes_the_writer);
    RUN(a_stalled_consumer_blocks_nobody);
    RUN(stop_waits_a_second_for_a_stalled_consumer);
    RUN(stop_drains_what_a_slow_consumer_takes);
    RUN(a_direct_line_is_patient);
    RUN(an_idle_writer_uses_no_time);
    RUN(a_reader_that_left_costs_lines_only);
    RUN(a_stopped_terminal_does_not_hold_the_end_up);
    return checks_done();
}
