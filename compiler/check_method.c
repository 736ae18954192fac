/* check_method.c - methods of values: those of builtins.def, and those with a lambda, which lower writes out as loops.
 *
 * Overloads are told apart by the receiver. The parameters of a lambda get their types from the list; its body may use what is around it.
 */
#include "compiler/check_internal.h"

static const struct Inline { const char *name; InlineKind kind; } inlines[] = {
    { "map", INLINE_MAP }, { "filter", INLINE_FILTER }, { "find", INLINE_FIND }, { "any", INLINE_ANY }, { "all", INLINE_ALL }, { "count", INLINE_COUNT },
    { "sum_by", INLINE_SUM_BY }, { "sort_by", INLINE_SORT_BY }, { "min_by", INLINE_MIN_BY }, { "max_by", INLINE_MAX_BY }, { "group_by", INLINE_GROUP_BY },
    { "flat_map", INLINE_FLAT_MAP }, { "reduce", INLINE_REDUCE },
};
enum { INLINES = sizeof inlines / sizeof inlines[0] };

static const struct Inline *inline_named(Str name)
{
    for (size_t i = 0; i < INLINES; i++)
        if (str_is(name, inlines[i].name))
            return &inlines[i];
    return NULL;
}

bool method_exists(Checker *c, Str name)
{
    if (str_starts(name, STR("__")))
        return false;
    for (Signature *signature = map_find(&c->signatures->by_name, name); signature; signature = signature->next)
        if (signature->receiver)
            return true;
    return inline_named(name) != NULL;
}

/* The arguments behind the receiver: a call that is written as a function has it as its first. */
static AstList method_args(Ast *node, Ast *receiver)
{
    AstList args = as_call_expr(node)->args;
    if (args.count && args.items[0]->kind == AST_ARG && as_arg(args.items[0])->value == receiver) {
        args.items++;
        args.count--;
    }
    return args;
}

static Ast *argument(AstList args, uint32_t index)
{
    return index < args.count && args.items[index]->kind == AST_ARG ? as_arg(args.items[index])->value : NULL;
}

static CallInfo *method_info(Checker *c, Ast *node, CallKind kind, Ast *receiver, AstList args)
{
    CallInfo *info = ARENA_NEW(c->arena, CallInfo);
    info->kind = kind;
    info->arg_count = args.count + 1;
    info->args = ARENA_ARRAY(c->arena, Ast *, info->arg_count);
    info->param_types = ARENA_ARRAY(c->arena, Type *, info->arg_count);
    info->args[0] = receiver;
    info->param_types[0] = receiver->type;
    for (uint32_t i = 0; i < args.count; i++)
        info->args[i + 1] = argument(args, i);
    node->info = info;
    return info;
}

/* ---- lambdas --------------------------------------------------------------------------------------------- */

static Type *check_lambda(Checker *c, Ast *node, Type *const *params, uint32_t count, Type *hint)
{
    Ast_lambda_expr *lambda = as_lambda_expr(node);
    if (lambda->params.count != count) {
        diag_lambda_arity(c->diags, node->span, lambda->params.count, count);
        node->type = poison(c);
        return poison(c);
    }
    uint32_t facts = c->fact_count;
    scope_enter(c);
    for (uint32_t i = 0; i < count; i++) {
        Ast *param = lambda->params.items[i];
        Ident name = param->kind == AST_NAME_REF ? as_name_ref(param)->name : decl_name(param);
        param->symbol = scope_declare(c, name, params[i], param);
        param->type = params[i];
    }
    c->body->lambda_depth++;
    Type *type = check_some(c, lambda->body, hint);
    c->body->lambda_depth--;
    scope_leave(c);
    c->fact_count = facts;
    if (type == c->never)
        type = poison(c);
    return node->type = type;
}

static Ast *require_lambda(Checker *c, Str name, Span span, AstList args, uint32_t index)
{
    Ast *lambda = argument(args, index);
    if (lambda && lambda->kind == AST_LAMBDA_EXPR)
        return lambda;
    Diag *diag = diag_lambda_expected(c->diags, lambda ? lambda->span : span, name);
    diag_help(c->diags, diag, "write `.%.*s(x => …)`", STR_ARG(name));
    return NULL;
}

static void require_order(Checker *c, Ast *lambda, Type *key)
{
    if (key->tag == TYPE_OPT)
        report_optional(c, as_lambda_expr(lambda)->body, key, "a value to order by");
    else if (!type_is_ordered(key) && key->tag != TYPE_BOOL && key->tag != TYPE_ENUM)
        diag_not_ordered(c->diags, as_lambda_expr(lambda)->body->span, text_of(c, key));
}

static Type *inline_result(Checker *c, InlineKind kind, Str name, Ast *lambda, Type *list, Type *element, Type *body)
{
    Ast *value = as_lambda_expr(lambda)->body;
    switch (kind) {
    case INLINE_MAP: return type_list(c->program, body);
    case INLINE_FILTER: case INLINE_FIND: case INLINE_ANY: case INLINE_ALL: case INLINE_COUNT:
        coerce(c, value, c->basic[TYPE_BOOL]);
        if (kind == INLINE_FILTER)
            return list;
        if (kind == INLINE_FIND)
            return type_labeled(c->program, type_optional(c->program, element), element->labels);
        return c->basic[kind == INLINE_COUNT ? TYPE_INT : TYPE_BOOL];
    case INLINE_SUM_BY:
        if (body->tag == TYPE_OPT)
            report_optional(c, value, body, "a number");
        else if (!type_is_number(body) && body->tag != TYPE_DURATION)
            diag_aggregate_type(c->diags, value->span, name, text_of(c, body));
        return body->tag == TYPE_OPT ? body->element : body;
    case INLINE_SORT_BY:
        require_order(c, lambda, body);
        return list;
    case INLINE_MIN_BY: case INLINE_MAX_BY:
        require_order(c, lambda, body);
        return type_labeled(c->program, type_optional(c->program, element), element->labels);
    case INLINE_GROUP_BY:
        coerce(c, value, c->basic[TYPE_STRING]);
        return type_map(c->program, list);
    case INLINE_FLAT_MAP:
        if (body->tag == TYPE_LIST)
            return body;
        diag_type_mismatch(c->diags, value->span, text_of(c, body), "a list");
        return poison(c);
    case INLINE_REDUCE: break;
    }
    return poison(c);
}

static Type *check_reduce(Checker *c, Ast *node, Str name, Span span, Ast *receiver, AstList args, Type *element, Type *hint)
{
    Ast *lambda = require_lambda(c, name, span, args, 1);
    if (!lambda || args.count != 2) {
        if (lambda)
            diag_argument_count(c->diags, span, name, 2, args.count);
        return poison(c);
    }
    Ast *start = argument(args, 0);
    Type *total = check_some(c, start, hint);
    CallInfo *info = method_info(c, node, CALL_INLINE, receiver, args);
    info->method = INLINE_REDUCE;
    if (hint && total != c->never && type_assign(total, hint) != ASSIGN_NO) {
        coerce(c, start, hint);
        total = hint;
    }
    Type *params[] = { total, element };
    check_lambda(c, lambda, params, 2, total);
    if (lambda->type->tag == TYPE_POISON || total->tag == TYPE_POISON)
        return poison(c);
    coerce(c, as_lambda_expr(lambda)->body, total);
    lambda->type = total;
    info->param_types[1] = total;
    return type_labeled(c->program, total, element->labels);
}

static Type *check_inline(Checker *c, Ast *node, const struct Inline *method, Str name, Span span, Ast *receiver, Type *hint)
{
    AstList args = method_args(node, receiver);
    Type *list = receiver->type, *element = type_element(c->program, list);
    if (method->kind == INLINE_REDUCE)
        return check_reduce(c, node, name, span, receiver, args, element, hint);
    Ast *lambda = require_lambda(c, name, span, args, 0);
    if (!lambda)
        return poison(c);
    if (args.count != 1) {
        diag_argument_count(c->diags, span, name, 1, args.count);
        return poison(c);
    }
    Type *body_hint = method->kind == INLINE_MAP && hint && hint->tag == TYPE_LIST ? hint->element : method->kind == INLINE_FLAT_MAP ? hint : NULL;
    Type *body = check_lambda(c, lambda, &element, 1, body_hint);
    CallInfo *info = method_info(c, node, CALL_INLINE, receiver, args);
    info->method = method->kind;
    if (body->tag == TYPE_POISON)
        return method->kind == INLINE_FILTER || method->kind == INLINE_SORT_BY ? list : poison(c);
    if (body_hint && method->kind == INLINE_MAP && type_assign(body, body_hint) != ASSIGN_NO) {
        coerce(c, as_lambda_expr(lambda)->body, body_hint);
        lambda->type = body = body_hint;
    }
    return inline_result(c, method->kind, name, lambda, list, element, body);
}

/* ---- built-ins --------------------------------------------------------------------------------------------- */

static Signature *overload(Checker *c, Str name, Type *receiver, Type **bound)
{
    Signature *generic = NULL;
    for (Signature *signature = map_find(&c->signatures->by_name, name); signature; signature = signature->next) {
        *bound = NULL;
        if (!signature->receiver || !signature_unify(signature->receiver, receiver, bound))
            continue;
        if (signature->receiver->tag != TYPE_VAR)
            return signature;
        generic = signature;
    }
    if (generic)
        signature_unify(generic->receiver, receiver, bound);
    return generic;
}

static bool needs_order(Builtin builtin)
{
    return builtin == BUILTIN_LIST_SORT || builtin == BUILTIN_LIST_MIN || builtin == BUILTIN_LIST_MAX;
}

static void report_method(Checker *c, Str name, Span span, Type *receiver)
{
    Diag *diag = diag_unknown_method(c->diags, span, text_of(c, receiver), name);
    Str names[128];
    size_t count = 0;
    MAP_EACH(&c->signatures->by_name, entry) {
        Type *bound = NULL;
        if (count < 128 - INLINES && !str_starts(entry->key, STR("__")) && overload(c, entry->key, receiver, &bound))
            names[count++] = entry->key;
    }
    for (size_t i = 0; i < INLINES && receiver->tag == TYPE_LIST; i++)
        names[count++] = str_of(inlines[i].name);
    diag_did_you_mean(c->diags, diag, name, names, count);
}

static Type *check_builtin(Checker *c, Ast *node, Str name, Span span, Ast *receiver)
{
    Type *type = receiver->type, *bound = NULL;
    Signature *signature = str_starts(name, STR("__")) ? NULL : overload(c, name, type, &bound);
    AstList args = method_args(node, receiver);
    if (!signature) {
        report_method(c, name, span, type);
        for (uint32_t i = 0; i < args.count; i++)
            if (argument(args, i) && argument(args, i)->kind != AST_LAMBDA_EXPR)
                check_some(c, argument(args, i), NULL);
        return poison(c);
    }
    CallInfo *info = method_info(c, node, CALL_BUILTIN, receiver, args);
    info->builtin = signature->builtin;
    if (args.count != signature->param_count) {
        diag_argument_count(c->diags, span, name, signature->param_count, args.count);
        return poison(c);
    }
    unsigned labels = type->labels;
    for (uint32_t i = 0; i < args.count; i++) {
        Ast *value = argument(args, i);
        if (!value)
            return poison(c);
        if (as_arg(args.items[i])->name.text.len)
            diag_unknown_parameter(c->diags, as_arg(args.items[i])->name.span, name, as_arg(args.items[i])->name.text);
        info->param_types[i + 1] = signature_apply(c->program, signature->params[i], bound);
        check_value(c, value, info->param_types[i + 1]);
        labels |= value->type->labels;
    }
    if (needs_order(signature->builtin) && bound && !type_is_ordered(bound) && bound->tag != TYPE_BOOL && bound->tag != TYPE_ENUM)
        diag_help(c->diags, diag_not_ordered(c->diags, span, text_of(c, bound)), "`.sort_by`, `.min_by` and `.max_by` take what to order by");
    if (signature->builtin == BUILTIN_STR_REDACT)
        labels = 0;
    return type_labeled(c->program, signature_apply(c->program, signature->result, bound), labels);
}

Type *check_method(Checker *c, Ast *node, Str name, Span name_span, Ast *receiver, Type *hint)
{
    Type *type = check_some(c, receiver, NULL);
    const struct Inline *method = inline_named(name);
    if (type == c->never || type->tag == TYPE_POISON) {
        AstList args = method_args(node, receiver);
        for (uint32_t i = 0; i < args.count; i++)
            if (argument(args, i) && argument(args, i)->kind != AST_LAMBDA_EXPR)
                check_expr(c, argument(args, i), NULL);
        return poison(c);
    }
    if (type->tag == TYPE_OPT) {
        report_optional(c, receiver, type, arena_printf(c->arena, "a value for `.%.*s()`", STR_ARG(name)));
        return poison(c);
    }
    if (method && type->tag == TYPE_LIST)
        return check_inline(c, node, method, name, name_span, receiver, hint);
    return check_builtin(c, node, name, name_span, receiver);
}
