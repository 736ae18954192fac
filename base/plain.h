/* plain.h - text of somebody else for a terminal: what it shows is what is there.
 *
 * Controls (but newline and tab), marks that turn the direction of writing, and letters that take no room stand as \uXXXX, as JSON would write them. All else
 * is as it was. A byte that is no UTF-8 is \ufffd.
 */
#ifndef BASE_PLAIN_H
#define BASE_PLAIN_H
#include "base/buf.h"

void plain_put(Buf *out, Str text);
#endif
