/* Values that name a place: what to listen on and where backends are. */
#include "config/parse.h"

#include "base/url.h"

#include <sys/un.h>

static const char *port_of(struct slice text, uint16_t *out_port)
{
    uint64_t port;
    if (!slice_decimal(text, 65535, &port))
        return "has a port that is no number from 0 to 65535";
    *out_port = (uint16_t)port;
    return NULL;
}

const char *parse_host_port(struct slice text, struct parse_host_port *out_parts)
{
    struct parse_host_port parts = {.host = text};
    struct slice port;
    if (text.len && text.ptr[0] == '[') {
        const char *end = memchr(text.ptr, ']', text.len);
        if (!end)
            return "has a [ without its ]";
        parts.host_is_ipv6 = true;
        parts.host = slice_make(text.ptr + 1, (size_t)(end - text.ptr) - 1);
        port = slice_skip(text, parts.host.len + 2);
        if (!port.len || port.ptr[0] != ':')
            return "has no port";
        port = slice_skip(port, 1);
    } else {
        port = text;
        parts.host = slice_split(&port, ':');
        if (parts.host.len == text.len)
            return "has no port";
        if (memchr(port.ptr, ':', port.len))
            return "has more than one colon: an IPv6 address stands in brackets";
    }
    const char *why = port_of(port, &parts.port);
    if (!why)
        *out_parts = parts;
    return why;
}

const char *parse_socket_path(struct slice path)
{
    if (!path.len || path.ptr[0] != '/')
        return "needs an absolute path behind unix:";
    if (path.len >= sizeof((struct sockaddr_un *)0)->sun_path)
        return "has a path that is too long for a socket (107 bytes)";
    for (size_t i = 0; i < path.len; i++)
        if ((unsigned char)path.ptr[i] <= ' ' || path.ptr[i] == 0x7f)
            return "has a blank or control character in its path";
    return NULL;
}

static const char *listen_unix(struct arena *arena, struct slice path, struct config_listen *out_listen)
{
    const char *why = parse_socket_path(path);
    if (why)
        return why;
    struct slice text = arena_printf(arena, "unix:%.*s", (int)path.len, path.ptr);
    *out_listen = (struct config_listen){.kind = CONFIG_LISTEN_UNIX, .path = slice_skip(text, 5), .text = text};
    return NULL;
}

static const char *listen_tcp(struct arena *arena, struct slice text, struct config_listen *out_listen)
{
    struct parse_host_port parts;
    const char *why = parse_host_port(text, &parts);
    if (why)
        return why;
    if (parts.host.len == 0 && parts.host_is_ipv6)
        return "has empty brackets";
    if (parts.host.len && !name_is_ip(parts.host))
        return "has a host that is no numeric address";
    if (parts.host_is_ipv6 != (parts.host.len && memchr(parts.host.ptr, ':', parts.host.len)))
        return "has brackets around something other than an IPv6 address";
    *out_listen = (struct config_listen){.kind = CONFIG_LISTEN_TCP,
                                         .host = arena_copy(arena, parts.host),
                                         .host_is_ipv6 = parts.host_is_ipv6,
                                         .port = parts.port,
                                         .text = arena_copy(arena, text)};
    return NULL;
}

const char *parse_listen(struct arena *arena, struct slice text, struct config_listen *out_listen)
{
    if (slice_ieq(text, SLICE_LIT("off"))) {
        *out_listen = (struct config_listen){.kind = CONFIG_LISTEN_OFF, .text = SLICE_LIT("off")};
        return NULL;
    }
    if (slice_starts(text, SLICE_LIT("systemd:")))
        return "names a systemd socket, which is not in this version";
    if (slice_starts(text, SLICE_LIT("unix:")))
        return listen_unix(arena, slice_skip(text, 5), out_listen);
    return listen_tcp(arena, text, out_listen);
}

static const char *upstream_http(struct arena *arena, struct slice text, struct config_upstream *out_upstream)
{
    struct url url;
    if (err_is(url_parse(text, &url)))
        return "is no URL of the form http://host:port";
    if (!slice_eq(url.target, SLICE_LIT("/")))
        return "has a path: requests are forwarded with their own path, so only http://host:port can be given";
    struct slice copy = arena_printf(arena, url.host_is_ipv6 ? "http://[%.*s]:%u" : "http://%.*s:%u", (int)url.host.len,
                                     url.host.ptr, (unsigned)url.port);
    for (char *c = (char *)copy.ptr; *c; c++)
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
    struct slice host = slice_skip(copy, url.host_is_ipv6 ? 8 : 7);
    *out_upstream = (struct config_upstream){.protocol = CONFIG_PROTOCOL_HTTP1,
                                             .host = arena_copy(arena, slice_first(host, url.host.len)),
                                             .port = url.port,
                                             .text = copy,
                                             .index = out_upstream->index};
    return NULL;
}

static const char *upstream_unix(struct arena *arena, struct slice path, struct config_upstream *out_upstream)
{
    const char *why = parse_socket_path(path);
    if (why)
        return why;
    struct slice text = arena_printf(arena, "unix:%.*s", (int)path.len, path.ptr);
    *out_upstream = (struct config_upstream){
        .protocol = CONFIG_PROTOCOL_HTTP1, .path = slice_skip(text, 5), .text = text, .index = out_upstream->index};
    return NULL;
}

static bool starts_with(struct slice text, const char *prefix)
{
    size_t len = strlen(prefix);
    return text.len >= len && slice_ieq(slice_first(text, len), slice_make(prefix, len));
}

const char *parse_upstream(struct arena *arena, struct slice text, struct config_upstream *out_upstream)
{
    if (starts_with(text, "unix:"))
        return upstream_unix(arena, slice_skip(text, 5), out_upstream);
    if (starts_with(text, "h2c://") || starts_with(text, "unix+h2c:"))
        return "asks for HTTP/2 to the backend, which is not in this version";
    if (starts_with(text, "tcp://"))
        return "asks for raw TCP to the backend, which is not in this version";
    if (starts_with(text, "https://"))
        return "asks for TLS to the backend: Portico speaks plain HTTP to it, so that it belongs beside Portico";
    if (!starts_with(text, "http://"))
        return "begins with neither http:// nor unix:";
    return upstream_http(arena, text, out_upstream);
}
