/* test_condition.c - the conditions of plans: what they mean, what is refused where and with which words, limits, references, texts. Tables in tests/plans/conditions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/plans/condition_program.h"

enum { CASES_MAX = 400, FILE_MAX = 1 << 20 };
#define FOLDER "tests/plans/conditions/"

/* ---- tables ---- */

typedef struct Row { Str expect, text, suggestion; int line; } Row;
typedef struct Table { Buf file; Row rows[CASES_MAX]; uint32_t count; } Table;

static Str until(Str *rest, char end)
{
    const char *at = rest->len ? memchr(rest->ptr, end, rest->len) : NULL;
    Str part = { rest->ptr, at ? (size_t)(at - rest->ptr) : rest->len };
    size_t skip = part.len + (at != NULL);
    *rest = (Str){ rest->ptr + skip, rest->len - skip };
    return part;
}

static void table_read(const char *path, bool expects, Table *table)
{
    Error error;
    *table = (Table){ .count = 0 };
    if (file_read(path, FILE_MAX, &table->file, &error)) fail_msg("%s", error.text);
    Str rest = buf_str(&table->file);
    for (int line = 1; rest.len; line++) {
        Str text = until(&rest, '\n');
        if (!text.len || (line == 1 && text.ptr[0] == '#')) continue;
        assert_true(table->count < CASES_MAX);
        Row *row = &table->rows[table->count++];
        row->line = line;
        if (expects) row->expect = until(&text, '\t');
        row->text = expects ? until(&text, '\t') : text;
        row->suggestion = expects ? text : STR("");
    }
}

static Str declarations(void)
{
    static Buf text;
    Error error;
    if (!text.len && file_read(FOLDER "env.flow", FILE_MAX, &text, &error)) fail_msg("%s", error.text);
    return buf_str(&text);
}

static Value environment(const ConditionProgram *program)
{
    Buf text = { 0 };
    Error error = { 0 };
    Json *json;
    Value env = { 0 };
    Arena *arena = arena_new();
    if (file_read(FOLDER "env.json", FILE_MAX, &text, &error) || json_parse(arena, buf_str(&text), FILE_MAX, &json, &error) || condition_env(program, json, &env, &error))
        fail_msg("%s", error.text);
    arena_free(arena);
    buf_free(&text);
    return env;
}

static void print_issues(const ConditionCase *c)
{
    for (uint32_t i = 0; i < c->issues.count; i++) {
        const ConditionIssue *issue = &c->issues.items[i];
        print_message("    %s %u+%u %.*s | expected %.*s | actual %.*s | suggested %.*s\n", issue->code, issue->offset, issue->length, STR_ARG(issue->message),
                      STR_ARG(issue->expected), STR_ARG(issue->actual), STR_ARG(issue->suggestion));
    }
}

/* ---- what conditions mean ---- */

static bool as_expected(Str found, Str expect)
{
    if (!str_starts(expect, STR("raises "))) return str_eq(found, expect);
    Str words = { expect.ptr + 7, expect.len - 7 };
    return found.len && found.ptr[0] == '{' && memmem(found.ptr, found.len, words.ptr, words.len);
}

static void conditions_mean_what_javascript_means(void **state)
{
    Table *table = mem_alloc(sizeof *table);
    ConditionCase *cases = mem_alloc(CASES_MAX * sizeof *cases);
    ConditionProgram program = { 0 };
    int wrong = 0;
    table_read(FOLDER "meaning.txt", true, table);
    assert_true(table->count > 80);
    for (uint32_t i = 0; i < table->count; i++) cases[i] = (ConditionCase){ .text = table->rows[i].text };
    assert_true(condition_program(&program, declarations(), cases, table->count));
    Value env = environment(&program);
    for (uint32_t i = 0; i < table->count; i++) {
        Buf found = { 0 };
        if (cases[i].accepted) condition_put_result(&program, &cases[i], i, env, &found);
        if (!cases[i].accepted || !as_expected(buf_str(&found), table->rows[i].expect)) {
            wrong++;
            print_message("line %d: %.*s\n    found %s, expected %.*s\n", table->rows[i].line, STR_ARG(table->rows[i].text), buf_cstr(&found), STR_ARG(table->rows[i].expect));
            print_issues(&cases[i]);
        }
        buf_free(&found);
    }
    value_release(env);
    condition_program_free(&program);
    buf_free(&table->file);
    free(cases);
    free(table);
    assert_int_equal(wrong, 0);
}

/* ---- what is refused ---- */

static bool is_refused_as(const ConditionCase *c, const Row *row)
{
    char head[32];
    if (c->accepted || !c->issues.count) return false;
    const ConditionIssue *issue = &c->issues.items[0];
    snprintf(head, sizeof head, "%s %u", issue->code, issue->offset);
    return str_is(row->expect, head) && issue->message.len && (!row->suggestion.len || str_eq(row->suggestion, issue->suggestion))
        && issue->offset + issue->length <= row->text.len + 2;
}

static void what_is_refused_has_a_code_a_place_and_a_way_out(void **state)
{
    Table *table = mem_alloc(sizeof *table);
    ConditionCase *cases = mem_alloc(CASES_MAX * sizeof *cases);
    ConditionProgram program = { 0 };
    int wrong = 0;
    table_read(FOLDER "refused.txt", true, table);
    assert_true(table->count > 150);
    for (uint32_t i = 0; i < table->count; i++) cases[i] = (ConditionCase){ .text = table->rows[i].text };
    assert_true(condition_program(&program, declarations(), cases, table->count));
    for (uint32_t i = 0; i < table->count; i++) {
        if (is_refused_as(&cases[i], &table->rows[i])) continue;
        wrong++;
        print_message("line %d: %.*s\t%.*s\n", table->rows[i].line, STR_ARG(table->rows[i].expect), STR_ARG(table->rows[i].text));
        print_issues(&cases[i]);
    }
    condition_program_free(&program);
    buf_free(&table->file);
    free(cases);
    free(table);
    assert_int_equal(wrong, 0);
}

/* Put in its place, a suggestion leaves another text: one that is accepted, or wrong elsewhere. */
static void a_suggestion_can_be_followed(void **state)
{
    Table *table = mem_alloc(sizeof *table);
    ConditionProgram program = { 0 };
    ConditionCase one = { .text = STR("paid") };
    int suggested = 0, accepted = 0;
    table_read(FOLDER "refused.txt", true, table);
    assert_true(condition_program(&program, declarations(), &one, 1));
    ConditionScope scope = { program.program, env_resolve, &program };
    for (uint32_t i = 0; i < table->count; i++) {
        ConditionIssues issues, after;
        Str text = table->rows[i].text;
        assert_null(condition_check(&scope, text, (Span){ 0, 0, 0 }, &issues));
        const ConditionIssue *issue = &issues.items[0];
        if (!issue->suggestion.len) continue;
        assert_true(issue->offset + issue->length <= text.len);
        Str repaired = str_of(arena_printf(program.program->arena, "%.*s%.*s%.*s", (int)issue->offset, text.ptr, STR_ARG(issue->suggestion),
                                           (int)(text.len - issue->offset - issue->length), text.ptr + issue->offset + issue->length));
        suggested++;
        if (condition_check(&scope, repaired, (Span){ 0, 0, 0 }, &after)) accepted++;
        else if (!strcmp(after.items[0].code, issue->code) && after.items[0].offset == issue->offset) fail_msg("line %d: %s", table->rows[i].line, repaired.ptr);
    }
    assert_true(suggested >= 35);
    assert_true(accepted * 4 >= suggested * 3);
    condition_program_free(&program);
    buf_free(&table->file);
    free(table);
}

static void injections_are_refused(void **state)
{
    Table *table = mem_alloc(sizeof *table);
    ConditionCase *cases = mem_alloc(CASES_MAX * sizeof *cases);
    ConditionProgram program = { 0 };
    int wrong = 0;
    table_read(FOLDER "injections.txt", false, table);
    assert_true(table->count > 90);
    for (uint32_t i = 0; i < table->count; i++) cases[i] = (ConditionCase){ .text = table->rows[i].text };
    assert_true(condition_program(&program, declarations(), cases, table->count));
    for (uint32_t i = 0; i < table->count; i++) {
        if (!cases[i].accepted && cases[i].issues.count) continue;
        wrong++;
        print_message("line %d is accepted: %.*s\n", table->rows[i].line, STR_ARG(table->rows[i].text));
    }
    condition_program_free(&program);
    buf_free(&table->file);
    free(cases);
    free(table);
    assert_int_equal(wrong, 0);
}

/* ---- characters ---- */

static void characters_that_deceive_are_refused(void **state)
{
    static const struct { const char *text; const char *code; const char *words; } rows[] = {
        { "count \xE2\x80\xAE> 3", "E0730", "writing direction" }, { "count\xE2\x80\x8B > 3", "E0730", "invisible" }, { "count\xC2\xA0> 3", "E0730", "a space that is none" },
        { "\xEF\xBB\xBF" "count > 3", "E0730", "byte order mark" }, { "count > 3\xE2\x80\xA8", "E0730", "line end" }, { "count\x01 > 3", "E0730", "control" },
        { "c\xD0\xBEunt > 3", "E0730", "U+043E" }, { "\"a\xE2\x80\xAE\" === city", "E0730", "escape" }, { "\"a\x07\" === city", "E0730", "escape" },
        { "count > 3 \xFF", "E0730", "UTF-8" }, { "\"\xED\xA0\x80\" === city", "E0730", "UTF-8" },
    };
    Arena *arena = arena_new();
    ConditionError error;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_null(condition_parse(arena, str_of(rows[i].text), &error));
        if (!str_is(str_of(error.code), rows[i].code) || !memmem(error.message.ptr, error.message.len, rows[i].words, strlen(rows[i].words)))
            fail_msg("%s: %s %.*s", rows[i].text, error.code, STR_ARG(error.message));
    }
    assert_null(condition_parse(arena, (Str){ "count\0> 3", 9 }, &error));
    assert_int_equal(error.offset, 5);
    assert_non_null(condition_parse(arena, STR("\"\\u202e\" === city && \"\xF0\x9F\x91\xA8\xE2\x80\x8D\xF0\x9F\x91\xA9\" !== city"), &error));
    arena_free(arena);
}

/* ---- limits ---- */

static const char *code_of(Arena *arena, const Buf *text, const char *limit)
{
    ConditionError error;
    if (condition_parse(arena, buf_str(text), &error)) return "accepted";
    if (limit && !memmem(error.message.ptr, error.message.len, limit, strlen(limit))) fail_msg("%.*s", STR_ARG(error.message));
    return error.code;
}

static void repeat(Buf *out, const char *before, int count, const char *part, const char *after)
{
    buf_clear(out);
    buf_put_text(out, before);
    for (int i = 0; i < count; i++) buf_put_text(out, part);
    buf_put_text(out, after);
}

static void each_limit_has_a_name(void **state)
{
    Arena *arena = arena_new();
    Buf text = { 0 };
    repeat(&text, "\"", CONDITION_BYTES_MAX - 2, "a", "\"");
    assert_string_equal(code_of(arena, &text, NULL), "accepted");
    repeat(&text, "\"", CONDITION_BYTES_MAX - 1, "a", "\"");
    assert_string_equal(code_of(arena, &text, "CONDITION_BYTES_MAX"), "E0721");
    repeat(&text, "", CONDITION_DEPTH_MAX - 1, "!", "a");
    assert_string_equal(code_of(arena, &text, NULL), "accepted");
    repeat(&text, "", CONDITION_DEPTH_MAX, "!", "a");
    assert_string_equal(code_of(arena, &text, "CONDITION_DEPTH_MAX"), "E0721");
    repeat(&text, "a", CONDITION_DEPTH_MAX - 1, "+a", "");
    assert_string_equal(code_of(arena, &text, NULL), "accepted");
    repeat(&text, "a", CONDITION_DEPTH_MAX, "+a", "");
    assert_string_equal(code_of(arena, &text, "CONDITION_DEPTH_MAX"), "E0721");
    repeat(&text, "[a", CONDITION_NODES_MAX - 2, ",a", "]");
    assert_string_equal(code_of(arena, &text, NULL), "accepted");
    repeat(&text, "[a", CONDITION_NODES_MAX - 1, ",a", "]");
    assert_string_equal(code_of(arena, &text, "CONDITION_NODES_MAX"), "E0721");
    static const char *const bombs[] = { "(", "[", "!", "-", "a?", "a?.", "`${", "a(", "a[", "a?b:", "a??", "a.b" };
    for (size_t i = 0; i < sizeof bombs / sizeof *bombs; i++) {
        repeat(&text, "", (int)(CONDITION_BYTES_MAX / strlen(bombs[i])), bombs[i], "");
        assert_string_not_equal(code_of(arena, &text, NULL), "accepted");
    }
    buf_free(&text);
    arena_free(arena);
}

static void a_long_chain_costs_fuel_by_its_bytes(void **state)
{
    ConditionCase cases[1] = { { .text = STR("city.indexOf(city + \"x\") < 0 && city.toLowerCase().length > 0") } };
    ConditionProgram program = { 0 };
    bool done;
    assert_true(condition_program(&program, STR("type Env {\n    city: string\n}\n"), cases, 1));
    Buf json = { 0 };
    repeat(&json, "{\"city\":\"", 100000, "a", "\"}");
    Arena *arena = arena_new();
    Json *tree;
    Error error = { 0 };
    Value env;
    assert_int_equal(json_parse(arena, buf_str(&json), FILE_MAX, &tree, &error), ERR_OK);
    assert_int_equal(condition_env(&program, tree, &env, &error), ERR_OK);
    VmRun *run = condition_run(&program, 0, env, 1000, &done);
    assert_false(done);
    assert_string_equal(value_str(((Record *)vm_error(run).o)->fields[ERROR_FIELD_CODE]).ptr, "VM_FUEL_LIMIT");
    vm_free(run);
    run = condition_run(&program, 0, env, 1000000, &done);
    assert_true(done);
    assert_true(vm_fuel_used(run) > 4 * 100000 / 16 && vm_fuel_used(run) < 12 * 100000 / 16);
    vm_free(run);
    value_release(env);
    condition_program_free(&program);
    arena_free(arena);
    buf_free(&json);
}

/* ---- texts ---- */

static void texts_print_what_a_template_prints(void **state)
{
    static const struct { const char *text, *expect; } rows[] = {
        { "Booked ${hotel.booking_id} for ${hotel.cost}", "\"Booked HTL-999 for 250\"" }, { "", "\"\"" }, { "plain", "\"plain\"" }, { "${city}", "\"Tokyo\"" },
        { "\\${city} $5 } \\n ${budget_available}", "\"${city} $5 } \\\\n 350.5\"" }, { "${steps[0].available}${paid}${day}", "\"350.5true2025-11-10\"" },
        { "${data.n} ${data[\"s\"]}", "\"5 text\"" }, { "${ratio}|${status}|${wait}", "\"0.25|CONFIRMED|90m\"" }, { "a\xE2\x80\xAE${city}", "\"a\xE2\x80\xAETokyo\"" },
    };
    enum { COUNT = sizeof rows / sizeof *rows };
    ConditionCase cases[COUNT];
    ConditionProgram program = { 0 };
    for (int i = 0; i < COUNT; i++) cases[i] = (ConditionCase){ .text = str_of(rows[i].text), .is_text = true };
    assert_true(condition_program(&program, declarations(), cases, COUNT));
    Value env = environment(&program);
    for (int i = 0; i < COUNT; i++) {
        Buf found = { 0 };
        assert_true(cases[i].accepted);
        condition_put_result(&program, &cases[i], (uint32_t)i, env, &found);
        assert_string_equal(buf_cstr(&found), rows[i].expect);
        buf_free(&found);
    }
    value_release(env);
    condition_program_free(&program);
}

static void texts_have_paths_only(void **state)
{
    static const struct { const char *text, *code; uint32_t offset; } rows[] = {
        { "a ${count + 1}", "E0730", 10 }, { "a ${", "E0730", 2 }, { "a ${}", "E0730", 4 }, { "${city.toUpperCase()}", "E0730", 18 }, { "x ${hotel}", "E0732", 4 }, { "x ${tags}", "E0732", 4 },
        { "x ${maybe_count}", "E0734", 4 }, { "x ${hotel.nope}", "E0735", 4 }, { "x ${nobody}", "E0733", 4 }, { "${city}${this.x}", "E0731", 9 }, { "${`a`}", "E0730", 2 },
    };
    enum { COUNT = sizeof rows / sizeof *rows };
    ConditionCase cases[COUNT];
    ConditionProgram program = { 0 };
    for (int i = 0; i < COUNT; i++) cases[i] = (ConditionCase){ .text = str_of(rows[i].text), .is_text = true };
    assert_true(condition_program(&program, declarations(), cases, COUNT));
    for (int i = 0; i < COUNT; i++) {
        assert_false(cases[i].accepted);
        assert_string_equal(cases[i].issues.items[0].code, rows[i].code);
        assert_int_equal(cases[i].issues.items[0].offset, rows[i].offset);
    }
    condition_program_free(&program);
}

/* ---- references ---- */

static void put_type(const Type *type, Buf *out)
{
    buf_clear(out);
    if (type) type_print(type, out);
}

static void references_keep_the_type(void **state)
{
    static const struct { const char *path, *type, *code; uint32_t offset; } rows[] = {
        { "budget_available", "decimal", NULL, 0 }, { "count", "int", NULL, 0 }, { "day", "date", NULL, 0 }, { "hotel", "Hotel", NULL, 0 }, { "hotel.cost", "int", NULL, 0 },
        { "hotel.address.zip", "string?", NULL, 0 }, { "hotel[\"address\"].city", "string", NULL, 0 }, { "no_hotel?.cost", "int?", NULL, 0 }, { "no_hotel?.address.city", "string?", NULL, 0 },
        { "maybe_count", "int?", NULL, 0 }, { "numbers[0]", "decimal", NULL, 0 }, { "offers[1].price", "decimal", NULL, 0 }, { "prices.tokyo", "decimal?", NULL, 0 },
        { "prices[\"x y\"]", "decimal?", NULL, 0 }, { "data.l[1]", "json", NULL, 0 }, { "steps[0].available", "decimal", NULL, 0 }, { "steps[1]?.note", "string?", NULL, 0 },
        { "tags", "list<string>", NULL, 0 },
        { "no_hotel.cost", NULL, "E0734", 0 }, { "hotel.address.zip.length", NULL, "E0734", 0 }, { "hotel.nope", NULL, "E0735", 0 }, { "tags.length", NULL, "E0735", 0 },
        { "city[0]", NULL, "E0732", 0 }, { "numbers[1.5]", NULL, "E0732", 8 }, { "nobody.x", NULL, "E0733", 0 }, { "steps", NULL, "E0733", 0 }, { "steps[9]", NULL, "E0733", 0 },
        { "Math", NULL, "E0731", 0 }, { "count + 1", NULL, "E0730", 6 }, { "", NULL, "E0730", 0 }, { "no_list?.[0]", NULL, "E0732", 0 }, { "hotel.address?.city", "string", NULL, 0 },
    };
    ConditionProgram program = { 0 };
    ConditionCase one = { .text = STR("paid") };
    Buf type_text = { 0 };
    assert_true(condition_program(&program, declarations(), &one, 1));
    ConditionScope scope = { program.program, env_resolve, &program };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ConditionIssues issues;
        Type *type = NULL;
        Ast *made = condition_check_path(&scope, str_of(rows[i].path), (Span){ 0, 0, 0 }, &type, &issues);
        put_type(type, &type_text);
        if (rows[i].type ? !made || strcmp(buf_cstr(&type_text), rows[i].type) : made || !issues.count || strcmp(issues.items[0].code, rows[i].code) || issues.items[0].offset != rows[i].offset)
            fail_msg("%s: %s %s %u", rows[i].path, buf_cstr(&type_text), issues.count ? issues.items[0].code : "", issues.count ? issues.items[0].offset : 0);
    }
    buf_free(&type_text);
    condition_program_free(&program);
}

static void issues_are_told_together_and_in_order(void **state)
{
    ConditionProgram program = { 0 };
    ConditionCase cases[2] = { { .text = STR("count > \"3\" && nobody === 1 || hotel.nope > 3 && no_hotel.cost > 3") },
                               { .text = STR("a > b && c > d && e > f && g > h && i > j && k > l") } };
    assert_true(condition_program(&program, declarations(), cases, 2));
    assert_int_equal(cases[0].issues.count, 4);
    static const char *const codes[] = { "E0732", "E0733", "E0735", "E0734" };
    for (uint32_t i = 0; i < 4; i++) assert_string_equal(cases[0].issues.items[i].code, codes[i]);
    assert_int_equal(cases[1].issues.count, CONDITION_ISSUES_MAX);
    condition_program_free(&program);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conditions_mean_what_javascript_means), cmocka_unit_test(what_is_refused_has_a_code_a_place_and_a_way_out), cmocka_unit_test(a_suggestion_can_be_followed), cmocka_unit_test(injections_are_refused),
        cmocka_unit_test(characters_that_deceive_are_refused), cmocka_unit_test(each_limit_has_a_name), cmocka_unit_test(a_long_chain_costs_fuel_by_its_bytes),
        cmocka_unit_test(texts_print_what_a_template_prints), cmocka_unit_test(texts_have_paths_only), cmocka_unit_test(references_keep_the_type),
        cmocka_unit_test(issues_are_told_together_and_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
