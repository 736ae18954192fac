/* test_route.c - paths of routes: what is one, which two have one shape, which the server keeps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "interpreter/bytecode/route.h"

static int count_of(const char *path)
{
    RouteSegment segments[ROUTE_SEGMENTS_MAX];
    const char *why;
    int count = route_split(str_of(path), segments, &why);
    assert_true((count < 0) == (why != NULL));
    return count;
}

static void test_split(void **state)
{
    (void)state;
    RouteSegment segments[ROUTE_SEGMENTS_MAX];
    const char *why;
    assert_int_equal(route_split(STR("/api/v1/trips/{trip_id}"), segments, &why), 4);
    assert_true(str_is(segments[1].text, "v1") && !segments[1].is_param);
    assert_true(str_is(segments[3].text, "trip_id") && segments[3].is_param);
    assert_int_equal(count_of("/"), 0);
    assert_int_equal(count_of("/.well-known/x~y"), 2);
    static const char *const none[] = { "", "a", "//", "/a/", "/a//b", "/.", "/a/../b", "/a b", "/a?b", "/a%20b", "/{}", "/{1}", "/{a", "/a}", "/x{a}", "/{a}x", "/{a b}", "/\xc3\xa4" };
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) assert_int_equal(count_of(none[i]), -1);
}

static void test_limits(void **state)
{
    (void)state;
    char path[ROUTE_PATH_MAX + 2];
    memset(path, 'a', sizeof path);
    path[0] = '/';
    path[ROUTE_PATH_MAX] = 0;
    assert_int_equal(count_of(path), 1);
    path[ROUTE_PATH_MAX] = 'a';
    path[ROUTE_PATH_MAX + 1] = 0;
    assert_int_equal(count_of(path), -1);
    char deep[2 * (ROUTE_SEGMENTS_MAX + 1) + 1] = "";
    for (int i = 0; i < ROUTE_SEGMENTS_MAX; i++) memcpy(deep + 2 * i, "/a", 3);
    assert_int_equal(count_of(deep), ROUTE_SEGMENTS_MAX);
    memcpy(deep + 2 * ROUTE_SEGMENTS_MAX, "/a", 3);
    assert_int_equal(count_of(deep), -1);
}

static void test_shape(void **state)
{
    (void)state;
    assert_true(route_same_shape(STR("/a/{x}"), STR("/a/{y}")));
    assert_true(route_same_shape(STR("/"), STR("/")));
    assert_false(route_same_shape(STR("/a/{x}"), STR("/a/b")));
    assert_false(route_same_shape(STR("/a/b"), STR("/a/c")));
    assert_false(route_same_shape(STR("/a"), STR("/a/b")));
    assert_false(route_same_shape(STR("a"), STR("a")));
}

static void test_reserved(void **state)
{
    (void)state;
    assert_string_equal(route_reserved(STR("/runs/{id}")).ptr, "/runs");
    assert_string_equal(route_reserved(STR("/openapi.json")).ptr, "/openapi.json");
    assert_int_equal(route_reserved(STR("/runs_of_today")).len, 0);
    assert_int_equal(route_reserved(STR("/api/runs")).len, 0);
    assert_int_equal(route_reserved(STR("/")).len, 0);
}

static void test_methods(void **state)
{
    (void)state;
    assert_true(route_method_known(STR("PATCH")) && route_has_body(STR("PATCH")));
    assert_true(route_method_known(STR("DELETE")) && !route_has_body(STR("DELETE")));
    assert_false(route_method_known(STR("get")) || route_method_known(STR("HEAD")));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_split), cmocka_unit_test(test_limits), cmocka_unit_test(test_shape), cmocka_unit_test(test_reserved), cmocka_unit_test(test_methods) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
