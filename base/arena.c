/* arena.c - a chain of blocks, filled front to back.
 *
 * Blocks double up to BLOCK_BYTES_MAX, so a small phase costs one malloc and a
 * large one few. A request that does not fit takes a block of its own size. The
 * newest block is the head; the first one made is the last in the chain and the
 * only one that arena_reset() keeps.
 */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { BLOCK_BYTES_MIN = 4096, BLOCK_BYTES_MAX = 1 << 20, ALIGN_BYTES = _Alignof(max_align_t) };

typedef struct Block {
    struct Block *older;
    size_t cap, used;
    _Alignas(max_align_t) char bytes[];
} Block;

struct Arena {
    Block *head;
    size_t handed_out;
};

static void out_of_memory(void)
{
    fputs("out of memory\n", stderr);
    abort();
}

void *mem_alloc(size_t size_bytes)
{
    void *ptr = calloc(1, size_bytes ? size_bytes : 1);
    if (!ptr)
        out_of_memory();
    return ptr;
}

void *mem_realloc(void *ptr, size_t size_bytes)
{
    void *moved = realloc(ptr, size_bytes ? size_bytes : 1);
    if (!moved)
        out_of_memory();
    return moved;
}

char *mem_strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(mem_realloc(NULL, size), text, size);
}

static void block_add(Arena *arena, size_t size_min)
{
    size_t cap = arena->head ? arena->head->cap : BLOCK_BYTES_MIN / 2;
    cap = cap < BLOCK_BYTES_MAX / 2 ? cap * 2 : BLOCK_BYTES_MAX;
    if (cap < size_min)
        cap = size_min;
    if (cap > SIZE_MAX - sizeof(Block))
        out_of_memory();
    Block *block = mem_realloc(NULL, sizeof(Block) + cap);      /* zeroed piece by piece, when handed out */
    *block = (Block){ .older = arena->head, .cap = cap };
    arena->head = block;
}

Arena *arena_new(void)
{
    Arena *arena = mem_alloc(sizeof *arena);
    block_add(arena, 0);
    return arena;
}

void arena_reset(Arena *arena)
{
    while (arena->head->older) {
        Block *older = arena->head->older;
        free(arena->head);
        arena->head = older;
    }
    arena->head->used = 0;
    arena->handed_out = 0;
}

void arena_free(Arena *arena)
{
    if (!arena)
        return;
    arena_reset(arena);
    free(arena->head);
    free(arena);
}

/* Bytes that the caller fills itself. */
static char *take(Arena *arena, size_t size_bytes)
{
    if (size_bytes > SIZE_MAX - ALIGN_BYTES)
        out_of_memory();
    size_t size = size_bytes ? (size_bytes + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES : ALIGN_BYTES;
    if (arena->head->cap - arena->head->used < size)
        block_add(arena, size);
    char *bytes = arena->head->bytes + arena->head->used;
    arena->head->used += size;
    arena->handed_out += size_bytes;
    return bytes;
}

void *arena_alloc(Arena *arena, size_t size_bytes)
{
    return memset(take(arena, size_bytes), 0, size_bytes);
}

void *arena_alloc_array(Arena *arena, size_t count, size_t item_bytes)
{
    size_t size;
    if (__builtin_mul_overflow(count, item_bytes, &size))
        out_of_memory();
    return arena_alloc(arena, size);
}

Str arena_str(Arena *arena, Str text)
{
    if (text.len == SIZE_MAX)
        out_of_memory();
    char *copy = take(arena, text.len + 1);
    if (text.len)
        memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return (Str){ copy, text.len };
}

char *arena_printf(Arena *arena, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0)                                            /* a string of more than INT_MAX bytes */
        out_of_memory();
    char *text = take(arena, (size_t)len + 1);
    vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    return text;
}

size_t arena_size(const Arena *arena)
{
    return arena->handed_out;
}
