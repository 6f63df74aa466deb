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
    return checks_done();
}
