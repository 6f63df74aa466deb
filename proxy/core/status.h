/* status: how it stands, name by name: as JSON for programs and the status page, as lines for `portico status`. Control
 * thread; reads only what others offer to be read. */
#ifndef CORE_STATUS_H
#define CORE_STATUS_H

#include "core/cursor.h"
#include "core/stats.h"

/* /status: everything; the next part of it. True while there is more; out is the same in every step. */
bool status_write_json(const struct stats_view *view, struct cursor *cursor, struct buf *out);
/* /status/traffic: the figures alone, for whoever asks every two seconds. */
void status_write_traffic(const struct stats_view *view, struct buf *out);

/* /status/lines: one line per name of any number of names, for a reader that keeps none of them: fields separated by
 * tabs, in which no tab, line break or other control byte is. Times are in seconds since 1970, 0: none. The first line is
 * of the process: "#", version, wall clock in seconds, "serving" or "draining", "writer" or "standby", what is wrong with
 * the storage. */
enum status_line {
    STATUS_LINE_NAME,   /* with " (KEY-TYPE)" behind it, where it has two certificates, a line each */
    STATUS_LINE_SOURCE, /* "none" */
    STATUS_LINE_ISSUER,
    STATUS_LINE_NOT_BEFORE,
    STATUS_LINE_NOT_AFTER,
    STATUS_LINE_NEXT, /* attempt */
    STATUS_LINE_WHY,  /* then */
    STATUS_LINE_STEP,
    STATUS_LINE_FAILURES,
    STATUS_LINE_CLASS, /* of the last problem */
    STATUS_LINE_SENTENCE,
    STATUS_LINE_FIELDS
};
enum { STATUS_HEAD_FIELDS = 6 };
bool status_write_lines(const struct stats_view *view, struct cursor *cursor, struct buf *out);

#endif
