/* child: one program, run to its end: its output kept (the last CHILD_OUTPUT_BYTES), its time limited.
 *
 * In a process group of its own, without a terminal, with /dev/null as its input and nothing open but that and its output.
 * Whatever is left of the group when the time is over is killed; what the program leaves behind otherwise is its own affair.
 * One loop's thread, of a plain uv loop whose process has no other children that matter. Owns its handles; frees itself. */
#ifndef NET_CHILD_H
#define NET_CHILD_H

#include "base/err.h"
#include "base/slice.h"

#include <uv.h>

enum { CHILD_OUTPUT_BYTES = 2048 };

struct child;

struct child_options {
    char *const *args;        /* the program's path first, NULL at the end */
    char *const *environment; /* all of it, NULL at the end */
    uint64_t limit_ms;
    void *ctx;
};

/* Valid during `done`. */
struct child_result {
    struct err err; /* it could not be run, or was killed: ERR_TIMEOUT, ERR_CANCELED */
    int exit_code;  /* without err: 0 to 255; 128 and its number where a signal ended it, as shells say it */
    struct slice output;
};

/* Copies what it needs. `done` is called once, never from within. */
struct child *child_start(uv_loop_t *uv, const struct child_options *options,
                          void (*done)(void *ctx, const struct child_result *result));
/* Kills it: `done` follows, with ERR_CANCELED. Not after `done`. */
void child_kill(struct child *child);

#endif
