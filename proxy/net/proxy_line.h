/* proxy_line: the header of the PROXY protocol, versions 1 and 2, by which a proxy tells the next one where a connection
 * comes from (HAProxy's proxy-protocol.txt; § below are its sections). Pure. Any thread; owns nothing.
 *
 * Never guesses whether there is a header: whoever reads one has decided by configuration that one must come (§5). */
#ifndef NET_PROXY_LINE_H
#define NET_PROXY_LINE_H

#include "base/buf.h"
#include "base/cidr.h"

struct proxy_end {
    struct ip ip;
    uint16_t port;
};

/* What a header says. */
struct proxy_line {
    bool local; /* version 2, LOCAL: the sender speaks for itself, as health checks do */
    bool known; /* from and to are given; else (LOCAL, UNKNOWN, UNSPEC, unix sockets, datagrams) the ends of the
                   connection itself hold */
    struct proxy_end from, to;
};

enum proxy_line_verdict {
    PROXY_LINE_MORE, /* so far it is the beginning of a header: ask again with more bytes behind the same ones */
    PROXY_LINE_DONE,
    PROXY_LINE_ERROR
};

/* Reads a header of either version at the start of `bytes`, which are all that have come. DONE: *out_len of them are the
 * header, at most LIMIT_PROXY_LINE_BYTES. ERROR: *out_why, a literal, tells the rule that was broken, as early as it can
 * be told. Version 1 as §2.1 has it: CRLF within 107 bytes, single spaces, addresses of the family that is named, ports
 * without leading zeros. Version 2, §2.2: the form of its TLVs is checked, and CRC32C where there is one; they are not
 * used otherwise. */
enum proxy_line_verdict proxy_line_read(struct slice bytes, struct proxy_line *out_line, size_t *out_len,
                                        const char **out_why);

/* The same, of bytes as they come. Owns the beginning of a header, LIMIT_PROXY_LINE_BYTES at most; zeroed it is new. */
struct proxy_line_reader {
    struct buf held;
};

/* DONE: the first *out_used bytes of `in` were the rest of the header. Not called again after DONE or ERROR. */
enum proxy_line_verdict proxy_line_feed(struct proxy_line_reader *reader, struct slice in, struct proxy_line *out_line,
                                        size_t *out_used, const char **out_why);
void proxy_line_reader_cleanup(struct proxy_line_reader *reader);

/* What version 2 can tell of the client's TLS (§2.2.1, 2.2.2, 2.2.6). A text is told whole or not at all: empty
 * ones and those over LIMIT_PROXY_TEXT_BYTES are left out. */
struct proxy_line_tls {
    struct slice alpn, authority; /* authority: SNI */
    struct slice version, cipher; /* "TLSv1.3", "TLS_AES_128_GCM_SHA256" */
    bool certificate;             /* the client gave one on this connection, and it was verified */
    struct slice common_name;     /* of its subject */
};

/* Append a header. Two IPv4 ends make TCP4, any other two TCP6; ends that are not known, UNKNOWN or UNSPEC. `local` makes
 * LOCAL in version 2. tls may be NULL. */
void proxy_line_write_v1(struct buf *out, const struct proxy_line *line);
void proxy_line_write_v2(struct buf *out, const struct proxy_line *line, const struct proxy_line_tls *tls);

#endif
