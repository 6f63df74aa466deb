/* seal: a store over a store, whose records that hold secrets are sealed with PORTICO_STORAGE_KEY (sealed_value.h). Control
 * thread. It owns the store below and the key; it opens no file. What it adds to the contract of acme/store.h:
 *
 * - All records are sealed but those below state/ and ledger/, which hold no secret and are for people to read. Versions are those of
 *   the store below: of sealed texts, which differ with each writing of the same value.
 * - A sealed record ends in DENIED where no key is given, in WRONG_KEY where another key sealed it, in CORRUPT where it is
 *   damaged or another record's: never in NOT_FOUND. The log says it once; seal_amend says it in the report.
 * - A record in plain text is read as it is. Before `granted` is passed on, all that lie there so are sealed, also what the
 *   directory keeps below previous/, and `storage-key`, a sealed record of no content, is written as the sign that none is
 *   left. Where that fails they are sealed at their next writing, and at the next start. The disk may still hold what was
 *   overwritten.
 * - Whoever is granted the lock while `storage-key` is sealed with another key, or while no key is given, gives it back and
 *   is never granted it: a sealed storage is neither written in plain nor with two keys.
 *
 *   lock -> granted below -> is `storage-key` there?  ours -> granted
 *                                                     no -> seal what is plain, write it -> granted
 *                                                     another's -> unlock below (locked out) */
#ifndef STORE_SEAL_H
#define STORE_SEAL_H

#include "acme/store.h"
#include "store/store_dir.h"

struct log_ring;

struct seal_config {
    struct store *inner;  /* the seal's from then on */
    struct slice secret;  /* SEAL_SECRET_BYTES; empty: no key is given */
    struct log_ring *log; /* NULL: no log */
    /* seal_amend would say something else; may be NULL. */
    void (*changed)(void *ctx);
    void *ctx;
};

/* store->ops->free frees the store below too. */
struct store *seal_new(const struct seal_config *config);

/* Puts what the seal has to say into a report of the store below. The sentence is valid until the next change. */
void seal_amend(const struct store *store, struct store_dir_report *report);

#endif
