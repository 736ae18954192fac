/* arena.c - a chain of blocks, filled front to back.
 *
 * Blocks double up to BLOCK_BYTES_MAX, so a small phase costs one malloc and a
 * large one few. A request that does not fit takes a block of its own size. The
 * newest block is the head; the first one is part of the arena, the last in the
 * chain and the only one that arena_reset() keeps. arena_reuse() keeps the
 * largest as well: what was asked for once is asked for again.
 *
 * Arenas that are freed wait for arena_new(), up to ARENA_SPARE_MAX a thread.
 * Where hundreds live at once, more come from slabs on huge pages: thousands of
 * small pages, each touched once in a while, cost more in address translation
 * than in all else. Slabs stay with their thread.
 */
#include "base/arena.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { BLOCK_BYTES_MIN = 4096, BLOCK_BYTES_MAX = 4 << 20, HUGE_PAGE_BYTES = 2 << 20, ALIGN_BYTES = _Alignof(max_align_t) };

typedef struct Block {
    struct Block *older;
    size_t cap, used;
    _Alignas(max_align_t) char bytes[];
} Block;

struct Arena {
    Block *head;                                                /* NULL: a spare one */
    Arena *next_spare;
    size_t handed_out;
    bool in_slab;
    Block first;                                                /* up to BLOCK_BYTES_MIN bytes of the arena's start */
};

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif
#ifdef ARENA_ASAN
enum { ARENA_SPARE_MAX = 0, ARENA_SLABS_MAX = 0 };              /* what is used after it was freed shall be found */
#else
enum { ARENA_SPARE_MAX = 256, ARENA_SLABS_MAX = 16 };
#endif
enum {
    ARENA_SLAB_FROM = 128,                                      /* arenas of one thread that live at once, from which on there are slabs */
    ARENA_SLAB_STRIDE = BLOCK_BYTES_MIN + 64                    /* no power of two: their starts, which are used most, would share a few sets of the caches */
};

static _Thread_local struct {
    Arena *spare, *in_slabs;
    uint32_t spare_count, slab_count, live;
} pool;

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

/* A kernel that gives memory page by page spends more time on it than the compiler on what it writes there. */
void *mem_alloc_large(size_t size_bytes)
{
    if (size_bytes < HUGE_PAGE_BYTES)
        return mem_realloc(NULL, size_bytes);
    if (size_bytes > SIZE_MAX - HUGE_PAGE_BYTES)
        out_of_memory();
    size_t whole = (size_bytes + HUGE_PAGE_BYTES - 1) / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;
    void *ptr = aligned_alloc(HUGE_PAGE_BYTES, whole);
    if (!ptr)
        out_of_memory();
    madvise(ptr, whole, MADV_HUGEPAGE);                         /* only advice: where it is not taken nothing is lost */
    return ptr;
}

static __attribute__((noinline)) void block_add(Arena *arena, size_t size_min)
{
    size_t whole = arena->head == &arena->first ? 2 * BLOCK_BYTES_MIN : (arena->head->cap + sizeof(Block)) * 2;
    if (whole > BLOCK_BYTES_MAX)
        whole = BLOCK_BYTES_MAX;
    if (size_min > SIZE_MAX - sizeof(Block))
        out_of_memory();
    if (whole < size_min + sizeof(Block))
        whole = size_min + sizeof(Block);
    Block *block = mem_alloc_large(whole);                      /* zeroed piece by piece, when handed out */
    *block = (Block){ .older = arena->head, .cap = whole - sizeof(Block) };
    arena->head = block;
}

/* Only where many live at once: a process that needs few gives its memory back. */
static void slab_add(void)
{
    char *slab = mem_alloc_large(HUGE_PAGE_BYTES);
    for (size_t at = 0; at + BLOCK_BYTES_MIN <= HUGE_PAGE_BYTES; at += ARENA_SLAB_STRIDE) {
        Arena *arena = (Arena *)(slab + at);
        *arena = (Arena){ .next_spare = pool.in_slabs, .in_slab = true };
        pool.in_slabs = arena;
    }
    pool.slab_count++;
}

static Arena *arena_take_spare(void)
{
    if (!pool.in_slabs && !pool.spare && pool.live >= ARENA_SLAB_FROM && pool.slab_count + 1 <= ARENA_SLABS_MAX)
        slab_add();
    Arena **list = pool.in_slabs ? &pool.in_slabs : &pool.spare, *arena = *list;
    if (!arena)
        return NULL;
    *list = arena->next_spare;
    if (!arena->in_slab)
        pool.spare_count--;
    return arena;
}

Arena *arena_new(void)
{
    Arena *arena = arena_take_spare();
    if (!arena) {
        arena = mem_realloc(NULL, BLOCK_BYTES_MIN);
        arena->in_slab = false;
    }
    pool.live++;
    arena->first = (Block){ .cap = BLOCK_BYTES_MIN - offsetof(Arena, first) - sizeof(Block) };
    arena->head = &arena->first;
    arena->handed_out = 0;
    return arena;
}

void arena_reset(Arena *arena)
{
    while (arena->head != &arena->first) {
        Block *older = arena->head->older;
        free(arena->head);
        arena->head = older;
    }
    arena->head->used = 0;
    arena->handed_out = 0;
}

void arena_reuse(Arena *arena)
{
    Block *kept = NULL;
    for (Block *block = arena->head; block != &arena->first; block = block->older)
        if (block->cap + sizeof(Block) <= BLOCK_BYTES_MAX && (!kept || block->cap > kept->cap))
            kept = block;
    while (arena->head != &arena->first) {
        Block *block = arena->head;
        arena->head = block->older;
        if (block != kept)
            free(block);
    }
    arena_reset(arena);
    if (!kept)
        return;
    kept->older = &arena->first;
    kept->used = 0;
    arena->head = kept;
}

void arena_free(Arena *arena)
{
    if (!arena)
        return;
    arena_reset(arena);
    arena->head = NULL;
    pool.live--;
    if (!arena->in_slab && pool.spare_count + 1 > ARENA_SPARE_MAX) {
        free(arena);
        return;
    }
    Arena **list = arena->in_slab ? &pool.in_slabs : &pool.spare;
    arena->next_spare = *list;
    *list = arena;
    if (!arena->in_slab)
        pool.spare_count++;
}

/* Bytes that the caller fills itself. */
static inline char *take(Arena *arena, size_t size_bytes)
{
    if (size_bytes > SIZE_MAX - ALIGN_BYTES)
        out_of_memory();
    size_t size = size_bytes ? (size_bytes + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES : ALIGN_BYTES;
    if (__builtin_expect(arena->head->cap - arena->head->used < size, 0))
        block_add(arena, size);
    Block *head = arena->head;
    char *bytes = head->bytes + head->used;
    head->used += size;
    arena->handed_out += size_bytes;
    return bytes;
}

void *arena_take(Arena *arena, size_t size_bytes) { return take(arena, size_bytes); }

/* Nodes of a tree are a few words: a call of memset would cost more than the zeros. The rounding up is ours to write. */
void *arena_alloc(Arena *arena, size_t size_bytes)
{
    enum { SMALL_BYTES = 256 };
    char *bytes = take(arena, size_bytes);
    if (size_bytes > SMALL_BYTES)
        return memset(bytes, 0, size_bytes);
    for (size_t at = 0; at < size_bytes; at += ALIGN_BYTES) {
        memset(bytes + at, 0, ALIGN_BYTES);                     /* one store */
        __asm__ volatile("" ::: "memory");                      /* and no loop that is turned into a call again */
    }
    return bytes;
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

char *arena_vprintf(Arena *arena, const char *format, va_list args)
{
    char start[128];                                        /* most are no longer, and are formatted once */
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(start, sizeof start, format, args);
    if (len < 0)                                            /* a string of more than INT_MAX bytes */
        out_of_memory();
    char *text = take(arena, (size_t)len + 1);
    if ((size_t)len < sizeof start)
        memcpy(text, start, (size_t)len + 1);
    else
        vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    return text;
}

char *arena_printf(Arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = arena_vprintf(arena, format, args);
    va_end(args);
    return text;
}

size_t arena_size(const Arena *arena)
{
    return arena->handed_out;
}
