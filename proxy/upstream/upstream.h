/* upstream: one request under way to a backend, whatever its connection speaks: a whole HTTP/1.1 connection that is lent,
 * one stream of an HTTP/2 connection, raw bytes. One worker's thread.
 *
 * The pool hands it out; it is the user's until its answer has ended, it failed, or the user detached or closed it: after
 * that it must not be touched. Its events go to the user (http/http_user.h). */
#ifndef UPSTREAM_UPSTREAM_H
#define UPSTREAM_UPSTREAM_H

#include "http/http_user.h"

struct backend;
struct upstream;

struct upstream_request {
    const struct head *head;     /* method, target, authority, framing, upgrade */
    const struct fields *fields; /* all others that go out (http/hop) */
};

struct upstream_ops {
    /* Once, first. The head may wait for the first bytes of the body, for the end or for flush. The arena takes the
     * answer's head; it and the request are borrowed until the upstream is let go. */
    void (*begin)(struct upstream *upstream, struct http_user *user, struct arena *arena,
                  const struct upstream_request *request);
    /* Body bytes, or raw bytes in a tunnel. False: more than FLOW_HIGH_BYTES are queued, stop until `drained`. */
    bool (*body)(struct upstream *upstream, struct slice bytes);
    /* The request is whole; trailers may be NULL. In a tunnel: ends our side. */
    void (*end)(struct upstream *upstream, const struct fields *trailers);
    void (*flush)(struct upstream *upstream);
    /* The answer's backpressure. */
    void (*read_stop)(struct upstream *upstream);
    void (*read_start)(struct upstream *upstream);
    /* The user withdraws from what is not whole: the backend sees an abort. No event after it. */
    void (*detach)(struct upstream *upstream);
    /* Ends in order: a tunnel that has ended both ways. No event after it. */
    void (*close)(struct upstream *upstream);
};

struct upstream {
    const struct upstream_ops *ops;
    struct backend *backend;   /* lives as long as the pool */
    struct slice backend_text; /* for the log; lives as long as the pool */
    struct slice preamble;     /* of a new connection: its first bytes, the pool_wait's; sent by begin */
    bool reused;               /* its connection served other requests before */
    bool may_refuse; /* the server may say, of a request that went out, that it did not act on it: HTTP_UNSENT */
};

#endif
