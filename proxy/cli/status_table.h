/* status_table: what the running process tells of its names, as a table for a terminal, and as yes or no. Pure; any thread. */
#ifndef CLI_STATUS_TABLE_H
#define CLI_STATUS_TABLE_H

#include "base/slice.h"

#include <stdio.h>

struct status_look {
    int columns; /* of the terminal; 0: none, so nothing is cut or broken */
    bool color;
};

/* lines: the body of /status/lines (core/status.h). Malformed ones are not shown, and count as trouble. */
void status_table_print(FILE *file, struct slice lines, struct status_look look);
/* Whether every name has a valid certificate that does not end soon: within a fifth of its lifetime, and within 14 days. */
bool status_is_fine(struct slice lines);

#endif
