#include "core/admin.h"

#include "http/h1_reader.h"
#include "http/h1_writer.h"
#include "net/address.h"
#include "net/listener.h"
#include "net/tcp_stream.h"

#include <unistd.h>

enum { ADMIN_MAX_CONNS = 64, ADMIN_REQUEST_MS = 5000 };

struct admin {
    struct admin_options options;
    struct listener listener;
    struct conn_credit credit;
    struct list conns;
    bool listening;
    struct grave grave;
};

struct admin_conn {
    struct list node;
    struct admin *admin;
    struct tcp_stream tcp;
    struct sink sink;
    struct h1_reader reader;
    struct arena arena;
    struct tick deadline;
    bool answered;
};

static struct admin_conn *conn_of(struct sink *sink)
{
    return container_of(sink, struct admin_conn, sink);
}

static void admin_free(struct grave *grave)
{
    mem_free(container_of(grave, struct admin, grave));
}

static void admin_maybe_free(struct admin *admin)
{
    if (!admin->listening && list_empty(&admin->conns))
        graveyard_bury(&admin->options.loop->graveyard, &admin->grave, admin_free);
}

/* ---- one request ---- */

static void admin_send(struct admin_conn *conn, struct admin_answer *answer, bool with_body)
{
    struct buf out = {0};
    struct h1_framing framing = {.body = BODY_LENGTH, .length = answer->body.len, .connection = H1_CONNECTION_CLOSE};
    h1_write_status_line(&out, answer->status, SLICE_NONE);
    h1_write_field(&out, SLICE_LIT("Content-Type"), slice_str(answer->content_type));
    h1_write_field(&out, SLICE_LIT("Cache-Control"), SLICE_LIT("no-store"));
    h1_write_framing(&out, &framing);
    h1_write_end(&out);
    if (with_body)
        buf_append_slice(&out, buf_slice(&answer->body));
    bool room = stream_write(&conn->tcp.base, buf_slice(&out));
    (void)room; /* one answer, then the end */
    buf_cleanup(&out);
    buf_cleanup(&answer->body);
    conn->answered = true;
    stream_close(&conn->tcp.base);
}

static void admin_refuse(struct admin_conn *conn, unsigned status, const char *text)
{
    struct admin_answer answer = {.status = status, .content_type = "text/plain; charset=utf-8"};
    buf_append_str(&answer.body, text);
    admin_send(conn, &answer, true);
}

static bool admin_is_local(const struct admin_conn *conn)
{
    struct address peer;
    if (!address_of_peer(tcp_stream_fd(&conn->tcp), &peer))
        return false;
    if (peer.at.any.sa_family == AF_INET)
        return (ntohl(peer.at.v4.sin_addr.s_addr) >> 24) == 127;
    return peer.at.any.sa_family == AF_UNIX || IN6_IS_ADDR_LOOPBACK(&peer.at.v6.sin6_addr);
}

static void admin_answer(struct admin_conn *conn, const struct head *head)
{
    struct admin_answer answer = {.status = 200, .content_type = "text/plain; charset=utf-8"};
    struct slice target = head->target, path = slice_split(&target, '?');
    struct admin_options *options = &conn->admin->options;
    if (head->method != METHOD_GET && head->method != METHOD_HEAD)
        admin_refuse(conn, 405, "GET and HEAD only\n");
    else if (!options->get(options->ctx, path, admin_is_local(conn), &answer))
        admin_refuse(conn, 404, "not found; there are /livez /readyz /startupz /metrics /status\n");
    else
        admin_send(conn, &answer, head->method == METHOD_GET);
}

static void admin_data(struct sink *sink, struct slice in)
{
    struct admin_conn *conn = conn_of(sink);
    size_t consumed;
    if (conn->answered)
        return;
    enum h1_event event = h1_reader_feed(&conn->reader, in, &consumed);
    if (event == H1_HEAD)
        admin_answer(conn, conn->reader.head);
    else if (event == H1_ERROR)
        admin_refuse(conn, (unsigned)conn->reader.err.code, "bad request\n");
}

static void admin_end(struct sink *sink)
{
    stream_close(&conn_of(sink)->tcp.base);
}

static void admin_drained(struct sink *sink)
{
    (void)sink;
}

static void admin_conn_closed(struct sink *sink, struct err err)
{
    struct admin_conn *conn = conn_of(sink);
    struct admin *admin = conn->admin;
    (void)err;
    tick_stop(&conn->deadline);
    list_remove(&conn->node);
    conn_credit_release(&admin->credit);
    arena_cleanup(&conn->arena);
    mem_free(conn);
    admin_maybe_free(admin);
}

static const struct sink_ops admin_sink_ops = {
    .data = admin_data, .eof = admin_end, .truncated = admin_end, .drained = admin_drained, .closed = admin_conn_closed};

static void admin_expired(struct tick *tick)
{
    stream_reset(&container_of(tick, struct admin_conn, deadline)->tcp.base);
}

/* ---- the listener ---- */

static void admin_connection(struct listener *listener, int fd)
{
    struct admin *admin = container_of(listener, struct admin, listener);
    struct admin_conn *conn = MEM_NEW(struct admin_conn);
    if (err_is(tcp_stream_open(&conn->tcp, admin->options.loop, fd, listener->unix_socket))) {
        close(fd);
        conn_credit_release(&admin->credit);
        mem_free(conn);
        return;
    }
    conn->admin = admin;
    conn->sink.ops = &admin_sink_ops;
    conn->tcp.base.sink = &conn->sink;
    list_append(&admin->conns, &conn->node);
    h1_reader_init(&conn->reader, H1_REQUEST, &H1_REQUEST_LIMITS);
    h1_reader_begin(&conn->reader, &conn->arena);
    tick_init(&conn->deadline, admin_expired);
    tick_start(&admin->options.loop->ticker, &conn->deadline, ADMIN_REQUEST_MS);
    stream_read_start(&conn->tcp.base);
}

static void admin_listener_closed(struct listener *listener)
{
    struct admin *admin = container_of(listener, struct admin, listener);
    admin->listening = false;
    admin_maybe_free(admin);
}

struct err admin_new(const struct admin_options *options, struct admin **out_admin)
{
    struct admin *admin = MEM_NEW(struct admin);
    admin->options = *options;
    admin->credit.max = ADMIN_MAX_CONNS;
    list_init(&admin->conns);
    admin->listener.connection = admin_connection;
    admin->listener.closed = admin_listener_closed;
    struct err err =
        listener_open(&admin->listener, options->loop, options->fd, options->unix_socket, &admin->credit);
    if (err_is(err)) {
        close(options->fd);
        mem_free(admin);
        return err;
    }
    admin->listening = true;
    *out_admin = admin;
    return ERR_OK;
}

void admin_close(struct admin *admin)
{
    if (!admin)
        return;
    LIST_EACH(&admin->conns, node)
        stream_close(&container_of(node, struct admin_conn, node)->tcp.base);
    listener_close(&admin->listener);
}
