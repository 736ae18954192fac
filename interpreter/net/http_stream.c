/* http_stream.c - see the header. */
#include "interpreter/net/http_stream.h"

static bool is_one_line(Str text) {
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] == '\r' || text.ptr[i] == '\n' || text.ptr[i] == 0) return false;
    return true;
}

static void put_line(Buf *out, const char *field, Str value) {
    buf_put_text(out, field);
    buf_put_str(out, value);
    buf_put_char(out, '\n');
}

bool http_stream_put(Buf *out, Str id, Str event, Str data) {
    if (!is_one_line(id) || !is_one_line(event)) return false;
    if (id.len) put_line(out, "id: ", id);
    if (event.len) put_line(out, "event: ", event);
    size_t start = 0;
    for (size_t i = 0; i <= data.len; i++) {
        if (i < data.len && data.ptr[i] != '\r' && data.ptr[i] != '\n') continue;
        put_line(out, "data: ", (Str){ data.ptr + start, i - start });
        if (i + 1 < data.len && data.ptr[i] == '\r' && data.ptr[i + 1] == '\n') i++;
        start = i + 1;
    }
    buf_put_char(out, '\n');
    return true;
}
