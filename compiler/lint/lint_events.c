/* lint_events.c - who emits and who handles: events without the one or the other, and chains that come back to where they began. */
#include "compiler/expand.h"
#include "compiler/lint/lint.h"

enum { EVENTS_MAX = 1024 };

typedef struct EventRow { Symbol *event; bool emitted, handled; bool leads_to[EVENTS_MAX]; } EventRow;
typedef struct Events { Program *program; Arena *arena; EventRow **rows; uint32_t count; EventRow *handling; uint32_t depth; } Events;

static EventRow *row_of(Events *events, Symbol *event) {
    for (uint32_t i = 0; i < events->count; i++)
        if (events->rows[i]->event == event) return events->rows[i];
    if (!event || event->kind != SYMBOL_EVENT || events->count == EVENTS_MAX) return NULL;
    EventRow *row = ARENA_NEW(events->arena, EventRow);
    row->event = event;
    events->rows[events->count++] = row;
    return row;
}

static uint32_t index_of(const Events *events, const EventRow *row) {
    uint32_t i = 0;
    while (events->rows[i] != row) i++;
    return i;
}

static bool visit(Ast *node, void *arg);

static Ast *body_of(const Symbol *target) {
    if (!target || !target->decl) return NULL;
    if (target->decl->kind == AST_TOOL_DECL) return as_tool_decl(target->decl)->body;
    if (target->decl->kind == AST_FLOW_DECL) return as_flow_decl(target->decl)->body;
    return NULL;
}

/* What a handler calls belongs to what it does. */
static void follow(Events *events, const Ast *call) {
    const CallInfo *info = call->info;
    if (!events->handling || !info || events->depth > 8 || (info->kind != CALL_TOOL && info->kind != CALL_FLOW)) return;
    events->depth++;
    lint_walk(body_of(info->target), visit, events);
    events->depth--;
}

static Symbol *handled_event(const Ast *handler) {
    const FuncInfo *info = handler->info;
    return info && info->param_count && info->params[0]->type ? info->params[0]->type->decl : NULL;
}

/* A flow with `on Event` handles it as a handler does. */
static EventRow *triggering_event(Events *events, Ast *flow) {
    AstList clauses = as_flow_decl(flow)->clauses;
    for (uint32_t i = 0; i < clauses.count; i++) {
        const Ast *clause = clauses.items[i];
        if (clause->kind == AST_TRIGGER_CLAUSE && clause->symbol && clause->symbol->type) return row_of(events, clause->symbol->type->decl);
    }
    return NULL;
}

static bool visit(Ast *node, void *arg) {
    Events *events = arg;
    if (node->kind == AST_EMIT_STMT) {
        EventRow *row = row_of(events, node->symbol);
        if (row) row->emitted = true;
        if (row && events->handling) events->handling->leads_to[index_of(events, row)] = true;
    } else if (node->kind == AST_AWAIT_EXPR) {
        EventRow *row = row_of(events, node->symbol);
        if (row) row->handled = true;
    } else if (node->kind == AST_FLOW_DECL && !events->handling) {
        EventRow *row = triggering_event(events, node);
        if (!row) return true;
        row->handled = true;
        events->handling = row;
        lint_walk(as_flow_decl(node)->body, visit, events);
        events->handling = NULL;
        return false;
    } else if (node->kind == AST_HANDLER_DECL) {
        EventRow *row = row_of(events, handled_event(node));
        if (!row) return true;
        row->handled = true;
        events->handling = row;
        lint_walk(as_handler_decl(node)->body, visit, events);
        events->handling = NULL;
        return false;
    } else if (node->kind == AST_CALL_EXPR) {
        follow(events, node);
    }
    return true;
}

/* A path from `at` back to `target`, as text. */
static bool find_cycle(const Events *events, uint32_t at, uint32_t target, bool *seen, Buf *path) {
    for (uint32_t next = 0; next < events->count; next++) {
        if (!events->rows[at]->leads_to[next] || seen[next]) continue;
        size_t len = path->len;
        buf_printf(path, " -> %.*s", STR_ARG(events->rows[next]->event->name));
        if (next == target) return true;
        seen[next] = true;
        if (find_cycle(events, next, target, seen, path)) return true;
        path->len = len;
    }
    return false;
}

static void report_cycles(Events *events) {
    bool reported[EVENTS_MAX] = { false };
    for (uint32_t i = 0; i < events->count; i++) {
        bool seen[EVENTS_MAX] = { false };
        Buf path = { 0 };
        buf_put_str(&path, events->rows[i]->event->name);
        if (!reported[i] && find_cycle(events, i, i, seen, &path)) {
            Symbol *event = events->rows[i]->event;
            Diag *diag = diag_event_cycle(events->program->diags, as_event_decl(event->decl)->name.span, event->name, buf_cstr(&path));
            diag_help(events->program->diags, diag, "break it with a condition (`on E as e where …`); at run time it is cut after 32 hops");
            for (uint32_t k = 0; k < events->count; k++) reported[k] = reported[k] || seen[k];
        }
        buf_free(&path);
    }
}

/* A module without flows is there for others to use: who handles its events is not known here. */
static bool is_library(const Program *program) {
    AstList items = program->modules[program->main_module]->root->items;
    for (uint32_t i = 0; i < items.count; i++)
        if (items.items[i]->kind == AST_FLOW_DECL) return false;
    return true;
}

/* What an aggregate is sourced by is stored, and folded when it is loaded. */
static void note_sources(Events *events) {
    for (const Aggregate *a = events->program->aggregates; a; a = a->next)
        for (uint32_t i = 0; i < a->decl->sources.count; i++) {
            if (a->decl->sources.items[i]->kind != AST_NAME_REF) continue;
            EventRow *row = row_of(events, map_find(&events->program->globals, as_name_ref(a->decl->sources.items[i])->name.text));
            if (row) row->handled = true;
        }
}

void lint_events(Program *program) {
    Events events = { .program = program, .arena = program->arena, .rows = ARENA_ARRAY(program->arena, EventRow *, EVENTS_MAX) };
    lint_walk_program(program, visit, &events);
    note_sources(&events);
    for (uint32_t i = 0; i < events.count; i++) {
        EventRow *row = events.rows[i];
        if (!row->event->decl || row->event->decl->kind != AST_EVENT_DECL) continue;
        Span span = as_event_decl(row->event->decl)->name.span;
        if (row->handled && !row->emitted && !is_library(program)) diag_event_never_emitted(program->diags, span, row->event->name);
        if (row->emitted && !row->handled && !is_library(program)) diag_event_never_handled(program->diags, span, row->event->name);
    }
    report_cycles(&events);
}
