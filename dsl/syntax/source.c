/* source.c - files in, line table, positions out.
 *
 * The text is copied once, with the two NUL bytes that flex wants behind it, so the scanner reads it in place.
 * What is not UTF-8, or holds a NUL, never becomes a Source: everything above may rely on that.
 */
#include "dsl/syntax/source.h"

#include <stdlib.h>

#include "base/buf.h"

SourceSet *source_set_new(void)
{
    Arena *arena = arena_new();
    SourceSet *set = ARENA_NEW(arena, SourceSet);
    set->arena = arena;
    return set;
}

void source_set_free(SourceSet *set)
{
    if (!set)
        return;
    Source **files = set->files;
    arena_free(set->arena);                                     /* the set itself lies in it */
    free(files);
}

static Source *source_find(const SourceSet *set, const char *path)
{
    for (uint32_t i = 0; i < set->count; i++)
        if (str_is(set->files[i]->path, path))
            return set->files[i];
    return NULL;
}

static void lines_find(Arena *arena, Source *source)
{
    Str text = source->text;
    uint32_t count = 1;
    for (const char *at = text.ptr, *end = text.ptr + text.len; (at = memchr(at, '\n', (size_t)(end - at))); at++)
        count++;
    source->line_starts = ARENA_ARRAY(arena, uint32_t, count);
    source->line_count = 1;
    for (const char *at = text.ptr, *end = text.ptr + text.len; (at = memchr(at, '\n', (size_t)(end - at))); at++)
        source->line_starts[source->line_count++] = (uint32_t)(at + 1 - text.ptr);
}

static Err text_check(const char *path, Str text, Error *error)
{
    if (text.len > SOURCE_SIZE_MAX)
        return err_set(error, ERR_LIMIT, "E0101: %s is larger than SOURCE_SIZE_MAX (%d bytes)", path, SOURCE_SIZE_MAX);
    if (memchr(text.ptr ? text.ptr : "", '\0', text.len) || !utf8_valid(text))
        return err_set(error, ERR_CORRUPT, "E0103: %s is not valid UTF-8", path);
    return ERR_OK;
}

Err source_add(SourceSet *set, const char *path, Str text, Source **out, Error *error)
{
    Source *known = source_find(set, path);
    if (known) {
        *out = known;
        return ERR_OK;
    }
    if (set->count == SOURCE_FILES_MAX)
        return err_set(error, ERR_LIMIT, "E0102: more than SOURCE_FILES_MAX (%d) files", SOURCE_FILES_MAX);
    Err err = text_check(path, text, error);
    if (err)
        return err;
    if (set->count == set->cap) {
        set->cap = set->cap ? set->cap * 2 : 16;
        set->files = mem_realloc(set->files, set->cap * sizeof *set->files);
    }
    Source *source = ARENA_NEW(set->arena, Source);
    char *copy = arena_alloc(set->arena, text.len + 2);         /* zeroed: ends with the two NULs */
    if (text.len)
        memcpy(copy, text.ptr, text.len);
    source->path = arena_str(set->arena, str_of(path));
    source->text = (Str){ copy, text.len };
    source->index = (uint16_t)set->count;
    lines_find(set->arena, source);
    set->files[set->count++] = source;
    *out = source;
    return ERR_OK;
}

Err source_load(SourceSet *set, const char *path, Source **out, Error *error)
{
    Source *known = source_find(set, path);
    if (known) {
        *out = known;
        return ERR_OK;
    }
    Buf bytes = { 0 };
    Err err = file_read(path, SOURCE_SIZE_MAX, &bytes, error);
    if (!err)
        err = source_add(set, path, buf_str(&bytes), out, error);
    buf_free(&bytes);
    return err;
}

static uint32_t line_at(const Source *source, uint32_t offset)
{
    uint32_t low = 0, high = source->line_count;                /* line_starts[low] <= offset < line_starts[high] */
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (source->line_starts[middle] <= offset)
            low = middle;
        else
            high = middle;
    }
    return low;
}

void source_position(const Source *source, uint32_t offset, uint32_t *line, uint32_t *column)
{
    if (offset > source->text.len)
        offset = (uint32_t)source->text.len;
    uint32_t index = line_at(source, offset), start = source->line_starts[index];
    *line = index + 1;
    *column = (uint32_t)utf8_length((Str){ source->text.ptr + start, offset - start }) + 1;
}

Str source_line(const Source *source, uint32_t line)
{
    if (line < 1 || line > source->line_count)
        return STR("");
    uint32_t start = source->line_starts[line - 1];
    uint32_t end = line < source->line_count ? source->line_starts[line] - 1 : (uint32_t)source->text.len;
    if (end > start && source->text.ptr[end - 1] == '\r')
        end--;
    return (Str){ source->text.ptr + start, end - start };
}

Str span_text(const SourceSet *set, Span span)
{
    if (span.file >= set->count)
        return STR("");
    Str text = set->files[span.file]->text;
    if (span.start > span.end || span.end > text.len)
        return STR("");
    return (Str){ text.ptr + span.start, span.end - span.start };
}
