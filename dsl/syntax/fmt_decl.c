/* fmt_decl.c - declarations, their members, and types. */
#include "dsl/syntax/fmt.h"
#include "dsl/syntax/fmt_internal.h"

/* The offset of the bracket that follows a name; comments between do not count. */
static uint32_t bracket_behind(const Printer *p, uint32_t from, const Ast *node, char bracket)
{
    return source_find(p, from, node->span.end, bracket);
}

Doc *node_use_decl(Printer *p, const Ast *node)
{
    NODE(use_decl);
    return CAT(p, doc_text(p, "use "), doc_str(p, n->path));
}

Doc *node_agent_decl(Printer *p, const Ast *node)
{
    NODE(agent_decl);
    uint32_t head_end = n->auth ? n->auth->span.end : n->location ? n->location->span.end : n->name.span.end;
    if (head_end == n->name.span.end) head_end = source_behind_string(p, head_end);
    uint32_t open = bracket_behind(p, head_end, node, '{');
    Items items = { 0 };
    items_add_list(p, &items, n->members);
    Inside in = inside(p, &items, NULL, true, open + 1, node->span.end - 1);
    Doc *head = CAT(p, doc_text(p, "agent "), fmt_ident(p, n->name), n->title.len ? doc_text(p, " ") : NULL, n->title.len ? fmt_quoted(p, n->title) : NULL,
                    fmt_expr(p, " at ", n->location, LEVEL_POSTFIX), fmt_expr(p, " auth ", n->auth, LEVEL_POSTFIX));
    Doc *body = in.content ? CAT(p, in.opening, doc_indent(p, CAT(p, doc_hard(p, false), in.content)), doc_hard(p, false)) : NULL;
    return CAT(p, head, doc_text(p, " {"), body, doc_text(p, "}"));
}

/* name(params) -> result, clauses, body: when the clauses stand below each other, the body's brace does too. */
static Doc *callable(Printer *p, const Ast *node, const char *word, Ident name, AstList params, const Ast *result, AstList clauses, const Ast *body)
{
    bool params_broken;
    uint32_t open = bracket_behind(p, name.span.end, node, '(');
    uint32_t head_end = params.count ? params.items[params.count - 1]->span.end : open + 1;
    uint32_t close = source_find(p, head_end, node->span.end, ')');
    Doc *list = bracketed_bare(p, "(", params, ")", open, close + 1, &params_broken);
    Doc *head = doc_group(p, CAT(p, doc_text(p, word), fmt_ident(p, name), list, fmt_opt(p, " -> ", result)), params_broken);
    head_end = result ? result->span.end : close + 1;
    if (!clauses.count) return CAT(p, head, body ? doc_text(p, " ") : NULL, body ? block_doc(p, body) : NULL);

    Chain chain = chain_of(p, head, head_end, clauses.items[0]->span.start);
    for (uint32_t i = 0; i < clauses.count; i++)
        chain_add(p, &chain, clauses.items[i]->span.start, clauses.items[i]->span.end, fmt_node(p, clauses.items[i]));
    chain.broken = chain.broken || clauses.count > 1 || !body || doc_breaks(head);
    Doc *lines = chain_doc(p, &chain, body ? body->span.start : node->span.end);
    if (!body) return lines;
    doc_push(p, lines, doc_line(p, " ", false));
    lines->broken = chain.broken;
    return CAT(p, lines, block_doc(p, body));
}

Doc *node_tool_decl(Printer *p, const Ast *node)
{
    NODE(tool_decl);
    return callable(p, node, "tool ", n->name, n->params, n->result, n->clauses, n->body);
}

/* webhook name POST "/path" and, as with a flow, the clauses: each on a line of its own when there are several. */
static Doc *webhook_doc(Printer *p, const Ast *node)
{
    NODE(flow_decl);
    const Ast *where = n->clauses.items[0];
    Doc *head = CAT(p, doc_text(p, "webhook "), fmt_ident(p, n->name), doc_text(p, " "), fmt_node(p, where));
    AstList clauses = { n->clauses.items + 1, n->clauses.count - 1 };
    if (!clauses.count) return CAT(p, head, doc_text(p, " "), block_doc(p, n->body));
    Chain chain = chain_of(p, head, where->span.end, clauses.items[0]->span.start);
    for (uint32_t i = 0; i < clauses.count; i++)
        chain_add(p, &chain, clauses.items[i]->span.start, clauses.items[i]->span.end, fmt_node(p, clauses.items[i]));
    chain.broken = chain.broken || clauses.count > 1;
    Doc *lines = chain_doc(p, &chain, n->body->span.start);
    doc_push(p, lines, doc_line(p, " ", false));
    lines->broken = chain.broken;
    return CAT(p, lines, block_doc(p, n->body));
}

Doc *node_flow_decl(Printer *p, const Ast *node)
{
    NODE(flow_decl);
    if (n->clauses.count && n->clauses.items[0]->kind == AST_WEBHOOK_CLAUSE) return webhook_doc(p, node);
    return callable(p, node, "flow ", n->name, n->params, n->result, n->clauses, n->body);
}

Doc *node_fn_decl(Printer *p, const Ast *node)
{
    NODE(fn_decl);
    return callable(p, node, "fn ", n->name, n->params, n->result, (AstList){ NULL, 0 }, n->body);
}

Doc *node_resource_decl(Printer *p, const Ast *node)
{
    NODE(resource_decl);
    return CAT(p, doc_text(p, "resource "), fmt_quoted(p, n->uri), fmt_opt(p, " -> ", n->result), n->body ? doc_text(p, " ") : NULL,
               n->body ? block_doc(p, n->body) : NULL);
}

Doc *node_handler_decl(Printer *p, const Ast *node)
{
    NODE(handler_decl);
    return CAT(p, doc_text(p, "on "), fmt_ident(p, n->event), doc_text(p, n->name.text.len ? " as " : ""), fmt_ident(p, n->name),
               fmt_expr(p, " where ", n->where, LEVEL_OR), doc_text(p, " "), block_doc(p, n->body));
}

static Doc *named_fields(Printer *p, const Ast *node, const char *word, Ident name, AstList fields)
{
    uint32_t open = bracket_behind(p, name.span.end, node, '{');
    return CAT(p, doc_text(p, word), fmt_ident(p, name), doc_text(p, " "), bracketed(p, "{", fields, "}", open, node->span.end));
}

Doc *node_event_decl(Printer *p, const Ast *node)
{
    NODE(event_decl);
    return named_fields(p, node, "event ", n->name, n->fields);
}

Doc *node_signal_decl(Printer *p, const Ast *node)
{
    NODE(signal_decl);
    return named_fields(p, node, "signal ", n->name, n->fields);
}

Doc *node_record_decl(Printer *p, const Ast *node)
{
    NODE(record_decl);
    return named_fields(p, node, "type ", n->name, n->fields);
}

static Doc *living_fields(Printer *p, const Ast *node, const char *word, Ident name, const Ast *ttl, AstList fields)
{
    uint32_t open = bracket_behind(p, ttl->span.end, node, '{');
    return CAT(p, doc_text(p, word), fmt_ident(p, name), fmt_opt(p, " ttl ", ttl), doc_text(p, " "), bracketed(p, "{", fields, "}", open, node->span.end));
}

Doc *node_session_decl(Printer *p, const Ast *node)
{
    NODE(session_decl);
    return living_fields(p, node, "session ", n->name, n->ttl, n->fields);
}

Doc *node_context_decl(Printer *p, const Ast *node)
{
    NODE(context_decl);
    return living_fields(p, node, "context ", n->name, n->ttl, n->fields);
}

Doc *node_context_field(Printer *p, const Ast *node)
{
    NODE(context_field);
    return CAT(p, fmt_ident(p, n->name), doc_text(p, ": "), fmt_node(p, n->type), doc_text(p, n->agent.text.len ? " by " : ""), fmt_ident(p, n->agent));
}

Doc *node_enum_decl(Printer *p, const Ast *node)
{
    NODE(enum_decl);
    return named_fields(p, node, "enum ", n->name, n->members);
}

Doc *node_field(Printer *p, const Ast *node)
{
    NODE(field);
    return CAT(p, fmt_ident(p, n->name), doc_text(p, ": "), fmt_node(p, n->type), fmt_expr(p, " = ", n->value, LEVEL_OR), fmt_opt(p, " like ", n->pattern));
}

Doc *node_column(Printer *p, const Ast *node)
{
    NODE(column);
    return CAT(p, fmt_ident(p, n->name), doc_text(p, ": "), fmt_node(p, n->type), fmt_expr(p, " = ", n->value, LEVEL_OR));
}

/* The parameter of a lambda has no type. */
Doc *node_param(Printer *p, const Ast *node)
{
    NODE(param);
    return CAT(p, fmt_ident(p, n->name), fmt_opt(p, ": ", n->type), fmt_expr(p, " = ", n->value, LEVEL_OR), fmt_opt(p, " like ", n->pattern));
}

Doc *node_enum_member(Printer *p, const Ast *node)
{
    NODE(enum_member);
    return CAT(p, fmt_ident(p, n->name), fmt_opt(p, " like ", n->pattern));
}

Doc *node_participants_decl(Printer *p, const Ast *node)
{
    NODE(participants_decl);
    uint32_t open = bracket_behind(p, node->span.start, node, '{');
    return CAT(p, doc_text(p, "participants "), bracketed(p, "{", n->entries, "}", open, node->span.end));
}

Doc *node_participant(Printer *p, const Ast *node)
{
    NODE(participant);
    return CAT(p, fmt_ident(p, n->part), doc_text(p, " "), fmt_quoted(p, n->title));
}

/* ---- machines, tables, policies: always one entry a line ---- */

static Doc *finals_doc(Printer *p, const Ast *node)
{
    NODE(machine_decl);
    return CAT(p, doc_text(p, "final "), fmt_comma_list(p, n->finals));
}

Doc *node_machine_decl(Printer *p, const Ast *node)
{
    NODE(machine_decl);
    Items items = { 0 };
    items_add_list(p, &items, n->transitions);
    if (n->finals.count) items_add(p, &items, n->finals.items[0]->span.start, n->finals.items[n->finals.count - 1]->span.end, node, finals_doc);
    items_sort(&items);
    return CAT(p, doc_text(p, "machine "), fmt_ident(p, n->name), doc_text(p, " "),
               braced_lines(p, &items, bracket_behind(p, n->name.span.end, node, '{'), node->span.end));
}

Doc *node_transition(Printer *p, const Ast *node)
{
    NODE(transition);
    return CAT(p, fmt_ident(p, n->from), doc_text(p, " -> "), fmt_comma_list(p, n->targets));
}

Doc *node_name_ref(Printer *p, const Ast *node)
{
    NODE(name_ref);
    return fmt_ident(p, n->name);
}

Doc *node_table_decl(Printer *p, const Ast *node)
{
    NODE(table_decl);
    Items items = { 0 };
    items_add_list(p, &items, n->columns);
    items_add_list(p, &items, n->clauses);
    items_sort(&items);
    return CAT(p, doc_text(p, "table "), fmt_ident(p, n->name), fmt_opt(p, " of ", n->agent), doc_text(p, n->shared ? " shared " : " "),
               braced_lines(p, &items, bracket_behind(p, n->name.span.end, node, '{'), node->span.end));
}

/* Members keep the blank lines between them, as those of an agent do. */
static Doc *members_body(Printer *p, const Ast *node, const Items *items, uint32_t head_end)
{
    Inside in = inside(p, items, NULL, true, bracket_behind(p, head_end, node, '{') + 1, node->span.end - 1);
    Doc *body = in.content ? CAT(p, in.opening, doc_indent(p, CAT(p, doc_hard(p, false), in.content)), doc_hard(p, false)) : NULL;
    return CAT(p, doc_text(p, " {"), body, doc_text(p, "}"));
}

Doc *node_aggregate_decl(Printer *p, const Ast *node)
{
    NODE(aggregate_decl);
    Items items = { 0 };
    items_add_list(p, &items, n->members);
    Doc *sources = n->sources.count ? CAT(p, doc_text(p, " sourced by "), fmt_comma_list(p, n->sources)) : NULL;
    return CAT(p, doc_text(p, "aggregate "), fmt_ident(p, n->name), fmt_opt(p, " of ", n->agent), sources, members_body(p, node, &items, n->name.span.end));
}

Doc *node_root_clause(Printer *p, const Ast *node)
{
    NODE(root_clause);
    return CAT(p, doc_text(p, "root "), fmt_ident(p, n->table));
}

Doc *node_children_clause(Printer *p, const Ast *node)
{
    NODE(children_clause);
    return CAT(p, doc_text(p, "children "), fmt_comma_list(p, n->tables));
}

Doc *node_state_clause(Printer *p, const Ast *node)
{
    NODE(state_clause);
    return CAT(p, doc_text(p, "state "), bracketed(p, "{", n->fields, "}", bracket_behind(p, node->span.start, node, '{'), node->span.end));
}

Doc *node_when_clause(Printer *p, const Ast *node)
{
    NODE(when_clause);
    return CAT(p, doc_text(p, "when "), fmt_ident(p, n->event), doc_text(p, " as "), fmt_ident(p, n->name), doc_text(p, " "), block_doc(p, n->body));
}

Doc *node_invariant_clause(Printer *p, const Ast *node)
{
    NODE(invariant_clause);
    return CAT(p, fmt_expr(p, "invariant ", n->condition, LEVEL_OR), fmt_opt(p, " else ", n->message));
}

Doc *node_command_decl(Printer *p, const Ast *node)
{
    NODE(command_decl);
    return callable(p, node, n->creates ? "create " : "command ", n->name, n->params, n->result, n->clauses, n->body);
}

Doc *node_projection_decl(Printer *p, const Ast *node)
{
    NODE(projection_decl);
    Items items = { 0 };
    items_add_list(p, &items, n->fields);
    items_add_list(p, &items, n->handlers);
    items_sort(&items);
    return CAT(p, doc_text(p, "projection "), fmt_ident(p, n->name), doc_text(p, " by "), fmt_ident(p, n->key), members_body(p, node, &items, n->key.span.end));
}

Doc *node_append_clause(Printer *p, const Ast *node)
{
    return doc_text(p, "append only");
}

Doc *node_visible_clause(Printer *p, const Ast *node)
{
    NODE(visible_clause);
    Doc *roles = n->roles.count ? CAT(p, doc_text(p, " "), fmt_ident(p, n->word), doc_text(p, " ("), fmt_comma_list(p, n->roles), doc_text(p, ")")) : NULL;
    return CAT(p, doc_text(p, "visible by "), fmt_ident(p, n->column), doc_text(p, " to "), fmt_ident(p, n->members), roles);
}

Doc *node_version_clause(Printer *p, const Ast *node)
{
    return doc_text(p, "version");
}

Doc *node_index_clause(Printer *p, const Ast *node)
{
    NODE(index_clause);
    return CAT(p, doc_text(p, n->unique ? "unique (" : "index ("), fmt_comma_list(p, n->columns), doc_text(p, ")"));
}

Doc *node_erase_clause(Printer *p, const Ast *node)
{
    NODE(erase_clause);
    Doc *columns = n->columns.count ? CAT(p, doc_text(p, " ("), fmt_comma_list(p, n->columns), doc_text(p, ")")) : NULL;
    Doc *reason = n->reason.len ? CAT(p, doc_text(p, " "), fmt_quoted(p, n->reason)) : NULL;
    return CAT(p, doc_text(p, "on erase "), fmt_ident(p, n->action), columns, fmt_opt(p, " ", n->period), reason);
}

Doc *node_export_clause(Printer *p, const Ast *node)
{
    NODE(export_clause);
    return CAT(p, doc_text(p, "export as "), fmt_quoted(p, n->name));
}

Doc *node_cache_clause(Printer *p, const Ast *node)
{
    NODE(cache_clause);
    return n->most ? fmt_opt(p, "cache at most ", n->most) : CAT(p, doc_text(p, "cache "), fmt_ident(p, n->word));
}

static Doc *attempts_doc(Printer *p, const Ast *node)
{
    NODE(policy_decl);
    return fmt_opt(p, "attempts ", n->attempts);
}

static bool percent_inside(const Printer *p, const Ast *number)
{
    return number->span.end > 0 && p->text.ptr[number->span.end - 1] == '%';
}

static Doc *backoff_doc(Printer *p, const Ast *node)
{
    NODE(policy_decl);
    return CAT(p, fmt_opt(p, "backoff ", n->backoff), fmt_opt(p, " to ", n->backoff_max), fmt_opt(p, " factor ", n->factor),
               fmt_opt(p, " jitter ", n->jitter), n->jitter && !percent_inside(p, n->jitter) ? doc_text(p, "%") : NULL);
}

static Doc *retry_on_doc(Printer *p, const Ast *node)
{
    NODE(policy_decl);
    return CAT(p, doc_text(p, "on "), fmt_comma_list(p, n->retry_on));
}

static Doc *refresh_on_doc(Printer *p, const Ast *node)
{
    NODE(policy_decl);
    return CAT(p, doc_text(p, "refresh on "), fmt_comma_list(p, n->refresh_on));
}

static uint32_t list_end(AstList list)
{
    return list.items[list.count - 1]->span.end;
}

Doc *node_policy_decl(Printer *p, const Ast *node)
{
    NODE(policy_decl);
    Items items = { 0 };
    if (n->attempts) items_add(p, &items, n->attempts->span.start, n->attempts->span.end, node, attempts_doc);
    if (n->backoff) {
        const Ast *last = n->jitter ? n->jitter : n->factor ? n->factor : n->backoff_max ? n->backoff_max : n->backoff;
        items_add(p, &items, n->backoff->span.start, last->span.end, node, backoff_doc);
    }
    if (n->retry_on.count) items_add(p, &items, n->retry_on.items[0]->span.start, list_end(n->retry_on), node, retry_on_doc);
    if (n->refresh_on.count) items_add(p, &items, n->refresh_on.items[0]->span.start, list_end(n->refresh_on), node, refresh_on_doc);
    items_sort(&items);
    return CAT(p, doc_text(p, "policy "), fmt_ident(p, n->name), doc_text(p, " "),
               braced_lines(p, &items, bracket_behind(p, n->name.span.end, node, '{'), node->span.end));
}

/* ---- fixtures and tests ---- */

Doc *node_scope_decl(Printer *p, const Ast *node)
{
    NODE(scope_decl);
    return CAT(p, doc_text(p, "scope "), fmt_quoted(p, n->name.text), doc_text(p, " on "), fmt_ident(p, n->resource), doc_text(p, " "), fmt_ident(p, n->action),
               doc_text(p, " "), fmt_quoted(p, n->description));
}

Doc *node_role_decl(Printer *p, const Ast *node)
{
    NODE(role_decl);
    return CAT(p, doc_text(p, "role "), fmt_ident(p, n->name), doc_text(p, n->is_default ? " default grants " : " grants "), fmt_comma_list(p, n->scopes));
}

Doc *node_fixture_decl(Printer *p, const Ast *node)
{
    NODE(fixture_decl);
    Items items = { 0 };
    items_add_list(p, &items, n->entries);
    return CAT(p, doc_text(p, "fixture "), fmt_ident(p, n->name), doc_text(p, " "),
               braced_lines(p, &items, bracket_behind(p, n->name.span.end, node, '{'), node->span.end));
}

Doc *node_fixture_rows(Printer *p, const Ast *node)
{
    NODE(fixture_rows);
    uint32_t open = bracket_behind(p, n->table.span.end, node, '[');
    return CAT(p, fmt_ident(p, n->table), doc_text(p, " "), bracketed(p, "[", n->rows, "]", open, node->span.end));
}

Doc *node_test_decl(Printer *p, const Ast *node)
{
    NODE(test_decl);
    return CAT(p, doc_text(p, n->documented ? "test documented " : "test "), fmt_quoted(p, n->title), doc_text(p, " "), block_doc(p, n->body));
}

/* ---- clauses of flows and tools ---- */

Doc *node_requires_clause(Printer *p, const Ast *node)
{
    NODE(requires_clause);
    return CAT(p, doc_text(p, "requires "), fmt_comma_list(p, n->scopes));
}

Doc *node_within_clause(Printer *p, const Ast *node)
{
    NODE(within_clause);
    return fmt_expr(p, "within ", n->duration, LEVEL_OR);
}

Doc *node_durability_clause(Printer *p, const Ast *node)
{
    NODE(durability_clause);
    return CAT(p, doc_text(p, "durability "), fmt_ident(p, n->level));
}

Doc *node_one_per_clause(Printer *p, const Ast *node)
{
    NODE(one_per_clause);
    return fmt_expr(p, "one per ", n->key, LEVEL_OR);
}

Doc *node_limit_clause(Printer *p, const Ast *node)
{
    NODE(limit_clause);
    return CAT(p, fmt_expr(p, "limit ", n->count, LEVEL_OR), fmt_expr(p, " per ", n->key, LEVEL_OR));
}

Doc *node_priority_clause(Printer *p, const Ast *node)
{
    NODE(priority_clause);
    return fmt_opt(p, "priority ", n->value);
}

Doc *node_rate_clause(Printer *p, const Ast *node)
{
    NODE(rate_clause);
    return CAT(p, fmt_opt(p, "rate ", n->count), doc_text(p, "/"), fmt_ident(p, n->unit), fmt_expr(p, " per ", n->key, LEVEL_OR));
}

Doc *node_compensated_clause(Printer *p, const Ast *node)
{
    NODE(compensated_clause);
    return CAT(p, doc_text(p, "compensated by "), fmt_ident(p, n->tool));
}

Doc *node_effect_clause(Printer *p, const Ast *node)
{
    NODE(effect_clause);
    return fmt_ident(p, n->effect);
}

Doc *node_key_clause(Printer *p, const Ast *node)
{
    NODE(key_clause);
    return fmt_expr(p, "key ", n->key, LEVEL_OR);
}

/* In the author's order. */
Doc *node_costs_clause(Printer *p, const Ast *node)
{
    NODE(costs_clause);
    Doc *tokens = fmt_opt(p, " tokens ", n->tokens), *usd = fmt_opt(p, " usd ", n->usd);
    bool usd_first = tokens && usd && n->usd->span.start < n->tokens->span.start;
    return CAT(p, doc_text(p, "costs"), usd_first ? usd : tokens, usd_first ? tokens : usd);
}

Doc *node_via_clause(Printer *p, const Ast *node)
{
    NODE(via_clause);
    return CAT(p, doc_text(p, "via "), fmt_ident(p, n->method), doc_text(p, " "), fmt_quoted(p, n->path));
}

Doc *node_trigger_clause(Printer *p, const Ast *node)
{
    NODE(trigger_clause);
    return CAT(p, doc_text(p, "on "), fmt_ident(p, n->event), doc_text(p, n->name.text.len ? " as " : ""), fmt_ident(p, n->name));
}

Doc *node_route_clause(Printer *p, const Ast *node)
{
    NODE(route_clause);
    return CAT(p, doc_text(p, "on "), fmt_ident(p, n->method), doc_text(p, " "), fmt_quoted(p, n->path.text), doc_text(p, n->flags & ROUTE_CLAUSE_STREAM ? " stream" : ""),
               doc_text(p, n->flags & ROUTE_CLAUSE_CANCEL ? " cancel on disconnect" : ""), doc_text(p, n->flags & ROUTE_CLAUSE_PUBLIC ? " public" : ""));
}

Doc *node_webhook_clause(Printer *p, const Ast *node)
{
    NODE(webhook_clause);
    return CAT(p, fmt_ident(p, n->method), doc_text(p, " "), fmt_quoted(p, n->path.text));
}

Doc *node_verify_clause(Printer *p, const Ast *node)
{
    NODE(verify_clause);
    return fmt_expr(p, "verify ", n->scheme, LEVEL_POSTFIX);
}

Doc *node_tolerance_clause(Printer *p, const Ast *node)
{
    NODE(tolerance_clause);
    return fmt_opt(p, "tolerance ", n->duration);
}

Doc *node_dedupe_clause(Printer *p, const Ast *node)
{
    NODE(dedupe_clause);
    return CAT(p, fmt_expr(p, "dedupe ", n->key, LEVEL_OR), fmt_opt(p, " ttl ", n->ttl));
}

Doc *node_tenant_clause(Printer *p, const Ast *node)
{
    NODE(tenant_clause);
    return fmt_expr(p, "tenant ", n->tenant, LEVEL_OR);
}

/* ---- types ---- */

Doc *node_name_type(Printer *p, const Ast *node)
{
    NODE(name_type);
    return fmt_ident(p, n->name);
}

/* `pii T?` is a label on an optional: the grammar makes no optional of a label. */
Doc *node_optional_type(Printer *p, const Ast *node)
{
    NODE(optional_type);
    return CAT(p, fmt_node(p, n->inner), doc_text(p, "?"));
}

Doc *node_list_type(Printer *p, const Ast *node)
{
    NODE(list_type);
    return CAT(p, doc_text(p, "list<"), fmt_node(p, n->element), doc_text(p, ">"));
}

Doc *node_map_type(Printer *p, const Ast *node)
{
    NODE(map_type);
    return CAT(p, doc_text(p, "map<"), fmt_node(p, n->element), doc_text(p, ">"));
}

Doc *node_record_type(Printer *p, const Ast *node)
{
    NODE(record_type);
    return bracketed(p, "{", n->fields, "}", node->span.start, node->span.end);
}

Doc *node_id_type(Printer *p, const Ast *node)
{
    NODE(id_type);
    if (n->table.text.len) return CAT(p, doc_text(p, "id<"), fmt_ident(p, n->table), doc_text(p, ">"));
    return CAT(p, doc_text(p, n->prefix.len ? "id " : "id"), n->prefix.len ? fmt_quoted(p, n->prefix) : NULL);
}

Doc *node_label_type(Printer *p, const Ast *node)
{
    NODE(label_type);
    return CAT(p, fmt_ident(p, n->label), fmt_opt(p, " ", n->inner));
}
