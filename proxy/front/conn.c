#include "front/conn.h"

#include "exchange/identity.h"
#include "exchange/route.h"
#include "front/h2_front.h"
#include "net/address.h"
#include "tls/tls_err.h"
#include "tls/tls_figures.h"
#include "tls/tls_select.h"

#include <stdio.h>
#include <unistd.h>

enum conn_front { CONN_FRONT_NONE, CONN_FRONT_H1, CONN_FRONT_H2, CONN_FRONT_RAW };

struct conn {
    struct list node;
    struct conn_env *env;
    struct tcp_stream tcp;
    struct tls_stream tls; /* where secure */
    struct sink sink;      /* of the top stream until a front takes it */
    union {
        struct h1_front h1;
        struct h2_front *h2; /* owned */
        struct raw_front raw;
    } front;
    enum conn_front front_kind; /* which of them has the events */
    struct exchange_client client;
    struct tick handshake;
    struct proxy_line_reader header;
    bool secure;
    bool header_due; /* a PROXY protocol header comes first */
    bool tried;      /* it spoke, or let the time pass: how it ends without a request is told */
    bool tls_opened;
    char peer[48], port[6];
    char *server_name;             /* owned; NULL: none */
    struct tls_identity *identity; /* owned; NULL: none */
};

static struct conn *conn_of(struct sink *sink)
{
    return container_of(sink, struct conn, sink);
}

/* ---- the end ---- */

static enum tls_ending conn_tls_ending(const struct conn *conn)
{
    if (!tick_armed(&conn->handshake))
        return TLS_ENDED_BY_TIME;
    return conn->tls.transport ? TLS_ENDED_BY_ERR : TLS_ENDED_AS_OTHER_PROTOCOL;
}

static void conn_closed(struct conn *conn, struct err err)
{
    struct conn_env *env = conn->env;
    bool handshake_failed = conn->secure && conn->front_kind == CONN_FRONT_NONE && conn->tried;
    enum tls_ending ending = conn_tls_ending(conn);
    tick_stop(&conn->handshake);
    counters_add(env->exchange->counters, COUNTER_CONNS_CLOSED, 1);
    if (handshake_failed) {
        tls_count_failure(env->exchange->counters, err, ending);
        LOG_DEBUG_EVENT(env->exchange->log, "handshake_failed", LOG_STR("client", conn->peer), LOG_ERR("error", err),
                        LOG_STR("reason", conn->tls.refusal ? conn->tls.refusal : tls_err_reason(err)));
    }
    list_remove(&conn->node);
    env->num_conns--;
    conn_credit_release(env->credit);
    proxy_line_reader_cleanup(&conn->header);
    if (conn->front_kind == CONN_FRONT_H2)
        h2_front_free(conn->front.h2);
    mem_free(conn->server_name);
    tls_identity_free(conn->identity);
    mem_free(conn);
    if (env->num_conns == 0 && env->emptied)
        env->emptied(env);
}

static void conn_front_closed(struct h1_front *front, struct err err)
{
    conn_closed(container_of(front, struct conn, front.h1), err);
}

static void conn_raw_closed(struct raw_front *front, struct err err)
{
    conn_closed(container_of(front, struct conn, front.raw), err);
}

static void conn_h2_closed(void *ctx, struct err err)
{
    conn_closed(ctx, err);
}

static void conn_sink_closed(struct sink *sink, struct err err)
{
    conn_closed(conn_of(sink), err);
}

static void conn_refuse_header(struct conn *conn, const char *why)
{
    struct exchange_env *env = conn->env->exchange;
    counters_add(env->counters, COUNTER_PROXY_LINES_REFUSED, 1);
    LOG_DEBUG_EVENT(env->log, "proxy_header_refused", LOG_STR("client", conn->peer), LOG_STR("reason", why));
    stream_close(&conn->tcp.base);
}

static void conn_sink_end(struct sink *sink)
{
    struct conn *conn = conn_of(sink);
    if (conn->header_due && conn->header.held.len)
        conn_refuse_header(conn, "the header was cut");
    else
        stream_close(&conn->tcp.base); /* left before it said anything: a load balancer asks whether we are there */
}

static void conn_sink_drained(struct sink *sink)
{
    (void)sink;
}

static void conn_handshake_expired(struct tick *tick)
{
    struct conn *conn = container_of(tick, struct conn, handshake);
    conn->tried = !conn->header_due;
    if (conn->header_due)
        conn_refuse_header(conn, "no header came in time");
    stream_reset(&conn->tcp.base);
}

/* ---- fronts ---- */

static void conn_open_h1(struct conn *conn, struct stream *stream)
{
    conn->front_kind = CONN_FRONT_H1;
    conn->front.h1.closed = conn_front_closed;
    h1_front_open(&conn->front.h1, stream, conn->env->exchange, &conn->client);
}

static void conn_open_h2(struct conn *conn)
{
    conn->front_kind = CONN_FRONT_H2;
    conn->front.h2 = h2_front_new(&conn->tls.base, conn->env->exchange, &conn->client, conn_h2_closed, conn);
}

static void conn_open_raw(struct conn *conn, const struct config_group *group)
{
    conn->front_kind = CONN_FRONT_RAW;
    conn->front.raw.closed = conn_raw_closed;
    conn->tcp.stall_ms = (uint64_t)conn->env->exchange->config->client.stream_idle_timeout_ms;
    raw_front_open(&conn->front.raw, &conn->tls.base, conn->env->exchange, &conn->client, group);
}

/* ---- TLS ---- */

bool conn_local_ip(const struct tls_stream *tls, struct ip *out_ip)
{
    const struct conn *conn = container_of(tls, const struct conn, tls);
    struct address ours;
    if (conn->client.ends.known)
        *out_ip = conn->client.ends.to.ip;
    return conn->client.ends.known ||
           (address_of_socket(tcp_stream_fd(&conn->tcp), &ours) && address_ip(&ours, out_ip));
}

void conn_unknown_name(const struct tls_stream *tls, struct slice name)
{
    const struct conn *conn = container_of(tls, const struct conn, tls);
    if (conn->env->wanted)
        conn->env->wanted(conn->env, name, conn->client.peer);
}

/* The handshake of TLS-ALPN-01 was all that there is to see: no front learns of it (ACME-79, ACME-81). */
static void conn_validated(struct conn *conn)
{
    char text[SNI_BYTES];
    struct exchange_env *env = conn->env->exchange;
    struct slice name = tls_select_name(&conn->tls, text);
    const struct certset_challenge *challenge = certset_find_alpn(env->certset, name);
    conn->tried = false; /* how it ends is of no interest any more */
    counters_add(env->counters, COUNTER_CHALLENGES_ANSWERED, 1);
    LOG_INFO_EVENT(env->log, "challenge_answered", LOG_SLICE("name", name), LOG_STR("client", conn->peer),
                   LOG_STR("challenge", "tls-alpn-01"));
    if (challenge && env->challenge_answered)
        env->challenge_answered(env, slice_str(challenge->token));
    stream_close(&conn->tls.base);
}

static void conn_established(struct tls_stream *tls)
{
    struct conn *conn = container_of(tls, struct conn, tls);
    char text[SNI_BYTES];
    tick_stop(&conn->handshake);
    conn->client.tls_version = tls_server_version(tls);
    conn->client.tls_cipher = tls_server_cipher(tls);
    conn->client.tls_resumed = tls_server_resumed(tls);
    conn->client.identity = conn->identity = tls_server_take_identity(tls);
    conn->client.alpn = tls_server_alpn(tls);
    tls_count_handshake(conn->env->exchange->counters, conn->client.tls_cipher, conn->client.tls_resumed);
    if (tls->validating) {
        conn_validated(conn);
        return;
    }
    struct slice name = tls_select_name(tls, text);
    if (name.len) {
        conn->server_name = mem_dup(name.ptr, name.len);
        conn->client.server_name = slice_make(conn->server_name, name.len);
    }
    const struct config_group *raw =
        route_raw(conn->env->exchange->config, conn->env->exchange->certset, conn->client.server_name);
    if (raw)
        conn_open_raw(conn, raw);
    else if (slice_eq(conn->client.alpn, SLICE_LIT("h2")))
        conn_open_h2(conn);
    else
        conn_open_h1(conn, &tls->base);
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

static void conn_first_bytes(struct conn *conn, struct slice bytes)
{
    bool tls = bytes.ptr[0] == 0x16; /* a handshake record */
    bool letter = bytes.ptr[0] >= 'A' && bytes.ptr[0] <= 'Z';
    conn->tried = true;
    if (tls)
        conn_open_tls(conn, bytes);
    else if (letter)
        conn_refuse_plain(conn);
    else
        stream_close(&conn->tcp.base);
}

/* ---- who it is: the socket's peer, or whom a trusted peer speaks for ---- */

static void conn_set_peer(struct conn *conn, const struct address *address)
{
    char text[ADDRESS_TEXT_BYTES];
    snprintf(conn->peer, sizeof conn->peer, "%.47s", address_ip_text(address, text));
    conn->client.peer = slice_str(conn->peer);
    conn->client.peer_port = address_port(address);
    identity_set_peer(&conn->client, address, &conn->env->exchange->config->identity.trusted_proxies);
}

/* What follows the header in the same read goes on to whoever takes the events now. */
static void conn_header_read(struct conn *conn, const struct proxy_line *line, struct slice rest)
{
    conn->header_due = false;
    if (line->known) {
        struct address from = address_of_ip(&line->from.ip, line->from.port);
        conn_set_peer(conn, &from);
        conn->client.ends = *line;
    }
    if (!conn->secure) {
        tick_stop(&conn->handshake);
        conn_open_h1(conn, &conn->tcp.base);
    }
    if (rest.len)
        conn->tcp.base.sink->ops->data(conn->tcp.base.sink, rest);
}

static void conn_header_bytes(struct conn *conn, struct slice in)
{
    struct proxy_line line;
    size_t used;
    const char *why;
    switch (proxy_line_feed(&conn->header, in, &line, &used, &why)) {
    case PROXY_LINE_MORE: return;
    case PROXY_LINE_DONE: conn_header_read(conn, &line, slice_skip(in, used)); return;
    case PROXY_LINE_ERROR: conn_refuse_header(conn, why); return;
    }
}

static void conn_sink_data(struct sink *sink, struct slice bytes)
{
    struct conn *conn = conn_of(sink);
    if (conn->header_due)
        conn_header_bytes(conn, bytes);
    else
        conn_first_bytes(conn, bytes);
}

static const struct sink_ops conn_sink_ops = {
    .data = conn_sink_data,
    .eof = conn_sink_end,
    .truncated = conn_sink_end,
    .drained = conn_sink_drained,
    .closed = conn_sink_closed,
};

/* For PROXY_PROTOCOL_OUT: the two ends as the client sees them. */
static void conn_learn_ends(struct conn *conn, const struct address *peer)
{
    struct proxy_line *ends = &conn->client.ends;
    struct address ours;
    ends->known = address_ip(peer, &ends->from.ip) && address_of_socket(tcp_stream_fd(&conn->tcp), &ours) &&
                  address_ip(&ours, &ends->to.ip);
    if (!ends->known)
        return;
    ends->from.port = address_port(peer);
    ends->to.port = address_port(&ours);
}

/* False: it has gone already, and nobody can tell who it was. */
static bool conn_describe_client(struct conn *conn)
{
    struct address peer;
    const struct config *config = conn->env->exchange->config;
    conn->client.secure = conn->secure;
    snprintf(conn->port, sizeof conn->port, "%u", conn->secure ? config->listen.https_public_port : 80u);
    conn->client.port_text = slice_str(conn->port);
    if (!address_of_peer(tcp_stream_fd(&conn->tcp), &peer))
        return false;
    conn_set_peer(conn, &peer);
    conn->header_due = config->identity.proxy_protocol_in && conn->client.trusted;
    if (config->identity.proxy_protocol_out != CONFIG_PROXY_OUT_OFF)
        conn_learn_ends(conn, &peer);
    return true;
}

void conn_open(struct conn_env *env, int fd, bool unix_socket, bool secure)
{
    struct conn *conn = MEM_NEW(struct conn);
    conn->env = env;
    conn->secure = secure;
    conn->sink.ops = &conn_sink_ops;
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
    conn->tcp.base.sink = &conn->sink;
    if (!conn_describe_client(conn)) {
        stream_reset(&conn->tcp.base);
    } else if (secure || conn->header_due) {
        tick_start(&env->exchange->loop->ticker, &conn->handshake, LIMIT_HANDSHAKE_MS);
        stream_read_start(&conn->tcp.base);
    } else {
        conn_open_h1(conn, &conn->tcp.base);
    }
}

void conn_drain_all(struct conn_env *env)
{
    LIST_EACH(&env->conns, node)
    {
        struct conn *conn = container_of(node, struct conn, node);
        switch (conn->front_kind) {
        case CONN_FRONT_H1: h1_front_drain(&conn->front.h1); break;
        case CONN_FRONT_H2: h2_front_drain(conn->front.h2); break;
        case CONN_FRONT_RAW:
        case CONN_FRONT_NONE: break;
        }
    }
}

/* Its requests in the works, tunnels among them. */
static size_t conn_busy(const struct conn *conn, size_t *out_num_tunnels)
{
    *out_num_tunnels = 0;
    switch (conn->front_kind) {
    case CONN_FRONT_H1: *out_num_tunnels = conn->front.h1.state == H1F_TUNNEL; return h1_front_busy(&conn->front.h1);
    case CONN_FRONT_H2: return h2_front_num_busy(conn->front.h2, out_num_tunnels);
    case CONN_FRONT_RAW: return *out_num_tunnels = conn->front.raw.state != RAW_ENDED;
    case CONN_FRONT_NONE: return 0;
    }
    return 0;
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
