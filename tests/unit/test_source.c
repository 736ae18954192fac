/* test_source.c - lines, columns in code points, spans; what is no text is refused; limits. */
#include "dsl/syntax/source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

static SourceSet *set;

static int setup(void **state)
{
    (void)state;
    set = source_set_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    source_set_free(set);
    return 0;
}

static Source *add(const char *path, Str text)
{
    Source *source = NULL;
    assert_int_equal(source_add(set, path, text, &source, NULL), ERR_OK);
    return source;
}

static void position_is(const Source *source, uint32_t offset, uint32_t line, uint32_t column)
{
    uint32_t found_line, found_column;
    source_position(source, offset, &found_line, &found_column);
    assert_int_equal(found_line, line);
    assert_int_equal(found_column, column);
}

static void columns_count_code_points(void **state)
{
    (void)state;
    Source *source = add("a.flow", STR("one\n€x = 1\n\nlast"));
    assert_int_equal(source->line_count, 4);
    position_is(source, 0, 1, 1);
    position_is(source, 3, 1, 4);
    position_is(source, 4, 2, 1);
    position_is(source, 7, 2, 2);                               /* behind the three bytes of € */
    position_is(source, 13, 3, 1);
    position_is(source, 14, 4, 1);
    position_is(source, 18, 4, 5);
    position_is(source, 1000, 4, 5);                            /* past the end: the end */
}

static void line_is(const Source *source, uint32_t line, const char *text)
{
    Str found = source_line(source, line);
    assert_true(str_is(found, text));
}

static void lines_come_without_their_end(void **state)
{
    (void)state;
    Source *source = add("a.flow", STR("one\r\ntwo\n"));
    line_is(source, 1, "one");
    line_is(source, 2, "two");
    line_is(source, 3, "");
    line_is(source, 0, "");
    line_is(source, 4, "");
}

static void an_empty_file_has_one_line(void **state)
{
    (void)state;
    Source *source = add("empty.flow", (Str){ NULL, 0 });
    assert_int_equal(source->line_count, 1);
    position_is(source, 0, 1, 1);
    assert_int_equal(source->text.ptr[0], 0);
    assert_int_equal(source->text.ptr[1], 0);
}

static void a_span_is_text_of_its_file(void **state)
{
    (void)state;
    add("a.flow", STR("first"));
    Source *second = add("b.flow", STR("second"));
    assert_int_equal(second->index, 1);
    assert_true(str_is(span_text(set, (Span){ 1, 4, 1 }), "eco"));
    assert_true(str_is(span_text(set, (Span){ 1, 40, 1 }), ""));
    assert_true(str_is(span_text(set, (Span){ 4, 1, 1 }), ""));
    assert_true(str_is(span_text(set, (Span){ 0, 1, 7 }), ""));
    Span joined = span_join((Span){ 1, 2, 1 }, (Span){ 4, 6, 1 });
    assert_true(str_is(span_text(set, joined), "econd"));
}

static void the_same_path_is_loaded_once(void **state)
{
    (void)state;
    Source *first = add("a.flow", STR("x"));
    assert_ptr_equal(add("a.flow", STR("other")), first);
    assert_int_equal(set->count, 1);
}

static void what_is_no_text_is_refused(void **state)
{
    (void)state;
    Source *source;
    Error error;
    assert_int_equal(source_add(set, "a", (Str){ "a\0b", 3 }, &source, &error), ERR_CORRUPT);
    assert_non_null(strstr(error.text, "E0103"));
    assert_int_equal(source_add(set, "b", STR("\xff\xfe"), &source, &error), ERR_CORRUPT);
    assert_int_equal(set->count, 0);
}

static void a_file_too_large_is_refused(void **state)
{
    (void)state;
    Source *source;
    Error error;
    char *text = mem_alloc(SOURCE_SIZE_MAX + 1);
    memset(text, ' ', SOURCE_SIZE_MAX + 1);
    assert_int_equal(source_add(set, "a", (Str){ text, SOURCE_SIZE_MAX + 1 }, &source, &error), ERR_LIMIT);
    assert_non_null(strstr(error.text, "E0101"));
    assert_int_equal(source_add(set, "a", (Str){ text, SOURCE_SIZE_MAX }, &source, &error), ERR_OK);
    free(text);
}

static void a_file_too_many_is_refused(void **state)
{
    (void)state;
    Source *source;
    Error error;
    char path[32];
    for (int i = 0; i < SOURCE_FILES_MAX; i++) {
        snprintf(path, sizeof path, "%d.flow", i);
        add(path, STR("x"));
    }
    assert_int_equal(source_add(set, "more", STR("x"), &source, &error), ERR_LIMIT);
    assert_non_null(strstr(error.text, "E0102"));
    assert_int_equal(source_add(set, "7.flow", STR("x"), &source, &error), ERR_OK);
}

static void files_are_read_from_disk(void **state)
{
    (void)state;
    char path[] = "/tmp/test_source_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "use a\n", 6), 6);
    close(fd);
    Source *source;
    assert_int_equal(source_load(set, path, &source, NULL), ERR_OK);
    assert_true(str_is(source->text, "use a\n"));
    unlink(path);
    Source *again;
    assert_int_equal(source_load(set, path, &again, NULL), ERR_OK);   /* known already */
    assert_ptr_equal(again, source);
    Error error;
    assert_int_not_equal(source_load(set, "/nowhere/at/all.flow", &again, &error), ERR_OK);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(columns_count_code_points), CASE(lines_come_without_their_end), CASE(an_empty_file_has_one_line), CASE(a_span_is_text_of_its_file),
        CASE(the_same_path_is_loaded_once), CASE(what_is_no_text_is_refused), CASE(a_file_too_large_is_refused), CASE(a_file_too_many_is_refused),
        CASE(files_are_read_from_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
