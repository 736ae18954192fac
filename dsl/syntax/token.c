/* token.c - the token array, and the layer that reads it in context.
 *
 * A stack of frames says what the open brackets enclose. From the frame, the token before and up to three
 * tokens ahead follows everything: line ends, keyword or name, the sort of a bracket. Nothing here depends on the parser's
 * state, so a syntax error does not change how the rest of the file is read.
 * A new statement: its word in flow.l, its rule in flow.y, and a row in word_at_start() that says when it is no name.
 */
#include "dsl/syntax/token.h"

#include <stdlib.h>

#include "dsl/grammar/flow.tab.h"

static void tokens_grow(Tokens *tokens)
{
    uint32_t cap = tokens->cap ? tokens->cap * 2 : (uint32_t)tokens->source->text.len / 3 + 64;      /* rarely more */
    Token *items = mem_alloc_large(cap * sizeof *items);
    if (tokens->count)
        memcpy(items, tokens->items, tokens->count * sizeof *items);
    free(tokens->items);
    tokens->items = items;
    tokens->cap = cap;
}

Token *token_add(Tokens *tokens, int kind, uint32_t start, uint32_t end)
{
    if (tokens->count == tokens->cap)
        tokens_grow(tokens);
    Token *token = &tokens->items[tokens->count++];
    *token = (Token){ .kind = (uint16_t)kind, .start = start, .end = end };
    return token;
}

void tokens_free(Tokens *tokens)
{
    free(tokens->items);
    free(tokens->comments);
    tokens->items = NULL;
    tokens->comments = NULL;
}

Str token_text(const Tokens *tokens, const Token *token)
{
    return (Str){ tokens->source->text.ptr + token->start, token->end - token->start };
}

void layer_init(Layer *layer, Tokens *tokens)
{
    *layer = (Layer){ .tokens = tokens };
    layer->frames[0].kind = FRAME_TOP;
}

/* ---- looking around --------------------------------------------------------------------------------- */

static const Token *ahead(const Layer *layer, uint32_t steps)
{
    uint32_t at = layer->at + steps, last = layer->tokens->count - 1;
    return &layer->tokens->items[at < last ? at : last];
}

static int kind_ahead(const Layer *layer, uint32_t steps)
{
    return ahead(layer, steps)->kind;
}

static Frame *top(Layer *layer)
{
    return &layer->frames[layer->depth];
}

static inline bool is_word(int kind)
{
    return kind >= T_NAME && kind <= T_WORD_LAST;
}

static bool is_string(int kind)
{
    return kind == T_STRING || kind == T_QUOTE_OPEN;
}

/* Words that stand between or behind operands; none of them starts one. */
static bool is_infix_word(int kind)
{
    switch (kind) {
    case T_AND: case T_OR: case T_IN: case T_AS: case T_ELSE: case T_WITH: case T_WITHIN: case T_RETRY: case T_WHERE: case T_COMPENSATE:
    case T_CACHED:
        return true;
    default:
        return false;
    }
}

/* Does the token before end an operand, so that an operator, a clause or the end may follow? */
static bool ends_operand(int kind)
{
    switch (kind) {
    case T_NAME: case T_INT: case T_DECIMAL: case T_DURATION: case T_DATE: case T_TIMESTAMP: case T_REGEX: case T_STRING: case T_QUOTE_CLOSE:
    case T_NULL: case T_TRUE: case T_FALSE: case T_WILDCARD: case T_PERCENT:
    case ')': case ']': case '}': case '?': case T_RECORD_CLOSE: case T_TYPE_GT: case T_EFFECT: case T_SHARED: case T_VERSION:
    case T_DESC: case T_ASC: case T_TIMES: case T_NOTHING: case T_BREAK: case T_CONTINUE: case T_ONLY:
    case T_STREAM: case T_DISCONNECT: case T_PUBLIC: case T_SIGNED: case T_PLAN_ASK:
        return true;
    default:
        return false;
    }
}

/* Can a line end behind it? */
static bool ends_line(int kind)
{
    switch (kind) {
    case T_RETURN: case T_FAILED: case T_OUTCOME: case T_AGAIN: case T_CANCEL: case T_EVERYWHERE: case T_LAST_ORDER:
        return true;
    default:
        return ends_operand(kind);
    }
}

/* Does the token `steps` ahead start an operand on the same line? A minus counts when it is glued to what follows, a `[` when it is not glued to what stands before. */
static bool operand_ahead(const Layer *layer, uint32_t steps)
{
    const Token *token = ahead(layer, steps);
    if (token->flags & TOKEN_NEWLINE)
        return false;
    switch (token->kind) {
    case T_INT: case T_DECIMAL: case T_DURATION: case T_DATE: case T_TIMESTAMP: case T_REGEX: case T_STRING: case T_QUOTE_OPEN: case '(': case '{':
        return true;
    case '[':
        return token->flags & TOKEN_SPACE;
    case '-':
        return token->flags & TOKEN_SPACE && !(ahead(layer, steps + 1)->flags & TOKEN_SPACE);
    default:
        return is_word(token->kind) && !is_infix_word(token->kind);
    }
}

static bool word_ahead(const Layer *layer, uint32_t steps)
{
    return is_word(kind_ahead(layer, steps)) && !(ahead(layer, steps)->flags & TOKEN_NEWLINE);
}

static bool line_ends_ahead(const Layer *layer, uint32_t steps)
{
    const Token *token = ahead(layer, steps);
    return token->flags & TOKEN_NEWLINE || token->kind == '}' || token->kind == T_EOF || token->kind == T_SEMICOLON;
}

/* `{ a:`, `{ "a":`, `{ a,`: what no block begins with. */
static bool record_ahead(const Layer *layer)
{
    int first = kind_ahead(layer, 1), second = kind_ahead(layer, 2);
    return (is_word(first) && (second == ':' || second == ',')) || (first == T_STRING && second == ':');
}

static bool type_position(const Layer *layer)
{
    int frame = layer->frames[layer->depth].kind;
    switch (layer->previous) {
    case ':':
        return frame == FRAME_FIELDS || frame == FRAME_TABLE || frame == FRAME_PROJECTION || frame == FRAME_PARAMS || frame == FRAME_RECORD_TYPE || frame == FRAME_BLOCK;
    case T_ARROW: case T_AS: case T_TYPE_LT: case T_LABEL:
        return frame != FRAME_MACHINE;
    default:
        return false;
    }
}

static bool at_start(const Layer *layer)
{
    int frame = layer->frames[layer->depth].kind;
    if (layer->previous == T_NL || layer->previous == '{' || layer->previous == 0)
        return true;
    return layer->previous == ',' && (frame == FRAME_FIELDS || frame == FRAME_ENUM || frame == FRAME_TABLE || frame == FRAME_PROJECTION);
}

/* ---- words: keyword or name? ------------------------------------------------------------------------- */

/* No member starts with a name, so the words need no look ahead. */
static int word_at_top(int kind)
{
    switch (kind) {
    case T_USE: case T_AGENT: case T_EVENT: case T_SIGNAL: case T_TYPE: case T_ENUM: case T_MACHINE: case T_TABLE: case T_POLICY: case T_FN: case T_FLOW:
    case T_FIXTURE: case T_TOOL: case T_ON: case T_PARTICIPANTS: case T_TEST: case T_RESOURCE: case T_SESSION: case T_CONTEXT: case T_AGGREGATE: case T_PROJECTION:
    case T_WEBHOOK: case T_SCOPE: case T_ROLE:
        return kind;
    default:
        return T_NAME;
    }
}

static int word_at_aggregate(int kind)
{
    switch (kind) {
    case T_ROOT: case T_CHILDREN: case T_STATE: case T_WHEN: case T_INVARIANT: case T_COMMAND: case T_CREATE: return kind;
    default: return T_NAME;
    }
}

static int word_at_table(const Layer *layer, int kind)
{
    int next = kind_ahead(layer, 1);
    switch (kind) {
    case T_VERSION:             return line_ends_ahead(layer, 1) || next == ',' ? kind : T_NAME;
    case T_INDEX: case T_UNIQUE: return next == '(' ? kind : T_NAME;
    case T_ON:                  return next == T_ERASE ? kind : T_NAME;
    case T_EXPORT:              return next == T_AS ? kind : T_NAME;
    case T_CACHE:               return word_ahead(layer, 1) ? kind : T_NAME;
    case T_APPEND:              return next == T_ONLY ? kind : T_NAME;
    case T_VISIBLE:             return next == T_BY ? kind : T_NAME;
    default:                    return T_NAME;
    }
}

/* `run plan p`, which a call of a flow by the name of plan is not: its parenthesis is glued to it. */
static bool plan_ahead(const Layer *layer)
{
    return kind_ahead(layer, 1) == T_PLAN && operand_ahead(layer, 2) && (kind_ahead(layer, 2) != '(' || ahead(layer, 2)->flags & TOKEN_SPACE);
}

/* Words that start a statement, when what follows is no operator. The core words (let, if, …) are never names here. */
static int word_at_start(Layer *layer, int kind)
{
    int next = kind_ahead(layer, 1);
    switch (kind) {
    case T_TRANSACTION: case T_SAGA: return next == '{' ? kind : T_NAME;
    case T_RUN:
        return plan_ahead(layer) ? T_RUN_PLAN : word_ahead(layer, 1) && operand_ahead(layer, 1) ? kind : T_NAME;
    case T_EMIT: case T_SIGNAL: case T_STEP: case T_GIVEN: case T_DELIVER:
        return word_ahead(layer, 1) && operand_ahead(layer, 1) ? kind : T_NAME;
    case T_SLEEP: case T_PROGRESS: case T_ADVANCE: case T_ANSWER: case T_EXPECT:
        return operand_ahead(layer, 1) ? kind : T_NAME;
    case T_WAIT:   return next == T_UNTIL ? kind : T_NAME;
    case T_REQUEST: return word_ahead(layer, 1) && is_string(kind_ahead(layer, 2)) ? kind : T_NAME;
    case T_AUDIT:  return word_ahead(layer, 1) && kind_ahead(layer, 2) == T_ON ? kind : T_NAME;
    case T_REBUILD: return word_ahead(layer, 1) && line_ends_ahead(layer, 2) ? kind : T_NAME;
    case T_CANCEL: return line_ends_ahead(layer, 1) ? kind : T_NAME;
    case T_CRASH:  return next == T_EVERYWHERE ? kind : T_NAME;
    case T_SAVE: case T_DELETE: return word_ahead(layer, 1) && kind_ahead(layer, 2) == '[' ? kind : T_NAME;
    case T_COORDINATE: return word_ahead(layer, 1) && kind_ahead(layer, 2) == '{' ? kind : T_NAME;
    case T_PARALLEL:
        if (next == T_FOR)
            return T_PARALLEL_VALUE;
        return next == '{' || next == T_RACE || (next == T_WITHIN && operand_ahead(layer, 2)) || (next == T_LIMIT && operand_ahead(layer, 2)) ? kind : T_NAME;
    default:
        return T_NAME;
    }
}

/* Words that start an expression. */
static int word_at_operand(Layer *layer, int kind)
{
    const Frame *frame = top(layer);
    int next = kind_ahead(layer, 1), second = kind_ahead(layer, 2);
    switch (kind) {
    case T_PARALLEL:
        return next == '{' || next == T_FOR || next == T_RACE || next == T_WITHIN || next == T_LIMIT ? T_PARALLEL_VALUE : T_NAME;
    case T_ASK:
        return is_string(next) || (operand_ahead(layer, 1) && (is_word(next) || (next == '(' && ahead(layer, 1)->flags & TOKEN_SPACE))) ? kind : T_NAME;
    case T_AWAIT:  return word_ahead(layer, 1) && operand_ahead(layer, 1) ? kind : T_NAME;
    case T_START:  return word_ahead(layer, 1) && operand_ahead(layer, 1) && (second == '(' || second == '.') ? kind : T_NAME;
    case T_FROM:   return is_word(next) && second == T_IN ? kind : T_NAME;
    case T_INSERT: return is_word(next) && second == '{' ? kind : T_NAME;
    case T_RUN:    return plan_ahead(layer) ? T_RUN_PLAN : T_NAME;
    case T_REPLAY: return word_ahead(layer, 1) && second == '[' ? kind : T_NAME;
    case T_UPDATE: return is_word(next) && (second == T_SET || second == T_IN) ? kind : T_NAME;
    case T_DELETE: return next == T_FROM && is_word(second) ? kind : T_NAME;
    case T_CRITICAL: return frame->kind == FRAME_PARALLEL && is_word(next) ? kind : T_NAME;
    case T_FINAL:  return frame->kind == FRAME_MACHINE && next != T_ARROW ? kind : T_NAME;
    case T_WILDCARD: return frame->kind == FRAME_MATCH ? kind : T_NAME;
    default:       return T_NAME;
    }
}

/* Words that belong to the word before them; 0 when that word says nothing about them. */
static int word_after_word(Layer *layer, int kind)
{
    int next = kind_ahead(layer, 1);
    switch (layer->previous) {
    case T_TEST:     return kind == T_DOCUMENTED ? kind : T_NAME;
    case T_WAIT:     return kind == T_UNTIL ? kind : T_NAME;
    case T_CRASH:    return kind == T_EVERYWHERE ? kind : T_NAME;
    case T_CANCEL:   return kind == T_ON ? kind : T_NAME;
    case T_DEFAULT:  return kind == T_GRANTS ? kind : T_NAME;
    case T_ON:       return (kind == T_ERASE && top(layer)->kind == FRAME_TABLE) || (kind == T_DISCONNECT && top(layer)->header == T_FLOW && next != T_AS) ? kind : T_NAME;
    case T_EXPORT:   return kind == T_AS ? kind : T_NAME;
    case T_CACHE:    return kind == T_AT ? kind : T_NAME;
    case T_APPEND:   return kind == T_ONLY ? kind : T_NAME;
    case T_TO:       return kind == T_VERSION ? kind : 0;
    case T_USER:     return kind == T_ANSWERS ? kind : T_NAME;
    case T_AT:       return kind == T_MOST ? kind : 0;
    case T_RUN_PLAN: return kind;
    case T_COSTS:    return kind == T_TOKENS || kind == T_USD ? kind : T_NAME;
    case T_GROUP: case T_ORDER: case T_COMPENSATED: case T_SOURCED: case T_VISIBLE: return kind == T_BY ? kind : T_NAME;
    case T_PARALLEL: case T_PARALLEL_VALUE: return kind == T_RACE || kind == T_WITHIN || kind == T_LIMIT ? kind : 0;
    case T_RACE:     return kind == T_WITHIN || kind == T_LIMIT ? kind : 0;
    case T_DELETE:   return kind == T_FROM ? kind : T_NAME;
    case T_IN:       return kind == T_ANY && next == T_ORDER ? kind : 0;
    case T_ANY:      return kind == T_ORDER ? T_LAST_ORDER : T_NAME;
    case T_ANSWERS:  return kind == T_NOTHING && line_ends_ahead(layer, 1) ? kind : 0;
    case T_CATCH:    return kind == T_AS ? kind : T_NAME;
    case T_ONE:      return kind == T_OF || kind == T_PER ? kind : T_NAME;
    case T_AS:       return (kind == T_ONE && next == T_OF) || (kind == T_USER && top(layer)->header == T_REQUEST) ? kind : 0;
    case T_GIVEN:
        if (kind == T_USER)
            return next == T_ANSWERS ? kind : T_NAME;
        if (kind == T_NOW)
            return operand_ahead(layer, 1) && next != '(' && next != '[' ? kind : T_NAME;
        return (kind == T_IDS || kind == T_FIXTURE) && word_ahead(layer, 1) && operand_ahead(layer, 1) && next != T_FAILS && next != T_RETURNS ? kind : T_NAME;
    case T_EXPECT:
        if (kind == T_OUTCOME)
            return line_ends_ahead(layer, 1) ? kind : 0;
        if (kind == T_FAILED)
            return line_ends_ahead(layer, 1) || (word_ahead(layer, 1) && operand_ahead(layer, 1)) ? kind : T_NAME;
        if (kind == T_STATUS)
            return next == T_INT ? kind : 0;
        if (kind == T_CALLS || kind == T_EMITTED || kind == T_STREAM)
            return next == '[' && ahead(layer, 1)->flags & TOKEN_SPACE ? kind : T_NAME;
        return kind == T_ASKED && is_string(next) ? kind : 0;
    case T_FAIL: {                                              /* a kind, unless the word is the error itself: fail e */
        bool operand = operand_ahead(layer, 1) && (next != '(' || ahead(layer, 1)->flags & TOKEN_SPACE) && next != '{';
        return operand ? T_KIND : T_NAME;
    }
    default:
        return 0;
    }
}

/* `for` is one too, and no name anywhere. */
static bool is_plan_option(int kind)
{
    switch (kind) {
    case T_ALLOW: case T_WITHIN: case T_STEPS: case T_FUEL: case T_CALLS: case T_MEMORY: case T_TOKENS: case T_USD: case T_ASK: return true;
    default: return false;
    }
}

/* At the start of a line: an option, or the next statement? `ask` with a question is one, and `for x in xs` is. */
static bool plan_continues(const Layer *layer, int kind)
{
    int next = kind_ahead(layer, 1), second = kind_ahead(layer, 2);
    switch (kind) {
    case T_FOR:    return second != T_IN && second != ',';
    case T_ASK:    return line_ends_ahead(layer, 1) || (next != T_ASK && is_plan_option(next)) || next == T_FOR || next == T_ELSE;
    case T_ALLOW:  return next == '[';
    case T_WITHIN: return operand_ahead(layer, 1);
    default:       return is_plan_option(kind) && (next == T_INT || next == T_DECIMAL);
    }
}

/* Behind an operand only these can follow; which of them fit is the grammar's question. */
static int word_behind_operand(Layer *layer, int kind)
{
    Frame *frame = top(layer);
    if (frame->planning && is_plan_option(kind))
        return kind == T_WITHIN ? T_PLAN_WITHIN : kind == T_ASK ? T_PLAN_ASK : kind;
    switch (kind) {
    case T_IN: case T_RETRY: case T_WITHIN: case T_WHERE: case T_JOIN: case T_ON: case T_GROUP: case T_ORDER: case T_LIMIT: case T_SELECT: case T_DESC:
    case T_ASC: case T_SET: case T_COMPENSATE: case T_AT: case T_TIMES: case T_OF: case T_SHARED: case T_AUTH: case T_REQUIRES: case T_DURABILITY:
    case T_ONE: case T_PER: case T_RATE: case T_COMPENSATED: case T_EFFECT: case T_KEY: case T_VIA: case T_LIKE: case T_FAILS: case T_RETURNS: case T_ANSWERS:
    case T_AFTER: case T_AGAIN: case T_CATCH: case T_FINALLY: case T_AS: case T_TTL: case T_CACHED: case T_SOURCED: case T_UNTIL:
        return frame->signalling && kind_ahead(layer, 1) == '{' ? T_NAME : kind;
    case T_PRIORITY:
        return kind_ahead(layer, 1) == T_INT ? kind : T_NAME;
    case T_VERIFY: case T_TOLERANCE: case T_DEDUPE: case T_TENANT:
        return frame->header == T_WEBHOOK || frame->header == T_FLOW ? kind : T_NAME;
    case T_STREAM: case T_PUBLIC: case T_CANCEL:
        return frame->header == T_FLOW ? kind : T_NAME;
    case T_COSTS: case T_TOKENS: case T_USD:
        return frame->header == T_TOOL || frame->header == T_FLOW ? kind : T_NAME;
    case T_DEFAULT: case T_GRANTS:
        return frame->header == T_ROLE ? kind : T_NAME;
    case T_SCOPES: case T_ROLES: case T_HEADERS: case T_SIGNED:
        return frame->header == T_REQUEST ? kind : T_NAME;
    case T_BY:
        return frame->kind == FRAME_FIELDS || frame->header == T_PROJECTION ? kind : T_NAME;
    case T_WITH:
        return frame->failing ? T_DETAILS : kind;
    case T_TO:
        return kind_ahead(layer, 1) == T_VERSION || frame->kind == FRAME_TABLE ? kind : T_NAME;
    case T_ROOT: case T_CHILDREN: case T_STATE: case T_WHEN: case T_INVARIANT: case T_COMMAND: case T_CREATE:
        return frame->kind == FRAME_AGGREGATE ? kind : T_NAME;      /* several members on one line */
    default:
        return T_NAME;
    }
}

static int word_in_type(Layer *layer, int kind)
{
    int next = kind_ahead(layer, 1);
    switch (kind) {
    case T_LIST: case T_MAP: return next == '<' ? kind : T_NAME;
    case T_ID:    return next == '<' || next == T_STRING ? kind : T_NAME;
    case T_LABEL: return is_word(next) || next == '{' ? kind : T_NAME;
    default:      return T_NAME;
    }
}

/* The words that no name can be, wherever a statement or an expression stands. */
static bool is_core(int kind)
{
    switch (kind) {
    case T_LET: case T_VAR: case T_RETURN: case T_IF: case T_ELSE: case T_MATCH: case T_FOR: case T_WHILE: case T_BREAK: case T_CONTINUE: case T_TRY:
    case T_FAIL: case T_NULL: case T_TRUE: case T_FALSE: case T_AND: case T_OR: case T_NOT: case T_IN: case T_ELIF:
        return true;
    default:
        return false;
    }
}

static bool names_only(int frame)
{
    return frame == FRAME_PARTICIPANTS || frame == FRAME_FIXTURE;
}

static int core_word(Layer *layer, int kind)
{
    bool block = top(layer)->kind == FRAME_BLOCK;
    if (kind == T_MATCH)
        return at_start(layer) && block ? T_MATCH : T_MATCH_VALUE;
    if (kind != T_IF || layer->previous == T_ELSE || (at_start(layer) && block) || (top(layer)->kind == FRAME_MATCH && ends_operand(layer->previous)))
        return kind;
    return T_IF_VALUE;
}

static int policy_word(int kind)
{
    switch (kind) {
    case T_ATTEMPTS: case T_BACKOFF: case T_TO: case T_FACTOR: case T_JITTER: case T_ON: case T_REFRESH: return kind;
    default: return T_NAME;
    }
}

static int classify_word(Layer *layer, int kind)
{
    int next = kind_ahead(layer, 1), previous = layer->previous, frame = top(layer)->kind;
    if (kind == T_NAME)
        return previous == T_FAIL ? word_after_word(layer, kind) : T_NAME;
    if (previous == '.' || previous == T_OPTIONAL_DOT || (next == ':' && kind != T_ELSE))
        return T_NAME;
    if (frame == FRAME_RECORD && (previous == T_RECORD_OPEN || previous == ',') && (next == ',' || next == '}'))
        return kind == T_NULL || kind == T_TRUE || kind == T_FALSE ? kind : T_NAME;
    if (frame == FRAME_POLICY)
        return policy_word(kind);
    if (names_only(frame))
        return T_NAME;
    if (frame == FRAME_ENUM || frame == FRAME_MACHINE)
        return kind == T_LIKE && next == T_REGEX ? kind : word_at_operand(layer, kind);
    if (at_start(layer)) {
        if (frame == FRAME_TOP || frame == FRAME_AGENT)
            return word_at_top(kind);
        if (frame == FRAME_TABLE)
            return word_at_table(layer, kind);
        if (frame == FRAME_AGGREGATE)
            return word_at_aggregate(kind);
        if (frame == FRAME_PROJECTION && kind == T_ON)
            return kind;
    }
    if (type_position(layer)) {
        int word = word_in_type(layer, kind);
        if (word != T_NAME)
            return word;
    }
    if (is_core(kind))
        return core_word(layer, kind);
    int word = word_after_word(layer, kind);
    if (word)
        return word;
    if (ends_operand(previous))
        return word_behind_operand(layer, kind);
    if (at_start(layer) && frame == FRAME_BLOCK && (word = word_at_start(layer, kind)) != T_NAME)
        return word;
    return word_at_operand(layer, kind);
}

/* ---- line ends ------------------------------------------------------------------------------------------ */

static bool newline_separates(int frame)
{
    return frame <= FRAME_MATCH;
}

static bool header_continues(const Layer *layer, const Frame *frame, int kind)
{
    int next = kind_ahead(layer, 1);
    switch (kind) {
    case T_REQUIRES:    return is_string(next);
    case T_DURABILITY: case T_KEY: case T_VIA: case T_AUTH: return is_word(next);
    case T_ONE:         return next == T_PER;
    case T_PRIORITY:    return next == T_INT;
    case T_RATE: case T_LIMIT: case T_WITHIN: return operand_ahead(layer, 1);
    case T_COMPENSATED: return next == T_BY;
    case T_EFFECT:      return next != ':';
    case T_COSTS:       return next == T_TOKENS || next == T_USD;
    case T_TOKENS: case T_USD: return frame->header == T_TOOL && (next == T_INT || next == T_DECIMAL);
    case T_ON:          return frame->header == T_FLOW || frame->header == T_SCOPE;
    case T_STREAM: case T_PUBLIC: case T_CANCEL: return frame->header == T_FLOW;
    case T_VERIFY: case T_TOLERANCE: case T_DEDUPE: case T_TENANT: case T_TTL: return frame->header == T_WEBHOOK || frame->header == T_FLOW;
    case T_GRANTS:      return frame->header == T_ROLE;
    case T_SCOPES: case T_ROLES: case T_HEADERS: case T_SIGNED: return frame->header == T_REQUEST;
    case T_OF: case T_SHARED: case T_AT: return true;
    case T_SOURCED:     return next == T_BY;
    case T_WHERE:       return frame->header == T_ON;
    default:            return false;
    }
}

/* Does the word at the start of a line go on with what stands before? */
static bool word_continues(Layer *layer, int kind)
{
    const Frame *frame = top(layer);
    int next = kind_ahead(layer, 1);
    if (next == ':' || next == '=' || next == '.' || next == T_FAT_ARROW)
        return false;
    if (frame->kind == FRAME_POLICY)
        return kind == T_TO || kind == T_FACTOR || kind == T_JITTER;
    if (frame->planning && plan_continues(layer, kind))
        return true;
    if (frame->header && header_continues(layer, frame, kind))
        return true;
    switch (kind) {
    case T_AND: case T_OR: case T_IN: case T_ELSE: case T_ELIF: return frame->kind != FRAME_TOP && frame->kind != FRAME_AGENT;
    case T_CATCH:      return layer->previous == '}' && (is_word(next) || next == '{');
    case T_FINALLY:    return layer->previous == '}' && next == '{';
    case T_AS:         return is_word(next) || is_string(next);
    case T_WITH:       return next == '{';
    case T_RETRY:      return word_ahead(layer, 1) && operand_ahead(layer, 1);
    case T_COMPENSATE: return next == '{' || (word_ahead(layer, 1) && operand_ahead(layer, 1));
    case T_WITHIN: case T_CACHED: return operand_ahead(layer, 1);
    case T_LIKE:       return next == T_REGEX;
    case T_WHERE: case T_LIMIT: case T_SELECT: return frame->query && operand_ahead(layer, 1);
    case T_SET: case T_JOIN: return frame->query && is_word(next);
    case T_ON:         return frame->query && is_word(next);
    case T_ORDER: case T_GROUP: return frame->query && next == T_BY;
    case T_AT:         return next == T_MOST;
    case T_AFTER:      return operand_ahead(layer, 1);
    default:           return false;
    }
}

static bool line_continues(Layer *layer, const Token *token)
{
    const Frame *frame = top(layer);
    switch (token->kind) {
    case '.': case ',': case '+': case '*': case '/': case '%': case '=': case ':': case '?': case '<': case '>': case T_ARROW: case T_FAT_ARROW: case T_EQ:
    case T_NE: case T_LE: case T_GE: case T_MATCHES: case T_MATCHES_NOT: case T_COALESCE: case T_OPTIONAL_DOT: case T_RANGE: case T_ADD_ASSIGN:
    case T_SUB_ASSIGN: case T_MUL_ASSIGN:
        return true;
    case '-':
        return frame->kind != FRAME_MATCH;
    case '{':
        return frame->kind <= FRAME_FIXTURE || frame->brace != FRAME_TOP || !record_ahead(layer);
    default:
        return is_word(token->kind) && word_continues(layer, token->kind);
    }
}

/* Is the line end before the next token the end of a statement, a member, an entry? */
static bool newline_due(Layer *layer, const Token *token)
{
    Frame *frame = top(layer);
    if (token->kind == T_SEMICOLON)
        return false;
    if (frame->kind == FRAME_PARALLEL && ends_operand(layer->previous) && is_word(token->kind)) {
        int next = kind_ahead(layer, 1);                        /* branches on one line: { a = f(1)  b = f(2) } */
        if (next == '=' || (token->kind == T_CRITICAL && is_word(next)))
            return true;
    }
    if (!(token->flags & TOKEN_NEWLINE) || !newline_separates(frame->kind))
        return false;
    if (token->kind == '}' || token->kind == T_EOF || !ends_line(layer->previous))
        return false;
    return !line_continues(layer, token);
}

/* In a record a comma may be left out at a line end before the next field. */
static bool field_due(Layer *layer, const Token *token)
{
    int frame = top(layer)->kind;
    return (frame == FRAME_RECORD || frame == FRAME_RECORD_TYPE) && token->flags & TOKEN_NEWLINE && ends_line(layer->previous) &&
           (is_word(token->kind) || token->kind == T_STRING) && kind_ahead(layer, 1) == ':';
}

static void statement_end(Frame *frame)
{
    frame->brace = FRAME_TOP;
    frame->header = frame->keys = 0;
    frame->query = frame->failing = frame->signalling = frame->planning = false;
}

/* ---- brackets -------------------------------------------------------------------------------------------- */

static Span token_span(const Layer *layer, uint32_t at)
{
    const Token *token = &layer->tokens->items[at];
    return (Span){ token->start, token->end, layer->tokens->source->index };
}

static void frame_push(Layer *layer, FrameKind kind)
{
    if (layer->depth == LAYER_DEPTH_MAX) {
        diag_too_deep(layer->tokens->diags, token_span(layer, layer->at), LAYER_DEPTH_MAX);
        layer->stopped = layer->closing = true;                 /* from here on only closing brackets, this one's too */
    }
    layer->frames[++layer->depth] = (Frame){ .kind = (uint8_t)kind, .open = layer->at };
}

static int record_or_block(Layer *layer)
{
    return record_ahead(layer) ? FRAME_RECORD : FRAME_BLOCK;
}

static FrameKind brace_kind(Layer *layer)
{
    const Frame *frame = top(layer);
    switch (layer->previous) {
    case T_SAGA: case T_TRY: case T_TRANSACTION: case T_FINALLY: case T_CATCH: case T_COMPENSATE: return FRAME_BLOCK;
    case T_PARTICIPANTS: return FRAME_PARTICIPANTS;
    case T_STATE:     return FRAME_FIELDS;
    case T_PARALLEL: case T_PARALLEL_VALUE: case T_RACE: return FRAME_PARALLEL;
    case T_ELSE:      return record_or_block(layer);
    case T_FAT_ARROW: return frame->kind == FRAME_MATCH ? record_or_block(layer) : FRAME_RECORD;
    case '=':         return frame->kind == FRAME_PARALLEL ? record_or_block(layer) : FRAME_RECORD;
    default:          break;
    }
    if (ends_operand(layer->previous))
        return frame->brace != FRAME_TOP ? frame->brace : FRAME_BLOCK;
    return type_position(layer) ? FRAME_RECORD_TYPE : FRAME_RECORD;
}

static int brace_open(Layer *layer)
{
    FrameKind kind = brace_kind(layer);
    Frame *frame = top(layer);
    if (kind != FRAME_RECORD_TYPE && !(kind == FRAME_RECORD && frame->brace != FRAME_RECORD) && layer->previous != T_HEADERS) {
        frame->brace = FRAME_TOP;
        frame->header = 0;
    }
    frame_push(layer, kind);
    return kind == FRAME_RECORD || kind == FRAME_RECORD_TYPE ? T_RECORD_OPEN : '{';
}

static bool is_brace(int frame)
{
    return frame != FRAME_TOP && frame <= FRAME_RECORD_TYPE;
}

/* A closing brace also closes what was left open inside of it; the parser reports that. Interpolations are closed by the scanner. */
static int brace_close(Layer *layer)
{
    int depth = layer->depth;
    while (depth > 0 && !is_brace(layer->frames[depth].kind) && layer->frames[depth].kind != FRAME_INTERPOLATION)
        depth--;
    if (!is_brace(layer->frames[depth].kind)) {
        layer->stray = true;
        return '}';
    }
    int kind = layer->frames[depth].kind;
    layer->unclosed = depth < layer->depth ? layer->frames[layer->depth].open + 1 : 0;
    layer->depth = depth - 1;
    return kind == FRAME_RECORD || kind == FRAME_RECORD_TYPE ? T_RECORD_CLOSE : '}';
}

static void bracket_close(Layer *layer, FrameKind kind, FrameKind other)
{
    if (top(layer)->kind == kind || top(layer)->kind == other)
        layer->depth--;
}

static void interpolation_close(Layer *layer)
{
    int depth = layer->depth;
    while (depth > 0 && layer->frames[depth].kind != FRAME_INTERPOLATION)
        depth--;
    if (depth > 0)
        layer->depth = depth - 1;
}

static int comma(Layer *layer)
{
    Frame *frame = top(layer);
    int first = kind_ahead(layer, 1), second = kind_ahead(layer, 2);
    if (frame->keys == T_ORDER && !((is_word(first) || first == T_STRING) && second == ':'))
        return T_KEY_COMMA;
    if (frame->keys == T_SET && is_word(first) && second == '=')
        return T_KEY_COMMA;
    if (frame->kind == FRAME_POLICY && is_word(first))
        return T_NL;                                            /* between entries, not between the values of one */
    if (!newline_separates(frame->kind))
        statement_end(frame);
    return ',';
}

static int punctuation(Layer *layer, int kind)
{
    Frame *frame = top(layer);
    switch (kind) {
    case '{': return brace_open(layer);
    case '}': return brace_close(layer);
    case '(':
        if (layer->previous == T_NAME && (frame->header == T_TOOL || frame->header == T_FLOW || frame->header == T_FN))
            frame_push(layer, FRAME_PARAMS);
        else
            frame_push(layer, FRAME_PAREN);
        return kind;
    case '[': frame_push(layer, FRAME_LIST); return kind;
    case ')': bracket_close(layer, FRAME_PAREN, FRAME_PARAMS); return kind;
    case ']': bracket_close(layer, FRAME_LIST, FRAME_LIST); return kind;
    case T_INTERPOLATION_OPEN: frame_push(layer, FRAME_INTERPOLATION); return kind;
    case T_INTERPOLATION_CLOSE: interpolation_close(layer); return kind;
    case ',': return comma(layer);
    case '%': return frame->kind == FRAME_POLICY ? T_PERCENT : kind;
    case '<':
        if (layer->previous != T_LIST && layer->previous != T_MAP && layer->previous != T_ID)
            return kind;
        frame_push(layer, FRAME_ANGLE);
        return T_TYPE_LT;
    case '>':
    case T_GE:
        if (frame->kind != FRAME_ANGLE)
            return kind;
        layer->depth--;
        layer->queued = kind == T_GE ? '=' : 0;                 /* xs: list<int>= [] */
        return T_TYPE_GT;
    default:
        return kind;
    }
}

/* `(a, b) =>` and `(a) =>`: told from a parenthesis by what stands behind it. */
static bool lambda_ahead(const Layer *layer)
{
    uint32_t at = 1;
    if (kind_ahead(layer, 1) == ')')
        return kind_ahead(layer, 2) == T_FAT_ARROW;
    while (is_word(kind_ahead(layer, at)) && kind_ahead(layer, at + 1) == ',')
        at += 2;
    return is_word(kind_ahead(layer, at)) && kind_ahead(layer, at + 1) == ')' && kind_ahead(layer, at + 2) == T_FAT_ARROW;
}

/* ---- what a word changes in its frame ------------------------------------------------------------------- */

static void word_note(Layer *layer, int kind)
{
    Frame *frame = top(layer);
    switch (kind) {
    case T_AGENT:   frame->header = T_AGENT;   frame->brace = FRAME_AGENT;   break;
    case T_TABLE:   frame->header = T_TABLE;   frame->brace = FRAME_TABLE;   break;
    case T_EVENT: case T_TYPE: case T_SESSION: case T_CONTEXT: frame->header = T_EVENT; frame->brace = FRAME_FIELDS; break;
    case T_AGGREGATE: frame->header = T_AGGREGATE; frame->brace = FRAME_AGGREGATE; break;
    case T_PROJECTION: frame->header = T_PROJECTION; frame->brace = FRAME_PROJECTION; break;
    case T_COMMAND: case T_CREATE: frame->header = T_TOOL; break;
    case T_ENUM:    frame->header = T_ENUM;    frame->brace = FRAME_ENUM;    break;
    case T_MACHINE: frame->header = T_MACHINE; frame->brace = FRAME_MACHINE; break;
    case T_POLICY:  frame->header = T_POLICY;  frame->brace = FRAME_POLICY;  break;
    case T_FIXTURE:
        if (frame->kind == FRAME_TOP) {
            frame->header = T_FIXTURE;
            frame->brace = FRAME_FIXTURE;
        }
        break;
    case T_SIGNAL:
        frame->brace = frame->kind == FRAME_TOP ? FRAME_FIELDS : FRAME_RECORD;
        frame->header = frame->kind == FRAME_TOP ? T_EVENT : 0;
        frame->signalling = frame->kind != FRAME_TOP;
        break;
    case T_TOOL: case T_FLOW: case T_FN: case T_RESOURCE: case T_WEBHOOK: case T_SCOPE: case T_ROLE: frame->header = (uint16_t)kind; break;
    case T_REQUEST: frame->header = T_REQUEST; frame->brace = FRAME_RECORD; break;
    case T_ON:
        if (!frame->header && (frame->kind == FRAME_TOP || frame->kind == FRAME_AGENT || frame->kind == FRAME_PROJECTION))
            frame->header = T_ON;
        break;
    case T_EMIT: case T_INSERT: case T_SAVE: frame->brace = FRAME_RECORD; break;
    case T_MATCH: case T_MATCH_VALUE: frame->brace = FRAME_MATCH; break;
    case T_PARALLEL: case T_PARALLEL_VALUE: frame->brace = kind_ahead(layer, 1) == T_FOR ? FRAME_BLOCK : FRAME_PARALLEL; break;
    case T_FROM: case T_UPDATE: case T_DELETE: case T_AWAIT: frame->query = true; break;
    case T_RUN_PLAN: frame->planning = true; break;
    case T_ORDER: case T_SET: frame->keys = (uint16_t)kind; break;
    case T_ELSE: frame->keys = 0; frame->planning = false; break;
    case T_RETRY: case T_CACHED: frame->planning = false; break;
    case T_WHERE: case T_LIMIT: case T_SELECT: case T_WITHIN: frame->keys = 0; break;
    case T_FAIL: case T_FAILS: frame->failing = true; break;
    default: break;
    }
}

/* ---- the end, and what is missing before it ---------------------------------------------------------------- */

static int closer(int frame)
{
    switch (frame) {
    case FRAME_PAREN: case FRAME_PARAMS: return ')';
    case FRAME_LIST:  return ']';
    case FRAME_ANGLE: return T_TYPE_GT;
    case FRAME_INTERPOLATION: return T_INTERPOLATION_CLOSE;
    case FRAME_RECORD: case FRAME_RECORD_TYPE: return T_RECORD_CLOSE;
    default: return '}';
    }
}

/* A declaration in the first column while brackets are open: somebody forgot to close them. */
static bool declaration_at_margin(const Layer *layer)
{
    if (!(ahead(layer, 0)->flags & TOKEN_MARGIN))
        return false;
    int next = kind_ahead(layer, 1), second = kind_ahead(layer, 2);
    switch (kind_ahead(layer, 0)) {
    case T_AGENT:  return is_word(next) && is_string(second);
    case T_EVENT: case T_TYPE: case T_ENUM: case T_MACHINE: case T_POLICY: case T_FIXTURE: return is_word(next) && second == '{';
    case T_TABLE:  return is_word(next) && second == T_OF;
    case T_SESSION: case T_CONTEXT: return is_word(next) && second == T_TTL;
    case T_AGGREGATE: return is_word(next) && (second == T_OF || second == T_SOURCED || second == '{');
    case T_PROJECTION: return is_word(next) && second == T_BY;
    case T_FN: case T_FLOW: return is_word(next) && second == '(';
    case T_PARTICIPANTS: return next == '{';
    case T_WEBHOOK: return is_word(next) && is_word(second);
    case T_SCOPE:  return is_string(next) && second == T_ON;
    case T_ROLE:   return is_word(next) && (second == T_GRANTS || second == T_DEFAULT);
    case T_TEST:   return is_string(next) || (next == T_DOCUMENTED && is_string(second));
    default:       return false;
    }
}

static bool closing_due(Layer *layer)
{
    if (layer->depth == 0 || layer->closing)
        return layer->closing;
    if (kind_ahead(layer, 0) != T_EOF && !declaration_at_margin(layer))
        return false;
    for (int depth = layer->depth; depth > 0; depth--)
        if (layer->frames[depth].kind == FRAME_INTERPOLATION)
            return false;                                       /* the scanner has said so */
    layer->closing = true;
    int depth = layer->depth;
    if (layer->tokens->torn)
        return true;
    Str bracket = token_text(layer->tokens, &layer->tokens->items[layer->frames[depth].open]);
    char text[2] = { bracket.ptr[0], '\0' };
    Diag *diag = diag_unclosed(layer->tokens->diags, token_span(layer, layer->frames[depth].open), text);
    if (kind_ahead(layer, 0) != T_EOF)
        diag_note(layer->tokens->diags, diag, token_span(layer, layer->at), "the next declaration starts here");
    return true;
}

/* A line that starts with one of these cannot go on inside of a parenthesis or a list: the bracket was not closed. */
static bool bracket_forgotten(const Layer *layer, const Token *token)
{
    int frame = layer->frames[layer->depth].kind;
    if (!(token->flags & TOKEN_NEWLINE) || frame < FRAME_PAREN || frame == FRAME_INTERPOLATION)
        return false;
    switch (token->kind) {
    case T_LET: case T_VAR: case T_RETURN: case T_FOR: case T_WHILE: case T_BREAK: case T_CONTINUE: case T_TRY: {
        int next = kind_ahead(layer, 1);
        return next != ':' && next != ',' && next != ')' && next != ']' && next != T_FAT_ARROW;
    }
    default:
        return false;
    }
}

static void brackets_drop(Layer *layer)
{
    layer->unclosed = layer->frames[layer->depth].open + 1;
    while (layer->frames[layer->depth].kind >= FRAME_PAREN && layer->frames[layer->depth].kind != FRAME_INTERPOLATION)
        layer->depth--;
}

static int hand_out(Layer *layer, int kind, Place *place, bool real)
{
    *place = (Place){ layer->at, real ? layer->at : layer->at - 1 };
    layer->previous = kind;
    return kind;
}

static void doc_attach(Layer *layer, Token *token, int kind)
{
    int frame = top(layer)->kind;
    bool start = at_start(layer) || (layer->previous == ',' && frame == FRAME_ENUM);
    bool place = frame == FRAME_TOP || frame == FRAME_AGENT || frame == FRAME_FIELDS || frame == FRAME_ENUM || frame == FRAME_PROJECTION ||
                 (frame == FRAME_AGGREGATE && (kind == T_COMMAND || kind == T_CREATE)) ||
                 (frame == FRAME_TABLE && kind == T_NAME && kind_ahead(layer, 1) == ':');
    if (start && place && is_word(kind))
        token->flags |= TOKEN_DOC_USED;
}

static int semicolon(Layer *layer)
{
    Span span = token_span(layer, layer->at);
    diag_fix(layer->tokens->diags, diag_semicolon(layer->tokens->diags, span), span, "%s", line_ends_ahead(layer, 1) ? "" : "\n");
    layer->at++;
    return 0;
}

static int elif_split(Layer *layer)
{
    Span span = token_span(layer, layer->at);
    const Token *token = ahead(layer, 0);
    diag_fix(layer->tokens->diags, diag_elif(layer->tokens->diags, span, token_text(layer->tokens, token)), span, "else if");
    layer->queued = T_IF;
    return T_ELSE;
}

/* Most tokens in the middle of a line are what they look like, and nothing ends before them: names, literals, signs that are no brackets. */
static inline bool is_plain(const Layer *layer, const Token *token)
{
    if (token->flags & TOKEN_NEWLINE || layer->closing)
        return false;
    switch (token->kind) {
    case T_NAME:
        return !token->doc && layer->previous != T_FAIL && layer->frames[layer->depth].kind != FRAME_PARALLEL;
    case T_INT: case T_DECIMAL: case T_STRING: case T_QUOTE_OPEN: case T_TEXT: case T_QUOTE_CLOSE:
    case '.': case ':': case '=': case '+': case '-': case '*': case '/': case '?': case T_ARROW: case T_FAT_ARROW: case T_EQ: case T_NE: case T_LE:
    case T_COALESCE: case T_OPTIONAL_DOT: case T_RANGE: case T_ADD_ASSIGN: case T_SUB_ASSIGN: case T_MUL_ASSIGN:
        return true;
    default:
        return false;
    }
}

int layer_next(Layer *layer, Place *place)
{
    layer->unclosed = 0;
    layer->stray = false;
    if (layer->tokens->diags->count >= DIAG_COUNT_MAX)
        layer->stopped = layer->closing = true;
    if (layer->queued) {
        int kind = layer->queued;
        layer->queued = 0;
        hand_out(layer, kind, place, true);
        layer->at++;
        return kind;
    }
    Token *token = &layer->tokens->items[layer->at];
    if (is_plain(layer, token)) {
        hand_out(layer, token->kind, place, true);
        layer->newline_done = false;
        layer->at++;
        return token->kind;
    }
    if (closing_due(layer)) {
        if (layer->depth > 0)
            return hand_out(layer, closer(layer->frames[layer->depth--].kind), place, false);
        layer->closing = layer->stopped;
        if (layer->stopped)
            return hand_out(layer, T_EOF, place, false);
    }
    if (token->kind == T_SEMICOLON) {
        semicolon(layer);
        bool due = newline_separates(top(layer)->kind) && ends_line(layer->previous) && kind_ahead(layer, 0) != '}' && kind_ahead(layer, 0) != T_EOF;
        if (!due)
            return layer_next(layer, place);
        layer->newline_done = true;
        statement_end(top(layer));
        return hand_out(layer, T_NL, place, false);
    }
    if (!layer->newline_done && bracket_forgotten(layer, token)) {
        brackets_drop(layer);
        layer->newline_done = true;
        return hand_out(layer, T_NL, place, false);
    }
    if (!layer->newline_done && token->kind != T_EOF) {
        if (newline_due(layer, token)) {
            layer->newline_done = true;
            statement_end(top(layer));
            return hand_out(layer, T_NL, place, false);
        }
        if (field_due(layer, token)) {
            statement_end(top(layer));
            return hand_out(layer, ',', place, false);
        }
    }
    int kind = token->kind;
    if (is_word(kind)) {
        kind = kind == T_ELIF && kind_ahead(layer, 1) != '=' && kind_ahead(layer, 1) != '.' && kind_ahead(layer, 1) != ':' ? elif_split(layer) : classify_word(layer, kind);
        if (token->doc)
            doc_attach(layer, token, kind);
        if (kind != T_NAME)
            word_note(layer, kind);
    } else if (kind == '(' && lambda_ahead(layer)) {
        frame_push(layer, FRAME_PAREN);
        kind = T_LAMBDA_OPEN;
    } else {
        kind = punctuation(layer, kind);
    }
    hand_out(layer, kind, place, true);
    layer->newline_done = false;
    if (kind != T_EOF && !layer->queued)
        layer->at++;
    return kind;
}
