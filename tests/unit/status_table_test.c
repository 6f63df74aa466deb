/* The table of `portico status`: what it says, what it returns, on terminals of any width. */
#include "cli/status_table.h"

#include "check.h"

#include <stdbool.h>
#include <stdlib.h>

#define NOW "1800000000" /* 2027-01-15T08:00:00Z */
#define HEAD "#\t1.2.3\t" NOW "\tserving\twriter\t\n"
#define DAY 86400

struct shown {
    char *text;
    bool fine;
};

static struct shown show(const char *lines, int columns, bool color)
{
    struct shown shown = {0};
    size_t len = 0;
    FILE *file = open_memstream(&shown.text, &len);
    status_table_print(file, slice_str(lines), (struct status_look){columns, color});
    shown.fine = status_is_fine(slice_str(lines));
    fclose(file);
    return shown;
}

static void check_shown(const char *lines, int columns, bool fine, const char *want)
{
    struct shown shown = show(lines, columns, false);
    CHECK_STR(shown.text, want);
    CHECK_INT(shown.fine, fine);
    free(shown.text);
}

/* 90 days, 59 of them left. */
#define FINE "a.test\tissued\tTest CA\t1797321600\t1805097600\t1802592000\tby age\t\t0\t\t\n"

static void test_a_name_that_is_well(void)
{
    check_shown(HEAD FINE, 0, true,
                "portico 1.2.3, serving, writer\n"
                "\n"
                "NAME    ISSUER   ENDS                    NEXT ATTEMPT\n"
                "a.test  Test CA  2027-03-15 (59 d)       in 30 d, by age\n"
                "\n"
                "1 name\n");
}

static void test_trouble_with_its_cure(void)
{
    check_shown("#\t1.2.3\t" NOW "\tdraining\tstandby\tthe disk is full\n"
                "b.test\tplaceholder\tx\t1\t1900000000\t1800000090\tretry after a failure\t\t3\tvalidation\tno "
                "address: add an A record\n"
                "c.test\tissued\tTest CA\t1790000000\t1799999999\t0\t\tpoll-authz\t0\t\t\n",
                0, false,
                "portico 1.2.3, draining, standby\n"
                "storage: the disk is full\n"
                "\n"
                "NAME    ISSUER         ENDS                    NEXT ATTEMPT\n"
                "b.test  (placeholder)  -                       in 90 s, retry after a failure\n"
                "    validation problem, 3 in a row: no address: add an A record\n"
                "c.test  Test CA        2027-01-15 (ended)      now: poll-authz\n"
                "\n"
                "2 names, 2 without a valid certificate\n");
}

/* A fifth of the lifetime, and 14 days: short-lived certificates are no trouble by themselves, nor long ones early. */
static void test_what_ends_soon(void)
{
    static const struct {
        long long lifetime_s, left_s;
        bool fine;
    } rows[] = {
        {90 * DAY, 14 * DAY, true},  {90 * DAY, 14 * DAY - 1, false}, {6 * DAY, 2 * DAY, true}, {6 * DAY, DAY, false},
        {365 * DAY, 15 * DAY, true}, {365 * DAY, 13 * DAY, false},    {90 * DAY, 0, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char lines[256];
        long long end = 1800000000LL + rows[i].left_s;
        snprintf(lines, sizeof lines, HEAD "a.test\town\tx\t%lld\t%lld\t0\t\t\t0\t\t\n", end - rows[i].lifetime_s, end);
        struct shown shown = show(lines, 0, false);
        CHECK_INT(shown.fine, rows[i].fine);
        free(shown.text);
    }
}

static void test_narrow_terminals(void)
{
    static const char lines[] =
        HEAD "a-very-long-name.of-a-customer.example.com\tissued\tA certificate authority of some length\t1797321600\t"
             "1805097600\t1802592000\tlimit of the CA: certificates for the registered domain\t\t1\tlater\tthe CA asks "
             "for a pause: wait until it has passed, nothing else helps\n";
    for (int columns = 60; columns <= 140; columns += 20) {
        struct shown shown = show(lines, columns, false);
        struct slice rest = slice_str(shown.text);
        while (rest.len)
            CHECK((int)slice_split(&rest, '\n').len <= columns);
        CHECK(shown.fine);
        free(shown.text);
    }
}

/* The reason stands behind the time where the terminal is wide enough, and below it where not: it is never cut. */
static void test_the_reason_is_always_there(void)
{
    static const char lines[] = HEAD "a.test\tissued\tTest CA\t1797321600\t1805097600\t0\theld until it is renewed by "
                                     "command\t\t0\t\t\n";
    check_shown(lines, 80, true,
                "portico 1.2.3, serving, writer\n"
                "\n"
                "NAME    ISSUER   ENDS                    NEXT ATTEMPT\n"
                "a.test  Test CA  2027-03-15 (59 d)       - held until it is renewed by command\n"
                "\n"
                "1 name\n");
    check_shown(lines, 60, true,
                "portico 1.2.3, serving, writer\n"
                "\n"
                "NAME    ISSUER   ENDS                    NEXT ATTEMPT\n"
                "a.test  Test CA  2027-03-15 (59 d)       -\n"
                "    no attempt: held until it is renewed by command\n"
                "\n"
                "1 name\n");
}

static void test_two_certificates_are_one_name(void)
{
    check_shown(HEAD "a.test (p256)\tissued\tCA\t1797321600\t1805097600\t0\t\t\t0\t\t\n"
                     "a.test (rsa2048)\tnone\t\t0\t0\t0\tfirst certificate\t\t0\t\t\n"
                     "b.test (p256)\tissued\tCA\t1797321600\t1805097600\t0\t\t\t0\t\t\n",
                0, false,
                "portico 1.2.3, serving, writer\n"
                "\n"
                "NAME              ISSUER  ENDS                    NEXT ATTEMPT\n"
                "a.test (p256)     CA      2027-03-15 (59 d)       -\n"
                "a.test (rsa2048)  (none)  -                       - first certificate\n"
                "b.test (p256)     CA      2027-03-15 (59 d)       -\n"
                "\n"
                "2 names with 3 certificates, 1 without a valid certificate\n");
}

/* A preflight that finds something wrong before anything has failed. */
static void test_a_hint_is_no_failure(void)
{
    struct shown shown =
        show(HEAD "a.test\tplaceholder\t\t0\t0\t1800000090\ta check from here comes first\t\t0\t\tseen from "
                  "here: no address: add an A record\n",
             0, false);
    CHECK(strstr(shown.text, "\n    seen from here: no address: add an A record\n") != NULL);
    CHECK(strstr(shown.text, "in a row") == NULL);
    free(shown.text);
}

static void test_color_is_asked_for(void)
{
    struct shown plain = show(HEAD FINE, 80, false), colored = show(HEAD FINE, 80, true);
    CHECK(strchr(plain.text, '\x1b') == NULL);
    CHECK(strstr(colored.text, "\x1b[32m2027-03-15") != NULL);
    free(plain.text);
    free(colored.text);
}

/* Whatever it is that answers there: nothing of it reaches the terminal's own language. */
static void test_hostile_bytes(void)
{
    static const char *const rows[] = {"", "x", "#\t1\n", HEAD "a\tb\n", HEAD "a\tb\tc\td\te\tf\tg\th\ti\tj\tk\tl\n"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct shown shown = show(rows[i], 80, true);
        CHECK(!shown.fine);
        free(shown.text);
    }
    struct shown shown =
        show(HEAD "a\x1b]0;x\x07\tissued\t\x1b[2J\t1\t1900000000\t0\t\x1b\t\x1b\t1\t\x1b\t\x1b[31m\n", 0, false);
    CHECK(strchr(shown.text, '\x1b') == NULL);
    free(shown.text);
}

int main(void)
{
    RUN(test_a_name_that_is_well);
    RUN(test_trouble_with_its_cure);
    RUN(test_what_ends_soon);
    RUN(test_narrow_terminals);
    RUN(test_the_reason_is_always_there);
    RUN(test_two_certificates_are_one_name);
    RUN(test_a_hint_is_no_failure);
    RUN(test_color_is_asked_for);
    RUN(test_hostile_bytes);
    return checks_done();
}
