/* parse.c - parse_module(), the way a syntax error is told, and recovery.
 *
 * Rules with `error` end where a statement, member, entry or field ends. After an error bison pops back to the innermost of
 * them, and parser_token() throws away what is left of it. A bracket that opens there is skipped with all it holds,
 * so the closing brace of an inner block is never taken for that of an outer one. Bison's own way of throwing away would lose the list so far.
 */
#include "dsl/syntax/parse.h"

#include <ctype.h>
#include <stdlib.h>

#include "dsl/grammar/flow.tab.h"
#include "dsl/syntax/parse_internal.h"

static void comments_keep(Parser *parser, Module *module)
{
    const Tokens *tokens = &parser->tokens;
    module->comments = ARENA_ARRAY(parser->arena, Comment, tokens->comment_count);
    for (uint32_t i = 0; i < tokens->comment_count; i++) {
        const CommentLine *line = &tokens->comments[i];
        bool attached = line->token != UINT32_MAX && tokens->items[line->token].flags & TOKEN_DOC_USED;
        if (!attached)
            module->comments[module->comment_count++] = line->comment;
    }
}

Module *parse_module(Arena *arena, Source *source, Diags *diags)
{
    Parser *parser = mem_alloc(sizeof *parser);
    parser->arena = arena;
    parser->diags = diags;
    parser->tokens = (Tokens){ .arena = arena, .source = source, .diags = diags };
    scan_tokens(&parser->tokens);
    layer_init(&parser->layer, &parser->tokens);
    yyparse(parser);
    if (!parser->root)                                          /* nothing could be saved: the stack's limit */
        parser->root = (Ast_module *)(void *)ast_module(parser, (Place){ 0, parser->tokens.count - 1 }, list_none());

    Module *module = ARENA_NEW(arena, Module);
    module->source = source;
    module->arena = arena;
    module->root = parser->root;
    module->root->head.span = (Span){ 0, (uint32_t)source->text.len, source->index };
    comments_keep(parser, module);
    tokens_free(&parser->tokens);
    free(parser->scratch);
    free(parser);
    return module;
}

/* ---- tokens for the grammar --------------------------------------------------------------------------------- */

static void group_skip(Parser *parser, int depth)
{
    Place place;
    while (parser->layer.depth > depth && layer_next(&parser->layer, &place) != T_EOF)
        ;
}

/* Where the rules with `error` end: their separators and closing brackets, as the layer has them now. */
static bool recovery_ends(const Parser *parser, int kind)
{
    int frame = parser->layer.frames[parser->layer.depth].kind;
    if (kind == ',')
        return frame == FRAME_FIELDS || frame == FRAME_ENUM || frame == FRAME_TABLE || frame == FRAME_PARTICIPANTS;
    return kind == T_NL || (kind == '}' && !parser->layer.stray) || kind == T_EOF || kind == T_INTERPOLATION_CLOSE;
}

int parser_token(Parser *parser, Place *place)
{
    Layer *layer = &parser->layer;
    int depth = layer->depth, kind = layer_next(layer, place);
    while (parser->recovering && !recovery_ends(parser, kind)) {
        if (layer->depth > depth)
            group_skip(parser, depth);
        depth = layer->depth;
        kind = layer_next(layer, place);
    }
    parser->recovering = false;
    return kind;
}

/* ---- saying what is wrong -------------------------------------------------------------------------------------- */

enum { NAMES_SHOWN_MAX = 4 };

static bool one_of(int token, const int *tokens)
{
    for (; *tokens; tokens++)
        if (*tokens == token)
            return true;
    return false;
}

static const int expression_starts[] = {
    T_NAME, T_INT, T_DECIMAL, T_DURATION, T_DATE, T_TIMESTAMP, T_REGEX, T_STRING, T_QUOTE_OPEN, '(', '[', T_RECORD_OPEN, '-', T_NOT, T_NULL, T_TRUE, T_FALSE,
    T_IF_VALUE, T_MATCH_VALUE, T_PARALLEL_VALUE, T_INSERT, T_UPDATE, T_DELETE, T_FROM, T_ASK, T_AWAIT, T_START, T_REPLAY, T_RUN_PLAN, 0
};
static const int statement_starts[] = {
    T_LET, T_VAR, T_RETURN, T_IF, T_MATCH, T_FOR, T_WHILE, T_BREAK, T_CONTINUE, T_TRY, T_FAIL, T_TRANSACTION, T_EMIT, T_SAGA, T_STEP, T_SLEEP, T_WAIT,
    T_PROGRESS, T_SIGNAL, T_PARALLEL, T_GIVEN, T_RUN, T_ADVANCE, T_ANSWER, T_DELIVER, T_CANCEL, T_CRASH, T_EXPECT, T_SAVE, T_COORDINATE, T_AUDIT, T_REBUILD, 0
};
static const int declaration_starts[] = {
    T_USE, T_AGENT, T_TOOL, T_RESOURCE, T_ON, T_EVENT, T_SIGNAL, T_TYPE, T_ENUM, T_MACHINE, T_TABLE, T_POLICY, T_FN, T_FLOW, T_PARTICIPANTS, T_FIXTURE, T_TEST,
    T_SESSION, T_CONTEXT, T_AGGREGATE, T_PROJECTION, T_WEBHOOK, T_SCOPE, T_ROLE, 0
};
static const int type_starts[] = { T_LIST, T_MAP, T_ID, T_LABEL, T_NAME, T_RECORD_OPEN, 0 };
static const int operators[] = {
    T_OR, T_AND, T_EQ, T_NE, '<', T_LE, '>', T_GE, T_IN, T_MATCHES, T_MATCHES_NOT, T_COALESCE, '+', '-', '*', '/', '%', T_AS, T_WITH, '.', T_OPTIONAL_DOT,
    '[', '(', T_RETRY, T_WITHIN, T_ELSE, T_ADD_ASSIGN, T_SUB_ASSIGN, T_MUL_ASSIGN, '=', T_RANGE, T_WHERE, T_CACHED, 0
};

/* Tokens that go by one name when all of them are possible; `sign` is only there when the group is. */
static const struct { int sign, sign_too; const int *members; const char *name; } groups[] = {
    { T_USE, T_FLOW, declaration_starts, "a declaration" }, { T_LET, T_WHILE, statement_starts, "a statement" },
    { T_INT, T_NOT, expression_starts, "an expression" },   { T_LIST, T_LABEL, type_starts, "a type" },
    { T_COALESCE, '*', operators, "an operator" },
};
enum { GROUP_COUNT = sizeof groups / sizeof *groups, GROUP_STATEMENT = 1, GROUP_EXPRESSION = 2, GROUP_OPERATOR = 4 };

static const char *token_describe(Parser *parser, int token)
{
    switch (token) {
    case T_EOF:   return "the end of the file";
    case T_NL:    return "the end of the line";
    case T_NAME:  return "a name";
    case T_KIND:  return "an error kind";
    case T_INT:   case T_DECIMAL: return "a number";
    case T_DURATION: return "a duration";
    case T_DATE:  return "a date";
    case T_TIMESTAMP: return "a timestamp";
    case T_REGEX: return "a regular expression";
    case T_STRING: case T_QUOTE_OPEN: return "a string";
    case T_TEXT:  case T_QUOTE_CLOSE: return "the end of the string";
    case T_INTERPOLATION_OPEN: return "`${`";
    case T_INTERPOLATION_CLOSE: return "`}` of the interpolation";
    case T_EFFECT: return "`reads`, `idempotent`";
    case T_LABEL: return "`pii`";
    case T_OUTCOME: return "`completed`";
    case T_ARROW: return "`->`";
    case T_FAT_ARROW: return "`=>`";
    case T_EQ: return "`==`";
    case T_NE: return "`!=`";
    case T_LE: return "`<=`";
    case T_GE: return "`>=`";
    case T_MATCHES: return "`=~`";
    case T_MATCHES_NOT: return "`!~`";
    case T_COALESCE: return "`\?\?`";
    case T_OPTIONAL_DOT: return "`?.`";
    case T_RANGE: return "`..`";
    case T_ADD_ASSIGN: return "`+=`";
    case T_SUB_ASSIGN: return "`-=`";
    case T_MUL_ASSIGN: return "`*=`";
    case T_IF_VALUE: return "`if`";
    case T_MATCH_VALUE: return "`match`";
    case T_PARALLEL_VALUE: return "`parallel`";
    case T_DETAILS: return "`with`";
    case T_LAST_ORDER: return "`order`";
    case T_RECORD_OPEN: return "`{`";
    case T_RECORD_CLOSE: return "`}`";
    case T_TYPE_LT: return "`<`";
    case T_TYPE_GT: return "`>`";
    case T_LAMBDA_OPEN: return "`(`";
    case T_KEY_COMMA: return "`,`";
    case T_PERCENT: return "`%`";
    case T_WILDCARD: return "`_`";
    case T_RUN_PLAN: return "`run`";
    case T_PLAN_WITHIN: return "`within`";
    case T_PLAN_ASK: return "`ask`";
    default: break;
    }
    if (token < 256)
        return arena_printf(parser->arena, "`%c`", token);
    char *name = arena_printf(parser->arena, "`%s`", parser_token_name(token) + 2);   /* T_LET: the word in capitals */
    for (char *at = name; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    return name;
}

static const char *found_describe(Parser *parser, Place place, int found)
{
    enum { SHOWN_MAX = 40 };
    const char *name = token_describe(parser, found);
    static const char *const articles[] = { "the ", "a ", "an " };
    for (size_t i = 0; i < sizeof articles / sizeof *articles; i++)
        if (strncmp(name, articles[i], strlen(articles[i])) == 0) {
            name += strlen(articles[i]);
            break;
        }
    if (place.last + 1 == place.first || found == T_EOF || found == T_TEXT)
        return name;
    Str text = token_text(&parser->tokens, &parser->tokens.items[place.first]);
    const char *what = found == T_INT || found == T_DECIMAL ? "number " : found == T_STRING ? "string " : "";
    const char *line_end = memchr(text.ptr, '\n', text.len);
    if (text.len > SHOWN_MAX || line_end || text.len == 0)
        return name;
    return arena_printf(parser->arena, "%s`%.*s`", what, STR_ARG(text));
}

static bool contains(const int *tokens, int count, int token)
{
    for (int i = 0; i < count; i++)
        if (tokens[i] == token)
            return true;
    return false;
}

static void name_add(const char **names, int *count, const char *name)
{
    for (int i = 0; i < *count; i++)
        if (strcmp(names[i], name) == 0)
            return;
    if (*count < NAMES_SHOWN_MAX)
        names[(*count)++] = name;
}

/* "`}`, `let` or a statement": groups first, then single tokens, operators only when nothing else is possible. */
static const char *expected_describe(Parser *parser, const int *expected, int count)
{
    const char *names[NAMES_SHOWN_MAX];
    bool in_group[GROUP_COUNT] = { false };
    int name_count = 0;
    for (int g = 0; g < GROUP_COUNT; g++) {
        in_group[g] = contains(expected, count, groups[g].sign) && contains(expected, count, groups[g].sign_too);
        if (in_group[g] && g != GROUP_OPERATOR && !(g == GROUP_EXPRESSION && in_group[GROUP_STATEMENT]))
            name_add(names, &name_count, groups[g].name);
    }
    if (contains(expected, count, T_NL))
        name_add(names, &name_count, token_describe(parser, T_NL));
    for (int i = 0; i < count; i++) {
        bool grouped = false;
        for (int g = 0; g < GROUP_COUNT; g++)
            grouped |= in_group[g] && one_of(expected[i], groups[g].members);
        if (!grouped)
            name_add(names, &name_count, token_describe(parser, expected[i]));
    }
    if (name_count == 0)
        return in_group[GROUP_OPERATOR] ? "an operator" : "something else";
    Buf text = { 0 };
    for (int i = 0; i < name_count; i++)
        buf_printf(&text, "%s%s", i == 0 ? "" : i == name_count - 1 ? " or " : ", ", names[i]);
    Str copy = arena_str(parser->arena, buf_str(&text));
    buf_free(&text);
    return copy.ptr;
}

/* `retrun 5`: the mistake is the word that starts the line, one token before the error. */
static void suggest_first_word(Parser *parser, Diag *diag, uint32_t at)
{
    static const int *const lists[] = { statement_starts, declaration_starts };
    enum { WORDS_MAX = 64 };
    Str words[WORDS_MAX];
    size_t count = 0;
    const Token *token = &parser->tokens.items[at];
    bool first = token->flags & TOKEN_NEWLINE || at == 0 || parser->tokens.items[at - 1].kind == '{';
    if (token->kind != T_NAME || !first)
        return;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        for (const int *word = lists[i]; *word && count < WORDS_MAX; word++) {
            const char *name = token_describe(parser, *word) + 1;
            words[count++] = (Str){ name, strcspn(name, "`") };
        }
    Str near = str_nearest(token_text(&parser->tokens, token), words, count);
    if (!near.len || str_eq(near, token_text(&parser->tokens, token)))
        return;
    diag_help(parser->diags, diag, "did you mean `%.*s`?", STR_ARG(near));
    diag_fix(parser->diags, diag, place_span(parser, (Place){ at, at }), "%.*s", STR_ARG(near));
}

static void suggest_word(Parser *parser, Diag *diag, Str wrong, const int *expected, int count)
{
    enum { WORDS_MAX = 64 };
    Str words[WORDS_MAX];
    size_t word_count = 0;
    for (int i = 0; i < count && word_count < WORDS_MAX; i++) {
        if (expected[i] <= T_NAME || expected[i] >= T_WORD_LAST)
            continue;
        const char *name = token_describe(parser, expected[i]) + 1;
        size_t len = strcspn(name, "`");
        if (str_eq((Str){ name, len }, wrong)) {                /* a word of the language only before what belongs to it */
            diag_help(parser->diags, diag, "`%.*s` may stand here, but not before what follows it", STR_ARG(wrong));
            return;
        }
        words[word_count++] = (Str){ name, len };
    }
    diag_did_you_mean(parser->diags, diag, wrong, words, word_count);
}

static void unexpected_tell(Parser *parser, Place place, int found, const int *expected, int expected_count)
{
    Span span = place_span(parser, place);
    const char *what = found_describe(parser, place, found);
    Diag *diag = diag_syntax(parser->diags, span, what, expected_describe(parser, expected, expected_count));
    if (place.first > 0 && place.first < parser->tokens.count) {
        Str before = token_text(&parser->tokens, &parser->tokens.items[place.first - 1]);
        if (before.len > 0 && before.len <= 40 && !memchr(before.ptr, '\n', before.len))
            diag_label(parser->diags, diag, "cannot follow `%.*s`", STR_ARG(before));
    }
    if ((found == '}' || found == T_RECORD_CLOSE || found == T_NL) && parser->layer.unclosed)
        diag_note(parser->diags, diag, place_span(parser, (Place){ parser->layer.unclosed - 1, parser->layer.unclosed - 1 }), "`%.*s` is opened here",
                  STR_ARG(token_text(&parser->tokens, &parser->tokens.items[parser->layer.unclosed - 1])));
    if (place.first > 0)
        suggest_first_word(parser, diag, place.first - 1);
    if (found == T_NAME && !diag->help)
        suggest_word(parser, diag, token_text(&parser->tokens, &parser->tokens.items[place.first]), expected, expected_count);
}

void parser_unexpected(Parser *parser, Place place, int found, const int *expected, int expected_count)
{
    bool stuck = parser->error_at == place.first + 1;           /* the rule did not end there after all: skip it */
    parser->error_at = place.first + 1;
    parser->ended = found == T_EOF && stuck;
    parser->recovering = found != T_EOF && (stuck || !recovery_ends(parser, found));
    if (!parser->layer.stopped && !parser->layer.closing)       /* else E0203, E0204 have said it */
        unexpected_tell(parser, place, found, expected, expected_count);
    if (place.last + 1 != place.first && parser->layer.depth > 0 && parser->layer.frames[parser->layer.depth].open == place.first)
        group_skip(parser, parser->layer.depth - 1);            /* the unexpected token opens a bracket */
}

void parse_too_deep(Parser *parser, Span span)
{
    if (!parser->too_deep && !parser->layer.stopped)
        diag_too_deep(parser->diags, span, AST_DEPTH_MAX);
    parser->too_deep = true;
}

Ast *assignment_as_condition(Parser *parser, Place whole, Place equals, Ast *left, Ast *right)
{
    Span span = place_span(parser, equals);
    diag_fix(parser->diags, diag_assignment_as_condition(parser->diags, span), span, "==");
    return ast_binary_expr(parser, whole, BINARY_EQ, left, right);
}
