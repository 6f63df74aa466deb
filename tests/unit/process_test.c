#include "core/process.h"

#include "check.h"

static void a_quota_is_rounded_up_to_processors(void)
{
    CHECK_INT(process_parse_cpu_max(SLICE_LIT("max 100000\n")), 0);
    CHECK_INT(process_parse_cpu_max(SLICE_LIT("100000 100000\n")), 1);
    CHECK_INT(process_parse_cpu_max(SLICE_LIT("150000 100000\n")), 2);
    CHECK_INT(process_parse_cpu_max(SLICE_LIT("1000 100000\n")), 1);
    CHECK_INT(process_parse_cpu_max(SLICE_LIT("6400000 100000\n")), 16);
    CHECK_INT(process_parse_cpu_max(SLICE_LIT("100000 0\n")), 0);
    CHECK_INT(process_parse_cpu_max(SLICE_LIT("")), 0);
    CHECK_INT(process_parse_cpu_max(SLICE_LIT("-1 100000")), 0);
}

static void connections_take_two_descriptors_each(void)
{
    CHECK_INT(process_max_conns(1024, 24), (1024 - 24 - 16) / 2);
    CHECK_INT(process_max_conns(64, 30), (64 - 30 - 16) / 2);
    CHECK_INT(process_max_conns(20, 30), 1);
    CHECK(process_max_conns(UINT64_MAX, 0) == INT32_MAX);
}

static void there_is_at_least_one_worker(void)
{
    unsigned workers = process_auto_workers();
    CHECK(workers >= 1 && workers <= 16);
    CHECK(process_num_open_files() >= 3);
    CHECK(process_raise_nofile() >= process_num_open_files());
}

int main(void)
{
    RUN(a_quota_is_rounded_up_to_processors);
    RUN(connections_take_two_descriptors_each);
    RUN(there_is_at_least_one_worker);
    return checks_done();
}
