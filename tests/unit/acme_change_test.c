/* What a person does to account and certificates: contact, another key, the end of the account, revocation. */
#include "acme/account_change.h"
#include "acme/chain.h"
#include "acme/key.h"
#include "acme/pem.h"
#include "acme/revoke.h"
#include "check.h"
#include "scripted_world.h"

enum { EVENTS = 20000, MAX_KILLS = 60 };

static struct scripted_world world;

struct outcome {
    unsigned num_done;
    bool failed;
    enum problem_class class;
    char detail[512], type[64];
};

static struct outcome outcome;
static struct acme_account_change change, second_change;
static struct acme_revocation revocation;

static void note(const struct problem *problem)
{
    outcome.num_done++;
    outcome.failed = problem != NULL;
    if (!problem)
        return;
    outcome.class = problem->class;
    snprintf(outcome.detail, sizeof outcome.detail, "%.*s", (int)problem->detail.len,
             problem->detail.len ? problem->detail.ptr : "");
    snprintf(outcome.type, sizeof outcome.type, "%.*s", (int)problem->type.len,
             problem->type.len ? problem->type.ptr : "");
}

static void change_done(struct acme_account_change *done, const struct problem *problem)
{
    (void)done;
    note(problem);
}

static void begin_change(enum acme_account_change_kind kind)
{
    outcome = (struct outcome){0};
    acme_account_change(world.acme, &change, kind, change_done);
    CHECK_INT(outcome.num_done, 0);
}

static void run_change(enum acme_account_change_kind kind)
{
    begin_change(kind);
    world_run(&world, EVENTS);
    CHECK_INT(outcome.num_done, 1);
}

static void check_done(void)
{
    CHECK_INT(outcome.num_done, 1);
    CHECK(!outcome.failed);
    CHECK_STR(outcome.detail, "");
}

static void check_refused(enum problem_class class, const char *words)
{
    CHECK_INT(outcome.num_done, 1);
    CHECK(outcome.failed);
    CHECK_STR(problem_class_name(outcome.class), problem_class_name(class));
    CHECK(strstr(outcome.detail, words) != NULL);
}

static void order_goes_through(const char *name)
{
    const struct world_order *order = world_order(&world, name, NULL);
    world_run(&world, EVENTS);
    CHECK(order->issued);
    CHECK_STR(order->sentence, "");
}

static void begin(void)
{
    world_init(&world);
    world_start_engine(&world);
    order_goes_through("a.example");
}

static void end(void)
{
    CHECK_STR(world.ca.fault, "");
    CHECK_INT(world.num_published, world.num_withdrawn);
    world_cleanup(&world);
}

/* The one account record, or ptr NULL. */
static struct slice account_record(void)
{
    for (size_t i = 0; i < world.store.num_records; i++)
        if (strncmp(world.store.records[i].key, "account/", 8) == 0)
            return slice_make(world.store.records[i].value, world.store.records[i].value_len);
    return SLICE_NONE;
}

static bool record_has(const char *text)
{
    struct slice record = account_record();
    return record.ptr && memmem(record.ptr, record.len, text, strlen(text)) != NULL;
}

static void restart(void)
{
    world_kill_engine(&world);
    world_start_engine(&world);
    world_run(&world, EVENTS);
}

/* ---- another key ---- */

/* ACME-34, ACME-36 */
static void test_exchange(void)
{
    char before[64];
    begin();
    snprintf(before, sizeof before, "%s", world.thumbprint);
    run_change(ACME_CHANGE_KEY);
    check_done();
    CHECK(strcmp(before, world.thumbprint) != 0); /* announced */
    CHECK_SLICE(acme_thumbprint(world.acme), world.thumbprint);
    CHECK(record_has(world.thumbprint));
    CHECK(!record_has("next_key"));
    order_goes_through("b.example");
    restart();
    order_goes_through("c.example");
    CHECK_INT(world.ca.num_accounts, 1);
    CHECK_INT(world.ca.num_at[CA_KEY_CHANGE], 1);
    run_change(ACME_CHANGE_KEY); /* and once more */
    check_done();
    order_goes_through("d.example");
    end();
}

/* The new key is in the store, beside the old one, before the CA hears of it. */
static void test_stored_first(void)
{
    begin();
    begin_change(ACME_CHANGE_KEY);
    while (list_empty(&world.ca.pending) && world_turn(&world))
        ;
    CHECK(record_has("next_key"));
    CHECK(record_has("\"key\""));
    CHECK_INT(world.ca.num_at[CA_KEY_CHANGE], 0);
    world_run(&world, EVENTS);
    check_done();
    end();
}

/* The process ends before each event in turn: the account always goes on, with one of both keys. */
static void test_killed_at_every_event(void)
{
    unsigned num_old = 0, num_new = 0;
    for (unsigned kill_at = 0; kill_at < MAX_KILLS; kill_at++) {
        char before[64];
        begin();
        world.ca.eager = world.store.eager = kill_at % 2; /* what has been asked for happens all the same */
        snprintf(before, sizeof before, "%s", world.thumbprint);
        begin_change(ACME_CHANGE_KEY);
        for (unsigned i = 0; i < kill_at / 2; i++)
            world_turn(&world);
        restart();
        order_goes_through("b.example");
        CHECK_INT(world.ca.num_accounts, 1);
        CHECK(!record_has("next_key"));
        bool is_new = strcmp(before, world.thumbprint) != 0;
        num_old += !is_new;
        num_new += is_new;
        end();
    }
    CHECK(num_old >= 4);
    CHECK(num_new > 5);
}

/* The CA's answer is lost: it is asked which key it has. */
static void test_lost_answer(void)
{
    for (int taken = 0; taken < 2; taken++) {
        begin();
        struct ca_script *script = scripted_ca_script(&world.ca, CA_KEY_CHANGE);
        script->lose_reply = taken;
        script->lose_request = !taken;
        script->times = 1;
        run_change(ACME_CHANGE_KEY);
        CHECK_INT(outcome.failed, !taken);
        order_goes_through("b.example");
        CHECK_INT(world.ca.num_accounts, 1);
        CHECK(!record_has("next_key"));
        end();
    }
}

static void test_refused(void)
{
    begin();
    char before[64];
    snprintf(before, sizeof before, "%s", world.thumbprint);
    struct ca_script *script = scripted_ca_script(&world.ca, CA_KEY_CHANGE);
    script->status = 400;
    script->type = "badPublicKey";
    script->body = "no such keys here";
    run_change(ACME_CHANGE_KEY);
    check_refused(PROBLEM_PERMANENT, "no such keys here");
    CHECK_STR(before, world.thumbprint);
    order_goes_through("b.example");
    end();
}

/* The CA is away when the doubt is to be settled: nothing is asked with either key until it is. */
static void test_doubt_outlives_an_outage(void)
{
    begin();
    scripted_ca_script(&world.ca, CA_KEY_CHANGE)->lose_reply = true;
    struct ca_script *away = scripted_ca_script(&world.ca, CA_NEW_ACCOUNT);
    away->lose_request = true;
    run_change(ACME_CHANGE_KEY);
    check_refused(PROBLEM_TRANSIENT, "");
    CHECK(record_has("next_key"));
    away->place = CA_NOWHERE;
    order_goes_through("b.example");
    CHECK(!record_has("next_key"));
    CHECK_INT(world.ca.num_accounts, 1);
    end();
}

static void test_store_fails(void)
{
    begin();
    world.store.write_fault = STORE_FULL;
    run_change(ACME_CHANGE_KEY);
    check_refused(PROBLEM_LOCAL, "storing the new ACME account key");
    CHECK_INT(world.ca.num_at[CA_KEY_CHANGE], 0);
    world.store.write_fault = STORE_OK;
    order_goes_through("b.example");
    CHECK_INT(world.ca.num_accounts, 1);
    end();
}

/* While an order runs nothing is exchanged, and none begins before it is done. */
static void test_waits_for_orders(void)
{
    begin();
    world.ca.validation_polls = 3;
    const struct world_order *running = world_order(&world, "b.example", NULL);
    while (world.num_published == 1)
        world_turn(&world);
    begin_change(ACME_CHANGE_KEY);
    const struct world_order *queued = world_order(&world, "c.example", NULL);
    while (!running->num_done)
        CHECK(world_turn(&world));
    CHECK(running->issued);
    CHECK_INT(outcome.num_done, 0);
    CHECK_INT(world.ca.num_at[CA_KEY_CHANGE], 0);
    CHECK_INT(world.ca.num_at[CA_NEW_ORDER], 2);
    world_run(&world, EVENTS);
    check_done();
    CHECK(queued->issued);
    end();
}

static void test_two_at_once(void)
{
    begin();
    begin_change(ACME_CHANGE_KEY);
    acme_account_change(world.acme, &second_change, ACME_CHANGE_DEACTIVATE, change_done);
    world_turn(&world);
    check_refused(PROBLEM_LOCAL, "another change");
    world_run(&world, EVENTS);
    CHECK_INT(outcome.num_done, 2);
    CHECK(!outcome.failed);
    order_goes_through("b.example");
    end();
}

/* Given up at each moment of its life: orders go on. */
static void test_exchange_canceled(void)
{
    for (unsigned turns = 0; turns < 12; turns++) {
        begin();
        begin_change(ACME_CHANGE_KEY);
        for (unsigned i = 0; i < turns; i++)
            world_turn(&world);
        acme_account_change_cancel(&change);
        acme_account_change_cancel(&change);
        unsigned num_done = outcome.num_done;
        order_goes_through("b.example");
        CHECK_INT(outcome.num_done, num_done);
        restart();
        order_goes_through("c.example");
        CHECK_INT(world.ca.num_accounts, 1);
        CHECK(!record_has("next_key"));
        end();
    }
}

static void test_key_of_ones_own(void)
{
    struct evp_pkey_st *key = NULL;
    struct buf pem = {0};
    CHECK(!err_is(key_generate(KEY_P256, &key)));
    key_write_pem(key, &pem);
    world_init(&world);
    world.options.account_key_pem = buf_slice(&pem);
    world_start_engine(&world);
    order_goes_through("a.example");
    run_change(ACME_CHANGE_KEY);
    check_refused(PROBLEM_LOCAL, "PORTICO_ACME_ACCOUNT_KEY");
    end();
    buf_cleanup_secret(&pem);
    key_free(key);
}

static void test_ca_without_changes(void)
{
    begin();
    world_kill_engine(&world);
    world.ca.has_no_changes = true;
    world_start_engine(&world);
    run_change(ACME_CHANGE_KEY);
    check_refused(PROBLEM_PERMANENT, "keyChange");
    end();
}

/* ---- where there is no account ---- */

static void test_no_account(void)
{
    static const enum acme_account_change_kind kinds[] = {ACME_CHANGE_CONTACT, ACME_CHANGE_KEY, ACME_CHANGE_DEACTIVATE};
    for (size_t i = 0; i < 3; i++) {
        world_init(&world);
        world_start_engine(&world);
        run_change(kinds[i]);
        check_refused(PROBLEM_ACCOUNT, "there is no ACME account yet");
        CHECK_INT(world.ca.num_accounts, 0);
        CHECK_INT(world.store.num_records, 0);
        order_goes_through("a.example");
        end();
    }
}

/* ---- contact ---- */

/* ACME-29 */
static void test_contact(void)
{
    world_init(&world);
    world.options.email = slice_str("ops@a.example");
    world_start_engine(&world);
    order_goes_through("a.example");
    run_change(ACME_CHANGE_CONTACT);
    check_done();
    CHECK_INT(world.ca.num_at[CA_ACCOUNT], 1);
    CHECK(memmem(world.ca.last_new_account.ptr, world.ca.last_new_account.len, "mailto:ops@a.example", 20) != NULL);
    world.ca.refuses_contact = true;
    run_change(ACME_CHANGE_CONTACT);
    check_refused(PROBLEM_ACCOUNT, "");
    CHECK_STR(outcome.type, "invalidContact");
    order_goes_through("b.example");
    end();
}

/* ---- the end of the account ---- */

/* ACME-37: its key is gone, and the next order makes another account. */
static void test_deactivate(void)
{
    begin();
    run_change(ACME_CHANGE_DEACTIVATE);
    check_done();
    CHECK(world.ca.account_deactivated[0]);
    CHECK(!account_record().ptr);
    CHECK(!acme_thumbprint(world.acme).ptr);
    CHECK_STR(acme_account_show(world.acme).state, "none yet");
    order_goes_through("b.example");
    CHECK_INT(world.ca.num_accounts, 2);
    end();
}

/* It was done, but a crash or the store kept its key: doing it again helps. */
static void test_deactivate_again(void)
{
    begin();
    world.store.write_fault = STORE_FULL;
    run_change(ACME_CHANGE_DEACTIVATE);
    check_refused(PROBLEM_LOCAL, "once more");
    world.store.write_fault = STORE_OK;
    restart();
    run_change(ACME_CHANGE_DEACTIVATE);
    check_done();
    CHECK(!account_record().ptr);
    order_goes_through("b.example");
    end();
}

static void test_deactivate_fails(void)
{
    begin();
    struct ca_script *script = scripted_ca_script(&world.ca, CA_ACCOUNT);
    script->status = 500;
    script->type = "serverInternal";
    script->times = 1;
    run_change(ACME_CHANGE_DEACTIVATE);
    check_refused(PROBLEM_TRANSIENT, "");
    order_goes_through("b.example");
    CHECK_INT(world.ca.num_accounts, 1);
    end();
}

/* ---- what is known ---- */

static void test_show(void)
{
    world_init(&world);
    world.options.email = slice_str("ops@a.example");
    world_start_engine(&world);
    CHECK_STR(acme_account_show(world.acme).state, "not read yet");
    world_run(&world, EVENTS);
    CHECK_STR(acme_account_show(world.acme).state, "none yet");
    CHECK(!acme_account_show(world.acme).key_type);
    order_goes_through("a.example");
    struct acme_account_view view = acme_account_show(world.acme);
    CHECK_STR(view.state, "registered");
    CHECK_STR(view.key_type, "p256");
    CHECK_SLICE(view.url, "https://ca.test/account/0");
    CHECK_SLICE(view.contact, "ops@a.example");
    CHECK_SLICE(view.thumbprint, world.thumbprint);
    CHECK_SLICE(view.directory_url, scripted_ca_directory_url);
    CHECK(!view.key_given);
    end();
}

/* ---- revocation ---- */

static void revoke_done(struct acme_revocation *done, const struct problem *problem)
{
    (void)done;
    note(problem);
}

static void begin_revocation(enum acme_revocation_reason reason, bool by_certificate, const char *record)
{
    struct slice rest = memory_store_value(&world.store, record);
    struct evp_pkey_st *key = NULL;
    struct pem_block leaf = {0};
    outcome = (struct outcome){0};
    CHECK(!err_is(key_read_pem(rest, &key)));
    CHECK(!err_is(pem_next(&rest, &leaf)));
    acme_revoke(world.acme, &revocation, buf_slice(&leaf.der), reason, by_certificate ? key : NULL, revoke_done);
    pem_block_cleanup(&leaf);
    key_free(key);
}

static void revoke(enum acme_revocation_reason reason, bool by_certificate)
{
    begin_revocation(reason, by_certificate, "certificate/a.example");
    CHECK_INT(outcome.num_done, 0);
    world_run(&world, EVENTS);
    CHECK_INT(outcome.num_done, 1);
}

/* ACME-9, ACME-120 */
static void test_revoke(void)
{
    static const enum acme_revocation_reason reasons[] = {ACME_REVOKE_UNSPECIFIED, ACME_REVOKE_KEY_COMPROMISE,
                                                          ACME_REVOKE_SUPERSEDED, ACME_REVOKE_CESSATION};
    for (size_t i = 0; i < 4; i++) {
        begin();
        bool by_certificate = reasons[i] == ACME_REVOKE_KEY_COMPROMISE;
        revoke(reasons[i], by_certificate);
        check_done();
        CHECK_INT(world.ca.issued[0].reason, reasons[i]);
        CHECK_INT(world.ca.issued[0].revoked_by_key, by_certificate);
        revoke(reasons[i], by_certificate); /* alreadyRevoked is success */
        check_done();
        CHECK_INT(world.ca.num_at[CA_REVOKE], 2);
        end();
    }
}

/* By the certificate's key it needs no account, and makes none. */
static void test_revoke_without_account(void)
{
    begin();
    world_kill_engine(&world);
    for (size_t i = 0; i < world.store.num_records; i++)
        if (strncmp(world.store.records[i].key, "account/", 8) == 0) {
            memory_store_put(&world.store, slice_str(world.store.records[i].key), SLICE_NONE);
            break;
        }
    CHECK(!account_record().ptr);
    world_start_engine(&world);
    revoke(ACME_REVOKE_SUPERSEDED, false);
    check_refused(PROBLEM_ACCOUNT, "no ACME account");
    revoke(ACME_REVOKE_KEY_COMPROMISE, true);
    check_done();
    CHECK_INT(world.ca.num_accounts, 1);
    CHECK(!account_record().ptr);
    end();
}

static void test_revoke_refused(void)
{
    begin();
    struct ca_script *script = scripted_ca_script(&world.ca, CA_REVOKE);
    script->status = 400;
    script->type = "badRevocationReason";
    script->times = 1;
    script->body = "not that one";
    revoke(ACME_REVOKE_SUPERSEDED, false);
    check_refused(PROBLEM_PERMANENT, "not that one");
    scripted_ca_script(&world.ca, CA_REVOKE)->lose_reply = true;
    revoke(ACME_REVOKE_SUPERSEDED, false);
    check_refused(PROBLEM_TRANSIENT, "");
    CHECK_INT(world.ca.issued[0].reason, ACME_REVOKE_SUPERSEDED);
    world_kill_engine(&world);
    world.ca.has_no_changes = true;
    world_start_engine(&world);
    revoke(ACME_REVOKE_SUPERSEDED, false);
    check_refused(PROBLEM_PERMANENT, "revokeCert");
    end();
}

static void test_revoke_bad_nonces(void)
{
    begin();
    world.ca.bad_nonce_percent = 60;
    revoke(ACME_REVOKE_KEY_COMPROMISE, true);
    check_done();
    CHECK(world.ca.issued[0].revoked_by_key);
    end();
}

static void test_revoke_canceled(void)
{
    for (unsigned turns = 0; turns < 6; turns++) {
        begin();
        begin_revocation(ACME_REVOKE_KEY_COMPROMISE, true, "certificate/a.example");
        for (unsigned i = 0; i < turns; i++)
            world_turn(&world);
        unsigned num_done = outcome.num_done;
        acme_revoke_cancel(&revocation);
        world_run(&world, EVENTS);
        CHECK_INT(outcome.num_done, num_done);
        end();
    }
}

static void test_reasons(void)
{
    static const struct {
        const char *text;
        int reason;
    } rows[] = {{"unspecified", 0},
                {"keyCompromise", 1},
                {"keycompromise", 1},
                {"superseded", 4},
                {"cessationOfOperation", 5},
                {"0", 0},
                {"1", 1},
                {"4", 4},
                {"5", 5},
                {"2", -1},
                {"3", -1},
                {"6", -1},
                {"9", -1},
                {"", -1},
                {"certificateHold", -1},
                {"01", -1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum acme_revocation_reason reason = ACME_REVOKE_UNSPECIFIED;
        bool known = acme_revocation_reason_from_text(slice_str(rows[i].text), &reason);
        CHECK_INT(known ? (int)reason : -1, rows[i].reason);
    }
    CHECK_STR(acme_revocation_reason_text(ACME_REVOKE_CESSATION), "cessationOfOperation");
}

int main(void)
{
    RUN(test_exchange);
    RUN(test_stored_first);
    RUN(test_killed_at_every_event);
    RUN(test_lost_answer);
    RUN(test_refused);
    RUN(test_doubt_outlives_an_outage);
    RUN(test_store_fails);
    RUN(test_waits_for_orders);
    RUN(test_two_at_once);
    RUN(test_exchange_canceled);
    RUN(test_key_of_ones_own);
    RUN(test_ca_without_changes);
    RUN(test_no_account);
    RUN(test_contact);
    RUN(test_deactivate);
    RUN(test_deactivate_again);
    RUN(test_deactivate_fails);
    RUN(test_show);
    RUN(test_revoke);
    RUN(test_revoke_without_account);
    RUN(test_revoke_refused);
    RUN(test_revoke_bad_nonces);
    RUN(test_revoke_canceled);
    RUN(test_reasons);
    return checks_done();
}
