/* text_case.h - upper and lower case as the language has it: code point by code point, after Unicode, of valid UTF-8. */
#ifndef STORE_TEXT_CASE_H
#define STORE_TEXT_CASE_H
#include "base/buf.h"

void text_upper(Str text, Buf *out);                          /* appended */
void text_lower(Str text, Buf *out);
#endif
