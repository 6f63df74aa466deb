/* What must hold between variables, and what follows from several of them. */
#include "config/build.h"

#include "base/url.h"
#include "config/mistakes.h"

/* Both or none of two rows. */
static void rule_pair(struct build *build, enum row a, enum row b)
{
    if (build_failed(build, a) || build_failed(build, b) || build_given(build, a) == build_given(build, b))
        return;
    enum row given = build_given(build, a) ? a : b, missing = given == a ? b : a;
    mistakes_add(build->mistakes, row_name(missing), SLICE_NONE, NULL,
                 "is unset, but %s is given: the two belong together", row_name(given));
}

static bool same_tcp_place(const struct config_listen *a, const struct config_listen *b)
{
    if (a->kind != CONFIG_LISTEN_TCP || b->kind != CONFIG_LISTEN_TCP || a->port != b->port || a->port == 0)
        return false;
    return a->host.len == 0 || b->host.len == 0 || slice_eq(a->host, b->host);
}

static void rule_two_places(struct build *build, enum row a, const struct config_listen *at_a, enum row b,
                            const struct config_listen *at_b)
{
    bool same_path =
        at_a->kind == CONFIG_LISTEN_UNIX && at_b->kind == CONFIG_LISTEN_UNIX && slice_eq(at_a->path, at_b->path);
    bool same_name =
        at_a->kind == CONFIG_LISTEN_SYSTEMD && at_b->kind == CONFIG_LISTEN_SYSTEMD && slice_eq(at_a->name, at_b->name);
    if (!build_failed(build, a) && !build_failed(build, b) && (same_path || same_name || same_tcp_place(at_a, at_b)))
        mistakes_add(build->mistakes, row_name(b), at_b->text, NULL, "is where %s listens already", row_name(a));
}

static void rule_places(struct build *build)
{
    const struct config *config = build->config;
    if (config->listen.admin.kind == CONFIG_LISTEN_SYSTEMD)
        mistakes_add(build->mistakes, row_name(ROW_ADMIN_LISTEN), config->listen.admin.text, "127.0.0.1:9180",
                     "would hide from `portico healthcheck` where to ask: give its address");
    rule_two_places(build, ROW_HTTP_LISTEN, &config->listen.http, ROW_HTTPS_LISTEN, &config->listen.https);
    rule_two_places(build, ROW_HTTP_LISTEN, &config->listen.http, ROW_ADMIN_LISTEN, &config->listen.admin);
    rule_two_places(build, ROW_HTTPS_LISTEN, &config->listen.https, ROW_ADMIN_LISTEN, &config->listen.admin);
}

static void force(struct build *build, enum row row, const char *text, const char *why)
{
    build->config->values[row].text = slice_str(text);
    build->config->values[row].note = why;
}

/* Without names, certificate and ON_DEMAND_ASK there is nothing to do HTTPS with: plain HTTP is proxied. */
static void rule_no_names(struct build *build)
{
    static const char why[] = "there are no names and no certificate";
    struct config *config = build->config;
    if (build_given(build, ROW_HTTP_MODE) && config->listen.http_mode != CONFIG_HTTP_SERVE)
        mistakes_add(build->mistakes, row_name(ROW_HTTP_MODE), config->values[ROW_HTTP_MODE].text, "serve",
                     "needs PORTICO_DOMAINS or PORTICO_TLS_CERT: without them plain HTTP is all there is");
    if (config->listen.http.kind == CONFIG_LISTEN_OFF)
        mistakes_add(build->mistakes, row_name(ROW_HTTP_LISTEN), SLICE_LIT("off"), ":80",
                     "leaves nothing to listen on: without PORTICO_DOMAINS and PORTICO_TLS_CERT there is no HTTPS");
    config->listen.http_mode = CONFIG_HTTP_SERVE;
    config->listen.https = (struct config_listen){.kind = CONFIG_LISTEN_OFF, .text = SLICE_LIT("off")};
    force(build, ROW_HTTP_MODE, "serve", why);
    force(build, ROW_HTTPS_LISTEN, "off", why);
}

static void rule_listens(struct build *build)
{
    struct config *config = build->config;
    bool own = build_given(build, ROW_TLS_CERT) || build_given(build, ROW_TLS_CERT_DIR);
    bool https = build_given(build, ROW_DOMAINS) || own || config->on_demand_ask.len;
    if (build_failed(build, ROW_DOMAINS) || build_failed(build, ROW_TLS_CERT) ||
        build_failed(build, ROW_TLS_CERT_DIR) || build_failed(build, ROW_ON_DEMAND_ASK))
        return;
    if (!https && !build_failed(build, ROW_HTTP_MODE) && !build_failed(build, ROW_HTTP_LISTEN))
        rule_no_names(build);
    else if (config->listen.http.kind == CONFIG_LISTEN_OFF && config->listen.https.kind == CONFIG_LISTEN_OFF &&
             !build_failed(build, ROW_HTTP_LISTEN) && !build_failed(build, ROW_HTTPS_LISTEN))
        mistakes_add(build->mistakes, row_name(ROW_HTTPS_LISTEN), SLICE_LIT("off"), ":443",
                     "leaves nothing to listen on: PORTICO_HTTP_LISTEN is off too");
    config->names_from_certificate = config->num_names == 0 && own;
}

/* Whether the URL's port is one where this configuration answers the name. */
static bool port_is_ours(const struct config *config, const struct url *url)
{
    return !url->port_given || url->port == (url->https ? config->listen.https_public_port : 80);
}

static void rule_redirect_loops(struct build *build)
{
    const struct config *config = build->config;
    for (size_t i = 0; i < config->num_names; i++) {
        const struct config_name *name = &config->names[i];
        struct url url;
        if (name->site->kind != CONFIG_SITE_REDIRECT || err_is(url_parse(name->site->redirect_to, &url)))
            continue;
        const struct config_name *target = config_name_for(config, url.host);
        if (target && target->site == name->site && port_is_ours(config, &url))
            mistakes_add(build->mistakes, row_name(ROW_DOMAINS), name->text, NULL, "is redirected to itself: %s",
                         name->site->redirect_to.ptr);
    }
}

/* Whether requests are proxied without TLS; false where a mistake leaves that open. */
static bool plain_served(const struct build *build)
{
    return build->config->listen.http_mode == CONFIG_HTTP_SERVE &&
           build->config->listen.http.kind != CONFIG_LISTEN_OFF && !build_failed(build, ROW_HTTP_MODE) &&
           !build_failed(build, ROW_HTTP_LISTEN) && !build_failed(build, ROW_DOMAINS) &&
           !build_failed(build, ROW_TLS_CERT);
}

/* What to do about that. */
static const char *plain_cure(const struct build *build)
{
    return build->config->listen.https.kind == CONFIG_LISTEN_OFF
               ? "it needs PORTICO_DOMAINS or PORTICO_TLS_CERT"
               : "set PORTICO_HTTP_MODE to redirect, or PORTICO_HTTP_LISTEN to off";
}

static void rule_client_auth(struct build *build)
{
    const struct config *config = build->config;
    bool ca = build_given(build, ROW_TLS_CLIENT_CA), auth = config->tls.client_auth != CONFIG_CLIENT_AUTH_OFF;
    struct slice given = config->values[ROW_TLS_CLIENT_AUTH].text;
    if (build_failed(build, ROW_TLS_CLIENT_CA) || build_failed(build, ROW_TLS_CLIENT_AUTH))
        return;
    if (ca && !auth)
        mistakes_add(build->mistakes, row_name(ROW_TLS_CLIENT_AUTH), given, "require",
                     "asks nobody for a certificate, but PORTICO_TLS_CLIENT_CA is given");
    if (auth && !ca)
        mistakes_add(build->mistakes, row_name(ROW_TLS_CLIENT_CA), SLICE_NONE, NULL,
                     "is unset, but PORTICO_TLS_CLIENT_AUTH asks for certificates: nothing says which to believe");
    if (auth && plain_served(build))
        mistakes_add(build->mistakes, row_name(ROW_TLS_CLIENT_AUTH), given, NULL,
                     "is of no use beside plain HTTP, which is proxied too: %s", plain_cure(build));
}

static void rule_tcp_site(struct build *build, enum row row, const struct config_site *site)
{
    if (site->kind == CONFIG_SITE_PROXY && site->group && site->group->tcp)
        mistakes_add(build->mistakes, row_name(row), site->group->upstreams[0]->text, NULL,
                     "takes what is inside TLS, but plain HTTP is proxied too: %s", plain_cure(build));
}

static void rule_tcp(struct build *build)
{
    const struct config *config = build->config;
    const struct config_site *last = &config->default_site; /* names of one item share theirs: one mistake */
    if (!plain_served(build))
        return;
    rule_tcp_site(build, ROW_UPSTREAM, last);
    for (size_t i = 0; i < config->num_names; i++) {
        const struct config_site *site = config->names[i].site;
        if (site != last && site != &config->default_site)
            rule_tcp_site(build, ROW_DOMAINS, site);
        last = site;
    }
}

/* Who asks for passwords must not leave a door open beside the one with the lock. */
static void rule_basic_auth(struct build *build)
{
    struct map_entry *entry;
    if (!build->config->policy.num_users)
        return;
    for (size_t at = 0; (entry = map_next(&build->upstreams, &at));) {
        const struct config_upstream *upstream = entry->value;
        if (upstream->protocol == CONFIG_PROTOCOL_TCP)
            mistakes_add(build->mistakes, row_name(ROW_BASIC_AUTH), SLICE_NONE, NULL,
                         "asks for passwords in HTTP, but %s takes raw bytes: it would be open to all",
                         upstream->text.ptr);
    }
}

static void rule_proxy_protocol(struct build *build)
{
    if (build->config->identity.proxy_protocol_in && !build_given(build, ROW_TRUSTED_PROXIES))
        mistakes_add(build->mistakes, row_name(ROW_PROXY_PROTOCOL_IN),
                     build->config->values[ROW_PROXY_PROTOCOL_IN].text, NULL,
                     "needs PORTICO_TRUSTED_PROXIES: the header is believed from these alone");
}

static void rule_drain(struct build *build)
{
    if (!build_failed(build, ROW_DRAIN_MIN) && !build_failed(build, ROW_DRAIN_TIMEOUT) &&
        build->config->drain.min_ms > build->config->drain.timeout_ms)
        mistakes_add(build->mistakes, row_name(ROW_DRAIN_MIN), build->config->values[ROW_DRAIN_MIN].text, NULL,
                     "is longer than PORTICO_DRAIN_TIMEOUT, which ends the drain");
}

void rules_apply(struct build *build)
{
    build->config->policy.allow_ips_given = build_given(build, ROW_ALLOW_IPS);
    rule_pair(build, ROW_TLS_CERT, ROW_TLS_KEY);
    rule_pair(build, ROW_INTERNAL_CA, ROW_INTERNAL_CA_KEY);
    rule_pair(build, ROW_ACME_EAB_KID, ROW_ACME_EAB_HMAC_KEY);
    rule_pair(build, ROW_ACME_FALLBACK_EAB_KID, ROW_ACME_FALLBACK_EAB_HMAC_KEY);
    rule_listens(build);
    rule_places(build);
    rules_issue(build);
    rule_redirect_loops(build);
    rule_client_auth(build);
    rule_tcp(build);
    rule_basic_auth(build);
    rule_proxy_protocol(build);
    rule_drain(build);
}
