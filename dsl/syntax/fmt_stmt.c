/* fmt_stmt.c - statements. */
#include "dsl/syntax/fmt.h"
#include "dsl/syntax/fmt_internal.h"

Doc *node_block(Printer *p, const Ast *node)
{
    return block_doc(p, node);
}

Doc *node_let_stmt(Printer *p, const Ast *node)
{
    NODE(let_stmt);
    return CAT(p, doc_text(p, n->mutable ? "var " : "let "), fmt_ident(p, n->name), fmt_opt(p, ": ", n->type), fmt_opt(p, " = ", n->value));
}

Doc *node_assign_stmt(Printer *p, const Ast *node)
{
    NODE(assign_stmt);
    const char *op = n->op == BINARY_ADD ? " += " : n->op == BINARY_SUB ? " -= " : n->op == BINARY_MUL ? " *= " : n->op == BINARY_DIV ? " /= " : " = ";
    return CAT(p, fmt_operand(p, n->target, LEVEL_POSTFIX), doc_text(p, op), fmt_node(p, n->value));
}

Doc *node_expr_stmt(Printer *p, const Ast *node)
{
    NODE(expr_stmt);
    return fmt_at_start(p, n->value);
}

Doc *node_return_stmt(Printer *p, const Ast *node)
{
    NODE(return_stmt);
    return CAT(p, doc_text(p, "return"), fmt_opt(p, " ", n->value));
}

/* All branches on one line, or none. */
Doc *node_if_stmt(Printer *p, const Ast *node)
{
    Doc *doc = doc_list(p);
    bool broken = false, one;
    for (const Ast *at = node; at;) {
        if (at->kind != AST_IF_STMT) {
            doc_push(p, doc, block_bare(p, at, &one));
            broken = broken || one;
            break;
        }
        const Ast_if_stmt *branch = (const Ast_if_stmt *)(const void *)at;
        doc_push(p, doc, CAT(p, doc_text(p, "if "), fmt_before_block(p, branch->condition), doc_text(p, " "), block_bare(p, branch->then_block, &one)));
        broken = broken || one;
        if (branch->else_block) doc_push(p, doc, doc_text(p, " else "));
        at = branch->else_block;
    }
    return doc_group(p, doc, broken);
}

Doc *node_match_stmt(Printer *p, const Ast *node)
{
    NODE(match_stmt);
    Items items = { 0 };
    items_add_list(p, &items, n->arms);
    uint32_t open = source_find(p, n->subject->span.end, node->span.end, '{');
    return CAT(p, doc_text(p, "match "), fmt_before_block(p, n->subject), doc_text(p, " "), braced_lines(p, &items, open, node->span.end));
}

Doc *node_match_arm(Printer *p, const Ast *node)
{
    NODE(match_arm);
    return CAT(p, fmt_comma_list(p, n->patterns), fmt_expr(p, " if ", n->guard, LEVEL_OR), doc_text(p, " => "), fmt_behind_arrow(p, n->body));
}

Doc *node_wildcard_pattern(Printer *p, const Ast *node)
{
    return doc_text(p, "_");
}

Doc *node_bind_pattern(Printer *p, const Ast *node)
{
    NODE(bind_pattern);
    return CAT(p, doc_text(p, "let "), fmt_ident(p, n->name));
}

Doc *node_for_stmt(Printer *p, const Ast *node)
{
    NODE(for_stmt);
    return CAT(p, doc_text(p, "for "), fmt_ident(p, n->name), fmt_opt(p, ", ", n->index), doc_text(p, " in "), fmt_before_block(p, n->source), doc_text(p, " "),
               block_doc(p, n->body));
}

Doc *node_while_stmt(Printer *p, const Ast *node)
{
    NODE(while_stmt);
    return CAT(p, doc_text(p, "while "), fmt_before_block(p, n->condition), fmt_expr(p, " at most ", n->bound, LEVEL_OR), n->bound ? doc_text(p, " times") : NULL, doc_text(p, " "),
               block_doc(p, n->body));
}

Doc *node_break_stmt(Printer *p, const Ast *node)
{
    return doc_text(p, "break");
}

Doc *node_continue_stmt(Printer *p, const Ast *node)
{
    return doc_text(p, "continue");
}

static Doc *catch_bare(Printer *p, const Ast *node, bool *broken)
{
    NODE(catch_clause);
    return CAT(p, doc_text(p, "catch "), fmt_comma_list(p, n->kinds), doc_text(p, n->kinds.count && n->name.text.len ? " " : ""),
               doc_text(p, n->name.text.len ? "as " : ""), fmt_ident(p, n->name), doc_text(p, n->kinds.count || n->name.text.len ? " " : ""),
               block_bare(p, n->body, broken));
}

Doc *node_try_stmt(Printer *p, const Ast *node)
{
    NODE(try_stmt);
    bool broken, one;
    Doc *doc = CAT(p, doc_text(p, "try "), block_bare(p, n->body, &broken));
    for (uint32_t i = 0; i < n->catches.count; i++) {
        doc_push(p, doc, CAT(p, doc_text(p, " "), catch_bare(p, n->catches.items[i], &one)));
        broken = broken || one;
    }
    if (n->finally_block) {
        doc_push(p, doc, CAT(p, doc_text(p, " finally "), block_bare(p, n->finally_block, &one)));
        broken = broken || one;
    }
    return doc_group(p, doc, broken);
}

/* A try statement prints its own: their blocks break together. */
Doc *node_catch_clause(Printer *p, const Ast *node)
{
    bool broken;
    Doc *doc = catch_bare(p, node, &broken);
    return doc_group(p, doc, broken);
}

Doc *node_fail_stmt(Printer *p, const Ast *node)
{
    NODE(fail_stmt);
    Level level = n->message->kind == AST_WITH_EXPR ? LEVEL_POSTFIX : LEVEL_OR;            /* its `with` would be that of the failure */
    return CAT(p, doc_text(p, n->kind.text.len ? "fail " : "fail"), fmt_ident(p, n->kind), fmt_expr(p, " ", n->message, level), fmt_opt(p, " with ", n->details));
}

Doc *node_transaction_stmt(Printer *p, const Ast *node)
{
    NODE(transaction_stmt);
    return CAT(p, doc_text(p, "transaction "), block_doc(p, n->body));
}

Doc *node_emit_stmt(Printer *p, const Ast *node)
{
    NODE(emit_stmt);
    return CAT(p, doc_text(p, "emit "), fmt_ident(p, n->event), fmt_opt(p, " ", n->value));
}

Doc *node_save_stmt(Printer *p, const Ast *node)
{
    NODE(save_stmt);
    return CAT(p, doc_text(p, "save "), fmt_ident(p, n->session), doc_text(p, "["), fmt_node(p, n->key), doc_text(p, "]"), fmt_opt(p, " ", n->value));
}

Doc *node_forget_stmt(Printer *p, const Ast *node)
{
    NODE(forget_stmt);
    return CAT(p, doc_text(p, "delete "), fmt_ident(p, n->session), doc_text(p, "["), fmt_node(p, n->key), doc_text(p, "]"));
}

Doc *node_coordinate_stmt(Printer *p, const Ast *node)
{
    NODE(coordinate_stmt);
    return CAT(p, doc_text(p, "coordinate "), fmt_ident(p, n->context), doc_text(p, " "), block_doc(p, n->body));
}

Doc *node_audit_stmt(Printer *p, const Ast *node)
{
    NODE(audit_stmt);
    return CAT(p, doc_text(p, "audit "), fmt_ident(p, n->action), fmt_opt(p, " on ", n->subject));
}

/* No author writes it. */
Doc *node_checked_stmt(Printer *p, const Ast *node)
{
    return fmt_source(p, node->span);
}

Doc *node_rebuild_stmt(Printer *p, const Ast *node)
{
    NODE(rebuild_stmt);
    return CAT(p, doc_text(p, "rebuild "), fmt_ident(p, n->projection));
}

Doc *node_saga_stmt(Printer *p, const Ast *node)
{
    NODE(saga_stmt);
    return CAT(p, doc_text(p, "saga "), block_doc(p, n->body));
}

Doc *node_step_stmt(Printer *p, const Ast *node)
{
    NODE(step_stmt);
    Doc *head = CAT(p, doc_text(p, "step "), fmt_ident(p, n->name), doc_text(p, n->name.text.len ? " = " : ""), fmt_node(p, n->value));
    if (!n->compensate) return head;
    Doc *compensate = fmt_opt(p, "compensate ", n->compensate);
    Chain chain = chain_of(p, head, n->value->span.end, n->compensate->span.start);
    chain.broken = chain.broken || doc_breaks(head) || doc_breaks(compensate);
    chain_add(p, &chain, n->compensate->span.start, node->span.end, compensate);
    return chain_doc(p, &chain, 0);
}

Doc *node_sleep_stmt(Printer *p, const Ast *node)
{
    NODE(sleep_stmt);
    return fmt_expr(p, "sleep ", n->duration, LEVEL_OR);
}

Doc *node_wait_stmt(Printer *p, const Ast *node)
{
    NODE(wait_stmt);
    return fmt_expr(p, "wait until ", n->until, LEVEL_OR);
}

Doc *node_progress_stmt(Printer *p, const Ast *node)
{
    NODE(progress_stmt);
    return CAT(p, fmt_expr(p, "progress ", n->percent, LEVEL_OR), fmt_opt(p, " ", n->message));
}

Doc *node_signal_stmt(Printer *p, const Ast *node)
{
    NODE(signal_stmt);
    Doc *to = n->run ? CAT(p, fmt_expr(p, "signal ", n->run, LEVEL_POSTFIX), doc_text(p, " ")) : doc_text(p, "signal ");
    return CAT(p, to, fmt_ident(p, n->name), fmt_opt(p, " ", n->value));
}

Doc *node_parallel_stmt(Printer *p, const Ast *node)
{
    NODE(parallel_stmt);
    Items items = { 0 };
    items_add_list(p, &items, n->branches);
    const Ast *last = n->limit && (!n->within || n->limit->span.start > n->within->span.start) ? n->limit : n->within;
    uint32_t open = source_find(p, last ? last->span.end : node->span.start, node->span.end, '{');
    return CAT(p, doc_text(p, n->race ? "parallel race" : "parallel"), fmt_expr(p, " within ", n->within, LEVEL_OR), fmt_expr(p, " limit ", n->limit, LEVEL_OR),
               doc_text(p, " "), braced_lines(p, &items, open, node->span.end));
}

Doc *node_branch(Printer *p, const Ast *node)
{
    NODE(branch);
    return CAT(p, doc_text(p, n->critical ? "critical " : ""), fmt_ident(p, n->name), doc_text(p, " = "), fmt_behind_arrow(p, n->value));
}
