/* lower_access.c - parts of values: fields, elements, literals of lists, records and maps, and assignment to them. */
#include "compiler/lower_internal.h"

/* ---- fields ---- */

static Val get_field(Func *f, Val record, uint32_t index, Want want)
{
    if (f->dead) return settle(f, record, want);
    uint16_t type = f->lw->image->types[record.type].fields[index].type;
    Val out = val_out(f, type, want);
    emit(f, OP_GET_FIELD, out.reg, record.reg, (uint16_t)index);
    val_free(f, record);
    return out;
}

static Val json_get(Func *f, Val json, Str name, Want want)
{
    Arg args[2] = { arg_val(json), arg_text(name) };
    return emit_builtin(f, BUILTIN_JSON_GET, TYPE_INDEX_JSON, args, 2, want);
}

static Val field_of(Func *f, Val object, const FieldInfo *info, Str name, Want want)
{
    return info->kind == FIELD_JSON ? json_get(f, object, name, want) : get_field(f, object, info->index, want);
}

/* o?.name: null when o is. */
static Val optional_field(Func *f, Ast_field_expr *node, const FieldInfo *info, Want want)
{
    Lower *lw = f->lw;
    uint16_t type = row_of(lw, node->head.type);
    Val object = lower_any(f, node->object);
    if (lower_kind(lw, object.type) != KIND_OPT) return settle(f, field_of(f, object, info, node->name.text, want), (Want){ type, want.type == type ? want.reg : NO_REG });
    Label is_null = label_new(f), done = label_new(f);
    Val out = val_out(f, type, want), bare = val_temp(f, row_element(lw, object.type));
    emit_jump(f, OP_JNULL, object.reg, 0, is_null);
    emit(f, OP_UNWRAP, bare.reg, object.reg, 0);
    val_free(f, object);
    settle(f, field_of(f, bare, info, node->name.text, (Want){ type, out.reg }), (Want){ type, out.reg });
    emit_jump(f, OP_JUMP, 0, 0, done);
    label_place(f, is_null);
    emit(f, OP_LOADNULL, out.reg, 0, 0);
    label_place(f, done);
    return out;
}

Val lower_field(Func *f, Ast_field_expr *node, Want want)
{
    Symbol *symbol = node->head.symbol;
    FieldInfo *info = node->head.info;
    if ((symbol && symbol->kind == SYMBOL_MEMBER) || (info && info->kind == FIELD_MEMBER)) {
        Val out = val_out(f, row_of(f->lw, node->head.type), want);
        load_int(f, out.reg, symbol ? symbol->ordinal : info->symbol->ordinal);
        return out;
    }
    if (info->kind == FIELD_INFO) {
        Val out = val_out(f, TYPE_INDEX_STRING, want);
        emit(f, OP_INFO, out.reg, (uint16_t)info->index, 0);
        return out;
    }
    if (node->optional) return optional_field(f, node, info, want);
    return field_of(f, lower_any(f, node->object), info, node->name.text, want);
}

/* ---- elements ---- */

Val lower_index(Func *f, Ast_index_expr *node, Want want)
{
    Lower *lw = f->lw;
    IndexInfo *info = node->head.info;
    if (info->kind == INDEX_SESSION) return lower_session_read(f, node, want);
    if (info->kind == INDEX_TABLE) return lower_table_index(f, node, info->query, want);
    Val object = pin(f, lower_any(f, node->object), node->object, node->index);
    Val index = lower_any(f, node->index);
    at(f, &node->head);
    if (info->kind == INDEX_JSON) {
        Arg args[2] = { arg_val(object), arg_val(index) };
        return emit_builtin(f, index.type == TYPE_INDEX_STRING ? BUILTIN_JSON_GET : BUILTIN_JSON_AT, TYPE_INDEX_JSON, args, 2, want);
    }
    uint16_t element = row_element(lw, object.type);
    Val out = val_out(f, info->kind == INDEX_LIST ? element : row_opt(lw, element), want);
    emit(f, info->kind == INDEX_LIST ? OP_LIST_GET : OP_MAP_GET, out.reg, object.reg, index.reg);
    val_free(f, index);
    val_free(f, object);
    return out;
}

/* ---- list literals ---- */

Val lower_list(Func *f, Ast_list_expr *node, Want want)
{
    enum { AT_ONCE_MAX = 16 };           /* longer ones are pushed one by one: a register each would be many */
    Lower *lw = f->lw;
    uint16_t type = want.type == NO_INDEX ? NO_INDEX : row_bare(lw, want.type);
    if (type == NO_INDEX || lower_kind(lw, type) != KIND_LIST) type = row_of(lw, node->head.type);
    uint16_t element = row_element(lw, type);
    Arg args[AT_ONCE_MAX];
    if (node->items.count <= AT_ONCE_MAX) {
        for (uint32_t i = 0; i < node->items.count; i++) args[i] = arg_node(node->items.items[i], element);
        Args given = args_eval(f, args, (uint16_t)node->items.count);
        Val out = val_out(f, type, want);
        emit(f, OP_NEW_LIST, out.reg, given.base, (uint16_t)node->items.count);
        args_free(f, &given);
        return out;
    }
    Val out = val_temp(f, type);
    emit(f, OP_NEW_LIST, out.reg, 0, 0);
    for (uint32_t i = 0; i < node->items.count; i++) {
        Val item = lower_as(f, node->items.items[i], element);
        emit(f, OP_LIST_PUSH, out.reg, item.reg, 0);
        val_free(f, item);
    }
    return out;
}

/* ---- record and map literals ---- */

Ast *field_value_of(Ast *field)
{
    Ast_field_value *value = as_field_value(field);
    return value->value ? value->value : value->head.info;
}

static Val lower_map(Func *f, Ast_record_expr *node, uint16_t type)
{
    Val out = val_temp(f, type);
    emit(f, OP_NEW_MAP, out.reg, 0, 0);
    for (uint32_t i = 0; i < node->fields.count; i++) {
        Val item = lower_as(f, field_value_of(node->fields.items[i]), row_element(f->lw, type)), key = val_text(f, as_field_value(node->fields.items[i])->name.text);
        emit(f, OP_MAP_SET, out.reg, key.reg, item.reg);
        val_free(f, key);
        val_free(f, item);
    }
    return out;
}

static Ast *literal_field(Ast_record_expr *node, Str name)
{
    for (uint32_t i = 0; i < node->fields.count; i++)
        if (str_eq(as_field_value(node->fields.items[i])->name.text, name)) return field_value_of(node->fields.items[i]);
    return NULL;
}

/* The default that a declared field has, or NULL. */
static Ast *default_of(const Type *type, Str name)
{
    for (uint32_t i = 0; type && i < type->field_count; i++) {
        Ast *decl = type->fields[i].decl;
        if (!str_eq(type->fields[i].name, name) || !decl) continue;
        if (decl->kind == AST_FIELD) return as_field(decl)->value;
        if (decl->kind == AST_COLUMN) return as_column(decl)->value;
        if (decl->kind == AST_PARAM) return as_param(decl)->value;
    }
    return NULL;
}

static const Type *record_of(const Type *type)
{
    while (type && type->tag == TYPE_OPT) type = type->element;
    return type && type->tag == TYPE_RECORD ? type : NULL;
}

static uint32_t field_index(Lower *lw, uint16_t record, Str name)
{
    const ImageType *type = &lw->image->types[record];
    for (uint16_t i = 0; i < type->field_count; i++)
        if (str_eq(type->fields[i].name, name)) return i;
    return 0;
}

static bool in_order(Lower *lw, Ast_record_expr *node, uint16_t type)
{
    uint32_t last = 0;
    for (uint32_t i = 0; i < node->fields.count; i++) {
        uint32_t index = field_index(lw, type, as_field_value(node->fields.items[i])->name.text);
        if (index < last) return false;
        last = index;
    }
    return true;
}

/* The author's order is the order of evaluation, whatever the order of the type's fields. */
static void values_as_written(Func *f, Ast_record_expr *node, uint16_t type, Arg *args)
{
    for (uint32_t i = 0; i < node->fields.count; i++) {
        uint32_t index = field_index(f->lw, type, as_field_value(node->fields.items[i])->name.text);
        args[index] = arg_val(val_copy(f, lower_as(f, field_value_of(node->fields.items[i]), args[index].type)));
    }
}

Val lower_record(Func *f, Ast_record_expr *node, Want want)
{
    Lower *lw = f->lw;
    uint16_t type = want.type == NO_INDEX ? NO_INDEX : row_bare(lw, want.type), own = row_of(lw, node->head.type);
    if (type == NO_INDEX || lower_kind(lw, type) != lower_kind(lw, own)) type = own;
    if (lower_kind(lw, type) == KIND_MAP) return lower_map(f, node, type);
    const Type *declared = record_of(node->head.want ? node->head.want : node->head.type);
    if (!declared) declared = record_of(node->head.type);
    uint16_t count = lw->image->types[type].field_count;
    Arg args[RECORD_FIELDS_MAX];
    for (uint16_t i = 0; i < count; i++) {
        ImageField field = lw->image->types[type].fields[i];
        Ast *value = literal_field(node, field.name);
        if (!value) value = default_of(declared, field.name);
        args[i] = value ? arg_node(value, field.type) : arg_null(field.type);
    }
    if (!in_order(lw, node, type)) values_as_written(f, node, type, args);
    return emit_record(f, type, args, count, want);
}

/* ---- r with { field: value } ---- */

/* Values first, then the changes: in place when the record is ours, or when it is the variable that gets the result. */
Val lower_with(Func *f, Ast_with_expr *node, Want want)
{
    Lower *lw = f->lw;
    Val record = pin(f, lower_any(f, node->value), node->value, node->fields);
    AstList fields = as_record_expr(node->fields)->fields;
    Val *values = ARENA_ARRAY(lw->arena, Val, fields.count + 1);
    uint32_t *indexes = ARENA_ARRAY(lw->arena, uint32_t, fields.count + 1);
    for (uint32_t i = 0; i < fields.count && !f->dead; i++) {
        indexes[i] = field_index(lw, record.type, as_field_value(fields.items[i])->name.text);
        values[i] = lower_as(f, field_value_of(fields.items[i]), lw->image->types[record.type].fields[indexes[i]].type);
    }
    if (f->dead) return record;
    bool in_place = want.reg == record.reg && want.type == record.type;
    Val out = in_place ? record : val_copy(f, record);
    for (uint32_t i = 0; i < fields.count; i++) {
        emit(f, OP_SET_FIELD, out.reg, (uint16_t)indexes[i], values[i].reg);
        val_free(f, values[i]);
    }
    return out;
}

/* ---- assignment ----
 * A place is a variable and a path into it. Walking down reads each part into a temporary, walking up stores each changed part into the one
 * around it; the outermost store is in place in the variable's register. */

typedef struct Step { FieldInfo *field; Val index; Val part; IndexKind kind; Str name; } Step;      /* part: what the step leads to */

enum { PATH_MAX_STEPS = AST_DEPTH_MAX };

static uint32_t path_of(Ast *target, Ast **steps)
{
    uint32_t count = 0;
    while (target->kind != AST_NAME_EXPR && count < PATH_MAX_STEPS) {
        steps[count++] = target;
        target = target->kind == AST_FIELD_EXPR ? as_field_expr(target)->object : as_index_expr(target)->object;
    }
    for (uint32_t i = 0; i < count / 2; i++) {
        Ast *swap = steps[i];
        steps[i] = steps[count - 1 - i];
        steps[count - 1 - i] = swap;
    }
    return count;
}

static Ast *root_of(Ast *target)
{
    while (target->kind == AST_FIELD_EXPR || target->kind == AST_INDEX_EXPR)
        target = target->kind == AST_FIELD_EXPR ? as_field_expr(target)->object : as_index_expr(target)->object;
    return target;
}

/* What is in `holder` at this step, without an optional around it. */
static Val step_read(Func *f, Val holder, const Step *step)
{
    Lower *lw = f->lw;
    Val out;
    if (step->field) {
        out = val_temp(f, lw->image->types[holder.type].fields[step->field->index].type);
        emit(f, OP_GET_FIELD, out.reg, holder.reg, (uint16_t)step->field->index);
    } else if (step->kind == INDEX_LIST) {
        out = val_temp(f, row_element(lw, holder.type));
        emit(f, OP_LIST_GET, out.reg, holder.reg, step->index.reg);
    } else {
        out = val_temp(f, row_opt(lw, row_element(lw, holder.type)));
        emit(f, OP_MAP_GET, out.reg, holder.reg, step->index.reg);
    }
    return out;
}

static void step_write(Func *f, uint16_t holder, const Step *step, Val value)
{
    if (step->field) emit(f, OP_SET_FIELD, holder, (uint16_t)step->field->index, value.reg);
    else emit(f, step->kind == INDEX_LIST ? OP_LIST_SET : OP_MAP_SET, holder, step->index.reg, value.reg);
}

static uint16_t step_type(Lower *lw, uint16_t holder, const Step *step)
{
    return step->field ? lw->image->types[holder].fields[step->field->index].type : row_element(lw, holder);
}

static Val new_value(Func *f, Ast_assign_stmt *node, Val old, uint16_t type, Want want)
{
    if (!node->op) return lower_expr(f, node->value, (Want){ type, want.reg });
    Val bare = convert_to(f, old, row_bare(f->lw, type), NO_REG), operand = lower_any(f, node->value);
    return settle(f, binary_values(f, (BinaryOp)node->op, bare, operand, row_bare(f->lw, type), want), (Want){ type, want.reg });
}

static void assign_path(Func *f, Ast_assign_stmt *node, Ast **nodes, uint32_t count)
{
    Lower *lw = f->lw;
    Step *steps = ARENA_ARRAY(lw->arena, Step, count);
    for (uint32_t i = 0; i < count; i++) {
        if (nodes[i]->kind == AST_FIELD_EXPR) steps[i].field = nodes[i]->info;
        else {
            steps[i].kind = ((IndexInfo *)nodes[i]->info)->kind;
            steps[i].index = lower_any(f, as_index_expr(nodes[i])->index);
            steps[i].index = pin(f, steps[i].index, as_index_expr(nodes[i])->index, node->value);
        }
    }
    Val root = val_reg(f, root_of(node->target)->symbol->image_index);
    Val value = { 0, 0, false };
    if (!node->op) {                     /* the value before the parts around it: it may change them */
        uint16_t holder = root.type;
        for (uint32_t i = 0; i + 1 < count; i++) holder = row_bare(lw, step_type(lw, row_bare(lw, holder), &steps[i]));
        value = lower_as(f, node->value, step_type(lw, row_bare(lw, holder), &steps[count - 1]));
    }
    if (f->dead) return;
    at(f, &node->head);
    Val holder = root, narrowed = root;
    for (uint32_t i = 0; i < count; i++) {
        narrowed = lower_kind(lw, holder.type) == KIND_OPT ? convert_to(f, holder, row_element(lw, holder.type), NO_REG) : holder;
        steps[i].part = narrowed;        /* what step i writes to */
        if (i + 1 < count) holder = step_read(f, narrowed, &steps[i]);
        else if (node->op) value = new_value(f, node, step_read(f, narrowed, &steps[i]), step_type(lw, narrowed.type, &steps[i]), (Want){ NO_INDEX, NO_REG });
    }
    for (uint32_t i = count; i-- > 0;) {
        step_write(f, steps[i].part.reg, &steps[i], value);
        if (!steps[i].field) val_free(f, steps[i].index);
        val_free(f, value);
        value = steps[i].part;
        if (i > 0) value = settle(f, value, (Want){ step_type(lw, steps[i - 1].part.type, &steps[i - 1]), NO_REG });
    }
    if (value.reg != root.reg) settle(f, value, (Want){ root.type, root.reg });      /* the variable was an optional */
}

/* x = x.append(y): pushes into x. */
static bool assign_append(Func *f, Ast_assign_stmt *node, uint16_t reg)
{
    CallInfo *call = node->value->kind == AST_CALL_EXPR ? node->value->info : NULL;
    if (node->op || !call || node->value->want || call->kind != CALL_BUILTIN || call->builtin != BUILTIN_LIST_APPEND) return false;
    Ast *list = call->args[0];
    if (list->kind != AST_NAME_EXPR || list->symbol != node->target->symbol || lower_kind(f->lw, reg_type(f, reg)) != KIND_LIST) return false;
    Val item = lower_as(f, call->args[1], row_element(f->lw, reg_type(f, reg)));
    at(f, &node->head);
    emit(f, OP_LIST_PUSH, reg, item.reg, 0);
    val_free(f, item);
    return true;
}

void lower_assign(Func *f, Ast_assign_stmt *node)
{
    Ast *path[PATH_MAX_STEPS];
    const FieldInfo *target = node->target->kind == AST_FIELD_EXPR ? node->target->info : NULL;
    if (target && target->kind == FIELD_CONTEXT) {
        lower_context_write(f, node);
        return;
    }
    uint32_t count = path_of(node->target, path);
    if (count) {
        assign_path(f, node, path, count);
        return;
    }
    uint16_t reg = node->target->symbol->image_index, type = reg_type(f, reg);
    if (assign_append(f, node, reg)) return;
    if (!node->op) {
        lower_expr(f, node->value, (Want){ type, reg });
        return;
    }
    int64_t imm;
    if (lower_kind(f->lw, type) == KIND_INT && (node->op == BINARY_ADD || node->op == BINARY_SUB) && fold_int(node->value, &imm)) {
        if (node->op == BINARY_SUB) imm = -imm;
        if (imm >= INT16_MIN && imm <= INT16_MAX) {
            emit(f, OP_ADDI_INT, reg, reg, (uint16_t)(int16_t)imm);
            return;
        }
    }
    Val old = pin(f, val_reg(f, reg), node->target, node->value);
    new_value(f, node, old, type, (Want){ type, reg });
}
