/* ledger: how much of a CA's limits one account has used (ACME-104 to 107, 111), so that new names are paced rather than
 * refused. Numbers are known for Let's Encrypt's directories alone; elsewhere everything is allowed.
 *
 * Each limit is a bucket that refills steadily, kept as one instant: the time at which it will be full again. Those of account
 * and registered domains are here; those of one set of names are in struct ledger_name, which the name's own state keeps.
 * Bounded, and as JSON a record of its own. Pure; owns its texts; one thread. It never looks at a clock, and cannot know what
 * others do with the same account or domain: the CA's rateLimited answers correct it. */
#ifndef ACME_LEDGER_H
#define ACME_LEDGER_H

#include "acme/problem.h"

struct json;
struct json_writer;

enum { LEDGER_MAX_DOMAINS = 1024 };

enum ledger_limit {
    LEDGER_ORDERS,   /* new orders of the account */
    LEDGER_DOMAIN,   /* certificates of a registered domain, an IPv4 address or an IPv6 /64 */
    LEDGER_SET,      /* certificates of exactly the same names */
    LEDGER_FAILURES, /* failed validations of a name */
    LEDGER_NUM_LIMITS,
    LEDGER_UNKNOWN = LEDGER_NUM_LIMITS
};

/* "certificates for the registered domain", ...: a clause for a person. */
const char *ledger_limit_text(enum ledger_limit limit);

struct ledger_domain {
    char *text;
    int64_t full_ms;   /* wall clock, as everywhere here */
    unsigned num_open; /* orders under way, which may become certificates; not written */
};

struct ledger {
    const struct ledger_numbers *numbers; /* NULL: none are known, or none are to be minded */
    int64_t orders_full_ms;
    struct ledger_domain *domains;
    size_t num_domains, cap_domains;
};

/* Of one set of names at one directory; zeroed: nothing is used. */
struct ledger_name {
    int64_t set_full_ms, failures_full_ms;
};

enum ledger_kind {
    LEDGER_NEW,     /* a set of names that has no certificate of this CA yet */
    LEDGER_RENEWAL, /* the same set again: exempt from the limits of account and domain (ACME-111) */
    LEDGER_ARI      /* the same, within the window that the CA has suggested: exempt from all (ACME-102) */
};

struct ledger_order {
    enum ledger_kind kind;
    struct slice domain;
    struct ledger_name *name;
    int64_t floor_ms; /* the CA is asked at this instant, whatever is written here; 0: never */
};

/* With the numbers of that directory, where they are known. */
void ledger_init(struct ledger *ledger, struct slice directory_url);
/* Without any (ACME_LEDGER=off, or a zeroed struct): everything is allowed. */
void ledger_cleanup(struct ledger *ledger);

/* From when on the order may be placed; 0: at once. *out_limit, where it is later than now_ms: what it waits for. */
int64_t ledger_ready_ms(const struct ledger *ledger, const struct ledger_order *order, int64_t now_ms,
                        enum ledger_limit *out_limit);
/* The order is placed. One that a crash cuts off counts no more than that: what it will cost is written when it is known. */
void ledger_open(struct ledger *ledger, const struct ledger_order *order, int64_t now_ms);

enum ledger_outcome {
    LEDGER_ISSUED,
    LEDGER_NOT_PLACED, /* the CA never took it, or it goes on in another process */
    LEDGER_FAILED,
    LEDGER_FAILED_VALIDATION
};

/* Once for each ledger_open. */
void ledger_close(struct ledger *ledger, const struct ledger_order *order, enum ledger_outcome outcome, int64_t now_ms);

/* What a rateLimited answer taught. */
struct ledger_lesson {
    enum ledger_limit limit;
    /* It was known here, and the CA was asked all the same. Otherwise another client uses the name or the account. */
    bool predicted;
};

/* The CA refused an order, which has been closed, as rateLimited: from now on it waits as long as the CA says, and so does
 * whoever has the same limit. */
struct ledger_lesson ledger_correct(struct ledger *ledger, const struct ledger_order *order,
                                    const struct problem *problem, int64_t now_ms);

/* At most LIMIT_JSON_BYTES; what does not fit is left out. */
void ledger_write(const struct ledger *ledger, int64_t now_ms, struct buf *out);
/* False where the text makes no sense: the ledger is as it was. */
bool ledger_read(struct ledger *ledger, struct slice text, int64_t now_ms);
/* Members of an object that is open; and back. Absent or impossible members read as zero. */
void ledger_name_write(const struct ledger_name *name, struct json_writer *w);
struct ledger_name ledger_name_read(const struct json *object);

#endif
