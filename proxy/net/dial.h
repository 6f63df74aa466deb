/* dial: one connection to a host, by the first address that answers. IPv6 and IPv4 staggered by 250 ms within one limit
 * (RFC 8305). One loop's thread. Embedded by whoever dials; owns the sockets of its attempts until one is handed over. */
#ifndef NET_DIAL_H
#define NET_DIAL_H

#include "net/resolve.h"

struct dial;
struct dial_attempt;

struct dial {
    struct net_loop *loop;
    struct resolve_wait resolving;
    struct tick deadline, stagger;
    struct deferred deferred;
    struct resolve_answer answer; /* interleaved by family, ports set */
    size_t next;                  /* address to try */
    struct dial_attempt *attempts;
    struct err last_err;
    uint16_t port;
    bool active;
    /* fd is the callee's, connected and non-blocking, or err is set. Never from within dial_start. */
    void (*done)(struct dial *dial, int fd, const struct address *address, struct err err);
};

void dial_init(struct dial *dial, struct net_loop *loop,
               void (*done)(struct dial *dial, int fd, const struct address *address, struct err err));
/* `host` is a name or a numeric address and is needed for the call alone. */
void dial_start(struct dial *dial, struct resolver *resolver, struct slice host, uint16_t port, uint64_t timeout_ms);
/* One known address, a unix socket too. */
void dial_start_address(struct dial *dial, const struct address *address, uint64_t timeout_ms);
/* No call after this. Harmless when nothing runs. */
void dial_cancel(struct dial *dial);

#endif
