/* desk: where people and their programs reach a running process: the admin listener, the control socket, and what the
 * answers are made of. Owned by control, which it looks at through one call. Control thread. */
#ifndef CORE_DESK_H
#define CORE_DESK_H

#include "core/worker.h"
#include "net/resolve.h"

struct keeper;
struct desk;

/* How control stands; borrowed for the call. */
struct desk_view {
    const struct config *config;
    struct worker *const *workers;
    size_t num_workers;
    struct keeper *keeper; /* NULL: none */
    int64_t max_conns;
    bool started, draining;
    bool alive; /* every worker has turned lately */
};

struct desk_options {
    struct net_loop *loop;
    struct log *log;
    struct log_ring *ring;
    struct resolver *resolver;
    const char *version;
    void *ctx;
    struct desk_view (*look)(void *ctx);
    void (*drain)(void *ctx); /* somebody asks for a drain; from the loop */
};

struct desk *desk_new(const struct desk_options *options);
/* ADMIN_LISTEN, from now on and no more where it was: a bound socket, which is the desk's from then on, even where this
 * fails; -1: nowhere. */
MUST_CHECK struct err desk_listen(struct desk *desk, int fd, bool unix_socket);
/* The control socket, once the storage's directory is there. What fails is logged: nothing depends on it. */
void desk_open_control(struct desk *desk);
/* Another process answers in our place from now on: listens nowhere, neither for commands. */
void desk_leave(struct desk *desk);
/* Closes all; frees itself later. NULL is fine. */
void desk_close(struct desk *desk);

#endif
