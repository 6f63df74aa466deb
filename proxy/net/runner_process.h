/* runner_process: the other side of the runner: what the forked process does, and what both sides say to each other, one
 * message a datagram. Private to net/runner*.c. */
#ifndef NET_RUNNER_PROCESS_H
#define NET_RUNNER_PROCESS_H

#include "net/runner.h"

enum { RUNNER_MOST = 64 }; /* programs at a time */

struct runner_request {
    uint32_t id;
    uint32_t stop;     /* kill it; nothing else counts then */
    uint64_t limit_ms; /* of it */
    char words[RUNNER_WORDS][RUNNER_WORD_BYTES];
};

struct runner_answer {
    uint32_t id;
    uint32_t kind; /* enum err_kind */
    int32_t code;
    int32_t exit_code;
    uint32_t output_len;
    char output[CHILD_OUTPUT_BYTES];
};

/* Letters, digits, `.`, `_`, `-`; 1 to RUNNER_WORD_BYTES - 1 of them. */
bool runner_is_word(struct slice word);

/* In the fork; never returns. fd: a SOCK_SEQPACKET. */
_Noreturn void runner_process(const struct runner_options *options, int fd);

#endif
