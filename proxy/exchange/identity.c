#include "exchange/identity.h"

#include "exchange/basic_auth.h"
#include "exchange/exchange_internal.h"
#include "http/hop.h"
#include "http/trace.h"
#include "net/address.h"

/* --- the peer --- */

void identity_set_peer(struct exchange_client *client, const struct address *address, const struct cidr_list *trusted)
{
    client->peer_is_local = !address_ip(address, &client->peer_ip);
    if (client->peer_is_local && !ip_parse(SLICE_LIT("127.0.0.1"), &client->peer_ip))
        return;
    client->trusted = cidr_list_has(trusted, &client->peer_ip);
}

static struct slice scheme_text(bool secure)
{
    return secure ? SLICE_LIT("https") : SLICE_LIT("http");
}

static struct forwarded_peer identity_peer(const struct exchange *x)
{
    return (struct forwarded_peer){
        .ip = x->client->peer_ip,
        .text = x->client->peer_is_local ? SLICE_NONE : x->client->peer,
        .trusted = x->client->trusted,
        .proto = scheme_text(x->client->secure),
        .authority = x->head->authority,
        .port_text = x->client->port_text,
    };
}

void identity_begin(struct exchange *x)
{
    x->identity.ip = x->client->peer_ip;
    x->identity.client_ip = x->client->peer;
    x->identity.secure = x->client->secure;
}

/* --- reading --- */

static void identity_read_client(struct exchange *x)
{
    struct identity *id = &x->identity;
    struct forwarded_peer peer = identity_peer(x);
    bool prefer_rfc7239 = x->config->identity.forwarded == CONFIG_FORWARDED_RFC7239;
    forwarded_read(&id->forwarded, &x->head->fields, &peer, &x->config->identity.trusted_proxies, prefer_rfc7239,
                   &x->arena);
    if (id->forwarded.num_hops) {
        id->ip = id->forwarded.client;
        id->client_ip = id->forwarded.client_text;
    }
    if (id->forwarded.proto.len)
        id->secure = slice_eq(id->forwarded.proto, scheme_text(true));
}

/* The value of a field that may stand once; empty where it does not, or is there more than once: two readers could take
 * different ones. */
static struct slice only_value(const struct head *head, enum field_id id)
{
    const struct field *found = NULL;
    FIELDS_EACH(&head->fields, field)
    {
        if (field->id != id)
            continue;
        if (found)
            return SLICE_NONE;
        found = field;
    }
    return found ? found->value : SLICE_NONE;
}

static struct slice make_request_id(struct exchange *x)
{
    char *made = arena_alloc(&x->arena, REQUEST_ID_BYTES);
    request_id_make(&x->env->random, made);
    return slice_make(made, REQUEST_ID_BYTES);
}

static void identity_read_request_id(struct exchange *x)
{
    struct slice sent = only_value(x->head, FIELD_X_REQUEST_ID);
    bool valid = request_id_is_valid(sent), generates = x->config->identity.request_id == CONFIG_TRACE_GENERATE;
    if (x->config->identity.request_id == CONFIG_TRACE_OFF)
        return;
    if (valid && (!generates || x->client->trusted))
        x->identity.request_id = sent;
    else if (generates)
        x->identity.request_id = make_request_id(x);
}

static struct slice make_traceparent(struct exchange *x, const struct traceparent *from)
{
    char *made = arena_alloc(&x->arena, TRACEPARENT_BYTES);
    traceparent_make(&x->env->random, from, made);
    return slice_make(made, TRACEPARENT_BYTES);
}

static void identity_read_trace(struct exchange *x)
{
    struct slice sent = only_value(x->head, FIELD_TRACEPARENT);
    struct traceparent parent;
    bool valid = traceparent_parse(sent, &parent);
    switch (x->config->identity.traceparent) {
    case CONFIG_TRACE_OFF: return;
    case CONFIG_TRACE_PASS: x->identity.traceparent = valid ? sent : SLICE_NONE; break;
    case CONFIG_TRACE_GENERATE: x->identity.traceparent = make_traceparent(x, valid ? &parent : NULL); break;
    }
    if (traceparent_parse(x->identity.traceparent, &parent))
        x->identity.trace_id = parent.trace_id;
    x->identity.trace_goes_on = valid;
}

void identity_read(struct exchange *x)
{
    identity_read_client(x);
    identity_read_request_id(x);
    identity_read_trace(x);
}

void identity_refuse(struct exchange *x)
{
    if (x->config->identity.request_id == CONFIG_TRACE_GENERATE)
        x->identity.request_id = make_request_id(x);
}

void identity_read_user(struct exchange *x)
{
    struct basic_credentials credentials;
    struct buf secret = {0};
    if (x->config->policy.num_users && basic_auth_read(x->head, &secret, &credentials))
        x->identity.user = arena_copy(&x->arena, credentials.name);
    buf_cleanup_secret(&secret);
}

/* --- telling --- */

static void put(struct fields *out, struct arena *arena, struct slice name, struct slice value, enum field_id id)
{
    if (value.len)
        fields_put(out, arena, (struct field){name, value, id});
}

static void put_forwarding(const struct exchange *x, struct arena *arena, struct fields *out)
{
    enum config_forwarded form = x->config->identity.forwarded;
    struct forwarded_peer peer = identity_peer(x);
    if (form == CONFIG_FORWARDED_X || form == CONFIG_FORWARDED_BOTH)
        forwarded_put_x(&x->identity.forwarded, &x->head->fields, &peer, arena, out);
    if (form == CONFIG_FORWARDED_RFC7239 || form == CONFIG_FORWARDED_BOTH)
        forwarded_put_rfc7239(&x->identity.forwarded, &x->head->fields, &peer, arena, out);
}

static struct cert_fields identity_cert_fields(const struct tls_identity *identity)
{
    if (!identity)
        return (struct cert_fields){.verified = false};
    return (struct cert_fields){.verified = true,
                                .subject = identity->subject,
                                .fingerprint = identity->fingerprint,
                                .client_cert = identity->client_cert};
}

unsigned identity_request_fields(const struct exchange *x, struct arena *arena, struct fields *out)
{
    const struct identity *id = &x->identity;
    struct cert_fields cert = identity_cert_fields(x->client->identity);
    struct hop_client client = {.trusted = x->client->trusted,
                                .cert = x->config->tls.client_auth == CONFIG_CLIENT_AUTH_OFF ? NULL : &cert};
    client.drops[FIELD_X_REQUEST_ID] = client.drops[FIELD_TRACEPARENT] = true; /* written anew, where there are any */
    client.drops[FIELD_TRACESTATE] = !id->trace_goes_on;
    if (x->config->identity.forwarded != CONFIG_FORWARDED_OFF)
        hop_drop_forwarding(&client);
    unsigned num_dropped = hop_request_fields(x->head, &client, arena, out);
    put_forwarding(x, arena, out);
    put(out, arena, SLICE_LIT("X-Request-ID"), id->request_id, FIELD_X_REQUEST_ID);
    put(out, arena, SLICE_LIT("traceparent"), id->traceparent, FIELD_TRACEPARENT);
    return num_dropped;
}

void identity_response_fields(const struct exchange *x, struct arena *arena, struct fields *fields)
{
    if (x->config->identity.request_id == CONFIG_TRACE_GENERATE && !fields_find(fields, FIELD_X_REQUEST_ID))
        put(fields, arena, SLICE_LIT("X-Request-ID"), x->identity.request_id, FIELD_X_REQUEST_ID);
}
