#include "certs/name_state.h"

#include "base/json_read.h"
#include "base/json_write.h"

enum { NAME_STATE_VERSION = 1 };

void name_state_keep(struct buf *kept, struct slice text)
{
    kept->len = 0;
    buf_append_slice(kept, text);
}

void name_state_clear_problem(struct name_state *state)
{
    buf_cleanup(&state->problem_class);
    buf_cleanup(&state->problem_type);
    buf_cleanup(&state->problem_detail);
    buf_cleanup(&state->problem_sentence);
    buf_cleanup(&state->hint);
}

void name_state_forgive(struct name_state *state)
{
    backoff_succeeded(&state->backoff);
    backoff_succeeded(&state->fallback);
    state->num_ca_failures = 0;
    buf_cleanup(&state->setup);
    name_state_clear_problem(state);
}

const char *name_window_text(enum name_window window)
{
    static const char *const texts[] = {
        [NAME_WINDOW_NONE] = "none", [NAME_WINDOW_MET] = "met", [NAME_WINDOW_MISSED] = "missed"};
    return texts[window];
}

void name_state_forget_window(struct name_state *state)
{
    state->window = (struct renewal_window){0};
    state->ask_at_ms = state->num_ask_failures = 0;
    buf_cleanup(&state->explanation);
}

void name_state_cleanup(struct name_state *state)
{
    name_state_clear_problem(state);
    name_state_forget_window(state);
    buf_cleanup(&state->serial);
    buf_cleanup(&state->directory_url);
    buf_cleanup(&state->fallback_url);
    buf_cleanup(&state->setup);
    buf_cleanup(&state->failed_challenge);
    buf_cleanup(&state->ordered_by);
    buf_cleanup(&state->challenge);
    *state = (struct name_state){0};
}

void name_state_set_problem(struct name_state *state, const struct problem *problem, struct slice sentence)
{
    name_state_keep(&state->problem_class, slice_str(problem_class_name(problem->class)));
    name_state_keep(&state->problem_type, problem->type);
    name_state_keep(&state->problem_detail, problem->detail);
    name_state_keep(&state->problem_sentence, sentence);
}

static void put_kept(struct json_writer *w, const char *key, const struct buf *kept)
{
    if (kept->len)
        json_put_string(w, key, buf_slice(kept));
}

static void put_fallback(struct json_writer *w, const struct name_state *state)
{
    if (state->fallback.num_failures == 0)
        return;
    json_key(w, "fallback");
    json_object(w);
    put_kept(w, "directory", &state->fallback_url);
    backoff_write(&state->fallback, w);
    json_end_object(w);
}

static void put_window(struct json_writer *w, const struct name_state *state)
{
    json_put_int(w, "ask_at_ms", state->ask_at_ms);
    json_put_int(w, "ask_failures", state->num_ask_failures);
    json_put_str(w, "window_met", name_window_text(state->window_met));
    if (state->after_past)
        json_put_bool(w, "after_past", true);
    if (!state->window.end_ms)
        return;
    json_key(w, "window");
    json_object(w);
    json_put_int(w, "start_ms", state->window.start_ms);
    json_put_int(w, "end_ms", state->window.end_ms);
    json_put_int(w, "chosen_ms", state->window.chosen_ms);
    put_kept(w, "explanation", &state->explanation);
    json_end_object(w);
}

static void get_window(struct name_state *state, const struct json *json)
{
    const int64_t last_ms = INT64_C(253402300800000); /* the year 10000 */
    const struct json *part = json_get(json, "window");
    struct renewal_window window = {0};
    struct slice met = json_get_string(json, "window_met");
    json_get_int(json, "ask_at_ms", 0, last_ms, &state->ask_at_ms);
    json_get_int(json, "ask_failures", 0, UINT32_MAX, &state->num_ask_failures);
    state->after_past = json_get_bool(json, "after_past");
    for (enum name_window at = NAME_WINDOW_NONE; at < NUM_NAME_WINDOWS; at++)
        if (slice_eq(met, slice_str(name_window_text(at))))
            state->window_met = at;
    if (!json_get_int(part, "start_ms", -last_ms, last_ms, &window.start_ms) ||
        !json_get_int(part, "end_ms", window.start_ms + 1, last_ms, &window.end_ms) ||
        !json_get_int(part, "chosen_ms", window.start_ms, window.end_ms - 1, &window.chosen_ms))
        return;
    state->window = window;
    name_state_keep(&state->explanation, json_get_string(part, "explanation"));
}

static void put_ledgers(struct json_writer *w, const struct name_state *state)
{
    ledger_name_write(&state->ledger, w);
    if (!state->fallback_ledger.set_full_ms && !state->fallback_ledger.failures_full_ms)
        return;
    json_key(w, "fallback_ledger");
    json_object(w);
    ledger_name_write(&state->fallback_ledger, w);
    json_end_object(w);
}

static void get_fallback(struct name_state *state, const struct json *json)
{
    if (!json || json->kind != JSON_OBJECT)
        return;
    name_state_keep(&state->fallback_url, json_get_string(json, "directory"));
    state->fallback = backoff_read(json);
}

void name_state_write(const struct name_state *state, struct buf *out)
{
    struct json_writer w = json_writer_on(out);
    json_object(&w);
    json_put_int(&w, "version", NAME_STATE_VERSION);
    json_put_int(&w, "renew_at_ms", state->renew_at_ms);
    json_put_int(&w, "renew_permille", state->renew_permille);
    put_kept(&w, "serial", &state->serial);
    put_window(&w, state);
    put_ledgers(&w, state);
    put_kept(&w, "directory", &state->directory_url);
    backoff_write(&state->backoff, &w);
    json_put_int(&w, "ca_failures", state->num_ca_failures);
    if (state->held)
        json_put_bool(&w, "held", true);
    put_fallback(&w, state);
    put_kept(&w, "setup", &state->setup);
    put_kept(&w, "failed_challenge", &state->failed_challenge);
    put_kept(&w, "ordered_by", &state->ordered_by);
    put_kept(&w, "challenge", &state->challenge);
    put_kept(&w, "problem_class", &state->problem_class);
    put_kept(&w, "problem_type", &state->problem_type);
    put_kept(&w, "problem_detail", &state->problem_detail);
    put_kept(&w, "problem_sentence", &state->problem_sentence);
    put_kept(&w, "hint", &state->hint);
    json_end_object(&w);
    buf_append_char(out, '\n');
}

bool name_state_read(struct name_state *state, struct slice text)
{
    struct arena arena = {0};
    struct json *json = NULL;
    int64_t version = 0;
    name_state_cleanup(state);
    struct err err = json_parse(&arena, text, 0, &json);
    bool fine = !err_is(err) && json_get_int(json, "version", NAME_STATE_VERSION, NAME_STATE_VERSION, &version);
    if (fine) {
        state->backoff = backoff_read(json);
        json_get_int(json, "renew_at_ms", 0, INT64_MAX / 2, &state->renew_at_ms);
        json_get_int(json, "renew_permille", 0, 1000, &state->renew_permille);
        name_state_keep(&state->serial, json_get_string(json, "serial"));
        get_window(state, json);
        state->ledger = ledger_name_read(json);
        state->fallback_ledger = ledger_name_read(json_get(json, "fallback_ledger"));
        name_state_keep(&state->directory_url, json_get_string(json, "directory"));
        state->held = json_get_bool(json, "held");
        get_fallback(state, json_get(json, "fallback"));
        json_get_int(json, "ca_failures", 0, UINT32_MAX, &state->num_ca_failures);
        name_state_keep(&state->setup, json_get_string(json, "setup"));
        name_state_keep(&state->failed_challenge, json_get_string(json, "failed_challenge"));
        name_state_keep(&state->ordered_by, json_get_string(json, "ordered_by"));
        name_state_keep(&state->challenge, json_get_string(json, "challenge"));
        name_state_keep(&state->problem_class, json_get_string(json, "problem_class"));
        name_state_keep(&state->problem_type, json_get_string(json, "problem_type"));
        name_state_keep(&state->problem_detail, json_get_string(json, "problem_detail"));
        name_state_keep(&state->problem_sentence, json_get_string(json, "problem_sentence"));
        name_state_keep(&state->hint, json_get_string(json, "hint"));
    }
    arena_cleanup(&arena);
    return fine;
}
