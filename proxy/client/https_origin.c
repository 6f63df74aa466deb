#include "client/https_internal.h"

static const struct https_conn_ops origin_conn_ops;

void https_origin_free(struct https_origin *origin)
{
    deferred_stop(&origin->advance);
    buf_cleanup(&origin->key);
    buf_cleanup(&origin->host);
    mem_free(origin);
}

void https_origin_maybe_free(struct https_origin *origin)
{
    if (origin->num_conns || !list_empty(&origin->waiting) || !list_empty(&origin->running))
        return;
    map_remove(&origin->client->origins, buf_slice(&origin->key));
    https_origin_free(origin);
}

static struct https_conn *origin_take_idle(struct https_origin *origin)
{
    struct list *node;
    while ((node = list_first(&origin->idle))) {
        struct https_conn *conn = container_of(node, struct https_conn, node);
        list_remove(node);
        if (https_conn_wake(conn))
            return conn;
    }
    return NULL;
}

/* One has turned out dead: the others have been idle as long. */
void https_origin_drop_idle(struct https_origin *origin)
{
    struct list *node;
    while ((node = list_first(&origin->idle))) {
        list_remove(node);
        https_conn_end(container_of(node, struct https_conn, node));
    }
}

static struct https_conn *origin_dial(struct https_origin *origin)
{
    struct https_conn *conn = https_conn_new(&origin->way, &origin_conn_ops, origin);
    conn->counted = true;
    origin->num_open++;
    origin->num_conns++;
    origin->client->num_conns++;
    return conn;
}

/* It is no use any more: another may be opened in its place. */
static void origin_uncount(struct https_conn *conn)
{
    struct https_origin *origin = conn->owner;
    if (!conn->counted)
        return;
    conn->counted = false;
    origin->num_open--;
    deferred_start(origin->client->loop, &origin->advance);
}

static void flight_board(struct https_flight *flight, struct https_conn *conn)
{
    list_remove(&flight->node);
    list_append(&flight->origin->running, &flight->node);
    flight->conn = conn;
    conn->flight = flight;
}

/* Gives connections to calls that wait, in order. */
static void origin_advance(struct deferred *deferred)
{
    struct https_origin *origin = container_of(deferred, struct https_origin, advance);
    struct list *node;
    while ((node = list_first(&origin->waiting))) {
        struct https_flight *flight = container_of(node, struct https_flight, node);
        struct https_conn *conn = origin_take_idle(origin);
        flight->on_reused = conn != NULL;
        if (conn) {
            flight_board(flight, conn);
            https_flight_send(flight);
            continue;
        }
        if (origin->num_open >= HTTPS_MAX_CONNS)
            return;
        flight_board(flight, origin_dial(origin));
    }
    https_origin_maybe_free(origin);
}

static void origin_conn_open(struct https_conn *conn)
{
    https_flight_send(conn->flight); /* a flight that ends earlier ends its connection */
}

static void origin_conn_idle(struct https_conn *conn)
{
    struct https_origin *origin = conn->owner;
    conn->flight = NULL;
    list_prepend(&origin->idle, &conn->node);
    https_conn_rest(conn);
    deferred_start(origin->client->loop, &origin->advance);
}

static void origin_conn_done(struct https_conn *conn)
{
    list_remove(&conn->node);
    origin_uncount(conn);
}

static void origin_conn_failed(struct https_conn *conn, struct err err, const char *refusal)
{
    struct https_flight *flight = conn->flight;
    struct buf why = {0};
    origin_uncount(conn);
    if (refusal)
        buf_printf(&why, "its certificate was refused: %s", refusal);
    if (flight)
        https_flight_fail(flight, err, refusal ? buf_cstr(&why) : NULL);
    buf_cleanup(&why);
}

static void origin_conn_gone(struct https_conn *conn)
{
    struct https_origin *origin = conn->owner;
    struct https_client *client = origin->client;
    origin_uncount(conn); /* one that was ended before it opened */
    origin->num_conns--;
    client->num_conns--;
    https_origin_maybe_free(origin);
    https_client_maybe_free(client);
}

static const struct https_conn_ops origin_conn_ops = {
    .open = origin_conn_open,
    .idle = origin_conn_idle,
    .failed = origin_conn_failed,
    .done = origin_conn_done,
    .gone = origin_conn_gone,
};

struct https_origin *https_origin_find(struct https_client *client, const struct url *url)
{
    struct buf key = {0};
    buf_printf(&key, "%s://%.*s:%u", url->https ? "https" : "http", (int)url->host.len, url->host.ptr, url->port);
    struct https_origin *origin = map_get(&client->origins, buf_slice(&key));
    if (origin) {
        buf_cleanup(&key);
        return origin;
    }
    origin = MEM_NEW(struct https_origin);
    origin->client = client;
    origin->key = key;
    buf_append_slice(&origin->host, url->host);
    bool proxied = url->https && https_proxy_applies(&client->proxy, url->host, url->port);
    origin->way = (struct https_conn_way){.loop = client->loop,
                                          .resolver = client->resolver,
                                          .tls = client->tls,
                                          .proxy = proxied ? &client->proxy : NULL,
                                          .host = buf_slice(&origin->host),
                                          .port = url->port,
                                          .secure = url->https};
    list_init(&origin->waiting);
    list_init(&origin->running);
    list_init(&origin->idle);
    deferred_init(&origin->advance, origin_advance);
    map_put(&client->origins, buf_slice(&origin->key), origin);
    return origin;
}
