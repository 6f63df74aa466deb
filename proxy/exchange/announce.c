#include "exchange/announce.h"

#include "base/url.h"

static void announce_tls(const struct exchange_client *client, struct buf *out)
{
    bool asked = !name_is_ip(client->server_name); /* an address was not asked for by SNI */
    struct proxy_line_tls tls = {.alpn = client->alpn,
                                 .authority = asked ? client->server_name : SLICE_NONE,
                                 .version = slice_str(client->tls_version),
                                 .cipher = slice_str(client->tls_cipher)};
    if (client->identity) {
        tls.certificate = true;
        tls.common_name = client->identity->common_name;
    }
    proxy_line_write_v2(out, &client->ends, client->secure ? &tls : NULL);
}

struct slice announce_client(const struct config *config, const struct exchange_client *client, struct arena *arena)
{
    struct buf out = {0};
    switch (config->identity.proxy_protocol_out) {
    case CONFIG_PROXY_OUT_OFF: return SLICE_NONE;
    case CONFIG_PROXY_OUT_V1: proxy_line_write_v1(&out, &client->ends); break;
    case CONFIG_PROXY_OUT_V2: proxy_line_write_v2(&out, &client->ends, NULL); break;
    case CONFIG_PROXY_OUT_V2_TLS: announce_tls(client, &out); break;
    }
    struct slice header = arena_copy(arena, buf_slice(&out));
    buf_cleanup(&out);
    return header;
}
