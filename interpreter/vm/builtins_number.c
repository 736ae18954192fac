/* builtins_number.c - functions of numbers and times, and what retries ask about errors. */
#include "interpreter/vm/builtins.h"
#include "base/decimal.h"
#include <math.h>

static int64_t int_of(const Call *call, int arg) { return call->args[arg].i; }
static Decimal dec_of(const Call *call, int arg) { return call->args[arg].w ? call->args[arg].w : DECIMAL_ZERO; }
static bool overflow(Call *call) { return vm_fail(call->run, ERROR_KIND_invalid, "integer overflow"); }
static bool out_of_range(Call *call) { return vm_fail(call->run, ERROR_KIND_invalid, "the number does not fit an int"); }

/* ---- int ---- */

bool builtin_INT_ABS(Call *call)
{
    int64_t i = int_of(call, 0);
    return i == INT64_MIN ? overflow(call) : give_int(call, i < 0 ? -i : i);
}

bool builtin_INT_MIN(Call *call) { return give_int(call, int_of(call, 0) < int_of(call, 1) ? int_of(call, 0) : int_of(call, 1)); }
bool builtin_INT_MAX(Call *call) { return give_int(call, int_of(call, 0) > int_of(call, 1) ? int_of(call, 0) : int_of(call, 1)); }
bool builtin_INT_TO_DECIMAL(Call *call) { return give_decimal(call, decimal_from_int(int_of(call, 0))); }
bool builtin_INT_TO_FLOAT(Call *call) { return give_float(call, (double)int_of(call, 0)); }

/* ---- decimal ---- */

static bool give_held_decimal(Call *call, Decimal d) { return give(call, (Value){ .w = decimal_retain(d) }); }

bool builtin_DEC_ABS(Call *call)
{
    Decimal d = dec_of(call, 0);
    return decimal_cmp(d, DECIMAL_ZERO) < 0 ? give_decimal(call, decimal_neg(d)) : give_held_decimal(call, d);
}

bool builtin_DEC_MIN(Call *call) { return give_held_decimal(call, decimal_cmp(dec_of(call, 0), dec_of(call, 1)) <= 0 ? dec_of(call, 0) : dec_of(call, 1)); }
bool builtin_DEC_MAX(Call *call) { return give_held_decimal(call, decimal_cmp(dec_of(call, 0), dec_of(call, 1)) >= 0 ? dec_of(call, 0) : dec_of(call, 1)); }

bool builtin_DEC_ROUND(Call *call)
{
    int64_t places = int_of(call, 1);
    return give_decimal(call, decimal_round(dec_of(call, 0), places > DECIMAL_DIGITS_MAX ? DECIMAL_DIGITS_MAX : places < 0 ? 0 : (int)places));
}

/* Without its fraction, toward zero. */
bool builtin_DEC_TO_INT(Call *call)
{
    Decimal rest, whole;
    int64_t i;
    if (decimal_mod(dec_of(call, 0), decimal_from_int(1), &rest)) return out_of_range(call);
    Err err = decimal_sub(dec_of(call, 0), rest, &whole);
    decimal_release(rest);
    if (err) return out_of_range(call);
    err = decimal_to_int(whole, &i);
    decimal_release(whole);
    return err ? out_of_range(call) : give_int(call, i);
}

bool builtin_DEC_TO_FLOAT(Call *call) { return give_float(call, decimal_to_double(dec_of(call, 0))); }

/* ---- float ---- */

static bool give_whole(Call *call, double f)
{
    if (!(f >= -9223372036854775808.0 && f < 9223372036854775808.0)) return out_of_range(call);
    return give_int(call, (int64_t)f);
}

bool builtin_FLOAT_ABS(Call *call) { return give_float(call, fabs(call->args[0].f)); }
bool builtin_FLOAT_FLOOR(Call *call) { return give_whole(call, floor(call->args[0].f)); }
bool builtin_FLOAT_CEIL(Call *call) { return give_whole(call, ceil(call->args[0].f)); }

bool builtin_FLOAT_TO_DECIMAL(Call *call)
{
    Decimal d;
    if (decimal_from_double(call->args[0].f, &d)) return vm_fail(call->run, ERROR_KIND_invalid, "the number is not finite");
    return give_decimal(call, d);
}

bool builtin_FLOAT_SQRT(Call *call)
{
    if (!(call->args[0].f >= 0)) return vm_fail(call->run, ERROR_KIND_invalid, "a negative number has no square root");
    return give_float(call, sqrt(call->args[0].f));
}

/* ---- times ---- */

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }
static int64_t day_part(int64_t us) { return us - floor_div(us, TIME_DAY) * TIME_DAY; }

bool builtin_TS_DATE(Call *call) { return give_int(call, floor_div(int_of(call, 0), TIME_DAY)); }
bool builtin_TS_HOUR(Call *call) { return give_int(call, day_part(int_of(call, 0)) / (3600 * TIME_SECOND)); }
bool builtin_TS_MINUTE(Call *call) { return give_int(call, day_part(int_of(call, 0)) / (60 * TIME_SECOND) % 60); }

bool builtin_TS_START_OF_DAY(Call *call)
{
    int64_t start;
    return __builtin_sub_overflow(int_of(call, 0), day_part(int_of(call, 0)), &start) ? overflow(call) : give_int(call, start);
}

static bool give_civil(Call *call, int part)
{
    int civil[3];
    date_to_civil(int_of(call, 0), &civil[0], &civil[1], &civil[2]);
    return give_int(call, civil[part]);
}

bool builtin_DATE_YEAR(Call *call) { return give_civil(call, 0); }
bool builtin_DATE_MONTH(Call *call) { return give_civil(call, 1); }
bool builtin_DATE_DAY(Call *call) { return give_civil(call, 2); }
bool builtin_DATE_WEEKDAY(Call *call) { return give_int(call, date_weekday(int_of(call, 0))); }

static bool give_date(Call *call, int64_t days)
{
    if (days < DATE_MIN || days > DATE_MAX) return vm_fail(call->run, ERROR_KIND_invalid, "the date is outside the years 1 to 9999");
    return give_int(call, days);
}

bool builtin_DATE_AT(Call *call)
{
    int64_t us;
    if (__builtin_mul_overflow(int_of(call, 0), TIME_DAY, &us) || __builtin_add_overflow(us, int_of(call, 1), &us)) return overflow(call);
    return give_int(call, us);
}

static int month_days(int year, int month)
{
    static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

/* The 31st of a shorter month is its last day. */
bool builtin_DATE_ADD_MONTHS(Call *call)
{
    int year, month, day;
    int64_t months;
    date_to_civil(int_of(call, 0), &year, &month, &day);
    if (__builtin_add_overflow((int64_t)year * 12 + month - 1, int_of(call, 1), &months) || months < 12 || months >= 10000 * 12) return give_date(call, INT64_MAX);
    year = (int)(months / 12);
    month = (int)(months % 12) + 1;
    if (day > month_days(year, month)) day = month_days(year, month);
    return give_date(call, date_from_civil(year, month, day));
}

/* Whole days only count: a date has no hours. */
bool builtin_DATE_ADD(Call *call)
{
    int64_t days;
    if (__builtin_add_overflow(int_of(call, 0), floor_div(int_of(call, 1), TIME_DAY), &days)) return overflow(call);
    return give_date(call, days);
}

bool builtin_DATE_SUB(Call *call)
{
    int64_t us;
    if (__builtin_sub_overflow(int_of(call, 0), int_of(call, 1), &us) || __builtin_mul_overflow(us, TIME_DAY, &us)) return overflow(call);
    return give_int(call, us);
}

bool builtin_DUR_SECONDS(Call *call) { return give_int(call, int_of(call, 0) / TIME_SECOND); }
bool builtin_DUR_MINUTES(Call *call) { return give_int(call, int_of(call, 0) / (60 * TIME_SECOND)); }
bool builtin_DUR_HOURS(Call *call) { return give_int(call, int_of(call, 0) / (3600 * TIME_SECOND)); }
bool builtin_DUR_DAYS(Call *call) { return give_int(call, int_of(call, 0) / TIME_DAY); }

/* ---- errors and retries ---- */

/* (error, status, code, retry after?): a copy with those set; 0 and "" leave what is there. */
bool builtin_ERROR_WITH(Call *call)
{
    Value error = call->args[0];
    int64_t status = int_of(call, 1);
    Str code = value_str(call->args[2]);
    if (status < INT32_MIN || status > INT32_MAX) return vm_fail(call->run, ERROR_KIND_invalid, "a status has at most 32 bits");
    if (!status) status = record_field(error, ERROR_FIELD_STATUS).i;
    if (!code.len) code = value_str(record_field(error, ERROR_FIELD_CODE));
    Value after = call->args[3].w ? call->args[3] : record_field(error, ERROR_FIELD_RETRY_AFTER);
    int64_t after_us = after.w ? opt_unpack(call->image, TYPE_INDEX_DURATION, after).i : -1;
    Value code_held = code.len ? value_string(code) : (Value){ 0 };        /* `code` may lie in the error that is replaced */
    value_retain(error);
    error = record_unshare(call->image, TYPE_INDEX_ERROR, error);
    error = error_with(error, (int)status, value_str(code_held), after_us);
    value_release(code_held);
    return give(call, error);
}

/* Whether the error is one a policy retries: its status is listed, or its code is. */
bool builtin_RETRYABLE(Call *call)
{
    Value error = call->args[0];
    int64_t status = record_field(error, ERROR_FIELD_STATUS).i;
    Str code = value_str(record_field(error, ERROR_FIELD_CODE));
    if (!vm_charge(call->run, (uint64_t)list_count(call->args[1]) + list_count(call->args[2]))) return false;
    for (uint32_t k = 0; status && k < list_count(call->args[1]); k++)
        if (list_item(call->args[1], k).i == status) return give_int(call, true);
    for (uint32_t k = 0; code.len && k < list_count(call->args[2]); k++)
        if (str_eq(value_str(list_item(call->args[2], k)), code)) return give_int(call, true);
    return give_int(call, false);
}

/* (attempt that failed, first, most, factor, jitter, random in [0, 1), retry after?): first × factor^(attempt-1), at most `most`, then
   spread by ±jitter; never less than what the other side asked for. */
bool builtin_BACKOFF(Call *call)
{
    double first = (double)int_of(call, 1), most = (double)int_of(call, 2), factor = decimal_to_double(dec_of(call, 3)), jitter = decimal_to_double(dec_of(call, 4));
    int64_t attempt = int_of(call, 0) < 1 ? 1 : int_of(call, 0);
    double delay = first * pow(factor, (double)(attempt > 1000 ? 1000 : attempt) - 1);
    if (!(delay <= most)) delay = most;                  /* also when the power is infinite or not a number */
    delay *= 1 + jitter * (2 * call->args[5].f - 1);
    if (!(delay >= 0)) delay = 0;
    int64_t us = delay < 9e18 ? (int64_t)delay : INT64_MAX;
    if (call->args[6].w) {
        int64_t asked = opt_unpack(call->image, TYPE_INDEX_DURATION, call->args[6]).i;
        if (asked > us) us = asked;
    }
    return give_int(call, us);
}
