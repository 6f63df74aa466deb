/* https_proxy: which destinations are reached through a forward proxy (HTTPS_PROXY, NO_PROXY as curl reads them). Pure,
 * any thread; owns its copies. The proxy itself is spoken to in plain HTTP, by CONNECT (RFC 9110 §9.3.6). */
#ifndef CLIENT_HTTPS_PROXY_H
#define CLIENT_HTTPS_PROXY_H

#include "base/arena.h"
#include "base/err.h"
#include "base/url.h"

/* The two variables as they stand in the environment; empty where they are not set. */
struct https_proxy_options {
    struct slice url;      /* "http://proxy.example:3128", or without "http://" */
    struct slice no_proxy; /* "localhost,.corp.example,192.0.2.7", or "*" */
};

struct https_proxy {
    struct arena arena;
    struct slice host; /* ptr NULL: there is no proxy */
    uint16_t port;
    struct slice no_proxy;
};

/* NULL options: no proxy. ERR_INPUT where the URL is none that we can use (https, a user name). */
MUST_CHECK struct err https_proxy_init(struct https_proxy *proxy, const struct https_proxy_options *options);
void https_proxy_cleanup(struct https_proxy *proxy);

/* Whether an https URL's host is reached through the proxy: not if NO_PROXY lists it, a domain above it (with or without
 * a dot in front), or "*"; an entry with a port counts for that port alone. */
bool https_proxy_applies(const struct https_proxy *proxy, struct slice host, uint16_t port);

#endif
