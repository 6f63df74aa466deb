/* The keeper against a scripted CA: certificates by order, renewal, back-off, the store, several processes. */
#include "check.h"
#include "keeper_world.h"
#include "store/cert_record.h"

static const int64_t minute_ms = INT64_C(60000), hour_ms = INT64_C(3600000), day_ms = INT64_C(86400000);

static bool serves(const struct side *side, const char *name, enum cert_source source)
{
    const struct cert *cert = side_serves(side, name);
    return cert && cert->source == source && cert_covers(cert, slice_str(name));
}

static bool stored(const struct kw *world, const char *key)
{
    return memory_store_value(&world->disk.memory, key).ptr != NULL;
}

static struct ca_script *orders_fail(struct kw *world, int status, const char *type)
{
    struct ca_script *script = scripted_ca_script(&world->ca, CA_NEW_ORDER);
    script->status = status;
    script->type = type;
    script->body = "not now";
    return script;
}

/* ---- the first certificate ---- */

static void the_first_certificate(void)
{
    struct kw world;
    kw_init(&world);
    struct side *side = kw_start_domains(&world, "a.example");
    CHECK(!side->served);
    while (!side->served)
        uv_run(&world.uv, UV_RUN_NOWAIT), kw_pass(&world, 0);
    kw_pass(&world, minute_ms);
    CHECK(serves(side, "a.example", CERT_ISSUED));
    CHECK_INT(world.ca.num_certificates, 1);
    CHECK_STR(world.ca.fault, "");
    CHECK(stored(&world, "certificate/a.example"));
    CHECK(stored(&world, "state/a.example"));
    CHECK(!stored(&world, "order/a.example"));
    CHECK(side->served->thumbprint != NULL);
    CHECK_STR(side->served->default_name, "a.example");
    CHECK_INT(side->served->tickets.num, 1);
    CHECK_INT(side->served->pending.num, 0);
    CHECK_INT(kw_logged(&world, "\"placeholder_served\"", "a.example"), 1);
    CHECK_INT(kw_logged(&world, "\"certificate_obtained\"", "a.example"), 1);
    CHECK_INT(kw_logged(&world, "\"certificate_published\"", "\"generation\":"), 1);
    struct keeper_name_view view = side_view(side, "a.example");
    CHECK(view.managed);
    CHECK_SLICE(view.directory_url, scripted_ca_directory_url);
    CHECK(view.next_attempt_ms > world.wall_ms);
    CHECK_INT(view.num_failures, 0);
    kw_cleanup(&world);
}

static void placeholder_until_then(void)
{
    struct kw world;
    kw_init(&world);
    scripted_ca_script(&world.ca, CA_DIRECTORY)->lose_request = true;
    struct side *side = kw_start_domains(&world, "a.example,b.example");
    kw_rest(&world);
    CHECK_INT(side->num_publications >= 1, 1);
    CHECK(serves(side, "a.example", CERT_PLACEHOLDER));
    CHECK(serves(side, "b.example", CERT_PLACEHOLDER));
    CHECK(certset_find(side->served, SLICE_LIT("a.example"))->managed);
    CHECK(keeper_state(side->keeper).loaded);
    CHECK_INT(keeper_state(side->keeper).num_placeholders, 2);
    for (int i = 0; i < 80; i++) { /* three days and more without a CA: the placeholder is never out of date */
        kw_pass(&world, hour_ms);
        const struct cert *cert = side_serves(side, "a.example");
        CHECK(cert->not_before_s * 1000 <= world.wall_ms && world.wall_ms < cert->not_after_s * 1000);
    }
    CHECK_INT(kw_logged(&world, "\"placeholder_served\"", "a.example"), 1);
    kw_cleanup(&world);
}

static void nothing_is_challenged_before_every_worker_answers(void)
{
    struct kw world;
    kw_init(&world);
    struct side *side = kw_start_domains(&world, "a.example");
    side->acknowledges = false;
    kw_rest(&world);
    CHECK_INT(world.ca.num_at[CA_AUTHZ], 1);
    CHECK_INT(world.ca.num_at[CA_CHALLENGE], 0);
    CHECK_INT(side->served->pending.num, 1);
    keeper_acknowledged(side->keeper, side->served->generation - 1);
    kw_rest(&world);
    CHECK_INT(world.ca.num_at[CA_CHALLENGE], 0);
    keeper_acknowledged(side->keeper, side->served->generation);
    kw_pass(&world, minute_ms);
    CHECK_INT(world.ca.num_at[CA_CHALLENGE], 1);
    CHECK_INT(world.ca.num_certificates, 1);
    CHECK(serves(side, "a.example", CERT_ISSUED));
    CHECK_INT(kw_logged(&world, "\"certificate_published\"", NULL), 0); /* not yet acknowledged */
    keeper_acknowledged(side->keeper, side->served->generation);
    CHECK_INT(kw_logged(&world, "\"certificate_published\"", NULL), 1);
    CHECK_STR(world.ca.fault, "");
    kw_cleanup(&world);
}

static void a_worker_that_never_answers_fails_the_order(void)
{
    struct kw world;
    kw_init(&world);
    struct side *side = kw_start_domains(&world, "a.example");
    side->acknowledges = false;
    kw_wait_real(&world, KEEPER_ACKNOWLEDGE_MS + 300);
    CHECK_INT(world.ca.num_at[CA_CHALLENGE], 0);
    CHECK_INT(kw_logged(&world, "\"order_failed\"", "every worker"), 1);
    CHECK_INT(side_view(side, "a.example").num_failures, 1);
    CHECK_SLICE(side_view(side, "a.example").problem_class, "local");
    CHECK_INT(side->served->pending.num, 0);
    kw_cleanup(&world);
}

static void fifty_names_at_once(void)
{
    enum { NUM = 50 };
    struct kw world;
    char domains[4096] = "", name[32];
    kw_init(&world);
    world.ca.bad_nonce_percent = 5;
    world.ca.validation_polls = 2;
    for (int i = 0; i < NUM; i++)
        snprintf(domains + strlen(domains), 32, "%sn%d.example", i ? "," : "", i);
    struct side *side = kw_start_domains(&world, domains);
    kw_pass(&world, 30 * minute_ms);
    CHECK_INT(world.ca.num_certificates, NUM);
    CHECK_INT(world.ca.num_orders, NUM);
    CHECK_INT(world.ca.num_accounts, 1);
    CHECK_STR(world.ca.fault, "");
    for (int i = 0; i < NUM; i++) {
        snprintf(name, sizeof name, "n%d.example", i);
        CHECK(serves(side, name, CERT_ISSUED));
    }
    CHECK_INT(kw_logged(&world, "\"certificate_published\"", NULL), NUM);
    kw_cleanup(&world);
}

/* ---- renewal ---- */

static void renewed_by_its_own_dates(void)
{
    struct kw world;
    char serial[64];
    kw_init(&world);
    world.ca.lifetime_s = 90L * 24 * 3600;
    struct side *side = kw_start_domains(&world, "a.example");
    kw_pass(&world, minute_ms);
    snprintf(serial, sizeof serial, "%s", side_serves(side, "a.example")->serial);
    kw_pass(&world, 58 * day_ms); /* 2/3 is 60 days, the jitter 1.8 */
    CHECK_INT(world.ca.num_certificates, 1);
    kw_pass(&world, 4 * day_ms);
    CHECK_INT(world.ca.num_certificates, 2);
    CHECK(serves(side, "a.example", CERT_ISSUED));
    CHECK(strcmp(side_serves(side, "a.example")->serial, serial) != 0);
    struct arena arena = {0};
    struct cert_record record;
    CHECK(!err_is(cert_record_read(&arena, memory_store_value(&world.disk.memory, "certificate/a.example"), &record)));
    CHECK_INT(record.generation, 2);
    CHECK_SLICE(record.replaces, serial);
    arena_cleanup(&arena);
    kw_pass(&world, 400 * day_ms);
    CHECK_INT(world.ca.num_certificates, 8); /* every 60 days, for 462 days */
    CHECK_STR(world.ca.fault, "");
    kw_cleanup(&world);
}

static void the_chosen_instant_survives_a_restart(void)
{
    struct kw world;
    kw_init(&world);
    struct side *side = kw_start_domains(&world, "a.example");
    kw_pass(&world, minute_ms);
    int64_t due_ms = side_view(side, "a.example").next_attempt_ms;
    for (int i = 0; i < 5; i++) {
        kw_stop(side);
        kw_pass(&world, hour_ms);
        side = kw_start_domains(&world, "a.example");
        kw_rest(&world);
        CHECK_INT(side_view(side, "a.example").next_attempt_ms, due_ms);
        CHECK(serves(side, "a.example", CERT_ISSUED));
    }
    CHECK_INT(world.ca.num_certificates, 1);
    CHECK_INT(kw_logged(&world, "\"certificate_loaded\"", "a.example"), 5);
    kw_stop(side);
    const char *entries[] = {"PORTICO_DOMAINS=a.example", "PORTICO_ACME_RENEW_AT=50%", NULL};
    side = kw_start(&world, entries);
    kw_rest(&world);
    CHECK(side_view(side, "a.example").next_attempt_ms < due_ms); /* but not a change of what it was chosen by */
    kw_cleanup(&world);
}

static void a_failed_renewal_drops_nothing(void)
{
    struct kw world;
    kw_init(&world);
    world.ca.lifetime_s = 90L * 24 * 3600;
    struct side *side = kw_start_domains(&world, "a.example");
    kw_pass(&world, minute_ms);
    char *serial = mem_strdup(side_serves(side, "a.example")->serial);
    orders_fail(&world, 500, "serverInternal");
    kw_pass(&world, 80 * day_ms);
    CHECK_STR(side_serves(side, "a.example")->serial, serial);
    CHECK(kw_logged(&world, "\"order_failed\"", "\"level\":\"warn\"") > 5);
    CHECK_INT(kw_logged(&world, "\"order_failed\"", "\"level\":\"error\""), 0);
    kw_pass(&world, 30 * day_ms); /* even expired, it is better than a placeholder */
    CHECK_STR(side_serves(side, "a.example")->serial, serial);
    CHECK(kw_logged(&world, "\"order_failed\"", "\"level\":\"error\"") > 5);
    world.ca.num_scripts = 0;
    kw_pass(&world, 2 * day_ms);
    CHECK(strcmp(side_serves(side, "a.example")->serial, serial) != 0);
    CHECK_INT(side_view(side, "a.example").num_failures, 0);
    CHECK_SLICE(side_view(side, "a.example").problem_sentence, "");
    mem_free(serial);
    kw_cleanup(&world);
}

static void a_certificate_for_another_key_is_refused(void)
{
    struct kw world;
    kw_init(&world);
    world.ca.lifetime_s = 90L * 24 * 3600;
    struct side *side = kw_start_domains(&world, "a.example");
    kw_pass(&world, minute_ms);
    char *serial = mem_strdup(side_serves(side, "a.example")->serial);
    CHECK(!err_is(key_generate(KEY_P256, &world.ca.stolen_key)));
    kw_pass(&world, 65 * day_ms);
    CHECK_STR(side_serves(side, "a.example")->serial, serial);
    CHECK(kw_logged(&world, "\"order_failed\"", "\"class\":\"local\"") > 0);
    key_free(world.ca.stolen_key);
    mem_free(serial);
    kw_cleanup(&world);
}

static void another_directory_replaces_at_once(void)
{
    struct kw world;
    kw_init(&world);
    struct side *side = kw_start_domains(&world, "a.example");
    kw_pass(&world, minute_ms);
    char *serial = mem_strdup(side_serves(side, "a.example")->serial);
    kw_stop(side);
    struct slice value = memory_store_value(&world.disk.memory, "certificate/a.example");
    char *text = mem_dup(value.ptr, value.len), *at = strstr(text, "https://ca.test/dir");
    at[strlen("https://ca.test/")] = 'x';
    memory_store_put(&world.disk.memory, SLICE_LIT("certificate/a.example"), slice_str(text));
    mem_free(text);
    scripted_ca_script(&world.ca, CA_DIRECTORY)->times = 1;
    world.ca.scripts[0].status = 503;
    side = kw_start_domains(&world, "a.example");
    kw_rest(&world);
    CHECK_STR(side_serves(side, "a.example")->serial, serial); /* served, while the other cannot be had */
    kw_pass(&world, 2 * minute_ms);
    CHECK(strcmp(side_serves(side, "a.example")->serial, serial) != 0);
    CHECK_INT(world.ca.num_certificates, 2);
    mem_free(serial);
    kw_cleanup(&world);
}

/* ---- time ---- */

static void a_clock_that_jumps_makes_no_storm(void)
{
    struct kw world;
    kw_init(&world);
    world.ca.lifetime_s = 90L * 24 * 3600;
    struct side *side = kw_start_domains(&world, "a.example,b.example");
    kw_pass(&world, minute_ms);
    world.wall_ms -= 365 * day_ms;
    kw_pass(&world, 2 * day_ms);
    CHECK_INT(world.ca.num_certificates, 2);
    CHECK_INT(kw_logged(&world, "\"clock_set\"", NULL), 1);
    world.wall_ms += 365 * day_ms + 70 * day_ms; /* ahead of the CA's, which goes on dating by the true time */
    world.ca.backdate_s = 72L * 24 * 3600;
    kw_pass(&world, 8 * day_ms);
    CHECK_INT(world.ca.num_certificates, 4); /* each once, though the new ones look as old as the old ones */
    CHECK(serves(side, "a.example", CERT_ISSUED));
    kw_cleanup(&world);
}

static void tickets_are_rotated(void)
{
    struct kw world;
    kw_init(&world);
    const char *entries[] = {"PORTICO_DOMAINS=a.example", "PORTICO_TLS_TICKET_ROTATE=1h", NULL};
    struct side *side = kw_start(&world, entries);
    kw_rest(&world);
    struct ticket_key first = side->served->tickets.keys[0];
    CHECK_INT(side->served->tickets.num, 1);
    kw_pass(&world, hour_ms + minute_ms);
    CHECK_INT(side->served->tickets.num, 2);
    CHECK(memcmp(&side->served->tickets.keys[1], &first, sizeof first) == 0);
    kw_pass(&world, 5 * hour_ms);
    CHECK_INT(side->served->tickets.num, NUM_TICKET_KEYS);
    kw_stop(side);
    const char *without[] = {"PORTICO_DOMAINS=a.example", "PORTICO_TLS_TICKET_ROTATE=0", NULL};
    side = kw_start(&world, without);
    kw_pass(&world, hour_ms);
    CHECK_INT(side->served->tickets.num, 0);
    kw_cleanup(&world);
}

/* ---- failure ---- */

static void back_off_grows_and_survives_a_restart(void)
{
    struct kw world;
    kw_init(&world);
    orders_fail(&world, 429, "rateLimited"); /* which the engine itself does not try again */
    struct side *side = kw_start_domains(&world, "a.example");
    kw_rest(&world);
    CHECK_INT(world.ca.num_at[CA_NEW_ORDER], 1);
    kw_pass(&world, 2 * minute_ms);
    CHECK_INT(world.ca.num_at[CA_NEW_ORDER], 2);
    struct keeper_name_view view = side_view(side, "a.example");
    int64_t next_ms = view.next_attempt_ms;
    CHECK(next_ms - world.wall_ms > 7 * minute_ms && next_ms - world.wall_ms < 11 * minute_ms);
    kw_stop(side);
    side = kw_start_domains(&world, "a.example");
    kw_rest(&world);
    view = side_view(side, "a.example");
    CHECK_INT(view.next_attempt_ms, next_ms);
    CHECK_INT(view.num_failures, 2);
    CHECK_SLICE(view.problem_type, "rateLimited");
    CHECK_SLICE(view.problem_detail, "not now");
    CHECK_SLICE(view.problem_class, "later");
    CHECK_INT(world.ca.num_at[CA_NEW_ORDER], 2);
    kw_pass(&world, 11 * minute_ms);
    CHECK_INT(world.ca.num_at[CA_NEW_ORDER], 3);
    kw_pass(&world, 60 * minute_ms);
    CHECK_INT(world.ca.num_at[CA_NEW_ORDER], 3);
    world.ca.num_scripts = 0;
    kw_pass(&world, 60 * minute_ms);
    CHECK(serves(side, "a.example", CERT_ISSUED));
    CHECK_INT(side_view(side, "a.example").num_failures, 0);
    CHECK_INT(kw_logged(&world, "\"order_failed\"", "\"next_attempt_s\":"), 3);
    kw_cleanup(&world);
}

static void the_limit_of_one_name_delays_no_other(void)
{
    struct kw world;
    kw_init(&world);
    struct ca_script *script = orders_fail(&world, 429, "rateLimited");
    script->times = 1;
    script->retry_after = "7200";
    struct side *side = kw_start_domains(&world, "a.example,b.example");
    kw_pass(&world, 90 * minute_ms);
    CHECK_INT(world.ca.num_certificates, 1);
    CHECK_INT(serves(side, "a.example", CERT_ISSUED) + serves(side, "b.example", CERT_ISSUED), 1);
    kw_pass(&world, 40 * minute_ms);
    CHECK_INT(world.ca.num_certificates, 2);
    kw_cleanup(&world);
}

static void another_directory_starts_afresh(void)
{
    struct kw world;
    kw_init(&world);
    orders_fail(&world, 403, "rejectedIdentifier");
    struct side *side = kw_start_domains(&world, "a.example");
    kw_rest(&world);
    CHECK_SLICE(side_view(side, "a.example").problem_class, "permanent");
    kw_stop(side);
    struct slice value = memory_store_value(&world.disk.memory, "state/a.example");
    char *text = mem_dup(value.ptr, value.len), *at = strstr(text, "ca.test/dir");
    at[strlen("ca.test/")] = 'x';
    memory_store_put(&world.disk.memory, SLICE_LIT("state/a.example"), slice_str(text));
    mem_free(text);
    world.ca.num_scripts = 0;
    side = kw_start_domains(&world, "a.example");
    kw_pass(&world, minute_ms);
    CHECK(serves(side, "a.example", CERT_ISSUED));
    kw_cleanup(&world);
}

/* A process dies at every event of an order: the next goes on from there. */
static void an_order_is_resumed(void)
{
    for (int events = 0; events < 60; events++) {
        struct kw world;
        kw_init(&world);
        world.ca.validation_polls = 1;
        struct side *side = kw_start_domains(&world, "a.example");
        for (int i = 0; i < events; i++)
            if (uv_run(&world.uv, UV_RUN_NOWAIT), !memory_store_answer(&world.disk.memory))
                if (!scripted_ca_answer(&world.ca))
                    break;
        kw_stop(side);
        side = kw_start_domains(&world, "a.example");
        kw_pass(&world, 30 * minute_ms);
        CHECK(serves(side, "a.example", CERT_ISSUED));
        CHECK_INT(world.ca.num_certificates, 1);
        CHECK_INT(world.ca.num_accounts, 1);
        CHECK_STR(world.ca.fault, "");
        kw_cleanup(&world);
    }
}

int main(void)
{
    RUN(the_first_certificate);
    RUN(placeholder_until_then);
    RUN(nothing_is_challenged_before_every_worker_answers);
    RUN(a_worker_that_never_answers_fails_the_order);
    RUN(fifty_names_at_once);
    RUN(renewed_by_its_own_dates);
    RUN(the_chosen_instant_survives_a_restart);
    RUN(a_failed_renewal_drops_nothing);
    RUN(a_certificate_for_another_key_is_refused);
    RUN(another_directory_replaces_at_once);
    RUN(a_clock_that_jumps_makes_no_storm);
    RUN(tickets_are_rotated);
    RUN(back_off_grows_and_survives_a_restart);
    RUN(the_limit_of_one_name_delays_no_other);
    RUN(another_directory_starts_afresh);
    RUN(an_order_is_resumed);
    return checks_done();
}
