/* expand_projection.c - a read model: per key a record in hot state, folded from the stored events of one aggregate.
 *
 * projection budget_view by budget_id becomes: a session of its name with the field `version`, a function for each event, one that folds, and a
 * handler for each event. A handler does not trust the order or the number of deliveries: it brings its key up to the newest stored event, and
 * puts the result there only if nobody else did meanwhile (compare and set by version). What is not in hot state, or when that cannot be reached, is
 * folded from the event store by whoever reads it.
 */
#include "compiler/expand_internal.h"

const Projection *expand_find_projection(const Expander *x, Str name)
{
    for (const Projection *p = x->projections; p; p = p->next)
        if (str_eq(p->decl->name.text, name))
            return p;
    return NULL;
}

/* ---- its shape ------------------------------------------------------------------------------------------------- */

/* The one aggregate that is sourced by the event; `several` when there are more. */
static Aggregate *source_of(const Expander *x, Str event, bool *several)
{
    Aggregate *found = NULL;
    for (Aggregate *a = x->program->aggregates; a; a = a->next) {
        if (!expand_is_source(a, event))
            continue;
        *several |= found != NULL && !found->broken && !a->broken;
        if (!found || found->broken)
            found = a;
    }
    return found;
}

static bool has_key(Expander *x, Str event, Str key)
{
    Ast *decl = map_find(&x->events, event);
    for (uint32_t i = 0; decl && i < as_event_decl(decl)->fields.count; i++)
        if (as_event_decl(decl)->fields.items[i]->kind == AST_FIELD && str_eq(as_field(as_event_decl(decl)->fields.items[i])->name.text, key))
            return true;
    return false;
}

static Diag *misshapen(Expander *x, Projection *p, Span span, const char *what)
{
    p->aggregate = NULL;
    return diag_projection_shape(x->diags, span, p->decl->name.text, what);
}

static bool check_handler(Expander *x, Projection *p, Ast_handler_decl *handler, Aggregate *before)
{
    Str event = handler->event.text;
    bool several = false;
    Aggregate *a = source_of(x, event, &several);
    if (!map_find(&x->events, event)) {
        p->aggregate = NULL;
        diag_label(x->diags, diag_unknown_event(x->diags, handler->event.span, event), "no event of this name is declared or imported");
    } else if (!a || several)
        diag_help(x->diags, misshapen(x, p, handler->event.span, several ? "handles an event that is the source of several aggregates" : "handles an event that no aggregate is sourced by"),
                  "its events are those of one aggregate: `aggregate A sourced by %.*s`", STR_ARG(event));
    else if (before && a != before)
        diag_note(x->diags, misshapen(x, p, handler->event.span, "handles events of two aggregates"), before->decl->name.span, "the other events are of this one");
    else if (!has_key(x, event, p->decl->key.text))
        diag_help(x->diags, misshapen(x, p, handler->event.span, "handles an event without its key"), "event `%.*s` needs the field `%.*s`, the id of the aggregate", STR_ARG(event),
                  STR_ARG(p->decl->key.text));
    else if (handler->where)
        diag_help(x->diags, misshapen(x, p, handler->where->span, "handles events under a condition"), "put the condition into the body: every event counts the version on");
    else {
        p->aggregate = a;
        return true;
    }
    return false;
}

static bool is_first_of(Expander *x, Projection *p, uint32_t at)
{
    Ident event = as_handler_decl(p->decl->handlers.items[at])->event;
    for (uint32_t i = 0; i < at; i++)
        if (str_eq(as_handler_decl(p->decl->handlers.items[i])->event.text, event.text)) {
            misshapen(x, p, event.span, "says twice what this event does");
            return false;
        }
    return true;
}

void expand_read_projection(Expander *x, Ast_projection_decl *decl)
{
    Projection *p = ARENA_NEW(x->arena, Projection);
    p->decl = decl;
    if (expand_find_projection(x, decl->name.text)) {
        diag_label(x->diags, diag_duplicate_name(x->diags, decl->name.span, "projection", decl->name.text), "a second declaration of this name");
        return;
    }
    bool good = true;
    Aggregate *a = NULL;
    for (uint32_t i = 0; i < decl->handlers.count && good; i++)
        if ((good = check_handler(x, p, as_handler_decl(decl->handlers.items[i]), a) && is_first_of(x, p, i)))
            a = p->aggregate;
    if (!decl->handlers.count)
        diag_help(x->diags, misshapen(x, p, decl->name.span, "handles no event"), "write `on EVENT as e { … }` into it");
    for (uint32_t i = 0; i < decl->fields.count; i++) {
        Ast_field *field = decl->fields.items[i]->kind == AST_FIELD ? as_field(decl->fields.items[i]) : NULL;
        if (field && str_is(field->name.text, "version"))
            misshapen(x, p, field->name.span, "has a field `version` already");
        else if (field && !field->value && field->type->kind != AST_OPTIONAL_TYPE)
            diag_help(x->diags, misshapen(x, p, field->name.span, "has a field without a value to begin with"), "give it a default, or make it optional");
    }
    if (p->aggregate && p->aggregate->broken)
        p->aggregate = NULL;
    p->next = x->projections;
    x->projections = p;
}

/* ---- declarations ------------------------------------------------------------------------------------------------- */

static void put_names(const Projection *p, Ast *body, const char *format, Buf *text)
{
    for (uint32_t i = 0; i < p->decl->fields.count; i++) {
        if (p->decl->fields.items[i]->kind != AST_FIELD)
            continue;
        Str name = as_field(p->decl->fields.items[i])->name.text;
        if (expand_mentions(body, name))
            buf_printf(text, format, STR_ARG(name), STR_ARG(name));
    }
}

static void put_on(const Projection *p, const Ast_handler_decl *handler, Buf *text)
{
    Str view = p->decl->name.text, event = handler->event.text;
    buf_printf(text, "fn __%.*s_on_%.*s(__s: %.*s, %.*s: %.*s) -> %.*s {\n", STR_ARG(view), STR_ARG(event), STR_ARG(view), STR_ARG(handler->name.text), STR_ARG(event), STR_ARG(view));
    put_names(p, handler->body, "var %.*s = __s.%.*s\n", text);
    buf_put_text(text, "__body()\nvar __t = __s\n");
    put_names(p, handler->body, "__t.%.*s = %.*s\n", text);
    buf_put_text(text, "return __t\n}\n");
}

static void put_fold(const Projection *p, Buf *text)
{
    Str view = p->decl->name.text;
    buf_printf(text, "fn __%.*s_fold(__old: %.*s?, __events: list<event_store>) -> %.*s? {\nif __events.is_empty() { return __old }\nlet __empty: %.*s = { version: 0 }\n"
               "var __s = __old ?? __empty\nfor __x in __events {\n__s = __s with { version: __x.version }\n", STR_ARG(view), STR_ARG(view), STR_ARG(view), STR_ARG(view));
    for (uint32_t i = 0; i < p->decl->handlers.count; i++) {
        Str event = as_handler_decl(p->decl->handlers.items[i])->event.text;
        buf_printf(text, "if __x.event_type == \"%.*s\" { __s = __%.*s_on_%.*s(__s, __x.event_data as %.*s) }\n", STR_ARG(event), STR_ARG(view), STR_ARG(event), STR_ARG(event));
    }
    buf_put_text(text, "}\nreturn __s\n}\n");
}

/* The stored events of key __k behind version __from. */
static void put_events(const Projection *p, const char *from, Buf *text)
{
    buf_printf(text, "from __x in event_store where __x.aggregate_type == \"%.*s\" and __x.aggregate_id == __k%s order by __x.version", STR_ARG(p->aggregate->decl->name.text), from);
}

static void put_handler(const Projection *p, const Ast_handler_decl *handler, Buf *text)
{
    Str view = p->decl->name.text;
    buf_printf(text, "on %.*s as __e {\nlet __k = __e.%.*s\nvar __tries = 1\nwhile __tries <= %d at most %d times {\n", STR_ARG(handler->event.text), STR_ARG(p->decl->key.text),
               AGGREGATE_TRIES_MAX, AGGREGATE_TRIES_MAX);
    buf_printf(text, "let __old = %.*s[__k]\nlet __from = __old?.version ?? 0\nlet __events = ", STR_ARG(view));
    put_events(p, " and __x.version > __from", text);
    buf_printf(text, "\nlet __new = __%.*s_fold(__old, __events) else return\nif __new.version == __from { return }\n", STR_ARG(view));
    buf_printf(text, "if __change(%.*s, __k, __from, __new) { return }\n__tries += 1\n}\n", STR_ARG(view));
    buf_printf(text, "fail conflict \"%.*s of ${__k} was changed by others %d times in a row\" with { code: \"AGGREGATE_TRIES_MAX\" }\n}\n", STR_ARG(view), AGGREGATE_TRIES_MAX);
}

/* __change(session, key, version, value), which no author can write. */
static bool place_change(Ast **slot, void *arg)
{
    Expander *x = arg;
    Ast *node = *slot;
    if (node->kind == AST_CALL_EXPR && expand_is_name(as_call_expr(node)->callee, "__change")) {
        AstList args = as_call_expr(node)->args;
        Ast_change_expr *change = ARENA_NEW(x->arena, Ast_change_expr);
        *change = (Ast_change_expr){ .head = { .kind = AST_CHANGE_EXPR, .span = node->span, .made = true }, .session = as_name_expr(as_arg(args.items[0])->value)->name,
                                     .key = as_arg(args.items[1])->value, .version = as_arg(args.items[2])->value, .value = as_arg(args.items[3])->value };
        *slot = &change->head;
        return true;
    }
    return ast_each_slot(node, place_change, x);
}

AstList expand_projection(Expander *x, const Projection *p)
{
    Buf text = { 0 };
    buf_printf(&text, "session %.*s ttl 365d { version: int = 0 }\n", STR_ARG(p->decl->name.text));
    for (uint32_t i = 0; i < p->decl->handlers.count; i++)
        put_on(p, as_handler_decl(p->decl->handlers.items[i]), &text);
    for (uint32_t i = 0; i < p->decl->handlers.count; i++)
        put_handler(p, as_handler_decl(p->decl->handlers.items[i]), &text);
    put_fold(p, &text);
    AstList items = expand_parse(x, buf_str(&text), p->decl->name.span);
    buf_free(&text);
    if (items.count < 1 + 2 * p->decl->handlers.count || items.items[0]->kind != AST_SESSION_DECL)
        return (AstList){ 0 };
    expand_append_all(x, &as_session_decl(items.items[0])->fields, p->decl->fields);
    for (uint32_t i = 0; i < p->decl->handlers.count; i++) {
        Ast_handler_decl *handler = as_handler_decl(p->decl->handlers.items[i]);
        Ast *fn = items.items[1 + i];
        ast_make_at(fn, handler->head.span);
        if (handler->body->kind == AST_BLOCK)
            expand_fill(x, fn, as_block(handler->body)->items);
        ast_each_slot(items.items[1 + p->decl->handlers.count + i], place_change, x);
        items.items[1 + p->decl->handlers.count + i]->made = false;             /* lints know that the event is handled */
    }
    return items;
}

/* ---- uses ------------------------------------------------------------------------------------------------------------ */

Ast *expand_view(Expander *x, const Projection *p, Ast_index_expr *index)
{
    Buf text = { 0 };
    Str view = p->decl->name.text;
    buf_printf(&text, "return match 0 { let __k => {\nvar __v: %.*s? = null\ntry { __v = %.*s[__k] } catch unavailable { }\n__v else __%.*s_fold(null, ", STR_ARG(view), STR_ARG(view),
               STR_ARG(view));
    put_events(p, "", &text);
    buf_put_text(&text, ")\n} }");
    Ast *statement = expand_statement(x, buf_str(&text), index->head.span);
    buf_free(&text);
    if (statement->kind != AST_RETURN_STMT)
        return statement;
    Ast *match = as_return_stmt(statement)->value;
    as_match_stmt(match)->subject = index->index;
    return match;
}

Ast *expand_rebuild(Expander *x, const Projection *p, Span span)
{
    Buf text = { 0 };
    Str view = p->decl->name.text, type = p->aggregate->decl->name.text;
    buf_printf(&text, "for __k in (from __x in event_store where __x.aggregate_type == \"%.*s\" and __x.version == 1 select __x.aggregate_id) {\nlet __events = ", STR_ARG(type));
    put_events(p, "", &text);
    buf_printf(&text, "\nlet __new = __%.*s_fold(null, __events) else continue\ndelete %.*s[__k]\nlet _done = __change(%.*s, __k, 0, __new)\n}", STR_ARG(view), STR_ARG(view), STR_ARG(view));
    Ast *statement = expand_statement(x, buf_str(&text), span);
    buf_free(&text);
    ast_each_slot(statement, place_change, x);
    return statement;
}
