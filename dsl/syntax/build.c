/* build.c - what the grammar's actions call: heads, lists under construction, leaves, and the few nodes that need a thought. */
#include "dsl/syntax/parse_internal.h"

#include "dsl/grammar/flow.tab.h"
#include "dsl/syntax/literal.h"

Span place_span(const Parser *parser, Place place)
{
    const Token *items = parser->tokens.items;
    uint16_t file = parser->tokens.source->index;
    if (place.last + 1 == place.first) {                        /* empty: just behind the token before */
        uint32_t at = place.first ? items[place.first - 1].end : 0;
        return (Span){ at, at, file };
    }
    return (Span){ items[place.first].start, items[place.last].end, file };
}

static const Token *token_at(const Parser *parser, Place place)
{
    return &parser->tokens.items[place.first];
}

static bool documented(AstKind kind)
{
    switch (kind) {
    case AST_USE_DECL: case AST_AGENT_DECL: case AST_TOOL_DECL: case AST_RESOURCE_DECL: case AST_HANDLER_DECL: case AST_EVENT_DECL: case AST_SIGNAL_DECL:
    case AST_RECORD_DECL: case AST_FIELD: case AST_ENUM_DECL: case AST_ENUM_MEMBER: case AST_MACHINE_DECL: case AST_TABLE_DECL: case AST_COLUMN:
    case AST_POLICY_DECL: case AST_FN_DECL: case AST_FLOW_DECL: case AST_PARTICIPANTS_DECL: case AST_FIXTURE_DECL: case AST_TEST_DECL: case AST_SESSION_DECL:
    case AST_CONTEXT_DECL: case AST_CONTEXT_FIELD:
    case AST_AGGREGATE_DECL: case AST_COMMAND_DECL: case AST_PROJECTION_DECL: case AST_SCOPE_DECL: case AST_ROLE_DECL:
        return true;
    default:
        return false;
    }
}

/* The /// lines before a token, without slashes and the space behind them. */
static Str doc_text(Parser *parser, const Token *token)
{
    const Tokens *tokens = &parser->tokens;
    uint32_t index = (uint32_t)(token - tokens->items);
    Buf text = { 0 };
    for (uint32_t at = token->doc - 1; at < tokens->comment_count && tokens->comments[at].comment.span.start < token->start; at++) {
        Str line = tokens->comments[at].comment.text;
        if (tokens->comments[at].token != index)
            continue;
        size_t skip = line.len > 3 && line.ptr[3] == ' ' ? 4 : 3;
        if (text.len || at > token->doc - 1)
            buf_put_char(&text, '\n');
        buf_put(&text, line.ptr + skip, line.len - skip);
    }
    Str copy = arena_str(parser->arena, buf_str(&text));
    buf_free(&text);
    return copy;
}

Ast *ast_new(Parser *parser, Place place, AstKind kind, size_t size_bytes)
{
    Ast *node = arena_alloc(parser->arena, size_bytes);
    node->kind = kind;
    node->span = place_span(parser, place);
    const Token *first = token_at(parser, place);
    if (first->flags & TOKEN_DOC_USED && place.last + 1 != place.first && documented(kind))
        node->doc = doc_text(parser, first);
    return node;
}

void ast_widen(Parser *parser, Ast *node, Place place)
{
    node->span = place_span(parser, place);
}

Ast *ast_error_at(Parser *parser, Span span)
{
    Ast_error *node = ARENA_NEW(parser->arena, Ast_error);
    node->head.kind = AST_ERROR;
    node->head.span = span;
    return &node->head;
}

Ident ident(const Parser *parser, Place place)
{
    return (Ident){ token_text(&parser->tokens, token_at(parser, place)), place_span(parser, place) };
}

Ident ident_quoted(const Parser *parser, Place place)
{
    return (Ident){ token_at(parser, place)->text, place_span(parser, place) };
}

/* ---- lists ------------------------------------------------------------------------------------------------- */

static void scratch_push(Parser *parser, Ast *item)
{
    if (parser->scratch_count == parser->scratch_cap) {
        parser->scratch_cap = parser->scratch_cap ? parser->scratch_cap * 2 : 256;
        parser->scratch = mem_realloc(parser->scratch, parser->scratch_cap * sizeof *parser->scratch);
    }
    parser->scratch[parser->scratch_count++] = item;
}

uint32_t list_start(Parser *parser, Ast *first)
{
    scratch_push(parser, first);
    return parser->scratch_count - 1;
}

uint32_t list_add(Parser *parser, uint32_t start, Ast *item)
{
    scratch_push(parser, item);
    return start;
}

uint32_t ast_list_append(Parser *parser, uint32_t start, AstList items)
{
    for (uint32_t i = 0; i < items.count; i++)
        scratch_push(parser, items.items[i]);
    return start;
}

AstList list_take(Parser *parser, uint32_t start)
{
    AstList list = { .count = parser->scratch_count - start };
    list.items = ARENA_ARRAY(parser->arena, Ast *, list.count);
    if (list.count)
        memcpy(list.items, parser->scratch + start, list.count * sizeof *list.items);
    parser->scratch_count = start;
    return list;
}

void list_drop(Parser *parser, uint32_t start)
{
    if (start < parser->scratch_count)
        parser->scratch_count = start;
}

AstList list_of_kind(Parser *parser, AstList list, AstKind kind, bool wanted)
{
    uint32_t start = parser->scratch_count;
    for (uint32_t i = 0; i < list.count; i++)
        if ((list.items[i]->kind == kind) == wanted)
            scratch_push(parser, list.items[i]);
    return list_take(parser, start);
}

/* ---- leaves ------------------------------------------------------------------------------------------------- */

Ast *leaf_int(Parser *parser, Place place)
{
    return ast_int_expr(parser, place, token_at(parser, place)->integer);
}

Ast *leaf_decimal(Parser *parser, Place place)
{
    return ast_decimal_expr(parser, place, token_at(parser, place)->text);
}

Ast *leaf_percent(Parser *parser, Place place)
{
    return ast_decimal_expr(parser, place, literal_percent(&parser->tokens, token_at(parser, place)));
}

Ast *leaf_duration(Parser *parser, Place place)
{
    const Token *token = token_at(parser, place);
    return ast_duration_expr(parser, place, token->integer, token_text(&parser->tokens, token));
}

Ast *leaf_date(Parser *parser, Place place)
{
    return ast_date_expr(parser, place, token_at(parser, place)->integer);
}

Ast *leaf_timestamp(Parser *parser, Place place)
{
    const Token *token = token_at(parser, place);
    Str text = token_text(&parser->tokens, token);
    return ast_timestamp_expr(parser, place, token->integer, (Str){ text.ptr + 1, text.len - 1 });
}

/* /pattern/flags ; a regex that was not closed is one byte long. */
Ast *leaf_regex(Parser *parser, Place place)
{
    Str text = token_text(&parser->tokens, token_at(parser, place));
    size_t end = text.len;
    while (end > 1 && text.ptr[end - 1] != '/')
        end--;
    if (end < 2)
        return ast_regex_expr(parser, place, STR(""), STR(""));
    return ast_regex_expr(parser, place, (Str){ text.ptr + 1, end - 2 }, (Str){ text.ptr + end, text.len - end });
}

Ast *leaf_text(Parser *parser, Place place)
{
    return ast_text_part(parser, place, token_at(parser, place)->text);
}

Ast *leaf_string(Parser *parser, Place place)
{
    bool block = token_at(parser, place)->flags & TOKEN_BLOCK;
    AstList parts = list_none();
    if (token_at(parser, place)->text.len)
        parts = list_take(parser, list_start(parser, leaf_text(parser, place)));
    return ast_string_expr(parser, place, block, parts);
}

Ast *leaf_name(Parser *parser, Place place)
{
    return ast_name_expr(parser, place, ident(parser, place));
}

Ast *leaf_interpolation(Parser *parser, Place place, Ast *value, Place close)
{
    return ast_interp_part(parser, place, value, token_at(parser, close)->text);
}

Ast *leaf_parts(Parser *parser, Place place, Place open, uint32_t start)
{
    AstList all = list_take(parser, start), parts = { .items = all.items };
    for (uint32_t i = 0; i < all.count; i++)
        if (all.items[i]->kind != AST_TEXT_PART || as_text_part(all.items[i])->text.len)
            parts.items[parts.count++] = all.items[i];
    return ast_string_expr(parser, place, token_at(parser, open)->flags & TOKEN_BLOCK ? 1 : 0, parts);
}

Str plain_text(const Parser *parser, Place place)
{
    return place.last + 1 == place.first ? STR("") : token_at(parser, place)->text;
}

Str path_text(Parser *parser, Place place)
{
    Span span = place_span(parser, place);
    Buf text = { 0 };
    for (uint32_t at = place.first; at <= place.last; at++)
        buf_put_str(&text, token_text(&parser->tokens, &parser->tokens.items[at]));
    Str whole = { parser->tokens.source->text.ptr + span.start, span.end - span.start };
    Str path = text.len == whole.len ? whole : arena_str(parser->arena, buf_str(&text));
    buf_free(&text);
    return path;
}

/* ---- aggregates: count(t), sum(t.amount where …) are calls by their looks ----------------------------------- */

static bool aggregate_name(const Ast *callee)
{
    static const char *const names[] = { "count", "sum", "min", "max", "avg", "exists" };
    if (callee->kind != AST_NAME_EXPR)
        return false;
    Str name = ((const Ast_name_expr *)(const void *)callee)->name.text;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (str_is(name, names[i]))
            return true;
    return false;
}

Ast *call_or_aggregate(Parser *parser, Place place, Ast *callee, AstList args)
{
    if (args.count == 1 && aggregate_name(callee)) {
        Ast_arg *arg = as_arg(args.items[0]);
        if (!arg->name.text.len && (arg->value->kind == AST_NAME_EXPR || arg->value->kind == AST_FIELD_EXPR))
            return ast_aggregate_expr(parser, place, as_name_expr(callee)->name, arg->value, NULL);
    }
    return ast_call_expr(parser, place, callee, args);
}

Ast *aggregate_where(Parser *parser, Place place, Ast *callee, Ast *source, Ast *where, Place at)
{
    if (aggregate_name(callee))
        return ast_aggregate_expr(parser, place, as_name_expr(callee)->name, source, where);
    diag_where_misplaced(parser->diags, place_span(parser, at));
    return ast_error(parser, place);
}

/* ---- plans: options in any order, each once ---------------------------------------------------------------------- */

Ast *plan_option(Parser *parser, Ast *plan, Place place, Place at, const char *option, Ast **slot, Ast *value)
{
    if (*slot)
        diag_entry_twice(parser->diags, place_span(parser, at), option);
    *slot = value;
    ast_widen(parser, plan, place);
    return plan;
}

Ast *plan_allow(Parser *parser, Ast *plan, Place place, Place at, AstList tools)
{
    if (as_plan_expr(plan)->allow.count)
        diag_entry_twice(parser->diags, place_span(parser, at), "allow");
    as_plan_expr(plan)->allow = tools;
    ast_widen(parser, plan, place);
    return plan;
}

Ast *plan_ask(Parser *parser, Ast *plan, Place place, Place at)
{
    if (as_plan_expr(plan)->ask.text.len)
        diag_entry_twice(parser->diags, place_span(parser, at), "ask");
    as_plan_expr(plan)->ask = ident(parser, at);
    ast_widen(parser, plan, place);
    return plan;
}

/* ---- policies: entries in any order, each once ------------------------------------------------------------------ */

void policy_begin(Parser *parser, Place name)
{
    parser->policy = (Ast_policy_decl *)(void *)ast_policy_decl(parser, name, ident(parser, name), NULL, NULL, NULL, NULL, NULL, list_none(), list_none());
}

Ast *policy_end(Parser *parser, Place place)
{
    Ast_policy_decl *made = parser->policy;
    return ast_policy_decl(parser, place, made->name, made->attempts, made->backoff, made->backoff_max, made->factor, made->jitter, made->retry_on, made->refresh_on);
}

void policy_set(Parser *parser, Place place, const char *entry, Ast **slot, Ast *value)
{
    if (*slot)
        diag_entry_twice(parser->diags, place_span(parser, place), entry);
    *slot = value;
}

void policy_list(Parser *parser, Place place, const char *entry, AstList *slot, AstList value)
{
    if (slot->count)
        diag_entry_twice(parser->diags, place_span(parser, place), entry);
    *slot = value;
}

/* ---- webhooks, routes, requests --------------------------------------------------------------------------------- */

Ast *webhook_flow(Parser *parser, Place place, Ident name, Ast *webhook, AstList clauses, Ast *body)
{
    Place behind = { place.first, place.first };
    Ident json = { STR("json"), name.span }, given = { STR("body"), name.span };
    Ast *param = ast_param(parser, behind, given, ast_name_type(parser, behind, json), NULL, NULL);
    ast_make_at(param, name.span);
    uint32_t params = list_start(parser, param);
    AstList taken = list_take(parser, params);
    uint32_t all = ast_list_append(parser, list_start(parser, webhook), clauses);
    return ast_flow_decl(parser, place, name, taken, NULL, list_take(parser, all), body);
}

int flag_once(Parser *parser, Place place, int flags, int flag)
{
    if (flags & flag)
        diag_entry_twice(parser->diags, place_span(parser, place), flag == ROUTE_CLAUSE_STREAM ? "stream" : flag == ROUTE_CLAUSE_PUBLIC ? "public" : "cancel on disconnect");
    return flags | flag;
}

Ast *request_part(Parser *parser, Ast *request, Place place, Place at, const char *part, Ast **slot, Ast *value)
{
    if (*slot)
        diag_entry_twice(parser->diags, place_span(parser, at), part);
    *slot = value;
    ast_widen(parser, request, place);
    return request;
}

Ast *request_user(Parser *parser, Ast *request, Place place, Place at, Str user, Str tenant)
{
    Ast_request_stmt *stmt = as_request_stmt(request);
    if (stmt->has_user)
        diag_entry_twice(parser->diags, place_span(parser, at), "as user");
    stmt->has_user = 1;
    stmt->user = user;
    stmt->tenant = tenant;
    ast_widen(parser, request, place);
    return request;
}
