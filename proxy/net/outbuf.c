#include "net/outbuf.h"

#include "base/mem.h"
#include "net/stream.h"

#include <stdlib.h>

void outbuf_init(struct outbuf *outbuf)
{
    *outbuf = (struct outbuf){.bytes = mem_alloc(OUTBUF_BYTES)};
}

void outbuf_cleanup(struct outbuf *outbuf)
{
    mem_free(outbuf->bytes);
    *outbuf = (struct outbuf){0};
}

void outbuf_flush(struct outbuf *outbuf)
{
    struct stream *owner = outbuf->owner;
    if (!owner)
        return;
    struct slice bytes = slice_make(outbuf->bytes, outbuf->len);
    outbuf->owner = NULL; /* first: the write below may look here again */
    outbuf->len = 0;
    /* Backpressure is told by the TLS stream, which asks how much is queued; here the bytes are records already. */
    bool below_high = stream_write(owner, bytes);
    (void)below_high;
}

void outbuf_flush_stream(struct outbuf *outbuf, struct stream *stream)
{
    if (outbuf->owner == stream)
        outbuf_flush(outbuf);
}

void outbuf_forget(struct outbuf *outbuf, struct stream *stream)
{
    if (outbuf->owner == stream) {
        outbuf->owner = NULL;
        outbuf->len = 0;
    }
}

void outbuf_append(struct outbuf *outbuf, struct stream *stream, struct slice bytes)
{
    if (outbuf->owner != stream)
        outbuf_flush(outbuf);
    while (bytes.len) {
        if (outbuf->len == OUTBUF_BYTES)
            outbuf_flush(outbuf);
        if (outbuf->owner && outbuf->owner != stream)
            abort(); /* never one client's bytes on another's connection */
        outbuf->owner = stream;
        size_t room = OUTBUF_BYTES - outbuf->len;
        size_t len = bytes.len < room ? bytes.len : room;
        memcpy(outbuf->bytes + outbuf->len, bytes.ptr, len);
        outbuf->len += len;
        bytes = slice_skip(bytes, len);
    }
}
