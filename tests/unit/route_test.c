/* Where requests go, and the answers of our own making. */
#include "exchange/route.h"

#include "base/mem.h"
#include "check.h"
#include "exchange/reply.h"
#include "test_cert.h"

#define TOKEN "abcdefghijklmnopqrstuv"
#define CHALLENGE "/.well-known/acme-challenge/"

struct world {
    const struct config *config;
    struct certset *set;
    struct exchange_client client;
    bool secure; /* what a trusted proxy says of a client that comes by plain HTTP */
    struct arena arena;
};

static const struct config *load(const char *const *environment)
{
    struct config *config = NULL;
    struct config_mistakes mistakes = {0};
    CHECK(config_load(environment, &config, &mistakes));
    config_mistakes_cleanup(&mistakes);
    return config;
}

static void world_name(struct world *world, const char *name, struct cert *cert, bool managed)
{
    certset_put(world->set, slice_str(name), cert, managed);
}

static void world_init(struct world *world, const char *more)
{
    const char *environment[] = {
        "PORTICO_DOMAINS=a.test,b.test -> http://b:80,old.test => https://new.test,*.w.test -> http://w:80",
        "PORTICO_UPSTREAM=http://a:80", "PORTICO_ACME_DIRECTORY=internal", more, NULL};
    struct cert *own = test_cert_for("a.test"), *shared = test_cert_for("b.test");
    *world = (struct world){.config = load(environment), .set = certset_new()};
    world_name(world, "a.test", own, true);
    world_name(world, "b.test", shared, true);
    world_name(world, "old.test", shared, true);
    world_name(world, "*.w.test", shared, false);
    cert_unref(own);
    cert_unref(shared);
    world->client =
        (struct exchange_client){.peer = SLICE_LIT("192.0.2.1"), .secure = true, .port_text = SLICE_LIT("443")};
}

static void world_cleanup(struct world *world)
{
    arena_cleanup(&world->arena);
    certset_unref(world->set);
    config_unref(world->config);
}

static struct route ask(struct world *world, const char *sni, const char *host, const char *target)
{
    struct head *head = arena_calloc(&world->arena, 1, sizeof *head);
    head->method = METHOD_GET;
    head->version = 11;
    head->target = slice_str(target);
    if (*host)
        CHECK(!err_is(head_set_authority(head, &world->arena, slice_str(host))));
    world->client.server_name = slice_str(sni);
    return route_request(world->config, world->set, &world->client, head, world->client.secure || world->secure,
                         &world->arena);
}

static void check_proxy(struct route route, const char *upstream)
{
    CHECK_INT(route.kind, ROUTE_PROXY);
    if (route.kind == ROUTE_PROXY)
        CHECK_SLICE(route.group->upstreams[0]->text, upstream);
}

static void check_refused(struct route route, unsigned status)
{
    CHECK_INT(route.kind, ROUTE_REFUSE);
    CHECK_INT(route.status, status);
}

/* R8 */
static void a_connection_serves_the_names_of_its_certificate(void)
{
    struct world world;
    world_init(&world, NULL);
    check_proxy(ask(&world, "a.test", "a.test", "/"), "http://a:80");
    check_proxy(ask(&world, "a.test", "A.Test:443", "/"), "http://a:80");
    check_proxy(ask(&world, "b.test", "b.test", "/"), "http://b:80");
    check_proxy(ask(&world, "b.test", "x.w.test", "/"), "http://w:80"); /* of the same certificate */
    check_proxy(ask(&world, "x.w.test", "y.w.test", "/"), "http://w:80");
    check_refused(ask(&world, "a.test", "b.test", "/"), 421);
    check_refused(ask(&world, "b.test", "a.test", "/"), 421);
    check_refused(ask(&world, "a.test", "c.test", "/"), 421);
    check_refused(ask(&world, "a.test", "192.0.2.1", "/"), 421);
    check_refused(ask(&world, "x.w.test", "x.y.w.test", "/"), 421);
    check_refused(ask(&world, "", "a.test", "/"), 421); /* nothing was asked for, and there is no default */
    check_refused(ask(&world, "a.test", "", "/"), 400);
    certset_set_default(world.set, SLICE_LIT("a.test"));
    check_proxy(ask(&world, "", "a.test", "/"), "http://a:80");
    check_proxy(ask(&world, "unknown.test", "a.test", "/"), "http://a:80");
    check_refused(ask(&world, "", "b.test", "/"), 421);
    check_refused(ask(&world, "unknown.test", "unknown.test", "/"), 421);
    world_cleanup(&world);
}

static void redirects_keep_the_path_and_the_query(void)
{
    struct world world;
    world_init(&world, "PORTICO_HTTPS_PUBLIC=:8443");
    struct route route = ask(&world, "old.test", "old.test", "/p/q?x=1");
    CHECK_INT(route.kind, ROUTE_REDIRECT);
    CHECK_SLICE(route.text, "https://new.test/p/q?x=1");
    world.client.secure = false;
    route = ask(&world, "", "a.test:80", "/p?x");
    CHECK_INT(route.kind, ROUTE_REDIRECT);
    CHECK_SLICE(route.text, "https://a.test:8443/p?x");
    CHECK_SLICE(ask(&world, "", "a.test", "*").text, "https://a.test:8443/");  /* OPTIONS */
    CHECK_SLICE(ask(&world, "", "old.test", "/o").text, "https://new.test/o"); /* in one step */
    check_refused(ask(&world, "", "c.test", "/"), 421);
    world_cleanup(&world);
    world_init(&world, "PORTICO_HTTP_MODE=off");
    world.client.secure = false;
    check_refused(ask(&world, "", "a.test", "/"), 404);
    world_cleanup(&world);
    world_init(&world, "PORTICO_HTTP_MODE=serve");
    world.client.secure = false;
    check_proxy(ask(&world, "", "a.test", "/"), "http://a:80");
    CHECK_INT(ask(&world, "", "old.test", "/").kind, ROUTE_REDIRECT);
    world_cleanup(&world);
}

static void a_proxy_that_ended_tls_is_served_on_plain_http(void)
{
    struct world world;
    world_init(&world, NULL);
    world.client.secure = false;
    CHECK_INT(ask(&world, "", "a.test", "/").kind, ROUTE_REDIRECT);
    world.secure = true;
    check_proxy(ask(&world, "", "a.test", "/"), "http://a:80");
    CHECK_SLICE(ask(&world, "", "old.test", "/").text, "https://new.test/");
    check_refused(ask(&world, "", "c.test", "/"), 421);
    ((struct config *)world.config)->tls.client_auth = CONFIG_CLIENT_AUTH_OPTIONAL; /* a way round it otherwise */
    CHECK_INT(ask(&world, "", "a.test", "/").kind, ROUTE_REDIRECT);
    world_cleanup(&world);
    world_init(&world, "PORTICO_HTTP_MODE=off");
    world.client.secure = false;
    world.secure = true;
    check_refused(ask(&world, "", "a.test", "/"), 404);
    world_cleanup(&world);
}

/* A9 */
static void challenges_of_managed_names_come_before_all_else(void)
{
    static const char *const modes[] = {NULL, "PORTICO_HTTP_MODE=off", "PORTICO_HTTP_MODE=serve"};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        struct world world;
        world_init(&world, modes[i]);
        certset_put_pending(world.set, SLICE_LIT("pending-token-of-an-order"),
                            SLICE_LIT("pending-token-of-an-order.key"));
        for (int secure = 0; secure < 2; secure++) {
            world.client.secure = secure;
            struct route route = ask(&world, "a.test", "a.test", CHALLENGE "pending-token-of-an-order");
            CHECK_INT(route.kind, ROUTE_CHALLENGE);
            CHECK_SLICE(route.text, "pending-token-of-an-order.key");
            check_refused(ask(&world, "a.test", "a.test", CHALLENGE TOKEN), 404); /* no account yet */
            CHECK_INT(ask(&world, "old.test", "old.test", CHALLENGE "pending-token-of-an-order").kind, ROUTE_CHALLENGE);
        }
        certset_set_thumbprint(world.set, SLICE_LIT("thumb"));
        CHECK_SLICE(ask(&world, "a.test", "a.test", CHALLENGE TOKEN).text, TOKEN ".thumb");
        const char *odd[] = {CHALLENGE,
                             CHALLENGE "short",
                             CHALLENGE "../../../../etc/passwd",
                             CHALLENGE TOKEN "?x=1",
                             CHALLENGE TOKEN "/",
                             CHALLENGE "%61bcdefghijklmnopqrstuv"};
        for (size_t k = 0; k < sizeof odd / sizeof odd[0]; k++)
            check_refused(ask(&world, "a.test", "a.test", odd[k]), 404);
        world.client.secure = false;
        check_proxy(ask(&world, "", "x.w.test", CHALLENGE TOKEN), "http://w:80"); /* not ours: its backend's business */
        CHECK(ask(&world, "", "c.test", CHALLENGE TOKEN).kind == ROUTE_REFUSE);
        world_cleanup(&world);
    }
}

#define USER "PORTICO_BASIC_AUTH=ann:$2b$04$abcdefghijklmnopqrstuu/LVz6MZlItEy42I2juLihZ66HnQx/cy"

/* What has no password to give is not asked for one, and nobody is asked in the clear. */
static void all_but_challenges_and_the_redirect_to_https_is_guarded(void)
{
    struct world world;
    world_init(&world, USER);
    certset_put_pending(world.set, SLICE_LIT("pending-token-of-an-order"), SLICE_LIT("pending-token-of-an-order.key"));
    CHECK(ask(&world, "a.test", "a.test", "/").guarded);
    CHECK(ask(&world, "old.test", "old.test", "/").guarded);
    CHECK(!ask(&world, "a.test", "a.test", CHALLENGE "pending-token-of-an-order").guarded);
    CHECK(ask(&world, "x.w.test", "x.w.test", CHALLENGE "../../secret").guarded);
    CHECK(ask(&world, "x.w.test", "x.w.test", CHALLENGE TOKEN "/../../secret").guarded);
    CHECK(ask(&world, "x.w.test", "x.w.test", CHALLENGE "short").guarded);
    world.client.secure = false;
    struct route route = ask(&world, "", "x.w.test", CHALLENGE TOKEN);
    check_proxy(route, "http://w:80");
    CHECK(!route.guarded);
    CHECK(!ask(&world, "", "a.test", "/").guarded);
    route = ask(&world, "", "old.test", "/o");
    CHECK_SLICE(route.text, "https://old.test/o");
    CHECK(!route.guarded);
    CHECK_SLICE(ask(&world, "", "x.w.test", CHALLENGE "../x").text, "https://x.w.test" CHALLENGE "../x");
    world_cleanup(&world);
    world_init(&world, "PORTICO_HTTP_MODE=serve");
    world.client.secure = false;
    CHECK(ask(&world, "", "a.test", "/").guarded && ask(&world, "", "old.test", "/").guarded);
    world_cleanup(&world);
}

/* ERROR_PAGE stands for what the backend failed to say; other errors are ours to explain. */
static void the_error_page_takes_the_place_of_502_503_and_504(void)
{
    static const unsigned others[] = {400, 401, 403, 404, 413, 421, 500, 501, 505};
    struct slice page = SLICE_LIT("<h1>Back soon</h1>");
    struct arena arena = {0};
    struct head *json = arena_calloc(&arena, 1, sizeof *json);
    head_add(json, &arena, SLICE_LIT("Accept"), SLICE_LIT("application/json"));
    json->fields.at[0].id = FIELD_ACCEPT;
    for (unsigned status = 502; status <= 504; status++) {
        struct reply reply = reply_error(&arena, status, 0, NULL, page);
        CHECK_SLICE(reply.body, "<h1>Back soon</h1>");
        CHECK_INT(reply.head->length, page.len);
        CHECK_INT(reply.head->status, status);
        CHECK_SLICE(head_get(reply.head, FIELD_CONTENT_TYPE), "text/html; charset=utf-8");
        CHECK(slice_starts(reply_error(&arena, status, 0, json, page).body, SLICE_LIT("{\"status\":50")));
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        CHECK(!slice_eq(reply_error(&arena, others[i], 0, NULL, page).body, page));
    arena_cleanup(&arena);
}

static size_t num_named(const struct head *head, struct slice name)
{
    size_t num = 0;
    FIELDS_EACH(&head->fields, field)
    num += slice_ieq(field->name, name);
    return num;
}

static void refusals_say_what_the_client_can_do(void)
{
    struct arena arena = {0};
    struct reply reply = reply_error(&arena, 401, 0, NULL, SLICE_NONE);
    CHECK_SLICE(head_get_named(reply.head, SLICE_LIT("WWW-Authenticate")),
                "Basic realm=\"restricted\", charset=\"UTF-8\"");
    reply = reply_error(&arena, 503, 0, NULL, SLICE_NONE);
    CHECK_SLICE(head_get_named(reply.head, SLICE_LIT("Retry-After")), "1");
    reply = reply_error(&arena, 503, 7, NULL, SLICE_NONE);
    CHECK_SLICE(head_get_named(reply.head, SLICE_LIT("Retry-After")), "7");
    CHECK_INT(num_named(reply.head, SLICE_LIT("Retry-After")), 1);
    reply = reply_error(&arena, 502, 0, NULL, SLICE_NONE);
    CHECK_INT(num_named(reply.head, SLICE_LIT("Retry-After")), 0);
    reply = reply_error(&arena, 403, 0, NULL, SLICE_NONE);
    CHECK(!head_get_named(reply.head, SLICE_LIT("WWW-Authenticate")).ptr);
    arena_cleanup(&arena);
}

static void replies_suit_who_asks_and_tell_nothing_internal(void)
{
    struct arena arena = {0};
    struct head *head = arena_calloc(&arena, 1, sizeof *head);
    struct reply reply = reply_error(&arena, 502, 0, NULL, SLICE_NONE);
    CHECK_SLICE(head_get(reply.head, FIELD_CONTENT_TYPE), "text/html; charset=utf-8");
    CHECK_INT(reply.head->length, reply.body.len);
    CHECK(memmem(reply.body.ptr, reply.body.len, "502 Bad Gateway", 15));
    head_add(head, &arena, SLICE_LIT("Accept"), SLICE_LIT("application/json;q=0.9, text/html"));
    head->fields.at[0].id = FIELD_ACCEPT;
    reply = reply_error(&arena, 421, 0, head, SLICE_NONE);
    CHECK_SLICE(head_get(reply.head, FIELD_CONTENT_TYPE), "application/problem+json");
    CHECK(slice_starts(reply.body, SLICE_LIT("{\"status\":421,\"title\":\"Misdirected Request\",")));
    head->fields.at[0].value = SLICE_LIT("text/html,application/json");
    CHECK_SLICE(head_get(reply_error(&arena, 421, 0, head, SLICE_NONE).head, FIELD_CONTENT_TYPE),
                "text/html; charset=utf-8");
    reply = reply_redirect(&arena, SLICE_LIT("https://a.test/"));
    CHECK_INT(reply.head->status, 308);
    CHECK_SLICE(head_get(reply.head, FIELD_LOCATION), "https://a.test/");
    CHECK_INT(reply.body.len, 0);
    CHECK_SLICE(reply_text(&arena, SLICE_LIT("token.thumb")).body, "token.thumb"); /* exactly */
    static const unsigned statuses[] = {400, 401, 403, 404, 405, 408, 413, 414, 417, 421, 431, 501, 502, 503, 504, 505};
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        CHECK(reply_error(&arena, statuses[i], 0, NULL, SLICE_NONE).head->reason.len > 0);
    arena_cleanup(&arena);
}

/* A request for a raw name came by a connection of another name, or in plain HTTP: its backend must never get it. */
static void raw_bytes_have_connections_of_their_own(void)
{
    static const char *const environment[] = {"PORTICO_DOMAINS=a.test -> http://a:80,raw.test -> tcp://r:1",
                                              "PORTICO_ACME_DIRECTORY=internal", NULL};
    struct world world;
    struct cert *shared = test_cert_for("raw.test");
    world_init(&world, NULL);
    config_unref(world.config);
    world.config = load(environment);
    world_name(&world, "a.test", shared, true);
    world_name(&world, "raw.test", shared, true);
    cert_unref(shared);
    check_proxy(ask(&world, "a.test", "a.test", "/"), "http://a:80");
    check_refused(ask(&world, "a.test", "raw.test", "/"), 421);
    world.secure = true;
    world.client.secure = false; /* of a proxy that ended TLS */
    CHECK_INT(ask(&world, "", "raw.test", "/").kind, ROUTE_REDIRECT);
    const struct config_group *raw = route_raw(world.config, world.set, SLICE_LIT("raw.test"));
    CHECK(raw && raw->tcp);
    CHECK(!route_raw(world.config, world.set, SLICE_LIT("a.test")));
    CHECK(!route_raw(world.config, world.set, SLICE_LIT("unknown.test"))); /* the default site */
    certset_set_default(world.set, SLICE_LIT("raw.test"));
    CHECK(route_raw(world.config, world.set, SLICE_LIT("unknown.test")) == raw);
    CHECK(route_raw(world.config, world.set, SLICE_NONE) == raw);
    CHECK(!route_raw(world.config, world.set, SLICE_LIT("a.test")));
    world_cleanup(&world);
}

int main(void)
{
    RUN(a_connection_serves_the_names_of_its_certificate);
    RUN(redirects_keep_the_path_and_the_query);
    RUN(a_proxy_that_ended_tls_is_served_on_plain_http);
    RUN(challenges_of_managed_names_come_before_all_else);
    RUN(all_but_challenges_and_the_redirect_to_https_is_guarded);
    RUN(the_error_page_takes_the_place_of_502_503_and_504);
    RUN(refusals_say_what_the_client_can_do);
    RUN(raw_bytes_have_connections_of_their_own);
    RUN(replies_suit_who_asks_and_tell_nothing_internal);
    return checks_done();
}
