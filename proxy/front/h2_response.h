/* h2_response: an answer's head and trailers in nghttp2's form. What goes in was validated when it was parsed or is a
 * literal; names are lower-cased by nghttp2, which copies them. Arrays lie in the arena. */
#ifndef FRONT_H2_RESPONSE_H
#define FRONT_H2_RESPONSE_H

#include "http/head.h"

#include <nghttp2/nghttp2.h>

struct h2_fields {
    nghttp2_nv *at;
    size_t num;
};

/* :status, content-length where it was given, then the fields. tunnel: 101 becomes 200, less what was said for HTTP/1.1
 * alone (RFC 8441 §5). */
struct h2_fields h2_response_head(struct arena *arena, const struct head *head, const struct fields *fields,
                                  bool tunnel);
/* Those that may trail; the others are counted. */
struct h2_fields h2_response_trailers(struct arena *arena, const struct fields *trailers, unsigned *out_dropped);

#endif
