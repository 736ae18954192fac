/* fmt_expr.c - expressions. The tree has no parentheses: an operand gets a pair when its level is below what its place asks
 * for. The levels are those of the grammar, loosest first. */
#include "dsl/syntax/fmt.h"
#include "dsl/syntax/fmt_internal.h"

static const struct { const char *text; Level level; bool may_break; } operators[] = {
    [BINARY_OR] = { "or", LEVEL_OR, true },         [BINARY_AND] = { "and", LEVEL_AND, true },
    [BINARY_EQ] = { "==", LEVEL_COMPARE, false },   [BINARY_NE] = { "!=", LEVEL_COMPARE, false },
    [BINARY_LT] = { "<", LEVEL_COMPARE, false },    [BINARY_LE] = { "<=", LEVEL_COMPARE, false },
    [BINARY_GT] = { ">", LEVEL_COMPARE, false },    [BINARY_GE] = { ">=", LEVEL_COMPARE, false },
    [BINARY_IN] = { "in", LEVEL_COMPARE, false },   [BINARY_MATCH] = { "=~", LEVEL_COMPARE, false },
    [BINARY_NOT_MATCH] = { "!~", LEVEL_COMPARE, false }, [BINARY_COALESCE] = { "??", LEVEL_COALESCE, true },
    [BINARY_ADD] = { "+", LEVEL_ADD, true },        [BINARY_SUB] = { "-", LEVEL_ADD, false },
    [BINARY_MUL] = { "*", LEVEL_MUL, false },       [BINARY_DIV] = { "/", LEVEL_MUL, false },
    [BINARY_MOD] = { "%", LEVEL_MUL, false },
};

static Doc *arg_doc(Printer *p, const Ast *node, bool comma_follows);
static Doc *field_value_doc(Printer *p, const Ast *node, bool comma_follows);
static Doc *lambda_doc(Printer *p, const Ast *node, bool comma_follows);

/* if, match and insert are operands to the grammar, but read better in a pair of their own. */
static Level level_of(const Ast *node)
{
    switch (node->kind) {
    case AST_LAMBDA_EXPR:
    case AST_RETRY_EXPR:
    case AST_WITHIN_EXPR:
    case AST_CACHED_EXPR:
    case AST_ELSE_EXPR: return LEVEL_ANY;
    case AST_FROM_EXPR:
    case AST_ASK_EXPR:
    case AST_AWAIT_EXPR:
    case AST_REPLAY_EXPR:
    case AST_PLAN_EXPR:
    case AST_START_EXPR:
    case AST_INSERT_EXPR:
    case AST_UPDATE_EXPR:
    case AST_DELETE_EXPR:
    case AST_PARALLEL_FOR:
    case AST_PARALLEL_STMT:
    case AST_IF_STMT:
    case AST_MATCH_STMT: return LEVEL_QUERY;
    case AST_BINARY_EXPR: return operators[((const Ast_binary_expr *)(const void *)node)->op].level;
    case AST_UNARY_EXPR: return ((const Ast_unary_expr *)(const void *)node)->op == UNARY_NOT ? LEVEL_NOT : LEVEL_UNARY;
    case AST_AS_EXPR:
    case AST_WITH_EXPR: return LEVEL_AS;
    default: return LEVEL_POSTFIX;
    }
}

static Doc *in_parens(Printer *p, const Ast *node)
{
    return CAT(p, doc_text(p, "("), fmt_node(p, node), doc_text(p, ")"));
}

Doc *fmt_operand(Printer *p, const Ast *node, Level level)
{
    return level_of(node) >= level ? fmt_node(p, node) : in_parens(p, node);
}

Doc *fmt_expr(Printer *p, const char *before, const Ast *node, Level level)
{
    return node ? CAT(p, doc_text(p, before), fmt_operand(p, node, level)) : NULL;
}

/* The part that stands leftmost in the text, together with what it is part of; a pair of parentheses on the way ends it. */
static const Ast *left_part(const Ast *node, Level *level)
{
    switch (node->kind) {
    case AST_RETRY_EXPR: *level = LEVEL_QUERY; return ((const Ast_retry_expr *)(const void *)node)->value;
    case AST_WITHIN_EXPR: *level = LEVEL_QUERY; return ((const Ast_within_expr *)(const void *)node)->value;
    case AST_CACHED_EXPR: *level = LEVEL_QUERY; return ((const Ast_cached_expr *)(const void *)node)->value;
    case AST_ELSE_EXPR: *level = LEVEL_QUERY; return ((const Ast_else_expr *)(const void *)node)->value;
    case AST_BINARY_EXPR: {
        const Ast_binary_expr *n = (const Ast_binary_expr *)(const void *)node;
        *level = operators[n->op].level + (operators[n->op].level == LEVEL_COMPARE || operators[n->op].level == LEVEL_COALESCE);
        return n->left;
    }
    case AST_AS_EXPR: *level = LEVEL_AS; return ((const Ast_as_expr *)(const void *)node)->value;
    case AST_WITH_EXPR: *level = LEVEL_AS; return ((const Ast_with_expr *)(const void *)node)->value;
    case AST_RANGE_EXPR: *level = LEVEL_OR; return ((const Ast_range_expr *)(const void *)node)->from;
    case AST_FIELD_EXPR: *level = LEVEL_POSTFIX; return ((const Ast_field_expr *)(const void *)node)->object;
    case AST_INDEX_EXPR: *level = LEVEL_POSTFIX; return ((const Ast_index_expr *)(const void *)node)->object;
    case AST_CALL_EXPR: *level = LEVEL_POSTFIX; return ((const Ast_call_expr *)(const void *)node)->callee;
    default: return NULL;
    }
}

/* NULL when the text starts with `(`. */
static const Ast *leftmost(const Ast *node, const Ast **parent)
{
    Level level;
    *parent = NULL;
    for (const Ast *left; (left = left_part(node, &level)); node = left) {
        bool clauses = level == LEVEL_QUERY && level_of(left) == LEVEL_ANY;            /* one chain, no parentheses between */
        if (level_of(left) < level && !clauses) return NULL;
        *parent = node;
    }
    return node;
}

/* `{ a: …`, `{ "a": …` and `{ a, …` are records wherever they stand; `{}` and `{ a }` would open a block. */
static bool looks_like_block(const Ast *node)
{
    if (node->kind != AST_RECORD_EXPR) return false;
    AstList fields = ((const Ast_record_expr *)(const void *)node)->fields;
    return !fields.count || (fields.count == 1 && !as_field_value(fields.items[0])->value);
}

Doc *fmt_behind_arrow(Printer *p, const Ast *node)
{
    const Ast *parent, *first = leftmost(node, &parent);
    return first && looks_like_block(first) ? in_parens(p, node) : fmt_node(p, node);
}

/* Behind `match`, `if`, `for`, `while` the next `{` that is no record opens the body. */
Doc *fmt_before_block(Printer *p, const Ast *node)
{
    switch (node->kind) {
    case AST_RETRY_EXPR:
    case AST_WITHIN_EXPR:
    case AST_CACHED_EXPR:
    case AST_ELSE_EXPR:
    case AST_INSERT_EXPR:
    case AST_MATCH_STMT:
    case AST_IF_STMT:
    case AST_PARALLEL_FOR:
    case AST_PARALLEL_STMT: return in_parens(p, node);
    default: return fmt_node(p, node);
    }
}

/* A name that would be taken for the word of a statement. */
static bool name_starts_statement(const Ast *name, const Ast *parent)
{
    static const char *const words[] = { "sleep", "progress", "advance", "answer", "expect" };
    Str text = ((const Ast_name_expr *)(const void *)name)->name.text;
    if (!parent) return str_is(text, "cancel");
    if (parent->kind != AST_CALL_EXPR) return false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (str_is(text, words[i])) return true;
    return false;
}

/* A minus would go on with the line above, and `if`, `match`, `parallel` would be the statements of that name. */
Doc *fmt_at_start(Printer *p, const Ast *node)
{
    const Ast *parent, *first = leftmost(node, &parent);
    if (!first) return fmt_node(p, node);
    bool minus = first->kind == AST_UNARY_EXPR && ((const Ast_unary_expr *)(const void *)first)->op == UNARY_NEG;
    bool statement = first->kind == AST_IF_STMT || first->kind == AST_MATCH_STMT || first->kind == AST_PARALLEL_STMT;
    bool name = first->kind == AST_NAME_EXPR && name_starts_statement(first, parent);
    return minus || statement || name || looks_like_block(first) ? in_parens(p, node) : fmt_node(p, node);
}

/* Behind the keys of `order by` and the assignments of `set` a comma brings another one. */
static bool takes_commas(const Ast *node)
{
    switch (node->kind) {
    case AST_FROM_EXPR: return ((const Ast_from_expr *)(const void *)node)->order.count > 0;
    case AST_UPDATE_EXPR: return true;
    case AST_RETRY_EXPR: return takes_commas(((const Ast_retry_expr *)(const void *)node)->value);
    case AST_WITHIN_EXPR: return takes_commas(((const Ast_within_expr *)(const void *)node)->value);
    case AST_CACHED_EXPR: return takes_commas(((const Ast_cached_expr *)(const void *)node)->value);
    case AST_ELSE_EXPR: return takes_commas(((const Ast_else_expr *)(const void *)node)->value) || takes_commas(((const Ast_else_expr *)(const void *)node)->otherwise);
    default: return false;
    }
}

static Doc *value_doc(Printer *p, const Ast *value, bool comma_follows)
{
    if (!comma_follows) return fmt_node(p, value);
    if (value->kind == AST_LAMBDA_EXPR) return lambda_doc(p, value, true);
    return takes_commas(value) ? in_parens(p, value) : fmt_node(p, value);
}

Doc *fmt_before_comma(Printer *p, const Ast *node)
{
    if (node->kind == AST_ARG) return arg_doc(p, node, true);
    if (node->kind == AST_FIELD_VALUE) return field_value_doc(p, node, true);
    return value_doc(p, node, true);
}

/* ---- literals ---- */

Doc *node_null_expr(Printer *p, const Ast *node)
{
    return doc_text(p, "null");
}

Doc *node_bool_expr(Printer *p, const Ast *node)
{
    NODE(bool_expr);
    return doc_text(p, n->value ? "true" : "false");
}

Doc *node_int_expr(Printer *p, const Ast *node)
{
    return fmt_source(p, node->span);
}

Doc *node_decimal_expr(Printer *p, const Ast *node)
{
    return fmt_source(p, node->span);
}

Doc *node_duration_expr(Printer *p, const Ast *node)
{
    return fmt_source(p, node->span);
}

Doc *node_date_expr(Printer *p, const Ast *node)
{
    return fmt_source(p, node->span);
}

Doc *node_timestamp_expr(Printer *p, const Ast *node)
{
    return fmt_source(p, node->span);
}

Doc *node_regex_expr(Printer *p, const Ast *node)
{
    return fmt_source(p, node->span);
}

/* The text stays as written, escapes and line ends too; what is interpolated is an expression like any other as long as it
 * stays on one line. */
Doc *node_string_expr(Printer *p, const Ast *node)
{
    NODE(string_expr);
    Doc *doc = doc_list(p);
    uint32_t at = node->span.start;
    for (uint32_t i = 0; i < n->parts.count; i++) {
        const Ast *part = n->parts.items[i];
        if (part->kind != AST_INTERP_PART) continue;
        doc_push(p, doc, fmt_source(p, (Span){ at, part->span.start, 0 }));
        doc_push(p, doc, fmt_node(p, part));
        at = part->span.end;
    }
    doc_push(p, doc, fmt_source(p, (Span){ at, node->span.end, 0 }));
    return doc;
}

Doc *node_text_part(Printer *p, const Ast *node)
{
    return fmt_source(p, node->span);
}

Doc *node_interp_part(Printer *p, const Ast *node)
{
    NODE(interp_part);
    Doc *value = fmt_node(p, n->value);
    if (doc_breaks(value)) {
        fmt_comments_skip(p, node->span);
        return fmt_source(p, node->span);
    }
    Buf flat = { 0 };
    doc_print_flat(value, &flat);
    value = doc_str(p, arena_str(p->arena, buf_str(&flat)));
    buf_free(&flat);
    return CAT(p, doc_text(p, "${"), value, doc_text(p, n->format.len ? ":" : ""), doc_str(p, n->format), doc_text(p, "}"));
}

/* ---- lists, records, calls ---- */

Doc *node_list_expr(Printer *p, const Ast *node)
{
    NODE(list_expr);
    return bracketed(p, "[", n->items, "]", node->span.start, node->span.end);
}

Doc *node_record_expr(Printer *p, const Ast *node)
{
    NODE(record_expr);
    return bracketed(p, "{", n->fields, "}", node->span.start, node->span.end);
}

static Doc *field_value_doc(Printer *p, const Ast *node, bool comma_follows)
{
    NODE(field_value);
    Doc *name = n->quoted ? fmt_quoted(p, n->name.text) : fmt_ident(p, n->name);
    return n->value ? CAT(p, name, doc_text(p, ": "), value_doc(p, n->value, comma_follows)) : name;
}

Doc *node_field_value(Printer *p, const Ast *node)
{
    return field_value_doc(p, node, false);
}

Doc *node_name_expr(Printer *p, const Ast *node)
{
    NODE(name_expr);
    return fmt_ident(p, n->name);
}

Doc *node_field_expr(Printer *p, const Ast *node)
{
    NODE(field_expr);
    return CAT(p, fmt_operand(p, n->object, LEVEL_POSTFIX), doc_text(p, n->optional ? "?." : "."), fmt_ident(p, n->name));
}

Doc *node_index_expr(Printer *p, const Ast *node)
{
    NODE(index_expr);
    return CAT(p, fmt_operand(p, n->object, LEVEL_POSTFIX), doc_text(p, "["), fmt_node(p, n->index), doc_text(p, "]"));
}

/* An only argument that has brackets or blocks of its own breaks there; those of the call stay close to them. */
static bool hugs(AstList args)
{
    if (args.count != 1) return false;
    const Ast_arg *arg = as_arg(args.items[0]);
    if (arg->name.text.len) return false;
    switch (arg->value->kind) {
    case AST_LIST_EXPR:
    case AST_RECORD_EXPR:
    case AST_CALL_EXPR:
    case AST_LAMBDA_EXPR:
    case AST_MATCH_STMT:
    case AST_IF_STMT:
    case AST_PARALLEL_FOR: return true;
    default: return false;
    }
}

Doc *node_call_expr(Printer *p, const Ast *node)
{
    NODE(call_expr);
    Doc *callee = fmt_operand(p, n->callee, LEVEL_POSTFIX);
    uint32_t open = source_find(p, n->callee->span.end, node->span.end, '(');
    if (hugs(n->args) && !source_newline_after(p, open + 1)) return CAT(p, callee, doc_text(p, "("), fmt_node(p, n->args.items[0]), doc_text(p, ")"));
    return CAT(p, callee, bracketed(p, "(", n->args, ")", open, node->span.end));
}

static Doc *arg_doc(Printer *p, const Ast *node, bool comma_follows)
{
    NODE(arg);
    return CAT(p, fmt_ident(p, n->name), doc_text(p, n->name.text.len ? ": " : ""), value_doc(p, n->value, comma_follows));
}

Doc *node_arg(Printer *p, const Ast *node)
{
    return arg_doc(p, node, false);
}

static Doc *lambda_doc(Printer *p, const Ast *node, bool comma_follows)
{
    NODE(lambda_expr);
    bool bare = n->params.count == 1;
    return CAT(p, doc_text(p, bare ? "" : "("), fmt_comma_list(p, n->params), doc_text(p, bare ? " => " : ") => "),
               value_doc(p, n->body, comma_follows));
}

Doc *node_lambda_expr(Printer *p, const Ast *node)
{
    return lambda_doc(p, node, false);
}

/* ---- operators ---- */

Doc *node_unary_expr(Printer *p, const Ast *node)
{
    NODE(unary_expr);
    if (n->op == UNARY_NOT) return fmt_expr(p, "not ", n->operand, LEVEL_NOT);
    return fmt_expr(p, "-", n->operand, LEVEL_UNARY);
}

static const Ast_binary_expr *binary_of(const Ast *node, int op)
{
    if (node->kind != AST_BINARY_EXPR) return NULL;
    const Ast_binary_expr *binary = (const Ast_binary_expr *)(const void *)node;
    return binary->op == op ? binary : NULL;
}

static Doc *operator_doc(Printer *p, const Ast_binary_expr *n, const Ast *right, Level level)
{
    return CAT(p, doc_text(p, operators[n->op].text), doc_text(p, " "), fmt_operand(p, right, level));
}

/* `a and b and c` is one chain: its operands stand side by side, not as stairs. */
static void binary_chain(Printer *p, const Ast_binary_expr *n, Chain *chain)
{
    const Ast_binary_expr *left = binary_of(n->left, n->op);
    if (left) {
        binary_chain(p, left, chain);
        chain->broken = chain->broken || source_newline_before_word(p, n->left->span.end, n->right->span.start);
    } else *chain = chain_of(p, fmt_operand(p, n->left, operators[n->op].level), n->left->span.end, n->right->span.start);
    chain_add(p, chain, n->right->span.start, n->right->span.end, operator_doc(p, n, n->right, operators[n->op].level + 1));
}

/* `a ?? b ?? c` leans to the right. */
static Chain coalesce_chain(Printer *p, const Ast_binary_expr *n)
{
    Chain chain = chain_of(p, fmt_operand(p, n->left, LEVEL_COALESCE + 1), n->left->span.end, n->right->span.start);
    for (const Ast_binary_expr *next; (next = binary_of(n->right, BINARY_COALESCE)); n = next) {
        chain_add(p, &chain, n->right->span.start, next->left->span.end, operator_doc(p, n, next->left, LEVEL_COALESCE + 1));
        chain.broken = chain.broken || source_newline_before_word(p, next->left->span.end, next->right->span.start);
    }
    chain_add(p, &chain, n->right->span.start, n->right->span.end, operator_doc(p, n, n->right, LEVEL_COALESCE));
    return chain;
}

Doc *node_binary_expr(Printer *p, const Ast *node)
{
    NODE(binary_expr);
    if (operators[n->op].may_break) {
        Chain chain;
        if (n->op == BINARY_COALESCE) chain = coalesce_chain(p, n);
        else binary_chain(p, n, &chain);
        return chain_doc(p, &chain, 0);
    }
    Level level = operators[n->op].level;
    return CAT(p, fmt_operand(p, n->left, level == LEVEL_COMPARE ? level + 1 : level), doc_text(p, " "),
               operator_doc(p, n, n->right, level + 1));
}

Doc *node_range_expr(Printer *p, const Ast *node)
{
    NODE(range_expr);
    return CAT(p, fmt_operand(p, n->from, LEVEL_OR), doc_text(p, ".."), fmt_operand(p, n->to, LEVEL_OR));
}

Doc *node_as_expr(Printer *p, const Ast *node)
{
    NODE(as_expr);
    return CAT(p, fmt_operand(p, n->value, LEVEL_AS), fmt_opt(p, " as ", n->type));
}

Doc *node_with_expr(Printer *p, const Ast *node)
{
    NODE(with_expr);
    return CAT(p, fmt_operand(p, n->value, LEVEL_AS), fmt_opt(p, " with ", n->fields));
}

/* ---- clauses behind an expression ---- */

static const Ast *clause_inner(const Ast *node)
{
    switch (node->kind) {
    case AST_RETRY_EXPR: return ((const Ast_retry_expr *)(const void *)node)->value;
    case AST_WITHIN_EXPR: return ((const Ast_within_expr *)(const void *)node)->value;
    case AST_CACHED_EXPR: return ((const Ast_cached_expr *)(const void *)node)->value;
    case AST_ELSE_EXPR: return ((const Ast_else_expr *)(const void *)node)->value;
    default: return NULL;
    }
}

/* Behind `else` a value has no clauses of its own, and neither has what is returned. */
static Doc *otherwise_doc(Printer *p, const Ast *node)
{
    if (node->kind == AST_RETURN_STMT) return CAT(p, doc_text(p, "return"), fmt_expr(p, " ", ((const Ast_return_stmt *)(const void *)node)->value, LEVEL_OR));
    if (node->kind == AST_BLOCK || node->kind == AST_IF_STMT) return fmt_node(p, node);
    const Ast *parent, *first = leftmost(node, &parent);
    bool statement = first && (first->kind == AST_IF_STMT || first->kind == AST_MATCH_STMT || looks_like_block(first));
    return statement ? in_parens(p, node) : fmt_operand(p, node, LEVEL_QUERY);
}

static Doc *clause_doc(Printer *p, const Ast *node)
{
    if (node->kind == AST_RETRY_EXPR) return CAT(p, doc_text(p, "retry "), fmt_ident(p, ((const Ast_retry_expr *)(const void *)node)->policy));
    if (node->kind == AST_WITHIN_EXPR) return fmt_expr(p, "within ", ((const Ast_within_expr *)(const void *)node)->duration, LEVEL_OR);
    if (node->kind == AST_CACHED_EXPR) return fmt_opt(p, "cached ", ((const Ast_cached_expr *)(const void *)node)->ttl);
    return CAT(p, doc_text(p, "else "), otherwise_doc(p, ((const Ast_else_expr *)(const void *)node)->otherwise));
}

static uint32_t clause_at(const Ast *node)
{
    if (node->kind == AST_RETRY_EXPR) return ((const Ast_retry_expr *)(const void *)node)->policy.span.start;
    if (node->kind == AST_WITHIN_EXPR) return ((const Ast_within_expr *)(const void *)node)->duration->span.start;
    if (node->kind == AST_CACHED_EXPR) return ((const Ast_cached_expr *)(const void *)node)->ttl->span.start;
    return ((const Ast_else_expr *)(const void *)node)->otherwise->span.start;
}

static Chain clause_chain(Printer *p, const Ast *node)
{
    const Ast *inner = clause_inner(node);
    Level level = inner->kind == AST_PLAN_EXPR && node->kind == AST_WITHIN_EXPR ? LEVEL_POSTFIX : LEVEL_QUERY;     /* a plan has a `within` of its own */
    Chain chain = clause_inner(inner) ? clause_chain(p, inner)
                                      : chain_of(p, fmt_operand(p, inner, level), inner->span.end, clause_at(node));
    if (clause_inner(inner)) chain.broken = chain.broken || source_newline_before_word(p, inner->span.end, clause_at(node));
    chain_add(p, &chain, clause_at(node), node->span.end, clause_doc(p, node));
    return chain;
}

static Doc *clauses_of(Printer *p, const Ast *node)
{
    Chain chain = clause_chain(p, node);
    return chain_doc(p, &chain, 0);
}

Doc *node_retry_expr(Printer *p, const Ast *node)
{
    return clauses_of(p, node);
}

Doc *node_within_expr(Printer *p, const Ast *node)
{
    return clauses_of(p, node);
}

Doc *node_cached_expr(Printer *p, const Ast *node)
{
    return clauses_of(p, node);
}

Doc *node_else_expr(Printer *p, const Ast *node)
{
    return clauses_of(p, node);
}

/* ---- waiting, starting ---- */

Doc *node_ask_expr(Printer *p, const Ast *node)
{
    NODE(ask_expr);
    return CAT(p, fmt_expr(p, "ask ", n->question, LEVEL_POSTFIX), fmt_opt(p, " as ", n->type),
               fmt_expr(p, " as one of ", n->choices, LEVEL_POSTFIX));
}

Doc *node_await_expr(Printer *p, const Ast *node)
{
    NODE(await_expr);
    return CAT(p, doc_text(p, "await "), fmt_ident(p, n->event), doc_text(p, n->name.text.len ? " as " : ""), fmt_ident(p, n->name),
               fmt_expr(p, " where ", n->where, LEVEL_OR));
}

/* No author writes it. */
Doc *node_change_expr(Printer *p, const Ast *node)
{
    return fmt_source(p, node->span);
}

/* Nor this: it stands in a plan. */
Doc *node_condition_expr(Printer *p, const Ast *node)
{
    return doc_str(p, as_condition_expr((Ast *)node)->text);
}

Doc *node_json_expr(Printer *p, const Ast *node)
{
    return doc_str(p, as_json_expr((Ast *)node)->text);
}

Doc *node_effect_expr(Printer *p, const Ast *node)
{
    return fmt_source(p, node->span);
}

Doc *node_replay_expr(Printer *p, const Ast *node)
{
    NODE(replay_expr);
    return CAT(p, fmt_expr(p, "replay ", n->subject, LEVEL_POSTFIX), fmt_expr(p, " to version ", n->version, LEVEL_OR), fmt_expr(p, " until ", n->until, LEVEL_OR));
}

typedef struct PlanOption {
    uint32_t start, end;
    Doc *doc;
} PlanOption;

static void plan_option_add(PlanOption *options, size_t *count, Span span, Doc *doc)
{
    if (!doc) return;
    size_t at = (*count)++;
    for (; at > 0 && options[at - 1].start > span.start; at--) options[at] = options[at - 1];
    options[at] = (PlanOption){ span.start, span.end, doc };
}

/* The options of a plan keep the author's order. */
Doc *node_plan_expr(Printer *p, const Ast *node)
{
    NODE(plan_expr);
    const struct { const char *word; const Ast *value; } values[] = {
        { "for ", n->request }, { "within ", n->within }, { "steps ", n->steps }, { "fuel ", n->fuel }, { "calls ", n->calls },
        { "memory ", n->memory }, { "tokens ", n->tokens }, { "usd ", n->usd },
    };
    enum { VALUES = sizeof values / sizeof *values };
    PlanOption options[VALUES + 2];
    size_t count = 0;
    for (size_t i = 0; i < VALUES; i++)
        if (values[i].value) plan_option_add(options, &count, values[i].value->span, fmt_expr(p, values[i].word, values[i].value, LEVEL_OR));
    if (n->ask.text.len) plan_option_add(options, &count, n->ask.span, fmt_ident(p, n->ask));
    if (n->allow.count) {
        uint32_t first = n->allow.items[0]->span.start, before = n->plan->span.end;
        for (size_t i = 0; i < count; i++)
            if (options[i].end <= first) before = options[i].end;
        uint32_t open = source_find(p, before, first, '['), last = n->allow.items[n->allow.count - 1]->span.end;
        Span span = { open, source_find(p, last, node->span.end, ']') + 1, node->span.file };
        plan_option_add(options, &count, span, CAT(p, doc_text(p, "allow "), bracketed(p, "[", n->allow, "]", open, span.end)));
    }
    Doc *head = fmt_expr(p, "run plan ", n->plan, LEVEL_POSTFIX);
    if (!count) return head;
    Chain chain = chain_of(p, head, n->plan->span.end, options[0].start);
    for (size_t i = 0; i < count; i++) chain_add(p, &chain, options[i].start, options[i].end, options[i].doc);
    return chain_doc(p, &chain, 0);
}

Doc *node_plan_tool(Printer *p, const Ast *node)
{
    NODE(plan_tool);
    return CAT(p, fmt_ident(p, n->agent), doc_text(p, "."), fmt_ident(p, n->tool));
}

Doc *node_start_expr(Printer *p, const Ast *node)
{
    NODE(start_expr);
    return fmt_expr(p, "start ", n->call, LEVEL_POSTFIX);
}

Doc *node_parallel_for(Printer *p, const Ast *node)
{
    NODE(parallel_for);
    return CAT(p, doc_text(p, "parallel for "), fmt_ident(p, n->name), fmt_expr(p, " in ", n->source, LEVEL_OR), fmt_expr(p, " limit ", n->limit, LEVEL_OR),
               fmt_expr(p, " within ", n->within, LEVEL_OR), doc_text(p, " "), block_doc(p, n->body));
}

/* ---- queries ---- */

static void query_clause(Printer *p, Chain *chain, const Ast *node, Doc *clause)
{
    chain_add(p, chain, node->span.start, node->span.end, clause);
}

static Doc *order_doc(Printer *p, AstList order)
{
    return CAT(p, doc_text(p, "order by "), fmt_comma_list(p, order));
}

Doc *node_from_expr(Printer *p, const Ast *node)
{
    NODE(from_expr);
    Doc *head = CAT(p, doc_text(p, "from "), fmt_ident(p, n->name), fmt_expr(p, " in ", n->source, LEVEL_POSTFIX));
    const Ast *first = n->joins.count ? n->joins.items[0] : n->where ? n->where : n->group ? n->group : n->order.count ? n->order.items[0]
                     : n->limit ? n->limit : n->select;
    Chain chain = chain_of(p, head, n->source->span.end, first ? first->span.start : node->span.end);
    for (uint32_t i = 0; i < n->joins.count; i++) query_clause(p, &chain, n->joins.items[i], fmt_node(p, n->joins.items[i]));
    if (n->where) query_clause(p, &chain, n->where, fmt_expr(p, "where ", n->where, LEVEL_OR));
    if (n->group) query_clause(p, &chain, n->group, fmt_expr(p, "group by ", n->group, LEVEL_OR));
    if (n->order.count) chain_add(p, &chain, n->order.items[0]->span.start, n->order.items[n->order.count - 1]->span.end, order_doc(p, n->order));
    if (n->limit) query_clause(p, &chain, n->limit, fmt_expr(p, "limit ", n->limit, LEVEL_OR));
    if (n->select) query_clause(p, &chain, n->select, fmt_expr(p, "select ", n->select, LEVEL_OR));
    return chain_doc(p, &chain, 0);
}

Doc *node_join_clause(Printer *p, const Ast *node)
{
    NODE(join_clause);
    return CAT(p, doc_text(p, "join "), fmt_ident(p, n->name), fmt_expr(p, " in ", n->source, LEVEL_POSTFIX), fmt_expr(p, " on ", n->condition, LEVEL_OR));
}

Doc *node_order_key(Printer *p, const Ast *node)
{
    NODE(order_key);
    return CAT(p, fmt_operand(p, n->value, LEVEL_OR), doc_text(p, n->descending ? " desc" : ""));
}

Doc *node_aggregate_expr(Printer *p, const Ast *node)
{
    NODE(aggregate_expr);
    return CAT(p, fmt_ident(p, n->function), doc_text(p, "("), fmt_operand(p, n->source, LEVEL_OR), fmt_expr(p, " where ", n->where, LEVEL_OR), doc_text(p, ")"));
}

Doc *node_insert_expr(Printer *p, const Ast *node)
{
    NODE(insert_expr);
    return CAT(p, doc_text(p, "insert "), fmt_ident(p, n->table), fmt_opt(p, " ", n->value));
}

Doc *node_update_expr(Printer *p, const Ast *node)
{
    NODE(update_expr);
    Doc *head = CAT(p, doc_text(p, "update "), fmt_ident(p, n->name), doc_text(p, n->name.text.len ? " in " : ""), fmt_ident(p, n->table));
    Chain chain = chain_of(p, head, n->table.span.end, n->sets.items[0]->span.start);
    chain_add(p, &chain, n->sets.items[0]->span.start, n->sets.items[n->sets.count - 1]->span.end, CAT(p, doc_text(p, "set "), fmt_comma_list(p, n->sets)));
    if (n->where) query_clause(p, &chain, n->where, fmt_expr(p, "where ", n->where, LEVEL_OR));
    return chain_doc(p, &chain, 0);
}

Doc *node_set_clause(Printer *p, const Ast *node)
{
    NODE(set_clause);
    return CAT(p, fmt_ident(p, n->column), fmt_expr(p, " = ", n->value, LEVEL_OR));
}

Doc *node_delete_expr(Printer *p, const Ast *node)
{
    NODE(delete_expr);
    Doc *head = CAT(p, doc_text(p, "delete from "), fmt_ident(p, n->name), doc_text(p, n->name.text.len ? " in " : ""), fmt_ident(p, n->table));
    Chain chain = chain_of(p, head, n->table.span.end, n->where ? n->where->span.start : node->span.end);
    if (n->where) query_clause(p, &chain, n->where, fmt_expr(p, "where ", n->where, LEVEL_OR));
    return chain_doc(p, &chain, 0);
}
