/* handover: how a running process gives its listening sockets to the one that relieves it (`portico run --take-over`), so
 * that a new program takes over without a lost connection.
 *
 * The sockets are shared, not closed: what waits in their queues is accepted by whichever process comes first, and by the
 * new one alone from when the old has left. Nothing is given up before the new one serves, so that a new program with a
 * bad configuration changes nothing. Offers itself at STORAGE/.handover (0600), since processes on one storage are
 * one service; only our user and root are answered. One new process at a time. Control thread; embedded in control. */
#ifndef CORE_HANDOVER_H
#define CORE_HANDOVER_H

#include "base/log.h"
#include "core/sockets.h"
#include "net/net_loop.h"

struct handover_peer;

struct handover {
    struct net_loop *loop;
    struct log_ring *log;
    const struct sockets *sockets; /* what the workers and the admin endpoint listen on */
    void *ctx;
    void (*relieved)(void *ctx, int pid); /* the new process serves: leave */

    /* private */
    int fd; /* -1: closed */
    uv_poll_t poll;
    struct handover_peer *peer;
};

/* The first fields are set by the caller. over: in the place of a process that has handed over to us; otherwise one that
 * lives is left in its place, and this fails with ERR_STATE. */
MUST_CHECK struct err handover_open(struct handover *handover, const char *storage, bool over);
/* No further offers; the handles linger until their close callbacks. Harmless where it is not open. */
void handover_close(struct handover *handover);

/* ---- the new process, at its start; blocks, for seconds at most ---- */

struct takeover {
    int fd; /* -1: there is nobody to relieve */
    int pid;
};

/* Asks whoever serves the storage for its sockets and adopts those that this configuration wants, too. ERR_OK with fd -1
 * where nobody is there. */
MUST_CHECK struct err takeover_begin(struct takeover *takeover, const char *storage, struct sockets *sockets);
/* We serve: the old process leaves. Harmless without one. */
MUST_CHECK struct err takeover_end(struct takeover *takeover);
/* We do not: it goes on. */
void takeover_abandon(struct takeover *takeover);

#endif
