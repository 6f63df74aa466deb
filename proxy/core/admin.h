/* admin: the small HTTP server on the control loop: health, metrics, status. It serves a handful of short requests, each
 * on a connection of its own; never the traffic. Control thread. */
#ifndef CORE_ADMIN_H
#define CORE_ADMIN_H

#include "base/buf.h"
#include "base/log.h"
#include "net/net_loop.h"

struct admin;

struct admin_answer {
    unsigned status;
    const char *content_type;
    struct buf body; /* freed by admin */
};

struct admin_options {
    struct net_loop *loop;
    struct log_ring *log;
    int fd; /* bound; the admin's from then on */
    bool unix_socket;
    void *ctx;
    /* GET path (without its query), or HEAD. local: the peer is this machine. False: 404. */
    bool (*get)(void *ctx, struct slice path, bool local, struct admin_answer *out_answer);
};

MUST_CHECK struct err admin_new(const struct admin_options *options, struct admin **out_admin);
/* Closes the listener and what is open; frees itself later. NULL is fine. */
void admin_close(struct admin *admin);

#endif
