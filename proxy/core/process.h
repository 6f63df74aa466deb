/* process: what this process may use of the machine. Any thread; reads the system alone. */
#ifndef CORE_PROCESS_H
#define CORE_PROCESS_H

#include "base/slice.h"

#include <stdint.h>

/* min(processors of the affinity mask, ceil(cgroup cpu.max), 16), at least 1. */
unsigned process_auto_workers(void);
/* ceil(quota / period) of a cpu.max line ("max 100000", "150000 100000"); 0: no limit, or not such a line. */
unsigned process_parse_cpu_max(struct slice line);
/* Raises the soft limit of descriptors to the hard one; returns it. */
uint64_t process_raise_nofile(void);
/* Descriptors that are open now. */
uint64_t process_num_open_files(void);

/* How many client connections `limit` descriptors allow with two each, beside what is open and a reserve for files, the
 * CA and name resolution; at least 1. */
int64_t process_max_conns(uint64_t limit, uint64_t num_open);

/* What it uses, for metrics; 0 where the system does not tell. */
struct process_figures {
    uint64_t cpu_ms;
    uint64_t resident_bytes, virtual_bytes;
    uint64_t num_fds, max_fds;
    uint64_t num_threads;
};

struct process_figures process_figures(void);

#endif
