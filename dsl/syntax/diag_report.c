/* diag_report.c - diagnostics for programs: JSON lines and SARIF 2.1.0.
 *
 * Both are written straight to the buffer. JSON lines carry a version: a field may be added to version 1, none is renamed or
 * taken away. Columns are 1-based and count code points; byte offsets are exact.
 *
 * A SARIF fingerprint must survive edits elsewhere in the file, so it is made of the rule, the path, the text of the line
 * without its indentation, and how many equal ones came before, but not of the line's number.
 */
#include "dsl/syntax/diag.h"
#include "dsl/syntax/diag_internal.h"
#include "dsl/syntax/columns.h"
#include "base/hash.h"
#include "base/json.h"

enum { DIAG_JSON_VERSION = 1, FINGERPRINT_BYTES = 16 };

/* json_put_string wants UTF-8, and a program may quote bytes that are not. */
static void put_text(Buf *out, Str text)
{
    if (utf8_valid(text)) {
        json_put_string(out, text);
        return;
    }
    Buf clean = { 0 };
    for (size_t at = 0; at < text.len;) {
        size_t from = at;
        if (codepoint_next(text, &at) == CODEPOINT_REPLACEMENT) buf_put_text(&clean, "\xef\xbf\xbd");
        else buf_put(&clean, text.ptr + from, at - from);
    }
    json_put_string(out, buf_str(&clean));
    buf_free(&clean);
}

static void put_text_or_null(Buf *out, const char *text)
{
    if (text) put_text(out, str_of(text));
    else buf_put_text(out, "null");
}

static void put_position(Buf *out, const Source *source, uint32_t offset)
{
    uint32_t line, column;
    source_position(source, offset < source->text.len ? offset : (uint32_t)source->text.len, &line, &column);
    buf_printf(out, "{\"line\":%u,\"column\":%u}", line, column);
}

static void put_span(Buf *out, const SourceSet *sources, Span span)
{
    const Source *source = diag_source(sources, span);
    if (!source) {
        buf_put_text(out, "null");
        return;
    }
    buf_put_text(out, "{\"file\":");
    put_text(out, source->path);
    buf_printf(out, ",\"start_byte\":%u,\"end_byte\":%u,\"start\":", span.start, span.end);
    put_position(out, source, span.start);
    buf_put_text(out, ",\"end\":");
    put_position(out, source, span.end);
    buf_put_char(out, '}');
}

static void put_notes(Buf *out, const Diag *diag, const SourceSet *sources)
{
    buf_put_char(out, '[');
    for (int i = 0; i < diag->note_count; i++) {
        if (i) buf_put_char(out, ',');
        buf_put_text(out, "{\"text\":");
        put_text(out, str_of(diag->notes[i].text));
        buf_put_text(out, ",\"span\":");
        if (diag->notes[i].has_span) put_span(out, sources, diag->notes[i].span);
        else buf_put_text(out, "null");
        buf_put_char(out, '}');
    }
    buf_put_char(out, ']');
}

/* An edit that gives a program more rights than its author gave it is a person's decision. */
static void put_fixes(Buf *out, const Diag *diag, const SourceSet *sources)
{
    buf_put_char(out, '[');
    if (diag->has_fix) {
        buf_put_text(out, "{\"span\":");
        put_span(out, sources, diag->fix.span);
        buf_put_text(out, ",\"text\":");
        put_text(out, str_of(diag->fix.text));
        buf_printf(out, ",\"applicability\":\"%s\",\"widens_authority\":%s}", diag->fix.widens_authority ? "manual" : "automatic",
                   diag->fix.widens_authority ? "true" : "false");
    }
    buf_put_char(out, ']');
}

void diag_render_json(const Diag *diag, const SourceSet *sources, Buf *out)
{
    Buf rendered = { 0 };
    diag_render_text(diag, sources, false, &rendered);
    buf_printf(out, "{\"version\":%d,\"code\":\"%s\",\"severity\":\"%s\",\"message\":", DIAG_JSON_VERSION, diag->code, severity_name(diag->severity));
    put_text(out, str_of(diag->message));
    buf_put_text(out, ",\"label\":");
    put_text_or_null(out, diag->label);
    buf_put_text(out, ",\"span\":");
    put_span(out, sources, diag->span);
    buf_put_text(out, ",\"notes\":");
    put_notes(out, diag, sources);
    buf_put_text(out, ",\"help\":");
    put_text_or_null(out, diag->help);
    buf_put_text(out, ",\"fixes\":");
    put_fixes(out, diag, sources);
    buf_put_text(out, ",\"rendered\":");
    put_text(out, buf_str(&rendered));
    buf_put_text(out, "}\n");
    buf_free(&rendered);
}

/* ---- SARIF ---- */

static void put_uri(Buf *out, Str path)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/";
    bool absolute = str_starts(path, STR("/"));
    while (str_starts(path, STR("./"))) path = (Str){ path.ptr + 2, path.len - 2 };
    buf_put_text(out, absolute ? "{\"uri\":\"file://" : "{\"uri\":\"");
    for (size_t i = 0; i < path.len; i++) {
        unsigned char c = (unsigned char)path.ptr[i];
        if (c && strchr(plain, c)) buf_put_char(out, (char)c);
        else buf_printf(out, "%%%02X", c);
    }
    buf_put_text(out, absolute ? "\"}" : "\",\"uriBaseId\":\"%SRCROOT%\"}");
}

static void put_region(Buf *out, const Source *source, Span span)
{
    uint32_t start_line, start_column, end_line, end_column, size = (uint32_t)source->text.len;
    source_position(source, span.start < size ? span.start : size, &start_line, &start_column);
    source_position(source, span.end < size ? span.end : size, &end_line, &end_column);
    buf_printf(out, "{\"startLine\":%u,\"startColumn\":%u,\"endLine\":%u,\"endColumn\":%u}", start_line, start_column, end_line, end_column);
}

static void put_location(Buf *out, const Source *source, Span span)
{
    buf_put_text(out, "\"physicalLocation\":{\"artifactLocation\":");
    put_uri(out, source->path);
    buf_put_text(out, ",\"region\":");
    put_region(out, source, span);
    buf_put_char(out, '}');
}

/* A message pattern as a sentence: what printf would fill in becomes an ellipsis. */
static void put_pattern(Buf *out, const char *pattern)
{
    Buf text = { 0 };
    for (const char *at = pattern; *at; at++) {
        if (*at != '%') {
            buf_put_char(&text, *at);
            continue;
        }
        at++;
        if (*at == '%') {
            buf_put_char(&text, '%');
            continue;
        }
        while (*at && !strchr("diouxXeEfgGcsp", *at)) at++;
        buf_put_text(&text, "…");
        if (!*at) break;
    }
    put_text(out, buf_str(&text));
    buf_free(&text);
}

static int rule_index(const char *code)
{
    for (int i = 0; diag_infos[i].code; i++)
        if (!strcmp(diag_infos[i].code, code)) return i;
    return -1;
}

static void put_rules(Buf *out)
{
    for (const DiagInfo *info = diag_infos; info->code; info++) {
        if (info != diag_infos) buf_put_char(out, ',');
        buf_printf(out, "{\"id\":\"%s\",\"shortDescription\":{\"text\":", info->code);
        put_pattern(out, info->pattern);
        buf_printf(out, "},\"help\":{\"text\":\"flowc explain %s\"},\"defaultConfiguration\":{\"level\":\"%s\"}}", info->code, severity_name(info->severity));
    }
}

static Str line_text(const SourceSet *sources, Span span)
{
    const Source *source = diag_source(sources, span);
    if (!source) return (Str){ "", 0 };
    uint32_t line, column;
    source_position(source, span.start < source->text.len ? span.start : (uint32_t)source->text.len, &line, &column);
    Str text = source_line(source, line);
    while (text.len && strchr(" \t", text.ptr[0])) text = (Str){ text.ptr + 1, text.len - 1 };
    return text;
}

static bool looks_like(const SourceSet *sources, const Diag *a, const Diag *b)
{
    return a->span.file == b->span.file && !strcmp(a->code, b->code) && str_eq(line_text(sources, a->span), line_text(sources, b->span));
}

static void put_fingerprint(Buf *out, const Diags *diags, uint32_t index, const SourceSet *sources)
{
    const Diag *diag = diags->items[index];
    const Source *source = diag_source(sources, diag->span);
    unsigned before = 0;
    for (uint32_t i = 0; i < index; i++) before += looks_like(sources, diags->items[i], diag);
    Buf mark = { 0 };
    buf_put_bytes(&mark, str_of(diag->code));
    buf_put_bytes(&mark, source ? source->path : STR(""));
    buf_put_bytes(&mark, line_text(sources, diag->span));
    buf_put_varint(&mark, before);
    Sha256 digest = sha256(buf_str(&mark));
    buf_free(&mark);
    char hex[SHA256_HEX + 1];
    hex_encode(digest.bytes, FINGERPRINT_BYTES, hex);
    buf_printf(out, ",\"partialFingerprints\":{\"flowLine/v1\":\"%s\"}", hex);
}

static void put_related(Buf *out, const Diag *diag, const SourceSet *sources)
{
    bool any = false;
    for (int i = 0; i < diag->note_count; i++) {
        const Source *source = diag->notes[i].has_span ? diag_source(sources, diag->notes[i].span) : NULL;
        if (!source) continue;
        buf_printf(out, any ? ",{\"id\":%d," : ",\"relatedLocations\":[{\"id\":%d,", i + 1);
        any = true;
        put_location(out, source, diag->notes[i].span);
        buf_put_text(out, ",\"message\":{\"text\":");
        put_text(out, str_of(diag->notes[i].text));
        buf_put_text(out, "}}");
    }
    if (any) buf_put_char(out, ']');
}

static void put_sarif_fix(Buf *out, const Diag *diag, const SourceSet *sources)
{
    const Source *source = diag->has_fix && !diag->fix.widens_authority ? diag_source(sources, diag->fix.span) : NULL;
    if (!source) return;
    buf_put_text(out, ",\"fixes\":[{\"description\":{\"text\":");
    put_text(out, str_of(diag->help ? diag->help : diag->message));
    buf_put_text(out, "},\"artifactChanges\":[{\"artifactLocation\":");
    put_uri(out, source->path);
    buf_put_text(out, ",\"replacements\":[{\"deletedRegion\":");
    put_region(out, source, diag->fix.span);
    buf_put_text(out, ",\"insertedContent\":{\"text\":");
    put_text(out, str_of(diag->fix.text));
    buf_put_text(out, "}}]}]}]");
}

static void put_result(Buf *out, const Diags *diags, uint32_t index, const SourceSet *sources)
{
    const Diag *diag = diags->items[index];
    const Source *source = diag_source(sources, diag->span);
    buf_printf(out, "{\"ruleId\":\"%s\",\"ruleIndex\":%d,\"level\":\"%s\",\"message\":{\"text\":", diag->code, rule_index(diag->code),
               severity_name(diag->severity));
    Buf message = { 0 };
    buf_put_text(&message, diag->message);
    if (diag->label) buf_printf(&message, " (%s)", diag->label);
    if (diag->help) buf_printf(&message, "; help: %s", diag->help);
    put_text(out, buf_str(&message));
    buf_free(&message);
    buf_put_text(out, "},\"locations\":[");
    if (source) {
        buf_put_char(out, '{');
        put_location(out, source, diag->span);
        buf_put_char(out, '}');
    }
    buf_put_char(out, ']');
    put_related(out, diag, sources);
    put_fingerprint(out, diags, index, sources);
    put_sarif_fix(out, diag, sources);
    buf_put_char(out, '}');
}

void diags_render_sarif(const Diags *diags, const SourceSet *sources, Buf *out)
{
    buf_put_text(out, "{\"$schema\":\"https://json.schemastore.org/sarif-2.1.0.json\",\"version\":\"2.1.0\",\"runs\":[{\"tool\":{\"driver\":"
                      "{\"name\":\"flowc\",\"rules\":[");
    put_rules(out);
    buf_put_text(out, "]}},\"columnKind\":\"unicodeCodePoints\",\"results\":[");
    for (uint32_t i = 0; i < diags->count; i++) {
        if (i) buf_put_char(out, ',');
        put_result(out, diags, i, sources);
    }
    buf_put_text(out, "]}]}\n");
}
