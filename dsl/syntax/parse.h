/* parse.h - text to tree. Always returns a Module: where the text is wrong the tree holds error nodes and the Diags say why; the caller looks at error_count. */
#ifndef SYNTAX_PARSE_H
#define SYNTAX_PARSE_H
#include "dsl/syntax/ast.h"
#include "dsl/syntax/diag.h"

/* The tree lives in `arena`. */
Module *parse_module(Arena *arena, Source *source, Diags *diags);
#endif
