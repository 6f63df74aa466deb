/* announce: what a backend is told of a client before its first byte: the PROXY protocol's header, as
 * PROXY_PROTOCOL_OUT asks for it. Pure. */
#ifndef EXCHANGE_ANNOUNCE_H
#define EXCHANGE_ANNOUNCE_H

#include "exchange/exchange.h"

/* In the arena; empty where it is off. */
struct slice announce_client(const struct config *config, const struct exchange_client *client, struct arena *arena);

#endif
