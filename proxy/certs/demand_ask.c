#include "certs/demand_ask.h"

#include "base/buf.h"
#include "base/limits.h"

struct demand_ask {
    struct asker base;
    struct demand_ask_options options;
    struct buf roots_pem, proxy_url, no_proxy;
    struct https_proxy_options proxy;
    struct buf url, user_agent;
    struct https_client *client; /* NULL before the first question */
    struct deferred fail;
    struct list failed; /* questions that cannot be asked: their `done` is due */
};

/* One question on its way. */
struct ask_call {
    struct https_call https;
    struct asker_call *asked;
    struct list node; /* in ask->failed, or in none */
};

static struct demand_ask *ask_of(struct asker *asker)
{
    return container_of(asker, struct demand_ask, base);
}

/* ---- answers ---- */

static enum demand_answer answer_of(unsigned status)
{
    if (status / 100 == 2)
        return DEMAND_YES;
    return status >= 500 || status == 429 ? DEMAND_UNKNOWN : DEMAND_NO;
}

static void call_finish(struct ask_call *call, enum demand_answer answer, struct slice why)
{
    struct asker_call *asked = call->asked;
    asked->pending = NULL;
    list_remove(&call->node);
    mem_free(call);
    asked->done(asked, answer, why);
}

static void call_answered(struct https_call *https, const struct https_answer *answer)
{
    struct ask_call *call = container_of(https, struct ask_call, https);
    struct buf why = {0};
    enum demand_answer result = err_is(answer->err) ? DEMAND_UNKNOWN : answer_of(answer->head->status);
    buf_append_str(&why, "PORTICO_ON_DEMAND_ASK: ");
    if (err_is(answer->err))
        buf_append_str(&why, answer->sentence);
    else
        buf_printf(&why, "answered %u", answer->head->status);
    call_finish(call, result, buf_slice(&why));
    buf_cleanup(&why);
}

static void ask_failed(struct deferred *deferred)
{
    struct demand_ask *ask = container_of(deferred, struct demand_ask, fail);
    struct list *node;
    while ((node = list_first(&ask->failed)))
        call_finish(container_of(node, struct ask_call, node), DEMAND_UNKNOWN,
                    SLICE_LIT("PORTICO_ON_DEMAND_ASK: nobody can be asked: the roots of PORTICO_ACME_CA or HTTPS_PROXY "
                              "make no sense"));
}

/* ---- questions ---- */

static bool ask_make_client(struct demand_ask *ask)
{
    size_t num_roots;
    struct https_options https = {.loop = ask->options.loop,
                                  .resolver = ask->options.resolver,
                                  .extra_roots_pem = buf_slice(&ask->roots_pem),
                                  .proxy = ask->options.proxy ? &ask->proxy : NULL,
                                  .call_ms = ask->options.call_ms ? ask->options.call_ms : LIMIT_DEMAND_ASK_MS,
                                  .plain_http = true};
    return ask->client || !err_is(https_client_new(&https, &ask->client, &num_roots));
}

static void ask_send(struct demand_ask *ask, struct ask_call *call)
{
    struct slice name = call->asked->name, client = call->asked->client, base = buf_slice(&ask->url);
    struct buf url = {0};
    const char *joint = base.len && memchr(base.ptr, '?', base.len) ? "&" : "?";
    struct https_field fields[] = {{SLICE_LIT("User-Agent"), buf_slice(&ask->user_agent)},
                                   {SLICE_LIT("X-Forwarded-For"), client}};
    buf_printf(&url, "%.*s%sdomain=%.*s", (int)base.len, base.ptr, joint, (int)name.len, name.ptr);
    struct https_request request = {.method = SLICE_LIT("GET"),
                                    .url = buf_slice(&url),
                                    .fields = fields,
                                    .num_fields = client.len ? 2 : 1,
                                    .repeatable = true};
    https_send(ask->client, &request, &call->https);
    buf_cleanup(&url);
}

static void ask_ask(struct asker *asker, struct asker_call *asked)
{
    struct demand_ask *ask = ask_of(asker);
    struct ask_call *call = MEM_NEW(struct ask_call);
    call->asked = asked;
    call->https.done = call_answered;
    list_init(&call->node);
    asked->pending = call;
    if (ask->url.len && ask_make_client(ask)) {
        ask_send(ask, call);
        return;
    }
    list_append(&ask->failed, &call->node);
    deferred_start(ask->options.loop, &ask->fail);
}

static void ask_cancel(struct asker *asker, struct asker_call *asked)
{
    struct ask_call *call = asked->pending;
    (void)asker;
    if (!call)
        return;
    asked->pending = NULL;
    https_cancel(&call->https);
    list_remove(&call->node);
    mem_free(call);
}

/* ---- life ---- */

static void ask_set_url(struct asker *asker, struct slice url)
{
    struct demand_ask *ask = ask_of(asker);
    ask->url.len = 0;
    buf_append_slice(&ask->url, url);
}

struct demand_ask *demand_ask_new(const struct demand_ask_options *options)
{
    struct demand_ask *ask = MEM_NEW(struct demand_ask);
    ask->base = (struct asker){ask_ask, ask_cancel, ask_set_url};
    ask->options = *options;
    buf_append_slice(&ask->roots_pem, options->extra_roots_pem);
    if (options->proxy) {
        buf_append_slice(&ask->proxy_url, options->proxy->url);
        buf_append_slice(&ask->no_proxy, options->proxy->no_proxy);
        ask->proxy = (struct https_proxy_options){buf_slice(&ask->proxy_url), buf_slice(&ask->no_proxy)};
    }
    buf_printf(&ask->user_agent, "portico/%s", options->version);
    list_init(&ask->failed);
    deferred_init(&ask->fail, ask_failed);
    return ask;
}

struct asker *demand_ask_base(struct demand_ask *ask)
{
    return &ask->base;
}

void demand_ask_free(struct demand_ask *ask)
{
    if (!ask)
        return;
    deferred_stop(&ask->fail);
    https_client_close(ask->client);
    buf_cleanup(&ask->roots_pem);
    buf_cleanup(&ask->proxy_url);
    buf_cleanup(&ask->no_proxy);
    buf_cleanup(&ask->url);
    buf_cleanup(&ask->user_agent);
    mem_free(ask);
}
