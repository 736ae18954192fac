/* graph.c - walks a flow's body in the order of its text; control structures become alt, loop and par frames. */
#include "compiler/graph.h"

#include "base/mermaid.h"

typedef struct Graph {
    const Program *program;
    Buf *out;
    Buf head;                            /* participants, in the order of their first message */
    Str titles[64]; uint32_t title_count;
    Str self;                            /* whose code is walked now */
    int depth, indent;
} Graph;

static void walk(Graph *g, Ast *node);

/* ---- names ------------------------------------------------------------------------------------------- */

static Str part_title(const Graph *g, const char *part, const char *otherwise) {
    for (uint32_t m = 0; m < g->program->module_count; m++) {
        AstList items = g->program->modules[m]->root->items;
        for (uint32_t i = 0; i < items.count; i++) {
            if (items.items[i]->kind != AST_PARTICIPANTS_DECL) continue;
            AstList entries = as_participants_decl(items.items[i])->entries;
            for (uint32_t k = 0; k < entries.count; k++)
                if (entries.items[k]->kind == AST_PARTICIPANT && str_is(as_participant(entries.items[k])->part.text, part)) return as_participant(entries.items[k])->title;
        }
    }
    return str_of(otherwise);
}

static Str agent_title(const Graph *g, const Symbol *agent) {
    if (!agent || !agent->decl || agent->decl->kind != AST_AGENT_DECL) return part_title(g, "orchestrator", "Orchestrator");
    const Ast_agent_decl *decl = as_agent_decl(agent->decl);
    return decl->title.len ? decl->title : decl->name.text;
}

static void need(Graph *g, Str title) {
    for (uint32_t i = 0; i < g->title_count; i++)
        if (str_eq(g->titles[i], title)) return;
    if (g->title_count == sizeof g->titles / sizeof *g->titles) return;
    g->titles[g->title_count++] = title;
    mermaid_put_participant(&g->head, title);
}

/* ---- lines -------------------------------------------------------------------------------------------- */

static void indent(Graph *g) {
    for (int i = 0; i < g->indent; i++) buf_put_text(g->out, "    ");
}

static void arrow(Graph *g, Str from, const char *line, Str to, Str text) {
    need(g, from);
    need(g, to);
    indent(g);
    mermaid_put_alias(g->out, from);
    buf_put_text(g->out, line);
    mermaid_put_alias(g->out, to);
    buf_put_text(g->out, ": ");
    mermaid_put_text(g->out, text);
    buf_put_char(g->out, '\n');
}

static Str source(const Graph *g, const Ast *node) { return span_text(g->program->sources, node->span); }

/* One line of the source, at most 80 bytes. */
static Str brief(const Graph *g, const Ast *node) {
    Str text = source(g, node);
    const char *newline = memchr(text.ptr, '\n', text.len);
    if (newline) text.len = (size_t)(newline - text.ptr);
    if (text.len > 80) {
        text.len = 80;
        while (text.len && ((unsigned char)text.ptr[text.len] & 0xC0) == 0x80) text.len--;
    }
    return text;
}

static void open_frame(Graph *g, const char *word, Str text) {
    indent(g);
    buf_printf(g->out, "%s ", word);
    mermaid_put_text(g->out, text);
    buf_put_char(g->out, '\n');
    g->indent++;
}

static void next_frame(Graph *g, const char *word, Str text) {
    g->indent--;
    open_frame(g, word, text);
}

static void close_frame(Graph *g) {
    g->indent--;
    indent(g);
    buf_put_text(g->out, "end\n");
}

/* ---- nodes -------------------------------------------------------------------------------------------- */

static bool walk_child(Ast *child, void *arg) {
    walk(arg, child);
    return true;
}

static void walk_children(Graph *g, Ast *node) { ast_each_child(node, walk_child, g); }

static void walk_callee(Graph *g, const Symbol *target, Str title) {
    if (!target->decl || g->depth == GRAPH_CALL_DEPTH_MAX) return;
    Ast *body = target->decl->kind == AST_TOOL_DECL ? as_tool_decl(target->decl)->body : target->decl->kind == AST_FLOW_DECL ? as_flow_decl(target->decl)->body : NULL;
    if (!body) return;
    Str caller = g->self, repository = part_title(g, "repository", "");
    bool saves = repository.len && target->decl->kind == AST_TOOL_DECL && as_tool_decl(target->decl)->command;
    Buf text = { 0 };
    buf_printf(&text, "save: %.*s", STR_ARG(target->name));
    if (saves) arrow(g, title, "->>", repository, buf_str(&text));
    buf_free(&text);
    g->self = saves ? repository : title;
    g->depth++;
    walk(g, body);
    g->depth--;
    if (saves) arrow(g, repository, "-->>", title, STR("saved"));
    g->self = caller;
}

static void walk_call(Graph *g, Ast *node) {
    walk_children(g, node);
    const CallInfo *info = node->info;
    if (!info) return;
    Buf text = { 0 };
    if (info->kind == CALL_TOOL || info->kind == CALL_REMOTE) {
        Str title = agent_title(g, info->target->owner);
        buf_printf(&text, "%.*s", STR_ARG(info->target->name));
        arrow(g, g->self, "->>", title, buf_str(&text));
        walk_callee(g, info->target, title);
        if (!str_eq(g->self, title)) {
            buf_clear(&text);
            if (info->target->type && !type_is(info->target->type, TYPE_VOID)) type_print(info->target->type, &text);
            else buf_put_text(&text, "done");
            arrow(g, title, "-->>", g->self, buf_str(&text));
        }
    } else if (info->kind == CALL_FLOW) {
        arrow(g, g->self, "->>", g->self, info->target->name);
        walk_callee(g, info->target, g->self);
    } else if (info->kind == CALL_LLM) {
        arrow(g, g->self, "->>", part_title(g, "llm", "").len ? part_title(g, "llm", "") : g->self, brief(g, node));
    }
    buf_free(&text);
}

static void walk_ask(Graph *g, Ast *node) {
    Str user = part_title(g, "user", "User");
    arrow(g, g->self, "->>", user, brief(g, as_ask_expr(node)->question));
    arrow(g, user, "->>", g->self, STR("answer"));
}

/* What it will do is not known before it is there: a frame with what it may do. */
static void walk_plan(Graph *g, Ast *node) {
    Ast_plan_expr *n = as_plan_expr(node);
    Str user = part_title(g, "user", "User");
    walk(g, n->plan);
    if (n->request) walk(g, n->request);
    open_frame(g, "opt", STR("the plan may call, in its order"));
    for (uint32_t i = 0; i < n->allow.count; i++) {
        Ast *item = n->allow.items[i];
        const Symbol *symbol = item->symbol;
        Str tool = as_plan_tool(item)->tool.text;
        if (symbol) arrow(g, g->self, "->>", agent_title(g, symbol->kind == SYMBOL_TOOL ? symbol->owner : symbol), str_is(tool, "*") ? STR("any of its tools") : tool);
    }
    if (n->ask.text.len) {
        arrow(g, g->self, "->>", user, STR("approval of a call, or of a plan over its budget"));
        arrow(g, user, "->>", g->self, STR("answer"));
    }
    close_frame(g);
}

static void walk_if(Graph *g, Ast *node) {
    Ast_if_stmt *n = as_if_stmt(node);
    walk(g, n->condition);
    open_frame(g, "alt", brief(g, n->condition));
    walk(g, n->then_block);
    if (n->else_block) {
        next_frame(g, "else", STR("otherwise"));
        walk(g, n->else_block);
    }
    close_frame(g);
}

static void walk_match(Graph *g, Ast *node) {
    Ast_match_stmt *n = as_match_stmt(node);
    walk(g, n->subject);
    for (uint32_t i = 0; i < n->arms.count; i++) {
        Ast_match_arm *arm = as_match_arm(n->arms.items[i]);
        Str text = arm->patterns.count ? brief(g, arm->patterns.items[0]) : STR("_");
        if (i == 0) open_frame(g, "alt", text);
        else next_frame(g, "else", text);
        walk(g, arm->body);
    }
    if (n->arms.count) close_frame(g);
}

static void walk_try(Graph *g, Ast *node) {
    Ast_try_stmt *n = as_try_stmt(node);
    walk(g, n->body);
    for (uint32_t i = 0; i < n->catches.count; i++) {
        open_frame(g, "opt", brief(g, n->catches.items[i]));
        walk_children(g, n->catches.items[i]);
        close_frame(g);
    }
    if (n->finally_block) walk(g, n->finally_block);
}

static void walk_parallel(Graph *g, Ast *node) {
    Ast_parallel_stmt *n = as_parallel_stmt(node);
    for (uint32_t i = 0; i < n->branches.count; i++) {
        Ast_branch *branch = as_branch(n->branches.items[i]);
        if (i == 0) open_frame(g, "par", branch->name.text);
        else next_frame(g, "and", branch->name.text);
        walk(g, branch->value);
    }
    if (n->branches.count) close_frame(g);
}

static void walk_loop(Graph *g, Ast *node, const char *word, Ast *head, Ast *body) {
    walk(g, head);
    open_frame(g, word, brief(g, head));
    walk(g, body);
    close_frame(g);
}

static void walk_saga(Graph *g, Ast *node) {
    AstList items = as_block(as_saga_stmt(node)->body)->items;
    walk(g, as_saga_stmt(node)->body);
    bool any = false;
    for (uint32_t i = items.count; i-- > 0;) {
        if (items.items[i]->kind != AST_STEP_STMT || !as_step_stmt(items.items[i])->compensate) continue;
        if (!any) open_frame(g, "opt", STR("a step failed: undo what was done, last first"));
        any = true;
        walk(g, as_step_stmt(items.items[i])->compensate);
    }
    if (any) close_frame(g);
}

/* ---- sessions, contexts, the cache ---- */

/* The part that has them, or the cache, or whoever asks. */
static Str state_part(const Graph *g, const char *part) {
    Str title = part_title(g, part, "");
    if (!title.len) title = part_title(g, "cache", "");
    return title.len ? title : g->self;
}

static void read_state(Graph *g, const char *part, Str text, Str gives) {
    Str store = state_part(g, part);
    arrow(g, g->self, "->>", store, text);
    if (!str_eq(store, g->self)) arrow(g, store, "-->>", g->self, gives);
}

static void walk_coordinate(Graph *g, Ast *node) {
    Ast_coordinate_stmt *n = as_coordinate_stmt(node);
    Str context = state_part(g, "context");
    Buf text = { 0 };
    buf_printf(&text, "open %.*s", STR_ARG(n->context.text));
    arrow(g, g->self, "->>", context, buf_str(&text));
    walk(g, n->body);
    buf_clear(&text);
    buf_printf(&text, "clean up %.*s", STR_ARG(n->context.text));
    arrow(g, g->self, "->>", context, buf_str(&text));
    buf_free(&text);
}

/* Cache-aside: the database only when the cache has nothing. */
static void walk_cached(Graph *g, Ast *node) {
    Ast_cached_expr *n = as_cached_expr(node);
    Str repository = part_title(g, "repository", ""), cache = part_title(g, "cache", ""), database = part_title(g, "database", ""), caller = g->self;
    walk_children(g, n->value);
    if (repository.len) arrow(g, caller, "->>", repository, brief(g, n->value)), g->self = repository;
    if (!cache.len) cache = g->self;
    arrow(g, g->self, "->>", cache, STR("GET"));
    open_frame(g, "alt", STR("hit"));
    arrow(g, cache, "-->>", g->self, STR("kept result"));
    next_frame(g, "else", STR("miss"));
    arrow(g, cache, "-->>", g->self, STR("null"));
    arrow(g, g->self, "->>", database.len ? database : g->self, brief(g, n->value));
    if (database.len) arrow(g, database, "-->>", g->self, STR("rows"));
    arrow(g, g->self, "->>", cache, brief(g, node));
    close_frame(g);
    if (repository.len) arrow(g, repository, "-->>", caller, STR("result"));
    g->self = caller;
}

/* False: not one of these. */
static bool walk_state(Graph *g, Ast *node) {
    switch (node->kind) {
    case AST_SAVE_STMT: case AST_FORGET_STMT:
        walk_children(g, node);
        arrow(g, g->self, "->>", state_part(g, "session"), brief(g, node));
        return true;
    case AST_INDEX_EXPR:
        if (!node->info || ((const IndexInfo *)node->info)->kind != INDEX_SESSION) return false;
        walk(g, as_index_expr(node)->index);
        read_state(g, "session", brief(g, node), STR("its record, or null"));
        return true;
    case AST_NAME_EXPR:
        if (!node->symbol || node->symbol->kind != SYMBOL_CONTEXT) return false;
        read_state(g, "context", brief(g, node), STR("what is there"));
        return true;
    case AST_ASSIGN_STMT: {
        const Ast *target = as_assign_stmt(node)->target;
        const FieldInfo *info = target->kind == AST_FIELD_EXPR ? target->info : NULL;
        if (!info || info->kind != FIELD_CONTEXT) return false;
        walk(g, as_assign_stmt(node)->value);
        arrow(g, g->self, "->>", state_part(g, "context"), brief(g, node));
        return true;
    }
    case AST_COORDINATE_STMT: walk_coordinate(g, node); return true;
    case AST_CACHED_EXPR: walk_cached(g, node); return true;
    default: return false;
    }
}

/* ---- what the compiler made of an aggregate ---- */

static Str written_table(const Ast *node) {
    const Symbol *table = node->symbol;
    return table ? table->name : STR("");
}

static void arrow_to_database(Graph *g, const char *verb, Str table) {
    Buf text = { 0 };
    Str database = part_title(g, "database", "");
    buf_printf(&text, "%s %.*s", verb, STR_ARG(table));
    arrow(g, g->self, "->>", database.len ? database : g->self, buf_str(&text));
    buf_free(&text);
}

/* Attempts and guards are the same for every command: only what they lead to is drawn. */
static bool walk_made(Graph *g, Ast *node) {
    if (!node->made) return false;
    switch (node->kind) {
    case AST_WHILE_STMT: walk(g, as_while_stmt(node)->body); return true;
    case AST_FOR_STMT: walk(g, as_for_stmt(node)->body); return true;
    case AST_TRY_STMT: walk(g, as_try_stmt(node)->body); return true;
    case AST_IF_STMT: walk(g, as_if_stmt(node)->then_block); return true;
    case AST_MATCH_STMT: walk_children(g, node); return true;
    case AST_INSERT_EXPR: walk_children(g, node); arrow_to_database(g, "insert", written_table(node)); return true;
    case AST_UPDATE_EXPR: walk_children(g, node); arrow_to_database(g, "update", written_table(node)); return true;
    case AST_DELETE_EXPR: walk_children(g, node); arrow_to_database(g, "delete from", written_table(node)); return true;
    case AST_CHECKED_STMT: {
        Buf text = { 0 };
        buf_printf(&text, "Check invariants of %.*s", STR_ARG(as_checked_stmt(node)->aggregate));
        arrow(g, g->self, "->>", g->self, buf_str(&text));
        buf_free(&text);
        return true;
    }
    default: return false;
    }
}

static void walk(Graph *g, Ast *node) {
    if (!node || walk_made(g, node) || walk_state(g, node)) return;
    switch (node->kind) {
    case AST_CALL_EXPR: walk_call(g, node); break;
    case AST_ASK_EXPR: walk_ask(g, node); break;
    case AST_PLAN_EXPR: walk_plan(g, node); break;
    case AST_IF_STMT: walk_if(g, node); break;
    case AST_MATCH_STMT: walk_match(g, node); break;
    case AST_TRY_STMT: walk_try(g, node); break;
    case AST_PARALLEL_STMT: walk_parallel(g, node); break;
    case AST_PARALLEL_FOR: walk_loop(g, node, "par", as_parallel_for(node)->source, as_parallel_for(node)->body); break;
    case AST_FOR_STMT: walk_loop(g, node, "loop", as_for_stmt(node)->source, as_for_stmt(node)->body); break;
    case AST_WHILE_STMT: walk_loop(g, node, "loop", as_while_stmt(node)->condition, as_while_stmt(node)->body); break;
    case AST_SAGA_STMT: walk_saga(g, node); break;
    case AST_STEP_STMT: walk(g, as_step_stmt(node)->value); break;
    case AST_EMIT_STMT: {
        walk_children(g, node);
        Str bus = part_title(g, "bus", "");
        arrow(g, g->self, "->>", bus.len ? bus : g->self, as_emit_stmt(node)->event.text);
        break;
    }
    case AST_INSERT_EXPR: case AST_UPDATE_EXPR: case AST_DELETE_EXPR: {
        walk_children(g, node);
        Str database = part_title(g, "database", "");
        arrow(g, g->self, "->>", database.len ? database : g->self, brief(g, node));
        break;
    }
    case AST_SLEEP_STMT: case AST_WAIT_STMT: arrow(g, g->self, "->>", g->self, brief(g, node)); break;
    case AST_AWAIT_EXPR: {
        Str bus = part_title(g, "bus", "");
        arrow(g, bus.len ? bus : g->self, "->>", g->self, as_await_expr(node)->event.text);
        break;
    }
    default: walk_children(g, node); break;
    }
}

/* ---- diagrams ------------------------------------------------------------------------------------------ */

/* The first of its routes, or its webhook; NULL: it is not started by a request. */
static const Ast *request_of(const Ast_flow_decl *flow) {
    for (uint32_t i = 0; i < flow->clauses.count; i++)
        if (flow->clauses.items[i]->kind == AST_ROUTE_CLAUSE || flow->clauses.items[i]->kind == AST_WEBHOOK_CLAUSE) return flow->clauses.items[i];
    return NULL;
}

/* A request comes in through the gateway, where the program names one: as a trace of the run shows it. */
static void graph_request(Graph *g, const Ast_flow_decl *flow, const Ast *request, Str client) {
    bool hook = request->kind == AST_WEBHOOK_CLAUSE;
    Ident method = hook ? ((const Ast_webhook_clause *)request)->method : ((const Ast_route_clause *)request)->method;
    Ident path = hook ? ((const Ast_webhook_clause *)request)->path : ((const Ast_route_clause *)request)->path;
    bool open = !hook && ((const Ast_route_clause *)request)->flags & ROUTE_CLAUSE_PUBLIC, stream = !hook && ((const Ast_route_clause *)request)->flags & ROUTE_CLAUSE_STREAM;
    Str named = part_title(g, "gateway", ""), gateway = named.len ? named : g->self;
    Buf text = { 0 };
    buf_printf(&text, "%.*s %.*s", STR_ARG(method.text), STR_ARG(path.text));
    arrow(g, client, "->>", gateway, buf_str(&text));
    buf_free(&text);
    if (!open) arrow(g, gateway, "->>", gateway, hook ? STR("Verify signature") : STR("Validate JWT"));
    if (named.len) arrow(g, gateway, "->>", g->self, flow->name.text);
    walk(g, flow->body);
    if (named.len && !hook) arrow(g, g->self, "-->>", gateway, STR("result"));
    arrow(g, gateway, "-->>", client, hook ? STR("HTTP 200 OK") : stream ? STR("SSE: complete") : STR("HTTP 200 + JSON"));
}

static void graph_flow(const Program *program, Ast_flow_decl *flow, Buf *out) {
    Buf body = { 0 };
    Graph g = { .program = program, .out = &body, .indent = 1 };
    g.self = part_title(&g, "orchestrator", "Orchestrator");
    Str user = part_title(&g, "user", "User"), client = part_title(&g, "client", "");
    const Ast *request = request_of(flow);
    if (request) graph_request(&g, flow, request, client.len ? client : user);
    else {
        arrow(&g, user, "->>", g.self, flow->name.text);
        walk(&g, flow->body);
        arrow(&g, g.self, "-->>", user, STR("result"));
    }
    buf_printf(out, "%%%% flow %.*s\nsequenceDiagram\n", STR_ARG(flow->name.text));
    buf_put_str(out, buf_str(&g.head));
    buf_put_str(out, buf_str(&body));
    buf_free(&g.head);
    buf_free(&body);
}

static void graph_machine(Ast_machine_decl *machine, Buf *out) {
    buf_printf(out, "%%%% machine %.*s\nstateDiagram-v2\n", STR_ARG(machine->name.text));
    for (uint32_t i = 0; i < machine->transitions.count; i++) {
        Ast_transition *t = as_transition(machine->transitions.items[i]);
        if (i == 0) buf_printf(out, "    [*] --> %.*s\n", STR_ARG(t->from.text));
        for (uint32_t k = 0; k < t->targets.count; k++) buf_printf(out, "    %.*s --> %.*s\n", STR_ARG(t->from.text), STR_ARG(as_name_ref(t->targets.items[k])->name.text));
    }
    for (uint32_t i = 0; i < machine->finals.count; i++) buf_printf(out, "    %.*s --> [*]\n", STR_ARG(as_name_ref(machine->finals.items[i])->name.text));
}

typedef struct SagaFind { Ast_saga_stmt *found[64]; uint32_t count; } SagaFind;

static bool find_saga(Ast *node, void *arg) {
    SagaFind *find = arg;
    if (node->kind == AST_SAGA_STMT && find->count < 64) find->found[find->count++] = as_saga_stmt(node);
    return ast_each_child(node, find_saga, arg);
}

static void put_step(const Ast *step, uint32_t number, Buf *out) {
    const Ast_step_stmt *s = (const Ast_step_stmt *)step;
    if (s->name.text.len) buf_put_str(out, s->name.text);
    else buf_printf(out, "step_%u", number);
}

/* As the documented saga (pattern 4): a step leads to the next, or, when it fails, into the chain of compensations that begins where it stands. */
static void graph_saga(Str flow, Ast_saga_stmt *saga, uint32_t number, Buf *out) {
    Ast *steps[64];
    uint32_t count = 0;
    AstList items = as_block(saga->body)->items;
    for (uint32_t i = 0; i < items.count && count < 64; i++)
        if (items.items[i]->kind == AST_STEP_STMT) steps[count++] = items.items[i];
    if (!count) return;
    buf_printf(out, "%%%% saga %u of flow %.*s\nstateDiagram-v2\n    [*] --> InitiateSaga\n    InitiateSaga --> ", number, STR_ARG(flow));
    put_step(steps[0], 1, out);
    buf_put_text(out, ": Start\n");
    for (uint32_t i = 0; i < count; i++) {
        buf_put_text(out, "    ");
        put_step(steps[i], i + 1, out);
        buf_put_text(out, " --> ");
        if (i + 1 < count) put_step(steps[i + 1], i + 2, out);
        else buf_put_text(out, "Complete");
        buf_put_text(out, ": Success\n    ");
        put_step(steps[i], i + 1, out);
        buf_put_text(out, " --> Compensate_");
        put_step(steps[i], i + 1, out);
        buf_put_text(out, ": Failure\n");
    }
    for (uint32_t i = count; i-- > 0;) {
        buf_put_text(out, "    Compensate_");
        put_step(steps[i], i + 1, out);
        buf_put_text(out, " --> ");
        if (i == 0) buf_put_text(out, "Failed");
        else buf_put_text(out, "Compensate_"), put_step(steps[i - 1], i, out);
        buf_put_char(out, '\n');
    }
    buf_put_text(out, "    Complete --> [*]\n    Failed --> [*]\n");
}

bool graph_program(const Program *program, Str name, Buf *out) {
    AstList items = program->modules[program->main_module]->root->items;
    bool any = false;
    for (uint32_t i = 0; i < items.count; i++) {
        Ast *item = items.items[i];
        Str own = item->kind == AST_FLOW_DECL ? as_flow_decl(item)->name.text : item->kind == AST_MACHINE_DECL ? as_machine_decl(item)->name.text : (Str){ 0 };
        if (!own.len || (name.len && !str_eq(own, name))) continue;
        if (any) buf_put_char(out, '\n');
        any = true;
        if (item->kind == AST_MACHINE_DECL) {
            graph_machine(as_machine_decl(item), out);
            continue;
        }
        graph_flow(program, as_flow_decl(item), out);
        SagaFind sagas = { 0 };
        ast_each_child(item, find_saga, &sagas);
        for (uint32_t s = 0; s < sagas.count; s++) {
            buf_put_char(out, '\n');
            graph_saga(own, sagas.found[s], s + 1, out);
        }
    }
    return any;
}
