#include "config/parse.h"

#define MS_PER_S INT64_C(1000)
#define S_PER_DAY INT64_C(86400)
#define DURATION_MAX_MS (36500 * S_PER_DAY * MS_PER_S)

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit duration_units[] = {
    {"ms", 1}, {"s", MS_PER_S}, {"m", 60 * MS_PER_S}, {"h", 3600 * MS_PER_S}, {"d", S_PER_DAY *MS_PER_S}, {NULL, 0},
};

static const struct unit age_units[] = {
    {"s", 1}, {"m", 60}, {"h", 3600}, {"d", S_PER_DAY}, {"y", 365 * S_PER_DAY}, {NULL, 0},
};

static const struct unit size_units[] = {
    {"", 1}, {"k", 1024}, {"K", 1024}, {"m", 1 << 20}, {"M", 1 << 20}, {"g", 1 << 30}, {"G", 1 << 30}, {NULL, 0},
};

/* The digits at the front of text, and what follows them. */
static struct slice digits_split(struct slice *rest)
{
    size_t n = 0;
    while (n < rest->len && rest->ptr[n] >= '0' && rest->ptr[n] <= '9')
        n++;
    struct slice digits = slice_first(*rest, n);
    *rest = slice_skip(*rest, n);
    return digits;
}

static const char *number_with_unit(struct slice text, const struct unit *units, int64_t max, const char *no_unit,
                                    int64_t *out_value)
{
    struct slice unit = text, digits = digits_split(&unit);
    if (digits.len == 0)
        return "does not begin with a whole number";
    for (; units->name; units++) {
        uint64_t number;
        if (!slice_eq(unit, slice_str(units->name)))
            continue;
        if (!slice_decimal(digits, (uint64_t)(max / units->factor), &number))
            return "is too large";
        *out_value = (int64_t)number * units->factor;
        return NULL;
    }
    return no_unit;
}

const char *parse_duration_ms(struct slice text, int64_t *out_ms)
{
    if (slice_eq(text, SLICE_LIT("0"))) {
        *out_ms = 0;
        return NULL;
    }
    return number_with_unit(text, duration_units, DURATION_MAX_MS, "does not end in one of the units ms, s, m, h, d",
                            out_ms);
}

const char *parse_age_s(struct slice text, int64_t *out_s)
{
    if (slice_eq(text, SLICE_LIT("0"))) {
        *out_s = 0;
        return NULL;
    }
    return number_with_unit(text, age_units, DURATION_MAX_MS / MS_PER_S,
                            "does not end in one of the units s, m, h, d, y", out_s);
}

const char *parse_size_bytes(struct slice text, uint64_t *out_bytes)
{
    int64_t value = 0;
    const char *why = number_with_unit(text, size_units, INT64_MAX, "ends in something other than k, m or g", &value);
    if (!why)
        *out_bytes = (uint64_t)value;
    return why;
}

static const struct parse_choice booleans[] = {
    {"true", 1}, {"false", 0}, {"1", 1}, {"0", 0}, {"yes", 1}, {"no", 0}, {"on", 1}, {"off", 0}, {NULL, 0},
};

const char *parse_bool(struct slice text, bool *out_value)
{
    int value;
    if (!parse_choice(text, booleans, &value))
        return "is none of true, false, yes, no, on, off, 1, 0";
    *out_value = value != 0;
    return NULL;
}

/* "70%" or "2/3" into thousandths, rounded down. */
static bool part_permille(struct slice text, uint64_t *out_permille)
{
    struct slice below = text, above = slice_split(&below, '/');
    uint64_t a, b;
    if (text.len && text.ptr[text.len - 1] == '%') {
        if (!slice_decimal(slice_first(text, text.len - 1), 100, &a))
            return false;
        *out_permille = a * 10;
        return true;
    }
    if (!slice_decimal(above, 1000, &a) || !slice_decimal(below, 1000, &b) || b == 0)
        return false;
    *out_permille = a * 1000 / b;
    return true;
}

const char *parse_part_permille(struct slice text, uint32_t *out_permille)
{
    uint64_t permille;
    if (slice_ieq(text, SLICE_LIT("auto"))) {
        *out_permille = 0;
        return NULL;
    }
    if (!part_permille(text, &permille))
        return "is neither auto nor a part of the lifetime";
    if (permille < 100 || permille > 950)
        return "is not between 10% and 95% of the lifetime";
    *out_permille = (uint32_t)permille;
    return NULL;
}

bool parse_choice(struct slice text, const struct parse_choice *choices, int *out_value)
{
    for (; choices->name; choices++)
        if (slice_ieq(text, slice_str(choices->name))) {
            *out_value = choices->value;
            return true;
        }
    return false;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct slice parse_trim(struct slice text)
{
    while (text.len && is_blank(text.ptr[0]))
        text = slice_skip(text, 1);
    while (text.len && is_blank(text.ptr[text.len - 1]))
        text.len--;
    return text;
}

bool parse_list_next(struct slice *rest, struct slice *out_item)
{
    while (rest->len) {
        size_t n = 0;
        while (n < rest->len && rest->ptr[n] != ',' && rest->ptr[n] != '\n')
            n++;
        struct slice item = parse_trim(slice_first(*rest, n));
        *rest = slice_skip(*rest, n < rest->len ? n + 1 : n);
        if (item.len) {
            *out_item = item;
            return true;
        }
    }
    return false;
}

bool parse_word_next(struct slice *rest, struct slice *out_word)
{
    size_t n = 0;
    *rest = parse_trim(*rest);
    while (n < rest->len && !is_blank(rest->ptr[n]))
        n++;
    if (n == 0)
        return false;
    *out_word = slice_first(*rest, n);
    *rest = slice_skip(*rest, n);
    return true;
}
