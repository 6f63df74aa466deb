#include "certs/caa.h"

/* A value of issue or issuewild. */
struct issue {
    struct slice domain;
    struct slice account, methods; /* ptr NULL: no such parameter */
    bool unsatisfiable; /* it breaks the grammar, or names two accounts: nobody may (RFC 8659 §4.2, RFC 8657 §3) */
};

struct slice caa_next_parameter(struct slice *rest, struct slice *out_value)
{
    struct slice value = slice_trim(slice_split(rest, ';'));
    struct slice name = slice_trim(slice_split(&value, '='));
    *out_value = slice_trim(value);
    return name;
}

static struct issue issue_read(struct slice value)
{
    struct issue issue = {.domain = slice_trim(slice_split(&value, ';'))};
    while (value.len) {
        struct slice parameter, name = caa_next_parameter(&value, &parameter);
        struct slice *kept = slice_ieq(name, SLICE_LIT("accounturi"))          ? &issue.account
                             : slice_ieq(name, SLICE_LIT("validationmethods")) ? &issue.methods
                                                                               : NULL;
        if (kept && kept->ptr)
            issue.unsatisfiable = true;
        if (kept)
            *kept = slice_make(parameter.ptr ? parameter.ptr : "", parameter.len);
    }
    return issue;
}

static bool is_known_tag(struct slice tag)
{
    static const char *const tags[] = {"issue",    "issuewild",    "iodef",       "issuemail",
                                       "issuevmc", "contactemail", "contactphone"};
    for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++)
        if (slice_ieq(tag, slice_str(tags[i])))
            return true;
    return false;
}

static bool is_one_of(const struct caa_question *question, struct slice domain)
{
    for (size_t i = 0; i < question->num_identities; i++)
        if (slice_ieq(question->identities[i], domain))
            return true;
    return false;
}

static bool has_method(struct slice methods, struct slice wanted)
{
    while (methods.len)
        if (slice_eq(slice_trim(slice_split(&methods, ',')), wanted))
            return true;
    return false;
}

static enum caa_verdict issue_judge(const struct issue *issue, const struct caa_question *question)
{
    if (issue->unsatisfiable || issue->domain.len == 0)
        return CAA_FORBIDS_CA;
    if (question->num_identities == 0)
        return CAA_UNDECIDED;
    if (!is_one_of(question, issue->domain))
        return CAA_FORBIDS_CA;
    if (issue->methods.ptr && !has_method(issue->methods, question->method))
        return CAA_FORBIDS_METHOD;
    if (!issue->account.ptr || slice_eq(issue->account, question->account_url))
        return CAA_ALLOWED;
    return question->account_url.len ? CAA_FORBIDS_ACCOUNT : CAA_UNDECIDED;
}

/* The one that comes nearest to yes. */
static enum caa_verdict better(enum caa_verdict a, enum caa_verdict b)
{
    static const int rank[] = {[CAA_ALLOWED] = 5,         [CAA_UNDECIDED] = 4,  [CAA_FORBIDS_METHOD] = 3,
                               [CAA_FORBIDS_ACCOUNT] = 2, [CAA_FORBIDS_CA] = 1, [CAA_CRITICAL] = 0};
    return rank[a] >= rank[b] ? a : b;
}

/* Of the records of one tag; CRITICAL where there is none. */
static enum caa_verdict judge_tag(const struct dns_caa *records, size_t num_records, struct slice tag,
                                  const struct caa_question *question)
{
    enum caa_verdict verdict = CAA_CRITICAL;
    for (size_t i = 0; i < num_records; i++) {
        if (!slice_ieq(records[i].tag, tag))
            continue;
        struct issue issue = issue_read(records[i].value);
        verdict = better(issue_judge(&issue, question), verdict);
    }
    return verdict;
}

enum caa_verdict caa_judge(const struct dns_caa *records, size_t num_records, const struct caa_question *question)
{
    for (size_t i = 0; i < num_records; i++)
        if (records[i].critical && !is_known_tag(records[i].tag))
            return CAA_CRITICAL;
    enum caa_verdict verdict = CAA_CRITICAL;
    if (question->wildcard) /* issuewild alone decides where there is one (RFC 8659 §4.3) */
        verdict = judge_tag(records, num_records, SLICE_LIT("issuewild"), question);
    if (verdict == CAA_CRITICAL)
        verdict = judge_tag(records, num_records, SLICE_LIT("issue"), question);
    return verdict == CAA_CRITICAL ? CAA_ALLOWED : verdict; /* neither: the records are about something else */
}

void caa_write(struct buf *out, const struct dns_caa *record)
{
    buf_append_str(out, record->critical ? "128 " : "0 ");
    buf_append_slice(out, record->tag);
    buf_append_str(out, " \"");
    buf_append_slice(out, record->value);
    buf_append_char(out, '"');
}

void caa_write_value(struct buf *out, struct slice identity, struct slice account_url, struct slice methods)
{
    buf_append_slice(out, identity);
    if (account_url.len) {
        buf_append_str(out, "; accounturi=");
        buf_append_slice(out, account_url);
    }
    if (methods.len) {
        buf_append_str(out, "; validationmethods=");
        buf_append_slice(out, methods);
    }
}
