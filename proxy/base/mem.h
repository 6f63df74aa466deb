/* mem: allocation that cannot fail.
 *
 * Every size that a peer decides is bounded by a named limit before it comes here, so running out of memory is the end
 * of the process: it is said on stderr and the process aborts. Any thread. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull));
/* Zeroed; aborts where num * size overflows. */
void *mem_calloc(size_t num, size_t size) __attribute__((malloc, returns_nonnull));
void *mem_realloc(void *ptr, size_t size) __attribute__((returns_nonnull));
char *mem_strdup(const char *text) __attribute__((malloc, returns_nonnull));
/* A terminated copy of len bytes. */
char *mem_dup(const void *bytes, size_t len) __attribute__((malloc, returns_nonnull));
void mem_free(void *ptr);
/* Overwrites before it frees: for keys and secrets. NULL is fine. */
void mem_free_secret(void *ptr, size_t len);

/* Zeroed, for types whose alignment is above malloc's (struct counters and what embeds it). */
void *mem_calloc_aligned(size_t align, size_t size) __attribute__((malloc, returns_nonnull));

#define MEM_NEW(type)                                                                                   \
    ((type *)(_Alignof(type) > _Alignof(max_align_t) ? mem_calloc_aligned(_Alignof(type), sizeof(type)) \
                                                     : mem_calloc(1, sizeof(type))))

#endif
