/* The keeper and its storage: damage, writes that fail, several processes on one store, the storage's own word. */
#include "check.h"
#include "keeper_world.h"

static const int64_t minute_ms = INT64_C(60000), hour_ms = INT64_C(3600000), day_ms = INT64_C(86400000);

static bool serves(const struct side *side, const char *name, enum cert_source source)
{
    const struct cert *cert = side_serves(side, name);
    return cert && cert->source == source && cert_covers(cert, slice_str(name));
}

static void report(struct side *side, enum store_result reading, enum store_result writing,
                   enum store_dir_durability durability, const char *sentence)
{
    struct store_dir_report said = {reading, writing, durability, sentence};
    keeper_storage_reported(side->keeper, &said);
}

/* A world in which a.example has a certificate, and no process runs. */
static void world_with_certificate(struct kw *world)
{
    kw_init(world);
    world->ca.lifetime_s = 90L * 24 * 3600;
    struct side *side = kw_start_domains(world, "a.example");
    kw_pass(world, minute_ms);
    CHECK(serves(side, "a.example", CERT_ISSUED));
    kw_stop(side);
}

/* ---- "cannot read" is never "not there" ---- */

static void an_unreadable_store_orders_nothing(void)
{
    static const enum store_result results[] = {STORE_DENIED, STORE_CORRUPT, STORE_UNAVAILABLE, STORE_WRONG_KEY};
    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++) {
        struct kw world;
        world_with_certificate(&world);
        world.disk.list_result = results[i];
        world.disk.list_hides = true;
        struct side *side = kw_start_domains(&world, "a.example,b.example");
        kw_pass(&world, day_ms);
        CHECK(serves(side, "a.example", CERT_PLACEHOLDER));
        CHECK(serves(side, "b.example", CERT_PLACEHOLDER));
        CHECK_INT(world.ca.num_orders, 1);
        CHECK(!keeper_state(side->keeper).store_readable);
        CHECK_INT(kw_logged(&world, "\"storage_unreadable\"", store_result_text(results[i])), 1);
        world.disk.list_result = STORE_OK;
        world.disk.list_hides = false;
        keeper_look_now(side->keeper);
        tick_stop(&side->keeper->reload); /* ten seconds of real time */
        side->keeper->reload.expired(&side->keeper->reload);
        kw_pass(&world, minute_ms);
        CHECK(serves(side, "a.example", CERT_ISSUED));
        CHECK(serves(side, "b.example", CERT_ISSUED));
        CHECK_INT(world.ca.num_orders, 2); /* b alone */
        CHECK(keeper_state(side->keeper).store_readable);
        kw_cleanup(&world);
    }
}

/* What they would have said of any name or key is not known. */
static void unreadable_bans_or_quarantines_order_nothing(void)
{
    static const char *const prefixes[] = {"banned-key/", "quarantine/"};
    for (size_t i = 0; i < 2; i++) {
        struct kw world;
        world_with_certificate(&world);
        world.disk.lost_prefix = prefixes[i];
        world.disk.lost_result = STORE_DENIED;
        struct side *side = kw_start_domains(&world, "a.example,b.example");
        kw_pass(&world, 65 * day_ms);
        CHECK(serves(side, "a.example", CERT_ISSUED));
        CHECK(serves(side, "b.example", CERT_PLACEHOLDER));
        CHECK_INT(world.ca.num_orders, 1);
        CHECK(!keeper_state(side->keeper).store_readable);
        CHECK_INT(kw_logged(&world, "\"storage_unreadable\"", prefixes[i]), 1);
        CHECK_INT(keeper_renew(side->keeper, SLICE_LIT("b.example"), true, NULL), KEEPER_RENEWS);
        kw_pass(&world, minute_ms);
        CHECK_INT(world.ca.num_orders, 1); /* no force helps */
        kw_pass(&world, 22 * day_ms);
        CHECK_INT(world.ca.num_orders, 2); /* what would lapse */
        CHECK(serves(side, "b.example", CERT_PLACEHOLDER));
        world.disk.lost_prefix = NULL;
        CHECK(tick_armed(&side->keeper->reload));
        tick_stop(&side->keeper->reload); /* ten seconds of real time */
        side->keeper->reload.expired(&side->keeper->reload);
        kw_pass(&world, minute_ms);
        CHECK(serves(side, "b.example", CERT_ISSUED));
        CHECK_INT(world.ca.num_orders, 3);
        CHECK(keeper_state(side->keeper).store_readable);
        kw_cleanup(&world);
    }
}

static void what_can_be_read_is_served(void)
{
    struct kw world;
    world_with_certificate(&world);
    world.disk.list_result = STORE_CORRUPT; /* of another record */
    struct side *side = kw_start_domains(&world, "a.example,b.example");
    kw_pass(&world, day_ms);
    CHECK(serves(side, "a.example", CERT_ISSUED));
    CHECK(serves(side, "b.example", CERT_PLACEHOLDER));
    CHECK_INT(world.ca.num_orders, 1);
    kw_pass(&world, 62 * day_ms); /* its own record is sound: it may be replaced */
    CHECK_INT(world.ca.num_orders, 2);
    kw_cleanup(&world);
}

static void a_damaged_record_orders_nothing(void)
{
    struct kw world;
    world_with_certificate(&world);
    memory_store_put(&world.disk.memory, SLICE_LIT("certificate/a.example"), SLICE_LIT("portico-certificate: 1\nrest"));
    struct side *side = kw_start_domains(&world, "a.example");
    kw_pass(&world, 2 * day_ms);
    CHECK(serves(side, "a.example", CERT_PLACEHOLDER));
    CHECK_INT(world.ca.num_orders, 1);
    CHECK_INT(kw_logged(&world, "\"certificate_unreadable\"", "a.example"), 1);
    CHECK(strncmp(memory_store_value(&world.disk.memory, "certificate/a.example").ptr, "portico-certificate: 1\nrest",
                  27) == 0);
    kw_cleanup(&world);
}

static void a_damaged_state_is_no_obstacle(void)
{
    struct kw world;
    world_with_certificate(&world);
    memory_store_put(&world.disk.memory, SLICE_LIT("state/a.example"), SLICE_LIT("{\"version\":"));
    struct side *side = kw_start_domains(&world, "a.example");
    kw_pass(&world, minute_ms);
    CHECK(serves(side, "a.example", CERT_ISSUED));
    CHECK_INT(kw_logged(&world, "\"state_unreadable\"", NULL), 1);
    CHECK(side_view(side, "a.example").next_attempt_ms > world.wall_ms + 50 * day_ms);
    CHECK(strstr(memory_store_value(&world.disk.memory, "state/a.example").ptr, "renew_at_ms")); /* chosen anew */
    kw_cleanup(&world);
}

static void an_expired_certificate_is_served_and_replaced(void)
{
    struct kw world;
    world_with_certificate(&world);
    world.wall_ms += 100 * day_ms;
    scripted_ca_script(&world.ca, CA_DIRECTORY)->lose_request = true;
    struct side *side = kw_start_domains(&world, "a.example");
    kw_pass(&world, 0);
    CHECK(serves(side, "a.example", CERT_ISSUED));
    CHECK(side_serves(side, "a.example")->not_after_s * 1000 < world.wall_ms);
    world.ca.num_scripts = 0;
    kw_pass(&world, hour_ms);
    CHECK(side_serves(side, "a.example")->not_after_s * 1000 > world.wall_ms);
    kw_cleanup(&world);
}

/* ---- writing ---- */

static void what_cannot_be_stored_is_served_all_the_same(void)
{
    static const enum store_result results[] = {STORE_FULL, STORE_UNAVAILABLE, STORE_UNKNOWN};
    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++) {
        struct kw world;
        kw_init(&world);
        world.disk.save_result = results[i];
        struct side *side = kw_start_domains(&world, "a.example");
        kw_pass(&world, 30 * minute_ms);
        CHECK(serves(side, "a.example", CERT_ISSUED));
        CHECK(memory_store_value(&world.disk.memory, "certificate/a.example").ptr == NULL);
        CHECK(memory_store_value(&world.disk.memory, "order/a.example").ptr != NULL);
        CHECK(kw_logged(&world, "\"certificate_not_stored\"", store_result_text(results[i])) >= 10);
        CHECK_INT(kw_logged(&world, "\"certificate_published\"", NULL), 1);
        CHECK_INT(world.ca.num_orders, 1);
        world.disk.save_result = STORE_OK;
        if (i == 0) {
            report(side, STORE_OK, STORE_FULL, STORE_DIR_DURABLE, "no space");
            report(side, STORE_OK, STORE_OK, STORE_DIR_DURABLE, "");
            kw_pass(&world, 0);
        } else {
            kw_pass(&world, 2 * minute_ms);
        }
        CHECK(memory_store_value(&world.disk.memory, "certificate/a.example").ptr != NULL);
        CHECK(memory_store_value(&world.disk.memory, "order/a.example").ptr == NULL);
        kw_cleanup(&world);
    }
}

/* States are stored, certificates are not, and each of the states looks as if there were space again. */
static void a_disk_that_is_almost_full_is_not_written_without_end(void)
{
    struct kw world;
    kw_init(&world);
    world.disk.save_result = STORE_FULL;
    struct side *side = kw_start_domains(&world, "a.example");
    kw_pass(&world, minute_ms);
    unsigned num_before = kw_logged(&world, "\"certificate_not_stored\"", NULL);
    for (int i = 0; i < 50; i++) {
        report(side, STORE_OK, STORE_FULL, STORE_DIR_DURABLE, "no space");
        report(side, STORE_OK, STORE_OK, STORE_DIR_DURABLE, "");
        kw_pass(&world, 0);
    }
    CHECK_INT(kw_logged(&world, "\"certificate_not_stored\"", NULL), num_before + 1);
    kw_cleanup(&world);
}

/* The journal stays: the next process fetches the same certificate. */
static void what_was_not_stored_is_fetched_again(void)
{
    struct kw world;
    kw_init(&world);
    world.disk.save_result = STORE_FULL;
    struct side *side = kw_start_domains(&world, "a.example");
    kw_pass(&world, minute_ms);
    char *serial = mem_strdup(side_serves(side, "a.example")->serial);
    kw_stop(side);
    world.disk.save_result = STORE_OK;
    side = kw_start_domains(&world, "a.example");
    kw_pass(&world, minute_ms);
    CHECK_STR(side_serves(side, "a.example")->serial, serial);
    CHECK_INT(world.ca.num_orders, 1);
    mem_free(serial);
    kw_cleanup(&world);
}

/* The store has the state of the certificate before: that of the new one waits with it. */
static void a_reload_keeps_what_waits_for_the_disk(void)
{
    struct kw world;
    kw_init(&world);
    world.ca.lifetime_s = 90L * 24 * 3600;
    struct side *side = kw_start_domains(&world, "a.example");
    kw_pass(&world, minute_ms);
    world.disk.save_result = STORE_FULL;
    kw_pass(&world, 63 * day_ms);
    CHECK_INT(world.ca.num_orders, 2);
    const struct keeper_name *name = side->keeper->names[0];
    const char *serial = side_serves(side, "a.example")->serial;
    int64_t renew_at_ms = name->state.renew_at_ms;
    CHECK(name->save.record.len && slice_eq(buf_slice(&name->state.serial), slice_str(serial)));
    keeper_load_again(side->keeper);
    kw_rest(&world);
    CHECK_INT(name->state.renew_at_ms, renew_at_ms);
    CHECK_SLICE(buf_slice(&name->state.serial), serial);
    world.disk.save_result = STORE_OK;
    kw_pass(&world, 2 * minute_ms);
    CHECK(strstr(memory_store_value(&world.disk.memory, "state/a.example").ptr, serial));
    kw_cleanup(&world);
}

/* ---- several processes ---- */

static void a_standby_serves_follows_and_takes_over(void)
{
    struct kw world;
    world_with_certificate(&world);
    struct side *first = kw_start_domains(&world, "a.example,b.example");
    world.ca.scripts[world.ca.num_scripts++] =
        (struct ca_script){.place = CA_NEW_ORDER, .times = 1, .status = 429, .type = "rateLimited", .body = "later"};
    kw_pass(&world, 0);
    struct side *second = kw_start_domains(&world, "a.example,b.example");
    second->acknowledges = true;
    kw_pass(&world, 0);
    CHECK(keeper_state(first->keeper).writer && !keeper_state(second->keeper).writer);
    CHECK(serves(second, "a.example", CERT_ISSUED));
    CHECK(serves(second, "b.example", CERT_PLACEHOLDER));
    second->keeper->standby.expired(&second->keeper->standby); /* two seconds of real time */
    CHECK_INT(kw_logged(&world, "\"standby\"", "another process holds the right to write"), 1);
    kw_pass(&world, 2 * minute_ms);
    CHECK(serves(first, "b.example", CERT_ISSUED));
    CHECK(serves(second, "b.example", CERT_ISSUED)); /* by the store's watch */
    CHECK_STR(side_serves(second, "b.example")->serial, side_serves(first, "b.example")->serial);
    CHECK_INT(world.ca.num_orders, 2);
    kw_stop(first);
    kw_pass(&world, day_ms);
    CHECK(keeper_state(second->keeper).writer);
    CHECK_INT(kw_logged(&world, "\"takeover\"", NULL), 1);
    CHECK_INT(world.ca.num_orders, 2);
    kw_pass(&world, 62 * day_ms);
    CHECK_INT(world.ca.num_orders, 4);
    CHECK_INT(world.ca.num_accounts, 1);
    CHECK_STR(world.ca.fault, "");
    kw_cleanup(&world);
}

static void a_standby_takes_over_an_order(void)
{
    struct kw world;
    kw_init(&world);
    struct side *first = kw_start_domains(&world, "a.example");
    while (world.ca.num_at[CA_AUTHZ] == 0)
        if (uv_run(&world.uv, UV_RUN_NOWAIT),
            !memory_store_answer(&world.disk.memory) && !scripted_ca_answer(&world.ca))
            kw_pass(&world, 1);
    struct side *second = kw_start_domains(&world, "a.example");
    kw_rest(&world);
    kw_stop(first);
    kw_pass(&world, minute_ms);
    CHECK(serves(second, "a.example", CERT_ISSUED));
    CHECK_INT(world.ca.num_orders, 1);
    CHECK_STR(world.ca.fault, "");
    kw_cleanup(&world);
}

static void a_lost_lock_ends_the_orders(void)
{
    struct kw world;
    kw_init(&world);
    struct side *side = kw_start_domains(&world, "a.example");
    side->acknowledges = false; /* the order waits */
    kw_rest(&world);
    CHECK_INT(side->served->pending.num, 1);
    struct store_lock *lock = side->lock;
    world.disk.holder = &world.sides[2]; /* somebody else */
    side->lock = NULL;
    lock->lost(lock);
    kw_rest(&world);
    CHECK(side->lock == lock); /* asked for again */
    CHECK_INT(side->served->pending.num, 0);
    CHECK(!keeper_state(side->keeper).writer);
    unsigned before = world.ca.num_requests;
    keeper_acknowledged(side->keeper, side->served->generation);
    side->acknowledges = true;
    kw_pass(&world, day_ms);
    CHECK_INT(world.ca.num_requests, before);
    CHECK_INT(kw_logged(&world, "\"order_failed\"", NULL), 0);
    world.disk.holder = NULL;
    kw_pass(&world, minute_ms);
    CHECK(serves(side, "a.example", CERT_ISSUED));
    CHECK_INT(world.ca.num_orders, 1);
    kw_cleanup(&world);
}

static void a_draining_process_gives_way(void)
{
    struct kw world;
    kw_init(&world);
    struct side *first = kw_start_domains(&world, "a.example");
    first->acknowledges = false;
    kw_rest(&world);
    keeper_acknowledged(first->keeper, first->served->generation - 1);
    struct side *second = kw_start_domains(&world, "a.example");
    kw_rest(&world);
    CHECK_INT(first->served->pending.num, 1);
    keeper_stop_ordering(first->keeper);
    keeper_stop_ordering(first->keeper);
    kw_pass(&world, minute_ms);
    CHECK_INT(first->served->pending.num, 0);
    CHECK(keeper_state(second->keeper).writer);
    CHECK(serves(second, "a.example", CERT_ISSUED));
    CHECK_INT(world.ca.num_orders, 1);
    kw_stop(second);
    kw_pass(&world, 100 * day_ms); /* it never asks again */
    CHECK(!keeper_state(first->keeper).writer);
    kw_cleanup(&world);
}

/* What is known of the names' failures is written before whoever comes next may write, however many they are. */
static void a_draining_process_leaves_every_back_off(void)
{
    enum { NUM = 40 };
    char domains[2048] = "";
    unsigned num_states = 0;
    struct kw world;
    kw_init(&world);
    for (int i = 0; i < NUM; i++)
        snprintf(domains + strlen(domains), 32, "%sn%d.example", i ? "," : "", i);
    world.disk.memory.write_fault = STORE_FULL;
    struct side *side = kw_start_domains(&world, domains);
    kw_rest(&world);
    world.disk.memory.write_fault = STORE_OK;
    keeper_stop_ordering(side->keeper);
    kw_rest(&world);
    for (size_t i = 0; i < world.disk.memory.num_records; i++)
        num_states += strncmp(world.disk.memory.records[i].key, "state/", 6) == 0;
    CHECK_INT(num_states, NUM);
    kw_cleanup(&world);
}

/* ---- the storage's own word ---- */

static void storage_that_does_not_last_is_warned_about(void)
{
    struct kw world;
    kw_init(&world);
    const char *entries[] = {"PORTICO_DOMAINS=a.example.com", "PORTICO_ACME_DIRECTORY=letsencrypt", NULL};
    world.disk.holder = &world.sides[2]; /* a standby: nothing is asked of anybody */
    struct side *side = kw_start(&world, entries);
    kw_rest(&world);
    report(side, STORE_OK, STORE_FENCED, STORE_DIR_DURABLE, "");
    CHECK_INT(kw_logged(&world, "\"storage_not_durable\"", NULL), 0);
    report(side, STORE_OK, STORE_FENCED, STORE_DIR_IN_MEMORY, "");
    report(side, STORE_OK, STORE_FENCED, STORE_DIR_IN_CONTAINER, "");
    CHECK_INT(kw_logged(&world, "\"storage_not_durable\"", "five identical"), 1);
    kw_stop(side);
    side = kw_start_domains(&world, "a.example"); /* a CA of one's own has no such limits */
    report(side, STORE_OK, STORE_FENCED, STORE_DIR_IN_MEMORY, "");
    CHECK_INT(kw_logged(&world, "\"storage_not_durable\"", NULL), 1);
    kw_cleanup(&world);
}

static void storage_that_cannot_be_written_is_said(void)
{
    struct kw world;
    kw_init(&world);
    world.disk.holder = &world.sides[2];
    struct side *side = kw_start_domains(&world, "a.example");
    report(side, STORE_OK, STORE_DENIED, STORE_DIR_DURABLE, "the file system is read-only");
    kw_rest(&world);
    side->keeper->standby.expired(&side->keeper->standby);
    CHECK_INT(kw_logged(&world, "\"storage_not_writable\"", "the file system is read-only"), 1);
    CHECK_SLICE(keeper_state(side->keeper).sentence, "the file system is read-only");
    kw_pass(&world, day_ms);
    CHECK(serves(side, "a.example", CERT_PLACEHOLDER));
    CHECK_INT(world.ca.num_orders, 0);
    kw_cleanup(&world);
}

int main(void)
{
    RUN(an_unreadable_store_orders_nothing);
    RUN(unreadable_bans_or_quarantines_order_nothing);
    RUN(what_can_be_read_is_served);
    RUN(a_damaged_record_orders_nothing);
    RUN(a_damaged_state_is_no_obstacle);
    RUN(an_expired_certificate_is_served_and_replaced);
    RUN(what_cannot_be_stored_is_served_all_the_same);
    RUN(a_disk_that_is_almost_full_is_not_written_without_end);
    RUN(what_was_not_stored_is_fetched_again);
    RUN(a_reload_keeps_what_waits_for_the_disk);
    RUN(a_standby_serves_follows_and_takes_over);
    RUN(a_standby_takes_over_an_order);
    RUN(a_lost_lock_ends_the_orders);
    RUN(a_draining_process_gives_way);
    RUN(a_draining_process_leaves_every_back_off);
    RUN(storage_that_does_not_last_is_warned_about);
    RUN(storage_that_cannot_be_written_is_said);
    return checks_done();
}
