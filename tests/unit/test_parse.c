/* test_parse.c - each construct becomes its tree; mistakes are told where they are, and what stands around them is kept; limits hold. */
#include "dsl/syntax/parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <stdio.h>
#include <ftw.h>
#include <cmocka.h>

#include "tests/unit/parse_cases.h"

static SourceSet *set;
static Arena *arena;
static Diags diags;
static Buf out;

static int setup(void **state)
{
    (void)state;
    set = source_set_new();
    arena = arena_new();
    diags_init(&diags);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    diags_deinit(&diags);
    arena_free(arena);
    source_set_free(set);
    buf_free(&out);
    return 0;
}

/* A fresh file each time; its diagnostics are the only ones in `diags`. */
static Module *parse(const char *text)
{
    char path[32];
    Source *source;
    snprintf(path, sizeof path, "%u.flow", set->count);
    assert_int_equal(source_add(set, path, str_of(text), &source, NULL), ERR_OK);
    diags_deinit(&diags);
    diags_init(&diags);
    return parse_module(arena, source, &diags);
}

static const char *module_dump(const Module *module)
{
    static const char head[] = "(module items=[";
    buf_clear(&out);
    ast_dump(&module->root->head, &out);
    char *text = buf_cstr(&out);
    if (strncmp(text, head, sizeof head - 1) != 0)
        return text;
    text[out.len - 2] = '\0';
    return text + sizeof head - 1;
}

static const char *errors_list(void)
{
    buf_clear(&out);
    diags_sort(&diags);
    for (uint32_t i = 0; i < diags.count; i++) {
        uint32_t line, column;
        const Diag *diag = diags.items[i];
        source_position(set->files[diag->span.file], diag->span.start, &line, &column);
        buf_printf(&out, "%u:%u %s %s\n", line, column, diag->code, diag->message);
    }
    return buf_cstr(&out);
}

static void declarations_are(const Case *cases)
{
    for (; cases->text; cases++) {
        Module *module = parse(cases->text);
        assert_string_equal(errors_list(), "");
        assert_string_equal(module_dump(module), cases->tree);
    }
}

static void statements_are(const Case *cases)
{
    static const char head[] = "(flow_decl name=f body=(block items=[";
    for (; cases->text; cases++) {
        Module *module = parse(arena_printf(arena, "flow f() {\n%s\n}", cases->text));
        assert_string_equal(errors_list(), "");
        const char *dump = module_dump(module);
        assert_true(strncmp(dump, head, sizeof head - 1) == 0);
        size_t len = strlen(dump) - (sizeof head - 1) - 3;
        assert_string_equal(arena_printf(arena, "%.*s", (int)len, dump + sizeof head - 1), cases->tree);
    }
}

static void errors_are(const Case *cases)
{
    for (; cases->text; cases++) {
        parse(cases->text);
        assert_string_equal(errors_list(), cases->tree);
    }
}

#define STATEMENTS(name) static void statement_##name(void **state) { (void)state; statements_are(name); }
#define DECLARATIONS(name) static void declaration_##name(void **state) { (void)state; declarations_are(declare_##name); }
#define ERRORS(name) static void error_##name(void **state) { (void)state; errors_are(name); }
STATEMENTS(let_and_var) STATEMENTS(assignments) STATEMENTS(literals) STATEMENTS(strings) STATEMENTS(block_strings) STATEMENTS(precedence) STATEMENTS(postfix)
STATEMENTS(aggregates) STATEMENTS(clauses) STATEMENTS(questions) STATEMENTS(plans) STATEMENTS(queries) STATEMENTS(conditions) STATEMENTS(matches) STATEMENTS(loops)
STATEMENTS(parallels) STATEMENTS(failures) STATEMENTS(effects) STATEMENTS(tests_given) STATEMENTS(tests_run) STATEMENTS(tests_expect)
STATEMENTS(words_as_names) STATEMENTS(continued)
DECLARATIONS(use) DECLARATIONS(agent) DECLARATIONS(clauses) DECLARATIONS(records) DECLARATIONS(machine) DECLARATIONS(table) DECLARATIONS(policy) DECLARATIONS(rest)
DECLARATIONS(documentation)

/* ---- mistakes: "line:column code message" ------------------------------------------------------------------- */
static const Case several_errors_are_found_in_one_run[] = {
    { "flow f() {\n let = 1\n let y = 2\n foo(a b)\n if a == = b {\n  let q = 1\n }\n x y\n}\nflow g() { 1 2 }\nevent E { a int, b: string c }\ntype T { a: i"
      "nt }",
      "2:6 E0201 unexpected `=`, expected a name\n"
      "4:8 E0201 unexpected `b`, expected `=>`, `,`, `)` or `:`\n"
      "5:10 E0201 unexpected `=`, expected an expression\n"
      "8:4 E0201 unexpected `y`, expected the end of the line or `}`\n"
      "10:14 E0201 unexpected number `2`, expected the end of the line or `}`\n"
      "11:13 E0201 unexpected `int`, expected `:`\n"
      "11:28 E0201 unexpected `c`, expected the end of the line, `like`, `,` or `}`\n" },
    { "/// lost\n}\nflow f() { }\n)\nflow g() { }",
      "2:1 E0201 unexpected `}`, expected a declaration or the end of the file\n"
      "4:1 E0201 unexpected `)`, expected a declaration\n" },
    { "flow f() {\n match x {\n 1 -> 2\n 3 => 4\n }\n parallel {\n a + 1\n b = 2\n }\n}\ntable t {\n a b\n c: int\n}\npolicy p {\n attempts x\n backoff 1s\n}"
      "\nmachine M {\n A - B\n final B\n}\nagent a \"A\" {\n tool 1\n tool t() { }\n}",
      "3:4 E0201 unexpected `->`, expected `if`, `=>` or `,`\n"
      "7:4 E0201 unexpected `+`, expected `=`\n"
      "12:4 E0201 unexpected `b`, expected `:`\n"
      "16:11 E0201 unexpected `x`, expected a number\n"
      "20:4 E0201 unexpected `-`, expected `->`\n"
      "24:7 E0201 unexpected number `1`, expected a name\n" },
    { NULL, NULL }
};

static const Case an_error_in_a_block_stays_in_it[] = {
    { "flow f() {\n if a {\n  b c {\n d\n }\n  e\n }\n g h\n}",
      "3:5 E0201 unexpected `c`, expected the end of the line or `}`\n"
      "8:4 E0201 unexpected `h`, expected the end of the line or `}`\n" },
    { NULL, NULL }
};

static const Case a_missing_brace_is_found_at_the_next_declaration[] = {
    { "flow f() {\n if a {\n  b\n\nflow g() { c d }",
      "2:7 E0204 `{` is not closed\n"
      "5:14 E0201 unexpected `d`, expected the end of the line or `}`\n" },
    { NULL, NULL }
};

static const Case a_missing_brace_is_found_at_the_end[] = {
    { "flow f() {\n g([",
      "2:4 E0204 `[` is not closed\n" },
    { NULL, NULL }
};

static const Case a_missing_parenthesis_is_found_at_the_next_statement[] = {
    { "flow f() {\n let a = g(1\n let b = 2\n c d\n}",
      "2:13 E0201 unexpected end of the line, expected `,` or `)`\n"
      "4:4 E0201 unexpected `d`, expected the end of the line or `}`\n" },
    { "flow f() {\n { a: (1 }\n}",
      "2:10 E0201 unexpected `}`, expected `)`\n" },
    { NULL, NULL }
};

static const Case common_mistakes_have_their_own_words[] = {
    { "flow f() { if a = 1 { b } }",
      "1:17 E0205 unexpected `=` in a condition, expected `==`\n" },
    { "flow f() { a; b }",
      "1:13 E0202 unexpected `;`: the end of the line ends a statement\n" },
    { "flow f() {\n if a { b } elif c { d }\n}",
      "2:13 E0206 unexpected `elif`, expected `else if`\n" },
    { "flow f() { a && b || !c }",
      "1:14 E0207 unexpected `&&`, expected `and`\n"
      "1:19 E0207 unexpected `||`, expected `or`\n"
      "1:22 E0207 unexpected `!`, expected `not`\n" },
    { "flow f() { 'x' }",
      "1:12 E0111 string in single quotes, expected double quotes\n" },
    { "policy p { attempts 1\n attempts 2 }",
      "2:2 E0208 `attempts` is given twice\n" },
    { "flow f() { g(a where b) }",
      "1:16 E0209 unexpected `where` in a call, expected count, sum, min, max, avg or exists before it\n" },
    { "flow f() { let match = 1 }",
      "1:16 E0201 unexpected `match`, expected a name\n" },
    { NULL, NULL }
};

static const Case texts_that_are_none[] = {
    { "flow f() {\n \"abc\n x y\n}",
      "2:2 E0104 string is not closed\n"
      "3:4 E0201 unexpected `y`, expected the end of the line or `}`\n" },
    { "flow f() { \"\"\"abc",
      "1:12 E0104 string is not closed\n" },
    { "flow f() { \"${a\n b\" }",
      "1:12 E0104 interpolation is not closed\n"
      "2:3 E0104 string is not closed\n"
      "2:3 E0201 unexpected string `\" }`, expected the end of the line or `}`\n" },
    { "flow f() { \"\\q\" }",
      "1:13 E0105 unknown escape `\\q`\n" },
    { "flow f() { 99999999999999999999 + 1x + 5q }",
      "1:12 E0106 integer does not fit 64 bits\n"
      "1:35 E0107 `1x` is not a number\n"
      "1:40 E0107 `5q` is not a number\n" },
    { "flow f() { @2025-13-40 + @2025-11-10T99:00:00Z + @x }",
      "1:12 E0108 `@2025-13-40` is not a date or a timestamp\n"
      "1:26 E0108 `@2025-11-10T99:00:00Z` is not a date or a timestamp\n"
      "1:50 E0108 `@x` is not a date or a timestamp\n" },
    { "flow f() { 1s2h + 99999999999999y }",
      "1:12 E0109 `1s2h` is not a duration\n"
      "1:19 E0109 `99999999999999y` is not a duration\n" },
    { "flow f() { a § b # c }",
      "1:14 E0110 unexpected character `§`\n"
      "1:16 E0201 unexpected `b`, expected the end of the line or `}`\n"
      "1:18 E0110 unexpected character `#`\n" },
    { "flow f() { x =~ /abc\n}",
      "1:17 E0104 regular expression is not closed\n" },
    { "flow f() { \"${a:0\n\" }",
      "1:12 E0104 string is not closed\n"
      "1:17 E0104 format of an interpolation is not closed\n"
      "2:1 E0104 string is not closed\n" },
    { NULL, NULL }
};
ERRORS(several_errors_are_found_in_one_run) ERRORS(an_error_in_a_block_stays_in_it) ERRORS(a_missing_brace_is_found_at_the_next_declaration)
ERRORS(a_missing_brace_is_found_at_the_end) ERRORS(a_missing_parenthesis_is_found_at_the_next_statement) ERRORS(common_mistakes_have_their_own_words)
ERRORS(texts_that_are_none)

static void what_stands_around_an_error_is_kept(void **state)
{
    (void)state;
    Module *module = parse("use a\nflow f() {\n let x = 1\n let = 2\n let y = 3\n if a { b c } else { d }\n}\nflwo\nuse b");
    assert_int_equal(diags.error_count, 3);
    assert_string_equal(module_dump(module),
                        "(use_decl path=\"a\") (flow_decl name=f body=(block items=[(let_stmt name=x value=(int_expr value=1)) (error) (let_stmt name=y value=(int_expr "
                        "value=3)) (if_stmt condition=(name_expr name=a) then_block=(block items=[(error)]) else_block=(block items=[(expr_stmt value=(name_expr "
                        "name=d))]))])) (error) (use_decl path=\"b\")");
}

static void fix_is(const char *text, const char *code, const char *old, const char *new)
{
    parse(text);
    assert_int_equal(diags.count, 1);
    const Diag *diag = diags.items[0];
    assert_string_equal(diag->code, code);
    assert_true(diag->has_fix);
    Str found = span_text(set, diag->fix.span);
    assert_true(str_is(found, old));
    assert_string_equal(diag->fix.text, new);
}

static void mistakes_come_with_a_repair(void **state)
{
    (void)state;
    fix_is("flow f() { if a = 1 { b } }", "E0205", "=", "==");
    fix_is("flow f() { a; b }", "E0202", ";", "\n");
    fix_is("flow f() {\n a;\n b }", "E0202", ";", "");
    fix_is("flow f() { if a { } elif b { } }", "E0206", "elif", "else if");
    fix_is("flow f() { a && b }", "E0207", "&&", "and");
    fix_is("flow f() { a&&b }", "E0207", "&&", " and ");
    fix_is("flow f() { !b }", "E0207", "!", "not ");
    fix_is("flow f() { 'x' }", "E0111", "'x'", "\"x\"");
    fix_is("flow f() {\n retrun 5\n}", "E0201", "retrun", "return");
    fix_is("flwo f() { }", "E0201", "flwo", "flow");
}

static void an_unclosed_bracket_is_pointed_at(void **state)
{
    (void)state;
    parse("flow f() {\n let a = g(1\n let b = 2\n}");
    assert_int_equal(diags.count, 1);
    assert_int_equal(diags.items[0]->note_count, 1);
    assert_true(str_is(span_text(set, diags.items[0]->notes[0].span), "("));
}

/* ---- limits ------------------------------------------------------------------------------------------------- */

static const char *repeated(const char *before, const char *text, int count, const char *after)
{
    Buf made = { 0 };
    buf_put_text(&made, before);
    for (int i = 0; i < count; i++)
        buf_put_text(&made, text);
    buf_put_text(&made, after);
    Str copy = arena_str(arena, buf_str(&made));
    buf_free(&made);
    return copy.ptr;
}

static int depth_of(const Ast *node);
static bool depth_visit(Ast *child, void *arg)
{
    int *deepest = arg, depth = depth_of(child);
    if (depth > *deepest)
        *deepest = depth;
    return true;
}

static int depth_of(const Ast *node)
{
    int deepest = 0;
    ast_each_child(node, depth_visit, &deepest);
    return deepest + 1;
}

static void too_deep(const char *text)
{
    Module *module = parse(text);
    assert_int_equal(diags.error_count, 1);
    assert_string_equal(diags.items[0]->code, "E0203");
    assert_true(depth_of(&module->root->head) <= AST_DEPTH_MAX + 1);
}

static void what_nests_too_deep_is_refused(void **state)
{
    (void)state;
    too_deep(repeated("flow f() { 1", " + 1", 100000, " }"));   /* a chain to the left, deep only in the tree */
    too_deep(repeated("flow f() { a", ".b", 100000, " }"));
    too_deep(repeated("flow f() { ", "not ", 100000, "a }"));   /* the parser's stack */
    too_deep(repeated("flow f() { ", "- ", 3000, "a }"));
    too_deep(repeated("flow f() { ", "(", 100000, ""));         /* brackets */
    too_deep(repeated("flow f() { ", "{ a: [", 100000, ""));
    too_deep(repeated("flow f() { if a { } ", "else if a { } ", 100000, "}"));
    too_deep(repeated("flow f() { ", "if a { ", 100000, ""));
    too_deep(repeated("flow f(a: ", "list<", 100000, ""));
    too_deep(repeated("flow f(a: ", "pii ", 100000, "int) { }"));
    too_deep(repeated("flow f() { ", "f(x => ", 100000, ""));
}

static void what_nests_just_deep_enough_is_accepted(void **state)
{
    (void)state;
    const char *const texts[] = {
        repeated("flow f() { 1", " + 1", AST_DEPTH_MAX - 5, " }"), repeated("flow f() { a", ".b", AST_DEPTH_MAX - 5, " }"),
        repeated("flow f() { ", "not ", AST_DEPTH_MAX - 5, "a }"), repeated("flow f() { ", "if a {", AST_DEPTH_MAX / 2 - 3, repeated("", "}", AST_DEPTH_MAX / 2 - 3, " }")),
        repeated("flow f() { ", "(", AST_DEPTH_MAX - 1, repeated("a", ")", AST_DEPTH_MAX - 1, " }")),
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        parse(texts[i]);
        assert_string_equal(errors_list(), "");
    }
}

static void strings_in_strings_have_a_limit(void **state)
{
    (void)state;
    parse(repeated("flow f() { ", "\"a ${", 16, repeated("b", "}\"", 16, " }")));
    assert_string_equal(errors_list(), "");
    parse(repeated("flow f() { ", "\"a ${", 17, repeated("b", "}\"", 17, " }")));
    assert_non_null(strstr(errors_list(), "E0112"));
}

static void many_errors_are_bounded(void **state)
{
    (void)state;
    parse(repeated("flow f() {\n", " a b\n", 5000, "}"));
    assert_int_equal(diags.count, DIAG_COUNT_MAX);
}

/* ---- spans, comments, the walk ------------------------------------------------------------------------------- */

static void a_node_spans_its_text(void **state)
{
    (void)state;
    Module *module = parse("use a\n\n  flow f() -> int {\n    let x = g( 1 ) + \"€\"  // c\n  }\n");
    Ast_flow_decl *flow = as_flow_decl(module->root->items.items[1]);
    Ast_let_stmt *let = as_let_stmt(as_block(flow->body)->items.items[0]);
    Ast_binary_expr *sum = as_binary_expr(let->value);
    assert_true(str_is(span_text(set, let->head.span), "let x = g( 1 ) + \"€\""));
    assert_true(str_is(span_text(set, let->name.span), "x"));
    assert_true(str_is(span_text(set, sum->left->span), "g( 1 )"));
    assert_true(str_is(span_text(set, sum->right->span), "\"€\""));
    assert_true(str_is(span_text(set, flow->result->span), "int"));
    Str whole = span_text(set, flow->head.span);
    assert_true(str_starts(whole, STR("flow f()")) && str_ends(whole, STR("}")));
}

static void comments_are_kept_in_order(void **state)
{
    (void)state;
    Module *module = parse("// one\nuse a // two\n/// doc\nflow f() {\n /// three\n a\n /// four\n}\n/// five\n");
    static const struct { const char *text; bool own_line; } wanted[] = {
        { "// one", true }, { "// two", false }, { "/// three", true }, { "/// four", true }, { "/// five", true },
    };
    assert_int_equal(module->comment_count, 5);
    for (uint32_t i = 0; i < 5; i++) {
        assert_true(str_is(module->comments[i].text, wanted[i].text));
        assert_true(str_is(span_text(set, module->comments[i].span), wanted[i].text));
        assert_int_equal(module->comments[i].own_line, wanted[i].own_line);
    }
    assert_true(str_is(module->root->items.items[1]->doc, "doc"));
}

static void trees_are_equal_whatever_their_layout(void **state)
{
    (void)state;
    Module *one = parse("flow f() { let x = a + 1 }"), *same = parse("flow f()\n{\n    let x = a\n        + 1\n}\n");
    assert_true(ast_equal(&one->root->head, &same->root->head));
    static const char *const others[] = {
        "flow f() { let x = a + 2 }", "flow f() { let x = a - 1 }", "flow f() { var x = a + 1 }", "flow f() { let x = b + 1 }", "flow f() { let x: int = a + 1 }",
        "/// doc\nflow f() { let x = a + 1 }", "flow f() { let x = a + 1\nx }", "flow f() { let x = (a + 1) + 1 }",
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(ast_equal(&one->root->head, &parse(others[i])->root->head));
}

static bool names_collect(Ast *child, void *arg)
{
    buf_printf(arg, "%s ", ast_kind_name(child->kind));
    return child->kind != AST_BLOCK;
}

static void children_come_in_order_and_the_walk_can_stop(void **state)
{
    (void)state;
    Module *module = parse("flow f(a: int) -> bool reads { if a { } else { b } }");
    Ast *flow = module->root->items.items[0];
    buf_clear(&out);
    assert_false(ast_each_child(flow, names_collect, &out));
    assert_string_equal(buf_cstr(&out), "param name_type effect_clause block ");
    buf_clear(&out);
    assert_false(ast_each_child(as_block(as_flow_decl(flow)->body)->items.items[0], names_collect, &out));
    assert_string_equal(buf_cstr(&out), "name_expr block ");      /* stopped at the first block */
}

static void an_empty_file_is_an_empty_module(void **state)
{
    (void)state;
    static const char *const texts[] = { "", "\n\n", "// only a comment", "\xEF\xBB\xBF", "  \t\r\n" };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        Module *module = parse(texts[i]);
        assert_string_equal(errors_list(), "");
        assert_int_equal(module->root->items.count, 0);
    }
    assert_int_equal(parse("\xEF\xBB\xBFuse a\r\nuse b\r\n")->root->items.count, 2);
    assert_string_equal(errors_list(), "");
}

/* ---- the programs of the project ------------------------------------------------------------------------------- */

static int programs_parsed;

static int program_parse(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)walk;
    if (type != FTW_F || !str_ends(str_of(path), STR(".flow")))
        return 0;
    Source *source;
    assert_int_equal(source_load(set, path, &source, NULL), ERR_OK);
    parse_module(arena, source, &diags);
    assert_string_equal(errors_list(), "");
    programs_parsed++;
    return 0;
}

static void the_programs_of_the_project_parse(void **state)
{
    (void)state;
    nftw("stdlib", program_parse, 8, FTW_PHYS);
    nftw("flows", program_parse, 8, FTW_PHYS);
    assert_true(programs_parsed >= 10);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define S(name) CASE(statement_##name)
#define DECL(name) CASE(declaration_##name)
#define E(name) CASE(error_##name)
    const struct CMUnitTest tests[] = {
        S(let_and_var), S(assignments), S(literals), S(strings), S(block_strings), S(precedence), S(postfix), S(aggregates), S(clauses), S(questions), S(plans), S(queries),
        S(conditions), S(matches), S(loops), S(parallels), S(failures), S(effects), S(tests_given), S(tests_run), S(tests_expect), S(words_as_names), S(continued),
        DECL(use), DECL(agent), DECL(clauses), DECL(records), DECL(machine), DECL(table), DECL(policy), DECL(rest), DECL(documentation),
        E(several_errors_are_found_in_one_run), E(an_error_in_a_block_stays_in_it), E(a_missing_brace_is_found_at_the_next_declaration),
        E(a_missing_brace_is_found_at_the_end), E(a_missing_parenthesis_is_found_at_the_next_statement), E(common_mistakes_have_their_own_words),
        E(texts_that_are_none), CASE(what_stands_around_an_error_is_kept), CASE(mistakes_come_with_a_repair), CASE(an_unclosed_bracket_is_pointed_at),
        CASE(what_nests_too_deep_is_refused), CASE(what_nests_just_deep_enough_is_accepted), CASE(strings_in_strings_have_a_limit), CASE(many_errors_are_bounded),
        CASE(a_node_spans_its_text), CASE(comments_are_kept_in_order), CASE(trees_are_equal_whatever_their_layout),
        CASE(children_come_in_order_and_the_walk_can_stop), CASE(an_empty_file_is_an_empty_module), CASE(the_programs_of_the_project_parse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
