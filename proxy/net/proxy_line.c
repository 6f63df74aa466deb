#include "net/proxy_line.h"

#include "base/limits.h"
#include "net/address.h"

enum {
    V1_BYTES = 107, /* the longest line, with its CRLF */
    V1_PORT_MAX = 65535,
    V2_FIXED_BYTES = 16,
    V2_INET_BYTES = 12,
    V2_INET6_BYTES = 36,
    V2_UNIX_BYTES = 216,
    TLV_BYTES = 3, /* type, length */
    TLV_SSL_FIXED_BYTES = 5,
    CRC_BYTES = 4
};

enum { V2_LOCAL = 0x20, V2_PROXY = 0x21 };          /* version and command */
enum { V2_UNSPEC = 0, V2_INET, V2_INET6, V2_UNIX }; /* families: the high four bits */
enum { V2_ANY = 0, V2_STREAM, V2_DGRAM };           /* transports: the low four */
enum {
    TLV_ALPN = 0x01,
    TLV_AUTHORITY = 0x02,
    TLV_CRC32C = 0x03,
    TLV_SSL = 0x20,
    TLV_SSL_VERSION = 0x21,
    TLV_SSL_CN = 0x22,
    TLV_SSL_CIPHER = 0x23
};
enum { CLIENT_SSL = 0x01, CLIENT_CERT_CONN = 0x02, CLIENT_CERT_SESS = 0x04 };

#define V1_START SLICE_LIT("PROXY ")
#define V2_SIGNATURE SLICE_LIT("\r\n\r\n\0\r\nQUIT\n")

/* A header under way. */
struct reading {
    struct slice bytes; /* all there are */
    struct proxy_line line;
    size_t len; /* of the header, once it is known */
    const char *why;
};

static enum proxy_line_verdict reading_fail(struct reading *r, const char *why)
{
    r->why = why;
    return PROXY_LINE_ERROR;
}

/* Whether one begins with the other. */
static bool agree(struct slice a, struct slice b)
{
    return a.len < b.len ? slice_starts(b, a) : slice_starts(a, b);
}

/* ---- version 1 ---- */

/* DONE: r->len is the position behind CRLF. */
static enum proxy_line_verdict v1_find_end(struct reading *r)
{
    struct slice line = slice_first(r->bytes, V1_BYTES);
    const char *cr = memchr(line.ptr, '\r', line.len);
    const char *lf = memchr(line.ptr, '\n', line.len);
    if (lf && (!cr || cr != lf - 1))
        return reading_fail(r, "a line feed alone, or a carriage return alone");
    if (lf) {
        r->len = (size_t)(lf + 1 - line.ptr);
        return PROXY_LINE_DONE;
    }
    if (cr && cr != line.ptr + line.len - 1)
        return reading_fail(r, "a carriage return alone");
    if (line.len == V1_BYTES)
        return reading_fail(r, "no end of the line within 107 bytes");
    return PROXY_LINE_MORE;
}

static bool v1_port(struct slice text, uint16_t *out_port)
{
    uint64_t port;
    if (!slice_decimal(text, V1_PORT_MAX, &port) || (text.len > 1 && text.ptr[0] == '0'))
        return false;
    *out_port = (uint16_t)port;
    return true;
}

/* TCP4 has IPv4 in dotted form, TCP6 has a colon in it. */
static bool v1_ip(struct slice text, bool v6, struct ip *out_ip)
{
    bool colon = text.len && memchr(text.ptr, ':', text.len);
    return colon == v6 && ip_parse(text, out_ip);
}

static enum proxy_line_verdict v1_ends(struct reading *r, struct slice rest, bool v6)
{
    struct proxy_line *line = &r->line;
    if (!v1_ip(slice_split(&rest, ' '), v6, &line->from.ip) || !v1_ip(slice_split(&rest, ' '), v6, &line->to.ip))
        return reading_fail(r, "an address that is none of its family");
    if (!v1_port(slice_split(&rest, ' '), &line->from.port) || !v1_port(rest, &line->to.port))
        return reading_fail(r, "a port that is none");
    line->known = true;
    return PROXY_LINE_DONE;
}

static enum proxy_line_verdict v1_read(struct reading *r)
{
    if (r->bytes.len < V1_START.len)
        return PROXY_LINE_MORE;
    enum proxy_line_verdict verdict = v1_find_end(r);
    if (verdict != PROXY_LINE_DONE)
        return verdict;
    struct slice rest = slice_skip(slice_first(r->bytes, r->len - 2), V1_START.len);
    struct slice protocol = slice_split(&rest, ' ');
    if (slice_eq(protocol, SLICE_LIT("UNKNOWN"))) /* whatever follows is to be ignored */
        return PROXY_LINE_DONE;
    if (slice_eq(protocol, SLICE_LIT("TCP4")))
        return v1_ends(r, rest, false);
    if (slice_eq(protocol, SLICE_LIT("TCP6")))
        return v1_ends(r, rest, true);
    return reading_fail(r, "a protocol other than TCP4, TCP6 and UNKNOWN");
}

/* ---- version 2 ---- */

static unsigned byte_at(struct slice bytes, size_t at)
{
    return (unsigned char)bytes.ptr[at];
}

static uint16_t u16_at(struct slice bytes, size_t at)
{
    return (uint16_t)(byte_at(bytes, at) << 8 | byte_at(bytes, at + 1));
}

static uint32_t u32_at(struct slice bytes, size_t at)
{
    return (uint32_t)u16_at(bytes, at) << 16 | u16_at(bytes, at + 2);
}

/* CRC32C (RFC 4960 appendix B), four bits at a time: a header comes once in a connection's life. */
static uint32_t crc32c(uint32_t crc, struct slice bytes)
{
    static const uint32_t table[16] = {0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
                                       0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
                                       0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};
    for (size_t i = 0; i < bytes.len; i++) {
        crc ^= byte_at(bytes, i);
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return crc;
}

/* Of the whole header, with zeros in place of the checksum, which begins at `at`. */
static bool v2_crc_is_right(struct slice header, size_t at)
{
    struct slice behind = slice_skip(header, at + CRC_BYTES);
    uint32_t crc = crc32c(UINT32_MAX, slice_first(header, at));
    crc = crc32c(crc, slice_make("\0\0\0\0", CRC_BYTES));
    return ~crc32c(crc, behind) == u32_at(header, at);
}

/* The next TLV's value, taken off *rest. False: it does not fit. */
static bool tlv_next(struct slice *rest, unsigned *out_type, struct slice *out_value)
{
    if (rest->len < TLV_BYTES || rest->len - TLV_BYTES < u16_at(*rest, 1))
        return false;
    *out_type = byte_at(*rest, 0);
    *out_value = slice_first(slice_skip(*rest, TLV_BYTES), u16_at(*rest, 1));
    *rest = slice_skip(*rest, TLV_BYTES + out_value->len);
    return true;
}

static bool v2_ssl_is_formed(struct slice value)
{
    unsigned type;
    struct slice sub;
    if (value.len < TLV_SSL_FIXED_BYTES)
        return false;
    struct slice rest = slice_skip(value, TLV_SSL_FIXED_BYTES);
    while (rest.len)
        if (!tlv_next(&rest, &type, &sub))
            return false;
    return true;
}

static enum proxy_line_verdict v2_check_tlvs(struct reading *r, size_t at)
{
    struct slice header = slice_first(r->bytes, r->len), rest = slice_skip(header, at), value;
    unsigned type;
    while (rest.len) {
        if (!tlv_next(&rest, &type, &value) || (type == TLV_SSL && !v2_ssl_is_formed(value)))
            return reading_fail(r, "a TLV that does not fit");
        if (type != TLV_CRC32C)
            continue;
        if (value.len != CRC_BYTES || !v2_crc_is_right(header, (size_t)(value.ptr - header.ptr)))
            return reading_fail(r, "a wrong checksum");
    }
    return PROXY_LINE_DONE;
}

static void v2_read_ends(struct reading *r, bool v6)
{
    static const uint8_t v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    struct slice block = slice_skip(r->bytes, V2_FIXED_BYTES);
    struct proxy_end *ends[2] = {&r->line.from, &r->line.to};
    size_t ip_len = v6 ? 16 : 4;
    for (size_t i = 0; i < 2; i++) {
        memcpy(ends[i]->ip.bytes, v4_prefix, sizeof v4_prefix);
        memcpy(ends[i]->ip.bytes + 16 - ip_len, block.ptr + i * ip_len, ip_len);
        ends[i]->port = u16_at(block, 2 * ip_len + 2 * i);
    }
    r->line.known = true;
}

static enum proxy_line_verdict v2_read_block(struct reading *r)
{
    static const size_t address_bytes[] = {0, V2_INET_BYTES, V2_INET6_BYTES, V2_UNIX_BYTES};
    unsigned family = byte_at(r->bytes, 13) >> 4, transport = byte_at(r->bytes, 13) & 15;
    if (byte_at(r->bytes, 12) == V2_LOCAL) { /* its block, the family too, is to be ignored */
        r->line.local = true;
        return PROXY_LINE_DONE;
    }
    if (family > V2_UNIX || transport > V2_DGRAM)
        return reading_fail(r, "an unknown family or transport");
    if (family == V2_UNSPEC || transport == V2_ANY) /* it does not say where TLVs would begin */
        return PROXY_LINE_DONE;
    if (r->len - V2_FIXED_BYTES < address_bytes[family])
        return reading_fail(r, "a length below that of the addresses");
    if (transport == V2_STREAM && family != V2_UNIX)
        v2_read_ends(r, family == V2_INET6);
    return v2_check_tlvs(r, V2_FIXED_BYTES + address_bytes[family]);
}

static enum proxy_line_verdict v2_read(struct reading *r)
{
    if (r->bytes.len > 12 && byte_at(r->bytes, 12) != V2_LOCAL && byte_at(r->bytes, 12) != V2_PROXY)
        return reading_fail(r, "an unknown version or command");
    if (r->bytes.len < V2_FIXED_BYTES)
        return PROXY_LINE_MORE;
    r->len = V2_FIXED_BYTES + (size_t)u16_at(r->bytes, 14);
    if (r->len > LIMIT_PROXY_LINE_BYTES)
        return reading_fail(r, "a header that is too long");
    return r->bytes.len < r->len ? PROXY_LINE_MORE : v2_read_block(r);
}

enum proxy_line_verdict proxy_line_read(struct slice bytes, struct proxy_line *out_line, size_t *out_len,
                                        const char **out_why)
{
    struct reading r = {.bytes = bytes};
    enum proxy_line_verdict verdict;
    if (bytes.len == 0)
        return PROXY_LINE_MORE;
    if (agree(bytes, V2_SIGNATURE))
        verdict = v2_read(&r);
    else if (agree(bytes, V1_START))
        verdict = v1_read(&r);
    else
        verdict = reading_fail(&r, "no PROXY protocol header");
    if (verdict == PROXY_LINE_DONE) {
        *out_line = r.line;
        *out_len = r.len;
    } else if (verdict == PROXY_LINE_ERROR) {
        *out_why = r.why;
    }
    return verdict;
}

enum proxy_line_verdict proxy_line_feed(struct proxy_line_reader *reader, struct slice in, struct proxy_line *out_line,
                                        size_t *out_used, const char **out_why)
{
    size_t before = reader->held.len, len = 0;
    buf_append_slice(&reader->held, slice_first(in, LIMIT_PROXY_LINE_BYTES - before));
    enum proxy_line_verdict verdict = proxy_line_read(buf_slice(&reader->held), out_line, &len, out_why);
    if (verdict == PROXY_LINE_DONE)
        *out_used = len - before;
    if (verdict != PROXY_LINE_MORE)
        proxy_line_reader_cleanup(reader);
    return verdict;
}

void proxy_line_reader_cleanup(struct proxy_line_reader *reader)
{
    buf_cleanup(&reader->held);
}

/* ---- writing ---- */

static bool ends_are_v4(const struct proxy_line *line)
{
    return ip_is_v4(&line->from.ip) && ip_is_v4(&line->to.ip);
}

static void v1_append_ip(struct buf *out, const struct ip *ip, bool v4)
{
    char text[ADDRESS_TEXT_BYTES];
    struct address address = {0};
    if (v4) {
        address.at.v4.sin_family = AF_INET;
        memcpy(&address.at.v4.sin_addr, ip->bytes + 12, 4);
    } else { /* one of two may be mapped: both are written in the longer form */
        address.at.v6.sin6_family = AF_INET6;
        memcpy(&address.at.v6.sin6_addr, ip->bytes, 16);
    }
    buf_append_str(out, address_ip_text(&address, text));
    buf_append_char(out, ' ');
}

void proxy_line_write_v1(struct buf *out, const struct proxy_line *line)
{
    bool v4 = ends_are_v4(line);
    if (!line->known || line->local) {
        buf_append_str(out, "PROXY UNKNOWN\r\n");
        return;
    }
    buf_append_str(out, v4 ? "PROXY TCP4 " : "PROXY TCP6 ");
    v1_append_ip(out, &line->from.ip, v4);
    v1_append_ip(out, &line->to.ip, v4);
    buf_append_u64(out, line->from.port);
    buf_append_char(out, ' ');
    buf_append_u64(out, line->to.port);
    buf_append_str(out, "\r\n");
}

static void append_u16(struct buf *out, size_t value)
{
    buf_append_char(out, (char)(value >> 8));
    buf_append_char(out, (char)(value & 0xff));
}

static void set_u16(struct buf *out, size_t at, size_t value)
{
    out->ptr[at] = (char)(value >> 8);
    out->ptr[at + 1] = (char)(value & 0xff);
}

static void append_tlv(struct buf *out, unsigned type, struct slice value)
{
    if (value.len == 0 || value.len > LIMIT_PROXY_TEXT_BYTES)
        return;
    buf_append_char(out, (char)type);
    append_u16(out, value.len);
    buf_append_slice(out, value);
}

static void append_ssl(struct buf *out, const struct proxy_line_tls *tls)
{
    unsigned client = CLIENT_SSL | (tls->certificate ? CLIENT_CERT_CONN | CLIENT_CERT_SESS : 0u);
    buf_append_char(out, (char)TLV_SSL);
    size_t len_at = out->len;
    append_u16(out, 0);
    buf_append_char(out, (char)client);
    append_u16(out, 0);
    append_u16(out, tls->certificate ? 0 : 1); /* verify: 0 where a certificate was verified */
    append_tlv(out, TLV_SSL_VERSION, tls->version);
    append_tlv(out, TLV_SSL_CIPHER, tls->cipher);
    append_tlv(out, TLV_SSL_CN, tls->common_name);
    set_u16(out, len_at, out->len - len_at - 2);
}

static void append_ends(struct buf *out, const struct proxy_line *line)
{
    size_t skip = ends_are_v4(line) ? 12 : 0;
    buf_append(out, line->from.ip.bytes + skip, 16 - skip);
    buf_append(out, line->to.ip.bytes + skip, 16 - skip);
    append_u16(out, line->from.port);
    append_u16(out, line->to.port);
}

void proxy_line_write_v2(struct buf *out, const struct proxy_line *line, const struct proxy_line_tls *tls)
{
    bool known = line->known && !line->local;
    unsigned family = !known ? V2_UNSPEC : ends_are_v4(line) ? V2_INET : V2_INET6;
    buf_append_slice(out, V2_SIGNATURE);
    buf_append_char(out, line->local ? V2_LOCAL : V2_PROXY);
    buf_append_char(out, (char)(family << 4 | (known ? V2_STREAM : V2_ANY)));
    size_t len_at = out->len;
    append_u16(out, 0);
    if (known)
        append_ends(out, line);
    if (tls) {
        append_tlv(out, TLV_ALPN, tls->alpn);
        append_tlv(out, TLV_AUTHORITY, tls->authority);
        append_ssl(out, tls);
    }
    set_u16(out, len_at, out->len - len_at - 2);
}
