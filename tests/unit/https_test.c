#include "acme/pem.h"
#include "base/limits.h"
#include "check.h"
#include "client/https.h"
#include "scripted_server.h"
#include "test_cert.h"

#include <openssl/pool.h>

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define MUST(expression)                                             \
    do {                                                             \
        if (!(expression)) {                                         \
            fprintf(stderr, "https_test: %s failed\n", #expression); \
            abort();                                                 \
        }                                                            \
    } while (0)

/* ---- a client and its loop ---- */

static struct server good, wrong_name, plain;
static struct cert *good_cert, *wrong_cert;

struct world {
    uv_loop_t uv;
    struct net_loop *loop;
    struct offload_pool *pool;
    struct offload_port *port;
    struct resolver *resolver;
    struct https_client *client;
};

static bool allow_plain = true; /* of the worlds made from now on */

struct ask {
    struct https_call call;
    struct world *world;
    unsigned num_done;
    struct err err;
    char sentence[300];
    unsigned status;
    char body[512];
    size_t body_len;
    char nonce[32], location[32];
    unsigned num_links;
    bool close_in_done;
    struct ask *cancel_in_done;
};

static void cert_pem(const struct cert *cert, struct buf *out)
{
    pem_write(out, "CERTIFICATE", slice_make(CRYPTO_BUFFER_data(cert->chain[0]), CRYPTO_BUFFER_len(cert->chain[0])));
}

static void world_init_with(struct world *world, const struct cert *root, uint64_t call_ms, const char *proxy,
                            const char *no_proxy)
{
    struct buf roots = {0};
    struct https_proxy_options proxies = {slice_str(proxy), slice_str(no_proxy)};
    size_t num_roots;
    if (root)
        cert_pem(root, &roots);
    MUST(uv_loop_init(&world->uv) == 0);
    world->loop = net_loop_new(&world->uv);
    world->pool = offload_pool_new("resolve", 1, 0, 16);
    world->port = offload_port_new(&world->uv);
    world->resolver = resolver_new(world->loop, world->pool, world->port, 30000);
    struct https_options options = {.loop = world->loop,
                                    .resolver = world->resolver,
                                    .extra_roots_pem = buf_slice(&roots),
                                    .proxy = &proxies,
                                    .call_ms = call_ms,
                                    .plain_http = allow_plain};
    CHECK(!err_is(https_client_new(&options, &world->client, &num_roots)));
    CHECK(!root || num_roots > 0);
    buf_cleanup(&roots);
}

static void world_init(struct world *world, const struct cert *root, uint64_t call_ms)
{
    world_init_with(world, root, call_ms, "", "");
}

static void world_cleanup(struct world *world)
{
    https_client_close(world->client);
    for (int i = 0; i < 5; i++) /* connections reset, or linger: the loop is kept by their handles */
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

static void ask_done(struct https_call *call, const struct https_answer *answer)
{
    struct ask *ask = container_of(call, struct ask, call);
    ask->num_done++;
    ask->err = answer->err;
    if (err_is(answer->err)) {
        CHECK(!answer->head);
        keep(ask->sentence, sizeof ask->sentence, slice_str(answer->sentence));
    } else {
        ask->status = answer->head->status;
        ask->body_len = answer->body.len;
        keep(ask->body, sizeof ask->body, answer->body);
        keep(ask->nonce, sizeof ask->nonce, head_get(answer->head, FIELD_REPLAY_NONCE));
        keep(ask->location, sizeof ask->location, head_get(answer->head, FIELD_LOCATION));
        FIELDS_EACH(&answer->head->fields, field)
        ask->num_links += field->id == FIELD_LINK;
    }
    if (ask->cancel_in_done)
        https_cancel(&ask->cancel_in_done->call);
    if (ask->close_in_done) {
        https_client_close(ask->world->client);
        ask->world->client = NULL;
    }
}

static void ask_send(struct world *world, struct ask *ask, const char *method, const char *url, const char *body)
{
    static const struct https_field fields[] = {{SLICE_LIT("User-Agent"), SLICE_LIT("test/1")},
                                                {SLICE_LIT("Accept-Language"), SLICE_LIT("en")}};
    struct https_request request = {.method = slice_str(method),
                                    .url = slice_str(url),
                                    .fields = fields,
                                    .num_fields = 2,
                                    .body = slice_str(body),
                                    .repeatable = true};
    ask->world = world;
    ask->call.done = ask_done;
    https_send(world->client, &request, &ask->call);
    CHECK_INT(ask->num_done, 0);
}

static void ask_wait(struct ask *ask)
{
    while (!ask->num_done && uv_run(&ask->world->uv, UV_RUN_ONCE))
        ;
    CHECK_INT(ask->num_done, 1);
}

static const char *url_of(const struct server *server, const char *scheme, const char *host, const char *path)
{
    static char text[8][128];
    static unsigned at;
    char *out = text[at++ % 8];
    snprintf(out, sizeof text[0], "%s://%s:%u%s", scheme, host, (unsigned)server->port, path);
    return out;
}

static struct ask asked(struct world *world, const char *method, const char *url, const char *body)
{
    struct ask ask = {0};
    ask_send(world, &ask, method, url, body);
    ask_wait(&ask);
    return ask;
}

static struct ask got(struct world *world, const char *path)
{
    return asked(world, "GET", url_of(&good, "https", "localhost", path), NULL);
}

/* ---- tests ---- */

static void a_verified_answer_with_its_fields(void)
{
    struct world world;
    char expected[256];
    world_init(&world, good_cert, 0);
    struct ask ask = asked(&world, "POST", url_of(&good, "https", "localhost", "/a/b?c=%20d"), "{\"x\":1}");
    CHECK(!err_is(ask.err));
    CHECK_INT(ask.status, 200);
    snprintf(expected, sizeof expected,
             "POST /a/b?c=%%20d HTTP/1.1\r\nHost: localhost:%u\r\nUser-Agent: test/1\r\nAccept-Language: en\r\n"
             "Content-Length: 7\r\n\r\n{\"x\":1}",
             (unsigned)good.port);
    CHECK_STR(ask.body, expected);
    CHECK_STR(ask.nonce, "abc");
    CHECK_STR(ask.location, "/else");
    CHECK_INT(ask.num_links, 2);
    world_cleanup(&world);
}

static void head_interim_and_no_content(void)
{
    struct world world;
    world_init(&world, good_cert, 0);
    struct ask head = asked(&world, "HEAD", url_of(&good, "https", "localhost", "/x"), NULL);
    CHECK_INT(head.status, 200);
    CHECK_INT(head.body_len, 0);
    CHECK_STR(head.nonce, "abc");
    struct ask interim = got(&world, "/interim");
    CHECK_INT(interim.status, 204);
    CHECK_INT(interim.num_links, 0);
    world_cleanup(&world);
}

static void no_redirect_is_followed(void)
{
    struct world world;
    world_init(&world, good_cert, 0);
    unsigned before = good.num_requests;
    struct ask ask = asked(&world, "POST", url_of(&good, "https", "localhost", "/redirect"), "x");
    CHECK_INT(ask.status, 302);
    CHECK_STR(ask.location, "/hello");
    CHECK_INT(good.num_requests, before + 1);
    world_cleanup(&world);
}

static void a_certificate_for_another_name_is_refused(void)
{
    struct world world;
    world_init(&world, wrong_cert, 0);
    struct ask ask = asked(&world, "GET", url_of(&wrong_name, "https", "localhost", "/"), NULL);
    CHECK_INT(ask.err.kind, ERR_TLS);
    CHECK_STR(ask.sentence, "localhost: its certificate was refused: Hostname mismatch");
    CHECK_INT(wrong_name.num_requests, 0);
    struct ask by_address = asked(&world, "GET", url_of(&wrong_name, "https", "127.0.0.1", "/"), NULL);
    CHECK_INT(by_address.err.kind, ERR_TLS);
    CHECK(strstr(by_address.sentence, "refused: IP address mismatch"));
    world_cleanup(&world);
}

static void an_untrusted_certificate_is_refused(void)
{
    struct world world;
    world_init(&world, NULL, 0);
    unsigned before = good.num_requests;
    struct ask ask = got(&world, "/");
    CHECK_INT(ask.err.kind, ERR_TLS);
    CHECK(strstr(ask.sentence, "localhost: its certificate was refused: self signed certificate"));
    CHECK_INT(good.num_requests, before);
    world_cleanup(&world);
}

static void what_is_no_tls_is_an_error(void)
{
    struct world world;
    world_init(&world, good_cert, 0);
    struct ask ask = asked(&world, "GET", url_of(&plain, "https", "localhost", "/"), NULL);
    CHECK(err_is(ask.err));
    CHECK(strncmp(ask.sentence, "localhost: TLS handshake: ", 26) == 0);
    world_cleanup(&world);
}

static void nobody_listens(void)
{
    struct world world;
    struct server nobody = {.port = 1};
    world_init(&world, good_cert, 0);
    struct ask ask = asked(&world, "GET", url_of(&nobody, "https", "127.0.0.1", "/"), NULL);
    CHECK_INT(ask.err.kind, ERR_SYSTEM);
    CHECK_STR(ask.sentence, "127.0.0.1: connect: Connection refused");
    ask = asked(&world, "GET", "https://name.invalid/", NULL);
    CHECK(err_is(ask.err));
    CHECK(strstr(ask.sentence, "name.invalid: resolve: the name has no address"));
    world_cleanup(&world);
}

static void urls_that_cannot_be_asked(void)
{
    struct world world;
    char long_url[HTTPS_MAX_URL_BYTES + 32];
    world_init(&world, good_cert, 0);
    CHECK(err_is(asked(&world, "GET", "ftp://localhost/", NULL).err));
    CHECK(err_is(asked(&world, "GET", "https://user@localhost/", NULL).err));
    CHECK(err_is(asked(&world, "GET", "https://localhost/a b", NULL).err));
    memset(long_url, 'a', sizeof long_url);
    memcpy(long_url, "https://localhost/", 18);
    long_url[sizeof long_url - 1] = '\0';
    struct ask ask = asked(&world, "GET", long_url, NULL);
    CHECK_INT(ask.err.kind, ERR_LIMIT);
    world_cleanup(&world);
}

static void answers_that_are_cut(void)
{
    struct world world;
    world_init(&world, good_cert, 0);
    struct ask ask = got(&world, "/cut");
    CHECK_INT(ask.err.kind, ERR_EOF);
    CHECK(strncmp(ask.sentence, "localhost: ", 11) == 0);
    ask = got(&world, "/nonsense");
    CHECK_INT(ask.err.kind, ERR_INPUT);
    ask = got(&world, "/until-close");
    CHECK_INT(ask.status, 200);
    CHECK_STR(ask.body, "all of it");
    ask = asked(&world, "GET", url_of(&good, "https", "localhost", "/until-close"), NULL);
    CHECK_INT(ask.status, 200);
    world_cleanup(&world);
}

/* FIN without close_notify behind a body that only the end delimits: it may have been cut (stream.h). */
static void truncated_tls_is_not_an_answer(void)
{
    struct world world;
    world_init(&world, good_cert, 0);
    struct ask ask = {0};
    struct https_field field = {SLICE_LIT("X"), SLICE_LIT("truncate=1")};
    struct https_request request = {.method = SLICE_LIT("GET"),
                                    .url = slice_str(url_of(&good, "https", "localhost", "/until-close")),
                                    .fields = &field,
                                    .num_fields = 1};
    ask.world = &world;
    ask.call.done = ask_done;
    https_send(world.client, &request, &ask.call);
    ask_wait(&ask);
    CHECK_INT(ask.err.kind, ERR_EOF);
    world_cleanup(&world);
}

/* ACME-1: nobody speaks in the clear who did not ask for it. */
static void plain_http_is_for_who_allows_it(void)
{
    struct world world;
    allow_plain = false;
    world_init(&world, good_cert, 0);
    allow_plain = true;
    unsigned before = plain.num_conns;
    struct ask ask = asked(&world, "GET", url_of(&plain, "http", "localhost", "/"), NULL);
    CHECK_INT(ask.err.kind, ERR_INPUT);
    CHECK_STR(ask.sentence, "the URL must begin with https://: refused input");
    CHECK_INT(plain.num_conns, before);
    world_cleanup(&world);
}

static void plain_http_has_the_same_limits(void)
{
    struct world world;
    world_init(&world, NULL, 300);
    struct ask ask = asked(&world, "POST", url_of(&plain, "http", "127.0.0.1", "/a?b"), "x=1");
    CHECK_INT(ask.status, 200);
    CHECK(strstr(ask.body, "POST /a?b HTTP/1.1\r\n") && strstr(ask.body, "\r\n\r\nx=1"));
    ask = asked(&world, "GET", url_of(&plain, "http", "127.0.0.1", "/silent"), NULL);
    CHECK_INT(ask.err.kind, ERR_TIMEOUT);
    ask = asked(&world, "GET", url_of(&plain, "http", "127.0.0.1", "/big-chunked"), NULL);
    CHECK_INT(ask.err.kind, ERR_LIMIT);
    ask = asked(&world, "GET", url_of(&plain, "http", "127.0.0.1", "/cut"), NULL);
    CHECK_INT(ask.err.kind, ERR_EOF);
    ask = asked(&world, "GET", url_of(&good, "http", "127.0.0.1", "/"), NULL); /* TLS lives there */
    CHECK(err_is(ask.err));
    world_cleanup(&world);
}

static void bodies_have_a_limit(void)
{
    struct world world;
    world_init(&world, good_cert, 0);
    struct ask ask = got(&world, "/exact");
    CHECK_INT(ask.status, 200);
    CHECK_INT(ask.body_len, LIMIT_ACME_BODY_BYTES);
    CHECK_INT(got(&world, "/big").err.kind, ERR_LIMIT);
    CHECK_INT(got(&world, "/big-chunked").err.kind, ERR_LIMIT);
    world_cleanup(&world);
}

static void a_deadline_per_call(void)
{
    struct world world;
    world_init(&world, good_cert, 300);
    struct ask ask = got(&world, "/silent");
    CHECK_INT(ask.err.kind, ERR_TIMEOUT);
    CHECK_STR(ask.sentence, "localhost: no answer within 1 s (waiting for the answer)");
    ask = got(&world, "/after");
    CHECK_INT(ask.status, 200);
    world_cleanup(&world);
}

static void connections_are_kept(void)
{
    struct world world;
    world_init(&world, good_cert, 0);
    unsigned before = good.num_conns;
    for (int i = 0; i < 5; i++)
        CHECK_INT(got(&world, "/k").status, 200);
    CHECK_INT(good.num_conns, before + 1);
    before = plain.num_conns;
    for (int i = 0; i < 3; i++)
        CHECK_INT(asked(&world, "GET", url_of(&plain, "http", "localhost", "/k"), NULL).status, 200);
    CHECK_INT(plain.num_conns, before + 1);
    world_cleanup(&world);
}

/* The server closes when it reads the second request: it goes out once more, on a fresh connection. */
static void a_dead_connection_is_noticed(void)
{
    struct world world;
    world_init(&world, good_cert, 0);
    unsigned conns = good.num_conns, requests = good.num_requests;
    CHECK_INT(got(&world, "/dies").status, 200);
    CHECK_INT(got(&world, "/dies").status, 200);
    CHECK_INT(good.num_conns, conns + 2);
    CHECK_INT(good.num_requests, requests + 3);
    world_cleanup(&world);
}

/* But once alone, and never where the connection was fresh. */
static void a_dead_server_is_not_asked_for_ever(void)
{
    struct world world;
    world_init(&world, good_cert, 0);
    unsigned requests = good.num_requests;
    CHECK(err_is(got(&world, "/never").err));
    CHECK_INT(good.num_requests, requests + 1);
    CHECK_INT(got(&world, "/k").status, 200);
    CHECK(err_is(got(&world, "/never").err));
    CHECK_INT(good.num_requests, requests + 4);
    world_cleanup(&world);
}

static void what_is_not_repeatable_is_not_repeated(void)
{
    struct world world;
    world_init(&world, good_cert, 0);
    CHECK_INT(got(&world, "/dies").status, 200);
    unsigned requests = good.num_requests;
    struct ask ask = {.world = &world, .call.done = ask_done};
    struct https_request request = {.method = SLICE_LIT("POST"),
                                    .url = slice_str(url_of(&good, "https", "localhost", "/dies"))};
    https_send(world.client, &request, &ask.call);
    ask_wait(&ask);
    CHECK(err_is(ask.err));
    CHECK_INT(good.num_requests, requests + 1);
    world_cleanup(&world);
}

static void four_in_parallel_and_the_rest_in_turn(void)
{
    enum { NUM = 12 };
    struct world world;
    struct ask asks[NUM] = {0};
    world_init(&world, good_cert, 0);
    unsigned before = good.num_conns;
    good.max_busy = 0;
    for (int i = 0; i < NUM; i++)
        ask_send(&world, &asks[i], "GET", url_of(&good, "https", "localhost", "/slow"), NULL);
    for (int i = 0; i < NUM; i++) {
        ask_wait(&asks[i]);
        CHECK_INT(asks[i].status, 200);
    }
    CHECK_INT(good.num_conns, before + HTTPS_MAX_CONNS);
    CHECK_INT(good.max_busy, HTTPS_MAX_CONNS);
    world_cleanup(&world);
}

static void canceled_calls_are_silent(void)
{
    struct world world;
    struct ask asks[8] = {0};
    world_init(&world, good_cert, 0);
    for (int i = 0; i < 8; i++)
        ask_send(&world, &asks[i], "GET", url_of(&good, "https", "localhost", i == 7 ? "/k" : "/silent"), NULL);
    https_cancel(&asks[0].call); /* before it has a connection */
    for (int i = 0; i < 200 && good.num_busy < 4; i++) {
        uv_run(&world.uv, UV_RUN_NOWAIT);
        usleep(1000);
    }
    CHECK_INT(good.num_busy, 4);
    for (int i = 1; i < 7; i++)
        https_cancel(&asks[i].call); /* in the midst of it, or still waiting */
    ask_wait(&asks[7]);
    for (int i = 0; i < 7; i++)
        CHECK_INT(asks[i].num_done, 0);
    https_cancel(&asks[7].call); /* done: harmless */
    world_cleanup(&world);
}

static void done_may_cancel_and_close(void)
{
    struct world world;
    struct ask first = {.close_in_done = true}, second = {0}, third = {0}, silent = {0};
    world_init(&world, good_cert, 0);
    ask_send(&world, &first, "GET", "nonsense", NULL);
    ask_send(&world, &second, "GET", "nonsense", NULL);
    ask_send(&world, &third, "GET", "nonsense", NULL);
    ask_send(&world, &silent, "GET", url_of(&good, "https", "localhost", "/silent"), NULL);
    first.cancel_in_done = &third;
    ask_wait(&first);
    uv_run(&world.uv, UV_RUN_NOWAIT);
    CHECK_INT(second.num_done + third.num_done + silent.num_done, 0);
    world_cleanup(&world);
}

static void closing_at_every_stage(void)
{
    for (int turns = 0; turns < 40; turns++) {
        struct world world;
        struct ask ask = {0};
        world_init(&world, good_cert, 0);
        ask_send(&world, &ask, "GET", url_of(&good, "https", turns % 2 ? "localhost" : "127.0.0.1", "/silent"), NULL);
        for (int i = 0; i < turns; i++) {
            uv_run(&world.uv, UV_RUN_NOWAIT);
            usleep(500);
        }
        world_cleanup(&world);
        CHECK(ask.num_done == 0 || err_is(ask.err));
    }
}

/* ---- through a proxy ---- */

static void through_a_proxy(void)
{
    struct world world;
    char proxy[64];
    snprintf(proxy, sizeof proxy, "127.0.0.1:%u", (unsigned)good.port);
    world_init_with(&world, good_cert, 0, proxy, "direct.test");
    unsigned before = good.num_tunnels;
    struct ask ask = asked(&world, "GET", "https://localhost:12345/through", NULL); /* only the proxy can reach it */
    CHECK_INT(ask.status, 200);
    CHECK_INT(good.num_tunnels, before + 1);
    CHECK_INT(asked(&world, "GET", "https://localhost:12345/again", NULL).status, 200);
    CHECK_INT(good.num_tunnels, before + 1);
    ask = asked(&world, "GET", "https://refused.test/", NULL);
    CHECK_INT(ask.err.code, 403);
    CHECK(strstr(ask.sentence, "refused.test (through the proxy 127.0.0.1): the proxy refused CONNECT"));
    CHECK(err_is(asked(&world, "GET", "https://direct.test/", NULL).err));
    CHECK_INT(good.num_tunnels, before + 2);
    world_cleanup(&world);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN); /* as main does */
    good_cert = test_cert_for("localhost");
    wrong_cert = test_cert_for("other.test");
    server_start(&good, good_cert);
    server_start(&wrong_name, wrong_cert);
    server_start(&plain, NULL);
    RUN(a_verified_answer_with_its_fields);
    RUN(head_interim_and_no_content);
    RUN(no_redirect_is_followed);
    RUN(a_certificate_for_another_name_is_refused);
    RUN(an_untrusted_certificate_is_refused);
    RUN(what_is_no_tls_is_an_error);
    RUN(nobody_listens);
    RUN(urls_that_cannot_be_asked);
    RUN(answers_that_are_cut);
    RUN(truncated_tls_is_not_an_answer);
    RUN(plain_http_is_for_who_allows_it);
    RUN(plain_http_has_the_same_limits);
    RUN(bodies_have_a_limit);
    RUN(a_deadline_per_call);
    RUN(connections_are_kept);
    RUN(a_dead_connection_is_noticed);
    RUN(a_dead_server_is_not_asked_for_ever);
    RUN(what_is_not_repeatable_is_not_repeated);
    RUN(four_in_parallel_and_the_rest_in_turn);
    RUN(canceled_calls_are_silent);
    RUN(done_may_cancel_and_close);
    RUN(closing_at_every_stage);
    RUN(through_a_proxy);
    cert_unref(good_cert);
    cert_unref(wrong_cert);
    return checks_done();
}
