/* The engine against a scripted CA, under a clock that jumps: each promise of acme/acme.h, each failure of HARDENING's
 * table A that is the engine's. The CA verifies every signature and notes each broken rule. */
#include "acme/chain.h"
#include "engine_test.h"

static void test_one_certificate(void)
{
    begin();
    const struct world_order *order = world_order(&world, "a.example", NULL);
    CHECK(acme_thumbprint(world.acme).ptr == NULL);
    world_run(&world, EVENTS);
    check_issued(order);
    CHECK(stored("certificate/a.example"));
    CHECK(!stored("order/a.example"));
    CHECK_INT(world.ca.num_certificates, 1);
    CHECK_INT(world.ca.num_accounts, 1);
    CHECK_INT(world.num_published, 1);
    CHECK_INT(world.num_announced, 1);
    CHECK_SLICE(acme_thumbprint(world.acme), world.thumbprint);
    CHECK_SLICE(acme_account_url(world.acme), "https://ca.test/account/0");
    CHECK_INT(world.ca.num_at[CA_NEW_NONCE], 1); /* every answer brings the next one (ACME-19) */
    end();
}

static void test_thumbprint_without_orders(void)
{
    begin();
    world_order(&world, "a.example", NULL);
    world_run(&world, EVENTS);
    char before[64];
    snprintf(before, sizeof before, "%s", world.thumbprint);
    unsigned num_requests = world.ca.num_requests;
    world_kill_engine(&world);
    world_start_engine(&world);
    world_run(&world, EVENTS);
    CHECK_INT(world.num_announced, 2);
    CHECK_STR(world.thumbprint, before);
    CHECK_INT(world.ca.num_requests, num_requests); /* nothing is asked before somebody orders */
    world_order_again(&world.orders[0]);
    world_run(&world, EVENTS);
    CHECK_INT(world.ca.num_at[CA_NEW_ACCOUNT], 2); /* the look-up and newAccount of the first time */
    CHECK_INT(world.ca.num_certificates, 2);
    end();
}

/* 50 names at once, 8 at a time, half of all nonces refused. */
static void test_fifty_names(void)
{
    static char names[50][32];
    begin();
    world.ca.bad_nonce_percent = 50;
    world.ca.validation_polls = 1;
    world.ca.processing_polls = 2;
    for (int i = 0; i < 50; i++) {
        snprintf(names[i], sizeof names[i], "n%d.example", i);
        world_order(&world, names[i], NULL);
    }
    world_run(&world, 100000);
    for (int i = 0; i < 50; i++)
        check_issued(&world.orders[i]);
    CHECK_INT(world.ca.num_accounts, 1);
    CHECK_INT(world.ca.num_orders, 50);
    CHECK_INT(world.ca.num_certificates, 50);
    CHECK(world.ca.num_bad_nonces > 100);
    CHECK_INT(world.ca.max_pending, 8);
    end();
}

static void test_several_names(void)
{
    begin();
    const struct world_order *order = world_order(&world, "a.example", "b.example", "c.example", NULL);
    world_run(&world, EVENTS);
    check_issued(order);
    CHECK_INT(world.num_published, 3);
    CHECK_INT(world.ca.num_at[CA_CHALLENGE], 3);
    end();
}

/* ACME-43 */
static void test_ready_at_once(void)
{
    begin();
    world.ca.authz_reused = true;
    const struct world_order *order = world_order(&world, "a.example", NULL);
    world_run(&world, EVENTS);
    check_issued(order);
    CHECK_INT(world.num_published, 0);
    CHECK_INT(world.ca.num_at[CA_AUTHZ], 0);
    end();
}

/* ACME-51, 57: polls at the CA's pace, then at ours: 2 s growing by a half to 30 s. */
static void test_polling(void)
{
    begin();
    world.ca.processing_polls = 5;
    const struct world_order *order = world_order(&world, "a.example", NULL);
    int64_t start_ms = world.wall_ms;
    world_run(&world, EVENTS);
    check_issued(order);
    CHECK_INT(world.ca.num_at[CA_ORDER], 6);
    CHECK_INT(order->done_ms - start_ms,
              2000 + 2000 + 5 * 3000); /* challenge; finalize has no Retry-After, reads have */
    end();
}

static void test_polls_ever_slower(void)
{
    begin();
    world.ca.validation_polls = 4;
    const struct world_order *order = world_order(&world, "a.example", NULL);
    int64_t start_ms = world.wall_ms;
    world_run(&world, EVENTS);
    check_issued(order);
    CHECK_INT(order->done_ms - start_ms, 2000 + 3000 + 4500 + 6750 + 10125);
    end();
}

/* ACME-50: the request has been seen, so look a second later. */
static void test_seen_validation(void)
{
    begin();
    world.shows_seen = true;
    const struct world_order *order = world_order(&world, "a.example", NULL);
    int64_t start_ms = world.wall_ms;
    world_run(&world, EVENTS);
    check_issued(order);
    CHECK_INT(order->done_ms - start_ms, 1000);
    end();
}

/* ACME-56: an order that says it is ready, and is not when it is finalized, is no reason to hurry. */
static void test_endlessly_not_ready(void)
{
    begin();
    *scripted_ca_script(&world.ca, CA_FINALIZE) =
        (struct ca_script){.place = CA_FINALIZE, .status = 403, .type = "orderNotReady", .body = "not yet"};
    struct world_order *order = world_order(&world, "a.example", NULL);
    int64_t start_ms = world.wall_ms;
    world_run(&world, EVENTS);
    check_failed(order, PROBLEM_TRANSIENT, "finalize");
    CHECK(order->done_ms - start_ms < 660000);
    CHECK(world.ca.num_at[CA_FINALIZE] < 40);
    world.ca.num_scripts = 0;
    world_order_again(order);
    world_run(&world, EVENTS);
    CHECK(order->issued);
    CHECK_INT(world.ca.num_orders, 1);
    end();
}

/* HARDENING A4: processing for ever ends after ten minutes, and the order is taken up again. */
static void test_endless_processing(void)
{
    begin();
    world.ca.processing_polls = 100000;
    struct world_order *order = world_order(&world, "a.example", NULL);
    int64_t start_ms = world.wall_ms;
    world_run(&world, EVENTS);
    check_failed(order, PROBLEM_LATER, "read-order");
    CHECK(order->done_ms - start_ms < 660000);
    CHECK(world.ca.num_at[CA_ORDER] < 250);
    CHECK(stored("order/a.example"));
    world.ca.orders[0].polls_left = 0;
    world_order_again(order);
    world_run(&world, EVENTS);
    CHECK(order->issued);
    CHECK_INT(world.ca.num_orders, 1);
    end();
}

/* ACME-42: an order that expires while the CA makes up its mind is over; the next attempt orders anew. */
static void test_expired_order(void)
{
    begin();
    world.ca.processing_polls = 100000;
    world.step_skew_ms = 86400000; /* a wall clock that runs away: seven days pass in seconds */
    struct world_order *order = world_order(&world, "a.example", NULL);
    world_run(&world, EVENTS);
    CHECK_INT(order->num_done, 1);
    CHECK(!order->issued);
    CHECK(strstr(order->sentence, "expired") != NULL);
    CHECK(!stored("order/a.example"));
    world.step_skew_ms = 0;
    world.ca.processing_polls = 0;
    world_order_again(order);
    world_run(&world, EVENTS);
    CHECK(order->issued);
    CHECK_INT(world.ca.num_orders, 2);
    end();
}

/* ACME-58: the reply to finalize is lost; the order is read, nothing is finalized or ordered twice. */
static void test_lost_reply_to_finalize(void)
{
    begin();
    scripted_ca_script(&world.ca, CA_FINALIZE)->times = 1;
    world.ca.scripts[0].lose_reply = true;
    const struct world_order *order = world_order(&world, "a.example", NULL);
    world_run(&world, EVENTS);
    check_issued(order);
    CHECK_INT(world.ca.num_at[CA_FINALIZE], 1);
    CHECK_INT(world.ca.num_at[CA_ORDER], 1);
    CHECK_INT(world.ca.num_certificates, 1);
    end();
}

/* Each place once without an answer, before and after the CA has done its part. */
static void test_lost_once_everywhere(void)
{
    for (enum ca_place place = CA_DIRECTORY; place < CA_NOWHERE; place++)
        for (int done = 0; done < 2; done++) {
            begin();
            struct ca_script *script = scripted_ca_script(&world.ca, place);
            script->times = 1;
            *(done ? &script->lose_reply : &script->lose_request) = true;
            const struct world_order *order = world_order(&world, "a.example", NULL);
            world_run(&world, EVENTS);
            check_issued(order);
            CHECK_INT(world.ca.num_accounts, 1);
            CHECK_INT(world.ca.num_certificates, 1);
            CHECK_INT(world.ca.num_orders, place == CA_NEW_ORDER && done ? 2 : 1);
            end();
        }
}

/* HARDENING A1, A2: 500 once, then 503 with Retry-After, are waited out; a rate limit is not. */
static void test_errors_that_pass(void)
{
    for (enum ca_place place = CA_DIRECTORY; place < CA_NOWHERE; place++) {
        begin();
        struct ca_script *script = scripted_ca_script(&world.ca, place);
        *script = (struct ca_script){.place = place, .times = 1, .status = 500, .type = "serverInternal"};
        script = scripted_ca_script(&world.ca, place);
        *script =
            (struct ca_script){.place = place, .times = 1, .status = 503, .body = "<html>busy", .retry_after = "7"};
        const struct world_order *order = world_order(&world, "a.example", NULL);
        world_run(&world, EVENTS);
        check_issued(order);
        CHECK_INT(world.ca.num_certificates, 1);
        end();
    }
}

static void test_ca_is_down(void)
{
    begin();
    scripted_ca_script(&world.ca, CA_DIRECTORY)->lose_request = true;
    struct world_order *order = world_order(&world, "a.example", NULL);
    world_run(&world, EVENTS);
    check_failed(order, PROBLEM_TRANSIENT, "account");
    CHECK_INT(world.ca.num_requests, 6); /* one, and five times again */
    CHECK_INT(world.ca.num_orders, 0);
    world.ca.num_scripts = 0;
    world_order_again(order);
    world_run(&world, EVENTS);
    CHECK(order->issued);
    end();
}

/* Every type of problem at newOrder, at the class of the table, with Retry-After in both forms. */
static void test_problems_of_new_order(void)
{
    static const struct {
        const char *type;
        int status;
        enum problem_class class;
    } rows[] = {
        {"rateLimited", 429, PROBLEM_LATER},
        {"rejectedIdentifier", 400, PROBLEM_PERMANENT},
        {"unsupportedIdentifier", 400, PROBLEM_PERMANENT},
        {"malformed", 400, PROBLEM_PERMANENT},
        {"caa", 403, PROBLEM_PERMANENT},
        {"unauthorized", 403, PROBLEM_ACCOUNT},
        {"userActionRequired", 403, PROBLEM_ACCOUNT},
        {"invalidProfile", 400, PROBLEM_PERMANENT},
        {"neverHeardOf", 400, PROBLEM_LATER}, /* TRANSIENT, but the CA says how long */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int date = 0; date < 2; date++) {
            begin();
            *scripted_ca_script(&world.ca, CA_NEW_ORDER) =
                (struct ca_script){.place = CA_NEW_ORDER,
                                   .status = rows[i].status,
                                   .type = rows[i].type,
                                   .retry_after = date ? "Fri, 15 Jan 2027 10:00:00 GMT" : "7200"};
            const struct world_order *order = world_order(&world, "a.example", NULL);
            world_run(&world, EVENTS);
            check_failed(order, rows[i].class, "new-order");
            CHECK_STR(order->type, rows[i].type);
            CHECK_INT(world.ca.num_at[CA_NEW_ORDER], 1);   /* asked once */
            CHECK_INT(order->retry_after_ms, 7200 * 1000); /* the clock stands at 08:00:00 */
            end();
        }
}

/* VALIDATION: counts against five an hour, so it is tried once; journal and publication are gone (ACME-47, 52). */
static void test_failed_validation(void)
{
    static const char *const types[] = {"unauthorized", "connection", "dns", "tls", "incorrectResponse"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        begin();
        world.ca.validation_problem = types[i];
        struct world_order *order = world_order(&world, "a.example", NULL);
        world_run(&world, EVENTS);
        check_failed(order, PROBLEM_VALIDATION, "validate");
        CHECK(strstr(order->sentence, "fetched something else") != NULL);
        CHECK_STR(order->type, types[i]);
        CHECK_STR(order->challenge, "http-01");
        CHECK_INT(world.ca.num_at[CA_CHALLENGE], 1);
        CHECK(!stored("order/a.example"));
        world.ca.validation_problem = NULL;
        world_order_again(order);
        world_run(&world, EVENTS);
        CHECK(order->issued);
        CHECK_INT(world.ca.num_orders, 2);
        end();
    }
}

static void test_wildcard_needs_dns(void)
{
    begin();
    const struct world_order *order = world_order(&world, "*.a.example", NULL);
    world_run(&world, EVENTS);
    check_failed(order, PROBLEM_PERMANENT, "read-authz"); /* ACME-45: the name fits, the challenge does not */
    CHECK(strstr(order->sentence, "dns-01") != NULL);
    end();
}

/* ACME-59 */
static void test_amended_csr(void)
{
    begin();
    world.ca.needs_cn = true;
    const struct world_order *order = world_order(&world, "a.example", NULL);
    world_run(&world, EVENTS);
    check_issued(order);
    CHECK_INT(world.ca.num_at[CA_FINALIZE], 2);
    end();
}

static void test_csr_refused_for_good(void)
{
    begin();
    *scripted_ca_script(&world.ca, CA_FINALIZE) =
        (struct ca_script){.place = CA_FINALIZE, .status = 400, .type = "badCSR"};
    const struct world_order *order = world_order(&world, "a.example", NULL);
    world_run(&world, EVENTS);
    check_failed(order, PROBLEM_PERMANENT, "finalize");
    CHECK_INT(world.ca.num_at[CA_FINALIZE], 2);
    end();
}

/* ACME-56 */
static void test_order_not_ready(void)
{
    begin();
    *scripted_ca_script(&world.ca, CA_FINALIZE) =
        (struct ca_script){.place = CA_FINALIZE, .times = 3, .status = 403, .type = "orderNotReady"};
    const struct world_order *order = world_order(&world, "a.example", NULL);
    world_run(&world, EVENTS);
    check_issued(order);
    CHECK_INT(world.ca.num_at[CA_FINALIZE], 4);
    CHECK_INT(world.ca.num_at[CA_ORDER], 3);
    end();
}

/* HARDENING A5: refused, kept out of service, and not bought again: the same certificate is asked for. */
static void test_refused_chain(void)
{
    begin();
    world.ca.chain_suffix = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"; /* ACME-60 */
    struct world_order *order = world_order(&world, "a.example", NULL);
    world_run(&world, EVENTS);
    check_failed(order, PROBLEM_LOCAL, "download");
    CHECK(!stored("certificate/a.example"));
    CHECK(stored("order/a.example"));
    world_order_again(order);
    world_run(&world, EVENTS);
    CHECK_INT(world.ca.num_orders, 1);
    CHECK_INT(world.ca.num_certificates, 1);
    world.wall_ms += 35LL * 3600 * 1000; /* past the refill of ACME-106 it may be ordered anew */
    world.ca.chain_suffix = NULL;
    world_order_again(order);
    world_run(&world, EVENTS);
    world_order_again(order);
    world_run(&world, EVENTS);
    CHECK(order->issued);
    CHECK_INT(world.ca.num_orders, 2);
    end();
}

static void test_certificate_for_another_key(void)
{
    begin();
    CHECK(!err_is(key_generate(KEY_P256, &world.ca.stolen_key)));
    const struct world_order *order = world_order(&world, "a.example", NULL);
    world_run(&world, EVENTS);
    check_failed(order, PROBLEM_LOCAL, "download");
    CHECK(strstr(order->sentence, "another key") != NULL);
    key_free(world.ca.stolen_key);
    end();
}

/* HARDENING A8: a clock that is slow makes a fresh certificate invalid: said as such, and healed without a second one. */
static void test_slow_clock(void)
{
    begin();
    world.ca.backdate_s = -3600;
    struct world_order *order = world_order(&world, "a.example", NULL);
    world_run(&world, EVENTS);
    check_failed(order, PROBLEM_LOCAL, "download");
    CHECK(strstr(order->sentence, "clock") != NULL);
    world.wall_ms += 3600000;
    world_order_again(order);
    world_run(&world, EVENTS);
    CHECK(order->issued);
    CHECK_INT(world.ca.num_certificates, 1);
    end();
}

/* The keeper could not store it: asked again, the same certificate comes, from the journal. */
static void test_keeper_fails(void)
{
    begin();
    struct world_order *order = world_order(&world, "a.example", NULL);
    order->keeper_fails = true;
    world_run(&world, EVENTS);
    CHECK(order->issued && stored("order/a.example"));
    order->keeper_fails = false;
    world_order_again(order);
    world_run(&world, EVENTS);
    CHECK(order->issued && stored("certificate/a.example"));
    CHECK_INT(world.ca.num_orders, 1);
    CHECK_INT(world.ca.num_certificates, 1);
    CHECK_INT(world.ca.num_at[CA_FINALIZE], 1);
    end();
}

/* Journals that must not be resumed: of other names, of an order that expired or that the CA has forgotten. */
static void test_journal_that_leads_nowhere(void)
{
    for (int variant = 0; variant < 3; variant++) {
        begin();
        world.publish_fails = true;
        struct world_order *order = world_order(&world, "a.example", NULL);
        world_run(&world, EVENTS);
        check_failed(order, PROBLEM_LOCAL, "publish");
        CHECK(stored("order/a.example"));
        world.publish_fails = false;
        if (variant == 0) {
            order->names[order->num_names++] = slice_str("b.example");
        } else if (variant == 1) {
            world.wall_ms += 8 * 86400000LL;
        } else {
            *scripted_ca_script(&world.ca, CA_ORDER) =
                (struct ca_script){.place = CA_ORDER, .times = 1, .status = 404, .type = "malformed"};
        }
        world_order_again(order);
        world_run(&world, EVENTS);
        CHECK(order->issued);
        CHECK_INT(world.ca.num_orders, 2);
        CHECK_INT(world.ca.num_at[CA_ORDER], variant == 2);
        end();
    }
}

static void test_names_and_records(void)
{
    begin();
    const struct world_order *upper = world_order(&world, "A.example", NULL); /* ACME-39 */
    const struct world_order *dotted = world_order(&world, "a.example.", NULL);
    const struct world_order *odd = world_order(&world, "a.example/../x", NULL);
    const struct world_order *first = world_order(&world, "b.example", NULL);
    const struct world_order *second = world_order(&world, "b.example", NULL);
    world_run(&world, EVENTS);
    check_failed(upper, PROBLEM_LOCAL, "queued");
    check_failed(dotted, PROBLEM_LOCAL, "queued");
    check_failed(odd, PROBLEM_LOCAL, "queued");
    check_issued(first);
    check_failed(second, PROBLEM_LOCAL, "queued");
    end();
}

/* At every moment of its life an order can be canceled, and taken up again. */
static void test_cancel_anywhere(void)
{
    uint64_t num_events = 0;
    for (uint64_t at = 0; at == 0 || at < num_events; at++) {
        begin();
        struct world_order *order = world_order(&world, "a.example", NULL);
        for (uint64_t i = 0; at > 0 && i < at && order->order; i++)
            world_turn(&world);
        if (at > 0 && order->order) {
            acme_order_cancel(order->order);
            order->order = NULL;
            world_order_again(order);
        }
        world_run(&world, EVENTS);
        check_issued(order);
        CHECK_INT(world.ca.num_accounts, 1);
        CHECK(world.ca.num_certificates <= 1);
        if (at == 0)
            num_events = world.num_events;
        end();
    }
    CHECK(num_events > 10);
}

/* Tokens and URLs that no CA should send (ACME-70, ACME-1). */
static void test_hostile_documents(void)
{
    static const struct {
        enum ca_place place;
        const char *body;
    } rows[] = {
        {CA_AUTHZ,
         "{\"status\":\"pending\",\"identifier\":{\"value\":\"a.example\"},\"challenges\":[{\"type\":\"http-01\","
         "\"status\":\"pending\",\"url\":\"https://ca.test/challenge/0-0\",\"token\":\"../../../../etc/passwd\"}]}"},
        {CA_AUTHZ,
         "{\"status\":\"pending\",\"identifier\":{\"value\":\"a.example\"},\"challenges\":[{\"type\":\"http-01\","
         "\"status\":\"pending\",\"url\":\"http://ca.test/challenge/0-0\",\"token\":\"token_of_order_0-0\"}]}"},
        {CA_AUTHZ, "{\"status\":\"pending\",\"identifier\":{\"value\":\"evil.example\"},\"challenges\":[]}"},
        {CA_AUTHZ, "{\"status\":\"expired\",\"identifier\":{\"value\":\"a.example\"}}"},
        {CA_AUTHZ, "[]"},
        {CA_FINALIZE, "{\"status\":\"valid\",\"identifiers\":[{\"type\":\"dns\",\"value\":\"evil.example\"}]}"},
        {CA_DIRECTORY,
         "{\"newNonce\":\"http://ca.test/nonce\",\"newAccount\":\"https://x/\",\"newOrder\":\"https://x/\"}"},
        {CA_DIRECTORY, "<html>"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin();
        *scripted_ca_script(&world.ca, rows[i].place) =
            (struct ca_script){.place = rows[i].place, .status = 200, .body = rows[i].body};
        const struct world_order *order = world_order(&world, "a.example", NULL);
        world_run(&world, EVENTS);
        CHECK_INT(order->num_done, 1);
        CHECK(!order->issued || rows[i].place == CA_FINALIZE);
        CHECK_INT(world.ca.num_at[CA_CHALLENGE], rows[i].place == CA_FINALIZE);
        end();
    }
}

int main(void)
{
    RUN(test_one_certificate);
    RUN(test_thumbprint_without_orders);
    RUN(test_fifty_names);
    RUN(test_several_names);
    RUN(test_ready_at_once);
    RUN(test_polling);
    RUN(test_polls_ever_slower);
    RUN(test_seen_validation);
    RUN(test_endlessly_not_ready);
    RUN(test_endless_processing);
    RUN(test_expired_order);
    RUN(test_lost_reply_to_finalize);
    RUN(test_lost_once_everywhere);
    RUN(test_errors_that_pass);
    RUN(test_ca_is_down);
    RUN(test_problems_of_new_order);
    RUN(test_failed_validation);
    RUN(test_wildcard_needs_dns);
    RUN(test_amended_csr);
    RUN(test_csr_refused_for_good);
    RUN(test_order_not_ready);
    RUN(test_refused_chain);
    RUN(test_certificate_for_another_key);
    RUN(test_slow_clock);
    RUN(test_keeper_fails);
    RUN(test_journal_that_leads_nowhere);
    RUN(test_names_and_records);
    RUN(test_cancel_anywhere);
    RUN(test_hostile_documents);
    return checks_done();
}
