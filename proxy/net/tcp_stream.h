/* tcp_stream: a stream over a connected socket (TCP or unix). One loop's thread.
 *
 * Reads into the loop's shared buffer; writes at once and queues, in memory of its own, only what the socket refuses.
 * Embedded by its owner, who frees the memory no earlier than in `closed`.
 *
 *        open              close, or eof of a closing peer
 *   NEW ------> OPEN --------------------------> LINGERING ---+
 *                |  failure, reset                            | input ended, or the bound was reached
 *                +--------------------------------> CLOSING <-+ ----> CLOSED (event `closed`) */
#ifndef NET_TCP_STREAM_H
#define NET_TCP_STREAM_H

#include "base/buf.h"
#include "net/net_loop.h"
#include "net/stream.h"

#include <uv.h>

struct tcp_write;

enum tcp_state { TCP_STREAM_NEW, TCP_STREAM_OPEN, TCP_STREAM_LINGERING, TCP_STREAM_CLOSING, TCP_STREAM_CLOSED };

struct tcp_stream {
    struct stream base;
    struct net_loop *loop;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    enum tcp_state state;
    bool reading;         /* the consumer wants input */
    bool eof_seen;        /* the peer's FIN was read */
    bool shutdown_wanted; /* our FIN follows the queue */
    bool shutdown_done;
    bool write_broken;           /* the socket takes no more; reading may still bring an early answer */
    bool full;                   /* a writev answered false; `drained` is due */
    struct err failure;          /* told in `closed` */
    struct tcp_write *in_flight; /* owns the bytes that uv_write has */
    struct buf queue;            /* behind those */
    size_t lingered_bytes;
    struct tick stall;  /* no progress of the queue; in LINGERING the end of the linger */
    struct tick broken; /* reading on behind a failed write, while something comes */
    size_t stall_unsent_bytes;
    uint64_t
        stall_ms; /* how long the peer may take nothing; LIMIT_WRITE_STALL_MS unless its owner sets it, 0: for ever */
};

/* Takes over a connected or accepted socket; `unix_socket` tells its kind. On failure fd stays the caller's and the
 * stream is not open. TCP_NODELAY and keep-alive probes are set. */
MUST_CHECK struct err tcp_stream_open(struct tcp_stream *tcp, struct net_loop *loop, int fd, bool unix_socket);
/* The socket, for peer names and options; -1 where it is closed. */
int tcp_stream_fd(const struct tcp_stream *tcp);
/* An idle connection that should be quiet: true where input, an end or an error lies there unread. */
bool tcp_stream_readable(const struct tcp_stream *tcp);

#endif
