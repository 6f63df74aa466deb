/* Names with two certificates, one for each key type: ordered, stored, renewed and served side by side. */
#include "check.h"
#include "keeper_world.h"
#include "store/cert_record.h"

static const int64_t minute_ms = INT64_C(60000), hour_ms = INT64_C(3600000), day_ms = INT64_C(86400000);

static const char *const both_entries[] = {"PORTICO_DOMAINS=a.example", "PORTICO_ACME_KEY_TYPE=p256,rsa2048", NULL};
static const char *const turned_entries[] = {"PORTICO_DOMAINS=a.example", "PORTICO_ACME_KEY_TYPE=rsa2048,p256", NULL};
static const char *const p256_entries[] = {"PORTICO_DOMAINS=a.example", NULL};
static const char *const rsa_entries[] = {"PORTICO_DOMAINS=a.example", "PORTICO_ACME_KEY_TYPE=rsa2048", NULL};

static const struct certset_name *shown(const struct side *side)
{
    return certset_find(side->served, SLICE_LIT("a.example"));
}

static bool shows_both(const struct side *side)
{
    const struct certset_name *found = shown(side);
    return found && found->cert->source == CERT_ISSUED && !found->cert->key_is_rsa && found->rsa &&
           found->rsa->source == CERT_ISSUED && found->rsa->key_is_rsa && found->managed;
}

static enum key_type stored_type(const struct kw *world, const char *key)
{
    struct arena arena = {0};
    struct cert_record record = {.key_type = KEY_OTHER};
    struct slice value = memory_store_value(&world->disk.memory, key);
    if (value.ptr && err_is(cert_record_read(&arena, value, &record)))
        record.key_type = KEY_OTHER;
    arena_cleanup(&arena);
    return record.key_type;
}

static void both_are_ordered_one_behind_the_other(void)
{
    struct kw world;
    kw_init(&world);
    struct side *side = kw_start(&world, both_entries);
    kw_rest(&world);
    CHECK_INT(keeper_state(side->keeper).num_names, 1);
    CHECK_INT(keeper_state(side->keeper).num_lines, 2);
    CHECK(keeper_state(side->keeper).num_running <= 1); /* the CA hears of one name once at a time */
    kw_pass(&world, minute_ms);
    CHECK(shows_both(side));
    CHECK_INT(world.ca.num_orders, 2);
    CHECK_INT(world.ca.num_accounts, 1);
    CHECK_INT(stored_type(&world, "certificate/a.example"), KEY_P256);
    CHECK_INT(stored_type(&world, "certificate/a.example:rsa"), KEY_RSA2048);
    CHECK(memory_store_value(&world.disk.memory, "state/a.example:rsa").ptr != NULL);
    CHECK_INT(kw_logged(&world, "\"certificate_obtained\"", "\"key_type\":\"rsa2048\""), 1);
    CHECK_INT(kw_logged(&world, "\"placeholder_served\"", NULL), 1);
    CHECK_INT(keeper_state(side->keeper).num_placeholders, 0);
    CHECK_STR(world.ca.fault, "");
    kw_cleanup(&world);
}

/* Each by its own dates; a restart and the turned list change nothing. */
static void each_has_its_own_schedule(void)
{
    struct kw world;
    kw_init(&world);
    world.ca.lifetime_s = 90L * 24 * 3600;
    struct side *side = kw_start(&world, p256_entries);
    kw_pass(&world, 30 * day_ms);
    CHECK(kw_reload(side, both_entries));
    kw_pass(&world, minute_ms);
    CHECK(shows_both(side));
    CHECK_INT(world.ca.num_certificates, 2);
    kw_stop(side);
    side = kw_start(&world, turned_entries);
    kw_pass(&world, minute_ms);
    CHECK(shows_both(side));
    CHECK_INT(world.ca.num_certificates, 2);
    CHECK_INT(kw_logged(&world, "\"certificate_loaded\"", "\"key_type\":\"rsa2048\""), 1);
    kw_pass(&world, 33 * day_ms); /* day 63: the first is due between 58 and 62, the other a month later */
    CHECK_INT(world.ca.num_certificates, 3);
    CHECK_INT(kw_logged(&world, "\"order_started\"", "\"reason\":\"renewal\""), 1);
    kw_pass(&world, 30 * day_ms);
    CHECK_INT(world.ca.num_certificates, 4);
    CHECK(shows_both(side));
    kw_cleanup(&world);
}

/* One ends and cannot be renewed: whoever can do with the other one is shown that, from that second on. */
static void one_that_has_ended_makes_way_for_the_other(void)
{
    struct kw world;
    kw_init(&world);
    world.ca.lifetime_s = 20L * 24 * 3600;
    struct side *side = kw_start(&world, p256_entries);
    kw_pass(&world, minute_ms);
    world.ca.lifetime_s = 90L * 24 * 3600;
    CHECK(kw_reload(side, both_entries));
    kw_pass(&world, minute_ms);
    CHECK(shows_both(side));
    scripted_ca_script(&world.ca, CA_NEW_ORDER)->lose_request = true;
    int64_t end_ms = shown(side)->cert->not_after_s * 1000;
    kw_pass(&world, end_ms - world.wall_ms - 1000);
    CHECK(shows_both(side));
    kw_pass(&world, 2000);
    CHECK(shown(side)->cert->key_is_rsa && !shown(side)->rsa);
    world.ca.num_scripts = 0;
    kw_pass(&world, 2 * day_ms);
    CHECK(shows_both(side));
    kw_cleanup(&world);
}

static void the_other_key_type_replaces_at_once(void)
{
    struct kw world;
    char serial[64];
    kw_init(&world);
    struct side *side = kw_start(&world, p256_entries);
    kw_pass(&world, minute_ms);
    snprintf(serial, sizeof serial, "%s", shown(side)->cert->serial);
    scripted_ca_script(&world.ca, CA_NEW_ORDER)->lose_request = true;
    CHECK(kw_reload(side, rsa_entries));
    kw_rest(&world);
    CHECK_STR(shown(side)->cert->serial, serial); /* served until there is another */
    world.ca.num_scripts = 0;
    kw_pass(&world, 20 * minute_ms);
    CHECK(shown(side)->cert->key_is_rsa && !shown(side)->rsa);
    CHECK_INT(stored_type(&world, "certificate/a.example"), KEY_RSA2048);
    CHECK_INT(kw_logged(&world, "\"order_started\"", "\"reason\":\"another configuration\""), 1);
    kw_cleanup(&world);
}

/* What is stored of the line that goes stays, and is served again. */
static void a_line_goes_and_comes_back(void)
{
    struct kw world;
    kw_init(&world);
    struct side *side = kw_start(&world, both_entries);
    kw_pass(&world, minute_ms);
    CHECK(kw_reload(side, p256_entries));
    kw_rest(&world);
    CHECK(!shown(side)->cert->key_is_rsa && !shown(side)->rsa);
    CHECK_INT(keeper_state(side->keeper).num_lines, 1);
    CHECK(kw_reload(side, both_entries));
    kw_pass(&world, minute_ms);
    CHECK(shows_both(side));
    CHECK_INT(world.ca.num_certificates, 2);
    kw_stop(side);
    side = kw_start(&world, p256_entries); /* nor does the other one come to light by a restart */
    kw_pass(&world, minute_ms);
    CHECK(!shown(side)->rsa);
    kw_cleanup(&world);
}

/* A placeholder is for nobody who could do with the other certificate. */
static void one_certificate_is_better_than_a_placeholder(void)
{
    struct kw world;
    kw_init(&world);
    struct ca_script *script = scripted_ca_script(&world.ca, CA_FINALIZE);
    script->status = 403;
    script->type = "rejectedIdentifier";
    script->times = 1;
    struct side *side = kw_start(&world, both_entries);
    kw_pass(&world, minute_ms);
    CHECK_INT(world.ca.num_certificates, 1);
    CHECK(shown(side)->cert->source == CERT_ISSUED && !shown(side)->rsa);
    CHECK_INT(keeper_state(side->keeper).num_placeholders, 0);
    kw_pass(&world, 27 * hour_ms); /* a day, and a tenth of it */
    CHECK(shows_both(side));
    kw_cleanup(&world);
}

/* The CA counts failed validations by the name (five an hour, ACME-107): of two lines one waits for the other. */
static void two_lines_do_not_double_failures(void)
{
    struct kw world;
    kw_init(&world);
    world.ca.validation_problem = "unauthorized";
    struct side *side = kw_start(&world, both_entries);
    kw_pass(&world, hour_ms);
    CHECK(world.ca.num_orders >= 2 && world.ca.num_orders <= 5);
    CHECK(side_view(side, "a.example").num_failures > 0);
    world.ca.validation_problem = NULL;
    kw_pass(&world, 5 * hour_ms);
    CHECK(shows_both(side));
    kw_cleanup(&world);
}

/* A process dies at every event: neither certificate is ordered twice, none is lost. */
static void both_orders_are_resumed(void)
{
    for (int events = 1; events < 80; events += 3) {
        struct kw world;
        kw_init(&world);
        struct side *side = kw_start(&world, both_entries);
        for (int i = 0; i < events; i++)
            if (uv_run(&world.uv, UV_RUN_NOWAIT), !memory_store_answer(&world.disk.memory))
                if (!scripted_ca_answer(&world.ca))
                    break;
        kw_stop(side);
        side = kw_start(&world, both_entries);
        kw_pass(&world, 30 * minute_ms);
        CHECK(shows_both(side));
        CHECK_INT(world.ca.num_certificates, 2);
        CHECK_INT(world.ca.num_accounts, 1);
        CHECK_STR(world.ca.fault, "");
        kw_cleanup(&world);
    }
}

/* ENOSPC at every write: whichever it is, nothing is ordered twice, and all is stored when there is room again. */
static void a_disk_that_fills_at_any_write_loses_nothing(void)
{
    for (size_t writes = 0; writes < 14; writes++) {
        struct kw world;
        kw_init(&world);
        struct side *side = kw_start(&world, both_entries);
        for (int i = 0; i < 10000 && world.disk.memory.num_commits < writes; i++) {
            uv_run(&world.uv, UV_RUN_NOWAIT);
            if (!kw_step(&world))
                kw_tick_to_next(&world);
        }
        world.disk.memory.write_fault = STORE_FULL;
        kw_pass(&world, hour_ms);
        world.disk.memory.write_fault = STORE_OK;
        kw_pass(&world, 30 * hour_ms);
        CHECK(shows_both(side));
        CHECK_INT(world.ca.num_certificates, 2);
        CHECK_INT(world.ca.num_accounts, 1);
        CHECK_INT(stored_type(&world, "certificate/a.example"), KEY_P256);
        CHECK_INT(stored_type(&world, "certificate/a.example:rsa"), KEY_RSA2048);
        CHECK(!memory_store_value(&world.disk.memory, "order/a.example").ptr);
        CHECK(!memory_store_value(&world.disk.memory, "order/a.example:rsa").ptr);
        CHECK_STR(world.ca.fault, "");
        kw_cleanup(&world);
    }
}

int main(void)
{
    RUN(both_are_ordered_one_behind_the_other);
    RUN(each_has_its_own_schedule);
    RUN(one_that_has_ended_makes_way_for_the_other);
    RUN(the_other_key_type_replaces_at_once);
    RUN(a_line_goes_and_comes_back);
    RUN(one_certificate_is_better_than_a_placeholder);
    RUN(two_lines_do_not_double_failures);
    RUN(both_orders_are_resumed);
    RUN(a_disk_that_fills_at_any_write_loses_nothing);
    return checks_done();
}
