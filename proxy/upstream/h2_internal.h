/* h2_internal: what h2_conn.c (the connection), h2_call.c (what goes out) and h2_answer.c (what comes in) share.
 * Private to these three. */
#ifndef UPSTREAM_H2_INTERNAL_H
#define UPSTREAM_H2_INTERNAL_H

#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "upstream/h2_conn.h"

#include <nghttp2/nghttp2.h>

/* A websocket goes by extended CONNECT where the server allows it (RFC 8441): its user sees the 101 that HTTP/1.1 would
 * give. Elsewhere Upgrade is stripped, and the server answers a plain GET.
 *
 * One request, from h2_conn_call until its user was told the last, or withdrew. Freed through the graveyard.
 *
 *   what goes out:  NEW --(bytes, end or flush)--> SUBMITTED --(END_STREAM)--> ENDED
 *   what comes in:  AWAITED --(head)--> ANSWERED --(END_STREAM)--> gone */
struct h2_call {
    struct upstream base;
    struct h2_conn *conn;
    struct list node; /* in conn->requests */
    struct list news; /* in conn->news */
    struct grave grave;
    struct http_user *user; /* NULL once it has gone */
    struct arena *arena;
    struct upstream_request what;
    const struct fields *trailers; /* to be sent; in the arena */
    int32_t id;                    /* 0: NEW */
    struct buf queue;              /* body that waits for the windows or the socket */
    struct slice direct;           /* body bytes of the user's call under way, behind the queue's */
    struct head *head;             /* of the answer; in the arena */
    uint32_t head_bytes;           /* of all heads together */
    uint32_t trailer_bytes;
    uint32_t owed_bytes; /* credit that is kept back while the user takes nothing */
    uint64_t begun_ms;
    uint8_t num_interim;
    bool sent;     /* its HEADERS have left nghttp2 */
    bool whole;    /* the user has said end */
    bool ended;    /* and END_STREAM was sent */
    bool answered; /* a final head has come */
    bool connect;  /* asks for a tunnel, by extended CONNECT */
    bool tunnel;   /* and it was granted */
    bool stopped;  /* read_stop */
    bool full;     /* body answered false */
    bool reset;    /* by the server */
    bool closed;   /* its stream is, or will be without our doing */
    /* news */
    bool failed_due, drained_due, flush_due;
    struct err failure;
    enum http_progress progress;
};

/* ---- h2_conn.c ---- */

/* Sends, and tells news, in this turn of the loop but not now. */
void h2_conn_turn_later(struct h2_conn *conn);
/* Sends now what the windows and the socket take; nothing where nghttp2 is on the stack. */
void h2_conn_send(struct h2_conn *conn);
/* A DATA frame, from within nghttp2's send. The payload is borrowed until h2_conn_write, or until the send ends. */
void h2_conn_put_data(struct h2_conn *conn, const uint8_t *frame_head, struct slice payload);
/* Gives what is put together to the stream. */
void h2_conn_write(struct h2_conn *conn);
/* The server has been silent since a request that was given up: asks whether it is there at all. */
void h2_conn_suspect(struct h2_conn *conn);
/* A request has gone. */
void h2_conn_released(struct h2_conn *conn);

/* ---- h2_call.c ---- */

/* Its user will be told; it must not be on nghttp2's hands any more, or about to leave them. */
void h2_call_fail(struct h2_call *call, struct err err, enum http_progress progress);
/* How far it got, for a failure of its connection. */
enum http_progress h2_call_progress(const struct h2_call *call);
/* Takes it from the connection: no event after it. RST_STREAM CANCEL unless its stream is closed. */
void h2_call_let_go(struct h2_call *call);
/* Tells its user what is due. */
void h2_call_tell(struct h2_call *call);
void h2_call_news(struct h2_call *call);
/* nghttp2's callbacks for what goes out. */
void h2_call_callbacks(nghttp2_session_callbacks *callbacks);

/* ---- h2_answer.c ---- */

/* A frame of a stream is complete. */
int h2_answer_on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user_data);
/* nghttp2's other callbacks for what comes in. */
void h2_answer_callbacks(nghttp2_session_callbacks *callbacks);

#endif
