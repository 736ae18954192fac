/* hot_contract.h - what every home of hot state must do, said against hot.h alone. A home's test defines contract_open() and
 * includes this. Every test has a tenant of its own, so that one server serves them all.
 */
#ifndef TESTS_HOT_CONTRACT_H
#define TESTS_HOT_CONTRACT_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <event2/event.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/time.h"
#include "interpreter/store/hot.h"

/* A client of the home under test; two of them see the same entries. */
static Hot *contract_open(void);
static void contract_shut(Hot *hot);

static struct event_base *contract_loop;
static Hot *contract_hot;
static char contract_tenant[64];
#define TENANT str_of(contract_tenant)
#define NOW (1000 * TIME_SECOND)
#define A_MINUTE (60 * TIME_SECOND)

static int contract_setup(void **state)
{
    static int number;
    snprintf(contract_tenant, sizeof contract_tenant, "t%d-%d", (int)getpid(), ++number);
    contract_loop = event_base_new();
    contract_hot = contract_open();
    return 0;
}

static int contract_teardown(void **state)
{
    contract_shut(contract_hot);
    event_base_free(contract_loop);
    return 0;
}

/* ---- short words: one call, and what came of it ---- */

typedef struct Answer {
    int calls;
    Err err; char text[ERROR_TEXT_MAX];
    bool found;
    int64_t number;
    uint32_t count;
    Buf shown;                           /* name=value;… */
    int order;
} Answer;
static int answers_given;

static void on_answer(const HotResult *result, void *arg)
{
    Answer *a = arg;
    a->calls++;
    a->order = ++answers_given;
    a->err = result->err;
    snprintf(a->text, sizeof a->text, "%s", result->err ? result->error.text : "");
    a->found = result->found;
    a->number = result->number;
    a->count = result->count;
    buf_clear(&a->shown);
    for (uint32_t i = 0; i < result->count; i++) {
        buf_put_str(&a->shown, result->fields[i].name);
        buf_put_char(&a->shown, '=');
        buf_put_str(&a->shown, result->fields[i].value);
        buf_put_char(&a->shown, ';');
    }
}

static void settle(Hot *hot, const Answer *answer)
{
    assert_int_equal(answer->calls, 0);                    /* never from within the call */
    while (!answer->calls)
        hot_wait(hot);
    assert_int_equal(answer->calls, 1);
}

static void wants(const Answer *a, Err err)
{
    if (a->err != err) fail_msg("found %s `%s`, expected %s", err_name(a->err), a->text, err_name(err));
}

static Answer read_at(Hot *hot, Str tenant, const char *key, int64_t now)
{
    static Buf shown;
    Answer a = { .shown = shown };
    hot_read(hot, tenant, str_of(key), now, on_answer, &a);
    settle(hot, &a);
    shown = a.shown;                                       /* lives until the next read */
    wants(&a, ERR_OK);
    return a;
}
static void shows(Str tenant, const char *key, int64_t now, const char *fields)
{
    Answer a = read_at(contract_hot, tenant, key, now);
    assert_true(a.found);
    assert_string_equal(buf_cstr(&a.shown), fields);
}
static void is_gone(Str tenant, const char *key, int64_t now)
{
    Answer a = read_at(contract_hot, tenant, key, now);
    assert_false(a.found);
    assert_int_equal(a.count, 0);
}
static Answer put(Str tenant, const char *key, const HotField *fields, uint32_t count, int64_t now, int64_t ttl)
{
    Answer a = { 0 };
    hot_put(contract_hot, tenant, str_of(key), fields, count, now, ttl, on_answer, &a);
    settle(contract_hot, &a);
    return a;
}
static Answer put_one(Str tenant, const char *key, const char *name, const char *value, int64_t now, int64_t ttl)
{
    return put(tenant, key, &(HotField){ str_of(name), str_of(value) }, 1, now, ttl);
}
static void must_put(Str tenant, const char *key, const char *name, const char *value, int64_t now, int64_t ttl)
{
    Answer a = put_one(tenant, key, name, value, now, ttl);
    wants(&a, ERR_OK);
}
static bool put_new(const char *key, const char *value, int64_t now, int64_t ttl)
{
    Answer a = { 0 };
    hot_put_new(contract_hot, TENANT, str_of(key), str_of(value), now, ttl, on_answer, &a);
    settle(contract_hot, &a);
    wants(&a, ERR_OK);
    return a.found;
}
static bool change(Hot *hot, const char *key, const char *field, const char *expected, const HotField *fields, uint32_t count, int64_t now)
{
    Answer a = { 0 };
    hot_change(hot, TENANT, str_of(key), str_of(field), str_of(expected), fields, count, now, A_MINUTE, on_answer, &a);
    settle(hot, &a);
    wants(&a, ERR_OK);
    return a.found;
}
static Answer add(const char *key, int64_t by, int64_t now)
{
    Answer a = { 0 };
    hot_add(contract_hot, TENANT, str_of(key), by, now, A_MINUTE, on_answer, &a);
    settle(contract_hot, &a);
    return a;
}
static Answer erase(Str tenant, const char *key)
{
    Answer a = { 0 };
    hot_erase(contract_hot, tenant, str_of(key), on_answer, &a);
    settle(contract_hot, &a);
    return a;
}
static Answer erase_prefix(Str tenant, const char *prefix)
{
    Answer a = { 0 };
    hot_erase_prefix(contract_hot, tenant, str_of(prefix), on_answer, &a);
    settle(contract_hot, &a);
    return a;
}

/* ---- entries ---- */

static void what_was_put_is_read(void **state)
{
    is_gone(TENANT, "cache:1", NOW);
    must_put(TENANT, "cache:1", "", "a value", NOW, A_MINUTE);
    shows(TENANT, "cache:1", NOW, "=a value;");
    must_put(TENANT, "cache:1", "", "another", NOW, A_MINUTE);
    shows(TENANT, "cache:1", NOW, "=another;");
    must_put(TENANT, "cache:1", "", "", NOW, A_MINUTE);
    shows(TENANT, "cache:1", NOW, "=;");
}

static void any_bytes_are_a_value(void **state)
{
    char bytes[256];
    Answer a = { 0 };
    for (int i = 0; i < 256; i++) bytes[i] = (char)i;
    HotField field = { .value = { bytes, sizeof bytes } };
    a = put(TENANT, "bytes", &field, 1, NOW, A_MINUTE);
    wants(&a, ERR_OK);
    a = read_at(contract_hot, TENANT, "bytes", NOW);
    assert_int_equal(a.shown.len, 258);
    assert_memory_equal(a.shown.ptr + 1, bytes, sizeof bytes);
}

static void fields_are_put_beside_each_other(void **state)
{
    HotField two[] = { { STR("month"), STR("may") }, { STR("last_query"), STR("spending") } };
    Answer a = put(TENANT, "session:7", two, 2, NOW, A_MINUTE);
    wants(&a, ERR_OK);
    shows(TENANT, "session:7", NOW, "last_query=spending;month=may;");
    must_put(TENANT, "session:7", "month", "june", NOW, A_MINUTE);
    must_put(TENANT, "session:7", "amount", "12", NOW, A_MINUTE);
    shows(TENANT, "session:7", NOW, "amount=12;last_query=spending;month=june;");
}

static void all_of_an_entry_ends_together(void **state)
{
    must_put(TENANT, "s", "a", "1", NOW, 10 * TIME_SECOND);
    must_put(TENANT, "s", "b", "2", NOW + 5 * TIME_SECOND, 10 * TIME_SECOND);
    shows(TENANT, "s", NOW + 15 * TIME_SECOND - 1, "a=1;b=2;");
    is_gone(TENANT, "s", NOW + 15 * TIME_SECOND);
}

static void an_entry_that_ended_leaves_nothing_to_the_next(void **state)
{
    must_put(TENANT, "s", "old", "1", NOW, TIME_SECOND);
    must_put(TENANT, "s", "new", "2", NOW + TIME_SECOND, A_MINUTE);
    shows(TENANT, "s", NOW + TIME_SECOND, "new=2;");
    must_put(TENANT, "n", "", "41", NOW, TIME_SECOND);
    assert_int_equal(add("n", 1, NOW + TIME_SECOND).number, 1);
}

static void without_a_time_to_live_it_stays(void **state)
{
    must_put(TENANT, "s", "a", "1", NOW, TIME_SECOND);
    must_put(TENANT, "s", "a", "2", NOW, 0);
    shows(TENANT, "s", NOW + 10000 * TIME_DAY, "a=2;");
    must_put(TENANT, "s", "a", "3", NOW, TIME_SECOND);
    is_gone(TENANT, "s", NOW + TIME_SECOND);
}

static void put_new_lets_one_win(void **state)
{
    assert_true(put_new("lock", "me", NOW, TIME_SECOND));
    assert_false(put_new("lock", "you", NOW, A_MINUTE));
    shows(TENANT, "lock", NOW, "=me;");
    assert_true(put_new("lock", "you", NOW + TIME_SECOND, A_MINUTE));      /* the first one's time is over */
    shows(TENANT, "lock", NOW + TIME_SECOND, "=you;");
}

static void compare_and_set_lets_one_of_two_clients_win(void **state)
{
    Hot *other = contract_open();
    HotField first[] = { { STR("version"), STR("1") }, { STR("by"), STR("me") } }, second[] = { { STR("version"), STR("2") } };
    assert_false(change(contract_hot, "doc", "version", "0", first, 2, NOW));           /* nothing there is not 0 */
    assert_true(change(contract_hot, "doc", "version", "", first, 2, NOW));
    assert_false(change(other, "doc", "version", "", second, 1, NOW));
    assert_true(change(other, "doc", "version", "1", second, 1, NOW));
    assert_false(change(contract_hot, "doc", "version", "1", first, 2, NOW));
    shows(TENANT, "doc", NOW, "version=2;");                                            /* replaced, not merged */
    Answer a = { 0 }, b = { 0 };
    HotField mine = { STR("version"), STR("3") }, yours = { STR("version"), STR("4") };
    hot_change(contract_hot, TENANT, STR("doc"), STR("version"), STR("2"), &mine, 1, NOW, A_MINUTE, on_answer, &a);
    hot_change(other, TENANT, STR("doc"), STR("version"), STR("2"), &yours, 1, NOW, A_MINUTE, on_answer, &b);
    settle(contract_hot, &a);
    if (!b.calls) settle(other, &b);
    assert_int_equal(a.found + b.found, 1);
    shows(TENANT, "doc", NOW, a.found ? "version=3;" : "version=4;");
    assert_true(change(contract_hot, "doc", "version", "", first, 1, NOW + (60 * A_MINUTE))); /* it ended: there is none */
    contract_shut(other);
}

static void numbers_are_added_up(void **state)
{
    assert_int_equal(add("n", 5, NOW).number, 5);
    assert_int_equal(add("n", -7, NOW).number, -2);
    shows(TENANT, "n", NOW, "=-2;");
    assert_int_equal(add("n", INT64_MAX, NOW).number, INT64_MAX - 2);
    Answer a = add("n", 3, NOW);
    wants(&a, ERR_LIMIT);
    shows(TENANT, "n", NOW, "=9223372036854775805;");
    must_put(TENANT, "text", "", "seven", NOW, A_MINUTE);
    a = add("text", 1, NOW);
    wants(&a, ERR_INVALID);
    assert_int_equal(add("n", 0, NOW + (60 * A_MINUTE)).number, 0);                           /* ended */
}

static void erased_is_gone(void **state)
{
    must_put(TENANT, "a", "", "1", NOW, A_MINUTE);
    assert_int_equal(erase(TENANT, "a").number, 1);
    assert_int_equal(erase(TENANT, "a").number, 0);
    is_gone(TENANT, "a", NOW);
}

static void a_prefix_is_taken_as_it_is_spelled(void **state)
{
    const char *const in[] = { "c:1", "c:2", "c:", "c:\xF4\x8F\xBF\xBF\xF4\x8F\xBF\xBFx", "c:*", "c:[a]?\\" }, *const out[] = { "c", "d:1", "C:1", "b", "xc:1" };
    for (size_t i = 0; i < sizeof in / sizeof *in; i++) must_put(TENANT, in[i], "", "x", NOW, A_MINUTE);
    for (size_t i = 0; i < sizeof out / sizeof *out; i++) must_put(TENANT, out[i], "", "x", NOW, A_MINUTE);
    assert_int_equal(erase_prefix(TENANT, "c:[a]?").number, 1);
    assert_int_equal(erase_prefix(TENANT, "c:*").number, 1);
    assert_int_equal(erase_prefix(TENANT, "c:").number, 4);
    for (size_t i = 0; i < sizeof out / sizeof *out; i++) shows(TENANT, out[i], NOW, "=x;");
    assert_int_equal(erase_prefix(TENANT, "").number, 5);
    for (int i = 0; i < 2500; i++) {                                                    /* more than one step of any home */
        char key[32];
        snprintf(key, sizeof key, "many:%d", i);
        hot_put(contract_hot, TENANT, str_of(key), &(HotField){ .value = STR("x") }, 1, NOW, A_MINUTE, NULL, NULL);
        if (i % 500 == 499) while (hot_busy(contract_hot)) hot_wait(contract_hot);
    }
    assert_int_equal(erase_prefix(TENANT, "many:").number, 2500);
    is_gone(TENANT, "many:7", NOW);
}

/* ---- tenants ---- */

static void no_tenant_sees_anothers(void **state)
{
    static const char *const HOSTILE[] = { "a", "a}", "{a", "{a}", "a:b", "a%7D", "a%", "a}:b", "*", "a*", "a\n", "..", "a'b", "\xC3\xA4" };
    enum { COUNT = sizeof HOSTILE / sizeof *HOSTILE };
    char tenants[COUNT][128], value[16];
    for (int i = 0; i < COUNT; i++) {
        snprintf(tenants[i], sizeof tenants[i], "%s%s", HOSTILE[i], contract_tenant);
        snprintf(value, sizeof value, "%d", i);
        must_put(str_of(tenants[i]), "k", "", value, NOW, A_MINUTE);
        must_put(str_of(tenants[i]), "b:k", "", value, NOW, A_MINUTE);
    }
    for (int i = 0; i < COUNT; i++) {
        snprintf(value, sizeof value, "=%d;", i);
        shows(str_of(tenants[i]), "k", NOW, value);
        shows(str_of(tenants[i]), "b:k", NOW, value);
    }
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(erase_prefix(str_of(tenants[i]), "").number, 2);               /* its own alone */
        for (int j = i + 1; j < COUNT; j++) {
            snprintf(value, sizeof value, "=%d;", j);
            shows(str_of(tenants[j]), "k", NOW, value);
        }
    }
}

/* ---- order and arguments ---- */

static void answers_come_in_the_order_of_the_calls(void **state)
{
    enum { CALLS = 200 };
    Answer answers[CALLS] = { 0 };
    for (int i = 0; i < CALLS; i++) {
        char value[16];
        snprintf(value, sizeof value, "%d", i);
        if (i % 2 == 0) hot_put(contract_hot, TENANT, STR("k"), &(HotField){ .value = str_of(value) }, 1, NOW, A_MINUTE, on_answer, &answers[i]);
        else hot_read(contract_hot, TENANT, i % 10 == 9 ? STR("") : STR("k"), NOW, on_answer, &answers[i]);
    }
    assert_true(hot_busy(contract_hot));
    while (hot_busy(contract_hot)) hot_wait(contract_hot);
    for (int i = 0; i < CALLS; i++) {
        assert_int_equal(answers[i].calls, 1);
        assert_int_equal(answers[i].order, answers[0].order + i);
        wants(&answers[i], i % 10 == 9 ? ERR_INVALID : ERR_OK);
        if (i % 2 && i % 10 != 9) assert_true(atoi(buf_cstr(&answers[i].shown) + 1) >= i - 1);   /* a read sees what was written before it, and maybe more */
        buf_free(&answers[i].shown);
    }
}

static void the_loop_delivers_too(void **state)
{
    Answer a = { 0 }, b = { 0 };
    hot_put(contract_hot, TENANT, STR("k"), &(HotField){ .value = STR("v") }, 1, NOW, A_MINUTE, on_answer, &a);
    hot_read(contract_hot, TENANT, STR("k"), NOW, on_answer, &b);
    assert_int_equal(a.calls, 0);
    while (!b.calls) event_base_loop(contract_loop, EVLOOP_ONCE);
    assert_int_equal(a.calls, 1);
    assert_string_equal(buf_cstr(&b.shown), "=v;");
    buf_free(&b.shown);
    assert_false(hot_busy(contract_hot));
}

static void refused(Str tenant, Str key, Str field, Err err, const char *part)
{
    Answer a = { 0 };
    hot_put(contract_hot, tenant, key, &(HotField){ .name = field }, 1, NOW, A_MINUTE, on_answer, &a);
    settle(contract_hot, &a);
    wants(&a, err);
    if (!strstr(a.text, part)) fail_msg("`%s` does not name `%s`", a.text, part);
}

static void what_does_not_fit_is_refused(void **state)
{
    char big[HOT_KEY_MAX + 1];
    memset(big, 'x', sizeof big);
    refused(TENANT, (Str){ big, sizeof big }, STR("a"), ERR_LIMIT, "HOT_KEY_MAX");
    refused((Str){ big, sizeof big }, STR("k"), STR("a"), ERR_LIMIT, "HOT_KEY_MAX");
    refused(TENANT, STR("k"), (Str){ big, sizeof big }, ERR_LIMIT, "HOT_KEY_MAX");
    refused(STR(""), STR("k"), STR("a"), ERR_INVALID, "tenant");
    refused(TENANT, STR(""), STR("a"), ERR_INVALID, "key");
    refused(TENANT, STR("a\0b"), STR("a"), ERR_INVALID, "NUL");
    refused(TENANT, STR("a\xFF"), STR("a"), ERR_INVALID, "UTF-8");
    refused(TENANT, STR("k"), STR("$end"), ERR_INVALID, "reserved");
    refused(TENANT, (Str){ big, HOT_KEY_MAX }, STR("a"), ERR_OK, "");
    char *large = calloc(1, HOT_VALUE_MAX + 1);             /* one byte too many, and then not */
    HotField field = { .name = STR("a"), .value = { large, HOT_VALUE_MAX + 1 } };
    Answer a = put(TENANT, "k", &field, 1, NOW, A_MINUTE);
    wants(&a, ERR_LIMIT);
    assert_non_null(strstr(a.text, "HOT_VALUE_MAX"));
    is_gone(TENANT, "k", NOW);
    field.value.len = HOT_VALUE_MAX;
    a = put(TENANT, "k", &field, 1, NOW, A_MINUTE);
    wants(&a, ERR_OK);
    assert_int_equal(read_at(contract_hot, TENANT, "k", NOW).shown.len, HOT_VALUE_MAX + 3);
    free(large);
}

static void an_entry_has_so_many_fields_and_no_more(void **state)
{
    static char names[HOT_FIELDS_MAX + 1][8];
    static HotField fields[HOT_FIELDS_MAX + 1];
    for (int i = 0; i <= HOT_FIELDS_MAX; i++) {
        snprintf(names[i], sizeof names[i], "f%d", i);
        fields[i] = (HotField){ str_of(names[i]), STR("v") };
    }
    Answer a = put(TENANT, "k", fields, HOT_FIELDS_MAX + 1, NOW, A_MINUTE);
    wants(&a, ERR_LIMIT);
    a = put(TENANT, "k", fields, HOT_FIELDS_MAX, NOW, A_MINUTE);
    wants(&a, ERR_OK);
    a = put(TENANT, "k", fields, HOT_FIELDS_MAX, NOW, A_MINUTE);                     /* the same ones */
    wants(&a, ERR_OK);
    a = put(TENANT, "k", &fields[HOT_FIELDS_MAX], 1, NOW, A_MINUTE);                 /* one more */
    wants(&a, ERR_LIMIT);
    assert_non_null(strstr(a.text, "HOT_FIELDS_MAX"));
    assert_int_equal(read_at(contract_hot, TENANT, "k", NOW).count, HOT_FIELDS_MAX);
}

static void closing_answers_everybody(void **state)
{
    Answer a = { 0 }, b = { 0 };
    Hot *other = contract_open();
    hot_put(other, TENANT, STR("k"), &(HotField){ .value = STR("v") }, 1, NOW, A_MINUTE, on_answer, &a);
    hot_erase_prefix(other, TENANT, STR("zzz"), on_answer, &b);
    contract_shut(other);
    assert_int_equal(a.calls, 1);
    assert_int_equal(b.calls, 1);
    wants(&a, ERR_IO);
    wants(&b, ERR_IO);
}

#define CONTRACT_TEST(name) cmocka_unit_test_setup_teardown(name, contract_setup, contract_teardown)
#define HOT_CONTRACT_TESTS \
    CONTRACT_TEST(what_was_put_is_read), CONTRACT_TEST(any_bytes_are_a_value), CONTRACT_TEST(fields_are_put_beside_each_other), CONTRACT_TEST(all_of_an_entry_ends_together), \
    CONTRACT_TEST(an_entry_that_ended_leaves_nothing_to_the_next), CONTRACT_TEST(without_a_time_to_live_it_stays), CONTRACT_TEST(put_new_lets_one_win), \
    CONTRACT_TEST(compare_and_set_lets_one_of_two_clients_win), CONTRACT_TEST(numbers_are_added_up), CONTRACT_TEST(erased_is_gone), CONTRACT_TEST(a_prefix_is_taken_as_it_is_spelled), \
    CONTRACT_TEST(no_tenant_sees_anothers), CONTRACT_TEST(answers_come_in_the_order_of_the_calls), CONTRACT_TEST(the_loop_delivers_too), CONTRACT_TEST(what_does_not_fit_is_refused), \
    CONTRACT_TEST(an_entry_has_so_many_fields_and_no_more), CONTRACT_TEST(closing_answers_everybody),
#endif
