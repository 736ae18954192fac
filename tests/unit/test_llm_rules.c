/* test_llm_rules.c - the answers that need no model, and the dates and times people write. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "base/time.h"
#include "interpreter/effect/llm.h"
#include "tests/unit/vm_asm.h"

enum { T_INTENT = TYPE_INDEX_FIXED_COUNT, T_INTENTS, T_OPT_DATE, T_OPT_STR, T_TRIP };
#define MONDAY INT64_C(20402)                            /* 2025-11-10 */

static Image *image;
static Planner *planner;

static int make_image(void **state)
{
    static Str intents[] = { { "i/flight|fly", 12 }, { "i/appointment|calendar", 22 }, { "", 0 } };
    static Str fields[] = { { "/to ([A-Z]\\w+)", 14 }, { "", 0 }, { "i/hotel (\\w+)", 13 }, { "", 0 } };
    Asm *m = asm_new();
    asm_enum(m, "Intent", 3, (const char *const[]){ "BOOK_FLIGHT", "ADD_APPOINTMENT", "CHECK_BUDGET" });
    m->image->types[T_INTENT].member_patterns = intents;
    asm_type(m, KIND_LIST, T_INTENT);
    asm_type(m, KIND_OPT, TYPE_INDEX_DATE);
    asm_type(m, KIND_OPT, TYPE_INDEX_STRING);
    asm_record(m, "Trip", 4, (const char *const[]){ "city", "depart", "hotel", "price" }, (const uint16_t[]){ TYPE_INDEX_STRING, T_OPT_DATE, T_OPT_STR, TYPE_INDEX_DECIMAL });
    m->image->types[T_TRIP].field_patterns = fields;
    static const char *const names[] = { "search_flights", "check_budget" };
    for (int i = 0; i < 2; i++) {
        uint16_t a = IMAGE_ADD(m->image, agent);
        m->image->agents[a] = (ImageAgent){ .name = i ? STR("finance") : STR("travel"), .title = STR("x"), .location = AGENT_HTTP, .location_text = STR("http://x") };
        uint16_t t = IMAGE_ADD(m->image, tool);
        m->image->tools[t] = (ImageTool){ .name = str_of(names[i]), .doc = i ? STR("money that is left") : STR("Finds flights"), .agent = a, .func = NO_INDEX, .flags = TOOL_REMOTE | TOOL_READS, .compensated_by = NO_INDEX, .method = STR("GET"), .path = STR("/x"), .result = TYPE_INDEX_STRING, .key_param = NO_INDEX };
    }
    image = asm_done(m);
    planner = planner_new();
    return 0;
}

static int drop_image(void **state)
{
    planner_free(planner);
    image_free(image);
    return 0;
}

static bool ask(EffectKind kind, uint16_t result, const char *text, Value *out)
{
    LlmQuestion q = { .image = image, .kind = kind, .result = result, .text = str_of(text), .now_us = MONDAY * TIME_DAY + 10 * 3600 * TIME_SECOND, .planner = planner };
    return llm_rules_answer(&q, out);
}

static int64_t error_kind(Value error) { return ((Record *)error.o)->fields[ERROR_FIELD_KIND].i; }

static void classify_takes_the_first_mention(void **state)
{
    Value v;
    assert_true(ask(EFFECT_LLM_CLASSIFY, T_INTENT, "Put it in my calendar, then fly", &v));
    assert_int_equal(v.i, 1);
    assert_true(ask(EFFECT_LLM_CLASSIFY, T_INTENT, "please check budget now", &v));       /* no pattern: its name in words */
    assert_int_equal(v.i, 2);
    assert_false(ask(EFFECT_LLM_CLASSIFY, T_INTENT, "sing a song", &v));
    assert_int_equal(error_kind(v), ERROR_KIND_not_found);
    value_release(v);
}

static void classify_into_a_list_gives_every_intent_in_order(void **state)
{
    Value v;
    assert_true(ask(EFFECT_LLM_CLASSIFY, T_INTENTS, "Book a flight to Paris and add it to my calendar", &v));
    List *list = (List *)v.o;
    assert_int_equal(list->count, 2);
    assert_int_equal(list->items[0].i, 0);
    assert_int_equal(list->items[1].i, 1);
    value_release(v);
    assert_false(ask(EFFECT_LLM_CLASSIFY, T_INTENTS, "", &v));
    value_release(v);
}

static void extract_fills_fields_by_pattern_and_by_type(void **state)
{
    Value v;
    Buf json = { 0 };
    assert_true(ask(EFFECT_LLM_EXTRACT, T_TRIP, "Fly to Paris next Friday for €1,250.50", &v));
    value_to_json(image, T_TRIP, v, &json);
    assert_string_equal(buf_cstr(&json), "{\"city\":\"Paris\",\"depart\":\"2025-11-14\",\"hotel\":null,\"price\":1250.50}");
    value_release(v);
    buf_clear(&json);
    assert_true(ask(EFFECT_LLM_EXTRACT, T_TRIP, "to Rome, hotel Ritz, 90", &v));
    value_to_json(image, T_TRIP, v, &json);
    assert_string_equal(buf_cstr(&json), "{\"city\":\"Rome\",\"depart\":null,\"hotel\":\"Ritz\",\"price\":90}");
    value_release(v);
    buf_free(&json);
}

static void a_missing_field_is_named(void **state)
{
    Value v;
    assert_false(ask(EFFECT_LLM_EXTRACT, T_TRIP, "Fly somewhere for 90", &v));
    assert_int_equal(error_kind(v), ERROR_KIND_invalid);
    assert_true(str_is(value_str(((Record *)v.o)->fields[ERROR_FIELD_MESSAGE]), "the text does not say `city`"));
    value_release(v);
}

static void complete_falls_back_to_the_last_paragraph(void **state)
{
    Value v;
    assert_true(ask(EFFECT_LLM_COMPLETE, TYPE_INDEX_STRING, "You are polite.\n\nTell:\n\nYou have 3 appointments.\n", &v));
    assert_true(str_is(value_str(v), "You have 3 appointments."));
    value_release(v);
    assert_true(ask(EFFECT_LLM_COMPLETE, TYPE_INDEX_STRING, "one line", &v));
    assert_true(str_is(value_str(v), "one line"));
    value_release(v);
}

static void plan_lists_the_tools_the_request_speaks_of(void **state)
{
    Value v;
    Buf json = { 0 };
    assert_true(ask(EFFECT_LLM_PLAN, TYPE_INDEX_JSON, "Check my budget, then search a flight", &v));
    value_to_json(image, TYPE_INDEX_JSON, v, &json);
    assert_string_equal(buf_cstr(&json), "{\"strategy\":\"SEQUENTIAL\",\"flow\":[{\"agent\":\"finance\",\"action\":\"check_budget\",\"params\":{}},{\"agent\":\"travel\",\"action\":\"search_flights\",\"params\":{}}]}");
    value_release(v);
    buf_free(&json);
    Str only[] = { STR("travel") };
    LlmQuestion q = { .image = image, .kind = EFFECT_LLM_PLAN, .result = TYPE_INDEX_JSON, .text = STR("check my budget"), .agents = only, .agent_count = 1, .planner = planner };
    assert_false(llm_rules_answer(&q, &v));
    value_release(v);
}

static void too_long_a_text_is_refused(void **state)
{
    char *text = mem_alloc(LLM_TEXT_MAX + 2);
    Value v;
    memset(text, 'a', LLM_TEXT_MAX + 1);
    assert_false(ask(EFFECT_LLM_COMPLETE, TYPE_INDEX_STRING, text, &v));
    assert_int_equal(error_kind(v), ERROR_KIND_rejected);
    value_release(v);
    free(text);
}

static void dates_are_read_as_people_write_them(void **state)
{
    static const struct { const char *text; int64_t offset; } cases[] = {
        { "on 2025-11-12 please", 2 }, { "today", 0 }, { "see you Tomorrow!", 1 }, { "the day after tomorrow", 2 }, { "next Monday", 7 }, { "on Friday", 4 }, { "this sunday", 6 },
        { "next week", 7 }, { "in 3 days", 3 }, { "in 2 weeks", 14 }, { "November 15th", 5 }, { "15 November 2025", 5 }, { "the 15th of Nov", 5 }, { "12.11.2025", 2 }, { "on wed", 2 },
        { "January 1", 52 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t days;
        if (!llm_find_date(str_of(cases[i].text), MONDAY, &days) || days != MONDAY + cases[i].offset) fail_msg("%s", cases[i].text);
    }
    static const char *const none[] = { "", "I sat there", "30 February", "may be", "2025", "1-2", "the sun" };
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        int64_t days;
        if (llm_find_date(str_of(none[i]), MONDAY, &days)) fail_msg("%s", none[i]);
    }
}

static void times_are_read_as_people_write_them(void **state)
{
    static const struct { const char *text; int minutes; } cases[] = { { "at 2pm", 840 }, { "at 14:30", 870 }, { "2:30 pm", 870 }, { "12am", 0 }, { "12 pm", 720 }, { "noon", 720 }, { "at 09:05", 545 } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t us;
        if (!llm_find_time(str_of(cases[i].text), &us) || us != cases[i].minutes * 60 * TIME_SECOND) fail_msg("%s", cases[i].text);
    }
    int64_t us;
    assert_false(llm_find_time(STR("25:00 or 13pm or 7 of 9"), &us));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classify_takes_the_first_mention),
        cmocka_unit_test(classify_into_a_list_gives_every_intent_in_order),
        cmocka_unit_test(extract_fills_fields_by_pattern_and_by_type),
        cmocka_unit_test(a_missing_field_is_named),
        cmocka_unit_test(complete_falls_back_to_the_last_paragraph),
        cmocka_unit_test(plan_lists_the_tools_the_request_speaks_of),
        cmocka_unit_test(too_long_a_text_is_refused),
        cmocka_unit_test(dates_are_read_as_people_write_them),
        cmocka_unit_test(times_are_read_as_people_write_them),
    };
    return cmocka_run_group_tests(tests, make_image, drop_image);
}
