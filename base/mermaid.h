/* mermaid.h - the two spellings that every Mermaid diagram needs: a name without spaces, and text that ends nothing by accident. */
#ifndef BASE_MERMAID_H
#define BASE_MERMAID_H
#include "base/buf.h"

void mermaid_put_alias(Buf *out, Str title);             /* letters and digits; everything else becomes `_` */
void mermaid_put_text(Buf *out, Str text);               /* ; # < > escaped, newlines as <br/>, other control characters dropped */
/* "    participant ALIAS as TITLE" and a newline */
void mermaid_put_participant(Buf *out, Str title);
#endif
