/* expand_body.c - what an author writes in a command, bound to its aggregate.
 *
 * A query or write of a child is narrowed to the children of this root, and an insert gets its id. Assignments to columns of the root, events that
 * an aggregate is sourced by and the deletion of the root become several statements: a first walk collects these sites, one text says what
 * all of them become, a second walk puts it there.
 */
#include "compiler/expand_internal.h"



typedef struct Body {
    Expander *x;
    Aggregate *a;
    Ast_command_decl *command;
    const Fields *fields;
    Ast *sites[AGGREGATE_SITES_MAX]; uint32_t site_count;
    Ast_block *parts;                            /* a `transaction` for each site holds what it becomes */
    bool creating;                               /* the first statement of a `create` may insert the root */
} Body;

/* ---- fields ------------------------------------------------------------------------------------------------ */

Fields expand_fields_of(Expander *x, const Aggregate *a)
{
    AstList list = a->root ? a->root->columns : a->state ? a->state->fields : (AstList){ 0 };
    Fields fields = { .names = ARENA_ARRAY(x->arena, Str, list.count + 2) };
    for (uint32_t i = 0; i < list.count; i++)
        if (list.items[i]->kind == AST_COLUMN)
            fields.names[fields.count++] = as_column(list.items[i])->name.text;
        else if (list.items[i]->kind == AST_FIELD)
            fields.names[fields.count++] = as_field(list.items[i])->name.text;
    fields.names[fields.count++] = STR("version");
    return fields;
}

bool expand_has_field(const Fields *fields, Str name)
{
    for (uint32_t i = 0; i < fields->count; i++)
        if (str_eq(fields->names[i], name))
            return true;
    return false;
}

bool expand_has_param(AstList params, Str name)
{
    for (uint32_t i = 0; i < params.count; i++)
        if (params.items[i]->kind == AST_PARAM && str_eq(as_param(params.items[i])->name.text, name))
            return true;
    return false;
}

static bool declares(Ast *node, void *arg)
{
    Str name = *(const Str *)arg;
    if (node->kind == AST_LET_STMT && str_eq(as_let_stmt(node)->name.text, name))
        return false;
    return ast_each_child(node, declares, arg);
}

/* A parameter or local of the same name hides the field. */
bool expand_is_visible(const Fields *fields, const Ast_command_decl *command, Str name)
{
    return expand_has_field(fields, name) && !expand_has_param(command->params, name) && declares(command->body, &name);
}

Fields expand_fields_named(Expander *x, const Fields *fields, const Ast_command_decl *command)
{
    Fields named = { .names = ARENA_ARRAY(x->arena, Str, fields->count + 1) };
    for (uint32_t i = 0; i < fields->count; i++)
        if (expand_is_visible(fields, command, fields->names[i]) && expand_mentions(command->body, fields->names[i]))
            named.names[named.count++] = fields->names[i];
    return named;
}

void expand_put_fields(const Fields *named, Buf *text)
{
    for (uint32_t i = 0; i < named->count; i++)
        if (!str_is(named->names[i], "id"))
            buf_printf(text, "var %.*s = __now.%.*s\n", STR_ARG(named->names[i]), STR_ARG(named->names[i]));
}

/* ---- queries of children -------------------------------------------------------------------------------------- */

static const AggregateChild *child_named(const Aggregate *a, Str table)
{
    for (uint32_t i = 0; i < a->child_count; i++)
        if (str_eq(a->children[i].table->name.text, table))
            return &a->children[i];
    return NULL;
}

static const AggregateChild *child_of(const Aggregate *a, const Ast *source)
{
    if (source->kind == AST_FIELD_EXPR)
        source = ((const Ast_field_expr *)(const void *)source)->object;
    return source->kind == AST_NAME_EXPR ? child_named(a, ((const Ast_name_expr *)(const void *)source)->name.text) : NULL;
}

static bool has_column(const Ast_table_decl *table, Str name)
{
    for (uint32_t i = 0; i < table->columns.count; i++)
        if (table->columns.items[i]->kind == AST_COLUMN && str_eq(as_column(table->columns.items[i])->name.text, name))
            return true;
    return str_is(name, "version");
}

/* row.key == __id, or key == __id where columns are bare. */
static void narrow(Expander *x, const AggregateChild *child, Span span, Ident row, Ast **where)
{
    Str key = child->key;
    Ast *left = row.text.len ? expand_field(x, span, arena_printf(x->arena, "%.*s", STR_ARG(row.text)), key)
                             : expand_name(x, span, arena_printf(x->arena, "%.*s", STR_ARG(key)));
    *where = expand_and(x, expand_equal(x, span, left, expand_name(x, span, "__id")), *where);
}

static void refuse_key(Expander *x, const AggregateChild *child, Span span, Str aggregate)
{
    diag_aggregate_boundary(x->diags, span, arena_printf(x->arena, "column `%.*s` of a child is set by aggregate `%.*s`", STR_ARG(child->key), STR_ARG(aggregate)));
}

/* A child never moves to another root, whose rules nobody would check. */
static void keep_key(Expander *x, const AggregateChild *child, const Ast_update_expr *update, Str aggregate)
{
    for (uint32_t i = 0; i < update->sets.count; i++)
        if (update->sets.items[i]->kind == AST_SET_CLAUSE && str_eq(as_set_clause(update->sets.items[i])->column.text, child->key))
            refuse_key(x, child, update->sets.items[i]->span, aggregate);
}

static void set_key(Expander *x, const AggregateChild *child, Ast *record, Str aggregate)
{
    if (record->kind != AST_RECORD_EXPR)
        return;
    Ast_record_expr *literal = as_record_expr(record);
    for (uint32_t i = 0; i < literal->fields.count; i++)
        if (literal->fields.items[i]->kind == AST_FIELD_VALUE && str_eq(as_field_value(literal->fields.items[i])->name.text, child->key)) {
            refuse_key(x, child, literal->fields.items[i]->span, aggregate);
            return;
        }
    Ast_field_value *value = ARENA_NEW(x->arena, Ast_field_value);
    *value = (Ast_field_value){ .head = { .kind = AST_FIELD_VALUE, .span = record->span, .made = true }, .name = { child->key, record->span },
                                .value = expand_name(x, record->span, "__id") };
    expand_append(x, &literal->fields, &value->head);
}

static void refuse_root(Body *b, Ast *node, Ident table, const char *what, const char *help)
{
    if (!b->a->root || !str_eq(table.text, b->a->root->name.text))
        return;
    Diag *diag = diag_aggregate_boundary(b->x->diags, node->span, arena_printf(b->x->arena, "%s of the root `%.*s` in a command", what, STR_ARG(table.text)));
    diag_help(b->x->diags, diag, "%s", help);
}

static void bind_node(Body *b, Ast *node)
{
    const AggregateChild *child;
    switch (node->kind) {
    case AST_INSERT_EXPR: {
        Ast_insert_expr *n = as_insert_expr(node);
        if ((child = child_named(b->a, n->table.text)))
            set_key(b->x, child, n->value, b->a->decl->name.text);
        else if (!b->creating)
            refuse_root(b, node, n->table, "an insert", "a `create` makes the root, as its first statement");
        break;
    }
    case AST_UPDATE_EXPR: {
        Ast_update_expr *n = as_update_expr(node);
        if ((child = child_named(b->a, n->table.text))) {
            narrow(b->x, child, node->span, n->name, &n->where);
            keep_key(b->x, child, n, b->a->decl->name.text);
        }
        refuse_root(b, node, n->table, "an update", "assign its columns: `status = BOOKED`");
        break;
    }
    case AST_DELETE_EXPR: {
        Ast_delete_expr *n = as_delete_expr(node);
        if ((child = child_named(b->a, n->table.text)))
            narrow(b->x, child, node->span, n->name, &n->where);
        refuse_root(b, node, n->table, "a deletion", "write `delete from` the root as a statement, without a condition");
        break;
    }
    case AST_FROM_EXPR: {
        Ast_from_expr *n = as_from_expr(node);
        if ((child = child_of(b->a, n->source)))
            narrow(b->x, child, node->span, n->name, &n->where);
        break;
    }
    case AST_AGGREGATE_EXPR: {
        Ast_aggregate_expr *n = as_aggregate_expr(node);
        if ((child = child_of(b->a, n->source)))
            narrow(b->x, child, node->span, (Ident){ 0 }, &n->where);
        break;
    }
    default: break;
    }
}

/* ---- names in invariants ------------------------------------------------------------------------------------------ */

typedef struct Qualify { Body body; const Ast_table_decl *inside; } Qualify;

static bool qualify(Ast **slot, void *arg)
{
    Qualify *q = arg;
    Ast *node = *slot;
    if (node->kind == AST_NAME_EXPR) {
        Str name = as_name_expr(node)->name.text;
        if (expand_has_field(q->body.fields, name) && !(q->inside && has_column(q->inside, name)))
            *slot = expand_field(q->body.x, node->span, "__now", name);
        return true;
    }
    if (node->kind == AST_FIELD_VALUE && !as_field_value(node)->value && expand_has_field(q->body.fields, as_field_value(node)->name.text)) {
        as_field_value(node)->value = expand_field(q->body.x, node->span, "__now", as_field_value(node)->name.text);
        return true;
    }
    const AggregateChild *child = node->kind == AST_AGGREGATE_EXPR ? child_of(q->body.a, as_aggregate_expr(node)->source) : NULL;
    if (!child) {
        if (!ast_each_slot(node, qualify, q))
            return false;
        bind_node(&q->body, node);
        return true;
    }
    const Ast_table_decl *around = q->inside;
    q->inside = child->table;
    bool go_on = !as_aggregate_expr(node)->where || qualify(&as_aggregate_expr(node)->where, q);
    q->inside = around;
    bind_node(&q->body, node);
    return go_on;
}

void expand_qualify(Expander *x, Aggregate *a, const Fields *fields, Ast **slot)
{
    Qualify q = { .body = { .x = x, .a = a, .fields = fields } };
    qualify(slot, &q);
}

/* ---- invariants ------------------------------------------------------------------------------------------------------ */

void expand_put_invariants(Expander *x, const Aggregate *a, Buf *text)
{
    for (uint32_t i = 0; i < a->invariant_count; i++)
        buf_printf(text, "if __invariant(%u, not (%.*s)) { fail rejected %.*s }\n", i, STR_ARG(expand_source(x, a->invariants[i]->condition)),
                   STR_ARG(expand_source(x, a->invariants[i]->message)));
    if (a->invariant_count)
        buf_put_text(text, "__checked()\n");
}

typedef struct Placing { Expander *x; Aggregate *a; const Fields *fields; } Placing;

static bool place_invariant(Ast **slot, void *arg)
{
    Placing *p = arg;
    Ast *node = *slot;
    if (node->kind == AST_EXPR_STMT && as_expr_stmt(node)->value->kind == AST_CALL_EXPR && expand_is_name(as_call_expr(as_expr_stmt(node)->value)->callee, "__checked")) {
        Ast_checked_stmt *checked = ARENA_NEW(p->x->arena, Ast_checked_stmt);
        *checked = (Ast_checked_stmt){ .head = { .kind = AST_CHECKED_STMT, .span = node->span, .made = true }, .aggregate = p->a->decl->name.text };
        *slot = &checked->head;
        return true;
    }
    Ast *condition = node->kind == AST_IF_STMT ? as_if_stmt(node)->condition : NULL;
    if (!condition || condition->kind != AST_CALL_EXPR || !expand_is_name(as_call_expr(condition)->callee, "__invariant"))
        return ast_each_slot(node, place_invariant, p);
    AstList args = as_call_expr(condition)->args;
    Ast_invariant_clause *clause = p->a->invariants[as_int_expr(as_arg(args.items[0])->value)->value];
    ast_make_at(node, clause->head.span);
    as_if_stmt(node)->condition = as_arg(args.items[1])->value;
    ast_make_at(as_if_stmt(node)->condition, clause->condition->span);
    expand_qualify(p->x, p->a, p->fields, &as_if_stmt(node)->condition);
    expand_qualify(p->x, p->a, p->fields, &as_if_stmt(node)->then_block);
    return true;
}

void expand_place_invariants(Expander *x, Aggregate *a, const Fields *fields, Ast *root)
{
    Placing placing = { x, a, fields };
    place_invariant(&root, &placing);
}

/* ---- sites: statements that become several -------------------------------------------------------------------------- */

static bool assigns_field(const Body *b, Ast *node)
{
    if (node->kind != AST_ASSIGN_STMT)
        return false;
    Ast *target = as_assign_stmt(node)->target;
    while (target->kind == AST_FIELD_EXPR || target->kind == AST_INDEX_EXPR)
        target = target->kind == AST_FIELD_EXPR ? as_field_expr(target)->object : as_index_expr(target)->object;
    return target->kind == AST_NAME_EXPR && expand_is_visible(b->fields, b->command, as_name_expr(target)->name.text);
}

static bool deletes_root(const Body *b, Ast *node)
{
    if (node->kind != AST_EXPR_STMT || as_expr_stmt(node)->value->kind != AST_DELETE_EXPR || !b->a->root)
        return false;
    Ast_delete_expr *n = as_delete_expr(as_expr_stmt(node)->value);
    return !n->where && !n->name.text.len && str_eq(n->table.text, b->a->root->name.text);
}

static bool stores_event(const Body *b, Ast *node)
{
    return node->kind == AST_EMIT_STMT && expand_is_source(b->a, as_emit_stmt(node)->event.text);
}

static bool is_site(const Body *b, Ast *node)
{
    return (assigns_field(b, node) && b->a->root) || deletes_root(b, node) || stores_event(b, node);
}

static bool collect(Ast *node, void *arg)
{
    Body *b = arg;
    if (is_site(b, node)) {
        if (b->site_count == AGGREGATE_SITES_MAX) {
            diag_too_many(b->x->diags, node->span, "this command", AGGREGATE_SITES_MAX + 1, "assignments, events and deletions", AGGREGATE_SITES_MAX);
            return false;
        }
        b->sites[b->site_count++] = node;
    }
    return ast_each_child(node, collect, arg);
}

static void put_visible(const Body *b, Buf *text, Str name)
{
    if (!str_is(name, "id") && expand_is_visible(b->fields, b->command, name) && expand_mentions(b->command->body, name))
        buf_printf(text, "%.*s = __now.%.*s\n", STR_ARG(name), STR_ARG(name));
}

static void put_assignment(const Body *b, Ast_assign_stmt *n, Buf *text)
{
    Str root = b->a->root->name.text;
    if (n->target->kind != AST_NAME_EXPR) {
        diag_help(b->x->diags, diag_aggregate_boundary(b->x->diags, n->target->span, "a part of a column of the root is assigned"), "assign the whole column");
        return;
    }
    Str name = as_name_expr(n->target)->name.text;
    if (str_is(name, "id")) {
        diag_help(b->x->diags, diag_aggregate_boundary(b->x->diags, n->target->span, "the id of the root is assigned"), "it says who the aggregate is: its children refer to it");
        return;
    }
    buf_printf(text, "__now = __now with { %.*s: 0 }\n", STR_ARG(name));
    buf_printf(text, "update __r in %.*s set %.*s = __now.%.*s where __r.id == __id\n", STR_ARG(root), STR_ARG(name), STR_ARG(name));
    put_visible(b, text, name);
}

static void put_deletion(const Body *b, Buf *text)
{
    for (uint32_t i = 0; i < b->a->child_count; i++)
        buf_printf(text, "delete from __c in %.*s where __c.%.*s == __id\n", STR_ARG(b->a->children[i].table->name.text), STR_ARG(b->a->children[i].key));
    buf_printf(text, "delete from __r in %.*s where __r.id == __id\n", STR_ARG(b->a->root->name.text));
}

/* The expected version is taken only once: by whoever inserts it first. */
static void put_event(const Body *b, Ast_emit_stmt *n, Buf *text)
{
    Str type = b->a->decl->name.text, event = n->event.text;
    buf_printf(text, "let __e: %.*s = 0\n", STR_ARG(event));
    buf_printf(text, "try { insert event_store { aggregate_type: \"%.*s\", aggregate_id: __id, event_type: \"%.*s\", event_data: __e.to_json(),"
               " metadata: { user_id: user.id, timestamp: now(), correlation_id: run.correlation_id, causation_id: run.causation_id }, version: __now.version + 1 } }\n"
               "catch conflict as __c { fail conflict __c.message with { code: \"VERSION_CONFLICT\" } }\n", STR_ARG(type), STR_ARG(event));
    buf_printf(text, "__now = __%.*s_when_%.*s(__now with { version: __now.version + 1 }, __e)\n", STR_ARG(type), STR_ARG(event));
    for (uint32_t i = 0; i < b->fields->count; i++)
        put_visible(b, text, b->fields->names[i]);
    buf_printf(text, "emit %.*s { }\n", STR_ARG(event));
}

/* One function holds what all sites become. */
static void make_parts(Body *b)
{
    if (!b->site_count)
        return;
    Buf text = { 0 };
    buf_put_text(&text, "fn __parts() -> int {\n");
    for (uint32_t i = 0; i < b->site_count; i++) {
        buf_put_text(&text, "transaction {\n");
        if (b->sites[i]->kind == AST_ASSIGN_STMT)
            put_assignment(b, as_assign_stmt(b->sites[i]), &text);
        else if (b->sites[i]->kind == AST_EMIT_STMT)
            put_event(b, as_emit_stmt(b->sites[i]), &text);
        else
            put_deletion(b, &text);
        buf_put_text(&text, "}\n");
    }
    buf_put_text(&text, "}\n");
    AstList items = expand_parse(b->x, buf_str(&text), b->command->head.span);
    buf_free(&text);
    b->parts = items.count && items.items[0]->kind == AST_FN_DECL ? as_block(as_fn_decl(items.items[0])->body) : NULL;
}

static AstList part_of(const Body *b, const Ast *site)
{
    for (uint32_t i = 0; i < b->site_count && b->parts; i++)
        if (b->sites[i] == site) {
            Ast *part = b->parts->items.items[i];
            ast_make_at(part, site->span);
            return as_block(as_transaction_stmt(part)->body)->items;
        }
    return (AstList){ 0 };
}

/* ---- the second walk -------------------------------------------------------------------------------------------------- */

static AstList statements(Body *b, AstList items);

static void refuse_return(Body *b, const Ast *node)
{
    Diag *diag = diag_command_return(b->x->diags, node->span, b->command->creates ? "create" : "command", b->command->name.text);
    diag_label(b->x->diags, diag, "the invariants are checked behind the last statement");
    diag_help(b->x->diags, diag, "use `if` and `else`, and return at the end");
}

static bool rewrite(Ast **slot, void *arg)
{
    Body *b = arg;
    if ((*slot)->kind == AST_BLOCK) {
        as_block(*slot)->items = statements(b, as_block(*slot)->items);
        return true;
    }
    if ((*slot)->kind == AST_RETURN_STMT)
        refuse_return(b, *slot);
    bind_node(b, *slot);
    return ast_each_slot(*slot, rewrite, b);
}

static Ast *assigned_value(Expander *x, Ast_assign_stmt *n)
{
    if (n->op == BINARY_NONE)
        return n->value;
    Ast_binary_expr *node = ARENA_NEW(x->arena, Ast_binary_expr);
    *node = (Ast_binary_expr){ .head = { .kind = AST_BINARY_EXPR, .span = n->head.span, .made = true }, .op = n->op,
                               .left = expand_field(x, n->target->span, "__now", as_name_expr(n->target)->name.text), .right = n->value };
    return &node->head;
}

/* A value that is one word stands in the update itself, so that the states of a machine are checked as in every update. */
static void keep_word(Expander *x, const Ast_assign_stmt *assign, Ast *update)
{
    if (assign->op != BINARY_NONE || assign->value->kind != AST_NAME_EXPR)
        return;
    Ast *word = expand_name(x, assign->value->span, arena_printf(x->arena, "%.*s", STR_ARG(as_name_expr(assign->value)->name.text)));
    as_set_clause(as_update_expr(as_expr_stmt(update)->value)->sets.items[0])->value = word;
}

/* Puts the author's value where the text of the part has a hole. */
static AstList part_with_value(Body *b, Ast *site)
{
    AstList part = part_of(b, site);
    if (!part.count)
        return part;
    if (site->kind == AST_ASSIGN_STMT) {
        Ast_with_expr *with = as_with_expr(as_assign_stmt(part.items[0])->value);
        as_field_value(as_record_expr(with->fields)->fields.items[0])->value = assigned_value(b->x, as_assign_stmt(site));
        keep_word(b->x, as_assign_stmt(site), part.items[1]);
    } else if (site->kind == AST_EMIT_STMT) {
        Ast_emit_stmt *emit = as_emit_stmt(site);
        as_let_stmt(part.items[0])->value = emit->value;
        emit->value = expand_name(b->x, site->span, "__e");
        part.items[part.count - 1] = site;
    }
    return part;
}

static void put_statement(Body *b, AstList *out, Ast *item)
{
    if (assigns_field(b, item) && !b->a->root) {
        Diag *diag = diag_state_assigned(b->x->diags, as_assign_stmt(item)->target->span, expand_source(b->x, as_assign_stmt(item)->target));
        diag_help(b->x->diags, diag, "emit an event, and let its `when` change the state");
    }
    if (!deletes_root(b, item)) {
        bind_node(b, item);
        ast_each_slot(item, rewrite, b);
    }
    if (!is_site(b, item)) {
        expand_append(b->x, out, item);
        return;
    }
    AstList part = part_with_value(b, item);
    if (stores_event(b, item)) {                 /* several in one block: each `__e` in a scope of its own */
        Ast_if_stmt *scope = ARENA_NEW(b->x->arena, Ast_if_stmt);
        Ast_bool_expr *yes = ARENA_NEW(b->x->arena, Ast_bool_expr);
        Ast_block *block = ARENA_NEW(b->x->arena, Ast_block);
        *yes = (Ast_bool_expr){ .head = { .kind = AST_BOOL_EXPR, .span = item->span, .made = true }, .value = 1 };
        *block = (Ast_block){ .head = { .kind = AST_BLOCK, .span = item->span, .made = true }, .items = part };
        *scope = (Ast_if_stmt){ .head = { .kind = AST_IF_STMT, .span = item->span, .made = true }, .condition = &yes->head, .then_block = &block->head };
        expand_append(b->x, out, &scope->head);
    } else {
        expand_append_all(b->x, out, part);
    }
}

static Str written_table(const Ast *node)
{
    switch (node->kind) {
    case AST_INSERT_EXPR: return as_insert_expr((Ast *)node)->table.text;
    case AST_UPDATE_EXPR: return as_update_expr((Ast *)node)->table.text;
    case AST_DELETE_EXPR: return as_delete_expr((Ast *)node)->table.text;
    default: return (Str){ 0 };
    }
}

/* Does nothing there change the root or its children? */
static bool leaves_rows(Ast *node, void *arg)
{
    const Body *b = arg;
    Str table = written_table(node);
    bool writes = assigns_field(b, node);
    for (uint32_t i = 0; table.len && i < b->a->child_count; i++)
        writes |= str_eq(b->a->children[i].table->name.text, table);
    return !writes && !(table.len && str_eq(b->a->root->name.text, table)) && ast_each_child(node, leaves_rows, arg);
}

/* Rows that are gone are not changed, and new children would be nobody's. Of the statements of one block. */
static void refuse_behind_deletion(Body *b, AstList items)
{
    const Ast *deletion = NULL;
    for (uint32_t i = 0; i < items.count; i++) {
        Ast *item = items.items[i];
        if (deletion && !leaves_rows(item, b)) {
            Diag *diag = diag_aggregate_boundary(b->x->diags, item->span, "the aggregate is changed after it was deleted");
            diag_note(b->x->diags, diag, deletion->span, "its root and children are gone from here on");
            diag_help(b->x->diags, diag, "put the deletion last, or leave the change out");
        } else if (deletes_root(b, item))
            deletion = item;
    }
}

static AstList statements(Body *b, AstList items)
{
    AstList out = { 0 };
    refuse_behind_deletion(b, items);
    for (uint32_t i = 0; i < items.count; i++) {
        if (items.items[i]->kind == AST_RETURN_STMT)
            refuse_return(b, items.items[i]);
        put_statement(b, &out, items.items[i]);
    }
    return out;
}

AstList expand_body(Expander *x, Aggregate *a, Ast_command_decl *command, const Fields *fields, Ast **result)
{
    Body *b = ARENA_NEW(x->arena, Body);
    *b = (Body){ .x = x, .a = a, .command = command, .fields = fields };
    AstList items = command->body->kind == AST_BLOCK ? as_block(command->body)->items : (AstList){ 0 }, out = { 0 };
    refuse_behind_deletion(b, items);
    collect(command->body, b);
    make_parts(b);
    for (uint32_t i = 0; i < items.count; i++) {
        Ast *item = items.items[i];
        b->creating = command->creates && a->root && i == 0;
        if (item->kind == AST_RETURN_STMT && i + 1 == items.count) {
            *result = as_return_stmt(item)->value;
            if (*result)
                rewrite(result, b);
        } else {
            if (item->kind == AST_RETURN_STMT)
                refuse_return(b, item);
            put_statement(b, &out, item);
        }
    }
    return out;
}

void expand_add_tool(Expander *x, Aggregate *a, Ast_command_decl *command, const Fields *fields, Str text, AstList body)
{
    AstList items = expand_parse(x, text, command->head.span);
    if (!items.count || items.items[0]->kind != AST_AGENT_DECL || as_agent_decl(items.items[0])->members.count != 1 ||
        as_agent_decl(items.items[0])->members.items[0]->kind != AST_TOOL_DECL)
        return;                                          /* that has been said */
    Ast_tool_decl *tool = as_tool_decl(as_agent_decl(items.items[0])->members.items[0]);
    expand_place_invariants(x, a, fields, tool->body);
    expand_fill(x, tool->body, body);
    tool->head.made = false;
    tool->head.doc = command->head.doc;
    tool->name = command->name;
    tool->result = command->result;
    tool->clauses = command->clauses;
    tool->command = 1;
    AstList params = { 0 };
    bool has_id = tool->params.count > 0 && !(a->root && command->creates);
    if (has_id)
        expand_append(x, &params, tool->params.items[0]);
    expand_append_all(x, &params, command->params);
    if (tool->params.count > 1)
        expand_append(x, &params, tool->params.items[1]);
    tool->params = params;
    expand_append(x, &a->agent->members, &tool->head);
}
