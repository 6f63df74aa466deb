/* dns_reply: from the bytes of a DNS server's answer to what it says. Pure; any thread. Internal to net/dns.
 *
 * The bytes are a stranger's. c-ares reads them, but for CNAMEs, which it only follows; what is kept is bounded (net/dns.h)
 * and copied. */
#ifndef NET_DNS_REPLY_H
#define NET_DNS_REPLY_H

#include "base/arena.h"
#include "net/dns.h"

enum { DNS_NAME_BYTES = 254 }; /* longest text of a name, with its last dot */

/* The number of a record's type. */
int dns_reply_type(enum dns_type type);
/* Fills num and the records of out_answer->type, which is set already; they live in the arena. A status of c-ares:
 * ARES_ENODATA where there is none, ARES_EBADRESP where the bytes make no sense. */
int dns_reply_read(struct arena *arena, const unsigned char *bytes, int len, struct dns_answer *out_answer);

#endif
