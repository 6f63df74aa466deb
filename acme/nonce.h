/* nonce: the pool of anti-replay nonces of one directory (RFC 8555 §6.5). Every answer brings one; the freshest goes out
 * first, each goes out once (ACME-15). Owns its texts; bounded. One thread. It never fetches: request does. */
#ifndef ACME_NONCE_H
#define ACME_NONCE_H

#include "base/slice.h"

enum { NONCE_POOL_MAX = 32, NONCE_MAX_BYTES = 512, NONCE_MAX_AGE_MS = 10 * 60 * 1000 };

struct nonce_pool {
    struct nonce {
        char *text;
        int64_t added_ms;
    } nonces[NONCE_POOL_MAX]; /* the oldest first */
    size_t num;
};

void nonce_pool_cleanup(struct nonce_pool *pool);
/* Keeps a copy. A nonce that is not base64url, or absent, is ignored (ACME-16); the oldest makes room. */
void nonce_put(struct nonce_pool *pool, struct slice nonce, int64_t mono_ms);
/* The freshest, given to the caller who frees it with mem_free; NULL where none is fresh enough to be worth a try. */
char *nonce_take(struct nonce_pool *pool, int64_t mono_ms);

#endif
