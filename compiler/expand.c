/* expand.c - finds the aggregates of a program, has them expanded, and turns every use of one into what it is made of. */
#include "compiler/expand_internal.h"

/* ---- what there is --------------------------------------------------------------------------------------------- */

static void add_helper(Expander *x, Str name, const Ast *decl)
{
    FoldHelper *helper = ARENA_NEW(x->arena, FoldHelper);
    *helper = (FoldHelper){ .next = map_find(&x->helpers, name), .decl = decl };
    map_put(&x->helpers, name, helper);
}

static void collect_declarations(Expander *x)
{
    for (uint32_t m = 0; m < x->program->module_count; m++) {
        AstList items = x->program->modules[m]->root->items;
        for (uint32_t i = 0; i < items.count; i++) {
            Ast *item = items.items[i];
            switch (item->kind) {
            case AST_TABLE_DECL: map_put(&x->tables, as_table_decl(item)->name.text, item); break;
            case AST_AGENT_DECL: map_put(&x->agents, as_agent_decl(item)->name.text, item); break;
            case AST_EVENT_DECL:
                map_put(&x->events, as_event_decl(item)->name.text, item);
                add_helper(x, as_event_decl(item)->name.text, item);
                break;
            case AST_FN_DECL: add_helper(x, as_fn_decl(item)->name.text, item); break;
            case AST_RECORD_DECL: add_helper(x, as_record_decl(item)->name.text, item); break;
            case AST_ENUM_DECL: add_helper(x, as_enum_decl(item)->name.text, item); break;
            case AST_MACHINE_DECL: add_helper(x, as_machine_decl(item)->name.text, item); break;
            default: break;
            }
        }
    }
}

static Aggregate *find_aggregate(const Expander *x, Str name)
{
    for (Aggregate *a = x->program->aggregates; a; a = a->next)
        if (str_eq(a->decl->name.text, name))
            return a;
    return NULL;
}

const Aggregate *aggregate_of_table(const Program *program, Str table)
{
    for (const Aggregate *a = program->aggregates; a; a = a->next) {
        if (a->broken)
            continue;
        if (a->root && str_eq(a->root->name.text, table))
            return a;
        for (uint32_t i = 0; i < a->child_count; i++)
            if (str_eq(a->children[i].table->name.text, table))
                return a;
    }
    return NULL;
}

/* ---- the shape of an aggregate ------------------------------------------------------------------------------------ */

static Diag *misshapen(Expander *x, Aggregate *a, Span span, const char *what)
{
    a->broken = true;
    return diag_aggregate_shape(x->diags, span, a->decl->name.text, what);
}

static Ast_table_decl *named_table(Expander *x, Aggregate *a, Ident name)
{
    Ast *table = map_find(&x->tables, name.text);
    if (table)
        return as_table_decl(table);
    a->broken = true;
    diag_label(x->diags, diag_unknown_table(x->diags, name.span, name.text), "no table of this name is declared or imported");
    return NULL;
}

static bool has_clause(const Ast_table_decl *table, AstKind kind)
{
    for (uint32_t i = 0; i < table->clauses.count; i++)
        if (table->clauses.items[i]->kind == kind)
            return true;
    return false;
}

static bool has_id(const Ast_table_decl *table)
{
    for (uint32_t i = 0; i < table->columns.count; i++)
        if (table->columns.items[i]->kind == AST_COLUMN && str_is(as_column(table->columns.items[i])->name.text, "id"))
            return true;
    return false;
}

/* Some assignments of a command would then change nothing and not say so, and its new children would not be the owner's. */
static bool is_written_by_others(const Ast_table_decl *table)
{
    for (uint32_t i = 0; i < table->clauses.count; i++)
        if (table->clauses.items[i]->kind == AST_VISIBLE_CLAUSE && as_visible_clause(table->clauses.items[i])->roles.count)
            return true;
    return false;
}

static void set_root(Expander *x, Aggregate *a, Ast_root_clause *clause)
{
    if (a->root)
        misshapen(x, a, clause->head.span, "has two roots");
    a->root = named_table(x, a, clause->table);
    if (a->root && !has_id(a->root))
        diag_help(x->diags, misshapen(x, a, clause->table.span, "has a root without a column `id`"), "add `id: id \"ABC\"` to the table");
    else if (a->root && !has_clause(a->root, AST_VERSION_CLAUSE))
        diag_help(x->diags, misshapen(x, a, clause->table.span, "has a root without `version`"),
                  "add `version` to the table: by it a command sees that somebody else was faster");
    else if (a->root && is_written_by_others(a->root))
        diag_help(x->diags, misshapen(x, a, clause->table.span, "has a root that others than its owner may write"),
                  "leave out `write (…)`: others may see an aggregate, its commands are the owner's");
}

/* The one column of the child that holds the root's id. */
static void add_child(Expander *x, Aggregate *a, Ident name)
{
    Ast_table_decl *table = named_table(x, a, name);
    if (!table || !a->root)
        return;
    for (uint32_t i = 0; i < a->child_count; i++)
        if (a->children[i].table == table) {
            misshapen(x, a, name.span, "names a child twice");
            return;
        }
    AggregateChild child = { .table = table };
    unsigned count = 0;
    for (uint32_t i = 0; i < table->columns.count; i++) {
        if (table->columns.items[i]->kind != AST_COLUMN)
            continue;
        Ast_column *column = as_column(table->columns.items[i]);
        if (column->type->kind != AST_ID_TYPE || !str_eq(as_id_type(column->type)->table.text, a->root->name.text))
            continue;
        child.key = column->name.text;
        count++;
    }
    if (count != 1) {
        a->broken = true;
        diag_help(x->diags, diag_aggregate_child(x->diags, name.span, name.text, count, a->root->name.text), "one column says whose child the row is: `%.*s_id: id<%.*s>`",
                  STR_ARG(a->root->name.text), STR_ARG(a->root->name.text));
    } else if (a->child_count == AGGREGATE_CHILDREN_MAX) {
        a->broken = true;
        diag_too_many(x->diags, name.span, "this aggregate", AGGREGATE_CHILDREN_MAX + 1, "children", AGGREGATE_CHILDREN_MAX);
    } else {
        a->children[a->child_count++] = child;
    }
}

static void check_state(Expander *x, Aggregate *a, Ast_state_clause *clause)
{
    if (a->state)
        misshapen(x, a, clause->head.span, "has two states");
    a->state = clause;
    for (uint32_t i = 0; i < clause->fields.count; i++) {
        if (clause->fields.items[i]->kind != AST_FIELD)
            continue;
        Ast_field *field = as_field(clause->fields.items[i]);
        if (str_is(field->name.text, "id") || str_is(field->name.text, "version"))
            misshapen(x, a, field->name.span, "has `id` and `version` in its state already");
        else if (!field->value && field->type->kind != AST_OPTIONAL_TYPE)
            diag_help(x->diags, misshapen(x, a, field->name.span, "has a field of its state without a value to begin with"), "give it a default, or make it optional");
    }
}

static void check_when(Expander *x, Aggregate *a, Ast_when_clause *when)
{
    if (!expand_is_source(a, when->event.text))
        diag_help(x->diags, misshapen(x, a, when->event.span, "is not sourced by this event"), "name it behind `sourced by`");
    for (uint32_t i = 0; i < a->decl->members.count && a->decl->members.items[i] != &when->head; i++)
        if (a->decl->members.items[i]->kind == AST_WHEN_CLAUSE && str_eq(as_when_clause(a->decl->members.items[i])->event.text, when->event.text))
            misshapen(x, a, when->event.span, "says twice what this event does");
}

static void check_command(Expander *x, Aggregate *a, Ast_command_decl *command)
{
    Ast *agent = a->decl->agent && a->decl->agent->kind == AST_NAME_REF ? map_find(&x->agents, as_name_ref(a->decl->agent)->name.text) : NULL;
    if (agent && !as_agent_decl(agent)->location) {
        a->agent = as_agent_decl(agent);
        return;
    }
    const char *what = !a->decl->agent ? "has commands and no agent" : agent ? "belongs to a remote agent" : "belongs to an agent that is not declared";
    diag_help(x->diags, misshapen(x, a, a->decl->agent ? a->decl->agent->span : command->name.span, what), "its commands are tools of an agent that runs here: `aggregate %.*s of AGENT`",
              STR_ARG(a->decl->name.text));
}

static void read_member(Expander *x, Aggregate *a, Ast *member)
{
    bool sourced = aggregate_is_sourced(a);
    switch (member->kind) {
    case AST_STATE_CLAUSE: case AST_WHEN_CLAUSE:
        if (!sourced)
            diag_help(x->diags, misshapen(x, a, member->span, "is not sourced by events"), "`state` and `when` belong to `aggregate %.*s sourced by …`", STR_ARG(a->decl->name.text));
        else if (member->kind == AST_STATE_CLAUSE)
            check_state(x, a, as_state_clause(member));
        else
            check_when(x, a, as_when_clause(member));
        break;
    case AST_CHILDREN_CLAUSE:
        if (sourced)
            diag_help(x->diags, misshapen(x, a, member->span, "has children, but is sourced by events"), "what it consists of is its `state`");
        for (uint32_t i = 0; i < as_children_clause(member)->tables.count; i++)
            if (as_children_clause(member)->tables.items[i]->kind == AST_NAME_REF)
                add_child(x, a, as_name_ref(as_children_clause(member)->tables.items[i])->name);
        break;
    case AST_INVARIANT_CLAUSE:
        if (a->invariant_count == AGGREGATE_INVARIANTS_MAX)
            diag_too_many(x->diags, member->span, "this aggregate", AGGREGATE_INVARIANTS_MAX + 1, "invariants", AGGREGATE_INVARIANTS_MAX);
        else
            a->invariants[a->invariant_count++] = as_invariant_clause(member);
        break;
    case AST_COMMAND_DECL: check_command(x, a, as_command_decl(member)); break;
    default: break;
    }
}

static void check_sources(Expander *x, Aggregate *a)
{
    for (uint32_t i = 0; i < a->decl->sources.count; i++) {
        if (a->decl->sources.items[i]->kind != AST_NAME_REF)
            continue;
        Ident name = as_name_ref(a->decl->sources.items[i])->name;
        for (uint32_t k = 0; k < i; k++)
            if (a->decl->sources.items[k]->kind == AST_NAME_REF && str_eq(as_name_ref(a->decl->sources.items[k])->name.text, name.text)) {
                misshapen(x, a, name.span, "names an event twice");
                break;
            }
        if (map_find(&x->events, name.text))
            continue;
        a->broken = true;
        diag_label(x->diags, diag_unknown_event(x->diags, name.span, name.text), "no event of this name is declared or imported");
    }
}

/* A row belongs to one aggregate, whose version guards it. */
static void check_owned(Expander *x, Aggregate *a)
{
    for (uint32_t i = 0; a->root && !a->broken && i <= a->child_count; i++) {
        Str table = i ? a->children[i - 1].table->name.text : a->root->name.text;
        const Aggregate *owner = aggregate_of_table(x->program, table);
        if (owner)
            diag_note(x->diags, misshapen(x, a, a->decl->name.span, "has a table that belongs to another one"), owner->decl->name.span, "table `%.*s` is part of it", STR_ARG(table));
    }
}

static void read_aggregate(Expander *x, Ast_aggregate_decl *decl)
{
    Aggregate *a = ARENA_NEW(x->arena, Aggregate);
    a->decl = decl;
    if (find_aggregate(x, decl->name.text))
        diag_label(x->diags, diag_duplicate_name(x->diags, decl->name.span, "aggregate", decl->name.text), "a second declaration of this name");
    for (uint32_t i = 0; i < decl->members.count; i++)           /* the root first: children refer to it */
        if (decl->members.items[i]->kind == AST_ROOT_CLAUSE)
            set_root(x, a, as_root_clause(decl->members.items[i]));
    if (aggregate_is_sourced(a) && a->root)
        misshapen(x, a, decl->name.span, "has a root and is sourced by events");
    if (!aggregate_is_sourced(a) && !a->root && !a->broken)
        diag_help(x->diags, misshapen(x, a, decl->name.span, "has no root and no events"), "write `root TABLE` into it, or `sourced by EVENT, …` behind its name");
    check_sources(x, a);
    for (uint32_t i = 0; i < decl->members.count; i++)
        read_member(x, a, decl->members.items[i]);
    check_owned(x, a);
    a->next = x->program->aggregates;
    x->program->aggregates = a;
}

/* ---- uses --------------------------------------------------------------------------------------------------------- */

static const Aggregate *aggregate_named(const Expander *x, const Ast *node)
{
    return node->kind == AST_NAME_EXPR ? find_aggregate(x, ((const Ast_name_expr *)(const void *)node)->name.text) : NULL;
}

static Ast *argument(Expander *x, Ast *value)
{
    Ast_arg *arg = ARENA_NEW(x->arena, Ast_arg);
    *arg = (Ast_arg){ .head = { .kind = AST_ARG, .span = value->span, .made = true }, .name = { .text = STR("") }, .value = value };
    return &arg->head;
}

/* Trip[id].add_flight(f) is travel.add_flight(id, f); Trip.plan(…) is travel.plan(…). */
static void rewrite_call(Expander *x, Ast_call_expr *call)
{
    if (call->callee->kind != AST_FIELD_EXPR)
        return;
    Ast_field_expr *callee = as_field_expr(call->callee);
    Ast *object = callee->object, *id = NULL;
    if (object->kind == AST_INDEX_EXPR) {
        id = as_index_expr(object)->index;
        object = as_index_expr(object)->object;
    }
    const Aggregate *a = aggregate_named(x, object);
    if (!a || !a->agent || callee->optional)
        return;
    callee->object = expand_name(x, object->span, arena_printf(x->arena, "%.*s", STR_ARG(a->agent->name.text)));
    AstList args = { 0 };
    if (id)
        expand_append(x, &args, argument(x, id));
    expand_append_all(x, &args, call->args);
    call->args = args;
}

static bool is_use_of_broken(Expander *x, Ast_call_expr *call)
{
    if (call->callee->kind != AST_FIELD_EXPR)
        return false;
    Ast *object = as_field_expr(call->callee)->object;
    const Aggregate *a = aggregate_named(x, object->kind == AST_INDEX_EXPR ? as_index_expr(object)->object : object);
    return a && a->broken;
}

static void refuse_replay(Expander *x, Ast *node, const char *what)
{
    diag_not_sourced(x->diags, node->span, what, "replay Budget[id]");
}

static Ast *rewrite_replay(Expander *x, Ast_replay_expr *replay)
{
    Ast_index_expr *subject = replay->subject->kind == AST_INDEX_EXPR ? as_index_expr(replay->subject) : NULL;
    const Aggregate *a = subject ? aggregate_named(x, subject->object) : NULL;
    if (a && aggregate_is_sourced(a) && !a->broken)
        return expand_replay(x, a, subject->index, replay->version, replay->until, replay->head.span);
    if (!a || !a->broken)
        refuse_replay(x, replay->subject, "`replay`");
    return expand_given_up(x, replay->head.span);
}

/* Budget[id] of a sourced aggregate is its newest state; Trip[id] is the root's row. */
static Ast *rewrite_index(Expander *x, Ast_index_expr *index)
{
    const Aggregate *a = aggregate_named(x, index->object);
    const Projection *p = index->object->kind == AST_NAME_EXPR ? expand_find_projection(x, as_name_expr(index->object)->name.text) : NULL;
    if (p && !index->head.made)
        return p->aggregate ? expand_view(x, p, index) : expand_given_up(x, index->head.span);
    if (!a)
        return &index->head;
    if (a->broken)
        return expand_given_up(x, index->head.span);
    if (aggregate_is_sourced(a))
        return expand_replay(x, a, index->index, NULL, NULL, index->head.span);
    as_name_expr(index->object)->name.text = a->root->name.text;
    return &index->head;
}

static Ast *rewrite_audit(Expander *x, Ast_audit_stmt *audit)
{
    Buf text = { 0 };
    buf_printf(&text, "insert audit_log { subject: \"\", actor: user.id, action: \"%.*s\", at: now(), run_id: run.id }", STR_ARG(audit->action.text));
    Ast *statement = expand_statement(x, buf_str(&text), audit->head.span);
    buf_free(&text);
    if (statement->kind == AST_EXPR_STMT)
        as_field_value(as_record_expr(as_insert_expr(as_expr_stmt(statement)->value)->value)->fields.items[0])->value = audit->subject;
    return statement;
}

static Ast *rewrite_rebuild(Expander *x, Ast_rebuild_stmt *rebuild)
{
    const Projection *p = expand_find_projection(x, rebuild->projection.text);
    if (p && p->aggregate)
        return expand_rebuild(x, p, rebuild->head.span);
    if (!p)
        diag_label(x->diags, diag_unknown_name(x->diags, rebuild->projection.span, rebuild->projection.text), "no projection of this name is declared or imported");
    return expand_given_up(x, rebuild->head.span);
}

static void refuse_deletion(Expander *x, Ast_delete_expr *delete)
{
    const Aggregate *a = delete->head.made ? NULL : aggregate_of_table(x->program, delete->table.text);
    if (!a || !a->root || !str_eq(a->root->name.text, delete->table.text))
        return;
    Str table = delete->table.text, name = a->decl->name.text;
    Diag *diag = diag_aggregate_boundary(x->diags, delete->head.span, arena_printf(x->arena, "rows of `%.*s`, the root of aggregate `%.*s`, are deleted outside of it",
                                                                                     STR_ARG(table), STR_ARG(name)));
    diag_help(x->diags, diag, "give it a command with the statement `delete from %.*s`: that deletes the children, too", STR_ARG(table));
}

/* A record that somebody else wrote would be folded on as if events had made it. */
static void refuse_save(Expander *x, const Ast_save_stmt *save)
{
    const Projection *p = save->head.made ? NULL : expand_find_projection(x, save->session.text);
    if (p)
        diag_help(x->diags, diag_projection_shape(x->diags, save->session.span, save->session.text, "is written by its events alone"), "`rebuild %.*s` makes it anew from them",
                  STR_ARG(save->session.text));
}

static bool rewrite_uses(Ast **slot, void *arg)
{
    Expander *x = arg;
    switch ((*slot)->kind) {
    case AST_CALL_EXPR:
        if (is_use_of_broken(x, as_call_expr(*slot)))
            *slot = expand_given_up(x, (*slot)->span);
        else
            rewrite_call(x, as_call_expr(*slot));
        break;
    case AST_REPLAY_EXPR: *slot = rewrite_replay(x, as_replay_expr(*slot)); break;
    case AST_INDEX_EXPR: *slot = rewrite_index(x, as_index_expr(*slot)); break;
    case AST_AUDIT_STMT: *slot = rewrite_audit(x, as_audit_stmt(*slot)); break;
    case AST_REBUILD_STMT: *slot = rewrite_rebuild(x, as_rebuild_stmt(*slot)); break;
    case AST_SAVE_STMT: refuse_save(x, as_save_stmt(*slot)); break;
    case AST_DELETE_EXPR: refuse_deletion(x, as_delete_expr(*slot)); break;
    case AST_NAME_TYPE: {
        const Aggregate *a = find_aggregate(x, as_name_type(*slot)->name.text);
        if (a && a->root)
            as_name_type(*slot)->name.text = a->root->name.text;
        break;
    }
    default: break;
    }
    return ast_each_slot(*slot, rewrite_uses, x);
}

/* ---- all of it ------------------------------------------------------------------------------------------------------ */

static void expand_module(Expander *x, Module *module)
{
    AstList items = { 0 };
    for (uint32_t i = 0; i < module->root->items.count; i++) {
        Ast *item = module->root->items.items[i];
        if (item->kind == AST_PROJECTION_DECL) {
            const Projection *p = expand_find_projection(x, as_projection_decl(item)->name.text);
            if (p && p->aggregate && p->decl == as_projection_decl(item))
                expand_append_all(x, &items, expand_projection(x, p));
            continue;
        }
        if (item->kind != AST_AGGREGATE_DECL) {
            expand_append(x, &items, item);
            continue;
        }
        Aggregate *a = find_aggregate(x, as_aggregate_decl(item)->name.text);
        if (!a || a->broken || a->decl != as_aggregate_decl(item))
            continue;
        if (aggregate_is_sourced(a))
            expand_append_all(x, &items, expand_sourced(x, a));
        else
            expand_root(x, a);
    }
    module->root->items = items;
}

static void read_projections(Expander *x)
{
    for (uint32_t m = 0; m < x->program->module_count; m++) {
        AstList items = x->program->modules[m]->root->items;
        for (uint32_t i = 0; i < items.count; i++)
            if (items.items[i]->kind == AST_PROJECTION_DECL)
                expand_read_projection(x, as_projection_decl(items.items[i]));
    }
}

static bool is_needed(const Program *program)
{
    for (uint32_t m = 0; m < program->module_count; m++) {
        AstList items = program->modules[m]->root->items;
        for (uint32_t i = 0; i < items.count; i++)
            if (items.items[i]->kind == AST_AGGREGATE_DECL || items.items[i]->kind == AST_PROJECTION_DECL)
                return true;
    }
    return false;
}

static bool finds_use(Ast *node, void *arg)
{
    if (node->kind == AST_AUDIT_STMT || node->kind == AST_REPLAY_EXPR || node->kind == AST_REBUILD_STMT)
        return false;
    return ast_each_child(node, finds_use, arg);
}

void expand_program(Program *program)
{
    bool needed = is_needed(program);
    for (uint32_t m = 0; m < program->module_count && !needed; m++)
        needed = !finds_use(&program->modules[m]->root->head, NULL);
    if (!needed)
        return;
    Expander x = { .program = program, .arena = program->arena, .diags = program->diags };
    collect_declarations(&x);
    for (uint32_t m = 0; m < program->module_count; m++) {
        AstList items = program->modules[m]->root->items;
        for (uint32_t i = 0; i < items.count; i++)
            if (items.items[i]->kind == AST_AGGREGATE_DECL)
                read_aggregate(&x, as_aggregate_decl(items.items[i]));
    }
    read_projections(&x);
    for (uint32_t m = 0; m < program->module_count; m++)
        expand_module(&x, program->modules[m]);
    for (uint32_t m = 0; m < program->module_count; m++)
        ast_each_slot(&program->modules[m]->root->head, rewrite_uses, &x);
    map_free(&x.tables);
    map_free(&x.agents);
    map_free(&x.events);
    map_free(&x.helpers);
}
