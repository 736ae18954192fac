/* test_plan_hostile.c - every file of tests/plans/hostile is refused with the codes that its name says, or accepted.
 *
 * NAME.CODE[+CODE…][.OPTION].json: exactly these codes of errors, or `ok`. Options: `alone`, nobody can approve anything; `tight`, a small budget. All are checked by
 * one compiler, which must not remember one of them. Of every report: its pointers lead somewhere, it is JSON, and nothing that would reach a terminal from it
 * is more than text. Every plan that is accepted is an extension that the verifier takes again from its bytes.
 */
#include "compiler/plan/bound.h"
#include "compiler/plan/report.h"
#include "compiler/typed.h"
#include "dsl/syntax/columns.h"

#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { CODES_MAX = 16 };

static Image *base;
static PlanCompiler *compiler;
static Map seen;                         /* codes of all files */
static Arena *kept;

static int set_up(void **state)
{
    Buf bytes = { 0 };
    Program *program = program_load("tests/plans/agents.flow", NULL, 0);
    base = compile_program(program, false);
    assert_non_null(base);
    image_encode(base, &bytes);
    buf_free(&bytes);
    program_free(program);
    compiler = plan_compiler_new(base);
    kept = arena_new();
    return 0;
}

static int tear_down(void **state)
{
    plan_compiler_free(compiler);
    image_free(base);
    map_free(&seen);
    arena_free(kept);
    return 0;
}

/* ---- what a file asks for ---------------------------------------------------------------------------------- */

typedef struct Wanted { Str codes[CODES_MAX]; uint32_t count; bool ok; Str option; } Wanted;

static Wanted wanted_of(const char *path)
{
    Wanted wanted = { 0 };
    const char *at = strchr(strrchr(path, '/'), '.') + 1;
    size_t len = strcspn(at, ".");
    for (Str codes = { at, len }; codes.len;) {
        size_t end = 0;
        while (end < codes.len && codes.ptr[end] != '+')
            end++;
        assert_true(wanted.count < CODES_MAX);
        wanted.codes[wanted.count++] = (Str){ codes.ptr, end };
        codes = (Str){ codes.ptr + end + (end < codes.len), codes.len - end - (end < codes.len) };
    }
    wanted.ok = str_is(wanted.codes[0], "ok");
    const char *option = at + len + 1;
    wanted.option = (Str){ option, strcspn(option, ".") };
    return wanted;
}

static PlanGrant grant_of(const Wanted *wanted)
{
    static const Str tools[] = { { "finance.*", 9 }, { "travel.*", 8 }, { "calendar.*", 10 }, { "communication.*", 15 }, { "web.*", 5 }, { "worker.*", 8 } };
    static const Str scopes[] = { { "finance:write", 13 } };
    PlanGrant grant = { .tools = tools, .tool_count = 6, .scopes = scopes, .scope_count = 1, .may_ask = !str_is(wanted->option, "alone") };
    if (str_is(wanted->option, "tight"))
        grant.limits = (PlanLimits){ .steps = 8, .depth = 3, .fanout = 2, .calls = 3, .calls_per_tool = 1, .micro_usd = 10000 };
    return grant;
}

/* ---- what every report must be ------------------------------------------------------------------------------- */

/* Follows a pointer through the plan: to the value, or, where something is missing, to what should hold it. */
static bool pointer_leads(const Json *json, Str pointer)
{
    while (pointer.len) {
        size_t end = 1, len = 0;
        char token[PLAN_TEXT_MAX + 16];
        if (pointer.ptr[0] != '/')
            return false;
        while (end < pointer.len && pointer.ptr[end] != '/')
            end++;
        for (size_t i = 1; i < end && len < sizeof token - 1; i++)
            token[len++] = pointer.ptr[i] != '~' ? pointer.ptr[i] : pointer.ptr[++i] == '1' ? '/' : '~';
        pointer = (Str){ pointer.ptr + end, pointer.len - end };
        const Json *next = NULL;
        for (size_t i = 0; json->kind == JSON_OBJECT && i < json->count && !next; i++)
            next = str_eq(json->keys[i], (Str){ token, len }) ? json->items[i] : NULL;
        token[len] = 0;
        if (json->kind == JSON_ARRAY && (size_t)atoi(token) < json->count)
            next = json->items[atoi(token)];
        if (!next)
            return json->kind == JSON_OBJECT;
        json = next;
    }
    return true;
}

static void check_clean(const char *path, Str text, const char *what)
{
    for (size_t at = 0; at < text.len;) {
        uint32_t codepoint = codepoint_next(text, &at);
        if (codepoint_deceives(codepoint))
            fail_msg("%s: U+%04X in the %s", path, codepoint, what);
    }
}

static void check_report(const char *path, const PlanResult *result, Str text, Arena *arena)
{
    Json *plan = NULL, *report = NULL;
    Buf out = { 0 };
    bool is_json = json_parse(arena, text, PLAN_BYTES_MAX, &plan, NULL) == ERR_OK;
    for (uint32_t i = 0; i < result->diag_count; i++) {
        const PlanDiag *diag = &result->diags[i];
        assert_true(diag->message.len > 0 && diag_pattern(diag->code));
        check_clean(path, diag->message, "message");
        check_clean(path, diag->expected, "expected");
        check_clean(path, diag->actual, "actual");
        if (is_json && !pointer_leads(plan, diag->pointer))
            fail_msg("%s: %s points to %.*s", path, diag->code, STR_ARG(diag->pointer));
        if (diag->widens_authority)
            assert_int_equal(diag->suggestion_op.len, 0);
        if (diag->suggestion_json.len)
            assert_int_equal(json_parse(arena, diag->suggestion_json, PLAN_BYTES_MAX, &report, NULL), ERR_OK);
    }
    plan_put_report(result, &out);
    assert_int_equal(json_parse(arena, buf_str(&out), 64 << 20, &report, NULL), ERR_OK);
    assert_int_equal(json_get(report, "diagnostics")->count, result->diag_count);
    assert_int_equal(json_get(report, "ok")->boolean, result->ok);
    buf_clear(&out);
    plan_put_text(result, text, "plan.json", false, &out);
    check_clean(path, buf_str(&out), "text");
    buf_free(&out);
}

/* ---- files ----------------------------------------------------------------------------------------------------- */

static bool has_code(const PlanResult *result, Str code)
{
    for (uint32_t i = 0; i < result->diag_count; i++)
        if (result->diags[i].severity == SEVERITY_ERROR && str_is(code, result->diags[i].code))
            return true;
    return false;
}

static bool as_wanted(const Wanted *wanted, const PlanResult *result)
{
    if (wanted->ok)
        return result->ok && result->image;
    bool same = !result->ok && !result->image;
    for (uint32_t i = 0; i < wanted->count; i++)
        same &= has_code(result, wanted->codes[i]);
    for (uint32_t i = 0; i < result->diag_count; i++) {
        bool known = result->diags[i].severity != SEVERITY_ERROR;
        for (uint32_t k = 0; k < wanted->count && !known; k++)
            known = str_is(wanted->codes[k], result->diags[i].code);
        same &= known;
        map_put(&seen, arena_str(kept, str_of(result->diags[i].code)), kept);
    }
    return same;
}

static void check_extension(const char *path, const PlanResult *result)
{
    Buf bytes = { 0 };
    Image *again = NULL;
    Error error = { 0 };
    image_encode_extension(result->image, &bytes);
    if (image_decode_extension(base, buf_str(&bytes), &again, &error) != ERR_OK)
        fail_msg("%s: %s", path, error.text);
    image_free(again);
    buf_free(&bytes);
}

static bool check_file(const char *path)
{
    Arena *arena = arena_new();
    Buf text = { 0 };
    Wanted wanted = wanted_of(path);
    PlanGrant grant = grant_of(&wanted);
    PlanResult result;
    Error error;
    assert_int_equal(file_read(path, 4 << 20, &text, &error), ERR_OK);
    plan_compile(compiler, buf_str(&text), &grant, arena, &result);
    bool same = as_wanted(&wanted, &result);
    if (!same) {
        print_error("%s:%s\n", path, result.ok ? " accepted" : "");
        for (uint32_t i = 0; i < result.diag_count && i < 4; i++)
            print_error("    %s %.*s: %.*s\n", result.diags[i].code, STR_ARG(result.diags[i].pointer), STR_ARG(result.diags[i].message));
    }
    check_report(path, &result, buf_str(&text), arena);
    if (result.ok)
        check_extension(path, &result);
    image_free(result.image);
    buf_free(&text);
    arena_free(arena);
    return same;
}

static void every_file_is_answered_as_its_name_says(void **state)
{
    glob_t files;
    uint32_t failures = 0;
    assert_int_equal(glob("tests/plans/hostile/*.json", 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++)
        failures += !check_file(files.gl_pathv[i]);
    print_message("%zu files\n", files.gl_pathc);
    assert_true(files.gl_pathc >= 300);
    globfree(&files);
    assert_int_equal(failures, 0);
}

/* ---- pages of docs/errors: ```json ok, ```json open, ```json fail CODE [OPTION] --------------------------------- */

static bool check_block(const char *path, Str mark, Str text)
{
    Arena *arena = arena_new();
    Wanted wanted = { .count = 1, .ok = str_is(mark, "ok") || str_is(mark, "open") };
    PlanResult result;
    if (!wanted.ok) {
        assert_true(mark.len >= 10);
        wanted.codes[0] = (Str){ mark.ptr + 5, 5 };
        if (mark.len > 11)
            wanted.option = (Str){ mark.ptr + 11, mark.len - 11 };
    }
    PlanGrant grant = grant_of(&wanted);
    plan_compile(compiler, text, &grant, arena, &result);
    bool good = as_wanted(&wanted, &result) && (!wanted.ok || (result.open_count > 0) == str_is(mark, "open"));
    if (!good)
        print_error("%s: expected %.*s, found %s %.*s\n%.*s\n", path, STR_ARG(mark), result.diag_count ? result.diags[0].code : "ok", STR_ARG(result.diag_count ? result.diags[0].message : STR("")),
                    STR_ARG(text));
    image_free(result.image);
    arena_free(arena);
    return good;
}

static uint32_t check_page(const char *path, uint32_t *blocks)
{
    static const char open[] = "```json ", close[] = "\n```";
    Buf page = { 0 };
    Error error;
    uint32_t failures = 0;
    assert_int_equal(file_read(path, 1 << 20, &page, &error), ERR_OK);
    for (Str rest = buf_str(&page);;) {
        const char *end = rest.ptr + rest.len, *at = memmem(rest.ptr, rest.len, open, strlen(open));
        if (!at)
            break;
        const char *line_end = memchr(at, '\n', (size_t)(end - at)), *stop = line_end ? memmem(line_end, (size_t)(end - line_end), close, strlen(close)) : NULL;
        assert_non_null(stop);
        Str mark = { at + strlen(open), (size_t)(line_end - at) - strlen(open) };
        if (str_is(mark, "ok") || str_is(mark, "open") || str_starts(mark, STR("fail E07"))) {
            failures += !check_block(path, mark, (Str){ line_end + 1, (size_t)(stop - line_end) });
            ++*blocks;
        }
        rest = (Str){ stop + strlen(close), (size_t)(end - stop) - strlen(close) };
    }
    buf_free(&page);
    return failures;
}

static void plans_of_a_page_do_what_it_says(void **state)
{
    uint32_t failures = 0, blocks = 0;
    for (const DiagInfo *info = diag_infos; info->code; info++) {
        char path[64];
        if (strncmp(info->code, "E07", 3) != 0 || info->code[3] < '2' || info->code[3] > '4')
            continue;
        snprintf(path, sizeof path, "docs/errors/%s.md", info->code);
        failures += check_page(path, &blocks);
    }
    print_message("%u plans of pages\n", blocks);
    assert_true(blocks > 20);
    assert_int_equal(failures, 0);
}

/* E0729 and E0741 are said where a plan is loaded into a run, not where it is checked: tests of the engine raise them. */
static void every_code_of_plans_is_raised_by_a_file(void **state)
{
    uint32_t missing = 0;
    for (const DiagInfo *info = diag_infos; info->code; info++) {
        bool of_check = !strncmp(info->code, "E07", 3) && info->code[3] >= '2' && info->code[3] <= '4' && strcmp(info->code, "E0729") && strcmp(info->code, "E0741");
        if (of_check && !map_find(&seen, str_of(info->code))) {
            print_error("%s is raised by no file\n", info->code);
            missing++;
        }
    }
    assert_int_equal(missing, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_file_is_answered_as_its_name_says),
        cmocka_unit_test(every_code_of_plans_is_raised_by_a_file),
        cmocka_unit_test(plans_of_a_page_do_what_it_says),
    };
    setenv("FLOW_STDLIB", "stdlib", 0);                     /* tests run in the root of the project */
    return cmocka_run_group_tests_name("hostile plans", tests, set_up, tear_down);
}
