#include "net/ticker.h"

#include "check.h"
#include "net/net_loop.h"

struct timed {
    struct tick tick;
    struct ticker *ticker;
    uint64_t fired_ms, again_ms;
    unsigned num;
    struct timed *stops;
    struct timed *starts;
};

static uint64_t now_ms(void)
{
    return uv_hrtime() / 1000000;
}

static void timed_expired(struct tick *tick)
{
    struct timed *timed = container_of(tick, struct timed, tick);
    timed->fired_ms = now_ms();
    timed->num++;
    if (timed->stops)
        tick_stop(&timed->stops->tick);
    if (timed->starts)
        tick_start(timed->ticker, &timed->starts->tick, timed->starts->again_ms);
    if (timed->again_ms && timed->num < 3)
        tick_start(timed->ticker, &timed->tick, timed->again_ms);
}

static void timed_init(struct timed *timed, struct ticker *ticker)
{
    *timed = (struct timed){.ticker = ticker};
    tick_init(&timed->tick, timed_expired);
}

static void run_until(uv_loop_t *uv, uint64_t ms)
{
    for (uint64_t end = now_ms() + ms; now_ms() < end; uv_sleep(1))
        uv_run(uv, UV_RUN_NOWAIT);
}

struct world {
    uv_loop_t uv;
    struct ticker ticker;
};

static void world_init(struct world *world)
{
    uv_loop_init(&world->uv);
    ticker_init(&world->ticker, &world->uv);
    uv_ref((uv_handle_t *)&world->ticker.timer); /* nothing else keeps this loop turning */
}

static void world_cleanup(struct world *world)
{
    ticker_cleanup(&world->ticker);
    uv_close((uv_handle_t *)&world->ticker.timer, NULL);
    uv_run(&world->uv, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&world->uv), 0);
}

static void deadlines_of_several_durations_come_in_order_and_never_early(void)
{
    struct world world;
    struct timed timed[4];
    const uint64_t durations[] = {80, 5, 40, 5};
    world_init(&world);
    uint64_t began_ms = now_ms();
    for (int i = 0; i < 4; i++) {
        timed_init(&timed[i], &world.ticker);
        tick_start(&world.ticker, &timed[i].tick, durations[i]);
        CHECK(tick_armed(&timed[i].tick));
    }
    run_until(&world.uv, 200);
    for (int i = 0; i < 4; i++) {
        CHECK_INT(timed[i].num, 1);
        CHECK(!tick_armed(&timed[i].tick));
        CHECK(timed[i].fired_ms + 1 >= began_ms + durations[i]);
    }
    CHECK(timed[1].fired_ms <= timed[2].fired_ms && timed[2].fired_ms <= timed[0].fired_ms);
    world_cleanup(&world);
}

static void a_stopped_one_never_comes_and_a_moved_one_once(void)
{
    struct world world;
    struct timed stopped, moved, earlier;
    world_init(&world);
    timed_init(&stopped, &world.ticker);
    timed_init(&moved, &world.ticker);
    timed_init(&earlier, &world.ticker);
    tick_stop(&stopped.tick); /* harmless before it was armed */
    tick_start(&world.ticker, &stopped.tick, 10);
    tick_start(&world.ticker, &moved.tick, 10);
    tick_stop(&stopped.tick);
    tick_start(&world.ticker, &moved.tick, 60);
    tick_start(&world.ticker, &earlier.tick, 5000);
    tick_start(&world.ticker, &earlier.tick, 10); /* earlier than what the timer was set to */
    run_until(&world.uv, 50);
    CHECK_INT(stopped.num, 0);
    CHECK_INT(moved.num, 0);
    CHECK_INT(earlier.num, 1);
    run_until(&world.uv, 60);
    CHECK_INT(moved.num, 1);
    world_cleanup(&world);
}

static void an_expired_one_may_stop_and_start_others_and_itself(void)
{
    struct world world;
    struct timed first, stopped, started;
    world_init(&world);
    timed_init(&first, &world.ticker);
    timed_init(&stopped, &world.ticker);
    timed_init(&started, &world.ticker);
    first.stops = &stopped;
    first.starts = &started;
    first.again_ms = 10;
    started.again_ms = 15; /* a queue that is made while they are walked */
    tick_start(&world.ticker, &first.tick, 10);
    tick_start(&world.ticker, &stopped.tick, 10);
    run_until(&world.uv, 200);
    CHECK_INT(first.num, 3);
    CHECK_INT(stopped.num, 0);
    CHECK(started.num >= 1);
    world_cleanup(&world);
}

/* It fires in each turn, not for ever in one. */
static void one_without_duration_ends_the_turn(void)
{
    struct world world;
    struct timed timed;
    world_init(&world);
    timed_init(&timed, &world.ticker);
    timed.starts = &timed;
    tick_start(&world.ticker, &timed.tick, 0);
    uv_sleep(30);
    uv_update_time(&world.uv);
    timed.stops = NULL;
    for (int i = 0; i < 3; i++)
        uv_run(&world.uv, UV_RUN_NOWAIT);
    CHECK(timed.num <= 3);
    world_cleanup(&world);
}

/* ---- deferred calls and the graveyard ---- */

struct call {
    struct deferred deferred;
    struct net_loop *loop;
    struct call *stops, *starts;
    unsigned num;
};

static void call_run(struct deferred *deferred)
{
    struct call *call = container_of(deferred, struct call, deferred);
    call->num++;
    if (call->stops)
        deferred_stop(&call->stops->deferred);
    if (call->starts)
        deferred_start(call->loop, &call->starts->deferred);
}

static void deferred_calls_come_once_in_the_next_turn(void)
{
    uv_loop_t uv;
    uv_loop_init(&uv);
    struct net_loop *loop = net_loop_new(&uv);
    struct call calls[3];
    for (int i = 0; i < 3; i++) {
        calls[i] = (struct call){.loop = loop};
        deferred_init(&calls[i].deferred, call_run);
        deferred_start(loop, &calls[i].deferred);
        deferred_start(loop, &calls[i].deferred); /* not doubled */
    }
    calls[0].stops = &calls[1];
    calls[2].starts = &calls[2]; /* again, but not within this turn */
    CHECK_INT(calls[0].num, 0);
    uv_run(&uv, UV_RUN_NOWAIT);
    CHECK_INT(calls[0].num, 1);
    CHECK_INT(calls[1].num, 0);
    CHECK_INT(calls[2].num, 1);
    uv_run(&uv, UV_RUN_NOWAIT);
    CHECK_INT(calls[2].num, 2);
    calls[2].starts = NULL;
    uv_run(&uv, UV_RUN_DEFAULT); /* ends by itself: nothing waits any more */
    CHECK_INT(calls[2].num, 3);
    net_loop_close(loop);
    uv_run(&uv, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&uv), 0);
}

struct dead {
    struct grave grave;
    struct graveyard *graveyard;
    struct dead *takes_along;
    unsigned *num;
};

static void dead_free(struct grave *grave)
{
    struct dead *dead = container_of(grave, struct dead, grave);
    ++*dead->num;
    if (dead->takes_along)
        graveyard_bury(dead->graveyard, &dead->takes_along->grave, dead_free);
    mem_free(dead);
}

static void what_is_buried_is_freed_in_the_next_sweep_with_what_it_owned(void)
{
    uv_loop_t uv;
    unsigned num = 0;
    uv_loop_init(&uv);
    struct net_loop *loop = net_loop_new(&uv);
    struct dead *first = MEM_NEW(struct dead), *second = MEM_NEW(struct dead);
    *second = (struct dead){.num = &num};
    *first = (struct dead){.graveyard = &loop->graveyard, .takes_along = second, .num = &num};
    graveyard_bury(&loop->graveyard, &first->grave, dead_free);
    CHECK_INT(num, 0);
    uv_ref((uv_handle_t *)&loop->prepare);
    uv_run(&uv, UV_RUN_NOWAIT);
    CHECK_INT(num, 2);
    net_loop_close(loop);
    uv_run(&uv, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&uv), 0);
}

int main(void)
{
    RUN(deadlines_of_several_durations_come_in_order_and_never_early);
    RUN(a_stopped_one_never_comes_and_a_moved_one_once);
    RUN(an_expired_one_may_stop_and_start_others_and_itself);
    RUN(one_without_duration_ends_the_turn);
    RUN(deferred_calls_come_once_in_the_next_turn);
    RUN(what_is_buried_is_freed_in_the_next_sweep_with_what_it_owned);
    return checks_done();
}
