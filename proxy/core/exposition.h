/* exposition: metrics as text, in the form of OpenMetrics 1.0 or of Prometheus 0.0.4, which differ in the names of
 * families, in UNIT, _created and the end. Appends to a buf; knows no figure. Any thread. */
#ifndef CORE_EXPOSITION_H
#define CORE_EXPOSITION_H

#include "base/buf.h"

enum exposition_kind {
    EXPOSITION_GAUGE,
    EXPOSITION_COUNTER, /* of the process: with _created */
    EXPOSITION_TALLY,   /* a counter of one name among many, whose _created would only double the scrape */
    EXPOSITION_HISTOGRAM,
    EXPOSITION_INFO
};

/* Literals. */
struct exposition_family {
    const char *name; /* without _total and _info; ends in _UNIT where there is one */
    enum exposition_kind kind;
    const char *unit; /* "seconds"; NULL: none */
    const char *help;
};

struct exposition {
    struct buf *out;
    bool open_metrics;
    int64_t created_s; /* wall clock: when all counters began */
    const struct exposition_family *family;
};

struct exposition_label {
    const char *key;    /* a literal */
    struct slice value; /* escaped here, and made UTF-8 */
};

/* Begins the family: its samples follow, and no other's. */
void exposition_begin(struct exposition *e, const struct exposition_family *family);
/* Goes on with one that was begun with another struct exposition. */
void exposition_resume(struct exposition *e, const struct exposition_family *family);
/* A sample: a count, or microseconds that are told in seconds. */
void exposition_count(struct exposition *e, const struct exposition_label *labels, size_t num_labels, uint64_t value);
void exposition_us(struct exposition *e, const struct exposition_label *labels, size_t num_labels, uint64_t us);
/* One histogram without labels, in seconds. counts: of each bucket alone; bounds_ms: the last is 0, without a bound. */
void exposition_histogram(struct exposition *e, const uint64_t *counts, const uint64_t *bounds_ms, size_t num_buckets,
                          uint64_t sum_ms);
void exposition_end(struct exposition *e);

#endif
