/* account_look: what is known here of our account at a CA, without asking the CA: its URL, and the thumbprint of its key. For
 * commands that run beside the keeper. It changes nothing. One loop's thread. */
#ifndef CERTS_ACCOUNT_LOOK_H
#define CERTS_ACCOUNT_LOOK_H

#include "acme/store.h"
#include "base/buf.h"

/* Embedded by whoever asks; must stay until `done` has been called. */
struct account_look {
    /* Never from within account_look_start. */
    void (*done)(struct account_look *look);
    enum store_result result; /* OK, NOT_FOUND, or why it cannot be read */
    struct buf url;           /* empty: the CA has not told it yet */
    struct buf thumbprint;    /* empty: there is no key yet */
    struct store_call call;   /* its own, as is what follows */
    bool key_given;
};

/* account_key_pem: ACME_ACCOUNT_KEY, or empty. */
void account_look_start(struct account_look *look, struct store *store, struct slice directory_url,
                        struct slice account_key_pem);
void account_look_cleanup(struct account_look *look);

#endif
