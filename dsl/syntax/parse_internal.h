/* parse_internal.h - what the grammar's actions use: a constructor per node and lists under construction. Internal to dsl/.
 *
 * ast_let_stmt(parser, place, …) and its sisters come from ast.def, arguments in the order of the fields there. A
 * list under construction is a run on top of the parser's scratch stack; the grammar holds only its start.
 * Inner lists are taken before the outer one grows, since a bottom-up parser finishes them first.
 */
#ifndef SYNTAX_PARSE_INTERNAL_H
#define SYNTAX_PARSE_INTERNAL_H
#include "dsl/syntax/parse.h"
#include "dsl/syntax/token.h"

typedef struct Parser {
    Arena *arena;
    Tokens tokens;
    Layer layer;
    Diags *diags;
    Ast **scratch;
    uint32_t scratch_count, scratch_cap;
    Ast_policy_decl *policy;    /* the one whose entries are being read; policies do not nest */
    Ast_module *root;
    bool recovering;            /* tokens are thrown away until a rule with `error` can end */
    bool ended;                 /* the end of the file is the error, and no rule can end there */
    uint32_t error_at;          /* 1 + index of the token of the newest error */
    bool too_deep;              /* E0203 has been given once */
} Parser;

Span place_span(const Parser *parser, Place place);
Ast *ast_new(Parser *parser, Place place, AstKind kind, size_t size_bytes);   /* head filled, documentation attached */
Ident ident(const Parser *parser, Place place);
static inline Ident ident_none(void) { return (Ident){ .text = STR("") }; }

#define AST_PARAM_NODE(field)  , Ast *field
#define AST_PARAM_OPT(field)   , Ast *field
#define AST_PARAM_LIST(field)  , AstList field
#define AST_PARAM_IDENT(field) , Ident field
#define AST_PARAM_TEXT(field)  , Str field
#define AST_PARAM_FLAG(field)  , int field
#define AST_PARAM_INT(field)   , int64_t field
#define AST_PARAM(sort, field) AST_PARAM_##sort(field)
#define AST_SET(sort, field)   made->field = field;
#define AST(KIND, kind_name)                                                                                        \
    static inline Ast *ast_##kind_name(Parser *parser, Place at AST_FIELDS_##kind_name(AST_PARAM))                  \
    {                                                                                                               \
        Ast_##kind_name *made = (Ast_##kind_name *)(void *)ast_new(parser, at, AST_##KIND, sizeof *made);           \
        AST_FIELDS_##kind_name(AST_SET)                                                                             \
        return &made->head;                                                                                         \
    }
#include "dsl/syntax/ast.def"
#undef AST

uint32_t list_start(Parser *parser, Ast *first);
uint32_t ast_list_append(Parser *parser, uint32_t start, AstList items);
uint32_t list_add(Parser *parser, uint32_t start, Ast *item);
AstList  list_take(Parser *parser, uint32_t start);
void     list_drop(Parser *parser, uint32_t start);
static inline AstList list_none(void) { return (AstList){ 0 }; }
AstList  list_of_kind(Parser *parser, AstList list, AstKind kind, bool wanted);   /* the items that are (or are not) of the kind */

/* Leaves. */
Ast *leaf_int(Parser *parser, Place place);
Ast *leaf_decimal(Parser *parser, Place place);
Ast *leaf_percent(Parser *parser, Place place);
Ast *leaf_duration(Parser *parser, Place place);
Ast *leaf_date(Parser *parser, Place place);
Ast *leaf_timestamp(Parser *parser, Place place);
Ast *leaf_regex(Parser *parser, Place place);
Ast *leaf_string(Parser *parser, Place place);
Ast *leaf_text(Parser *parser, Place place);
Ast *leaf_name(Parser *parser, Place place);
Ast *leaf_interpolation(Parser *parser, Place place, Ast *value, Place close);
Ast *leaf_parts(Parser *parser, Place place, Place open, uint32_t start);       /* drops parts without text */
Str  plain_text(const Parser *parser, Place place);                               /* value of a T_STRING */
Str  path_text(Parser *parser, Place place);                                      /* agents.travel, spaces taken out */
Ast *call_or_aggregate(Parser *parser, Place place, Ast *callee, AstList args);
Ast *aggregate_where(Parser *parser, Place place, Ast *callee, Ast *source, Ast *where, Place at);
Ident ident_quoted(const Parser *parser, Place place);                           /* of a string as key: its value */
void ast_widen(Parser *parser, Ast *node, Place place);
Ast *webhook_flow(Parser *parser, Place place, Ident name, Ast *webhook, AstList clauses, Ast *body);
int  flag_once(Parser *parser, Place place, int flags, int flag);
Ast *request_part(Parser *parser, Ast *request, Place place, Place at, const char *part, Ast **slot, Ast *value);
Ast *plan_option(Parser *parser, Ast *plan, Place place, Place at, const char *option, Ast **slot, Ast *value);
Ast *plan_allow(Parser *parser, Ast *plan, Place place, Place at, AstList tools);
Ast *plan_ask(Parser *parser, Ast *plan, Place place, Place at);
Ast *request_user(Parser *parser, Ast *request, Place place, Place at, Str user, Str tenant);
void policy_begin(Parser *parser, Place name);
Ast *policy_end(Parser *parser, Place place);
void policy_set(Parser *parser, Place place, const char *entry, Ast **slot, Ast *value);
void policy_list(Parser *parser, Place place, const char *entry, AstList *slot, AstList value);
Ast *assignment_as_condition(Parser *parser, Place whole, Place equals, Ast *left, Ast *right);

/* Depth. */
Ast *ast_error_at(Parser *parser, Span span);
void parse_too_deep(Parser *parser, Span span);
Ast *decl_limited(Parser *parser, Ast *decl);                   /* of a declaration of the module, right when it is made */
bool ast_limit_depth(Ast *node, Parser *parser, int depth);      /* cuts what lies deeper than AST_DEPTH_MAX; false when it did */

/* From the grammar. */
int  parser_token(Parser *parser, Place *place);
void parser_unexpected(Parser *parser, Place place, int found, const int *expected, int expected_count);
const char *parser_token_name(int token);                          /* as the grammar spells it: T_LET, '{' */
int  yyparse(Parser *parser);
#endif
