/* fmt_test.c - the statements of tests. */
#include "dsl/syntax/fmt.h"
#include "dsl/syntax/fmt_internal.h"

Doc *node_given_fails(Printer *p, const Ast *node)
{
    NODE(given_fails);
    return CAT(p, fmt_opt(p, "given ", n->tool), doc_text(p, " fails "), fmt_ident(p, n->kind), fmt_opt(p, " ", n->message),
               fmt_opt(p, " with ", n->details), fmt_opt(p, " ", n->times), n->times ? doc_text(p, " times") : NULL);
}

Doc *node_given_returns(Printer *p, const Ast *node)
{
    NODE(given_returns);
    return CAT(p, fmt_opt(p, "given ", n->tool), fmt_expr(p, " returns ", n->value, LEVEL_OR), fmt_expr(p, " after ", n->delay, LEVEL_OR));
}

Doc *node_given_answers(Printer *p, const Ast *node)
{
    NODE(given_answers);
    return CAT(p, doc_text(p, "given user answers "), n->answers.count ? fmt_comma_list(p, n->answers) : doc_text(p, "nothing"));
}

Doc *node_given_rows(Printer *p, const Ast *node)
{
    NODE(given_rows);
    uint32_t open = source_find(p, n->table.span.end, node->span.end, '[');
    return CAT(p, doc_text(p, "given "), fmt_ident(p, n->table), doc_text(p, " "), bracketed(p, "[", n->rows, "]", open, node->span.end));
}

Doc *node_given_fixture(Printer *p, const Ast *node)
{
    NODE(given_fixture);
    return CAT(p, doc_text(p, "given fixture "), fmt_ident(p, n->name));
}

Doc *node_given_now(Printer *p, const Ast *node)
{
    NODE(given_now);
    return fmt_expr(p, "given now ", n->time, LEVEL_OR);
}

Doc *node_given_ids(Printer *p, const Ast *node)
{
    NODE(given_ids);
    return CAT(p, doc_text(p, "given ids "), fmt_ident(p, n->table), doc_text(p, " "), fmt_comma_list(p, n->ids));
}

Doc *node_run_stmt(Printer *p, const Ast *node)
{
    NODE(run_stmt);
    Doc *user = n->user.len ? CAT(p, doc_text(p, " as "), fmt_quoted(p, n->user)) : NULL;
    Doc *tenant = n->tenant.len ? CAT(p, doc_text(p, " of "), fmt_quoted(p, n->tenant)) : NULL;
    return CAT(p, fmt_expr(p, "run ", n->call, LEVEL_POSTFIX), user, tenant);
}

Doc *node_advance_stmt(Printer *p, const Ast *node)
{
    NODE(advance_stmt);
    return fmt_expr(p, "advance ", n->duration, LEVEL_OR);
}

Doc *node_answer_stmt(Printer *p, const Ast *node)
{
    NODE(answer_stmt);
    return fmt_opt(p, "answer ", n->value);
}

Doc *node_deliver_stmt(Printer *p, const Ast *node)
{
    NODE(deliver_stmt);
    return CAT(p, doc_text(p, "deliver "), fmt_ident(p, n->event), doc_text(p, " again"));
}

Doc *node_cancel_stmt(Printer *p, const Ast *node)
{
    return doc_text(p, "cancel");
}

Doc *node_crash_stmt(Printer *p, const Ast *node)
{
    return doc_text(p, "crash everywhere");
}

Doc *node_expect_stmt(Printer *p, const Ast *node)
{
    NODE(expect_stmt);
    return fmt_opt(p, "expect ", n->condition);
}

Doc *node_expect_outcome(Printer *p, const Ast *node)
{
    NODE(expect_outcome);
    return CAT(p, doc_text(p, "expect "), fmt_ident(p, n->outcome), doc_text(p, n->kind.text.len ? " " : ""), fmt_ident(p, n->kind),
               fmt_opt(p, " ", n->message));
}

Doc *node_expect_calls(Printer *p, const Ast *node)
{
    NODE(expect_calls);
    uint32_t open = source_find(p, node->span.start, node->span.end, '[');
    uint32_t last = n->tools.count ? n->tools.items[n->tools.count - 1]->span.end : open;
    return CAT(p, doc_text(p, "expect calls "), bracketed(p, "[", n->tools, "]", open, source_find(p, last, node->span.end, ']') + 1),
               n->any_order ? doc_text(p, " in any order") : NULL);
}

Doc *node_expect_asked(Printer *p, const Ast *node)
{
    NODE(expect_asked);
    return fmt_opt(p, "expect asked ", n->text);
}

Doc *node_expect_emitted(Printer *p, const Ast *node)
{
    NODE(expect_emitted);
    uint32_t open = source_find(p, node->span.start, node->span.end, '[');
    return CAT(p, doc_text(p, "expect emitted "), bracketed(p, "[", n->events, "]", open, node->span.end));
}

Doc *node_request_stmt(Printer *p, const Ast *node)
{
    NODE(request_stmt);
    Doc *user = n->has_user ? CAT(p, doc_text(p, " as user "), fmt_quoted(p, n->user), doc_text(p, " of "), fmt_quoted(p, n->tenant)) : NULL;
    return CAT(p, doc_text(p, "request "), fmt_ident(p, n->method), fmt_opt(p, " ", n->target), user, fmt_expr(p, " scopes ", n->scopes, LEVEL_POSTFIX),
               fmt_expr(p, " roles ", n->roles, LEVEL_POSTFIX), fmt_opt(p, " headers ", n->headers), doc_text(p, n->is_signed ? " signed" : ""), fmt_opt(p, " ", n->body));
}

Doc *node_expect_status(Printer *p, const Ast *node)
{
    NODE(expect_status);
    return fmt_opt(p, "expect status ", n->status);
}

Doc *node_expect_stream(Printer *p, const Ast *node)
{
    NODE(expect_stream);
    uint32_t open = source_find(p, node->span.start, node->span.end, '[');
    return CAT(p, doc_text(p, "expect stream "), bracketed(p, "[", n->events, "]", open, node->span.end));
}

Doc *node_stream_event(Printer *p, const Ast *node)
{
    NODE(stream_event);
    return CAT(p, fmt_ident(p, n->type), fmt_opt(p, " ", n->percent), fmt_opt(p, " ", n->text));
}

/* Where the parser gave up there is nothing but the text. */
Doc *node_error(Printer *p, const Ast *node)
{
    return fmt_source(p, node->span);
}
