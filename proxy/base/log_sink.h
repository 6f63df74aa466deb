/* log_sink: a file descriptor that lines are written to, by one thread at a time, with an end to its patience.
 * Only log.c includes this. */
#ifndef BASE_LOG_SINK_H
#define BASE_LOG_SINK_H

#include "base/slice.h"

#include <stdatomic.h>

struct log_sink {
    int fd;
    bool is_socket;
    bool stalled;               /* it was given up once: nothing waits for it until it takes bytes again */
    bool mid_line;              /* the last byte written was not a newline */
    bool cut;                   /* that line will not be finished: a newline is due before the next */
    bool skipping;              /* what comes up to the next newline belongs to the line that was lost */
    size_t chunk_bytes;         /* what may be written at once without blocking where poll said so */
    _Atomic int64_t give_up_ms; /* monotonic; INT64_MAX waits for ever */
    _Atomic uint64_t num_lost;  /* lines that could not be written */
};

void log_sink_init(struct log_sink *sink, int fd);
/* From any thread: when the consumer is no longer waited for. It is given up in at most 50 ms. */
void log_sink_give_up_at(struct log_sink *sink, int64_t mono_ms);
bool log_sink_time_up(const struct log_sink *sink);
/* Writes bytes of lines, which may come in pieces. Lines that cannot be written, because the descriptor fails or the
 * time is up, are left out as a whole where that is possible yet, and are counted. */
void log_sink_write(struct log_sink *sink, struct slice bytes);
/* From any thread. */
uint64_t log_sink_num_lost(const struct log_sink *sink);

#endif
