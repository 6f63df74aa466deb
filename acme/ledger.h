/* ledger: how much of a CA's limits one account has used (ACME-104 to 107, 111), so that new names are paced rather than
 * refused. Numbers are known for Let's Encrypt's directories alone; elsewhere everything is allowed.
 *
 * Each limit is a bucket that refills steadily, kept as one instant: the time at which it will be full again. Limits of
 * account and registered domains are here; those of one set of names are in struct ledger_name, which the name's own state
 * keeps. Bounded, and as JSON the record ledger/HASH. Pure; owns its texts; one thread. It never looks at a clock, and never
 * knows what others do with the same account or domain: the CA's rateLimited answers correct it. */
#ifndef ACME_LEDGER_H
#define ACME_LEDGER_H

#include "acme/problem.h"

struct json;
struct json_writer;
struct ledger_limits;

enum { LEDGER_MAX_DOMAINS = 2048 };

struct ledger_domain {
    struct buf text;
    int64_t full_ms;
};

struct ledger {
    const struct ledger_limits *limits; /* NULL: none are known */
    int64_t orders_full_ms;
    struct ledger_domain *domains;
    size_t num_domains, cap_domains;
};

/* Of one set of names at one directory; zeroed: nothing used. */
struct ledger_name {
    int64_t set_full_ms;     /* same exact set, ACME-106 */
    int64_t failure_full_ms; /* failed authorizations, ACME-107 */
};

enum ledger_kind {
    LEDGER_NEW,     /* a set of names that has no certificate of this CA yet */
    LEDGER_RENEWAL, /* the same set again: exempt from the limits of account and domain (ACME-111) */
    LEDGER_ARI      /* the same, within the window that the CA has suggested: exempt from all (ACME-102) */
};

struct ledger_order {
    enum ledger_kind kind;
    struct slice domain; /* registered domain, IPv4 address or IPv6 /64 */
    struct ledger_name *name;
    int64_t floor_ms; /* wall clock at which the CA is asked whatever is written here; 0: none */
};

enum ledger_limit { LEDGER_ORDERS, LEDGER_DOMAIN, LEDGER_SET, LEDGER_FAILURES, LEDGER_UNKNOWN };

/* "new orders of the account", ... */
const char *ledger_limit_text(enum ledger_limit limit);

void ledger_init(struct ledger *ledger, struct slice directory_url);
/* With the limits of nobody (ACME_LEDGER=off): everything is allowed. */
void ledger_init_off(struct ledger *ledger);
void ledger_cleanup(struct ledger *ledger);

/* Wall clock from which on the order may be placed; at or before now_ms: now. *out_limit (may be NULL): what it waits for. */
int64_t ledger_ready_ms(const struct ledger *ledger, const struct ledger_order *order, int64_t now_ms,
                        enum ledger_limit *out_limit);
/* The order is placed. */
void ledger_spend(struct ledger *ledger, const struct ledger_order *order, int64_t now_ms);
/* It ended without a certificate; failed_validation: the CA counts that against the name. */
void ledger_give_back(struct ledger *ledger, const struct ledger_order *order, bool failed_validation, int64_t now_ms);

/* What a rateLimited answer taught. */
struct ledger_lesson {
    enum ledger_limit limit;
    bool
        predicted; /* it was known here: the CA was asked all the same. Otherwise another client uses name or account */
};

/* The CA refused the order with a problem of type rateLimited: what is written is corrected by it. `placed`: how the ledger
 * stood before this order was written down is worked out by itself. */
struct ledger_lesson ledger_correct(struct ledger *ledger, const struct ledger_order *order,
                                    const struct problem *problem, int64_t now_ms);

/* The record. False where the text makes no sense: the ledger is as at first then. */
void ledger_write(const struct ledger *ledger, int64_t now_ms, struct buf *out);
bool ledger_read(struct ledger *ledger, struct slice text, int64_t now_ms);
/* Members of an object that is open; and back. */
void ledger_name_write(const struct ledger_name *name, struct json_writer *w);
struct ledger_name ledger_name_read(const struct json *object);

#endif
