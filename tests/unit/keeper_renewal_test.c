/* The keeper's schedule: windows that the CA suggests, predecessors, the ledger, a clock that is wrong. */
#include "check.h"
#include "keeper_world.h"

static const int64_t minute_ms = INT64_C(60000), hour_ms = INT64_C(3600000), day_ms = INT64_C(86400000);
static const char the_name[] = "a.example.com";

static struct kw world;

static struct side *start_with_ari(void)
{
    kw_init(&world);
    world.ca.has_renewal_info = true;
    struct side *side = kw_start_domains(&world, the_name);
    kw_pass(&world, minute_ms);
    CHECK_INT(world.ca.num_certificates, 1);
    return side;
}

static void end(void)
{
    CHECK_STR(world.ca.fault, "");
    CHECK_STR(world.behind.fault, "");
    kw_cleanup(&world);
}

static const char *last_replaces(const struct scripted_ca *ca)
{
    return ca->num_orders ? ca->orders[ca->num_orders - 1].replaces : NULL;
}

/* ---- windows ---- */

/* ACME-95: at once when there is a certificate, and as often as the CA says. */
static void asked_at_once_and_again(void)
{
    struct side *side = start_with_ari();
    CHECK_INT(world.ca.num_at[CA_RENEWAL_INFO], 1);
    struct keeper_name_view view = side_view(side, the_name);
    CHECK_INT(view.window.end_ms - view.window.start_ms, 2 * 90 * day_ms / 100);
    CHECK(view.window.chosen_ms >= view.window.start_ms && view.window.chosen_ms < view.window.end_ms);
    CHECK_INT(view.renew_at_ms, view.window.chosen_ms);
    CHECK_INT(view.next_attempt_ms, view.window.chosen_ms);
    CHECK_STR(view.window.reason, "window");
    CHECK_STR(view.window.last_order, "none");
    CHECK_INT(kw_logged(&world, "\"renewal_window\"", the_name), 1);
    kw_pass(&world, 6 * hour_ms + minute_ms);
    CHECK_INT(world.ca.num_at[CA_RENEWAL_INFO], 2);
    kw_pass(&world, day_ms);
    CHECK_INT(world.ca.num_at[CA_RENEWAL_INFO], 6);
    CHECK_INT(kw_logged(&world, "\"renewal_window\"", the_name), 1); /* nothing new */
    CHECK_INT(side_view(side, the_name).window.chosen_ms, view.window.chosen_ms);
    end();
}

/* ACME-92, ACME-98, ACME-102: woken at the chosen instant, to the second, and with its predecessor. */
static void renewed_at_the_chosen_instant(void)
{
    static const int64_t lifetimes_h[] = {24, 160, 45 * 24, 64 * 24, 90 * 24};
    for (size_t i = 0; i < sizeof lifetimes_h / sizeof *lifetimes_h; i++) {
        kw_init(&world);
        world.ca.has_renewal_info = true;
        world.ca.backdate_s = 0;
        world.ca.lifetime_s = lifetimes_h[i] * 3600;
        struct side *side = kw_start_domains(&world, the_name);
        kw_pass(&world, minute_ms);
        int64_t chosen_ms = side_view(side, the_name).window.chosen_ms;
        kw_pass(&world, chosen_ms - world.wall_ms - 1000);
        CHECK_INT(world.ca.num_orders, 1);
        kw_pass(&world, 1000);
        CHECK_INT(world.ca.num_orders, 2);
        CHECK(last_replaces(&world.ca) != NULL);
        CHECK_INT(kw_logged(&world, "\"order_started\"", "\"window\":\"met\""), 1);
        kw_pass(&world, minute_ms);
        CHECK_INT(world.ca.num_certificates, 2);
        CHECK_STR(side_view(side, the_name).window.last_order, "met");
        CHECK(side_view(side, the_name).window.start_ms > chosen_ms); /* that of the new one, asked for at once */
        end();
    }
}

/* ACME-100: a restart keeps window, instant and the next question. */
static void remembered_over_a_restart(void)
{
    struct side *side = start_with_ari();
    int64_t chosen_ms = side_view(side, the_name).window.chosen_ms;
    kw_pass(&world, hour_ms);
    kw_stop(side);
    side = kw_start_domains(&world, the_name);
    kw_pass(&world, hour_ms);
    CHECK_INT(side_view(side, the_name).window.chosen_ms, chosen_ms);
    CHECK_INT(world.ca.num_at[CA_RENEWAL_INFO], 1);
    kw_pass(&world, 5 * hour_ms);
    CHECK_INT(world.ca.num_at[CA_RENEWAL_INFO], 2);
    end();
}

/* ACME-93, ACME-97: the CA wants it back. */
static void a_window_that_moves_to_now(void)
{
    struct side *side = start_with_ari();
    kw_pass(&world, 10 * day_ms);
    world.ca.ari_start_ms = world.wall_ms - 2 * day_ms;
    world.ca.ari_end_ms = world.wall_ms - day_ms;
    world.ca.ari_explanation = "https://ca.test/incident";
    kw_pass(&world, 7 * hour_ms);
    CHECK_INT(world.ca.num_certificates, 2);
    CHECK_INT(kw_logged(&world, "\"renewal_window\"", "https://ca.test/incident"), 2); /* and of the new one */
    CHECK_INT(kw_logged(&world, "\"order_started\"", "\"window\":\"missed\""), 1);
    CHECK_SLICE(side_view(side, the_name).window.explanation, "https://ca.test/incident");
    CHECK_STR(side_view(side, the_name).window.last_order, "missed");
    end();
}

/* ACME-93: a CA whose windows are always past is obeyed once, and then known for what it is. */
static void a_ca_that_always_wants_it_back(void)
{
    kw_init(&world);
    world.ca.has_renewal_info = true;
    world.ca.ari_start_ms = world.wall_ms - 2 * day_ms;
    world.ca.ari_end_ms = world.wall_ms - day_ms;
    struct side *side = kw_start_domains(&world, the_name);
    kw_pass(&world, 7 * hour_ms);
    CHECK_INT(world.ca.num_orders, 2);
    CHECK_INT(kw_logged(&world, "\"renewal_window_ignored\"", the_name), 1);
    CHECK_STR(side_view(side, the_name).window.reason, "schedule");
    kw_stop(side);
    side = kw_start_domains(&world, the_name); /* remembered */
    world.ca.ari_end_ms += hour_ms;
    kw_pass(&world, 2 * day_ms);
    CHECK_INT(world.ca.num_orders, 2);
    CHECK_INT(kw_logged(&world, "\"renewal_window_ignored\"", the_name), 1); /* once for it */
    kw_pass(&world, 65 * day_ms);
    CHECK_INT(world.ca.num_orders, 3); /* by its age */
    CHECK_INT(kw_logged(&world, "\"renewal_window_ignored\"", the_name), 2);
    kw_pass(&world, 2 * day_ms);
    CHECK_INT(world.ca.num_orders, 3);
    world.ca.ari_end_ms = 0; /* it has come to its senses, and is heard again */
    kw_pass(&world, day_ms);
    CHECK_STR(side_view(side, the_name).window.reason, "window");
    end();
}

/* ACME-101 */
static void a_window_beyond_the_floor(void)
{
    kw_init(&world);
    world.ca.has_renewal_info = true;
    world.ca.backdate_s = 0;
    world.ca.ari_start_ms = world.wall_ms + 85 * day_ms;
    world.ca.ari_end_ms = world.wall_ms + 200 * day_ms;
    struct side *side = kw_start_domains(&world, the_name);
    kw_pass(&world, 67 * day_ms);
    CHECK_INT(world.ca.num_orders, 1);
    CHECK_STR(side_view(side, the_name).window.reason, "floor");
    kw_pass(&world, day_ms);
    CHECK_INT(world.ca.num_orders, 2);
    CHECK_INT(kw_logged(&world, "\"order_started\"", "\"window\":\"missed\""), 1);
    end();
}

/* ACME-91, ACME-98: no question, no predecessor, and two thirds of the lifetime. */
static void without_ari(void)
{
    kw_init(&world);
    kw_start_domains(&world, the_name);
    kw_pass(&world, 50 * day_ms);
    CHECK_INT(world.ca.num_at[CA_RENEWAL_INFO], 0);
    CHECK_INT(world.ca.num_orders, 1);
    kw_pass(&world, 20 * day_ms);
    CHECK_INT(world.ca.num_orders, 2);
    CHECK(!last_replaces(&world.ca));
    CHECK_INT(kw_logged(&world, "\"order_started\"", "\"window\":\"none\""), 2);
    end();
}

/* ACME-95, ACME-97: what is known goes on to count, and the CA is asked ever more slowly. */
static void questions_that_fail(void)
{
    struct side *side = start_with_ari();
    int64_t chosen_ms = side_view(side, the_name).window.chosen_ms;
    scripted_ca_script(&world.ca, CA_RENEWAL_INFO)->status = 500;
    kw_pass(&world, 2 * day_ms);
    unsigned num = world.ca.num_at[CA_RENEWAL_INFO];
    CHECK(num > 10 && num < 20);
    CHECK_INT(side_view(side, the_name).window.chosen_ms, chosen_ms);
    CHECK_INT(kw_logged(&world, "\"renewal_window_unknown\"", "\"warn\""), 1);
    kw_pass(&world, 10 * day_ms);
    num = world.ca.num_at[CA_RENEWAL_INFO] - num;
    CHECK(num >= 36 && num <= 46);
    kw_pass(&world, chosen_ms - world.wall_ms + hour_ms);
    CHECK_INT(world.ca.num_certificates, 2);
    CHECK_INT(kw_logged(&world, "\"order_started\"", "\"window\":\"met\""), 1);
    end();
}

static void a_long_retry_after_of_a_failure(void)
{
    start_with_ari();
    struct ca_script *script = scripted_ca_script(&world.ca, CA_RENEWAL_INFO);
    script->status = 503;
    script->retry_after = "36000";
    kw_pass(&world, 6 * hour_ms + minute_ms);
    unsigned num = world.ca.num_at[CA_RENEWAL_INFO];
    kw_pass(&world, 9 * hour_ms);
    CHECK_INT(world.ca.num_at[CA_RENEWAL_INFO], num);
    kw_pass(&world, 2 * hour_ms);
    CHECK_INT(world.ca.num_at[CA_RENEWAL_INFO], num + 1);
    end();
}

/* A CA that has it no more: by the schedule again. */
static void renewal_info_goes_away(void)
{
    struct side *side = start_with_ari();
    world.ca.has_renewal_info = false;
    scripted_ca_script(&world.ca, CA_RENEWAL_INFO)->status = 404; /* until the directory is read again */
    kw_pass(&world, 2 * day_ms);
    CHECK_INT(side_view(side, the_name).window.end_ms, 0);
    CHECK(side_view(side, the_name).renew_at_ms > world.wall_ms + 50 * day_ms);
    end();
}

/* ACME-96: nobody asks for what has expired (the CA would complain), nor for what is being replaced. */
static void an_expired_certificate(void)
{
    kw_init(&world);
    world.ca.has_renewal_info = true;
    world.ca.lifetime_s = 86400;
    struct side *side = kw_start_domains(&world, the_name);
    kw_pass(&world, minute_ms);
    scripted_ca_script(&world.ca, CA_NEW_ORDER)->status = 500;
    kw_pass(&world, 3 * day_ms);
    CHECK(side_serves(side, the_name)->not_after_s * 1000 < world.wall_ms ||
          side_serves(side, the_name)->source == CERT_PLACEHOLDER);
    unsigned num = world.ca.num_at[CA_RENEWAL_INFO];
    kw_pass(&world, day_ms);
    CHECK_INT(world.ca.num_at[CA_RENEWAL_INFO], num);
    end();
}

/* Many names at once: no more than a few questions at a time, and each gets its answer. */
static void many_names(void)
{
    enum { NUM = 40 };
    char domains[2048] = "", name[32];
    kw_init(&world);
    world.ca.has_renewal_info = true;
    for (int i = 0; i < NUM; i++)
        snprintf(domains + strlen(domains), 32, "%sn%d.example.com", i ? "," : "", i);
    struct side *side = kw_start_domains(&world, domains);
    kw_pass(&world, 10 * minute_ms);
    CHECK_INT(world.ca.num_certificates, NUM);
    CHECK_INT(world.ca.num_at[CA_RENEWAL_INFO], NUM);
    for (int i = 0; i < NUM; i++) {
        snprintf(name, sizeof name, "n%d.example.com", i);
        CHECK(side_view(side, name).window.end_ms > 0);
    }
    kw_stop(side); /* all are due again */
    kw_pass(&world, 7 * hour_ms);
    world.ca.max_pending = 0;
    side = kw_start_domains(&world, domains);
    kw_pass(&world, minute_ms);
    CHECK_INT(world.ca.num_at[CA_RENEWAL_INFO], 2 * NUM);
    CHECK(world.ca.max_pending <= KEEPER_ARI_RUNNING);
    end();
}

/* Those that cannot be asked about take no other's turn away. */
static void names_without_a_question(void)
{
    enum { NUM = 24 };
    char domains[2048] = "", name[32];
    kw_init(&world);
    world.ca.has_renewal_info = true;
    world.ca.no_key_id = "x";
    for (int i = 0; i < NUM; i++)
        snprintf(domains + strlen(domains), sizeof domains - strlen(domains), "%sx%d.example.com,n%d.example.com",
                 i ? "," : "", i, i);
    struct side *side = kw_start_domains(&world, domains);
    kw_pass(&world, 10 * minute_ms);
    CHECK_INT(world.ca.num_certificates, 2 * NUM);
    CHECK_INT(world.ca.num_at[CA_RENEWAL_INFO], NUM);
    kw_stop(side);
    kw_pass(&world, 25 * hour_ms);
    side = kw_start_domains(&world, domains); /* all are due at once */
    kw_pass(&world, minute_ms);
    CHECK_INT(world.ca.num_at[CA_RENEWAL_INFO], 2 * NUM);
    for (int i = 0; i < NUM; i++) {
        snprintf(name, sizeof name, "n%d.example.com", i);
        CHECK(side_view(side, name).window.end_ms > 0);
    }
    end();
}

/* A name that leaves while it is being asked for, or waits to be. */
static void names_that_leave(void)
{
    char domains[1024] = "keep.example.com";
    kw_init(&world);
    world.ca.has_renewal_info = true;
    for (int i = 0; i < 20; i++)
        snprintf(domains + strlen(domains), 32, ",n%d.example.com", i);
    struct side *side = kw_start_domains(&world, domains);
    kw_pass(&world, 10 * minute_ms);
    for (int turns = 0; turns < 6; turns++) {
        kw_pass(&world, 7 * hour_ms - minute_ms);
        world.mono_ms += minute_ms;
        world.wall_ms += minute_ms;
        keeper_look_now(side->keeper);
        for (int i = 0; i < turns; i++)
            uv_run(&world.uv, UV_RUN_NOWAIT);
        CHECK(kw_reload_domains(side, turns % 2 ? domains : "keep.example.com"));
        kw_pass(&world, minute_ms);
    }
    CHECK(side_view(side, "keep.example.com").window.end_ms > 0);
    end();
}

/* A standby neither asks nor writes. */
static void a_standby_does_not_ask(void)
{
    struct side *first = start_with_ari();
    struct side *second = kw_start_domains(&world, the_name);
    kw_pass(&world, 5 * hour_ms);
    CHECK_INT(world.ca.num_at[CA_RENEWAL_INFO], 1);
    kw_stop(first);
    kw_pass(&world, 2 * hour_ms);
    CHECK_INT(world.ca.num_at[CA_RENEWAL_INFO], 2);
    CHECK(side_view(second, the_name).window.end_ms > 0);
    end();
}

/* ACME-99 */
static void a_predecessor_that_the_ca_refuses(void)
{
    struct side *side = start_with_ari();
    world.ca.replaces_status = 409;
    world.ca.replaces_problem = "alreadyReplaced";
    kw_pass(&world, side_view(side, the_name).renew_at_ms - world.wall_ms + minute_ms);
    CHECK_INT(world.ca.num_certificates, 2);
    CHECK(!last_replaces(&world.ca));
    CHECK_INT(side_view(side, the_name).num_failures, 0);
    end();
}

/* ---- the ledger: world.behind has Let's Encrypt's addresses ---- */

static const char *const production[] = {"PORTICO_DOMAINS=a.example.com,b.example.com",
                                         "PORTICO_ACME_DIRECTORY=letsencrypt", NULL};

static struct side *start_many(const char *format, int num, const char *extra)
{
    static char domains[16384];
    snprintf(domains, sizeof domains, "PORTICO_DOMAINS=");
    for (int i = 0; i < num; i++) {
        size_t len = strlen(domains);
        domains[len] = ',';
        snprintf(domains + len + (i > 0), sizeof domains - len - 1, format, i);
    }
    const char *entries[] = {domains, "PORTICO_ACME_DIRECTORY=letsencrypt", extra, NULL};
    return kw_start(&world, entries);
}

/* ACME-105: sixty names below one domain; the CA refuses nothing, because nothing too much is asked of it. */
static void new_names_are_paced(void)
{
    kw_init(&world);
    struct side *side = start_many("n%d.example.com", 60, NULL);
    kw_pass(&world, hour_ms);
    CHECK_INT(world.behind.num_certificates, 50);
    CHECK(kw_logged(&world, "\"order_paced\"", "\"example.com\"") == 10);
    CHECK_INT(kw_logged(&world, "\"order_failed\"", NULL), 0);
    CHECK_STR(side_view(side, "n59.example.com").paced_by, "certificates for the registered domain");
    CHECK(side_view(side, "n59.example.com").next_attempt_ms > world.wall_ms);
    CHECK_INT(side_view(side, "n59.example.com").why, KEEPER_WHY_LIMIT);
    kw_stop(side); /* also over a restart */
    side = start_many("n%d.example.com", 60, NULL);
    kw_pass(&world, 2 * hour_ms);
    CHECK_INT(world.behind.num_certificates, 50);
    kw_pass(&world, 2 * hour_ms);
    CHECK_INT(world.behind.num_certificates, 51);
    kw_pass(&world, 32 * hour_ms);
    CHECK_INT(world.behind.num_certificates, 60);
    CHECK(!side_view(side, "n59.example.com").paced_by);
    end();
}

/* Fifty are under way and are refused: those behind them have their place, and need not wait for a refill. */
static void orders_that_fail_leave_their_place(void)
{
    kw_init(&world);
    *scripted_ca_script(&world.behind, CA_NEW_ORDER) = (struct ca_script){
        .place = CA_NEW_ORDER, .times = 50, .status = 400, .type = "rejectedIdentifier", .body = "no"};
    start_many("n%d.example.com", 60, NULL);
    kw_pass(&world, 20 * minute_ms);
    CHECK_INT(world.behind.num_certificates, 10);
    end();
}

/* ACME-104: the first 300 at once, then one each 36 seconds. */
static void a_first_start_with_many_domains(void)
{
    kw_init(&world);
    world.behind.authz_reused = true;
    start_many("n%d.com", 320, NULL);
    kw_pass(&world, 5 * minute_ms);
    CHECK(world.behind.num_certificates >= 300 && world.behind.num_certificates <= 309);
    kw_pass(&world, 8 * minute_ms);
    CHECK_INT(world.behind.num_certificates, 320);
    CHECK_INT(kw_logged(&world, "\"order_failed\"", NULL), 0);
    end();
}

static void the_ledger_may_be_off(void)
{
    kw_init(&world);
    start_many("n%d.example.com", 60, "PORTICO_ACME_LEDGER=off");
    kw_pass(&world, hour_ms);
    CHECK_INT(world.behind.num_certificates, 60);
    CHECK(!memory_store_value(&world.disk.memory, "ledger/").ptr);
    for (size_t i = 0; i < world.disk.memory.num_records; i++)
        CHECK(strncmp(world.disk.memory.records[i].key, "ledger/", 7) != 0);
    end();
}

/* ACME-112: what the CA knows better is learnt, said, and minded for the others of the domain. */
static void another_client_uses_the_domain(void)
{
    kw_init(&world);
    struct ca_script *script = scripted_ca_script(&world.behind, CA_NEW_ORDER);
    script->status = 429;
    script->type = "rateLimited";
    script->body = "too many certificates (50) already issued for \"example.com\" in the last 168h0m0s";
    script->retry_after = "7200";
    script->times = 1;
    const char *const one[] = {"PORTICO_DOMAINS=a.example.com", "PORTICO_ACME_DIRECTORY=letsencrypt", NULL};
    struct side *side = kw_start(&world, one);
    kw_pass(&world, minute_ms);
    CHECK_INT(kw_logged(&world, "\"limit_unpredicted\"", "\"example.com\""), 1);
    CHECK(kw_reload(side, production));
    kw_pass(&world, hour_ms);
    CHECK_INT(world.behind.num_orders, 0);
    CHECK_STR(side_view(side, "b.example.com").paced_by, "certificates for the registered domain");
    kw_pass(&world, 2 * hour_ms);
    CHECK(world.behind.num_certificates >= 1);
    end();
}

/* ACME-111: a renewal waits for nobody's new names. */
static void renewals_are_not_paced(void)
{
    kw_init(&world);
    world.behind.has_renewal_info = true;
    struct side *side = start_many("n%d.example.com", 50, NULL);
    kw_pass(&world, 70 * day_ms);
    CHECK_INT(world.behind.num_certificates, 100);
    CHECK_INT(kw_logged(&world, "\"order_paced\"", NULL), 0);
    CHECK_INT(kw_logged(&world, "\"order_started\"", "\"window\":\"met\""), 50);
    CHECK_STR(side_view(side, "n7.example.com").window.last_order, "met");
    end();
}

/* ---- clocks ---- */

static void a_slow_clock(void)
{
    kw_init(&world);
    world.ca.date = "Fri, 15 Jan 2027 12:00:00 GMT"; /* four hours ahead of us */
    world.ca.backdate_s = -4 * 3600;
    struct side *side = kw_start_domains(&world, the_name);
    kw_pass(&world, minute_ms / 2);
    CHECK_INT(kw_logged(&world, "\"clock_skewed\"", "\"ahead_s\":-14"), 1);
    CHECK_INT(kw_logged(&world, "\"clock_wrong\"", "the clock is probably slow"), 1);
    CHECK_SLICE(side_view(side, the_name).problem_class, "local");
    CHECK_INT(world.ca.num_certificates, 1);
    world.wall_ms += 4 * hour_ms; /* somebody sets it */
    kw_pass(&world, 10 * minute_ms);
    CHECK(side_serves(side, the_name)->source == CERT_ISSUED);
    CHECK_INT(world.ca.num_certificates, 1); /* the same one */
    end();
}

int main(void)
{
    RUN(asked_at_once_and_again);
    RUN(renewed_at_the_chosen_instant);
    RUN(remembered_over_a_restart);
    RUN(a_window_that_moves_to_now);
    RUN(a_ca_that_always_wants_it_back);
    RUN(a_window_beyond_the_floor);
    RUN(without_ari);
    RUN(questions_that_fail);
    RUN(a_long_retry_after_of_a_failure);
    RUN(renewal_info_goes_away);
    RUN(an_expired_certificate);
    RUN(many_names);
    RUN(names_without_a_question);
    RUN(names_that_leave);
    RUN(a_standby_does_not_ask);
    RUN(a_predecessor_that_the_ca_refuses);
    RUN(new_names_are_paced);
    RUN(orders_that_fail_leave_their_place);
    RUN(a_first_start_with_many_domains);
    RUN(the_ledger_may_be_off);
    RUN(another_client_uses_the_domain);
    RUN(renewals_are_not_paced);
    RUN(a_slow_clock);
    return checks_done();
}
