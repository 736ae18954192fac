/* test_map.c - the table against a plain array under a long random history. */
#include "base/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

static void test_basics(void **state)
{
    Map map = { 0 };
    int one = 1, two = 2;
    assert_null(map_find(&map, STR("a")));
    assert_null(map_remove(&map, STR("a")));
    assert_null(map_put(&map, STR("a"), &one));
    assert_ptr_equal(map_put(&map, STR("a"), &two), &one);
    assert_ptr_equal(map_find(&map, STR("a")), &two);
    assert_int_equal(map.count, 1);
    assert_null(map_put(&map, (Str){ NULL, 0 }, &one));     /* the empty key is a key */
    assert_ptr_equal(map_find(&map, STR("")), &one);
    assert_null(map_put(&map, STR("a\0b"), &one));
    assert_ptr_equal(map_find(&map, STR("a")), &two);
    assert_ptr_equal(map_remove(&map, STR("a")), &two);
    assert_null(map_find(&map, STR("a")));
    assert_int_equal(map.count, 2);
    map_free(&map);
    assert_null(map_find(&map, STR("")));
    MAP_EACH(&map, entry)
        fail_msg("an empty map has no entry, found %.*s", STR_ARG(entry->key));
}

static void test_order(void **state)
{
    Map map = { 0 };
    char keys[1000][8];
    for (int i = 0; i < 1000; i++) {
        snprintf(keys[i], sizeof keys[i], "k%d", (i * 7919) % 1000);
        map_put(&map, str_of(keys[i]), keys[i]);
    }
    for (int i = 0; i < 1000; i += 3)
        assert_ptr_equal(map_remove(&map, str_of(keys[i])), keys[i]);
    int expected = 1;
    MAP_EACH(&map, entry) {
        assert_string_equal(entry->value, keys[expected]);
        expected += expected % 3 == 1 ? 1 : 2;
    }
    assert_int_equal(expected, 1000);                       /* all of them were seen */
    map_put(&map, str_of(keys[0]), keys[0]);                /* a removed key comes back at the end */
    assert_ptr_equal(map.entries[map.used - 1].value, keys[0]);
    map_free(&map);
}

enum { KEYS = 200, STEPS = 50000 };

static void test_random_history(void **state)
{
    static char names[KEYS][8];
    void *model[KEYS] = { 0 };
    Map map = { 0 };
    unsigned random = 12345, live = 0;
    for (int i = 0; i < KEYS; i++)
        snprintf(names[i], sizeof names[i], "%d", i);
    for (int step = 0; step < STEPS; step++) {
        random = random * 1103515245 + 12345;
        unsigned key = (random >> 16) % KEYS;
        Str name = str_of(names[key]);
        if (random >> 8 & 1) {
            void *value = &names[step % KEYS];
            assert_ptr_equal(map_put(&map, name, value), model[key]);
            live += !model[key];
            model[key] = value;
        } else {
            assert_ptr_equal(map_remove(&map, name), model[key]);
            live -= model[key] != NULL;
            model[key] = NULL;
        }
        assert_int_equal(map.count, live);
        unsigned other = (random >> 4) % KEYS;
        assert_ptr_equal(map_find(&map, str_of(names[other])), model[other]);
    }
    assert_true(map.entry_cap <= 4 * KEYS);                 /* removals do not make it grow */
    map_free(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_basics), cmocka_unit_test(test_order), cmocka_unit_test(test_random_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
