#include "acme/problem.h"

#include "acme/link.h"
#include "acme/retry_after.h"
#include "acme/transport.h"
#include "base/json_read.h"
#include "base/limits.h"

#include <inttypes.h>

/* Every type of RFC 8555 §6.7, RFC 9773, and the profiles draft; everything else is TRANSIENT. `unauthorized` alone
 * depends on the place: for an account or an order it means the account, for a challenge what its answer was. */
static const struct problem_row {
    const char *type;
    enum problem_class class;        /* at a validation */
    enum problem_class before_class; /* at an account or an order */
    const char *cure;                /* or NULL: the CA's own words are the best there is */
} problem_table[] = {
    {"accountDoesNotExist", PROBLEM_ACCOUNT, PROBLEM_ACCOUNT, NULL},
    {"alreadyReplaced", PROBLEM_TRANSIENT, PROBLEM_TRANSIENT, NULL},
    {"alreadyRevoked", PROBLEM_PERMANENT, PROBLEM_PERMANENT, NULL},
    {"badCSR", PROBLEM_PERMANENT, PROBLEM_PERMANENT, NULL},
    {"badNonce", PROBLEM_TRANSIENT, PROBLEM_TRANSIENT, NULL},
    {"badPublicKey", PROBLEM_PERMANENT, PROBLEM_PERMANENT, "choose another type of key"},
    {"badRevocationReason", PROBLEM_PERMANENT, PROBLEM_PERMANENT, NULL},
    {"badSignatureAlgorithm", PROBLEM_ACCOUNT, PROBLEM_ACCOUNT, "use an account key of a type that the CA takes"},
    {"caa", PROBLEM_PERMANENT, PROBLEM_PERMANENT,
     "allow this CA in the CAA record of the name or of the domain above it"},
    {"compound", PROBLEM_TRANSIENT, PROBLEM_TRANSIENT, NULL},
    {"connection", PROBLEM_VALIDATION, PROBLEM_VALIDATION,
     "every address of the name (A and AAAA) must reach this machine, on port 80 for http-01"},
    {"dns", PROBLEM_VALIDATION, PROBLEM_VALIDATION,
     "look at the name's A, AAAA and CAA records and at its name servers"},
    {"externalAccountRequired", PROBLEM_ACCOUNT, PROBLEM_ACCOUNT,
     "ask the CA for credentials of external account binding and configure them"},
    {"incorrectResponse", PROBLEM_VALIDATION, PROBLEM_VALIDATION,
     "something else answers for this name: another server, or a proxy in front that changes the answer"},
    {"invalidContact", PROBLEM_ACCOUNT, PROBLEM_ACCOUNT, "correct the e-mail address"},
    {"invalidProfile", PROBLEM_PERMANENT, PROBLEM_PERMANENT, "choose a profile that the CA offers"},
    {"malformed", PROBLEM_PERMANENT, PROBLEM_PERMANENT, NULL},
    {"orderNotReady", PROBLEM_TRANSIENT, PROBLEM_TRANSIENT, NULL},
    {"rateLimited", PROBLEM_LATER, PROBLEM_LATER, NULL},
    {"rejectedIdentifier", PROBLEM_PERMANENT, PROBLEM_PERMANENT, "the CA does not issue for this name"},
    {"serverInternal", PROBLEM_TRANSIENT, PROBLEM_TRANSIENT, NULL},
    {"tls", PROBLEM_VALIDATION, PROBLEM_VALIDATION,
     "the CA could not finish a TLS handshake with an address of the name"},
    {"unauthorized", PROBLEM_VALIDATION, PROBLEM_ACCOUNT,
     "something else answers for this name: another server, or a proxy in front that changes the answer"},
    {"unsupportedContact", PROBLEM_ACCOUNT, PROBLEM_ACCOUNT, "correct the e-mail address"},
    {"unsupportedIdentifier", PROBLEM_PERMANENT, PROBLEM_PERMANENT, "the CA does not issue for names of this kind"},
    {"userActionRequired", PROBLEM_ACCOUNT, PROBLEM_ACCOUNT,
     "the CA wants somebody to visit a page, probably for new terms"},
};

static const char *const problem_class_names[] = {
    [PROBLEM_TRANSIENT] = "transient",   [PROBLEM_LATER] = "later",     [PROBLEM_PERMANENT] = "permanent",
    [PROBLEM_VALIDATION] = "validation", [PROBLEM_ACCOUNT] = "account", [PROBLEM_LOCAL] = "local",
};

const char *problem_class_name(enum problem_class class)
{
    return problem_class_names[class];
}

enum problem_class problem_class_from_name(struct slice name)
{
    for (enum problem_class class = PROBLEM_TRANSIENT; class <= PROBLEM_LOCAL; class ++)
        if (slice_eq(name, slice_str(problem_class_names[class])))
            return class;
    return PROBLEM_TRANSIENT;
}

static const struct problem_row *problem_find(struct slice type)
{
    for (size_t i = 0; i < sizeof problem_table / sizeof *problem_table; i++)
        if (slice_eq(type, slice_str(problem_table[i].type)))
            return &problem_table[i];
    return NULL;
}

enum problem_class problem_classify(struct slice type, int status, enum problem_place place)
{
    const struct problem_row *row = problem_find(type);
    enum problem_class class = PROBLEM_TRANSIENT;
    if (row)
        class = place == PROBLEM_AT_VALIDATION ? row->class : row->before_class;
    /* Load balancers say 503 or 429 with words of their own (ACME-22). */
    if (class == PROBLEM_TRANSIENT && (status == 503 || status == 429))
        return PROBLEM_LATER;
    return class;
}

bool problem_is(const struct problem *problem, const char *type)
{
    return slice_eq(problem->type, slice_str(type));
}

/* Text from a stranger: cut between characters, control bytes become blanks. */
static struct slice problem_text(struct arena *arena, struct slice text)
{
    size_t len = text.len < PROBLEM_MAX_DETAIL_BYTES ? text.len : PROBLEM_MAX_DETAIL_BYTES;
    if (len < text.len)
        while (len > 0 && ((unsigned char)text.ptr[len] & 0xc0) == 0x80)
            len--;
    char *out = arena_alloc(arena, len + 1);
    for (size_t i = 0; i < len; i++)
        out[i] = (unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 0x7f ? ' ' : text.ptr[i];
    out[len] = '\0';
    return slice_make(out, len);
}

static struct slice problem_no_stop(struct slice text)
{
    while (text.len && (text.ptr[text.len - 1] == '.' || text.ptr[text.len - 1] == ' '))
        text.len--;
    return text;
}

static struct slice problem_short_type(struct slice type)
{
    static const char *const prefixes[] = {"urn:ietf:params:acme:error:", "urn:acme:error:"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (slice_starts(type, slice_str(prefixes[i])))
            return slice_skip(type, strlen(prefixes[i]));
    return slice_eq(type, SLICE_LIT("about:blank")) ? SLICE_LIT("") : type;
}

static void problem_read_subs(struct arena *arena, const struct json *list, struct problem *problem)
{
    if (!list)
        return;
    problem->subs = arena_calloc(arena, PROBLEM_MAX_SUBS, sizeof *problem->subs);
    for (; list && problem->num_subs < PROBLEM_MAX_SUBS; list = list->next) {
        if (list->kind != JSON_OBJECT)
            continue;
        struct problem_sub *sub = &problem->subs[problem->num_subs++];
        sub->identifier = problem_text(arena, json_get_string(json_get(list, "identifier"), "value"));
        sub->type = problem_text(arena, problem_short_type(json_get_string(list, "type")));
        sub->detail = problem_text(arena, json_get_string(list, "detail"));
    }
}

static struct slice problem_read_algorithms(struct arena *arena, const struct json *list)
{
    struct buf joined = {0};
    for (size_t num = 0; list && num < PROBLEM_MAX_ALGORITHMS; list = list->next, num++)
        if (list->kind == JSON_STRING) {
            buf_append_str(&joined, joined.len ? ", " : "");
            buf_append_slice(&joined, slice_first(list->string, 32));
        }
    struct slice text = problem_text(arena, buf_slice(&joined));
    buf_cleanup(&joined);
    return text;
}

/* A compound problem is what its parts are: the first part that is more than TRANSIENT. */
static enum problem_class problem_class_of(const struct problem *problem, enum problem_place place)
{
    enum problem_class class = problem_classify(problem->type, problem->status, place);
    for (size_t i = 0; class == PROBLEM_TRANSIENT && i < problem->num_subs; i++)
        class = problem_classify(problem->subs[i].type, problem->status, place);
    return class;
}

static void problem_read(struct arena *arena, const struct json *json, struct problem *problem)
{
    problem->type = problem_text(arena, problem_short_type(json_get_string(json, "type")));
    problem->detail = problem_text(arena, json_get_string(json, "detail"));
    if (problem->detail.len == 0)
        problem->detail = problem_text(arena, json_get_string(json, "title"));
    problem->instance = problem_text(arena, json_get_string(json, "instance"));
    problem->algorithms = problem_read_algorithms(arena, json_get_array(json, "algorithms"));
    problem_read_subs(arena, json_get_array(json, "subproblems"), problem);
}

struct problem problem_of_json(struct arena *arena, const struct json *json, enum problem_place place)
{
    struct problem problem = {0};
    int64_t status = 0;
    problem_read(arena, json, &problem);
    if (json_get_int(json, "status", 100, 599, &status))
        problem.status = (int)status;
    if (problem.detail.len == 0)
        problem.detail = SLICE_LIT("the CA gave no reason");
    problem.class = problem_class_of(&problem, place);
    return problem;
}

/* ACME-31 */
static struct slice problem_terms_link(struct arena *arena, const struct acme_reply *reply)
{
    for (size_t i = 0; i < reply->num_links; i++) {
        struct slice field = reply->links[i], url = link_next(&field, "terms-of-service");
        if (url.ptr)
            return problem_text(arena, url);
    }
    return (struct slice){"", 0};
}

/* ACME-108: a name that failed too often is paused until somebody visits a page. Only the words tell that from a limit
 * that passes, and that each limit says when it does (ACME-112). Tried daily, which spends nothing. */
static void problem_find_pause(struct problem *problem)
{
    static const struct slice lead = SLICE_LIT("visit"), https = SLICE_LIT("https://");
    if (!problem_is(problem, "rateLimited") || problem->retry_after_ms > 0)
        return;
    const char *end = problem->detail.ptr + problem->detail.len;
    const char *visit = memmem(problem->detail.ptr, problem->detail.len, lead.ptr, lead.len);
    const char *url = visit ? memmem(visit, (size_t)(end - visit), https.ptr, https.len) : NULL;
    if (!url)
        return;
    struct slice rest = slice_make(url, (size_t)(end - url));
    if (problem->instance.len == 0)
        problem->instance = problem_no_stop(slice_split(&rest, ' '));
    problem->paused = true;
    problem->class = PROBLEM_PERMANENT;
}

static struct problem problem_of_silence(struct arena *arena, const struct acme_reply *reply)
{
    char text[160];
    struct slice detail = reply->detail ? slice_str(reply->detail) : slice_str(err_text(reply->err, text, sizeof text));
    return (struct problem){.class = PROBLEM_TRANSIENT, .err = reply->err, .detail = problem_text(arena, detail)};
}

struct problem problem_of_reply(struct arena *arena, const struct acme_reply *reply, enum problem_place place,
                                int64_t now_s)
{
    if (err_is(reply->err))
        return problem_of_silence(arena, reply);
    struct problem problem = {.status = reply->status};
    struct arena scratch = {0};
    struct json *json = NULL;
    struct err err = json_parse(&scratch, reply->body, LIMIT_JSON_BYTES, &json);
    if (!err_is(err) && json->kind == JSON_OBJECT && reply->status >= 400)
        problem_read(arena, json, &problem);
    arena_cleanup(&scratch);
    if (problem.type.len == 0 && problem.detail.len == 0)
        problem.detail =
            reply->status < 400
                ? arena_printf(arena, "the CA's answer (status %d) is not one that belongs here", reply->status)
                : arena_printf(arena, "the CA answered with status %d", reply->status);
    problem.terms_url = problem_terms_link(arena, reply);
    problem.retry_after_ms = retry_after_ms(reply->retry_after, reply->date, now_s);
    problem.class = problem_class_of(&problem, place);
    if (problem.class == PROBLEM_TRANSIENT && problem.retry_after_ms > 0)
        problem.class = PROBLEM_LATER;
    problem_find_pause(&problem);
    return problem;
}

struct problem problem_local(struct arena *arena, enum problem_class class, struct err err, struct slice detail)
{
    return (struct problem){.class = class, .err = err, .detail = problem_text(arena, detail)};
}

struct problem problem_copy(struct arena *arena, const struct problem *problem)
{
    struct problem copy = *problem;
    copy.type = arena_copy(arena, problem->type);
    copy.detail = arena_copy(arena, problem->detail);
    copy.instance = arena_copy(arena, problem->instance);
    copy.terms_url = arena_copy(arena, problem->terms_url);
    copy.algorithms = arena_copy(arena, problem->algorithms);
    copy.subs = problem->num_subs ? arena_calloc(arena, problem->num_subs, sizeof *copy.subs) : NULL;
    for (size_t i = 0; i < problem->num_subs; i++)
        copy.subs[i] =
            (struct problem_sub){arena_copy(arena, problem->subs[i].identifier),
                                 arena_copy(arena, problem->subs[i].type), arena_copy(arena, problem->subs[i].detail)};
    return copy;
}

static void problem_write_wait(struct buf *out, int64_t wait_ms)
{
    int64_t minutes = (wait_ms + 59999) / 60000;
    if (wait_ms <= 0)
        return;
    if (minutes < 120)
        buf_printf(out, "; the CA asks to wait %" PRId64 " min", minutes);
    else
        buf_printf(out, "; the CA asks to wait %" PRId64 " h", (minutes + 59) / 60);
}

static void problem_write_part(struct buf *out, const char *lead, struct slice text)
{
    if (text.len == 0)
        return;
    buf_append_str(out, lead);
    buf_append_slice(out, text);
}

static void problem_write_subs(struct buf *out, const struct problem *problem)
{
    for (size_t i = 0; i < problem->num_subs; i++) {
        const struct problem_sub *sub = &problem->subs[i];
        buf_append_str(out, "; ");
        buf_append_slice(out, sub->identifier.len ? sub->identifier : SLICE_LIT("part"));
        problem_write_part(out, ": ", sub->type);
        problem_write_part(out, ": ", problem_no_stop(sub->detail));
    }
}

void problem_write_sentence(struct buf *out, const struct problem *problem)
{
    const struct problem_row *row = problem_find(problem->type);
    if (problem->status == 0 && problem->type.len == 0) {
        buf_append_slice(out, problem_no_stop(problem->detail));
    } else {
        buf_append_str(out, "the CA says ");
        buf_append_slice(out, problem->type.len ? problem->type : SLICE_LIT("no"));
        problem_write_part(out, ": ", problem_no_stop(problem->detail));
    }
    problem_write_subs(out, problem);
    problem_write_part(out, "; it takes ", problem->algorithms);
    if (problem->instance.len &&
        !memmem(problem->detail.ptr, problem->detail.len, problem->instance.ptr, problem->instance.len))
        problem_write_part(out, "; see ", problem->instance);
    problem_write_part(out, "; terms: ", problem->terms_url);
    problem_write_wait(out, problem->retry_after_ms);
    if (problem->paused)
        buf_append_str(out,
                       " (the CA has paused the name after many failures: mend their cause, then visit that page)");
    else if (row && row->cure && row->class == problem->class) /* the cure of `unauthorized` is that of a validation */
        buf_printf(out, " (%s)", row->cure);
}
