/* field: names and values of header fields, and the lists inside them (RFC 9110 §5).
 *
 * Knows which names the proxy treats specially; owns nothing, keeps nothing, never allocates. Any thread. */
#ifndef HTTP_FIELD_H
#define HTTP_FIELD_H

#include "base/slice.h"

/* X(id, name in lower case). Every name that some rule asks for; others are FIELD_OTHER. */
#define FIELDS(X)                                             \
    X(ACCEPT, "accept")                                       \
    X(ACCEPT_ENCODING, "accept-encoding")                     \
    X(AGE, "age")                                             \
    X(AUTHORIZATION, "authorization")                         \
    X(CACHE_CONTROL, "cache-control")                         \
    X(CONNECTION, "connection")                               \
    X(CONTENT_ENCODING, "content-encoding")                   \
    X(CONTENT_LENGTH, "content-length")                       \
    X(CONTENT_RANGE, "content-range")                         \
    X(CONTENT_TYPE, "content-type")                           \
    X(COOKIE, "cookie")                                       \
    X(DATE, "date")                                           \
    X(ETAG, "etag")                                           \
    X(EXPECT, "expect")                                       \
    X(EXPIRES, "expires")                                     \
    X(FORWARDED, "forwarded")                                 \
    X(HOST, "host")                                           \
    X(HTTP2_SETTINGS, "http2-settings")                       \
    X(IF_MATCH, "if-match")                                   \
    X(IF_MODIFIED_SINCE, "if-modified-since")                 \
    X(IF_NONE_MATCH, "if-none-match")                         \
    X(IF_RANGE, "if-range")                                   \
    X(IF_UNMODIFIED_SINCE, "if-unmodified-since")             \
    X(KEEP_ALIVE, "keep-alive")                               \
    X(LINK, "link")                                           \
    X(LOCATION, "location")                                   \
    X(MAX_FORWARDS, "max-forwards")                           \
    X(ORIGIN, "origin")                                       \
    X(PRAGMA, "pragma")                                       \
    X(PROXY, "proxy")                                         \
    X(PROXY_AUTHENTICATE, "proxy-authenticate")               \
    X(PROXY_AUTHORIZATION, "proxy-authorization")             \
    X(PROXY_CONNECTION, "proxy-connection")                   \
    X(RANGE, "range")                                         \
    X(REFERER, "referer")                                     \
    X(REPLAY_NONCE, "replay-nonce")                           \
    X(RETRY_AFTER, "retry-after")                             \
    X(SEC_WEBSOCKET_ACCEPT, "sec-websocket-accept")           \
    X(SEC_WEBSOCKET_KEY, "sec-websocket-key")                 \
    X(SERVER, "server")                                       \
    X(SET_COOKIE, "set-cookie")                               \
    X(STRICT_TRANSPORT_SECURITY, "strict-transport-security") \
    X(TE, "te")                                               \
    X(TRACEPARENT, "traceparent")                             \
    X(TRACESTATE, "tracestate")                               \
    X(TRAILER, "trailer")                                     \
    X(TRANSFER_ENCODING, "transfer-encoding")                 \
    X(UPGRADE, "upgrade")                                     \
    X(USER_AGENT, "user-agent")                               \
    X(VARY, "vary")                                           \
    X(VIA, "via")                                             \
    X(WWW_AUTHENTICATE, "www-authenticate")                   \
    X(X_FORWARDED_FOR, "x-forwarded-for")                     \
    X(X_FORWARDED_HOST, "x-forwarded-host")                   \
    X(X_FORWARDED_PORT, "x-forwarded-port")                   \
    X(X_FORWARDED_PROTO, "x-forwarded-proto")                 \
    X(X_REAL_IP, "x-real-ip")                                 \
    X(X_REQUEST_ID, "x-request-id")

enum field_id {
    FIELD_OTHER,
#define X(id, name) FIELD_##id,
    FIELDS(X)
#undef X
        NUM_FIELD_IDS
};

struct field {
    struct slice name;  /* as sent, in whatever case */
    struct slice value; /* without the blanks around it; may be empty */
    enum field_id id;
};

/* The id of a name in any case, or FIELD_OTHER. */
enum field_id field_lookup(struct slice name);
/* The name in lower case; the empty slice for FIELD_OTHER. */
struct slice field_name(enum field_id id);

/* One or more token characters (RFC 9110 §5.6.2). */
bool field_is_token(struct slice s);
/* Visible characters, blanks, tabs and bytes above 0x7f; no control byte, no DEL (RFC 9110 §5.5). May be empty. */
bool field_value_is_valid(struct slice value);

/* Walks a comma-separated list (RFC 9110 §5.6.1): cuts the next element that is not empty from *rest, trimmed.
 * Returns false at the end. Quoted strings are not looked into: meant for lists of tokens. */
bool field_list_next(struct slice *rest, struct slice *out_element);
/* Whether the list holds the token, in any case. */
bool field_list_has(struct slice list, struct slice token);

#endif
