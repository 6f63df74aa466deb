/* What the parts of the seal share: seal.c (calls, the lock, what is said), seal_sweep.c (sealing what lies there in
 * plain). Control thread. */
#ifndef STORE_SEAL_INTERNAL_H
#define STORE_SEAL_INTERNAL_H

#include "base/list.h"
#include "base/log.h"
#include "store/seal.h"
#include "store/sealed_value.h"

enum sweep_step { SWEEP_IDLE, SWEEP_MARK, SWEEP_LIST, SWEEP_GET, SWEEP_GET_PREVIOUS, SWEEP_COMMIT, SWEEP_WRITE_MARK };

struct seal {
    struct store store;
    struct seal_config config;
    struct seal_key key;
    bool has_key;
    struct list calls; /* of struct seal_call */

    /* the lock */
    struct store_lock lock;
    struct store_lock *asked;     /* borrowed; NULL: nobody wants it */
    bool granted;                 /* and passed on */
    enum store_result locked_out; /* why it is not passed on; STORE_OK: it is, or will be */

    /* what is said */
    struct buf sentence;     /* empty: nothing is wrong */
    struct buf said_damaged; /* the key of the record that was */
    bool said_sealed;
    bool plain_seen; /* a record that is to be sealed lies there in plain */

    /* the sweep; runs between the grant below and ours */
    enum sweep_step step;
    struct store_call call;     /* of step */
    bool busy;                  /* it is out */
    struct buf names;           /* of what is to be sealed, each with a NUL behind it */
    size_t at;                  /* in names */
    bool below_previous;        /* the list is of previous/ */
    bool foreign;               /* a record is sealed with another key */
    enum store_result failed;   /* of the first that could not be sealed */
    struct buf value, previous; /* sealed, of the record that is being written */
    uint64_t version;
    size_t num_written; /* by the commit that runs */
    size_t num_sealed;
};

/* seal.c */
bool seal_wants(struct slice key);
const struct seal_key *seal_key_of(const struct seal *seal);
/* It cannot be opened: says so, once. */
void seal_say_unreadable(struct seal *seal, enum store_result result, struct slice key, struct slice value);
void seal_set_sentence(struct seal *seal, const char *sentence);
/* The sweep is over: passes the lock on, or gives it back where result is not OK. */
void seal_swept(struct seal *seal, enum store_result result);

/* seal_sweep.c */
void seal_sweep_init(struct seal *seal);
/* The store below has granted the lock. */
void seal_sweep_start(struct seal *seal);
/* Forgets all of it. */
void seal_sweep_stop(struct seal *seal);

#endif
