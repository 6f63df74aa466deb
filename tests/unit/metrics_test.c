/* What /metrics, /status and /status/lines say of names: of each in its states, and of more than fit. No worker runs. */
#include "core/metrics.h"
#include "core/status.h"

#include "base/json_read.h"
#include "base/limits.h"
#include "check.h"
#include "keeper_world.h"

static struct stats_view view_of(struct kw *world, const struct side *side)
{
    return (struct stats_view){.keeper = side->keeper,
                               .log = world->log,
                               .version = "1.2.3",
                               .started_s = 1000,
                               .now_ms = world->wall_ms,
                               .max_conns = 7};
}

/* Lines that begin so. */
static unsigned num_of(const char *text, const char *begin)
{
    unsigned num = 0;
    struct slice rest = slice_str(text);
    while (rest.len)
        num += slice_starts(slice_split(&rest, '\n'), slice_str(begin));
    return num;
}

static void check_has(const char *text, const char *piece)
{
    if (!strstr(text, piece))
        fprintf(stderr, "not found: %s\n", piece);
    CHECK(strstr(text, piece) != NULL);
}

static const char *metrics(struct kw *world, const struct side *side, struct buf *out)
{
    struct stats_view view = view_of(world, side);
    struct cursor cursor = {0};
    out->len = 0;
    while (metrics_write(&view, false, &cursor, out))
        continue;
    return buf_cstr(out);
}

static void a_name_through_its_states(void)
{
    struct kw world;
    struct buf out = {0};
    char line[160];
    kw_init(&world);
    struct side *side = kw_start_domains(&world, "a.example.com");
    const char *text = metrics(&world, side, &out);
    check_has(text, "portico_certificate_source{name=\"a.example.com\",source=\"none\"} 1\n");
    CHECK_INT(num_of(text, "portico_certificate_not_after_seconds{"), 0);
    kw_rest(&world);
    kw_pass(&world, 60000);
    text = metrics(&world, side, &out);
    const struct cert *cert = side_serves(side, "a.example.com");
    CHECK(cert && cert->source == CERT_ISSUED);
    if (cert) {
        snprintf(line, sizeof line,
                 "portico_certificate_not_after_seconds{name=\"a.example.com\",issuer=\"%s\"} %lld\n", cert->issuer,
                 (long long)cert->not_after_s);
        check_has(text, line);
        snprintf(line, sizeof line,
                 "portico_certificate_renewal_at_seconds{name=\"a.example.com\",issuer=\"%s\"} %lld\n", cert->issuer,
                 (long long)side_view(side, "a.example.com").renew_at_ms / 1000);
        check_has(text, line);
    }
    check_has(text, "portico_acme_attempts_total{name=\"a.example.com\",result=\"issued\",problem=\"\"} 1\n");
    CHECK_INT(num_of(text, "portico_acme_attempts_total{name=\"a.example.com\",result=\"failed\""), KEEPER_NUM_CLASSES);
    check_has(text, "portico_acme_next_attempt_reason{name=\"a.example.com\",reason=\"age\"} 1\n");
    CHECK_INT(num_of(text, "portico_certificate_renewal_window_"), 0); /* the CA names none */
    check_has(text, "portico_names_omitted 0\n");
    kw_cleanup(&world);
    buf_cleanup(&out);
}

/* What /status says of the first name; *arena has it. */
static const struct json *status_name(struct kw *world, const struct side *side, struct arena *arena, struct buf *out)
{
    struct stats_view view = view_of(world, side);
    struct cursor cursor = {0};
    struct json *json = NULL;
    out->len = 0;
    while (status_write_json(&view, &cursor, out))
        continue;
    CHECK(!err_is(json_parse(arena, buf_slice(out), 0, &json)));
    return json_get_array(json, "names");
}

/* ACME-92: the window, the instant chosen in it, and why. */
static void a_window_is_told(void)
{
    struct kw world;
    struct buf out = {0};
    struct arena arena = {0};
    char line[160], chosen[CLOCK_TEXT_BYTES];
    kw_init(&world);
    world.ca.has_renewal_info = true;
    world.ca.ari_explanation = "https://ca.test/incident";
    struct side *side = kw_start_domains(&world, "a.example.com");
    kw_pass(&world, 60000);
    struct keeper_name_view name = side_view(side, "a.example.com");
    const char *text = metrics(&world, side, &out);
    snprintf(line, sizeof line,
             "portico_certificate_renewal_window_end_seconds{name=\"a.example.com\",issuer=\"%s\"} %lld\n",
             name.cert->issuer, (long long)name.window.end_ms / 1000);
    check_has(text, line);
    CHECK_INT(num_of(text, "portico_certificate_renewal_window_start_seconds{"), 1);
    check_has(text, "portico_acme_next_attempt_reason{name=\"a.example.com\",reason=\"window\"} 1\n");
    const struct json *told = status_name(&world, side, &arena, &out);
    const struct json *certificate = json_get(told, "certificate"), *window = json_get(certificate, "renewal_window");
    CHECK_SLICE(json_get_string(told, "next_reason"), "window");
    CHECK_SLICE(json_get_string(told, "challenge"), "http-01");
    CHECK_SLICE(json_get_string(told, "renewed_in_window"), "none");
    CHECK_SLICE(json_get_string(certificate, "key"), "p256");
    CHECK_SLICE(json_get_string(window, "chosen"), clock_rfc3339(name.window.chosen_ms, chosen));
    CHECK_SLICE(json_get_string(window, "explanation"), "https://ca.test/incident");
    arena_cleanup(&arena);
    kw_cleanup(&world);
    buf_cleanup(&out);
}

/* ACME-105: the limit that an order waits for is told by name, to programs and to people. */
static void a_limit_is_told(void)
{
    enum { MANY = 51 };
    struct kw world;
    struct buf out = {0}, domains = {0};
    kw_init(&world);
    for (int i = 0; i < MANY; i++)
        buf_printf(&domains, "%sn%d.example.com", i ? "," : "PORTICO_DOMAINS=", i);
    const char *entries[] = {buf_cstr(&domains), "PORTICO_ACME_DIRECTORY=letsencrypt", NULL};
    struct side *side = kw_start(&world, entries);
    kw_pass(&world, 3600 * 1000);
    check_has(metrics(&world, side, &out), "\",reason=\"limit\"} 1\n");
    struct stats_view view = view_of(&world, side);
    struct cursor cursor = {0};
    out.len = 0;
    while (status_write_lines(&view, &cursor, &out))
        continue;
    check_has(buf_cstr(&out), "\tlimit of the CA: certificates for the registered domain\t");
    kw_cleanup(&world);
    buf_cleanup(&out);
    buf_cleanup(&domains);
}

/* A label tells the certificates of a name apart, where it has two: no series comes twice. */
static void a_name_with_two_certificates(void)
{
    static const char *const entries[] = {"PORTICO_DOMAINS=a.example.com,localhost",
                                          "PORTICO_ACME_KEY_TYPE=p256,rsa2048", NULL};
    struct kw world;
    struct buf out = {0};
    kw_init(&world);
    struct side *side = kw_start(&world, entries);
    kw_pass(&world, 60000);
    const char *text = metrics(&world, side, &out);
    check_has(text, "portico_names 2\n");
    check_has(text, "portico_certificate_source{name=\"a.example.com\",source=\"issued\",key_type=\"p256\"} 1\n");
    check_has(text, "portico_certificate_source{name=\"a.example.com\",source=\"issued\",key_type=\"rsa2048\"} 1\n");
    check_has(
        text,
        "portico_acme_attempts_total{name=\"a.example.com\",result=\"issued\",problem=\"\",key_type=\"p256\"} 1\n");
    check_has(text, "portico_acme_failures{name=\"a.example.com\",key_type=\"rsa2048\"} 0\n");
    CHECK_INT(num_of(text, "portico_certificate_not_after_seconds{name=\"a.example.com\""), 2);
    out.len = 0;
    struct stats_view view = view_of(&world, side);
    struct cursor cursor = {0};
    while (status_write_lines(&view, &cursor, &out))
        continue;
    CHECK_INT(num_of(buf_cstr(&out), "a.example.com (p256)\tissued\t"), 1);
    CHECK_INT(num_of(buf_cstr(&out), "a.example.com (rsa2048)\tissued\t"), 1);
    kw_cleanup(&world);
    buf_cleanup(&out);
}

/* A renewal's instant belongs to the certificate that it was chosen for. */
static void names_that_are_not_ordered_have_no_renewal(void)
{
    struct kw world;
    struct buf out = {0};
    kw_init(&world);
    struct side *side = kw_start_domains(&world, "localhost");
    kw_rest(&world);
    const char *text = metrics(&world, side, &out);
    check_has(text, "portico_certificate_source{name=\"localhost\",source=");
    CHECK_INT(num_of(text, "portico_certificate_renewal_at_seconds{name=\"localhost\""), 0);
    CHECK_INT(num_of(text, "portico_acme_attempts_total{name=\"localhost\",result=\"issued\""),
              side_view(side, "localhost").managed ? 1 : 0);
    kw_cleanup(&world);
    buf_cleanup(&out);
}

/* The scrape stays bounded, and says what it leaves out; status has them all. */
static void more_names_than_have_series(void)
{
    enum { MORE = 3 };
    struct kw world;
    struct buf out = {0}, domains = {0};
    kw_init(&world);
    for (int i = 0; i < LIMIT_METRIC_NAMES + MORE; i++)
        buf_printf(&domains, "%sn%d.example.com", i ? "," : "PORTICO_DOMAINS=", i);
    const char *entries[] = {buf_cstr(&domains), NULL};
    struct side *side = kw_start(&world, entries);
    const char *text = metrics(&world, side, &out);
    CHECK_INT(num_of(text, "portico_acme_failures{"), LIMIT_METRIC_NAMES);
    CHECK_INT(num_of(text, "portico_certificate_source{"), LIMIT_METRIC_NAMES);
    check_has(text, "portico_names_omitted 3\n");
    struct stats_view view = view_of(&world, side);
    out.len = 0;
    struct cursor cursor = {0};
    while (status_write_lines(&view, &cursor, &out))
        continue;
    CHECK_INT(num_of(buf_cstr(&out), ""), 1 + LIMIT_METRIC_NAMES + MORE);
    kw_cleanup(&world);
    buf_cleanup(&out);
    buf_cleanup(&domains);
}

/* Whatever a name has gone through, a line has its fields, and the JSON is JSON. */
static void status_is_well_formed(void)
{
    struct kw world;
    struct buf out = {0};
    struct arena arena = {0};
    struct json *json = NULL;
    kw_init(&world);
    struct side *side = kw_start_domains(&world, "a.example.com,b.example.com");
    kw_rest(&world);
    kw_pass(&world, 60000);
    struct stats_view view = view_of(&world, side);
    struct cursor cursor = {0};
    while (status_write_lines(&view, &cursor, &out))
        continue;
    struct slice rest = buf_slice(&out);
    for (int i = 0; rest.len; i++) {
        struct slice line = slice_split(&rest, '\n');
        size_t num_tabs = 0;
        for (size_t k = 0; k < line.len; k++)
            num_tabs += line.ptr[k] == '\t';
        CHECK_INT(num_tabs + 1, i ? STATUS_LINE_FIELDS : STATUS_HEAD_FIELDS);
    }
    out.len = 0;
    cursor = (struct cursor){0};
    while (status_write_json(&view, &cursor, &out))
        continue;
    struct err err = json_parse(&arena, buf_slice(&out), 0, &json);
    CHECK(!err_is(err));
    const struct json *name = json_get_array(json, "names");
    CHECK_SLICE(json_get_string(name, "name"), "a.example.com");
    CHECK(name && name->next && !name->next->next);
    arena_cleanup(&arena);
    kw_cleanup(&world);
    buf_cleanup(&out);
}

int main(void)
{
    RUN(a_name_through_its_states);
    RUN(a_window_is_told);
    RUN(a_limit_is_told);
    RUN(a_name_with_two_certificates);
    RUN(names_that_are_not_ordered_have_no_renewal);
    RUN(more_names_than_have_series);
    RUN(status_is_well_formed);
    return checks_done();
}
