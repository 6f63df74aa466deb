/* Metrics as text: both forms, byte for byte. */
#include "core/exposition.h"

#include "base/counters.h"
#include "check.h"

static const struct exposition_family counter = {"a_bytes", EXPOSITION_COUNTER, "bytes", "Bytes."};
static const struct exposition_family tally = {"b", EXPOSITION_TALLY, NULL, "Tries."};
static const struct exposition_family gauge = {"c_seconds", EXPOSITION_GAUGE, "seconds", "Now."};
static const struct exposition_family info = {"d", EXPOSITION_INFO, NULL, "Build."};
static const struct exposition_family histogram = {"e_seconds", EXPOSITION_HISTOGRAM, "seconds", "Took."};

static void write_all(struct exposition *e)
{
    static const uint64_t counts[] = {1, 0, 2}, bounds_ms[] = {5, 1000, 0};
    struct exposition_label labels[] = {{"x", SLICE_LIT("1")}, {"y", SLICE_LIT("a\"b\\c\nd\xff\xc3\xa4")}};
    exposition_begin(e, &counter);
    exposition_count(e, labels, 1, 7);
    exposition_begin(e, &tally);
    exposition_count(e, labels, 2, 8);
    exposition_begin(e, &gauge);
    exposition_us(e, NULL, 0, 1500000);
    exposition_begin(e, &info);
    exposition_count(e, labels, 1, 1);
    exposition_begin(e, &histogram);
    exposition_histogram(e, counts, bounds_ms, 3, 2345);
    exposition_end(e);
}

static void test_prometheus(void)
{
    struct buf out = {0};
    struct exposition e = {.out = &out, .created_s = 99};
    write_all(&e);
    CHECK_STR(buf_cstr(&out), "# HELP a_bytes_total Bytes.\n"
                              "# TYPE a_bytes_total counter\n"
                              "a_bytes_total{x=\"1\"} 7\n"
                              "# HELP b_total Tries.\n"
                              "# TYPE b_total counter\n"
                              "b_total{x=\"1\",y=\"a\\\"b\\\\c?d?\xc3\xa4\"} 8\n"
                              "# HELP c_seconds Now.\n"
                              "# TYPE c_seconds gauge\n"
                              "c_seconds 1.500000\n"
                              "# HELP d_info Build.\n"
                              "# TYPE d_info gauge\n"
                              "d_info{x=\"1\"} 1\n"
                              "# HELP e_seconds Took.\n"
                              "# TYPE e_seconds histogram\n"
                              "e_seconds_bucket{le=\"0.005\"} 1\n"
                              "e_seconds_bucket{le=\"1.0\"} 1\n"
                              "e_seconds_bucket{le=\"+Inf\"} 3\n"
                              "e_seconds_sum 2.345000\n"
                              "e_seconds_count 3\n");
    buf_cleanup(&out);
}

static void test_open_metrics(void)
{
    struct buf out = {0};
    struct exposition e = {.out = &out, .open_metrics = true, .created_s = 99};
    write_all(&e);
    CHECK_STR(buf_cstr(&out), "# HELP a_bytes Bytes.\n"
                              "# TYPE a_bytes counter\n"
                              "# UNIT a_bytes bytes\n"
                              "a_bytes_total{x=\"1\"} 7\n"
                              "a_bytes_created{x=\"1\"} 99\n"
                              "# HELP b Tries.\n"
                              "# TYPE b counter\n"
                              "b_total{x=\"1\",y=\"a\\\"b\\\\c?d?\xc3\xa4\"} 8\n"
                              "# HELP c_seconds Now.\n"
                              "# TYPE c_seconds gauge\n"
                              "# UNIT c_seconds seconds\n"
                              "c_seconds 1.500000\n"
                              "# HELP d Build.\n"
                              "# TYPE d info\n"
                              "d_info{x=\"1\"} 1\n"
                              "# HELP e_seconds Took.\n"
                              "# TYPE e_seconds histogram\n"
                              "# UNIT e_seconds seconds\n"
                              "e_seconds_bucket{le=\"0.005\"} 1\n"
                              "e_seconds_bucket{le=\"1.0\"} 1\n"
                              "e_seconds_bucket{le=\"+Inf\"} 3\n"
                              "e_seconds_sum 2.345000\n"
                              "e_seconds_count 3\n"
                              "e_seconds_created 99\n"
                              "# EOF\n");
    buf_cleanup(&out);
}

static uint64_t in_bucket(const struct counters *counters, unsigned bucket)
{
    return counters_get(counters, (enum counter)(COUNTER_DURATIONS + bucket));
}

/* Bounds belong to the bucket below them (le); what is longer than all goes to the last. */
static void test_durations_fall_into_their_buckets(void)
{
    static struct counters counters;
    uint64_t sum = 0, last_ms = 0;
    for (unsigned i = 0; i < NUM_DURATION_BUCKETS - 1; i++) {
        uint64_t bound_ms = counters_duration_bound_ms(i);
        CHECK(bound_ms > last_ms);
        last_ms = bound_ms;
        counters_add_duration(&counters, bound_ms);
        counters_add_duration(&counters, bound_ms + 1);
        sum += 2 * bound_ms + 1;
    }
    CHECK_INT(counters_duration_bound_ms(NUM_DURATION_BUCKETS - 1), 0);
    CHECK_INT(in_bucket(&counters, 0), 1);
    for (unsigned i = 1; i < NUM_DURATION_BUCKETS - 1; i++)
        CHECK_INT(in_bucket(&counters, i), 2);
    CHECK_INT(in_bucket(&counters, NUM_DURATION_BUCKETS - 1), 1);
    CHECK_INT(counters_get(&counters, COUNTER_DURATION_MS), sum);
}

int main(void)
{
    RUN(test_prometheus);
    RUN(test_open_metrics);
    RUN(test_durations_fall_into_their_buckets);
    return checks_done();
}
