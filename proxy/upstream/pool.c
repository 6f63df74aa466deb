#include "upstream/pool.h"

#include "base/mem.h"
#include "upstream/pool_internal.h"

enum { POOL_RETRY_MS = 100 }; /* while a backend starts */

static struct pool_wait *wait_of(struct list *node)
{
    return container_of(node, struct pool_wait, node);
}

/* ---- the pool ---- */

static void pool_free(struct grave *grave)
{
    struct pool *pool = container_of(grave, struct pool, grave);
    struct map_entry *entry;
    for (size_t at = 0; (entry = map_next(&pool->backends, &at));)
        backend_free(entry->value);
    map_cleanup(&pool->backends);
    mem_free(pool);
}

static void pool_emptied(struct deferred *deferred)
{
    struct pool *pool = container_of(deferred, struct pool, emptied);
    deferred_stop(&pool->serve);
    graveyard_bury(&pool->loop->graveyard, &pool->grave, pool_free);
    pool->closed(pool->closed_ctx);
}

static void pool_serve(struct deferred *deferred);

struct pool *pool_new(const struct pool_options *options)
{
    struct pool *pool = MEM_NEW(struct pool);
    pool->loop = options->loop;
    pool->resolver = options->resolver;
    pool->counters = options->counters;
    pool->log = options->log;
    pool->connect = options->connect;
    pool->connect_ctx = options->connect_ctx;
    pool->random = uv_hrtime();
    list_init(&pool->queue);
    list_init(&pool->refused);
    deferred_init(&pool->serve, pool_serve);
    deferred_init(&pool->emptied, pool_emptied);
    return pool;
}

static void pool_maybe_end(struct pool *pool)
{
    if (pool->closing && pool->num_conns == 0)
        deferred_start(pool->loop, &pool->emptied);
}

void pool_conn_gone(struct backend *backend)
{
    backend->num_conns--;
    backend->pool->num_conns--;
    pool_maybe_end(backend->pool);
}

/* ---- no connection ---- */

static void wait_refuse(struct pool_wait *wait, struct err err, bool full)
{
    bool unavailable = full || backend_none_healthy(wait->pool, wait->group);
    wait->status = unavailable ? 503 : 502;
    wait->retry_after_s = full ? 1 : unavailable ? backend_retry_after_s(wait->pool, wait->group) : 0;
    wait->done(wait, NULL, err);
}

static struct backend *wait_home(const struct pool_wait *wait)
{
    return backend_of(wait->pool, wait->group->upstreams[0]);
}

static void wait_leave_queue(struct pool_wait *wait)
{
    list_remove(&wait->node);
    tick_stop(&wait->retry);
    if (wait->queued)
        wait_home(wait)->num_queued--;
    wait->queued = false;
}

static void wait_queue(struct pool_wait *wait)
{
    struct pool *pool = wait->pool;
    struct backend *home = wait_home(wait);
    uint64_t now_ms = net_loop_now_ms(pool->loop);
    if (home->num_queued >= LIMIT_UPSTREAM_QUEUE || now_ms >= wait->give_up_ms) {
        list_append(&pool->refused, &wait->node);
        deferred_start(pool->loop, &pool->serve);
        return;
    }
    wait->queued = true;
    home->num_queued++;
    counters_add(pool->counters, COUNTER_UPSTREAM_QUEUED, 1);
    list_append(&pool->queue, &wait->node);
    tick_start(&pool->loop->ticker, &wait->retry, wait->give_up_ms - now_ms);
}

/* ---- acquiring ---- */

static struct upstream *wait_take(struct pool_wait *wait, struct backend *backend)
{
    switch (backend->protocol) {
    case CONFIG_PROTOCOL_HTTP1: return wait->fresh_only ? NULL : pool_h1_take(backend, wait->preamble);
    case CONFIG_PROTOCOL_HTTP2:
        return pool_h2_take(backend, wait->preamble); /* one that is ending takes no more by itself */
    case CONFIG_PROTOCOL_TCP: return NULL;
    }
    return NULL;
}

/* A connection that is there, or NULL and a dial or a place in the queue. */
static struct upstream *wait_find(struct pool_wait *wait)
{
    size_t index;
    struct backend *backend = backend_choose(wait, &index);
    if (!backend) {
        wait_queue(wait);
        return NULL;
    }
    backend_chosen(backend);
    struct upstream *upstream = wait_take(wait, backend);
    if (!upstream)
        pool_dial_for(wait, backend, wait->group->upstreams[index]);
    else if (backend->protocol == CONFIG_PROTOCOL_HTTP2 && wait->preamble.len == 0)
        pool_h2_spread(backend, wait->config, wait->group->upstreams[index]->port);
    return upstream;
}

void pool_wait_go_on(struct pool_wait *wait)
{
    struct upstream *upstream = wait_find(wait);
    if (upstream)
        wait->done(wait, upstream, ERR_OK);
}

/* The next backend at once; a pause where all of them were tried. */
void pool_wait_failed(struct pool_wait *wait, struct err err)
{
    struct pool *pool = wait->pool;
    wait->num_tried++;
    if (!wait->once && wait->num_tried < wait->group->num_upstreams) {
        pool_wait_go_on(wait);
    } else if (!wait->once && err.kind != ERR_INPUT &&
               net_loop_now_ms(pool->loop) + POOL_RETRY_MS <= wait->give_up_ms) {
        wait->num_tried = 0;
        tick_start(&pool->loop->ticker, &wait->retry, POOL_RETRY_MS);
    } else {
        wait_refuse(wait, err, false);
    }
}

static void wait_expired(struct tick *tick)
{
    struct pool_wait *wait = container_of(tick, struct pool_wait, retry);
    if (!wait->queued) {
        pool_wait_go_on(wait);
        return;
    }
    wait_leave_queue(wait);
    wait_refuse(wait, err_make(ERR_TIMEOUT, 0, "no room at the backend (UPSTREAM_MAX_CONNS)"), true);
}

void pool_wait_init(struct pool_wait *wait, struct pool *pool,
                    void (*done)(struct pool_wait *wait, struct upstream *upstream, struct err err))
{
    *wait = (struct pool_wait){.pool = pool, .done = done};
    list_init(&wait->node);
    tick_init(&wait->retry, wait_expired);
}

struct upstream *pool_acquire(struct pool_wait *wait, const struct config *config, const struct config_group *group,
                              bool fresh_only)
{
    struct pool *pool = wait->pool;
    wait->config = config;
    wait->group = group;
    wait->fresh_only = fresh_only;
    wait->num_tried = 0;
    wait->give_up_ms = net_loop_now_ms(pool->loop) + (uint64_t)config->upstream.wait_ms;
    if (list_empty(&pool->queue) || wait_home(wait)->num_queued == 0)
        return wait_find(wait);
    wait_queue(wait); /* behind those who came before */
    return NULL;
}

void pool_wait_cancel(struct pool_wait *wait)
{
    pool_dial_leave(wait);
    wait_leave_queue(wait);
}

/* ---- the queue ---- */

/* The first whose group has room. Others of a group that was found full need not be looked at. */
static struct pool_wait *pool_next_served(struct pool *pool)
{
    const struct config_group *full = NULL;
    LIST_EACH(&pool->queue, node)
    {
        struct pool_wait *wait = wait_of(node);
        size_t index;
        if (wait->group == full)
            continue;
        if (backend_choose(wait, &index))
            return wait;
        full = wait->group;
    }
    return NULL;
}

static void pool_serve(struct deferred *deferred)
{
    struct pool *pool = container_of(deferred, struct pool, serve);
    struct pool_wait *wait;
    struct list *node;
    while ((node = list_first(&pool->refused))) {
        list_remove(node);
        wait_refuse(wait_of(node), err_make(ERR_LIMIT, 0, "no room at the backend, and none to wait"), true);
    }
    while ((wait = pool_next_served(pool))) {
        wait_leave_queue(wait);
        pool_wait_go_on(wait);
    }
}

void pool_room(struct pool *pool)
{
    if (!list_empty(&pool->queue))
        deferred_start(pool->loop, &pool->serve);
}

/* ---- another configuration ---- */

void pool_configure(struct pool *pool, const struct config *config)
{
    struct map_entry *entry;
    for (size_t at = 0; (entry = map_next(&pool->backends, &at));)
        ((struct backend *)entry->value)->retired = true;
    for (size_t i = 0; i < config->num_upstreams; i++) {
        struct backend *named = map_get(&pool->backends, config->upstreams[i]->text);
        if (named)
            named->retired = false;
    }
    for (size_t at = 0; (entry = map_next(&pool->backends, &at));)
        if (((struct backend *)entry->value)->retired) {
            pool_h1_close_idle(entry->value);
            pool_h2_leave(entry->value);
        }
    pool_watch(pool, config);
    pool_room(pool); /* limits may have risen */
}

/* ---- the end ---- */

void pool_close(struct pool *pool, void (*closed)(void *ctx), void *ctx)
{
    struct map_entry *entry;
    pool->closing = true;
    pool->closed = closed;
    pool->closed_ctx = ctx;
    health_free(pool->health);
    pool->health = NULL;
    for (size_t at = 0; (entry = map_next(&pool->backends, &at));) {
        pool_h1_close_idle(entry->value);
        pool_h2_close(entry->value);
    }
    pool_maybe_end(pool);
}
