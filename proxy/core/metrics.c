#include "core/metrics.h"

#include "acme/problem.h"
#include "base/limits.h"
#include "core/process.h"
#include "tls/tls_figures.h"

#define ROWS(array) (sizeof(array) / sizeof(array)[0])
#define LABEL(k, text) ((struct exposition_label){(k), slice_str(text)})

/* ---- counters of the workers ---- */

struct metrics_row {
    struct exposition_family family;
    const char *key, *value; /* its one label; NULL: none */
    enum counter counter;
};

#define COUNTED(name, unit, help)            \
    {                                        \
        name, EXPOSITION_COUNTER, unit, help \
    }
#define SAME                                 \
    {                                        \
        NULL, EXPOSITION_COUNTER, NULL, NULL \
    } /* the family of the row above */

static const struct metrics_row metrics_rows[] = {
    {COUNTED("portico_connections_accepted", NULL, "Connections of clients that were accepted."), NULL, NULL,
     COUNTER_CONNS_ACCEPTED},
    {COUNTED("portico_proxy_protocol_refused", NULL, "Connections closed for want of a good PROXY protocol header."),
     NULL, NULL, COUNTER_PROXY_LINES_REFUSED},
    {COUNTED("portico_handshakes", NULL, "TLS handshakes with clients, by how they ended."), "result", "full",
     COUNTER_HANDSHAKES_FULL},
    {SAME, "result", "resumed", COUNTER_HANDSHAKES_RESUMED},
    {SAME, "result", "failed", COUNTER_HANDSHAKES_FAILED},
    {COUNTED("portico_requests", NULL, "Requests whose head was understood, by protocol."), "protocol", "HTTP/1",
     COUNTER_REQUESTS},
    {SAME, "protocol", "HTTP/2", COUNTER_REQUESTS_HTTP2},
    {COUNTED("portico_exchanges_aborted", NULL, "Requests or answers that were cut short."), NULL, NULL,
     COUNTER_EXCHANGES_ABORTED},
    {COUNTED("portico_fields_dropped", NULL,
             "Header fields that were not passed on: hop-by-hop, or not to be believed."),
     NULL, NULL, COUNTER_FIELDS_DROPPED},
    {COUNTED("portico_tunnels", NULL, "WebSockets and raw connections that were opened."), NULL, NULL, COUNTER_TUNNELS},
    {COUNTED("portico_bytes", "bytes", "Bytes of HTTP, or of raw connections, inside TLS."), "direction",
     "from_clients", COUNTER_BYTES_FROM_CLIENTS},
    {SAME, "direction", "to_clients", COUNTER_BYTES_TO_CLIENTS},
    {COUNTED("portico_compressed_bytes", "bytes", "Bytes of answers before and after their compression here."),
     "direction", "in", COUNTER_COMPRESSED_BYTES_IN},
    {SAME, "direction", "out", COUNTER_COMPRESSED_BYTES_OUT},
    {COUNTED("portico_upstream_connects", NULL, "Connections to backends that were made."), NULL, NULL,
     COUNTER_UPSTREAM_CONNECTS},
    {COUNTED("portico_upstream_reuses", NULL, "Requests that went out on a connection kept from an earlier one."), NULL,
     NULL, COUNTER_UPSTREAM_REUSES},
    {COUNTED("portico_upstream_retries", NULL, "Requests that were sent a second time."), NULL, NULL,
     COUNTER_UPSTREAM_RETRIES},
    {COUNTED("portico_upstream_failures", NULL, "Connections and exchanges that failed on the backend's side."), NULL,
     NULL, COUNTER_UPSTREAM_FAILURES},
    {COUNTED("portico_upstream_ejections", NULL, "Backends that were given no more requests, as they failed."), NULL,
     NULL, COUNTER_UPSTREAM_EJECTIONS},
    {COUNTED("portico_upstream_returns", NULL, "Backends that were given requests again."), NULL, NULL,
     COUNTER_UPSTREAM_RETURNS},
    {COUNTED("portico_upstream_queued", NULL, "Requests that waited for a place (UPSTREAM_MAX_CONNS)."), NULL, NULL,
     COUNTER_UPSTREAM_QUEUED},
    {COUNTED("portico_passwords_checked", NULL, "Passwords of BASIC_AUTH that were compared with their hash."), NULL,
     NULL, COUNTER_PASSWORDS_CHECKED},
    {COUNTED("portico_challenges_answered", NULL, "Challenges that were answered here: HTTP-01, TLS-ALPN-01."), NULL,
     NULL, COUNTER_CHALLENGES_ANSWERED},
    {COUNTED("portico_certsets_applied", NULL, "Sets of certificates that workers began to serve."), NULL, NULL,
     COUNTER_CERTSETS_APPLIED},
};

static uint64_t metrics_at(const struct stats_view *view, unsigned counter)
{
    return stats_sum(view, (enum counter)counter);
}

static void metrics_rows_write(const struct stats_view *view, struct exposition *e)
{
    for (size_t i = 0; i < ROWS(metrics_rows); i++) {
        const struct metrics_row *row = &metrics_rows[i];
        if (row->family.name)
            exposition_begin(e, &row->family);
        exposition_count(e, &LABEL(row->key, row->value), row->key ? 1 : 0, stats_sum(view, row->counter));
    }
}

static void metrics_responses(const struct stats_view *view, struct exposition *e)
{
    static const struct exposition_family family =
        COUNTED("portico_responses", NULL, "Answers to clients, by class of status and protocol of the request.");
    static const struct {
        const char *protocol;
        enum counter first;
    } protocols[] = {{"HTTP/1", COUNTER_RESPONSES_1XX}, {"HTTP/2", COUNTER_RESPONSES_HTTP2_1XX}};
    static const char *const codes[] = {"1xx", "2xx", "3xx", "4xx", "5xx"};
    exposition_begin(e, &family);
    for (size_t i = 0; i < ROWS(protocols); i++)
        for (unsigned class = 0; class < ROWS(codes); class ++) {
            struct exposition_label labels[] = {LABEL("code", codes[class]), LABEL("protocol", protocols[i].protocol)};
            exposition_count(e, labels, 2, metrics_at(view, protocols[i].first + class));
        }
}

static void metrics_durations(const struct stats_view *view, struct exposition *e)
{
    static const struct exposition_family family = {
        "portico_request_duration_seconds", EXPOSITION_HISTOGRAM, "seconds",
        "From a request's first byte to the end of its answer; tunnels aside. Precise to a millisecond."};
    uint64_t counts[NUM_DURATION_BUCKETS], bounds_ms[NUM_DURATION_BUCKETS];
    for (unsigned i = 0; i < NUM_DURATION_BUCKETS; i++) {
        counts[i] = metrics_at(view, COUNTER_DURATIONS + i);
        bounds_ms[i] = counters_duration_bound_ms(i);
    }
    exposition_begin(e, &family);
    exposition_histogram(e, counts, bounds_ms, NUM_DURATION_BUCKETS, stats_sum(view, COUNTER_DURATION_MS));
}

static void metrics_tls(const struct stats_view *view, struct exposition *e)
{
    static const struct exposition_family suites =
        COUNTED("portico_tls_handshakes", NULL, "TLS handshakes that were completed, by what was agreed on.");
    static const struct exposition_family failures =
        COUNTED("portico_tls_handshake_failures", NULL, "TLS handshakes that were not completed, by reason.");
    exposition_begin(e, &suites);
    for (unsigned i = 0; i < 2 * NUM_TLS_SUITES; i++) {
        struct tls_suite suite = tls_suite_at(i % NUM_TLS_SUITES);
        struct exposition_label labels[] = {LABEL("version", suite.version), LABEL("cipher", suite.cipher),
                                            LABEL("resumed", i < NUM_TLS_SUITES ? "false" : "true")};
        exposition_count(e, labels, 3, metrics_at(view, COUNTER_SUITES + i));
    }
    exposition_begin(e, &failures);
    for (unsigned i = 0; i < NUM_TLS_FAILURES; i++)
        exposition_count(e, &LABEL("reason", tls_failure_text(i)), 1, metrics_at(view, COUNTER_TLS_FAILURES + i));
}

/* ---- the process ---- */

static void metrics_one(struct exposition *e, struct exposition_family family, uint64_t value)
{
    exposition_begin(e, &family);
    exposition_count(e, NULL, 0, value);
}

static void metrics_lag(const struct stats_view *view, struct exposition *e)
{
    static const struct exposition_family family = {
        "portico_event_loop_lag_seconds", EXPOSITION_GAUGE, "seconds",
        "What an event last waited for its loop's turn; measured every second."};
    exposition_begin(e, &family);
    exposition_us(e, &LABEL("loop", "control"), 1, view->control_lag_us);
    for (size_t i = 0; i < view->num_workers; i++) {
        char loop[32];
        snprintf(loop, sizeof loop, "worker-%zu", i);
        exposition_us(e, &LABEL("loop", loop), 1, worker_load(view->workers[i]).lag_us);
    }
}

static void metrics_process(const struct stats_view *view, struct exposition *e)
{
    static const struct exposition_family cpu = {"process_cpu_seconds", EXPOSITION_COUNTER, "seconds",
                                                 "User and system CPU time spent."};
    static const struct exposition_family start = {"process_start_time_seconds", EXPOSITION_GAUGE, "seconds",
                                                   "When the process started, in seconds since 1970."};
    struct process_figures now = process_figures();
    exposition_begin(e, &cpu);
    exposition_us(e, NULL, 0, now.cpu_ms * 1000);
    exposition_begin(e, &start);
    exposition_count(e, NULL, 0, (uint64_t)view->started_s);
#define BYTES(name, help, value) \
    metrics_one(e, (struct exposition_family){name, EXPOSITION_GAUGE, "bytes", help}, value)
#define GAUGE(name, help, value) metrics_one(e, (struct exposition_family){name, EXPOSITION_GAUGE, NULL, help}, value)
    BYTES("process_resident_memory_bytes", "Memory in use.", now.resident_bytes);
    BYTES("process_virtual_memory_bytes", "Addresses in use.", now.virtual_bytes);
    GAUGE("process_open_fds", "Descriptors in use.", now.num_fds);
    GAUGE("process_max_fds", "Descriptors allowed.", now.max_fds);
    GAUGE("process_threads", "Threads.", now.num_threads);
    GAUGE("portico_workers", "Worker threads.", view->num_workers);
    GAUGE("portico_connections", "Connections of clients that are open.", stats_num_conns(view));
    GAUGE("portico_connections_limit", "Connections of clients that may be open at once.", (uint64_t)view->max_conns);
    GAUGE("portico_draining", "1 while the process drains.", view->draining);
}

static void metrics_log(const struct stats_view *view, struct exposition *e)
{
    static const struct exposition_family dropped =
        COUNTED("portico_log_lines_dropped", NULL, "Log lines that whoever reads the log did not take in time.");
    exposition_begin(e, &dropped);
    exposition_count(e, NULL, 0, log_num_dropped(view->log));
}

static void metrics_build(const struct stats_view *view, struct exposition *e)
{
    static const struct exposition_family family = {"portico_build", EXPOSITION_INFO, NULL, "The version that runs."};
    exposition_begin(e, &family);
    exposition_count(e, &LABEL("version", view->version), 1, 1);
}

/* ---- names ---- */

struct metrics_family {
    struct exposition_family family;
    void (*write)(struct exposition *e, const struct keeper_name_view *name, const struct metrics_family *family);
    int64_t (*ms)(const struct keeper_name_view *name); /* of a date; 0: none */
};

static int64_t not_after_ms(const struct keeper_name_view *name)
{
    return name->cert ? name->cert->not_after_s * 1000 : 0;
}

static int64_t not_before_ms(const struct keeper_name_view *name)
{
    return name->cert ? name->cert->not_before_s * 1000 : 0;
}

static int64_t renewal_at_ms(const struct keeper_name_view *name)
{
    return name->renew_at_ms;
}

static int64_t window_start_ms(const struct keeper_name_view *name)
{
    return name->window.start_ms;
}

static int64_t window_end_ms(const struct keeper_name_view *name)
{
    return name->window.end_ms;
}

static int64_t next_attempt_ms(const struct keeper_name_view *name)
{
    return name->next_attempt_ms;
}

/* The last label, where a name has two certificates. */
static struct exposition_label key_type_label(const struct keeper_name_view *name)
{
    return (struct exposition_label)LABEL("key_type", name->key_type ? name->key_type : "");
}

static size_t with_key_type(const struct keeper_name_view *name, size_t num_labels)
{
    return num_labels + (name->key_type != NULL);
}

static void write_date(struct exposition *e, const struct keeper_name_view *name, const struct metrics_family *family)
{
    struct exposition_label labels[] = {
        {"name", name->name}, LABEL("issuer", name->cert ? name->cert->issuer : ""), key_type_label(name)};
    int64_t ms = family->ms(name);
    if (ms > 0)
        exposition_count(e, labels, with_key_type(name, 2), (uint64_t)ms / 1000);
}

static void write_failures(struct exposition *e, const struct keeper_name_view *name,
                           const struct metrics_family *family)
{
    struct exposition_label labels[] = {{"name", name->name}, key_type_label(name)};
    (void)family;
    if (name->managed)
        exposition_count(e, labels, with_key_type(name, 1), name->num_failures);
}

static void write_source(struct exposition *e, const struct keeper_name_view *name, const struct metrics_family *family)
{
    struct exposition_label labels[] = {{"name", name->name},
                                        LABEL("source", name->cert ? cert_source_text(name->cert->source) : "none"),
                                        key_type_label(name)};
    (void)family;
    exposition_count(e, labels, with_key_type(name, 2), 1);
}

static void write_why(struct exposition *e, const struct keeper_name_view *name, const struct metrics_family *family)
{
    struct exposition_label labels[] = {
        {"name", name->name}, LABEL("reason", keeper_why_token(name->why)), key_type_label(name)};
    (void)family;
    if (name->why != KEEPER_WHY_NONE)
        exposition_count(e, labels, with_key_type(name, 2), 1);
}

/* What never happened is told too: a rate needs a beginning. */
static void write_attempts(struct exposition *e, const struct keeper_name_view *name,
                           const struct metrics_family *family)
{
    struct exposition_label labels[] = {
        {"name", name->name}, LABEL("result", "issued"), LABEL("problem", ""), key_type_label(name)};
    size_t num_labels = with_key_type(name, 3);
    (void)family;
    if (!name->managed)
        return;
    exposition_count(e, labels, num_labels, name->attempts.num_issued);
    labels[1] = LABEL("result", "failed");
    for (unsigned class = 0; class < KEEPER_NUM_CLASSES; class ++) {
        labels[2] = LABEL("problem", problem_class_name((enum problem_class) class));
        exposition_count(e, labels, num_labels, name->attempts.num_failed[class]);
    }
}

#define DATE(name, help) {name, EXPOSITION_GAUGE, "seconds", help}, write_date

static const struct metrics_family metrics_families[] = {
    {DATE("portico_certificate_not_after_seconds", "When the served certificate ends, in seconds since 1970."),
     not_after_ms},
    {DATE("portico_certificate_not_before_seconds", "When the served certificate began, in seconds since 1970."),
     not_before_ms},
    {DATE("portico_certificate_renewal_at_seconds",
          "The instant chosen to replace the served certificate by an ACME order."),
     renewal_at_ms},
    {DATE("portico_certificate_renewal_window_start_seconds",
          "When the window begins in which the CA wants the served certificate replaced (ARI)."),
     window_start_ms},
    {DATE("portico_certificate_renewal_window_end_seconds",
          "When the window ends in which the CA wants the served certificate replaced (ARI)."),
     window_end_ms},
    {DATE("portico_acme_next_attempt_seconds", "When the next ACME order of a name is due: its renewal, or a new try."),
     next_attempt_ms},
    {{"portico_acme_next_attempt_reason", EXPOSITION_GAUGE, NULL,
      "1 for what the next ACME order of a name waits for, or why there is none."},
     write_why,
     NULL},
    {{"portico_certificate_source", EXPOSITION_GAUGE, NULL, "1 for where a name's served certificate comes from."},
     write_source,
     NULL},
    {{"portico_acme_failures", EXPOSITION_GAUGE, NULL, "ACME orders of a name that failed in a row."},
     write_failures,
     NULL},
    {{"portico_acme_attempts", EXPOSITION_TALLY, NULL, "ACME orders that ended, by result and class of problem."},
     write_attempts,
     NULL},
};

struct metrics_step {
    struct exposition *e;
    const struct metrics_family *family;
};

static void metrics_name(void *ctx, const struct keeper_name_view *name)
{
    const struct metrics_step *step = ctx;
    step->family->write(step->e, name, step->family);
}

/* Some names of a family; false behind the last. */
static bool metrics_names(const struct stats_view *view, struct exposition *e, const struct metrics_family *family,
                          size_t *at)
{
    struct metrics_step step = {e, family};
    size_t room = LIMIT_METRIC_NAMES - *at, max = room < CURSOR_STEP_NAMES ? room : CURSOR_STEP_NAMES;
    if (*at == 0)
        exposition_begin(e, &family->family);
    else
        exposition_resume(e, &family->family);
    size_t num = keeper_some(view->keeper, *at, max, metrics_name, &step);
    *at += num;
    return num == max && max > 0;
}

static void metrics_keeper(const struct stats_view *view, struct exposition *e)
{
    struct keeper_state state = keeper_state(view->keeper);
    size_t omitted = state.num_lines > LIMIT_METRIC_NAMES ? state.num_lines - LIMIT_METRIC_NAMES : 0;
    GAUGE("portico_names", "Names of the configuration.", state.num_names);
    GAUGE("portico_names_omitted", "Names beyond those that have series of their own here.", omitted);
    GAUGE("portico_placeholders", "Names served with a self-signed placeholder.", state.num_placeholders);
    GAUGE("portico_acme_orders_running", "ACME orders that run.", state.num_running);
    GAUGE("portico_storage_writer", "1 for the process that may write to the storage, 0 for a standby.", state.writer);
    GAUGE("portico_storage_readable", "1 where the storage could be read.", state.store_readable);
}

static void metrics_all_but_names(const struct stats_view *view, struct exposition *e)
{
    metrics_build(view, e);
    metrics_process(view, e);
    metrics_lag(view, e);
    metrics_rows_write(view, e);
    metrics_responses(view, e);
    metrics_durations(view, e);
    metrics_tls(view, e);
    metrics_log(view, e);
    if (view->keeper)
        metrics_keeper(view, e);
}

/* Part 0 is all but names, then a part for each family of theirs. */
bool metrics_write(const struct stats_view *view, bool open_metrics, struct cursor *cursor, struct buf *out)
{
    struct exposition e = {.out = out, .open_metrics = open_metrics, .created_s = view->started_s};
    if (cursor->part == 0) {
        metrics_all_but_names(view, &e);
        cursor->part++;
    } else if (!metrics_names(view, &e, &metrics_families[cursor->part - 1], &cursor->name)) {
        cursor->part++;
        cursor->name = 0;
    }
    if (view->keeper && cursor->part <= ROWS(metrics_families))
        return true;
    exposition_end(&e);
    return false;
}
