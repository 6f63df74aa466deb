#include "base/mem.h"
#include "http/h1_client.h"
#include "http/hop.h"
#include "upstream/pool_internal.h"

#include <unistd.h>

static const int64_t surplus_ms = 1000; /* above MAX_IDLE: what is in turn at a peak is not dialled again and again */
static const int64_t close_margin_ms = 1000; /* by which an idle connection is closed before its backend would */

/* A connection to a backend: idle in its list, or lent. Freed in its stream's last event. */
struct pool_conn {
    struct upstream base;
    struct h1_client client;
    struct tcp_stream tcp;
    struct backend *backend;
    struct pool_place place;
    struct list node;     /* in backend->idle while idle */
    struct buf announced; /* what it said before its first request: it serves those alone who would say the same */
    struct tick idle;
    int64_t idle_timeout_ms;
    uint32_t max_idle;
};

static const struct upstream_ops pool_h1_ops;

static struct pool_conn *conn_of(struct h1_client *client)
{
    return container_of(client, struct pool_conn, client);
}

static struct h1_client *client_of(struct upstream *upstream)
{
    return &container_of(upstream, struct pool_conn, base)->client;
}

/* ---- idle, and the end ---- */

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
    conn->backend->num_open--;
    pool_room(conn->backend->pool);
    stream_close(conn->client.stream); /* no effect where the client was reset */
}

static void conn_closed(struct h1_client *client, struct err err)
{
    struct pool_conn *conn = conn_of(client);
    struct backend *backend = conn->backend;
    (void)err;
    buf_cleanup(&conn->announced);
    mem_free(conn);
    pool_conn_gone(backend);
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
    int64_t safe_ms = said_ms < 2 * close_margin_ms ? said_ms / 2 : said_ms - close_margin_ms;
    return safe_ms < conn->idle_timeout_ms ? safe_ms : conn->idle_timeout_ms;
}

static void conn_idle(struct h1_client *client)
{
    struct pool_conn *conn = conn_of(client);
    int64_t idle_ms = conn_idle_ms(conn);
    struct backend *backend = conn->backend;
    backend->num_busy--;
    backend->num_idle++;
    list_prepend(&backend->idle, &conn->node);
    pool_room(backend->pool);
    if (conn->max_idle == 0 || backend->pool->closing || backend->retired || idle_ms == 0) {
        h1_client_close(client);
        return;
    }
    if (backend->num_idle > conn->max_idle && idle_ms > surplus_ms)
        idle_ms = surplus_ms;
    tick_start(&backend->pool->loop->ticker, &conn->idle, (uint64_t)idle_ms);
}

/* ---- new ones ---- */

static void conn_open(struct pool_conn *conn, struct backend *backend, struct stream *stream,
                      const struct config *config)
{
    conn->base = (struct upstream){.ops = &pool_h1_ops, .backend = backend, .backend_text = backend->text};
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

struct upstream *pool_h1_adopt(struct backend *backend, int fd, const struct address *address,
                               const struct config *config)
{
    struct pool_conn *conn = MEM_NEW(struct pool_conn);
    bool unix_socket = address->at.any.sa_family == AF_UNIX;
    struct err err = tcp_stream_open(&conn->tcp, backend->pool->loop, fd, unix_socket);
    if (err_is(err)) {
        close(fd);
        mem_free(conn);
        return NULL;
    }
    conn->place = backend_place(backend, address);
    conn_open(conn, backend, &conn->tcp.base, config);
    return &conn->base;
}

struct upstream *pool_h1_adopt_stream(struct backend *backend, struct stream *stream, const struct config *config)
{
    struct pool_conn *conn = MEM_NEW(struct pool_conn);
    conn_open(conn, backend, stream, config);
    return &conn->base;
}

/* It has not ended, says nothing that nobody asked for, and leads where the backend is. */
static bool conn_usable(struct pool_conn *conn)
{
    if (conn->backend->pool->connect)
        return true;
    return !tcp_stream_readable(&conn->tcp) && backend_still_at(conn->backend, &conn->place);
}

static struct pool_conn *backend_find_idle(struct backend *backend, struct slice preamble)
{
    LIST_EACH(&backend->idle, node)
    {
        struct pool_conn *conn = container_of(node, struct pool_conn, node);
        if (slice_eq(buf_slice(&conn->announced), preamble))
            return conn;
    }
    return NULL;
}

struct upstream *pool_h1_take(struct backend *backend, struct slice preamble)
{
    struct pool_conn *conn;
    while ((conn = backend_find_idle(backend, preamble))) {
        if (!conn_usable(conn)) {
            h1_client_close(&conn->client);
            continue;
        }
        conn_leave_idle(conn);
        backend->num_busy++;
        conn->base.reused = true;
        conn->base.preamble = SLICE_NONE; /* it was said */
        counters_add(backend->pool->counters, COUNTER_UPSTREAM_REUSES, 1);
        return &conn->base;
    }
    return NULL;
}

void pool_h1_drop_idle(struct backend *backend)
{
    if (!list_empty(&backend->idle))
        h1_client_close(&container_of(backend->idle.prev, struct pool_conn, node)->client);
}

void pool_h1_close_idle(struct backend *backend)
{
    LIST_EACH(&backend->idle, node)
    h1_client_close(&container_of(node, struct pool_conn, node)->client);
}

/* ---- one request ---- */

static void pool_h1_begin(struct upstream *upstream, struct http_user *user, struct arena *arena,
                          const struct upstream_request *request)
{
    struct h1_client *client = client_of(upstream);
    const struct head *head = request->head;
    struct h1_framing framing = hop_request_framing(head);
    buf_append_slice(h1_client_head_out(client), upstream->preamble);
    buf_append_slice(&container_of(upstream, struct pool_conn, base)->announced, upstream->preamble);
    h1_client_lend(client, user, arena, head->method, head->upgrade == UPGRADE_WEBSOCKET);
    h1_write_request_fields(h1_client_head_out(client), head, request->fields, &framing);
    h1_client_head_written(client, framing.body);
}

static bool pool_h1_body(struct upstream *upstream, struct slice bytes)
{
    return h1_client_body(client_of(upstream), bytes);
}

static void pool_h1_end(struct upstream *upstream, const struct fields *trailers)
{
    h1_client_end(client_of(upstream), trailers);
}

static void pool_h1_flush(struct upstream *upstream)
{
    h1_client_flush(client_of(upstream));
}

static void pool_h1_read_stop(struct upstream *upstream)
{
    h1_client_read_stop(client_of(upstream));
}

static void pool_h1_read_start(struct upstream *upstream)
{
    h1_client_read_start(client_of(upstream));
}

static void pool_h1_detach(struct upstream *upstream)
{
    h1_client_detach(client_of(upstream));
}

static void pool_h1_close(struct upstream *upstream)
{
    h1_client_close(client_of(upstream));
}

static const struct upstream_ops pool_h1_ops = {
    .begin = pool_h1_begin,
    .body = pool_h1_body,
    .end = pool_h1_end,
    .flush = pool_h1_flush,
    .read_stop = pool_h1_read_stop,
    .read_start = pool_h1_read_start,
    .detach = pool_h1_detach,
    .close = pool_h1_close,
};
