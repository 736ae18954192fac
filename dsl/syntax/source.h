/* source.h - the bytes of a .flow file, its line table, and spans into it.
 *
 * A Span is two byte offsets into one Source, nothing else; `file` tells which
 * (index into the SourceSet of one compilation). Sources live as long as the set.
 * Limits: SOURCE_SIZE_MAX bytes a file, SOURCE_FILES_MAX files a set (E0101, E0102); invalid
 * UTF-8 and NUL are E0103.
 */
#ifndef SYNTAX_SOURCE_H
#define SYNTAX_SOURCE_H
#include "base/arena.h"
#include "base/err.h"

enum { SOURCE_SIZE_MAX = 4 << 20, SOURCE_FILES_MAX = 1000 };

typedef struct Span {
    uint32_t start, end;        /* byte offsets, end exclusive */
    uint16_t file;              /* index into the SourceSet */
} Span;

typedef struct Source {
    Str path;                   /* as the author wrote it, or "-" */
    Str text;                   /* always followed by two NUL bytes, as flex wants */
    uint32_t *line_starts;
    uint32_t line_count;
    uint16_t index;
} Source;

typedef struct SourceSet {
    Arena *arena;
    Source **files;
    uint32_t count, cap;
} SourceSet;

SourceSet *source_set_new(void);
void source_set_free(SourceSet *set);
/* Reads a file, or takes text that is already here (copied). The same path is loaded once. */
Err source_load(SourceSet *set, const char *path, Source **out, Error *error);
Err source_add(SourceSet *set, const char *path, Str text, Source **out, Error *error);

/* 1-based line, 1-based column in code points. */
void source_position(const Source *source, uint32_t offset, uint32_t *line, uint32_t *column);
Str  source_line(const Source *source, uint32_t line);        /* without its newline */
Str  span_text(const SourceSet *set, Span span);
static inline Span span_join(Span a, Span b) { return (Span){ a.start, b.end, a.file }; }
#endif
