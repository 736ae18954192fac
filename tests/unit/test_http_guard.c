/* test_http_guard.c - the guard and what it stands on, as pure functions: every case whole, byte by byte and cut at every place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "interpreter/net/http_guard.h"
#include "interpreter/net/http_stream.h"
#include "interpreter/net/http_target.h"
#include "tests/unit/http_cases.h"

enum { HEADERS_MAX = 16 << 10, BODY_MAX = 1 << 20 };
typedef struct Verdict { int requests, status; size_t passed; } Verdict;

/* What a connection does with the guard: bytes up to `ends[i]` are there, then more. */
static Verdict judge(Str bytes, const size_t *ends, size_t end_count)
{
    Verdict verdict = { 0 };
    HttpGuard guard;
    http_guard_init(&guard, HEADERS_MAX, BODY_MAX);
    for (size_t i = 0; i < end_count; i++)
        for (;;) {
            size_t available = ends[i] - verdict.passed, window = http_guard_window(&guard), front = window < available ? window : available;
            char *copy = malloc(front + 1);                             /* exactly what it may see, so that a sanitizer finds one byte more */
            memcpy(copy, bytes.ptr + verdict.passed, front);
            size_t passed = http_guard_pass(&guard, (Str){ copy, front }, available);
            free(copy);
            assert_true(passed <= available);
            verdict.passed += passed;
            if (guard.state == GUARD_DONE) { verdict.requests++; http_guard_next(&guard); continue; }
            if (!passed) break;
        }
    if (guard.state == GUARD_REFUSED) verdict.status = guard.status;
    if (verdict.status) assert_true(guard.why && *guard.why);
    return verdict;
}

static void check(const HttpCase *test, Verdict verdict, const char *how, size_t at)
{
    if (verdict.requests != test->requests || verdict.status != test->status)
        fail_msg("%s (%s %zu): %d requests and status %d, expected %d and %d", test->name, how, at, verdict.requests, verdict.status, test->requests, test->status);
}

static void every_case_is_judged_the_same_however_it_is_cut(void **state)
{
    for (size_t i = 0; i < HTTP_CASE_COUNT; i++) {
        const HttpCase *test = &http_cases[i];
        size_t len = test->bytes.len, *ends = malloc((len + 1) * sizeof *ends);
        Verdict whole = judge(test->bytes, &len, 1);
        check(test, whole, "whole", len);
        for (size_t at = 0; at < len; at++) ends[at] = at + 1;
        check(test, judge(test->bytes, ends, len), "byte by byte", len);
        for (size_t at = 1; at < len; at++) {
            Verdict cut = judge(test->bytes, (size_t[]){ at, len }, 2);
            check(test, cut, "cut at", at);
            assert_int_equal(cut.passed, whole.passed);
        }
        free(ends);
    }
}

/* A line or head that grows without end is refused when the limit is reached, not when it ends. */
static void a_head_has_a_limit(void **state)
{
    char *bytes = malloc(HEADERS_MAX + 2);
    size_t len = HEADERS_MAX + 1;
    memset(bytes, 'a', len);
    memcpy(bytes, "GET /", 5);
    assert_int_equal(judge((Str){ bytes, HTTP_REQUEST_LINE_MAX }, (size_t[]){ HTTP_REQUEST_LINE_MAX }, 1).status, 0);
    assert_int_equal(judge((Str){ bytes, HTTP_REQUEST_LINE_MAX + 1 }, (size_t[]){ HTTP_REQUEST_LINE_MAX + 1 }, 1).status, 414);
    memcpy(bytes, "GET / HTTP/1.1\r\nX: ", 19);
    assert_int_equal(judge((Str){ bytes, HEADERS_MAX }, (size_t[]){ HEADERS_MAX }, 1).status, 0);
    assert_int_equal(judge((Str){ bytes, len }, (size_t[]){ len }, 1).status, 431);
    free(bytes);
}

static void a_body_may_be_as_large_as_its_limit(void **state)
{
    HttpGuard guard;
    Str head = STR("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n");
    http_guard_init(&guard, HEADERS_MAX, BODY_MAX);
    assert_int_equal(http_guard_pass(&guard, head, head.len), head.len);
    assert_int_equal(http_guard_window(&guard), 0);
    assert_int_equal(http_guard_pass(&guard, (Str){ 0 }, 1000000), 1000000);
    assert_int_equal(http_guard_pass(&guard, (Str){ 0 }, 1000000), 48576);
    assert_int_equal(guard.state, GUARD_DONE);
    assert_int_equal(http_guard_pass(&guard, head, head.len), 0);
}

static void a_target_is_decoded(void **state)
{
    char out[64];
    Str target = STR("/caf%C3%A9/a;b=c/?q=a+b%2B%20c&&r&s=&=t&u=x=y"), query = http_target_query(target), name, value;
    static const char *const expected[] = { "q", "a b+ c", "r", "", "s", "", "", "t", "u", "x=y" };
    assert_null(http_target_check(target));
    assert_true(str_is(http_target_path(target, out), "/caf\xC3\xA9/a;b=c/"));
    assert_int_equal(http_query_count(query), 5);
    for (int i = 0; i < 5; i++) {
        assert_true(http_query_next(&query, out, &name, &value));
        assert_true(str_is(name, expected[2 * i]) && str_is(value, expected[2 * i + 1]));
    }
    assert_false(http_query_next(&query, out, &name, &value));
    assert_int_equal(http_query_count(http_target_query(STR("/"))), 0);
}

static void an_event_keeps_its_lines_and_adds_no_field(void **state)
{
    Buf out = { 0 };
    assert_true(http_stream_put(&out, STR("7.1"), STR("progress"), STR("one\r\ntwo\rid: 9\n")));
    assert_string_equal(buf_cstr(&out), "id: 7.1\nevent: progress\ndata: one\ndata: two\ndata: id: 9\ndata: \n\n");
    buf_clear(&out);
    assert_true(http_stream_put(&out, (Str){ 0 }, (Str){ 0 }, STR("{}")));
    assert_string_equal(buf_cstr(&out), "data: {}\n\n");
    assert_false(http_stream_put(&out, STR("1\ndata: x"), (Str){ 0 }, STR("{}")));
    assert_false(http_stream_put(&out, (Str){ 0 }, STR("a\rb"), STR("{}")));
    assert_false(http_stream_put(&out, STR("a\0b"), (Str){ 0 }, STR("{}")));
    assert_string_equal(buf_cstr(&out), "data: {}\n\n");
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_is_judged_the_same_however_it_is_cut),
        cmocka_unit_test(a_head_has_a_limit),
        cmocka_unit_test(a_body_may_be_as_large_as_its_limit),
        cmocka_unit_test(a_target_is_decoded),
        cmocka_unit_test(an_event_keeps_its_lines_and_adds_no_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
