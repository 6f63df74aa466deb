/* arena: many small allocations with one lifetime, freed together. Owns its blocks; a zeroed arena is empty.
 * One thread at a time. The caller bounds what it asks for. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/slice.h"

struct arena_block;

/* Ordinary blocks that arenas of one thread hand on to each other, so that one per request costs no allocation. Zeroed is
 * empty; outlives its arenas. */
struct arena_spare {
    struct arena_block *blocks;
    unsigned num;
};

struct arena {
    struct arena_block *blocks;
    char *at, *end;
    struct arena_spare *spare; /* borrowed; NULL: none */
};

void arena_spare_cleanup(struct arena_spare *spare);

void arena_cleanup(struct arena *arena);
/* Overwrites all that is in it: of secrets, before arena_cleanup. */
void arena_wipe(struct arena *arena);
/* Frees all but one ordinary block (4 KiB), for use again. */
void arena_reset(struct arena *arena);
/* Aligned for any type, not zeroed. */
void *arena_alloc(struct arena *arena, size_t size) __attribute__((malloc, returns_nonnull));
void *arena_calloc(struct arena *arena, size_t num, size_t size) __attribute__((returns_nonnull));
/* A copy that is terminated by a NUL which the slice does not count. */
struct slice arena_copy(struct arena *arena, struct slice s);
char *arena_strdup(struct arena *arena, const char *text);
struct slice arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
