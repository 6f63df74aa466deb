/* reply: answers of our own making, as a head and a body in an arena: errors in HTML, or in JSON for a client that asks
 * for it; redirects; HTTP-01. Pure. */
#ifndef EXCHANGE_REPLY_H
#define EXCHANGE_REPLY_H

#include "http/head.h"

struct reply {
    struct head *head;
    struct slice body;
};

/* An error page: JSON for a client that asks for it, else `page` in place of a 502, 503 or 504 of ours where it is given
 * (ERROR_PAGE; borrowed), else our HTML, which names the status and a hint that a visitor can use, and nothing internal.
 * A 401 asks for a password (RFC 7617 §2). retry_after_s: when to try again, which a 503 always says; 0: in a second there,
 * unsaid elsewhere. `request` may be NULL. */
struct reply reply_error(struct arena *arena, unsigned status, unsigned retry_after_s, const struct head *request,
                         struct slice page);
/* 308 Permanent Redirect: the method and the body stay. */
struct reply reply_redirect(struct arena *arena, struct slice location);
/* 200 text/plain: for HTTP-01, whose body is exactly this (RFC 8555 §8.3). */
struct reply reply_text(struct arena *arena, struct slice text);

#endif
