#include "base/slice.h"

#include "check.h"

static void equality_looks_past_a_nul(void)
{
    CHECK(slice_eq(SLICE_LIT("a\0b"), SLICE_LIT("a\0b")));
    CHECK(!slice_eq(SLICE_LIT("a\0b"), SLICE_LIT("a\0c")));
    CHECK(slice_ieq(SLICE_LIT("A\0b"), SLICE_LIT("a\0B")));
    CHECK(!slice_ieq(SLICE_LIT("a\0b"), SLICE_LIT("a\0c")));
    CHECK(!slice_eq(SLICE_LIT("a"), SLICE_LIT("ab")));
    CHECK(slice_eq(SLICE_NONE, SLICE_LIT("")) && slice_ieq(SLICE_NONE, SLICE_LIT("")));
}

static void case_is_ascii_alone(void)
{
    CHECK(slice_ieq(SLICE_LIT("Content-LENGTH"), SLICE_LIT("content-length")));
    CHECK(!slice_ieq(SLICE_LIT("@"), SLICE_LIT("`"))); /* 0x20 apart, and no letters */
    CHECK(!slice_ieq(SLICE_LIT("["), SLICE_LIT("{")));
    CHECK(!slice_ieq(SLICE_LIT("\xc4"), SLICE_LIT("\xe4")));
    CHECK(!slice_ieq(SLICE_LIT("a"), SLICE_LIT("ab")));
}

static void starts_and_ends(void)
{
    CHECK(slice_starts(SLICE_LIT("abc"), SLICE_LIT("ab")) && !slice_starts(SLICE_LIT("ab"), SLICE_LIT("abc")));
    CHECK(slice_ends(SLICE_LIT("abc"), SLICE_LIT("bc")) && !slice_ends(SLICE_LIT("bc"), SLICE_LIT("abc")));
    CHECK(slice_starts(SLICE_NONE, SLICE_NONE) && slice_ends(SLICE_LIT("a"), SLICE_NONE));
}

static void skip_and_first(void)
{
    CHECK_SLICE(slice_skip(SLICE_LIT("abc"), 1), "bc");
    CHECK_SLICE(slice_skip(SLICE_LIT("abc"), 3), "");
    CHECK(slice_skip(SLICE_NONE, 0).ptr == NULL);
    CHECK_SLICE(slice_first(SLICE_LIT("abc"), 2), "ab");
    CHECK_SLICE(slice_first(SLICE_LIT("abc"), 9), "abc");
    CHECK_INT(slice_str(NULL).len, 0);
}

static void trim_takes_blanks_and_tabs(void)
{
    CHECK_SLICE(slice_trim(SLICE_LIT(" \t a b\t ")), "a b");
    CHECK_SLICE(slice_trim(SLICE_LIT(" \t ")), "");
    CHECK_SLICE(slice_trim(SLICE_LIT("\r\na")), "\r\na");
}

static void split_takes_parts(void)
{
    struct slice rest = SLICE_LIT("a,,b");
    CHECK_SLICE(slice_split(&rest, ','), "a");
    CHECK_SLICE(slice_split(&rest, ','), "");
    CHECK_SLICE(slice_split(&rest, ','), "b");
    CHECK_INT(rest.len, 0);
    CHECK_SLICE(slice_split(&rest, ','), "");
    struct slice none = SLICE_NONE;
    CHECK_SLICE(slice_split(&none, ','), "");
}

static void decimal_is_digits_in_range(void)
{
    uint64_t value = 7;
    CHECK(slice_decimal(SLICE_LIT("0"), 0, &value) && value == 0);
    CHECK(slice_decimal(SLICE_LIT("65535"), 65535, &value) && value == 65535);
    CHECK(slice_decimal(SLICE_LIT("18446744073709551615"), UINT64_MAX, &value) && value == UINT64_MAX);
    CHECK(slice_decimal(SLICE_LIT("007"), 7, &value) && value == 7);
    static const char *const bad[] = {"", "+1", "-1", " 1", "1 ", "1a", "0x1", "65536", "99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(!slice_decimal(slice_str(bad[i]), 65535, &value));
    CHECK(!slice_decimal(SLICE_LIT("18446744073709551616"), UINT64_MAX, &value));
    CHECK(!slice_decimal(SLICE_LIT("9"), 8, &value));
    CHECK(!slice_decimal(SLICE_LIT("1\0"), 100, &value));
    CHECK_INT(value, 7); /* a failure leaves it */
}

int main(void)
{
    RUN(equality_looks_past_a_nul);
    RUN(case_is_ascii_alone);
    RUN(starts_and_ends);
    RUN(skip_and_first);
    RUN(trim_takes_blanks_and_tabs);
    RUN(split_takes_parts);
    RUN(decimal_is_digits_in_range);
    return checks_done();
}
