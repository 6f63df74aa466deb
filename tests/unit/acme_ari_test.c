/* ARI: the certificate's id, the document, the question to a scripted CA; and the clock guard, which the answers feed. */
#include "acme/ari.h"
#include "acme/chain.h"
#include "acme/clock_guard.h"
#include "acme/pem.h"
#include "check.h"
#include "scripted_issuer.h"
#include "scripted_world.h"

enum { EVENTS = 20000 };

static struct scripted_world world;

/* ---- the id ---- */

/* RFC 9773, appendix A: a serial with its highest bit set, and years that no clock has. */
static const char appendix_a[] = "-----BEGIN CERTIFICATE-----\n"
                                 "MIIBQzCB66ADAgECAgUAh2VDITAKBggqhkjOPQQDAjAVMRMwEQYDVQQDEwpFeGFt\n"
                                 "cGxlIENBMCIYDzAwMDEwMTAxMDAwMDAwWhgPMDAwMTAxMDEwMDAwMDBaMBYxFDAS\n"
                                 "BgNVBAMTC2V4YW1wbGUuY29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeBZu\n"
                                 "7cbpAYNXZLbbh8rNIzuOoqOOtmxA1v7cRm//AwyMwWxyHz4zfwmBhcSrf47NUAFf\n"
                                 "qzLQ2PPQxdTXREYEnKMjMCEwHwYDVR0jBBgwFoAUaYhba4dGQEHhs3uEe6CuLN4B\n"
                                 "yNQwCgYIKoZIzj0EAwIDRwAwRAIge09+S5TZAlw5tgtiVvuERV6cT4mfutXIlwTb\n"
                                 "+FYN/8oCIClDsqBklhB9KAelFiYt9+6FDj3z4KGVelYM5MdsO3pK\n"
                                 "-----END CERTIFICATE-----\n";

static void id_of_pem(const char *pem, struct buf *out, bool *out_ok)
{
    struct slice rest = slice_str(pem);
    struct pem_block block = {0};
    CHECK(!err_is(pem_next(&rest, &block)));
    *out_ok = !err_is(chain_ari_id(buf_slice(&block.der), out));
    pem_block_cleanup(&block);
}

/* ACME-90 */
static void test_id(void)
{
    struct buf id = {0};
    bool ok;
    id_of_pem(appendix_a, &id, &ok);
    CHECK(ok);
    CHECK_SLICE(buf_slice(&id), "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE");
    buf_cleanup(&id);
}

static void test_no_id(void)
{
    struct buf id = {0};
    struct scripted_world scratch;
    CHECK(err_is(chain_ari_id(SLICE_LIT("no certificate"), &id)));
    CHECK(err_is(chain_ari_id(SLICE_LIT(""), &id)));
    world_init(&scratch);
    struct buf pem = {0};
    issue_write_pem(scratch.ca.root, &pem); /* signed by itself, without an authority key identifier */
    bool ok;
    id_of_pem(buf_cstr(&pem), &id, &ok);
    CHECK(!ok);
    CHECK_INT(id.len, 0);
    buf_cleanup(&pem);
    world_cleanup(&scratch);
}

/* ---- the document ---- */

static bool reads(const char *body, struct ari_window *window, struct arena *arena)
{
    return !err_is(ari_read(arena, slice_str(body), window));
}

static void test_document(void)
{
    struct arena arena = {0};
    struct ari_window window;
    CHECK(reads("{\"suggestedWindow\":{\"start\":\"2027-01-02T04:00:00Z\",\"end\":\"2027-01-03T04:00:00Z\"},"
                "\"explanationURL\":\"https://ca.test/why\",\"more\":1}",
                &window, &arena));
    CHECK_INT(window.start_ms, 1798862400000);
    CHECK_INT(window.end_ms - window.start_ms, 86400000);
    CHECK_SLICE(window.explanation_url, "https://ca.test/why");
    CHECK(reads("{\"suggestedWindow\":{\"start\":\"2027-01-02T05:00:00+01:00\",\"end\":\"2027-01-03T04:00:00.5Z\"}}",
                &window, &arena));
    CHECK_INT(window.start_ms, 1798862400000);
    CHECK_INT(window.explanation_url.len, 0);
    CHECK(reads("{\"suggestedWindow\":{\"start\":\"2027-01-02T04:00:00Z\",\"end\":\"2027-01-03T04:00:00Z\"},"
                "\"explanationURL\":\"javascript:alert(1)\"}",
                &window, &arena));
    CHECK_INT(window.explanation_url.len, 0);
    arena_cleanup(&arena);
}

/* ACME-94 */
static void test_no_document(void)
{
    static const char *const bodies[] = {
        "",
        "<html>",
        "[]",
        "{}",
        "{\"suggestedWindow\":null}",
        "{\"suggestedWindow\":{\"start\":\"2027-01-02T04:00:00Z\"}}",
        "{\"suggestedWindow\":{\"start\":\"soon\",\"end\":\"2027-01-03T04:00:00Z\"}}",
        "{\"suggestedWindow\":{\"start\":1798862400,\"end\":1798948800}}",
        "{\"suggestedWindow\":{\"start\":\"2027-01-02T04:00:00Z\",\"end\":\"2027-01-02T04:00:00Z\"}}",
        "{\"suggestedWindow\":{\"start\":\"2027-01-03T04:00:00Z\",\"end\":\"2027-01-02T04:00:00Z\"}}",
    };
    struct ari_window window;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct arena arena = {0};
        CHECK(!reads(bodies[i], &window, &arena));
        arena_cleanup(&arena);
    }
}

/* ACME-95 */
static void test_when_to_ask_again(void)
{
    static const struct {
        const char *retry_after;
        int64_t wait_ms;
    } rows[] = {
        {NULL, 21600000},
        {"", 21600000},
        {"soon", 21600000},
        {"0", 21600000},
        {"1", 60000},
        {"59", 60000},
        {"60", 60000},
        {"17280", 17280000},
        {"86400", 86400000},
        {"86401", 86400000},
        {"999999999999", 86400000},
        {"Sat, 02 Jan 2027 05:00:00 GMT", 3600000},
        {"Sat, 02 Jan 2027 03:00:00 GMT", 21600000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct acme_reply reply = {.retry_after = slice_str(rows[i].retry_after)};
        CHECK_INT(ari_ask_again_ms(&reply, 1798862400), rows[i].wait_ms);
    }
}

/* ---- the question ---- */

struct asked {
    struct acme_ari_query query;
    unsigned num_done;
    enum ari_answer_kind kind;
    int64_t start_ms, end_ms, retry_after_ms;
    char explanation[128], detail[256];
    enum problem_class class;
    bool again; /* asks once more from within done */
};

static struct asked asked;
static char id_text[128];

static void ask_done(struct acme_ari_query *query, const struct acme_ari_answer *answer)
{
    struct asked *a = container_of(query, struct asked, query);
    a->num_done++;
    a->kind = answer->kind;
    a->start_ms = answer->window.start_ms;
    a->end_ms = answer->window.end_ms;
    a->retry_after_ms = answer->retry_after_ms;
    snprintf(a->explanation, sizeof a->explanation, "%.*s", (int)answer->window.explanation_url.len,
             answer->window.explanation_url.len ? answer->window.explanation_url.ptr : "");
    a->detail[0] = '\0';
    if (answer->kind == ARI_FAILED) {
        a->class = answer->problem->class;
        snprintf(a->detail, sizeof a->detail, "%.*s", (int)answer->problem->detail.len,
                 answer->problem->detail.len ? answer->problem->detail.ptr : "");
    }
    if (a->again) {
        a->again = false;
        acme_ari_ask(world.acme, &a->query, slice_str(id_text), ask_done);
    }
}

static void ask(void)
{
    asked = (struct asked){.num_done = 0};
    acme_ari_ask(world.acme, &asked.query, slice_str(id_text), ask_done);
    CHECK_INT(asked.num_done, 0);
    world_run(&world, EVENTS);
}

/* An engine that has a certificate of its CA, whose id is in id_text. */
static void begin(void)
{
    struct buf id = {0}, pem = {0};
    bool ok;
    world_init(&world);
    world.ca.has_renewal_info = true;
    world_start_engine(&world);
    const struct world_order *order = world_order(&world, "a.example", NULL);
    world_run(&world, EVENTS);
    CHECK(order->issued);
    buf_append_slice(&pem, memory_store_value(&world.store, "certificate/a.example"));
    id_of_pem(buf_cstr(&pem), &id, &ok);
    CHECK(ok);
    snprintf(id_text, sizeof id_text, "%s", buf_cstr(&id));
    buf_cleanup(&id);
    buf_cleanup(&pem);
}

static void end(void)
{
    CHECK_STR(world.ca.fault, "");
    world_cleanup(&world);
}

/* ACME-13, ACME-91 */
static void test_window(void)
{
    begin();
    world.ca.ari_explanation = "https://ca.test/why";
    world.ca.ari_retry_after = "3000";
    ask();
    CHECK_INT(asked.num_done, 1);
    CHECK_INT(asked.kind, ARI_WINDOW);
    CHECK_INT(asked.start_ms, (world.ca.issued[0].not_before_s + 60 * 86400) * 1000 - 90 * 864000);
    CHECK_INT(asked.end_ms - asked.start_ms, 2 * 90 * 864000);
    CHECK_INT(asked.retry_after_ms, 3000000);
    CHECK_STR(asked.explanation, "https://ca.test/why");
    CHECK_INT(world.ca.num_at[CA_RENEWAL_INFO], 1);
    end();
}

static void test_again_from_within_done(void)
{
    begin();
    asked = (struct asked){.again = true};
    acme_ari_ask(world.acme, &asked.query, slice_str(id_text), ask_done);
    world_run(&world, EVENTS);
    CHECK_INT(asked.num_done, 2);
    CHECK_INT(asked.kind, ARI_WINDOW);
    CHECK_INT(world.ca.num_at[CA_RENEWAL_INFO], 2);
    end();
}

/* ACME-91: not asked where the directory has none; and whoever asks makes no account. */
static void test_none(void)
{
    begin();
    world_kill_engine(&world);
    world.ca.has_renewal_info = false;
    memory_store_cleanup(&world.store); /* as in a fresh directory */
    memory_store_init(&world.store);
    unsigned num_accounts = world.ca.num_at[CA_NEW_ACCOUNT];
    world_start_engine(&world);
    ask();
    CHECK_INT(asked.num_done, 1);
    CHECK_INT(asked.kind, ARI_NONE);
    CHECK_INT(asked.retry_after_ms, ARI_ASK_DEFAULT_MS);
    CHECK_INT(world.ca.num_at[CA_RENEWAL_INFO], 0);
    CHECK_INT(world.ca.num_at[CA_DIRECTORY], 2);
    CHECK_INT(world.ca.num_at[CA_NEW_ACCOUNT], num_accounts);
    CHECK_INT(world.store.num_records, 0);
    end();
}

/* The directory is read for the question, and again when it is old. */
static void test_directory(void)
{
    begin();
    world_kill_engine(&world);
    world_start_engine(&world);
    ask();
    CHECK_INT(asked.kind, ARI_WINDOW);
    ask();
    CHECK_INT(world.ca.num_at[CA_DIRECTORY], 2);
    world.mono_ms += 6 * 3600 * 1000;
    ask();
    CHECK_INT(world.ca.num_at[CA_DIRECTORY], 3);
    scripted_ca_script(&world.ca, CA_DIRECTORY)->status = 503;
    world.mono_ms += 6 * 3600 * 1000;
    ask();
    CHECK_INT(asked.kind, ARI_FAILED);
    CHECK_INT(asked.class, PROBLEM_LATER);
    end();
}

/* A store that cannot be read stops orders, and no question. */
static void test_unreadable_store(void)
{
    begin();
    world_kill_engine(&world);
    world.store.read_fault = STORE_UNAVAILABLE;
    world_start_engine(&world);
    const struct world_order *order = world_order(&world, "b.example", NULL);
    ask();
    CHECK_INT(asked.kind, ARI_WINDOW);
    CHECK_INT(order->num_done, 1);
    CHECK(!order->issued);
    end();
}

static void test_failures(void)
{
    static const struct {
        int status;
        const char *type, *body;
        enum problem_class class;
    } rows[] = {
        {500, "serverInternal", "broken", PROBLEM_TRANSIENT},
        {503, NULL, "", PROBLEM_LATER},
        {404, NULL, "<html>", PROBLEM_TRANSIENT},
        {200, NULL, "<html>", PROBLEM_TRANSIENT},
        {200, NULL, "{\"suggestedWindow\":{\"start\":\"2027-01-02T04:00:00Z\",\"end\":\"2027-01-02T04:00:00Z\"}}",
         PROBLEM_TRANSIENT},
        {301, NULL, "", PROBLEM_TRANSIENT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin();
        struct ca_script *script = scripted_ca_script(&world.ca, CA_RENEWAL_INFO);
        script->status = rows[i].status;
        script->type = rows[i].type;
        script->body = rows[i].body;
        ask();
        CHECK_INT(asked.num_done, 1);
        CHECK_INT(asked.kind, ARI_FAILED);
        CHECK_STR(problem_class_name(asked.class), problem_class_name(rows[i].class));
        CHECK(asked.detail[0] != '\0');
        end();
    }
}

static void test_no_answer(void)
{
    begin();
    scripted_ca_script(&world.ca, CA_RENEWAL_INFO)->lose_request = true;
    ask();
    CHECK_INT(asked.kind, ARI_FAILED);
    CHECK_INT(asked.class, PROBLEM_TRANSIENT);
    end();
}

/* At every moment of its life. */
static void test_cancel(void)
{
    for (unsigned turns = 0; turns < 8; turns++) {
        begin();
        world_kill_engine(&world);
        world_start_engine(&world);
        asked = (struct asked){.num_done = 0};
        acme_ari_ask(world.acme, &asked.query, slice_str(id_text), ask_done);
        for (unsigned i = 0; i < turns; i++)
            world_turn(&world);
        unsigned num_done = asked.num_done;
        acme_ari_cancel(&asked.query);
        acme_ari_cancel(&asked.query);
        world_run(&world, EVENTS);
        CHECK_INT(asked.num_done, num_done);
        end();
    }
    acme_ari_cancel(&(struct acme_ari_query){.done = ask_done}); /* idle */
}

static void test_free_with_questions(void)
{
    static struct acme_ari_query queries[3];
    begin();
    for (int i = 0; i < 3; i++)
        acme_ari_ask(world.acme, &queries[i], slice_str(id_text), ask_done);
    world_turn(&world);
    world_turn(&world);
    world_kill_engine(&world);
    CHECK(!queries[0].call.acme);
    end();
}

/* ---- the clock guard ---- */

static void test_clock_guard(void)
{
    const int64_t now_ms = INT64_C(1798862400000); /* Sat, 02 Jan 2027 04:00:00 GMT */
    struct clock_guard guard = {0};
    CHECK(!clock_guard_take(&guard, SLICE_NONE, now_ms));
    CHECK(!clock_guard_take(&guard, SLICE_LIT("yesterday"), now_ms));
    CHECK_INT(guard.skew_ms, 0);
    CHECK(!clock_guard_take(&guard, SLICE_LIT("Sat, 02 Jan 2027 03:55:00 GMT"), now_ms));
    CHECK_INT(guard.skew_ms, 300000);
    CHECK(!guard.off);
    CHECK(clock_guard_take(&guard, SLICE_LIT("Sat, 02 Jan 2027 03:54:59 GMT"), now_ms));
    CHECK(guard.off);
    CHECK(!clock_guard_take(&guard, SLICE_LIT("Sat, 02 Jan 2027 03:50:00 GMT"), now_ms)); /* said already */
    CHECK(clock_guard_take(&guard, SLICE_LIT("Sat, 02 Jan 2027 04:00:01 GMT"), now_ms));
    CHECK(!guard.off);
    CHECK(clock_guard_take(&guard, SLICE_LIT("Sat, 02 Jan 2027 05:00:00 GMT"), now_ms));
    CHECK_INT(guard.skew_ms, -3600000);
}

static void test_clock_of_the_engine(void)
{
    begin();
    CHECK_INT(acme_clock_skew_ms(world.acme), 0);
    world.ca.date = "Fri, 15 Jan 2027 07:00:00 GMT"; /* the world began at 08:00 */
    const struct world_order *order = world_order(&world, "b.example", NULL);
    world_run(&world, EVENTS);
    CHECK(order->issued);
    CHECK(acme_clock_skew_ms(world.acme) >= 3600000 && acme_clock_skew_ms(world.acme) < 3700000);
    world.ca.date = "Fri, 15 Jan 2027 07:00:00 GMT";
    world.wall_ms -= 3600000; /* somebody sets it */
    order = world_order(&world, "c.example", NULL);
    world_run(&world, EVENTS);
    CHECK(acme_clock_skew_ms(world.acme) < CLOCK_GUARD_MAX_SKEW_MS);
    end();
}

int main(void)
{
    RUN(test_id);
    RUN(test_no_id);
    RUN(test_document);
    RUN(test_no_document);
    RUN(test_when_to_ask_again);
    RUN(test_window);
    RUN(test_again_from_within_done);
    RUN(test_none);
    RUN(test_directory);
    RUN(test_unreadable_store);
    RUN(test_failures);
    RUN(test_no_answer);
    RUN(test_cancel);
    RUN(test_free_with_questions);
    RUN(test_clock_guard);
    RUN(test_clock_of_the_engine);
    return checks_done();
}
