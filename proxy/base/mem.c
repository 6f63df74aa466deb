#include "base/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void mem_exhausted(size_t size)
{
    fprintf(stderr, "portico: out of memory (asked for %zu bytes): raise the memory limit or lower PORTICO_MAX_CONNS\n",
            size);
    abort();
}

void *mem_alloc(size_t size)
{
    void *ptr = malloc(size ? size : 1);
    if (!ptr)
        mem_exhausted(size);
    return ptr;
}

void *mem_calloc(size_t num, size_t size)
{
    void *ptr = calloc(num ? num : 1, size ? size : 1);
    if (!ptr)
        mem_exhausted(num * size);
    return ptr;
}

void *mem_calloc_aligned(size_t align, size_t size)
{
    void *ptr = aligned_alloc(align, size); /* a type's size is a multiple of its alignment */
    if (!ptr)
        mem_exhausted(size);
    return memset(ptr, 0, size);
}

void *mem_realloc(void *ptr, size_t size)
{
    void *moved = realloc(ptr, size ? size : 1);
    if (!moved)
        mem_exhausted(size);
    return moved;
}

char *mem_dup(const void *bytes, size_t len)
{
    char *copy = mem_alloc(len + 1);
    if (len)
        memcpy(copy, bytes, len);
    copy[len] = '\0';
    return copy;
}

char *mem_strdup(const char *text)
{
    return mem_dup(text, strlen(text));
}

void mem_free(void *ptr)
{
    free(ptr);
}

void mem_free_secret(void *ptr, size_t len)
{
    if (ptr && len)
        explicit_bzero(ptr, len);
    free(ptr);
}
