/* print: how commands show a configuration. */
#ifndef CLI_PRINT_H
#define CLI_PRINT_H

#include "config/config.h"

#include <stdio.h>

/* The headline and all mistakes. */
void print_mistakes(FILE *file, const struct config_mistakes *mistakes);
/* Text with line breaks and what is no visible character of UTF-8 as \xNN. */
void print_escaped(FILE *file, struct slice text);
/* Text broken at blanks so that lines, with `indent` in front of each but the first, keep within `columns`; backticks
 * are left out. The first line begins at column `indent`. */
void print_wrapped(FILE *file, const char *text, int indent, int columns);

#endif
