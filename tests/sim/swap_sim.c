/* The hot swap, whole: two workers serve TLS in front of two backends while the certset and the configuration are replaced
 * twenty times a second under load, and the listener moves. No request fails, no connection is closed by a swap, every
 * displaced value comes home, and new handshakes show new certificates. Run under ThreadSanitizer and AddressSanitizer as
 * well. */
#include "base/mem.h"
#include "check.h"
#include "core/worker.h"
#include "test_backend.h"
#include "test_cert.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <unistd.h>

enum {
    NUM_WORKERS = 2,
    NUM_CLIENTS = 4,
    NUM_CERTS = 6,
    NUM_SWAPS = 60,
    SWAP_MS = 50,
    REQUESTS_PER_CONNECTION = 25,
    MOVE_EVERY = 12
};

struct world {
    struct worker *workers[NUM_WORKERS];
    struct certset *latest;
    struct cert *certs[NUM_CERTS];
    struct mailbox *mailbox;
    uv_loop_t loop;
    uv_timer_t timer;
    _Atomic uint16_t port;
    uint16_t http_port; /* opened by an update that another overtakes */
    uint16_t backend_ports[2];
    unsigned num_swaps, num_retired, num_serving, num_configs_retired;
    atomic_bool over;
    _Atomic unsigned num_requests, num_failures, num_handshakes, num_changes;
    bool running;
};

/* ---- clients: blocking threads ---- */

static int client_connect(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    if (fd >= 0) /* or the client's own Nagle delay makes this a test of patience */
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool client_request(SSL *ssl)
{
    static const char request[] = "GET /x HTTP/1.1\r\nHost: a.example.com\r\n\r\n";
    char in[2048] = "";
    size_t len = 0;
    if (SSL_write(ssl, request, sizeof request - 1) <= 0)
        return false;
    while (len < sizeof in - 1 && !strstr(in, "Hello, world!")) {
        int got = SSL_read(ssl, in + len, (int)(sizeof in - 1 - len));
        if (got <= 0)
            return false;
        len += (size_t)got;
        in[len] = '\0';
    }
    return strncmp(in, "HTTP/1.1 200 ", 13) == 0;
}

static void client_visit(struct world *world, SSL_CTX *ctx, uint8_t last_leaf[32])
{
    uint16_t port = atomic_load(&world->port);
    int fd = client_connect(port);
    SSL *ssl = SSL_new(ctx);
    bool ok = fd >= 0 && SSL_set_fd(ssl, fd) && SSL_set_tlsext_host_name(ssl, "a.example.com") && SSL_connect(ssl) == 1;
    bool moved = !ok && atomic_load(&world->port) != port; /* the old place may close while one arrives there */
    if (ok) {
        uint8_t leaf[32] = {0};
        unsigned leaf_len;
        X509 *x509 = SSL_get_peer_certificate(ssl);
        if (x509 && X509_digest(x509, EVP_sha256(), leaf, &leaf_len) && memcmp(leaf, last_leaf, sizeof leaf) != 0) {
            memcpy(last_leaf, leaf, sizeof leaf);
            atomic_fetch_add(&world->num_changes, 1);
        }
        X509_free(x509);
        atomic_fetch_add(&world->num_handshakes, 1);
    }
    for (int i = 0; ok && i < REQUESTS_PER_CONNECTION; i++) {
        ok = client_request(ssl);
        atomic_fetch_add(&world->num_requests, 1);
    }
    if (!ok && !moved)
        atomic_fetch_add(&world->num_failures, 1);
    SSL_free(ssl);
    if (fd >= 0)
        close(fd);
}

static void *client_main(void *arg)
{
    struct world *world = arg;
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    uint8_t last_leaf[32] = {0};
    while (!atomic_load(&world->over))
        client_visit(world, ctx, last_leaf);
    SSL_CTX_free(ctx);
    return NULL;
}

/* ---- control ---- */

static void world_read_mail(void *ctx, const struct mail *mail)
{
    struct world *world = ctx;
    if (mail->kind == MAIL_RETIRED_CERTSET) {
        certset_unref(mail->ptr);
        world->num_retired++;
    }
    if (mail->kind == MAIL_RETIRED_CONFIG) {
        config_unref(mail->ptr);
        world->num_configs_retired++;
    }
    world->num_serving += mail->kind == MAIL_SERVING;
}

static void world_publish(struct world *world)
{
    struct certset *next = certset_copy(world->latest);
    next->generation++;
    certset_put(next, SLICE_LIT("a.example.com"), world->certs[next->generation % NUM_CERTS], true);
    if (next->generation % 10 == 0)
        ticket_ring_rotate(&next->tickets);
    certset_unref(world->latest);
    world->latest = next;
    for (int i = 0; i < NUM_WORKERS; i++)
        worker_publish(world->workers[i], certset_ref(next));
}

static const struct config *world_config(const struct world *world, unsigned turn)
{
    char upstream[64];
    snprintf(upstream, sizeof upstream, "PORTICO_UPSTREAM=http://127.0.0.1:%u", world->backend_ports[turn % 2]);
    const char *environment[] = {"PORTICO_DOMAINS=a.example.com", upstream, "PORTICO_ACME_ACCEPT_TERMS=true",
                                 "PORTICO_ACCESS_LOG=off", NULL};
    struct config *config = NULL;
    struct config_mistakes mistakes = {0};
    bool loaded = config_load(environment, &config, &mistakes);
    CHECK(loaded);
    config_mistakes_cleanup(&mistakes);
    return config;
}

/* Sockets for all workers at a place that is free; returns its port. */
static uint16_t world_bind(int fds[NUM_WORKERS])
{
    struct address address;
    CHECK(address_parse_ip(SLICE_LIT("127.0.0.1"), 0, &address));
    CHECK(!err_is(listen_bind(&address, true, &fds[0])));
    for (int i = 1; i < NUM_WORKERS; i++)
        CHECK(!err_is(listen_bind_again(fds[0], &fds[i])));
    CHECK(address_of_socket(fds[0], &address));
    return address_port(&address);
}

static void world_configure(struct world *world, const struct config *config, enum worker_place place, const int *fds)
{
    for (int i = 0; i < NUM_WORKERS; i++) {
        struct worker_update update = {.config = config_ref(config)};
        if (fds) {
            update.places[place].kind = PLACE_MOVE;
            update.places[place].fd = fds[i];
        }
        worker_configure(world->workers[i], &update);
    }
}

static void world_reload(struct world *world)
{
    const struct config *config = world_config(world, world->num_swaps);
    int fds[NUM_WORKERS];
    if (world->num_swaps % MOVE_EVERY == 0) {
        uint16_t port = world_bind(fds);
        world_configure(world, config, WORKER_HTTPS, fds);
        atomic_store(&world->port, port);
    } else if (world->num_swaps == 1) {
        world->http_port = world_bind(fds);
        world_configure(world, config, WORKER_HTTP, fds);
        world_configure(world, config, WORKER_HTTP, NULL); /* most likely before a worker has seen the other */
    } else {
        world_configure(world, config, WORKER_HTTPS, NULL);
    }
    config_unref(config);
}

static void world_swap(uv_timer_t *timer)
{
    struct world *world = container_of(timer, struct world, timer);
    if (world->num_swaps++ < NUM_SWAPS) {
        world_publish(world);
        world_reload(world);
        return;
    }
    uv_timer_stop(timer);
    uv_stop(&world->loop);
}

static bool plain_answers(uint16_t port)
{
    static const char request[] = "GET /x HTTP/1.1\r\nHost: a.example.com\r\nConnection: close\r\n\r\n";
    char in[64] = "";
    int fd = client_connect(port);
    bool ok =
        fd >= 0 && write(fd, request, sizeof request - 1) == sizeof request - 1 && read(fd, in, sizeof in - 1) > 12;
    if (fd >= 0)
        close(fd);
    return ok && strncmp(in, "HTTP/1.1 308 ", 13) == 0;
}

static void swap_under_load(void)
{
    struct world world = {0};
    struct conn_credit credit = {.max = 1000};
    struct log *log = log_new(STDERR_FILENO, LOG_FORMAT_TEXT, LOG_LEVEL_WARN);
    struct offload_pool *resolve = offload_pool_new("resolve", 1, 0, 64), *sign = offload_pool_new("sign", 1, 10, 64);
    pthread_t clients[NUM_CLIENTS];
    int fds[NUM_WORKERS];
    world.backend_ports[0] = test_backend_start();
    world.backend_ports[1] = test_backend_start();
    const struct config *config = world_config(&world, 0);

    for (int i = 0; i < NUM_CERTS; i++) {
        const char *names[] = {"a.example.com", NULL};
        world.certs[i] = test_cert_new(names, i == NUM_CERTS - 1, 86400); /* one of them RSA: signed in the pool */
    }
    uv_loop_init(&world.loop);
    world.mailbox = mailbox_new(&world.loop, world_read_mail, &world);
    world.latest = certset_new();
    ticket_ring_rotate(&world.latest->tickets);
    certset_put(world.latest, SLICE_LIT("a.example.com"), world.certs[0], true);
    atomic_store(&world.port, world_bind(fds));
    for (unsigned i = 0; i < NUM_WORKERS; i++) {
        struct worker_options options = {.index = i,
                                         .config = config,
                                         .certset = certset_ref(world.latest),
                                         .log = log_ring_new(log, "worker"),
                                         .mailbox = world.mailbox,
                                         .credit = &credit,
                                         .resolve_pool = resolve,
                                         .sign_pool = sign};
        world.workers[i] = worker_new(&options);
        CHECK(!err_is(worker_listen(world.workers[i], fds[i], false, true)));
    }
    for (int i = 0; i < NUM_WORKERS; i++)
        CHECK(!err_is(worker_start(world.workers[i])));
    for (int i = 0; i < NUM_CLIENTS; i++)
        CHECK(pthread_create(&clients[i], NULL, client_main, &world) == 0);
    uv_timer_init(&world.loop, &world.timer);
    uv_timer_start(&world.timer, world_swap, SWAP_MS, SWAP_MS);
    uv_run(&world.loop, UV_RUN_DEFAULT);

    atomic_store(&world.over, true);
    for (int i = 0; i < NUM_CLIENTS; i++)
        pthread_join(clients[i], NULL);
    CHECK(plain_answers(world.http_port));
    for (int i = 0; i < NUM_WORKERS; i++)
        worker_order(world.workers[i], WORKER_CLOSE);
    for (int i = 0; i < NUM_WORKERS; i++)
        worker_join(world.workers[i]);
    uv_close((uv_handle_t *)&world.timer, NULL);
    mailbox_close(world.mailbox);
    uv_run(&world.loop, UV_RUN_DEFAULT);
    uv_loop_close(&world.loop);
    offload_pool_free(resolve);
    offload_pool_free(sign);
    CHECK_INT(atomic_load(&credit.num_open), 0);
    CHECK_INT(atomic_load(&world.num_failures), 0);
    CHECK(atomic_load(&world.num_requests) > 100);
    CHECK(atomic_load(&world.num_changes) > NUM_SWAPS / 10);
    CHECK(world.num_serving >= NUM_SWAPS); /* of both workers; a late value may displace an earlier one */
    CHECK(world.num_retired == world.num_serving);
    CHECK(world.num_configs_retired >= NUM_SWAPS);
    CHECK_INT(atomic_load(&world.latest->refs), 1);
    printf("%u requests, %u handshakes, %u failures, %u changes of certificate, %u swaps\n",
           atomic_load(&world.num_requests), atomic_load(&world.num_handshakes), atomic_load(&world.num_failures),
           atomic_load(&world.num_changes), world.num_swaps - 1);
    certset_unref(world.latest);
    for (int i = 0; i < NUM_CERTS; i++)
        cert_unref(world.certs[i]);
    config_unref(config);
    log_free(log);
}

int main(void)
{
    RUN(swap_under_load);
    return checks_done();
}
