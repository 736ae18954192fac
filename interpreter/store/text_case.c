/* text_case.c - what `lower` and `upper` do inside a query must be what they do in the machine: the same mapping of the same library. */
#include "interpreter/store/text_case.h"

#include <utf8proc.h>

static void map_case(Str text, utf8proc_int32_t (*to)(utf8proc_int32_t), Buf *out)
{
    for (size_t at = 0; at < text.len;) {
        utf8proc_int32_t c;
        utf8proc_uint8_t bytes[4];
        utf8proc_ssize_t size = utf8proc_iterate((const utf8proc_uint8_t *)text.ptr + at, (utf8proc_ssize_t)(text.len - at), &c);
        if (size <= 0) {                                      /* a foreign hand in the file: the rest stays as it is */
            buf_put(out, text.ptr + at, text.len - at);
            return;
        }
        buf_put(out, bytes, (size_t)utf8proc_encode_char(to(c), bytes));
        at += (size_t)size;
    }
}

void text_upper(Str text, Buf *out)
{
    map_case(text, utf8proc_toupper, out);
}

void text_lower(Str text, Buf *out)
{
    map_case(text, utf8proc_tolower, out);
}
