#include "config/apply.h"

#include "config/mistakes.h"

#include <stdio.h>

static void *field_of(struct build *build, enum row row)
{
    return (char *)build->config + config_rows[row].field;
}

struct bound_unit {
    const char *name;
    uint64_t factor;
};

static const char *bound_text(uint64_t value, const struct bound_unit *units, char out[BOUND_TEXT_BYTES])
{
    while (units->factor > 1 && (value == 0 || value % units->factor != 0))
        units++;
    snprintf(out, BOUND_TEXT_BYTES, "%llu%s", (unsigned long long)(value / units->factor), value ? units->name : "");
    return out;
}

const char *bound_duration_text(uint64_t ms, char out[BOUND_TEXT_BYTES])
{
    static const struct bound_unit units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
    return bound_text(ms, units, out);
}

const char *bound_size_text(uint64_t bytes, char out[BOUND_TEXT_BYTES])
{
    static const struct bound_unit units[] = {{"g", 1 << 30}, {"m", 1 << 20}, {"k", 1024}, {"", 1}};
    return bound_text(bytes, units, out);
}

/* 0 stands for "off", "no limit" or "auto" where the row's default says so, and is then outside its bounds. */
static bool within(struct build *build, enum row row, struct slice text, uint64_t value,
                   const char *(*bound)(uint64_t, char[BOUND_TEXT_BYTES]))
{
    const struct config_row *r = &config_rows[row];
    char low[BOUND_TEXT_BYTES], high[BOUND_TEXT_BYTES], why[128];
    if ((value >= r->min && value <= r->max) || (value == 0 && r->zero_allowed))
        return true;
    snprintf(why, sizeof why, "is not between %s and %s%s", bound(r->min, low), bound(r->max, high),
             r->zero_allowed ? ", nor 0" : "");
    build_mistake(build, row, text, why);
    return false;
}

static bool duration_within(struct build *build, enum row row, struct slice text, int64_t *out_ms)
{
    const char *why = parse_duration_ms(text, out_ms);
    if (why)
        build_mistake(build, row, text, why);
    return !why && within(build, row, text, (uint64_t)*out_ms, bound_duration_text);
}

void apply_duration_ms(struct build *build, enum row row, struct slice text)
{
    int64_t ms;
    if (duration_within(build, row, text, &ms))
        *(int64_t *)field_of(build, row) = ms;
}

void apply_duration_s(struct build *build, enum row row, struct slice text)
{
    int64_t ms;
    if (!duration_within(build, row, text, &ms))
        return;
    if (ms % 1000 != 0)
        build_mistake(build, row, text, "is not a number of whole seconds");
    *(int64_t *)field_of(build, row) = ms / 1000;
}

static bool size_within(struct build *build, enum row row, struct slice text, uint64_t *out_bytes)
{
    const char *why = parse_size_bytes(text, out_bytes);
    if (why)
        build_mistake(build, row, text, why);
    return !why && within(build, row, text, *out_bytes, bound_size_text);
}

void apply_size_u64(struct build *build, enum row row, struct slice text)
{
    uint64_t bytes;
    if (size_within(build, row, text, &bytes))
        *(uint64_t *)field_of(build, row) = bytes;
}

void apply_size(struct build *build, enum row row, struct slice text)
{
    uint64_t bytes;
    if (size_within(build, row, text, &bytes))
        *(size_t *)field_of(build, row) = (size_t)bytes;
}

static const char *bound_count_text(uint64_t count, char out[BOUND_TEXT_BYTES])
{
    snprintf(out, BOUND_TEXT_BYTES, "%llu", (unsigned long long)count);
    return out;
}

void apply_count(struct build *build, enum row row, struct slice text)
{
    uint64_t count;
    if (!slice_decimal(text, UINT32_MAX, &count))
        build_mistake(build, row, text, "is no whole number");
    else if (within(build, row, text, count, bound_count_text))
        *(uint32_t *)field_of(build, row) = (uint32_t)count;
}

void apply_count_or_auto(struct build *build, enum row row, struct slice text)
{
    if (slice_ieq(text, SLICE_LIT("auto")))
        *(uint32_t *)field_of(build, row) = 0;
    else
        apply_count(build, row, text);
}

void apply_bool(struct build *build, enum row row, struct slice text)
{
    const char *why = parse_bool(text, field_of(build, row));
    if (why)
        build_mistake(build, row, text, why);
}

void apply_choice(struct build *build, enum row row, struct slice text)
{
    const struct config_row *r = &config_rows[row];
    int value;
    struct buf why = {0};
    _Static_assert(sizeof(enum config_http_mode) == sizeof value, "enums are stored as int");
    if (parse_choice(text, r->choices, &value)) {
        memcpy(field_of(build, row), &value, sizeof value);
        return;
    }
    buf_append_str(&why, "is none of ");
    for (size_t i = 0; r->choices[i].name; i++)
        buf_printf(&why, "%s%s", i ? ", " : "", r->choices[i].name);
    build_mistake(build, row, text, buf_cstr(&why));
    buf_cleanup(&why);
}

void apply_listen(struct build *build, enum row row, struct slice text)
{
    const char *why = parse_listen(&build->config->arena, text, field_of(build, row));
    if (why)
        build_mistake(build, row, text, why);
}

void apply_port(struct build *build, enum row row, struct slice text)
{
    struct slice digits = text.len && text.ptr[0] == ':' ? slice_skip(text, 1) : text;
    uint64_t port;
    if (!slice_decimal(digits, 65535, &port) || port == 0)
        build_mistake(build, row, text, "is no port from 1 to 65535");
    else
        *(uint16_t *)field_of(build, row) = (uint16_t)port;
}

void apply_env_dir(struct build *build, enum row row, struct slice text)
{
    if (build->config->values[row].source == CONFIG_FROM_FILE)
        build_mistake(build, row, text, "is given by a file, but it must be set in the environment itself");
}

void apply_path(struct build *build, enum row row, struct slice text)
{
    struct slice path = arena_copy(&build->config->arena, text);
    while (path.len > 1 && path.ptr[path.len - 1] == '/')
        ((char *)path.ptr)[--path.len] = '\0';
    if (memchr(path.ptr, '\n', path.len))
        build_mistake(build, row, text, "has a line break in it; one directory belongs here");
    *(struct slice *)field_of(build, row) = path;
}

void apply_renew_at(struct build *build, enum row row, struct slice text)
{
    const char *why = parse_part_permille(text, field_of(build, row));
    if (why)
        build_mistake(build, row, text, why);
}

void apply_hsts(struct build *build, enum row row, struct slice text)
{
    const char *why = parse_hsts(&build->config->arena, text, field_of(build, row));
    if (why)
        build_mistake(build, row, text, why);
}
