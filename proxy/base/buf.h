/* buf: bytes that grow. Owns its memory; an empty buf holds none. One thread at a time.
 * The caller bounds what it appends by a named limit. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/slice.h"

#include <stdarg.h>

struct buf {
    char *ptr;
    size_t len;
    size_t cap;
};

/* A zeroed struct buf is an empty buf; there is no init. */
void buf_cleanup(struct buf *buf);
/* Overwrites, then frees: for keys. Growing leaves copies behind, so buf_reserve the whole length of a secret first. */
void buf_cleanup_secret(struct buf *buf);

/* Room for at least `more` bytes behind len; returns where they go. buf->len does not change. */
char *buf_reserve(struct buf *buf, size_t more);
void buf_append(struct buf *buf, const void *bytes, size_t len);
void buf_append_slice(struct buf *buf, struct slice s);
void buf_append_str(struct buf *buf, const char *text);
void buf_append_u64(struct buf *buf, uint64_t value);
void buf_append_i64(struct buf *buf, int64_t value);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline void buf_append_char(struct buf *buf, char c)
{
    if (buf->len == buf->cap)
        buf_reserve(buf, 1);
    buf->ptr[buf->len++] = c;
}

/* Drops the first n bytes; n at most len. */
void buf_consume(struct buf *buf, size_t n);

static inline struct slice buf_slice(const struct buf *buf)
{
    return (struct slice){buf->ptr, buf->len};
}

/* A terminating NUL is put behind the bytes (not counted); never NULL. */
const char *buf_cstr(struct buf *buf);
/* Hands the terminated bytes to the caller, who frees them with mem_free; the buf is empty after. */
char *buf_take(struct buf *buf);

#endif
