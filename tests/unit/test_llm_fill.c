/* test_llm_fill.c - what a request says about the parameters that a plan leaves out, without a model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "base/time.h"
#include "interpreter/effect/llm_model.h"
#include "tests/unit/vm_asm.h"

enum { T_CATEGORY = TYPE_INDEX_FIXED_COUNT, T_OPT_STR, T_LIST, CASE_BLANKS = 3 };
#define MONDAY INT64_C(20402)                            /* 2025-11-10 */

static Image *image;

static int make_image(void **state)
{
    static Str patterns[] = { { "i/\\b(?:hotel|flight)\\b", 22 }, { "", 0 } };
    Asm *m = asm_new();
    asm_enum(m, "Category", 2, (const char *const[]){ "TRAVEL", "FOOD" });
    m->image->types[T_CATEGORY].member_patterns = patterns;
    asm_type(m, KIND_OPT, TYPE_INDEX_STRING);
    asm_type(m, KIND_LIST, TYPE_INDEX_STRING);
    image = asm_done(m);
    return 0;
}

static int drop_image(void **state)
{
    image_free(image);
    return 0;
}

typedef struct Wanted { const char *param; uint16_t type; const char *pattern; } Wanted;
typedef struct Case { const char *request; Wanted blanks[CASE_BLANKS]; const char *says; } Case;

#define BLANK(param, type) { param, type, NULL }
static const Case cases[] = {
    /* what flow 22 documents */
    { "Book a hotel in Tokyo if my budget allows, then add to my calendar", { BLANK("category", T_CATEGORY), BLANK("city", TYPE_INDEX_STRING), { "title", TYPE_INDEX_STRING, "i/\\b(hotel in [A-Z]\\w+)" } },
      "{\"category\":\"TRAVEL\",\"city\":\"Tokyo\",\"title\":\"Hotel in Tokyo\"}" },
    /* places */
    { "Fly to New York tomorrow", { BLANK("destination", TYPE_INDEX_STRING) }, "{\"destination\":\"New York\"}" },
    { "a room in S\xC3\xA3o Paulo, please", { BLANK("city", T_OPT_STR) }, "{\"city\":\"S\xC3\xA3o Paulo\"}" },
    { "a room in November in Rome", { BLANK("hotel_city", TYPE_INDEX_STRING) }, "{\"hotel_city\":\"Rome\"}" },
    { "from Oslo to Bergen", { BLANK("from_city", TYPE_INDEX_STRING), BLANK("city", TYPE_INDEX_STRING) }, "{\"from_city\":\"Oslo\",\"city\":\"Bergen\"}" },
    { "book a room in a town", { BLANK("city", TYPE_INDEX_STRING) }, "{}" },
    { "Dinner with Anna on Friday", { BLANK("participant", TYPE_INDEX_STRING) }, "{\"participant\":\"Anna\"}" },
    /* texts */
    { "Note \"buy milk\" for me", { BLANK("text", TYPE_INDEX_STRING) }, "{\"text\":\"buy milk\"}" },
    { "Call it \xE2\x80\x9Cteam lunch\xE2\x80\x9D", { BLANK("title", TYPE_INDEX_STRING) }, "{\"title\":\"Team lunch\"}" },
    { "don't say that I can't", { BLANK("message", TYPE_INDEX_STRING) }, "{}" },
    { "anything goes in Rome", { BLANK("flight_id", TYPE_INDEX_STRING) }, "{}" },             /* a string of unknown sort is not guessed */
    /* numbers */
    { "3 nights for 2 guests", { BLANK("nights", TYPE_INDEX_INT), BLANK("guests", TYPE_INDEX_INT) }, "{\"nights\":3,\"guests\":2}" },
    { "a budget of 250.50, on 2025-12-24", { BLANK("budget", TYPE_INDEX_DECIMAL) }, "{\"budget\":250.50}" },
    { "pay \xE2\x82\xAC" "150 on 24.12.2025", { BLANK("amount", TYPE_INDEX_DECIMAL) }, "{\"amount\":150}" },
    { "record 1,200 euros", { BLANK("amount", TYPE_INDEX_DECIMAL) }, "{\"amount\":1200}" },
    { "a table for 4", { BLANK("people", TYPE_INDEX_INT) }, "{\"people\":4}" },                /* one number, one parameter */
    { "a table for 4 at 7", { BLANK("people", TYPE_INDEX_INT) }, "{}" },
    { "a table for 4", { BLANK("people", TYPE_INDEX_INT), BLANK("children", TYPE_INDEX_INT) }, "{}" },
    { "on 2025-12-24 at 10:30", { BLANK("people", TYPE_INDEX_INT) }, "{}" },
    { "order 9999999999999999999999 pieces", { BLANK("pieces", TYPE_INDEX_INT) }, "{}" },
    /* times */
    { "tomorrow at 2pm for 3 hours", { BLANK("start", TYPE_INDEX_TIMESTAMP), BLANK("duration", TYPE_INDEX_DURATION) }, "{\"start\":\"2025-11-11T14:00:00Z\",\"duration\":\"3h\"}" },
    { "Rome from 2025-12-20 until 2025-12-27", { BLANK("depart", TYPE_INDEX_DATE), BLANK("until", TYPE_INDEX_DATE) }, "{\"depart\":\"2025-12-20\",\"until\":\"2025-12-27\"}" },
    { "Rome on 2025-12-20", { BLANK("depart", TYPE_INDEX_DATE), BLANK("return_date", TYPE_INDEX_DATE) }, "{\"depart\":\"2025-12-20\"}" },
    /* what no rule is for stays open */
    { "yes, no, true", { BLANK("confirmed", TYPE_INDEX_BOOL), BLANK("tags", T_LIST), BLANK("extra", TYPE_INDEX_JSON) }, "{}" },
    /* patterns of parameters */
    { "flight LH123", { { "flight_id", TYPE_INDEX_STRING, "/\\b([A-Z]{2}\\d+)\\b" } }, "{\"flight_id\":\"LH123\"}" },
    { "ship it, certainly", { { "confirmed", TYPE_INDEX_BOOL, "i/certainly (yes|no)" } }, "{}" },
    { "say it: yes", { { "confirmed", TYPE_INDEX_BOOL, "i/say it: (yes|no)" } }, "{\"confirmed\":true}" },
    { "", { BLANK("city", TYPE_INDEX_STRING), BLANK("nights", TYPE_INDEX_INT), BLANK("start", TYPE_INDEX_TIMESTAMP) }, "{}" },
};

static LlmQuestion question_of(const Case *c, PlanBlank rows[CASE_BLANKS], PlanBlanks *blanks)
{
    *blanks = (PlanBlanks){ .rows = rows };
    for (int i = 0; i < CASE_BLANKS && c->blanks[i].param; i++)
        rows[blanks->count++] = (PlanBlank){ .name = str_of(c->blanks[i].param), .param = str_of(c->blanks[i].param), .tool = STR("t.x"), .pattern = c->blanks[i].pattern ? str_of(c->blanks[i].pattern) : (Str){ "", 0 }, .type = c->blanks[i].type };
    return (LlmQuestion){ .image = image, .kind = EFFECT_PLAN_FILL, .result = TYPE_INDEX_JSON, .text = str_of(c->request), .now_us = MONDAY * TIME_DAY + 10 * 3600 * TIME_SECOND, .blanks = blanks };
}

static void rules_take_what_the_request_says(void **state)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        PlanBlank rows[CASE_BLANKS];
        PlanBlanks blanks;
        LlmQuestion q = question_of(&cases[i], rows, &blanks);
        Buf out = { 0 }, again = { 0 };
        llm_fill_by_rules(&q, &out);
        llm_fill_by_rules(&q, &again);
        if (strcmp(buf_cstr(&out), cases[i].says) != 0) fail_msg("\"%s\": %s", cases[i].request, buf_cstr(&out));
        assert_string_equal(buf_cstr(&out), buf_cstr(&again));
        buf_free(&out);
        buf_free(&again);
    }
}

static void a_model_is_asked_for_the_blanks_and_nothing_else(void **state)
{
    Arena *arena = arena_new();
    PlanBlank rows[CASE_BLANKS];
    PlanBlanks blanks;
    LlmQuestion q = question_of(&cases[0], rows, &blanks);
    LlmAsk ask = { 0 };
    rows[1].doc = STR("where the hotel is");
    llm_prompt(&q, arena, &ask);
    assert_true(ask.strict);
    assert_string_equal(ask.schema.ptr, "{\"type\":\"object\",\"properties\":{\"category\":{\"anyOf\":[{\"type\":\"string\",\"enum\":[\"TRAVEL\",\"FOOD\"]},{\"type\":\"null\"}]},\"city\":{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]},"
                                        "\"title\":{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]}},\"required\":[\"category\",\"city\",\"title\"],\"additionalProperties\":false}");
    assert_non_null(strstr(ask.messages[0].text.ptr, "- city: the city of t.x: where the hotel is\n"));
    assert_true(str_is(ask.messages[1].text, cases[0].request));
    arena_free(arena);
}

static void what_a_model_says_of_them_is_checked(void **state)
{
    static const struct { const char *said, *complaint; } wrong[] = {
        { "{\"category\":\"SECRET\"}", "`category`" }, { "{\"city\":7}", "`city`" }, { "{\"tenant\":\"family-2\"}", "nobody asked for `tenant`" }, { "{\"city\":\"a\",\"city\":\"b\"}", "" }, { "[]", "no JSON object" }, { "Tokyo", "" },
    };
    PlanBlank rows[CASE_BLANKS];
    PlanBlanks blanks;
    LlmQuestion q = question_of(&cases[0], rows, &blanks);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        Buf complaint = { 0 };
        Value value;
        bool ok = true;
        assert_false(llm_read_answer(&q, str_of(wrong[i].said), &ok, &value, &complaint));
        if (!complaint.len || !strstr(buf_cstr(&complaint), wrong[i].complaint)) fail_msg("%s: %s", wrong[i].said, buf_cstr(&complaint));
        buf_free(&complaint);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_take_what_the_request_says),
        cmocka_unit_test(a_model_is_asked_for_the_blanks_and_nothing_else),
        cmocka_unit_test(what_a_model_says_of_them_is_checked),
    };
    return cmocka_run_group_tests(tests, make_image, drop_image);
}
