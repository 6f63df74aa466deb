/* h2_out: the frames of one pull, gathered so that they leave in few writes and share TLS records. Small ones are copied,
 * large DATA is referred to: what is referred to must live until h2_out_flush. On the stack of whoever pulls. */
#ifndef FRONT_H2_OUT_H
#define FRONT_H2_OUT_H

#include "net/stream.h"

enum { H2_OUT_SMALL_BYTES = 8 * 1024, H2_OUT_COPY_BYTES = 1024, H2_OUT_PARTS = 32 };

struct h2_out {
    struct stream *stream;
    size_t num_parts, small_len, bytes;
    size_t total_bytes; /* written in all */
    bool full;          /* the stream answered false: no more until `drained` */
    struct slice parts[H2_OUT_PARTS];
    char small[H2_OUT_SMALL_BYTES];
};

/* Not zeroed: the buffer is large. */
void h2_out_init(struct h2_out *out, struct stream *stream);
void h2_out_copy(struct h2_out *out, struct slice bytes);
/* A copy where it is small. */
void h2_out_refer(struct h2_out *out, struct slice bytes);
void h2_out_flush(struct h2_out *out);

#endif
