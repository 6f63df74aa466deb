/* follow: a command that the running process carries out (core/commands.h): begun by one request over the control socket,
 * then looked at by its id a few times a second, each time on a connection of its own: whoever stops looking stops nothing.
 * Main thread. */
#ifndef CLI_FOLLOW_H
#define CLI_FOLLOW_H

#include "cli/cli.h"

enum follow_until {
    FOLLOW_BEGUN, /* until something has happened, or is known to have to wait */
    FOLLOW_ENDED
};

/* Begins by POST to the path with its query, prints how it stands whenever that changes, and returns the exit code. */
int follow_command(const struct cli_call *call, const char *command, struct slice path, enum follow_until until);
/* Prints what one GET of the path answers, and returns the exit code. */
int follow_show(const struct cli_call *call, const char *command, const char *path);

/* Appends `key=value` with whatever has to be escaped (RFC 3986 §2.1). */
void follow_query(struct buf *path, char before, const char *key, struct slice value);
/* The name of an argument in its canonical form, appended as a parameter `name`; false: it is none, and this has been said. */
bool follow_query_name(const struct cli_call *call, const char *command, struct buf *path, const char *argument);

#endif
