/* test_time.c - calendar, texts, durations. Expected instants come from GNU date. */
#include "base/time.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void test_calendar(void **state)
{
    static const struct { int year, month, day; int64_t days; int weekday; } cases[] = {
        { 1970, 1, 1, 0, 3 }, { 1969, 12, 31, -1, 2 }, { 2000, 2, 29, 11016, 1 }, { 2000, 3, 1, 11017, 2 },
        { 2025, 11, 10, 20402, 0 }, { 1, 1, 1, DATE_MIN, 0 }, { 9999, 12, 31, DATE_MAX, 4 }, { 1900, 3, 1, -25508, 3 },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int year, month, day;
        assert_int_equal(date_from_civil(cases[i].year, cases[i].month, cases[i].day), cases[i].days);
        date_to_civil(cases[i].days, &year, &month, &day);
        assert_int_equal(year, cases[i].year);
        assert_int_equal(month, cases[i].month);
        assert_int_equal(day, cases[i].day);
        assert_int_equal(date_weekday(cases[i].days), cases[i].weekday);
    }
    int year_before = 0, month_before = 12, day_before = 31;
    for (int64_t days = DATE_MIN; days <= DATE_MAX; days++) {      /* every day follows the one before */
        int year, month, day;
        date_to_civil(days, &year, &month, &day);
        bool next = (year == year_before && month == month_before && day == day_before + 1) ||
                    (year == year_before && month == month_before + 1 && day == 1) ||
                    (year == year_before + 1 && month == 1 && day == 1);
        if (!next || date_from_civil(year, month, day) != days)
            fail_msg("day %lld is %d-%d-%d", (long long)days, year, month, day);
        year_before = year;
        month_before = month;
        day_before = day;
    }
    int year, month, day;
    date_to_civil(INT64_MAX, &year, &month, &day);          /* far away, but defined */
    assert_int_equal(year, INT32_MAX);
    date_to_civil(INT64_MIN, &year, &month, &day);
    assert_int_equal(year, INT32_MIN);
    assert_in_range(date_weekday(INT64_MIN), 0, 6);
}

static void test_date_text(void **state)
{
    static const struct { const char *text; bool valid; } cases[] = {
        { "2025-11-10", true }, { "2024-02-29", true }, { "2000-02-29", true }, { "0001-01-01", true }, { "9999-12-31", true },
        { "2025-02-29", false }, { "1900-02-29", false }, { "0000-12-31", false }, { "2025-13-01", false },
        { "2025-00-10", false }, { "2025-04-31", false }, { "2025-11-00", false }, { "2025-1-10", false },
        { "2025-11-10 ", false }, { "", false }, { "2025/11/10", false }, { "20251110", false }, { "12025-11-10", false },
        { "-025-11-10", false }, { "2025-11-1", false },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t days = 77;
        Err err = date_parse(str_of(cases[i].text), &days);
        if (err != (cases[i].valid ? ERR_OK : ERR_INVALID))
            fail_msg("%s: found %s", cases[i].text, err_name(err));
        if (err) {
            assert_int_equal(days, 77);
            continue;
        }
        Buf out = { 0 };
        date_print(days, &out);
        assert_string_equal(buf_cstr(&out), cases[i].text);
        buf_free(&out);
    }
}

static void test_timestamp_text(void **state)
{
    static const struct { const char *text; int64_t us; const char *printed; } cases[] = {
        { "1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00Z" },
        { "2025-11-10T10:00:00Z", INT64_C(1762768800000000), "2025-11-10T10:00:00Z" },
        { "2025-11-10t10:00:00z", INT64_C(1762768800000000), "2025-11-10T10:00:00Z" },
        { "2025-11-10T10:00:00+01:00", INT64_C(1762765200000000), "2025-11-10T09:00:00Z" },
        { "2025-11-10T10:00:00-05:30", INT64_C(1762788600000000), "2025-11-10T15:30:00Z" },
        { "2025-11-10T10:00:00.5Z", INT64_C(1762768800500000), "2025-11-10T10:00:00.5Z" },
        { "2025-11-10T10:00:00.000001Z", INT64_C(1762768800000001), "2025-11-10T10:00:00.000001Z" },
        { "2025-11-10T10:00:00.123456789Z", INT64_C(1762768800123456), "2025-11-10T10:00:00.123456Z" },
        { "1969-12-31T23:59:59.999999Z", -1, "1969-12-31T23:59:59.999999Z" },
        { "0001-01-01T00:00:00Z", TIMESTAMP_MIN, "0001-01-01T00:00:00Z" },
        { "9999-12-31T23:59:59.999999Z", TIMESTAMP_MAX, "9999-12-31T23:59:59.999999Z" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t us = 0;
        Buf out = { 0 };
        assert_int_equal(timestamp_parse(str_of(cases[i].text), &us), ERR_OK);
        assert_true(us == cases[i].us);
        timestamp_print(us, &out);
        assert_string_equal(buf_cstr(&out), cases[i].printed);
        buf_free(&out);
    }
    static const char *const wrong[] = {
        "", "2025-11-10", "2025-11-10T10:00:00", "2025-11-10 10:00:00Z", "2025-11-10T10:00Z", "2025-11-10T24:00:00Z",
        "2025-11-10T23:60:00Z", "2025-11-10T23:59:60Z", "2025-11-10T10:00:00.Z", "2025-11-10T10:00:00+1:00",
        "2025-11-10T10:00:00+0100", "2025-11-10T10:00:00+24:00", "2025-11-10T10:00:00Zx", "2025-02-30T10:00:00Z",
        "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "2025-11-10T10:00:00.1234567890123456789Z",
    };
    for (size_t i = 0; i < COUNT(wrong); i++) {
        int64_t us = 77;
        if (timestamp_parse(str_of(wrong[i]), &us) != ERR_INVALID || us != 77)
            fail_msg("%s was read", wrong[i]);
    }
    Buf out = { 0 };
    timestamp_print(INT64_MIN, &out);
    timestamp_print(INT64_MAX, &out);
    assert_string_equal(buf_cstr(&out), "-290308-12-21T19:59:05.224192Z294247-01-10T04:00:54.775807Z");
    buf_free(&out);
}

static void test_duration_text(void **state)
{
    static const struct { const char *text; Err err; int64_t us; const char *printed; } cases[] = {
        { "5s", ERR_OK, 5 * TIME_SECOND, "5s" }, { "15m", ERR_OK, 900 * TIME_SECOND, "15m" },
        { "24h", ERR_OK, TIME_DAY, "1d" }, { "30d", ERR_OK, 30 * TIME_DAY, "30d" }, { "250ms", ERR_OK, 250000, "250ms" },
        { "1h30m", ERR_OK, 5400 * TIME_SECOND, "90m" }, { "2w", ERR_OK, 14 * TIME_DAY, "2w" }, { "14d", ERR_OK, 14 * TIME_DAY, "2w" },
        { "1h1s", ERR_OK, 3601 * TIME_SECOND, "1h1s" }, { "1w1d1h1m1s1ms1us", ERR_OK, INT64_C(694861001001), "694861s1001us" },
        { "0s", ERR_OK, 0, "0s" }, { "0w0us", ERR_OK, 0, "0s" }, { "-5m", ERR_OK, -300 * TIME_SECOND, "-5m" },
        { "1000ms", ERR_OK, TIME_SECOND, "1s" }, { "40us", ERR_OK, 40, "40us" }, { "1500ms", ERR_OK, 1500000, "1500ms" },
        { "9223372036854775807us", ERR_OK, INT64_MAX, NULL }, { "-9223372036854775808us", ERR_OK, INT64_MIN, NULL },
        { "9223372036854775808us", ERR_LIMIT, 0, NULL }, { "999999999999w", ERR_LIMIT, 0, NULL },
        { "99999999999999999999999999d", ERR_LIMIT, 0, NULL }, { "9223372036854775807us", ERR_OK, INT64_MAX, NULL },
        { "", ERR_INVALID, 0, NULL }, { "-", ERR_INVALID, 0, NULL }, { "5", ERR_INVALID, 0, NULL }, { "s", ERR_INVALID, 0, NULL },
        { "5x", ERR_INVALID, 0, NULL }, { "5 s", ERR_INVALID, 0, NULL }, { "1.5h", ERR_INVALID, 0, NULL },
        { "30m1h", ERR_INVALID, 0, NULL }, { "1h1h", ERR_INVALID, 0, NULL }, { "5S", ERR_INVALID, 0, NULL },
        { "1h-5m", ERR_INVALID, 0, NULL }, { "+5m", ERR_INVALID, 0, NULL }, { "5mss", ERR_INVALID, 0, NULL },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t us = 77;
        Err err = duration_parse(str_of(cases[i].text), &us);
        if (err != cases[i].err)
            fail_msg("%s: expected %s, found %s", cases[i].text, err_name(cases[i].err), err_name(err));
        assert_true(us == (err ? 77 : cases[i].us));
        if (err)
            continue;
        Buf out = { 0 };
        int64_t back = 0;
        duration_print(us, &out);
        if (cases[i].printed)
            assert_string_equal(buf_cstr(&out), cases[i].printed);
        assert_int_equal(duration_parse(buf_str(&out), &back), ERR_OK);
        assert_true(back == us);
        buf_free(&out);
    }
}

static void test_format(void **state)
{
    static const struct { const char *at, *word, *expected; } cases[] = {
        { "2025-11-10T10:05:59Z", "date", "2025-11-10" }, { "2025-11-10T10:05:59Z", "time", "10:05" },
        { "2025-11-10T10:05:59Z", "datetime", "2025-11-10 10:05" }, { "2025-11-10T10:05:59Z", "weekday", "Monday" },
        { "2025-11-10T10:05:59Z", "long", "Monday, 10 November 2025" }, { "1969-12-28T23:59:59.5Z", "weekday", "Sunday" },
        { "1969-12-28T23:59:59.5Z", "time", "23:59" },
    };
    Buf out = { 0 };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t us = 0;
        assert_int_equal(timestamp_parse(str_of(cases[i].at), &us), ERR_OK);
        buf_clear(&out);
        assert_true(timestamp_format(us, str_of(cases[i].word), &out));
        assert_string_equal(buf_cstr(&out), cases[i].expected);
    }
    buf_clear(&out);
    assert_false(timestamp_format(0, STR("dates"), &out));
    assert_false(timestamp_format(0, STR(""), &out));
    assert_int_equal(out.len, 0);
    buf_free(&out);
}

static void test_clocks(void **state)
{
    int64_t now = clock_now(), start = clock_monotonic();
    assert_true(now > INT64_C(1735689600000000));           /* 2025 */
    assert_true(now < TIMESTAMP_MAX);
    assert_true(clock_monotonic() >= start);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calendar), cmocka_unit_test(test_date_text), cmocka_unit_test(test_timestamp_text),
        cmocka_unit_test(test_duration_text), cmocka_unit_test(test_format), cmocka_unit_test(test_clocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
