/* float.h - the text of a double: the shortest that reads back as the same number. */
#ifndef BASE_FLOAT_H
#define BASE_FLOAT_H
#include <stddef.h>

enum { FLOAT_TEXT_MAX = 32 };

/* "0.1", "1e+30", "-0", "nan", "inf"; returns the length. The process keeps the C locale. */
size_t float_print(double value, char text[FLOAT_TEXT_MAX]);
#endif
