/* problem: the table row by row, documents with subproblems, what is not a document, sentences; retry_after in both forms. */
#include "acme/problem.h"
#include "acme/retry_after.h"
#include "acme/transport.h"
#include "check.h"

static const int64_t now_s = 1800000000; /* Fri, 15 Jan 2027 08:00:00 GMT */

static struct problem problem_from(struct arena *arena, int status, const char *body, enum problem_place place)
{
    struct acme_reply reply = {.status = status, .body = slice_str(body)};
    return problem_of_reply(arena, &reply, place, now_s);
}

/* RFC 8555 §6.7, RFC 9773, profiles; the class at a validation, and before one. */
static void test_table(void)
{
    static const struct {
        const char *type;
        enum problem_class class, before;
    } rows[] = {
        {"accountDoesNotExist", PROBLEM_ACCOUNT, PROBLEM_ACCOUNT},
        {"alreadyReplaced", PROBLEM_TRANSIENT, PROBLEM_TRANSIENT},
        {"alreadyRevoked", PROBLEM_PERMANENT, PROBLEM_PERMANENT},
        {"badCSR", PROBLEM_PERMANENT, PROBLEM_PERMANENT},
        {"badNonce", PROBLEM_TRANSIENT, PROBLEM_TRANSIENT},
        {"badPublicKey", PROBLEM_PERMANENT, PROBLEM_PERMANENT},
        {"badRevocationReason", PROBLEM_PERMANENT, PROBLEM_PERMANENT},
        {"badSignatureAlgorithm", PROBLEM_ACCOUNT, PROBLEM_ACCOUNT},
        {"caa", PROBLEM_PERMANENT, PROBLEM_PERMANENT},
        {"compound", PROBLEM_TRANSIENT, PROBLEM_TRANSIENT},
        {"connection", PROBLEM_VALIDATION, PROBLEM_VALIDATION},
        {"dns", PROBLEM_VALIDATION, PROBLEM_VALIDATION},
        {"externalAccountRequired", PROBLEM_ACCOUNT, PROBLEM_ACCOUNT},
        {"incorrectResponse", PROBLEM_VALIDATION, PROBLEM_VALIDATION},
        {"invalidContact", PROBLEM_ACCOUNT, PROBLEM_ACCOUNT},
        {"invalidProfile", PROBLEM_PERMANENT, PROBLEM_PERMANENT},
        {"malformed", PROBLEM_PERMANENT, PROBLEM_PERMANENT},
        {"orderNotReady", PROBLEM_TRANSIENT, PROBLEM_TRANSIENT},
        {"rateLimited", PROBLEM_LATER, PROBLEM_LATER},
        {"rejectedIdentifier", PROBLEM_PERMANENT, PROBLEM_PERMANENT},
        {"serverInternal", PROBLEM_TRANSIENT, PROBLEM_TRANSIENT},
        {"tls", PROBLEM_VALIDATION, PROBLEM_VALIDATION},
        {"unauthorized", PROBLEM_VALIDATION, PROBLEM_ACCOUNT},
        {"unsupportedContact", PROBLEM_ACCOUNT, PROBLEM_ACCOUNT},
        {"unsupportedIdentifier", PROBLEM_PERMANENT, PROBLEM_PERMANENT},
        {"userActionRequired", PROBLEM_ACCOUNT, PROBLEM_ACCOUNT},
        {"neverHeardOf", PROBLEM_TRANSIENT, PROBLEM_TRANSIENT},
        {"", PROBLEM_TRANSIENT, PROBLEM_TRANSIENT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena arena = {0};
        struct buf body = {0};
        buf_printf(&body, "{\"type\":\"urn:ietf:params:acme:error:%s\",\"detail\":\"d\"}", rows[i].type);
        struct problem at_order = problem_from(&arena, 400, buf_cstr(&body), PROBLEM_AT_ORDER);
        CHECK_SLICE(at_order.type, rows[i].type);
        CHECK_STR(problem_class_name(at_order.class), problem_class_name(rows[i].before));
        CHECK_INT(problem_from(&arena, 400, buf_cstr(&body), PROBLEM_AT_ACCOUNT).class, rows[i].before);
        CHECK_INT(problem_from(&arena, 400, buf_cstr(&body), PROBLEM_AT_VALIDATION).class, rows[i].class);
        buf_cleanup(&body);
        arena_cleanup(&arena);
    }
}

/* ACME-22: no document, another document, an empty one; the status still counts. */
static void test_what_is_not_a_document(void)
{
    static const struct {
        int status;
        enum problem_class class;
        const char *body;
    } rows[] = {
        {503, PROBLEM_LATER, "<html>busy</html>"},
        {429, PROBLEM_LATER, ""},
        {502, PROBLEM_TRANSIENT, "bad gateway"},
        {400, PROBLEM_TRANSIENT, "[]"},
        {404, PROBLEM_TRANSIENT, "{}"},
        {400, PROBLEM_TRANSIENT, "{\"type\":3}"},
        {403, PROBLEM_TRANSIENT, "{\"type\":\"https://ca.test/own\"}"},
        {503, PROBLEM_LATER, "{\"type\":\"urn:ietf:params:acme:error:serverInternal\"}"},
        {200, PROBLEM_TRANSIENT, "{\"type\":\"urn:ietf:params:acme:error:caa\"}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena arena = {0};
        struct problem problem = problem_from(&arena, rows[i].status, rows[i].body, PROBLEM_AT_ORDER);
        CHECK_INT(problem.class, rows[i].class);
        CHECK_INT(problem.status, rows[i].status);
        CHECK(problem.detail.len > 0 || problem.type.len > 0);
        arena_cleanup(&arena);
    }
}

static void test_silence(void)
{
    struct arena arena = {0};
    struct acme_reply reply = {.err = err_make(ERR_TIMEOUT, 0, "connect"), .detail = "no route to ca.test"};
    struct problem problem = problem_of_reply(&arena, &reply, PROBLEM_AT_ORDER, now_s);
    CHECK_INT(problem.class, PROBLEM_TRANSIENT);
    CHECK_INT(problem.status, 0);
    CHECK_SLICE(problem.detail, "no route to ca.test");
    CHECK_INT(problem.err.kind, ERR_TIMEOUT);
    arena_cleanup(&arena);
}

/* ACME-20, 21: subproblems and a wait, in the sentence too. */
static void test_compound(void)
{
    struct arena arena = {0};
    struct buf sentence = {0};
    struct acme_reply reply = {
        .status = 403,
        .retry_after = SLICE_LIT("3600"),
        .body =
            SLICE_LIT("{\"type\":\"urn:ietf:params:acme:error:compound\",\"detail\":\"Two failed.\",\"subproblems\":["
                      "{\"type\":\"urn:ietf:params:acme:error:caa\",\"detail\":\"CAA forbids.\","
                      "\"identifier\":{\"type\":\"dns\",\"value\":\"a.example\"}},3,"
                      "{\"type\":\"urn:ietf:params:acme:error:dns\",\"detail\":\"NXDOMAIN\"}]}")};
    struct problem problem = problem_of_reply(&arena, &reply, PROBLEM_AT_ORDER, now_s);
    CHECK_INT(problem.class, PROBLEM_PERMANENT);
    CHECK_INT(problem.num_subs, 2);
    CHECK_INT(problem.retry_after_ms, 3600 * 1000);
    struct problem copy = problem_copy(&arena, &problem);
    problem_write_sentence(&sentence, &copy);
    CHECK_SLICE(buf_slice(&sentence),
                "the CA says compound: Two failed; a.example: caa: CAA forbids; part: dns: NXDOMAIN; "
                "the CA asks to wait 60 min");
    buf_cleanup(&sentence);
    arena_cleanup(&arena);
}

/* ACME-10, ACME-31 */
static void test_extras(void)
{
    struct arena arena = {0};
    struct buf sentence = {0};
    struct problem problem =
        problem_from(&arena, 400,
                     "{\"type\":\"urn:ietf:params:acme:error:badSignatureAlgorithm\",\"detail\":\"no\","
                     "\"algorithms\":[\"RS256\",7,\"ES384\"]}",
                     PROBLEM_AT_ACCOUNT);
    CHECK_SLICE(problem.algorithms, "RS256, ES384");
    problem_write_sentence(&sentence, &problem);
    CHECK_SLICE(buf_slice(&sentence),
                "the CA says badSignatureAlgorithm: no; it takes RS256, ES384 (use an account key of a "
                "type that the CA takes)");
    struct acme_reply reply = {
        .status = 403,
        .num_links = 2,
        .links = {SLICE_LIT("<https://ca.test/dir>;rel=\"index\""),
                  SLICE_LIT(" <https://ca.test/terms/2>; rel=\"terms-of-service\"")},
        .body = SLICE_LIT("{\"type\":\"urn:ietf:params:acme:error:userActionRequired\",\"detail\":\"new terms\","
                          "\"instance\":\"https://ca.test/agree\"}")};
    problem = problem_of_reply(&arena, &reply, PROBLEM_AT_ACCOUNT, now_s);
    CHECK_SLICE(problem.instance, "https://ca.test/agree");
    CHECK_SLICE(problem.terms_url, "https://ca.test/terms/2");
    buf_cleanup(&sentence);
    arena_cleanup(&arena);
}

/* ACME-108, 112: a limit says when it ends; a pause says where to go. */
static void test_pauses(void)
{
    static const struct {
        const char *type, *detail, *retry_after, *instance;
        enum problem_class class;
    } rows[] = {
        {"rateLimited", "Names are kept back. Please visit: https://ca.test/u?jwt=a.b.c", NULL,
         "https://ca.test/u?jwt=a.b.c", PROBLEM_PERMANENT},
        {"rateLimited", "Please visit https://ca.test/u. Thanks", NULL, "https://ca.test/u", PROBLEM_PERMANENT},
        {"rateLimited", "too many certificates, visit: https://ca.test/limits", "3600", "", PROBLEM_LATER},
        {"rateLimited", "too many certificates: see https://ca.test/limits", NULL, "", PROBLEM_LATER},
        {"rateLimited", "please visit us", NULL, "", PROBLEM_LATER},
        {"rateLimited", "", NULL, "", PROBLEM_LATER},
        {"malformed", "Please visit: https://ca.test/u", NULL, "", PROBLEM_PERMANENT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena arena = {0};
        struct buf body = {0}, sentence = {0};
        buf_printf(&body, "{\"type\":\"urn:ietf:params:acme:error:%s\",\"detail\":\"%s\"}", rows[i].type,
                   rows[i].detail);
        struct acme_reply reply = {
            .status = 429, .body = buf_slice(&body), .retry_after = slice_str(rows[i].retry_after)};
        struct problem problem = problem_of_reply(&arena, &reply, PROBLEM_AT_ORDER, now_s);
        CHECK_INT(problem.class, rows[i].class);
        CHECK_SLICE(problem.instance, rows[i].instance);
        CHECK_INT(problem.paused, rows[i].instance[0] != '\0');
        problem_write_sentence(&sentence, &problem);
        CHECK_INT(strstr(buf_cstr(&sentence), "paused") != NULL, problem.paused);
        buf_cleanup(&body);
        buf_cleanup(&sentence);
        arena_cleanup(&arena);
    }
}

static void test_hostile_text(void)
{
    struct arena arena = {0};
    struct buf body = {0};
    buf_append_str(&body, "{\"type\":\"about:blank\",\"detail\":\"x\\n\\u001b[2J");
    for (int i = 0; i < 3000; i++)
        buf_append_str(&body, "\xc3\xa4");
    buf_append_str(&body, "\"}");
    struct problem problem = problem_from(&arena, 400, buf_cstr(&body), PROBLEM_AT_ORDER);
    CHECK_INT(problem.type.len, 0);
    CHECK(problem.detail.len <= PROBLEM_MAX_DETAIL_BYTES);
    CHECK_INT((unsigned char)problem.detail.ptr[problem.detail.len - 1], 0xa4); /* no half character */
    CHECK(memchr(problem.detail.ptr, '\n', problem.detail.len) == NULL);
    CHECK(memchr(problem.detail.ptr, 0x1b, problem.detail.len) == NULL);
    buf_cleanup(&body);
    arena_cleanup(&arena);
}

static void test_retry_after(void)
{
    static const struct {
        const char *value, *date;
        int64_t want_ms;
    } rows[] = {
        {"120", NULL, 120000},
        {" 120 ", NULL, 120000},
        {"0", NULL, 0},
        {"-5", NULL, 0},
        {"soon", NULL, 0},
        {"", NULL, 0},
        {"99999999999999999999", NULL, 0},
        {"999999999999", NULL, 30LL * 86400 * 1000},
        {"Fri, 15 Jan 2027 08:02:00 GMT", NULL, 120000},
        {"Friday, 15-Jan-27 08:02:00 GMT", NULL, 120000},
        {"Fri Jan 15 08:02:00 2027", NULL, 120000},
        {"Fri, 15 Jan 2027 07:59:00 GMT", NULL, 0},
        {"Fri, 15 Jan 2027 08:02:00 GMT", "Fri, 15 Jan 2027 08:01:00 GMT", 60000}, /* by the CA's clock, not ours */
        {"Fri, 15 Jan 2027 08:02:00 GMT", "nonsense", 120000},
        {"Fri, 15 Jan 9999 08:02:00 GMT", NULL, 30LL * 86400 * 1000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK_INT(retry_after_ms(slice_str(rows[i].value), slice_str(rows[i].date), now_s), rows[i].want_ms);
    CHECK_INT(retry_after_ms(SLICE_NONE, SLICE_NONE, now_s), 0);
}

static void test_class_names(void)
{
    for (enum problem_class class = PROBLEM_TRANSIENT; class <= PROBLEM_LOCAL; class ++)
        CHECK_INT(problem_class_from_name(slice_str(problem_class_name(class))), class);
    CHECK_INT(problem_class_from_name(SLICE_LIT("no such class")), PROBLEM_TRANSIENT);
}

int main(void)
{
    RUN(test_table);
    RUN(test_what_is_not_a_document);
    RUN(test_silence);
    RUN(test_compound);
    RUN(test_extras);
    RUN(test_pauses);
    RUN(test_hostile_text);
    RUN(test_retry_after);
    RUN(test_class_names);
    return checks_done();
}
