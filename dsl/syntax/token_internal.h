/* token_internal.h - what token.c and word.c share: looking around in the tokens, and what is said about words. Internal to dsl/syntax. */
#ifndef SYNTAX_TOKEN_INTERNAL_H
#define SYNTAX_TOKEN_INTERNAL_H
#include "dsl/grammar/flow.tab.h"
#include "dsl/syntax/token.h"

static inline const Token *ahead(const Layer *layer, uint32_t steps)
{
    uint32_t at = layer->at + steps, last = layer->tokens->count - 1;
    return &layer->tokens->items[at < last ? at : last];
}

static inline int kind_ahead(const Layer *layer, uint32_t steps)
{
    return ahead(layer, steps)->kind;
}

static inline Frame *top(Layer *layer)
{
    return &layer->frames[layer->depth];
}

static inline bool is_word(int kind)
{
    return kind >= T_NAME && kind <= T_WORD_LAST;
}

static inline bool is_string(int kind)
{
    return kind == T_STRING || kind == T_QUOTE_OPEN;
}

bool ends_operand(int kind);                                    /* so that an operator, a clause or the end may follow */
bool line_ends_ahead(const Layer *layer, uint32_t steps);       /* before the token there */
bool at_start(const Layer *layer);                              /* of a statement, a member, an entry */
bool type_position(const Layer *layer);

int  word_classify(Layer *layer, int kind);                     /* the word's own kind where it is a keyword, T_NAME where it is a name */
bool word_continues(Layer *layer, int kind);                    /* at the start of a line: does it go on with what stands before? */
void word_note(Layer *layer, int kind);                         /* what a keyword changes in its frame */
#endif
