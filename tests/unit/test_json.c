/* test_json.c - reading under limits, numbers kept exactly, writing, shortest doubles. */
#include "base/json.h"

#include "base/float.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#include <math.h>
#include <stdlib.h>

static void test_round_trip(void **state)
{
    static const struct { const char *text, *printed; } cases[] = {
        { "null", "null" }, { " true ", "true" }, { "false", "false" }, { "-12", "-12" }, { "\"x\"", "\"x\"" },
        { "[]", "[]" }, { "{}", "{}" }, { "{ \"b\" : 1 , \"a\" : [ 1.50, \"t\" ] }", "{\"b\":1,\"a\":[1.50,\"t\"]}" },
        { "\"\\u00e9\\ud83d\\ude00\"", "\"\xc3\xa9\xf0\x9f\x98\x80\"" }, { "\"\\/\"", "\"/\"" },
        { "\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\"", "\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\"" },
        { "9223372036854775807", "9223372036854775807" }, { "-9223372036854775808", "-9223372036854775808" },
        { "{\"\":{\"\":[[],{}]}}", "{\"\":{\"\":[[],{}]}}" },
    };
    Arena *arena = arena_new();
    for (size_t i = 0; i < COUNT(cases); i++) {
        Error error = { 0 };
        Json *json = NULL;
        Buf out = { 0 };
        if (json_parse(arena, str_of(cases[i].text), 1000, &json, &error) != ERR_OK)
            fail_msg("%s: %s", cases[i].text, error.text);
        json_print(&out, json);
        assert_string_equal(buf_cstr(&out), cases[i].printed);
        buf_free(&out);
    }
    arena_free(arena);
}

/* Digits, quotes and escapes in strings and keys must not be taken for numbers. */
static void test_number_texts(void **state)
{
    static const char text[] = "{\"1\\\"2\": 10.500, \"k\": [\"-3\", -0.10, \"\\\\\", 1E+2, {\"7\":\"8\",\"z\":123456789012345678.901234567890}], "
                               "\"n\": 42, \"m\": -0, \"u\": \"\\u0031\", \"last\": 0.1e-2}";
    static const struct { const char *number; JsonKind kind; } expected[] = {
        { "10.500", JSON_NUMBER }, { "-0.10", JSON_NUMBER }, { "1E+2", JSON_NUMBER }, { "123456789012345678.901234567890", JSON_NUMBER },
        { "42", JSON_INT }, { "-0", JSON_INT }, { "0.1e-2", JSON_NUMBER },
    };
    Arena *arena = arena_new();
    char *source = mem_strdup(text);
    Json *json = NULL;
    assert_int_equal(json_parse(arena, str_of(source), sizeof text, &json, NULL), ERR_OK);
    memset(source, '?', strlen(source));                    /* the tree borrows nothing */
    free(source);
    const Json *list = json_get(json, "k");
    const Json *found[] = { json_get(json, "1\"2"), list->items[1], list->items[3], json_get(list->items[4], "z"),
                            json_get(json, "n"), json_get(json, "m"), json_get(json, "last") };
    for (size_t i = 0; i < COUNT(expected); i++) {
        assert_non_null(found[i]);
        assert_int_equal(found[i]->kind, expected[i].kind);
        assert_string_equal(found[i]->number_text.ptr, expected[i].number);
        assert_true(found[i]->number == strtod(expected[i].number, NULL));
    }
    assert_int_equal(found[4]->integer, 42);
    arena_free(arena);
}

/* Who points at a mistake learns its sort and the byte where it was noticed. */
static void test_faults(void **state)
{
    static const struct { Str text; JsonFaultKind kind; size_t from, to; } cases[] = {
        { STR("{\"a\":1,\n\"a\":2}"), JSON_FAULT_DUPLICATE, 9, 12 }, { STR("[1,]"), JSON_FAULT_SYNTAX, 3, 4 }, { STR("[\"\\u0000\"]"), JSON_FAULT_CHARACTER, 1, 9 },
        { STR("[\"\\ud800\"]"), JSON_FAULT_CHARACTER, 1, 10 }, { STR("[\"\\udc00 x\"]"), JSON_FAULT_CHARACTER, 1, 12 }, { STR("{\"\\u0000\":1}"), JSON_FAULT_CHARACTER, 1, 10 },
        { STR("[99999999999999999999]"), JSON_FAULT_NUMBER, 1, 22 }, { STR("[1e999]"), JSON_FAULT_NUMBER, 1, 7 }, { STR("[1,\"a\0\"]"), JSON_FAULT_SYNTAX, 5, 5 },
        { STR("[1, 2, \"a long text, longer than the limit\"]"), JSON_FAULT_SIZE, 40, 40 },
    };
    Arena *arena = arena_new();
    for (size_t i = 0; i < COUNT(cases); i++) {
        Json *json = NULL;
        JsonFault fault = { JSON_FAULT_DEPTH, SIZE_MAX };
        assert_int_not_equal(json_parse_located(arena, cases[i].text, 40, &json, &fault, NULL), ERR_OK);
        if (fault.kind != cases[i].kind || fault.offset < cases[i].from || fault.offset > cases[i].to)
            fail_msg("%.*s: sort %d at %zu", STR_ARG(cases[i].text), (int)fault.kind, fault.offset);
    }
    arena_free(arena);
}

static void test_refused(void **state)
{
    static const struct { Str text; Err err; const char *words; } cases[] = {
        { STR(""), ERR_INVALID, "line 1" }, { STR("{"), ERR_INVALID, "ends before" }, { STR("[1,]"), ERR_INVALID, "line 1 column" },
        { STR("{\"a\":1,\n\"a\":2}"), ERR_INVALID, "line 2 column" }, { STR("[1] x"), ERR_INVALID, "behind the value" },
        { STR("NaN"), ERR_INVALID, "" }, { STR("[Infinity]"), ERR_INVALID, "" }, { STR("01"), ERR_INVALID, "" },
        { STR("1."), ERR_INVALID, "" }, { STR(".5"), ERR_INVALID, "" }, { STR("+1"), ERR_INVALID, "" }, { STR("-"), ERR_INVALID, "" },
        { STR("'a'"), ERR_INVALID, "" }, { STR("{a:1}"), ERR_INVALID, "" }, { STR("\"a\nb\""), ERR_INVALID, "" },
        { STR("\"\\u0000\""), ERR_INVALID, "NUL" }, { STR("{\"a\\u0000\":1}"), ERR_INVALID, "NUL" },
        { STR("\"a\0b\""), ERR_INVALID, "column 3: a NUL" }, { STR("1\0"), ERR_INVALID, "column 2: a NUL" }, { STR("\"\\ud800\""), ERR_INVALID, "" },
        { STR("\"\xff\""), ERR_INVALID, "UTF-8" }, { STR("\"\xc0\x80\""), ERR_INVALID, "UTF-8" },
        { STR("\xef\xbb\xbf{}"), ERR_INVALID, "" }, { STR("// c\n1"), ERR_INVALID, "" }, { STR("\"open"), ERR_INVALID, "" },
        { STR("\"open\\"), ERR_INVALID, "" }, { STR("]]]]"), ERR_INVALID, "" },
        { STR("9223372036854775808"), ERR_LIMIT, "64 bits" }, { STR("[-9223372036854775809]"), ERR_LIMIT, "64 bits" },
        { STR("1e999"), ERR_LIMIT, "out of range" },
    };
    Arena *arena = arena_new();
    for (size_t i = 0; i < COUNT(cases); i++) {
        Error error = { 0 };
        Json *json = NULL;
        Err err = json_parse(arena, cases[i].text, 1000, &json, &error);
        if (err != cases[i].err || !strstr(error.text, cases[i].words) || !strstr(error.text, "line "))
            fail_msg("%.*s: %s: %s", STR_ARG(cases[i].text), err_name(err), error.text);
        assert_null(json);
        assert_true(utf8_valid(str_of(error.text)));
    }
    arena_free(arena);
}

static void test_limits(void **state)
{
    Arena *arena = arena_new();
    Error error = { 0 };
    Json *json = NULL;
    Buf deep = { 0 };
    assert_int_equal(json_parse(arena, STR("[1,2]"), 5, &json, &error), ERR_OK);
    assert_int_equal(json_parse(arena, STR("[1,2]"), 4, &json, &error), ERR_LIMIT);

    for (int extra = 0; extra <= 1; extra++) {
        buf_clear(&deep);
        buf_put_text(&deep, "[\"[[[[\",\n");                /* brackets in strings do not count */
        for (int i = 1; i < JSON_DEPTH_MAX + extra; i++)
            buf_put_text(&deep, i % 2 ? "{\"a\":" : "[");
        buf_put_text(&deep, "0");
        for (int i = JSON_DEPTH_MAX + extra - 1; i >= 1; i--)
            buf_put_text(&deep, i % 2 ? "}" : "]");
        buf_put_text(&deep, "]");
        assert_int_equal(json_parse(arena, buf_str(&deep), 10000, &json, &error), extra ? ERR_LIMIT : ERR_OK);
    }
    assert_non_null(strstr(error.text, "line 2 column "));
    assert_non_null(strstr(error.text, "64"));
    buf_clear(&deep);
    for (int i = 0; i < 1000000; i++)                       /* would be a million C frames */
        buf_put_char(&deep, '[');
    assert_int_equal(json_parse(arena, buf_str(&deep), deep.len, &json, &error), ERR_LIMIT);
    buf_free(&deep);
    arena_free(arena);
}

static void test_get(void **state)
{
    Arena *arena = arena_new();
    Json *json = NULL;
    assert_int_equal(json_parse(arena, STR("{\"name\":\"Ada\",\"age\":36,\"no\":null}"), 100, &json, NULL), ERR_OK);
    assert_true(str_is(json_get_text(json, "name"), "Ada"));
    assert_true(str_is(json_get_text(json, "age"), ""));
    assert_true(str_is(json_get_text(json, "gone"), ""));
    assert_int_equal(json_get(json, "no")->kind, JSON_NULL);
    assert_null(json_get(json, "gone"));
    assert_null(json_get(json_get(json, "age"), "x"));
    assert_null(json_get(NULL, "x"));
    assert_true(str_is(json->keys[1], "age"));
    arena_free(arena);
}

static void test_doubles(void **state)
{
    static const struct { double value; const char *text; } cases[] = {
        { 0.1, "0.1" }, { 1, "1.0" }, { -0.0, "-0.0" }, { 1e300, "1e+300" }, { 0.30000000000000004, "0.30000000000000004" },
        { 5e-324, "5e-324" }, { 1.7976931348623157e308, "1.7976931348623157e+308" }, { 123456789, "123456789.0" },
        { 9007199254740993.0, "9007199254740992.0" }, { 0x1p-44, "5.684341886080802e-14" }, { NAN, "null" }, { -INFINITY, "null" },
        { 2.2250738585072014e-308, "2.2250738585072014e-308" }, { 100000, "100000.0" }, { -1.5, "-1.5" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        Buf out = { 0 };
        json_put_double(&out, cases[i].value);
        assert_string_equal(buf_cstr(&out), cases[i].text);
        buf_free(&out);
    }
    uint64_t bits = 88172645463325252;
    for (int i = 0; i < 20000; i++) {                       /* any bit pattern reads back */
        char text[FLOAT_TEXT_MAX];
        double value;
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            continue;
        assert_in_range(float_print(value, text), 1, 24);
        assert_true(strtod(text, NULL) == value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_number_texts), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_limits), cmocka_unit_test(test_get), cmocka_unit_test(test_doubles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
