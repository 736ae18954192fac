/* flow.y - the grammar. Tokens come from dsl/syntax/token.c and word.c, which has settled line ends, keywords and the sorts of brackets;
 * each action makes one node. Locations are runs of tokens (Place), from which spans and documentation follow.
 *
 * Two `if`s: T_IF begins a statement, T_IF_VALUE an expression; the same for match and parallel. So no statement is also an expression here.
 * Three layers of expressions: `expr` is operators over operands; `query` reaches to the right as far as it can (from, await, ask …);
 * `value` adds the clauses retry, within, else, and stands wherever a whole expression stands.
 */
%code requires {
#include "dsl/syntax/parse_internal.h"
#define YYLLOC_DEFAULT(Current, Rhs, N)                                                   \
    do {                                                                                  \
        if (N)                                                                            \
            (Current) = (Place){ YYRHSLOC(Rhs, 1).first, YYRHSLOC(Rhs, N).last };         \
        else                                                                              \
            (Current) = (Place){ YYRHSLOC(Rhs, 0).last + 1, YYRHSLOC(Rhs, 0).last };      \
    } while (0)
#define YYMAXDEPTH 6000
}
%code {
#define P parser
/* After `error`: the token that was not expected goes, and parser_token() goes on where the rule may end. */
#define SKIPPED(place) (P->ended ? 0 : yyerrok, P->recovering ? (void)yyclearin : (void)0, ast_error(P, place))
static int yylex(YYSTYPE *value, Place *place, Parser *parser)
{
    (void)value;
    return parser_token(parser, place);
}
static void yyerror(Place *place, Parser *parser, const char *message)
{
    (void)message;                                              /* only the stack's limit ends up here */
    parse_too_deep(parser, place_span(parser, *place));
}
}
%define api.pure full
%define api.location.type {Place}
%define parse.error custom
%define parse.lac full
%locations
%expect 0
%param { Parser *parser }
%initial-action { @$ = (Place){ 0, UINT32_MAX }; }
%union {
    Ast *node;
    AstList list;
    uint32_t start;
    int flag;
}
%destructor { list_drop(P, $$); } <start>

%token T_EOF 0
/* Words; from T_NAME to T_WORD_LAST. flow.l gives all of them, word.c makes names of some. */
%token T_NAME T_USE T_AGENT T_TOOL T_RESOURCE T_ON T_EVENT T_SIGNAL T_TYPE T_ENUM T_MACHINE T_FINAL T_TABLE T_OF T_SHARED T_VERSION T_INDEX
%token T_UNIQUE T_ERASE T_EXPORT T_POLICY T_ATTEMPTS T_BACKOFF T_TO T_FACTOR T_JITTER T_REFRESH T_FN T_FLOW T_PARTICIPANTS T_FIXTURE T_TEST
%token T_DOCUMENTED T_LIKE T_AUTH T_REQUIRES T_WITHIN T_DURABILITY T_ONE T_PER T_LIMIT T_RATE T_PRIORITY T_COMPENSATED T_BY T_EFFECT T_KEY T_VIA T_LIST
%token T_MAP T_ID T_LABEL T_LET T_VAR T_RETURN T_IF T_ELSE T_MATCH T_FOR T_IN T_WHILE T_AT T_MOST T_TIMES T_BREAK T_CONTINUE T_TRY T_CATCH
%token T_FINALLY T_FAIL T_TRANSACTION T_EMIT T_SAGA T_STEP T_COMPENSATE T_SLEEP T_WAIT T_UNTIL T_PROGRESS T_PARALLEL T_RACE T_CRITICAL T_NULL
%token T_TRUE T_FALSE T_AND T_OR T_NOT T_AS T_WITH T_RETRY T_ASK T_AWAIT T_WHERE T_START T_FROM T_JOIN T_GROUP T_ORDER T_DESC T_ASC T_SELECT
%token T_INSERT T_UPDATE T_SET T_DELETE T_GIVEN T_FAILS T_RETURNS T_AFTER T_USER T_ANSWERS T_NOTHING T_NOW T_IDS T_RUN T_ADVANCE T_ANSWER
%token T_AGGREGATE T_SOURCED T_ROOT T_CHILDREN T_STATE T_WHEN T_INVARIANT T_COMMAND T_CREATE T_PROJECTION T_APPEND T_VISIBLE T_ONLY T_AUDIT T_REBUILD T_REPLAY
%token T_DELIVER T_AGAIN T_CANCEL T_CRASH T_EVERYWHERE T_EXPECT T_OUTCOME T_FAILED T_CALLS T_ANY T_ASKED T_EMITTED T_SESSION T_CONTEXT T_TTL
%token T_WEBHOOK T_VERIFY T_TOLERANCE T_DEDUPE T_TENANT T_STREAM T_DISCONNECT T_PUBLIC T_SCOPE T_ROLE T_DEFAULT T_GRANTS
%token T_PLAN T_ALLOW T_STEPS T_FUEL T_MEMORY T_TOKENS T_USD T_COSTS
%token T_REQUEST T_SCOPES T_ROLES T_HEADERS T_SIGNED T_STATUS
%token T_SAVE T_COORDINATE T_CACHED T_CACHE T_ELIF T_WILDCARD T_WORD_LAST
/* Literals. */
%token T_INT T_DECIMAL T_DURATION T_DATE T_TIMESTAMP T_REGEX T_STRING T_QUOTE_OPEN T_QUOTE_CLOSE T_TEXT T_INTERPOLATION_OPEN T_INTERPOLATION_CLOSE
/* Signs. */
%token T_ARROW T_FAT_ARROW T_EQ T_NE T_LE T_GE T_MATCHES T_MATCHES_NOT T_COALESCE T_OPTIONAL_DOT T_RANGE T_ADD_ASSIGN T_SUB_ASSIGN T_MUL_ASSIGN T_SEMICOLON
/* What the layer makes of words and signs. T_NL: the end of a statement. */
%token T_NL T_IF_VALUE T_MATCH_VALUE T_PARALLEL_VALUE T_KIND T_DETAILS T_LAST_ORDER T_RECORD_OPEN T_RECORD_CLOSE T_TYPE_LT T_TYPE_GT T_LAMBDA_OPEN
%token T_KEY_COMMA T_PERCENT T_RUN_PLAN T_PLAN_WITHIN T_PLAN_ASK

%left T_OR
%left T_AND
%precedence T_NOT
%nonassoc T_EQ T_NE '<' T_LE '>' T_GE T_IN T_MATCHES T_MATCHES_NOT
%right T_COALESCE
%left '+' '-'
%left '*' '/' '%'
%precedence NEGATE
%precedence T_AS T_WITH

%type <node> decl use agent member tool resource handler event signal record field plain_field enum enum_member machine_entry machine transition name_ref table
%type <node> agent_opt table_entry column policy percent fn flow param participants participant fixture fixture_rows test at_opt auth_opt body_opt result_opt
%type <node> default_opt like_opt where_opt clause type plain_type block stmt let assign if match arm pattern guard_opt arm_body for while try catch fail step
%type <node> parallel_block parallel_rest parallel_value branch branch_value value expr query otherwise if_chain if_value match_value postfix primary string
%type <node> string_parts record_literal field_value arg part literal condition lambda range from join order_key group_opt limit_opt select_opt parallel_limit
%type <node> session context context_field parallel_within set given run expect tool_path details_opt string_opt finally_opt policy_value number_literal
%type <list> context_fields items members params param_list_opt clauses fields type_fields enum_members machine_entries name_refs table_entries participants_entries rows values branches arms
%type <list> catches args record_fields stmts fixture_entries joins order_opt sets patterns tool_paths strings policy_values
%type <start> context_field_list decl_list member_list param_list clause_list field_list type_field_list enum_list machine_list name_list table_list participant_list value_list stmt_list arm_list
%type <node> webhook scope role request stream_event costs run_plan plan_tool
%type <list> stream_events plan_tools
%type <start> stream_event_list plan_tool_list
%type <flag> route_flags route_flag default_word
%type <node> aggregate aggregate_member command projection projection_entry
%type <list> sources_opt aggregate_members projection_entries
%type <start> aggregate_list projection_list
%type <start> branch_list catch_list arg_list field_value_list part_list fixture_list join_list order_list set_list pattern_list path_list string_list policy_value_list
%type <flag> command_word shared_opt documented_opt race_opt any_order_opt direction unique let_word assign_op
%%
module: items                       { P->root = (Ast_module *)(void *)ast_module(P, @$, $1); }
    ;
items: %empty                       { $$ = list_none(); }
    | decl_list                     { $$ = list_take(P, $1); }
    ;
decl_list: decl                     { $$ = list_start(P, decl_limited(P, $1)); }
    | decl_list nl decl             { $$ = list_add(P, $1, decl_limited(P, $3)); }
    ;
nl: T_NL
    ;
sep: nl | ','
    ;
nl_opt: %empty | nl
    ;
sep_opt: %empty | sep
    ;
decl: use | agent | tool | resource | handler | event | signal | record | enum | machine | table | aggregate | projection | policy | fn | flow | participants | fixture | test
    | session | context | webhook | scope | role
    | error                         { $$ = SKIPPED(@$); }
    ;

/* ---- declarations --------------------------------------------------------------------------------------- */
use: T_USE path                     { $$ = ast_use_decl(P, @$, path_text(P, @2)); }
    ;
path: T_NAME | path '.' T_NAME
    ;
agent: T_AGENT T_NAME title_opt at_opt auth_opt '{' members '}'   { $$ = ast_agent_decl(P, @$, ident(P, @2), plain_text(P, @3), $4, $5, $7); }
    ;
title_opt: %empty | T_STRING
    ;
at_opt: %empty                      { $$ = NULL; }
    | T_AT postfix                  { $$ = $2; }
    ;
auth_opt: %empty                    { $$ = NULL; }
    | T_AUTH postfix                { $$ = $2; }
    ;
members: %empty                     { $$ = list_none(); }
    | member_list                   { $$ = list_take(P, $1); }
    ;
member_list: member                 { $$ = list_start(P, $1); }
    | member_list nl member         { $$ = list_add(P, $1, $3); }
    ;
member: tool | resource | handler
    | error                         { $$ = SKIPPED(@$); }
    ;
tool: T_TOOL T_NAME params result_opt clauses body_opt   { $$ = ast_tool_decl(P, @$, ident(P, @2), $3, $4, $5, $6, 0); }
    ;
resource: T_RESOURCE T_STRING T_ARROW type body_opt      { $$ = ast_resource_decl(P, @$, plain_text(P, @2), $4, $5); }
    ;
handler: T_ON T_NAME T_AS T_NAME where_opt block         { $$ = ast_handler_decl(P, @$, ident(P, @2), ident(P, @4), $5, $6); }
    ;
body_opt: %empty                    { $$ = NULL; }
    | block
    ;
result_opt: %empty                  { $$ = NULL; }
    | T_ARROW type                  { $$ = $2; }
    ;
params: '(' param_list_opt ')'      { $$ = $2; }
    ;
param_list_opt: %empty              { $$ = list_none(); }
    | param_list comma_opt          { $$ = list_take(P, $1); }
    ;
param_list: param                   { $$ = list_start(P, $1); }
    | param_list ',' param          { $$ = list_add(P, $1, $3); }
    ;
comma_opt: %empty | ','
    ;
param: T_NAME ':' type default_opt like_opt    { $$ = ast_param(P, @$, ident(P, @1), $3, $4, $5); }
    ;
default_opt: %empty                 { $$ = NULL; }
    | '=' expr                      { $$ = $2; }
    ;
event: T_EVENT T_NAME '{' fields '}'    { $$ = ast_event_decl(P, @$, ident(P, @2), $4); }
    ;
signal: T_SIGNAL T_NAME '{' fields '}'  { $$ = ast_signal_decl(P, @$, ident(P, @2), $4); }
    ;
record: T_TYPE T_NAME '{' fields '}'    { $$ = ast_record_decl(P, @$, ident(P, @2), $4); }
    ;
session: T_SESSION T_NAME T_TTL T_DURATION '{' fields '}'   { $$ = ast_session_decl(P, @$, ident(P, @2), leaf_duration(P, @4), $6); }
    ;
context: T_CONTEXT T_NAME T_TTL T_DURATION '{' context_fields '}'   { $$ = ast_context_decl(P, @$, ident(P, @2), leaf_duration(P, @4), $6); }
    ;
context_fields: %empty              { $$ = list_none(); }
    | context_field_list            { $$ = list_take(P, $1); }
    | context_field_list ','        { $$ = list_take(P, $1); }
    ;
context_field_list: context_field   { $$ = list_start(P, $1); }
    | context_field_list sep context_field     { $$ = list_add(P, $1, $3); }
    ;
context_field: T_NAME ':' type      { $$ = ast_context_field(P, @$, ident(P, @1), $3, ident_none()); }
    | T_NAME ':' type T_BY T_NAME   { $$ = ast_context_field(P, @$, ident(P, @1), $3, ident(P, @5)); }
    | error                         { $$ = SKIPPED(@$); }
    ;
fields: %empty                      { $$ = list_none(); }
    | field_list                    { $$ = list_take(P, $1); }
    | field_list ','                { $$ = list_take(P, $1); }
    ;
field_list: field                   { $$ = list_start(P, $1); }
    | field_list sep field          { $$ = list_add(P, $1, $3); }
    ;
plain_field: T_NAME ':' type default_opt like_opt        { $$ = ast_field(P, @$, ident(P, @1), $3, $4, $5); }
    ;
field: plain_field
    | error                         { $$ = SKIPPED(@$); }
    ;
like_opt: %empty                    { $$ = NULL; }
    | T_LIKE T_REGEX                { $$ = leaf_regex(P, @2); }
    ;
enum: T_ENUM T_NAME '{' enum_members '}'       { $$ = ast_enum_decl(P, @$, ident(P, @2), $4); }
    ;
enum_members: %empty                { $$ = list_none(); }
    | enum_list                     { $$ = list_take(P, $1); }
    | enum_list ','                 { $$ = list_take(P, $1); }
    ;
enum_list: enum_member              { $$ = list_start(P, $1); }
    | enum_list sep enum_member     { $$ = list_add(P, $1, $3); }
    ;
enum_member: T_NAME like_opt        { $$ = ast_enum_member(P, @$, ident(P, @1), $2); }
    | error                         { $$ = SKIPPED(@$); }
    ;
machine: T_MACHINE T_NAME '{' machine_entries '}'
        { $$ = ast_machine_decl(P, @$, ident(P, @2), list_of_kind(P, $4, AST_NAME_REF, false), list_of_kind(P, $4, AST_NAME_REF, true)); }
    ;
machine_entries: %empty             { $$ = list_none(); }
    | machine_list                  { $$ = list_take(P, $1); }
    ;
machine_list: machine_entry         { $$ = list_start(P, $1); }
    | T_FINAL name_refs             { $$ = ast_list_append(P, P->scratch_count, $2); }
    | machine_list nl_opt machine_entry       { $$ = list_add(P, $1, $3); }
    | machine_list nl_opt T_FINAL name_refs   { $$ = ast_list_append(P, $1, $4); }
    ;
machine_entry: transition
    | error                         { $$ = SKIPPED(@$); }
    ;
transition: T_NAME T_ARROW name_refs { $$ = ast_transition(P, @$, ident(P, @1), $3); }
    ;
name_refs: name_list                { $$ = list_take(P, $1); }
    ;
name_list: name_ref                 { $$ = list_start(P, $1); }
    | name_list ',' name_ref        { $$ = list_add(P, $1, $3); }
    ;
name_ref: T_NAME                    { $$ = ast_name_ref(P, @$, ident(P, @1)); }
    ;
table: T_TABLE T_NAME agent_opt shared_opt '{' table_entries '}'
        { $$ = ast_table_decl(P, @$, ident(P, @2), $3, $4, list_of_kind(P, $6, AST_COLUMN, true), list_of_kind(P, $6, AST_COLUMN, false)); }
    ;
agent_opt: %empty                   { $$ = NULL; }
    | T_OF name_ref                 { $$ = $2; }
    ;
shared_opt: %empty                  { $$ = 0; }
    | T_SHARED                      { $$ = 1; }
    ;
table_entries: %empty               { $$ = list_none(); }
    | table_list                    { $$ = list_take(P, $1); }
    | table_list ','                { $$ = list_take(P, $1); }
    ;
table_list: table_entry             { $$ = list_start(P, $1); }
    | table_list sep table_entry    { $$ = list_add(P, $1, $3); }
    ;
table_entry: column
    | T_VERSION                     { $$ = ast_version_clause(P, @$); }
    | unique '(' name_refs ')'      { $$ = ast_index_clause(P, @$, $1, $3); }
    | T_ON T_ERASE T_NAME           { $$ = ast_erase_clause(P, @$, ident(P, @3), list_none(), NULL, STR("")); }
    | T_ON T_ERASE T_NAME '(' name_refs ')'       { $$ = ast_erase_clause(P, @$, ident(P, @3), $5, NULL, STR("")); }
    | T_ON T_ERASE T_NAME T_DURATION string_lit   { $$ = ast_erase_clause(P, @$, ident(P, @3), list_none(), leaf_duration(P, @4), plain_text(P, @5)); }
    | T_APPEND T_ONLY               { $$ = ast_append_clause(P, @$); }
    | T_VISIBLE T_BY T_NAME T_TO T_NAME        { $$ = ast_visible_clause(P, @$, ident(P, @3), ident(P, @5), ident_none(), list_none()); }
    | T_VISIBLE T_BY T_NAME T_TO T_NAME T_NAME '(' name_refs ')'       { $$ = ast_visible_clause(P, @$, ident(P, @3), ident(P, @5), ident(P, @6), $8); }
    | T_EXPORT T_AS T_STRING        { $$ = ast_export_clause(P, @$, plain_text(P, @3)); }
    | T_CACHE T_AT T_MOST T_DURATION           { $$ = ast_cache_clause(P, @$, leaf_duration(P, @4), ident_none()); }
    | T_CACHE T_NAME                { $$ = ast_cache_clause(P, @$, NULL, ident(P, @2)); }
    | error                         { $$ = SKIPPED(@$); }
    ;
aggregate: T_AGGREGATE T_NAME agent_opt sources_opt '{' aggregate_members '}'   { $$ = ast_aggregate_decl(P, @$, ident(P, @2), $3, $4, $6); }
    ;
sources_opt: %empty                 { $$ = list_none(); }
    | T_SOURCED T_BY name_refs      { $$ = $3; }
    ;
aggregate_members: %empty           { $$ = list_none(); }
    | aggregate_list                { $$ = list_take(P, $1); }
    ;
aggregate_list: aggregate_member    { $$ = list_start(P, $1); }
    | aggregate_list nl_opt aggregate_member   { $$ = list_add(P, $1, $3); }
    ;
aggregate_member: command
    | T_ROOT T_NAME                 { $$ = ast_root_clause(P, @$, ident(P, @2)); }
    | T_CHILDREN name_refs          { $$ = ast_children_clause(P, @$, $2); }
    | T_STATE '{' fields '}'        { $$ = ast_state_clause(P, @$, $3); }
    | T_WHEN T_NAME T_AS T_NAME block          { $$ = ast_when_clause(P, @$, ident(P, @2), ident(P, @4), $5); }
    | T_INVARIANT expr T_ELSE string           { $$ = ast_invariant_clause(P, @$, $2, $4); }
    | error                         { $$ = SKIPPED(@$); }
    ;
command: command_word T_NAME params result_opt clauses block     { $$ = ast_command_decl(P, @$, $1, ident(P, @2), $3, $4, $5, $6); }
    ;
command_word: T_COMMAND             { $$ = 0; }
    | T_CREATE                      { $$ = 1; }
    ;
projection: T_PROJECTION T_NAME T_BY T_NAME '{' projection_entries '}'
        { $$ = ast_projection_decl(P, @$, ident(P, @2), ident(P, @4), list_of_kind(P, $6, AST_HANDLER_DECL, false), list_of_kind(P, $6, AST_HANDLER_DECL, true)); }
    ;
projection_entries: %empty          { $$ = list_none(); }
    | projection_list               { $$ = list_take(P, $1); }
    | projection_list ','           { $$ = list_take(P, $1); }
    ;
projection_list: projection_entry   { $$ = list_start(P, $1); }
    | projection_list sep_opt projection_entry   { $$ = list_add(P, $1, $3); }
    ;
projection_entry: handler | plain_field
    | error                         { $$ = SKIPPED(@$); }
    ;
unique: T_INDEX                     { $$ = 0; }
    | T_UNIQUE                      { $$ = 1; }
    ;
string_lit: T_STRING
    ;
column: T_NAME ':' type default_opt { $$ = ast_column(P, @$, ident(P, @1), $3, $4); }
    ;
policy: T_POLICY policy_name '{' policy_entries '}'   { $$ = policy_end(P, @$); }
    ;
policy_name: T_NAME                 { policy_begin(P, @1); }
    ;
policy_entries: %empty | policy_entries nl_opt policy_entry
    ;
policy_entry: T_ATTEMPTS T_INT      { policy_set(P, @1, "attempts", &P->policy->attempts, leaf_int(P, @2)); }
    | T_BACKOFF backoff
    | T_ON policy_values            { policy_list(P, @1, "on", &P->policy->retry_on, $2); }
    | T_REFRESH T_ON policy_values  { policy_list(P, @1, "refresh on", &P->policy->refresh_on, $3); }
    | error                         { (void)SKIPPED(@$); }
    ;
backoff: T_DURATION                 { policy_set(P, @1, "backoff", &P->policy->backoff, leaf_duration(P, @1)); }
    | backoff T_TO T_DURATION       { policy_set(P, @2, "to", &P->policy->backoff_max, leaf_duration(P, @3)); }
    | backoff T_FACTOR number_literal          { policy_set(P, @2, "factor", &P->policy->factor, $3); }
    | backoff T_JITTER percent      { policy_set(P, @2, "jitter", &P->policy->jitter, $3); }
    ;
percent: T_INT T_PERCENT            { $$ = leaf_percent(P, @1); }
    | T_DECIMAL T_PERCENT           { $$ = leaf_percent(P, @1); }
    ;
policy_values: policy_value_list    { $$ = list_take(P, $1); }
    ;
policy_value_list: policy_value     { $$ = list_start(P, $1); }
    | policy_value_list ',' policy_value       { $$ = list_add(P, $1, $3); }
    ;
policy_value: T_INT                 { $$ = leaf_int(P, @1); }
    | T_STRING                      { $$ = leaf_string(P, @1); }
    ;
fn: T_FN T_NAME params T_ARROW type block      { $$ = ast_fn_decl(P, @$, ident(P, @2), $3, $5, $6); }
    ;
flow: T_FLOW T_NAME params result_opt clauses block   { $$ = ast_flow_decl(P, @$, ident(P, @2), $3, $4, $5, $6); }
    ;
/* A flow that takes what the request brings. */
webhook: T_WEBHOOK T_NAME T_NAME T_STRING clauses block
        { $$ = webhook_flow(P, @$, ident(P, @2), ast_webhook_clause(P, ((Place){ @3.first, @4.last }), ident(P, @3), ident_quoted(P, @4)), $5, $6); }
    ;
scope: T_SCOPE T_STRING T_ON T_NAME T_NAME T_STRING      { $$ = ast_scope_decl(P, @$, ident_quoted(P, @2), ident(P, @4), ident(P, @5), plain_text(P, @6)); }
    ;
role: T_ROLE T_NAME default_word T_GRANTS strings        { $$ = ast_role_decl(P, @$, ident(P, @2), $3, $5); }
    ;
default_word: %empty                { $$ = 0; }
    | T_DEFAULT                     { $$ = 1; }
    ;
clauses: %empty                     { $$ = list_none(); }
    | clause_list                   { $$ = list_take(P, $1); }
    ;
clause_list: clause                 { $$ = list_start(P, $1); }
    | clause_list clause            { $$ = list_add(P, $1, $2); }
    ;
clause: T_REQUIRES strings          { $$ = ast_requires_clause(P, @$, $2); }
    | T_WITHIN expr                 { $$ = ast_within_clause(P, @$, $2); }
    | T_DURABILITY T_NAME           { $$ = ast_durability_clause(P, @$, ident(P, @2)); }
    | T_ONE T_PER expr              { $$ = ast_one_per_clause(P, @$, $3); }
    | T_LIMIT expr T_PER expr       { $$ = ast_limit_clause(P, @$, $2, $4); }
    | T_PRIORITY T_INT              { $$ = ast_priority_clause(P, @$, leaf_int(P, @2)); }
    | T_RATE T_INT '/' T_NAME       { $$ = ast_rate_clause(P, @$, leaf_int(P, @2), ident(P, @4), NULL); }
    | T_RATE T_INT '/' T_NAME T_PER expr       { $$ = ast_rate_clause(P, @$, leaf_int(P, @2), ident(P, @4), $6); }
    | T_COMPENSATED T_BY T_NAME     { $$ = ast_compensated_clause(P, @$, ident(P, @3)); }
    | T_EFFECT                      { $$ = ast_effect_clause(P, @$, ident(P, @1)); }
    | T_KEY expr                    { $$ = ast_key_clause(P, @$, $2); }
    | costs
    | T_VIA T_NAME T_STRING         { $$ = ast_via_clause(P, @$, ident(P, @2), plain_text(P, @3)); }
    | T_ON T_NAME T_AS T_NAME       { $$ = ast_trigger_clause(P, @$, ident(P, @2), ident(P, @4)); }
    | T_ON T_NAME T_STRING route_flags         { $$ = ast_route_clause(P, @$, ident(P, @2), ident_quoted(P, @3), $4); }
    | T_VERIFY postfix              { $$ = ast_verify_clause(P, @$, $2); }
    | T_TOLERANCE T_DURATION        { $$ = ast_tolerance_clause(P, @$, leaf_duration(P, @2)); }
    | T_DEDUPE expr T_TTL T_DURATION           { $$ = ast_dedupe_clause(P, @$, $2, leaf_duration(P, @4)); }
    | T_TENANT expr                 { $$ = ast_tenant_clause(P, @$, $2); }
    ;
costs: T_COSTS T_TOKENS T_INT       { $$ = ast_costs_clause(P, @$, leaf_int(P, @3), NULL); }
    | T_COSTS T_USD number_literal  { $$ = ast_costs_clause(P, @$, NULL, $3); }
    | costs T_TOKENS T_INT          { $$ = plan_option(P, $1, @$, @2, "tokens", &as_costs_clause($1)->tokens, leaf_int(P, @3)); }
    | costs T_USD number_literal    { $$ = plan_option(P, $1, @$, @2, "usd", &as_costs_clause($1)->usd, $3); }
    ;
route_flags: %empty                 { $$ = 0; }
    | route_flags route_flag        { $$ = flag_once(P, @2, $1, $2); }
    ;
route_flag: T_STREAM                { $$ = ROUTE_CLAUSE_STREAM; }
    | T_CANCEL T_ON T_DISCONNECT    { $$ = ROUTE_CLAUSE_CANCEL; }
    | T_PUBLIC                      { $$ = ROUTE_CLAUSE_PUBLIC; }
    ;
strings: string_list                { $$ = list_take(P, $1); }
    ;
string_list: string                 { $$ = list_start(P, $1); }
    | string_list ',' string        { $$ = list_add(P, $1, $3); }
    ;
participants: T_PARTICIPANTS '{' participants_entries '}'   { $$ = ast_participants_decl(P, @$, $3); }
    ;
participants_entries: %empty        { $$ = list_none(); }
    | participant_list              { $$ = list_take(P, $1); }
    | participant_list ','          { $$ = list_take(P, $1); }
    ;
participant_list: participant       { $$ = list_start(P, $1); }
    | participant_list sep participant         { $$ = list_add(P, $1, $3); }
    ;
participant: T_NAME T_STRING        { $$ = ast_participant(P, @$, ident(P, @1), plain_text(P, @2)); }
    | error                         { $$ = SKIPPED(@$); }
    ;
fixture: T_FIXTURE T_NAME '{' fixture_entries '}'   { $$ = ast_fixture_decl(P, @$, ident(P, @2), $4); }
    ;
fixture_entries: %empty             { $$ = list_none(); }
    | fixture_list                  { $$ = list_take(P, $1); }
    ;
fixture_list: fixture_rows          { $$ = list_start(P, $1); }
    | fixture_list sep_opt fixture_rows        { $$ = list_add(P, $1, $3); }
    ;
fixture_rows: T_NAME rows           { $$ = ast_fixture_rows(P, @$, ident(P, @1), $2); }
    | error                         { $$ = SKIPPED(@$); }
    ;
rows: '[' ']'                       { $$ = list_none(); }
    | '[' value_list comma_opt ']'  { $$ = list_take(P, $2); }
    ;
test: T_TEST documented_opt T_STRING block     { $$ = ast_test_decl(P, @$, $2, plain_text(P, @3), $4); }
    ;
documented_opt: %empty              { $$ = 0; }
    | T_DOCUMENTED                  { $$ = 1; }
    ;

/* ---- types ---------------------------------------------------------------------------------------------- */
type: T_LABEL type                  { $$ = ast_label_type(P, @$, ident(P, @1), $2); }
    | plain_type
    | plain_type '?'                { $$ = ast_optional_type(P, @$, $1); }
    ;
plain_type: T_NAME                  { $$ = ast_name_type(P, @$, ident(P, @1)); }
    | T_LIST T_TYPE_LT type T_TYPE_GT          { $$ = ast_list_type(P, @$, $3); }
    | T_MAP T_TYPE_LT type T_TYPE_GT           { $$ = ast_map_type(P, @$, $3); }
    | T_ID T_TYPE_LT T_NAME T_TYPE_GT          { $$ = ast_id_type(P, @$, ident(P, @3), STR("")); }
    | T_ID T_STRING                 { $$ = ast_id_type(P, @$, ident_none(), plain_text(P, @2)); }
    | T_RECORD_OPEN type_fields T_RECORD_CLOSE { $$ = ast_record_type(P, @$, $2); }
    ;

type_fields: %empty                 { $$ = list_none(); }
    | type_field_list comma_opt     { $$ = list_take(P, $1); }
    ;
type_field_list: plain_field        { $$ = list_start(P, $1); }
    | type_field_list ',' plain_field          { $$ = list_add(P, $1, $3); }
    ;

/* ---- statements ------------------------------------------------------------------------------------------ */
block: '{' stmts '}'                { $$ = ast_block(P, @$, $2); }
    ;
stmts: %empty                       { $$ = list_none(); }
    | stmt_list                     { $$ = list_take(P, $1); }
    ;
stmt_list: stmt                     { $$ = list_start(P, $1); }
    | stmt_list nl stmt             { $$ = list_add(P, $1, $3); }
    ;
stmt: let | assign | if | match | for | while | try | step | parallel_block | given | run | request | expect
    | value                         { $$ = ast_expr_stmt(P, @$, $1); }
    | T_RETURN                      { $$ = ast_return_stmt(P, @$, NULL); }
    | T_RETURN value                { $$ = ast_return_stmt(P, @$, $2); }
    | T_BREAK                       { $$ = ast_break_stmt(P, @$); }
    | T_CONTINUE                    { $$ = ast_continue_stmt(P, @$); }
    | fail
    | T_TRANSACTION block           { $$ = ast_transaction_stmt(P, @$, $2); }
    | T_SAVE T_NAME '[' value ']' record_literal         { $$ = ast_save_stmt(P, @$, ident(P, @2), $4, $6); }
    | T_DELETE T_NAME '[' value ']' { $$ = ast_forget_stmt(P, @$, ident(P, @2), $4); }
    | T_COORDINATE T_NAME block     { $$ = ast_coordinate_stmt(P, @$, ident(P, @2), $3); }
    | T_EMIT T_NAME record_literal  { $$ = ast_emit_stmt(P, @$, ident(P, @2), $3); }
    | T_AUDIT T_NAME T_ON value     { $$ = ast_audit_stmt(P, @$, ident(P, @2), $4); }
    | T_REBUILD T_NAME              { $$ = ast_rebuild_stmt(P, @$, ident(P, @2)); }
    | T_SAGA block                  { $$ = ast_saga_stmt(P, @$, $2); }
    | T_SLEEP expr                  { $$ = ast_sleep_stmt(P, @$, $2); }
    | T_WAIT T_UNTIL expr           { $$ = ast_wait_stmt(P, @$, $3); }
    | T_PROGRESS expr string_opt    { $$ = ast_progress_stmt(P, @$, $2, $3); }
    | T_SIGNAL postfix T_NAME record_literal   { $$ = ast_signal_stmt(P, @$, $2, ident(P, @3), $4); }
    | T_SIGNAL T_NAME record_literal           { $$ = ast_signal_stmt(P, @$, NULL, ident(P, @2), $3); }
    | T_ADVANCE expr                { $$ = ast_advance_stmt(P, @$, $2); }
    | T_ANSWER value                { $$ = ast_answer_stmt(P, @$, $2); }
    | T_DELIVER T_NAME T_AGAIN      { $$ = ast_deliver_stmt(P, @$, ident(P, @2)); }
    | T_CANCEL                      { $$ = ast_cancel_stmt(P, @$); }
    | T_CRASH T_EVERYWHERE          { $$ = ast_crash_stmt(P, @$); }
    | error                         { $$ = SKIPPED(@$); }
    ;
let: let_word T_NAME '=' value      { $$ = ast_let_stmt(P, @$, $1, ident(P, @2), NULL, $4); }
    | let_word T_NAME ':' type '=' value       { $$ = ast_let_stmt(P, @$, $1, ident(P, @2), $4, $6); }
    ;
let_word: T_LET                     { $$ = 0; }
    | T_VAR                         { $$ = 1; }
    ;
assign: postfix assign_op value     { $$ = ast_assign_stmt(P, @$, $1, $2, $3); }
    ;
assign_op: '='                      { $$ = BINARY_NONE; }
    | T_ADD_ASSIGN                  { $$ = BINARY_ADD; }
    | T_SUB_ASSIGN                  { $$ = BINARY_SUB; }
    | T_MUL_ASSIGN                  { $$ = BINARY_MUL; }
    ;
if: T_IF condition block            { $$ = ast_if_stmt(P, @$, $2, $3, NULL); }
    | T_IF condition block T_ELSE block        { $$ = ast_if_stmt(P, @$, $2, $3, $5); }
    | T_IF condition block T_ELSE if           { $$ = ast_if_stmt(P, @$, $2, $3, $5); }
    ;
condition: value
    | expr '=' expr                 { $$ = assignment_as_condition(P, @$, @2, $1, $3); }
    ;
match: T_MATCH value '{' arms '}'   { $$ = ast_match_stmt(P, @$, $2, $4); }
    ;
arms: %empty                        { $$ = list_none(); }
    | arm_list                      { $$ = list_take(P, $1); }
    ;
arm_list: arm                       { $$ = list_start(P, $1); }
    | arm_list nl arm               { $$ = list_add(P, $1, $3); }
    ;
arm: patterns guard_opt T_FAT_ARROW arm_body   { $$ = ast_match_arm(P, @$, $1, $2, $4); }
    | error                         { $$ = SKIPPED(@$); }
    ;
patterns: pattern_list              { $$ = list_take(P, $1); }
    ;
pattern_list: pattern               { $$ = list_start(P, $1); }
    | pattern_list ',' pattern      { $$ = list_add(P, $1, $3); }
    ;
pattern: literal
    | '-' number_literal            { $$ = ast_unary_expr(P, @$, UNARY_NEG, $2); }
    | T_NAME                        { $$ = leaf_name(P, @1); }
    | T_LET T_NAME                  { $$ = ast_bind_pattern(P, @$, ident(P, @2)); }
    | T_WILDCARD                    { $$ = ast_wildcard_pattern(P, @$); }
    ;
guard_opt: %empty                   { $$ = NULL; }
    | T_IF expr                     { $$ = $2; }
    ;
arm_body: value | block | fail
    | T_RETURN                      { $$ = ast_return_stmt(P, @$, NULL); }
    | T_RETURN value                { $$ = ast_return_stmt(P, @$, $2); }
    | T_BREAK                       { $$ = ast_break_stmt(P, @$); }
    | T_CONTINUE                    { $$ = ast_continue_stmt(P, @$); }
    ;
for: T_FOR T_NAME T_IN range block  { $$ = ast_for_stmt(P, @$, ident(P, @2), NULL, $4, $5); }
    | T_FOR T_NAME ',' name_ref T_IN range block   { $$ = ast_for_stmt(P, @$, ident(P, @2), $4, $6, $7); }
    ;
range: value
    | expr T_RANGE expr             { $$ = ast_range_expr(P, @$, $1, $3); }
    ;
while: T_WHILE condition block      { $$ = ast_while_stmt(P, @$, $2, NULL, $3); }
    | T_WHILE condition T_AT T_MOST expr T_TIMES block   { $$ = ast_while_stmt(P, @$, $2, $5, $7); }
    ;
try: T_TRY block catches finally_opt           { $$ = ast_try_stmt(P, @$, $2, $3, $4); }
    ;
catches: %empty                     { $$ = list_none(); }
    | catch_list                    { $$ = list_take(P, $1); }
    ;
catch_list: catch                   { $$ = list_start(P, $1); }
    | catch_list catch              { $$ = list_add(P, $1, $2); }
    ;
catch: T_CATCH block                { $$ = ast_catch_clause(P, @$, list_none(), ident_none(), $2); }
    | T_CATCH T_AS T_NAME block     { $$ = ast_catch_clause(P, @$, list_none(), ident(P, @3), $4); }
    | T_CATCH name_refs block       { $$ = ast_catch_clause(P, @$, $2, ident_none(), $3); }
    | T_CATCH name_refs T_AS T_NAME block      { $$ = ast_catch_clause(P, @$, $2, ident(P, @4), $5); }
    ;
finally_opt: %empty                 { $$ = NULL; }
    | T_FINALLY block               { $$ = $2; }
    ;
fail: T_FAIL expr                   { $$ = ast_fail_stmt(P, @$, ident_none(), $2, NULL); }
    | T_FAIL T_KIND expr details_opt           { $$ = ast_fail_stmt(P, @$, ident(P, @2), $3, $4); }
    ;
details_opt: %empty                 { $$ = NULL; }
    | T_DETAILS record_literal      { $$ = $2; }
    ;
string_opt: %empty                  { $$ = NULL; }
    | string
    ;
step: T_STEP value                  { $$ = ast_step_stmt(P, @$, ident_none(), $2, NULL); }
    | T_STEP value T_COMPENSATE branch_value          { $$ = ast_step_stmt(P, @$, ident_none(), $2, $4); }
    | T_STEP T_NAME '=' value       { $$ = ast_step_stmt(P, @$, ident(P, @2), $4, NULL); }
    | T_STEP T_NAME '=' value T_COMPENSATE branch_value       { $$ = ast_step_stmt(P, @$, ident(P, @2), $4, $6); }
    ;
parallel_block: T_PARALLEL parallel_rest       { $$ = $2; ast_widen(P, $$, @$); }
    ;
parallel_rest: race_opt '{' branches '}'       { $$ = ast_parallel_stmt(P, @$, $1, NULL, NULL, $3); }
    | race_opt parallel_within '{' branches '}'        { $$ = ast_parallel_stmt(P, @$, $1, $2, NULL, $4); }
    | race_opt parallel_limit '{' branches '}'         { $$ = ast_parallel_stmt(P, @$, $1, NULL, $2, $4); }
    | race_opt parallel_within parallel_limit '{' branches '}'   { $$ = ast_parallel_stmt(P, @$, $1, $2, $3, $5); }
    | race_opt parallel_limit parallel_within '{' branches '}'   { $$ = ast_parallel_stmt(P, @$, $1, $3, $2, $5); }
    ;
race_opt: %empty                    { $$ = 0; }
    | T_RACE                        { $$ = 1; }
    ;
parallel_within: T_WITHIN expr      { $$ = $2; }
    ;
parallel_limit: T_LIMIT expr        { $$ = $2; }
    ;
branches: %empty                    { $$ = list_none(); }
    | branch_list                   { $$ = list_take(P, $1); }
    ;
branch_list: branch                 { $$ = list_start(P, $1); }
    | branch_list nl branch         { $$ = list_add(P, $1, $3); }
    ;
branch: T_NAME '=' branch_value     { $$ = ast_branch(P, @$, 0, ident(P, @1), $3); }
    | T_CRITICAL T_NAME '=' branch_value       { $$ = ast_branch(P, @$, 1, ident(P, @2), $4); }
    | error                         { $$ = SKIPPED(@$); }
    ;
branch_value: value | block
    ;

/* ---- statements of tests ---------------------------------------------------------------------------------- */
given: T_GIVEN tool_path T_FAILS T_NAME string_opt details_opt             { $$ = ast_given_fails(P, @$, $2, ident(P, @4), $5, $6, NULL); }
    | T_GIVEN tool_path T_FAILS T_NAME string_opt details_opt T_INT T_TIMES   { $$ = ast_given_fails(P, @$, $2, ident(P, @4), $5, $6, leaf_int(P, @7)); }
    | T_GIVEN tool_path T_RETURNS expr         { $$ = ast_given_returns(P, @$, $2, $4, NULL); }
    | T_GIVEN tool_path T_RETURNS expr T_AFTER expr    { $$ = ast_given_returns(P, @$, $2, $4, $6); }
    | T_GIVEN T_USER T_ANSWERS T_NOTHING       { $$ = ast_given_answers(P, @$, list_none()); }
    | T_GIVEN T_USER T_ANSWERS values          { $$ = ast_given_answers(P, @$, $4); }
    | T_GIVEN T_NAME rows           { $$ = ast_given_rows(P, @$, ident(P, @2), $3); }
    | T_GIVEN T_FIXTURE T_NAME      { $$ = ast_given_fixture(P, @$, ident(P, @3)); }
    | T_GIVEN T_NOW expr            { $$ = ast_given_now(P, @$, $3); }
    | T_GIVEN T_IDS T_NAME values   { $$ = ast_given_ids(P, @$, ident(P, @3), $4); }
    ;
tool_path: T_NAME                   { $$ = leaf_name(P, @1); }
    | tool_path '.' T_NAME          { $$ = ast_field_expr(P, @$, $1, ident(P, @3), 0); }
    ;
run: T_RUN postfix                  { $$ = ast_run_stmt(P, @$, $2, STR(""), STR("")); }
    | T_RUN postfix T_AS T_STRING   { $$ = ast_run_stmt(P, @$, $2, plain_text(P, @4), STR("")); }
    | T_RUN postfix T_AS T_STRING T_OF T_STRING        { $$ = ast_run_stmt(P, @$, $2, plain_text(P, @4), plain_text(P, @6)); }
    ;
request: T_REQUEST T_NAME string    { $$ = ast_request_stmt(P, @$, ident(P, @2), $3, 0, STR(""), STR(""), NULL, NULL, NULL, 0, NULL); }
    | request T_AS T_USER T_STRING T_OF T_STRING         { $$ = request_user(P, $1, @$, @2, plain_text(P, @4), plain_text(P, @6)); }
    | request T_SCOPES postfix      { $$ = request_part(P, $1, @$, @2, "scopes", &as_request_stmt($1)->scopes, $3); }
    | request T_ROLES postfix       { $$ = request_part(P, $1, @$, @2, "roles", &as_request_stmt($1)->roles, $3); }
    | request T_HEADERS record_literal         { $$ = request_part(P, $1, @$, @2, "headers", &as_request_stmt($1)->headers, $3); }
    | request T_SIGNED              { $$ = $1; ast_widen(P, $$, @$); as_request_stmt($1)->is_signed = 1; }
    | request record_literal        { $$ = request_part(P, $1, @$, @2, "the body", &as_request_stmt($1)->body, $2); }
    ;
stream_events: '[' ']'              { $$ = list_none(); }
    | '[' stream_event_list comma_opt ']'      { $$ = list_take(P, $2); }
    ;
stream_event_list: stream_event     { $$ = list_start(P, $1); }
    | stream_event_list ',' stream_event       { $$ = list_add(P, $1, $3); }
    ;
stream_event: T_NAME                { $$ = ast_stream_event(P, @$, ident(P, @1), NULL, NULL); }
    | T_NAME string                 { $$ = ast_stream_event(P, @$, ident(P, @1), NULL, $2); }
    | T_NAME T_INT                  { $$ = ast_stream_event(P, @$, ident(P, @1), leaf_int(P, @2), NULL); }
    | T_NAME T_INT string           { $$ = ast_stream_event(P, @$, ident(P, @1), leaf_int(P, @2), $3); }
    ;
expect: T_EXPECT value              { $$ = ast_expect_stmt(P, @$, $2); }
    | T_EXPECT T_OUTCOME            { $$ = ast_expect_outcome(P, @$, ident(P, @2), ident_none(), NULL); }
    | T_EXPECT T_FAILED             { $$ = ast_expect_outcome(P, @$, ident(P, @2), ident_none(), NULL); }
    | T_EXPECT T_FAILED T_NAME string_opt      { $$ = ast_expect_outcome(P, @$, ident(P, @2), ident(P, @3), $4); }
    | T_EXPECT T_CALLS tool_paths any_order_opt        { $$ = ast_expect_calls(P, @$, $4, $3); }
    | T_EXPECT T_STATUS T_INT       { $$ = ast_expect_status(P, @$, leaf_int(P, @3)); }
    | T_EXPECT T_STREAM stream_events          { $$ = ast_expect_stream(P, @$, $3); }
    | T_EXPECT T_ASKED string       { $$ = ast_expect_asked(P, @$, $3); }
    | T_EXPECT T_EMITTED '[' ']'    { $$ = ast_expect_emitted(P, @$, list_none()); }
    | T_EXPECT T_EMITTED '[' name_list comma_opt ']'   { $$ = ast_expect_emitted(P, @$, list_take(P, $4)); }
    ;
tool_paths: '[' ']'                 { $$ = list_none(); }
    | '[' path_list comma_opt ']'   { $$ = list_take(P, $2); }
    ;
path_list: tool_path                { $$ = list_start(P, $1); }
    | path_list ',' tool_path       { $$ = list_add(P, $1, $3); }
    ;
any_order_opt: %empty               { $$ = 0; }
    | T_IN T_ANY T_LAST_ORDER       { $$ = 1; }
    ;

/* ---- expressions -------------------------------------------------------------------------------------------- */
values: value_list                  { $$ = list_take(P, $1); }
    ;
value_list: value                   { $$ = list_start(P, $1); }
    | value_list ',' value          { $$ = list_add(P, $1, $3); }
    ;
value: expr | query
    | value T_RETRY T_NAME          { $$ = ast_retry_expr(P, @$, $1, ident(P, @3)); }
    | value T_WITHIN expr           { $$ = ast_within_expr(P, @$, $1, $3); }
    | value T_CACHED T_DURATION     { $$ = ast_cached_expr(P, @$, $1, leaf_duration(P, @3)); }
    | value T_ELSE otherwise        { $$ = ast_else_expr(P, @$, $1, $3); }
    ;
otherwise: expr | query | block | fail | if_chain
    | T_RETURN                      { $$ = ast_return_stmt(P, @$, NULL); }
    | T_RETURN expr                 { $$ = ast_return_stmt(P, @$, $2); }
    | T_BREAK                       { $$ = ast_break_stmt(P, @$); }
    | T_CONTINUE                    { $$ = ast_continue_stmt(P, @$); }
    ;
if_chain: T_IF condition block T_ELSE block    { $$ = ast_if_stmt(P, @$, $2, $3, $5); }
    | T_IF condition block T_ELSE if_chain     { $$ = ast_if_stmt(P, @$, $2, $3, $5); }
    ;
query: from | run_plan
    | T_AWAIT T_NAME where_opt      { $$ = ast_await_expr(P, @$, ident(P, @2), ident_none(), $3); }
    | T_AWAIT T_NAME T_AS T_NAME where_opt     { $$ = ast_await_expr(P, @$, ident(P, @2), ident(P, @4), $5); }
    | T_REPLAY postfix              { $$ = ast_replay_expr(P, @$, $2, NULL, NULL); }
    | T_REPLAY postfix T_TO T_VERSION expr     { $$ = ast_replay_expr(P, @$, $2, $5, NULL); }
    | T_REPLAY postfix T_UNTIL expr            { $$ = ast_replay_expr(P, @$, $2, NULL, $4); }
    | T_ASK postfix                 { $$ = ast_ask_expr(P, @$, $2, NULL, NULL); }
    | T_ASK postfix T_AS type       { $$ = ast_ask_expr(P, @$, $2, $4, NULL); }
    | T_ASK postfix T_AS T_ONE T_OF postfix    { $$ = ast_ask_expr(P, @$, $2, NULL, $6); }
    | T_UPDATE T_NAME T_SET sets where_opt     { $$ = ast_update_expr(P, @$, ident_none(), ident(P, @2), $4, $5); }
    | T_UPDATE T_NAME T_IN T_NAME T_SET sets where_opt   { $$ = ast_update_expr(P, @$, ident(P, @2), ident(P, @4), $6, $7); }
    | T_DELETE T_FROM T_NAME where_opt         { $$ = ast_delete_expr(P, @$, ident_none(), ident(P, @3), $4); }
    | T_DELETE T_FROM T_NAME T_IN T_NAME where_opt       { $$ = ast_delete_expr(P, @$, ident(P, @3), ident(P, @5), $6); }
    | T_PARALLEL_VALUE parallel_value          { $$ = $2; ast_widen(P, $$, @$); }
    ;
run_plan: T_RUN_PLAN T_PLAN postfix
        { $$ = ast_plan_expr(P, @$, $3, NULL, list_none(), NULL, NULL, NULL, NULL, NULL, NULL, NULL, ident_none()); }
    | run_plan T_FOR expr           { $$ = plan_option(P, $1, @$, @2, "for", &as_plan_expr($1)->request, $3); }
    | run_plan T_ALLOW plan_tools   { $$ = plan_allow(P, $1, @$, @2, $3); }
    | run_plan T_PLAN_WITHIN T_DURATION        { $$ = plan_option(P, $1, @$, @2, "within", &as_plan_expr($1)->within, leaf_duration(P, @3)); }
    | run_plan T_STEPS T_INT        { $$ = plan_option(P, $1, @$, @2, "steps", &as_plan_expr($1)->steps, leaf_int(P, @3)); }
    | run_plan T_FUEL T_INT         { $$ = plan_option(P, $1, @$, @2, "fuel", &as_plan_expr($1)->fuel, leaf_int(P, @3)); }
    | run_plan T_CALLS T_INT        { $$ = plan_option(P, $1, @$, @2, "calls", &as_plan_expr($1)->calls, leaf_int(P, @3)); }
    | run_plan T_MEMORY T_INT       { $$ = plan_option(P, $1, @$, @2, "memory", &as_plan_expr($1)->memory, leaf_int(P, @3)); }
    | run_plan T_TOKENS T_INT       { $$ = plan_option(P, $1, @$, @2, "tokens", &as_plan_expr($1)->tokens, leaf_int(P, @3)); }
    | run_plan T_USD number_literal { $$ = plan_option(P, $1, @$, @2, "usd", &as_plan_expr($1)->usd, $3); }
    | run_plan T_PLAN_ASK           { $$ = plan_ask(P, $1, @$, @2); }
    ;
plan_tools: '[' plan_tool_list comma_opt ']'   { $$ = list_take(P, $2); }
    ;
plan_tool_list: plan_tool           { $$ = list_start(P, $1); }
    | plan_tool_list ',' plan_tool  { $$ = list_add(P, $1, $3); }
    ;
plan_tool: T_NAME '.' T_NAME        { $$ = ast_plan_tool(P, @$, ident(P, @1), ident(P, @3)); }
    | T_NAME '.' '*'                { $$ = ast_plan_tool(P, @$, ident(P, @1), ident(P, @3)); }
    ;
parallel_value: parallel_rest
    | T_FOR T_NAME T_IN expr block  { $$ = ast_parallel_for(P, @$, ident(P, @2), $4, NULL, NULL, $5); }
    | T_FOR T_NAME T_IN expr parallel_limit block        { $$ = ast_parallel_for(P, @$, ident(P, @2), $4, $5, NULL, $6); }
    | T_FOR T_NAME T_IN expr parallel_within block       { $$ = ast_parallel_for(P, @$, ident(P, @2), $4, NULL, $5, $6); }
    | T_FOR T_NAME T_IN expr parallel_limit parallel_within block   { $$ = ast_parallel_for(P, @$, ident(P, @2), $4, $5, $6, $7); }
    | T_FOR T_NAME T_IN expr parallel_within parallel_limit block   { $$ = ast_parallel_for(P, @$, ident(P, @2), $4, $6, $5, $7); }
    ;
from: T_FROM T_NAME T_IN postfix joins where_opt group_opt order_opt limit_opt select_opt
        { $$ = ast_from_expr(P, @$, ident(P, @2), $4, $5, $6, $7, $8, $9, $10); }
    ;
joins: %empty                       { $$ = list_none(); }
    | join_list                     { $$ = list_take(P, $1); }
    ;
join_list: join                     { $$ = list_start(P, $1); }
    | join_list join                { $$ = list_add(P, $1, $2); }
    ;
join: T_JOIN T_NAME T_IN postfix T_ON expr     { $$ = ast_join_clause(P, @$, ident(P, @2), $4, $6); }
    ;
where_opt: %empty                   { $$ = NULL; }
    | T_WHERE expr                  { $$ = $2; }
    ;
group_opt: %empty                   { $$ = NULL; }
    | T_GROUP T_BY expr             { $$ = $3; }
    ;
order_opt: %empty                   { $$ = list_none(); }
    | T_ORDER T_BY order_list       { $$ = list_take(P, $3); }
    ;
order_list: order_key               { $$ = list_start(P, $1); }
    | order_list T_KEY_COMMA order_key         { $$ = list_add(P, $1, $3); }
    ;
order_key: expr direction           { $$ = ast_order_key(P, @$, $1, $2); }
    ;
direction: %empty                   { $$ = 0; }
    | T_ASC                         { $$ = 0; }
    | T_DESC                        { $$ = 1; }
    ;
limit_opt: %empty                   { $$ = NULL; }
    | T_LIMIT expr                  { $$ = $2; }
    ;
select_opt: %empty                  { $$ = NULL; }
    | T_SELECT expr                 { $$ = $2; }
    ;
sets: set_list                      { $$ = list_take(P, $1); }
    ;
set_list: set                       { $$ = list_start(P, $1); }
    | set_list T_KEY_COMMA set      { $$ = list_add(P, $1, $3); }
    ;
set: T_NAME '=' expr                { $$ = ast_set_clause(P, @$, ident(P, @1), $3); }
    ;
expr: postfix
    | T_START postfix               { $$ = ast_start_expr(P, @$, $2); }
    | expr T_OR expr                { $$ = ast_binary_expr(P, @$, BINARY_OR, $1, $3); }
    | expr T_AND expr               { $$ = ast_binary_expr(P, @$, BINARY_AND, $1, $3); }
    | T_NOT expr                    { $$ = ast_unary_expr(P, @$, UNARY_NOT, $2); }
    | expr T_EQ expr                { $$ = ast_binary_expr(P, @$, BINARY_EQ, $1, $3); }
    | expr T_NE expr                { $$ = ast_binary_expr(P, @$, BINARY_NE, $1, $3); }
    | expr '<' expr                 { $$ = ast_binary_expr(P, @$, BINARY_LT, $1, $3); }
    | expr T_LE expr                { $$ = ast_binary_expr(P, @$, BINARY_LE, $1, $3); }
    | expr '>' expr                 { $$ = ast_binary_expr(P, @$, BINARY_GT, $1, $3); }
    | expr T_GE expr                { $$ = ast_binary_expr(P, @$, BINARY_GE, $1, $3); }
    | expr T_IN expr                { $$ = ast_binary_expr(P, @$, BINARY_IN, $1, $3); }
    | expr T_MATCHES expr           { $$ = ast_binary_expr(P, @$, BINARY_MATCH, $1, $3); }
    | expr T_MATCHES_NOT expr       { $$ = ast_binary_expr(P, @$, BINARY_NOT_MATCH, $1, $3); }
    | expr T_COALESCE expr          { $$ = ast_binary_expr(P, @$, BINARY_COALESCE, $1, $3); }
    | expr '+' expr                 { $$ = ast_binary_expr(P, @$, BINARY_ADD, $1, $3); }
    | expr '-' expr                 { $$ = ast_binary_expr(P, @$, BINARY_SUB, $1, $3); }
    | expr '*' expr                 { $$ = ast_binary_expr(P, @$, BINARY_MUL, $1, $3); }
    | expr '/' expr                 { $$ = ast_binary_expr(P, @$, BINARY_DIV, $1, $3); }
    | expr '%' expr                 { $$ = ast_binary_expr(P, @$, BINARY_MOD, $1, $3); }
    | '-' expr %prec NEGATE         { $$ = ast_unary_expr(P, @$, UNARY_NEG, $2); }
    | expr T_AS type                { $$ = ast_as_expr(P, @$, $1, $3); }
    | expr T_WITH record_literal    { $$ = ast_with_expr(P, @$, $1, $3); }
    ;
postfix: primary
    | postfix '.' T_NAME            { $$ = ast_field_expr(P, @$, $1, ident(P, @3), 0); }
    | postfix T_OPTIONAL_DOT T_NAME { $$ = ast_field_expr(P, @$, $1, ident(P, @3), 1); }
    | postfix '[' value ']'         { $$ = ast_index_expr(P, @$, $1, $3); }
    | postfix '(' args ')'          { $$ = call_or_aggregate(P, @$, $1, $3); }
    | postfix '(' expr T_WHERE expr ')'        { $$ = aggregate_where(P, @$, $1, $3, $5, @4); }
    ;
args: %empty                        { $$ = list_none(); }
    | arg_list comma_opt            { $$ = list_take(P, $1); }
    ;
arg_list: arg                       { $$ = list_start(P, $1); }
    | arg_list ',' arg              { $$ = list_add(P, $1, $3); }
    ;
arg: value                          { $$ = ast_arg(P, @$, ident_none(), $1); }
    | T_NAME ':' value              { $$ = ast_arg(P, @$, ident(P, @1), $3); }
    | lambda                        { $$ = ast_arg(P, @$, ident_none(), $1); }
    | T_NAME ':' lambda             { $$ = ast_arg(P, @$, ident(P, @1), $3); }
    ;
lambda: T_NAME T_FAT_ARROW value    { $$ = ast_lambda_expr(P, @$, list_take(P, list_start(P, ast_name_ref(P, @1, ident(P, @1)))), $3); }
    | T_LAMBDA_OPEN ')' T_FAT_ARROW value      { $$ = ast_lambda_expr(P, @$, list_none(), $4); }
    | T_LAMBDA_OPEN name_refs ')' T_FAT_ARROW value      { $$ = ast_lambda_expr(P, @$, $2, $5); }
    ;
primary: literal | string_parts | record_literal | if_value | match_value
    | T_NAME                        { $$ = leaf_name(P, @1); }
    | '(' value ')'                 { $$ = $2; }
    | '[' ']'                       { $$ = ast_list_expr(P, @$, list_none()); }
    | '[' value_list comma_opt ']'  { $$ = ast_list_expr(P, @$, list_take(P, $2)); }
    | T_INSERT T_NAME record_literal           { $$ = ast_insert_expr(P, @$, ident(P, @2), $3); }
    ;
literal: T_NULL                     { $$ = ast_null_expr(P, @$); }
    | T_TRUE                        { $$ = ast_bool_expr(P, @$, 1); }
    | T_FALSE                       { $$ = ast_bool_expr(P, @$, 0); }
    | number_literal
    | T_DURATION                    { $$ = leaf_duration(P, @1); }
    | T_DATE                        { $$ = leaf_date(P, @1); }
    | T_TIMESTAMP                   { $$ = leaf_timestamp(P, @1); }
    | T_REGEX                       { $$ = leaf_regex(P, @1); }
    | T_STRING                      { $$ = leaf_string(P, @1); }
    ;
number_literal: T_INT               { $$ = leaf_int(P, @1); }
    | T_DECIMAL                     { $$ = leaf_decimal(P, @1); }
    ;
string: T_STRING                    { $$ = leaf_string(P, @1); }
    | string_parts
    ;
string_parts: T_QUOTE_OPEN part_list T_QUOTE_CLOSE       { $$ = leaf_parts(P, @$, @1, $2); }
    ;
part_list: part                     { $$ = list_start(P, $1); }
    | part_list part                { $$ = list_add(P, $1, $2); }
    ;
part: T_TEXT                        { $$ = leaf_text(P, @1); }
    | T_INTERPOLATION_OPEN value T_INTERPOLATION_CLOSE   { $$ = leaf_interpolation(P, @$, $2, @3); }
    | T_INTERPOLATION_OPEN error T_INTERPOLATION_CLOSE   { $$ = ast_error(P, @$); yyerrok; }
    ;
record_literal: T_RECORD_OPEN record_fields T_RECORD_CLOSE   { $$ = ast_record_expr(P, @$, $2); }
    ;
record_fields: %empty               { $$ = list_none(); }
    | field_value_list comma_opt    { $$ = list_take(P, $1); }
    ;
field_value_list: field_value       { $$ = list_start(P, $1); }
    | field_value_list ',' field_value         { $$ = list_add(P, $1, $3); }
    ;
field_value: T_NAME                 { $$ = ast_field_value(P, @$, ident(P, @1), NULL, 0); }
    | T_NAME ':' value              { $$ = ast_field_value(P, @$, ident(P, @1), $3, 0); }
    | T_STRING ':' value            { $$ = ast_field_value(P, @$, ident_quoted(P, @1), $3, 1); }
    ;
if_value: T_IF_VALUE condition block T_ELSE block        { $$ = ast_if_stmt(P, @$, $2, $3, $5); }
    | T_IF_VALUE condition block T_ELSE if_chain         { $$ = ast_if_stmt(P, @$, $2, $3, $5); }
    ;
match_value: T_MATCH_VALUE value '{' arms '}'            { $$ = ast_match_stmt(P, @$, $2, $4); }
    ;
%%

static int token_of_symbol(yysymbol_kind_t symbol)
{
    int token = 0;
    while (token < YYMAXUTOK && YYTRANSLATE(token) != symbol)
        token++;
    return token;
}

const char *parser_token_name(int token)
{
    return yysymbol_name(YYTRANSLATE(token));
}

/* What bison knows about an error; parse.c says it. */
static int yyreport_syntax_error(const yypcontext_t *context, Parser *parser)
{
    enum { EXPECTED_MAX = 200 };
    yysymbol_kind_t symbols[EXPECTED_MAX];
    int tokens[EXPECTED_MAX], count = yypcontext_expected_tokens(context, symbols, EXPECTED_MAX);
    for (int i = 0; i < count; i++)
        tokens[i] = token_of_symbol(symbols[i]);
    parser_unexpected(parser, *yypcontext_location(context), token_of_symbol(yypcontext_token(context)), tokens, count);
    return 0;
}
