/* terminal: what a command may do with the place that it writes to. Main thread. */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include "cli/cli.h"

struct terminal {
    int columns; /* 0: as many as it takes */
    bool color;
};

/* Of call->out. NO_COLOR: https://no-color.org; COLUMNS: POSIX. */
struct terminal terminal_of(const struct cli_call *call);

#endif
