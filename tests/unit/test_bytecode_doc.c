/* test_bytecode_doc.c - the tables in docs/bytecode.md are those of the .def files.
 *
 * A table stands between `<!-- table NAME -->` and `<!-- end -->`. BLESS=1 in the environment rewrites the file instead of comparing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "interpreter/bytecode/opinfo.h"
#include "interpreter/bytecode/route.h"
#include "interpreter/bytecode/verify_internal.h"

#define DOC_PATH "docs/bytecode.md"
enum { DOC_SIZE_MAX = 1 << 20 };

/* A cell: `|` would end it. */
static void cell(Buf *out, const char *text, bool code)
{
    const char *quote = code ? "`" : "";
    buf_printf(out, " %s", quote);
    for (; *text; text++) {
        if (*text == '|') buf_put_char(out, '\\');
        buf_put_char(out, *text);
    }
    buf_printf(out, "%s |", quote);
}

static const char *operand_text(const OpInfo *info, int i) { return info->sort[i] == SORT_NONE ? "" : info->sort_text[i]; }

static void opcodes_table(Buf *out)
{
    buf_put_text(out, "| number | name | A | B | C | flags | meaning |\n|---|---|---|---|---|---|---|\n");
    for (uint16_t op = 0; op < OPCODE_LIMIT; op++) {
        const OpInfo *info = opinfo_find(op);
        if (!info) continue;
        buf_printf(out, "| 0x%02X |", op);
        cell(out, info->name, true);
        for (int i = 0; i < 3; i++) cell(out, operand_text(info, i), false);
        cell(out, info->flags ? info->flag_text : "", false);
        cell(out, info->meaning, false);
        buf_put_char(out, '\n');
    }
}

static void effects_table(Buf *out)
{
    buf_put_text(out, "| number | name | class | parameters, result and target |\n|---|---|---|---|\n");
    for (uint16_t kind = 0; kind < 256; kind++) {
        const EffectInfo *info = effectinfo_find(kind);
        if (!info) continue;
        buf_printf(out, "| 0x%02X |", kind);
        cell(out, info->name, true);
        cell(out, info->class_text, false);
        cell(out, info->meaning, false);
        buf_put_char(out, '\n');
    }
}

static void builtins_table(Buf *out)
{
    buf_put_text(out, "| number | call | result |\n|---|---|---|\n");
    for (uint16_t number = 0; number < BUILTIN_LIMIT; number++) {
        const BuiltinInfo *info = builtininfo_find(number);
        if (!info) continue;
        buf_printf(out, "| 0x%03X | `%s%s%s(%s)` | `%s` |\n", number, info->receiver, info->receiver[0] ? "." : "", info->name, info->params, info->result);
    }
}

static void error_kinds_table(Buf *out)
{
    buf_put_text(out, "| ordinal | kind |\n|---|---|\n");
    for (int kind = 0; kind < ERROR_KIND_COUNT; kind++) buf_printf(out, "| %d | `%s` |\n", kind, error_kind_name((ErrorKind)kind));
}

static void fixed_types_table(Buf *out)
{
    Image *image = image_new();
    buf_put_text(out, "| index | type |\n|---|---|\n");
    for (uint16_t i = 0; i < TYPE_INDEX_FIXED_COUNT; i++) {
        buf_printf(out, "| %u | `", i);
        image_type_print(image, i, out);
        buf_put_text(out, "` |\n");
    }
    image_free(image);
}

static void limits_table(Buf *out)
{
    static const struct { const char *name; long value; const char *what; } limits[] = {
#define LIMIT(name, what) { #name, (long)name, what }
        LIMIT(IMAGE_SIZE_MAX, "bytes of an image"), LIMIT(IMAGE_INDEX_MAX, "rows of a table"), LIMIT(CONST_BYTES_MAX, "bytes of a constant"),
        LIMIT(FUNC_CODE_MAX, "instructions of a function"), LIMIT(FUNC_REGS_MAX, "registers of a function"), LIMIT(FUNC_PARAMS_MAX, "parameters of a function, tool, flow, effect or query"),
        LIMIT(RECORD_FIELDS_MAX, "fields of a record, columns of a table"), LIMIT(TYPE_DEPTH_MAX, "levels of a type"), LIMIT(QUERY_ITEMS_MAX, "items in all expressions of a query"),
        LIMIT(QUERY_STACK_MAX, "values on the stack of an expression"), LIMIT(QUERY_JOINS_MAX, "joins of a query"), LIMIT(QUERY_OUTPUTS_MAX, "outputs, groups or orders of a query"),
        LIMIT(ROUTE_PATH_MAX, "bytes of the path of a route"), LIMIT(ROUTE_SEGMENTS_MAX, "segments of a path"),
        LIMIT(EXTENSION_SIZE_MAX, "bytes of an extension"), LIMIT(EXTENSION_DEPTH_MAX, "extensions above one another"),
        LIMIT(VERIFY_GROUPS_MAX, "`GROUP_NEW` instructions in a function"), LIMIT(VERIFY_TRIES_OPEN_MAX, "try ranges around one instruction"),
        LIMIT(VERIFY_STATE_WORDS_MAX, "words of memory to follow what is assigned in a function"), LIMIT(VERIFY_WORK_MAX, "steps to follow it"),
#undef LIMIT
    };
    buf_put_text(out, "| name | value | of |\n|---|---|---|\n");
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) buf_printf(out, "| `%s` | %ld | %s |\n", limits[i].name, limits[i].value, limits[i].what);
}

static const struct { const char *name; void (*put)(Buf *out); } tables[] = {
    { "opcodes", opcodes_table }, { "effects", effects_table }, { "builtins", builtins_table }, { "error kinds", error_kinds_table },
    { "fixed types", fixed_types_table }, { "limits", limits_table }
};

/* Where the text between the markers of a table begins and ends; false when they are not there. */
static bool table_find(Str doc, const char *name, size_t *from, size_t *to)
{
    char marker[64];
    snprintf(marker, sizeof marker, "<!-- table %s -->\n", name);
    const char *begin = memmem(doc.ptr, doc.len, marker, strlen(marker));
    if (!begin) return false;
    begin += strlen(marker);
    const char *end = memmem(begin, doc.len - (size_t)(begin - doc.ptr), "<!-- end -->", 12);
    if (!end) return false;
    *from = (size_t)(begin - doc.ptr);
    *to = (size_t)(end - doc.ptr);
    return true;
}

/* The document with its tables as they should be. */
static void doc_expected(Str doc, Buf *out)
{
    Buf now = { 0 };
    buf_put_str(&now, doc);
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        size_t from = 0, to = 0;
        if (!table_find(buf_str(&now), tables[i].name, &from, &to)) fail_msg(DOC_PATH " has no table `%s`", tables[i].name);
        buf_clear(out);
        buf_put(out, now.ptr, from);
        tables[i].put(out);
        buf_put(out, now.ptr + to, now.len - to);
        buf_clear(&now);
        buf_put_str(&now, buf_str(out));
    }
    buf_free(&now);
}

static void the_tables_of_the_document_are_those_of_the_code(void **state)
{
    (void)state;
    Buf doc = { 0 }, expected = { 0 };
    Error error = { 0 };
    if (file_read(DOC_PATH, DOC_SIZE_MAX, &doc, &error)) fail_msg("%s", error.text);
    doc_expected(buf_str(&doc), &expected);
    bool same = str_eq(buf_str(&doc), buf_str(&expected));
    if (!same && getenv("BLESS")) assert_int_equal(file_write(DOC_PATH, buf_str(&expected), &error), ERR_OK);
    else if (!same) {
        size_t at = 0, line = 1;
        for (; at < doc.len && at < expected.len && doc.ptr[at] == expected.ptr[at]; at++) line += doc.ptr[at] == '\n';
        fail_msg(DOC_PATH ":%zu differs from the tables of the code; BLESS=1 rewrites it", line);
    }
    buf_free(&doc);
    buf_free(&expected);
}

static void every_row_has_a_meaning(void **state)
{
    (void)state;
    int opcodes = 0, effects = 0;
    for (uint16_t i = 0; i < OPCODE_LIMIT; i++) {
        const OpInfo *info = opinfo_find(i);
        if (info) assert_true(info->meaning[0] != 0);
        opcodes += info != NULL;
        const EffectInfo *effect = effectinfo_find(i);
        if (effect) assert_true(effect->meaning[0] != 0);
        effects += effect != NULL;
    }
    assert_true(opcodes > 100 && effects > 40);
}

/* Control flow is stated twice, by sorts and by flags; the verifier reads the sorts, the machine and the document the flags. */
static void sorts_and_flags_agree(void **state)
{
    (void)state;
    for (uint16_t i = 0; i < OPCODE_LIMIT; i++) {
        const OpInfo *info = opinfo_find(i);
        if (!info) continue;
        bool has_target = info->sort[1] == SORT_TARGET || info->sort[2] == SORT_REL;
        if (has_target != ((info->flags & OPFLAG_JUMPS) != 0)) fail_msg("%s: JUMPS and its operands do not agree", info->name);
        if (info->sort[1] == SORT_TARGET && info->sort[2] != SORT_TARGET) fail_msg("%s: a target takes B and C", info->name);
        for (int k = 1; k < 3; k++)
            if (sort_is_out((OpSort)info->sort[k])) fail_msg("%s: only A is written", info->name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tables_of_the_document_are_those_of_the_code),
        cmocka_unit_test(every_row_has_a_meaning),
        cmocka_unit_test(sorts_and_flags_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
