/* resolve.c - a Symbol for every declaration, and the types of all that is declared; bodies are left to check.
 *
 * Two passes over all modules: first the names, so that order and circular use do not matter, then what stands behind them. Built-in
 * names cannot be declared again. The members of enums are found by name through Program.enum_members.
 */
#include "compiler/check_internal.h"

#include <stdlib.h>

static const char *const reserved[] = {
    "bool", "int", "decimal", "float", "string", "date", "timestamp", "duration", "bytes", "json", "error", "list", "map", "id",
    "env", "user", "run", "llm", "now", "uuid", "random", "range", "json_parse", "count", "sum", "min", "max", "avg", "exists",
};

void *grow(Checker *c, void *items, uint32_t count, uint32_t *cap, size_t item_bytes)
{
    if (count < *cap)
        return items;
    uint32_t more = *cap ? *cap * 2 : 16;
    void *grown = arena_alloc_array(c->arena, more, item_bytes);
    if (count)
        memcpy(grown, items, count * item_bytes);
    *cap = more;
    return grown;
}

Symbol *symbol_new(Checker *c, SymbolKind kind, Ident name, Ast *decl)
{
    Symbol *symbol = ARENA_NEW(c->arena, Symbol);
    symbol->kind = kind;
    symbol->name = name.text;
    symbol->decl = decl;
    symbol->image_index = NO_INDEX;
    return symbol;
}

/* ---- did you mean --------------------------------------------------------------------------------- */

typedef struct Candidates { Str *names; size_t count, cap; } Candidates;

static void candidates_add(Candidates *list, Str name)
{
    if (list->count == list->cap) {
        list->cap = list->cap ? list->cap * 2 : 64;
        list->names = mem_realloc(list->names, list->cap * sizeof *list->names);
    }
    list->names[list->count++] = name;
}

static void candidates_suggest(Checker *c, Diag *diag, Str wrong, Candidates *list)
{
    diag_did_you_mean(c->diags, diag, wrong, list->names, list->count);
    free(list->names);
}

/* What there is, when it is little and nothing is near: the label of the message. */
static void candidates_show(Checker *c, Diag *diag, const Candidates *list)
{
    enum { SHOWN_MAX = 8 };
    if (diag->label || list->count == 0 || list->count > SHOWN_MAX)
        return;
    Buf text = { 0 };
    for (size_t i = 0; i < list->count; i++)
        buf_printf(&text, "%s`%.*s`", i == 0 ? "" : i + 1 == list->count ? " and " : ", ", STR_ARG(list->names[i]));
    diag_label(c->diags, diag, "there %s %s", list->count == 1 ? "is" : "are", buf_cstr(&text));
    buf_free(&text);
}

void suggest_globals(Checker *c, Diag *diag, Str wrong, SymbolKind kind)
{
    Candidates list = { 0 };
    MAP_EACH(&c->program->globals, entry) {
        const Symbol *symbol = entry->value;
        if (symbol && symbol->kind == kind)
            candidates_add(&list, entry->key);
    }
    candidates_suggest(c, diag, wrong, &list);
}

void suggest_members(Checker *c, Diag *diag, Str wrong, const Map *members)
{
    Candidates list = { 0 };
    MAP_EACH(members, entry)
        candidates_add(&list, entry->key);
    candidates_show(c, diag, &list);
    candidates_suggest(c, diag, wrong, &list);
}

void suggest_fields(Checker *c, Diag *diag, Str wrong, const Type *record)
{
    Candidates list = { 0 };
    for (uint32_t i = 0; i < record->field_count; i++)
        candidates_add(&list, record->fields[i].name);
    candidates_show(c, diag, &list);
    candidates_suggest(c, diag, wrong, &list);
}

void suggest_names(Checker *c, Diag *diag, Str wrong)
{
    Candidates list = { 0 };
    for (uint32_t i = 0; i < c->scope_count; i++)
        candidates_add(&list, c->scope[i]->symbol->name);
    MAP_EACH(&c->program->globals, entry)
        candidates_add(&list, entry->key);
    MAP_EACH(&c->program->enum_members, entry)
        candidates_add(&list, entry->key);
    candidates_suggest(c, diag, wrong, &list);
}

static void suggest_types(Checker *c, Diag *diag, Str wrong)
{
    Candidates list = { 0 };
    for (size_t i = 0; i < 11; i++)
        candidates_add(&list, str_of(reserved[i]));
    MAP_EACH(&c->program->globals, entry) {
        const Symbol *symbol = entry->value;
        if (symbol && symbol->type && (symbol->kind == SYMBOL_RECORD || symbol->kind == SYMBOL_ENUM || symbol->kind == SYMBOL_MACHINE || symbol->kind == SYMBOL_EVENT))
            candidates_add(&list, entry->key);
    }
    candidates_suggest(c, diag, wrong, &list);
}

/* ---- first pass: names ------------------------------------------------------------------------------ */

Ident decl_name(Ast *decl)
{
    switch (decl->kind) {
    case AST_AGENT_DECL: return as_agent_decl(decl)->name;
    case AST_TOOL_DECL: return as_tool_decl(decl)->name;
    case AST_EVENT_DECL: return as_event_decl(decl)->name;
    case AST_SIGNAL_DECL: return as_signal_decl(decl)->name;
    case AST_RECORD_DECL: return as_record_decl(decl)->name;
    case AST_ENUM_DECL: return as_enum_decl(decl)->name;
    case AST_MACHINE_DECL: return as_machine_decl(decl)->name;
    case AST_TABLE_DECL: return as_table_decl(decl)->name;
    case AST_POLICY_DECL: return as_policy_decl(decl)->name;
    case AST_FN_DECL: return as_fn_decl(decl)->name;
    case AST_FLOW_DECL: return as_flow_decl(decl)->name;
    case AST_FIXTURE_DECL: return as_fixture_decl(decl)->name;
    case AST_SESSION_DECL: return as_session_decl(decl)->name;
    case AST_CONTEXT_DECL: return as_context_decl(decl)->name;
    case AST_CONTEXT_FIELD: return as_context_field(decl)->name;
    case AST_COLUMN: return as_column(decl)->name;
    case AST_PARAM: return as_param(decl)->name;
    case AST_FIELD: return as_field(decl)->name;
    case AST_LET_STMT: return as_let_stmt(decl)->name;
    case AST_FOR_STMT: return as_for_stmt(decl)->name;
    case AST_STEP_STMT: return as_step_stmt(decl)->name;
    case AST_BRANCH: return as_branch(decl)->name;
    case AST_NAME_REF: return as_name_ref(decl)->name;
    case AST_ENUM_MEMBER: return as_enum_member(decl)->name;
    default: return (Ident){ .span = decl->span };
    }
}

void check_duplicate(Checker *c, const char *kind, Ident name, Symbol *first)
{
    Diag *diag = diag_duplicate_name(c->diags, name.span, kind, name.text);
    diag_label(c->diags, diag, "a second declaration of this name");
    if (first->decl)
        diag_note(c->diags, diag, decl_name(first->decl).span, "the first is %s", symbol_kind_text(first->kind));
}

static bool is_reserved(Str name)
{
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++)
        if (str_is(name, reserved[i]))
            return true;
    return false;
}

static void append_symbol(Checker *c, Symbol *symbol)
{
    Program *program = c->program;
    GROW(c, program->symbols, program->symbol_count, c->symbol_cap);
    program->symbols[program->symbol_count++] = symbol;
}

static Symbol *declare_global(Checker *c, SymbolKind kind, const char *word, Ast *decl)
{
    Ident name = decl_name(decl);
    Symbol *symbol = symbol_new(c, kind, name, decl);
    decl->symbol = symbol;
    append_symbol(c, symbol);
    if (!name.text.len)
        return symbol;
    if (is_reserved(name.text)) {
        diag_label(c->diags, diag_reserved_name(c->diags, name.span, name.text), "cannot be declared again");
        return symbol;
    }
    Symbol *first = map_find(&c->program->globals, name.text);
    if (first)
        check_duplicate(c, word, name, first);
    else
        map_put(&c->program->globals, name.text, symbol);
    return symbol;
}

static Symbol *declare_handler(Checker *c, Ast *decl, Symbol *agent)
{
    Symbol *symbol = symbol_new(c, SYMBOL_HANDLER, as_handler_decl(decl)->event, decl);
    symbol->owner = agent;
    decl->symbol = symbol;
    append_symbol(c, symbol);
    return symbol;
}

static void declare_agent_members(Checker *c, Symbol *agent, Ast_agent_decl *decl)
{
    for (uint32_t i = 0; i < decl->members.count; i++) {
        Ast *member = decl->members.items[i];
        if (member->kind == AST_HANDLER_DECL) {
            declare_handler(c, member, agent);
        } else if (member->kind == AST_TOOL_DECL) {
            Ident name = as_tool_decl(member)->name;
            Symbol *tool = symbol_new(c, SYMBOL_TOOL, name, member);
            tool->owner = agent;
            member->symbol = tool;
            append_symbol(c, tool);
            Symbol *first = map_find(&agent->members, name.text);
            if (first)
                check_duplicate(c, "tool", name, first);
            else
                map_put(&agent->members, name.text, tool);
        }
    }
}

/* Adds a member to its enum and to the index of all members. */
static void declare_member(Checker *c, Symbol *owner, Ident name, Ast *decl)
{
    Symbol *member = symbol_new(c, SYMBOL_MEMBER, name, decl);
    member->owner = owner;
    member->type = owner->type;
    member->ordinal = owner->type->member_count;
    map_put(&owner->members, name.text, member);
    member->info = map_put(&c->program->enum_members, name.text, member);
    owner->type->members[owner->type->member_count++] = name.text;
}

static Type *enum_type(Checker *c, Symbol *symbol, uint32_t members_max)
{
    Type *type = type_new(c->program, TYPE_ENUM);
    type->decl = symbol;
    type->name = symbol->name;
    type->members = ARENA_ARRAY(c->arena, Str, members_max + 1);
    symbol->type = type;
    return type;
}

static void declare_enum(Checker *c, Symbol *symbol, Ast_enum_decl *decl)
{
    enum_type(c, symbol, decl->members.count);
    for (uint32_t i = 0; i < decl->members.count; i++) {
        if (decl->members.items[i]->kind != AST_ENUM_MEMBER)
            continue;
        Ast_enum_member *member = as_enum_member(decl->members.items[i]);
        Symbol *first = map_find(&symbol->members, member->name.text);
        if (first)
            check_duplicate(c, "member", member->name, first);
        else
            declare_member(c, symbol, member->name, &member->head);
        if (member->pattern)
            check_regex(c, member->pattern);
    }
    if (symbol->type->member_count > ENUM_MEMBERS_MAX)
        diag_too_many(c->diags, decl->name.span, text_of(c, symbol->type), symbol->type->member_count, "members", ENUM_MEMBERS_MAX);
}

static void declare_state(Checker *c, Symbol *machine, Ident name, Ast *node)
{
    if (!map_find(&machine->members, name.text))
        declare_member(c, machine, name, node);
}

/* The states of a machine are those it names, in order of their first place. */
static void declare_machine(Checker *c, Symbol *symbol, Ast_machine_decl *decl)
{
    uint32_t places = decl->finals.count;
    for (uint32_t i = 0; i < decl->transitions.count; i++)
        places += 1 + as_transition(decl->transitions.items[i])->targets.count;
    enum_type(c, symbol, places);
    for (uint32_t i = 0; i < decl->transitions.count; i++) {
        Ast_transition *transition = as_transition(decl->transitions.items[i]);
        declare_state(c, symbol, transition->from, &transition->head);
        for (uint32_t k = 0; k < transition->targets.count; k++)
            declare_state(c, symbol, as_name_ref(transition->targets.items[k])->name, transition->targets.items[k]);
    }
    for (uint32_t i = 0; i < decl->finals.count; i++)
        declare_state(c, symbol, as_name_ref(decl->finals.items[i])->name, decl->finals.items[i]);
    if (symbol->type->member_count > MACHINE_STATES_MAX)
        diag_too_many(c->diags, decl->name.span, text_of(c, symbol->type), symbol->type->member_count, "states", MACHINE_STATES_MAX);
}

static Type *declared_record(Checker *c, Symbol *symbol)
{
    Type *type = type_new(c->program, TYPE_RECORD);
    type->name = symbol->name;
    type->decl = symbol;
    return symbol->type = type;
}

static void declare(Checker *c, Ast *decl)
{
    Symbol *symbol;
    switch (decl->kind) {
    case AST_AGENT_DECL:
        symbol = declare_global(c, SYMBOL_AGENT, "agent", decl);
        declare_agent_members(c, symbol, as_agent_decl(decl));
        break;
    case AST_EVENT_DECL: declared_record(c, declare_global(c, SYMBOL_EVENT, "event", decl)); break;
    case AST_SIGNAL_DECL: declared_record(c, declare_global(c, SYMBOL_SIGNAL, "signal", decl)); break;
    case AST_RECORD_DECL: declared_record(c, declare_global(c, SYMBOL_RECORD, "type", decl)); break;
    case AST_TABLE_DECL: declared_record(c, declare_global(c, SYMBOL_TABLE, "table", decl)); break;
    case AST_ENUM_DECL: declare_enum(c, declare_global(c, SYMBOL_ENUM, "enum", decl), as_enum_decl(decl)); break;
    case AST_MACHINE_DECL: declare_machine(c, declare_global(c, SYMBOL_MACHINE, "machine", decl), as_machine_decl(decl)); break;
    case AST_POLICY_DECL: declare_global(c, SYMBOL_POLICY, "policy", decl); break;
    case AST_FN_DECL: declare_global(c, SYMBOL_FN, "function", decl); break;
    case AST_FLOW_DECL: declare_global(c, SYMBOL_FLOW, "flow", decl); break;
    case AST_FIXTURE_DECL: declare_global(c, SYMBOL_FIXTURE, "fixture", decl); break;
    case AST_SESSION_DECL: declared_record(c, declare_global(c, SYMBOL_SESSION, "session", decl)); break;
    case AST_CONTEXT_DECL: declared_record(c, declare_global(c, SYMBOL_CONTEXT, "context", decl)); break;
    case AST_HANDLER_DECL: declare_handler(c, decl, NULL); break;
    case AST_TEST_DECL:
        decl->symbol = symbol_new(c, SYMBOL_TEST, (Ident){ .text = as_test_decl(decl)->title }, decl);
        append_symbol(c, decl->symbol);
        break;
    default:
        break;
    }
}

/* ---- second pass: what stands behind the names ------------------------------------------------------- */

Symbol *find_global(Checker *c, SymbolKind kind, Str name)
{
    Symbol *symbol = map_find(&c->program->globals, name);
    return symbol && symbol->kind == kind ? symbol : NULL;
}

static void check_participants(Checker *c, Ast_participants_decl *decl)
{
    static const char *const parts[] = { "client", "gateway", "scopes", "orchestrator", "llm", "repository", "database", "cache", "session", "context", "bus", "audit", "retry", "user" };
    enum { PARTS = sizeof parts / sizeof parts[0] };
    for (uint32_t i = 0; i < decl->entries.count; i++) {
        if (decl->entries.items[i]->kind != AST_PARTICIPANT)
            continue;
        Ident part = as_participant(decl->entries.items[i])->part;
        Str names[PARTS];
        bool known = false;
        for (int k = 0; k < PARTS; k++) {
            names[k] = str_of(parts[k]);
            known |= str_eq(names[k], part.text);
        }
        if (!known)
            diag_did_you_mean(c->diags, diag_unknown_part(c->diags, part.span, part.text), part.text, names, PARTS);
    }
}

static void resolve_declaration(Checker *c, Ast *decl)
{
    Symbol *symbol = decl->symbol;
    switch (decl->kind) {
    case AST_PARTICIPANTS_DECL: check_participants(c, as_participants_decl(decl)); break;
    case AST_EVENT_DECL: resolve_fields(c, symbol, as_event_decl(decl)->fields); break;
    case AST_SIGNAL_DECL: resolve_fields(c, symbol, as_signal_decl(decl)->fields); break;
    case AST_RECORD_DECL: resolve_fields(c, symbol, as_record_decl(decl)->fields); break;
    case AST_TABLE_DECL: resolve_table(c, symbol); break;
    case AST_SESSION_DECL: resolve_session(c, symbol); break;
    case AST_CONTEXT_DECL: resolve_context(c, symbol); break;
    case AST_MACHINE_DECL: resolve_machine(c, symbol); break;
    case AST_POLICY_DECL: resolve_policy(c, symbol); break;
    case AST_SCOPE_DECL: resolve_scope(c, decl); break;
    case AST_ROLE_DECL: resolve_role(c, decl); break;
    default: break;
    }
}

/* Depth-first over declared records: a record inside of itself is reported once, at the field that closes the circle, and poisoned. */
static void check_recursion(Checker *c, Type *type, Symbol *from);

static void check_record_recursion(Checker *c, Type *record)
{
    Symbol *symbol = record->decl;
    if (symbol->ordinal == 2)
        return;
    if (c->scope_depth >= TYPE_DEPTH_MAX) {
        if (symbol->ordinal == 0)
            diag_type_too_deep(c->diags, symbol->decl->span, TYPE_DEPTH_MAX);
        record->field_count = 0;
        symbol->ordinal = 2;
        return;
    }
    c->scope_depth++;
    symbol->ordinal = 1;                                    /* open */
    for (uint32_t i = 0; i < record->field_count; i++) {
        TypeField *field = &record->fields[i];
        Type *inner = field->type;
        while (inner->element)
            inner = inner->element;
        if (inner->tag == TYPE_RECORD && inner->decl && inner->decl->ordinal == 1 && inner->decl->type == inner) {
            Diag *diag = diag_recursive_type(c->diags, field->decl ? field->decl->span : symbol->decl->span, inner->decl->name);
            diag_label(c->diags, diag, "a value of this type would never end");
            diag_help(c->diags, diag, "hold the id of the other one, or json");
            field->type = poison(c);
        } else {
            check_recursion(c, inner, symbol);
        }
    }
    c->scope_depth--;
    symbol->ordinal = 2;
    type_measure(record);
}

static void check_recursion(Checker *c, Type *type, Symbol *from)
{
    while (type->element)
        type = type->element;
    if (type->tag != TYPE_RECORD)
        return;
    if (type->decl && type->decl->type == type)
        check_record_recursion(c, type);
    else
        for (uint32_t i = 0; i < type->field_count; i++)
            check_recursion(c, type->fields[i].type, from);
}

/* Text that could not be parsed and modules that are missing leave names unknown: what follows from that is not said. */
bool is_complete(const Program *program)
{
    for (uint32_t i = 0; i < program->diags->count; i++) {
        const char *code = program->diags->items[i]->code;
        if (strncmp(code, "E01", 3) == 0 || strncmp(code, "E02", 3) == 0 || strcmp(code, "E0301") == 0 || strcmp(code, "E0302") == 0)
            return false;
    }
    return true;
}

static void each_declaration(Checker *c, void (*visit)(Checker *c, Ast *decl))
{
    for (uint32_t m = 0; m < c->program->module_count; m++) {
        AstList items = c->program->modules[m]->root->items;
        for (uint32_t i = 0; i < items.count; i++)
            visit(c, items.items[i]);
    }
}

bool resolve_program(Program *program)
{
    if (!is_complete(program))
        return false;
    expand_program(program);
    Checker c = { .program = program, .arena = program->arena, .diags = program->diags, .basic = program->basic };
    each_declaration(&c, declare);
    each_declaration(&c, resolve_declaration);
    for (uint32_t i = 0; i < program->symbol_count; i++) {
        Symbol *symbol = program->symbols[i];
        if (symbol->type && symbol->type->tag == TYPE_RECORD)
            check_record_recursion(&c, symbol->type);
    }
    for (uint32_t i = 0; i < program->symbol_count; i++) {
        Symbol *symbol = program->symbols[i];
        if (symbol->kind == SYMBOL_FN || symbol->kind == SYMBOL_FLOW || symbol->kind == SYMBOL_TOOL || symbol->kind == SYMBOL_HANDLER ||
            symbol->kind == SYMBOL_TEST || symbol->kind == SYMBOL_FIXTURE)
            resolve_func(&c, symbol);
    }
    for (uint32_t i = 0; i < program->symbol_count; i++) {  /* clauses name other tools: when all have their parameters */
        if (program->symbols[i]->kind == SYMBOL_TOOL)
            resolve_tool_clauses(&c, program->symbols[i]);
        else if (program->symbols[i]->kind == SYMBOL_FLOW)
            resolve_flow_clauses(&c, program->symbols[i]);
    }
    return program->diags->error_count == 0;
}

/* ---- types ---------------------------------------------------------------------------------------------- */

static Type *basic_type(Checker *c, Str name)
{
    static const struct { const char *name; TypeTag tag; } names[] = {
        { "string", TYPE_STRING }, { "int", TYPE_INT }, { "decimal", TYPE_DECIMAL }, { "bool", TYPE_BOOL }, { "timestamp", TYPE_TIMESTAMP },
        { "date", TYPE_DATE }, { "duration", TYPE_DURATION }, { "json", TYPE_JSON }, { "float", TYPE_FLOAT }, { "bytes", TYPE_BYTES }, { "error", TYPE_ERROR },
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (str_is(name, names[i].name))
            return c->basic[names[i].tag];
    return NULL;
}

static Type *named_type(Checker *c, Ast_name_type *node)
{
    Str name = node->name.text;
    Type *basic = name.len && name.ptr[0] >= 'a' ? basic_type(c, name) : NULL;
    if (basic)
        return basic;
    Symbol *symbol = map_find(&c->program->globals, name);
    if (!symbol) {
        Diag *diag = diag_unknown_type(c->diags, node->name.span, name);
        diag_label(c->diags, diag, "no type of this name is declared or imported");
        suggest_types(c, diag, name);
        return poison(c);
    }
    symbol->is_used = true;
    node->head.symbol = symbol;
    switch (symbol->kind) {
    case SYMBOL_RECORD: case SYMBOL_EVENT: case SYMBOL_SIGNAL: case SYMBOL_ENUM: case SYMBOL_MACHINE: case SYMBOL_TABLE:
    case SYMBOL_SESSION: case SYMBOL_CONTEXT:
        return symbol->type;
    default: {
        Diag *diag = diag_not_a_type(c->diags, node->name.span, name, symbol_kind_text(symbol->kind));
        if (symbol->decl)
            diag_note(c->diags, diag, decl_name(symbol->decl).span, "declared here");
        return poison(c);
    }
    }
}

static Type *id_type(Checker *c, Ast_id_type *node)
{
    if (!node->table.text.len)
        return c->basic[TYPE_STRING];                       /* `id "APT"` is that of the table around it: see resolve_table */
    Symbol *table = require_table(c, node->table);
    return table ? type_id(c->program, table) : poison(c);
}

static Type *label_type(Checker *c, Ast_label_type *node)
{
    Type *inner = resolve_type(c, node->inner);
    if (str_is(node->label.text, "trusted")) {                 /* of the place, not of the value: see is_trusted_param() */
        if (!node->head.info)
            diag_misplaced(c->diags, node->label.span, "`trusted`", "the type of a parameter of a tool");
        return inner;
    }
    return type_labeled(c->program, inner, str_is(node->label.text, "secret") ? LABEL_SECRET : LABEL_PII);
}

static Type *record_type(Checker *c, Ast_record_type *node)
{
    for (uint32_t i = 0; i < node->fields.count; i++)
        if (node->fields.items[i]->kind == AST_FIELD && as_field(node->fields.items[i])->value)
            diag_misplaced(c->diags, as_field(node->fields.items[i])->value->span, "a default value of a field", "a declared type");
    Symbol anonymous = { .decl = &node->head, .type = type_new(c->program, TYPE_RECORD) };
    resolve_fields(c, &anonymous, node->fields);
    anonymous.type->decl = NULL;
    type_measure(anonymous.type);
    return anonymous.type;
}

Type *resolve_type(Checker *c, Ast *node)
{
    Type *type;
    if (node->made && node->type)                           /* of a tree made by hand, whose maker has the type and no name for it */
        return node->type;
    switch (node->kind) {
    case AST_NAME_TYPE: type = named_type(c, as_name_type(node)); break;
    case AST_OPTIONAL_TYPE: {
        Type *inner = resolve_type(c, as_optional_type(node)->inner);
        type = type_labeled(c->program, type_optional(c->program, inner), inner->labels);
        break;
    }
    case AST_LIST_TYPE: type = type_list(c->program, resolve_type(c, as_list_type(node)->element)); break;
    case AST_MAP_TYPE: type = type_map(c->program, resolve_type(c, as_map_type(node)->element)); break;
    case AST_RECORD_TYPE: type = record_type(c, as_record_type(node)); break;
    case AST_ID_TYPE: type = id_type(c, as_id_type(node)); break;
    case AST_LABEL_TYPE: type = label_type(c, as_label_type(node)); break;
    default: type = poison(c); break;
    }
    if (type->depth > TYPE_DEPTH_MAX) {
        diag_type_too_deep(c->diags, node->span, TYPE_DEPTH_MAX);
        type = poison(c);
    }
    return node->type = type;
}

void resolve_fields(Checker *c, Symbol *record, AstList fields)
{
    Type *type = record->type;
    type->fields = ARENA_ARRAY(c->arena, TypeField, fields.count + 1);
    for (uint32_t i = 0; i < fields.count; i++) {
        if (fields.items[i]->kind != AST_FIELD)
            continue;
        Ast_field *field = as_field(fields.items[i]);
        if (type_field(type, field->name.text, NULL)) {
            Diag *diag = diag_duplicate_name(c->diags, field->name.span, "field", field->name.text);
            diag_label(c->diags, diag, "a second field of this name");
            continue;
        }
        type->fields[type->field_count++] = (TypeField){
            .name = field->name.text, .type = resolve_type(c, field->type), .decl = &field->head, .has_default = field->value != NULL
        };
        if (field->pattern)
            check_regex(c, field->pattern);
    }
    if (type->field_count > RECORD_FIELDS_MAX)
        diag_too_many(c->diags, record->decl->span, record->name.len ? text_of(c, type) : "this record", type->field_count, "fields", RECORD_FIELDS_MAX);
}
