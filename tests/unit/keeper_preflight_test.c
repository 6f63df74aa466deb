/* What the keeper makes of preflights: played here, in the keeper's world. */
#include "certs/keeper_challenge.h"
#include "check.h"
#include "keeper_world.h"

static const int64_t second_ms = 1000, minute_ms = INT64_C(60000);

static const char *const public_entries[] = {"PORTICO_DOMAINS=a.example.com", "PORTICO_ACME_DIRECTORY=" KW_FALLBACK,
                                             NULL};
static const char *const private_entries[] = {"PORTICO_DOMAINS=a.example.com", NULL};

/* How the world looks from here. */
static struct sky {
    const char *kind; /* of what fails; NULL: nothing does */
    bool silent;      /* looks do not end */
    unsigned num_looks, num_canceled;
    char thumbprint[64], method[32];
    bool http, private_ca, answered;
    struct preflight_run *run;
} sky;

static void sky_tell(void)
{
    struct findings findings = {0};
    struct preflight_run *run = sky.run;
    struct finding *finding =
        findings_add(&findings, "port 80", sky.kind ? sky.kind : "answers", sky.kind ? FINDING_FAIL : FINDING_OK);
    finding->sentence = SLICE_LIT("203.0.113.1 port 80 is odd");
    finding->cure = SLICE_LIT("mend it");
    sky.run = NULL;
    run->job = NULL;
    run->done(run, &findings);
    findings_cleanup(&findings);
}

static struct deferred sky_turn;

static void sky_turned(struct deferred *deferred)
{
    (void)deferred;
    if (sky.run && !sky.silent)
        sky_tell();
}

/* Whether the process that asks answers the token that it would send: what a real preflight finds. */
static bool answers_as_expected(const struct side *side, struct slice thumbprint)
{
    struct buf answer = {0};
    bool same = side->served && certset_http01(side->served, SLICE_LIT("token-of-sixteen-1"), &answer) &&
                slice_eq(slice_skip(buf_slice(&answer), 19), thumbprint);
    buf_cleanup(&answer);
    return same;
}

static void sky_look_at(void *ctx, const struct preflight_question *question, struct preflight_run *run)
{
    struct side *side = ctx;
    CHECK(!sky.run && !run->job);
    CHECK_SLICE(question->name, "a.example.com");
    CHECK_INT(question->thumbprint.len, PREFLIGHT_TOKEN_BYTES);
    sky.num_looks++;
    sky.http = question->http;
    sky.private_ca = question->private_ca;
    sky.answered = answers_as_expected(side, question->thumbprint);
    snprintf(sky.thumbprint, sizeof sky.thumbprint, "%.*s", (int)question->thumbprint.len, question->thumbprint.ptr);
    snprintf(sky.method, sizeof sky.method, "%.*s", (int)question->method.len, question->method.ptr);
    sky.run = run;
    run->job = (struct preflight_job *)&sky; /* not NULL: it runs */
    deferred_init(&sky_turn, sky_turned);
    deferred_start(side->world->loop, &sky_turn);
}

static void sky_look_away(void *ctx, struct preflight_run *run)
{
    (void)ctx;
    CHECK(sky.run == run);
    sky.run = NULL;
    run->job = NULL;
    sky.num_canceled++;
}

static void world_init(struct kw *world, const char *kind)
{
    sky = (struct sky){.kind = kind};
    kw_init(world);
    world->look_at = sky_look_at;
    world->look_away = sky_look_away;
}

static void what_looks_fine_is_ordered_at_once(void)
{
    struct kw world;
    world_init(&world, NULL);
    struct side *side = kw_start(&world, public_entries);
    kw_pass(&world, 5 * second_ms);
    CHECK_INT(world.behind.num_certificates, 1);
    CHECK_INT(sky.num_looks, 1);
    CHECK(sky.answered && sky.http && !sky.private_ca);
    CHECK_STR(sky.method, "http-01");
    CHECK_INT(side_view(side, "a.example.com").hint.len, 0);
    CHECK_INT(kw_logged(&world, "\"preflight_failed\"", NULL), 0);
    kw_cleanup(&world);
}

/* It never vetoes: what is certain holds the first order for ten minutes, what may look so from here alone for one. */
static void what_looks_broken_holds_the_first_order_once(void)
{
    static const struct {
        const char *kind;
        int64_t hold_min;
    } rows[] = {{"redirect-loop", 10}, {"timeout", 1}, {"refused", 1}, {"no-answer", 1}, {"not-resolving", 10}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct kw world;
        world_init(&world, rows[i].kind);
        struct side *side = kw_start(&world, public_entries);
        kw_pass(&world, rows[i].hold_min * minute_ms - 10 * second_ms);
        CHECK_INT(world.behind.num_orders, 0);
        CHECK_SLICE(side_view(side, "a.example.com").hint, "203.0.113.1 port 80 is odd: mend it");
        CHECK_INT(kw_logged(&world, "\"preflight_failed\"", "mend it"), 1);
        CHECK(side_view(side, "a.example.com").next_attempt_ms > world.wall_ms);
        CHECK_INT(side_view(side, "a.example.com").why, KEEPER_WHY_PREFLIGHT);
        kw_pass(&world, 20 * second_ms);
        CHECK_INT(world.behind.num_certificates, 1);
        CHECK_INT(side_view(side, "a.example.com").hint.len, 0);
        kw_cleanup(&world);
    }
}

/* There are many names to be looked at before this one: it waits for its turn, but not for ever. */
static void a_look_that_does_not_come_holds_no_order_on(void)
{
    struct kw world;
    world_init(&world, NULL);
    sky.silent = true;
    struct side *side = kw_start(&world, public_entries);
    kw_pass(&world, 9 * minute_ms);
    CHECK_INT(sky.num_looks, 1);
    CHECK_INT(world.behind.num_orders, 0);
    kw_pass(&world, 2 * minute_ms);
    CHECK_INT(world.behind.num_orders, 1);
    CHECK_INT(side_serves(side, "a.example.com")->source, CERT_ISSUED);
    kw_cleanup(&world);
}

static void what_is_mended_meanwhile_is_not_held_on(void)
{
    struct kw world;
    world_init(&world, "not-resolving");
    kw_start(&world, public_entries);
    kw_pass(&world, 90 * second_ms);
    CHECK_INT(world.behind.num_orders, 0);
    sky.kind = NULL;
    kw_pass(&world, 70 * second_ms);
    CHECK_INT(world.behind.num_certificates, 1);
    CHECK_INT(kw_logged(&world, "\"preflight_passed\"", NULL), 1);
    kw_cleanup(&world);
}

/* ACME-107: the hint is kept beside the CA's words; what is mended ends our own back-off, no sooner than 12 minutes. */
static void a_failed_validation_is_looked_at_until_it_is_mended(void)
{
    struct kw world;
    world_init(&world, NULL);
    world.behind.validation_problem = "connection";
    struct side *side = kw_start(&world, public_entries);
    kw_pass(&world, 13 * minute_ms); /* the second failure: 12 minutes behind the first */
    sky.kind = "other-server";
    kw_pass(&world, 8 * minute_ms);
    CHECK_INT(world.behind.num_orders, 2);
    CHECK_SLICE(side_view(side, "a.example.com").hint, "203.0.113.1 port 80 is odd: mend it");
    CHECK(slice_eq(side_view(side, "a.example.com").problem_type, SLICE_LIT("connection")));
    CHECK(strstr(memory_store_value(&world.disk.memory, "state/a.example.com").ptr, "\"hint\":\"203.0.113.1"));
    kw_pass(&world, 6 * minute_ms); /* the third failure, behind which a hundred minutes would be waited */
    unsigned looks = sky.num_looks;
    kw_pass(&world, 10 * minute_ms); /* every five */
    CHECK_INT(sky.num_looks, looks + 2);
    CHECK_INT(world.behind.num_orders, 3);
    world.behind.validation_problem = NULL;
    sky.kind = NULL;
    kw_pass(&world, 10 * minute_ms);
    CHECK_INT(world.behind.num_certificates, 1);
    CHECK_INT(side_view(side, "a.example.com").hint.len, 0);
    CHECK_STR(world.behind.fault, "");
    kw_cleanup(&world);
}

static void with_a_private_ca_it_only_warns(void)
{
    struct kw world;
    world_init(&world, "not-resolving");
    struct side *side = kw_start(&world, private_entries);
    kw_pass(&world, 5 * second_ms);
    CHECK_INT(world.ca.num_certificates, 1);
    CHECK_INT(sky.num_looks, 0);
    kw_stop(side);
    kw_cleanup(&world);
    world_init(&world, "not-resolving");
    world.ca.validation_problem = "dns";
    side = kw_start(&world, private_entries);
    kw_pass(&world, 5 * second_ms);
    CHECK(sky.num_looks == 1 && sky.private_ca);
    CHECK(side_view(side, "a.example.com").hint.len > 0);
    int64_t next_ms = side_view(side, "a.example.com").next_attempt_ms;
    sky.kind = NULL;
    kw_pass(&world, 6 * minute_ms);
    CHECK_INT(side_view(side, "a.example.com").next_attempt_ms, next_ms);
    kw_cleanup(&world);
}

/* There is no account before the first order: tokens are answered all the same, with what the preflight was told. */
static void answers_are_known_before_there_is_an_account(void)
{
    struct kw world;
    char before[64];
    world_init(&world, NULL);
    sky.silent = true;
    struct side *side = kw_start(&world, public_entries);
    kw_pass(&world, 1 * second_ms);
    CHECK(sky.num_looks == 1 && sky.answered);
    snprintf(before, sizeof before, "%s", sky.thumbprint);
    keeper_account_known(side->keeper,
                         SLICE_LIT("AbcdefghijklmnopqrstuvwxyzAbcdefghijklmnopq")); /* by another name's order */
    kw_pass(&world, 1 * second_ms);
    sky.kind = "foreign-account"; /* what was under way then says nothing */
    sky_tell();
    sky.silent = false;
    sky.kind = NULL;
    kw_pass(&world, 2 * second_ms);
    CHECK_INT(sky.num_looks, 2);
    CHECK(sky.answered && strcmp(sky.thumbprint, before) != 0);
    CHECK_INT(kw_logged(&world, "\"preflight_failed\"", NULL), 0);
    CHECK_INT(world.behind.num_certificates, 1);
    kw_cleanup(&world);
}

static void nothing_is_looked_at_before_every_worker_answers(void)
{
    struct kw world;
    world_init(&world, NULL);
    struct side *side = kw_start(&world, public_entries);
    side->acknowledges = false;
    kw_pass(&world, 3 * second_ms);
    CHECK_INT(sky.num_looks, 0);
    keeper_acknowledged(side->keeper, side->served->generation);
    side->acknowledges = true;
    kw_pass(&world, 3 * second_ms);
    CHECK(sky.num_looks == 1 && sky.answered);
    CHECK_INT(world.behind.num_certificates, 1);
    kw_cleanup(&world);
}

static void what_is_under_way_ends_with_its_name(void)
{
    static const char *const other[] = {"PORTICO_DOMAINS=b.example.com", "PORTICO_ACME_DIRECTORY=" KW_FALLBACK, NULL};
    struct kw world;
    world_init(&world, NULL);
    sky.silent = true;
    struct side *side = kw_start(&world, public_entries);
    kw_pass(&world, 1 * second_ms);
    CHECK(sky.run != NULL);
    side->keeper->world.look_at = NULL; /* the next one is not looked at */
    CHECK(kw_reload(side, other));
    CHECK(!sky.run && sky.num_canceled == 1);
    kw_pass(&world, 1 * second_ms);
    kw_stop(side);
    kw_cleanup(&world);
    world_init(&world, NULL);
    sky.silent = true;
    side = kw_start(&world, public_entries);
    kw_pass(&world, 1 * second_ms);
    kw_stop(side);
    CHECK(!sky.run && sky.num_canceled == 1);
    kw_cleanup(&world);
}

int main(void)
{
    RUN(what_looks_fine_is_ordered_at_once);
    RUN(what_looks_broken_holds_the_first_order_once);
    RUN(a_look_that_does_not_come_holds_no_order_on);
    RUN(what_is_mended_meanwhile_is_not_held_on);
    RUN(a_failed_validation_is_looked_at_until_it_is_mended);
    RUN(with_a_private_ca_it_only_warns);
    RUN(answers_are_known_before_there_is_an_account);
    RUN(nothing_is_looked_at_before_every_worker_answers);
    RUN(what_is_under_way_ends_with_its_name);
    return checks_done();
}
