#include "core/exposition.h"

#include "base/utf8.h"

static const char *kind_text(const struct exposition *e)
{
    switch (e->family->kind) {
    case EXPOSITION_GAUGE: return "gauge";
    case EXPOSITION_COUNTER:
    case EXPOSITION_TALLY: return "counter";
    case EXPOSITION_HISTOGRAM: return "histogram";
    case EXPOSITION_INFO: break;
    }
    return e->open_metrics ? "info" : "gauge"; /* Prometheus' own form does not know it */
}

/* What the samples' names end in. */
static const char *sample_suffix(const struct exposition *e)
{
    switch (e->family->kind) {
    case EXPOSITION_COUNTER:
    case EXPOSITION_TALLY: return "_total";
    case EXPOSITION_INFO: return "_info";
    case EXPOSITION_GAUGE:
    case EXPOSITION_HISTOGRAM: break;
    }
    return "";
}

static void write_meta(struct exposition *e, const char *key, const char *text)
{
    buf_append_str(e->out, key);
    buf_append_str(e->out, e->family->name);
    if (!e->open_metrics) /* the family is called what its samples are */
        buf_append_str(e->out, sample_suffix(e));
    buf_append_char(e->out, ' ');
    buf_append_str(e->out, text);
    buf_append_char(e->out, '\n');
}

void exposition_resume(struct exposition *e, const struct exposition_family *family)
{
    e->family = family;
}

void exposition_begin(struct exposition *e, const struct exposition_family *family)
{
    exposition_resume(e, family);
    write_meta(e, "# HELP ", family->help);
    write_meta(e, "# TYPE ", kind_text(e));
    if (e->open_metrics && family->unit)
        write_meta(e, "# UNIT ", family->unit);
}

static void write_escaped(struct buf *out, struct slice value)
{
    while (value.len) {
        size_t len = utf8_char_len(value);
        char c = value.ptr[0];
        if (c == '"' || c == '\\')
            buf_append_char(out, '\\');
        if (len == 0 || c == '\n' || c == '\r')
            buf_append_char(out, '?');
        else
            buf_append(out, value.ptr, len);
        value = slice_skip(value, len ? len : 1);
    }
}

static void write_name(struct exposition *e, const char *suffix, const struct exposition_label *labels,
                       size_t num_labels)
{
    buf_append_str(e->out, e->family->name);
    buf_append_str(e->out, suffix);
    for (size_t i = 0; i < num_labels; i++) {
        buf_append_char(e->out, i ? ',' : '{');
        buf_append_str(e->out, labels[i].key);
        buf_append_str(e->out, "=\"");
        write_escaped(e->out, labels[i].value);
        buf_append_char(e->out, '"');
    }
    if (num_labels)
        buf_append_char(e->out, '}');
    buf_append_char(e->out, ' ');
}

static void write_created(struct exposition *e, const struct exposition_label *labels, size_t num_labels)
{
    bool counts = e->family->kind == EXPOSITION_COUNTER || e->family->kind == EXPOSITION_HISTOGRAM;
    if (!e->open_metrics || !counts)
        return;
    write_name(e, "_created", labels, num_labels);
    buf_append_i64(e->out, e->created_s);
    buf_append_char(e->out, '\n');
}

void exposition_count(struct exposition *e, const struct exposition_label *labels, size_t num_labels, uint64_t value)
{
    write_name(e, sample_suffix(e), labels, num_labels);
    buf_append_u64(e->out, value);
    buf_append_char(e->out, '\n');
    write_created(e, labels, num_labels);
}

static void write_seconds(struct buf *out, uint64_t us)
{
    buf_append_u64(out, us / 1000000);
    if (us % 1000000)
        buf_printf(out, ".%06u", (unsigned)(us % 1000000));
}

void exposition_us(struct exposition *e, const struct exposition_label *labels, size_t num_labels, uint64_t us)
{
    write_name(e, sample_suffix(e), labels, num_labels);
    write_seconds(e->out, us);
    buf_append_char(e->out, '\n');
    write_created(e, labels, num_labels);
}

static void write_bound(struct buf *out, uint64_t bound_ms)
{
    if (!bound_ms)
        buf_append_str(out, "+Inf");
    else if (bound_ms % 1000 == 0)
        buf_printf(out, "%llu.0", (unsigned long long)bound_ms / 1000); /* OpenMetrics wants a canonical float */
    else
        buf_printf(out, "%g", (double)bound_ms / 1000);
}

void exposition_histogram(struct exposition *e, const uint64_t *counts, const uint64_t *bounds_ms, size_t num_buckets,
                          uint64_t sum_ms)
{
    uint64_t total = 0;
    for (size_t i = 0; i < num_buckets; i++) {
        struct buf bound = {0};
        write_bound(&bound, bounds_ms[i]);
        struct exposition_label le = {"le", buf_slice(&bound)};
        total += counts[i];
        write_name(e, "_bucket", &le, 1);
        buf_append_u64(e->out, total);
        buf_append_char(e->out, '\n');
        buf_cleanup(&bound);
    }
    write_name(e, "_sum", NULL, 0);
    write_seconds(e->out, sum_ms * 1000);
    buf_append_char(e->out, '\n');
    write_name(e, "_count", NULL, 0);
    buf_append_u64(e->out, total);
    buf_append_char(e->out, '\n');
    write_created(e, NULL, 0);
}

void exposition_end(struct exposition *e)
{
    if (e->open_metrics)
        buf_append_str(e->out, "# EOF\n");
}
