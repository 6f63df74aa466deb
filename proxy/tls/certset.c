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

static void name_free(struct certset_name *name)
{
    if (!name)
        return;
    cert_unref(name->cert);
    cert_unref(name->rsa);
    mem_free(name);
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
    for (size_t at = 0; (entry = map_next(&shard->names, &at));)
        name_free(entry->value);
    map_cleanup(&shard->names);
    mem_free(shard);
}

static void shard_put(struct certset_shard *shard, struct slice text, const struct certset_name *name)
{
    struct certset_name *entry = MEM_NEW(struct certset_name);
    *entry = *name;
    cert_ref(entry->cert);
    if (entry->rsa)
        cert_ref(entry->rsa);
    name_free(map_put(&shard->names, text, entry));
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
        for (size_t i = 0; (entry = map_next(&(*at)->names, &i));)
            shard_put(copy, entry->key, entry->value);
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

static void challenge_free(struct certset_challenge *challenge)
{
    if (!challenge)
        return;
    cert_unref(challenge->cert);
    mem_free(challenge->token);
    mem_free(challenge);
}

static struct certset_addresses addresses_copy(const struct certset_addresses *addresses)
{
    return (struct certset_addresses){.num = addresses->num,
                                      .only = addresses->only ? mem_strdup(addresses->only) : NULL};
}

static void certset_copy_pending(const struct certset *set, struct certset *copy)
{
    struct map_entry *entry;
    for (size_t at = 0; (entry = map_next(&set->pending, &at));)
        map_put(&copy->pending, entry->key, mem_strdup(entry->value));
    for (size_t at = 0; (entry = map_next(&set->alpn, &at));) {
        const struct certset_challenge *challenge = entry->value;
        certset_put_alpn(copy, entry->key, challenge->cert, slice_str(challenge->token));
    }
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
    certset_copy_pending(set, copy);
    copy->v4 = addresses_copy(&set->v4);
    copy->v6 = addresses_copy(&set->v6);
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
    for (size_t at = 0; (entry = map_next(&set->alpn, &at));)
        challenge_free(entry->value);
    map_cleanup(&set->alpn);
    mem_free(set->v4.only);
    mem_free(set->v6.only);
    mem_free(set->thumbprint);
    mem_free(set->default_name);
    ticket_ring_cleanup(&set->tickets);
    mem_free(set);
}

/* ---- names ---- */

/* One of the family of `ip`, other than it: rare enough to be looked for. */
static char *certset_other_address(const struct certset *set, const struct ip *ip)
{
    struct map_entry *entry;
    struct ip other;
    for (size_t i = 0; i < NUM_CERTSET_SHARDS; i++)
        for (size_t at = 0; set->shards[i] && (entry = map_next(&set->shards[i]->names, &at));)
            if (ip_parse(entry->key, &other) && ip_is_v4(&other) == ip_is_v4(ip) &&
                memcmp(&other, ip, sizeof other) != 0)
                return mem_dup(entry->key.ptr, entry->key.len);
    return NULL;
}

/* The name has come, or goes: keeps what is known of those that are addresses. */
static void certset_count_address(struct certset *set, struct slice name, bool comes)
{
    struct ip ip;
    if (!ip_parse(name, &ip))
        return;
    struct certset_addresses *family = ip_is_v4(&ip) ? &set->v4 : &set->v6;
    family->num = comes ? family->num + 1 : family->num - 1;
    mem_free(family->only);
    family->only = NULL;
    if (family->num == 1)
        family->only = comes ? mem_dup(name.ptr, name.len) : certset_other_address(set, &ip);
}

void certset_put(struct certset *set, struct slice name, struct cert *cert, bool managed)
{
    struct certset_shard *shard = certset_own_shard(set, name);
    const struct certset_name *before = map_get(&shard->names, name);
    struct certset_name after = {.cert = cert, .managed = managed};
    if (before && cert->key_is_rsa && !before->cert->key_is_rsa)
        after = (struct certset_name){.cert = before->cert, .rsa = cert, .managed = managed};
    else if (before && !cert->key_is_rsa)
        after.rsa = before->cert->key_is_rsa ? before->cert : before->rsa;
    if (!before)
        certset_count_address(set, name, true);
    shard_put(shard, name, &after);
}

void certset_remove(struct certset *set, struct slice name)
{
    struct certset_name *before = map_remove(&certset_own_shard(set, name)->names, name);
    if (before)
        certset_count_address(set, name, false);
    name_free(before);
}

/* ---- challenges ---- */

void certset_put_alpn(struct certset *set, struct slice sni, struct cert *cert, struct slice token)
{
    struct certset_challenge *challenge = MEM_NEW(struct certset_challenge);
    challenge->cert = cert_ref(cert);
    challenge->token = mem_dup(token.ptr, token.len);
    challenge_free(map_put(&set->alpn, sni, challenge));
}

void certset_remove_alpn(struct certset *set, struct slice sni)
{
    challenge_free(map_remove(&set->alpn, sni));
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

struct slice certset_address(const struct certset *set, const struct ip *local, char out[IP_TEXT_BYTES])
{
    if (set->v4.num + set->v6.num == 0)
        return SLICE_NONE;
    if (local) {
        struct slice text = slice_str(ip_text(local, out));
        const struct certset_addresses *family = ip_is_v4(local) ? &set->v4 : &set->v6;
        if (certset_find_exact(set, text))
            return text;
        if (family->num == 1)
            return slice_str(family->only);
    }
    const struct certset_addresses *any = set->v4.num ? &set->v4 : &set->v6;
    return set->v4.num + set->v6.num == 1 ? slice_str(any->only) : SLICE_NONE;
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
