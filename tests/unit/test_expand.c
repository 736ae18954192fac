/* test_expand.c - what aggregates become: their limits, and that what the compiler makes of them is verified like every program. */
#include "compiler/expand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static const char tables[] =
    "agent travel \"Travel\" { }\n"
    "table trips of travel { id: id \"T\", nights: int = 0, version, on erase delete }\n";

/* The code of the first error, or "" when it compiles. */
static const char *first_error(Buf *text)
{
    static char code[16];
    Program *program = program_of_text("aggregates.flow", buf_str(text), NULL, 0);
    Image *image = compile_program(program, true);
    code[0] = 0;
    for (uint32_t i = 0; i < program->diags->count && !code[0]; i++)
        if (program->diags->items[i]->severity == SEVERITY_ERROR)
            strncpy(code, program->diags->items[i]->code, sizeof code - 1);
    if (image)
        image_free(image);
    program_free(program);
    buf_free(text);
    return code;
}

static Buf with_children(unsigned count)
{
    Buf text = { 0 };
    buf_put_text(&text, tables);
    for (unsigned i = 0; i < count; i++)
        buf_printf(&text, "table child%u { id: id \"C\", trip_id: id<trips>, on erase delete }\n", i);
    buf_put_text(&text, "aggregate Trip of travel { root trips\nchildren ");
    for (unsigned i = 0; i < count; i++)
        buf_printf(&text, "%schild%u", i ? ", " : "", i);
    buf_put_text(&text, "\ncommand remove() { delete from trips }\n}\n");
    return text;
}

static void children_are_limited(void **state)
{
    (void)state;
    Buf most = with_children(AGGREGATE_CHILDREN_MAX), more = with_children(AGGREGATE_CHILDREN_MAX + 1);
    assert_string_equal(first_error(&most), "");
    assert_string_equal(first_error(&more), "E0434");
}

static Buf with_invariants(unsigned count)
{
    Buf text = { 0 };
    buf_put_text(&text, tables);
    buf_put_text(&text, "aggregate Trip of travel { root trips\n");
    for (unsigned i = 0; i < count; i++)
        buf_printf(&text, "invariant nights != %u else \"not %u\"\n", i + 1, i + 1);
    buf_put_text(&text, "command stay() { nights += 1 }\n}\n");
    return text;
}

static void invariants_are_limited(void **state)
{
    (void)state;
    Buf most = with_invariants(AGGREGATE_INVARIANTS_MAX), more = with_invariants(AGGREGATE_INVARIANTS_MAX + 1);
    assert_string_equal(first_error(&most), "");
    assert_string_equal(first_error(&more), "E0434");
}

static Buf with_assignments(unsigned count)
{
    Buf text = { 0 };
    buf_put_text(&text, tables);
    buf_put_text(&text, "aggregate Trip of travel { root trips\ncommand stay() {\n");
    for (unsigned i = 0; i < count; i++)
        buf_put_text(&text, "nights += 1\n");
    buf_put_text(&text, "}\n}\n");
    return text;
}

static void assignments_of_a_command_are_limited(void **state)
{
    (void)state;
    Buf most = with_assignments(AGGREGATE_SITES_MAX), more = with_assignments(AGGREGATE_SITES_MAX + 1);
    assert_string_equal(first_error(&most), "");
    assert_string_equal(first_error(&more), "E0434");
}

static void a_command_is_a_tool_that_says_so(void **state)
{
    (void)state;
    Buf text = with_assignments(1);
    Program *program = program_of_text("aggregates.flow", buf_str(&text), NULL, 0);
    Image *image = compile_program(program, true);
    assert_non_null(image);
    assert_int_equal(image->tool_count, 1);
    assert_true(image->tools[0].flags & TOOL_COMMAND);
    assert_int_equal(image->tools[0].param_count, 2);
    assert_true(str_is(image->tools[0].params[0].name, "id"));
    assert_true(str_is(image->tools[0].params[1].name, "expected_version"));
    image_free(image);
    program_free(program);
    buf_free(&text);
}

/* The word by which a command knows the snapshots of its fold: the constant of 16 hexadecimal digits. */
static uint64_t fold_word(const char *helpers)
{
    Buf text = { 0 };
    buf_printf(&text, "agent finance \"Finance\" { }\nevent Paid { key: string, amount: int }\n%s\n", helpers);
    buf_put_text(&text, "aggregate Account of finance sourced by Paid {\nstate { total: int = 0, level: Level = LOW }\nwhen Paid as e { total += taxed(e.amount) }\n"
                        "create open() { emit Paid { key: id, amount: 1 } }\n}\n");
    const char *const paths[] = { "stdlib" };
    Program *program = program_of_text("account.flow", buf_str(&text), paths, 1);
    Image *image = compile_program(program, true);
    assert_non_null(image);
    Buf listing = { 0 };
    image_disasm(image, &listing);
    uint64_t word = 0;
    for (size_t i = 0; i + 18 <= listing.len && !word; i++)
        if (listing.ptr[i] == '"' && listing.ptr[i + 17] == '"' && strspn(listing.ptr + i + 1, "0123456789abcdef") == 16)
            word = strtoull(listing.ptr + i + 1, NULL, 16);
    assert_true(word != 0);
    buf_free(&listing);
    image_free(image);
    program_free(program);
    buf_free(&text);
    return word;
}

static void a_snapshot_belongs_to_all_that_its_fold_uses(void **state)
{
    (void)state;
    static const char old[] = "enum Level { LOW, HIGH }\nfn rate() -> int { return 2 }\nfn taxed(n: int) -> int { return n * rate() }";
    uint64_t word = fold_word(old);
    assert_true(word == fold_word(old));
    assert_true(word == fold_word("enum Level { LOW, HIGH }\nfn rate() -> int { return 2 }\nfn taxed(n: int) -> int { return n * rate() }\nfn other() -> int { return 1 }"));
    assert_true(word != fold_word("enum Level { LOW, HIGH }\nfn rate() -> int { return 3 }\nfn taxed(n: int) -> int { return n * rate() }"));
    assert_true(word != fold_word("enum Level { LOW, MID, HIGH }\nfn rate() -> int { return 2 }\nfn taxed(n: int) -> int { return n * rate() }"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(children_are_limited), cmocka_unit_test(invariants_are_limited), cmocka_unit_test(assignments_of_a_command_are_limited),
        cmocka_unit_test(a_command_is_a_tool_that_says_so), cmocka_unit_test(a_snapshot_belongs_to_all_that_its_fold_uses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
