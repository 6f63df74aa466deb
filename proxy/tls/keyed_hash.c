#include "tls/keyed_hash.h"

#include <openssl/hmac.h>
#include <openssl/mem.h>
#include <openssl/rand.h>

void keyed_hash_init(struct keyed_hash *hash)
{
    RAND_bytes(hash->key, sizeof hash->key);
}

void keyed_hash_cleanup(struct keyed_hash *hash)
{
    OPENSSL_cleanse(hash->key, sizeof hash->key);
}

void keyed_hash_make(const struct keyed_hash *hash, const struct slice *parts, size_t num_parts,
                     uint8_t out[KEYED_HASH_BYTES])
{
    HMAC_CTX ctx;
    HMAC_CTX_init(&ctx);
    HMAC_Init_ex(&ctx, hash->key, sizeof hash->key, EVP_sha256(), NULL);
    for (size_t i = 0; i < num_parts; i++) {
        uint32_t len = (uint32_t)parts[i].len;
        HMAC_Update(&ctx, (const uint8_t *)&len, sizeof len);
        HMAC_Update(&ctx, (const uint8_t *)parts[i].ptr, parts[i].len);
    }
    HMAC_Final(&ctx, out, NULL);
    HMAC_CTX_cleanup(&ctx);
}
