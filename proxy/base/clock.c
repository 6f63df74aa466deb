#include "base/clock.h"

#include <time.h>

static int64_t read_ms(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now); /* cannot fail for the two clocks that are asked for here */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t system_wall_ms(const struct clock *clock)
{
    (void)clock;
    return read_ms(CLOCK_REALTIME);
}

static int64_t system_mono_ms(const struct clock *clock)
{
    (void)clock;
    return read_ms(CLOCK_MONOTONIC);
}

const struct clock clock_system = {system_wall_ms, system_mono_ms};

/* Years begin in March here, so that the leap day is a year's last and the months' lengths follow one formula. */
enum { DAYS_PER_ERA = 146097, YEARS_PER_ERA = 400, DAYS_TO_1970 = 719468, DAY_S = 86400, DAY_MS = DAY_S * 1000 };

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static int64_t days_from_civil(int64_t year, int month, int day)
{
    int64_t march_year = month > 2 ? year : year - 1;
    int march_month = month > 2 ? month - 3 : month + 9;
    int64_t era = floor_div(march_year, YEARS_PER_ERA);
    int64_t of_era = march_year - era * YEARS_PER_ERA;
    int64_t day_of_year = (153 * march_month + 2) / 5 + day - 1;
    return era * DAYS_PER_ERA + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - DAYS_TO_1970;
}

struct date {
    int year, month, day;
};

static struct date date_from_days(int64_t days)
{
    days += DAYS_TO_1970;
    int64_t era = floor_div(days, DAYS_PER_ERA);
    int64_t day = days - era * DAYS_PER_ERA;
    int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    int64_t day_of_year = day - (365 * year + year / 4 - year / 100);
    int64_t march_month = (5 * day_of_year + 2) / 153;
    bool next_year = march_month >= 10;
    return (struct date){
        .year = (int)(year + era * YEARS_PER_ERA + next_year),
        .month = (int)(next_year ? march_month - 9 : march_month + 3),
        .day = (int)(day_of_year - (153 * march_month + 2) / 5 + 1),
    };
}

int64_t clock_from_civil(int year, int month, int day, int hour, int minute, int second)
{
    return days_from_civil(year, month, day) * DAY_S + (int64_t)hour * 3600 + (int64_t)minute * 60 + second;
}

static char *put_digits(char *out, int num_digits, int value)
{
    for (int i = num_digits - 1; i >= 0; i--) {
        out[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return out + num_digits;
}

static char *put_char(char *out, char c)
{
    *out = c;
    return out + 1;
}

const char *clock_rfc3339(int64_t wall_ms, char out[CLOCK_TEXT_BYTES])
{
    int64_t first = clock_from_civil(0, 1, 1, 0, 0, 0) * 1000, end = clock_from_civil(10000, 1, 1, 0, 0, 0) * 1000;
    wall_ms = wall_ms < first ? first : wall_ms >= end ? end - 1 : wall_ms; /* the form has four digits for the year */
    int64_t days = floor_div(wall_ms, DAY_MS);
    int ms = (int)(wall_ms - days * DAY_MS);
    struct date date = date_from_days(days);
    char *at = put_char(put_digits(out, 4, date.year), '-');
    at = put_char(put_digits(at, 2, date.month), '-');
    at = put_char(put_digits(at, 2, date.day), 'T');
    at = put_char(put_digits(at, 2, ms / 3600000), ':');
    at = put_char(put_digits(at, 2, ms / 60000 % 60), ':');
    at = put_char(put_digits(at, 2, ms / 1000 % 60), '.');
    at = put_char(put_digits(at, 3, ms % 1000), 'Z');
    *at = '\0';
    return out;
}

/* Parsing: each taker moves a cursor over what it recognises and says whether it was there. */

static bool take_digits(struct slice *text, size_t num_digits, int *out_value)
{
    uint64_t value;
    if (text->len < num_digits || !slice_decimal(slice_first(*text, num_digits), 9999, &value))
        return false;
    *out_value = (int)value;
    *text = slice_skip(*text, num_digits);
    return true;
}

static bool take_text(struct slice *text, struct slice expected)
{
    if (!slice_starts(*text, expected))
        return false;
    *text = slice_skip(*text, expected.len);
    return true;
}

/* One of `num` names; *out_index counts from 0. */
static bool take_name(struct slice *text, const char *const *names, int num, int *out_index)
{
    for (int i = 0; i < num; i++)
        if (take_text(text, slice_str(names[i]))) {
            *out_index = i;
            return true;
        }
    return false;
}

struct moment {
    int year, month, day, hour, minute, second;
};

static bool take_month_name(struct slice *text, struct moment *moment)
{
    static const char *const names[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    if (!take_name(text, names, 12, &moment->month))
        return false;
    moment->month++;
    return true;
}

static bool take_time(struct slice *text, struct moment *moment)
{
    return take_digits(text, 2, &moment->hour) && take_text(text, SLICE_LIT(":")) &&
           take_digits(text, 2, &moment->minute) && take_text(text, SLICE_LIT(":")) &&
           take_digits(text, 2, &moment->second);
}

static int days_in_month(int year, int month)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

/* A second of 60 is a leap second and becomes the next minute's first. */
static bool moment_valid(const struct moment *m)
{
    return m->month >= 1 && m->month <= 12 && m->day >= 1 && m->day <= days_in_month(m->year, m->month) &&
           m->hour <= 23 && m->minute <= 59 && m->second <= 60;
}

static bool moment_finish(const struct moment *m, int64_t *out_s)
{
    if (!moment_valid(m))
        return false;
    *out_s = clock_from_civil(m->year, m->month, m->day, m->hour, m->minute, m->second);
    return true;
}

/* "06 Nov 1994 08:49:37 GMT", behind "Sun, " */
static bool parse_imf_fixdate(struct slice text, struct moment *m)
{
    return take_digits(&text, 2, &m->day) && take_text(&text, SLICE_LIT(" ")) && take_month_name(&text, m) &&
           take_text(&text, SLICE_LIT(" ")) && take_digits(&text, 4, &m->year) && take_text(&text, SLICE_LIT(" ")) &&
           take_time(&text, m) && slice_eq(text, SLICE_LIT(" GMT"));
}

/* A date that seems more than 50 years ahead is the latest one past with the same two digits (RFC 9110 §5.6.7). */
static void moment_place_in_century(struct moment *m)
{
    int now_year = date_from_days(floor_div(clock_system.wall_ms(&clock_system), DAY_MS)).year;
    m->year += now_year - now_year % 100;
    if (m->year > now_year + 50)
        m->year -= 100;
}

/* "06-Nov-94 08:49:37 GMT", behind "Sunday, " */
static bool parse_rfc850_date(struct slice text, struct moment *m)
{
    bool ok = take_digits(&text, 2, &m->day) && take_text(&text, SLICE_LIT("-")) && take_month_name(&text, m) &&
              take_text(&text, SLICE_LIT("-")) && take_digits(&text, 2, &m->year) && take_text(&text, SLICE_LIT(" ")) &&
              take_time(&text, m) && slice_eq(text, SLICE_LIT(" GMT"));
    if (ok)
        moment_place_in_century(m);
    return ok;
}

/* "Nov  6 08:49:37 1994", behind "Sun " */
static bool parse_asctime_date(struct slice text, struct moment *m)
{
    if (!take_month_name(&text, m) || !take_text(&text, SLICE_LIT(" ")))
        return false;
    bool one_digit = take_text(&text, SLICE_LIT(" "));
    return take_digits(&text, one_digit ? 1 : 2, &m->day) && take_text(&text, SLICE_LIT(" ")) && take_time(&text, m) &&
           take_text(&text, SLICE_LIT(" ")) && take_digits(&text, 4, &m->year) && text.len == 0;
}

bool clock_parse_http_date(struct slice text, int64_t *out_s)
{
    static const char *const days[] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
    static const char *const day_tails[] = {"day", "sday", "nesday", "rsday", "day", "urday", "day"};
    struct moment m = {0};
    int day;
    bool ok = false;
    if (!take_name(&text, days, 7, &day))
        return false;
    if (take_text(&text, SLICE_LIT(", ")))
        ok = parse_imf_fixdate(text, &m);
    else if (take_text(&text, SLICE_LIT(" ")))
        ok = parse_asctime_date(text, &m);
    else if (take_text(&text, slice_str(day_tails[day])) && take_text(&text, SLICE_LIT(", ")))
        ok = parse_rfc850_date(text, &m);
    return ok && moment_finish(&m, out_s);
}

/* ".123": at least one digit behind a point. */
static bool take_fraction(struct slice *text)
{
    if (!take_text(text, SLICE_LIT(".")))
        return true;
    size_t len = 0;
    while (len < text->len && text->ptr[len] >= '0' && text->ptr[len] <= '9')
        len++;
    *text = slice_skip(*text, len);
    return len > 0;
}

/* "Z" or "+01:30", to the end of the text. */
static bool take_offset(struct slice text, int *out_s)
{
    int hours, minutes, sign = 1;
    if (slice_ieq(text, SLICE_LIT("Z"))) {
        *out_s = 0;
        return true;
    }
    if (take_text(&text, SLICE_LIT("-")))
        sign = -1;
    else if (!take_text(&text, SLICE_LIT("+")))
        return false;
    if (!take_digits(&text, 2, &hours) || !take_text(&text, SLICE_LIT(":")) || !take_digits(&text, 2, &minutes) ||
        text.len || hours > 23 || minutes > 59)
        return false;
    *out_s = sign * (hours * 3600 + minutes * 60);
    return true;
}

bool clock_parse_rfc3339(struct slice text, int64_t *out_s)
{
    struct moment m = {0};
    int64_t seconds;
    int offset_s;
    if (!take_digits(&text, 4, &m.year) || !take_text(&text, SLICE_LIT("-")) || !take_digits(&text, 2, &m.month) ||
        !take_text(&text, SLICE_LIT("-")) || !take_digits(&text, 2, &m.day))
        return false;
    if (!take_text(&text, SLICE_LIT("T")) && !take_text(&text, SLICE_LIT("t")))
        return false;
    if (!take_time(&text, &m) || !take_fraction(&text) || !take_offset(text, &offset_s) || !moment_finish(&m, &seconds))
        return false;
    *out_s = seconds - offset_s;
    return true;
}
