/* mermaid.c - see mermaid.h; the escapes are those of Mermaid's own entity syntax. */
#include "base/mermaid.h"

void mermaid_put_alias(Buf *out, Str title) {
    for (size_t i = 0; i < title.len; i++) {
        char c = title.ptr[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        buf_put_char(out, word ? c : '_');
    }
}

void mermaid_put_text(Buf *out, Str text) {
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c == ';') buf_put_text(out, "#59;");
        else if (c == '#') buf_put_text(out, "#35;");
        else if (c == '<') buf_put_text(out, "#lt;");
        else if (c == '>') buf_put_text(out, "#gt;");
        else if (c == '\n') buf_put_text(out, "<br/>");
        else if (c >= 0x20) buf_put_char(out, (char)c);
    }
}

void mermaid_put_participant(Buf *out, Str title) {
    buf_put_text(out, "    participant ");
    mermaid_put_alias(out, title);
    buf_put_text(out, " as ");
    mermaid_put_text(out, title);
    buf_put_char(out, '\n');
}
