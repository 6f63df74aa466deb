/* What an order asks for besides names: a profile, the place of its predecessor, a chain, a type of key; and what it gives
 * back when it is dead. */
#include "engine_test.h"

static const struct slice profiles[] = {SLICE_LIT("tlsserver"), SLICE_LIT("classic")};
static const char predecessor[] = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE";

static void want_profiles(size_t num)
{
    world.spec.profiles = profiles;
    world.spec.num_profiles = num;
}

/* --- profiles --- */

static void test_profile(void)
{
    static const struct {
        const char *offered[CA_MAX_PROFILES];
        size_t num_wanted;
        const char *want;
    } rows[] = {
        {{"classic", "tlsserver"}, 2, "tlsserver"}, /* our order of preference, not the CA's */
        {{"classic", "shortlived"}, 2, "classic"},
        {{"shortlived"}, 2, ""},
        {{NULL}, 2, ""}, /* a CA without profiles */
        {{"classic", "tlsserver"}, 0, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin();
        memcpy(world.ca.profiles, rows[i].offered, sizeof world.ca.profiles);
        want_profiles(rows[i].num_wanted);
        const struct world_order *order = world_order(&world, "a.example", NULL);
        world_run(&world, EVENTS);
        check_issued(order);
        CHECK_STR(order->profile, rows[i].want);
        const char *asked = world.ca.orders[0].profile;
        CHECK_STR(asked ? asked : "", rows[i].want);
        end();
    }
}

/* Offered, and refused all the same: for good, and the sentence says what there is. */
static void test_profile_refused(void)
{
    begin();
    world.ca.profiles[0] = "tlsserver";
    world.ca.profiles[1] = "shortlived";
    want_profiles(1);
    *scripted_ca_script(&world.ca, CA_NEW_ORDER) = (struct ca_script){
        .place = CA_NEW_ORDER, .status = 400, .type = "invalidProfile", .body = "Not for this account."};
    const struct world_order *order = world_order(&world, "a.example", NULL);
    world_run(&world, EVENTS);
    check_failed(order, PROBLEM_PERMANENT, "new-order");
    CHECK_STR(order->type, "invalidProfile");
    CHECK(strstr(order->sentence, "Not for this account; asked for: tlsserver; offered: tlsserver, shortlived") !=
          NULL);
    CHECK_INT(world.ca.num_at[CA_NEW_ORDER], 1);
    end();
}

/* ACME-66: how many names are too many is the CA's to say, and is passed on. */
static void test_too_many_names(void)
{
    begin();
    world.ca.max_names = 2;
    const struct world_order *order = world_order(&world, "a.example", "b.example", "c.example", NULL);
    world_run(&world, EVENTS);
    check_failed(order, PROBLEM_PERMANENT, "new-order");
    CHECK(strstr(order->sentence, "Order cannot contain more") != NULL);
    end();
}

/* A journal's order of the same profile is resumed, of another it is not. */
static void test_journal_of_a_profile(void)
{
    for (int same = 0; same < 2; same++) {
        begin();
        world.ca.profiles[0] = "tlsserver";
        world.ca.profiles[1] = "classic";
        world.publish_fails = true;
        want_profiles(2);
        struct world_order *order = world_order(&world, "a.example", NULL);
        world_run(&world, EVENTS);
        check_failed(order, PROBLEM_LOCAL, "publish");
        world.publish_fails = false;
        if (!same) {
            world.spec.profiles = profiles + 1;
            world.spec.num_profiles = 1;
        }
        world_kill_engine(&world); /* from the store, not from memory */
        world_start_engine(&world);
        world_order_again(order);
        world_run(&world, EVENTS);
        CHECK(order->issued);
        CHECK_STR(order->profile, same ? "tlsserver" : "classic");
        CHECK_INT(world.ca.num_orders, same ? 1 : 2);
        end();
    }
}

/* --- the predecessor --- */

/* ACME-98: told where the CA has renewalInfo alone (the scripted one notes it otherwise). */
static void test_replaces(void)
{
    for (int has = 0; has < 2; has++) {
        begin();
        world.ca.has_renewal_info = has;
        world.spec.replaces = slice_str(predecessor);
        const struct world_order *order = world_order(&world, "a.example", NULL);
        world_run(&world, EVENTS);
        check_issued(order);
        CHECK_INT(order->replaced, has);
        CHECK_INT(world.ca.orders[0].replaces != NULL, has);
        CHECK_INT(world.ca.num_at[CA_NEW_ORDER], 1);
        end();
    }
}

/* ACME-99: any refusal that may be its fault, and none that is told to be another's. */
static void test_replaces_refused(void)
{
    static const struct {
        int status;
        const char *type;
        bool again;
    } rows[] = {
        {409, "alreadyReplaced", true},
        {403, "unauthorized", true},
        {404, "malformed", true},
        {400, "malformed", true},
        {409, "conflict", true},
        {400, "neverHeardOf", true},
        {429, "rateLimited", false},
        {403, "userActionRequired", false},
        {400, "rejectedIdentifier", false},
        {400, "unsupportedIdentifier", false},
        {400, "invalidProfile", false},
        {403, "caa", false},
        {403, "externalAccountRequired", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin();
        world.ca.has_renewal_info = true;
        world.ca.replaces_status = rows[i].status;
        world.ca.replaces_problem = rows[i].type;
        world.spec.replaces = slice_str(predecessor);
        const struct world_order *order = world_order(&world, "a.example", NULL);
        world_run(&world, EVENTS);
        CHECK_INT(order->issued, rows[i].again);
        CHECK(!order->replaced);
        CHECK_INT(world.ca.num_at[CA_NEW_ORDER], rows[i].again ? 2 : 1);
        CHECK_STR(order->type, rows[i].again ? "" : rows[i].type);
        end();
    }
}

static void test_replaces_refused_once(void)
{
    begin();
    world.ca.has_renewal_info = true;
    world.spec.replaces = slice_str(predecessor);
    *scripted_ca_script(&world.ca, CA_NEW_ORDER) =
        (struct ca_script){.place = CA_NEW_ORDER, .status = 400, .type = "malformed"};
    const struct world_order *order = world_order(&world, "a.example", NULL);
    world_run(&world, EVENTS);
    check_failed(order, PROBLEM_PERMANENT, "new-order");
    CHECK_INT(world.ca.num_at[CA_NEW_ORDER], 2);
    end();
}

/* The predecessor is no reason to begin anew: an order that is resumed says what became of it. */
static void test_replaces_of_a_journal(void)
{
    begin();
    world.ca.has_renewal_info = true;
    world.spec.replaces = slice_str(predecessor);
    world.publish_fails = true;
    struct world_order *order = world_order(&world, "a.example", NULL);
    world_run(&world, EVENTS);
    CHECK(!order->issued);
    world.publish_fails = false;
    world_kill_engine(&world);
    world_start_engine(&world);
    world_order_again(order);
    world_run(&world, EVENTS);
    CHECK(order->issued && order->replaced);
    CHECK_INT(world.ca.num_orders, 1);
    end();
}

/* --- chains: ACME-62 --- */

static void test_chains(void)
{
    static const struct {
        const char *preferred;
        unsigned num_alternates, num_asked;
        const char *want;
    } rows[] = {
        {"", 3, 0, "Scripted Root"},
        {"Scripted Root", 3, 0, "Scripted Root"},
        {"Alternate Root 1", 3, 1, "Alternate Root 1"},
        {"Alternate Root 3", 3, 3, "Alternate Root 3"},
        {"alternate root 3", 3, 3, "Scripted Root"}, /* a name is a name */
        {"Alternate Root", 3, 3, "Scripted Root"},
        {"Alternate Root 1", 0, 0, "Scripted Root"},
        {"Alternate Root 9", 12, 8, "Scripted Root"}, /* bounded */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin();
        world.ca.num_alternates = rows[i].num_alternates;
        world.spec.preferred_chain = slice_str(rows[i].preferred);
        const struct world_order *order = world_order(&world, "a.example", NULL);
        world_run(&world, EVENTS);
        check_issued(order);
        CHECK_STR(order->chain, rows[i].want);
        CHECK_INT(world.ca.num_at[CA_ALTERNATE], rows[i].num_asked);
        CHECK_INT(world.ca.num_at[CA_CERTIFICATE], 1);
        end();
    }
}

/* Whatever goes wrong with another chain, the first is good; and the next of the others may be the one. */
static void test_alternates_that_fail(void)
{
    static const struct ca_script faults[] = {
        {.status = 500, .type = "serverInternal"},
        {.status = 404, .type = "malformed"},
        {.status = 400, .type = "accountDoesNotExist"},
        {.status = 429, .type = "rateLimited", .retry_after = "3600"},
        {.status = 503, .body = "<html>busy", .retry_after = "30"},
        {.status = 200, .body = "<html>"},
        {.status = 200, .body = ""},
        {.lose_request = true},
        {.lose_reply = true},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        for (unsigned times = 0; times < 2; times++) {
            begin();
            world.ca.num_alternates = 2;
            world.spec.preferred_chain = SLICE_LIT("Alternate Root 2");
            struct ca_script *script = scripted_ca_script(&world.ca, CA_ALTERNATE);
            *script = faults[i];
            script->place = CA_ALTERNATE;
            script->times = times; /* 0: all of them */
            const struct world_order *order = world_order(&world, "a.example", NULL);
            int64_t start_ms = world.wall_ms;
            world_run(&world, EVENTS);
            check_issued(order);
            CHECK_STR(order->chain, times ? "Alternate Root 2" : "Scripted Root");
            CHECK_INT(order->done_ms - start_ms, 2000); /* the validation's: nothing was waited for */
            CHECK(stored("certificate/a.example") && !stored("order/a.example"));
            CHECK_INT(world.ca.num_accounts, 1);
            end();
        }
}

/* Nor is a directory waited for that has become old meanwhile. */
static void test_alternate_when_the_directory_is_old(void)
{
    begin();
    world.ca.num_alternates = 1;
    world.spec.preferred_chain = SLICE_LIT("Alternate Root 1");
    struct ca_script *script = scripted_ca_script(&world.ca, CA_DIRECTORY);
    script->skip = 1;
    script->lose_request = true;
    const struct world_order *order = world_order(&world, "a.example", NULL);
    while (strcmp(acme_order_step(order->order), "download") != 0 && world_turn(&world))
        ;
    world.mono_ms += 7 * 3600 * 1000;
    world_run(&world, EVENTS);
    check_issued(order);
    CHECK_STR(order->chain, "Alternate Root 1");
    CHECK_INT(world.ca.num_at[CA_DIRECTORY], 1);
    end();
}

/* --- what is left pending: ACME-64 --- */

static void test_leftovers(void)
{
    begin();
    world.ca.validation_problem = "unauthorized";
    const struct world_order *order = world_order(&world, "a.example", "b.example", "c.example", NULL);
    world_run(&world, EVENTS);
    check_failed(order, PROBLEM_VALIDATION, "validate");
    CHECK_INT(world.ca.num_deactivated, 2);
    const struct ca_order *dead = &world.ca.orders[0];
    unsigned num_invalid = 0;
    for (size_t i = 0; i < dead->num_names; i++)
        num_invalid += strcmp(dead->authz_status[i], "invalid") == 0;
    CHECK_INT(num_invalid, 1);
    CHECK(!stored("order/a.example"));
    end();
}

static void test_leftovers_of_an_unsuitable_name(void)
{
    begin();
    const struct world_order *order = world_order(&world, "*.a.example", NULL); /* http-01 alone is offered */
    world_run(&world, EVENTS);
    check_failed(order, PROBLEM_PERMANENT, "read-authz");
    CHECK_INT(world.ca.num_deactivated, 1);
    end();
}

/* An order that will be taken up again keeps what it has, and one whose names are all decided leaves nothing. */
static void test_no_leftovers(void)
{
    begin();
    world.publish_fails = true;
    const struct world_order *order = world_order(&world, "a.example", "b.example", NULL);
    world_run(&world, EVENTS);
    check_failed(order, PROBLEM_LOCAL, "publish");
    CHECK_INT(world.ca.num_deactivated, 0);
    CHECK_INT(world.ca.num_at[CA_AUTHZ], 1);
    end();

    begin();
    world.ca.validation_problem = "dns";
    const struct world_order *failed = world_order(&world, "a.example", NULL);
    world_run(&world, EVENTS);
    check_failed(failed, PROBLEM_VALIDATION, "validate");
    CHECK_INT(world.ca.num_deactivated, 0);
    CHECK_INT(world.ca.num_at[CA_AUTHZ], 2); /* before and after the challenge */
    end();

    begin();
    *scripted_ca_script(&world.ca, CA_FINALIZE) =
        (struct ca_script){.place = CA_FINALIZE, .status = 400, .type = "badPublicKey"};
    const struct world_order *refused = world_order(&world, "a.example", NULL);
    world_run(&world, EVENTS);
    check_failed(refused, PROBLEM_PERMANENT, "finalize");
    CHECK_INT(world.ca.num_at[CA_AUTHZ], 2);
    end();
}

/* `done` does not wait, and a CA that is down is asked once. */
static void test_leftovers_cost_nothing(void)
{
    begin();
    *scripted_ca_script(&world.ca, CA_AUTHZ) =
        (struct ca_script){.place = CA_AUTHZ, .skip = 1, .status = 503, .body = "busy", .retry_after = "30"};
    const struct world_order *order = world_order(&world, "*.a.example", NULL);
    int64_t start_ms = world.wall_ms;
    world_run(&world, EVENTS);
    check_failed(order, PROBLEM_PERMANENT, "read-authz");
    CHECK_INT(order->done_ms, start_ms);
    CHECK_INT(world.ca.num_deactivated, 0);
    CHECK_INT(world.ca.num_at[CA_AUTHZ], 2);
    end();
}

/* A CA may give the same authorization to two orders: while one of them has it in hand, it is let alone. */
static void test_leftovers_that_are_wanted(void)
{
    static const enum acme_challenge by_dns[] = {ACME_DNS_01};
    begin();
    world.ca.offers = 1u << ACME_DNS_01;
    world.publish_hangs = true;
    *scripted_ca_script(&world.ca, CA_NEW_ORDER) = (struct ca_script){
        .place = CA_NEW_ORDER,
        .skip = 1,
        .times = 1,
        .status = 201,
        .location = "https://ca.test/order/0",
        .body = "{\"status\":\"pending\",\"identifiers\":[{\"type\":\"dns\",\"value\":\"*.a.example\"}],"
                "\"authorizations\":[\"https://ca.test/authz/0-0\"],\"finalize\":\"https://ca.test/finalize/0\"}"};
    const struct world_order *dead = world_order(&world, "*.a.example", NULL);
    world.spec.challenges = by_dns;
    world.spec.num_challenges = 1;
    world.spec.record = SLICE_LIT("another");
    const struct world_order *alive = world_order(&world, "*.a.example", NULL);
    world_run(&world, EVENTS);
    check_failed(dead, PROBLEM_PERMANENT, "read-authz");
    CHECK_INT(world.ca.num_deactivated, 0);
    world.publish_hangs = false;
    world_run(&world, EVENTS);
    check_issued(alive);
    end();
}

/* --- keys --- */

static void test_keys(void)
{
    static const enum key_type types[] = {KEY_P256, KEY_P384, KEY_RSA2048};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        for (int elsewhere = 0; elsewhere < 2; elsewhere++) {
            world_init(&world);
            world.makes_keys = elsewhere;
            world_start_engine(&world);
            world.spec.key_type = types[i];
            const struct world_order *order = world_order(&world, "a.example", NULL);
            world_run(&world, EVENTS);
            check_issued(order);
            CHECK_INT(order->key_type, types[i]);
            CHECK_INT(world.num_keys, elsewhere);
            end();
        }
}

static void begin_with_keys(void)
{
    world_init(&world);
    world.makes_keys = true;
    world_start_engine(&world);
}

/* No key, or another than was asked for: nothing is ordered. */
static void test_keys_that_fail(void)
{
    begin_with_keys();
    world.keys_fail = true;
    const struct world_order *order = world_order(&world, "a.example", NULL);
    world_run(&world, EVENTS);
    check_failed(order, PROBLEM_LOCAL, "key");
    CHECK_INT(world.ca.num_requests, 0);
    end();

    begin_with_keys();
    CHECK(!err_is(key_generate(KEY_P384, &world.given_key)));
    const struct world_order *other = world_order(&world, "a.example", NULL);
    world_run(&world, EVENTS);
    check_failed(other, PROBLEM_LOCAL, "key");
    CHECK_INT(world.ca.num_requests, 0);
    key_free(world.given_key);
    end();
}

/* ACME-34, 35: the account's own key never gets into a CSR, and does not stay in the journal. */
static void test_key_of_the_account(void)
{
    struct buf pem = {0};
    world_init(&world);
    CHECK(!err_is(key_generate(KEY_P256, &world.given_key)));
    key_write_pem(world.given_key, &pem);
    world.makes_keys = true;
    world.options.account_key_pem = buf_slice(&pem);
    world_start_engine(&world);
    const struct world_order *order = world_order(&world, "a.example", NULL);
    world_run(&world, EVENTS);
    check_failed(order, PROBLEM_LOCAL, "finalize");
    CHECK_INT(world.ca.num_at[CA_FINALIZE], 0);
    CHECK(!stored("order/a.example"));
    key_free(world.given_key);
    buf_cleanup_secret(&pem);
    end();
}

static void run_to_key(void)
{
    while (list_empty(&world.key_jobs) && world_turn(&world))
        ;
    CHECK(!list_empty(&world.key_jobs));
}

/* Canceled while the key is made, by name and with the whole engine. */
static void test_key_canceled(void)
{
    begin_with_keys();
    struct world_order *order = world_order(&world, "a.example", NULL);
    run_to_key();
    CHECK_STR(acme_order_step(order->order), "key");
    acme_order_cancel(order->order);
    order->order = NULL;
    CHECK_INT(world.num_keys_canceled, 1);
    world_order_again(order);
    run_to_key();
    world_kill_engine(&world);
    CHECK_INT(world.num_keys_canceled, 2);
    world_start_engine(&world);
    world_order_again(order);
    world_run(&world, EVENTS);
    check_issued(order);
    CHECK_INT(world.num_keys, 1);
    end();
}

/* A journal with a key of another type is another order. */
static void test_journal_of_another_key(void)
{
    begin();
    world.publish_fails = true;
    struct world_order *order = world_order(&world, "a.example", NULL);
    world_run(&world, EVENTS);
    check_failed(order, PROBLEM_LOCAL, "publish");
    world.publish_fails = false;
    world.spec.key_type = KEY_P384;
    world_order_again(order);
    world_run(&world, EVENTS);
    CHECK(order->issued);
    CHECK_INT(order->key_type, KEY_P384);
    CHECK_INT(world.ca.num_orders, 2);
    end();
}

/* --- refusals that a person has to read --- */

/* ACME-108: a paused name is tried daily, and the page to visit is named, once. */
static void test_paused_name(void)
{
    static const char page[] = "https://ca.test/unpause?jwt=abc.def";
    begin();
    *scripted_ca_script(&world.ca, CA_NEW_ORDER) =
        (struct ca_script){.place = CA_NEW_ORDER,
                           .status = 429,
                           .type = "rateLimited",
                           .body = "The account may have no certificate for a.example for now. Please visit: "
                                   "https://ca.test/unpause?jwt=abc.def"};
    const struct world_order *order = world_order(&world, "a.example", NULL);
    world_run(&world, EVENTS);
    check_failed(order, PROBLEM_PERMANENT, "new-order");
    const char *found = strstr(order->sentence, page);
    CHECK(found != NULL && strstr(found + 1, page) == NULL);
    CHECK(strstr(order->sentence, "paused") != NULL);
    CHECK_INT(world.ca.num_at[CA_NEW_ORDER], 1);
    end();
}

/* ACME-10: the account's key is of a type that the CA does not take: it says what it takes, and nothing is tried. */
static void test_bad_signature_algorithm(void)
{
    begin();
    *scripted_ca_script(&world.ca, CA_NEW_ACCOUNT) = (struct ca_script){
        .place = CA_NEW_ACCOUNT,
        .status = 400,
        .body = "{\"type\":\"urn:ietf:params:acme:error:badSignatureAlgorithm\",\"detail\":\"no ES256 here\","
                "\"algorithms\":[\"RS256\",\"PS256\"]}"};
    const struct world_order *order = world_order(&world, "a.example", NULL);
    world_run(&world, EVENTS);
    check_failed(order, PROBLEM_ACCOUNT, "account");
    CHECK(strstr(order->sentence, "it takes RS256, PS256") != NULL);
    CHECK_INT(world.ca.num_at[CA_NEW_ACCOUNT], 1);
    CHECK_INT(world.ca.num_at[CA_NEW_ORDER], 0);
    end();
}

int main(void)
{
    RUN(test_profile);
    RUN(test_profile_refused);
    RUN(test_too_many_names);
    RUN(test_journal_of_a_profile);
    RUN(test_replaces);
    RUN(test_replaces_refused);
    RUN(test_replaces_refused_once);
    RUN(test_replaces_of_a_journal);
    RUN(test_chains);
    RUN(test_alternates_that_fail);
    RUN(test_alternate_when_the_directory_is_old);
    RUN(test_leftovers);
    RUN(test_leftovers_of_an_unsuitable_name);
    RUN(test_no_leftovers);
    RUN(test_leftovers_cost_nothing);
    RUN(test_leftovers_that_are_wanted);
    RUN(test_keys);
    RUN(test_keys_that_fail);
    RUN(test_key_of_the_account);
    RUN(test_key_canceled);
    RUN(test_journal_of_another_key);
    RUN(test_paused_name);
    RUN(test_bad_signature_algorithm);
    return checks_done();
}
