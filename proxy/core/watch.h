/* watch: says when files may have changed: what the kernel tells of them, gathered for a moment, and once a minute
 * whatever it tells (a network's file system tells nothing). It looks at no file itself.
 *
 * Control thread. Owns its handles; frees itself in the last one's close callback. */
#ifndef CORE_WATCH_H
#define CORE_WATCH_H

#include "base/log.h"
#include "net/net_loop.h"

enum { WATCH_GATHER_MS = 100, WATCH_GATHER_MOST_MS = 1000, WATCH_POLL_MS = 60000 };

struct watch;

struct watch_options {
    struct net_loop *loop;
    struct log_ring *log;
    uint64_t poll_ms; /* 0: WATCH_POLL_MS */
    void *ctx;
    /* told: the kernel has spoken; else the minute is over. Not from within a call. */
    void (*stirred)(void *ctx, bool told);
};

struct watch *watch_new(const struct watch_options *options);
/* Files and directories from now on, in the place of those before; copies. A file that was replaced is another one for the
 * kernel: give them again after each change. None: nobody is told anything, the minute neither. True: one was not
 * watched before, and may have changed just now. */
bool watch_set_places(struct watch *watch, char *const *places, size_t num_places);
/* No call after this. NULL is fine. */
void watch_close(struct watch *watch);

#endif
