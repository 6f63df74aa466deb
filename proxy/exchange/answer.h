/* answer: an answer on its way to the front: its fields, and its body as it is, or through an encoder that the exchange
 * owns.
 *
 * What an encoder makes of one slice goes to the front in the same call, and all that it was fed when the backend pauses: it
 * holds back nothing that a client waits for, and at most what one read of the backend's connection brought. Worker's
 * thread. */
#ifndef EXCHANGE_ANSWER_H
#define EXCHANGE_ANSWER_H

#include "base/err.h"
#include "http/head.h"

struct exchange;

/* The fields that go to the client, of an answer of the backend's or of ours; in the exchange's arena. */
struct fields answer_fields(struct exchange *exchange, const struct head *head);
/* Decides whether this answer is compressed, makes the encoder and edits what goes to the client. Returns the head by which
 * it is framed: the given one, or one in the exchange's arena that has no length. */
const struct head *answer_begin(struct exchange *exchange, const struct head *head, struct fields *fields);
/* A full front stops the upstream. Err: the encoder failed, the answer is to be cut. */
MUST_CHECK struct err answer_send(struct exchange *exchange, struct slice bytes);
/* Nothing more comes for now. A failure is left to the next call: no exchange may end in here. */
void answer_flush(struct exchange *exchange);
/* What is left of a whole answer; trailers and the end are the caller's. Err: as answer_send. */
MUST_CHECK struct err answer_finish(struct exchange *exchange);
/* Frees the encoder, whole or not. Twice is fine. */
void answer_drop(struct exchange *exchange);

#endif
