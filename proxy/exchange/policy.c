#include "exchange/policy.h"

static const struct policy policy_allow = {.verdict = POLICY_ALLOW};

static struct policy policy_refuse(unsigned status, const char *why)
{
    return (struct policy){POLICY_REFUSE, status, why};
}

bool policy_allows_address(const struct config *config, struct slice client)
{
    struct ip ip;
    return !config->policy.allow_ips_given || (ip_parse(client, &ip) && cidr_list_has(&config->policy.allow_ips, &ip));
}

/* All that come by a unix socket are one client. */
static struct ip policy_client_ip(struct slice client)
{
    struct ip ip;
    return ip_parse(client, &ip) ? ip : (struct ip){{0}};
}

static struct policy policy_ask(const struct config *config, struct slice client, const struct head *request,
                                struct passwords *passwords, struct password_wait *wait)
{
    const struct ip ip = policy_client_ip(client);
    struct buf secret = {0};
    struct basic_credentials credentials;
    struct policy policy = policy_refuse(401, "no name and password");
    if (basic_auth_read(request, &secret, &credentials))
        switch (passwords_check(passwords, config->policy.users, config->policy.num_users, &credentials, &ip, wait)) {
        case PASSWORD_RIGHT: policy = policy_allow; break;
        case PASSWORD_PENDING: policy = (struct policy){.verdict = POLICY_WAIT}; break;
        case PASSWORD_BUSY: policy = policy_refuse(503, "too many passwords at a time"); break;
        }
    buf_cleanup_secret(&secret);
    return policy;
}

struct policy policy_decide(const struct config *config, struct slice client, const struct head *request,
                            struct passwords *passwords, struct password_wait *wait)
{
    if (!policy_allows_address(config, client))
        return policy_refuse(403, "the address is not in PORTICO_ALLOW_IPS");
    if (config->policy.num_users)
        return policy_ask(config, client, request, passwords, wait);
    return policy_allow;
}

struct policy policy_decide_password(bool right)
{
    return right ? policy_allow : policy_refuse(401, "wrong name or password");
}
