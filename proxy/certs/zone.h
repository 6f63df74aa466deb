/* zone: the DNS records that a name should have for a CA, as lines of a zone file: CAA that lets this CA issue for this account
 * by the challenges that are configured (RFC 8659, RFC 8657), and the TXT record of dns-persist-01. Pure; any thread. */
#ifndef CERTS_ZONE_H
#define CERTS_ZONE_H

#include "acme/challenge.h"
#include "base/buf.h"
#include "config/config.h"

/* One CA that may sign. */
struct zone_issuer {
    struct slice identity;            /* its name in CAA; empty: it does not say */
    struct slice issuer_name;         /* its name in records of dns-persist-01; empty likewise */
    struct challenge_account account; /* url empty: not known yet, and left out */
};

/* Appends the CAA records of the name, one for each CA: `app.example.com. IN CAA 0 issue "..."`. */
void zone_write_caa(const struct config *config, const struct config_name *name, const struct zone_issuer *issuers,
                    size_t num_issuers, struct buf *out);
/* Appends the TXT records of dns-persist-01; nothing where it is not among the name's challenges, or an account is missing. */
void zone_write_persist(const struct config *config, const struct config_name *name, const struct zone_issuer *issuers,
                        size_t num_issuers, struct buf *out);

#endif
