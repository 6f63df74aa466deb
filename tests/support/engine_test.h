/* engine_test: what the tests of the engine share: one world, and how an order is to have ended. */
#ifndef SUPPORT_ENGINE_TEST_H
#define SUPPORT_ENGINE_TEST_H

#include "check.h"
#include "scripted_world.h"

enum { EVENTS = 20000 };

static struct scripted_world world;

static inline void begin(void)
{
    world_init(&world);
    world_start_engine(&world);
}

static inline void end(void)
{
    CHECK_STR(world.ca.fault, "");
    CHECK_INT(world.num_published, world.num_withdrawn);
    world_cleanup(&world);
}

static inline void check_issued(const struct world_order *order)
{
    CHECK(order->issued);
    CHECK_STR(order->sentence, "");
    CHECK_INT(order->num_done, 1);
}

static inline void check_failed(const struct world_order *order, enum problem_class class, const char *step)
{
    CHECK_INT(order->num_done, 1);
    CHECK(!order->issued);
    CHECK_STR(problem_class_name(order->class), problem_class_name(class));
    CHECK_STR(order->step, step);
    CHECK(order->sentence[0] != '\0');
}

static inline bool stored(const char *key)
{
    return memory_store_value(&world.store, key).ptr != NULL;
}

#endif
