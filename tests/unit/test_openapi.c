/* test_openapi.c - one document of several programs: types, operations and scopes of one name do not run into each other. Of one program: tests/openapi. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/json.h"
#include "compiler/typed.h"
#include "interpreter/gateway/gateway.h"

static Image *compiled(const char *text)
{
    Program *program = program_of_text("test.flow", str_of(text), NULL, 0);
    Image *image = compile_program(program, false);
    assert_non_null(image);
    program_free(program);
    Buf bytes = { 0 };
    image_encode(image, &bytes);
    buf_free(&bytes);
    return image;
}

static const char first[] = "scope \"trips:read\" on trips read \"Read trips\"\n"
                            "type Trip { id: string }\n"
                            "flow find(id: string) -> Trip on GET \"/trips/{id}\" requires \"trips:read\" { return { id } }\n";
static const char second[] = "scope \"trips:read\" on trips read \"Read them\"\n"
                             "type Trip { id: string, price: decimal }\n"
                             "flow find(name: string) -> Trip on DELETE \"/trips/{name}\" requires \"trips:read\" { return { id: name, price: 1 } }\n";

static const Json *at(const Json *json, const char *const *path)
{
    for (; *path; path++) {
        json = json_get(json, *path);
        assert_non_null(json);
    }
    return json;
}
#define AT(json, ...) at((json), (const char *const[]){ __VA_ARGS__, NULL })

static Json *document(Arena *arena, Image *const *images, uint32_t count)
{
    Buf text = { 0 };
    Json *json = NULL;
    Error error = { 0 };
    openapi_put(images, count, STR("Both"), STR("https://both.example"), &text);
    if (json_parse(arena, buf_str(&text), 1 << 20, &json, &error) != ERR_OK) fail_msg("%s", error.text);
    buf_free(&text);
    return json;
}

static void two_programs_are_one_document(void **state)
{
    (void)state;
    Arena *arena = arena_new();
    Image *images[] = { compiled(first), compiled(second) };
    const Json *whole = document(arena, images, 2);
    const Json *item = AT(whole, "paths", "/trips/{id}");
    assert_int_equal(AT(whole, "paths")->count, 1);
    assert_true(str_is(json_get_text(AT(item, "get"), "operationId"), "find"));
    assert_true(str_is(json_get_text(AT(item, "delete"), "operationId"), "find.2"));
    assert_true(str_is(json_get_text(AT(item, "delete", "parameters")->items[0], "name"), "id"));
    assert_true(str_is(json_get_text(AT(item, "get", "responses", "200", "content", "application/json", "schema"), "$ref"), "#/components/schemas/Trip"));
    assert_true(str_is(json_get_text(AT(item, "delete", "responses", "200", "content", "application/json", "schema"), "$ref"), "#/components/schemas/Trip.2"));
    assert_null(json_get(AT(whole, "components", "schemas", "Trip", "properties"), "price"));
    assert_non_null(json_get(AT(whole, "components", "schemas", "Trip.2", "properties"), "price"));
    const Json *scopes = AT(whole, "components", "securitySchemes", "bearer", "x-scopes");
    assert_int_equal(scopes->count, 1);
    assert_true(str_is(json_get_text(scopes, "trips:read"), "Read trips"));
    image_free(images[0]);
    image_free(images[1]);
    arena_free(arena);
}

static void the_version_is_that_of_the_programs(void **state)
{
    (void)state;
    Arena *arena = arena_new();
    Image *images[] = { compiled(first), compiled(second) };
    Str one = json_get_text(AT(document(arena, images, 1), "info"), "version"), other = json_get_text(AT(document(arena, images + 1, 1), "info"), "version");
    Str both = json_get_text(AT(document(arena, images, 2), "info"), "version"), again = json_get_text(AT(document(arena, images, 2), "info"), "version");
    assert_false(str_eq(one, other) || str_eq(both, one) || str_eq(both, other));
    assert_true(str_eq(both, again));
    image_free(images[0]);
    image_free(images[1]);
    arena_free(arena);
}

static void no_program_is_a_document_without_paths(void **state)
{
    (void)state;
    Arena *arena = arena_new();
    const Json *none = document(arena, NULL, 0);
    assert_int_equal(AT(none, "paths")->count, 0);
    assert_true(str_is(json_get_text(AT(none, "info"), "title"), "Both"));
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(two_programs_are_one_document), cmocka_unit_test(the_version_is_that_of_the_programs), cmocka_unit_test(no_program_is_a_document_without_paths) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
