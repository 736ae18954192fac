/* lower_flow.c - the functions of flows beside their bodies: defaults, keys, what an event starts.
 *
 * The init function takes each parameter with a default as an optional and gives the record of all, so that the engine fills in defaults
 * without knowing the language. A key function goes from the parameters to the text that `one per`, `limit` or `rate` counts by. A flow
 * with `on Event` gets a handler that calls it.
 */
#include "compiler/lower_internal.h"

Func *body_begin(Lower *lw, uint16_t func, FuncKind kind, Str name, uint16_t owner, uint16_t agent, uint16_t result, FuncInfo *info, Ast *decl)
{
    Func *f = func_begin(lw, func, kind, name, owner, agent, result, decl->span);
    for (uint32_t i = 0; info && i < info->param_count; i++) info->params[i]->image_index = func_param(f, row_of(lw, info->params[i]->type));
    return f;
}

static Ast *default_value(const Symbol *param)
{
    return param->decl && param->decl->kind == AST_PARAM ? as_param(param->decl)->value : NULL;
}

/* ---- init ---- */

static uint16_t all_params_type(Lower *lw, const ImageFlow *flow)
{
    ImageField fields[FUNC_PARAMS_MAX] = { 0 };
    for (uint16_t i = 0; i < flow->param_count; i++) {
        fields[i] = flow->params[i];
        fields[i].has_default = false;
    }
    return row_record(lw, fields, flow->param_count);
}

static void lower_init(Lower *lw, Symbol *flow)
{
    ImageFlow row = lw->image->flows[flow->image_index];
    FuncInfo *info = flow->info;
    if (row.init_func == NO_INDEX) return;
    uint16_t result = all_params_type(lw, &row);
    Func *f = func_begin(lw, row.init_func, FUNC_INIT, lower_printf(lw, "%.*s.init", STR_ARG(flow->name)), NO_INDEX, NO_INDEX, result, flow->decl->span);
    Arg args[FUNC_PARAMS_MAX];
    for (uint16_t i = 0; i < row.param_count; i++) func_param(f, row.params[i].has_default ? row_opt(lw, row.params[i].type) : row.params[i].type);
    for (uint16_t i = 0; i < row.param_count; i++) {
        Val given = val_reg(f, i);
        args[i] = arg_val(given);
        if (!row.params[i].has_default) continue;
        Label missing = label_new(f), done = label_new(f);
        Val value = val_temp(f, row.params[i].type);
        emit_jump(f, OP_JNULL, given.reg, 0, missing);
        settle(f, given, (Want){ value.type, value.reg });
        emit_jump(f, OP_JUMP, 0, 0, done);
        label_place(f, missing);
        lower_expr(f, default_value(info->params[i]), (Want){ value.type, value.reg });
        label_place(f, done);
        args[i] = arg_val(value);
    }
    Val record = emit_record(f, result, args, row.param_count, (Want){ NO_INDEX, NO_REG });
    emit(f, OP_RETURN, record.reg, 0, 0);
    func_end(f);
}

/* ---- keys ---- */

static void lower_key(Lower *lw, Symbol *flow, uint16_t func, const char *what, Ast *key)
{
    if (func == NO_INDEX) return;
    Func *f = body_begin(lw, func, FUNC_KEY, lower_printf(lw, "%.*s.%s", STR_ARG(flow->name), what), NO_INDEX, NO_INDEX, TYPE_INDEX_STRING, flow->info, key);
    Val v = lower_any(f, key), text = v;
    if (v.type != TYPE_INDEX_STRING && !f->dead) {
        text = val_temp(f, TYPE_INDEX_STRING);
        emit(f, lower_kind(lw, v.type) == KIND_ENUM ? OP_ENUM_NAME : OP_TO_STR, text.reg, v.reg, 0);
    }
    emit(f, OP_RETURN, text.reg, 0, 0);
    func_end(f);
}

static void lower_keys(Lower *lw, Symbol *flow)
{
    AstList clauses = as_flow_decl(flow->decl)->clauses;
    for (uint32_t i = 0; i < clauses.count; i++) {
        Ast *clause = clauses.items[i];
        const ImageFlow *row = &lw->image->flows[flow->image_index];
        if (clause->kind == AST_ONE_PER_CLAUSE) lower_key(lw, flow, row->one_per_func, "one_per", as_one_per_clause(clause)->key);
        else if (clause->kind == AST_LIMIT_CLAUSE) lower_key(lw, flow, row->limit_func, "limit", as_limit_clause(clause)->key);
        else if (clause->kind == AST_RATE_CLAUSE) lower_key(lw, flow, row->rate_func, "rate", as_rate_clause(clause)->key);
    }
}

/* ---- started by an event ---- */

static Ast_trigger_clause *trigger_of(const Symbol *flow)
{
    AstList clauses = as_flow_decl(flow->decl)->clauses;
    for (uint32_t i = 0; i < clauses.count; i++)
        if (clauses.items[i]->kind == AST_TRIGGER_CLAUSE) return as_trigger_clause(clauses.items[i]);
    return NULL;
}

static void lower_trigger(Lower *lw, Symbol *flow)
{
    Ast_trigger_clause *trigger = trigger_of(flow);
    FuncInfo *info = flow->info;
    if (!trigger) return;
    Symbol *event = lower_global(lw, trigger->event.text);
    uint16_t func = lower_row(lw, IMAGE_ADD(lw->image, func), "functions"), handler = lower_row(lw, IMAGE_ADD(lw->image, handler), "handlers");
    if (lw->failed) return;
    Str name = lower_printf(lw, "%.*s.on_%.*s", STR_ARG(flow->name), STR_ARG(event->name));
    lw->image->handlers[handler] = (ImageHandler){ .name = name, .event = event->image_index, .agent = NO_INDEX, .func = func, .where_func = NO_INDEX, .starts_flow = true };
    Func *f = func_begin(lw, func, FUNC_HANDLER, name, handler, NO_INDEX, TYPE_INDEX_VOID, trigger->head.span);
    uint16_t record = func_param(f, row_of(lw, event->type));
    Arg args[FUNC_PARAMS_MAX];
    args[0] = arg_val(val_reg(f, record));
    for (uint32_t i = 1; i < info->param_count; i++) {
        Ast *value = default_value(info->params[i]);
        uint16_t type = row_of(lw, info->params[i]->type);
        args[i] = value ? arg_node(value, type) : arg_null(type);
    }
    val_free(f, emit_call(f, lw->image->flows[flow->image_index].func, row_of(lw, info->result), args, (uint16_t)info->param_count, (Want){ NO_INDEX, NO_REG }));
    func_end(f);
}

/* ---- the body ---- */

static Ast *within_of(AstList clauses)
{
    for (uint32_t i = 0; i < clauses.count; i++)
        if (clauses.items[i]->kind == AST_WITHIN_CLAUSE) return as_within_clause(clauses.items[i])->duration;
    return NULL;
}

static void lower_flow_body(Lower *lw, Symbol *flow)
{
    Ctx ctx;
    Ast_flow_decl *decl = as_flow_decl(flow->decl);
    FuncInfo *info = flow->info;
    uint16_t index = flow->image_index, func = lw->image->flows[index].func;
    Func *f = body_begin(lw, func, FUNC_FLOW, flow->name, index, NO_INDEX, row_of(lw, info->result), info, flow->decl);
    lw->image->funcs[func].flags = (uint8_t)((info->result->labels & LABEL_SECRET ? FUNC_FLAG_SECRET_RESULT : 0) | (info->result->labels & LABEL_PII ? FUNC_FLAG_PII_RESULT : 0));
    Ast *within = within_of(decl->clauses);
    if (within) scope_begin(f, &ctx, within);
    lower_block(f, decl->body);
    if (within) {
        scope_end(f, &ctx);
        scope_reraise(f, &ctx);
    }
    func_end(f);
}

void lower_flow_bodies(Lower *lw, Symbol *flow)
{
    lower_flow_body(lw, flow);
    lower_init(lw, flow);
    lower_keys(lw, flow);
    lower_trigger(lw, flow);
}
