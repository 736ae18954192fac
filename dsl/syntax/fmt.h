/* fmt.h - the one way a program is laid out: 4 spaces, 120 columns, comments kept, no options. Idempotent; parse(fmt(x)) equals parse(x). */
#ifndef SYNTAX_FMT_H
#define SYNTAX_FMT_H
#include "dsl/syntax/ast.h"

void fmt_module(const Module *module, Buf *out);
#endif
