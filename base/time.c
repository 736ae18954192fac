/* time.c - the civil calendar in integers, and its texts.
 *
 * Conversions count eras of 400 years from March, so that the leap day is the
 * last day of a year (Howard Hinnant's "chrono-compatible low-level date
 * algorithms"). No time zone database: an offset in the text is applied and
 * forgotten, everything printed is UTC.
 */
#include "base/time.h"

#include <limits.h>
#include <stdio.h>
#include <time.h>

enum { YEAR_MIN = 1, FRACTION_DIGITS = 6, FRACTION_DIGITS_MAX = 18 };

static const char *const WEEKDAYS[] = { "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday" };
static const char *const MONTHS[] = { "January", "February", "March", "April", "May", "June", "July",
                                      "August", "September", "October", "November", "December" };

static const struct Unit {
    const char *name;
    int64_t us;
} UNITS[] = {
    { "w", 7 * TIME_DAY }, { "d", TIME_DAY }, { "h", 3600 * TIME_SECOND }, { "m", 60 * TIME_SECOND },
    { "s", TIME_SECOND }, { "ms", 1000 }, { "us", 1 },
};
enum { UNIT_COUNT = sizeof UNITS / sizeof UNITS[0] };

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static int64_t floor_mod(int64_t a, int64_t b)
{
    return a % b < 0 ? a % b + b : a % b;
}

int64_t date_from_civil(int year, int month, int day)
{
    int64_t y = (int64_t)year - (month <= 2);
    int64_t era = floor_div(y, 400);
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

void date_to_civil(int64_t days, int *year, int *month, int *day)
{
    int64_t shifted = days > INT64_MAX - 719468 ? INT64_MAX : days + 719468;
    int64_t era = floor_div(shifted, 146097);
    int64_t day_of_era = shifted - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t march_month = (5 * day_of_year + 2) / 153;
    int64_t y = year_of_era + era * 400 + (march_month >= 10);

    *day = (int)(day_of_year - (153 * march_month + 2) / 5 + 1);
    *month = (int)(march_month < 10 ? march_month + 3 : march_month - 9);
    *year = y > INT_MAX ? INT_MAX : y < INT_MIN ? INT_MIN : (int)y;
}

int date_weekday(int64_t days)
{
    int weekday = (int)((days % 7 + 3) % 7);                /* 1970-01-01 was a Thursday */
    return weekday < 0 ? weekday + 7 : weekday;
}

/* Exactly `digits` digits, moved past. */
static bool take_number(Str *text, size_t digits, int *out)
{
    int v = 0;
    if (text->len < digits)
        return false;
    for (size_t i = 0; i < digits; i++) {
        if (text->ptr[i] < '0' || text->ptr[i] > '9')
            return false;
        v = v * 10 + (text->ptr[i] - '0');
    }
    *text = (Str){ text->ptr + digits, text->len - digits };
    *out = v;
    return true;
}

static bool take_char(Str *text, char c)
{
    if (text->len == 0 || text->ptr[0] != c)
        return false;
    *text = (Str){ text->ptr + 1, text->len - 1 };
    return true;
}

static int month_days(int year, int month)
{
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (month == 2)
        return leap ? 29 : 28;
    return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

static bool take_date(Str *text, int64_t *days)
{
    int year, month, day;
    if (!take_number(text, 4, &year) || !take_char(text, '-') || !take_number(text, 2, &month) ||
        !take_char(text, '-') || !take_number(text, 2, &day))
        return false;
    if (year < YEAR_MIN || month < 1 || month > 12 || day < 1 || day > month_days(year, month))
        return false;
    *days = date_from_civil(year, month, day);
    return true;
}

static bool take_clock(Str *text, int64_t *us)
{
    int hour, minute, second;
    if (!take_number(text, 2, &hour) || !take_char(text, ':') || !take_number(text, 2, &minute) ||
        !take_char(text, ':') || !take_number(text, 2, &second))
        return false;
    if (hour > 23 || minute > 59 || second > 59)            /* a leap second has no place on this scale */
        return false;
    *us = (hour * INT64_C(3600) + minute * 60 + second) * TIME_SECOND;
    if (!take_char(text, '.'))
        return true;
    int64_t unit = TIME_SECOND;
    int digits = 0, digit;
    for (; take_number(text, 1, &digit); digits++)
        *us += digit * (unit /= 10);
    return digits > 0 && digits <= FRACTION_DIGITS_MAX;
}

static bool take_offset(Str *text, int64_t *us)
{
    int hour, minute;
    *us = 0;
    if (take_char(text, 'Z') || take_char(text, 'z'))
        return true;
    bool east = take_char(text, '+');
    if (!east && !take_char(text, '-'))
        return false;
    if (!take_number(text, 2, &hour) || !take_char(text, ':') || !take_number(text, 2, &minute) || hour > 23 || minute > 59)
        return false;
    *us = (hour * INT64_C(60) + minute) * 60 * TIME_SECOND * (east ? 1 : -1);
    return true;
}

Err date_parse(Str text, int64_t *days)
{
    int64_t parsed;
    if (!take_date(&text, &parsed) || text.len)
        return ERR_INVALID;
    *days = parsed;
    return ERR_OK;
}

Err timestamp_parse(Str text, int64_t *us)
{
    int64_t days, clock_us, offset_us;
    if (!take_date(&text, &days) || !(take_char(&text, 'T') || take_char(&text, 't')) ||
        !take_clock(&text, &clock_us) || !take_offset(&text, &offset_us) || text.len)
        return ERR_INVALID;
    int64_t parsed = days * TIME_DAY + clock_us - offset_us;
    if (parsed < TIMESTAMP_MIN || parsed > TIMESTAMP_MAX)
        return ERR_INVALID;
    *us = parsed;
    return ERR_OK;
}

/* The index of the unit whose name the text starts with, or -1. The letters up to the next digit are the name. */
static int take_unit(Str *text)
{
    size_t len = 0;
    while (len < text->len && text->ptr[len] >= 'a' && text->ptr[len] <= 'z')
        len++;
    for (int i = 0; i < UNIT_COUNT; i++) {
        if (str_is((Str){ text->ptr, len }, UNITS[i].name)) {
            *text = (Str){ text->ptr + len, text->len - len };
            return i;
        }
    }
    return -1;
}

Err duration_parse(Str text, int64_t *us)
{
    int sign = take_char(&text, '-') ? -1 : 1;
    int64_t total = 0;
    int unit_before = -1;
    bool overflow = false;

    if (text.len == 0)
        return ERR_INVALID;
    while (text.len) {
        int64_t number = 0, part;
        int digit;
        size_t len_before = text.len;
        while (take_number(&text, 1, &digit))
            overflow |= __builtin_mul_overflow(number, 10, &number) || __builtin_add_overflow(number, sign * digit, &number);
        if (text.len == len_before)
            return ERR_INVALID;
        int unit = take_unit(&text);
        if (unit <= unit_before)
            return ERR_INVALID;
        unit_before = unit;
        overflow |= __builtin_mul_overflow(number, UNITS[unit].us, &part) || __builtin_add_overflow(total, part, &total);
    }
    if (overflow)
        return ERR_LIMIT;
    *us = total;
    return ERR_OK;
}

void date_print(int64_t days, Buf *out)
{
    int year, month, day;
    date_to_civil(days, &year, &month, &day);
    buf_printf(out, "%04d-%02d-%02d", year, month, day);
}

void timestamp_print(int64_t us, Buf *out)
{
    int64_t days = floor_div(us, TIME_DAY);
    int64_t rest = floor_mod(us, TIME_DAY);
    int seconds = (int)(rest / TIME_SECOND), fraction = (int)(rest % TIME_SECOND);

    date_print(days, out);
    buf_printf(out, "T%02d:%02d:%02d", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if (fraction) {
        int digits = FRACTION_DIGITS;
        for (; fraction % 10 == 0; digits--)
            fraction /= 10;
        buf_printf(out, ".%0*d", digits, fraction);
    }
    buf_put_char(out, 'Z');
}

/* Writes the duration with the units whose bit is set in `units`; 0 when they do not divide it. */
static int duration_with_units(uint64_t magnitude, unsigned units, char *text, size_t size)
{
    int len = 0;
    for (int i = 0; i < UNIT_COUNT && magnitude; i++) {
        uint64_t unit = (uint64_t)UNITS[i].us;
        if (!(units >> i & 1) || magnitude < unit)
            continue;
        len += snprintf(text + len, size - (size_t)len, "%llu%s", (unsigned long long)(magnitude / unit), UNITS[i].name);
        magnitude %= unit;
    }
    return magnitude ? 0 : len;
}

/* There are 127 choices of units; of two equally short texts the one with the larger units wins. */
void duration_print(int64_t us, Buf *out)
{
    char text[64], shortest[64] = "0s";
    int shortest_len = (int)sizeof shortest;
    uint64_t magnitude = us < 0 ? -(uint64_t)us : (uint64_t)us;

    for (unsigned units = 1; magnitude && units < 1u << UNIT_COUNT; units++) {
        int len = duration_with_units(magnitude, units, text, sizeof text);
        if (len && len < shortest_len) {
            shortest_len = len;
            memcpy(shortest, text, sizeof text);
        }
    }
    if (us < 0)
        buf_put_char(out, '-');
    buf_put_text(out, shortest);
}

bool timestamp_format(int64_t us, Str format, Buf *out)
{
    int64_t days = floor_div(us, TIME_DAY);
    int minutes = (int)(floor_mod(us, TIME_DAY) / (60 * TIME_SECOND));
    int year, month, day;
    date_to_civil(days, &year, &month, &day);

    if (str_is(format, "date"))
        date_print(days, out);
    else if (str_is(format, "time"))
        buf_printf(out, "%02d:%02d", minutes / 60, minutes % 60);
    else if (str_is(format, "datetime"))
        buf_printf(out, "%04d-%02d-%02d %02d:%02d", year, month, day, minutes / 60, minutes % 60);
    else if (str_is(format, "weekday"))
        buf_put_text(out, WEEKDAYS[date_weekday(days)]);
    else if (str_is(format, "long"))
        buf_printf(out, "%s, %d %s %d", WEEKDAYS[date_weekday(days)], day, MONTHS[month - 1], year);
    else
        return false;
    return true;
}

static int64_t clock_read(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * TIME_SECOND + now.tv_nsec / 1000;
}

int64_t clock_now(void)
{
    return clock_read(CLOCK_REALTIME);
}

int64_t clock_monotonic(void)
{
    return clock_read(CLOCK_MONOTONIC);
}
