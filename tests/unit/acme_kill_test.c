/* HARDENING A7: the process dies at every single event of an order's life (each request, each answer, each commit, each
 * acknowledgement, each key made), and a new one wants the same. One certificate, one account, and no second order where the first was
 * written down. In eight worlds: what was sent or committed before the death has, or has not, taken effect; and the order
 * is a plain one, or wants all there is (a key made elsewhere, another challenge, a profile, a predecessor's place, another
 * chain). */
#include "check.h"
#include "scripted_world.h"

enum { IN_ALL_WORLDS = 8, RICH = 4 };

static struct scripted_world world;

static void enrich(void)
{
    static const enum acme_challenge challenges[] = {ACME_DNS_01, ACME_HTTP_01};
    static const struct slice profiles[] = {SLICE_LIT("tlsserver")};
    world.makes_keys = true;
    world.ca.offers = 1u << ACME_DNS_01 | 1u << ACME_HTTP_01;
    world.ca.profiles[0] = "tlsserver";
    world.ca.has_renewal_info = true;
    world.ca.num_alternates = 2;
    world.spec = (struct acme_order_spec){.key_type = KEY_P384,
                                          .challenges = challenges,
                                          .num_challenges = 2,
                                          .profiles = profiles,
                                          .num_profiles = 1,
                                          .replaces = SLICE_LIT("aki.serial"),
                                          .preferred_chain = SLICE_LIT("Alternate Root 2")};
}

static void prepare(unsigned variant)
{
    world_init(&world);
    if (variant & RICH)
        enrich();
    world.ca.eager = variant & 1;
    world.store.eager = variant & 2;
    world.ca.validation_polls = 1;
    world.ca.processing_polls = 1;
    world_start_engine(&world);
}

static bool one_of_each(void)
{
    return world.ca.num_accounts == 1 && world.ca.num_certificates == 1 &&
           memory_store_value(&world.store, "certificate/a.example").ptr &&
           !memory_store_value(&world.store, "order/a.example").ptr;
}

/* Dies at event `at`, or never for 0. Returns the number of events of the whole life. */
static uint64_t live_and_die(unsigned variant, uint64_t at)
{
    prepare(variant);
    world.kill_at = at;
    const struct world_order *order = world_order(&world, "a.example", "b.example", NULL);
    world_run(&world, 20000);
    CHECK(order->issued);
    CHECK(one_of_each());
    CHECK_STR(world.ca.fault, "");
    if (variant & RICH) {
        CHECK_STR(order->profile, "tlsserver");
        CHECK_STR(order->chain, "Alternate Root 2");
        CHECK_INT(order->key_type, KEY_P384);
        CHECK(order->replaced);
    }
    CHECK_INT(world.num_kills, at > 0);
    if (world.num_kills && world.order_noted_at_kill)
        CHECK_INT(world.ca.num_orders, world.ca_orders_at_kill); /* resumed */
    CHECK(world.ca.num_orders <= 2);
    uint64_t num_events = world.num_events;
    world_cleanup(&world);
    return num_events;
}

static void test_dies_once_anywhere(void)
{
    for (unsigned variant = 0; variant < IN_ALL_WORLDS; variant++) {
        uint64_t num_events = live_and_die(variant, 0);
        CHECK(num_events > 30);
        for (uint64_t at = 1; at < num_events - 1; at++)
            live_and_die(variant, at);
    }
}

/* A process that never lives longer than `span` events still gets there, if each life gets one thing done. */
static void test_dies_again_and_again(void)
{
    for (unsigned variant = 0; variant < IN_ALL_WORLDS; variant++)
        for (uint64_t span = 16; span < 24; span++) {
            prepare(variant);
            const struct world_order *order = world_order(&world, "a.example", NULL);
            for (unsigned life = 0; life < 200 && !order->issued; life++) {
                for (uint64_t i = 0; i < span && !order->issued; i++)
                    world_turn(&world);
                if (!order->issued)
                    world_crash(&world);
            }
            CHECK(order->issued);
            CHECK(one_of_each());
            CHECK(world.num_kills > 0);
            CHECK(world.ca.num_orders <= 2);
            CHECK_STR(world.ca.fault, "");
            world_cleanup(&world);
        }
}

int main(void)
{
    RUN(test_dies_once_anywhere);
    RUN(test_dies_again_and_again);
    return checks_done();
}
