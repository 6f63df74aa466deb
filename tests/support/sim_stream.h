/* sim_stream: a stream without a socket. The test is the peer: it gives input, reads what was written, and decides how
 * the bytes are cut, when the queue is full and when the peer leaves. Keeps the contract of net/stream.h. */
#ifndef SUPPORT_SIM_STREAM_H
#define SUPPORT_SIM_STREAM_H

#include "base/buf.h"
#include "net/net_loop.h"
#include "net/stream.h"

enum sim_end { SIM_OPEN, SIM_CLOSED, SIM_RESET }; /* how our side left */

struct sim_stream {
    struct stream base;
    struct net_loop *loop;
    struct deferred turn;
    struct buf input;    /* not yet delivered */
    struct buf output;   /* all that was written */
    size_t read_bytes;   /* the most that one data event carries; 0: all there is */
    bool always_full;    /* every write fills the queue, which drains in the next turn */
    bool stalled;        /* the peer takes nothing: what is written stays queued until sim_stream_release */
    size_t queued_bytes;
    size_t most_queued_bytes;
    bool eof;            /* the peer ends behind the input */
    bool reading, eof_told, full, shut, closed_told;
    enum sim_end end;
    struct err failure;  /* told in closed */
    void (*written)(struct sim_stream *sim); /* the peer sees new output; may be NULL */
    void (*closed)(struct sim_stream *sim);  /* behind the last event; may be NULL */
    void *ctx;
};

void sim_stream_init(struct sim_stream *sim, struct net_loop *loop);
void sim_stream_cleanup(struct sim_stream *sim);
/* The peer sends. */
void sim_stream_send(struct sim_stream *sim, struct slice bytes);
void sim_stream_send_eof(struct sim_stream *sim);
/* The peer takes what is queued; it stays stalled. */
void sim_stream_release(struct sim_stream *sim);
/* The connection breaks: RST from the peer, or a stalled write's end. */
void sim_stream_break(struct sim_stream *sim);

#endif
