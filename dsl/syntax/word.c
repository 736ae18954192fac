/* word.c - which words are keywords where they stand, and which are names.
 *
 * The frame, the word before and up to two tokens ahead say it.
 * A new statement: its word in flow.l, its rule in flow.y, and a row in word_at_start() that says when it is no name.
 */
#include "dsl/syntax/token_internal.h"

/* ---- looking around --------------------------------------------------------------------------------- */

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
bool ends_operand(int kind)
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

bool line_ends_ahead(const Layer *layer, uint32_t steps)
{
    const Token *token = ahead(layer, steps);
    return token->flags & TOKEN_NEWLINE || token->kind == '}' || token->kind == T_EOF || token->kind == T_SEMICOLON;
}

bool type_position(const Layer *layer)
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

bool at_start(const Layer *layer)
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

int word_classify(Layer *layer, int kind)
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

/* ---- words at the start of a line ------------------------------------------------------------------------ */

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
bool word_continues(Layer *layer, int kind)
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

/* ---- what a word changes in its frame ------------------------------------------------------------------- */

void word_note(Layer *layer, int kind)
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
