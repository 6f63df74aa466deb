#include "client/https_conn.h"

#include "base/limits.h"
#include "client/https.h"

#include <unistd.h>

static const struct sink_ops opening_sink_ops;

static struct https_conn *conn_of_sink(struct sink *sink)
{
    return container_of(sink, struct https_conn, sink);
}

static struct stream *conn_stream(struct https_conn *conn)
{
    return conn->state == HTTPS_CONN_HANDSHAKING || (conn->state == HTTPS_CONN_OPEN && conn->way->secure)
               ? &conn->tls.base
               : &conn->tcp.base;
}

/* ---- the end ---- */

static void conn_free(struct grave *grave)
{
    struct https_conn *conn = container_of(grave, struct https_conn, grave);
    conn->ops->gone(conn);
    arena_cleanup(&conn->proxy_arena);
    mem_free(conn);
}

static void conn_bury(struct https_conn *conn)
{
    tick_stop(&conn->idle);
    graveyard_bury(&conn->way->loop->graveyard, &conn->grave, conn_free);
}

static void conn_client_closed(struct h1_client *client, struct err err)
{
    (void)err; /* whoever used it has been told */
    conn_bury(container_of(client, struct https_conn, client));
}

/* It did not come to OPEN. Its stream, if there is one, still has to close. */
static void conn_fail(struct https_conn *conn, struct err err, const char *refusal)
{
    if (conn->state == HTTPS_CONN_ENDING)
        return;
    conn->state = HTTPS_CONN_ENDING;
    conn->ops->failed(conn, err, refusal);
}

static void conn_opening_closed(struct sink *sink, struct err err)
{
    struct https_conn *conn = conn_of_sink(sink);
    bool tls_failed = conn->state == HTTPS_CONN_HANDSHAKING;
    conn_fail(conn, err_is(err) ? err : err_make(ERR_EOF, 0, "the connection ended"),
              tls_failed ? conn->tls.refusal : NULL);
    conn_bury(conn);
}

void https_conn_end(struct https_conn *conn)
{
    struct stream *stream = conn_stream(conn);
    switch (conn->state) {
    case HTTPS_CONN_DIALING:
        conn->state = HTTPS_CONN_ENDING;
        dial_cancel(&conn->dial);
        conn_bury(conn);
        return;
    case HTTPS_CONN_PROXYING:
    case HTTPS_CONN_HANDSHAKING:
        conn->state = HTTPS_CONN_ENDING;
        stream_reset(stream);
        return;
    case HTTPS_CONN_OPEN:
        h1_client_detach(&conn->client); /* no effect where it is idle */
        h1_client_close(&conn->client);  /* no effect where it was reset */
        return;
    case HTTPS_CONN_ENDING: return;
    }
}

/* ---- open ---- */

static void conn_client_done(struct h1_client *client)
{
    struct https_conn *conn = container_of(client, struct https_conn, client);
    struct stream *stream = conn_stream(conn);
    tick_stop(&conn->idle);
    conn->state = HTTPS_CONN_ENDING;
    stream_close(stream); /* no effect where it was reset */
    conn->ops->done(conn);
}

static void conn_client_idle(struct h1_client *client)
{
    struct https_conn *conn = container_of(client, struct https_conn, client);
    conn->ops->idle(conn);
}

static void conn_open(struct https_conn *conn)
{
    struct h1_limits limits = H1_RESPONSE_LIMITS;
    limits.body_bytes = conn->way->max_body_bytes ? conn->way->max_body_bytes : LIMIT_ACME_BODY_BYTES;
    conn->state = HTTPS_CONN_OPEN;
    conn->client.done = conn_client_done;
    conn->client.idle = conn_client_idle;
    conn->client.closed = conn_client_closed;
    h1_client_open(&conn->client, conn_stream(conn), &limits);
    conn->ops->open(conn);
}

static void conn_established(struct tls_stream *tls)
{
    conn_open(container_of(tls, struct https_conn, tls));
}

static void conn_secure(struct https_conn *conn)
{
    const struct https_conn_way *way = conn->way;
    if (!way->secure) {
        conn_open(conn);
        return;
    }
    conn->state = HTTPS_CONN_HANDSHAKING;
    conn->tls.base.sink = &conn->sink;
    tls_stream_open(&conn->tls, way->loop, &conn->tcp.base, tls_client_ssl(way->tls, way->host), conn_established);
}

/* ---- through a proxy ---- */

static void conn_ask_proxy(struct https_conn *conn)
{
    const struct https_conn_way *way = conn->way;
    struct buf out = {0};
    bool literal = way->host.len && memchr(way->host.ptr, ':', way->host.len);
    const char *form = literal ? "[%.*s]:%u" : "%.*s:%u";
    struct slice authority =
        arena_printf(&conn->proxy_arena, form, (int)way->host.len, way->host.ptr, (unsigned)way->port);
    conn->state = HTTPS_CONN_PROXYING;
    h1_write_request_line(&out, SLICE_LIT("CONNECT"), authority);
    h1_write_field(&out, SLICE_LIT("Host"), authority);
    h1_write_end(&out);
    h1_reader_init(&conn->proxy_reader, H1_RESPONSE, &H1_RESPONSE_LIMITS);
    /* An answer to CONNECT has no body where it matters, as one to HEAD has none (RFC 9110 §9.3.6); others are not read on. */
    h1_reader_begin_response(&conn->proxy_reader, &conn->proxy_arena, METHOD_HEAD, false);
    bool room = stream_write(&conn->tcp.base, buf_slice(&out));
    (void)room; /* one small head */
    buf_cleanup(&out);
    stream_read_start(&conn->tcp.base);
}

static void conn_refused_by_proxy(struct https_conn *conn, struct err err)
{
    conn_fail(conn, err, NULL);
    stream_reset(&conn->tcp.base);
}

static void conn_proxy_data(struct https_conn *conn, struct slice bytes)
{
    size_t consumed;
    enum h1_event event = h1_reader_feed(&conn->proxy_reader, bytes, &consumed);
    bytes = slice_skip(bytes, consumed);
    while (event == H1_HEAD && conn->proxy_reader.head->status < 200) {
        event = h1_reader_feed(&conn->proxy_reader, bytes, &consumed);
        bytes = slice_skip(bytes, consumed);
    }
    if (event == H1_NEED_MORE)
        return;
    if (event != H1_HEAD)
        conn_refused_by_proxy(conn, err_make(ERR_INPUT, 0, "the proxy's answer to CONNECT makes no sense"));
    else if (conn->proxy_reader.head->status / 100 != 2)
        conn_refused_by_proxy(conn, err_make(ERR_INPUT, conn->proxy_reader.head->status, "the proxy refused CONNECT"));
    else if (bytes.len) /* in TLS the client speaks first */
        conn_refused_by_proxy(conn, err_make(ERR_INPUT, 0, "the proxy sent bytes behind its answer to CONNECT"));
    else
        conn_secure(conn);
}

/* ---- until it is open ---- */

static void conn_opening_data(struct sink *sink, struct slice bytes)
{
    struct https_conn *conn = conn_of_sink(sink);
    if (conn->state == HTTPS_CONN_PROXYING)
        conn_proxy_data(conn, bytes);
}

static void conn_opening_eof(struct sink *sink)
{
    struct https_conn *conn = conn_of_sink(sink);
    if (conn->state == HTTPS_CONN_PROXYING)
        conn_refused_by_proxy(conn, err_make(ERR_EOF, 0, "the proxy ended the connection"));
}

static void conn_opening_drained(struct sink *sink)
{
    (void)sink; /* nothing is ever held back here */
}

static const struct sink_ops opening_sink_ops = {
    .data = conn_opening_data,
    .eof = conn_opening_eof,
    .truncated = conn_opening_eof,
    .drained = conn_opening_drained,
    .closed = conn_opening_closed,
};

static void conn_dialed(struct dial *dial, int fd, const struct address *address, struct err err)
{
    struct https_conn *conn = container_of(dial, struct https_conn, dial);
    (void)address;
    if (!err_is(err)) {
        err = tcp_stream_open(&conn->tcp, conn->way->loop, fd, false);
        if (err_is(err))
            close(fd);
    }
    if (err_is(err)) {
        conn_fail(conn, err, NULL);
        conn_bury(conn);
        return;
    }
    conn->tcp.base.sink = &conn->sink;
    if (conn->way->proxy)
        conn_ask_proxy(conn);
    else
        conn_secure(conn);
}

static void conn_idle_expired(struct tick *tick)
{
    h1_client_close(&container_of(tick, struct https_conn, idle)->client);
}

struct https_conn *https_conn_new(const struct https_conn_way *way, const struct https_conn_ops *ops, void *owner)
{
    struct https_conn *conn = MEM_NEW(struct https_conn);
    const struct https_proxy *proxy = way->proxy;
    conn->way = way;
    conn->ops = ops;
    conn->owner = owner;
    conn->sink.ops = &opening_sink_ops;
    list_init(&conn->node);
    tick_init(&conn->idle, conn_idle_expired);
    dial_init(&conn->dial, way->loop, conn_dialed);
    if (way->address)
        dial_start_address(&conn->dial, way->address, HTTPS_CONNECT_MS);
    else
        dial_start(&conn->dial, way->resolver, proxy ? proxy->host : way->host, proxy ? proxy->port : way->port,
                   HTTPS_CONNECT_MS);
    return conn;
}

void https_conn_rest(struct https_conn *conn)
{
    tick_start(&conn->way->loop->ticker, &conn->idle, HTTPS_IDLE_MS);
}

bool https_conn_wake(struct https_conn *conn)
{
    tick_stop(&conn->idle);
    if (conn->state != HTTPS_CONN_OPEN)
        return false;
    if (!tcp_stream_readable(&conn->tcp))
        return true;
    h1_client_close(&conn->client); /* it ended, or says something that nobody asked for */
    return false;
}

const char *https_conn_stage(const struct https_conn *conn)
{
    switch (conn->state) {
    case HTTPS_CONN_DIALING: return "connecting";
    case HTTPS_CONN_PROXYING: return "waiting for the proxy";
    case HTTPS_CONN_HANDSHAKING: return "in the TLS handshake";
    case HTTPS_CONN_OPEN:
        return conn->client.response_started ? "in the middle of the answer" : "waiting for the answer";
    case HTTPS_CONN_ENDING: return "ending";
    }
    return "";
}
