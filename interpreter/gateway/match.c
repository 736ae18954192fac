/* match.c - paths against the table of targets: see match.h. */
#include "interpreter/gateway/match.h"

#include <stdlib.h>

Str target_method(const Target *target) { return target->route ? target->route->method : target->webhook->method; }
Str target_path(const Target *target) { return target->route ? target->route->path : target->webhook->path; }

/* The next segment of "/a/b/c" from *at on; false at the end. "/" has none. */
static bool next_segment(Str path, size_t *at, Str *out) {
    if (*at >= path.len || path.len == 1) return false;
    size_t from = *at + 1, end = from;
    while (end < path.len && path.ptr[end] != '/') end++;
    *out = (Str){ path.ptr + from, end - from };
    *at = end;
    return true;
}

static bool matches(const Target *target, Str path) {
    Str segment;
    size_t at = 0;
    int count = 0;
    for (; next_segment(path, &at, &segment); count++) {
        if (count == target->segment_count) return false;
        const RouteSegment *want = &target->segments[count];
        if (want->is_param ? segment.len == 0 : !str_eq(want->text, segment)) return false;
    }
    return count == target->segment_count;
}

Str target_param(const Target *target, Str path, int segment) {
    Str text = { 0 };
    size_t at = 0;
    for (int i = 0; i <= segment && next_segment(path, &at, &text); i++) continue;
    return text;
}

static int by_specificity(const void *left, const void *right) {
    const Target *a = *(Target *const *)left, *b = *(Target *const *)right;
    for (int i = 0; i < a->segment_count && i < b->segment_count; i++)
        if (a->segments[i].is_param != b->segments[i].is_param) return a->segments[i].is_param ? 1 : -1;
    if (a->segment_count != b->segment_count) return a->segment_count - b->segment_count;
    int order = str_cmp(target_path(a), target_path(b));
    return order ? order : str_cmp(target_method(a), target_method(b));
}

Err targets_add(Targets *targets, Image *image, const ImageRoute *route, const ImageWebhook *webhook, Error *error) {
    Target *target = mem_alloc(sizeof *target);
    const char *why;
    *target = (Target){ .image = image, .route = route, .webhook = webhook };
    target->segment_count = route_split(target_path(target), target->segments, &why);
    Err err = target->segment_count < 0 ? err_set(error, ERR_INVALID, "%.*s: %s", STR_ARG(target_path(target)), why) : ERR_OK;
    for (uint32_t i = 0; i < targets->count && !err; i++) {
        const Target *other = targets->items[i];
        if (str_eq(target_method(other), target_method(target)) && route_same_shape(target_path(other), target_path(target)))
            err = err_set(error, ERR_CONFLICT, "%.*s %.*s and %.*s of another program are one request: change one of them", STR_ARG(target_method(target)), STR_ARG(target_path(target)),
                          STR_ARG(target_path(other)));
    }
    if (err) { free(target); return err; }
    if (targets->count == targets->cap) {
        targets->cap = targets->cap ? targets->cap * 2 : 16;
        targets->items = mem_realloc(targets->items, targets->cap * sizeof *targets->items);
    }
    targets->items[targets->count++] = target;
    qsort(targets->items, targets->count, sizeof *targets->items, by_specificity);
    return ERR_OK;
}

void targets_free(Targets *targets) {
    for (uint32_t i = 0; i < targets->count; i++) free(targets->items[i]);
    free(targets->items);
    *targets = (Targets){ 0 };
}

const Target *targets_find(const Targets *targets, Str method, Str path, Arena *arena, Str *allow) {
    *allow = (Str){ "", 0 };
    for (uint32_t i = 0; i < targets->count; i++)
        if (str_eq(target_method(targets->items[i]), method) && matches(targets->items[i], path)) return targets->items[i];
    for (uint32_t i = 0; i < targets->count; i++) {
        if (!matches(targets->items[i], path)) continue;
        Str one = target_method(targets->items[i]);
        if (memmem(allow->ptr, allow->len, one.ptr, one.len)) continue;
        *allow = str_of(arena_printf(arena, "%.*s%s%.*s", STR_ARG(*allow), allow->len ? ", " : "", STR_ARG(one)));
    }
    return NULL;
}
