/* The keeper between two CAs: the fallback, the way back, and certificates that are bound to what they were ordered by. */
#include "check.h"
#include "keeper_world.h"
#include "store/cert_record.h"

static const int64_t minute_ms = INT64_C(60000), hour_ms = INT64_C(3600000), day_ms = INT64_C(86400000);

static const char *const entries[] = {"PORTICO_DOMAINS=a.example.com", "PORTICO_ACME_FALLBACK=" KW_FALLBACK, NULL};
static const char *const local_entries[] = {"PORTICO_DOMAINS=app.internal", "PORTICO_ACME_FALLBACK=" KW_FALLBACK, NULL};

static struct ca_script *first_fails(struct kw *world, enum ca_place place, int status, const char *type)
{
    struct ca_script *script = scripted_ca_script(&world->ca, place);
    script->status = status;
    script->type = type;
    return script;
}

static bool issued_by(const struct side *side, const char *name, const char *directory)
{
    const struct cert *cert = side_serves(side, name);
    return cert && cert->source == CERT_ISSUED && slice_eq(side_view(side, name).directory_url, slice_str(directory));
}

/* ---- the fallback ---- */

static void three_failures_of_the_first_lead_to_the_fallback(void)
{
    struct kw world;
    kw_init(&world);
    first_fails(&world, CA_DIRECTORY, 503, "serverInternal");
    struct side *side = kw_start(&world, entries);
    kw_pass(&world, 5 * minute_ms);
    CHECK_INT(world.behind.num_orders, 0); /* two failures */
    CHECK_INT(kw_logged(&world, "\"order_failed\"", scripted_ca_directory_url), 2);
    kw_pass(&world, 15 * minute_ms);
    CHECK_INT(world.behind.num_certificates, 1);
    CHECK(issued_by(side, "a.example.com", KW_FALLBACK));
    CHECK_INT(kw_logged(&world, "\"issuer_fallback\"", KW_FALLBACK), 1);
    CHECK_STR(world.behind.fault, "");
    CHECK_INT(side_view(side, "a.example.com").num_failures, 0);
    struct arena arena = {0};
    struct cert_record record;
    CHECK(!err_is(
        cert_record_read(&arena, memory_store_value(&world.disk.memory, "certificate/a.example.com"), &record)));
    CHECK_SLICE(record.directory_url, KW_FALLBACK);
    CHECK_SLICE(record.account_url, "https://acme-v02.api.letsencrypt.org/account/0");
    arena_cleanup(&arena);
    CHECK(!memory_store_value(&world.disk.memory, "order/a.example.com").ptr);
    CHECK(!memory_store_value(&world.disk.memory, "order/a.example.com:fallback").ptr);
    kw_cleanup(&world);
}

/* Not at once when the first answers again, but when it is due; and the first is asked first then. */
static void its_certificate_is_replaced_at_its_normal_renewal(void)
{
    struct kw world;
    kw_init(&world);
    first_fails(&world, CA_DIRECTORY, 503, "serverInternal");
    struct side *side = kw_start(&world, entries);
    kw_pass(&world, 20 * minute_ms);
    CHECK(issued_by(side, "a.example.com", KW_FALLBACK));
    world.ca.num_scripts = 0;
    kw_stop(side);
    side = kw_start(&world, entries);
    kw_pass(&world, 50 * day_ms);
    CHECK(issued_by(side, "a.example.com", KW_FALLBACK));
    CHECK_INT(world.ca.num_orders, 0);
    kw_pass(&world, 15 * day_ms);
    CHECK(issued_by(side, "a.example.com", scripted_ca_directory_url));
    CHECK_INT(world.behind.num_orders, 1);
    kw_cleanup(&world);
}

/* A renewal asks the first once before it goes on with the other. */
static void one_failure_is_enough_where_the_fallback_serves(void)
{
    struct kw world;
    kw_init(&world);
    first_fails(&world, CA_DIRECTORY, 503, "serverInternal");
    struct side *side = kw_start(&world, entries);
    kw_pass(&world, 20 * minute_ms);
    unsigned before = kw_logged(&world, "\"order_failed\"", scripted_ca_directory_url);
    kw_pass(&world, 65 * day_ms);
    CHECK_INT(kw_logged(&world, "\"order_failed\"", scripted_ca_directory_url), before + 1);
    CHECK_INT(world.behind.num_certificates, 2);
    CHECK(issued_by(side, "a.example.com", KW_FALLBACK));
    kw_cleanup(&world);
}

/* What the CA says of the name is not the CA's doing. */
static void refusals_of_the_name_do_not_count(void)
{
    static const char *const types[] = {"rejectedIdentifier", "unauthorized"};
    for (size_t i = 0; i < 2; i++) {
        struct kw world;
        kw_init(&world);
        if (i == 0)
            first_fails(&world, CA_NEW_ORDER, 403, types[i]);
        else
            world.ca.validation_problem = types[i];
        struct side *side = kw_start(&world, entries);
        kw_pass(&world, 6 * day_ms);
        CHECK(kw_logged(&world, "\"order_failed\"", NULL) >= 4);
        CHECK_INT(world.behind.num_requests, 0);
        CHECK(side_view(side, "a.example.com").num_failures >= 4);
        kw_cleanup(&world);
    }
}

static void local_names_never_go_there(void)
{
    struct kw world;
    kw_init(&world);
    first_fails(&world, CA_DIRECTORY, 503, "serverInternal");
    kw_start(&world, local_entries);
    kw_pass(&world, 3 * day_ms);
    CHECK(kw_logged(&world, "\"order_failed\"", NULL) >= 4);
    CHECK_INT(world.behind.num_requests, 0);
    kw_cleanup(&world);
}

/* Where both fail, both are tried, each by its own back-off and Retry-After. */
static void each_has_its_own_back_off(void)
{
    struct kw world;
    kw_init(&world);
    struct ca_script *first = first_fails(&world, CA_NEW_ORDER, 429, "rateLimited");
    struct ca_script *behind = scripted_ca_script(&world.behind, CA_NEW_ORDER);
    first->retry_after = "36000";
    behind->status = 429;
    behind->type = "rateLimited";
    behind->retry_after = "3600";
    struct side *side = kw_start(&world, entries);
    kw_pass(&world, 31 * hour_ms); /* three times at the first, and then the other at once */
    CHECK_INT(world.behind.num_at[CA_NEW_ORDER] >= 1, 1);
    CHECK(world.ca.num_at[CA_NEW_ORDER] >= 3 && world.ca.num_at[CA_NEW_ORDER] <= 4);
    kw_stop(side);
    unsigned before = world.behind.num_at[CA_NEW_ORDER];
    side = kw_start(&world, entries);
    kw_pass(&world, minute_ms);
    CHECK_INT(world.behind.num_at[CA_NEW_ORDER], before); /* a restart forgets neither */
    world.behind.num_scripts = 0;
    kw_pass(&world, 30 * hour_ms);
    CHECK(issued_by(side, "a.example.com", KW_FALLBACK));
    kw_cleanup(&world);
}

/* An outage counts for each name; its end, seen by one name, is good for all. */
static void the_first_is_gone_back_to_when_it_answers(void)
{
    static const char *const two[] = {"PORTICO_DOMAINS=a.example.com,b.example.com",
                                      "PORTICO_ACME_FALLBACK=" KW_FALLBACK, NULL};
    struct kw world;
    kw_init(&world);
    first_fails(&world, CA_DIRECTORY, 503, "serverInternal");
    struct side *side = kw_start(&world, two);
    kw_pass(&world, 5 * minute_ms); /* two failures each */
    world.ca.num_scripts = 0;
    kw_pass(&world, 15 * minute_ms);
    CHECK(issued_by(side, "a.example.com", scripted_ca_directory_url));
    CHECK(issued_by(side, "b.example.com", scripted_ca_directory_url));
    CHECK_INT(world.behind.num_requests, 0);
    kw_cleanup(&world);
}

/* An order that the first has kept is resumed there, also behind attempts at the other. */
static void no_order_is_lost_by_asking_the_other(void)
{
    struct kw world;
    kw_init(&world);
    first_fails(&world, CA_FINALIZE, 503, "serverInternal");
    struct ca_script *behind = scripted_ca_script(&world.behind, CA_NEW_ORDER);
    behind->status = 503;
    behind->type = "serverInternal";
    struct side *side = kw_start(&world, entries);
    kw_pass(&world, 3 * hour_ms);
    CHECK(world.behind.num_at[CA_NEW_ORDER] > 0);
    world.ca.num_scripts = 0;
    kw_pass(&world, 30 * hour_ms);
    CHECK(issued_by(side, "a.example.com", scripted_ca_directory_url));
    CHECK_INT(world.ca.num_orders, 1);
    kw_cleanup(&world);
}

/* A process dies at every event of the way to the fallback: nothing is ordered twice there. */
static void the_fallback_survives_a_crash_anywhere(void)
{
    for (int events = 1; events < 120; events += 4) {
        struct kw world;
        kw_init(&world);
        first_fails(&world, CA_NEW_ORDER, 503, "serverInternal");
        struct side *side = kw_start(&world, entries);
        kw_pass(&world, 10 * minute_ms - 1000);
        for (int i = 0; i < events; i++) {
            uv_run(&world.uv, UV_RUN_NOWAIT);
            if (!memory_store_answer(&world.disk.memory) && !scripted_ca_answer(&world.ca) &&
                !scripted_ca_answer(&world.behind))
                kw_tick_to_next(&world);
        }
        kw_stop(side);
        side = kw_start(&world, entries);
        kw_pass(&world, 2 * hour_ms);
        CHECK(issued_by(side, "a.example.com", KW_FALLBACK));
        CHECK_INT(world.behind.num_certificates, 1);
        CHECK_INT(world.behind.num_accounts, 1);
        CHECK_STR(world.behind.fault, "");
        kw_cleanup(&world);
    }
}

/* ---- bound to what it was ordered by ---- */

static void without_the_fallback_its_certificate_is_replaced_at_once(void)
{
    static const char *const without[] = {"PORTICO_DOMAINS=a.example.com", NULL};
    struct kw world;
    kw_init(&world);
    first_fails(&world, CA_DIRECTORY, 503, "serverInternal");
    struct side *side = kw_start(&world, entries);
    kw_pass(&world, 20 * minute_ms);
    CHECK(issued_by(side, "a.example.com", KW_FALLBACK));
    kw_stop(side);
    world.ca.num_scripts = 0;
    side = kw_start(&world, without);
    kw_rest(&world);
    kw_pass(&world, minute_ms);
    CHECK(issued_by(side, "a.example.com", scripted_ca_directory_url));
    CHECK_INT(kw_logged(&world, "\"order_started\"", "another configuration"), 1);
    kw_cleanup(&world);
}

static struct side *start_with_profiles(struct kw *world, const char *profiles)
{
    char profile[128];
    const char *with[] = {"PORTICO_DOMAINS=a.example.com", profile, NULL};
    snprintf(profile, sizeof profile, "PORTICO_ACME_PROFILE=%s", profiles);
    struct side *side = kw_start(world, with);
    kw_pass(world, 2 * minute_ms);
    return side;
}

static bool stored_profile_is(const struct kw *world, const char *profile)
{
    struct arena arena = {0};
    struct cert_record record = {0};
    bool is = !err_is(cert_record_read(&arena, memory_store_value(&world->disk.memory, "certificate/a.example.com"),
                                       &record)) &&
              slice_eq(record.profile, slice_str(profile));
    arena_cleanup(&arena);
    return is;
}

/* The one that the CA offers is as near as it comes: nothing is ordered again for it at each start. */
static void another_profile_replaces_at_once_and_only_once(void)
{
    struct kw world;
    kw_init(&world);
    world.ca.profiles[0] = "classic";
    world.ca.profiles[1] = "tlsserver";
    struct side *side = start_with_profiles(&world, "tlsserver");
    CHECK(stored_profile_is(&world, "tlsserver"));
    kw_stop(side);
    side = start_with_profiles(&world, "tlsserver,classic");
    CHECK_INT(world.ca.num_orders, 1);
    kw_stop(side);
    side = start_with_profiles(&world, "shortlived,classic");
    CHECK_INT(world.ca.num_orders, 2);
    CHECK(stored_profile_is(&world, "classic"));
    kw_stop(side);
    side = start_with_profiles(&world, "shortlived");
    CHECK_INT(world.ca.num_orders, 3);
    CHECK(stored_profile_is(&world, ""));
    kw_stop(side);
    side = start_with_profiles(&world, "shortlived");
    CHECK_INT(world.ca.num_orders, 3);
    kw_cleanup(&world);
}

/* ACME-88. */
static void addresses_take_shortlived_by_themselves(void)
{
    static const char *const two[] = {"PORTICO_DOMAINS=203.0.113.7,a.example.com", NULL};
    struct kw world;
    kw_init(&world);
    world.ca.profiles[0] = "classic";
    world.ca.profiles[1] = "shortlived";
    kw_start(&world, two);
    kw_pass(&world, minute_ms);
    CHECK_INT(world.ca.num_orders, 2);
    for (unsigned i = 0; i < world.ca.num_orders; i++) {
        const struct ca_order *order = &world.ca.orders[i];
        bool address = strcmp(order->names[0], "203.0.113.7") == 0;
        CHECK(address ? order->profile && strcmp(order->profile, "shortlived") == 0 : !order->profile);
    }
    kw_cleanup(&world);
}

/* ---- how ---- */

static bool posts(const struct kw *world, unsigned order, enum acme_challenge challenge)
{
    return world->ca.num_orders > order && world->ca.orders[order].challenge[0] == challenge;
}

/* ACME-47: the next order tries another way, also behind a restart. */
static void another_challenge_on_the_next_order(void)
{
    struct kw world;
    kw_init(&world);
    world.ca.offers = 1u << ACME_HTTP_01 | 1u << ACME_TLS_ALPN_01;
    world.ca.fails = 1u << ACME_HTTP_01;
    world.ca.validation_problem = "connection";
    world.ca.served = NULL; /* whose look is at HTTP-01 alone */
    struct side *side = kw_start_domains(&world, "a.example.com");
    kw_pass(&world, minute_ms);
    CHECK(posts(&world, 0, ACME_HTTP_01));
    CHECK_INT(side_view(side, "a.example.com").num_failures, 1);
    kw_stop(side);
    side = kw_start_domains(&world, "a.example.com");
    kw_pass(&world, 20 * minute_ms);
    CHECK_INT(world.ca.num_orders, 2);
    CHECK(posts(&world, 1, ACME_TLS_ALPN_01));
    CHECK(side_serves(side, "a.example.com")->source == CERT_ISSUED);
    kw_pass(&world, 65 * day_ms); /* what works is kept to */
    CHECK_INT(world.ca.num_orders, 3);
    CHECK(posts(&world, 2, ACME_TLS_ALPN_01));
    CHECK_INT(side_view(side, "a.example.com").num_failures, 0);
    kw_cleanup(&world);
}

static void a_reload_changes_how_is_ordered(void)
{
    static const char *const alpn[] = {"PORTICO_DOMAINS=a.example.com", "PORTICO_ACME_CHALLENGE=tls-alpn-01", NULL};
    struct kw world;
    kw_init(&world);
    world.ca.offers = 1u << ACME_HTTP_01 | 1u << ACME_TLS_ALPN_01;
    world.ca.served = NULL;
    struct side *side = kw_start_domains(&world, "a.example.com");
    kw_pass(&world, minute_ms);
    CHECK(posts(&world, 0, ACME_HTTP_01));
    CHECK(kw_reload(side, alpn));
    kw_pass(&world, 65 * day_ms);
    CHECK(posts(&world, 1, ACME_TLS_ALPN_01));
    CHECK_INT(world.ca.num_certificates, 2);
    kw_cleanup(&world);
}

/* What the CA will never do is asked again daily, and at once where what is asked has changed: reloaded or restarted. */
static void a_permanent_refusal_waits_for_another_configuration(void)
{
    static const char *const classic[] = {"PORTICO_DOMAINS=a.example.com", "PORTICO_ACME_PROFILE=classic", NULL};
    static const char *const p384[] = {"PORTICO_DOMAINS=a.example.com", "PORTICO_ACME_KEY_TYPE=p384", NULL};
    struct kw world;
    kw_init(&world);
    first_fails(&world, CA_NEW_ORDER, 403, "rejectedIdentifier");
    struct side *side = kw_start_domains(&world, "a.example.com");
    kw_pass(&world, 20 * hour_ms);
    CHECK_INT(world.ca.num_at[CA_NEW_ORDER], 1);
    kw_pass(&world, 7 * hour_ms);
    CHECK_INT(world.ca.num_at[CA_NEW_ORDER], 2);
    CHECK(kw_reload(side, classic));
    kw_rest(&world);
    CHECK_INT(world.ca.num_at[CA_NEW_ORDER], 3);
    kw_stop(side);
    side = kw_start(&world, classic);
    kw_pass(&world, hour_ms);
    CHECK_INT(world.ca.num_at[CA_NEW_ORDER], 3);
    kw_stop(side);
    side = kw_start(&world, p384);
    kw_pass(&world, hour_ms);
    CHECK_INT(world.ca.num_at[CA_NEW_ORDER], 4);
    kw_cleanup(&world);
}

int main(void)
{
    RUN(three_failures_of_the_first_lead_to_the_fallback);
    RUN(its_certificate_is_replaced_at_its_normal_renewal);
    RUN(one_failure_is_enough_where_the_fallback_serves);
    RUN(refusals_of_the_name_do_not_count);
    RUN(local_names_never_go_there);
    RUN(each_has_its_own_back_off);
    RUN(the_first_is_gone_back_to_when_it_answers);
    RUN(no_order_is_lost_by_asking_the_other);
    RUN(the_fallback_survives_a_crash_anywhere);
    RUN(without_the_fallback_its_certificate_is_replaced_at_once);
    RUN(another_profile_replaces_at_once_and_only_once);
    RUN(addresses_take_shortlived_by_themselves);
    RUN(another_challenge_on_the_next_order);
    RUN(a_reload_changes_how_is_ordered);
    RUN(a_permanent_refusal_waits_for_another_configuration);
    return checks_done();
}
