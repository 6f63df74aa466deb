/* route: where a request goes. Pure: reads the configuration and the certset, decides, owns nothing. */
#ifndef EXCHANGE_ROUTE_H
#define EXCHANGE_ROUTE_H

#include "exchange/exchange.h"

enum route_kind {
    ROUTE_PROXY,     /* to route.group */
    ROUTE_REDIRECT,  /* 308 to route.text */
    ROUTE_CHALLENGE, /* 200 with route.text: HTTP-01 */
    ROUTE_REFUSE     /* route.status, route.why */
};

struct route {
    enum route_kind kind;
    const struct config_group *group;
    bool guarded;      /* goes to a backend or another host: exchange/policy has a word in it */
    struct slice text; /* in the arena */
    unsigned status;
    const char *why;
};

/* HTTP-01 of managed names before anything else (RFC 8555 §8.3, ACME-75); then, on TLS, only names that this connection's
 * certificate serves (RFC 9110 §7.4: 421); on plain HTTP as HTTP_MODE says. secure: the client's own connection is TLS
 * (identity.h); where a trusted proxy ended it and asks us in plain HTTP, a redirect to https would go on for ever.
 * Challenges and the redirect to HTTPS are for everybody, all else is guarded. */
struct route route_request(const struct config *config, const struct certset *set, const struct exchange_client *client,
                           const struct head *head, bool secure, struct arena *arena);

/* The backends of a TLS connection that carries raw bytes; NULL where it carries HTTP. name: SNI, normalised; where it is
 * unknown or empty, the name whose certificate is the default decides, else the default site. */
const struct config_group *route_raw(const struct config *config, const struct certset *set, struct slice name);

#endif
