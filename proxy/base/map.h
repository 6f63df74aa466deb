/* map: string keys to pointers, by hashing with a seed per map (names may come from strangers).
 * Copies and owns its keys, never its values. One writer; many readers while nobody writes. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/slice.h"

struct map_entry {
    struct slice key; /* owned by the map, terminated */
    void *value;      /* NULL marks a free slot: values are never NULL */
    uint64_t hash;
};

struct map {
    struct map_entry *entries; /* open addressing, a power of two of slots; NULL while empty */
    size_t num, cap;
    uint64_t seed; /* set at the first put; the caller may set it before */
};

/* A zeroed struct map is an empty map. */
void map_cleanup(struct map *map);
void *map_get(const struct map *map, struct slice key);
/* Returns the value that was there before, or NULL. */
void *map_put(struct map *map, struct slice key, void *value);
/* Returns the value that was there, or NULL. */
void *map_remove(struct map *map, struct slice key);

/* The entries in no particular order: for (size_t at = 0; (entry = map_next(map, &at));). Not while writing. */
struct map_entry *map_next(const struct map *map, size_t *at);

/* A keyed 64-bit hash of bytes; also for sharding. */
uint64_t map_hash(struct slice key, uint64_t seed);

#endif
