/* What people read of a name's next order: when, why then, and how the last one went. */
#include "check.h"
#include "keeper_world.h"

static const int64_t minute_ms = INT64_C(60000), day_ms = INT64_C(86400000);
static const char the_name[] = "a.example.com";

static struct kw world;

static void check_why(const struct side *side, enum keeper_why why)
{
    CHECK_STR(keeper_why_token(side_view(side, the_name).why), keeper_why_token(why));
}

static struct side *start(void)
{
    struct side *side = kw_start_domains(&world, the_name);
    kw_pass(&world, minute_ms);
    return side;
}

static void end(void)
{
    CHECK_STR(world.ca.fault, "");
    kw_cleanup(&world);
}

static void a_renewal_by_window_floor_or_age(void)
{
    static const struct {
        bool ari;
        int64_t start_days;
        enum keeper_why why;
    } rows[] = {{true, 60, KEEPER_WHY_WINDOW}, {true, 85, KEEPER_WHY_FLOOR}, {false, 0, KEEPER_WHY_AGE}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        kw_init(&world);
        world.ca.has_renewal_info = rows[i].ari;
        world.ca.ari_start_ms = world.wall_ms + rows[i].start_days * day_ms;
        world.ca.ari_end_ms = rows[i].ari ? world.ca.ari_start_ms + 5 * day_ms : 0; /* before the floor, at day 67 */
        struct side *side = start();
        check_why(side, rows[i].why);
        struct keeper_name_view view = side_view(side, the_name);
        CHECK_INT(view.next_attempt_ms, view.renew_at_ms);
        end();
    }
}

/* Our own back-off, and the CA's Retry-After where that is longer. */
static void a_retry(void)
{
    static const struct {
        const char *retry_after;
        enum keeper_why why;
    } rows[] = {{NULL, KEEPER_WHY_RETRY}, {"1", KEEPER_WHY_RETRY}, {"7200", KEEPER_WHY_RETRY_AFTER}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        kw_init(&world);
        struct ca_script *script = scripted_ca_script(&world.ca, CA_NEW_ORDER);
        script->status = 429;
        script->type = "rateLimited";
        script->retry_after = rows[i].retry_after;
        struct side *side = start();
        CHECK(side_view(side, the_name).num_failures > 0);
        check_why(side, rows[i].why);
        end();
    }
}

/* An order that is asked for and fails is tried again; it does not go back to the date of the renewal. */
static void an_order_that_was_asked_for(void)
{
    kw_init(&world);
    struct side *side = start();
    check_why(side, KEEPER_WHY_AGE);
    struct ca_script *script = scripted_ca_script(&world.ca, CA_NEW_ORDER);
    script->status = 403;
    script->type = "rejectedIdentifier";
    CHECK_INT(keeper_renew(side->keeper, SLICE_LIT("a.example.com"), false, NULL), KEEPER_RENEWS);
    kw_pass(&world, minute_ms);
    check_why(side, KEEPER_WHY_RETRY);
    CHECK(side_view(side, the_name).next_attempt_ms < side_view(side, the_name).renew_at_ms);
    end();
}

static void a_name_that_is_held(void)
{
    kw_init(&world);
    struct side *side = start();
    CHECK(keeper_hold(side->keeper, SLICE_LIT("a.example.com")));
    kw_pass(&world, minute_ms);
    check_why(side, KEEPER_WHY_HELD);
    CHECK_INT(side_view(side, the_name).next_attempt_ms, 0);
    CHECK_INT(keeper_renew(side->keeper, SLICE_LIT("a.example.com"), false, NULL), KEEPER_RENEWS);
    kw_pass(&world, minute_ms);
    check_why(side, KEEPER_WHY_AGE);
    end();
}

struct waits {
    unsigned num_lines, num_retries, num_failed;
};

static void count_wait(void *ctx, const struct keeper_name_view *view)
{
    struct waits *waits = ctx;
    waits->num_lines++;
    waits->num_retries += view->why == KEEPER_WHY_RETRY;
    waits->num_failed += view->num_failures > 0;
}

/* Of two certificates one waits for the other's failure: its own would go at once. */
static void the_other_certificate_of_the_name(void)
{
    static const char *const entries[] = {"PORTICO_DOMAINS=a.example.com", "PORTICO_ACME_KEY_TYPE=p256,rsa2048", NULL};
    kw_init(&world);
    world.ca.validation_problem = "unauthorized";
    struct side *side = kw_start(&world, entries);
    kw_pass(&world, minute_ms);
    CHECK_INT(world.ca.num_orders, 1);
    struct waits waits = {0};
    keeper_each(side->keeper, count_wait, &waits);
    CHECK_INT(waits.num_lines, 2);
    CHECK_INT(waits.num_retries, 2);
    CHECK_INT(waits.num_failed, 1);
    end();
}

static void names_that_nobody_orders_have_no_reason(void)
{
    kw_init(&world);
    struct side *side = kw_start_domains(&world, "a.example.com,localhost");
    kw_pass(&world, minute_ms);
    CHECK_STR(keeper_why_token(side_view(side, "localhost").why),
              side_view(side, "localhost").managed ? keeper_why_token(KEEPER_WHY_AGE) : "");
    end();
}

/* Also behind a restart. */
static void the_challenge_and_the_directory(void)
{
    kw_init(&world);
    struct side *side = kw_start_domains(&world, the_name);
    CHECK_SLICE(side_view(side, the_name).challenge, "");
    kw_pass(&world, minute_ms);
    CHECK_SLICE(side_view(side, the_name).challenge, "http-01");
    CHECK_SLICE(side_view(side, the_name).order_directory_url, scripted_ca_directory_url);
    kw_stop(side);
    side = kw_start_domains(&world, the_name);
    kw_pass(&world, minute_ms);
    CHECK_SLICE(side_view(side, the_name).challenge, "http-01");
    CHECK_SLICE(side_view(side, the_name).order_directory_url, "");
    end();
}

/* A failed challenge is told too, and that no challenge was needed. */
static void the_challenge_of_a_failure(void)
{
    kw_init(&world);
    world.ca.validation_problem = "unauthorized";
    struct side *side = start();
    CHECK_SLICE(side_view(side, the_name).challenge, "http-01");
    end();
    kw_init(&world);
    world.ca.authz_reused = true;
    side = start();
    CHECK_SLICE(side_view(side, the_name).challenge, "");
    end();
}

static void every_reason_has_its_words(void)
{
    for (enum keeper_why why = KEEPER_WHY_FIRST; why < NUM_KEEPER_WHYS; why++) {
        CHECK(keeper_why_token(why)[0] && keeper_why_words(why)[0]);
        for (enum keeper_why other = KEEPER_WHY_NONE; other < why; other++)
            CHECK(strcmp(keeper_why_token(why), keeper_why_token(other)) != 0);
    }
    CHECK_STR(keeper_why_token(KEEPER_WHY_NONE), "");
}

int main(void)
{
    RUN(a_renewal_by_window_floor_or_age);
    RUN(a_retry);
    RUN(an_order_that_was_asked_for);
    RUN(a_name_that_is_held);
    RUN(the_other_certificate_of_the_name);
    RUN(names_that_nobody_orders_have_no_reason);
    RUN(the_challenge_and_the_directory);
    RUN(the_challenge_of_a_failure);
    RUN(every_reason_has_its_words);
    return checks_done();
}
