#include "client/probe.h"

#include "client/https_conn.h"

struct probe_client {
    struct net_loop *loop;
    struct tls_client *tls; /* NULL until it is needed */
    struct list flights;
    bool closing;
    struct grave grave;
};

/* Frees itself once its connection is gone and it has told what it has to. */
struct probe_flight {
    struct http_user user;
    struct https_conn_way way;
    struct address address;
    struct buf host, request;
    struct https_conn *conn; /* NULL: gone */
    struct probe *asked;     /* NULL: nobody waits any more */
    struct probe_client *client;
    struct list node; /* in client->flights */
    struct tick deadline;
    struct deferred tell;
    struct arena arena; /* of the answer's head */
    const struct head *head;
    struct buf body;
    struct err err;
    bool opened, finished, telling;
};

static struct probe_flight *flight_of(struct http_user *user)
{
    return container_of(user, struct probe_flight, user);
}

static struct probe_flight *flight_of_conn(struct https_conn *conn)
{
    return conn->owner;
}

/* ---- the end ---- */

static void client_free(struct grave *grave)
{
    struct probe_client *client = container_of(grave, struct probe_client, grave);
    tls_client_free(client->tls);
    mem_free(client);
}

static void client_maybe_free(struct probe_client *client)
{
    if (client->closing && list_empty(&client->flights))
        graveyard_bury(&client->loop->graveyard, &client->grave, client_free);
}

static void flight_maybe_free(struct probe_flight *flight)
{
    struct probe_client *client = flight->client;
    if (flight->conn || flight->asked || flight->telling)
        return;
    tick_stop(&flight->deadline);
    deferred_stop(&flight->tell);
    buf_cleanup(&flight->host);
    buf_cleanup(&flight->request);
    buf_cleanup(&flight->body);
    arena_cleanup(&flight->arena);
    list_remove(&flight->node);
    mem_free(flight);
    client_maybe_free(client);
}

/* Out of whatever event ended it: only now may the connection be ended, and `done` do as it likes. */
static void flight_tell(struct deferred *deferred)
{
    struct probe_flight *flight = container_of(deferred, struct probe_flight, tell);
    struct probe *probe = flight->asked;
    const struct head *head = flight->head;
    struct probe_answer answer = {.err = flight->err, .opened = flight->opened};
    if (head) {
        answer.status = head->status;
        answer.location = head_get(head, FIELD_LOCATION);
        answer.server = head_get_named(head, SLICE_LIT("Server"));
        answer.body = buf_slice(&flight->body);
    }
    if (flight->conn)
        https_conn_end(flight->conn);
    probe->flight = NULL;
    flight->asked = NULL;
    flight->telling = true;
    probe->done(probe, &answer);
    flight->telling = false;
    flight_maybe_free(flight);
}

static void flight_finish(struct probe_flight *flight, struct err err)
{
    if (flight->finished)
        return;
    flight->finished = true;
    flight->err = err;
    tick_stop(&flight->deadline);
    if (flight->asked)
        deferred_start(flight->client->loop, &flight->tell);
}

static void flight_expired(struct tick *tick)
{
    struct probe_flight *flight = container_of(tick, struct probe_flight, deadline);
    flight_finish(flight, err_make(ERR_TIMEOUT, 0, "no answer in time"));
}

/* ---- the answer ---- */

static void flight_head(struct http_user *user, struct head *head)
{
    if (head->status >= 200)
        flight_of(user)->head = head;
}

static void flight_body(struct http_user *user, struct slice bytes)
{
    struct probe_flight *flight = flight_of(user);
    buf_append_slice(&flight->body, slice_first(bytes, PROBE_BODY_BYTES - flight->body.len));
    if (flight->body.len == PROBE_BODY_BYTES)
        flight_finish(flight, ERR_OK);
}

static void flight_end(struct http_user *user, const struct fields *trailers)
{
    (void)trailers;
    flight_finish(flight_of(user), ERR_OK);
}

static void flight_failed(struct http_user *user, struct err err, enum http_progress progress)
{
    (void)progress;
    flight_finish(flight_of(user), err);
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

/* ---- the connection ---- */

static void conn_opened(struct https_conn *conn)
{
    struct probe_flight *flight = flight_of_conn(conn);
    struct h1_client *client = &conn->client;
    flight->opened = true;
    h1_client_lend(client, &flight->user, &flight->arena, METHOD_GET, false);
    buf_append_slice(h1_client_head_out(client), buf_slice(&flight->request));
    h1_client_head_written(client, BODY_NONE);
    h1_client_end(client, NULL);
}

static void conn_failed(struct https_conn *conn, struct err err, const char *refusal)
{
    (void)refusal; /* no certificate is */
    flight_finish(flight_of_conn(conn), err);
}

static void conn_idle(struct https_conn *conn)
{
    (void)conn; /* it is ended by who tells of the answer */
}

static void conn_gone(struct https_conn *conn)
{
    struct probe_flight *flight = flight_of_conn(conn);
    flight->conn = NULL;
    flight_maybe_free(flight);
}

static const struct https_conn_ops flight_conn_ops = {
    .open = conn_opened,
    .idle = conn_idle,
    .failed = conn_failed,
    .done = conn_idle,
    .gone = conn_gone,
};

static void flight_write_request(struct probe_flight *flight, const struct probe_target *target)
{
    struct h1_framing framing = {.body = BODY_NONE, .connection = H1_CONNECTION_CLOSE};
    h1_write_request_line(&flight->request, SLICE_LIT("GET"), target->target);
    h1_write_field(&flight->request, SLICE_LIT("Host"), target->authority);
    h1_write_field(&flight->request, SLICE_LIT("User-Agent"), target->user_agent);
    h1_write_field(&flight->request, SLICE_LIT("Accept"), SLICE_LIT("*/*"));
    h1_write_framing(&flight->request, &framing);
    h1_write_end(&flight->request);
}

void probe_send(struct probe_client *client, const struct probe_target *target, uint64_t timeout_ms,
                struct probe *probe)
{
    struct net_loop *loop = client->loop;
    struct probe_flight *flight = MEM_NEW(struct probe_flight);
    if (target->secure && !client->tls)
        client->tls = tls_client_new_unverified();
    *flight = (struct probe_flight){
        .user = {&flight_user_ops}, .address = *target->address, .asked = probe, .client = client};
    buf_append_slice(&flight->host, target->host);
    flight_write_request(flight, target);
    flight->way = (struct https_conn_way){.loop = loop,
                                          .tls = client->tls,
                                          .host = buf_slice(&flight->host),
                                          .port = address_port(target->address),
                                          .secure = target->secure,
                                          .max_body_bytes = INT64_MAX, /* what comes behind its beginning is not read */
                                          .address = &flight->address};
    list_append(&client->flights, &flight->node);
    tick_init(&flight->deadline, flight_expired);
    deferred_init(&flight->tell, flight_tell);
    tick_start(&loop->ticker, &flight->deadline, timeout_ms);
    probe->flight = flight;
    flight->conn = https_conn_new(&flight->way, &flight_conn_ops, flight);
}

void probe_cancel(struct probe *probe)
{
    struct probe_flight *flight = probe->flight;
    if (!flight)
        return;
    probe->flight = NULL;
    flight->asked = NULL;
    flight->finished = true;
    tick_stop(&flight->deadline);
    deferred_stop(&flight->tell);
    if (flight->conn)
        https_conn_end(flight->conn);
    flight_maybe_free(flight);
}

struct probe_client *probe_client_new(struct net_loop *loop)
{
    struct probe_client *client = MEM_NEW(struct probe_client);
    client->loop = loop;
    list_init(&client->flights);
    return client;
}

void probe_client_close(struct probe_client *client)
{
    if (!client || client->closing)
        return;
    LIST_EACH(&client->flights, node)
    {
        struct probe_flight *flight = container_of(node, struct probe_flight, node);
        if (flight->asked)
            probe_cancel(flight->asked);
    }
    client->closing = true;
    client_maybe_free(client);
}
