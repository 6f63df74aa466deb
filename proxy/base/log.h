/* log: structured events that never hold traffic up.
 *
 * Each thread that logs has a ring of its own (single producer); one writer thread takes lines from all rings and
 * writes them to a file descriptor. A full ring drops the line and counts it; the count is told in the next line that
 * fits. A stalled consumer of stdout therefore never blocks a worker (HARDENING X4).
 *
 * Every string is escaped, and cut at LIMIT_LOG_STRING_BYTES. A line holds at most LIMIT_LOG_LINE_BYTES.
 * Secrets do not come here: who logs a field answers for it. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/err.h"
#include "base/slice.h"

#include <stdbool.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

enum log_field_kind { LOG_FIELD_STRING, LOG_FIELD_INT, LOG_FIELD_BOOL, LOG_FIELD_ERR };

struct log_field {
    const char *key; /* a literal: lower case, words joined by _ */
    enum log_field_kind kind;
    struct slice string;
    int64_t number;
    struct err err;
};

#define LOG_SLICE(k, s) ((struct log_field){.key = (k), .kind = LOG_FIELD_STRING, .string = (s)})
#define LOG_STR(k, s) ((struct log_field){.key = (k), .kind = LOG_FIELD_STRING, .string = slice_str(s)})
#define LOG_INT(k, n) ((struct log_field){.key = (k), .kind = LOG_FIELD_INT, .number = (int64_t)(n)})
#define LOG_BOOL(k, b) ((struct log_field){.key = (k), .kind = LOG_FIELD_BOOL, .number = (b) ? 1 : 0})
#define LOG_ERR(k, e) ((struct log_field){.key = (k), .kind = LOG_FIELD_ERR, .err = (e)})

struct log;      /* the writer; owned by main */
struct log_ring; /* one per thread that logs; owned by log */

/* Writes to fd, which stays the caller's and open until log_free; SIGPIPE must be ignored. The writer thread is
 * started by log_start; until then, and after log_stop, lines are written by the thread that logs them (start-up and
 * unit tests), which waits for a stalled consumer at most a second, and once. */
struct log *log_new(int fd, enum log_format format, enum log_level level);
/* Before any line: each begins with its level as the journal reads it, "<6>" (sd-daemon(3)). */
void log_tell_priorities(struct log *log);
void log_start(struct log *log);
/* Drains all rings (for at most a second where the consumer stalls: the rest is dropped and counted) and ends the
 * writer thread. A writer that a stopped terminal holds inside of write() is left behind, memory and all, after 1.5 s. */
void log_stop(struct log *log);
void log_free(struct log *log);
/* May be called from any thread. */
void log_set_level(struct log *log, enum log_level level);
enum log_level log_get_level(const struct log *log);

/* A ring for one more thread, named in debug output. Freed by log_free. */
struct log_ring *log_ring_new(struct log *log, const char *thread_name);

bool log_enabled(const struct log_ring *ring, enum log_level level);

/* One event: a literal name from the documented list and its fields. A field with key "msg" is the sentence for a
 * person: in text form it comes right behind the name.
 *   JSON: {"ts":"2026-11-23T22:16:33.123Z","level":"info","event":"certificate_published","name":"a.example",...}
 *   text: 2026-11-23T22:16:33.123Z INFO  certificate_published name=a.example ...
 * A NULL ring logs nothing. */
void log_event(struct log_ring *ring, enum log_level level, const char *event, const struct log_field *fields,
               size_t num_fields);

#define LOG(ring, level, event, ...)                                             \
    log_event((ring), (level), (event), (const struct log_field[]){__VA_ARGS__}, \
              sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))
#define LOG_DEBUG_EVENT(ring, ...) LOG(ring, LOG_LEVEL_DEBUG, __VA_ARGS__)
#define LOG_INFO_EVENT(ring, ...) LOG(ring, LOG_LEVEL_INFO, __VA_ARGS__)
#define LOG_WARN_EVENT(ring, ...) LOG(ring, LOG_LEVEL_WARN, __VA_ARGS__)
#define LOG_ERROR_EVENT(ring, ...) LOG(ring, LOG_LEVEL_ERROR, __VA_ARGS__)

/* A finished line without its newline, for the access log; the caller has escaped it (json_write). One that holds a
 * newline, or is too long with it, is dropped and counted. */
void log_line(struct log_ring *ring, struct slice line);

/* Lines dropped since the start: rings that were full, and what the descriptor did not take. Any thread. */
uint64_t log_num_dropped(const struct log *log);

#endif
