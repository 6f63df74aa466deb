/* RFC 8659 and RFC 8657, row by row. */
#include "certs/caa.h"

#include "check.h"

#define ACCOUNT "https://ca.example/acct/1"

struct row {
    const char *records[4]; /* "0 issue ca.example" */
    bool wildcard;
    enum caa_verdict verdict;
};

static const struct row rows[] = {
    {{"0 issue ca.example"}, false, CAA_ALLOWED},
    {{"0 issue CA.Example"}, false, CAA_ALLOWED},
    {{"0 ISSUE  ca.example "}, false, CAA_ALLOWED},
    {{"0 issue second.example"}, false, CAA_ALLOWED},
    {{"0 issue other.example"}, false, CAA_FORBIDS_CA},
    {{"0 issue ;"}, false, CAA_FORBIDS_CA},
    {{"0 issue "}, false, CAA_FORBIDS_CA},
    {{"0 issue other.example", "0 issue ca.example"}, false, CAA_ALLOWED},
    {{"0 issue ;", "0 issue ca.example"}, false, CAA_ALLOWED},
    {{"0 iodef mailto:a@b.example"}, false, CAA_ALLOWED},
    {{"128 issue ca.example"}, false, CAA_ALLOWED},
    {{"128 tbs unknown", "0 issue ca.example"}, false, CAA_CRITICAL},
    {{"0 tbs unknown", "0 issue ca.example"}, false, CAA_ALLOWED},
    /* issuewild */
    {{"0 issue ca.example"}, true, CAA_ALLOWED},
    {{"0 issuewild other.example", "0 issue ca.example"}, true, CAA_FORBIDS_CA},
    {{"0 issuewild ca.example", "0 issue other.example"}, true, CAA_ALLOWED},
    {{"0 issuewild other.example"}, false, CAA_ALLOWED},
    {{"0 issuewild ;", "0 issue ca.example"}, false, CAA_ALLOWED},
    {{"0 issuewild ;", "0 issue ca.example"}, true, CAA_FORBIDS_CA},
    /* RFC 8657 */
    {{"0 issue ca.example; accounturi=" ACCOUNT}, false, CAA_ALLOWED},
    {{"0 issue ca.example ; accounturi = " ACCOUNT " ; x=y"}, false, CAA_ALLOWED},
    {{"0 issue ca.example; accounturi=" ACCOUNT "0"}, false, CAA_FORBIDS_ACCOUNT},
    {{"0 issue ca.example; accounturi=HTTPS://ca.example/acct/1"}, false, CAA_FORBIDS_ACCOUNT}, /* byte for byte */
    {{"0 issue ca.example; accounturi="}, false, CAA_FORBIDS_ACCOUNT},
    {{"0 issue ca.example; accounturi=" ACCOUNT "; accounturi=" ACCOUNT}, false, CAA_FORBIDS_CA},
    {{"0 issue ca.example; validationmethods=http-01"}, false, CAA_ALLOWED},
    {{"0 issue ca.example; validationmethods=dns-01, http-01"}, false, CAA_ALLOWED},
    {{"0 issue ca.example; validationmethods=dns-01"}, false, CAA_FORBIDS_METHOD},
    {{"0 issue ca.example; validationmethods=http-011"}, false, CAA_FORBIDS_METHOD},
    {{"0 issue ca.example; validationmethods="}, false, CAA_FORBIDS_METHOD},
    {{"0 issue ca.example; validationmethods=dns-01", "0 issue ca.example; accounturi=" ACCOUNT}, false, CAA_ALLOWED},
};

static size_t read_records(const struct row *row, struct dns_caa out[4])
{
    size_t num = 0;
    for (; num < 4 && row->records[num]; num++) {
        struct slice rest = slice_str(row->records[num]);
        bool critical = slice_eq(slice_split(&rest, ' '), SLICE_LIT("128"));
        struct slice tag = slice_split(&rest, ' ');
        out[num] = (struct dns_caa){critical, tag, rest};
    }
    return num;
}

static const struct slice identities[] = {{"ca.example", 10}, {"second.example", 14}};

static struct caa_question question_of(const struct row *row)
{
    return (struct caa_question){.identities = identities,
                                 .num_identities = 2,
                                 .account_url = SLICE_LIT(ACCOUNT),
                                 .method = SLICE_LIT("http-01"),
                                 .wildcard = row->wildcard};
}

static void each_row(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct dns_caa records[4];
        struct caa_question question = question_of(&rows[i]);
        size_t num = read_records(&rows[i], records);
        enum caa_verdict verdict = caa_judge(records, num, &question);
        if (verdict != rows[i].verdict)
            fprintf(stderr, "row %zu (%s)\n", i, rows[i].records[0]);
        CHECK_INT(verdict, rows[i].verdict);
    }
}

static void what_is_not_known_decides_nothing(void)
{
    static const struct row account = {{"0 issue ca.example; accounturi=" ACCOUNT}, false, CAA_UNDECIDED};
    static const struct row any = {{"0 issue other.example"}, false, CAA_UNDECIDED};
    static const struct row none = {{"0 issue ;"}, false, CAA_FORBIDS_CA};
    struct dns_caa records[4];
    struct caa_question question = question_of(&account);
    question.account_url = SLICE_NONE;
    CHECK_INT(caa_judge(records, read_records(&account, records), &question), CAA_UNDECIDED);
    question.num_identities = 0;
    CHECK_INT(caa_judge(records, read_records(&any, records), &question), CAA_UNDECIDED);
    CHECK_INT(caa_judge(records, read_records(&none, records), &question), CAA_FORBIDS_CA);
}

static void what_is_written_allows(void)
{
    struct buf value = {0}, text = {0};
    struct caa_question question = question_of(&rows[0]);
    caa_write_value(&value, SLICE_LIT("ca.example"), SLICE_LIT(ACCOUNT), SLICE_LIT("http-01,tls-alpn-01"));
    CHECK_SLICE(buf_slice(&value), "ca.example; accounturi=" ACCOUNT "; validationmethods=http-01,tls-alpn-01");
    struct dns_caa record = {false, SLICE_LIT("issue"), buf_slice(&value)};
    CHECK_INT(caa_judge(&record, 1, &question), CAA_ALLOWED);
    record.value = SLICE_LIT("ca.example");
    caa_write(&text, &record);
    CHECK_SLICE(buf_slice(&text), "0 issue \"ca.example\"");
    buf_cleanup(&value);
    buf_cleanup(&text);
}

int main(void)
{
    RUN(each_row);
    RUN(what_is_not_known_decides_nothing);
    RUN(what_is_written_allows);
    return checks_done();
}
