#include "core/process.h"

#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

enum { PROCESS_MAX_WORKERS = 16, PROCESS_RESERVED_FILES = 16 };

unsigned process_parse_cpu_max(struct slice line)
{
    uint64_t quota, period;
    struct slice rest = line;
    while (rest.len && rest.ptr[rest.len - 1] == '\n')
        rest.len--;
    struct slice first = slice_split(&rest, ' ');
    if (!slice_decimal(first, UINT32_MAX, &quota) || !slice_decimal(rest, UINT32_MAX, &period) || period == 0)
        return 0;
    uint64_t cpus = (quota + period - 1) / period;
    return cpus > PROCESS_MAX_WORKERS ? PROCESS_MAX_WORKERS : cpus ? (unsigned)cpus : 1;
}

static bool process_read_line(const char *path, char *out, size_t size)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool got = fgets(out, (int)size, file) != NULL;
    fclose(file);
    return got;
}

/* cgroup v2 alone; inside a container its own group is the root. 0: no limit that we can see. */
static unsigned process_cgroup_cpus(void)
{
    char line[512], path[640];
    if (process_read_line("/sys/fs/cgroup/cpu.max", line, sizeof line))
        return process_parse_cpu_max(slice_str(line));
    if (!process_read_line("/proc/self/cgroup", line, sizeof line) || strncmp(line, "0::", 3) != 0)
        return 0;
    line[strcspn(line, "\n")] = '\0';
    snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", line + 3);
    return process_read_line(path, line, sizeof line) ? process_parse_cpu_max(slice_str(line)) : 0;
}

unsigned process_auto_workers(void)
{
    cpu_set_t set;
    int affinity = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    unsigned cpus = affinity < 1 ? 1 : affinity > PROCESS_MAX_WORKERS ? PROCESS_MAX_WORKERS : (unsigned)affinity;
    unsigned quota = process_cgroup_cpus();
    return quota && quota < cpus ? quota : cpus;
}

uint64_t process_raise_nofile(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 1024;
    if (limit.rlim_cur < limit.rlim_max) {
        struct rlimit raised = {limit.rlim_max, limit.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
            return raised.rlim_cur;
    }
    return limit.rlim_cur;
}

uint64_t process_num_open_files(void)
{
    uint64_t num = 0;
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return 64; /* more than we open at start */
    while (readdir(dir))
        num++;
    closedir(dir);
    return num; /* with `.`, `..` and the directory itself: three too many, to be on the safe side */
}

int64_t process_max_conns(uint64_t limit, uint64_t num_open)
{
    uint64_t used = num_open + PROCESS_RESERVED_FILES;
    if (limit <= used + 1)
        return 1;
    uint64_t max = (limit - used) / 2;
    return max > INT32_MAX ? INT32_MAX : max ? (int64_t)max : 1;
}

/* Field `n` (from 1) of /proc/self/stat, counted behind the program's name, which may hold blanks. */
static uint64_t stat_field(struct slice behind_name, unsigned n)
{
    uint64_t value = 0;
    struct slice field = SLICE_NONE;
    for (unsigned i = 3; i <= n && behind_name.len; i++)
        field = slice_split(&behind_name, ' ');
    return slice_decimal(field, UINT64_MAX, &value) ? value : 0;
}

static uint64_t process_cpu_ms(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
}

struct process_figures process_figures(void)
{
    enum { NUM_THREADS = 20, VSIZE = 23, RSS = 24 }; /* proc_pid_stat(5) */
    struct process_figures figures = {.cpu_ms = process_cpu_ms(), .num_fds = process_num_open_files()};
    struct rlimit limit;
    char line[1024];
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        figures.max_fds = limit.rlim_cur;
    figures.num_fds -= figures.num_fds > 3 ? 3 : 0; /* see there */
    const char *end = process_read_line("/proc/self/stat", line, sizeof line) ? strrchr(line, ')') : NULL;
    if (!end || end[1] != ' ')
        return figures;
    struct slice behind_name = slice_str(end + 2);
    figures.num_threads = stat_field(behind_name, NUM_THREADS);
    figures.virtual_bytes = stat_field(behind_name, VSIZE);
    figures.resident_bytes = stat_field(behind_name, RSS) * (uint64_t)sysconf(_SC_PAGESIZE);
    return figures;
}
