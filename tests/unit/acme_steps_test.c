/* order_steps: each row of the table with documents as Let's Encrypt, Pebble and others send them: what is asked, and what
 * verdict an answer gets. directory: documents of several CAs. */
#include "acme/directory.h"
#include "acme/key.h"
#include "acme/order_steps.h"
#include "acme/record.h"
#include "check.h"

/* The tables below have one row a line. */
/* clang-format off */
#define LE "https://acme-v02.api.letsencrypt.org/acme/"
#define IDENTIFIERS "\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.example\"}]"
#define ORDER(status, more)                                                                                            \
    "{\"status\":\"" status "\",\"expires\":\"2027-01-22T08:00:00Z\"," IDENTIFIERS ",\"authorizations\":"                  \
    "[\"" LE "authz/1/2\"],\"finalize\":\"" LE "finalize/1/3\"" more "}"
#define CHALLENGE(type, status, more)                                                                                  \
    "{\"type\":\"" type "\",\"url\":\"" LE "chall/1/2/" type "\",\"status\":\"" status "\",\"token\":\"LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0\"" more \
    "}"
#define AUTHZ(status, challenges)                                                                                      \
    "{\"identifier\":{\"type\":\"dns\",\"value\":\"a.example\"},\"status\":\"" status                                      \
    "\",\"expires\":\"2027-01-22T08:00:00Z\",\"challenges\":[" challenges "]}"
#define PROBLEM(type) "{\"type\":\"urn:ietf:params:acme:error:" type "\",\"detail\":\"no\",\"status\":400}"

static const struct slice names[] = {SLICE_LIT("a.example")};
static struct evp_pkey_st *key;
static struct slice profiles[] = {SLICE_LIT("classic"), SLICE_LIT("shortlived")};
static const struct directory directory = {.new_order = SLICE_LIT(LE "new-order"), .profiles = profiles, .num_profiles = 2,
                                           .renewal_info = SLICE_LIT(LE "renewal-info")};
static const enum acme_challenge challenges[] = {ACME_HTTP_01};

static struct order_progress progress_new(void)
{
    return (struct order_progress){.names = names,
                                   .num_names = 1,
                                   .key = key,
                                   .challenges = challenges,
                                   .num_challenges = 1,
                                   .directory = &directory,
                                   .thumbprint = SLICE_LIT("KjkUdJXtGglH6Szz0XMb5Qi9r6GOgTw1gmBeGj_RaOI"),
                                   .created_s = 1800000000};
}

static struct arena arena;

static struct order_verdict answer(struct order_progress *progress, enum order_step step, int status, const char *body)
{
    struct acme_reply reply = {.status = status, .body = slice_str(body), .location = SLICE_LIT(LE "order/1/3")};
    struct order_answer heard = {&reply, &arena, 1800000000};
    return order_step_recv(step, progress, &heard);
}

/* A progress that has an order with one authorization, and a challenge in hand. */
static struct order_progress progress_with_challenge(void)
{
    struct order_progress progress = progress_new();
    CHECK_INT(answer(&progress, ORDER_STEP_NEW, 201, ORDER("pending", "")).kind, ORDER_JOURNAL);
    CHECK_INT(answer(&progress, ORDER_STEP_AUTHZ, 200, AUTHZ("pending", CHALLENGE("http-01", "pending", ""))).kind,
              ORDER_PUBLISH);
    return progress;
}

static void check_verdict(int row, struct order_verdict verdict, enum order_verdict_kind kind, enum order_step next)
{
    bool goes_on = kind == ORDER_GO || kind == ORDER_JOURNAL || kind == ORDER_PUBLISH || kind == ORDER_WAIT || kind == ORDER_TROUBLE;
    if (verdict.kind != kind || (goes_on && verdict.next != next))
        fprintf(stderr, "row at line %d: verdict %d next %d, want %d next %d\n", row, (int)verdict.kind, (int)verdict.next,
                (int)kind, (int)next);
    CHECK_INT(verdict.kind, kind);
    CHECK(!goes_on || verdict.next == next);
}

struct row {
    int line;
    enum order_step step;
    bool resumed;
    int status;
    const char *body;
    enum order_verdict_kind kind;
    enum order_step next;
};

static void check_rows(const struct row *rows, size_t num_rows)
{
    for (size_t i = 0; i < num_rows; i++) {
        bool begun = rows[i].step != ORDER_STEP_NEW && !rows[i].resumed;
        struct order_progress progress = begun ? progress_with_challenge() : progress_new();
        progress.resumed = rows[i].resumed;
        check_verdict(rows[i].line, answer(&progress, rows[i].step, rows[i].status, rows[i].body), rows[i].kind, rows[i].next);
        order_progress_cleanup(&progress);
        arena_reset(&arena);
    }
}

#define CHECK_ROWS(rows) check_rows(rows, sizeof(rows) / sizeof *(rows))

static void test_new_order(void)
{
    static const struct row rows[] = {
        {__LINE__, ORDER_STEP_NEW, false, 201, ORDER("pending", ""), ORDER_JOURNAL, ORDER_STEP_AUTHZ},
        {__LINE__, ORDER_STEP_NEW, false, 200, ORDER("pending", ""), ORDER_JOURNAL, ORDER_STEP_AUTHZ},
        {__LINE__, ORDER_STEP_NEW, false, 201, ORDER("ready", ""), ORDER_JOURNAL, ORDER_STEP_FINALIZE}, /* ACME-43 */
        {__LINE__, ORDER_STEP_NEW, false, 201, ORDER("valid", ",\"certificate\":\"" LE "cert/9\""), ORDER_JOURNAL, ORDER_STEP_DOWNLOAD},
        {__LINE__, ORDER_STEP_NEW, false, 201, ORDER("processing", ""), ORDER_JOURNAL, ORDER_STEP_READ},
        {__LINE__, ORDER_STEP_NEW, false, 201, "{\"status\":\"pending\"," IDENTIFIERS ",\"finalize\":\"" LE "f\"}", ORDER_JOURNAL, ORDER_STEP_READ}, /* ACME-44 */
        {__LINE__, ORDER_STEP_NEW, false, 201, "{\"status\":\"pending\",\"identifiers\":[{\"type\":\"dns\",\"value\":\"b.example\"}]}", ORDER_DEAD, 0}, /* ACME-41 */
        {__LINE__, ORDER_STEP_NEW, false, 201, "{\"status\":\"pending\",\"identifiers\":[]}", ORDER_DEAD, 0},
        {__LINE__, ORDER_STEP_NEW, false, 201, "{\"status\":\"novel\"," IDENTIFIERS "}", ORDER_DEAD, 0},
        {__LINE__, ORDER_STEP_NEW, false, 201, "<html>", ORDER_DEAD, 0},
        {__LINE__, ORDER_STEP_NEW, false, 400, PROBLEM("rejectedIdentifier"), ORDER_TROUBLE, ORDER_STEP_NEW},
        {__LINE__, ORDER_STEP_NEW, false, 429, PROBLEM("rateLimited"), ORDER_TROUBLE, ORDER_STEP_NEW},
        {__LINE__, ORDER_STEP_NEW, false, 400, PROBLEM("accountDoesNotExist"), ORDER_ACCOUNT_LOST, 0},
        {__LINE__, ORDER_STEP_NEW, false, 500, "", ORDER_TROUBLE, ORDER_STEP_NEW},
        {__LINE__, ORDER_STEP_NEW, false, 302, "", ORDER_TROUBLE, ORDER_STEP_NEW}, /* HARDENING A1: no redirects */
    };
    CHECK_ROWS(rows);
}

static void test_read_order(void)
{
    static const struct row rows[] = {
        {__LINE__, ORDER_STEP_READ, true, 200, ORDER("pending", ""), ORDER_GO, ORDER_STEP_AUTHZ},
        {__LINE__, ORDER_STEP_READ, true, 200, ORDER("ready", ""), ORDER_GO, ORDER_STEP_FINALIZE},
        {__LINE__, ORDER_STEP_READ, true, 200, ORDER("processing", ""), ORDER_WAIT, ORDER_STEP_READ}, /* ACME-57 */
        {__LINE__, ORDER_STEP_READ, true, 200, ORDER("valid", ",\"certificate\":\"" LE "cert/9\""), ORDER_GO, ORDER_STEP_DOWNLOAD},
        {__LINE__, ORDER_STEP_READ, true, 200, ORDER("valid", ""), ORDER_TROUBLE, ORDER_STEP_READ},
        {__LINE__, ORDER_STEP_READ, true, 200, ORDER("invalid", ",\"error\":" PROBLEM("caa")), ORDER_DEAD, 0},
        {__LINE__, ORDER_STEP_READ, true, 200, ORDER("invalid", ""), ORDER_GO, ORDER_STEP_AUTHZ}, /* for the reason */
        {__LINE__, ORDER_STEP_READ, true, 404, PROBLEM("malformed"), ORDER_RESTART, 0},
        {__LINE__, ORDER_STEP_READ, true, 404, "not found", ORDER_RESTART, 0},
        {__LINE__, ORDER_STEP_READ, true, 403, PROBLEM("unauthorized"), ORDER_RESTART, 0},
        {__LINE__, ORDER_STEP_READ, true, 200, "{\"status\":\"pending\",\"identifiers\":[]}", ORDER_RESTART, 0},
        {__LINE__, ORDER_STEP_READ, true, 500, "", ORDER_TROUBLE, ORDER_STEP_READ},
        {__LINE__, ORDER_STEP_READ, false, 404, PROBLEM("malformed"), ORDER_DEAD, 0},
        {__LINE__, ORDER_STEP_READ, false, 200, "{\"status\":\"pending\",\"identifiers\":[]}", ORDER_TROUBLE, ORDER_STEP_READ},
    };
    CHECK_ROWS(rows);
}

static void test_read_authz(void)
{
    static const struct row rows[] = {
        {__LINE__, ORDER_STEP_AUTHZ, false, 200, AUTHZ("pending", CHALLENGE("dns-01", "pending", "") "," CHALLENGE("http-01", "pending", "")), ORDER_PUBLISH, ORDER_STEP_CHALLENGE},
        {__LINE__, ORDER_STEP_AUTHZ, false, 200, AUTHZ("pending", CHALLENGE("http-01", "processing", "")), ORDER_PUBLISH, ORDER_STEP_CHALLENGE},
        {__LINE__, ORDER_STEP_AUTHZ, false, 200, AUTHZ("valid", ""), ORDER_GO, ORDER_STEP_FINALIZE},
        {__LINE__, ORDER_STEP_AUTHZ, false, 200, AUTHZ("pending", CHALLENGE("dns-01", "pending", "")), ORDER_DEAD, 0},
        {__LINE__, ORDER_STEP_AUTHZ, false, 200, AUTHZ("pending", CHALLENGE("http-01", "novel", "")), ORDER_DEAD, 0}, /* ACME-46 */
        {__LINE__, ORDER_STEP_AUTHZ, false, 200, AUTHZ("pending", "3,null,[],{\"type\":\"http-01\"}," CHALLENGE("http-01", "pending", "")), ORDER_PUBLISH, ORDER_STEP_CHALLENGE},
        {__LINE__, ORDER_STEP_AUTHZ, false, 200, AUTHZ("invalid", CHALLENGE("http-01", "invalid", ",\"error\":" PROBLEM("dns"))), ORDER_DEAD, 0},
        {__LINE__, ORDER_STEP_AUTHZ, false, 200, AUTHZ("deactivated", ""), ORDER_DEAD, 0},
        {__LINE__, ORDER_STEP_AUTHZ, false, 200, AUTHZ("revoked", ""), ORDER_DEAD, 0},
        {__LINE__, ORDER_STEP_AUTHZ, false, 200, "{\"status\":\"pending\",\"identifier\":{\"value\":\"evil.example\"}}", ORDER_TROUBLE, ORDER_STEP_AUTHZ},
        {__LINE__, ORDER_STEP_AUTHZ, false, 200, "{\"status\":\"pending\",\"wildcard\":true,\"identifier\":{\"value\":\"a.example\"}}", ORDER_TROUBLE, ORDER_STEP_AUTHZ}, /* ACME-45 */
        {__LINE__, ORDER_STEP_AUTHZ, false, 200, "{\"status\":\"novel\",\"identifier\":{\"value\":\"a.example\"}}", ORDER_TROUBLE, ORDER_STEP_AUTHZ},
        {__LINE__, ORDER_STEP_AUTHZ, false, 200, "{", ORDER_TROUBLE, ORDER_STEP_AUTHZ},
    };
    CHECK_ROWS(rows);
}

static void test_challenge(void)
{
    static const struct row rows[] = {
        {__LINE__, ORDER_STEP_CHALLENGE, false, 200, CHALLENGE("http-01", "processing", ""), ORDER_WAIT, ORDER_STEP_VALIDATE},
        {__LINE__, ORDER_STEP_CHALLENGE, false, 200, "", ORDER_WAIT, ORDER_STEP_VALIDATE},
        {__LINE__, ORDER_STEP_CHALLENGE, false, 400, PROBLEM("malformed"), ORDER_GO, ORDER_STEP_VALIDATE}, /* no longer pending */
        {__LINE__, ORDER_STEP_CHALLENGE, false, 403, PROBLEM("unauthorized"), ORDER_DEAD, 0},
        {__LINE__, ORDER_STEP_CHALLENGE, false, 500, "", ORDER_TROUBLE, ORDER_STEP_VALIDATE},
    };
    CHECK_ROWS(rows);
}

static void test_validate(void)
{
    static const struct row rows[] = {
        {__LINE__, ORDER_STEP_VALIDATE, false, 200, AUTHZ("pending", CHALLENGE("http-01", "pending", "")), ORDER_WAIT, ORDER_STEP_VALIDATE},
        {__LINE__, ORDER_STEP_VALIDATE, false, 200, AUTHZ("valid", CHALLENGE("http-01", "valid", "")), ORDER_GO, ORDER_STEP_FINALIZE},
        {__LINE__, ORDER_STEP_VALIDATE, false, 200, AUTHZ("invalid", CHALLENGE("http-01", "invalid", ",\"error\":" PROBLEM("connection"))), ORDER_DEAD, 0},
        {__LINE__, ORDER_STEP_VALIDATE, false, 503, "", ORDER_TROUBLE, ORDER_STEP_VALIDATE},
    };
    CHECK_ROWS(rows);
}

static void test_finalize(void)
{
    static const struct row rows[] = {
        {__LINE__, ORDER_STEP_FINALIZE, false, 200, ORDER("valid", ",\"certificate\":\"" LE "cert/9\""), ORDER_GO, ORDER_STEP_DOWNLOAD},
        {__LINE__, ORDER_STEP_FINALIZE, false, 200, ORDER("processing", ""), ORDER_WAIT, ORDER_STEP_READ},
        {__LINE__, ORDER_STEP_FINALIZE, false, 200, ORDER("ready", ""), ORDER_WAIT, ORDER_STEP_READ}, /* no tight loop */
        {__LINE__, ORDER_STEP_FINALIZE, false, 200, ORDER("invalid", ",\"error\":" PROBLEM("caa")), ORDER_DEAD, 0},
        {__LINE__, ORDER_STEP_FINALIZE, false, 403, PROBLEM("orderNotReady"), ORDER_WAIT, ORDER_STEP_READ}, /* ACME-56 */
        {__LINE__, ORDER_STEP_FINALIZE, false, 400, PROBLEM("badCSR"), ORDER_GO, ORDER_STEP_FINALIZE}, /* ACME-59 */
        {__LINE__, ORDER_STEP_FINALIZE, false, 400, PROBLEM("badPublicKey"), ORDER_DEAD, 0},
        {__LINE__, ORDER_STEP_FINALIZE, false, 500, "", ORDER_TROUBLE, ORDER_STEP_READ}, /* ACME-58 */
        {__LINE__, ORDER_STEP_FINALIZE, false, 200, "garbage", ORDER_TROUBLE, ORDER_STEP_READ},
    };
    CHECK_ROWS(rows);
}

static void test_download(void)
{
    static const struct row rows[] = {
        {__LINE__, ORDER_STEP_DOWNLOAD, false, 200, "", ORDER_TROUBLE, ORDER_STEP_DOWNLOAD},
        {__LINE__, ORDER_STEP_DOWNLOAD, false, 200, "<html>", ORDER_TROUBLE, ORDER_STEP_DOWNLOAD},
        {__LINE__, ORDER_STEP_DOWNLOAD, false, 500, "", ORDER_TROUBLE, ORDER_STEP_DOWNLOAD},
    };
    CHECK_ROWS(rows);
}

/* clang-format on */
static void check_ask(enum order_step step, const struct order_progress *progress, const char *url, const char *payload)
{
    struct order_ask ask;
    CHECK(!err_is(order_step_send(step, progress, &ask)));
    CHECK_SLICE(ask.url, url);
    CHECK_SLICE(buf_slice(&ask.payload), payload);
    CHECK_INT(ask.wants_chain, step == ORDER_STEP_DOWNLOAD || step == ORDER_STEP_ALTERNATE); /* ACME-63 */
    buf_cleanup(&ask.payload);
}

/* ACME-12, 49, 65: what each step sends. */
static void test_asks(void)
{
    struct order_progress progress = progress_with_challenge();
    check_ask(ORDER_STEP_NEW, &progress, LE "new-order",
              "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.example\"}]}");
    check_ask(ORDER_STEP_READ, &progress, LE "order/1/3", "");
    check_ask(ORDER_STEP_AUTHZ, &progress, LE "authz/1/2", "");
    check_ask(ORDER_STEP_CHALLENGE, &progress, LE "chall/1/2/http-01", "{}");
    check_ask(ORDER_STEP_VALIDATE, &progress, LE "authz/1/2", "");
    CHECK_SLICE(
        progress.key_authorization,
        "LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0.KjkUdJXtGglH6Szz0XMb5Qi9r6GOgTw1gmBeGj_RaOI"); /* ACME-68 */
    CHECK_SLICE(progress.dns_value, ""); /* http-01 has none */
    CHECK_SLICE(progress.challenge_name, "a.example");
    answer(&progress, ORDER_STEP_FINALIZE, 200, ORDER("valid", ",\"certificate\":\"" LE "cert/9\""));
    check_ask(ORDER_STEP_DOWNLOAD, &progress, LE "cert/9", "");
    progress.alternates[0] = SLICE_LIT(LE "cert/9/1");
    check_ask(ORDER_STEP_ALTERNATE, &progress, LE "cert/9/1", "");
    order_progress_cleanup(&progress);
    arena_reset(&arena);
}

/* What a new order carries besides names, and when. */
static void test_asks_of_new_order(void)
{
    static const struct slice mixed[] = {SLICE_LIT("*.a.example"), SLICE_LIT("203.0.113.7"), SLICE_LIT("2001:db8::7")};
    static const struct directory plain = {.new_order = SLICE_LIT(LE "new-order")};
    struct order_progress progress = progress_new();
    progress.names = mixed; /* ACME-83 */
    progress.num_names = 3;
    progress.profile = SLICE_LIT("shortlived");
    check_ask(ORDER_STEP_NEW, &progress, LE "new-order",
              "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"*.a.example\"},{\"type\":\"ip\",\"value\":"
              "\"203.0.113.7\"},{\"type\":\"ip\",\"value\":\"2001:db8::7\"}],\"profile\":\"shortlived\"}");
    progress = progress_new();
    progress.replaces = SLICE_LIT("aki.serial");
    check_ask(ORDER_STEP_NEW, &progress, LE "new-order",
              "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.example\"}],\"replaces\":\"aki.serial\"}");
    progress.directory = &plain; /* ACME-98 */
    check_ask(ORDER_STEP_NEW, &progress, LE "new-order",
              "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.example\"}]}");
    order_progress_cleanup(&progress);
}

/* The CA has taken note of the predecessor only where it says so, in any of the order's documents. */
static void test_replaced(void)
{
    struct order_progress progress = progress_new();
    progress.replaces = SLICE_LIT("aki.serial");
    answer(&progress, ORDER_STEP_NEW, 201, ORDER("pending", ""));
    CHECK(!progress.replaced);
    answer(&progress, ORDER_STEP_READ, 200, ORDER("pending", ",\"replaces\":\"aki.other\""));
    CHECK(!progress.replaced);
    answer(&progress, ORDER_STEP_READ, 200, ORDER("pending", ",\"replaces\":\"aki.serial\""));
    CHECK(progress.replaced);
    answer(&progress, ORDER_STEP_READ, 200, ORDER("ready", ""));
    CHECK(progress.replaced);
    order_progress_cleanup(&progress);
    arena_reset(&arena);
}

/* RFC 8555 §8.4: the value of the TXT record. */
static void test_dns_value(void)
{
    static const enum acme_challenge dns[] = {ACME_DNS_01};
    struct order_progress progress = progress_new();
    progress.challenges = dns;
    answer(&progress, ORDER_STEP_NEW, 201, ORDER("pending", ""));
    check_verdict(__LINE__,
                  answer(&progress, ORDER_STEP_AUTHZ, 200, AUTHZ("pending", CHALLENGE("dns-01", "pending", ""))),
                  ORDER_PUBLISH, ORDER_STEP_CHALLENGE);
    CHECK_SLICE(progress.dns_value, "jJE6sJnz7j7tu41jWX0GYTUOUqcTItTSwryMoUfmpww");
    order_progress_cleanup(&progress);
    arena_reset(&arena);
}

/* Preference says which; but what the CA is looking at already goes first, or both would fail. */
static void test_challenge_in_progress(void)
{
    static const enum acme_challenge wanted[] = {ACME_HTTP_01, ACME_TLS_ALPN_01};
    static const char *const others[] = {CHALLENGE("tls-alpn-01", "pending", ""),
                                         CHALLENGE("tls-alpn-01", "processing", ""),
                                         CHALLENGE("tls-alpn-01", "invalid", "")};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct order_progress progress = progress_new();
        struct buf body = {0};
        progress.challenges = wanted;
        progress.num_challenges = 2;
        answer(&progress, ORDER_STEP_NEW, 201, ORDER("pending", ""));
        buf_printf(&body, AUTHZ("pending", CHALLENGE("http-01", "pending", "") ",%s"), others[i]);
        CHECK_INT(answer(&progress, ORDER_STEP_AUTHZ, 200, buf_cstr(&body)).kind, ORDER_PUBLISH);
        CHECK_INT(progress.challenge, i == 1 ? ACME_TLS_ALPN_01 : ACME_HTTP_01);
        buf_cleanup(&body);
        order_progress_cleanup(&progress);
        arena_reset(&arena);
    }
}

/* A name is ordered in one spelling and may come back in another: what is published is the one that was ordered. */
static void test_spelling_of_an_address(void)
{
    static const struct slice ordered[] = {SLICE_LIT("2001:db8::7")};
    struct order_progress progress = progress_new();
    progress.names = ordered;
    CHECK_INT(answer(&progress, ORDER_STEP_NEW, 201,
                     "{\"status\":\"pending\",\"identifiers\":[{\"type\":\"ip\",\"value\":\"2001:DB8:0::7\"}],"
                     "\"authorizations\":[\"" LE "authz/1/2\"]}")
                  .kind,
              ORDER_JOURNAL);
    CHECK_INT(answer(&progress, ORDER_STEP_AUTHZ, 200,
                     "{\"status\":\"pending\",\"identifier\":{\"type\":\"ip\",\"value\":\"2001:DB8:0::7\"},"
                     "\"challenges\":[" CHALLENGE("http-01", "pending", "") "]}")
                  .kind,
              ORDER_PUBLISH);
    CHECK_SLICE(progress.challenge_name, "2001:db8::7");
    order_progress_cleanup(&progress);
    arena_reset(&arena);
}

/* The answer to the challenge's POST was lost: the authorization is read, and the challenge posted once more. */
static void test_unsure_challenge(void)
{
    struct order_progress progress = progress_with_challenge();
    struct acme_reply silence = {.err = err_make(ERR_TIMEOUT, 0, "reply")};
    struct order_answer heard = {&silence, &arena, 1800000000};
    check_verdict(__LINE__, order_step_recv(ORDER_STEP_CHALLENGE, &progress, &heard), ORDER_TROUBLE,
                  ORDER_STEP_VALIDATE);
    const char *pending = AUTHZ("pending", CHALLENGE("http-01", "pending", ""));
    check_verdict(__LINE__, answer(&progress, ORDER_STEP_VALIDATE, 200, pending), ORDER_GO, ORDER_STEP_CHALLENGE);
    check_verdict(__LINE__, answer(&progress, ORDER_STEP_CHALLENGE, 200, ""), ORDER_WAIT, ORDER_STEP_VALIDATE);
    check_verdict(__LINE__, answer(&progress, ORDER_STEP_VALIDATE, 200, pending), ORDER_WAIT, ORDER_STEP_VALIDATE);
    order_progress_cleanup(&progress);
    arena_reset(&arena);
}

/* An order that is invalid without a reason: its authorizations have it. */
static void test_reason_of_an_invalid_order(void)
{
    struct order_progress progress = progress_new();
    progress.resumed = true;
    check_verdict(__LINE__, answer(&progress, ORDER_STEP_READ, 200, ORDER("invalid", "")), ORDER_GO, ORDER_STEP_AUTHZ);
    struct order_verdict verdict =
        answer(&progress, ORDER_STEP_AUTHZ, 200,
               AUTHZ("invalid", CHALLENGE("http-01", "invalid", ",\"error\":" PROBLEM("unauthorized"))));
    check_verdict(__LINE__, verdict, ORDER_DEAD, 0);
    CHECK_INT(verdict.problem.class, PROBLEM_VALIDATION);
    CHECK_SLICE(verdict.problem.type, "unauthorized");
    CHECK_SLICE(verdict.challenge_type, "http-01");
    progress.doomed = true;
    progress.at_authz = 0;
    check_verdict(__LINE__, answer(&progress, ORDER_STEP_AUTHZ, 200, AUTHZ("valid", "")), ORDER_DEAD, 0);
    order_progress_cleanup(&progress);
    arena_reset(&arena);
}

static bool reads_directory(const char *body, struct directory *out_directory)
{
    return !err_is(directory_read(slice_str(body), out_directory));
}

/* ACME-23, ACME-24: Let's Encrypt's, and sparse ones. */
static void test_directories(void)
{
    struct directory read;
    CHECK(reads_directory("{\"a5Zc3kFh2dI\":\"https://community.letsencrypt.org/t/adding-random-entries\","
                          "\"keyChange\":\"" LE "key-change\",\"meta\":{\"caaIdentities\":[\"letsencrypt.org\"],"
                          "\"profiles\":{\"classic\":\"https://letsencrypt.org/docs/profiles#classic\"},"
                          "\"termsOfService\":\"https://letsencrypt.org/documents/LE-SA-v1.5.pdf\","
                          "\"website\":\"https://letsencrypt.org\"},\"newAccount\":\"" LE
                          "new-acct\",\"newNonce\":\"" LE "new-nonce\",\"newOrder\":\"" LE
                          "new-order\",\"renewalInfo\":\"" LE "renewal-info\","
                          "\"revokeCert\":\"" LE "revoke-cert\"}",
                          &read));
    CHECK_SLICE(read.new_order, LE "new-order");
    CHECK_SLICE(read.renewal_info, LE "renewal-info");
    CHECK_SLICE(read.terms_url, "https://letsencrypt.org/documents/LE-SA-v1.5.pdf");
    CHECK_INT(read.num_caa_identities, 1);
    CHECK_SLICE(read.caa_identities[0], "letsencrypt.org");
    CHECK(!read.external_account_required);
    CHECK_INT(read.num_profiles, 1);
    CHECK_SLICE(read.profiles[0], "classic");
    directory_cleanup(&read);
    CHECK(
        reads_directory("{\"newNonce\":\"https://ca/n\",\"newAccount\":\"https://ca/a\",\"newOrder\":\"https://ca/o\","
                        "\"revokeCert\":null,\"renewalInfo\":\"http://ca/r\",\"meta\":{\"termsOfService\":null,"
                        "\"externalAccountRequired\":true}}",
                        &read));
    CHECK(read.revoke_cert.ptr == NULL && read.renewal_info.ptr == NULL && read.terms_url.ptr == NULL);
    CHECK(read.external_account_required);
    directory_cleanup(&read);
    CHECK(!reads_directory("{\"newNonce\":\"https://ca/n\",\"newAccount\":\"https://ca/a\"}", &read));
    CHECK(!reads_directory(
        "{\"newNonce\":\"http://ca/n\",\"newAccount\":\"https://ca/a\",\"newOrder\":\"https://ca/o\"}", &read));
    CHECK(!reads_directory("", &read));
}

/* meta.profiles: an object; whatever else is none. */
static void test_profiles_of_directories(void)
{
    static const struct {
        const char *profiles, *offered;
    } rows[] = {
        {"{\"a\":\"https://ca/a\",\"b\":3}", "a, b"},
        {"{}", "none"},
        {"[\"a\"]", "none"},
        {"null", "none"},
        {"\"a\"", "none"},
        {"{\"\":\"\"}", "none"},
        {"{\"a\\nb\":1,\"a b\":1,\"\\u00e4\":1,\"c\":1}", "c"},
        {"{\"0123456789012345678901234567890123456789012345678901234567890123456\":1,\"c\":1}", "c"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct directory read = {0};
        struct buf body = {0}, offered = {0};
        buf_printf(&body,
                   "{\"newNonce\":\"https://ca/n\",\"newAccount\":\"https://ca/a\",\"newOrder\":\"https://ca/o\","
                   "\"meta\":{\"profiles\":%s}}",
                   rows[i].profiles);
        CHECK(reads_directory(buf_cstr(&body), &read));
        directory_write_profiles(&read, &offered);
        CHECK_SLICE(buf_slice(&offered), rows[i].offered);
        buf_cleanup(&body);
        buf_cleanup(&offered);
        directory_cleanup(&read);
    }
}

static void test_records(void)
{
    struct buf text = {0}, store_key = {0};
    struct journal journal = {.directory_url = SLICE_LIT("https://ca/d"),
                              .account_url = SLICE_LIT("https://ca/a/1"),
                              .order_url = SLICE_LIT("https://ca/o/2"),
                              .profile = SLICE_LIT("shortlived"),
                              .names = names,
                              .num_names = 1,
                              .key = key,
                              .created_s = 12,
                              .expires_s = 34};
    struct journal again;
    record_write_journal(&journal, &text);
    CHECK(!err_is(record_read_journal(&arena, buf_slice(&text), &again)));
    CHECK_SLICE(again.order_url, "https://ca/o/2");
    CHECK_SLICE(again.profile, "shortlived");
    CHECK_SLICE(again.account_url, "https://ca/a/1");
    CHECK_SLICE(again.directory_url, "https://ca/d");
    CHECK_INT(again.num_names, 1);
    CHECK_SLICE(again.names[0], "a.example");
    CHECK_INT(again.created_s, 12);
    CHECK_INT(again.expires_s, 34);
    CHECK(key_same_public(again.key, key));
    key_free(again.key);
    for (size_t cut = 0; cut + 1 < text.len;
         cut += 7) /* torn, which a store must not do: an error, never a shorter one */
        CHECK_INT(record_read_journal(&arena, slice_first(buf_slice(&text), cut), &again).kind, ERR_INPUT);
    record_account_key(SLICE_LIT("https://ca/d"), false, &store_key);
    CHECK_INT(store_key.len, strlen("account/") + 32);
    record_account_key(SLICE_LIT("https://ca/d"), true, &store_key);
    CHECK(slice_ends(buf_slice(&store_key), SLICE_LIT(".given")));
    buf_cleanup_secret(&text);
    buf_cleanup(&store_key);
    arena_reset(&arena);
}

int main(void)
{
    CHECK(!err_is(key_generate(KEY_P256, &key)));
    RUN(test_new_order);
    RUN(test_read_order);
    RUN(test_read_authz);
    RUN(test_challenge);
    RUN(test_validate);
    RUN(test_finalize);
    RUN(test_download);
    RUN(test_asks);
    RUN(test_asks_of_new_order);
    RUN(test_replaced);
    RUN(test_dns_value);
    RUN(test_challenge_in_progress);
    RUN(test_spelling_of_an_address);
    RUN(test_unsure_challenge);
    RUN(test_reason_of_an_invalid_order);
    RUN(test_directories);
    RUN(test_profiles_of_directories);
    RUN(test_records);
    key_free(key);
    arena_cleanup(&arena);
    return checks_done();
}
