#include "acme/nonce.h"

#include "base/b64url.h"
#include "base/mem.h"

void nonce_pool_cleanup(struct nonce_pool *pool)
{
    for (size_t i = 0; i < pool->num; i++)
        mem_free(pool->nonces[i].text);
    *pool = (struct nonce_pool){0};
}

static bool nonce_is_known(const struct nonce_pool *pool, struct slice nonce)
{
    for (size_t i = 0; i < pool->num; i++)
        if (slice_eq(slice_str(pool->nonces[i].text), nonce))
            return true;
    return false;
}

void nonce_put(struct nonce_pool *pool, struct slice nonce, int64_t mono_ms)
{
    if (!nonce.ptr || nonce.len > NONCE_MAX_BYTES || !b64url_valid(nonce) || nonce_is_known(pool, nonce))
        return;
    if (pool->num == NONCE_POOL_MAX) {
        mem_free(pool->nonces[0].text);
        memmove(pool->nonces, pool->nonces + 1, --pool->num * sizeof *pool->nonces);
    }
    pool->nonces[pool->num++] = (struct nonce){mem_dup(nonce.ptr, nonce.len), mono_ms};
}

char *nonce_take(struct nonce_pool *pool, int64_t mono_ms)
{
    if (pool->num == 0)
        return NULL;
    if (mono_ms - pool->nonces[pool->num - 1].added_ms > NONCE_MAX_AGE_MS) { /* the freshest is stale: all are */
        nonce_pool_cleanup(pool);
        return NULL;
    }
    return pool->nonces[--pool->num].text;
}
