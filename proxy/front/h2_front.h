/* h2_front: the server side of one HTTP/2 connection (RFC 9113), over any stream. One worker's thread.
 *
 * nghttp2 keeps the protocol's state; this module moves bytes in and out of it and bounds what a client can cost: a budget
 * of cheap frames, deadlines for heads and for idleness, one turn's frames in one write, and none while the socket takes
 * none. Each request is an h2_stream, which is the front of one exchange.
 *
 *                    drain, or its age                    round trip, or LIMIT_DRAIN_FIRST_MS
 *   H2F_OPEN ------------------------------> H2F_NOTICED -------------------------------------> H2F_LEAVING
 *      |          GOAWAY 2^31-1, NO_ERROR         |             GOAWAY with the last stream          |
 *      |                                          |                                                  | no stream is open
 *      +------ fault, budget, deadline: GOAWAY ---+--------------------------------------------------+--> H2F_ENDED
 *
 * On the heap, because few connections of many are HTTP/2; owned by its conn from h2_front_new until `closed`. */
#ifndef FRONT_H2_FRONT_H
#define FRONT_H2_FRONT_H

#include "exchange/exchange.h"
#include "net/stream.h"

struct h2_front;

/* Takes the events of an open stream and reads on it. closed: the stream's last event; h2_front_free is called from within
 * it or after it. env and client are borrowed. */
struct h2_front *h2_front_new(struct stream *stream, struct exchange_env *env, const struct exchange_client *client,
                              void (*closed)(void *ctx, struct err err), void *ctx);
void h2_front_free(struct h2_front *front);
/* Takes no further request, in two steps, so that none that is on its way is lost (RFC 9113 §6.8); what is under way goes
 * on, tunnels too. Idempotent. */
void h2_front_drain(struct h2_front *front);
/* Requests in the works, and how many of them are tunnels. */
size_t h2_front_num_busy(const struct h2_front *front, size_t *out_num_tunnels);

#endif
