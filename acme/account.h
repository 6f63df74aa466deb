/* account: the one account of the engine at its CA (RFC 8555 §7.3), and the CA's directory that it needs.
 *
 * Owns the account key, its URL and thumbprint. Internal to the engine. It never makes a second account: the key is
 * durably stored before newAccount (ACME-38), the CA is asked for an existing account first (ACME-30), and a stored
 * record that cannot be read stops everything.
 *
 *   UNREAD --read--> EMPTY --make a key, store it--> KEYED --look up, else register, store the URL--> READY
 *                \-------------------------------------^---------------------------------------------^
 */
#ifndef ACME_ACCOUNT_H
#define ACME_ACCOUNT_H

#include "acme/problem.h"
#include "acme/request.h"
#include "acme/store.h"
#include "base/list.h"

struct acme;
struct evp_pkey_st;

enum account_state { ACCOUNT_UNREAD, ACCOUNT_EMPTY, ACCOUNT_KEYED, ACCOUNT_READY };

struct account {
    enum account_state state;
    bool busy;            /* a call to the store or the CA runs */
    bool read_once;       /* at the start, for the thumbprint; later only when somebody waits */
    bool key_given;       /* by options: not ours to store */
    bool without_contact; /* the CA did not like it */
    bool contact_told;    /* by an update, well or not: once is enough for this engine */
    bool replaced_once;   /* registered again after accountDoesNotExist; not again until an order has succeeded */
    struct evp_pkey_st *key;
    struct evp_pkey_st *next_key; /* stored beside it: an exchange was begun; NULL: none */
    bool key_doubtful;            /* the CA may know the one or the other: nothing else is asked before that is known */
    struct buf url, thumbprint, record_key;
    struct buf contact; /* what the CA was told last, as far as is known; empty: none */
    struct store_call store_call;
    struct request request;
    struct list waiters;
};

/* What a waiter needs, from the most to the least. */
enum account_want {
    ACCOUNT_WANTED,          /* an account, made if there is none, and the directory */
    ACCOUNT_WANTED_AS_IT_IS, /* the same, but none is made: a problem where there is none */
    DIRECTORY_WANTED         /* the directory alone */
};

/* Embedded by who needs account and directory. */
struct account_waiter {
    struct list node;
    enum account_want want;
    /* problem NULL: both are ready. Otherwise valid during the call. */
    void (*done)(struct account_waiter *waiter, const struct problem *problem);
};

void account_init(struct account *account);
/* Cancels what runs; waiters are forgotten. */
void account_cleanup(struct account *account, struct acme *acme);
/* A key of one's own: there is nothing to make or to store but the URL. Takes the key over. */
void account_give_key(struct account *account, struct evp_pkey_st *key);

/* Reads what is stored, and goes on from there where anyone waits. */
void account_advance(struct acme *acme);
/* Account and a directory that is recent enough. */
bool account_is_ready(const struct acme *acme);
/* Not in a list yet. `done` is never called from within. */
void account_wait(struct acme *acme, struct account_waiter *waiter);
void account_stop_waiting(struct account_waiter *waiter);

/* The CA does not know the account that a request named (ACME-37). True: it will be looked up and made again, wait for
 * it; false: that has been tried once. */
bool account_lost(struct acme *acme, struct slice url);
/* An order went through: the account is a good one. */
void account_proven(struct acme *acme);

/* For account_record.c and account_change.c. */
/* Reads the stored record and goes on. */
void account_read(struct acme *acme);
/* Makes a key, stores it and goes on. */
void account_make_key(struct acme *acme);
/* Writes all that is known of the account; the account is busy until then. `done` begins with account_of_store_call. */
void account_write(struct acme *acme, enum store_condition condition,
                   void (*done)(struct store_call *, enum store_result, const struct store_record *, size_t));
/* The engine by the account's store call, which has come back. */
struct acme *account_of_store_call(struct store_call *call);
/* Takes the key over. */
void account_set_key(struct account *account, struct evp_pkey_st *key);
/* The CA was told what we are given now. */
void account_keep_contact(struct acme *acme);
/* There is no account any more: a key that is ours is thrown away, one that was given stays. */
void account_forget(struct account *account);
/* The CA has the next key now: it is ours, and stored as such. */
void account_exchanged(struct acme *acme);
/* account_known is due. */
void account_announce(struct acme *acme);
void account_fail(struct acme *acme, enum problem_class class, struct err err, struct slice detail);
void account_fail_store(struct acme *acme, const char *doing, enum store_result result);

#endif
