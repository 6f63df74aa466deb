#include "net/tcp_stream.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

enum {
    KEEPALIVE_IDLE_S = 60,
    WRITE_BROKEN_READ_MS = 5000 /* how long nothing may come behind a failed write */
};

struct tcp_write {
    uv_write_t req;
    size_t len;
    char bytes[];
};

static const struct stream_ops tcp_stream_ops;

static struct tcp_stream *tcp_of(const struct stream *stream)
{
    return container_of(stream, struct tcp_stream, base);
}

static size_t tcp_queued_bytes(const struct tcp_stream *tcp)
{
    return tcp->queue.len + (tcp->in_flight ? tcp->uv.stream.write_queue_size : 0);
}

/* ---- the end ---- */

static void tcp_closed(uv_handle_t *handle)
{
    struct tcp_stream *tcp = handle->data;
    tcp->state = TCP_STREAM_CLOSED;
    buf_cleanup(&tcp->queue);
    tcp->base.sink->ops->closed(tcp->base.sink, tcp->failure);
}

/* The one close path: everybody who detects the end comes here; twice is fine. */
static void tcp_finish(struct tcp_stream *tcp, struct err failure, bool abortive)
{
    if (tcp->state >= TCP_STREAM_CLOSING)
        return;
    tcp->state = TCP_STREAM_CLOSING;
    tcp->failure = failure;
    outbuf_forget(&tcp->loop->outbuf, &tcp->base);
    tick_stop(&tcp->stall);
    tick_stop(&tcp->broken);
    if (!abortive || tcp->uv.handle.type != UV_TCP || uv_tcp_close_reset(&tcp->uv.tcp, tcp_closed) != 0)
        uv_close(&tcp->uv.handle, tcp_closed);
}

static void tcp_fail(struct tcp_stream *tcp, struct err failure)
{
    bool ours = tcp->state == TCP_STREAM_LINGERING; /* we had closed: nobody is told of a failure in the linger */
    tcp_finish(tcp, ours ? ERR_OK : failure, false);
}

/* ---- reading ---- */

static void tcp_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out_buf)
{
    struct tcp_stream *tcp = handle->data;
    (void)suggested;
    *out_buf = uv_buf_init(tcp->loop->read_bytes, READ_BUFFER_BYTES);
}

/* libuv says EOF for POLLHUP behind a short read, even where the peer has reset the connection: an answer until close
 * that was cut would pass for a whole one. 0: an orderly end. */
static int tcp_socket_error(const struct tcp_stream *tcp)
{
    int error = 0;
    socklen_t len = sizeof error;
    int fd = tcp_stream_fd(tcp);
    return fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 ? error : 0;
}

static void tcp_read_eof(struct tcp_stream *tcp)
{
    int error = tcp->write_broken ? 0 : tcp_socket_error(tcp);
    if (error) {
        tcp_fail(tcp, err_make(ERR_UV, uv_translate_sys_error(error), "read"));
        return;
    }
    tcp->eof_seen = true;
    uv_read_stop(&tcp->uv.stream);
    if (tcp->state == TCP_STREAM_LINGERING)
        tcp_finish(tcp, ERR_OK, false);
    else if (tcp->write_broken) /* the failed write took the socket's error: this may be a reset, and is no end */
        tcp_finish(tcp, tcp->failure, false);
    else
        tcp->base.sink->ops->eof(tcp->base.sink);
}

static void tcp_linger_data(struct tcp_stream *tcp, size_t len)
{
    tcp->lingered_bytes += len;
    if (tcp->lingered_bytes > LIMIT_LINGER_BYTES)
        tcp_finish(tcp, ERR_OK, false);
}

/* Behind a failed write an answer may still come, as long as it moves. */
static void tcp_arm_broken(struct tcp_stream *tcp)
{
    if (tcp->write_broken && tcp->state == TCP_STREAM_OPEN)
        tick_start(&tcp->loop->ticker, &tcp->broken, WRITE_BROKEN_READ_MS);
}

static void tcp_data(struct tcp_stream *tcp, struct slice bytes)
{
    tcp_arm_broken(tcp);
    tcp->base.sink->ops->data(tcp->base.sink, bytes);
}

static void tcp_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
    struct tcp_stream *tcp = stream->data;
    if (tcp->state >= TCP_STREAM_CLOSING || nread == 0)
        return;
    if (nread == UV_EOF)
        tcp_read_eof(tcp);
    else if (nread < 0)
        tcp_fail(tcp, err_make(ERR_UV, (int)nread, "read"));
    else if (tcp->state == TCP_STREAM_LINGERING)
        tcp_linger_data(tcp, (size_t)nread);
    else
        tcp_data(tcp, slice_make(buf->base, (size_t)nread));
}

static void tcp_read_start(struct stream *stream)
{
    struct tcp_stream *tcp = tcp_of(stream);
    if (tcp->reading || tcp->state != TCP_STREAM_OPEN)
        return;
    tcp->reading = true;
    if (tcp->eof_seen)
        return;
    tcp_arm_broken(tcp);
    int status = uv_read_start(&tcp->uv.stream, tcp_alloc, tcp_read);
    if (status < 0)
        tcp_fail(tcp, err_make(ERR_UV, status, "start reading"));
}

static void tcp_read_stop(struct stream *stream)
{
    struct tcp_stream *tcp = tcp_of(stream);
    if (!tcp->reading || tcp->state != TCP_STREAM_OPEN)
        return;
    tcp->reading = false;
    uv_read_stop(&tcp->uv.stream);
}

/* ---- writing ---- */

static void tcp_flush_queue(struct tcp_stream *tcp);

static void tcp_send_fin(struct tcp_stream *tcp)
{
    if (!tcp->shutdown_wanted || tcp->shutdown_done || tcp_queued_bytes(tcp) > 0)
        return;
    tcp->shutdown_done = true;
    if (!tcp->write_broken)
        shutdown(tcp_stream_fd(tcp), SHUT_WR); /* fails only where the peer has gone already: reading tells */
    if (tcp->state == TCP_STREAM_LINGERING && (tcp->eof_seen || tcp->write_broken))
        tcp_finish(tcp, ERR_OK, false);
}

static void tcp_write_failed(struct tcp_stream *tcp, int status)
{
    tcp->write_broken = true;
    buf_cleanup(&tcp->queue);
    tick_stop(&tcp->stall);
    if (tcp->state == TCP_STREAM_OPEN && !tcp->eof_seen) {
        tcp->failure = err_make(ERR_UV, status, "write");
        tcp_arm_broken(tcp); /* also where reading is stopped for now: its consumer may be slow */
    } else {
        tcp_fail(tcp, err_make(ERR_UV, status, "write"));
    }
}

static void tcp_broken_expired(struct tick *tick)
{
    struct tcp_stream *tcp = container_of(tick, struct tcp_stream, broken);
    tcp_fail(tcp, tcp->failure);
}

static void tcp_arm_stall(struct tcp_stream *tcp)
{
    if (tcp->stall_ms)
        tick_start(&tcp->loop->ticker, &tcp->stall, tcp->stall_ms);
}

/* A reader that takes nothing for stall_ms; slow ones that take something are fine. */
static void tcp_stall_expired(struct tick *tick)
{
    struct tcp_stream *tcp = container_of(tick, struct tcp_stream, stall);
    size_t unsent = tcp->in_flight ? tcp->uv.stream.write_queue_size : 0;
    if (tcp->state == TCP_STREAM_LINGERING && unsent == 0) {
        tcp_finish(tcp, ERR_OK, false);
    } else if (unsent >= tcp->stall_unsent_bytes) {
        tcp_finish(tcp, err_make(ERR_TIMEOUT, 0, "write: the peer takes nothing"), true);
    } else {
        tcp->stall_unsent_bytes = unsent;
        tcp_arm_stall(tcp);
    }
}

static void tcp_written(uv_write_t *req, int status)
{
    struct tcp_write *write = container_of(req, struct tcp_write, req);
    struct tcp_stream *tcp = req->data;
    mem_free(write);
    tcp->in_flight = NULL;
    if (tcp->state >= TCP_STREAM_CLOSING)
        return;
    if (status < 0) {
        tcp_write_failed(tcp, status);
        return;
    }
    tick_stop(&tcp->stall);
    tcp_flush_queue(tcp);
    if (tcp->full && tcp_queued_bytes(tcp) < FLOW_LOW_BYTES && tcp->state == TCP_STREAM_OPEN) {
        tcp->full = false;
        tcp->base.sink->ops->drained(tcp->base.sink);
    }
    if (tcp->state < TCP_STREAM_CLOSING)
        tcp_send_fin(tcp);
    if (tcp->state == TCP_STREAM_LINGERING && tcp->shutdown_done)
        tick_start(&tcp->loop->ticker, &tcp->stall, LIMIT_LINGER_MS);
}

/* Gives the queue to the loop, in one piece that owns its bytes. */
static void tcp_flush_queue(struct tcp_stream *tcp)
{
    if (tcp->in_flight || tcp->queue.len == 0)
        return;
    struct tcp_write *write = mem_alloc(sizeof *write + tcp->queue.len);
    write->len = tcp->queue.len;
    memcpy(write->bytes, tcp->queue.ptr, write->len);
    buf_cleanup(&tcp->queue);
    write->req.data = tcp;
    uv_buf_t buf = uv_buf_init(write->bytes, (unsigned)write->len);
    int status = uv_write(&write->req, &tcp->uv.stream, &buf, 1, tcp_written);
    if (status < 0) {
        mem_free(write);
        tcp_write_failed(tcp, status);
        return;
    }
    tcp->in_flight = write;
    tcp->stall_unsent_bytes = tcp->uv.stream.write_queue_size;
    tcp_arm_stall(tcp);
}

enum { TCP_MAX_PARTS = 8 };

/* Tries the socket; returns how many bytes it took. */
static size_t tcp_try_write(struct tcp_stream *tcp, const struct slice *parts, size_t num_parts)
{
    uv_buf_t bufs[TCP_MAX_PARTS];
    unsigned num_bufs = 0;
    for (size_t i = 0; i < num_parts && num_bufs < TCP_MAX_PARTS; i++)
        if (parts[i].len)
            bufs[num_bufs++] = uv_buf_init((char *)parts[i].ptr, (unsigned)parts[i].len);
    if (num_bufs == 0)
        return 0;
    int status = uv_try_write(&tcp->uv.stream, bufs, num_bufs);
    if (status >= 0)
        return (size_t)status;
    if (status != UV_EAGAIN)
        tcp_write_failed(tcp, status);
    return 0;
}

static bool tcp_writev(struct stream *stream, const struct slice *parts, size_t num_parts)
{
    struct tcp_stream *tcp = tcp_of(stream);
    outbuf_flush_stream(&tcp->loop->outbuf, stream);
    if (tcp->state > TCP_STREAM_LINGERING || tcp->write_broken || tcp->shutdown_done)
        return true; /* nobody reads it any more; `closed` is on its way or reading brings the end */
    size_t taken = tcp_queued_bytes(tcp) == 0 ? tcp_try_write(tcp, parts, num_parts) : 0;
    if (tcp->write_broken || tcp->state > TCP_STREAM_LINGERING)
        return true;
    for (size_t i = 0; i < num_parts; i++) {
        size_t skip = taken < parts[i].len ? taken : parts[i].len;
        taken -= skip;
        buf_append_slice(&tcp->queue, slice_skip(parts[i], skip));
    }
    tcp_flush_queue(tcp);
    bool over = tcp_queued_bytes(tcp) > FLOW_HIGH_BYTES;
    tcp->full = tcp->full || over;
    return !over;
}

/* ---- ending ---- */

static void tcp_shutdown(struct stream *stream)
{
    struct tcp_stream *tcp = tcp_of(stream);
    outbuf_flush_stream(&tcp->loop->outbuf, stream);
    if (tcp->state != TCP_STREAM_OPEN)
        return;
    tcp->shutdown_wanted = true;
    tcp_send_fin(tcp);
}

static void tcp_close(struct stream *stream)
{
    struct tcp_stream *tcp = tcp_of(stream);
    outbuf_flush_stream(&tcp->loop->outbuf, stream);
    if (tcp->state != TCP_STREAM_OPEN)
        return;
    tcp->state = TCP_STREAM_LINGERING;
    tcp->shutdown_wanted = true;
    tick_stop(&tcp->broken);
    if (tcp->stall_ms != LIMIT_WRITE_STALL_MS) { /* patience ends here */
        tcp->stall_ms = LIMIT_WRITE_STALL_MS;
        if (tcp->in_flight)
            tcp_arm_stall(tcp);
    }
    tcp_send_fin(tcp);
    if (tcp->eof_seen && tcp->shutdown_done)
        tcp_finish(tcp, ERR_OK, false);
    if (tcp->state != TCP_STREAM_LINGERING)
        return;
    if (!tcp->eof_seen && !tcp->reading && uv_read_start(&tcp->uv.stream, tcp_alloc, tcp_read) < 0)
        tcp_finish(tcp, ERR_OK, false);
    else if (tcp->shutdown_done)
        tick_start(&tcp->loop->ticker, &tcp->stall, LIMIT_LINGER_MS);
}

static void tcp_reset(struct stream *stream)
{
    tcp_finish(tcp_of(stream), ERR_OK, true);
}

static size_t tcp_queued(const struct stream *stream)
{
    return tcp_queued_bytes(tcp_of(stream));
}

static const struct stream_ops tcp_stream_ops = {
    .read_start = tcp_read_start,
    .read_stop = tcp_read_stop,
    .writev = tcp_writev,
    .shutdown = tcp_shutdown,
    .close = tcp_close,
    .reset = tcp_reset,
    .queued_bytes = tcp_queued,
};

/* ---- the beginning ---- */

static void tcp_set_options(struct tcp_stream *tcp)
{
    if (tcp->uv.handle.type != UV_TCP)
        return;
    uv_tcp_nodelay(&tcp->uv.tcp, 1); /* best effort, both: a peer that has gone fails them */
    uv_tcp_keepalive(&tcp->uv.tcp, 1, KEEPALIVE_IDLE_S);
}

struct err tcp_stream_open(struct tcp_stream *tcp, struct net_loop *loop, int fd, bool unix_socket)
{
    *tcp = (struct tcp_stream){
        .base = {.ops = &tcp_stream_ops}, .loop = loop, .state = TCP_STREAM_NEW, .stall_ms = LIMIT_WRITE_STALL_MS};
    tick_init(&tcp->stall, tcp_stall_expired);
    tick_init(&tcp->broken, tcp_broken_expired);
    int status = unix_socket ? uv_pipe_init(loop->uv, &tcp->uv.pipe, 0) : uv_tcp_init(loop->uv, &tcp->uv.tcp);
    if (status < 0)
        return err_make(ERR_UV, status, "make a socket handle");
    tcp->uv.handle.data = tcp;
    status = unix_socket ? uv_pipe_open(&tcp->uv.pipe, fd) : uv_tcp_open(&tcp->uv.tcp, fd);
    if (status < 0)
        abort(); /* a connected socket of the right kind is always taken: a bug of ours */
    tcp->state = TCP_STREAM_OPEN;
    tcp_set_options(tcp);
    return ERR_OK;
}

int tcp_stream_fd(const struct tcp_stream *tcp)
{
    uv_os_fd_t fd = -1;
    return uv_fileno(&tcp->uv.handle, &fd) == 0 ? fd : -1;
}

bool tcp_stream_readable(const struct tcp_stream *tcp)
{
    char byte;
    int fd = tcp_stream_fd(tcp);
    if (fd < 0 || tcp->state != TCP_STREAM_OPEN || tcp->eof_seen)
        return true;
    ssize_t got = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}
