#include "tls/certset.h"

#include "base/b64url.h"
#include "base/limits.h"
#include "base/mem.h"

#include <stdatomic.h>

struct certset_shard {
    _Atomic unsigned refs;
    struct map names; /* to struct certset_name */
};

enum { CERTSET_SEED = 0x5eed }; /* of the sharding alone; the maps have secret seeds of their own */

static size_t certset_shard_index(struct slice name)
{
    return map_hash(name, CERTSET_SEED) % NUM_CERTSET_SHARDS;
}

static struct certset_shard *shard_new(void)
{
    struct certset_shard *shard = MEM_NEW(struct certset_shard);
    atomic_init(&shard->refs, 1);
    return shard;
}

static void shard_unref(struct certset_shard *shard)
{
    if (!shard || atomic_fetch_sub_explicit(&shard->refs, 1, memory_order_acq_rel) != 1)
        return;
    struct map_entry *entry;
    for (size_t at = 0; (entry = map_next(&shard->names, &at));) {
        struct certset_name *name = entry->value;
        cert_unref(name->cert);
        mem_free(name);
    }
    map_cleanup(&shard->names);
    mem_free(shard);
}

static void shard_put(struct certset_shard *shard, struct slice name, struct cert *cert, bool managed)
{
    struct certset_name *entry = MEM_NEW(struct certset_name);
    entry->cert = cert_ref(cert);
    entry->managed = managed;
    struct certset_name *before = map_put(&shard->names, name, entry);
    if (before) {
        cert_unref(before->cert);
        mem_free(before);
    }
}

/* The shard of a name, for writing: a copy of its own where others share it. */
static struct certset_shard *certset_own_shard(struct certset *set, struct slice name)
{
    struct certset_shard **at = &set->shards[certset_shard_index(name)];
    if (!*at) {
        *at = shard_new();
    } else if (atomic_load_explicit(&(*at)->refs, memory_order_acquire) > 1) {
        struct certset_shard *copy = shard_new();
        struct map_entry *entry;
        for (size_t i = 0; (entry = map_next(&(*at)->names, &i));) {
            const struct certset_name *old = entry->value;
            shard_put(copy, entry->key, old->cert, old->managed);
        }
        shard_unref(*at);
        *at = copy;
    }
    return *at;
}

struct certset *certset_new(void)
{
    struct certset *set = MEM_NEW(struct certset);
    atomic_init(&set->refs, 1);
    return set;
}

struct certset *certset_copy(const struct certset *set)
{
    struct certset *copy = certset_new();
    copy->generation = set->generation;
    copy->tickets = set->tickets;
    for (size_t i = 0; i < NUM_CERTSET_SHARDS; i++) {
        copy->shards[i] = set->shards[i];
        if (copy->shards[i])
            atomic_fetch_add_explicit(&copy->shards[i]->refs, 1, memory_order_relaxed);
    }
    struct map_entry *entry;
    for (size_t at = 0; (entry = map_next(&set->pending, &at));)
        map_put(&copy->pending, entry->key, mem_strdup(entry->value));
    copy->thumbprint = set->thumbprint ? mem_strdup(set->thumbprint) : NULL;
    copy->default_name = set->default_name ? mem_strdup(set->default_name) : NULL;
    return copy;
}

struct certset *certset_ref(struct certset *set)
{
    atomic_fetch_add_explicit(&set->refs, 1, memory_order_relaxed);
    return set;
}

void certset_unref(struct certset *set)
{
    if (!set || atomic_fetch_sub_explicit(&set->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < NUM_CERTSET_SHARDS; i++)
        shard_unref(set->shards[i]);
    struct map_entry *entry;
    for (size_t at = 0; (entry = map_next(&set->pending, &at));)
        mem_free(entry->value);
    map_cleanup(&set->pending);
    mem_free(set->thumbprint);
    mem_free(set->default_name);
    ticket_ring_cleanup(&set->tickets);
    mem_free(set);
}

void certset_put(struct certset *set, struct slice name, struct cert *cert, bool managed)
{
    shard_put(certset_own_shard(set, name), name, cert, managed);
}

void certset_remove(struct certset *set, struct slice name)
{
    struct certset_name *before = map_remove(&certset_own_shard(set, name)->names, name);
    if (before) {
        cert_unref(before->cert);
        mem_free(before);
    }
}

void certset_put_pending(struct certset *set, struct slice token, struct slice key_authorization)
{
    mem_free(map_put(&set->pending, token, mem_dup(key_authorization.ptr, key_authorization.len)));
}

void certset_remove_pending(struct certset *set, struct slice token)
{
    mem_free(map_remove(&set->pending, token));
}

void certset_set_thumbprint(struct certset *set, struct slice thumbprint)
{
    mem_free(set->thumbprint);
    set->thumbprint = mem_dup(thumbprint.ptr, thumbprint.len);
}

void certset_set_default(struct certset *set, struct slice name)
{
    mem_free(set->default_name);
    set->default_name = mem_dup(name.ptr, name.len);
}

static const struct certset_name *certset_find_exact(const struct certset *set, struct slice name)
{
    const struct certset_shard *shard = set->shards[certset_shard_index(name)];
    return shard ? map_get(&shard->names, name) : NULL;
}

const struct certset_name *certset_find(const struct certset *set, struct slice name)
{
    const struct certset_name *found = certset_find_exact(set, name);
    const char *dot = !found && name.len ? memchr(name.ptr, '.', name.len) : NULL;
    if (!dot)
        return found;
    char wildcard[256] = "*";
    size_t rest = name.len - (size_t)(dot - name.ptr);
    if (rest + 1 >= sizeof wildcard)
        return NULL;
    memcpy(wildcard + 1, dot, rest);
    return certset_find_exact(set, slice_make(wildcard, rest + 1));
}

bool certset_http01(const struct certset *set, struct slice token, struct buf *out)
{
    const char *pending = map_get(&set->pending, token);
    if (pending) {
        buf_append_str(out, pending);
        return true;
    }
    if (!set->thumbprint || token.len < LIMIT_TOKEN_MIN || token.len > LIMIT_TOKEN_MAX || !b64url_valid(token))
        return false;
    buf_append_slice(out, token);
    buf_append_char(out, '.');
    buf_append_str(out, set->thumbprint);
    return true;
}
