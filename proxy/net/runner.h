/* runner: a process of its own that runs one program for this one, which cannot: its sandbox forbids other programs, and
 * would bind theirs.
 *
 * Forked before the sandbox holds, and before any thread and any loop is made (libuv keeps descriptors for all loops). What it runs is fixed at that moment: the program, the
 * names of its arguments and its environment; a request brings the arguments alone, words of letters, digits and `._-`, so
 * that whoever takes this process over gains no more than calls of that program. The environment is PATH, HOME and the like,
 * and what begins with HOOK_; never Portico's own variables, which hold secrets. The runner keeps no descriptor of ours,
 * heeds no signal of the terminal's or the service manager's, and ends when nobody asks any more and nothing runs.
 *
 * Counted. Our side is of one loop's thread. */
#ifndef NET_RUNNER_H
#define NET_RUNNER_H

#include "net/child.h"
#include "net/net_loop.h"

enum { RUNNER_WORDS = 3, RUNNER_WORD_BYTES = 320 };

struct runner;

struct runner_options {
    const char *program;             /* absolute path */
    const char *names[RUNNER_WORDS]; /* of the environment variables that repeat the arguments */
    const char *const *environment;  /* of this process; NULL at the end */
};

/* Forks; one reference is the caller's. Only while this process has one thread, and has had no loop. */
MUST_CHECK struct err runner_new(const struct runner_options *options, struct runner **out_runner);
/* Before the first call. */
void runner_attach(struct runner *runner, struct net_loop *loop);
struct runner *runner_ref(struct runner *runner);
/* The last one closes our side. Nothing runs then. NULL is fine. */
void runner_unref(struct runner *runner);
struct slice runner_program(const struct runner *runner);

/* Embedded by whoever asks. */
struct runner_call {
    /* Once, never from within runner_run, unless forgotten. */
    void (*done)(struct runner_call *call, const struct child_result *result);
    struct list node; /* the runner's own from here */
    struct runner *runner;
    uint32_t id;
    struct err why;
};

/* Runs `PROGRAM words[0] words[1] words[2]`, for limit_ms at most. A word that is none is refused. */
void runner_run(struct runner *runner, const struct slice words[RUNNER_WORDS], uint64_t limit_ms,
                struct runner_call *call);
/* Kills the program; `done` is not called. Harmless where nothing runs. */
void runner_forget(struct runner_call *call);

#endif
