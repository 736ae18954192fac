/* arena.h - memory that is freed all at once.
 *
 * An arena owns everything that one phase makes: parsing a module, one turn of
 * a run, one request. Nothing in it is freed alone; nothing outside it may keep
 * a pointer into it after arena_free(). A function whose first parameter is an
 * Arena allocates its result there, so the call site shows the lifetime.
 *
 * Allocation does not return NULL: out of memory ends the process, and a
 * worker's runs are durable. The memory limit of a *run* is not kept here: the
 * VM charges it and raises, see vm/vm.h.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H
#include <stdarg.h>
#include "base/str.h"

typedef struct Arena Arena;

Arena *arena_new(void);
void   arena_free(Arena *arena);                              /* NULL is fine */
void   arena_reset(Arena *arena);                             /* keeps the first block */
void   arena_reuse(Arena *arena);                             /* keeps the largest one, too (of 4 MB at most): for the one arena that much goes through, not for each of many */
void  *arena_alloc(Arena *arena, size_t size_bytes);          /* zeroed, aligned for any type */
void  *arena_take(Arena *arena, size_t size_bytes);           /* the same, not zeroed */
void  *arena_alloc_array(Arena *arena, size_t count, size_t item_bytes);   /* a product that overflows is out of memory */
Str    arena_str(Arena *arena, Str text);                     /* a copy, NUL-terminated behind its end */
char  *arena_printf(Arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
char  *arena_vprintf(Arena *arena, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
size_t arena_size(const Arena *arena);                        /* bytes handed out */

/* malloc family that ends the process instead of returning NULL. */
void *mem_alloc(size_t size_bytes);                           /* zeroed */
void *mem_realloc(void *ptr, size_t size_bytes);
void *mem_alloc_large(size_t size_bytes);                     /* not zeroed; on huge pages where the kernel has them */
char *mem_strdup(const char *text);

#define ARENA_NEW(arena, Type)          ((Type *)arena_alloc((arena), sizeof(Type)))
#define ARENA_ARRAY(arena, Type, count) ((Type *)arena_alloc_array((arena), (size_t)(count), sizeof(Type)))
#endif
