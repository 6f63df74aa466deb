/* keeper_challenge: the answers to challenges, each brought to where a CA looks for it, by its kind: HTTP-01 and TLS-ALPN-01
 * in every worker's certset, others wherever they belong. Part of the keeper; control thread.
 *
 * A new kind is a row of the table in keeper_challenge.c: its `publish` starts, and says by keeper_publication_tell how it
 * went, once and never from within; its `withdraw` takes away whatever there is by then. */
#ifndef CERTS_KEEPER_CHALLENGE_H
#define CERTS_KEEPER_CHALLENGE_H

#include "certs/keeper_internal.h"

/* One answer, from the engine's `publish` to its `withdraw`. */
struct keeper_publication {
    struct keeper *keeper;
    struct acme_publication *asked; /* the engine's */
    struct list node;               /* in keeper->publications */
    bool told;                      /* how it went */
    void *own;                      /* of its kind */

    /* In the certset, by a text: HTTP-01's token, TLS-ALPN-01's SNI. Two orders may ask for the same one: with the same
     * answer both have it, with another one the later waits for the earlier to be withdrawn. */
    struct buf place;
    struct cert *cert; /* TLS-ALPN-01; held */
    bool placed;
    uint64_t generation;    /* the first that has it; 0: in the draft, or not placed */
    struct tick deadline;   /* of the workers */
    struct deferred refuse; /* tells `refusal` */
    struct err refusal;
};

struct keeper_way {
    void (*publish)(struct keeper_publication *publication);
    /* Once for each publish. Where the keeper is closing, nothing of it may be used but memory. */
    void (*withdraw)(struct keeper_publication *publication);
};

/* Ends `publish`: everybody can see the answer, or why not. */
void keeper_publication_tell(struct keeper_publication *publication, struct err err);
/* The same with an error, in a deferred call: from within `publish`. */
void keeper_publication_refuse(struct keeper_publication *publication, struct err err);

/* keeper_dns.c */
void keeper_dns01_publish(struct keeper_publication *publication);
void keeper_dns01_withdraw(struct keeper_publication *publication);
/* keeper_persist.c */
void keeper_persist_publish(struct keeper_publication *publication);
void keeper_persist_withdraw(struct keeper_publication *publication);

/* For keeper_publish: the draft has become that generation; every worker serves what it may. */
void keeper_challenges_stamp(struct keeper *keeper);
void keeper_challenges_acknowledged(struct keeper *keeper);
/* Every worker serves that generation. */
bool keeper_is_acknowledged(const struct keeper *keeper, uint64_t generation);

#endif
