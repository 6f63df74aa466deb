/* http_user: whoever has sent a request and hears its answer, in whatever protocol the server speaks. One loop's thread.
 *
 * The events come in order: any number of heads with an interim status, a head, bodies, end. `failed` may come at any time
 * and is then the last. No event comes from within a call of the user's. Every event but `flush` may end in a detach. */
#ifndef HTTP_HTTP_USER_H
#define HTTP_HTTP_USER_H

#include "http/head.h"

struct http_user;

/* How far a request got before its connection failed: what a retry must know (HARDENING B2). */
enum http_progress {
    HTTP_UNSENT, /* the server cannot have acted on it: nothing of it went out, or the server says so (RFC 9113 §8.7) */
    HTTP_UNANSWERED, /* sent at least in part, and no byte of an answer has come */
    HTTP_ANSWERING
};

struct http_user_ops {
    void (*head)(struct http_user *user,
                 struct head *head); /* an interim answer, a 101 that was asked for, or the answer */
    void (*body)(struct http_user *user, struct slice bytes);           /* in a tunnel: raw bytes */
    void (*end)(struct http_user *user, const struct fields *trailers); /* in a tunnel: the server ended its side */
    /* err.kind ERR_INPUT or ERR_LIMIT: the answer broke the rules (err.what says which). */
    void (*failed)(struct http_user *user, struct err err, enum http_progress progress);
    void (*drained)(struct http_user *user); /* a send answered false; now there is room */
    void (*flush)(struct http_user *user);   /* what one read brought has been told: write what was held for it */
};

struct http_user {
    const struct http_user_ops *ops;
};

#endif
