/* condition.y - the grammar of conditions: that of JavaScript's expressions, without what the subset has not.
 *
 * The levels are ECMAScript's own, so that precedence, and that `??` does not mix with `||` and `&&`, are its. No error rule: the first mistake ends
 * the reading. The stack is bounded by YYMAXDEPTH, the tree by CONDITION_DEPTH_MAX.
 */
%code requires {
#include "dsl/syntax/condition_internal.h"
#define YYLLOC_DEFAULT(Current, Rhs, N)                                                   \
    do {                                                                                  \
        if (N)                                                                            \
            (Current) = (CondPlace){ YYRHSLOC(Rhs, 1).start, YYRHSLOC(Rhs, N).end };      \
        else                                                                              \
            (Current) = (CondPlace){ YYRHSLOC(Rhs, 0).end, YYRHSLOC(Rhs, 0).end };        \
    } while (0)
#define YYMAXDEPTH 2000
}
%code {
#define P parser
/* Makes a node or ends the reading. */
#define MAKE(out, node) do { (out) = (node); if (P->failed) YYABORT; } while (0)
static int yylex(YYSTYPE *value, CondPlace *place, CondParser *parser, void *scanner)
{
    return cond_scan(parser, scanner, &value->token, place);
}
static void yyerror(CondPlace *place, CondParser *parser, void *scanner, const char *message)
{
    (void)message, (void)scanner;                               /* only the stack's limit ends up here */
    cond_too_deep(parser, *place);
}
}
%define api.pure full
%define api.prefix {cond_yy}
%define api.token.prefix {COND_T_}
%define api.location.type {CondPlace}
%define parse.error custom
%define parse.lac full
%locations
%expect 0
%param { CondParser *parser } { void *scanner }
%initial-action { @$ = (CondPlace){ 0, 0 }; }
%union {
    CondToken token;
    Cond *node;
    uint32_t start;
    int op;
}
%token EOF 0
%token BEGIN_EXPR BEGIN_PATH BEGIN_TEXT STOP
%token <token> NAME NUMBER STRING
%token TRUE FALSE NULL IN AND OR COALESCE SAME NOT_SAME EQUAL NOT_EQUAL LESS_EQUAL MORE_EQUAL OPTIONAL
%token TEMPLATE TEMPLATE_END INTERPOLATION INTERPOLATION_END

%type <node> expr short or and coalesce equality relation sum product unary postfix primary template part path step text_part
%type <start> parts args arg_list text_parts
%type <op> same_op order_op sum_op product_op unary_op
%%
start: BEGIN_EXPR expr                  { P->root = $2; }
    | BEGIN_PATH path                   { P->root = $2; }
    | BEGIN_TEXT text_parts             { MAKE(P->root, cond_template(P, @2, $2)); }
    ;
expr: short
    | short '?' expr ':' expr           { MAKE($$, cond_choice(P, @$, $1, $3, $5)); }
    ;
short: or | coalesce
    ;
coalesce: coalesce COALESCE equality    { MAKE($$, cond_binary(P, @$, @2, COND_OP_COALESCE, $1, $3)); }
    | equality COALESCE equality        { MAKE($$, cond_binary(P, @$, @2, COND_OP_COALESCE, $1, $3)); }
    ;
or: and
    | or OR and                         { MAKE($$, cond_binary(P, @$, @2, COND_OP_OR, $1, $3)); }
    ;
and: equality
    | and AND equality                  { MAKE($$, cond_binary(P, @$, @2, COND_OP_AND, $1, $3)); }
    ;
equality: relation
    | equality same_op relation         { MAKE($$, cond_binary(P, @$, @2, (CondOp)$2, $1, $3)); }
    ;
same_op: SAME                           { $$ = COND_OP_SAME; }
    | NOT_SAME                          { $$ = COND_OP_NOT_SAME; }
    | EQUAL                             { $$ = COND_OP_EQUAL; }
    | NOT_EQUAL                         { $$ = COND_OP_NOT_EQUAL; }
    ;
relation: sum
    | relation order_op sum             { MAKE($$, cond_binary(P, @$, @2, (CondOp)$2, $1, $3)); }
    ;
order_op: '<'                           { $$ = COND_OP_LESS; }
    | LESS_EQUAL                        { $$ = COND_OP_LESS_EQUAL; }
    | '>'                               { $$ = COND_OP_MORE; }
    | MORE_EQUAL                        { $$ = COND_OP_MORE_EQUAL; }
    | IN                                { $$ = COND_OP_IN; }
    ;
sum: product
    | sum sum_op product                { MAKE($$, cond_binary(P, @$, @2, (CondOp)$2, $1, $3)); }
    ;
sum_op: '+'                             { $$ = COND_OP_ADD; }
    | '-'                               { $$ = COND_OP_SUB; }
    ;
product: unary
    | product product_op unary          { MAKE($$, cond_binary(P, @$, @2, (CondOp)$2, $1, $3)); }
    ;
product_op: '*'                         { $$ = COND_OP_MUL; }
    | '/'                               { $$ = COND_OP_DIV; }
    | '%'                               { $$ = COND_OP_REST; }
    ;
unary: postfix
    | unary_op unary                    { MAKE($$, cond_unary(P, @$, (CondOp)$1, $2)); }
    ;
unary_op: '!'                           { $$ = COND_OP_NOT; }
    | '-'                               { $$ = COND_OP_MINUS; }
    | '+'                               { $$ = COND_OP_PLUS; }
    ;
postfix: primary
    | postfix '.' NAME                  { MAKE($$, cond_member(P, @$, $1, $3.text, false)); }
    | postfix OPTIONAL NAME             { MAKE($$, cond_member(P, @$, $1, $3.text, true)); }
    | postfix '[' expr ']'              { MAKE($$, cond_index(P, @$, $1, $3, false)); }
    | postfix OPTIONAL '[' expr ']'     { MAKE($$, cond_index(P, @$, $1, $4, true)); }
    | postfix '(' args ')'              { MAKE($$, cond_call(P, @$, $1, $3)); }
    | postfix OPTIONAL '(' args ')'     { cond_refuse_what(P, @2, "an optional call (`?.(`)", ""); YYABORT; }
    ;
args: %empty                            { $$ = P->stack_count; }
    | arg_list
    | arg_list ','
    ;
arg_list: expr                          { $$ = cond_push(P, $1); }
    | arg_list ',' expr                 { $$ = $1; cond_push(P, $3); }
    ;
primary: NAME                           { MAKE($$, cond_new(P, COND_NAME, @1)); $$->text = arena_str(P->arena, $1.text); }
    | NUMBER                            { MAKE($$, cond_new(P, COND_NUMBER, @1)); $$->number = $1.number; }
    | STRING                            { MAKE($$, cond_new(P, COND_STRING, @1)); $$->text = $1.text; }
    | TRUE                              { MAKE($$, cond_new(P, COND_BOOL, @1)); $$->boolean = true; }
    | FALSE                             { MAKE($$, cond_new(P, COND_BOOL, @1)); }
    | NULL                              { MAKE($$, cond_new(P, COND_NULL, @1)); }
    | '(' expr ')'                      { $$ = $2; $$->grouped = true; }
    | '[' args ']'                      { MAKE($$, cond_list(P, @$, $2)); }
    | template
    ;
template: TEMPLATE parts TEMPLATE_END   { MAKE($$, cond_template(P, @$, $2)); }
    ;
parts: %empty                           { $$ = P->stack_count; }
    | parts part                        { $$ = $1; cond_push(P, $2); }
    ;
part: STRING                            { MAKE($$, cond_new(P, COND_STRING, @1)); $$->text = $1.text; }
    | INTERPOLATION expr INTERPOLATION_END     { $$ = $2; }
    ;
text_parts: %empty                      { $$ = P->stack_count; }
    | text_parts text_part              { $$ = $1; cond_push(P, $2); }
    ;
text_part: STRING                       { MAKE($$, cond_new(P, COND_STRING, @1)); $$->text = $1.text; }
    | INTERPOLATION path INTERPOLATION_END     { $$ = $2; }
    ;
path: NAME                              { MAKE($$, cond_new(P, COND_NAME, @1)); $$->text = arena_str(P->arena, $1.text); }
    | path '.' NAME                     { MAKE($$, cond_member(P, @$, $1, $3.text, false)); }
    | path OPTIONAL NAME                { MAKE($$, cond_member(P, @$, $1, $3.text, true)); }
    | path '[' step ']'                 { MAKE($$, cond_index(P, @$, $1, $3, false)); }
    | path OPTIONAL '[' step ']'        { MAKE($$, cond_index(P, @$, $1, $4, true)); }
    ;
step: NUMBER                            { MAKE($$, cond_new(P, COND_NUMBER, @1)); $$->number = $1.number; }
    | STRING                            { MAKE($$, cond_new(P, COND_STRING, @1)); $$->text = $1.text; }
    ;
%%

static int token_of_symbol(yysymbol_kind_t symbol)
{
    int token = 0;
    while (token < YYMAXUTOK && YYTRANSLATE(token) != symbol) token++;
    return token;
}

/* What bison knows about an error; condition_parse.c says it. */
static int yyreport_syntax_error(const yypcontext_t *context, CondParser *parser, void *scanner)
{
    enum { EXPECTED_MAX = 64 };
    yysymbol_kind_t symbols[EXPECTED_MAX];
    int tokens[EXPECTED_MAX], count = yypcontext_expected_tokens(context, symbols, EXPECTED_MAX);
    (void)scanner;
    for (int i = 0; i < count; i++) tokens[i] = token_of_symbol(symbols[i]);
    cond_unexpected(parser, *yypcontext_location(context), token_of_symbol(yypcontext_token(context)), tokens, count);
    return 0;
}

bool cond_grammar(CondParser *parser, void *scanner)
{
    return cond_yyparse(parser, scanner) == 0 && !parser->failed;
}
