/* keyed_hash: HMAC-SHA-256 under a random key that never leaves the process: names for secrets that must not be kept
 * themselves, in tables that nobody outside can aim at. An init'ed key may be read by any thread. */
#ifndef TLS_KEYED_HASH_H
#define TLS_KEYED_HASH_H

#include "base/slice.h"

enum { KEYED_HASH_BYTES = 32 };

struct keyed_hash {
    uint8_t key[KEYED_HASH_BYTES];
};

/* A fresh key. */
void keyed_hash_init(struct keyed_hash *hash);
/* Overwrites it. */
void keyed_hash_cleanup(struct keyed_hash *hash);
/* The hash of the parts, each with its length, so that no two lists of parts are one text. At most 4 GiB each. */
void keyed_hash_make(const struct keyed_hash *hash, const struct slice *parts, size_t num_parts,
                     uint8_t out[KEYED_HASH_BYTES]);

#endif
