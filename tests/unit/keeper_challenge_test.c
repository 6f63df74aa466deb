/* Answers to challenges on their way to the workers, by kind; the engine's side is played here. */
#include "certs/keeper_challenge.h"
#include "check.h"
#include "dns_server.h"
#include "keeper_world.h"
#include "net/dns.h"

struct order {
    struct acme_publication publication;
    unsigned num_done, num_seen;
    struct err err;
};

static void order_done(struct acme_publication *publication, struct err err)
{
    struct order *order = container_of(publication, struct order, publication);
    order->num_done++;
    order->err = err;
}

static void order_seen(struct acme_publication *publication)
{
    container_of(publication, struct order, publication)->num_seen++;
}

static void order_publish(struct order *order, struct side *side, enum acme_challenge challenge, const char *name,
                          const char *token, const char *key_authorization)
{
    *order = (struct order){.publication = {.challenge = challenge,
                                            .name = slice_str(name),
                                            .token = slice_str(token),
                                            .key_authorization = slice_str(key_authorization),
                                            .done = order_done,
                                            .seen = order_seen}};
    keeper_publish_challenge(side->keeper, &order->publication);
    CHECK_INT(order->num_done, 0); /* never from within */
}

static void order_withdraw(struct order *order, struct side *side)
{
    keeper_withdraw_challenge(side->keeper, &order->publication);
}

/* A keeper that orders nothing by itself. */
static struct side *world_init(struct kw *world)
{
    static const char *const entries[] = {"PORTICO_DOMAINS=a.internal", "PORTICO_ACME_DIRECTORY=internal", NULL};
    kw_init(world);
    struct side *side = kw_start(world, entries);
    kw_rest(world);
    return side;
}

static const struct certset_challenge *pending(const struct side *side, const char *sni)
{
    return certset_find_alpn(side->served, slice_str(sni));
}

static bool token_answered(const struct side *side, const char *token, const char *want)
{
    struct buf answer = {0};
    bool same =
        certset_http01(side->served, slice_str(token), &answer) && slice_eq(buf_slice(&answer), slice_str(want));
    buf_cleanup(&answer);
    return same;
}

/* ACME-48: told when every worker serves it; ACME-52: gone when it is withdrawn. */
static void a_tls_alpn_answer_is_told_when_every_worker_serves_it(void)
{
    struct kw world;
    struct order order;
    struct side *side = world_init(&world);
    side->acknowledges = false;
    order_publish(&order, side, ACME_TLS_ALPN_01, "a.example", "token-of-sixteen-1", "token-of-sixteen-1.x");
    kw_rest(&world);
    CHECK(pending(side, "a.example") != NULL);
    CHECK_STR(pending(side, "a.example")->token, "token-of-sixteen-1");
    CHECK(cert_covers(pending(side, "a.example")->cert, SLICE_LIT("a.example")));
    CHECK_INT(order.num_done, 0);
    keeper_challenge_seen(side->keeper, SLICE_LIT("token-of-sixteen-1")); /* too soon to matter */
    CHECK_INT(order.num_seen, 0);
    keeper_acknowledged(side->keeper, side->served->generation);
    CHECK(order.num_done == 1 && !err_is(order.err));
    keeper_challenge_seen(side->keeper, SLICE_LIT("token-of-sixteen-1"));
    keeper_challenge_seen(side->keeper, SLICE_LIT("token-of-sixteen-2"));
    CHECK_INT(order.num_seen, 1);
    order_withdraw(&order, side);
    kw_rest(&world);
    CHECK(pending(side, "a.example") == NULL);
    kw_cleanup(&world);
}

/* ACME-87. */
static void an_address_is_pending_by_its_name_in_arpa(void)
{
    struct kw world;
    struct order order;
    struct side *side = world_init(&world);
    order_publish(&order, side, ACME_TLS_ALPN_01, "192.0.2.1", "token-of-sixteen-1", "token-of-sixteen-1.x");
    kw_rest(&world);
    CHECK(order.num_done == 1 && !err_is(order.err));
    CHECK(pending(side, "1.2.0.192.in-addr.arpa") != NULL);
    CHECK_STR(pending(side, "1.2.0.192.in-addr.arpa")->cert->names[0], "192.0.2.1");
    order_withdraw(&order, side);
    kw_cleanup(&world);
}

/* Two orders of a name, for two kinds of key, may have the same authorization or one each. */
static void orders_that_want_the_same_place_share_it_or_wait(void)
{
    struct kw world;
    struct order first, same, other;
    struct side *side = world_init(&world);
    order_publish(&first, side, ACME_TLS_ALPN_01, "a.example", "token-of-sixteen-1", "token-of-sixteen-1.x");
    order_publish(&same, side, ACME_TLS_ALPN_01, "a.example", "token-of-sixteen-1", "token-of-sixteen-1.x");
    order_publish(&other, side, ACME_TLS_ALPN_01, "a.example", "token-of-sixteen-2", "token-of-sixteen-2.x");
    kw_wait_real(&world, KEEPER_ACKNOWLEDGE_MS + 300); /* nobody waits in vain for workers that were not asked */
    CHECK(first.num_done == 1 && same.num_done == 1 && other.num_done == 0);
    CHECK_STR(pending(side, "a.example")->token, "token-of-sixteen-1");
    order_withdraw(&first, side);
    kw_rest(&world);
    CHECK_STR(pending(side, "a.example")->token, "token-of-sixteen-1");
    CHECK_INT(other.num_done, 0);
    order_withdraw(&same, side);
    kw_rest(&world);
    CHECK_STR(pending(side, "a.example")->token, "token-of-sixteen-2");
    CHECK(other.num_done == 1 && !err_is(other.err));
    order_withdraw(&other, side);
    kw_rest(&world);
    CHECK(pending(side, "a.example") == NULL);

    order_publish(&first, side, ACME_HTTP_01, "a.example", "token-of-sixteen-1", "token-of-sixteen-1.x");
    order_publish(&same, side, ACME_HTTP_01, "a.example", "token-of-sixteen-1", "token-of-sixteen-1.x");
    order_publish(&other, side, ACME_TLS_ALPN_01, "a.example", "token-of-sixteen-1", "token-of-sixteen-1.x");
    kw_rest(&world);
    CHECK(first.num_done == 1 && same.num_done == 1 && other.num_done == 1);
    order_withdraw(&same, side);
    kw_rest(&world);
    CHECK(token_answered(side, "token-of-sixteen-1", "token-of-sixteen-1.x"));
    order_withdraw(&first, side);
    kw_rest(&world);
    CHECK(!token_answered(side, "token-of-sixteen-1", "token-of-sixteen-1.x"));
    CHECK(pending(side, "a.example") != NULL);
    order_withdraw(&other, side);
    kw_cleanup(&world);
}

static void what_cannot_be_answered_fails_and_says_why(void)
{
    struct kw world;
    struct order wildcard, forgotten;
    struct side *side = world_init(&world);
    order_publish(&wildcard, side, ACME_TLS_ALPN_01, "*.a.example", "token-of-sixteen-1", "token-of-sixteen-1.x");
    order_publish(&forgotten, side, ACME_TLS_ALPN_01, "*.b.example", "token-of-sixteen-1", "token-of-sixteen-1.x");
    order_withdraw(&forgotten, side);
    kw_rest(&world);
    CHECK(wildcard.num_done == 1 && wildcard.err.kind == ERR_INPUT);
    CHECK_INT(forgotten.num_done, 0);
    order_withdraw(&wildcard, side);
    kw_cleanup(&world);
}

static void persist_publish(struct order *order, struct side *side, const char *name)
{
    static const struct slice issuers[] = {{"ca.example", 10}};
    *order = (struct order){.publication = {.challenge = ACME_DNS_PERSIST_01,
                                            .name = slice_str(name),
                                            .issuer_names = issuers,
                                            .num_issuer_names = 1,
                                            .account = {.url = SLICE_LIT("https://ca.example/acct/1")},
                                            .done = order_done}};
    keeper_publish_challenge(side->keeper, &order->publication);
    CHECK_INT(order->num_done, 0);
}

/* ACME-122, ACME-123: the CA hears of it only where the record is in DNS; there is nothing to take away. */
static void the_record_of_dns_persist_is_looked_for(void)
{
    static const struct dns_server_record zone[] = {
        {"_validation-persist.a.example", DNS_SERVER_TXT, "ca.example; accounturi=https://ca.example/acct/1"},
        {NULL, 0, NULL},
    };
    struct kw world;
    struct dns_server server;
    struct order order, wild, nowhere, gone;
    struct side *side = world_init(&world);
    persist_publish(&nowhere, side, "a.example"); /* without DNS */
    kw_wait_real(&world, 50);
    CHECK(nowhere.num_done == 1 && err_is(nowhere.err));
    dns_server_open(&server, &world.uv, zone);
    struct dns_options options = {.loop = world.loop, .servers = &server.address, .num_servers = 1};
    struct dns *dns = side->keeper->world.dns = dns_new(&options);
    persist_publish(&order, side, "a.example");
    persist_publish(&wild, side, "*.a.example");
    persist_publish(&gone, side, "a.example");
    order_withdraw(&gone, side);
    kw_wait_real(&world, 300);
    CHECK(order.num_done == 1 && !err_is(order.err));
    CHECK(wild.num_done == 1 && err_is(wild.err));
    CHECK(
        slice_eq(wild.publication.why,
                 SLICE_LIT("dns-persist-01: the TXT record lacks policy=wildcard; what DNS has to have: "
                           "_validation-persist.a.example. IN TXT \"ca.example; accounturi=https://ca.example/acct/1; "
                           "policy=wildcard\"")));
    CHECK_INT(gone.num_done, 0);
    order_withdraw(&order, side);
    order_withdraw(&wild, side);
    order_withdraw(&nowhere, side);
    kw_stop(side);
    dns_free(dns);
    dns_server_close(&server);
    kw_cleanup(&world);
}

int main(void)
{
    RUN(a_tls_alpn_answer_is_told_when_every_worker_serves_it);
    RUN(an_address_is_pending_by_its_name_in_arpa);
    RUN(orders_that_want_the_same_place_share_it_or_wait);
    RUN(what_cannot_be_answered_fails_and_says_why);
    RUN(the_record_of_dns_persist_is_looked_for);
    return checks_done();
}
