/* forwarded: who the client is behind proxies that are trusted, and how a backend is told; X-Forwarded-* and Forwarded
 * (RFC 7239).
 *
 * Both lists are read from the right, because each proxy vouches for what it appended and for nothing to the left of it:
 * from the peer on, while an address is trusted, the next one to the left is looked at; the first untrusted one is the
 * client. Anything unreadable, and LIMIT_FORWARDED_HOPS, ends the walk; then the last readable one is the client. Where
 * the peer sent both forms, the preferred one counts and the other is as if it had not come: a proxy that keeps one of
 * them lets the other through as its client made it.
 *
 * What was believed is written in the form that is asked for, translated where it came in the other one. A second proxy
 * that trusts this one and the same others finds the same client, by either form.
 *
 * Pure; results live in the arena that it is handed. Any thread. */
#ifndef HTTP_FORWARDED_H
#define HTTP_FORWARDED_H

#include "base/arena.h"
#include "base/cidr.h"
#include "base/limits.h"
#include "http/head.h"

enum forwarded_form {
    FORWARDED_NONE,   /* nothing came, or the peer is not trusted */
    FORWARDED_X,      /* X-Forwarded-For */
    FORWARDED_RFC7239 /* Forwarded */
};

/* What is believed of a request. */
struct forwarded {
    enum forwarded_form form; /* that the chain was read from */
    struct ip client;         /* the peer where nothing is believed */
    struct slice client_text; /* the same; empty where the peer has none */
    const struct ip *hops;    /* what was read, from the right; the last one is the client; in the arena */
    size_t num_hops;
    struct slice proto; /* of the client's connection, "http" or "https"; empty: not said */
    struct slice host;  /* that it asked for, "a.example:8443"; validated; empty: not said */
    uint16_t port;      /* that it came to; 0: not said, and not to be concluded */
};

/* The connection that the request came by. Borrowed. */
struct forwarded_peer {
    struct ip ip;       /* compared */
    struct slice text;  /* shown; empty: it has no address that a backend could read, and is "unknown" in both forms */
    bool trusted;       /* what it says is believed */
    struct slice proto; /* "http" or "https" */
    struct slice authority; /* of the request; may be empty */
    struct slice port_text; /* public port */
};

/* An address as both forms write it: "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:80"; the
 * port may be obfuscated (RFC 7239 §6). False for "unknown", obfuscated names and anything else. */
bool forwarded_parse_node(struct slice text, struct ip *out_ip);

/* Reads what the peer says. Cost is linear in the fields' bytes. Of X-Forwarded-Proto, -Host and -Port the last element
 * counts, the peer's own; of Forwarded the elements up to the client's, the nearest to it last. */
void forwarded_read(struct forwarded *out, const struct fields *fields, const struct forwarded_peer *peer,
                    const struct cidr_list *trusted, bool prefer_rfc7239, struct arena *arena);

/* The fields for the backend, appended to `out`; the caller drops those that came (`fields`, read before).
 * X-Forwarded-For: what a trusted peer sent, then the peer. X-Forwarded-Proto, -Host, -Port: what is believed, else the
 * connection's. X-Real-IP: the client; not there where it has no address. */
void forwarded_put_x(const struct forwarded *forwarded, const struct fields *fields, const struct forwarded_peer *peer,
                     struct arena *arena, struct fields *out);
/* Forwarded: of what a trusted peer sent the elements that are well formed, from the right; then the peer's, with host
 * and proto. Addresses of IPv6 and hosts with a port are quoted (RFC 7239 §4, §6). */
void forwarded_put_rfc7239(const struct forwarded *forwarded, const struct fields *fields,
                           const struct forwarded_peer *peer, struct arena *arena, struct fields *out);

#endif
