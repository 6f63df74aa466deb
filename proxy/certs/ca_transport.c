#include "certs/ca_transport.h"

#include "base/buf.h"
#include "base/list.h"

struct ca_transport {
    struct transport base;
    struct https_client *client;
    struct buf user_agent;
    struct list calls;
};

struct ca_call {
    struct https_call call;
    struct transport_call *asked;
    struct list node; /* in ca->calls */
};

static struct ca_transport *ca_of(struct transport *transport)
{
    return container_of(transport, struct ca_transport, base);
}

static void ca_call_free(struct ca_call *call)
{
    list_remove(&call->node);
    mem_free(call);
}

static void ca_read_fields(const struct head *head, struct acme_reply *reply)
{
    reply->status = head->status;
    reply->location = head_get(head, FIELD_LOCATION);
    reply->replay_nonce = head_get(head, FIELD_REPLAY_NONCE);
    reply->retry_after = head_get(head, FIELD_RETRY_AFTER);
    reply->content_type = head_get(head, FIELD_CONTENT_TYPE);
    reply->date = head_get(head, FIELD_DATE);
    FIELDS_EACH(&head->fields, field)
    if (field->id == FIELD_LINK && reply->num_links < ACME_MAX_LINKS)
        reply->links[reply->num_links++] = field->value;
}

/* What a person can do about it, behind what happened. */
static const char *ca_cure(const char *sentence)
{
    bool untrusted =
        sentence && (strstr(sentence, "issuer certificate") || strstr(sentence, "self signed certificate"));
    return untrusted ? "; the root of a private CA goes into PORTICO_ACME_CA_FILE" : "";
}

static void ca_answered(struct https_call *https, const struct https_answer *answer)
{
    struct ca_call *call = container_of(https, struct ca_call, call);
    struct transport_call *asked = call->asked;
    struct acme_reply reply = {.err = answer->err, .body = answer->body};
    struct buf detail = {0};
    if (err_is(answer->err)) {
        buf_printf(&detail, "%s%s", answer->sentence, ca_cure(answer->sentence));
        reply.detail = buf_cstr(&detail);
    } else {
        ca_read_fields(answer->head, &reply);
    }
    asked->pending = NULL;
    ca_call_free(call);
    asked->done(asked, &reply);
    buf_cleanup(&detail);
}

static struct slice ca_method(enum acme_method method)
{
    switch (method) {
    case ACME_GET: return SLICE_LIT("GET");
    case ACME_HEAD: return SLICE_LIT("HEAD");
    case ACME_POST: return SLICE_LIT("POST");
    }
    return SLICE_LIT("GET");
}

static void ca_send(struct transport *transport, const struct acme_request *request, struct transport_call *asked)
{
    struct ca_transport *ca = ca_of(transport);
    struct ca_call *call = MEM_NEW(struct ca_call);
    struct https_field fields[4] = {
        {SLICE_LIT("User-Agent"), buf_slice(&ca->user_agent)}, /* ACME-2 */
        {SLICE_LIT("Accept"), request->accept.len ? request->accept : SLICE_LIT("*/*")},
        {SLICE_LIT("Accept-Language"), SLICE_LIT("en")}, /* ACME-3 */
    };
    size_t num_fields = 3;
    if (request->content_type.len)
        fields[num_fields++] = (struct https_field){SLICE_LIT("Content-Type"), request->content_type};
    /* The nonce makes a request that arrives twice harmless: the second is badNonce. */
    struct https_request asking = {.method = ca_method(request->method),
                                   .url = request->url,
                                   .fields = fields,
                                   .num_fields = num_fields,
                                   .body = request->body,
                                   .repeatable = true};
    call->asked = asked;
    call->call.done = ca_answered;
    list_append(&ca->calls, &call->node);
    asked->pending = call;
    https_send(ca->client, &asking, &call->call);
}

static void ca_cancel(struct transport *transport, struct transport_call *asked)
{
    struct ca_call *call = asked->pending;
    (void)transport;
    if (!call)
        return;
    asked->pending = NULL;
    https_cancel(&call->call);
    ca_call_free(call);
}

static const struct transport_ops ca_ops = {.send = ca_send, .cancel = ca_cancel};

struct err ca_transport_new(const struct ca_transport_options *options, struct ca_transport **out_transport,
                            size_t *out_num_roots)
{
    struct https_client *client;
    struct https_options https = {.loop = options->loop,
                                  .resolver = options->resolver,
                                  .extra_roots_pem = options->extra_roots_pem,
                                  .proxy = options->proxy};
    struct err err = https_client_new(&https, &client, out_num_roots);
    if (err_is(err))
        return err;
    struct ca_transport *ca = MEM_NEW(struct ca_transport);
    ca->base.ops = &ca_ops;
    ca->client = client;
    list_init(&ca->calls);
    buf_printf(&ca->user_agent, "portico/%s", options->version);
    *out_transport = ca;
    return ERR_OK;
}

struct transport *ca_transport_base(struct ca_transport *ca)
{
    return &ca->base;
}

void ca_transport_close(struct ca_transport *ca)
{
    struct list *node;
    if (!ca)
        return;
    https_client_close(ca->client);
    while ((node = list_first(&ca->calls)))
        ca_call_free(container_of(node, struct ca_call, node));
    buf_cleanup(&ca->user_agent);
    mem_free(ca);
}
