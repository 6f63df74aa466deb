/* cursor: how far a long answer has been written. What tells of every name is written in steps of CURSOR_STEP_NAMES, with
 * turns of the loop between them: a hundred thousand names must not hold up the control loop (DESIGN.md: 5 ms). Names that
 * a reload adds or removes meanwhile may be told twice or not at all; the next answer is right again. */
#ifndef CORE_CURSOR_H
#define CORE_CURSOR_H

#include "base/json_write.h"

enum { CURSOR_STEP_NAMES = 200 };

/* Zeroed: the beginning. The rest is the writer's own. */
struct cursor {
    unsigned part;
    size_t name;
    struct json_writer json;
};

#endif
