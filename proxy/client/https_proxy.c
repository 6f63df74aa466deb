#include "client/https_proxy.h"

enum { PROXY_DEFAULT_PORT = 3128 };

struct err https_proxy_init(struct https_proxy *proxy, const struct https_proxy_options *options)
{
    struct url url;
    *proxy = (struct https_proxy){0};
    if (!options || options->url.len == 0)
        return ERR_OK;
    struct slice text = arena_copy(&proxy->arena, options->url);
    if (!memchr(text.ptr, '/', text.len))
        text = arena_printf(&proxy->arena, "http://%.*s", (int)text.len, text.ptr);
    struct err err = url_parse(text, &url);
    if (!err_is(err) && url.https)
        err = err_make(ERR_INPUT, 0, "the proxy's URL must begin with http://");
    if (err_is(err)) {
        https_proxy_cleanup(proxy);
        return err;
    }
    proxy->host = url.host;
    proxy->port = url.port_given ? url.port : PROXY_DEFAULT_PORT;
    proxy->no_proxy = arena_copy(&proxy->arena, options->no_proxy);
    return ERR_OK;
}

void https_proxy_cleanup(struct https_proxy *proxy)
{
    arena_cleanup(&proxy->arena);
    *proxy = (struct https_proxy){0};
}

/* "host:port", where the host is no IPv6 literal, or "[literal]:port". Without a port all of them are meant. */
static bool no_proxy_split_port(struct slice *entry, uint64_t *out_port)
{
    struct slice host = *entry;
    if (host.len && host.ptr[0] == '[') {
        struct slice rest = slice_skip(host, 1);
        *entry = slice_split(&rest, ']');
        return rest.len > 1 && rest.ptr[0] == ':' && slice_decimal(slice_skip(rest, 1), UINT16_MAX, out_port);
    }
    struct slice rest = host, name = slice_split(&rest, ':');
    if (memchr(rest.ptr ? rest.ptr : "", ':', rest.len) || !slice_decimal(rest, UINT16_MAX, out_port))
        return false;
    *entry = name;
    return true;
}

static bool no_proxy_entry_matches(struct slice entry, struct slice host, uint16_t port)
{
    uint64_t only_port = port;
    if (slice_eq(entry, SLICE_LIT("*")))
        return true;
    if (no_proxy_split_port(&entry, &only_port) && only_port != port)
        return false;
    if (entry.len && entry.ptr[0] == '.')
        entry = slice_skip(entry, 1);
    if (entry.len == 0 || host.len < entry.len || !slice_ieq(slice_skip(host, host.len - entry.len), entry))
        return false;
    return host.len == entry.len || host.ptr[host.len - entry.len - 1] == '.';
}

bool https_proxy_applies(const struct https_proxy *proxy, struct slice host, uint16_t port)
{
    struct slice rest = proxy->no_proxy;
    if (!proxy->host.ptr)
        return false;
    while (rest.len)
        if (no_proxy_entry_matches(slice_trim(slice_split(&rest, ',')), host, port))
            return false;
    return true;
}
