/* Runs the HTTP/1.1 reader over bytes that come in given cuts, forwards what it accepts through http/hop, and notes the
 * verdicts. The result must not depend on the cuts. Bodies are joined, so that it can be compared. */
#ifndef SUPPORT_H1_RUN_H
#define SUPPORT_H1_RUN_H

#include "http/forwarded.h"
#include "http/h1_reader.h"
#include "http/hop.h"

#include <stdlib.h>

struct h1_run {
    /* set by the caller; zero is a request of an untrusted client, an answer to one in HTTP/1.1 */
    enum h1_kind kind;
    enum method asked;
    bool upgrade_asked, accept_upgrade, trusted;
    unsigned client_version; /* 0: 11 */
    struct h1_limits limits; /* head_bytes 0: the usual ones */
    /* results */
    struct buf sent;       /* bytes of complete messages as they go on */
    struct buf transcript; /* the same with verdicts, readable */
    int status;            /* of the error, 0 for none */
    unsigned num_dropped;
    /* its own */
    struct h1_reader reader;
    struct arena arena;
    struct buf message, body;
    struct slice input;
    size_t consumed;
    bool chunked, over;
};

/* Escapes, with a line feed behind each \n. */
static inline void h1_run_escape(struct buf *out, struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c == '\r')
            buf_append_str(out, "\\r");
        else if (c == '\n')
            buf_append_str(out, "\\n\n");
        else if (c == '\\')
            buf_append_str(out, "\\\\");
        else if (c < 0x20 || c >= 0x7f)
            buf_printf(out, "\\x%02x", c);
        else
            buf_append_char(out, (char)c);
    }
}

static inline void h1_run_begin_message(struct h1_run *run)
{
    if (run->kind == H1_REQUEST)
        h1_reader_begin(&run->reader, &run->arena);
    else
        h1_reader_begin_response(&run->reader, &run->arena, run->asked, run->upgrade_asked);
}

static inline void h1_run_init(struct h1_run *run)
{
    if (run->limits.head_bytes == 0) {
        uint64_t body_bytes = run->limits.body_bytes;
        run->limits = run->kind == H1_REQUEST ? H1_REQUEST_LIMITS : H1_RESPONSE_LIMITS;
        run->limits.body_bytes = body_bytes;
    }
    if (run->client_version == 0)
        run->client_version = 11;
    h1_reader_init(&run->reader, run->kind, &run->limits);
    h1_run_begin_message(run);
}

static inline void h1_run_cleanup(struct h1_run *run)
{
    buf_cleanup(&run->sent);
    buf_cleanup(&run->transcript);
    buf_cleanup(&run->message);
    buf_cleanup(&run->body);
    arena_cleanup(&run->arena);
}

static inline void h1_run_flush(struct h1_run *run)
{
    buf_append_slice(&run->sent, buf_slice(&run->message));
    h1_run_escape(&run->transcript, buf_slice(&run->message));
    size_t len = run->transcript.len;
    if (len && run->transcript.ptr[len - 1] != '\n')
        buf_append_char(&run->transcript, '\n');
    run->message.len = run->body.len = 0;
}

/* As an exchange does it with FORWARDED=x, where no other proxy is trusted than the peer. */
static inline void h1_run_request_fields(struct h1_run *run, const struct head *head, struct fields *out)
{
    struct hop_client client = {.trusted = run->trusted};
    struct forwarded_peer peer = {.text = SLICE_LIT("192.0.2.7"),
                                  .trusted = run->trusted,
                                  .proto = SLICE_LIT("https"),
                                  .authority = head->authority,
                                  .port_text = SLICE_LIT("443")};
    struct cidr_list trusted = {0};
    struct forwarded said;
    if (!ip_parse(peer.text, &peer.ip))
        abort();
    hop_drop_forwarding(&client);
    forwarded_read(&said, &head->fields, &peer, &trusted, false, &run->arena);
    run->num_dropped += hop_request_fields(head, &client, &run->arena, out);
    forwarded_put_x(&said, &head->fields, &peer, &run->arena, out);
}

static inline void h1_run_head(struct h1_run *run)
{
    struct head *head = run->reader.head;
    if (run->kind == H1_REQUEST) {
        if (head->authority.len == 0) { /* HTTP/1.0: the front would name it */
            struct err err = head_set_authority(head, &run->arena, SLICE_LIT("default.example"));
            if (err_is(err))
                abort();
        }
        struct h1_framing framing = hop_request_framing(head);
        run->chunked = framing.body == BODY_CHUNKED;
        struct fields fields = {0};
        h1_run_request_fields(run, head, &fields);
        h1_write_request_fields(&run->message, head, &fields, &framing);
        return;
    }
    struct h1_framing framing = hop_response_framing(head, run->client_version, true);
    run->chunked = framing.body == BODY_CHUNKED;
    struct fields fields = {0};
    run->num_dropped += hop_response_fields(head, &run->arena, &fields);
    h1_write_response_fields(&run->message, head, &fields, &framing);
    if (head->status < 200)
        h1_run_flush(run);
}

static inline void h1_run_body(struct h1_run *run)
{
    const struct head *head = run->reader.head;
    bool chunked = run->chunked;
    if (head->body == BODY_NONE && run->body.len)
        abort();
    if (chunked && run->body.len) {
        char begin[H1_CHUNK_BEGIN_BYTES];
        buf_append(&run->message, begin, h1_chunk_begin(begin, run->body.len));
    }
    buf_append_slice(&run->message, buf_slice(&run->body));
    if (chunked && run->body.len)
        buf_append_slice(&run->message, H1_CHUNK_END);
    if (chunked)
        run->num_dropped += hop_write_trailers(&run->message, &head->trailers);
}

/* A message is complete: the next one begins, where one may. */
static inline void h1_run_end(struct h1_run *run)
{
    bool keep_alive = run->reader.head->keep_alive;
    size_t left = run->input.len - run->consumed;
    h1_run_body(run);
    h1_run_flush(run);
    if (run->kind == H1_REQUEST && keep_alive) {
        buf_append_str(&run->transcript, "[end]\n");
        arena_reset(&run->arena);
        h1_run_begin_message(run);
        return;
    }
    buf_append_str(&run->transcript, keep_alive ? "[end" : "[end, close");
    if (left)
        buf_printf(&run->transcript, ", %zu bytes left", left);
    buf_append_str(&run->transcript, "]\n");
    run->over = true;
}

static inline void h1_run_upgrade(struct h1_run *run)
{
    if (run->kind == H1_REQUEST) {
        h1_reader_upgrade(&run->reader, run->accept_upgrade);
        buf_append_str(&run->transcript, run->accept_upgrade ? "" : "[upgrade refused]\n");
        if (!run->accept_upgrade)
            return;
    }
    h1_run_flush(run);
    buf_printf(&run->transcript, "[tunnel, %zu bytes]\n", run->input.len - run->consumed);
    run->over = true;
}

/* Returns whether the reader wants to be fed on. */
static inline bool h1_run_event(struct h1_run *run, enum h1_event event)
{
    switch (event) {
    case H1_NEED_MORE: return false;
    case H1_HEAD: h1_run_head(run); break;
    case H1_BODY: buf_append_slice(&run->body, run->reader.body); break;
    case H1_END: h1_run_end(run); break;
    case H1_UPGRADE: h1_run_upgrade(run); break;
    case H1_ERROR:
        run->status = run->reader.err.code;
        buf_printf(&run->transcript, run->reader.err.kind == ERR_EOF ? "[cut, %d]\n" : "[error %d]\n", run->status);
        run->over = true;
        break;
    }
    return !run->over;
}

/* One read: a copy of its exact length that is gone afterwards, so that a look beyond it or a kept view is found. */
static inline void h1_run_read(struct h1_run *run, struct slice piece)
{
    char *copy = malloc(piece.len ? piece.len : 1);
    if (!copy)
        abort();
    memcpy(copy, piece.ptr, piece.len);
    struct slice in = slice_make(copy, piece.len);
    for (;;) {
        size_t used;
        enum h1_event event = h1_reader_feed(&run->reader, in, &used);
        if (used > in.len || (event == H1_NEED_MORE && used != in.len))
            abort();
        in = slice_skip(in, used);
        run->consumed += used;
        if (!h1_run_event(run, event))
            break;
    }
    free(copy);
}

/* Feeds input in pieces: the first of `first` bytes, the others of `step`. */
static inline void h1_run_all(struct h1_run *run, struct slice input, size_t first, size_t step)
{
    h1_run_init(run);
    run->input = input;
    struct slice rest = input;
    for (size_t len = first; rest.len && !run->over; len = step) {
        struct slice piece = slice_first(rest, len);
        h1_run_read(run, piece);
        rest = slice_skip(rest, piece.len);
    }
    if (!run->over) {
        enum h1_event event = h1_reader_eof(&run->reader);
        if (event != H1_NEED_MORE)
            h1_run_event(run, event);
    }
}

#endif
