/* lower_state.c - sessions and contexts: rows of the image, and their reads and writes as effects.
 *
 * A write hands over the whole record and a number whose bits say which fields count, so that one effect serves every set of fields. A
 * coordination is a region like `finally`: its context is closed on every way out.
 */
#include "compiler/lower_internal.h"

/* ---- rows ---- */

void lower_state_row(Lower *lw, Symbol *symbol)
{
    const StateInfo *info = symbol->info;
    bool session = symbol->kind == SYMBOL_SESSION;
    ImageState row = { .name = lower_str(lw, symbol->name), .kind = session ? STATE_SESSION : STATE_CONTEXT, .ttl_us = info->ttl_us, .type = row_of(lw, symbol->type) };
    if (!session) {
        row.writers = ARENA_ARRAY(lw->image->arena, uint16_t, symbol->type->field_count + 1);
        for (uint32_t i = 0; i < symbol->type->field_count; i++) row.writers[row.writer_count++] = agent_index(info->writers[i]);
    }
    symbol->image_index = lower_row(lw, IMAGE_ADD(lw->image, state), "sessions and contexts");
    lw->image->states[symbol->image_index] = row;
}

/* ---- sessions ---- */

static Str name_of(Func *f, const char *verb, const Symbol *state)
{
    return str_of(arena_printf(f->lw->arena, "%s %.*s", verb, STR_ARG(state->name)));
}

Val lower_session_read(Func *f, Ast_index_expr *node, Want want)
{
    Symbol *session = node->head.symbol;
    Arg key = arg_node(node->index, TYPE_INDEX_STRING);
    return emit_effect(f, EFFECT_SESSION_READ, session->image_index, name_of(f, "read", session), row_of(f->lw, node->head.type), &key, 1, want);
}

static Ast *literal_value(Ast_record_expr *literal, Str name)
{
    for (uint32_t i = 0; i < literal->fields.count; i++)
        if (str_eq(as_field_value(literal->fields.items[i])->name.text, name)) return field_value_of(literal->fields.items[i]);
    return NULL;
}

/* What is not given stands at its default: the mask says that it does not count. */
static Arg field_arg(const TypeField *field, Ast *given, uint16_t type)
{
    if (given) return arg_node(given, type);
    Ast *value = field->decl && field->decl->kind == AST_FIELD ? as_field(field->decl)->value : NULL;
    return value ? arg_node(value, type) : arg_null(type);
}

void lower_save(Func *f, Ast_save_stmt *node)
{
    Symbol *session = node->head.symbol;
    Ast_record_expr *literal = as_record_expr(node->value);
    uint16_t record = row_of(f->lw, session->type);
    Arg fields[RECORD_FIELDS_MAX];
    uint64_t mask = 0;
    for (uint32_t i = 0; i < session->type->field_count; i++) {
        Ast *given = literal_value(literal, session->type->fields[i].name);
        if (given) mask |= UINT64_C(1) << i;
        fields[i] = field_arg(&session->type->fields[i], given, f->lw->image->types[record].fields[i].type);
    }
    Val key = lower_as(f, node->key, TYPE_INDEX_STRING);
    if (!key.temp) key = val_copy(f, key);
    Val value = emit_record(f, record, fields, (uint16_t)session->type->field_count, (Want){ record, NO_REG });
    Arg args[3] = { arg_val(key), arg_int(TYPE_INDEX_INT, (int64_t)mask), arg_val(value) };
    at(f, &node->head);
    emit_note(f, EFFECT_SESSION_SAVE, session->image_index, name_of(f, "save", session), args, 3);
}

Val lower_change(Func *f, Ast_change_expr *node, Want want)
{
    Symbol *session = node->head.symbol;
    Arg args[3] = { arg_node(node->key, TYPE_INDEX_STRING), arg_node(node->version, TYPE_INDEX_INT), arg_node(node->value, row_of(f->lw, session->type)) };
    return emit_effect(f, EFFECT_SESSION_CHANGE, session->image_index, name_of(f, "change", session), TYPE_INDEX_BOOL, args, 3, want);
}

void lower_forget(Func *f, Ast_forget_stmt *node)
{
    Symbol *session = node->head.symbol;
    Arg key = arg_node(node->key, TYPE_INDEX_STRING);
    emit_note(f, EFFECT_SESSION_DELETE, session->image_index, name_of(f, "delete", session), &key, 1);
}

/* ---- contexts ---- */

Val lower_context_read(Func *f, Ast *node, Want want)
{
    Symbol *context = node->symbol;
    at(f, node);
    return emit_effect(f, EFFECT_CONTEXT_READ, context->image_index, name_of(f, "read", context), row_of(f->lw, context->type), NULL, 0, want);
}

void lower_context_write(Func *f, Ast_assign_stmt *node)
{
    Symbol *context = node->target->symbol;
    const FieldInfo *target = node->target->info;
    uint16_t record = row_of(f->lw, context->type);
    Arg fields[RECORD_FIELDS_MAX];
    for (uint32_t i = 0; i < context->type->field_count; i++) {
        uint16_t type = f->lw->image->types[record].fields[i].type;
        fields[i] = i == target->index ? arg_node(node->value, type) : arg_null(type);
    }
    Val value = emit_record(f, record, fields, (uint16_t)context->type->field_count, (Want){ record, NO_REG });
    Arg args[2] = { arg_int(TYPE_INDEX_INT, (int64_t)(UINT64_C(1) << target->index)), arg_val(value) };
    at(f, &node->head);
    emit_note(f, EFFECT_CONTEXT_WRITE, context->image_index, name_of(f, "write", context), args, 2);
}

void emit_context_close(Func *f, Ast *coordinate)
{
    Symbol *context = coordinate->symbol;
    at(f, coordinate);
    emit_note(f, EFFECT_CONTEXT_CLOSE, context->image_index, name_of(f, "close", context), NULL, 0);
}

void lower_coordinate(Func *f, Ast_coordinate_stmt *node)
{
    Symbol *context = node->head.symbol;
    emit_note(f, EFFECT_CONTEXT_OPEN, context->image_index, name_of(f, "open", context), NULL, 0);
    lower_finally(f, node->body, &node->head);
}
