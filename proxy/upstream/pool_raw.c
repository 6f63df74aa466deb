#include "upstream/pool_raw.h"

#include "base/mem.h"

#include <unistd.h>

/* Freed in its stream's last event. */
struct raw_conn {
    struct upstream base;
    struct tcp_stream tcp;
    struct stream *stream;
    struct sink sink;
    struct backend *backend;
    struct http_user *user; /* NULL once nobody has it */
    bool heard;             /* a byte has come */
};

static const struct upstream_ops raw_ops;
static const struct sink_ops raw_sink_ops;

static struct raw_conn *raw_of(struct upstream *upstream)
{
    return container_of(upstream, struct raw_conn, base);
}

static struct raw_conn *raw_of_sink(struct sink *sink)
{
    return container_of(sink, struct raw_conn, sink);
}

/* ---- the end ---- */

/* Nobody has it any more; returns who had. */
static struct http_user *raw_let_go(struct raw_conn *raw)
{
    struct http_user *user = raw->user;
    if (user) {
        raw->backend->num_busy--;
        raw->backend->num_open--;
        pool_room(raw->backend->pool);
    }
    raw->user = NULL;
    return user;
}

static void raw_detach(struct upstream *upstream)
{
    struct raw_conn *raw = raw_of(upstream);
    raw_let_go(raw);
    stream_reset(raw->stream);
}

static void raw_close(struct upstream *upstream)
{
    struct raw_conn *raw = raw_of(upstream);
    raw_let_go(raw);
    stream_close(raw->stream);
}

static void raw_closed(struct sink *sink, struct err err)
{
    struct raw_conn *raw = raw_of_sink(sink);
    struct backend *backend = raw->backend;
    struct http_user *user = raw_let_go(raw);
    if (user)
        user->ops->failed(user, err_is(err) ? err : err_make(ERR_EOF, 0, "the connection ended"),
                          raw->heard ? HTTP_ANSWERING : HTTP_UNANSWERED);
    mem_free(raw);
    pool_conn_gone(backend);
}

/* ---- bytes ---- */

static void raw_data(struct sink *sink, struct slice bytes)
{
    struct raw_conn *raw = raw_of_sink(sink);
    raw->heard = true;
    raw->user->ops->body(raw->user, bytes);
    if (raw->user)
        raw->user->ops->flush(raw->user);
}

static void raw_ended(struct sink *sink)
{
    struct raw_conn *raw = raw_of_sink(sink);
    raw->user->ops->end(raw->user, NULL);
}

static void raw_drained(struct sink *sink)
{
    struct raw_conn *raw = raw_of_sink(sink);
    if (raw->user)
        raw->user->ops->drained(raw->user);
}

static const struct sink_ops raw_sink_ops = {
    .data = raw_data,
    .eof = raw_ended,
    .truncated = raw_ended,
    .drained = raw_drained,
    .closed = raw_closed,
};

static bool raw_body(struct upstream *upstream, struct slice bytes)
{
    return bytes.len == 0 || stream_write(raw_of(upstream)->stream, bytes);
}

static void raw_end(struct upstream *upstream, const struct fields *trailers)
{
    (void)trailers;
    stream_shutdown(raw_of(upstream)->stream);
}

static void raw_flush(struct upstream *upstream)
{
    (void)upstream;
}

static void raw_read_stop(struct upstream *upstream)
{
    stream_read_stop(raw_of(upstream)->stream);
}

static void raw_read_start(struct upstream *upstream)
{
    stream_read_start(raw_of(upstream)->stream);
}

/* ---- the beginning ---- */

static void raw_begin(struct upstream *upstream, struct http_user *user, struct arena *arena,
                      const struct upstream_request *request)
{
    struct raw_conn *raw = raw_of(upstream);
    (void)arena, (void)request;
    raw->user = user;
    bool room = raw_body(upstream, upstream->preamble);
    (void)room; /* some hundred bytes, the first ones */
    stream_read_start(raw->stream);
}

static void raw_open(struct raw_conn *raw, struct backend *backend, struct stream *stream)
{
    raw->base = (struct upstream){.ops = &raw_ops, .backend = backend, .backend_text = backend->text};
    raw->backend = backend;
    raw->stream = stream;
    raw->sink.ops = &raw_sink_ops;
    stream->sink = &raw->sink;
    backend->num_conns++;
    backend->num_busy++;
    backend->pool->num_conns++;
}

struct upstream *pool_raw_adopt(struct backend *backend, int fd, bool unix_socket, const struct config *config)
{
    struct raw_conn *raw = MEM_NEW(struct raw_conn);
    struct err err = tcp_stream_open(&raw->tcp, backend->pool->loop, fd, unix_socket);
    if (err_is(err)) {
        close(fd);
        mem_free(raw);
        return NULL;
    }
    raw->tcp.stall_ms = (uint64_t)config->client.stream_idle_timeout_ms;
    raw_open(raw, backend, &raw->tcp.base);
    return &raw->base;
}

struct upstream *pool_raw_adopt_stream(struct backend *backend, struct stream *stream)
{
    struct raw_conn *raw = MEM_NEW(struct raw_conn);
    raw_open(raw, backend, stream);
    return &raw->base;
}

static const struct upstream_ops raw_ops = {
    .begin = raw_begin,
    .body = raw_body,
    .end = raw_end,
    .flush = raw_flush,
    .read_stop = raw_read_stop,
    .read_start = raw_read_start,
    .detach = raw_detach,
    .close = raw_close,
};
