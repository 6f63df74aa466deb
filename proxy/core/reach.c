#include "core/reach.h"

#include "base/mem.h"
#include "net/dial.h"

#include <unistd.h>

enum { REACH_EVERY = 2 }; /* looks */

struct reach_probe {
    struct dial dial;
    bool reached;
};

struct reach {
    const struct config *config; /* held */
    struct reach_probe *probes;  /* by config_upstream.index */
    unsigned num_looks;
};

static void reach_dialed(struct dial *dial, int fd, const struct address *address, struct err err)
{
    struct reach_probe *probe = container_of(dial, struct reach_probe, dial);
    (void)address;
    probe->reached = !err_is(err);
    if (probe->reached)
        close(fd);
}

static void reach_try(struct reach_probe *probe, struct resolver *resolver, const struct config *config,
                      const struct config_upstream *upstream)
{
    uint64_t timeout_ms = (uint64_t)config->upstream.connect_timeout_ms;
    struct address address;
    if (probe->dial.active)
        return;
    if (upstream->path.len == 0)
        dial_start(&probe->dial, resolver, upstream->host, upstream->port, timeout_ms);
    else if (address_of_path(upstream->path, &address))
        dial_start_address(&probe->dial, &address, timeout_ms);
}

static struct reach *reach_new(struct net_loop *loop, const struct config *config)
{
    struct reach *reach = MEM_NEW(struct reach);
    reach->config = config_ref(config);
    reach->probes = mem_calloc(config->num_upstreams, sizeof *reach->probes);
    for (size_t i = 0; i < config->num_upstreams; i++)
        dial_init(&reach->probes[i].dial, loop, reach_dialed);
    return reach;
}

struct reach *reach_look(struct reach *reach, struct net_loop *loop, struct resolver *resolver,
                         const struct config *config)
{
    if (reach && (reach->config != config || !config->admin.ready_upstream)) {
        reach_free(reach);
        reach = NULL;
    }
    if (!config->admin.ready_upstream)
        return NULL;
    if (!reach)
        reach = reach_new(loop, config);
    if (reach->num_looks++ % REACH_EVERY == 0)
        for (size_t i = 0; i < config->num_upstreams; i++)
            reach_try(&reach->probes[i], resolver, config, config->upstreams[i]);
    return reach;
}

static bool reach_group(const struct reach *reach, const struct config_site *site)
{
    if (site->kind != CONFIG_SITE_PROXY)
        return true;
    for (size_t i = 0; i < site->group->num_upstreams; i++)
        if (reach->probes[site->group->upstreams[i]->index].reached)
            return true;
    return false;
}

bool reach_is_complete(const struct reach *reach)
{
    if (!reach)
        return false;
    for (size_t i = 0; i < reach->config->num_names; i++)
        if (!reach_group(reach, reach->config->names[i].site))
            return false;
    return reach->config->num_names > 0 || reach_group(reach, &reach->config->default_site);
}

void reach_free(struct reach *reach)
{
    if (!reach)
        return;
    for (size_t i = 0; i < reach->config->num_upstreams; i++)
        dial_cancel(&reach->probes[i].dial);
    mem_free(reach->probes);
    config_unref(reach->config);
    mem_free(reach);
}
