/* test_str.c - order, prefixes, distance, UTF-8; and the words of err.h. */
#include "base/str.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int sign(int v)
{
    return (v > 0) - (v < 0);
}

static void test_order(void **state)
{
    static const struct { const char *a, *b; int order; } cases[] = {
        { "", "", 0 }, { "", "a", -1 }, { "a", "", 1 }, { "abc", "abd", -1 }, { "ab", "abc", -1 },
        { "b", "abc", 1 }, { "same", "same", 0 }, { "a", "\xff", -1 },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        Str a = str_of(cases[i].a), b = str_of(cases[i].b);
        assert_int_equal(sign(str_cmp(a, b)), cases[i].order);
        assert_int_equal(str_eq(a, b), cases[i].order == 0);
    }
    assert_true(str_eq(STR("a\0b"), (Str){ "a\0b", 3 }));
    assert_false(str_eq(STR("a\0b"), STR("a\0c")));
    assert_true(str_eq((Str){ NULL, 0 }, STR("")));
    assert_true(str_is(STR("word"), "word"));
    assert_int_equal(str_cmp((Str){ NULL, 0 }, STR("")), 0);
}

static void test_ends(void **state)
{
    static const struct { const char *text, *part; bool starts, ends; } cases[] = {
        { "flow.flow", "flow", true, true }, { "flow", "flow", true, true }, { "flow", "flows", false, false },
        { "flow", "", true, true }, { "", "", true, true }, { "", "a", false, false },
        { "abc", "ab", true, false }, { "abc", "bc", false, true },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(str_starts(str_of(cases[i].text), str_of(cases[i].part)), cases[i].starts);
        assert_int_equal(str_ends(str_of(cases[i].text), str_of(cases[i].part)), cases[i].ends);
    }
}

static void test_distance(void **state)
{
    static const struct { const char *a, *b; int limit, distance; } cases[] = {
        { "", "", 3, 0 }, { "", "abc", 3, 3 }, { "abc", "", 3, 3 }, { "travle", "travel", 3, 1 },
        { "kitten", "sitting", 5, 3 }, { "ab", "ba", 2, 1 }, { "ca", "abc", 5, 3 }, { "flow", "flow", 0, 0 },
        { "flow", "slow", 0, 1 }, { "abcdef", "uvwxyz", 2, 3 }, { "agent", "aegnt", 1, 1 },
        { "abcdefgh", "badcfehg", 4, 4 }, { "abcdefgh", "badcfehg", 3, 4 },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        Str a = str_of(cases[i].a), b = str_of(cases[i].b);
        assert_int_equal(str_distance(a, b, cases[i].limit), cases[i].distance);
        assert_int_equal(str_distance(b, a, cases[i].limit), cases[i].distance);
    }
    char longest[65];
    memset(longest, 'x', sizeof longest);
    assert_int_equal(str_distance((Str){ longest, 64 }, (Str){ longest, 64 }, 2), 0);
    assert_int_equal(str_distance((Str){ longest, 65 }, (Str){ longest, 65 }, 2), 3);
}

static void test_nearest(void **state)
{
    const Str names[] = { STR("travel"), STR("calendar"), STR("billing"), STR("id"), STR("x") };
    static const struct { const char *wrong, *right; } cases[] = {
        { "travle", "travel" }, { "calender", "calendar" }, { "biling", "billing" }, { "zebra", "" }, { "y", "" },
        { "ids", "id" }, { "", "" }, { "trvl", "" }, { "calendar", "calendar" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        Str found = str_nearest(str_of(cases[i].wrong), names, COUNT(names));
        assert_int_equal(found.len, strlen(cases[i].right));
        assert_memory_equal(found.ptr, cases[i].right, found.len);
    }
    assert_int_equal(str_nearest(STR("a"), NULL, 0).len, 0);
}

static void test_utf8(void **state)
{
    static const struct { Str text; bool valid; size_t length; } cases[] = {
        { { "", 0 }, true, 0 }, { { "abc", 3 }, true, 3 }, { { "\xc3\xa9", 2 }, true, 1 },
        { { "\xe2\x82\xac\xf0\x9f\x98\x80", 7 }, true, 2 }, { { "a\0b", 3 }, true, 3 },
        { { "\xf4\x8f\xbf\xbf", 4 }, true, 1 }, { { "\xef\xbf\xbf", 3 }, true, 1 },
        { { "\x80", 1 }, false, 0 }, { { "\xc3", 1 }, false, 0 }, { { "\xc0\x80", 2 }, false, 0 },
        { { "\xc1\xbf", 2 }, false, 0 }, { { "\xe0\x80\x80", 3 }, false, 0 }, { { "\xed\xa0\x80", 3 }, false, 0 },
        { { "\xf0\x80\x80\x80", 4 }, false, 0 }, { { "\xf4\x90\x80\x80", 4 }, false, 0 },
        { { "\xf5\x80\x80\x80", 4 }, false, 0 }, { { "\xff", 1 }, false, 0 }, { { "\xe2\x82", 2 }, false, 0 },
        { { "\xe2\x28\xa1", 3 }, false, 0 }, { { "ok\xf0\x9f\x98", 5 }, false, 0 },
        { { "eight of them, \xc3\xa9 and on", 24 }, true, 23 }, { { "12345678\x80", 9 }, false, 0 }, { { "1234567\xc3\xa9", 9 }, true, 8 }, { { "1234567\xc3", 8 }, false, 0 },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(utf8_valid(cases[i].text), cases[i].valid);
        if (cases[i].valid)
            assert_int_equal(utf8_length(cases[i].text), cases[i].length);
    }
}

static void test_err(void **state)
{
    Error error = { 0 };
    assert_int_equal(err_set(&error, ERR_CORRUPT, "cannot read %s", "x"), ERR_CORRUPT);
    assert_int_equal(error.code, ERR_CORRUPT);
    assert_string_equal(error.text, "cannot read x");
    assert_int_equal(err_set(NULL, ERR_IO, "nobody listens"), ERR_IO);

    char text[2 * ERROR_TEXT_MAX];
    memset(text, 'a', sizeof text);
    err_set(&error, ERR_LIMIT, "%.*s", (int)sizeof text, text);
    assert_int_equal(strlen(error.text), ERROR_TEXT_MAX - 1);

    for (int i = ERR_OK; i <= ERR_UNSUPPORTED; i++)
        for (int j = ERR_OK; j < i; j++)
            assert_string_not_equal(err_name((Err)i), err_name((Err)j));
    assert_string_equal(err_name(ERR_NOT_FOUND), "not_found");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order), cmocka_unit_test(test_ends), cmocka_unit_test(test_distance),
        cmocka_unit_test(test_nearest), cmocka_unit_test(test_utf8), cmocka_unit_test(test_err),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
