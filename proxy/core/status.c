#include "core/status.h"

#include "base/json_write.h"

#include <unistd.h>

/* ---- JSON ---- */

static void put_time(struct json_writer *w, const char *key, int64_t wall_ms)
{
    char text[CLOCK_TEXT_BYTES];
    if (wall_ms > 0)
        json_put_str(w, key, clock_rfc3339(wall_ms, text));
}

static void put_slice(struct json_writer *w, const char *key, struct slice value)
{
    if (value.len)
        json_put_string(w, key, value);
}

static void put_str(struct json_writer *w, const char *key, const char *value)
{
    put_slice(w, key, slice_str(value));
}

/* When the CA would like the certificate to be replaced, and what came of that. */
static void put_window(struct json_writer *w, const struct keeper_window *window)
{
    json_key(w, "renewal_window");
    json_object(w);
    put_time(w, "start", window->start_ms);
    put_time(w, "end", window->end_ms);
    put_time(w, "chosen", window->chosen_ms);
    put_str(w, "renewed_by", window->reason);
    put_slice(w, "explanation", window->explanation);
    json_end_object(w);
}

/* NULL: a kind that no variable names. */
static const char *key_text(const struct cert *cert)
{
    if (cert->key_is_rsa)
        return "rsa";
    switch (cert->key_curve) { /* RFC 8446 §4.2.7 */
    case 23: return "p256";
    case 24: return "p384";
    case 25: return "p521";
    default: return NULL;
    }
}

static void put_certificate(struct json_writer *w, const struct keeper_name_view *name)
{
    const struct cert *cert = name->cert;
    json_key(w, "certificate");
    json_object(w);
    json_put_str(w, "source", cert_source_text(cert->source));
    json_put_str(w, "serial", cert->serial);
    json_put_str(w, "issuer", cert->issuer);
    put_str(w, "key", key_text(cert));
    put_slice(w, "directory", name->directory_url);
    put_time(w, "not_before", cert->not_before_s * 1000);
    put_time(w, "not_after", cert->not_after_s * 1000);
    put_time(w, "renewal_at", name->renew_at_ms);
    if (name->window.end_ms)
        put_window(w, &name->window);
    json_end_object(w);
}

static void put_problem(struct json_writer *w, const struct keeper_name_view *name)
{
    json_key(w, "problem");
    json_object(w);
    put_time(w, "at", name->failed_ms);
    put_slice(w, "class", name->problem_class);
    put_slice(w, "type", name->problem_type);
    put_slice(w, "detail", name->problem_detail);
    put_slice(w, "sentence", name->problem_sentence);
    put_slice(w, "hint", name->hint);
    json_end_object(w);
}

/* What is under way or planned, and how the last order went. */
static void put_order(struct json_writer *w, const struct keeper_name_view *name)
{
    put_str(w, "step", name->step);
    put_time(w, "next_attempt", name->next_attempt_ms);
    put_str(w, "next_reason", keeper_why_token(name->why));
    put_str(w, "paced_by", name->paced_by);
    put_slice(w, "ordered_from", name->order_directory_url);
    put_slice(w, "challenge", name->challenge);
    put_str(w, "renewed_in_window", name->window.last_order);
}

static void put_name(void *ctx, const struct keeper_name_view *name)
{
    struct json_writer *w = ctx;
    json_object(w);
    json_put_string(w, "name", name->name);
    if (name->key_type)
        json_put_str(w, "key_type", name->key_type);
    json_put_bool(w, "managed", name->managed);
    if (name->cert)
        put_certificate(w, name);
    if (name->held)
        json_put_bool(w, "held", true);
    if (name->quarantined)
        json_put_bool(w, "quarantined", true);
    if (name->managed)
        put_order(w, name);
    json_put_int(w, "failures", name->num_failures);
    if (name->problem_sentence.len || name->hint.len)
        put_problem(w, name);
    json_end_object(w);
}

static void put_sum(struct json_writer *w, const struct stats_view *view, const char *key, enum counter counter)
{
    json_put_int(w, key, (int64_t)stats_sum(view, counter));
}

static int64_t sum_of_class(const struct stats_view *view, unsigned class)
{
    return (int64_t)(stats_sum(view, (enum counter)(COUNTER_RESPONSES_1XX + class - 1)) +
                     stats_sum(view, (enum counter)(COUNTER_RESPONSES_HTTP2_1XX + class - 1)));
}

static void put_traffic(struct json_writer *w, const struct stats_view *view)
{
    static const char *const keys[] = {"responses_1xx", "responses_2xx", "responses_3xx", "responses_4xx",
                                       "responses_5xx"};
    json_object(w);
    put_time(w, "at", view->now_ms);
    json_put_bool(w, "draining", view->draining);
    json_put_int(w, "connections", (int64_t)stats_num_conns(view));
    json_put_int(w, "connections_limit", view->max_conns);
    json_put_int(w, "requests", (int64_t)(stats_sum(view, COUNTER_REQUESTS) + stats_sum(view, COUNTER_REQUESTS_HTTP2)));
    for (unsigned class = 1; class <= 5; class ++)
        json_put_int(w, keys[class - 1], sum_of_class(view, class));
    put_sum(w, view, "aborted", COUNTER_EXCHANGES_ABORTED);
    put_sum(w, view, "handshakes_full", COUNTER_HANDSHAKES_FULL);
    put_sum(w, view, "handshakes_resumed", COUNTER_HANDSHAKES_RESUMED);
    put_sum(w, view, "handshakes_failed", COUNTER_HANDSHAKES_FAILED);
    put_sum(w, view, "upstream_failures", COUNTER_UPSTREAM_FAILURES);
    put_sum(w, view, "bytes_from_clients", COUNTER_BYTES_FROM_CLIENTS);
    put_sum(w, view, "bytes_to_clients", COUNTER_BYTES_TO_CLIENTS);
    if (view->keeper)
        json_put_int(w, "generation", (int64_t)keeper_state(view->keeper).generation);
    json_end_object(w);
}

void status_write_traffic(const struct stats_view *view, struct buf *out)
{
    struct json_writer w = json_writer_on(out);
    put_traffic(&w, view);
    buf_append_char(out, '\n');
}

static void put_keeper(struct json_writer *w, const struct stats_view *view)
{
    struct keeper_state state = keeper_state(view->keeper);
    json_put_bool(w, "writer", state.writer);
    json_put_bool(w, "store_readable", state.store_readable);
    put_slice(w, "storage_problem", state.sentence);
    json_put_int(w, "generation", (int64_t)state.generation);
    json_put_int(w, "acknowledged", (int64_t)state.acknowledged);
    json_key(w, "names");
    json_array(w);
}

static void put_process(struct json_writer *w, const struct stats_view *view)
{
    json_put_str(w, "version", view->version);
    json_put_int(w, "pid", getpid());
    put_time(w, "now", view->now_ms);
    put_time(w, "started", view->started_s * 1000);
    json_put_bool(w, "draining", view->draining);
    json_put_int(w, "workers", (int64_t)view->num_workers);
    json_key(w, "traffic");
    put_traffic(w, view);
}

/* The next names; true where there may be more. */
static bool some_names(const struct stats_view *view, struct cursor *cursor,
                       void (*each)(void *ctx, const struct keeper_name_view *name), void *ctx)
{
    size_t num = view->keeper ? keeper_some(view->keeper, cursor->name, CURSOR_STEP_NAMES, each, ctx) : 0;
    cursor->name += num;
    return num == CURSOR_STEP_NAMES;
}

bool status_write_json(const struct stats_view *view, struct cursor *cursor, struct buf *out)
{
    struct json_writer *w = &cursor->json;
    if (cursor->part++ == 0) {
        *w = json_writer_on(out);
        json_object(w);
        put_process(w, view);
        if (view->keeper)
            put_keeper(w, view);
    }
    if (some_names(view, cursor, put_name, w))
        return true;
    if (view->keeper)
        json_end_array(w);
    json_end_object(w);
    buf_append_char(out, '\n');
    return false;
}

/* ---- lines ---- */

static void line_text(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        buf_append_char(out, (unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 127 ? ' ' : text.ptr[i]);
}

static void line_field(struct buf *out, struct slice text)
{
    buf_append_char(out, '\t');
    line_text(out, text);
}

static void line_number(struct buf *out, int64_t number)
{
    buf_append_char(out, '\t');
    buf_append_i64(out, number);
}

static void line_why(struct buf *out, const struct keeper_name_view *name)
{
    line_field(out, slice_str(keeper_why_words(name->why)));
    if (name->why == KEEPER_WHY_LIMIT && name->paced_by)
        buf_printf(out, ": %s", name->paced_by);
}

static void put_line(void *ctx, const struct keeper_name_view *name)
{
    struct buf *out = ctx;
    const struct cert *cert = name->cert;
    line_text(out, name->name);
    if (name->key_type)
        buf_printf(out, " (%s)", name->key_type);
    line_field(out, slice_str(cert ? cert_source_text(cert->source) : "none"));
    line_field(out, slice_str(cert ? cert->issuer : ""));
    line_number(out, cert ? cert->not_before_s : 0);
    line_number(out, cert ? cert->not_after_s : 0);
    line_number(out, name->next_attempt_ms / 1000);
    line_why(out, name);
    line_field(out, slice_str(name->step));
    line_number(out, name->num_failures);
    line_field(out, name->problem_class);
    line_field(out, name->problem_sentence);
    if (name->hint.len)
        buf_append_str(out, name->problem_sentence.len ? "; seen from here: " : "seen from here: ");
    line_text(out, name->hint);
    buf_append_char(out, '\n');
}

static void put_head_line(const struct stats_view *view, struct buf *out)
{
    struct keeper_state state = view->keeper ? keeper_state(view->keeper) : (struct keeper_state){0};
    buf_append_char(out, '#');
    line_field(out, slice_str(view->version));
    line_number(out, view->now_ms / 1000);
    line_field(out, slice_str(view->draining ? "draining" : "serving"));
    line_field(out, slice_str(state.writer ? "writer" : "standby"));
    line_field(out, state.sentence);
    buf_append_char(out, '\n');
}

bool status_write_lines(const struct stats_view *view, struct cursor *cursor, struct buf *out)
{
    if (cursor->part++ == 0)
        put_head_line(view, out);
    return some_names(view, cursor, put_line, out);
}
