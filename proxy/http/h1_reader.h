/* h1_reader: HTTP/1.x messages out of bytes, as a sequence of events (RFC 9112).
 *
 * Strict: what two parsers could read differently is refused (HARDENING R1-R13, B5-B7). Does no I/O, calls nobody back,
 * closes nothing. Owns no memory: heads and trailers are copied into the arena that the caller gives for each message,
 * body bytes are views into what was fed; between messages it holds nothing beyond itself. One thread at a time.
 *
 *     begin -> [H1_HEAD with status 1xx]* -> H1_HEAD -> H1_BODY* -> H1_END -> begin ...
 *                                               |
 *                                               +-> H1_UPGRADE (again and again, until told)
 *
 * The loop of a caller:
 *
 *     for (;;) {
 *         enum h1_event event = h1_reader_feed(reader, in, &consumed);
 *         in = slice_skip(in, consumed);
 *         switch (event) ...            H1_NEED_MORE: `in` is used up, return to the socket
 *     }
 *
 * It may stop after any event and go on later with the bytes that were left. After H1_HEAD it feeds on, also with
 * nothing: a message without a body ends with the next call. After H1_END what is left belongs to the next message:
 * nothing is looked at before h1_reader_begin. */
#ifndef HTTP_H1_READER_H
#define HTTP_H1_READER_H

#include "http/h1_section.h"
#include "http/head.h"

enum h1_kind { H1_REQUEST, H1_RESPONSE };

enum h1_event {
    H1_NEED_MORE, /* everything was consumed */
    H1_HEAD,      /* reader->head is complete */
    H1_BODY,      /* reader->body: bytes of the body, a view into what was fed; never empty */
    H1_END,       /* the message is complete, head->trailers are set; consumes nothing more */
    H1_UPGRADE,   /* the bytes behind the head are not HTTP until h1_reader_upgrade says otherwise; consumes nothing */
    H1_ERROR      /* reader->err; the connection must not be used for another message */
};

struct h1_limits {
    uint32_t head_bytes; /* start line and fields; of a response: of all its interim heads together */
    uint32_t num_fields;
    uint32_t target_bytes; /* requests alone */
    uint64_t body_bytes;   /* 0: no limit */
};

/* The limits of base/limits.h, without one for the body. */
extern const struct h1_limits H1_REQUEST_LIMITS, H1_RESPONSE_LIMITS; /* NOLINT(readability-identifier-naming) */

struct h1_reader {
    /* for the caller to read */
    struct head *head; /* in the arena; with H1_ERROR what was understood so far, for the access log, or NULL */
    struct slice body; /* with H1_BODY */
    struct err err; /* with H1_ERROR: ERR_INPUT or ERR_LIMIT; code is the status to answer (400 405 413 414 417 431 501
                        * 505; of a response always 502), what is a literal for the log */

    /* its own */
    struct h1_limits limits;
    struct arena *arena;
    void *chunked;             /* the parser of a chunked body, in the arena */
    struct h1_section section; /* of a head or trailers that came in pieces */
    uint32_t heads_bytes;      /* of this message, interim ones included */
    uint32_t framing_bytes;    /* of this chunk: everything but data */
    uint32_t extension_bytes;  /* of this message's chunks */
    uint64_t body_left;        /* BODY_LENGTH: still to come; else: what the limit leaves */
    uint8_t kind, state;
    uint8_t num_interim;
    uint8_t request_method; /* of what a response answers */
    bool upgrade_asked;
};

/* Copies the limits. */
void h1_reader_init(struct h1_reader *reader, enum h1_kind kind, const struct h1_limits *limits);

/* Before each request. The arena is borrowed until H1_END or H1_ERROR has been dealt with; it may be empty. */
void h1_reader_begin(struct h1_reader *reader, struct arena *arena);
/* Before each response: what it answers decides its framing (HEAD) and whether 101 may come. */
void h1_reader_begin_response(struct h1_reader *reader, struct arena *arena, enum method asked, bool upgrade_asked);

/* Consumes from `in` up to the next event. *out_consumed is always set, at most in.len; on H1_NEED_MORE it is in.len.
 * After H1_ERROR, and before begin or after H1_END, it consumes nothing and says the same again. */
enum h1_event h1_reader_feed(struct h1_reader *reader, struct slice in, size_t *out_consumed);

/* The peer has ended its side. H1_END: a body until close is complete by this. H1_NEED_MORE: between messages, nothing
 * was cut. H1_ERROR (ERR_EOF; 400 or 502): in the midst of a message. H1_UPGRADE: the tunnel's concern. */
enum h1_event h1_reader_eof(struct h1_reader *reader);

/* After H1_HEAD of a request with head->upgrade. Accepted (the backend said 101, and it was sent on): feed says H1_UPGRADE
 * for ever. Not accepted: the request is over, H1_END comes next, then the bytes may be the next request. */
void h1_reader_upgrade(struct h1_reader *reader, bool accepted);

/* Of a method that HTTP/1.1 clients may use here: others are answered 501, in whatever protocol they come. */
bool h1_reader_knows_method(struct slice name);

/* Some bytes of a message have come and its head is not complete: for the head's deadline. */
bool h1_reader_in_head(const struct h1_reader *reader);

#endif
