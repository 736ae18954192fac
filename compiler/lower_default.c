/* lower_default.c - defaults of fields as JSON, for records that are read rather than written down.
 *
 * In a literal a missing field is filled in by code, so its default may be any pure expression. JSON is read where no code runs: a flow's
 * input, a tool's answer, `json as T`. There a default counts that is a literal: a constant of the image keeps it as text. In it a record
 * may leave out fields too; they are filled in when it is read.
 */
#include "compiler/lower_internal.h"
#include "base/json.h"
#include "base/time.h"

static bool put(Ast *node, bool negative, Buf *out);

static bool put_printed(void (*print)(int64_t, Buf *), int64_t word, Buf *out)
{
    buf_put_char(out, '"');
    print(word, out);
    buf_put_char(out, '"');
    return true;
}

/* 1_000.50: JSON has no underscores. */
static bool put_digits(Str digits, bool negative, Buf *out)
{
    if (negative) buf_put_char(out, '-');
    for (size_t i = 0; i < digits.len; i++)
        if (digits.ptr[i] != '_') buf_put_char(out, digits.ptr[i]);
    return true;
}

static bool put_string(Ast_string_expr *node, Buf *out)
{
    AstList parts = node->parts;
    if (parts.count > 1 || (parts.count == 1 && parts.items[0]->kind != AST_TEXT_PART)) return false;
    json_put_string(out, parts.count ? as_text_part(parts.items[0])->text : STR(""));
    return true;
}

static bool put_list(AstList items, Buf *out)
{
    buf_put_char(out, '[');
    for (uint32_t i = 0; i < items.count; i++) {
        if (i) buf_put_char(out, ',');
        if (!put(items.items[i], false, out)) return false;
    }
    buf_put_char(out, ']');
    return true;
}

static bool put_record(AstList fields, Buf *out)
{
    buf_put_char(out, '{');
    for (uint32_t i = 0; i < fields.count; i++) {
        if (fields.items[i]->kind != AST_FIELD_VALUE) return false;
        if (i) buf_put_char(out, ',');
        json_put_string(out, as_field_value(fields.items[i])->name.text);
        buf_put_char(out, ':');
        if (!put(field_value_of(fields.items[i]), false, out)) return false;
    }
    buf_put_char(out, '}');
    return true;
}

static bool put(Ast *node, bool negative, Buf *out)
{
    switch (node->kind) {
    case AST_NULL_EXPR: buf_put_text(out, "null"); return true;
    case AST_BOOL_EXPR: buf_put_text(out, as_bool_expr(node)->value ? "true" : "false"); return true;
    case AST_INT_EXPR: buf_printf(out, "%s%lld", negative ? "-" : "", (long long)as_int_expr(node)->value); return true;
    case AST_DECIMAL_EXPR: return put_digits(as_decimal_expr(node)->digits, negative, out);
    case AST_STRING_EXPR: return put_string(as_string_expr(node), out);
    case AST_DATE_EXPR: return put_printed(date_print, as_date_expr(node)->days, out);
    case AST_TIMESTAMP_EXPR: return put_printed(timestamp_print, as_timestamp_expr(node)->us, out);
    case AST_DURATION_EXPR: return put_printed(duration_print, negative ? -as_duration_expr(node)->us : as_duration_expr(node)->us, out);
    case AST_UNARY_EXPR: return as_unary_expr(node)->op == UNARY_NEG && !negative && put(as_unary_expr(node)->operand, true, out);
    case AST_NAME_EXPR: case AST_FIELD_EXPR:
        if (!node->symbol || node->symbol->kind != SYMBOL_MEMBER) return false;
        json_put_string(out, node->symbol->name);
        return true;
    case AST_LIST_EXPR: return put_list(as_list_expr(node)->items, out);
    case AST_RECORD_EXPR: return put_record(as_record_expr(node)->fields, out);
    default: return false;
    }
}

bool default_json(Lower *lw, Ast *value, uint16_t *index)
{
    Buf text = { 0 };
    Json *parsed;
    bool literal = put(value, false, &text) && !json_parse(lw->arena, buf_str(&text), CONST_BYTES_MAX, &parsed, NULL);
    if (literal) *index = const_bytes(lw, TYPE_INDEX_JSON, buf_str(&text));
    buf_free(&text);
    return literal;
}
