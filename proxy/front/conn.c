#include "front/conn.h"

#include "exchange/identity.h"
#include "front/h2_front.h"
#include "net/address.h"
#include "tls/tls_err.h"
#include "tls/tls_select.h"

#include <stdio.h>
#include <unistd.h>

struct conn {
    struct list node;
    struct conn_env *env;
    struct tcp_stream tcp;
    struct tls_stream tls; /* where secure */
    struct sink sink;      /* of the top stream until a front takes it */
    struct h1_front h1;
    struct h2_front *h2; /* NULL: not HTTP/2 */
    struct exchange_client client;
    struct tick handshake;
    bool secure;
    bool fronted; /* h1 or h2 has the events */
    bool tls_opened;
    char peer[ADDRESS_TEXT_BYTES], port[6];
    char *server_name; /* owned; NULL: none */
    struct tls_identity *identity; /* owned; NULL: none */
};

static struct conn *conn_of(struct sink *sink)
{
    return container_of(sink, struct conn, sink);
}

/* ---- the end ---- */

static void conn_closed(struct conn *conn, struct err err)
{
    struct conn_env *env = conn->env;
    bool handshake_failed = conn->secure && !conn->fronted;
    tick_stop(&conn->handshake);
    counters_add(env->exchange->counters, COUNTER_CONNS_CLOSED, 1);
    if (handshake_failed) {
        counters_add(env->exchange->counters, COUNTER_HANDSHAKES_FAILED, 1);
        LOG_DEBUG_EVENT(env->exchange->log, "handshake_failed", LOG_STR("client", conn->peer), LOG_ERR("error", err),
                        LOG_STR("reason", conn->tls.refusal ? conn->tls.refusal : tls_err_reason(err)));
    }
    list_remove(&conn->node);
    env->num_conns--;
    conn_credit_release(env->credit);
    h2_front_free(conn->h2);
    mem_free(conn->server_name);
    tls_identity_free(conn->identity);
    mem_free(conn);
    if (env->num_conns == 0 && env->emptied)
        env->emptied(env);
}

static void conn_front_closed(struct h1_front *front, struct err err)
{
    conn_closed(container_of(front, struct conn, h1), err);
}

static void conn_h2_closed(void *ctx, struct err err)
{
    conn_closed(ctx, err);
}

static void conn_sink_closed(struct sink *sink, struct err err)
{
    conn_closed(conn_of(sink), err);
}

static void conn_sink_end(struct sink *sink)
{
    stream_close(&conn_of(sink)->tcp.base); /* left before it said anything */
}

static void conn_sink_drained(struct sink *sink)
{
    (void)sink;
}

static void conn_handshake_expired(struct tick *tick)
{
    stream_reset(&container_of(tick, struct conn, handshake)->tcp.base);
}

/* ---- TLS ---- */

static void conn_established(struct tls_stream *tls)
{
    struct conn *conn = container_of(tls, struct conn, tls);
    struct counters *counters = conn->env->exchange->counters;
    char text[SNI_BYTES];
    struct slice name;
    tick_stop(&conn->handshake);
    conn->client.tls_version = tls_server_version(tls);
    conn->client.tls_cipher = tls_server_cipher(tls);
    conn->client.tls_resumed = tls_server_resumed(tls);
    conn->client.identity = conn->identity = tls_server_take_identity(tls);
    conn->client.alpn = tls_server_alpn(tls);
    counters_add(counters, conn->client.tls_resumed ? COUNTER_HANDSHAKES_RESUMED : COUNTER_HANDSHAKES_FULL, 1);
    if (tls_select_normalise(tls_server_name(tls), text, &name)) {
        conn->server_name = mem_dup(name.ptr, name.len);
        conn->client.server_name = slice_make(conn->server_name, name.len);
    }
    conn->fronted = true;
    if (slice_eq(conn->client.alpn, SLICE_LIT("h2")))
        conn->h2 = h2_front_new(&tls->base, conn->env->exchange, &conn->client, conn_h2_closed, conn);
    else
        h1_front_open(&conn->h1, &tls->base, conn->env->exchange, &conn->client);
}

static const struct sink_ops conn_sink_ops;

static void conn_open_tls(struct conn *conn, struct slice first)
{
    conn->tls_opened = true;
    conn->tls.base.sink = &conn->sink;
    tls_stream_open(&conn->tls, conn->env->exchange->loop, &conn->tcp.base, tls_server_ssl(conn->env->tls),
                    conn_established);
    conn->tcp.base.sink->ops->data(conn->tcp.base.sink, first);
}

/* ---- the first bytes: is it what this listener speaks? (HARDENING R15) ---- */

static void conn_refuse_plain(struct conn *conn)
{
    static const char answer[] =
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n"
        "Connection: close\r\n\r\nThis port speaks HTTPS. Please use https:// in the address.\n";
    bool room = stream_write(&conn->tcp.base, slice_str(answer));
    (void)room; /* the last bytes of this connection */
    stream_close(&conn->tcp.base);
}

static void conn_sink_data(struct sink *sink, struct slice bytes)
{
    struct conn *conn = conn_of(sink);
    bool tls = bytes.ptr[0] == 0x16; /* a handshake record */
    bool letter = bytes.ptr[0] >= 'A' && bytes.ptr[0] <= 'Z';
    if (conn->secure && tls)
        conn_open_tls(conn, bytes);
    else if (conn->secure && letter)
        conn_refuse_plain(conn);
    else
        stream_close(&conn->tcp.base);
}

static const struct sink_ops conn_sink_ops = {
    .data = conn_sink_data,
    .eof = conn_sink_end,
    .truncated = conn_sink_end,
    .drained = conn_sink_drained,
    .closed = conn_sink_closed,
};

static void conn_set_peer(struct conn *conn, const struct address *address)
{
    address_ip_text(address, conn->peer);
    conn->client.peer = slice_str(conn->peer);
    conn->client.peer_port = address_port(address);
    identity_set_peer(&conn->client, address, &conn->env->exchange->config->identity.trusted_proxies);
}

static void conn_describe_client(struct conn *conn)
{
    struct address peer;
    const struct config *config = conn->env->exchange->config;
    conn->client.secure = conn->secure;
    snprintf(conn->port, sizeof conn->port, "%u", conn->secure ? config->listen.https_public_port : 80u);
    conn->client.port_text = slice_str(conn->port);
    if (address_of_peer(tcp_stream_fd(&conn->tcp), &peer))
        conn_set_peer(conn, &peer);
}

void conn_open(struct conn_env *env, int fd, bool unix_socket, bool secure)
{
    struct conn *conn = MEM_NEW(struct conn);
    conn->env = env;
    conn->secure = secure;
    conn->sink.ops = &conn_sink_ops;
    conn->h1.closed = conn_front_closed;
    tick_init(&conn->handshake, conn_handshake_expired);
    struct err err = tcp_stream_open(&conn->tcp, env->exchange->loop, fd, unix_socket);
    if (err_is(err)) {
        close(fd);
        conn_credit_release(env->credit);
        mem_free(conn);
        return;
    }
    list_append(&env->conns, &conn->node);
    env->num_conns++;
    counters_add(env->exchange->counters, COUNTER_CONNS_ACCEPTED, 1);
    conn_describe_client(conn);
    if (secure) {
        conn->tcp.base.sink = &conn->sink;
        tick_start(&env->exchange->loop->ticker, &conn->handshake, LIMIT_HANDSHAKE_MS);
        stream_read_start(&conn->tcp.base);
    } else {
        conn->fronted = true;
        h1_front_open(&conn->h1, &conn->tcp.base, env->exchange, &conn->client);
    }
}

void conn_drain_all(struct conn_env *env)
{
    LIST_EACH(&env->conns, node)
    {
        struct conn *conn = container_of(node, struct conn, node);
        if (conn->h2)
            h2_front_drain(conn->h2);
        else if (conn->fronted)
            h1_front_drain(&conn->h1);
    }
}

/* Its requests in the works, tunnels among them. */
static size_t conn_busy(const struct conn *conn, size_t *out_num_tunnels)
{
    *out_num_tunnels = 0;
    if (conn->h2)
        return h2_front_num_busy(conn->h2, out_num_tunnels);
    *out_num_tunnels = conn->fronted && conn->h1.state == H1F_TUNNEL;
    return conn->fronted && h1_front_busy(&conn->h1);
}

void conn_reset_all(struct conn_env *env)
{
    LIST_EACH(&env->conns, node)
    stream_reset(&container_of(node, struct conn, node)->tcp.base);
}

size_t conn_num_busy(const struct conn_env *env, size_t *out_num_tunnels)
{
    size_t num = 0, tunnels = 0;
    for (const struct list *node = env->conns.next; node != &env->conns; node = node->next) {
        const struct conn *conn = container_of(node, const struct conn, node);
        size_t conn_tunnels;
        num += conn_busy(conn, &conn_tunnels);
        tunnels += conn_tunnels;
    }
    *out_num_tunnels = tunnels;
    return num - tunnels;
}
