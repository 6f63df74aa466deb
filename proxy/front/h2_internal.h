/* h2_internal: what h2_front and h2_stream know of each other; for them and their tests alone. */
#ifndef FRONT_H2_INTERNAL_H
#define FRONT_H2_INTERNAL_H

#include "front/h2_budget.h"
#include "front/h2_front.h"
#include "front/h2_out.h"

#include <nghttp2/nghttp2.h>

enum h2_front_state { H2F_OPEN, H2F_NOTICED, H2F_LEAVING, H2F_ENDED };

struct h2_front {
    struct sink sink;
    struct stream *stream;
    struct exchange_env *env;
    const struct exchange_client *client;
    nghttp2_session *session;
    struct h2_out *out;    /* while frames are pulled */
    struct list streams;   /* by h2_stream.node: all */
    struct list touched;   /* by .touched_node: got something in this read, their exchange is to be flushed */
    struct list unsettled; /* by .settle_node: their exchange waits for room, or their queue has emptied */
    struct deferred turn;  /* at its end: writes what it brought */
    struct tick idle;      /* no stream is open */
    struct tick block;     /* a header block is */
    struct tick notice;    /* the first step of leaving */
    struct h2_budget budget;
    enum h2_front_state state;
    uint32_t failure; /* of this read or pull, an nghttp2_error_code; NGHTTP2_NO_ERROR: none */
    uint32_t num_streams;
    int32_t last_cut;    /* the highest stream that we reset before its client had ended it; 0: none */
    uint32_t window;     /* the largest stream's */
    size_t queued_bytes; /* in all streams' queues */
    uint64_t born_ms;
    bool in_session; /* nghttp2 is on the stack and must not be entered again */
    bool full;       /* the socket takes nothing for now */
    bool unread;     /* and neither do we */
    bool begun;      /* a request has come */
    void (*closed)(void *ctx, struct err err);
    void *closed_ctx;
};

/* From streams: frames wait to be written, in this turn. */
void h2_front_wake(struct h2_front *front);
/* Writes what nghttp2 has, now. Not from within nghttp2. */
void h2_front_pull(struct h2_front *front);
void h2_front_stream_opened(struct h2_front *front);
void h2_front_stream_closed(struct h2_front *front);
/* The second step of a drain: what was on its way has come. */
void h2_front_leave(struct h2_front *front);
/* Makes room for a stream's larger window in the connection's. */
void h2_front_grow_window(struct h2_front *front, uint32_t stream_window);

#endif
