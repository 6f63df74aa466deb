/* log_ring: whole lines from one thread to another, without locks.
 *
 * Bytes between tail and head are lines that are ready. One producer moves head, one consumer moves tail, neither ever
 * waits for the other. Only log.c includes this. */
#ifndef BASE_LOG_RING_H
#define BASE_LOG_RING_H

#include "base/buf.h"
#include "base/limits.h"

#include <stdatomic.h>

struct log;

struct log_ring {
    struct log *log;
    const char *thread_name; /* owned */
    struct log_ring *next;   /* in the log's list, which only grows */
    char *bytes;             /* LIMIT_LOG_RING_BYTES */

    /* The producer's */
    struct buf line;     /* where it writes a line before it is copied */
    size_t known_tail;   /* the consumer has come so far, or further */
    uint64_t num_untold; /* dropped and not told in a line yet */
    _Atomic uint64_t num_dropped;
    _Atomic size_t head; /* counts bytes since the start and wraps around */

    char apart[64]; /* the two sides do not share a cache line */
    _Atomic size_t tail;
};

/* All of the bytes or none. The producer's. */
bool log_ring_push(struct log_ring *ring, struct slice lines);
/* What lies ready in one piece; empty where nothing does. The consumer's. */
struct slice log_ring_peek(const struct log_ring *ring);
/* Gives back the first len bytes of what was peeked. The consumer's. */
void log_ring_consume(struct log_ring *ring, size_t len);

#endif
