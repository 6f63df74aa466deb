#include "client/https_internal.h"
#include "tls/tls_err.h"

/* ---- the end ---- */

void https_flight_free(struct https_flight *flight)
{
    list_remove(&flight->node);
    tick_stop(&flight->deadline);
    arena_cleanup(&flight->arena);
    buf_cleanup_secret(&flight->wire); /* may have carried a token */
    buf_cleanup_secret(&flight->body_out);
    buf_cleanup(&flight->body);
    buf_cleanup(&flight->sentence);
    mem_free(flight);
}

static void flight_finish(struct https_flight *flight)
{
    if (flight->conn)
        flight->conn->flight = NULL;
    if (flight->origin) /* which may be freed before `done` is called */
        deferred_start(flight->client->loop, &flight->origin->advance);
    flight->conn = NULL;
    flight->origin = NULL;
    tick_stop(&flight->deadline);
    list_remove(&flight->node);
    list_append(&flight->client->finished, &flight->node);
    deferred_start(flight->client->loop, &flight->client->tell);
}

static void write_err(struct buf *out, struct err err)
{
    char text[160];
    if (err.kind == ERR_TLS)
        buf_printf(out, "%s: %s", err.what, tls_err_reason(err));
    else
        buf_append_str(out, err_text(err, text, sizeof text));
}

/* Who was asked, and what came of it; `why` NULL: the words of err. */
void https_flight_fail(struct https_flight *flight, struct err err, const char *why)
{
    struct buf *sentence = &flight->sentence;
    flight->err = err;
    if (flight->origin) {
        const struct https_conn_way *way = &flight->origin->way;
        buf_append_slice(sentence, way->host);
        if (way->proxy)
            buf_printf(sentence, " (through the proxy %.*s)", (int)way->proxy->host.len, way->proxy->host.ptr);
        buf_append_str(sentence, ": ");
    }
    if (why)
        buf_append_str(sentence, why);
    else
        write_err(sentence, err);
    flight_finish(flight);
}

static void flight_expired(struct tick *tick)
{
    struct https_flight *flight = container_of(tick, struct https_flight, deadline);
    struct https_conn *conn = flight->conn;
    struct buf why = {0};
    buf_printf(&why, "no answer within %u s (%s)", (unsigned)((flight->client->call_ms + 999) / 1000),
               conn ? https_conn_stage(conn) : "waiting for a connection");
    https_flight_fail(flight, err_make(ERR_TIMEOUT, 0, "HTTPS call"), buf_cstr(&why));
    buf_cleanup(&why);
    if (conn)
        https_conn_end(conn);
}

/* ---- the answer ---- */

static struct https_flight *flight_of(struct http_user *user)
{
    return container_of(user, struct https_flight, user);
}

static void flight_head(struct http_user *user, struct head *head)
{
    if (head->status >= 200) /* interim answers say nothing here */
        flight_of(user)->head = head;
}

static void flight_body(struct http_user *user, struct slice bytes)
{
    buf_append_slice(&flight_of(user)->body, bytes); /* bounded by the reader */
}

static void flight_end(struct http_user *user, const struct fields *trailers)
{
    (void)trailers;
    flight_finish(flight_of(user));
}

static void flight_failed(struct http_user *user, struct err err, enum http_progress progress)
{
    struct https_flight *flight = flight_of(user);
    struct https_origin *origin = flight->origin;
    bool unread = flight->on_reused && progress != HTTP_ANSWERING;
    if (!unread || flight->repeated || !flight->repeatable) {
        https_flight_fail(flight, err, NULL);
        return;
    }
    flight->repeated = true;
    flight->conn->flight = NULL;
    flight->conn = NULL;
    list_remove(&flight->node);
    list_prepend(&origin->waiting, &flight->node);
    https_origin_drop_idle(origin);
    deferred_start(origin->client->loop, &origin->advance);
}

static void flight_nothing(struct http_user *user)
{
    (void)user; /* the request goes out in one piece, the answer is taken in as it comes */
}

static const struct http_user_ops flight_user_ops = {
    .head = flight_head,
    .body = flight_body,
    .end = flight_end,
    .failed = flight_failed,
    .drained = flight_nothing,
    .flush = flight_nothing,
};

/* ---- the request ---- */

struct https_flight *https_flight_new(struct https_client *client, const struct https_request *request,
                                      struct https_call *call)
{
    struct https_flight *flight = MEM_NEW(struct https_flight);
    *flight = (struct https_flight){.user = {&flight_user_ops},
                                    .call = call,
                                    .client = client,
                                    .method = method_lookup(request->method),
                                    .repeatable = request->repeatable};
    list_init(&flight->node);
    tick_init(&flight->deadline, flight_expired);
    call->flight = flight;
    return flight;
}

static void flight_write_head(struct https_flight *flight, const struct https_request *request, const struct url *url)
{
    bool says_length = request->body.len || slice_eq(request->method, SLICE_LIT("POST"));
    struct h1_framing framing = {.body = BODY_NONE, .length_given = says_length, .length = request->body.len};
    h1_write_request_line(&flight->wire, request->method, url->target);
    h1_write_field(&flight->wire, SLICE_LIT("Host"), url->authority);
    for (size_t i = 0; i < request->num_fields; i++)
        h1_write_field(&flight->wire, request->fields[i].name, request->fields[i].value);
    h1_write_framing(&flight->wire, &framing);
    h1_write_end(&flight->wire);
    buf_append_slice(&flight->body_out, request->body);
}

void https_flight_start(struct https_flight *flight, const struct https_request *request, const struct url *url)
{
    struct net_loop *loop = flight->client->loop;
    flight_write_head(flight, request, url);
    flight->origin = https_origin_find(flight->client, url);
    list_append(&flight->origin->waiting, &flight->node);
    tick_start(&loop->ticker, &flight->deadline, flight->client->call_ms);
    deferred_start(loop, &flight->origin->advance);
}

void https_flight_send(struct https_flight *flight)
{
    struct h1_client *client = &flight->conn->client;
    h1_client_lend(client, &flight->user, &flight->arena, flight->method, false);
    buf_append_slice(h1_client_head_out(client), buf_slice(&flight->wire));
    h1_client_head_written(client, flight->body_out.len ? BODY_LENGTH : BODY_NONE);
    bool room = h1_client_body(client, buf_slice(&flight->body_out));
    (void)room; /* all of it is here already */
    h1_client_end(client, NULL);
}
