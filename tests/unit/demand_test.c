#include "certs/demand.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/random.h"
#include "check.h"

#include <stdlib.h>

/* ---- a clock and an asker, both scripted ---- */

enum { MOST_CALLS = 64, MOST_ALLOWED = 256 };

static int64_t now_ms;

static int64_t clock_now(const struct clock *clock)
{
    (void)clock;
    return now_ms;
}

static const struct clock scripted_clock = {clock_now, clock_now};

struct world {
    struct asker asker;
    struct asker_call *calls[MOST_CALLS]; /* not answered yet */
    size_t num_calls, num_asked;
    char client[64];
    char allowed[MOST_ALLOWED][256];
    size_t num_allowed, num_names;
    struct demand *demand;
};

static void world_ask(struct asker *asker, struct asker_call *call)
{
    struct world *world = container_of(asker, struct world, asker);
    CHECK(world->num_calls < MOST_CALLS);
    world->calls[world->num_calls++] = call;
    world->num_asked++;
    snprintf(world->client, sizeof world->client, "%.*s", (int)call->client.len,
             call->client.len ? call->client.ptr : "");
}

static void world_cancel(struct asker *asker, struct asker_call *call)
{
    struct world *world = container_of(asker, struct world, asker);
    for (size_t i = 0; i < world->num_calls; i++)
        if (world->calls[i] == call)
            world->calls[i] = world->calls[--world->num_calls];
}

static void world_set_url(struct asker *asker, struct slice url)
{
    (void)asker, (void)url; /* of the keeper */
}

static void world_allowed(void *ctx, struct slice name)
{
    struct world *world = ctx;
    CHECK(world->num_allowed < MOST_ALLOWED);
    snprintf(world->allowed[world->num_allowed++], 256, "%.*s", (int)name.len, name.ptr);
}

static size_t world_num_names(void *ctx)
{
    return ((struct world *)ctx)->num_names;
}

static void world_init(struct world *world)
{
    *world = (struct world){.asker = {world_ask, world_cancel, world_set_url}};
    now_ms = 1000000;
    struct demand_world options = {.clock = &scripted_clock,
                                   .asker = &world->asker,
                                   .ctx = world,
                                   .allowed = world_allowed,
                                   .num_names = world_num_names};
    world->demand = demand_new(&options);
}

static void want(struct world *world, const char *name)
{
    demand_want(world->demand, slice_str(name), SLICE_LIT("192.0.2.7"));
}

/* The oldest question that is open. */
static void answer(struct world *world, enum demand_answer answer)
{
    CHECK(world->num_calls > 0);
    if (world->num_calls == 0)
        return;
    struct asker_call *call = world->calls[0];
    memmove(world->calls, world->calls + 1, --world->num_calls * sizeof *world->calls);
    call->done(call, answer, SLICE_LIT("nobody answers"));
}

/* ---- tests ---- */

static void an_allowed_name_is_told(void)
{
    struct world world;
    world_init(&world);
    want(&world, "shop.example.com");
    CHECK_INT(world.num_asked, 1);
    CHECK_SLICE(world.calls[0]->name, "shop.example.com");
    CHECK_STR(world.client, "192.0.2.7");
    CHECK_INT(world.num_allowed, 0);
    answer(&world, DEMAND_YES);
    CHECK_INT(world.num_allowed, 1);
    CHECK_STR(world.allowed[0], "shop.example.com");
    demand_free(world.demand);
}

static void one_question_a_name_at_a_time(void)
{
    struct world world;
    world_init(&world);
    for (int i = 0; i < 100; i++)
        want(&world, "shop.example.com");
    CHECK_INT(world.num_asked, 1);
    answer(&world, DEMAND_YES);
    CHECK_INT(world.num_allowed, 1);
    demand_free(world.demand);
}

static void answers_are_remembered_for_a_while(void)
{
    struct world world;
    world_init(&world);
    want(&world, "no.example.com");
    answer(&world, DEMAND_NO);
    now_ms += LIMIT_DEMAND_NO_MS - 1;
    want(&world, "no.example.com");
    CHECK_INT(world.num_asked, 1);
    now_ms += 1;
    want(&world, "no.example.com");
    CHECK_INT(world.num_asked, 2);
    answer(&world, DEMAND_UNKNOWN);
    now_ms += LIMIT_DEMAND_UNKNOWN_MS - 1;
    want(&world, "no.example.com");
    CHECK_INT(world.num_asked, 2);
    now_ms += 1;
    want(&world, "no.example.com");
    CHECK_INT(world.num_asked, 3);
    answer(&world, DEMAND_YES);
    CHECK_INT(world.num_allowed, 1);
    demand_forget(world.demand); /* another URL */
    want(&world, "no.example.com");
    CHECK_INT(world.num_asked, 4);
    demand_free(world.demand);
}

static void names_that_nobody_is_asked_about(void) /* ACME-118 */
{
    static const char *const bad[] = {"localhost",       "single",
                                      "192.0.2.1",       "a.local",
                                      "x.internal",      "b.test",
                                      "a.home.arpa",     "a_b.example.com",
                                      "-a.example.com",  "a..example.com",
                                      "*.example.com",   "www.a.www.example.com",
                                      "a.a.example.com", "www.api.dev.example.com"};
    static const char *const good[] = {"example.com",         "www.example.com",
                                       "a.b.c.d.example.com", "xn--bcher-kva.example.com",
                                       "example.example.com", "www.api.x.example.com"};
    struct world world;
    world_init(&world);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        want(&world, bad[i]);
        CHECK(!demand_name_is_sound(slice_str(bad[i])));
    }
    CHECK_INT(world.num_asked, 0);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        CHECK(demand_name_is_sound(slice_str(good[i])));
    demand_free(world.demand);
}

static void questions_are_few_at_a_time_and_in_a_second(void)
{
    struct world world;
    char name[64];
    world_init(&world);
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "n%d.example.com", i);
        want(&world, name);
    }
    CHECK_INT(world.num_asked, LIMIT_DEMAND_ASKING);
    size_t asked = 0;
    for (int second = 0; second < 10; second++) {
        for (int i = 0; i < 1000; i++) {
            snprintf(name, sizeof name, "m%d.example.com", second * 1000 + i);
            want(&world, name);
            while (world.num_calls)
                answer(&world, DEMAND_NO);
        }
        now_ms += 1000;
    }
    asked = world.num_asked - LIMIT_DEMAND_ASKING;
    CHECK(asked <= 10 * LIMIT_DEMAND_QUESTIONS_S && asked > 8 * LIMIT_DEMAND_QUESTIONS_S);
    CHECK_INT(world.num_allowed, 0);
    demand_free(world.demand);
}

static void a_domain_has_a_budget_of_new_names(void)
{
    struct world world;
    char name[64];
    world_init(&world);
    for (int i = 0; i < 2 * LIMIT_DEMAND_DOMAIN_NAMES_H; i++) {
        snprintf(name, sizeof name, "n%d.example.co.uk", i);
        want(&world, name);
        answer(&world, DEMAND_YES);
        now_ms += 200;
    }
    CHECK_INT(world.num_allowed, LIMIT_DEMAND_DOMAIN_NAMES_H);
    want(&world, "n1.other.co.uk"); /* another registered domain */
    answer(&world, DEMAND_YES);
    CHECK_INT(world.num_allowed, LIMIT_DEMAND_DOMAIN_NAMES_H + 1);
    now_ms += 60 * 60 * 1000;
    want(&world, name);
    answer(&world, DEMAND_YES);
    CHECK_INT(world.num_allowed, LIMIT_DEMAND_DOMAIN_NAMES_H + 2);
    demand_free(world.demand);
}

static void so_has_an_hour(void)
{
    struct world world;
    char name[64];
    world_init(&world);
    for (int i = 0; i < LIMIT_DEMAND_NAMES_H + 50; i++) {
        snprintf(name, sizeof name, "www.example%d.com", i);
        want(&world, name);
        answer(&world, DEMAND_YES);
        now_ms += 200;
    }
    CHECK(world.num_allowed >= LIMIT_DEMAND_NAMES_H && world.num_allowed <= LIMIT_DEMAND_NAMES_H + 1);
    demand_free(world.demand);
}

static void names_are_bounded(void)
{
    struct world world;
    world_init(&world);
    world.num_names = LIMIT_DEMAND_NAMES;
    want(&world, "a.example.com");
    answer(&world, DEMAND_YES);
    CHECK_INT(world.num_allowed, 0);
    world.num_names--;
    want(&world, "a.example.com"); /* the answer is known */
    CHECK_INT(world.num_asked, 1);
    CHECK_INT(world.num_allowed, 1);
    demand_free(world.demand);
}

/* The memory of a flood is that of LIMIT_DEMAND_ANSWERS names; what was answered last is known still. */
static void a_flood_of_names_is_forgotten(void)
{
    struct world world;
    char name[64];
    world_init(&world);
    for (int i = 0; i < 3 * LIMIT_DEMAND_ANSWERS; i++) {
        snprintf(name, sizeof name, "a.random%d.com", i);
        want(&world, name);
        answer(&world, i % 2 ? DEMAND_NO : DEMAND_UNKNOWN);
        now_ms += 1000 / LIMIT_DEMAND_QUESTIONS_S;
    }
    size_t asked = world.num_asked;
    want(&world, name);
    CHECK_INT(world.num_asked, asked);
    want(&world, "a.random0.com");
    CHECK_INT(world.num_asked, asked + 1);
    demand_free(world.demand);
}

/* ---- renewals ---- */

struct review {
    struct demand_review base;
    unsigned num_done;
    enum demand_answer answer;
};

static void review_done(struct demand_review *base, enum demand_answer answer)
{
    struct review *review = container_of(base, struct review, base);
    review->num_done++;
    review->answer = answer;
}

static void a_renewal_asks_again_and_adds_nothing(void)
{
    struct world world;
    struct review first = {.base.done = review_done}, second = first, third = first, canceled = first;
    world_init(&world);
    demand_review_start(world.demand, SLICE_LIT("a.example.com"), &first.base);
    demand_review_start(world.demand, SLICE_LIT("a.example.com"), &second.base);
    demand_review_start(world.demand, SLICE_LIT("a.example.com"), &canceled.base);
    demand_review_cancel(&canceled.base);
    CHECK_INT(world.num_asked, 1);
    CHECK_STR(world.client, "");
    answer(&world, DEMAND_NO);
    CHECK_INT(first.num_done + second.num_done, 2);
    CHECK_INT(first.answer, DEMAND_NO);
    CHECK_INT(canceled.num_done, 0);
    demand_review_start(world.demand, SLICE_LIT("a.example.com"), &third.base); /* known */
    CHECK_INT(third.num_done, 1);
    CHECK_INT(world.num_asked, 1);
    CHECK_INT(world.num_allowed, 0);
    demand_free(world.demand);
}

static void a_renewal_is_never_shed(void)
{
    struct world world;
    struct review reviews[2 * LIMIT_DEMAND_ASKING] = {0};
    char name[64];
    world_init(&world);
    for (int i = 0; i < 2 * LIMIT_DEMAND_ASKING; i++) {
        reviews[i].base.done = review_done;
        snprintf(name, sizeof name, "n%d.example.com", i);
        demand_review_start(world.demand, slice_str(name), &reviews[i].base);
    }
    CHECK_INT(world.num_asked, 2 * LIMIT_DEMAND_ASKING);
    demand_free(world.demand); /* with all of them open */
    CHECK_INT(world.num_calls, 0);
}

int main(void)
{
    RUN(an_allowed_name_is_told);
    RUN(one_question_a_name_at_a_time);
    RUN(answers_are_remembered_for_a_while);
    RUN(names_that_nobody_is_asked_about);
    RUN(questions_are_few_at_a_time_and_in_a_second);
    RUN(a_domain_has_a_budget_of_new_names);
    RUN(so_has_an_hour);
    RUN(names_are_bounded);
    RUN(a_flood_of_names_is_forgotten);
    RUN(a_renewal_asks_again_and_adds_nothing);
    RUN(a_renewal_is_never_shed);
    return checks_done();
}
