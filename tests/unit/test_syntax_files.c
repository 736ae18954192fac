/* test_syntax_files.c - every file of tests/syntax says itself what is wrong with it.
 *
 * `// error: E0312 did you mean` on a line: an error of that code starts on that line, and its message, label, notes or help hold the rest of
 * the comment. Errors without a comment, and comments without an error, fail. A file without comments compiles to an image.
 * The last test asks that every row of diag.def from E03 to E06 is raised by some file.
 */
#include "compiler/typed.h"

#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
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

static void every_diagnostic_of_the_checker_is_raised_by_a_file(void **state)
{
    (void)state;
    uint32_t missing = 0;
    for (const DiagInfo *info = diag_infos; info->code; info++) {
        if (info->code[0] != 'E' || info->code[1] != '0' || info->code[2] < '3' || info->code[2] > '6' || map_find(&raised, str_of(info->code)))
            continue;
        print_error("%s is raised by no file of tests/syntax: %s\n", info->code, info->pattern);
        missing++;
    }
    assert_int_equal(missing, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_file_says_what_is_wrong_with_it),
        cmocka_unit_test(every_diagnostic_of_the_checker_is_raised_by_a_file),
    };
    kept = arena_new();
    int failed = cmocka_run_group_tests_name("syntax files", tests, NULL, NULL);
    map_free(&raised);
    arena_free(kept);
    return failed;
}
