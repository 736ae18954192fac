/* token.c - the token array, and the layer that reads it in context.
 *
 * A stack of frames says what the open brackets enclose. From the frame, the token before and up to three
 * tokens ahead follows everything: line ends, keyword or name, the sort of a bracket. Nothing here depends on the parser's
 * state, so a syntax error does not change how the rest of the file is read.
 * What a word is stands in word.c.
 */
#include "dsl/syntax/token_internal.h"

#include <stdlib.h>

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

/* `{ a:`, `{ "a":`, `{ a,`: what no block begins with. */
static bool record_ahead(const Layer *layer)
{
    int first = kind_ahead(layer, 1), second = kind_ahead(layer, 2);
    return (is_word(first) && (second == ':' || second == ',')) || (first == T_STRING && second == ':');
}

/* ---- line ends ------------------------------------------------------------------------------------------ */

static bool newline_separates(int frame)
{
    return frame <= FRAME_MATCH;
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
        kind = kind == T_ELIF && kind_ahead(layer, 1) != '=' && kind_ahead(layer, 1) != '.' && kind_ahead(layer, 1) != ':' ? elif_split(layer) : word_classify(layer, kind);
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
