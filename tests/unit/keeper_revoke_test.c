/* Revocation as people ask for it, by reason (ACME-120): what is replaced first, who signs, what a restart remembers. */
#include "certs/keeper_commands.h"
#include "check.h"
#include "keeper_world.h"

#include <stdlib.h>

static const int64_t minute_ms = INT64_C(60000), hour_ms = INT64_C(3600000), day_ms = INT64_C(86400000);

static struct side *begin(struct kw *world)
{
    kw_init(world);
    world->ca.lifetime_s = 90L * 24 * 3600;
    struct side *side = kw_start_domains(world, "a.example");
    kw_pass(world, minute_ms);
    CHECK_INT(world->ca.num_orders, 1);
    return side;
}

static uint64_t ask_revoke(struct side *side, enum acme_revocation_reason reason)
{
    struct buf refusal = {0};
    struct keeper_command_spec spec = {.kind = KEEPER_REVOKE, .name = SLICE_LIT("a.example"), .reason = reason};
    uint64_t id = keeper_command_begin(side->keeper, &spec, &refusal);
    CHECK_STR(buf_cstr(&refusal), "");
    buf_cleanup(&refusal);
    return id;
}

static enum keeper_command_state state_of(struct side *side, uint64_t id)
{
    struct keeper_command_view view = {.state = KEEPER_COMMAND_FAILED};
    CHECK(keeper_command_look(side->keeper, id, &view));
    return view.state;
}

static bool tells(struct side *side, uint64_t id, const char *text)
{
    struct keeper_command_view view;
    return keeper_command_look(side->keeper, id, &view) && view.text.len &&
           memmem(view.text.ptr, view.text.len, text, strlen(text));
}

static const struct ca_issued *issued_of(const struct kw *world, const char *serial)
{
    for (size_t i = 0; i < world->ca.num_issued; i++)
        if (world->ca.issued[i].serial == strtoull(serial, NULL, 16))
            return &world->ca.issued[i];
    abort();
}

static char *serial_of(const struct side *side)
{
    return mem_strdup(side_serves(side, "a.example")->serial);
}

/* A revocation/ record lies there. */
static bool is_remembered(const struct kw *world)
{
    for (size_t i = 0; i < world->disk.memory.num_records; i++)
        if (strncmp(world->disk.memory.records[i].key, "revocation/", 11) == 0)
            return true;
    return false;
}

static void a_superseded_certificate_is_replaced_before_it_is_revoked(void)
{
    static const enum acme_revocation_reason reasons[] = {ACME_REVOKE_UNSPECIFIED, ACME_REVOKE_SUPERSEDED};
    for (size_t i = 0; i < 2; i++) {
        struct kw world;
        struct side *side = begin(&world);
        char *old = serial_of(side);
        world.ca.authz_reused = true;
        side->acknowledges = false;
        uint64_t id = ask_revoke(side, reasons[i]);
        kw_pass(&world, minute_ms);
        CHECK_INT(world.ca.num_certificates, 2); /* it is issued, and no worker has said that it serves it */
        CHECK_INT(issued_of(&world, old)->reason, -1);
        CHECK(is_remembered(&world));
        CHECK(tells(side, id, "is revoked when its replacement is served"));
        keeper_acknowledged(side->keeper, side->served->generation);
        kw_pass(&world, minute_ms);
        CHECK_INT(issued_of(&world, old)->reason, reasons[i]);
        CHECK(!issued_of(&world, old)->revoked_by_key);
        CHECK_INT(state_of(side, id), KEEPER_COMMAND_DONE);
        CHECK(tells(side, id, "is revoked"));
        CHECK(strcmp(side_serves(side, "a.example")->serial, old) != 0);
        CHECK_INT(issued_of(&world, side_serves(side, "a.example")->serial)->reason, -1);
        CHECK(!is_remembered(&world));
        CHECK_INT(kw_logged(&world, "\"certificate_revoked\"", old), 1);
        CHECK_STR(world.ca.fault, "");
        mem_free(old);
        kw_cleanup(&world);
    }
}

/* Each look at a name asks: that must not cost a key's parsing. */
static bool is_banned_without_its_key(const struct side *side, struct cert *cert)
{
    size_t len = cert->key_len;
    cert->key_len = 0;
    bool banned = keeper_cert_is_banned(side->keeper, cert);
    cert->key_len = len;
    return banned;
}

static void a_disclosed_key_is_revoked_at_once_and_by_itself(void)
{
    struct kw world;
    struct side *side = begin(&world);
    char *old = serial_of(side);
    struct cert *cert = cert_ref((struct cert *)side_serves(side, "a.example"));
    scripted_ca_script(&world.ca, CA_NEW_ORDER)->lose_request = true; /* the replacement has to wait */
    uint64_t id = ask_revoke(side, ACME_REVOKE_KEY_COMPROMISE);
    kw_pass(&world, minute_ms);
    CHECK_INT(issued_of(&world, old)->reason, 1);
    CHECK(issued_of(&world, old)->revoked_by_key);
    CHECK(keeper_cert_is_banned(side->keeper, cert) && is_banned_without_its_key(side, cert));
    CHECK(tells(side, id, "is revoked"));
    CHECK(is_remembered(&world));                           /* until it is replaced */
    CHECK_STR(side_serves(side, "a.example")->serial, old); /* better than none */
    world.ca.num_scripts = 0;
    kw_pass(&world, hour_ms);
    CHECK(strcmp(side_serves(side, "a.example")->serial, old) != 0);
    CHECK(!keeper_cert_is_banned(side->keeper, side_serves(side, "a.example")));
    CHECK(!is_remembered(&world));
    kw_stop(side);
    side = kw_start_domains(&world, "a.example");
    kw_rest(&world);
    CHECK(keeper_cert_is_banned(side->keeper, cert)); /* for ever */
    CHECK_STR(world.ca.fault, "");
    cert_unref(cert);
    mem_free(old);
    kw_cleanup(&world);
}

/* The CA will not revoke it, and a restart forgets that it was asked to: it is replaced all the same. */
static void a_disclosed_key_is_replaced_behind_a_restart(void)
{
    struct kw world;
    struct side *side = begin(&world);
    char *old = serial_of(side);
    *scripted_ca_script(&world.ca, CA_REVOKE) =
        (struct ca_script){.place = CA_REVOKE, .status = 403, .type = "unauthorized", .body = "not yours"};
    scripted_ca_script(&world.ca, CA_NEW_ORDER)->lose_request = true;
    ask_revoke(side, ACME_REVOKE_KEY_COMPROMISE);
    kw_pass(&world, minute_ms);
    CHECK(!is_remembered(&world));
    kw_stop(side);
    world.ca.num_scripts = 0;
    side = kw_start_domains(&world, "a.example");
    kw_pass(&world, hour_ms);
    CHECK(strcmp(side_serves(side, "a.example")->serial, old) != 0);
    CHECK(!keeper_cert_is_banned(side->keeper, side_serves(side, "a.example")));
    CHECK_INT(world.ca.num_certificates, 2);
    mem_free(old);
    kw_cleanup(&world);
}

/* The replacement does not come, and then the key turns out to be known to others: that waits for nothing. */
static void a_disclosed_key_overtakes_a_revocation_that_waits(void)
{
    struct kw world;
    struct side *side = begin(&world);
    char *old = serial_of(side);
    struct cert *cert = cert_ref((struct cert *)side_serves(side, "a.example"));
    scripted_ca_script(&world.ca, CA_NEW_ORDER)->lose_request = true;
    uint64_t before = ask_revoke(side, ACME_REVOKE_SUPERSEDED);
    kw_pass(&world, minute_ms);
    CHECK_INT(issued_of(&world, old)->reason, -1);
    uint64_t id = ask_revoke(side, ACME_REVOKE_KEY_COMPROMISE);
    CHECK(keeper_cert_is_banned(side->keeper, cert));
    kw_pass(&world, minute_ms);
    CHECK_INT(issued_of(&world, old)->reason, 1);
    CHECK(issued_of(&world, old)->revoked_by_key);
    CHECK(tells(side, id, "is revoked"));
    CHECK(tells(side, before, "is revoked"));
    CHECK_STR(world.ca.fault, "");
    cert_unref(cert);
    mem_free(old);
    kw_cleanup(&world);
}

/* Whoever ceases orders no replacement: what waited for one is revoked now. */
static void what_ceases_waits_for_no_replacement(void)
{
    struct kw world;
    struct side *side = begin(&world);
    char *old = serial_of(side);
    scripted_ca_script(&world.ca, CA_NEW_ORDER)->lose_request = true;
    ask_revoke(side, ACME_REVOKE_SUPERSEDED);
    kw_pass(&world, minute_ms);
    CHECK_INT(issued_of(&world, old)->reason, -1);
    uint64_t id = ask_revoke(side, ACME_REVOKE_CESSATION);
    kw_pass(&world, 2 * minute_ms);
    CHECK(issued_of(&world, old)->reason >= 0);
    CHECK(tells(side, id, "is revoked"));
    CHECK(!is_remembered(&world));
    CHECK(side_view(side, "a.example").held);
    mem_free(old);
    kw_cleanup(&world);
}

static void what_ceases_is_not_replaced_until_somebody_asks(void)
{
    struct kw world;
    struct side *side = begin(&world);
    char *old = serial_of(side);
    uint64_t id = ask_revoke(side, ACME_REVOKE_CESSATION);
    kw_pass(&world, minute_ms);
    CHECK_INT(issued_of(&world, old)->reason, 5);
    CHECK_INT(state_of(side, id), KEEPER_COMMAND_DONE);
    kw_stop(side);
    side = kw_start_domains(&world, "a.example");
    kw_pass(&world, 100 * day_ms); /* past its end */
    CHECK_INT(world.ca.num_orders, 1);
    CHECK(side_view(side, "a.example").held);
    struct keeper_command_spec spec = {.kind = KEEPER_RENEW, .name = SLICE_LIT("a.example")};
    CHECK(keeper_command_begin(side->keeper, &spec, NULL) != 0);
    kw_pass(&world, minute_ms);
    CHECK_INT(world.ca.num_orders, 2);
    CHECK(!side_view(side, "a.example").held);
    CHECK_STR(world.ca.fault, "");
    mem_free(old);
    kw_cleanup(&world);
}

static void what_is_revoked_already_is_well(void)
{
    struct kw world;
    struct side *side = begin(&world);
    ((struct ca_issued *)issued_of(&world, side_serves(side, "a.example")->serial))->reason = 4;
    uint64_t id = ask_revoke(side, ACME_REVOKE_CESSATION);
    kw_pass(&world, minute_ms);
    CHECK_INT(state_of(side, id), KEEPER_COMMAND_DONE);
    kw_cleanup(&world);
}

/* The wish lies in the store: whoever may write next goes on, at whatever point the first process died. */
static void a_restart_forgets_no_revocation(void)
{
    static const enum acme_revocation_reason reasons[] = {ACME_REVOKE_SUPERSEDED, ACME_REVOKE_KEY_COMPROMISE,
                                                          ACME_REVOKE_CESSATION};
    int num_remembered = 0;
    for (size_t i = 0; i < 3; i++)
        for (int steps = 0; steps < 30; steps++) {
            struct kw world;
            struct side *side = begin(&world);
            char *old = serial_of(side);
            ask_revoke(side, reasons[i]);
            for (int step = 0; step < steps; step++) {
                uv_run(&world.uv, UV_RUN_NOWAIT);
                if (!memory_store_answer(&world.disk.memory))
                    scripted_ca_answer(&world.ca);
            }
            bool remembered = is_remembered(&world);
            num_remembered += remembered;
            kw_stop(side);
            side = kw_start_domains(&world, "a.example");
            kw_pass(&world, hour_ms);
            if (remembered || issued_of(&world, old)->reason >= 0)
                CHECK_INT(issued_of(&world, old)->reason, reasons[i]);
            if (remembered && reasons[i] != ACME_REVOKE_CESSATION)
                CHECK(strcmp(side_serves(side, "a.example")->serial, old) != 0);
            CHECK(!is_remembered(&world));
            CHECK_STR(world.ca.fault, "");
            mem_free(old);
            kw_cleanup(&world);
        }
    CHECK(num_remembered > 20);
}

static void a_ca_that_does_not_answer_is_asked_again(void)
{
    struct kw world;
    struct side *side = begin(&world);
    char *old = serial_of(side);
    scripted_ca_script(&world.ca, CA_REVOKE)->lose_request = true;
    uint64_t id = ask_revoke(side, ACME_REVOKE_CESSATION);
    kw_pass(&world, 10 * minute_ms);
    CHECK_INT(state_of(side, id), KEEPER_COMMAND_FAILED);
    CHECK(tells(side, id, "is not revoked: ") && tells(side, id, "the CA is asked again at "));
    CHECK(is_remembered(&world));
    world.ca.num_scripts = 0;
    kw_pass(&world, 3 * hour_ms);
    CHECK_INT(issued_of(&world, old)->reason, 5);
    CHECK(!is_remembered(&world));
    mem_free(old);
    kw_cleanup(&world);
}

static void what_the_ca_refuses_is_given_up(void)
{
    struct kw world;
    struct side *side = begin(&world);
    struct ca_script *script = scripted_ca_script(&world.ca, CA_REVOKE);
    *script = (struct ca_script){.place = CA_REVOKE, .status = 403, .type = "unauthorized", .body = "not yours"};
    uint64_t id = ask_revoke(side, ACME_REVOKE_CESSATION);
    kw_pass(&world, minute_ms);
    CHECK_INT(state_of(side, id), KEEPER_COMMAND_FAILED);
    CHECK(tells(side, id, "not yours"));
    CHECK(!is_remembered(&world));
    CHECK_INT(kw_logged(&world, "\"certificate_not_revoked\"", "\"again\":false"), 1);
    kw_cleanup(&world);
}

/* Nobody is told that it has begun before a restart would go on with it. */
static void what_is_begun_is_stored(void)
{
    static const enum acme_revocation_reason reasons[] = {ACME_REVOKE_SUPERSEDED, ACME_REVOKE_KEY_COMPROMISE,
                                                          ACME_REVOKE_CESSATION};
    for (size_t i = 0; i < 3; i++) {
        struct kw world;
        struct side *side = begin(&world);
        uint64_t id = ask_revoke(side, reasons[i]);
        CHECK_INT(state_of(side, id), KEEPER_COMMAND_QUEUED);
        CHECK(tells(side, id, "is to be revoked: the wish is being stored"));
        while (!is_remembered(&world)) {
            CHECK_INT(kw_logged(&world, "\"command_begun\"", NULL), 0);
            CHECK_INT(state_of(side, id), KEEPER_COMMAND_QUEUED);
            CHECK(kw_step(&world));
        }
        CHECK(state_of(side, id) != KEEPER_COMMAND_QUEUED);
        CHECK_INT(kw_logged(&world, "\"command_begun\",\"command\":\"revoke\"", "a.example"), 1);
        kw_cleanup(&world);
    }
}

/* Only a disclosed key does not wait for a disk. */
static void what_cannot_be_stored_is_not_begun(void)
{
    for (int compromised = 0; compromised < 2; compromised++) {
        struct kw world;
        struct side *side = begin(&world);
        char *old = serial_of(side);
        world.disk.memory.write_fault = STORE_FULL;
        uint64_t id = ask_revoke(side, compromised ? ACME_REVOKE_KEY_COMPROMISE : ACME_REVOKE_CESSATION);
        kw_pass(&world, minute_ms);
        CHECK_INT(issued_of(&world, old)->reason, compromised ? 1 : -1);
        CHECK(tells(side, id, compromised ? "is revoked" : "could not be stored (no space left)"));
        mem_free(old);
        kw_cleanup(&world);
    }
}

static void a_reload_loses_no_revocation(void)
{
    static const char *const entries[] = {"PORTICO_DOMAINS=a.example", "PORTICO_ACME_EMAIL=new@a.example", NULL};
    struct kw world;
    struct side *side = begin(&world);
    char *old = serial_of(side);
    uint64_t id = ask_revoke(side, ACME_REVOKE_CESSATION);
    for (int i = 0; i < 3; i++) {
        uv_run(&world.uv, UV_RUN_NOWAIT);
        memory_store_answer(&world.disk.memory);
    }
    CHECK(kw_reload(side, entries)); /* another engine, amid the question */
    kw_pass(&world, 2 * minute_ms);
    CHECK_INT(state_of(side, id), KEEPER_COMMAND_DONE);
    CHECK_INT(issued_of(&world, old)->reason, 5);
    mem_free(old);
    kw_cleanup(&world);
}

static void what_has_no_certificate_is_refused(void)
{
    struct kw world;
    struct buf refusal = {0};
    struct keeper_command_spec spec = {.kind = KEEPER_REVOKE, .name = SLICE_LIT("a.example")};
    kw_init(&world);
    scripted_ca_script(&world.ca, CA_NEW_ORDER)->lose_request = true;
    struct side *side = kw_start_domains(&world, "a.example");
    kw_pass(&world, minute_ms);
    CHECK_INT(keeper_command_begin(side->keeper, &spec, &refusal), 0);
    CHECK(strstr(buf_cstr(&refusal), "has no certificate of a CA"));
    buf_cleanup(&refusal);
    kw_cleanup(&world);
}

int main(void)
{
    RUN(a_superseded_certificate_is_replaced_before_it_is_revoked);
    RUN(a_disclosed_key_is_revoked_at_once_and_by_itself);
    RUN(a_disclosed_key_is_replaced_behind_a_restart);
    RUN(a_disclosed_key_overtakes_a_revocation_that_waits);
    RUN(what_ceases_waits_for_no_replacement);
    RUN(what_ceases_is_not_replaced_until_somebody_asks);
    RUN(what_is_revoked_already_is_well);
    RUN(a_restart_forgets_no_revocation);
    RUN(a_ca_that_does_not_answer_is_asked_again);
    RUN(what_the_ca_refuses_is_given_up);
    RUN(what_is_begun_is_stored);
    RUN(what_cannot_be_stored_is_not_begun);
    RUN(a_reload_loses_no_revocation);
    RUN(what_has_no_certificate_is_refused);
    return checks_done();
}
