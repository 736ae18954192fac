/* parse.h - text to tree. Always returns a Module: where the text is wrong the tree holds error nodes and the Diags say why; the caller looks at error_count.
 *
 * Never deeper than AST_DEPTH_MAX below the module (E0203); a file with DIAG_COUNT_MAX diagnostics is not read further.
 * Operators, loosest first: or · and · not · == != < <= > >= in =~ !~ (do not chain) · ?? (to the right) · + - · * / % ·
 * - before · as, with · calls, fields, indices. The clauses retry, within, else stand behind a whole expression, the first one innermost;
 * from, await, ask, update, delete and parallel reach as far right as they can and need parentheses as an operand.
 */
#ifndef SYNTAX_PARSE_H
#define SYNTAX_PARSE_H
#include "dsl/syntax/ast.h"
#include "dsl/syntax/diag.h"

/* The tree lives in `arena`. */
Module *parse_module(Arena *arena, Source *source, Diags *diags);
#endif
