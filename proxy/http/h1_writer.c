#include "http/h1_writer.h"

#include <assert.h>

static char *put(char *at, struct slice s)
{
    if (s.len)
        memcpy(at, s.ptr, s.len);
    return at + s.len;
}

static void append_end(struct buf *out, const char *end)
{
    out->len = (size_t)(end - out->ptr);
    assert(out->len <= out->cap);
}

void h1_write_request_line(struct buf *out, struct slice method, struct slice target)
{
    static const struct slice version = {" HTTP/1.1\r\n", 11};
    char *at = buf_reserve(out, method.len + 1 + target.len + version.len);
    at = put(at, method);
    *at++ = ' ';
    at = put(at, target);
    append_end(out, put(at, version));
}

void h1_write_status_line(struct buf *out, unsigned status, struct slice reason)
{
    static const struct slice version = {"HTTP/1.1 ", 9};
    if (reason.len == 0)
        reason = h1_reason(status);
    char *at = put(buf_reserve(out, version.len + 4 + reason.len + 2), version);
    *at++ = (char)('0' + status / 100 % 10);
    *at++ = (char)('0' + status / 10 % 10);
    *at++ = (char)('0' + status % 10);
    *at++ = ' '; /* stays where there is no reason (RFC 9112 §4) */
    at = put(at, reason);
    append_end(out, put(at, SLICE_LIT("\r\n")));
}

void h1_write_field(struct buf *out, struct slice name, struct slice value)
{
    char *at = put(buf_reserve(out, name.len + value.len + 4), name);
    *at++ = ':';
    *at++ = ' ';
    at = put(at, value);
    *at++ = '\r';
    *at++ = '\n';
    append_end(out, at);
}

static void write_length(struct buf *out, uint64_t length)
{
    buf_append_slice(out, SLICE_LIT("Content-Length: "));
    buf_append_u64(out, length);
    buf_append_slice(out, H1_CHUNK_END);
}

static void write_connection(struct buf *out, enum h1_connection connection)
{
    switch (connection) {
    case H1_CONNECTION_UNSAID: return;
    case H1_CONNECTION_CLOSE: buf_append_slice(out, SLICE_LIT("Connection: close\r\n")); return;
    case H1_CONNECTION_KEEP_ALIVE: buf_append_slice(out, SLICE_LIT("Connection: keep-alive\r\n")); return;
    case H1_CONNECTION_UPGRADE:
        buf_append_slice(out, SLICE_LIT("Connection: Upgrade\r\nUpgrade: websocket\r\n"));
        return;
    }
}

void h1_write_framing(struct buf *out, const struct h1_framing *framing)
{
    if (framing->body == BODY_LENGTH || (framing->body == BODY_NONE && framing->length_given))
        write_length(out, framing->length);
    else if (framing->body == BODY_CHUNKED)
        buf_append_slice(out, SLICE_LIT("Transfer-Encoding: chunked\r\n"));
    write_connection(out, framing->connection);
}

void h1_write_end(struct buf *out)
{
    buf_append(out, "\r\n", 2);
}

/* All at once: a head that grows piece by piece would be copied several times. */
static void reserve_head(struct buf *out, size_t first_line_bytes, const struct fields *fields)
{
    size_t bytes = first_line_bytes + 128; /* framing */
    FIELDS_EACH(fields, field)
    bytes += field->name.len + field->value.len + 4;
    buf_reserve(out, bytes);
}

static void write_fields(struct buf *out, const struct fields *fields, const struct h1_framing *framing)
{
    FIELDS_EACH(fields, field)
    h1_write_field(out, field->name, field->value);
    h1_write_framing(out, framing);
    h1_write_end(out);
}

void h1_write_request_fields(struct buf *out, const struct head *head, const struct fields *fields,
                             const struct h1_framing *framing)
{
    reserve_head(out, head->method_name.len + head->target.len + head->authority.len, fields);
    h1_write_request_line(out, head->method_name, head->target);
    h1_write_field(out, SLICE_LIT("Host"), head->authority);
    write_fields(out, fields, framing);
}

void h1_write_response_fields(struct buf *out, const struct head *head, const struct fields *fields,
                              const struct h1_framing *framing)
{
    reserve_head(out, head->reason.len, fields);
    h1_write_status_line(out, head->status, head->reason);
    write_fields(out, fields, framing);
}

static bool field_is_written_by_us(enum field_id id)
{
    return id == FIELD_HOST || id == FIELD_CONNECTION || id == FIELD_CONTENT_LENGTH || id == FIELD_TRANSFER_ENCODING ||
           id == FIELD_UPGRADE;
}

static void write_rest(struct buf *out, const struct head *head, const struct h1_framing *framing)
{
    FIELDS_EACH(&head->fields, field)
    if (!field_is_written_by_us(field->id))
        h1_write_field(out, field->name, field->value);
    h1_write_framing(out, framing);
    h1_write_end(out);
}

void h1_write_request(struct buf *out, const struct head *head, const struct h1_framing *framing)
{
    h1_write_request_line(out, head->method_name, head->target);
    h1_write_field(out, SLICE_LIT("Host"), head->authority);
    write_rest(out, head, framing);
}

void h1_write_response(struct buf *out, const struct head *head, const struct h1_framing *framing)
{
    h1_write_status_line(out, head->status, head->reason);
    write_rest(out, head, framing);
}

/* RFC 9110 §15 and the registry's common others. */
#define REASONS(X)                            \
    X(100, "Continue")                        \
    X(101, "Switching Protocols")             \
    X(103, "Early Hints")                     \
    X(200, "OK")                              \
    X(201, "Created")                         \
    X(202, "Accepted")                        \
    X(204, "No Content")                      \
    X(206, "Partial Content")                 \
    X(301, "Moved Permanently")               \
    X(302, "Found")                           \
    X(303, "See Other")                       \
    X(304, "Not Modified")                    \
    X(307, "Temporary Redirect")              \
    X(308, "Permanent Redirect")              \
    X(400, "Bad Request")                     \
    X(401, "Unauthorized")                    \
    X(403, "Forbidden")                       \
    X(404, "Not Found")                       \
    X(405, "Method Not Allowed")              \
    X(408, "Request Timeout")                 \
    X(411, "Length Required")                 \
    X(413, "Content Too Large")               \
    X(414, "URI Too Long")                    \
    X(417, "Expectation Failed")              \
    X(421, "Misdirected Request")             \
    X(429, "Too Many Requests")               \
    X(431, "Request Header Fields Too Large") \
    X(500, "Internal Server Error")           \
    X(501, "Not Implemented")                 \
    X(502, "Bad Gateway")                     \
    X(503, "Service Unavailable")             \
    X(504, "Gateway Timeout")                 \
    X(505, "HTTP Version Not Supported")

struct slice h1_reason(unsigned status)
{
    switch (status) {
#define X(code, text) \
    case code: return SLICE_LIT(text);
        REASONS(X)
#undef X
    default: return SLICE_LIT("");
    }
}

size_t h1_chunk_begin(char out[H1_CHUNK_BEGIN_BYTES], uint64_t len)
{
    char digits[16];
    size_t num = 0;
    do {
        digits[num++] = "0123456789abcdef"[len & 15];
        len >>= 4;
    } while (len);
    for (size_t i = 0; i < num; i++)
        out[i] = digits[num - 1 - i];
    out[num] = '\r';
    out[num + 1] = '\n';
    return num + 2;
}
