#include "cli/status_table.h"

#include "base/buf.h"
#include "base/clock.h"
#include "cli/print.h"
#include "cli/status_lines.h"
#include "core/status.h"

#include <stdlib.h>
#include <string.h>

enum { SOON_S = 14 * 24 * 3600, GAP = 2, ISSUER_COLUMNS = 28, NAME_COLUMNS = 64, END_COLUMNS = 22, TEXT_BYTES = 48 };

enum state { STATE_FINE, STATE_SOON, STATE_BAD };

struct row {
    struct slice name, source, issuer, why, step, class, sentence;
    int64_t not_before_s, not_after_s, next_s, num_failures;
    enum state state;
};

struct table {
    FILE *file;
    struct status_look look;
    int64_t now_s;
    int name_width, issuer_width;
    size_t num_rows, num_names, num_bad, num_soon;
};

/* ---- reading ---- */

static enum state state_of(const struct row *row, int64_t now_s)
{
    int64_t left_s = row->not_after_s - now_s;
    bool trusted = !slice_eq(row->source, SLICE_LIT("placeholder")) && !slice_eq(row->source, SLICE_LIT("none"));
    if (!trusted || left_s <= 0)
        return STATE_BAD;
    return left_s < SOON_S && left_s * 5 < row->not_after_s - row->not_before_s ? STATE_SOON : STATE_FINE;
}

static bool row_read(struct slice line, int64_t now_s, struct row *out)
{
    struct slice at[STATUS_LINE_FIELDS];
    if (!status_line_split(line, at, STATUS_LINE_FIELDS))
        return false;
    *out = (struct row){.name = at[STATUS_LINE_NAME],
                        .source = at[STATUS_LINE_SOURCE],
                        .issuer = at[STATUS_LINE_ISSUER],
                        .not_before_s = status_line_number(at[STATUS_LINE_NOT_BEFORE]),
                        .not_after_s = status_line_number(at[STATUS_LINE_NOT_AFTER]),
                        .next_s = status_line_number(at[STATUS_LINE_NEXT]),
                        .why = at[STATUS_LINE_WHY],
                        .step = at[STATUS_LINE_STEP],
                        .num_failures = status_line_number(at[STATUS_LINE_FAILURES]),
                        .class = at[STATUS_LINE_CLASS],
                        .sentence = at[STATUS_LINE_SENTENCE]};
    out->state = state_of(out, now_s);
    return true;
}

/* ---- words ---- */

static void put(const struct table *table, const char *code, const char *text)
{
    if (table->look.color)
        fprintf(table->file, "\x1b[%sm%s\x1b[0m", code, text);
    else
        fputs(text, table->file);
}

static const char *span_text(int64_t s, char out[TEXT_BYTES])
{
    if (s < 0)
        s = 0;
    if (s >= INT64_C(2) * 86400)
        snprintf(out, TEXT_BYTES, "%lld d", (long long)s / 86400);
    else if (s >= INT64_C(2) * 3600)
        snprintf(out, TEXT_BYTES, "%lld h", (long long)s / 3600);
    else if (s >= 120)
        snprintf(out, TEXT_BYTES, "%lld min", (long long)s / 60);
    else
        snprintf(out, TEXT_BYTES, "%lld s", (long long)s);
    return out;
}

static struct slice issuer_of(const struct row *row)
{
    if (slice_eq(row->source, SLICE_LIT("placeholder")))
        return SLICE_LIT("(placeholder)");
    if (slice_eq(row->source, SLICE_LIT("none")))
        return SLICE_LIT("(none)");
    return row->issuer.len ? row->issuer : row->source;
}

/* Without the key type that is behind it where it has two certificates. */
static struct slice name_alone(struct slice name)
{
    return slice_split(&name, ' ');
}

static void expiry_text(const struct row *row, int64_t now_s, char out[TEXT_BYTES])
{
    char date[CLOCK_TEXT_BYTES], span[TEXT_BYTES];
    if (!row->not_after_s || slice_eq(row->source, SLICE_LIT("placeholder"))) {
        snprintf(out, TEXT_BYTES, "-");
        return;
    }
    clock_rfc3339(row->not_after_s * 1000, date);
    if (row->not_after_s <= now_s)
        snprintf(out, TEXT_BYTES, "%.10s (ended)", date);
    else
        snprintf(out, TEXT_BYTES, "%.10s (%s)", date, span_text(row->not_after_s - now_s, span));
}

/* Below a row, wrapped. */
static void put_below(const struct table *table, const char *before, struct slice text)
{
    enum { INDENT = 4 };
    char *all = NULL;
    size_t len = 0;
    FILE *escaped = open_memstream(&all, &len);
    if (!escaped)
        return;
    fputs(before, escaped);
    print_escaped(escaped, text);
    fclose(escaped);
    fprintf(table->file, "%*s", INDENT, "");
    print_wrapped(table->file, all, INDENT, table->look.columns ? table->look.columns : 100000);
    free(all);
}

static const char *when_text(const struct table *table, const struct row *row, char out[TEXT_BYTES])
{
    char span[TEXT_BYTES];
    if (!row->next_s)
        return "-";
    snprintf(out, TEXT_BYTES, "in %s", span_text(row->next_s - table->now_s, span));
    return out;
}

/* The reason stands behind it where it fits, else below. */
static void put_planned(const struct table *table, const struct row *row)
{
    char text[TEXT_BYTES];
    const char *when = when_text(table, row, text);
    int taken = table->name_width + table->issuer_width + END_COLUMNS + 3 * GAP;
    bool fits = !table->look.columns || taken + (int)(strlen(when) + 2 + row->why.len) <= table->look.columns;
    fputs(when, table->file);
    if (row->why.len && fits) {
        fputs(row->next_s ? ", " : " ", table->file);
        print_escaped(table->file, row->why);
    }
    putc('\n', table->file);
    if (row->why.len && !fits)
        put_below(table, row->next_s ? "next attempt: " : "no attempt: ", row->why);
}

static void put_next(const struct table *table, const struct row *row)
{
    if (row->step.len) {
        fputs("now: ", table->file);
        print_escaped(table->file, row->step);
        putc('\n', table->file);
    } else {
        put_planned(table, row);
    }
}

/* ---- the table ---- */

/* Cut with a mark where it is too long; padded. The last `kept` bytes stay. Widths are in bytes: names are ASCII, and issuers
 * nearly always. */
static void put_cell(const struct table *table, struct slice text, size_t kept, int width)
{
    bool cut = table->look.columns && (int)text.len > width;
    if (cut) {
        kept = (int)kept + 4 < width ? kept : 0;
        print_escaped(table->file, slice_first(text, (size_t)width - 1 - kept));
        putc('~', table->file);
        text = slice_skip(text, text.len - kept);
    }
    print_escaped(table->file, text);
    int taken = cut ? width : (int)text.len;
    fprintf(table->file, "%*s", taken < width ? width + GAP - taken : GAP, "");
}

static const char *state_color(enum state state)
{
    switch (state) {
    case STATE_FINE: return "32";
    case STATE_SOON: return "33";
    case STATE_BAD: break;
    }
    return "31";
}

static void put_sentence(const struct table *table, const struct row *row)
{
    struct buf text = {0};
    if (row->class.len) { /* else nothing has failed, and this is what a look at the name has found */
        buf_append_slice(&text, row->class);
        buf_printf(&text, " problem, %lld in a row: ", (long long)row->num_failures);
    }
    buf_append_slice(&text, row->sentence);
    put_below(table, "", buf_slice(&text));
    buf_cleanup(&text);
}

static void put_row(const struct table *table, const struct row *row)
{
    char expiry[TEXT_BYTES], padded[TEXT_BYTES];
    put_cell(table, row->name, row->name.len - name_alone(row->name).len, table->name_width);
    put_cell(table, issuer_of(row), 0, table->issuer_width);
    expiry_text(row, table->now_s, expiry);
    snprintf(padded, sizeof padded, "%-*.*s", END_COLUMNS, END_COLUMNS, expiry);
    put(table, state_color(row->state), padded);
    fprintf(table->file, "%*s", GAP, "");
    put_next(table, row);
    if (row->sentence.len)
        put_sentence(table, row);
}

static void put_header(const struct table *table)
{
    char line[NAME_COLUMNS * 4];
    snprintf(line, sizeof line, "%-*s  %-*s  %-*s  %s", table->name_width, "NAME", table->issuer_width, "ISSUER",
             END_COLUMNS, "ENDS", "NEXT ATTEMPT");
    put(table, "1", line);
    putc('\n', table->file);
}

static int at_most(size_t a, int b)
{
    return a < (size_t)b ? (int)a : b;
}

static void widen(int *width, int wanted)
{
    *width = wanted > *width ? wanted : *width;
}

static void narrow(int *width, int least, int *missing)
{
    int given = *width - least < *missing ? *width - least : *missing;
    if (given <= 0)
        return;
    *width -= given;
    *missing -= given;
}

/* What the widest cells ask for; on a narrow terminal the issuer gives way first, then the reason (which goes below), then
 * the name. */
static void table_measure(struct table *table, struct slice lines)
{
    enum { NEXT_COLUMNS = 26, NEXT_LEAST = 12, LEAST = 12 };
    char when[TEXT_BYTES];
    int next_width = NEXT_LEAST;
    struct row row;
    table->name_width = 4;
    table->issuer_width = 6;
    while (lines.len)
        if (row_read(slice_split(&lines, '\n'), table->now_s, &row)) {
            widen(&table->name_width, at_most(row.name.len, NAME_COLUMNS));
            widen(&table->issuer_width, at_most(issuer_of(&row).len, ISSUER_COLUMNS));
            widen(&next_width, at_most(strlen(when_text(table, &row, when)) + 2 + row.why.len, NEXT_COLUMNS));
        }
    int missing = table->name_width + table->issuer_width + END_COLUMNS + next_width + 3 * GAP - table->look.columns;
    if (!table->look.columns || missing <= 0)
        return;
    narrow(&table->issuer_width, LEAST, &missing);
    narrow(&next_width, NEXT_LEAST, &missing);
    narrow(&table->name_width, LEAST, &missing);
    narrow(&table->issuer_width, 6, &missing);
    narrow(&table->name_width, 4, &missing);
}

static bool head_read(struct slice line, struct slice at[STATUS_HEAD_FIELDS])
{
    return status_line_split(line, at, STATUS_HEAD_FIELDS) && slice_eq(at[0], SLICE_LIT("#"));
}

static void table_count(struct table *table, struct slice lines)
{
    struct row row;
    struct slice before = SLICE_NONE;
    while (lines.len) {
        bool good = row_read(slice_split(&lines, '\n'), table->now_s, &row);
        table->num_rows++;
        table->num_names += !good || !slice_eq(name_alone(row.name), before);
        before = good ? name_alone(row.name) : SLICE_NONE;
        table->num_bad += !good || row.state == STATE_BAD;
        table->num_soon += good && row.state == STATE_SOON;
    }
}

bool status_is_fine(struct slice lines)
{
    struct slice rest = lines, at[STATUS_HEAD_FIELDS];
    struct table table = {0};
    if (!head_read(slice_split(&rest, '\n'), at))
        return false;
    table.now_s = status_line_number(at[2]);
    table_count(&table, rest);
    return table.num_bad + table.num_soon == 0;
}

static void put_head(const struct table *table, const struct slice at[STATUS_HEAD_FIELDS])
{
    static const char *const before[] = {"portico ", NULL, ", ", ", "};
    for (size_t i = 1; i <= 4; i++)
        if (before[i - 1]) {
            fputs(before[i - 1], table->file);
            print_escaped(table->file, at[i]);
        }
    putc('\n', table->file);
    if (at[5].len) {
        fputs("storage: ", table->file);
        print_escaped(table->file, at[5]);
        putc('\n', table->file);
    }
    putc('\n', table->file);
}

static void put_sum(const struct table *table)
{
    fprintf(table->file, "\n%zu name%s", table->num_names, table->num_names == 1 ? "" : "s");
    if (table->num_rows > table->num_names)
        fprintf(table->file, " with %zu certificates", table->num_rows);
    if (table->num_bad)
        fprintf(table->file, ", %zu without a valid certificate", table->num_bad);
    if (table->num_soon)
        fprintf(table->file, ", %zu with one that ends soon", table->num_soon);
    putc('\n', table->file);
}

void status_table_print(FILE *file, struct slice lines, struct status_look look)
{
    struct table table = {.file = file, .look = look};
    struct slice rest = lines, at[STATUS_HEAD_FIELDS];
    struct row row;
    if (!head_read(slice_split(&rest, '\n'), at))
        return;
    table.now_s = status_line_number(at[2]);
    table_measure(&table, rest);
    table_count(&table, rest);
    put_head(&table, at);
    if (rest.len)
        put_header(&table);
    while (rest.len)
        if (row_read(slice_split(&rest, '\n'), table.now_s, &row))
            put_row(&table, &row);
    put_sum(&table);
}
