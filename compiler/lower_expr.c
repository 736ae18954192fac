/* lower_expr.c - expressions: the dispatch, literals, names, operators of one operand, text.
 *
 * lower_node gives a value in whatever type comes naturally, which may be the wanted one where the node can aim for it (a literal 3 as a
 * decimal, the branches of an if). settle does the rest.
 */
#include "compiler/lower_internal.h"
#include <stdlib.h>

uint16_t final_type(Lower *lw, const Ast *node) { return row_of(lw, node->want ? node->want : node->type); }

/* ---- integers known now ---- */

static bool fold_binary(const Ast_binary_expr *node, int64_t *out)
{
    int64_t a, b;
    if (node->op < BINARY_ADD || node->op > BINARY_MUL || !fold_int(node->left, &a) || !fold_int(node->right, &b)) return false;
    switch (node->op) {
    case BINARY_ADD: return !__builtin_add_overflow(a, b, out);
    case BINARY_SUB: return !__builtin_sub_overflow(a, b, out);
    default: return !__builtin_mul_overflow(a, b, out);
    }
}

/* Literals of int and duration, and what follows from them without overflow. */
bool fold_int(const Ast *node, int64_t *out)
{
    if (node->want && node->want->tag != TYPE_INT && node->want->tag != TYPE_DURATION) return false;
    switch (node->kind) {
    case AST_INT_EXPR: *out = ((const Ast_int_expr *)node)->value; return true;
    case AST_DURATION_EXPR: *out = ((const Ast_duration_expr *)node)->us; return true;
    case AST_UNARY_EXPR: {
        const Ast_unary_expr *unary = (const Ast_unary_expr *)node;
        return unary->op == UNARY_NEG && fold_int(unary->operand, out) && !__builtin_sub_overflow((int64_t)0, *out, out);
    }
    case AST_BINARY_EXPR: return fold_binary((const Ast_binary_expr *)node, out);
    default: return false;
    }
}

/* ---- does something inside assign? ---- */

static bool visit_assign(Ast *child, void *found)
{
    if (child->kind == AST_BLOCK || child->kind == AST_ASSIGN_STMT) *(bool *)found = true;
    else if (may_assign(child)) *(bool *)found = true;
    return !*(bool *)found;
}

bool may_assign(Ast *node)
{
    switch (node->kind) {
    case AST_NAME_EXPR: case AST_INT_EXPR: case AST_DECIMAL_EXPR: case AST_BOOL_EXPR: case AST_NULL_EXPR: case AST_DURATION_EXPR: case AST_DATE_EXPR:
    case AST_TIMESTAMP_EXPR: case AST_REGEX_EXPR:
        return false;
    case AST_BLOCK: case AST_ASSIGN_STMT: return true;
    default: {
        bool found = false;
        ast_each_child(node, visit_assign, &found);
        return found;
    }
    }
}

Val pin(Func *f, Val v, Ast *node, Ast *later)
{
    if (v.temp || node->kind != AST_NAME_EXPR || !node->symbol || !node->symbol->is_mutable || !may_assign(later)) return v;
    return val_copy(f, v);
}

/* ---- literals ---- */

static Val scalar_into(Func *f, uint16_t type, int64_t value, Want want)
{
    Val out;
    bool fits = value >= INT32_MIN && value <= INT32_MAX;
    if (fits && const_in_loop(f, type, OP_LOADI, (uint16_t)value, (uint16_t)((uint32_t)value >> 16), want, &out)) return out;
    out = val_out(f, type, want);
    load_int(f, out.reg, value);
    return out;
}

static Val decimal_text_into(Func *f, Str digits, Want want)
{
    Val out;
    if (f->dead) return val_out(f, TYPE_INDEX_DECIMAL, want);
    uint16_t index = const_bytes(f->lw, TYPE_INDEX_DECIMAL, digits);
    if (const_in_loop(f, TYPE_INDEX_DECIMAL, OP_LOADREF, index, 0, want, &out)) return out;
    out = val_out(f, TYPE_INDEX_DECIMAL, want);
    emit(f, OP_LOADREF, out.reg, index, 0);
    return out;
}

static Val float_into(Func *f, double number, Want want)
{
    uint64_t word;
    memcpy(&word, &number, sizeof word);
    Val out;
    if (f->dead) return val_out(f, TYPE_INDEX_FLOAT, want);
    uint16_t index = const_scalar(f->lw, TYPE_INDEX_FLOAT, word);
    if (const_in_loop(f, TYPE_INDEX_FLOAT, OP_LOADK, index, 0, want, &out)) return out;
    out = val_out(f, TYPE_INDEX_FLOAT, want);
    emit(f, OP_LOADK, out.reg, index, 0);
    return out;
}

static uint16_t wanted_bare(Func *f, Want want)
{
    return want.type == NO_INDEX ? NO_INDEX : row_bare(f->lw, want.type);
}

static Val lower_number(Func *f, Ast *node, int64_t value, Want want)
{
    uint16_t bare = wanted_bare(f, want);
    if (bare == TYPE_INDEX_FLOAT && row_of(f->lw, node->type) == TYPE_INDEX_INT) return float_into(f, (double)value, want);
    if (bare == TYPE_INDEX_DECIMAL && row_of(f->lw, node->type) == TYPE_INDEX_INT) {
        Str digits = str_of(arena_printf(f->lw->arena, "%lld", (long long)value));
        return decimal_text_into(f, digits, want);
    }
    return scalar_into(f, row_of(f->lw, node->type), value, want);
}

/* As the author wrote it, without the underscores that only help to read. */
static Str plain_digits(Lower *lw, Str digits)
{
    if (!memchr(digits.ptr, '_', digits.len)) return digits;
    char *plain = arena_alloc(lw->arena, digits.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < digits.len; i++)
        if (digits.ptr[i] != '_') plain[len++] = digits.ptr[i];
    return (Str){ plain, len };
}

bool decimal_digits(Lower *lw, const Ast *node, Str *digits)
{
    if (final_type(lw, node) != TYPE_INDEX_DECIMAL) return false;
    bool negative = node->kind == AST_UNARY_EXPR && ((const Ast_unary_expr *)node)->op == UNARY_NEG;
    const Ast *number = negative ? ((const Ast_unary_expr *)node)->operand : node;
    if (negative && number->want) return false;
    if (number->kind == AST_DECIMAL_EXPR && row_of(lw, number->type) == TYPE_INDEX_DECIMAL) *digits = plain_digits(lw, ((const Ast_decimal_expr *)number)->digits);
    else if (number->kind == AST_INT_EXPR) *digits = str_of(arena_printf(lw->arena, "%lld", (long long)((const Ast_int_expr *)number)->value));
    else return false;
    if (negative) *digits = str_of(arena_printf(lw->arena, "-%.*s", STR_ARG(*digits)));
    return true;
}

static Val lower_decimal(Func *f, Ast_decimal_expr *node, Want want)
{
    Str digits = plain_digits(f->lw, node->digits);
    uint16_t own = row_of(f->lw, node->head.type);
    if (own != TYPE_INDEX_FLOAT && wanted_bare(f, want) != TYPE_INDEX_FLOAT) return decimal_text_into(f, digits, want);
    Decimal exact;
    if (decimal_from_text(digits, &exact)) return decimal_text_into(f, digits, want);
    double number = decimal_to_double(exact);
    decimal_release(exact);
    return float_into(f, number, want);
}

static Val lower_null(Func *f, Want want)
{
    uint16_t type = want.type != NO_INDEX && (lower_kind(f->lw, want.type) == KIND_OPT || want.type == TYPE_INDEX_JSON) ? want.type : TYPE_INDEX_JSON;
    Val out = val_out(f, type, want);
    emit(f, OP_LOADNULL, out.reg, 0, 0);
    return out;
}

/* ---- names ---- */

static Val lower_name(Func *f, Ast_name_expr *node, Want want)
{
    Symbol *symbol = node->head.symbol;
    if (!symbol) return lower_null(f, want);
    switch (symbol->kind) {
    case SYMBOL_LOCAL: case SYMBOL_PARAM:
        if (symbol->decl && symbol->decl->kind == AST_RUN_STMT) return lower_test_result(f, &node->head, want);
        if (symbol->decl && symbol->decl->kind == AST_REQUEST_STMT) return lower_test_answer(f, &node->head, want);
        return val_reg(f, symbol->image_index);
    case SYMBOL_CONTEXT: return lower_context_read(f, &node->head, want);
    case SYMBOL_MEMBER: return scalar_into(f, row_of(f->lw, node->head.type), symbol->ordinal, want);
    default: {                           /* `user` and its kin by themselves */
        Val out = val_out(f, TYPE_INDEX_STRING, want);
        emit(f, OP_INFO, out.reg, str_is(symbol->name, "tenant") ? 1 : str_is(symbol->name, "user") ? 2 : 0, 0);
        return out;
    }
    }
}

/* ---- one operand ---- */

static Val lower_unary(Func *f, Ast_unary_expr *node, Want want)
{
    int64_t folded;
    if (node->op == UNARY_NEG && fold_int(&node->head, &folded)) return lower_number(f, &node->head, folded, want);
    if (node->op == UNARY_NEG && node->operand->kind == AST_DECIMAL_EXPR && !node->operand->want) {
        Str digits = plain_digits(f->lw, as_decimal_expr(node->operand)->digits);
        if (row_of(f->lw, node->head.type) == TYPE_INDEX_DECIMAL) return decimal_text_into(f, str_of(arena_printf(f->lw->arena, "-%.*s", STR_ARG(digits))), want);
    }
    Val v = lower_any(f, node->operand);
    Opcode op = OP_NEG_INT;
    if (node->op == UNARY_NOT) op = OP_NOT;
    else if (lower_kind(f->lw, v.type) == KIND_DECIMAL) op = OP_NEG_DEC;
    else if (lower_kind(f->lw, v.type) == KIND_FLOAT) op = OP_NEG_FLOAT;
    Val out = val_out(f, v.type, want);
    emit(f, op, out.reg, v.reg, 0);
    val_free(f, v);
    return out;
}

static Val lower_cast(Func *f, Ast_as_expr *node, Want want)
{
    Val v = lower_any(f, node->value);
    uint16_t type = row_of(f->lw, node->head.type);
    at(f, &node->head);
    return convert_to(f, v, type, want.type == type ? want.reg : NO_REG);
}

/* ---- text ---- */

typedef struct Piece { Ast *node; Str text, format; } Piece;

static bool is_text(Lower *lw, const Ast *node) { return node->type && final_type(lw, node) == TYPE_INDEX_STRING; }

static void piece_add(Rows *pieces, Ast *node, Str text, Str format)
{
    Piece *last = pieces->count ? &ROW(*pieces, Piece, pieces->count - 1) : NULL;
    if (!node && !text.len) return;
    if (!node && last && !last->node && last->text.ptr + last->text.len == text.ptr) {
        last->text.len += text.len;
        return;
    }
    *(Piece *)rows_push(pieces, sizeof(Piece)) = (Piece){ node, text, format };
}

/* `whole`: the text that is being lowered; what is converted after it is no concern of its pieces. */
static void gather_pieces(Lower *lw, Ast *node, bool whole, Rows *pieces)
{
    bool splits = whole || (!node->want && row_of(lw, node->type) == TYPE_INDEX_STRING);
    if (splits && node->kind == AST_BINARY_EXPR && as_binary_expr(node)->op == BINARY_ADD) {
        gather_pieces(lw, as_binary_expr(node)->left, false, pieces);
        gather_pieces(lw, as_binary_expr(node)->right, false, pieces);
    } else if (splits && node->kind == AST_STRING_EXPR) {
        AstList parts = as_string_expr(node)->parts;
        for (uint32_t i = 0; i < parts.count; i++) {
            if (parts.items[i]->kind == AST_TEXT_PART) piece_add(pieces, NULL, as_text_part(parts.items[i])->text, STR(""));
            else piece_add(pieces, as_interp_part(parts.items[i])->value, STR(""), as_interp_part(parts.items[i])->format);
        }
    } else piece_add(pieces, node, STR(""), STR(""));
}

static Val lower_piece(Func *f, const Piece *piece, Want want)
{
    Lower *lw = f->lw;
    if (!piece->node) {
        Val out;
        if (f->dead) return val_out(f, TYPE_INDEX_STRING, want);
        if (const_in_loop(f, TYPE_INDEX_STRING, OP_LOADREF, const_bytes(lw, TYPE_INDEX_STRING, piece->text), 0, want, &out)) return out;
        out = val_out(f, TYPE_INDEX_STRING, want);
        load_text(f, out.reg, piece->text);
        return out;
    }
    if (!piece->format.len && is_text(lw, piece->node)) return lower_expr(f, piece->node, (Want){ TYPE_INDEX_STRING, want.reg });
    Val v = lower_any(f, piece->node), out = val_out(f, TYPE_INDEX_STRING, want);
    if (piece->format.len && !f->dead) emit(f, OP_FORMAT, out.reg, v.reg, const_bytes(lw, TYPE_INDEX_STRING, piece->format));
    else if (lower_kind(lw, v.type) == KIND_ENUM) emit(f, OP_ENUM_NAME, out.reg, v.reg, 0);
    else emit(f, OP_TO_STR, out.reg, v.reg, 0);
    val_free(f, v);
    return out;
}

static Val pieces_join(Func *f, const Piece *pieces, uint16_t count, Want want)
{
    if (count == 1) return lower_piece(f, pieces, want);
    if (count == 2) {
        Val a = lower_piece(f, &pieces[0], (Want){ TYPE_INDEX_STRING, NO_REG });
        if (pieces[0].node && pieces[1].node) a = pin(f, a, pieces[0].node, pieces[1].node);
        Val b = lower_piece(f, &pieces[1], (Want){ TYPE_INDEX_STRING, NO_REG });
        Val out = want.reg >= 0 && want.type == TYPE_INDEX_STRING ? val_out(f, TYPE_INDEX_STRING, want) : a.temp ? a : val_temp(f, TYPE_INDEX_STRING);
        emit(f, OP_CONCAT, out.reg, a.reg, b.reg);
        val_free(f, b);
        if (a.temp && a.reg != out.reg) val_free(f, a);
        return out;
    }
    uint16_t *types = ARENA_ARRAY(f->lw->arena, uint16_t, count);
    for (uint16_t i = 0; i < count; i++) types[i] = TYPE_INDEX_STRING;
    int run;
    uint16_t base = registers_new(f, types, count, &run);
    for (uint16_t i = 0; i < count; i++) settle(f, lower_piece(f, &pieces[i], (Want){ TYPE_INDEX_STRING, base + i }), (Want){ TYPE_INDEX_STRING, base + i });
    Val out = val_out(f, TYPE_INDEX_STRING, want);
    emit(f, OP_CONCATN, out.reg, base, count);
    run_free(f, run);
    return out;
}

/* In groups, so that a long text does not need as many registers; the text so far comes first in each. */
static Val pieces_in_groups(Func *f, const Piece *pieces, uint32_t count, Want want)
{
    enum { GROUP = 32 };
    if (count <= GROUP) return pieces_join(f, pieces, (uint16_t)count, want);
    Val out = val_copy(f, pieces_join(f, pieces, GROUP, (Want){ TYPE_INDEX_STRING, NO_REG }));
    for (uint32_t done = GROUP; done < count; done += GROUP) {
        uint16_t more = (uint16_t)(count - done < GROUP ? count - done : GROUP);
        Val part = pieces_join(f, pieces + done, more, (Want){ TYPE_INDEX_STRING, NO_REG });
        emit(f, OP_CONCAT, out.reg, out.reg, part.reg);
        val_free(f, part);
    }
    return out;
}

static bool starts_with_reg(const Piece *piece, Want want)
{
    Symbol *symbol = piece->node && !piece->format.len && piece->node->kind == AST_NAME_EXPR ? piece->node->symbol : NULL;
    return want.reg >= 0 && want.type == TYPE_INDEX_STRING && symbol && symbol->kind == SYMBOL_LOCAL && symbol->image_index == want.reg
        && !(symbol->decl && symbol->decl->kind == AST_RUN_STMT);
}

/* Text is associative: x = x + a + b appends a + b to x in place. */
Val lower_concat(Func *f, Ast *node, Want want)
{
    Rows pieces = { 0 };
    gather_pieces(f->lw, node, true, &pieces);
    Piece *items = ARENA_ARRAY(f->lw->arena, Piece, pieces.count + 1);
    uint32_t count = pieces.count;
    if (count) memcpy(items, pieces.items, count * sizeof *items);
    free(pieces.items);
    if (!count) {
        Val out = val_out(f, TYPE_INDEX_STRING, want);
        load_text(f, out.reg, STR(""));
        return out;
    }
    if (count > 1 && starts_with_reg(&items[0], want)) {
        Val rest = pieces_in_groups(f, items + 1, count - 1, (Want){ TYPE_INDEX_STRING, NO_REG });
        emit(f, OP_CONCAT, (uint16_t)want.reg, (uint16_t)want.reg, rest.reg);
        val_free(f, rest);
        return (Val){ (uint16_t)want.reg, TYPE_INDEX_STRING, false };
    }
    return pieces_in_groups(f, items, count, want);
}

static Val lower_json(Func *f, Ast_json_expr *node, Want want)
{
    Val out = val_out(f, TYPE_INDEX_JSON, want);
    emit(f, OP_LOADREF, out.reg, const_bytes(f->lw, TYPE_INDEX_JSON, node->text), 0);
    return out;
}

/* ---- the dispatch ---- */

static Val lower_node(Func *f, Ast *node, Want want)
{
    Lower *lw = f->lw;
    switch (node->kind) {
    case AST_NULL_EXPR: return lower_null(f, want);
    case AST_BOOL_EXPR: return scalar_into(f, TYPE_INDEX_BOOL, as_bool_expr(node)->value, want);
    case AST_INT_EXPR: return lower_number(f, node, as_int_expr(node)->value, want);
    case AST_DECIMAL_EXPR: return lower_decimal(f, as_decimal_expr(node), want);
    case AST_DURATION_EXPR: return scalar_into(f, TYPE_INDEX_DURATION, as_duration_expr(node)->us, want);
    case AST_DATE_EXPR: return scalar_into(f, TYPE_INDEX_DATE, as_date_expr(node)->days, want);
    case AST_TIMESTAMP_EXPR: return scalar_into(f, TYPE_INDEX_TIMESTAMP, as_timestamp_expr(node)->us, want);
    case AST_STRING_EXPR: return lower_concat(f, node, want);
    case AST_LIST_EXPR: return lower_list(f, as_list_expr(node), want);
    case AST_RECORD_EXPR: return lower_record(f, as_record_expr(node), want);
    case AST_NAME_EXPR: return lower_name(f, as_name_expr(node), want);
    case AST_FIELD_EXPR: return lower_field(f, as_field_expr(node), want);
    case AST_INDEX_EXPR: return lower_index(f, as_index_expr(node), want);
    case AST_CALL_EXPR: return lower_call(f, as_call_expr(node), want);
    case AST_UNARY_EXPR: return lower_unary(f, as_unary_expr(node), want);
    case AST_BINARY_EXPR: return lower_binary(f, as_binary_expr(node), want);
    case AST_AS_EXPR: return lower_cast(f, as_as_expr(node), want);
    case AST_WITH_EXPR: return lower_with(f, as_with_expr(node), want);
    case AST_RETRY_EXPR: return lower_retry(f, as_retry_expr(node), want);
    case AST_WITHIN_EXPR: return lower_within(f, as_within_expr(node), want);
    case AST_ELSE_EXPR: return lower_else(f, as_else_expr(node), want);
    case AST_ASK_EXPR: return lower_ask(f, as_ask_expr(node), want);
    case AST_AWAIT_EXPR: return lower_await(f, as_await_expr(node), want);
    case AST_START_EXPR: return lower_start(f, as_start_expr(node), want);
    case AST_PLAN_EXPR: return lower_run_plan(f, as_plan_expr(node), want);
    case AST_CHANGE_EXPR: return lower_change(f, as_change_expr(node), want);
    case AST_JSON_EXPR: return lower_json(f, as_json_expr(node), want);
    case AST_EFFECT_EXPR: return lower_call_of(f, node, node->info, want);
    case AST_CONDITION_EXPR: return lower_condition(f, as_condition_expr(node), want);
    case AST_CACHED_EXPR: return lower_expr(f, as_cached_expr(node)->value, want);
    case AST_FROM_EXPR: return lower_from(f, as_from_expr(node), want);
    case AST_AGGREGATE_EXPR: return lower_aggregate(f, as_aggregate_expr(node), want);
    case AST_INSERT_EXPR: return lower_insert(f, as_insert_expr(node), want);
    case AST_UPDATE_EXPR: return lower_update(f, as_update_expr(node), want);
    case AST_DELETE_EXPR: return lower_delete(f, as_delete_expr(node), want);
    case AST_IF_STMT: return lower_if_value(f, as_if_stmt(node), want);
    case AST_MATCH_STMT: return lower_match_value(f, as_match_stmt(node), want);
    case AST_BLOCK: return lower_block_value(f, as_block(node), want);
    case AST_PARALLEL_STMT: return lower_race(f, as_parallel_stmt(node), want);
    case AST_PARALLEL_FOR: return lower_parallel_for(f, as_parallel_for(node), want);
    default:
        lower_stmt(f, node);             /* `fail`, `return` … in the place of a value */
        return (Val){ 0, row_of(lw, node->type), false };
    }
}

/* Only calls, and what may fail, get a place of their own: statements have set one already. */
static bool has_place(AstKind kind)
{
    return kind == AST_CALL_EXPR || kind == AST_INDEX_EXPR || kind == AST_FROM_EXPR || kind == AST_ASK_EXPR || kind == AST_AWAIT_EXPR || kind == AST_PLAN_EXPR || kind == AST_INSERT_EXPR
        || kind == AST_UPDATE_EXPR || kind == AST_DELETE_EXPR || kind == AST_AGGREGATE_EXPR;
}

static Val given_value(const Func *f, const Ast *node, Val none)
{
    for (uint32_t i = 0; i < f->given_count; i++)
        if (f->given[i].node == node) return (Val){ f->given[i].val.reg, f->given[i].val.type, false };
    return none;
}

Val lower_expr(Func *f, Ast *node, Want want)
{
    if (want.type == NO_INDEX) want = (Want){ final_type(f->lw, node), NO_REG };
    if (f->dead) return (Val){ want.reg >= 0 ? (uint16_t)want.reg : 0, want.type, false };
    if (has_place(node->kind)) at(f, node);
    if (want.type == TYPE_INDEX_VOID) return lower_node(f, node, (Want){ TYPE_INDEX_VOID, NO_REG });
    if (f->given_count) {
        Val v = given_value(f, node, (Val){ 0, NO_INDEX, false });
        if (v.type != NO_INDEX) return settle(f, v, want);
    }
    return settle(f, lower_node(f, node, want), want);
}

Val lower_any(Func *f, Ast *node) { return lower_expr(f, node, (Want){ NO_INDEX, NO_REG }); }
Val lower_as(Func *f, Ast *node, uint16_t type) { return lower_expr(f, node, (Want){ type, NO_REG }); }
void lower_into(Func *f, Ast *node, uint16_t reg) { lower_expr(f, node, (Want){ reg_type(f, reg), reg }); }
