/* policy: who may come in: ALLOW_IPS, then BASIC_AUTH. For requests that go to a backend or to another host; what this
 * proxy answers by itself (HTTP-01, the redirect to HTTPS) is for everybody. Decides and owns nothing. Worker's thread.
 *
 * Authorization goes on to the backend, as NGINX and Caddy let it: many read the name from it. */
#ifndef EXCHANGE_POLICY_H
#define EXCHANGE_POLICY_H

#include "exchange/passwords.h"

enum policy_verdict {
    POLICY_ALLOW,
    POLICY_WAIT,  /* the password is being checked: wait->known tells */
    POLICY_REFUSE /* policy.status, policy.why */
};

struct policy {
    enum policy_verdict verdict;
    unsigned status; /* 401, 403, 503 */
    const char *why; /* literal, for the log */
};

/* Whether ALLOW_IPS lets the address in, in text; what is no address (a unix socket's peer) is in no range. For
 * connections that carry no requests (tcp://). */
bool policy_allows_address(const struct config *config, struct slice client);

/* client: the address that the request is taken to come from (TRUSTED_PROXIES), in text. 401 asks for a password, 503 says that too many are being checked. */
MUST_CHECK struct policy policy_decide(const struct config *config, struct slice client, const struct head *request,
                                       struct passwords *passwords, struct password_wait *wait);
/* The same once wait->known has told. */
MUST_CHECK struct policy policy_decide_password(bool right);

#endif
