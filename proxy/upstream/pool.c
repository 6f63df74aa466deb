#include "upstream/pool.h"

#include "base/mem.h"
#include "upstream/pool_internal.h"
#include "upstream/pool_raw.h"

#include <stdlib.h>

enum { POOL_RETRY_MS = 100 }; /* while a backend starts */

/* An attempt to connect, for one wait; of HTTP/2 for all that come meanwhile. */
struct pool_dial {
    struct dial dial;
    struct grave grave;
    struct backend *backend;
    struct list waits;
    struct list node;          /* in backend->shared_dials, of HTTP/2 */
    struct buf announced;      /* the preamble of all its waits */
    bool connected;            /* HTTP/2: the server's SETTINGS are awaited; goes on without any wait */
    struct deferred simulated; /* tests alone */
};

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

/* ---- dialling ---- */

static void pool_dial_free(struct grave *grave)
{
    struct pool_dial *dial = container_of(grave, struct pool_dial, grave);
    buf_cleanup(&dial->announced);
    mem_free(dial);
}

static void pool_dial_end(struct pool_dial *dial)
{
    struct backend *backend = dial->backend;
    list_remove(&dial->node);
    if (!dial->connected) /* else the connection counts */
        backend->num_open--;
    dial_cancel(&dial->dial);
    deferred_stop(&dial->simulated);
    pool_room(backend->pool);
    graveyard_bury(&backend->pool->loop->graveyard, &dial->grave, pool_dial_free);
}

static void wait_leave_dial(struct pool_wait *wait)
{
    struct pool_dial *dial = wait->dialing;
    wait->dialing = NULL;
    if (!dial)
        return;
    list_remove(&wait->node);
    if (list_empty(&dial->waits) && !dial->connected)
        pool_dial_end(dial);
}

/* All of them, out of the dial. Returns whether one has another choice. */
static bool pool_dial_take_waits(struct pool_dial *dial, struct list *waits)
{
    bool several = false;
    struct list *node;
    list_init(waits);
    while ((node = list_first(&dial->waits))) {
        several = several || wait_of(node)->group->num_upstreams > 1;
        wait_of(node)->dialing = NULL;
        list_remove(node);
        list_append(waits, node);
    }
    return several;
}

static void wait_go_on(struct pool_wait *wait);

/* The next backend at once; a pause where all of them were tried. */
static void wait_failed(struct pool_wait *wait, struct err err)
{
    struct pool *pool = wait->pool;
    wait->num_tried++;
    if (!wait->once && wait->num_tried < wait->group->num_upstreams) {
        wait_go_on(wait);
    } else if (!wait->once && err.kind != ERR_INPUT &&
               net_loop_now_ms(pool->loop) + POOL_RETRY_MS <= wait->give_up_ms) {
        wait->num_tried = 0;
        tick_start(&pool->loop->ticker, &wait->retry, POOL_RETRY_MS);
    } else {
        wait_refuse(wait, err, false);
    }
}

void pool_dial_failed(struct pool_dial *dial, struct err err)
{
    struct backend *backend = dial->backend;
    struct list waits, *node;
    bool several = pool_dial_take_waits(dial, &waits);
    pool_dial_end(dial);
    backend_refused(backend, several);
    counters_add(backend->pool->counters, COUNTER_UPSTREAM_FAILURES, 1);
    LOG_DEBUG_EVENT(backend->pool->log, "upstream_connect_failed", LOG_SLICE("upstream", backend->text),
                    LOG_ERR("error", err));
    while ((node = list_first(&waits))) {
        list_remove(node);
        wait_failed(wait_of(node), err);
    }
}

static void pool_dial_succeeded(struct backend *backend)
{
    backend_reached(backend);
    counters_add(backend->pool->counters, COUNTER_UPSTREAM_CONNECTS, 1);
}

void pool_dial_opened(struct pool_dial *dial, struct pool_h2_conn *session)
{
    struct backend *backend = dial->backend;
    struct list waits, *node;
    bool first = true;
    pool_dial_take_waits(dial, &waits);
    pool_dial_end(dial);
    pool_dial_succeeded(backend);
    for (; (node = list_first(&waits)); first = false) {
        struct pool_wait *wait = wait_of(node);
        struct upstream *upstream = pool_h2_take_from(session);
        list_remove(node);
        if (upstream)
            wait->done(wait, upstream, ERR_OK);
        else if (first)
            wait_failed(wait, err_make(ERR_STATE, 0, "HTTP/2: the backend takes no streams"));
        else
            wait_go_on(wait);
    }
}

/* It is one wait's, for all of its life or until it is idle. */
static void pool_dial_lent(struct pool_dial *dial, struct upstream *upstream)
{
    struct backend *backend = dial->backend;
    struct pool_wait *wait = wait_of(list_first(&dial->waits));
    struct list waits;
    dial->connected = true;
    pool_dial_take_waits(dial, &waits);
    pool_dial_end(dial);
    list_remove(&wait->node);
    pool_dial_succeeded(backend);
    if (backend->protocol == CONFIG_PROTOCOL_TCP) /* there is no other answer */
        pool_answered(backend);
    upstream->preamble = wait->preamble;
    wait->done(wait, upstream, ERR_OK);
}

static void pool_dial_connected(struct pool_dial *dial, int fd, const struct address *address)
{
    const struct pool_wait *wait = wait_of(list_first(&dial->waits));
    struct backend *backend = dial->backend;
    struct upstream *upstream = NULL;
    switch (backend->protocol) {
    case CONFIG_PROTOCOL_HTTP1: upstream = pool_h1_adopt(backend, fd, address, wait->config); break;
    case CONFIG_PROTOCOL_TCP:
        upstream = pool_raw_adopt(backend, fd, address->at.any.sa_family == AF_UNIX, wait->config);
        break;
    case CONFIG_PROTOCOL_HTTP2:
        dial->connected = pool_h2_adopt(backend, dial, fd, address, wait->config, buf_slice(&dial->announced));
        break;
    }
    if (upstream)
        pool_dial_lent(dial, upstream);
    else if (!dial->connected)
        pool_dial_failed(dial, err_make(ERR_STATE, 0, "connect"));
}

static void pool_dial_done(struct dial *dialed, int fd, const struct address *address, struct err err)
{
    struct pool_dial *dial = container_of(dialed, struct pool_dial, dial);
    if (err_is(err))
        pool_dial_failed(dial, err);
    else
        pool_dial_connected(dial, fd, address);
}

/* Tests alone. */
static void pool_simulated(struct deferred *deferred)
{
    struct pool_dial *dial = container_of(deferred, struct pool_dial, simulated);
    const struct pool_wait *wait = wait_of(list_first(&dial->waits));
    struct backend *backend = dial->backend;
    struct stream *stream = backend->pool->connect(backend->pool->connect_ctx);
    if (!stream) {
        pool_dial_failed(dial, err_make(ERR_STATE, 0, "connect"));
        return;
    }
    switch (backend->protocol) {
    case CONFIG_PROTOCOL_HTTP1: pool_dial_lent(dial, pool_h1_adopt_stream(backend, stream, wait->config)); break;
    case CONFIG_PROTOCOL_TCP: pool_dial_lent(dial, pool_raw_adopt_stream(backend, stream)); break;
    case CONFIG_PROTOCOL_HTTP2:
        dial->connected = true;
        pool_h2_adopt_stream(backend, dial, stream, wait->config, buf_slice(&dial->announced));
        break;
    }
}

static struct pool_dial *pool_dial_new(struct backend *backend, struct slice preamble)
{
    struct pool_dial *dial = MEM_NEW(struct pool_dial);
    dial->backend = backend;
    list_init(&dial->waits);
    list_init(&dial->node);
    buf_append_slice(&dial->announced, preamble);
    dial_init(&dial->dial, backend->pool->loop, pool_dial_done);
    deferred_init(&dial->simulated, pool_simulated);
    backend->num_open++;
    if (backend->protocol == CONFIG_PROTOCOL_HTTP2)
        list_append(&backend->shared_dials, &dial->node);
    return dial;
}

/* One of HTTP/2 that is under way and will have announced itself in just these bytes: it can be joined. */
struct pool_dial *pool_dial_shared(const struct backend *backend, struct slice preamble)
{
    LIST_EACH(&backend->shared_dials, node)
    {
        struct pool_dial *dial = container_of(node, struct pool_dial, node);
        if (slice_eq(buf_slice(&dial->announced), preamble))
            return dial;
    }
    return NULL;
}

static void pool_dial_start(struct pool_dial *dial, const struct config_upstream *upstream, uint64_t timeout_ms)
{
    struct pool *pool = dial->backend->pool;
    struct address path;
    if (pool->connect)
        deferred_start(pool->loop, &dial->simulated);
    else if (upstream->path.len == 0)
        dial_start(&dial->dial, pool->resolver, upstream->host, upstream->port, timeout_ms);
    else if (address_of_path(upstream->path, &path))
        dial_start_address(&dial->dial, &path, timeout_ms);
    else
        abort(); /* config refuses paths that do not fit */
}

/* ---- acquiring ---- */

static void wait_dial(struct pool_wait *wait, struct backend *backend, const struct config_upstream *upstream)
{
    uint32_t max_conns = wait->config->upstream.max_conns;
    struct pool_dial *dial = pool_dial_shared(backend, wait->preamble);
    if (!dial && max_conns && backend->num_open >= max_conns) { /* that is the room it has */
        pool_h1_drop_idle(backend);
        pool_h2_drop_idle(backend);
    }
    if (!dial) {
        dial = pool_dial_new(backend, wait->preamble);
        pool_dial_start(dial, upstream, (uint64_t)wait->config->upstream.connect_timeout_ms);
    }
    wait->dialing = dial;
    list_append(&dial->waits, &wait->node);
}

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
        wait_dial(wait, backend, wait->group->upstreams[index]);
    else if (backend->protocol == CONFIG_PROTOCOL_HTTP2 && wait->preamble.len == 0)
        pool_h2_spread(backend, wait->config, wait->group->upstreams[index]->port);
    return upstream;
}

static void wait_go_on(struct pool_wait *wait)
{
    struct upstream *upstream = wait_find(wait);
    if (upstream)
        wait->done(wait, upstream, ERR_OK);
}

static void wait_expired(struct tick *tick)
{
    struct pool_wait *wait = container_of(tick, struct pool_wait, retry);
    if (!wait->queued) {
        wait_go_on(wait);
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
    wait_leave_dial(wait);
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
        wait_go_on(wait);
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
