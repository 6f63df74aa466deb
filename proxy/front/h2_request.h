/* h2_request: a request's head from the fields of an HTTP/2 header block (RFC 9113 §8.3, RFC 8441 §4).
 *
 * Copies what it keeps into the exchange's arena and judges it by the same rules as an HTTP/1.1 head (http/h1_rules).
 * nghttp2 has checked most of this before; here nothing is taken for granted. No nghttp2, no I/O. One thread at a time. */
#ifndef FRONT_H2_REQUEST_H
#define FRONT_H2_REQUEST_H

#include "http/head.h"

enum h2_verdict {
    H2_FIELD_TAKEN,     /* or let go behind a limit: the finish says so */
    H2_FIELD_MALFORMED, /* a stream error PROTOCOL_ERROR (H1) */
    H2_FIELD_BOMB       /* far beyond any limit: the connection's end (H5) */
};

struct h2_request {
    struct arena *arena;
    struct head *head;
    size_t max_bytes;     /* of the header list */
    size_t bytes;         /* so far, as SETTINGS_MAX_HEADER_LIST_SIZE counts: name, value, 32 each */
    uint32_t num_cookies; /* crumbs (RFC 9113 §8.2.3), which do not count as fields */
    unsigned pseudo_seen; /* bits by enum pseudo */
    struct slice path, scheme, authority, protocol;
    bool regular_seen, too_large;
};

void h2_request_begin(struct h2_request *request, struct arena *arena, size_t max_bytes);
/* One field of the head; borrowed for the call. Beyond the limit nothing is kept, so that HPACK's state can go on. */
enum h2_verdict h2_request_field(struct h2_request *request, struct slice name, struct slice value);
/* One field of the trailers: the same, into head->trailers, at most LIMIT_TRAILER_BYTES. */
enum h2_verdict h2_request_trailer(struct h2_request *request, struct slice name, struct slice value);
/* The block is whole: completes request->head. ended: END_STREAM was set. Extended CONNECT for websocket becomes a GET that
 * wishes an upgrade; its Sec-WebSocket-Key is the caller's to add. Err: ERR_INPUT or ERR_LIMIT, its code the status to
 * answer with. */
MUST_CHECK struct err h2_request_finish(struct h2_request *request, bool ended, bool secure);
/* The trailers were too large. */
bool h2_request_trailers_refused(const struct h2_request *request);

#endif
