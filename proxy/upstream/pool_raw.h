/* pool_raw: connections of tcp:// backends: raw bytes, one user for the whole of a connection's life. One worker's
 * thread. Private to upstream/. */
#ifndef UPSTREAM_POOL_RAW_H
#define UPSTREAM_POOL_RAW_H

#include "upstream/pool_internal.h"

/* As pool_h1_adopt and pool_h1_adopt_stream. The upstream behaves as one of a tunnel from its beginning: `begin` needs
 * neither arena nor request, no head is told, `end` is half a close, and it lives until `detach`, `close` or `failed`. */
struct upstream *pool_raw_adopt(struct backend *backend, int fd, bool unix_socket, const struct config *config);
struct upstream *pool_raw_adopt_stream(struct backend *backend, struct stream *stream);

#endif
