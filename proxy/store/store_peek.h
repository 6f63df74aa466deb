/* store_peek: one look at one record of a directory store, for commands: without a loop, without the lock, beside the
 * process that owns it or without one. It makes and changes nothing. Blocks; any thread. */
#ifndef STORE_STORE_PEEK_H
#define STORE_STORE_PEEK_H

#include "acme/store.h"
#include "base/buf.h"

/* Appends the value to out, which becomes a secret: buf_cleanup_secret. secret: STORAGE_KEY, or empty. NOT_FOUND, also where
 * there is no such directory; UNAVAILABLE: errno says why; DENIED: it is sealed, and no key is given; WRONG_KEY; CORRUPT. */
enum store_result store_peek(const char *dir, struct slice key, struct slice secret, struct buf *out);

#endif
