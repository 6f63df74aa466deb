/* front: what an exchange asks of the protocol that its client speaks, HTTP/1.1 or HTTP/2. The exchange knows neither. One
 * worker's thread. */
#ifndef EXCHANGE_FRONT_H
#define EXCHANGE_FRONT_H

#include "http/head.h"

struct front;

/* Borrowed for the call. */
struct front_response {
    const struct head *head;     /* status, framing: as the backend sent it, or of our own making */
    const struct fields *fields; /* all that goes to the client but framing, Connection and Upgrade */
    bool tunnel;                 /* a 101: raw bytes from here on, both ways */
};

struct front_ops {
    /* An interim answer (1xx but 101). */
    void (*interim)(struct front *front, const struct head *head, const struct fields *fields);
    /* The answer's head. Held back until its first bytes, its end or flush. */
    void (*respond)(struct front *front, const struct front_response *response);
    /* Bytes of the answer's body. False: more than FLOW_HIGH_BYTES are queued, stop until exchange_drained. */
    bool (*body)(struct front *front, struct slice bytes);
    /* The answer is whole. The last call of an exchange, as is abort: the front ends it (exchange_free). trailers may be
     * NULL. In a tunnel: the backend has ended its side, and it is the last call once the client has ended its own. */
    void (*end)(struct front *front, const struct fields *trailers);
    /* The answer was cut: the client must see that. */
    void (*abort)(struct front *front);
    /* Write what is held back. */
    void (*flush)(struct front *front);
    /* Backpressure of the request's body. */
    void (*read_stop)(struct front *front);
    void (*read_start)(struct front *front);
};

struct front {
    const struct front_ops *ops;
};

#endif
