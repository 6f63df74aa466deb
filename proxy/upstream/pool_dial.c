#include "base/mem.h"
#include "upstream/pool_internal.h"
#include "upstream/pool_raw.h"

#include <errno.h>
#include <stdlib.h>

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

/* A dial that nobody waits for ends, unless it is connected. */
static struct pool_wait *dial_first_wait(const struct pool_dial *dial)
{
    return wait_of(dial->waits.next);
}

/* ---- the end ---- */

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

void pool_dial_leave(struct pool_wait *wait)
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

/* ---- how it went ---- */

/* For want of our own descriptors, memory or ports: no word about the backend. */
static bool failure_is_ours(struct err err)
{
    if (err.kind != ERR_SYSTEM)
        return false;
    return err.code == EMFILE || err.code == ENFILE || err.code == ENOMEM || err.code == ENOBUFS ||
           err.code == EADDRNOTAVAIL;
}

void pool_dial_failed(struct pool_dial *dial, struct err err)
{
    struct backend *backend = dial->backend;
    struct list waits, *node;
    bool several = pool_dial_take_waits(dial, &waits);
    pool_dial_end(dial);
    if (!failure_is_ours(err))
        backend_refused(backend, several);
    counters_add(backend->pool->counters, COUNTER_UPSTREAM_FAILURES, 1);
    LOG_DEBUG_EVENT(backend->pool->log, "upstream_connect_failed", LOG_SLICE("upstream", backend->text),
                    LOG_ERR("error", err));
    while ((node = list_first(&waits))) {
        list_remove(node);
        pool_wait_failed(wait_of(node), err);
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
            pool_wait_failed(wait, err_make(ERR_STATE, 0, "HTTP/2: the backend takes no streams"));
        else
            pool_wait_go_on(wait);
    }
}

/* It is one wait's, for all of its life or until it is idle. */
static void pool_dial_lent(struct pool_dial *dial, struct upstream *upstream)
{
    struct backend *backend = dial->backend;
    struct list waits, *node;
    dial->connected = true;
    pool_dial_take_waits(dial, &waits);
    pool_dial_end(dial);
    pool_dial_succeeded(backend);
    if (backend->protocol == CONFIG_PROTOCOL_TCP) /* there is no other answer */
        pool_answered(backend);
    while ((node = list_first(&waits))) {
        struct pool_wait *wait = wait_of(node);
        list_remove(node);
        upstream->preamble = wait->preamble;
        wait->done(wait, upstream, ERR_OK);
    }
}

static void pool_dial_connected(struct pool_dial *dial, int fd, const struct address *address)
{
    const struct pool_wait *wait = dial_first_wait(dial);
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
    const struct pool_wait *wait = dial_first_wait(dial);
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

/* ---- the beginning ---- */

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

void pool_dial_for(struct pool_wait *wait, struct backend *backend, const struct config_upstream *upstream)
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
