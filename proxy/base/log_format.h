/* log_format: one event as a line of text or of JSON. Pure; any thread. Only log.c includes this. */
#ifndef BASE_LOG_FORMAT_H
#define BASE_LOG_FORMAT_H

#include "base/buf.h"
#include "base/log.h"

struct log_event {
    int64_t wall_ms;
    enum log_level level;
    const char *name;
    const struct log_field *fields;
    size_t num_fields;
};

/* Appends the event and a newline, at most LIMIT_LOG_LINE_BYTES in all: fields that no longer fit give way to
 * truncated=true. */
void log_format_json(struct buf *out, const struct log_event *event);
void log_format_text(struct buf *out, const struct log_event *event);

#endif
