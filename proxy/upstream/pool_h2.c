#include "base/mem.h"
#include "upstream/h2_conn.h"
#include "upstream/pool_internal.h"

#include <unistd.h>

/* A connection of HTTP/2 to a backend. Freed in its stream's last event. */
struct pool_h2_conn {
    struct h2_conn conn;
    struct tcp_stream tcp;
    struct backend *backend;
    struct pool_dial *dial; /* while it opens */
    struct pool_place place;
    struct list node;     /* in backend->sessions until it is done */
    struct buf announced; /* what it said before all else: it serves those alone who would say the same */
};

/* A connection that is made to one more address of a backend's name: nobody waits for it. */
struct pool_h2_spread {
    struct dial dial;
    struct backend *backend;
    const struct config *config; /* held */
    struct grave grave;
};

static struct pool_h2_conn *session_of(struct h2_conn *conn)
{
    return container_of(conn, struct pool_h2_conn, conn);
}

static void session_opened(struct h2_conn *conn)
{
    struct pool_h2_conn *session = session_of(conn);
    struct pool_dial *dial = session->dial;
    session->dial = NULL;
    if (dial)
        pool_dial_opened(dial, session);
    else
        pool_room(session->backend->pool);
}

static void session_released(struct h2_conn *conn)
{
    struct backend *backend = session_of(conn)->backend;
    backend->num_busy--;
    pool_room(backend->pool);
}

static void session_log_not_http2(struct backend *backend, struct err err)
{
    if (err.kind == ERR_INPUT && !backend->not_http2)
        LOG_ERROR_EVENT(backend->pool->log, "upstream_not_http2", LOG_SLICE("upstream", backend->text),
                        LOG_STR("msg", err.what));
    backend->not_http2 = err.kind == ERR_INPUT;
}

static void session_done(struct h2_conn *conn, struct err err)
{
    struct pool_h2_conn *session = session_of(conn);
    struct pool_dial *dial = session->dial;
    list_remove(&session->node);
    session->backend->num_open--;
    session->dial = NULL;
    pool_room(session->backend->pool);
    if (!dial)
        return;
    session_log_not_http2(session->backend, err);
    pool_dial_failed(dial, err_is(err) ? err : err_make(ERR_STATE, 0, "the connection was closed while it opened"));
}

static void session_closed(struct h2_conn *conn)
{
    struct pool_h2_conn *session = session_of(conn);
    struct backend *backend = session->backend;
    buf_cleanup(&session->announced);
    mem_free(session);
    pool_conn_gone(backend);
}

static void session_open(struct pool_h2_conn *session, struct backend *backend, struct pool_dial *dial,
                         struct stream *stream, const struct config *config, struct slice preamble)
{
    session->backend = backend;
    session->dial = dial;
    buf_append_slice(&session->announced, preamble);
    session->conn.opened = session_opened;
    session->conn.released = session_released;
    session->conn.done = session_done;
    session->conn.closed = session_closed;
    list_append(&backend->sessions, &session->node);
    backend->num_conns++;
    backend->pool->num_conns++;
    h2_conn_open(&session->conn, backend->pool->loop, stream, (uint64_t)config->upstream.connect_timeout_ms,
                 config->upstream.max_idle ? config->upstream.idle_timeout_ms : 0);
    bool room = stream_write(stream, preamble); /* before the preface, which goes with the turn */
    (void)room;                                 /* some hundred bytes, the first ones */
}

bool pool_h2_adopt(struct backend *backend, struct pool_dial *dial, int fd, const struct address *address,
                   const struct config *config, struct slice preamble)
{
    struct pool_h2_conn *session = MEM_NEW(struct pool_h2_conn);
    bool unix_socket = address->at.any.sa_family == AF_UNIX;
    struct err err = tcp_stream_open(&session->tcp, backend->pool->loop, fd, unix_socket);
    if (err_is(err)) {
        close(fd);
        mem_free(session);
        return false;
    }
    session->place = backend_place(backend, address);
    session_open(session, backend, dial, &session->tcp.base, config, preamble);
    return true;
}

void pool_h2_adopt_stream(struct backend *backend, struct pool_dial *dial, struct stream *stream,
                          const struct config *config, struct slice preamble)
{
    session_open(MEM_NEW(struct pool_h2_conn), backend, dial, stream, config, preamble);
}

/* The one with the fewest requests; of equals the first, so that those behind it become idle and go. */
static struct pool_h2_conn *pool_h2_find(const struct backend *backend, struct slice preamble)
{
    struct pool_h2_conn *best = NULL;
    LIST_EACH(&backend->sessions, node)
    {
        struct pool_h2_conn *session = container_of(node, struct pool_h2_conn, node);
        bool fits = h2_conn_has_room(&session->conn) && slice_eq(buf_slice(&session->announced), preamble);
        if (fits && (!best || session->conn.num_requests < best->conn.num_requests))
            best = session;
    }
    return best;
}

static struct pool_h2_conn *pool_h2_find_idle(const struct backend *backend)
{
    LIST_EACH(&backend->sessions, node)
    {
        struct pool_h2_conn *session = container_of(node, struct pool_h2_conn, node);
        if (session->conn.state == H2C_OPEN && session->conn.num_requests == 0)
            return session;
    }
    return NULL;
}

bool pool_h2_has_room(const struct backend *backend, struct slice preamble)
{
    return pool_h2_find(backend, preamble) || pool_h2_find_idle(backend);
}

void pool_h2_drop_idle(struct backend *backend)
{
    struct pool_h2_conn *session = pool_h2_find_idle(backend);
    if (session)
        h2_conn_leave(&session->conn);
}

struct upstream *pool_h2_take_from(struct pool_h2_conn *session)
{
    struct backend *backend = session->backend;
    if (!h2_conn_has_room(&session->conn))
        return NULL;
    if (session->conn.used)
        counters_add(backend->pool->counters, COUNTER_UPSTREAM_REUSES, 1);
    backend->num_busy++;
    return h2_conn_call(&session->conn, backend, backend->text);
}

struct upstream *pool_h2_take(struct backend *backend, struct slice preamble)
{
    struct pool_h2_conn *session;
    while ((session = pool_h2_find(backend, preamble))) {
        if (backend_still_at(backend, &session->place))
            return pool_h2_take_from(session);
        h2_conn_leave(&session->conn);
    }
    return NULL;
}

/* ---- several addresses ---- */

enum { SPREAD_CHECK_MS = 1000 };

static void spread_bury(struct grave *grave)
{
    struct pool_h2_spread *spread = container_of(grave, struct pool_h2_spread, grave);
    config_unref(spread->config);
    mem_free(spread);
}

static void spread_end(struct pool_h2_spread *spread)
{
    struct backend *backend = spread->backend;
    backend->spread = NULL;
    dial_cancel(&spread->dial);
    graveyard_bury(&backend->pool->loop->graveyard, &spread->grave, spread_bury);
}

static void spread_done(struct dial *dial, int fd, const struct address *address, struct err err)
{
    struct pool_h2_spread *spread = container_of(dial, struct pool_h2_spread, dial);
    struct backend *backend = spread->backend;
    if (err_is(err) || !pool_h2_adopt(backend, NULL, fd, address, spread->config, SLICE_NONE)) {
        backend->num_open--;
        pool_room(backend->pool);
    } else {
        counters_add(backend->pool->counters, COUNTER_UPSTREAM_CONNECTS, 1);
    }
    spread_end(spread);
}

static bool backend_has_session_at(const struct backend *backend, const struct ip *ip)
{
    LIST_EACH(&backend->sessions, node)
    {
        if (memcmp(&container_of(node, struct pool_h2_conn, node)->place.ip, ip, sizeof *ip) == 0)
            return true;
    }
    return false;
}

/* An address of the name, of the family that is in use, to which there is no connection. */
static bool spread_address(struct backend *backend, struct address *out_address)
{
    const struct list *first = list_first(&backend->sessions);
    struct resolve_answer answer;
    struct ip ip;
    if (!first || !backend_addresses(backend, &answer))
        return false;
    bool v4 = ip_is_v4(&container_of(first, struct pool_h2_conn, node)->place.ip);
    for (size_t i = 0; i < answer.num; i++)
        if (address_ip(&answer.addresses[i], &ip) && ip_is_v4(&ip) == v4 && !backend_has_session_at(backend, &ip)) {
            *out_address = answer.addresses[i];
            return true;
        }
    return false;
}

void pool_h2_spread(struct backend *backend, const struct config *config, uint16_t port)
{
    struct pool *pool = backend->pool;
    uint64_t now_ms = net_loop_now_ms(pool->loop);
    bool full = config->upstream.max_conns && backend->num_open >= config->upstream.max_conns;
    struct address address;
    if (backend->num_busy < 2 || now_ms < backend->spread_checked_ms + SPREAD_CHECK_MS)
        return;
    backend->spread_checked_ms = now_ms;
    if (full || backend->spread || !list_empty(&backend->shared_dials) || !spread_address(backend, &address))
        return;
    address_set_port(&address, port);
    backend->spread = MEM_NEW(struct pool_h2_spread);
    backend->spread->backend = backend;
    backend->spread->config = config_ref(config);
    backend->num_open++;
    dial_init(&backend->spread->dial, pool->loop, spread_done);
    dial_start_address(&backend->spread->dial, &address, (uint64_t)config->upstream.connect_timeout_ms);
}

/* ---- the end ---- */

static void pool_h2_cancel_spread(struct backend *backend)
{
    if (!backend->spread)
        return;
    backend->num_open--;
    spread_end(backend->spread);
}

void pool_h2_close(struct backend *backend)
{
    pool_h2_cancel_spread(backend);
    LIST_EACH(&backend->sessions, node)
    h2_conn_close(&container_of(node, struct pool_h2_conn, node)->conn);
}

void pool_h2_leave(struct backend *backend)
{
    pool_h2_cancel_spread(backend);
    LIST_EACH(&backend->sessions, node)
    h2_conn_leave(&container_of(node, struct pool_h2_conn, node)->conn);
}
