/* random: unpredictable bytes from the kernel, fetched in batches: identifiers are made per request, and a system call
 * for each would cost as much as a write. Not for keys, which want no copy left in memory. Owns nothing but its bytes;
 * one thread. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

enum { RANDOM_BATCH_BYTES = 1024, RANDOM_HEX_BYTES = 64 };

/* A zeroed one is ready. */
struct random_batch {
    uint8_t bytes[RANDOM_BATCH_BYTES];
    uint32_t left; /* at the front; the others were given out, and are zero */
};

/* Fills out; len at most RANDOM_BATCH_BYTES. No byte is given out twice. Aborts where the kernel has no entropy source. */
void random_take(struct random_batch *batch, void *out, size_t len);
/* 2 * num_bytes digits in lower case of fresh bytes, without a NUL; num_bytes at most RANDOM_HEX_BYTES. */
void random_hex(struct random_batch *batch, char *out, size_t num_bytes);

#endif
