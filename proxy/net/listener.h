/* listener: a listening socket on one worker's loop. Accepts by credit and in bounded batches: without credit it does
 * not even ask the kernel, so that EMFILE is never reached (libuv's own answer to that is to accept and close). One
 * loop's thread; sockets are bound by listen_bind on any thread. */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include "net/address.h"
#include "net/net_loop.h"

#include <stdatomic.h>

/* How many connections the process may have: one relaxed atomic for all workers. */
struct conn_credit {
    _Atomic int64_t num_open;
    _Atomic int64_t told_ms; /* when credit_changed was last called, on any worker */
    _Atomic int64_t max;
};

/* Binds and sets SO_REUSEPORT where `shared`; an IPv6 wildcard is dual-stack. Without it first: a second process would
 * otherwise silently take half of the traffic. Port 0 takes a free one. The socket listens from here on:
 * only a listening one keeps others off the address, and clients wait in its queue while we start. */
MUST_CHECK struct err listen_bind(const struct address *address, bool shared, int *out_fd);
/* The same, shared, where sockets of this very process listen on the port already: they would fail the first test. */
MUST_CHECK struct err listen_bind_beside(const struct address *address, int *out_fd);
/* One more socket on the address that `fd` is bound to, for one more worker. */
MUST_CHECK struct err listen_bind_again(int fd, int *out_fd);

struct listener {
    struct net_loop *loop;
    struct conn_credit *credit;
    uv_poll_t poll;
    int fd;
    bool unix_socket;
    bool paused; /* for want of credit */
    bool closing;
    struct tick retry;
    uint64_t last_connection_ms; /* for the drain's quiet time */
    /* A connection, non-blocking; fd and its credit are the callee's, who gives the credit back by conn_credit_release
     * when the connection has closed. */
    void (*connection)(struct listener *listener, int fd);
    /* paused: there is no credit; !paused: there is again. For the log: at most once a second in the process, so that
     * what comes and goes at the limit is not all told. */
    void (*credit_changed)(struct listener *listener);
    void (*closed)(struct listener *listener);
};

void conn_credit_release(struct conn_credit *credit);

/* Takes over the bound socket and accepts on it. The three callbacks are set by the caller before. On failure fd stays the
 * caller's. */
MUST_CHECK struct err listener_open(struct listener *listener, struct net_loop *loop, int fd, bool unix_socket,
                                    struct conn_credit *credit);
/* Accepts what is queued in the kernel, as far as there is credit (closing resets what is left), then closes. */
void listener_close(struct listener *listener);

#endif
