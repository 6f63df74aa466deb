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
 * tabs, in which no tab, line break or other control byte is: name (with the key type behind it, where it has two
 * certificates, a line each), source ("none"), issuer, not_before, not_after, next
 * attempt (these in seconds since 1970, 0: none), why then, step, failures, class of the last problem, its sentence. The first line is of the
 * process: "#", version, wall clock in seconds, "serving" or "draining", "writer" or "standby", what is wrong with the
 * storage. */
enum { STATUS_LINE_FIELDS = 11, STATUS_HEAD_FIELDS = 6 };
bool status_write_lines(const struct stats_view *view, struct cursor *cursor, struct buf *out);

#endif
