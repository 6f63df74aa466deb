#include "core/admin.h"

#include "http/h1_reader.h"
#include "http/h1_writer.h"
#include "net/address.h"
#include "net/listener.h"
#include "net/tcp_stream.h"

#include <unistd.h>

enum { ADMIN_MAX_CONNS = 64, ADMIN_REQUEST_MS = 5000 };

#define ADMIN_TEXT "text/plain; charset=utf-8"

struct admin {
    struct admin_options options;
    struct listener listener;
    struct conn_credit credit;
    struct list conns;
    bool listening;
    bool closing; /* whoever answers may be gone */
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
    struct admin_answer answer;
    struct deferred go_on; /* a long answer is written in several turns */
    bool answering, answered;
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

static void admin_write_head(struct buf *out, const struct admin_answer *answer)
{
    struct h1_framing framing = {.body = BODY_LENGTH, .length = answer->body.len, .connection = H1_CONNECTION_CLOSE};
    h1_write_status_line(out, answer->status, SLICE_NONE);
    h1_write_field(out, SLICE_LIT("Content-Type"), slice_str(answer->content_type));
    h1_write_field(out, SLICE_LIT("Cache-Control"), SLICE_LIT("no-store"));
    h1_write_field(out, SLICE_LIT("X-Content-Type-Options"), SLICE_LIT("nosniff"));
    buf_append_slice(out, buf_slice(&answer->fields));
    h1_write_framing(out, &framing);
    h1_write_end(out);
}

static void admin_send(struct admin_conn *conn, bool with_body)
{
    struct buf head = {0};
    admin_write_head(&head, &conn->answer);
    struct slice parts[] = {buf_slice(&head), buf_slice(&conn->answer.body)};
    bool room = stream_writev(&conn->tcp.base, parts, with_body ? 2 : 1);
    (void)room; /* one answer, then the end */
    buf_cleanup(&head);
    buf_cleanup(&conn->answer.fields);
    buf_cleanup(&conn->answer.body);
    conn->answered = true;
    stream_close(&conn->tcp.base);
}

static void admin_refuse(struct admin_conn *conn, unsigned status)
{
    conn->answer = (struct admin_answer){.status = status, .content_type = ADMIN_TEXT};
    buf_append_str(&conn->answer.body, "bad request\n");
    admin_send(conn, true);
}

static enum admin_peer admin_peer_of(const struct admin_conn *conn)
{
    struct address peer;
    if (conn->admin->options.control)
        return ADMIN_PEER_CONTROL;
    if (!address_of_peer(tcp_stream_fd(&conn->tcp), &peer))
        return ADMIN_PEER_REMOTE;
    if (peer.at.any.sa_family == AF_UNIX)
        return ADMIN_PEER_UNIX;
    bool loopback = peer.at.any.sa_family == AF_INET ? (ntohl(peer.at.v4.sin_addr.s_addr) >> 24) == 127
                                                     : IN6_IS_ADDR_LOOPBACK(&peer.at.v6.sin6_addr);
    return loopback ? ADMIN_PEER_LOOPBACK : ADMIN_PEER_REMOTE;
}

static void admin_step(struct admin_conn *conn)
{
    const struct head *head = conn->reader.head;
    struct slice target = head->target, path = slice_split(&target, '?');
    struct admin_request request = {.head = head, .path = path, .peer = admin_peer_of(conn)};
    const struct admin_options *options = &conn->admin->options;
    options->answer(options->ctx, &request, &conn->answer);
    if (conn->answer.more)
        deferred_start(options->loop, &conn->go_on);
    else
        admin_send(conn, head->method != METHOD_HEAD);
}

static void admin_go_on(struct deferred *deferred)
{
    admin_step(container_of(deferred, struct admin_conn, go_on));
}

static void admin_begin(struct admin_conn *conn)
{
    conn->answering = true;
    conn->answer = (struct admin_answer){.status = 200, .content_type = ADMIN_TEXT};
    admin_step(conn);
}

static void admin_data(struct sink *sink, struct slice in)
{
    struct admin_conn *conn = conn_of(sink);
    size_t consumed;
    if (conn->answering || conn->answered || conn->admin->closing)
        return;
    enum h1_event event = h1_reader_feed(&conn->reader, in, &consumed);
    if (event == H1_HEAD)
        admin_begin(conn);
    else if (event == H1_ERROR)
        admin_refuse(conn, (unsigned)conn->reader.err.code);
}

/* Who has asked may end its side: the answer goes out all the same. */
static void admin_end(struct sink *sink)
{
    struct admin_conn *conn = conn_of(sink);
    if (!conn->answering)
        stream_close(&conn->tcp.base);
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
    deferred_stop(&conn->go_on);
    buf_cleanup(&conn->answer.fields);
    buf_cleanup(&conn->answer.body);
    list_remove(&conn->node);
    conn_credit_release(&admin->credit);
    arena_cleanup(&conn->arena);
    mem_free(conn);
    admin_maybe_free(admin);
}

static const struct sink_ops admin_sink_ops = {.data = admin_data,
                                               .eof = admin_end,
                                               .truncated = admin_end,
                                               .drained = admin_drained,
                                               .closed = admin_conn_closed};

static void admin_expired(struct tick *tick)
{
    struct admin_conn *conn = container_of(tick, struct admin_conn, deadline);
    deferred_stop(&conn->go_on);
    stream_reset(&conn->tcp.base);
}

/* ---- the listener ---- */

static void admin_connection(struct listener *listener, int fd)
{
    struct admin *admin = container_of(listener, struct admin, listener);
    struct admin_conn *conn = MEM_NEW(struct admin_conn);
    if (admin->closing || err_is(tcp_stream_open(&conn->tcp, admin->options.loop, fd, listener->unix_socket))) {
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
    deferred_init(&conn->go_on, admin_go_on);
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
    struct err err = listener_open(&admin->listener, options->loop, options->fd, options->unix_socket, &admin->credit);
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
    admin->closing = true; /* closing the listener accepts what waits there */
    LIST_EACH(&admin->conns, node)
    {
        struct admin_conn *conn = container_of(node, struct admin_conn, node);
        deferred_stop(&conn->go_on);
        stream_close(&conn->tcp.base);
    }
    listener_close(&admin->listener);
}
