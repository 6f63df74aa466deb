/* cidr: IP addresses as values, and ranges of them (RFC 4632, RFC 4291 §2.3). Pure. Any thread. */
#ifndef BASE_CIDR_H
#define BASE_CIDR_H

#include "base/slice.h"

#include <stdint.h>

/* IPv4 is held v4-mapped (::ffff:a.b.c.d), so that both families compare alike. */
struct ip {
    uint8_t bytes[16];
};

/* The first `bits` of the address count; 96 more than written where it is IPv4. */
struct cidr {
    struct ip ip;
    uint8_t bits;
};

struct cidr_list {
    const struct cidr *at;
    size_t num;
};

/* A numeric address without brackets, port or zone; false for anything else. A mapped one is the IPv4 address. */
bool ip_parse(struct slice text, struct ip *out_ip);
enum { IP_TEXT_BYTES = 46 };
/* The canonical text (RFC 5952; IPv4 dotted), without brackets; returns out. */
const char *ip_text(const struct ip *ip, char out[IP_TEXT_BYTES]);
bool ip_is_v4(const struct ip *ip);
/* "10.0.0.0/8", "2001:db8::/32", or an address alone. False where a bit behind the prefix is set, too: it was meant
 * otherwise. */
bool cidr_parse(struct slice text, struct cidr *out_cidr);
bool cidr_has(const struct cidr *cidr, const struct ip *ip);
/* Any of them. */
bool cidr_list_has(const struct cidr_list *list, const struct ip *ip);

#endif
