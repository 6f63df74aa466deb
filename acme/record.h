/* record: the two records that the engine keeps in the store, as text that a person can read: the account and the journal
 * of an order. Pure. Any thread. Both hold private keys: bufs are secret, parsed keys are freed by key_free.
 *
 * What cannot be read is an error, never "not there" (DESIGN.md): a damaged account record must not lead to a second
 * account, a damaged journal not to a second order. A newer version is such an error too. */
#ifndef ACME_RECORD_H
#define ACME_RECORD_H

#include "acme/key.h"
#include "base/arena.h"

/* account/HASH, or account/HASH.given for a key that is not ours to store: of the directory whose URL hashes to HASH. */
void record_account_key(struct slice directory_url, bool given, struct buf *out);
/* ledger/HASH, of the same hash */
void record_ledger_key(struct slice directory_url, struct buf *out);
/* order/RECORD */
void record_journal_key(struct slice record, struct buf *out);

struct account_record {
    struct slice directory_url;
    struct slice thumbprint;      /* of the key that the account is for */
    struct slice url;             /* ptr NULL until the CA has told it */
    struct slice contact;         /* what the CA was told last, taken or not; ptr NULL: nothing */
    struct evp_pkey_st *key;      /* NULL where the key is not stored here */
    struct evp_pkey_st *next_key; /* NULL: no exchange of the key has been begun (ACME-36) */
};

void record_write_account(const struct account_record *record, struct buf *out);
/* Slices live in the arena; the key is the caller's. ERR_INPUT. */
MUST_CHECK struct err record_read_account(struct arena *arena, struct slice text, struct account_record *out_record);

struct journal {
    struct slice directory_url;
    struct slice account_url; /* with order_url */
    struct slice order_url;   /* ptr NULL: the intent to order; nothing is known to be with the CA */
    struct slice profile;     /* that was ordered; empty: none */
    const struct slice *names;
    size_t num_names;
    struct evp_pkey_st *key; /* of the CSR; an order for another type of key is another order */
    int64_t created_s;       /* wall clock */
    int64_t expires_s;       /* of the order; 0: the CA does not say */
};

void record_write_journal(const struct journal *journal, struct buf *out);
MUST_CHECK struct err record_read_journal(struct arena *arena, struct slice text, struct journal *out_journal);

#endif
