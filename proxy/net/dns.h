/* dns: a stub resolver that asks as a CA's resolver would: records by their type, and why there are none. For preflights,
 * `doctor` and the like, a few questions at a time; what is dialled goes through net/resolve.
 *
 * One loop's thread (control). Over c-ares. It owns its sockets, which are there while something is asked: the servers of
 * /etc/resolv.conf are read anew with the first question after a pause. It keeps no cache, reads no hosts file, knows no
 * search list, and never judges an answer. CNAMEs are followed by the server that is asked.
 *
 * What a server sends is bounded: LIMIT_DNS_ADDRESSES, LIMIT_DNS_RECORDS, LIMIT_DNS_TEXT_BYTES; the rest is left out. */
#ifndef NET_DNS_H
#define NET_DNS_H

#include "net/address.h"
#include "net/net_loop.h"

struct dns;
struct dns_lookup;

enum { DNS_QUERY_MS = 10000 };

enum dns_type { DNS_A, DNS_AAAA, DNS_CNAME, DNS_TXT, DNS_CAA };

enum dns_status {
    DNS_FOUND,
    DNS_NODATA,      /* the name exists, without such a record */
    DNS_NXDOMAIN,    /* the name does not exist */
    DNS_SERVFAIL,    /* the server could not find out; often DNSSEC */
    DNS_REFUSED,     /* the server does not want to answer us */
    DNS_TIMEOUT,     /* no server answered in time */
    DNS_UNREACHABLE, /* there is no server, or nothing listens there */
    DNS_MALFORMED    /* the answer makes no sense, or the name is none */
};

/* RFC 8659 §4.1 */
struct dns_caa {
    bool critical;
    struct slice tag, value;
};

/* Valid during `done`. */
struct dns_answer {
    enum dns_type type;
    enum dns_status status;
    size_t num;                      /* at least one where status is FOUND, else 0 */
    const struct address *addresses; /* A, AAAA; ports are 0 */
    const struct slice *texts;       /* TXT: each with its parts joined; CNAME: the target */
    const struct dns_caa *caa;       /* CAA */
};

/* Embedded by whoever asks; must stay until `done` has been called or dns_cancel has returned. */
struct dns_query {
    /* Once, never from within dns_ask, unless canceled. May ask, cancel and free. */
    void (*done)(struct dns_query *query, const struct dns_answer *answer);
    struct dns_lookup *lookup; /* the resolver's own; NULL while nothing runs */
};

struct dns_options {
    struct net_loop *loop;
    const struct address *servers; /* with their ports; copied */
    size_t num_servers;            /* 0: those of /etc/resolv.conf */
    uint64_t query_ms;             /* deadline of a question; 0: DNS_QUERY_MS */
};

struct dns *dns_new(const struct dns_options *options);
/* Questions that run end without `done`; frees itself once its sockets are closed. NULL is fine. */
void dns_free(struct dns *dns);

/* name: A-labels, with or without the trailing dot; copied. */
void dns_ask(struct dns *dns, struct slice name, enum dns_type type, struct dns_query *query);
/* Harmless for a question that is done. */
void dns_cancel(struct dns_query *query);

/* Behind a name or a question: "does not exist (NXDOMAIN)". A literal. */
const char *dns_status_text(enum dns_status status);

#endif
