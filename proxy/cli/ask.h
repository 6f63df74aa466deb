/* ask: one request of a command to the running process, with plain blocking sockets and one deadline for all: over the
 * admin listener or the control socket. Main thread. */
#ifndef CLI_ASK_H
#define CLI_ASK_H

#include "base/buf.h"
#include "config/config.h"

#include <stdio.h>

enum { ASK_STATUS_BYTES = 64 * 1024 * 1024 }; /* of an answer: some 500 bytes for each of 100,000 names */

struct ask {
    FILE *err;           /* what failed is said there, with the command's name in front */
    const char *command; /* "status" */
    const char *method, *path;
    int64_t deadline_ms; /* monotonic */
    size_t max_bytes;    /* of the whole answer */
};

struct answer {
    struct buf bytes;  /* all of it */
    unsigned status;   /* 0: none came */
    struct slice head; /* the first line, without its end */
    struct slice body;
};

int64_t ask_now_ms(void);

/* At ADMIN_LISTEN. False: nothing answered in HTTP, and it has been said why. */
bool ask_listener(const struct ask *ask, const struct config_listen *listen, struct answer *out_answer);
/* By the control socket of a process on that storage. foreign: one in another container will do, where none is in ours.
 * False: as above. */
bool ask_control(const struct ask *ask, struct slice storage, bool foreign, struct answer *out_answer);
void answer_cleanup(struct answer *answer);
/* Says what was answered instead of a 200. */
void ask_complain(const struct ask *ask, const char *where, const struct answer *answer);

#endif
