#include "http/forwarded.h"

#include "base/buf.h"
#include "http/forwarded_list.h"

/* --- addresses --- */

/* "", ":80", and ":_hidden" where the port is obfuscated. */
static bool port_is_fine(struct slice tail)
{
    uint64_t port;
    if (tail.len == 0)
        return true;
    struct slice text = slice_skip(tail, 1);
    bool hidden = text.len > 1 && text.ptr[0] == '_';
    return tail.ptr[0] == ':' && (hidden ? field_is_token(text) : text.len <= 5 && slice_decimal(text, 65535, &port));
}

static bool parse_bracketed(struct slice text, struct ip *out_ip)
{
    struct slice tail = slice_skip(text, 1), address = slice_split(&tail, ']');
    bool closed = address.len + 2 + tail.len == text.len, v6 = address.len && memchr(address.ptr, ':', address.len);
    return closed && v6 && port_is_fine(tail) && ip_parse(address, out_ip);
}

bool forwarded_parse_node(struct slice text, struct ip *out_ip)
{
    if (text.len && text.ptr[0] == '[')
        return parse_bracketed(text, out_ip);
    if (ip_parse(text, out_ip))
        return true;
    struct slice rest = text, address = slice_split(&rest, ':'); /* of more than one colon nothing is a port */
    bool port_given = address.len < text.len;
    return port_given && port_is_fine(slice_skip(text, address.len)) && ip_parse(address, out_ip);
}

/* --- reading --- */

struct walk {
    struct forwarded *forwarded;
    struct ip *hops;
    const struct cidr_list *trusted;
};

static bool list_is_there(const struct fields *fields, enum field_id id)
{
    struct forwarded_list list = forwarded_list_of(fields, id);
    struct slice element;
    return forwarded_list_next(&list, &element);
}

static enum forwarded_form forwarded_choose(const struct fields *fields, bool prefer_rfc7239)
{
    bool x = list_is_there(fields, FIELD_X_FORWARDED_FOR), rfc7239 = list_is_there(fields, FIELD_FORWARDED);
    if (rfc7239 && (prefer_rfc7239 || !x))
        return FORWARDED_RFC7239;
    return x ? FORWARDED_X : FORWARDED_NONE;
}

/* One more hop; false: the walk is over. */
static bool walk_add(struct walk *walk, struct slice node)
{
    struct forwarded *forwarded = walk->forwarded;
    struct ip ip;
    if (forwarded->num_hops == LIMIT_FORWARDED_HOPS || !forwarded_parse_node(node, &ip))
        return false;
    walk->hops[forwarded->num_hops++] = forwarded->client = ip;
    return cidr_list_has(walk->trusted, &ip);
}

/* Websockets are told by some proxies as schemes of their own. */
static void forwarded_set_proto(struct forwarded *forwarded, struct slice proto)
{
    if (slice_ieq(proto, SLICE_LIT("https")) || slice_ieq(proto, SLICE_LIT("wss")))
        forwarded->proto = SLICE_LIT("https");
    else if (slice_ieq(proto, SLICE_LIT("http")) || slice_ieq(proto, SLICE_LIT("ws")))
        forwarded->proto = SLICE_LIT("http");
}

static void forwarded_set_host(struct forwarded *forwarded, struct slice host, struct arena *arena)
{
    struct head parsed = {0};
    if (host.len && !err_is(head_set_authority(&parsed, arena, host))) {
        forwarded->host = host;
        forwarded->port = parsed.port;
    }
}

static void walk_x(struct walk *walk, const struct fields *fields)
{
    struct forwarded_list list = forwarded_list_of(fields, FIELD_X_FORWARDED_FOR);
    struct slice element;
    while (forwarded_list_next(&list, &element) && walk_add(walk, element))
        ;
}

static void walk_rfc7239(struct walk *walk, const struct fields *fields, struct arena *arena)
{
    struct forwarded_list list = forwarded_list_of(fields, FIELD_FORWARDED);
    struct forwarded_element element;
    struct slice text;
    while (forwarded_list_next(&list, &text) && forwarded_element_parse(text, &element)) {
        forwarded_set_proto(walk->forwarded,
                            element.proto); /* also where its address is hidden: a trusted one wrote it */
        forwarded_set_host(walk->forwarded, element.host, arena);
        if (!walk_add(walk, element.node))
            break;
    }
}

/* Of a list the last: what the peer itself said. */
static struct slice last_of(const struct fields *fields, enum field_id id)
{
    struct forwarded_list list = forwarded_list_of(fields, id);
    struct slice element;
    return forwarded_list_next(&list, &element) ? element : SLICE_NONE;
}

static void forwarded_read_x_rest(struct forwarded *forwarded, const struct fields *fields, struct arena *arena)
{
    uint64_t port;
    forwarded_set_proto(forwarded, last_of(fields, FIELD_X_FORWARDED_PROTO));
    forwarded_set_host(forwarded, last_of(fields, FIELD_X_FORWARDED_HOST), arena);
    if (slice_decimal(last_of(fields, FIELD_X_FORWARDED_PORT), 65535, &port) && port)
        forwarded->port = (uint16_t)port;
}

static void forwarded_walk(struct forwarded *out, const struct fields *fields, const struct cidr_list *trusted,
                           struct arena *arena)
{
    struct walk walk = {out, NULL, trusted};
    char text[IP_TEXT_BYTES];
    if (out->form == FORWARDED_NONE)
        return;
    out->hops = walk.hops = arena_alloc(arena, LIMIT_FORWARDED_HOPS * sizeof *walk.hops);
    if (out->form == FORWARDED_X)
        walk_x(&walk, fields);
    else
        walk_rfc7239(&walk, fields, arena);
    if (out->num_hops)
        out->client_text = arena_copy(arena, slice_str(ip_text(&out->client, text)));
}

void forwarded_read(struct forwarded *out, const struct fields *fields, const struct forwarded_peer *peer,
                    const struct cidr_list *trusted, bool prefer_rfc7239, struct arena *arena)
{
    *out = (struct forwarded){.client = peer->ip, .client_text = peer->text};
    if (!peer->trusted)
        return;
    out->form = forwarded_choose(fields, prefer_rfc7239);
    forwarded_walk(out, fields, trusted, arena);
    if (out->form != FORWARDED_RFC7239)
        forwarded_read_x_rest(out, fields, arena);
    if (out->port == 0 && out->proto.len) /* the port of a scheme, not ours, which the client has not seen */
        out->port = slice_eq(out->proto, SLICE_LIT("https")) ? 443 : 80;
}

/* --- writing --- */

/* A list as it came, without what is empty. */
static void put_list(struct buf *out, const struct fields *fields, enum field_id id, uint32_t from)
{
    for (uint32_t i = from; i < fields->num; i++) {
        const struct field *field = &fields->at[i];
        if (field->id != id || field->value.len == 0)
            continue;
        buf_append_slice(out, field->value);
        buf_append_str(out, ", ");
    }
}

static struct slice take(struct buf *buf, struct arena *arena)
{
    struct slice copy = arena_copy(arena, buf_slice(buf));
    buf_cleanup(buf);
    return copy;
}

static struct slice peer_text(const struct forwarded_peer *peer)
{
    return peer->text.len ? peer->text : SLICE_LIT("unknown");
}

static struct slice x_for(const struct forwarded *forwarded, const struct fields *fields,
                          const struct forwarded_peer *peer, struct arena *arena)
{
    struct buf out = {0};
    char text[IP_TEXT_BYTES];
    if (forwarded->form == FORWARDED_NONE)
        return peer_text(peer);
    if (forwarded->form == FORWARDED_X)
        put_list(&out, fields, FIELD_X_FORWARDED_FOR, 0);
    for (size_t i = forwarded->form == FORWARDED_RFC7239 ? forwarded->num_hops : 0; i-- > 0;) {
        buf_append_str(&out, ip_text(&forwarded->hops[i], text));
        buf_append_str(&out, ", ");
    }
    buf_append_slice(&out, peer_text(peer));
    return take(&out, arena);
}

void forwarded_put_x(const struct forwarded *forwarded, const struct fields *fields, const struct forwarded_peer *peer,
                     struct arena *arena, struct fields *out)
{
    struct slice proto = forwarded->proto.len ? forwarded->proto : peer->proto;
    struct slice host = forwarded->host.len ? forwarded->host : peer->authority;
    struct slice port = forwarded->port ? arena_printf(arena, "%u", forwarded->port) : peer->port_text;
    struct slice client = forwarded->client_text, list = x_for(forwarded, fields, peer, arena);
    fields_put(out, arena, (struct field){SLICE_LIT("X-Forwarded-For"), list, FIELD_X_FORWARDED_FOR});
    fields_put(out, arena, (struct field){SLICE_LIT("X-Forwarded-Proto"), proto, FIELD_X_FORWARDED_PROTO});
    if (host.len)
        fields_put(out, arena, (struct field){SLICE_LIT("X-Forwarded-Host"), host, FIELD_X_FORWARDED_HOST});
    fields_put(out, arena, (struct field){SLICE_LIT("X-Forwarded-Port"), port, FIELD_X_FORWARDED_PORT});
    if (client.len)
        fields_put(out, arena, (struct field){SLICE_LIT("X-Real-IP"), client, FIELD_X_REAL_IP});
}

static void put_for(struct buf *out, struct slice text)
{
    bool v6 = memchr(text.ptr, ':', text.len);
    buf_append_str(out, v6 ? "for=\"[" : "for=");
    buf_append_slice(out, text);
    buf_append_str(out, v6 ? "]\"" : "");
}

/* Neither needs an escape: the host is validated, the scheme ours. */
static void put_host_and_proto(struct buf *out, struct slice host, struct slice proto)
{
    const char *quote = field_is_token(host) ? "" : "\"";
    if (host.len) {
        buf_append_str(out, ";host=");
        buf_append_str(out, quote);
        buf_append_slice(out, host);
        buf_append_str(out, quote);
    }
    if (proto.len) {
        buf_append_str(out, ";proto=");
        buf_append_slice(out, proto);
    }
}

/* X-Forwarded-For in the other form: the client's element says what is believed of its connection. */
static void put_hops(struct buf *out, const struct forwarded *forwarded)
{
    char text[IP_TEXT_BYTES];
    for (size_t i = forwarded->num_hops; i-- > 0;) {
        put_for(out, slice_str(ip_text(&forwarded->hops[i], text)));
        if (i + 1 == forwarded->num_hops)
            put_host_and_proto(out, forwarded->host, forwarded->proto);
        buf_append_str(out, ", ");
    }
}

/* From the right as far as it is well formed: behind a quote that somebody left open the others would read no more. */
static void put_well_formed(struct buf *out, const struct fields *fields)
{
    struct forwarded_list list = forwarded_list_of(fields, FIELD_FORWARDED);
    struct forwarded_element element;
    struct slice text, first = SLICE_NONE;
    uint32_t at = 0;
    while (forwarded_list_next(&list, &text) && forwarded_element_parse(text, &element)) {
        first = text;
        at = list.num_left;
    }
    if (first.len == 0)
        return;
    struct slice value = fields->at[at].value;
    buf_append_slice(out, slice_skip(value, (size_t)(first.ptr - value.ptr)));
    buf_append_str(out, ", ");
    put_list(out, fields, FIELD_FORWARDED, at + 1);
}

static struct slice rfc7239(const struct forwarded *forwarded, const struct fields *fields,
                            const struct forwarded_peer *peer, struct arena *arena)
{
    struct buf out = {0};
    if (forwarded->form == FORWARDED_X)
        put_hops(&out, forwarded);
    else if (forwarded->form == FORWARDED_RFC7239)
        put_well_formed(&out, fields);
    bool alone = out.len == 0; /* then ours is the client's element */
    put_for(&out, peer_text(peer));
    put_host_and_proto(&out, alone && forwarded->host.len ? forwarded->host : peer->authority,
                       alone && forwarded->proto.len ? forwarded->proto : peer->proto);
    return take(&out, arena);
}

void forwarded_put_rfc7239(const struct forwarded *forwarded, const struct fields *fields,
                           const struct forwarded_peer *peer, struct arena *arena, struct fields *out)
{
    struct slice value = rfc7239(forwarded, fields, peer, arena);
    fields_put(out, arena, (struct field){SLICE_LIT("Forwarded"), value, FIELD_FORWARDED});
}
