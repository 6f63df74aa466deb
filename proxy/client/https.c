#include "client/https_internal.h"

static void client_tell(struct deferred *deferred)
{
    struct https_client *client = container_of(deferred, struct https_client, tell);
    struct list *node;
    while ((node = list_first(&client->finished))) { /* a close from within `done` empties the list */
        struct https_flight *flight = container_of(node, struct https_flight, node);
        struct https_call *call = flight->call;
        bool failed = err_is(flight->err);
        struct https_answer answer = {.err = flight->err,
                                      .sentence = failed ? buf_cstr(&flight->sentence) : NULL,
                                      .head = failed ? NULL : flight->head,
                                      .body = failed ? SLICE_NONE : buf_slice(&flight->body)};
        list_remove(node);
        call->flight = NULL;
        call->done(call, &answer);
        https_flight_free(flight);
    }
}

static void client_free(struct grave *grave)
{
    struct https_client *client = container_of(grave, struct https_client, grave);
    struct map_entry *entry;
    for (size_t at = 0; (entry = map_next(&client->origins, &at));)
        https_origin_free(entry->value);
    map_cleanup(&client->origins);
    tls_client_free(client->tls);
    https_proxy_cleanup(&client->proxy);
    mem_free(client);
}

void https_client_maybe_free(struct https_client *client)
{
    if (client->closing && client->num_conns == 0)
        graveyard_bury(&client->loop->graveyard, &client->grave, client_free);
}

struct err https_client_new(const struct https_options *options, struct https_client **out_client,
                            size_t *out_num_roots)
{
    struct https_proxy proxy;
    struct tls_client *tls;
    struct err err = https_proxy_init(&proxy, options->proxy);
    if (err_is(err))
        return err;
    err = tls_client_new(options->extra_roots_pem, &tls, out_num_roots);
    if (err_is(err)) {
        https_proxy_cleanup(&proxy);
        return err;
    }
    struct https_client *client = MEM_NEW(struct https_client);
    *client = (struct https_client){.loop = options->loop,
                                    .resolver = options->resolver,
                                    .tls = tls,
                                    .proxy = proxy,
                                    .call_ms = options->call_ms ? options->call_ms : HTTPS_CALL_MS,
                                    .plain_http = options->plain_http};
    list_init(&client->finished);
    deferred_init(&client->tell, client_tell);
    *out_client = client;
    return ERR_OK;
}

static void flights_drop(struct list *flights)
{
    struct list *node;
    while ((node = list_first(flights))) {
        struct https_flight *flight = container_of(node, struct https_flight, node);
        https_cancel(flight->call);
    }
}

void https_client_close(struct https_client *client)
{
    struct map_entry *entry;
    if (!client || client->closing)
        return;
    client->closing = true;
    for (size_t at = 0; (entry = map_next(&client->origins, &at));) {
        struct https_origin *origin = entry->value;
        flights_drop(&origin->waiting);
        flights_drop(&origin->running);
        https_origin_drop_idle(origin);
    }
    flights_drop(&client->finished);
    deferred_stop(&client->tell);
    https_client_maybe_free(client);
}

static struct err client_read_url(const struct https_client *client, struct slice text, struct url *out_url)
{
    if (text.len > HTTPS_MAX_URL_BYTES)
        return err_make(ERR_LIMIT, 0, "the URL is too long");
    struct err err = url_parse(text, out_url);
    if (!err_is(err) && !out_url->https && !client->plain_http)
        err = err_make(ERR_INPUT, 0, "the URL must begin with https://");
    return err;
}

void https_send(struct https_client *client, const struct https_request *request, struct https_call *call)
{
    struct url url;
    struct err err = client_read_url(client, request->url, &url);
    struct https_flight *flight = https_flight_new(client, request, call);
    if (err_is(err))
        https_flight_fail(flight, err, NULL);
    else
        https_flight_start(flight, request, &url);
}

void https_cancel(struct https_call *call)
{
    struct https_flight *flight = call->flight;
    if (!flight)
        return;
    struct https_conn *conn = flight->conn;
    call->flight = NULL;
    if (conn) {
        conn->flight = NULL;
        https_conn_end(conn);
    }
    if (flight->origin)
        deferred_start(flight->client->loop, &flight->origin->advance); /* frees it where nothing is left */
    https_flight_free(flight);
}
