/* demand_ask: asks ON_DEMAND_ASK over client/https: GET URL?domain=NAME, with the client's address in X-Forwarded-For. 2xx
 * allows, another answer below 500 but 429 denies; the rest is no answer. Redirects are not followed.
 *
 * Control thread. Owns its HTTPS client, which it makes for the first question. */
#ifndef CERTS_DEMAND_ASK_H
#define CERTS_DEMAND_ASK_H

#include "certs/demand.h"
#include "client/https.h"

struct demand_ask;

/* Copied, texts and all. */
struct demand_ask_options {
    struct net_loop *loop;
    struct resolver *resolver; /* outlives it */
    struct slice extra_roots_pem;
    const struct https_proxy_options *proxy; /* NULL: none */
    const char *version;                     /* of Portico, for User-Agent; a literal */
    uint64_t call_ms;                        /* 0: LIMIT_DEMAND_ASK_MS */
};

struct demand_ask *demand_ask_new(const struct demand_ask_options *options);
/* Every question must have been answered or canceled. NULL is fine. */
void demand_ask_free(struct demand_ask *ask);
struct asker *demand_ask_base(struct demand_ask *ask);

#endif
