/* registered_domain: the part of a name that CAs count by: what its owner registered, by the public suffix list that libpsl
 * carries. Pure. Any thread. */
#ifndef CERTS_REGISTERED_DOMAIN_H
#define CERTS_REGISTERED_DOMAIN_H

#include "base/buf.h"

/* Appends it. name: lower-case A-labels, perhaps `*.` in front, or an address: an IPv4 address counts by itself, an IPv6
 * address by its /64 (ACME-88, ACME-105). A name that is a public suffix itself, or below none, counts by itself. */
void registered_domain_write(struct slice name, struct buf *out);

#endif
