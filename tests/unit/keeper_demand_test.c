/* Names that clients bring: how they come, stay over restarts and reloads, are renewed, and go. */
#include "check.h"
#include "keeper_world.h"

#include "store/cert_record.h"

static const int64_t minute_ms = INT64_C(60000), hour_ms = INT64_C(3600000), day_ms = INT64_C(86400000);

/* ---- who is asked: answers at once, or when told ---- */

static struct {
    struct asker base;
    enum demand_answer answer;
    bool silent;
    unsigned num_asked;
    struct asker_call *open;
    struct net_loop *loop;
    struct deferred tell;
    char name[256], client[64], url[128];
} asked;

static void asked_tell(struct deferred *deferred)
{
    struct asker_call *call = asked.open;
    (void)deferred;
    if (!call || asked.silent)
        return;
    asked.open = NULL;
    call->done(call, asked.answer, SLICE_LIT("nobody is there"));
}

static void asked_ask(struct asker *asker, struct asker_call *call)
{
    (void)asker;
    CHECK(!asked.open); /* one name at a time in these tests */
    asked.open = call;
    asked.num_asked++;
    snprintf(asked.name, sizeof asked.name, "%.*s", (int)call->name.len, call->name.ptr);
    snprintf(asked.client, sizeof asked.client, "%.*s", (int)call->client.len,
             call->client.len ? call->client.ptr : "");
    deferred_start(asked.loop, &asked.tell);
}

static void asked_cancel(struct asker *asker, struct asker_call *call)
{
    (void)asker;
    CHECK(asked.open == call);
    asked.open = NULL;
}

static void asked_set_url(struct asker *asker, struct slice url)
{
    (void)asker;
    snprintf(asked.url, sizeof asked.url, "%.*s", (int)url.len, url.len ? url.ptr : "");
}

/* ---- a world with it ---- */

#define ASK "PORTICO_ON_DEMAND_ASK=http://app/may"

static const char *const with_names[] = {"PORTICO_DOMAINS=a.example", ASK, NULL};
static const char *const without_names[] = {ASK, NULL};
static const char *const off[] = {"PORTICO_DOMAINS=a.example", NULL};

static void world_init(struct kw *world)
{
    kw_init(world);
    memset(&asked, 0, sizeof asked);
    asked.base = (struct asker){asked_ask, asked_cancel, asked_set_url};
    asked.answer = DEMAND_YES;
    asked.loop = world->loop;
    deferred_init(&asked.tell, asked_tell);
    world->asker = &asked.base;
}

static void want(struct side *side, const char *name)
{
    keeper_name_wanted(side->keeper, slice_str(name), SLICE_LIT("192.0.2.7"));
}

static bool serves(const struct side *side, const char *name, enum cert_source source)
{
    const struct cert *cert = side_serves(side, name);
    return cert && cert->source == source;
}

static struct side *start_with_shop(struct kw *world)
{
    world_init(world);
    struct side *side = kw_start(world, with_names);
    kw_pass(world, minute_ms);
    want(side, "shop.example.com");
    kw_pass(world, minute_ms);
    CHECK(serves(side, "shop.example.com", CERT_ISSUED));
    return side;
}

/* ---- coming ---- */

static void an_allowed_name_is_ordered_and_stored(void)
{
    struct kw world;
    struct arena arena = {0};
    struct cert_record record;
    struct side *side = start_with_shop(&world);
    CHECK_STR(asked.url, "http://app/may");
    CHECK_STR(asked.name, "shop.example.com");
    CHECK_STR(asked.client, "192.0.2.7");
    CHECK_INT(asked.num_asked, 1);
    CHECK_INT(world.ca.num_orders, 2);
    CHECK(kw_logged(&world, "\"on_demand_added\"", "shop.example.com") == 1);
    CHECK(kw_logged(&world, "\"placeholder_served\"", "shop.example.com") == 1);
    CHECK(certset_find(side->served, SLICE_LIT("shop.example.com"))->managed);
    CHECK_STR(side->served->default_name, "a.example");
    struct slice value = memory_store_value(&world.disk.memory, "certificate/shop.example.com");
    CHECK(!err_is(cert_record_read(&arena, value, &record)) && record.on_demand);
    value = memory_store_value(&world.disk.memory, "certificate/a.example");
    CHECK(!err_is(cert_record_read(&arena, value, &record)) && !record.on_demand);
    arena_cleanup(&arena);
    want(side, "shop.example.com"); /* a handshake of before its certset */
    kw_pass(&world, minute_ms);
    CHECK_INT(asked.num_asked, 1);
    kw_cleanup(&world);
}

static void a_denied_name_costs_nothing(void)
{
    struct kw world;
    world_init(&world);
    struct side *side = kw_start(&world, without_names);
    kw_pass(&world, minute_ms);
    asked.answer = DEMAND_NO;
    want(side, "shop.example.com");
    kw_pass(&world, minute_ms);
    CHECK_INT(asked.num_asked, 1);
    CHECK_INT(world.ca.num_orders, 0);
    CHECK(!side_serves(side, "shop.example.com"));
    CHECK_INT(keeper_state(side->keeper).num_names, 0);
    kw_cleanup(&world);
}

static void an_open_question_ends_with_the_keeper(void)
{
    struct kw world;
    world_init(&world);
    struct side *side = kw_start(&world, without_names);
    kw_pass(&world, minute_ms);
    asked.silent = true;
    want(side, "shop.example.com");
    kw_rest(&world);
    CHECK(asked.open != NULL);
    kw_cleanup(&world);
    CHECK(asked.open == NULL);
}

/* ---- staying ---- */

static void a_restart_serves_it_and_asks_nobody(void)
{
    struct kw world;
    struct side *side = start_with_shop(&world);
    kw_stop(side);
    side = kw_start(&world, with_names);
    kw_pass(&world, minute_ms);
    CHECK(serves(side, "shop.example.com", CERT_ISSUED));
    CHECK_INT(asked.num_asked, 1);
    CHECK_INT(world.ca.num_orders, 2);
    kw_stop(side);
    side = kw_start(&world, off);
    kw_pass(&world, minute_ms);
    CHECK(!side_serves(side, "shop.example.com"));
    kw_cleanup(&world);
}

/* What was configured once is no on-demand name because it is not configured any more. */
static void a_name_that_left_domains_is_asked_about(void)
{
    static const char *const both[] = {"PORTICO_DOMAINS=a.example,b.example.com", ASK, NULL};
    struct kw world;
    world_init(&world);
    struct side *side = kw_start(&world, both);
    kw_pass(&world, minute_ms);
    kw_stop(side);
    side = kw_start(&world, with_names);
    kw_pass(&world, minute_ms);
    CHECK(!side_serves(side, "b.example.com"));
    want(side, "b.example.com");
    kw_pass(&world, minute_ms);
    CHECK_INT(asked.num_asked, 1);
    CHECK(serves(side, "b.example.com", CERT_ISSUED)); /* by the certificate that is stored */
    CHECK_INT(world.ca.num_orders, 2);
    kw_cleanup(&world);
}

static void a_reload_keeps_it_where_names_are_still_asked_for(void)
{
    static const char *const more[] = {"PORTICO_DOMAINS=b.example,a.example", ASK, NULL};
    static const char *const taken[] = {"PORTICO_DOMAINS=a.example,shop.example.com", ASK, NULL};
    struct kw world;
    struct side *side = start_with_shop(&world);
    CHECK(kw_reload(side, more));
    kw_pass(&world, minute_ms);
    CHECK(serves(side, "shop.example.com", CERT_ISSUED));
    CHECK_INT(keeper_state(side->keeper).num_names, 3);
    CHECK_INT(side->keeper->demand.num_names, 1);
    CHECK(kw_reload(side, taken)); /* it is the configuration's now */
    kw_pass(&world, minute_ms);
    CHECK_INT(side->keeper->demand.num_names, 0);
    CHECK(serves(side, "shop.example.com", CERT_ISSUED));
    CHECK(kw_reload(side, off));
    kw_pass(&world, minute_ms);
    CHECK(!side_serves(side, "shop.example.com"));
    CHECK_STR(asked.url, "");
    want(side, "other.example.com");
    kw_pass(&world, minute_ms);
    CHECK_INT(asked.num_asked, 1);
    CHECK_INT(world.ca.num_orders, 3);
    kw_cleanup(&world);
}

static void asking_begins_with_a_reload(void)
{
    struct kw world;
    struct side *side = start_with_shop(&world);
    CHECK(kw_reload(side, off));
    kw_pass(&world, minute_ms);
    CHECK(kw_reload(side, without_names));
    kw_pass(&world, minute_ms);
    CHECK(serves(side, "shop.example.com", CERT_ISSUED)); /* it is stored as such */
    CHECK(!side_serves(side, "a.example"));
    CHECK_INT(world.ca.num_orders, 2);
    kw_cleanup(&world);
}

static void two_kinds_of_key(void)
{
    static const char *const both[] = {"PORTICO_ACME_KEY_TYPE=p256,rsa2048", ASK, NULL};
    struct kw world;
    world_init(&world);
    struct side *side = kw_start(&world, both);
    kw_pass(&world, minute_ms);
    want(side, "shop.example.com");
    kw_pass(&world, 2 * minute_ms);
    const struct certset_name *name = certset_find(side->served, SLICE_LIT("shop.example.com"));
    CHECK(name && name->cert->source == CERT_ISSUED && name->rsa);
    CHECK_INT(side->keeper->demand.num_names, 1);
    kw_stop(side);
    side = kw_start(&world, both);
    kw_pass(&world, minute_ms);
    name = certset_find(side->served, SLICE_LIT("shop.example.com"));
    CHECK(name && name->cert->source == CERT_ISSUED && name->rsa);
    CHECK_INT(side->keeper->demand.num_names, 1);
    CHECK_INT(asked.num_asked, 1);
    CHECK_INT(world.ca.num_orders, 2);
    kw_cleanup(&world);
}

/* ---- standby ---- */

static void a_standby_asks_nobody_and_follows(void)
{
    struct kw world;
    world_init(&world);
    struct side *writer = kw_start(&world, with_names);
    kw_pass(&world, minute_ms);
    struct side *standby = kw_start(&world, with_names);
    kw_pass(&world, minute_ms);
    want(standby, "shop.example.com");
    kw_pass(&world, minute_ms);
    CHECK_INT(asked.num_asked, 0);
    want(writer, "shop.example.com");
    kw_pass(&world, minute_ms);
    CHECK(serves(writer, "shop.example.com", CERT_ISSUED));
    kw_wait_real(&world, KEEPER_FOLLOW_MS + 200);
    kw_rest(&world);
    CHECK(serves(standby, "shop.example.com", CERT_ISSUED));
    CHECK_INT(asked.num_asked, 1);
    kw_cleanup(&world);
}

/* ---- renewal ---- */

static void a_renewal_asks_again(void)
{
    struct kw world;
    struct side *side = start_with_shop(&world);
    kw_pass(&world, 85 * day_ms);
    CHECK_INT(asked.num_asked, 2);
    CHECK_STR(asked.client, ""); /* nobody's wish */
    CHECK_INT(world.ca.num_orders, 4);
    CHECK(serves(side, "shop.example.com", CERT_ISSUED));
    kw_cleanup(&world);
}

static void a_name_that_is_denied_is_not_renewed_and_goes(void)
{
    struct kw world;
    struct side *side = start_with_shop(&world);
    asked.answer = DEMAND_NO;
    kw_pass(&world, 80 * day_ms);
    CHECK(serves(side, "shop.example.com", CERT_ISSUED));
    CHECK(kw_logged(&world, "\"on_demand_denied\"", "shop.example.com") > 0);
    CHECK(asked.num_asked < 2 + 24 * 30); /* hourly at the most */
    kw_pass(&world, 12 * day_ms);
    CHECK(!side_serves(side, "shop.example.com"));
    CHECK(kw_logged(&world, "\"on_demand_removed\"", "shop.example.com") == 1);
    CHECK(!memory_store_value(&world.disk.memory, "certificate/shop.example.com").ptr);
    CHECK_INT(side->keeper->demand.num_names, 0);
    CHECK(serves(side, "a.example", CERT_ISSUED));
    CHECK_INT(world.ca.num_orders, 3);
    kw_cleanup(&world);
}

/* Nobody answers: it is not the name's fault, and its certificate does not lapse. */
static void a_name_that_nobody_answers_about_is_renewed_late(void)
{
    struct kw world;
    struct side *side = start_with_shop(&world);
    char before[128];
    snprintf(before, sizeof before, "%s", side_serves(side, "shop.example.com")->serial);
    asked.answer = DEMAND_UNKNOWN;
    kw_pass(&world, 80 * day_ms);
    CHECK_STR(side_serves(side, "shop.example.com")->serial, before);
    CHECK_INT(side_view(side, "shop.example.com").why, KEEPER_WHY_PERMISSION);
    kw_pass(&world, 9 * day_ms);
    CHECK(serves(side, "shop.example.com", CERT_ISSUED));
    CHECK(strcmp(side_serves(side, "shop.example.com")->serial, before) != 0);
    kw_cleanup(&world);
}

static void a_name_that_gets_no_certificate_goes(void)
{
    struct kw world;
    world_init(&world);
    struct side *side = kw_start(&world, without_names);
    kw_pass(&world, minute_ms);
    world.ca.validation_problem = "dns";
    want(side, "shop.example.com");
    kw_pass(&world, hour_ms);
    CHECK(serves(side, "shop.example.com", CERT_PLACEHOLDER));
    kw_pass(&world, 5 * day_ms);
    CHECK(!side_serves(side, "shop.example.com"));
    CHECK(kw_logged(&world, "\"on_demand_removed\"", "several attempts") == 1);
    unsigned orders = world.ca.num_orders;
    for (int i = 0; i < 20; i++) { /* its back-off is not forgotten with it: one a day */
        want(side, "shop.example.com");
        kw_pass(&world, hour_ms);
    }
    CHECK_INT(world.ca.num_orders, orders + 1);
    kw_cleanup(&world);
}

int main(void)
{
    RUN(an_allowed_name_is_ordered_and_stored);
    RUN(a_denied_name_costs_nothing);
    RUN(an_open_question_ends_with_the_keeper);
    RUN(a_restart_serves_it_and_asks_nobody);
    RUN(a_name_that_left_domains_is_asked_about);
    RUN(a_reload_keeps_it_where_names_are_still_asked_for);
    RUN(asking_begins_with_a_reload);
    RUN(two_kinds_of_key);
    RUN(a_standby_asks_nobody_and_follows);
    RUN(a_renewal_asks_again);
    RUN(a_name_that_is_denied_is_not_renewed_and_goes);
    RUN(a_name_that_nobody_answers_about_is_renewed_late);
    RUN(a_name_that_gets_no_certificate_goes);
    return checks_done();
}
