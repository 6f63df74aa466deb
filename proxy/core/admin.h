/* admin: the small HTTP server on the control loop, over a listener (ADMIN_LISTEN) or the control socket. It serves a
 * handful of short requests, each on a connection of its own; never the traffic. It knows no page: what is answered, and
 * to whom, core/pages says. Control thread. */
#ifndef CORE_ADMIN_H
#define CORE_ADMIN_H

#include "base/buf.h"
#include "core/cursor.h"
#include "http/head.h"
#include "net/net_loop.h"

struct admin;

/* By where a request came from, with growing rights. */
enum admin_peer {
    ADMIN_PEER_REMOTE,   /* another machine, or another network namespace */
    ADMIN_PEER_LOOPBACK, /* by TCP from this machine: programs of every user, and web pages in their browsers */
    ADMIN_PEER_UNIX,     /* a unix socket of ADMIN_LISTEN: whom its directory lets in, and no web page */
    ADMIN_PEER_CONTROL   /* the control socket: this user, or root */
};

/* Borrowed for the call. */
struct admin_request {
    const struct head *head;
    struct slice path; /* of the target, without its query */
    enum admin_peer peer;
};

struct admin_answer {
    unsigned status;
    const char *content_type;
    struct cursor cursor; /* of whoever writes it */
    bool more;            /* it is not whole: the same request is asked again in a later turn, to go on behind cursor */
    struct buf fields;    /* further field lines, each with its CRLF; freed by admin */
    struct buf body;      /* freed by admin */
};

struct admin_options {
    struct net_loop *loop;
    int fd; /* bound; the admin's from then on */
    bool unix_socket;
    bool control; /* it is the control socket */
    void *ctx;
    /* Fills *out_answer, which is a 200 in plain text with nothing in it. Never ends the admin from within. */
    void (*answer)(void *ctx, const struct admin_request *request, struct admin_answer *out_answer);
};

MUST_CHECK struct err admin_new(const struct admin_options *options, struct admin **out_admin);
/* Closes the listener and what is open; frees itself later. NULL is fine. */
void admin_close(struct admin *admin);

#endif
