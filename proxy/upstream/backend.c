#include "base/mem.h"
#include "upstream/pool_internal.h"

struct backend *backend_of(struct pool *pool, const struct config_upstream *upstream)
{
    struct backend *backend = map_get(&pool->backends, upstream->text);
    if (backend)
        return backend;
    backend = MEM_NEW(struct backend);
    backend->pool = pool;
    backend->protocol = upstream->protocol;
    backend->text = slice_make(mem_dup(upstream->text.ptr, upstream->text.len), upstream->text.len);
    list_init(&backend->idle);
    map_put(&pool->backends, upstream->text, backend);
    return backend;
}

void backend_free(struct backend *backend)
{
    mem_free((char *)backend->text.ptr);
    mem_free(backend);
}

const struct config_upstream *backend_choose(struct pool *pool, const struct config_group *group)
{
    const struct config_upstream *best = NULL;
    size_t best_load = SIZE_MAX;
    for (size_t i = 0; i < group->num_upstreams; i++) {
        const struct backend *backend = backend_of(pool, group->upstreams[i]);
        size_t load = backend->num_busy + (backend->refused ? SIZE_MAX / 2 : 0);
        if (load < best_load) {
            best_load = load;
            best = group->upstreams[i];
        }
    }
    return best;
}

void backend_reached(struct backend *backend)
{
    backend->refused = false;
    backend->reach.reached_ms = net_loop_now_ms(backend->pool->loop);
}

void backend_refused(struct backend *backend)
{
    backend->refused = true;
    backend->reach.refused_ms = net_loop_now_ms(backend->pool->loop);
}

struct pool_reach pool_reach(const struct pool *pool)
{
    struct pool_reach reach = {0};
    struct map_entry *entry;
    bool all_refused = true;
    for (size_t at = 0; (entry = map_next(&pool->backends, &at));) {
        const struct backend *backend = entry->value;
        all_refused = all_refused && backend->refused;
        if (backend->reach.refused_ms > reach.refused_ms)
            reach.refused_ms = backend->reach.refused_ms;
        if (backend->reach.reached_ms > reach.reached_ms)
            reach.reached_ms = backend->reach.reached_ms;
    }
    if (!all_refused)
        reach.refused_ms = 0;
    return reach;
}
