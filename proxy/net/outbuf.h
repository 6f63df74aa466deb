/* outbuf: the one buffer of a loop in which TLS records gather before they are written.
 *
 * It has an owner, one stream at a time. Bytes for another stream first flush the owner's: one client's bytes on another
 * client's connection are the worst bug that a proxy can have, so the owner is asserted in every build. Flushed when it
 * is full, when another stream wants it, and when the turn's work is done (net_loop). One loop's thread. */
#ifndef NET_OUTBUF_H
#define NET_OUTBUF_H

#include "base/slice.h"

enum { OUTBUF_BYTES = 128 * 1024 }; /* one read buffer of plaintext as records, with room to spare */

struct stream;

struct outbuf {
    char *bytes;
    size_t len;
    struct stream *owner; /* whose bytes these are; NULL while there are none. Borrowed: see outbuf_forget */
};

void outbuf_init(struct outbuf *outbuf);
void outbuf_cleanup(struct outbuf *outbuf);
/* Appends bytes that `stream` is to write, behind what it has there already. */
void outbuf_append(struct outbuf *outbuf, struct stream *stream, struct slice bytes);
/* Writes what is there to its owner. */
void outbuf_flush(struct outbuf *outbuf);
/* Flushes only where `stream` is the owner: before it writes, shuts down or closes by another way. */
void outbuf_flush_stream(struct outbuf *outbuf, struct stream *stream);
/* Drops the stream's bytes: it was reset or is gone. */
void outbuf_forget(struct outbuf *outbuf, struct stream *stream);

#endif
