/* resolve: names to addresses by getaddrinfo, on an offload pool. Single-flight per name; the last good addresses serve
 * on while a refresh fails. One loop's thread. Owns its cache, which holds the names that are configured or that a CA
 * named: never names that a stranger chose. */
#ifndef NET_RESOLVE_H
#define NET_RESOLVE_H

#include "base/limits.h"
#include "base/list.h"
#include "net/address.h"
#include "net/net_loop.h"
#include "net/offload.h"

struct resolver;

/* Borrowed for the callback; ports are 0. */
struct resolve_answer {
    struct address addresses[LIMIT_DNS_ADDRESSES];
    size_t num;
    struct err err; /* set where there is no address, not even an old one */
};

/* Embedded by whoever asks. */
struct resolve_wait {
    struct list node;
    void (*done)(struct resolve_wait *wait, const struct resolve_answer *answer);
};

/* `ttl_ms`: how long an answer is used before the name is asked again. */
struct resolver *resolver_new(struct net_loop *loop, struct offload_pool *pool, struct offload_port *port,
                              uint64_t ttl_ms);
/* For what is resolved from now on. */
void resolver_set_ttl(struct resolver *resolver, uint64_t ttl_ms);
/* Waits are dropped without a call; a job in flight frees itself. */
void resolver_free(struct resolver *resolver);

/* Numeric addresses and fresh answers are given at once, from within the call: returns true and fills out_answer.
 * Otherwise false, and `done` is called later. A stale answer is given at once too, and asked again behind it. Of several
 * addresses another one is first each time. */
bool resolver_ask(struct resolver *resolver, struct slice host, struct resolve_wait *wait,
                  struct resolve_answer *out_answer);
void resolve_wait_init(struct resolve_wait *wait,
                       void (*done)(struct resolve_wait *wait, const struct resolve_answer *answer));
void resolve_wait_cancel(struct resolve_wait *wait);

#endif
