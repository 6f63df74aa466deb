/* reach: whether the backends accept connections, for READY_REQUIRES=upstream: one connection to each every few seconds,
 * closed at once. What traffic finds out is not enough: none comes before we are ready. Control thread; nothing runs
 * where it is not asked for. */
#ifndef CORE_REACH_H
#define CORE_REACH_H

#include "config/config.h"
#include "net/net_loop.h"
#include "net/resolve.h"

struct reach;

/* Once a second. NULL where the config does not ask; otherwise `reach`, or a new one in its place where the config is
 * another than last time. */
struct reach *reach_look(struct reach *reach, struct net_loop *loop, struct resolver *resolver,
                         const struct config *config);
/* Of each group that names are sent to, one backend at least was reached when it was last tried. NULL: it is not asked. */
bool reach_is_complete(const struct reach *reach);
void reach_free(struct reach *reach);

#endif
