/* The PROXY protocol's header: byte tables of both versions, cut at every byte, and what is written. */
#include "net/proxy_line.h"

#include "base/limits.h"
#include "check.h"
#include "net/address.h"

#include <stdlib.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define ENDS_V4 "\xc0\x00\x02\x01\xc6\x33\x64\x02\xdb\x04\x01\xbb" /* 192.0.2.1:56068, 198.51.100.2:443 */
#define ENDS_V6 "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\xdb\x04\x01\xbb"

struct row {
    struct slice bytes;
    const char *said; /* as said_of tells it; NULL: refused */
};

#define ROW(literal, said)       \
    {                            \
        SLICE_LIT(literal), said \
    }

/* "from port to port", "local" or "unknown". */
static const char *said_of(const struct proxy_line *line)
{
    static char text[2 * ADDRESS_TEXT_BYTES];
    char from[ADDRESS_TEXT_BYTES], to[ADDRESS_TEXT_BYTES];
    if (!line->known)
        return line->local ? "local" : "unknown";
    struct address source = address_of_ip(&line->from.ip, line->from.port);
    struct address target = address_of_ip(&line->to.ip, line->to.port);
    snprintf(text, sizeof text, "%.100s %.100s", address_text(&source, from), address_text(&target, to));
    return text;
}

/* In memory of its own, so that the sanitizer sees a byte read behind the end. */
static enum proxy_line_verdict read_exact(struct slice bytes, struct proxy_line *out_line, size_t *out_len)
{
    const char *why = NULL;
    char *copy = malloc(bytes.len + 1);
    memcpy(copy + 1, bytes.ptr, bytes.len);
    enum proxy_line_verdict verdict = proxy_line_read(slice_make(copy + 1, bytes.len), out_line, out_len, &why);
    CHECK((verdict == PROXY_LINE_ERROR) == (why != NULL));
    free(copy);
    return verdict;
}

/* Every beginning asks for more, or is refused for good; the whole is accepted, with or without something behind it. */
static void check_row(const struct row *row)
{
    struct proxy_line line;
    size_t len = 0;
    enum proxy_line_verdict verdict = PROXY_LINE_MORE;
    for (size_t n = 1; n <= row->bytes.len && verdict == PROXY_LINE_MORE; n++) {
        verdict = read_exact(slice_first(row->bytes, n), &line, &len);
        if (verdict == PROXY_LINE_DONE)
            CHECK_INT(n, row->bytes.len);
    }
    CHECK_INT(verdict, row->said ? PROXY_LINE_DONE : PROXY_LINE_ERROR);
    if (verdict == PROXY_LINE_DONE && row->said) {
        CHECK_INT(len, row->bytes.len);
        CHECK_STR(said_of(&line), row->said);
    }
    struct buf more = {0};
    buf_append_slice(&more, row->bytes);
    buf_append_str(&more, "\r\n\x16\x03\x01 and what follows");
    CHECK_INT(read_exact(buf_slice(&more), &line, &len), row->said ? PROXY_LINE_DONE : PROXY_LINE_ERROR);
    if (row->said) {
        CHECK_INT(len, row->bytes.len);
        CHECK_STR(said_of(&line), row->said);
    }
    buf_cleanup(&more);
}

#define CHECK_ROWS(rows)                                      \
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) \
    check_row(&rows[i])

static void version_1_is_read(void)
{
    static const struct row rows[] = {
        ROW("PROXY TCP4 192.0.2.1 198.51.100.2 56068 443\r\n", "192.0.2.1:56068 198.51.100.2:443"),
        ROW("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
            "255.255.255.255:65535 255.255.255.255:65535"),
        ROW("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", "0.0.0.0:0 0.0.0.0:0"),
        ROW("PROXY TCP6 2001:db8::1 ::1 1 2\r\n", "[2001:db8::1]:1 [::1]:2"),
        ROW("PROXY TCP6 2001:DB8:0:0:0:0:0:A ::1 1 2\r\n", "[2001:db8::a]:1 [::1]:2"),
        ROW("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.2 1 2\r\n", "192.0.2.1:1 198.51.100.2:2"),
        ROW("PROXY UNKNOWN\r\n", "unknown"),
        ROW("PROXY UNKNOWN ffff:f...f:ffff whatever -1\t\r\n", "unknown"),
        ROW("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 "
            "65535\r\n",
            "unknown"),
    };
    CHECK_ROWS(rows);
    CHECK_INT(rows[8].bytes.len, 107);
}

static void version_1_is_strict(void)
{
    static const struct row rows[] = {
        ROW("PROXY TCP4 192.0.2.1 198.51.100.2 56068 443\n", NULL),
        ROW("PROXY TCP4 192.0.2.1 198.51.100.2 56068 443\r ", NULL),
        ROW("PROXY TCP4 192.0.2.1 198.51.100.2 56068 443\r\r\n", NULL),
        ROW("PROXY TCP4 192.0.2.1\n198.51.100.2 56068 443\r\n", NULL),
        ROW("PROXY  TCP4 192.0.2.1 198.51.100.2 56068 443\r\n", NULL),
        ROW("PROXY TCP4  192.0.2.1 198.51.100.2 56068 443\r\n", NULL),
        ROW("PROXY TCP4 192.0.2.1  198.51.100.2 56068 443\r\n", NULL),
        ROW("PROXY TCP4 192.0.2.1\t198.51.100.2 56068 443\r\n", NULL),
        ROW("PROXY TCP4 192.0.2.1 198.51.100.2 56068 443 \r\n", NULL),
        ROW("PROXY TCP4 192.0.2.1 198.51.100.2 56068 443 1\r\n", NULL),
        ROW("PROXY TCP4 192.0.2.1 198.51.100.2 56068\r\n", NULL),
        ROW("PROXY TCP4 192.0.2.1 198.51.100.2 56068 \r\n", NULL),
        ROW("PROXY TCP4 192.0.2.1 198.51.100.2\r\n", NULL),
        ROW("PROXY TCP4\r\n", NULL),
        ROW("PROXY TCP4 192.0.2.1 198.51.100.2 056068 443\r\n", NULL),
        ROW("PROXY TCP4 192.0.2.1 198.51.100.2 00 443\r\n", NULL),
        ROW("PROXY TCP4 192.0.2.1 198.51.100.2 56068 65536\r\n", NULL),
        ROW("PROXY TCP4 192.0.2.1 198.51.100.2 56068 99999999999999999999\r\n", NULL),
        ROW("PROXY TCP4 192.0.2.1 198.51.100.2 +1 443\r\n", NULL),
        ROW("PROXY TCP4 192.0.2.1 198.51.100.2 0x1 443\r\n", NULL),
        ROW("PROXY TCP4 192.0.2.01 198.51.100.2 1 443\r\n", NULL),
        ROW("PROXY TCP4 192.0.2 198.51.100.2 1 443\r\n", NULL),
        ROW("PROXY TCP4 192.0.2.256 198.51.100.2 1 443\r\n", NULL),
        ROW("PROXY TCP4 192.0.2.1\0 198.51.100.2 1 443\r\n", NULL),
        ROW("PROXY TCP4 2001:db8::1 2001:db8::2 1 443\r\n", NULL),
        ROW("PROXY TCP6 192.0.2.1 198.51.100.2 1 443\r\n", NULL),
        ROW("PROXY TCP6 [2001:db8::1] ::1 1 443\r\n", NULL),
        ROW("PROXY TCP6 fe80::1%eth0 ::1 1 443\r\n", NULL),
        ROW("PROXY TCP6 1::2::3 ::1 1 443\r\n", NULL),
        ROW("PROXY TCP5 192.0.2.1 198.51.100.2 1 443\r\n", NULL),
        ROW("PROXY tcp4 192.0.2.1 198.51.100.2 1 443\r\n", NULL),
        ROW("PROXY UDP4 192.0.2.1 198.51.100.2 1 443\r\n", NULL),
        ROW("PROXY UNKNOWNS\r\n", NULL),
        ROW("PROXY \r\n", NULL),
        ROW("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 "
            "655350\r\n",
            NULL),
        ROW("proxy TCP4 192.0.2.1 198.51.100.2 1 443\r\n", NULL),
        ROW("PROXYTCP4 192.0.2.1 198.51.100.2 1 443\r\n", NULL),
    };
    CHECK_ROWS(rows);
}

static void anything_else_is_refused_at_its_first_odd_byte(void)
{
    static const char *const others[] = {"GET / HTTP/1.1\r\n", "POST /",  "PUT /", "PRI * HTTP/2.0\r\n",
                                         "\x16\x03\x01\x02",   "\r\nGET", "\n",    "\r\n\r\n\x16"};
    static const size_t told_at[] = {1, 2, 2, 3, 1, 3, 1, 5};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct proxy_line line;
        size_t len;
        struct slice bytes = slice_str(others[i]);
        CHECK_INT(read_exact(slice_first(bytes, told_at[i]), &line, &len), PROXY_LINE_ERROR);
        if (told_at[i] > 1)
            CHECK_INT(read_exact(slice_first(bytes, told_at[i] - 1), &line, &len), PROXY_LINE_MORE);
    }
    const char *why;
    struct proxy_line line;
    size_t len;
    CHECK_INT(proxy_line_read(SLICE_NONE, &line, &len, &why), PROXY_LINE_MORE);
}

static void version_2_is_read(void)
{
    static const struct row rows[] = {
        ROW(SIGNATURE "\x21\x11\x00\x0c" ENDS_V4, "192.0.2.1:56068 198.51.100.2:443"),
        ROW(SIGNATURE "\x21\x21\x00\x24" ENDS_V6, "[2001:db8::1]:56068 [2001:db8::2]:443"),
        ROW(SIGNATURE "\x20\x00\x00\x00", "local"),
        ROW(SIGNATURE "\x20\x11\x00\x0c" ENDS_V4, "local"),
        ROW(SIGNATURE "\x20\xff\x00\x02\x01\xff", "local"),
        ROW(SIGNATURE "\x21\x00\x00\x00", "unknown"),
        ROW(SIGNATURE "\x21\x00\x00\x04\x7f\x00\x00\x01", "unknown"),
        ROW(SIGNATURE "\x21\x10\x00\x0c" ENDS_V4, "unknown"),
        ROW(SIGNATURE "\x21\x12\x00\x0c" ENDS_V4, "unknown"),
        /* TLVs: authority, one of no length, one of a type that nobody knows */
        ROW(SIGNATURE "\x21\x11\x00\x1c" ENDS_V4 "\x02\x00\x06"
                      "a.test"
                      "\x04\x00\x00"
                      "\xea\x00\x01\x01",
            "192.0.2.1:56068 198.51.100.2:443"),
        /* TLS: flags, verify, version */
        ROW(SIGNATURE "\x21\x11\x00\x1e" ENDS_V4 "\x20\x00\x0f\x01\x00\x00\x00\x01"
                      "\x21\x00\x07"
                      "TLSv1.3",
            "192.0.2.1:56068 198.51.100.2:443"),
    };
    CHECK_ROWS(rows);
}

static void version_2_is_strict(void)
{
    static const struct row rows[] = {
        ROW(SIGNATURE "\x11", NULL),
        ROW(SIGNATURE "\x31", NULL),
        ROW(SIGNATURE "\x22", NULL),
        ROW(SIGNATURE "\x2f", NULL),
        ROW("\r\n\r\n\0\r\nQUIT\r", NULL),
        ROW(SIGNATURE "\x21\x41\x00\x00", NULL),
        ROW(SIGNATURE "\x21\x13\x00\x0c" ENDS_V4, NULL),
        ROW(SIGNATURE "\x21\x11\x00\x0b\xc0\x00\x02\x01\xc6\x33\x64\x02\xdb\x04\x01", NULL),
        ROW(SIGNATURE "\x21\x11\x00\x00", NULL),
        ROW(SIGNATURE "\x21\x21\x00\x0c" ENDS_V4, NULL),
        ROW(SIGNATURE "\x21\x31\x00\x0c" ENDS_V4, NULL),
        ROW(SIGNATURE "\x21\x11\x0f\xf1", NULL), /* one byte over the limit with its first 16 */
        ROW(SIGNATURE "\x20\x00\xff\xff", NULL),
        ROW(SIGNATURE "\x21\x11\x00\x0d" ENDS_V4 "\x04", NULL),
        ROW(SIGNATURE "\x21\x11\x00\x0e" ENDS_V4 "\x04\x00", NULL),
        ROW(SIGNATURE "\x21\x11\x00\x0f" ENDS_V4 "\x04\x00\x01", NULL),
        ROW(SIGNATURE "\x21\x11\x00\x10" ENDS_V4 "\x04\xff\xff\x01", NULL),
        ROW(SIGNATURE "\x21\x11\x00\x13" ENDS_V4 "\x20\x00\x04\x01\x00\x00\x00", NULL),
        ROW(SIGNATURE "\x21\x11\x00\x18" ENDS_V4 "\x20\x00\x09\x01\x00\x00\x00\x00\x21\x00\x02x", NULL),
        ROW(SIGNATURE "\x21\x11\x00\x12" ENDS_V4 "\x03\x00\x03\x01\x02\x03", NULL),
    };
    CHECK_ROWS(rows);
}

/* A unix sender has no address to give; the block is as long as two paths. */
static void unix_ends_are_not_known(void)
{
    struct buf bytes = {0};
    buf_append_slice(&bytes, SLICE_LIT(SIGNATURE "\x21\x31\x00\xd8"));
    memset(buf_reserve(&bytes, 216), 'p', 216);
    bytes.len += 216;
    struct row row = {buf_slice(&bytes), "unknown"};
    check_row(&row);
    buf_cleanup(&bytes);
}

static void the_longest_header_is_read(void)
{
    struct buf bytes = {0};
    size_t padding = LIMIT_PROXY_LINE_BYTES - 16 - 12 - 3;
    buf_append_slice(&bytes, SLICE_LIT(SIGNATURE "\x21\x11\x0f\xf0" ENDS_V4 "\x04"));
    buf_append_char(&bytes, (char)(padding >> 8));
    buf_append_char(&bytes, (char)(padding & 255));
    memset(buf_reserve(&bytes, padding), 0, padding);
    bytes.len += padding;
    CHECK_INT(bytes.len, LIMIT_PROXY_LINE_BYTES);
    struct row row = {buf_slice(&bytes), "192.0.2.1:56068 198.51.100.2:443"};
    check_row(&row);
    buf_cleanup(&bytes);
}

/* Checksum and value were computed by another implementation, a bit at a time. */
static void a_checksum_is_verified(void)
{
    static const struct slice header = SLICE_LIT(SIGNATURE "\x21\x11\x00\x17" ENDS_V4 "\x03\x00\x04"
                                                           "\xc2\xc4\xd5\xfc"
                                                           "\x04\x00\x01"
                                                           "x");
    char bytes[64];
    struct row good = {header, "192.0.2.1:56068 198.51.100.2:443"};
    check_row(&good);
    for (size_t at = 16; at < header.len; at++) {
        struct proxy_line line;
        size_t len;
        if (at == 16 + 12) /* another type: no checksum */
            continue;
        memcpy(bytes, header.ptr, header.len);
        bytes[at] = (char)(bytes[at] ^ 0x10);
        CHECK_INT(read_exact(slice_make(bytes, header.len), &line, &len), PROXY_LINE_ERROR);
    }
}

/* ---- writing ---- */

static struct proxy_line line_of(const char *from, const char *to)
{
    struct proxy_line line = {.known = true, .from.port = 56068, .to.port = 443};
    CHECK(ip_parse(slice_str(from), &line.from.ip) && ip_parse(slice_str(to), &line.to.ip));
    return line;
}

static void check_written(const struct proxy_line *line, const struct proxy_line_tls *tls, unsigned version,
                          struct slice want)
{
    struct buf out = {0};
    struct proxy_line again;
    size_t len = 0;
    buf_append_str(&out, "before");
    if (version == 1)
        proxy_line_write_v1(&out, line);
    else
        proxy_line_write_v2(&out, line, tls);
    struct slice got = slice_skip(buf_slice(&out), 6);
    CHECK_MEM(got.ptr, got.len, want.ptr, want.len);
    CHECK_INT(read_exact(got, &again, &len), PROXY_LINE_DONE);
    CHECK_INT(len, got.len);
    CHECK_INT(again.known, line->known);
    CHECK(!line->known || (memcmp(&again.from.ip, &line->from.ip, 16) == 0 && again.to.port == line->to.port));
    buf_cleanup(&out);
}

static void both_versions_are_written(void)
{
    struct proxy_line v4 = line_of("192.0.2.1", "198.51.100.2"), v6 = line_of("2001:db8::1", "2001:db8::2"),
                      mixed = line_of("192.0.2.1", "2001:db8::2"), unknown = {0}, local = {.local = true};
    check_written(&v4, NULL, 1, SLICE_LIT("PROXY TCP4 192.0.2.1 198.51.100.2 56068 443\r\n"));
    check_written(&v6, NULL, 1, SLICE_LIT("PROXY TCP6 2001:db8::1 2001:db8::2 56068 443\r\n"));
    check_written(&mixed, NULL, 1, SLICE_LIT("PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 56068 443\r\n"));
    check_written(&unknown, NULL, 1, SLICE_LIT("PROXY UNKNOWN\r\n"));
    check_written(&v4, NULL, 2, SLICE_LIT(SIGNATURE "\x21\x11\x00\x0c" ENDS_V4));
    check_written(&v6, NULL, 2, SLICE_LIT(SIGNATURE "\x21\x21\x00\x24" ENDS_V6));
    check_written(&unknown, NULL, 2, SLICE_LIT(SIGNATURE "\x21\x00\x00\x00"));
    check_written(&local, NULL, 2, SLICE_LIT(SIGNATURE "\x20\x00\x00\x00"));
}

static void the_clients_tls_is_told(void)
{
    struct proxy_line v4 = line_of("192.0.2.1", "198.51.100.2");
    struct proxy_line_tls tls = {.alpn = SLICE_LIT("h2"),
                                 .authority = SLICE_LIT("a.test"),
                                 .version = SLICE_LIT("TLSv1.3"),
                                 .cipher = SLICE_LIT("AES")};
    check_written(&v4, &tls, 2,
                  SLICE_LIT(SIGNATURE "\x21\x11\x00\x32" ENDS_V4 "\x01\x00\x02"
                                      "h2"
                                      "\x02\x00\x06"
                                      "a.test"
                                      "\x20\x00\x15\x01\x00\x00\x00\x01"
                                      "\x21\x00\x07"
                                      "TLSv1.3"
                                      "\x23\x00\x03"
                                      "AES"));
    tls = (struct proxy_line_tls){.certificate = true, .common_name = SLICE_LIT("me")};
    check_written(&v4, &tls, 2,
                  SLICE_LIT(SIGNATURE "\x21\x11\x00\x19" ENDS_V4 "\x20\x00\x0a\x07\0\0\0\0"
                                      "\x22\x00\x02me"));
}

/* Cut at every byte, and with what follows in the same read. */
static void a_header_is_read_as_it_comes(void)
{
    static const struct slice both[] = {SLICE_LIT("PROXY TCP4 192.0.2.1 198.51.100.2 56068 443\r\nGET"),
                                        SLICE_LIT(SIGNATURE "\x21\x11\x00\x0c" ENDS_V4 "GET")};
    for (size_t i = 0; i < 2; i++)
        for (size_t cut = 0; cut < both[i].len - 3; cut++) {
            struct proxy_line_reader reader = {0};
            struct proxy_line line = {0};
            const char *why = NULL;
            size_t used = 0;
            CHECK_INT(proxy_line_feed(&reader, slice_first(both[i], cut), &line, &used, &why), PROXY_LINE_MORE);
            struct slice rest = slice_skip(both[i], cut);
            CHECK_INT(proxy_line_feed(&reader, rest, &line, &used, &why), PROXY_LINE_DONE);
            CHECK_SLICE(slice_skip(rest, used), "GET");
            CHECK_STR(said_of(&line), "192.0.2.1:56068 198.51.100.2:443");
            CHECK_INT(reader.held.cap, 0);
        }
}

static void a_header_that_is_none_is_not_kept(void)
{
    struct proxy_line_reader reader = {0};
    struct proxy_line line;
    const char *why = NULL;
    size_t used;
    char flood[3 * LIMIT_PROXY_LINE_BYTES];
    memset(flood, 'x', sizeof flood);
    memcpy(flood, "PROXY UNKNOWN ", 14);
    CHECK_INT(proxy_line_feed(&reader, slice_make(flood, sizeof flood), &line, &used, &why), PROXY_LINE_ERROR);
    CHECK_STR(why, "no end of the line within 107 bytes");
    CHECK_INT(reader.held.cap, 0);
}

/* A name that was cut could pass for another. */
static void a_long_text_is_left_out(void)
{
    char name[LIMIT_PROXY_TEXT_BYTES + 1];
    struct proxy_line v4 = line_of("192.0.2.1", "198.51.100.2");
    memset(name, 'n', sizeof name);
    for (size_t over = 0; over < 2; over++) {
        struct buf out = {0};
        struct proxy_line_tls tls = {.certificate = true,
                                     .common_name = slice_make(name, LIMIT_PROXY_TEXT_BYTES + over)};
        proxy_line_write_v2(&out, &v4, &tls);
        CHECK_INT(out.len, 16 + 12 + 3 + 5 + (over ? 0 : 3 + LIMIT_PROXY_TEXT_BYTES));
        buf_cleanup(&out);
    }
}

int main(void)
{
    RUN(version_1_is_read);
    RUN(version_1_is_strict);
    RUN(anything_else_is_refused_at_its_first_odd_byte);
    RUN(version_2_is_read);
    RUN(version_2_is_strict);
    RUN(unix_ends_are_not_known);
    RUN(the_longest_header_is_read);
    RUN(a_checksum_is_verified);
    RUN(a_header_is_read_as_it_comes);
    RUN(a_header_that_is_none_is_not_kept);
    RUN(both_versions_are_written);
    RUN(the_clients_tls_is_told);
    RUN(a_long_text_is_left_out);
    return checks_done();
}
