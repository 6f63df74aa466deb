/* encoder: bytes in, bytes of a content coding out: gzip (RFC 1952), br (RFC 7932), zstd (RFC 8878). No I/O. One thread.
 *
 * Owns its library's state and nothing else: what comes out of a call is appended to the caller's buf, and is at most
 * what went in since the last flush plus ENCODER_OVERHEAD_BYTES; behind each READ_BUFFER_BYTES it flushes by itself. All
 * that the libraries allocate is counted where a worker's encoders share it, so that clients who ask for much and read
 * slowly cannot make a worker's memory grow without a limit: above it there is no encoder, and the answer goes out as it
 * is. */
#ifndef EXCHANGE_ENCODER_H
#define EXCHANGE_ENCODER_H

#include "base/buf.h"
#include "base/err.h"
#include "config/config.h"

enum {
    ENCODER_MOST_BYTES = 2560 * 1024, /* of memory, whatever the encoding: brotli 1.0.9 takes 1991 KiB */
    ENCODER_OVERHEAD_BYTES = 1024,    /* of output, for 64 KiB that cannot be compressed: headers of stored blocks */
};

#define ENCODER_LENGTH_UNKNOWN UINT64_MAX

struct encoder;

/* What a worker's encoders share. A zeroed one is empty. */
struct encoders {
    size_t used_bytes;     /* by their libraries */
    struct encoder *spare; /* of zstd: making one asks the processor what it is, which a virtual machine traps */
};

/* When none of its encoders is left. */
void encoders_cleanup(struct encoders *encoders);

/* `length`: of all that will be fed, or ENCODER_LENGTH_UNKNOWN; a short one takes less memory. `encoders` is borrowed
 * until encoder_free. NULL where LIMIT_ENCODERS_BYTES of it are used. */
struct encoder *encoder_new(enum config_encoding encoding, uint64_t length, struct encoders *encoders);
/* In any state; NULL is fine. */
void encoder_free(struct encoder *encoder);

/* Appends to *out what the library is ready to give, maybe nothing. Err: ERR_STATE where the library refuses, e.g. more
 * or less than `length` was fed; all later calls fail too, and the answer must be cut. */
MUST_CHECK struct err encoder_feed(struct encoder *encoder, struct slice in, struct buf *out);
/* Nothing where nothing was fed since the last flush. */
MUST_CHECK struct err encoder_flush(struct encoder *encoder, struct buf *out);
/* The last call but free. */
MUST_CHECK struct err encoder_end(struct encoder *encoder, struct buf *out);

/* What its library holds now. */
size_t encoder_memory_bytes(const struct encoder *encoder);

/* As in Content-Encoding and Accept-Encoding. */
struct slice encoder_name(enum config_encoding encoding);

#endif
