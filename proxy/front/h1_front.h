/* h1_front: the server side of one HTTP/1.x connection, over any stream. One worker's thread.
 *
 *            first byte            head               request whole
 *   H1F_IDLE ---------> H1F_HEAD ---------> H1F_BODY --------------> H1F_ANSWER ---+
 *      ^                                                               |           | a 101 that was asked for
 *      +------------------- answer whole, keep-alive ------------------+           v
 *      H1F_ENDED <---- everything else: close, or reset where an answer was cut -- H1F_TUNNEL
 *
 * While an answer is awaited it reads on until one slice is held, so that a client's leaving is noticed; no request in that
 * slice is parsed before its turn. Embedded in its conn; owns its exchange. */
#ifndef FRONT_H1_FRONT_H
#define FRONT_H1_FRONT_H

#include "exchange/exchange.h"
#include "front/body_rate.h"
#include "http/h1_reader.h"
#include "http/h1_writer.h"
#include "net/stream.h"

enum h1_front_state { H1F_IDLE, H1F_HEAD, H1F_BODY, H1F_ANSWER, H1F_TUNNEL, H1F_ENDED };

struct h1_front {
    struct front base;
    struct sink sink;
    struct stream *stream;
    struct exchange_env *env;
    const struct exchange_client *client;
    struct exchange *exchange; /* from the first byte of a request to the last of its answer */
    struct h1_reader reader;
    struct buf pending;   /* read and not yet parsed: the next request, or what follows an Upgrade */
    struct buf head_out;  /* an answer's head that waits for its first bytes */
    struct deferred next; /* goes on with pending */
    struct tick deadline; /* of the state: idle, head, body rate */
    enum h1_front_state state;
    bool chunked;    /* the answer's framing */
    bool keep_alive; /* decided when the answer began */
    bool answer_over;
    bool upgrade_asked;
    bool stopped; /* the exchange wants no more body for now */
    bool full;    /* answers wait for their reader: no further request until `drained` */
    bool begun;   /* a byte of a first request has come */
    uint64_t born_ms;
    struct body_rate rate;                                  /* of the request's body */
    void (*closed)(struct h1_front *front, struct err err); /* the stream's last event: the memory may be freed */
};

/* Takes the events of an open stream and reads on it. `closed` is set by the caller before. */
void h1_front_open(struct h1_front *front, struct stream *stream, struct exchange_env *env,
                   const struct exchange_client *client);
/* No further request: an idle connection closes now, others behind their answer; tunnels are left alone. */
void h1_front_drain(struct h1_front *front);
/* A request is in the works (also one whose head is not whole), or a tunnel. */
bool h1_front_busy(const struct h1_front *front);

#endif
