/* The way from a request's host to what is done with it. */
#include "config/domain_name.h"

#include "base/map.h"

const struct config_name *config_name_for(const struct config *config, struct slice host)
{
    char text[DOMAIN_NAME_BYTES];
    struct slice name;
    if (config->num_names == 0 || !domain_name_fold(host, text, &name) || name.ptr[0] == '*')
        return NULL;
    const struct config_name *found = map_get(&config->names_map, name);
    if (found)
        return found;
    const char *dot = memchr(name.ptr, '.', name.len);
    if (!dot || dot == name.ptr)
        return NULL;
    char *star = &text[dot - text - 1]; /* the first label's last byte makes room for the wildcard's */
    *star = '*';
    return map_get(&config->names_map, slice_skip(name, (size_t)(star - text)));
}

const struct config_name *config_name_asked(const struct config *config, struct slice text)
{
    struct arena arena = {0};
    struct config_name name;
    const struct config_name *found = NULL;
    if (config->num_names && !domain_name_parse(&arena, text, &name))
        found = name.wildcard ? map_get(&config->names_map, name.text) : config_name_for(config, name.text);
    arena_cleanup(&arena);
    return found;
}

const struct config_site *config_site_for(const struct config *config, struct slice host)
{
    if (config->num_names == 0)
        return &config->default_site;
    const struct config_name *name = config_name_for(config, host);
    if (!name)
        return config->on_demand_ask.len ? &config->default_site : NULL;
    return name->site;
}

bool config_manages(const struct config *config, struct slice host)
{
    return config_name_for(config, host) != NULL;
}

static bool can_answer(const struct config *config, const struct config_name *name, enum config_challenge challenge)
{
    switch (challenge) {
    case CONFIG_CHALLENGE_HTTP_01: return !name->wildcard && config->listen.http.kind != CONFIG_LISTEN_OFF;
    case CONFIG_CHALLENGE_TLS_ALPN_01: return !name->wildcard && config->listen.https.kind != CONFIG_LISTEN_OFF;
    case CONFIG_CHALLENGE_DNS_01: return !name->ip && config->acme.dns_hook.len > 0;
    case CONFIG_CHALLENGE_DNS_PERSIST_01: return !name->ip;
    case NUM_CONFIG_CHALLENGES: break;
    }
    return false;
}

size_t config_challenges_for(const struct config *config, const struct config_name *name,
                             enum config_challenge out[NUM_CONFIG_CHALLENGES])
{
    size_t num = 0;
    for (size_t i = 0; i < config->acme.num_challenges; i++)
        if (can_answer(config, name, config->acme.challenges[i]))
            out[num++] = config->acme.challenges[i];
    return num;
}
