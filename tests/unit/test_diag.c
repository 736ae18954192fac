/* test_diag.c - a diagnostic is kept once, counted, decorated, and shown the same way in every form. */
#include "dsl/syntax/diag.h"

#include "base/json.h"
#include "dsl/syntax/columns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

typedef struct World {
    SourceSet *sources;
    Diags diags;
    Buf out;
    Arena *arena;
} World;

static int setup(void **state)
{
    World *w = mem_alloc(sizeof *w);
    w->sources = source_set_new();
    diags_init(&w->diags);
    w->arena = arena_new();
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    World *w = *state;
    source_set_free(w->sources);
    diags_deinit(&w->diags);
    buf_free(&w->out);
    arena_free(w->arena);
    free(w);
    return 0;
}

static Source *add(World *w, const char *path, const char *text)
{
    Source *source = NULL;
    assert_int_equal(source_add(w->sources, path, str_of(text), &source, NULL), ERR_OK);
    return source;
}

/* The span of the nth occurrence of a piece of text. */
static Span at(const Source *source, const char *piece, int nth)
{
    const char *found = source->text.ptr;
    for (int i = 0; i < nth; i++) {
        found = strstr(i ? found + 1 : found, piece);
        assert_non_null(found);
    }
    uint32_t start = (uint32_t)(found - source->text.ptr);
    return (Span){ start, start + (uint32_t)strlen(piece), source->index };
}

static const char *text_of(World *w, DiagFormat format, bool color)
{
    buf_clear(&w->out);
    diags_render(&w->diags, w->sources, format, color, &w->out);
    return buf_cstr(&w->out);
}

static const Json *line_of(World *w)
{
    text_of(w, DIAG_FORMAT_JSON, false);
    Json *json = NULL;
    assert_int_equal(json_parse(w->arena, buf_str(&w->out), 1 << 20, &json, NULL), ERR_OK);
    return json;
}

/* ---- collecting ---- */

static void test_the_same_code_at_the_same_place_is_kept_once(void **state)
{
    World *w = *state;
    Span span = { 3, 5, 0 }, other = { 3, 6, 0 };
    Diag *first = diag_source_not_utf8(&w->diags, span), *second = diag_source_not_utf8(&w->diags, span);
    assert_non_null(second);
    assert_ptr_not_equal(first, second);
    diag_label(&w->diags, second, "does not reach the one that is kept");
    assert_null(w->diags.items[0]->label);
    diag_source_not_utf8(&w->diags, other);
    diag_syntax(&w->diags, span, "`x`", "`y`");
    assert_int_equal(w->diags.count, 3);
    assert_int_equal(w->diags.error_count, 3);
}

static void test_no_more_than_the_limit_are_kept_but_all_errors_count(void **state)
{
    World *w = *state;
    for (uint32_t i = 0; i < DIAG_COUNT_MAX + 7; i++) assert_non_null(diag_source_not_utf8(&w->diags, (Span){ i, i + 1, 0 }));
    assert_int_equal(w->diags.count, DIAG_COUNT_MAX);
    assert_int_equal(w->diags.error_count, DIAG_COUNT_MAX + 7);
    assert_non_null(strstr(text_of(w, DIAG_FORMAT_TEXT, false), "\n… and 7 more\n"));
}

static void test_texts_outlive_their_arguments(void **state)
{
    World *w = *state;
    char found[8] = "`left`";
    Diag *diag = diag_syntax(&w->diags, (Span){ 0, 1, 0 }, found, "`right`");
    diag_label(&w->diags, diag, "%s", found);
    memset(found, '#', sizeof found - 1);
    assert_string_equal(diag->message, "unexpected `left`, expected `right`");
    assert_string_equal(diag->label, "`left`");
}

static void test_notes_have_a_limit(void **state)
{
    World *w = *state;
    Diag *diag = diag_source_not_utf8(&w->diags, (Span){ 0, 1, 0 });
    for (int i = 0; i < DIAG_NOTES_MAX + 3; i++) diag_note(&w->diags, diag, (Span){ 0, 0, 0 }, "note %d", i);
    assert_int_equal(diag->note_count, DIAG_NOTES_MAX);
    assert_string_equal(diag->notes[DIAG_NOTES_MAX - 1].text, "note 5");
    assert_false(diag->notes[0].has_span);
}

static void test_sorted_by_file_place_and_code(void **state)
{
    World *w = *state;
    diag_source_not_utf8(&w->diags, (Span){ 9, 10, 1 });
    diag_syntax(&w->diags, (Span){ 4, 5, 0 }, "a", "b");
    diag_source_not_utf8(&w->diags, (Span){ 4, 5, 0 });
    diag_source_not_utf8(&w->diags, (Span){ 1, 5, 0 });
    diags_sort(&w->diags);
    assert_int_equal(w->diags.items[0]->span.start, 1);
    assert_string_equal(w->diags.items[1]->code, "E0103");
    assert_string_equal(w->diags.items[2]->code, "E0201");
    assert_int_equal(w->diags.items[3]->span.file, 1);
}

static void test_did_you_mean_gives_help_and_an_edit_of_the_word(void **state)
{
    World *w = *state;
    const Str names[] = { STR("calendar"), STR("travel"), STR("weather") };
    Source *source = add(w, "a.flow", "let f = travle.book(1)\n");
    Diag *diag = diag_source_not_utf8(&w->diags, at(source, "travle", 1));
    diag_did_you_mean(&w->diags, diag, STR("travle"), names, 3);
    assert_string_equal(diag->help, "did you mean `travel`?");
    assert_true(diag->has_fix);
    assert_string_equal(diag->fix.text, "travel");
    assert_int_equal(diag->fix.span.start, 8);

    Diag *wider = diag_source_not_utf8(&w->diags, at(source, "travle.book", 1));
    diag_did_you_mean(&w->diags, wider, STR("travle"), names, 3);
    assert_non_null(wider->help);
    assert_false(wider->has_fix);                               /* the span is more than the word */

    Diag *far = diag_source_not_utf8(&w->diags, at(source, "let", 1));
    diag_did_you_mean(&w->diags, far, STR("xyzzy"), names, 3);
    assert_null(far->help);
}

static void test_every_row_of_the_table_is_unique_and_well_formed(void **state)
{
    for (const DiagInfo *info = diag_infos; info->code; info++) {
        assert_string_equal(diag_pattern(info->code), info->pattern);
        for (const DiagInfo *other = info + 1; other->code; other++) assert_string_not_equal(info->code, other->code);
        size_t length = strlen(info->pattern);
        assert_true(length > 0);
        assert_int_not_equal(info->pattern[length - 1], '.');
        assert_false(info->pattern[0] >= 'A' && info->pattern[0] <= 'Z');
        if (info->severity == SEVERITY_ERROR) assert_true(info->code[0] == 'E' && strlen(info->code) == 5);
    }
    assert_null(diag_pattern("E9999"));
}

/* ---- text ---- */

static const char trip[] =
    "agent travel \"Travel\" {\n"
    "}\n"
    "flow f() {\n"
    "  let f = travle.book_flight(best.id)\n"
    "}\n";

static void test_the_frame_is_that_of_the_house_style(void **state)
{
    World *w = *state;
    Source *source = add(w, "flows/trip.flow", trip);
    Diag *diag = diag_syntax(&w->diags, at(source, "travle", 1), "`travle`", "an agent");
    diag_label(&w->diags, diag, "no agent of this name is declared or imported");
    diag_help(&w->diags, diag, "did you mean `travel`?");
    assert_string_equal(text_of(w, DIAG_FORMAT_TEXT, false),
        "error[E0201]: unexpected `travle`, expected an agent\n"
        "  ┌─ flows/trip.flow:4:11\n"
        " 4│   let f = travle.book_flight(best.id)\n"
        "  │           ^^^^^^ no agent of this name is declared or imported\n"
        "   = help: did you mean `travel`?\n"
        "   = more: flowc explain E0201\n");
}

static void test_a_note_with_a_place_shows_it(void **state)
{
    World *w = *state;
    Source *source = add(w, "t.flow", trip);
    Diag *diag = diag_source_not_utf8(&w->diags, at(source, "travle", 1));
    diag_note(&w->diags, diag, at(source, "travel", 1), "an agent is declared here");
    diag_note(&w->diags, diag, (Span){ 0, 0, 0 }, "agents have lower-case names");
    assert_string_equal(text_of(w, DIAG_FORMAT_TEXT, false),
        "error[E0103]: file is not valid UTF-8\n"
        "  ┌─ t.flow:4:11\n"
        " 4│   let f = travle.book_flight(best.id)\n"
        "  │           ^^^^^^\n"
        "   = note: an agent is declared here\n"
        "  ┌─ t.flow:1:7\n"
        " 1│ agent travel \"Travel\" {\n"
        "  │       ------\n"
        "   = note: agents have lower-case names\n"
        "   = more: flowc explain E0103\n");
}

static void test_several_lines_show_the_first_and_the_last(void **state)
{
    World *w = *state;
    Source *source = add(w, "t.flow", "saga {\n    step a\n    step b\n  }\nrest\n");
    Span span = span_join(at(source, "saga", 1), at(source, "}", 1));
    diag_label(&w->diags, diag_source_not_utf8(&w->diags, span), "all of it");
    assert_non_null(strstr(text_of(w, DIAG_FORMAT_TEXT, false),
        "  ┌─ t.flow:1:1\n"
        " 1│ saga {\n"
        "  │ ^^^^^^\n"
        "  ⋮\n"
        " 4│   }\n"
        "  │   ^ all of it\n"));
}

static void test_carets_stand_under_tabs_and_wide_characters(void **state)
{
    World *w = *state;
    Source *source = add(w, "t.flow", "\tlet s = \"日本é\" + oops\n");
    diag_source_not_utf8(&w->diags, at(source, "oops", 1));
    diag_source_not_utf8(&w->diags, at(source, "本", 1));
    const char *text = text_of(w, DIAG_FORMAT_TEXT, false);
    assert_non_null(strstr(text,
        "  ┌─ t.flow:1:18\n"
        " 1│     let s = \"日本é\" + oops\n"
        "  │                       ^^^^\n"));
    assert_non_null(strstr(text,
        "  ┌─ t.flow:1:12\n"
        " 1│     let s = \"日本é\" + oops\n"
        "  │                ^^\n"));
}

static void test_an_empty_span_and_the_end_of_the_file_get_one_caret(void **state)
{
    World *w = *state;
    Source *source = add(w, "t.flow", "flow f()");
    diag_source_not_utf8(&w->diags, (Span){ 8, 8, source->index });
    assert_non_null(strstr(text_of(w, DIAG_FORMAT_TEXT, false), " 1│ flow f()\n  │         ^\n"));
    diag_source_not_utf8(&w->diags, (Span){ 500, 900, source->index });         /* a span from nowhere stays in the text */
    assert_non_null(strstr(text_of(w, DIAG_FORMAT_TEXT, false), "t.flow:1:9"));
}

static void test_the_gutter_grows_with_the_line_number(void **state)
{
    World *w = *state;
    Buf text = { 0 };
    for (int i = 1; i < 1234; i++) buf_put_char(&text, '\n');
    buf_put_text(&text, "oops\n");
    Source *source = add(w, "t.flow", buf_cstr(&text));
    buf_free(&text);
    diag_source_not_utf8(&w->diags, at(source, "oops", 1));
    assert_non_null(strstr(text_of(w, DIAG_FORMAT_TEXT, false), "    ┌─ t.flow:1234:1\n1234│ oops\n    │ ^^^^\n     = more:"));
}

static void test_a_long_line_is_cut_round_its_span(void **state)
{
    World *w = *state;
    Buf text = { 0 };
    for (int i = 0; i < 3000; i++) buf_put_char(&text, 'a');
    buf_put_text(&text, "oops");
    for (int i = 0; i < 3000; i++) buf_put_char(&text, 'b');
    Source *source = add(w, "t.flow", buf_cstr(&text));
    buf_free(&text);
    diag_source_not_utf8(&w->diags, at(source, "oops", 1));
    const char *shown = text_of(w, DIAG_FORMAT_TEXT, false);
    assert_true(strlen(shown) < 600);
    const char *word = strstr(shown, "oops"), *line = strstr(shown, " 1│ "), *carets = strstr(shown, "^^^^");
    assert_non_null(word);
    assert_non_null(carets);
    const char *row = carets;
    while (row[-1] != '\n') row--;
    assert_int_equal(columns_of((Str){ line, (size_t)(word - line) }), columns_of((Str){ row, (size_t)(carets - row) }));
}

static void test_the_terminal_gets_no_control_characters_of_the_program(void **state)
{
    World *w = *state;
    Source *source = add(w, "t.flow", "let x = \"\033[31m\" oops\n");
    diag_syntax(&w->diags, at(source, "oops", 1), "`\033]0;title\007`", "a line end");
    const char *text = text_of(w, DIAG_FORMAT_TEXT, false);
    assert_null(strchr(text, '\033'));
    assert_null(strchr(text, '\007'));
    assert_non_null(strstr(text, "\xef\xbf\xbd[31m"));
}

static void test_colours_only_when_asked(void **state)
{
    World *w = *state;
    Source *source = add(w, "t.flow", trip);
    diag_source_not_utf8(&w->diags, at(source, "travle", 1));
    assert_null(strchr(text_of(w, DIAG_FORMAT_TEXT, false), '\033'));
    assert_non_null(strstr(text_of(w, DIAG_FORMAT_TEXT, true), "\033[1;31merror[E0103]\033[0m"));
}

static void test_a_file_that_is_not_there_has_no_frame(void **state)
{
    World *w = *state;
    diag_source_too_large(&w->diags, (Span){ 0, 0, 7 }, SOURCE_SIZE_MAX);
    assert_string_equal(text_of(w, DIAG_FORMAT_TEXT, false),
        "error[E0101]: file is larger than SOURCE_SIZE_MAX (4194304 bytes)\n"
        "   = more: flowc explain E0101\n");
    assert_int_equal(json_get(line_of(w), "span")->kind, JSON_NULL);
    assert_non_null(strstr(text_of(w, DIAG_FORMAT_SARIF, false), "\"locations\":[]"));
}

/* ---- JSON ---- */

static void test_a_json_line_says_all(void **state)
{
    World *w = *state;
    Source *source = add(w, "dir/ä.flow", "// é\nlet f = travle.book()\n");
    Diag *diag = diag_syntax(&w->diags, at(source, "travle", 1), "`travle`", "an agent");
    diag_label(&w->diags, diag, "why \"here\"");
    diag_note(&w->diags, diag, at(source, "let", 1), "a note");
    diag_note(&w->diags, diag, (Span){ 0, 0, 0 }, "a bare note");
    diag_help(&w->diags, diag, "a help");
    diag_fix(&w->diags, diag, diag->span, "%s", "travel");

    const Json *json = line_of(w);
    assert_int_equal(json_get(json, "version")->integer, 1);
    assert_true(str_is(json_get_text(json, "code"), "E0201"));
    assert_true(str_is(json_get_text(json, "severity"), "error"));
    assert_true(str_is(json_get_text(json, "message"), "unexpected `travle`, expected an agent"));
    assert_true(str_is(json_get_text(json, "label"), "why \"here\""));
    assert_true(str_is(json_get_text(json, "help"), "a help"));
    const Json *span = json_get(json, "span");
    assert_true(str_is(json_get_text(span, "file"), "dir/ä.flow"));
    assert_int_equal(json_get(span, "start_byte")->integer, 14);
    assert_int_equal(json_get(span, "end_byte")->integer, 20);
    assert_int_equal(json_get(json_get(span, "start"), "line")->integer, 2);
    assert_int_equal(json_get(json_get(span, "start"), "column")->integer, 9);
    assert_int_equal(json_get(json_get(span, "end"), "column")->integer, 15);
    const Json *notes = json_get(json, "notes");
    assert_int_equal(notes->count, 2);
    assert_int_equal(json_get(json_get(notes->items[0], "span"), "start_byte")->integer, 6);
    assert_int_equal(json_get(notes->items[1], "span")->kind, JSON_NULL);
    const Json *fix = json_get(json, "fixes")->items[0];
    assert_true(str_is(json_get_text(fix, "text"), "travel"));
    assert_true(str_is(json_get_text(fix, "applicability"), "automatic"));
    assert_false(json_get(fix, "widens_authority")->boolean);
    Buf rendered = { 0 };
    buf_put_str(&rendered, json_get_text(json, "rendered"));
    assert_string_equal(buf_cstr(&rendered), text_of(w, DIAG_FORMAT_TEXT, false));
    buf_free(&rendered);
}

static void test_json_is_one_line_each(void **state)
{
    World *w = *state;
    Source *source = add(w, "t.flow", trip);
    diag_source_not_utf8(&w->diags, at(source, "travle", 1));
    diag_source_not_utf8(&w->diags, at(source, "let", 1));
    const char *text = text_of(w, DIAG_FORMAT_JSON, false);
    int lines = 0;
    for (; *text; text++) lines += *text == '\n';
    assert_int_equal(lines, 2);
}

static void test_a_fix_that_widens_authority_is_for_people(void **state)
{
    World *w = *state;
    Source *source = add(w, "t.flow", trip);
    Diag *diag = diag_source_not_utf8(&w->diags, at(source, "travle", 1));
    diag_fix(&w->diags, diag, diag->span, "requires \"everything\"");
    diag->fix.widens_authority = true;
    const Json *fix = json_get(line_of(w), "fixes")->items[0];
    assert_true(str_is(json_get_text(fix, "applicability"), "manual"));
    assert_true(json_get(fix, "widens_authority")->boolean);
    assert_null(strstr(text_of(w, DIAG_FORMAT_SARIF, false), "\"fixes\""));
}

static void test_bytes_that_are_not_text_do_not_break_json(void **state)
{
    World *w = *state;
    add(w, "t.flow", trip);
    diag_syntax(&w->diags, (Span){ 0, 1, 0 }, "\xff\xc3", "text");
    assert_true(str_is(json_get_text(line_of(w), "message"), "unexpected \xef\xbf\xbd\xef\xbf\xbd, expected text"));
}

/* ---- SARIF ---- */

static const Json *sarif_of(World *w)
{
    text_of(w, DIAG_FORMAT_SARIF, false);
    Json *json = NULL;
    assert_int_equal(json_parse(w->arena, buf_str(&w->out), 1 << 20, &json, NULL), ERR_OK);
    return json;
}

static Str fingerprint(const Json *sarif, size_t index)
{
    const Json *result = json_get(json_get(sarif, "runs")->items[0], "results")->items[index];
    return json_get_text(json_get(result, "partialFingerprints"), "flowLine/v1");
}

static void test_sarif_is_one_document_with_rules_results_and_relative_paths(void **state)
{
    World *w = *state;
    Source *source = add(w, "./flows/a b.flow", trip);
    Diag *diag = diag_syntax(&w->diags, at(source, "travle", 1), "`travle`", "an agent");
    diag_note(&w->diags, diag, at(source, "travel", 1), "declared here");
    diag_fix(&w->diags, diag, diag->span, "travel");
    const Json *sarif = sarif_of(w);
    assert_true(str_is(json_get_text(sarif, "version"), "2.1.0"));
    const Json *run = json_get(sarif, "runs")->items[0], *rules = json_get(json_get(json_get(run, "tool"), "driver"), "rules");
    const Json *result = json_get(run, "results")->items[0];
    assert_true(str_is(json_get_text(result, "ruleId"), "E0201"));
    const Json *rule = rules->items[json_get(result, "ruleIndex")->integer];
    assert_true(str_is(json_get_text(rule, "id"), "E0201"));
    assert_true(str_is(json_get_text(json_get(rule, "shortDescription"), "text"), "unexpected …, expected …"));
    const Json *place = json_get(json_get(result, "locations")->items[0], "physicalLocation"), *artifact = json_get(place, "artifactLocation");
    assert_true(str_is(json_get_text(artifact, "uri"), "flows/a%20b.flow"));
    assert_true(str_is(json_get_text(artifact, "uriBaseId"), "%SRCROOT%"));
    assert_int_equal(json_get(json_get(place, "region"), "startLine")->integer, 4);
    assert_int_equal(json_get(json_get(place, "region"), "endColumn")->integer, 17);
    assert_int_equal(json_get(result, "relatedLocations")->count, 1);
    assert_int_equal(json_get(result, "fixes")->count, 1);
    assert_int_equal(fingerprint(sarif, 0).len, 32);
}

static void test_fingerprints_survive_edits_elsewhere_and_tell_twins_apart(void **state)
{
    World *w = *state;
    Source *before = add(w, "t.flow", "  oops\n  oops\n");
    diag_source_not_utf8(&w->diags, at(before, "oops", 1));
    diag_source_not_utf8(&w->diags, at(before, "oops", 2));
    const Json *old = sarif_of(w);
    Str first = fingerprint(old, 0), second = fingerprint(old, 1);
    assert_false(str_eq(first, second));

    SourceSet *sources = source_set_new();
    Source *after = NULL;
    assert_int_equal(source_add(sources, "t.flow", STR("// more\n\n\toops\n\toops\n"), &after, NULL), ERR_OK);
    SourceSet *kept = w->sources;
    w->sources = sources;
    diags_deinit(&w->diags);
    diags_init(&w->diags);
    diag_source_not_utf8(&w->diags, at(after, "oops", 1));
    diag_source_not_utf8(&w->diags, at(after, "oops", 2));
    const Json *new = sarif_of(w);
    assert_true(str_eq(first, fingerprint(new, 0)));
    assert_true(str_eq(second, fingerprint(new, 1)));
    w->sources = kept;
    source_set_free(sources);
}

static void test_nothing_to_report_is_still_a_sarif_document(void **state)
{
    World *w = *state;
    assert_int_equal(json_get(json_get(sarif_of(w), "runs")->items[0], "results")->count, 0);
    assert_string_equal(text_of(w, DIAG_FORMAT_TEXT, false), "");
    assert_string_equal(text_of(w, DIAG_FORMAT_JSON, false), "");
}

/* ---- columns ---- */

static void test_columns_of_text(void **state)
{
    static const struct { const char *text; size_t columns; } cases[] = {
        { "", 0 }, { "abc", 3 }, { "é", 1 }, { "e\xcc\x81", 1 }, { "日本", 4 }, { "🙂", 2 }, { "…", 1 }, { "\xff\xfe", 2 }, { "a\xe2\x80\x8b" "b", 2 },
        { "\xe2\x82", 2 }, { "한글", 4 }, { "€", 1 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) assert_int_equal(columns_of(str_of(cases[i].text)), cases[i].columns);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_same_code_at_the_same_place_is_kept_once), TEST(test_no_more_than_the_limit_are_kept_but_all_errors_count),
        TEST(test_texts_outlive_their_arguments), TEST(test_notes_have_a_limit), TEST(test_sorted_by_file_place_and_code),
        TEST(test_did_you_mean_gives_help_and_an_edit_of_the_word), TEST(test_every_row_of_the_table_is_unique_and_well_formed),
        TEST(test_the_frame_is_that_of_the_house_style), TEST(test_a_note_with_a_place_shows_it), TEST(test_several_lines_show_the_first_and_the_last),
        TEST(test_carets_stand_under_tabs_and_wide_characters), TEST(test_an_empty_span_and_the_end_of_the_file_get_one_caret),
        TEST(test_the_gutter_grows_with_the_line_number), TEST(test_a_long_line_is_cut_round_its_span),
        TEST(test_the_terminal_gets_no_control_characters_of_the_program), TEST(test_colours_only_when_asked),
        TEST(test_a_file_that_is_not_there_has_no_frame), TEST(test_a_json_line_says_all), TEST(test_json_is_one_line_each),
        TEST(test_a_fix_that_widens_authority_is_for_people), TEST(test_bytes_that_are_not_text_do_not_break_json),
        TEST(test_sarif_is_one_document_with_rules_results_and_relative_paths), TEST(test_fingerprints_survive_edits_elsewhere_and_tell_twins_apart),
        TEST(test_nothing_to_report_is_still_a_sarif_document), TEST(test_columns_of_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
