/* order_document: the CA's description of an order (RFC 8555 §7.1.3), checked. Pure. Any thread. */
#ifndef ACME_ORDER_DOCUMENT_H
#define ACME_ORDER_DOCUMENT_H

#include "acme/problem.h"

enum order_status { ORDER_UNKNOWN, ORDER_PENDING, ORDER_READY, ORDER_PROCESSING, ORDER_VALID, ORDER_INVALID };

enum { ORDER_MAX_AUTHZS = 128 };

/* Owns all that it shows. */
struct order_document {
    struct arena arena;
    enum order_status status;
    int64_t expires_s; /* 0: not said */
    struct slice *authz_urls;
    size_t num_authzs; /* may be 0 (ACME-44) */
    struct slice finalize_url;
    struct slice certificate_url; /* ptr NULL where there is none yet */
    struct slice replaces;        /* the predecessor that the CA has taken note of (RFC 9773 §5), or empty */
    bool has_error;
    struct problem error; /* of an invalid order */
};

/* names: what was ordered; the document must name exactly these, in any order (ACME-40, ACME-41). ERR_INPUT.
 * *out_document is written on success alone, and freed by order_document_cleanup. */
MUST_CHECK struct err order_document_read(struct slice body, const struct slice *names, size_t num_names,
                                          struct order_document *out_document);
void order_document_cleanup(struct order_document *document);

/* What an order asks for. */
struct order_request {
    const struct slice *names;
    size_t num_names;
    struct slice profile, replaces; /* empty: left out */
};

/* The payload of newOrder; never notBefore or notAfter (ACME-65). Addresses become identifiers of type `ip` (ACME-83). */
void order_document_write_new(const struct order_request *request, struct buf *out);

#endif
