/* float.c - tries 15, 16 and 17 digits, the counts among which the shortest lies.
 *
 * Two kinds of numbers need more care. Below 1e-300 the spacing grows, so fewer
 * digits may do (5e-324). At a power of two the gap below is half the gap above:
 * printf's nearest 16 digits may lie in the lower gap and miss, while the next
 * 16 digits above read back (5.684341886080802e-14).
 */
#include "base/float.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reads_back(const char *text, double value)
{
    return strtod(text, NULL) == value;
}

/* Adds one to the last digit of "d.ddde-xx"; false when the carry leaves the first digit. */
static bool next_digit_up(char *text)
{
    char *at = strchr(text, 'e');
    while (at-- > text) {
        if (*at < '0' || *at > '9')
            continue;
        if (*at != '9') {
            ++*at;
            return true;
        }
        *at = '0';
    }
    return false;
}

size_t float_print(double value, char text[FLOAT_TEXT_MAX])
{
    int exponent;

    if (!isfinite(value))
        return (size_t)snprintf(text, FLOAT_TEXT_MAX, "%s", isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
    for (int digits = fabs(value) < 1e-300 ? 1 : 15; digits <= 16; digits++) {
        int len = snprintf(text, FLOAT_TEXT_MAX, "%.*g", digits, value);
        if (reads_back(text, value))
            return (size_t)len;
    }
    if (fabs(frexp(value, &exponent)) == 0.5) {
        snprintf(text, FLOAT_TEXT_MAX, "%.15e", value);
        if (next_digit_up(text) && reads_back(text, value))
            return strlen(text);
    }
    return (size_t)snprintf(text, FLOAT_TEXT_MAX, "%.17g", value);
}
