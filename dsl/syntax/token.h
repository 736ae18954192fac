/* token.h - from bytes to the tokens that the grammar sees. Internal to dsl/.
 *
 * Two steps. scan_tokens() (dsl/grammar/flow.l) turns a whole file into an array; every word of the language has its own
 * kind there. Then layer_next() hands the tokens out one by one and decides what needs context: whether a line
 * end ends a statement (T_NL), whether a word is a keyword or a name, whether `{` opens a block or a record,
 * `<` compares or opens a type. It looks ahead in the array, never back into the parser, so the grammar stays LALR(1).
 *
 * The array belongs to the Tokens (tokens_free); decoded texts lie in the arena or are slices of the source.
 * Limits: LAYER_DEPTH_MAX open brackets (E0203), SCAN_NESTING_MAX strings inside ${…} of strings (E0112).
 */
#ifndef SYNTAX_TOKEN_H
#define SYNTAX_TOKEN_H
#include "dsl/syntax/ast.h"
#include "dsl/syntax/diag.h"

enum { LAYER_DEPTH_MAX = AST_DEPTH_MAX, SCAN_NESTING_MAX = 16 };

/* A run of tokens, by index; empty when last + 1 == first. This is what the parser carries as location. */
typedef struct Place {
    uint32_t first, last;
} Place;

enum {
    TOKEN_NEWLINE = 1,          /* first on its line */
    TOKEN_SPACE = 2,            /* not glued to the token before */
    TOKEN_MARGIN = 4,           /* first on its line, in the first column */
    TOKEN_BLOCK = 8,            /* a string in three quotes */
    TOKEN_DOC_USED = 16         /* the /// lines before it document what starts here */
};

typedef struct Token {
    uint16_t kind;              /* enum yytokentype of the grammar */
    uint16_t flags;
    uint32_t start, end;        /* byte offsets */
    uint32_t doc;               /* 1 + index of the first /// line before it, 0: none */
    union {
        Str text;               /* decoded string, digits, regex pattern, format of an interpolation */
        int64_t integer;        /* integer, microseconds, days */
    };
} Token;

typedef struct CommentLine {
    Comment comment;
    uint32_t token;             /* /// lines: index of the token behind them; else UINT32_MAX */
} CommentLine;

typedef struct Tokens {
    Arena *arena;
    const Source *source;
    Diags *diags;
    Token *items;               /* the last one is T_EOF */
    uint32_t count, cap;
    CommentLine *comments;
    uint32_t comment_count, comment_cap;
    bool torn;                  /* a string is not closed: brackets may have ended up inside of it */
} Tokens;

void scan_tokens(Tokens *tokens);
void tokens_free(Tokens *tokens);
Token *token_add(Tokens *tokens, int kind, uint32_t start, uint32_t end);
Str token_text(const Tokens *tokens, const Token *token);       /* as it stands in the source */

/* What a bracket encloses. */
typedef enum {
    FRAME_TOP, FRAME_AGENT, FRAME_FIELDS, FRAME_ENUM, FRAME_MACHINE, FRAME_TABLE, FRAME_POLICY, FRAME_AGGREGATE, FRAME_PROJECTION, FRAME_PARTICIPANTS, FRAME_FIXTURE,
    FRAME_BLOCK, FRAME_PARALLEL, FRAME_MATCH,                   /* so far a line end separates */
    FRAME_RECORD, FRAME_RECORD_TYPE,                            /* a line end separates when a new field follows */
    FRAME_PAREN, FRAME_PARAMS, FRAME_LIST, FRAME_ANGLE, FRAME_INTERPOLATION
} FrameKind;

typedef struct Frame {
    uint8_t kind;
    uint8_t brace;              /* what the next `{` behind an operand opens; FRAME_TOP: nothing special, a block */
    uint16_t header;            /* the declaration whose body has not opened yet (T_FLOW, …) or 0 */
    bool query;                 /* inside from, update, delete, await: their clauses may start a line */
    uint16_t keys;              /* T_ORDER, T_SET: commas separate sort keys, assignments; 0 */
    bool failing;               /* inside fail, fails: `with` gives details */
    bool signalling;
    bool planning;              /* behind run plan: the words of its options are no names */
    uint32_t open;              /* index of the bracket */
} Frame;

typedef struct Layer {
    Tokens *tokens;
    uint32_t at;                /* next token to hand out */
    int previous;               /* kind handed out last, 0 at the start */
    bool newline_done;          /* T_NL before `at` has been handed out */
    int queued;                 /* kind of a second token made from the one before, or 0 */
    bool closing;               /* handing out the brackets that the text does not close */
    bool stray;                 /* the brace handed out last closes nothing */
    uint32_t unclosed;          /* 1 + index of the bracket that a closing brace has just passed over, 0: none */
    bool stopped;               /* a limit is hit, of depth or of diagnostics: the rest is not read */
    int depth;
    Frame frames[LAYER_DEPTH_MAX + 2];  /* the top, the allowed ones, and the one too many */
} Layer;

void layer_init(Layer *layer, Tokens *tokens);
int  layer_next(Layer *layer, Place *place);                    /* the kind; 0 at the end, forever */
#endif
