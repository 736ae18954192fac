/* base64.h - RFC 4648, strictly.
 *
 * What is read is what would be written: no white space, no padding where there is none, no bits behind the last byte. So every run of bytes has one text,
 * and nobody can make a second text of something signed.
 */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H
#include "base/arena.h"
#include "base/buf.h"

void base64_encode(Str bytes, Buf *out);                      /* with padding */
void base64url_encode(Str bytes, Buf *out);                   /* URL alphabet, without padding */
bool base64_decode(Str text, Arena *arena, Str *out);         /* false: not exactly what base64_encode writes */
bool base64url_decode(Str text, Arena *arena, Str *out);
#endif
