/* test_plan_read.c - JSON to the steps of a plan, what is said about a text that is none, and where. */
#include "compiler/plan/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

typedef struct World { Arena *arena; PlanDiags diags; PlanTree tree; } World;

static int set_up(void **state)
{
    World *w = mem_alloc(sizeof *w);
    w->arena = arena_new();
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    World *w = *state;
    arena_free(w->arena);
    free(w);
    return 0;
}

static bool read_text(World *w, Str text)
{
    plan_diags_init(&w->diags, w->arena);
    return plan_read(w->arena, text, &w->diags, &w->tree);
}

static void read_good(World *w, const char *text)
{
    if (!read_text(w, str_of(text)))
        fail_msg("%s\n%s %.*s: %.*s", text, w->diags.items[0].code, STR_ARG(w->diags.items[0].pointer), STR_ARG(w->diags.items[0].message));
}

static const char documented[] =
    "{\"strategy\":\"CONDITIONAL\",\"flow\":[{\"agent\":\"finance\",\"action\":\"check_budget\"},"
    "{\"condition\":\"budget_available >= 200\",\"then\":[{\"agent\":\"travel\",\"action\":\"book_hotel\"},{\"agent\":\"calendar\",\"action\":\"create_appointment\"}],"
    "\"else\":[{\"action\":\"notify_user\",\"message\":\"Insufficient budget\"}]}]}";

static void the_documented_plan_is_read_as_it_stands(void **state)
{
    World *w = *state;
    read_good(w, documented);
    const PlanNode *root = w->tree.root, *branch = root->steps[1];
    assert_int_equal(root->strategy, PLAN_CONDITIONAL);
    assert_int_equal(root->step_count, 2);
    assert_int_equal(branch->kind, PLAN_NODE_CONDITION);
    assert_true(str_is(branch->condition, "budget_available >= 200"));
    assert_int_equal(branch->step_count, 2);
    assert_int_equal(branch->otherwise_count, 1);
    assert_int_equal(branch->otherwise[0]->kind, PLAN_NODE_NOTIFY);
    assert_true(str_is(branch->otherwise[0]->message->json->text, "Insufficient budget"));
    assert_int_equal(w->tree.index_count, 4);
    assert_int_equal(w->tree.step_count, 5);
    assert_int_equal(w->tree.depth, 2);
    for (int32_t i = 0; i < 4; i++)
        assert_int_equal(w->tree.by_index[i]->index, i);
    assert_string_equal(plan_place_pointer(w->arena, w->tree.by_index[2]->place).ptr, "/flow/1/then/1");
}

static void members_come_through(void **state)
{
    World *w = *state;
    read_good(w, "{\"strategy\":\"PARALLEL\",\"timeout_ms\":5000,\"version\":1,\"message\":{\"$text\":\"${a.b}\"},\"flow\":["
                 "{\"agent\":\"x\",\"action\":\"y\",\"id\":\"one\",\"timeout_ms\":20,\"on_error\":\"RETRY\",\"condition\":\"true\"},"
                 "{\"strategy\":\"SEQUENTIAL\",\"flow\":[{\"agent\":\"x\",\"action\":\"z\"}],\"on_error\":\"CONTINUE\"},"
                 "{\"agent\":\"x\",\"action\":\"y\",\"on_error\":\"RETRY\",\"retry_count\":10}]}");
    const PlanNode *root = w->tree.root, *first = root->steps[0];
    assert_int_equal(root->timeout_us, 5000000);
    assert_int_equal(w->tree.fanout, 3);
    assert_int_equal(w->tree.message->kind, PLAN_VALUE_TEXT);
    assert_true(str_is(first->id, "one"));
    assert_int_equal(first->timeout_us, 20000);
    assert_int_equal(first->retry_count, PLAN_RETRIES_DEFAULT);
    assert_true(first->has_condition);
    assert_int_equal(root->steps[1]->kind, PLAN_NODE_GROUP);
    assert_int_equal(root->steps[1]->on_error, PLAN_CONTINUE);
    assert_int_equal(root->steps[2]->retry_count, 10);
}

static const PlanValue *param(World *w, const char *value)
{
    read_good(w, arena_printf(w->arena, "{\"strategy\":\"SEQUENTIAL\",\"flow\":[{\"agent\":\"x\",\"action\":\"y\",\"params\":{\"p\":%s}}]}", value));
    return &w->tree.by_index[0]->params[0].value;
}

static void values_refer_only_where_they_say_so(void **state)
{
    World *w = *state;
    assert_int_equal(param(w, "{\"a\":[1,{\"b\":\"${not.a.path}\"}],\"__proto__\":{}}")->kind, PLAN_VALUE_LITERAL);
    const PlanValue *ref = param(w, "{\"$ref\":\"hotel.id\"}");
    assert_int_equal(ref->kind, PLAN_VALUE_REF);
    assert_true(str_is(ref->source, "hotel.id"));
    assert_string_equal(plan_place_pointer(w->arena, ref->place).ptr, "/flow/0/params/p/$ref");
    const PlanValue *mixed = param(w, "{\"a\":[1,2],\"b\":[{\"$ref\":\"x\"}]}");
    assert_int_equal(mixed->kind, PLAN_VALUE_OBJECT);
    assert_int_equal(mixed->items[0].kind, PLAN_VALUE_LITERAL);
    assert_int_equal(mixed->items[1].kind, PLAN_VALUE_ARRAY);
    assert_int_equal(mixed->items[1].items[0].kind, PLAN_VALUE_REF);
    const PlanValue *text = param(w, "{\"$text\":\"a ${b} \\\\${c} $d\"}");
    assert_int_equal(text->kind, PLAN_VALUE_TEXT);
    assert_true(str_is(text->source, "a ${b} \\${c} $d"));
    assert_string_equal(plan_place_pointer(w->arena, text->place).ptr, "/flow/0/params/p/$text");
}

typedef struct Case { const char *text, *code, *pointer, *words; } Case;
static const Case cases[] = {
    { "", "E0720", "", "line 1" }, { "[]", "E0720", "", "an array" }, { "{\"strategy\":", "E0720", "", "ends before" },
    { "{\"strategy\":\"SEQUENTIAL\",\"flow\":[{\"agent\":\"a\",\"agent\":\"b\"}]}", "E0722", "/flow/0/agent", "duplicate" },
    { "{\"strategy\":\"SEQUENTIAL\",\"flow\":[{\"agent\":\"a\\u0000\"}]}", "E0740", "/flow/0/agent", "NUL" },
    { "{\"strategy\":\"SEQUENTIAL\",\"flow\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]", "E0721", "", "JSON_DEPTH_MAX" },
    { "{\"flow\":[{\"agent\":\"a\",\"action\":\"b\"}]}", "E0723", "/strategy", "missing" },
    { "{\"strategy\":\"sequential\",\"flow\":[{\"agent\":\"a\",\"action\":\"b\"}]}", "E0723", "/strategy", "unknown strategy" },
    { "{\"strategy\":\"SEQUENTIAL\"}", "E0723", "/flow", "missing" }, { "{\"strategy\":\"SEQUENTIAL\",\"flow\":[]}", "E0723", "/flow", "no steps" },
    { "{\"strategy\":\"SEQUENTIAL\",\"flow\":{}}", "E0723", "/flow", "an object" }, { "{\"strategy\":\"SEQUENTIAL\",\"flow\":[3]}", "E0723", "/flow/0", "an integer" },
#define STEP(members, code, pointer, words) { "{\"strategy\":\"SEQUENTIAL\",\"flow\":[{" members "}]}", code, pointer, words }
    STEP("", "E0723", "/flow/0/agent", "no `agent`"), STEP("\"agent\":\"a\"", "E0723", "/flow/0/action", "no `action`"),
    STEP("\"agent\":\"a\",\"action\":{\"$ref\":\"steps[0].tool\"}", "E0723", "/flow/0/action", "an object"),
    STEP("\"agent\":\"a\",\"action\":\"b\",\"then\":[]", "E0723", "/flow/0", "two things"), STEP("\"condition\":\"true\"", "E0723", "/flow/0/then", "without `then`"),
    STEP("\"then\":[{\"agent\":\"a\",\"action\":\"b\"}]", "E0723", "/flow/0/condition", "without a `condition`"),
    STEP("\"agent\":\"a\",\"action\":\"b\",\"parms\":{}", "E0722", "/flow/0/parms", "no member `parms`"),
    STEP("\"agent\":\"a\",\"action\":\"b\",\"approved\":true", "E0722", "/flow/0/approved", "no member"),
    STEP("\"agent\":\"a\",\"action\":\"b\",\"retry_count\":2", "E0723", "/flow/0/retry_count", "without"),
    STEP("\"agent\":\"a\",\"action\":\"b\",\"on_error\":\"RETRY\",\"retry_count\":11", "E0721", "/flow/0/retry_count", "PLAN_RETRIES_MAX"),
    STEP("\"agent\":\"a\",\"action\":\"b\",\"on_error\":\"RETRY\",\"retry_count\":0", "E0723", "/flow/0/retry_count", "is 0"),
    STEP("\"agent\":\"a\",\"action\":\"b\",\"timeout_ms\":86400001", "E0721", "/flow/0/timeout_ms", "PLAN_TIMEOUT_MAX"),
    STEP("\"agent\":\"a\",\"action\":\"b\",\"timeout_ms\":1.5", "E0723", "/flow/0/timeout_ms", "a number"),
    STEP("\"agent\":\"a\",\"action\":\"b\",\"id\":\"steps\"", "E0723", "/flow/0/id", "cannot be the name"),
    STEP("\"agent\":\"fin\xd0\xb0nce\",\"action\":\"b\"", "E0740", "/flow/0/agent", "U+0430"),
    STEP("\"agent\":\"a\",\"action\":\"b\",\"params\":{\"p\":\"x\xe2\x80\xaey\"}", "E0740", "/flow/0/params/p", "U+202E"),
    STEP("\"agent\":\"a\",\"action\":\"b\",\"params\":{\"p/q\":{\"$eval\":\"1\"}}", "E0722", "/flow/0/params/p~1q/$eval", "unknown form"),
    STEP("\"agent\":\"a\",\"action\":\"b\",\"params\":{\"p\":{\"$ref\":\"a\",\"b\":1}}", "E0722", "/flow/0/params/p", "together"),
    STEP("\"agent\":\"a\",\"action\":\"b\",\"condition\":true", "E0723", "/flow/0/condition", "a boolean"),
    STEP("\"action\":\"notify_user\"", "E0723", "/flow/0/message", "without"),
    STEP("\"action\":\"notify_user\",\"message\":\"x\",\"params\":{}", "E0722", "/flow/0/params", "`notify_user` has no member"),
};

static void what_is_wrong_is_said_with_its_place(void **state)
{
    World *w = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_false(read_text(w, str_of(cases[i].text)));
        const PlanDiag *diag = &w->diags.items[0];
        if (strcmp(diag->code, cases[i].code) || !str_is(diag->pointer, cases[i].pointer) || !strstr(diag->message.ptr, cases[i].words))
            fail_msg("%s\n%s %.*s: %.*s", cases[i].text, diag->code, STR_ARG(diag->pointer), STR_ARG(diag->message));
    }
}

static void several_mistakes_are_told_at_once(void **state)
{
    World *w = *state;
    static const char text[] = "{\"strategy\":\"PARALEL\",\"flow\":[{\"agent\":\"a\"},{\"agent\":\"a\",\"action\":\"b\",\"on_error\":\"retry\"},7,{\"agent\":\"a\",\"action\":\"c\"}],\"limits\":{}}";
    assert_false(read_text(w, str_of(text)));
    plan_diags_sort(&w->diags, str_of(text));
    static const char *const pointers[] = { "/strategy", "/flow/0/action", "/flow/1/on_error", "/flow/2", "/limits" };
    assert_int_equal(w->diags.count, 5);
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(w->diags.items[i].pointer.ptr, pointers[i]);
    assert_string_equal(w->diags.items[0].suggestion_json.ptr, "\"PARALLEL\"");
    assert_string_equal(w->diags.items[2].suggestion_json.ptr, "\"RETRY\"");
    assert_true(w->diags.items[4].widens_authority && !w->diags.items[4].suggestion_op.len);
    assert_int_equal(w->tree.index_count, 3);               /* the others are read all the same */
    assert_true(str_is(w->tree.by_index[2]->action, "c"));
}

static void put_many(Buf *out, const char *text, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        buf_printf(out, "%s%s", i ? "," : "", text);
}

static void expect_limit(World *w, Buf *text, const char *limit)
{
    if (!limit) {
        assert_true(read_text(w, buf_str(text)));
    } else {
        assert_false(read_text(w, buf_str(text)));
        assert_string_equal(w->diags.items[0].code, "E0721");
        if (!strstr(w->diags.items[0].message.ptr, limit))
            fail_msg("%s: %s", limit, w->diags.items[0].message.ptr);
    }
    buf_free(text);
}

static void steps_of(World *w, const char *strategy, uint32_t count, const char *limit)
{
    Buf text = { 0 };
    buf_printf(&text, "{\"strategy\":\"%s\",\"flow\":[", strategy);
    put_many(&text, "{\"agent\":\"a\",\"action\":\"b\"}", count);
    buf_put_text(&text, "]}");
    expect_limit(w, &text, limit);
}

static void nested(World *w, uint32_t depth, const char *limit)
{
    Buf text = { 0 };
    for (uint32_t i = 0; i < depth; i++)
        buf_put_text(&text, "{\"strategy\":\"SEQUENTIAL\",\"flow\":[");
    buf_put_text(&text, "{\"agent\":\"a\",\"action\":\"b\"}");
    for (uint32_t i = 0; i < depth; i++)
        buf_put_text(&text, "]}");
    expect_limit(w, &text, limit);
}

static void text_of_length(World *w, size_t length, const char *limit)
{
    Buf text = { 0 };
    buf_put_text(&text, "{\"strategy\":\"SEQUENTIAL\",\"flow\":[{\"action\":\"notify_user\",\"message\":\"");
    memset(buf_reserve(&text, length), 'x', length);
    text.len += length;
    buf_put_text(&text, "\"}]}");
    expect_limit(w, &text, limit);
}

static void names_of(World *w, size_t length, const char *limit)
{
    Buf text = { 0 };
    buf_printf(&text, "{\"strategy\":\"SEQUENTIAL\",\"flow\":[{\"agent\":\"%0*d\",\"action\":\"b\"}]}", (int)length, 0);
    expect_limit(w, &text, limit);
}

static void every_limit_has_a_name_and_the_value_below_it_passes(void **state)
{
    World *w = *state;
    steps_of(w, "SEQUENTIAL", PLAN_STEPS_MAX, NULL);
    steps_of(w, "SEQUENTIAL", PLAN_STEPS_MAX + 1, "PLAN_STEPS_MAX");
    steps_of(w, "PARALLEL", PLAN_FANOUT_MAX, NULL);
    steps_of(w, "PARALLEL", PLAN_FANOUT_MAX + 1, "PLAN_FANOUT_MAX");
    nested(w, PLAN_DEPTH_MAX, NULL);
    nested(w, PLAN_DEPTH_MAX + 1, "PLAN_DEPTH_MAX");
    text_of_length(w, PLAN_TEXT_MAX, NULL);
    text_of_length(w, PLAN_TEXT_MAX + 1, "PLAN_TEXT_MAX");
    text_of_length(w, PLAN_BYTES_MAX, "PLAN_BYTES_MAX");
    names_of(w, PLAN_NAME_MAX, NULL);
    names_of(w, PLAN_NAME_MAX + 1, "PLAN_NAME_MAX");
}

static void more_mistakes_than_are_kept_still_count(void **state)
{
    World *w = *state;
    Buf text = { 0 };
    buf_put_text(&text, "{\"strategy\":\"SEQUENTIAL\",\"flow\":[");
    put_many(&text, "{\"agent\":\"a\"}", PLAN_STEPS_MAX);
    buf_put_text(&text, "]}");
    assert_false(read_text(w, buf_str(&text)));
    assert_int_equal(w->diags.count, PLAN_DIAG_MAX);
    assert_int_equal(w->diags.error_count, PLAN_STEPS_MAX);
    buf_free(&text);
}

static void a_pointer_leads_back_to_the_text(void **state)
{
    World *w = *state;
    static const char text[] = "{ \"a/b\" : [ 1, {\"x~\": \"p\\u00e9\\ud83d\\ude00q\"} ], \"\\u0063\": {} }";
    static const struct { const char *pointer; int32_t offset; const char *found; } at[] = {
        { "", -1, NULL }, { "/a~1b", -1, "[ 1, {\"x~\": \"p\\u00e9\\ud83d\\ude00q\"} ]" }, { "/a~1b/0", -1, "1" }, { "/a~1b/1/x~0", -1, "\"p\\u00e9\\ud83d\\ude00q\"" },
        { "/c", -1, "{}" }, { "/c/missing", -1, "{}" }, { "/a~1b/1/x~0", 0, "p" }, { "/a~1b/1/x~0", 1, "\\" }, { "/a~1b/1/x~0", 7, "q" }, { "/a~1b/7", -1, NULL },
    };
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        size_t start, end;
        plan_place_bytes(str_of(text), str_of(at[i].pointer), at[i].offset, &start, &end);
        assert_true(start <= end && end <= strlen(text));
        if (at[i].found && !str_is((Str){ text + start, end - start }, at[i].found))
            fail_msg("%s: %.*s", at[i].pointer, (int)(end - start), text + start);
    }
    Str broken[] = { STR("{\"a"), STR("{\"a\":[1,"), STR("[\"\\"), STR("}"), STR("") };
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        size_t start, end;
        plan_place_bytes(broken[i], STR("/a/1"), 3, &start, &end);
        assert_true(start <= end && end <= broken[i].len);
        plan_place_of_offset(w->arena, broken[i], broken[i].len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_documented_plan_is_read_as_it_stands, set_up, tear_down),
        cmocka_unit_test_setup_teardown(members_come_through, set_up, tear_down),
        cmocka_unit_test_setup_teardown(values_refer_only_where_they_say_so, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_wrong_is_said_with_its_place, set_up, tear_down),
        cmocka_unit_test_setup_teardown(several_mistakes_are_told_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_limit_has_a_name_and_the_value_below_it_passes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(more_mistakes_than_are_kept_still_count, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_pointer_leads_back_to_the_text, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("reading plans", tests, NULL, NULL);
}
