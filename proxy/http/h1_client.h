/* h1_client: the client side of one HTTP/1.1 connection, over any stream. One loop's thread.
 *
 * Lent to one user at a time, for one request; never given back with unread bytes. It owns neither its stream nor the
 * arena that a response goes into. Embedded by whoever owns the stream (upstream/pool, client/https).
 *
 *              lend                        response and request both whole, keep-alive
 *   H1C_IDLE ---------> H1C_BUSY ----------------------------------------------> H1C_IDLE
 *      |                  |  \---- 101 that was asked for ----> H1C_TUNNEL
 *      | input, end       | failure, or the connection cannot be used again         |
 *      +----------------->+-------------------> H1C_DONE <--------------------------+    (owner: close or reset it)
 *
 * After h1_client_detach no event reaches the user. */
#ifndef HTTP_H1_CLIENT_H
#define HTTP_H1_CLIENT_H

#include "http/h1_reader.h"
#include "http/h1_writer.h"
#include "http/http_user.h"
#include "net/stream.h"

enum h1_client_state { H1C_IDLE, H1C_BUSY, H1C_TUNNEL, H1C_DONE };

struct h1_client {
    struct stream *stream;
    struct sink sink; /* gets the stream's events */
    struct h1_reader reader;
    struct http_user *user; /* while BUSY or TUNNEL */
    struct buf head_out;    /* a request head that waits for its first body bytes, or for flush */
    enum h1_client_state state;
    bool chunked; /* the request's framing */
    bool request_ended;
    bool sent;             /* the stream was given some of the request */
    bool response_started; /* a byte of an answer has come */
    bool response_ended;
    bool keep_alive;
    int64_t
        keep_ms; /* how long the server keeps it while idle, as it said with the last answer; negative: it did not */
    struct err failure;
    /* The connection is to be closed or has closed, and nobody uses it: once, in DONE. */
    void (*done)(struct h1_client *client);
    /* BUSY to IDLE: it can be lent again. */
    void (*idle)(struct h1_client *client);
    void (*closed)(struct h1_client *client, struct err err); /* the stream's last event: the memory may be freed */
};

/* Takes the events of an open stream and reads on it. `done`, `idle` and `closed` are set by the caller before. */
void h1_client_open(struct h1_client *client, struct stream *stream, const struct h1_limits *limits);

/* IDLE to BUSY. The arena is borrowed until the response has ended or the client was detached. `asked` and
 * `upgrade_asked` tell what is answered. */
void h1_client_lend(struct h1_client *client, struct http_user *user, struct arena *arena, enum method asked,
                    bool upgrade_asked);
/* The user withdraws from an exchange that is not whole: the connection is reset. */
void h1_client_detach(struct h1_client *client);
/* Ends in order: an idle connection, a tunnel that has ended both ways, an answer that came early. What is queued goes
 * out; a user hears no more. */
void h1_client_close(struct h1_client *client);

/* The request head, written by the caller into *h1_client_head_out, with what it says of its body. It waits for the
 * first bytes of the body, for the end or for flush. */
struct buf *h1_client_head_out(struct h1_client *client);
void h1_client_head_written(struct h1_client *client, enum body framing);
/* Body bytes (framed here), or raw bytes in a tunnel. False: stop until `drained`. */
MUST_CHECK bool h1_client_body(struct h1_client *client, struct slice bytes);
/* The request is whole; trailers may be NULL. In a tunnel: ends our side. */
void h1_client_end(struct h1_client *client, const struct fields *trailers);
void h1_client_flush(struct h1_client *client);

/* The response's backpressure. */
void h1_client_read_stop(struct h1_client *client);
void h1_client_read_start(struct h1_client *client);

#endif
