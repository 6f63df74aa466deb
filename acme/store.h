/* store: durable records, asynchronous and conditional. The engine's other window on the world; implemented by
 * store/store_dir (a directory), later by etcd and the Kubernetes API. Control thread.
 *
 * A record is a key and a value, written whole or not at all. A value is text: not empty, without NUL bytes (sealed ones
 * are armoured). Keys are made of lower-case letters, digits, `.`, `-`, `_`, `:` and `*`, with `/` between their parts: 1
 * to 4 of 1 to 255 bytes that do not begin with a dot:
 *   account/HASH        an ACME account of the directory whose URL hashes to HASH
 *   certificate/NAME    chain, key and metadata: one record, so that no crash leaves a key of one and a chain of another
 *   order/NAME          the journal of an order that runs: its URL and its CSR key
 *   state/NAME          back-off and schedule of a name
 *   ledger/HASH         what is used of the limits of a CA
 *   quarantine/NAME     a certificate that was issued and does not work here
 *   banned-key/HASH     a key that is never to be used again
 *   (NAME is followed by `:rsa` for the second certificate of a name that has two; in an order, by `:fallback` at that CA)
 *   internal-ca         the local root
 *
 * Each call ends in one callback with one of the results below, never from within the call. Three rules: "cannot read"
 * or "wrong key" is never "not there"; on UNKNOWN read back before you decide; without the lock nothing is written. */
#ifndef ACME_STORE_H
#define ACME_STORE_H

#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum store_result {
    STORE_OK,
    STORE_NOT_FOUND,
    STORE_CONFLICT,    /* the condition does not hold: somebody else wrote */
    STORE_FENCED,      /* we no longer hold the lock, or never did */
    STORE_UNKNOWN,     /* sent, no answer: may or may not be written; read back */
    STORE_UNAVAILABLE, /* cannot be reached now */
    STORE_DENIED,      /* permission, read-only */
    STORE_TOO_BIG,
    STORE_FULL,
    STORE_CORRUPT,
    STORE_WRONG_KEY /* sealed with another key than ours */
};

const char *store_result_text(enum store_result result);
/* What a person can do about it, to be put behind a sentence: "; ..."; or empty. */
const char *store_result_cure(enum store_result result);

struct store_record {
    struct slice key;
    struct slice value;
    uint64_t version; /* of this value; changes with each write, never 0 */
};

enum store_condition {
    STORE_ANY,    /* write whatever is there */
    STORE_ABSENT, /* only where nothing is there */
    STORE_VERSION /* only where `version` is there */
};

struct store_write {
    struct slice key;
    struct slice value; /* ptr NULL removes the record */
    enum store_condition condition;
    uint64_t version;
};

struct store;

/* Embedded by whoever asks; must stay until its callback has been called or store_cancel has returned. A canceled
 * commit may or may not happen. */
struct store_call {
    /* get: one record or none; list: all records, sorted by key; commit: none. Views valid during the callback. */
    void (*done)(struct store_call *call, enum store_result result, const struct store_record *records,
                 size_t num_records);
    void *pending; /* the store's own */
};

/* Embedded by whoever wants the right to write. */
struct store_lock {
    void (*granted)(struct store_lock *lock);
    void (*lost)(struct store_lock *lock);
};

/* Embedded by whoever follows what others write (a standby). */
struct store_watch {
    void (*changed)(struct store_watch *watch, struct slice key);
};

struct store_ops {
    void (*get)(struct store *store, struct slice key, struct store_call *call);
    /* Records whose key begins with prefix. A record that cannot be read makes the whole result CORRUPT or DENIED,
     * with the records that could be read still given. */
    void (*list)(struct store *store, struct slice prefix, struct store_call *call);
    /* All writes or none. Copies its input. Durable when `done` says OK. */
    void (*commit)(struct store *store, const struct store_write *writes, size_t num_writes, struct store_call *call);
    void (*cancel)(struct store *store, struct store_call *call);
    /* Asks for the right to write; `granted` now or when it comes free. One holder in the world. */
    void (*lock)(struct store *store, struct store_lock *lock);
    void (*unlock)(struct store *store);
    void (*watch)(struct store *store, struct store_watch *watch);
    void (*free)(struct store *store);
};

struct store {
    const struct store_ops *ops;
};

#endif
