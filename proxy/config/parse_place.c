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

static const char *listen_systemd(struct arena *arena, struct slice name, struct config_listen *out_listen)
{
    if (!name.len || name.len > 255)
        return "needs a name of 1 to 255 characters behind systemd:, the FileDescriptorName= of the socket unit";
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.ptr[i] <= ' ' || (unsigned char)name.ptr[i] >= 0x7f || name.ptr[i] == ':')
            return "has a blank, a colon or a control character in its name, which no FileDescriptorName= has";
    struct slice text = arena_printf(arena, "systemd:%.*s", (int)name.len, name.ptr);
    *out_listen = (struct config_listen){.kind = CONFIG_LISTEN_SYSTEMD, .name = slice_skip(text, 8), .text = text};
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
        return listen_systemd(arena, slice_skip(text, 8), out_listen);
    if (slice_starts(text, SLICE_LIT("unix:")))
        return listen_unix(arena, slice_skip(text, 5), out_listen);
    return listen_tcp(arena, text, out_listen);
}

struct scheme {
    const char *name; /* as a URL begins, in front of "://" */
    enum config_protocol protocol;
    const char *form, *path; /* why another form, and why a path is refused */
};

static const struct scheme schemes[] = {
    {"http", CONFIG_PROTOCOL_HTTP1, "is no URL of the form http://host:port",
     "has a path: requests are forwarded with their own path, so only http://host:port can be given"},
    {"h2c", CONFIG_PROTOCOL_HTTP2, "is no URL of the form h2c://host:port",
     "has a path: requests are forwarded with their own path, so only h2c://host:port can be given"},
    {"tcp", CONFIG_PROTOCOL_TCP, "is not of the form tcp://host:port",
     "has a path, but takes bytes as they are: only tcp://host:port can be given"},
};

static bool starts_with(struct slice text, const char *prefix)
{
    size_t len = strlen(prefix);
    return text.len >= len && slice_ieq(slice_first(text, len), slice_make(prefix, len));
}

static const struct scheme *scheme_of(struct slice text)
{
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        size_t len = strlen(schemes[i].name);
        if (starts_with(text, schemes[i].name) && slice_starts(slice_skip(text, len), SLICE_LIT("://")))
            return &schemes[i];
    }
    return NULL;
}

static void lower(struct slice text)
{
    for (char *c = (char *)text.ptr; c < text.ptr + text.len; c++)
        *c = slice_lower_char(*c);
}

/* The rules of an http URL hold for all of them; no port is tcp's own. */
static const char *upstream_url(struct arena *arena, struct slice text, const struct scheme *scheme,
                                struct config_upstream *out_upstream)
{
    struct url url;
    struct slice rest = slice_skip(text, strlen(scheme->name));
    struct slice as_http = arena_printf(arena, "http%.*s", (int)rest.len, rest.ptr);
    if (as_http.len != rest.len + 4 || err_is(url_parse(as_http, &url))) /* shorter: cut at a NUL */
        return scheme->form;
    if (!slice_eq(url.target, SLICE_LIT("/")))
        return scheme->path;
    if (scheme->protocol == CONFIG_PROTOCOL_TCP && !url.port_given)
        return "has no port";
    const char *open = url.host_is_ipv6 ? "[" : "", *close = url.host_is_ipv6 ? "]" : "";
    struct slice copy = arena_printf(arena, "%s://%s%.*s%s:%u", scheme->name, open, (int)url.host.len, url.host.ptr,
                                     close, (unsigned)url.port);
    lower(copy);
    struct slice host = slice_skip(copy, strlen(scheme->name) + 3 + strlen(open));
    *out_upstream = (struct config_upstream){.protocol = scheme->protocol,
                                             .host = arena_copy(arena, slice_first(host, url.host.len)),
                                             .port = url.port,
                                             .text = copy,
                                             .index = out_upstream->index};
    return NULL;
}

static const char *upstream_unix(struct arena *arena, struct slice path, const char *prefix,
                                 enum config_protocol protocol, struct config_upstream *out_upstream)
{
    const char *why = parse_socket_path(path);
    if (why)
        return why;
    struct slice text = arena_printf(arena, "%s%.*s", prefix, (int)path.len, path.ptr);
    *out_upstream = (struct config_upstream){
        .protocol = protocol, .path = slice_skip(text, strlen(prefix)), .text = text, .index = out_upstream->index};
    return NULL;
}

const char *parse_upstream(struct arena *arena, struct slice text, struct config_upstream *out_upstream)
{
    const struct scheme *scheme = scheme_of(text);
    if (scheme)
        return upstream_url(arena, text, scheme, out_upstream);
    if (starts_with(text, "unix:"))
        return upstream_unix(arena, slice_skip(text, 5), "unix:", CONFIG_PROTOCOL_HTTP1, out_upstream);
    if (starts_with(text, "unix+h2c:"))
        return upstream_unix(arena, slice_skip(text, 9), "unix+h2c:", CONFIG_PROTOCOL_HTTP2, out_upstream);
    if (starts_with(text, "https://"))
        return "asks for TLS to the backend, which is not in this version: give http:// or h2c://, on a network that "
               "you trust";
    return "begins with none of http://, h2c://, tcp://, unix:, unix+h2c:";
}
