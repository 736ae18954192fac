/* test_builtins.c - every row of builtins.def at least once: name, arguments and result as JSON; and the errors they raise. */
#include "tests/unit/vm_run.h"

enum { DATE = TYPE_INDEX_DATE, DUR = TYPE_INDEX_DURATION, BYTES = TYPE_INDEX_BYTES, TEXTS = TYPE_INDEX_LIST_STRING, OPT_DUR = TYPE_INDEX_OPT_DURATION, ARGS_MAX = 7 };
/* Types that are made: their numbers follow the fixed ones in this order. */
enum { INTS = TYPE_INDEX_FIXED_COUNT, DECS, FLOATS, OPT_INT, OPT_DEC, OPT_DATE, OPT_TIME, OPT_TEXT, MAP_INT, PAIR, PAIRS, DATES, OPT_FLOAT, OPT_BOOL };

typedef struct Case { Builtin builtin; uint16_t result; uint16_t types[ARGS_MAX]; const char *args[ARGS_MAX]; const char *expect; } Case;

static const Case cases[] = {
    { BUILTIN_STR_LENGTH, INT, { TEXT }, { "\"h\xC3\xA9llo\"" }, "5" },
    { BUILTIN_STR_UPPER, TEXT, { TEXT }, { "\"h\xC3\xA9llo\"" }, "\"H\xC3\x89LLO\"" },
    { BUILTIN_STR_LOWER, TEXT, { TEXT }, { "\"H\xC3\x89LLO\"" }, "\"h\xC3\xA9llo\"" },
    { BUILTIN_STR_TRIM, TEXT, { TEXT }, { "\" \\t a b \\n\"" }, "\"a b\"" },
    { BUILTIN_STR_CONTAINS, BOOL, { TEXT, TEXT }, { "\"abc\"", "\"bc\"" }, "true" },
    { BUILTIN_STR_CONTAINS, BOOL, { TEXT, TEXT }, { "\"abc\"", "\"cb\"" }, "false" },
    { BUILTIN_STR_CONTAINS, BOOL, { TEXT, TEXT }, { "\"\"", "\"\"" }, "true" },
    { BUILTIN_STR_STARTS, BOOL, { TEXT, TEXT }, { "\"abc\"", "\"ab\"" }, "true" },
    { BUILTIN_STR_ENDS, BOOL, { TEXT, TEXT }, { "\"abc\"", "\"ab\"" }, "false" },
    { BUILTIN_STR_REPLACE, TEXT, { TEXT, TEXT, TEXT }, { "\"a-b-c\"", "\"-\"", "\"+ \"" }, "\"a+ b+ c\"" },
    { BUILTIN_STR_REPLACE, TEXT, { TEXT, TEXT, TEXT }, { "\"abc\"", "\"\"", "\"x\"" }, "\"abc\"" },
    { BUILTIN_STR_SPLIT, TEXTS, { TEXT, TEXT }, { "\"a,b,,c\"", "\",\"" }, "[\"a\",\"b\",\"\",\"c\"]" },
    { BUILTIN_STR_SPLIT, TEXTS, { TEXT, TEXT }, { "\"\"", "\",\"" }, "[\"\"]" },
    { BUILTIN_STR_SPLIT, TEXTS, { TEXT, TEXT }, { "\"a\xC3\xA9z\"", "\"\"" }, "[\"a\",\"\xC3\xA9\",\"z\"]" },
    { BUILTIN_STR_SLICE, TEXT, { TEXT, INT, INT }, { "\"h\xC3\xA9llo\"", "1", "3" }, "\"\xC3\xA9l\"" },
    { BUILTIN_STR_SLICE, TEXT, { TEXT, INT, INT }, { "\"abc\"", "-5", "99" }, "\"abc\"" },
    { BUILTIN_STR_SLICE, TEXT, { TEXT, INT, INT }, { "\"abc\"", "2", "1" }, "\"\"" },
    { BUILTIN_STR_INDEX, OPT_INT, { TEXT, TEXT }, { "\"h\xC3\xA9llo\"", "\"l\"" }, "2" },
    { BUILTIN_STR_INDEX, OPT_INT, { TEXT, TEXT }, { "\"abc\"", "\"x\"" }, "null" },
    { BUILTIN_STR_TO_INT, OPT_INT, { TEXT }, { "\"-42\"" }, "-42" },
    { BUILTIN_STR_TO_INT, OPT_INT, { TEXT }, { "\"-9223372036854775808\"" }, "-9223372036854775808" },
    { BUILTIN_STR_TO_INT, OPT_INT, { TEXT }, { "\"9223372036854775808\"" }, "null" },
    { BUILTIN_STR_TO_INT, OPT_INT, { TEXT }, { "\"4x\"" }, "null" },
    { BUILTIN_STR_TO_INT, OPT_INT, { TEXT }, { "\"-\"" }, "null" },
    { BUILTIN_STR_TO_DECIMAL, OPT_DEC, { TEXT }, { "\"19.990\"" }, "19.990" },
    { BUILTIN_STR_TO_DECIMAL, OPT_DEC, { TEXT }, { "\"19,99\"" }, "null" },
    { BUILTIN_STR_TO_DATE, OPT_DATE, { TEXT }, { "\"2025-11-10\"" }, "\"2025-11-10\"" },
    { BUILTIN_STR_TO_TIMESTAMP, OPT_TIME, { TEXT }, { "\"2025-11-10T10:00:00+01:00\"" }, "\"2025-11-10T09:00:00Z\"" },
    { BUILTIN_STR_TO_TIMESTAMP, OPT_TIME, { TEXT }, { "\"soon\"" }, "null" },
    { BUILTIN_STR_PAD, TEXT, { TEXT, INT, TEXT }, { "\"7\"", "3", "\"0\"" }, "\"007\"" },
    { BUILTIN_STR_PAD, TEXT, { TEXT, INT, TEXT }, { "\"1234\"", "3", "\"0\"" }, "\"1234\"" },
    { BUILTIN_STR_IS_EMPTY, BOOL, { TEXT }, { "\"\"" }, "true" },
    { BUILTIN_STR_TO_BYTES, BYTES, { TEXT }, { "\"abc\"" }, "\"YWJj\"" },
    { BUILTIN_STR_REPEAT, TEXT, { TEXT, INT }, { "\"ab\"", "3" }, "\"ababab\"" },
    { BUILTIN_STR_REDACT, TEXT, { TEXT }, { "\"secret\"" }, "\"***\"" },
    { BUILTIN_LIST_LENGTH, INT, { INTS }, { "[1,2,3]" }, "3" },
    { BUILTIN_LIST_IS_EMPTY, BOOL, { INTS }, { "[]" }, "true" },
    { BUILTIN_LIST_FIRST, OPT_INT, { INTS }, { "[4,5]" }, "4" },
    { BUILTIN_LIST_FIRST, OPT_TEXT, { TEXTS }, { "[]" }, "null" },
    { BUILTIN_LIST_LAST, OPT_TEXT, { TEXTS }, { "[\"a\",\"b\"]" }, "\"b\"" },
    { BUILTIN_LIST_AT, OPT_INT, { INTS, INT }, { "[4,5]", "1" }, "5" },
    { BUILTIN_LIST_AT, OPT_INT, { INTS, INT }, { "[4,5]", "2" }, "null" },
    { BUILTIN_LIST_AT, OPT_INT, { INTS, INT }, { "[4,5]", "-1" }, "null" },
    { BUILTIN_LIST_SLICE, INTS, { INTS, INT, INT }, { "[1,2,3,4]", "1", "3" }, "[2,3]" },
    { BUILTIN_LIST_TAKE, TEXTS, { TEXTS, INT }, { "[\"a\",\"b\"]", "1" }, "[\"a\"]" },
    { BUILTIN_LIST_DROP, INTS, { INTS, INT }, { "[1,2,3]", "1" }, "[2,3]" },
    { BUILTIN_LIST_DROP, INTS, { INTS, INT }, { "[1,2,3]", "9" }, "[]" },
    { BUILTIN_LIST_REVERSE, TEXTS, { TEXTS }, { "[\"a\",\"b\",\"c\"]" }, "[\"c\",\"b\",\"a\"]" },
    { BUILTIN_LIST_CONTAINS, BOOL, { DECS, DEC }, { "[1.5,2]", "2.00" }, "true" },
    { BUILTIN_LIST_CONTAINS, BOOL, { PAIRS, PAIR }, { "[{\"k\":1,\"s\":\"x\"}]", "{\"k\":1,\"s\":\"y\"}" }, "false" },
    { BUILTIN_LIST_CONCAT, INTS, { INTS, INTS }, { "[1]", "[2,3]" }, "[1,2,3]" },
    { BUILTIN_LIST_APPEND, TEXTS, { TEXTS, TEXT }, { "[\"a\"]", "\"b\"" }, "[\"a\",\"b\"]" },
    { BUILTIN_LIST_JOIN, TEXT, { TEXTS, TEXT }, { "[\"a\",\"b\",\"c\"]", "\", \"" }, "\"a, b, c\"" },
    { BUILTIN_LIST_JOIN, TEXT, { TEXTS, TEXT }, { "[]", "\", \"" }, "\"\"" },
    { BUILTIN_LIST_SUM_INT, INT, { INTS }, { "[1,2,3]" }, "6" },
    { BUILTIN_LIST_SUM_DEC, DEC, { DECS }, { "[0.1,0.2,0.30]" }, "0.60" },
    { BUILTIN_LIST_SUM_FLOAT, FLOAT, { FLOATS }, { "[0.5,0.25]" }, "0.75" },
    { BUILTIN_LIST_SORT, INTS, { INTS }, { "[3,1,2,1]" }, "[1,1,2,3]" },
    { BUILTIN_LIST_SORT, DECS, { DECS }, { "[1.10,1.1,0.9]" }, "[0.9,1.10,1.1]" },
    { BUILTIN_LIST_SORT, PAIRS, { PAIRS }, { "[{\"k\":2,\"s\":\"a\"},{\"k\":1,\"s\":\"z\"},{\"k\":1,\"s\":\"b\"}]" }, "[{\"k\":1,\"s\":\"b\"},{\"k\":1,\"s\":\"z\"},{\"k\":2,\"s\":\"a\"}]" },
    { BUILTIN_LIST_DISTINCT, TEXTS, { TEXTS }, { "[\"b\",\"a\",\"b\",\"c\",\"a\"]" }, "[\"b\",\"a\",\"c\"]" },
    { BUILTIN_LIST_MIN, OPT_INT, { INTS }, { "[3,1,2]" }, "1" },
    { BUILTIN_LIST_MAX, OPT_INT, { INTS }, { "[3,1,2]" }, "3" },
    { BUILTIN_LIST_MAX, OPT_INT, { INTS }, { "[]" }, "null" },
    { BUILTIN_LIST_ARGSORT, INTS, { TEXTS }, { "[\"b\",\"c\",\"a\",\"b\"]" }, "[2,0,3,1]" },
    { BUILTIN_RANGE, INTS, { INT, INT }, { "2", "5" }, "[2,3,4]" },
    { BUILTIN_RANGE, INTS, { INT, INT }, { "5", "2" }, "[]" },
    { BUILTIN_MAP_LENGTH, INT, { MAP_INT }, { "{\"a\":1}" }, "1" },
    { BUILTIN_MAP_IS_EMPTY, BOOL, { MAP_INT }, { "{}" }, "true" },
    { BUILTIN_MAP_KEYS, TEXTS, { MAP_INT }, { "{\"z\":1,\"a\":2}" }, "[\"z\",\"a\"]" },
    { BUILTIN_MAP_VALUES, INTS, { MAP_INT }, { "{\"z\":1,\"a\":2}" }, "[1,2]" },
    { BUILTIN_MAP_HAS, BOOL, { MAP_INT, TEXT }, { "{\"z\":1}", "\"z\"" }, "true" },
    { BUILTIN_MAP_REMOVE, MAP_INT, { MAP_INT, TEXT }, { "{\"z\":1,\"a\":2}", "\"z\"" }, "{\"a\":2}" },
    { BUILTIN_MAP_MERGE, MAP_INT, { MAP_INT, MAP_INT }, { "{\"a\":1,\"b\":2}", "{\"b\":3,\"c\":4}" }, "{\"a\":1,\"b\":3,\"c\":4}" },
    { BUILTIN_INT_ABS, INT, { INT }, { "-5" }, "5" },
    { BUILTIN_INT_MIN, INT, { INT, INT }, { "3", "-2" }, "-2" },
    { BUILTIN_INT_MAX, INT, { INT, INT }, { "3", "-2" }, "3" },
    { BUILTIN_INT_TO_DECIMAL, DEC, { INT }, { "9223372036854775807" }, "\"9223372036854775807\"" },
    { BUILTIN_INT_TO_FLOAT, FLOAT, { INT }, { "3" }, "3.0" },
    { BUILTIN_DEC_ABS, DEC, { DEC }, { "-1.50" }, "1.50" },
    { BUILTIN_DEC_MIN, DEC, { DEC, DEC }, { "1.5", "1.49" }, "1.49" },
    { BUILTIN_DEC_MAX, DEC, { DEC, DEC }, { "1.5", "1.49" }, "1.5" },
    { BUILTIN_DEC_ROUND, DEC, { DEC, INT }, { "2.345", "2" }, "2.34" },
    { BUILTIN_DEC_TO_INT, INT, { DEC }, { "-2.9" }, "-2" },
    { BUILTIN_DEC_TO_FLOAT, FLOAT, { DEC }, { "0.1" }, "0.1" },
    { BUILTIN_FLOAT_ABS, FLOAT, { FLOAT }, { "-0.5" }, "0.5" },
    { BUILTIN_FLOAT_FLOOR, INT, { FLOAT }, { "-0.5" }, "-1" },
    { BUILTIN_FLOAT_CEIL, INT, { FLOAT }, { "0.5" }, "1" },
    { BUILTIN_FLOAT_TO_DECIMAL, DEC, { FLOAT }, { "19.99" }, "19.99" },
    { BUILTIN_FLOAT_SQRT, FLOAT, { FLOAT }, { "2.25" }, "1.5" },
    { BUILTIN_TS_DATE, DATE, { TIME }, { "\"1969-12-31T23:59:00Z\"" }, "\"1969-12-31\"" },
    { BUILTIN_TS_HOUR, INT, { TIME }, { "\"1969-12-31T23:59:00Z\"" }, "23" },
    { BUILTIN_TS_MINUTE, INT, { TIME }, { "\"1969-12-31T23:59:00Z\"" }, "59" },
    { BUILTIN_TS_START_OF_DAY, TIME, { TIME }, { "\"1969-12-31T23:59:00Z\"" }, "\"1969-12-31T00:00:00Z\"" },
    { BUILTIN_DATE_YEAR, INT, { DATE }, { "\"2025-11-10\"" }, "2025" },
    { BUILTIN_DATE_MONTH, INT, { DATE }, { "\"2025-11-10\"" }, "11" },
    { BUILTIN_DATE_DAY, INT, { DATE }, { "\"2025-11-10\"" }, "10" },
    { BUILTIN_DATE_WEEKDAY, INT, { DATE }, { "\"2025-11-10\"" }, "0" },
    { BUILTIN_DATE_AT, TIME, { DATE, DUR }, { "\"2025-11-10\"", "\"10h30m\"" }, "\"2025-11-10T10:30:00Z\"" },
    { BUILTIN_DATE_ADD_MONTHS, DATE, { DATE, INT }, { "\"2024-01-31\"", "1" }, "\"2024-02-29\"" },
    { BUILTIN_DATE_ADD_MONTHS, DATE, { DATE, INT }, { "\"2024-03-31\"", "-13" }, "\"2023-02-28\"" },
    { BUILTIN_DUR_SECONDS, INT, { DUR }, { "\"1h30m\"" }, "5400" },
    { BUILTIN_DUR_MINUTES, INT, { DUR }, { "\"1h30m\"" }, "90" },
    { BUILTIN_DUR_HOURS, INT, { DUR }, { "\"1h30m\"" }, "1" },
    { BUILTIN_DUR_DAYS, INT, { DUR }, { "\"49h\"" }, "2" },
    { BUILTIN_DATE_ADD, DATE, { DATE, DUR }, { "\"2025-12-31\"", "\"1d\"" }, "\"2026-01-01\"" },
    { BUILTIN_DATE_SUB, DUR, { DATE, DATE }, { "\"2026-01-01\"", "\"2025-12-31\"" }, "\"1d\"" },
    { BUILTIN_JSON_GET, JSON, { JSON, TEXT }, { "{\"a\":{\"b\":1}}", "\"a\"" }, "{\"b\":1}" },
    { BUILTIN_JSON_GET, JSON, { JSON, TEXT }, { "[1]", "\"a\"" }, "null" },
    { BUILTIN_JSON_AT, JSON, { JSON, INT }, { "[1,2]", "1" }, "2" },
    { BUILTIN_JSON_AT, JSON, { JSON, INT }, { "{}", "0" }, "null" },
    { BUILTIN_JSON_LENGTH, INT, { JSON }, { "{\"a\":1,\"b\":2}" }, "2" },
    { BUILTIN_JSON_KEYS, TEXTS, { JSON }, { "{\"a\":1,\"b\":2}" }, "[\"a\",\"b\"]" },
    { BUILTIN_JSON_TEXT, TEXT, { JSON }, { "{\"a\":[1.50,null]}" }, "\"{\\\"a\\\":[1.50,null]}\"" },
    { BUILTIN_JSON_PARSE, JSON, { TEXT }, { "\"{\\\"a\\\":1.50}\"" }, "{\"a\":1.50}" },
    { BUILTIN_JSON_OF, JSON, { PAIRS }, { "[{\"k\":1,\"s\":\"x\"}]" }, "[{\"k\":1,\"s\":\"x\"}]" },
    { BUILTIN_JSON_AS, PAIR, { JSON }, { "{\"s\":\"x\",\"k\":1}" }, "{\"k\":1,\"s\":\"x\"}" },
    { BUILTIN_JSON_AS, DATES, { JSON }, { "[\"2025-11-10\"]" }, "[\"2025-11-10\"]" },
    { BUILTIN_BYTES_LENGTH, INT, { BYTES }, { "\"AAEC\"" }, "3" },
    { BUILTIN_BYTES_BASE64, TEXT, { BYTES }, { "\"AAEC\"" }, "\"AAEC\"" },
    { BUILTIN_RETRYABLE, BOOL, { ERR, INTS, TEXTS }, { "{\"kind\":\"unavailable\",\"message\":\"m\",\"status\":503,\"code\":\"\",\"undone\":[],\"not_undone\":[],\"at\":\"\"}", "[429,503]", "[]" }, "true" },
    { BUILTIN_RETRYABLE, BOOL, { ERR, INTS, TEXTS }, { "{\"kind\":\"unavailable\",\"message\":\"m\",\"status\":0,\"code\":\"ECONNRESET\",\"undone\":[],\"not_undone\":[],\"at\":\"\"}", "[0]", "[\"ECONNRESET\"]" }, "true" },
    { BUILTIN_RETRYABLE, BOOL, { ERR, INTS, TEXTS }, { "{\"kind\":\"unavailable\",\"message\":\"m\",\"status\":0,\"code\":\"\",\"undone\":[],\"not_undone\":[],\"at\":\"\"}", "[0]", "[\"\"]" }, "false" },
    { BUILTIN_ERROR_WITH, ERR, { ERR, INT, TEXT, OPT_DUR }, { "{\"kind\":\"rejected\",\"message\":\"m\",\"status\":0,\"code\":\"\",\"undone\":[\"u\"],\"not_undone\":[],\"at\":\"x\"}", "503", "\"FULL\"", "\"2s\"" },
      "{\"kind\":\"rejected\",\"message\":\"m\",\"status\":503,\"code\":\"FULL\",\"retry_after\":\"2s\",\"cause\":null,\"undone\":[\"u\"],\"not_undone\":[],\"at\":\"x\"}" },
    { BUILTIN_BACKOFF, DUR, { INT, DUR, DUR, DEC, DEC, FLOAT, OPT_DUR }, { "3", "\"1s\"", "\"30s\"", "2", "0", "0.5", "null" }, "\"4s\"" },
    { BUILTIN_BACKOFF, DUR, { INT, DUR, DUR, DEC, DEC, FLOAT, OPT_DUR }, { "300", "\"1s\"", "\"30s\"", "2", "0.2", "0.0", "null" }, "\"24s\"" },
    { BUILTIN_BACKOFF, DUR, { INT, DUR, DUR, DEC, DEC, FLOAT, OPT_DUR }, { "1", "\"1s\"", "\"30s\"", "2", "0.2", "0.5", "\"5s\"" }, "\"5s\"" },
    /* JavaScript's: more of them in tests/plans/condition_diff.mjs */
    { BUILTIN_JS_DIV, FLOAT, { FLOAT, FLOAT }, { "1", "4" }, "0.25" },
    { BUILTIN_JS_DIV, FLOAT, { FLOAT, FLOAT }, { "1", "0" }, "null" },
    { BUILTIN_JS_REST, FLOAT, { FLOAT, FLOAT }, { "-7", "4" }, "-3.0" },
    { BUILTIN_JS_MIN, FLOAT, { FLOAT, FLOAT }, { "2", "-0.0" }, "-0.0" },
    { BUILTIN_JS_MAX, FLOAT, { FLOAT, FLOAT }, { "0", "-0.0" }, "0.0" },
    { BUILTIN_JS_FLOOR, FLOAT, { FLOAT }, { "-1.5" }, "-2.0" },
    { BUILTIN_JS_CEIL, FLOAT, { FLOAT }, { "-1.5" }, "-1.0" },
    { BUILTIN_JS_ROUND, FLOAT, { FLOAT }, { "-2.5" }, "-2.0" },
    { BUILTIN_JS_ROUND, FLOAT, { FLOAT }, { "0.49999999999999994" }, "0.0" },
    { BUILTIN_JS_TEXT, TEXT, { FLOAT }, { "1e21" }, "\"1e+21\"" },
    { BUILTIN_JS_TEXT, TEXT, { FLOAT }, { "1.2345678901234568e20" }, "\"123456789012345680000\"" },
    { BUILTIN_JS_TEXT, TEXT, { FLOAT }, { "0.000001" }, "\"0.000001\"" },
    { BUILTIN_JS_TEXT, TEXT, { FLOAT }, { "-1.5e-7" }, "\"-1.5e-7\"" },
    { BUILTIN_JS_LENGTH, FLOAT, { TEXT }, { "\"a\xF0\x9F\x98\x80\"" }, "3.0" },
    { BUILTIN_JS_LESS, BOOL, { TEXT, TEXT }, { "\"\xF0\x9F\x98\x80\"", "\"\xEF\xBF\xBD\"" }, "true" },
    { BUILTIN_JS_LESS, BOOL, { TEXT, TEXT }, { "\"\xF0\x9F\x98\x80\"", "\"\xED\x9F\xBF\"" }, "false" },
    { BUILTIN_JS_INDEX_OF, FLOAT, { TEXT, TEXT, FLOAT }, { "\"\xF0\x9F\x98\x80xyx\"", "\"x\"", "3" }, "4.0" },
    { BUILTIN_JS_STARTS, BOOL, { TEXT, TEXT, FLOAT }, { "\"abc\"", "\"bc\"", "1" }, "true" },
    { BUILTIN_JS_ENDS, BOOL, { TEXT, TEXT, FLOAT }, { "\"abc\"", "\"ab\"", "2" }, "true" },
    { BUILTIN_JS_LOWER, TEXT, { TEXT }, { "\"\xC3\x84\xC3\x96\"" }, "\"\xC3\xA4\xC3\xB6\"" },
    { BUILTIN_JS_UPPER, TEXT, { TEXT }, { "\"stra\xC3\x9F""e\"" }, "\"STRASSE\"" },
    { BUILTIN_JS_TRIM, TEXT, { TEXT }, { "\"\\u00a0\\ufeff a \\u2029\"" }, "\"a\"" },
    { BUILTIN_JS_SLICE, TEXT, { TEXT, FLOAT, FLOAT }, { "\"abcdef\"", "-3", "-1" }, "\"de\"" },
    { BUILTIN_JS_AT, OPT_INT, { INTS, FLOAT }, { "[4,5]", "1" }, "5" },
    { BUILTIN_JS_AT, OPT_INT, { INTS, FLOAT }, { "[4,5]", "0.5" }, "null" },
    { BUILTIN_JS_LIST_NUMBER, FLOAT, { DECS, FLOAT, FLOAT }, { "[1.5,2]", "2", "0" }, "1.0" },
    { BUILTIN_JS_LIST_HAS, BOOL, { FLOATS, FLOAT, FLOAT }, { "[1,2]", "2", "-1" }, "true" },
    { BUILTIN_JS_LIST_STRING, FLOAT, { DATES, TEXT, FLOAT }, { "[\"2025-11-10\"]", "\"2025-11-10\"", "0" }, "0.0" },
    { BUILTIN_JS_LIST_BOOL, FLOAT, { INTS, BOOL, FLOAT }, { "[1]", "true", "0" }, "-1.0" },
    { BUILTIN_JS_JOIN, TEXT, { DECS, TEXT }, { "[1.50,2]", "\"; \"" }, "\"1.5; 2\"" },
    { BUILTIN_JS_NUMBER, FLOAT, { JSON }, { "1.5" }, "1.5" },
    { BUILTIN_JS_STRING, TEXT, { JSON }, { "\"a\"" }, "\"a\"" },
    { BUILTIN_JS_BOOL, BOOL, { JSON }, { "true" }, "true" },
    { BUILTIN_JS_MAYBE_NUMBER, OPT_FLOAT, { JSON }, { "null" }, "null" },
    { BUILTIN_JS_MAYBE_STRING, OPT_TEXT, { JSON }, { "\"a\"" }, "\"a\"" },
    { BUILTIN_JS_MAYBE_BOOL, OPT_BOOL, { JSON }, { "false" }, "false" },
    { BUILTIN_JS_JSON_TEXT, TEXT, { JSON }, { "10.0" }, "\"10\"" },
    { BUILTIN_JS_JSON_SAME, BOOL, { JSON, JSON }, { "1", "1.0" }, "true" },
    { BUILTIN_JS_JSON_LESS, BOOL, { JSON, JSON }, { "\"a\"", "\"b\"" }, "true" },
    { BUILTIN_JS_JSON_MEMBER, JSON, { JSON, TEXT }, { "{\"a\":1}", "\"a\"" }, "1" },
    { BUILTIN_JS_JSON_MEMBER, JSON, { JSON, TEXT }, { "[1,2]", "\"length\"" }, "2" },
    { BUILTIN_JS_JSON_AT, JSON, { JSON, FLOAT }, { "[1,2]", "1" }, "2" },
    { BUILTIN_JS_JSON_HAS, BOOL, { JSON, TEXT }, { "{\"a\":null}", "\"a\"" }, "true" },
};
enum { CASE_COUNT = sizeof cases / sizeof *cases };

static void types_make(Asm *m)
{
    assert_int_equal(asm_type(m, KIND_LIST, INT), INTS);
    assert_int_equal(asm_type(m, KIND_LIST, DEC), DECS);
    assert_int_equal(asm_type(m, KIND_LIST, FLOAT), FLOATS);
    assert_int_equal(asm_type(m, KIND_OPT, INT), OPT_INT);
    asm_type(m, KIND_OPT, DEC);
    asm_type(m, KIND_OPT, DATE);
    asm_type(m, KIND_OPT, TIME);
    asm_type(m, KIND_OPT, TEXT);
    asm_type(m, KIND_MAP, INT);
    assert_int_equal(asm_record(m, "Pair", 2, (const char *[]){ "k", "s" }, (uint16_t[]){ INT, TEXT }), PAIR);
    asm_type(m, KIND_LIST, PAIR);
    assert_int_equal(asm_type(m, KIND_LIST, DATE), DATES);
    asm_type(m, KIND_OPT, FLOAT);
    assert_int_equal(asm_type(m, KIND_OPT, BOOL), OPT_BOOL);
}

/* fn main(args) { return builtin(args) } */
static VmRun *call(const Case *c, const VmLimits *limits)
{
    Asm *m = asm_new();
    uint16_t count = 0;
    Value args[ARGS_MAX];
    types_make(m);
    while (count < ARGS_MAX && c->args[count]) count++;
    asm_func(m, "main", FUNC_FN, c->result, count, c->types);
    uint16_t r = asm_reg(m, c->result);
    EMIT(m, BUILTIN, r, c->builtin, 0);
    EMIT(m, RETURN, r, 0, 0);
    Image *image = asm_done(m);
    for (int k = 0; k < count; k++) {
        Arena *arena = arena_new();
        Json *json;
        Error error = { 0 };
        if (json_parse(arena, str_of(c->args[k]), 1 << 20, &json, &error) || value_from_json(image, c->types[k], json, &args[k], &error)) fail_msg("%s: %s", c->args[k], error.text);
        arena_free(arena);
    }
    VmRun *run = vm_new(image, 0, args, &asm_info, limits);
    for (int k = 0; k < count; k++)
        if (kind_is_counted(image->types[c->types[k]].kind)) value_release(args[k]);
    image_free(image);
    return run;
}

static void builtins_give_what_their_names_say(void **state)
{
    for (int k = 0; k < CASE_COUNT; k++) {
        VmRun *run = call(&cases[k], NULL);
        Buf out = { 0 };
        if (run_all(run) != VM_DONE) value_to_json(vm_image(run), ERR, vm_error(run), &out);
        else value_to_json(vm_image(run), cases[k].result, vm_result(run), &out);
        if (!str_is(buf_str(&out), cases[k].expect)) fail_msg("case %d, built-in 0x%03x: found %s, expected %s", k, cases[k].builtin, buf_cstr(&out), cases[k].expect);
        buf_free(&out);
        vm_free(run);
    }
}

static void every_builtin_has_a_case(void **state)
{
#define BUILTIN(num, NAME, receiver, name, params, result) { bool seen = false; for (int k = 0; k < CASE_COUNT; k++) seen |= cases[k].builtin == num; if (!seen) fail_msg("no case for " #NAME); }
#include "interpreter/bytecode/builtins.def"
#undef BUILTIN
}

static void what_cannot_be_is_raised(void **state)
{
    const struct { Case c; const char *message; } bad[] = {
        { { BUILTIN_INT_ABS, INT, { INT }, { "-9223372036854775808" }, NULL }, "integer overflow" },
        { { BUILTIN_LIST_SUM_INT, INT, { INTS }, { "[9223372036854775807,1]" }, NULL }, "integer overflow" },
        { { BUILTIN_DEC_TO_INT, INT, { DEC }, { "1e30" }, NULL }, "the number does not fit an int" },
        { { BUILTIN_FLOAT_FLOOR, INT, { FLOAT }, { "1e300" }, NULL }, "the number does not fit an int" },
        { { BUILTIN_FLOAT_SQRT, FLOAT, { FLOAT }, { "-1" }, NULL }, "a negative number has no square root" },
        { { BUILTIN_STR_REPEAT, TEXT, { TEXT, INT }, { "\"a\"", "-1" }, NULL }, "a text cannot be repeated -1 times" },
        { { BUILTIN_STR_PAD, TEXT, { TEXT, INT, TEXT }, { "\"a\"", "5", "\"\"" }, NULL }, "the padding must be one character" },
        { { BUILTIN_DATE_ADD_MONTHS, DATE, { DATE, INT }, { "\"9999-12-01\"", "1" }, NULL }, "the date is outside the years 1 to 9999" },
        { { BUILTIN_DATE_ADD, DATE, { DATE, DUR }, { "\"9999-12-31\"", "\"1d\"" }, NULL }, "the date is outside the years 1 to 9999" },
        { { BUILTIN_JSON_AS, PAIR, { JSON }, { "{\"s\":\"x\"}" }, NULL }, "/k: missing field" },
        { { BUILTIN_JS_SLICE, TEXT, { TEXT, FLOAT, FLOAT }, { "\"\xF0\x9F\x98\x80\"", "0", "1" }, NULL }, "slice(0, 1) cuts a character in two" },
        { { BUILTIN_JS_LOWER, TEXT, { TEXT }, { "\"\xCE\xA3\"" }, NULL }, "toLowerCase() has no sure answer for U+03A3" },
        { { BUILTIN_JS_NUMBER, FLOAT, { JSON }, { "\"1\"" }, NULL }, "the condition expects a number, found a string" },
        { { BUILTIN_JS_BOOL, BOOL, { JSON }, { "null" }, NULL }, "the condition expects true or false, found null" },
        { { BUILTIN_JS_JSON_SAME, BOOL, { JSON, JSON }, { "1", "\"1\"" }, NULL }, "the condition compares a number with a string" },
        { { BUILTIN_JS_JSON_LESS, BOOL, { JSON, JSON }, { "true", "false" }, NULL }, "the condition compares a boolean with a boolean" },
        { { BUILTIN_JS_JSON_MEMBER, JSON, { JSON, TEXT }, { "null", "\"a\"" }, NULL }, "the condition reads `a` of null" },
        { { BUILTIN_JS_JSON_AT, JSON, { JSON, FLOAT }, { "{}", "0" }, NULL }, "the condition reads a place of an object" },
        { { BUILTIN_JS_JSON_HAS, BOOL, { JSON, TEXT }, { "[1]", "\"0\"" }, NULL }, "the condition asks a list for a name" },
        { { BUILTIN_JS_JSON_TEXT, TEXT, { JSON }, { "{}" }, NULL }, "the condition expects a string, number or boolean, found a list or an object" },
    };
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) assert_fails(call(&bad[k].c, NULL), ERROR_KIND_invalid, bad[k].message);
}

static void sizes_are_limited_before_the_work(void **state)
{
    assert_limit(call(&(Case){ BUILTIN_STR_REPEAT, TEXT, { TEXT, INT }, { "\"ab\"", "1000000000000" }, NULL }, NULL), "VALUE_SIZE_MAX");
    assert_limit(call(&(Case){ BUILTIN_STR_PAD, TEXT, { TEXT, INT, TEXT }, { "\"ab\"", "9223372036854775807", "\"x\"" }, NULL }, NULL), "VALUE_SIZE_MAX");
    assert_limit(call(&(Case){ BUILTIN_RANGE, INTS, { INT, INT }, { "-9223372036854775808", "9223372036854775807" }, NULL }, NULL), "VALUE_ITEMS_MAX");
    assert_limit(call(&(Case){ BUILTIN_RANGE, INTS, { INT, INT }, { "0", "1000000" }, NULL }, &(VmLimits){ .fuel = 1000 }), "VM_FUEL_LIMIT");
    assert_limit(call(&(Case){ BUILTIN_JS_LENGTH, FLOAT, { TEXT }, { "\"0123456789012345678901234567890123456789012345678901234567890123456789\"" }, NULL }, &(VmLimits){ .fuel = 3 }), "VM_FUEL_LIMIT");
    assert_limit(call(&(Case){ BUILTIN_RANGE, INTS, { INT, INT }, { "0", "1000000" }, NULL }, &(VmLimits){ .memory_bytes = 1 << 20 }), "VM_MEMORY_LIMIT");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(builtins_give_what_their_names_say), cmocka_unit_test(every_builtin_has_a_case),
        cmocka_unit_test(what_cannot_be_is_raised), cmocka_unit_test(sizes_are_limited_before_the_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
