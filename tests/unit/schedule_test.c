#include "certs/alarm.h"
#include "certs/due_queue.h"
#include "certs/name_state.h"
#include "check.h"

/* ---- due_queue ---- */

enum { NUM = 500 };

static int64_t smallest(const struct due *dues)
{
    int64_t least = INT64_MAX;
    for (int i = 0; i < NUM; i++)
        if (dues[i].place && dues[i].at_ms < least)
            least = dues[i].at_ms;
    return least;
}

/* The same numbers in each run. */
static uint32_t some_number(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

static void the_first_is_always_the_earliest(void)
{
    struct due_queue queue = {0};
    struct due dues[NUM] = {{0}};
    uint32_t state = 1;
    for (int i = 0; i < 20000; i++) {
        struct due *due = &dues[some_number(&state) % NUM];
        due_queue_set(&queue, due, some_number(&state) % 4 ? some_number(&state) % 1000 : INT64_MAX);
        struct due *first = due_queue_first(&queue);
        int64_t least = smallest(dues);
        CHECK((first == NULL) == (least == INT64_MAX));
        CHECK(!first || (first->at_ms == least && first->place == 1));
    }
    for (int i = 0; i < NUM; i++)
        due_queue_set(&queue, &dues[i], INT64_MAX);
    CHECK(due_queue_first(&queue) == NULL);
    due_queue_cleanup(&queue);
}

/* ---- alarm ---- */

static int64_t test_mono_ms;
static unsigned num_rings;

static int64_t read_mono_ms(const struct clock *clock)
{
    (void)clock;
    return test_mono_ms;
}

static void ring(struct alarm *alarm)
{
    (void)alarm;
    num_rings++;
}

static void alarms_ring_once_and_never_at_once(void)
{
    uv_loop_t uv;
    struct clock clock = {read_mono_ms, read_mono_ms};
    struct alarm alarm;
    uv_loop_init(&uv);
    struct net_loop *loop = net_loop_new(&uv);
    alarm_init(&alarm, loop, &clock, ring);
    test_mono_ms = 1000;
    alarm_set(&alarm, 500);
    CHECK_INT(num_rings, 0);
    uv_run(&uv, UV_RUN_NOWAIT);
    CHECK_INT(num_rings, 1);
    alarm_set(&alarm, 5000);
    uv_run(&uv, UV_RUN_NOWAIT);
    test_mono_ms = 5000;
    alarm_check(&alarm);
    alarm_check(&alarm);
    uv_run(&uv, UV_RUN_NOWAIT);
    CHECK_INT(num_rings, 2);
    alarm_check(&alarm);
    alarm_set(&alarm, 6000);
    alarm_set(&alarm, INT64_MAX);
    test_mono_ms = 7000;
    alarm_check(&alarm);
    uv_run(&uv, UV_RUN_NOWAIT);
    CHECK_INT(num_rings, 2);
    net_loop_close(loop);
    uv_run(&uv, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&uv), 0);
}

static void keep_alive(uv_async_t *async)
{
    (void)async;
}

static void alarms_ring_in_real_time(void)
{
    uv_loop_t uv;
    uv_async_t alive;
    struct alarm alarm;
    uv_loop_init(&uv);
    uv_async_init(&uv, &alive, keep_alive);
    struct net_loop *loop = net_loop_new(&uv);
    int64_t began_ms = clock_system.mono_ms(&clock_system);
    num_rings = 0;
    alarm_init(&alarm, loop, &clock_system, ring);
    alarm_set(&alarm, began_ms + 300);
    while (!num_rings)
        uv_run(&uv, UV_RUN_ONCE);
    int64_t took_ms = clock_system.mono_ms(&clock_system) - began_ms;
    CHECK(took_ms >= 300 && took_ms < 2000);
    uv_close((uv_handle_t *)&alive, NULL);
    net_loop_close(loop);
    uv_run(&uv, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&uv), 0);
}

/* ---- name_state ---- */

static void a_state_comes_back_as_it_was(void)
{
    struct name_state state = {0}, back = {0};
    struct buf text = {0};
    struct problem problem = {
        .class = PROBLEM_VALIDATION, .type = SLICE_LIT("unauthorized"), .detail = SLICE_LIT("\"quoted\"\n\x01")};
    state.renew_at_ms = 1800000000123;
    state.renew_permille = 667;
    name_state_keep(&state.serial, SLICE_LIT("0a1b"));
    name_state_keep(&state.directory_url, SLICE_LIT("https://ca.example/dir"));
    state.backoff = (struct backoff){.num_failures = 3, .failed_ms = 5, .next_ms = 6, .ca_next_ms = 7};
    name_state_set_problem(&state, &problem, SLICE_LIT("what to do"));
    name_state_write(&state, &text);
    CHECK(name_state_read(&back, buf_slice(&text)));
    CHECK_INT(back.renew_at_ms, 1800000000123);
    CHECK_INT(back.renew_permille, 667);
    CHECK_SLICE(buf_slice(&back.serial), "0a1b");
    CHECK_SLICE(buf_slice(&back.directory_url), "https://ca.example/dir");
    CHECK_INT(back.backoff.num_failures, 3);
    CHECK_INT(back.backoff.ca_next_ms, 7);
    CHECK_SLICE(buf_slice(&back.problem_class), "validation");
    CHECK_SLICE(buf_slice(&back.problem_type), "unauthorized");
    CHECK_SLICE(buf_slice(&back.problem_detail), "\"quoted\"\n\x01");
    CHECK_SLICE(buf_slice(&back.problem_sentence), "what to do");
    buf_cleanup(&text);
    name_state_cleanup(&state);
    name_state_cleanup(&back);
}

static void a_state_that_makes_no_sense_is_none(void)
{
    static const char *const bad[] = {"",
                                      "{",
                                      "[]",
                                      "null",
                                      "{\"version\":2}",
                                      "{\"version\":\"1\"}",
                                      "{\"renew_at_ms\":5}",
                                      "{\"version\":1,\"version\":1}"};
    struct name_state state = {0};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        state.renew_at_ms = 9;
        name_state_keep(&state.serial, SLICE_LIT("x"));
        CHECK(!name_state_read(&state, slice_str(bad[i])));
        CHECK_INT(state.renew_at_ms, 0);
        CHECK_INT(state.serial.len, 0);
    }
    CHECK(name_state_read(&state, SLICE_LIT("{\"version\":1,\"renew_at_ms\":-4,\"serial\":7,\"failures\":1e9}")));
    CHECK_INT(state.renew_at_ms, 0);
    name_state_cleanup(&state);
}

static void a_window_comes_back_as_it_was(void)
{
    struct name_state state = {.window = {100, 200, 150}, .ask_at_ms = 300, .num_ask_failures = 2}, back = {0};
    struct buf text = {0};
    state.window_met = NAME_WINDOW_MISSED;
    name_state_keep(&state.challenge, SLICE_LIT("dns-01"));
    state.ledger = (struct ledger_name){5, 6};
    state.fallback_ledger = (struct ledger_name){0, 7};
    name_state_keep(&state.explanation, SLICE_LIT("https://ca.example/why"));
    name_state_write(&state, &text);
    CHECK(name_state_read(&back, buf_slice(&text)));
    CHECK_INT(back.window.start_ms, 100);
    CHECK_INT(back.window.end_ms, 200);
    CHECK_INT(back.window.chosen_ms, 150);
    CHECK_INT(back.ask_at_ms, 300);
    CHECK_INT(back.num_ask_failures, 2);
    CHECK_INT(back.window_met, NAME_WINDOW_MISSED);
    CHECK_SLICE(buf_slice(&back.challenge), "dns-01");
    CHECK_SLICE(buf_slice(&back.explanation), "https://ca.example/why");
    CHECK_INT(back.ledger.set_full_ms, 5);
    CHECK_INT(back.ledger.failures_full_ms, 6);
    CHECK_INT(back.fallback_ledger.failures_full_ms, 7);
    name_state_forget_window(&back);
    CHECK_INT(back.window.end_ms + back.ask_at_ms + back.num_ask_failures, 0);
    CHECK_INT(back.explanation.len, 0);
    buf_cleanup(&text);
    name_state_cleanup(&state);
    name_state_cleanup(&back);
}

/* An instant outside its window, or a window that ends before it begins, is none. */
static void a_window_that_makes_no_sense_is_none(void)
{
    static const char *const bad[] = {"{\"version\":1,\"window\":{\"start_ms\":100,\"end_ms\":100,\"chosen_ms\":100}}",
                                      "{\"version\":1,\"window\":{\"start_ms\":100,\"end_ms\":200,\"chosen_ms\":200}}",
                                      "{\"version\":1,\"window\":{\"start_ms\":100,\"end_ms\":200,\"chosen_ms\":99}}",
                                      "{\"version\":1,\"window\":{\"start_ms\":100,\"end_ms\":1e30,\"chosen_ms\":150}}",
                                      "{\"version\":1,\"window\":{\"start_ms\":100,\"end_ms\":200}}",
                                      "{\"version\":1,\"window\":7,\"window_met\":\"perhaps\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct name_state state = {0};
        CHECK(name_state_read(&state, slice_str(bad[i])));
        CHECK_INT(state.window.end_ms, 0);
        CHECK_INT(state.window_met, NAME_WINDOW_NONE);
        name_state_cleanup(&state);
    }
}

int main(void)
{
    RUN(the_first_is_always_the_earliest);
    RUN(alarms_ring_once_and_never_at_once);
    RUN(alarms_ring_in_real_time);
    RUN(a_state_comes_back_as_it_was);
    RUN(a_state_that_makes_no_sense_is_none);
    RUN(a_window_comes_back_as_it_was);
    RUN(a_window_that_makes_no_sense_is_none);
    return checks_done();
}
