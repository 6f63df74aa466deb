/* compress: whether an answer of the backend's is compressed for its client, and what its head then says. Pure: reads
 * the configuration and two heads, edits a list of fields, owns nothing. Any thread; the encoders are in encoder.h.
 *
 * Compressed are answers 200 to 299 (not 204, 205, 206), of a type that gains by it and a length that is not known or is
 * at least COMPRESS_LEAST_BYTES, that the backend left plain. Never: with Content-Encoding, Content-Range, no-transform on
 * either side, a digest or signature of the content in head or announced trailers; event streams and gRPC; to HTTP/1.0,
 * which would lose its Content-Length and with it the connection. An answer to HEAD gets the head that GET would get.
 *
 * The request goes to the backend with its Accept-Encoding unchanged: a backend that compresses by itself goes first. An
 * If-None-Match with a weak tag of ours goes on unchanged too: it is compared weakly (RFC 9110 §13.1.2).
 *
 * Nothing is done about BREACH: whether an answer mixes secrets with what the client sent is known to the application
 * alone, which says `Cache-Control: no-transform` then. */
#ifndef EXCHANGE_COMPRESS_H
#define EXCHANGE_COMPRESS_H

#include "config/config.h"
#include "http/head.h"

enum { COMPRESS_LEAST_BYTES = 256 }; /* below it what is saved is less than the fields that say so */

enum compress_verdict {
    COMPRESS_NOT,    /* for no client: the answer goes out as it came */
    COMPRESS_VARIES, /* for other clients than this one: Vary says so (RFC 9110 §12.5.5) */
    COMPRESS_WEAKER, /* a 304 for a tag that we made weak: the tag is weak again (RFC 9110 §15.4.5) */
    COMPRESS_NOW
};

struct compress_plan {
    enum compress_verdict verdict;
    enum config_encoding encoding; /* with COMPRESS_NOW */
};

struct compress_plan compress_decide(const struct config *config, const struct head *request,
                                     const struct head *answer);

/* Edits what goes to the client. NOW: Content-Encoding is set, a strong ETag becomes weak (RFC 9110 §8.8.1),
 * Accept-Ranges goes. NOW, WEAKER and VARIES: Vary names Accept-Encoding. Framing is the caller's. */
void compress_fields(const struct compress_plan *plan, struct fields *fields, struct arena *arena);

/* The coding that the request's Accept-Encoding likes best (RFC 9110 §12.5.3), ties by the configured order. False: none
 * of ours; identity is said to be liked better; no Accept-Encoding. An element with a malformed weight refuses its coding,
 * and so does the lower of two weights: what might be refused is never sent. */
bool compress_negotiate(const struct config *config, const struct head *request, enum config_encoding *out_encoding);

/* Whether the type of a Content-Type is compressed; parameters do not matter. */
bool compress_type_gains(struct slice content_type);

#endif
