#include "upstream/pool.h"

#include "net/dial.h"
#include "net/tcp_stream.h"

#include <stdlib.h>
#include <unistd.h>

enum {
    POOL_RETRY_MS = 100,        /* while a backend starts */
    POOL_CLOSE_MARGIN_MS = 1000 /* by which an idle connection is closed before its backend would */
};

/* A connection to a backend: idle in its list, or lent. Freed in its stream's last event. */
struct pool_conn {
    struct h1_client client;
    struct tcp_stream tcp;
    struct backend *backend;
    struct list node;  /* in backend->idle while idle */
    struct tick idle;
    int64_t idle_timeout_ms;
    uint32_t max_idle;
};

/* An attempt to connect, for one wait. */
struct pool_dial {
    struct dial dial;
    struct grave grave;
    struct pool_wait *wait;
    struct backend *backend;
    struct deferred simulated; /* tests alone */
};

/* One per upstream text; outlives reloads. */
struct backend {
    struct pool *pool;
    struct slice text;
    struct list idle; /* the most recently used first */
    size_t num_idle, num_busy, num_conns;
    bool refused;     /* the last attempt failed */
    struct pool_reach reach;
};

struct pool {
    struct net_loop *loop;
    struct resolver *resolver;
    struct counters *counters;
    struct log_ring *log;
    struct stream *(*connect)(void *ctx);
    void *connect_ctx;
    struct map backends; /* text to struct backend */
    size_t num_conns;
    bool closing;
    struct deferred emptied;
    void (*closed)(void *ctx);
    void *closed_ctx;
    struct grave grave;
};

static struct pool_conn *conn_of(struct h1_client *client)
{
    return container_of(client, struct pool_conn, client);
}

/* ---- the pool ---- */

static void pool_free(struct grave *grave)
{
    struct pool *pool = container_of(grave, struct pool, grave);
    struct map_entry *entry;
    for (size_t at = 0; (entry = map_next(&pool->backends, &at));)
        mem_free(entry->value);
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

static struct backend *pool_backend(struct pool *pool, const struct config_upstream *upstream)
{
    struct backend *backend = map_get(&pool->backends, upstream->text);
    if (backend)
        return backend;
    backend = MEM_NEW(struct backend);
    backend->pool = pool;
    list_init(&backend->idle);
    map_put(&pool->backends, upstream->text, backend);
    struct map_entry *entry;
    for (size_t at = 0; (entry = map_next(&pool->backends, &at));) /* the map owns the keys' bytes, and may move them */
        ((struct backend *)entry->value)->text = entry->key;
    return backend;
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

/* ---- connections ---- */

static void conn_leave_idle(struct pool_conn *conn)
{
    if (list_empty(&conn->node))
        return;
    list_remove(&conn->node);
    conn->backend->num_idle--;
    tick_stop(&conn->idle);
}

static void conn_done(struct h1_client *client)
{
    struct pool_conn *conn = conn_of(client);
    if (list_empty(&conn->node))
        conn->backend->num_busy--;
    conn_leave_idle(conn);
    stream_close(conn->client.stream); /* no effect where the client was reset */
}

static void conn_closed(struct h1_client *client, struct err err)
{
    struct pool_conn *conn = conn_of(client);
    struct pool *pool = conn->backend->pool;
    (void)err;
    conn->backend->num_conns--;
    pool->num_conns--;
    mem_free(conn);
    pool_maybe_end(pool);
}

static void conn_idle_expired(struct tick *tick)
{
    h1_client_close(&container_of(tick, struct pool_conn, idle)->client);
}

/* Before the backend closes it: what it says less a second, since a request may be under way to it by then. */
static int64_t conn_idle_ms(const struct pool_conn *conn)
{
    int64_t said_ms = conn->client.keep_ms;
    if (said_ms < 0)
        return conn->idle_timeout_ms;
    int64_t safe_ms = said_ms < 2 * POOL_CLOSE_MARGIN_MS ? said_ms / 2 : said_ms - POOL_CLOSE_MARGIN_MS;
    return safe_ms < conn->idle_timeout_ms ? safe_ms : conn->idle_timeout_ms;
}

static void conn_idle(struct h1_client *client)
{
    struct pool_conn *conn = conn_of(client);
    int64_t idle_ms = conn_idle_ms(conn);
    struct backend *backend = conn->backend;
    backend->reach.reached_ms = net_loop_now_ms(backend->pool->loop);
    backend->num_busy--;
    backend->num_idle++;
    list_prepend(&backend->idle, &conn->node);
    if (backend->num_idle > conn->max_idle || backend->pool->closing || idle_ms == 0)
        h1_client_close(client);
    else
        tick_start(&backend->pool->loop->ticker, &conn->idle, (uint64_t)idle_ms);
}

static void conn_open(struct pool_conn *conn, struct backend *backend, struct stream *stream,
                      const struct config *config)
{
    conn->backend = backend;
    conn->idle_timeout_ms = config->upstream.idle_timeout_ms;
    conn->max_idle = config->upstream.max_idle;
    list_init(&conn->node);
    tick_init(&conn->idle, conn_idle_expired);
    conn->client.done = conn_done;
    conn->client.idle = conn_idle;
    conn->client.closed = conn_closed;
    backend->num_conns++;
    backend->num_busy++;
    backend->pool->num_conns++;
    h1_client_open(&conn->client, stream, &H1_RESPONSE_LIMITS);
}

static struct pool_conn *conn_new(struct backend *backend, int fd, bool unix_socket, const struct config *config)
{
    struct pool_conn *conn = MEM_NEW(struct pool_conn);
    struct err err = tcp_stream_open(&conn->tcp, backend->pool->loop, fd, unix_socket);
    if (err_is(err)) {
        close(fd);
        mem_free(conn);
        return NULL;
    }
    conn_open(conn, backend, &conn->tcp.base, config);
    return conn;
}

/* ---- acquiring ---- */

static struct h1_client *backend_take_idle(struct backend *backend)
{
    struct list *node;
    while ((node = list_first(&backend->idle))) {
        struct pool_conn *conn = container_of(node, struct pool_conn, node);
        if (!backend->pool->connect && tcp_stream_readable(&conn->tcp)) { /* it ended, or says something that nobody asked for */
            h1_client_close(&conn->client);
            continue;
        }
        conn_leave_idle(conn);
        backend->num_busy++;
        counters_add(backend->pool->counters, COUNTER_UPSTREAM_REUSES, 1);
        return &conn->client;
    }
    return NULL;
}

/* The backend with the fewest requests; of equals the first that did not fail last. */
static const struct config_upstream *pool_choose(struct pool *pool, const struct config_group *group)
{
    const struct config_upstream *best = NULL;
    size_t best_load = SIZE_MAX;
    for (size_t i = 0; i < group->num_upstreams; i++) {
        const struct backend *backend = pool_backend(pool, group->upstreams[i]);
        size_t load = backend->num_busy + (backend->refused ? SIZE_MAX / 2 : 0);
        if (load < best_load) {
            best_load = load;
            best = group->upstreams[i];
        }
    }
    return best;
}

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
    backend->refused = true;
    backend->reach.refused_ms = net_loop_now_ms(pool->loop);
    counters_add(pool->counters, COUNTER_UPSTREAM_FAILURES, 1);
    LOG_DEBUG_EVENT(pool->log, "upstream_connect_failed", LOG_SLICE("upstream", backend->text), LOG_ERR("error", err));
    if (net_loop_now_ms(pool->loop) + POOL_RETRY_MS <= wait->give_up_ms)
        tick_start(&pool->loop->ticker, &wait->retry, POOL_RETRY_MS);
    else
        wait->done(wait, NULL, false, err);
}

static void pool_dial_done(struct dial *dialed, int fd, const struct address *address, struct err err)
{
    struct pool_dial *dial = container_of(dialed, struct pool_dial, dial);
    struct pool_wait *wait = dial->wait;
    struct backend *backend = dial->backend;
    struct pool_conn *conn = NULL;
    pool_end_dial(wait);
    if (!err_is(err)) {
        conn = conn_new(backend, fd, address->at.any.sa_family == AF_UNIX, wait->config);
        err = conn ? ERR_OK : err_make(ERR_STATE, 0, "connect");
    }
    if (!conn) {
        pool_dial_failed(wait, backend, err);
        return;
    }
    backend->refused = false;
    backend->reach.reached_ms = net_loop_now_ms(wait->pool->loop);
    counters_add(wait->pool->counters, COUNTER_UPSTREAM_CONNECTS, 1);
    wait->done(wait, &conn->client, false, ERR_OK);
}

/* Tests alone. */
static void pool_simulated(struct deferred *deferred)
{
    struct pool_dial *dial = container_of(deferred, struct pool_dial, simulated);
    struct pool_wait *wait = dial->wait;
    struct backend *backend = dial->backend;
    struct stream *stream = wait->pool->connect(wait->pool->connect_ctx);
    pool_end_dial(wait);
    if (!stream) {
        pool_dial_failed(wait, backend, err_make(ERR_STATE, 0, "connect"));
        return;
    }
    struct pool_conn *conn = MEM_NEW(struct pool_conn);
    conn_open(conn, backend, stream, wait->config);
    wait->done(wait, &conn->client, false, ERR_OK);
}

static void pool_start_dial(struct pool_wait *wait)
{
    struct pool *pool = wait->pool;
    const struct config_upstream *upstream = pool_choose(pool, wait->group);
    struct pool_dial *dial = MEM_NEW(struct pool_dial);
    uint64_t timeout_ms = (uint64_t)wait->config->upstream.connect_timeout_ms;
    struct address path;
    dial->wait = wait;
    dial->backend = pool_backend(pool, upstream);
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
                    void (*done)(struct pool_wait *wait, struct h1_client *client, bool reused, struct err err))
{
    *wait = (struct pool_wait){.pool = pool, .done = done};
    tick_init(&wait->retry, pool_retry);
}

struct h1_client *pool_acquire(struct pool_wait *wait, const struct config *config, const struct config_group *group,
                               bool fresh_only)
{
    struct pool *pool = wait->pool;
    wait->config = config;
    wait->group = group;
    if (!fresh_only) {
        struct h1_client *client = backend_take_idle(pool_backend(pool, pool_choose(pool, group)));
        if (client)
            return client;
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

struct slice pool_backend_text(const struct h1_client *client)
{
    return container_of(client, struct pool_conn, client)->backend->text;
}

void pool_close(struct pool *pool, void (*closed)(void *ctx), void *ctx)
{
    struct map_entry *entry;
    pool->closing = true;
    pool->closed = closed;
    pool->closed_ctx = ctx;
    for (size_t at = 0; (entry = map_next(&pool->backends, &at));) {
        struct backend *backend = entry->value;
        LIST_EACH(&backend->idle, node)
            h1_client_close(&container_of(node, struct pool_conn, node)->client);
    }
    pool_maybe_end(pool);
}
