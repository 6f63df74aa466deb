/* basic_auth: the name and password of an Authorization field (RFC 7617). Pure; any thread. */
#ifndef EXCHANGE_BASIC_AUTH_H
#define EXCHANGE_BASIC_AUTH_H

#include "base/buf.h"
#include "http/head.h"

/* Views into the buf of basic_auth_read. */
struct basic_credentials {
    struct slice name, password; /* bytes without control characters; either may be empty, the name has no colon */
};

/* Decodes the request's one Authorization field of the scheme Basic into `secret`, which the caller gives back with
 * buf_cleanup_secret whatever comes of it. False: there is none, or more than one (whom would the backend believe?), or
 * it is malformed, or longer than LIMIT_AUTHORIZATION_BYTES. */
MUST_CHECK bool basic_auth_read(const struct head *request, struct buf *secret,
                                struct basic_credentials *out_credentials);

#endif
