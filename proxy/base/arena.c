#include "base/arena.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ARENA_BLOCK_BYTES = 4096 - 64,
#ifdef __SANITIZE_ADDRESS__
    ARENA_MAX_SPARE = 0 /* a use after free must be seen */
#else
    ARENA_MAX_SPARE = 64 /* 256 KiB: what a busy worker turns over in one turn of its loop */
#endif
};

struct arena_block {
    struct arena_block *next;
    size_t size;
    _Alignas(max_align_t) char bytes[];
};

static void arena_use(struct arena *arena, struct arena_block *block)
{
    arena->at = block->bytes;
    arena->end = block->bytes + block->size;
}

/* Not linked yet. */
static struct arena_block *block_new(size_t size)
{
    struct arena_block *block = mem_alloc(sizeof *block + size);
    block->size = size;
    return block;
}

static struct arena_block *block_take(struct arena_spare *spare)
{
    struct arena_block *block = spare ? spare->blocks : NULL;
    if (!block)
        return block_new(ARENA_BLOCK_BYTES);
    spare->blocks = block->next;
    spare->num--;
    return block;
}

static void block_give(struct arena_spare *spare, struct arena_block *block)
{
    if (!spare || spare->num + 1 > ARENA_MAX_SPARE || block->size != ARENA_BLOCK_BYTES) {
        mem_free(block);
        return;
    }
    block->next = spare->blocks;
    spare->blocks = block;
    spare->num++;
}

void arena_spare_cleanup(struct arena_spare *spare)
{
    struct arena_block *next;
    for (struct arena_block *block = spare->blocks; block; block = next) {
        next = block->next;
        mem_free(block);
    }
    *spare = (struct arena_spare){0};
}

static void arena_grow(struct arena *arena)
{
    struct arena_block *block = block_take(arena->spare);
    block->next = arena->blocks;
    arena->blocks = block;
    arena_use(arena, block);
}

/* A block of its own behind the first, whose room is used on. */
static void *arena_alloc_large(struct arena *arena, size_t size)
{
    if (!arena->blocks)
        arena_grow(arena);
    struct arena_block *block = block_new(size);
    block->next = arena->blocks->next;
    arena->blocks->next = block;
    return block->bytes;
}

void arena_cleanup(struct arena *arena)
{
    struct arena_block *next;
    for (struct arena_block *block = arena->blocks; block; block = next) {
        next = block->next;
        block_give(arena->spare, block);
    }
    *arena = (struct arena){.spare = arena->spare};
}

void arena_wipe(struct arena *arena)
{
    for (struct arena_block *block = arena->blocks; block; block = block->next)
        explicit_bzero(block->bytes, block->size);
}

void arena_reset(struct arena *arena)
{
    struct arena_block *keep = arena->blocks;
    if (!keep)
        return;
    arena->blocks = keep->next;
    struct arena rest = *arena;
    arena_cleanup(&rest);
    keep->next = NULL;
    arena->blocks = keep;
    arena_use(arena, keep);
}

void *arena_alloc(struct arena *arena, size_t size)
{
    size_t align = _Alignof(max_align_t);
    if (size > SIZE_MAX / 2)
        abort();
    size = (size + align - 1) & ~(align - 1);
    if (size > ARENA_BLOCK_BYTES / 4)
        return arena_alloc_large(arena, size);
    if (!arena->blocks || (size_t)(arena->end - arena->at) < size)
        arena_grow(arena);
    void *ptr = arena->at;
    arena->at += size;
    return ptr;
}

void *arena_calloc(struct arena *arena, size_t num, size_t size)
{
    if (size && num > SIZE_MAX / size)
        abort();
    void *ptr = arena_alloc(arena, num * size);
    memset(ptr, 0, num * size);
    return ptr;
}

struct slice arena_copy(struct arena *arena, struct slice s)
{
    char *copy = arena_alloc(arena, s.len + 1);
    if (s.len)
        memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return (struct slice){copy, s.len};
}

char *arena_strdup(struct arena *arena, const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(arena_alloc(arena, size), text, size);
}

struct slice arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    size_t size = len > 0 ? (size_t)len + 1 : 1;
    char *text = arena_alloc(arena, size);
    text[0] = '\0';
    vsnprintf(text, size, format, again);
    va_end(again);
    return (struct slice){text, size - 1};
}
