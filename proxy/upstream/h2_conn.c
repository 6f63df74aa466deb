#include "upstream/h2_internal.h"

#include <stdlib.h>

enum {
    H2C_CONNECTION_WINDOW_BYTES = 16 * LIMIT_UPSTREAM_WINDOW_BYTES,
    H2C_PING_MS = 5000,      /* for its answer */
    H2C_COPIED_BYTES = 4096, /* a DATA frame up to this is copied behind the others: cheaper than parts of its own */
    H2C_MAX_ACKS = 100,      /* answers to PING and SETTINGS that wait to be sent: more is a flood */
    H2C_MAX_CONTINUATIONS = 16 * H2C_FRAME_HEAD_BYTES /* 16 a block; nghttp2 counts each piece of their frame heads */
};

static struct h2_conn *conn_of(struct sink *sink)
{
    return container_of(sink, struct h2_conn, sink);
}

/* ---- the end ---- */

static void conn_tell_done(struct h2_conn *conn)
{
    if (conn->done_told)
        return;
    conn->done_told = true;
    conn->done(conn, conn->failure);
}

static void conn_fail_requests(struct h2_conn *conn)
{
    struct err err = err_is(conn->failure) ? conn->failure : err_make(ERR_EOF, 0, "the connection ended");
    LIST_EACH(&conn->requests, node)
    {
        struct h2_call *call = container_of(node, struct h2_call, node);
        h2_call_fail(call, err, h2_call_progress(call));
    }
}

/* The one way to DONE; the stream is the caller's to end. */
static void conn_done(struct h2_conn *conn, struct err err)
{
    if (conn->state == H2C_DONE)
        return;
    conn->state = H2C_DONE;
    conn->failure = err;
    tick_stop(&conn->deadline);
    conn_fail_requests(conn);
    conn_tell_done(conn);
}

static void conn_break(struct h2_conn *conn, struct err err)
{
    if (conn->state == H2C_DONE)
        return;
    stream_reset(conn->stream);
    conn_done(conn, err);
}

void h2_conn_close(struct h2_conn *conn)
{
    if (conn->state == H2C_DONE)
        return;
    nghttp2_session_terminate_session(conn->session, NGHTTP2_NO_ERROR);
    h2_conn_send(conn);
    if (conn->state == H2C_DONE)
        return;
    stream_close(conn->stream);
    conn_done(conn, ERR_OK);
}

void h2_conn_leave(struct h2_conn *conn)
{
    if (conn->state == H2C_OPEN)
        conn->state = H2C_LEAVING;
    conn_tell_done(conn);
    h2_conn_turn_later(conn); /* closes it where it has no requests */
}

/* ---- sending ---- */

void h2_conn_write(struct h2_conn *conn)
{
    struct slice all[1 + 2 * H2C_DATA_FRAMES] = {buf_slice(&conn->out)};
    if (conn->out.len == 0 && conn->num_parts == 0)
        return;
    memcpy(&all[1], conn->parts, conn->num_parts * sizeof all[0]);
    if (!stream_writev(conn->stream, all, 1 + conn->num_parts))
        conn->full = true;
    conn->num_parts = 0;
    conn->out.len = 0;
}

static void conn_put(struct h2_conn *conn, const void *bytes, size_t len)
{
    if (conn->num_parts) /* in order: what is in parts comes behind `out` */
        h2_conn_write(conn);
    buf_append(&conn->out, bytes, len);
}

void h2_conn_put_data(struct h2_conn *conn, const uint8_t *frame_head, struct slice payload)
{
    if (payload.len <= H2C_COPIED_BYTES) {
        conn_put(conn, frame_head, H2C_FRAME_HEAD_BYTES);
        buf_append_slice(&conn->out, payload);
        return;
    }
    if (conn->num_parts == sizeof conn->parts / sizeof conn->parts[0])
        h2_conn_write(conn);
    char *head = conn->data_heads[conn->num_parts / 2];
    memcpy(head, frame_head, H2C_FRAME_HEAD_BYTES);
    conn->parts[conn->num_parts++] = slice_make(head, H2C_FRAME_HEAD_BYTES);
    conn->parts[conn->num_parts++] = payload;
}

void h2_conn_send(struct h2_conn *conn)
{
    ssize_t len = 0;
    if (conn->feeding || conn->sending || conn->state == H2C_DONE)
        return;
    conn->sending = true;
    while (!conn->full) {
        const uint8_t *bytes;
        len = nghttp2_session_mem_send(conn->session, &bytes);
        if (len <= 0)
            break;
        conn_put(conn, bytes, (size_t)len);
        if (conn->out.len > FLOW_HIGH_BYTES)
            h2_conn_write(conn);
    }
    h2_conn_write(conn);
    conn->sending = false;
    buf_cleanup(&conn->out); /* an idle connection holds no buffer */
    if (len < 0)
        conn_break(conn, err_make(ERR_STATE, (int)len, "HTTP/2: cannot send"));
}

void h2_conn_turn_later(struct h2_conn *conn)
{
    deferred_start(conn->loop, &conn->turn);
}

/* ---- deadlines ---- */

static void conn_tell(struct h2_conn *conn);

static void conn_arm_idle(struct h2_conn *conn)
{
    if (conn->state == H2C_OPEN && conn->num_requests == 0 && !conn->pinging)
        tick_start(&conn->loop->ticker, &conn->deadline, (uint64_t)conn->idle_timeout_ms);
}

static void conn_deadline(struct tick *tick)
{
    struct h2_conn *conn = container_of(tick, struct h2_conn, deadline);
    if (conn->state == H2C_OPENING)
        conn_break(conn, err_make(ERR_TIMEOUT, 0, "HTTP/2: no SETTINGS came"));
    else if (conn->pinging)
        conn_break(conn, err_make(ERR_TIMEOUT, 0, "HTTP/2: no answer to a PING"));
    else
        h2_conn_close(conn);
    conn_tell(conn);
}

void h2_conn_suspect(struct h2_conn *conn)
{
    if (conn->pinging || conn->state == H2C_OPENING || conn->state == H2C_DONE)
        return;
    conn->pinging = true;
    nghttp2_submit_ping(conn->session, NGHTTP2_FLAG_NONE, NULL);
    tick_start(&conn->loop->ticker, &conn->deadline, H2C_PING_MS);
    h2_conn_turn_later(conn);
}

/* Anything that comes shows that the server is there. */
static void conn_heard(struct h2_conn *conn)
{
    conn->heard_ms = net_loop_now_ms(conn->loop);
    if (!conn->pinging)
        return;
    conn->pinging = false;
    tick_stop(&conn->deadline);
    conn_arm_idle(conn);
}

/* ---- news, and the connection's own end ---- */

static void conn_tell(struct h2_conn *conn)
{
    struct list *node;
    while ((node = list_first(&conn->news)))
        h2_call_tell(container_of(node, struct h2_call, news));
}

static void conn_judge(struct h2_conn *conn)
{
    if (conn->state == H2C_DONE)
        return;
    if (conn->state == H2C_LEAVING && conn->num_requests == 0) {
        h2_conn_close(conn);
        return;
    }
    if (nghttp2_session_want_read(conn->session) || nghttp2_session_want_write(conn->session) || conn->full)
        return;
    /* nghttp2 has said GOAWAY and why: the server broke a rule of the connection */
    stream_close(conn->stream);
    conn_done(conn, err_make(ERR_INPUT, 502, "the backend broke the rules of HTTP/2"));
}

static void conn_tell_opened(struct h2_conn *conn)
{
    if (!conn->opened_due || conn->state == H2C_DONE)
        return;
    conn->opened_due = false;
    conn->opened(conn);
    conn_arm_idle(conn);
}

static void conn_settle(struct h2_conn *conn)
{
    h2_conn_send(conn);
    conn_tell_opened(conn);
    conn_tell(conn);
    h2_conn_send(conn); /* what the users said to it */
    conn_judge(conn);
    if (!list_empty(&conn->news))
        h2_conn_turn_later(conn);
}

static void conn_turn(struct deferred *deferred)
{
    conn_settle(container_of(deferred, struct h2_conn, turn));
}

/* ---- requests ---- */

bool h2_conn_has_room(const struct h2_conn *conn)
{
    if (conn->state != H2C_OPEN || conn->pinging || conn->num_requests >= LIMIT_UPSTREAM_STREAMS)
        return false;
    return conn->num_requests <
               nghttp2_session_get_remote_settings(conn->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS) &&
           nghttp2_session_check_request_allowed(conn->session);
}

void h2_conn_released(struct h2_conn *conn)
{
    conn->num_requests--;
    conn_arm_idle(conn);
    if (conn->num_requests == 0 && (conn->state == H2C_LEAVING || conn->idle_timeout_ms == 0)) {
        h2_conn_leave(conn);
    }
    conn->released(conn);
}

/* ---- the stream's events ---- */

/* A server of HTTP/1.1 answers the preface with its status line; no frame can begin so, it would be 4 MiB long. */
static bool conn_is_http1(const struct h2_conn *conn, struct slice in)
{
    return conn->state == H2C_OPENING && conn->heard_ms == 0 && in.len && in.ptr[0] == 'H';
}

static void conn_data(struct sink *sink, struct slice in)
{
    struct h2_conn *conn = conn_of(sink);
    if (conn->state == H2C_DONE)
        return;
    if (conn_is_http1(conn, in)) {
        conn_break(conn,
                   err_make(ERR_INPUT, 502, "the backend does not speak HTTP/2 with prior knowledge; use http://"));
        return;
    }
    conn_heard(conn);
    conn->feeding = true;
    ssize_t taken = nghttp2_session_mem_recv(conn->session, (const uint8_t *)in.ptr, in.len);
    conn->feeding = false;
    if (taken < 0)
        conn_break(conn, err_make(ERR_INPUT, 502, "the backend broke the rules of HTTP/2"));
    conn_settle(conn);
}

static void conn_ended(struct h2_conn *conn)
{
    bool opening = conn->state == H2C_OPENING;
    if (conn->state == H2C_DONE)
        return;
    stream_close(conn->stream);
    conn_done(conn, err_make(ERR_EOF, 0,
                             opening ? "the backend ended the connection before its SETTINGS: does it speak "
                                       "HTTP/2 with prior knowledge?"
                                     : "the backend ended the connection"));
    conn_tell(conn);
}

static void conn_eof(struct sink *sink)
{
    conn_ended(conn_of(sink));
}

static void conn_truncated(struct sink *sink)
{
    conn_ended(conn_of(sink));
}

static void conn_drained(struct sink *sink)
{
    struct h2_conn *conn = conn_of(sink);
    conn->full = false;
    conn_settle(conn);
}

static void conn_closed(struct sink *sink, struct err err)
{
    struct h2_conn *conn = conn_of(sink);
    conn_done(conn, err_is(err) ? err : err_make(ERR_EOF, 0, "the connection ended"));
    conn_tell(conn);
    deferred_stop(&conn->turn);
    tick_stop(&conn->deadline);
    nghttp2_session_del(conn->session);
    buf_cleanup(&conn->out);
    conn->closed(conn);
}

static const struct sink_ops conn_sink_ops = {
    .data = conn_data,
    .eof = conn_eof,
    .truncated = conn_truncated,
    .drained = conn_drained,
    .closed = conn_closed,
};

/* ---- frames of the connection ---- */

static int conn_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct h2_conn *conn = user_data;
    (void)session;
    if (frame->hd.type == NGHTTP2_SETTINGS && !(frame->hd.flags & NGHTTP2_FLAG_ACK) && conn->state == H2C_OPENING) {
        conn->state = H2C_OPEN;
        conn->opened_due = true; /* told when nghttp2 is off the stack */
        tick_stop(&conn->deadline);
    } else if (frame->hd.type == NGHTTP2_GOAWAY) {
        h2_conn_leave(conn);
    }
    return 0;
}

static int conn_on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    return frame->hd.stream_id == 0 ? conn_frame(session, frame, user_data)
                                    : h2_answer_on_frame(session, frame, user_data);
}

/* ---- the beginning ---- */

static void conn_make_session(struct h2_conn *conn)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    if (nghttp2_session_callbacks_new(&callbacks) != 0 || nghttp2_option_new(&option) != 0)
        abort(); /* only for want of memory */
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, conn_on_frame);
    h2_answer_callbacks(callbacks);
    h2_call_callbacks(callbacks);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_max_outbound_ack(option, H2C_MAX_ACKS);
    nghttp2_option_set_max_continuations(option, H2C_MAX_CONTINUATIONS);
    nghttp2_option_set_no_closed_streams(option, 1);
    if (nghttp2_session_client_new2(&conn->session, callbacks, conn, option) != 0)
        abort();
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
}

static void conn_submit_settings(struct h2_conn *conn)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, LIMIT_UPSTREAM_WINDOW_BYTES},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, LIMIT_RESPONSE_HEAD_BYTES},
    };
    if (nghttp2_submit_settings(conn->session, NGHTTP2_FLAG_NONE, settings, sizeof settings / sizeof settings[0]) !=
            0 ||
        nghttp2_session_set_local_window_size(conn->session, NGHTTP2_FLAG_NONE, 0, H2C_CONNECTION_WINDOW_BYTES) != 0)
        abort();
}

void h2_conn_open(struct h2_conn *conn, struct net_loop *loop, struct stream *stream, uint64_t open_timeout_ms,
                  int64_t idle_timeout_ms)
{
    conn->loop = loop;
    conn->stream = stream;
    conn->sink.ops = &conn_sink_ops;
    conn->idle_timeout_ms = idle_timeout_ms;
    list_init(&conn->requests);
    list_init(&conn->news);
    deferred_init(&conn->turn, conn_turn);
    tick_init(&conn->deadline, conn_deadline);
    conn_make_session(conn);
    conn_submit_settings(conn);
    stream->sink = &conn->sink;
    stream_read_start(stream);
    tick_start(&loop->ticker, &conn->deadline, open_timeout_ms);
    h2_conn_turn_later(conn);
}
