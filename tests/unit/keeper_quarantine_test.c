/* What a CA has issued and does not work here, what somebody asks for, and keys that are never used again. */
#include "check.h"
#include "keeper_world.h"
#include "store/cert_record.h"

static const int64_t minute_ms = INT64_C(60000), hour_ms = INT64_C(3600000), day_ms = INT64_C(86400000);

static const char certificate_key[] = "certificate/a.example", quarantine_key[] = "quarantine/a.example",
                  journal_key[] = "order/a.example";

static bool stored(const struct kw *world, const char *key)
{
    return memory_store_value(&world->disk.memory, key).ptr != NULL;
}

static bool is_issued(const struct side *side)
{
    const struct cert *cert = side_serves(side, "a.example");
    return cert && cert->source == CERT_ISSUED;
}

static const char *serial_of(const struct side *side)
{
    return side_serves(side, "a.example")->serial;
}

/* A CA whose clock is three hours ahead of ours. */
static struct side *start_ahead(struct kw *world)
{
    kw_init(world);
    world->ca.backdate_s = -3 * 3600;
    struct side *side = kw_start_domains(world, "a.example");
    kw_pass(world, minute_ms);
    return side;
}

/* ---- quarantine ---- */

static void a_clock_that_is_wrong_burns_no_certificate(void)
{
    struct kw world;
    struct side *side = start_ahead(&world);
    CHECK(!is_issued(side));
    CHECK(side_view(side, "a.example").quarantined);
    CHECK_INT(side_view(side, "a.example").why, KEEPER_WHY_QUARANTINE);
    CHECK_SLICE(side_view(side, "a.example").problem_class, "local");
    CHECK(stored(&world, quarantine_key) && !stored(&world, journal_key) && !stored(&world, certificate_key));
    CHECK_INT(kw_logged(&world, "\"certificate_quarantined\"", "a.example"), 1);
    kw_pass(&world, 4 * hour_ms);
    CHECK(is_issued(side));
    CHECK_INT(world.ca.num_orders, 1);
    CHECK(!stored(&world, quarantine_key) && stored(&world, certificate_key));
    CHECK_INT(kw_logged(&world, "\"quarantine_left\"", NULL), 1);
    CHECK(!side_view(side, "a.example").quarantined);
    CHECK_INT(side_view(side, "a.example").num_failures, 0);
    CHECK_STR(world.ca.fault, "");
    kw_cleanup(&world);
}

/* Not within the hour, but when the clock is set. */
static void a_clock_that_is_set_ends_it_at_once(void)
{
    struct kw world;
    struct side *side = start_ahead(&world);
    world.wall_ms += 3 * hour_ms;
    kw_pass(&world, minute_ms);
    CHECK(is_issued(side));
    CHECK_INT(world.ca.num_orders, 1);
    kw_cleanup(&world);
}

static void it_survives_a_restart(void)
{
    struct kw world;
    struct side *side = start_ahead(&world);
    for (int i = 0; i < 3; i++) {
        kw_stop(side);
        side = kw_start_domains(&world, "a.example");
        kw_pass(&world, 10 * minute_ms);
        CHECK(!is_issued(side) && side_view(side, "a.example").quarantined);
    }
    kw_stop(side);
    kw_pass(&world, 4 * hour_ms);
    side = kw_start_domains(&world, "a.example");
    kw_rest(&world);
    CHECK(is_issued(side)); /* a restart is a reason to try */
    CHECK_INT(world.ca.num_orders, 1);
    CHECK(!stored(&world, quarantine_key));
    kw_cleanup(&world);
}

/* ACME-106: one of five identical certificates a week, each 34 hours. */
static void nothing_is_ordered_for_34_hours(void)
{
    struct kw world;
    kw_init(&world);
    CHECK(!err_is(key_generate(KEY_P256, &world.ca.stolen_key)));
    struct side *side = kw_start_domains(&world, "a.example");
    kw_pass(&world, 33 * hour_ms);
    CHECK_INT(world.ca.num_orders, 1);
    CHECK(side_view(side, "a.example").next_attempt_ms > world.wall_ms);
    kw_stop(side);
    side = kw_start_domains(&world, "a.example");
    kw_pass(&world, hour_ms - 2 * minute_ms);
    CHECK_INT(world.ca.num_orders, 1);
    kw_pass(&world, 10 * minute_ms);
    CHECK_INT(world.ca.num_orders, 2);
    key_free(world.ca.stolen_key);
    world.ca.stolen_key = NULL;
    kw_pass(&world, 33 * hour_ms);
    CHECK_INT(world.ca.num_orders, 2);
    CHECK_INT(keeper_renew(side->keeper, SLICE_LIT("a.example"), false, NULL), KEEPER_RENEWS);
    kw_rest(&world);
    CHECK_INT(world.ca.num_orders, 2); /* not by asking, but by force */
    CHECK_INT(keeper_renew(side->keeper, SLICE_LIT("a.example"), true, NULL), KEEPER_RENEWS);
    kw_pass(&world, minute_ms);
    CHECK_INT(world.ca.num_orders, 3);
    CHECK(is_issued(side));
    CHECK(!stored(&world, quarantine_key));
    kw_cleanup(&world);
}

static void an_emergency_does_not_wait(void)
{
    struct kw world;
    kw_init(&world);
    world.ca.lifetime_s = 90L * 24 * 3600;
    struct side *side = kw_start_domains(&world, "a.example");
    kw_pass(&world, minute_ms);
    char *serial = mem_strdup(serial_of(side));
    CHECK(!err_is(key_generate(KEY_P256, &world.ca.stolen_key)));
    kw_pass(&world, 85 * day_ms);
    CHECK_STR(serial_of(side), serial); /* never rolled back, never dropped */
    unsigned before = world.ca.num_orders;
    CHECK(before >= 10 && before <= 20); /* 23 days of 34 hours */
    kw_pass(&world, 4 * day_ms);
    CHECK(world.ca.num_orders > before + 4);
    key_free(world.ca.stolen_key);
    world.ca.stolen_key = NULL;
    kw_pass(&world, 12 * hour_ms);
    CHECK(strcmp(serial_of(side), serial) != 0);
    mem_free(serial);
    kw_cleanup(&world);
}

/* It is kept in memory, and the order's journal leads to it behind a restart. */
static void a_full_disk_loses_nothing_of_it(void)
{
    struct kw world;
    kw_init(&world);
    world.ca.backdate_s = -3 * 3600;
    world.disk.quarantine_result = STORE_FULL;
    struct side *side = kw_start_domains(&world, "a.example");
    kw_pass(&world, hour_ms);
    CHECK(side_view(side, "a.example").quarantined);
    CHECK(!stored(&world, quarantine_key) && stored(&world, journal_key));
    kw_stop(side);
    side = kw_start_domains(&world, "a.example");
    kw_pass(&world, 11 * minute_ms);
    CHECK_INT(world.ca.num_orders, 1);
    world.disk.quarantine_result = STORE_OK;
    kw_pass(&world, 10 * minute_ms);
    CHECK(stored(&world, quarantine_key) && !stored(&world, journal_key));
    kw_pass(&world, 4 * hour_ms);
    CHECK(is_issued(side));
    CHECK_INT(world.ca.num_orders, 1);
    kw_cleanup(&world);
}

static void it_survives_a_crash_anywhere(void)
{
    for (int events = 1; events < 60; events++) {
        struct kw world;
        kw_init(&world);
        world.ca.backdate_s = -3 * 3600;
        struct side *side = kw_start_domains(&world, "a.example");
        for (int i = 0; i < events; i++)
            if (uv_run(&world.uv, UV_RUN_NOWAIT), !memory_store_answer(&world.disk.memory))
                if (!scripted_ca_answer(&world.ca))
                    break;
        kw_stop(side);
        side = kw_start_domains(&world, "a.example");
        kw_pass(&world, 5 * hour_ms);
        CHECK(is_issued(side));
        CHECK_INT(world.ca.num_certificates, 1);
        CHECK(!stored(&world, quarantine_key) && !stored(&world, journal_key));
        CHECK_STR(world.ca.fault, "");
        kw_cleanup(&world);
    }
}

static void a_damaged_one_is_given_up(void)
{
    struct kw world;
    struct side *side = start_ahead(&world);
    kw_stop(side);
    memory_store_put(&world.disk.memory, SLICE_LIT("quarantine/a.example"), SLICE_LIT("portico-certificate: 1\nrest"));
    world.ca.backdate_s = 3600;
    side = kw_start_domains(&world, "a.example");
    kw_pass(&world, hour_ms);
    CHECK_INT(kw_logged(&world, "\"quarantine_unreadable\"", NULL), 1);
    CHECK(is_issued(side));
    CHECK(!stored(&world, quarantine_key));
    kw_cleanup(&world);
}

/* ---- asked for ---- */

static void renewed_when_asked(void)
{
    struct kw world;
    int64_t at_ms = 0;
    kw_init(&world);
    struct side *side = kw_start_domains(&world, "a.example,localhost");
    kw_pass(&world, minute_ms);
    char *serial = mem_strdup(serial_of(side));
    unsigned before = world.ca.num_orders;
    CHECK_INT(keeper_renew(side->keeper, SLICE_LIT("b.example"), false, NULL), KEEPER_RENEWS_NO_NAME);
    CHECK_INT(keeper_renew(side->keeper, SLICE_LIT("a.example"), false, &at_ms), KEEPER_RENEWS);
    CHECK_INT(at_ms, world.wall_ms);
    kw_pass(&world, minute_ms);
    CHECK_INT(world.ca.num_orders, before + 1);
    CHECK(strcmp(serial_of(side), serial) != 0);
    CHECK_INT(kw_logged(&world, "\"order_started\"", "asked for"), 1);
    kw_pass(&world, day_ms);
    CHECK_INT(world.ca.num_orders, before + 1); /* once */
    mem_free(serial);
    kw_cleanup(&world);
}

/* Our own back-off is passed over, the CA's Retry-After by force alone. */
static void what_the_ca_asked_for_holds(void)
{
    struct kw world;
    int64_t at_ms = 0;
    kw_init(&world);
    struct ca_script *script = scripted_ca_script(&world.ca, CA_NEW_ORDER);
    script->status = 403;
    script->type = "rejectedIdentifier";
    struct side *side = kw_start_domains(&world, "a.example");
    kw_pass(&world, minute_ms);
    CHECK_INT(world.ca.num_at[CA_NEW_ORDER], 1);
    CHECK_INT(keeper_renew(side->keeper, SLICE_LIT("a.example"), false, NULL), KEEPER_RENEWS);
    kw_pass(&world, minute_ms);
    CHECK_INT(world.ca.num_at[CA_NEW_ORDER], 2);
    script->status = 429;
    script->type = "rateLimited";
    script->retry_after = "7200";
    CHECK_INT(keeper_renew(side->keeper, SLICE_LIT("a.example"), false, NULL), KEEPER_RENEWS);
    kw_pass(&world, minute_ms);
    CHECK_INT(world.ca.num_at[CA_NEW_ORDER], 3);
    CHECK_INT(keeper_renew(side->keeper, SLICE_LIT("a.example"), false, &at_ms), KEEPER_RENEWS);
    CHECK(at_ms > world.wall_ms + 110 * minute_ms && at_ms <= world.wall_ms + 120 * minute_ms);
    kw_pass(&world, 100 * minute_ms);
    CHECK_INT(world.ca.num_at[CA_NEW_ORDER], 3);
    world.ca.num_scripts = 0;
    CHECK_INT(keeper_renew(side->keeper, SLICE_LIT("a.example"), true, &at_ms), KEEPER_RENEWS);
    CHECK_INT(at_ms, world.wall_ms);
    kw_pass(&world, minute_ms);
    CHECK(is_issued(side));
    kw_cleanup(&world);
}

static void both_lines_and_standbys(void)
{
    static const char *const both[] = {"PORTICO_DOMAINS=a.example", "PORTICO_ACME_KEY_TYPE=p256,rsa2048", NULL};
    struct kw world;
    kw_init(&world);
    struct side *side = kw_start(&world, both), *standby = kw_start(&world, both);
    kw_pass(&world, minute_ms);
    CHECK_INT(world.ca.num_certificates, 2);
    CHECK_INT(keeper_renew(standby->keeper, SLICE_LIT("a.example"), true, NULL), KEEPER_RENEWS_STANDBY);
    CHECK_INT(keeper_renew(side->keeper, SLICE_LIT("a.example"), false, NULL), KEEPER_RENEWS);
    kw_pass(&world, minute_ms);
    CHECK_INT(world.ca.num_certificates, 4);
    kw_cleanup(&world);
}

/* ACME-120: reason 5. */
static void what_is_held_is_not_renewed_until_asked(void)
{
    struct kw world;
    kw_init(&world);
    world.ca.lifetime_s = 90L * 24 * 3600;
    struct side *side = kw_start_domains(&world, "a.example");
    kw_pass(&world, minute_ms);
    CHECK(keeper_hold(side->keeper, SLICE_LIT("a.example")));
    CHECK(!keeper_hold(side->keeper, SLICE_LIT("b.example")));
    kw_pass(&world, 70 * day_ms);
    kw_stop(side);
    side = kw_start_domains(&world, "a.example");
    kw_pass(&world, 30 * day_ms);
    CHECK_INT(world.ca.num_orders, 1);
    CHECK(side_view(side, "a.example").held);
    CHECK(is_issued(side)); /* better than nothing */
    CHECK_INT(keeper_renew(side->keeper, SLICE_LIT("a.example"), false, NULL), KEEPER_RENEWS);
    kw_pass(&world, minute_ms);
    CHECK_INT(world.ca.num_orders, 2);
    CHECK(!side_view(side, "a.example").held);
    kw_pass(&world, 70 * day_ms);
    CHECK_INT(world.ca.num_orders, 3);
    kw_cleanup(&world);
}

/* ---- keys that are never used again ---- */

static void hash_of_stored(const struct kw *world, const char *key, uint8_t hash[KEY_SHA256_BYTES])
{
    struct arena arena = {0};
    struct cert_record record;
    struct evp_pkey_st *pkey = NULL;
    struct buf spki = {0};
    CHECK(!err_is(cert_record_read(&arena, memory_store_value(&world->disk.memory, key), &record)));
    CHECK(!err_is(key_read_pem(record.key_pem, &pkey)));
    key_write_public(pkey, &spki);
    key_sha256(buf_slice(&spki), hash);
    key_free(pkey);
    buf_cleanup(&spki);
    arena_cleanup(&arena);
}

/* A certificate in quarantine works again, but its key has been disclosed meanwhile: it stays there. */
static void a_disclosed_key_is_not_served(void)
{
    struct kw world;
    uint8_t hash[KEY_SHA256_BYTES];
    struct side *side = start_ahead(&world);
    hash_of_stored(&world, quarantine_key, hash);
    CHECK(!keeper_key_is_banned(side->keeper, hash));
    keeper_ban_key(side->keeper, hash);
    kw_pass(&world, 5 * hour_ms);
    CHECK(!is_issued(side));
    kw_stop(side);
    side = kw_start_domains(&world, "a.example");
    kw_pass(&world, hour_ms);
    CHECK(keeper_key_is_banned(side->keeper, hash));
    CHECK(!is_issued(side));
    CHECK_INT(world.ca.num_orders, 1);
    world.ca.backdate_s = 3600;
    kw_pass(&world, 30 * hour_ms);
    CHECK(is_issued(side)); /* with another */
    CHECK_INT(world.ca.num_orders, 2);
    kw_cleanup(&world);
}

int main(void)
{
    RUN(a_clock_that_is_wrong_burns_no_certificate);
    RUN(a_clock_that_is_set_ends_it_at_once);
    RUN(it_survives_a_restart);
    RUN(nothing_is_ordered_for_34_hours);
    RUN(an_emergency_does_not_wait);
    RUN(a_full_disk_loses_nothing_of_it);
    RUN(it_survives_a_crash_anywhere);
    RUN(a_damaged_one_is_given_up);
    RUN(renewed_when_asked);
    RUN(what_the_ca_asked_for_holds);
    RUN(both_lines_and_standbys);
    RUN(what_is_held_is_not_renewed_until_asked);
    RUN(a_disclosed_key_is_not_served);
    return checks_done();
}
