/* upstream_log: what is said, and counted, of a backend that fails: the same for requests and for raw bytes. Worker's
 * thread. */
#ifndef EXCHANGE_UPSTREAM_LOG_H
#define EXCHANGE_UPSTREAM_LOG_H

#include "exchange/exchange.h"

/* No connection to any backend of the group. host: the name that was asked for. */
void upstream_log_unreachable(struct exchange_env *env, const struct config_group *group, struct slice host,
                              struct err err);
/* Its connection broke under what it was doing. */
void upstream_log_failed(struct exchange_env *env, struct slice backend, struct slice host, struct err err);

#endif
