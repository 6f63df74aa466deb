#include "upstream/pool.h"

#include "base/mem.h"
#include "upstream/pool_internal.h"
#include "upstream/pool_raw.h"

#include <stdlib.h>

enum { POOL_RETRY_MS = 100 }; /* while a backend starts */

/* An attempt to connect, for one wait. */
struct pool_dial {
    struct dial dial;
    struct grave grave;
    struct pool_wait *wait;
    struct backend *backend;
    struct deferred simulated; /* tests alone */
};

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
    graveyard_bury(&pool->loop->graveyard, &pool->grave, pool_free);
    pool->closed(pool->closed_ctx);
}

struct pool *pool_new(const struct pool_options *options)
{
    struct pool *pool = MEM_NEW(struct pool);
    pool->loop = options->loop;
    pool->resolver = options->resolver;
    pool->counters = options->counters;
    pool->log = options->log;
    pool->connect = options->connect;
    pool->connect_ctx = options->connect_ctx;
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

/* ---- acquiring ---- */

static void pool_start_dial(struct pool_wait *wait);

static void pool_dial_free(struct grave *grave)
{
    mem_free(container_of(grave, struct pool_dial, grave));
}

static void pool_end_dial(struct pool_wait *wait)
{
    struct pool_dial *dial = wait->dialing;
    wait->dialing = NULL;
    if (!dial)
        return;
    dial_cancel(&dial->dial);
    deferred_stop(&dial->simulated);
    graveyard_bury(&wait->pool->loop->graveyard, &dial->grave, pool_dial_free);
}

static void pool_dial_failed(struct pool_wait *wait, struct backend *backend, struct err err)
{
    struct pool *pool = wait->pool;
    backend_refused(backend);
    counters_add(pool->counters, COUNTER_UPSTREAM_FAILURES, 1);
    LOG_DEBUG_EVENT(pool->log, "upstream_connect_failed", LOG_SLICE("upstream", backend->text), LOG_ERR("error", err));
    if (net_loop_now_ms(pool->loop) + POOL_RETRY_MS <= wait->give_up_ms)
        tick_start(&pool->loop->ticker, &wait->retry, POOL_RETRY_MS);
    else
        wait->done(wait, NULL, err);
}

static struct upstream *pool_adopt(struct pool_wait *wait, struct backend *backend, int fd, bool unix_socket)
{
    struct upstream *upstream = backend->protocol == CONFIG_PROTOCOL_TCP
                                    ? pool_raw_adopt(backend, fd, unix_socket, wait->config)
                                    : pool_h1_adopt(backend, fd, unix_socket, wait->config);
    if (upstream)
        upstream->preamble = wait->preamble;
    return upstream;
}

static struct upstream *pool_adopt_stream(struct pool_wait *wait, struct backend *backend, struct stream *stream)
{
    struct upstream *upstream = backend->protocol == CONFIG_PROTOCOL_TCP
                                    ? pool_raw_adopt_stream(backend, stream)
                                    : pool_h1_adopt_stream(backend, stream, wait->config);
    upstream->preamble = wait->preamble;
    return upstream;
}

static void pool_dial_done(struct dial *dialed, int fd, const struct address *address, struct err err)
{
    struct pool_dial *dial = container_of(dialed, struct pool_dial, dial);
    struct pool_wait *wait = dial->wait;
    struct backend *backend = dial->backend;
    struct upstream *upstream = NULL;
    pool_end_dial(wait);
    if (!err_is(err)) {
        upstream = pool_adopt(wait, backend, fd, address->at.any.sa_family == AF_UNIX);
        err = upstream ? ERR_OK : err_make(ERR_STATE, 0, "connect");
    }
    if (!upstream) {
        pool_dial_failed(wait, backend, err);
        return;
    }
    backend_reached(backend);
    counters_add(wait->pool->counters, COUNTER_UPSTREAM_CONNECTS, 1);
    wait->done(wait, upstream, ERR_OK);
}

/* Tests alone. */
static void pool_simulated(struct deferred *deferred)
{
    struct pool_dial *dial = container_of(deferred, struct pool_dial, simulated);
    struct pool_wait *wait = dial->wait;
    struct backend *backend = dial->backend;
    struct stream *stream = wait->pool->connect(wait->pool->connect_ctx);
    pool_end_dial(wait);
    if (stream)
        wait->done(wait, pool_adopt_stream(wait, backend, stream), ERR_OK);
    else
        pool_dial_failed(wait, backend, err_make(ERR_STATE, 0, "connect"));
}

static void pool_start_dial(struct pool_wait *wait)
{
    struct pool *pool = wait->pool;
    const struct config_upstream *upstream = backend_choose(pool, wait->group);
    struct pool_dial *dial = MEM_NEW(struct pool_dial);
    uint64_t timeout_ms = (uint64_t)wait->config->upstream.connect_timeout_ms;
    struct address path;
    dial->wait = wait;
    dial->backend = backend_of(pool, upstream);
    wait->dialing = dial;
    dial_init(&dial->dial, pool->loop, pool_dial_done);
    deferred_init(&dial->simulated, pool_simulated);
    if (pool->connect)
        deferred_start(pool->loop, &dial->simulated);
    else if (upstream->path.len == 0)
        dial_start(&dial->dial, pool->resolver, upstream->host, upstream->port, timeout_ms);
    else if (address_of_path(upstream->path, &path))
        dial_start_address(&dial->dial, &path, timeout_ms);
    else
        abort(); /* config refuses paths that do not fit */
}

static void pool_retry(struct tick *tick)
{
    pool_start_dial(container_of(tick, struct pool_wait, retry));
}

void pool_wait_init(struct pool_wait *wait, struct pool *pool,
                    void (*done)(struct pool_wait *wait, struct upstream *upstream, struct err err))
{
    *wait = (struct pool_wait){.pool = pool, .done = done};
    tick_init(&wait->retry, pool_retry);
}

struct upstream *pool_acquire(struct pool_wait *wait, const struct config *config, const struct config_group *group,
                              bool fresh_only)
{
    struct pool *pool = wait->pool;
    wait->config = config;
    wait->group = group;
    if (!fresh_only) {
        struct upstream *upstream = pool_h1_take(backend_of(pool, backend_choose(pool, group)), wait->preamble);
        if (upstream)
            return upstream;
    }
    wait->give_up_ms = net_loop_now_ms(pool->loop) + (uint64_t)config->upstream.wait_ms;
    pool_start_dial(wait);
    return NULL;
}

void pool_wait_cancel(struct pool_wait *wait)
{
    pool_end_dial(wait);
    tick_stop(&wait->retry);
}

void pool_close(struct pool *pool, void (*closed)(void *ctx), void *ctx)
{
    struct map_entry *entry;
    pool->closing = true;
    pool->closed = closed;
    pool->closed_ctx = ctx;
    for (size_t at = 0; (entry = map_next(&pool->backends, &at));)
        pool_h1_close_idle(entry->value);
    pool_maybe_end(pool);
}
