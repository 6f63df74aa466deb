#include "base/clock.h"

#include "check.h"

#include <time.h>

static void system_clock_reads_both(void)
{
    int64_t wall_ms = clock_system.wall_ms(&clock_system), want_ms = (int64_t)time(NULL) * 1000;
    CHECK(wall_ms > want_ms - 2000 && wall_ms < want_ms + 2000);
    int64_t before = clock_system.mono_ms(&clock_system);
    nanosleep(&(struct timespec){.tv_nsec = 3000000}, NULL);
    int64_t passed = clock_system.mono_ms(&clock_system) - before;
    CHECK(passed >= 2 && passed < 5000);
}

/* Every day of 10,000 years, both ways, against the C library. */
static void civil_dates_agree_with_the_c_library(void)
{
    for (time_t at = -62167219200; at < 253402300800; at += 86400 + 3661) {
        struct tm tm;
        char want[64], got[CLOCK_TEXT_BYTES];
        gmtime_r(&at, &tm);
        int64_t back = clock_from_civil(tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
        snprintf(want, sizeof want, "%04d-%02d-%02dT%02d:%02d:%02d.007Z", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
                 tm.tm_hour, tm.tm_min, tm.tm_sec);
        if (back != at || strcmp(clock_rfc3339((int64_t)at * 1000 + 7, got), want) != 0) {
            CHECK_INT(back, at);
            CHECK_STR(got, want);
            return;
        }
    }
}

static void rfc3339_text_has_four_digit_years(void)
{
    char out[CLOCK_TEXT_BYTES];
    CHECK_STR(clock_rfc3339(0, out), "1970-01-01T00:00:00.000Z");
    CHECK_STR(clock_rfc3339(-1, out), "1969-12-31T23:59:59.999Z");
    CHECK_STR(clock_rfc3339(INT64_MIN, out), "0000-01-01T00:00:00.000Z");
    CHECK_STR(clock_rfc3339(INT64_MAX, out), "9999-12-31T23:59:59.999Z");
}

static void http_dates_of_three_forms(void)
{
    static const char *const same[] = {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
                                       "Sun Nov  6 08:49:37 1994"};
    for (size_t i = 0; i < 3; i++) {
        int64_t at = 0;
        CHECK(clock_parse_http_date(slice_str(same[i]), &at));
        CHECK_INT(at, 784111777);
    }
    int64_t at = 0;
    CHECK(clock_parse_http_date(SLICE_LIT("Thu, 29 Feb 2024 23:59:60 GMT"), &at)); /* leap day, leap second */
    CHECK_INT(at, 1709251200);
    CHECK(clock_parse_http_date(SLICE_LIT("Wed Nov 16 08:49:37 1994"), &at));
    CHECK_INT(at, 784975777);
}

/* RFC 9110 §5.6.7: more than 50 years ahead means the past. */
static void two_digit_years_lie_near(void)
{
    static const char *const months[] = {"Jan", "Jul"};
    time_t now = time(NULL);
    struct tm tm;
    gmtime_r(&now, &tm);
    int this_year = tm.tm_year + 1900;
    for (int ahead = -49; ahead <= 50; ahead++)
        for (size_t i = 0; i < 2; i++) {
            char text[64];
            int64_t at = 0;
            snprintf(text, sizeof text, "Monday, 01-%s-%02d 00:00:00 GMT", months[i], (this_year + ahead) % 100);
            CHECK(clock_parse_http_date(slice_str(text), &at));
            CHECK_INT(at, clock_from_civil(this_year + ahead, i ? 7 : 1, 1, 0, 0, 0));
        }
}

static void every_month_has_its_length(void)
{
    static const int years[] = {1900, 2000, 2023, 2024, 2100};
    for (size_t i = 0; i < sizeof years / sizeof *years; i++)
        for (int month = 1; month <= 12; month++) {
            int64_t next = month == 12 ? clock_from_civil(years[i] + 1, 1, 1, 0, 0, 0)
                                       : clock_from_civil(years[i], month + 1, 1, 0, 0, 0);
            int last = (int)((next - clock_from_civil(years[i], month, 1, 0, 0, 0)) / 86400);
            for (int day = 28; day <= 32; day++) {
                char text[64];
                int64_t at;
                snprintf(text, sizeof text, "%04d-%02d-%02dT00:00:00Z", years[i], month, day);
                CHECK_INT(clock_parse_rfc3339(slice_str(text), &at), day <= last);
            }
        }
}

static void no_http_dates(void)
{
    static const char *const bad[] = {"",
                                      "120",
                                      "-1",
                                      "Sun",
                                      "Sun,",
                                      "Sun, 06 Nov 1994 08:49:37",
                                      "Sun, 06 Nov 1994 08:49:37 UTC",
                                      "Sun, 06 Nov 1994 08:49:37 GMT ",
                                      " Sun, 06 Nov 1994 08:49:37 GMT",
                                      "sun, 06 nov 1994 08:49:37 gmt",
                                      "Sun, 6 Nov 1994 08:49:37 GMT",
                                      "Sun, 31 Nov 1994 08:49:37 GMT",
                                      "Sun, 29 Feb 2023 08:49:37 GMT",
                                      "Sun, 29 Feb 1900 08:49:37 GMT",
                                      "Sun, 00 Nov 1994 08:49:37 GMT",
                                      "Sun, 06 Nov 1994 24:00:00 GMT",
                                      "Sun, 06 Nov 1994 08:60:37 GMT",
                                      "Sun, 06 Nov 1994 08:49:61 GMT",
                                      "Sun, 06 Nov 94 08:49:37 GMT",
                                      "Sunday, 06-Nov-1994 08:49:37 GMT",
                                      "Sunday, 06-Nov-94 08:49:37 UTC",
                                      "Sunday, 06-Nov-94 08:49:3x GMT",
                                      "Sonday, 06-Nov-94 08:49:37 GMT",
                                      "Sun Nov  6 08:49:37 1994 ",
                                      "Sun Nov 6 08:49:37 1994",
                                      "Sun, 06 Nob 1994 08:49:37 GMT",
                                      "Sun, 06 Nov 1994  8:49:37 GMT",
                                      "Sun, 06 Nov -994 08:49:37 GMT",
                                      "Sun, 06 Nov 1994 08:49:37 GMT, 07"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t at = 42;
        if (clock_parse_http_date(slice_str(bad[i]), &at) || at != 42)
            CHECK_STR(bad[i], "refused");
    }
}

static void rfc3339_dates(void)
{
    static const struct {
        const char *text;
        int64_t want_s;
    } good[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-11-23T22:16:33.123Z", 1795472193},
        {"2026-11-23t22:16:33z", 1795472193},
        {"2026-11-23T23:46:33.999999999+01:30", 1795472193},
        {"2026-11-23T14:16:33-08:00", 1795472193},
        {"2025-01-01T00:00:00-00:00", 1735689600},
        {"0000-01-01T00:00:00Z", -62167219200},
        {"2016-12-31T23:59:60Z", 1483228800},
        {"1970-01-02T00:00:00+23:59", 60},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int64_t at = 0;
        CHECK(clock_parse_rfc3339(slice_str(good[i].text), &at));
        CHECK_INT(at, good[i].want_s);
    }
}

static void no_rfc3339_dates(void)
{
    static const char *const bad[] = {"",
                                      "2026",
                                      "2026-11-23",
                                      "2026-11-23T22:16:33",
                                      "2026-11-23 22:16:33Z",
                                      "2026-11-23T22:16Z",
                                      "2026-13-23T22:16:33Z",
                                      "2026-00-23T22:16:33Z",
                                      "2026-11-31T22:16:33Z",
                                      "2026-11-23T22:16:33.Z",
                                      "2026-11-23T22:16:33,5Z",
                                      "2026-11-23T22:16:33+0100",
                                      "2026-11-23T22:16:33+24:00",
                                      "2026-11-23T22:16:33+01:60",
                                      "2026-11-23T22:16:33ZZ",
                                      "2026-11-23T22:16:33Z ",
                                      "+026-11-23T22:16:33Z",
                                      "26-11-23T22:16:33Z",
                                      "2026-11-23T22:16:33+01",
                                      "2026-1-23T22:16:33Z",
                                      "2026-11-23T25:16:33Z"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t at = 42;
        if (clock_parse_rfc3339(slice_str(bad[i]), &at) || at != 42)
            CHECK_STR(bad[i], "refused");
    }
}

int main(void)
{
    RUN(system_clock_reads_both);
    RUN(civil_dates_agree_with_the_c_library);
    RUN(rfc3339_text_has_four_digit_years);
    RUN(http_dates_of_three_forms);
    RUN(two_digit_years_lie_near);
    RUN(every_month_has_its_length);
    RUN(no_http_dates);
    RUN(rfc3339_dates);
    RUN(no_rfc3339_dates);
    return checks_done();
}
