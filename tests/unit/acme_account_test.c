/* The engine's account against a scripted CA, and the engine on a store that fails: one account, whatever happens. */
#include "check.h"
#include "scripted_world.h"

enum { EVENTS = 20000 };

static struct scripted_world world;

static void begin(void)
{
    world_init(&world);
    world_start_engine(&world);
}

static void end(void)
{
    CHECK_STR(world.ca.fault, "");
    CHECK_INT(world.num_published, world.num_withdrawn);
    world_cleanup(&world);
}

static void check_issued(const struct world_order *order)
{
    CHECK(order->issued);
    CHECK_STR(order->sentence, "");
    CHECK_INT(order->num_done, 1);
}

static void check_failed(const struct world_order *order, enum problem_class class, const char *step)
{
    CHECK_INT(order->num_done, 1);
    CHECK(!order->issued);
    CHECK_STR(problem_class_name(order->class), problem_class_name(class));
    CHECK_STR(order->step, step);
    CHECK(order->sentence[0] != '\0');
}

/* ACME-26 */
static void test_terms_not_accepted(void)
{
    world_init(&world);
    world.options.accept_terms = false;
    world_start_engine(&world);
    const struct world_order *order = world_order(&world, "a.example", NULL);
    world_run(&world, EVENTS);
    check_failed(order, PROBLEM_ACCOUNT, "account");
    CHECK(strstr(order->sentence, "https://ca.test/terms") != NULL);
    CHECK_INT(world.ca.num_accounts, 0);
    end();
}

/* ACME-25, ACME-32 */
static void test_account_binding(void)
{
    world_init(&world);
    world.ca.needs_binding = true;
    world_start_engine(&world);
    const struct world_order *order = world_order(&world, "a.example", NULL);
    world_run(&world, EVENTS);
    check_failed(order, PROBLEM_ACCOUNT, "account");
    CHECK_INT(world.ca.num_at[CA_NEW_ACCOUNT], 1); /* the look-up; newAccount is not tried without */
    world_kill_engine(&world);
    world.options.eab_kid = slice_str("kid-1");
    world.options.eab_hmac_key = slice_str("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8");
    world_start_engine(&world);
    world_order_again(&world.orders[0]);
    world_run(&world, EVENTS);
    CHECK(order->issued);
    CHECK(memmem(world.ca.last_new_account.ptr, world.ca.last_new_account.len, "externalAccountBinding", 22) != NULL);
    end();
}

static void test_contact(void)
{
    for (int refused = 0; refused < 2; refused++) {
        world_init(&world);
        world.options.email = slice_str("ops@a.example");
        world.ca.refuses_contact = refused;
        world_start_engine(&world);
        const struct world_order *order = world_order(&world, "a.example", NULL);
        world_run(&world, EVENTS);
        check_issued(order);
        const struct buf *payload = &world.ca.last_new_account;
        CHECK((memmem(payload->ptr, payload->len, "mailto:ops@a.example", 20) == NULL) == refused);
        end();
    }
}

static bool was_told(const char *text)
{
    const struct buf *payload = &world.ca.last_new_account;
    return memmem(payload->ptr, payload->len, text, strlen(text)) != NULL;
}

/* A further process, with another address and one more order. */
static void order_with_email(const char *email, const char *name)
{
    if (world.acme)
        world_kill_engine(&world);
    world.options.email = slice_str(email);
    world_start_engine(&world);
    const struct world_order *order = world_order(&world, name, NULL);
    world_run(&world, EVENTS);
    check_issued(order);
}

/* RFC 8555 §7.3.2: an address that changes is told once, one that is taken away too. */
static void test_contact_changes(void)
{
    world_init(&world);
    order_with_email("old@a.example", "a.example");
    order_with_email("old@a.example", "b.example");
    CHECK_INT(world.ca.num_at[CA_ACCOUNT], 0);
    order_with_email("new@a.example", "c.example");
    CHECK(was_told("[\"mailto:new@a.example\"]"));
    order_with_email("new@a.example", "d.example");
    CHECK_INT(world.ca.num_at[CA_ACCOUNT], 1);
    order_with_email("", "e.example");
    CHECK(was_told("\"contact\":[]"));
    order_with_email("", "f.example");
    CHECK_INT(world.ca.num_at[CA_ACCOUNT], 2);
    CHECK_INT(world.ca.num_accounts, 1);
    end();
}

/* It is not worth an order; a refusal is remembered, another failure is tried again by the next process. */
static void test_contact_change_fails(void)
{
    world_init(&world);
    order_with_email("old@a.example", "a.example");
    struct ca_script *script = scripted_ca_script(&world.ca, CA_ACCOUNT);
    *script = (struct ca_script){.place = CA_ACCOUNT, .times = 1, .status = 403, .type = "unauthorized"};
    order_with_email("new@a.example", "b.example");
    unsigned asked = world.ca.num_at[CA_ACCOUNT];
    world.ca.refuses_contact = true;
    order_with_email("new@a.example", "c.example");
    CHECK_INT(world.ca.num_at[CA_ACCOUNT], asked + 1);
    order_with_email("new@a.example", "d.example");
    CHECK_INT(world.ca.num_at[CA_ACCOUNT], asked + 1);
    end();
}

/* ACME-27, ACME-1 and options that cannot work */
static void test_bad_options(void)
{
    static const struct acme_options bad[] = {
        {.directory_url = SLICE_LIT("http://ca.test/dir")},
        {.directory_url = SLICE_LIT("ca.test")},
        {.directory_url = SLICE_LIT("https://ca.test/"), .email = SLICE_LIT("a@x,b@y")},
        {.directory_url = SLICE_LIT("https://ca.test/"), .email = SLICE_LIT("a@x?subject=y")},
        {.directory_url = SLICE_LIT("https://ca.test/"), .email = SLICE_LIT("nobody")},
        {.directory_url = SLICE_LIT("https://ca.test/"), .eab_kid = SLICE_LIT("k")},
        {.directory_url = SLICE_LIT("https://ca.test/"), .account_key_pem = SLICE_LIT("nonsense")},
    };
    begin();
    struct acme_world surroundings = {.clock = &world.clock, .ctx = &world, .wake_at = world_wake_at};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct acme *acme = NULL;
        CHECK_INT(acme_new(&surroundings, &bad[i], &acme).kind, ERR_INPUT);
        CHECK(acme == NULL);
    }
    end();
}

/* ACME-30: a key that is stored without a URL finds its account. */
static void test_given_key(void)
{
    struct evp_pkey_st *key = NULL;
    struct buf pem = {0};
    CHECK(!err_is(key_generate(KEY_P256, &key)));
    key_write_pem(key, &pem);
    world_init(&world);
    world.options.account_key_pem = buf_slice(&pem);
    world_start_engine(&world);
    CHECK(acme_thumbprint(world.acme).ptr != NULL); /* at once */
    const struct world_order *order = world_order(&world, "a.example", NULL);
    world_run(&world, EVENTS);
    check_issued(order);
    for (size_t i = 0; i < world.store.num_records; i++) /* a key of the user's own is not copied */
        if (strncmp(world.store.records[i].key, "account/", 8) == 0)
            CHECK(memmem(world.store.records[i].value, world.store.records[i].value_len, "PRIVATE", 7) == NULL);
    world_kill_engine(&world);
    memory_store_cleanup(&world.store); /* another replica, with a store of its own */
    memory_store_init(&world.store);
    world_start_engine(&world);
    world_order_again(&world.orders[0]);
    world_run(&world, EVENTS);
    CHECK(order->issued);
    CHECK_INT(world.ca.num_accounts, 1);
    CHECK_INT(world.ca.num_at[CA_NEW_ACCOUNT], 3);
    end();
    key_free(key);
    buf_cleanup_secret(&pem);
}

/* ACME-37: registered again once, and then not for ever. */
static void test_lost_account(void)
{
    begin();
    struct world_order *order = world_order(&world, "a.example", NULL);
    world_run(&world, EVENTS);
    check_issued(order);
    world.ca.forgets_accounts = true;
    for (int i = 0; i < 10; i++) {
        static const char *const names[] = {"0.example", "1.example", "2.example", "3.example", "4.example",
                                            "5.example", "6.example", "7.example", "8.example", "9.example"};
        world_order(&world, names[i], NULL);
    }
    world_run(&world, EVENTS);
    for (int i = 1; i <= 10; i++)
        check_issued(&world.orders[i]);
    CHECK_INT(world.ca.num_accounts, 2);
    *scripted_ca_script(&world.ca, CA_NEW_ORDER) =
        (struct ca_script){.place = CA_NEW_ORDER, .status = 400, .type = "accountDoesNotExist"};
    world_order_again(order);
    world_run(&world, EVENTS);
    CHECK(!order->issued);
    CHECK_INT(order->class, PROBLEM_ACCOUNT);
    CHECK_INT(world.ca.num_at[CA_NEW_ORDER],
              1 + 10 + 8 + 2); /* 8 ran when the account went; then one try and one more */
    end();
}

/* ACME-31, ACME-37 */
static void test_account_refused(void)
{
    static const char *const bodies[] = {"{\"status\":\"deactivated\"}", "{\"status\":\"revoked\"}"};
    for (size_t i = 0; i < 2; i++) {
        begin();
        *scripted_ca_script(&world.ca, CA_NEW_ACCOUNT) = (struct ca_script){
            .place = CA_NEW_ACCOUNT, .status = 200, .body = bodies[i], .location = "https://ca.test/account/0"};
        const struct world_order *order = world_order(&world, "a.example", NULL);
        world_run(&world, EVENTS);
        check_failed(order, PROBLEM_ACCOUNT, "account");
        end();
    }
}

/* "Cannot read" is never "not there": nothing is ordered. */
static void test_store_faults(void)
{
    static const enum store_result faults[] = {STORE_FENCED, STORE_UNAVAILABLE, STORE_DENIED,   STORE_TOO_BIG,
                                               STORE_FULL,   STORE_CORRUPT,     STORE_CONFLICT, STORE_UNKNOWN};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        for (int writing = 0; writing < 2; writing++) {
            begin();
            *(writing ? &world.store.write_fault : &world.store.read_fault) = faults[i];
            struct world_order *order = world_order(&world, "a.example", NULL);
            world_run(&world, EVENTS);
            check_failed(order, PROBLEM_LOCAL, "journal");
            CHECK(strstr(order->sentence, store_result_text(faults[i])) != NULL);
            CHECK_INT(world.ca.num_requests, 0);
            world.store.write_fault = world.store.read_fault = STORE_OK;
            world_order_again(order);
            world_run(&world, EVENTS);
            CHECK(order->issued);
            end();
        }
}

/* Each commit once with an unknown outcome, written or not: one account, one certificate, at the latest at the second try. */
static void test_unknown_commits(void)
{
    for (unsigned at = 0; at < 8; at++) {
        begin();
        struct world_order *order = world_order(&world, "a.example", NULL);
        world.store.unknown_writes = at % 2 == 0;
        world.store.eager = true;
        uint64_t events = 0;
        while (world.store.num_commits < at / 2 && events++ < 100)
            world_turn(&world);
        world.store.write_fault = STORE_UNKNOWN;
        world.store.num_faults = 1;
        world_run(&world, EVENTS);
        if (!order->issued) {
            CHECK_INT(order->class, PROBLEM_LOCAL);
            world_order_again(order);
            world_run(&world, EVENTS);
        }
        CHECK(order->issued);
        CHECK_INT(world.ca.num_accounts, 1);
        CHECK_INT(world.ca.num_certificates, 1);
        end();
    }
}

static void test_damaged_records(void)
{
    static const char *const values[] = {"", "{}", "not json", "{\"version\":2}",
                                         "{\"version\":1,\"directory\":\"https://ca.test/dir\"}"};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        begin();
        world_order(&world, "a.example", NULL);
        world_run(&world, EVENTS);
        world_kill_engine(&world);
        struct slice key = SLICE_NONE;
        for (size_t at = 0; at < world.store.num_records; at++)
            if (strncmp(world.store.records[at].key, "account/", 8) == 0)
                key = slice_str(mem_strdup(world.store.records[at].key));
        memory_store_put(&world.store, key, slice_str(values[i]));
        mem_free((char *)key.ptr);
        memory_store_put(&world.store, SLICE_LIT("order/b.example"), slice_str(values[i]));
        world_start_engine(&world);
        unsigned num_requests = world.ca.num_requests;
        const struct world_order *of_account = world_order(&world, "c.example", NULL);
        const struct world_order *of_journal = world_order(&world, "b.example", NULL);
        world_run(&world, EVENTS);
        check_failed(of_account, PROBLEM_LOCAL, "account");
        check_failed(of_journal, PROBLEM_LOCAL, "journal");
        CHECK(strstr(of_account->sentence, "(record account/") && strstr(of_account->sentence, "restore it"));
        CHECK(strstr(of_journal->sentence, "(record order/b.example)") && strstr(of_journal->sentence, "or remove it"));
        CHECK_INT(world.ca.num_requests, num_requests);
        CHECK_INT(world.ca.num_accounts, 1);
        end();
    }
}

int main(void)
{
    RUN(test_terms_not_accepted);
    RUN(test_account_binding);
    RUN(test_contact);
    RUN(test_contact_changes);
    RUN(test_contact_change_fails);
    RUN(test_bad_options);
    RUN(test_given_key);
    RUN(test_lost_account);
    RUN(test_account_refused);
    RUN(test_store_faults);
    RUN(test_unknown_commits);
    RUN(test_damaged_records);
    return checks_done();
}
