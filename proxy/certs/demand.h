/* demand: which names outside DOMAINS may have certificates: asks about each, and keeps whoever invents names from costing
 * more than a little.
 *
 * Denied by default: a name is one that some handshake asked for and that ON_DEMAND_ASK then allowed. Before anybody is asked
 * it must be a public DNS name of two labels at least, not an address, not a local name, and not of the shape that CAs refuse
 * (ACME-118). A name is asked about once at a time; answers of either kind are remembered for a while. Bounded are: questions
 * at a time and in a second, answers remembered, new names in an hour, of a registered domain and in all, and names. What is
 * beyond is dropped: the next handshake asks again.
 *
 * Control thread. Owns what it remembers. It talks to nobody itself (struct asker does), orders nothing, and knows no
 * certificate. */
#ifndef CERTS_DEMAND_H
#define CERTS_DEMAND_H

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/slice.h"

enum demand_answer {
    DEMAND_NO,
    DEMAND_YES,
    DEMAND_UNKNOWN /* nobody answered, or not yes or no */
};

/* One question. Embedded by whoever asks; its slices are the asker's to copy. */
struct asker_call {
    struct slice name;
    struct slice client; /* the address that asked for it; empty: nobody does, a certificate is to be renewed */
    /* Once, never from within `ask`, unless canceled. why: for a person, where it is UNKNOWN. */
    void (*done)(struct asker_call *call, enum demand_answer answer, struct slice why);
    void *pending; /* the asker's own */
};

/* Who knows. */
struct asker {
    void (*ask)(struct asker *asker, struct asker_call *call);
    void (*cancel)(struct asker *asker, struct asker_call *call); /* nobody waits for it any more; not after `done` */
    /* Of ON_DEMAND_ASK, for questions from now on; empty: none are answered. */
    void (*set_url)(struct asker *asker, struct slice url);
};

struct demand;

/* Copied; what it points at outlives the demand. */
struct demand_world {
    const struct clock *clock;
    struct log_ring *log; /* NULL: no log */
    struct asker *asker;
    void *ctx;
    /* The name, which some client wants, may have a certificate, and there is room for it. From within the asker's `done`, or
     * from within demand_want where the answer is known. */
    void (*allowed)(void *ctx, struct slice name);
    /* How many there are now. */
    size_t (*num_names)(void *ctx);
};

struct demand *demand_new(const struct demand_world *world);
/* Cancels its questions. NULL is fine. */
void demand_free(struct demand *demand);
/* Another URL: answers of the old one count no more. */
void demand_forget(struct demand *demand);

/* A client asked for a name that nobody serves: lower case, LDH. */
void demand_want(struct demand *demand, struct slice name, struct slice client);

/* Whether a name that has been allowed still is, for a renewal. Embedded; must stay until done or demand_cancel. */
struct demand_review {
    void (*done)(struct demand_review *review, enum demand_answer answer);
    struct list node; /* the demand's own */
};

/* `done` comes once, perhaps from within, unless canceled. What is asked for renewals is not shed. */
void demand_review_start(struct demand *demand, struct slice name, struct demand_review *review);
void demand_review_cancel(struct demand_review *review);

/* Whether a public CA may be asked for it, and we ask about it at all. */
bool demand_name_is_sound(struct slice name);

#endif
