/* passwords: whether a name and a password are of BASIC_AUTH, found out beside the loop.
 *
 * bcrypt takes 50 ms and more on purpose, so it runs on the pool `password` (at nice +10, bounded, shed when full), and a
 * right pair is remembered for LIMIT_PASSWORD_REMEMBERED_MS, by a keyed hash and never itself. Wrong pairs are not: each
 * costs its sender the whole time, unknown names no less than known ones. Pairs that are being checked already are not
 * checked twice, those that nobody waits for any more not at all. One per worker, on its thread; owns its jobs and its
 * memory, borrows pool, port and counters. */
#ifndef EXCHANGE_PASSWORDS_H
#define EXCHANGE_PASSWORDS_H

#include "base/counters.h"
#include "base/list.h"
#include "config/config.h"
#include "exchange/basic_auth.h"
#include "net/net_loop.h"
#include "net/offload.h"

struct passwords;
struct password_job;

/* Embedded by who waits. */
struct password_wait {
    struct list node;
    struct password_job *job;                              /* NULL while nothing is waited for */
    void (*known)(struct password_wait *wait, bool right); /* at most once for each PASSWORD_PENDING */
};

enum password_verdict {
    PASSWORD_RIGHT,   /* remembered */
    PASSWORD_PENDING, /* wait->known will be called, never from within */
    PASSWORD_BUSY     /* too many are waiting, in all or from this client: shed */
};

struct passwords *passwords_new(struct net_loop *loop, struct offload_pool *pool, struct offload_port *port,
                                struct counters *counters);
/* Once its port has closed: no job is out then. NULL is fine. */
void passwords_free(struct passwords *passwords);

/* At least one user. client: whom to count it for; of IPv6 the network alone. Nothing of the arguments is needed after the
 * call; bcrypt reads the first 72 bytes of a password. */
MUST_CHECK enum password_verdict passwords_check(struct passwords *passwords, const struct config_user *users,
                                                 size_t num_users, const struct basic_credentials *credentials,
                                                 const struct ip *client, struct password_wait *wait);

void password_wait_init(struct password_wait *wait, void (*known)(struct password_wait *wait, bool right));
/* Whether or not something is waited for; wait->known is not called after. */
void password_wait_cancel(struct password_wait *wait);

#endif
