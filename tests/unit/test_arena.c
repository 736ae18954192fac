/* test_arena.c - alignment, zeroing, growth and reuse. */
#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

static bool all_zero(const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (bytes[i])
            return false;
    return true;
}

static void test_many_sizes(void **state)
{
    Arena *arena = arena_new();
    char *blocks[2000];
    size_t total = 0;
    for (size_t i = 0; i < 2000; i++) {
        blocks[i] = arena_alloc(arena, i);
        assert_int_equal((uintptr_t)blocks[i] % _Alignof(max_align_t), 0);
        assert_true(all_zero(blocks[i], i));
        memset(blocks[i], (int)(i & 0xFF), i);
        total += i;
    }
    for (size_t i = 0; i < 2000; i++)                       /* nobody wrote over a neighbour */
        for (size_t j = 0; j < i; j++)
            assert_int_equal((unsigned char)blocks[i][j], i & 0xFF);
    assert_int_equal(arena_size(arena), total);
    arena_free(arena);
    arena_free(NULL);
}

static void test_empty_allocations_differ(void **state)
{
    Arena *arena = arena_new();
    assert_ptr_not_equal(arena_alloc(arena, 0), arena_alloc(arena, 0));
    arena_free(arena);
}

static void test_large(void **state)
{
    Arena *arena = arena_new();
    size_t size = 5u << 20;
    char *large = arena_alloc(arena, size);
    assert_true(all_zero(large, size));
    large[size - 1] = 1;
    int *after = ARENA_NEW(arena, int);
    assert_int_equal(*after, 0);
    arena_free(arena);
}

static void test_reset(void **state)
{
    Arena *arena = arena_new();
    char *first = arena_alloc(arena, 100);
    memset(first, 0xAA, 100);
    arena_alloc(arena, 1 << 20);
    arena_reset(arena);
    assert_int_equal(arena_size(arena), 0);
    char *again = arena_alloc(arena, 100);
    assert_ptr_equal(again, first);                         /* the first block is kept… */
    assert_true(all_zero(again, 100));                      /* …and handed out clean */
    arena_free(arena);
}

static void test_reuse(void **state)
{
    Arena *arena = arena_new();
    char *last = NULL;
    for (int i = 0; i < 100; i++) memset(last = arena_alloc(arena, 10000), 0xAA, 10000);
    arena_reuse(arena);
    assert_int_equal(arena_size(arena), 0);
    char *again = arena_alloc(arena, 300000);               /* fits where much was… */
    assert_true(again < last && last - again < 1 << 20);
    assert_true(all_zero(again, 300000));                   /* …and is clean */
    arena_alloc(arena, 64u << 20);
    arena_reuse(arena);                                     /* what one asked for alone goes back */
    assert_ptr_equal(arena_alloc(arena, 100), again);
    arena_reuse(arena);
    assert_ptr_equal(arena_take(arena, 100), again);
    arena_free(arena);
}

/* More than come from malloc, more than all slabs hold, given back in another order than they were taken in, and again. */
static void test_many_arenas(void **state)
{
    enum { MANY = 10000, SIZE = 100 };
    static Arena *arenas[MANY];
    static char *texts[MANY];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < MANY; i++) {
            arenas[i] = arena_new();
            assert_int_equal(arena_size(arenas[i]), 0);
            texts[i] = arena_alloc(arenas[i], SIZE);
            assert_true(all_zero(texts[i], SIZE));
            memset(texts[i], i & 0xFF, SIZE);
            if (i % 100 == 0) memset(arena_alloc(arenas[i], 10000), 0xAA, 10000);
        }
        for (int i = 0; i < MANY; i++) {
            int at = (i * 7) % MANY;                        /* each once: 7 does not divide MANY */
            for (int k = 0; k < SIZE; k++) assert_int_equal((unsigned char)texts[at][k], at & 0xFF);
            arena_free(arenas[at]);
        }
    }
}

static void test_text(void **state)
{
    Arena *arena = arena_new();
    char source[] = "hello";
    Str copy = arena_str(arena, (Str){ source, 4 });
    source[0] = 'J';
    assert_int_equal(copy.len, 4);
    assert_string_equal(copy.ptr, "hell");
    assert_string_equal(arena_str(arena, (Str){ NULL, 0 }).ptr, "");
    assert_string_equal(arena_printf(arena, "%s-%d", "a", 7), "a-7");
    char *wide = arena_printf(arena, "%10000d", 1);
    assert_int_equal(strlen(wide), 10000);
    int64_t *numbers = ARENA_ARRAY(arena, int64_t, 10);
    for (int i = 0; i < 10; i++)
        assert_int_equal(numbers[i], 0);
    arena_free(arena);
}

static void test_memory(void **state)
{
    char *text = mem_strdup("copy");
    text = mem_realloc(text, 100);
    assert_string_equal(text, "copy");
    free(text);
    char *zeroed = mem_alloc(64);
    assert_true(all_zero(zeroed, 64));
    free(zeroed);
    free(mem_alloc(0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_sizes), cmocka_unit_test(test_empty_allocations_differ), cmocka_unit_test(test_large),
        cmocka_unit_test(test_reset), cmocka_unit_test(test_reuse), cmocka_unit_test(test_many_arenas), cmocka_unit_test(test_text), cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
