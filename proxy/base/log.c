#include "base/log.h"

#include "base/clock.h"
#include "base/log_format.h"
#include "base/log_ring.h"
#include "base/log_sink.h"
#include "base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <time.h>

enum {
    GATHER_US = 2000,  /* the writer's rest between two looks: a busy thread's lines leave together, without wake-ups */
    DRAIN_MS = 1000,   /* what log_stop grants a stalled consumer */
    ABANDON_MS = 1500, /* then a writer that a terminal holds inside of write() is left behind */
    DIRECT_MS = 1000,  /* what a line written by its own thread may wait */
};

/*
 *   DIRECT --log_start--> RUNNING --log_stop--> STOPPING --rings are empty--> DIRECT
 *                                                    |---consumer stalls----> DIRECT, with what is left dropped
 *                                                    \---write() hangs------> ABANDONED: all is dropped
 */
enum log_state { LOG_DIRECT, LOG_RUNNING, LOG_STOPPING, LOG_ABANDONED };

struct log {
    struct log_sink sink;
    enum log_format format;
    bool tells_priorities;
    _Atomic int level; /* enum log_level */
    _Atomic int state; /* enum log_state */
    _Atomic(struct log_ring *) rings;
    pthread_t writer;
    atomic_bool asleep; /* the writer waits at `wake`, or is about to */
    sem_t wake, ended;
    pthread_mutex_t sink_lock; /* whoever writes; nobody waits for it while the writer runs */
};

struct log *log_new(int fd, enum log_format format, enum log_level level)
{
    struct log *log = MEM_NEW(struct log);
    log_sink_init(&log->sink, fd);
    log->format = format;
    log->level = level;
    sem_init(&log->wake, 0, 0);
    sem_init(&log->ended, 0, 0);
    pthread_mutex_init(&log->sink_lock, NULL);
    return log;
}

void log_tell_priorities(struct log *log)
{
    log->tells_priorities = true;
}

struct log_ring *log_ring_new(struct log *log, const char *thread_name)
{
    struct log_ring *ring = MEM_NEW(struct log_ring);
    ring->log = log;
    ring->thread_name = mem_strdup(thread_name);
    ring->bytes = mem_alloc(LIMIT_LOG_RING_BYTES);
    ring->next = atomic_load(&log->rings);
    while (!atomic_compare_exchange_weak(&log->rings, &ring->next, ring))
        continue;
    return ring;
}

static void ring_free(struct log_ring *ring)
{
    buf_cleanup(&ring->line);
    mem_free((void *)ring->thread_name);
    mem_free(ring->bytes);
    mem_free(ring);
}

/* The consumer's side */

/* Writes what the ring holds, one piece of it or, where the first ends within a line, two; a busy ring shall not keep
 * the others waiting. False where it held nothing. */
static bool drain_ring(struct log *log, struct log_ring *ring)
{
    struct slice ready = log_ring_peek(ring);
    if (ready.len == 0)
        return false;
    bool whole_lines;
    do {
        ready = log_ring_peek(ring);
        whole_lines = ready.ptr[ready.len - 1] == '\n';
        log_sink_write(&log->sink, ready);
        log_ring_consume(ring, ready.len);
    } while (!whole_lines);
    return true;
}

static bool drain_once(struct log *log)
{
    bool found = false;
    for (struct log_ring *ring = atomic_load(&log->rings); ring; ring = ring->next)
        found |= drain_ring(log, ring);
    return found;
}

static bool rings_empty(struct log *log)
{
    for (struct log_ring *ring = atomic_load(&log->rings); ring; ring = ring->next)
        if (log_ring_peek(ring).len)
            return false;
    return true;
}

/* Announces the sleep, then looks once more: a line pushed before it saw the announcement is seen here (both sides use
 * sequentially consistent operations, so they cannot miss each other). */
static void writer_sleep(struct log *log)
{
    atomic_store(&log->asleep, true);
    if (rings_empty(log) && atomic_load(&log->state) == LOG_RUNNING)
        while (sem_wait(&log->wake) != 0 && errno == EINTR)
            continue;
    atomic_store(&log->asleep, false);
}

static void writer_gather(void)
{
    struct timespec rest = {.tv_nsec = GATHER_US * 1000L};
    nanosleep(&rest, NULL);
}

static void *writer_run(void *arg)
{
    struct log *log = arg;
    pthread_mutex_lock(&log->sink_lock);
    while (atomic_load(&log->state) == LOG_RUNNING)
        if (drain_once(log))
            writer_gather();
        else
            writer_sleep(log);
    while (drain_once(log) && !log_sink_time_up(&log->sink)) /* a thread that logs for ever is cut off */
        continue;
    pthread_mutex_unlock(&log->sink_lock);
    sem_post(&log->ended);
    return NULL;
}

void log_start(struct log *log)
{
    sigset_t all, before;
    if (atomic_load(&log->state) != LOG_DIRECT)
        return;
    log_sink_give_up_at(&log->sink, INT64_MAX);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals belong to the control thread */
    atomic_store(&log->state, LOG_RUNNING);
    if (pthread_create(&log->writer, NULL, writer_run, log) == 0)
        pthread_setname_np(log->writer, "log");
    else
        atomic_store(&log->state, LOG_DIRECT);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* False where the writer is still inside of write() when its time is up. */
static bool writer_ended(struct log *log)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ABANDON_MS / 1000;
    until.tv_nsec += ABANDON_MS % 1000 * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    int result;
    while ((result = sem_timedwait(&log->ended, &until)) != 0 && errno == EINTR)
        continue;
    return result == 0;
}

void log_stop(struct log *log)
{
    if (atomic_load(&log->state) != LOG_RUNNING)
        return;
    log_sink_give_up_at(&log->sink, clock_system.mono_ms(&clock_system) + DRAIN_MS);
    atomic_store(&log->state, LOG_STOPPING);
    sem_post(&log->wake);
    if (writer_ended(log)) {
        pthread_join(log->writer, NULL);
        atomic_store(&log->state, LOG_DIRECT);
    } else {
        pthread_detach(log->writer);
        atomic_store(&log->state, LOG_ABANDONED); /* the writer may use all of it yet: nothing will be freed */
    }
}

void log_free(struct log *log)
{
    if (!log)
        return;
    log_stop(log);
    if (atomic_load(&log->state) == LOG_ABANDONED)
        return;
    log_sink_give_up_at(&log->sink, clock_system.mono_ms(&clock_system) + DIRECT_MS);
    drain_once(log); /* what a thread pushed while log_stop was ending */
    for (struct log_ring *ring = log->rings, *next; ring; ring = next) {
        next = ring->next;
        ring_free(ring);
    }
    sem_destroy(&log->wake);
    sem_destroy(&log->ended);
    pthread_mutex_destroy(&log->sink_lock);
    mem_free(log);
}

/* The producer's side */

static void drop_lines(struct log_ring *ring, uint64_t num)
{
    uint64_t dropped = atomic_load_explicit(&ring->num_dropped, memory_order_relaxed);
    atomic_store_explicit(&ring->num_dropped, dropped + num, memory_order_relaxed);
    ring->num_untold += num;
}

static void log_wake(struct log *log)
{
    if (atomic_load(&log->asleep) && atomic_exchange(&log->asleep, false))
        sem_post(&log->wake);
}

static void write_direct(struct log *log, struct slice lines)
{
    pthread_mutex_lock(&log->sink_lock);
    log_sink_give_up_at(&log->sink, clock_system.mono_ms(&clock_system) + DIRECT_MS);
    log_sink_write(&log->sink, lines);
    pthread_mutex_unlock(&log->sink_lock);
}

/* syslog(3)'s numbers. */
static const char *priority_text(enum log_level level)
{
    switch (level) {
    case LOG_LEVEL_DEBUG: return "<7>";
    case LOG_LEVEL_INFO: return "<6>";
    case LOG_LEVEL_WARN: return "<4>";
    case LOG_LEVEL_ERROR: return "<3>";
    }
    return "";
}

static void put_priority(const struct log *log, struct buf *out, enum log_level level)
{
    if (log->tells_priorities)
        buf_append_str(out, priority_text(level));
}

static void format(const struct log *log, struct buf *out, const struct log_event *event)
{
    put_priority(log, out, event->level);
    if (log->format == LOG_FORMAT_JSON)
        log_format_json(out, event);
    else
        log_format_text(out, event);
}

/* The line that tells how many were dropped goes before the first that fits again. */
static void begin_line(struct log_ring *ring)
{
    ring->line.len = 0;
    if (ring->num_untold == 0)
        return;
    struct log_field fields[] = {LOG_STR("thread", ring->thread_name), LOG_INT("num", ring->num_untold)};
    struct log_event event = {clock_system.wall_ms(&clock_system), LOG_LEVEL_WARN, "log_lines_dropped", fields, 2};
    format(ring->log, &ring->line, &event);
}

static void end_line(struct log_ring *ring)
{
    struct log *log = ring->log;
    int state = atomic_load(&log->state);
    if (state == LOG_DIRECT) {
        write_direct(log, buf_slice(&ring->line));
        ring->num_untold = 0;
    } else if (state != LOG_ABANDONED && log_ring_push(ring, buf_slice(&ring->line))) {
        ring->num_untold = 0;
        log_wake(log);
    } else {
        drop_lines(ring, 1);
    }
}

void log_event(struct log_ring *ring, enum log_level level, const char *event, const struct log_field *fields,
               size_t num_fields)
{
    if (!log_enabled(ring, level))
        return;
    begin_line(ring);
    struct log_event what = {clock_system.wall_ms(&clock_system), level, event, fields, num_fields};
    format(ring->log, &ring->line, &what);
    end_line(ring);
}

void log_line(struct log_ring *ring, struct slice line)
{
    if (!ring)
        return;
    bool fits = line.len < LIMIT_LOG_LINE_BYTES && !(line.len && memchr(line.ptr, '\n', line.len));
    if (!fits) { /* half a line of JSON helps nobody, and two lines are a forgery */
        drop_lines(ring, 1);
        return;
    }
    begin_line(ring);
    put_priority(ring->log, &ring->line, LOG_LEVEL_INFO);
    buf_append_slice(&ring->line, line);
    buf_append_char(&ring->line, '\n');
    end_line(ring);
}

bool log_enabled(const struct log_ring *ring, enum log_level level)
{
    return ring && level >= log_get_level(ring->log);
}

void log_set_level(struct log *log, enum log_level level)
{
    atomic_store_explicit(&log->level, (int)level, memory_order_relaxed);
}

enum log_level log_get_level(const struct log *log)
{
    return (enum log_level)atomic_load_explicit(&log->level, memory_order_relaxed);
}

uint64_t log_num_dropped(const struct log *log)
{
    uint64_t num = log_sink_num_lost(&log->sink);
    for (const struct log_ring *ring = atomic_load(&log->rings); ring; ring = ring->next)
        num += atomic_load_explicit(&ring->num_dropped, memory_order_relaxed);
    return num;
}
