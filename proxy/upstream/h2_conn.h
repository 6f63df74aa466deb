/* h2_conn: the client side of one HTTP/2 connection with prior knowledge (RFC 9113 §3.3), over any stream, and the
 * requests on it. One loop's thread. Private to upstream/; the only files that know nghttp2 there are h2_*.c.
 *
 *            SETTINGS came           GOAWAY, or no stream id is left
 *   OPENING --------------> OPEN ------------------------------------> LEAVING
 *      |                     | failure, close                             | its last request has gone
 *      +---------------------+---------------------> DONE <---------------+       (`closed` is the last event)
 *
 * Nothing is asked before the server's SETTINGS came: how many streams it takes is known then, and that it speaks HTTP/2.
 *
 * What a call of a request's user makes happen is told to users later, by the deferred turn: no event comes from within
 * such a call, nor from within nghttp2 but for those of the answer that is being read. The turn also sends: all requests
 * of one turn of the loop leave in one write. Only large pieces of a body go at once, without a copy. */
#ifndef UPSTREAM_H2_CONN_H
#define UPSTREAM_H2_CONN_H

#include "base/buf.h"
#include "net/net_loop.h"
#include "net/stream.h"
#include "upstream/upstream.h"

enum h2_conn_state { H2C_OPENING, H2C_OPEN, H2C_LEAVING, H2C_DONE };

enum { H2C_DATA_FRAMES = 3, H2C_FRAME_HEAD_BYTES = 9 }; /* with `out` as many parts as a socket takes in one write */

struct nghttp2_session;

struct h2_conn {
    struct net_loop *loop;
    struct stream *stream; /* the owner's */
    struct sink sink;      /* gets the stream's events */
    struct nghttp2_session *session;
    enum h2_conn_state state;
    struct list requests; /* struct h2_call */
    struct list news;     /* those of them whose user is to be told something */
    size_t num_requests;
    struct deferred turn;
    struct tick deadline;                    /* for SETTINGS while OPENING, for a PING's answer, else of idleness */
    struct err failure;                      /* why it is DONE; none where it ended in order */
    struct buf out;                          /* frames of the send under way */
    struct slice parts[2 * H2C_DATA_FRAMES]; /* behind `out`: heads of DATA frames and their payload, borrowed */
    size_t num_parts;
    char data_heads[H2C_DATA_FRAMES][H2C_FRAME_HEAD_BYTES];
    uint64_t heard_ms; /* when something was last received */
    int64_t idle_timeout_ms;
    bool feeding, sending; /* nghttp2 is on the stack */
    bool full;             /* the stream's queue is */
    bool pinging;          /* no request is begun meanwhile */
    bool used;             /* has had a request */
    bool opened_due;       /* news for the owner */
    bool done_told;
    /* Set by the owner before h2_conn_open. */
    void (*opened)(struct h2_conn *conn);
    void (*released)(struct h2_conn *conn); /* a request has gone; may come from within a call of its user */
    void (*done)(struct h2_conn *conn,
                 struct err err);         /* takes no more requests: OPENING failed, LEAVING, DONE; once */
    void (*closed)(struct h2_conn *conn); /* the last event: the memory may be freed */
};

/* Takes the events of an open stream and sends the preface. `open_timeout_ms`: until the server's SETTINGS. */
void h2_conn_open(struct h2_conn *conn, struct net_loop *loop, struct stream *stream, uint64_t open_timeout_ms,
                  int64_t idle_timeout_ms);
/* Whether it takes another request now: within the server's MAX_CONCURRENT_STREAMS and LIMIT_UPSTREAM_STREAMS. */
bool h2_conn_has_room(const struct h2_conn *conn);
/* One more request, of h2_conn_has_room alone. */
struct upstream *h2_conn_call(struct h2_conn *conn, struct backend *backend, struct slice backend_text);
/* Takes no more requests, and ends behind its last one. */
void h2_conn_leave(struct h2_conn *conn);
/* In order: GOAWAY, and the stream is closed. Requests that are under way fail, as HTTP_UNANSWERED at least. */
void h2_conn_close(struct h2_conn *conn);

#endif
