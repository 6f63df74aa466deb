#include "base/url.h"

#include <arpa/inet.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool all_are(struct slice s, bool (*test)(char))
{
    for (size_t i = 0; i < s.len; i++)
        if (!test(s.ptr[i]))
            return false;
    return true;
}

static struct slice without_final_dot(struct slice name)
{
    if (name.len && name.ptr[name.len - 1] == '.')
        name.len--;
    return name;
}

static struct slice last_label(struct slice name)
{
    struct slice label = name;
    for (struct slice rest = name; rest.len;)
        label = slice_split(&rest, '.');
    return label;
}

/* Names */

static bool label_is_ldh(struct slice label)
{
    if (label.len < 1 || label.len > 63 || label.ptr[0] == '-' || label.ptr[label.len - 1] == '-')
        return false;
    for (size_t i = 0; i < label.len; i++)
        if (!is_alnum(label.ptr[i]) && label.ptr[i] != '-')
            return false;
    return true;
}

bool name_is_dns(struct slice name, bool allow_wildcard)
{
    if (name.len < 1 || name.len > 253 || name.ptr[name.len - 1] == '.')
        return false;
    bool wildcard = allow_wildcard && slice_starts(name, SLICE_LIT("*."));
    struct slice rest = wildcard ? slice_skip(name, 2) : name, label;
    size_t num_labels = 0;
    do {
        label = slice_split(&rest, '.');
        num_labels++;
        if (!label_is_ldh(label))
            return false;
    } while (rest.len);
    return !all_are(label, is_digit) && (!wildcard || num_labels >= 2);
}

/* inet_pton for a slice: `out` has room for an address of the family. */
static bool parse_address(int family, struct slice text, void *out)
{
    char copy[INET6_ADDRSTRLEN];
    if (text.len == 0 || text.len >= sizeof copy || memchr(text.ptr, '\0', text.len))
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return inet_pton(family, copy, out) == 1;
}

bool name_is_ip(struct slice name)
{
    unsigned char address[16];
    return parse_address(AF_INET, name, address) || parse_address(AF_INET6, name, address);
}

bool name_same(struct slice a, struct slice b)
{
    unsigned char address_a[16], address_b[16];
    return slice_ieq(a, b) || (parse_address(AF_INET6, a, address_a) && parse_address(AF_INET6, b, address_b) &&
                               memcmp(address_a, address_b, sizeof address_a) == 0);
}

bool name_is_canonical(struct slice name)
{
    unsigned char address[16];
    char text[INET6_ADDRSTRLEN];
    if (!parse_address(AF_INET6, name, address))
        return true; /* inet_pton takes dotted quads in one form alone */
    return inet_ntop(AF_INET6, address, text, sizeof text) && slice_eq(name, slice_str(text));
}

static bool ipv4_is_local(const unsigned char a[4])
{
    return a[0] == 0 || a[0] == 10 || a[0] == 127 || (a[0] == 100 && (a[1] & 0xc0) == 64) || /* RFC 6598 */
           (a[0] == 169 && a[1] == 254) || (a[0] == 172 && (a[1] & 0xf0) == 16) || (a[0] == 192 && a[1] == 168);
}

static bool ipv6_is_local(const unsigned char a[16])
{
    static const unsigned char zeros[15], mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (memcmp(a, mapped, sizeof mapped) == 0)
        return ipv4_is_local(a + 12);
    return (memcmp(a, zeros, sizeof zeros) == 0 && a[15] <= 1) || (a[0] == 0xfe && (a[1] & 0xc0) == 0x80) ||
           (a[0] & 0xfe) == 0xfc;
}

/* `suffix` itself or a name below it. */
static bool is_or_is_below(struct slice name, struct slice suffix)
{
    if (name.len > suffix.len && name.ptr[name.len - suffix.len - 1] != '.')
        return false;
    return name.len >= suffix.len && slice_ieq(slice_skip(name, name.len - suffix.len), suffix);
}

bool name_is_local(struct slice name)
{
    static const char *const suffixes[] = {"localhost", "local", "internal", "test",     "example",
                                           "invalid",   "lan",   "svc",      "home.arpa"};
    unsigned char address[16];
    if (parse_address(AF_INET, name, address))
        return ipv4_is_local(address);
    if (parse_address(AF_INET6, name, address))
        return ipv6_is_local(address);
    name = without_final_dot(name);
    if (name.len == 0 || !memchr(name.ptr, '.', name.len))
        return true;
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        if (is_or_is_below(name, slice_str(suffixes[i])))
            return true;
    return false;
}

/* URLs */

static struct err url_err(struct slice text, const char *at, const char *what)
{
    return err_make(ERR_INPUT, (int)(at - text.ptr), what);
}

/* "127.1", "0x7f000001": not names, but the resolver would take them for addresses. */
static bool label_is_number(struct slice label)
{
    if (slice_starts(label, SLICE_LIT("0x")) || slice_starts(label, SLICE_LIT("0X")))
        return all_are(slice_skip(label, 2), is_hex);
    return all_are(label, is_digit);
}

/* A host name in the wide sense: `_` is found in names of containers and services, and one final dot is absolute. */
static bool host_is_name(struct slice host)
{
    struct slice rest = without_final_dot(host);
    if (rest.len < 1 || rest.len > 253 || rest.ptr[rest.len - 1] == '.' || label_is_number(last_label(rest)))
        return false;
    while (rest.len) {
        struct slice label = slice_split(&rest, '.');
        if (label.len < 1 || label.len > 63)
            return false;
        for (size_t i = 0; i < label.len; i++)
            if (!is_alnum(label.ptr[i]) && label.ptr[i] != '-' && label.ptr[i] != '_')
                return false;
    }
    return true;
}

/* Takes the host off the authority, which is left with ":port" or nothing. */
static bool take_host(struct slice *authority, struct url *url)
{
    unsigned char address[16];
    const char *end;
    if (slice_starts(*authority, SLICE_LIT("["))) {
        end = memchr(authority->ptr, ']', authority->len);
        if (!end)
            return false;
        url->host = slice_make(authority->ptr + 1, (size_t)(end - authority->ptr) - 1);
        url->host_is_ipv6 = true;
        *authority = slice_skip(*authority, url->host.len + 2);
        return parse_address(AF_INET6, url->host, address);
    }
    end = authority->len ? memchr(authority->ptr, ':', authority->len) : NULL;
    url->host = slice_first(*authority, end ? (size_t)(end - authority->ptr) : authority->len);
    *authority = slice_skip(*authority, url->host.len);
    return parse_address(AF_INET, url->host, address) || host_is_name(url->host);
}

static bool take_port(struct slice rest, struct url *url)
{
    uint64_t port;
    url->port = url->https ? 443 : 80;
    if (rest.len == 0)
        return true;
    if (rest.ptr[0] != ':' || rest.len > 6 || !slice_decimal(slice_skip(rest, 1), 65535, &port) || port == 0)
        return false;
    url->port = (uint16_t)port;
    url->port_given = true;
    return true;
}

/* pchar, "/" and "?" of RFC 3986 §3.3 and §3.4; escapes are looked at by the caller. */
static bool is_target_char(char c)
{
    return is_alnum(c) || (c && strchr("-._~%!$&'()*+,;=:@/?", c));
}

/* The first character of the target that does not belong there, or NULL. */
static const char *target_fault(struct slice target)
{
    for (size_t i = 0; i < target.len; i++) {
        char c = target.ptr[i];
        bool escape_cut = c == '%' && (target.len - i < 3 || !is_hex(target.ptr[i + 1]) || !is_hex(target.ptr[i + 2]));
        if (!is_target_char(c) || escape_cut)
            return target.ptr + i;
    }
    return NULL;
}

static bool take_scheme(struct slice *text, struct url *url)
{
    struct slice http = SLICE_LIT("http://"), https = SLICE_LIT("https://");
    url->https = slice_ieq(slice_first(*text, https.len), https);
    if (!url->https && !slice_ieq(slice_first(*text, http.len), http))
        return false;
    *text = slice_skip(*text, url->https ? https.len : http.len);
    return true;
}

struct slice url_take_userinfo(struct slice text, struct buf *out_rest)
{
    struct url url;
    struct slice rest = text, userinfo = SLICE_NONE;
    size_t len = 0, at = 0;
    bool has_scheme = take_scheme(&rest, &url);
    for (; has_scheme && len < rest.len && !strchr("/?#", rest.ptr[len]); len++)
        at = rest.ptr[len] == '@' ? len : at; /* the last one: a password may have an @ that should be escaped */
    if (has_scheme && at) {
        userinfo = slice_first(rest, at);
        buf_append_slice(out_rest, slice_first(text, text.len - rest.len));
        rest = slice_skip(rest, at + 1);
    }
    buf_append_slice(out_rest, userinfo.len ? rest : text);
    return userinfo;
}

struct err url_parse(struct slice text, struct url *out_url)
{
    struct url url = {0};
    struct slice rest = text;
    if (!take_scheme(&rest, &url))
        return url_err(text, text.ptr, "URL: not http:// or https://");
    size_t len = 0;
    while (len < rest.len && !strchr("/?#", rest.ptr[len]))
        len++;
    struct slice port = url.authority = slice_first(rest, len);
    url.target = slice_skip(rest, len);
    if (!take_host(&port, &url))
        return url_err(text, rest.ptr, "URL: bad host");
    if (!take_port(port, &url))
        return url_err(text, port.ptr, "URL: bad port");
    if (url.target.len && url.target.ptr[0] != '/')
        return url_err(text, url.target.ptr, "URL: no path");
    const char *fault = target_fault(url.target);
    if (fault)
        return url_err(text, fault, *fault == '#' ? "URL: has a fragment" : "URL: bad character");
    if (!url.target.len)
        url.target = SLICE_LIT("/");
    *out_url = url;
    return ERR_OK;
}
