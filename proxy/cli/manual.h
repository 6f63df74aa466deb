/* manual: what `portico help` and the man page both tell beside the table of variables. Texts alone: no state, any
 * thread. Words between backticks are typed as they stand; print_wrapped drops the backticks, the man page sets bold. */
#ifndef CLI_MANUAL_H
#define CLI_MANUAL_H

#include "cli/cli.h"

struct command {
    const char *name;
    int (*run)(const struct cli_call *call);
    const char *args; /* "[--ready]", or "" */
    const char *help; /* NULL: another spelling, which is neither listed nor offered as the nearest name */
};

/* In the order of the help; the last has no name. */
extern const struct command manual_commands[];

/* Something that has a name, and what is said of it. */
struct manual_entry {
    const char *term, *text;
};

/* The last of each has no term. */
extern const struct manual_entry manual_signals[], manual_exits[], manual_files[], manual_examples[];

/* How values are written; what a reload does. */
extern const char manual_values[], manual_reload[];

/* The man page portico(1) in man(7) macros, ASCII alone. */
void manual_print(FILE *file, const char *version);

#endif
