/* expand_sourced.c - an aggregate whose state is a fold over its stored events.
 *
 * aggregate Budget sourced by E, F becomes: a type Budget (its state, `id` and `version`), a function for each `when`, one that applies a stored event,
 * and one that folds a list of them. A command loads and folds, works in one transaction that appends its events under the next versions, and begins
 * again when somebody else took one of these first. The event store is the table of stdlib/event_store.flow.
 */
#include "compiler/expand_internal.h"
#include <ctype.h>

bool expand_is_source(const Aggregate *a, Str event)
{
    for (uint32_t i = 0; i < a->decl->sources.count; i++)
        if (a->decl->sources.items[i]->kind == AST_NAME_REF && str_eq(as_name_ref(a->decl->sources.items[i])->name.text, event))
            return true;
    return false;
}

/* ---- the fold ------------------------------------------------------------------------------------------------- */

static void put_field_names(const Aggregate *a, Ast *body, const char *format, Buf *text)
{
    for (uint32_t i = 0; a->state && i < a->state->fields.count; i++) {
        if (a->state->fields.items[i]->kind != AST_FIELD)
            continue;
        Str name = as_field(a->state->fields.items[i])->name.text;
        if (!body || expand_mentions(body, name))
            buf_printf(text, format, STR_ARG(name), STR_ARG(name));
    }
}

static Ast_when_clause *when_of(const Aggregate *a, Str event)
{
    for (uint32_t i = 0; i < a->decl->members.count; i++)
        if (a->decl->members.items[i]->kind == AST_WHEN_CLAUSE && str_eq(as_when_clause(a->decl->members.items[i])->event.text, event))
            return as_when_clause(a->decl->members.items[i]);
    return NULL;
}

/* __Budget_when_E(__s, e): the state behind the event. What the body names of the state are variables of it. */
static void put_when(const Aggregate *a, Str event, Buf *text)
{
    Ast_when_clause *when = when_of(a, event);
    Str type = a->decl->name.text, name = when ? when->name.text : STR("__e");
    buf_printf(text, "fn __%.*s_when_%.*s(__s: %.*s, %.*s: %.*s) -> %.*s {\n", STR_ARG(type), STR_ARG(event), STR_ARG(type), STR_ARG(name), STR_ARG(event), STR_ARG(type));
    if (!when) {
        buf_put_text(text, "return __s\n}\n");
        return;
    }
    put_field_names(a, when->body, "var %.*s = __s.%.*s\n", text);
    buf_put_text(text, "__body()\nvar __t = __s\n");
    put_field_names(a, when->body, "__t.%.*s = %.*s\n", text);
    buf_put_text(text, "return __t\n}\n");
}

static void put_fold(const Aggregate *a, Buf *text)
{
    Str type = a->decl->name.text;
    buf_printf(text, "fn __%.*s_fold(__until: timestamp?, __start: %.*s?, __events: list<event_store>) -> %.*s? {\n"
               "let __first = __events.first() else return __start\nlet __empty: %.*s = { id: __first.aggregate_id, version: 0 }\nvar __s = __start ?? __empty\n",
               STR_ARG(type), STR_ARG(type), STR_ARG(type), STR_ARG(type));
    buf_put_text(text, "for __x in __events {\nif __until != null and __x.metadata.timestamp > __until { break }\n__s = __s with { version: __x.version }\n");
    for (uint32_t i = 0; i < a->decl->sources.count; i++) {
        if (a->decl->sources.items[i]->kind != AST_NAME_REF)
            continue;
        Str event = as_name_ref(a->decl->sources.items[i])->name.text;
        buf_printf(text, "if __x.event_type == \"%.*s\" { __s = __%.*s_when_%.*s(__s, __x.event_data as %.*s) }\n", STR_ARG(event), STR_ARG(type), STR_ARG(event), STR_ARG(event));
    }
    buf_put_text(text, "}\nif __s.version == 0 { return null }\nreturn __s\n}\n");
}

static Ast *find_decl(AstList items, AstKind kind, Str name)
{
    for (uint32_t i = 0; i < items.count; i++)
        if (items.items[i]->kind == kind && kind == AST_FN_DECL && str_eq(as_fn_decl(items.items[i])->name.text, name))
            return items.items[i];
        else if (items.items[i]->kind == kind && kind == AST_RECORD_DECL)
            return items.items[i];
    return NULL;
}

static AstList make_fold(Expander *x, Aggregate *a)
{
    Buf text = { 0 };
    Str type = a->decl->name.text;
    buf_printf(&text, "type %.*s { id: string, version: int }\n", STR_ARG(type));
    for (uint32_t i = 0; i < a->decl->sources.count; i++)
        if (a->decl->sources.items[i]->kind == AST_NAME_REF)
            put_when(a, as_name_ref(a->decl->sources.items[i])->name.text, &text);
    put_fold(a, &text);
    AstList items = expand_parse(x, buf_str(&text), a->decl->name.span);
    buf_free(&text);
    Ast *record = find_decl(items, AST_RECORD_DECL, type);
    if (record && a->state)
        expand_append_all(x, &as_record_decl(record)->fields, a->state->fields);
    for (uint32_t i = 0; i < a->decl->members.count; i++) {
        if (a->decl->members.items[i]->kind != AST_WHEN_CLAUSE)
            continue;
        Ast_when_clause *when = as_when_clause(a->decl->members.items[i]);
        Str name = str_of(arena_printf(x->arena, "__%.*s_when_%.*s", STR_ARG(type), STR_ARG(when->event.text)));
        Ast *fn = find_decl(items, AST_FN_DECL, name);
        if (fn && when_of(a, when->event.text) == when && when->body->kind == AST_BLOCK) {
            ast_make_at(fn, when->head.span);
            expand_fill(x, fn, as_block(when->body)->items);
        }
    }
    return items;
}

Ast *expand_replay(Expander *x, const Aggregate *a, Ast *id, Ast *version, Ast *until, Span span)
{
    Buf text = { 0 };
    Str type = a->decl->name.text;
    buf_printf(&text, "return __%.*s_fold(null, null, from __x in event_store where __x.aggregate_type == \"%.*s\" and __x.aggregate_id == 0%s order by __x.version)",
               STR_ARG(type), STR_ARG(type), version ? " and __x.version <= 0" : "");
    Ast *statement = expand_statement(x, buf_str(&text), span);
    buf_free(&text);
    if (statement->kind != AST_RETURN_STMT)
        return statement;
    Ast_call_expr *call = as_call_expr(as_return_stmt(statement)->value);
    Ast_from_expr *from = as_from_expr(as_arg(call->args.items[2])->value);
    Ast_binary_expr *where = as_binary_expr(from->where);
    if (version) {
        as_binary_expr(where->right)->right = version;
        where->right->span = version->span;              /* what is wrong with it is wrong there */
        where = as_binary_expr(where->left);
    }
    as_binary_expr(where->right)->right = id;
    if (until)
        as_arg(call->args.items[0])->value = until;
    return &call->head;
}

/* ---- commands -------------------------------------------------------------------------------------------------- */

/* What the author declared that the text names, and what that names. Names are looked at without their scope: one too many does no harm. */
static void add_helpers(Expander *x, const Aggregate *a, Str text, Buf *source)
{
    for (size_t i = 0; i < text.len;) {
        size_t start = i;
        while (i < text.len && (isalnum((unsigned char)text.ptr[i]) || text.ptr[i] == '_'))
            i++;
        for (FoldHelper *h = i > start ? map_find(&x->helpers, (Str){ text.ptr + start, i - start }) : NULL; h; h = h->next) {
            if (h->used_by == a)
                continue;
            h->used_by = a;
            buf_put_str(source, expand_source(x, h->decl));
        }
        i += i == start;
    }
}

/* What the fold is made of, as a word: a snapshot of an older fold is left alone. */
static void put_fold_word(Expander *x, const Aggregate *a, Buf *text)
{
    if (x->fold_of != a) {
        Buf source = { 0 };
        for (uint32_t i = 0; i < a->decl->members.count; i++)
            if (a->decl->members.items[i]->kind == AST_STATE_CLAUSE || a->decl->members.items[i]->kind == AST_WHEN_CLAUSE)
                buf_put_str(&source, span_text(x->program->sources, a->decl->members.items[i]->span));
        for (size_t done = 0; done < source.len;) {
            Buf found = { 0 };
            size_t end = source.len;
            add_helpers(x, a, (Str){ buf_str(&source).ptr + done, end - done }, &found);
            buf_put_str(&source, buf_str(&found));
            buf_free(&found);
            done = end;
        }
        x->fold_of = a;
        x->fold = hash64(buf_str(&source), 0);
        buf_free(&source);
    }
    buf_printf(text, "%016llx", (unsigned long long)x->fold);
}

static void put_load(Expander *x, const Aggregate *a, const Ast_command_decl *command, Buf *text)
{
    Str type = a->decl->name.text;
    buf_printf(text, "let __snapshots = from __y in event_snapshots where __y.aggregate_type == \"%.*s\" and __y.aggregate_id == __id and __y.fold == \"", STR_ARG(type));
    put_fold_word(x, a, text);
    buf_printf(text, "\" order by __y.version desc limit 1\nvar __start: %.*s? = null\nfor __y in __snapshots { __start = __y.state as %.*s }\nlet __from = __start?.version ?? 0\n",
               STR_ARG(type), STR_ARG(type));
    buf_printf(text, "let __loaded = __%.*s_fold(null, __start, from __x in event_store where __x.aggregate_type == \"%.*s\" and __x.aggregate_id == __id and __x.version > __from order by __x.version)\n",
               STR_ARG(type), STR_ARG(type));
    if (command->creates) {
        buf_printf(text, "if __loaded != null { fail conflict \"%.*s ${__id} is there already\" }\nlet __root: %.*s = { id: __id, version: 0 }\n", STR_ARG(type), STR_ARG(type));
    } else {
        buf_printf(text, "let __root = __loaded else fail not_found \"no %.*s ${__id}\"\n", STR_ARG(type));
        buf_printf(text, "if expected_version != null and expected_version != __root.version { fail conflict \"%.*s ${__id} has version ${__root.version}, not ${expected_version}\" }\n",
                   STR_ARG(type));
    }
}

static void put_command(Expander *x, const Aggregate *a, const Ast_command_decl *command, const Fields *named, bool has_result, Buf *text)
{
    Str name = a->decl->name.text;
    buf_printf(text, "agent %.*s {\ntool %.*s(id: string%s) {\n", STR_ARG(a->agent->name.text), STR_ARG(command->name.text), command->creates ? "" : ", expected_version: int? = null");
    buf_printf(text, "let __id = id\nvar __tries = 1\nwhile __tries <= %d at most %d times {\n", AGGREGATE_TRIES_MAX, AGGREGATE_TRIES_MAX);
    put_load(x, a, command, text);
    buf_put_text(text, "try {\nvar __now = __root\n");
    expand_put_fields(named, text);
    buf_put_text(text, "transaction {\n__body()\n");
    expand_put_invariants(x, a, text);
    buf_printf(text, "if __now.version / %d > __root.version / %d { insert event_snapshots { aggregate_type: \"%.*s\", aggregate_id: __id, fold: \"", AGGREGATE_SNAPSHOT_EVERY,
               AGGREGATE_SNAPSHOT_EVERY, STR_ARG(name));
    put_fold_word(x, a, text);
    buf_put_text(text, "\", version: __now.version, state: __now.to_json() } }\n");
    if (has_result)
        buf_put_text(text, "return __result\n");
    buf_printf(text, "}\n%s}\ncatch conflict as __c { if __c.code != \"VERSION_CONFLICT\" { fail __c } }\n__tries += 1\n}\n", has_result ? "" : "return\n");
    buf_printf(text, "fail conflict \"%.*s ${__id} was changed by others %d times in a row\" with { code: \"AGGREGATE_TRIES_MAX\" }\n}\n}\n", STR_ARG(name), AGGREGATE_TRIES_MAX);
}

AstList expand_sourced(Expander *x, Aggregate *a)
{
    Fields fields = expand_fields_of(x, a);
    for (uint32_t i = 0; a->agent && i < a->decl->members.count; i++) {
        if (a->decl->members.items[i]->kind != AST_COMMAND_DECL)
            continue;
        Ast_command_decl *command = as_command_decl(a->decl->members.items[i]);
        Ast *result = NULL;
        Buf text = { 0 };
        Fields named = expand_fields_named(x, &fields, command);
        AstList body = expand_body(x, a, command, &fields, &result);
        if (result)
            expand_append(x, &body, expand_let(x, result->span, false, "__result", command->result, result));
        put_command(x, a, command, &named, result != NULL, &text);
        expand_add_tool(x, a, command, &fields, buf_str(&text), body);
        buf_free(&text);
    }
    return make_fold(x, a);
}
