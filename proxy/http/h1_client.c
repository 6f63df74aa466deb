#include "http/h1_client.h"

#include "base/mem.h"
#include "http/hop.h"

static struct h1_client *client_of(struct sink *sink)
{
    return container_of(sink, struct h1_client, sink);
}

/* ---- the end ---- */

static void client_done(struct h1_client *client)
{
    if (client->state == H1C_DONE)
        return;
    client->state = H1C_DONE;
    client->user = NULL;
    buf_cleanup(&client->head_out);
    client->done(client);
}

static void client_fail(struct h1_client *client, struct err err)
{
    struct http_user *user = client->user;
    enum http_progress progress = client->sent ? HTTP_UNANSWERED : HTTP_UNSENT;
    if (client->state == H1C_DONE)
        return;
    client_done(client);
    if (user)
        user->ops->failed(user, err, client->response_started ? HTTP_ANSWERING : progress);
}

/* Both halves are whole: the connection serves again, or is done with. */
static void client_finish(struct h1_client *client, bool leftover)
{
    client->user = NULL;
    if (leftover || !client->keep_alive || !client->request_ended) {
        client_done(client);
        return;
    }
    client->state = H1C_IDLE;
    stream_read_start(client->stream); /* input or an end while idle discards it */
    client->idle(client);
}

void h1_client_detach(struct h1_client *client)
{
    if (client->state != H1C_BUSY && client->state != H1C_TUNNEL)
        return;
    client->user = NULL;
    stream_reset(client->stream);
    client_done(client);
}

void h1_client_close(struct h1_client *client)
{
    if (client->state == H1C_DONE)
        return;
    client->user = NULL;
    stream_close(client->stream);
    client_done(client);
}

/* ---- the response ---- */

static void client_response_ended(struct h1_client *client, bool leftover)
{
    struct http_user *user = client->user;
    const struct fields *trailers = &client->reader.head->trailers;
    client->response_ended = true;
    client_finish(client, leftover);
    user->ops->end(user, trailers);
}

/* Keep-Alive: timeout=5, max=100 (RFC 2068 §19.7.1.1; not in later ones, but what servers say). */
static int64_t client_keep_ms(const struct head *head)
{
    struct slice list = head_get(head, FIELD_KEEP_ALIVE), item;
    while (field_list_next(&list, &item)) {
        uint64_t seconds;
        struct slice name = slice_trim(slice_split(&item, '='));
        if (slice_ieq(name, SLICE_LIT("timeout")) && slice_decimal(slice_trim(item), UINT32_MAX, &seconds))
            return (int64_t)seconds * 1000;
    }
    return -1;
}

static void client_head(struct h1_client *client)
{
    struct head *head = client->reader.head;
    if (head->status >= 200 || head->status == 101) {
        client->keep_alive = head->keep_alive;
        client->keep_ms = client_keep_ms(head);
        if (head->status == 101)
            client->state = H1C_TUNNEL;
    }
    client->user->ops->head(client->user, head);
}

/* One event of the reader. False: stop feeding. */
static bool client_event(struct h1_client *client, enum h1_event event, struct slice *in)
{
    switch (event) {
    case H1_NEED_MORE: return false;
    case H1_HEAD: client_head(client); return true;
    case H1_BODY: client->user->ops->body(client->user, client->reader.body); return true;
    case H1_END: client_response_ended(client, in->len > 0); return false;
    case H1_UPGRADE: return false;
    case H1_ERROR: client_fail(client, client->reader.err); return false;
    }
    return false;
}

static void client_tunnel_data(struct h1_client *client, struct slice in)
{
    if (in.len)
        client->user->ops->body(client->user, in);
}

static void client_data(struct sink *sink, struct slice in)
{
    struct h1_client *client = client_of(sink);
    struct http_user *user = client->user;
    if (client->state == H1C_IDLE) { /* nobody asked: B7 */
        stream_reset(client->stream);
        client_done(client);
        return;
    }
    client->response_started = true;
    while (client->state == H1C_BUSY && client->user == user) {
        size_t consumed;
        enum h1_event event = h1_reader_feed(&client->reader, in, &consumed);
        in = slice_skip(in, consumed);
        if (!client_event(client, event, &in))
            break;
    }
    if (client->state == H1C_TUNNEL && client->user == user)
        client_tunnel_data(client, in);
    if (client->user == user && user)
        user->ops->flush(user);
}

static void client_input_ended(struct h1_client *client, bool truncated)
{
    struct http_user *user = client->user;
    if (client->state == H1C_TUNNEL) {
        user->ops->end(user, NULL);
        return;
    }
    if (client->state == H1C_IDLE) {
        stream_close(client->stream);
        client_done(client);
        return;
    }
    if (client->state != H1C_BUSY)
        return;
    client->keep_alive = false;
    enum h1_event event = truncated ? H1_ERROR : h1_reader_eof(&client->reader);
    if (event == H1_END && client->reader.head)
        client_response_ended(client, false);
    else
        client_fail(client,
                    event == H1_ERROR && !truncated ? client->reader.err : err_make(ERR_EOF, 0, "the answer was cut"));
}

static void client_eof(struct sink *sink)
{
    client_input_ended(client_of(sink), false);
}

static void client_truncated(struct sink *sink)
{
    client_input_ended(client_of(sink), true);
}

static void client_drained(struct sink *sink)
{
    struct h1_client *client = client_of(sink);
    if (client->user)
        client->user->ops->drained(client->user);
}

static void client_closed(struct sink *sink, struct err err)
{
    struct h1_client *client = client_of(sink);
    client->failure = err;
    if (client->state != H1C_DONE)
        client_fail(client, err_is(err) ? err : err_make(ERR_EOF, 0, "the connection ended"));
    buf_cleanup(&client->head_out);
    client->closed(client, err);
}

static const struct sink_ops client_sink_ops = {
    .data = client_data,
    .eof = client_eof,
    .truncated = client_truncated,
    .drained = client_drained,
    .closed = client_closed,
};

/* ---- the request ---- */

void h1_client_open(struct h1_client *client, struct stream *stream, const struct h1_limits *limits)
{
    client->stream = stream;
    client->sink.ops = &client_sink_ops;
    client->user = NULL;
    client->head_out = (struct buf){0};
    client->state = H1C_IDLE;
    h1_reader_init(&client->reader, H1_RESPONSE, limits);
    stream->sink = &client->sink;
    stream_read_start(stream);
}

void h1_client_lend(struct h1_client *client, struct http_user *user, struct arena *arena, enum method asked,
                    bool upgrade_asked)
{
    client->state = H1C_BUSY;
    client->user = user;
    client->sent = client->request_ended = client->response_started = client->response_ended = client->keep_alive = false;
    client->chunked = false;
    h1_reader_begin_response(&client->reader, arena, asked, upgrade_asked);
}

struct buf *h1_client_head_out(struct h1_client *client)
{
    return &client->head_out;
}

void h1_client_head_written(struct h1_client *client, enum body framing)
{
    client->chunked = framing == BODY_CHUNKED;
}

/* The head that waits goes with whatever comes first. */
static bool client_write(struct h1_client *client, const struct slice *parts, size_t num_parts)
{
    struct slice all[4] = {buf_slice(&client->head_out)};
    size_t num = 1;
    for (size_t i = 0; i < num_parts; i++)
        all[num++] = parts[i];
    client->sent = true;
    bool room = stream_writev(client->stream, all, num);
    buf_cleanup(&client->head_out);
    return room;
}

bool h1_client_body(struct h1_client *client, struct slice bytes)
{
    char begin[H1_CHUNK_BEGIN_BYTES];
    if (client->state != H1C_BUSY && client->state != H1C_TUNNEL)
        return true;
    if (bytes.len == 0)
        return true;
    if (client->state == H1C_TUNNEL || !client->chunked)
        return client_write(client, &bytes, 1);
    struct slice parts[] = {slice_make(begin, h1_chunk_begin(begin, bytes.len)), bytes, H1_CHUNK_END};
    return client_write(client, parts, 3);
}

void h1_client_end(struct h1_client *client, const struct fields *trailers)
{
    if (client->state == H1C_TUNNEL) {
        stream_shutdown(client->stream);
        return;
    }
    if (client->state != H1C_BUSY || client->request_ended)
        return;
    client->request_ended = true;
    if (client->chunked) {
        struct fields none = {0};
        hop_write_trailers(&client->head_out, trailers ? trailers : &none);
    }
    h1_client_flush(client);
}

void h1_client_flush(struct h1_client *client)
{
    if (client->head_out.len && (client->state == H1C_BUSY || client->state == H1C_TUNNEL)) {
        bool room = client_write(client, NULL, 0);
        (void)room; /* a head alone never fills a queue that takes bodies */
    }
}

void h1_client_read_stop(struct h1_client *client)
{
    if (client->state == H1C_BUSY || client->state == H1C_TUNNEL)
        stream_read_stop(client->stream);
}

void h1_client_read_start(struct h1_client *client)
{
    if (client->state == H1C_BUSY || client->state == H1C_TUNNEL)
        stream_read_start(client->stream);
}
