/* test_syntax_files.c - every file of tests/syntax says itself what is wrong with it.
 *
 * `// error: E0312 did you mean` on a line: an error of that code starts on that line, and its message, label, notes or help hold the rest of
 * the comment. Errors without a comment, and comments without an error, fail. A file without comments compiles to an image.
 * Every row of diag.def from E03 to E07 is raised by some file and has a page in docs/errors whose two programs do what it says.
 * Those of plans (E072x to E074x) are raised by the files of tests/plans.
 */
#include "compiler/typed.h"

#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

enum { EXPECTED_MAX = 400 };
typedef struct Expected { uint32_t line; Str code, text; bool met; } Expected;
typedef struct Expectations { Expected items[EXPECTED_MAX]; uint32_t count; } Expectations;

static Map raised;              /* codes seen in any file */
static Arena *kept;

static Str trim(Str s)
{
    while (s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s.ptr++, s.len--;
    while (s.len && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\r'))
        s.len--;
    return s;
}

static void expect_line(Expectations *all, Str line, uint32_t number)
{
    static const char mark[] = "// error:";
    const char *at = memmem(line.ptr, line.len, mark, strlen(mark));
    while (at) {
        const char *end = line.ptr + line.len, *rest = at + strlen(mark);
        const char *next = memmem(rest, (size_t)(end - rest), mark, strlen(mark));
        Str body = trim((Str){ rest, (size_t)((next ? next : end) - rest) });
        size_t word = 0;
        while (word < body.len && body.ptr[word] != ' ')
            word++;
        assert_true(all->count < EXPECTED_MAX);
        all->items[all->count++] = (Expected){ number, { body.ptr, word }, trim((Str){ body.ptr + word, body.len - word }), false };
        at = next;
    }
}

static void read_expectations(Expectations *all, Str text)
{
    uint32_t number = 1;
    for (size_t from = 0; from < text.len; number++) {
        const char *end = memchr(text.ptr + from, '\n', text.len - from);
        size_t length = end ? (size_t)(end - text.ptr) - from : text.len - from;
        expect_line(all, (Str){ text.ptr + from, length }, number);
        from += length + 1;
    }
}

static bool holds(const char *text, Str part)
{
    return text && memmem(text, strlen(text), part.ptr, part.len);
}

static bool says(const Diag *diag, Str part)
{
    if (!part.len || holds(diag->message, part) || holds(diag->label, part) || holds(diag->help, part))
        return true;
    for (int i = 0; i < diag->note_count; i++)
        if (holds(diag->notes[i].text, part))
            return true;
    return false;
}

/* Takes the comment that this error answers; false when there is none. */
static bool meet(Expectations *all, const Program *program, const Diag *diag)
{
    uint32_t line, column;
    source_position(program->sources->files[diag->span.file], diag->span.start, &line, &column);
    for (uint32_t i = 0; i < all->count; i++) {
        Expected *item = &all->items[i];
        if (!item->met && item->line == line && diag->span.file == 0 && str_is(item->code, diag->code) && says(diag, item->text))
            return item->met = true;
    }
    return false;
}

static uint32_t check_file(const char *path)
{
    Buf text = { 0 };
    Error error;
    if (file_read(path, SOURCE_SIZE_MAX * 2, &text, &error) != ERR_OK)
        fail_msg("%s: %s", path, error.text);
    static Expectations all;
    all.count = 0;
    read_expectations(&all, buf_str(&text));
    Program *program = program_load(path, NULL, 0);
    Image *image = compile_program(program, true);
    uint32_t failures = 0;
    for (uint32_t i = 0; i < program->diags->count; i++) {
        const Diag *diag = program->diags->items[i];
        if (diag->severity != SEVERITY_ERROR)
            continue;
        map_put(&raised, arena_str(kept, str_of(diag->code)), kept);
        if (meet(&all, program, diag))
            continue;
        uint32_t line, column;
        source_position(program->sources->files[diag->span.file], diag->span.start, &line, &column);
        print_error("%s:%u:%u: not expected: %s %s\n", path, line, column, diag->code, diag->message);
        failures++;
    }
    for (uint32_t i = 0; i < all.count; i++)
        if (!all.items[i].met) {
            print_error("%s:%u: expected %.*s %.*s\n", path, all.items[i].line, STR_ARG(all.items[i].code), STR_ARG(all.items[i].text));
            failures++;
        }
    if (!all.count && !image && !failures) {
        print_error("%s: gave no image\n", path);
        failures++;
    }
    image_free(image);
    program_free(program);
    buf_free(&text);
    return failures;
}

static void every_file_says_what_is_wrong_with_it(void **state)
{
    (void)state;
    glob_t files;
    assert_int_equal(glob("tests/syntax/*.flow", 0, NULL, &files), 0);
    uint32_t failures = 0;
    for (size_t i = 0; i < files.gl_pathc; i++)
        failures += check_file(files.gl_pathv[i]);
    print_message("%zu files\n", files.gl_pathc);
    globfree(&files);
    assert_int_equal(failures, 0);
}

/* The rows that files of tests/syntax raise: E03 to E07 but for those of plans. */
static bool is_of_checker(const char *code)
{
    bool of_plan = !strncmp(code, "E07", 3) && code[3] >= '2' && code[3] <= '4';
    return code[0] == 'E' && code[1] == '0' && code[2] >= '3' && code[2] <= '7' && !of_plan;
}

static void every_diagnostic_of_the_checker_is_raised_by_a_file(void **state)
{
    (void)state;
    uint32_t missing = 0;
    for (const DiagInfo *info = diag_infos; info->code; info++) {
        if (!is_of_checker(info->code) || map_find(&raised, str_of(info->code)))
            continue;
        print_error("%s is raised by no file of tests/syntax: %s\n", info->code, info->pattern);
        missing++;
    }
    assert_int_equal(missing, 0);
}

/* ---- docs/errors: both programs of a page are compiled -------------------------------------------------- */

static bool only_error(const Program *program, Str code)
{
    uint32_t others = 0, same = 0;
    for (uint32_t i = 0; i < program->diags->count; i++)
        if (program->diags->items[i]->severity == SEVERITY_ERROR)
            *(str_is(code, program->diags->items[i]->code) ? &same : &others) += 1;
    return !others && (code.len ? same == 1 : same == 0);
}

/* code empty: the text compiles; else it has this one error. */
static bool check_program_text(const char *path, Str text, Str code)
{
    Program *program = program_of_text(path, text, NULL, 0);
    Image *image = compile_program(program, true);
    bool good = only_error(program, code) && (code.len || image);
    if (!good) {
        Buf out = { 0 };
        diags_render(program->diags, program->sources, DIAG_FORMAT_TEXT, false, &out);
        print_error("%s: expected %.*s\n%.*s\n%s", path, STR_ARG(code.len ? code : STR("no error")), STR_ARG(text), buf_cstr(&out));
        buf_free(&out);
    }
    image_free(image);
    program_free(program);
    return good;
}

static uint32_t check_page(const char *path, uint32_t *programs)
{
    static const char open[] = "```flow ", close[] = "\n```";
    Buf page = { 0 };
    Error error;
    uint32_t failures = 0;
    assert_int_equal(file_read(path, 1 << 20, &page, &error), ERR_OK);
    Str rest = buf_str(&page);
    for (;;) {
        const char *at = memmem(rest.ptr, rest.len, open, strlen(open));
        if (!at)
            break;
        const char *end = rest.ptr + rest.len, *line_end = memchr(at, '\n', (size_t)(end - at));
        const char *stop = line_end ? memmem(line_end, (size_t)(end - line_end), close, strlen(close)) : NULL;
        assert_non_null(stop);
        Str word = { at + strlen(open), (size_t)(line_end - at) - strlen(open) };
        bool fails = str_starts(word, STR("fail "));
        assert_true(fails || str_is(word, "ok"));
        Str code = fails ? (Str){ word.ptr + 5, word.len - 5 } : STR("");
        failures += !check_program_text(path, (Str){ line_end + 1, (size_t)(stop - line_end) }, code);
        ++*programs;
        rest = (Str){ stop + strlen(close), (size_t)(end - stop) - strlen(close) };
    }
    buf_free(&page);
    return failures;
}

static void both_programs_of_a_page_do_what_it_says(void **state)
{
    (void)state;
    glob_t files;
    assert_int_equal(glob("docs/errors/E0[3-6]*.md", 0, NULL, &files), 0);
    uint32_t failures = 0, programs = 0;
    for (size_t i = 0; i < files.gl_pathc; i++)
        failures += check_page(files.gl_pathv[i], &programs);
    print_message("%u programs of %zu pages\n", programs, files.gl_pathc);
    globfree(&files);
    assert_int_equal(failures, 0);
}

static void every_diagnostic_of_the_checker_has_a_page(void **state)
{
    (void)state;
    uint32_t missing = 0;
    for (const DiagInfo *info = diag_infos; info->code; info++) {
        char path[64];
        snprintf(path, sizeof path, "docs/errors/%s.md", info->code);
        if (!is_of_checker(info->code) || access(path, R_OK) == 0)
            continue;
        print_error("%s has no page\n", info->code);
        missing++;
    }
    assert_int_equal(missing, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_file_says_what_is_wrong_with_it),
        cmocka_unit_test(every_diagnostic_of_the_checker_is_raised_by_a_file),
        cmocka_unit_test(both_programs_of_a_page_do_what_it_says),
        cmocka_unit_test(every_diagnostic_of_the_checker_has_a_page),
    };
    setenv("FLOW_STDLIB", "stdlib", 0);                     /* tests run in the root of the project */
    kept = arena_new();
    int failed = cmocka_run_group_tests_name("syntax files", tests, NULL, NULL);
    map_free(&raised);
    arena_free(kept);
    return failed;
}
