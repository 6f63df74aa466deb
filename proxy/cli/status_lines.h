/* status_lines: reading /status/lines (core/status.h) again. Pure. Main thread. */
#ifndef CLI_STATUS_LINES_H
#define CLI_STATUS_LINES_H

#include "base/slice.h"

/* The fields of a line, views into it: exactly num of them, or false. */
bool status_line_split(struct slice line, struct slice *out, size_t num);
/* 0 for what is no number. */
int64_t status_line_number(struct slice text);

#endif
