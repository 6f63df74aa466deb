/* attempt: a request on its way to a backend. It asks the pool for a connection, tells it of the client (announce), gives
 * it the request, and does so once more on another connection where nothing can happen twice by that (HARDENING B1, B2).
 *
 * Its state is the exchange's, of which it owns two things: what is lent by the pool, until attempt_end, and the part of the
 * request's body that may have to be sent, or sent again. Worker's thread. */
#ifndef EXCHANGE_ATTEMPT_H
#define EXCHANGE_ATTEMPT_H

#include "http/http_user.h"

struct exchange;

void attempt_init(struct exchange *exchange);
/* The first one, to the exchange's group. The exchange may be over when it returns. */
void attempt_begin(struct exchange *exchange);
/* Bytes of the request's body, before they are given on: keeps them while they may be needed again, lets go of all of them
 * beyond the limit. */
void attempt_hold(struct exchange *exchange, struct slice bytes);
/* The connection broke: another attempt where that is harmless, else the exchange fails. */
void attempt_failed(struct exchange *exchange, struct err err, enum http_progress progress);
/* Lets go of the connection, or of the wait for one. Twice is fine. */
void attempt_end(struct exchange *exchange);

#endif
