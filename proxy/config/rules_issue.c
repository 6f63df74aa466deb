/* Who signs for a name, how a CA can make sure of it, and what of that contradicts itself. */
#include "config/build.h"
#include "config/mistakes.h"

/* Certificates of one's own, which may cover any name; what they cover is known when they are read. */
static bool has_own(const struct build *build)
{
    return build_given(build, ROW_TLS_CERT) || build_failed(build, ROW_TLS_CERT) ||
           build_given(build, ROW_TLS_CERT_DIR) || build_failed(build, ROW_TLS_CERT_DIR);
}

static bool allows(const struct config *config, enum config_challenge challenge)
{
    for (size_t i = 0; i < config->acme.num_challenges; i++)
        if (config->acme.challenges[i] == challenge)
            return true;
    return false;
}

static bool allows_dns(const struct config *config)
{
    return allows(config, CONFIG_CHALLENGE_DNS_01) || allows(config, CONFIG_CHALLENGE_DNS_PERSIST_01);
}

/* ---- who signs ---- */

#define OR_OTHERWISE "give PORTICO_TLS_CERT_FILE, or set PORTICO_ACME_DIRECTORY=internal"

/* Only where http-01 and tls-alpn-01 are all that would do. */
static const char *listen_refusal(const struct config *config)
{
    bool http = config->listen.http.kind != CONFIG_LISTEN_OFF, https = config->listen.https.kind != CONFIG_LISTEN_OFF;
    bool by_http = allows(config, CONFIG_CHALLENGE_HTTP_01), by_alpn = allows(config, CONFIG_CHALLENGE_TLS_ALPN_01);
    if ((by_http && http) || (by_alpn && https))
        return NULL;
    return by_http ? "cannot be validated by http-01 while PORTICO_HTTP_LISTEN is off: listen there, add another "
                     "challenge to PORTICO_ACME_CHALLENGE, " OR_OTHERWISE
                   : "cannot be validated by tls-alpn-01 while PORTICO_HTTPS_LISTEN is off: listen there, add another "
                     "challenge to PORTICO_ACME_CHALLENGE, " OR_OTHERWISE;
}

/* Why no CA of this configuration can sign the name, or NULL. What lacks for dns-01 is a mistake of its own. */
static const char *order_refusal(const struct build *build, const struct config_name *name)
{
    const struct config *config = build->config;
    bool by_address = allows(config, CONFIG_CHALLENGE_HTTP_01) || allows(config, CONFIG_CHALLENGE_TLS_ALPN_01);
    if (name->wildcard && !allows_dns(config))
        return "is a wildcard, which takes dns-01 or dns-persist-01: add one of them to PORTICO_ACME_CHALLENGE, list "
               "the names one by one, " OR_OTHERWISE;
    if (name->ip && !by_address)
        return "is an address, which takes http-01 or tls-alpn-01: add one of them to "
               "PORTICO_ACME_CHALLENGE, " OR_OTHERWISE;
    if (name->wildcard || (!name->ip && allows_dns(config)) || build_failed(build, ROW_HTTP_LISTEN) ||
        build_failed(build, ROW_HTTPS_LISTEN))
        return NULL;
    return listen_refusal(config);
}

static void name_issuer(struct build *build, struct config_name *name)
{
    enum config_directory_kind kind = build->config->acme.kind;
    enum config_challenge challenges[NUM_CONFIG_CHALLENGES];
    if (kind == CONFIG_DIRECTORY_INTERNAL || (kind == CONFIG_DIRECTORY_PUBLIC && name->local)) {
        name->issuer = CONFIG_ISSUER_INTERNAL;
        return;
    }
    const char *why = order_refusal(build, name);
    name->issuer = config_challenges_for(build->config, name, challenges) ? CONFIG_ISSUER_ACME : CONFIG_ISSUER_OWN;
    if (why && !has_own(build))
        mistakes_add(build->mistakes, row_name(ROW_DOMAINS), name->text, NULL, "%s", why);
}

static void rule_issuers(struct build *build)
{
    if (build_failed(build, ROW_ACME_DIRECTORY) || build_failed(build, ROW_ACME_CHALLENGE))
        return;
    for (size_t i = 0; i < build->config->num_names; i++)
        name_issuer(build, &build->config->names[i]);
}

/* ---- what belongs together ---- */

static bool asks_a_ca(const struct config *config)
{
    for (size_t i = 0; i < config->num_names; i++)
        if (config->names[i].issuer != CONFIG_ISSUER_INTERNAL)
            return true;
    return config->on_demand_ask.len && config->acme.kind != CONFIG_DIRECTORY_INTERNAL;
}

static void rule_dns_hook(struct build *build)
{
    struct config *config = build->config;
    bool by_dns = allows(config, CONFIG_CHALLENGE_DNS_01), hook = build_given(build, ROW_ACME_DNS_HOOK);
    if (build_failed(build, ROW_ACME_CHALLENGE) || build_failed(build, ROW_ACME_DNS_HOOK) ||
        build_failed(build, ROW_ACME_DIRECTORY) || !asks_a_ca(config))
        return;
    if (by_dns && !hook && !has_own(build))
        mistakes_add(build->mistakes, row_name(ROW_ACME_DNS_HOOK), SLICE_NONE, "/usr/local/bin/dns-hook",
                     "is unset, but PORTICO_ACME_CHALLENGE has dns-01: nothing would make its TXT record");
    if (hook && !by_dns)
        mistakes_add(build->mistakes, row_name(ROW_ACME_CHALLENGE), config->values[ROW_ACME_CHALLENGE].text, "dns-01",
                     "has no dns-01, but PORTICO_ACME_DNS_HOOK is given, which nothing else calls");
}

static void rule_fallback(struct build *build)
{
    static const enum row needing[] = {ROW_ACME_FALLBACK_EAB_KID, ROW_ACME_FALLBACK_EAB_HMAC_KEY,
                                       ROW_ACME_FALLBACK_ACCOUNT_KEY};
    const struct config *config = build->config;
    struct slice given = config->values[ROW_ACME_FALLBACK].text;
    if (build_failed(build, ROW_ACME_FALLBACK) || build_failed(build, ROW_ACME_DIRECTORY))
        return;
    for (size_t i = 0; i < sizeof needing / sizeof needing[0] && !config->acme.fallback.len; i++)
        if (build_given(build, needing[i]))
            mistakes_add(build->mistakes, row_name(needing[i]), SLICE_NONE, NULL,
                         "is given, but PORTICO_ACME_FALLBACK, whose account it is about, is not");
    if (config->acme.fallback.len && slice_eq(config->acme.fallback, config->acme.directory))
        mistakes_add(build->mistakes, row_name(ROW_ACME_FALLBACK), given, NULL,
                     "is PORTICO_ACME_DIRECTORY already: a fallback is another CA");
    if (config->acme.fallback.len && config->acme.kind == CONFIG_DIRECTORY_INTERNAL)
        mistakes_add(build->mistakes, row_name(ROW_ACME_FALLBACK), given, NULL,
                     "is asked for nothing while PORTICO_ACME_DIRECTORY is internal");
}

/* ---- readiness ---- */

/* The name whose validation would never reach a process that is not ready, or NULL. */
static const struct config_name *name_that_waits(const struct build *build)
{
    const struct config *config = build->config;
    for (size_t i = 0; i < config->num_names; i++)
        if (config->names[i].issuer == CONFIG_ISSUER_ACME && (config->names[i].ip || !allows_dns(config)))
            return &config->names[i];
    return NULL;
}

static void rule_ready(struct build *build)
{
    const struct config *config = build->config;
    if (!config->admin.ready_cert || has_own(build) || build_failed(build, ROW_DOMAINS) ||
        build_failed(build, ROW_ACME_DIRECTORY) || build_failed(build, ROW_ACME_CHALLENGE))
        return;
    const struct config_name *name = name_that_waits(build);
    if (name)
        mistakes_add(build->mistakes, row_name(ROW_READY_REQUIRES), config->values[ROW_READY_REQUIRES].text, "listener",
                     "has cert, but %s is validated by http-01 or tls-alpn-01 alone, which would never reach a process "
                     "that is not ready",
                     name->text.ptr);
}

void rules_issue(struct build *build)
{
    rule_issuers(build);
    rule_dns_hook(build);
    rule_fallback(build);
    rule_ready(build);
}
