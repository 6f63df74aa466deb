/* leftovers: authorizations that orders which can never succeed have left pending at the CA, where each counts against a
 * limit. Reads one after the other and deactivates those that are pending still (RFC 8555 §7.5.2, ACME-64).
 *
 * Owns copies of their URLs. Internal to the engine; one thread. Best effort: each is tried once, nobody waits for it,
 * nothing is persisted, and whatever an order that runs has in hand is let alone (a CA may give the same one twice). */
#ifndef ACME_LEFTOVERS_H
#define ACME_LEFTOVERS_H

#include "acme/request.h"
#include "base/list.h"

struct acme;

enum { LEFTOVERS_MAX = 256 };

struct leftovers {
    struct list urls; /* the first one is in hand while the request runs */
    size_t num;
    struct request request;
};

void leftovers_init(struct leftovers *leftovers);
void leftovers_cleanup(struct leftovers *leftovers);
/* Those beyond LEFTOVERS_MAX are left to expire. */
void leftovers_add(struct acme *acme, const struct slice *urls, size_t num_urls);

#endif
