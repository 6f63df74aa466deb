/* clock_guard: how far this machine's clock is from the CA's, by the Date of its answers. A clock that is wrong makes fresh
 * certificates look invalid, and old ones fine. Pure. One thread. */
#ifndef ACME_CLOCK_GUARD_H
#define ACME_CLOCK_GUARD_H

#include "base/slice.h"

enum { CLOCK_GUARD_MAX_SKEW_MS = 5 * 60 * 1000 };

struct clock_guard {
    int64_t skew_ms; /* our clock less the CA's; 0: nothing has been heard */
    bool off;        /* by more than CLOCK_GUARD_MAX_SKEW_MS */
};

/* An answer came: true where that changes `off`, which is worth a word. A Date that makes no sense is ignored. */
bool clock_guard_take(struct clock_guard *guard, struct slice date, int64_t wall_ms);

#endif
