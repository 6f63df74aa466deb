/* h2_answer: the answer's half of an h2_stream: what its exchange calls to answer, and how that becomes frames.
 *
 * The head waits for the first bytes, the end or flush, so that a small answer is one HEADERS and one DATA in one write.
 * Large bytes are written at once, from where the exchange has them; what windows or the socket refuse is queued. */
#ifndef FRONT_H2_ANSWER_H
#define FRONT_H2_ANSWER_H

#include "front/h2_stream.h"

/* As struct front_ops. */
void h2_answer_interim(struct front *base, const struct head *head, const struct fields *fields);
void h2_answer_respond(struct front *base, const struct front_response *response);
bool h2_answer_body(struct front *base, struct slice bytes);
void h2_answer_end(struct front *base, const struct fields *trailers);
void h2_answer_abort(struct front *base);
void h2_answer_flush(struct front *base);

/* From nghttp2: a DATA frame of so many queued or direct bytes: refers to them in front->out. */
void h2_answer_send(struct h2_stream *stream, size_t len);
/* Frames have been written: frees an empty queue, lets the exchange go on where there is room. Not within nghttp2. */
void h2_answer_settle(struct h2_stream *stream);
/* Queued bytes have not moved for LIMIT_WRITE_STALL_MS (H6). */
void h2_answer_stalled(struct tick *tick);

#endif
