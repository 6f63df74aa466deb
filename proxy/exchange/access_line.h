/* access_line: what lines of the access log have in common, of requests and of raw connections: how values are escaped and
 * cut, and how NCSA's lines begin. Pure. */
#ifndef EXCHANGE_ACCESS_LINE_H
#define EXCHANGE_ACCESS_LINE_H

#include "base/buf.h"
#include "base/json_write.h"

/* A member, cut at LIMIT_LOG_STRING_BYTES; none for an empty value. */
void access_line_put(struct json_writer *w, const char *key, struct slice value);
/* The same for NCSA's lines: quotes and control bytes are escaped, empty is "-". */
void access_line_append(struct buf *out, struct slice value);
/* `client - user [time] "`. */
void access_line_begin_ncsa(struct buf *out, struct slice client, struct slice user, int64_t wall_ms);

#endif
