/* h1_writer: HTTP/1.1 heads and chunk framing as bytes (RFC 9112).
 *
 * Appends to a struct buf of the caller, who may keep one per worker so that nothing is allocated. What goes in was
 * validated when it was parsed or is a literal: nothing is checked or escaped here. No I/O. Any thread. */
#ifndef HTTP_H1_WRITER_H
#define HTTP_H1_WRITER_H

#include "base/buf.h"
#include "http/head.h"

enum h1_connection {
    H1_CONNECTION_UNSAID, /* HTTP/1.1 and it stays open */
    H1_CONNECTION_CLOSE,
    H1_CONNECTION_KEEP_ALIVE, /* said to an HTTP/1.0 client that asked for it */
    H1_CONNECTION_UPGRADE     /* with Upgrade: websocket */
};

/* What the message that goes out says about its own body and connection; never copied from the fields that came in. */
struct h1_framing {
    enum body body;    /* NONE and UNTIL_CLOSE: no framing field */
    bool length_given; /* BODY_NONE: Content-Length all the same (answers to HEAD, 304) */
    uint64_t length;
    enum h1_connection connection;
};

/* "GET /x HTTP/1.1" CRLF */
void h1_write_request_line(struct buf *out, struct slice method, struct slice target);
/* "HTTP/1.1 200 OK" CRLF. An empty reason takes the standard one. */
void h1_write_status_line(struct buf *out, unsigned status, struct slice reason);
void h1_write_field(struct buf *out, struct slice name, struct slice value);
/* Content-Length or Transfer-Encoding; Connection, Upgrade. */
void h1_write_framing(struct buf *out, const struct h1_framing *framing);
/* The empty line. */
void h1_write_end(struct buf *out);

/* A whole head that is forwarded: the start line, Host from head->authority (requests), `fields` (see http/hop), framing. */
void h1_write_request_fields(struct buf *out, const struct head *head, const struct fields *fields,
                             const struct h1_framing *framing);
void h1_write_response_fields(struct buf *out, const struct head *head, const struct fields *fields,
                              const struct h1_framing *framing);

/* A whole head of our own making: the start line, Host from head->authority (requests), every field of the head but
 * Host, Connection and the framing ones, then `framing`. */
void h1_write_request(struct buf *out, const struct head *head, const struct h1_framing *framing);
void h1_write_response(struct buf *out, const struct head *head, const struct h1_framing *framing);

/* The standard reason phrase; the empty slice where there is none. */
struct slice h1_reason(unsigned status);

/* A chunk is: h1_chunk_begin's bytes, the data, H1_CHUNK_END. Never for no data: that would end the body. */
enum { H1_CHUNK_BEGIN_BYTES = 18 };
size_t h1_chunk_begin(char out[H1_CHUNK_BEGIN_BYTES], uint64_t len);
#define H1_CHUNK_END SLICE_LIT("\r\n")
/* The end of a chunked body that has no trailers; with trailers see hop_write_trailers. */
#define H1_LAST_CHUNK SLICE_LIT("0\r\n\r\n")

#endif
