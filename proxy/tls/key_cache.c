#include "base/limits.h"
#include "base/mem.h"
#include "tls/tls_server_internal.h"

#include <openssl/bytestring.h>
#include <openssl/evp.h>

struct key_entry {
    struct list node;
    uint64_t cert_id;
    EVP_PKEY *key;
};

static struct slice key_name(const uint64_t *cert_id)
{
    return slice_make(cert_id, sizeof *cert_id);
}

static void key_cache_drop(struct key_cache *cache, struct key_entry *entry)
{
    map_remove(&cache->by_id, key_name(&entry->cert_id));
    list_remove(&entry->node);
    EVP_PKEY_free(entry->key);
    mem_free(entry);
    cache->num--;
}

static struct key_entry *key_cache_add(struct key_cache *cache, const struct cert *cert)
{
    CBS der;
    CBS_init(&der, cert->key_der, cert->key_len);
    EVP_PKEY *key = EVP_parse_private_key(&der);
    if (!key)
        return NULL;
    if (cache->num >= LIMIT_PARSED_KEYS)
        key_cache_drop(cache, container_of(cache->recent.prev, struct key_entry, node));
    struct key_entry *entry = MEM_NEW(struct key_entry);
    list_init(&entry->node);
    entry->cert_id = cert->id;
    entry->key = key;
    map_put(&cache->by_id, key_name(&entry->cert_id), entry);
    cache->num++;
    return entry;
}

EVP_PKEY *key_cache_get(struct key_cache *cache, const struct cert *cert)
{
    struct key_entry *entry = map_get(&cache->by_id, key_name(&cert->id));
    if (!entry)
        entry = key_cache_add(cache, cert);
    if (!entry)
        return NULL;
    list_remove(&entry->node);
    list_prepend(&cache->recent, &entry->node);
    return entry->key;
}

void key_cache_cleanup(struct key_cache *cache)
{
    struct list *node;
    while ((node = list_first(&cache->recent)))
        key_cache_drop(cache, container_of(node, struct key_entry, node));
    map_cleanup(&cache->by_id);
}
