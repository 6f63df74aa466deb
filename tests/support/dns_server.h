/* dns_server: a DNS server on the loop of a test, over UDP and TCP, that answers from a table and misbehaves on demand.
 * Follows CNAMEs as a recursive server does. One thread. */
#ifndef SUPPORT_DNS_SERVER_H
#define SUPPORT_DNS_SERVER_H

#include "net/address.h"

#include <uv.h>

enum dns_server_type {
    DNS_SERVER_A = 1,
    DNS_SERVER_CNAME = 5,
    DNS_SERVER_TXT = 16,
    DNS_SERVER_AAAA = 28,
    DNS_SERVER_CAA = 257, /* "0 issue ca.example" */
    /* of a name, whatever is asked: */
    DNS_SERVER_RCODE = 1000, /* "2": SERVFAIL, "5": REFUSED */
    DNS_SERVER_SILENT,
    DNS_SERVER_SHORT,    /* a header alone, which promises records */
    DNS_SERVER_LOOP,     /* a record whose name points at itself */
    DNS_SERVER_OVERLONG, /* a record that is longer than the message */
    DNS_SERVER_NOISE,    /* bytes */
    DNS_SERVER_TRUNCATED /* by UDP nothing but TC; by TCP what else the table has */
};

struct dns_server_record {
    const char *name; /* lower case */
    int type;
    const char *text;
};

struct dns_server {
    uv_udp_t udp;
    uv_tcp_t tcp;
    const struct dns_server_record *records; /* the last has no name; may be exchanged */
    struct address address;                  /* loopback, a port of the kernel's choice */
    unsigned num_questions, num_tcp;
};

void dns_server_open(struct dns_server *server, uv_loop_t *loop, const struct dns_server_record *records);
/* Connections of its clients end by themselves. */
void dns_server_close(struct dns_server *server);

#endif
