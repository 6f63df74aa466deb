/* hop: what changes in a head on its way through the proxy (PRODUCT.md "Forwarding rules", HARDENING R9).
 *
 * Pure functions that read the head that came in and make the list of fields that goes out, as views into it; each
 * protocol writes that list in its own form. Hop-by-hop fields go before ours are set. No I/O, no state. Any thread. */
#ifndef HTTP_HOP_H
#define HTTP_HOP_H

#include "http/cert_fields.h"
#include "http/h1_writer.h"

/* Which fields of a request may pass, beyond the rules that hold for all of them. */
struct hop_client {
    bool trusted;              /* the peer is in TRUSTED_PROXIES: what it says of who the client is may pass */
    bool drops[NUM_FIELD_IDS]; /* not wanted, or written anew by the caller */
    const struct cert_fields *cert; /* of TLS_CLIENT_AUTH, told behind the others; NULL: clients are not asked */
};

/* Drops the fields that http/forwarded writes. */
void hop_drop_forwarding(struct hop_client *client);

/* The framing of a request that is forwarded with the body it came with. */
struct h1_framing hop_request_framing(const struct head *head);
/* The framing of an answer to a client of that version (10, 11): chunked where the body's length is not known, until
 * close for HTTP/1.0; Connection by keep_alive. A 101 that grants the upgrade says so. */
struct h1_framing hop_response_framing(const struct head *head, unsigned client_version, bool keep_alive);

/* Appends to `out` (in the arena) the fields of the request that go upstream, in whatever protocol. Dropped: hop-by-hop
 * fields and those that Connection names (which cannot strip Host, Content-Length, X-Forwarded-*), Host, which travels as
 * head->authority, Proxy, HTTP2-Settings, TE other than trailers, names with `_`, client->drops, and of a client that is not
 * trusted all X-Forwarded-*, Forwarded, X-Real-IP and the names of cert_fields, which go in any case where clients are
 * asked. Then set: cert_fields. Returns how many fields were dropped without a hop-by-hop reason (`_`, Proxy, untrusted
 * forwarding fields): for the counter FIELDS_DROPPED. */
unsigned hop_request_fields(const struct head *head, const struct hop_client *client, struct arena *arena,
                            struct fields *out);

/* Appends to `out` the fields of the response that go to the client. Dropped: hop-by-hop fields, framing, and those that
 * Connection names. Returns what was dropped without a hop-by-hop reason. */
unsigned hop_response_fields(const struct head *head, struct arena *arena, struct fields *out);

/* May stand in trailers (RFC 9110 §6.5.1): nothing of framing, routing, authentication, content format, or ours. */
bool hop_may_trail(const struct field *field);
/* Appends the end of a chunked body: the last chunk, those trailers that may pass, the empty line. Returns what was
 * dropped. */
unsigned hop_write_trailers(struct buf *out, const struct fields *trailers);

#endif
