#include "core/stats.h"

#include "base/json_write.h"

static uint64_t stats_sum(const struct stats_view *view, enum counter counter)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < view->num_workers; i++)
        sum += counters_get(worker_counters(view->workers[i]), counter);
    return sum;
}

/* ---- metrics ---- */

struct stats_row {
    const char *name, *labels; /* labels: with braces, or empty */
    enum counter counter;
};

/* Rows of one name stand together; the type line is written when the name changes. */
static const struct stats_row stats_rows[] = {
    {"portico_connections_accepted_total", "", COUNTER_CONNS_ACCEPTED},
    {"portico_proxy_protocol_refused_total", "", COUNTER_PROXY_LINES_REFUSED},
    {"portico_handshakes_total", "{result=\"full\"}", COUNTER_HANDSHAKES_FULL},
    {"portico_handshakes_total", "{result=\"resumed\"}", COUNTER_HANDSHAKES_RESUMED},
    {"portico_handshakes_total", "{result=\"failed\"}", COUNTER_HANDSHAKES_FAILED},
    {"portico_requests_total", "{protocol=\"HTTP/1\"}", COUNTER_REQUESTS},
    {"portico_requests_total", "{protocol=\"HTTP/2\"}", COUNTER_REQUESTS_HTTP2},
    {"portico_responses_total", "{code=\"1xx\",protocol=\"HTTP/1\"}", COUNTER_RESPONSES_1XX},
    {"portico_responses_total", "{code=\"1xx\",protocol=\"HTTP/2\"}", COUNTER_RESPONSES_HTTP2_1XX},
    {"portico_responses_total", "{code=\"2xx\",protocol=\"HTTP/1\"}", COUNTER_RESPONSES_2XX},
    {"portico_responses_total", "{code=\"2xx\",protocol=\"HTTP/2\"}", COUNTER_RESPONSES_HTTP2_2XX},
    {"portico_responses_total", "{code=\"3xx\",protocol=\"HTTP/1\"}", COUNTER_RESPONSES_3XX},
    {"portico_responses_total", "{code=\"3xx\",protocol=\"HTTP/2\"}", COUNTER_RESPONSES_HTTP2_3XX},
    {"portico_responses_total", "{code=\"4xx\",protocol=\"HTTP/1\"}", COUNTER_RESPONSES_4XX},
    {"portico_responses_total", "{code=\"4xx\",protocol=\"HTTP/2\"}", COUNTER_RESPONSES_HTTP2_4XX},
    {"portico_responses_total", "{code=\"5xx\",protocol=\"HTTP/1\"}", COUNTER_RESPONSES_5XX},
    {"portico_responses_total", "{code=\"5xx\",protocol=\"HTTP/2\"}", COUNTER_RESPONSES_HTTP2_5XX},
    {"portico_exchanges_aborted_total", "", COUNTER_EXCHANGES_ABORTED},
    {"portico_fields_dropped_total", "", COUNTER_FIELDS_DROPPED},
    {"portico_tunnels_total", "", COUNTER_TUNNELS},
    {"portico_bytes_total", "{direction=\"from_clients\"}", COUNTER_BYTES_FROM_CLIENTS},
    {"portico_bytes_total", "{direction=\"to_clients\"}", COUNTER_BYTES_TO_CLIENTS},
    {"portico_compressed_bytes_total", "{direction=\"in\"}", COUNTER_COMPRESSED_BYTES_IN},
    {"portico_compressed_bytes_total", "{direction=\"out\"}", COUNTER_COMPRESSED_BYTES_OUT},
    {"portico_upstream_connects_total", "", COUNTER_UPSTREAM_CONNECTS},
    {"portico_upstream_reuses_total", "", COUNTER_UPSTREAM_REUSES},
    {"portico_upstream_retries_total", "", COUNTER_UPSTREAM_RETRIES},
    {"portico_upstream_failures_total", "", COUNTER_UPSTREAM_FAILURES},
    {"portico_upstream_ejections_total", "", COUNTER_UPSTREAM_EJECTIONS},
    {"portico_upstream_returns_total", "", COUNTER_UPSTREAM_RETURNS},
    {"portico_upstream_queued_total", "", COUNTER_UPSTREAM_QUEUED},
    {"portico_passwords_checked_total", "", COUNTER_PASSWORDS_CHECKED},
    {"portico_challenges_answered_total", "", COUNTER_CHALLENGES_ANSWERED},
    {"portico_certsets_applied_total", "", COUNTER_CERTSETS_APPLIED},
};

static void stats_write_label(struct buf *out, struct slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] == '"' || value.ptr[i] == '\\')
            buf_append_char(out, '\\');
        buf_append_char(out, value.ptr[i] == '\n' ? ' ' : value.ptr[i]);
    }
}

struct stats_gauge {
    struct buf *out;
    const char *name;
    int64_t (*value)(const struct keeper_name_view *view); /* negative: none */
};

static int64_t stats_not_after(const struct keeper_name_view *view)
{
    return view->cert ? view->cert->not_after_s : -1;
}

static int64_t stats_not_before(const struct keeper_name_view *view)
{
    return view->cert ? view->cert->not_before_s : -1;
}

static int64_t stats_next_attempt(const struct keeper_name_view *view)
{
    return view->next_attempt_ms ? view->next_attempt_ms / 1000 : -1;
}

static int64_t stats_failures(const struct keeper_name_view *view)
{
    return view->managed ? (int64_t)view->num_failures : -1;
}

static void stats_write_name(void *ctx, const struct keeper_name_view *view)
{
    const struct stats_gauge *gauge = ctx;
    int64_t value = gauge->value(view);
    if (value < 0)
        return;
    buf_printf(gauge->out, "%s{name=\"", gauge->name);
    stats_write_label(gauge->out, view->name);
    buf_append_str(gauge->out, "\",issuer=\"");
    stats_write_label(gauge->out, slice_str(view->cert ? view->cert->issuer : ""));
    buf_printf(gauge->out, "\"} %lld\n", (long long)value);
}

static void stats_write_gauge(const struct stats_view *view, struct buf *out, const char *name,
                              int64_t (*value)(const struct keeper_name_view *view))
{
    struct stats_gauge gauge = {out, name, value};
    buf_printf(out, "# TYPE %s gauge\n", name);
    keeper_each(view->keeper, stats_write_name, &gauge);
}

void stats_write_metrics(const struct stats_view *view, struct buf *out)
{
    const char *previous = "";
    uint64_t conns = 0;
    buf_printf(out, "# TYPE portico_build_info gauge\nportico_build_info{version=\"%s\"} 1\n", view->version);
    buf_printf(out, "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds %lld\n",
               (long long)view->started_s);
    for (size_t i = 0; i < sizeof stats_rows / sizeof stats_rows[0]; i++) {
        const struct stats_row *row = &stats_rows[i];
        if (strcmp(row->name, previous) != 0)
            buf_printf(out, "# TYPE %s counter\n", row->name);
        previous = row->name;
        buf_printf(out, "%s%s %llu\n", row->name, row->labels, (unsigned long long)stats_sum(view, row->counter));
    }
    for (size_t i = 0; i < view->num_workers; i++)
        conns += worker_load(view->workers[i]).num_conns;
    buf_printf(out, "# TYPE portico_connections gauge\nportico_connections %llu\n", (unsigned long long)conns);
    buf_printf(out, "# TYPE portico_log_lines_dropped_total counter\nportico_log_lines_dropped_total %llu\n",
               (unsigned long long)log_num_dropped(view->log));
    if (!view->keeper)
        return;
    stats_write_gauge(view, out, "portico_certificate_not_after_seconds", stats_not_after);
    stats_write_gauge(view, out, "portico_certificate_not_before_seconds", stats_not_before);
    stats_write_gauge(view, out, "portico_acme_next_attempt_seconds", stats_next_attempt);
    stats_write_gauge(view, out, "portico_acme_failures", stats_failures);
}

/* ---- status ---- */

static void stats_put_time(struct json_writer *w, const char *key, int64_t wall_ms)
{
    char text[CLOCK_TEXT_BYTES];
    if (wall_ms > 0)
        json_put_str(w, key, clock_rfc3339(wall_ms, text));
}

static void stats_put_slice(struct json_writer *w, const char *key, struct slice value)
{
    if (value.len)
        json_put_string(w, key, value);
}

static void stats_write_name_status(void *ctx, const struct keeper_name_view *view)
{
    struct json_writer *w = ctx;
    json_object(w);
    json_put_string(w, "name", view->name);
    json_put_bool(w, "managed", view->managed);
    if (view->cert) {
        json_key(w, "certificate");
        json_object(w);
        json_put_str(w, "source", cert_source_text(view->cert->source));
        json_put_str(w, "serial", view->cert->serial);
        json_put_str(w, "issuer", view->cert->issuer);
        stats_put_slice(w, "directory", view->directory_url);
        stats_put_time(w, "not_before", view->cert->not_before_s * 1000);
        stats_put_time(w, "not_after", view->cert->not_after_s * 1000);
        json_end_object(w);
    }
    if (view->step)
        json_put_str(w, "step", view->step);
    stats_put_time(w, "next_attempt", view->next_attempt_ms);
    json_put_int(w, "failures", view->num_failures);
    if (view->problem_sentence.len) {
        json_key(w, "problem");
        json_object(w);
        stats_put_time(w, "at", view->failed_ms);
        stats_put_slice(w, "class", view->problem_class);
        stats_put_slice(w, "type", view->problem_type);
        stats_put_slice(w, "detail", view->problem_detail);
        stats_put_slice(w, "sentence", view->problem_sentence);
        json_end_object(w);
    }
    json_end_object(w);
}

void stats_write_status(const struct stats_view *view, struct buf *out)
{
    struct json_writer w = json_writer_on(out);
    json_object(&w);
    json_put_str(&w, "version", view->version);
    json_put_bool(&w, "draining", view->draining);
    json_put_int(&w, "workers", (int64_t)view->num_workers);
    if (view->keeper) {
        struct keeper_state state = keeper_state(view->keeper);
        json_put_bool(&w, "writer", state.writer);
        json_put_bool(&w, "store_readable", state.store_readable);
        stats_put_slice(&w, "storage_problem", state.sentence);
        json_put_int(&w, "generation", (int64_t)state.generation);
        json_put_int(&w, "acknowledged", (int64_t)state.acknowledged);
        json_key(&w, "names");
        json_array(&w);
        keeper_each(view->keeper, stats_write_name_status, &w);
        json_end_array(&w);
    }
    json_end_object(&w);
    buf_append_char(out, '\n');
}
