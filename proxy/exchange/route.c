#include "exchange/route.h"

#include "base/b64url.h"

#include <stdio.h>

static const char challenge_path[] = "/.well-known/acme-challenge/";

static struct route route_refuse(unsigned status, const char *why)
{
    return (struct route){.kind = ROUTE_REFUSE, .status = status, .why = why};
}

/* Only TLS connections of its own carry raw bytes: a request for such a name came the wrong way. */
static struct route route_proxy(const struct config_group *group)
{
    if (group->tcp)
        return route_refuse(421, "the name is served as raw bytes");
    return (struct route){.kind = ROUTE_PROXY, .group = group};
}

static struct route route_site(const struct config_site *site, const struct head *head, struct arena *arena)
{
    if (site->kind == CONFIG_SITE_PROXY) {
        struct route route = route_proxy(site->group);
        route.guarded = true;
        return route;
    }
    struct slice target = head->target.ptr[0] == '/' ? head->target : SLICE_LIT("/");
    return (struct route){.kind = ROUTE_REDIRECT,
                          .guarded = true,
                          .text = arena_printf(arena, "%.*s%.*s", (int)site->redirect_to.len, site->redirect_to.ptr,
                                               (int)target.len, target.ptr)};
}

/* The site of a host, where this installation serves it at all. */
static const struct config_site *route_find_site(const struct config *config, const struct certset *set,
                                                 struct slice host)
{
    const struct config_site *site = config_site_for(config, host);
    if (site && config->names_from_certificate && !config->on_demand_ask.len && !certset_find(set, host))
        return NULL;
    return site;
}

/* What a CA may ask for. It leads nowhere else, whatever a backend makes of dots and slashes. */
static bool route_is_token(struct slice text)
{
    return text.len >= LIMIT_TOKEN_MIN && text.len <= LIMIT_TOKEN_MAX && b64url_valid(text);
}

/* Tokens on names that we manage are answered here or are nobody's; on other names they are the backend's business. */
static bool route_challenge(const struct config *config, const struct certset *set, const struct head *head,
                            struct slice host, struct arena *arena, struct route *out_route)
{
    struct slice prefix = slice_str(challenge_path);
    if (!slice_starts(head->target, prefix))
        return false;
    const struct certset_name *name = certset_find(set, host);
    if (!name || !name->managed) {
        const struct config_site *site = route_find_site(config, set, host);
        if (!site || site->kind != CONFIG_SITE_PROXY || !route_is_token(slice_skip(head->target, prefix.len)))
            return false;
        *out_route = route_proxy(site->group);
        return true;
    }
    struct buf answer = {0};
    if (certset_http01(set, slice_skip(head->target, prefix.len), &answer))
        *out_route = (struct route){.kind = ROUTE_CHALLENGE, .text = arena_copy(arena, buf_slice(&answer))};
    else
        *out_route = route_refuse(404, "no such challenge");
    buf_cleanup(&answer);
    return true;
}

/* A TLS connection serves the name that its client asked for, and others of the same certificate. */
static bool route_connection_serves(const struct certset *set, const struct exchange_client *client, struct slice host)
{
    if (slice_eq(client->server_name, host))
        return true;
    struct slice shown = client->server_name.len ? client->server_name : slice_str(set->default_name);
    const struct certset_name *shown_name = certset_find(set, shown), *asked_name = certset_find(set, host);
    if (!shown_name && set->default_name) /* an unknown name that was served the default */
        shown_name = certset_find(set, slice_str(set->default_name));
    return shown_name && asked_name &&
           (shown_name == asked_name || (shown_name->cert == asked_name->cert && shown_name->rsa == asked_name->rsa));
}

static struct route route_to_https(const struct config *config, const struct head *head, struct slice host,
                                   struct arena *arena)
{
    char port[8] = "";
    struct slice target = head->target.ptr[0] == '/' ? head->target : SLICE_LIT("/");
    const char *open = head->host_is_ipv6 ? "[" : "", *close = head->host_is_ipv6 ? "]" : "";
    if (config->listen.https_public_port != 443)
        snprintf(port, sizeof port, ":%u", config->listen.https_public_port);
    return (struct route){.kind = ROUTE_REDIRECT,
                          .text = arena_printf(arena, "https://%s%.*s%s%s%.*s", open, (int)host.len, host.ptr, close,
                                               port, (int)target.len, target.ptr)};
}

/* Not where clients must show certificates: no proxy's word stands in for them. */
static bool route_proxy_ended_tls(const struct config *config, const struct config_site *site, bool secure)
{
    return secure && config->tls.client_auth == CONFIG_CLIENT_AUTH_OFF && !site->group->tcp;
}

static struct route route_plain(const struct config *config, const struct certset *set, const struct head *head,
                                struct slice host, bool secure, struct arena *arena)
{
    if (config->listen.http_mode == CONFIG_HTTP_OFF)
        return route_refuse(404, "plain HTTP is off but for challenges");
    const struct config_site *site = route_find_site(config, set, host);
    if (!site)
        return route_refuse(421, "the name is not served here");
    bool asks = config->policy.num_users > 0; /* for a password, which is not to be sent in the clear */
    if (config->listen.http_mode == CONFIG_HTTP_SERVE || (site->kind == CONFIG_SITE_REDIRECT && !asks) ||
        route_proxy_ended_tls(config, site, secure))
        return route_site(site, head, arena);
    return route_to_https(config, head, host, arena);
}

struct route route_request(const struct config *config, const struct certset *set, const struct exchange_client *client,
                           const struct head *head, bool secure, struct arena *arena)
{
    struct slice host = head->host;
    struct route route;
    if (host.len == 0)
        return route_refuse(400, "no Host");
    if (route_challenge(config, set, head, host, arena, &route))
        return route;
    if (!client->secure)
        return route_plain(config, set, head, host, secure, arena);
    const struct config_site *site = route_find_site(config, set, host);
    if (!site || !route_connection_serves(set, client, host))
        return route_refuse(421, "the name is not served on this connection");
    return route_site(site, head, arena);
}

const struct config_group *route_raw(const struct config *config, const struct certset *set, struct slice name)
{
    const struct config_site *site = name.len ? config_site_for(config, name) : NULL;
    if (!site && set && set->default_name)
        site = config_site_for(config, slice_str(set->default_name));
    if (!site)
        site = &config->default_site;
    return site->kind == CONFIG_SITE_PROXY && site->group->tcp ? site->group : NULL;
}
