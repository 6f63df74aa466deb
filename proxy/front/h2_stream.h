/* h2_stream: one stream of an HTTP/2 connection: the front of one exchange, which knows nothing of HTTP/2. One worker's
 * thread.
 *
 *   request:  HEAD ---> BODY ----------> ENDED           answer:  NONE ---> HELD ---> OPEN ---> ENDED
 *                \       ^  \              ^                        \_________\_________\_____> RESET
 *                 \      |   +-> DISCARD --+
 *                  +-> WAITING (extended CONNECT, until the backend grants it)
 *
 * What arrives while the exchange has stopped is held, bounded by the stream's window, whose credit goes back as the exchange
 * takes it. What the client's window or the socket does not take of an answer is queued, bounded by FLOW_HIGH_BYTES and a read
 * buffer. On the heap: from the first byte of its header block to nghttp2's last word of it, then through the graveyard. */
#ifndef FRONT_H2_STREAM_H
#define FRONT_H2_STREAM_H

#include "front/body_rate.h"
#include "front/h2_internal.h"
#include "front/h2_request.h"
#include "front/h2_response.h"
#include "tls/websocket_key.h"

enum h2_request_state { H2R_HEAD, H2R_WAITING, H2R_BODY, H2R_DISCARD, H2R_ENDED };
enum h2_answer_state { H2A_NONE, H2A_HELD, H2A_OPEN, H2A_ENDED, H2A_RESET };

struct h2_stream {
    struct front base;
    struct h2_front *front;
    struct exchange *exchange;
    struct list node, touched_node, settle_node;
    struct grave grave;
    int32_t id;
    enum h2_request_state in;
    enum h2_answer_state out;

    /* the request */
    struct h2_request request;
    struct buf held;         /* came while the exchange had stopped */
    struct deferred deliver; /* of what is held */
    struct tick deadline;    /* of the body's rate, or of what follows an early answer */
    struct body_rate rate;
    uint64_t body_bytes;
    uint32_t discarded_bytes;      /* behind an early answer */
    uint32_t window, steady_bytes; /* taken since it last grew or stopped */
    bool stopped;                  /* the exchange wants no more for now */
    bool ended;                    /* END_STREAM has come, perhaps behind what is held */
    bool tunnel;
    char websocket_key[WEBSOCKET_KEY_BYTES];

    /* the answer */
    const struct head *answer; /* while HELD, in the exchange's arena */
    struct fields answer_fields;
    struct h2_fields trailers;
    struct slice direct; /* the exchange's bytes, within h2_front_pull alone */
    struct buf queue;
    size_t queue_at;         /* sent of it */
    struct tick stall;       /* queued bytes do not move */
    bool deferred;           /* nghttp2 waits for nghttp2_session_resume_data */
    bool full;               /* the exchange was told to stop */
    bool answer_sent;        /* to its end, and the request goes on */
    bool refused, blameless; /* the request broke rules; our RST_STREAM was not provoked by it (MadeYouReset) */
};

/* From nghttp2's callbacks, by way of h2_front. */
struct h2_stream *h2_stream_new(struct h2_front *front, int32_t id);
enum h2_verdict h2_stream_field(struct h2_stream *stream, struct slice name, struct slice value);
/* The header block is whole; ended: END_STREAM. */
void h2_stream_head(struct h2_stream *stream, bool ended);
void h2_stream_trailers(struct h2_stream *stream);
/* last: of a frame with END_STREAM. */
void h2_stream_data(struct h2_stream *stream, struct slice bytes, bool last);
void h2_stream_data_end(struct h2_stream *stream);
/* END_STREAM went out. */
void h2_stream_answer_sent(struct h2_stream *stream);
/* nghttp2 has done with it, or the connection has: ends the exchange. */
void h2_stream_free(struct h2_stream *stream);

/* What this read brought has been given on. Not within nghttp2. */
void h2_stream_flush(struct h2_stream *stream);
/* Its request is in the works. */
bool h2_stream_is_busy(const struct h2_stream *stream);

/* From its answer. */
void h2_stream_reset(struct h2_stream *stream, uint32_t code);
/* A new window for the rate of the request's body, where there is one to wait for. */
void h2_stream_arm_rate(struct h2_stream *stream);
/* The backend takes the tunnel: what the client sent meanwhile goes on. */
void h2_stream_granted(struct h2_stream *stream);

#endif
