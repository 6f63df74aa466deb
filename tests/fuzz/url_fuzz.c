/* url: what is accepted holds to the contract, and its parts written together are the same URL. */
#include "base/buf.h"
#include "base/url.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static bool within(struct slice part, struct slice whole)
{
    return part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len;
}

static void check_url(struct slice text, const struct url *url)
{
    require(within(url->authority, text) && within(url->host, url->authority) && url->host.len > 0 && url->port > 0);
    require(url->target.len > 0 && url->target.ptr[0] == '/');
    for (size_t i = 0; i < text.len; i++)
        require(text.ptr[i] > ' ' && text.ptr[i] < 0x7f && text.ptr[i] != '#' && text.ptr[i] != '\\');
    require(!memchr(url->authority.ptr, '@', url->authority.len));
    require(url->port_given || url->port == (url->https ? 443 : 80));
    require(!url->host_is_ipv6 || name_is_ip(url->host));

    struct buf again = {0};
    struct url twin;
    buf_printf(&again, "%s://%.*s%.*s", url->https ? "https" : "http", (int)url->authority.len, url->authority.ptr,
               (int)url->target.len, url->target.ptr);
    require(!err_is(url_parse(buf_slice(&again), &twin)));
    require(slice_eq(twin.host, url->host) && slice_eq(twin.target, url->target) && twin.port == url->port);
    buf_cleanup(&again);
}

static void check_names(struct slice name)
{
    bool dns = name_is_dns(name, false), ip = name_is_ip(name);
    require(!(dns && ip));
    require(!dns || name_is_dns(name, true));
    if (dns) { /* a name is a host */
        struct buf text = {0};
        struct url url;
        buf_printf(&text, "http://%.*s/", (int)name.len, name.ptr);
        struct err err = url_parse(buf_slice(&text), &url);
        bool hex = memmem(name.ptr, name.len, "0x", 2) || memmem(name.ptr, name.len, "0X", 2);
        require(hex || (!err_is(err) && slice_eq(url.host, name)));
        buf_cleanup(&text);
    }
    name_is_local(name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct slice text = slice_make(data, len);
    struct url url;
    if (len > 16000)
        return 0;
    struct err err = url_parse(text, &url);
    if (err_is(err))
        require(err.kind == ERR_INPUT && err.code >= 0 && (size_t)err.code <= len);
    else
        check_url(text, &url);
    check_names(text);
    return 0;
}
