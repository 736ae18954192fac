/* test_fmt.c - the formatter keeps the program, keeps the comments, and leaves alone what it has formatted.
 *
 * Three sorts of input: the goldens (tests/golden/NAME.flow and .fmt: what the layout looks like), every .flow file of the
 * tree, and programs that a small generator writes with wild spacing, line ends and comments (FMT_PROGRAMS of them, seeded:
 * the same ones every time; FMT_SEED in the environment gives others).
 */
#include "dsl/syntax/fmt.h"

#include "base/buf.h"
#include "dsl/syntax/columns.h"
#include "dsl/syntax/parse.h"
#include "tests/unit/sample_program.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <cmocka.h>

enum { FMT_PROGRAMS = 3000 };

typedef struct Parsed {
    SourceSet *sources;
    Diags diags;
    Arena *arena;
    Module *module;
} Parsed;

static void parsed_free(Parsed *parsed)
{
    source_set_free(parsed->sources);
    diags_deinit(&parsed->diags);
    arena_free(parsed->arena);
}

static bool parsed_init(Parsed *parsed, const char *path, Str text)
{
    *parsed = (Parsed){ .sources = source_set_new(), .arena = arena_new() };
    diags_init(&parsed->diags);
    Source *source = NULL;
    Error error;
    if (source_add(parsed->sources, path, text, &source, &error) != ERR_OK) {
        print_error("%s\n", error.text);
        return false;
    }
    parsed->module = parse_module(parsed->arena, source, &parsed->diags);
    if (!parsed->diags.error_count) return true;
    Buf out = { 0 };
    diags_render(&parsed->diags, parsed->sources, DIAG_FORMAT_TEXT, false, &out);
    print_error("%s\n", buf_cstr(&out));
    buf_free(&out);
    return false;
}

static void show(const char *title, Str text)
{
    fprintf(stderr, "---- %s\n%.*s\n", title, STR_ARG(text));     /* print_error() would cut it */
}

/* Words of comments in order, whatever their place: none may be lost, doubled or changed. */
static void comment_words(const Module *module, Buf *out)
{
    for (uint32_t i = 0; i < module->comment_count; i++) {
        Str text = module->comments[i].text;
        while (text.len && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\r')) text.len--;
        buf_put_str(out, text);
        buf_put_char(out, '\n');
    }
}

static int compare_lines(const void *left, const void *right)
{
    return str_cmp(*(const Str *)left, *(const Str *)right);
}

static void sorted_lines(Buf *text)
{
    Str lines[4096];
    size_t count = 0;
    Str all = buf_str(text);
    while (all.len && count < 4096) {
        const char *end = memchr(all.ptr, '\n', all.len);
        size_t len = end ? (size_t)(end - all.ptr) : all.len;
        lines[count++] = (Str){ all.ptr, len };
        len += end ? 1 : 0;
        all = (Str){ all.ptr + len, all.len - len };
    }
    qsort(lines, count, sizeof *lines, compare_lines);
    Buf sorted = { 0 };
    for (size_t i = 0; i < count; i++) {
        buf_put_str(&sorted, lines[i]);
        buf_put_char(&sorted, '\n');
    }
    buf_free(text);
    *text = sorted;
}

static bool same_comments(const Module *a, const Module *b)
{
    Buf before = { 0 }, after = { 0 };
    comment_words(a, &before);
    comment_words(b, &after);
    sorted_lines(&before);
    sorted_lines(&after);
    bool same = str_eq(buf_str(&before), buf_str(&after));
    if (!same) {
        show("comments before", buf_str(&before));
        show("comments after", buf_str(&after));
    }
    buf_free(&before);
    buf_free(&after);
    return same;
}

static bool neat(Str text)
{
    if (text.len && text.ptr[text.len - 1] != '\n') return false;
    if (text.len && text.ptr[0] == '\n') return false;
    for (size_t i = 0; i + 1 < text.len; i++) {
        if (text.ptr[i] == '\n' && i + 2 < text.len && text.ptr[i + 1] == '\n' && text.ptr[i + 2] == '\n') return false;
        if (text.ptr[i] == ' ' && text.ptr[i + 1] == '\n') return false;
    }
    return !text.len || text.len == 1 || text.ptr[text.len - 2] != '\n';
}

/* Everything that is promised about one program. */
static bool formats(const char *path, Str text, bool block_strings, Buf *out)
{
    Parsed before, after;
    Buf once = { 0 }, twice = { 0 };
    bool good = parsed_init(&before, path, text);
    if (!good) {
        show("does not parse", text);
        parsed_free(&before);
        return false;
    }
    fmt_module(before.module, &once);
    good = parsed_init(&after, path, buf_str(&once));
    if (!good) show("formatted text does not parse; it was", text);
    if (good && !ast_equal(&before.module->root->head, &after.module->root->head)) {
        Buf a = { 0 }, b = { 0 };
        ast_dump(&before.module->root->head, &a);
        ast_dump(&after.module->root->head, &b);
        show("another tree", buf_str(&a));
        show("than before", buf_str(&b));
        buf_free(&a);
        buf_free(&b);
        good = false;
    }
    if (good) good = same_comments(before.module, after.module);
    if (good) {
        fmt_module(after.module, &twice);
        good = str_eq(buf_str(&once), buf_str(&twice));
        if (!good) show("formatted again", buf_str(&twice));
    }
    if (good && !block_strings) good = neat(buf_str(&once));
    if (!good) {
        show(path, text);
        show("formatted", buf_str(&once));
    }
    if (out) buf_put_str(out, buf_str(&once));
    parsed_free(&before);
    parsed_free(&after);
    buf_free(&once);
    buf_free(&twice);
    return good;
}

/* ---- every file of the tree ---- */

static int each_flow_file(const char *folder, bool (*visit)(const char *path, Str text), int depth)
{
    DIR *dir = opendir(folder);
    if (!dir || depth > 8) {
        if (dir) closedir(dir);
        return 0;
    }
    int count = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        char path[1024];
        if (entry->d_name[0] == '.' || snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) >= (int)sizeof path) continue;
        struct stat status;
        if (stat(path, &status)) continue;
        if (S_ISDIR(status.st_mode)) count += each_flow_file(path, visit, depth + 1);
        if (!S_ISREG(status.st_mode) || !str_ends(str_of(path), STR(".flow"))) continue;
        Buf text = { 0 };
        assert_int_equal(file_read(path, SOURCE_SIZE_MAX, &text, NULL), ERR_OK);
        assert_true(visit(path, buf_str(&text)));
        buf_free(&text);
        count++;
    }
    closedir(dir);
    return count;
}

static bool parses(Str text)
{
    SourceSet *sources = source_set_new();
    Arena *arena = arena_new();
    Diags diags;
    diags_init(&diags);
    Source *source = NULL;
    bool good = source_add(sources, "t.flow", text, &source, NULL) == ERR_OK && parse_module(arena, source, &diags) && !diags.error_count;
    diags_deinit(&diags);
    arena_free(arena);
    source_set_free(sources);
    return good;
}

static bool visit_formats(const char *path, Str text)
{
    return formats(path, text, true, NULL);
}

/* Files about syntax errors do not parse, and fmt leaves them alone. */
static bool visit_formats_if_it_parses(const char *path, Str text)
{
    return !parses(text) || formats(path, text, true, NULL);
}

static void test_every_flow_and_library_keeps_its_meaning(void **state)
{
    assert_true(each_flow_file("flows", visit_formats, 0) > 0);
    assert_true(each_flow_file("stdlib", visit_formats, 0) > 0);
}

static void test_every_test_program_keeps_its_meaning(void **state)
{
    each_flow_file("tests", visit_formats_if_it_parses, 0);
}

/* ---- goldens ---- */

static bool visit_golden(const char *path, Str text)
{
    Buf wanted_path = { 0 }, wanted = { 0 }, found = { 0 };
    buf_put(&wanted_path, path, strlen(path) - strlen(".flow"));
    buf_put_text(&wanted_path, ".fmt");
    bool good = true;
    if (file_read(buf_cstr(&wanted_path), SOURCE_SIZE_MAX, &wanted, NULL) == ERR_OK) {
        good = formats(path, text, true, &found);
        if (good && getenv("BLESS")) assert_int_equal(file_write(buf_cstr(&wanted_path), buf_str(&found), NULL), ERR_OK);
        else if (good && !str_eq(buf_str(&wanted), buf_str(&found))) {
            show(buf_cstr(&wanted_path), buf_str(&wanted));
            show("found", buf_str(&found));
            good = false;
        }
    }
    buf_free(&wanted_path);
    buf_free(&wanted);
    buf_free(&found);
    return good;
}

static void test_the_layout_is_that_of_the_goldens(void **state)
{
    assert_true(each_flow_file("tests/golden", visit_golden, 0) > 0);
}

/* ---- single rules ---- */

static void check(const char *text, const char *wanted)
{
    Buf out = { 0 };
    assert_true(formats("t.flow", str_of(text), false, &out));
    assert_string_equal(buf_cstr(&out), wanted);
    buf_free(&out);
}

static void test_nothing_stays_nothing(void **state)
{
    check("", "");
    check("\n\n  \n", "");
    check("// only this\n\n\n\n// and that", "// only this\n\n// and that\n");
}

static void test_declarations_are_one_line_apart(void **state)
{
    check("use a\nuse b\nevent A { x: int }\nevent B { x: int }\nfn f() -> int { return 1 }\nflow g() { f() }\n",
          "use a\nuse b\n\nevent A { x: int }\nevent B { x: int }\n\nfn f() -> int { return 1 }\n\nflow g() { f() }\n");
    check("use a\n\n\n\nuse b\n", "use a\n\nuse b\n");
}

static void test_comments_keep_their_place(void **state)
{
    check("// head\n\nuse a // why\n// about f\nfn f(x: int) -> int {   // opening\n   // first\n   let a = 1 // one\n\n\n   // second\n   return a\n   // last\n}\n// end\n",
          "// head\n\nuse a // why\n\n// about f\nfn f(x: int) -> int { // opening\n    // first\n    let a = 1 // one\n\n    // second\n    return a\n    // last\n}\n// end\n");
    check("fn f(x: int) -> int {\n    return g(\n        1, // one\n        // two\n        2\n        // three\n    )\n}\n",
          "fn f(x: int) -> int {\n    return g(\n        1, // one\n        // two\n        2\n        // three\n    )\n}\n");
}

static void test_a_comment_inside_of_something_moves_before_it(void **state)
{
    check("fn f(x: int) -> int {\n    return x[ // why\n        1]\n}\n", "fn f(x: int) -> int {\n    // why\n    return x[1]\n}\n");
    check("fn f(x: int) -> int {\n    return x + // why\n        1\n}\n", "fn f(x: int) -> int {\n    return x // why\n        + 1\n}\n");
}

static void test_parentheses_are_those_that_are_needed(void **state)
{
    check("fn f(a: bool) -> bool { return ((a) and (b or (c))) or (not (d)) }\n", "fn f(a: bool) -> bool { return a and (b or c) or not d }\n");
    check("fn f(a: int) -> int { return (a * b) + c - (d - e) * -(f + g) }\n", "fn f(a: int) -> int { return a * b + c - (d - e) * -(f + g) }\n");
    check("fn f(a: int) -> int {\n    let x = 1\n    (-x)\n}\n", "fn f(a: int) -> int {\n    let x = 1\n    (-x)\n}\n");
}

static void test_what_does_not_fit_breaks_outermost_first(void **state)
{
    check("fn f(x: int) -> int { return aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa(bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb, ccccccccccccccccccccccccc) }\n",
          "fn f(x: int) -> int {\n    return aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa(bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb, ccccccccccccccccccccccccc)\n}\n");
}

static void test_wide_characters_count_as_they_are_shown(void **state)
{
    Buf text = { 0 };
    buf_put_text(&text, "fn f() -> string { return g(\"");
    for (int i = 0; i < 44; i++) buf_put_text(&text, "日");
    buf_put_text(&text, "\") }\n");                             /* 29 + 88 + 4 columns */
    Buf out = { 0 };
    assert_true(formats("t.flow", buf_str(&text), false, &out));
    assert_non_null(strstr(buf_cstr(&out), "{\n    return g("));
    buf_free(&text);
    buf_free(&out);
}

/* ---- generated programs ---- */

static void test_generated_programs_keep_their_meaning(void **state)
{
    const char *chosen = getenv("FMT_SEED");
    uint64_t seed = chosen ? strtoull(chosen, NULL, 10) : 1;
    size_t bytes = 0, broken_lines = 0;
    for (int i = 0; i < FMT_PROGRAMS; i++) {
        Buf program = { 0 }, out = { 0 };
        sample_program(seed + (uint64_t)i, &program);
        bool good = formats("generated.flow", buf_str(&program), true, &out);
        if (!good) print_error("seed %llu\n", (unsigned long long)(seed + (uint64_t)i));
        assert_true(good);
        bytes += program.len;
        for (size_t at = 0; at < out.len; at++) broken_lines += out.ptr[at] == '\n';
        buf_free(&program);
        buf_free(&out);
    }
    assert_true(bytes > (size_t)FMT_PROGRAMS * 500);            /* the generator writes programs, not crumbs */
    assert_true(broken_lines > (size_t)FMT_PROGRAMS * 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_stays_nothing), cmocka_unit_test(test_declarations_are_one_line_apart),
        cmocka_unit_test(test_comments_keep_their_place), cmocka_unit_test(test_a_comment_inside_of_something_moves_before_it),
        cmocka_unit_test(test_parentheses_are_those_that_are_needed), cmocka_unit_test(test_what_does_not_fit_breaks_outermost_first),
        cmocka_unit_test(test_wide_characters_count_as_they_are_shown), cmocka_unit_test(test_every_flow_and_library_keeps_its_meaning),
        cmocka_unit_test(test_every_test_program_keeps_its_meaning), cmocka_unit_test(test_the_layout_is_that_of_the_goldens),
        cmocka_unit_test(test_generated_programs_keep_their_meaning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
