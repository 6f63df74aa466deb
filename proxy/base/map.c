#include "base/map.h"

#include "base/mem.h"

#include <stdlib.h>
#include <sys/random.h>

enum { MAP_FIRST_SLOTS = 16 };

/* SipHash-1-3 (Aumasson and Bernstein), keyed by the seed: who does not know it cannot make keys collide. */

struct sip {
    uint64_t a, b, c, d;
};

static inline uint64_t rotate(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static inline void sip_round(struct sip *s)
{
    s->a += s->b;
    s->c += s->d;
    s->b = rotate(s->b, 13) ^ s->a;
    s->d = rotate(s->d, 16) ^ s->c;
    s->a = rotate(s->a, 32);
    s->c += s->b;
    s->a += s->d;
    s->b = rotate(s->b, 17) ^ s->c;
    s->d = rotate(s->d, 21) ^ s->a;
    s->c = rotate(s->c, 32);
}

static inline void sip_word(struct sip *s, uint64_t word)
{
    s->d ^= word;
    sip_round(s);
    s->a ^= word;
}

static inline uint64_t load_word(const char *bytes, size_t len)
{
    uint64_t word = 0;
    memcpy(&word, bytes, len); /* the byte order is the machine's: hashes never leave the process */
    return word;
}

uint64_t map_hash(struct slice key, uint64_t seed)
{
    uint64_t other = rotate(seed, 32) ^ 0x9e3779b97f4a7c15; /* the second half of SipHash's key */
    struct sip s = {seed ^ 0x736f6d6570736575, other ^ 0x646f72616e646f6d, seed ^ 0x6c7967656e657261,
                    other ^ 0x7465646279746573};
    size_t at = 0;
    for (; key.len - at >= 8; at += 8)
        sip_word(&s, load_word(key.ptr + at, 8));
    uint64_t last = at < key.len ? load_word(key.ptr + at, key.len - at) : 0;
    sip_word(&s, last | (uint64_t)key.len << 56);
    s.c ^= 0xff;
    sip_round(&s);
    sip_round(&s);
    sip_round(&s);
    return s.a ^ s.b ^ s.c ^ s.d;
}

static uint64_t new_seed(void)
{
    uint64_t seed = 0;
    while (seed == 0) /* 0 means "not set yet" */
        if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
            abort(); /* cannot fail on kernels that we run on, and a guessable seed is worse than an end */
    return seed;
}

void map_cleanup(struct map *map)
{
    for (size_t i = 0; i < map->cap; i++)
        mem_free((void *)map->entries[i].key.ptr);
    mem_free(map->entries);
    *map = (struct map){0};
}

/* The slot of the key, or the free one where it would go. There is always a free one. */
static struct map_entry *map_slot(const struct map *map, struct slice key, uint64_t hash)
{
    size_t mask = map->cap - 1, i = (size_t)hash & mask;
    while (map->entries[i].value && !(map->entries[i].hash == hash && slice_eq(map->entries[i].key, key)))
        i = (i + 1) & mask;
    return &map->entries[i];
}

void *map_get(const struct map *map, struct slice key)
{
    return map->num ? map_slot(map, key, map_hash(key, map->seed))->value : NULL;
}

static void map_grow(struct map *map)
{
    struct map old = *map;
    map->cap = old.cap ? old.cap * 2 : MAP_FIRST_SLOTS;
    map->entries = mem_calloc(map->cap, sizeof *map->entries);
    for (size_t i = 0; i < old.cap; i++)
        if (old.entries[i].value)
            *map_slot(map, old.entries[i].key, old.entries[i].hash) = old.entries[i];
    mem_free(old.entries);
}

void *map_put(struct map *map, struct slice key, void *value)
{
    if (!value)
        abort();
    if (!map->seed)
        map->seed = new_seed();
    if (map->num >= map->cap / 4 * 3)
        map_grow(map);
    uint64_t hash = map_hash(key, map->seed);
    struct map_entry *entry = map_slot(map, key, hash);
    void *before = entry->value;
    if (!before) {
        *entry = (struct map_entry){.key = {mem_dup(key.ptr, key.len), key.len}, .hash = hash};
        map->num++;
    }
    entry->value = value;
    return before;
}

/* Moves later entries of the same run into the gap, so that no look-up ends early and no tombstone remains. */
static void map_close_gap(struct map *map, size_t gap)
{
    size_t mask = map->cap - 1;
    for (size_t i = (gap + 1) & mask; map->entries[i].value; i = (i + 1) & mask) {
        size_t from_home = (i - (size_t)map->entries[i].hash) & mask, from_gap = (i - gap) & mask;
        if (from_home >= from_gap) {
            map->entries[gap] = map->entries[i];
            gap = i;
        }
    }
    map->entries[gap] = (struct map_entry){0};
}

void *map_remove(struct map *map, struct slice key)
{
    if (!map->num)
        return NULL;
    struct map_entry *entry = map_slot(map, key, map_hash(key, map->seed));
    void *before = entry->value;
    if (before) {
        mem_free((void *)entry->key.ptr);
        map_close_gap(map, (size_t)(entry - map->entries));
        map->num--;
    }
    return before;
}

struct map_entry *map_next(const struct map *map, size_t *at)
{
    while (*at < map->cap) {
        struct map_entry *entry = &map->entries[(*at)++];
        if (entry->value)
            return entry;
    }
    return NULL;
}
