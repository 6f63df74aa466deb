#include "acme/pem.h"
#include "base/buf.h"
#include "base/limits.h"
#include "certs/ca_transport.h"
#include "check.h"
#include "scripted_server.h"
#include "test_cert.h"

#include <openssl/pool.h>
#include <openssl/ssl.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* A server with TLS that answers what it is told, once for each request, and keeps the last request. */
struct teller {
    SSL_CTX *ctx;
    struct buf root_pem;
    int listener;
    uint16_t port;
    const char *answer; /* NULL: nothing */
    char request[4096];
};

static void teller_serve(struct teller *server, SSL *ssl)
{
    char in[4096];
    size_t len = 0;
    for (int got; len < sizeof in - 1 && (got = SSL_read(ssl, in + len, (int)(sizeof in - 1 - len))) > 0;) {
        len += (size_t)got;
        in[len] = '\0';
        const char *end = strstr(in, "\r\n\r\n"), *length = strstr(in, "Content-Length: ");
        if (!end || strlen(end + 4) < (length ? strtoul(length + 16, NULL, 10) : 0) || !server->answer)
            continue;
        memcpy(server->request, in, len + 1);
        if (SSL_write(ssl, server->answer, (int)strlen(server->answer)) <= 0)
            return;
        len = 0;
    }
}

static void *teller_run(void *arg)
{
    struct teller *server = arg;
    for (int fd; (fd = accept(server->listener, NULL, NULL)) >= 0; close(fd)) {
        SSL *ssl = SSL_new(server->ctx);
        SSL_set_fd(ssl, fd);
        if (SSL_accept(ssl) == 1)
            teller_serve(server, ssl);
        SSL_free(ssl);
    }
    return NULL;
}

static void teller_start(struct teller *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    pthread_t thread;
    struct cert *cert = test_cert_for("localhost");
    server->ctx = server_ctx_new(cert);
    pem_write(&server->root_pem, "CERTIFICATE",
              slice_make(CRYPTO_BUFFER_data(cert->chain[0]), CRYPTO_BUFFER_len(cert->chain[0])));
    cert_unref(cert);
    server->listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(server->listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(server->listener, 8) != 0 ||
        getsockname(server->listener, (struct sockaddr *)&address, &len) != 0 ||
        pthread_create(&thread, NULL, teller_run, server) != 0)
        abort();
    pthread_detach(thread);
    server->port = ntohs(address.sin_port);
}

struct world {
    struct teller *server; /* its thread lives as long as the process */
    uv_loop_t uv;
    struct net_loop *loop;
    struct offload_pool *pool;
    struct offload_port *port;
    struct resolver *resolver;
    struct ca_transport *ca;
};

struct ask {
    struct transport_call call;
    unsigned num_done;
    struct err err;
    int status;
    char location[64], nonce[64], retry_after[64], type[64], date[64], body[64], detail[200], links[128];
    size_t num_links;
    bool location_given;
};

static void world_init(struct world *world, struct teller *server)
{
    struct ca_transport_options options = {.version = "9.9", .extra_roots_pem = buf_slice(&server->root_pem)};
    size_t num_roots;
    world->server = server;
    uv_loop_init(&world->uv);
    world->loop = options.loop = net_loop_new(&world->uv);
    world->pool = offload_pool_new("resolve", 1, 0, 16);
    world->port = offload_port_new(&world->uv);
    world->resolver = options.resolver = resolver_new(world->loop, world->pool, world->port, 30000);
    CHECK(!err_is(ca_transport_new(&options, &world->ca, &num_roots)));
}

static void world_cleanup(struct world *world)
{
    ca_transport_close(world->ca);
    uv_run(&world->uv, UV_RUN_NOWAIT);
    uv_run(&world->uv, UV_RUN_DEFAULT);
    resolver_free(world->resolver);
    offload_port_close(world->port);
    net_loop_close(world->loop);
    uv_run(&world->uv, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&world->uv), 0);
    offload_pool_free(world->pool);
}

static void keep(char *out, size_t size, struct slice s)
{
    snprintf(out, size, "%.*s", (int)s.len, s.len ? s.ptr : "");
}

static void ask_done(struct transport_call *call, const struct acme_reply *reply)
{
    struct ask *ask = container_of(call, struct ask, call);
    ask->num_done++;
    ask->err = reply->err;
    ask->status = reply->status;
    ask->location_given = reply->location.ptr != NULL;
    keep(ask->location, sizeof ask->location, reply->location);
    keep(ask->nonce, sizeof ask->nonce, reply->replay_nonce);
    keep(ask->retry_after, sizeof ask->retry_after, reply->retry_after);
    keep(ask->type, sizeof ask->type, reply->content_type);
    keep(ask->date, sizeof ask->date, reply->date);
    keep(ask->body, sizeof ask->body, reply->body);
    keep(ask->detail, sizeof ask->detail, slice_str(reply->detail));
    ask->num_links = reply->num_links;
    for (size_t i = 0; i < reply->num_links && i < 3; i++)
        snprintf(ask->links + strlen(ask->links), 32, "%.*s;", (int)reply->links[i].len, reply->links[i].ptr);
}

static void ask_send(struct world *world, struct ask *ask, struct acme_request *request, const char *path)
{
    char url[128];
    struct transport *transport = ca_transport_base(world->ca);
    snprintf(url, sizeof url, "https://localhost:%u%s", (unsigned)world->server->port, path);
    request->url = slice_str(url);
    ask->call.done = ask_done;
    transport->ops->send(transport, request, &ask->call);
    CHECK_INT(ask->num_done, 0);
}

static struct ask asked(struct world *world, struct acme_request request, const char *path)
{
    struct ask ask = {0};
    ask_send(world, &ask, &request, path);
    while (!ask.num_done && uv_run(&world->uv, UV_RUN_ONCE))
        ;
    CHECK_INT(ask.num_done, 1);
    return ask;
}

static void a_request_says_who_asks(struct teller *server)
{
    struct world world;
    char expected[512];
    world_init(&world, server);
    server->answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    struct acme_request request = {.method = ACME_POST,
                                   .content_type = SLICE_LIT("application/jose+json"),
                                   .accept = SLICE_LIT("application/pem-certificate-chain"),
                                   .body = SLICE_LIT("{}")};
    asked(&world, request, "/order/1?x=%2F");
    snprintf(expected, sizeof expected,
             "POST /order/1?x=%%2F HTTP/1.1\r\nHost: localhost:%u\r\nUser-Agent: portico/9.9\r\n"
             "Accept: application/pem-certificate-chain\r\nAccept-Language: en\r\n"
             "Content-Type: application/jose+json\r\nContent-Length: 2\r\n\r\n{}",
             (unsigned)server->port);
    CHECK_STR(server->request, expected);
    asked(&world, (struct acme_request){.method = ACME_GET}, "/dir");
    CHECK(strncmp(server->request, "GET /dir HTTP/1.1\r\n", 19) == 0);
    CHECK(strstr(server->request, "Accept: */*\r\n") && !strstr(server->request, "Content-"));
    asked(&world, (struct acme_request){.method = ACME_HEAD}, "/nonce");
    CHECK(strncmp(server->request, "HEAD /nonce ", 12) == 0);
    world_cleanup(&world);
}

static void a_reply_brings_its_fields(struct teller *server)
{
    struct world world;
    world_init(&world, server);
    server->answer = "HTTP/1.1 201 Created\r\nlocation: https://ca/o/1\r\nREPLAY-NONCE: n0\r\nRetry-After: 3\r\n"
                     "Date: Tue, 24 Nov 2026 01:02:03 GMT\r\nContent-Type: application/json\r\n"
                     "Link: <a>;rel=\"up\"\r\nLink: <b>;rel=\"alternate\"\r\nContent-Length: 2\r\n\r\n{}";
    struct ask ask = asked(&world, (struct acme_request){.method = ACME_GET}, "/");
    CHECK_INT(ask.status, 201);
    CHECK_STR(ask.location, "https://ca/o/1");
    CHECK_STR(ask.nonce, "n0");
    CHECK_STR(ask.retry_after, "3");
    CHECK_STR(ask.date, "Tue, 24 Nov 2026 01:02:03 GMT");
    CHECK_STR(ask.type, "application/json");
    CHECK_STR(ask.links, "<a>;rel=\"up\";<b>;rel=\"alternate\";");
    CHECK_STR(ask.body, "{}");
    server->answer = "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n";
    ask = asked(&world, (struct acme_request){.method = ACME_GET}, "/");
    CHECK_INT(ask.status, 503);
    CHECK(!ask.location_given && ask.num_links == 0);
    world_cleanup(&world);
}

static void more_links_than_there_is_room_for(struct teller *server)
{
    struct world world;
    struct buf answer = {0};
    buf_append_str(&answer, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
    for (int i = 0; i < 40; i++)
        buf_append_str(&answer, "Link: <x>;rel=\"up\"\r\n");
    buf_append_str(&answer, "\r\n");
    world_init(&world, server);
    server->answer = buf_cstr(&answer);
    CHECK_INT(asked(&world, (struct acme_request){.method = ACME_GET}, "/").num_links, ACME_MAX_LINKS);
    world_cleanup(&world);
    server->answer = NULL;
    buf_cleanup(&answer);
}

static void no_answer_is_told_in_words(struct teller *server)
{
    struct world world;
    struct teller nobody = {.port = 1};
    world_init(&world, server);
    world.server = &nobody;
    struct ask ask = asked(&world, (struct acme_request){.method = ACME_GET}, "/");
    CHECK(err_is(ask.err));
    CHECK_STR(ask.detail, "localhost: connect: Connection refused");
    world_cleanup(&world);
}

static void an_unknown_root_brings_its_cure(struct teller *server)
{
    static struct server untrusted; /* its thread lives as long as the process */
    struct world world;
    struct cert *cert = test_cert_for("localhost");
    char url[64];
    server_start(&untrusted, cert);
    world_init(&world, server);
    snprintf(url, sizeof url, "https://localhost:%u/", (unsigned)untrusted.port);
    struct acme_request request = {.method = ACME_GET, .url = slice_str(url)};
    struct ask ask = {.call.done = ask_done};
    struct transport *transport = ca_transport_base(world.ca);
    transport->ops->send(transport, &request, &ask.call);
    while (!ask.num_done && uv_run(&world.uv, UV_RUN_ONCE))
        ;
    CHECK_STR(ask.detail,
              "localhost: its certificate was refused: self signed certificate; the root of a private CA goes "
              "into PORTICO_ACME_CA_FILE");
    world_cleanup(&world);
    cert_unref(cert);
}

static void the_ca_is_never_asked_in_the_clear(struct teller *server) /* ACME-1 */
{
    struct world world;
    world_init(&world, server);
    struct acme_request request = {.method = ACME_GET, .url = SLICE_LIT("http://127.0.0.1/directory")};
    struct ask ask = {.call.done = ask_done};
    struct transport *transport = ca_transport_base(world.ca);
    transport->ops->send(transport, &request, &ask.call);
    while (!ask.num_done && uv_run(&world.uv, UV_RUN_ONCE))
        ;
    CHECK_INT(ask.err.kind, ERR_INPUT);
    CHECK_STR(ask.detail, "the URL must begin with https://: refused input");
    world_cleanup(&world);
}

static void canceled_and_closed_calls_are_silent(struct teller *server)
{
    struct world world;
    struct ask canceled = {0}, open = {0};
    struct acme_request request = {.method = ACME_GET};
    world_init(&world, server);
    server->answer = NULL;
    struct transport *transport = ca_transport_base(world.ca);
    ask_send(&world, &canceled, &request, "/");
    ask_send(&world, &open, &request, "/");
    for (int i = 0; i < 10; i++) {
        uv_run(&world.uv, UV_RUN_NOWAIT);
        usleep(1000);
    }
    transport->ops->cancel(transport, &canceled.call);
    transport->ops->cancel(transport, &canceled.call);
    world_cleanup(&world);
    CHECK_INT(canceled.num_done + open.num_done, 0);
}

int main(void)
{
    static struct teller server;
    signal(SIGPIPE, SIG_IGN); /* as main does */
    teller_start(&server);
#define RUN_WITH(test) (checks_test = #test, test(&server))
    RUN_WITH(a_request_says_who_asks);
    RUN_WITH(a_reply_brings_its_fields);
    RUN_WITH(more_links_than_there_is_room_for);
    RUN_WITH(no_answer_is_told_in_words);
    RUN_WITH(an_unknown_root_brings_its_cure);
    RUN_WITH(the_ca_is_never_asked_in_the_clear);
    RUN_WITH(canceled_and_closed_calls_are_silent);
    SSL_CTX_free(server.ctx);
    buf_cleanup(&server.root_pem);
    return checks_done();
}
