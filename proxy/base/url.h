/* url: the absolute http and https URLs that we are given (RFC 3986, strictly: no userinfo, no fragment, no control or
 * blank or byte above 0x7e). Views into the text that was parsed; nothing is normalised. Any thread. */
#ifndef BASE_URL_H
#define BASE_URL_H

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

struct url {
    bool https;
    struct slice host; /* without brackets; lower case is not enforced */
    bool host_is_ipv6; /* was in brackets */
    uint16_t port;     /* given, or 80 or 443 */
    bool port_given;
    struct slice authority; /* host and port as written */
    struct slice target;    /* path and query, as sent in a request line; "/" where the URL has none */
};

/* The host is an address, or labels of letters, digits, `-` and `_` (containers have such names), with one final dot at
 * most; what a resolver would take for an address written otherwise (127.1, 0x7f000001) is refused. ERR_INPUT with the
 * offset of the fault as code; *out_url is then untouched. The views live as long as the text. */
MUST_CHECK struct err url_parse(struct slice text, struct url *out_url);

/* "user:password", as it is written in front of the host of an http(s) URL, or the empty slice; the URL without it is appended
 * to out_rest. A view. */
struct slice url_take_userinfo(struct slice text, struct buf *out_rest);

/* A DNS name: LDH labels of 1 to 63, at most 253 in all, no empty label, no trailing dot, last label not all digits.
 * With allow_wildcard the first label may be `*` where two more follow. Case is not looked at. */
bool name_is_dns(struct slice name, bool allow_wildcard);
/* An IPv4 dotted quad or an IPv6 literal without brackets. */
bool name_is_ip(struct slice name);
/* The same name whatever the case, or the same address whatever its spelling. */
bool name_same(struct slice a, struct slice b);
/* An address as it is to be written (RFC 1123 dotted quad, RFC 5952), or any other text. */
bool name_is_canonical(struct slice name);
/* No public CA signs it: a single label, localhost, local, internal, test, example, invalid, home.arpa, lan, svc,
 * cluster.local and what is below them; private, shared (RFC 6598), loopback, link-local, unique-local and
 * unspecified addresses, v4-mapped ones like those they stand for. One final dot is overlooked. */
bool name_is_local(struct slice name);

#endif
