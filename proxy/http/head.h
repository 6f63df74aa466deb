/* head: a parsed request or response head, of HTTP/1.x now and HTTP/2 as well.
 *
 * Plain values over bytes that live in the arena of their exchange: nothing is freed here. Whoever fills it (h1_reader,
 * an HTTP/2 front, the maker of a local answer) vouches for what the comments promise. Any thread, one at a time. */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

#include "base/arena.h"
#include "base/err.h"
#include "http/field.h"

enum method {
    METHOD_OTHER, /* known to the parser, nothing special to us */
    METHOD_GET,
    METHOD_HEAD,
    METHOD_POST,
    METHOD_PUT,
    METHOD_DELETE,
    METHOD_OPTIONS,
    METHOD_PATCH,
    METHOD_CONNECT,
    METHOD_TRACE
};

/* How the end of the body is found (RFC 9112 §6.3). */
enum body {
    BODY_NONE,       /* no body, and the head need not say so */
    BODY_LENGTH,     /* head.length bytes, possibly 0 */
    BODY_CHUNKED,    /* chunked; in HTTP/2 a body without content-length */
    BODY_UNTIL_CLOSE /* responses alone */
};

enum upgrade { UPGRADE_NONE, UPGRADE_WEBSOCKET };

struct fields {
    struct field *at; /* in the arena */
    uint32_t num, cap;
};

struct head {
    /* request */
    enum method method;
    struct slice method_name;
    struct slice target;    /* origin-form ("/path?query") or "*": what goes upstream, never normalised */
    struct slice scheme;    /* of an absolute-form target or :scheme, "http" or "https"; empty where not said */
    struct slice authority; /* the Host value (or :authority), byte for byte, validated; empty only in HTTP/1.0 */
    struct slice host;      /* its name in lower case, without port, brackets and one trailing dot */
    uint16_t port;          /* of the authority; 0 where it names none */
    bool host_is_ipv6;      /* was in brackets */
    bool expect_continue;   /* Expect: 100-continue, and there is a body to wait with */

    /* response */
    uint16_t status;
    struct slice reason; /* may be empty */

    /* both */
    uint8_t version;      /* 10, 11 or 20 */
    enum upgrade upgrade; /* request: websocket is wished for and may pass; response: a 101 that grants it */
    bool keep_alive;      /* the sender allows another message on this connection (RFC 9112 §9.3) */
    enum body body;
    bool length_given;      /* a Content-Length was there; also where body is BODY_NONE (HEAD, 304) */
    uint64_t length;        /* its value; at most INT64_MAX */
    struct fields fields;   /* all of them, framing and hop-by-hop included: http/hop drops on the way out */
    struct fields trailers; /* complete with H1_END; never merged into fields */
};

/* The method of a name, by its exact bytes (methods are case-sensitive). */
enum method method_lookup(struct slice name);
/* Safe to send twice (RFC 9110 §9.2.2). */
bool method_is_idempotent(enum method method);

/* Parses and validates "host[:port]" (R7): letters, digits, `-` `.` `_`, or an IPv6 literal in brackets; a port of 1 to
 * 65535 where there is a colon. Sets authority, host, port and host_is_ipv6 of the head; the host, in lower case,
 * an IPv6 one in its canonical text (RFC 5952), goes into the arena, authority itself is borrowed. Err: ERR_INPUT 400. */
MUST_CHECK struct err head_set_authority(struct head *head, struct arena *arena, struct slice authority);

/* The first field of that id, or NULL. */
const struct field *fields_find(const struct fields *fields, enum field_id id);
/* Appends; name and value are borrowed (they must live as long as the arena). Never fails. */
void fields_add(struct fields *fields, struct arena *arena, struct slice name, struct slice value);
/* Appends a field as it is: its id is known. Never fails. */
void fields_put(struct fields *fields, struct arena *arena, struct field field);
/* Removes all fields of that id, keeping the order of the others; returns how many there were. */
unsigned fields_remove(struct fields *fields, enum field_id id);

/* No field at all may be at NULL, to which even 0 must not be added. NOLINTBEGIN(bugprone-macro-parentheses) */
#define FIELDS_EACH(fields, field)                                                                      \
    for (const struct field *field = (fields)->at, *field##_end = field ? field + (fields)->num : NULL; \
         field != field##_end; field++)
/* NOLINTEND(bugprone-macro-parentheses) */

/* The value of the first field of that id; ptr NULL where there is none. */
struct slice head_get(const struct head *head, enum field_id id);
/* The same for any name, in any case. */
struct slice head_get_named(const struct head *head, struct slice name);
/* Whether any field of that id holds the token in its list, in any case. */
bool head_has_token(const struct head *head, enum field_id id, struct slice token);

static inline void head_add(struct head *head, struct arena *arena, struct slice name, struct slice value)
{
    fields_add(&head->fields, arena, name, value);
}

static inline unsigned head_remove(struct head *head, enum field_id id)
{
    return fields_remove(&head->fields, id);
}

#endif
