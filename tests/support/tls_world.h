/* TLS over simulated transports, both ends in one place: the server is ours, the client BoringSSL's own over memory. For
 * the programs of tests/sim alone. */
#ifndef SUPPORT_TLS_WORLD_H
#define SUPPORT_TLS_WORLD_H

#include "base/mem.h"
#include "check.h"
#include "net/net_loop.h"
#include "sim_stream.h"
#include "test_cert.h"
#include "tls/tls_server.h"
#include "tls/tls_stream.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <unistd.h>
#include <openssl/ssl.h>

enum { MAX_TURNS = 5000 };

struct world {
    uv_loop_t uv;
    struct net_loop *loop;
    struct tls_server *server;
    struct certset *set;
    SSL_CTX *client_ctx;
    SSL_SESSION *session; /* the newest ticket that a client got */
    struct offload_port *port; /* where RSA is signed in a pool */
};

/* A connection, both ends. */
struct link {
    struct world *world;
    struct sim_stream wire;
    struct tls_stream tls;
    struct sink sink;
    SSL *ssl; /* the client */
    struct buf got;       /* plaintext, by the server */
    struct buf client_got;
    size_t wire_read;     /* of the wire's output, by the client */
    struct err closed_err;
    unsigned num_data, num_drained;
    bool established, eof, truncated, closed, client_done, client_failed;
    int client_error;
    void (*on_data)(struct link *link, struct slice bytes); /* NULL: keeps them in got */
    struct link *other;
};

/* ---- the server's end ---- */

static inline void link_data(struct sink *sink, struct slice bytes)
{
    struct link *link = container_of(sink, struct link, sink);
    link->num_data++;
    buf_append_slice(&link->got, bytes);
    if (link->on_data)
        link->on_data(link, bytes);
}

static inline void link_eof(struct sink *sink)
{
    container_of(sink, struct link, sink)->eof = true;
}

static inline void link_truncated(struct sink *sink)
{
    container_of(sink, struct link, sink)->truncated = true;
}

static inline void link_drained(struct sink *sink)
{
    container_of(sink, struct link, sink)->num_drained++;
}

static inline void link_closed(struct sink *sink, struct err err)
{
    struct link *link = container_of(sink, struct link, sink);
    CHECK(!link->closed); /* exactly once */
    link->closed = true;
    link->closed_err = err;
}

static const struct sink_ops link_ops = {
    .data = link_data, .eof = link_eof, .truncated = link_truncated, .drained = link_drained, .closed = link_closed};

static inline void link_established(struct tls_stream *tls)
{
    struct link *link = container_of(tls, struct link, tls);
    link->established = true;
    stream_read_start(&tls->base);
}

/* ---- the client's end ---- */

static inline int keep_session(SSL *ssl, SSL_SESSION *session)
{
    struct link *link = SSL_get_app_data(ssl);
    SSL_SESSION_free(link->world->session);
    link->world->session = session;
    return 1;
}

static inline void client_note(struct link *link, int status)
{
    int error = SSL_get_error(link->ssl, status);
    if (error == SSL_ERROR_SSL) {
        link->client_failed = true;
        link->client_error = ERR_GET_REASON(ERR_peek_last_error());
    }
    ERR_clear_error();
}

static inline void client_step(struct link *link)
{
    struct slice fresh = slice_skip(buf_slice(&link->wire.output), link->wire_read);
    char bytes[20000];
    if (link->client_failed)
        return;
    BIO_write(SSL_get_rbio(link->ssl), fresh.ptr, (int)fresh.len);
    link->wire_read = link->wire.output.len;
    int status = link->client_done ? 1 : SSL_do_handshake(link->ssl);
    link->client_done = status == 1;
    if (status != 1)
        client_note(link, status);
    for (int got; link->client_done && (got = SSL_read(link->ssl, bytes, sizeof bytes)) > 0;)
        buf_append(&link->client_got, bytes, (size_t)got);
    int len = BIO_read(SSL_get_wbio(link->ssl), bytes, sizeof bytes);
    if (len > 0)
        sim_stream_send(&link->wire, slice_make(bytes, (size_t)len));
}

static inline void client_write(struct link *link, const char *text)
{
    CHECK(SSL_write(link->ssl, text, (int)strlen(text)) == (int)strlen(text));
    client_step(link);
}

static inline void world_run(struct world *world, struct link *a, struct link *b)
{
    for (int i = 0, idle = 0; i < MAX_TURNS && idle < 6; i++) {
        uv_run(&world->uv, UV_RUN_NOWAIT);
        size_t before = a->wire.output.len + (b ? b->wire.output.len : 0);
        client_step(a);
        if (b)
            client_step(b);
        uv_run(&world->uv, UV_RUN_NOWAIT);
        size_t after = a->wire.output.len + (b ? b->wire.output.len : 0);
        idle = before == after && list_empty(&world->loop->deferred) ? idle + 1 : 0;
    }
}

/* ---- the world ---- */

static const char *const protocols[] = {"http/1.1", NULL};

/* pool: of RSA signatures, or NULL. */
static inline void world_init_pool(struct world *world, bool serve_unknown, struct offload_pool *pool)
{
    *world = (struct world){0};
    uv_loop_init(&world->uv);
    world->loop = net_loop_new(&world->uv);
    uv_ref((uv_handle_t *)&world->loop->prepare); /* nothing else keeps this loop turning */
    world->set = certset_new();
    ticket_ring_rotate(&world->set->tickets);
    world->port = pool ? offload_port_new(&world->uv) : NULL;
    struct tls_server_options options = {.current = &world->set,
                                         .protocols = protocols,
                                         .serve_unknown = serve_unknown,
                                         .signer = {.pool = pool, .port = world->port}};
    world->server = tls_server_new(&options);
    world->client_ctx = SSL_CTX_new(TLS_method());
    SSL_CTX_set_session_cache_mode(world->client_ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(world->client_ctx, keep_session);
}

static inline void world_init(struct world *world, bool serve_unknown)
{
    world_init_pool(world, serve_unknown, NULL);
}

static inline void world_name(struct world *world, const char *name)
{
    struct cert *cert = test_cert_for(name);
    certset_put(world->set, slice_str(name), cert, true);
    cert_unref(cert);
}

static inline void world_cleanup(struct world *world)
{
    SSL_SESSION_free(world->session);
    SSL_CTX_free(world->client_ctx);
    tls_server_free(world->server);
    certset_unref(world->set);
    offload_port_close(world->port);
    net_loop_close(world->loop);
    uv_run(&world->uv, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&world->uv), 0);
}

static inline void link_open(struct link *link, struct world *world, const char *sni, SSL_SESSION *session, size_t read_bytes)
{
    *link = (struct link){.world = world, .sink = {&link_ops}};
    sim_stream_init(&link->wire, world->loop);
    link->wire.read_bytes = read_bytes;
    link->ssl = SSL_new(world->client_ctx);
    SSL_set_app_data(link->ssl, link);
    SSL_set_bio(link->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(link->ssl);
    if (sni)
        SSL_set_tlsext_host_name(link->ssl, sni);
    if (session)
        SSL_set_session(link->ssl, session);
    link->tls.base.sink = &link->sink;
    tls_stream_open(&link->tls, world->loop, &link->wire.base, tls_server_ssl(world->server), link_established);
}

static inline void link_end(struct link *link)
{
    if (!link->closed)
        stream_reset(&link->tls.base);
    world_run(link->world, link, NULL);
    CHECK(link->closed);
    SSL_free(link->ssl);
    sim_stream_cleanup(&link->wire);
    buf_cleanup(&link->got);
    buf_cleanup(&link->client_got);
}

/* One handshake, whole or not. */
static inline bool shake(struct world *world, const char *sni, SSL_SESSION *session, bool *out_resumed, int *out_error)
{
    struct link link;
    link_open(&link, world, sni, session, 0);
    world_run(world, &link, NULL);
    bool done = link.client_done && link.established;
    *out_resumed = done && SSL_session_reused(link.ssl);
    *out_error = link.client_error;
    link_end(&link);
    return done;
}

static inline SSL_SESSION *take_session(struct world *world, const char *sni)
{
    struct link link;
    link_open(&link, world, sni, NULL, 0);
    world_run(world, &link, NULL);
    CHECK(stream_write(&link.tls.base, SLICE_LIT("x"))); /* the ticket goes with the first bytes */
    world_run(world, &link, NULL);
    link_end(&link);
    SSL_SESSION *session = world->session;
    world->session = NULL;
    CHECK(session != NULL);
    return session;
}

#endif
