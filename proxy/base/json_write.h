/* json_write: JSON that is always well formed, appended to a buf. Compact; any thread, one writer each.
 *
 * Strings are escaped here rather than by yajl's generator, which wants a handle and allocations for each document (a
 * line of the access log is one) and passes malformed text on: bytes that are not UTF-8 are replaced by U+FFFD, and all
 * control characters are escaped, those of U+007F to U+009F too. Nesting is at most LIMIT_JSON_DEPTH; a call out of
 * place aborts (a bug of ours). */
#ifndef BASE_JSON_WRITE_H
#define BASE_JSON_WRITE_H

#include "base/buf.h"

#include <stdint.h>

struct json_writer {
    struct buf *out;
    uint32_t depth;
    uint32_t objects;   /* a bit per level: an object, not an array */
    uint32_t not_first; /* a bit per level: a comma is due */
    bool key_written;
};

struct json_writer json_writer_on(struct buf *out);
void json_object(struct json_writer *w);
void json_end_object(struct json_writer *w);
void json_array(struct json_writer *w);
void json_end_array(struct json_writer *w);
void json_key(struct json_writer *w, const char *key);
void json_string(struct json_writer *w, struct slice value);
void json_int(struct json_writer *w, int64_t value);
void json_bool(struct json_writer *w, bool value);
void json_null(struct json_writer *w);
/* A value that is JSON already. */
void json_raw(struct json_writer *w, struct slice value);

/* Key and value in one. */
void json_put_string(struct json_writer *w, const char *key, struct slice value);
void json_put_str(struct json_writer *w, const char *key, const char *value);
void json_put_int(struct json_writer *w, const char *key, int64_t value);
void json_put_bool(struct json_writer *w, const char *key, bool value);

/* Only the escaped inside of a string, without quotes. */
void json_escape(struct buf *out, struct slice value);

#endif
