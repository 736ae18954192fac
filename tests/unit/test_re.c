/* test_re.c - what matches, what is refused, and that every limit answers. */
#include "base/re.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#include <stdlib.h>

static Re *compiled(const char *pattern, const char *flags)
{
    Error error = { 0 };
    Re *re = NULL;
    if (re_compile(str_of(pattern), str_of(flags), &re, NULL, &error) != ERR_OK)
        fail_msg("/%s/%s: %s", pattern, flags, error.text);
    return re;
}

static void test_matches(void **state)
{
    static const struct { const char *pattern, *flags, *text; bool matched; } cases[] = {
        { "a+b", "", "xaab", true }, { "^a", "", "ba", false }, { "", "", "", true }, { "^$", "", "", true },
        { "ABC", "i", "xabcx", true }, { "ABC", "", "abc", false }, { "^b", "", "a\nb", false }, { "^b", "m", "a\nb", true },
        { "a.b", "", "a\nb", false }, { "a.b", "s", "a\nb", true }, { "a b # note", "x", "ab", true },
        { "A.B", "si", "a\nb", true }, { "^.$", "", "\xc3\xa9", true }, { "\xc3\x89", "i", "\xc3\xa9", true },
        { "\\d{3}-\\d{4}", "", "call 555-1234", true }, { "^[\\w.]+@[\\w.]+$", "", "a.b@c.de", true },
        { "^(?:a|b)*c$", "", "ababc", true }, { "\\(x\\)", "", "(x)", true }, { "\\(*x", "", "((x", true },
        { "(?<=a)b", "", "ab", true }, { "a\\\\", "", "a\\", true },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        Re *re = compiled(cases[i].pattern, cases[i].flags);
        bool matched = !cases[i].matched;
        assert_int_equal(re_match(re, str_of(cases[i].text), &matched, NULL, 0, NULL), ERR_OK);
        if (matched != cases[i].matched)
            fail_msg("/%s/%s on %s", cases[i].pattern, cases[i].flags, cases[i].text);
        re_free(re);
    }
    re_free(NULL);
}

static void test_groups(void **state)
{
    Re *re = compiled("(\\d+)-(x)?(\\w*)", "");
    Str groups[6];
    bool matched = false;
    assert_int_equal(re_match(re, STR("on 12-ab."), &matched, groups, 6, NULL), ERR_OK);
    assert_true(matched);
    assert_true(str_is(groups[0], "12-ab"));
    assert_true(str_is(groups[1], "12"));
    assert_true(str_is(groups[2], ""));                     /* took no part */
    assert_true(str_is(groups[3], "ab"));
    assert_true(str_is(groups[4], ""));                     /* there is none */
    assert_int_equal(re_match(re, STR("1-x"), &matched, groups, 2, NULL), ERR_OK);
    assert_true(str_is(groups[1], "1"));
    assert_int_equal(re_match(re, STR("none"), &matched, groups, 2, NULL), ERR_OK);
    assert_false(matched);
    assert_int_equal(groups[0].len, 0);
    assert_int_equal(re_match(re, (Str){ NULL, 0 }, &matched, groups, 2, NULL), ERR_OK);
    assert_false(matched);
    re_free(re);
}

static void test_refused(void **state)
{
    static const struct { const char *pattern, *flags; Err err; size_t offset; const char *word; } cases[] = {
        { "a(b", "", ERR_INVALID, 3, "parenthes" }, { "a**b", "x", ERR_OK, 0, NULL }, { "[z-a]", "", ERR_INVALID, 3, "range" },
        { "a", "g", ERR_INVALID, 0, "flag" }, { "a", "I", ERR_INVALID, 0, "flag" },
        { "(*UTF)a", "", ERR_INVALID, 0, "verbs" }, { "ab(*COMMIT)c", "", ERR_INVALID, 2, "verbs" },
        { "(*LIMIT_MATCH=99999999)a", "", ERR_INVALID, 0, "verbs" }, { "\\\\(*FAIL)", "", ERR_INVALID, 2, "verbs" },
        { "a(?C1)b", "", ERR_INVALID, 1, "callouts" }, { "x(?C)", "", ERR_INVALID, 1, "callouts" },
        { "\\C", "", ERR_INVALID, 2, "" }, { "\xff", "", ERR_INVALID, 0, "UTF-8" }, { "(?<n", "", ERR_INVALID, 4, "" },
        { "((((a{1000}){1000}){1000}){1000})", "", ERR_INVALID, 0, "" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        Error error = { 0 };
        Re *re = NULL;
        size_t offset = 99;
        Err err = re_compile(str_of(cases[i].pattern), str_of(cases[i].flags), &re, &offset, &error);
        if (cases[i].err == ERR_OK) {
            re_free(re);
            continue;
        }
        if (err != cases[i].err || !strstr(error.text, cases[i].word))
            fail_msg("/%s/: %s %s", cases[i].pattern, err_name(err), error.text);
        assert_null(re);
        if (cases[i].word[0])
            assert_int_equal(offset, cases[i].offset);
    }
    static char pattern[RE_PATTERN_MAX + 1];
    memset(pattern, 'a', sizeof pattern);
    Error error = { 0 };
    Re *re = NULL;
    assert_int_equal(re_compile((Str){ pattern, RE_PATTERN_MAX + 1 }, STR(""), &re, NULL, &error), ERR_LIMIT);
    assert_int_equal(re_compile((Str){ pattern, RE_PATTERN_MAX }, STR(""), &re, NULL, &error), ERR_OK);
    re_free(re);
}

static void test_limits(void **state)
{
    Error error = { 0 };
    bool matched = false;
    Re *re = compiled("^(a+)+$", "");
    assert_int_equal(re_match(re, STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"), &matched, NULL, 0, &error), ERR_LIMIT);
    assert_non_null(strstr(error.text, "limit"));
    re_free(re);

    /* More nesting than the JIT's stack and then the interpreter's limits hold. */
    static char text[RE_SUBJECT_MAX + 1];
    memset(text, 'a', sizeof text);
    re = compiled("^(?:(a)|b)*$", "");
    assert_int_equal(re_match(re, (Str){ text, 400000 }, &matched, NULL, 0, &error), ERR_LIMIT);
    assert_non_null(strstr(error.text, "limit"));
    re_free(re);

    re = compiled("a", "");
    assert_int_equal(re_match(re, (Str){ text, RE_SUBJECT_MAX }, &matched, NULL, 0, &error), ERR_OK);
    assert_true(matched);
    assert_int_equal(re_match(re, (Str){ text, RE_SUBJECT_MAX + 1 }, &matched, NULL, 0, &error), ERR_LIMIT);
    assert_int_equal(re_match(re, STR("a\xff"), &matched, NULL, 0, &error), ERR_INVALID);
    re_free(re);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches), cmocka_unit_test(test_groups), cmocka_unit_test(test_refused), cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
