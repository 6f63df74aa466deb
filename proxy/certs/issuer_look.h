/* issuer_look: what commands need to know of a CA beside the keeper: our account there as far as it is stored (its URL, the
 * thumbprint of its key), and the CA's directory, asked for. It changes nothing and proves nothing. One loop's thread. */
#ifndef CERTS_ISSUER_LOOK_H
#define CERTS_ISSUER_LOOK_H

#include "acme/challenge.h"
#include "acme/directory.h"
#include "acme/store.h"
#include "acme/transport.h"
#include "base/buf.h"
#include "config/config.h"

enum { CONFIG_ISSUERS = 2 };

/* Embedded by whoever asks; a zeroed one is ready. Must stay until `done` has been called. */
struct issuer_look {
    /* Once, never from within issuer_look_start. reply: of the directory; valid during the call. */
    void (*done)(struct issuer_look *look, const struct acme_reply *reply);
    void *ctx;                                  /* the asker's */
    struct slice url, account_key_pem, eab_kid; /* of the configuration; url empty: there is no such issuer */
    enum store_result account;                  /* OK, NOT_FOUND, or why it cannot be read */
    struct buf account_url;                     /* empty: the CA has not told it yet */
    struct buf thumbprint;                      /* empty: there is no key yet */
    struct directory directory;                 /* new_order.ptr NULL: no directory came */
    struct err directory_err;                   /* why the document of a 200 is none */
    /* its own */
    struct transport *transport;
    struct store_call store_call;
    struct transport_call call;
    bool key_given;
};

/* The directories of a configuration, in order: url, account_key_pem and eab_kid are set. */
void issuer_look_init(struct issuer_look looks[CONFIG_ISSUERS], const struct config *config);
/* store NULL: nothing is stored. */
void issuer_look_start(struct issuer_look *look, struct store *store, struct transport *transport);
/* The account as dns-persist-01 knows it; borrows. */
struct challenge_account issuer_look_account(const struct issuer_look *look);
/* Frees what it found, once `done` has been called. */
void issuer_look_cleanup(struct issuer_look *look);

#endif
