/* builtins_condition.h - JavaScript's numbers and strings, shared by the built-ins of conditions. */
#ifndef VM_BUILTINS_CONDITION_H
#define VM_BUILTINS_CONDITION_H
#include "interpreter/vm/builtins.h"

enum { JS_NUMBER_MAX = 40 };
size_t js_number_text(double value, char text[JS_NUMBER_MAX]);     /* "350", "1e+21", "NaN"; returns the length */
uint64_t js_length(Str text);                                      /* UTF-16 units */
int js_compare(Str a, Str b);                                      /* by UTF-16 units */
#endif
