/* persist: the TXT record of dns-persist-01 (draft-ietf-acme-dns-persist): how it is written, whether one suits an order, and
 * whether it is in DNS before the CA is told to look (ACME-122, ACME-123). Control thread. The record names an account: whoever
 * holds that account's key needs nothing else (ACME-124). */
#ifndef CERTS_PERSIST_H
#define CERTS_PERSIST_H

#include "acme/challenge.h"
#include "base/buf.h"
#include "base/err.h"
#include "net/dns.h"

/* Ordered by how near it comes. */
enum persist_verdict {
    PERSIST_FITS,
    PERSIST_PASSED,        /* persistUntil is over */
    PERSIST_NOT_WILDCARD,  /* policy=wildcard is missing */
    PERSIST_OTHER_ACCOUNT, /* of that CA */
    PERSIST_OTHER_CA,      /* or something else altogether */
    PERSIST_MALFORMED
};

struct persist_question {
    struct slice name;           /* as it is ordered: `*.` in front of a wildcard */
    const struct slice *issuers; /* of the challenge: one of them must be named */
    size_t num_issuers;
    struct challenge_account account; /* its URI is compared byte for byte */
    int64_t now_s;                    /* wall clock */
};

/* `_validation-persist.` and the name without `*.`. */
void persist_write_owner(struct slice name, struct buf *out);
/* `ca.example; accounturi=https://...`, with `; policy=wildcard` for a wildcard. */
void persist_write_value(struct slice name, struct slice issuer, const struct challenge_account *account,
                         struct buf *out);
/* Both, as a line of a zone file without its end: `_validation-persist.a.example. IN TXT "ca.example; ..."`. */
void persist_write_record(struct slice name, struct slice issuer, const struct challenge_account *account,
                          struct buf *out);

enum persist_verdict persist_judge(struct slice text, const struct persist_question *question);

/* Embedded by whoever asks; must stay until `done` has been called or persist_look_cancel has returned. */
struct persist_look {
    /* Once, never from within persist_look_start, unless canceled. No error: a record fits. err.what says what is
     * wrong, and leaves what has to be there to the asker. */
    void (*done)(struct persist_look *look, struct err err);
    struct dns_query query;
    struct persist_question question;
};

/* The question's texts are borrowed until the end. */
void persist_look_start(struct persist_look *look, struct dns *dns, const struct persist_question *question);
/* Harmless for one that is done. */
void persist_look_cancel(struct persist_look *look);

#endif
