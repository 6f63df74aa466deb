/* Challenges: which one is chosen, what is published for it, and what the CA may then be told; for names, wildcards and
 * addresses. The CA compares what is published with what it would look for. */
#include "acme/directory.h"
#include "engine_test.h"

#define BIT(kind) (1u << (kind))

enum { ALL_OFFERED = BIT(NUM_ACME_CHALLENGES) - 1 };

static const enum acme_challenge http_first[] = {ACME_HTTP_01, ACME_TLS_ALPN_01, ACME_DNS_01, ACME_DNS_PERSIST_01};
static const enum acme_challenge alpn_first[] = {ACME_TLS_ALPN_01, ACME_HTTP_01};
static const enum acme_challenge dns_first[] = {ACME_DNS_01, ACME_HTTP_01};
static const enum acme_challenge persist_first[] = {ACME_DNS_PERSIST_01, ACME_DNS_01, ACME_HTTP_01};
static const enum acme_challenge http_only[] = {ACME_HTTP_01};

static void allow(const enum acme_challenge *challenges, size_t num)
{
    world.spec.challenges = challenges;
    world.spec.num_challenges = num;
}

#define ALLOW(challenges) allow(challenges, sizeof(challenges) / sizeof *(challenges))

static void test_names(void)
{
    for (enum acme_challenge kind = ACME_HTTP_01; kind < NUM_ACME_CHALLENGES; kind++) {
        enum acme_challenge found = NUM_ACME_CHALLENGES;
        CHECK(acme_challenge_from_name(slice_str(acme_challenge_name(kind)), &found));
        CHECK_INT(found, kind);
    }
    enum acme_challenge found = ACME_DNS_01;
    CHECK(!acme_challenge_from_name(SLICE_LIT("http-02"), &found));
    CHECK_INT(found, ACME_DNS_01);
}

/* Each type by itself; the CA compares token, key authorization, TXT value, account and name. */
static void test_each_type(void)
{
    for (enum acme_challenge kind = ACME_HTTP_01; kind < NUM_ACME_CHALLENGES; kind++) {
        begin();
        world.ca.offers = BIT(kind);
        ALLOW(http_first);
        const struct world_order *order = world_order(&world, "a.example", NULL);
        world_run(&world, EVENTS);
        check_issued(order);
        CHECK_INT(world.last_challenge, kind);
        CHECK_INT(world.num_published, 1);
        CHECK_INT(world.ca.num_at[CA_CHALLENGE], 1);
        end();
    }
}

static void test_preference(void)
{
    static const struct {
        const char *name;
        const enum acme_challenge *allowed;
        size_t num;
        enum acme_challenge want;
    } rows[] = {
        {"a.example", NULL, 0, ACME_HTTP_01},
        {"a.example", http_first, 4, ACME_HTTP_01},
        {"a.example", alpn_first, 2, ACME_TLS_ALPN_01},
        {"a.example", dns_first, 2, ACME_DNS_01},
        {"a.example", persist_first, 3, ACME_DNS_PERSIST_01},
        {"*.a.example", http_first, 4, ACME_DNS_01}, /* ACME-45 */
        {"*.a.example", persist_first, 3, ACME_DNS_PERSIST_01},
        {"203.0.113.7", dns_first, 2, ACME_HTTP_01}, /* ACME-84 */
        {"203.0.113.7", persist_first, 3, ACME_HTTP_01},
        {"2001:db8::7", alpn_first, 2, ACME_TLS_ALPN_01},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin();
        world.ca.offers = ALL_OFFERED;
        allow(rows[i].allowed, rows[i].num);
        const struct world_order *order = world_order(&world, rows[i].name, NULL);
        world_run(&world, EVENTS);
        check_issued(order);
        CHECK_INT(world.last_challenge, rows[i].want);
        CHECK_STR(world.last_name, rows[i].name);
        end();
    }
}

/* ACME-47: on a new order another type, which the keeper chooses by leaving out what failed. */
static void test_another_after_a_failure(void)
{
    begin();
    world.ca.offers = ALL_OFFERED;
    world.ca.validation_problem = "connection";
    world.ca.fails = BIT(ACME_HTTP_01);
    ALLOW(http_first);
    struct world_order *order = world_order(&world, "a.example", NULL);
    world_run(&world, EVENTS);
    check_failed(order, PROBLEM_VALIDATION, "validate");
    CHECK_STR(order->challenge, "http-01");
    allow(http_first + 1, 3);
    world_order_again(order);
    world_run(&world, EVENTS);
    CHECK(order->issued);
    CHECK_INT(world.last_challenge, ACME_TLS_ALPN_01);
    CHECK_INT(world.ca.num_orders, 2);
    end();
}

/* Nothing that suits: the sentence says what the CA offers, what is allowed here, and what would do. */
static void test_nothing_suits(void)
{
    static const struct {
        const char *name, *words;
    } rows[] = {
        {"a.example", "it offers novel-02, tls-alpn-01, dns-01;"},
        {"a.example", "allowed here: http-01"},
        {"*.a.example", "a wildcard needs dns-01 or dns-persist-01"},
        {"203.0.113.7", "an address needs http-01 or tls-alpn-01"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin();
        world.ca.offers = BIT(ACME_DNS_01) | BIT(ACME_TLS_ALPN_01);
        ALLOW(http_only);
        const struct world_order *order = world_order(&world, rows[i].name, NULL);
        world_run(&world, EVENTS);
        CHECK(!order->issued && order->class == PROBLEM_PERMANENT);
        CHECK(strstr(order->sentence, rows[i].words) != NULL);
        CHECK_INT(world.num_published, 0);
        end();
    }
}

/* ACME-122: draft-ietf-acme-dns-persist-02 §10.2, and without its prefix what was before. */
static void test_account_uri(void)
{
    struct buf uri = {0};
    struct challenge_account account = {.url = SLICE_LIT("https://ca.example/acct/123"),
                                        .thumbprint = SLICE_LIT("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),
                                        .hash_prefix = SLICE_LIT("https://ca.example/account-hash/")};
    challenge_write_account_uri(&account, SLICE_LIT("example.com"), &uri);
    CHECK_SLICE(buf_slice(&uri), "https://ca.example/account-hash/sha-256/5SQm7n6tPh2-PlLbCKGnViTXX5z19SCN4cPGQHSk-kw");
    uri.len = 0;
    challenge_write_account_uri(&account, SLICE_LIT("*"), &uri);
    CHECK_SLICE(buf_slice(&uri), "https://ca.example/account-hash/sha-256/NpDnSwUthQK8zCgFdefYxAdAVPnygMLbs9US6oO-5ug");
    uri.len = 0;
    account.hash_prefix = SLICE_NONE;
    challenge_write_account_uri(&account, SLICE_LIT("example.com"), &uri);
    CHECK_SLICE(buf_slice(&uri), "https://ca.example/acct/123");
    buf_cleanup(&uri);
}

/* draft-ietf-acme-dns-persist-02: names for its records, and a prefix that may stand in one. */
static void test_directories(void)
{
    static const struct {
        const char *meta, *prefix, *name;
    } rows[] = {
        {"\"issuerDomainNames\":[\"a.example\"],\"accountHashPrefix\":\"https://ca/h/\"", "https://ca/h/", "a.example"},
        {"\"issuerDomainNames\":[\"a.example\"],\"caaIdentities\":[\"b.example\"]", NULL, "a.example"},
        {"\"caaIdentities\":[\"b.example\"],\"accountHashPrefix\":7", NULL, "b.example"},
        {"\"issuerDomainNames\":[],\"accountHashPrefix\":\"http://ca/h/\"", NULL, NULL},
        {"\"issuerDomainNames\":\"a.example\",\"accountHashPrefix\":\"https://ca/h;policy=wildcard\"", NULL, NULL},
        {"\"issuerDomainNames\":[\"a;b\"],\"accountHashPrefix\":\"https://ca/\\\"h/\"", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct directory read = {0};
        struct buf body = {0};
        size_t num_names;
        buf_printf(&body,
                   "{\"newNonce\":\"https://ca/n\",\"newAccount\":\"https://ca/a\",\"newOrder\":\"https://ca/o\","
                   "\"meta\":{%s}}",
                   rows[i].meta);
        CHECK(!err_is(directory_read(buf_slice(&body), &read)));
        CHECK(slice_eq(read.account_hash_prefix, slice_str(rows[i].prefix ? rows[i].prefix : "")));
        const struct slice *names = directory_issuer_names(&read, &num_names);
        CHECK_INT(num_names, rows[i].name != NULL);
        CHECK(!rows[i].name || slice_eq(names[0], slice_str(rows[i].name)));
        buf_cleanup(&body);
        directory_cleanup(&read);
    }
}

/* ACME-121: a list of issuers that cannot be meant; another type is taken where one is allowed. */
static void test_issuer_names(void)
{
    static const struct {
        const char *issuer_names;
        bool fits;
    } rows[] = {
        {"[\"ca.test\"]", true},
        {"[\"a.t\",\"b.t\",\"c.t\",\"d.t\",\"e.t\",\"f.t\",\"g.t\",\"h.t\",\"i.t\",\"j.t\"]", true},
        {"[\"a.t\",\"b.t\",\"c.t\",\"d.t\",\"e.t\",\"f.t\",\"g.t\",\"h.t\",\"i.t\",\"j.t\",\"k.t\"]", false},
        {"[]", false},
        {"null", false},
        {"\"ca.test\"", false},
        {"[\"ca.test\",3]", false},
        {"[\"ca.test; policy=wildcard\"]", false},
        {"[\"\"]", false},
    };
    for (size_t i = 0; i < 2 * (sizeof rows / sizeof *rows); i++) {
        begin();
        world.ca.offers = ALL_OFFERED;
        world.ca.issuer_names = rows[i / 2].issuer_names;
        world.ca.account_hash_prefix = i % 2 ? "https://ca.test/hash/" : NULL;
        ALLOW(persist_first);
        const struct world_order *order = world_order(&world, "*.a.example", NULL);
        world_run(&world, EVENTS);
        check_issued(order);
        CHECK_INT(world.last_challenge, rows[i / 2].fits ? ACME_DNS_PERSIST_01 : ACME_DNS_01);
        end();
    }
}

/* ACME-50: what comes over HTTP or TLS is seen to come; DNS has no eyes. */
static void test_seen(void)
{
    for (enum acme_challenge kind = ACME_HTTP_01; kind < NUM_ACME_CHALLENGES; kind++) {
        begin();
        world.shows_seen = true;
        world.ca.offers = BIT(kind);
        ALLOW(http_first);
        const struct world_order *order = world_order(&world, "a.example", NULL);
        int64_t start_ms = world.wall_ms;
        world_run(&world, EVENTS);
        check_issued(order);
        CHECK_INT(order->done_ms - start_ms, kind == ACME_HTTP_01 || kind == ACME_TLS_ALPN_01 ? 1000 : 2000);
        end();
    }
}

/* How long a publication takes is the publisher's to say: a DNS record needs minutes (ACME-48, ACME-123). */
static void test_slow_publication(void)
{
    begin();
    world.ca.offers = BIT(ACME_DNS_01);
    world.publish_hangs = true;
    ALLOW(dns_first);
    const struct world_order *order = world_order(&world, "a.example", NULL);
    world_run(&world, EVENTS);
    CHECK_INT(order->num_done, 0);
    CHECK_STR(acme_order_step(order->order), "publish");
    CHECK_INT(world.ca.num_at[CA_CHALLENGE], 0);
    world.wall_ms += 900000;
    world.mono_ms += 900000;
    world.publish_hangs = false;
    world_run(&world, EVENTS);
    check_issued(order);
    end();
}

static void test_failed_publication(void)
{
    static const char *const words[NUM_ACME_CHALLENGES] = {"every worker", "every worker", "TXT record could not",
                                                           "lets this account"};
    for (enum acme_challenge kind = ACME_HTTP_01; kind < NUM_ACME_CHALLENGES; kind++) {
        begin();
        world.ca.offers = BIT(kind);
        world.publish_fails = true;
        ALLOW(http_first);
        const struct world_order *order = world_order(&world, "a.example", NULL);
        world_run(&world, EVENTS);
        check_failed(order, PROBLEM_LOCAL, "publish");
        CHECK(strstr(order->sentence, words[kind]) != NULL);
        CHECK(stored("order/a.example"));
        end();
    }
}

/* ACME-83, 85: from the identifier to the certificate; the CA compares the CSR's addresses. */
static void test_addresses(void)
{
    begin();
    const struct world_order *both = world_order(&world, "203.0.113.7", "2001:db8::7", NULL);
    const struct world_order *mixed = world_order(&world, "192.0.2.1", "a.example", NULL);
    const struct world_order *long_form = world_order(&world, "2001:0db8::7", NULL);
    const struct world_order *upper = world_order(&world, "2001:DB8::8", NULL);
    world_run(&world, EVENTS);
    check_issued(both);
    check_issued(mixed);
    check_failed(long_form, PROBLEM_LOCAL, "queued");
    check_failed(upper, PROBLEM_LOCAL, "queued");
    CHECK(stored("certificate/203.0.113.7"));
    end();
}

/* ACME-55: a CA that insists on a common name gets none of an address. */
static void test_address_has_no_common_name(void)
{
    begin();
    world.ca.needs_cn = true;
    const struct world_order *order = world_order(&world, "203.0.113.7", NULL);
    world_run(&world, EVENTS);
    check_failed(order, PROBLEM_PERMANENT, "finalize");
    CHECK_INT(world.ca.num_at[CA_FINALIZE], 2);
    end();
}

int main(void)
{
    RUN(test_names);
    RUN(test_each_type);
    RUN(test_preference);
    RUN(test_another_after_a_failure);
    RUN(test_nothing_suits);
    RUN(test_account_uri);
    RUN(test_directories);
    RUN(test_issuer_names);
    RUN(test_seen);
    RUN(test_slow_publication);
    RUN(test_failed_publication);
    RUN(test_addresses);
    RUN(test_address_has_no_common_name);
    return checks_done();
}
