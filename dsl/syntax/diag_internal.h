/* diag_internal.h - what the renderings of a diagnostic share. */
#ifndef SYNTAX_DIAG_INTERNAL_H
#define SYNTAX_DIAG_INTERNAL_H
#include "dsl/syntax/diag.h"

/* The file of a span, or NULL: a file that could not be taken in (E0101) has no text to show. */
const Source *diag_source(const SourceSet *sources, Span span);
const char   *severity_name(Severity severity);               /* "error", "warning" */

void diag_render_text(const Diag *diag, const SourceSet *sources, bool color, Buf *out);
void diag_render_json(const Diag *diag, const SourceSet *sources, Buf *out);
void diags_render_sarif(const Diags *diags, const SourceSet *sources, Buf *out);
#endif
