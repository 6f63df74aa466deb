#include "dns_server.h"

#include "base/buf.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEADER_BYTES = 12, RCODE_NXDOMAIN = 3 };

struct question {
    char name[256];
    int type;
    size_t end; /* offset behind it */
};

/* ---- reading ---- */

static bool question_read(const unsigned char *bytes, size_t len, struct question *out)
{
    size_t at = HEADER_BYTES, n = 0;
    while (at < len && bytes[at]) {
        for (size_t label = bytes[at++]; label && at < len && n < 250; label--)
            out->name[n++] = slice_lower_char((char)bytes[at++]);
        out->name[n++] = '.';
    }
    out->name[n ? n - 1 : 0] = '\0';
    at++;
    if (at + 4 > len)
        return false;
    out->type = bytes[at] << 8 | bytes[at + 1];
    out->end = at + 4;
    return true;
}

static const struct dns_server_record *find(const struct dns_server *server, const char *name, int type)
{
    for (const struct dns_server_record *record = server->records; record->name; record++)
        if (strcmp(record->name, name) == 0 && (record->type == type || (type < 0 && record->type > 999)))
            return record;
    return NULL;
}

static bool exists(const struct dns_server *server, const char *name)
{
    for (const struct dns_server_record *record = server->records; record->name; record++) {
        struct slice there = slice_str(record->name), asked = slice_str(name);
        if (slice_eq(there, asked) ||
            (slice_ends(there, asked) && there.len > asked.len && there.ptr[there.len - asked.len - 1] == '.'))
            return true;
    }
    return false;
}

/* ---- writing ---- */

static void put_u16(struct buf *out, size_t value)
{
    buf_append_char(out, (char)(value >> 8));
    buf_append_char(out, (char)value);
}

static void put_name(struct buf *out, const char *name)
{
    struct slice rest = slice_str(name);
    while (rest.len) {
        struct slice label = slice_split(&rest, '.');
        buf_append_char(out, (char)label.len);
        buf_append_slice(out, label);
    }
    buf_append_char(out, 0);
}

static void put_parts(struct buf *out, struct slice text)
{
    do {
        struct slice part = slice_first(text, 255);
        buf_append_char(out, (char)part.len);
        buf_append_slice(out, part);
        text = slice_skip(text, part.len);
    } while (text.len);
}

static void put_data(struct buf *out, const struct dns_server_record *record)
{
    unsigned char ip[16];
    struct slice text = slice_str(record->text), flags, tag;
    switch (record->type) {
    case DNS_SERVER_A:
        inet_pton(AF_INET, record->text, ip);
        buf_append(out, ip, 4);
        break;
    case DNS_SERVER_AAAA:
        inet_pton(AF_INET6, record->text, ip);
        buf_append(out, ip, 16);
        break;
    case DNS_SERVER_CNAME: put_name(out, record->text); break;
    case DNS_SERVER_TXT: put_parts(out, text); break;
    case DNS_SERVER_CAA:
        flags = slice_split(&text, ' ');
        tag = slice_split(&text, ' ');
        buf_append_char(out, (char)atoi(flags.ptr));
        buf_append_char(out, (char)tag.len);
        buf_append_slice(out, tag);
        buf_append_slice(out, text);
        break;
    default: break;
    }
}

static void put_record(struct buf *out, const struct dns_server_record *record)
{
    struct buf data = {0};
    put_data(&data, record);
    put_name(out, record->name);
    put_u16(out, (size_t)record->type);
    put_u16(out, 1);
    put_u16(out, 0);
    put_u16(out, 60);
    put_u16(out, data.len);
    buf_append_slice(out, buf_slice(&data));
    buf_cleanup(&data);
}

static void set_u16(struct buf *out, size_t at, unsigned value)
{
    out->ptr[at] = (char)(value >> 8);
    out->ptr[at + 1] = (char)value;
}

/* Behind header and question. */
static void put_hostile(struct buf *out, const struct dns_server_record *how)
{
    set_u16(out, 6, how->type == DNS_SERVER_SHORT ? 5 : 1);
    if (how->type == DNS_SERVER_LOOP)
        put_u16(out, 0xc000 | out->len);
    if (how->type == DNS_SERVER_OVERLONG) {
        put_name(out, how->name);
        put_u16(out, DNS_SERVER_A), put_u16(out, 1), put_u16(out, 0), put_u16(out, 60);
        put_u16(out, 60000);
        buf_append_str(out, "abcd");
    }
    for (int i = 0; how->type == DNS_SERVER_NOISE && i < 400; i++)
        buf_append_char(out, (char)(i * 37));
}

static void put_answers(const struct dns_server *server, const struct question *question, struct buf *out)
{
    const struct dns_server_record *alias;
    char name[256];
    unsigned num = 0;
    strcpy(name, question->name);
    for (int i = 0; i < 8 && question->type != DNS_SERVER_CNAME && (alias = find(server, name, DNS_SERVER_CNAME));
         i++) {
        put_record(out, alias);
        num++;
        snprintf(name, sizeof name, "%s", alias->text);
    }
    for (const struct dns_server_record *record = server->records; record->name; record++)
        if (strcmp(record->name, name) == 0 && record->type == question->type) {
            put_record(out, record);
            num++;
        }
    set_u16(out, 6, num);
    if (!exists(server, name))
        out->ptr[3] = (char)(out->ptr[3] | RCODE_NXDOMAIN);
}

/* False: nothing is said. */
static bool answer(struct dns_server *server, const unsigned char *bytes, size_t len, bool tcp, struct buf *out)
{
    struct question question;
    if (len < HEADER_BYTES || !question_read(bytes, len, &question))
        return false;
    const struct dns_server_record *how = find(server, question.name, -1);
    server->num_questions++;
    server->num_tcp += tcp;
    if (how && how->type == DNS_SERVER_SILENT)
        return false;
    buf_append(out, bytes, question.end);
    set_u16(out, 2, 0x8180);
    set_u16(out, 6, 0), set_u16(out, 8, 0), set_u16(out, 10, 0);
    if (how && how->type == DNS_SERVER_RCODE)
        out->ptr[3] = (char)(out->ptr[3] | atoi(how->text));
    else if (how && how->type == DNS_SERVER_TRUNCATED && !tcp)
        out->ptr[2] = (char)(out->ptr[2] | 2);
    else if (how && how->type != DNS_SERVER_TRUNCATED)
        put_hostile(out, how);
    else
        put_answers(server, &question, out);
    return true;
}

/* ---- UDP ---- */

static void allocate(uv_handle_t *handle, size_t size, uv_buf_t *out)
{
    (void)handle;
    *out = uv_buf_init(mem_alloc(size), (unsigned)size);
}

static void received(uv_udp_t *udp, ssize_t n, const uv_buf_t *bytes, const struct sockaddr *from, unsigned flags)
{
    struct dns_server *server = container_of(udp, struct dns_server, udp);
    struct buf out = {0};
    (void)flags;
    if (n > 0 && from && answer(server, (unsigned char *)bytes->base, (size_t)n, false, &out)) {
        uv_buf_t part = uv_buf_init(out.ptr, (unsigned)out.len);
        uv_udp_try_send(udp, &part, 1, from);
    }
    buf_cleanup(&out);
    mem_free(bytes->base);
}

/* ---- TCP: one question a connection is read whole, as it comes from this machine ---- */

struct tcp_client {
    uv_tcp_t tcp;
    struct dns_server *server;
    struct buf in;
};

static void client_closed(uv_handle_t *handle)
{
    struct tcp_client *client = container_of((uv_tcp_t *)(void *)handle, struct tcp_client, tcp);
    buf_cleanup(&client->in);
    mem_free(client);
}

static void client_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *bytes)
{
    struct tcp_client *client = container_of((uv_tcp_t *)(void *)stream, struct tcp_client, tcp);
    struct buf out = {0};
    if (n > 0)
        buf_append(&client->in, bytes->base, (size_t)n);
    mem_free(bytes->base);
    if (n < 0) {
        uv_close((uv_handle_t *)stream, client_closed);
        return;
    }
    const unsigned char *in = (unsigned char *)client->in.ptr;
    size_t len = client->in.len < 2 ? 0 : (size_t)(in[0] << 8 | in[1]);
    if (len == 0 || client->in.len < len + 2)
        return;
    put_u16(&out, 0);
    struct buf message = {0};
    if (answer(client->server, in + 2, len, true, &message)) {
        set_u16(&out, 0, (unsigned)message.len);
        buf_append_slice(&out, buf_slice(&message));
        uv_buf_t part = uv_buf_init(out.ptr, (unsigned)out.len);
        uv_try_write(stream, &part, 1);
    }
    buf_consume(&client->in, len + 2);
    buf_cleanup(&message);
    buf_cleanup(&out);
}

static void connected(uv_stream_t *stream, int status)
{
    struct dns_server *server = container_of((uv_tcp_t *)(void *)stream, struct dns_server, tcp);
    struct tcp_client *client = MEM_NEW(struct tcp_client);
    if (status < 0)
        abort();
    client->server = server;
    uv_tcp_init(stream->loop, &client->tcp);
    uv_accept(stream, (uv_stream_t *)&client->tcp);
    uv_unref((uv_handle_t *)&client->tcp);
    uv_read_start((uv_stream_t *)&client->tcp, allocate, client_read);
}

/* ---- life ---- */

/* One port of both kinds. That of the other kind may be somebody's already: then another is tried. */
static void bind_both(struct dns_server *server, int *out_udp, int *out_tcp)
{
    for (;;) {
        socklen_t len = sizeof server->address.at.v4;
        int tcp = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        int udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        address_parse_ip(SLICE_LIT("127.0.0.1"), 0, &server->address);
        if (tcp < 0 || udp < 0 || bind(tcp, &server->address.at.any, len) != 0 ||
            getsockname(tcp, &server->address.at.any, &len) != 0)
            abort();
        *out_tcp = tcp;
        *out_udp = udp;
        if (bind(udp, &server->address.at.any, len) == 0)
            return;
        close(tcp);
        close(udp);
    }
}

void dns_server_open(struct dns_server *server, uv_loop_t *loop, const struct dns_server_record *records)
{
    int udp, tcp;
    *server = (struct dns_server){.records = records};
    server->address.len = sizeof server->address.at.v4;
    bind_both(server, &udp, &tcp);
    uv_udp_init(loop, &server->udp);
    uv_tcp_init(loop, &server->tcp);
    if (uv_udp_open(&server->udp, udp) || uv_tcp_open(&server->tcp, tcp) ||
        uv_listen((uv_stream_t *)&server->tcp, 8, connected) || uv_udp_recv_start(&server->udp, allocate, received))
        abort();
    uv_unref((uv_handle_t *)&server->udp);
    uv_unref((uv_handle_t *)&server->tcp);
}

void dns_server_close(struct dns_server *server)
{
    uv_close((uv_handle_t *)&server->udp, NULL);
    uv_close((uv_handle_t *)&server->tcp, NULL);
}
