#include "certs/persist.h"

#include "base/mem.h"
#include "certs/caa.h"

enum { PERSIST_STRING_BYTES = 255 };

static const char label[] = "_validation-persist.";

struct persist_record {
    struct slice issuer;
    struct slice account, policy, until; /* ptr NULL: not there */
    bool malformed;
};

static bool is_wildcard(struct slice name)
{
    return slice_starts(name, SLICE_LIT("*."));
}

static struct slice domain_of(struct slice name)
{
    return is_wildcard(name) ? slice_skip(name, 2) : name;
}

void persist_write_owner(struct slice name, struct buf *out)
{
    buf_append_str(out, label);
    buf_append_slice(out, domain_of(name));
}

void persist_write_value(struct slice name, struct slice issuer, const struct challenge_account *account,
                         struct buf *out)
{
    struct buf uri = {0};
    challenge_write_account_uri(account, domain_of(name), &uri);
    caa_write_value(out, issuer, buf_slice(&uri), SLICE_NONE);
    buf_cleanup(&uri);
    if (is_wildcard(name))
        buf_append_str(out, "; policy=wildcard");
}

/* A character string holds 255 bytes at most: longer texts are several, which readers join (RFC 1035 §3.3.14). */
static void write_strings(struct slice text, struct buf *out)
{
    do {
        struct slice part = slice_first(text, PERSIST_STRING_BYTES);
        buf_append_str(out, " \"");
        buf_append_slice(out, part);
        buf_append_char(out, '"');
        text = slice_skip(text, part.len);
    } while (text.len);
}

void persist_write_record(struct slice name, struct slice issuer, const struct challenge_account *account,
                          struct buf *out)
{
    struct buf value = {0};
    persist_write_value(name, issuer, account, &value);
    persist_write_owner(name, out);
    buf_append_str(out, ". IN TXT");
    write_strings(buf_slice(&value), out);
    buf_cleanup(&value);
}

static struct slice *record_member(struct persist_record *record, struct slice name)
{
    if (slice_ieq(name, SLICE_LIT("accounturi")))
        return &record->account;
    if (slice_ieq(name, SLICE_LIT("policy")))
        return &record->policy;
    return slice_ieq(name, SLICE_LIT("persistUntil")) ? &record->until : NULL;
}

static struct persist_record record_read(struct slice text)
{
    struct persist_record record = {.issuer = slice_trim(slice_split(&text, ';'))};
    while (text.len) {
        struct slice value, name = caa_next_parameter(&text, &value);
        struct slice *member = record_member(&record, name);
        if (member && member->ptr) /* twice */
            record.malformed = true;
        if (member)
            *member = slice_make(value.ptr ? value.ptr : "", value.len);
    }
    return record;
}

static bool names_issuer(const struct persist_question *question, struct slice issuer)
{
    for (size_t i = 0; i < question->num_issuers; i++)
        if (slice_ieq(question->issuers[i], issuer))
            return true;
    return false;
}

/* In either form of a hash: for the domain, or for all of them. */
static bool is_account(const struct persist_question *question, struct slice uri)
{
    const struct slice domains[] = {domain_of(question->name), SLICE_LIT("*")};
    bool same = false;
    for (size_t i = 0; i < sizeof domains / sizeof domains[0] && !same; i++) {
        struct buf ours = {0};
        challenge_write_account_uri(&question->account, domains[i], &ours);
        same = slice_eq(uri, buf_slice(&ours));
        buf_cleanup(&ours);
    }
    return same;
}

enum persist_verdict persist_judge(struct slice text, const struct persist_question *question)
{
    struct persist_record record = record_read(text);
    uint64_t until_s = 0;
    if (!names_issuer(question, record.issuer))
        return PERSIST_OTHER_CA;
    if (record.malformed || (record.until.ptr && !slice_decimal(record.until, INT64_MAX, &until_s)))
        return PERSIST_MALFORMED;
    if (!record.account.ptr || !is_account(question, record.account))
        return PERSIST_OTHER_ACCOUNT;
    if (is_wildcard(question->name) && !slice_ieq(record.policy, SLICE_LIT("wildcard")))
        return PERSIST_NOT_WILDCARD;
    return record.until.ptr && (int64_t)until_s < question->now_s ? PERSIST_PASSED : PERSIST_FITS;
}

/* ---- looking ---- */

static const char *verdict_text(enum persist_verdict verdict)
{
    switch (verdict) {
    case PERSIST_FITS: return "";
    case PERSIST_PASSED: return "dns-persist-01: persistUntil of the TXT record has passed";
    case PERSIST_NOT_WILDCARD: return "dns-persist-01: the TXT record lacks policy=wildcard";
    case PERSIST_OTHER_ACCOUNT: return "dns-persist-01: the TXT record is for another account";
    case PERSIST_OTHER_CA: return "dns-persist-01: no TXT record at _validation-persist is for this CA";
    case PERSIST_MALFORMED: return "dns-persist-01: the TXT record is malformed";
    }
    return "";
}

static struct err look_judge(const struct persist_look *look, const struct dns_answer *answer)
{
    enum persist_verdict best = PERSIST_OTHER_CA;
    if (answer->status == DNS_NXDOMAIN || answer->status == DNS_NODATA)
        return err_make(ERR_STATE, (int)answer->status,
                        "dns-persist-01: there is no TXT record at _validation-persist");
    if (answer->status != DNS_FOUND)
        return err_make(ERR_STATE, (int)answer->status, "dns-persist-01: the TXT record could not be looked up");
    for (size_t i = 0; i < answer->num; i++) {
        enum persist_verdict verdict = persist_judge(answer->texts[i], &look->question);
        best = verdict < best || (verdict == PERSIST_MALFORMED && best == PERSIST_OTHER_CA) ? verdict : best;
    }
    return best == PERSIST_FITS ? ERR_OK : err_make(ERR_STATE, (int)best, verdict_text(best));
}

static void look_answered(struct dns_query *query, const struct dns_answer *answer)
{
    struct persist_look *look = container_of(query, struct persist_look, query);
    look->done(look, look_judge(look, answer));
}

void persist_look_start(struct persist_look *look, struct dns *dns, const struct persist_question *question)
{
    struct buf owner = {0};
    look->question = *question;
    look->query.done = look_answered;
    persist_write_owner(question->name, &owner);
    dns_ask(dns, buf_slice(&owner), DNS_TXT, &look->query);
    buf_cleanup(&owner);
}

void persist_look_cancel(struct persist_look *look)
{
    dns_cancel(&look->query);
}
