/* What people ask of the keeper: a new certificate now, and what is told of it. */
#include "certs/keeper_commands.h"
#include "check.h"
#include "keeper_world.h"

static const int64_t minute_ms = INT64_C(60000), hour_ms = INT64_C(3600000), day_ms = INT64_C(86400000);

static const char *const both_entries[] = {"PORTICO_DOMAINS=a.example", "PORTICO_ACME_KEY_TYPE=p256,rsa2048", NULL};

/* A world in which a.example and b.example are served with certificates of the CA. */
static struct side *begin(struct kw *world)
{
    kw_init(world);
    world->ca.lifetime_s = 90L * 24 * 3600;
    struct side *side = kw_start_domains(world, "a.example,b.example");
    kw_pass(world, minute_ms);
    CHECK_INT(world->ca.num_orders, 2);
    return side;
}

static uint64_t renew(struct side *side, const char *name, bool force)
{
    struct buf refusal = {0};
    struct keeper_command_spec spec = {.kind = KEEPER_RENEW, .name = slice_str(name), .force = force};
    uint64_t id = keeper_command_begin(side->keeper, &spec, &refusal);
    CHECK_STR(buf_cstr(&refusal), "");
    CHECK(id != 0);
    buf_cleanup(&refusal);
    return id;
}

static void check_refused(struct side *side, const char *name, const char *why)
{
    struct buf refusal = {0};
    struct keeper_command_spec spec = {.kind = KEEPER_RENEW, .name = slice_str(name)};
    CHECK_INT(keeper_command_begin(side->keeper, &spec, &refusal), 0);
    CHECK(strstr(buf_cstr(&refusal), why));
    buf_cleanup(&refusal);
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

static void a_certificate_is_renewed_when_asked_for(void)
{
    struct kw world;
    struct side *side = begin(&world);
    char *before = mem_strdup(side_serves(side, "a.example")->serial);
    uint64_t id = renew(side, "a.example", false);
    CHECK_INT(state_of(side, id), KEEPER_COMMAND_QUEUED);
    kw_pass(&world, minute_ms);
    CHECK_INT(state_of(side, id), KEEPER_COMMAND_DONE);
    CHECK(strcmp(side_serves(side, "a.example")->serial, before) != 0);
    CHECK(tells(side, id, side_serves(side, "a.example")->serial));
    CHECK_INT(world.ca.num_orders, 3); /* of a alone */
    CHECK_INT(kw_logged(&world, "\"order_started\"", "\"reason\":\"asked for\""), 1);
    CHECK_INT(kw_logged(&world, "\"command_begun\",\"command\":\"renew\"", "a.example"), 1);
    kw_pass(&world, day_ms); /* once */
    CHECK_INT(world.ca.num_orders, 3);
    CHECK_STR(world.ca.fault, "");
    mem_free(before);
    kw_cleanup(&world);
}

/* Not before every worker serves it. */
static void it_ends_when_the_certificate_is_served(void)
{
    struct kw world;
    struct side *side = begin(&world);
    uint64_t id = renew(side, "a.example", false);
    world.ca.authz_reused = true; /* no challenge that would wait for the workers */
    side->acknowledges = false;
    kw_pass(&world, 1000);
    CHECK_INT(world.ca.num_certificates, 3);
    CHECK_INT(state_of(side, id), KEEPER_COMMAND_RUNNING);
    keeper_acknowledged(side->keeper, side->served->generation);
    CHECK_INT(state_of(side, id), KEEPER_COMMAND_DONE);
    kw_cleanup(&world);
}

static struct ca_script *orders_fail(struct kw *world, int status, const char *type, const char *retry_after)
{
    struct ca_script *script = scripted_ca_script(&world->ca, CA_NEW_ORDER);
    *script = (struct ca_script){
        .place = CA_NEW_ORDER, .status = status, .type = type, .body = "no", .retry_after = retry_after};
    return script;
}

static void a_failure_is_told_with_its_cause(void)
{
    struct kw world;
    struct side *side = begin(&world);
    orders_fail(&world, 403, "rejectedIdentifier", NULL);
    uint64_t id = renew(side, "a.example", false);
    kw_pass(&world, minute_ms);
    CHECK_INT(state_of(side, id), KEEPER_COMMAND_FAILED);
    CHECK(tells(side, id, "a.example: no new certificate: "));
    struct buf sentence = {0};
    buf_append_slice(&sentence, side_view(side, "a.example").problem_sentence);
    CHECK(sentence.len > 10 && tells(side, id, buf_cstr(&sentence)));
    buf_cleanup(&sentence);
    world.ca.num_scripts = 0;
    kw_pass(&world, 3 * day_ms); /* the name goes on by itself; what was told stays */
    CHECK_INT(state_of(side, id), KEEPER_COMMAND_FAILED);
    kw_cleanup(&world);
}

/* ACME-113: our own back-off is for nobody who asks; ACME-20: the CA's Retry-After is, but for --force. */
static void the_back_off_is_passed_over_and_the_ca_s_word_is_not(void)
{
    struct kw world;
    struct side *side = begin(&world);
    orders_fail(&world, 403, "rejectedIdentifier", NULL);
    renew(side, "a.example", false);
    kw_pass(&world, minute_ms);
    world.ca.num_scripts = 0;
    uint64_t id = renew(side, "a.example", false); /* it would be tried in a day */
    kw_pass(&world, minute_ms);
    CHECK_INT(state_of(side, id), KEEPER_COMMAND_DONE);
    orders_fail(&world, 429, "rateLimited", "7200");
    renew(side, "a.example", false);
    kw_pass(&world, minute_ms);
    world.ca.num_scripts = 0;
    unsigned num_requests = world.ca.num_requests;
    id = renew(side, "a.example", false);
    kw_pass(&world, minute_ms);
    CHECK_INT(state_of(side, id), KEEPER_COMMAND_WAITING);
    CHECK(tells(side, id, "the CA asked to wait"));
    CHECK_INT(world.ca.num_requests, num_requests);
    uint64_t forced = renew(side, "a.example", true);
    kw_pass(&world, minute_ms);
    CHECK_INT(state_of(side, forced), KEEPER_COMMAND_DONE);
    CHECK_INT(state_of(side, id), KEEPER_COMMAND_DONE); /* both wanted the same */
    kw_cleanup(&world);
}

/* What was asked for and has to wait is not forgotten. */
static void it_is_ordered_when_the_ca_allows_it(void)
{
    struct kw world;
    struct side *side = begin(&world);
    orders_fail(&world, 429, "rateLimited", "7200");
    renew(side, "a.example", false);
    kw_pass(&world, minute_ms);
    world.ca.num_scripts = 0;
    uint64_t id = renew(side, "a.example", false);
    kw_pass(&world, 90 * minute_ms);
    CHECK_INT(state_of(side, id), KEEPER_COMMAND_WAITING);
    kw_pass(&world, hour_ms);
    CHECK_INT(state_of(side, id), KEEPER_COMMAND_DONE);
    kw_cleanup(&world);
}

static void both_certificates_of_a_name_are_renewed(void)
{
    struct kw world;
    kw_init(&world);
    struct side *side = kw_start(&world, both_entries);
    kw_pass(&world, minute_ms);
    CHECK_INT(world.ca.num_orders, 2);
    uint64_t id = renew(side, "a.example", false);
    kw_pass(&world, minute_ms);
    CHECK_INT(world.ca.num_orders, 4);
    CHECK_INT(state_of(side, id), KEEPER_COMMAND_DONE);
    CHECK(tells(side, id, "a.example (p256): certificate ") && tells(side, id, "a.example (rsa2048): certificate "));
    kw_cleanup(&world);
}

static void what_cannot_be_renewed_is_refused(void)
{
    struct kw world;
    struct side *side = begin(&world);
    static const char *const local[] = {"PORTICO_DOMAINS=a.example,app.internal", "PORTICO_ACME_DIRECTORY=letsencrypt",
                                        NULL};
    check_refused(side, "c.example", "none of the names of PORTICO_DOMAINS");
    check_refused(side, "a.example:rsa", "none of the names");
    struct side *second = kw_start_domains(&world, "a.example");
    check_refused(second, "a.example", "starting");
    kw_rest(&world);
    check_refused(second, "a.example", "standby");
    keeper_stop_ordering(side->keeper);
    check_refused(side, "a.example", "drains");
    kw_stop(second);
    kw_stop(side);
    side = kw_start(&world, local);
    kw_rest(&world);
    check_refused(side, "app.internal", "local CA");
    kw_cleanup(&world);
}

static void a_name_that_leaves_ends_its_command(void)
{
    struct kw world;
    struct side *side = begin(&world);
    orders_fail(&world, 429, "rateLimited", "7200");
    renew(side, "a.example", false);
    kw_pass(&world, minute_ms);
    uint64_t id = renew(side, "a.example", false);
    kw_rest(&world);
    CHECK_INT(state_of(side, id), KEEPER_COMMAND_WAITING);
    CHECK(kw_reload_domains(side, "b.example"));
    CHECK_INT(state_of(side, id), KEEPER_COMMAND_FAILED);
    CHECK(tells(side, id, "left the configuration"));
    kw_cleanup(&world);
}

static void commands_are_few_and_the_oldest_is_forgotten(void)
{
    struct kw world;
    struct side *side = begin(&world);
    struct keeper_command_view view;
    struct buf refusal = {0};
    struct keeper_command_spec spec = {.kind = KEEPER_RENEW, .name = SLICE_LIT("a.example")};
    uint64_t first = renew(side, "a.example", false);
    for (int i = 1; i < LIMIT_COMMANDS; i++)
        renew(side, "a.example", false);
    CHECK_INT(keeper_command_begin(side->keeper, &spec, &refusal), 0);
    CHECK(strstr(buf_cstr(&refusal), "too many"));
    CHECK_INT(world.ca.num_orders, 2); /* one will do for all */
    kw_pass(&world, minute_ms);
    CHECK_INT(world.ca.num_orders, 3);
    CHECK_INT(state_of(side, first), KEEPER_COMMAND_DONE);
    renew(side, "b.example", false);
    CHECK(!keeper_command_look(side->keeper, first, &view));
    CHECK(keeper_command_look(side->keeper, first + 1, &view));
    CHECK(!keeper_command_look(side->keeper, 0, &view));
    buf_cleanup(&refusal);
    kw_cleanup(&world);
}

/* ---- the account ---- */

static uint64_t ask(struct side *side, const struct keeper_command_spec *spec)
{
    struct buf refusal = {0};
    uint64_t id = keeper_command_begin(side->keeper, spec, &refusal);
    CHECK_STR(buf_cstr(&refusal), "");
    buf_cleanup(&refusal);
    return id;
}

static void check_ask_refused(struct side *side, const struct keeper_command_spec *spec, const char *why)
{
    struct buf refusal = {0};
    CHECK_INT(keeper_command_begin(side->keeper, spec, &refusal), 0);
    CHECK(strstr(buf_cstr(&refusal), why));
    buf_cleanup(&refusal);
}

static bool shows(const struct side *side, const char *text)
{
    struct buf out = {0};
    keeper_accounts_write(side->keeper, &out);
    bool found = strstr(buf_cstr(&out), text) != NULL;
    buf_cleanup(&out);
    return found;
}

/* ACME-36: the old key is of no use behind it, and the next order goes by the new one. */
static void the_account_s_key_is_exchanged(void)
{
    struct kw world;
    struct side *side = begin(&world);
    struct keeper_command_spec spec = {.kind = KEEPER_ACCOUNT_ROLLOVER};
    struct evp_pkey_st *old = key_ref(world.ca.account_keys[0]);
    uint64_t id = ask(side, &spec);
    CHECK_INT(state_of(side, id), KEEPER_COMMAND_RUNNING);
    kw_pass(&world, minute_ms);
    CHECK_INT(state_of(side, id), KEEPER_COMMAND_DONE);
    CHECK(tells(side, id, "its key is a new one, thumbprint "));
    CHECK(!key_same_public(old, world.ca.account_keys[0]));
    renew(side, "a.example", false);
    kw_pass(&world, minute_ms);
    CHECK_INT(world.ca.num_certificates, 3);
    CHECK_INT(world.ca.num_accounts, 1);
    CHECK_STR(world.ca.fault, "");
    key_free(old);
    kw_cleanup(&world);
}

static void the_account_is_shown_told_and_ended(void)
{
    static const char *const entries[] = {"PORTICO_DOMAINS=a.example", "PORTICO_ACME_EMAIL=x@a.example", NULL};
    struct kw world;
    kw_init(&world);
    struct side *side = kw_start(&world, entries);
    CHECK(shows(side, "state      not read yet"));
    check_ask_refused(side, &(struct keeper_command_spec){.kind = KEEPER_ACCOUNT_UPDATE}, "starting");
    kw_pass(&world, minute_ms);
    CHECK(shows(side, "state      registered") && shows(side, "contact    x@a.example") &&
          shows(side, "key        p256"));
    uint64_t id = ask(side, &(struct keeper_command_spec){.kind = KEEPER_ACCOUNT_UPDATE});
    kw_pass(&world, minute_ms);
    CHECK_INT(state_of(side, id), KEEPER_COMMAND_DONE);
    CHECK(tells(side, id, "its contact is x@a.example"));
    id = ask(side, &(struct keeper_command_spec){.kind = KEEPER_ACCOUNT_DEACTIVATE});
    kw_pass(&world, minute_ms);
    CHECK_INT(state_of(side, id), KEEPER_COMMAND_DONE);
    CHECK(world.ca.account_deactivated[0]);
    renew(side, "a.example", false);
    kw_pass(&world, minute_ms);
    CHECK_INT(world.ca.num_accounts, 2); /* the next order makes a new one */
    CHECK_INT(world.ca.num_certificates, 2);
    CHECK_STR(world.ca.fault, "");
    kw_cleanup(&world);
}

static void what_is_no_account_of_ours_to_change_is_refused(void)
{
    struct kw world;
    struct side *side = begin(&world);
    check_ask_refused(side, &(struct keeper_command_spec){.kind = KEEPER_ACCOUNT_UPDATE, .fallback = true},
                      "PORTICO_ACME_FALLBACK is not set");
    uint64_t id = ask(side, &(struct keeper_command_spec){.kind = KEEPER_ACCOUNT_ROLLOVER});
    uint64_t second = ask(side, &(struct keeper_command_spec){.kind = KEEPER_ACCOUNT_DEACTIVATE});
    kw_pass(&world, minute_ms);
    CHECK_INT(state_of(side, id), KEEPER_COMMAND_DONE);
    CHECK_INT(state_of(side, second), KEEPER_COMMAND_FAILED);
    CHECK(tells(side, second, "another change of the ACME account is under way"));
    id = ask(side, &(struct keeper_command_spec){.kind = KEEPER_ACCOUNT_ROLLOVER});
    CHECK(kw_reload_domains(side, "a.example")); /* the engines stay */
    CHECK_INT(state_of(side, id), KEEPER_COMMAND_RUNNING);
    static const char *const entries[] = {"PORTICO_DOMAINS=a.example", "PORTICO_ACME_EMAIL=new@a.example", NULL};
    CHECK(kw_reload(side, entries)); /* they go */
    CHECK_INT(state_of(side, id), KEEPER_COMMAND_FAILED);
    CHECK(tells(side, id, "ask again"));
    kw_pass(&world, minute_ms);
    CHECK_STR(world.ca.fault, "");
    kw_cleanup(&world);
}

/* ---- the rehearsal ---- */

static const struct keeper_command_spec dry_spec = {.kind = KEEPER_DRY_RUN,
                                                    .directory = {KW_FALLBACK, sizeof KW_FALLBACK - 1}};

static size_t num_records(const struct kw *world, const char *prefix)
{
    size_t num = 0;
    for (size_t i = 0; i < world->disk.memory.num_records; i++)
        num += strncmp(world->disk.memory.records[i].key, prefix, strlen(prefix)) == 0;
    return num;
}

/* ACME-117: an account of its own. */
static void a_rehearsal_orders_every_name_and_changes_nothing(void)
{
    struct kw world;
    struct side *side = begin(&world);
    char *serial = mem_strdup(side_serves(side, "a.example")->serial);
    size_t num_certificates = num_records(&world, "certificate/");
    uint64_t id = ask(side, &dry_spec);
    CHECK(tells(side, id, "0 of 2 names are through at " KW_FALLBACK));
    kw_pass(&world, minute_ms);
    CHECK_INT(state_of(side, id), KEEPER_COMMAND_DONE);
    CHECK(tells(side, id, "a.example  ok\nb.example  ok\n"));
    CHECK(tells(side, id, "2 ordered well at " KW_FALLBACK ", 0 not"));
    CHECK_INT(world.behind.num_certificates, 2);
    CHECK_INT(world.behind.num_accounts, 1);
    CHECK_INT(world.ca.num_orders, 2);
    CHECK_STR(side_serves(side, "a.example")->serial, serial);
    CHECK_INT(num_records(&world, "certificate/"), num_certificates);
    CHECK_INT(num_records(&world, "order/"), 0);
    CHECK_INT(side->served->pending.num, 0);
    CHECK_STR(world.behind.fault, "");
    id = ask(side, &dry_spec); /* again, by the same account */
    kw_pass(&world, minute_ms);
    CHECK_INT(state_of(side, id), KEEPER_COMMAND_DONE);
    CHECK_INT(world.behind.num_certificates, 4);
    CHECK_INT(world.behind.num_accounts, 1);
    mem_free(serial);
    kw_cleanup(&world);
}

/* ACME-47: what fails by one challenge is tried by another; what was wrong with the first is told. */
static void a_rehearsal_tells_what_fails(void)
{
    struct kw world;
    struct side *side = begin(&world);
    world.behind.validation_problem = "connection";
    world.behind.offers = 1U << ACME_HTTP_01 | 1U << ACME_TLS_ALPN_01;
    world.behind.fails = 1U << ACME_HTTP_01;
    uint64_t id = ask(side, &dry_spec);
    kw_pass(&world, 10 * minute_ms);
    CHECK_INT(state_of(side, id), KEEPER_COMMAND_DONE);
    CHECK(tells(side, id, "a.example  ok, but not by http-01: "));
    world.behind.fails = 0;
    id = ask(side, &dry_spec);
    kw_pass(&world, 10 * minute_ms);
    CHECK_INT(state_of(side, id), KEEPER_COMMAND_FAILED);
    CHECK(tells(side, id, "a.example  failed: http-01: ") && tells(side, id, "; and tls-alpn-01: "));
    CHECK(tells(side, id, "0 ordered well at "));
    CHECK_INT(side_view(side, "a.example").num_failures, 0); /* nothing is held against the name */
    kw_cleanup(&world);
}

static void a_rehearsal_needs_a_directory_for_it(void)
{
    struct kw world;
    struct side *side = begin(&world);
    check_ask_refused(side, &(struct keeper_command_spec){.kind = KEEPER_DRY_RUN}, "dry-run --directory URL");
    struct keeper_command_spec own = {.kind = KEEPER_DRY_RUN, .directory = slice_str(scripted_ca_directory_url)};
    check_ask_refused(side, &own, "PORTICO_ACME_DIRECTORY itself");
    struct keeper_command_spec bad = {.kind = KEEPER_DRY_RUN, .directory = SLICE_LIT("http://ca.test/dir")};
    check_ask_refused(side, &bad, "not an https URL");
    uint64_t id = ask(side, &dry_spec);
    check_ask_refused(side, &dry_spec, "another rehearsal is under way");
    keeper_stop_ordering(side->keeper);
    CHECK_INT(state_of(side, id), KEEPER_COMMAND_FAILED);
    CHECK(tells(side, id, "broken off"));
    kw_cleanup(&world);
}

static void a_rehearsal_of_lets_encrypt_is_at_its_staging(void)
{
    CHECK_SLICE(config_staging_of(SLICE_LIT("https://acme-v02.api.letsencrypt.org/directory")),
                "https://acme-staging-v02.api.letsencrypt.org/directory");
    CHECK_INT(config_staging_of(SLICE_LIT("https://acme.zerossl.com/v2/DV90")).len, 0);
}

int main(void)
{
    RUN(a_certificate_is_renewed_when_asked_for);
    RUN(it_ends_when_the_certificate_is_served);
    RUN(a_failure_is_told_with_its_cause);
    RUN(the_back_off_is_passed_over_and_the_ca_s_word_is_not);
    RUN(it_is_ordered_when_the_ca_allows_it);
    RUN(both_certificates_of_a_name_are_renewed);
    RUN(what_cannot_be_renewed_is_refused);
    RUN(a_name_that_leaves_ends_its_command);
    RUN(commands_are_few_and_the_oldest_is_forgotten);
    RUN(the_account_s_key_is_exchanged);
    RUN(the_account_is_shown_told_and_ended);
    RUN(what_is_no_account_of_ours_to_change_is_refused);
    RUN(a_rehearsal_orders_every_name_and_changes_nothing);
    RUN(a_rehearsal_tells_what_fails);
    RUN(a_rehearsal_needs_a_directory_for_it);
    RUN(a_rehearsal_of_lets_encrypt_is_at_its_staging);
    return checks_done();
}
