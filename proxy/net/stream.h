/* stream: the thin vtable over a connection of bytes, and its contract. One loop's thread.
 *
 * A stream carries bytes both ways; a sink is embedded by whoever consumes them. tcp_stream (sockets) and tls_stream
 * (TLS over any stream) implement it, and so does the simulated stream of the tests.
 *
 * Calls, made by the consumer:
 *   read_start  input may come. What was kept while reading was stopped is delivered first, by a deferred call: never
 *               from within read_start, and no socket event is needed for it. Idempotent.
 *   read_stop   no data or eof event after this call, even if called from within one: what is decrypted already is
 *               kept, at most one read buffer of it. Idempotent.
 *   writev      takes all of the bytes at once, always; what the socket refuses is copied into the stream's own queue.
 *               Answers false where more than FLOW_HIGH_BYTES are queued: stop the source until `drained`.
 *   shutdown    ends our writing once the queue is out: close_notify, then FIN. Reading goes on.
 *   close       orderly: queue, close_notify, FIN, then a bounded linger that discards input, so that no RST overtakes
 *               our last bytes. The only event after it is `closed`.
 *   reset       at once: no close_notify, RST. For messages that were cut: the peer must not take them for whole.
 *               The only event after it is `closed`. May follow close, to cut the linger short.
 *
 * Events, made by the stream:
 *   data        bytes, borrowed for the call. The consumer takes all of them.
 *   eof         the peer ended its writing, in order (FIN, or close_notify in TLS). Nothing more is read.
 *   truncated   TLS alone: FIN without close_notify. Whoever reads until eof must take the message for cut.
 *   drained     the queue fell below FLOW_LOW_BYTES after a writev that answered false.
 *   closed      always the last and always exactly once: handles are gone, the memory may be freed from within the
 *               call. With a failure where the stream broke by itself (RST, TLS error, a stalled reader); it then
 *               needs no close. Never comes from within a call of the consumer's.
 *
 * A failing write does not end reading: an early answer may already lie in the receive buffer. */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include "base/err.h"
#include "base/slice.h"

struct stream;
struct sink;

struct sink_ops {
    void (*data)(struct sink *sink, struct slice bytes);
    void (*eof)(struct sink *sink);
    void (*truncated)(struct sink *sink);
    void (*drained)(struct sink *sink);
    void (*closed)(struct sink *sink, struct err err);
};

struct sink {
    const struct sink_ops *ops;
};

struct stream_ops {
    void (*read_start)(struct stream *stream);
    void (*read_stop)(struct stream *stream);
    bool (*writev)(struct stream *stream, const struct slice *parts, size_t num_parts);
    void (*shutdown)(struct stream *stream);
    void (*close)(struct stream *stream);
    void (*reset)(struct stream *stream);
    size_t (*queued_bytes)(const struct stream *stream);
};

struct stream {
    const struct stream_ops *ops;
    struct sink *sink; /* borrowed; may be exchanged between events */
};

static inline void stream_read_start(struct stream *stream)
{
    stream->ops->read_start(stream);
}

static inline void stream_read_stop(struct stream *stream)
{
    stream->ops->read_stop(stream);
}

MUST_CHECK static inline bool stream_writev(struct stream *stream, const struct slice *parts, size_t num_parts)
{
    return stream->ops->writev(stream, parts, num_parts);
}

MUST_CHECK static inline bool stream_write(struct stream *stream, struct slice bytes)
{
    return stream->ops->writev(stream, &bytes, 1);
}

static inline void stream_shutdown(struct stream *stream)
{
    stream->ops->shutdown(stream);
}

static inline void stream_close(struct stream *stream)
{
    stream->ops->close(stream);
}

static inline void stream_reset(struct stream *stream)
{
    stream->ops->reset(stream);
}

static inline size_t stream_queued_bytes(const struct stream *stream)
{
    return stream->ops->queued_bytes(stream);
}

#endif
